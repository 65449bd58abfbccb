"""The effective policy as text: it loads again as what it was, or says why not."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import pytest

from ci_gate.policy.effective import Baseline, DenyClause, EffectivePolicy, Override, Thresholds, Waiver, WaiverRules
from ci_gate.policy.judging.keys import denied_keys, key_rules
from ci_gate.policy.language.load import load_policy, parse_policy
from ci_gate.policy.show import Shown, narrowed, show_json, show_yaml

LAYER = "ab" * 32
WAIVER = Waiver(
    "W-1",
    ("pem",),
    paths=("/opt/**/a b", "/x/#: \u202e'\"\\"),
    reason="yes: no",
    owner="o",
    ticket="##[group]",
    created=date(2026, 1, 1),
    expires=date(2026, 2, 1),
)
RULES = WaiverRules(max_days=90, require=("owner", "reason"), warn_before_days=0, unused="off")
SAME = {
    "deny": EffectivePolicy(deny=(DenyClause(("*_private_key", "pem"), ("payments",), ("otr_private_key",)),)),
    "thresholds": EffectivePolicy(thresholds=Thresholds(0, 5, None, 7), allow=("sqlite", "php_*"), extra_keys=("own_key",)),
    "warn": EffectivePolicy(mode="warn", allow_warn_override=True, permit=("waivers", "allow"), thresholds=Thresholds(high=0)),
    "waivers": EffectivePolicy(waivers=(WAIVER,), waiver_rules=RULES, thresholds=Thresholds(high=0)),
    "exempt": EffectivePolicy(exempt_layers=(LAYER,), thresholds=Thresholds(high=0)),
    "label": EffectivePolicy(label_layers=(LAYER,), thresholds=Thresholds(high=0)),
    "unknown": EffectivePolicy(unknown_keys="count", unknown_levels=("error",), thresholds=Thresholds(high=0)),
    "overrides": EffectivePolicy(
        thresholds=Thresholds(medium=5),
        overrides=(
            Override(
                ("registry.example.com/prod/**",), (DenyClause(("pem",)),), ("sqlite",), Thresholds(medium=0), (replace(WAIVER, id="W-2"),)
            ),
        ),
        waiver_rules=RULES,
    ),
    "many keys": EffectivePolicy(deny=(DenyClause(tuple(sorted(denied_keys(load_policy("strict").policy)))),)),
}


def _shown(policy, origins=None, image=None):
    return Shown(policy, "shown", "p.yaml", policy.sha256, origins or {}, image)


@pytest.mark.parametrize("kind", SAME)
def test_what_is_printed_loads_as_the_same_policy(kind):
    text = show_yaml(_shown(SAME[kind]))

    assert "NOT THE SAME" not in text
    assert SAME[kind].sha256 == parse_policy(text, origin="shown.yml").policy.sha256, text


def test_denials_of_several_policies_are_printed_as_one_list():
    policy = EffectivePolicy(deny=(DenyClause(("pem", "aws_*")), DenyClause(("sqlite", "pem"), ("payments",))))
    text = show_yaml(_shown(policy))

    assert "NOT THE SAME" not in text
    assert (DenyClause(("aws_*", "pem", "sqlite"), ("payments",)),) == parse_policy(text, origin="shown.yml").policy.deny


def test_a_baseline_is_printed_so_that_it_loads_beside_its_file(tmp_path):
    (tmp_path / "known.json").write_text('{"version": 1, "images": [], "findings": []}')
    policy = EffectivePolicy(
        thresholds=Thresholds(high=0), baselines=(Baseline("known.json", (), date(2026, 12, 31), include_denied=True),)
    )

    assert policy.sha256 == parse_policy(show_yaml(_shown(policy)), origin="p", folder=tmp_path).policy.sha256


LOSSES = {
    "exceptions of one clause": EffectivePolicy(
        deny=(DenyClause(("*_private_key",), (), ("otr_private_key",)), DenyClause(("otr_private_key",)))
    ),
    "two levels": EffectivePolicy(unknown_levels=("low", "high"), thresholds=Thresholds(high=0)),
    "labels and exemptions": EffectivePolicy(label_layers=(LAYER,), exempt_layers=("cd" * 32,), thresholds=Thresholds(high=0)),
    "two baselines": EffectivePolicy(
        thresholds=Thresholds(high=0),
        baselines=(Baseline("a.json", (), date(2026, 12, 31)), Baseline("b.json", (), date(2026, 12, 31), include_denied=True)),
    ),
}


@pytest.mark.parametrize("kind", LOSSES)
def test_what_the_language_cannot_say_is_told(kind):
    assert "# NOT THE SAME when loaded again: " in show_yaml(_shown(LOSSES[kind]))


def test_a_glob_beside_an_exception_that_is_lost_still_denies_keys_that_nobody_knows():
    policy = EffectivePolicy(deny=(DenyClause(("*_private_key",), (), ("otr_private_key",)), DenyClause(("pem",))), unknown_keys="count")
    again = parse_policy(show_yaml(_shown(policy)), origin="p").policy

    for loaded in (policy, again):
        assert key_rules(loaded).denies("ODD_private_key")


@pytest.mark.parametrize(
    ("levels", "limits", "printed"),
    [
        (("high", "medium"), Thresholds(medium=0), "medium"),
        (("high", "medium"), Thresholds(high=0, medium=0), "error"),
        (("high", "medium"), Thresholds(total=0), "high"),
        (("error", "low"), Thresholds(high=0), "error"),
        (("error", "low"), Thresholds(low=0), "error"),
    ],
)
def test_of_several_levels_the_one_that_is_as_strict_as_all_is_printed(levels, limits, printed):
    text = show_yaml(_shown(EffectivePolicy(unknown_levels=levels, thresholds=limits)))

    assert (printed,) == parse_policy(text, origin="p").policy.unknown_levels
    assert f"; {printed} is printed." in text


def test_exceptions_of_one_clause_do_not_reach_another_when_loaded_again():
    policy = LOSSES["exceptions of one clause"]

    again = parse_policy(show_yaml(_shown(policy)), origin="p").policy
    assert denied_keys(policy) == denied_keys(again)
    assert "otr_private_key" in denied_keys(again)


@pytest.mark.parametrize("kind", ["two levels", "labels and exemptions"])
def test_where_something_is_lost_the_stricter_is_printed(kind):
    again = parse_policy(show_yaml(_shown(LOSSES[kind])), origin="p").policy

    assert ("high",) == again.unknown_levels
    assert () == again.exempt_layers


def test_an_entry_that_is_allowed_and_denied_is_left_out():
    policy = EffectivePolicy(deny=(DenyClause(("pem",)),), allow=("pem", "sqlite"))

    assert ("sqlite",) == parse_policy(show_yaml(_shown(policy)), origin="p").policy.allow


def test_each_value_has_its_origin():
    policy = EffectivePolicy(deny=(DenyClause(("pem",)), DenyClause(("sqlite",))), thresholds=Thresholds(high=0), waivers=(WAIVER,))
    origins = {"deny[0].keys": "a.yml:3", "deny[1].keys": "b.yml:4", "thresholds.high": "a.yml:9", "waivers.W-1": "b.yml:7"}

    lines = show_yaml(_shown(policy, origins)).splitlines()

    for line in (
        "    - pem  # a.yml:3",
        "    - sqlite  # b.yml:4",
        "  high: 0  # a.yml:9",
        "  - id: W-1  # b.yml:7",
        "mode: enforce  # default",
    ):
        assert line in lines


def test_nothing_in_it_moves_a_cursor_begins_a_line_or_a_command():
    evil = "\x1b[31m\u202e\n##[group]x\r"
    policy = EffectivePolicy(waivers=(replace(WAIVER, reason=evil, images=(evil,)),), thresholds=Thresholds(high=0))

    text = show_yaml(Shown(policy, evil, evil, policy.sha256, {"mode": evil}, evil))

    assert text.replace("\n", "").isprintable()
    assert "##" not in text
    assert not any(line.startswith("#[") for line in text.splitlines())


def test_json_holds_policy_origins_sum_and_denied_keys():
    policy = SAME["deny"]

    document = json.loads(show_json(_shown(policy, {"mode": "default"}, "registry.example.com/shop/api")))

    assert (policy.canonical, policy.sha256) == (document["policy"], document["sha256"])
    assert sorted(denied_keys(policy)) == document["denied_keys"]
    assert ({"mode": "default"}, "registry.example.com/shop/api") == (document["origins"], document["image"])


def test_for_one_image_what_its_overrides_say_has_their_origins():
    text = """\
version: 1
thresholds: {medium: 5, low: 9}
allow: {keys: [php_config]}
overrides:
  - images: ["registry.example.com/prod/**"]
    deny: {keys: [pem]}
    allow: {keys: [sqlite]}
    thresholds:
      medium: 0
  - images: ["registry.example.com/test/**"]
    deny: {keys: [rsa_private_key]}
"""
    loaded = parse_policy(text, origin="p.yml")
    shown = Shown(loaded.policy, "p", "p.yml", loaded.policy.sha256, loaded.origins)

    lines = [line.strip() for line in show_yaml(narrowed(shown, "registry.example.com/prod/api")).splitlines()]

    for line in ("medium: 0  # p.yml:9", "low: 9  # p.yml:2", "keys: [pem]  # p.yml:6", "- sqlite  # p.yml:7", "- php_config  # p.yml:3"):
        assert line in lines, lines
    assert not any("rsa_private_key" in line or "overrides:" in line for line in lines)
