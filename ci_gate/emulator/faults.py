"""Composable faults: what they look like in a world file, when they apply, and what the page faults do to a page."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from ci_gate.emulator.fields import Action, JsonObject, RawText, Strict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_Count = Annotated[int, Field(ge=1, le=1_000_000)]


class _Fault(Strict):
    """When a fault applies: at the calls that match all that is given."""

    action: Action = "*"
    """The call, such as `DescribeImageSensitiveFileByKey`; `*` for every call."""
    key: str | None = None
    """Only where `SensitiveFileKey` is this; an empty text is the call without a key."""
    image_uuid: str | None = None
    """Only where `ImageUuid` is this."""
    page: int | None = Field(None, ge=1)
    """Only where `CurrentPage` is this."""
    from_call: _Count = 1
    """The first of the matching calls that is hit, counted from 1."""
    times: _Count | None = None
    """How many matching calls are hit; null for all."""


class StatusFault(_Fault):
    """The service refuses: an HTTP status with an error body."""

    kind: Literal["status"]
    """The kind of the fault."""
    status: int = Field(503, ge=400, le=599)
    """The HTTP status."""
    code: str = "ServiceUnavailable"
    """The error code of the body."""
    message: str = "The service is not available."
    """The message of the body."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Headers beside it, such as `x-acs-retry-after` (milliseconds)."""


class BodyFault(_Fault):
    """Another body than the service's own."""

    kind: Literal["body"]
    """The kind of the fault."""
    text: RawText
    """The body, as it is sent."""
    status: int = Field(200, ge=200, le=599)
    """The HTTP status."""
    content_type: str = "application/json;charset=utf-8"
    """The `Content-Type` header."""


class RedirectFault(_Fault):
    """A redirect instead of an answer."""

    kind: Literal["redirect"]
    """The kind of the fault."""
    location: str
    """Where to."""
    status: Literal[301, 302, 303, 307, 308] = 302
    """The HTTP status."""


class DelayFault(_Fault):
    """The right answer, late."""

    kind: Literal["delay"]
    """The kind of the fault."""
    seconds: float = Field(ge=0, le=3600, strict=False)
    """How late, in seconds."""


class StallFault(_Fault):
    """Status and headers, then a body that drips one byte a second and never ends."""

    kind: Literal["stall"]
    """The kind of the fault."""


class CloseFault(_Fault):
    """The connection is closed before any answer."""

    kind: Literal["close"]
    """The kind of the fault."""


class TruncateFault(_Fault):
    """The right answer, cut: its header promises all of the body, the connection is closed in the middle."""

    kind: Literal["truncate"]
    """The kind of the fault."""


class HugeFault(_Fault):
    """A very large body: blanks before the right answer."""

    kind: Literal["huge"]
    """The kind of the fault."""
    megabytes: int = Field(64, ge=1, le=100_000)
    """How many MiB of blanks are sent."""


class EmptyPageFault(_Fault):
    """A page without its rows."""

    kind: Literal["empty_page"]
    """The kind of the fault."""


class ShortPageFault(_Fault):
    """A page without its last rows."""

    kind: Literal["short_page"]
    """The kind of the fault."""
    rows: _Count = 1
    """How many rows are lost."""


class DuplicatePageFault(_Fault):
    """The rows of the page before, once more."""

    kind: Literal["duplicate_page"]
    """The kind of the fault."""


class ShiftPageFault(_Fault):
    """The page begins some rows later (or earlier, where negative), as if rows were deleted (or added) while paging."""

    kind: Literal["shift_page"]
    """The kind of the fault."""
    rows: int = 1
    """By how many rows."""


class ReverseRowsFault(_Fault):
    """The whole listing in reverse order, then cut into pages: an unstable order loses rows between pages."""

    kind: Literal["reverse_rows"]
    """The kind of the fault."""


class TotalFault(_Fault):
    """Another `TotalCount`."""

    kind: Literal["total"]
    """The kind of the fault."""
    by: int
    """What is added to it."""


class SetFieldFault(_Fault):
    """Another value of a field, or none."""

    kind: Literal["set_field"]
    """The kind of the fault."""
    field: str
    """The field; dots lead into objects, such as `PageInfo.TotalCount`."""
    value: Any = None
    """Any value of JSON."""
    absent: bool = False
    """The field is left out instead."""
    where: Literal["first_row", "every_row", "answer"] = "first_row"
    """Of which object it is a field."""


class DropFieldFault(_Fault):
    """An answer without one of its fields."""

    kind: Literal["drop_field"]
    """The kind of the fault."""
    field: str
    """The field; dots lead into objects, such as `PageInfo.TotalCount`."""


WireFault = StatusFault | BodyFault | RedirectFault | StallFault | CloseFault | TruncateFault | HugeFault
PageFault = EmptyPageFault | ShortPageFault | DuplicatePageFault | ShiftPageFault | ReverseRowsFault | TotalFault
FieldFault = SetFieldFault | DropFieldFault
Fault = Annotated[WireFault | DelayFault | PageFault | FieldFault, Field(discriminator="kind")]
"""Any fault, told apart by its `kind`."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a listing before it is sent. ``every`` are the rows of all pages, ``rows`` those of this one."""

    every: Sequence[JsonObject]
    number: int
    size: int
    rows: Sequence[JsonObject]
    total: int

    @classmethod
    def cut(cls, every: Sequence[JsonObject], number: int, size: int) -> Page:
        """Cut a page out of a listing; ``number`` counts from 1, ``size`` is rows."""
        return cls(every, number, size, _slice(every, (number - 1) * size, size), len(every))


def _slice(rows: Sequence[JsonObject], start: int, size: int) -> Sequence[JsonObject]:
    return rows[max(0, start) : max(0, start + size)]


def bend_page(page: Page, faults: Sequence[_Fault]) -> Page:
    """Apply the page faults among ``faults``, in their order."""
    for fault in faults:
        bend = _PAGE_FAULTS.get(type(fault))
        page = bend(fault, page) if bend else page
    return page


_PAGE_FAULTS: Mapping[type[_Fault], Callable[[Any, Page], Page]] = {
    EmptyPageFault: lambda _, page: replace(page, rows=()),
    ShortPageFault: lambda fault, page: replace(page, rows=page.rows[: max(0, len(page.rows) - fault.rows)]),
    DuplicatePageFault: lambda _, page: replace(page, rows=_slice(page.every, max(0, page.number - 2) * page.size, page.size)),
    ShiftPageFault: lambda fault, page: replace(page, rows=_slice(page.every, (page.number - 1) * page.size + fault.rows, page.size)),
    ReverseRowsFault: lambda _, page: Page.cut(page.every[::-1], page.number, page.size),
    TotalFault: lambda fault, page: replace(page, total=page.total + fault.by),
}


def bend_fields(answer: JsonObject, rows_path: Sequence[str], faults: Sequence[_Fault]) -> JsonObject:
    """Apply the field faults among ``faults`` to an answer; ``rows_path`` leads to its rows."""
    for fault in faults:
        if isinstance(fault, DropFieldFault):
            answer = copy.deepcopy(answer)
            _set(answer, fault.field, None, absent=True)
        elif isinstance(fault, SetFieldFault):
            answer = copy.deepcopy(answer)
            for target in _targets(answer, rows_path, fault.where):
                _set(target, fault.field, fault.value, absent=fault.absent)
    return answer


def _targets(answer: JsonObject, rows_path: Sequence[str], where: str) -> list[Any]:
    if where == "answer":
        return [answer]
    rows: Any = answer
    for part in rows_path:
        rows = rows.get(part) if isinstance(rows, dict) else None
    found = rows if isinstance(rows, list) else [rows]  # some answers have one object in the place of rows
    return found if where == "every_row" else found[:1]


def _set(target: object, field: str, value: object, *, absent: bool) -> None:
    *path, last = field.split(".")
    for part in path:
        target = target.get(part) if isinstance(target, dict) else None
    if not isinstance(target, dict):
        return
    if absent:
        target.pop(last, None)
    else:
        target[last] = value


class FaultBook:
    """The faults of a world with how often each one was met; not safe for several threads, the server has one."""

    def __init__(self, faults: Sequence[_Fault]) -> None:
        self._faults = faults
        self._met = [0] * len(faults)

    def due(self, action: str, parameters: Mapping[str, str]) -> list[_Fault]:
        """Count this call, and return the faults that hit it."""
        hit = []
        for index, fault in enumerate(self._faults):
            if not _matches(fault, action, parameters):
                continue
            self._met[index] += 1
            end = None if fault.times is None else fault.from_call + fault.times
            if self._met[index] >= fault.from_call and (end is None or self._met[index] < end):
                hit.append(fault)
        return hit


def _matches(fault: _Fault, action: str, parameters: Mapping[str, str]) -> bool:
    return (
        fault.action in {"*", action}
        and (fault.key is None or fault.key == parameters.get("SensitiveFileKey", ""))
        and (fault.image_uuid is None or fault.image_uuid == parameters.get("ImageUuid", ""))
        and (fault.page is None or str(fault.page) == parameters.get("CurrentPage", "1"))
    )
