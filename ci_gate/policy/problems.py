"""What is wrong with a document, where, and what was meant: problems that become causes of exit code 3."""

from __future__ import annotations

import difflib
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ci_gate.errors import Cause, ExitCode, InvalidDocumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_CAUSES = 50  # nobody mends more than that in one go, and a hostile file must not cost minutes
MAX_EXCERPT = 120
_MAX_GUESSED = 64  # difflib is quadratic


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. ``index`` is the offset in characters in the text of the document."""

    index: int
    what: str
    advice: str


@dataclass(frozen=True)
class Document:
    """A text and where it came from, as it is shown to the user."""

    origin: str
    text: str

    @cached_property
    def starts(self) -> list[int]:
        """Offsets of the first character of every line; YAML ends lines with LF, CR or both."""
        text = self.text
        return [0, *(i + 1 for i, char in enumerate(text) if char == "\n" or (char == "\r" and text[i + 1 : i + 2] != "\n"))]

    def place(self, index: int) -> str:
        """Return ``FILE:LINE:COLUMN`` of an offset, both counted from 1."""
        line = bisect_right(self.starts, index)
        return f"{self.origin}:{line}:{index - self.starts[line - 1] + 1}"

    def line_at(self, index: int) -> str:
        """Return the line that holds an offset, cut."""
        start = self.starts[bisect_right(self.starts, index) - 1]
        column = index - start
        if column > MAX_EXCERPT - 20:  # a long line: show the part that matters
            start = index - 20
        window = self.text[start : start + 2 * MAX_EXCERPT].split("\n", 1)[0].split("\r", 1)[0]
        return excerpt(window.strip(), MAX_EXCERPT)

    def error(self, problems: Iterable[Problem]) -> InvalidDocumentError:
        """Return one error that holds every problem, in the order of the text."""
        unique = sorted(dict.fromkeys(problems), key=lambda p: (p.index, p.what))
        causes = [self._cause(problem) for problem in unique[:MAX_CAUSES]]
        if len(unique) > MAX_CAUSES:
            rest = len(unique) - MAX_CAUSES
            more = f"and {rest} more mistakes, not shown"
            causes.append(Cause(ExitCode.POLICY_INVALID, more, "Mend those above first.", where=self.place(unique[MAX_CAUSES].index)))
        return InvalidDocumentError.of(causes)

    def _cause(self, problem: Problem) -> Cause:
        line = self.line_at(problem.index)
        shown = f"{problem.what}; the line: {line}" if line else problem.what
        return Cause(ExitCode.POLICY_INVALID, shown, problem.advice, where=self.place(problem.index))


def excerpt(text: str, limit: int) -> str:
    """Return at most ``limit`` characters of a text, as they are: what is hostile in it is escaped once, where it is shown."""
    return text[:limit] + ("…" if len(text) > limit else "")


def quoted(text: str) -> str:
    """Return a word of the document for use in a sentence."""
    return f"'{excerpt(text, _MAX_GUESSED)}'"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``Did you mean 'X'? `` (with its space) where something known is close to ``word``, else nothing."""
    if len(word) > _MAX_GUESSED:
        return ""
    folded = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(word.lower(), list(folded), n=1, cutoff=0.6)
    return f"Did you mean '{folded[close[0]]}'? " if close else ""
