"""The whole story: find the image, wait for its scan, read every finding, compare, judge."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci_gate.errors import Cause, GateError, IncompleteError, ReplacedError, error_for
from ci_gate.model import EvidenceRules, Finding, Image, ImageReference, Inventory, Proof, ProofState, many, proven_name
from ci_gate.policy.judging.evaluate import evidence_rules, judge
from ci_gate.verdict import Comparison, ImageResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date

    from ci_gate.deadline import Deadline
    from ci_gate.model import FindingSource
    from ci_gate.policy.effective import Judges


@dataclass(frozen=True, slots=True)
class Asked:
    """An image that the user asked about: ``text`` as it was written, resolved by ``reference``, ``uuid`` or both.

    ``since`` is an image that is deployed already: only findings that it does not have can block, save those of denied keys.
    """

    text: str
    reference: ImageReference | None
    uuid: str | None = None
    since: ImageReference | None = None


@dataclass(frozen=True, slots=True)
class Judging:
    """How a run judges: by which policies, in which mode where the command line overrides theirs, on which day (UTC)."""

    judges: Judges
    today: date
    name: str = ""
    mode: str | None = None


def decide_image(source: FindingSource, asked: Asked, judging: Judging, deadline: Deadline) -> ImageResult:
    """Decide whether an image may be deployed. Never raises a ``GateError``: a failure is part of the result."""
    name = asked.reference.canonical if asked.reference else None
    rules = evidence_rules(judging.judges, name)
    evidence: tuple[Proof, ...] = (source.info.proof,)
    failures: tuple[Cause, ...] = ()
    image: Image | None = None
    inventory = nothing = Inventory(comparable=asked.since is None)
    compared = uncompared = Comparison(str(asked.since), str(asked.since), None) if asked.since is not None else None
    try:
        with deadline.stage("resolve"):
            image, identity = source.find_image(asked.reference, asked.uuid, rules, deadline)  # matched exactly, by digest
        evidence += (identity,)
        name = proven_name(asked.reference, evidence)
        rules = evidence_rules(judging.judges, name)
        with deadline.stage("scan"):
            image, scanned = source.await_scan(image, rules, deadline)  # an unfinished scan proves nothing
        evidence += (scanned,)
        with deadline.stage("read"):
            read = source.read_findings(image, rules, deadline)  # every page; what is missing is in its causes
        inventory = replace(read, comparable=inventory.comparable)
        evidence += inventory.proofs
        failures += inventory.causes
        with deadline.stage("read"):
            source.confirm(image, asked.reference, deadline)  # it can have been replaced or scanned again while all this went on
        if asked.since is not None:
            with deadline.stage("compare"), _about(f"--since {asked.since}"):
                known, compared, proof = _read_deployed(source, asked.since, image, rules, deadline)
            inventory = replace(inventory, known=known, comparable=True)
            evidence += (proof,)
            with deadline.stage("read"):
                source.confirm(image, asked.reference, deadline)  # the deployed one can have been waited for for minutes
    except ReplacedError as error:  # what may be of another image is not judged
        failures += error.causes
        evidence = tuple(proof for proof in evidence if proof not in inventory.proofs and proof.name != "compared")
        inventory, compared = nothing, uncompared
    except GateError as error:
        failures += error.causes
    failures = _with_time_spent(failures, deadline)
    with deadline.stage("judge"):
        # What was read of the image is judged, whatever cut it short.
        verdict = judge(judging.judges, inventory, judging.today, name, mode=judging.mode, name=judging.name)
    known_here = _occurring(inventory.known or {}, inventory.findings)
    return ImageResult(asked.text, asked.reference, image, evidence, verdict, failures, compared, known_here)


def undecided(asked: Asked, cause: Cause) -> ImageResult:
    """Return the result for an image that the run did not get to."""
    return ImageResult(asked.text, asked.reference, failures=(cause,))


def _read_deployed(
    source: FindingSource, reference: ImageReference, image: Image, rules: EvidenceRules, deadline: Deadline
) -> tuple[dict[str, int], Comparison, Proof]:
    """Return how often each fingerprint occurs in an image that is deployed already, and the proof that all of it was read.

    :raises GateError: where that image is the one that is judged, or cannot be read whole: nobody knows then which findings are new.
    """
    # Its scan may be old and its rules incomplete: what it misses only makes more findings count as new. None is asked for: it costs.
    lenient = replace(rules, max_scan_age_s=None, rule_coverage="off", vendor_whitelist="report", may_request_scan=False)
    lenient = replace(lenient, inferred="error")  # but what only one of two looks saw would forgive a finding
    older, identity = source.find_image(reference, None, lenient, deadline)
    if older.uuid == image.uuid or older.digest == image.digest:
        raise IncompleteError(
            "this is the very image that is judged: compared with itself, every finding would be an old one",
            advice="Name the image that is deployed now by its digest; a tag may have moved with the push.",
        )
    if reference.digest is None and dict(identity.figures)["registry"] != "told":
        raise IncompleteError(
            f"it is not known: the service does not say whether the image with that tag is in {reference.registry}, or another one is",
            advice="Name the image that is deployed now by its digest.",
        )
    older, _ = source.await_scan(older, lenient, deadline)
    inventories = [source.read_findings(each, lenient, deadline) for each in _by_uuid(older)]
    source.confirm(older, reference, deadline)
    known: Counter[str] = Counter()
    for inventory in inventories:
        for cause in (*inventory.causes, *(proof.cause for proof in inventory.proofs if proof.cause is not None)):
            raise error_for(cause)
        known |= Counter(finding.fingerprint for finding in inventory.findings)  # one that two uuids tell otherwise is one
    pinned = reference.pinned_to(older.digest)
    figures = (("findings", known.total()), ("digest", f"sha256:{older.digest}"))
    proof = Proof("compared", ProofState.HELD, f"{pinned}, which is deployed, has {many(known.total(), 'finding')}", figures)
    return dict(known), Comparison(str(reference), pinned, known.total()), proof


def _by_uuid(image: Image) -> list[Image]:
    """Return an image once for each uuid under which it is listed, with the entries of that one alone."""
    return [replace(image, uuid=uuid, entries=frozenset(entry for entry in image.entries if entry.uuid == uuid)) for uuid in image.uuids]


def _with_time_spent(failures: tuple[Cause, ...], deadline: Deadline) -> tuple[Cause, ...]:
    """Say in the last failure, where the deadline made it one, where the time went."""
    if not failures or not deadline.passed:
        return failures
    total = round(min(deadline.seconds, deadline.elapsed))  # a run that was ended did not have all of it
    stages = [(name, round(seconds)) for name, seconds in deadline.stages]
    rest = total - sum(seconds for _, seconds in stages)  # all that came before this image: policies, connecting, other images
    if rest > 0:
        stages.append(("other", rest))
    spent = ", ".join(f"{name} {seconds} s" for name, seconds in stages)
    return (*failures[:-1], replace(failures[-1], what=f"{failures[-1].what}; the time of {total} s went into: {spent}"))


@contextmanager
def _about(what: str) -> Iterator[None]:
    """Say in every failure of the block what it was about."""
    try:
        yield
    except GateError as error:
        told = error_for(error.cause)  # a plain one of its code: what its kind says is about that image, not about the judged one
        told.causes = tuple(replace(cause, what=f"{what}: {cause.what}") for cause in error.causes)
        raise told from error


def _occurring(known: Mapping[str, int], findings: Iterable[Finding]) -> tuple[tuple[str, int], ...]:
    """Return the fingerprints of the deployed image that occur here, with its counts: all that judging again needs."""
    if not known:
        return ()
    here = Counter(finding.fingerprint for finding in findings)
    return tuple((mark, min(known[mark], here[mark])) for mark in sorted(here) if mark in known)
