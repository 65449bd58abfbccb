"""The lines of the doctor, one by one: what was seen, how bad that is, and what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ci_gate.errors import ExitCode, ParameterRefusedError, ProtocolError, RefusedError, UnauthorizedError, UnavailableError
from ci_gate.model import EvidenceRules, Proof, ProofState
from ci_gate.security_center.contracts import CONTRACTS, Answer
from ci_gate.security_center.diagnosis import (
    _HARMLESS,
    Line,
    State,
    clock_line,
    exit_code,
    failed_line,
    identity_line,
    local_lines,
    permission_line,
    proof_line,
    quota_line,
)
from ci_gate.security_center.permissions import PERMISSIONS, ram_policy
from ci_gate.security_center.transport import CredentialFacts, Heard

DOCS = Path(__file__, "../../../../docs").resolve()
SCAN = next(each for each in PERMISSIONS if each.action == "PublicSyncAndCreateImageScanTask")
REQUIRED = next(each for each in PERMISSIONS if each.action == "DescribeImageSensitiveFileByKey")
RULES = next(each for each in PERMISSIONS if each.action == "GetSensitiveDefineRuleConfig")
ANSWERED = Answer("X", ({},), None, None, None)
REJECTED = UnauthorizedError("the credentials were rejected", advice="Look.")
NO_PERMISSION = UnauthorizedError("no permission", advice="Grant it.", permission="yundun-sas:X")


def refused(kind: type[RefusedError], code: str) -> RefusedError:
    return kind.coded(code, f"the call was refused ({code}, HTTP 400)", advice="Report it.", action="X", request_id="R-1")


def test_warnings_pass_failures_do_not_and_credentials_have_a_code_of_their_own():
    lines = [Line("a", State.OK, ""), Line("b", State.WARNING, ""), Line("c", State.NOT_ASKED, "")]

    assert ExitCode.PASSED is exit_code(lines)
    assert ExitCode.CHECK_FAILED is exit_code([*lines, Line("d", State.FAILED, "")])
    assert ExitCode.UNAUTHORIZED is exit_code([*lines, Line("d", State.FAILED, ""), failed_line("credentials", REJECTED)])
    assert ExitCode.CHECK_FAILED is exit_code([failed_line("x", NO_PERMISSION)])


@pytest.mark.parametrize(
    ("off_s", "state", "words"),
    [(0, State.OK, "0 s ahead"), (59, State.OK, "59 s ahead"), (-60, State.WARNING, "60 s behind"), (900, State.FAILED, "900 s ahead")],
)
def test_the_clock_is_held_against_the_servers(off_s, state, words):
    line = clock_line(Heard(1_000_000_000, 1_000_000_000 + off_s * 1000))

    assert line.state is state
    assert words in line.detail
    assert bool(line.remedy) is (state is not State.OK)


def test_a_server_without_a_date_leaves_the_clock_unknown():
    assert clock_line(Heard(None, 1)).state is State.WARNING


@pytest.mark.parametrize(
    ("permission", "outcome", "state"),
    [
        (REQUIRED, ANSWERED, State.OK),
        (REQUIRED, NO_PERMISSION, State.FAILED),
        (REQUIRED, refused(RefusedError, "SomethingNew"), State.FAILED),
        (REQUIRED, UnavailableError("down", advice="Wait."), State.FAILED),
        (RULES, NO_PERMISSION, State.WARNING),
        (SCAN, ANSWERED, State.OK),
        (SCAN, NO_PERMISSION, State.WARNING),
        (SCAN, refused(RefusedError, "TaskNumEmpty"), State.OK),
        (SCAN, refused(ParameterRefusedError, "InvalidParameter"), State.WARNING),
        (SCAN, refused(RefusedError, "ServiceNotOpened"), State.WARNING),
        (SCAN, refused(RefusedError, "InvalidAction.NotFound"), State.WARNING),
        (SCAN, ProtocolError("the answer breaks the contract", advice="Report it."), State.WARNING),
    ],
)
def test_a_permission_is_judged_by_what_came_of_its_call(permission, outcome, state):
    line = permission_line(permission, outcome, EvidenceRules())

    assert line.state is state
    assert bool(line.remedy) is (state is not State.OK)


def test_what_the_policy_asks_for_is_needed():
    assert permission_line(RULES, NO_PERMISSION, EvidenceRules(rule_coverage="error")).state is State.FAILED


@pytest.mark.parametrize(("used", "state"), [(3, State.OK), (10, State.WARNING), (12, State.WARNING)])
def test_the_quota_is_what_is_left(used, state):
    answer = Answer("DescribeImageScanAuthCount", ({"ImageScanCapacity": "10", "ScanCount": used},), None, None, None)

    assert quota_line(answer).state is state


def test_a_quota_that_was_refused_is_not_asked():
    assert quota_line(NO_PERMISSION).state is State.NOT_ASKED


def test_rules_that_could_not_be_read_are_not_said_to_be_off():
    assert proof_line("rules", Proof("covered", ProofState.UNKNOWN, "the rules could not be read")).state is State.NOT_ASKED


@pytest.mark.parametrize(
    ("provider", "environment", "words"),
    [
        ("default/oidc_role_arn", {"ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1:role/gate"}, "the role acs:ram::1:role/gate"),
        ("default/env", {}, "aliyun sts GetCallerIdentity"),
        ("default/cli_profile/static_ak", {"ALIBABA_CLOUD_PROFILE": "ci"}, "the profile ci"),
        ("default/ecs_ram_role", {"ALIBABA_CLOUD_ECS_METADATA": "gate"}, "the instance role gate"),
    ],
)
def test_the_identity_is_told_as_far_as_it_can_be(provider, environment, words):
    assert words in identity_line(CredentialFacts(provider, "LTAI…xyz", temporary=True), environment).detail


def test_proxies_are_named_without_their_passwords():
    environment = {"https_proxy": "http://user:CANARY@proxy.example.com:3128", "NO_PROXY": "example.com", "SSL_CERT_FILE": "/etc/ca.pem"}

    network = local_lines(environment)[1]

    assert network.detail == "https_proxy proxy.example.com:3128; NO_PROXY example.com; SSL_CERT_FILE /etc/ca.pem"


@pytest.mark.parametrize("proxy", ["http://ci:2024/CANARY@proxy:3128", "http://ci:CA@NARY@proxy:3128/", "ci:p#CANARY?@proxy:3128"])
def test_a_password_that_is_not_escaped_is_not_taken_for_the_host(proxy):
    assert "HTTPS_PROXY proxy:3128" == local_lines({"HTTPS_PROXY": proxy})[1].detail


@pytest.mark.parametrize("proxy", ["http://[bad", "http://h:99999", "http://user:CANARY@", "http://user:CANARY"])
def test_a_proxy_that_is_none_is_not_quoted(proxy):
    assert "CANARY" not in local_lines({"HTTPS_PROXY": proxy})[1].detail


def test_there_is_a_harmless_call_for_each_permission_and_a_permission_for_each_call():
    assert set(CONTRACTS) == {each.action for each in PERMISSIONS} == set(_HARMLESS)


def test_the_ram_policy_has_the_parts_that_read_and_that_request_scans():
    policy = ram_policy()

    reads, requests = policy["Statement"]
    assert policy["Version"] == "1"
    assert {each.ram_action for each in PERMISSIONS} == {*reads["Action"], *requests["Action"]}
    assert ["yundun-sas:PublicPreCheckImageScanTask", "yundun-sas:PublicSyncAndCreateImageScanTask"] == requests["Action"]
    assert [("Allow", "*")] * 2 == [(part["Effect"], part["Resource"]) for part in (reads, requests)]


def test_the_page_on_permissions_is_that_of_the_program():
    text = (DOCS / "permissions.md").read_text("utf-8")
    shown = re.search(r"```json\n(.*?)```", text, re.DOTALL)
    rows = re.findall(r"^\| `(yundun-sas:\w+)` \| (.*) \| (.*) \|$", text, re.MULTILINE)

    assert shown
    assert ram_policy() == json.loads(shown[1])
    assert [(each.ram_action, each.purpose, each.without) for each in PERMISSIONS] == rows


def test_the_page_on_the_doctor_names_every_line():
    text = (DOCS / "doctor.md").read_text("utf-8")
    named = set(re.findall(r"^\| (\w[a-z ]*) \|", text, re.MULTILINE))

    assert {
        "versions",
        "network",
        "policy",
        "credentials",
        "identity",
        "endpoint",
        "clock",
        "quota",
        "rules",
        "whitelists",
        "probe",
    } < named
