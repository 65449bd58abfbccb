"""Listing the waivers of a policy."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

TODAY = datetime.now(UTC).date()


def _day(days: int) -> str:
    return (TODAY + timedelta(days=days)).isoformat()


def _waiver(name: str, created: int, expires: int, **fields: str) -> dict:
    return {
        "id": name,
        "keys": ["pem"],
        "reason": "a fixture",
        "owner": "team-a",
        "created": _day(created),
        "expires": _day(expires),
        **fields,
    }


@pytest.fixture
def policy(gate):
    (gate.folder / "known.json").write_text('{"version": 1, "images": [], "findings": []}')
    document = {
        "version": 1,
        "thresholds": {"high": 0},
        "waivers": [
            _waiver("W-LONG", -1, 300, ticket="SEC-1"),
            _waiver("W-OVER", -30, -1),
            _waiver("W-TODAY", -30, 0),
            _waiver("W-LATER", 5, 100),
        ],
        "overrides": [{"images": ["registry.example.com/prod/**"], "waivers": [_waiver("W-PROD", -1, 10)]}],
        "baseline": {"file": "known.json", "expires": _day(20)},
    }
    return gate.policy(json.dumps(document, indent=1))


def test_all_are_listed_those_that_end_first_on_top(gate, policy):
    finished = gate.run("waivers", policy)

    assert finished.code == 0, finished.err
    head, *rows = finished.out.splitlines()
    assert head.startswith("STATE")
    names = ("W-OVER", "W-TODAY", "W-PROD", "baseline known.json", "W-LATER", "W-LONG")
    assert list(names) == [name for row in rows for name in names if f" {name} " in row]
    assert rows[0].startswith("expired")
    assert rows[4].startswith("not yet valid")
    assert "SEC-1" in rows[5]
    assert "policy.yaml:" in rows[0]


def test_json_holds_state_days_and_place(gate, policy):
    listed = {entry["id"]: entry for entry in json.loads(gate.run("waivers", "-p", policy, "--format", "json").out)}

    assert ("expired", -1) == (listed["W-OVER"]["state"], listed["W-OVER"]["days_left"])
    assert ("expiring", 0) == (listed["W-TODAY"]["state"], listed["W-TODAY"]["days_left"])
    assert ("active", _day(300)) == (listed["W-LONG"]["state"], listed["W-LONG"]["expires"])
    assert ["registry.example.com/prod/**"] == listed["W-PROD"]["images"]
    assert "baseline" == listed["known.json"]["kind"]
    assert all("policy.yaml:" in entry["where"] for entry in listed.values())


@pytest.mark.parametrize(("days", "code", "number"), [(0, 11, 2), (9, 11, 2), (10, 11, 3), (20, 11, 4)])
def test_what_ends_within_some_days_is_11(gate, policy, days, code, number):
    finished = gate.run("waivers", policy, "--expiring-in", days, "--format", "json")

    assert code == finished.code, finished.err
    assert number == len(json.loads(finished.out))


def test_nothing_that_ends_is_0(gate):
    policy = gate.policy(json.dumps({"version": 1, "thresholds": {"high": 0}, "waivers": [_waiver("W-1", -1, 30)]}))

    assert 0 == gate.run("waivers", policy, "--expiring-in", "29").code
    assert 11 == gate.run("waivers", policy, "--expiring-in", "30").code


def test_a_policy_without_waivers_is_an_empty_list(gate):
    finished = gate.run("waivers", "default")

    assert (0, "") == (finished.code, finished.out)
    assert [] == json.loads(gate.run("waivers", "default", "--format", "json").out)


def test_wrong_policies_and_options_have_their_codes(gate):
    assert 3 == gate.run("waivers", gate.policy("version: 2\n")).code
    assert 2 == gate.run("waivers", "default", "--expiring-in", "-1").code
    assert 2 == gate.run("waivers", "default", "-p", "strict").code


def test_one_day_is_one_day(gate):
    policy = gate.policy("version: 1\nthresholds: {high: 0}\n")

    assert "ends within 1 day\n" in gate.run("waivers", policy, "--expiring-in", "1").err


def test_json_holds_no_command_to_a_runner_and_means_the_same(gate):
    policy = gate.policy(json.dumps({"version": 1, "thresholds": {"high": 0}, "waivers": [_waiver("W-1", -1, 30, ticket="###[error]x")]}))

    finished = gate.run("waivers", policy, "--format", "json")

    assert "##" not in finished.out
    assert "###[error]x" == json.loads(finished.out)[0]["ticket"]
