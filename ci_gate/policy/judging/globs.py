"""Patterns for paths and images, and an index that finds those that fit a text. Pure.

A pattern is split at ``/``. Within a segment ``*``, ``?`` and ``[…]`` mean what they mean in a shell; a segment ``**`` stands for any
number of segments. Matching takes no longer than length of the text times length of the pattern, however hostile the text is.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from ci_gate.policy.judging.keys import is_glob

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

T = TypeVar("T")

_ANY_SEGMENTS = "**"
_WILD = re.compile(r"\[!?+\]?+[^]]*+\]|[*?]")  # an opening bracket that nothing closes is a literal, as fnmatch has it


def wild_only(text: str) -> bool:
    """Tell whether a pattern of a path or an image has no literal character, and so names nothing."""
    return not any("".join(_literals(segment)) for segment in text.split("/"))


_Block = tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True, eq=False)  # found by identity: a hash over all of it would cost more than to match
class Glob:
    """One pattern, parsed. ``blocks`` are the segments between the ``**``: one block where there is none.

    Beside each segment stands whether it is a pattern itself.
    """

    text: str
    blocks: tuple[_Block, ...]

    @classmethod
    def parse(cls, text: str) -> Glob:
        """Parse a pattern.

        :raises ValueError: if the text is empty, or ``**`` is only a part of a segment; says which segment.
        """
        return _parse(text)

    @property
    def is_literal(self) -> bool:
        """Whether only the identical text fits."""
        return not is_glob(self.text)

    def matches(self, text: str) -> bool:
        """Tell whether a text fits. One with an empty, ``.`` or ``..`` segment fits only where it is the pattern, letter by letter."""
        if text == self.text:
            return True
        segments = split(text)
        return segments is not None and not self.is_literal and self.fits(segments)

    def fits(self, segments: Sequence[str]) -> bool:
        """Tell whether the segments that :func:`split` made fit."""
        first, last = self.blocks[0], self.blocks[-1]
        if len(self.blocks) == 1:
            return len(segments) == len(first) and _fit_at(first, segments, 0)
        end = len(segments) - len(last)
        if end < len(first) or not _fit_at(last, segments, end) or not _fit_at(first, segments, 0):
            return False
        at = len(first)
        for block in self.blocks[1:-1]:  # the leftmost place of a block leaves the most room for those behind it
            found = next((start for start in range(at, end - len(block) + 1) if _fit_at(block, segments, start)), None)
            if found is None:
                return False
            at = found + len(block)
        return True


def split(text: str) -> list[str] | None:
    """Return the segments of a text, or ``None`` where it is one that no pattern may match: ``/a/../b`` is not below ``/a``."""
    segments = text.split("/")
    if "" in segments[1:] or "." in segments or ".." in segments or not text:
        return None
    return segments


@lru_cache(maxsize=16_384)
def _parse(text: str) -> Glob:
    if not text:
        raise ValueError("an empty pattern fits nothing")
    segments = text.split("/")
    for segment in segments:
        if _ANY_SEGMENTS in segment and segment != _ANY_SEGMENTS:
            raise ValueError(f"** stands for whole segments, and is only a part of {segment[:64]!r}")
    if segments[-1] == _ANY_SEGMENTS:  # at the end it stands for one or more: a folder is not below itself
        segments.append("*")
    blocks: list[list[tuple[str, bool]]] = [[]]
    for segment in segments:
        if segment == _ANY_SEGMENTS:
            blocks.append([])
        else:
            blocks[-1].append((segment, is_glob(segment)))
    # Of several ** in a row one is enough; the first and the last block stay, they are bound to the ends.
    return Glob(text, tuple(tuple(block) for i, block in enumerate(blocks) if block or i in {0, len(blocks) - 1}))


def _fit_at(block: _Block, segments: Sequence[str], start: int) -> bool:
    """Tell whether the segments from a place on fit a block. The empty one before a leading slash is no name: no sign stands for it."""
    for offset, (wanted, wild) in enumerate(block, start):
        segment = segments[offset]
        if wanted != segment and not (wild and segment and _fits_segment(wanted, segment)):
            return False
    return True


def _fits_segment(wanted: str, segment: str) -> bool:
    pieces = _between_stars(wanted)
    if not pieces:
        return _regex(wanted).match(segment) is not None
    at, end = len(pieces[0]), len(segment) - len(pieces[-1])
    if end < at or not segment.startswith(pieces[0]) or not segment.endswith(pieces[-1]):
        return False
    for piece in pieces[1:-1]:  # the leftmost place of a piece leaves the most room; long pieces are found in linear time, unlike by `re`
        found = segment.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


@lru_cache(maxsize=16_384)
def _between_stars(segment: str) -> tuple[str, ...]:
    """Return the literal pieces of a segment whose only signs are stars; nothing for another one."""
    return () if "?" in segment or "[" in segment else tuple(segment.split("*"))


@lru_cache(maxsize=16_384)
def _regex(segment: str) -> re.Pattern[str]:
    """Return a segment as an expression. Those of ``fnmatch`` are atomic: they never try a star twice."""
    return re.compile(translate(segment))


def _literals(segment: str) -> list[str]:
    """Return the literal pieces of a segment: the first before its first sign, the last behind its last one."""
    return _WILD.split(segment)


class _Needle(NamedTuple):
    """A literal text that every path must hold that fits a pattern: as a whole segment, at the head of one, or anywhere inside one."""

    kind: int
    text: str


_WHOLE, _HEAD, _INSIDE = range(3)  # the cheapest to look up first
_GRAM = 4
_FEW = 32  # so many searches of a segment cost less than to cut it into all its pieces of one length
_MAX_FOLDERS = 16_384
_NOTHING: tuple[Glob, ...] = ()


def _needles(glob: Glob) -> Iterator[_Needle]:
    for segment in (segment for block in glob.blocks for segment, _ in block):
        head, *rest = _literals(segment)
        if not rest:
            if head:
                yield _Needle(_WHOLE, head)
            continue
        if head:
            yield _Needle(_HEAD, head)
        for piece in rest:  # any part of it will do: of one length they are looked up in one go
            size = min(len(piece), _GRAM)
            yield from (_Needle(_INSIDE, piece[start : start + size]) for start in range(len(piece) - size + 1) if size)


class GlobIndex(Generic[T]):
    """Many patterns, each with a value; finds the values of those that fit a path without trying them all.

    A pattern is filed under one literal text that its paths must hold, the one that the fewest of the others share.
    """

    def __init__(self, entries: Iterable[tuple[str, T]]) -> None:
        """Build from pairs of pattern and value.

        :raises ValueError: if one of the patterns is none.
        """
        self._exact: dict[str, list[T]] = {}
        for text, value in entries:
            self._exact.setdefault(text, []).append(value)
        globs = [glob for glob in map(Glob.parse, self._exact) if not glob.is_literal]
        shared = Counter(needle for glob in globs for needle in set(_needles(glob)))
        self._filed: tuple[dict[str, list[Glob]], ...] = ({}, {}, {})
        self._unfiled: list[Glob] = []
        for glob in globs:
            best = min(_needles(glob), key=lambda needle: (shared[needle], needle.kind, -len(needle.text)), default=None)
            if best is None:
                self._unfiled.append(glob)
            else:
                self._filed[best.kind].setdefault(best.text, []).append(glob)
        self._head_lengths = sorted({len(text) for text in self._filed[_HEAD]})
        self._inside_lengths = sorted({len(text) for text in self._filed[_INSIDE]})
        self._few_inside = len(self._filed[_INSIDE]) <= _FEW * len(self._inside_lengths)
        self._has_globs = bool(globs)
        self._of_folder: dict[str, list[Glob]] = {}

    def find(self, path: str) -> list[T]:
        """Return the values of every pattern that a path fits; a value with several such patterns is there several times."""
        found = list(self._exact.get(path, ()))
        segments = split(path) if self._has_globs else None
        if segments is not None:
            for glob in dict.fromkeys(self._candidates(segments)):
                if glob.text != path and glob.fits(segments):
                    found += self._exact[glob.text]
        return found

    def _candidates(self, segments: Sequence[str]) -> list[Glob]:
        candidates = list(self._unfiled)
        for folder in segments[:-1]:
            filed = self._of_folder.get(folder)
            if filed is None:
                filed = self._filed_under(folder)
                if len(self._of_folder) < _MAX_FOLDERS:  # folders occur again and again, names of files do not
                    self._of_folder[folder] = filed
            candidates += filed
        return candidates + self._filed_under(segments[-1])

    def _filed_under(self, segment: str) -> list[Glob]:
        whole, head, inside = self._filed
        places = [whole.get(segment, _NOTHING)]
        places += [head.get(segment[:length], _NOTHING) for length in self._head_lengths]
        if self._few_inside:
            places += [globs for piece, globs in inside.items() if piece in segment]
            return [glob for place in places for glob in place]
        for length in self._inside_lengths:
            starts = range(len(segment) - length + 1)
            places += [inside[piece] for piece in {segment[start : start + length] for start in starts} & inside.keys()]
        return [glob for place in places for glob in place]
