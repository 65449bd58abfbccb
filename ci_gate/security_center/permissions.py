"""Every call that the gate makes, with the RAM action that it needs: the one list of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Permission:
    """A call, what the gate makes it for, and what becomes of a check without the permission.

    ``requests_scans`` tells the two parts of the policy apart: calls that read, and calls that have images scanned.
    """

    action: str
    purpose: str
    without: str
    required: bool = False
    requests_scans: bool = False

    @property
    def ram_action(self) -> str:
        """The action as RAM policies name it."""
        return f"yundun-sas:{self.action}"


_NOTHING = "nothing can be decided: exit 21"
_AUTO_WAITS = "--scan auto waits for a scan that the account makes by itself, and says so; --scan always: exit 21"

PERMISSIONS: tuple[Permission, ...] = (
    Permission("DescribeImageInstances", "find the image, and see its scan", _NOTHING, required=True),
    Permission("DescribeImageSensitiveFileList", "list the keys that have findings", _NOTHING, required=True),
    Permission("DescribeImageSensitiveFileByKey", "read the findings of each key", _NOTHING, required=True),
    Permission("DescribeImageInfoList", "find an image by its uuid (--image-uuid)", "--image-uuid: exit 21; references do not need it"),
    Permission("DescribeImageCriteria", "learn which criteria find images", "repoName is assumed"),
    Permission("DescribeImageRepoCriteria", "learn which criteria find images, where the other call does not say", "repoName is assumed"),
    Permission(
        "DescribeImageRepoDetailList",
        "look up the repository of an image that is not listed yet",
        "the image cannot be scanned on request before it is listed: it is waited for",
    ),
    Permission(
        "DescribeImageLatestScanTask",
        "follow a scan that this run requested or waited for, and see when one of today ended",
        "the listing of images alone tells of the scan, and its LastScanTime when it ended",
    ),
    Permission("GetSensitiveDefineRuleConfig", "prove that the rules of the denied keys are on", "a warning; rule_coverage error: exit 21"),
    Permission(
        "DescribeImageEventOperationPage",
        "list the whitelists that may hide findings",
        "a warning; vendor_whitelist error: exit 21",
    ),
    Permission("DescribeImageScanAuthCount", "see what is left of the scan quota", "an exhausted quota shows only as a refused scan"),
    Permission(
        "PublicPreCheckImageScanTask",
        "see what a scan would take of the quota",
        "the quota is compared with one image",
        requests_scans=True,
    ),
    Permission("PublicSyncAndCreateImageScanTask", "have an image synchronised and scanned", _AUTO_WAITS, requests_scans=True),
)


def ram_policy() -> dict[str, Any]:
    """Return the smallest RAM policy that lets the gate work: what it reads, and then what it requests.

    The actions do not support single resources, so it is all of them.
    """
    parts = (False, True)
    actions = [[each.ram_action for each in PERMISSIONS if each.requests_scans is part] for part in parts]
    return {"Version": "1", "Statement": [{"Effect": "Allow", "Resource": "*", "Action": names} for names in actions]}
