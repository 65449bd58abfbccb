"""Every finding, once. What does not add up is in docs/failure-modes.md, and in test_faults.py for each call."""

from __future__ import annotations

import collections

import pytest
from support import finding, image

LENIENT = "version: 1\nname: lenient\nthresholds: {total: 1000000}\n"


def _many(count, **fields):
    return image(generate={"count": count, "seed": 7, "keys": fields.pop("keys", "all")}, **fields)


def test_ten_thousand_findings_over_all_keys_are_in_the_result_once(gate):
    finished = gate.check(gate.world(_many(10_000)), "--policy", gate.policy(LENIENT))

    assert finished.code == 0, finished.err
    found = finished.result["images"][0]["findings"]
    assert 10_000 == len(found) == len({(row["fingerprint"], row["ordinal"]) for row in found})
    assert 112 == len({row["key"] for row in found})


def test_rows_that_are_honestly_alike_are_two_findings(gate):
    twin = finding("sqlite", "/app/data.db", "low", md5="b" * 32, times=2)

    finished = gate.check(gate.world(image(twin)))

    assert finished.code == 0, finished.err
    rows = finished.result["images"][0]["findings"]
    assert [1, 2] == [row["ordinal"] for row in rows]
    assert 1 == len({row["fingerprint"] for row in rows})


@pytest.mark.parametrize(
    "quirks",
    [
        {"page_size_cap": 7},
        {"page_size_cap": 20, "cap_echoed": False},
        {"numbers_as_text": True},
        {"digest_prefix": True},
        {"key_optional": False},
    ],
    ids=str,
)
def test_what_is_not_documented_may_be_either_way(gate, quirks):
    finished = gate.check(gate.world(_many(60, keys=["sqlite", "git_cfg"]), quirks=quirks), "--policy", gate.policy(LENIENT))

    assert finished.code == 0, finished.err
    assert 60 == len(finished.result["images"][0]["findings"])


def test_a_key_that_the_listing_hides_is_found_by_the_second_route(gate):
    world = gate.world(image(finding(), finding("aws_access_key", "/k", "high"), unlisted_keys=["aws_access_key"]))

    finished = gate.check(world)

    assert finished.code == 10, finished.err
    assert {"aws_access_key": 1, "sqlite": 1} == collections.Counter(row["key"] for row in finished.result["images"][0]["findings"])


def test_findings_that_appear_after_success_are_waited_for(gate):
    fresh = image(finding("pem", "/k.pem", "high"), scan=[{"status": "SUCCESS", "last": "1s ago"}], findings_after_calls=3)
    policy = gate.policy("version: 1\nname: p\ndeny: {keys: [pem]}\nevidence: {settle: 1s}\n")

    assert 10 == gate.check(gate.world(fresh), "--policy", policy).code
