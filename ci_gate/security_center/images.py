"""From what the user names to the image that Security Center knows, matched exactly on our side."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from ci_gate.errors import IncompleteError
from ci_gate.model import EvidenceRules, Image, ImageReference, Proof, ProofState, normalise_digest
from ci_gate.security_center.contracts import to_int
from ci_gate.security_center.criteria import INSTANCES
from ci_gate.security_center.repositories import hosts_of, is_in_repository, names_of, namespace_of, path_of

if TYPE_CHECKING:
    from ci_gate.deadline import Deadline
    from ci_gate.security_center.contracts import JsonObject
    from ci_gate.security_center.criteria import Images

_INFOS = "DescribeImageInfoList"
_SHOWN_CANDIDATES = 5
_MAX_UUIDS = 50
_FIRST_MOMENT_MS = 1_500_000_000_000  # July 2017, before there was this API: an earlier time, or one in seconds, tells nothing
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
    image = _only_one(matching, reference)
    told = all(hosts_of(row) for row in matching)
    proof = identity_proof(image, reference, candidates=len(rows), registry_told=told)
    uuids = {row["Uuid"] for row in matching}
    if len(uuids) > 1:
        # One digest in one registry is one image; the service may keep an entry of it for each tag.
        if len(uuids) > _MAX_UUIDS:
            raise IncompleteError(
                f"{reference} is listed under {len(uuids)} uuids, which are too many to read",
                advice="Name the one that is meant with --image-uuid.",
                action=INSTANCES,
            )
        image = replace(image, others=tuple(sorted(uuids - {image.uuid})))
        detail = f"{proof.detail}; it is listed under {len(uuids)} uuids, the scan of {image.uuid} counts and the findings of all"
        proof = replace(proof, detail=detail, figures=(*proof.figures, ("uuids", len(uuids))))
    return image, proof


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
    rows = _rows_of(images, uuid, infos[0]["RepoName"], _digest(infos[0]), deadline)
    if not rows or _digest(rows[0]) != _digest(infos[0]) or (reference is not None and not _are_of(rows, reference)):
        raise IncompleteError(
            f"the image with the uuid {uuid!r} is in one list of Security Center and not, or otherwise, in the other",
            advice="Try again in some minutes.",
            action=INSTANCES,
        )
    image = _image(_agreeing(rows))
    return image, identity_proof(image, reference, candidates=len(rows), registry_told=bool(hosts_of(rows[0])), by_uuid=True)


def look_again(images: Images, image: Image, deadline: Deadline) -> Sight:
    """Read the state of an image again: the same uuid, and the same digest.

    :raises IncompleteError: if it is no longer listed, or another image is in its place.
    """
    rows = _rows_of(images, image.uuid, image.repository, image.digest, deadline)
    if rows and _digest(rows[0]) == image.digest:
        row = _agreeing(rows)
        return Sight(replace(_image(row), scan_requested=image.scan_requested, others=image.others), row)
    what = "another image is in its place now" if rows else "it is no longer listed"
    raise IncompleteError(
        f"the image sha256:{image.digest} (uuid {image.uuid}) was replaced while the gate waited: {what}",
        advice="Its tag moved with another push, or it was deleted. Run again for the image that is to be deployed.",
        action=INSTANCES,
    )


def confirm(images: Images, image: Image, reference: ImageReference | None, deadline: Deadline) -> None:
    """Make sure that the image is still there with the scan whose findings were read, and that a tag still means it.

    :raises IncompleteError: if it is gone, was scanned again meanwhile, or if its tag moved.
    """
    now = look_again(images, image, deadline).image
    if scan_state(now) != scan_state(image):
        raise IncompleteError(
            f"the image {image.uuid} was scanned again while its findings were read, its scan is {now.scan_status!r} now",
            advice="Run again: the new scan may have found more.",
            action=INSTANCES,
        )
    if reference is not None and reference.digest is None:
        _confirm_tag(images, image, reference, deadline)


def scan_state(image: Image) -> tuple[str, str, int | None]:
    """Return what tells one scan of an image from another."""
    return image.scan_status.strip().upper(), image.scan_result.strip().upper(), image.last_scan_ms


def _confirm_tag(images: Images, image: Image, reference: ImageReference, deadline: Deadline) -> None:
    """Make sure that a tag still names the image that was read.

    :raises IncompleteError: if it names another one now, or none.
    """
    rows = images.of_repository(_names(image.repository), None, lambda row: row["Uuid"] == image.uuid, deadline)
    if {_digest(row) for row in rows if _matches(row, reference)} != {image.digest}:
        raise IncompleteError(
            f"the tag of {reference} moved while the gate looked: sha256:{image.digest} was judged, and it names another image now",
            advice="Run again, and name the image by digest: a tag can move at any time.",
            action=INSTANCES,
        )


def identity_proof(image: Image, reference: ImageReference | None, *, candidates: int, registry_told: bool, by_uuid: bool = False) -> Proof:
    """Build the proof that the digest is the image.

    :param registry_told: whether the service names the registry's host; otherwise it is not known to be the one asked for.

    :raises IncompleteError: if Security Center lists the image without a digest.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", image.digest):
        raise IncompleteError(
            f"Security Center lists the image {image.uuid} without a SHA-256 digest, so it cannot be told what was scanned",
            advice="Wait until the image is synchronised, then run again.",
            action=INSTANCES,
        )
    figures: tuple[tuple[str, int | str], ...] = (
        ("digest", f"sha256:{image.digest}"),
        ("uuid", image.uuid),
        ("rows", candidates),
        ("registry", "told" if registry_told else "not told"),
    )
    unsaid = "" if registry_told or reference is None else f"; the service does not say whether it is in {reference.registry}"
    if reference is not None and reference.digest is None and not by_uuid:
        return Proof("identity", ProofState.HELD, f"found by tag, for sha256:{image.digest}: deploy that digest{unsaid}", figures)
    found = "by uuid" if by_uuid else "by digest"
    return Proof("identity", ProofState.HELD, f"found {found}: sha256:{image.digest}{unsaid}", figures)


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


def _rows_of(images: Images, uuid: str, repository: str, digest: str, deadline: Deadline) -> list[JsonObject]:
    """Read the rows of a uuid, a row a tag."""
    rows = images.of_repository(_names(repository), digest, lambda row: row["Uuid"] == uuid, deadline)
    return [row for row in rows if row["Uuid"] == uuid]


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


def _are_of(rows: list[JsonObject], reference: ImageReference) -> bool:
    """Whether rows of one uuid, a row a tag, are of the image: one matches, and none is of another repository or registry."""
    anywhere = replace(reference, tag=None, digest=_digest(rows[0]))
    return any(_matches(row, reference) for row in rows) and all(_matches(row, anywhere) for row in rows)


def _agreeing(rows: list[JsonObject]) -> JsonObject:
    """Return one of the rows of a uuid, a row a tag: one whose scan has not succeeded, if there is one.

    :raises IncompleteError: if they tell of different digests, or of different successes.
    """
    # A scan that is under way can move between two rows: what is not finished in one of them is waited for.
    unfinished = [row for row in rows if (row.get("ScaStatus") or "").strip().upper() != "SUCCESS"]
    said = {((row.get("ScaResult") or "").upper(), to_int(row.get("LastScanTime")), to_int(row.get("ScaProgress"))) for row in rows}
    if len({_digest(row) for row in rows}) > 1 or (not unfinished and len(said) > 1):
        raise IncompleteError(
            f"Security Center lists the image {rows[0]['Uuid']} several times, with different digests or scans",
            advice="Try again in some minutes.",
            action=INSTANCES,
        )
    return unfinished[0] if unfinished else rows[0]


def _only_one(rows: list[JsonObject], reference: ImageReference) -> Image:
    """Return the one image behind the rows: rows of one digest in one registry are one image."""
    registries = {(row.get("RegistryType"), row.get("InstanceId"), row.get("RegionId")) for row in rows}
    digests = {_digest(row) for row in rows}
    if len(registries) > 1 or len(digests) > 1:
        shown = "; ".join(_describe(row) for row in rows[:_SHOWN_CANDIDATES])
        raise IncompleteError(
            f"{reference} is ambiguous, Security Center lists {len(rows)} images for it: {shown}",
            advice="Name the one that is meant with --image-uuid.",
            action=INSTANCES,
        )
    # One image under several tags: the row of the asked tag, else the one that was scanned last.
    chosen = max(rows, key=lambda row: (row.get("Tag") == reference.tag, to_int(row.get("LastScanTime")) or 0, row["Uuid"]))
    return _image(_agreeing([chosen, *(row for row in rows if row["Uuid"] == chosen["Uuid"])]))


def _digest(row: JsonObject) -> str:
    """Return the digest of a row as bare hex, or an empty text where it has none."""
    return normalise_digest(row.get("Digest") or "")


def _describe(row: JsonObject) -> str:
    name = f"{path_of(row)}:{row.get('Tag') or '?'}@sha256:{_digest(row)}"
    return f"{name} (uuid {row['Uuid']}, instance {row.get('InstanceId') or '?'})"


def _moment(value: object) -> int | None:
    """Return a time in milliseconds since the epoch, or ``None`` where it can be none."""
    number = to_int(value)
    return number if number is not None and number >= _FIRST_MOMENT_MS else None


def _image(row: JsonObject) -> Image:
    """Turn a row into an image."""
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
        scan_status=row.get("ScaStatus") or "",
        scan_result=row.get("ScaResult") or "",
        scan_progress=to_int(row.get("ScaProgress")),
        last_scan_ms=_moment(row.get("LastScanTime")),
    )
