"""The embedded endpoint's calls about repositories and scans, through the real SDK."""

from __future__ import annotations

import json
import os

import pytest

from ci_gate.emulator.app import Endpoint, serve
from ci_gate.emulator.world import parse_world

DIGEST = "a" * 64
WORLD = {
    "images": [
        {"reference": "registry.example.com/shop/api:1", "digest": DIGEST, "listed_after": {"sync": True}, "scan": [{"status": None}]}
    ],
    "repositories": [{"reference": "registry.example.com/shop/api"}],
}


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")


def client(endpoint: Endpoint):
    from alibabacloud_sas20181203.client import Client
    from alibabacloud_tea_openapi.utils_models import Config

    return Client(
        Config(
            access_key_id=endpoint.access_key_id,
            access_key_secret=endpoint.access_key_secret,
            protocol="HTTP",
            endpoint=endpoint.address,
            region_id=endpoint.region,
        )
    )


def test_a_fresh_push_is_found_synchronised_and_scanned_through_the_sdk():
    from alibabacloud_sas20181203 import models

    with serve(parse_world(json.dumps(WORLD).encode())) as endpoint:
        sdk = client(endpoint)
        unknown = sdk.describe_image_instances(models.DescribeImageInstancesRequest()).body
        criteria = sdk.describe_image_repo_criteria(models.DescribeImageRepoCriteriaRequest(value="repo")).body
        (repository,) = sdk.describe_image_repo_detail_list(
            models.DescribeImageRepoDetailListRequest(page_size=50)
        ).body.image_repo_responses
        place = {
            "registryType": repository.registry_type,
            "repoId": repository.repo_id,
            "instanceId": repository.instance_id,
            "repoNamespace": repository.repo_namespace,
            "regionId": repository.region_id,
            "repoName": repository.repo_name,
        }
        images = json.dumps([{**place, "digest": DIGEST, "tag": "1", "createTime": 1, "updateTime": 1}])
        before = sdk.public_pre_check_image_scan_task(models.PublicPreCheckImageScanTaskRequest(digests=DIGEST)).body.data
        created = sdk.public_sync_and_create_image_scan_task(models.PublicSyncAndCreateImageScanTaskRequest(images=images)).body.data
        statuses = [
            sdk.describe_image_instances(models.DescribeImageInstancesRequest()).body.image_instance_list[0].sca_status for _ in range(2)
        ]
        (task,) = sdk.describe_image_latest_scan_task(models.DescribeImageLatestScanTaskRequest(digest=DIGEST)).body.task
        again = sdk.public_create_image_scan_task(models.PublicCreateImageScanTaskRequest(digests=DIGEST)).body.data
        quota = sdk.describe_image_scan_auth_count().body.image_scan

    assert (unknown.image_instance_list, unknown.page_info.total_count) == ([], 0)
    assert [row.name for row in criteria.criteria_list] == ["repoName", "repoId", "repoNamespace"]
    assert (before.need_auth_count, before.scan_image_count) == (0, 0)  # what is not known is not counted
    assert (created.result, created.can_create, statuses) == ("SUCCESS", True, ["START", "SUCCESS"])
    assert (task.task_id, task.status, task.target) == (created.task_id, "SUCCESS", DIGEST)
    assert again.task_id not in {None, created.task_id}
    assert (quota.image_scan_capacity, quota.scan_count) == (15_340, 5_490)
