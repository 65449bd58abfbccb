"""Saved results: whatever became of one, it loads or is refused by code 3; no change makes a pass of a block; what loads judges alike."""

from __future__ import annotations

import copy
import functools
import json
import operator
from datetime import date

import pytest
from fuzzing import assert_told, bent, in_time, mangled, places, tried
from hypothesis import given
from hypothesis import strategies as st

from ci_gate import __version__
from ci_gate.cli.replay import ReplayOptions, _Replay
from ci_gate.errors import Cause, ExitCode
from ci_gate.model import Finding, Image, ImageReference, Inventory, Proof, ProofState, SourceInfo, number_alike
from ci_gate.policy.judging.evaluate import judge
from ci_gate.policy.language.floors import summarise
from ci_gate.policy.language.load import parse_policy
from ci_gate.result_document.write import render_json
from ci_gate.verdict import ImageResult, RunResult

TODAY = date(2026, 11, 24)
DIGEST = "5e" * 32
REFERENCE = ImageReference.parse(f"registry.example.com/shop/api:1@sha256:{DIGEST}")
SCANNED_MS = 1_790_000_000_000
IMAGE = Image("u-1", DIGEST, namespace="shop", repository="api", scan_status="SUCCESS", scan_result="SUCCESS", last_scan_ms=SCANNED_MS)
SOURCE = SourceInfo("live", "https://tds.cn-shanghai.aliyuncs.com", "cn-shanghai")
POLICY = """\
version: 1
name: shop
deny: {keys: [aws_access_key]}
allow: {keys: [php_config]}
thresholds: {high: 0, low: 5}
waivers:
  - {id: W-1, keys: [rsa_private_key], paths: ["/opt/**"], reason: a fixture, owner: team, created: 2026-11-01, expires: 2026-12-01}
"""
FLOOR = "version: 1\nname: org\ndeny: {keys: [git_cred]}\nthresholds: {total: 9}\n"
HARMLESS = (
    Finding("sqlite", "/app/data.db", "low", "0f" * 16),
    Finding("sqlite", "/app/data.db", "low", "0f" * 16),
    Finding("php_config", "/var/www/config.php\ud800", "high", "", "ab" * 32),
    Finding("rsa_private_key", "/opt/testdata/key.pem", "high", "1f" * 16),
)
DENIED = Finding("aws_access_key", "/root/.aws/credentials", "low", "2f" * 16)
OVER_THRESHOLD = Finding("npm_token", "/app/.npmrc", "high", "3f" * 16)
GONE = Cause(ExitCode.UNAVAILABLE, "the network is gone", "Try again.", "DescribeImageSensitiveFileByKey", "R-1")


def _proofs(read, denied):
    held = ProofState.HELD
    return (
        SOURCE.proof,
        Proof("identity", held, "found", (("digest", f"sha256:{DIGEST}"), ("uuid", "u-1"), ("rows", 1))),
        Proof("scanned", held, "done", (("status", "SUCCESS"), ("result", "SUCCESS"), ("last_scan_ms", SCANNED_MS), ("age_s", 3_600))),
        Proof("covered", held, "on", (("rules", 9), ("denied_keys", denied), ("denied_off", 0), ("denied_absent", 0), ("other_off", 0))),
        Proof("complete", held, "all", (("keys_listed", 2), ("keys_total", 2), ("files_read", read), ("files_total", read), ("pages", 3))),
        Proof(
            "consistent",
            held,
            "agree",
            (("second_route", "asked"), ("second_route_total", read), ("second_route_added", 0), ("disagreements", 0)),
        ),
        Proof("settled", ProofState.NOT_ASKED if read else held, "old", () if read else (("settle_s", 15), ("findings", 0))),
        Proof("whitelists", held, "none", (("whitelists", 0),)),
    )


def _document(*findings, failures=(), floors=()):
    policy, *loaded = (parse_policy(text, origin="p.yml") for text in (POLICY, *floors))
    summary, judges = summarise(policy, loaded)
    numbered = number_alike(findings)
    verdict = judge(judges, Inventory(numbered, (), failures), TODAY, REFERENCE.canonical, name=summary.name)
    image = ImageResult(str(REFERENCE), REFERENCE, IMAGE, _proofs(len(numbered), 1 + len(floors)), verdict, failures)
    run = RunResult(__version__, SOURCE, summary, (image,), (), "2026-11-24T10:00:00+00:00", (("read", 1.5),), ("R-1",), TODAY)
    return json.loads(render_json(run))


DOCUMENTS = {
    "passed": _document(*HARMLESS),
    "clean": _document(),
    "denied": _document(*HARMLESS, DENIED),
    "over": _document(*HARMLESS, OVER_THRESHOLD),
    "floor": _document(*HARMLESS, DENIED, floors=(FLOOR,)),
    "undecided": _document(*HARMLESS, failures=(GONE,)),
}
CODES = {"passed": 0, "clean": 0, "denied": 10, "over": 10, "floor": 10, "undecided": 20}
NOT_PASSED = [name for name, code in CODES.items() if code]
TEXTS = {name: json.dumps(document, indent=1) for name, document in DOCUMENTS.items()}
WORDS = [
    "null",
    "true",
    "0",
    "1",
    '"',
    ",",
    ":",
    "{",
    "}",
    "[",
    "]",
    '"findings": [',
    '"causes": []',
    '"mode": "warn"',
    "\\ud800",
    "\\",
    "//",
]
MEANT = [
    "violation",
    "counted",
    "waived",
    "passed",
    "blocked",
    "warn",
    "enforce",
    "live",
    "emulated",
    "replay",
    "held",
    "failed",
    "SUCCESS",
    20,
    22,
]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("saved") / "result.json"


def replay(path, raw):
    """Return the result of a replay; what does not load is a cause of it."""
    path.write_bytes(raw)
    with in_time():
        run = _Replay(ReplayOptions((str(path),), quiet=True)).result()
    assert ExitCode.INTERNAL is not run.exit_code, run.causes
    if not run.images and run.causes:
        for cause in run.causes:
            if cause.code is ExitCode.POLICY_INVALID:
                assert_told(cause, ExitCode.POLICY_INVALID, str(path))
    return run


def check(path, raw):
    """Hold what becomes of a saved result against the laws; return the result of its replay."""
    run = replay(path, raw)
    if run.images:
        again = replay(path, render_json(run).encode())
        assert (run.exit_code, run.status) == (again.exit_code, again.status), again.causes
        assert [image.verdict.decisions for image in run.images] == [image.verdict.decisions for image in again.images]
    return run


@tried(60)
@given(st.sampled_from(list(TEXTS)).flatmap(lambda name: st.tuples(st.just(name), mangled([TEXTS[name]], WORDS))))
def test_a_mangled_result_loads_or_is_refused_and_is_no_better(path, saved):
    name, raw = saved

    assert check(path, raw).exit_code is not ExitCode.PASSED or name not in NOT_PASSED


@tried(200)
@given(st.sampled_from(list(TEXTS)).flatmap(lambda name: st.tuples(st.just(name), bent([DOCUMENTS[name]], MEANT))))
def test_a_bent_result_loads_or_is_refused_and_is_no_better(path, saved):
    name, document = saved

    assert check(path, json.dumps(document).encode()).exit_code is not ExitCode.PASSED or name not in NOT_PASSED


@pytest.mark.parametrize("name", ["denied", "floor"])
def test_no_single_place_that_is_lost_or_emptied_makes_it_better(path, name):
    """Every place of the document in turn, not some that are drawn."""
    passed = []
    for place in places(DOCUMENTS[name]):
        for emptied in (None, [], {}):
            document = copy.deepcopy(DOCUMENTS[name])
            holder = functools.reduce(operator.getitem, place[:-1], document)
            if emptied is None:
                del holder[place[-1]]
            elif type(holder[place[-1]]) is type(emptied) and holder[place[-1]]:
                holder[place[-1]] = emptied
            else:
                continue
            if replay(path, json.dumps(document).encode()).exit_code is ExitCode.PASSED:
                passed.append((place, emptied))

    assert [] == passed


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_tried_is_a_result_to_begin_with(path, name):
    assert CODES[name] == check(path, TEXTS[name].encode()).exit_code
