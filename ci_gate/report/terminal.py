"""The summary on a terminal: the first line says what was decided and why, the last what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_gate.model import ProofState
from ci_gate.report.text import printable
from ci_gate.report.words import headline, next_step, reason, run_next_step
from ci_gate.verdict import Status

if TYPE_CHECKING:
    from ci_gate.verdict import ImageResult, RunResult

_MAX_VIOLATIONS = 15
_COLORS = {Status.PASSED: "32", Status.BLOCKED: "31", Status.UNDECIDED: "33"}
_LINE = 2_000


def render_terminal(run: RunResult, *, color: bool) -> str:
    """Return the summary, a text that ends with a newline. Data in it cannot move the cursor or begin a line."""
    emulated = "" if run.source.kind == "live" else f" [{run.source.kind.upper()}]"
    word = str(run.status).upper()
    if color:
        word = f"\x1b[1;{_COLORS[run.status]}m{word}\x1b[0m"
    lines = [f"{word}{emulated} {_safe(headline(run))}"]
    lines.extend(f"  error {int(cause.code)}: {_safe(cause.sentence)}" for cause in run.causes)
    for image in run.images:
        lines.extend(_image_lines(image, alone=len(run.images) == 1, causes_said=set(image.causes) <= set(run.causes)))
    lines.append(f"Next: {_safe(run_next_step(run))}")
    return "\n".join(lines) + "\n"


def _image_lines(image: ImageResult, *, alone: bool, causes_said: bool) -> list[str]:
    lines = []
    if not alone:
        lines.append(f"  {str(image.status).upper()} {_safe(image.asked)}: {_safe(reason(image))}")
        if image.status is not Status.PASSED:
            lines.append(f"    next: {_safe(next_step(image))}")
    for decision in image.verdict.violations[:_MAX_VIOLATIONS]:
        finding = decision.finding
        level = decision.level or printable(finding.risk_level, 20)
        lines.append(f"  {level:<6} {printable(finding.key, 60)}  {printable(finding.path, 200)}  ({decision.rule})")
    more = len(image.verdict.violations) - _MAX_VIOLATIONS
    if more > 0:
        lines.append(f"  … and {more} more violations, see the reports")
    if not causes_said:
        lines.extend(f"  error {int(cause.code)}: {_safe(cause.sentence)}" for cause in image.causes)
    doubtful = (proof for proof in image.evidence if proof.cause is None and proof.state in {ProofState.FAILED, ProofState.UNKNOWN})
    lines.extend(f"  warning: {proof.name}: {_safe(proof.detail)}" for proof in doubtful)
    return lines


def _safe(text: str) -> str:
    """Make a sentence fit for one line; our own sentences are left as they are."""
    return printable(text, _LINE)
