"""What a step of GitHub Actions hands on: nothing in the data can start a command or end a value."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from runs import HOSTILE, RUNS, VIOLATIONS, finding, violation

from ci_gate.report.github import MAX_ANNOTATIONS, commands_of, output_lines, outputs_of
from ci_gate.verdict import Verdict

PASSED, BLOCKED, UNDECIDED, WARN = (RUNS[name] for name in ("passed", "blocked", "undecided", "warn"))
COMMANDS = [*HOSTILE, "a\r::set-output name=verdict::passed", "x,title=y::z", "\u2028::error::x"]


def read_back(text: str) -> dict[str, str]:
    """Read ``GITHUB_OUTPUT`` as the runner does: a heredoc for each value."""
    found, lines = {}, iter(text.split("\n"))
    for line in lines:
        if line:
            name, _, delimiter = line.partition("<<")
            found[name] = "\n".join(iter(lambda: next(lines), delimiter))
    return found


def with_paths(run, *paths: str):
    decisions = tuple(violation(finding("pem", path)) for path in paths)
    (image,) = run.images
    return replace(run, images=(replace(image, verdict=Verdict(decisions, image.verdict.rules)),))


@pytest.mark.parametrize(("run", "verdict", "code"), [(PASSED, "passed", "0"), (BLOCKED, "blocked", "10"), (UNDECIDED, "undecided", "20")])
def test_the_outputs_say_what_the_exit_code_says(run, verdict, code):
    outputs = read_back(output_lines(outputs_of(run, Path("reports"))))

    assert (verdict, code, "reports") == (outputs["verdict"], outputs["exit-code"], outputs["report-dir"])
    assert str(sum(len(image.verdict.blocking) for image in run.images)) == outputs["violations"]


def test_only_what_may_be_deployed_is_handed_on_and_by_digest():
    assert re.fullmatch(r"registry\.example\.com/shop/web@sha256:[0-9a-f]{64}", outputs_of(PASSED, None)["image"])
    assert [outputs_of(PASSED, None)["image"]] == json.loads(outputs_of(PASSED, None)["images"])
    for run in (BLOCKED, UNDECIDED):
        assert ("", "[]") == (outputs_of(run, None)["image"], outputs_of(run, None)["images"])


def test_every_image_is_handed_on_or_it_is_said_that_they_are_not():
    (image,) = PASSED.images
    many = replace(PASSED, images=(image,) * 1_000)
    long = replace(image, reference=replace(image.reference, repository="x" * 500))

    assert [image.pinned] * 1_000 == json.loads(outputs_of(many, None)["images"])
    outputs = outputs_of(replace(PASSED, images=(long,) * 1_000), None)
    assert "" == outputs["images"]
    assert "1000 references are too long" in outputs["summary"]


@pytest.mark.parametrize("text", COMMANDS)
def test_a_path_neither_starts_a_command_nor_becomes_a_property(text):
    lines = commands_of(with_paths(BLOCKED, text))

    assert all(re.match(r"::(error|warning|notice) title=[^:,]*::", line) for line in lines)
    assert all(len(line.splitlines()) == 1 and "##[" not in line and not re.search(r"%(?!25|3A|2C)", line) for line in lines)
    assert any("pem" in line for line in lines)


@pytest.mark.parametrize("text", [*COMMANDS, "EOF", "ci-gate-0\nverdict=passed"])
def test_a_value_cannot_end_its_own_text(text):
    outputs = {"summary": text, "verdict": "blocked"}

    assert outputs == read_back(output_lines(outputs))


@pytest.mark.parametrize("number", [1, MAX_ANNOTATIONS - 1, MAX_ANNOTATIONS, 5000])
def test_there_are_never_more_annotations_than_are_shown_and_the_rest_is_said(number):
    lines = commands_of(with_paths(BLOCKED, *(f"/app/{n}.pem" for n in range(number))))

    errors = [line for line in lines if line.startswith("::error")]
    assert len(errors) == min(number + 1, MAX_ANNOTATIONS)
    assert (number > MAX_ANNOTATIONS - 1) == ("more are in the step summary" in errors[-1])


def test_a_warn_mode_passes_with_warnings():
    lines = commands_of(WARN)

    assert lines[0].startswith(f"::notice title=ci-gate%3A passed (warn mode%3A {len(VIOLATIONS)} violations would block)::")
    assert len([line for line in lines if line.startswith("::warning")]) == len(VIOLATIONS)
