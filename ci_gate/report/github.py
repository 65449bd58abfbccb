"""What a step of GitHub Actions hands on: its outputs, and annotations as workflow commands. Pure; nothing in the data can start a command.

Syntax: "Workflow commands for GitHub Actions" of GitHub's documentation: ``::error title=…::…``, and the heredoc of ``GITHUB_OUTPUT``.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

from ci_gate.report.text import printable
from ci_gate.report.words import headline, next_step, reason, run_next_step, short, warned
from ci_gate.verdict import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ci_gate.verdict import Decision, ImageResult, RunResult

# GitHub shows ten annotations of a kind for a step; what comes after is dropped without a word.
MAX_ANNOTATIONS = 10
_TEXT = 2_000
_IMAGES = 500  # all outputs of a job together may have 1 MiB


def outputs_of(run: RunResult, report_dir: Path | None) -> dict[str, str]:
    """Return the outputs of the step, by name.

    ``image`` is the reference to deploy, by digest, where one image was checked and may be deployed; ``images`` are all of those, as a
    JSON list.
    """
    deployable = [image.pinned for image in run.images if image.status is Status.PASSED] if run.status is Status.PASSED else []
    violations = sum(len(image.verdict.blocking) for image in run.images)
    return {
        "verdict": str(run.status),
        "exit-code": str(int(run.exit_code)),
        "violations": str(violations),
        "warnings": str(warned(run)),
        "findings": str(sum(len(image.verdict.decisions) for image in run.images)),
        "image": deployable[0] if len(run.images) == 1 and deployable else "",
        "images": json.dumps(deployable[:_IMAGES], ensure_ascii=True),
        "summary": printable(headline(run), _TEXT),
        "next-step": printable(run_next_step(run), _TEXT),
        "policy-sha256": run.policy.sha256,
        "report-dir": "" if report_dir is None else str(report_dir),
    }


def output_lines(outputs: dict[str, str]) -> str:
    """Return outputs as they are appended to ``GITHUB_OUTPUT``. The delimiter is random: no value can end its own text."""
    delimiter = f"ci-gate-{secrets.token_hex(16)}"
    return "".join(f"{name}<<{delimiter}\n{value}\n{delimiter}\n" for name, value in outputs.items())


def commands_of(run: RunResult) -> tuple[str, ...]:
    """Return workflow commands, a line each: what was decided first, then violations as far as GitHub shows them.

    Errors and warnings are counted apart by GitHub; so each kind has its own limit.
    """
    status = run.status
    emulated = "" if run.source.kind == "live" else f" [{run.source.kind.upper()}]"
    title = f"ci-gate: {status}{emulated}"
    lines = [_command("notice" if status is Status.PASSED else "error", title, f"{headline(run)}. Next: {run_next_step(run)}")]
    if len(run.images) > 1:
        others = [image for image in run.images if image.status is not Status.PASSED]
        lines.extend(_limited("error", (_of_image(image) for image in others), len(others), room=MAX_ANNOTATIONS - 1))
    elif run.images:
        verdict = run.images[0].verdict
        lines.extend(_limited("error", map(_of_violation, verdict.blocking), len(verdict.blocking), room=MAX_ANNOTATIONS - 1))
    soft = [decision for image in run.images for decision in image.verdict.violations if not decision.enforced]
    lines.extend(_limited("warning", map(_of_violation, soft), len(soft), room=MAX_ANNOTATIONS))
    return tuple(lines)


def _limited(kind: str, pairs: Iterable[tuple[str, str]], number: int, *, room: int) -> Iterator[str]:
    """Yield at most ``room`` annotations; where there are more, the last one says how many."""
    shown = number if number <= room else room - 1
    for _, (title, message) in zip(range(shown), pairs, strict=False):
        yield _command(kind, title, message)
    if number > shown:
        yield _command(kind, "ci-gate", f"{number - shown} more are in the step summary and the reports")


def _of_image(image: ImageResult) -> tuple[str, str]:
    return f"ci-gate: {image.status}", f"{short(image)}: {reason(image)}. Next: {next_step(image)}"


def _of_violation(decision: Decision) -> tuple[str, str]:
    finding = decision.finding
    base = ", in the base image" if decision.base_image else ""
    title = f"{finding.key} ({decision.level or finding.risk_level})"
    return title, f"{finding.path}{base}: {decision.rule_text or decision.rule}"


def _command(kind: str, title: str, message: str) -> str:
    """Write a workflow command: the data on one line, and with the escapes of the syntax."""
    shown = printable(title, 200).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    return f"::{kind} title={shown}::{printable(message, _TEXT).replace('%', '%25')}"
