"""From what the user names to the image that Security Center knows, matched exactly on our side."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from ci_gate.errors import IncompleteError, error_for
from ci_gate.model import EvidenceRules, Image, ImageReference, Proof, ProofState, normalise_digest, public_registry
from ci_gate.security_center.contracts import to_int
from ci_gate.security_center.paging import Request, read_listings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ci_gate.deadline import Deadline
    from ci_gate.security_center.contracts import JsonObject
    from ci_gate.security_center.transport import Transport

_NO_NAMESPACE = {"", "n/a"}
_SHOWN_CANDIDATES = 5
HOW_TO_GET_A_DIGEST = (
    "Name the image by digest: pass --metadata-file with the file that `docker buildx build --metadata-file FILE` wrote, or append "
    "@sha256:… as printed by `docker push`. A policy may allow tags with evidence.require_digest: false."
)


def find_by_reference(transport: Transport, reference: ImageReference, rules: EvidenceRules, deadline: Deadline) -> tuple[Image, Proof]:
    """Find the one image that a reference means.

    :raises IncompleteError: if there is none, or more than one, or no digest where the policy asks for one.
    """
    if reference.digest is None and rules.require_digest:
        raise IncompleteError(f"{reference} has no digest: a tag can move, so nothing is proven of it", advice=HOW_TO_GET_A_DIGEST)
    rows = _instances(transport, (("repoName", reference.repository),), deadline)
    matching = [row for row in rows if _matches(row, reference)]
    if not matching:
        raise IncompleteError(
            f"Security Center does not list {reference}",
            advice=_not_listed(reference, rows),
            action="DescribeImageInstances",
        )
    image = _only_one(matching, reference)
    told = all(_hosts(row.get("Endpoints")) for row in matching)
    proof = identity_proof(image, reference, candidates=len(rows), registry_told=told)
    uuids = {row["Uuid"] for row in matching}
    if len(uuids) > 1:
        # One digest in one registry is one image; the service may keep an entry of it for each tag.
        detail = f"{proof.detail}; it is listed under {len(uuids)} uuids, {image.uuid} is judged"
        proof = replace(proof, detail=detail, figures=(*proof.figures, ("uuids", len(uuids))))
    return image, proof


def find_by_uuid(transport: Transport, uuid: str, reference: ImageReference | None, deadline: Deadline) -> tuple[Image, Proof]:
    """Find an image by the uuid that Security Center gave it; with a reference, both must agree.

    :raises IncompleteError: if the uuid is unknown, or is not the image of the reference.
    """
    answer = transport.call("DescribeImageInfoList", {"Uuids": uuid}, deadline)
    infos = [row for row in answer.rows if row["Uuid"] == uuid]
    if len(infos) != 1:
        raise IncompleteError(
            f"Security Center knows {len(infos)} images with the uuid {uuid!r}",
            advice="Check --image-uuid and --region.",
            action="DescribeImageInfoList",
            request_id=answer.request_id,
        )
    if reference is not None and not _matches(infos[0], reference):
        raise IncompleteError(
            f"the image with the uuid {uuid!r} is {_describe(infos[0])}, not {reference}",
            advice="Give the uuid or the reference, or make them agree.",
            action="DescribeImageInfoList",
            request_id=answer.request_id,
        )
    # The list by uuid holds no scan status: the listing of the repository does.
    rows = [row for row in _instances(transport, (("repoName", infos[0]["RepoName"]),), deadline) if row["Uuid"] == uuid]
    if not rows or _digest(rows[0]) != _digest(infos[0]) or (reference is not None and not _are_of(rows, reference)):
        raise IncompleteError(
            f"the image with the uuid {uuid!r} is in one list of Security Center and not, or otherwise, in the other",
            advice="Try again in some minutes.",
            action="DescribeImageInstances",
        )
    image = _image(_agreeing(rows))
    return image, identity_proof(image, reference, candidates=len(rows), registry_told=bool(_hosts(rows[0].get("Endpoints"))))


def refresh(transport: Transport, image: Image, deadline: Deadline) -> Image:
    """Read the state of an image again.

    :raises IncompleteError: if it is no longer listed.
    """
    rows = [row for row in _instances(transport, (("repoName", image.repository),), deadline) if row["Uuid"] == image.uuid]
    if rows and _digest(rows[0]) == image.digest:
        return _image(_agreeing(rows))
    raise IncompleteError(
        f"the image {image.uuid} is no longer listed",
        advice="It was deleted or replaced while the gate waited. Run again.",
        action="DescribeImageInstances",
    )


def identity_proof(image: Image, reference: ImageReference | None, *, candidates: int, registry_told: bool) -> Proof:
    """Build the proof that the digest is the image.

    :param registry_told: whether the service names the registry's host; otherwise it is not known to be the one asked for.

    :raises IncompleteError: if Security Center lists the image without a digest.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", image.digest):
        raise IncompleteError(
            f"Security Center lists the image {image.uuid} without a SHA-256 digest, so it cannot be told what was scanned",
            advice="Wait until the image is synchronised, then run again.",
            action="DescribeImageInstances",
        )
    figures: tuple[tuple[str, int | str], ...] = (
        ("digest", f"sha256:{image.digest}"),
        ("uuid", image.uuid),
        ("rows", candidates),
        ("registry", "told" if registry_told else "not told"),
    )
    unsaid = "" if registry_told or reference is None else f"; the service does not say whether it is in {reference.registry}"
    if reference is not None and reference.digest is None:
        return Proof("identity", ProofState.HELD, f"found by tag, for sha256:{image.digest}: deploy that digest{unsaid}", figures)
    found = "by digest" if reference is not None else "by uuid"
    return Proof("identity", ProofState.HELD, f"found {found}: sha256:{image.digest}{unsaid}", figures)


def _instances(transport: Transport, criteria: Iterable[tuple[str, object]], deadline: Deadline) -> list[JsonObject]:
    """Read all images that match criteria. The service matches fuzzily, so callers filter again.

    :raises IncompleteError: if the listing cannot be read to its end.
    """
    text = json.dumps([{"name": name, "value": value} for name, value in criteria], separators=(",", ":"))
    request = Request("DescribeImageInstances", (("Criteria", text), ("LogicalExp", "AND")))
    listing = read_listings(transport, [request], deadline)[0]
    if listing.cause is not None:
        raise error_for(listing.cause)
    return [row.fields for row in listing.rows]


def _matches(row: JsonObject, reference: ImageReference) -> bool:
    """Whether a row is of the image: digest (or tag), namespace, repository, and registry host where the row tells it."""
    namespace = str(row.get("RepoNamespace") or "")
    if row.get("RepoName") != reference.repository or ("" if namespace.lower() in _NO_NAMESPACE else namespace) != reference.namespace:
        return False
    if reference.digest is not None:
        if _digest(row) != reference.digest:
            return False
    elif row.get("Tag") != (reference.tag or "latest"):
        return False
    hosts = {public_registry(host) for host in _hosts(row.get("Endpoints"))}
    return not hosts or public_registry(reference.registry) in hosts


def _are_of(rows: list[JsonObject], reference: ImageReference) -> bool:
    """Whether rows of one uuid, a row a tag, are of the image: one matches, and none is of another repository or registry."""
    anywhere = replace(reference, tag=None, digest=_digest(rows[0]))
    return any(_matches(row, reference) for row in rows) and all(_matches(row, anywhere) for row in rows)


def _hosts(endpoints: object) -> set[str]:
    """Return the registry hosts that a row names: ``Endpoints`` is JSON, as text, or a bare host; a word without a dot is none."""
    try:
        found = json.loads(endpoints) if isinstance(endpoints, str) else None
    except (ValueError, RecursionError):
        return {endpoints} if isinstance(endpoints, str) and "." in endpoints else set()
    hosts, unread = set(), [found]
    while unread:
        value = unread.pop()
        if isinstance(value, dict):
            unread.extend(value.values())
        elif isinstance(value, list):
            unread.extend(value)
        elif isinstance(value, str) and value.strip():
            hosts.add(value.rpartition("://")[2].partition("/")[0])
    return hosts


def _agreeing(rows: list[JsonObject]) -> JsonObject:
    """Return one of the rows of a uuid, a row a tag, if they say the same of the image.

    :raises IncompleteError: if they do not.
    """
    said = {(_digest(row), row.get("ScaStatus"), row.get("ScaResult"), row.get("LastScanTime"), row.get("ScaProgress")) for row in rows}
    if len(said) > 1:
        raise IncompleteError(
            f"Security Center lists the image {rows[0]['Uuid']} several times, with different digests or scans",
            advice="Try again in some minutes.",
            action="DescribeImageInstances",
        )
    return rows[0]


def _only_one(rows: list[JsonObject], reference: ImageReference) -> Image:
    """Return the one image behind the rows: rows of one digest in one registry are one image."""
    registries = {(row.get("RegistryType"), row.get("InstanceId"), row.get("RegionId")) for row in rows}
    digests = {_digest(row) for row in rows}
    if len(registries) > 1 or len(digests) > 1:
        shown = "; ".join(_describe(row) for row in rows[:_SHOWN_CANDIDATES])
        raise IncompleteError(
            f"{reference} is ambiguous, Security Center lists {len(rows)} images for it: {shown}",
            advice="Name the one that is meant with --image-uuid.",
            action="DescribeImageInstances",
        )
    # One image under several tags: the row of the asked tag, else the one that was scanned last.
    chosen = max(rows, key=lambda row: (row.get("Tag") == reference.tag, to_int(row.get("LastScanTime")) or 0, row["Uuid"]))
    return _image(_agreeing([chosen, *(row for row in rows if row["Uuid"] == chosen["Uuid"])]))


def _digest(row: JsonObject) -> str:
    """Return the digest of a row as bare hex, or an empty text where it has none."""
    return normalise_digest(row.get("Digest") or "")


def _describe(row: JsonObject) -> str:
    place = "/".join(str(part) for part in (row.get("RepoNamespace"), row.get("RepoName")) if part)
    name = f"{place}:{row.get('Tag') or '?'}@sha256:{_digest(row)}"
    return f"{name} (uuid {row['Uuid']}, instance {row.get('InstanceId') or '?'})"


def _not_listed(reference: ImageReference, rows: list[JsonObject]) -> str:
    if reference.digest and any(row.get("RepoName") == reference.repository and row.get("Tag") == reference.tag for row in rows):
        return (
            "It lists that tag with another digest: the image was pushed again, is not synchronised yet, or the digest is that of a "
            "multi-platform index (buildx writes one even for one platform): then name the digest of the platform's manifest."
        )
    if rows:
        return "It lists the repository, but not this image: wait until it is synchronised, then run again."
    return "Check the name, --region, and that the registry is connected to Security Center; a fresh push may take some minutes to appear."


def _image(row: JsonObject) -> Image:
    """Turn a row into an image."""
    namespace = str(row.get("RepoNamespace") or "")
    return Image(
        uuid=row["Uuid"],
        digest=_digest(row),
        registry_type=row.get("RegistryType") or "",
        region_id=row.get("RegionId") or "",
        instance_id=row.get("InstanceId") or "",
        repo_id=row.get("RepoId") or "",
        namespace="" if namespace.lower() in _NO_NAMESPACE else namespace,
        repository=row.get("RepoName") or "",
        tag=row.get("Tag") or "",
        scan_status=row.get("ScaStatus") or "",
        scan_result=row.get("ScaResult") or "",
        scan_progress=to_int(row.get("ScaProgress")),
        last_scan_ms=to_int(row.get("LastScanTime")),
    )
