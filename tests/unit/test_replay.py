"""A saved result as a source of findings: what has to follow from its figures, and what another policy makes of them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import pytest

from ci_gate import __version__
from ci_gate.errors import Cause, ExitCode, InvalidDocumentError
from ci_gate.model import EvidenceRules, Finding, Image, ImageReference, Inventory, Proof, ProofState, RiskLevel, SourceInfo, number_alike
from ci_gate.replay.again import as_saved, check_verdict, decide_again, run_causes
from ci_gate.replay.evidence import check_evidence
from ci_gate.replay.saved import read_saved
from ci_gate.result_document.write import render_json
from ci_gate.verdict import Comparison, Decision, ImageResult, Outcome, PolicySummary, RunResult, Verdict

DIGEST = "5e" * 32
REFERENCE = ImageReference.parse(f"registry.example.com/shop/api:1@sha256:{DIGEST}")
IMAGE = Image(
    "u-1", DIGEST, namespace="shop", repository="api", scan_status="SUCCESS", scan_result="SUCCESS", last_scan_ms=1_790_000_000_000
)
SOURCE = SourceInfo("live", "https://tds.cn-shanghai.aliyuncs.com", "cn-shanghai")
FINDINGS = number_alike([Finding("sqlite", "/a", "low"), Finding("sqlite", "/a", "low"), Finding("pem", "/b\ud800", "high")])
RULES = EvidenceRules(denied_keys=frozenset({"pem", "aws_cli"}))
HELD, FAILED, UNKNOWN, NOT_ASKED = ProofState.HELD, ProofState.FAILED, ProofState.UNKNOWN, ProofState.NOT_ASKED
UNREAD = Cause(ExitCode.UNAVAILABLE, "the network is gone", "Try again.", "DescribeImageSensitiveFileByKey", "R-1")
ODD_LEVEL = Cause(ExitCode.PROTOCOL, "a level is not documented", "Set unknown.risk_level.")
SINCE = Cause(ExitCode.INCOMPLETE, "--since registry.example.com/shop/api:0: it is not listed", "Check the name.")


def _proofs(findings=FINDINGS, **changes) -> tuple[Proof, ...]:
    read = len(findings)
    proofs = {
        "source": SOURCE.proof,
        "identity": Proof("identity", HELD, "found", (("digest", f"sha256:{DIGEST}"), ("uuid", "u-1"), ("rows", 1))),
        "scanned": Proof(
            "scanned", HELD, "done", (("status", "SUCCESS"), ("result", "SUCCESS"), ("last_scan_ms", 1_790_000_000_000), ("age_s", 3_600))
        ),
        "covered": Proof(
            "covered", HELD, "on", (("rules", 9), ("denied_keys", 2), ("denied_off", 0), ("denied_absent", 0), ("other_off", 0))
        ),
        "complete": Proof(
            "complete", HELD, "all", (("keys_listed", 2), ("keys_total", 2), ("files_read", read), ("files_total", read), ("pages", 3))
        ),
        "consistent": Proof(
            "consistent",
            HELD,
            "agree",
            (("second_route", "asked"), ("second_route_total", read), ("second_route_added", 0), ("disagreements", 0)),
        ),
        "settled": Proof("settled", NOT_ASKED if findings else HELD, "old", () if findings else (("settle_s", 15), ("findings", 0))),
        "whitelists": Proof("whitelists", HELD, "none", (("whitelists", 0),)),
    }
    proofs.update(changes)
    return tuple(proof for proof in proofs.values() if proof is not None)


def _verdict(findings=FINDINGS, causes=()) -> Verdict:
    return Verdict(
        tuple(Decision(found, Outcome.COUNTED, "counted", "within", RiskLevel(found.risk_level)) for found in findings), causes=causes
    )


def _result(evidence=None, findings=FINDINGS, **fields) -> ImageResult:
    given = {"image": IMAGE, "verdict": _verdict(findings), **fields}
    return ImageResult(str(REFERENCE), REFERENCE, evidence=_proofs(findings) if evidence is None else evidence, **given)


def _run(*results, **fields) -> RunResult:
    given = {"source": SOURCE, "policy": PolicySummary("p", "enforce", "c0" * 32, "p.yml"), "today": date(2026, 11, 24), **fields}
    return RunResult(__version__, images=results, started="2026-11-24T10:00:00+00:00", **given)


def _saved(*results, **fields):
    return read_saved(render_json(_run(*results, **fields)).encode(), "r.json")


def _again(result, rules=RULES, before=RULES, verdict=None):
    saved = _saved(result)
    return decide_again(saved, saved.images[0], verdict or result.verdict, result.verdict.causes, rules, before)


def _proof(result, name):
    return next(proof for proof in result.evidence if proof.name == name)


def test_a_result_comes_back_as_it_was_but_for_its_source():
    result = _result()

    saved = _saved(result)
    check_evidence(saved, lambda _: RULES)
    check_verdict(saved, [result.verdict])
    again = _again(result)

    assert replace(result, evidence=()) == replace(again, evidence=())
    assert result.evidence[1:] == again.evidence[1:]
    assert again.evidence[0].detail.startswith("REPLAY: a saved run")
    assert ExitCode.PASSED is again.exit_code
    assert Inventory(FINDINGS, result.evidence) == saved.images[0].inventory(())


@pytest.mark.parametrize("kind", ["emulated", "live"])
def test_a_replay_of_a_replay_knows_what_it_began_as(kind):
    source = SourceInfo(kind, "https://example.com")
    first = _saved(_result(_proofs(source=source.proof)), source=source)
    again = decide_again(first, first.images[0], _verdict(), (), RULES, RULES)

    second = _saved(again, source=SourceInfo("replay"))

    assert (kind, kind) == (first.first_kind, second.first_kind)
    assert "emulated" == replace(second, images=()).first_kind, "what cannot be told is not live"


def test_a_failure_stays_one_and_becomes_incomplete():
    cut = Proof(
        "complete",
        FAILED,
        "1 of 2",
        dict(_proofs()[4].figures) and (("keys_listed", 2), ("keys_total", 2), ("files_read", 3), ("files_total", 9)),
        UNREAD,
    )
    waiting = Proof(
        "consistent",
        UNKNOWN,
        "not judged",
        (("second_route", "not asked"), ("second_route_total", -1), ("second_route_added", 0), ("disagreements", 0)),
    )
    result = _result(_proofs(complete=cut, consistent=waiting), failures=(UNREAD,))
    saved = _saved(result)

    again = _again(result)

    check_verdict(saved, [result.verdict])
    assert (UNREAD,) == saved.images[0].inventory(()).causes, "the findings are judged as partial ones"
    assert ExitCode.INCOMPLETE is again.exit_code
    assert ["the saved run was not complete: the network is gone"] == [cause.what for cause in again.causes]
    assert "R-1" == again.causes[0].request_id


def test_what_only_the_verdict_could_not_judge_does_not_make_the_findings_partial():
    result = _result(verdict=_verdict(causes=(ODD_LEVEL,)))
    saved = _saved(result)

    assert () == saved.images[0].inventory((ODD_LEVEL,)).causes
    assert (ODD_LEVEL,) == saved.images[0].inventory(()).causes
    again = _again(result)
    assert (ExitCode.INCOMPLETE, "a level is not documented") == (again.exit_code, again.causes[0].what)
    assert () == _again(result, verdict=_verdict()).causes, "another policy may know what to make of it"


def test_a_replay_saves_one_code_for_what_is_not_complete():
    result = _result(verdict=_verdict(causes=(ODD_LEVEL,)))

    saved = _saved(_again(result), source=SourceInfo("replay"))

    check_verdict(saved, [as_saved(saved, result.verdict)])


def test_an_image_that_could_not_be_compared_stays_so():
    unread = Comparison("registry.example.com/shop/api:0", "registry.example.com/shop/api:0", None)
    saved = _saved(_result(failures=(SINCE,), compared=unread))

    assert not saved.images[0].inventory(()).comparable
    assert () == saved.images[0].inventory(()).causes
    again = _again(_result(failures=(SINCE,), compared=unread))
    assert not _saved(again, source=SourceInfo("replay")).images[0].inventory(()).comparable


def test_what_the_deployed_image_has_is_known_again():
    mark = FINDINGS[0].fingerprint
    proof = Proof("compared", HELD, "read", (("findings", 5), ("digest", "sha256:" + "66" * 32)))
    compared = Comparison("registry.example.com/shop/api:0", "registry.example.com/shop/api@sha256:" + "66" * 32, 5)

    saved = _saved(_result((*_proofs(), proof), compared=compared, known=((FINDINGS[0].fingerprint, 1),)))

    assert {mark: 1} == saved.images[0].inventory(()).known


def test_a_report_that_the_run_could_not_write_is_none_of_ours():
    unwritten = Cause(ExitCode.REPORT_FAILED, "the disk is full", "Free some.")
    ended = Cause(ExitCode.TERMINATED, "the run did not finish", "Run it again.")

    assert () == run_causes(_saved(_result(), causes=(unwritten,)))
    assert [ExitCode.INCOMPLETE] == [cause.code for cause in run_causes(_saved(_result(), causes=(ended,)))]


def _figured(name, **figures):
    proof = next(proof for proof in _proofs() if proof.name == name)
    return _proofs(**{name: replace(proof, figures=tuple({**dict(proof.figures), **figures}.items()))})


CONTRADICTIONS = {
    "fewer findings than were read": _result(_proofs(FINDINGS), FINDINGS[:2]),
    "totals": _result(_figured("complete", files_total=4)),
    "keys": _result(_figured("complete", keys_total=3)),
    "no totals": _result(_figured("complete", files_total="3")),
    "second route": _result(_figured("consistent", second_route_total=4)),
    "added": _result(_figured("consistent", second_route_added=1)),
    "another digest": _result(_figured("identity", digest="sha256:" + "11" * 32)),
    "another uuid": _result(_figured("identity", uuid="u-2")),
    "no success": _result(_figured("scanned", status="START")),
    "another scan": _result(_figured("scanned", last_scan_ms=1)),
    "a failure without a cause": _result(_proofs(complete=replace(_proofs()[4], state=FAILED))),
    "another source": _result(_proofs(source=SourceInfo("live", "https://example.com").proof)),
    "another kind of source": _result(_proofs(source=replace(SOURCE, kind="emulated").proof)),
    "a source that does not hold": _result(_proofs(source=replace(SOURCE.proof, state=UNKNOWN))),
    "settled is unknown, and no cause says why": _result(_proofs((), settled=Proof("settled", UNKNOWN, "?")), ()),
    "not looked at again": _result(_proofs((), settled=Proof("settled", NOT_ASKED, "no")), ()),
    "settled without a figure": _result(_proofs((), settled=Proof("settled", HELD, "yes")), ()),
    "another number at the second look": _result(
        _proofs((), settled=Proof("settled", HELD, "yes", (("settle_s", 15), ("findings", 2)))), ()
    ),
    "twice": _result((*_proofs(), _proofs()[4])),
    "no image": _result(_proofs(), image=None),
    "an image of another digest": _result(image=replace(IMAGE, digest="11" * 32)),
    "an image of another repository": _result(image=replace(IMAGE, repository="worker")),
    "an image of another namespace": _result(image=replace(IMAGE, namespace="")),
    "another reference than was asked": replace(_result(), asked=f"registry.example.com/shop/worker:1@sha256:{DIGEST}"),
    "another registry than was asked": replace(_result(), reference=replace(REFERENCE, registry="other.example.com")),
    "another uuid than was asked": replace(_result(), reference=None, asked="uuid u-2"),
    "no uuid was asked": replace(_result(), reference=None),
    "known without a comparison": _result(known=((FINDINGS[0].fingerprint, 1),)),
    "known of nothing here": _result(known=(("0" * 64, 1),), compared=Comparison("a", "b", 9)),
    "a comparison without a proof": _result(compared=Comparison("a", "b", 9)),
    **{
        f"without {name}": _result(_proofs(**{name: None}))
        for name in ("identity", "scanned", "covered", "complete", "consistent", "settled", "whitelists")
    },
}


@pytest.mark.parametrize("kind", CONTRADICTIONS)
def test_parts_that_contradict_each_other_do_not_load(kind):
    with pytest.raises(InvalidDocumentError) as caught:
        _saved(CONTRADICTIONS[kind])

    assert all(cause.where == "r.json" and cause.advice for cause in caught.value.causes)


def _document(change):
    document = json.loads(render_json(_run(_result())))
    change(document["images"][0])
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image["findings"][0].update(path="/elsewhere"),
        lambda image: image["findings"][0].update(md5="00" * 16),
        lambda image: image["findings"][0].update(ordinal=3),
        lambda image: image["findings"].pop(),
        lambda image: image["counts"].update(findings=2),
        lambda image: image["counts"].update(violations=1),
        lambda image: image["counts"]["by_decision"].update(allowed=1),
        lambda image: image["counts"]["by_level"].update(high=0),
        lambda image: image.update(reference="no reference"),
    ],
)
def test_figures_that_are_not_those_of_the_findings_do_not_load(change):
    with pytest.raises(InvalidDocumentError):
        read_saved(_document(change), "r.json")


def _changed_run(change, *results):
    document = json.loads(render_json(_run(*results)))
    change(document)
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda run: run["counts"].update(findings=2), "counts.findings is not the sum over the images"),
        (lambda run: run["counts"].update(violations=1), "counts.violations is not the sum"),
        (lambda run: run["counts"]["by_decision"].update(counted=2), "counts.by_decision is not the sum"),
        (lambda run: run["counts"]["by_level"].update(low=5), "counts.by_level is not the sum"),
        (lambda run: run.update(images=[]), "there is no image, and no cause says why"),
        (lambda run: run["images"].append(run["images"][0]), "is there 2 times"),
        (lambda run: run.update(started="yesterday"), "the time that it was started is none"),
        (lambda run: run.update(started="2026-02-30T10:00:00+00:00"), "the time that it was started is none"),
        (lambda run: run.update(started="2026-11-24T10:00:00+08:00"), "the time that it was started is none"),
        (lambda run: run.update(today="2026-11-23"), "it was judged as of 2026-11-23"),
        (lambda run: run.update(today="2026-11-26"), "it was judged as of 2026-11-26"),
    ],
)
def test_what_is_said_of_the_run_has_to_fit_its_images(change, said):
    with pytest.raises(InvalidDocumentError) as caught:
        read_saved(_changed_run(change, _result()), "r.json")

    assert any(said in cause.what for cause in caught.value.causes)


@pytest.mark.parametrize(
    "result",
    [
        replace(_result(), asked="registry.example.com/shop/api:1"),  # the digest came from a metadata file
        replace(_result(), reference=None, asked="uuid u-1"),
        replace(_result(), reference=replace(REFERENCE, digest=None), asked="registry.example.com/shop/api:1"),
    ],
)
def test_an_image_can_be_asked_about_in_several_ways(result):
    assert IMAGE == _saved(result).images[0].image


def test_a_run_over_midnight_loads():
    assert date(2026, 11, 25) == _saved(_result(), today=date(2026, 11, 25)).today


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image["image"].update(last_scan="2020-01-01T00:00:00+00:00"),
        lambda image: image.update(registry="other.example.com"),
        lambda image: image.update(canonical="other.example.com/shop/api"),
        lambda image: image["findings"][0].update(rule="allow"),
        lambda image: image["findings"][0].update(rule_text="fine"),
        lambda image: image["rules"].append({"rule": "deny", "text": "x", "passed": True, "detail": ""}),
        lambda image: image.update(status="blocked"),
        lambda image: image.update(exit_code=20),
        lambda image: image.update(pinned="registry.example.com/shop/api@sha256:" + "11" * 32),
        lambda image: image["findings"][0].update(enforced=False),
        lambda image: image["findings"][0].update(base_image=True),
    ],
)
def test_a_verdict_that_does_not_follow_is_refused(change):
    saved = read_saved(_document(change), "r.json")

    with pytest.raises(InvalidDocumentError, match="does not follow"):
        check_verdict(saved, [_verdict()])


def test_a_decision_that_does_not_follow_is_refused():
    violation = replace(_verdict().decisions[0], outcome=Outcome.VIOLATION)
    otherwise = replace(_verdict(), decisions=(violation, *_verdict().decisions[1:]))

    with pytest.raises(InvalidDocumentError) as caught:
        check_verdict(_saved(_result()), [otherwise])
    assert "1 finding is decided otherwise" in caught.value.causes[0].what


OFF = Cause(ExitCode.INCOMPLETE, "denied keys are switched off", "Switch them on.")


@pytest.mark.parametrize(
    "evidence",
    [
        _figured("covered", denied_off=1),
        _figured("covered", rules=0),
        _figured("covered", denied_absent=1),
        _figured("covered", denied_keys=1),
        _figured("consistent", disagreements=1),
        _proofs(covered=Proof("covered", NOT_ASKED, "off")),
        _proofs(covered=replace(_proofs()[3], state=FAILED, cause=None)),
        _proofs(whitelists=Proof("whitelists", HELD, "none")),
    ],
)
def test_a_proof_that_its_figures_do_not_bear_is_refused(evidence):
    with pytest.raises(InvalidDocumentError, match="the proof"):
        check_evidence(_saved(_result(evidence)), lambda _: RULES)


@pytest.mark.parametrize(
    ("name", "evidence", "rules", "state", "fails"),
    [
        ("covered", None, replace(RULES, denied_keys=frozenset({"pem"})), HELD, False),
        ("covered", None, replace(RULES, denied_keys=frozenset({"pem", "npm_token"})), UNKNOWN, False),
        ("covered", None, replace(RULES, denied_keys=frozenset({"npm_token"}), rule_coverage="error"), UNKNOWN, True),
        ("covered", _figured("covered", other_off=1), replace(RULES, denied_keys=frozenset({"npm_token"})), UNKNOWN, True),
        (
            "covered",
            _figured("covered", other_off=1),
            replace(RULES, denied_keys=frozenset({"npm_token"}), rule_coverage="warn"),
            UNKNOWN,
            False,
        ),
        ("covered", _figured("covered", denied_absent=1), replace(RULES, rule_coverage="error"), UNKNOWN, True),
        ("covered", _figured("covered", denied_off=1), replace(RULES, rule_coverage="warn"), FAILED, False),
        ("covered", _figured("covered", denied_off=1), replace(RULES, rule_coverage="off"), NOT_ASKED, False),
        ("covered", _proofs(covered=Proof("covered", NOT_ASKED, "off")), RULES, UNKNOWN, True),
        ("covered", _proofs(covered=Proof("covered", UNKNOWN, "no permission")), RULES, UNKNOWN, False),
        ("covered", _proofs(covered=Proof("covered", UNKNOWN, "no permission")), replace(RULES, rule_coverage="error"), UNKNOWN, True),
        ("consistent", _figured("consistent", disagreements=2), replace(RULES, inferred="warn"), FAILED, False),
        ("consistent", _figured("consistent", disagreements=2), RULES, FAILED, True),
        ("whitelists", _figured("whitelists", whitelists=1), replace(RULES, vendor_whitelist="error"), FAILED, True),
        ("whitelists", _figured("whitelists", whitelists=1), RULES, HELD, False),
        (
            "whitelists",
            _proofs(whitelists=Proof("whitelists", UNKNOWN, "no permission")),
            replace(RULES, vendor_whitelist="error"),
            UNKNOWN,
            True,
        ),
        ("scanned", None, replace(RULES, max_scan_age_s=3_600.0), HELD, False),
        ("scanned", None, replace(RULES, max_scan_age_s=3_599.0), FAILED, True),
        ("scanned", _figured("scanned", age_s="?"), replace(RULES, max_scan_age_s=3_600.0), FAILED, True),
        ("scanned", _figured("scanned", age_s=-301), replace(RULES, max_scan_age_s=3_600.0), FAILED, True),
    ],
)
def test_another_policy_asks_for_other_evidence(name, evidence, rules, state, fails):
    proof = _proof(_again(_result(evidence), rules), name)

    assert (state, fails) == (proof.state, proof.cause is not None)
    assert proof.cause is None or proof.cause.code is ExitCode.INCOMPLETE


def test_a_second_look_that_came_too_early_for_another_policy():
    result = _result(_proofs(()), ())

    assert ExitCode.PASSED is _again(result).exit_code
    assert ExitCode.INCOMPLETE is _again(result, replace(RULES, settle_s=60.0)).exit_code


def test_a_tag_is_not_enough_for_a_policy_that_asks_for_digests():
    by_tag = replace(_result(), reference=replace(REFERENCE, digest=None), asked="registry.example.com/shop/api:1")
    lenient = replace(RULES, require_digest=False)

    assert ExitCode.PASSED is _again(by_tag, lenient, lenient).exit_code
    assert ExitCode.INCOMPLETE is _again(by_tag, RULES, lenient).exit_code
    assert ExitCode.PASSED is _again(by_tag, RULES, RULES).exit_code, "a uuid named it, or it would not have passed"


def test_what_was_not_looked_for_is_remembered_by_the_next_replay():
    more = replace(RULES, denied_keys=frozenset({"pem", "npm_token"}))
    saved = _saved(_again(_result(), more), source=SourceInfo("replay"))

    check_evidence(saved, lambda _: more)
    stricter = decide_again(saved, saved.images[0], _verdict(), (), replace(more, rule_coverage="error"), more)
    assert ExitCode.INCOMPLETE is stricter.exit_code
