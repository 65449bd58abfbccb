"""No report says better than the exit code, whatever the run."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given, settings
from runs import BLOCKED_IMAGE, PROOFS, RUNS, run_of, runs

from ci_gate.errors import Cause, ExitCode
from ci_gate.report import FORMATS, render
from ci_gate.report.terminal import render_terminal
from ci_gate.verdict import ImageResult, Status, Verdict

BADGES = {Status.PASSED: "## ✅ Passed", Status.BLOCKED: "## ❌ Blocked", Status.UNDECIDED: "## ⚠️ Undecided"}


def _check(run):
    root = ET.fromstring(render("junit", run))
    document = json.loads(render("json", run))
    markdown = render("markdown", run)
    terminal = render_terminal(run)
    bad = int(root.get("failures")) + int(root.get("errors"))

    assert (run.exit_code is ExitCode.PASSED) == (bad == 0)
    assert len(root.findall(".//failure")) == int(root.get("failures"))
    assert len(root.findall(".//error")) == int(root.get("errors"))
    assert sum(len(image.verdict.violations) for image in run.images if image.blocks) == int(root.get("failures"))
    assert (int(run.exit_code), str(run.status)) == (document["exit_code"], document["verdict"])
    assert (run.status is Status.PASSED) == (run.exit_code is ExitCode.PASSED)
    assert markdown.startswith(BADGES[run.status])
    assert terminal.startswith(str(run.status).upper())
    if run.source.kind != "live":
        assert run.source.kind.upper() in markdown.partition("\n")[0]
        assert run.source.kind.upper() in terminal.partition("\n")[0]


@pytest.mark.parametrize("kind", RUNS)
def test_all_reports_agree(kind):
    _check(RUNS[kind])


@pytest.mark.parametrize("kind", ["passed", "blocked", "undecided", "warn", "multi-image"])
def test_what_ended_the_run_is_in_every_report_whatever_the_images_say(kind):
    cause = Cause(ExitCode.INTERRUPTED, "the run was interrupted", "run it again")
    run = replace(RUNS[kind], causes=(cause,))

    _check(run)
    for text in (*(render(name, run) for name in FORMATS), render_terminal(run)):
        assert cause.what in text


@pytest.mark.parametrize("mode", ["enforce", "warn"])
@pytest.mark.parametrize("evidence", [(), PROOFS])
@pytest.mark.parametrize("verdict", [Verdict(), BLOCKED_IMAGE.verdict])
def test_a_result_without_an_image_is_never_a_pass(mode, evidence, verdict):
    _check(run_of(ImageResult("a", mode, None, None, evidence, verdict)))


@settings(max_examples=200, deadline=None)
@given(runs)
def test_all_reports_of_any_run_agree(run):
    _check(run)
