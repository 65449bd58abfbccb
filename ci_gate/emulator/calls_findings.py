"""The calls about the findings of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci_gate.emulator import parameters as read
from ci_gate.emulator.call import SUCCESS, Call
from ci_gate.emulator.findings import file_row, key_name, key_row
from ci_gate.emulator.refusals import missing_parameter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci_gate.emulator.fields import JsonObject
    from ci_gate.emulator.findings import Row
    from ci_gate.emulator.state import State


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
        image.count_key_listing()
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
    last = state.by_uuid[values["ImageUuid"]].last_scan_ms
    return (state.timeline.start_ms,) * 2 if last is None else (last, last)


def _render_key(state: State, values: dict[str, Any], rows: list[Row]) -> JsonObject:
    return key_row(rows, values["Lang"], *_times(state, values))


def _render_file(state: State, values: dict[str, Any], row: Row) -> JsonObject:
    return file_row(row, values["Lang"], *_times(state, values), state.digest_prefix)


_FRAME = {**SUCCESS, "HttpStatusCode": 200}
_ROWS = ("SensitiveFileList",)

FINDING_CALLS: Mapping[str, Call] = {
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
        _ROWS,
        required=("ImageUuid",),
        frame=_FRAME,
    ),
    "DescribeImageSensitiveFileByKey": Call(
        {"ImageUuid": read.text, "SensitiveFileKey": read.text, "ScanRange": read.scan_range, **read.LANG, **read.PAGING},
        _files,
        _render_file,
        _ROWS,
        required=("ImageUuid",),
        frame=_FRAME,
    ),
}
