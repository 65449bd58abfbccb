"""The policy language, version 1, as a typed model. Frozen, strict, closed: a field that is not here does not exist.

Durations are written as text (``15s``, ``10m``, ``24h``, ``7d``) and held as seconds.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

MAX_COUNT = 1_000_000_000
MAX_ENTRIES = 2_000
MAX_WORD = 128
DURATION_PATTERN = r"^[0-9]{1,6}[smhd]$"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MAX_SETTLE_S = 600

# Fields of the language that this version does not read yet: named, so that nobody believes they work.
UNSUPPORTED: dict[str, str] = {
    "extends": "Write the parent's rules into this policy.",
    "permit": "It only matters together with 'extends'; remove it.",
    "waivers": "Narrow 'deny' with 'except', or list the key under 'allow'.",
    "waiver_rules": "It only matters together with 'waivers'; remove it.",
    "overrides": "Use one policy file a kind of image, chosen with --policy.",
    "baseline": "Raise a threshold to what is found today, and lower it as you clean up.",
    "base_image": "Raise a threshold by what the base image brings.",
    "tests": "Keep them in a file of their own until they are supported.",
}


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


_DURATION_SCHEMA: dict[str, Any] = {"type": "string", "pattern": DURATION_PATTERN, "examples": ["15s", "10m", "24h", "7d"]}
_NULLABLE_DURATION_SCHEMA: dict[str, Any] = {"anyOf": [_DURATION_SCHEMA, {"type": "null"}]}

Word = Annotated[str, StringConstraints(min_length=1, max_length=MAX_WORD)]
Words = Annotated[tuple[Word, ...], Field(max_length=MAX_ENTRIES, json_schema_extra={"uniqueItems": True})]
ExtraKeySchema = WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,128}$"})
ExtraKeys = Annotated[
    tuple[Annotated[str, BeforeValidator(_check_extra_key), ExtraKeySchema], ...],
    Field(max_length=MAX_ENTRIES, json_schema_extra={"uniqueItems": True}),
]
Limit = Annotated[int, Field(ge=0, le=MAX_COUNT)] | None
Age = Annotated[int | None, BeforeValidator(_age), WithJsonSchema(_NULLABLE_DURATION_SCHEMA)]
Settle = Annotated[int, BeforeValidator(_settle), WithJsonSchema(_DURATION_SCHEMA)]


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
        15, description="Pause before an empty result of a fresh scan is believed, at most 10m.", json_schema_extra={"default": "15s"}
    )


class Policy(_Section):
    """A policy of ci-gate: which sensitive files block the deploy of an image."""

    version: Annotated[Literal[1], BeforeValidator(_check_version)] = Field(description="Version of the policy language: 1.")
    name: Annotated[str | None, BeforeValidator(_check_name)] = Field(None, description="Name in the reports; default: the file's name.")
    mode: Literal["enforce", "warn"] = Field("enforce", description="warn turns exit code 10 into 0, and nothing else.")
    allow_warn_override: bool = Field(False, description="Whether `--mode warn` may be given on the command line.")  # noqa: FBT003 - a default
    extra_keys: ExtraKeys = Field((), description="Keys that the catalog does not have, made known here.")
    deny: DenyRules = Field(default_factory=DenyRules, description="Keys that block at any risk level.")
    allow: AllowRules = Field(default_factory=AllowRules, description="Keys that are not counted.")
    thresholds: Thresholds = Field(default_factory=Thresholds, description="Most counted findings allowed.")
    unknown: UnknownRules = Field(default_factory=UnknownRules, description="Keys and risk levels that are not documented.")
    evidence: EvidencePolicy = Field(default_factory=EvidencePolicy, description="Which proofs the verdict needs.")


SECTIONS: dict[str, type[BaseModel]] = {
    "deny": DenyRules,
    "allow": AllowRules,
    "thresholds": Thresholds,
    "unknown": UnknownRules,
    "evidence": EvidencePolicy,
}


def field_names(section: str | None) -> tuple[str, ...]:
    """Return the names of the fields of a section, or of the policy itself, as they are written in YAML."""
    model = SECTIONS[section] if section else Policy
    return tuple(info.alias or name for name, info in model.model_fields.items())


def schema_text() -> str:
    """Return :func:`policy_schema` as the text of ``policies/policy.schema.json``."""
    return json.dumps(policy_schema(), indent=2, ensure_ascii=False) + "\n"


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the language, for editors. It cannot know the keys; the loader does."""
    schema = Policy.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "ci-gate policy, version 1"}
