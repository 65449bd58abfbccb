"""The versioned result document (``-o json=…``): mapped by hand from a run, never a dump of internals.

The shapes below are checked by mypy where the document is built, and ``result.schema.json`` is made from them (:func:`result_schema`).
They are plain dictionaries: a path may hold a lone surrogate, which pydantic's own serialiser refuses, and there may be 100,000 of them.
Nothing in the document was an excerpt of a secret: those are dropped where the service's answers are read.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, cast

from typing_extensions import TypedDict  # pydantic asks for this one below Python 3.12

from ci_gate.errors import ExitCode  # noqa: TC001 - the schema is made from the annotations
from ci_gate.model import ProofState, RiskLevel
from ci_gate.verdict import Outcome, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ci_gate.errors import Cause
    from ci_gate.model import Image, Proof
    from ci_gate.verdict import Decision, ImageResult, RunResult

SCHEMA_VERSION: Literal[1] = 1
_SOURCE_KINDS = Literal["live", "emulated", "replay"]
_MODES = Literal["enforce", "warn"]
_NO_FINDINGS = '\n      "findings": []'


class CauseDocument(TypedDict):
    """Why something is not proven or not allowed, and what to do."""

    code: ExitCode
    name: str
    what: str
    advice: str
    action: str | None
    """The API call."""
    request_id: str | None
    """The service's id of the call."""
    where: str | None
    """A place in a file, as FILE:LINE:COLUMN."""


class ToolDocument(TypedDict):
    """What wrote the document."""

    name: Literal["ci-gate"]
    version: str


class SourceDocument(TypedDict):
    """Where the findings come from. Only live says something of an account."""

    kind: _SOURCE_KINDS
    endpoint: str
    region: str


class PolicyDocument(TypedDict):
    """The policy that judged."""

    name: str
    mode: _MODES
    sha256: str
    """Of the canonical effective policy, as hex; empty where none was loaded."""
    origin: str


class CountsDocument(TypedDict):
    """How many findings there are, by decision and by the risk level that was judged."""

    findings: int
    violations: int
    by_decision: dict[str, int]
    by_level: dict[str, int]


class ImageDocument(TypedDict):
    """What Security Center knows of the image."""

    uuid: str
    digest: str
    """With its sha256: prefix."""
    registry_type: str
    region: str
    instance: str
    namespace: str
    repository: str
    tag: str
    scan_status: str
    scan_result: str
    last_scan: str | None
    """ISO 8601, UTC."""
    last_scan_ms: int | None
    """Milliseconds since the epoch."""


class ProofDocument(TypedDict):
    """One proof that the findings are complete. One that failed or is unknown, without a cause, is a warning."""

    name: str
    state: ProofState
    detail: str
    figures: dict[str, int | str]
    cause: CauseDocument | None


class RuleDocument(TypedDict):
    """One rule of the policy that was evaluated."""

    rule: str
    text: str
    passed: bool
    detail: str


class FindingDocument(TypedDict):
    """One sensitive file of one key, and what was decided of it. Its texts come from the image: hostile until escaped."""

    key: str
    name: str
    path: str
    risk_level: str
    """The service's word."""
    level: RiskLevel | None
    """The level that was judged; null where the service's word is not documented and the policy makes that an error."""
    decision: Outcome
    rule: str
    rule_text: str
    fingerprint: str
    """SHA-256 over key, path and MD5 of the file (without MD5, the layer digest), as hex."""
    ordinal: int
    """Tells apart findings that share a fingerprint; 1 for the first."""
    md5: str
    layer: str
    advice: str
    description: str
    first_scan_ms: int | None
    """Milliseconds since the epoch."""
    last_scan_ms: int | None
    """Milliseconds since the epoch."""


class ImageResultDocument(TypedDict):
    """The result for one image that was asked about."""

    asked: str
    """The reference as the user wrote it."""
    reference: str | None
    registry: str | None
    canonical: str | None
    """registry/namespace/repository."""
    pinned: str
    """The reference to deploy, by digest where it is known."""
    status: Status
    exit_code: ExitCode
    image: ImageDocument | None
    """Null where no image was found or judged."""
    counts: CountsDocument
    causes: list[CauseDocument]
    """Everything that keeps the image from being proven, worst first."""
    evidence: list[ProofDocument]
    rules: list[RuleDocument]
    findings: list[FindingDocument]
    """Every finding, exactly once."""


class ResultDocument(TypedDict):
    """What ci-gate decided of one or more images, and why. Texts of findings come from images and are hostile until escaped."""

    schema_version: Literal[1]
    tool: ToolDocument
    verdict: Status
    """Only passed may deploy."""
    exit_code: ExitCode
    """The exit code of the process."""
    started: str
    """ISO 8601, UTC."""
    source: SourceDocument
    policy: PolicyDocument
    counts: CountsDocument
    """Over all images."""
    causes: list[CauseDocument]
    """What kept the run as a whole from being a plain pass."""
    images: list[ImageResultDocument]
    seconds: dict[str, float]
    """Time spent in each stage, seconds."""
    request_ids: list[str]
    """The service's ids of the calls, sorted."""


def to_document(run: RunResult) -> ResultDocument:
    """Return the document of a run, as JSON values."""
    return _document(run)


def _document(run: RunResult, *, with_findings: bool = True) -> ResultDocument:
    decisions = [decision for image in run.images for decision in image.verdict.decisions]
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "ci-gate", "version": run.tool_version},
        "verdict": run.status,
        "exit_code": run.exit_code,
        "started": run.started,
        "source": {"kind": cast("_SOURCE_KINDS", run.source.kind), "endpoint": run.source.endpoint, "region": run.source.region},
        "policy": {
            "name": run.policy.name,
            "mode": cast("_MODES", run.policy.mode),
            "sha256": run.policy.sha256,
            "origin": run.policy.origin,
        },
        "counts": _counts(decisions),
        "causes": [_cause(cause) for cause in run.causes],
        "images": [_image_result(image, with_findings=with_findings) for image in run.images],
        "seconds": dict(run.seconds),
        "request_ids": list(run.request_ids),
    }


def render_json(run: RunResult) -> str:
    """Return the document as JSON, indented by two. Pure ASCII: control characters and lone surrogates survive as escapes."""
    # Python's fast encoder does not indent, and the one that does takes seconds for 100,000 findings. A finding is flat, so its
    # separators can hold the indentation. No data can look like what is split at: its quotes are escapes.
    start, *rest = json.dumps(_document(run, with_findings=False), indent=2).split(_NO_FINDINGS)
    parts = [start]
    for image, part in zip(run.images, rest, strict=True):
        parts += _findings_lines(image.verdict.decisions)
        parts.append(part)
    return "".join((*parts, "\n"))


def _findings_lines(decisions: Sequence[Decision]) -> Iterator[str]:
    """Encode findings one by one, as parts of one text: they are never all held as documents."""
    if not decisions:
        yield _NO_FINDINGS
        return
    encode = json.JSONEncoder(separators=(",\n          ", ": ")).encode
    before = f"{_NO_FINDINGS[:-1]}\n"
    for decision in decisions:
        yield f"{before}        {{\n          {encode(_finding(decision))[1:-1]}\n        }}"
        before = ",\n"
    yield "\n      ]"


def result_schema() -> dict[str, Any]:
    """Return the JSON Schema of the document; ``result.schema.json``, which ships with the package, holds the same."""
    from pydantic import ConfigDict, TypeAdapter

    # A typed dictionary takes its configuration from what holds it.
    holder = TypeAdapter(list[ResultDocument], config=ConfigDict(extra="forbid", use_attribute_docstrings=True)).json_schema()
    shapes = holder["$defs"]
    document = shapes.pop(ResultDocument.__name__)
    title = f"ci-gate result, version {SCHEMA_VERSION}"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **document, "title": title, "$defs": shapes}


def _image_result(result: ImageResult, *, with_findings: bool) -> ImageResultDocument:
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
        "findings": [_finding(decision) for decision in result.verdict.decisions] if with_findings else [],
    }


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
