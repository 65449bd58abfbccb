"""The whole story: find the image, wait for its scan, read every finding, judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_gate.errors import Cause, GateError
from ci_gate.model import Image, ImageReference, Inventory, Proof
from ci_gate.policy.evaluate import evaluate, evidence_rules
from ci_gate.verdict import ImageResult

if TYPE_CHECKING:
    from datetime import date

    from ci_gate.deadline import Deadline
    from ci_gate.model import FindingSource
    from ci_gate.policy.schema import Policy


@dataclass(frozen=True, slots=True)
class Asked:
    """An image that the user asked about: ``text`` as it was written, resolved by ``reference``, ``uuid`` or both."""

    text: str
    reference: ImageReference | None
    uuid: str | None = None


def decide_image(source: FindingSource, asked: Asked, policy: Policy, mode: str, deadline: Deadline, today: date) -> ImageResult:
    """Decide whether an image may be deployed. Never raises a ``GateError``: a failure is part of the result.

    :param mode: ``enforce`` or ``warn``, the policy's or the command line's.
    :param today: the date (UTC) that the policy is judged by.
    """
    rules = evidence_rules(policy)
    evidence: tuple[Proof, ...] = (source.info.proof,)
    failures: tuple[Cause, ...] = ()
    image: Image | None = None
    inventory = Inventory()
    try:
        with deadline.stage("resolve"):
            image, identity = source.find_image(asked.reference, asked.uuid, rules, deadline)  # matched exactly, by digest
        evidence += (identity,)
        with deadline.stage("scan"):
            image, scanned = source.await_scan(image, rules, deadline)  # an unfinished scan proves nothing
        evidence += (scanned,)
        with deadline.stage("read"):
            inventory = source.read_findings(image, rules, deadline)  # every page; what is missing is in its causes
        evidence += inventory.proofs
        failures += inventory.causes
    except GateError as error:
        failures += error.causes
    with deadline.stage("judge"):
        verdict = evaluate(policy, inventory, today)  # what was read is judged, whatever cut it short
    return ImageResult(asked.text, mode, asked.reference, image, evidence, verdict, failures)


def undecided(asked: Asked, mode: str, cause: Cause) -> ImageResult:
    """Return the result for an image that the run did not get to."""
    return ImageResult(asked.text, mode, asked.reference, failures=(cause,))
