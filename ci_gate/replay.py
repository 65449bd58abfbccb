"""A saved result document as a source of findings, with its evidence proven again from the figures. Pure.

Nothing in a document is taken on trust that can be worked out from the rest of it: fingerprints, counts, the states of the proofs.
Who judges is the caller's business; what a document says of policies is handed on as it is.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from ci_gate.errors import Cause, ExitCode, GateError, InvalidDocumentError
from ci_gate.model import Finding, Image, ImageReference, Inventory, Proof, ProofState, SourceInfo, normalise_digest
from ci_gate.result_document import read_document, to_document
from ci_gate.verdict import Comparison, FloorSummary, ImageResult, PolicySummary, RunResult

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from ci_gate.model import EvidenceRules
    from ci_gate.result_document import CauseDocument, FindingDocument, ImageDocument, ImageResultDocument, ResultDocument
    from ci_gate.verdict import Verdict

AGAIN = "Run the check again."
CHANGED = "The document was changed, or is damaged. Run the check again, and replay what that writes."
_SINCE = "--since "  # how the failures of a comparison begin
_NOT_COMPLETE = "the saved run was not complete: "
_REQUIRED = ("source", "identity", "scanned", "covered", "complete", "consistent", "settled", "whitelists")
_SETTLED_S = 60
_MAX_SKEW_S = 300
_MAX_SHOWN = 5
_SAID = 300


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
        """What the patterns of policies match against; ``None`` where only a uuid is known."""
        return self.reference.canonical if self.reference else None

    def failures(self, judged: Collection[Cause]) -> tuple[Cause, ...]:
        """Return the causes that are neither of a proof, which is proven again, nor in ``judged``, those of the verdict."""
        proven = {proof.cause for proof in self.evidence if not _cuts_short(proof)}
        return tuple(cause for cause in self.causes if cause not in proven and cause not in judged)

    def inventory(self, judged: Collection[Cause]) -> Inventory:
        """Return what was read, to be judged again. ``judged``: as for :meth:`failures`."""
        failures = self.failures(judged)
        comparable = not any(map(_is_of_comparison, failures))
        reading = tuple(cause for cause in failures if not _is_of_comparison(cause))
        known = dict(self.known) if self.compared is not None else None
        return Inventory(self.findings, self.evidence, reading, known, comparable)


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
    problems: list[str] = []
    images = []
    for number, entry in enumerate(document["images"]):
        try:
            image = _image_result(entry)
        except GateError as error:
            problems.append(f"images[{number}]: {error.cause.what}")
            continue
        problems += [f"images[{number}]: {problem}" for problem in _contradictions(image)]
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


def contradicts(origin: str, problems: Iterable[str]) -> InvalidDocumentError:
    """Build the error of a document whose parts contradict each other."""
    every = list(dict.fromkeys(problems))
    shown = [Cause(ExitCode.POLICY_INVALID, _cut(problem), CHANGED, where=origin) for problem in every[:_MAX_SHOWN]]
    if len(every) > _MAX_SHOWN:
        shown.append(Cause(ExitCode.POLICY_INVALID, f"and {len(every) - _MAX_SHOWN} more contradictions", CHANGED, where=origin))
    return InvalidDocumentError.of(shown)


def check_evidence(run: SavedRun, rules: Callable[[str | None], EvidenceRules]) -> None:
    """Hold the states of the proofs against those that their figures yield.

    :param rules: which evidence the policy that judged then asked for, of an image by its canonical name.
    :raises InvalidDocumentError: if they differ.
    """
    problems = []
    for number, image in enumerate(run.images):
        asked = rules(image.canonical)
        for proof in image.evidence:
            again = _prove(image, proof, asked, asked)
            if (again.state, again.cause is None) != (proof.state, proof.cause is None):
                said = "" if again.state is proof.state else f", its figures make it {again.state}"
                problems.append(
                    f"images[{number}]: the proof {_cut(proof.name)} is saved as {proof.state}{said or ' with another outcome'}"
                )
    if problems:
        raise contradicts(run.origin, problems)


def as_saved(run: SavedRun, verdict: Verdict) -> Verdict:
    """Return a verdict as the run would have saved it: a replay calls everything that is not complete by one code."""
    if run.source.kind != "replay":
        return verdict
    return replace(verdict, causes=tuple(replace(cause, code=ExitCode.INCOMPLETE) for cause in verdict.causes))


def check_verdict(run: SavedRun, verdicts: Sequence[Verdict]) -> None:
    """Hold what was decided then against what the same policy says of the same findings on the same day now.

    :param verdicts: one for each image, :func:`as_saved`.
    :raises InvalidDocumentError: if the saved verdict does not follow from the findings.
    """
    results = [
        replace(_result(image, verdict), evidence=image.evidence, failures=image.failures(verdict.causes))
        for image, verdict in zip(run.images, verdicts, strict=True)
    ]
    again = to_document(RunResult(run.tool_version, run.source, run.policy, tuple(results), run.causes))
    problems = _otherwise("", run.document, again, ("verdict", "exit_code"))
    for number, (then, now) in enumerate(zip(run.document["images"], again["images"], strict=True)):
        place = f"images[{number}]"
        problems += _otherwise(f"{place}.", then, now, ("status", "exit_code", "pinned", "registry", "canonical"))
        lost = Counter(map(_decided, then["findings"])) - Counter(map(_decided, now["findings"]))
        if lost:
            key, decision = next(iter(lost))[:2]
            problems.append(f"{place}: {lost.total()} findings are decided otherwise, such as one of {_cut(key)}, saved as {decision}")
    if problems:
        raise contradicts(run.origin, [f"the saved verdict does not follow from its findings: {problem}" for problem in problems])


def decide_again(
    run: SavedRun,
    image: SavedImage,
    verdict: Verdict,
    judged: Collection[Cause],
    rules: EvidenceRules,
    before: EvidenceRules | None,
) -> ImageResult:
    """Return the result for an image by a verdict on its inventory, with the evidence that ``rules`` ask for.

    :param judged: the causes of the saved verdict, which are not those of the evidence.
    :param before: what the run asked for; ``None`` where its policy is not known.
    """
    proofs = (_prove(image, proof, rules, before) for proof in image.evidence if proof.name != "source")
    failures = tuple(map(_incomplete, image.failures(judged)))
    told = replace(verdict, causes=tuple(replace(cause, code=ExitCode.INCOMPLETE) for cause in verdict.causes))
    return replace(_result(image, told), evidence=(_replayed_source(run), *map(_softened, proofs)), failures=failures)


def run_causes(run: SavedRun) -> tuple[Cause, ...]:
    """Return what kept the run as a whole from being complete. That a report of it could not be written is its own business."""
    return tuple(_incomplete(cause) for cause in run.causes if cause.code is not ExitCode.REPORT_FAILED)


def _result(image: SavedImage, verdict: Verdict) -> ImageResult:
    return ImageResult(image.asked, image.reference, image.image, verdict=verdict, compared=image.compared, known=image.known)


def _otherwise(place: str, then: Any, now: Any, names: Iterable[str]) -> list[str]:
    """Say which fields of two documents differ."""
    return [f"{place}{name} is {_cut(str(then[name]))}, not {now[name]}" for name in names if then[name] != now[name]]


def _decided(row: FindingDocument) -> tuple[Any, ...]:
    """Return what has to be the same of a finding when it is judged again; which of two fitting waivers is named is not."""
    level = None if row["level"] is None else str(row["level"])
    base = (row["key"], str(row["decision"]), level, row["enforced"], row["base_image"])
    return (*base, row["fingerprint"], row["ordinal"], row["risk_level"], row["layer"])


def _is_of_comparison(cause: Cause) -> bool:
    return cause.what.removeprefix(_NOT_COMPLETE).startswith(_SINCE)


def _incomplete(cause: Cause) -> Cause:
    """Turn a failure of the saved run into what it means for a replay: the evidence is not complete, and never will be."""
    said = cause.what if cause.what.startswith(_NOT_COMPLETE) else f"{_NOT_COMPLETE}{cause.what}"
    return replace(cause, code=ExitCode.INCOMPLETE, what=said, advice=AGAIN)


def _softened(proof: Proof) -> Proof:
    return proof if proof.cause is None else replace(proof, cause=_incomplete(proof.cause))


def _replayed_source(run: SavedRun) -> Proof:
    kind = run.first_kind
    figures = (
        ("kind", "replay"),
        ("original", kind),
        ("endpoint", run.source.endpoint),
        ("region", run.source.region),
        ("started", run.started),
    )
    said = "EMULATED, it is about no real image" if kind == "emulated" else "live"
    detail = f"REPLAY of a saved run of {_cut(run.started)} at {_cut(run.source.endpoint)}, which was {said}; nothing was asked now"
    return Proof("source", ProofState.HELD, detail, figures)


# From the document to values


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


# What contradicts what


def _contradictions(image: SavedImage) -> Iterator[str]:
    """Say where the parts of an image's entry contradict each other, whatever policy judged it."""
    yield from _wrong_findings(image)
    yield from _wrong_counts(image)
    yield from _wrong_image(image)
    yield from _wrong_comparison(image)
    yield from _wrong_proofs(image)


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
        yield f"counts.findings is {counts['findings']}, and there are {len(rows)} findings"
    if counts["violations"] != decisions["violation"]:
        yield f"counts.violations is {counts['violations']}, and there are {decisions['violation']} violations"
    if +Counter(counts["by_decision"]) != decisions or +Counter(counts["by_level"]) != levels:
        yield "the counts by decision and by level are not those of the findings"


def _wrong_image(image: SavedImage) -> Iterator[str]:
    known, reference = image.image, image.reference
    if known is None:
        if image.findings:
            yield "there are findings, and no image"
        if not image.causes:
            yield "there is no image, and no cause says why"
        return
    if not re.fullmatch(r"[0-9a-f]{64}", known.digest):
        yield "the digest of the image is none"
    if reference is not None and reference.digest is not None and reference.digest != known.digest:
        yield "the image has another digest than was asked about"


def _wrong_comparison(image: SavedImage) -> Iterator[str]:
    here = Counter(finding.fingerprint for finding in image.findings)
    known = Counter(fingerprint for fingerprint, _ in image.known)
    if image.known and image.compared is None:
        yield "findings of a deployed image are known, and none was compared"
    if any(number > 1 for number in known.values()) or any(not 1 <= number <= here[mark] for mark, number in image.known):
        yield "what is known of the deployed image does not fit the findings"
    if image.compared is not None and sum(number for _, number in image.known) > image.compared.findings:
        yield "more findings of the deployed image are known than it has"
    if image.compared is not None and "compared" not in {proof.name for proof in image.evidence}:
        yield "an image was compared, and there is no proof of it"


def _wrong_proofs(image: SavedImage) -> Iterator[str]:
    names = Counter(proof.name for proof in image.evidence)
    yield from (f"the proof {_cut(name)} is there {number} times" for name, number in names.items() if number > 1)
    if not image.causes:
        yield from (f"the proof {name} is missing, and no cause says why" for name in _REQUIRED if name not in names)
    for proof in image.evidence:
        if proof.cause is not None and proof.cause not in image.causes:
            yield f"the proof {_cut(proof.name)} has a cause that is not one of the image"
        figures = _Figures(proof)
        yield from (f"the proof {_cut(proof.name)}: {said}" for said in _FIGURES.get(proof.name, _no_figures)(image, proof, figures))


class _Figures:
    """The figures of a proof; one that is not there, or no number, is -1, which no count is."""

    def __init__(self, proof: Proof) -> None:
        self._figures = dict(proof.figures)

    def __contains__(self, name: str) -> bool:
        return name in self._figures

    def text(self, name: str) -> str:
        return str(self._figures.get(name, ""))

    def __getitem__(self, name: str) -> int:
        value = self._figures.get(name)
        return value if type(value) is int else -1


def _no_figures(image: SavedImage, proof: Proof, figures: _Figures) -> Iterator[str]:  # noqa: ARG001 - as the others
    return iter(())


def _identity_figures(image: SavedImage, proof: Proof, figures: _Figures) -> Iterator[str]:
    if image.image is None or figures.text("digest") != f"sha256:{image.image.digest}" or figures.text("uuid") != image.image.uuid:
        yield "it is about another image"
    if proof.state is not ProofState.HELD and proof.cause is None:
        yield "it did not hold, and has no cause"


def _scanned_figures(image: SavedImage, proof: Proof, figures: _Figures) -> Iterator[str]:
    if proof.state is not ProofState.HELD:
        if proof.cause is None:
            yield "it did not hold, and has no cause"
        return
    if figures.text("status").upper() != "SUCCESS":
        yield "it is held, and the scan was no success"
    scan = (figures.text("status"), figures.text("result"), figures["last_scan_ms"])
    if image.image is not None and scan != (image.image.scan_status, image.image.scan_result, image.image.last_scan_ms or 0):
        yield "it is about another scan than the image has"


def _complete_figures(image: SavedImage, proof: Proof, figures: _Figures) -> Iterator[str]:
    added = next((_Figures(other)["second_route_added"] for other in image.evidence if other.name == "consistent"), 0)
    if figures["files_read"] + added != len(image.findings):
        yield f"{figures['files_read'] + added} findings were read, and {len(image.findings)} are there"
    whole = figures["keys_listed"] == figures["keys_total"] >= 0 and figures["files_read"] == figures["files_total"] >= 0
    if proof.state is ProofState.HELD and not whole:
        yield "it is held, and the rows do not equal the totals"
    if proof.state is not ProofState.HELD and proof.cause is None:
        yield "it did not hold, and has no cause"


def _consistent_figures(image: SavedImage, proof: Proof, figures: _Figures) -> Iterator[str]:
    if figures["disagreements"] < 0 or figures["second_route_added"] < 0:
        yield "a figure is missing"
    asked = figures.text("second_route") == "asked"
    if proof.state is ProofState.HELD and asked and figures["second_route_total"] != len(image.findings):
        yield "it is held, and the second route has another total"
    if proof.state is ProofState.UNKNOWN and not image.causes:
        yield "it was not judged, and no cause says why"


def _settled_figures(image: SavedImage, proof: Proof, figures: _Figures) -> Iterator[str]:
    if proof.state is ProofState.NOT_ASKED and not image.findings and not image.causes:
        yield "an image without findings was not looked at again"
    if proof.state is ProofState.HELD and not (figures["scan_age_s"] >= _SETTLED_S or figures["settle_s"] >= 0):
        yield "it is held, and there is no figure that says why"
    if "settle_s" in figures and figures["findings"] != len(image.findings):
        yield f"{figures['findings']} findings were there at the second look, and {len(image.findings)} are there now"
    if proof.state is ProofState.FAILED and proof.cause is None:
        yield "it did not hold, and has no cause"


def _compared_figures(image: SavedImage, proof: Proof, figures: _Figures) -> Iterator[str]:
    if proof.state is not ProofState.HELD or image.compared is None or figures["findings"] != image.compared.findings:
        yield "it is not about the image that was compared"


_FIGURES: dict[str, Callable[[SavedImage, Proof, _Figures], Iterator[str]]] = {
    "identity": _identity_figures,
    "scanned": _scanned_figures,
    "complete": _complete_figures,
    "consistent": _consistent_figures,
    "settled": _settled_figures,
    "compared": _compared_figures,
}


# Proofs again, under the evidence that a policy asks for


def _prove(image: SavedImage, proof: Proof, rules: EvidenceRules, before: EvidenceRules | None) -> Proof:
    """Return a proof as it would have ended under ``rules``; the run asked for ``before``."""
    figures = _Figures(proof)
    if proof.name == "covered":
        return _covered(proof, figures, rules, before)
    if proof.name == "consistent":
        return _consistent(proof, figures, rules)
    if proof.name == "whitelists":
        return _whitelists(proof, figures, rules)
    if proof.state is not ProofState.HELD:
        return proof
    if proof.name == "identity" and image.reference is not None and image.reference.digest is None and rules.require_digest:
        # Where the run asked for a digest too, the image was named by its uuid, which is as good.
        return (
            proof
            if before is not None and before.require_digest
            else _ended(proof, ProofState.FAILED, "the image was named by tag", failed=True)
        )
    if proof.name == "scanned" and rules.max_scan_age_s is not None:
        age_s = _age(proof)
        if age_s is None or not -_MAX_SKEW_S <= age_s <= rules.max_scan_age_s:
            said = "the age of the scan is not known" if age_s is None else f"the scan was {age_s} s old when it was read"
            return _ended(proof, ProofState.FAILED, f"{said}, the policy allows {rules.max_scan_age_s:.0f} s", failed=True)
    if proof.name == "settled" and "settle_s" in figures and figures["settle_s"] < int(rules.settle_s):
        said = f"the second look came after {figures['settle_s']} s, the policy asks for {rules.settle_s:.0f} s"
        return _ended(proof, ProofState.FAILED, said, failed=True)
    return proof


def _age(proof: Proof) -> int | None:
    """Return the age of the scan in seconds, which may be below 0 where clocks differ; ``None`` where it is not known."""
    value = dict(proof.figures).get("age_s")
    return value if type(value) is int else None


def _covered(proof: Proof, figures: _Figures, rules: EvidenceRules, before: EvidenceRules | None) -> Proof:
    strictness = rules.rule_coverage
    if strictness == "off":
        return _ended(proof, ProofState.NOT_ASKED, "the policy sets evidence.rule_coverage: off", failed=False)
    if proof.state is ProofState.NOT_ASKED:
        said = "the saved run did not ask for the account's rules"
        return _ended(proof, ProofState.UNKNOWN, said, failed=strictness != "warn")
    if "rules" not in figures:  # they could not be read; where only the permission lacked, that had no cause
        failed = strictness == "error" or (strictness == "auto" and proof.cause is not None)
        return _ended(proof, ProofState.UNKNOWN, proof.detail, failed=failed)
    if figures["denied_off"] or figures["rules"] < 1:
        return _ended(proof, ProofState.FAILED, proof.detail, failed=strictness != "warn")
    looked_for = before is not None and figures["denied_keys"] == len(before.denied_keys)
    unseen = rules.denied_keys - before.denied_keys if before is not None and looked_for else rules.denied_keys
    unseen_before = max(0, figures["denied_unseen"])
    proof = _with_figures(proof, denied_keys=len(rules.denied_keys))
    if unseen or unseen_before:
        some = ", ".join(sorted(unseen)[:_MAX_SHOWN]) or f"{unseen_before} of them"
        said = f"the saved run did not look whether the account has rules for keys that this policy denies: {some}"
        proof = _with_figures(proof, denied_unseen=max(len(unseen), unseen_before))
        # Where no rule at all was off, theirs are on or absent, and `auto` takes an absent one.
        failed = strictness == "error" or (strictness == "auto" and figures["other_off"] != 0)
        return _ended(proof, ProofState.UNKNOWN, said, failed=failed)
    if figures["denied_absent"]:
        return _ended(proof, ProofState.UNKNOWN, proof.detail, failed=strictness == "error")
    if figures["other_off"] and rules.counts_all_keys:
        return _ended(
            proof, ProofState.UNKNOWN, f"{figures['other_off']} other rules are off: the thresholds do not see their keys", failed=False
        )
    return _ended(proof, ProofState.HELD, "every denied key was selected in the account's rules", failed=False)


def _consistent(proof: Proof, figures: _Figures, rules: EvidenceRules) -> Proof:
    if proof.state is ProofState.UNKNOWN:
        return proof  # cut short, or never judged: what cut it short is a cause of its own
    if figures["disagreements"]:
        return _ended(proof, ProofState.FAILED, proof.detail, failed=rules.inferred == "error")
    return _ended(proof, ProofState.HELD, proof.detail, failed=False)


def _whitelists(proof: Proof, figures: _Figures, rules: EvidenceRules) -> Proof:
    strict = rules.vendor_whitelist == "error"
    if "whitelists" not in figures:
        return _ended(proof, ProofState.UNKNOWN, proof.detail, failed=strict or proof.cause is not None)
    hiding = figures["whitelists"] != 0
    return _ended(proof, ProofState.FAILED if hiding and strict else ProofState.HELD, proof.detail, failed=hiding and strict)


def _with_figures(proof: Proof, **figures: int) -> Proof:
    return replace(proof, figures=tuple({**dict(proof.figures), **figures}.items()))


def _ended(proof: Proof, state: ProofState, detail: str, *, failed: bool) -> Proof:
    """Return a proof with another end; what it says and its cause are kept where they still are the same."""
    said = proof.detail if proof.state is state else detail
    if not failed:
        return replace(proof, state=state, detail=said, cause=None)
    cause = proof.cause or Cause(ExitCode.INCOMPLETE, said, AGAIN)
    return replace(proof, state=state, detail=said, cause=cause)


def _cuts_short(proof: Proof) -> bool:
    """Whether the cause of a proof is one of the reading itself, too."""
    return proof.name == "complete" or (proof.name == "consistent" and proof.state is ProofState.UNKNOWN)


def _cut(text: str) -> str:
    return text[:_SAID] + ("…" if len(text) > _SAID else "")
