"""Runs to render: one of each kind, and hypothesis strategies for any."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

from hypothesis import strategies as st

from ci_gate.errors import Cause, ExitCode
from ci_gate.model import Finding, Image, ImageReference, Proof, ProofState, RiskLevel, SourceInfo, number_alike
from ci_gate.verdict import (
    BaselineUse,
    Comparison,
    Decision,
    FloorSummary,
    ImageResult,
    Outcome,
    PolicySummary,
    RuleResult,
    RunResult,
    Validity,
    Verdict,
    WaiverUse,
)

DIGEST = "5e" * 32
LAYER = "sha256:" + "1a2b" * 16
TODAY = date(2026, 11, 24)
POLICY = PolicySummary("production", "enforce", "c0ffee" * 10 + "c0ff", "ci-gate.yml", canonical='{"deny":[{"keys":["pem"]}]}')
LIVE = SourceInfo("live", "https://tds.cn-shanghai.aliyuncs.com", "cn-shanghai")
REFERENCE = ImageReference.parse(f"registry.example.com/shop/api:1.4.2@sha256:{DIGEST}")
CLEAN = ImageReference.parse(f"registry.example.com/shop/web:2.0.0@sha256:{'ab' * 32}")
INCOMPLETE = Cause(
    ExitCode.INCOMPLETE, "the scan of the image has not finished", "Run again when it has.", "DescribeImageInstances", "0B9A-REQUEST-ID"
)


def image(digest: str = DIGEST, **fields) -> Image:
    known = {"uuid": "u-0083", "region_id": "cn-shanghai", "namespace": "shop", "repository": "api", "tag": "1.4.2"}
    scan = {"scan_status": "SUCCESS", "scan_progress": 100, "last_scan_ms": 1_790_000_000_123}
    return Image(**{"digest": digest, **known, **scan, **fields})


def finding(key: str = "aws_access_key", path: str = "/root/.aws/credentials", risk_level: str = "high", **fields) -> Finding:
    return Finding(key, path, risk_level, **{"md5": "0f" * 16, "layer_digest": LAYER, "name": "AWS key", "advice": "Rotate it.", **fields})


def violation(found: Finding, rule: str = "deny", **fields) -> Decision:
    return Decision(found, Outcome.VIOLATION, rule, **{"rule_text": f"broke {rule}", "level": RiskLevel.HIGH, **fields})


def warning(decision: Decision) -> Decision:
    return replace(decision, enforced=False)


PROOFS = (
    LIVE.proof,
    Proof("identity", ProofState.HELD, "the digest is the image", (("rows", 1),)),
    Proof("covered", ProofState.UNKNOWN, "one denied key is not in the rule tree"),
    Proof("complete", ProofState.HELD, "3 findings of 3", (("findings", 3), ("pages", "1"))),
    Proof("whitelists", ProofState.NOT_ASKED, "not asked"),
)
COUNTED = Decision(
    finding("sqlite", "/app/data.db", "low", name="SQLite"), Outcome.COUNTED, "counted", "no threshold is exceeded", RiskLevel.LOW
)
VIOLATIONS = tuple(
    violation(found, rule)
    for found, rule in zip(
        number_alike(
            [
                finding(),
                finding(),
                finding("rsa_private_key", "/opt/app/id_rsa"),
                finding("pem", "/etc/ssl/x|y.pem", md5="", layer_digest=""),
            ]
        ),
        ("deny", "deny", "thresholds.high", "deny"),
        strict=True,
    )
)
BROKEN = (
    RuleResult("deny", "no finding of the 12 denied keys", passed=False, detail="3 found"),
    RuleResult("thresholds.high", "at most 0 counted findings of high risk allowed", passed=False, detail="1 counted, 0 allowed"),
    RuleResult("thresholds.low", "at most 9 counted findings of low risk allowed", passed=True, detail="1 counted, 9 allowed"),
)
KEPT = (RuleResult("deny", "no finding of the 12 denied keys", passed=True, detail="none found"),)

PASSED_IMAGE = ImageResult(str(CLEAN), CLEAN, image("ab" * 32), PROOFS, Verdict((COUNTED,), KEPT))
BLOCKED_IMAGE = ImageResult(str(REFERENCE), REFERENCE, image(), PROOFS, Verdict((*VIOLATIONS, COUNTED), BROKEN))
WARN_IMAGE = replace(BLOCKED_IMAGE, verdict=Verdict((*map(warning, VIOLATIONS), COUNTED), BROKEN))
FAILED_PROOF = Proof("scanned", ProofState.FAILED, "the scan is PROCESSING", (("progress", 40),), INCOMPLETE)
UNDECIDED_IMAGE = ImageResult(str(REFERENCE), REFERENCE, image(), (LIVE.proof, FAILED_PROOF), failures=(INCOMPLETE,))
NOT_REACHED = ImageResult("uuid u-1", None, failures=(Cause(ExitCode.TERMINATED, "the run did not finish", "Run again."),))

DEPLOYED = Comparison("registry.example.com/shop/api:1.4.1", f"registry.example.com/shop/api@sha256:{'cd' * 32}", 7)
W_ACTIVE = WaiverUse(
    "W-1", Validity.ACTIVE, 2, "production", "revoked fixture key", "team-payments", "SEC-123", date(2026, 9, 1), date(2027, 2, 1)
)
W_EXPIRING = replace(W_ACTIVE, id="W-2", validity=Validity.EXPIRING, findings=1, owner="team-x", expires=date(2026, 11, 30))
W_UNUSED = replace(W_ACTIVE, id="W-3", findings=0, ticket="")
W_EXPIRED = replace(W_ACTIVE, id="W-4", validity=Validity.EXPIRED, expires=date(2026, 11, 20))
W_PENDING = replace(W_ACTIVE, id="W-5", validity=Validity.PENDING, findings=1, created=date(2026, 12, 1))
W_EXPIRED_UNUSED = replace(W_EXPIRED, id="W-6", findings=0, owner="")
W_QUIET = replace(W_UNUSED, id="W-7", report_unused=False)
W_FLOOR = replace(W_ACTIVE, id="W-8", policy="org", findings=1)
BASELINE = BaselineUse("ci-gate-baseline.json", Validity.ACTIVE, date(2026, 12, 31), 5, 3, policy="production")
GONE = replace(BASELINE, validity=Validity.EXPIRING, file="old.json", gone=2, examples=("pem /a.pem", "pem /b.pem"), expires=TODAY)
FLOORS = (FloorSummary("org", "enforce", "f0" * 32, "org.yml"), FloorSummary("trial", "warn", "f1" * 32, "trial.yml"))


def _softened() -> tuple[Decision, ...]:
    said = "waived by W-1 until 2027-02-01: revoked fixture key (owner team-payments, ticket SEC-123)"
    kinds = (
        ("rsa_private_key", "/opt/app/testdata/a.pem", Outcome.WAIVED, "waivers.W-1", said),
        ("rsa_private_key", "/opt/app/testdata/b.pem", Outcome.WAIVED, "waivers.W-1", said),
        ("pem", "/etc/ssl/old.pem", Outcome.BASELINED, "baseline", "it was there when the gate was introduced"),
        ("pem", "/usr/share/doc/key.pem", Outcome.EXEMPT, "base_image", "in a layer of the base image"),
        ("sqlite", "/app/known.db", Outcome.INHERITED, "since", "the deployed image has it, too"),
        ("sqlite", "/app/allowed.db", Outcome.ALLOWED, "allow", "the key is not counted"),
    )
    return tuple(
        Decision(finding(key, path), outcome, rule, text, RiskLevel.HIGH, base_image=outcome is Outcome.EXEMPT)
        for key, path, outcome, rule, text in kinds
    )


SOFTENED = _softened()
EXPIRED_TEXT = "the key is denied; waiver W-4 expired on 2026-11-20"
MIXED = (
    violation(finding("rsa_private_key", "/opt/app/id_rsa"), rule_text=EXPIRED_TEXT),
    violation(finding("rsa_private_key", "/opt/app/id_dsa"), rule_text=EXPIRED_TEXT),
    violation(finding("pem", "/usr/lib/base.pem"), "floor[org].deny", base_image=True),
    violation(finding("pem", "/usr/lib/counted.pem"), "floor[org].thresholds.high"),
    violation(finding("strange_key", "/usr/lib/trial.key"), "floor[trial].unknown.keys", enforced=False, base_image=True),
    violation(finding("pem", "/usr/lib/trial.pem"), "floor[trial].deny", enforced=False),
)
FLOOR_RULES = (
    RuleResult("floor[org].deny", "no finding of the 3 denied keys", passed=False, detail="1 found"),
    RuleResult(
        "floor[org].thresholds.high", "at most 0 counted findings of high risk allowed", passed=False, detail="1 counted, 0 allowed"
    ),
    RuleResult("floor[trial].deny", "no finding of the 1 denied key", passed=False, detail="1 found"),
)
EXCEPTIONS = {"waivers": (W_ACTIVE, W_EXPIRING, W_UNUSED, W_EXPIRED_UNUSED, W_QUIET, W_FLOOR), "baselines": (BASELINE, GONE)}
EXCEPTED_IMAGE = ImageResult(
    str(CLEAN),
    CLEAN,
    image("ab" * 32),
    PROOFS,
    Verdict((*SOFTENED, COUNTED), KEPT, **EXCEPTIONS),
    compared=DEPLOYED,
    known=((SOFTENED[4].finding.fingerprint, 2),),
)
MIXED_IMAGE = ImageResult(
    str(REFERENCE),
    REFERENCE,
    image(),
    PROOFS,
    Verdict((*MIXED, *SOFTENED), (*BROKEN[:1], *FLOOR_RULES), (), (W_EXPIRED, W_PENDING, W_ACTIVE), (replace(BASELINE, findings=1),)),
    compared=DEPLOYED,
)


def run_of(*images: ImageResult, **fields) -> RunResult:
    given = {"tool_version": "0.1.0", "source": LIVE, "policy": POLICY, "started": "2026-11-24T10:00:00+00:00"}
    seconds = (("resolve", 0.25), ("read", 1.5))
    return RunResult(**{**given, "images": images, "seconds": seconds, "request_ids": ("0B9A-1", "0B9A-2"), "today": TODAY, **fields})


RUNS = {
    "passed": run_of(PASSED_IMAGE),
    "blocked": run_of(BLOCKED_IMAGE),
    "undecided": run_of(UNDECIDED_IMAGE),
    "warn": run_of(WARN_IMAGE, policy=replace(POLICY, mode="warn")),
    "multi-image": run_of(PASSED_IMAGE, BLOCKED_IMAGE, UNDECIDED_IMAGE, source=SourceInfo("emulated", "http://127.0.0.1:1", "cn-shanghai")),
    "policy-error": run_of(
        causes=(
            Cause(ExitCode.POLICY_INVALID, "unknown field 'denny'", "Did you mean 'deny'?", where="ci-gate.yml:3:1"),
            Cause(ExitCode.POLICY_INVALID, "the policy judges nothing", "Add deny or thresholds.", where="ci-gate.yml:1:1"),
        ),
        policy=PolicySummary("not loaded", "enforce", "", ""),
        request_ids=(),
        seconds=(),
    ),
    "unfinished": run_of(NOT_REACHED, causes=NOT_REACHED.failures, seconds=(), request_ids=(), today=None),
    "exceptions": run_of(EXCEPTED_IMAGE, policy=replace(POLICY, floors=FLOORS)),
    "mixed": run_of(MIXED_IMAGE, policy=replace(POLICY, floors=FLOORS)),
    "several-with-waivers": run_of(EXCEPTED_IMAGE, MIXED_IMAGE, policy=replace(POLICY, floors=FLOORS)),
}

HOSTILE = [
    "/a\nb",
    "/a\r\n::error::x",
    "/a|b|c",
    "/<script>alert(1)</script><img src=x>",
    "/\x1b[2J\x1b]0;x\x07",
    "/nul\x00nul",
    "/\ufffe\uffff",
    "/\ud800lone\udfff",
    "/%0A::error::x",
    "::error::x",
    "##[error]x ##vso[task.complete result=Succeeded;]",
    "@user @org/team mail a@example.com",
    "/![](http://example.com/i.png) [l](https://example.com) www.example.com http://example.com <http://example.com> #1 GH-1 !2 :tada:",
    "/`code` ``x`` *b* _i_ ~~s~~ $m$ &lt; &#60; \\| \\",
    "/\u202eevil\u2066\u200b\u00a0\u3164",
    "/ leading and trailing ",
    "</code></td></table><!--",
    "]]>&lt;/failure>",
    "",
    "x" * 10_000,
]


def _hostile_run() -> RunResult:
    """Everything that comes from an image, the service or a policy is hostile."""
    text = "\n::error::x\u202e|`<img src=x>` @user ##[error] \ud800 ]]> #1"
    found = finding(text, text, text, name=text, advice=text, description=text, layer_digest=text)
    decided = [Decision(found, outcome, f"floor[{text}].deny", text, None, base_image=True) for outcome in Outcome]
    more = (violation(found, text), violation(found, text, enforced=False))
    waivers = tuple(WaiverUse(text + word, word, 1, text, text, text, text, TODAY, TODAY) for word in Validity)
    baselines = tuple(BaselineUse(text, word, TODAY, 3, 1, 1, (text,), text) for word in Validity)
    verdict = Verdict((*decided, *more), (RuleResult(text, text, passed=False, detail=text),), (), waivers, baselines)
    result = ImageResult(text, None, image(), (Proof(text, ProofState.UNKNOWN, text),), verdict, compared=Comparison(text, text + "b", 1))
    policy = PolicySummary(text, "enforce", text, text, (FloorSummary(text, "warn", text, text),), json.dumps({text: [text]}))
    cause = Cause(ExitCode.PROTOCOL, text, text, text, text, text)
    return run_of(result, policy=policy, causes=(cause,), request_ids=(text,), tool_version=text)


RUNS["hostile"] = _hostile_run()

texts = st.one_of(
    st.sampled_from(HOSTILE), st.text(st.characters(codec=None), max_size=30), st.text("|<>&@:/`*_[]()#!$~\\ \nw.a1{}%", max_size=20)
).map(lambda text: json.loads(json.dumps(text)))  # no text that came as JSON holds both halves of a character apart
causes = st.builds(
    Cause,
    st.sampled_from([code for code in ExitCode if code not in {ExitCode.PASSED, ExitCode.BLOCKED}]),
    texts,
    texts,
    st.none() | texts,
    st.none() | texts,
    st.none() | texts,
)
findings = st.builds(
    Finding,
    st.sampled_from(["aws_access_key", "pem"]) | texts,
    texts,
    st.sampled_from(["high", "low"]) | texts,
    st.sampled_from(["", "0f" * 16]) | texts,
    st.just(LAYER) | texts,
    texts,
    texts,
    texts,
    st.none() | st.integers(0, 2**70),
)
levels = st.none() | st.sampled_from(RiskLevel)
rule_names = st.sampled_from(["deny", "thresholds.high", "waivers.W-1", "floor[org].deny", "floor[a].b].thresholds.low"]) | texts
rule_texts = st.sampled_from([EXPIRED_TEXT, "it is denied; the baseline expired on 2026-11-24"]) | texts
# Only a violation can be one that nobody enforces.
decisions = st.builds(Decision, findings, st.sampled_from(Outcome), rule_names, rule_texts, levels, st.booleans(), st.booleans()).map(
    lambda decision: decision if decision.outcome is Outcome.VIOLATION else replace(decision, enforced=True)
)
days = st.sampled_from([TODAY, date(2026, 11, 20), date(2026, 12, 31)])
waiver_uses = st.builds(
    WaiverUse,
    st.sampled_from(["W-1", "W-4"]) | texts,
    st.sampled_from(Validity),
    st.integers(0, 2),
    st.just("production") | texts,
    texts,
    texts,
    texts,
    days,
    days,
    st.booleans(),
)
baseline_uses = st.builds(
    BaselineUse,
    st.just("b.json") | texts,
    st.sampled_from(Validity),
    days,
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 3),
    st.lists(texts, max_size=2).map(tuple),
    st.just("production") | texts,
)
proofs = st.builds(
    Proof, st.sampled_from(["source", "complete"]) | texts, st.sampled_from(ProofState), texts, st.just((("rows", 1),)), st.none() | causes
)
rules = st.builds(RuleResult, st.sampled_from(["deny", "thresholds.high"]) | texts, texts, st.booleans(), texts)


def some(strategy, most: int = 3):
    return st.lists(strategy, max_size=most).map(tuple)


exceptions = st.just(((), ())) | st.tuples(some(waiver_uses), some(baseline_uses, 2))
verdicts = st.builds(
    lambda decided, ruled, unclear, excepted: Verdict(decided, ruled, unclear, *excepted),
    some(decisions, 4),
    some(rules),
    some(causes, 1),
    exceptions,
)
comparisons = st.none() | st.builds(Comparison, st.just("a") | texts, st.just("a") | texts, st.integers(0, 5))
images = st.builds(
    ImageResult,
    st.just(str(REFERENCE)) | texts,
    st.none() | st.just(REFERENCE),
    st.none() | st.just(image()),
    some(proofs),
    verdicts,
    some(causes, 2),
    comparisons,
    some(st.tuples(st.just("0f" * 32), st.integers(1, 3)), 2),
)
# Most random runs fail somehow; half of these have no cause at all, so that passing ones are seen too.
plain_images = st.builds(
    ImageResult,
    texts,
    st.just(REFERENCE),
    st.just(image()),
    verdict=st.builds(lambda decided, ruled, excepted: Verdict(decided, ruled, (), *excepted), some(decisions, 4), some(rules), exceptions),
    compared=comparisons,
)
floors = st.builds(FloorSummary, texts, st.sampled_from(["enforce", "warn"]), texts, texts)
policies = st.just(POLICY) | st.builds(
    PolicySummary,
    texts,
    st.sampled_from(["enforce", "warn"]),
    texts,
    texts,
    some(floors, 2),
    st.sampled_from(["", "{}"]) | st.dictionaries(texts, st.lists(texts, max_size=1), max_size=2).map(json.dumps),
)
sources = st.sampled_from([LIVE, SourceInfo("emulated", "http://127.0.0.1:1"), SourceInfo("replay")])
runs = st.builds(
    run_of,
    source=sources,
    policy=policies,
    today=st.none() | st.just(TODAY),
    causes=st.one_of(st.just(()), st.just(()), some(causes, 2)),
    started=st.sampled_from(["", "2026-11-24T10:00:00+00:00"]),
).flatmap(lambda run: st.one_of(some(images), some(plain_images)).map(lambda shown: replace(run, images=shown)))
