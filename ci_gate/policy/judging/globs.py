"""Patterns for paths and images, and an index that finds those that fit a text. Pure.

A pattern is split at ``/``. Within a segment ``*``, ``?`` and ``[…]`` mean what they mean in a shell; a segment ``**`` stands for any
number of segments. Matching takes no longer than length of the text times length of the pattern, however hostile the text is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from itertools import chain
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


_Test = Callable[[str], bool]  # tells whether a segment fits
_Block = tuple[_Test, ...]


@dataclass(frozen=True, slots=True, eq=False)  # found by identity: a hash over all of it would cost more than to match
class Glob:
    """One pattern, parsed: what its folders are, and what its last segment is, which is never ``**``.

    ``folders`` are the segments between the ``**``: one block where there is none.
    """

    text: str
    folders: tuple[_Block, ...]
    fits_name: _Test

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
        return segments is not None and not self.is_literal and self.fits_name(segments.pop()) and self.fits_folders(segments)

    def fits_folders(self, segments: Sequence[str]) -> bool:
        """Tell whether the segments that :func:`split` made, less the last one, fit."""
        first, last = self.folders[0], self.folders[-1]
        if len(self.folders) == 1:
            return len(segments) == len(first) and _fit_at(first, segments, 0)
        end = len(segments) - len(last)
        if end < len(first) or (last and not _fit_at(last, segments, end)) or (first and not _fit_at(first, segments, 0)):
            return False
        at = len(first)
        for block in self.folders[1:-1]:  # the leftmost place of a block leaves the most room for those behind it
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
    blocks: list[list[_Test]] = [[]]
    for segment in segments:
        if segment == _ANY_SEGMENTS:
            blocks.append([])
        else:
            blocks[-1].append(_test(segment))
    fits_name = blocks[-1].pop()
    # Of several ** in a row one is enough; the first and the last block stay, they are bound to the ends.
    return Glob(text, tuple(tuple(block) for i, block in enumerate(blocks) if block or i in {0, len(blocks) - 1}), fits_name)


def _fit_at(block: _Block, segments: Sequence[str], start: int) -> bool:
    """Tell whether the segments from a place on fit a block."""
    return all(fits(segments[offset]) for offset, fits in enumerate(block, start))


def _test(segment: str) -> _Test:
    """Return the test of one segment. The empty one before a leading slash is no name: no sign stands for it."""
    if not is_glob(segment):
        return lambda text: text == segment
    if "?" in segment or "[" in segment:
        return lambda text: text == segment or _regex(segment).match(text) is not None
    head, *middle, tail = segment.split("*")
    least = max(len(head) + len(tail), 1)

    def fits(text: str) -> bool:
        if len(text) < least or not text.startswith(head) or not text.endswith(tail):
            return False
        at, end = len(head), len(text) - len(tail)
        for piece in middle:  # the leftmost place leaves the most room; long pieces are found in linear time, unlike by `re`
            found = text.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True

    return fits


@lru_cache(maxsize=16_384)
def _regex(segment: str) -> re.Pattern[str]:
    """Return a segment as an expression. Those of ``fnmatch`` are atomic: they never try a star twice."""
    return re.compile(translate(segment))


def _literals(segment: str) -> list[str]:
    """Return the literal pieces of a segment: the first before its first sign, the last behind its last one."""
    return _WILD.split(segment)


class _Needle(NamedTuple):
    """A literal text that every path must hold that fits a pattern: as a whole segment, at the head of one, or anywhere inside one.

    ``in_name``: the segment is the last one, the name of the file; otherwise it is one of the folders.
    """

    in_name: bool
    kind: int
    text: str


_WHOLE, _HEAD, _INSIDE = range(3)  # the cheapest to look up first
_GRAM = 4
_FEW = 32  # so many searches of a segment cost less than to cut it into all its pieces of one length
_MAX_FOLDERS = 256  # findings come sorted by path: the files of a folder one after the other
_MAX_SEGMENTS = 4_096
_NO_NAMES = frozenset({"", ".", ".."})


def _needles(glob: Glob) -> Iterator[_Needle]:
    segments = glob.text.split("/")
    for place, segment in enumerate(segments, start=1):
        in_name = place == len(segments)
        head, *rest = _literals(segment)
        if not rest:
            if head:
                yield _Needle(in_name, _WHOLE, head)
            continue
        if head:
            yield _Needle(in_name, _HEAD, head)
        for piece in rest:  # any part of it will do: of one length they are looked up in one go
            size = min(len(piece), _GRAM)
            yield from (_Needle(in_name, _INSIDE, piece[start : start + size]) for start in range(len(piece) - size + 1) if size)


class _Shelf:
    """Patterns, each filed under a literal text of one of its segments; finds those that a segment may fit."""

    def __init__(self, filed: Iterable[tuple[_Needle, Glob]]) -> None:
        self._filed: tuple[dict[str, list[Glob]], ...] = ({}, {}, {})
        for needle, glob in filed:
            self._filed[needle.kind].setdefault(needle.text, []).append(glob)
        self._head_lengths = sorted({len(text) for text in self._filed[_HEAD]})
        self._inside_lengths = sorted({len(text) for text in self._filed[_INSIDE]})
        self._few_inside = len(self._filed[_INSIDE]) <= _FEW * len(self._inside_lengths)

    def under(self, segment: str) -> list[Glob]:
        whole, head, inside = self._filed
        found = list(whole.get(segment, ()))
        for length in self._head_lengths:
            if (start := segment[:length]) in head:
                found += head[start]
        if self._few_inside:
            for piece, globs in inside.items():
                if piece in segment:
                    found += globs
            return found
        for length in self._inside_lengths:
            pieces = {segment[start : start + length] for start in range(len(segment) - length + 1)}
            for piece in pieces & inside.keys():
                found += inside[piece]
        return found


class _Folder(NamedTuple):
    """A folder that findings are in: its segments, the patterns filed under one of them, and which patterns it fits, as far as known."""

    segments: list[str]
    candidates: tuple[Glob, ...]
    known: dict[Glob, bool]

    def fits(self, glob: Glob) -> bool:
        fits = self.known.get(glob)
        if fits is None:
            fits = self.known[glob] = glob.fits_folders(self.segments)
        return fits


class GlobIndex(Generic[T]):
    """Many patterns, each with a value; finds the values of those that fit a path without trying them all.

    A pattern ends with a segment of its own, for the name of the file; what stands before it is for the folder, and one does not depend
    on the other. Each pattern is filed under one literal text that its paths must hold, the one that the fewest of the others share.
    The folder is matched once for all its files, and only where the name fits: names are short, and folders may be deep.
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
        names: list[tuple[_Needle, Glob]] = []
        folders: list[tuple[_Needle, Glob]] = []
        self._unfiled: list[Glob] = []
        for glob in globs:
            best = min(_needles(glob), key=lambda needle: (shared[needle], needle.in_name, needle.kind, -len(needle.text)), default=None)
            if best is None:
                self._unfiled.append(glob)
            else:
                (names if best.in_name else folders).append((best, glob))
        self._has_globs = bool(globs)
        self._by_name = _Shelf(names)
        self._by_folder = lru_cache(_MAX_SEGMENTS)(_Shelf(folders).under)
        self._folder = lru_cache(_MAX_FOLDERS)(self._look_at)

    def find(self, path: str) -> list[T]:
        """Return the values of every pattern that a path fits; a value with several such patterns is there several times."""
        found = list(self._exact.get(path, ()))
        if not self._has_globs:
            return found
        start = path.rfind("/") + 1
        name = path[start:]
        folder = self._folder(path[:start])
        if folder is None or name in _NO_NAMES:
            return found
        for glob in (*folder.candidates, *self._by_name.under(name)):
            if glob.fits_name(name) and glob.text != path and folder.fits(glob):
                found += self._exact[glob.text]
        return found

    def _look_at(self, path: str) -> _Folder | None:
        """Return what is known of a folder, ``None`` where no pattern may match. The path ends with its slash, if it has one."""
        segments = split(f"{path}name")
        if segments is None:
            return None
        segments.pop()
        return _Folder(segments, tuple(dict.fromkeys(chain(self._unfiled, *map(self._by_folder, segments)))), {})
