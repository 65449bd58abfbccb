"""The summary for people at a terminal or a job log: the first line says what was decided and why, the last what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_gate.model import ProofState, many
from ci_gate.report.text import printable, shorten
from ci_gate.report.words import (
    SOFTENED,
    baseline_is_due,
    baseline_line,
    baselines_of,
    compared,
    decided,
    headline,
    mixed,
    next_step,
    reason,
    run_next_step,
    stand_in,
    waiver_is_due,
    waiver_line,
    waivers_of,
    warned,
)
from ci_gate.verdict import Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ci_gate.errors import Cause
    from ci_gate.verdict import Decision, FloorSummary, ImageResult, PolicySummary, RunResult

_MAX_VIOLATIONS = 15
_MAX_CAUSES = 15
_MAX_IMAGES = 50
_MAX_WAIVERS = 15
_MAX_FLOORS = 15
_COLORS = {Status.PASSED: "32", Status.BLOCKED: "31", Status.UNDECIDED: "33"}
_SENTENCE = 2_000
_PATH = 200
_MIN_PATH = 24  # narrower, a path says nothing


def render_terminal(run: RunResult, *, color: bool = False, width: int | None = None) -> str:
    """Return the summary, a text that ends with a newline. Data in it cannot move the cursor or begin a line.

    :param color: whether to write ANSI colours.
    :param width: columns of the terminal, to shorten paths by; ``None`` for a log.
    """
    source = f" [{printable(said)}]" if (said := stand_in(run)) else ""
    would = warned(run)
    mode = f" (warn mode: {many(would, 'violation')} would block)" if would and run.status is Status.PASSED else ""
    word = str(run.status).upper()
    if color:
        word = f"\x1b[1;{_COLORS[run.status]}m{word}\x1b[0m"
    lines = [f"{word}{source}{mode} {_safe(headline(run))}", *_cause_lines(run.causes)]
    for image in run.images[:_MAX_IMAGES]:
        lines.extend(_image_lines(image, run, said=frozenset(run.causes), width=width))
    if len(run.images) > _MAX_IMAGES:
        lines.append(f"  … and {many(len(run.images) - _MAX_IMAGES, 'more image')}, see the reports")
    lines.extend(_exception_lines(run))
    lines.extend(_policy_lines(run))
    lines.append(f"Next: {_safe(run_next_step(run))}")
    return "\n".join(lines) + "\n"


def _image_lines(image: ImageResult, run: RunResult, *, said: frozenset[Cause], width: int | None) -> list[str]:
    lines = []
    if len(run.images) > 1:
        lines.append(f"  {str(image.status).upper()} {_safe(image.asked)}: {_safe(reason(image))}")
        if image.status is not Status.PASSED:
            lines.append(f"    next: {_safe(next_step(image, run))}")
    verdict = image.verdict
    # In enforce mode, what blocks comes first; a copy is made only where both kinds are there.
    violations = (*verdict.blocking, *(one for one in verdict.violations if not one.enforced)) if mixed(image) else verdict.violations
    lines.extend(_violation_line(decision, width) for decision in violations[:_MAX_VIOLATIONS])
    if len(violations) > _MAX_VIOLATIONS:
        lines.append(f"  … and {many(len(violations) - _MAX_VIOLATIONS, 'more violation')}, see the reports")
    softened = [f"{number} {word}" for outcome, word, number in decided(image) if outcome in SOFTENED]
    if softened and (violations or image.causes):  # else the reason says it
        lines.append(f"  not blocking: {', '.join(softened)}")
    if image.compared:
        lines.append(f"  {_safe(compared(image))}")
    lines.extend(_cause_lines(cause for cause in image.causes if cause not in said))
    doubtful = (proof for proof in image.evidence if proof.cause is None and proof.state in {ProofState.FAILED, ProofState.UNKNOWN})
    lines.extend(f"  warning: {_safe(proof.name)}: {_safe(proof.detail)}" for proof in doubtful)
    return lines


def _violation_line(decision: Decision, width: int | None) -> str:
    """Write one violation. The dash is ours: a level that the service made up must not begin a line."""
    finding = decision.finding
    start = f"  - {decision.level or printable(finding.risk_level, 20):<6} {printable(finding.key, 60)}  "
    marks = f"{', base image' if decision.base_image else ''}{'' if decision.enforced else ', warn mode'}"
    end = f"  ({printable(decision.rule, 60)}{marks})"
    room = _PATH if width is None else min(_PATH, max(_MIN_PATH, width - len(start) - len(end)))
    return f"{start}{shorten(printable(finding.path, _SENTENCE), room)}{end}"


def _exception_lines(run: RunResult) -> list[str]:
    """Write what to look at among waivers and baselines, a line each; those that are simply used share one."""
    waivers, baselines = waivers_of(run), baselines_of(run)
    due = [waiver_line(use, run) for use in waivers if waiver_is_due(use)]
    due += [baseline_line(use, run) for use in baselines if baseline_is_due(use)]
    lines = [f"  warning: {_safe(line)}" for line in due[:_MAX_WAIVERS]]
    if len(due) > _MAX_WAIVERS:
        lines.append(f"  … and {many(len(due) - _MAX_WAIVERS, 'more warning')} about waivers and baselines, see the reports")
    used = [f"{printable(use.id, 64)} ({many(use.findings, 'finding')})" for use in waivers if use.findings and not waiver_is_due(use)]
    if used:
        more = f" and {len(used) - _MAX_WAIVERS} more" if len(used) > _MAX_WAIVERS else ""
        lines.append(f"  waivers in use: {', '.join(used[:_MAX_WAIVERS])}{more}")
    lines.extend(f"  {_safe(baseline_line(use, run))}" for use in baselines[:_MAX_WAIVERS] if not baseline_is_due(use))
    return lines


def _policy_lines(run: RunResult) -> list[str]:
    """Name the policy and its floors; before a policy is loaded there is nothing to name."""
    policy = run.policy
    judges: list[tuple[str, PolicySummary | FloorSummary]] = [
        ("policy", policy),
        *(("floor", floor) for floor in policy.floors[:_MAX_FLOORS]),
    ]
    lines = [
        f"  {kind}: {printable(judge.name, 60)} ({printable(judge.mode, 20)}), SHA-256 {printable(judge.sha256, 64)}"
        for kind, judge in judges
        if judge.sha256
    ]
    if len(policy.floors) > _MAX_FLOORS:
        lines.append(f"  … and {many(len(policy.floors) - _MAX_FLOORS, 'more floor')}, see the reports")
    return lines


def _cause_lines(causes: Iterable[Cause]) -> list[str]:
    """Write causes; where there are several, the last line of the summary has room for the advice of one only."""
    every = list(causes)
    lines = []
    for cause, following in zip(every[:_MAX_CAUSES], [*every[1:], None], strict=False):
        lines.append(f"  error {int(cause.code)}: {_safe(cause.sentence)}")
        if len(every) > 1 and (following is None or following.advice != cause.advice):
            lines.append(f"    -> {_safe(cause.advice)}")
    if len(every) > _MAX_CAUSES:
        lines.append(f"  … and {many(len(every) - _MAX_CAUSES, 'more error')}, see the reports")
    return lines


def _safe(text: str) -> str:
    """Make a sentence fit for one line."""
    return printable(text, _SENTENCE)
