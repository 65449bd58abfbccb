"""Sentences that several reports share: why, and what to do next."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ci_gate.report.text import printable
from ci_gate.verdict import Status

if TYPE_CHECKING:
    from ci_gate.model import Finding
    from ci_gate.verdict import ImageResult, RunResult

ROTATE = (
    "Rotate the credential first: it has left your hands with the push. Then remove the file where it is added and rebuild: "
    "deleting it in a later layer does not remove it from the image."
)
_NAMED = 3


def short(result: ImageResult) -> str:
    """Name an image as a person would, with the first twelve digits of its digest."""
    reference = result.reference
    if reference is None:
        return printable(result.asked, 300)
    digest = reference.digest or (result.image.digest if result.image else "")
    tag = f":{reference.tag}" if reference.tag else ""
    return f"{reference.canonical}{tag}{f' (sha256:{digest[:12]})' if digest else ''}"


def reason(result: ImageResult) -> str:
    """Say in one line why an image has its verdict."""
    violations = result.verdict.violations
    if violations:
        prefix = "" if result.blocks else "the policy only warns, it would block: "
        return prefix + "; ".join(_broken_rules(result))
    if result.causes:
        return result.causes[0].sentence
    return f"{_count(len(result.verdict.decisions), 'finding')}, none breaks the policy, and the evidence is complete"


def _broken_rules(result: ImageResult) -> list[str]:
    """Say for each rule that is broken by how many findings, and of which keys."""
    by_rule: dict[str, Counter[str]] = {}
    for decision in result.verdict.violations:
        by_rule.setdefault(decision.rule, Counter())[decision.finding.key] += 1
    details = {rule.rule: rule.detail for rule in result.verdict.rules}
    said = []
    for rule, keys in by_rule.items():
        named = ", ".join(printable(key, 60) for key, _ in sorted(keys.items(), key=lambda item: (-item[1], item[0]))[:_NAMED])
        named += f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
        what = {"deny": "of denied keys", "unknown.keys": "of unknown keys"}.get(rule)
        limit = f"over {rule} ({details.get(rule, 'exceeded')})"
        said.append(f"{_count(keys.total(), 'finding')} {what or limit}: {named}")
    return said


def next_step(result: ImageResult) -> str:
    """Say in one line what to do about an image."""
    if result.blocks:
        keys = Counter(decision.finding.key for decision in result.verdict.violations)
        worst = ", ".join(printable(key, 60) for key, _ in keys.most_common(_NAMED))
        return f"{ROTATE} Begin with {worst}."
    if result.causes:
        return result.causes[0].advice
    if result.verdict.violations:
        return "Mend the violations before the policy's mode becomes enforce."
    return f"Deploy {result.pinned}."


def headline(run: RunResult) -> str:
    """Say in one line what was decided of a run."""
    if len(run.images) == 1:
        return f"{short(run.images[0])}: {reason(run.images[0])}" if not _run_cause(run) else run.causes[0].sentence
    if not run.images:
        return run.causes[0].sentence if run.causes else "no image was judged"
    counts = Counter(image.status for image in run.images)
    return f"{len(run.images)} images: " + ", ".join(f"{counts[status]} {status}" for status in Status if counts[status])


def run_next_step(run: RunResult) -> str:
    """Say in one line what to do next after a run."""
    if _run_cause(run) or not run.images:
        return run.causes[0].advice if run.causes else "Name an image."
    worst = min(run.images, key=lambda image: (list(Status).index(image.status) != 1, image.status is Status.PASSED))
    return next_step(worst)


def finding_advice(finding: Finding) -> str:
    """Say what to do about a finding; the service's own words come second."""
    said = f"\nSecurity Center says: {printable(finding.advice, 500)}" if finding.advice else ""
    return ROTATE + said


def _run_cause(run: RunResult) -> bool:
    """Whether it is the run, and not an image, that decides."""
    return bool(run.causes) and run.status is Status.UNDECIDED


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
