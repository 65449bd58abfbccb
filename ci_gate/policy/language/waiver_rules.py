"""Waivers that come together from a policy and its parents: ids that clash, and rules that they break. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci_gate.policy.effective import EffectivePolicy, NamedPolicy, Waiver, WaiverRules
    from ci_gate.policy.problems import FieldPath


@dataclass(frozen=True, slots=True)
class Fault:
    """Something else that is wrong between a policy and its parents."""

    path: FieldPath
    what: str
    advice: str


def all_waivers(policy: EffectivePolicy) -> Iterator[Waiver]:
    """Walk over the waivers of a policy, those of its overrides included."""
    yield from policy.waivers
    for override in policy.overrides:
        yield from override.waivers


def _located(policy: EffectivePolicy) -> Iterator[tuple[FieldPath, tuple[str, ...] | None, Waiver]]:
    """Walk over all waivers of a policy: path, the images of the override that holds it, waiver."""
    for number, waiver in enumerate(policy.waivers):
        yield ("waivers", number), None, waiver
    for place, override in enumerate(policy.overrides):
        for number, waiver in enumerate(override.waivers):
            yield ("overrides", place, "waivers", number), override.images, waiver


def clashes(own: EffectivePolicy, policy: EffectivePolicy, parents: Sequence[NamedPolicy]) -> Iterator[Fault]:
    """Walk over the ids that name several waivers. The same waiver that comes from several policies is one."""
    meant: dict[str, set[Any]] = {}
    for _, images, waiver in _located(policy):
        meant.setdefault(waiver.id, set()).add((images, waiver))
    twice = {waiver_id for waiver_id, waivers in meant.items() if len(waivers) > 1}
    if not twice:
        return
    advice = "Give every waiver an id of its own: reports name waivers by it."
    holders: dict[str, str] = {}
    for number, parent in enumerate(parents):
        for waiver_id in sorted(twice.intersection(waiver.id for waiver in all_waivers(parent.policy))):
            if waiver_id in holders:
                what = f"the waiver {waiver_id} is another one than that of the parent {holders[waiver_id]!r}"
                yield Fault(("extends", number), what, advice)
            holders.setdefault(waiver_id, parent.name)
    for path, _, waiver in _located(own):
        if waiver.id in twice and waiver.id in holders:
            what = f"the id {waiver.id!r} is taken by another waiver, of the parent {holders[waiver.id]!r}"
            yield Fault((*path, "id"), what, advice)


class _Breach(NamedTuple):
    """A way in which a waiver breaks rules: the field, what is wrong with it, and what to do."""

    field: str
    what: str
    advice: str


def breaches(waiver: Waiver, rules: WaiverRules) -> Iterator[_Breach]:
    """Walk over the ways in which a waiver breaks rules."""
    missing = [name for name in rules.require if not getattr(waiver, name)]
    for name in missing:
        yield _Breach(name, f"the field {name!r} is missing: waiver_rules.require asks for it", f"Add {name}.")
    if rules.max_days is None:
        return
    if waiver.created and waiver.expires:
        days = (waiver.expires - waiver.created).days
        if days > rules.max_days:
            what = f"lasts {days} days, and waiver_rules.max_days is {rules.max_days}"
            yield _Breach("expires", what, "Let it end earlier; it can be renewed when somebody has looked at it again.")
        return
    for name in ("created", "expires"):
        if name not in missing and not getattr(waiver, name):
            yield _Breach(name, f"the field {name!r} is missing: waiver_rules.max_days asks for both days", f"Add {name}.")


def rule_faults(own: EffectivePolicy, policy: EffectivePolicy, parents: Sequence[NamedPolicy]) -> Iterator[Fault]:
    """Hold a policy's own waivers against all rules, and those of each parent against the rules of the others."""
    inherited = {waiver for parent in parents for waiver in all_waivers(parent.policy)}
    for path, _, waiver in _located(own):
        for breach in breaches(waiver, policy.waiver_rules) if waiver not in inherited else ():
            who = _who_rules(breach.field, waiver, own.waiver_rules, parents)
            yield Fault((*path, breach.field), f"{breach.what}{who}", breach.advice)
    held = [frozenset(all_waivers(parent.policy)) for parent in parents]
    found: dict[tuple[int, WaiverRules], list[tuple[Waiver, tuple[_Breach, ...]]]] = {}
    for number, holder in enumerate(parents):
        for other, theirs in zip(parents, held, strict=True):
            if other is holder:
                continue
            rules = other.policy.waiver_rules
            if (number, rules) not in found:  # many parents have the same rules, and nearly all waivers keep them
                every = ((waiver, tuple(breaches(waiver, rules))) for waiver in all_waivers(holder.policy))
                found[number, rules] = [(waiver, broken) for waiver, broken in every if broken]
            for waiver, broken in found[number, rules]:
                for breach in broken if waiver not in theirs else ():
                    what = f"the waiver {waiver.id}: {breach.what} in the parent {other.name!r}"
                    yield Fault(("extends", number), what, f"{breach.advice} The waiver is in {holder.name!r}.")


def _who_rules(name: str, waiver: Waiver, own: WaiverRules, parents: Sequence[NamedPolicy]) -> str:
    """Say which parent's rule a waiver breaks, where it is not the policy's own."""
    if any(breach.field == name for breach in breaches(waiver, own)):
        return ""
    who = next((p.name for p in parents if any(breach.field == name for breach in breaches(waiver, p.policy.waiver_rules))), "")
    return f" in the parent {who!r}" if who else ""
