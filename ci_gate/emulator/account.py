"""The account of a world file: who may call, what is bought, how many scan tasks run, and which findings are ignored."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ci_gate.emulator.fields import Action, Moment, RawText, Strict


class ScanQuota(Strict):
    """The quota for image scans (`DescribeImageScanAuthCount`)."""

    capacity: int = Field(15_340, ge=0)
    """How many images may be scanned in a cycle."""
    used: int = Field(5_489, ge=0)
    """How many were, before the endpoint started; a requested scan uses one for each image that is not `quota_paid`."""


class ScanTasks(Strict):
    """How many scan tasks may run at once, and how many of other people's run already."""

    limit: int = Field(10, ge=1)
    """How many may run at once in the account."""
    running: int = Field(0, ge=0)
    """How many tasks of other people run when the endpoint starts."""
    ends_after_calls: int | None = Field(None, ge=1)
    """These tasks end after this many requests for a scan; null: not by calls."""
    ends_after_seconds: float | None = Field(None, gt=0, strict=False)
    """These tasks end this many seconds after the start of the endpoint; null: not by time."""


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
    token_expires_after_calls: int | None = Field(None, ge=0)
    """The session token expires after this many calls, in mid-run; null: not by calls."""
    deny_actions: tuple[Action, ...] = Field((), strict=False)
    """Calls for which the caller has no permission; `*` for all."""
    edition: Literal["basic", "advanced", "enterprise", "ultimate"] = "ultimate"
    """The edition of Security Center; with `basic`, the calls about scan tasks and their quota are 403 `NoPermission`."""
    sensitive_scan: Literal["on", "off"] = "on"
    """The account's switch of the scan for sensitive files; `off`: scans succeed and find none."""
    scan_quota: ScanQuota = ScanQuota()
    """The quota for image scans."""
    scan_tasks: ScanTasks = ScanTasks()
    """The scan tasks that may run at once."""


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
