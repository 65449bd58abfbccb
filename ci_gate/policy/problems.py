"""What is wrong with a document, where, and what was meant: problems that become causes of exit code 3."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from ci_gate.errors import Cause, ExitCode, InvalidDocumentError
from ci_gate.model import many

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

MAX_CAUSES = 50  # nobody mends more than that in one go, and a hostile file must not cost minutes
MAX_EXCERPT = 120
FieldPath = tuple[str | int, ...]  # names of fields and numbers of entries, from the top of a document
_LINE_END = re.compile(r"\r\n?|\n")
_MAX_KNOWN = 500  # words among which the one that was meant is looked for
_MAX_GUESSED = 64  # difflib is quadratic


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. ``index`` is the offset in characters in the text of the document.

    ``word`` is what was written where one of ``known`` was wanted: the one that was meant is guessed when the mistake is told, and not
    before, for a guess is slow and most mistakes of a hostile file are never told.
    """

    index: int
    what: str
    advice: str
    word: str = field(default="", compare=False)
    known: Collection[str] = field(default=(), compare=False)


@dataclass(frozen=True)
class Document:
    """A text and where it came from, as it is shown to the user."""

    origin: str
    text: str

    @cached_property
    def starts(self) -> list[int]:
        """Offsets of the first character of every line: for looking up many of them in a text that is not large."""
        return [0, *(end.end() for end in _LINE_END.finditer(self.text))]

    def line(self, index: int) -> int:
        """Return the number of the line that holds an offset, from 1. YAML ends lines with LF, CR or both."""
        text = self.text
        ends = text.count("\n", 0, index) + text.count("\r", 0, index) - text.count("\r\n", 0, index)
        between = text[index - 1 : index + 1] == "\r\n" and index > 0  # the line ends behind the two
        return 1 + ends - between

    def place(self, index: int) -> str:
        """Return ``FILE:LINE:COLUMN`` of an offset, both counted from 1."""
        return f"{self.origin}:{self.line(index)}:{index - self._start(index) + 1}"

    def line_at(self, index: int) -> str:
        """Return the line that holds an offset, cut."""
        start = self._start(index)
        column = index - start
        if column > MAX_EXCERPT - 20:  # a long line: show the part that matters
            start = index - 20
        window = self.text[start : start + 2 * MAX_EXCERPT].split("\n", 1)[0].split("\r", 1)[0]
        return excerpt(window.strip(), MAX_EXCERPT)

    def _start(self, index: int) -> int:
        """Return the offset of the first character of the line that holds an offset."""
        end = index - 1 if index > 0 and self.text[index - 1 : index + 1] == "\r\n" else index
        return max(self.text.rfind("\n", 0, end), self.text.rfind("\r", 0, end)) + 1

    def error(self, problems: Iterable[Problem]) -> InvalidDocumentError:
        """Return one error that holds every problem, in the order of the text."""
        unique = sorted(dict.fromkeys(problems), key=lambda p: (p.index, p.what))
        causes = [self._cause(problem) for problem in unique[:MAX_CAUSES]]
        if len(unique) > MAX_CAUSES:
            rest = len(unique) - MAX_CAUSES
            more = f"and {many(rest, 'more mistake')}, not shown"
            causes.append(Cause(ExitCode.POLICY_INVALID, more, "Mend those above first.", where=self.place(unique[MAX_CAUSES].index)))
        return InvalidDocumentError.of(causes)

    def _cause(self, problem: Problem) -> Cause:
        line = self.line_at(problem.index)
        shown = f"{problem.what}; the line: {line}" if line else problem.what
        advice = did_you_mean(problem.word, problem.known) + problem.advice
        return Cause(ExitCode.POLICY_INVALID, shown, advice, where=self.place(problem.index))


def excerpt(text: str, limit: int) -> str:
    """Return at most ``limit`` characters of a text, as they are: what is hostile in it is escaped once, where it is shown."""
    return text[:limit] + ("…" if len(text) > limit else "")


def quoted(text: str) -> str:
    """Return a word of the document for use in a sentence."""
    return f"'{excerpt(text, _MAX_GUESSED)}'"


def shown(path: FieldPath) -> str:
    """Return a path into a document as a reader counts: ``overrides, entry 2, thresholds.high``."""
    words = ""
    for before, part in zip(("", *path), path, strict=False):
        if isinstance(part, int):
            words += f", entry {part + 1}"
        elif words:
            words += f"{', ' if isinstance(before, int) else '.'}{part}"
        else:
            words = part
    return words or "the policy"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``Did you mean 'X'? `` (with its space) where something known is close to ``word``, else nothing."""
    if not word or len(word) > _MAX_GUESSED:
        return ""
    first = word[:1].lower()
    likely = sorted(known, key=lambda candidate: (candidate[:1].lower() != first, candidate))[:_MAX_KNOWN]
    folded = {candidate.lower(): candidate for candidate in likely}
    close = difflib.get_close_matches(word.lower(), list(folded), n=1, cutoff=0.6)
    return f"Did you mean '{folded[close[0]]}'? " if close else ""
