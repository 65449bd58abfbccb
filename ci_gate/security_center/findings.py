"""Every sensitive file of an image, and the proofs that it is every one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from ci_gate.errors import Cause, ExitCode, GateError, ParameterRefusedError
from ci_gate.model import EvidenceRules, Finding, Image, Inventory, Proof, ProofState, many, normalise_digest, number_alike
from ci_gate.security_center.contracts import REPORT_IT, to_int
from ci_gate.security_center.paging import Glance, Listing, Request, Row, glance, read_listings
from ci_gate.security_center.pool import run_together

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ci_gate.deadline import Deadline
    from ci_gate.security_center.scan_requests import Task
    from ci_gate.security_center.transport import Transport

KEYS = "DescribeImageSensitiveFileList"
FILES = "DescribeImageSensitiveFileByKey"
_SECOND_LOOK_S = 2.0
_FRESH_SCAN_MS = 60_000
_LONGEST_SCAN_MS = 86_400_000
_SETTLING_LOOKS = 3
_WORST_LAST = (ProofState.HELD, ProofState.UNKNOWN, ProofState.FAILED)
_ASKED = "asked"  # of the second route: anything else says why there is no figure of it
_REREAD = "Try again in some minutes. If it stays, report it; evidence.inferred: warn in the policy accepts what cannot be explained."


@dataclass(frozen=True, slots=True)
class ScanRange:
    """Which assets to ask for (the image alone, or its containers too), and the language of names and advice."""

    containers: bool = False
    lang: str = "en"

    @property
    def parameters(self) -> tuple[tuple[str, object], ...]:
        """The parameters that both calls share. ``Lang`` is always set: the service's default is Chinese."""
        return (("ScanRange", ["image", "container"] if self.containers else ["image"]), ("Lang", self.lang))


@dataclass(frozen=True, slots=True)
class _Pass:
    """One reading of everything: the keys, the files of each, and what speaks against them."""

    keys: Listing
    files: tuple[Listing, ...]
    added: tuple[Row, ...] = ()
    findings: tuple[Finding, ...] | None = None  # of all files but the added ones, made while the last calls were under way
    second_route: str = "not asked"
    second_total: int | None = None
    disagreements: tuple[str, ...] = ()
    failure: Cause | None = None
    promised: frozenset[str] = frozenset()  # keys that were listed, at any look, and not as without unprocessed files

    @property
    def rows(self) -> list[Row]:
        return [row for listing in self.files for row in listing.rows] + list(self.added)

    @property
    def causes(self) -> tuple[Cause, ...]:
        listings = (self.keys, *self.files)
        return tuple(dict.fromkeys(listing.cause for listing in listings if listing.cause is not None))


def read_findings(transport: Transport, image: Image, rules: EvidenceRules, scan_range: ScanRange, deadline: Deadline) -> Inventory:
    """Read every finding of an image. What cut the reading short is a cause of the inventory, which holds what was read."""
    found = _read_pass(transport, image, scan_range, deadline)
    if found.disagreements and not found.causes and deadline.sleep(_SECOND_LOOK_S):
        # Something may have been written meanwhile: what still disagrees after a pause is not believed.
        found = _keeping(found, _read_pass(transport, image, scan_range, deadline, found.promised))
    proofs = [_complete(found), _consistent(found, rules)]
    findings = _findings(found.rows) if found.added or found.findings is None else found.findings
    if found.failure is not None and found.failure not in found.causes:
        return Inventory(findings, tuple(proofs), (*found.causes, found.failure))
    return Inventory(findings, tuple(proofs), found.causes)


def read_all_entries(transport: Transport, image: Image, rules: EvidenceRules, scan_range: ScanRange, deadline: Deadline) -> Inventory:
    """Read every finding of an image under each of its uuids: one digest can be listed several times, each entry with a scan of its own."""
    read = [read_findings(transport, replace(image, uuid=uuid), rules, scan_range, deadline) for uuid in image.uuids]
    if len(read) == 1:
        return read[0]
    findings = list(read[0].findings)
    for other in read[1:]:
        left = _told_apart(other.findings) - _told_apart(findings)
        findings += [finding for finding in other.findings if _take(left, finding)]
    # Of several causes of a proof, the merged one has the first; all of them are the inventory's.
    causes = (cause for each in read for cause in (*each.causes, *(proof.cause for proof in each.proofs)) if cause is not None)
    repeated = sum(len(each.findings) for each in read) - len(findings)
    proofs = (_merged(image.uuids, proofs, repeated) for proofs in zip(*(each.proofs for each in read), strict=True))
    return Inventory(number_alike(findings), tuple(proofs), tuple(dict.fromkeys(causes)))


def _merged(uuids: Sequence[str], proofs: Sequence[Proof], repeated: int) -> Proof:
    """Return a proof of all entries of a digest: the worst one, with the counts of all added up; one that is not known (-1) stays so.

    :param uuids: of the entries, in the order of their proofs.
    :param repeated: how many findings more were read than there are, since several entries list them.
    """
    uuid, worst = max(zip(uuids, proofs, strict=True), key=lambda one: (one[1].cause is not None, _WORST_LAST.index(one[1].state)))
    figures: dict[str, int | str] = {}
    for name, first in proofs[0].figures:
        values = [dict(proof.figures)[name] for proof in proofs]
        if isinstance(first, int):
            figures[name] = -1 if -1 in values else sum(map(int, values))
        else:
            figures[name] = next((value for value in values if value != _ASKED), _ASKED)
    detail = f"uuid {uuid}: {worst.detail}"
    if worst.state is ProofState.HELD:
        detail = f"{'; '.join(dict.fromkeys(proof.detail for proof in proofs))} (of {len(uuids)} uuids of the digest)"
    return replace(worst, detail=detail, figures=(*figures.items(), ("repeated", repeated)))


def _take(left: Counter[tuple[str, ...]], finding: Finding) -> bool:
    """Take a finding off what is left, if it is there."""
    marks = _marks(finding)
    left[marks] -= 1
    return left[marks] >= 0


def prove_settled(
    transport: Transport,
    image: Image,
    inventory: Inventory,
    rules: EvidenceRules,
    scan_range: ScanRange,
    asked_ms: int | None,
    tasks: Sequence[Task] | None,
    deadline: Deadline,
) -> tuple[Inventory, Proof]:
    """Read the inventory of a fresh scan again after ``evidence.settle``, until two readings agree: success can come before the findings.

    A scan is fresh that ended less than 60 s before its findings were asked for, as far as that is known of each entry, or that this run
    asked for or waited for, whatever its time. Its first findings may be some of its own, or those of the scan before.

    :param asked_ms: when the findings were first asked for, milliseconds since the epoch; ``None`` where nobody knows.
    :param tasks: the latest of the image, as far as they may be asked for; ``None`` where the service failed to tell.
    :return: the inventory to judge, and the proof.
    """
    if inventory.causes or any(proof.cause for proof in inventory.proofs):
        return inventory, Proof("settled", ProofState.NOT_ASKED, "only what was read whole is read again")
    age_ms = _age_ms(image, tasks, asked_ms)
    if age_ms is not None and age_ms >= _FRESH_SCAN_MS and not image.scan_requested:
        age_s = age_ms // 1000
        by = "its task and LastScanTime" if tasks else "LastScanTime alone"
        return inventory, Proof("settled", ProofState.HELD, f"the scan ended {age_s} s before, by {by}", (("scan_age_s", age_s),))
    for _ in range(_SETTLING_LOOKS):
        if not deadline.sleep(rules.settle_s):
            return inventory, _unsettled("the scan ended just now, and there was no time to look again")
        again = _with_vanished(inventory, read_all_entries(transport, image, rules, scan_range, deadline), rules)
        stands = _told_apart(again.findings) == _told_apart(inventory.findings)
        inventory = again
        if stands or inventory.causes or any(proof.cause for proof in inventory.proofs):
            figures = (("settle_s", int(rules.settle_s)), ("findings", len(inventory.findings)))
            said = f"read again after {rules.settle_s:.0f} s: {many(len(inventory.findings), 'finding')}"
            return inventory, Proof("settled", ProofState.HELD, said, figures)
    return inventory, _unsettled(f"the scan ended just now, and its findings still change after {_SETTLING_LOOKS} looks")


def may_be_fresh(image: Image, asked_ms: int | None) -> bool:
    """Whether the scan may have ended just now though its ``LastScanTime`` is earlier, which may be when it began: its task tells."""
    age_ms = _age_ms(image, (), asked_ms)
    return not image.scan_requested and age_ms is not None and _FRESH_SCAN_MS <= age_ms < _LONGEST_SCAN_MS


def _age_ms(image: Image, tasks: Sequence[Task] | None, asked_ms: int | None) -> int | None:
    """Return how long before its findings were asked for the scan ended, in milliseconds; ``None`` where nobody knows."""
    told = all(entry.last_scan_ms is not None for entry in image.entries if entry.scan_status.strip())
    ends = [image.last_scan_ms, *(task.finished_ms for task in tasks or ())]  # a task that is under way has none
    if asked_ms is None or tasks is None or not told or None in ends:
        return None
    return asked_ms - max(end for end in ends if end is not None)


def _unsettled(what: str) -> Proof:
    cause = Cause(ExitCode.INCOMPLETE, what, "Give the run more time with --timeout, or run again.", KEYS)
    return Proof("settled", ProofState.FAILED, what, cause=cause)


def _told_apart(findings: Iterable[Finding]) -> Counter[tuple[str, ...]]:
    return Counter(map(_marks, findings))


def _marks(finding: Finding) -> tuple[str, ...]:
    """Return what lasts of a finding from one reading to the next."""
    return (finding.key, finding.path, finding.md5.lower(), normalise_digest(finding.layer_digest), finding.risk_level)


def _with_vanished(first: Inventory, again: Inventory, rules: EvidenceRules) -> Inventory:
    """Return a second reading with what only the first one saw: a finding of an image does not vanish, so it is judged, and doubted."""
    left = _told_apart(first.findings) - _told_apart(again.findings)
    vanished = []
    for finding in first.findings:
        if left[_marks(finding)] > 0:
            left[_marks(finding)] -= 1
            vanished.append(finding)
    if not vanished:
        return again
    findings = number_alike((*again.findings, *vanished))
    return replace(again, findings=findings, proofs=tuple(_doubted(proof, len(vanished), rules) for proof in again.proofs))


def _doubted(proof: Proof, vanished: int, rules: EvidenceRules) -> Proof:
    """Return the proof ``consistent`` with a disagreement more; any other as it is."""
    if proof.name != "consistent":
        return proof
    figures = dict(proof.figures)
    counts = {name: int(figures[name]) + by for name, by in (("second_route_added", vanished), ("disagreements", 1))}
    what = f"{_gone(vanished)} after {rules.settle_s:.0f} s"
    cause = Cause(ExitCode.INCOMPLETE, f"the findings do not add up: {what}", _REREAD, KEYS) if rules.inferred == "error" else None
    return replace(proof, state=ProofState.FAILED, detail=what, figures=tuple({**figures, **counts}.items()), cause=proof.cause or cause)


def _gone(number: int) -> str:
    return f"{many(number, 'file that was there at the first look was', 'files that were there at the first look were')} gone"


def _read_pass(
    transport: Transport, image: Image, scan_range: ScanRange, deadline: Deadline, promised: frozenset[str] = frozenset()
) -> _Pass:
    """Read the keys, the files of each, and what can be held against them.

    :param promised: keys of an earlier look, whose files are asked for whether they are listed still or not.
    """
    common = (("ImageUuid", image.uuid), *scan_range.parameters)
    keys_request = Request(KEYS, common)
    before = read_listings(transport, [keys_request], deadline)[0]
    listed = sorted({str(row.fields["SensitiveFileKey"]) for row in before.rows} | promised)
    read = read_listings(transport, [Request(FILES, (*common, ("SensitiveFileKey", key))) for key in listed], deadline)
    files = tuple(_of_its_key(listing) for listing in read)
    found = _Pass(before, files, promised=promised | _promised(before))
    if found.causes:
        return found
    everything = Request(FILES, common)
    after, second, findings = run_together(
        (
            partial(_listing_of, transport, keys_request, deadline),
            partial(_glance_or_error, transport, everything, deadline),
            partial(_findings, found.rows),
        )
    )
    assert isinstance(after, Listing)
    assert isinstance(second, Glance | GateError)
    assert isinstance(findings, tuple)
    return _hold_against(transport, replace(found, findings=findings), after, everything, second, deadline)


def _keeping(first: _Pass, second: _Pass) -> _Pass:
    """Return the second pass with what only the first one saw: a finding that vanishes between two looks is judged, and doubted."""
    vanished = _pick(first.rows, _identities(first.rows) - _identities(second.rows))
    against = list(second.disagreements)
    if vanished:
        against.append(f"{_gone(len(vanished))} at the second")
    if second.second_total is not None and (first.second_total or 0) > second.second_total:
        counts = f"{many(first.second_total or 0, 'file')} at the first look, {second.second_total} at the second"
        against.append(f"the call without a key counted {counts}")
    return replace(second, added=(*second.added, *vanished), disagreements=tuple(against))


def _listing_of(transport: Transport, request: Request, deadline: Deadline) -> Listing:
    return read_listings(transport, [request], deadline)[0]


def _glance_or_error(transport: Transport, request: Request, deadline: Deadline) -> Glance | GateError:
    try:
        return glance(transport, request, deadline)
    except GateError as error:
        return error


def _hold_against(
    transport: Transport, found: _Pass, after: Listing, everything: Request, second: Glance | GateError, deadline: Deadline
) -> _Pass:
    """Hold what was read against the listing after it, and against the second route: the call without a key."""
    against: list[str] = []
    failure = after.cause
    if after.cause is None and _summary(after) != _summary(found.keys):
        against.append("the listing of keys changed while the files were read")
    found = replace(found, promised=found.promised | _promised(after))
    empty = {_key_of(listing) for listing in found.files if not listing.rows}
    against.extend(f"key {key} is listed with unprocessed files, and yields none" for key in sorted(empty & found.promised))
    if isinstance(second, ParameterRefusedError):
        return replace(found, second_route=f"refused: {second.cause.what}", disagreements=tuple(against), failure=failure)
    if isinstance(second, GateError):
        return replace(found, second_route="failed", disagreements=tuple(against), failure=failure or second.cause)
    keyed = _identities(found.rows)
    rows, total = second.rows, second.total
    if second.problem is not None:
        against.append(f"the call without a key: {second.problem}")
    if total > keyed.total():
        whole = read_listings(transport, [everything], deadline)[0]
        failure = failure or whole.cause
        # What the glance saw counts, whatever a second reading says.
        rows = (*whole.rows, *_pick(second.rows, _identities(second.rows) - _identities(whole.rows)))
        if whole.cause is None and (whole.total != total or len(rows) != len(whole.rows)):
            against.append("the call without a key answers otherwise each time")
        if keyed - _identities(rows):
            against.append("the call without a key lacks files that the calls by key hold")
    elif total < keyed.total():
        against.append(f"the call without a key counts {many(total, 'file')}, the calls by key {keyed.total()}")
    added = tuple(_pick(rows, _identities(rows) - keyed))
    if added and total <= keyed.total():
        against.append("the call without a key holds files that the calls by key lack")
    return replace(found, added=added, second_route=_ASKED, second_total=total, disagreements=tuple(against), failure=failure)


def _identities(rows: Iterable[Row]) -> Counter[bytes]:
    return Counter(row.identity for row in rows)


def _promised(keys: Listing) -> frozenset[str]:
    """Return the keys that are listed and should yield files: no figure is not a figure of zero."""
    return frozenset(str(row.fields["SensitiveFileKey"]) for row in keys.rows if to_int(row.fields.get("UnprocessedNum")) != 0)


def _key_of(listing: Listing) -> str:
    return str(dict(listing.request.parameters)["SensitiveFileKey"])


def _of_its_key(listing: Listing) -> Listing:
    """Give a listing that holds files of another key than was asked for the cause that it cannot be trusted; case may differ."""
    key = _key_of(listing).casefold()
    strangers = [row for row in listing.rows if str(row.fields["SensitiveFileKey"]).casefold() != key]
    if not strangers or listing.cause is not None:
        return listing
    what = f"{many(len(strangers), 'file')} of another key came back for the key {_key_of(listing)}"
    return replace(listing, cause=Cause(ExitCode.PROTOCOL, what, REPORT_IT, FILES))


def _pick(rows: Sequence[Row], wanted: Counter[bytes]) -> list[Row]:
    left = Counter(wanted)
    picked = []
    for row in rows:
        if left[row.identity] > 0:
            left[row.identity] -= 1
            picked.append(row)
    return picked


def _summary(keys: Listing) -> Counter[tuple[str, int | None, int | None]]:
    return Counter(
        (str(row.fields["SensitiveFileKey"]), to_int(row.fields.get("Count")), to_int(row.fields.get("UnprocessedNum")))
        for row in keys.rows
    )


def _complete(found: _Pass) -> Proof:
    listings = (found.keys, *found.files)
    figures = (
        ("keys_listed", len(found.keys.rows)),
        ("keys_total", -1 if found.keys.total is None else found.keys.total),
        ("listed_count", sum(to_int(row.fields.get("Count")) or 0 for row in found.keys.rows)),
        ("files_read", sum(len(listing.rows) for listing in found.files)),
        ("files_total", sum(listing.total or 0 for listing in found.files)),
        ("pages", sum(listing.pages for listing in listings)),
        ("read_again", sum(max(0, listing.readings - 1) for listing in listings)),
    )
    if found.causes:
        read = sum(1 for listing in found.files if listing.complete)
        what = (
            f"{read} of {many(len(found.files), 'listed key was', 'listed keys were')} read to the end"
            if found.keys.complete
            else "the listing of keys was not read to the end"
        )
        return Proof("complete", ProofState.FAILED, what, figures, found.causes[0])
    return Proof("complete", ProofState.HELD, "every page of every listed key was read, and the rows equal the totals", figures)


def _consistent(found: _Pass, rules: EvidenceRules) -> Proof:
    figures = (
        ("second_route", found.second_route),
        ("second_route_total", -1 if found.second_total is None else found.second_total),
        ("second_route_added", len(found.added)),
        ("disagreements", len(found.disagreements)),
    )
    if found.causes:
        return Proof("consistent", ProofState.UNKNOWN, "not judged, since the findings are not complete", figures)
    if found.failure is not None:
        return Proof("consistent", ProofState.UNKNOWN, "the second look failed", figures, found.failure)
    if found.disagreements:
        what = "; ".join(found.disagreements)
        cause = Cause(ExitCode.INCOMPLETE, f"the findings do not add up: {what}", _REREAD, KEYS) if rules.inferred == "error" else None
        return Proof("consistent", ProofState.FAILED, what, figures, cause)
    more = f"; {many(len(found.added), 'finding')} came from the call without a key alone" if found.added else ""
    if found.second_total is None:
        return Proof("consistent", ProofState.HELD, f"a second listing agrees; the call without a key was {found.second_route}", figures)
    return Proof("consistent", ProofState.HELD, f"a second listing and the call without a key agree{more}", figures)


def _findings(rows: list[Row]) -> tuple[Finding, ...]:
    return number_alike(
        Finding(
            key=row.fields["SensitiveFileKey"],
            path=row.fields["FilePath"],
            risk_level=row.fields["RiskLevel"].strip().lower(),
            md5=row.fields.get("Md5") or "",
            layer_digest=row.fields.get("LayerDigest") or "",
            name=row.fields.get("SensitiveFileName") or "",
            advice=row.fields.get("Advice") or "",
            description=row.fields.get("Description") or "",
            first_scan_ms=to_int(row.fields.get("FirstScanTime")),
            last_scan_ms=to_int(row.fields.get("LastScanTime")),
        )
        for row in rows
    )
