"""The tests that a policy holds."""

from __future__ import annotations

import json
from datetime import date

import pytest

from ci_gate.policy.language.load import parse_policy
from ci_gate.policy.selftest import run_tests

TODAY = date(2026, 9, 1)
BASE = {"version": 1, "deny": {"keys": ["pem"]}, "thresholds": {"high": 0, "low": 2}}


def _run(*tests, today=TODAY, floors=(), **fields):
    named = [{"name": f"test {number}", **test} for number, test in enumerate(tests)]
    return run_tests(parse_policy(json.dumps({**BASE, **fields, "tests": named}), origin="p.yaml"), today, floors)


def _got(given, **fields):
    test = {name: fields.pop(name) for name in ("image", "today") if name in fields}
    (result,) = _run({"given": given, "expect": "passed", **test}, **fields)
    return result.got


@pytest.mark.parametrize(
    ("given", "got"),
    [
        ([], "passed"),
        ([{"key": "pem", "risk_level": "low"}], "blocked"),
        ([{"key": "sqlite"}], "blocked"),
        ([{"key": "sqlite", "risk_level": "low", "count": 2}], "passed"),
        ([{"key": "sqlite", "risk_level": "low", "count": 3}], "blocked"),
        ([{"key": "nobody_knows", "risk_level": "low"}], "blocked"),
        ([{"key": "sqlite", "risk_level": " LOW "}], "passed"),
    ],
)
def test_the_findings_are_judged_as_those_of_an_image(given, got):
    assert got == _got(given)


def test_a_level_that_the_policy_cannot_judge_is_undecided_and_a_violation_beside_it_is_blocked():
    odd = {"key": "sqlite", "risk_level": "weird"}
    rules = {"unknown": {"risk_level": "error"}, "thresholds": {"low": 2}}

    assert "undecided" == _got([odd], **rules)
    assert "blocked" == _got([odd, {"key": "pem"}], **rules)


def test_a_violation_in_warn_mode_is_blocked_too():
    assert "blocked" == _got([{"key": "pem"}], mode="warn")


def test_a_test_passes_if_and_only_if_the_verdict_is_the_expected_one():
    results = _run(*({"given": [{"key": "pem"}], "expect": word} for word in ("blocked", "passed", "undecided")))

    assert [True, False, False] == [result.passed for result in results]
    assert [("test 1", "passed", "blocked")] == [(result.name, result.expected, result.got) for result in results[1:2]]
    assert "pem in /test: violation by deny" in results[1].detail


def test_waivers_hold_on_the_day_of_the_test_and_for_its_image():
    waiver = {"id": "W-1", "keys": ["pem"], "reason": "r", "owner": "o", "created": "2026-08-01", "expires": "2026-09-01"}
    pem = [{"key": "pem", "risk_level": "low"}]

    assert "passed" == _got(pem, waivers=[waiver])
    assert "blocked" == _got(pem, waivers=[waiver], today="2026-09-02")
    mine = {**waiver, "images": ["registry.example.com/shop/api"]}
    assert "passed" == _got(pem, waivers=[mine], image="registry.example.com/shop/api")
    assert "passed" == _got(pem, waivers=[mine], image="registry.example.com/shop/api:1.4.2")
    assert "blocked" == _got(pem, waivers=[mine], image="registry.example.com/shop/web")
    assert "blocked" == _got(pem, waivers=[mine])


def test_layers_and_sums_of_given_findings_count():
    layer, md5 = "ab" * 32, "cd" * 16
    high = {"key": "sqlite", "risk_level": "high"}
    exempt = {"base_image": {"layers": [f"sha256:{layer}"], "action": "exempt"}}

    assert "passed" == _got([{**high, "layer": f"sha256:{layer}"}], **exempt)
    assert "blocked" == _got([high], **exempt)
    waiver = {"id": "W-1", "keys": ["sqlite"], "md5": [md5], "reason": "r", "owner": "o", "created": "2026-08-01", "expires": "2026-09-01"}
    assert "passed" == _got([{**high, "md5": md5}], waivers=[waiver])
    assert "blocked" == _got([{**high, "md5": "00" * 16}], waivers=[waiver])


def test_a_floor_judges_beside_the_policy():
    from ci_gate.policy.effective import DenyClause, EffectivePolicy, NamedPolicy

    floor = NamedPolicy("floor", EffectivePolicy(deny=(DenyClause(keys=("sqlite",)),)))
    (result,) = _run({"given": [{"key": "sqlite", "risk_level": "low"}], "expect": "passed"}, floors=(floor,))

    assert "blocked" == result.got
    assert "floor[floor].deny" in result.detail


def test_the_detail_names_a_few_findings_only():
    (result,) = _run({"given": [{"key": "pem", "path": f"/{number}"} for number in range(9)], "expect": "passed"})

    assert result.detail.endswith("; and 4 more")


def test_a_policy_without_tests_has_no_results():
    assert () == _run()
