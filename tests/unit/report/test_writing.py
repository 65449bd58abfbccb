"""How reports get to their paths: whole or not at all, and never somewhere else."""

from __future__ import annotations

import os
import pty
import select
import stat
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
from disk import no_file_larger_than
from runs import RUNS

from ci_gate import report
from ci_gate.deadline import Deadline
from ci_gate.errors import ExitCode
from ci_gate.report import FORMATS, Format, ReportsError, Target, is_stream, pour, render, write_placeholders, write_reports

RUN = RUNS["blocked"]
SHARED = Path("/dev/shm")  # noqa: S108 - a folder of files where devices are


def _targets(folder, names=("junit", "markdown", "json")):
    return [Target(name, str(folder / FORMATS[name].file_name)) for name in names]


def test_every_format_is_written_and_folders_are_made(tmp_path):
    assert () == write_reports(_targets(tmp_path / "a" / "b", FORMATS), RUN)

    written = {path.name: path.read_text("utf-8") for path in (tmp_path / "a" / "b").iterdir()}
    assert {form.file_name: render(name, RUN) for name, form in FORMATS.items()} == written


def test_json_comes_last(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(os, "replace", lambda _, path: order.append(path.name))

    write_reports(list(reversed(_targets(tmp_path, FORMATS))), RUN)

    assert [form.file_name for form in FORMATS.values()] == order
    assert "result.json" == order[-1]


def test_a_dash_is_returned_and_not_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert (render("json", RUN),) == write_reports([Target("json", "-")], RUN)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o644), (0o000, 0o644)])
def test_the_mode_is_that_of_any_new_file_which_its_owner_alone_may_change(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_reports([Target("json", str(tmp_path / "a" / "b" / "r.json"))], RUN)
    finally:
        os.umask(before)

    path = tmp_path / "a" / "b" / "r.json"
    assert mode == stat.S_IMODE(path.stat().st_mode)
    assert [0o755 & ~umask] * 2 == [stat.S_IMODE(folder.stat().st_mode) for folder in (path.parent, path.parent.parent)]


def test_a_report_is_its_owners_alone_until_it_is_in_place(tmp_path, monkeypatch):
    modes = []
    monkeypatch.setattr(os, "fchmod", lambda descriptor, _: modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode)))

    write_reports([Target("json", str(tmp_path / "r.json"))], RUN)

    assert [0o600] == modes


def test_a_link_is_replaced_and_never_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name, target in (("link", victim), ("dangling", tmp_path / "nowhere")):
        (tmp_path / name).symlink_to(target)
        write_reports([Target("json", str(tmp_path / name))], RUN)
        assert not (tmp_path / name).is_symlink()

    assert "mine" == victim.read_text()
    assert not (tmp_path / "nowhere").exists()


def test_a_link_to_a_pipe_or_a_device_is_replaced_and_never_followed(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, target in (("to-pipe", tmp_path / "pipe"), ("to-device", os.devnull)):
        path = tmp_path / name
        path.symlink_to(target)
        write_placeholders([Target("json", str(path))], RUNS["unfinished"])
        assert not path.is_symlink()
        assert "the run did not finish" in path.read_text("utf-8")


def test_another_name_of_the_same_file_keeps_what_it_holds(tmp_path):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "r.json").hardlink_to(tmp_path / "victim")

    write_reports([Target("json", str(tmp_path / "r.json"))], RUN)

    assert "mine" == (tmp_path / "victim").read_text()
    assert render("json", RUN) == (tmp_path / "r.json").read_text("utf-8")


def test_names_that_somebody_guessed_are_not_used(tmp_path, monkeypatch):
    guesses = iter(["guessed", "free"])
    monkeypatch.setattr(tempfile, "_get_candidate_names", lambda: guesses)
    (tmp_path / "victim").write_text("mine")
    (tmp_path / ".r.json.guessed").symlink_to(tmp_path / "victim")

    write_reports([Target("json", str(tmp_path / "r.json"))], RUN)

    assert "mine" == (tmp_path / "victim").read_text()
    assert render("json", RUN) == (tmp_path / "r.json").read_text("utf-8")
    assert (tmp_path / ".r.json.guessed").is_symlink()


def test_one_that_fails_does_not_keep_the_others(tmp_path):
    (tmp_path / "summary.md").mkdir()
    (tmp_path / "file").write_text("")
    targets = [*_targets(tmp_path), Target("json", str(tmp_path / "file" / "x.json")), Target("json", "nul\0")]

    with pytest.raises(ReportsError) as raised:
        write_reports(targets, RUN)

    assert [ExitCode.REPORT_FAILED] * 3 == [cause.code for cause in raised.value.causes]
    assert all(part in raised.value.causes[0].what for part in ("markdown", "summary.md", "Is a directory"))
    assert {"junit.xml", "result.json", "summary.md", "file"} == {path.name for path in tmp_path.iterdir()}


def test_a_report_that_cannot_be_moved_leaves_what_was_there_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    path.write_text("before")

    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(ReportsError, match="No space left on device"):
        write_reports([Target("json", str(path))], RUN)

    assert "before" == path.read_text()
    assert [path] == list(tmp_path.iterdir())


def test_a_format_that_breaks_half_way_leaves_no_litter_and_the_others_in_place(tmp_path, monkeypatch):
    def half(_):
        yield "{"
        raise RuntimeError

    whole = report.FORMATS["json"]
    monkeypatch.setattr(Format, "parts", lambda self, run: half(run) if self is whole else ["x"])
    with pytest.raises(ReportsError) as raised:
        write_reports(_targets(tmp_path), RUN)

    assert [ExitCode.INTERNAL] == [cause.code for cause in raised.value.causes]
    assert {"junit.xml", "summary.md"} == {path.name for path in tmp_path.iterdir()}


def test_a_full_disk_is_a_report_that_failed_and_no_bug(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fchmod", full)
    with pytest.raises(ReportsError) as raised:
        write_reports(_targets(tmp_path), RUN)

    assert [ExitCode.REPORT_FAILED] * 3 == [cause.code for cause in raised.value.causes]
    assert [] == list(tmp_path.iterdir())


def test_nothing_is_moved_before_everything_is_rendered(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(Format, "parts", lambda self, _: seen.append(self.file_name) or ["x"])
    monkeypatch.setattr(os, "replace", lambda _, path: seen.append(f"move {path.name}"))

    write_reports(_targets(tmp_path), RUN)

    assert ["junit.xml", "summary.md", "result.json", "move junit.xml", "move summary.md", "move result.json"] == seen


def test_a_bug_in_one_format_does_not_cost_the_others(tmp_path, monkeypatch):
    monkeypatch.setitem(FORMATS, "markdown", Format("summary.md", "ci_gate.report.nowhere", "render"))

    with pytest.raises(ReportsError) as raised:
        write_reports(_targets(tmp_path), RUN)

    assert [ExitCode.INTERNAL] == [cause.code for cause in raised.value.causes]
    assert {"junit.xml", "result.json"} == {path.name for path in tmp_path.iterdir()}


def test_a_pipe_gets_one_report_and_no_placeholder(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text("utf-8")), daemon=True)  # a failure must not hang
    targets = [Target("json", str(pipe))]

    write_placeholders(targets, RUNS["unfinished"])
    reader.start()
    write_reports(targets, RUN)
    reader.join(10)

    assert [render("json", RUN)] == got
    assert pipe.is_fifo()


def test_a_device_is_written_to():
    write_reports([Target("json", os.devnull)], RUN)

    assert not Path(os.devnull).is_file()


@pytest.mark.skipif(not SHARED.is_dir(), reason="no folder for files below /dev")
def test_a_file_below_dev_is_a_file():
    with tempfile.TemporaryDirectory(dir=SHARED) as folder:
        path = Path(folder, "r.json")
        path.write_bytes(b"x" * 100_000)
        write_placeholders([Target("json", str(path))], RUNS["unfinished"])
        assert render("json", RUNS["unfinished"]) == path.read_text("utf-8")
        assert not is_stream(Target("json", str(path)))


def test_a_placeholder_replaces_yesterdays_pass(tmp_path):
    write_reports(_targets(tmp_path), RUNS["passed"])
    write_placeholders([*_targets(tmp_path), Target("json", "-")], RUNS["unfinished"])

    for path in tmp_path.iterdir():
        assert "the run did not finish" in path.read_text("utf-8")
    assert "Undecided" in (tmp_path / "summary.md").read_text("utf-8")


def test_importing_the_reports_imports_no_renderer():
    code = "import sys, ci_gate.report; print(sorted({'jinja2', 'junit_xml', 'pydantic', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert "[]" == done.stdout.strip()


def _read(descriptor, pause_s):
    while os.read(descriptor, select.PIPE_BUF):
        time.sleep(pause_s)
    os.close(descriptor)


@pytest.mark.parametrize(
    ("pause_s", "pieces", "fine"), [(1, 1_000, False), (0.02, 100, False), (0.0005, 100, True)], ids=["stops", "slow", "reads"]
)
def test_a_reader_that_takes_nothing_or_too_little_is_given_up(pause_s, pieces, fine):
    content = b"x" * pieces * select.PIPE_BUF  # more than a pipe holds
    reading, writing = os.pipe()
    reader = threading.Thread(target=_read, args=(reading, pause_s), daemon=True)
    reader.start()

    started = time.monotonic()
    with os.fdopen(writing, "wb"), nullcontext() if fine else pytest.raises(TimeoutError, match="did not take it in time"):
        pour(writing, content, Deadline(0.7))

    assert time.monotonic() - started < 2


def test_of_a_file_that_takes_no_more_the_beginning_is_cut_off_again(tmp_path):
    path = tmp_path / "out"
    with path.open("wb", buffering=0) as stream:
        stream.write(b"before\n")
        with no_file_larger_than(1_000), pytest.raises(OSError, match="too large"):
            pour(stream.fileno(), b"passed" * 1_000, Deadline(1))
        stream.write(b"behind\n")

    assert b"before\nbehind\n" == path.read_bytes()


def test_readers_have_as_long_as_they_are_given_to_open_a_pipe_too(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    started = time.monotonic()

    with pytest.raises(ReportsError, match="nobody reads it"):
        write_reports([Target("json", str(tmp_path / "pipe"))], RUN, 0.1)

    assert time.monotonic() - started < 1


def test_where_no_placeholder_fits_yesterdays_reports_are_removed(tmp_path):
    targets = _targets(tmp_path)
    write_reports(targets, RUNS["passed"])

    with no_file_larger_than(10), pytest.raises(ReportsError):
        write_placeholders(targets, RUNS["unfinished"])

    assert [] == list(tmp_path.iterdir())


def test_a_placeholder_that_cannot_be_written_costs_no_other(tmp_path):
    (tmp_path / "summary.md").mkdir()

    with pytest.raises(ReportsError):
        write_placeholders(_targets(tmp_path), RUNS["unfinished"])

    assert "the run did not finish" in (tmp_path / "result.json").read_text("utf-8")


def test_folders_may_be_as_many_as_a_path_holds(tmp_path):
    room = (os.pathconf(tmp_path, "PC_PATH_MAX") - len(str(tmp_path)) - 100) // 2
    folder = tmp_path.joinpath(*"a" * min(room, 1_500))

    write_reports([Target("json", str(folder / "r.json"))], RUN)

    (folder / "r.json").unlink()
    for each in (folder, *folder.parents)[: len(folder.parts) - len(tmp_path.parts)]:
        each.rmdir()  # what removes the folders of tests goes down by recursion


def test_whatever_goes_wrong_with_one_report_does_not_cost_the_others(tmp_path, monkeypatch):
    replace = os.replace

    def broken(temporary, path):
        if path.name == "summary.md":
            raise RecursionError
        replace(temporary, path)

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(ReportsError, match="RecursionError") as raised:
        write_reports(_targets(tmp_path), RUN)

    assert [ExitCode.REPORT_FAILED] == [cause.code for cause in raised.value.causes]
    assert {"junit.xml", "result.json"} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("read", [True, False])
def test_a_terminal_that_nobody_reads_is_waited_for_no_longer_than_a_pipe(read):
    text = b"a line of a report\n" * 5_000
    ours, theirs = pty.openpty()
    got = bytearray()

    def take():
        with suppress(OSError):  # the other end is closed
            while piece := os.read(ours, 4096):
                got.extend(piece)

    reader = threading.Thread(target=take, daemon=True)
    if read:
        reader.start()
    began = time.monotonic()
    try:
        with nullcontext() if read else pytest.raises(TimeoutError):
            pour(theirs, text, Deadline(0.5 if not read else 10.0))
        assert os.get_blocking(theirs), "it is shared with others, who do not expect that"
    finally:
        os.close(theirs)
        if read:
            reader.join(5)
        os.close(ours)

    assert time.monotonic() - began < 5
    assert not read or bytes(got).replace(b"\r\n", b"\n") == text
