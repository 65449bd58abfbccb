"""What people read while the gate runs: lines on stderr, made harmless."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import click

from ci_gate.report.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ci_gate.errors import Cause
    from ci_gate.security_center.transport import CallRecord

_lock = threading.Lock()


def say(line: str) -> None:
    """Print one line of our own words on stderr; what came from elsewhere in it is made printable."""
    with _lock:
        click.echo(f"ci-gate: {printable(line)}", err=True)


def say_causes(causes: Iterable[Cause]) -> None:
    """Print what failed and what to do next, a pair of lines each."""
    for cause in causes:
        say(f"error {int(cause.code)}: {cause.sentence}")
        say(f"  -> {cause.advice}")


def use_color() -> bool:
    """Whether stderr is a terminal that wants colour (https://no-color.org)."""
    import os

    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def describe_call(record: CallRecord, *, parameters: bool) -> str:
    """One line for a finished call, for ``-v``; with its parameters for ``-vv``. Neither holds a credential or an excerpt."""
    page = "".join(f" {name}={value}" for name, value in record.parameters if parameters or name in {"SensitiveFileKey", "CurrentPage"})
    again = f" (try {record.attempt})" if record.attempt > 1 else ""
    return f"{record.action}{page}: {record.outcome}{again}, {record.seconds * 1000:.0f} ms, request id {record.request_id or '-'}"
