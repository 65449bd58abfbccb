"""Reading listings to the end, many at once, and telling whether what was read can be all there is."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ci_gate.errors import Cause, ExitCode, GateError, ProtocolError
from ci_gate.model import normalise_digest
from ci_gate.security_center.contracts import REPORT_IT
from ci_gate.security_center.pool import NotRunError, run_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ci_gate.deadline import Deadline
    from ci_gate.security_center.contracts import JsonObject, PageInfo
    from ci_gate.security_center.transport import Transport

# The first size is what siblings of these calls allow; 20 is the documented default. A listing whose pages do not add up is read
# again with another size: page boundaries move, so rows that were lost or served twice at a boundary show. The small ones are for
# services that cap the size.
PAGE_SIZES = (100, 20, 50, 10, 7, 3)
_MAX_READINGS = 5
_MAX_PAGES = 20_000  # of all listings that are read together: more is no image, but a service that makes up totals
MAX_ROWS = 1_000_000
_PAUSE_S = 1.0
_SORTED = json.JSONEncoder(sort_keys=True, separators=(",", ":"))  # `dumps` would make one for each row
_EXCERPT = "Promt"
_FILES = "DescribeImageSensitiveFileByKey"
_PLACES = {  # the fields that tell what a row of other calls is about; where they are not known, it is all of the row
    "DescribeImageSensitiveFileList": ("SensitiveFileKey",),
    "DescribeImageInstances": ("Uuid", "Digest", "Tag", "RepoNamespace", "RepoName"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a listing, without the excerpt of the secret.

    ``place`` is what the row is about, ``identity`` that and what is said of it, both as hashes of what lasts from one call to the
    next: times, texts and counts change, and would hide a page that is served twice.
    """

    place: bytes
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


@dataclass(frozen=True, slots=True)
class _Page:
    """A page as it is kept: its rows, what it echoes, and how many rows it had."""

    number: int
    info: PageInfo
    count: int
    rows: tuple[Row, ...]


@dataclass(slots=True)
class _Reading:
    """One pass over a listing: ``asked`` is the page size asked for, ``size`` the one that the service echoed."""

    asked: int
    size: int
    pages: list[_Page] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    repeats: bool = False  # a place is there again: honest where two rows are alike, else one was served twice
    failure: Cause | None = None
    problem: str | None = None
    short: bool = False  # a page came back with fewer rows than were due
    page_count: int = 0
    total: int = 0
    largest_total: int = 0  # of all pages: a total that was larger once is not forgotten

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
    too_large = min((reading.size for reading in readings if reading.short), default=MAX_ROWS)
    used = {reading.size for reading in readings}
    fresh = [size for size in PAGE_SIZES if min(size, cap) not in used]
    return next((size for size in fresh if size < too_large), next(iter(fresh), None))


def _read_once(transport: Transport, wanted: Sequence[tuple[Request, int]], deadline: Deadline) -> list[_Reading]:
    """Read the first page of every listing, then all other pages, side by side."""
    readings = [_Reading(size, size) for _, size in wanted]
    fetch = partial(_fetch, transport, deadline)
    firsts = run_all([partial(fetch, request, 1, size) for request, size in wanted], transport.workers)
    rest: list[tuple[int, int]] = []
    left = _MAX_PAGES
    for index, first in enumerate(firsts):
        reading, (request, _) = readings[index], wanted[index]
        _take(reading, request, first)
        if not reading.pages:
            continue
        _set_out(reading, reading.pages[0].info)
        left -= reading.page_count
        if reading.total > MAX_ROWS or left < 0:
            what = f"the listing claims {reading.total} rows on {reading.page_count} pages, more than the gate reads"
            reading.failure = ProtocolError(what, advice="Report it with the request id.", action=request.action).cause
        elif not _echo_problem(reading, reading.pages[0]):
            rest.extend((index, page) for page in range(2, reading.page_count + 1))
    # An answer with more rows than were asked for is made to keep the gate busy: the rest of that listing is not fetched.
    swollen: set[int] = set()

    def fetch_of(index: int, page: int) -> _Page | None:
        if index in swollen:
            return None
        got = fetch(wanted[index][0], page, readings[index].size)
        if got.count > readings[index].asked:
            swollen.add(index)
        return got

    answers = run_all([partial(fetch_of, index, page) for index, page in rest], transport.workers, lambda: deadline.passed)
    for (index, _), answer in zip(rest, answers, strict=True):
        if answer is not None:
            _take(readings[index], wanted[index][0], answer)
    for reading, (request, _) in zip(readings, wanted, strict=True):
        _gather(reading, request.action)
    return readings


def _set_out(reading: _Reading, first: PageInfo) -> None:
    """Set what a reading is held against from here on, by its first page."""
    reading.total = first.total
    # A server may cap the page size: what it echoes is what it counts its pages by.
    if 0 < first.page_size < reading.asked:
        reading.size = first.page_size
    reading.page_count = max(1, -(-first.total // reading.size))


def _gather(reading: _Reading, action: str) -> None:
    """Judge the pages of a reading against each other, and bring their rows together."""
    page_of: dict[bytes, int] = {}
    for page in sorted(reading.pages, key=lambda page: page.number):
        reading.problem = reading.problem or _echo_problem(reading, page)
        reading.short = reading.short or page.count < _due(reading, page)
        reading.largest_total = max(reading.largest_total, page.info.total, page.count)
        for row in page.rows:
            # One file can hold two secrets; but a key, or an image, is listed once.
            known = row.place in page_of and (page_of[row.place] != page.number or action != _FILES)
            reading.repeats = reading.repeats or known
            page_of.setdefault(row.place, page.number)
            reading.rows.append(row)
    reading.pages.clear()


def _fetch(transport: Transport, deadline: Deadline, request: Request, number: int, size: int) -> _Page:
    """Fetch one page, and turn it into rows where it arrives: at most as many as were asked for, the raw answer is dropped.

    :raises GateError: when the call fails, or a row cannot be read.
    """
    answer = transport.call(request.action, request.page(number, size), deadline)
    assert answer.page_info is not None  # the contracts of paged calls ask for it
    try:
        rows = tuple(_row(request.action, fields) for fields in answer.rows[:size])
    except RecursionError:
        what = "a row is nested too deeply"
        raise ProtocolError(what, advice=REPORT_IT, action=answer.action, request_id=answer.request_id) from None
    return _Page(number, answer.page_info, len(answer.rows), rows)


def _take(reading: _Reading, request: Request, outcome: _Page | BaseException) -> None:
    if isinstance(outcome, _Page):
        reading.pages.append(outcome)
    elif isinstance(outcome, GateError):
        reading.failure = reading.failure or outcome.cause
    elif isinstance(outcome, NotRunError):
        what = "the time was up before every page was read"
        reading.failure = reading.failure or Cause(ExitCode.UNAVAILABLE, what, "Give the run more time with --timeout.", request.action)
    else:
        raise outcome


def _due(reading: _Reading, page: _Page) -> int:
    """Return how many rows a page should hold."""
    return max(0, min(reading.size, page.info.total - (page.number - 1) * reading.size))


def _echo_problem(reading: _Reading, page: _Page) -> str | None:
    """Say what is wrong with one page of a reading: its echo, its total, its number of rows."""
    info = page.info
    if info.current_page != page.number:
        return f"asked for page {page.number}, it says that it is page {info.current_page}"
    if info.page_size != reading.size:
        return f"page {page.number} says that it holds up to {info.page_size} rows, page size {reading.size} was agreed"
    if info.total != reading.total:
        return f"TotalCount moved from {reading.total} to {info.total} while the pages were read"
    if page.count != _due(reading, page):
        return f"page {page.number} of {reading.page_count} holds {page.count} rows, {_due(reading, page)} were due"
    return None


def _judge(request: Request, readings: list[_Reading]) -> Listing | None:
    """Return the listing if the readings so far settle it, ``None`` if it has to be read again.

    A reading without a fault is believed at once. After any doubt (pages that do not add up, a place that is there again) only two readings
    with different page sizes that agree are, and they must hold all that was ever seen or claimed.
    """
    *earlier, last = readings
    if last.failure is not None:
        return _listing(request, readings, _everything(readings), last.failure)
    if last.problem is not None:
        return None
    if not earlier and not last.repeats:
        return _listing(request, readings, last.rows, None)
    seen = {row.identity for reading in earlier for row in reading.rows}
    claimed = max((reading.largest_total for reading in earlier), default=0)
    agreed = any(other.problem is None and other.size != last.size and other.multiset == last.multiset for other in earlier)
    if agreed and claimed <= last.total and seen <= {row.identity for row in last.rows}:
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


def _row(action: str, fields: JsonObject) -> Row:
    """Drop the excerpt where a row is read, and tell what the row is about."""
    kept = {name: value for name, value in fields.items() if name != _EXCERPT}
    if action == _FILES:
        where = [fields["SensitiveFileKey"], fields["FilePath"], (fields.get("Md5") or "").lower()]
        hashed = _hash([*where, normalise_digest(fields.get("LayerDigest") or "")])
        return Row(hashed, hashlib.sha256(hashed + fields["RiskLevel"].strip().lower().encode("utf-8", "surrogatepass")).digest(), kept)
    hashed = _hash([fields.get(name) for name in _PLACES[action]] if action in _PLACES else [fields])
    return Row(hashed, hashed, kept)


def _hash(parts: list[object]) -> bytes:
    return hashlib.sha256(_SORTED.encode(parts).encode("ascii")).digest()


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
    page = _fetch(transport, deadline, request, 1, reading.size)
    _set_out(reading, page.info)
    return Glance(page.info.total, page.rows, _echo_problem(reading, page))
