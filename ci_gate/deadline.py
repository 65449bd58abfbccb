"""The only clock and the only sleep of the gate: one deadline over everything."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator


class Deadline:
    """A point in time that all waits, retries and calls of a run share. Safe to use from several threads."""

    def __init__(self, seconds: float) -> None:
        """Start the clock: ``seconds`` from now is the end."""
        self.seconds = seconds
        self._started = time.monotonic()
        self._cancelled = threading.Event()
        self._stages: dict[str, float] = {}
        self._entered: list[float] = []  # for each stage that is open, the time that stages within it took

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    @property
    def remaining(self) -> float:
        """Seconds left, never negative; 0 once the run was cancelled."""
        return 0.0 if self._cancelled.is_set() else max(0.0, self.seconds - self.elapsed)

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return self.remaining <= 0.0

    @property
    def stages(self) -> tuple[tuple[str, float], ...]:
        """Seconds spent in each stage, in the order in which they were first entered."""
        return tuple((name, round(seconds, 3)) for name, seconds in self._stages.items())

    def of_its_own(self) -> Deadline:
        """Return the same deadline with stages of its own: for one of several images that are decided side by side."""
        own = Deadline(self.seconds)
        own._started, own._cancelled = self._started, self._cancelled
        return own

    def within(self, seconds: float) -> Self:
        """Return a deadline that ends ``seconds`` from now, or where half of the time left is over: for what the run can do without."""
        own = type(self)(min(seconds, self.remaining / 2))
        own._cancelled = self._cancelled  # noqa: SLF001 - one of its own kind
        return own

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of the block for a stage; the time of a stage within another counts for the inner one only.

        Stages belong to one thread: whoever works side by side takes a deadline of its own first.
        """
        started = time.monotonic()
        self._entered.append(0.0)
        try:
            yield
        finally:
            took = time.monotonic() - started
            self._stages[name] = self._stages.get(name, 0.0) + took - self._entered.pop()
            if self._entered:
                self._entered[-1] += took

    def cancel(self) -> None:
        """End the run now: every wait returns at once."""
        self._cancelled.set()

    def sleep(self, seconds: float) -> bool:
        """Wait, at most until the end; return whether there is time left."""
        self._cancelled.wait(min(max(0.0, seconds), self.remaining))
        return not self.passed
