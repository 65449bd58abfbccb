"""How a run becomes reports: promised before it begins, written whatever happens, and told on stderr."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ci_gate.cli.output import say_causes, tell, use_color, width
from ci_gate.cli.signals import deferred_signals, ignore_signals
from ci_gate.deadline import Deadline
from ci_gate.errors import ExitCode, ReportError, UsageError, bug
from ci_gate.model import ProofState
from ci_gate.verdict import Validity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ci_gate.errors import Cause, GateError
    from ci_gate.report import Target
    from ci_gate.verdict import ImageResult, RunResult


APPENDED = ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STATE")


class Run(Protocol):
    """Something that ends in a result, and that can tell at any moment what is known so far."""

    def unfinished(self) -> RunResult:
        """Return the result of a run that was killed."""

    def ended(self, causes: tuple[Cause, ...]) -> RunResult:
        """Return what is known, with these causes."""

    def result(self) -> RunResult:
        """Run to the end, whatever that is. Raises nothing."""


class Platform(Protocol):
    """A CI platform that is handed the result, besides the reports. What is handed on twice, holds as it was handed on last."""

    def summarise(self, run: RunResult) -> None:
        """Hand a summary on, for people.

        :raises ReportError: if that fails.
        """

    def set_outputs(self, run: RunResult) -> None:
        """Hand the result on to the steps that follow.

        :raises ReportError: if that fails.
        """

    def annotate(self, run: RunResult) -> None:
        """Show the result beside the job."""


class NoPlatform:
    """A run that no platform is told of."""

    def summarise(self, run: RunResult) -> None:
        """Do nothing."""

    def set_outputs(self, run: RunResult) -> None:
        """Do nothing."""

    def annotate(self, run: RunResult) -> None:
        """Do nothing."""


def run_with_reports(run: Run, targets: Sequence[Target], *, quiet: bool, platform: Platform | None = None) -> ExitCode:
    """Run, write every report, print the summary; return the exit code."""
    from ci_gate.report import write_placeholders

    # The run goes on where a report cannot be written: those that can be are, and at the end it is said which could not.
    with deferred_signals() as early, suppress(ReportError):
        write_placeholders(targets, run.unfinished())
    result = run.ended(early[0].causes) if early else run.result()
    platform = platform or NoPlatform()
    with deferred_signals() as arrived:
        result = _finish(targets, platform, result, arrived)
        _try(platform.annotate, result)  # which only shows what was decided
        _print_summary(result, quiet=quiet)
        ignore_signals()
    return result.exit_code


def leave_reports(run: Run, targets: Sequence[Target], inputs: Sequence[str], policies: Sequence[str], error: GateError) -> None:
    """Have the reports of a run that cannot begin say so: none is left of another run. Those that may not be written are left alone.

    :param inputs: as of :func:`checked_reports`, as ``policies`` is.
    """
    allowed: list[Target] = []
    with suppress(OSError):  # without a working directory, nobody knows which files are which
        kept = _files_kept(_paths(targets), inputs, policies)
        for target in targets:
            with suppress(UsageError):
                _check_report(target, allowed, kept)
                allowed.append(target)
    with deferred_signals():
        result = _finish(allowed, NoPlatform(), run.ended(error.causes), ())
    say_causes(cause for cause in result.causes if cause not in error.causes)


def wanted_reports(outputs: Iterable[tuple[str, str]], report_dir: Path | None) -> tuple[Target, ...]:
    """Return the reports that were asked for."""
    from ci_gate.report import FORMATS, Target

    wanted = [Target(name, path) for name, path in outputs]
    if report_dir is not None:
        wanted += [Target(name, str(report_dir / form.file_name)) for name, form in FORMATS.items() if form.in_report_dir]
    return tuple(wanted)


def checked_reports(wanted: Sequence[Target], inputs: Iterable[str], policies: Iterable[str]) -> Sequence[Target]:
    """Return the reports that were asked for, where they may be written.

    :param inputs: the files that the run reads.
    :param policies: the policies that it loads, by path or name; what they name is read as well.
    :raises UsageError: if two reports share a path, one would replace an input, or there is no working directory.
    """
    check_working_directory()
    kept = _files_kept(_paths(wanted), inputs, policies)
    for number, target in enumerate(wanted):
        _check_report(target, wanted[:number], kept)
    return wanted


def _paths(targets: Iterable[Target]) -> list[str]:
    from ci_gate.report import STDOUT

    return [target.path for target in targets if target.path != STDOUT]


def _check_report(target: Target, before: Iterable[Target], kept: _Files) -> None:
    """Refuse a report that would replace another one, or a file that must be kept."""
    from ci_gate.report import STDOUT

    place = "/dev/stdout" if target.path == STDOUT else target.path
    for other in before:
        there = "/dev/stdout" if other.path == STDOUT else other.path
        if place == there or is_same_file(place, there):
            raise UsageError(f"two reports go to {target.path!r}", advice="Give each -o a path of its own.")
    if target.path != STDOUT:
        _check_place(f"the {target.format} report", target.path, kept)


def check_kept(outputs: Sequence[tuple[str, str]], inputs: Iterable[str], policies: Iterable[str], *, baselines: bool = True) -> None:
    """Refuse to replace what is read, before anything is written: a policy that does not load leaves reports behind, too.

    :param outputs: the files that are written, as pairs of what messages call one and its path.
    :param inputs: the files that are read.
    :param policies: the policies that are loaded, by path or name. Their parents are read as well.
    :param baselines: whether to keep the baselines that they name, too.
    :raises UsageError: if one would be replaced.
    """
    kept = _files_kept([path for _, path in outputs], inputs, policies, baselines=baselines)
    for what, path in outputs:
        _check_place(what, path, kept)


class _Files:
    """Places, to see whether a path leads to one of them, whether anything is there or not."""

    def __init__(self, paths: Iterable[str]) -> None:
        named = tuple(paths)
        self._places = {place for path in named if (place := _place(path)) is not None}
        self._nodes = {node for path in named if (node := _node(path)) is not None}

    def __contains__(self, path: str) -> bool:
        return _place(path) in self._places or _node(path) in self._nodes


def _place(path: str) -> str | None:
    try:
        return os.path.realpath(path)
    except ValueError:  # it is no path
        return None


def _node(path: str) -> tuple[int, int] | None:
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _files_kept(outputs: Iterable[str], inputs: Iterable[str], policies: Iterable[str], *, baselines: bool = True) -> _Files:
    """Return the files that must not be replaced."""
    from ci_gate.policy.language.reads import files_read
    from ci_gate.policy.language.sources import builtin_policies

    named = tuple(policies)
    kept = {str(path) for path in (*inputs, *(name for name in named if name not in builtin_policies()))}
    # Nothing that a policy names can be replaced where nothing is: the policies are not parsed twice for nothing.
    if any(os.path.lexists(path) for path in outputs):
        kept.update(file for name in named for file in files_read(name, baselines=baselines))
    return _Files(kept)


def _check_place(what: str, path: str, kept: _Files) -> None:
    """Refuse to write to a path where something must be kept.

    :raises UsageError: if one of those files is there, or one of the runner.
    """
    if path in kept:
        raise UsageError(f"{what} would replace {path!r}, which the run reads", advice="Give it another path.")
    name = next((name for name in APPENDED if (other := os.environ.get(name)) and is_same_file(path, other)), None)
    if name is not None:
        advice = "Give it another path: --github appends the summary and the outputs."
        raise UsageError(f"{what} would replace {path!r}, the {name} of the runner, which is only appended to", advice=advice)


def is_same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two paths lead to one place, whether anything is there or not. Hard links do, and names that the disk does not tell apart."""
    return str(one) in _Files([str(other)])


def check_working_directory() -> None:
    """Refuse to go on where relative paths mean nothing.

    :raises UsageError: if there is no working directory.
    """
    try:
        Path.cwd()
    except OSError:
        raise UsageError("the working directory does not exist", advice="Change to one that does.") from None


def policy_to_load(source: str | None) -> tuple[str, ...]:
    """Return the policies that a run might load, by path or name, without loading them.

    :param source: the policy that was named; ``None`` for the one that is searched for in the working directory. Every name that is
        looked for counts there, whether anything is at it or not: what the run writes to one before it looks would be its policy.
    """
    from ci_gate.policy.language.load import POLICY_FILES

    return POLICY_FILES if source is None else (source,)


def _finish(targets: Sequence[Target], platform: Platform, result: RunResult, arrived: Sequence[GateError]) -> RunResult:
    """Write and hand on everything; return the result, with what went wrong meanwhile.

    What can be replaced or taken back comes first, and again where something went wrong behind it: then nothing says better than the
    exit code. What cannot (standard output, pipes) comes last, once, one after the other: each tells of those that failed before it. They
    share the time that their readers have. A signal that arrives behind the last of them is too late.
    """
    from ci_gate.report import FORMATS, PATIENCE_S, STDOUT, is_stream

    files = [target for target in targets if not is_stream(target)]
    streams = sorted(filter(is_stream, targets), key=lambda target: (target.path == STDOUT, list(FORMATS).index(target.format)))
    told = []
    for step in (lambda run: _write_files(files, run), platform.summarise, platform.set_outputs):
        told.append((step, result))
        result = _try(step, result)
    result = _with(result, *arrived[:1])
    for stream in streams:
        result = _try(partial(_write_stream, stream, PATIENCE_S / len(streams)), result)
    result = _with(result, *arrived[:1])
    for step, before in told:
        if result is not before:
            _try(step, result)
    return result


def _with(result: RunResult, *errors: GateError) -> RunResult:
    """Return the result with the causes of errors, each once."""
    causes = tuple(dict.fromkeys((*result.causes, *(cause for error in errors for cause in error.causes))))
    return replace(result, causes=causes) if causes != result.causes else result


def _try(step: Callable[[RunResult], object], result: RunResult) -> RunResult:
    """Take a step of the end with a result; return the result, and with it why the step failed."""
    try:
        step(result)
    except ReportError as error:
        return _with(result, error)
    except Exception as error:  # noqa: BLE001 - what was written before it must not contradict the exit code
        return replace(result, causes=(*result.causes, bug(error)))
    return result


def _write_files(files: Sequence[Target], result: RunResult) -> None:
    """Write reports to their files. Where one fails, none is left that says something else, were it for want of room.

    :raises ReportError: with a cause for each that could not be written.
    """
    from ci_gate.report import remove_reports, write_reports

    try:
        write_reports(files, result)
    except ReportError as error:
        remove_reports(files)
        with suppress(ReportError):
            write_reports(files, _with(result, error))
        raise


def _write_stream(target: Target, patience_s: float, result: RunResult) -> None:
    """Write a report to standard output, a pipe or a device, whose reader has so many seconds.

    :raises ReportError: if it could not be written.
    """
    from ci_gate.report import write_reports

    for text in write_reports([target], result, patience_s):
        to_stdout(text, patience_s=patience_s)


def to_stdout(text: str, *, whole: bool = True, patience_s: float | None = None) -> None:
    """Write a text to standard output.

    :param whole: whether it is an error that its reader goes away before the end.
    :param patience_s: how many seconds its reader has; ``None`` for what all readers of a run have together.
    :raises ReportError: if it does not get there.
    """
    from ci_gate.report import PATIENCE_S, pour

    try:
        pour(sys.stdout.fileno(), text.encode("utf-8"), Deadline(PATIENCE_S if patience_s is None else patience_s))
    except (OSError, ValueError, AttributeError) as error:  # closed: no stream, or one without a descriptor
        if isinstance(error, BrokenPipeError) and not whole:
            return
        raise stdout_error(error) from None


def stdout_error(error: Exception) -> ReportError:
    """Say why standard output could not be written."""
    why = error.strerror if isinstance(error, OSError) and error.strerror else "it is closed"
    return ReportError(f"standard output could not be written: {why}", advice="Give the report a path.")


def _print_summary(result: RunResult, *, quiet: bool) -> None:
    if quiet and result.exit_code is ExitCode.PASSED and not any(_is_doubtful(image) for image in result.images):
        return
    from ci_gate.report.terminal import render_terminal

    try:
        summary = render_terminal(result, color=use_color(), width=width())
    except Exception as error:  # noqa: BLE001 - the reports are in place: a bug here must not contradict them
        summary = f"{str(result.status).upper()} exit code {int(result.exit_code)} ({bug(error).what})\n"
    tell(summary)


def _is_doubtful(image: ImageResult) -> bool:
    """Whether a pass has something to be said of it: violations that only warn, proofs that did not hold, exceptions that end."""
    verdict = image.verdict
    doubts = any(proof.state in {ProofState.FAILED, ProofState.UNKNOWN} for proof in image.evidence)
    validities = [*(waiver.validity for waiver in verdict.waivers), *(baseline.validity for baseline in verdict.baselines)]
    ending = any(validity is not Validity.ACTIVE for validity in validities)
    return bool(verdict.violations) or doubts or ending or any(waiver.unused for waiver in verdict.waivers)
