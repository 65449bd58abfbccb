"""Every row of docs/failure-modes.md is a run of the command that ends with its exit code and says its words."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest
from failure_modes import CANARY, ENDPOINT, PAGE, ROWS, SECTIONS, with_tables
from junitparser import JUnitXml
from support import Finished

from ci_gate.emulator.app import serve
from ci_gate.emulator.world import parse_world
from ci_gate.errors import ExitCode

VERDICTS = {0: "passed", 10: "blocked"}
_FIRST = re.compile(r"(?:[A-Z]+(?: \[[A-Z]+\])? (?:registry\S+(?: \(sha256:\w{12}\))?: |uuid \w+: )?|ci-gate: error \d+: )(.*)")
_TIME_SPENT = re.compile(r"; the time of \d+ s went into: [^\[]*?(?= \[|$)")
_LAST = re.compile(r"(?:Next: |ci-gate:   -> )(.*)")


def run(gate, row) -> Finished:
    """Run the command of a row in its world."""
    for name, text in row.files.items():
        (gate.folder / name).write_text(text, "utf-8")
    arguments = [*row.command, "--timeout", "60s", *row.args] if row.command[0] == "check" else [*row.command, *row.args]
    arguments += ["--report-dir", "reports"]
    with ExitStack() as stack:
        if row.world is not None:
            text = json.dumps(row.world)
            if ENDPOINT[1] in arguments:
                served = stack.enter_context(serve(parse_world(text.encode())))
                arguments[arguments.index(ENDPOINT[1])] = served.address
            else:
                (gate.folder / "world.json").write_text(text, "utf-8")
                arguments.append("--emulate=world.json")
        if row.signal:
            return _run_and_end(gate, arguments, row.signal)
        if row.bug:
            return _run_with_a_bug(gate, arguments, row.bug)
        return gate.run(*arguments, **row.environment)


def _run_and_end(gate, arguments, name) -> Finished:
    """Run the command, and end it once it says that it was answered."""
    process = gate.start(*arguments)
    read = ""
    while "DescribeImageInstances" not in read:
        line = process.stderr.readline()
        assert line, read
        read += line
    started = time.monotonic()
    process.send_signal(signal.Signals[name])
    out, err = process.communicate(timeout=20)
    assert time.monotonic() - started < 5
    return Finished(process.returncode, out, read + err, gate.folder)


def _run_with_a_bug(gate, arguments, bug) -> Finished:
    code = (
        "import sys, ci_gate.gate as gate, ci_gate.cli.main as main\n"
        f"def broken(*_): raise {bug}\n"
        "gate.decide_image = broken\n"
        "sys.exit(main.main(sys.argv[1:]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=gate.folder,
        env=gate.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr, gate.folder)


def is_like(written: str, said: str) -> bool:
    """Whether a text is what the page says, where an ellipsis stands for anything."""
    return re.fullmatch(".*".join(map(re.escape, written.split("…"))), said) is not None


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault)
def test_a_fault_has_the_exit_code_and_the_words_of_the_page(gate, row):
    finished = run(gate, row)

    assert row.code == finished.code, finished.err
    lines = finished.err.splitlines()
    verdict = VERDICTS.get(row.code, "undecided")
    first = next(line for line in lines if line.startswith((verdict.upper(), "ci-gate: error")))
    last = next(line for line in reversed(lines) if _LAST.match(line))
    assert is_like(row.reads, _TIME_SPENT.sub("", _FIRST.fullmatch(first)[1])), first
    assert is_like(row.do, _LAST.fullmatch(last)[1]), last
    if not first.startswith("ci-gate:"):  # else the command line does not say which reports are wanted
        _reports_agree(finished, row.code, verdict)
    assert is_like(f"…{row.besides}…", " ".join(finished.everything.split())), finished.everything
    assert CANARY not in finished.everything
    assert "Traceback" not in finished.everything


def _reports_agree(finished, code, verdict) -> None:
    suites = JUnitXml.fromstring(finished.report("junit.xml").encode())
    broken = sum(suite.failures + suite.errors for suite in suites)
    assert (code, verdict) == (finished.result["exit_code"], finished.result["verdict"])
    assert (code == 0) == (broken == 0)
    assert verdict in finished.report("summary.md").lower()


def test_the_page_has_the_rows_of_the_data():
    page = PAGE.read_text("utf-8")

    assert with_tables(page) == page, "run `make failure-modes`"
    assert list(SECTIONS) == re.findall(r"^## (.*)$", page, re.MULTILINE)


def test_every_exit_code_of_a_check_has_a_row():
    assert {row.code for row in ROWS} == set(ExitCode) - {ExitCode.CHECK_FAILED}  # which the other commands have


def test_the_rows_of_the_page_have_names_of_their_own():
    assert len(ROWS) == len({row.fault for row in ROWS})
