"""The quirks of a world file: behaviour that is not documented of the real service, both ways."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ci_gate.emulator.fields import Strict

Criterion = Literal[
    "instanceId",
    "repoName",
    "repoId",
    "repoNamespace",
    "regionId",
    "vulStatus",
    "alarmStatus",
    "hcStatus",
    "riskStatus",
    "registryType",
    "imageId",
    "ImageId",
    "tag",
    "digest",
]
"""The name of a search condition; the documents spell one of them in two ways."""

IMAGE_CRITERIA: tuple[Criterion, ...] = (
    "instanceId",
    "repoName",
    "repoId",
    "repoNamespace",
    "regionId",
    "vulStatus",
    "alarmStatus",
    "hcStatus",
    "riskStatus",
    "registryType",
    "imageId",
    "tag",
    "digest",
)
REPO_CRITERIA: tuple[Criterion, ...] = (
    "instanceId",
    "repoName",
    "repoId",
    "repoNamespace",
    "regionId",
    "vulStatus",
    "alarmStatus",
    "hcStatus",
    "riskStatus",
    "registryType",
    "ImageId",
    "tag",
)


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
    endpoints: Literal["hosts", "domains"] = "hosts"
    """How `Endpoints` is written: a list of hosts, or as documented for repositories: `[{"domains": ["…"], "type": "internet"}, …]`."""
    index_listed: Literal["platforms", "index"] = "platforms"
    """What is listed of images with an `index`: each platform's manifest, or one image with the digest of the index and all findings."""
    image_criteria: tuple[Criterion, ...] = Field(IMAGE_CRITERIA, strict=False)
    """What `DescribeImageCriteria` names; its document: tag, digest, vulStatus, alarmStatus, riskStatus, registryType."""
    repo_criteria: tuple[Criterion, ...] = Field(REPO_CRITERIA, strict=False)
    """What `DescribeImageRepoCriteria` names."""
    unsupported_criteria: Literal["refuse", "ignore"] = "refuse"
    """What a listing does with a criterion that those two calls do not name: 400 `InvalidParameter`, or nothing."""
    slots_full: Literal["can_create", "beyond_quota"] = "can_create"
    """How a request for a scan is turned down while `scan_tasks.limit` tasks run: `CanCreate` false, or 400 `BeyondQuata`."""
    repeat_task: Literal["result", "code", "sca_result"] = "result"
    """How a request is turned down while a scan of its image runs: `forbid_create_repeat_task` as the `Result` of an answer without a task,
    as the code of a 400, or as the `ScaResult` of the image after an answer with the id of a task that does not come to be."""
    precheck_figures: Literal["by_name", "by_description"] = "by_name"
    """Whether `NeedAuthCount` is the quota needed and `ScanImageCount` the number of images, or the reverse, as their descriptions say."""
    rate_limit: RateLimit | None = None
    """Throttling; null: none."""
    latency: float = Field(0.0, ge=0, le=60, strict=False)
    """How long every answer takes, in seconds."""
    canary: str = ""
    """A text planted into the excerpt of every finding: it must never come out of the gate."""
