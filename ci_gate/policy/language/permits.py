"""What a policy says that loosens a parent, and whether the parent permits it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci_gate.policy.judging.keys import all_matching, denied_keys, known_keys
from ci_gate.policy.language.waiver_rules import all_waivers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ci_gate.policy.effective import EffectivePolicy, NamedPolicy, Waiver
    from ci_gate.policy.problems import FieldPath


@dataclass(frozen=True, slots=True)
class Asks:
    """Something that loosens and needs a permit that a parent does not give.

    ``path`` leads to it in the document; where another parent says it, to the entry of ``extends``. ``entry`` is what is asked for,
    ``parent`` the name of the one that does not permit it, ``word`` what its ``permit`` would have to list.
    """

    path: FieldPath
    entry: str
    parent: str
    word: str


@dataclass(frozen=True, slots=True)
class _Loosening:
    path: FieldPath
    entry: str
    word: str


def permits_beyond(own: EffectivePolicy, parents: Sequence[NamedPolicy]) -> Iterator[Asks]:
    """Walk over what a policy permits that a parent does not permit it."""
    for parent in parents:
        for number, word in enumerate(own.permit):
            if word not in parent.policy.permit:
                yield Asks(("permit", number), word, parent.name, word)


def loosened(own: EffectivePolicy, policy: EffectivePolicy, parents: Sequence[NamedPolicy]) -> Iterator[Asks]:
    """Hold what the policy and each of its parents say against every other parent."""
    for parent in parents:
        for found in _beyond(own, parent.policy, policy):
            if found.word not in parent.policy.permit:
                yield Asks(found.path, found.entry, parent.name, found.word)
        for number, other in enumerate(parents):
            for found in _beyond(other.policy, parent.policy, policy) if other is not parent else ():
                if found.word not in parent.policy.permit:
                    yield Asks(("extends", number), found.entry, parent.name, found.word)


def _beyond(says: EffectivePolicy, parent: EffectivePolicy, policy: EffectivePolicy) -> Iterator[_Loosening]:
    """Walk over what one policy says that loosens a parent. ``policy`` is what comes of all of them."""
    yield from _extra_keys_beyond(says, parent, policy)
    known, denied = known_keys(policy), denied_keys(policy)
    yield from _allowed_beyond(says.allow, ("allow", "keys"), all_matching(parent.allow, known) | denied, known)
    yield from (
        _Loosening(("base_image", "layers", number), f"sha256:{layer}", "exempt")
        for number, layer in enumerate(says.exempt_layers)
        if layer not in parent.exempt_layers
    )
    for baseline in says.baselines:
        if baseline not in parent.baselines:
            yield _Loosening(("baseline",), baseline.file, "baseline")
            if baseline.include_denied:
                yield _Loosening(("baseline", "include_denied"), baseline.file, "baseline_denied")
    yield from _waivers_beyond(says.waivers, ("waivers",), frozenset(parent.waivers))
    yield from _overrides_beyond(says, parent, known, denied)


def _overrides_beyond(
    says: EffectivePolicy, parent: EffectivePolicy, known: frozenset[str], denied: frozenset[str]
) -> Iterator[_Loosening]:
    allowed, waivers = all_matching(parent.allow, known), frozenset(parent.waivers)
    theirs = [(frozenset(override.images), override) for override in parent.overrides]
    for number, override in enumerate(says.overrides):
        if override.allow or override.waivers:
            # What a parent says of all of these images is its own word for them.
            same = [other for images, other in theirs if images.issuperset(override.images)]
            settled = allowed.union(denied, *(all_matching(other.allow, known) for other in same))
            yield from _allowed_beyond(override.allow, ("overrides", number, "allow", "keys"), settled, known)
            settled_waivers = waivers.union(*(other.waivers for other in same))
            yield from _waivers_beyond(override.waivers, ("overrides", number, "waivers"), settled_waivers)


def _allowed_beyond(entries: Iterable[str], path: FieldPath, settled: frozenset[str], known: frozenset[str]) -> Iterator[_Loosening]:
    """Walk over the entries that allow a key that is neither denied nor allowed by the parent: ``settled``."""
    for number, entry in enumerate(entries):
        if all_matching((entry,), known) - settled:
            yield _Loosening((*path, number), entry, "allow")


def _waivers_beyond(waivers: Iterable[Waiver], path: FieldPath, theirs: frozenset[Waiver]) -> Iterator[_Loosening]:
    for number, waiver in enumerate(waivers):
        if waiver not in theirs:
            yield _Loosening((*path, number), waiver.id, "waivers")


def _extra_keys_beyond(says: EffectivePolicy, parent: EffectivePolicy, policy: EffectivePolicy) -> Iterator[_Loosening]:
    """Walk over the keys that the parent does not know: it may deny what it does not know, so only denying them is no loosening.

    A glob of the parent's waivers stands for known keys alone: making a key known puts it under that waiver.
    """
    known = known_keys(policy)
    denied = denied_keys(replace(policy, deny=says.deny, overrides=()))
    waived = all_matching([entry for waiver in all_waivers(parent) for entry in waiver.keys], known)
    settled = frozenset(parent.extra_keys) | (denied - waived)
    for number, key in enumerate(says.extra_keys):
        if key not in settled:
            yield _Loosening(("extra_keys", number), key, "extra_keys")
