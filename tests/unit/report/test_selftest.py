"""The tests of a policy as JUnit XML."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

from ci_gate.errors import Cause, ExitCode
from ci_gate.report.selftest import render_selftest


@dataclass
class Result:
    name: str = "pem blocks"
    passed: bool = True
    expected: str = "blocked"
    got: str = "blocked"
    detail: str = "pem in /test: violation by deny"


def _suite(*results, **fields):
    text = render_selftest("production", results, **fields)
    assert text.isascii()
    return ET.fromstring(text.partition("\n")[2]).find("testsuite")


def test_a_case_a_test_and_a_failure_a_failing_one():
    suite = _suite(Result(), Result(passed=False, got="passed"), Result("another"))

    assert ("3", "1", "0") == (suite.get("tests"), suite.get("failures"), suite.get("errors"))
    assert ["1. pem blocks", "2. pem blocks", "3. another"] == [case.get("name") for case in suite]
    failure = suite.find("testcase/failure")
    assert failure.get("message").startswith("expected blocked, got passed: pem in /test")
    assert failure.text == failure.get("message")


def test_no_test_and_no_policy_are_errors_and_the_file_is_never_empty():
    assert "the policy has no tests" == _suite().find("testcase/error").get("message")
    cause = Cause(ExitCode.POLICY_INVALID, "there is no field 'x'", "Remove it.", where="p.yml:3:1")
    suite = _suite(causes=(cause,))
    assert ("1", "1") == (suite.get("tests"), suite.get("errors"))
    assert "p.yml:3:1: there is no field 'x'" == suite.find("testcase/error").get("message")


def test_any_text_survives_in_printable_form():
    evil = "\x00\x1b[31m\ud800\n<&\"'>\u202e"
    suite = _suite(Result(evil, passed=False, detail=evil))

    assert "\\0\\x1b[31m\\ud800\\n<&\"'>\\u202e" in suite[0].get("name")
    assert "\\ud800" in suite[0].find("failure").text
