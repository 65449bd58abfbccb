"""Composable faults: what they look like in a world file, and when they apply.

What they do to pages and fields is in ``bending``, what they do on the wire in ``sending``.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from ci_gate.emulator.fields import Action, RawText, Strict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_Count = Annotated[int, Field(ge=1, le=1_000_000)]


class BaseFault(Strict):
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
    chance: float = Field(1.0, gt=0, le=1, strict=False)
    """Of the calls that would be hit, how many are: each is drawn by the `seed` of the world."""


class StatusFault(BaseFault):
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


class BodyFault(BaseFault):
    """Another body than the service's own."""

    kind: Literal["body"]
    """The kind of the fault."""
    text: RawText
    """The body, as it is sent."""
    status: int = Field(200, ge=200, le=599)
    """The HTTP status."""
    content_type: str = "application/json;charset=utf-8"
    """The `Content-Type` header."""


class RefusalFault(BaseFault):
    """The service refuses with a code that is drawn."""

    kind: Literal["refusal"]
    """The kind of the fault."""
    codes: Literal["documented", "gateway", "undocumented"] = "documented"
    """Of which: the ones that Security Center documents, those of every gateway of the vendor, or ones that nobody documents."""


class ThrottleFault(BaseFault):
    """The service has had enough calls: 400 `Throttling.User`."""

    kind: Literal["throttle"]
    """The kind of the fault."""
    retry_after_ms: int | None = Field(None, ge=0, le=3_600_000)
    """When to come again (`x-acs-retry-after`, milliseconds); null: it does not say."""


class ProxyPageFault(BaseFault):
    """The page of a proxy on the way, in HTML."""

    kind: Literal["proxy_page"]
    """The kind of the fault."""
    status: int = Field(502, ge=200, le=599)
    """The HTTP status: 200 for a login page, 407 where the proxy wants to know who is asking."""


class RedirectFault(BaseFault):
    """A redirect instead of an answer."""

    kind: Literal["redirect"]
    """The kind of the fault."""
    location: str
    """Where to."""
    status: Literal[301, 302, 303, 307, 308] = 302
    """The HTTP status."""


class DelayFault(BaseFault):
    """The right answer, late."""

    kind: Literal["delay"]
    """The kind of the fault."""
    seconds: float = Field(ge=0, le=3600, strict=False)
    """How late, in seconds."""
    jitter: float = Field(0.0, ge=0, le=3600, strict=False)
    """At most so much later still, in seconds; drawn for each call."""


class StallFault(BaseFault):
    """An answer that drips one byte a second and never ends."""

    kind: Literal["stall"]
    """The kind of the fault."""
    where: Literal["head", "body"] = "body"
    """In which part of the answer: its headers do not end, or they do, and the body does not."""


class CloseFault(BaseFault):
    """The connection is closed before any answer."""

    kind: Literal["close"]
    """The kind of the fault."""


class ResetFault(BaseFault):
    """The connection is reset (TCP RST): what is under way is lost."""

    kind: Literal["reset"]
    """The kind of the fault."""
    when: Literal["before", "in", "after"] = "before"
    """Before any answer, in the middle of the body, or right after it."""


class TruncateFault(BaseFault):
    """The right answer, cut: its header promises all of the body, the connection is closed in the middle."""

    kind: Literal["truncate"]
    """The kind of the fault."""


class DripFault(BaseFault):
    """The right answer, in small pieces with pauses between them."""

    kind: Literal["drip"]
    """The kind of the fault."""
    bytes: _Count = 64
    """The size of a piece."""
    seconds: float = Field(0.05, ge=0, le=3600, strict=False)
    """The pause after each piece, in seconds."""


class ChunkedFault(BaseFault):
    """The right answer in chunks (`Transfer-Encoding: chunked`), without a length."""

    kind: Literal["chunked"]
    """The kind of the fault."""
    bytes: _Count = 512
    """The size of a chunk."""
    cut: bool = False
    """Whether the connection is closed before the last chunk."""


class CutJsonFault(BaseFault):
    """An answer whose JSON ends too early; its headers promise no more than there is."""

    kind: Literal["cut_json"]
    """The kind of the fault."""
    keep: float | None = Field(None, ge=0, lt=1, strict=False)
    """Which part of it is kept; null: drawn for each call."""


class ContentTypeFault(BaseFault):
    """The right answer under another `Content-Type`."""

    kind: Literal["content_type"]
    """The kind of the fault."""
    value: str = "text/html"
    """The header."""


class EncodedFault(BaseFault):
    """The right answer, compressed; or one that only says so."""

    kind: Literal["encoded"]
    """The kind of the fault."""
    encoding: Literal["gzip", "deflate"] = "gzip"
    """The `Content-Encoding`."""
    wrong: bool = False
    """Whether the body is not encoded, though the header says so."""


class ClockFault(BaseFault):
    """The clock of the service is off: its `Date` is, and calls that it finds 15 minutes off are refused."""

    kind: Literal["clock"]
    """The kind of the fault."""
    seconds: float = Field(ge=-1_000_000_000, le=1_000_000_000, strict=False)
    """How far it is ahead, in seconds."""


class HugeFault(BaseFault):
    """A very large body: blanks before the right answer."""

    kind: Literal["huge"]
    """The kind of the fault."""
    megabytes: int = Field(64, ge=1, le=100_000)
    """How many MiB of blanks are sent."""
    compressed: bool = False
    """Whether they are sent with gzip, so that they are small on the wire."""


class EmptyPageFault(BaseFault):
    """A page without its rows."""

    kind: Literal["empty_page"]
    """The kind of the fault."""


class ShortPageFault(BaseFault):
    """A page without its last rows."""

    kind: Literal["short_page"]
    """The kind of the fault."""
    rows: _Count = 1
    """How many rows are lost."""


class DuplicatePageFault(BaseFault):
    """The rows of the page before, once more."""

    kind: Literal["duplicate_page"]
    """The kind of the fault."""


class ShiftPageFault(BaseFault):
    """The page begins some rows later (or earlier, where negative), as if rows were deleted (or added) while paging."""

    kind: Literal["shift_page"]
    """The kind of the fault."""
    rows: int = 1
    """By how many rows."""


class ReverseRowsFault(BaseFault):
    """The whole listing in reverse order, then cut into pages: an unstable order loses rows between pages."""

    kind: Literal["reverse_rows"]
    """The kind of the fault."""


class ShuffleRowsFault(BaseFault):
    """The whole listing in an order that is drawn for each call, then cut into pages."""

    kind: Literal["shuffle_rows"]
    """The kind of the fault."""


class TotalFault(BaseFault):
    """Another `TotalCount`."""

    kind: Literal["total"]
    """The kind of the fault."""
    by: int
    """What is added to it."""
    each: int = 0
    """What is added besides for each call that was hit before: a total that grows, or shrinks, while it is read."""


class SetFieldFault(BaseFault):
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


class DropFieldFault(BaseFault):
    """An answer without one of its fields."""

    kind: Literal["drop_field"]
    """The kind of the fault."""
    field: str
    """The field; dots lead into objects, such as `PageInfo.TotalCount`."""


class OddFieldFault(BaseFault):
    """A field of the answer or of one of its rows, drawn for each call, is of another type, null or absent."""

    kind: Literal["odd_field"]
    """The kind of the fault."""
    how: Literal["type", "nulled", "absent"] = "type"
    """What is odd about it. A value of another type is drawn, too; it never reads as one of the right type."""


WireFault = (
    StatusFault
    | RefusalFault
    | ThrottleFault
    | BodyFault
    | ProxyPageFault
    | RedirectFault
    | StallFault
    | CloseFault
    | ResetFault
    | TruncateFault
    | DripFault
    | ChunkedFault
    | HugeFault
)
ShapeFault = CutJsonFault | ContentTypeFault | EncodedFault | ClockFault
PageFault = EmptyPageFault | ShortPageFault | DuplicatePageFault | ShiftPageFault | ReverseRowsFault | ShuffleRowsFault | TotalFault
FieldFault = SetFieldFault | DropFieldFault | OddFieldFault
Fault = Annotated[WireFault | DelayFault | ShapeFault | PageFault | FieldFault, Field(discriminator="kind")]
"""Any fault, told apart by its `kind`."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A fault that hits a call. ``number`` counts the calls that it hit, from 1; what it draws comes from ``dice``."""

    fault: BaseFault
    number: int
    dice: random.Random


class FaultBook:
    """The faults of a world with how often each one was met; not safe for several threads, the server has one."""

    def __init__(self, faults: Sequence[BaseFault], seed: int = 0) -> None:
        self._faults = faults
        self._seed = seed
        self._met = [0] * len(faults)
        self._hits = [0] * len(faults)

    def due(self, action: str, parameters: Mapping[str, str]) -> list[Hit]:
        """Count this call, and return the faults that hit it."""
        return [
            hit
            for index, fault in enumerate(self._faults)
            if _matches(fault, action, parameters) and (hit := self._meet(index, fault)) is not None
        ]

    def _meet(self, index: int, fault: BaseFault) -> Hit | None:
        self._met[index] += 1
        number = self._met[index]
        end = None if fault.times is None else fault.from_call + fault.times
        # The n-th matching call has dice of its own: what one fault draws does not depend on what another does.
        dice = random.Random(f"{self._seed}/{index}/{number}")  # noqa: S311 - it draws faults, no secrets
        if number < fault.from_call or (end is not None and number >= end) or (fault.chance < 1 and dice.random() >= fault.chance):
            return None
        self._hits[index] += 1
        return Hit(fault, self._hits[index], dice)


def _matches(fault: BaseFault, action: str, parameters: Mapping[str, str]) -> bool:
    return (
        fault.action in {"*", action}
        and (fault.key is None or fault.key == parameters.get("SensitiveFileKey", ""))
        and (fault.image_uuid is None or fault.image_uuid == parameters.get("ImageUuid", ""))
        and (fault.page is None or str(fault.page) == parameters.get("CurrentPage", "1"))
    )
