"""GitLab's formats: one error of the schema costs the whole report, and two findings of one identity are one."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from gitlab_schemas import CODE_QUALITY, SECRET_DETECTION
from hypothesis import given, settings
from jsonschema import Draft7Validator
from runs import (
    BLOCKED_IMAGE,
    COUNTED,
    HOSTILE,
    INCOMPLETE,
    LIVE,
    PASSED_IMAGE,
    REFERENCE,
    RUNS,
    finding,
    image,
    run_of,
    runs,
    violation,
    warning,
)

from ci_gate.errors import Cause, ExitCode
from ci_gate.model import ImageReference, RiskLevel, SourceInfo
from ci_gate.report import gitlab
from ci_gate.report.gitlab import (
    codequality_parts,
    render_codequality,
    render_secret_detection,
    secret_detection_parts,
)
from ci_gate.report.text import printable
from ci_gate.verdict import ImageResult, Status, Verdict

LONGEST = "\U000e0001" * 20_000  # ten characters each, in printable form


def _image(*decisions, name="shop/api", registry="registry.example.com"):
    reference = ImageReference.parse(f"{registry}/{name}:1@sha256:{'5e' * 32}")
    return ImageResult(str(reference), reference, image(), (LIVE.proof,), Verdict(tuple(decisions)))


def _secrets(run):
    return json.loads(render_secret_detection(run))


def _quality(run):
    return json.loads(render_codequality(run))


def _said(run):
    return [(message["level"], message["value"]) for message in _secrets(run)["scan"]["messages"]]


def _check(run):
    texts = (render_secret_detection(run), render_codequality(run))
    report, issues = map(json.loads, texts)

    for text in texts:
        assert text.isascii()
        assert "##" not in text
        assert [] == [line for line in text.splitlines() if line.lstrip().startswith("::")]
    assert [] == list(Draft7Validator(SECRET_DETECTION).iter_errors(report))
    assert [] == list(Draft7Validator(CODE_QUALITY).iter_errors(issues))
    found = report["vulnerabilities"]
    assert len(found) == len({one["id"] for one in found}) == len({one["identifiers"][0]["value"] for one in found})
    assert len(issues) == len({issue["fingerprint"] for issue in issues})
    for path in [one["location"]["file"] for one in found] + [issue["location"]["path"] for issue in issues]:
        assert not path.startswith("/")
        assert not {".", ".."} & set(path.split("/"))
    assert (run.status is Status.PASSED) == ("blocker" not in {issue["severity"] for issue in issues})
    if run.status is Status.UNDECIDED:
        assert ("failure", "fatal") == (report["scan"]["status"], report["scan"]["messages"][0]["level"])
    if report["scan"]["status"] == "success":
        assert run.exit_code in {ExitCode.PASSED, ExitCode.BLOCKED}


@settings(max_examples=60, deadline=None)
@given(runs)
def test_any_run_is_valid_and_never_says_better_than_the_exit_code(run):
    _check(run)


@pytest.mark.parametrize("kind", RUNS)
def test_each_kind_of_run_is_valid(kind):
    _check(RUNS[kind])


def test_a_vulnerability_says_which_key_where_in_which_layer_by_which_rule_and_what_to_do():
    found = _secrets(RUNS["blocked"])["vulnerabilities"]
    one = next(one for one in found if "id_rsa" in one["location"]["file"])

    assert "RSA private key in a container image" == one["name"]
    assert "High" == one["severity"]
    assert {"file": "shop/api/opt/app/id_rsa", "commit": {"sha": "0000000"}} == one["location"]
    assert {"type": "ci_gate_key", "name": "rsa_private_key", "value": "rsa_private_key"} == one["identifiers"][1]
    assert one["description"].startswith(
        "rsa_private_key (high risk) in /opt/app/id_rsa (layer 1a2b1a2b1a2b): broke deny\n\n- decision: violation\n"
    )
    assert one["solution"].startswith("Rotate the credential first")


def test_severities_are_the_risk_levels_and_an_unknown_one_is_not_a_low_one():
    levels = (RiskLevel.HIGH, None, RiskLevel.MEDIUM, RiskLevel.LOW)
    run = run_of(_image(*(warning(violation(finding("pem", f"/{level}"), level=level)) for level in levels)))

    assert ["High", "Unknown", "Medium", "Low"] == [one["severity"] for one in _secrets(run)["vulnerabilities"]]
    assert ["critical", "critical", "major", "minor"] == [issue["severity"] for issue in _quality(run)]


def test_what_blocks_is_a_blocker_and_what_is_within_the_limits_is_information():
    found = (COUNTED, warning(violation(finding("pem", "/b"))), violation(finding("pem", "/a")))
    issues = _quality(run_of(_image(*found)))

    assert [("pem", "blocker"), ("pem", "critical"), ("sqlite", "info")] == [(issue["check_name"], issue["severity"]) for issue in issues]
    assert issues[1]["description"].startswith("would block: the policy is in warn mode: pem")


def test_identities_last_from_run_to_run_and_end_with_the_content():
    def identities(**fields):
        run = run_of(_image(violation(finding(**fields))))
        return _secrets(run)["vulnerabilities"][0]["id"], _quality(run)[0]["fingerprint"]

    assert identities() == identities(risk_level="low", advice="another")
    for other in (identities(md5="ab" * 16), identities(ordinal=2), identities(path="/b")):
        assert not set(identities()) & set(other)


def test_the_same_finding_in_two_registries_is_two():
    _check(run_of(_image(violation(finding())), _image(violation(finding()), registry="registry.example.org")))


def test_what_an_exception_covers_is_counted_and_not_listed():
    run = RUNS["exceptions"]

    assert ["shop/web/app/data.db"] == [one["location"]["file"] for one in _secrets(run)["vulnerabilities"]]
    assert ["shop/web/app/data.db"] == [issue["location"]["path"] for issue in _quality(run)]
    not_listed = "not listed: 2 waived, 1 in the baseline, 1 exempt in the base image, 1 inherited from the deployed image, 1 allowed"
    assert ("info", not_listed) in _said(run)
    assert ("warn", "waiver W-3 (owner team-payments) fits nothing: remove it") in _said(run)
    assert ("info", "waiver W-1 (owner team-payments) fits 2 findings") in _said(run)


def test_an_undecided_run_is_a_failure_and_not_an_empty_list():
    report, issues = _secrets(RUNS["undecided"]), _quality(RUNS["undecided"])

    said = "the scan of the image has not finished [DescribeImageInstances, request id 0B9A-REQUEST-ID]; next: Run again when it has."
    assert "failure" == report["scan"]["status"]
    assert {"level": "fatal", "value": said} == report["scan"]["messages"][0]
    assert [("ci-gate/undecided", "blocker", f"Undecided: {said}")] == [
        (issue["check_name"], issue["severity"], issue["description"]) for issue in issues
    ]


def test_an_image_that_is_blocked_and_not_read_to_the_end_shows_both():
    run = run_of(replace(BLOCKED_IMAGE, failures=(INCOMPLETE,)))

    assert ("failure", 5) == (_secrets(run)["scan"]["status"], len(_secrets(run)["vulnerabilities"]))
    assert "ci-gate/undecided" == _quality(run)[0]["check_name"]


def test_a_report_that_failed_takes_nothing_from_what_blocks_and_everything_from_a_pass():
    failed = (Cause(ExitCode.REPORT_FAILED, "the junit report could not be written", "Give another path."),)

    states = [_secrets(run_of(result, causes=failed))["scan"]["status"] for result in (BLOCKED_IMAGE, PASSED_IMAGE)]
    assert ["success", "failure"] == states
    assert ("warn", "the junit report could not be written; next: Give another path.") in _said(run_of(BLOCKED_IMAGE, causes=failed))


def test_a_policy_that_does_not_load_is_shown_where_it_is_wrong():
    assert [{"path": "ci-gate.yml", "lines": {"begin": line}} for line in (3, 1)] == [
        issue["location"] for issue in _quality(RUNS["policy-error"])
    ]


def test_who_judged_is_an_option_of_the_scan():
    options = {option["name"]: option["value"] for option in _secrets(RUNS["mixed"])["scan"]["options"]}

    assert ["policy production", "floor org", "floor trial"] == list(options)
    assert f"mode warn, from trial.yml, SHA-256 {'f1' * 32}" == options["floor trial"]


def test_times_are_those_of_the_run_without_a_zone():
    scan = _secrets(run_of(PASSED_IMAGE, seconds=(("read", 61.5),)))["scan"]

    assert ("2026-11-24T10:00:00", "2026-11-24T10:01:01") == (scan["start_time"], scan["end_time"])


@pytest.mark.parametrize("kind", ["emulated", "replay"])
def test_nothing_emulated_or_replayed_is_taken_for_live(kind):
    run = run_of(BLOCKED_IMAGE, replace(RUNS["undecided"].images[0], asked="b"), source=SourceInfo(kind))
    mark = f"{kind.upper()}: "

    for one in _secrets(run)["vulnerabilities"]:
        assert one["name"].startswith(mark)
        assert one["description"].startswith(mark)
    for issue in _quality(run):
        assert issue["description"].startswith(mark)
    assert ("warn", f"{mark}no real account was asked by this run") in _said(run)
    assert (kind == "emulated") == (_secrets(run)["scan"]["scanner"]["id"] == "ci-gate-emulated")


def test_more_findings_than_gitlab_shows_are_counted_the_most_severe_first(monkeypatch):
    monkeypatch.setattr(gitlab, "MAX_FINDINGS", 30)
    low = [replace(COUNTED, finding=finding("sqlite", f"/{n}.db", "low")) for n in range(30)]
    run = run_of(_image(*low, violation(finding("pem", "/a"))))

    assert ("High", 30) == (_secrets(run)["vulnerabilities"][0]["severity"], len(_secrets(run)["vulnerabilities"]))
    assert ("warn", "1 more finding is in the JSON report only") in _said(run)
    more = _quality(run)[-1]
    assert ("ci-gate/more-findings", "info") == (more["check_name"], more["severity"])
    assert "1 more finding is in the JSON report only" == more["description"]


def test_violations_that_are_left_out_still_block(monkeypatch):
    monkeypatch.setattr(gitlab, "MAX_FINDINGS", 1)
    issues = _quality(run_of(_image(*(violation(finding("pem", f"/{n}")) for n in range(3)))))

    assert ("blocker", "2 more findings are in the JSON report only") == (issues[-1]["severity"], issues[-1]["description"])


def test_the_longest_texts_keep_every_limit(monkeypatch):
    monkeypatch.setattr(gitlab, "MAX_BYTES", 200_000)
    found = violation(finding(LONGEST, LONGEST, LONGEST, name=LONGEST, advice=LONGEST, layer_digest=LONGEST), LONGEST, rule_text=LONGEST)
    run = run_of(replace(_image(found), asked=LONGEST, reference=None), causes=(Cause(ExitCode.INTERNAL, LONGEST, LONGEST),))

    _check(run)
    many = run_of(_image(*(replace(found, finding=replace(found.finding, path=f"/{n}{LONGEST}")) for n in range(50))))
    for text in (render_secret_detection(many), render_codequality(many)):
        assert len(text) < 300_000
        assert "more findings are in the JSON report only" in text


@pytest.mark.parametrize("render", [secret_detection_parts, codequality_parts])
def test_findings_come_in_parts(render):
    parts = list(render(run_of(_image(*(violation(finding("pem", f"/{n}")) for n in range(1_000))))))

    assert max(map(len, parts)) < 5_000


@pytest.mark.parametrize("path", HOSTILE)
def test_a_hostile_path_survives_in_printable_form(path):
    run = run_of(_image(violation(finding("pem", path))))

    _check(run)
    shown = f"shop/api/{printable(path, 1_000).removeprefix('/')}".removesuffix("/")
    assert shown == _secrets(run)["vulnerabilities"][0]["location"]["file"] == _quality(run)[0]["location"]["path"]


def test_a_path_leads_nowhere_else():
    run = run_of(_image(violation(finding("pem", "/../../.git/config"))))

    assert r"shop/api/\x2e\x2e/\x2e\x2e/.git/config" == _secrets(run)["vulnerabilities"][0]["location"]["file"]


def test_a_description_holds_no_markup_but_its_own():
    text = "![](http://example.com/i.png) [l](https://example.com) <img src=x> @user !1 $x$ `c`"
    found = violation(finding(text, text, advice=text, layer_digest=text), text, rule_text=text)
    description = _secrets(run_of(_image(found)))["vulnerabilities"][0]["description"]

    assert not re.search(r"!\[|\]\(|<img|://|`|\$|(?<![\w>])@", description)


def test_the_files_of_one_image_are_told_apart_from_those_of_another():
    run = run_of(_image(violation(finding())), _image(violation(finding()), name="shop/web"))

    assert {"shop/api/root/.aws/credentials", "shop/web/root/.aws/credentials"} == {
        one["location"]["file"] for one in _secrets(run)["vulnerabilities"]
    }
    assert str(REFERENCE).startswith("registry.example.com/shop/api")


def test_no_two_number_signs_stand_together_for_runners_obey_them():
    _check(run_of(_image(violation(finding("##k", "/a##b", advice="##c")))))
