"""Reports: the formats, and how they get to their paths. Rendering is pure; nothing heavy is imported before it is needed."""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ci_gate.errors import Cause, ExitCode, ReportError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ci_gate.verdict import RunResult

STDOUT = "-"
_ANOTHER_PATH = "Give a path in a folder that can be written."


@dataclass(frozen=True, slots=True)
class Format:
    """A report format: the function that renders it, and its file name in ``--report-dir``."""

    file_name: str
    module: str
    function: str

    def render(self, run: RunResult) -> str:
        """Render a run."""
        function: Callable[[RunResult], str] = getattr(import_module(self.module), self.function)
        return function(run)


# In the order of writing: JSON comes last, so that whoever waits for it finds the others.
FORMATS: dict[str, Format] = {
    "junit": Format("junit.xml", "ci_gate.report.junit", "render_junit"),
    "markdown": Format("summary.md", "ci_gate.report.markdown", "render_markdown"),
    "json": Format("result.json", "ci_gate.result_document", "render_json"),
}


@dataclass(frozen=True, slots=True)
class Target:
    """A report that was asked for: its format, and its path (``-`` for standard output)."""

    format: str
    path: str


def write_reports(targets: Sequence[Target], run: RunResult) -> tuple[str, ...]:
    """Render all reports, then move each into place; return the texts for standard output.

    :raises ReportError: with a cause for each report that could not be written; the others are in place.
    """
    ordered = sorted(targets, key=lambda target: list(FORMATS).index(target.format))
    rendered = [(target, FORMATS[target.format].render(run)) for target in ordered]
    causes = []
    for target, text in rendered:
        if target.path == STDOUT:
            continue
        try:
            _write(Path(target.path), text.encode("utf-8"))
        except OSError as error:
            what = f"the {target.format} report {target.path!r} could not be written: {error.strerror or type(error).__name__}"
            causes.append(Cause(ExitCode.REPORT_FAILED, what, _ANOTHER_PATH))
    if causes:
        failure = ReportError(causes[0].what, advice=_ANOTHER_PATH)
        failure.causes = tuple(causes)
        raise failure
    return tuple(text for target, text in rendered if target.path == STDOUT)


def _write(path: Path, content: bytes) -> None:
    """Put a file in place whole, or not at all; pipes and devices are written to."""
    try:
        special = not stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        special = False
    if special:
        with path.open("wb") as stream:
            stream.write(content)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of our own in the same folder, made exclusively: a link that somebody left there is replaced, never followed.
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            os.fchmod(stream.fileno(), 0o666 & ~_umask())
        os.replace(temporary, path)  # noqa: PTH105 - atomic, and of two texts
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    """Return the umask of the process; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
