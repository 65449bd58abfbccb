"""The world file: what exists on the embedded endpoint, as a typed model, and how it is loaded."""

from __future__ import annotations

import hashlib
import json
import re
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from ci_gate.catalog import catalog_keys
from ci_gate.emulator.faults import Fault  # noqa: TC001 - pydantic reads it at run time
from ci_gate.emulator.fields import Action, Digest, Moment, RawText, Strict
from ci_gate.emulator.yaml_reader import Document, Problem, YamlError, read_yaml

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic_core import ErrorDetails

DEMO_WORLD = "demo.yaml"
_REFERENCE = re.compile(r"(?P<registry>[^/@\s]+)/(?:(?P<namespace>[^:@\s]+)/)?(?P<repository>[^/:@\s]+):(?P<tag>[^/:@\s]+)")


class WorldError(Exception):
    """A world file does not load; ``problems`` holds all that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


def _is_reference(text: str) -> str:
    if not _REFERENCE.fullmatch(text):
        raise ValueError("this is no image reference: write it like registry.example.com/shop/api:1.4.2")
    return text


class Account(Strict):
    """Who may call, and what."""

    access_key_id: str = Field("LTAIexampleembedded", min_length=1)
    """The AccessKey id of the only caller; never a real one."""
    access_key_secret: str = Field("not-a-secret-embedded-endpoint-only", min_length=1)
    """Its secret; never a real one."""
    security_token: str = ""
    """The session token that every call must carry; empty for a caller with permanent keys."""
    token_expires: Moment | None = None
    """When the session token expires; null for never."""
    deny_actions: tuple[Action, ...] = Field((), strict=False)
    """Calls for which the caller has no permission; `*` for all."""


class Finding(Strict):
    """One sensitive file of one key: one row of `DescribeImageSensitiveFileByKey`."""

    key: str = Field(min_length=1)
    """The `SensitiveFileKey`; it need not be a documented one."""
    path: RawText = ""
    """The path of the file; any characters, YAML's escapes included."""
    path_escaped: str | None = None
    """The path with JSON's escapes, where YAML's do not suffice; instead of `path`."""
    risk_level: str = "high"
    """`high`, `medium`, `low`, or a word that is not documented."""
    md5: str | None = None
    """The MD5 of the file; null: made up from the path; empty: the row has none."""
    layer: Digest | None = None
    """The digest of the layer; null: made up from the image."""
    excerpt: RawText | None = None
    """The excerpt of the secret (`Promt`); null: an obviously fake one."""
    name: str | None = None
    """The name of the key; null: that of the catalog in the language of the call."""
    advice: RawText | None = None
    """The advice; null: the usual one."""
    description: RawText | None = None
    """The description; null: the usual one."""
    found_in: Literal["image", "container"] = "image"
    """Whether it is found in the image, or only in containers of it (`ScanRange`)."""
    whitelisted: bool = False
    """Whether it is ignored in Security Center."""
    times: int = Field(1, ge=1, le=1000)
    """How many rows are alike in everything: one file can hold two secrets that look alike."""

    @model_validator(mode="after")
    def _one_path(self) -> Finding:
        if (self.path_escaped is None) == (self.path == ""):
            raise ValueError("a finding has either path or path_escaped")
        _ = self.file_path
        return self

    @property
    def file_path(self) -> str:
        """The path as it is served.

        :raises ValueError: if ``path_escaped`` holds no JSON text.
        """
        if self.path_escaped is None:
            return self.path
        try:
            return str(json.loads(f'"{self.path_escaped}"'))
        except ValueError:
            raise ValueError("path_escaped holds no text with the escapes of JSON") from None


class Generate(Strict):
    """Findings made up by a rule: the same ones for the same figures, everywhere."""

    count: int = Field(ge=1, le=1_000_000)
    """How many."""
    seed: int = 0
    """Other seeds make other paths."""
    keys: Literal["all"] | Annotated[tuple[str, ...], Field(min_length=1, strict=False)] = "all"
    """The keys to use, in turn: `all` documented ones, or a list."""
    risk_levels: Annotated[tuple[str, ...], Field(min_length=1, strict=False)] = ("high", "medium", "low")
    """The risk levels; each key has one of them, in turn."""


class Stage(Strict):
    """A state of the scan of an image, as long as it lasts."""

    status: str | None = "SUCCESS"
    """`ScaStatus`; null where the image was never scanned: then the row has no field of a scan."""
    result: str | None = None
    """`ScaResult`; null: the row has none."""
    progress: int | None = Field(100, ge=0, le=100)
    """`ScaProgress`, percent."""
    last: Moment | None = "2h ago"
    """`LastScanTime`; null: the row has none."""
    for_calls: int | None = Field(None, ge=1)
    """The stage ends after this many answers of `DescribeImageInstances` that name the image."""
    for_seconds: float | None = Field(None, gt=0, strict=False)
    """The stage ends this many seconds after it began."""


class Image(Strict):
    """An image of the account."""

    reference: Annotated[str, AfterValidator(_is_reference)]
    """`registry/namespace/repository:tag`; without a namespace the service writes `N/A`."""
    digest: Digest
    """The digest that the service lists: the platform's manifest usually, never the index of it."""
    also_tagged: tuple[str, ...] = Field((), strict=False)
    """More tags of the same image: a row each, with the same uuid."""
    uuid: str | None = Field(None, min_length=1)
    """The service's id of the image; null: made up from reference, digest and instance."""
    registry_type: str = "acr"
    """`acr`, `harbor`, `quay` or `CI/CD`."""
    instance_id: str = "cri-example000000"
    """The registry's instance."""
    region_id: str = "cn-hangzhou"
    """The region of the registry."""
    endpoints: tuple[str, ...] | None = Field(None, strict=False)
    """The addresses of the registry; null: the host of `reference`; empty: the service does not tell."""
    created: Moment = "3h ago"
    """When the image was made and pushed."""
    size_bytes: int = Field(48_000_000, ge=0)
    """Its size, bytes."""
    scan: tuple[Stage, ...] = Field((Stage(),), min_length=1, strict=False)
    """The stages of its scan; the last one stays. Findings are there once the status is `SUCCESS`."""
    listed_after_calls: int = Field(0, ge=0)
    """How many answers of `DescribeImageInstances` do not know the image yet, as after a fresh push."""
    findings_after_calls: int = Field(0, ge=0)
    """How many answers of `DescribeImageSensitiveFileList` come before the findings, as where a scan reports success too early."""
    findings: tuple[Finding, ...] = Field((), strict=False)
    """What was found, row by row."""
    generate: Generate | None = None
    """What was found, besides, by a rule."""
    unlisted_keys: tuple[str, ...] = Field((), strict=False)
    """Keys that have findings, but that the listing by key does not name."""

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """Registry, namespace (or an empty text), repository and tag."""
        match = _REFERENCE.fullmatch(self.reference)
        assert match is not None  # its validator has seen to it
        return match["registry"], match["namespace"] or "", match["repository"], match["tag"]

    @property
    def image_uuid(self) -> str:
        """The service's id of the image: 32 hex digits unless the world file says otherwise."""
        named = f"{self.registry_type}|{self.instance_id}|{self.region_id}|{self.reference}|{self.digest}"
        return self.uuid or hashlib.sha256(named.encode()).hexdigest()[:32]


class Condition(Strict):
    """What a whitelist of the service matches."""

    condition: Literal["MD5", "PATH"]
    """Which property of the file."""
    type: Literal["equals", "contains"] = "equals"
    """How it is compared."""
    value: RawText
    """With what."""


class Scenario(Strict):
    """Where a whitelist of the service applies."""

    type: Literal["default", "repo"] = "default"
    """Everywhere, or in one repository."""
    value: str = ""
    """`namespace/repository`, where the type is `repo`."""


class Whitelist(Strict):
    """A rule of the account that ignores findings (`DescribeImageEventOperationPage`)."""

    event_key: str
    """The key whose findings it ignores."""
    conditions: tuple[Condition, ...] = Field((), strict=False)
    """All must hold; none: every finding of the key."""
    scenario: Scenario = Scenario()
    """Where it applies."""
    source: Literal["default", "agentless"] = "default"
    """`default` is for images."""
    note: RawText = ""
    """The note of whoever made it."""


class RateLimit(Strict):
    """How many calls a second are answered; the others get 400 `Throttling.User`."""

    per_second: float = Field(gt=0, strict=False)
    """Calls a second; as many may come at once."""
    retry_after: bool = True
    """Whether the refusal says when to come again (`x-acs-retry-after`, milliseconds)."""


class Quirks(Strict):
    """Behaviour that is not documented of the real service: both ways can be had."""

    key_optional: bool = True
    """Whether `DescribeImageSensitiveFileByKey` without a key answers the whole list, or 400 `MissingSensitiveFileKey`."""
    page_size_cap: int | None = Field(None, ge=1)
    """The largest page that is served; null: no limit."""
    cap_echoed: bool = True
    """Whether `PageInfo.PageSize` is the size that is served, or the one that was asked for."""
    digest_prefix: bool = False
    """Whether digests are written with `sha256:`."""
    numbers_as_text: bool = False
    """Whether numbers come as text."""
    whitelisted_rows: Literal["shown", "hidden"] = "shown"
    """Whether ignored findings are among the rows."""
    rate_limit: RateLimit | None = None
    """Throttling; null: none."""
    latency: float = Field(0.0, ge=0, le=60, strict=False)
    """How long every answer takes, in seconds."""
    canary: str = ""
    """A text planted into the excerpt of every finding: it must never come out of the gate."""


class World(Strict):
    """Everything that exists on an embedded endpoint."""

    version: Literal[1] = 1
    """The version of this format."""
    region: str = "cn-shanghai"
    """The region that the endpoint stands for."""
    account: Account = Account()
    """The only caller of the endpoint, and its permissions."""
    images: tuple[Image, ...] = Field((), strict=False)
    """The images."""
    rules_off: tuple[str, ...] = Field((), strict=False)
    """Keys whose rule is switched off: scans do not find them."""
    rules_absent: tuple[str, ...] = Field((), strict=False)
    """Documented keys that the account's rules do not name."""
    rules_extra: tuple[str, ...] = Field((), strict=False)
    """Keys that are not documented, but that the account's rules name."""
    whitelists: tuple[Whitelist, ...] = Field((), strict=False)
    """The account's rules that ignore findings."""
    quirks: Quirks = Quirks()
    """Behaviour that is not documented of the real service."""
    faults: tuple[Fault, ...] = Field((), strict=False)
    """What goes wrong."""


def load_world(path: Path | None) -> World:
    """Load a world file; ``None`` is the demo world of the package.

    :raises WorldError: with all that is wrong with it.
    """
    try:
        raw = path.read_bytes() if path else resources.files("ci_gate.emulator").joinpath(DEMO_WORLD).read_bytes()
    except OSError as error:
        raise WorldError((Problem(0, 0, f"it cannot be read: {error.strerror or error}"),)) from None
    return parse_world(raw)


def parse_world(raw: bytes) -> World:
    """Load the bytes of a world file.

    :raises WorldError: with all that is wrong with it.
    """
    try:
        document = read_yaml(raw)
    except YamlError as error:
        raise WorldError(error.problems) from None
    try:
        world = World.model_validate(document.value)
    except ValidationError as error:
        problems = {Problem(*document.place(fault["loc"]), _sentence(fault)) for fault in _own_faults(error)}
        raise WorldError(tuple(sorted(problems))) from None
    problems = _contradictions(world, document)
    if problems:
        raise WorldError(tuple(sorted(problems)))
    return world


def world_schema() -> dict[str, Any]:
    """Return the JSON Schema of world files."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **World.model_json_schema()}


def _own_faults(error: ValidationError) -> list[ErrorDetails]:
    """Return what pydantic found, without lists that are called too short only because an item of them is wrong."""
    faults = error.errors(include_url=False)
    inner = {fault["loc"][:depth] for fault in faults for depth in range(len(fault["loc"]))}
    return [fault for fault in faults if fault["type"] != "too_short" or fault["loc"] not in inner]


def schema_text() -> str:
    """Return the JSON Schema as it is committed in ``world.schema.json``."""
    return json.dumps(world_schema(), indent=2) + "\n"


def _sentence(fault: ErrorDetails) -> str:
    """Say what pydantic found, with the name of the field, and without the value: it may be a canary."""
    name = next((part for part in reversed(fault["loc"]) if isinstance(part, str)), "the file")
    told = {"extra_forbidden": "there is no such field", "missing": "this field is required"}
    return f"{name}: {told.get(fault['type'], fault['msg'].removeprefix('Value error, '))}"


def _contradictions(world: World, document: Document) -> set[Problem]:
    """Find what each model alone cannot see."""
    found = set()
    uuids: dict[str, str] = {}
    for index, image in enumerate(world.images):
        if image.image_uuid in uuids:
            place = document.place(("images", index))
            found.add(Problem(*place, f"the uuid {image.image_uuid} is that of {uuids[image.image_uuid]} already"))
        uuids[image.image_uuid] = image.reference
        for number, stage in enumerate(image.scan[:-1]):
            if stage.for_calls is None and stage.for_seconds is None:
                place = document.place(("images", index, "scan", number))
                found.add(Problem(*place, "scan: a stage before the last one needs for_calls or for_seconds"))
    known = {*catalog_keys(), *world.rules_extra}
    for name in ("rules_off", "rules_absent"):
        for index, key in enumerate(getattr(world, name)):
            if key not in known:
                found.add(Problem(*document.place((name, index)), f"{name}: {key!r} is no documented key and not in rules_extra"))
    return found
