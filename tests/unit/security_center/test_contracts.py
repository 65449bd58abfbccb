"""What an answer must hold before anything is concluded from it."""

from __future__ import annotations

import copy
import json

import pytest

from ci_gate.errors import ProtocolError
from ci_gate.security_center.contracts import judge, parse_json, to_int

FILES = "DescribeImageSensitiveFileByKey"
GOOD = {
    "SensitiveFileList": [{"FilePath": "/a", "SensitiveFileKey": "pem", "RiskLevel": "high", "Promt": "CANARY", "Md5": None}],
    "PageInfo": {"CurrentPage": 1, "PageSize": 20, "TotalCount": 1},
    "Success": True,
    "Code": "200",
}


def _broken(path, value):
    body = copy.deepcopy(GOOD)
    target = body
    for part in path[:-1]:
        target = target[part]
    if value is KeyError:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return body


def test_an_answer_that_keeps_its_contract_is_accepted():
    answer = judge(FILES, GOOD, "R-1", 5)

    assert (1, 1, "R-1", 5) == (len(answer.rows), answer.page_info.total, answer.request_id, answer.server_ms)


def test_a_task_that_runs_may_have_an_empty_time_of_its_end():
    rows = [{"Status": "PROCESSING", "StartTime": 7, "FinishTime": ""}]

    assert 1 == len(judge("DescribeImageLatestScanTask", {"Task": rows}, "R-1", 5).rows)
    with pytest.raises(ProtocolError):
        judge("DescribeImageLatestScanTask", {"Task": [{**rows[0], "FinishTime": "soon"}]}, "R-1", 5)


def test_numbers_that_come_as_text_are_numbers():
    body = _broken(("PageInfo",), {"CurrentPage": "1", "PageSize": "20", "TotalCount": "1"})

    assert 1 == judge(FILES, body, None, None).page_info.total


@pytest.mark.parametrize("body", [None, [], [1], "x", 1, True, {}, {"Success": True}, {"Success": True, "Code": "200"}])
def test_what_is_no_answer_is_refused_by_name_of_the_call(body):
    with pytest.raises(ProtocolError) as caught:
        judge(FILES, body, "R-1", None)

    assert (FILES, "R-1") == (caught.value.cause.action, caught.value.cause.request_id)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("Success",), KeyError, "Success is missing"),
        (("Success",), False, "Success is not true"),
        (("Success",), 1, "Success is not true"),
        (("Code",), KeyError, "Code is not 200"),
        (("Code",), "500", "Code is not 200"),
        (("SensitiveFileList",), KeyError, "SensitiveFileList is missing"),
        (("SensitiveFileList",), None, "SensitiveFileList is null"),
        (("SensitiveFileList",), {}, "SensitiveFileList is an object"),
        (("SensitiveFileList", 0), "x", "SensitiveFileList[1] is a text"),
        (("SensitiveFileList", 0, "FilePath"), KeyError, "FilePath is missing"),
        (("SensitiveFileList", 0, "FilePath"), 7, "FilePath is a number"),
        (("SensitiveFileList", 0, "SensitiveFileKey"), "", "SensitiveFileKey is an empty text"),
        (("SensitiveFileList", 0, "RiskLevel"), None, "RiskLevel is null"),
        (("SensitiveFileList", 0, "RiskLevel"), 3, "RiskLevel is a number"),
        (("SensitiveFileList", 0, "Md5"), 3, "Md5 is a number"),
        (("SensitiveFileList", 0, "LastScanTime"), "soon", "LastScanTime is a text"),
        (("PageInfo",), KeyError, "PageInfo is missing"),
        (("PageInfo",), "oops", "PageInfo is a text"),
        (("PageInfo", "TotalCount"), KeyError, "TotalCount is missing"),
        (("PageInfo", "TotalCount"), -1, "TotalCount is a number"),
        (("PageInfo", "TotalCount"), 1.5, "TotalCount is a fraction"),
        (("PageInfo", "TotalCount"), True, "TotalCount is a truth value"),
        (("PageInfo", "CurrentPage"), None, "CurrentPage is null"),
    ],
)
def test_each_broken_field_is_named(path, value, said):
    with pytest.raises(ProtocolError) as caught:
        judge(FILES, _broken(path, value), None, None)

    assert said in caught.value.cause.what


def test_no_value_of_an_answer_is_quoted():
    body = _broken(("SensitiveFileList", 0, "RiskLevel"), {"CANARY": "CANARY"})

    with pytest.raises(ProtocolError) as caught:
        judge(FILES, body, None, None)

    assert "CANARY" not in caught.value.cause.sentence


@pytest.mark.parametrize(
    "raw",
    [b"", b"<html>", b"{", b'{"a":1,"a":2}', b'{"a":NaN}', b"\xff\xfe", b'{"a":' + b"[" * 100_000, b"9" * 10_000, b'{"a":1} x'],
)
def test_what_is_not_strict_json_is_a_value_error_without_the_body(raw):
    with pytest.raises(ValueError, match=r".") as caught:
        parse_json(raw)

    assert "html" not in str(caught.value)


def test_json_of_the_service_is_read_with_its_surrogates_and_a_bom():
    assert {"a": "\ud800"} == parse_json(b"\xef\xbb\xbf" + json.dumps({"a": "\ud800"}).encode())


@pytest.mark.parametrize(
    ("value", "number"),
    [(7, 7), ("7", 7), ("-7", -7), (True, None), (7.0, None), ("7.0", None), ("\u0667", None), (2**80, None), ("", None)],
)
def test_only_whole_numbers_are_numbers(value, number):
    assert number == to_int(value)
