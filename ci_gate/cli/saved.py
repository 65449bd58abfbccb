"""Saved runs, judged again: by the policy that is stored in the document, which has to yield the saved verdict, or by another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from ci_gate import __version__
from ci_gate.cli.output import say
from ci_gate.cli.shared import read_result
from ci_gate.errors import InvalidDocumentError
from ci_gate.gate import Judging
from ci_gate.model import Inventory
from ci_gate.policy.effective import Judges, NamedPolicy, canonical_text
from ci_gate.policy.judging.evaluate import evidence_rules, judge
from ci_gate.policy.language.floors import load_floors, name_floors, unnamed
from ci_gate.policy.language.load import load_policy
from ci_gate.policy.language.stored import StoredPolicyError, stored_judges
from ci_gate.replay.again import as_saved, check_verdict, decide_again
from ci_gate.replay.contradictions import contradicts
from ci_gate.replay.evidence import check_evidence
from ci_gate.verdict import PolicySummary, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from ci_gate.policy.language.load import LoadedPolicy
    from ci_gate.replay.saved import SavedImage, SavedRun
    from ci_gate.verdict import ImageResult


@dataclass(frozen=True, slots=True)
class Given:
    """What a command line gives to judge a saved run by, beside or instead of what is stored."""

    policy: LoadedPolicy | None = None
    floors: tuple[LoadedPolicy, ...] = ()
    as_of: date | None = None


def load_given(policy: str | None, floors: Sequence[str], sums: Sequence[str], as_of: date | None) -> Given:
    """Load what a command line gives to judge by.

    :raises UsageError: for sums that are none, and sums without a floor.
    :raises InvalidDocumentError: with every mistake in a policy, and for a floor that is not the expected one.
    """
    return Given(load_policy(policy) if policy is not None else None, load_floors(floors, sums), as_of)


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

    def judged_by(self, given: Given) -> tuple[PolicySummary, Judging]:
        """Return what judges the run now: what is given, and else what is stored. The stored floors judge in any case.

        :raises InvalidDocumentError: if no policy or no day is given, and none is stored.
        """
        run, stored = self.run, self.judging
        today = given.as_of or run.today
        if (given.policy is None and stored is None) or today is None:
            raise InvalidDocumentError(
                "the saved run ended before its policy was loaded, so there is nothing to judge by",
                advice="Run the check again, or give --policy and --as-of.",
                where=run.origin,
            )
        if given.policy is not None:
            policy, name, origin = given.policy.policy, given.policy.summary.name, given.policy.summary.origin
        else:
            assert stored is not None
            policy, name, origin = stored.judges.policy, run.policy.name, run.policy.origin
        mode = self._mode(given)
        named, told = name_floors(((floor, origin) for floor, origin, _ in self._floors(given.floors)), beside=name, mode=mode)
        judges = Judges(policy, named)
        summary = PolicySummary(name, mode or policy.mode, judges.sha256, origin, told, canonical_text(judges.canonical))
        return summary, Judging(judges, today, name, mode)

    def say_floors(self, given: Given, summary: PolicySummary) -> None:
        """Say which floors judge beside the policy, and which of them are stored and which given.

        :param summary: what :meth:`judged_by` returned.
        """
        said = [f"{told.name[:200]} ({whose})" for told, (*_, whose) in zip(summary.floors, self._floors(given.floors), strict=True)]
        if said:
            say(f"  floors: {', '.join(said)}")

    def _floors(self, given: Sequence[LoadedPolicy]) -> Iterator[tuple[NamedPolicy, str, str]]:
        """Yield every floor that judges now, its origin, and whose it is: a given one takes the place of the stored one of its name."""
        stored = list(zip(self.judging.judges.floors, self.run.policy.floors, strict=True)) if self.judging else []
        as_then, _ = name_floors(map(unnamed, given), beside=self.run.policy.name)  # what the run would have called them
        before, now = {floor.name for floor, _ in stored}, {floor.name for floor in as_then}
        yield from ((floor, told.origin, "stored") for floor, told in stored if floor.name not in now)
        for floor, then in zip(given, as_then, strict=True):
            whose = "given, in the place of the stored one" if then.name in before else "given"
            yield *unnamed(floor), whose

    def _mode(self, given: Given) -> str | None:
        """Return the mode that the command line of the run asked for, where it still counts: a given policy or floor has its own say."""
        mode = self.judging.mode if self.judging and given.policy is None else None
        forbidden = any(floor.policy.mode != "warn" and not floor.policy.allow_warn_override for floor in given.floors)
        return None if mode == "warn" and forbidden else mode


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
    if not image.evidence:  # the run ended before it looked at this one, and so judged nothing
        return Verdict()
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
