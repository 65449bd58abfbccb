"""What the calls answer: parameters, paging, images, rules, quirks. No sockets."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from ci_gate.emulator.calls import CALLS, answer
from ci_gate.emulator.fields import Action
from ci_gate.emulator.refusals import RefusalError
from ci_gate.emulator.state import State
from ci_gate.emulator.world import parse_world

LIST, BY_KEY, INSTANCES = "DescribeImageSensitiveFileList", "DescribeImageSensitiveFileByKey", "DescribeImageInstances"
IMAGE = "images:\n  - reference: registry.example.com/shop/api:1\n    uuid: u1\n    digest: " + "a" * 64 + "\n"
FILES = IMAGE + "    generate: {count: 10, keys: [pem, sqlite], risk_levels: [high, low]}\n"
NOW_MS = 1_700_000_000_000


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def start(text: str, clock: Clock | None = None) -> State:
    return State(parse_world(text.encode()), clock or Clock(), NOW_MS)


def ask(state: State, action: str, **given: str) -> dict:
    return answer(state, action, given.items(), state.faults.due(action, given), "R-1")


def refused(state: State, action: str, **given: str) -> tuple[int, str]:
    with pytest.raises(RefusalError) as caught:
        ask(state, action, **given)
    return caught.value.status, caught.value.code


def paths(body: dict) -> list[str]:
    return [row["FilePath"] for row in body["SensitiveFileList"]]


# --- parameters ---


def test_every_action_that_a_world_file_can_name_is_answered():
    assert set(CALLS) == set(get_args(Action)) - {"*"}


@pytest.mark.parametrize(
    ("action", "given", "expected"),
    [
        ("DescribeNothing", {}, (404, "InvalidAction.NotFound")),
        (LIST, {}, (400, "MissingImageUuid")),
        (BY_KEY, {"ImageUuid": ""}, (400, "MissingImageUuid")),
        ("DescribeImageInfoList", {}, (400, "MissingUuids")),
        (LIST, {"ImageUuid": "u1", "Colour": "red"}, (400, "InvalidParameter")),
        (LIST, {"ImageUuid": "u1", "SensitiveFileKey": "pem"}, (400, "InvalidParameter")),
        (LIST, {"ImageUuid": "u1", "PageSize": "0"}, (400, "InvalidParameter")),
        (LIST, {"ImageUuid": "u1", "PageSize": "99999999999"}, (400, "InvalidParameter")),
        (LIST, {"ImageUuid": "u1", "CurrentPage": "one"}, (400, "InvalidParameter")),
        (LIST, {"ImageUuid": "u1", "CurrentPage": "-1"}, (400, "InvalidParameter")),
        (LIST, {"ImageUuid": "u1", "Lang": "fr"}, (400, "InvalidParameter")),
        (LIST, {"ImageUuid": "u1", "ScanRange": "image"}, (400, "InvalidParameter")),
        (LIST, {"ImageUuid": "u1", "ScanRange": '["host"]'}, (400, "InvalidParameter")),
        (INSTANCES, {"Criteria": "{}"}, (400, "InvalidParameter")),
        (INSTANCES, {"Criteria": '[{"name":"colour","value":"red"}]'}, (400, "InvalidParameter")),
        (INSTANCES, {"Scanned": "maybe"}, (400, "InvalidParameter")),
    ],
)
def test_parameters_are_read_strictly(action, given, expected):
    assert refused(start(IMAGE), action, **given) == expected


def test_a_parameter_that_is_given_twice_is_refused():
    with pytest.raises(RefusalError, match="given twice"):
        answer(start(IMAGE), LIST, [("ImageUuid", "u1"), ("ImageUuid", "u2")], (), "R-1")


# --- findings ---


def test_pages_hold_every_row_once():
    state = start(FILES)
    pages = [ask(state, BY_KEY, ImageUuid="u1", PageSize="4", CurrentPage=str(number)) for number in range(1, 5)]

    assert [body["PageInfo"] for body in pages] == [
        {"CurrentPage": number, "PageSize": 4, "TotalCount": 10, "Count": count} for number, count in ((1, 4), (2, 4), (3, 2), (4, 0))
    ]
    assert len({path for body in pages for path in paths(body)}) == 10


def test_the_default_page_is_20_rows():
    assert ask(start(IMAGE), LIST, ImageUuid="u1")["PageInfo"] == {"CurrentPage": 1, "PageSize": 20, "TotalCount": 0, "Count": 0}


def test_the_frame_of_an_answer_is_the_documented_one():
    body = ask(start(IMAGE), BY_KEY, ImageUuid="nobody")

    assert {name: body[name] for name in ("Success", "Code", "Message", "RequestId", "HttpStatusCode")} == {
        "Success": True,
        "Code": "200",
        "Message": "successful",
        "RequestId": "R-1",
        "HttpStatusCode": 200,
    }
    assert {"Success", "Code"}.isdisjoint(ask(start(IMAGE), INSTANCES))


def test_the_listing_has_a_row_a_key():
    rows = ask(start(FILES), LIST, ImageUuid="u1", Lang="en")["SensitiveFileList"]

    assert [(row["SensitiveFileKey"], row["Count"], row["UnprocessedNum"], row["RiskLevel"], row["Status"]) for row in rows] == [
        ("pem", 5, 5, "high", 0),
        ("sqlite", 5, 5, "low", 0),
    ]


def test_the_listing_can_be_filtered():
    state = start(FILES)

    assert [row["SensitiveFileKey"] for row in ask(state, LIST, ImageUuid="u1", RiskLevel="low")["SensitiveFileList"]] == ["sqlite"]
    assert [row["SensitiveFileKey"] for row in ask(state, LIST, ImageUuid="u1", Criteria="PEM")["SensitiveFileList"]] == ["pem"]


def test_a_key_has_its_rows_only():
    body = ask(start(FILES), BY_KEY, ImageUuid="u1", SensitiveFileKey="pem")

    assert {row["SensitiveFileKey"] for row in body["SensitiveFileList"]} == {"pem"}
    assert body["PageInfo"]["TotalCount"] == 5


def test_a_row_has_every_documented_field_and_an_excerpt():
    (row, *_) = ask(start(FILES + "quirks: {canary: CANARY-}\n"), BY_KEY, ImageUuid="u1")["SensitiveFileList"]

    assert set(row) == {
        "FilePath", "LayerDigest", "Promt", "Advice", "RiskLevel", "SensitiveFileKey", "SensitiveFileName",
        "FirstScanTime", "LastScanTime", "Description", "Md5",
    }  # fmt: skip
    assert row["Promt"].startswith("CANARY-")
    assert row["LastScanTime"] == NOW_MS - 7_200_000


def test_names_are_chinese_unless_english_is_asked_for():
    state = start(IMAGE + "    findings: [{key: rsa_private_key, path: /k}]\n")
    names = [ask(state, BY_KEY, ImageUuid="u1", **lang)["SensitiveFileList"][0]["SensitiveFileName"] for lang in ({}, {"Lang": "en"})]

    assert names == ["RSA私钥", "RSA private key"]


def test_findings_of_containers_are_shown_only_where_they_are_asked_for():
    state = start(IMAGE + "    findings: [{key: pem, path: /i}, {key: pem, path: /c, found_in: container}]\n")
    ranges = ('["image"]', '["container"]', '["image","container"]')

    assert [paths(ask(state, BY_KEY, ImageUuid="u1", ScanRange=one)) for one in ranges] == [["/i"], ["/c"], ["/i", "/c"]]


def test_a_key_may_be_missing_from_the_listing():
    state = start(FILES + "    unlisted_keys: [pem]\n")

    assert [row["SensitiveFileKey"] for row in ask(state, LIST, ImageUuid="u1")["SensitiveFileList"]] == ["sqlite"]
    assert ask(state, BY_KEY, ImageUuid="u1")["PageInfo"]["TotalCount"] == 10


def test_the_scan_does_not_find_what_is_switched_off():
    state = start(FILES + "rules_off: [pem]\n")

    assert ask(state, BY_KEY, ImageUuid="u1", SensitiveFileKey="pem")["SensitiveFileList"] == []


def test_findings_may_come_later_than_success():
    state = start(FILES + "    findings_after_calls: 1\n")

    assert [ask(state, LIST, ImageUuid="u1")["PageInfo"]["TotalCount"] for _ in range(2)] == [0, 2]


# --- quirks ---


def test_a_key_may_be_mandatory():
    assert refused(start(FILES + "quirks: {key_optional: false}\n"), BY_KEY, ImageUuid="u1") == (400, "MissingSensitiveFileKey")


@pytest.mark.parametrize(("echoed", "size"), [("true", 3), ("false", 8)])
def test_the_page_size_may_be_capped(echoed, size):
    body = ask(start(FILES + f"quirks: {{page_size_cap: 3, cap_echoed: {echoed}}}\n"), BY_KEY, ImageUuid="u1", PageSize="8")

    assert (len(paths(body)), body["PageInfo"]["PageSize"], body["PageInfo"]["TotalCount"]) == (3, size, 10)


def test_numbers_may_come_as_text():
    body = ask(start(FILES + "quirks: {numbers_as_text: true}\n"), LIST, ImageUuid="u1")

    assert body["PageInfo"]["TotalCount"] == "2"
    assert body["SensitiveFileList"][0]["Count"] == "5"
    assert body["Success"] is True


def test_digests_may_have_their_prefix():
    state = start(FILES + "quirks: {digest_prefix: true}\n")

    assert ask(state, INSTANCES)["ImageInstanceList"][0]["Digest"] == "sha256:" + "a" * 64
    assert ask(state, BY_KEY, ImageUuid="u1")["SensitiveFileList"][0]["LayerDigest"].startswith("sha256:")


@pytest.mark.parametrize(("rows", "expected"), [("shown", ["/a", "/b"]), ("hidden", ["/b"])])
def test_ignored_findings_are_shown_or_hidden(rows, expected):
    found = "    findings: [{key: pem, path: /a}, {key: pem, path: /b}]\n"
    ignored = "whitelists: [{event_key: PEM, conditions: [{condition: PATH, value: /a}]}]\n"
    state = start(IMAGE + found + ignored + f"quirks: {{whitelisted_rows: {rows}}}\n")

    assert paths(ask(state, BY_KEY, ImageUuid="u1")) == expected
    assert ask(state, LIST, ImageUuid="u1")["SensitiveFileList"][0]["UnprocessedNum"] == 1


def test_calls_too_many_are_throttled_until_time_passes():
    clock = Clock()
    state = start("quirks: {rate_limit: {per_second: 2}}\n", clock)
    state.take_call()
    state.take_call()
    with pytest.raises(RefusalError) as caught:
        state.take_call()

    assert (caught.value.status, caught.value.code, caught.value.headers) == (400, "Throttling.User", {"x-acs-retry-after": "500"})
    clock.now = 0.5
    state.take_call()


def test_a_nonce_counts_once():
    state = start("region: cn-shanghai\n")
    state.use_nonce("n")

    with pytest.raises(RefusalError, match="SignatureNonceUsed"):
        state.use_nonce("n")


# --- images ---


def test_criteria_match_parts_of_values():
    text = IMAGE + "  - reference: registry.example.com/shop/api-admin:1\n    digest: " + "b" * 64 + "\n"
    rows = ask(start(text), INSTANCES, Criteria='[{"name":"repoName","value":"api"}]')["ImageInstanceList"]

    assert [row["RepoName"] for row in rows] == ["api", "api-admin"]


@pytest.mark.parametrize(("logic", "count"), [("AND", 0), ("OR", 1)])
def test_criteria_are_combined_as_asked(logic, count):
    criteria = '[{"name":"repoName","value":"api"},{"name":"digest","value":"bbb"}]'

    assert ask(start(IMAGE), INSTANCES, Criteria=criteria, LogicalExp=logic)["PageInfo"]["TotalCount"] == count


def test_a_row_of_an_image_has_the_documented_types():
    (row,) = ask(start(IMAGE), INSTANCES)["ImageInstanceList"]

    assert row["Endpoints"] == '["registry.example.com"]'
    assert [type(row[name]) for name in ("ImageCreate", "ImageUpdate", "ImageSize", "LastScanTime", "ScaProgress")] == [
        str,
        str,
        str,
        int,
        int,
    ]
    assert (row["Digest"], row["RepoNamespace"], row["Tag"], row["ScaStatus"]) == ("a" * 64, "shop", "1", "SUCCESS")


def test_numbers_are_numbers_in_the_list_by_uuid():
    (info,) = ask(start(IMAGE), "DescribeImageInfoList", Uuids="u1,u9,u1")["ImageInfos"]

    assert [type(info[name]) for name in ("ImageCreate", "ImageUpdate", "ImageSize")] == [int, int, int]


def test_no_namespace_is_written_as_not_applicable():
    text = IMAGE.replace("registry.example.com/shop/api", "registry.example.com/api")

    assert ask(start(text), INSTANCES)["ImageInstanceList"][0]["RepoNamespace"] == "N/A"


def test_an_image_that_was_never_scanned_has_no_field_of_a_scan():
    (row,) = ask(start(IMAGE + "    scan: [{status: null}]\n"), INSTANCES)["ImageInstanceList"]

    assert {"ScaStatus", "ScaProgress", "ScaResult", "LastScanTime"}.isdisjoint(row)


def test_every_tag_is_a_row_of_the_same_image():
    rows = ask(start(IMAGE + "    also_tagged: [latest]\n"), INSTANCES)["ImageInstanceList"]

    assert [(row["Tag"], row["Uuid"]) for row in rows] == [("1", "u1"), ("latest", "u1")]


def test_a_scan_moves_on_by_calls_and_findings_come_with_its_end():
    state = start(FILES + "    scan: [{status: START, for_calls: 2}, {status: SUCCESS}]\n")
    seen = []
    for _ in range(3):
        status = ask(state, INSTANCES)["ImageInstanceList"][0]["ScaStatus"]
        seen.append((status, ask(state, BY_KEY, ImageUuid="u1")["PageInfo"]["TotalCount"]))

    assert seen == [("START", 0), ("START", 0), ("SUCCESS", 10)]


def test_a_scan_moves_on_by_time():
    clock = Clock()
    state = start(IMAGE + "    scan: [{status: START, for_seconds: 5}, {status: SUCCESS}]\n", clock)
    before = ask(state, INSTANCES)["ImageInstanceList"][0]["ScaStatus"]
    clock.now = 5.0

    assert [before, ask(state, INSTANCES)["ImageInstanceList"][0]["ScaStatus"]] == ["START", "SUCCESS"]


def test_a_fresh_push_is_listed_late():
    state = start(IMAGE + "    listed_after_calls: 1\n")

    assert [ask(state, INSTANCES)["PageInfo"]["TotalCount"] for _ in range(2)] == [0, 1]


# --- the account ---


def test_the_rule_tree_tells_which_rules_are_off_and_leaves_out_absent_ones():
    state = start("rules_off: [pem]\nrules_absent: [sqlite]\nrules_extra: [ak_leak]\n")
    data = ask(state, "GetSensitiveDefineRuleConfig", Source="image")["Data"]
    rules = {rule["RuleKey"]: rule["Selected"] for branch in data["RuleTree"] for rule in branch["RuleList"]}

    assert (rules["pem"], rules["ak_leak"], "sqlite" in rules) == (False, True, False)
    assert (data["RuleCount"], data["SelectedCount"], len(rules)) == (112, 111, 112)


def test_whitelists_are_listed_with_their_conditions_as_text():
    state = start("whitelists: [{event_key: PEM, conditions: [{condition: MD5, value: abc}], scenario: {type: repo, value: shop/api}}]\n")
    data = ask(state, "DescribeImageEventOperationPage", EventType="sensitiveFile")["Data"]

    assert data["PageInfo"] == {"CurrentPage": 1, "PageSize": 20, "TotalCount": 1}
    assert json.loads(data["List"][0]["Conditions"]) == [{"condition": "MD5", "type": "equals", "value": "abc"}]
    assert json.loads(data["List"][0]["Scenarios"]) == {"type": "repo", "value": "shop/api"}


def test_the_criteria_can_be_discovered():
    names = [row["Name"] for row in ask(start(IMAGE), "DescribeImageCriteria")["CriteriaList"]]

    assert {"digest", "tag", "repoName"} <= set(names)
