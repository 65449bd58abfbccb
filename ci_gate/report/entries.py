"""Findings as SARIF and the GitLab formats list them: in which order, where, and by which identity."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ci_gate.catalog import load_catalog
from ci_gate.errors import Cause, ExitCode
from ci_gate.model import ProofState, RiskLevel
from ci_gate.report.text import cut, printable
from ci_gate.report.words import (
    BASE_LAYERS,
    baseline_is_due,
    baseline_line,
    baselines_of,
    compared,
    layer,
    stand_in,
    waiver_is_due,
    waiver_line,
    waivers_of,
    warn_mode,
)
from ci_gate.verdict import Outcome, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ci_gate.verdict import Decision, FloorSummary, ImageResult, PolicySummary, RunResult

NOTHING_JUDGED = Cause(ExitCode.INTERNAL, "no image was judged", "Report this as a bug.")
_NAME = 300  # most characters of a name, of a path, of any other text of the data, before escapes
PATH = 1_000
TEXT = 2_000
_MAX_LINES = 200
_MAX_FLOORS = 100
_LEVELS = (RiskLevel.HIGH, None, RiskLevel.MEDIUM, RiskLevel.LOW)  # a level that nobody knows is not taken for a low one
_DOTS = re.compile(r"(?<![^/])\.\.?(?![^/])")  # a part of a path that is `.` or `..`
_PLACE = re.compile(r"(?P<path>[^/\\:][^\\:]{0,300}):(?P<line>[1-9][0-9]{0,8}):[0-9]+")


@dataclass(frozen=True, slots=True)
class Origin:
    """An image by its names: see :func:`home` and :func:`repository`; ``pinned`` is raw, the others are printable."""

    home: str
    repository: str
    pinned: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A decision, and the image that its finding is in."""

    decision: Decision
    origin: Origin

    @property
    def rank(self) -> tuple[int, int]:
        """The order of entries: those that block, those that would, the counted, the rest; in each the most severe first."""
        return urgency(self.decision), _LEVELS.index(self.decision.level)


@dataclass(slots=True)
class Identities:
    """Gives each finding an identity that lasts from run to run: its fingerprint and ordinal; what shares both is numbered."""

    taken: dict[tuple[str, str], int] = field(default_factory=dict)

    def of(self, entry: Entry, scope: str = "") -> str:
        """Return the identity of a finding, unique among those that were given in the same scope."""
        finding = entry.decision.finding
        name = f"{finding.fingerprint}:{finding.ordinal}"
        self.taken[scope, name] = number = self.taken.get((scope, name), 0) + 1
        return f"{name}:{number}" if number > 1 else name


def urgency(decision: Decision) -> int:
    """Return 0 for a violation that blocks, 1 for one that warns, 2 for a counted finding, 3 for the rest."""
    if decision.outcome is Outcome.VIOLATION:
        return 0 if decision.enforced else 1
    return 2 if decision.outcome is Outcome.COUNTED else 3


def entries(results: Iterable[ImageResult], outcomes: frozenset[Outcome]) -> list[Entry]:
    """Return the findings of some images with these outcomes, the most urgent first."""
    found: list[Entry] = []
    for result in results:
        origin = Origin(home(result), repository(result), cut(result.pinned, TEXT))
        found += [Entry(decision, origin) for decision in result.verdict.decisions if decision.outcome in outcomes]
    return sorted(found, key=lambda entry: entry.rank)


def repository(result: ImageResult) -> str:
    """Return the canonical name of an image, without tag and digest, or what was asked, printable and never empty."""
    return printable(result.reference.canonical if result.reference else result.asked, _NAME).strip() or "-"


def location(entry: Entry) -> str:
    r"""Return where a finding is, as ``namespace/repository/path``: the same for every tag and digest.

    Consumers resolve it as a relative path, so that it must lead nowhere else: a part ``..`` is written ``\x2e\x2e``.
    """
    path = printable(entry.decision.finding.path, PATH).removeprefix("/")
    if "." in path:
        path = _DOTS.sub(lambda match: match[0].replace(".", r"\x2e"), path)
    return f"{entry.origin.home}/{path}".removesuffix("/")


def home(result: ImageResult) -> str:
    """Return ``namespace/repository`` of an image, where it is known, else what was asked, as a single part of a path."""
    known = result.reference or result.image
    parts = [part for part in (known.namespace, known.repository) if part] if known else []
    name = "/".join(parts) or result.asked.replace("/", "_")
    return _DOTS.sub(lambda match: match[0].replace(".", r"\x2e"), printable(name, _NAME).strip("/ ")) or "-"


def place(cause: Cause) -> tuple[str, int]:
    """Return the file and line that a cause is about, as far as a relative path tells; else ``ci-gate``."""
    match = _PLACE.fullmatch(cause.where or "")
    if match is None or ".." in match["path"]:
        return "ci-gate", 1
    return printable(match["path"]), int(match["line"])


def title(key: str, name: str = "") -> str:
    """Return what a key stands for, by the catalog, else by the service."""
    entry = load_catalog().find(key)
    return (entry.name_en if entry else name) or key


def groups_of(key: str) -> tuple[str, ...]:
    """Return our groups of a key."""
    entry = load_catalog().find(key)
    return entry.groups if entry else ()


def statement(decision: Decision) -> str:
    """Say in one line what was decided of a finding, as the other reports do."""
    finding = decision.finding
    warned = f"{warn_mode(decision.rule)}: " if decision.outcome is Outcome.VIOLATION and not decision.enforced else ""
    where = f"{finding.path} (layer {layer(finding.layer_digest)})" if finding.layer_digest else finding.path
    mended = f"; to be mended {BASE_LAYERS}" if decision.base_image else ""
    return f"{warned}{finding.key} ({decision.level or finding.risk_level} risk) in {where}: {decision.rule_text}{mended}"


def source_mark(run: RunResult) -> str:
    """Return what stands before every text that could be taken for a finding of a real account."""
    return f"{said}: " if (said := stand_in(run)) else ""


def causes_of_run(run: RunResult) -> tuple[Cause, ...]:
    """Return the causes that are not those of an image."""
    known = {cause for image in run.images for cause in image.causes}
    return tuple(cause for cause in run.causes if cause not in known)


def open_causes(results: tuple[ImageResult, ...], run: RunResult) -> tuple[Cause, ...]:
    """Return everything that keeps these images from being decided, each once.

    A report that could not be written takes nothing from the findings: where the run is blocked, they are complete all the same.
    """
    found = [cause for result in results for cause in result.causes]
    found += [NOTHING_JUDGED for result in results if result.image is None and not result.causes]
    written = run.status is Status.BLOCKED
    found += [cause for cause in causes_of_run(run) if not (written and cause.code is ExitCode.REPORT_FAILED)]
    if not results and not found:
        found.append(NOTHING_JUDGED)
    return tuple(dict.fromkeys(found))


def advised(cause: Cause) -> str:
    """Say in one line what is wrong, and what to do next."""
    return f"{cut(cause.sentence, TEXT)}; next: {cut(cause.advice, TEXT)}"


def doubts(results: Iterable[ImageResult]) -> list[str]:
    """Say which proofs did not hold, as far as they keep no image from being decided."""
    weak = {ProofState.FAILED, ProofState.UNKNOWN}
    proofs = [proof for result in results for proof in result.evidence if proof.cause is None and proof.state in weak]
    return list(dict.fromkeys(f"evidence {proof.name}: {proof.state}: {cut(proof.detail, TEXT)}" for proof in proofs))


def exceptions(run: RunResult) -> Iterator[tuple[bool, str]]:
    """Say how it stands with each waiver and baseline, those that somebody should look at first (and whether that is so)."""
    lines = [(waiver_is_due(use), waiver_line(use, run)) for use in waivers_of(run)]
    lines += [(baseline_is_due(use), baseline_line(use, run)) for use in baselines_of(run)]
    yield from sorted(lines, key=lambda line: not line[0])[:_MAX_LINES]
    if len(lines) > _MAX_LINES:
        yield False, left_out(len(lines) - _MAX_LINES, "waiver or baseline", "waivers and baselines")


def comparisons(results: Iterable[ImageResult]) -> list[str]:
    """Say which deployed images the findings were compared with."""
    return list(dict.fromkeys(said for said in map(compared, results) if said))


def judges(policy: PolicySummary) -> Iterator[tuple[str, str]]:
    """Name the policy and the floors that judged, and say which text of them: nothing where none was loaded."""
    every: list[tuple[str, PolicySummary | FloorSummary]] = [("policy", policy)]
    every += [("floor", floor) for floor in policy.floors[:_MAX_FLOORS]]
    for kind, judge in every:
        if judge.sha256:
            origin = f"from {cut(judge.origin, _NAME)}, " if judge.origin else ""
            yield f"{kind} {cut(judge.name, 100)}", f"mode {judge.mode}, {origin}SHA-256 {cut(judge.sha256, 100)}"


def left_out(number: int, one: str = "finding", several: str = "") -> str:
    """Say how many findings, or what else is named, there was no room for; ``several`` is a plural that is not just an s more."""
    said = f"1 more {one} is" if number == 1 else f"{number} more {several or f'{one}s'} are"
    return f"{said} in the JSON report only"
