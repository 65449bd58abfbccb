"""JUnit XML, through ``junit-xml``: a suite an image, a case for each rule, proof, violation, waived finding, waiver, and cause.

There are failures or errors if and only if the exit code is not 0, and as many failures as violations that block, up to a limit.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from junit_xml import TestCase, TestSuite

from ci_gate.errors import ExitCode
from ci_gate.model import ProofState, many
from ci_gate.report.entries import causes_of_run, left_out, source_mark
from ci_gate.report.text import cut, printable
from ci_gate.report.words import (
    ROTATE,
    baseline_is_due,
    baseline_line,
    baselines_of,
    compared,
    decided,
    mixed,
    next_step,
    reason,
    rule_state,
    stand_in,
    waiver_is_due,
    waiver_line,
    waivers_of,
    warn_mode,
)
from ci_gate.verdict import Outcome, Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci_gate.errors import Cause
    from ci_gate.model import Proof
    from ci_gate.verdict import BaselineUse, Decision, FloorSummary, ImageResult, PolicySummary, RunResult, WaiverUse

# GitLab refuses files over 30 MB. The JSON report holds every finding.
MAX_FINDING_CASES = 10_000
MAX_FINDING_BYTES = 20_000_000
_MAX_CAUSES = 1_000
_MAX_EXCEPTION_CASES = 1_000  # waivers and baselines
_MAX_EXCEPTION_BYTES = 2_000_000
_MAX_FLOORS = 100
_MESSAGE = 1_000  # most characters of a message; all of these count the characters of the data, before escapes
_NAME = 300
_VALUE = 2_000


def render_junit(run: RunResult) -> str:
    """Render a run as JUnit XML, pure ASCII. Never empty; failures and errors are there if and only if the exit code is not 0."""
    return "".join(junit_parts(run))


def junit_parts(run: RunResult) -> Iterator[str]:
    """Return what :func:`render_junit` does, in parts."""
    names = _Names()
    suites = _suites(run)
    of_run = causes_of_run(run)
    if of_run or not suites:
        suites.append(_run_suite(of_run, run))
    root = ET.Element("testsuites")
    while suites:  # a suite's cases are no longer needed where its XML is made
        root.append(suites.pop(0).build(names, run.started))
    for total in ("tests", "failures", "errors"):
        root.set(total, str(sum(int(suite.get(total, "0")) for suite in root)))
    ET.indent(root)
    yield '<?xml version="1.0" encoding="utf-8"?>\n'
    text: bytes = ET.tostring(root, encoding="us-ascii")
    del root
    yield text.decode("ascii")
    yield "\n"


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

    name: str
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

    def build(self, names: _Names, started: str) -> ET.Element:
        """Return the suite as XML; its name is made unique among ``names``."""
        timestamp = printable(started.removesuffix("+00:00"), 40) or None
        suite: ET.Element = TestSuite(names.unique("", self.name), self.cases, timestamp=timestamp).build_xml_doc()
        suite.attrib.pop("disabled", None)  # common schemas refuse it
        return suite


@dataclass(frozen=True, slots=True)
class _Exceptions:
    """The waivers and baselines of the run by holder and name: what one image has no use for, another may."""

    run: RunResult
    waivers: dict[tuple[str, str], WaiverUse]
    baselines: dict[tuple[str, str], BaselineUse]
    budget: _Budget

    @classmethod
    def of(cls, run: RunResult) -> _Exceptions:
        waivers = {(use.policy, use.id): use for use in waivers_of(run)}
        baselines = {(use.policy, use.file): use for use in baselines_of(run)}
        return cls(run, waivers, baselines, _Budget(_MAX_EXCEPTION_CASES, _MAX_EXCEPTION_BYTES))

    def waiver(self, use: WaiverUse) -> WaiverUse:
        """Return a waiver of one image as it is to be judged."""
        elsewhere = self.waivers[use.policy, use.id].findings > use.findings
        return replace(use, report_unused=False) if elsewhere else use

    def baseline(self, use: BaselineUse) -> BaselineUse:
        """Return a baseline of one image as it is to be judged."""
        return use if use.gone == self.baselines[use.policy, use.file].gone else replace(use, gone=0)


def _suites(run: RunResult) -> list[_Suite]:
    """Return a suite for each image. What is left for findings goes to the violations of all of them first."""
    budget = _Budget(MAX_FINDING_CASES, MAX_FINDING_BYTES)
    exceptions = _Exceptions.of(run)
    suites = [_image_suite(image, run) for image in run.images]
    for suite, image in zip(suites, run.images, strict=True):
        _add_violations(suite, image.verdict.blocking, budget)
    for suite, image in zip(suites, run.images, strict=True):
        _add_violations(suite, [one for one in image.verdict.violations if not one.enforced], budget)
    for suite, image in zip(suites, run.images, strict=True):
        _add_waived(suite, image, run.policy.name, budget)
        _add_exceptions(suite, image, exceptions)
        if image.image is None and not image.causes:  # no image, no cause: nothing was judged, whatever was proven
            _add_nothing(suite)
    return suites


def _image_suite(result: ImageResult, run: RunResult) -> _Suite:
    suite = _Suite(f"{_heading(run)} {printable(result.asked, _NAME)}")
    if result.status is Status.PASSED:
        suite.add("ci-gate.verdict", "passed", f"{source_mark(run)}{result.status}: {reason(result)}", f"next: {next_step(result, run)}")
    _add_decisions(suite, result)
    _add_judges(suite, run.policy)
    _add_rules(suite, result)
    for proof in result.evidence:
        _add_proof(suite, proof)
    proven = {proof.cause for proof in result.evidence}
    _add_causes(suite, [cause for cause in result.causes if cause not in proven])
    return suite


def _heading(run: RunResult) -> str:
    """Return what the name of every suite begins with."""
    return f"ci-gate [{said}]" if (said := stand_in(run)) else "ci-gate"


def _run_suite(causes: Sequence[Cause], run: RunResult) -> _Suite:
    suite = _Suite(_heading(run))
    _add_judges(suite, run.policy)
    _add_causes(suite, causes)
    if not causes:
        _add_nothing(suite)
    return suite


def _add_decisions(suite: _Suite, result: ImageResult) -> None:
    """Add what became of the findings, where any rule but the thresholds had a say."""
    others = decided(result)
    said = [f"{number} {word}" for _, word, number in others]
    lines = [part for part in (mixed(result), compared(result)) if part]
    if lines or any(outcome not in {Outcome.ALLOWED, Outcome.COUNTED} for outcome, _, _ in others):
        found = ", ".join([many(len(result.verdict.violations), "violation"), *said])
        suite.add("ci-gate.verdict", "decisions", f"{many(len(result.verdict.decisions), 'finding')}: {found}", *lines)


def _add_judges(suite: _Suite, policy: PolicySummary) -> None:
    """Add the policy and the floors that judged."""
    judges: list[tuple[str, PolicySummary | FloorSummary]] = [("policy", policy)]
    judges += [("floor", floor) for floor in policy.floors[:_MAX_FLOORS]]
    for kind, judge in judges:
        if judge.sha256:  # else none was loaded
            origin = f"from {judge.origin}, " if judge.origin else ""
            suite.add("ci-gate.judges", f"{kind} {judge.name}", f"mode {judge.mode}, {origin}SHA-256 {judge.sha256}")


def _add_nothing(suite: _Suite) -> None:
    said = "no image was judged"
    suite.add("ci-gate.run", said).add_error_info(said, said, f"{ExitCode.INTERNAL.name} ({int(ExitCode.INTERNAL)})")


def _add_rules(suite: _Suite, result: ImageResult) -> None:
    """Add the rules. One that is broken is no failure of its own: its violations are, one each, and are not counted twice."""
    blocking = {decision.rule for decision in result.verdict.blocking}
    broken = {decision.rule for decision in result.verdict.violations}
    for rule in result.verdict.rules:
        said = f"rule: {rule.text}: {rule.detail}"
        case = suite.add("ci-gate.policy", rule.rule, said)
        state = rule_state(rule, result)
        if state != "kept":
            how = warn_mode(rule.rule) if rule.rule in broken else "does not hold"
            if rule.rule in blocking:
                how = "broken: its violations are the failures of this suite"
            elif state == "open":
                how = "not broken by what was read, and there may be more"
            case.add_skipped_info(_message(f"{how}: {rule.detail}"), printable(said, _VALUE))


def _add_proof(suite: _Suite, proof: Proof) -> None:
    if proof.cause is not None:
        suite.error("ci-gate.evidence", proof.name, proof.cause)
        return
    case = suite.add("ci-gate.evidence", proof.name, f"{proof.state}: {proof.detail}")
    if proof.state is not ProofState.HELD:
        case.add_skipped_info(_message(f"{proof.state}: {proof.detail}"), f"{proof.state}: {printable(proof.detail, _VALUE)}")


def _add_causes(suite: _Suite, causes: Sequence[Cause]) -> None:
    for cause in causes[:_MAX_CAUSES]:
        suite.error("ci-gate.run", f"{cause.code.name}{f' {cause.action}' if cause.action else ''}", cause)
    more = len(causes) - _MAX_CAUSES
    if more > 0:
        said = left_out(more, "error")
        suite.add("ci-gate.run", "more errors").add_error_info(said, said, causes[-1].code.name)


def _add_violations(suite: _Suite, violations: Sequence[Decision], budget: _Budget) -> None:
    """Add violations that all block, or all do not."""
    shown = 0
    for decision in violations:
        message, body = _message(_violation_message(decision)), _violation_body(decision)
        if not budget.take(_size(message, body)):
            break
        _mark(suite.add(_findings_class(decision), _finding_name(decision)), decision, message, body)
        shown += 1
    more = len(violations) - shown
    if more:
        said = left_out(more, "violation")
        _mark(suite.add("ci-gate.findings", "more violations"), violations[-1], said, f"{said}\n\n{ROTATE}")


def _add_waived(suite: _Suite, result: ImageResult, policy: str, budget: _Budget) -> None:
    """Add a skipped case for each waived finding, as far as violations have left room."""
    waived = [decision for decision in result.verdict.decisions if decision.outcome is Outcome.WAIVED]
    # Only the policy's own waivers take findings out of the verdict; those of floors may have the same ids.
    waivers = {f"waivers.{use.id}": use for use in result.verdict.waivers if use.policy == policy}
    shown = 0
    for decision in waived:
        message, body = _message(decision.rule_text or "waived"), _waived_body(decision, waivers.get(decision.rule))
        name = _finding_name(decision)
        if not budget.take(_size(message + cut(name, _NAME), body)):
            break
        suite.add("ci-gate.waived", name).add_skipped_info(message, body)
        shown += 1
    more = len(waived) - shown
    if more:
        said = left_out(more, "waived finding")
        suite.add("ci-gate.waived", "more waived findings").add_skipped_info(said, said)


def _add_exceptions(suite: _Suite, result: ImageResult, exceptions: _Exceptions) -> None:
    """Add a case for each waiver and baseline, those to look at first."""
    run = exceptions.run
    waivers = sorted(map(exceptions.waiver, result.verdict.waivers), key=lambda use: not waiver_is_due(use))
    baselines = sorted(map(exceptions.baseline, result.verdict.baselines), key=lambda use: not baseline_is_due(use))
    cases = [("ci-gate.waivers", use.id, _waiver_lines(use, run), waiver_is_due(use)) for use in waivers]
    cases += [("ci-gate.baselines", use.file, [baseline_line(use, run)], baseline_is_due(use)) for use in baselines]
    for number, case in enumerate(cases):
        if not _add_exception(suite, exceptions.budget, *case):
            said = left_out(len(cases) - number, "waiver or baseline", "waivers and baselines")
            suite.add("ci-gate.waivers", "more waivers", said)
            return


def _waiver_lines(use: WaiverUse, run: RunResult) -> list[str]:
    facts = [("reason", use.reason), ("owner", use.owner), ("ticket", use.ticket), ("created", use.created), ("expires", use.expires)]
    return [waiver_line(use, run), *(f"{label}: {value}" for label, value in facts if value)]


def _add_exception(suite: _Suite, budget: _Budget, classname: str, name: str, lines: list[str], due: bool) -> bool:
    """Add a waiver or baseline: one that is simply used passes, one to look at is skipped. Return whether there was room."""
    message, body = _message(lines[0]), "\n".join(printable(line, _VALUE) for line in lines)
    if not budget.take(_size(message, body)):
        return False
    if due:
        suite.add(classname, name).add_skipped_info(message, body)
    else:
        suite.add(classname, name, *lines)
    return True


def _findings_class(decision: Decision) -> str:
    """Tell apart who has to mend a finding."""
    return "ci-gate.base_image" if decision.base_image else "ci-gate.findings"


def _finding_name(decision: Decision) -> str:
    return f"{cut(decision.finding.key, 100)} in {decision.finding.path}"


def _size(message: str, body: str) -> int:
    """Return about how many bytes a case takes whose name is part of ``message``."""
    return 300 + 2 * len(_ascii(message)) + len(_ascii(body))


def _violation_message(decision: Decision) -> str:
    finding = decision.finding
    return f"{finding.key} ({decision.level or finding.risk_level} risk) in {finding.path}: {decision.rule_text}"


def _violation_body(decision: Decision) -> str:
    """Everything about a violation: GitLab shows the body only."""
    return f"{_facts(decision)}\n\nnext: {ROTATE}"


def _waived_body(decision: Decision, waiver: WaiverUse | None) -> str:
    if waiver is None:
        return _facts(decision)
    facts = (
        ("waiver", waiver.id),
        ("reason", waiver.reason),
        ("owner", waiver.owner),
        ("ticket", waiver.ticket),
        ("expires", str(waiver.expires or "")),
    )
    return _facts(decision, *facts)


def _facts(decision: Decision, *more: tuple[str, str]) -> str:
    finding = decision.finding
    facts = (
        ("key", finding.key),
        ("name", finding.name),
        ("path", finding.path),
        ("risk level", str(decision.level or finding.risk_level)),
        ("layer", finding.layer_digest),
        ("to be mended in", "the base image, by whoever builds that one" if decision.base_image else ""),
        ("rule", f"{decision.rule}: {decision.rule_text}"),
        *more,
        ("fingerprint", f"{finding.fingerprint} #{finding.ordinal}"),
        ("Security Center says", finding.advice),
    )
    return "\n".join(f"{label}: {printable(value, _VALUE)}" for label, value in facts if value)


def _mark(case: Any, decision: Decision, message: str, body: str) -> None:
    """Make a case a failure, or, where only policies in warn mode see it, one that is skipped: the file agrees with the exit code.

    ``junit-xml`` writes no failure at all without a message or an output: both are always filled.
    """
    if decision.enforced:
        case.add_failure_info(message, body, "violation")
    else:
        case.add_skipped_info(f"{printable(warn_mode(decision.rule), _NAME)}: {message}", body)


def _message(text: str) -> str:
    """Make a text fit for an attribute: XML 1.0 has no control characters, `junit-xml` drops or breaks on what is left."""
    return printable(text, _MESSAGE).strip() or "-"


def _ascii(text: str) -> bytes:
    return text.encode("ascii", "xmlcharrefreplace")
