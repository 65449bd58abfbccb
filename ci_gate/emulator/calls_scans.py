"""The calls about scan tasks and their quota."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci_gate.emulator import parameters as read
from ci_gate.emulator.call import Call, as_it_is
from ci_gate.emulator.images import NO_NAMESPACE
from ci_gate.emulator.tasks import latest_task, needed_quota

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ci_gate.emulator.fields import JsonObject
    from ci_gate.emulator.image_state import ImageState
    from ci_gate.emulator.images import Image
    from ci_gate.emulator.state import State

    _Rows = Callable[[State, dict[str, Any]], Sequence[JsonObject]]

_INSTANCE_ID = "sas-example000000"

_FILTERS: Mapping[str, Callable[[ImageState], Sequence[str]]] = {
    "RegistryTypes": lambda one: (one.image.registry_type,),
    "RegionIds": lambda one: (one.image.region_id,),
    "InstanceIds": lambda one: (one.image.instance_id,),
    "RepoNamespaces": lambda one: (one.image.parts[1] or NO_NAMESPACE,),
    "RepoIds": lambda one: (one.image.repo_id,),
    "RepoNames": lambda one: (one.image.parts[2],),
    "Digests": lambda one: (one.image.digest,),
    "Tags": lambda one: one.tags,
}
_FIELDS: Mapping[str, Callable[[Image], str]] = {
    "registryType": lambda image: image.registry_type,
    "regionId": lambda image: image.region_id,
    "instanceId": lambda image: image.instance_id,
    "repoNamespace": lambda image: image.parts[1] or NO_NAMESPACE,
    "repoId": lambda image: image.repo_id,
    "repoName": lambda image: image.parts[2],
}


def _chosen(state: State, values: Mapping[str, Any]) -> list[ImageState]:
    """Return the images that the service knows and that match all filters that are given; without any, every one."""
    asked = [(read_of, set(values[name])) for name, read_of in _FILTERS.items() if name in values]
    known = [image for image in state.images if image.is_known and image.tags]
    return [image for image in known if all(wanted.intersection(read_of(image)) for read_of, wanted in asked)]


def _named(state: State, values: Mapping[str, Any]) -> list[ImageState]:
    """Return the images that a request to synchronise names, known yet or not; an index stands for its platforms."""
    return [image for image in state.images if not image.is_deleted and any(_is_named(image.image, one) for one in values["Images"])]


def _is_named(image: Image, wanted: Mapping[str, Any]) -> bool:
    return wanted["digest"] in {image.digest, image.index} and all(read_of(image) == wanted[name] for name, read_of in _FIELDS.items())


def _create(state: State, values: dict[str, Any]) -> Sequence[JsonObject]:
    """Return what ``PublicCreateImageScanTask`` says of the task."""
    return [state.tasks.request(_chosen(state, values))]


def _sync_and_create(state: State, values: dict[str, Any]) -> Sequence[JsonObject]:
    """Return what ``PublicSyncAndCreateImageScanTask`` says of the task."""
    return [state.tasks.request(_named(state, values))]


def _pre_check(state: State, values: dict[str, Any]) -> Sequence[JsonObject]:
    """Return the figures of ``PublicPreCheckImageScanTask``."""
    images = _chosen(state, values)
    figures = [needed_quota(images), len(images)]
    if state.world.quirks.precheck_figures == "by_description":
        figures.reverse()
    return [dict(zip(("NeedAuthCount", "ScanImageCount"), figures, strict=True))]


def _quota(state: State, _: dict[str, Any]) -> Sequence[JsonObject]:
    """Return the figures of ``DescribeImageScanAuthCount``."""
    capacity = state.world.account.scan_quota.capacity
    return [{"ImageScanCapacity": capacity, "ScanCount": state.tasks.quota_used, "InstanceId": _INSTANCE_ID}]


def _latest(state: State, values: dict[str, Any]) -> Sequence[JsonObject]:
    """Return the row of ``DescribeImageLatestScanTask``, if the image was ever scanned."""
    prefix = state.digest_prefix
    digest = values["Digest"].removeprefix(prefix)
    images = (image for image in state.images if image.image.digest == digest and (image.is_known or image.task))
    rows = (latest_task(image, state.timeline, prefix) for image in images)
    return sorted((row for row in rows if row), key=lambda row: row["StartTime"])[-1:]


_CHOICE: Mapping[str, read.Kind] = {
    "SourceIp": read.text,
    "RegistryTypes": read.list_of("acr", "harbor", "quay"),
    **dict.fromkeys(("RegionIds", "InstanceIds", "RepoNamespaces", "RepoIds", "RepoNames", "Digests", "Tags"), read.list_of()),
}


def _single(rows_path: str, rows: _Rows, kinds: Mapping[str, read.Kind], *required: str) -> Call:
    return Call(kinds, rows, as_it_is, (rows_path,), required, page_info_path=None, is_single=True, is_paid=True)


SCAN_CALLS: Mapping[str, Call] = {
    "DescribeImageLatestScanTask": Call(
        {"Digest": read.text}, _latest, as_it_is, ("Task",), required=("Digest",), page_info_path=None, is_paid=True
    ),
    "DescribeImageScanAuthCount": _single("ImageScan", _quota, {}),
    "PublicPreCheckImageScanTask": _single("Data", _pre_check, _CHOICE),
    "PublicCreateImageScanTask": _single("Data", _create, _CHOICE),
    "PublicSyncAndCreateImageScanTask": _single("Data", _sync_and_create, {"SourceIp": read.text, "Images": read.images}, "Images"),
}
