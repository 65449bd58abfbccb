"""What one policy file can say of what several policies mean together, so that it loads again. Pure.

Where the language has no words for it, the stricter is taken, and what is lost is told.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci_gate.policy.judging.keys import all_matching, fold, group_keys, known_keys
from ci_gate.policy.language.checks_keys import named_by
from ci_gate.policy.language.schema import MAX_PATTERN
from ci_gate.policy.language.waiver_rules import breaches
from ci_gate.policy.problems import MAX_EXCERPT, excerpt, quoted, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ci_gate.policy.effective import Baseline, DenyClause, EffectivePolicy, Override, Waiver

_STRICTEST_LEVEL = ("error", "high", "medium", "low")
_MAX_NAMED = 10


@dataclass(frozen=True, slots=True)
class OneFile:
    """A policy as one file can say it, and what that loses. Clauses and overrides keep their numbers; an override may be left with nothing.

    The clauses of ``policy.deny`` have all the same exceptions, or none, so that they can be written as one.
    """

    policy: EffectivePolicy
    losses: tuple[str, ...]


def as_one_file(policy: EffectivePolicy) -> OneFile:
    """Return what one file can say of a policy."""
    return _Cutter(policy).cut()


class _Cutter:
    """Takes from a policy what the loader would refuse in one file, and notes what that is."""

    def __init__(self, policy: EffectivePolicy) -> None:
        self._policy = policy
        self._known = known_keys(policy)
        self._losses: list[str] = []
        self._ids: set[str] = set()

    def cut(self) -> OneFile:
        policy = self._policy
        deny = self._deny(policy.deny)
        denied = self._denied(deny)
        somewhere = denied.union(*(self._denied(override.deny) for override in policy.overrides))
        allow = self._allow(policy.allow, denied, "allow.keys")
        waivers = self._waivers(policy.waivers, all_matching(allow, self._known) - somewhere)
        overrides = [self._override(number, allow, denied, somewhere) for number in range(len(policy.overrides))]
        self._check_case()
        policy = replace(policy, deny=deny, allow=allow, waivers=waivers, overrides=tuple(overrides))
        policy = replace(policy, unknown_levels=self._levels(), exempt_layers=self._exempt(), baselines=self._baselines())
        return OneFile(policy, tuple(self._losses))

    def _denied(self, clauses: Iterable[DenyClause]) -> frozenset[str]:
        """Return the keys that the loader takes for denied: known ones, exact in case."""
        return frozenset[str]().union(
            *(
                (group_keys(clause.groups) | all_matching(clause.keys, self._known)) - all_matching(clause.except_, self._known)
                for clause in clauses
            )
        )

    def _deny(self, clauses: tuple[DenyClause, ...]) -> tuple[DenyClause, ...]:
        """Leave out the exceptions of single clauses, as soon as there are others: in one file, they would reach all of them.

        Globs are kept, for they also deny keys that nobody knows today; the keys that they name today say less.
        """
        if len({frozenset(clause.except_) for clause in clauses}) <= 1:
            return clauses
        for clause in clauses:
            if clause.except_:
                self._lose(f"deny: the exceptions {_few(clause.except_)} are of one policy only, and left out: what that denies is denied.")
        return tuple(replace(clause, except_=()) for clause in clauses)

    def _allow(self, words: tuple[str, ...], denied: frozenset[str], where: str) -> tuple[str, ...]:
        """Leave out what names denied keys only: it has no effect today, and the loader refuses it."""
        pointless = tuple(word for word in words if (named := named_by(word, self._known)) and named <= denied)
        if pointless:
            self._lose(f"{where}: left out is what names only denied keys, and denied wins: {_few(pointless)}.")
        return tuple(word for word in words if word not in pointless)

    def _override(self, number: int, allow: tuple[str, ...], denied: frozenset[str], somewhere: frozenset[str]) -> Override:
        override = self._policy.overrides[number]
        own = self._allow(override.allow, denied | self._denied(override.deny), shown(("overrides", number, "allow", "keys")))
        allowed = all_matching((*allow, *own), self._known)
        return replace(override, allow=own, waivers=self._waivers(override.waivers, allowed - somewhere))

    def _waivers(self, waivers: tuple[Waiver, ...], settled: frozenset[str]) -> tuple[Waiver, ...]:
        """Leave out what the loader refuses of waivers. ``settled`` are the keys that are allowed there and denied nowhere."""
        return tuple(kept for waiver in waivers if (kept := self._waiver(waiver, settled)) is not None)

    def _waiver(self, waiver: Waiver, settled: frozenset[str]) -> Waiver | None:
        name = f"waivers: {waiver.id}"
        if waiver.id in self._ids:
            self._lose(f"{name} is there for two overrides of the same images, and left out of the second.")
            return None
        self._ids.add(waiver.id)
        if breach := next(breaches(waiver, self._policy.waiver_rules), None):
            self._lose(f"{name} is left out, for waiver_rules came later than it: {breach.what}.")
            return None
        needed = tuple(word for word in waiver.keys if not (named := named_by(word, self._known)) or named - settled)
        if needed != waiver.keys:
            idle = _few(word for word in waiver.keys if word not in needed)
            whole = "" if needed else ", and with that the whole waiver"
            self._lose(f"{name}: left out is {idle}, which is allowed, so that there is nothing to waive{whole}.")
        return replace(waiver, keys=needed) if needed else None

    def _check_case(self) -> None:
        twins = Counter(map(fold, self._policy.extra_keys))
        if alike := [key for key in self._policy.extra_keys if twins[fold(key)] > 1]:
            self._lose(f"extra_keys: {_few(alike)} differ only in case, which the loader refuses in one file.")

    def _levels(self) -> tuple[str, ...]:
        """Return the one level that is as strict as all of them: no single one is, where several are limited, so then it is an error."""
        levels = sorted(self._policy.unknown_levels, key=_STRICTEST_LEVEL.index)
        if len(levels) <= 1:
            return tuple(levels)
        every = (self._policy.thresholds, *(override.thresholds for override in self._policy.overrides))
        limited = [level for level in levels if level == "error" or any(getattr(limits, level) is not None for limits in every)]
        (chosen,) = limited if len(limited) == 1 else ("error",) if limited else levels[:1]
        named = ", ".join(levels)
        self._lose(f"unknown.risk_level: the effective policy counts an undocumented risk level as each of {named}; {chosen} is printed.")
        return (chosen,)

    def _exempt(self) -> tuple[str, ...]:
        policy = self._policy
        if not policy.exempt_layers or not set(policy.label_layers) - set(policy.exempt_layers):
            return policy.exempt_layers
        exempt = _few(f"sha256:{layer}" for layer in policy.exempt_layers)
        self._lose(f"base_image: the effective policy labels some layers and exempts others; left out here are the exempt ones: {exempt}.")
        return ()

    def _baselines(self) -> tuple[Baseline, ...]:
        sayable = [baseline for baseline in self._policy.baselines if len(baseline.file) <= MAX_PATTERN]
        for baseline in self._policy.baselines:
            if baseline not in sayable[:1]:
                self._lose(f"baseline: {_baseline_words(baseline)} applies, too; the language knows one in a file.")
        return tuple(sayable[:1])

    def _lose(self, what: str) -> None:
        self._losses.append(what)


def _few(words: Iterable[str]) -> str:
    every = tuple(words)
    more = f" and {len(every) - _MAX_NAMED} more" if len(every) > _MAX_NAMED else ""
    return f"{', '.join(map(quoted, every[:_MAX_NAMED]))}{more}"


def _baseline_words(baseline: Baseline) -> str:
    denied = ", denied keys too" if baseline.include_denied else ""
    entries = "1 entry" if len(baseline.entries) == 1 else f"{len(baseline.entries)} entries"
    return f"{excerpt(baseline.file, MAX_EXCERPT)} (until {baseline.expires}, {entries}{denied})"
