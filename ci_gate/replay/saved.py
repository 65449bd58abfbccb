"""A saved result document, read: what was read, proven and decided of each image, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from ci_gate.errors import Cause, ExitCode, GateError
from ci_gate.model import Finding, Image, ImageReference, Inventory, Proof, ProofState, SourceInfo, normalise_digest, proven_name
from ci_gate.replay.contradictions import contradictions, contradicts, run_contradictions
from ci_gate.result_document.read import read_document
from ci_gate.verdict import Comparison, FloorSummary, PolicySummary

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ci_gate.result_document.shapes import CauseDocument, FindingDocument, ImageDocument, ImageResultDocument, ResultDocument

NOT_COMPLETE = "the saved run was not complete: "  # how a replay begins what kept the run from being complete


@dataclass(frozen=True, slots=True)
class SavedImage:
    """One image of a document: what was read and proven of it, and, as ``document``, what was decided.

    ``causes`` holds everything that kept it from being proven then.
    """

    asked: str
    reference: ImageReference | None
    image: Image | None
    findings: tuple[Finding, ...]
    evidence: tuple[Proof, ...]
    causes: tuple[Cause, ...]
    compared: Comparison | None
    known: tuple[tuple[str, int], ...]
    document: ImageResultDocument

    @property
    def canonical(self) -> str | None:
        """What the patterns of policies match against, as far as it was proven; ``None`` where only a uuid is known."""
        return proven_name(self.reference, self.evidence)

    def failures(self, judged: Collection[Cause]) -> tuple[Cause, ...]:
        """Return the causes that are neither of a proof, which is proven again, nor in ``judged``, those of the verdict."""
        proven = {proof.cause for proof in self.evidence if not _cuts_short(proof)}
        return tuple(cause for cause in self.causes if cause not in proven and cause not in judged)

    def inventory(self, judged: Collection[Cause]) -> Inventory:
        """Return what was read, to be judged again. ``judged``: as for :meth:`failures`."""
        comparable = self.compared is None or self.compared.findings is not None
        known = dict(self.known) if self.compared is not None and comparable else None
        reading = tuple(cause for cause in self.failures(judged) if not self._is_of_comparison(cause))
        return Inventory(self.findings, self.evidence, reading, known, comparable)

    def _is_of_comparison(self, cause: Cause) -> bool:
        """Whether a failure is about the deployed image: it does not make the findings of this one doubtful."""
        return self.compared is not None and cause.what.removeprefix(NOT_COMPLETE).startswith(f"--since {self.compared.asked}: ")


@dataclass(frozen=True, slots=True)
class SavedRun:
    """A document, read. ``effective`` is the policy that judged, floors included, in canonical form; ``None`` where none was loaded."""

    origin: str
    tool_version: str
    started: str
    today: date | None
    source: SourceInfo
    policy: PolicySummary
    effective: Mapping[str, Any] | None
    images: tuple[SavedImage, ...]
    causes: tuple[Cause, ...]
    seconds: tuple[tuple[str, float], ...]
    request_ids: tuple[str, ...]
    document: ResultDocument

    @property
    def first_kind(self) -> str:
        """What the findings come from in the first place: ``live`` or ``emulated``, also where this is a replay of a replay.

        Where that cannot be told, it is not live.
        """
        if self.source.kind != "replay":
            return self.source.kind
        kinds = {dict(proof.figures).get("original") for image in self.images for proof in image.evidence if proof.name == "source"}
        return "live" if kinds == {"live"} else "emulated"


def read_saved(raw: bytes, origin: str) -> SavedRun:
    """Read a document, and hold its parts against each other.

    :param origin: what messages call it.
    :raises InvalidDocumentError: with everything that is wrong with it.
    """
    document = read_document(raw, origin)
    problems = list(run_contradictions(document))
    images = []
    for number, entry in enumerate(document["images"]):
        try:
            image = _image_result(entry)
        except GateError as error:
            problems.append(f"images[{number}]: {error.cause.what}")
            continue
        problems += [f"images[{number}]: {problem}" for problem in contradictions(image)]
        images.append(image)
    if problems:
        raise contradicts(origin, problems)
    policy, source = document["policy"], document["source"]
    floors = tuple(FloorSummary(floor["name"], floor["mode"], floor["sha256"], floor["origin"]) for floor in policy["floors"])
    return SavedRun(
        origin=origin,
        tool_version=document["tool"]["version"],
        started=document["started"],
        today=None if document["today"] is None else date.fromisoformat(document["today"]),
        source=SourceInfo(source["kind"], source["endpoint"], source["region"]),
        policy=PolicySummary(policy["name"], policy["mode"], policy["sha256"], policy["origin"], floors),
        effective=policy["effective"],
        images=tuple(images),
        causes=tuple(map(_cause, document["causes"])),
        seconds=tuple(document["seconds"].items()),
        request_ids=tuple(document["request_ids"]),
        document=document,
    )


def _image_result(entry: ImageResultDocument) -> SavedImage:
    """Turn the entry of an image into values.

    :raises UsageError: if its reference is none.
    """
    compared = entry["compared"]
    return SavedImage(
        asked=entry["asked"],
        reference=ImageReference.parse(entry["reference"]) if entry["reference"] is not None else None,
        image=_image(entry["image"]) if entry["image"] is not None else None,
        findings=tuple(map(_finding, entry["findings"])),
        evidence=tuple(
            Proof(
                proof["name"],
                ProofState(proof["state"]),
                proof["detail"],
                tuple(proof["figures"].items()),
                _cause(proof["cause"]) if proof["cause"] is not None else None,
            )
            for proof in entry["evidence"]
        ),
        causes=tuple(map(_cause, entry["causes"])),
        compared=Comparison(compared["asked"], compared["pinned"], compared["findings"]) if compared is not None else None,
        known=tuple((known["fingerprint"], known["count"]) for known in entry["known"]),
        document=entry,
    )


def _image(entry: ImageDocument) -> Image:
    return Image(
        uuid=entry["uuid"],
        digest=normalise_digest(entry["digest"]),
        registry_type=entry["registry_type"],
        region_id=entry["region"],
        instance_id=entry["instance"],
        namespace=entry["namespace"],
        repository=entry["repository"],
        tag=entry["tag"],
        scan_status=entry["scan_status"],
        scan_result=entry["scan_result"],
        last_scan_ms=entry["last_scan_ms"],
    )


def _finding(row: FindingDocument) -> Finding:
    return Finding(
        key=row["key"],
        path=row["path"],
        risk_level=row["risk_level"],
        md5=row["md5"],
        layer_digest=row["layer"],
        name=row["name"],
        advice=row["advice"],
        description=row["description"],
        first_scan_ms=row["first_scan_ms"],
        last_scan_ms=row["last_scan_ms"],
        ordinal=row["ordinal"],
    )


def _cause(entry: CauseDocument) -> Cause:
    return Cause(ExitCode(entry["code"]), entry["what"], entry["advice"], entry["action"], entry["request_id"], entry["where"])


def _cuts_short(proof: Proof) -> bool:
    """Whether the cause of a proof is one of the reading itself, too."""
    return proof.name == "complete" or (proof.name == "consistent" and proof.state is ProofState.UNKNOWN)
