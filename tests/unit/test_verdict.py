"""The exit code is derived from the result, worst first."""

from __future__ import annotations

import itertools

import pytest

from ci_gate.errors import PRECEDENCE, Cause, ExitCode, worst
from ci_gate.model import Finding, Image, Proof, ProofState, RiskLevel, SourceInfo
from ci_gate.verdict import Decision, ImageResult, Outcome, PolicySummary, RunResult, Status, Verdict

IMAGE = Image("u", "ab" * 32)
VIOLATION = Verdict((Decision(Finding("pem", "/k", "high"), Outcome.VIOLATION, "deny", "denied", RiskLevel.HIGH),))


def _run(*images: ImageResult, causes: tuple[Cause, ...] = ()) -> RunResult:
    return RunResult("0", SourceInfo("live"), PolicySummary("p", "enforce", "", ""), images, causes)


def _cause(code: ExitCode) -> Cause:
    return Cause(code, "what", "advice")


def test_every_code_has_a_place_in_the_precedence():
    assert set(PRECEDENCE) == set(ExitCode)
    assert len(PRECEDENCE) == len(ExitCode)


@pytest.mark.parametrize("pair", list(itertools.combinations(PRECEDENCE, 2)))
def test_the_worse_of_two_codes_wins_in_either_order(pair):
    assert pair[0] is worst(pair) is worst(reversed(pair))


def test_nothing_asked_is_never_a_pass():
    assert _run().exit_code is ExitCode.INTERNAL
    assert _run(ImageResult("x", "enforce")).status is Status.UNDECIDED


def test_a_violation_is_not_hidden_behind_an_outage():
    result = ImageResult("x", "enforce", None, IMAGE, verdict=VIOLATION, failures=(_cause(ExitCode.UNAVAILABLE),))

    assert (ExitCode.BLOCKED, Status.BLOCKED) == (result.exit_code, result.status)


def test_an_outage_without_a_violation_is_undecided():
    result = ImageResult("x", "enforce", None, IMAGE, failures=(_cause(ExitCode.UNAVAILABLE),))

    assert (ExitCode.UNAVAILABLE, Status.UNDECIDED) == (result.exit_code, result.status)


def test_warn_mode_turns_blocked_into_passed_and_nothing_else():
    warned = ImageResult("x", "warn", None, IMAGE, verdict=VIOLATION)
    failed = ImageResult("x", "warn", None, IMAGE, verdict=VIOLATION, failures=(_cause(ExitCode.INCOMPLETE),))

    assert ExitCode.PASSED is warned.exit_code
    assert ExitCode.INCOMPLETE is failed.exit_code


def test_a_failed_proof_decides_only_where_it_has_a_cause():
    warning = Proof("covered", ProofState.FAILED, "off")
    failure = Proof("covered", ProofState.FAILED, "off", cause=_cause(ExitCode.INCOMPLETE))

    assert ExitCode.PASSED is ImageResult("x", "enforce", None, IMAGE, (warning,)).exit_code
    assert ExitCode.INCOMPLETE is ImageResult("x", "enforce", None, IMAGE, (failure,)).exit_code


def test_the_worst_image_decides_the_run():
    passed = ImageResult("a", "enforce", None, IMAGE)
    blocked = ImageResult("b", "enforce", None, IMAGE, verdict=VIOLATION)

    assert ExitCode.PASSED is _run(passed).exit_code
    assert ExitCode.BLOCKED is _run(passed, blocked).exit_code
    assert ExitCode.REPORT_FAILED is _run(passed, causes=(_cause(ExitCode.REPORT_FAILED),)).exit_code
