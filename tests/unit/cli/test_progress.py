"""What is said while a run waits: a line in the place of the last one on a terminal, plain lines in a log, nothing where it is quiet."""

from __future__ import annotations

import time

import pytest

from ci_gate.cli import progress as module
from ci_gate.cli.progress import Progress
from ci_gate.model import Step

ONE = "registry.example.com/shop/api:1.4.2@sha256:" + "5e" * 32
OTHER = "registry.example.com/shop/worker@sha256:" + "7f" * 32


class Clock:
    """A deadline of ten minutes whose clock stands still until it is set."""

    elapsed = 0.0

    @property
    def remaining(self):
        return 600 - self.elapsed


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(module, "_TICK_S", 0.005)


@pytest.fixture
def log(monkeypatch):
    """The lines that are said where stderr is no terminal."""
    lines: list[str] = []
    monkeypatch.setattr(module, "say", lines.append)
    monkeypatch.setattr(module, "width", lambda: None)
    return lines


@pytest.fixture
def live(monkeypatch):
    """What takes the place of the live line, one after another, on a terminal of 60 columns."""
    shown: list[str] = []
    monkeypatch.setattr(module, "show_live", shown.append)
    monkeypatch.setattr(module, "width", lambda: 60)
    monkeypatch.setenv("TERM", "xterm")
    return shown


def until(condition):
    for _ in range(400):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError


def test_a_log_has_a_line_at_each_change_and_none_for_what_is_the_same(log):
    clock = Clock()
    with Progress(clock, 1, quiet=False) as progress:
        progress.step(Step(ONE, "queue", "waiting for a slot"))
        clock.elapsed = 61
        for percent in (10, 20):
            progress.step(Step(ONE, "scan", "scan START", percent))
        progress.step(Step(ONE, "scan", "scan CVE_ANALYZER", 30))
        progress.step(Step(ONE, "read", "reading the findings"))

    assert [
        "waiting for a slot, 10 min 00 s left",
        "scan START, 10 %, 8 min 59 s left",
        "scan CVE_ANALYZER, 30 %, 8 min 59 s left",
    ] == log


def test_a_log_is_never_silent_for_longer_than_thirty_seconds(log):
    clock = Clock()
    with Progress(clock, 1, quiet=False) as progress:
        progress.step(Step(ONE, "scan", "scan START", 10))
        progress.step(Step(ONE, "scan", "scan START", 55))
        clock.elapsed = 29.9
        time.sleep(0.05)
        assert 1 == len(log)
        for seconds in (30, 60):
            clock.elapsed = seconds
            until(lambda seconds=seconds: len(log) == seconds // 30 + 1)

    assert ["scan START, 55 %, 9 min 30 s left", "scan START, 55 %, 9 min 00 s left"] == log[1:]


def test_nothing_is_said_of_a_run_that_has_nothing_to_wait_for(log):
    clock = Clock()
    with Progress(clock, 1, quiet=False):
        clock.elapsed = 45
        time.sleep(0.05)

    assert [] == log


def test_of_several_images_each_line_says_which_and_the_lines_between_how_many(log):
    clock = Clock()
    with Progress(clock, 3, quiet=False) as progress:
        progress.step(Step(ONE, "scan", "scan START", 10))
        progress.step(Step(OTHER, "queue", "waiting for a slot"))
        progress.decided("registry.example.com/shop/fine:1")
        clock.elapsed = 31
        until(lambda: len(log) > 2)

    assert "registry.example.com/shop/api:1.4.2@sha256:5e5e5e5e5e5e: scan START, 10 %, 10 min 00 s left" == log[0]
    assert "registry.example.com/shop/worker@sha256:7f7f7f7f7f7f: waiting for a slot, 10 min 00 s left" == log[1]
    assert "1 of 3 images decided, 1 in scan, 1 in queue, 9 min 29 s left" == log[2]


def test_an_image_that_is_decided_is_no_longer_waited_for(log):
    clock = Clock()
    with Progress(clock, 2, quiet=False) as progress:
        progress.step(Step(ONE, "scan", "scan START"))
        progress.decided(ONE)
        clock.elapsed = 100
        time.sleep(0.05)

    assert 1 == len(log)


@pytest.mark.parametrize("terminal", [True, False])
def test_where_it_is_quiet_nothing_is_said(log, live, monkeypatch, terminal):
    monkeypatch.setattr(module, "width", lambda: 60 if terminal else None)
    clock = Clock()
    with Progress(clock, 1, quiet=True) as progress:
        progress.step(Step(ONE, "scan", "scan START"))
        clock.elapsed = 100
        time.sleep(0.05)
        progress.decided(ONE)

    assert ([], []) == (log, live)


def test_a_terminal_has_one_line_that_follows_clock_and_percent_and_goes_away(log, live):
    clock = Clock()
    with Progress(clock, 1, quiet=False) as progress:
        progress.step(Step(ONE, "scan", "scan START", 10))
        progress.step(Step(ONE, "scan", "scan START", 20))
        clock.elapsed = 1
        until(lambda: "scan START, 20 %, 9 min 59 s left" in live)

    assert ["scan START, 10 %, 10 min 00 s left", "scan START, 20 %, 10 min 00 s left"] == list(dict.fromkeys(live))[:2]
    assert "" == live[-1]
    progress.step(Step(ONE, "scan", "too late"))
    progress.decided(ONE)
    assert "" == live[-1]
    assert [] == log


def test_the_live_line_is_no_wider_than_the_terminal(live):
    with Progress(Clock(), 1, quiet=False) as progress:
        progress.step(Step(ONE, "scan", "scan " + "X" * 200))

    assert {True} == {len(line) < 60 for line in live}


def test_a_terminal_that_can_do_nothing_gets_plain_lines(log, live, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    with Progress(Clock(), 1, quiet=False) as progress:
        progress.step(Step(ONE, "scan", "scan START"))

    assert ([], 1) == (live, len(log))


def test_nothing_is_drawn_once_the_line_is_gone(live, monkeypatch):
    monkeypatch.setattr(module, "_TICK_S", 0.0)
    for _ in range(50):
        with Progress(Clock(), 1, quiet=False) as progress:
            progress.step(Step(ONE, "scan", "scan START"))
        time.sleep(0.001)
        assert "" == live[-1]
