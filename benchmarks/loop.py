"""What a user would write with the SDK: find the image, then every key, then every page of each, one call after the other.

    eval "$(ci-gate emulate WORLD)"     # or credentials of an account
    python benchmarks/loop.py DIGEST

Ends with 1 where a finding is of high risk.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from alibabacloud_sas20181203 import models
from alibabacloud_sas20181203.client import Client
from alibabacloud_tea_openapi.models import Config

if TYPE_CHECKING:
    from collections.abc import Callable


def connect() -> Client:
    """Build a client from what the environment says."""
    return Client(
        Config(
            access_key_id=os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"],
            access_key_secret=os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
            endpoint=os.environ.get("CI_GATE_ENDPOINT"),
            protocol="HTTP" if "CI_GATE_ENDPOINT" in os.environ else "HTTPS",
            region_id="cn-shanghai",
        )
    )


def uuid_of(client: Client, digest: str) -> str:
    """Return the uuid of an image."""
    criteria = json.dumps([{"name": "digest", "value": digest}])
    images = client.describe_image_instances(models.DescribeImageInstancesRequest(criteria=criteria)).body.image_instance_list
    return str(images[0].uuid)


def every_row(call: Callable[[Any], Any], request: Callable[..., Any], **parameters: object) -> list[Any]:
    """Return the rows of all pages."""
    rows: list[Any] = []
    page = 1
    while True:
        body = call(request(current_page=page, **parameters)).body
        rows += body.sensitive_file_list
        if len(rows) >= body.page_info.total_count:
            return rows
        page += 1


def every_key(client: Client, uuid: str, **page_size: int) -> list[Any]:
    """Return every key of which an image has findings; without ``page_size`` in pages of the service's own size."""
    return every_row(client.describe_image_sensitive_file_list, models.DescribeImageSensitiveFileListRequest, image_uuid=uuid, **page_size)


def every_finding(client: Client, uuid: str, **page_size: int) -> list[Any]:
    """Return every finding of an image."""
    return [
        row
        for key in every_key(client, uuid, **page_size)
        for row in every_row(
            client.describe_image_sensitive_file_by_key,
            models.DescribeImageSensitiveFileByKeyRequest,
            image_uuid=uuid,
            sensitive_file_key=key.sensitive_file_key,
            **page_size,
        )
    ]


def main() -> int:
    """Decide."""
    client = connect()
    findings = every_finding(client, uuid_of(client, sys.argv[1]))
    high = [finding for finding in findings if finding.risk_level == "high"]
    for finding in high:
        print(finding.sensitive_file_key, finding.file_path)
    return 1 if high else 0


if __name__ == "__main__":
    sys.exit(main())
