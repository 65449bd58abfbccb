"""JUnit XML, through ``junit-xml``: a suite an image, a case for each rule, proof, violation and cause.

There are failures or errors if and only if the exit code is not 0, and in enforce mode as many failures as violations.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from junit_xml import TestCase, TestSuite

from ci_gate.errors import ExitCode
from ci_gate.model import ProofState
from ci_gate.report.text import cut, printable
from ci_gate.report.words import ROTATE, WARN_MODE, next_step, reason
from ci_gate.verdict import Status

if TYPE_CHECKING:
    from ci_gate.errors import Cause
    from ci_gate.model import Proof
    from ci_gate.verdict import Decision, ImageResult, RuleResult, RunResult

# GitLab refuses files over 30 MB. The JSON report holds every finding.
MAX_FINDING_CASES = 10_000
MAX_FINDING_BYTES = 20_000_000
_MAX_CAUSES = 1_000
_MESSAGE = 1_000  # most characters of a message; all of these count the characters of the data, before escapes
_NAME = 300
_VALUE = 2_000


def render_junit(run: RunResult) -> str:
    """Render a run as JUnit XML, pure ASCII. Never empty; failures and errors are there if and only if the exit code is not 0."""
    names = _Names()
    budget = _Budget(MAX_FINDING_CASES, MAX_FINDING_BYTES)
    suites = [_image_suite(image, run, names, budget) for image in run.images]
    of_run = [cause for cause in run.causes if not any(cause in image.causes for image in run.images)]
    if of_run or not suites:
        suites.append(_run_suite(of_run, run, names))
    root = ET.Element("testsuites")
    for suite in suites:
        root.append(suite)
    for total in ("tests", "failures", "errors"):
        root.set(total, str(sum(int(suite.get(total, "0")) for suite in suites)))
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="us-ascii")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text.decode("ascii")}\n'


@dataclass(slots=True)
class _Names:
    """Makes names unique: consumers merge or drop cases that share one."""

    taken: dict[tuple[str, str], int] = field(default_factory=dict)  # how often each was asked for

    def unique(self, scope: str, name: str) -> str:
        candidate = name
        while (scope, candidate) in self.taken:
            self.taken[scope, name] += 1
            candidate = f"{name} #{self.taken[scope, name]}"
        self.taken[scope, candidate] = 1
        return candidate


@dataclass(slots=True)
class _Budget:
    """What is left of the cases and bytes for findings, over all suites."""

    cases: int
    size: int

    def take(self, size: int) -> bool:
        if self.cases < 1 or self.size < size:
            return False
        self.cases -= 1
        self.size -= size
        return True


@dataclass(slots=True)
class _Suite:
    """The cases of one suite as they come."""

    names: _Names = field(default_factory=_Names)
    cases: list[Any] = field(default_factory=list)

    def add(self, classname: str, name: str, *lines: str) -> Any:
        """Add a case that passes, with lines of output. A reference must stay out of ``classname``: Jenkins splits that at its last dot."""
        output = "\n".join(printable(line, _VALUE) for line in lines) or None
        case = TestCase(self.names.unique(classname, printable(name, _NAME).strip() or "-"), classname, stdout=output)
        self.cases.append(case)
        return case

    def error(self, classname: str, name: str, cause: Cause) -> None:
        """Add a case for what could not be decided."""
        body = f"what: {printable(cause.sentence, _VALUE)}\nnext: {printable(cause.advice, _VALUE)}"
        self.add(classname, name).add_error_info(_message(cause.sentence), body, f"{cause.code.name} ({int(cause.code)})")

    def build(self, name: str, started: str) -> ET.Element:
        suite: ET.Element = TestSuite(name, self.cases, timestamp=printable(started.removesuffix("+00:00"), 40) or None).build_xml_doc()
        suite.attrib.pop("disabled", None)  # common schemas refuse it
        return suite


def _image_suite(result: ImageResult, run: RunResult, names: _Names, budget: _Budget) -> ET.Element:
    suite = _Suite()
    if result.status is Status.PASSED:
        source = "" if run.source.kind == "live" else f"{run.source.kind.upper()}: "
        suite.add("ci-gate.verdict", "passed", f"{source}{result.status}: {reason(result)}", f"next: {next_step(result)}")
    for rule in result.verdict.rules:
        _add_rule(suite, rule, result)
    for proof in result.evidence:
        _add_proof(suite, proof)
    proven = {proof.cause for proof in result.evidence}
    _add_causes(suite, [cause for cause in result.causes if cause not in proven])
    _add_violations(suite, result, budget)
    if result.image is None and not result.causes:  # no image, no cause: nothing was judged, whatever was proven
        _add_nothing(suite)
    return suite.build(names.unique("", f"ci-gate {printable(result.asked, _NAME)}"), run.started)


def _run_suite(causes: list[Cause], run: RunResult, names: _Names) -> ET.Element:
    suite = _Suite()
    _add_causes(suite, causes)
    if not causes:
        _add_nothing(suite)
    return suite.build(names.unique("", "ci-gate"), run.started)


def _add_nothing(suite: _Suite) -> None:
    said = "no image was judged"
    suite.add("ci-gate.run", said).add_error_info(said, said, f"{ExitCode.INTERNAL.name} ({int(ExitCode.INTERNAL)})")


def _add_rule(suite: _Suite, rule: RuleResult, result: ImageResult) -> None:
    """Add a rule. One that is broken is no failure of its own: its violations are, one each, and are not counted twice."""
    said = f"rule: {rule.text}: {rule.detail}"
    case = suite.add("ci-gate.policy", rule.rule, said)
    if not rule.passed:
        how = "broken: its violations are the failures of this suite" if result.blocks else WARN_MODE
        case.add_skipped_info(_message(f"{how if result.verdict.violations else 'does not hold'}: {rule.detail}"), printable(said, _VALUE))


def _add_proof(suite: _Suite, proof: Proof) -> None:
    if proof.cause is not None:
        suite.error("ci-gate.evidence", proof.name, proof.cause)
        return
    case = suite.add("ci-gate.evidence", proof.name, f"{proof.state}: {proof.detail}")
    if proof.state is not ProofState.HELD:
        case.add_skipped_info(_message(f"{proof.state}: {proof.detail}"), f"{proof.state}: {printable(proof.detail, _VALUE)}")


def _add_causes(suite: _Suite, causes: list[Cause]) -> None:
    for cause in causes[:_MAX_CAUSES]:
        suite.error("ci-gate.run", f"{cause.code.name}{f' {cause.action}' if cause.action else ''}", cause)
    more = len(causes) - _MAX_CAUSES
    if more > 0:
        said = f"{more} more errors are in the JSON report only"
        suite.add("ci-gate.run", "more errors").add_error_info(said, said, causes[-1].code.name)


def _add_violations(suite: _Suite, result: ImageResult, budget: _Budget) -> None:
    violations, blocks = result.verdict.violations, result.blocks  # each looks through all decisions
    shown = 0
    for decision in violations:
        message, body = _message(_violation_message(decision)), _violation_body(decision)
        size = 300 + 2 * len(_ascii(message)) + len(_ascii(body))  # the name is part of the message
        if not budget.take(size):
            break
        finding = decision.finding
        case = suite.add("ci-gate.findings", f"{cut(finding.key, 100)} in {finding.path}")
        _mark(case, message, body, blocks=blocks)
        shown += 1
    more = len(violations) - shown
    if more:
        said = f"{more} more violations are in the JSON report only"
        _mark(suite.add("ci-gate.findings", "more violations"), said, f"{said}\n\n{ROTATE}", blocks=blocks)


def _violation_message(decision: Decision) -> str:
    finding = decision.finding
    return f"{finding.key} ({decision.level or finding.risk_level} risk) in {finding.path}: {decision.rule_text}"


def _violation_body(decision: Decision) -> str:
    """Everything about a violation: GitLab shows the body only."""
    finding = decision.finding
    facts = [
        ("key", finding.key),
        ("name", finding.name),
        ("path", finding.path),
        ("risk level", str(decision.level or finding.risk_level)),
        ("layer", finding.layer_digest),
        ("rule", f"{decision.rule}: {decision.rule_text}"),
        ("fingerprint", f"{finding.fingerprint} #{finding.ordinal}"),
        ("Security Center says", finding.advice),
    ]
    return "\n".join([*(f"{label}: {printable(value, _VALUE)}" for label, value in facts if value), "", f"next: {ROTATE}"])


def _mark(case: Any, message: str, body: str, *, blocks: bool) -> None:
    """Make a case a failure, or, where the policy only warns, one that is skipped: the file agrees with the exit code.

    ``junit-xml`` writes no failure at all without a message or an output: both are always filled.
    """
    if blocks:
        case.add_failure_info(message, body, "violation")
    else:
        case.add_skipped_info(f"{WARN_MODE}: {message}", body)


def _message(text: str) -> str:
    """Make a text fit for an attribute: XML 1.0 has no control characters, `junit-xml` drops or breaks on what is left."""
    return printable(text, _MESSAGE).strip() or "-"


def _ascii(text: str) -> bytes:
    return text.encode("ascii", "xmlcharrefreplace")
