"""What each call of the service answers: its parameters, its rows, and the frame around them."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ci_gate.catalog import catalog_keys
from ci_gate.emulator import parameters as read
from ci_gate.emulator.faults import Page, bend_fields, bend_page
from ci_gate.emulator.findings import class_of, file_row, key_name, key_row
from ci_gate.emulator.refusals import invalid_parameter, missing_parameter, unknown_action

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ci_gate.emulator.fields import JsonObject
    from ci_gate.emulator.findings import Row
    from ci_gate.emulator.parameters import Kind
    from ci_gate.emulator.state import ImageState, State
    from ci_gate.emulator.world import Image, Whitelist

VERSION = "2018-12-03"
_NO_NAMESPACE = "N/A"


@dataclass(frozen=True, slots=True)
class Call:
    """One action: how its parameters are read, which rows it answers, and where they and the paging figures stand in the answer."""

    kinds: Mapping[str, Kind]
    rows: Callable[[State, dict[str, Any]], Sequence[Any]]
    render: Callable[[State, dict[str, Any], Any], JsonObject]
    rows_path: tuple[str, ...]
    required: tuple[str, ...] = ()
    page_info_path: tuple[str, ...] | None = ("PageInfo",)
    shows_count: bool = True
    frame: JsonObject = field(default_factory=dict)
    more: Callable[[State, dict[str, Any], Sequence[Any]], JsonObject] | None = None


def answer(state: State, action: str, given: Iterable[tuple[str, str]], faults: Sequence[Any], request_id: str) -> JsonObject:
    """Answer one call.

    :param faults: the faults that hit this call; only those of pages and fields matter here.
    :raises RefusalError: if the service would refuse it.
    """
    call = find_call(action)
    values = {"Lang": "zh", **read.read_parameters(call.kinds, call.required, given)}
    rows = call.rows(state, values)
    body: JsonObject = {**call.frame, **(call.more(state, values, rows) if call.more else {}), "RequestId": request_id}
    if call.page_info_path:
        page, echoed = _page(state, values, rows, faults)
        rows = page.rows
        info = {"CurrentPage": page.number, "PageSize": echoed, "TotalCount": page.total}
        _put(body, call.page_info_path, {**info, "Count": len(rows)} if call.shows_count else info)
    _put(body, call.rows_path, [call.render(state, values, row) for row in rows])
    if state.world.quirks.numbers_as_text:
        body = {name: _numbers_as_text(value) for name, value in body.items()}
    return bend_fields(body, call.rows_path, faults)


def find_call(action: str) -> Call:
    """Return a call by the name of its action.

    :raises RefusalError: if there is none.
    """
    if action not in CALLS:
        raise unknown_action()
    return CALLS[action]


def _page(state: State, values: Mapping[str, Any], rows: Sequence[Any], faults: Sequence[Any]) -> tuple[Page, int]:
    """Cut out the page that is asked for; return it with the page size to echo."""
    quirks = state.world.quirks
    asked = values.get("PageSize", read.DEFAULT_PAGE_SIZE)
    size = asked if quirks.page_size_cap is None else min(asked, quirks.page_size_cap)
    page = bend_page(Page.cut(rows, values.get("CurrentPage", 1), size), faults)
    return page, size if quirks.cap_echoed else asked


def _put(body: JsonObject, path: tuple[str, ...], value: object) -> None:
    *folders, last = path
    for part in folders:
        body = body.setdefault(part, {})
    body[last] = value


def _numbers_as_text(value: object) -> object:
    if isinstance(value, dict):
        return {name: _numbers_as_text(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_numbers_as_text(part) for part in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


# --- findings ---


def _seen(state: State, values: Mapping[str, Any], only_key: str | None = None) -> dict[str, list[Row]]:
    """Return the findings that a call may see, by key, of all keys or of one.

    An image that is not known has none: so the service seems to answer.
    """
    image = state.by_uuid.get(values["ImageUuid"])
    scan_range = values.get("ScanRange", {"image"})
    places = {word == "container" for word in scan_range}
    hidden = state.world.quirks.whitelisted_rows == "hidden"
    by_key = image.by_key if image else {}
    if only_key is not None:
        by_key = {only_key: by_key.get(only_key, [])}
    seen = {key: [row for row in rows if row.in_container in places] for key, rows in by_key.items()}
    return {key: [row for row in rows if not (hidden and row.whitelisted)] for key, rows in seen.items()}


def _keys(state: State, values: dict[str, Any]) -> Sequence[list[Row]]:
    """Return the rows of ``DescribeImageSensitiveFileList``: a key each."""
    image = state.by_uuid.get(values["ImageUuid"])
    if image:
        image.count_listing()
    unlisted = set(image.image.unlisted_keys) if image else set()
    found = [rows for key, rows in _seen(state, values).items() if rows and key not in unlisted]
    if level := values.get("RiskLevel"):
        found = [rows for rows in found if any(row.risk_level == level for row in rows)]
    if wanted := values.get("Criteria"):
        names = ((rows, (rows[0].key, key_name(rows[0].key, values["Lang"]))) for rows in found)
        found = [rows for rows, known in names if any(wanted.lower() in name.lower() for name in known)]
    return found


def _files(state: State, values: dict[str, Any]) -> Sequence[Row]:
    """Return the rows of ``DescribeImageSensitiveFileByKey``: a finding each."""
    key = values.get("SensitiveFileKey")
    if not key:
        if not state.world.quirks.key_optional:
            raise missing_parameter("SensitiveFileKey")
        return [row for rows in _seen(state, values).values() for row in rows]
    return _seen(state, values, key)[key]


def _times(state: State, values: Mapping[str, Any]) -> tuple[int, int]:
    """Return the first and the last time of the scan, milliseconds since the epoch."""
    last = state.moment(state.by_uuid[values["ImageUuid"]].stage.last or "now")
    return last, last


def _render_key(state: State, values: dict[str, Any], rows: list[Row]) -> JsonObject:
    return key_row(rows, values["Lang"], *_times(state, values))


def _render_file(state: State, values: dict[str, Any], row: Row) -> JsonObject:
    return file_row(row, values["Lang"], *_times(state, values), _prefix(state))


def _prefix(state: State) -> str:
    return "sha256:" if state.world.quirks.digest_prefix else ""


# --- images ---


@dataclass(frozen=True, slots=True)
class _Tagged:
    """A row of ``DescribeImageInstances``: an image under one of its tags."""

    state: ImageState
    tag: str


_CRITERIA: Mapping[str, Callable[[JsonObject], object]] = {
    "instanceId": lambda row: row["InstanceId"],
    "repoName": lambda row: row["RepoName"],
    "repoId": lambda row: row["RepoId"],
    "repoNamespace": lambda row: row["RepoNamespace"],
    "regionId": lambda row: row["RegionId"],
    "vulStatus": lambda row: row["VulStatus"],
    "alarmStatus": lambda row: row["AlarmStatus"],
    "hcStatus": lambda row: row["HcStatus"],
    "riskStatus": lambda row: row["RiskStatus"],
    "registryType": lambda row: row["RegistryType"],
    "imageId": lambda row: row["ImageId"],
    "tag": lambda row: row["Tag"],
    "digest": lambda row: row["Digest"],
}
_YES_NO = frozenset({"vulStatus", "alarmStatus", "hcStatus", "riskStatus"})


def _instances(state: State, values: dict[str, Any]) -> Sequence[_Tagged]:
    """Return the rows of ``DescribeImageInstances``; criteria match parts of values, as the service's may do."""
    wanted = values.get("Criteria", ())
    for one in wanted:
        if one["name"] not in _CRITERIA:
            raise invalid_parameter("Criteria", f"there is no criterion {one['name'][:40]!r}")
    logic = values.get("LogicalExp") or next((one["logicalExp"] for one in wanted if "logicalExp" in one), "OR")
    combine = all if logic == "AND" else any
    found = []
    for image in state.images:
        rows = [_Tagged(image, tag) for tag in (image.image.parts[3], *image.image.also_tagged)]
        shown = [(row, _render_instance(state, values, row)) for row in rows]
        matching = [
            row for row, fields in shown if not wanted or combine(one["value"] in str(_CRITERIA[one["name"]](fields)) for one in wanted)
        ]
        if matching and image.is_listed(state.clock()):
            found.extend(matching)
    if (scanned := values.get("Scanned")) is not None:
        found = [row for row in found if (row.state.stage.status == "SUCCESS") is scanned]
    return found


def _common(state: State, image: Image, tag: str, *, risky: bool) -> JsonObject:
    """Return what ``DescribeImageInstances`` and ``DescribeImageInfoList`` both say of an image."""
    registry, namespace, repository, _ = image.parts
    created = state.moment(image.created)
    return {
        "Status": "NORMAL",
        "Digest": _prefix(state) + image.digest,
        "RegistryType": image.registry_type,
        "Tag": tag,
        "ImageCreate": created,
        "ImageUpdate": created,
        "ImageSize": image.size_bytes,
        "VulCount": 0,
        "VulStatus": "NO",
        "AlarmCount": 0,
        "AlarmStatus": "NO",
        "RiskStatus": "YES" if risky else "NO",
        "ImageId": image.digest[::-1],
        "Endpoints": json.dumps([registry] if image.endpoints is None else image.endpoints),
        "InstanceId": image.instance_id,
        "RegionId": image.region_id,
        "Uuid": image.image_uuid,
        "RepoId": f"crr-{zlib.crc32(f'{image.instance_id}/{namespace}/{repository}'.encode()):016x}",
        "RepoName": repository,
        "RepoNamespace": namespace or _NO_NAMESPACE,
    }


def _render_instance(state: State, _: dict[str, Any], row: _Tagged) -> JsonObject:
    image, stage = row.state.image, row.state.stage
    fields = _common(state, image, row.tag, risky=bool(row.state.by_key))
    # This call writes these numbers as text, DescribeImageInfoList does not.
    texts = {name: str(fields[name]) for name in ("ImageCreate", "ImageUpdate", "ImageSize")}
    scan: JsonObject = {}
    if stage.status is not None:
        scan = {
            "ScaStatus": stage.status,
            "ScaProgress": stage.progress,
            "ScaResult": stage.result,
            "LastScanTime": None if stage.last is None else state.moment(stage.last),
        }
    told = {name: value for name, value in scan.items() if value is not None}
    return {**fields, **texts, "RepoType": "private", "HcStatus": "NO", "HcCount": 0, "Deployed": 0, **told}


def _infos(state: State, values: dict[str, Any]) -> Sequence[ImageState]:
    """Return the rows of ``DescribeImageInfoList``."""
    uuids = values["Uuids"].split(",")
    return [state.by_uuid[uuid] for uuid in dict.fromkeys(part.strip() for part in uuids) if uuid in state.by_uuid]


def _render_info(state: State, _: dict[str, Any], row: ImageState) -> JsonObject:
    fields = _common(state, row.image, row.image.parts[3], risky=bool(row.by_key))
    return {**fields, "RepoType": "PRIVATE", "TagImmutable": 0}


def _criteria(_: State, values: dict[str, Any]) -> Sequence[str]:
    """Return the rows of ``DescribeImageCriteria``: a criterion each."""
    return [name for name in _CRITERIA if values.get("Value", "").lower() in name.lower()]


def _render_criterion(_: State, __: dict[str, Any], name: str) -> JsonObject:
    return {"Type": "input", "Name": name, "Values": "NO,YES" if name in _YES_NO else ""}


# --- the account's rules ---


def _rule_classes(state: State, values: dict[str, Any]) -> Sequence[tuple[str, list[str]]]:
    """Return the branches of the rule tree of ``GetSensitiveDefineRuleConfig``: a class each, with its keys."""
    _ = values
    classes: dict[str, list[str]] = {}
    for key in _rule_keys(state):
        classes.setdefault(class_of(key), []).append(key)
    return sorted(classes.items())


def _rule_keys(state: State) -> list[str]:
    absent = set(state.world.rules_absent)
    return [key for key in (*catalog_keys(), *state.world.rules_extra) if key not in absent]


def _render_class(state: State, values: dict[str, Any], branch: tuple[str, list[str]]) -> JsonObject:
    name, keys = branch
    off = set(state.world.rules_off)
    rules = [{"RuleKey": key, "RuleName": key_name(key, values["Lang"]), "Selected": key not in off} for key in keys]
    return {"ClassKey": name, "ClassName": name, "RuleList": rules}


def _rule_figures(state: State, _: dict[str, Any], __: Sequence[Any]) -> JsonObject:
    keys, off = _rule_keys(state), set(state.world.rules_off)
    return {"Data": {"Id": 44616, "RuleCount": len(keys), "SelectedCount": sum(key not in off for key in keys), "EnableNewRule": 0}}


def _whitelists(state: State, values: dict[str, Any]) -> Sequence[tuple[int, Whitelist]]:
    """Return the rows of ``DescribeImageEventOperationPage``: a whitelist each, with its id."""
    lang = values["Lang"]
    tests: Mapping[str, Callable[[tuple[int, Whitelist], Any], bool]] = {
        "Id": lambda row, wanted: row[0] == wanted,
        "EventKey": lambda row, wanted: row[1].event_key == wanted,
        "EventName": lambda row, wanted: key_name(row[1].event_key, lang) == wanted,
        "Source": lambda row, wanted: row[1].source == wanted,
    }
    asked = [(test, values[name]) for name, test in tests.items() if name in values]
    numbered = enumerate(state.world.whitelists, 2_646_624)
    return [row for row in numbered if all(test(row, wanted) for test, wanted in asked)]


def _render_whitelist(_: State, values: dict[str, Any], row: tuple[int, Whitelist]) -> JsonObject:
    number, rule = row
    return {
        "Id": number,
        "EventType": "sensitiveFile",
        "OperationCode": "whitelist",
        "Conditions": json.dumps([one.model_dump() for one in rule.conditions]),
        "Scenarios": json.dumps(rule.scenario.model_dump()),
        "EventKey": rule.event_key,
        "EventName": key_name(rule.event_key, values["Lang"]),
        "Note": rule.note,
        "Source": rule.source,
    }


_SUCCESS = {"Success": True, "Code": "200", "Message": "successful"}
_FILES_FRAME = {**_SUCCESS, "HttpStatusCode": 200}
_FILES = ("SensitiveFileList",)

CALLS: Mapping[str, Call] = {
    "DescribeImageSensitiveFileList": Call(
        {
            "ImageUuid": read.text,
            "ScanRange": read.scan_range,
            "Criteria": read.text,
            "CriteriaType": read.text,
            "RiskLevel": read.one_of("high", "medium", "low"),
            **read.LANG,
            **read.PAGING,
        },
        _keys,
        _render_key,
        _FILES,
        required=("ImageUuid",),
        frame=_FILES_FRAME,
    ),
    "DescribeImageSensitiveFileByKey": Call(
        {"ImageUuid": read.text, "SensitiveFileKey": read.text, "ScanRange": read.scan_range, **read.LANG, **read.PAGING},
        _files,
        _render_file,
        _FILES,
        required=("ImageUuid",),
        frame=_FILES_FRAME,
    ),
    "DescribeImageInstances": Call(
        {"Criteria": read.criteria, "LogicalExp": read.one_of("OR", "AND"), "Scanned": read.flag, **read.PAGING},
        _instances,
        _render_instance,
        ("ImageInstanceList",),
    ),
    "DescribeImageInfoList": Call({"Uuids": read.text}, _infos, _render_info, ("ImageInfos",), required=("Uuids",), page_info_path=None),
    "DescribeImageCriteria": Call({"Value": read.text}, _criteria, _render_criterion, ("CriteriaList",), page_info_path=None),
    "GetSensitiveDefineRuleConfig": Call(
        {"Source": read.one_of("image", "agentless"), **read.LANG},
        _rule_classes,
        _render_class,
        ("Data", "RuleTree"),
        page_info_path=None,
        frame=_SUCCESS,
        more=_rule_figures,
    ),
    "DescribeImageEventOperationPage": Call(
        {
            "Id": read.count,
            "EventType": read.one_of("sensitiveFile"),
            "EventKey": read.text,
            "EventName": read.text,
            "Source": read.one_of("default", "agentless"),
            **read.LANG,
            **read.PAGING,
        },
        _whitelists,
        _render_whitelist,
        ("Data", "List"),
        page_info_path=("Data", "PageInfo"),
        shows_count=False,
        frame=_SUCCESS,
    ),
}
