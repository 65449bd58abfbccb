"""The effective policy: what is left when parents, files and defaults are resolved.

Plain data, so that judging needs neither pydantic nor YAML.
Its canonical form is JSON: defaults left out, lists sorted where their order means nothing, which is everywhere. The SHA-256 of that
tells policies apart by what they mean.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class DenyClause:
    """The denials of one policy file, with the exceptions that it makes from its own."""

    keys: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    except_: tuple[str, ...] = ()


def join_clauses(clauses: Iterable[DenyClause]) -> tuple[DenyClause, ...]:
    """Return clauses that deny the same: those with the same exceptions, or with none, are one."""
    alike: dict[frozenset[str], list[DenyClause]] = {}
    for clause in clauses:
        alike.setdefault(frozenset(clause.except_), []).append(clause)
    return tuple(
        DenyClause(_every(clause.keys for clause in same), _every(clause.groups for clause in same), tuple(sorted(exceptions)))
        for exceptions, same in alike.items()
    )


def _every(lists: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({word for words in lists for word in words}))


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Most counted findings allowed, inclusive; ``None`` is no limit."""

    high: int | None = None
    medium: int | None = None
    low: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Waiver:
    """One exception. Every list that is not empty has to fit a finding. The days are UTC, and inclusive; hex is lower case."""

    id: str
    keys: tuple[str, ...]
    paths: tuple[str, ...] = ()
    md5: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    reason: str = ""
    owner: str = ""
    ticket: str = ""
    created: date | None = None
    expires: date | None = None


@dataclass(frozen=True, slots=True)
class BaselineEntry:
    """How many findings of a fingerprint were there. ``key`` and ``path`` are for people."""

    fingerprint: str
    count: int
    key: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was there when the gate was introduced. ``expires`` is the last day (UTC) on which it is valid."""

    file: str
    entries: tuple[BaselineEntry, ...]
    expires: date
    include_denied: bool = False


@dataclass(frozen=True, slots=True)
class Override:
    """Further rules for the images that fit one of ``images``."""

    images: tuple[str, ...]
    deny: tuple[DenyClause, ...] = ()
    allow: tuple[str, ...] = ()
    thresholds: Thresholds = Thresholds()
    waivers: tuple[Waiver, ...] = ()


@dataclass(frozen=True, slots=True)
class WaiverRules:
    """What waivers have to be like, and from when on their end is announced."""

    require: tuple[str, ...] = ("created", "expires", "owner", "reason")
    max_days: int | None = None
    warn_before_days: int = 14
    unused: str = "warn"  # warn | off


@dataclass(frozen=True, slots=True)
class Evidence:
    """Which proofs the verdict needs. ``max_scan_age`` and ``settle`` are seconds."""

    require_digest: bool = True
    rule_coverage: str = "auto"  # error | auto | warn | off, the strictest first
    inferred: str = "error"  # error | warn
    vendor_whitelist: str = "report"  # error | report
    max_scan_age: int | None = None
    settle: int = 15


@dataclass(frozen=True, slots=True)
class EffectivePolicy:
    """A policy as it is judged by.

    ``deny`` has a clause for each policy file that denies: an exception never reaches another file's denials.
    ``unknown_levels`` are the levels that an undocumented risk level counts as, all of them: where parent and child name different ones,
    neither is the stricter. Layers are bare hex. ``allow``, ``exempt_layers``, ``waivers``, ``baselines`` loosen, all else tightens.
    """

    mode: str = "enforce"  # enforce | warn
    allow_warn_override: bool = False
    permit: tuple[str, ...] = ()
    extra_keys: tuple[str, ...] = ()
    deny: tuple[DenyClause, ...] = ()
    allow: tuple[str, ...] = ()
    thresholds: Thresholds = Thresholds()
    unknown_keys: str = "deny"  # deny | count | allow, the strictest first
    unknown_levels: tuple[str, ...] = ("high",)  # high | medium | low | error
    label_layers: tuple[str, ...] = ()
    exempt_layers: tuple[str, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    waiver_rules: WaiverRules = WaiverRules()
    overrides: tuple[Override, ...] = ()
    evidence: Evidence = Evidence()

    @property
    def canonical(self) -> dict[str, Any]:
        """The policy as JSON values, in its canonical form: denials that several files say alike are one list, for they mean the same."""
        plain: dict[str, Any] = _plain(replace(self, deny=join_clauses(self.deny)))
        return plain

    @property
    def sha256(self) -> str:
        """SHA-256 of the canonical form, as hex."""
        return sha256_of(self.canonical)


@dataclass(frozen=True, slots=True)
class NamedPolicy:
    """A policy and the name that reports call it by."""

    name: str
    policy: EffectivePolicy


@dataclass(frozen=True, slots=True)
class Judges:
    """Everything that judges an image: a policy, and the floors that it cannot soften."""

    policy: EffectivePolicy
    floors: tuple[NamedPolicy, ...] = field(default=())

    @property
    def canonical(self) -> dict[str, Any]:
        """All of it as JSON values, in canonical form: without floors, that of the policy."""
        if not self.floors:
            return self.policy.canonical
        floors = sorted(({"name": floor.name, "policy": floor.policy.canonical} for floor in self.floors), key=canonical_text)
        return {"floors": floors, "policy": self.policy.canonical}

    @property
    def sha256(self) -> str:
        """SHA-256 of the canonical form, as hex."""
        return sha256_of(self.canonical)


def canonical_text(value: Any) -> str:
    """Return JSON values as the one text that stands for them: ASCII, fields sorted, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def sha256_of(value: Any) -> str:
    """Return the SHA-256 of the canonical text of JSON values, as hex."""
    return hashlib.sha256(canonical_text(value).encode("ascii")).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return sorted((_plain(item) for item in value), key=canonical_text)
    if is_dataclass(value):
        every = ((name, _plain(getattr(value, name)), default) for name, default in _defaults(value.__class__))
        return {name: plain for name, plain, default in every if plain != default}
    return value.isoformat() if isinstance(value, date) else value


@cache
def _defaults(kind: type[Any]) -> tuple[tuple[str, Any], ...]:
    """Return the fields of a dataclass with their defaults, in plain form; ``MISSING``, which nothing equals, where there is none."""
    return tuple((entry.name, entry.default if entry.default is MISSING else _plain(entry.default)) for entry in fields(kind))
