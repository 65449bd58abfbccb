"""What the policy says of the findings, and the result of a run. The exit code is derived here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from ci_gate.errors import PRECEDENCE, Cause, ExitCode, worst

if TYPE_CHECKING:
    from ci_gate.model import Finding, Image, ImageReference, Proof, RiskLevel, SourceInfo


class Outcome(StrEnum):
    """The decision on one finding."""

    VIOLATION = "violation"
    ALLOWED = "allowed"
    COUNTED = "counted"


class Status(StrEnum):
    """The verdict on an image or a run."""

    PASSED = "passed"
    BLOCKED = "blocked"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided of one finding, by which rule; ``rule_text`` is the rule in words, so that no report needs the policy.

    ``level`` is the risk level that was judged; ``None`` where the level is not documented and the policy makes that an error.
    """

    finding: Finding
    outcome: Outcome
    rule: str
    rule_text: str
    level: RiskLevel | None


@dataclass(frozen=True, slots=True)
class RuleResult:
    """One rule of the policy that was evaluated, such as ``deny`` or ``thresholds.high``."""

    rule: str
    text: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Verdict:
    """What the policy says of the findings that were read. ``causes`` holds what could not be judged."""

    decisions: tuple[Decision, ...] = ()
    rules: tuple[RuleResult, ...] = ()
    causes: tuple[Cause, ...] = ()

    @cached_property
    def violations(self) -> tuple[Decision, ...]:
        """The decisions that block."""
        return tuple(d for d in self.decisions if d.outcome is Outcome.VIOLATION)


@dataclass(frozen=True, slots=True)
class PolicySummary:
    """Which policy judged: ``mode`` is ``enforce`` or ``warn``; ``sha256`` is of the canonical effective policy, as hex."""

    name: str
    mode: str
    sha256: str
    origin: str


@dataclass(frozen=True)
class ImageResult:
    """The result for one image that was asked about."""

    asked: str
    mode: str
    reference: ImageReference | None = None
    image: Image | None = None
    evidence: tuple[Proof, ...] = ()
    verdict: Verdict = Verdict()
    failures: tuple[Cause, ...] = ()

    @cached_property
    def causes(self) -> tuple[Cause, ...]:
        """Everything that keeps the image from being proven, worst first, each once."""
        proofs = tuple(proof.cause for proof in self.evidence if proof.cause is not None)
        every = dict.fromkeys((*self.failures, *self.verdict.causes, *proofs))
        return tuple(sorted(every, key=lambda cause: PRECEDENCE.index(cause.code)))

    @property
    def blocks(self) -> bool:
        """Whether a violation is known and the policy enforces."""
        return bool(self.verdict.violations) and self.mode != "warn"

    @property
    def status(self) -> Status:
        """The verdict: blocked where a violation is known, undecided where anything else is in the way."""
        if self.blocks:
            return Status.BLOCKED
        return Status.PASSED if self.exit_code is ExitCode.PASSED else Status.UNDECIDED

    @property
    def exit_code(self) -> ExitCode:
        """The code of this image alone."""
        codes = [cause.code for cause in self.causes]
        if self.image is None and not codes:  # nothing was asked, so nothing is proven
            codes.append(ExitCode.INTERNAL)
        return worst([*codes, ExitCode.BLOCKED] if self.blocks else codes)

    @property
    def pinned(self) -> str:
        """The reference to deploy, by digest where it is known."""
        if self.reference is None:
            return f"sha256:{self.image.digest}" if self.image else self.asked
        return self.reference.pinned_to(self.image.digest if self.image else self.reference.digest)


@dataclass(frozen=True, slots=True)
class RunResult:
    """Everything a report may say. ``seconds`` is the duration of the stages; ``started`` is ISO 8601, UTC."""

    tool_version: str
    source: SourceInfo
    policy: PolicySummary
    images: tuple[ImageResult, ...]
    causes: tuple[Cause, ...] = ()
    started: str = ""
    seconds: tuple[tuple[str, float], ...] = ()
    request_ids: tuple[str, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the process: the worst of all images and of the run itself."""
        codes = [*(image.exit_code for image in self.images), *(cause.code for cause in self.causes)]
        if not codes:  # a run without an image has proven nothing
            codes.append(ExitCode.INTERNAL)
        return worst(codes)

    @property
    def status(self) -> Status:
        """The verdict of the run."""
        if any(image.status is Status.BLOCKED for image in self.images):
            return Status.BLOCKED
        return Status.PASSED if self.exit_code is ExitCode.PASSED else Status.UNDECIDED
