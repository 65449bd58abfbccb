"""Sentences that several reports share: why, and what to do next. They hold data as it is: each format escapes them, once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ci_gate.errors import PRECEDENCE
from ci_gate.model import ProofState
from ci_gate.report.text import cut
from ci_gate.verdict import Status

if TYPE_CHECKING:
    from ci_gate.errors import Cause
    from ci_gate.verdict import ImageResult, RunResult

ROTATE = (
    "Rotate the credential first: it has left your hands with the push. Then remove the file where it is added and rebuild: "
    "deleting it in a later layer does not remove it from the image."
)
WARN_MODE = "would block: the policy is in warn mode"
_NAMED = 3
_WORST_FIRST = (Status.BLOCKED, Status.UNDECIDED, Status.PASSED)
_SENTENCE = 2_000


def short(result: ImageResult) -> str:
    """Name an image as a person would, with the first twelve digits of its digest."""
    reference = result.reference
    if reference is None:
        return cut(result.asked, 300)
    digest = reference.digest or (result.image.digest if result.image else "")
    tag = f":{reference.tag}" if reference.tag else ""
    return f"{reference.canonical}{tag}{f' (sha256:{digest[:12]})' if digest else ''}"


def reason(result: ImageResult) -> str:
    """Say in one line why an image has its verdict."""
    violations = result.verdict.violations
    if result.blocks:
        return "; ".join(_broken_rules(result))
    if result.causes:
        known = f"; besides, {count(len(violations), 'finding')} {WARN_MODE}" if violations else ""
        return cut(result.causes[0].sentence, _SENTENCE) + known
    if result.image is None:
        return "no image was judged"
    if violations:
        return "it would be blocked: " + "; ".join(_broken_rules(result))
    doubts = [proof.name for proof in result.evidence if proof.state in {ProofState.FAILED, ProofState.UNKNOWN}]
    evidence = f"with warnings about the evidence: {', '.join(doubts)}" if doubts else "and the evidence is complete"
    return f"{count(len(result.verdict.decisions), 'finding')}, none breaks the policy, {evidence}"


def next_step(result: ImageResult) -> str:
    """Say in one line what to do about an image."""
    if result.blocks:
        keys = Counter(decision.finding.key for decision in result.verdict.violations)
        return f"{ROTATE} Begin with {_named_keys(keys)}."
    if result.causes:
        return cut(result.causes[0].advice, _SENTENCE)
    if result.image is None:
        return "Report this as a bug."
    if result.verdict.violations:
        return "Mend the violations before the policy's mode becomes enforce."
    return f"Deploy {result.pinned}."


def headline(run: RunResult) -> str:
    """Say in one line what was decided of a run."""
    decisive = run_cause(run)
    if decisive:
        more = len(run.causes) - 1
        return cut(decisive.sentence, _SENTENCE) + (f" (and {more} more)" if more else "")
    if not run.images:
        return "no image was judged"
    if len(run.images) == 1:
        return f"{short(run.images[0])}: {reason(run.images[0])}"
    counts = Counter(image.status for image in run.images)
    said = f"{len(run.images)} images: " + ", ".join(f"{counts[status]} {status}" for status in Status if counts[status])
    worst = worst_image(run)
    return said if worst.status is Status.PASSED else f"{said}; {short(worst)}: {reason(worst)}"


def run_next_step(run: RunResult) -> str:
    """Say in one line what to do next after a run."""
    decisive = run_cause(run)
    if decisive:
        return cut(decisive.advice, _SENTENCE)
    if not run.images:
        return "Name an image."
    if len(run.images) > 1 and run.status is Status.PASSED and not any(image.verdict.violations for image in run.images):
        return "Deploy the images by their digests."
    return next_step(worst_image(run))


def worst_image(run: RunResult) -> ImageResult:
    """Return the image that decides: one that is blocked, or undecided, or would be blocked, or the first."""
    return min(run.images, key=lambda image: (_WORST_FIRST.index(image.status), _severity(image), not image.verdict.violations))


def run_cause(run: RunResult) -> Cause | None:
    """Return the worst cause of the run itself, where it is that, and not an image, that decides."""
    if not run.causes or run.status is not Status.UNDECIDED:
        return None
    return min(run.causes, key=lambda cause: PRECEDENCE.index(cause.code))


def layer(digest: str) -> str:
    """Return a layer digest as docker shows it: twelve digits."""
    return digest.removeprefix("sha256:")[:12]


def count(number: int, noun: str) -> str:
    """Return ``1 finding``, ``2 findings``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _severity(image: ImageResult) -> int:
    return PRECEDENCE.index(image.exit_code)


def _broken_rules(result: ImageResult) -> list[str]:
    """Say for each rule that is broken by how many findings, and of which keys."""
    by_rule: dict[str, Counter[str]] = {}
    for decision in result.verdict.violations:
        by_rule.setdefault(decision.rule, Counter())[decision.finding.key] += 1
    details = {rule.rule: rule.detail for rule in result.verdict.rules}
    said = []
    for rule, keys in by_rule.items():
        what = {"deny": "of denied keys", "unknown.keys": "of unknown keys"}.get(rule)
        limit = f"over {cut(rule, 60)} ({cut(details.get(rule, 'exceeded'), 200)})"
        said.append(f"{count(keys.total(), 'finding')} {what or limit}: {_named_keys(keys)}")
    return said


def _named_keys(keys: Counter[str]) -> str:
    ranked = sorted(keys.items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(cut(key, 60) for key, _ in ranked[:_NAMED])
    return named + (f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else "")
