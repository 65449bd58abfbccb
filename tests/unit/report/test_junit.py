"""JUnit: what each consumer needs, for any run."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given, settings
from junitparser import JUnitXml
from runs import (
    BLOCKED_IMAGE,
    BROKEN,
    EXCEPTED_IMAGE,
    HOSTILE,
    KEPT,
    MIXED_IMAGE,
    PROOFS,
    RUNS,
    SOFTENED,
    W_ACTIVE,
    W_EXPIRED,
    W_UNUSED,
    WARN_IMAGE,
    finding,
    image,
    run_of,
    runs,
    violation,
)

from ci_gate.errors import Cause, ExitCode
from ci_gate.report import junit
from ci_gate.report.junit import MAX_FINDING_CASES, render_junit
from ci_gate.report.text import printable
from ci_gate.report.words import next_step
from ci_gate.verdict import ImageResult, RuleResult, Verdict


def _cases(root, classname):
    return [case for case in root.iter("testcase") if case.get("classname") == classname]


def _image(*violations):
    return ImageResult("registry.example.com/shop/api:1", None, image(), (), Verdict(tuple(violations)))


@settings(max_examples=100, deadline=None)
@given(runs)
def test_any_run_keeps_the_rules_of_the_consumers(run):
    text = render_junit(run)
    root = ET.fromstring(text)
    suites = root.findall("testsuite")

    assert text.isascii()
    assert suites
    assert len(suites) == len({suite.get("name") for suite in suites})
    for suite in suites:
        cases = suite.findall("testcase")
        assert cases
        assert len(cases) == int(suite.get("tests")) == len({(case.get("classname"), case.get("name")) for case in cases})
        assert len(suite.findall(".//skipped")) == int(suite.get("skipped"))
    for case in root.iter("testcase"):
        assert case.get("classname").startswith("ci-gate.")
        assert case.get("name").strip()
        assert len(case.findall("failure") + case.findall("error") + case.findall("skipped")) <= 1
    for outcome in (*root.iter("failure"), *root.iter("error")):
        assert outcome.get("type").strip()
        assert outcome.get("message").strip()
        assert outcome.text.strip()
    assert not [element for element in root.iter() if {"disabled", "file", "line"} & element.attrib.keys()]


@pytest.mark.parametrize("kind", RUNS)
def test_junitparser_reads_the_same_numbers(kind):
    root = ET.fromstring(render_junit(RUNS[kind]))
    read = JUnitXml.fromstring(render_junit(RUNS[kind]))
    written = [read.tests, read.failures, read.errors]
    read.update_statistics()

    assert written == [read.tests, read.failures, read.errors]
    assert written == [int(root.get(name)) for name in ("tests", "failures", "errors")]


def test_a_violation_is_a_failure_that_says_everything():
    root = ET.fromstring(render_junit(RUNS["blocked"]))
    failure = _cases(root, "ci-gate.findings")[-1].find("failure")

    assert "violation" == failure.get("type")
    assert "rsa_private_key (high risk) in /opt/app/id_rsa: broke deny" == failure.get("message")
    for said in (
        "path: /opt/app/id_rsa",
        "layer: sha256:1a2b",
        "rule: deny",
        "fingerprint: ",
        "Rotate the credential first",
        "later layer",
    ):
        assert said in failure.text


def test_rules_and_proofs_have_a_case_each_passing_too():
    root = ET.fromstring(render_junit(RUNS["blocked"]))

    assert ["policy production"] == [case.get("name") for case in _cases(root, "ci-gate.judges")]
    assert [rule.rule for rule in BROKEN] == [case.get("name") for case in _cases(root, "ci-gate.policy")]
    assert [proof.name for proof in PROOFS] == [case.get("name") for case in _cases(root, "ci-gate.evidence")]
    assert [True, True, False] == [case.find("skipped") is not None for case in _cases(root, "ci-gate.policy")]


def test_a_broken_rule_is_not_counted_besides_its_violations():
    assert str(len(BLOCKED_IMAGE.verdict.violations)) == ET.fromstring(render_junit(RUNS["blocked"])).get("failures")


def test_in_warn_mode_violations_are_skipped_and_say_so():
    root = ET.fromstring(render_junit(RUNS["warn"]))
    skipped = [case.find("skipped") for case in _cases(root, "ci-gate.findings")]

    assert len(WARN_IMAGE.verdict.violations) == len(skipped)
    assert all(one.get("message").startswith("would block: the policy is in warn mode") for one in skipped)
    assert ("0", "0") == (root.get("failures"), root.get("errors"))


def test_where_some_policies_warn_only_what_blocks_is_a_failure():
    root = ET.fromstring(render_junit(RUNS["mixed"]))
    failures = [case.get("name") for case in root.iter("testcase") if case.find("failure") is not None]
    skipped = [case for case in _cases(root, "ci-gate.findings") + _cases(root, "ci-gate.base_image") if case.find("skipped") is not None]

    assert [f"{d.finding.key} in {d.finding.path}" for d in MIXED_IMAGE.verdict.blocking] == failures
    assert ["pem in /usr/lib/trial.pem", "strange_key in /usr/lib/trial.key"] == [case.get("name") for case in skipped]
    assert all(case.find("skipped").get("message").startswith("would block: the floor trial is in warn mode: ") for case in skipped)
    rules = {case.get("name"): case.find("skipped").get("message").partition(":")[0] for case in _cases(root, "ci-gate.policy")}
    assert {
        "deny": "broken",
        "floor[org].deny": "broken",
        "floor[org].thresholds.high": "broken",
        "floor[trial].deny": "would block",
    } == rules


def test_a_rule_without_violations_of_its_own_blames_none():
    rules = (RuleResult("thresholds.high", "at most 0", passed=False, detail="not judged: the deployed image could not be read"),)
    verdict = Verdict((violation(finding()),), rules)
    root = ET.fromstring(render_junit(run_of(ImageResult("a", None, image(), (), verdict))))

    said = _cases(root, "ci-gate.policy")[0].find("skipped").get("message")
    assert "does not hold: not judged: the deployed image could not be read" == said


def test_findings_of_the_base_image_have_a_class_and_a_fact_of_their_own():
    root = ET.fromstring(render_junit(RUNS["mixed"]))
    failure = _cases(root, "ci-gate.base_image")[0].find("failure")

    assert "to be mended in: the base image, by whoever builds that one" in failure.text.split("\n")
    assert not [case for case in _cases(root, "ci-gate.findings") if "to be mended in" in (case.findtext("failure") or "")]


def test_a_waived_finding_is_skipped_and_says_by_whom_why_and_until_when():
    cases = _cases(ET.fromstring(render_junit(RUNS["exceptions"])), "ci-gate.waived")

    assert 2 == len(cases)
    for said in ("waiver: W-1", "reason: revoked fixture key", "owner: team-payments", "ticket: SEC-123", "expires: 2027-02-01"):
        assert said in cases[0].find("skipped").text.split("\n")
    assert "W-1 until 2027-02-01: revoked fixture key (owner team-payments" in cases[0].find("skipped").get("message")


def test_each_waiver_and_baseline_has_a_case_that_is_skipped_where_it_needs_attention():
    root = ET.fromstring(render_junit(RUNS["exceptions"]))
    found = {case.get("name"): case.find("skipped") for case in _cases(root, "ci-gate.waivers") + _cases(root, "ci-gate.baselines")}

    assert {"W-2", "W-3", "W-6", "old.json"} == {name for name, skipped in found.items() if skipped is not None}
    assert {"W-1", "W-7", "W-8", "ci-gate-baseline.json"} == {name for name, skipped in found.items() if skipped is None}
    assert "waiver W-3 (owner team-payments) fits nothing: remove it" == found["W-3"].get("message")


def test_a_waiver_that_another_image_needs_is_not_called_unused():
    used = replace(EXCEPTED_IMAGE, asked="b", verdict=Verdict(waivers=(replace(W_UNUSED, findings=1),)))
    root = ET.fromstring(render_junit(run_of(EXCEPTED_IMAGE, used)))

    assert not [case for case in _cases(root, "ci-gate.waivers") if case.get("name") == "W-3" and case.find("skipped") is not None]


def test_violations_get_the_room_before_waived_findings():
    waived = [replace(SOFTENED[0], finding=finding("pem", f"/w/{n}")) for n in range(20)]
    found = [violation(finding("pem", f"/{n}")) for n in range(MAX_FINDING_CASES - 5)]
    root = ET.fromstring(render_junit(run_of(_image(*waived), replace(_image(*found), asked="b"))))

    assert len(found) == int(root.get("failures"))
    assert "15 more waived findings are in the JSON report only" == _cases(root, "ci-gate.waived")[-1].find("skipped").get("message")
    assert 6 == len(_cases(root, "ci-gate.waived"))


def test_waivers_beyond_a_thousand_are_counted_and_those_to_look_at_come_first():
    waivers = (*(replace(W_ACTIVE, id=f"many-{n}", reason="r" * 500) for n in range(2_000)), W_EXPIRED)
    root = ET.fromstring(render_junit(run_of(replace(EXCEPTED_IMAGE, verdict=Verdict(waivers=waivers)))))
    cases = _cases(root, "ci-gate.waivers")

    assert "W-4" == cases[0].get("name")
    assert f"{2_001 - (len(cases) - 1)} more waivers and baselines are in the JSON report only" == cases[-1].findtext("system-out")
    assert len(cases) <= 1_001


def test_findings_that_look_alike_are_told_apart():
    root = ET.fromstring(render_junit(RUNS["blocked"]))

    names = [case.get("name") for case in _cases(root, "ci-gate.findings")][:2]
    assert ["aws_access_key in /root/.aws/credentials", "aws_access_key in /root/.aws/credentials #2"] == names


def test_names_stay_unique_where_a_path_pretends_to_be_numbered():
    paths = ("/a", "/a", "/a #2", "/a #2", "/a")
    root = ET.fromstring(render_junit(run_of(_image(*(violation(finding("pem", path)) for path in paths)))))

    assert len(paths) == len({case.get("name") for case in _cases(root, "ci-gate.findings")})


@pytest.mark.parametrize("path", HOSTILE)
def test_a_hostile_path_survives_in_printable_form(path):
    root = ET.fromstring(render_junit(run_of(_image(violation(finding("pem", path))))))

    body = _cases(root, "ci-gate.findings")[0].find("failure").text
    assert not path or f"path: {printable(path, 2_000)}" in body.split("\n")


def test_no_line_begins_a_workflow_command():
    cause = Cause(ExitCode.INTERNAL, "::error::a\n::error::b", "::error::c")
    text = render_junit(run_of(_image(violation(finding("::error::k", "::error::p"))), causes=(cause,)))

    assert not [line for line in text.splitlines() if line.lstrip().startswith("::")]


def test_a_run_that_judged_nothing_is_an_error():
    root = ET.fromstring(render_junit(run_of()))
    empty = ET.fromstring(render_junit(run_of(ImageResult("x"))))

    assert "1" == root.get("errors") == empty.get("errors")


def test_more_violations_than_a_file_may_hold_are_counted():
    many = MAX_FINDING_CASES + 7
    root = ET.fromstring(render_junit(run_of(_image(*(violation(finding("pem", f"/{n}")) for n in range(many))))))

    assert MAX_FINDING_CASES + 1 == int(root.get("failures"))
    assert "7 more violations are in the JSON report only" == _cases(root, "ci-gate.findings")[-1].find("failure").get("message")


@pytest.mark.parametrize(("more", "said"), [(1, "1 more violation is"), (2, "2 more violations are")])
def test_what_is_left_out_is_counted_in_good_english(monkeypatch, more, said):
    monkeypatch.setattr(junit, "MAX_FINDING_CASES", 1)
    root = ET.fromstring(render_junit(run_of(_image(*(violation(finding("pem", f"/{n}")) for n in range(1 + more))))))

    assert f"{said} in the JSON report only" == _cases(root, "ci-gate.findings")[-1].find("failure").get("message")


def test_the_worst_paths_stay_under_30_megabytes_and_still_fail():
    path = "\U0001f600\U000e0001" * 5_000
    images = [replace(_image(*[violation(finding("pem", path))] * 1_500), asked=f"registry.example.com/shop/api:{n}") for n in range(3)]
    text = render_junit(run_of(*images))
    root = ET.fromstring(text)

    assert len(text) < 30_000_000
    assert all(suite.find(".//failure") is not None for suite in root.findall("testsuite"))
    shown = [len(_cases(suite, "ci-gate.findings")) - 1 for suite in root.findall("testsuite")]
    said = [int(suite.findall("testcase")[-1].find("failure").get("message").split()[0]) for suite in root.findall("testsuite")]
    assert [1_500] * 3 == [a + b for a, b in zip(shown, said, strict=True)]


def test_ten_thousand_alike_findings_do_not_take_quadratic_time():
    one = violation(finding("pem", "/k"))

    root = ET.fromstring(render_junit(run_of(_image(*[one] * 10_000))))

    assert 10_000 == len({case.get("name") for case in _cases(root, "ci-gate.findings")})


def test_a_suite_without_rules_or_proofs_that_passes_has_a_case():
    root = ET.fromstring(render_junit(run_of(ImageResult("a", None, image(), (), Verdict((), KEPT)))))

    assert ["passed"] == [case.get("name") for case in _cases(root, "ci-gate.verdict")]


def test_a_waiver_of_a_floor_with_the_same_id_is_not_taken_for_the_own_one():
    own = next(use for use in EXCEPTED_IMAGE.verdict.waivers if use.id == W_ACTIVE.id)
    floors = replace(own, policy="org", owner="bob-of-the-floor")
    verdict = replace(EXCEPTED_IMAGE.verdict, waivers=(floors, *EXCEPTED_IMAGE.verdict.waivers))

    root = ET.fromstring(render_junit(run_of(replace(EXCEPTED_IMAGE, verdict=verdict))))

    bodies = [skipped.text for case in _cases(root, "ci-gate.waived") for skipped in case.findall("skipped")]
    assert any(f"owner: {own.owner}" in body for body in bodies)
    assert not any("bob-of-the-floor" in body for body in bodies)


def test_an_expired_waiver_of_a_floor_does_not_hide_the_own_one():
    lapsed = replace(W_EXPIRED, findings=1, owner="alice")
    denied = violation(finding("pem"), rule_text=f"denied; waiver {W_EXPIRED.id} expired on {W_EXPIRED.expires}")
    waivers = (lapsed, replace(lapsed, policy="org", owner="bob"))

    result = ImageResult("registry.example.com/shop/api:1", None, image(), (), Verdict((denied,), waivers=waivers))
    said = next_step(result, run_of(result))

    assert "with its owner alice" in said
    assert "bob" not in said
