"""Rate, concurrency and backoff for all workers at once: what one worker learns of throttling, all obey."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci_gate.deadline import Deadline

FIRST_WINDOW = 4
MAX_WINDOW = 16
_BACKOFF_FIRST_S = 0.2
_BACKOFF_CAP_S = 10.0
_RATE_WINDOW_S = 1.0
_POLL_S = 0.5


class Limiter:
    """How many calls are under way, how fast they start, and how long all wait after one was throttled.

    The window starts at 4 calls and doubles up to 16 while nothing is throttled. A throttled call halves it, pauses everyone,
    and sets a pace a little under the rate that was getting through; each success after that speeds the pace up a little.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._window = float(FIRST_WINDOW)
        self._in_flight = 0
        self._streak = 0
        self._interval_s = 0.0
        self._next_start = 0.0
        self._successes: deque[float] = deque(maxlen=1000)
        self._throttled_at = 0.0
        self._jitter = random.Random()  # noqa: S311 - spreads retries, protects nothing

    @property
    def window(self) -> int:
        """How many calls may be under way at once."""
        return int(self._window)

    @contextmanager
    def slot(self, deadline: Deadline) -> Iterator[bool]:
        """Wait for a place, at most until the deadline; yield whether there is one."""
        granted = self._acquire(deadline)
        try:
            yield granted
        finally:
            if granted:
                with self._condition:
                    self._in_flight -= 1
                    self._condition.notify()

    def _acquire(self, deadline: Deadline) -> bool:
        with self._condition:
            while not deadline.passed:
                now = time.monotonic()
                if self._in_flight < int(self._window) and now >= self._next_start:
                    self._in_flight += 1
                    self._next_start = now + self._interval_s
                    return True
                wait = _POLL_S if self._in_flight >= int(self._window) else self._next_start - now
                self._condition.wait(max(0.001, min(wait, deadline.remaining, _POLL_S)))
        return False

    def succeeded(self) -> None:
        """Note a call that got through."""
        with self._condition:
            now = time.monotonic()
            self._successes.append(now)
            self._interval_s *= 0.995
            self._streak += 1
            if self._streak >= int(self._window) and self._window < MAX_WINDOW:
                self._window = min(MAX_WINDOW, self._window * 2)
                self._streak = 0
                self._condition.notify_all()

    def throttled(self, attempt: int, retry_after_s: float | None) -> float:
        """Note a throttled call and return how many seconds its retry has to wait; everyone else waits too.

        :param attempt: how often this call was tried, from 1.
        :param retry_after_s: what the service asked for (``x-acs-retry-after``), in seconds.
        """
        with self._condition:
            now = time.monotonic()
            wait = retry_after_s if retry_after_s is not None else self._backoff(attempt)
            # Calls that were under way together are throttled together: only the first of them says something new.
            if now - self._throttled_at > _RATE_WINDOW_S:
                recent = sum(1 for at in self._successes if now - at <= _RATE_WINDOW_S)
                self._interval_s = max(self._interval_s * 1.25, _RATE_WINDOW_S / max(1.0, 0.8 * recent))
                self._window = max(1.0, self._window / 2)
                self._throttled_at = now
            self._streak = 0
            self._next_start = max(self._next_start, now + wait)
            return wait

    def failed(self, attempt: int) -> float:
        """Note a call that failed for another passing reason; return how many seconds its retry waits, alone."""
        return self._backoff(attempt)

    def _backoff(self, attempt: int) -> float:
        """Full jitter over a doubling cap, never under half of the first step."""
        cap = min(_BACKOFF_CAP_S, _BACKOFF_FIRST_S * 2 ** min(attempt, 16))
        return self._jitter.uniform(_BACKOFF_FIRST_S / 2, cap)
