"""The end of a run: whatever fails there, no file says better than the exit code."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import pytest
from disk import no_file_larger_than

from ci_gate import report
from ci_gate.cli.github import GithubStep
from ci_gate.cli.reporting import NoPlatform, _finish
from ci_gate.cli.signals import deferred_signals
from ci_gate.errors import ExitCode, ReportError
from ci_gate.model import SourceInfo
from ci_gate.report import Target, write_reports
from ci_gate.verdict import PolicySummary, RunResult

UNDECIDED = RunResult("0", SourceInfo("live"), PolicySummary("default", "enforce", "0" * 64, "default"), ())


class _Failing(NoPlatform):
    """A platform that cannot be handed anything, or has a bug."""

    def __init__(self, error):
        self.error = error

    def set_outputs(self, run):  # noqa: ARG002 - the signature is that of a platform
        raise self.error


@pytest.mark.parametrize(
    ("error", "code"),
    [(ReportError("no", advice="none"), ExitCode.REPORT_FAILED), (OSError("no"), ExitCode.INTERNAL)],
)
def test_what_goes_wrong_behind_the_files_is_in_them(tmp_path, error, code):
    target = Target("json", str(tmp_path / "r.json"))

    result = _finish([target], _Failing(error), UNDECIDED, [])

    assert code in {cause.code for cause in result.causes}
    assert f'"code": {int(code)}' in (tmp_path / "r.json").read_text("utf-8")


def test_each_failed_report_is_told_once(tmp_path):
    (tmp_path / "taken").mkdir()
    targets = [Target("json", str(tmp_path / "r.json")), Target("junit", str(tmp_path / "taken"))]

    result = _finish(targets, _Failing(ReportError("no", advice="none")), UNDECIDED, [])

    assert 2 == len(result.causes)
    assert 2 == len(json.loads((tmp_path / "r.json").read_text("utf-8"))["causes"])


def test_a_signal_while_streams_are_poured_is_no_pass(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    targets = [Target("json", str(tmp_path / "r.json")), Target("markdown", str(tmp_path / "pipe"))]

    def read_late():
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGTERM)
        (tmp_path / "pipe").read_bytes()

    reader = threading.Thread(target=read_late, daemon=True)
    with deferred_signals() as arrived:
        reader.start()
        result = _finish(targets, NoPlatform(), UNDECIDED, arrived)
        reader.join(10)

    assert ExitCode.TERMINATED == result.exit_code
    assert "ended by SIGTERM" in (tmp_path / "r.json").read_text("utf-8")


def test_a_file_that_cannot_be_written_again_is_removed(tmp_path):
    target = Target("json", str(tmp_path / "r.json"))
    write_reports([target], UNDECIDED)

    with no_file_larger_than((tmp_path / "r.json").stat().st_size):
        _finish([target], _Failing(ReportError("no", advice="none")), UNDECIDED, [])

    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("room", [0, 20, 100])
def test_what_cannot_be_handed_on_again_is_taken_back(tmp_path, monkeypatch, room):
    others = "k<<E\nv\nE\n"
    for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        (tmp_path / name).write_text(others, "utf-8")
        monkeypatch.setenv(name, str(tmp_path / name))
    github = GithubStep.of_environment(None)

    for name, hand_on in (("GITHUB_OUTPUT", github.set_outputs), ("GITHUB_STEP_SUMMARY", github.summarise)):
        hand_on(UNDECIDED)
        assert others != (tmp_path / name).read_text("utf-8")
        with no_file_larger_than(room), pytest.raises(ReportError):
            hand_on(UNDECIDED)
        assert others == (tmp_path / name).read_text("utf-8")


def test_all_readers_together_have_one_time(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "PATIENCE_S", 0.4)
    pipes = [tmp_path / str(number) for number in range(4)]
    for pipe in pipes:
        os.mkfifo(pipe)
    started = time.monotonic()

    result = _finish([Target("json", str(pipe)) for pipe in pipes], NoPlatform(), UNDECIDED, [])

    assert time.monotonic() - started < 1.2
    assert [ExitCode.REPORT_FAILED] * 4 == [cause.code for cause in result.causes]
