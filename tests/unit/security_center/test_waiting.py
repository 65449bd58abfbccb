"""Pauses that grow, lines that are not repeated, and the ten scans of a run."""

from __future__ import annotations

from itertools import pairwise

import pytest

from ci_gate.deadline import Deadline
from ci_gate.errors import IncompleteError, UnavailableError
from ci_gate.security_center.contracts import Answer
from ci_gate.security_center.scan_requests import MAX_AT_ONCE, NotYet, ScanDesk, ScanMode, ScanRequest, Target
from ci_gate.security_center.waiting import Wait


class PatientDeadline(Deadline):
    """A deadline whose time passes only while somebody sleeps."""

    def __init__(self, seconds):
        super().__init__(seconds)
        self.slept = []

    @property
    def elapsed(self):
        return sum(self.slept)

    def sleep(self, seconds):
        self.slept.append(min(seconds, self.remaining))
        return not self.passed


def wait_of(seconds):
    said = []
    return Wait("shop/api", said.append, PatientDeadline(seconds)), said


def test_pauses_grow_to_twenty_seconds_with_some_jitter():
    wait, _ = wait_of(10_000)
    for _ in range(40):
        assert wait.pause()

    slept = wait.deadline.slept
    assert 0.8 <= slept[0] <= 1.2
    assert all(0.99 <= second / first <= 2.26 for first, second in pairwise(slept[:7]))
    assert 16 <= min(slept[15:]) < max(slept) <= 24
    assert (40, pytest.approx(sum(slept))) == (wait.polls, wait.waited_s)


def test_after_a_change_the_pauses_begin_small_again():
    wait, _ = wait_of(10_000)
    for _ in range(10):
        wait.pause()
    wait.say("scan", "START")
    wait.pause()

    assert wait.deadline.slept[-1] <= 1.2


def test_what_is_the_same_is_said_every_thirty_seconds():
    wait, said = wait_of(300)
    while wait.pause():
        wait.say("scan", "START", 7)

    assert 7 <= len(said) <= 11
    assert {("shop/api", "scan", "START", 7)} == {(step.image, step.stage, step.detail, step.percent) for step in said}


def test_the_end_of_the_deadline_is_told_from_a_service_that_does_not_answer():
    def looks(seconds):
        wait, _ = wait_of(seconds)
        with wait.looking(lambda: IncompleteError("its state", advice="")):
            raise UnavailableError("no answer", advice="")

    with pytest.raises(IncompleteError, match="its state"):
        looks(1)
    with pytest.raises(UnavailableError):
        looks(60)


class _Transport:
    server_ms = 1

    def call(self, action, parameters, deadline):  # noqa: ARG002 - as the real one
        figures = {"ImageScanCapacity": 100, "ScanCount": 0, "NeedAuthCount": 1, "ScanImageCount": 1, "TaskId": "t"}
        return Answer(action, (figures,), None, None, 1)


def test_of_one_run_ten_scans_are_under_way_at_most():
    desk, target = ScanDesk(_Transport(), ScanMode.AUTO), Target({}, "5e" * 32, "1")
    granted = [desk.ask(target, Wait("x", lambda _: None, Deadline(5))) for _ in range(MAX_AT_ONCE)]
    said = []

    refused = desk.ask(target, Wait("x", said.append, Deadline(0.3)))
    desk.close(granted[0])
    after = desk.ask(target, Wait("x", said.append, Deadline(5)))

    assert all(isinstance(one, ScanRequest) for one in (*granted, after))
    assert isinstance(refused, NotYet)
    assert refused.busy
    assert ["queue"] == [step.stage for step in said]
