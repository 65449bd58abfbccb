"""Rate, concurrency and backoff for all workers at once: what one worker learns of throttling, all obey."""

from __future__ import annotations

import math
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
_SLOWER = 0.8  # of the rate that was just too fast
_LEAST_RATE = 4.0  # calls a second, at the first throttling: few successes may only mean that there was little to ask
_QUICKENING = 0.04  # the pace rises by this times the seconds since the last throttling, a second: slowly near the limit, fast away
_MOST_QUICKENING = 0.5
_NO_PACE_S = 0.0005


class Limiter:
    """How many calls are under way, how fast they start, and how long all wait after one was throttled.

    The window starts at 4 calls and doubles up to 16 while nothing is throttled. A throttled call halves it, pauses everyone,
    and sets a pace a little under the rate that was getting through; from then on the pace quickens, the more the longer nothing is
    throttled. Places are given in the order in which they were asked for, so that nobody starves.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[threading.Condition] = deque()
        self._window = float(FIRST_WINDOW)
        self._in_flight = 0
        self._streak = 0
        self._interval_s = 0.0
        self._next_start = 0.0
        self._successes: deque[float] = deque(maxlen=1000)
        self._throttled_at = -math.inf
        self._got_through = True  # whether a call succeeded since the pace was set
        self._mine = threading.local()  # when the latest call of each thread was started
        self._jitter = random.Random()  # noqa: S311 - spreads retries, protects nothing

    @property
    def window(self) -> int:
        """How many calls may be under way at once."""
        return int(self._window)

    @property
    def is_throttled(self) -> bool:
        """Whether nothing got through since a call was throttled."""
        return not self._got_through

    @contextmanager
    def slot(self, deadline: Deadline) -> Iterator[bool]:
        """Wait for a place, at most until the deadline; yield whether there is one."""
        granted = self._acquire(deadline)
        try:
            yield granted
        finally:
            if granted:
                with self._lock:
                    self._in_flight -= 1
                    self._wake_first()

    def _acquire(self, deadline: Deadline) -> bool:
        with self._lock:
            turn = threading.Condition(self._lock)
            self._queue.append(turn)
            try:
                while not deadline.passed:
                    now = time.monotonic()
                    wait = _POLL_S
                    if self._queue[0] is turn and self._in_flight < int(self._window):
                        if now >= self._next_start:
                            self._in_flight += 1
                            self._next_start = now + self._interval_s
                            self._mine.started = now
                            return True
                        wait = self._next_start - now
                    turn.wait(max(0.001, min(wait, deadline.remaining, _POLL_S)))
            finally:
                self._queue.remove(turn)
                self._wake_first()
        return False

    def _wake_first(self) -> None:
        """Have whoever is first in the queue look whether there is a place now. Called under the lock."""
        if self._queue:
            self._queue[0].notify()

    def succeeded(self) -> None:
        """Note a call that got through."""
        with self._lock:
            now = time.monotonic()
            self._successes.append(now)
            self._got_through = True
            self._quicken(now)
            self._streak += 1
            if self._streak >= int(self._window) and self._window < MAX_WINDOW:
                self._window = min(MAX_WINDOW, self._window * 2)
                self._streak = 0
                self._wake_first()

    def _quicken(self, now: float) -> None:
        rise = min(_MOST_QUICKENING, _QUICKENING * (now - self._throttled_at))  # a second
        self._interval_s *= 1 - min(0.5, rise * self._interval_s)  # as much for each call as its share of a second
        if self._interval_s < _NO_PACE_S:
            self._interval_s = 0.0

    def throttled(self, attempt: int, retry_after_s: float | None) -> float:
        """Note a throttled call and return how many seconds its retry has to wait; everyone else waits too.

        :param attempt: how often this call was tried, from 1.
        :param retry_after_s: what the service asked for (``x-acs-retry-after``), in seconds.
        """
        with self._lock:
            now = time.monotonic()
            wait = retry_after_s if retry_after_s is not None else self._backoff(attempt)
            # Calls that were under way together are throttled together: only one that began since says something of the new pace, and
            # only where it is not a mere wait that was too short.
            if getattr(self._mine, "started", 0.0) > self._throttled_at and self._got_through:
                recent = sum(1 for at in self._successes if now - at <= _RATE_WINDOW_S)
                self._interval_s = max(self._interval_s / _SLOWER, _RATE_WINDOW_S / max(_LEAST_RATE, _SLOWER * recent))
                self._window = max(1.0, self._window / 2)
                self._throttled_at = now
                self._got_through = False
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
