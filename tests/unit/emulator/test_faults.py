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
    return State(parse_world(f"{IMAGE}faults: [{{{fault}}}]\n".encode()), now_ms=10**12)


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


def test_a_shuffled_listing_is_in_another_order_at_each_call_and_the_same_for_the_same_seed():
    orders = [[pages(start("kind: shuffle_rows")) for _ in range(2)] for _ in range(2)]

    assert orders[0] == orders[1]
    assert pages(start("kind: shuffle_rows")) != ["ab", "cd", "e"]


def test_a_total_can_grow_while_it_is_read():
    state = start("kind: total, by: 1, each: 2")

    assert [ask(state)["PageInfo"]["TotalCount"] for _ in range(3)] == [6, 8, 10]


@pytest.mark.parametrize("how", ["type", "nulled", "absent"])
def test_one_field_that_is_drawn_is_odd(how):
    state, right = start(f"kind: odd_field, how: {how}"), ask(start("kind: delay, seconds: 0"))
    odd = [_differences(right, ask(state)) for _ in range(60)]

    assert {len(paths) for paths in odd} == {1}
    assert {"Success", "Code", "PageInfo", "PageInfo.TotalCount", "SensitiveFileList", "SensitiveFileList.FilePath"} <= set().union(*odd)


def _differences(right: object, other: object, path: str = "") -> set[str]:
    """Return the paths at which two answers differ, places in lists left out."""
    if isinstance(right, dict) and isinstance(other, dict):
        parts = [_differences(right.get(name), other.get(name), f"{path}.{name}") for name in right]
        absent = {f"{path}.{name}".lstrip(".") for name in right if name not in other}
        return set().union(absent, *parts)
    if isinstance(right, list) and isinstance(other, list) and len(right) == len(other):
        return set().union(*(_differences(one, two, path) for one, two in zip(right, other, strict=True)))
    return set() if type(right) is type(other) and right == other else {path.lstrip(".")}


def test_a_fault_with_a_chance_hits_as_many_calls_as_it_says_and_the_same_ones_each_time():
    states = [start("kind: total, by: 1, chance: 0.3") for _ in range(2)]
    hits = [[ask(state)["PageInfo"]["TotalCount"] != 5 for _ in range(200)] for state in states]

    assert 40 < sum(hits[0]) < 80
    assert hits[0] == hits[1]


def test_another_seed_draws_otherwise():
    drawn = [[ask(state)["PageInfo"]["TotalCount"] for _ in range(50)] for state in _seeded("kind: total, by: 1, chance: 0.5")]

    assert drawn[0] != drawn[1]


def _seeded(fault: str) -> list[State]:
    return [State(parse_world(f"{IMAGE}seed: {seed}\nfaults: [{{{fault}}}]\n".encode())) for seed in (1, 2)]
