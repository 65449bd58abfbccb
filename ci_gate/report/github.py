"""What a step of GitHub Actions hands on: its outputs, and annotations as workflow commands. Pure; nothing in the data can start a command.

Syntax: "Workflow commands for GitHub Actions" of GitHub's documentation: ``::error title=…::…``, and the heredoc of ``GITHUB_OUTPUT``.
"""

from __future__ import annotations

import json
import secrets
from functools import partial
from typing import TYPE_CHECKING

from ci_gate.model import many
from ci_gate.report.text import printable
from ci_gate.report.words import headline, next_step, reason, run_next_step, short, stand_in, warned
from ci_gate.verdict import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ci_gate.errors import Cause
    from ci_gate.verdict import Decision, ImageResult, RunResult

# GitHub shows ten annotations of a kind for a step; what comes after is dropped without a word.
MAX_ANNOTATIONS = 10
_TEXT = 2_000
_NAMES = (
    "verdict",
    "exit-code",
    "source",
    "violations",
    "warnings",
    "findings",
    "image",
    "images",
    "summary",
    "next-step",
    "policy-sha256",
    "report-dir",
)
_IMAGES = 400_000  # characters: all outputs of a job together may have 1 MiB, in UTF-16


def outputs_of(run: RunResult, report_dir: Path | None) -> dict[str, str]:
    """Return the outputs of the step, by name.

    ``image`` is the reference to deploy, by digest, where one image was checked and may be deployed; ``images`` are all of those, as a
    JSON list.
    """
    mark, deployable = _mark(run), []
    if run.status is Status.PASSED and not mark:
        deployable = [image.pinned for image in run.images if image.status is Status.PASSED]
    images, note = json.dumps(deployable, ensure_ascii=True), ""
    if len(images) > _IMAGES:
        images, note = "", f"; the output images is left out: {len(deployable)} references are too long for it"
    violations = sum(len(image.verdict.blocking) for image in run.images)
    return {
        "verdict": str(run.status),
        "exit-code": str(int(run.exit_code)),
        "source": run.source.kind,
        "violations": str(violations),
        "warnings": str(warned(run)),
        "findings": str(sum(len(image.verdict.decisions) for image in run.images)),
        "image": deployable[0] if len(run.images) == 1 and deployable else "",
        "images": images,
        "summary": printable(f"{mark}{headline(run)}{note}", _TEXT),
        "next-step": printable(run_next_step(run), _TEXT),
        "policy-sha256": run.policy.sha256,
        "report-dir": "" if report_dir is None else str(report_dir),
    }


def outputs_of_refusal(cause: Cause) -> dict[str, str]:
    """Return the outputs of a step whose command line or policy was refused before a run began.

    All of them: what is not known is empty, for another check of the step may have set it.
    """
    return dict.fromkeys(_NAMES, "") | {
        "verdict": str(Status.UNDECIDED),
        "exit-code": str(int(cause.code)),
        "images": "[]",
        "summary": printable(cause.sentence, _TEXT),
        "next-step": printable(cause.advice, _TEXT),
    }


def command_of_refusal(cause: Cause) -> str:
    """Return the annotation of such a step."""
    return _command("error", f"ci-gate: {Status.UNDECIDED}", f"{cause.sentence}. Next: {cause.advice}")


def output_lines(outputs: dict[str, str]) -> str:
    """Return outputs as they are appended to ``GITHUB_OUTPUT``. The delimiter is random: no value can end its own text."""
    delimiter = f"ci-gate-{secrets.token_hex(16)}"
    return "".join(f"{name}<<{delimiter}\n{value}\n{delimiter}\n" for name, value in outputs.items())


def commands_of(run: RunResult) -> tuple[str, ...]:
    """Return workflow commands, a line each: what was decided first, then violations as far as GitHub shows them.

    Errors and warnings are counted apart by GitHub; so each kind has its own limit.
    """
    status, mark = run.status, _mark(run)
    soft = [decision for image in run.images for decision in image.verdict.violations if not decision.enforced]
    warn = f" (warn mode: {many(len(soft), 'violation')} would block)" if soft and status is Status.PASSED else ""
    title = f"{mark}ci-gate: {status}{warn}"
    lines = [_command("notice" if status is Status.PASSED else "error", title, f"{headline(run)}. Next: {run_next_step(run)}")]
    if len(run.images) > 1:
        others = [image for image in run.images if image.status is not Status.PASSED]
        lines.extend(_limited("error", map(partial(_of_image, run), others), len(others), mark, room=MAX_ANNOTATIONS - 1))
    elif run.images:
        verdict = run.images[0].verdict
        lines.extend(_limited("error", map(_of_violation, verdict.blocking), len(verdict.blocking), mark, room=MAX_ANNOTATIONS - 1))
    lines.extend(_limited("warning", map(_of_violation, soft), len(soft), mark, room=MAX_ANNOTATIONS))
    return tuple(lines)


def _mark(run: RunResult) -> str:
    """Return what heads all that is not of the real service."""
    return f"[{said}] " if (said := stand_in(run)) else ""


def _limited(kind: str, pairs: Iterable[tuple[str, str]], number: int, mark: str, *, room: int) -> Iterator[str]:
    """Yield at most ``room`` annotations; where there are more, the last one says how many."""
    shown = number if number <= room else room - 1
    for _, (title, message) in zip(range(shown), pairs, strict=False):
        yield _command(kind, f"{mark}{title}", message)
    if number > shown:
        yield _command(kind, f"{mark}ci-gate", f"{number - shown} more are in the step summary and the reports")


def _of_image(run: RunResult, image: ImageResult) -> tuple[str, str]:
    return f"ci-gate: {image.status}", f"{short(image)}: {reason(image)}. Next: {next_step(image, run)}"


def _of_violation(decision: Decision) -> tuple[str, str]:
    finding = decision.finding
    base = ", in the base image" if decision.base_image else ""
    title = f"{finding.key} ({decision.level or finding.risk_level})"
    return title, f"{finding.path}{base}: {decision.rule_text or decision.rule}"


def _command(kind: str, title: str, message: str) -> str:
    """Write a workflow command: the data on one line, and with the escapes of the syntax."""
    shown = printable(title, 200).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    return f"::{kind} title={shown}::{printable(message, _TEXT).replace('%', '%25')}"
