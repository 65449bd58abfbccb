"""SIGINT, SIGTERM and SIGHUP as exceptions, so that a run that is ended still writes its reports."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ci_gate.errors import GateError, InterruptedRunError, TerminatedRunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
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
    raise RunSignal(TerminatedRunError(f"ended by {signal.Signals(number).name}", advice=_AGAIN))


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle signals within the block; behind it as before, unless they are ignored meanwhile. That of ``nohup`` stays ignored."""
    handled = [number for number in _NUMBERS if signal.getsignal(number) is not signal.SIG_IGN or number != signal.SIGHUP]
    before = {number: signal.signal(number, handler) for number in handled} if _in_main_thread() else {}
    try:
        yield
    finally:
        for number, former in before.items():
            if signal.getsignal(number) is handler:
                signal.signal(number, former)


@contextmanager
def raising_signals() -> Iterator[None]:
    """Raise :class:`RunSignal` in the main thread on SIGINT, SIGTERM and SIGHUP; ignore them behind the block."""
    with _handled_by(_raise):
        try:
            yield
        finally:
            ignore_signals()


@contextmanager
def deferred_signals() -> Iterator[list[GateError]]:
    """Collect signals instead of raising them: reports are moved into place whole, or not at all."""
    arrived: list[GateError] = []

    def note(number: int, frame: FrameType | None) -> None:
        try:
            _raise(number, frame)
        except RunSignal as caught:
            arrived.append(caught.error)

    with _handled_by(note):
        yield arrived


def ignore_signals() -> None:
    """Ignore signals from now on: what the command came to is written, and the exit code must not say otherwise."""
    if _in_main_thread():
        for number in _NUMBERS:
            signal.signal(number, _ignore)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing. Unlike ``SIG_IGN``, no program that is started inherits it."""


@contextmanager
def signals_as_before() -> Iterator[None]:
    """Handle signals behind the block as before it, whatever happens to them there."""
    before = {number: signal.getsignal(number) for number in _NUMBERS}
    try:
        yield
    finally:
        if _in_main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)
