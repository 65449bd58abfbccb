"""The JSON document: its schema, that it loses nothing and gains nothing, and that it can be read back."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings

from ci_gate import __version__
from ci_gate.errors import ExitCode, InvalidDocumentError
from ci_gate.result_document import read
from ci_gate.result_document.read import read_document
from ci_gate.result_document.shapes import result_schema, schema_text
from ci_gate.result_document.write import harmless_json, render_json, to_document

sys.path.insert(0, str(Path(__file__).parent / "report"))
from runs import DEPLOYED, DIGEST, HOSTILE, POLICY, RUNS, finding, image, run_of, runs, violation

from ci_gate.model import number_alike
from ci_gate.verdict import ImageResult, Outcome, Verdict

SCHEMA = jsonschema.Draft202012Validator(result_schema())


def _image(*paths):
    found = number_alike(finding("pem", path) for path in paths)
    return ImageResult("registry.example.com/shop/api:1", None, image(), (), Verdict(tuple(map(violation, found))))


def _read(run):
    return json.loads(render_json(run))


def test_the_schema_that_ships_is_current():
    shipped = resources.files("ci_gate").joinpath("result.schema.json").read_text("utf-8")

    assert schema_text() == shipped, "remake it with `make schemas`"


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
    assert harmless_json(json.dumps(to_document(run), indent=2)) + "\n" == text
    assert json.loads(json.dumps(to_document(run))) == document
    SCHEMA.validate(document)
    for shown, result in zip(document["images"], run.images, strict=True):
        for row, decision in zip(shown["findings"], result.verdict.decisions, strict=True):
            found = decision.finding
            assert (found.key, found.path, found.risk_level) == (row["key"], row["path"], row["risk_level"])
            assert (found.fingerprint, found.ordinal) == (row["fingerprint"], row["ordinal"])
            assert (decision.outcome, decision.rule, decision.rule_text) == (row["decision"], row["rule"], row["rule_text"])
            assert (decision.enforced, decision.base_image) == (row["enforced"], row["base_image"])
    assert to_document(run) == read_document(text.encode(), "result.json")


@pytest.mark.parametrize("command", ["##[error]", "##vso[task.complete result=Succeeded]", "###[set-output]", "####[x]", "##teamcity[x]"])
def test_no_command_to_a_runner_stands_in_it_and_it_means_the_same(command):
    result = replace(_image(f"/a {command}", command), asked=command, known=((command, 1),))
    run = replace(run_of(result), policy=replace(POLICY, name=command), request_ids=(command,))

    text = render_json(run)

    assert "##" not in text
    assert to_document(run) == read_document(text.encode(), "result.json") == json.loads(text)


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
        "by_decision": {**dict.fromkeys(Outcome, 0), "violation": 4, "counted": 2},
        "by_level": {"high": 4, "medium": 0, "low": 2, "undocumented": 0},
    }
    assert [1, 5, 0] == [shown["counts"]["findings"] for shown in document["images"]]


def test_it_says_which_image_by_which_evidence():
    shown = _read(RUNS["blocked"])["images"][0]

    assert f"registry.example.com/shop/api@sha256:{DIGEST}" == shown["pinned"]
    assert ("2026-09-21T14:13:20+00:00", 1_790_000_000_123) == (shown["image"]["last_scan"], shown["image"]["last_scan_ms"])
    assert {"findings": 3, "pages": "1"} == {proof["name"]: proof["figures"] for proof in shown["evidence"]}["complete"]


def test_a_time_that_no_calendar_holds_is_null():
    run = run_of(ImageResult("a", None, image(last_scan_ms=10**30)))

    assert None is _read(run)["images"][0]["image"]["last_scan"]


def test_no_field_could_hold_an_excerpt_of_a_secret():
    names = set(result_schema()["$defs"]["FindingDocument"]["properties"])

    assert not {name for name in names if any(word in name.lower() for word in ("prom", "excerpt", "content", "secret", "snippet"))}


def test_waivers_baselines_and_the_comparison_are_there_for_each_image():
    shown = _read(RUNS["exceptions"])["images"][0]
    waivers = {use["id"]: use for use in shown["waivers"]}

    assert ("active", 2, False, "2026-09-01") == tuple(waivers["W-1"][name] for name in ("validity", "findings", "unused", "created"))
    assert [True, False] == [waivers[name]["unused"] for name in ("W-3", "W-7")]
    assert [("ci-gate-baseline.json", 3, 0), ("old.json", 3, 2)] == [(b["file"], b["findings"], b["gone"]) for b in shown["baselines"]]
    assert {"asked": DEPLOYED.asked, "pinned": DEPLOYED.pinned, "findings": 7} == shown["compared"]
    assert [("inherited", 2)] == [
        (row["decision"], known["count"])
        for known in shown["known"]
        for row in shown["findings"]
        if row["fingerprint"] == known["fingerprint"]
    ]


def test_the_effective_policy_its_floors_and_the_day_are_there():
    document = _read(RUNS["mixed"])

    assert json.loads(POLICY.canonical) == document["policy"]["effective"]
    assert [("org", "enforce", "f0" * 32), ("trial", "warn", "f1" * 32)] == [
        (floor["name"], floor["mode"], floor["sha256"]) for floor in document["policy"]["floors"]
    ]
    assert "2026-11-24" == document["today"]
    assert None is _read(RUNS["unfinished"])["today"] is _read(RUNS["policy-error"])["policy"]["effective"]


def test_a_policy_with_fields_that_look_like_those_of_an_image_spoils_nothing():
    policy = replace(POLICY, canonical='{"a":1,"known":[],"findings":[],"images":[{"a":1,"known":[],"findings":[]}]}')
    run = run_of(_image("/a"), _image(), _image("/b", "/c"), policy=policy)

    assert harmless_json(json.dumps(to_document(run), indent=2)) + "\n" == render_json(run)


def test_a_violation_says_whether_it_is_enforced_and_whose_it_is():
    rows = _read(RUNS["mixed"])["images"][0]["findings"][:6]

    assert [True, True, True, True, False, False] == [row["enforced"] for row in rows]
    assert [False, False, True, False, True, False] == [row["base_image"] for row in rows]


@pytest.mark.parametrize("kind", RUNS)
def test_what_was_written_is_read_back_as_it_was(kind):
    assert to_document(RUNS[kind]) == read_document(render_json(RUNS[kind]).encode(), "result.json")


def test_lone_surrogates_are_read_back():
    path = "/\ud800 and \udfff/\U0001f600"
    document = read_document(render_json(run_of(_image(path))).encode(), "result.json")

    assert path == document["images"][0]["findings"][0]["path"]


def _refused(raw):
    with pytest.raises(InvalidDocumentError) as raised:
        read_document(raw, "result.json")
    assert all(cause.code is ExitCode.POLICY_INVALID and cause.advice and cause.where for cause in raised.value.causes)
    return [cause.sentence for cause in raised.value.causes]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "result.json:1:1: the document is no JSON that can be read: Expecting value"),
        (b"{", "result.json:1:2: the document is no JSON that can be read: Expecting property name"),
        (b'{"a": "\xff"}', "byte 8 is no UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "byte 8 is no UTF-8"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b'{"a": NaN}', "NaN is no number of JSON"),
        (b'{"a": -Infinity}', "-Infinity is no number of JSON"),
        (b'{"a": 1e999}', "a number is too large"),
        (b"9" * 5_000, "a number has too many digits"),
        (b'{"a": {"b": 1, "b": 2}}', "the field 'b' is there twice in one object"),
        (b"[" * 200_000, "it is nested too deeply"),
        (b"[]", "it is no result of ci-gate"),
        (b"{}", "it is no result of ci-gate"),
        (b'{"schema_version": 2}', "another schema_version than 1"),
        (b'{"schema_version": true}', "another schema_version than 1"),
        (b'{"schema_version": 1.0}', "another schema_version than 1"),
        (b'{"schema_version": "1"}', "another schema_version than 1"),
    ],
)
def test_what_is_no_document_is_refused(raw, said):
    assert said in _refused(raw)[0]


def test_a_document_that_is_too_large_is_refused(monkeypatch):
    raw = render_json(RUNS["passed"]).encode()
    monkeypatch.setattr(read, "MAX_BYTES", len(raw))
    read_document(raw, "result.json")

    assert "larger than" in _refused(raw + b" ")[0]


def _changed(change, kind="mixed"):
    document = _read(RUNS[kind])
    change(document)
    return json.dumps(document).encode()


def _nested(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.pop("verdict"), "the field verdict is missing"),
        (lambda d: d["images"][0].pop("findings"), "the field images[0].findings is missing"),
        (lambda d: d["images"][0]["findings"][3].pop("path"), "the field images[0].findings[3].path is missing"),
        (lambda d: d["images"][0]["findings"][3].update(promt="x"), "the field images[0].findings[3].promt is not known"),
        (lambda d: d.update({"new": 1}), "the field new is not known"),
        (lambda d: d["images"][0]["findings"][2].update(path=7), "images[0].findings[2].path is no text"),
        (lambda d: d["images"][0]["findings"][2].update(enforced=1), "images[0].findings[2].enforced is neither true nor false"),
        (lambda d: d["images"][0]["findings"][2].update(ordinal="1"), "images[0].findings[2].ordinal is no whole number"),
        (lambda d: d["images"][0]["findings"][2].update(ordinal=True), "images[0].findings[2].ordinal is no whole number"),
        (lambda d: d["images"][0]["findings"][2].update(decision="fine"), "images[0].findings[2].decision is none of 'waived'"),
        (lambda d: d["images"][0]["findings"][2].update(level="\ud800"), "images[0].findings[2].level has a value"),
        (lambda d: d["images"][0]["findings"].append([]), "images[0].findings[12] is no object"),
        (lambda d: d["images"].append(7), "images[1] is no object"),
        (lambda d: d.update(images={}), "images is no list"),
        (lambda d: d.update(exit_code=10.0), "exit_code is no whole number"),
        (lambda d: d.update(exit_code=True), "exit_code is no whole number"),
        (lambda d: d.update(exit_code=99), "exit_code is none of 0, 2"),
        (lambda d: d.update(today="2026-02-30"), "today is no day"),
        (lambda d: d.update(today="2026-W10-1"), "today is no day"),
        (lambda d: d.update(today=20261124), "today is no day"),
        (lambda d: d["images"][0]["waivers"][0].update(validity="forever"), "images[0].waivers[0].validity is none of 'active'"),
        (lambda d: d["images"][0]["evidence"][0].update(figures={"x": 1.5}), "images[0].evidence[0].figures.x is no"),
        (lambda d: d["seconds"].update(read="1"), "seconds.read is no number"),
        (lambda d: d["policy"].update(effective=[]), "policy.effective is no object"),
        (lambda d: d["policy"].update(effective={"a": _nested(60)}), "policy.effective is nested more than 50 levels deep"),
        (lambda d: d["source"].update(kind="guessed"), "source.kind is none of 'live'"),
    ],
)
def test_what_does_not_have_the_shape_is_refused_by_the_path_of_the_field(change, said):
    assert any(said in sentence for sentence in _refused(_changed(change)))


def test_a_message_quotes_nothing_but_names_of_fields_and_those_are_cut():
    secret = "AKIA-SECRET"

    def change(document):
        row = document["images"][0]["findings"][0]
        row.update(path=[secret], rule={secret: secret}, level=secret, **{"x" * 500: secret})
        row["advice"] = None

    sentences = _refused(_changed(change))

    assert 5 == len(sentences)
    assert not [one for one in sentences if secret in one or len(one) > 200]


def test_at_most_ten_problems_are_told():
    assert 10 == len(_refused(_changed(lambda document: [row.pop("path") for row in document["images"][0]["findings"]])))


def test_another_version_that_wrote_the_document_is_named_where_its_shape_is_not_ours():
    def change(document):
        document["tool"]["version"] = "9.9.9"
        document["new"] = 1

    with pytest.raises(InvalidDocumentError) as raised:
        read_document(_changed(change), "result.json")

    assert f"Use the version of ci-gate that wrote it, 9.9.9: this is {__version__}." == raised.value.cause.advice


def test_reading_needs_pydantic_only_when_it_happens():
    code = "import sys, ci_gate.result_document.write; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert "False" == done.stdout.strip()


@pytest.mark.parametrize("name", ["evidence", "causes", "rules", "waivers", "baselines", "known", "findings"])
def test_a_million_faults_are_not_all_kept(name):
    faulty = _refused(_changed(lambda d: d["images"][0].update({name: [{}] * 50_000})))

    assert 0 < len(faulty) <= 10
    assert {f"images[0].{name}[0]"} == {sentence.partition("the field ")[2].partition(".code")[0][: len(name) + 13] for sentence in faulty}


def test_a_document_of_empty_images_is_refused_at_the_first_of_them():
    assert all("images[0]" in sentence for sentence in _refused(_changed(lambda d: d.update(images=[{}] * 50_000))))


def test_an_object_with_more_fields_than_any_shape_has_is_refused():
    def change(document):
        document["seconds"] = {f"x{number}": "" for number in range(101)}

    assert "an object has more than 100 fields" in _refused(_changed(change))[0]


def test_a_text_of_nothing_but_brackets_is_refused_before_it_is_parsed(monkeypatch):
    monkeypatch.setattr(read, "_MAX_HOLDERS", 1_000)

    assert "more than 1000 lists and objects" in _refused(b"[" + b"{}," * 1_000 + b"{}]")[0]
