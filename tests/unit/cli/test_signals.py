"""A signal that a library wraps is a signal still."""

from __future__ import annotations

import os
from signal import SIGHUP, SIGINT, SIGTERM, getsignal

import pytest

from ci_gate.cli.signals import RunSignal, raising_signals, signal_behind, signals_as_before
from ci_gate.errors import InterruptedRunError


def _wrapped(signal):
    try:
        raise signal
    except RunSignal as caught:
        raise KeyError from caught


def test_a_signal_is_found_behind_the_error_of_a_library():
    signal = RunSignal(InterruptedRunError("interrupted", advice="Run again."))

    with pytest.raises(KeyError) as error:
        _wrapped(signal)

    assert signal is signal_behind(error.value)


def test_an_error_of_its_own_has_no_signal_behind_it():
    assert signal_behind(ValueError("x")) is None


def test_behind_the_last_word_of_a_command_signals_are_ignored_until_those_who_called_have_their_handlers_again():
    before = [getsignal(number) for number in (SIGINT, SIGTERM, SIGHUP)]

    with signals_as_before():
        with pytest.raises(RunSignal, match="SIGHUP"), raising_signals():
            os.kill(os.getpid(), SIGHUP)
        for number in (SIGINT, SIGTERM, SIGHUP):
            os.kill(os.getpid(), number)

    assert before == [getsignal(number) for number in (SIGINT, SIGTERM, SIGHUP)]
