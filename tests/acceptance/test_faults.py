"""The law of the gate over every call and every fault: it passes only if it has read everything that there is."""

from __future__ import annotations

import json
from datetime import date

import pytest
from support import DIGEST, REFERENCE, image

from ci_gate.deadline import Deadline
from ci_gate.emulator.app import serve
from ci_gate.emulator.world import parse_world
from ci_gate.errors import ExitCode
from ci_gate.gate import Asked, decide_image
from ci_gate.model import ImageReference, SourceInfo
from ci_gate.policy.load import parse_policy
from ci_gate.security_center.endpoint import parse_endpoint
from ci_gate.security_center.findings import ScanRange
from ci_gate.security_center.source import SecurityCenter
from ci_gate.security_center.transport import AccessKey, connect

POLICY = parse_policy(
    "version: 1\nname: lenient\nthresholds: {total: 1000}\nevidence: {settle: 0s}\n", origin="policy.yaml", default_name="p"
).policy
ROWS = 260
KEYS = ["git_cfg", "sqlite"]
IMAGE = image(generate={"count": ROWS, "seed": 3, "keys": KEYS})
PAGED = ["DescribeImageInstances", "DescribeImageSensitiveFileList", "DescribeImageSensitiveFileByKey", "DescribeImageEventOperationPage"]
ASKED = Asked(REFERENCE, ImageReference.parse(REFERENCE))


def decide(*faults: dict, seconds: float = 6.0, images=(IMAGE,), **world):
    parsed = parse_world(json.dumps({"version": 1, "images": list(images), "faults": list(faults), **world}).encode())
    with serve(parsed) as served:
        endpoint = parse_endpoint(served.address, allow_any=False)
        key = AccessKey(served.access_key_id, served.access_key_secret)
        transport, url = connect(endpoint, served.region, key, lambda _: None)
        source = SecurityCenter(transport, SourceInfo("emulated", url), ScanRange(), lambda _: None)
        return decide_image(source, ASKED, POLICY, "enforce", Deadline(seconds), date(2026, 11, 24))


def test_without_a_fault_it_passes_with_everything():
    result = decide()

    assert ExitCode.PASSED is result.exit_code
    assert ROWS == len(result.verdict.decisions)


PAGE_FAULTS = [
    {"kind": "empty_page"},
    {"kind": "short_page"},
    {"kind": "duplicate_page", "page": 2},
    {"kind": "shift_page", "rows": 1},
    {"kind": "total", "by": 1},
    {"kind": "total", "by": -1},
    {"kind": "total", "by": 5_000_000},
]


@pytest.mark.parametrize("action", PAGED[:3])
@pytest.mark.parametrize("fault", PAGE_FAULTS, ids=str)
def test_a_listing_that_does_not_add_up_is_never_a_pass(action, fault):
    images = [IMAGE, *(image(reference=f"registry.example.com/shop/api:{n}", digest=f"{n:064x}") for n in range(120))]

    result = decide({"action": action, **fault}, images=images if action == PAGED[0] else [IMAGE])

    # One page has no page before it to serve again, and a key listing of two rows fits on one.
    harmless = action == PAGED[1] and fault["kind"] == "duplicate_page"
    assert harmless == (result.exit_code is ExitCode.PASSED), result.causes


@pytest.mark.parametrize("action", [*PAGED, "GetSensitiveDefineRuleConfig"])
@pytest.mark.parametrize("text", ["{}", "[1]", "null", '"x"', '{"Success":true}', '{"Success":false,"Code":"500"}', "<html>", ""])
def test_nonsense_from_any_call_is_never_a_pass(action, text):
    result = decide({"action": action, "kind": "body", "text": text})

    assert ExitCode.PROTOCOL is result.exit_code
    assert any(cause.action == action for cause in result.causes)


@pytest.mark.parametrize("action", [*PAGED, "GetSensitiveDefineRuleConfig"])
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"kind": "status", "status": 500, "code": "ServerError"}, ExitCode.UNAVAILABLE),
        ({"kind": "status", "status": 400, "code": "Throttling.User"}, ExitCode.UNAVAILABLE),
        ({"kind": "status", "status": 400, "code": "SomethingNew"}, ExitCode.PROTOCOL),
        ({"kind": "status", "status": 403, "code": "InvalidSecurityToken.Expired"}, ExitCode.UNAUTHORIZED),
        ({"kind": "body", "text": "<html>", "status": 502}, ExitCode.UNAVAILABLE),
        ({"kind": "redirect", "location": "http://127.0.0.1:1/"}, ExitCode.PROTOCOL),
        ({"kind": "close"}, ExitCode.UNAVAILABLE),
        ({"kind": "truncate"}, ExitCode.UNAVAILABLE),
    ],
    ids=str,
)
def test_a_call_that_fails_to_the_end_has_its_code(action, fault, code):
    result = decide({"action": action, **fault}, seconds=2.0)

    # Coverage and whitelists that the caller may not see are a warning by default.
    may_be_refused = code is ExitCode.UNAUTHORIZED and action in {PAGED[3], "GetSensitiveDefineRuleConfig"}
    assert (ExitCode.PASSED if may_be_refused else code) is result.exit_code, result.causes


@pytest.mark.parametrize("action", [*PAGED, "GetSensitiveDefineRuleConfig"])
@pytest.mark.parametrize(
    "kind", [{"kind": "status", "status": 503}, {"kind": "close"}, {"kind": "truncate"}, {"kind": "body", "text": "<html>"}], ids=str
)
def test_a_fault_that_passes_is_waited_out(action, kind):
    result = decide({"action": action, "times": 2, **kind})

    assert ExitCode.PASSED is result.exit_code, result.causes
    assert ROWS == len(result.verdict.decisions)


@pytest.mark.parametrize("field", ["FilePath", "SensitiveFileKey", "RiskLevel"])
@pytest.mark.parametrize("value", [None, 7, [], {}, "", "absent"], ids=str)
def test_a_row_without_what_it_must_hold_is_never_a_pass(field, value):
    if field == "FilePath" and value == "":
        return  # a text all the same: the finding is judged by its key
    fault = {"action": PAGED[2], "kind": "set_field", "field": field} | ({"absent": True} if value == "absent" else {"value": value})

    assert ExitCode.PROTOCOL is decide(fault).exit_code


def test_alike_rows_that_a_capped_page_size_tears_apart_are_still_believed():
    twins = {"key": "sqlite", "path": "/x.db", "risk_level": "low", "md5": "b" * 32, "times": 12}

    result = decide(images=[image(twins)], quirks={"page_size_cap": 10})

    assert ExitCode.PASSED is result.exit_code, result.causes
    assert list(range(1, 13)) == [decision.finding.ordinal for decision in result.verdict.decisions]


def test_the_digest_is_the_one_that_was_asked_for():
    assert DIGEST == decide().image.digest
