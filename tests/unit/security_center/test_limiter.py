"""One limiter for all workers."""

from __future__ import annotations

import time

from ci_gate.deadline import Deadline
from ci_gate.security_center.limiter import FIRST_WINDOW, MAX_WINDOW, Limiter


def _grow(limiter: Limiter) -> None:
    for _ in range(100):
        limiter.succeeded()


def test_the_window_starts_small_and_doubles_up_to_its_limit_while_nothing_is_throttled():
    limiter = Limiter()
    assert limiter.window == FIRST_WINDOW

    for _ in range(FIRST_WINDOW):
        limiter.succeeded()
    assert limiter.window == 2 * FIRST_WINDOW

    _grow(limiter)
    assert limiter.window == MAX_WINDOW


def test_a_throttled_call_halves_the_window_and_delays_everyone():
    limiter, deadline = Limiter(), Deadline(5)
    _grow(limiter)

    wait = limiter.throttled(1, 0.2)
    started = time.monotonic()
    with limiter.slot(deadline) as granted:
        waited = time.monotonic() - started

    assert (0.2, MAX_WINDOW // 2, True) == (wait, limiter.window, granted)
    assert waited >= 0.15


def test_calls_that_are_throttled_together_count_once():
    limiter = Limiter()
    _grow(limiter)

    for _ in range(8):
        limiter.throttled(1, 0.1)

    assert limiter.window == MAX_WINDOW // 2


def test_a_full_window_gives_no_slot_and_the_deadline_ends_the_wait():
    limiter, deadline = Limiter(), Deadline(0.2)
    held = [limiter.slot(Deadline(5)) for _ in range(FIRST_WINDOW)]
    for slot in held:
        assert slot.__enter__() is True

    with limiter.slot(deadline) as granted:
        assert granted is False

    for slot in held:
        slot.__exit__(None, None, None)
    with limiter.slot(Deadline(1)) as granted:
        assert granted is True


def test_backoff_grows_and_is_bounded():
    limiter = Limiter()

    assert all(0.1 <= limiter.failed(attempt) <= 10.0 for attempt in range(1, 60))
