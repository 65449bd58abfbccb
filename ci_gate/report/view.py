"""What pages for people show of a run, and what they leave out: shared by Markdown and HTML, which escape the data, each its way."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Self

from ci_gate.model import many
from ci_gate.report.words import (
    baseline_is_due,
    baseline_line,
    baselines_of,
    compared,
    decided,
    headline,
    layer,
    mixed,
    next_step,
    reason,
    rule_state,
    run_cause,
    run_next_step,
    short,
    stand_in,
    stand_in_means,
    waiver_is_due,
    waiver_line,
    waivers_of,
    warned,
    worst_image,
)
from ci_gate.verdict import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ci_gate.errors import Cause
    from ci_gate.verdict import BaselineUse, Decision, FloorSummary, ImageResult, Outcome, RuleResult, RunResult, WaiverUse

_WORST_FIRST = (Status.BLOCKED, Status.UNDECIDED, Status.PASSED)
_TOP_KEYS = 10
_REQUEST_IDS = 100
_FLOORS = 20


@dataclass(frozen=True, slots=True)
class Detail:
    """How much to show: findings over all images, images with a section of their own, causes a list, waivers and baselines."""

    rows: int
    images: int
    causes: int
    waivers: int


@dataclass(frozen=True, slots=True)
class Table:
    """Findings, those that block first, then those of a key together, most frequent key first; ``more`` are left out."""

    decisions: tuple[Decision, ...]
    more: int
    keys: tuple[tuple[str, int], ...]
    more_keys: int

    @property
    def total(self) -> int:
        """All findings, those that are left out too."""
        return len(self.decisions) + self.more

    @property
    def by_key(self) -> Iterator[tuple[str, tuple[Decision, ...]]]:
        """The findings that are shown, a key at a time."""
        for (_, key), found in groupby(self.decisions, key=lambda one: (one.enforced, one.finding.key)):
            yield key, tuple(found)


@dataclass(frozen=True, slots=True)
class Section:
    """What is shown of one image of a run."""

    run: RunResult
    result: ImageResult
    causes: tuple[Cause, ...]
    more_causes: int
    own: Table  # violations in the image's own layers
    base: Table  # violations in its base image
    others: tuple[tuple[str, Table], ...]  # what does not block, by the word for its decision

    @property
    def name(self) -> str:
        """The image as a person would name it."""
        return short(self.result)

    @property
    def reason(self) -> str:
        """Why it has its verdict."""
        return reason(self.result)

    @property
    def next_step(self) -> str:
        """What to do about it."""
        return next_step(self.result, self.run)

    @property
    def violations(self) -> int:
        """How many violations there are."""
        return self.own.total + self.base.total

    @property
    def mixed(self) -> str:
        """How many violations block, where others do not."""
        return mixed(self.result)

    @property
    def compared(self) -> str:
        """Which deployed image the findings were compared with."""
        return compared(self.result)

    @property
    def unread(self) -> str:
        """A word on findings that nobody has seen, where something kept the image from being proven."""
        return " read, and there may be more" if self.result.causes else ""

    @property
    def rules(self) -> str:
        """How many rules are broken, kept or open."""
        return _tally(self.state_of(rule) for rule in self.result.verdict.rules)

    def state_of(self, rule: RuleResult) -> str:
        """Whether a rule is broken, kept or open."""
        return rule_state(rule, self.result)

    @property
    def evidence(self) -> str:
        """How many proofs held, and what became of the others."""
        return _tally(str(proof.state) for proof in self.result.evidence)


@dataclass(frozen=True, slots=True)
class View:
    """What a page shows of a run."""

    run: RunResult
    detail: Detail
    sections: tuple[Section, ...]
    causes: tuple[Cause, ...]
    request_ids: tuple[str, ...]
    waivers: tuple[WaiverUse, ...]
    baselines: tuple[BaselineUse, ...]
    warned: int

    @classmethod
    def of(cls, run: RunResult, detail: Detail) -> Self:
        """Choose what to show."""
        return cls(
            run,
            detail,
            _sections(run, detail),
            run.causes[: detail.causes],
            run.request_ids[:_REQUEST_IDS] if detail.images else (),
            waivers_of(run),
            baselines_of(run),
            warned(run),
        )

    @property
    def stand_in(self) -> str:
        """What answered, loudly, where that was not a real account."""
        return stand_in(self.run)

    @property
    def stand_in_means(self) -> str:
        """What that means for whoever reads the page."""
        return stand_in_means(self.run)

    @property
    def title(self) -> str:
        """What was judged."""
        return _title(self.run)

    @property
    def why(self) -> str:
        """Why the run has its verdict."""
        return _why(self.run)

    @property
    def next_step(self) -> str:
        """What to do next."""
        return run_next_step(self.run)

    @property
    def foremost(self) -> ImageResult | None:
        """The image that the first lines speak of: its section need not say it again."""
        return _foremost(self.run)

    @property
    def more_images(self) -> int:
        """How many images are left out."""
        return len(self.run.images) - len(self.sections)

    @property
    def floors(self) -> tuple[FloorSummary, ...]:
        """The first floors."""
        return self.run.policy.floors[:_FLOORS]

    @property
    def due(self) -> list[str]:
        """What to look at among waivers and baselines."""
        waivers = [waiver_line(use, self.run) for use in self.waivers if waiver_is_due(use)]
        return waivers + [baseline_line(use, self.run) for use in self.baselines if baseline_is_due(use)]

    @property
    def covering(self) -> list[str]:
        """The baselines that are simply in use."""
        return [baseline_line(use, self.run) for use in self.baselines if not baseline_is_due(use)]

    def layer(self, decision: Decision) -> str:
        """Name the layer of a finding as docker does."""
        return layer(decision.finding.layer_digest)


@dataclass(slots=True)
class _Rows:
    """The rows that are left for findings; violations are served before all others."""

    left: int

    def table(self, decisions: Sequence[Decision]) -> Table:
        by_key = Counter(decision.finding.key for decision in decisions)
        ranked = sorted(by_key.items(), key=lambda item: (-item[1], item[0]))
        take = min(self.left, len(decisions))
        self.left -= take
        rank = {key: number for number, (key, _) in enumerate(ranked)}
        shown = sorted(decisions, key=lambda one: (not one.enforced, rank[one.finding.key]))[:take] if take else []
        return Table(tuple(shown), len(decisions) - take, tuple(ranked[:_TOP_KEYS]), max(0, len(ranked) - _TOP_KEYS))


def _sections(run: RunResult, detail: Detail) -> tuple[Section, ...]:
    """Choose the images to show, the worst first, otherwise in the order that they were asked in."""
    chosen = sorted(run.images, key=lambda image: (_WORST_FIRST.index(image.status), not image.verdict.violations))[: detail.images]
    rows = _Rows(detail.rows)
    own, base = (
        [rows.table([one for one in image.verdict.violations if one.base_image is of_base]) for image in chosen]
        for of_base in (False, True)
    )
    others = [tuple(_others(image, rows)) for image in chosen]
    return tuple(_section(*parts, run, detail) for parts in zip(chosen, own, base, others, strict=True))


def _title(run: RunResult) -> str:
    """Name what was judged: the image, or how many images came to which verdict; without an image, what the exit code means."""
    if not run.images:
        return f"exit code {int(run.exit_code)}, {run.exit_code.name}"
    if len(run.images) == 1:
        return short(run.images[0])
    counts = Counter(image.status for image in run.images)
    return f"{len(run.images)} images: " + ", ".join(f"{counts[status]} {status}" for status in _WORST_FIRST if counts[status])


def _foremost(run: RunResult) -> ImageResult | None:
    """Return the image that :func:`_why` and the next step of the run speak of, if it is one."""
    if not run.images or run_cause(run):
        return None
    worst = worst_image(run)
    return worst if len(run.images) == 1 or worst.status is not Status.PASSED or worst.verdict.violations else None


def _why(run: RunResult) -> str:
    """Say why the run has its verdict, without what :func:`_title` says."""
    image = _foremost(run)
    if image is None:
        return headline(run) if run.status is not Status.PASSED else f"all {many(len(run.images), 'image')} passed"
    return reason(image) if len(run.images) == 1 else f"{short(image)}: {reason(image)}"


def _others(result: ImageResult, rows: _Rows) -> Iterator[tuple[str, Table]]:
    """Return a table for each decision but violation that some finding has."""
    by_outcome: dict[Outcome, list[Decision]] = {}
    for decision in result.verdict.decisions:
        by_outcome.setdefault(decision.outcome, []).append(decision)
    for outcome, word, _ in decided(result):
        yield word, rows.table(by_outcome[outcome])


def _section(
    result: ImageResult, own: Table, base: Table, others: tuple[tuple[str, Table], ...], run: RunResult, detail: Detail
) -> Section:
    said = frozenset(run.causes)
    causes = tuple(cause for cause in result.causes if cause not in said)
    shown = causes[: detail.causes]
    return Section(run, result, shown, len(causes) - len(shown), own, base, others)


def _tally(states: Iterable[str]) -> str:
    return ", ".join(f"{number} {state}" for state, number in Counter(states).items())
