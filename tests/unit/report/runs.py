"""Runs to render: one of each kind, and hypothesis strategies for any."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from ci_gate.errors import Cause, ExitCode
from ci_gate.model import Finding, Image, ImageReference, Proof, ProofState, RiskLevel, SourceInfo, number_alike
from ci_gate.verdict import Decision, ImageResult, Outcome, PolicySummary, RuleResult, RunResult, Verdict

DIGEST = "5e" * 32
LAYER = "sha256:" + "1a2b" * 16
POLICY = PolicySummary("production", "enforce", "c0ffee" * 10 + "c0ff", "ci-gate.yml")
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


def violation(found: Finding, rule: str = "deny") -> Decision:
    return Decision(found, Outcome.VIOLATION, rule, f"broke {rule}", RiskLevel.HIGH)


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

PASSED_IMAGE = ImageResult(str(CLEAN), "enforce", CLEAN, image("ab" * 32), PROOFS, Verdict((COUNTED,), KEPT))
BLOCKED_IMAGE = ImageResult(str(REFERENCE), "enforce", REFERENCE, image(), PROOFS, Verdict((*VIOLATIONS, COUNTED), BROKEN))
WARN_IMAGE = replace(BLOCKED_IMAGE, mode="warn")
FAILED_PROOF = Proof("scanned", ProofState.FAILED, "the scan is PROCESSING", (("progress", 40),), INCOMPLETE)
UNDECIDED_IMAGE = ImageResult(str(REFERENCE), "enforce", REFERENCE, image(), (LIVE.proof, FAILED_PROOF), failures=(INCOMPLETE,))
NOT_REACHED = ImageResult("uuid u-1", "enforce", None, failures=(Cause(ExitCode.TERMINATED, "the run did not finish", "Run again."),))


def run_of(*images: ImageResult, **fields) -> RunResult:
    given = {"tool_version": "0.1.0", "source": LIVE, "policy": POLICY, "started": "2026-11-24T10:00:00+00:00"}
    seconds = (("resolve", 0.25), ("read", 1.5))
    return RunResult(**{**given, "images": images, "seconds": seconds, "request_ids": ("0B9A-1", "0B9A-2"), **fields})


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
    "unfinished": run_of(NOT_REACHED, causes=NOT_REACHED.failures, seconds=(), request_ids=()),
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

texts = st.one_of(
    st.sampled_from(HOSTILE), st.text(st.characters(codec=None), max_size=30), st.text("|<>&@:/`*_[]()#!$~\\ \nw.a1{}%", max_size=20)
)
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
decisions = st.builds(Decision, findings, st.sampled_from(Outcome), st.sampled_from(["deny", "thresholds.high"]) | texts, texts, levels)
proofs = st.builds(
    Proof, st.sampled_from(["source", "complete"]) | texts, st.sampled_from(ProofState), texts, st.just((("rows", 1),)), st.none() | causes
)
rules = st.builds(RuleResult, st.sampled_from(["deny", "thresholds.high"]) | texts, texts, st.booleans(), texts)


def some(strategy, most: int = 3):
    return st.lists(strategy, max_size=most).map(tuple)


verdicts = st.builds(Verdict, some(decisions, 4), some(rules), some(causes, 1))
images = st.builds(
    ImageResult,
    st.just(str(REFERENCE)) | texts,
    st.sampled_from(["enforce", "warn"]),
    st.none() | st.just(REFERENCE),
    st.none() | st.just(image()),
    some(proofs),
    verdicts,
    some(causes, 2),
)
# Most random runs fail somehow; half of these have no cause at all, so that passing ones are seen too.
plain_images = st.builds(
    ImageResult,
    texts,
    st.sampled_from(["enforce", "warn"]),
    st.just(REFERENCE),
    st.just(image()),
    verdict=st.builds(Verdict, some(decisions, 4), some(rules)),
)
sources = st.sampled_from([LIVE, SourceInfo("emulated", "http://127.0.0.1:1"), SourceInfo("replay")])
runs = st.builds(
    run_of,
    source=sources,
    causes=st.one_of(st.just(()), st.just(()), some(causes, 2)),
    started=st.sampled_from(["", "2026-11-24T10:00:00+00:00"]),
).flatmap(lambda run: st.one_of(some(images), some(plain_images)).map(lambda shown: replace(run, images=shown)))
