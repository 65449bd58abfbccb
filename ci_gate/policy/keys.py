"""Which keys a policy denies and allows: globs and groups resolved over the catalog and the policy's own keys. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ci_gate.catalog import catalog_keys, load_catalog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ci_gate.policy.schema import Policy

_GLOB_SIGNS = frozenset("*?[")


def is_glob(entry: str) -> bool:
    """Tell whether an entry of a list of keys is a pattern."""
    return not _GLOB_SIGNS.isdisjoint(entry)


def matching(entry: str, keys: Iterable[str]) -> frozenset[str]:
    """Return the keys that an entry names, exact in case."""
    if is_glob(entry):
        return frozenset(key for key in keys if fnmatchcase(key, entry))
    return frozenset(key for key in keys if key == entry)


def group_keys(names: Iterable[str]) -> frozenset[str]:
    """Return the keys of the named groups; a name that is no group has none."""
    wanted = set(names)
    return frozenset(key for group in load_catalog().groups if group.name in wanted for key in group.keys)


@dataclass(frozen=True, slots=True)
class KeyRules:
    """The keys of a policy, resolved. ``denied`` and ``allowed`` are known keys; a key can be both, and then it is denied.

    The globs are kept: a denied pattern also catches keys that nobody knew when the policy was written.
    """

    known: frozenset[str]
    denied: frozenset[str]
    allowed: frozenset[str]
    denied_folded: frozenset[str]
    deny_globs: tuple[str, ...]
    except_entries: tuple[str, ...]

    def denies(self, key: str) -> bool:
        """Tell whether a key of a finding is denied: exactly, but for its case, or by a pattern for a key that is not known."""
        if key in self.denied:
            return True
        if key in self.known:
            return False
        folded = fold(key)
        if folded in self.denied_folded:
            return True
        by_glob = any(fnmatchcase(folded, glob) for glob in self.deny_globs)
        return by_glob and not any(fnmatchcase(folded, entry) for entry in self.except_entries)


def fold(key: str) -> str:
    """Return a key without its case and outer blanks: a drifting service must not slip by."""
    return key.strip().casefold()


def key_rules(policy: Policy) -> KeyRules:
    """Resolve the lists of a policy."""
    known = frozenset((*catalog_keys(), *policy.extra_keys))
    denied = group_keys(policy.deny.groups).union(*(matching(entry, known) for entry in policy.deny.keys))
    denied = denied.difference(*(matching(entry, known) for entry in policy.deny.except_))
    allowed = frozenset[str]().union(*(matching(entry, known) for entry in policy.allow.keys))
    return KeyRules(
        known,
        denied,
        allowed,
        frozenset(fold(key) for key in denied),
        tuple(entry.casefold() for entry in policy.deny.keys if is_glob(entry)),
        tuple(entry.casefold() for entry in policy.deny.except_),
    )


def denied_keys(policy: Policy) -> frozenset[str]:
    """Return every known key that blocks at any risk level."""
    return key_rules(policy).denied
