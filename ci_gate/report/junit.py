"""JUnit XML, through ``junit-xml``: a suite an image, a case for each rule, proof, violation and cause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from junit_xml import TestCase, TestSuite, to_xml_report_string

from ci_gate.model import ProofState
from ci_gate.report.text import printable
from ci_gate.report.words import finding_advice, next_step, reason

if TYPE_CHECKING:
    from ci_gate.errors import Cause
    from ci_gate.verdict import Decision, ImageResult, RunResult

# GitLab refuses files over 30 MB; a case takes about a kilobyte. The JSON report holds every finding.
MAX_FINDING_CASES = 10_000
_TEXT_LIMIT = 2_000


def render_junit(run: RunResult) -> str:
    """Render a run as JUnit XML. Never empty; failures and errors are there if and only if the exit code is not 0."""
    suites = [_suite(image, number, run) for number, image in enumerate(run.images, 1)]
    of_run = [cause for cause in run.causes if not any(cause in image.causes for image in run.images)]
    if of_run or not suites:
        cases = [_cause_case(cause, number) for number, cause in enumerate(of_run, 1)] or [_nothing()]
        suites.append(TestSuite("ci-gate", cases, timestamp=run.started or None))
    text: str = to_xml_report_string(suites, prettyprint=False)
    return text + ("" if text.endswith("\n") else "\n")


def _suite(result: ImageResult, number: int, run: RunResult) -> Any:
    cases = [_verdict_case(result, run)]
    for rule in result.verdict.rules:
        case = _case("ci-gate.policy", rule.rule, system_out=f"{rule.text}: {rule.detail}")
        if not rule.passed:
            _mark(case, result.blocks, "policy", f"{rule.text}: {rule.detail}")
        cases.append(case)
    for proof in result.evidence:
        case = _case("ci-gate.evidence", proof.name, system_out=f"{proof.state}: {proof.detail}")
        if proof.cause is not None:
            _error(case, proof.cause)
        elif proof.state is not ProofState.HELD:
            case.add_skipped_info(_text(f"{proof.state}: {proof.detail}"))
        cases.append(case)
    proven = {proof.cause for proof in result.evidence}
    others = [cause for cause in result.causes if cause not in proven]
    cases.extend(_cause_case(cause, index) for index, cause in enumerate(others, 1))
    violations = result.verdict.violations
    cases.extend(_violation_case(decision, index, result.blocks) for index, decision in enumerate(violations[:MAX_FINDING_CASES], 1))
    if len(violations) > MAX_FINDING_CASES:
        case = _case("ci-gate.findings", "more")
        _mark(case, result.blocks, "policy", f"{len(violations) - MAX_FINDING_CASES} more violations are in the JSON report only")
        cases.append(case)
    # A reference must stay out of `classname`: Jenkins splits that at its last dot. Suites need names of their own.
    name = printable(result.asked, 300)
    return TestSuite(
        f"ci-gate {name}" if [image.asked for image in run.images].count(result.asked) == 1 else f"ci-gate {name} {number}",
        cases,
        timestamp=run.started or None,
    )


def _verdict_case(result: ImageResult, run: RunResult) -> Any:
    """Build the case that a reader looks at first: the verdict in words."""
    case = _case("ci-gate", "verdict", system_out=f"{result.status}: {reason(result)}")
    if result.blocks:
        _mark(case, result.blocks, "blocked", f"{reason(result)}\n{next_step(result)}")
    elif result.causes:
        _error(case, result.causes[0])
    elif run.source.kind != "live":
        case.stdout = _text(f"{run.source.kind.upper()}: {result.status}: {reason(result)}")
    return case


def _violation_case(decision: Decision, number: int, blocks: bool) -> Any:
    finding = decision.finding
    path = printable(finding.path, _TEXT_LIMIT)
    case = _case("ci-gate.findings", f"{number}. {printable(finding.key, 100)} in {path}")
    message = f"{printable(finding.key, 100)} ({decision.level or printable(finding.risk_level, 40)} risk) in {path}: {decision.rule_text}"
    body = (
        f"key: {printable(finding.key, 200)}\nname: {printable(finding.name, 200)}\npath: {path}\n"
        f"risk level: {decision.level or printable(finding.risk_level, 40)}\nlayer: {printable(finding.layer_digest, 100) or '-'}\n"
        f"rule: {decision.rule}: {decision.rule_text}\nfingerprint: {finding.fingerprint} #{finding.ordinal}\n\n{finding_advice(finding)}"
    )
    _mark(case, blocks, "violation", message, body)
    return case


def _cause_case(cause: Cause, number: int) -> Any:
    case = _case("ci-gate.run", f"{number}. {cause.code.name}{f' {cause.action}' if cause.action else ''}")
    _error(case, cause)
    return case


def _nothing() -> Any:
    case = _case("ci-gate.run", "no image was judged")
    case.add_error_info("no image was judged", output="no image was judged", error_type="INTERNAL")
    return case


def _case(classname: str, name: str, *, system_out: str | None = None) -> Any:
    return TestCase(_text(name), classname, stdout=None if system_out is None else _text(system_out))


def _mark(case: Any, blocks: bool, kind: str, message: str, body: str = "") -> None:
    """Make a case a failure, or, where the policy only warns, one that is skipped: the file agrees with the exit code."""
    if blocks:
        # `junit-xml` writes no failure at all without a message or an output: both are always filled.
        case.add_failure_info(_text(message.partition("\n")[0]), output=_body(body or message), failure_type=kind)
    else:
        case.add_skipped_info(
            _text(f"would block, but the policy is in warn mode: {message.partition(chr(10))[0]}"), output=_body(body or message)
        )


def _error(case: Any, cause: Cause) -> None:
    body = f"{printable(cause.sentence, _TEXT_LIMIT)}\n{printable(cause.advice, _TEXT_LIMIT)}"
    case.add_error_info(_text(cause.sentence), output=body, error_type=f"{cause.code.name} ({int(cause.code)})")


def _text(text: str) -> str:
    """Make a text fit for an attribute: XML 1.0 has no control characters, `junit-xml` drops or breaks on what is left."""
    return printable(text, _TEXT_LIMIT) or "-"


def _body(text: str) -> str:
    """Make a text fit for an element; its own line breaks stay."""
    return "\n".join(printable(line) for line in text.split("\n"))
