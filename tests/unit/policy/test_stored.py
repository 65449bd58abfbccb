"""Policies out of saved results: the very same ones, or an error."""

from __future__ import annotations

import json
from datetime import date

import pytest

from ci_gate.policy.effective import (
    Baseline,
    BaselineEntry,
    DenyClause,
    EffectivePolicy,
    Evidence,
    Judges,
    NamedPolicy,
    Override,
    Thresholds,
    Waiver,
    WaiverRules,
    canonical_text,
)
from ci_gate.policy.language.load import load_policy
from ci_gate.policy.language.stored import StoredPolicyError, stored_judges

WAIVER = Waiver("W-1", ("pem",), ("/a/**",), ("ab" * 16,), ("cd" * 32,), ("*/shop/api",), "r", "o", "t", date(2026, 1, 1), date(2026, 2, 1))
FULL = EffectivePolicy(
    mode="warn",
    allow_warn_override=True,
    permit=("allow", "waivers"),
    extra_keys=("own",),
    deny=(DenyClause(("pem",), ("payments",), ("x",)),),
    allow=("sqlite",),
    thresholds=Thresholds(0, None, 3, 4),
    unknown_keys="count",
    unknown_levels=("error", "low"),
    label_layers=("ab" * 32,),
    exempt_layers=("cd" * 32,),
    baselines=(Baseline("b.json", (BaselineEntry("ef" * 32, 2, "pem", "/\ud800"),), date(2026, 3, 1), include_denied=True),),
    waivers=(WAIVER,),
    waiver_rules=WaiverRules(("owner",), 90, 7, "off"),
    overrides=(Override(("*/prod/**",), (DenyClause(("y",)),), ("z",), Thresholds(total=0), (WAIVER,)),),
    evidence=Evidence(require_digest=False, rule_coverage="error", inferred="warn", vendor_whitelist="error", max_scan_age=60, settle=0),
)


def _stored(judges):
    return stored_judges(json.loads(canonical_text(judges.canonical)))


def test_a_policy_with_everything_in_it_comes_back():
    assert Judges(FULL) == _stored(Judges(FULL))


@pytest.mark.parametrize("name", ["default", "strict", "audit"])
def test_ready_policies_come_back_with_the_same_sum(name):
    policy = load_policy(name).policy

    assert policy.sha256 == _stored(Judges(policy)).sha256


def test_floors_come_back():
    judges = Judges(EffectivePolicy(), (NamedPolicy("a", FULL), NamedPolicy("b", EffectivePolicy())))

    assert judges.sha256 == _stored(judges).sha256
    assert {"a", "b"} == {floor.name for floor in _stored(judges).floors}


@pytest.mark.parametrize(
    "stored",
    [
        {"mode": "maybe"},
        {"mode": "enforce"},  # a default is left out in canonical form
        {"mode": 1},
        {"unknown": 1},
        {"deny": {}},
        {"deny": [1]},
        {"deny": [{"keys": ["b", "a"]}]},
        {"deny": [{"keys": "pem"}]},
        {"thresholds": {"high": -1}},
        {"thresholds": {"high": True}},
        {"thresholds": {"high": 1.0}},
        {"thresholds": []},
        {"allow_warn_override": 1},
        {"unknown_levels": []},
        {"unknown_levels": ["high", "odd"]},
        {"unknown_keys": "maybe"},
        {"waivers": [{"keys": ["pem"]}]},
        {"waivers": [{"id": "W-1", "keys": ["pem"], "expires": "soon"}]},
        {"waivers": [{"id": "W-1", "keys": ["pem"], "expires": 20260101}]},
        {"waiver_rules": {"unused": "maybe"}},
        {"evidence": {"rule_coverage": "maybe"}},
        {"baselines": [{"file": "b.json", "entries": [], "expires": None}]},
        {"policy": {}},
        {"policy": {}, "floors": [], "more": 1},
        {"policy": {}, "floors": {}},
        {"policy": {}, "floors": []},
        {"policy": {}, "floors": [{"name": 1, "policy": {}}]},
        {"policy": {}, "floors": [{"policy": {}}]},
        {"policy": [], "floors": [{"name": "a", "policy": {}}]},
    ],
)
def test_what_is_no_canonical_policy_is_an_error(stored):
    with pytest.raises(StoredPolicyError):
        stored_judges(stored)


@pytest.mark.parametrize(
    "stored",
    [
        {"waivers": [{"id": "W-1", "keys": ["pem"], "paths": ["/a**b"]}]},
        {"waivers": [{"id": "W-1", "keys": ["pem"], "paths": [""]}]},
        {"waivers": [{"id": "W-1", "keys": ["pem"], "images": ["a**"]}]},
        {"waivers": [{"id": "W-1", "keys": ["pem"], "paths": ["/" + "a" * 1_024]}]},
        {"overrides": [{"images": ["a**"]}]},
        {"overrides": [{"images": ["*/a"], "waivers": [{"id": "W-1", "keys": ["pem"], "paths": ["/a**b"]}]}]},
        {"evidence": {"max_scan_age": 10**400}},
        {"evidence": {"max_scan_age": 0}},
        {"evidence": {"settle": 601}},
        {"waiver_rules": {"warn_before_days": 10**12}},
        {"waiver_rules": {"max_days": 3_651}},
        {"thresholds": {"total": 10**9 + 1}},
        {"allow": sorted(f"a{number}*" for number in range(20_000))},
        {"extra_keys": sorted(f"k{number}" for number in range(20_000)), "deny": [{"keys": sorted(f"k{number}*" for number in range(60))}]},
    ],
)
def test_values_that_no_policy_can_hold_are_errors_before_anything_is_judged_by_them(stored):
    with pytest.raises(StoredPolicyError, match=r"is no pattern|is not from|too many|more than"):
        stored_judges(stored)
