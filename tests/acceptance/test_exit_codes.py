"""One run for every exit code, and every report agrees with it."""

from __future__ import annotations

import json
import signal
import socket
import sys
import time

import pytest
from junitparser import JUnitXml
from support import DIGEST, NAME, REFERENCE, finding, image

DENIED = finding("aws_access_key", "/root/.aws/credentials", "high")
STALL = {"action": "DescribeImageSensitiveFileList", "kind": "delay", "seconds": 30}


def _agrees(finished, code, status):
    """Every report says what the exit code says."""
    suites = JUnitXml.fromstring(finished.report("junit.xml").encode())
    broken = sum(suite.failures + suite.errors for suite in suites)
    assert (code, code, status) == (finished.code, finished.result["exit_code"], finished.result["verdict"])
    assert (code == 0) == (broken == 0)
    assert status in finished.report("summary.md").splitlines()[0].lower() or status in finished.report("summary.md").lower()


def test_0_a_clean_image_passes(gate):
    finished = gate.check(gate.world(image(finding())))

    _agrees(finished, 0, "passed")
    states = {proof["name"]: proof["state"] for proof in finished.result["images"][0]["evidence"]}
    assert {"identity": "held", "scanned": "held", "complete": "held", "consistent": "held", "covered": "held"}.items() <= states.items()


@pytest.mark.parametrize(
    "arguments",
    [
        ["check"],
        ["check", "--nonsense"],
        ["nonsense"],
        ["check", "shop/api", "--emulate"],
        ["check", REFERENCE, "--emulate", "-o", "pdf=x"],
        ["check", REFERENCE, "--emulate", "--endpoint", "127.0.0.1:1"],
        ["check", REFERENCE, "--emulate", "--mode", "warn"],
        ["check", REFERENCE, "--emulate", "-o", "junit=x", "-o", "json=./x"],
        ["check", REFERENCE, "--emulate", "--timeout", "soon"],
        ["check", REFERENCE, "--endpoint", "sas.example.com"],
        ["check", REFERENCE, "--region", "nowhere-1"],
        ["check", REFERENCE, "--emulate", "--metadata-file", "missing.json"],
    ],
)
def test_2_a_bad_command_line(gate, arguments):
    finished = gate.run(*arguments)

    assert finished.code == 2
    assert finished.err
    assert "Traceback" not in finished.err


def test_3_an_invalid_policy(gate):
    policy = gate.policy("version: 1\nname: p\ndeny:\n  keyss: [pem]\n")

    finished = gate.check(None, "--policy", policy)

    _agrees(finished, 3, "undecided")
    assert "policy.yaml:4:3" in finished.err
    assert "keys" in finished.err


def test_3_an_invalid_world(gate):
    world = gate.folder / "world.yaml"
    world.write_text("version: 1\nimagess: []\n")

    finished = gate.check(world)

    _agrees(finished, 3, "undecided")
    assert "world.yaml:2:1" in finished.err


def test_10_a_denied_key_blocks(gate):
    finished = gate.check(gate.world(image(DENIED)))

    _agrees(finished, 10, "blocked")
    assert "aws_access_key" in finished.report("summary.md")


# What is not there is said at once, and not waited for.
AT_ONCE = ("--scan", "never")


def test_20_an_image_that_was_never_scanned(gate):
    finished = gate.check(gate.world(image(scan=[{"status": None}])), *AT_ONCE)

    _agrees(finished, 20, "undecided")
    assert "never been scanned" in finished.err


@pytest.mark.parametrize("stage", [{"status": "FAIL"}, {"status": "TIMOUT"}, {"status": "SUCCESS", "result": "TASK_NOT_SUPPORT_REGION"}])
def test_20_a_scan_that_failed(gate, stage):
    _agrees(gate.check(gate.world(image(scan=[stage])), *AT_ONCE), 20, "undecided")


def test_20_an_image_that_is_not_listed(gate):
    _agrees(gate.check(gate.world(image(reference="registry.example.com/shop/other:1")), *AT_ONCE), 20, "undecided")


def test_20_a_tag_that_has_another_digest(gate):
    finished = gate.check(gate.world(image(digest="77" * 32)), *AT_ONCE)

    _agrees(finished, 20, "undecided")
    assert "another digest" in finished.err


def test_20_a_reference_without_a_digest(gate):
    finished = gate.check(gate.world(image()), reference=NAME)

    _agrees(finished, 20, "undecided")
    assert "--metadata-file" in finished.err


def test_20_an_image_in_two_registries(gate):
    twins = [image(instance_id="cri-1", endpoints=[]), image(instance_id="cri-2", endpoints=[])]

    finished = gate.check(gate.world(*twins))

    _agrees(finished, 20, "undecided")
    assert "ambiguous" in finished.err


def test_20_a_denied_key_whose_rule_is_off(gate):
    finished = gate.check(gate.world(image(), rules_off=["aws_access_key"]))

    _agrees(finished, 20, "undecided")
    assert "aws_access_key" in finished.err


def test_21_no_credentials_within_two_seconds(gate):
    started = time.monotonic()
    finished = gate.run("check", REFERENCE, "--report-dir", "reports")
    took = time.monotonic() - started

    _agrees(finished, 21, "undecided")
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

    _agrees(finished, 0, "passed")
    assert "EMULATED" in finished.err  # whatever answers on this machine is not Security Center


def test_21_a_wrong_secret(gate, endpoint):
    wrong = {**endpoint, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "another-secret"}

    finished = gate.run("check", REFERENCE, "--report-dir", "reports", **wrong)

    _agrees(finished, 21, "undecided")
    assert "ALIBABA_CLOUD_ACCESS_KEY_SECRET" in finished.err
    assert "another-secret" not in finished.everything


@pytest.mark.parametrize("action", ["DescribeImageInstances", "DescribeImageSensitiveFileList", "DescribeImageSensitiveFileByKey"])
def test_21_a_missing_permission_is_named(gate, action):
    finished = gate.check(gate.world(image(finding()), account={"deny_actions": [action]}))

    _agrees(finished, 21, "undecided")
    assert f"yundun-sas:{action}" in finished.err


def test_22_an_endpoint_that_is_down(gate):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    finished = gate.run(
        *("check", REFERENCE, "--endpoint", f"127.0.0.1:{port}", "--timeout", "8s", "--report-dir", "reports"),
        ALIBABA_CLOUD_ACCESS_KEY_ID="id",
        ALIBABA_CLOUD_ACCESS_KEY_SECRET="secret",
    )

    _agrees(finished, 22, "undecided")
    assert "refused" in finished.err


def test_22_a_service_that_fails_until_the_deadline(gate):
    finished = gate.check(gate.world(image(), faults=[{"kind": "status", "status": 503}]), "--timeout", "8s")

    _agrees(finished, 22, "undecided")
    assert "DescribeImageInstances" in finished.err


def test_23_an_answer_that_cannot_be_trusted(gate):
    finished = gate.check(gate.world(image(), faults=[{"kind": "body", "text": "{}"}]))

    _agrees(finished, 23, "undecided")


def test_30_a_report_that_cannot_be_written(gate):
    (gate.folder / "file").write_text("")

    finished = gate.check(gate.world(image()), "-o", "junit=file/junit.xml")

    _agrees(finished, 30, "undecided")
    assert "file/junit.xml" in finished.err


def test_30_does_not_hide_a_block(gate):
    (gate.folder / "file").write_text("")

    _agrees(gate.check(gate.world(image(DENIED)), "-o", "junit=file/junit.xml"), 10, "blocked")


def test_70_a_bug_is_reported_without_a_traceback_or_its_text(gate):
    code = (
        "import sys, ci_gate.gate as g, ci_gate.cli.main as m\n"
        "def broken(*_): raise KeyError('CANARY')\n"
        "g.decide_image = broken\n"
        f"sys.exit(m.main(['check', {REFERENCE!r}, '--emulate', '--report-dir', 'reports']))\n"
    )
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=gate.folder, env=gate.environment(), capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 70
    assert "KeyError" in done.stderr
    assert "CANARY" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads((gate.folder / "reports" / "result.json").read_text())["exit_code"] == 70


def _wait_for(path):
    for _ in range(300):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(path)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_130_and_143_a_run_that_is_ended_writes_its_reports(gate, number, code):
    world = gate.world(image(), faults=[STALL])
    process = gate.start("check", REFERENCE, f"--emulate={world}", "--report-dir", "reports", "-v")
    _wait_for(gate.folder / "reports" / "result.json")
    while "DescribeImageInstances" not in process.stderr.readline():
        pass
    started = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=20)

    assert code == process.returncode
    assert time.monotonic() - started < 5
    result = json.loads((gate.folder / "reports" / "result.json").read_text())
    assert (code, "undecided") == (result["exit_code"], result["verdict"])


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

    _agrees(finished, 0, "passed")
    assert "warn mode" in quiet.err
    assert "warn" in finished.err.lower()
    assert DIGEST[:12] in finished.everything
