"""Where the parts of a saved result contradict each other, whatever policy judged it. Pure."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from ci_gate.errors import Cause, ExitCode, InvalidDocumentError, UsageError
from ci_gate.model import ImageReference, Proof, ProofState, many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ci_gate.replay.saved import SavedImage
    from ci_gate.result_document.shapes import ResultDocument

_CHANGED = "The document was changed, or is damaged. Run the check again, and replay what that writes."
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\+00:00", re.ASCII)
_REQUIRED = ("source", "identity", "scanned", "covered", "complete", "consistent", "settled", "whitelists")
_SETTLED_S = 60
_STARTED_WITHIN_MS = 60_000
_ASKED_FOR = frozenset({"yes", "joined"})  # scans that a run asked for, or waited for: fresh, whatever their time
_MAX_SHOWN = 5
_SAID = 300


def contradicts(origin: str, problems: Iterable[str]) -> InvalidDocumentError:
    """Build the error of a document whose parts contradict each other."""
    every = list(dict.fromkeys(problems))
    shown = [Cause(ExitCode.POLICY_INVALID, cut(problem), _CHANGED, where=origin) for problem in every[:_MAX_SHOWN]]
    if len(every) > _MAX_SHOWN:
        more = f"and {many(len(every) - _MAX_SHOWN, 'more contradiction')}"
        shown.append(Cause(ExitCode.POLICY_INVALID, more, _CHANGED, where=origin))
    return InvalidDocumentError.of(shown)


def contradictions(image: SavedImage) -> Iterator[str]:
    """Say where the parts of an image's entry contradict each other, whatever policy judged it."""
    yield from _wrong_findings(image)
    yield from _wrong_counts(image)
    yield from _wrong_image(image)
    yield from _wrong_comparison(image)
    yield from _wrong_proofs(image)


def run_contradictions(document: ResultDocument) -> Iterator[str]:
    """Say where what a document says of the whole run contradicts its images."""
    images, counts = document["images"], document["counts"]
    if not images and not document["causes"]:
        yield "there is no image, and no cause says why"
    if document["source"]["kind"] != "replay":  # a replay of several results may be about one image twice
        every = Counter(row["asked"] for row in images if row["image"] is not None)
        yield from (f"the image {cut(asked)} is there {number} times" for asked, number in every.items() if number > 1)
    for name, given in counts.items():
        totals: Counter[str] = Counter()
        for image in images:
            totals.update(_as_counts(dict(image["counts"])[name]))
        if +Counter(_as_counts(given)) != +totals:
            yield f"counts.{name} is not the sum over the images"
    yield from _wrong_source(document)
    yield from _wrong_times(document)


def _as_counts(value: Any) -> dict[str, int]:
    return value if isinstance(value, dict) else {"": value}


def _wrong_source(document: ResultDocument) -> Iterator[str]:
    source = document["source"]
    several = source["kind"] == "replay"  # of runs with an endpoint each
    for number, image in enumerate(document["images"]):
        for proof in image["evidence"]:
            figures = proof["figures"]
            if proof["name"] != "source":
                continue
            if figures.get("kind") != source["kind"] or not (several or figures.get("endpoint") == source["endpoint"]):
                yield f"images[{number}]: the proof source is about another source than the run's"


def _wrong_times(document: ResultDocument) -> Iterator[str]:
    """Say what is wrong with when a run was. A replay, which may judge as of any day, has the start of the first run that it is of."""
    replayed = document["source"]["kind"] == "replay"
    if replayed and not document["images"]:
        return
    try:
        started = datetime.fromisoformat(document["started"] if _MOMENT.fullmatch(document["started"]) else "")
    except ValueError:
        yield "the time that it was started is none (ISO 8601, UTC)"
        return
    if replayed or document["today"] is None:
        return
    after = (date.fromisoformat(document["today"]) - started.date()).days
    if after not in (0, 1):  # a run may begin just before midnight
        yield f"it was judged as of {document['today']}, and started at {cut(document['started'])}"


def _wrong_findings(image: SavedImage) -> Iterator[str]:
    ordinals: dict[str, list[int]] = {}
    for number, (finding, row) in enumerate(zip(image.findings, image.document["findings"], strict=True)):
        fingerprint = finding.fingerprint
        if fingerprint != row["fingerprint"]:
            yield f"findings[{number}]: the fingerprint is not that of its key, path and MD5"
        ordinals.setdefault(fingerprint, []).append(finding.ordinal)
    for fingerprint, given in ordinals.items():
        if sorted(given) != list(range(1, len(given) + 1)):
            yield f"the ordinals of the findings with the fingerprint {fingerprint} are not 1 to {len(given)}"


def _wrong_counts(image: SavedImage) -> Iterator[str]:
    rows, counts = image.document["findings"], image.document["counts"]
    decisions = Counter(str(row["decision"]) for row in rows)
    levels = Counter("undocumented" if row["level"] is None else str(row["level"]) for row in rows)
    if counts["findings"] != len(rows):
        yield f"counts.findings is {counts['findings']}, and the findings are {len(rows)}"
    if counts["violations"] != decisions["violation"]:
        yield f"counts.violations is {counts['violations']}, and the violations are {decisions['violation']}"
    if +Counter(counts["by_decision"]) != decisions or +Counter(counts["by_level"]) != levels:
        yield "the counts by decision and by level are not those of the findings"


def _wrong_image(image: SavedImage) -> Iterator[str]:
    known, reference = image.image, image.reference
    if reference is not None and not _means(image.asked, reference):
        yield "the reference is not what was asked about"
    if known is None:
        if image.findings:
            yield "there are findings, and no image"
        if not image.causes:
            yield "there is no image, and no cause says why"
        return
    if not re.fullmatch(r"[0-9a-f]{64}", known.digest):
        yield "the digest of the image is none"
    if reference is None:
        if image.asked != f"uuid {known.uuid}":
            yield "the image has another uuid than was asked about"
        return
    if reference.digest is not None and reference.digest != known.digest:
        yield "the image has another digest than was asked about"
    # Of a nested path, the service may count more than the last part to the repository's name.
    if _path(known.namespace, known.repository) != _path(reference.namespace, reference.repository):
        yield "the image is in another repository than was asked about"


def _path(namespace: str, repository: str) -> str:
    return "/".join(part for part in (namespace, repository) if part)


def _means(asked: str, reference: ImageReference) -> bool:
    """Whether a reference is the one that the user wrote; its digest may have come from a metadata file."""
    try:
        written = ImageReference.parse(asked)
    except UsageError:
        return False
    return reference in (written, replace(written, digest=written.digest or reference.digest))


def _wrong_comparison(image: SavedImage) -> Iterator[str]:
    here = Counter(finding.fingerprint for finding in image.findings)
    known = Counter(fingerprint for fingerprint, _ in image.known)
    if image.known and (image.compared is None or image.compared.findings is None):
        yield "findings of a deployed image are known, and none was compared"
    if any(number > 1 for number in known.values()) or any(not 1 <= number <= here[mark] for mark, number in image.known):
        yield "what is known of the deployed image does not fit the findings"
    if image.compared is None:
        return
    if image.compared.findings is None:
        if not image.causes:
            yield "the deployed image could not be read, and no cause says why"
        return
    if sum(number for _, number in image.known) > image.compared.findings:
        yield "more findings of the deployed image are known than it has"
    if "compared" not in {proof.name for proof in image.evidence}:
        yield "an image was compared, and there is no proof of it"


def _wrong_proofs(image: SavedImage) -> Iterator[str]:
    names = Counter(proof.name for proof in image.evidence)
    yield from (f"the proof {cut(name)} is there {number} times" for name, number in names.items() if number > 1)
    if not image.causes:
        yield from (f"the proof {name} is missing, and no cause says why" for name in _REQUIRED if name not in names)
    for proof in image.evidence:
        if proof.cause is not None and proof.cause not in image.causes:
            yield f"the proof {cut(proof.name)} has a cause that is not one of the image"
        figures = Figures(proof)
        yield from (f"the proof {cut(proof.name)}: {said}" for said in _FIGURES.get(proof.name, _no_figures)(image, proof, figures))


class Figures:
    """The figures of a proof; one that is not there, or no number, is -1, which no count is."""

    def __init__(self, proof: Proof) -> None:
        self._figures = dict(proof.figures)

    def __contains__(self, name: str) -> bool:
        return name in self._figures

    def text(self, name: str) -> str:
        """Return a figure as text; empty where it is not there."""
        return str(self._figures.get(name, ""))

    def __getitem__(self, name: str) -> int:
        value = self._figures.get(name)
        return value if type(value) is int else -1


def _no_figures(image: SavedImage, proof: Proof, figures: Figures) -> Iterator[str]:  # noqa: ARG001 - as the others
    return iter(())


def _identity_figures(image: SavedImage, proof: Proof, figures: Figures) -> Iterator[str]:
    if image.image is None or figures.text("digest") != f"sha256:{image.image.digest}" or figures.text("uuid") != image.image.uuid:
        yield "it is about another image"
    if proof.state is not ProofState.HELD and proof.cause is None:
        yield "it did not hold, and has no cause"


def _scanned_figures(image: SavedImage, proof: Proof, figures: Figures) -> Iterator[str]:
    if proof.state is not ProofState.HELD:
        if proof.cause is None:
            yield "it did not hold, and has no cause"
        return
    if figures.text("status").upper() != "SUCCESS":
        yield "it is held, and the scan was no success"
    if "requested" in figures:  # documents of before the gate could ask for scans have none of these
        if figures.text("requested") not in {*_ASKED_FOR, "no"} or figures["polls"] < 0 or figures["waited_s"] < 0:
            yield "it does not say whether the run asked for the scan, and how long it waited"
        if (figures.text("requested") == "yes" and not figures.text("task")) or (
            figures.text("requested") == "no" and figures.text("task")
        ):
            yield "whether the run asked for the scan, and its task, do not fit"
    if "finished_ms" in figures:
        if figures.text("requested") not in _ASKED_FOR or figures["finished_ms"] < figures["started_ms"]:
            yield "it rests on the end of a task, and not of one that the run waited for"
        if not 0 < figures["started_ms"] <= figures["last_scan_ms"] <= figures["started_ms"] + _STARTED_WITHIN_MS:
            yield "it rests on the end of a task, and the scan did not begin with that"
    scan = (figures.text("status"), figures.text("result"), figures["last_scan_ms"])
    if image.image is not None and scan != (image.image.scan_status, image.image.scan_result, image.image.last_scan_ms or 0):
        yield "it is about another scan than the image has"


def _complete_figures(image: SavedImage, proof: Proof, figures: Figures) -> Iterator[str]:
    added = next((Figures(other)["second_route_added"] for other in image.evidence if other.name == "consistent"), 0)
    read = figures["files_read"] + added - _repeated(figures)
    if read != len(image.findings):
        yield f"{many(read, 'finding was', 'findings were')} read, and the findings are {len(image.findings)}"
    whole = figures["keys_listed"] == figures["keys_total"] >= 0 and figures["files_read"] == figures["files_total"] >= 0
    if proof.state is ProofState.HELD and not whole:
        yield "it is held, and the rows do not equal the totals"
    if proof.state is not ProofState.HELD and proof.cause is None:
        yield "it did not hold, and has no cause"


def _repeated(figures: Figures) -> int:
    """Return how many findings were read once more, under another uuid of the digest."""
    return max(0, figures["repeated"])


def _consistent_figures(image: SavedImage, proof: Proof, figures: Figures) -> Iterator[str]:
    if figures["disagreements"] < 0 or figures["second_route_added"] < 0:
        yield "a figure is missing"
    asked = figures.text("second_route") == "asked"
    if proof.state is ProofState.HELD and asked and figures["second_route_total"] - _repeated(figures) != len(image.findings):
        yield "it is held, and the second route has another total"
    if proof.state is ProofState.UNKNOWN and not image.causes:
        yield "it was not judged, and no cause says why"


def _settled_figures(image: SavedImage, proof: Proof, figures: Figures) -> Iterator[str]:
    if proof.state is ProofState.NOT_ASKED and not image.findings and not image.causes:
        yield "an image without findings was not looked at again"
    scanned = next((Figures(other) for other in image.evidence if other.name == "scanned"), None)
    asked_for = scanned is not None and (scanned.text("requested") in _ASKED_FOR or scanned["polls"] > 0)
    if asked_for and not image.causes and figures["settle_s"] < 0:
        yield "a scan that the run waited for was not looked at again"
    if proof.state is ProofState.HELD and not (figures["scan_age_s"] >= _SETTLED_S or figures["settle_s"] >= 0):
        yield "it is held, and there is no figure that says why"
    if "settle_s" in figures and figures["findings"] != len(image.findings):
        yield f"{many(figures['findings'], 'finding was', 'findings were')} there at the second look, and they are {len(image.findings)}"
    if proof.state is ProofState.UNKNOWN or (proof.state is ProofState.FAILED and proof.cause is None):
        yield "it did not hold, and has no cause"


def _compared_figures(image: SavedImage, proof: Proof, figures: Figures) -> Iterator[str]:
    if proof.state is not ProofState.HELD or image.compared is None or figures["findings"] != image.compared.findings:
        yield "it is not about the image that was compared"


def _source_figures(image: SavedImage, proof: Proof, figures: Figures) -> Iterator[str]:  # noqa: ARG001 - as the others
    if proof.state is not ProofState.HELD or proof.cause is not None:
        yield "it does not hold"


_FIGURES: dict[str, Callable[[SavedImage, Proof, Figures], Iterator[str]]] = {
    "source": _source_figures,
    "identity": _identity_figures,
    "scanned": _scanned_figures,
    "complete": _complete_figures,
    "consistent": _consistent_figures,
    "settled": _settled_figures,
    "compared": _compared_figures,
}


def cut(text: str) -> str:
    """Return a text, cut to what a message has room for."""
    return text[:_SAID] + ("…" if len(text) > _SAID else "")
