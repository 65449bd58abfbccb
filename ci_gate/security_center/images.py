"""From what the user names to the image that Security Center knows, matched exactly on our side."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from ci_gate.errors import IncompleteError, ReplacedError
from ci_gate.model import Entry, EvidenceRules, Image, ImageReference, Proof, ProofState, normalise_digest, public_registry
from ci_gate.security_center.contracts import to_int, to_moment, word
from ci_gate.security_center.criteria import INSTANCES
from ci_gate.security_center.repositories import hosts_of, is_in_repository, names_of, namespace_of, path_of
from ci_gate.security_center.scan_requests import FAILED, JOINED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ci_gate.deadline import Deadline
    from ci_gate.security_center.contracts import JsonObject
    from ci_gate.security_center.criteria import Images

_INFOS = "DescribeImageInfoList"
_SHOWN_CANDIDATES = 5
_MAX_UUIDS = 50
FINE_RESULTS = {"", "SUCCESS", JOINED}  # the last: someone else's task did the scan
HOW_TO_GET_A_DIGEST = (
    "Name the image by digest: pass --metadata-file with the file that `docker buildx build --metadata-file FILE` wrote, or append "
    "@sha256:… as printed by `docker push`. A policy may allow tags with evidence.require_digest: false."
)


@dataclass(frozen=True, slots=True)
class Sight:
    """An image as it is listed now. ``row`` holds the service's own words, which a request for a scan repeats."""

    image: Image
    row: JsonObject


def require_digest(reference: ImageReference, rules: EvidenceRules) -> None:
    """Refuse a reference by tag where the policy asks for a digest.

    :raises IncompleteError: if it has none.
    """
    if reference.digest is None and rules.require_digest:
        raise IncompleteError(f"{reference} has no digest: a tag can move, so nothing is proven of it", advice=HOW_TO_GET_A_DIGEST)


def rows_for(images: Images, reference: ImageReference, deadline: Deadline) -> list[JsonObject]:
    """Read the rows among which the image is, if it is listed.

    :raises GateError: if they cannot be read to their end.
    """
    wanted = partial(_matches, reference=reference)
    return images.of_repository(names_of(reference), reference.digest, wanted, deadline)


def identify(rows: list[JsonObject], reference: ImageReference) -> tuple[Image, Proof] | None:
    """Return the one image among the rows that a reference means, and the proof of it; ``None`` if it is not listed.

    :raises IncompleteError: if there is more than one.
    """
    matching = [row for row in rows if _matches(row, reference)]
    if not matching:
        return None
    _refuse_several_places(matching, reference)
    # One image under several tags: the row of the asked tag, else the one that was scanned last.
    chosen = max(matching, key=lambda row: (row.get("Tag") == reference.tag, to_int(row.get("LastScanTime")) or 0, row["Uuid"]))
    return _identified(rows, chosen, reference)


def _refuse_several_places(matching: list[JsonObject], reference: ImageReference) -> None:
    """Refuse a reference that the images of several places match.

    :raises ReplacedError: if there is more than one.
    """
    if len({_place(row) for row in matching}) > 1:
        shown = "; ".join(_describe(row) for row in matching[:_SHOWN_CANDIDATES])
        raise ReplacedError(
            f"{reference} is ambiguous, Security Center lists {len(matching)} images for it: {shown}",
            advice="Name the one that is meant with --image-uuid.",
            action=INSTANCES,
        )


def find_by_uuid(images: Images, uuid: str, reference: ImageReference | None, deadline: Deadline) -> tuple[Image, Proof]:
    """Find an image by the uuid that Security Center gave it; with a reference, both must agree.

    :raises IncompleteError: if the uuid is unknown, or is not the image of the reference.
    """
    answer = images.transport.call(_INFOS, {"Uuids": uuid}, deadline)
    infos = [row for row in answer.rows if row["Uuid"] == uuid]
    if len(infos) != 1:
        raise IncompleteError(
            f"Security Center knows {len(infos)} images with the uuid {uuid!r}",
            advice="Check --image-uuid and --region.",
            action=_INFOS,
            request_id=answer.request_id,
        )
    if reference is not None and not _matches(infos[0], reference):
        raise IncompleteError(
            f"the image with the uuid {uuid!r} is {_describe(infos[0])}, not {reference}",
            advice="Give the uuid or the reference, or make them agree.",
            action=_INFOS,
            request_id=answer.request_id,
        )
    # The list by uuid holds no scan status: the listing of the repository does.
    rows = _rows_around(images, uuid, infos[0]["RepoName"], _digest(infos[0]), deadline)
    chosen = next((row for row in rows if row["Uuid"] == uuid and (reference is None or _matches(row, reference))), None)
    if chosen is None or _digest(chosen) != _digest(infos[0]):
        raise IncompleteError(
            f"the image with the uuid {uuid!r} is in one list of Security Center and not, or otherwise, in the other",
            advice="Try again in some minutes.",
            action=INSTANCES,
        )
    return _identified(rows, chosen, reference, by_uuid=True)


def look_again(images: Images, image: Image, deadline: Deadline) -> Sight:
    """Read the state of an image again: the same uuid, and the same digest.

    :raises IncompleteError: if it is no longer listed, or another image is in its place.
    """
    return _sight(_rows_around(images, image.uuid, image.repository, image.digest, deadline), image)


def confirm(images: Images, image: Image, reference: ImageReference | None, deadline: Deadline, *, by_uuid: bool = False) -> None:
    """Make sure that the image is still there with the scans whose findings were read, and that the reference still means it alone.

    :param by_uuid: the user named the uuid: then another image that the reference fits is not meant.
    :raises IncompleteError: if it is gone, was scanned again meanwhile, if its tag moved, or if the reference means several images now.
    """
    by_tag = reference is not None and reference.digest is None
    rows = _rows_around(images, image.uuid, image.repository, None if by_tag else image.digest, deadline)
    now = _sight(rows, image).image
    if scans_of(now) != scans_of(image):
        raise IncompleteError(
            f"the image {image.uuid} was scanned again, or listed anew, while its findings were read; its scan is {now.scan_status!r} now",
            advice="Run again: there may be more findings now.",
            action=INSTANCES,
        )
    matching = [] if reference is None else [row for row in rows if _matches(row, reference)]
    if by_tag and {_digest(row) for row in matching} != {image.digest}:
        raise IncompleteError(
            f"the tag of {reference} moved while the gate looked: sha256:{image.digest} was judged, and it names another image now",
            advice="Run again, and name the image by digest: a tag can move at any time.",
            action=INSTANCES,
        )
    if reference is not None and not by_uuid:
        _refuse_several_places(matching, reference)


def runs(scan: Entry | Image) -> bool:
    """Whether a scan is under way: a status that nobody knows is one that may end."""
    return _status(scan) not in {"", "SUCCESS", *FAILED}


def has_failed(scan: Entry | Image) -> bool:
    """Whether a scan says that it failed."""
    return _status(scan) in FAILED


def is_fatal(scan: Entry | Image) -> bool:
    """Whether a scan says that it succeeded, with a result that says otherwise."""
    return _status(scan) == "SUCCESS" and word(scan.scan_result) not in FINE_RESULTS


def why_not_listed(reference: ImageReference, rows: list[JsonObject]) -> str:
    """Return what to do about an image that is not among the rows of its repository."""
    if reference.digest and any(is_in_repository(row, reference) and row.get("Tag") == reference.tag for row in rows):
        return (
            "It lists that tag with another digest: the image was pushed again, is not synchronised yet, or the digest is that of a "
            "multi-platform index (buildx writes one even for one platform): then name the digest of the platform's manifest, "
            "with --platform-digest."
        )
    if any(is_in_repository(row, reference) for row in rows):
        return "It lists the repository, but not this image: wait until it is synchronised, then run again."
    return "Check the name, --region, and that the registry is connected to Security Center; a fresh push may take some minutes to appear."


def _rows_around(images: Images, uuid: str, repository: str, digest: str | None, deadline: Deadline) -> list[JsonObject]:
    """Read the rows among which those of a uuid are, and those of its digest; without a digest, all of its repository."""
    return images.of_repository(_names(repository), digest, lambda row: row["Uuid"] == uuid, deadline)


def _sight(rows: list[JsonObject], image: Image) -> Sight:
    """Find an image again.

    :raises ReplacedError: if it is no longer listed, or another image is in its place.
    """
    found = [row for row in rows if row["Uuid"] == image.uuid]
    same = [row for row in found if _digest(row) == image.digest]
    if not same:
        what = "another image is in its place now" if found else "it is no longer listed in its repository"
        raise ReplacedError(
            f"the image sha256:{image.digest} (uuid {image.uuid}) was replaced while the gate waited: {what}",
            advice="Its tag moved with another push, or it was deleted. Run again for the image that is to be deployed.",
            action=INSTANCES,
        )
    row = max(same, key=lambda row: row.get("Tag") == image.tag)
    return Sight(replace(_image(row, _entries(rows, row)), scan_requested=image.scan_requested), row)


def _identified(
    rows: list[JsonObject], chosen: JsonObject, reference: ImageReference | None, *, by_uuid: bool = False
) -> tuple[Image, Proof]:
    """Return the image of a row with all its entries, and the proof that the digest is the image.

    :raises IncompleteError: if Security Center lists the image without a digest, or contradicts itself.
    """
    digest, uuid = _digest(chosen), chosen["Uuid"]
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise IncompleteError(
            f"Security Center lists the image {uuid} without a SHA-256 digest, so it cannot be told what was scanned",
            advice="Wait until the image is synchronised, then run again.",
            action=INSTANCES,
        )
    entries = _entries(rows, chosen)
    image = _image(chosen, entries)
    told = all(hosts_of(row) for row in entries)  # otherwise the registry is not known to be the one asked for
    figures: tuple[tuple[str, int | str], ...] = (
        ("digest", f"sha256:{digest}"),
        ("uuid", uuid),
        ("rows", len(rows)),
        ("registry", "told" if told else "not told"),
    )
    by_tag = reference is not None and reference.digest is None and not by_uuid
    said = f"found by {'uuid' if by_uuid else 'digest'}: sha256:{digest}"
    if by_tag:
        said = f"found by tag, for sha256:{digest}: deploy that digest"
    if not told and reference is not None:
        said += f"; the service does not say whether it is in {reference.registry}"
    if len(image.uuids) > 1:
        figures = (*figures, ("uuids", len(image.uuids)))
        said += f"; it is listed under {len(image.uuids)} uuids, the scans and the findings of all count"
    return image, Proof("identity", ProofState.HELD, said, figures)


def _entries(rows: list[JsonObject], chosen: JsonObject) -> list[JsonObject]:
    """Return the rows of the image of a row: one digest in one registry is one image, under whatever tags and uuids.

    :raises IncompleteError: if a uuid of it is listed as another image, too, or if there are too many.
    """
    entries = [row for row in rows if _is_same_image(row, chosen)]
    uuids = {row["Uuid"] for row in entries}
    if len(uuids) > _MAX_UUIDS:
        raise IncompleteError(
            f"{_describe(chosen)} is listed under {len(uuids)} uuids, which are too many to read",
            advice="Delete tags of it that nobody needs, or give it a digest of its own.",
            action=INSTANCES,
        )
    if len(entries) < sum(row["Uuid"] in uuids for row in rows):
        raise ReplacedError(
            f"Security Center lists the image {chosen['Uuid']} several times, with different digests or places",
            advice="Try again in some minutes.",
            action=INSTANCES,
        )
    return entries


def _is_same_image(row: JsonObject, other: JsonObject) -> bool:
    hosts, others = ({public_registry(host) for host in hosts_of(each)} for each in (row, other))
    return _place(row) == _place(other) and path_of(row) == path_of(other) and not (hosts and others and hosts.isdisjoint(others))


def _place(row: JsonObject) -> tuple[object, ...]:
    """Return what tells images apart that have the same name."""
    return row.get("RegistryType"), row.get("InstanceId"), row.get("RegionId"), _digest(row)


def _names(repository: str) -> tuple[str, ...]:
    """Return the name that a row gives its repository, and, of a nested one, its last part: what a criterion compares is not told."""
    return tuple(dict.fromkeys((repository, repository.rpartition("/")[2])))


def _matches(row: JsonObject, reference: ImageReference) -> bool:
    """Whether a row is of the image: digest (or tag), repository, and registry host where the row tells it."""
    if not is_in_repository(row, reference):
        return False
    if reference.digest is not None:
        return _digest(row) == reference.digest
    return row.get("Tag") == (reference.tag or "latest")


def _digest(row: JsonObject) -> str:
    """Return the digest of a row as bare hex, or an empty text where it has none."""
    return normalise_digest(row.get("Digest") or "")


def _describe(row: JsonObject) -> str:
    name = f"{path_of(row)}:{row.get('Tag') or '?'}@sha256:{_digest(row)}"
    return f"{name} (uuid {row['Uuid']}, instance {row.get('InstanceId') or '?'})"


def scans_of(image: Image) -> set[Entry]:
    """Return what tells the scans of an image from others; their progress is written when it suits the service."""
    return {replace(entry, scan_progress=None) for entry in image.entries}


def _status(scan: Entry | Image) -> str:
    return word(scan.scan_status)


def _entry(row: JsonObject) -> Entry:
    """Turn what a row says of a scan into an entry."""
    return Entry(
        uuid=row["Uuid"],
        scan_status=row.get("ScaStatus") or "",
        scan_result=row.get("ScaResult") or "",
        scan_progress=to_int(row.get("ScaProgress")),
        last_scan_ms=to_moment(row.get("LastScanTime")),
        last_scan_told=to_int(row.get("LastScanTime")) or None,
    )


def _deciding(entries: Iterable[Entry]) -> Entry:
    """Return the entry whose scan is that of all of them.

    That is one that runs; else a failure, unless a success is known to be later; else the success that is known to have ended last: one
    without a time hides none that has one.

    :raises IncompleteError: if a uuid is listed with different successes.
    """
    entries = sorted(entries, key=lambda entry: (math.inf if entry.last_scan_ms is None else entry.last_scan_ms, entry.uuid))
    running = [entry for entry in entries if runs(entry)]
    failed = [entry for entry in entries if _status(entry) in FAILED or is_fatal(entry)]
    succeeded = [entry for entry in entries if _status(entry) == "SUCCESS" and not is_fatal(entry)]
    if running:
        return running[-1]
    if failed and not any(_is_later(entry, failed[-1]) for entry in succeeded):
        return failed[-1]
    if len(succeeded) > len({entry.uuid for entry in succeeded}):
        raise IncompleteError(
            f"Security Center lists the image {succeeded[0].uuid} several times, with different scans",
            advice="Try again in some minutes.",
            action=INSTANCES,
        )
    return max(succeeded or entries, key=lambda entry: (entry.last_scan_ms or 0, entry.uuid))


def _is_later(scan: Entry, other: Entry) -> bool:
    """Whether a scan is known to have ended after another one."""
    return scan.last_scan_ms is not None and other.last_scan_ms is not None and scan.last_scan_ms > other.last_scan_ms


def _image(row: JsonObject, rows: list[JsonObject]) -> Image:
    """Turn a row into an image, with the scan of all its rows together."""
    entries = frozenset(map(_entry, rows))
    scan = _deciding(entries)
    return Image(
        uuid=row["Uuid"],
        digest=_digest(row),
        registry_type=row.get("RegistryType") or "",
        region_id=row.get("RegionId") or "",
        instance_id=row.get("InstanceId") or "",
        repo_id=row.get("RepoId") or "",
        namespace=namespace_of(row),
        repository=row.get("RepoName") or "",
        tag=row.get("Tag") or "",
        scan_status=scan.scan_status,
        scan_result=scan.scan_result,
        scan_progress=scan.scan_progress,
        last_scan_ms=scan.last_scan_ms,
        entries=entries,
    )
