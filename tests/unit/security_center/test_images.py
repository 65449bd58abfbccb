"""Which rows of a listing are one image, and what its entries together say of its scan."""

from __future__ import annotations

import json

import pytest

from ci_gate.errors import IncompleteError
from ci_gate.model import ImageReference
from ci_gate.security_center.images import identify

DIGEST = "5e" * 32
BY_DIGEST = ImageReference.parse(f"registry.example.com/shop/api:1@sha256:{DIGEST}")
BY_TAG = ImageReference.parse("registry.example.com/shop/api:1")
HOUR_MS = 3_600_000
NOW_MS = 1_790_000_000_000


def row(uuid, tag="1", status="SUCCESS", hours=0, *, result=None, **fields):
    """A row whose scan ended so many hours ago; ``None`` where it has no time."""
    last = None if hours is None else NOW_MS - hours * HOUR_MS
    place = {"RegistryType": "acr", "InstanceId": "i", "RegionId": "r", "RepoNamespace": "shop", "RepoName": "api", "Digest": DIGEST}
    return {**place, "Uuid": uuid, "Tag": tag, "ScaStatus": status, "ScaResult": result, "LastScanTime": last, **fields}


def host(name):
    return {"Endpoints": json.dumps([name])}


@pytest.mark.parametrize(
    ("other", "status", "hours"),
    [
        (("START", 1), "START", 1),
        (("A_NEW_WORD", None), "A_NEW_WORD", None),
        (("FAIL", 1), "FAIL", 1),
        (("FAIL", 2), "FAIL", 2),  # nobody knows which came first
        (("FAIL", None), "FAIL", None),
        (("FAIL", 3), "SUCCESS", 2),
        (("SUCCESS", 2), "SUCCESS", 2),
        ((None, None), "SUCCESS", 2),
    ],
)
@pytest.mark.parametrize("reference", [BY_DIGEST, BY_TAG])
@pytest.mark.parametrize("uuid", ["one", "two"])  # a row a tag, or an entry a tag
def test_the_scan_of_an_image_is_that_of_all_its_rows_together(reference, uuid, other, status, hours):
    rows = [row("one", hours=2), row(uuid, "latest", *other)]

    for listing in (rows, rows[::-1]):
        image, _ = identify(listing, reference)

        assert ("one", "1", status) == (image.uuid, image.tag, image.scan_status)
        assert (None if hours is None else NOW_MS - hours * HOUR_MS) == image.last_scan_ms
        assert tuple(dict.fromkeys(("one", uuid))) == image.uuids


@pytest.mark.parametrize(("hours", "youngest"), [(1, 1), (3, 2), (None, 2)])  # one without a time hides none
def test_the_youngest_success_is_that_of_the_image_and_one_uuid_has_only_one(hours, youngest):
    image, _ = identify([row("one", hours=2), row("two", "latest", hours=hours)], BY_DIGEST)

    assert NOW_MS - youngest * HOUR_MS == image.last_scan_ms
    with pytest.raises(IncompleteError, match="different scans"):
        identify([row("one", hours=2), row("one", "latest", hours=hours)], BY_DIGEST)


def test_a_success_whose_result_says_otherwise_is_a_failure_of_the_image():
    image, _ = identify([row("one", hours=2), row("two", "latest", hours=2, result="TASK_NOT_SUPPORT_REGION")], BY_DIGEST)

    assert "TASK_NOT_SUPPORT_REGION" == image.scan_result


@pytest.mark.parametrize(
    "stranger",
    [
        row("two", Digest="7f" * 32),
        row("two", "latest", Digest="7f" * 32),
        row("two", "latest", RepoName="web"),
        row("two", "latest", InstanceId="j"),
        row("two", "latest", **host("other.example.com")),
    ],
)
def test_what_is_in_another_place_is_no_entry_of_the_image(stranger):
    tag = stranger["Tag"]
    reference = BY_TAG if tag == "latest" else BY_DIGEST

    image, _ = identify([row("one", **host("registry.example.com")), stranger], reference)

    assert ("one",) == image.uuids


def test_a_uuid_of_two_images_is_not_believed():
    with pytest.raises(IncompleteError, match="several times"):
        identify([row("one"), row("one", "latest", Digest="7f" * 32)], BY_TAG)


def test_an_image_with_more_entries_than_can_be_read_says_so():
    with pytest.raises(IncompleteError, match="too many"):
        identify([row(f"u{number}", str(number)) for number in range(51)], BY_DIGEST)
