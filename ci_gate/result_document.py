"""The versioned result document (``-o json=…``): mapped by hand from a run, never a dump of internals.

The shapes below are checked by mypy where the document is built, and ``result.schema.json`` is made from them (:func:`result_schema`).
They are plain dictionaries: a path may hold a lone surrogate, which pydantic's own serialiser refuses, and there may be 100,000 of them.
Nothing in the document was an excerpt of a secret: those are dropped where the service's answers are read.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from typing_extensions import TypedDict  # pydantic asks for this one below Python 3.12

from ci_gate import __version__
from ci_gate.errors import Cause, ExitCode, InvalidDocumentError
from ci_gate.model import ProofState, RiskLevel
from ci_gate.verdict import Outcome, Status, Validity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic import TypeAdapter

    from ci_gate.model import Image, Proof
    from ci_gate.verdict import BaselineUse, Comparison, Decision, ImageResult, PolicySummary, RunResult, WaiverUse

SCHEMA_VERSION: Literal[1] = 1
MAX_BYTES = 512 * 1024 * 1024
_SOURCE_KINDS = Literal["live", "emulated", "replay"]
_MODES = Literal["enforce", "warn"]
_NO_ROWS = ',\n      "known": [],\n      "findings": []'
_MAX_PROBLEMS = 10
_MAX_NESTING = 50
_CHUNK = 1_000
_UNCHANGED = "Give the file that `-o json=…` wrote, unchanged."


@dataclass(frozen=True, slots=True)
class AsWritten:
    """Makes pydantic take a text or an enumeration as JSON holds it, when a document is read.

    Its own texts refuse lone surrogates, which paths hold; its strict enumerations refuse plain values.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Return the schema: JSON Schema is made from what pydantic would do alone, values are checked as they are."""
        from pydantic_core import core_schema

        shape: Any = core_schema.is_instance_schema(str)
        if source is not str:
            shape = core_schema.literal_schema([word.value for word in source])
            if issubclass(source, int):  # true and 10.0 equal whole numbers in Python, and are none
                shape = core_schema.chain_schema([core_schema.int_schema(strict=True), shape])
        return core_schema.json_or_python_schema(json_schema=handler(source), python_schema=shape)


@dataclass(frozen=True, slots=True)
class AsDay:
    """Makes pydantic take a text ``YYYY-MM-DD`` that a calendar has."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Return the schema."""
        from pydantic_core import core_schema

        shape = core_schema.str_schema(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
        return core_schema.json_or_python_schema(shape, core_schema.no_info_plain_validator_function(_check_day))


def _check_day(value: object) -> object:
    if not isinstance(value, str) or date.fromisoformat(value).isoformat() != value:  # Python alone takes week dates, too
        raise ValueError
    return value


Text = Annotated[str, AsWritten()]
Day = Annotated[str, AsDay()]
Code = Annotated[ExitCode, AsWritten()]


class CauseDocument(TypedDict):
    """Why something is not proven or not allowed, and what to do."""

    code: Code
    name: Text
    what: Text
    advice: Text
    action: Text | None
    """The API call."""
    request_id: Text | None
    """The service's id of the call."""
    where: Text | None
    """A place in a file, as FILE:LINE:COLUMN."""


class ToolDocument(TypedDict):
    """What wrote the document."""

    name: Literal["ci-gate"]
    version: Text


class SourceDocument(TypedDict):
    """Where the findings come from. Only live says something of an account."""

    kind: _SOURCE_KINDS
    endpoint: Text
    region: Text


class FloorDocument(TypedDict):
    """A floor that judged, too: a policy that the job hands over, and that no waiver of the policy softens."""

    name: Text
    mode: _MODES
    sha256: Text
    """Of its canonical effective policy, as hex."""
    origin: Text


class PolicyDocument(TypedDict):
    """The policy that judged."""

    name: Text
    mode: _MODES
    sha256: Text
    """Of the canonical effective policy, floors included, as hex; empty where none was loaded."""
    origin: Text
    floors: list[FloorDocument]
    effective: dict[Text, Any] | None
    """The effective policy, floors included, that the sum is of; null where none was loaded."""


class CountsDocument(TypedDict):
    """How many findings there are, by decision and by the risk level that was judged."""

    findings: int
    violations: int
    by_decision: dict[Text, int]
    by_level: dict[Text, int]


class ImageDocument(TypedDict):
    """What Security Center knows of the image."""

    uuid: Text
    digest: Text
    """With its sha256: prefix."""
    registry_type: Text
    region: Text
    instance: Text
    namespace: Text
    repository: Text
    tag: Text
    scan_status: Text
    scan_result: Text
    last_scan: Text | None
    """ISO 8601, UTC."""
    last_scan_ms: int | None
    """Milliseconds since the epoch."""


class ProofDocument(TypedDict):
    """One proof that the findings are complete. One that failed or is unknown, without a cause, is a warning."""

    name: Text
    state: Annotated[ProofState, AsWritten()]
    detail: Text
    figures: dict[Text, int | Text]
    cause: CauseDocument | None


class RuleDocument(TypedDict):
    """One rule of the policy that was evaluated."""

    rule: Text
    text: Text
    passed: bool
    detail: Text


class WaiverDocument(TypedDict):
    """A waiver of the policy or a floor that is for this image. Its texts come from the policy."""

    id: Text
    policy: Text
    """Name of the policy or floor that holds it."""
    validity: Annotated[Validity, AsWritten()]
    findings: int
    """How many findings it fits, in force or not."""
    unused: bool
    """Whether it fits nothing, and the policy wants to know."""
    reason: Text
    owner: Text
    ticket: Text
    created: Day | None
    """First day (UTC) on which it is valid."""
    expires: Day | None
    """Last day (UTC) on which it is valid."""


class BaselineDocument(TypedDict):
    """A baseline: what was there when the gate was introduced."""

    file: Text
    policy: Text
    """Name of the policy or floor that holds it."""
    validity: Annotated[Validity, AsWritten()]
    expires: Day
    """Last day (UTC) on which it is valid."""
    entries: int
    """How many findings it expects."""
    findings: int
    """How many findings it covers here."""
    gone: int
    """How many of those that it expects no longer occur."""
    examples: list[Text]
    """The first of those, as key and path."""


class ComparedDocument(TypedDict):
    """The deployed image that the findings were compared with."""

    asked: Text
    pinned: Text
    """Its reference, by digest."""
    findings: int
    """How many it has."""


class KnownDocument(TypedDict):
    """How many findings of a fingerprint the compared image has."""

    fingerprint: Text
    count: int


class FindingDocument(TypedDict):
    """One sensitive file of one key, and what was decided of it. Its texts come from the image: hostile until escaped."""

    key: Text
    name: Text
    path: Text
    risk_level: Text
    """The service's word."""
    level: Annotated[RiskLevel, AsWritten()] | None
    """The level that was judged; null where the service's word is not documented and the policy makes that an error."""
    decision: Annotated[Outcome, AsWritten()]
    rule: Text
    rule_text: Text
    enforced: bool
    """False for a violation that only policies in warn mode see: it does not block."""
    base_image: bool
    """Whether the finding is in a layer of the base image: whoever builds that one has to mend it."""
    fingerprint: Text
    """SHA-256 over key, path and MD5 of the file (without MD5, the layer digest), as hex."""
    ordinal: int
    """Tells apart findings that share a fingerprint; 1 for the first."""
    md5: Text
    layer: Text
    advice: Text
    description: Text
    first_scan_ms: int | None
    """Milliseconds since the epoch."""
    last_scan_ms: int | None
    """Milliseconds since the epoch."""


class ImageResultDocument(TypedDict):
    """The result for one image that was asked about."""

    asked: Text
    """The reference as the user wrote it."""
    reference: Text | None
    registry: Text | None
    canonical: Text | None
    """registry/namespace/repository."""
    pinned: Text
    """The reference to deploy, by digest where it is known."""
    status: Annotated[Status, AsWritten()]
    exit_code: Code
    image: ImageDocument | None
    """Null where no image was found or judged."""
    counts: CountsDocument
    causes: list[CauseDocument]
    """Everything that keeps the image from being proven, worst first."""
    evidence: list[ProofDocument]
    rules: list[RuleDocument]
    waivers: list[WaiverDocument]
    """Those that are for this image, used or not."""
    baselines: list[BaselineDocument]
    compared: ComparedDocument | None
    """Null where no image was compared."""
    known: list[KnownDocument]
    """What the compared image has of the findings that occur here, too."""
    findings: list[FindingDocument]
    """Every finding, exactly once."""


class ResultDocument(TypedDict):
    """What ci-gate decided of one or more images, and why. Texts of findings come from images and are hostile until escaped."""

    schema_version: Literal[1]
    tool: ToolDocument
    verdict: Annotated[Status, AsWritten()]
    """Only passed may deploy."""
    exit_code: Code
    """The exit code of the process."""
    started: Text
    """ISO 8601, UTC."""
    today: Day | None
    """The day (UTC) that waivers and baselines were judged by."""
    source: SourceDocument
    policy: PolicyDocument
    counts: CountsDocument
    """Over all images."""
    causes: list[CauseDocument]
    """What kept the run as a whole from being a plain pass."""
    images: list[ImageResultDocument]
    seconds: dict[Text, float]
    """Time spent in each stage, seconds."""
    request_ids: list[Text]
    """The service's ids of the calls, sorted."""


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
        "source": {"kind": cast("_SOURCE_KINDS", run.source.kind), "endpoint": run.source.endpoint, "region": run.source.region},
        "policy": _policy(run.policy),
        "counts": _counts(decisions),
        "causes": [_cause(cause) for cause in run.causes],
        "images": [_image_result(image, with_rows=with_rows) for image in run.images],
        "seconds": dict(run.seconds),
        "request_ids": list(run.request_ids),
    }


def render_json(run: RunResult) -> str:
    """Return the document as JSON, indented by two. Pure ASCII: control characters and lone surrogates survive as escapes."""
    return "".join(json_parts(run))


def json_parts(run: RunResult) -> Iterator[str]:
    """Return what :func:`render_json` does, in many parts: findings are encoded one by one, and never all held as text."""
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


def read_document(raw: bytes, origin: str) -> ResultDocument:
    """Read a document that :func:`render_json` wrote. Its texts are kept exactly, lone surrogates too.

    :param origin: what messages call it, such as its path.
    :raises InvalidDocumentError: if it is too large, no JSON, or not a document of this version; no message quotes more of it than
        the names of fields.
    """
    value = _parse(raw, origin)
    if not isinstance(value, dict) or "schema_version" not in value:
        raise InvalidDocumentError("it is no result of ci-gate: there is no schema_version", advice=_UNCHANGED, where=origin)
    version = value["schema_version"]
    if type(version) is not int or version != SCHEMA_VERSION:
        what = f"the document has another schema_version than {SCHEMA_VERSION}, which is what this ci-gate reads"
        raise InvalidDocumentError(what, advice="Use the version of ci-gate that wrote the document.", where=origin)
    problems = _problems(value)
    if problems:
        advice = _advice(value)
        raise InvalidDocumentError.of(Cause(ExitCode.POLICY_INVALID, problem, advice, where=origin) for problem in problems)
    return cast("ResultDocument", value)


class _RefusedError(ValueError):
    """JSON that Python alone would take."""


def _parse(raw: bytes, origin: str) -> object:
    """Return the value of a JSON text.

    :raises InvalidDocumentError: if it is too large, or no strict JSON in UTF-8.
    """
    if len(raw) > MAX_BYTES:
        raise InvalidDocumentError(f"the document is larger than {MAX_BYTES // 1024**2} MiB", advice=_UNCHANGED, where=origin)
    where = origin
    try:
        value: object = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite)
    except UnicodeDecodeError as error:
        why = f"byte {error.start + 1} is no UTF-8"
    except json.JSONDecodeError as error:
        where, why = f"{origin}:{error.lineno}:{error.colno}", error.msg
    except RecursionError:
        why = "it is nested too deeply"
    except _RefusedError as error:
        why = str(error)
    except ValueError:  # Python reads no number of more than some thousand digits
        why = "a number has too many digits"
    else:
        return value
    raise InvalidDocumentError(f"the document is no JSON that can be read: {why}", advice=_UNCHANGED, where=where)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        name = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise _RefusedError(f"the field {_named(name)} is there twice in one object")
    return found


def _refuse_constant(name: str) -> object:
    raise _RefusedError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _RefusedError("a number is too large")
    return number


def _problems(document: dict[str, Any]) -> list[str]:
    """Say what is wrong with the shape of a document; the first ten. Findings are looked at apart: they are never all copied."""
    documents, findings = _adapters()
    images = document.get("images")
    shown = [_bare(image) for image in images] if isinstance(images, list) else images
    problems = _shape_problems(documents, [{**document, "images": shown}])
    if problems:
        return problems
    for number, image in enumerate(document["images"]):
        rows = image["findings"]
        for start in range(0, len(rows), _CHUNK):
            problems = _shape_problems(findings, rows[start : start + _CHUNK], f"images[{number}].findings", start)
            if problems:
                return problems
    nested = _nests_deeper(document["policy"]["effective"], _MAX_NESTING)
    return [f"policy.effective is nested more than {_MAX_NESTING} levels deep"] if nested else []


def _bare(image: object) -> object:
    """Return an image without its findings, where it has a list of them."""
    return {**image, "findings": []} if isinstance(image, dict) and isinstance(image.get("findings"), list) else image


def _shape_problems(adapter: TypeAdapter[Any], values: list[Any], holder: str | None = None, start: int = 0) -> list[str]:
    """Say what is wrong with some values of a list called ``holder``, the first of which has the number ``start``.

    Without ``holder``, the value is the document itself.
    """
    from pydantic import ValidationError

    try:
        adapter.validate_python(values)
    except ValidationError as error:
        said: dict[str, None] = {}
        for problem in error.errors(include_url=False, include_input=False):
            number, *parts = problem["loc"]
            path = "" if holder is None else f"{holder}[{start + int(number)}]"
            said[_sentence(path, parts, problem["type"], problem.get("ctx", {}))] = None
        return list(said)[:_MAX_PROBLEMS]
    return []


# What pydantic calls what is wrong, and what we do.
_WRONG = {
    "bool_type": "is neither true nor false",
    "dict_type": "is no object",
    "float_type": "is no number",
    "int_type": "is no whole number",
    "is_instance_of": "is no text",
    "list_type": "is no list",
    "typed_dict_type": "is no object",
    "value_error": "is no day (YYYY-MM-DD)",
}


def _sentence(path: str, parts: list[int | str], kind: str, context: dict[str, Any]) -> str:
    if kind == "int_type" and parts[-1:] == ["int"]:  # pydantic names the branch of a union, too
        parts = parts[:-1]
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not part.startswith("json-or-python["):  # another branch
            path += f".{part[:60]}" if path else part[:60]
    if kind == "missing":
        return f"the field {path} is missing"
    if kind == "extra_forbidden":
        return f"the field {path} is not known"
    expected = f"is none of {context['expected']}" if kind == "literal_error" else "has a value that it cannot have"
    return f"{path or 'the document'} {_WRONG.get(kind, expected)}"


def _advice(document: dict[str, Any]) -> str:
    """Say what to do about a document with a wrong shape: another version of ci-gate may have written it."""
    tool = document.get("tool")
    version = tool.get("version") if isinstance(tool, dict) else None
    if not isinstance(version, str) or version == __version__:
        return _UNCHANGED
    return f"Use the version of ci-gate that wrote it, {version[:40]}: this is {__version__}."


def _named(name: str) -> str:
    return repr(name[:60])


def _nests_deeper(value: object, levels: int) -> bool:
    """Whether lists and objects are nested more than so many levels deep."""
    layer = [value]
    for _ in range(levels + 1):
        layer = [
            inner for outer in layer for inner in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
        ]
        if not layer:
            return False
    return True


@cache
def _adapters() -> tuple[TypeAdapter[list[ResultDocument]], TypeAdapter[list[FindingDocument]]]:
    """Return what checks shapes. A typed dictionary takes its configuration from what holds it, hence the lists."""
    from pydantic import ConfigDict, TypeAdapter

    config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)
    return TypeAdapter(list[ResultDocument], config=config), TypeAdapter(list[FindingDocument], config=config)


def result_schema() -> dict[str, Any]:
    """Return the JSON Schema of the document; ``result.schema.json``, which ships with the package, holds the same."""
    holder = _adapters()[0].json_schema()
    shapes = holder["$defs"]
    document = shapes.pop(ResultDocument.__name__)
    title = f"ci-gate result, version {SCHEMA_VERSION}"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **document, "title": title, "$defs": shapes}


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
        "mode": cast("_MODES", policy.mode),
        "sha256": policy.sha256,
        "origin": policy.origin,
        "floors": [
            {"name": floor.name, "mode": cast("_MODES", floor.mode), "sha256": floor.sha256, "origin": floor.origin}
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
