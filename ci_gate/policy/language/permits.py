"""What a policy says that loosens a parent, and whether the parent permits it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from ci_gate.policy.judging.keys import all_matching, denied_keys, known_keys
from ci_gate.policy.language.waiver_rules import all_waivers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ci_gate.policy.effective import EffectivePolicy, NamedPolicy, Override, Waiver
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
    if not parents:
        return
    resolved = _Resolved(policy)
    mine, sides = _Side(own, resolved), [_Side(parent.policy, resolved) for parent in parents]
    for place, parent in enumerate(parents):
        for found in _beyond(mine, sides[place]):
            if found.word not in parent.policy.permit:
                yield Asks(found.path, found.entry, parent.name, found.word)
        for number, other in enumerate(sides):
            for found in _beyond(other, sides[place]) if number != place else ():
                if found.word not in parent.policy.permit:
                    yield Asks(("extends", number), found.entry, parent.name, found.word)


class _Resolved:
    """The policy that comes of all of them: which keys entries name there, and numbers that tell what is equal. All is worked out once.

    Every parent is held against every other one, and each may have thousands of entries.
    """

    def __init__(self, policy: EffectivePolicy) -> None:
        self.policy = policy
        self.known = known_keys(policy)
        self.denied = denied_keys(policy)
        self._named: dict[str, frozenset[str]] = {}
        self._numbers: dict[Override | Waiver, int] = {}

    def named(self, entry: str) -> frozenset[str]:
        """Return the known keys that an entry names."""
        if (keys := self._named.get(entry)) is None:
            keys = self._named[entry] = all_matching((entry,), self.known)
        return keys

    def all_named(self, entries: Iterable[str]) -> frozenset[str]:
        """Return the known keys that any of some entries names."""
        return frozenset[str]().union(*map(self.named, entries))

    def number(self, item: Override | Waiver) -> int:
        """Return the number of an override or a waiver: equal ones have the same."""
        return self._numbers.setdefault(item, len(self._numbers))


@dataclass(frozen=True, slots=True)
class _Settled:
    """What a parent says itself for some images: keys that are allowed there, and numbers of waivers."""

    allowed: frozenset[str]
    waivers: frozenset[int]


_NOTHING = _Settled(frozenset(), frozenset())


class _Side:
    """One policy, as what it says is held against others, and as others are held against it."""

    def __init__(self, policy: EffectivePolicy, resolved: _Resolved) -> None:
        self.policy, self.resolved = policy, resolved
        self.extra_keys, self.layers = frozenset(policy.extra_keys), frozenset(policy.exempt_layers)
        self.settled_keys = resolved.all_named(policy.allow) | resolved.denied
        self.waivers = tuple(map(resolved.number, policy.waivers))
        self.settled_waivers = frozenset(self.waivers)
        self.overrides = tuple(map(resolved.number, policy.overrides))
        self.settled_overrides = frozenset(self.overrides)
        self.override_waivers = [tuple(map(resolved.number, override.waivers)) for override in policy.overrides]
        self.images = [frozenset(override.images) for override in policy.overrides]
        self._of_images: dict[frozenset[str], list[int]] = {}
        for place, images in enumerate(self.images):
            self._of_images.setdefault(images, []).append(place)
        self._holding: dict[str, list[frozenset[str]]] = {}
        for images in self._of_images:
            for image in images:
                self._holding.setdefault(image, []).append(images)
        self._settled: dict[frozenset[str], _Settled] = {}

    @cached_property
    def denied(self) -> frozenset[str]:
        """The keys of all policies that this one denies in every image."""
        return denied_keys(replace(self.resolved.policy, deny=self.policy.deny, overrides=()))

    @cached_property
    def waived(self) -> frozenset[str]:
        """The keys of all policies that waivers of this one name."""
        return self.resolved.all_named({entry for waiver in all_waivers(self.policy) for entry in waiver.keys})

    def settled_for(self, images: frozenset[str]) -> _Settled:
        """Return what the overrides say that are for all of some images, and perhaps for more."""
        fewest = min((self._holding.get(image, ()) for image in images), key=len, default=())
        if not fewest:
            return _NOTHING
        if (settled := self._settled.get(images)) is None:
            places = [place for holding in fewest if holding >= images for place in self._of_images[holding]]
            settled = self._settled[images] = _Settled(
                self.resolved.all_named({entry for place in places for entry in self.policy.overrides[place].allow}),
                frozenset(number for place in places for number in self.override_waivers[place]),
            )
        return settled


def _beyond(says: _Side, parent: _Side) -> Iterator[_Loosening]:
    """Walk over what one policy says that loosens a parent."""
    yield from _extra_keys_beyond(says, parent)
    for number, entry in enumerate(says.policy.allow):
        if says.resolved.named(entry) - parent.settled_keys:
            yield _Loosening(("allow", "keys", number), entry, "allow")
    yield from (
        _Loosening(("base_image", "layers", number), f"sha256:{layer}", "exempt")
        for number, layer in enumerate(says.policy.exempt_layers)
        if layer not in parent.layers
    )
    for baseline in says.policy.baselines:
        if baseline not in parent.policy.baselines:
            yield _Loosening(("baseline",), baseline.file, "baseline")
            if baseline.include_denied:
                yield _Loosening(("baseline", "include_denied"), baseline.file, "baseline_denied")
    for number, waiver in enumerate(says.policy.waivers):
        if says.waivers[number] not in parent.settled_waivers:
            yield _Loosening(("waivers", number), waiver.id, "waivers")
    for place, override in enumerate(says.overrides):
        if override not in parent.settled_overrides:  # one that it says itself, word by word, is soon done with
            yield from _override_beyond(says, place, parent)


def _override_beyond(says: _Side, place: int, parent: _Side) -> Iterator[_Loosening]:
    override, permit = says.policy.overrides[place], parent.policy.permit
    allow = () if "allow" in permit else override.allow
    allowing = [(number, entry) for number, entry in enumerate(allow) if says.resolved.named(entry) - parent.settled_keys]
    held = () if "waivers" in permit else says.override_waivers[place]
    waiving = [(number, waiver) for number, waiver in enumerate(held) if waiver not in parent.settled_waivers]
    if not (allowing or waiving):
        return
    same = parent.settled_for(says.images[place])  # what a parent says of all of these images is its own word for them
    for number, entry in allowing:
        if says.resolved.named(entry) - parent.settled_keys - same.allowed:
            yield _Loosening(("overrides", place, "allow", "keys", number), entry, "allow")
    for number, waiver in waiving:
        if waiver not in same.waivers:
            yield _Loosening(("overrides", place, "waivers", number), override.waivers[number].id, "waivers")


def _extra_keys_beyond(says: _Side, parent: _Side) -> Iterator[_Loosening]:
    """Walk over the keys that the parent does not know: it may deny what it does not know, so only denying them is no loosening.

    A glob of the parent's waivers stands for known keys alone: making a key known puts it under that waiver.
    """
    for number, key in enumerate(says.policy.extra_keys):
        if key not in parent.extra_keys and (key not in says.denied or key in parent.waived):
            yield _Loosening(("extra_keys", number), key, "extra_keys")
