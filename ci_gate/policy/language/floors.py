"""Floors: policies that the job hands over, which judge beside the policy of the checkout and which that one cannot soften."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ci_gate.errors import Cause, ExitCode, InvalidDocumentError, UsageError
from ci_gate.policy.effective import Judges, NamedPolicy, canonical_text
from ci_gate.policy.language.load import load_policy
from ci_gate.policy.problems import excerpt
from ci_gate.verdict import FloorSummary

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ci_gate.deadline import Deadline
    from ci_gate.policy.language.load import LoadedPolicy
    from ci_gate.verdict import PolicySummary

_HEX_DIGITS = frozenset("0123456789abcdef")
_SHA256_DIGITS = 64


def load_floors(sources: Sequence[str], sums: Sequence[str] = (), deadline: Deadline | None = None) -> tuple[LoadedPolicy, ...]:
    """Load floors by name or path, and hold them against the SHA-256 sums that are expected of them, in any order.

    :param sums: none to expect nothing, else one for each floor: a sum that no floor has means that a floor is missing.
    :param deadline: as for :func:`~ci_gate.policy.language.load.load_policy`.
    :raises UsageError: for sums that are none, and sums without a floor.
    :raises InvalidDocumentError: with every mistake in a floor, and for a floor that is not the expected one.
    """
    wanted = [text.strip().lower().removeprefix("sha256:") for text in sums]
    for text in wanted:
        if len(text) != _SHA256_DIGITS or not _HEX_DIGITS.issuperset(text):
            raise UsageError(
                f"--floor-sha256 {excerpt(text, 80)!r} is no SHA-256", advice="Copy it from `ci-gate policy check FLOOR`: 64 hex digits."
            )
    if wanted and not sources:
        raise UsageError("--floor-sha256 was given without --floor", advice="Name the floor that it is the sum of.")
    floors = tuple(load_policy(source, deadline) for source in sources)
    found = [floor.policy.sha256 for floor in floors]
    if wanted:
        causes = [_unexpected(floor) for floor in floors if floor.policy.sha256 not in wanted]
        causes += [_missing(text) for text in wanted if text not in found]
        if causes:
            raise InvalidDocumentError.of(causes)
    return floors


def summarise(policy: LoadedPolicy, floors: Sequence[LoadedPolicy], *, mode: str | None = None) -> tuple[PolicySummary, Judges]:
    """Return what reports say of a policy and its floors, and all of them as judges.

    :param mode: the mode that the command line asks for instead of theirs.
    """
    named, told = name_floors(map(unnamed, floors), beside=policy.summary.name, mode=mode)
    judges = Judges(policy.policy, named)
    summary = replace(
        policy.summary, mode=mode or policy.policy.mode, sha256=judges.sha256, floors=told, canonical=canonical_text(judges.canonical)
    )
    return summary, judges


def unnamed(floor: LoadedPolicy) -> tuple[NamedPolicy, str]:
    """Return a floor as :func:`name_floors` takes it."""
    return NamedPolicy(floor.summary.name, floor.policy), floor.summary.origin


def name_floors(
    floors: Iterable[tuple[NamedPolicy, str]], *, beside: str, mode: str | None = None
) -> tuple[tuple[NamedPolicy, ...], tuple[FloorSummary, ...]]:
    """Return floors under names of their own: a rule or a waiver that a report names is that of one policy only.

    :param floors: each with its origin.
    :param beside: the name of the policy that they judge beside.
    """
    taken = {beside}
    named, told = [], []
    for floor, origin in floors:
        name, number = floor.name, 1
        while name in taken:
            name = f"{floor.name} (floor{f' {number}' if number > 1 else ''})"
            number += 1
        taken.add(name)
        named.append(NamedPolicy(name, floor.policy))
        told.append(FloorSummary(name, mode or floor.policy.mode, floor.policy.sha256, origin))
    return tuple(named), tuple(told)


def _unexpected(floor: LoadedPolicy) -> Cause:
    what = f"the floor {floor.summary.name} is not the expected one: its SHA-256 is {floor.policy.sha256}"
    advice = "Restore the floor, or, if its change is meant, give its new sum with --floor-sha256."
    return Cause(ExitCode.POLICY_INVALID, what, advice, where=floor.summary.origin)


def _missing(text: str) -> Cause:
    what = f"no floor has the SHA-256 {text}"
    return Cause(ExitCode.POLICY_INVALID, what, "Give the floor with --floor; `ci-gate policy check FLOOR` prints its sum.")
