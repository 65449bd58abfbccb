"""All calls of the service that are answered, and how an answer is put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci_gate.emulator import parameters as read
from ci_gate.emulator.bending import Page, bend_fields, bend_page
from ci_gate.emulator.calls_account import ACCOUNT_CALLS
from ci_gate.emulator.calls_findings import FINDING_CALLS
from ci_gate.emulator.calls_images import IMAGE_CALLS
from ci_gate.emulator.calls_scans import SCAN_CALLS
from ci_gate.emulator.refusals import no_permission, unknown_action

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ci_gate.emulator.call import Call
    from ci_gate.emulator.faults import Hit
    from ci_gate.emulator.fields import JsonObject
    from ci_gate.emulator.state import State

VERSION = "2018-12-03"
CALLS: Mapping[str, Call] = {**FINDING_CALLS, **IMAGE_CALLS, **SCAN_CALLS, **ACCOUNT_CALLS}


def answer(state: State, action: str, given: Iterable[tuple[str, str]], hits: Sequence[Hit], request_id: str) -> JsonObject:
    """Answer one call.

    :param hits: the faults that hit this call; only those of pages and fields matter here.
    :raises RefusalError: if the service would refuse it.
    """
    call = find_call(action)
    if call.is_paid and state.world.account.edition == "basic":
        raise no_permission()
    values = {"Lang": "zh", **read.read_parameters(call.kinds, call.required, given)}
    rows = call.rows(state, values)
    body: JsonObject = {**call.frame, **(call.more(state, values, rows) if call.more else {}), "RequestId": request_id}
    if call.page_info_path:
        page, echoed = _page(state, values, rows, hits)
        rows = page.rows
        info = {"CurrentPage": page.number, "PageSize": echoed, "TotalCount": page.total}
        _put(body, call.page_info_path, {**info, "Count": len(rows)} if call.shows_count else info)
    rendered = [call.render(state, values, row) for row in rows]
    _put(body, call.rows_path, rendered[0] if call.is_single else rendered)
    if state.world.quirks.numbers_as_text:
        body = {name: _numbers_as_text(value) for name, value in body.items()}
    return bend_fields(body, call.rows_path, hits)


def find_call(action: str) -> Call:
    """Return a call by the name of its action.

    :raises RefusalError: if there is none.
    """
    if action not in CALLS:
        raise unknown_action()
    return CALLS[action]


def _page(state: State, values: Mapping[str, Any], rows: Sequence[Any], hits: Sequence[Hit]) -> tuple[Page, int]:
    """Cut out the page that is asked for; return it with the page size to echo."""
    quirks = state.world.quirks
    asked = values.get("PageSize", read.DEFAULT_PAGE_SIZE)
    size = asked if quirks.page_size_cap is None else min(asked, quirks.page_size_cap)
    page = bend_page(Page.cut(rows, values.get("CurrentPage", 1), size), hits)
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
