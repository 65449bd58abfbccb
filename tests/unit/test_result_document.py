"""The JSON document: its schema, and that it loses nothing and gains nothing."""

from __future__ import annotations

import json
import sys
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings

from ci_gate.result_document import render_json, result_schema, to_document

sys.path.insert(0, str(Path(__file__).parent / "report"))
from runs import DIGEST, HOSTILE, RUNS, finding, image, run_of, runs, violation

from ci_gate.model import number_alike
from ci_gate.verdict import ImageResult, Verdict

SCHEMA = jsonschema.Draft202012Validator(result_schema())


def _image(*paths):
    found = number_alike(finding("pem", path) for path in paths)
    return ImageResult("registry.example.com/shop/api:1", "enforce", None, image(), (), Verdict(tuple(map(violation, found))))


def _read(run):
    return json.loads(render_json(run))


def test_the_schema_that_ships_is_current():
    shipped = resources.files("ci_gate").joinpath("result.schema.json").read_text("utf-8")

    assert json.dumps(result_schema(), indent=2) + "\n" == shipped, "remake it from result_schema()"


def test_the_schema_is_a_schema_and_knows_every_field():
    jsonschema.Draft202012Validator.check_schema(result_schema())
    extra = {**_read(RUNS["passed"]), "extra": 1}

    assert not SCHEMA.is_valid(extra)
    assert not SCHEMA.is_valid({name: value for name, value in _read(RUNS["passed"]).items() if name != "verdict"})


@pytest.mark.parametrize("kind", RUNS)
def test_each_kind_of_run_keeps_the_schema(kind):
    SCHEMA.validate(_read(RUNS[kind]))


@settings(max_examples=100, deadline=None)
@given(runs)
def test_any_run_keeps_the_schema_and_comes_back_as_it_was(run):
    text = render_json(run)
    document = json.loads(text)

    assert text.isascii()
    assert json.dumps(to_document(run), indent=2) + "\n" == text
    assert json.loads(json.dumps(to_document(run))) == document
    SCHEMA.validate(document)
    for shown, result in zip(document["images"], run.images, strict=True):
        for row, decision in zip(shown["findings"], result.verdict.decisions, strict=True):
            found = decision.finding
            assert (found.key, found.path, found.risk_level) == (row["key"], row["path"], row["risk_level"])
            assert (found.fingerprint, found.ordinal) == (row["fingerprint"], row["ordinal"])
            assert (decision.outcome, decision.rule, decision.rule_text) == (row["decision"], row["rule"], row["rule_text"])


def test_hostile_paths_are_held_exactly():
    assert sorted(HOSTILE) == sorted(row["path"] for row in _read(run_of(_image(*HOSTILE)))["images"][0]["findings"])


def test_ten_thousand_findings_are_there_once_each():
    document = _read(run_of(_image(*(f"/{n}" for n in range(9_990)), *["/same"] * 10)))
    rows = document["images"][0]["findings"]

    assert 10_000 == len(rows) == len({(row["fingerprint"], row["ordinal"]) for row in rows}) == document["counts"]["findings"]


def test_the_counts_add_up():
    document = _read(RUNS["multi-image"])

    assert document["counts"] == {
        "findings": 6,
        "violations": 4,
        "by_decision": {"violation": 4, "allowed": 0, "counted": 2},
        "by_level": {"high": 4, "medium": 0, "low": 2, "undocumented": 0},
    }
    assert [1, 5, 0] == [shown["counts"]["findings"] for shown in document["images"]]


def test_it_says_which_image_by_which_evidence():
    shown = _read(RUNS["blocked"])["images"][0]

    assert f"registry.example.com/shop/api@sha256:{DIGEST}" == shown["pinned"]
    assert ("2026-09-21T14:13:20+00:00", 1_790_000_000_123) == (shown["image"]["last_scan"], shown["image"]["last_scan_ms"])
    assert {"findings": 3, "pages": "1"} == {proof["name"]: proof["figures"] for proof in shown["evidence"]}["complete"]


def test_a_time_that_no_calendar_holds_is_null():
    run = run_of(ImageResult("a", "enforce", None, image(last_scan_ms=10**30)))

    assert None is _read(run)["images"][0]["image"]["last_scan"]


def test_no_field_could_hold_an_excerpt_of_a_secret():
    names = set(result_schema()["$defs"]["FindingDocument"]["properties"])

    assert not {name for name in names if any(word in name.lower() for word in ("prom", "excerpt", "content", "secret", "snippet"))}
