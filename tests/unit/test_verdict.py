"""The exit code is derived from the result, worst first."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from ci_gate.errors import PRECEDENCE, Cause, ExitCode, worst
from ci_gate.model import Finding, Image, Proof, ProofState, RiskLevel, SourceInfo
from ci_gate.verdict import Decision, ImageResult, Outcome, PolicySummary, RunResult, Status, Validity, Verdict, WaiverUse

IMAGE = Image("u", "ab" * 32)
VIOLATION = Verdict((Decision(Finding("pem", "/k", "high"), Outcome.VIOLATION, "deny", "denied", RiskLevel.HIGH),))

WARNED = Verdict(tuple(replace(decision, enforced=False) for decision in VIOLATION.decisions))


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
    assert _run(ImageResult("x")).status is Status.UNDECIDED


def test_a_violation_is_not_hidden_behind_an_outage():
    result = ImageResult("x", None, IMAGE, verdict=VIOLATION, failures=(_cause(ExitCode.UNAVAILABLE),))

    assert (ExitCode.BLOCKED, Status.BLOCKED) == (result.exit_code, result.status)


def test_an_outage_without_a_violation_is_undecided():
    result = ImageResult("x", None, IMAGE, failures=(_cause(ExitCode.UNAVAILABLE),))

    assert (ExitCode.UNAVAILABLE, Status.UNDECIDED) == (result.exit_code, result.status)


def test_warn_mode_turns_blocked_into_passed_and_nothing_else():
    warned = ImageResult("x", None, IMAGE, verdict=WARNED)
    failed = ImageResult("x", None, IMAGE, verdict=WARNED, failures=(_cause(ExitCode.INCOMPLETE),))

    assert ExitCode.PASSED is warned.exit_code
    assert ExitCode.INCOMPLETE is failed.exit_code


def test_one_violation_of_a_policy_that_enforces_blocks_among_many_that_only_warn():
    mixed = Verdict((*WARNED.decisions * 3, *VIOLATION.decisions))

    assert (4, 1) == (len(mixed.violations), len(mixed.blocking))
    assert ExitCode.BLOCKED is ImageResult("x", None, IMAGE, verdict=mixed).exit_code


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.VIOLATION])
def test_only_a_violation_can_block(outcome):
    verdict = Verdict(tuple(replace(decision, outcome=outcome) for decision in VIOLATION.decisions))

    assert ExitCode.PASSED is ImageResult("x", None, IMAGE, verdict=verdict).exit_code


@pytest.mark.parametrize(("findings", "report", "unused"), [(0, True, True), (0, False, False), (1, True, False), (1, False, False)])
def test_a_waiver_is_unused_where_it_fits_nothing_and_somebody_wants_to_know(findings, report, unused):
    assert unused is WaiverUse("W-1", Validity.ACTIVE, findings, report_unused=report).unused


def test_a_failed_proof_decides_only_where_it_has_a_cause():
    warning = Proof("covered", ProofState.FAILED, "off")
    failure = Proof("covered", ProofState.FAILED, "off", cause=_cause(ExitCode.INCOMPLETE))

    assert ExitCode.PASSED is ImageResult("x", None, IMAGE, (warning,)).exit_code
    assert ExitCode.INCOMPLETE is ImageResult("x", None, IMAGE, (failure,)).exit_code


def test_the_worst_image_decides_the_run():
    passed = ImageResult("a", None, IMAGE)
    blocked = ImageResult("b", None, IMAGE, verdict=VIOLATION)

    assert ExitCode.PASSED is _run(passed).exit_code
    assert ExitCode.BLOCKED is _run(passed, blocked).exit_code
    assert ExitCode.REPORT_FAILED is _run(passed, causes=(_cause(ExitCode.REPORT_FAILED),)).exit_code
