"""The Markdown summary, through ``jinja2``: what people read in a pull request."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from ci_gate.model import ProofState, many
from ci_gate.report.text import printable
from ci_gate.report.view import Detail, Section, View
from ci_gate.report.words import BASE_LAYERS, OWN_LAYERS
from ci_gate.verdict import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jinja2 import Template

    from ci_gate.verdict import RunResult

# GitHub drops a step summary over 1 MiB whole; GitLab ends comments at 1,000,000 characters.
MAX_BYTES = 1_000_000
MAX_COMMENT = 65_000  # bytes; a comment on GitHub may have 65,536 characters
_BADGES = {Status.PASSED: "✅ Passed", Status.BLOCKED: "❌ Blocked", Status.UNDECIDED: "⚠️ Undecided"}
_PROOFS = {ProofState.HELD: "✅", ProofState.FAILED: "❌", ProofState.UNKNOWN: "⚠️", ProofState.NOT_ASKED: "·"}
_TEXT = 2_000  # most characters of one text of the data
_NOTICE = "\n\n… cut here: the whole is in the JSON report.\n"
# What Markdown, and GitHub's and GitLab's extensions of it, give a meaning wherever it stands: escapes, code, emphasis, links, images,
# table cells, HTML, strike-through, mathematics, references to issues (#) and merge requests (!), emoji (:).
_ACTIVE = str.maketrans({char: f"&#{ord(char)};" for char in '\\`*[]|<>~&"$!'})
# These are searched for in the rendered page, where entities are resolved: mentions, addresses of mail, bare URLs, numbers of
# issues, emoji (`10:00:00` is none). An element around the character keeps them apart; its text stays what it is.
_SEARCHED = re.compile(r"@|:(?=//)|(?<=www)\.|#(?=\d)|:(?=\d*[a-z_+-][a-z0-9_+-]*:)", re.IGNORECASE)
_EMPHASIS = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")  # inside a word it is none
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


def comment_parts(run: RunResult) -> Iterator[str]:
    """Return the summary within what a comment on GitHub may have."""
    yield render_markdown(run, limit=MAX_COMMENT)


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
    environment.globals.update(many=many, own_layers=OWN_LAYERS, base_layers=BASE_LAYERS)
    return environment.get_template("summary.md.j2")


def plain(text: object, limit: int = _TEXT) -> str:
    """Escape a text so that it is shown as it is, on one line, and nothing in it is a link, a mention, an image or markup.

    A word that GitHub or GitLab would search for one of these is in a code font: whole, so that a reference can be read and copied.
    """
    shown = printable(str(text), limit)
    if not _SEARCHED.search(shown):
        return _entities(shown)
    return " ".join(_word(word) if _SEARCHED.search(word) else _entities(word) for word in shown.split(" "))


def code(text: object, limit: int = _TEXT) -> str:
    """Show a text in a code font, harmless also in a table: a code span of Markdown cannot hold ``|`` or backticks, HTML can."""
    return f"<code>{_unsearched(printable(str(text), limit))}</code>" if text else ""


def _word(word: str) -> str:
    """Show a word in a code font, without the punctuation of its sentence."""
    bare = word.lstrip("(").rstrip(".,;)")
    before, _, after = word.partition(bare)
    return f"{before}<code>{_unsearched(bare)}</code>{after}"


def _unsearched(shown: str) -> str:
    # Entities hold a `#` with a digit behind it: so what is searched for comes first, and what is between becomes entities.
    parts, start = [], 0
    for match in _SEARCHED.finditer(shown):
        parts += [_entities(shown[start : match.start()]), f"<span>&#{ord(match[0])};</span>"]
        start = match.end()
    return "".join((*parts, _entities(shown[start:])))


def _entities(text: str) -> str:
    return _EMPHASIS.sub("&#95;", text.translate(_ACTIVE))


class _View(View):
    """What the template shows of a run, with marks."""

    @property
    def badge(self) -> str:
        source = f" ({plain(self.stand_in, 40)})" if self.stand_in else ""
        warned = f" (warn mode: {many(self.warned, 'violation')} would block)" if self.warned and self.run.status is Status.PASSED else ""
        return _BADGES[self.run.status] + source + warned

    def image_badge(self, section: Section) -> str:
        return _BADGES[section.result.status]

    def proof_mark(self, state: ProofState) -> str:
        return _PROOFS[state]
