"""The policy to start from: it loads, explains every field, and its examples can be put in force."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta

import pytest

from ci_gate.errors import UsageError
from ci_gate.policy.language.load import load_policy, parse_policy
from ci_gate.policy.language.schema import SECTIONS, field_names
from ci_gate.policy.selftest import run_tests
from ci_gate.policy.starter import StarterBaseline, starter_text

TODAY = date(2026, 11, 24)
EMPTY = json.dumps({"version": 1, "images": [], "findings": []})


def _texts(folder):
    (folder / "known.json").write_text(EMPTY)
    (folder / "ci-gate-baseline.json").write_text(EMPTY)
    baseline = StarterBaseline("known.json", TODAY + timedelta(days=90))
    return {
        "alone": starter_text(TODAY),
        "with a baseline": starter_text(TODAY, baseline),
        "with denied keys in it": starter_text(TODAY, StarterBaseline("known.json", baseline.expires, include_denied=True)),
    }


@pytest.fixture(params=["alone", "with a baseline", "with denied keys in it"])
def starter(request, tmp_path):
    path = tmp_path / "ci-gate.yml"
    path.write_text(_texts(tmp_path)[request.param], "utf-8")
    return path


def test_it_loads_and_its_tests_pass(starter):
    loaded = load_policy(starter)
    results = run_tests(loaded, TODAY)

    assert () == loaded.notes
    assert 3 == len(results)
    assert [] == [result for result in results if not result.passed]


def test_it_judges_as_the_built_in_default_does(starter):
    ours, default = load_policy(starter).policy, load_policy("default").policy

    assert (default.thresholds, default.deny, default.unknown_keys) == (ours.thresholds, ours.deny, ours.unknown_keys)


def test_every_field_is_mentioned(starter):
    text = starter.read_text("utf-8")
    words = set(re.findall(r"[A-Za-z_0-9]+", text))

    for path in SECTIONS:
        assert set(field_names(*path)) <= words, path


def test_every_example_can_be_put_in_force(starter):
    text = starter.read_text("utf-8")
    examples = re.sub(r"^#(?=[a-z]|  )", "", text, flags=re.MULTILINE)
    named = re.findall(r"^([a-z_]+):", examples, re.MULTILINE)

    assert len(set(named)) == len(named)
    starter.write_text(examples, "utf-8")
    if "include_denied: true" not in text:  # that one stands alone, and cannot extend what does not permit its baseline
        assert set(field_names()) == set(named)
        assert load_policy(starter).policy.waivers


@pytest.mark.parametrize("name", ['a": \n#{x}.json', "b\x7f.json", "b\x85\u2028\ufeff\U000e0001\uffff\\é😀.json"])
def test_a_hostile_file_name_stays_a_text(name, tmp_path):
    (tmp_path / name).write_text(EMPTY)
    text = starter_text(TODAY, StarterBaseline(name, TODAY))

    (baseline,) = parse_policy(text, origin="p", folder=tmp_path).policy.baselines
    assert name == baseline.file


def test_a_file_name_that_no_policy_can_spell_is_refused():
    with pytest.raises(UsageError, match=r"b\\udcff\.json"):
        starter_text(TODAY, StarterBaseline("b\udcff.json", TODAY))
