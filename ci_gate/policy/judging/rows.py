"""The findings of an inventory in canonical order, told apart from those that look alike. Pure."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from ci_gate.model import Finding, Inventory, ProofState, RiskLevel, normalise_digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DOCUMENTED = {level.value: level for level in RiskLevel}
_SEVERITY = {RiskLevel.LOW: 0, RiskLevel.MEDIUM: 1, RiskLevel.HIGH: 2}
_ODD = 3


class Row(NamedTuple):
    """A finding and its fingerprint. ``nth``: which one it is of those that share the fingerprint, the least severe first, from 1."""

    finding: Finding
    fingerprint: str
    nth: int


def rows_of(inventory: Inventory, exempt: frozenset[str] = frozenset()) -> list[Row]:
    """Return the findings in canonical order.

    Baselines and deployed images cover the first so many of those that are alike. That order depends on each finding alone: a further
    one may take the place of another, and never makes room for one. Of those that are as severe, the ones in ``exempt``
    layers (bare hex) come first: they are excused anyway, and must not leave what is known of them to others.
    """
    distinct = is_partial(inventory)
    marked = sorted((finding.key, finding.path, finding.fingerprint, i) for i, finding in enumerate(inventory.findings))
    rows: list[Row] = []
    for fingerprint, group in groupby(marked, key=itemgetter(2)):
        alike = [inventory.findings[i] for *_, i in group]
        if len(alike) == 1:
            rows.append(Row(alike[0], fingerprint, 1))
        else:
            alike.sort(key=lambda finding: (finding.ordinal, _facts(finding)))
            rows += (Row(finding, fingerprint, nth) for finding, nth in zip(alike, _ranks(alike, exempt, distinct=distinct), strict=True))
    return rows


def is_partial(inventory: Inventory) -> bool:
    """Tell whether rows are missing or doubtful.

    A failed proof without a cause is a warning and lets the run pass, so all rows count then.
    """
    incomplete = (proof for proof in inventory.proofs if proof.name == "complete")
    return bool(inventory.causes) or any(proof.state is ProofState.FAILED and proof.cause is not None for proof in incomplete)


def documented_level(word: str) -> RiskLevel | None:
    """Return the risk level that a word of the service is, or ``None`` where it is not documented."""
    return DOCUMENTED.get(word.strip().lower())


def _ranks(alike: Sequence[Finding], exempt: frozenset[str], *, distinct: bool) -> Iterator[int]:
    """Return which one each is, in the order given. Where they are not ``distinct``, rows that differ in nothing may be one, read twice."""
    facts = [(_severity(finding), normalise_digest(finding.layer_digest) not in exempt, _facts(finding)) for finding in alike]
    if distinct:
        places = {fact: place for place, fact in enumerate(sorted(set(facts)), start=1)}
        return (places[fact] for fact in facts)
    order = sorted(range(len(alike)), key=lambda i: (facts[i], alike[i].ordinal))
    ranks = {i: place for place, i in enumerate(order, start=1)}
    return (ranks[i] for i in range(len(alike)))


def _severity(finding: Finding) -> int:
    level = documented_level(finding.risk_level)
    return _ODD if level is None else _SEVERITY[level]


def _facts(f: Finding) -> tuple[str | int, ...]:
    """Return all that a finding says, less what its fingerprint and its ordinal say."""
    never = -1
    return (
        *(f.risk_level, f.layer_digest, f.md5, f.name, f.advice, f.description),
        *(never if moment is None else moment for moment in (f.first_scan_ms, f.last_scan_ms)),
    )
