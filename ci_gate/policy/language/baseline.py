"""The baseline file: the findings that were there when the gate was introduced.

JSON with one entry a line, so that a change of it can be reviewed::

    {
    "version": 1,
    "images": ["registry.example.com/shop/api@sha256:…"],
    "findings": [
    {"fingerprint": "<64 hex digits>", "count": 1, "key": "pem", "path": "/etc/ssl/a.pem"},
    …
    ]
    }

``images`` and, in an entry, ``key`` and ``path`` are for people; ``fingerprint`` and ``count`` decide.
Reading is strict: a baseline takes findings out of the judgement, so nothing in it is guessed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import suppress
from json import JSONDecodeError, JSONDecoder
from typing import TYPE_CHECKING, Any

from ci_gate.policy.effective import BaselineEntry
from ci_gate.policy.language.files import decode, read_file
from ci_gate.policy.problems import MAX_CAUSES, Document, Problem, quoted
from ci_gate.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ci_gate.verdict import Decision, ImageResult

MAX_BYTES = 32 << 20
MAX_ENTRY = 200_000  # characters; a path has at most 4,096 bytes, each at most six characters in JSON
MAX_COUNT = 1_000_000_000
VERSION = 1
_COVERED = frozenset((Outcome.COUNTED, Outcome.VIOLATION, Outcome.BASELINED, Outcome.INHERITED))
_DENIALS = frozenset(((Outcome.VIOLATION, "deny"), (Outcome.VIOLATION, "unknown.keys"), (Outcome.BASELINED, "baseline.denied")))
_FIELDS = ("version", "images", "findings")
_ENTRY_FIELDS = frozenset(("fingerprint", "count", "key", "path"))
_ADVICE = "Write it anew with `ci-gate baseline create`."
_NOUN = "baseline file"
_SPACE = re.compile(r"[ \t\n\r]*+")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
# An array or object without any other in it: what is nested deeply or by the million is never built.
_INSIDE = r'[^{}\[\]"]*+(?:"(?:[^"\\]++|\\.)*+"[^{}\[\]"]*+)*+'
_FLAT_OBJECT = re.compile(r"\{" + _INSIDE + r"\}", re.DOTALL)
_FLAT_ARRAY = re.compile(r"\[" + _INSIDE + r"\]", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_NUMBER = re.compile(r"-?[0-9][0-9.eE+-]*+")


def read_baseline(path: Path, origin: str) -> tuple[BaselineEntry, ...]:
    """Return the entries of a baseline file, in the order of the file. ``origin`` is what messages call it.

    :raises InvalidDocumentError: with what is wrong and where, where the file cannot be read or is no baseline.
    """
    raw = read_file(path, origin, noun=_NOUN, limit=MAX_BYTES, missing="Create it with `ci-gate baseline create`.", regular=True)
    return _Reader(Document(origin, decode(raw, origin, _NOUN))).read()


class _StopError(Exception):
    """The reading cannot go on."""


class _Reader:
    """Walks over the text, and knows where it is: the decoder alone would not tell the place of an entry."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._text = document.text
        self._at = 0
        self._problems: list[Problem] = []
        self._entries: dict[str, tuple[int, BaselineEntry]] = {}
        self._decoder = JSONDecoder(object_pairs_hook=list, parse_int=_bounded_int, parse_constant=_no_constant)

    def read(self) -> tuple[BaselineEntry, ...]:
        with suppress(_StopError):
            self._read_file()
        if self._problems:
            raise self._document.error(self._problems)
        return tuple(entry for _, entry in self._entries.values())

    def _read_file(self) -> None:
        seen = set()
        for index, name in self._fields():
            if name in seen:
                self._stop(index, f"the field {quoted(name)} is given twice")
            seen.add(name)
            if name == "version":
                self._read_version()
            elif name == "images":
                self._read_images()
            elif name == "findings":
                self._read_findings()
            else:
                self._stop(index, f"there is no field {quoted(name)} in a baseline")
        for name in _FIELDS:
            if name not in seen:
                self._wrong(0, f"the field {quoted(name)} is missing")
        if self._next() != "":
            self._stop(self._at, "this is no JSON: something follows the end of the baseline")

    def _fields(self) -> Any:
        """Walk over the fields of the one object: yield place and name, and expect that the value was read in between."""
        if self._next() != "{":
            self._stop(self._at, "a baseline is a JSON object")
        self._at += 1
        if self._next() == "}":
            self._at += 1
            return
        while True:
            index = self._at
            yield index, self._name()
            if not self._more("}"):
                return

    def _name(self) -> str:
        name = self._value(_STRING, "this is no JSON: a field name in quotes is missing here")
        if self._next() != ":":
            self._stop(self._at, "this is no JSON: a colon is missing here")
        self._at += 1
        self._next()
        return str(name)

    def _more(self, end: str) -> bool:
        """Step over a comma and tell whether another value follows, or over the end of the list or object."""
        sign = self._next()
        if sign not in {",", end} or not sign:
            self._stop(self._at, f"this is no JSON: ',' or '{end}' is missing here")
        self._at += 1
        self._next()
        return sign == ","

    def _next(self) -> str:
        """Step over blanks; return the character there, or nothing at the end."""
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at
        return self._text[self._at : self._at + 1]

    def _read_version(self) -> None:
        index = self._at
        value = self._value(_NUMBER, "the version must be 1")
        if value != VERSION or isinstance(value, (bool, float)):
            self._stop(index, "the version must be 1: this ci-gate reads no other")

    def _read_images(self) -> None:
        index = self._at
        value = self._value(_FLAT_ARRAY, "images: must be a list of texts")
        if not all(isinstance(image, str) for image in value):
            self._wrong(index, "images: must be a list of texts")

    def _read_findings(self) -> None:
        if self._next() != "[":
            self._stop(self._at, "findings: must be a list")
        self._at += 1
        if self._next() == "]":
            self._at += 1
            return
        number, more = 1, True
        while more:
            index = self._at
            self._read_entry(index, number)
            more = self._more("]")
            number += 1

    def _read_entry(self, index: int, number: int) -> None:
        where = f"findings, entry {number}"
        pairs = self._value(_FLAT_OBJECT, f"{where}: must be an object of texts and numbers", MAX_ENTRY)
        fields = dict(pairs)
        if len(fields) != len(pairs):
            self._wrong(index, f"{where}: a field is given twice")
        elif said := _mistake(fields):
            self._wrong(index, f"{where}: {said}")
        elif (fingerprint := fields["fingerprint"]) in self._entries:
            first = self._text.count("\n", 0, self._entries[fingerprint][0]) + 1
            self._wrong(index, f"{where}: the fingerprint was given before, in line {first}")
        else:
            entry = BaselineEntry(fingerprint, fields["count"], fields.get("key", ""), fields.get("path", ""))
            self._entries[fingerprint] = (index, entry)

    def _value(self, shape: re.Pattern[str], wanted: str, limit: int = MAX_BYTES) -> Any:
        """Read the value here, which must have a shape that bounds what the decoder builds."""
        found = shape.match(self._text, self._at)
        if found is None or found.end() - self._at > limit:
            self._stop(self._at, wanted)
        try:
            value, end = self._decoder.raw_decode(self._text, self._at)
        except JSONDecodeError as error:
            self._stop(error.pos, f"this is no JSON: {error.msg}")
        except _ConstantError as error:
            self._stop(self._at, f"this is no JSON: {error} is no number")
        self._at = end
        return value

    def _wrong(self, index: int, what: str) -> None:
        self._problems.append(Problem(index, what, _ADVICE))
        if len(self._problems) > MAX_CAUSES:
            raise _StopError

    def _stop(self, index: int, what: str) -> Any:
        self._problems.append(Problem(min(index, len(self._text)), what, _ADVICE))
        raise _StopError


def _mistake(fields: dict[str, Any]) -> str:
    """Return what is wrong with the fields of an entry, or nothing."""
    if not _ENTRY_FIELDS.issuperset(fields):
        return f"there is no field {quoted(min(fields.keys() - _ENTRY_FIELDS))}"
    fingerprint, count = fields.get("fingerprint"), fields.get("count")
    if not isinstance(fingerprint, str) or not _FINGERPRINT.fullmatch(fingerprint):
        return "fingerprint: must be 64 hex digits in lower case"
    if type(count) is not int or not 1 <= count <= MAX_COUNT:
        return f"count: must be a whole number from 1 to {MAX_COUNT}"
    if not isinstance(fields.get("key", ""), str) or not isinstance(fields.get("path", ""), str):
        return "key and path: must be text"
    return ""


class _ConstantError(Exception):
    """A word such as NaN, which Python takes for JSON."""


def _no_constant(word: str) -> Any:
    raise _ConstantError(word)


def _bounded_int(digits: str) -> int:
    """Return a number as far as it can be meant: more digits are out of every bound anyway, and slow to read."""
    return int(digits[:20])


def make_baseline(images: Iterable[ImageResult], *, include_denied: bool) -> str:
    """Return the text of a baseline of what was decided of images: pure ASCII, sorted, the same for the same findings.

    What counts against the policy now, or is excused by an older baseline or image, goes in; what is waived, allowed or exempt is excused
    for longer than that. An entry counts every finding that shares its fingerprint. Of several images, the largest count is taken.

    :param include_denied: whether findings of denied keys, and of keys that nobody knows, go in as well.
    """
    judged = tuple(images)
    counts: dict[str, BaselineEntry] = {}
    for image in judged:
        every = Counter(decision.finding.fingerprint for decision in image.verdict.decisions)
        for decision in image.verdict.decisions:
            if include_denied or not is_denied(decision):
                _take(counts, decision, every)
    names = sorted({image.pinned for image in judged})
    entries = sorted(counts.values(), key=lambda entry: (entry.key, entry.path, entry.fingerprint))
    lines = [
        "{",
        f'"version": {VERSION},',
        f'"images": {json.dumps(names)},',
        '"findings": [',
        *(f"{_entry_text(entry)}{',' if number < len(entries) else ''}" for number, entry in enumerate(entries, 1)),
        "]",
        "}",
    ]
    return "\n".join(lines) + "\n"


def is_denied(decision: Decision) -> bool:
    """Whether a finding blocks by its key, or would without an older baseline: that is for a baseline to excuse only where it says so."""
    rule = decision.rule.rpartition("].")[2]  # a floor's rules are called floor[<name>].deny
    return (decision.outcome, rule) in _DENIALS


def _take(counts: dict[str, BaselineEntry], decision: Decision, every: Counter[str]) -> None:
    if decision.outcome not in _COVERED or not decision.finding.has_content:
        return
    finding = decision.finding
    fingerprint, count = finding.fingerprint, every[finding.fingerprint]
    if fingerprint not in counts or counts[fingerprint].count < count:
        counts[fingerprint] = BaselineEntry(fingerprint, count, finding.key, finding.path)


def _entry_text(entry: BaselineEntry) -> str:
    return json.dumps({"fingerprint": entry.fingerprint, "count": entry.count, "key": entry.key, "path": entry.path})
