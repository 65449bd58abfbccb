"""The versioned result document (``-o json=…``): mapped by hand from a run, never a dump of internals.

Nothing in it was an excerpt of a secret: those are dropped where the service's answers are read.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ci_gate.errors import Cause
    from ci_gate.model import Image, Proof
    from ci_gate.verdict import Decision, ImageResult, RunResult

SCHEMA_VERSION = 1

JsonObject = dict[str, Any]


def to_document(run: RunResult) -> JsonObject:
    """Return the document of a run, as JSON values. Its schema is :func:`result_schema`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "ci-gate", "version": run.tool_version},
        "verdict": str(run.status),
        "exit_code": int(run.exit_code),
        "started": run.started,
        "source": {"kind": run.source.kind, "endpoint": run.source.endpoint, "region": run.source.region},
        "policy": {"name": run.policy.name, "mode": run.policy.mode, "sha256": run.policy.sha256, "origin": run.policy.origin},
        "causes": [_cause(cause) for cause in run.causes],
        "images": [_image_result(image) for image in run.images],
        "seconds": dict(run.seconds),
        "request_ids": list(run.request_ids),
    }


def render_json(run: RunResult) -> str:
    """Return the document as JSON. Pure ASCII: control characters and lone surrogates survive as escapes."""
    return json.dumps(to_document(run), ensure_ascii=True, indent=2) + "\n"


def result_schema() -> JsonObject:
    """Return the JSON Schema of the document, which ships with the package."""
    schema: JsonObject = json.loads(resources.files("ci_gate").joinpath("result.schema.json").read_text("utf-8"))
    return schema


def _image_result(result: ImageResult) -> JsonObject:
    decisions = result.verdict.decisions
    return {
        "asked": result.asked,
        "reference": str(result.reference) if result.reference else None,
        "canonical": result.reference.canonical if result.reference else None,
        "pinned": result.pinned,
        "status": str(result.status),
        "exit_code": int(result.exit_code),
        "image": _image(result.image) if result.image else None,
        "counts": {
            "findings": len(decisions),
            "violations": len(result.verdict.violations),
            "by_decision": _counts(str(decision.outcome) for decision in decisions),
            "by_level": _counts(str(decision.level) if decision.level else "undocumented" for decision in decisions),
        },
        "causes": [_cause(cause) for cause in result.causes],
        "evidence": [_proof(proof) for proof in result.evidence],
        "rules": [{"rule": rule.rule, "text": rule.text, "passed": rule.passed, "detail": rule.detail} for rule in result.verdict.rules],
        "findings": [_finding(decision) for decision in decisions],
    }


def _image(image: Image) -> JsonObject:
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


def _finding(decision: Decision) -> JsonObject:
    finding = decision.finding
    return {
        "key": finding.key,
        "name": finding.name,
        "path": finding.path,
        "risk_level": finding.risk_level,
        "level": str(decision.level) if decision.level else None,
        "decision": str(decision.outcome),
        "rule": decision.rule,
        "rule_text": decision.rule_text,
        "fingerprint": finding.fingerprint,
        "ordinal": finding.ordinal,
        "md5": finding.md5,
        "layer": finding.layer_digest,
        "advice": finding.advice,
        "description": finding.description,
        "first_scan_ms": finding.first_scan_ms,
        "last_scan_ms": finding.last_scan_ms,
    }


def _proof(proof: Proof) -> JsonObject:
    return {
        "name": proof.name,
        "state": str(proof.state),
        "detail": proof.detail,
        "figures": dict(proof.figures),
        "cause": _cause(proof.cause) if proof.cause else None,
    }


def _cause(cause: Cause) -> JsonObject:
    return {
        "code": int(cause.code),
        "name": cause.code.name,
        "what": cause.what,
        "advice": cause.advice,
        "action": cause.action,
        "request_id": cause.request_id,
        "where": cause.where,
    }


def _counts(words: Any) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))


def _moment(milliseconds: int | None) -> str | None:
    """Return a time of the service as ISO 8601, UTC; ``None`` where it sent none, or one that no calendar holds."""
    if milliseconds is None:
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return None
