"""What is the same for all images is asked for once; what failed is asked again."""

from __future__ import annotations

import threading
import time

import pytest

from ci_gate.deadline import Deadline
from ci_gate.errors import UnavailableError
from ci_gate.security_center import coverage
from ci_gate.security_center.coverage import Shared

FAILURE = UnavailableError("down", advice="wait")


def together(shared, count=8, seconds=5.0):
    """Ask from several threads at once; return what each got."""
    got = []

    def ask():
        try:
            got.append(shared.get(Deadline(seconds)))
        except UnavailableError as error:
            got.append(error.cause.what)

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return got


def test_one_asks_and_the_others_wait_for_the_answer():
    asked = []

    def slowly(_):
        asked.append(1)
        time.sleep(0.1)
        return "answer"

    shared = Shared(slowly)

    assert ["answer"] * 8 == together(shared)
    assert "answer" == shared.get(Deadline(5))
    assert 1 == len(asked)


def test_a_failure_is_that_of_all_who_waited_and_of_nobody_after():
    outcomes = [FAILURE, "answer"]

    def slowly(_):
        time.sleep(0.2)
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    shared = Shared(slowly)

    assert ["down"] * 8 == together(shared)
    assert "answer" == shared.get(Deadline(5))


def test_an_answer_does_not_stand_for_ever(monkeypatch):
    numbers = iter(range(9))
    shared = Shared(lambda _: next(numbers))

    assert [0, 0] == [shared.get(Deadline(5)) for _ in range(2)]
    monkeypatch.setattr(coverage, "_FRESH_S", -1.0)
    assert 1 == shared.get(Deadline(5))


def test_whoever_waits_waits_no_longer_than_its_own_deadline():
    over, begun = threading.Event(), threading.Event()

    def never(_):
        begun.set()
        over.wait(10)
        return "late"

    shared = Shared(never)
    asker = threading.Thread(target=shared.get, args=(Deadline(20),))
    asker.start()
    begun.wait(5)
    started = time.monotonic()
    with pytest.raises(UnavailableError, match="time was up"):
        shared.get(Deadline(0.1))
    assert time.monotonic() - started < 2
    cancelled = Deadline(20)
    cancelled.cancel()
    with pytest.raises(UnavailableError, match="time was up"):
        shared.get(cancelled)
    over.set()
    asker.join(5)
