"""A baseline is read strictly: what is wrong is told with its place, and no file costs much time or memory."""

import hashlib
import json
import resource
import time

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ci_gate.errors import ExitCode, InvalidDocumentError
from ci_gate.policy.effective import BaselineEntry
from ci_gate.policy.language.baseline import MAX_BYTES, read_baseline

A, B = "a" * 64, "b" * 64
FILE = '{"version": 1, "images": [], "findings": [\n%s\n]}\n'


def entry(fingerprint=A, **fields):
    return json.dumps({"fingerprint": fingerprint, "count": 1, **fields})


def read(tmp_path, content):
    path = tmp_path / "b.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    return read_baseline(path, "b.json")


def causes_of(tmp_path, content):
    with pytest.raises(InvalidDocumentError) as caught:
        read(tmp_path, content)
    assert {ExitCode.POLICY_INVALID} == {cause.code for cause in caught.value.causes}
    return caught.value.causes


def test_entries_are_read_in_the_order_of_the_file(tmp_path):
    entries = read(tmp_path, FILE % f"{entry(B, count=3, key='pem', path='/x')},\n{entry()}")

    assert entries == (BaselineEntry(B, 3, "pem", "/x"), BaselineEntry(A, 1))


def test_any_layout_of_json_will_do(tmp_path):
    data = {"findings": [{"path": '/"\\\n\ud800', "key": "é", "count": 1, "fingerprint": A}], "version": 1, "images": ["x"]}

    for indent in (None, 2):
        assert read(tmp_path, json.dumps(data, indent=indent)) == (BaselineEntry(A, 1, "é", '/"\\\n\ud800'),)
    assert read(tmp_path, "\ufeff" + FILE % "") == ()


WRONG = {
    "empty": ("", "1:1", "a baseline is a JSON object"),
    "a list": ("[]", "1:1", "a baseline is a JSON object"),
    "no fields": ("{}", "1:1", "the field 'findings' is missing"),
    "no images": ('{"version": 1, "findings": []}', "1:1", "the field 'images' is missing"),
    "no version": ('{"images": [], "findings": []}', "1:1", "the field 'version' is missing"),
    "version 2": ('{"version": 2}', "1:13", "the version must be 1: this ci-gate reads no other"),
    "version 1.0": ('{"version": 1.0}', "1:13", "the version must be 1"),
    "version true": ('{"version": true}', "1:13", "the version must be 1"),
    "version as text": ('{"version": "1"}', "1:13", "the version must be 1"),
    "a result": ('{"schema_version": 1}', "1:2", "there is no field 'schema_version' in a baseline"),
    "a field twice": ('{"version": 1,\n"version": 1}', "2:1", "the field 'version' is given twice"),
    "images that are no list": ('{"images": 5}', "1:12", "images: must be a list of texts"),
    "images that are numbers": (FILE.replace("[]", "[1]", 1) % "", "1:26", "images: must be a list of texts"),
    "findings that are no list": ('{"findings": {}}', "1:14", "findings: must be a list"),
    "a finding that is a text": (FILE % '"x"', "2:1", "findings, entry 1: must be an object of texts and numbers"),
    "a nested finding": (FILE % ('{"a": ' + "[" * 9 + "]" * 9 + "}"), "2:1", "findings, entry 1: must be an object of texts and numbers"),
    "a finding without a fingerprint": (
        FILE % '{"count": 1}',
        "2:1",
        "findings, entry 1: fingerprint: must be 64 hex digits in lower case",
    ),
    "a fingerprint in capitals": (FILE % entry("A" * 64), "2:1", "fingerprint: must be 64 hex digits in lower case"),
    "a fingerprint that is short": (FILE % entry("a" * 63), "2:1", "fingerprint: must be 64 hex digits"),
    "a finding without a count": (FILE % '{"fingerprint": "%s"}' % A, "2:1", "count: must be a whole number from 1 to 1000000000"),
    "an unknown field": (FILE % entry(level="low"), "2:1", "findings, entry 1: there is no field 'level'"),
    "a key that is a number": (FILE % entry(key=1), "2:1", "findings, entry 1: key and path: must be text"),
    "a path that is null": (FILE % entry(path=None), "2:1", "findings, entry 1: key and path: must be text"),
    "a fingerprint twice": (FILE % f"{entry()},\n{entry()}", "3:1", "findings, entry 2: the fingerprint was given before, in line 2"),
    "a field of a finding twice": (FILE % '{"fingerprint": "%s", "count": 1, "count": 2}' % A, "2:1", "entry 1: a field is given twice"),
    "NaN": (FILE % '{"fingerprint": "%s", "count": NaN}' % A, "2:1", "this is no JSON: NaN is no number"),
    "a comma too many": (FILE % f"{entry()},", "3:1", "findings, entry 2: must be an object"),
    "a comma too few": (FILE % f"{entry()}\n{entry(B)}", "3:1", "this is no JSON: ',' or ']' is missing here"),
    "a control character": (FILE % '{"fingerprint": "%s", "count": 1, "key": "\x01"}' % A, "2:105", "this is no JSON: Invalid control"),
    "an end that is missing": (FILE.rstrip("}\n") % entry(), "3:2", "this is no JSON: ',' or '}' is missing here"),
    "something behind the end": (FILE % "" + "x", "4:1", "this is no JSON: something follows the end of the baseline"),
    "a name without quotes": ("{version: 1}", "1:2", "this is no JSON: a field name in quotes is missing here"),
    "no colon": ('{"version" 1}', "1:12", "this is no JSON: a colon is missing here"),
    "no UTF-8": (b'{"version": \xff}', "1:13", "byte 13 is no UTF-8"),
    **{
        f"a count of {count}": (FILE % '{"fingerprint": "%s", "count": %s}' % (A, count), "2:1", "count: must be a whole number from 1 to")
        for count in ("0", "-1", "1.0", "1e3", "true", '"1"', "null", "1000000001", "9" * 5000)
    },
}


@pytest.mark.parametrize(("content", "place", "what"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_told_with_its_place(tmp_path, content, place, what):
    causes = causes_of(tmp_path, content)

    found = [cause for cause in causes if what in cause.what]
    assert found, [cause.sentence for cause in causes]
    assert found[0].where == f"b.json:{place}"
    assert "ci-gate baseline create" in found[0].advice or "UTF-8" in found[0].advice
    assert len(found[0].what) < 500


def test_all_wrong_entries_are_told_up_to_a_bound(tmp_path):
    assert [cause.where for cause in causes_of(tmp_path, FILE % "{},\n{},\n{}")] == ["b.json:2:1", "b.json:3:1", "b.json:4:1"]
    assert len(causes_of(tmp_path, FILE % ",".join(["{}"] * 5000))) == 51


def test_a_file_that_is_none_is_an_error(tmp_path):
    (tmp_path / "large.json").write_bytes(b" " * (MAX_BYTES + 1))

    for name, what in {"missing.json": "does not exist", "large.json": "larger than 33554432 bytes", ".": "directory"}.items():
        with pytest.raises(InvalidDocumentError, match=what):
            read_baseline(tmp_path / name, name)
    with pytest.raises(InvalidDocumentError) as caught:
        read_baseline(tmp_path / "missing.json", "missing.json")
    assert caught.value.cause.advice == "Create it with `ci-gate baseline create`."


def test_100_000_entries_are_read_in_about_a_second(tmp_path):
    lines = (entry(hashlib.sha256(b"%d" % n).hexdigest(), key="aws_access_key", path=f"/opt/app/{n}/[id].pem") for n in range(100_000))
    content = FILE % ",\n".join(lines)
    started = time.process_time()

    assert len(read(tmp_path, content)) == 100_000
    assert time.process_time() - started < 4


@pytest.mark.parametrize("piece", ["[", "{", '"', '{"', "[],", "\n", "{},", '{"version":1,', "0,", "\\", '{"a":[', '"\\u0000",', '"a":1,'])
def test_32_mebibytes_of_anything_are_refused_quickly_and_within_bounds(tmp_path, piece):
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()

    for start in (FILE.partition("\n")[0], FILE.partition("\n")[0] + "{", '{"images": ['):
        assert causes_of(tmp_path, start + piece * ((MAX_BYTES - 100) // len(piece)))
    assert time.process_time() - started < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 << 10  # KiB


PIECES = st.lists(
    st.sampled_from(
        [
            *"{}[],:",
            '"version"',
            '"images"',
            '"findings"',
            '"fingerprint"',
            f'"{A}"',
            f'"{B}"',
            '"count"',
            '"key"',
            "1",
            "0",
            "NaN",
            '"',
            "\\",
            "\n",
        ]
    ),
    max_size=30,
).map("".join)


@settings(max_examples=examples(120), deadline=None)
@given(content=PIECES | PIECES.map(lambda text: FILE % text) | st.text())
def test_any_text_is_a_baseline_or_an_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    causes = ()
    try:
        read_baseline(path, "any.json")
    except InvalidDocumentError as error:
        causes = error.causes

    assert all(cause.where.startswith("any.json:") and cause.advice for cause in causes)
