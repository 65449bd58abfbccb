"""What a policy means together with the policies that it extends. Pure: no files, no places in texts.

A child over parents, parents from left to right, field by field. What tightens applies, whoever says it. What loosens (``allow``,
``waivers``, ``baseline``, exempt layers, ``extra_keys``) applies only as far as every parent that does not say it itself permits it.
A child that gives a looser value than a parent has is not wrong, for parents change on their own; a note says that it has no effect.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from ci_gate.policy.effective import (
    Baseline,
    DenyClause,
    EffectivePolicy,
    Evidence,
    Override,
    Thresholds,
    Waiver,
    WaiverRules,
)
from ci_gate.policy.judging.keys import all_matching, denied_keys, known_keys
from ci_gate.policy.language.permits import Asks, loosened, permits_beyond
from ci_gate.policy.language.waiver_rules import Fault, clashes, rule_faults
from ci_gate.policy.problems import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ci_gate.policy.effective import NamedPolicy
    from ci_gate.policy.language import schema
    from ci_gate.policy.problems import FieldPath


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that is not wrong, and has no effect."""

    path: FieldPath
    what: str


@dataclass(frozen=True, slots=True)
class Inherited:
    """The effective policy. It is one to judge by only where nothing is asked and nothing is at fault."""

    policy: EffectivePolicy
    asks: tuple[Asks, ...] = ()
    faults: tuple[Fault, ...] = ()
    notes: tuple[Remark, ...] = ()


def _strictest(*order: Any) -> Callable[[Sequence[Any]], Any]:
    """Return a choice among words: the first of the order that somebody says."""
    return lambda values: min(values, key=order.index)


def _smallest(values: Sequence[int | None]) -> int | None:
    """Choose a limit: ``None`` is none."""
    return min((value for value in values if value is not None), default=None)


def _union(values: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Choose all of them."""
    return tuple(sorted({word for value in values for word in value}))


def _levels(values: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Choose all of them; ``error`` counts as high, so that ``high`` beside it says nothing."""
    every = _union(values)
    return tuple(level for level in every if level != "high" or "error" not in every)


# The table of the fields that hold one value: how to choose among those that the policy and its parents say.
SCALARS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "mode": _strictest("enforce", "warn"),
    "allow_warn_override": _strictest(False, True),  # noqa: FBT003 - the words of this field
    "thresholds.high": _smallest,
    "thresholds.medium": _smallest,
    "thresholds.low": _smallest,
    "thresholds.total": _smallest,
    "unknown.keys": _strictest("deny", "count", "allow"),
    "unknown.risk_level": _levels,
    "waiver_rules.require": _union,
    "waiver_rules.max_days": _smallest,
    "waiver_rules.warn_before_days": max,
    "waiver_rules.unused": _strictest("warn", "off"),
    "evidence.require_digest": _strictest(True, False),  # noqa: FBT003 - the words of this field
    "evidence.rule_coverage": _strictest("error", "auto", "warn", "off"),
    "evidence.inferred": _strictest("error", "warn"),
    "evidence.vendor_whitelist": _strictest("error", "report"),
    "evidence.max_scan_age": _smallest,
    "evidence.settle": max,
}


def value_of(policy: EffectivePolicy, name: str) -> Any:
    """Return the value of one of :data:`SCALARS` in an effective policy."""
    section, _, field = name.rpartition(".")
    if section == "unknown":
        return policy.unknown_keys if field == "keys" else policy.unknown_levels
    return getattr(getattr(policy, section) if section else policy, field)


def is_written(document: schema.Policy, name: str) -> bool:
    """Tell whether a policy says one of :data:`SCALARS` itself; the default of a field is nobody's word."""
    section, _, field = name.rpartition(".")
    holder = getattr(document, section) if section else document
    return field in holder.model_fields_set


def own_policy(document: schema.Policy, baseline: Baseline | None = None) -> EffectivePolicy:
    """Return what a policy means on its own: what it does not say has its default."""
    base, rules = document.base_image, document.waiver_rules
    layers = base.layers if base else ()
    return EffectivePolicy(
        mode=document.mode,
        allow_warn_override=document.allow_warn_override,
        permit=document.permit,
        extra_keys=document.extra_keys,
        deny=_clauses(document.deny),
        allow=document.allow.keys,
        thresholds=_thresholds(document.thresholds),
        unknown_keys=document.unknown.keys,
        unknown_levels=(document.unknown.risk_level,),
        label_layers=layers if base and base.action == "label" else (),
        exempt_layers=layers if base and base.action == "exempt" else (),
        baselines=(baseline,) if baseline else (),
        waivers=tuple(map(_waiver, document.waivers)),
        waiver_rules=WaiverRules(_union([rules.require]), rules.max_days, rules.warn_before_days, rules.unused),
        overrides=tuple(map(_override, document.overrides)),
        evidence=Evidence(**document.evidence.model_dump()),
    )


def _clauses(deny: schema.DenyRules) -> tuple[DenyClause, ...]:
    return (DenyClause(deny.keys, deny.groups, deny.except_),) if deny.keys or deny.groups else ()


def _thresholds(limits: schema.Thresholds) -> Thresholds:
    return Thresholds(limits.high, limits.medium, limits.low, limits.total)


def _waiver(waiver: schema.Waiver) -> Waiver:
    return Waiver(
        id=waiver.id,
        keys=waiver.keys,
        paths=waiver.paths,
        md5=waiver.md5,
        fingerprints=waiver.fingerprints,
        images=waiver.images,
        reason=waiver.reason or "",
        owner=waiver.owner or "",
        ticket=waiver.ticket or "",
        created=waiver.created,
        expires=waiver.expires,
    )


def _override(override: schema.Override) -> Override:
    return Override(
        images=override.images,
        deny=_clauses(override.deny),
        allow=override.allow.keys,
        thresholds=_thresholds(override.thresholds),
        waivers=tuple(map(_waiver, override.waivers)),
    )


def inherit(document: schema.Policy, baseline: Baseline | None, parents: Sequence[NamedPolicy]) -> Inherited:
    """Return what a policy means together with its parents, and what is wrong between them.

    ``baseline`` is the one that the document names, read. The order of the parents means nothing but for the order of lists.
    """
    own = own_policy(document, baseline)
    policy = _merge(document, own, parents) if parents else own
    asks = (*permits_beyond(own, parents), *loosened(own, policy, parents))
    faults = (*clashes(own, policy, parents), *rule_faults(own, policy, parents))
    return Inherited(policy, asks, faults, tuple(_notes(document, own, policy, parents)))


def _merge(document: schema.Policy, own: EffectivePolicy, parents: Sequence[NamedPolicy]) -> EffectivePolicy:
    everyone = (own, *(parent.policy for parent in parents))
    chosen = {}
    for name, choose in SCALARS.items():
        asked = everyone if is_written(document, name) else everyone[1:]
        chosen[name] = choose([value_of(policy, name) for policy in asked])
    exempt = _each_once(policy.exempt_layers for policy in everyone)
    merged = EffectivePolicy(
        mode=chosen["mode"],
        allow_warn_override=chosen["allow_warn_override"],
        permit=own.permit,
        extra_keys=_each_once(policy.extra_keys for policy in everyone),
        deny=_each_once(policy.deny for policy in everyone),
        allow=_each_once(policy.allow for policy in everyone),
        thresholds=Thresholds(**_section(chosen, "thresholds")),
        unknown_keys=chosen["unknown.keys"],
        unknown_levels=chosen["unknown.risk_level"],
        label_layers=tuple(layer for layer in _each_once(policy.label_layers for policy in everyone) if layer not in exempt),
        exempt_layers=exempt,
        baselines=_each_once(policy.baselines for policy in everyone),
        waivers=_each_once(policy.waivers for policy in everyone),
        waiver_rules=WaiverRules(**_section(chosen, "waiver_rules")),
        overrides=_each_once(policy.overrides for policy in everyone),
        evidence=Evidence(**_section(chosen, "evidence")),
    )
    denied = denied_keys(merged)
    settled = dict.fromkeys(settle(override, merged.thresholds, denied) for override in merged.overrides)
    return replace(
        merged,
        allow=tuple(word for word in merged.allow if word not in denied),
        overrides=tuple(override for override in settled if override != Override(override.images)),
    )


def settle(override: Override, limits: Thresholds, denied: frozenset[str]) -> Override:
    """Return an override without what has no effect beside what holds for all images, now or in any policy that extends this one.

    :param limits: the thresholds for all images: one that is not smaller never applies.
    :param denied: the keys that are denied in all images: denied wins. Globs stay, for they may come to name further keys.
    """
    lower = {entry.name: _if_lower(getattr(override.thresholds, entry.name), getattr(limits, entry.name)) for entry in fields(limits)}
    return replace(override, thresholds=Thresholds(**lower), allow=tuple(word for word in override.allow if word not in denied))


def _if_lower(most: int | None, limit: int | None) -> int | None:
    return None if most is not None and limit is not None and most >= limit else most


def _each_once(parts: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(item for part in parts for item in part))


def _section(chosen: dict[str, Any], section: str) -> dict[str, Any]:
    return {name.removeprefix(f"{section}."): value for name, value in chosen.items() if name.startswith(f"{section}.")}


def _notes(document: schema.Policy, own: EffectivePolicy, policy: EffectivePolicy, parents: Sequence[NamedPolicy]) -> Iterator[Remark]:
    for name in SCALARS:
        said, applies = value_of(own, name), value_of(policy, name)
        if not is_written(document, name) or said == applies:
            continue
        path = tuple(name.split("."))
        if isinstance(said, tuple):
            covered = {*said, "high"} if "error" in said else set(said)  # an error counts as high, too
            for parent in parents:
                if not covered.issuperset(theirs := value_of(parent.policy, name)):
                    yield Remark(path, f"{name}: the parent {parent.name!r} says {', '.join(theirs)}, and all of them apply")
        else:
            who = next(parent.name for parent in parents if value_of(parent.policy, name) == applies)
            yield Remark(path, f"{name}: {_word(said)} has no effect: the parent {who!r} says {_word(applies)}, which is stricter")
    if parents:
        yield from _denied_by_parents(own, policy)
        yield from _below_overrides(own, policy)


def _denied_by_parents(own: EffectivePolicy, policy: EffectivePolicy) -> Iterator[Remark]:
    known, denied = known_keys(policy), denied_keys(policy)
    lists: list[tuple[FieldPath, tuple[str, ...]]] = [(("allow", "keys"), own.allow)]
    lists += [(("overrides", place, "allow", "keys"), override.allow) for place, override in enumerate(own.overrides)]
    for path, entries in lists:
        for number, entry in enumerate(entries):
            if (named := all_matching((entry,), known)) and named <= denied:
                yield Remark((*path, number), f"{shown(path)}: {entry!r} has no effect: a parent denies it, and denied wins")


def _below_overrides(own: EffectivePolicy, policy: EffectivePolicy) -> Iterator[Remark]:
    """Walk over the thresholds of the policy's own overrides that a parent's for all images make pointless."""
    for place, override in enumerate(own.overrides):
        for level in (entry.name for entry in fields(override.thresholds)):
            most, limit = getattr(override.thresholds, level), getattr(policy.thresholds, level)
            if most != _if_lower(most, limit):
                path = ("overrides", place, "thresholds", level)
                yield Remark(path, f"{shown(path)}: {most} has no effect: thresholds.{level} of a parent is {limit}, which is stricter")


def _word(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
