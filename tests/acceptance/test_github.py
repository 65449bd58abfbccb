"""What is handed on to a job of GitHub Actions: it never says better than the exit code, and nothing of the runner's is lost."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import threading

import forked
import pytest
from support import COMMAND, REFERENCE, Finished, finding, image

DENIED = finding("aws_access_key", "/root/.aws/credentials", "high")


@pytest.fixture
def step(gate):
    """Run the command as a step; return how it ended, its outputs and its summary."""

    def run(*arguments, world=None, **environment):
        runner = {"GITHUB_OUTPUT": str(gate.folder / "out"), "GITHUB_STEP_SUMMARY": str(gate.folder / "summary"), **environment}
        emulate = f"--emulate={gate.world(*(world or (image(),)))}"
        finished = forked_run(gate, "--github", emulate, *(arguments or (REFERENCE,)), **runner)
        return finished, outputs(gate.folder / "out"), text_of(gate.folder / "summary")

    return run


def forked_run(gate, *arguments, **environment):
    """Run the command without a start: nothing reads these variables before it begins."""
    options = ["check", "--report-dir", "reports", *arguments]
    return Finished(*forked.run(options, gate.folder, gate.environment(**environment), 60), gate.folder)


def text_of(path):
    return path.read_text("utf-8") if path.is_file() else ""


def outputs(path):
    """Read outputs as the runner does: what comes last holds."""
    found, lines = {}, iter(text_of(path).splitlines())
    for line in lines:
        name, _, delimiter = line.partition("<<")
        assert delimiter, line
        value = []
        while (line := next(lines)) != delimiter:
            value.append(line)
        found[name] = "\n".join(value)
    return found


@pytest.mark.parametrize("lost", ["GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"])
def test_what_cannot_be_handed_on_is_no_pass_anywhere(step, gate, lost):
    finished, out, summary = step(REFERENCE, "-o", "json=-", **{lost: str(gate.folder / "nowhere" / "file")})

    assert 30 == finished.code, finished.err
    for said in (finished.result, json.loads(finished.out)):
        assert ("undecided", 30) == (said["verdict"], said["exit_code"])
    assert ("undecided", "30") == (out.get("verdict", "undecided"), out.get("exit-code", "30"))
    assert not summary or "## ⚠️ Undecided" in summary
    assert "## ✅ Passed" not in summary
    assert "::notice" not in finished.err
    assert "could not be written" in finished.report("summary.md")


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(step, gate):
    os.mkfifo(gate.folder / "pipe")

    finished, _, _ = step(GITHUB_OUTPUT=str(gate.folder / "pipe"))

    assert 30 == finished.code, finished.err


@pytest.mark.parametrize("lost", ["junit=taken", "sarif=/dev/full"])
def test_what_cannot_be_taken_back_is_written_last_and_once(gate, lost):
    (gate.folder / "taken").mkdir()
    os.mkfifo(gate.folder / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((gate.folder / "pipe").read_text("utf-8")), daemon=True)
    reader.start()

    finished = gate.check(gate.world(image()), "-o", "json=-", "-o", "json=pipe", "-o", lost)
    reader.join(10)

    assert 30 == finished.code, finished.err
    assert [("undecided", 30)] * 2 == [(said["verdict"], said["exit_code"]) for said in map(json.loads, (finished.out, read[0]))]


@pytest.mark.parametrize("report", ["markdown=summary", "json=out", "junit=./out"])
@pytest.mark.parametrize("github", [True, False])
def test_no_report_replaces_a_file_of_the_runner(gate, report, github):
    paths = {"GITHUB_OUTPUT": gate.folder / "out", "GITHUB_STEP_SUMMARY": gate.folder / "summary"}
    for path in paths.values():
        path.write_text("k=v\n", "utf-8")

    options = (REFERENCE, f"--emulate={gate.world(image())}", "-o", report, *(["--github"] if github else []))
    finished = forked_run(gate, *options, **{name: str(path) for name, path in paths.items()})

    assert 2 == finished.code, finished.err
    assert "which is only appended to" in finished.err
    assert all(path.read_text("utf-8").startswith("k=v\n") for path in paths.values())


@pytest.mark.parametrize("reports", [("json=-", "junit=/dev/stdout"), ("json=/dev/stderr", "junit=/dev/fd/2")])
def test_two_reports_on_one_stream_are_refused(gate, reports):
    finished = gate.check(gate.world(image()), *(part for report in reports for part in ("-o", report)))

    assert 2 == finished.code, finished.err
    assert not finished.out or "undecided" == json.loads(finished.out)["verdict"], "the first of them"
    assert "two reports go to" in finished.err


def test_outputs_and_summary_are_two_files(step, gate):
    finished, _, _ = step(GITHUB_STEP_SUMMARY=str(gate.folder / "out"))

    assert 2 == finished.code
    assert "one file" in finished.err
    assert 2 == finished.result["exit_code"]


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        ((REFERENCE, "--timeout", "five minutes"), {}),
        ((REFERENCE, "--scan", "sometimes"), {}),
        ((REFERENCE, "-o", "pdf=x.pdf"), {}),
        ((REFERENCE, "-o", "json=reports/result.json"), {}),
        ((REFERENCE, "--no-such-option"), {}),
    ],
)
def test_a_command_line_that_is_refused_is_handed_on_as_undecided(step, arguments, environment):
    finished, out, summary = step(*arguments, **environment)

    assert 2 == finished.code, finished.err
    assert ("undecided", "2", "", "[]") == (out["verdict"], out["exit-code"], out["image"], out["images"])
    assert "Undecided" in summary
    assert "::error title=ci-gate%3A undecided::" in finished.err


def test_what_others_wrote_without_a_newline_does_not_swallow_what_is_appended(step, gate):
    (gate.folder / "out").write_text("k<<E\nv\nE", "utf-8")

    finished, out, _ = step()

    assert 0 == finished.code, finished.err
    assert ("v", "passed") == (out["k"], out["verdict"])


def test_a_refusal_leaves_no_output_of_an_earlier_check(step):
    _, before, _ = step(world=(image(DENIED),))
    finished, out, _ = step(REFERENCE, "--timeout", "soon")

    assert 2 == finished.code, finished.err
    assert ("emulated", "1", "reports") == (before["source"], before["violations"], before["report-dir"])
    assert {"verdict": "undecided", "exit-code": "2", "images": "[]"} == {
        name: value for name, value in out.items() if value and name not in {"summary", "next-step"}
    }


@pytest.mark.parametrize("lost", ["GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"])
def test_a_refusal_is_handed_on_as_far_as_it_can_be(step, gate, lost):
    finished, out, summary = step(REFERENCE, "--timeout", "soon", **{lost: str(gate.folder / "nowhere" / "file")})

    assert 2 == finished.code, finished.err
    assert "Undecided" in summary if lost == "GITHUB_OUTPUT" else "undecided" == out["verdict"]


def test_where_the_runner_is_none_its_reports_say_so(gate):
    gate.check(gate.world(image()))

    finished = gate.check(gate.world(image()), "--github")

    assert 2 == finished.code
    assert 2 == finished.result["exit_code"]


def test_an_emulated_pass_hands_on_nothing_to_deploy(step):
    finished, out, _ = step()

    assert 0 == finished.code, finished.err
    assert ("passed", "emulated", "", "[]") == (out["verdict"], out["source"], out["image"], out["images"])
    assert out["summary"].startswith("[EMULATED] ")
    assert "This was EMULATED: deploy by a check of the real account only." == out["next-step"]


def test_every_annotation_of_an_emulated_run_says_so(step):
    finished, _, _ = step(world=(image(DENIED, finding("npm_token", "/app/.npmrc", "high")),))

    commands = [line for line in finished.err.splitlines() if line.startswith("::")]
    assert 10 == finished.code
    assert len(commands) > 1
    assert all("title=[EMULATED] " in line for line in commands)


def test_summaries_of_one_step_keep_the_limit_of_the_runner_together(step, gate):
    (gate.folder / "summary").write_text("x" * 995_000, "utf-8")
    many = image(*(finding("npm_token", f"/app/{number}/.npmrc", "high") for number in range(400)))

    finished, out, summary = step(world=(many,))

    assert 10 == finished.code, finished.err
    assert "blocked" == out["verdict"]
    assert 995_000 < len(summary.encode("utf-8")) <= 1_000_000
    assert "Blocked" in summary


def test_a_full_summary_has_room_to_be_taken_back(step, gate):
    (gate.folder / "summary").write_text("x" * 1_000_000, "utf-8")

    finished, _, summary = step(GITHUB_OUTPUT="/dev/full")

    assert 30 == finished.code, finished.err
    assert "## ⚠️ Undecided" in summary
    assert "## ✅ Passed" not in summary
    assert len(summary.encode("utf-8")) <= 1024 * 1024


def test_a_name_of_the_summary_that_is_too_long_is_no_pass(step, gate):
    finished, out, _ = step(GITHUB_STEP_SUMMARY=str(gate.folder / ("a" * 300)))

    assert 30 == finished.code, finished.err
    assert ("undecided", 30) == (finished.result["verdict"], finished.result["exit_code"])
    assert "undecided" == out["verdict"]


def test_on_a_full_disk_outputs_are_cut_back_and_a_summary_is_taken_back(gate):
    (gate.folder / "out").write_text("k<<E\nv\nE\n" * 10_000, "utf-8")
    size = (gate.folder / "out").stat().st_size
    others = "x" * (size - 4_000)  # one summary fits behind it, two do not
    (gate.folder / "summary").write_text(others, "utf-8")
    runner = {"GITHUB_OUTPUT": str(gate.folder / "out"), "GITHUB_STEP_SUMMARY": str(gate.folder / "summary")}
    line = [COMMAND, "check", "--github", "--report-dir", "reports", f"--emulate={gate.world(image())}", REFERENCE]

    done = subprocess.run(
        line,
        cwd=gate.folder,
        env=gate.environment(**runner),
        capture_output=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, size + 100)),
    )

    assert 30 == done.returncode, done.stderr
    assert size == (gate.folder / "out").stat().st_size
    summary = text_of(gate.folder / "summary")
    assert summary.startswith(others)
    assert "## ✅ Passed" not in summary
    assert "## ⚠️ Undecided" in summary
