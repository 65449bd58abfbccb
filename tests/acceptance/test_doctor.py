"""``ci-gate doctor``: the command as a process, what its lines say, and which exit code they come to."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass

import pytest
from support import DIGEST, REFERENCE, finding, image

from ci_gate.cli.doctor import _examine, _Options
from ci_gate.cli.main import main
from ci_gate.emulator.app import serve
from ci_gate.emulator.world import parse_world
from ci_gate.security_center.diagnosis import exit_code
from ci_gate.security_center.permissions import PERMISSIONS, ram_policy

SECRET = "CANARY-5c1d"
KEYS = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAIexampleembedded", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "not-a-secret-embedded-endpoint-only"}
IN_A_WORLD = image(finding(path="/srv/private-path.db"), finding("pem", "/srv/other-path.pem", excerpt=f"{SECRET}****"))


@dataclass(frozen=True)
class Lines:
    """What the command found, and what its exit code would be."""

    code: int
    by_check: dict[str, dict]


def lines_of(finished) -> dict[str, dict]:
    """The lines of a run with ``--format json``, by what was looked at."""
    return {line["check"]: line for line in json.loads(finished.out)["lines"]}


def doctor(gate, policy=None, seconds=20.0, **world) -> Lines:
    """Examine a world in this process: the SDK is imported once for all tests."""
    path = gate.world(*world.pop("images", [IN_A_WORLD]), **world)
    examined = _examine(_Options("cn-shanghai", None, False, seconds, policy and str(policy), str(path), None))  # noqa: FBT003
    return Lines(exit_code(examined.lines), {line.check: asdict(line) for line in examined.lines})


def test_where_all_is_in_order_every_line_says_so(gate):
    finished = gate.run("doctor", "--emulate")

    assert finished.code == 0, finished.err
    assert finished.out.startswith("EMULATED")
    assert all(permission.ram_action in finished.out for permission in PERMISSIONS)
    assert "failed" not in finished.out
    assert "LTAI…ded" in finished.out
    assert "not-a-secret" not in finished.everything
    assert "LTAIexampleembedded" not in finished.everything


def test_the_json_holds_the_same_lines(gate):
    finished = gate.run("doctor", "--emulate", "--format", "json")
    document = json.loads(finished.out)

    assert {"emulated": True, "exit_code": 0, "lines": document["lines"], "observations": []} == document
    assert {"ok", "warning", "not asked"} >= {line["state"] for line in document["lines"]}
    assert {permission.ram_action for permission in PERMISSIONS} < set(lines_of(finished))


def test_without_credentials_it_says_how_to_give_some(gate):
    finished = gate.run("doctor", "--format", "json")

    assert finished.code == 21
    assert "ALIBABA_CLOUD_OIDC_TOKEN_FILE" in lines_of(finished)["credentials"]["remedy"]
    assert lines_of(finished)["quota"]["state"] == "not asked"


def test_rejected_credentials_are_told_from_missing_permissions(gate):
    wrong = {**KEYS, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": SECRET}
    with serve(parse_world(b"version: 1")) as served:
        finished = gate.run("doctor", "--endpoint", served.address, "--format", "json", **wrong)

    assert finished.code == 21
    assert "SignatureDoesNotMatch" in lines_of(finished)["credentials"]["detail"]
    assert lines_of(finished)["endpoint"]["state"] == "ok"
    assert SECRET not in finished.everything
    assert ["DescribeImageInstances"] == [call.action for call in served.calls]


def test_it_says_where_credentials_were_found(gate):
    with serve(parse_world(b"version: 1")) as served:
        finished = gate.run("doctor", "--endpoint", served.address, "--format", "json", **KEYS)

    assert finished.code == 0, finished.err
    assert "from the environment" in lines_of(finished)["credentials"]["detail"]
    assert lines_of(finished)["credentials"]["state"] == "warning", "a permanent key can leak"
    assert KEYS["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] not in finished.everything


def test_a_role_by_oidc_whose_token_is_missing_is_unauthorized(gate):
    environment = {
        "ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1000000000000000:role/example",
        "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1000000000000000:oidc-provider/example",
        "ALIBABA_CLOUD_OIDC_TOKEN_FILE": "/nowhere/token",
    }

    finished = gate.run("doctor", "--format", "json", **environment)

    assert finished.code == 21
    assert "trust policy" in lines_of(finished)["credentials"]["remedy"]


@pytest.mark.parametrize(
    ("action", "state", "code"),
    [("DescribeImageInstances", "failed", 11), ("DescribeImageSensitiveFileByKey", "failed", 11), ("DescribeImageInfoList", "warning", 0)],
)
def test_a_permission_that_is_missing_is_named_with_what_it_costs(gate, action, state, code):
    finished = doctor(gate, account={"deny_actions": [action]})

    assert finished.code == code
    line = finished.by_check[f"yundun-sas:{action}"]
    assert line["state"] == state
    assert f"Grant the RAM action yundun-sas:{action}" in line["remedy"]


def test_a_permission_to_request_scans_is_looked_at_without_requesting_one(gate):
    world = json.dumps({"version": 1, "account": {"deny_actions": ["PublicSyncAndCreateImageScanTask"]}}).encode()
    with serve(parse_world(world)) as served:
        finished = gate.run("doctor", "--endpoint", served.address, "--format", "json", **KEYS)

    line = lines_of(finished)["yundun-sas:PublicSyncAndCreateImageScanTask"]
    assert (finished.code, line["state"]) == (0, "warning")
    assert "not there" in line["detail"]
    assert [{"Images": "[]"}] == [call.parameters for call in served.calls if call.action == "PublicSyncAndCreateImageScanTask"]


def test_where_the_answer_does_not_tell_it_is_not_known(gate):
    fault = {"action": "PublicSyncAndCreateImageScanTask", "kind": "status", "status": 400, "code": "InvalidParameter"}

    line = doctor(gate, faults=[fault]).by_check["yundun-sas:PublicSyncAndCreateImageScanTask"]

    assert line["detail"].startswith("not known")


def test_a_refusal_of_the_content_comes_after_the_permission(gate):
    fault = {"action": "PublicSyncAndCreateImageScanTask", "kind": "status", "status": 400, "code": "TaskNumEmpty"}

    line = doctor(gate, faults=[fault]).by_check["yundun-sas:PublicSyncAndCreateImageScanTask"]

    assert line["state"] == "ok"
    assert "TaskNumEmpty" in line["detail"]


def test_where_the_endpoint_is_not_reached_nothing_else_is_asked(gate):
    finished = gate.run("doctor", "--endpoint", "127.0.0.1:9", "--timeout", "8s", "--format", "json", **KEYS)

    assert finished.code == 11
    lines = lines_of(finished)
    assert lines["endpoint"]["state"] == "failed"
    assert "refused" in lines["endpoint"]["detail"]
    assert {"not asked"} == {lines[permission.ram_action]["state"] for permission in PERMISSIONS}


def test_denied_keys_that_are_switched_off_fail(gate):
    finished = doctor(gate, rules_off=["aws_access_key"])

    assert finished.code == 11
    assert "aws_access_key" in finished.by_check["rules"]["detail"]


def test_a_used_up_quota_and_whitelists_are_warnings(gate):
    world = {"account": {"scan_quota": {"capacity": 7, "used": 7}}, "whitelists": [{"event_key": "pem"}]}

    finished = doctor(gate, **world)

    assert finished.code == 0
    lines = finished.by_check
    assert (lines["quota"]["state"], lines["quota"]["detail"]) == ("warning", "0 of 7 image scans left in this cycle")
    assert lines["whitelists"]["state"] == "warning"


def test_a_policy_that_does_not_load_is_a_line_with_its_place(gate):
    finished = doctor(gate, gate.policy("version: 1\nname: shop\nthreshold: 3\n"))

    assert finished.code == 11
    assert "policy.yaml:3:" in finished.by_check["policy"]["detail"]


def test_a_call_that_fails_is_a_line_and_the_others_are_there(gate):
    finished = doctor(gate, faults=[{"action": "DescribeImageCriteria", "kind": "body", "text": "[1]"}])

    lines = finished.by_check
    assert finished.code == 0
    assert lines["yundun-sas:DescribeImageCriteria"]["state"] == "warning"
    assert "breaks the contract" in lines["yundun-sas:DescribeImageCriteria"]["detail"]
    assert lines["quota"]["state"] == "ok"


def test_a_region_that_there_is_not_is_a_line(gate):
    finished = gate.run("doctor", "--region", "atlantis-1", "--format", "json", **KEYS)

    assert finished.code == 11
    assert "cn-shanghai" in lines_of(finished)["endpoint"]["remedy"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--endpoint", "sas.example.com"),
        ("-o", "transcript.yaml"),
        ("--ram-policy", "--probe", REFERENCE),
        ("--probe", "no reference"),
        ("--emulate=world.json", "--probe", REFERENCE, "-o", "world.json"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_a_usage_error(gate, monkeypatch, arguments):
    gate.world()
    monkeypatch.chdir(gate.folder)

    assert main(["doctor", *arguments]) == 2


def test_the_ram_policy_is_printed_without_network_and_without_the_sdk():
    program = (
        "import sys; from ci_gate.cli.main import main; code = main(['doctor', '--ram-policy']); "
        "assert not [name for name in sys.modules if name.startswith(('alibabacloud', 'darabonba', 'Tea', 'requests'))]; sys.exit(code)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert ram_policy() == json.loads(done.stdout)


# --- the probe as a command ---


def test_a_transcript_on_standard_output_is_a_world_file_and_the_lines_are_on_stderr(gate):
    finished = gate.run("doctor", f"--emulate={gate.world(IN_A_WORLD)}", "--probe", REFERENCE)

    assert finished.code == 0, finished.err
    assert parse_world(finished.out.encode()).images[0].findings
    assert "key-optional" in finished.err


def test_a_transcript_holds_nothing_of_the_image_and_no_secret(gate):
    world = gate.world(IN_A_WORLD, quirks={"canary": SECRET}, account={"access_key_secret": f"{SECRET}-key"})

    finished = gate.run("doctor", f"--emulate={world}", "--probe", REFERENCE, "-o", "transcript.yaml")

    assert finished.code == 0, finished.err
    text = (gate.folder / "transcript.yaml").read_text("utf-8")
    uuid = parse_world(world.read_bytes()).images[0].image_uuid
    for word in (SECRET, DIGEST, uuid, "shop", "api:", "1.4.2", "private-path", "LTAI", "cri-example"):
        assert word not in text, word
    assert SECRET not in finished.everything
    assert text.isascii()


def test_an_image_that_is_not_listed_is_a_line_and_no_transcript(gate):
    finished = gate.run("doctor", f"--emulate={gate.world()}", "--probe", REFERENCE, "-o", "transcript.yaml", "--format", "json")

    assert finished.code == 11
    assert "does not list" in lines_of(finished)["probe"]["detail"]
    assert not (gate.folder / "transcript.yaml").exists()


def test_a_probe_only_reads(gate):
    world = json.dumps({"version": 1, "images": [IN_A_WORLD]}).encode()
    with serve(parse_world(world)) as served:
        finished = gate.run("doctor", "--endpoint", served.address, "--probe", REFERENCE, **KEYS)

    assert finished.code == 0, finished.err
    changing = [call for call in served.calls if not call.action.startswith(("Describe", "Get", "PublicPreCheck"))]
    assert [{"Images": "[]"}] == [call.parameters for call in changing]
