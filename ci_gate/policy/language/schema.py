"""The policy language, version 1, as a typed model. Frozen, strict, closed: a field that is not here does not exist.

Durations are written as text (``15s``, ``10m``, ``24h``, ``7d``) and held as seconds.
"""

from __future__ import annotations

import json
import re
from datetime import date
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from ci_gate.catalog import catalog_keys, load_catalog

MAX_COUNT = 1_000_000_000
MAX_ENTRIES = 2_000
MAX_WORD = 128
DURATION_PATTERN = r"^[0-9]{1,6}[smhd]$"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MAX_SETTLE_S = 600

MAX_TEXT = 500
MAX_PATTERN = 1_024
MAX_DAYS = 3_650
DATE_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


def _parse_duration(value: object) -> object:
    """Return seconds for a text such as ``24h``; ``None`` stays, for the fields that may be null."""
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(DURATION_PATTERN.strip("^$"), value, re.ASCII):
        raise PydanticCustomError("duration", "no duration")
    return int(value[:-1]) * _SECONDS[value[-1]]


def _age(value: object) -> object:
    seconds = _parse_duration(value)
    if seconds == 0:  # no scan is younger, so nothing could ever pass
        raise PydanticCustomError("age", "no age")
    return seconds


def _settle(value: object) -> object:
    seconds = _parse_duration("" if value is None else value)
    if isinstance(seconds, int) and seconds > _MAX_SETTLE_S:
        raise PydanticCustomError("settle", "too long")
    return seconds


def _check_version(value: object) -> object:
    if isinstance(value, (bool, float)):  # true and 1.0 equal 1 in Python, and are no version
        raise PydanticCustomError("version", "no version")
    return value


def _check_name(value: object) -> object:
    if isinstance(value, str) and not (value.isprintable() and value.strip() and len(value) <= MAX_WORD):
        raise PydanticCustomError("name", "no name")
    return value


def _check_extra_key(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"[A-Za-z0-9_.:-]{1,128}", value):
        raise PydanticCustomError("extra_key", "no key")
    return value


def _check_text(value: object) -> object:
    if isinstance(value, str) and not (value.isprintable() and value.strip() and len(value) <= MAX_TEXT):
        raise PydanticCustomError("text", "no text")
    return value


def _check_id(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,63}", value):
        raise PydanticCustomError("id", "no id")
    return value


def _parse_date(value: object) -> object:
    """Return the date of a text ``YYYY-MM-DD``. Python alone would take week dates and compact ones as well."""
    if value is None or type(value) is date:
        return value
    if isinstance(value, str) and re.fullmatch(DATE_PATTERN.strip("^$"), value, re.ASCII):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise PydanticCustomError("date", "no date")


def _required_date(value: object) -> object:
    return _parse_date("" if value is None else value)


def _hex(digits: int, prefix: str, kind: str) -> BeforeValidator:
    """Return a validator that takes hex digits, in any case and with or without a prefix, and returns them bare and in lower case."""

    def check(value: object) -> object:
        if not isinstance(value, str):
            return value
        bare = value.lower().removeprefix(prefix)
        if not re.fullmatch(f"[0-9a-f]{{{digits}}}", bare):
            raise PydanticCustomError(kind, "no hex")
        return bare

    return BeforeValidator(check)


_DURATION_SCHEMA: dict[str, Any] = {"type": "string", "pattern": DURATION_PATTERN, "examples": ["15s", "10m", "24h", "7d"]}
_NULL: dict[str, Any] = {"type": "null"}
_AGE_SCHEMA: dict[str, Any] = {"anyOf": [_DURATION_SCHEMA | {"pattern": r"^(?!0+[smhd])[0-9]{1,6}[smhd]$"}, _NULL]}
_SETTLE_PATTERN = r"^(0{0,3}([0-5]?[0-9]?[0-9]|600)s|(0{0,5}[0-9]|0{0,4}10)m|0{1,6}[hd])$"


# What nobody can see, as far as a class that every dialect of JSON Schema reads can say it: controls, odd blanks, directions, private use.
_UNSEEN = r"\u0000-\u001f\u007f-\u00a0\u00ad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ue000-\uf8ff\ufeff\ufff9-\ufffb"


def _line_schema(longest: int) -> dict[str, Any]:
    """Return the schema of a text on one line that is printable and not blank; the loader knows all characters that are not printable."""
    return {"type": "string", "minLength": 1, "maxLength": longest, "pattern": f"^[^{_UNSEEN}]*[^ {_UNSEEN}][^{_UNSEEN}]*$"}


_LAYER_SCHEMA: dict[str, Any] = {"type": "string", "pattern": "^([Ss][Hh][Aa]256:)?[0-9A-Fa-f]{64}$"}
_MD5_SCHEMA: dict[str, Any] = {"type": "string", "pattern": "^[0-9A-Fa-f]{32}$"}

Word = Annotated[str, StringConstraints(min_length=1, max_length=MAX_WORD)]
Words = Annotated[tuple[Word, ...], Field(max_length=MAX_ENTRIES, json_schema_extra={"uniqueItems": True})]
ExtraKeySchema = WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,128}$"})
ExtraKeys = Annotated[
    tuple[Annotated[str, BeforeValidator(_check_extra_key), ExtraKeySchema], ...],
    Field(max_length=MAX_ENTRIES, json_schema_extra={"uniqueItems": True}),
]
Patterns = Annotated[
    tuple[Annotated[str, StringConstraints(min_length=1, max_length=MAX_PATTERN)], ...],
    Field(max_length=MAX_ENTRIES, json_schema_extra={"uniqueItems": True}),
]
Text = Annotated[str | None, BeforeValidator(_check_text), WithJsonSchema({"anyOf": [_line_schema(MAX_TEXT), _NULL]})]
_DATE_SCHEMA: dict[str, Any] = {"type": "string", "format": "date", "pattern": DATE_PATTERN, "examples": ["2026-11-30"]}
Date = Annotated[date, BeforeValidator(_required_date), WithJsonSchema(_DATE_SCHEMA)]
OptionalDate = Annotated[date | None, BeforeValidator(_parse_date), WithJsonSchema({"anyOf": [_DATE_SCHEMA, {"type": "null"}]})]
Md5s = Annotated[
    tuple[Annotated[str, _hex(32, "", "md5"), WithJsonSchema(_MD5_SCHEMA)], ...],
    Field(max_length=MAX_ENTRIES, json_schema_extra={"uniqueItems": True}),
]
Fingerprints = Annotated[
    tuple[Annotated[str, _hex(64, "", "fingerprint"), WithJsonSchema({"type": "string", "pattern": "^[0-9A-Fa-f]{64}$"})], ...],
    Field(max_length=MAX_ENTRIES, json_schema_extra={"uniqueItems": True}),
]
Layers = Annotated[
    tuple[Annotated[str, _hex(64, "sha256:", "layer"), WithJsonSchema(_LAYER_SCHEMA)], ...],
    Field(min_length=1, max_length=MAX_ENTRIES, json_schema_extra={"uniqueItems": True}),
]
T = TypeVar("T")
Named = Annotated[T, Field(min_length=1)]  # a list that narrows: an empty one would narrow nothing, which leaving it out says
Limit = Annotated[int, Field(ge=0, le=MAX_COUNT)] | None
Age = Annotated[int | None, BeforeValidator(_age), WithJsonSchema(_AGE_SCHEMA)]
Settle = Annotated[int, BeforeValidator(_settle), WithJsonSchema(_DURATION_SCHEMA | {"pattern": _SETTLE_PATTERN})]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class DenyRules(_Section):
    """Which keys block at any risk level."""

    keys: Words = Field((), description="Keys, exact or as globs (`*_private_key`), that block at any risk level.")
    groups: Words = Field((), description="Groups of keys that block at any risk level; `ci-gate keys` lists them.")
    except_: Words = Field((), alias="except", description="Keys, exact or as globs, that `keys` and `groups` would deny but shall not.")


class AllowRules(_Section):
    """Which keys are not counted."""

    keys: Words = Field((), description="Keys, exact or as globs, that are not counted. A denied key stays denied.")


class Thresholds(_Section):
    """How many counted findings are allowed."""

    high: Limit = Field(None, description="Most counted findings of high risk allowed, inclusive; null: no limit; 0: none.")
    medium: Limit = Field(None, description="Most counted findings of medium risk allowed, inclusive; null: no limit; 0: none.")
    low: Limit = Field(None, description="Most counted findings of low risk allowed, inclusive; null: no limit; 0: none.")
    total: Limit = Field(None, description="Most counted findings of any risk allowed, inclusive; null: no limit; 0: none.")


class UnknownRules(_Section):
    """What becomes of what the documentation does not know."""

    keys: Literal["deny", "count", "allow"] = Field("deny", description="A key that is neither in the catalog nor in `extra_keys`.")
    risk_level: Literal["high", "medium", "low", "error"] = Field(
        "high", description="The level that an undocumented risk level is judged as; error: the run is undecided (exit code 23)."
    )


class EvidencePolicy(_Section):
    """Which proofs the verdict needs."""

    require_digest: bool = Field(True, description="Refuse an image reference without a digest.")  # noqa: FBT003 - a default
    rule_coverage: Literal["auto", "error", "warn", "off"] = Field(
        "auto", description="What a denied key whose scan rule is switched off, or rules that may not be read, mean."
    )
    inferred: Literal["error", "warn"] = Field("error", description="What a failed cross-check of undocumented behaviour means.")
    vendor_whitelist: Literal["report", "error"] = Field("report", description="What vendor-side whitelist rules mean.")
    max_scan_age: Age = Field(None, description="Oldest scan that is believed, such as 24h; null: any age.")
    settle: Settle = Field(
        15, description="Pause before the findings of a fresh scan are read again, at most 10m.", json_schema_extra={"default": "15s"}
    )


class BaseImageRules(_Section):
    """The layers of the base image: their findings are for whoever builds that one."""

    layers: Layers = Field(description="Digests of the layers that come from the base image (`sha256:` and 64 hex digits).")
    action: Literal["label", "exempt"] = Field(
        "label", description="label: told apart in the reports; exempt: not counted. Denied keys are never exempt."
    )


class BaselineRules(_Section):
    """The findings that were there when the gate was introduced."""

    file: Annotated[str, StringConstraints(min_length=1, max_length=MAX_PATTERN)] = Field(
        description="File that `ci-gate baseline create` wrote, relative to this policy and below its folder."
    )
    expires: Date = Field(description="Last day (UTC) on which the baseline is valid.")
    include_denied: bool = Field(False, description="Whether the baseline also covers denied keys.")  # noqa: FBT003 - a default


class Waiver(_Section):
    """One exception, with a reason, an owner and an end. All that it names has to fit a finding."""

    id: Annotated[str, BeforeValidator(_check_id), WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.:/-]{0,63}$"})] = (
        Field(description="Name of the waiver, unique in the policy.")
    )
    keys: Annotated[Words, Field(min_length=1)] = Field(
        description="Keys that are waived; a glob only together with `paths`, `md5` or `fingerprints`."
    )
    paths: Named[Patterns] = Field((), description="Paths in the image, exact or as globs: `*` within a folder, `**` across folders.")
    md5: Named[Md5s] = Field((), description="MD5 sums of the files, as the findings tell them.")
    fingerprints: Named[Fingerprints] = Field((), description="Fingerprints of the findings, as the reports tell them.")
    images: Named[Patterns] = Field((), description="Images as registry/namespace/repository, exact or as globs; without it, every image.")
    reason: Text = Field(None, description="Why this is no danger.")
    owner: Text = Field(None, description="Who answers for it.")
    ticket: Text = Field(None, description="Where it is tracked.")
    created: OptionalDate = Field(None, description="First day (UTC) on which the waiver is valid.")
    expires: OptionalDate = Field(None, description="Last day (UTC) on which the waiver is valid.")


class WaiverRules(_Section):
    """What waivers have to be like."""

    require: Annotated[
        tuple[Literal["reason", "owner", "ticket", "created", "expires"], ...], Field(json_schema_extra={"uniqueItems": True})
    ] = Field(("reason", "owner", "created", "expires"), description="Fields that every waiver must have.")
    max_days: Annotated[int, Field(ge=1, le=MAX_DAYS)] | None = Field(
        None, description="Most days from `created` to `expires`; null: no limit."
    )
    warn_before_days: Annotated[int, Field(ge=0, le=MAX_DAYS)] = Field(
        14, description="Days before its end from which a waiver or baseline is reported as expiring."
    )
    unused: Literal["warn", "off"] = Field("warn", description="Whether waivers that match nothing are reported.")


class Override(_Section):
    """Further rules for some images. Every override that matches applies, and the strictest wins."""

    images: Annotated[Patterns, Field(min_length=1)] = Field(
        description="Images as registry/namespace/repository, exact or as globs: `*` within a part, `**` across parts."
    )
    deny: DenyRules = Field(default_factory=DenyRules, description="Keys that block in these images, too.")
    allow: AllowRules = Field(default_factory=AllowRules, description="Keys that are not counted in these images.")
    thresholds: Thresholds = Field(default_factory=Thresholds, description="Lower thresholds for these images.")
    waivers: Annotated[tuple[Waiver, ...], Field(max_length=MAX_ENTRIES)] = Field((), description="Waivers for these images.")


class GivenFinding(_Section):
    """One finding that a test makes up."""

    key: Word = Field(description="Key of the finding; it need not be known.")
    risk_level: Word = Field("high", description="Risk level of the finding: high, medium, low, or a word that is not documented.")
    path: Annotated[str, StringConstraints(min_length=1, max_length=MAX_PATTERN)] = Field("/test", description="Path in the image.")
    md5: Annotated[str | None, _hex(32, "", "md5"), WithJsonSchema({"anyOf": [_MD5_SCHEMA, _NULL]})] = Field(
        None, description="MD5 sum of the file."
    )
    layer: Annotated[str | None, _hex(64, "sha256:", "layer"), WithJsonSchema({"anyOf": [_LAYER_SCHEMA, _NULL]})] = Field(
        None, description="Digest of the layer that holds it."
    )
    count: Annotated[int, Field(ge=1, le=10_000)] = Field(1, description="How many findings that look like this.")


class PolicyTest(_Section):
    """One test of the policy, run by `ci-gate policy test`."""

    name: Annotated[str, BeforeValidator(_check_text), WithJsonSchema(_line_schema(MAX_TEXT))] = Field(
        description="What the policy is expected to do."
    )
    given: Annotated[tuple[GivenFinding, ...], Field(max_length=MAX_ENTRIES)] = Field(description="The findings of an image.")
    expect: Literal["passed", "blocked", "undecided"] = Field(description="The verdict that the policy must give.")
    image: Annotated[str, StringConstraints(min_length=1, max_length=MAX_PATTERN)] | None = Field(
        None, description="The image as registry/namespace/repository, for waivers and overrides."
    )
    today: OptionalDate = Field(None, description="The day (UTC) to judge on; without it, the day of the test.")


class Policy(_Section):
    """A policy of ci-gate: which sensitive files block the deploy of an image."""

    version: Annotated[Literal[1], BeforeValidator(_check_version)] = Field(description="Version of the policy language: 1.")
    name: Annotated[str | None, BeforeValidator(_check_name), WithJsonSchema({"anyOf": [_line_schema(MAX_WORD), _NULL]})] = Field(
        None, description="Name in the reports; default: the file's name."
    )
    extends: Annotated[tuple[Annotated[str, StringConstraints(min_length=1, max_length=MAX_PATTERN)], ...], Field(max_length=20)] = Field(
        (), description="Policies that this one builds on: built-in names, or files relative to this one and below its folder."
    )
    permit: Annotated[
        tuple[Literal["allow", "waivers", "baseline", "baseline_denied", "exempt", "extra_keys"], ...],
        Field(json_schema_extra={"uniqueItems": True}),
    ] = Field((), description="What policies that extend this one may add that loosens it.")
    mode: Literal["enforce", "warn"] = Field("enforce", description="warn turns exit code 10 into 0, and nothing else.")
    allow_warn_override: bool = Field(False, description="Whether `--mode warn` may be given on the command line.")  # noqa: FBT003 - a default
    extra_keys: ExtraKeys = Field((), description="Keys that the catalog does not have, made known here.")
    deny: DenyRules = Field(default_factory=DenyRules, description="Keys that block at any risk level.")
    allow: AllowRules = Field(default_factory=AllowRules, description="Keys that are not counted.")
    thresholds: Thresholds = Field(default_factory=Thresholds, description="Most counted findings allowed.")
    unknown: UnknownRules = Field(default_factory=UnknownRules, description="Keys and risk levels that are not documented.")
    base_image: BaseImageRules | None = Field(None, description="Layers of the base image.")
    baseline: BaselineRules | None = Field(None, description="Findings that were there when the gate was introduced.")
    waivers: Annotated[tuple[Waiver, ...], Field(max_length=MAX_ENTRIES)] = Field((), description="Exceptions that expire.")
    waiver_rules: WaiverRules = Field(default_factory=WaiverRules, description="What waivers have to be like.")
    overrides: Annotated[tuple[Override, ...], Field(max_length=MAX_ENTRIES)] = Field((), description="Further rules for some images.")
    evidence: EvidencePolicy = Field(default_factory=EvidencePolicy, description="Which proofs the verdict needs.")
    tests: Annotated[tuple[PolicyTest, ...], Field(max_length=MAX_ENTRIES)] = Field((), description="Tests of this policy.")


# The models below the policy by the path of field names that leads to them.
SECTIONS: dict[tuple[str, ...], type[BaseModel]] = {
    (): Policy,
    ("deny",): DenyRules,
    ("allow",): AllowRules,
    ("thresholds",): Thresholds,
    ("unknown",): UnknownRules,
    ("base_image",): BaseImageRules,
    ("baseline",): BaselineRules,
    ("waivers",): Waiver,
    ("waiver_rules",): WaiverRules,
    ("overrides",): Override,
    ("overrides", "deny"): DenyRules,
    ("overrides", "allow"): AllowRules,
    ("overrides", "thresholds"): Thresholds,
    ("overrides", "waivers"): Waiver,
    ("evidence",): EvidencePolicy,
    ("tests",): PolicyTest,
    ("tests", "given"): GivenFinding,
}


def field_names(*path: str) -> tuple[str, ...]:
    """Return the names of the fields of a section, or of the policy itself, as they are written in YAML."""
    return tuple(info.alias or name for name, info in SECTIONS[path].model_fields.items())


def schema_text() -> str:
    """Return :func:`policy_schema` as the text of ``policies/policy.schema.json``."""
    return json.dumps(policy_schema(), indent=2, ensure_ascii=False) + "\n"


_TITLES = {
    "AllowRules": "Keys that are not counted",
    "BaseImageRules": "Layers of the base image",
    "BaselineRules": "Baseline",
    "DenyRules": "Denied keys",
    "EvidencePolicy": "Evidence",
    "GivenFinding": "Finding that a test makes up",
    "Override": "Override for some images",
    "PolicyTest": "Test of the policy",
    "Thresholds": "Thresholds",
    "UnknownRules": "What is not documented",
    "Waiver": "Waiver",
    "WaiverRules": "Rules for waivers",
}
_BUILT_IN = ("default", "strict", "audit")
_KEY_PATTERN = r"^[A-Za-z0-9_.:*?!\[\]-]{1,128}$"


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the language, for editors: they complete keys, groups and built-in policies from it.

    It takes any key, glob or file that could be one; only the loader knows which ones there are.
    """
    schema = _without_titles(Policy.model_json_schema(by_alias=True))
    parts = schema["$defs"]
    for name, title in _TITLES.items():
        parts[name]["title"] = title
    for section, field in (("DenyRules", "keys"), ("DenyRules", "except"), ("AllowRules", "keys"), ("Waiver", "keys")):
        parts[section]["properties"][field]["items"] = {"$ref": "#/$defs/Key"}
    parts["GivenFinding"]["properties"]["key"] |= {"examples": list(catalog_keys())}
    parts["DenyRules"]["properties"]["groups"]["items"] = {"$ref": "#/$defs/Group"}
    for name, info in Policy.model_fields.items():  # left out by pydantic where the section's own words are the same
        schema["properties"][name].setdefault("description", info.description)
    schema["properties"]["extends"]["items"]["examples"] = [*_BUILT_IN, "./team.yml"]
    keys = [{"enum": list(catalog_keys())}, {"type": "string", "pattern": _KEY_PATTERN}]
    parts["Key"] = {"title": "Key", "description": "A key of the catalog, one of `extra_keys`, or a glob.", "anyOf": keys}
    groups = [{"const": group.name, "description": group.description} for group in load_catalog().groups]
    parts["Group"] = {"title": "Group of keys", "description": "A group of keys; `ci-gate keys` lists them.", "oneOf": groups}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "ci-gate policy, version 1"}


def _without_titles(schema: dict[str, Any]) -> dict[str, Any]:
    """Leave out the titles that are only the names of fields, in other letters."""
    for model in (schema, *schema["$defs"].values()):
        for field in model["properties"].values():
            field.pop("title", None)
    return schema
