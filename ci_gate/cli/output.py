"""What people read while the gate runs: lines on stderr, made harmless, which never hold the gate up."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING

from ci_gate.report.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ci_gate.errors import Cause
    from ci_gate.security_center.transport import CallRecord

_DRAIN_S = 2.0
_ERASE_LINE = "\r\x1b[2K"  # back to the first column, then erase in line (ECMA-48)


@dataclass(frozen=True, slots=True)
class _LiveLine:
    """The line that stays at the bottom of a terminal until another one takes its place; empty for none."""

    text: str


class _Teller:
    """Writes to stderr from a thread of its own: a pipe that nobody reads, or one that is closed, must not change a verdict."""

    def __init__(self) -> None:
        self._lines: SimpleQueue[str | _LiveLine | threading.Event] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def tell(self, text: str | _LiveLine) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="ci-gate-stderr", daemon=True)
            self._thread.start()
        self._lines.put(text)

    def drain(self) -> None:
        """Wait until all is written, for two seconds at most."""
        if self._thread is not None:
            written = threading.Event()
            self._lines.put(written)
            written.wait(_DRAIN_S)

    def _write(self) -> None:
        below = ""
        while True:
            item = self._lines.get()
            if isinstance(item, threading.Event):
                item.set()
                continue
            erase = _ERASE_LINE if below else ""
            if isinstance(item, _LiveLine):
                text = below = item.text
            else:
                text = item + below
            try:
                raw = f"{erase}{text}".encode(sys.stderr.encoding or "utf-8", "backslashreplace")
                while raw:
                    raw = raw[os.write(sys.stderr.fileno(), raw) :]
            except (OSError, ValueError, AttributeError):
                continue  # closed, full or not there: the exit code and the reports speak


_teller = _Teller()
drain = _teller.drain


def tell(text: str) -> None:
    """Print a text of ours on stderr as it is."""
    _teller.tell(text)


def show_live(line: str) -> None:
    """Keep a line of ours at the bottom of the terminal, in the place of the last one; an empty one takes it away."""
    _teller.tell(_LiveLine(printable(line)))


def say(line: str) -> None:
    """Print one line of our own words on stderr; what came from elsewhere in it is made printable."""
    tell(f"ci-gate: {printable(line)}\n")


def say_causes(causes: Iterable[Cause]) -> None:
    """Print what failed and what to do next, a pair of lines each."""
    for cause in causes:
        say(f"error {int(cause.code)}: {cause.sentence}")
        say(f"  -> {cause.advice}")


def use_color() -> bool:
    """Whether stderr is a terminal that wants colour (https://no-color.org)."""
    try:
        return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):
        return False


def width() -> int | None:
    """Return the columns of stderr where it is a terminal; a log has none."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns if sys.stderr.isatty() else None
    except (AttributeError, OSError, ValueError):
        return None


def describe_call(record: CallRecord, *, parameters: bool) -> str:
    """One line for a finished call, for ``-v``; with its parameters for ``-vv``. Neither holds a credential or an excerpt."""
    page = "".join(f" {name}={value}" for name, value in record.parameters if parameters or name in {"SensitiveFileKey", "CurrentPage"})
    again = f" (try {record.attempt})" if record.attempt > 1 else ""
    return f"{record.action}{page}: {record.outcome}{again}, {record.seconds * 1000:.0f} ms, request id {record.request_id or '-'}"
