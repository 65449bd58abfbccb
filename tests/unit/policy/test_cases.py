"""A folder a case: a policy and findings, under what the verdict has to be."""

import json
from datetime import date
from pathlib import Path

import pytest

from ci_gate.model import Finding, Inventory
from ci_gate.policy.evaluate import evaluate
from ci_gate.policy.load import load_policy

CASES = Path(__file__).parent / "cases"
FOLDERS = sorted(path.parent for path in CASES.glob("*/*/policy.yaml"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_case(folder):
    policy = load_policy(folder / "policy.yaml").policy
    findings = tuple(Finding(**row) for row in json.loads((folder / "findings.json").read_text(encoding="utf-8")))

    verdict = evaluate(policy, Inventory(findings), date(2026, 9, 1))

    assert folder.parent.name == ("blocked" if verdict.violations else "passed")
    assert bool(verdict.violations) == any(not rule.passed for rule in verdict.rules if rule.rule != "unknown.risk_level")


def test_both_kinds_of_cases_are_found():
    assert {"passed", "blocked"} == {folder.parent.name for folder in FOLDERS}
