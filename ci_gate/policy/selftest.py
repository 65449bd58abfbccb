"""The tests that a policy holds: each makes findings up and says what the verdict on them must be. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_gate.errors import UsageError
from ci_gate.model import Finding, ImageReference, Inventory, number_alike
from ci_gate.policy.effective import Judges
from ci_gate.policy.judging.evaluate import judge
from ci_gate.policy.problems import excerpt
from ci_gate.verdict import Status

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from ci_gate.policy.effective import NamedPolicy
    from ci_gate.policy.language.load import LoadedPolicy
    from ci_gate.policy.language.schema import GivenFinding, PolicyTest
    from ci_gate.verdict import Decision, Verdict

_MAX_SHOWN = 5


@dataclass(frozen=True, slots=True)
class TestResult:
    """What became of one test. ``detail`` is why the verdict is what it is; its texts are those of the policy."""

    __test__ = False  # pytest collects what is called so

    name: str
    passed: bool
    expected: str
    got: str
    detail: str


def run_tests(loaded: LoadedPolicy, today: date, floors: Sequence[NamedPolicy] = ()) -> tuple[TestResult, ...]:
    """Judge the findings of every test by the policy as it is with its parents, and by floors, in the order of the tests.

    :param today: the day (UTC) for tests that name none.
    """
    judges = Judges(loaded.policy, tuple(floors))
    return tuple(_run(judges, test, today) for test in loaded.document.tests)


def _run(judges: Judges, test: PolicyTest, today: date) -> TestResult:
    findings = number_alike(finding for given in test.given for finding in _findings(given))
    verdict = judge(judges, Inventory(findings), test.today or today, _canonical(test.image))
    got = _status(verdict)
    return TestResult(test.name or "", got == test.expect, test.expect, str(got), _detail(verdict))


def _findings(given: GivenFinding) -> tuple[Finding, ...]:
    layer = f"sha256:{given.layer}" if given.layer else ""
    # As the gate reads it from the service: in lower case, without outer blanks.
    finding = Finding(given.key, given.path, given.risk_level.strip().lower(), given.md5 or "", layer)
    return (finding,) * given.count


def _canonical(image: str | None) -> str | None:
    """Return what patterns match: of a whole reference, the part without tag and digest."""
    if image is None:
        return None
    try:
        return ImageReference.parse(image).canonical
    except UsageError:
        return image  # not a name that a registry could hold; a test may still want to see what becomes of it


def _status(verdict: Verdict) -> Status:
    """Say what the verdict on an image would be: a test wants to know of a violation in warn mode as well."""
    if verdict.violations:
        return Status.BLOCKED
    return Status.UNDECIDED if verdict.causes else Status.PASSED


def _detail(verdict: Verdict) -> str:
    """Say what decided: the violations, else what could not be judged, else what became of the findings."""
    if not verdict.violations and verdict.causes:
        return "; ".join(cause.what for cause in verdict.causes)
    deciding = verdict.violations or verdict.decisions
    if not deciding:
        return "no finding was given"
    lines = dict.fromkeys(map(_words, deciding))
    shown = "; ".join(list(lines)[:_MAX_SHOWN])
    return shown + (f"; and {len(lines) - _MAX_SHOWN} more" if len(lines) > _MAX_SHOWN else "")


def _words(decision: Decision) -> str:
    finding = decision.finding
    return f"{excerpt(finding.key, 128)} in {excerpt(finding.path, 128)}: {decision.outcome} by {decision.rule} ({decision.rule_text})"
