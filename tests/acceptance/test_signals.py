"""Ctrl-C and SIGTERM while the run waits for Security Center: the reports are written, within a second."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from contextlib import suppress

import pytest
from junitparser import JUnitXml
from support import COMMAND, DIGEST, NAME, REFERENCE, image

REPOSITORY = {"reference": "registry.example.com/shop/api"}
UNENDING = [{"status": "PRE_ANALYZER", "progress": 40}]
FINE = image(reference="registry.example.com/shop/fine:1", digest="f1" * 32)
WAITS = {
    "resolve": ((), {"repositories": [REPOSITORY], "account": {"deny_actions": ["PublicSyncAndCreateImageScanTask"]}}, "lists the image"),
    "queue": ((image(scan=[{"status": None}]),), {"account": {"scan_tasks": {"running": 10}}}, "waiting for a slot"),
    "scan": ((image(scan=UNENDING),), {}, "scan PRE_ANALYZER, 40 %"),
}


def interrupted(gate, world, needle, number, *references):
    """Start a run, send it a signal once it says what it waits for; return its exit code, what it said, and how long it took to end."""
    options = ("check", *references, f"--emulate={world}", "--report-dir", "reports", "-o", "sarif=-", "-v")
    process = gate.start(*options)
    said = ""
    while not all(each in said for each in needle):
        line = process.stderr.readline()
        assert line, said
        said += line
    started = time.monotonic()
    process.send_signal(number)
    process.wait(timeout=20)
    took = time.monotonic() - started
    out, err = process.communicate(timeout=20)
    return process.returncode, out, said + err, took


@pytest.mark.parametrize(
    ("stage", "number", "code"),
    [("resolve", signal.SIGINT, 130), ("queue", signal.SIGTERM, 143), ("scan", signal.SIGINT, 130)],
)
def test_a_run_that_is_ended_while_it_waits_writes_its_reports_within_a_second(gate, stage, number, code):
    images, fields, needle = WAITS[stage]
    world = gate.world(*images, **fields)

    ended, out, err, took = interrupted(gate, world, (needle,), number, REFERENCE)
    if took > 1:  # a machine that does other things as well may take longer, once
        *_, took = interrupted(gate, world, (needle,), number, REFERENCE)

    assert code == ended, err
    assert "Traceback" not in err
    assert took <= 1
    result = json.loads((gate.folder / "reports" / "result.json").read_text("utf-8"))
    assert (code, "undecided") == (result["exit_code"], result["verdict"])
    suites = JUnitXml.fromstring((gate.folder / "reports" / "junit.xml").read_bytes())
    assert sum(suite.errors for suite in suites)
    assert json.loads(out)["runs"][0]["invocations"][0]["executionSuccessful"] is False


def test_what_is_decided_of_several_images_when_the_run_is_ended_is_kept(gate):
    world = gate.world(FINE, image(scan=UNENDING), image(reference="registry.example.com/shop/slow:1", digest="f2" * 32, scan=UNENDING))
    references = (f"registry.example.com/shop/fine@sha256:{'f1' * 32}", REFERENCE, f"registry.example.com/shop/slow@sha256:{'f2' * 32}")
    # The first image is decided once its last call, the one without a key, is answered, and the other ones wait.
    needle = (f"{NAME}@sha256:{DIGEST[:12]}: scan", "shop/slow@sha256:f2f2f2f2f2f2: scan", "DescribeImageSensitiveFileByKey")

    ended, _, err, took = interrupted(gate, world, needle, signal.SIGTERM, *references)
    if took > 1:
        ended, _, err, took = interrupted(gate, world, needle, signal.SIGTERM, *references)

    assert 143 == ended, err
    assert "Traceback" not in err
    assert took <= 1
    result = json.loads((gate.folder / "reports" / "result.json").read_text("utf-8"))
    assert 143 == result["exit_code"]
    assert ["undecided"] * 2 == [each["status"] for each in result["images"]][1:]
    replayed = gate.run("replay", "reports/result.json", "-o", "json=again.json")
    assert 20 == replayed.code, replayed.err
    assert 20 == gate.run("replay", "again.json").code


def test_hanging_up_ends_a_run_in_reports(gate):
    world = gate.world(image(scan=UNENDING))

    ended, *_ = interrupted(gate, world, ("scan PRE_ANALYZER",), signal.SIGHUP, REFERENCE)

    result = json.loads((gate.folder / "reports" / "result.json").read_text("utf-8"))
    assert (143, 143) == (ended, result["exit_code"])
    assert "ended by SIGHUP" in result["causes"][0]["what"]


def test_behind_its_reports_no_signal_changes_the_exit_code_nor_holds_it_up(gate):
    """What is said last goes to a pipe that nobody reads, so that the run waits for a while."""
    world, result = gate.world(image()), gate.folder / "reports" / "result.json"
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * select.PIPE_BUF)
    os.set_blocking(writing, True)
    line = [COMMAND, "check", REFERENCE, f"--emulate={world}", "--report-dir", "reports"]

    with subprocess.Popen(line, cwd=gate.folder, env=gate.environment(), stderr=writing) as process:
        os.close(writing)
        until = time.monotonic() + 30
        while not (result.exists() and '"verdict": "passed"' in result.read_text("utf-8")) and time.monotonic() < until:
            time.sleep(0.01)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            time.sleep(0.3)
            process.send_signal(number)
        code = process.wait(timeout=10)
    os.close(reading)

    assert 0 == code


def test_the_second_check_of_the_demo_can_be_ended_as_well(gate):
    process = gate.start("demo", "--report-dir", "reports")
    while not (line := process.stdout.readline()).startswith("[2/2]"):
        assert line

    until = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < until:
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    _, err = process.communicate(timeout=10)

    assert 130 == process.returncode, err
    assert "bug" not in err
