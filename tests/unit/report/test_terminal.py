"""The terminal summary: short, and nothing in it obeys the data."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from runs import RUNS, finding, image, run_of, runs, violation

from ci_gate.errors import Cause, ExitCode
from ci_gate.report.terminal import render_terminal
from ci_gate.verdict import ImageResult, Verdict


@settings(max_examples=200, deadline=None)
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
    text = render_terminal(run_of(ImageResult("a", "enforce", None, image(), (), Verdict(found))))

    assert "… and 25 more violations, see the reports" in text
    assert 15 == text.count("  - high ")


def test_a_long_path_is_shortened_to_the_width_and_keeps_its_end():
    found = violation(finding("pem", "/" + "x" * 300 + "/id_rsa"))
    text = render_terminal(run_of(ImageResult("a", "enforce", None, image(), (), Verdict((found,)))), width=80)
    line = text.split("\n")[1]

    assert 80 == len(line)
    assert "/id_rsa  (deny)" in line
