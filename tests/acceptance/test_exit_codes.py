"""Exit codes that are more than a fault and its code; every other one is a row of docs/failure-modes.md."""

from __future__ import annotations

import signal
import time

import pytest
from support import DIGEST, REFERENCE, finding, image

DENIED = finding("aws_access_key", "/root/.aws/credentials", "high")
STALL = {"action": "DescribeImageSensitiveFileList", "kind": "delay", "seconds": 30}


def test_0_a_clean_image_passes(gate):
    finished = gate.check(gate.world(image(finding())))

    assert (0, "passed") == (finished.code, finished.result["verdict"]), finished.err
    states = {proof["name"]: proof["state"] for proof in finished.result["images"][0]["evidence"]}
    assert {"identity": "held", "scanned": "held", "complete": "held", "consistent": "held", "covered": "held"}.items() <= states.items()


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["check", REFERENCE, "--emulate", "-o", "pdf=x"],
        ["check", REFERENCE, "--emulate", "--endpoint", "127.0.0.1:1"],
        ["check", REFERENCE, "--emulate", "--timeout", "soon"],
        ["check", REFERENCE, "--emulate", "--metadata-file", "missing.json"],
    ],
)
def test_2_a_bad_command_line(gate, arguments):
    finished = gate.run(*arguments)

    assert finished.code == 2
    assert finished.err
    assert "Traceback" not in finished.err


def test_20_a_tag_that_has_another_digest(gate):
    finished = gate.check(gate.world(image(digest="77" * 32)), "--scan", "never")

    assert 20 == finished.code
    assert "another digest" in finished.err


def test_21_no_credentials_within_two_seconds(gate):
    started = time.monotonic()
    finished = gate.run("check", REFERENCE, "--report-dir", "reports")
    took = time.monotonic() - started

    assert 21 == finished.code
    assert "ALIBABA_CLOUD_OIDC_TOKEN_FILE" in finished.err
    assert "ALIBABA_CLOUD_ACCESS_KEY_ID" in finished.err
    assert took < 6  # two seconds, on a machine that runs other tests beside this one


@pytest.fixture
def endpoint(gate):
    """An endpoint of its own process, and the credentials that it takes."""
    process = gate.start("emulate", gate.world(image()))
    lines = [process.stdout.readline() for _ in range(3)]
    yield dict(line.removeprefix("export ").strip().split("=", 1) for line in lines)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err


def test_0_over_the_environment_against_a_running_endpoint(gate, endpoint):
    finished = gate.run("check", REFERENCE, "--report-dir", "reports", **endpoint)

    assert 0 == finished.code, finished.err
    assert "EMULATED" in finished.err  # whatever answers on this machine is not Security Center


def _wait_for(path):
    for _ in range(300):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(path)


def test_a_run_that_is_killed_leaves_no_old_pass_behind(gate):
    assert gate.check(gate.world(image())).code == 0
    (gate.folder / "reports" / "result.json").unlink()
    world = gate.world(image(), faults=[STALL])
    process = gate.start("check", REFERENCE, f"--emulate={world}", "--report-dir", "reports")
    _wait_for(gate.folder / "reports" / "result.json")
    process.kill()
    process.communicate(timeout=20)

    for name in ("junit.xml", "summary.md", "result.json"):
        text = (gate.folder / "reports" / name).read_text().lower()
        assert "did not finish" in text
        assert '"verdict": "passed"' not in text


def test_warn_mode_passes_loudly(gate):
    finished = gate.check(gate.world(image(DENIED)), "--policy", "audit")
    quiet = gate.check(gate.world(image(DENIED)), "--policy", "audit", "-q")

    assert 0 == finished.code, finished.err
    assert "warn mode" in quiet.err
    assert "warn" in finished.err.lower()
    assert DIGEST[:12] in finished.everything
