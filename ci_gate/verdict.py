"""What the policy says of the findings, and the result of a run. The exit code is derived here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from ci_gate.errors import PRECEDENCE, Cause, ExitCode, worst

if TYPE_CHECKING:
    from datetime import date

    from ci_gate.model import Finding, Image, ImageReference, Proof, RiskLevel, SourceInfo


class Outcome(StrEnum):
    """The decision on one finding. Only a violation can block."""

    WAIVED = "waived"  # an exception of the policy covers it
    VIOLATION = "violation"
    ALLOWED = "allowed"  # its key is not counted
    BASELINED = "baselined"  # it was there when the gate was introduced
    EXEMPT = "exempt"  # it is in a layer of the base image
    INHERITED = "inherited"  # an image that is deployed already has it too
    COUNTED = "counted"  # and within the thresholds


class Status(StrEnum):
    """The verdict on an image or a run."""

    PASSED = "passed"
    BLOCKED = "blocked"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided of one finding, by which rule; ``rule_text`` is the rule in words, so that no report needs the policy.

    ``level`` is the risk level that was judged; ``None`` where the level is not documented and the policy makes that an error.
    ``enforced`` is false for a violation that only policies in warn mode see. ``base_image`` tells that the finding is in a layer of the
    base image: whoever builds that one has to mend it.
    """

    finding: Finding
    outcome: Outcome
    rule: str
    rule_text: str
    level: RiskLevel | None
    enforced: bool = True
    base_image: bool = False


@dataclass(frozen=True, slots=True)
class RuleResult:
    """One rule of the policy that was evaluated, such as ``deny`` or ``thresholds.high``."""

    rule: str
    text: str
    passed: bool
    detail: str


class Validity(StrEnum):
    """Whether a waiver or a baseline is in force on the day of the verdict."""

    ACTIVE = "active"
    EXPIRING = "expiring"  # in force, and its end is near
    EXPIRED = "expired"
    PENDING = "not yet valid"


@dataclass(frozen=True, slots=True)
class WaiverUse:
    """A waiver of the policy that is for this image, and how many findings it fits, whether it is in force or not.

    ``policy`` names the policy or the floor that holds it. ``report_unused``: whether the policy wants to know when it fits nothing.
    """

    id: str
    validity: Validity
    findings: int
    policy: str = ""
    reason: str = ""
    owner: str = ""
    ticket: str = ""
    created: date | None = None
    expires: date | None = None
    report_unused: bool = True

    @property
    def unused(self) -> bool:
        """Whether it fits nothing, and that is worth a word."""
        return self.report_unused and not self.findings


@dataclass(frozen=True, slots=True)
class BaselineUse:
    """A baseline, how many findings it expects, how many it covers here, and the first of those that no longer occur, as ``key path``."""

    file: str
    validity: Validity
    expires: date
    entries: int
    findings: int
    gone: int = 0
    examples: tuple[str, ...] = ()
    policy: str = ""


@dataclass(frozen=True)
class Verdict:
    """What the policy says of the findings that were read. ``causes`` holds what could not be judged."""

    decisions: tuple[Decision, ...] = ()
    rules: tuple[RuleResult, ...] = ()
    causes: tuple[Cause, ...] = ()
    waivers: tuple[WaiverUse, ...] = ()
    baselines: tuple[BaselineUse, ...] = ()

    @cached_property
    def violations(self) -> tuple[Decision, ...]:
        """The decisions that block, or would in enforce mode."""
        return tuple(d for d in self.decisions if d.outcome is Outcome.VIOLATION)

    @cached_property
    def blocking(self) -> tuple[Decision, ...]:
        """The violations of policies that enforce."""
        return tuple(d for d in self.violations if d.enforced)


@dataclass(frozen=True, slots=True)
class FloorSummary:
    """A floor that judged, too: a policy that the job hands over."""

    name: str
    mode: str
    sha256: str
    origin: str


@dataclass(frozen=True, slots=True)
class PolicySummary:
    """Which policy judged: ``mode`` is ``enforce`` or ``warn``; ``sha256`` is of the canonical effective policy, floors included, as hex.

    ``canonical`` is the text (JSON) that the sum is of: a saved result can be judged again by it.
    """

    name: str
    mode: str
    sha256: str
    origin: str
    floors: tuple[FloorSummary, ...] = ()
    canonical: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The deployed image that the findings were to be compared with (``--since``).

    ``findings`` is how many that one has; ``None`` where it could not be read whole, so that nobody knows which findings are new.
    """

    asked: str
    pinned: str
    findings: int | None


@dataclass(frozen=True)
class ImageResult:
    """The result for one image that was asked about."""

    asked: str
    reference: ImageReference | None = None
    image: Image | None = None
    evidence: tuple[Proof, ...] = ()
    verdict: Verdict = Verdict()
    failures: tuple[Cause, ...] = ()
    compared: Comparison | None = None
    known: tuple[tuple[str, int], ...] = ()  # how many findings of a fingerprint the compared image has, of those that occur here

    @cached_property
    def causes(self) -> tuple[Cause, ...]:
        """Everything that keeps the image from being proven, worst first, each once."""
        proofs = tuple(proof.cause for proof in self.evidence if proof.cause is not None)
        every = dict.fromkeys((*self.failures, *self.verdict.causes, *proofs))
        return tuple(sorted(every, key=lambda cause: PRECEDENCE.index(cause.code)))

    @property
    def blocks(self) -> bool:
        """Whether a violation of a policy that enforces is known."""
        return bool(self.verdict.blocking)

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
    today: date | None = None  # the day (UTC) that waivers and baselines were judged by

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
