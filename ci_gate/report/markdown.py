"""The Markdown summary, through ``jinja2``: what people read in a pull request."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from ci_gate.model import ProofState
from ci_gate.report.text import printable
from ci_gate.report.words import (
    BASE_LAYERS,
    OWN_LAYERS,
    baseline_is_due,
    baseline_line,
    baselines_of,
    compared,
    count,
    decided,
    headline,
    layer,
    mixed,
    next_step,
    reason,
    run_next_step,
    short,
    waiver_is_due,
    waiver_line,
    waivers_of,
    warned,
)
from ci_gate.verdict import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jinja2 import Template

    from ci_gate.errors import Cause
    from ci_gate.verdict import BaselineUse, Decision, FloorSummary, ImageResult, Outcome, RunResult, WaiverUse

# GitHub drops a step summary over 1 MiB whole; GitLab ends comments at 1,000,000 characters.
MAX_BYTES = 1_000_000
_BADGES = {Status.PASSED: "✅ Passed", Status.BLOCKED: "❌ Blocked", Status.UNDECIDED: "⚠️ Undecided"}
_PROOFS = {ProofState.HELD: "✅", ProofState.FAILED: "❌", ProofState.UNKNOWN: "⚠️", ProofState.NOT_ASKED: "·"}
_WORST_FIRST = (Status.BLOCKED, Status.UNDECIDED, Status.PASSED)
_TOP_KEYS = 10
_REQUEST_IDS = 100
_FLOORS = 20
_TEXT = 2_000  # most characters of one text of the data
_NOTICE = "\n\n… cut here: the whole is in the JSON report.\n"
# What Markdown, and GitHub's and GitLab's extensions of it, give a meaning wherever it stands: escapes, code, emphasis, links, images,
# table cells, HTML, strike-through, mathematics, references to issues (#) and merge requests (!), emoji (:).
_ACTIVE = str.maketrans({char: f"&#{ord(char)};" for char in '\\`*[]|<>~&"$!'})
# These are searched for in the rendered page, where entities are resolved: mentions, addresses of mail, bare URLs, numbers of
# issues, emoji (`10:00:00` is none). An element around the character keeps them apart; its text stays what it is.
_SEARCHED = re.compile(r"@|:(?=//)|(?<=www)\.|#(?=\d)|:(?=[a-z0-9_+-]*[a-z_+-][a-z0-9_+-]*:)", re.IGNORECASE)
_EMPHASIS = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")  # inside a word it is none


@dataclass(frozen=True, slots=True)
class Detail:
    """How much to show: findings over all images, images with a section of their own, causes a list, waivers and baselines."""

    rows: int
    images: int
    causes: int
    waivers: int


# Tried in turn until one fits.
_DETAILS = (
    Detail(2_000, 200, 50, 500),
    Detail(500, 100, 50, 100),
    Detail(100, 50, 20, 50),
    Detail(20, 10, 10, 10),
    Detail(5, 3, 3, 3),
    Detail(0, 0, 1, 0),
)


def render_markdown(run: RunResult, *, limit: int = MAX_BYTES) -> str:
    """Render a run as GitHub-flavoured Markdown.

    :param limit: most bytes (UTF-8) of the text; what is left out is counted in it.
    """
    text = ""
    for detail in _DETAILS:
        text = _template().render(run=run, view=_View.of(run, detail))
        if len(text.encode("utf-8")) <= limit:
            return text
    room = limit - len(_NOTICE.encode("utf-8"))
    return text.encode("utf-8")[:room].decode("utf-8", "ignore") + _NOTICE


def markdown_parts(run: RunResult) -> Iterator[str]:
    """Return what :func:`render_markdown` does, as one part: it is small."""
    yield render_markdown(run)


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("ci_gate.report"),
        autoescape=False,  # noqa: S701 - the output is Markdown: every value goes through `plain` or `code`
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(plain=plain, code=code)
    environment.globals.update(count=count, own_layers=OWN_LAYERS, base_layers=BASE_LAYERS)
    return environment.get_template("summary.md.j2")


def plain(text: object, limit: int = _TEXT) -> str:
    """Escape a text so that it is shown as it is, on one line, and nothing in it is a link, a mention, an image or markup."""
    return _escape(text, limit, "code")


def code(text: object, limit: int = _TEXT) -> str:
    """Show a text in a code font, harmless also in a table: a code span of Markdown cannot hold ``|`` or backticks, HTML can."""
    return f"<code>{_escape(text, limit, 'span')}</code>" if text else ""


def _escape(text: object, limit: int, element: str) -> str:
    # Entities hold a `#` with a digit behind it: so what is searched for comes first, and what is between becomes entities.
    parts, start = [], 0
    shown = printable(str(text), limit)
    for match in _SEARCHED.finditer(shown):
        parts += [_entities(shown[start : match.start()]), f"<{element}>&#{ord(match[0])};</{element}>"]
        start = match.end()
    return "".join((*parts, _entities(shown[start:])))


def _entities(text: str) -> str:
    return _EMPHASIS.sub("&#95;", text.translate(_ACTIVE))


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


@dataclass(frozen=True, slots=True)
class Section:
    """What is shown of one image."""

    result: ImageResult
    badge: str
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
        return next_step(self.result)

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


@dataclass(frozen=True, slots=True)
class _View:
    """What the template shows of a run."""

    run: RunResult
    sections: tuple[Section, ...]
    causes: tuple[Cause, ...] = ()
    request_ids: tuple[str, ...] = ()
    waivers: tuple[WaiverUse, ...] = ()
    baselines: tuple[BaselineUse, ...] = ()
    warned: int = 0
    detail: Detail = _DETAILS[0]

    @classmethod
    def of(cls, run: RunResult, detail: Detail) -> _View:
        return cls(
            run,
            _sections(run, detail),
            run.causes[: detail.causes],
            run.request_ids[:_REQUEST_IDS] if detail.images else (),
            waivers_of(run),
            baselines_of(run),
            warned(run),
            detail,
        )

    @property
    def badge(self) -> str:
        source = "" if self.run.source.kind == "live" else f" ({plain(self.run.source.kind.upper(), 20)})"
        warned = f" (warn mode: {count(self.warned, 'violation')} would block)" if self.warned and self.run.status is Status.PASSED else ""
        return _BADGES[self.run.status] + source + warned

    @property
    def headline(self) -> str:
        return headline(self.run)

    @property
    def next_step(self) -> str:
        return run_next_step(self.run)

    @property
    def more_images(self) -> int:
        return len(self.run.images) - len(self.sections)

    @property
    def floors(self) -> tuple[FloorSummary, ...]:
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

    def proof_mark(self, state: ProofState) -> str:
        return _PROOFS[state]

    def layer(self, decision: Decision) -> str:
        return layer(decision.finding.layer_digest)


def _sections(run: RunResult, detail: Detail) -> tuple[Section, ...]:
    """Choose the images to show, the worst where not all are, in the order that they were asked in."""
    worst = sorted(range(len(run.images)), key=lambda number: _WORST_FIRST.index(run.images[number].status))
    chosen = [run.images[number] for number in sorted(worst[: detail.images])]
    rows = _Rows(detail.rows)
    own, base = (
        [rows.table([one for one in image.verdict.violations if one.base_image is of_base]) for image in chosen]
        for of_base in (False, True)
    )
    others = [tuple(_others(image, rows)) for image in chosen]
    return tuple(_section(*parts, run, detail) for parts in zip(chosen, own, base, others, strict=True))


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
    return Section(result, _BADGES[result.status], shown, len(causes) - len(shown), own, base, others)
