"""Errors and causes."""

from __future__ import annotations

import pytest

from ci_gate.errors import Cause, ExitCode, IncompleteError, InternalError, UnauthorizedError, error_for


def test_a_sentence_names_place_call_and_request_id():
    assert "p:1:2: broken" == Cause(ExitCode.POLICY_INVALID, "broken", "mend", where="p:1:2").sentence
    assert "broken [Call, request id R]" == Cause(ExitCode.PROTOCOL, "broken", "mend", "Call", "R").sentence
    assert "broken [Call]" == Cause(ExitCode.PROTOCOL, "broken", "mend", "Call").sentence


@pytest.mark.parametrize(
    ("code", "kind"),
    [(ExitCode.INCOMPLETE, IncompleteError), (ExitCode.UNAUTHORIZED, UnauthorizedError), (ExitCode.REPORT_FAILED, InternalError)],
)
def test_a_cause_becomes_an_error_of_its_kind_and_stays_itself(code, kind):
    cause = Cause(code, "what", "advice", "Call", "R")

    error = error_for(cause)

    assert isinstance(error, kind)
    assert (cause,) == error.causes
