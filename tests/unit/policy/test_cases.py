"""A folder a case: a policy and findings, under what the verdict has to be.

``case.json`` may hold ``image``, ``today`` and ``known``: how many findings of a path an image has that is deployed already.
"""

import json
from datetime import date
from pathlib import Path

import pytest

from ci_gate.model import Finding, Inventory, number_alike
from ci_gate.policy.effective import Judges
from ci_gate.policy.judging.evaluate import evaluate
from ci_gate.policy.judging.explain import explain
from ci_gate.policy.language.load import load_policy

CASES = Path(__file__).parent / "cases"
FOLDERS = sorted(path.parent for path in CASES.glob("*/*/policy.yaml"))


def read(path):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_case(folder):
    policy = load_policy(folder / "policy.yaml").policy
    findings = tuple(Finding(**row) for row in read(folder / "findings.json"))
    case = read(folder / "case.json")
    known = {finding.fingerprint: case["known"][finding.path] for finding in findings} if "known" in case else None
    inventory = Inventory(number_alike(findings), known=known)
    today = date.fromisoformat(case.get("today", "2026-09-01"))

    verdict = evaluate(policy, inventory, today, case.get("image"))

    assert folder.parent.name == ("blocked" if verdict.violations else "passed")
    assert bool(verdict.violations) == any(not rule.passed for rule in verdict.rules if rule.rule != "unknown.risk_level")
    traces = explain(Judges(policy), inventory, today, case.get("image"))
    assert verdict.decisions == tuple(trace.decision for trace in traces)


def test_both_kinds_of_cases_are_found():
    assert {"passed", "blocked"} == {folder.parent.name for folder in FOLDERS}


def test_a_case_holds_nothing_that_is_not_read():
    assert {"policy.yaml", "findings.json", "case.json", "baseline.json", "parent.yaml"} >= {path.name for path in CASES.glob("*/*/*")}
    assert {"image", "today", "known"} >= {name for path in CASES.glob("*/*/case.json") for name in read(path)}
