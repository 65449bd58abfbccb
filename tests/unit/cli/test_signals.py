"""A signal that a library wraps is a signal still."""

from __future__ import annotations

import pytest

from ci_gate.cli.signals import RunSignal, signal_behind
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
