"""The calls about images and repositories."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ci_gate.emulator import parameters as read
from ci_gate.emulator.call import Call, as_it_is
from ci_gate.emulator.criteria import criterion_row, matcher, values_of
from ci_gate.emulator.images import NO_NAMESPACE
from ci_gate.emulator.tasks import REPEATED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ci_gate.emulator.fields import JsonObject
    from ci_gate.emulator.image_state import ImageState
    from ci_gate.emulator.images import Image, Repository
    from ci_gate.emulator.repository_book import KnownRepository
    from ci_gate.emulator.state import State


@dataclass(frozen=True, slots=True)
class _Tagged:
    """A row of ``DescribeImageInstances``: an image under one of its tags."""

    state: ImageState
    tag: str


def _instances(state: State, values: dict[str, Any]) -> Sequence[_Tagged]:
    """Return the rows of ``DescribeImageInstances``."""
    quirks = state.world.quirks
    matches = matcher(state, values, (*quirks.image_criteria, *quirks.repo_criteria))
    found = []
    # All tags are read before any answer is counted: a tag that moves is in one place in one answer.
    for image, tags in [(image, image.tags) for image in state.images]:
        rows = [_Tagged(image, tag) for tag in tags]
        matching = [row for row in rows if matches(values_of(_render_instance(state, values, row)))]
        if matching and image.is_listed([row.tag for row in matching]):
            found.extend(matching)
    if (scanned := values.get("Scanned")) is not None:
        found = [row for row in found if (row.state.stage.status == "SUCCESS") is scanned]
    return found


def _common(state: State, image: ImageState, tag: str) -> JsonObject:
    """Return what ``DescribeImageInstances`` and ``DescribeImageInfoList`` both say of an image."""
    known = image.image
    created = state.moment(known.created)
    return {
        **_place(state, known),
        "Status": "NORMAL",
        "Digest": state.digest_prefix + known.digest,
        "Tag": tag,
        "ImageCreate": created,
        "ImageUpdate": created,
        "ImageSize": known.size_bytes,
        "VulCount": 0,
        "VulStatus": "NO",
        "AlarmCount": 0,
        "AlarmStatus": "NO",
        "RiskStatus": _yes_no(risky=bool(image.by_key)),
        "ImageId": known.digest[::-1],
        "Uuid": known.image_uuid,
    }


def _place(state: State, of: Image | Repository) -> JsonObject:
    """Return where an image or a repository is, as every listing says it."""
    registry, namespace, repository = of.parts[:3]
    hosts = (registry,) if of.endpoints is None else of.endpoints
    return {
        "RegistryType": of.registry_type,
        "InstanceId": of.instance_id,
        "RegionId": of.region_id,
        "Endpoints": json.dumps(_by_type(hosts) if state.world.quirks.endpoints == "domains" else list(hosts)),
        "RepoId": of.repo_id,
        "RepoName": repository,
        "RepoNamespace": namespace or NO_NAMESPACE,
    }


def _by_type(hosts: Iterable[str]) -> list[JsonObject]:
    """Return hosts by the network that they are for, as their names tell it."""
    types: dict[str, list[str]] = {}
    for host in hosts:
        first = host.partition(".")[0]
        kind = "vpc" if first.endswith("-vpc") else "intranet" if first.endswith("-internal") else "internet"
        types.setdefault(kind, []).append(host)
    return [{"domains": domains, "type": kind} for kind, domains in types.items()]


def _yes_no(*, risky: bool) -> str:
    return "YES" if risky else "NO"


def _render_instance(state: State, _: dict[str, Any], row: _Tagged) -> JsonObject:
    image, stage = row.state, row.state.stage
    fields = _common(state, image, row.tag)
    # This call writes these numbers as text, DescribeImageInfoList does not.
    texts = {name: str(fields[name]) for name in ("ImageCreate", "ImageUpdate", "ImageSize")}
    scan: JsonObject = {}
    if stage.status is not None:
        scan = {
            "ScaStatus": stage.status,
            "ScaProgress": stage.progress,
            "ScaResult": REPEATED if image.repeat_refused and not image.has_ended else stage.result,
            "LastScanTime": image.last_scan_ms,
        }
    told = {name: value for name, value in scan.items() if value is not None}
    return {**fields, **texts, "RepoType": "private", "HcStatus": "NO", "HcCount": 0, "Deployed": 0, **told}


def _infos(state: State, values: dict[str, Any]) -> Sequence[ImageState]:
    """Return the rows of ``DescribeImageInfoList``."""
    uuids = dict.fromkeys(part.strip() for part in values["Uuids"].split(","))
    images = [state.by_uuid[uuid] for uuid in uuids if uuid in state.by_uuid]
    return [image for image in images if image.is_known and image.tags]


def _render_info(state: State, _: dict[str, Any], row: ImageState) -> JsonObject:
    return {**_common(state, row, row.tags[0]), "RepoType": "PRIVATE", "TagImmutable": 0}


def _repositories(state: State, values: dict[str, Any]) -> Sequence[JsonObject]:
    """Return the rows of ``DescribeImageRepoDetailList``."""
    matches = matcher(state, values, state.world.quirks.repo_criteria)
    found = []
    for repository in state.repositories.every():
        row = _repository_row(state, repository)
        images = repository.images
        values_of_images = {"tag": [tag for one in images for tag in one.tags], "imageid": [one.image.digest[::-1] for one in images]}
        if matches({**values_of(row), **values_of_images}) and state.repositories.is_listed(repository):
            found.append(row)
    return found


def _repository_row(state: State, repository: KnownRepository) -> JsonObject:
    risky = sum(bool(image.by_key) for image in repository.images)
    return {
        **_place(state, repository.of),
        "RiskStatus": _yes_no(risky=risky > 0),
        "VulCount": 0,
        "VulStatus": "NO",
        "AlarmCount": 0,
        "AlarmStatus": "NO",
        "HcCount": 0,
        "HcStatus": "NO",
        "ImageCount": len(repository.images),
        "HasRiskImageCount": risky,
    }


def _image_criteria(state: State, values: dict[str, Any]) -> Sequence[JsonObject]:
    """Return the rows of ``DescribeImageCriteria``: a criterion each."""
    return [criterion_row(name, chosen=False) for name in _named_like(state.world.quirks.image_criteria, values)]


def _repo_criteria(state: State, values: dict[str, Any]) -> Sequence[JsonObject]:
    """Return the rows of ``DescribeImageRepoCriteria``: a criterion each."""
    return [criterion_row(name, chosen=True) for name in _named_like(state.world.quirks.repo_criteria, values)]


def _named_like(names: Iterable[str], values: Mapping[str, Any]) -> list[str]:
    return [name for name in names if values.get("Value", "").lower() in name.lower()]


_SEARCH: Mapping[str, read.Kind] = {"Criteria": read.criteria, "LogicalExp": read.one_of("OR", "AND"), **read.PAGING}

IMAGE_CALLS: Mapping[str, Call] = {
    "DescribeImageInstances": Call({"Scanned": read.flag, **_SEARCH}, _instances, _render_instance, ("ImageInstanceList",)),
    "DescribeImageInfoList": Call({"Uuids": read.text}, _infos, _render_info, ("ImageInfos",), required=("Uuids",), page_info_path=None),
    "DescribeImageCriteria": Call({"Value": read.text}, _image_criteria, as_it_is, ("CriteriaList",), page_info_path=None),
    "DescribeImageRepoDetailList": Call(_SEARCH, _repositories, as_it_is, ("ImageRepoResponses",)),
    "DescribeImageRepoCriteria": Call({"Value": read.text}, _repo_criteria, as_it_is, ("CriteriaList",), page_info_path=None),
}
