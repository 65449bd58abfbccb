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

from ci_gate.policy.effective import DenyClause
from ci_gate.policy.judging.evaluate import for_image
from ci_gate.policy.judging.keys import denied_keys, key_rules, matching

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ci_gate.policy.effective import Baseline, EffectivePolicy, Override, Waiver

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./:-]*(?<!:)|[0-9]+[smhd]")
_RESERVED = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_COLUMNS = 110
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60}
_STRICTEST_LEVEL = ("error", "high", "medium", "low")
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
    return replace(shown, policy=meant, origins=origins, image=image)


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
    narrowed = f" for the image {shown.image}: what its overrides say is part of it" if shown.image is not None else ""
    head = [f"The effective policy {shown.name!r} ({shown.origin}){narrowed}.", f"SHA-256 {shown.sha256}", *writer.losses]
    listed = textwrap.wrap(", ".join(denied), _COLUMNS, break_long_words=False, break_on_hyphens=False) or ["none"]
    tail = [f"Denied keys ({len(denied)}):", *(f"  {line}" for line in listed)]
    return "\n".join((*_comments(head), *body, *_comments(tail))) + "\n"


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
    """Turns an effective policy into the fields of the language, and collects what they cannot say."""

    def __init__(self, shown: Shown) -> None:
        self.shown = shown
        self.policy = shown.policy
        self.losses: list[str] = []

    def document(self) -> Iterable[str]:
        """Return the lines of the YAML."""
        policy = self.policy
        written = (
            _Field("version", 1),
            _Field("name", self.shown.name),
            self._scalar("mode", policy.mode),
            self._scalar("allow_warn_override", policy.allow_warn_override),
            self._list("permit", policy.permit),
            self._list("extra_keys", policy.extra_keys),
            self._deny(policy.deny, "deny"),
            self._allow(policy.allow, denied_keys(policy), "allow"),
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

    def _deny(self, clauses: Sequence[DenyClause], path: str, known: EffectivePolicy | None = None) -> _Field | None:
        """Write the clauses as one: those with exceptions of their own as the keys that they deny, as soon as there are several."""
        if not clauses:
            return None
        keys: dict[str, str] = {}
        groups: dict[str, str] = {}
        exceptions: dict[str, str] = {}
        for number, clause in enumerate(clauses):
            place = f"{path}[{number}]"
            named = clause
            if clause.except_ and len(clauses) > 1:
                named = DenyClause(tuple(sorted(denied_keys(replace(known or self.policy, deny=(clause,), overrides=())))))
                self._lose(
                    f"{path}: the exceptions {', '.join(clause.except_)} are of one policy only. Its denials are written as the keys that "
                    "they are today; the effective policy also denies new keys that fit its globs."
                )
            origin = self._origin(f"{place}.keys", place)
            keys = {**{key: origin or self._origin(f"{place}.groups") for key in named.keys}, **keys}
            groups = {**{group: self._origin(f"{place}.groups", place) for group in named.groups}, **groups}
            exceptions = {**{word: self._origin(f"{place}.except", place) for word in named.except_}, **exceptions}
        written = (("keys", keys), ("groups", groups), ("except", exceptions))
        return _Field("deny", tuple(_Field(name, _Entries(sorted(words.items()))) for name, words in written if words))

    def _allow(self, words: Iterable[str], denied: frozenset[str], path: str) -> _Field | None:
        """Write what is allowed; an entry that only names denied keys has no effect, and the loader would refuse it."""
        known = key_rules(self.policy).known
        kept = [word for word in words if not matching(word, known) or not matching(word, known) <= denied]
        entries = _Entries((word, self._origin(f"{path}.{word}", f"{path}.keys", path)) for word in kept)
        return _Field("allow", (_Field("keys", entries),)) if entries else None

    def _unknown(self) -> _Field:
        levels = sorted(self.policy.unknown_levels, key=_STRICTEST_LEVEL.index)
        if len(levels) > 1:
            self._lose(f"unknown.risk_level: the effective policy counts an undocumented risk level as each of {', '.join(levels)}.")
        keys = _Field("keys", self.policy.unknown_keys, self._origin("unknown.keys", "unknown") or "default")
        return _Field("unknown", (keys, _Field("risk_level", levels[0], self._origin("unknown.risk_level", "unknown") or "default")))

    def _base_image(self) -> _Field | None:
        policy = self.policy
        labelled = tuple(layer for layer in policy.label_layers if layer not in policy.exempt_layers)
        action, layers = ("exempt", policy.exempt_layers) if policy.exempt_layers and not labelled else ("label", labelled)
        if policy.exempt_layers and labelled:
            exempt = ", ".join(f"sha256:{layer}" for layer in policy.exempt_layers)
            self._lose(
                f"base_image: the effective policy labels some layers and exempts others; left out here are the exempt ones: {exempt}."
            )
        if not layers:
            return None
        entries = _Entries((f"sha256:{layer}", self._origin("base_image.layers", "base_image")) for layer in layers)
        return _Field("base_image", (_Field("layers", entries), _Field("action", action, self._origin("base_image.action", "base_image"))))

    def _baseline(self) -> _Field | None:
        if not self.policy.baselines:
            return None
        first, *others = self.policy.baselines
        for other in others:
            self._lose(f"baseline: {_baseline_words(other)} applies, too; the language knows one in a file.")
        inner = (
            _Field("file", first.file, self._origin("baseline.file", "baseline")),
            _Field("expires", first.expires, self._origin("baseline.expires", "baseline")),
            _Field("include_denied", first.include_denied, self._origin("baseline.include_denied", "baseline") or "default"),
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
        written = _Mappings(tuple(self._override(override, number)) for number, override in enumerate(self.policy.overrides))
        return _Field("overrides", written) if written else None

    def _override(self, override: Override, number: int) -> Iterator[_Field]:
        path = f"overrides[{number}]"
        yield _Field("images", _Entries((image, self._origin(f"{path}.images", path)) for image in override.images))
        known = replace(self.policy, deny=(*self.policy.deny, *override.deny), overrides=())
        limits = override.thresholds
        set_here = [(entry.name, getattr(limits, entry.name)) for entry in fields(limits)]
        inner = tuple(_Field(name, most, self._origin(f"{path}.thresholds.{name}", path)) for name, most in set_here if most is not None)
        written = (
            self._deny(override.deny, f"{path}.deny", self.policy),
            self._allow(override.allow, denied_keys(known), f"{path}.allow"),
            _Field("thresholds", inner) if inner else None,
            self._waivers(override.waivers, f"{path}.waivers"),
        )
        yield from (field for field in written if field is not None)

    def _lose(self, what: str) -> None:
        self.losses.append(f"NOT THE SAME when loaded again: {what}")


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


def _baseline_words(baseline: Baseline) -> str:
    denied = ", denied keys too" if baseline.include_denied else ""
    return f"{baseline.file} (until {baseline.expires}, {len(baseline.entries)} entries{denied})"
