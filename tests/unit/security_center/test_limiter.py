"""One limiter for all workers."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import pytest

from ci_gate.deadline import Deadline
from ci_gate.security_center import limiter as limiter_module
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


def test_places_are_given_in_the_order_in_which_they_were_wanted():
    limiter, given = Limiter(), []
    held = [limiter.slot(Deadline(5)) for _ in range(FIRST_WINDOW)]
    for slot in held:
        slot.__enter__()

    def want(number: int) -> None:
        with limiter.slot(Deadline(5)):
            given.append(number)

    threads = [threading.Thread(target=want, args=(number,)) for number in range(12)]
    for number, thread in enumerate(threads, 1):
        thread.start()
        while len(limiter._queue) < number:
            time.sleep(0.001)
    held.pop().__exit__(None, None, None)
    for thread in threads:
        thread.join(5)

    assert list(range(12)) == given


def test_a_call_that_began_before_the_pace_was_set_says_nothing_of_it():
    limiter = Limiter()
    _grow(limiter)
    with limiter.slot(Deadline(5)):
        other = threading.Thread(target=_throttled_alone, args=(limiter,))
        other.start()
        other.join(5)
        pace, window = limiter._interval_s, limiter.window
    limiter.succeeded()
    limiter.throttled(1, 0.01)  # of this thread's call, which was under way all the time

    assert (pace, window) == (pytest.approx(limiter._interval_s, rel=0.05), limiter.window)


def test_a_call_that_began_since_makes_the_pace_slower_once_something_got_through():
    limiter = Limiter()
    _grow(limiter)
    _throttled_alone(limiter)
    pace = limiter._interval_s

    _throttled_alone(limiter)  # the wait was too short, which says nothing of the pace
    same = limiter._interval_s
    limiter.succeeded()
    _throttled_alone(limiter)

    assert pace == same
    assert limiter._interval_s > 1.2 * pace


def test_the_pace_quickens_the_longer_nothing_is_throttled(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(limiter_module.time, "monotonic", lambda: now[0])
    limiter = Limiter()
    for _ in range(50):
        limiter.succeeded()
        now[0] += 0.02
    limiter.throttled(1, 0.0)
    rates = []
    for _ in range(6):
        rates.append(1 / limiter._interval_s)
        end = now[0] + 2
        while now[0] < end:
            now[0] += max(0.001, limiter._interval_s)
            limiter.succeeded()

    gains = [later / earlier for earlier, later in pairwise(rates)]
    assert rates[0] == pytest.approx(40, rel=0.1)  # a little under what was getting through
    assert 1.0 < gains[0] < 1.15
    assert gains == sorted(gains)


def _throttled_alone(limiter: Limiter) -> None:
    with limiter.slot(Deadline(5)):
        pass
    limiter.throttled(1, 0.0)
