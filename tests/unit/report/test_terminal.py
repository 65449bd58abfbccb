"""The terminal summary: short, and nothing in it obeys the data."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from runs import EXCEPTED_IMAGE, MIXED_IMAGE, RUNS, TODAY, W_ACTIVE, finding, image, run_of, runs, violation

from ci_gate.errors import Cause, ExitCode
from ci_gate.report.terminal import render_terminal
from ci_gate.verdict import BaselineUse, ImageResult, Validity, Verdict


@settings(max_examples=120, deadline=None)
@given(runs)
def test_no_data_moves_the_cursor_or_begins_a_command(run):
    text = render_terminal(run)

    assert text.endswith("\n")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert not [line for line in text.split("\n") if line.lstrip().startswith("::")]
    assert "##[" not in text
    assert text.split("\n")[-2].startswith("Next: ")


@pytest.mark.parametrize("kind", RUNS)
def test_colour_adds_to_the_first_word_and_nothing_else(kind):
    colored = render_terminal(RUNS[kind], color=True)

    assert "\x1b[" not in render_terminal(RUNS[kind])
    assert render_terminal(RUNS[kind]) == re.sub(r"\x1b\[[0-9;]*m", "", colored)
    assert 2 == colored.count("\x1b[")


def test_the_first_line_says_what_was_decided_and_why():
    first = render_terminal(RUNS["blocked"]).partition("\n")[0]

    assert first.startswith("BLOCKED registry.example.com/shop/api:1.4.2")
    assert "3 findings of denied keys: aws_access_key, rsa_private_key" in first
    assert "1 finding over thresholds.high (1 counted, 0 allowed): pem" in first


def test_undecided_names_the_call_and_its_request_id_first():
    first = render_terminal(RUNS["undecided"]).partition("\n")[0]

    assert first.startswith("UNDECIDED")
    assert "[DescribeImageInstances, request id 0B9A-REQUEST-ID]" in first


def test_the_worst_cause_of_the_run_decides_the_first_and_the_last_line():
    mild, bad = Cause(ExitCode.UNAVAILABLE, "no network", "wait"), Cause(ExitCode.POLICY_INVALID, "no policy", "mend it")
    text = render_terminal(run_of(causes=(mild, bad)))

    assert text.startswith("UNDECIDED no policy (and 1 more)\n")
    assert text.endswith("Next: mend it\n")


def test_the_worst_image_of_several_is_named():
    assert "1 undecided; registry.example.com/shop/api:1.4.2" in render_terminal(RUNS["multi-image"]).partition("\n")[0]


def test_violations_beyond_fifteen_are_counted():
    found = tuple(violation(finding("pem", f"/{n}")) for n in range(40))
    text = render_terminal(run_of(ImageResult("a", None, image(), (), Verdict(found))))

    assert "… and 25 more violations, see the reports" in text
    assert 15 == text.count("  - high ")


def test_a_long_path_is_shortened_to_the_width_and_keeps_its_end():
    found = violation(finding("pem", "/" + "x" * 300 + "/id_rsa"))
    text = render_terminal(run_of(ImageResult("a", None, image(), (), Verdict((found,)))), width=80)
    line = text.split("\n")[1]

    assert 80 == len(line)
    assert "/id_rsa  (deny)" in line


def test_what_warns_only_comes_last_and_is_marked_as_is_the_base_image():
    lines = [line for line in render_terminal(RUNS["mixed"]).split("\n") if line.startswith("  - ")]

    assert lines[2].endswith("(floor[org].deny, base image)")
    assert lines[4].endswith("(floor[trial].unknown.keys, base image, warn mode)")
    assert [False] * 4 + [True] * 2 == ["warn mode" in line for line in lines]


def test_a_waiver_says_its_owner_its_end_and_what_to_do():
    text = render_terminal(RUNS["exceptions"])

    for said in (
        "  warning: waiver W-2 (owner team-x) expires on 2026-11-30, in 6 days; it fits 1 finding",
        "  warning: waiver W-3 (owner team-payments) fits nothing: remove it",
        "  warning: waiver W-6 expired on 2026-11-20; it fits nothing: remove it",
        "  waivers in use: W-1 (2 findings), W-8 (1 finding)",
        "  baseline ci-gate-baseline.json covers 3 of 5 findings, expires on 2026-12-31",
    ):
        assert said in text.split("\n")


@pytest.mark.parametrize("today", [TODAY, None])
def test_an_end_without_a_day_to_count_from_is_a_date_only(today):
    expiring = replace(W_ACTIVE, validity=Validity.EXPIRING, expires=TODAY)
    text = render_terminal(run_of(replace(EXCEPTED_IMAGE, verdict=Verdict(waivers=(expiring,))), today=today))

    assert f"expires on 2026-11-24{', today' if today else ''}; it fits 2 findings" in text


def test_waivers_beyond_fifteen_are_counted():
    waivers = tuple(replace(W_ACTIVE, id=f"W-{n}", findings=n % 2) for n in range(60))
    text = render_terminal(run_of(replace(EXCEPTED_IMAGE, verdict=Verdict(waivers=waivers))))

    assert 15 == text.count("  warning: waiver ")
    assert "… and 15 more warnings about waivers and baselines, see the reports" in text
    assert "W-29 (1 finding) and 15 more" in text


def test_an_expired_waiver_that_covers_nothing_that_blocks_is_not_the_reason():
    verdict = replace(MIXED_IMAGE.verdict, decisions=(violation(finding(), rule_text="the key is denied"),))
    text = render_terminal(run_of(replace(MIXED_IMAGE, verdict=verdict)))

    assert "which would cover" not in text
    assert "renew it with its owner" not in text


def test_an_expired_baseline_is_a_reason_too():
    expired = BaselineUse("b.json", Validity.EXPIRED, TODAY, 3, 1, policy="production")
    verdict = Verdict((violation(finding(), rule_text="1 counted, 0 allowed; the baseline expired on 2026-11-24"),), baselines=(expired,))
    text = render_terminal(run_of(ImageResult("a", None, image(), (), verdict)))

    assert "baseline b.json, which would cover 1 of these findings, expired on 2026-11-24" in text
    assert "Next: Baseline b.json expired on 2026-11-24: agree on a new one, or fix. Rotate" in text


def test_who_has_to_mend_the_base_image_is_told_at_the_end():
    last = render_terminal(RUNS["mixed"]).split("\n")[-2]

    assert last.endswith("In the base image, for whoever builds that one to mend: 1 of 4 violations.")
    assert "base image" not in render_terminal(RUNS["blocked"])
