"""A run as a step of GitHub Actions: summary and outputs are appended to the runner's files, annotations printed. Their one writer."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ci_gate.cli.output import tell
from ci_gate.cli.reporting import is_same_file
from ci_gate.errors import ReportError, UsageError

if TYPE_CHECKING:
    from ci_gate.errors import Cause
    from ci_gate.verdict import RunResult

_LEAST_SUMMARY = 2_000  # bytes; in less, a summary says nothing
_MOST_SUMMARIES = 1024 * 1024  # bytes of one step; beyond, all are dropped


@dataclass(slots=True)
class _RunnerFile:
    """A file of the runner, which is only appended to: what others wrote stays. What this run wrote to its end, it may take back."""

    path: Path
    begin: int = 0  # where the text of this run begins and ends, in bytes
    end: int = 0

    @property
    def others(self) -> int:
        """How many bytes there are, without those that :meth:`say` would take back."""
        # Of a name that is none, `isfile` says that it is no file.
        return self._kept(self.path.stat().st_size) if os.path.isfile(self.path) else 0  # noqa: PTH113

    def _kept(self, size: int) -> int:
        return self.begin if size == self.end else size

    def _ends_in_newline(self) -> bool:
        """Whether what others wrote, if anything, ends in a newline. Of what cannot be read, that is taken for granted."""
        with suppress(OSError):
            if self.begin:
                with self.path.open("rb") as stream:
                    stream.seek(self.begin - 1)
                    return stream.read(1) == b"\n"
        return True

    def say(self, text: str) -> None:
        """Append a text, in the place of what this run said before. A pipe that nobody empties is not waited for.

        On a disk that has become full, nothing of this run is left rather than what it said before.

        :raises ReportError: if that fails.
        """
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
            try:
                self.begin = self.end = self._kept(os.fstat(descriptor).st_size)
                _cut(descriptor, self.begin)
                begun = "\n" if text and not self._ends_in_newline() else ""  # in the middle of a line, ours would not be read
                left = memoryview(f"{begun}{text}".encode("utf-8", "backslashreplace"))
                try:
                    while left:
                        left = left[os.write(descriptor, left) :]
                except OSError:
                    _cut(descriptor, self.begin)  # half of it would say what it begins with
                    raise
                self.end = os.fstat(descriptor).st_size
            finally:
                os.close(descriptor)
        except OSError as error:
            why = error.strerror or type(error).__name__
            advice = "Look whether another step of the job changed or removed the file."
            raise ReportError(f"what is handed on to the job could not be written: {self.path}: {why}", advice=advice) from None


def _cut(descriptor: int, size: int) -> None:
    with suppress(OSError):  # a device has no end to cut off
        os.ftruncate(descriptor, size)


@dataclass(frozen=True, slots=True)
class GithubStep:
    """Where the runner wants to have what (``GITHUB_OUTPUT``, ``GITHUB_STEP_SUMMARY``)."""

    outputs: _RunnerFile
    summary: _RunnerFile
    report_dir: Path | None

    @classmethod
    def of_environment(cls, report_dir: Path | None) -> GithubStep:
        """Take the paths from the environment.

        :raises UsageError: if this is no step of GitHub Actions.
        """
        paths = []
        for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
            value = os.environ.get(name)
            if not value:
                raise UsageError(
                    f"--github needs {name}, which is not set", advice="Leave --github out: this is no step of GitHub Actions."
                )
            paths.append(Path(value))
        if is_same_file(*paths):
            raise UsageError("GITHUB_OUTPUT and GITHUB_STEP_SUMMARY are one file", advice="Leave both as the runner sets them.")
        return cls(_RunnerFile(paths[0]), _RunnerFile(paths[1]), report_dir)

    def summarise(self, run: RunResult) -> None:
        """Append the Markdown summary, within what GitHub shows of all summaries of the step together.

        :raises ReportError: if it could not be written.
        """
        from ci_gate.report.markdown import MAX_BYTES, render_markdown

        there = self.summary.others
        # Behind a summary that fills its room, there is some left to say that it does not hold.
        limit = max(MAX_BYTES - there, _LEAST_SUMMARY)
        self.summary.say(render_markdown(run, limit=limit) if there + limit <= _MOST_SUMMARIES else "")

    def set_outputs(self, run: RunResult) -> None:
        """Append the outputs of the step.

        :raises ReportError: if they could not be written.
        """
        from ci_gate.report.github import output_lines, outputs_of

        self.outputs.say(output_lines(outputs_of(run, self.report_dir)))

    def annotate(self, run: RunResult) -> None:
        """Print the annotations. Workflow commands are read from stderr as well: standard output stays free for reports."""
        from ci_gate.report.github import commands_of

        tell("".join(f"{line}\n" for line in commands_of(run)))


def hand_on_refusal(cause: Cause) -> None:
    """Hand on that the command did not begin, as far as the runner's files can be had: outputs, a line of summary, an annotation."""
    from ci_gate.report.github import command_of_refusal, output_lines, outputs_of_refusal
    from ci_gate.report.markdown import plain

    tell(f"{command_of_refusal(cause)}\n")
    summary = f"## ⚠️ Undecided\n\n{plain(cause.what)}\n\n**What to do:** {plain(cause.advice)}\n"
    # By path: where both are one file, it is the outputs that count.
    texts = {os.environ.get("GITHUB_STEP_SUMMARY"): summary, os.environ.get("GITHUB_OUTPUT"): output_lines(outputs_of_refusal(cause))}
    for path, text in texts.items():
        with suppress(ReportError):
            if path:
                _RunnerFile(Path(path)).say(text)
