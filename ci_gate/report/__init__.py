"""Reports: the formats, and how they get to their paths. Rendering is pure; nothing heavy is imported before it is needed.

A report is rendered in parts, straight into a file beside its path: 100,000 findings are never held as one text.
"""

from __future__ import annotations

import errno
import os
import re
import select
import stat
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ci_gate.deadline import Deadline
from ci_gate.errors import Cause, ExitCode, ReportError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ci_gate.verdict import RunResult

STDOUT = "-"
PATIENCE_S = 10.0  # for all readers of a run together
_OPEN_S = 2.0
_PAUSE_S = 0.05
# Whatever the umask, nobody but their owner may change what says that an image passed.
_FILE_MODE, _FOLDER_MODE = 0o644, 0o755
_OWN_STREAM = re.compile(r"/dev/std(in|out|err)|/dev/fd/\d+|/proc/[^/]+/(task/[^/]+/)?fd/\d+")
_ANOTHER_PATH = "Give a path in a folder that can be written."
_A_BUG = "Report this as a bug. What stands at the path does not say that the run passed."


@dataclass(frozen=True, slots=True)
class Format:
    """A report format: the function that renders it in parts, its usual file name, and whether ``--report-dir`` holds it."""

    file_name: str
    module: str
    function: str
    in_report_dir: bool = True

    def parts(self, run: RunResult) -> Iterable[str]:
        """Render a run, in parts."""
        function: Callable[[RunResult], Iterable[str]] = getattr(import_module(self.module), self.function)
        return function(run)


# In the order of writing: JSON comes last, so that whoever waits for it finds the others.
FORMATS: dict[str, Format] = {
    "junit": Format("junit.xml", "ci_gate.report.junit", "junit_parts"),
    "markdown": Format("summary.md", "ci_gate.report.markdown", "markdown_parts"),
    "markdown-comment": Format("comment.md", "ci_gate.report.markdown", "comment_parts", in_report_dir=False),
    "sarif": Format("results.sarif", "ci_gate.report.sarif", "sarif_parts"),
    "gitlab-secret-detection": Format(
        "gl-secret-detection-report.json", "ci_gate.report.gitlab", "secret_detection_parts", in_report_dir=False
    ),
    "gitlab-codequality": Format("gl-code-quality-report.json", "ci_gate.report.gitlab", "codequality_parts", in_report_dir=False),
    "html": Format("report.html", "ci_gate.report.html", "html_parts", in_report_dir=False),
    "json": Format("result.json", "ci_gate.result_document.write", "json_parts"),
}


@dataclass(frozen=True, slots=True)
class Target:
    """A report that was asked for: its format, and its path (``-`` for standard output)."""

    format: str
    path: str


class ReportsError(ReportError):
    """Some reports could not be written: a cause for each."""

    def __init__(self, causes: Sequence[Cause]) -> None:
        """Build from at least one cause."""
        super().__init__(causes[0].what, advice=causes[0].advice)
        self.causes = tuple(causes)


class _RenderError(Exception):
    """A format has a bug."""


def render(name: str, run: RunResult) -> str:
    """Render a run in the format of this name."""
    return "".join(FORMATS[name].parts(run))


def write_reports(targets: Iterable[Target], run: RunResult, patience_s: float = PATIENCE_S) -> tuple[str, ...]:
    """Render all reports, then move each into place; return the texts for standard output.

    :param patience_s: how many seconds the reader of a pipe has.
    :raises ReportsError: with a cause for each report that could not be written; the others are in place.
    """
    order = list(FORMATS)
    ordered = sorted(targets, key=lambda target: order.index(target.format))
    causes: dict[int, Cause] = {}
    outputs: list[str] = []
    moves: list[tuple[int, Callable[[], None]]] = []
    with ExitStack() as stack:
        for number, target in enumerate(ordered):
            try:
                if target.path == STDOUT:
                    outputs.append(b"".join(_encoded(target, run)).decode())
                else:
                    moves.append((number, _prepare(Path(target.path), _encoded(target, run), stack, patience_s)))
            except _RenderError as error:
                causes[number] = Cause(ExitCode.INTERNAL, f"the {target.format} report could not be rendered: {error}", _A_BUG)
            except Exception as error:  # noqa: BLE001 - such as ValueError for a path with a NUL: whatever it is, the others are written
                causes[number] = _not_written(target, error)
        for number, move in moves:
            try:
                move()
            except Exception as error:  # noqa: BLE001 - as above
                causes[number] = _not_written(ordered[number], error)
    if causes:
        raise ReportsError([causes[number] for number in sorted(causes)])
    return tuple(outputs)


def _encoded(target: Target, run: RunResult) -> Iterator[bytes]:
    """Render a report, in parts.

    :raises _RenderError: if the format has a bug: it must not cost the others. Its text is left out, as in :func:`ci_gate.errors.bug`.
    """
    try:
        for part in FORMATS[target.format].parts(run):
            yield part.encode("utf-8")
    except Exception as error:
        raise _RenderError(type(error).__name__) from error


def _not_written(target: Target, error: Exception) -> Cause:
    why = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
    return Cause(ExitCode.REPORT_FAILED, f"the {target.format} report {target.path!r} could not be written: {why}", _ANOTHER_PATH)


def write_placeholders(targets: Iterable[Target], run: RunResult) -> None:
    """Write reports that say "undecided: the run did not finish", so that a killed run never leaves yesterday's "passed".

    Pipes, devices and standard output are left alone: they hold no yesterday, and whoever reads them reads one report. Where one cannot
    be written, yesterday's are removed first: on a full disk, that can be done, and makes room.

    :raises ReportsError: as :func:`write_reports`.
    """
    files = [target for target in targets if not is_stream(target)]
    try:
        write_reports(files, run)
    except ReportsError:
        remove_reports(files)
        write_reports(files, run)


def remove_reports(targets: Iterable[Target]) -> None:
    """Remove the files of reports, as far as they can be: what cannot be written anew must not say what it said."""
    for target in targets:
        if not is_stream(target):
            with suppress(OSError, ValueError):
                Path(target.path).unlink()


def is_stream(target: Target) -> bool:
    """Whether a report goes where it cannot be taken back: to standard output, a pipe or a device."""
    return target.path == STDOUT or _is_special(Path(target.path))


def _is_special(path: Path) -> bool:
    """Whether a pipe, a device or a socket stands at a path: it is written to, not replaced.

    That goes for the streams of the process by whatever name: ``/dev/stdout`` leads to a regular file where output is redirected to one.
    A link anywhere else is replaced, wherever it leads: a checkout may hold one to ``/dev/null``, or to a pipe that somebody reads.
    """
    if _OWN_STREAM.fullmatch(re.sub("^//", "/", os.path.normpath(path.absolute()))):
        return True
    try:
        mode = path.lstat().st_mode
    except (OSError, ValueError):  # whatever is wrong with it shows when it is written
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))


def write_whole(path: Path, content: bytes) -> None:
    """Put a file in place whole, or not at all; pipes and devices are written to.

    :raises OSError: if it cannot be written.
    """
    with ExitStack() as stack:
        _prepare(path, (content,), stack)()


def write_together(files: Iterable[tuple[Path, bytes]]) -> None:
    """Put files in place whole, and none of them where one cannot be prepared.

    :raises OSError: if one cannot be written.
    """
    with ExitStack() as stack:
        moves = []
        for path, content in files:
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            moves.append(_prepare(path, (content,), stack))
        for move in moves:
            move()


def _prepare(path: Path, parts: Iterable[bytes], stack: ExitStack, patience_s: float = PATIENCE_S) -> Callable[[], None]:
    """Render a report beside its path; return what puts it in place, whole or not at all. Pipes and devices are written to.

    :param stack: removes what was not put in place.
    :param patience_s: how many seconds the reader of a pipe has.
    :raises OSError: if there is no room for it. The function that is returned raises it, too.
    """
    if _is_special(path):
        return partial(_pour_into, path, b"".join(parts), patience_s)
    _make_folder(path.parent)
    # A name of our own in the same folder, made exclusively: a link that somebody left there is replaced, never followed.
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name[:50]}.", dir=path.parent)
    stack.callback(Path(temporary).unlink, missing_ok=True)
    with os.fdopen(descriptor, "wb") as stream:
        stream.writelines(parts)
        os.fchmod(stream.fileno(), _FILE_MODE & ~_umask())
    return partial(os.replace, temporary, path)


def _make_folder(folder: Path) -> None:
    """Make a folder, and those above it.

    :raises OSError: if that fails.
    """
    for each in (*reversed(folder.parents), folder):
        each.mkdir(_FOLDER_MODE, exist_ok=True)


def _pour_into(path: Path, content: bytes, patience_s: float) -> None:
    deadline = Deadline(patience_s)
    descriptor = _open_special(path, deadline)
    try:
        pour(descriptor, content, deadline)
    finally:
        os.close(descriptor)


def _open_special(path: Path, deadline: Deadline) -> int:
    """Open a pipe or a device; a pipe that nobody has opened for reading within two seconds, or in time, is an error, not a wait.

    :raises OSError: if it cannot be opened.
    """
    while True:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_APPEND)  # `/dev/stdout` may lead to a file with something in it
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        if deadline.elapsed >= _OPEN_S or not deadline.sleep(_PAUSE_S):
            raise OSError(errno.ENXIO, "nobody reads it")


def pour(descriptor: int, content: bytes, deadline: Deadline) -> None:
    """Write to a pipe, a device or a redirected stream. Of a file that takes no more, the beginning is cut off again.

    :raises OSError: if it is closed or full, or not all is taken in time.
    """
    if os.isatty(descriptor):
        with _reopened(descriptor) as terminal:
            _pour(terminal, content, deadline)
    else:
        _pour(descriptor, content, deadline)


@contextmanager
def _reopened(terminal: int) -> Iterator[int]:
    """Open a terminal once more: it says that it can be written to, and then makes who writes wait, unless asked not to.

    That is asked for a descriptor of our own: the others are shared with whoever started this process.
    """
    try:
        own = os.open(os.ttyname(terminal), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:  # it has no name here, as in some containers
        yield terminal
        return
    try:
        yield own
    finally:
        os.close(own)


def _pour(descriptor: int, content: bytes, deadline: Deadline) -> None:
    before = os.fstat(descriptor)
    left = memoryview(content)
    try:
        while left:
            if deadline.passed or not select.select([], [descriptor], [], deadline.remaining)[1]:
                raise TimeoutError(errno.ETIMEDOUT, "its reader did not take it in time")
            try:
                # A pipe that can be written to takes this much without a wait (POSIX: PIPE_BUF).
                left = left[os.write(descriptor, left[: select.PIPE_BUF]) :]
            except BlockingIOError:
                deadline.sleep(_PAUSE_S)
    except OSError:
        if stat.S_ISREG(before.st_mode):
            os.ftruncate(descriptor, before.st_size)
            os.lseek(descriptor, len(left) - len(content), os.SEEK_CUR)  # others may go on behind it
        raise


def _umask() -> int:
    """Return the umask of the process; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
