"""Which keys a policy denies and allows: globs and groups resolved over the catalog and the policy's own keys. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase, translate
from typing import TYPE_CHECKING

from ci_gate.catalog import catalog_keys, load_catalog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ci_gate.policy.effective import DenyClause, EffectivePolicy

MAX_MATCHES = 1_000_000  # of globs against keys: some seconds
_GLOB_SIGNS = frozenset("*?[")


def is_glob(entry: str) -> bool:
    """Tell whether an entry of a list is a pattern."""
    return not _GLOB_SIGNS.isdisjoint(entry)


def matching(entry: str, keys: Iterable[str]) -> frozenset[str]:
    """Return the keys that an entry names, exact in case."""
    if is_glob(entry):
        return frozenset(key for key in keys if fnmatchcase(key, entry))
    return frozenset(key for key in keys if key == entry)


def all_matching(entries: Iterable[str], keys: frozenset[str]) -> frozenset[str]:
    """Return the keys that any entry of a list names, exact in case."""
    globs = {entry for entry in entries if is_glob(entry)}
    return keys.intersection(entries).union(*(matching(glob, keys) for glob in globs))


def group_keys(names: Iterable[str]) -> frozenset[str]:
    """Return the keys of the named groups; a name that is no group has none."""
    wanted = set(names)
    return frozenset(key for group in load_catalog().groups if group.name in wanted for key in group.keys)


def known_keys(policy: EffectivePolicy) -> frozenset[str]:
    """Return the keys of the catalog and the policy's own ones."""
    return frozenset((*catalog_keys(), *policy.extra_keys))


def glob_count(policy: EffectivePolicy) -> int:
    """Return how many globs over keys a policy has, those of its overrides and waivers included."""
    clauses = (*policy.deny, *(clause for override in policy.overrides for clause in override.deny))
    waivers = (*policy.waivers, *(waiver for override in policy.overrides for waiver in override.waivers))
    lists = [policy.allow, *(override.allow for override in policy.overrides), *(waiver.keys for waiver in waivers)]
    lists += [words for clause in clauses for words in (clause.keys, clause.except_)]
    return sum(is_glob(word) for words in lists for word in words)


def glob_work(policy: EffectivePolicy) -> int:
    """Return how many matches of a glob against a key it takes to resolve a policy; nothing is resolved for that."""
    return glob_count(policy) * len(known_keys(policy))


def fold(key: str) -> str:
    """Return a key without its case and outer blanks: a drifting service must not slip by."""
    return key.strip().casefold()


@dataclass(frozen=True, slots=True)
class _Clause:
    """One clause of denials, resolved. Its exceptions hold for its own denials alone."""

    denied: frozenset[str]
    folded: frozenset[str]
    globs: re.Pattern[str]
    excepted: re.Pattern[str]

    @classmethod
    def of(cls, clause: DenyClause, known: frozenset[str]) -> _Clause:
        denied = group_keys(clause.groups).union(all_matching(clause.keys, known)) - all_matching(clause.except_, known)
        globs = (entry for entry in clause.keys if is_glob(entry))
        return cls(denied, frozenset(map(fold, denied)), _any_of(globs), _any_of(clause.except_))

    def denies_unknown(self, folded: str) -> bool:
        """Tell whether a folded key that is not known is one of the denied ones in another case, or fits a denied pattern."""
        return folded in self.folded or (self.globs.match(folded) is not None and self.excepted.match(folded) is None)


def _any_of(entries: Iterable[str]) -> re.Pattern[str]:
    """Return an expression that matches what any of the patterns does, whatever its case; without a pattern, nothing."""
    return re.compile("|".join(translate(entry.casefold()) for entry in sorted(entries)) or r"(?!)")


@dataclass(frozen=True, slots=True)
class KeyRules:
    """The keys of a policy, resolved. ``denied`` and ``allowed`` are known keys; a key can be both, and then it is denied.

    ``denies_any``: whether anything can be denied at all. The patterns are kept: a denied one also catches keys that nobody knew when the
    policy was written; an allowed one does not.
    """

    known: frozenset[str]
    denied: frozenset[str]
    allowed: frozenset[str]
    denies_any: bool
    clauses: tuple[_Clause, ...]

    def denies(self, key: str) -> bool:
        """Tell whether a key of a finding is denied: exactly, or, where it is not known, but for its case or by a pattern."""
        if key in self.denied:
            return True
        if key in self.known:
            return False
        folded = fold(key)
        return any(clause.denies_unknown(folded) for clause in self.clauses)


def key_rules(policy: EffectivePolicy) -> KeyRules:
    """Resolve the lists of a policy; its overrides are folded in before, where they apply."""
    known = known_keys(policy)
    clauses = tuple(_Clause.of(clause, known) for clause in policy.deny)
    denied = frozenset[str]().union(*(clause.denied for clause in clauses))
    # To make a key known does not take back that it is denied in another case, or by a pattern.
    denied |= {key for key in policy.extra_keys if any(clause.denies_unknown(fold(key)) for clause in clauses)}
    globs = any(is_glob(entry) and entry not in clause.except_ for clause in policy.deny for entry in clause.keys)
    return KeyRules(known, denied, all_matching(policy.allow, known), bool(denied) or globs, clauses)


def denied_keys(policy: EffectivePolicy) -> frozenset[str]:
    """Return every known key that blocks at any risk level."""
    return key_rules(policy).denied
