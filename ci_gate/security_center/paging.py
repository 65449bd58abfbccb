"""Reading listings to the end, many at once, and telling whether what was read can be all there is."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ci_gate.errors import Cause, ExitCode, GateError, ProtocolError
from ci_gate.security_center.contracts import REPORT_IT
from ci_gate.security_center.pool import NotRunError, run_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ci_gate.deadline import Deadline
    from ci_gate.security_center.contracts import Answer, JsonObject, PageInfo
    from ci_gate.security_center.transport import Transport

# The first size is what siblings of these calls allow; 20 is the documented default. A listing whose pages do not add up is read
# again with another size: page boundaries move, so rows that were lost or served twice at a boundary show. The small ones are for
# services that cap the size.
PAGE_SIZES = (100, 20, 50, 10, 7, 3)
_MAX_READINGS = 4
_MAX_PAGES = 20_000  # of all listings that are read together: more is no image, but a service that makes up totals
MAX_ROWS = 1_000_000
_PAUSE_S = 1.0
_EXCERPT = "Promt"
_FILE_IDENTITY = ("SensitiveFileKey", "FilePath", "Md5", "LayerDigest", "RiskLevel", _EXCERPT)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a listing without the excerpt of the secret; ``identity`` tells rows apart, the excerpt included, as a hash."""

    identity: bytes
    fields: JsonObject


@dataclass(frozen=True, slots=True)
class Request:
    """A listing to read: the call and its parameters without paging."""

    action: str
    parameters: tuple[tuple[str, object], ...]

    def page(self, number: int, size: int) -> dict[str, object]:
        """Return the parameters for one page."""
        return {**dict(self.parameters), "CurrentPage": number, "PageSize": size}


@dataclass(frozen=True, slots=True)
class Listing:
    """What was read of a listing. ``cause`` says why it is not complete; ``None`` means that it is."""

    request: Request
    rows: tuple[Row, ...]
    total: int | None
    pages: int
    readings: int
    cause: Cause | None = None

    @property
    def complete(self) -> bool:
        """Whether the rows are all there are."""
        return self.cause is None


@dataclass(slots=True)
class _Reading:
    """One pass over a listing: ``asked`` is the page size asked for, ``size`` the one that the service echoed."""

    asked: int
    size: int
    pages: dict[int, Answer] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    repeats: bool = False  # a row stands on more than one page: honest where two rows are alike, else one was served twice
    failure: Cause | None = None
    problem: str | None = None
    page_count: int = 0
    total: int | None = None

    @property
    def multiset(self) -> Counter[bytes]:
        return Counter(row.identity for row in self.rows)


def read_listings(transport: Transport, requests: Sequence[Request], deadline: Deadline) -> list[Listing]:
    """Read every listing to its end, all their pages side by side, and again where the pages do not add up.

    :return: a listing for each request, in their order. Never raises a ``GateError``: what failed is a listing's ``cause``.
    """
    history: dict[int, list[_Reading]] = {index: [] for index in range(len(requests))}
    done: dict[int, Listing] = {}
    for number in range(_MAX_READINGS):
        sizes = {index: _next_size(readings) for index, readings in history.items() if index not in done}
        wanted = [(index, size) for index, size in sizes.items() if size is not None]
        # The second reading follows at once; whoever needs a third may have met a change that is still under way.
        if not wanted or (number > 1 and not deadline.sleep(min(_PAUSE_S, deadline.remaining / 4))):
            break
        readings = _read_once(transport, [(requests[index], size) for index, size in wanted], deadline)
        for (index, _), reading in zip(wanted, readings, strict=True):
            history[index].append(reading)
            judged = _judge(requests[index], history[index])
            if judged is not None:
                done[index] = judged
    return [done.get(index) or _given_up(requests[index], history[index]) for index in history]


def _next_size(readings: list[_Reading]) -> int | None:
    """Return a page size that gives other page boundaries than the readings so far, under the cap that the service has shown."""
    cap = min((reading.size for reading in readings if reading.size < reading.asked), default=MAX_ROWS)
    used = {reading.size for reading in readings}
    return next((size for size in PAGE_SIZES if min(size, cap) not in used), None)


def _read_once(transport: Transport, wanted: Sequence[tuple[Request, int]], deadline: Deadline) -> list[_Reading]:
    """Read the first page of every listing, then all other pages, side by side."""
    readings = [_Reading(size, size) for _, size in wanted]
    ask = partial(_ask, transport, deadline)
    firsts = run_all([partial(ask, request, 1, size) for request, size in wanted], transport.workers)
    rest: list[tuple[int, int]] = []
    left = _MAX_PAGES
    for index, first in enumerate(firsts):
        reading, (request, _) = readings[index], wanted[index]
        _take(reading, request, 1, first)
        page_info = reading.pages[1].page_info if 1 in reading.pages else None
        if page_info is None:
            continue
        _set_out(reading, page_info)
        left -= reading.page_count
        if page_info.total > MAX_ROWS or left < 0:
            what = f"the listing claims {page_info.total} rows on {reading.page_count} pages, more than the gate reads"
            reading.failure = ProtocolError(what, advice="Report it with the request id.", action=request.action).cause
            continue
        if not _echo_problem(reading, 1, reading.pages[1]):
            rest.extend((index, page) for page in range(2, reading.page_count + 1))
    answers = run_all(
        [partial(ask, wanted[index][0], page, readings[index].size) for index, page in rest], transport.workers, lambda: deadline.passed
    )
    for (index, page), answer in zip(rest, answers, strict=True):
        _take(readings[index], wanted[index][0], page, answer)
    for reading in readings:
        _turn_into_rows(reading)
    return readings


def _set_out(reading: _Reading, first: PageInfo) -> None:
    """Set what a reading is held against from here on, by its first page."""
    reading.total = first.total
    # A server may cap the page size: what it echoes is what it counts its pages by.
    if 0 < first.page_size < reading.asked:
        reading.size = first.page_size
    reading.page_count = max(1, -(-first.total // reading.size))


def _turn_into_rows(reading: _Reading) -> None:
    """Judge the pages of a reading, and turn them into rows."""
    page_of: dict[bytes, int] = {}
    for page in sorted(reading.pages):
        answer = reading.pages[page]
        reading.problem = reading.problem or _echo_problem(reading, page, answer)
        for fields in answer.rows:
            try:
                row = _row(fields)
            except RecursionError:
                cause = ProtocolError(
                    "a row is nested too deeply", advice=REPORT_IT, action=answer.action, request_id=answer.request_id
                ).cause
                reading.failure = reading.failure or cause
                continue
            reading.repeats = reading.repeats or page_of.setdefault(row.identity, page) != page
            reading.rows.append(row)
    reading.pages.clear()


def _ask(transport: Transport, deadline: Deadline, request: Request, page: int, size: int) -> Answer:
    return transport.call(request.action, request.page(page, size), deadline)


def _take(reading: _Reading, request: Request, page: int, outcome: Answer | BaseException) -> None:
    if isinstance(outcome, GateError):
        reading.failure = reading.failure or outcome.cause
    elif isinstance(outcome, NotRunError):
        what = "the time was up before every page was read"
        reading.failure = reading.failure or Cause(ExitCode.UNAVAILABLE, what, "Give the run more time with --timeout.", request.action)
    elif isinstance(outcome, BaseException):
        raise outcome
    elif outcome.page_info is None:  # the contracts of paged calls ask for it
        raise TypeError(request.action)
    else:
        reading.pages[page] = outcome


def _echo_problem(reading: _Reading, page: int, answer: Answer) -> str | None:
    """Say what is wrong with one page of a reading: its echo, its total, its number of rows."""
    info = answer.page_info
    assert info is not None
    if info.current_page != page:
        return f"asked for page {page}, it says that it is page {info.current_page}"
    if info.page_size != reading.size:
        return f"page {page} says that it holds up to {info.page_size} rows, page size {reading.size} was agreed"
    if info.total != reading.total:
        return f"TotalCount moved from {reading.total} to {info.total} while the pages were read"
    expected = max(0, min(reading.size, info.total - (page - 1) * reading.size))
    if len(answer.rows) != expected:
        return f"page {page} of {reading.page_count} holds {len(answer.rows)} rows, {expected} were due"
    return None


def _judge(request: Request, readings: list[_Reading]) -> Listing | None:
    """Return the listing if the readings so far settle it, ``None`` if it has to be read again."""
    last = readings[-1]
    if last.failure is not None:
        return _listing(request, readings, _everything(readings), last.failure)
    if last.problem is not None:
        return None
    # A total can lie so that it fits one page size: what an earlier reading saw must still be there.
    seen = {row.identity for earlier in readings[:-1] for row in earlier.rows}
    if seen - {row.identity for row in last.rows}:
        return None
    # Once rows have repeated across pages, a single reading is not believed, however good it looks.
    others = [earlier for earlier in readings[:-1] if earlier.problem is None]
    agreed = any(earlier.size != last.size and earlier.multiset == last.multiset for earlier in others)
    if agreed or not (others or last.repeats):
        return _listing(request, readings, last.rows, None)
    return None


def _given_up(request: Request, readings: list[_Reading]) -> Listing:
    problem = next((reading.problem for reading in reversed(readings) if reading.problem), None)
    what = problem or "no two readings with different page sizes hold the same rows"
    if not readings:
        what = "the time was up before the listing could be read"
    cause = Cause(
        ExitCode.INCOMPLETE,
        f"the pages do not add up: {what}",
        "Findings may be missing. Try again in some minutes; if it stays, report it: the service's paging is inconsistent.",
        request.action,
    )
    return _listing(request, readings, _everything(readings), cause)


def _everything(readings: list[_Reading]) -> list[Row]:
    """Return each row as often as the reading that holds it most often: nothing that was seen is lost."""
    by_identity = {row.identity: row for reading in readings for row in reading.rows}
    most: Counter[bytes] = Counter()
    for reading in readings:
        most |= reading.multiset
    return [by_identity[identity] for identity in most.elements()]


def _listing(request: Request, readings: list[_Reading], rows: Iterable[Row], cause: Cause | None) -> Listing:
    pages = sum(reading.page_count or 1 for reading in readings)
    total = readings[-1].total if readings else None
    return Listing(request, tuple(rows), total, pages, len(readings), cause)


def _row(fields: JsonObject) -> Row:
    """Drop the excerpt where it is read; its hash, kept in memory only, still tells rows apart.

    A file is known by what does not change from one call to the next: times and texts can, and would hide a page served twice.
    """
    lasting = {name: fields.get(name) for name in _FILE_IDENTITY} if "FilePath" in fields else fields
    canonical = json.dumps(lasting, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return Row(hashlib.sha256(canonical).digest(), {name: value for name, value in fields.items() if name != _EXCERPT})


@dataclass(frozen=True, slots=True)
class Glance:
    """The first page of a listing: its total, its rows, and what is wrong with it."""

    total: int
    rows: tuple[Row, ...]
    problem: str | None


def glance(transport: Transport, request: Request, deadline: Deadline) -> Glance:
    """Read the first page of a listing, at the documented default size.

    :raises GateError: when the call fails.
    """
    reading = _Reading(PAGE_SIZES[1], PAGE_SIZES[1])
    answer = _ask(transport, deadline, request, 1, reading.size)
    assert answer.page_info is not None
    _set_out(reading, answer.page_info)
    reading.pages[1] = answer
    _turn_into_rows(reading)
    return Glance(answer.page_info.total, tuple(reading.rows), reading.problem)
