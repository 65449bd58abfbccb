"""The law over a few random schedules of faults; ``make chaos`` tries thousands, ``make mutants`` that it catches bugs of the gate."""

from __future__ import annotations

from dataclasses import replace

import law
import pytest
from law import LawError, breaches, hold, run_gate, search
from oracle import truth_of
from schedules import CANARY, DIGEST, NAME, POLICIES, SECRET, TOKEN, Case

PEM = {"key": "pem", "path": "/k.pem", "risk_level": "low", "md5": ""}
SQLITE = {**PEM, "key": "sqlite"}


def case(*findings, seconds=30.0, faults=(), **world):
    right = {
        "version": 1,
        "account": {"access_key_secret": SECRET, "security_token": TOKEN, "token_expires_after_calls": None},
        "images": [{"reference": NAME, "digest": DIGEST, "findings": list(findings)}],
        "rules_off": [],
        "rules_extra": [],
        "whitelists": [],
        "quirks": {"canary": CANARY, "whitelisted_rows": "shown", "page_size_cap": None},
        "faults": list(faults),
    }
    return Case({**right, **world}, POLICIES[0], "auto", seconds)


@pytest.mark.parametrize("number", [1, 2])
def test_the_law_holds_over_random_schedules(number):
    codes = search(30, number).codes

    assert len(codes) >= 3  # all of one kind would prove little


@pytest.mark.parametrize(("findings", "code"), [((SQLITE,), 0), ((SQLITE, PEM), 10)])
def test_where_nothing_goes_wrong_the_exit_code_is_the_truth(findings, code):
    assert code == hold(case(*findings)).code


@pytest.mark.parametrize(
    ("truth", "told"),
    [
        (case(SQLITE, PEM), "the truth is no pass"),
        (case(SQLITE, SQLITE), "not every finding was read"),
        (case(SQLITE, rules_off=["pem"]), "the truth is no pass"),
        (case(SQLITE, seconds=-60), "the deadline was"),
    ],
)
def test_a_pass_that_is_none_breaks_the_law(truth, told):
    passed = run_gate(case(SQLITE))

    assert told in "; ".join(breaches(truth, passed))


def test_a_block_that_is_none_breaks_the_law():
    assert "the truth does not block" in "; ".join(breaches(case(SQLITE), run_gate(case(SQLITE, PEM))))


def test_a_report_that_says_better_than_the_exit_code_breaks_the_law():
    passed, blocked = run_gate(case(SQLITE)), run_gate(case(PEM))
    for name in ("junit", "markdown", "sarif", "json", "html", "gitlab-codequality", "terminal", "outputs", "annotations"):
        swapped = replace(blocked, reports={**blocked.reports, name: passed.reports[name]})

        assert "says that it passed" in "; ".join(breaches(case(PEM), swapped)), name


@pytest.mark.parametrize("secret", [CANARY, SECRET, TOKEN])
def test_a_secret_in_any_output_breaks_the_law(secret):
    blocked = run_gate(case(PEM))
    leaking = replace(blocked, reports={**blocked.reports, "log": secret})
    assert [f"log holds {secret}"] == breaches(case(PEM), leaking)


def test_what_breaks_the_law_says_by_which_case(monkeypatch):
    truth = truth_of(case(PEM))
    monkeypatch.setattr(law, "truth_of", lambda _: truth)

    with pytest.raises(LawError, match="the truth is no pass") as caught:
        hold(case(SQLITE))
    assert '"path": "/k.pem"' in str(caught.value)
