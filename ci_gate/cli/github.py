"""A run as a step of GitHub Actions: summary and outputs are appended to the runner's files, annotations printed. Their one writer."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ci_gate.cli.output import tell
from ci_gate.errors import ReportError, UsageError

if TYPE_CHECKING:
    from ci_gate.verdict import RunResult


@dataclass(frozen=True, slots=True)
class GithubStep:
    """Where the runner wants to have what (``GITHUB_OUTPUT``, ``GITHUB_STEP_SUMMARY``)."""

    outputs: Path
    summary: Path
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
        return cls(paths[0], paths[1], report_dir)

    def hand_on(self, run: RunResult) -> None:
        """Append the outputs and the summary, and print the annotations.

        :raises ReportError: if one of the files could not be written; the other is.
        """
        from ci_gate.report import render
        from ci_gate.report.github import commands_of, output_lines, outputs_of

        # Workflow commands are read from stderr as well: standard output stays free for reports.
        tell("".join(f"{line}\n" for line in commands_of(run)))
        texts = ((self.outputs, output_lines(outputs_of(run, self.report_dir))), (self.summary, render("markdown", run)))
        failed = [failure for failure in (_append(path, text) for path, text in texts) if failure]
        if failed:
            advice = "Look whether another step of the job changed or removed the file."
            raise ReportError(f"what is handed on to the job could not be written: {'; '.join(failed)}", advice=advice)


def _append(path: Path, text: str) -> str | None:
    """Append a text to a file; return what went wrong. What other commands of the step wrote stays."""
    try:
        with path.open("ab") as stream:
            stream.write(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        return f"{path}: {error.strerror or type(error).__name__}"
    return None
