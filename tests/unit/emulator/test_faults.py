"""Faults that change pages and fields, and when faults apply. Those on the wire are tested over loopback."""

from __future__ import annotations

import pytest

from ci_gate.emulator.calls import answer
from ci_gate.emulator.state import State
from ci_gate.emulator.world import parse_world

BY_KEY = "DescribeImageSensitiveFileByKey"
IMAGE = (
    "images:\n  - reference: registry.example.com/shop/api:1\n    uuid: u1\n    digest: " + "a" * 64 + "\n    findings:\n"
    "      [{key: pem, path: a}, {key: pem, path: b}, {key: pem, path: c}, {key: pem, path: d}, {key: pem, path: e}]\n"
)


def start(fault: str) -> State:
    return State(parse_world(f"{IMAGE}faults: [{{{fault}}}]\n".encode()))


def ask(state: State, page: int = 1, **more: str) -> dict:
    given = {"ImageUuid": "u1", "PageSize": "2", "CurrentPage": str(page), **more}
    return answer(state, BY_KEY, given.items(), state.faults.due(BY_KEY, given), "R-1")


def pages(state: State) -> list[str]:
    return ["".join(row["FilePath"] for row in ask(state, number)["SensitiveFileList"]) for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("kind: empty_page, page: 2", ["ab", "", "e"]),
        ("kind: short_page, page: 1, rows: 1", ["a", "cd", "e"]),
        ("kind: duplicate_page, page: 2", ["ab", "ab", "e"]),
        ("kind: duplicate_page, page: 3", ["ab", "cd", "cd"]),
        ("kind: shift_page, page: 2, rows: 1", ["ab", "de", "e"]),
        ("kind: shift_page, page: 2, rows: -1", ["ab", "bc", "e"]),
        ("kind: reverse_rows, page: 2", ["ab", "cb", "e"]),
        ("kind: reverse_rows, action: DescribeImageInstances", ["ab", "cd", "e"]),
        ("kind: empty_page, key: pem", ["ab", "cd", "e"]),
        ("kind: empty_page, key: ''", ["", "", ""]),
        ("kind: empty_page, image_uuid: u2", ["ab", "cd", "e"]),
        ("kind: empty_page, from_call: 2", ["ab", "", ""]),
        ("kind: empty_page, from_call: 2, times: 1", ["ab", "", "e"]),
        ("kind: empty_page, times: 1", ["", "cd", "e"]),
    ],
)
def test_page_faults_change_the_rows_of_the_pages_that_they_hit(fault, expected):
    assert pages(start(fault)) == expected


@pytest.mark.parametrize(("by", "total"), [(2, 7), (-2, 3)])
def test_the_total_can_be_wrong(by, total):
    assert ask(start(f"kind: total, by: {by}"))["PageInfo"]["TotalCount"] == total


def test_a_field_of_the_first_row_can_have_any_value():
    rows = ask(start("kind: set_field, field: RiskLevel, value: {odd: [1]}"))["SensitiveFileList"]

    assert [row["RiskLevel"] for row in rows] == [{"odd": [1]}, "high"]


def test_a_field_can_be_absent_from_every_row():
    rows = ask(start("kind: set_field, field: FilePath, absent: true, where: every_row"))["SensitiveFileList"]

    assert ["FilePath" in row for row in rows] == [False, False]


def test_a_field_of_the_answer_can_be_set_or_dropped():
    assert ask(start("kind: set_field, field: PageInfo.CurrentPage, value: 9, where: answer"))["PageInfo"]["CurrentPage"] == 9
    assert "SensitiveFileList" not in ask(start("kind: drop_field, field: SensitiveFileList"))
    assert "TotalCount" not in ask(start("kind: drop_field, field: PageInfo.TotalCount"))["PageInfo"]


def test_a_field_fault_does_not_outlive_its_call():
    state = start("kind: set_field, field: FilePath, value: x, times: 1")

    assert [ask(state)["SensitiveFileList"][0]["FilePath"] for _ in range(2)] == ["x", "a"]


def test_faults_add_up():
    state = start("kind: short_page, rows: 1}, {kind: total, by: -1")
    body = ask(state)

    assert (len(body["SensitiveFileList"]), body["PageInfo"]["TotalCount"]) == (1, 4)
