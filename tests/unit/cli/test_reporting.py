"""The end of a run: whatever fails there, no file says better than the exit code."""

from __future__ import annotations

import resource
from contextlib import contextmanager

import pytest

from ci_gate.cli.reporting import NoPlatform, _finish
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


@contextmanager
def no_file_larger_than(size):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("error", "code"),
    [(ReportError("no", advice="none"), ExitCode.REPORT_FAILED), (OSError("no"), ExitCode.INTERNAL)],
)
def test_what_goes_wrong_behind_the_files_is_in_them(tmp_path, error, code):
    target = Target("json", str(tmp_path / "r.json"))

    result = _finish([target], _Failing(error), UNDECIDED, [])

    assert code in {cause.code for cause in result.causes}
    assert f'"code": {int(code)}' in (tmp_path / "r.json").read_text("utf-8")


def test_a_file_that_cannot_be_written_again_is_removed(tmp_path):
    target = Target("json", str(tmp_path / "r.json"))
    write_reports([target], UNDECIDED)

    with no_file_larger_than((tmp_path / "r.json").stat().st_size):
        _finish([target], _Failing(ReportError("no", advice="none")), UNDECIDED, [])

    assert [] == list(tmp_path.iterdir())
