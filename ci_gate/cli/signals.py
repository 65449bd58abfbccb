"""SIGINT and SIGTERM as exceptions, so that a run that is ended still writes its reports."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ci_gate.errors import GateError, InterruptedRunError, TerminatedRunError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_AGAIN = "Nothing was decided. Run it again."


class RunSignal(BaseException):
    """The process was asked to end."""

    def __init__(self, error: GateError) -> None:
        super().__init__(error.cause.what)
        self.error = error


def signal_behind(error: BaseException) -> RunSignal | None:
    """Return the signal that an error came of: it can arrive where a library turns whatever is raised into an error of its own."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, RunSignal):
        seen = seen.__cause__ or seen.__context__
    return seen


def _raise(number: int, _frame: FrameType | None) -> None:
    if number == signal.SIGINT:
        raise RunSignal(InterruptedRunError("interrupted by SIGINT", advice=_AGAIN))
    raise RunSignal(TerminatedRunError("ended by SIGTERM", advice=_AGAIN))


@contextmanager
def raising_signals() -> Iterator[None]:
    """Raise :class:`RunSignal` in the main thread on SIGINT and SIGTERM."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _raise) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def deferred_signals() -> Iterator[list[GateError]]:
    """Collect signals instead of raising them: reports are moved into place whole, or not at all."""
    arrived: list[GateError] = []
    if threading.current_thread() is not threading.main_thread():
        yield arrived
        return

    def note(number: int, frame: FrameType | None) -> None:
        try:
            _raise(number, frame)
        except RunSignal as caught:
            arrived.append(caught.error)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
