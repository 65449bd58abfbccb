"""Which waivers fit a finding, and which of them are in force. Pure: the day is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from ci_gate.policy.effective import Baseline, Waiver
from ci_gate.policy.judging.globs import GlobIndex
from ci_gate.policy.judging.keys import all_matching
from ci_gate.verdict import Validity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ci_gate.model import Finding

_IN_FORCE = frozenset({Validity.ACTIVE, Validity.EXPIRING})


def validity(what: Waiver | Baseline, today: date, warn_before_days: int) -> Validity:
    """Tell whether a waiver or a baseline is in force on a day (UTC). Its first and last day count; a day that is not set never comes."""
    created = what.created if isinstance(what, Waiver) else None
    if created is not None and today < created:
        return Validity.PENDING
    if what.expires is None:
        return Validity.ACTIVE
    if what.expires < today:
        return Validity.EXPIRED
    return Validity.EXPIRING if what.expires - today <= timedelta(warn_before_days) else Validity.ACTIVE


def in_force(what: Waiver | Baseline, today: date) -> bool:
    """Tell whether a waiver or a baseline counts on a day (UTC)."""
    return validity(what, today, 0) in _IN_FORCE


@dataclass(frozen=True, eq=False)
class Alike:
    """The waivers of one key that fit the very same findings, by id. They are looked up and counted as one."""

    waivers: tuple[Waiver, ...]
    valid: Waiver | None  # the first that is in force
    lapsed: tuple[Waiver, ...]  # those that are not

    @cached_property
    def _md5(self) -> frozenset[str]:
        return frozenset(self.waivers[0].md5)

    @cached_property
    def _fingerprints(self) -> frozenset[str]:
        return frozenset(self.waivers[0].fingerprints)

    @cached_property
    def _paths(self) -> GlobIndex[None]:
        return GlobIndex((path, None) for path in self.waivers[0].paths)

    def fits(self, finding: Finding, fingerprint: str) -> bool:
        """Tell whether all that the waivers name fits a finding of their key: of each list, one entry."""
        wanted = self.waivers[0]
        return (
            (not wanted.fingerprints or (finding.has_content and fingerprint in self._fingerprints))
            and (not wanted.md5 or finding.md5.lower() in self._md5)
            and (not wanted.paths or bool(self._paths.find(finding.path)))
        )


class WaiverIndex:
    """Finds the waivers that fit a finding without trying them all: by its key, and then by the most telling thing that each one names."""

    def __init__(self, waivers: Iterable[Waiver], known: frozenset[str], today: date) -> None:
        """Build for the keys that are known: a pattern of keys stands for no other ones."""
        self._by_key: dict[str, list[Waiver]] = {}
        self._today = today
        self._indexes: dict[str, _OfKeys] = {}
        self._shared: dict[tuple[int, ...], _OfKeys] = {}
        for waiver in sorted(waivers, key=lambda waiver: waiver.id):
            for key in all_matching(waiver.keys, known):
                self._by_key.setdefault(key, []).append(waiver)

    def fitting(self, finding: Finding, fingerprint: str) -> tuple[Alike, ...]:
        """Return the waivers that fit a finding, in force or not."""
        index = self._indexes.get(finding.key)
        if index is None:  # of the keys that occur only
            if finding.key not in self._by_key:
                return ()
            index = self._indexes[finding.key] = self._index(self._by_key[finding.key])
        return index.fitting(finding, fingerprint)

    def _index(self, waivers: list[Waiver]) -> _OfKeys:
        """Return the index of some waivers, one for all keys that have the same ones: it may be as large as the policy."""
        same = tuple(map(id, waivers))
        if same not in self._shared:
            groups: dict[_Names, list[Waiver]] = {}
            for waiver in waivers:
                groups.setdefault((waiver.paths, waiver.md5, waiver.fingerprints), []).append(waiver)
            self._shared[same] = _OfKeys(map(self._alike, groups.values()))
        return self._shared[same]

    def _alike(self, waivers: list[Waiver]) -> Alike:
        valid = [waiver for waiver in waivers if in_force(waiver, self._today)]
        lapsed = tuple(waiver for waiver in waivers if not in_force(waiver, self._today))
        return Alike(tuple(waivers), valid[0] if valid else None, lapsed)


_Names = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]


class _OfKeys:
    """The waivers of keys that have the same ones, each filed under its fingerprints, or else its MD5 sums, or else its paths."""

    def __init__(self, groups: Iterable[Alike]) -> None:
        self._always: list[Alike] = []
        self._by_fingerprint: dict[str, list[Alike]] = {}
        self._by_md5: dict[str, list[Alike]] = {}
        paths: list[tuple[str, Alike]] = []
        for group in groups:
            wanted = group.waivers[0]
            if wanted.fingerprints:
                _file(self._by_fingerprint, wanted.fingerprints, group)
            elif wanted.md5:
                _file(self._by_md5, wanted.md5, group)
            elif wanted.paths:
                paths += ((path, group) for path in wanted.paths)
            else:
                self._always.append(group)
        self._by_path = GlobIndex(paths)
        self._sets: dict[tuple[Alike, ...], tuple[Alike, ...]] = {}

    def fitting(self, finding: Finding, fingerprint: str) -> tuple[Alike, ...]:
        found = list(self._always)
        if filed := (*self._by_fingerprint.get(fingerprint, ()), *self._by_md5.get(finding.md5.lower(), ())):
            found += (group for group in filed if group.fits(finding, fingerprint))
        if by_path := self._by_path.find(finding.path):
            found += dict.fromkeys(by_path)
        fitting = tuple(found)
        return self._sets.setdefault(fitting, fitting)  # many waivers of many findings: once for all that have the same ones


def _file(shelf: dict[str, list[Alike]], names: Iterable[str], group: Alike) -> None:
    for name in dict.fromkeys(names):
        shelf.setdefault(name, []).append(group)
