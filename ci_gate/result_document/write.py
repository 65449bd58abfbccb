"""The result document of a run, as JSON values and as text. Pure."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, cast

from ci_gate.model import RiskLevel
from ci_gate.result_document.shapes import SCHEMA_VERSION
from ci_gate.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ci_gate.errors import Cause
    from ci_gate.model import Image, Proof
    from ci_gate.result_document.shapes import (
        BaselineDocument,
        CauseDocument,
        ComparedDocument,
        CountsDocument,
        FindingDocument,
        ImageDocument,
        ImageResultDocument,
        KnownDocument,
        Mode,
        PolicyDocument,
        ProofDocument,
        ResultDocument,
        SourceKind,
        WaiverDocument,
    )
    from ci_gate.verdict import BaselineUse, Comparison, Decision, ImageResult, PolicySummary, RunResult, WaiverUse

_NO_ROWS = ',\n      "known": [],\n      "findings": []'
_CHUNK = 1_000


def to_document(run: RunResult) -> ResultDocument:
    """Return the document of a run, as JSON values."""
    return _document(run)


def _document(run: RunResult, *, with_rows: bool = True) -> ResultDocument:
    decisions = [decision for image in run.images for decision in image.verdict.decisions]
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "ci-gate", "version": run.tool_version},
        "verdict": run.status,
        "exit_code": run.exit_code,
        "started": run.started,
        "today": _day(run.today),
        "source": {"kind": cast("SourceKind", run.source.kind), "endpoint": run.source.endpoint, "region": run.source.region},
        "policy": _policy(run.policy),
        "counts": _counts(decisions),
        "causes": [_cause(cause) for cause in run.causes],
        "images": [_image_result(image, with_rows=with_rows) for image in run.images],
        "seconds": dict(run.seconds),
        "request_ids": list(run.request_ids),
    }


def harmless_json(text: str) -> str:
    """Return rendered JSON that holds no command to a runner (``##[``, ``##vso[``), and means the same: ``#`` is in its strings only.

    Runners obey these anywhere in a line that a job prints, and standard output is one of the places that JSON goes to.
    """
    return text.replace("##", "#\\u0023")


def render_json(run: RunResult) -> str:
    """Return the document as JSON, indented by two. Pure ASCII: control characters and lone surrogates survive as escapes."""
    return "".join(json_parts(run))


def json_parts(run: RunResult) -> Iterator[str]:
    """Return what :func:`render_json` does, in many parts: findings are encoded one by one, and never all held as text.

    A part begins and ends between values, so that no two of them make up a command to a runner.
    """
    return map(harmless_json, _parts(run))


def _parts(run: RunResult) -> Iterator[str]:
    # Python's fast encoder does not indent, and the one that does takes seconds for 100,000 findings. A finding is flat, so its
    # separators can hold the indentation. Texts cannot look like what is split at: their quotes are escapes. Names of fields in the
    # policy could, which comes before the images.
    start, *rest = json.dumps(_document(run, with_rows=False), indent=2).rsplit(_NO_ROWS, len(run.images))
    yield start
    for image, part in zip(run.images, rest, strict=True):
        yield from _rows("known", (_known(*pair) for pair in image.known))
        yield from _rows("findings", (_finding(decision) for decision in image.verdict.decisions))
        yield part
    yield "\n"


def _rows(name: str, rows: Iterable[Any]) -> Iterator[str]:
    """Encode a field of an image that is a list of flat objects."""
    encode = json.JSONEncoder(separators=(",\n          ", ": ")).encode
    before = f',\n      "{name}": ['
    between = before
    for row in rows:
        yield f"{between}\n        {{\n          {encode(row)[1:-1]}\n        }}"
        between = ","
    yield f"{before}]" if between == before else "\n      ]"


def _image_result(result: ImageResult, *, with_rows: bool) -> ImageResultDocument:
    reference = result.reference
    return {
        "asked": result.asked,
        "reference": str(reference) if reference else None,
        "registry": reference.registry if reference else None,
        "canonical": reference.canonical if reference else None,
        "pinned": result.pinned,
        "status": result.status,
        "exit_code": result.exit_code,
        "image": _image(result.image) if result.image else None,
        "counts": _counts(result.verdict.decisions),
        "causes": [_cause(cause) for cause in result.causes],
        "evidence": [_proof(proof) for proof in result.evidence],
        "rules": [{"rule": rule.rule, "text": rule.text, "passed": rule.passed, "detail": rule.detail} for rule in result.verdict.rules],
        "waivers": [_waiver(use) for use in result.verdict.waivers],
        "baselines": [_baseline(use) for use in result.verdict.baselines],
        "compared": _compared(result.compared) if result.compared else None,
        "known": [_known(*pair) for pair in result.known] if with_rows else [],
        "findings": [_finding(decision) for decision in result.verdict.decisions] if with_rows else [],
    }


def _policy(policy: PolicySummary) -> PolicyDocument:
    return {
        "name": policy.name,
        "mode": cast("Mode", policy.mode),
        "sha256": policy.sha256,
        "origin": policy.origin,
        "floors": [
            {"name": floor.name, "mode": cast("Mode", floor.mode), "sha256": floor.sha256, "origin": floor.origin}
            for floor in policy.floors
        ],
        "effective": json.loads(policy.canonical) if policy.canonical else None,
    }


def _waiver(use: WaiverUse) -> WaiverDocument:
    return {
        "id": use.id,
        "policy": use.policy,
        "validity": use.validity,
        "findings": use.findings,
        "unused": use.unused,
        "reason": use.reason,
        "owner": use.owner,
        "ticket": use.ticket,
        "created": _day(use.created),
        "expires": _day(use.expires),
    }


def _baseline(use: BaselineUse) -> BaselineDocument:
    return {
        "file": use.file,
        "policy": use.policy,
        "validity": use.validity,
        "expires": use.expires.isoformat(),
        "entries": use.entries,
        "findings": use.findings,
        "gone": use.gone,
        "examples": list(use.examples),
    }


def _compared(comparison: Comparison) -> ComparedDocument:
    return {"asked": comparison.asked, "pinned": comparison.pinned, "findings": comparison.findings}


def _known(fingerprint: str, number: int) -> KnownDocument:
    return {"fingerprint": fingerprint, "count": number}


def _counts(decisions: Iterable[Decision]) -> CountsDocument:
    every = Counter((decision.outcome, decision.level) for decision in decisions)
    by_decision = {str(word): sum(n for (outcome, _), n in every.items() if outcome is word) for word in Outcome}
    by_level = {str(word): sum(n for (_, level), n in every.items() if level is word) for word in RiskLevel}
    return {
        "findings": every.total(),
        "violations": by_decision[Outcome.VIOLATION],
        "by_decision": by_decision,
        "by_level": {**by_level, "undocumented": every.total() - sum(by_level.values())},
    }


def _image(image: Image) -> ImageDocument:
    return {
        "uuid": image.uuid,
        "digest": f"sha256:{image.digest}",
        "registry_type": image.registry_type,
        "region": image.region_id,
        "instance": image.instance_id,
        "namespace": image.namespace,
        "repository": image.repository,
        "tag": image.tag,
        "scan_status": image.scan_status,
        "scan_result": image.scan_result,
        "last_scan": _moment(image.last_scan_ms),
        "last_scan_ms": image.last_scan_ms,
    }


def _finding(decision: Decision) -> FindingDocument:
    finding = decision.finding
    return {
        "key": finding.key,
        "name": finding.name,
        "path": finding.path,
        "risk_level": finding.risk_level,
        "level": decision.level,
        "decision": decision.outcome,
        "rule": decision.rule,
        "rule_text": decision.rule_text,
        "enforced": decision.enforced,
        "base_image": decision.base_image,
        "fingerprint": finding.fingerprint,
        "ordinal": finding.ordinal,
        "md5": finding.md5,
        "layer": finding.layer_digest,
        "advice": finding.advice,
        "description": finding.description,
        "first_scan_ms": finding.first_scan_ms,
        "last_scan_ms": finding.last_scan_ms,
    }


def _proof(proof: Proof) -> ProofDocument:
    return {
        "name": proof.name,
        "state": proof.state,
        "detail": proof.detail,
        "figures": dict(proof.figures),
        "cause": _cause(proof.cause) if proof.cause else None,
    }


def _cause(cause: Cause) -> CauseDocument:
    return {
        "code": cause.code,
        "name": cause.code.name,
        "what": cause.what,
        "advice": cause.advice,
        "action": cause.action,
        "request_id": cause.request_id,
        "where": cause.where,
    }


def _moment(milliseconds: int | None) -> str | None:
    """Return a time of the service as ISO 8601, UTC; ``None`` where it sent none, or one that no calendar holds."""
    if milliseconds is None:
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return None


def _day(day: date | None) -> str | None:
    return day.isoformat() if day else None
