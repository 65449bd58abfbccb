"""The results of a saved run again, by whatever verdict is reached on its findings now. Pure."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from ci_gate.errors import Cause, ExitCode
from ci_gate.model import Proof, ProofState, many
from ci_gate.replay.contradictions import contradicts, cut
from ci_gate.replay.evidence import AGAIN, prove
from ci_gate.replay.saved import NOT_COMPLETE
from ci_gate.result_document.shapes import FindingDocument, ImageResultDocument, ResultDocument
from ci_gate.result_document.write import to_document
from ci_gate.verdict import ImageResult, RunResult

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ci_gate.model import EvidenceRules
    from ci_gate.replay.saved import SavedImage, SavedRun
    from ci_gate.verdict import Verdict

_RUN = frozenset(ResultDocument.__annotations__)
_IMAGE = frozenset(ImageResultDocument.__annotations__)
_row = itemgetter("key", "decision", *sorted(FindingDocument.__annotations__.keys() - {"key", "decision"}))


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
    results = tuple(
        replace(_result(image, verdict), evidence=image.evidence, failures=image.failures(verdict.causes))
        for image, verdict in zip(run.images, verdicts, strict=True)
    )
    said = (run.tool_version, run.source, run.policy, results, run.causes, run.started, run.seconds, run.request_ids, run.today)
    again = to_document(RunResult(*said))
    again["policy"]["effective"] = run.document["policy"]["effective"]  # what judged
    problems = []
    for number, (then, now) in enumerate(zip(run.document["images"], again["images"], strict=True)):
        place = f"images[{number}]"
        lost = Counter(map(_row, then["findings"])) - Counter(map(_row, now["findings"]))
        if lost:
            key, decision = map(str, next(iter(lost))[:2])
            number_lost = many(lost.total(), "finding is", "findings are")
            problems.append(f"{place}: {number_lost} decided otherwise, such as one of {cut(key)}, saved as {decision}")
        problems += _otherwise(f"{place}.", then, now, _IMAGE - {"findings"})
    problems += _otherwise("", run.document, again, _RUN - {"images"})
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
    proofs = (prove(image, proof, rules, before) for proof in image.evidence if proof.name != "source")
    failures = tuple(map(_incomplete, image.failures(judged)))
    told = replace(verdict, causes=tuple(replace(cause, code=ExitCode.INCOMPLETE) for cause in verdict.causes))
    return replace(_result(image, told), evidence=(replayed_source(run), *map(_softened, proofs)), failures=failures)


def run_causes(run: SavedRun) -> tuple[Cause, ...]:
    """Return what kept the run as a whole from being complete. That a report of it could not be written is its own business."""
    return tuple(_incomplete(cause) for cause in run.causes if cause.code is not ExitCode.REPORT_FAILED)


def _result(image: SavedImage, verdict: Verdict) -> ImageResult:
    return ImageResult(image.asked, image.reference, image.image, verdict=verdict, compared=image.compared, known=image.known)


def _otherwise(place: str, then: Any, now: Any, names: Iterable[str]) -> list[str]:
    """Say which fields of two documents differ. The order of lists means nothing."""
    problems = []
    for name in sorted(names):
        old, new = then[name], now[name]
        if isinstance(new, list):
            if Counter(map(_text, old)) != Counter(map(_text, new)):
                problems.append(f"{place}{name} are not those that follow")
        elif old != new:
            short = not isinstance(new, dict)
            problems.append(f"{place}{name} is {cut(str(old))}, not {cut(str(new))}" if short else f"{place}{name} is not what follows")
    return problems


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _incomplete(cause: Cause) -> Cause:
    """Turn a failure of the saved run into what it means for a replay: the evidence is not complete, and never will be."""
    said = cause.what if cause.what.startswith(NOT_COMPLETE) else f"{NOT_COMPLETE}{cause.what}"
    return replace(cause, code=ExitCode.INCOMPLETE, what=said, advice=AGAIN)


def _softened(proof: Proof) -> Proof:
    return proof if proof.cause is None else replace(proof, cause=_incomplete(proof.cause))


def replayed_source(run: SavedRun) -> Proof:
    """Return the proof of where the results of a saved run come from, when they are decided again."""
    kind = run.first_kind
    figures = (
        ("kind", "replay"),
        ("original", kind),
        ("endpoint", run.source.endpoint),
        ("region", run.source.region),
        ("started", run.started),
    )
    mark, said = ("REPLAY OF EMULATED", ", about no real image") if kind == "emulated" else ("REPLAY", "")
    detail = f"{mark}: a saved run of {cut(run.started)} at {cut(run.source.endpoint)}{said}; nothing was asked now"
    return Proof("source", ProofState.HELD, detail, figures)
