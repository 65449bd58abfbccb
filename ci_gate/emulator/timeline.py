"""The time on a running endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_gate.emulator.fields import moment_ms

if TYPE_CHECKING:
    from collections.abc import Callable


class Timeline:
    """The time on an endpoint. ``start_ms``, milliseconds since the epoch, is its start: moments of a world file count from it."""

    def __init__(self, clock: Callable[[], float], start_ms: int) -> None:
        self._clock = clock
        self._began_s = clock()
        self.start_ms = start_ms

    def seconds(self) -> float:
        """Return the seconds since the start."""
        return self._clock() - self._began_s

    def at_ms(self, seconds: float) -> int:
        """Return the time that many seconds after the start, as milliseconds since the epoch."""
        return self.start_ms + round(seconds * 1000)

    def now_ms(self) -> int:
        """Return the time now, milliseconds since the epoch."""
        return self.at_ms(self.seconds())

    def moment(self, text: str) -> int:
        """Return a moment of the world file as milliseconds since the epoch."""
        return moment_ms(text, self.start_ms)
