"""Saved runs, judged again: by the policy that is stored in the document, which has to yield the saved verdict, or by another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from ci_gate import __version__
from ci_gate.cli.shared import read_result
from ci_gate.gate import Judging
from ci_gate.model import Inventory
from ci_gate.policy.judging.evaluate import evidence_rules, judge
from ci_gate.policy.language.stored import StoredPolicyError, stored_judges
from ci_gate.replay.again import as_saved, check_verdict, decide_again
from ci_gate.replay.contradictions import contradicts
from ci_gate.replay.evidence import check_evidence
from ci_gate.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci_gate.policy.effective import Judges
    from ci_gate.replay.saved import SavedImage, SavedRun
    from ci_gate.verdict import ImageResult


@dataclass(frozen=True, slots=True)
class Reopened:
    """A saved run, its policy (``None`` where the run loaded none), and its verdicts worked out again, one for each image."""

    run: SavedRun
    judging: Judging | None
    verdicts: tuple[Verdict, ...]

    def inventories(self) -> Iterator[tuple[SavedImage, Inventory]]:
        """Yield each image with what was read of it, to be judged by any policy."""
        for image, verdict in zip(self.run.images, self.verdicts, strict=True):
            yield image, image.inventory(verdict.causes)

    def decide(self, judging: Judging) -> Iterator[ImageResult]:
        """Yield the result for each image by a policy, with the evidence that this one asks for."""
        for (image, inventory), saved in zip(self.inventories(), self.verdicts, strict=True):
            verdict = _judge(judging, image, inventory)
            before = evidence_rules(self.judging.judges, image.canonical) if self.judging else None
            rules = before if before and judging == self.judging else evidence_rules(judging.judges, image.canonical)
            yield decide_again(self.run, image, verdict, saved.causes, rules, before)


def reopen(path: str) -> Reopened:
    """Read a saved result, and hold its verdict against what its own policy makes of its findings.

    A result of another version of the gate is believed in that: versions may judge differently.

    :raises InvalidDocumentError: if it does not load, or contradicts itself.
    """
    run = read_result(path)
    judging = _stored(run)
    if judging is None:
        if any(image.findings for image in run.images):
            raise contradicts(run.origin, ["findings were judged, and there is no policy"])
        unjudged = (Verdict(),) * len(run.images)
        if run.tool_version == __version__:
            check_verdict(run, unjudged)
        return Reopened(run, None, unjudged)
    verdicts = tuple(_saved_verdict(run, image, judging) for image in run.images)
    if run.tool_version == __version__:
        check_evidence(run, partial(evidence_rules, judging.judges))
        check_verdict(run, verdicts)
    return Reopened(run, judging, verdicts)


def _saved_verdict(run: SavedRun, image: SavedImage, judging: Judging) -> Verdict:
    """Return the verdict of the saved run: what it judged depends on the causes that are not its own."""
    judged = as_saved(run, _judge(judging, image, Inventory(image.findings))).causes if image.causes else ()
    return as_saved(run, _judge(judging, image, image.inventory(judged)))


def _judge(judging: Judging, image: SavedImage, inventory: Inventory) -> Verdict:
    return judge(judging.judges, inventory, judging.today, image.canonical, mode=judging.mode, name=judging.name)


def _stored(run: SavedRun) -> Judging | None:
    """Return how the run judged; ``None`` where it loaded no policy.

    :raises InvalidDocumentError: if what is stored is no policy, or not the one that the document names.
    """
    if run.effective is None:
        return None
    try:
        judges = stored_judges(run.effective)
    except StoredPolicyError as error:
        raise contradicts(run.origin, [f"policy.effective is no policy of this version: {error}"]) from None
    problems = []
    if judges.sha256 != run.policy.sha256:
        problems.append("policy.effective is not what policy.sha256 is the sum of")
    if sorted((floor.name, floor.sha256) for floor in run.policy.floors) != sorted((f.name, f.policy.sha256) for f in judges.floors):
        problems.append("policy.floors are not those in policy.effective")
    if run.today is None:
        problems.append("the day that it was judged by is missing")
    if problems or run.today is None:
        raise contradicts(run.origin, problems)
    by_name = {(floor.name, floor.policy.sha256): floor for floor in judges.floors}  # the first floor that blocks gives a finding its rule
    judges = replace(judges, floors=tuple(by_name[floor.name, floor.sha256] for floor in run.policy.floors))
    return Judging(judges, run.today, run.policy.name, _mode(run, judges))


def _mode(run: SavedRun, judges: Judges) -> str | None:
    """Return the mode that the command line of the run asked for; ``None`` where the policies' own were taken.

    :raises InvalidDocumentError: if they would not have allowed it.
    """
    own = {floor.name: floor.policy for floor in judges.floors}
    pairs = [(run.policy.mode, judges.policy), *((floor.mode, own[floor.name]) for floor in run.policy.floors)]
    if all(mode == policy.mode for mode, policy in pairs):
        return None
    asked = run.policy.mode
    if any(mode != asked for mode, _ in pairs):
        raise contradicts(run.origin, ["policy.mode and those of the floors are none that one command line asks for"])
    if asked == "warn" and not all(policy.mode == "warn" or policy.allow_warn_override for _, policy in pairs):
        raise contradicts(run.origin, ["policy.mode is warn, which the policy does not allow"])
    return asked
