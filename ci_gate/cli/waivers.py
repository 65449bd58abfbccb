"""``ci-gate waivers``: the exceptions of a policy, and when they end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ci_gate.cli.output import say
from ci_gate.cli.shared import load_named, policy_argument, today_utc, write_listing
from ci_gate.errors import ExitCode
from ci_gate.model import many
from ci_gate.report.text import cut, printable
from ci_gate.result_document.write import harmless_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from ci_gate.policy.effective import Baseline, Waiver
    from ci_gate.policy.language.load import LoadedPolicy
    from ci_gate.verdict import Validity

_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Exemption:
    """A waiver or a baseline on a day. ``days_left`` counts from that day to its last one: below 0 it has ended."""

    kind: str  # waiver | baseline
    name: str
    state: Validity
    created: date | None
    expires: date | None
    days_left: int | None
    keys: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    owner: str = ""
    ticket: str = ""
    reason: str = ""
    where: str = ""

    def ends_within(self, days: int) -> bool:
        """Whether it has ended, or does within so many days."""
        return self.days_left is not None and self.days_left <= days

    @property
    def document(self) -> dict[str, Any]:
        """The exemption as JSON values."""
        return {
            "kind": self.kind,
            "id": self.name,
            "state": str(self.state),
            "created": self.created.isoformat() if self.created else None,
            "expires": self.expires.isoformat() if self.expires else None,
            "days_left": self.days_left,
            "keys": list(self.keys),
            "images": list(self.images),
            "owner": self.owner,
            "ticket": self.ticket,
            "reason": self.reason,
            "where": self.where,
        }


@click.command(short_help="List the waivers of a policy, and when they end.")
@policy_argument
@click.option(
    "--expiring-in",
    type=click.IntRange(0, 36_500),
    metavar="DAYS",
    help="Only those that have ended, or end within so many days; exit 11 when there is one.",
)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True, help="How to print them.")
def waivers(named: str | None, policy: str | None, expiring_in: int | None, form: str) -> ExitCode:
    """List the waivers and baselines of a policy and its parents, those that end first on top.

    \b
    In a scheduled job, to hear of an end before it blocks a deploy:
      ci-gate waivers --expiring-in 14
    """  # noqa: D301 - \b is click's
    loaded = load_named(named, policy)
    found = [entry for entry in exemptions(loaded, today_utc()) if expiring_in is None or entry.ends_within(expiring_in)]
    if form == "json":
        write_listing(harmless_json(json.dumps([entry.document for entry in found], indent=2)) + "\n")
    elif found:
        write_listing(_table(found))
    if not found:
        say("no waiver or baseline" + ("" if expiring_in is None else f" has ended or ends within {many(expiring_in, 'day')}"))
    return ExitCode.CHECK_FAILED if found and expiring_in is not None else ExitCode.PASSED


def exemptions(loaded: LoadedPolicy, today: date) -> list[Exemption]:
    """Return every waiver and baseline of a policy, those of its overrides too, in the order in which they end."""
    found = [*_waivers(loaded, today), *(_baseline(baseline, loaded, today) for baseline in loaded.policy.baselines)]
    return sorted(found, key=lambda entry: (entry.days_left is None, entry.days_left or 0, entry.kind, entry.name))


def _waivers(loaded: LoadedPolicy, today: date) -> Iterator[Exemption]:
    for waiver in loaded.policy.waivers:
        yield _waiver(waiver, waiver.images, f"waivers.{waiver.id}", loaded, today)
    for number, override in enumerate(loaded.policy.overrides):
        for waiver in override.waivers:
            yield _waiver(waiver, waiver.images or override.images, f"overrides[{number}].waivers.{waiver.id}", loaded, today)


def _waiver(waiver: Waiver, images: tuple[str, ...], place: str, loaded: LoadedPolicy, today: date) -> Exemption:
    return Exemption(
        kind="waiver",
        name=waiver.id,
        state=_state(waiver, loaded, today),
        created=waiver.created,
        expires=waiver.expires,
        days_left=_days_left(waiver.expires, today),
        keys=waiver.keys,
        images=images,
        owner=waiver.owner,
        ticket=waiver.ticket,
        reason=waiver.reason,
        where=loaded.origins.get(place) or loaded.origins.get(f"waivers.{waiver.id}", ""),
    )


def _baseline(baseline: Baseline, loaded: LoadedPolicy, today: date) -> Exemption:
    state, left = _state(baseline, loaded, today), _days_left(baseline.expires, today)
    known = sum(entry.count for entry in baseline.entries)
    covers = many(known, "known finding") + (", denied keys too" if baseline.include_denied else "")
    where = loaded.origins.get("baseline.file") or loaded.origins.get("baseline", "")
    return Exemption("baseline", baseline.file, state, None, baseline.expires, left, reason=covers, where=where)


def _state(what: Waiver | Baseline, loaded: LoadedPolicy, today: date) -> Validity:
    from ci_gate.policy.judging.waivers import validity

    return validity(what, today, loaded.policy.waiver_rules.warn_before_days)


def _days_left(expires: date | None, today: date) -> int | None:
    return None if expires is None else (expires - today).days


def _table(found: Sequence[Exemption]) -> str:
    """Return the exemptions in columns. What is in them comes from the policy: it is made printable."""
    head = ("STATE", "EXPIRES", "DAYS", "ID", "OWNER", "TICKET", "KEYS", "REASON", "DEFINED IN")
    rows = [head, *(tuple(printable(cell) or "-" for cell in _cells(entry)) for entry in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows)


def _cells(entry: Exemption) -> tuple[str, ...]:
    expires = entry.expires.isoformat() if entry.expires else "never"
    left = "" if entry.days_left is None else str(entry.days_left)
    name = entry.name if entry.kind == "waiver" else f"baseline {entry.name}"
    texts = (name, entry.owner, entry.ticket, ", ".join(entry.keys), entry.reason)
    return (str(entry.state), expires, left, *(cut(text, _LONGEST) for text in texts), entry.where)
