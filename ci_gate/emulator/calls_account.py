"""The calls about the account: its rules, and what it ignores."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ci_gate.catalog import catalog_keys
from ci_gate.emulator import parameters as read
from ci_gate.emulator.call import SUCCESS, Call
from ci_gate.emulator.findings import class_of, key_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ci_gate.emulator.account import Whitelist
    from ci_gate.emulator.fields import JsonObject
    from ci_gate.emulator.state import State


def _rule_classes(state: State, values: dict[str, Any]) -> Sequence[tuple[str, list[str]]]:
    """Return the branches of the rule tree of ``GetSensitiveDefineRuleConfig``: a class each, with its keys."""
    _ = values
    classes: dict[str, list[str]] = {}
    for key in _rule_keys(state):
        classes.setdefault(class_of(key), []).append(key)
    return sorted(classes.items())


def _rule_keys(state: State) -> list[str]:
    absent = set(state.world.rules_absent)
    return [key for key in (*catalog_keys(), *state.world.rules_extra) if key not in absent]


def _render_class(state: State, values: dict[str, Any], branch: tuple[str, list[str]]) -> JsonObject:
    name, keys = branch
    off = set(state.world.rules_off)
    rules = [{"RuleKey": key, "RuleName": key_name(key, values["Lang"]), "Selected": key not in off} for key in keys]
    return {"ClassKey": name, "ClassName": name, "RuleList": rules}


def _rule_figures(state: State, _: dict[str, Any], __: Sequence[Any]) -> JsonObject:
    keys, off = _rule_keys(state), set(state.world.rules_off)
    return {"Data": {"Id": 44616, "RuleCount": len(keys), "SelectedCount": sum(key not in off for key in keys), "EnableNewRule": 0}}


def _whitelists(state: State, values: dict[str, Any]) -> Sequence[tuple[int, Whitelist]]:
    """Return the rows of ``DescribeImageEventOperationPage``: a whitelist each, with its id."""
    lang = values["Lang"]
    tests: Mapping[str, Callable[[tuple[int, Whitelist], Any], bool]] = {
        "Id": lambda row, wanted: row[0] == wanted,
        "EventKey": lambda row, wanted: row[1].event_key == wanted,
        "EventName": lambda row, wanted: key_name(row[1].event_key, lang) == wanted,
        "Source": lambda row, wanted: row[1].source == wanted,
    }
    asked = [(test, values[name]) for name, test in tests.items() if name in values]
    numbered = enumerate(state.world.whitelists, 2_646_624)
    return [row for row in numbered if all(test(row, wanted) for test, wanted in asked)]


def _render_whitelist(_: State, values: dict[str, Any], row: tuple[int, Whitelist]) -> JsonObject:
    number, rule = row
    return {
        "Id": number,
        "EventType": "sensitiveFile",
        "OperationCode": "whitelist",
        "Conditions": json.dumps([one.model_dump() for one in rule.conditions]),
        "Scenarios": json.dumps(rule.scenario.model_dump()),
        "EventKey": rule.event_key,
        "EventName": key_name(rule.event_key, values["Lang"]),
        "Note": rule.note,
        "Source": rule.source,
    }


ACCOUNT_CALLS: Mapping[str, Call] = {
    "GetSensitiveDefineRuleConfig": Call(
        {"Source": read.one_of("image", "agentless"), **read.LANG},
        _rule_classes,
        _render_class,
        ("Data", "RuleTree"),
        page_info_path=None,
        frame=SUCCESS,
        more=_rule_figures,
    ),
    "DescribeImageEventOperationPage": Call(
        {
            "Id": read.count,
            "EventType": read.one_of("sensitiveFile"),
            "EventKey": read.text,
            "EventName": read.text,
            "Source": read.one_of("default", "agentless"),
            **read.LANG,
            **read.PAGING,
        },
        _whitelists,
        _render_whitelist,
        ("Data", "List"),
        page_info_path=("Data", "PageInfo"),
        shows_count=False,
        frame=SUCCESS,
    ),
}
