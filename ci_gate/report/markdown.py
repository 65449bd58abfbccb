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
from ci_gate.report.words import headline, next_step, reason, run_next_step, short
from ci_gate.verdict import Outcome, Status

if TYPE_CHECKING:
    from jinja2 import Template

    from ci_gate.errors import Cause
    from ci_gate.verdict import Decision, ImageResult, RunResult

# GitHub drops a step summary over 1 MiB whole. Rows are left out, and counted, until the rest fits.
MAX_BYTES = 900_000
_ROWS = (2_000, 500, 100, 20, 0)
_BADGES = {Status.PASSED: "✅ Passed", Status.BLOCKED: "❌ Blocked", Status.UNDECIDED: "⚠️ Undecided"}
_PROOFS = {ProofState.HELD: "✅", ProofState.FAILED: "❌", ProofState.UNKNOWN: "⚠️", ProofState.NOT_ASKED: "-"}
# What Markdown, and GitHub's and GitLab's extensions of it, give a meaning wherever it stands: escapes, code, emphasis, links, images,
# table cells, HTML, strike-through, mentions, mathematics, references to issues (#) and merge requests (!).
_ACTIVE = str.maketrans({char: f"&#{ord(char)};" for char in '\\`*[]|<>~@&"$#!'})
# A `_` inside a word is no emphasis; `://` and `www.` are links without any markup.
_ACTIVE_PAIRS = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|:(?=//)|(?<=www)\.", re.IGNORECASE)


def render_markdown(run: RunResult) -> str:
    """Render a run as GitHub-flavoured Markdown, at most 900 kB."""
    for rows in _ROWS:
        text = _template().render(run=run, view=_View(run, rows))
        if len(text.encode("utf-8")) <= MAX_BYTES:
            return text
    return text[: MAX_BYTES // 4] + "\n\n… this summary was too long and is cut here; the JSON report holds everything.\n"


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
    return environment.get_template("summary.md.j2")


def plain(text: object) -> str:
    """Escape a text so that it is shown as it is, on one line, and nothing in it is a link, a mention, an image or markup."""
    return _ACTIVE_PAIRS.sub(lambda match: f"&#{ord(match[0])};", printable(str(text)).translate(_ACTIVE))


def code(text: object) -> str:
    """Show a text in a code font, harmless also in a table: a code span of Markdown cannot hold ``|`` or backticks, HTML can."""
    return f"<code>{plain(text)}</code>" if text else ""


@dataclass(frozen=True, slots=True)
class KeyGroup:
    """The findings of one key that have one decision."""

    key: str
    name: str
    decisions: tuple[Decision, ...]
    shown: tuple[Decision, ...]

    @property
    def more(self) -> int:
        """How many are left out."""
        return len(self.decisions) - len(self.shown)


@dataclass(frozen=True, slots=True)
class _View:
    """What the template shows of a run. ``rows`` is the most findings to list an image."""

    run: RunResult
    rows: int

    @property
    def badge(self) -> str:
        warned = self.run.status is Status.PASSED and any(image.verdict.violations for image in self.run.images)
        return _BADGES[self.run.status] + (" (warn mode: it would be blocked)" if warned else "")

    @property
    def headline(self) -> str:
        return headline(self.run)

    @property
    def next_step(self) -> str:
        return run_next_step(self.run)

    def image_badge(self, image: ImageResult) -> str:
        return _BADGES[image.status]

    def unsaid_causes(self, image: ImageResult) -> list[Cause]:
        return [cause for cause in image.causes if cause not in self.run.causes]

    def short(self, image: ImageResult) -> str:
        return short(image)

    def reason(self, image: ImageResult) -> str:
        return reason(image)

    def image_next_step(self, image: ImageResult) -> str:
        return next_step(image)

    def proof_mark(self, state: ProofState) -> str:
        return _PROOFS[state]

    def layer(self, decision: Decision) -> str:
        return decision.finding.layer_digest.removeprefix("sha256:")[:12]  # as docker shows it

    def violations(self, image: ImageResult) -> list[KeyGroup]:
        return self._groups(image.verdict.violations)

    def others(self, image: ImageResult) -> list[KeyGroup]:
        return self._groups(tuple(d for d in image.verdict.decisions if d.outcome is not Outcome.VIOLATION))

    def counts(self, image: ImageResult) -> list[tuple[str, int]]:
        decided = Counter(decision.outcome for decision in image.verdict.decisions)
        return [(str(outcome), decided[outcome]) for outcome in Outcome]

    def _groups(self, decisions: tuple[Decision, ...]) -> list[KeyGroup]:
        """Group by key, most findings first; rows are given out in turn until there are none left."""
        by_key: dict[str, list[Decision]] = {}
        for decision in decisions:
            by_key.setdefault(decision.finding.key, []).append(decision)
        left = self.rows
        groups = []
        for key, members in sorted(by_key.items(), key=lambda item: (-len(item[1]), item[0])):
            take = min(len(members), max(0, left))
            left -= take
            groups.append(KeyGroup(key, members[0].finding.name, tuple(members), tuple(members[:take])))
        return groups
