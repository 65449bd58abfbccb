"""The law of the gate over every call and every fault: it passes only if it has read everything that there is."""

from __future__ import annotations

import json
import time
from datetime import date

import pytest
from support import DIGEST, REFERENCE, Impatient, image

from ci_gate.catalog import catalog_keys
from ci_gate.emulator.app import serve
from ci_gate.emulator.world import parse_world
from ci_gate.errors import ExitCode
from ci_gate.gate import Asked, Judging, decide_image
from ci_gate.model import ImageReference, SourceInfo
from ci_gate.policy.effective import Judges
from ci_gate.policy.language.load import parse_policy
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


def decide(*faults: dict, seconds: float = 6.0, images=(IMAGE,), policy=POLICY, asked=ASKED, **world):
    parsed = parse_world(json.dumps({"version": 1, "images": list(images), "faults": list(faults), **world}).encode())
    with serve(parsed) as served:
        endpoint = parse_endpoint(served.address, allow_any=False)
        key = AccessKey(served.access_key_id, served.access_key_secret, served.security_token)
        transport, url = connect(endpoint, served.region, key, lambda _: None)
        source = SecurityCenter(transport, SourceInfo("emulated", url), ScanRange(), lambda _: None)
        return decide_image(source, asked, Judging(Judges(policy), date(2026, 11, 24)), Impatient(seconds))


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
    # An account that does not tell its criteria is asked for the whole repository, which has several pages.
    no_criteria = {"action": "DescribeImageCriteria", "kind": "status", "status": 403, "code": "NoPermission"}

    result = decide({"action": action, **fault}, no_criteria, images=images if action == PAGED[0] else [IMAGE])

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

    assert code is result.exit_code, result.causes


@pytest.mark.parametrize("action", [PAGED[3], "GetSensitiveDefineRuleConfig"])
def test_settings_that_the_caller_may_not_read_are_a_warning(action):
    result = decide(account={"deny_actions": [action]})

    assert ExitCode.PASSED is result.exit_code, result.causes
    assert [f"yundun-sas:{action}" in proof.detail for proof in result.evidence if proof.state == "unknown"] == [True]


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


FILES, KEYS_CALL = PAGED[2], PAGED[1]


def _state(result, name):
    return next(proof for proof in result.evidence if proof.name == name)


def test_a_total_of_the_second_route_that_belies_its_rows_is_never_a_pass():
    result = decide(
        {"action": KEYS_CALL, "kind": "empty_page"},
        {"action": KEYS_CALL, "kind": "total", "by": -len(KEYS)},
        {"action": FILES, "key": "", "kind": "total", "by": -ROWS},
    )

    assert ExitCode.INCOMPLETE is result.exit_code, result.causes
    assert result.verdict.decisions  # the rows of the page that was seen are judged


@pytest.mark.parametrize("action", PAGED)
@pytest.mark.parametrize("field", ["FilePath", "SensitiveFileKey", "Uuid"])
def test_a_field_of_another_call_more_is_no_row_of_that_call(action, field):
    fault = {"action": action, "kind": "set_field", "where": "every_row", "field": field, "value": 7}

    assert decide(fault).exit_code in {ExitCode.PASSED, ExitCode.PROTOCOL}


def test_a_key_that_is_listed_twice_is_seen_whatever_other_fields_its_row_has():
    listing = {"action": PAGED[1], "kind": "set_field", "where": "every_row"}
    twice = {**listing, "field": "SensitiveFileKey", "value": "sqlite", "times": 1}
    more = {**listing, "field": "FilePath", "value": "/x"}
    keys = [{"key": key, "path": "/x", "risk_level": "low"} for key in ("sqlite", "pem")]

    result = decide(twice, more, images=[image(*keys)], policy=DENYING)

    assert ExitCode.BLOCKED is result.exit_code
    assert dict(_state(result, "complete").figures)["read_again"]


@pytest.mark.parametrize("figures", [[], ["UnprocessedNum"], ["UnprocessedNum", "Count"]], ids=str)
def test_a_key_that_is_listed_and_yields_nothing_is_never_a_pass(figures):
    dropped = [{"action": KEYS_CALL, "kind": "set_field", "where": "every_row", "field": name, "absent": True} for name in figures]
    nothing = [
        fault
        for key in (*KEYS, "")
        for fault in (
            {"action": FILES, "key": key, "kind": "empty_page"},
            {"action": FILES, "key": key, "kind": "total", "by": -ROWS if key == "" else -ROWS // 2},
        )
    ]

    assert ExitCode.INCOMPLETE is decide(*dropped, *nothing).exit_code


def test_files_of_another_key_cannot_be_trusted_whatever_the_policy_accepts():
    fault = {"action": FILES, "key": "sqlite", "kind": "set_field", "where": "every_row", "field": "SensitiveFileKey", "value": "pem"}

    assert ExitCode.PROTOCOL is decide(fault).exit_code


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "MissingSensitiveFileKey", ExitCode.PASSED),
        (400, "InvalidParameter", ExitCode.PASSED),
        (400, "InvalidParameter.ImageUuid", ExitCode.PROTOCOL),
        (400, "InvalidImageUuid.NotFound", ExitCode.PROTOCOL),
        (404, "InvalidAction.NotFound", ExitCode.PROTOCOL),
        (409, "Conflict", ExitCode.PROTOCOL),
        (413, "TooLarge", ExitCode.PROTOCOL),
    ],
)
def test_the_second_route_may_be_refused_for_want_of_a_key_and_for_nothing_else(status, code, expected):
    result = decide({"action": FILES, "key": "", "kind": "status", "status": status, "code": code})

    assert expected is result.exit_code, result.causes
    if expected is ExitCode.PASSED:
        assert "refused" in _state(result, "consistent").detail


@pytest.mark.parametrize("body", [{"Success": False}, {"Success": "false"}, {"Code": "500"}, {"HttpStatusCode": 500}], ids=str)
def test_an_answer_that_says_that_it_failed_is_believed(body):
    name, value = next(iter(body.items()))
    fault = {"action": PAGED[0], "kind": "set_field", "where": "answer", "field": name, "value": value}

    assert ExitCode.PROTOCOL is decide(fault).exit_code


@pytest.mark.parametrize("status", [201, 202, 206])
def test_only_http_200_is_an_answer(status):
    assert ExitCode.PROTOCOL is decide({"action": KEYS_CALL, "kind": "body", "status": status, "text": "{}"}).exit_code


def test_other_rules_that_are_off_are_a_warning_where_thresholds_count():
    proof = _state(decide(rules_off=["pem"]), "covered")

    assert ("unknown", None) == (proof.state, proof.cause)


def test_a_rule_of_an_unknown_key_that_is_off_is_never_a_pass():
    assert ExitCode.INCOMPLETE is decide(rules_extra=["alibabacloud_ak"], rules_off=["alibabacloud_ak"]).exit_code


def test_a_page_that_is_served_again_with_other_times_is_noticed():
    times = {"action": FILES, "kind": "set_field", "where": "every_row", "field": "LastScanTime"}
    faults = [{"kind": "duplicate_page", "page": 2}, {**times, "page": 1, "value": 1}, {**times, "page": 2, "value": 2}]
    one = image(generate={"count": 200, "seed": 3, "keys": ["sqlite"]})

    assert ExitCode.INCOMPLETE is decide(*({"action": FILES, **fault} for fault in faults), images=[one]).exit_code


def test_a_made_up_total_ends_in_time():
    started = time.monotonic()

    result = decide(
        {"action": FILES, "kind": "total", "by": 900_000},
        {"action": FILES, "kind": "set_field", "where": "answer", "field": "PageInfo.PageSize", "value": 1},
        seconds=3.0,
    )

    assert result.exit_code is not ExitCode.PASSED
    assert time.monotonic() - started < 8


def test_a_finding_that_vanishes_between_two_looks_is_judged_and_doubted():
    one = image({"key": "sqlite", "path": "/x.db", "risk_level": "low"})
    gone = [{"kind": "empty_page", "from_call": 2}, {"kind": "total", "by": -1, "from_call": 2}]

    result = decide(
        *({"action": KEYS_CALL, **fault} for fault in gone), *({"action": FILES, "key": "", **fault} for fault in gone), images=[one]
    )

    assert ExitCode.INCOMPLETE is result.exit_code, result.causes
    assert ["/x.db"] == [decision.finding.path for decision in result.verdict.decisions]


def test_rows_of_one_image_that_tell_of_different_scans_are_never_a_pass():
    tagged = image(also_tagged=["stable"])
    fault = {"action": PAGED[0], "kind": "set_field", "field": "ScaStatus", "value": "FAIL"}

    assert ExitCode.INCOMPLETE is decide(fault, images=[tagged]).exit_code


@pytest.mark.parametrize(("endpoints", "told"), [(None, "told"), ([], "not told")])
def test_the_identity_says_whether_the_service_names_the_registry(endpoints, told):
    proof = _state(decide(images=[image(endpoints=endpoints)]), "identity")

    assert ("registry", told) in proof.figures


def test_a_scan_time_in_the_future_is_no_age():
    policy = "version: 1\nname: p\nthresholds: {total: 1}\nevidence: {max_scan_age: 1h, settle: 0s}\n"
    future = {"action": PAGED[0], "kind": "set_field", "where": "every_row", "field": "LastScanTime", "value": 4_102_444_800_000}

    strict = parse_policy(policy, origin="policy.yaml", default_name="p").policy
    result = decide(future, images=[image()], policy=strict, seconds=2.0)

    assert ExitCode.INCOMPLETE is result.exit_code, result.causes


# --- what a service says once is not forgotten: answers by their turn ---

DENYING = parse_policy("version: 1\nname: p\ndeny: {keys: [pem]}\nevidence: {settle: 0s}\n", origin="policy.yaml", default_name="p").policy
CLEAN = image()


def _answer(rows, total, *, page=1, size=100):
    info = {"CurrentPage": page, "PageSize": size, "TotalCount": total}
    return json.dumps({"SensitiveFileList": rows, "PageInfo": info, "Success": True, "Code": "200"})


def _turn(action, number, text, **where):
    return {"action": action, "from_call": number, "times": 1, "kind": "body", "text": text, **where}


FILE = {"FilePath": "/k.pem", "SensitiveFileKey": "pem", "RiskLevel": "low"}
KEY = {"SensitiveFileKey": "pem", "Count": 3, "UnprocessedNum": 3}
NOTHING = _answer([], 0)


def test_a_denied_file_that_only_the_glance_saw_blocks():
    result = decide(_turn(FILES, 1, _answer([FILE], 1, size=20), key=""), images=[CLEAN], policy=DENYING)

    assert ExitCode.BLOCKED is result.exit_code, result.causes


def test_a_denied_file_that_the_glance_saw_blocks_though_the_rest_is_refused():
    refused = {"action": FILES, "key": "", "from_call": 2, "kind": "status", "status": 403, "code": "NoPermission"}

    result = decide(_turn(FILES, 1, _answer([FILE], 1, size=20), key=""), refused, images=[CLEAN], policy=DENYING)

    assert ExitCode.BLOCKED is result.exit_code, result.causes


@pytest.mark.parametrize("turns", [{2}, {1, 2}, {1, 2, 3, 4}], ids=str)
def test_a_key_that_was_listed_once_and_yields_nothing_is_never_a_pass(turns):
    faults = [_turn(KEYS_CALL, number, _answer([KEY], 1)) for number in sorted(turns)]

    assert ExitCode.INCOMPLETE is decide(*faults, images=[CLEAN], policy=DENYING).exit_code


def test_a_listing_of_keys_that_repeats_a_page_with_other_counts_is_never_a_pass():
    many = image(generate={"count": 40, "seed": 3, "keys": list(catalog_keys()[:40])})
    other = {"kind": "set_field", "where": "every_row", "page": 2, "field": "LastScanTime", "value": 1}
    faults = ({"kind": "duplicate_page", "page": 2}, other)

    result = decide(
        *({"action": KEYS_CALL, **fault} for fault in faults), images=[many], quirks={"page_size_cap": 20, "key_optional": False}
    )

    assert ExitCode.INCOMPLETE is result.exit_code, result.causes


@pytest.mark.parametrize(
    "fault",
    [
        _turn(KEYS_CALL, 1, _answer([], 3)),
        _turn(FILES, 1, _answer([], 5, size=20), key=""),
        _turn(KEYS_CALL, 1, _answer([KEY], 1, page=7)),
    ],
    ids=["keys", "files", "echo"],
)
def test_a_total_or_a_row_that_was_there_once_is_not_forgotten(fault):
    assert ExitCode.INCOMPLETE is decide(fault, images=[CLEAN], policy=DENYING).exit_code


def test_fewer_alike_rows_than_before_are_not_believed():
    sqlite = [{**FILE, "SensitiveFileKey": "sqlite"}] * 3
    one = image({"key": "sqlite", "path": "/k.pem", "risk_level": "low", "md5": ""})

    assert ExitCode.INCOMPLETE is decide(_turn(FILES, 1, _answer(sqlite, 4), key="sqlite"), images=[one]).exit_code


def test_an_image_by_uuid_must_be_of_the_reference_in_both_lists():
    uuid = "0123456789abcdef0123456789abcdef"
    asked = Asked(REFERENCE, ImageReference.parse(REFERENCE), uuid)
    fault = {"action": PAGED[0], "kind": "set_field", "where": "every_row", "field": "RepoNamespace", "value": "other"}

    assert ExitCode.PASSED is decide(images=[image(uuid=uuid)], asked=asked).exit_code
    assert ExitCode.INCOMPLETE is decide(fault, images=[image(uuid=uuid)], asked=asked).exit_code


@pytest.mark.parametrize("field", ["LastScanTime", "ScaProgress"])
def test_rows_of_one_image_that_tell_of_another_time_are_never_a_pass(field):
    fault = {"action": PAGED[0], "kind": "set_field", "field": field, "value": 7}

    assert ExitCode.INCOMPLETE is decide(fault, images=[image(also_tagged=["stable"])]).exit_code


def test_an_answer_that_quotes_our_credentials_is_not_passed_on():
    token = "CANARY-token-1234"
    row = {**FILE, "FilePath": f"/{token}"}

    echoed = decide(_turn(FILES, 1, _answer([row], 1, size=20), key=""), images=[CLEAN], account={"security_token": token})
    named = decide({"kind": "status", "status": 400, "code": token}, images=[CLEAN], account={"security_token": token})

    assert (ExitCode.PROTOCOL, ExitCode.PROTOCOL) == (echoed.exit_code, named.exit_code)
    assert token not in repr(echoed) + repr(named)


@pytest.mark.parametrize("token", ["CANARY-token==", "CANARY/token+1"])
def test_credentials_that_an_answer_quotes_in_escapes_are_not_passed_on(token):
    escaped = "".join(f"\\u{ord(sign):04x}" for sign in token)
    for field in ({"FilePath": "/TOKEN"}, {"TOKEN": "x"}):
        text = _answer([{**FILE, **field}], 1, size=20)
        assert isinstance(text, str)

        echoed = decide(_turn(FILES, 1, text.replace("TOKEN", escaped), key=""), images=[CLEAN], account={"security_token": token})

        assert ExitCode.PROTOCOL is echoed.exit_code, echoed.causes
        assert "quotes the credentials" in repr(echoed.causes)
        assert token not in repr(echoed)


def test_a_refusal_that_says_not_authorized_is_one_for_want_of_a_permission():
    result = decide({"action": PAGED[0], "kind": "status", "status": 400, "code": "NotAuthorized"})

    assert ExitCode.UNAUTHORIZED is result.exit_code
    assert f"yundun-sas:{PAGED[0]}" == result.causes[0].permission


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 503}, {"kind": "body", "text": "<html>"}], ids=str)
def test_criteria_that_nobody_tells_leave_time_for_the_listing(fault):
    silent = {"action": "DescribeImageCriteria", **fault}

    assert ExitCode.PASSED is decide(silent, seconds=6.0).exit_code
    both = decide(silent, {"action": PAGED[0], "kind": "status", "status": 503}, seconds=3.0)
    assert (ExitCode.UNAVAILABLE, PAGED[0]) == (both.exit_code, both.causes[0].action)
    assert "the service failed" in both.causes[0].what


def test_a_page_with_more_rows_than_were_asked_for_does_not_hold_the_gate_up():
    rows = [{"SensitiveFileKey": f"key_{number}", "UnprocessedNum": 1} for number in range(20_000)]
    swollen = {"action": KEYS_CALL, "kind": "body", "text": _answer(rows, 1_000_000)}
    started = time.monotonic()

    result = decide(swollen, images=[CLEAN], seconds=3.0)

    assert result.exit_code is not ExitCode.PASSED
    assert time.monotonic() - started < 8


def test_the_identity_says_where_one_digest_has_several_entries():
    twins = [image(uuid="one"), image(uuid="two", reference="registry.example.com/shop/api:latest")]

    result = decide(images=twins)

    assert ("uuids", 2) in _state(result, "identity").figures
    assert "one" == result.image.uuid  # the entry of the tag that was asked for


# --- what `make chaos` found ---


def test_a_clock_of_the_service_that_is_ahead_does_not_make_a_fresh_scan_old():
    fresh = image(
        {"key": "pem", "path": "/k.pem", "risk_level": "low"}, scan=[{"status": "SUCCESS", "last": "now"}], findings_after_calls=2
    )

    # Both looks of the first reading come before the findings: only the second reading can see them.
    assert ExitCode.BLOCKED is decide({"kind": "clock", "seconds": 600}, images=[fresh], policy=DENYING).exit_code


def test_an_image_that_is_gone_or_was_scanned_again_when_its_findings_were_read_is_never_a_pass():
    # The look after the reading is one answer later than the one that found it.
    gone = decide(images=[image(delisted_after_calls=1)])
    again = decide(images=[image(scan=[{"status": "SUCCESS", "for_calls": 1}, {"status": "PRE_ANALYZER"}])])

    assert [ExitCode.INCOMPLETE] * 2 == [gone.exit_code, again.exit_code]
    assert "no longer listed" in gone.causes[0].what
    assert "scanned again" in again.causes[0].what


def test_what_another_entry_of_the_digest_holds_is_judged_as_well():
    key = {"key": "pem", "path": "/k.pem", "risk_level": "low"}
    other = image(key, reference="registry.example.com/shop/api:stable", uuid="ab" * 16)
    denies = parse_policy("version: 1\nname: d\ndeny: {keys: [pem]}\nevidence: {settle: 0s}\n", origin="p.yaml", default_name="p").policy

    assert ExitCode.BLOCKED is decide(images=[image(), other], policy=denies).exit_code
    assert ExitCode.BLOCKED is decide(images=[image(key), other], policy=denies).exit_code
    assert 1 == len(decide(images=[image(key), other], policy=denies).verdict.decisions)


@pytest.mark.parametrize("moment", [0, "0", 1_790_000_000])
def test_a_time_that_can_be_none_is_no_proof_that_the_scan_has_settled(moment):
    late = image({"key": "pem", "path": "/k.pem", "risk_level": "low"}, findings_after_calls=2)
    fault = {"action": PAGED[0], "kind": "set_field", "field": "LastScanTime", "value": moment}

    assert 1 == len(decide(fault, images=[late]).verdict.decisions)
