"""JUnit: what each consumer needs, for any run."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given, settings
from junitparser import JUnitXml
from runs import BLOCKED_IMAGE, BROKEN, HOSTILE, KEPT, PROOFS, RUNS, WARN_IMAGE, finding, image, run_of, runs, violation

from ci_gate.errors import Cause, ExitCode
from ci_gate.report.junit import MAX_FINDING_CASES, render_junit
from ci_gate.report.text import printable
from ci_gate.verdict import ImageResult, Verdict


def _cases(root, classname):
    return [case for case in root.iter("testcase") if case.get("classname") == classname]


def _image(*violations, mode="enforce"):
    return ImageResult("registry.example.com/shop/api:1", mode, None, image(), (), Verdict(tuple(violations)))


@settings(max_examples=150, deadline=None)
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
    empty = ET.fromstring(render_junit(run_of(ImageResult("x", "enforce"))))

    assert "1" == root.get("errors") == empty.get("errors")


def test_more_violations_than_a_file_may_hold_are_counted():
    many = MAX_FINDING_CASES + 7
    root = ET.fromstring(render_junit(run_of(_image(*(violation(finding("pem", f"/{n}")) for n in range(many))))))

    assert MAX_FINDING_CASES + 1 == int(root.get("failures"))
    assert "7 more violations are in the JSON report only" == _cases(root, "ci-gate.findings")[-1].find("failure").get("message")


def test_the_worst_paths_stay_under_30_megabytes_and_still_fail():
    path = "\U0001f600\U000e0001" * 5_000
    images = [replace(_image(*[violation(finding("pem", path))] * 1_500), asked=f"registry.example.com/shop/api:{n}") for n in range(3)]
    text = render_junit(run_of(*images))
    root = ET.fromstring(text)

    assert len(text) < 30_000_000
    assert all(suite.find(".//failure") is not None for suite in root.findall("testsuite"))
    shown = [len(suite.findall("testcase")) - 1 for suite in root.findall("testsuite")]
    said = [int(suite.findall("testcase")[-1].find("failure").get("message").split()[0]) for suite in root.findall("testsuite")]
    assert [1_500] * 3 == [a + b for a, b in zip(shown, said, strict=True)]


def test_ten_thousand_alike_findings_do_not_take_quadratic_time():
    one = violation(finding("pem", "/k"))

    root = ET.fromstring(render_junit(run_of(_image(*[one] * 10_000))))

    assert 10_000 == len({case.get("name") for case in _cases(root, "ci-gate.findings")})


def test_a_suite_without_rules_or_proofs_that_passes_has_a_case():
    root = ET.fromstring(render_junit(run_of(ImageResult("a", "enforce", None, image(), (), Verdict((), KEPT)))))

    assert ["passed"] == [case.get("name") for case in _cases(root, "ci-gate.verdict")]
