"""The shapes of the result document; its JSON Schema, ``result.schema.json``, is made from them.

They are checked by mypy where the document is built. They are plain dictionaries: a path may hold a lone surrogate, which pydantic's own
serialiser refuses, and there may be 100,000 of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from typing_extensions import TypedDict  # pydantic asks for this one below Python 3.12

from ci_gate.errors import ExitCode
from ci_gate.model import ProofState, RiskLevel  # noqa: TC001 - the schema is made from the annotations
from ci_gate.verdict import Outcome, Status, Validity  # noqa: TC001 - as above

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA_VERSION: Literal[1] = 1
SourceKind = Literal["live", "emulated", "replay"]
Mode = Literal["enforce", "warn"]


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


@dataclass(frozen=True, slots=True)
class FirstFault:
    """Makes pydantic stop at the first faulty entry of a list: it would keep what is wrong with every one of a million."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Return the schema."""
        shape = handler(source)
        shape["fail_fast"] = True
        return shape


T = TypeVar("T")
Text = Annotated[str, AsWritten()]
Day = Annotated[str, AsDay()]
Code = Annotated[ExitCode, AsWritten()]
Many = Annotated[list[T], FirstFault()]


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

    kind: SourceKind
    endpoint: Text
    region: Text


class FloorDocument(TypedDict):
    """A floor that judged, too: a policy that the job hands over, and that no waiver of the policy softens."""

    name: Text
    mode: Mode
    sha256: Text
    """Of its canonical effective policy, as hex."""
    origin: Text


class PolicyDocument(TypedDict):
    """The policy that judged."""

    name: Text
    mode: Mode
    sha256: Text
    """Of the canonical effective policy, floors included, as hex; empty where none was loaded."""
    origin: Text
    floors: Many[FloorDocument]
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
    """By what was read: where the image has causes, there may be more."""
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
    examples: Many[Text]
    """The first of those, as key and path."""


class ComparedDocument(TypedDict):
    """The deployed image that the findings were to be compared with."""

    asked: Text
    pinned: Text
    """Its reference, by digest where it was found."""
    findings: int | None
    """How many it has; null where it could not be read whole: no threshold was judged then."""


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
    causes: Many[CauseDocument]
    """Everything that keeps the image from being proven, worst first."""
    evidence: Many[ProofDocument]
    rules: Many[RuleDocument]
    waivers: Many[WaiverDocument]
    """Those that are for this image, used or not."""
    baselines: Many[BaselineDocument]
    compared: ComparedDocument | None
    """Null where no image was compared."""
    known: Many[KnownDocument]
    """What the compared image has of the findings that occur here, too."""
    findings: Many[FindingDocument]
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
    causes: Many[CauseDocument]
    """What kept the run as a whole from being a plain pass."""
    images: Many[ImageResultDocument]
    seconds: dict[Text, float]
    """Time spent in each stage, seconds."""
    request_ids: Many[Text]
    """The service's ids of the calls, sorted."""


def result_schema() -> dict[str, Any]:
    """Return the JSON Schema of the document; ``result.schema.json``, which ships with the package, holds the same."""
    holder = adapters()[0].json_schema()
    shapes = holder["$defs"]
    document = shapes.pop(ResultDocument.__name__)
    title = f"ci-gate result, version {SCHEMA_VERSION}"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **document, "title": title, "$defs": shapes}


def schema_text() -> str:
    """Return :func:`result_schema` as the text of ``result.schema.json``."""
    return json.dumps(result_schema(), indent=2) + "\n"


@cache
def adapters() -> tuple[TypeAdapter[list[ResultDocument]], TypeAdapter[list[FindingDocument]]]:
    """Return what checks shapes. A typed dictionary takes its configuration from what holds it, hence the lists."""
    from pydantic import ConfigDict, TypeAdapter

    config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)
    return TypeAdapter(list[ResultDocument], config=config), TypeAdapter(list[FindingDocument], config=config)
