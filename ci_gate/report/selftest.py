"""The tests of a policy as JUnit XML, through ``junit-xml``: a suite a policy, a case a test."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any, Protocol

from junit_xml import TestCase, TestSuite

from ci_gate.report.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ci_gate.errors import Cause

_NAME = 300
_VALUE = 2_000


class Tested(Protocol):
    """What became of one test."""

    @property
    def name(self) -> str:
        """What the policy is expected to do."""

    @property
    def passed(self) -> bool:
        """Whether it does."""

    @property
    def expected(self) -> str:
        """The verdict that was expected."""

    @property
    def got(self) -> str:
        """The verdict that the policy gave."""

    @property
    def detail(self) -> str:
        """What made it give that."""


def render_selftest(policy: str, results: Sequence[Tested], causes: Iterable[Cause] = ()) -> str:
    """Render the tests of a policy, pure ASCII. Never empty: that there is no test is an error, and so is each cause.

    :param policy: the name of the policy.
    :param causes: why it could not be tested.
    """
    cases = [_case(result, number) for number, result in enumerate(results, 1)]
    errors = [(cause.sentence, cause.advice, f"{cause.code.name} ({int(cause.code)})") for cause in causes]
    if not cases and not errors:
        errors.append(("the policy has no tests", "Add some under tests.", "no tests"))
    for number, (what, advice, kind) in enumerate(errors, 1):
        case = TestCase(f"{number}. the policy can be tested", "ci-gate.policy.test")
        case.add_error_info(printable(what, _VALUE), f"what: {printable(what, _VALUE)}\nnext: {printable(advice, _VALUE)}", kind)
        cases.append(case)
    suite: ET.Element = TestSuite(f"ci-gate policy {printable(policy, _NAME)}", cases).build_xml_doc()
    suite.attrib.pop("disabled", None)  # common schemas refuse it
    root = ET.Element("testsuites")
    root.append(suite)
    for total in ("tests", "failures", "errors"):
        root.set(total, suite.get(total, "0"))
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="us-ascii")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text.decode("ascii")}\n'


def _case(result: Tested, number: int) -> Any:
    """Return the case of a test. The number makes names unique: consumers merge or drop cases that share one."""
    said = f"expected {result.expected}, got {result.got}: {printable(result.detail, _VALUE)}"
    case = TestCase(f"{number}. {printable(result.name, _NAME)}", "ci-gate.policy.test", stdout=said)
    if not result.passed:
        case.add_failure_info(said, said, "test")
    return case
