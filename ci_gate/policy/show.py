"""The effective policy as a text for people, or for programs: every value with the place that it comes from. Pure.

What is printed as YAML loads again. Where the language has no words for what several policies mean together, the comments at the top
say so, and what is printed is the stricter, where there is a choice.
"""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from ci_gate.policy.effective import Override
from ci_gate.policy.judging.evaluate import for_image
from ci_gate.policy.judging.keys import denied_keys
from ci_gate.policy.language.one_file import as_one_file
from ci_gate.policy.language.parse import MAX_LINES
from ci_gate.policy.language.schema import MAX_ENTRIES, MAX_WORD
from ci_gate.policy.language.sources import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized

    from ci_gate.policy.effective import DenyClause, EffectivePolicy, Waiver

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./:-]*(?<!:)|[0-9]+[smhd]")
_RESERVED = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_COLUMNS = 110
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60}
_MANY = 12  # entries of a list that is still written on one line


@dataclass(frozen=True, slots=True)
class Shown:
    """A policy to show. ``image`` is the image that it was narrowed to, ``origins`` tells which value was written where.

    ``sha256`` is that of the whole policy.
    """

    policy: EffectivePolicy
    name: str
    origin: str
    sha256: str
    origins: Mapping[str, str]
    image: str | None = None


def narrowed(shown: Shown, image: str) -> Shown:
    """Return the policy for one image (``registry/namespace/repository``), with the origins of what its overrides say."""
    policy, origins = shown.policy, dict(shown.origins)
    meant = for_image(policy, image)
    plain = for_image(replace(policy, overrides=()), image)
    clause = len(policy.deny)
    for number, override in enumerate(policy.overrides):
        if for_image(replace(policy, overrides=(override,)), image) == plain:
            continue  # not for this image
        place = f"overrides[{number}]"
        whole = shown.origins.get(place, "")
        for entry in fields(override.thresholds):
            most = getattr(override.thresholds, entry.name)
            if most is not None and most == getattr(meant.thresholds, entry.name):
                origins[f"thresholds.{entry.name}"] = shown.origins.get(f"{place}.thresholds.{entry.name}", whole)
        for own in range(len(override.deny)):
            for part in ("keys", "groups", "except"):
                origins[f"deny[{clause}].{part}"] = shown.origins.get(f"{place}.deny[{own}].{part}", whole)
            clause += 1
        for key in override.allow:
            origins.setdefault(f"allow.{key}", shown.origins.get(f"{place}.allow.{key}", whole))
    denied = denied_keys(meant)
    allow = tuple(word for word in meant.allow if word not in denied)  # what has no effect for this image is no part of it
    return replace(shown, policy=replace(meant, allow=allow), origins=origins, image=image)


def show_json(shown: Shown) -> str:
    """Return the policy in its canonical form, with origins and the denied keys, as JSON."""
    document = {
        "name": shown.name,
        "origin": shown.origin,
        "sha256": shown.sha256,
        "image": shown.image,
        "policy": shown.policy.canonical,
        "origins": dict(sorted(shown.origins.items())),
        "denied_keys": sorted(denied_keys(shown.policy)),
    }
    return json.dumps(document, indent=2) + "\n"


def show_yaml(shown: Shown) -> str:
    """Return the policy as YAML; behind each value, as a comment, where it was written."""
    writer = _Writer(shown)
    body = writer.document()
    denied = sorted(denied_keys(shown.policy))
    listed = textwrap.wrap(", ".join(denied), _COLUMNS, break_long_words=False, break_on_hyphens=False) or ["none"]
    tail = [f"Denied keys ({len(denied)}):", *(f"  {line}" for line in listed)]
    losses = [*writer.losses, *_too_large(writer.policy, body)]
    head = [*_head(shown), *(f"NOT THE SAME when loaded again: {loss}" for loss in losses)]
    return "\n".join((*_comments(head), *body, *_comments(tail))) + "\n"


def _head(shown: Shown) -> Iterator[str]:
    called = f"The effective policy {shown.name!r} ({shown.origin})"
    if shown.image is None:
        yield f"{called}."
        yield f"SHA-256 {shown.sha256}"
    else:
        yield f"{called} for the image {shown.image}: what its overrides say is part of it."
        yield f"SHA-256 {shown.sha256}, of the policy for all images; for this one alone it is {shown.policy.sha256}"
    if shown.policy.baselines:
        yield f"The path of the baseline counts from the folder of {shown.origin}: this loads there."


def _too_large(policy: EffectivePolicy, body: Sequence[str]) -> Iterator[str]:
    """Say why several policies together are more than one file may hold."""
    lists: list[Sized] = [policy.allow, policy.extra_keys, policy.waivers, policy.overrides, policy.label_layers, policy.exempt_layers]
    lists += [{key for clause in policy.deny for key in clause.keys}, {key for clause in policy.deny for key in clause.except_}]
    longest = max(map(len, lists))
    if longest > MAX_ENTRIES:
        yield f"it has a list of {longest} entries, and a file may have {MAX_ENTRIES}."
    if len(body) > MAX_LINES or sum(len(line.encode()) + 1 for line in body) > MAX_BYTES:
        yield f"it is larger than {MAX_LINES} lines or {MAX_BYTES} bytes, and a file may not be."


def _loadable_name(name: str) -> str:
    """Return a name that the language takes: that of a file may be longer, and hold characters that nobody can see."""
    seen = "".join(char if char.isprintable() else "?" for char in name)
    cut = seen if len(seen) <= MAX_WORD else f"{seen[: MAX_WORD - 1]}…"
    return cut if cut.strip() else "policy"


def _comments(lines: Iterable[str]) -> Iterator[str]:
    return (f"# {_escape(line)}" for line in lines)


@dataclass(frozen=True, slots=True)
class _Field:
    """One line of a mapping: ``value`` is a scalar, a list of scalars with their origins, a mapping, or a list of mappings."""

    name: str
    value: Any
    origin: str = ""


class _Entries(tuple[tuple[Any, str], ...]):
    """A list of scalars, each with its origin."""

    __slots__ = ()


class _Mappings(tuple[tuple[_Field, ...], ...]):
    """A list of mappings."""

    __slots__ = ()


class _Writer:
    """Turns an effective policy into the fields of the language."""

    def __init__(self, shown: Shown) -> None:
        self.shown = shown
        said = as_one_file(shown.policy)
        self.policy, self.losses = said.policy, said.losses
        number = shown.policy.baselines.index(self.policy.baselines[0]) if self.policy.baselines else 0
        self._baseline_place = f"baseline[{number}]" if number else "baseline"

    def document(self) -> list[str]:
        """Return the lines of the YAML."""
        policy = self.policy
        written = (
            _Field("version", 1),
            _Field("name", _loadable_name(self.shown.name)),
            self._scalar("mode", policy.mode),
            self._scalar("allow_warn_override", policy.allow_warn_override),
            self._list("permit", policy.permit),
            self._list("extra_keys", policy.extra_keys),
            self._deny(policy.deny, "deny"),
            self._allow(policy.allow, "allow"),
            self._mapping("thresholds", policy.thresholds),
            self._unknown(),
            self._base_image(),
            self._baseline(),
            self._waivers(policy.waivers, "waivers"),
            self._mapping("waiver_rules", policy.waiver_rules),
            self._overrides(),
            self._mapping("evidence", policy.evidence, max_scan_age=_duration, settle=_duration),
        )
        return list(_lines([field for field in written if field is not None], ""))

    def _origin(self, *paths: str) -> str:
        """Return the origin of the first path that has one; ``default`` where nobody wrote it."""
        return next((self.shown.origins[path] for path in paths if path in self.shown.origins), "")

    def _scalar(self, path: str, value: Any) -> _Field:
        return _Field(path.rpartition(".")[2], value, self._origin(path) or "default")

    def _list(self, path: str, values: Iterable[str]) -> _Field | None:
        entries = _Entries((value, self._origin(f"{path}.{value}", path)) for value in values)
        return _Field(path.rpartition(".")[2], entries) if entries else None

    def _mapping(self, path: str, section: Any, **shapes: Callable[[Any], Any]) -> _Field:
        """Return all fields of a section that is one mapping in both the effective policy and the language."""
        inner = []
        for entry in fields(section):
            value, place = getattr(section, entry.name), f"{path}.{entry.name}"
            if isinstance(value, tuple):
                inner.append(_Field(entry.name, _Entries((item, "") for item in value), self._origin(place, path) or "default"))
            else:
                inner.append(_Field(entry.name, shapes.get(entry.name, _same)(value), self._origin(place, path) or "default"))
        return _Field(path, tuple(inner))

    def _deny(self, clauses: Sequence[DenyClause], path: str) -> _Field | None:
        """Write the clauses, which make the same exceptions, as one."""
        keys: dict[str, str] = {}
        groups: dict[str, str] = {}
        exceptions: dict[str, str] = {}
        for number, clause in enumerate(clauses):
            place = f"{path}[{number}]"
            origin = self._origin(f"{place}.keys", place, f"{place}.groups")
            keys = {**dict.fromkeys(clause.keys, origin), **keys}
            groups = {**dict.fromkeys(clause.groups, self._origin(f"{place}.groups", place)), **groups}
            exceptions = {**dict.fromkeys(clause.except_, self._origin(f"{place}.except", place)), **exceptions}
        written = (("keys", keys), ("groups", groups), ("except", exceptions))
        inner = tuple(_Field(name, _Entries(sorted(words.items()))) for name, words in written if words)
        return _Field("deny", inner) if inner else None

    def _allow(self, words: Iterable[str], path: str) -> _Field | None:
        entries = _Entries((word, self._origin(f"{path}.{word}", f"{path}.keys", path)) for word in words)
        return _Field("allow", (_Field("keys", entries),)) if entries else None

    def _unknown(self) -> _Field:
        (level,) = self.policy.unknown_levels
        keys = _Field("keys", self.policy.unknown_keys, self._origin("unknown.keys", "unknown") or "default")
        return _Field("unknown", (keys, _Field("risk_level", level, self._origin("unknown.risk_level", "unknown") or "default")))

    def _base_image(self) -> _Field | None:
        policy = self.policy
        action, layers = ("exempt", policy.exempt_layers) if policy.exempt_layers else ("label", policy.label_layers)
        if not layers:
            return None
        entries = _Entries((f"sha256:{layer}", self._origin("base_image.layers", "base_image")) for layer in layers)
        return _Field("base_image", (_Field("layers", entries), _Field("action", action, self._origin("base_image.action", "base_image"))))

    def _baseline(self) -> _Field | None:
        if not self.policy.baselines:
            return None
        (first,) = self.policy.baselines
        place = self._baseline_place
        inner = (
            _Field("file", first.file, self._origin(f"{place}.file", place)),
            _Field("expires", first.expires, self._origin(f"{place}.expires", place)),
            _Field("include_denied", first.include_denied, self._origin(f"{place}.include_denied", place) or "default"),
        )
        return _Field("baseline", inner)

    def _waivers(self, waivers: Iterable[Waiver], path: str) -> _Field | None:
        written = _Mappings(tuple(self._waiver_fields(waiver, path)) for waiver in waivers)
        return _Field("waivers", written) if written else None

    def _waiver_fields(self, waiver: Waiver, path: str) -> Iterator[_Field]:
        for entry in fields(waiver):
            value = getattr(waiver, entry.name)
            if isinstance(value, tuple) and value:
                yield _Field(entry.name, _Entries((item, "") for item in value))
            elif value and not isinstance(value, tuple):
                origin = self._origin(f"{path}.{waiver.id}", f"waivers.{waiver.id}") if entry.name == "id" else ""
                yield _Field(entry.name, value, origin)

    def _overrides(self) -> _Field | None:
        said = [(number, override) for number, override in enumerate(self.policy.overrides) if override != Override(override.images)]
        written = _Mappings(tuple(self._override(override, number)) for number, override in said)
        return _Field("overrides", written) if written else None

    def _override(self, override: Override, number: int) -> Iterator[_Field]:
        path = f"overrides[{number}]"
        yield _Field("images", _Entries((image, self._origin(f"{path}.images", path)) for image in override.images))
        limits = override.thresholds
        set_here = [(entry.name, getattr(limits, entry.name)) for entry in fields(limits)]
        inner = tuple(_Field(name, most, self._origin(f"{path}.thresholds.{name}", path)) for name, most in set_here if most is not None)
        written = (
            self._deny(override.deny, f"{path}.deny"),
            self._allow(override.allow, f"{path}.allow"),
            _Field("thresholds", inner) if inner else None,
            self._waivers(override.waivers, f"{path}.waivers"),
        )
        yield from (field for field in written if field is not None)


def _lines(mapping: Iterable[_Field], indent: str) -> Iterator[str]:
    """Return the lines of a mapping."""
    for field in mapping:
        value, start = field.value, f"{indent}{field.name}:"
        if isinstance(value, _Mappings):
            yield _commented(start, field.origin)
            for inner in value:
                first, *rest = _lines(inner, f"{indent}    ")
                yield f"{indent}  - {first.lstrip()}"
                yield from rest
        elif isinstance(value, _Entries):
            yield from _list_lines(value, start, field.origin, indent)
        elif isinstance(value, tuple):
            yield _commented(start, field.origin)
            yield from _lines(value, f"{indent}  ")
        else:
            yield _commented(f"{start} {_scalar(value)}", field.origin)


def _list_lines(entries: _Entries, start: str, origin: str, indent: str) -> Iterator[str]:
    """Write a list on one line where that is short and all of it was written at one place."""
    origins = {place for _, place in entries}
    flow = f"{start} [{', '.join(_scalar(entry) for entry, _ in entries)}]"
    if len(origins) <= 1 and len(flow) <= _COLUMNS and len(entries) <= _MANY:
        yield _commented(flow, origin or next(iter(origins), ""))
        return
    yield _commented(start, origin)
    for entry, place in entries:
        yield _commented(f"{indent}  - {_scalar(entry)}", place)


def _commented(line: str, origin: str) -> str:
    return f"{line}  # {_escape(origin)}" if origin else line


def _scalar(value: Any) -> str:
    """Write a scalar of YAML 1.2 so that every reader of any version takes it for what it is."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | date):
        return str(value)
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _RESERVED:
        return text
    escaped = _escape(text.replace("\\", "\\\\").replace('"', '\\"'))
    return f'"{escaped}"'


def _escape(text: str) -> str:
    """Write what is invisible as escapes of YAML: the text goes to a terminal, where it must not move the cursor.

    The second of two number signs is escaped as well: runners take ``##[`` for a command of theirs.
    """
    return "".join(map(_escaped, text)).replace("##", "#\\x23")


def _escaped(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    if code <= 0xFF:  # noqa: PLR2004 - two hex digits
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - four hex digits


def _duration(seconds: int | None) -> str | None:
    """Return seconds in the largest unit that holds them whole."""
    if seconds is None:
        return None
    unit = next((unit for unit, size in _SECONDS.items() if seconds and seconds % size == 0), "s")
    return f"{seconds // _SECONDS.get(unit, 1)}{unit}"


def _same(value: Any) -> Any:
    return value
