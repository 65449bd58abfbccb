"""An effective policy read back from its canonical form, as a saved result holds it. The opposite of ``EffectivePolicy.canonical``."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from datetime import date
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from ci_gate.policy.effective import (
    BaselineEntry,
    EffectivePolicy,
    Evidence,
    Judges,
    NamedPolicy,
    Override,
    Thresholds,
    Waiver,
    WaiverRules,
)
from ci_gate.policy.judging.globs import Glob
from ci_gate.policy.judging.keys import MAX_MATCHES, glob_work
from ci_gate.policy.language.schema import MAX_COUNT, MAX_DAYS, MAX_PATTERN
from ci_gate.policy.problems import excerpt

if TYPE_CHECKING:
    from collections.abc import Mapping


_LEVELS = frozenset(("high", "medium", "low", "error"))
# The words that a field may hold, by the class that has it.
_WORDS: dict[tuple[type, str], frozenset[str]] = {
    (EffectivePolicy, "mode"): frozenset(("enforce", "warn")),
    (EffectivePolicy, "unknown_keys"): frozenset(("deny", "count", "allow")),
    (EffectivePolicy, "unknown_levels"): _LEVELS,
    (WaiverRules, "unused"): frozenset(("warn", "off")),
    (Evidence, "rule_coverage"): frozenset(("error", "auto", "warn", "off")),
    (Evidence, "inferred"): frozenset(("error", "warn")),
    (Evidence, "vendor_whitelist"): frozenset(("error", "report")),
}
# The whole numbers that a field may hold, as far as it has limits.
_LIMITS: dict[tuple[type, str], tuple[int, int]] = {
    (Thresholds, "high"): (0, MAX_COUNT),
    (Thresholds, "medium"): (0, MAX_COUNT),
    (Thresholds, "low"): (0, MAX_COUNT),
    (Thresholds, "total"): (0, MAX_COUNT),
    (BaselineEntry, "count"): (1, MAX_COUNT),
    (WaiverRules, "max_days"): (1, MAX_DAYS),
    (WaiverRules, "warn_before_days"): (0, MAX_DAYS),
    (Evidence, "max_scan_age"): (1, 999_999 * 86_400),  # what a duration of six digits can say
    (Evidence, "settle"): (0, 600),
}
_PATTERNS = {(Waiver, "paths"), (Waiver, "images"), (Override, "images")}


class StoredPolicyError(Exception):
    """What is stored is no canonical policy of this version; the message says what is wrong with it."""


def stored_judges(canonical: Mapping[str, Any]) -> Judges:
    """Return the policy and the floors of a canonical form.

    :raises StoredPolicyError: if it is none: the same values in canonical form again must be the same text.
    """
    try:
        judges = _judges(canonical)
        same = judges.canonical == canonical
    except RecursionError:
        raise StoredPolicyError("it is nested too deeply") from None
    if not same:
        raise StoredPolicyError("it is not in canonical form")
    return judges


def _judges(canonical: Mapping[str, Any]) -> Judges:
    if "policy" not in canonical:
        return Judges(_policy(canonical, "policy"))
    if set(canonical) != {"floors", "policy"} or not isinstance(canonical["floors"], list):
        raise StoredPolicyError("beside a policy there are floors, and nothing else")
    floors = tuple(_floor(entry, f"floors[{number}]") for number, entry in enumerate(canonical["floors"]))
    return Judges(_policy(canonical["policy"], "policy"), floors)


def _floor(entry: object, path: str) -> NamedPolicy:
    if not isinstance(entry, dict) or set(entry) != {"name", "policy"} or not isinstance(entry["name"], str):
        raise StoredPolicyError(f"{path} is no policy with a name")
    return NamedPolicy(entry["name"], _policy(entry["policy"], path))


def _policy(value: object, path: str) -> EffectivePolicy:
    policy = _value(EffectivePolicy, value, path)
    assert isinstance(policy, EffectivePolicy)
    if not policy.unknown_levels:
        raise StoredPolicyError(f"{path}.unknown_levels is empty")
    if glob_work(policy) > MAX_MATCHES:
        raise StoredPolicyError(f"{path} has too many globs of keys to resolve")
    return policy


def _section(kind: type, value: object, path: str) -> Any:
    """Build one of the dataclasses of the effective policy; what is left out has its default."""
    if not isinstance(value, dict):
        raise StoredPolicyError(f"{path} is no object")
    known = {entry.name: entry for entry in fields(kind)}
    if unknown := [name for name in value if name not in known]:
        raise StoredPolicyError(f"{path} has no field {excerpt(str(unknown[0]), 60)!r}")
    hints = get_type_hints(kind)
    built = {}
    for name, entry in known.items():
        if name in value:
            built[name] = _value(hints[name], value[name], f"{path}.{name}")
            _check_words(kind, name, built[name], path)
            _check_limits(kind, name, built[name], path)
            if (kind, name) in _PATTERNS:
                _check_patterns(built[name], f"{path}.{name}")
        elif entry.default is MISSING:
            raise StoredPolicyError(f"{path}.{name} is missing")
    return kind(**built)


def _check_words(kind: type, name: str, value: Any, path: str) -> None:
    words = _WORDS.get((kind, name))
    if words is not None and not words.issuperset(value if isinstance(value, tuple) else (value,)):
        raise StoredPolicyError(f"{path}.{name} is not one of {', '.join(sorted(words))}")


def _check_limits(kind: type, name: str, value: int | None, path: str) -> None:
    limits = _LIMITS.get((kind, name))
    if limits is not None and value is not None and not limits[0] <= value <= limits[1]:
        raise StoredPolicyError(f"{path}.{name} is not from {limits[0]} to {limits[1]}")


def _check_patterns(patterns: tuple[str, ...], path: str) -> None:
    for number, pattern in enumerate(patterns):
        if len(pattern) > MAX_PATTERN:
            raise StoredPolicyError(f"{path}[{number}] has more than {MAX_PATTERN} characters")
        try:
            Glob.parse(pattern)
        except ValueError:
            raise StoredPolicyError(f"{path}[{number}] is no pattern") from None


def _value(kind: Any, value: object, path: str) -> Any:
    """Return a JSON value as the type of a field: a dataclass, a tuple of one type, a day, or a plain value; or ``None`` where allowed."""
    if isinstance(kind, UnionType):
        if value is None:
            return None
        (kind,) = (choice for choice in get_args(kind) if choice is not NoneType)
    if is_dataclass(kind):
        assert isinstance(kind, type)
        return _section(kind, value, path)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise StoredPolicyError(f"{path} is no list")
        return tuple(_value(get_args(kind)[0], item, f"{path}[{number}]") for number, item in enumerate(value))
    if kind is date:
        return _day(value, path)
    if type(value) is not kind or (kind is int and isinstance(value, int) and value < 0):
        raise StoredPolicyError(f"{path} is no {'text' if kind is str else 'truth value' if kind is bool else 'whole number'}")
    return value


def _day(value: object, path: str) -> date:
    try:
        return date.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise StoredPolicyError(f"{path} is no day") from None
