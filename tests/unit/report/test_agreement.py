"""No report says better than the exit code, whatever the run."""

from __future__ import annotations

import html
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given, settings
from runs import BLOCKED_IMAGE, PASSED_IMAGE, PROOFS, RUNS, WARN_IMAGE, run_of, runs

from ci_gate.errors import Cause, ExitCode
from ci_gate.model import Proof, ProofState, SourceInfo
from ci_gate.report import FORMATS, render
from ci_gate.report.terminal import render_terminal
from ci_gate.verdict import ImageResult, Status, Verdict

BADGES = {Status.PASSED: "## ✅ Passed", Status.BLOCKED: "## ❌ Blocked", Status.UNDECIDED: "## ⚠️ Undecided"}


def _check(run):
    root = ET.fromstring(render("junit", run))
    document = json.loads(render("json", run))
    markdown = render("markdown", run)
    terminal = render_terminal(run)
    sarif = json.loads(render("sarif", run))["runs"]
    scan = json.loads(render("gitlab-secret-detection", run))["scan"]
    issues = json.loads(render("gitlab-codequality", run))
    bad = int(root.get("failures")) + int(root.get("errors"))

    assert (run.exit_code is ExitCode.PASSED) == (bad == 0)
    assert len(root.findall(".//failure")) == int(root.get("failures"))
    assert len(root.findall(".//error")) == int(root.get("errors"))
    assert sum(len(image.verdict.blocking) for image in run.images) == int(root.get("failures"))
    assert (int(run.exit_code), str(run.status)) == (document["exit_code"], document["verdict"])
    assert (run.status is Status.PASSED) == (run.exit_code is ExitCode.PASSED)
    errors = [result for one in sarif for result in one["results"] if result["level"] == "error"]
    unfinished = [one for one in sarif if not one["invocations"][0]["executionSuccessful"]]
    assert (run.exit_code is ExitCode.PASSED) == (not errors and not unfinished)
    assert sum(len(image.verdict.blocking) for image in run.images) == len([one for one in errors if one["ruleId"] != "ci-gate/undecided"])
    assert {run.exit_code} == {one["invocations"][0]["exitCode"] for one in sarif}
    assert ("failure" == scan["status"]) == bool(unfinished) == bool([one for one in issues if one["check_name"] == "ci-gate/undecided"])
    assert (run.exit_code is ExitCode.PASSED) == ("blocker" not in [issue["severity"] for issue in issues])
    assert markdown.startswith(BADGES[run.status])
    assert terminal.startswith(str(run.status).upper())
    if run.source.kind != "live":
        assert run.source.kind.upper() in markdown.partition("\n")[0]
        assert run.source.kind.upper() in terminal.partition("\n")[0]


@pytest.mark.parametrize("kind", RUNS)
def test_all_reports_agree(kind):
    _check(RUNS[kind])


@pytest.mark.parametrize("read", [True, False])
def test_a_rule_holds_only_where_everything_was_read(read):
    causes = () if read else (Cause(ExitCode.INCOMPLETE, "pages are missing", "Run again."),)
    run = run_of(replace(PASSED_IMAGE, failures=causes))

    (case,) = [case for case in ET.fromstring(render("junit", run)).iter("testcase") if case.get("classname") == "ci-gate.policy"]

    assert read == (case.find("skipped") is None)
    assert read == ("<code>deny</code> | ✅ |" in render("markdown", run)) == ("✔ kept" in render("html", run))
    assert read != ("❔ not known" in render("markdown", run))


@pytest.mark.parametrize("kind", ["passed", "blocked", "undecided", "warn", "multi-image"])
def test_what_ended_the_run_is_in_every_report_whatever_the_images_say(kind):
    cause = Cause(ExitCode.INTERRUPTED, "the run was interrupted", "run it again")
    run = replace(RUNS[kind], causes=(cause,))

    _check(run)
    for text in (*(render(name, run) for name in FORMATS), render_terminal(run)):
        assert cause.what in text


@pytest.mark.parametrize("evidence", [(), PROOFS])
@pytest.mark.parametrize("verdict", [Verdict(), BLOCKED_IMAGE.verdict, WARN_IMAGE.verdict])
def test_a_result_without_an_image_is_never_a_pass(evidence, verdict):
    _check(run_of(ImageResult("a", None, None, evidence, verdict)))


@pytest.mark.parametrize("kind", ["passed", "blocked", "undecided"])
def test_a_replay_says_in_every_report_whether_it_is_of_an_emulated_run(kind):
    (image,) = RUNS[kind].images

    def told(original):
        began = Proof("source", ProofState.HELD, "saved", (("kind", "replay"), ("original", original)))
        run = run_of(replace(image, evidence=(began, *image.evidence[1:])), source=SourceInfo("replay"))
        return {"terminal": render_terminal(run)} | {name: render(name, run) for name in FORMATS if name != "json"}

    for name, text in told("emulated").items():
        assert "REPLAY OF EMULATED" in text, name
        assert "Alibaba Cloud Security Center" not in text, name
        assert "Deploy " not in text, name
    for name in ("terminal", "markdown", "html", "junit"):
        assert "REPLAY OF EMULATED" in told("emulated")[name].partition("registry.example.com")[0], name
    for name in ("markdown", "html"):
        assert "not about a real account; never deploy by it" in told("emulated")[name]
    for name, text in told("live").items():
        assert "REPLAY" in text, name
        assert "EMULATED" not in text, name
        assert "not about a real account" not in text, name


@pytest.mark.parametrize("kind", ["exceptions", "mixed", "several-with-waivers"])
def test_what_softens_the_verdict_is_in_every_report(kind):
    run = RUNS[kind]
    told = [name for name in FORMATS if name != "gitlab-codequality"]  # that one has room for findings only
    for text in (*(html.unescape(re.sub("<[^>]*>", "", render(name, run))) for name in told), render_terminal(run)):
        for image in run.images:
            named = {use.id for use in image.verdict.waivers if use.findings} | {use.file for use in image.verdict.baselines}
            assert {name for name in named if not re.search(rf"{name}\b", text)} == set()
            assert image.compared.pinned in text
        assert {floor.sha256 for floor in run.policy.floors} == {floor.sha256 for floor in run.policy.floors if floor.sha256 in text}
        assert run.policy.sha256 in text


@pytest.mark.parametrize("kind", ["mixed", "several-with-waivers"])
def test_at_two_in_the_morning_every_report_says_which_waiver_expired_and_who_can_renew_it(kind):
    for text in (*(html.unescape(render(name, RUNS[kind])) for name in ("markdown",)), render_terminal(RUNS[kind])):
        assert "waiver W-4, which would cover 2 of these findings, expired on 2026-11-20" in text
        assert "Waiver W-4 expired on 2026-11-20: renew it with its owner team-payments, or fix." in text
        assert "4 violations block, 2 more are seen in warn mode only" in text


@settings(max_examples=120, deadline=None)
@given(runs)
def test_all_reports_of_any_run_agree(run):
    _check(run)
