"""The images and repositories of a world file: what exists, what was found in it, and how its scans go."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ci_gate.emulator.fields import Digest, Moment, RawText, Strict

_REPOSITORY = r"(?P<registry>[^/@\s]+)/(?:(?P<namespace>[^:@\s]+)/)?(?P<repository>[^/:@\s]+)"
_REPOSITORY_NAME = re.compile(_REPOSITORY)
_REFERENCE = re.compile(_REPOSITORY + r":(?P<tag>[^/:@\s]+)")
NO_NAMESPACE = "N/A"


def _is_reference(text: str) -> str:
    if not _REFERENCE.fullmatch(text):
        raise ValueError("this is no image reference: write it like registry.example.com/shop/api:1.4.2")
    return text


def _is_repository(text: str) -> str:
    if not _REPOSITORY_NAME.fullmatch(text):
        raise ValueError("this is no repository: write it like registry.example.com/shop/api")
    return text


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


class _Stage(Strict):
    """A state of a scan, as long as it lasts."""

    result: str | None = None
    """`ScaResult`; null: the row has none."""
    progress: int | None = Field(100, ge=0, le=100)
    """`ScaProgress`, percent."""
    task_status: str | None = None
    """What `DescribeImageLatestScanTask` says meanwhile; null: its own word for `status`, such as `TIMOUT` for `TIMEOUT`."""
    for_calls: int | None = Field(None, ge=1)
    """The stage ends after this many answers of `DescribeImageInstances` that name the image."""
    for_seconds: float | None = Field(None, gt=0, strict=False)
    """The stage ends this many seconds after it began."""


class Stage(_Stage):
    """A state of the scan of an image, as long as it lasts."""

    status: str | None = "SUCCESS"
    """`ScaStatus`; null where the image was never scanned: then the row has no field of a scan."""
    last: Moment | None = "2h ago"
    """`LastScanTime`; null: the row has none."""
    finished: Moment | None = None
    """`FinishTime` of the scan's task, where `last` is another moment: that of the start; null: `last`."""
    started: Moment | None = None
    """`StartTime` of a task that has ended; null: `last` where `finished` is told, else a minute before the end."""


class RequestedStage(_Stage):
    """A state of a scan that was requested, as long as it lasts."""

    status: str = "SUCCESS"
    """`ScaStatus`; the scan has ended at `SUCCESS`, `FAIL`, `TIMEOUT` or `TIMOUT`."""


class ListedAfter(Strict):
    """When `DescribeImageInstances` begins to name an image: once all of this holds."""

    sync: bool = False
    """Only once a `PublicSyncAndCreateImageScanTask` for its digest was accepted; calls and seconds count from then."""
    calls: int = Field(0, ge=0)
    """How many answers do not know the image yet, though they would name it."""
    seconds: float = Field(0, ge=0, strict=False)
    """How long it is not known, in seconds."""


class TagMoves(Strict):
    """The tag of an image goes to another image, or is deleted."""

    after_calls: int | None = Field(None, ge=1)
    """How many answers of `DescribeImageInstances` name the image under the tag before; null: it moves when `to` becomes known."""
    to: Digest | None = None
    """The digest of the image of the same reference that takes the tag over, and is not listed under it before. Null: none does."""
    old_row: Literal["gone", "untagged"] = "gone"
    """Whether the row of the tag vanishes, or stays with an empty tag. Rows of other tags stay."""

    @model_validator(mode="after")
    def _has_a_time(self) -> TagMoves:
        if self.after_calls is None and self.to is None:
            raise ValueError("a tag that moves needs after_calls or to")
        return self


class _Place(Strict):
    """Where a repository is."""

    registry_type: str = "acr"
    """`acr`, `harbor`, `quay` or `CI/CD`."""
    instance_id: str = "cri-example000000"
    """The registry's instance."""
    region_id: str = "cn-hangzhou"
    """The region of the registry."""
    endpoints: tuple[str, ...] | None = Field(None, strict=False)
    """The addresses of the registry; null: the host of `reference`; empty: the service does not tell."""


class Repository(_Place):
    """A repository that the service knows before, or without, its images. Those of listed images are known besides."""

    reference: Annotated[str, AfterValidator(_is_repository)]
    """`registry/namespace/repository`, without a tag."""
    known_after_calls: int = Field(0, ge=0)
    """How many answers of `DescribeImageRepoDetailList` do not know it yet, though they would name it."""

    @property
    def parts(self) -> tuple[str, str, str]:
        """Registry, namespace (or an empty text) and repository."""
        match = _REPOSITORY_NAME.fullmatch(self.reference)
        assert match is not None  # its validator has seen to it
        return match["registry"], match["namespace"] or "", match["repository"]

    @property
    def repo_id(self) -> str:
        """The service's id of the repository, the same for its images."""
        return _repo_id(self.instance_id, *self.parts[1:])

    @property
    def place(self) -> tuple[str, ...]:
        """What tells the repository from others: type and instance of the registry, region, namespace and name."""
        return (self.registry_type, self.instance_id, self.region_id, *self.parts[1:])


class Image(_Place):
    """An image of the account."""

    reference: Annotated[str, AfterValidator(_is_reference)]
    """`registry/namespace/repository:tag`; without a namespace the service writes `N/A`."""
    digest: Digest
    """The digest that the service lists: the platform's manifest usually, never the index of it."""
    index: Digest | None = None
    """The digest of the multi-platform index of which the image is one platform; see the quirk `index_listed`."""
    also_tagged: tuple[str, ...] = Field((), strict=False)
    """More tags of the same image: a row each, with the same uuid."""
    uuid: str | None = Field(None, min_length=1)
    """The service's id of the image; null: made up from reference, digest and instance."""
    created: Moment = "3h ago"
    """When the image was made and pushed."""
    size_bytes: int = Field(48_000_000, ge=0)
    """Its size, bytes."""
    scan: tuple[Stage, ...] = Field((Stage(),), min_length=1, strict=False)
    """The stages of its scan; the last one stays. Findings are there once the status is `SUCCESS`."""
    scan_when_requested: tuple[RequestedStage, ...] = Field(
        (RequestedStage(status="START", progress=0, for_calls=1), RequestedStage()), min_length=1, strict=False
    )
    """The stages of a scan that is requested; the last one stays. Until it ends, `LastScanTime` and findings are those of the scan before;
    then the time is that of the end, and the findings, if the scan succeeded, are its own."""
    found_before: tuple[Finding, ...] | None = Field(None, strict=False)
    """What is found until a requested scan succeeds; null: the same as afterwards."""
    quota_paid: bool = False
    """Whether a scan of it uses no quota, as it was scanned in this cycle already; a requested scan pays for those after it."""
    listed_after_calls: int = Field(0, ge=0)
    """How many answers of `DescribeImageInstances` do not know the image yet; short for `listed_after: {calls: …}`."""
    listed_after: ListedAfter = ListedAfter()
    """When the image becomes known."""
    delisted_after_calls: int | None = Field(None, ge=1)
    """After how many answers that name it the image is deleted; null: it stays."""
    tag_moves: TagMoves | None = None
    """When the tag of `reference` goes elsewhere; null: it stays."""
    findings_after_calls: int = Field(0, ge=0)
    """How many answers of `DescribeImageSensitiveFileList` come before the findings, as where a scan reports success too early;
    after a requested scan, they are counted from its end."""
    findings: tuple[Finding, ...] = Field((), strict=False)
    """What was found, row by row."""
    generate: Generate | None = None
    """What was found, besides, by a rule."""
    unlisted_keys: tuple[str, ...] = Field((), strict=False)
    """Keys that have findings, but that the listing by key does not name."""

    @model_validator(mode="after")
    def _listed_one_way(self) -> Image:
        if self.listed_after_calls and self.listed_after.calls:
            raise ValueError("an image has either listed_after_calls or calls in listed_after")
        return self

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

    @property
    def repo_id(self) -> str:
        """The service's id of the repository of the image."""
        return _repo_id(self.instance_id, *self.parts[1:3])

    @property
    def place(self) -> tuple[str, ...]:
        """What tells its repository from others: type and instance of the registry, region, namespace and name."""
        return (self.registry_type, self.instance_id, self.region_id, *self.parts[1:3])

    @property
    def calls_before_listed(self) -> int:
        """How many answers of ``DescribeImageInstances`` do not know the image yet."""
        return self.listed_after_calls or self.listed_after.calls


def _repo_id(instance_id: str, namespace: str, repository: str) -> str:
    return f"crr-{zlib.crc32(f'{instance_id}/{namespace}/{repository}'.encode()):016x}"
