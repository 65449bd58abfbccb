"""What faults do on the wire: to the bytes and headers of an answer, and to the way in which they are sent."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
import zlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ci_gate.emulator import faults as f
from ci_gate.emulator.refusals import DOCUMENTED, GATEWAY, UNDOCUMENTED, RefusalError, throttled
from ci_gate.emulator.signature import check_date

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

JSON = "application/json;charset=utf-8"
_MIB = 1024 * 1024
_CODES = {"documented": DOCUMENTED, "gateway": GATEWAY, "undocumented": UNDOCUMENTED}
# Whoever answers these sends something of their own: the service is not asked.
_OF_OTHERS = (f.StatusFault, f.RefusalFault, f.ThrottleFault, f.BodyFault, f.ProxyPageFault, f.RedirectFault, f.StallFault, f.CloseFault)
_PROXY_PAGE = (
    "<!DOCTYPE html><html><head><title>{status}</title></head><body><h1>{status}</h1><p>The proxy could not fulfil the request. "
    "Please contact your administrator, and tell them: no answer from the upstream server.</p><hr></body></html>\n"
)


@dataclass(frozen=True, slots=True)
class Sent:
    """An answer as bytes, with its headers; ``hit`` is the fault that sends it."""

    request: web.Request
    body: bytes
    headers: Mapping[str, str]
    hit: f.Hit | None = None


def wire_hit(hits: Sequence[f.Hit]) -> f.Hit | None:
    """Return what decides how the answer is sent, if anything does: the first of the faults on the wire."""
    return next((hit for hit in hits if isinstance(hit.fault, f.WireFault)), None)


def needs_answer(hit: f.Hit | None) -> bool:
    """Whether the right answer has a part in what is sent."""
    return hit is None or not isinstance(hit.fault, _OF_OTHERS)


async def pass_delays(hits: Sequence[f.Hit]) -> None:
    """Wait as long as the delays among ``hits`` say."""
    for hit in hits:
        if isinstance(hit.fault, f.DelayFault):
            await asyncio.sleep(hit.fault.seconds + hit.dice.uniform(0, hit.fault.jitter))


def set_clock(sent: Sent, hits: Sequence[f.Hit], now_ms: int) -> Sent:
    """Return the answer with the time of a clock that is off.

    :raises RefusalError: if by that clock the request is too old or too new.
    """
    off_s = sum(hit.fault.seconds for hit in hits if isinstance(hit.fault, f.ClockFault))
    if not off_s:
        return sent
    check_date(sent.request.headers.get("x-acs-date", ""), now_ms + int(off_s * 1000))
    date = format_datetime(datetime.fromtimestamp(max(0.0, now_ms / 1000 + off_s), UTC), usegmt=True)
    return replace(sent, headers={**sent.headers, "Date": date})


def bend_body(sent: Sent, hits: Sequence[f.Hit]) -> Sent:
    """Apply the faults among ``hits`` that change bytes and headers of the right answer, in their order."""
    for hit in hits:
        fault = hit.fault
        if isinstance(fault, f.CutJsonFault):
            keep = hit.dice.random() if fault.keep is None else fault.keep
            sent = replace(sent, body=sent.body[: int(len(sent.body) * keep)])
        elif isinstance(fault, f.ContentTypeFault):
            sent = replace(sent, headers={**sent.headers, "Content-Type": fault.value})
        elif isinstance(fault, f.EncodedFault):
            pack = gzip.compress if fault.encoding == "gzip" else zlib.compress
            before = sent.headers.get("Content-Encoding")
            encodings = fault.encoding if before is None else f"{before}, {fault.encoding}"
            body = sent.body if fault.wrong else pack(sent.body)
            sent = replace(sent, body=body, headers={**sent.headers, "Content-Encoding": encodings})
    return sent


async def send(sent: Sent) -> web.StreamResponse:
    """Send an answer as its fault has it; without one, as it should be.

    :raises RefusalError: where the fault is a refusal.
    """
    if sent.hit is None:
        return web.Response(body=sent.body, headers=sent.headers)
    return await _WIRE_FAULTS[type(sent.hit.fault)](sent.hit.fault, sent)


def hang_up(request: web.Request) -> None:
    """Cut the connection of a request."""
    if request.transport is not None:
        request.transport.abort()


async def _status(fault: f.StatusFault, _: Sent) -> web.StreamResponse:
    raise RefusalError(fault.status, fault.code, fault.message, dict(fault.headers))


async def _refusal(fault: f.RefusalFault, sent: Sent) -> web.StreamResponse:
    assert sent.hit is not None
    raise RefusalError(*sent.hit.dice.choice(_CODES[fault.codes]), "Something went wrong.")


async def _throttle(fault: f.ThrottleFault, _: Sent) -> web.StreamResponse:
    raise throttled(fault.retry_after_ms)


async def _body(fault: f.BodyFault, sent: Sent) -> web.StreamResponse:
    raw = fault.text.encode("utf-8", "surrogatepass")
    return web.Response(status=fault.status, body=raw, headers={**sent.headers, "Content-Type": fault.content_type})


async def _proxy_page(fault: f.ProxyPageFault, _: Sent) -> web.StreamResponse:
    headers = {"Via": "1.1 proxy.example.com", "Content-Type": "text/html"}
    return web.Response(status=fault.status, text=_PROXY_PAGE.format(status=fault.status), headers=headers)


async def _redirect(fault: f.RedirectFault, sent: Sent) -> web.StreamResponse:
    return web.Response(status=fault.status, headers={**sent.headers, "Location": fault.location})


async def _stall(fault: f.StallFault, sent: Sent) -> web.StreamResponse:
    if fault.where == "head":
        return await _stall_head(sent.request)
    response = await _begin(sent)
    while True:
        await _write(response, b" ")
        await asyncio.sleep(1)


async def _stall_head(request: web.Request) -> web.StreamResponse:
    """Write the first header byte by byte, past the server, which sends all of them at once."""
    next_bytes = b"HTTP/1.1 200 OK\r\nX-Stall: "
    while request.transport is not None and not request.transport.is_closing():
        request.transport.write(next_bytes)
        next_bytes = b"."
        await asyncio.sleep(1)
    return web.Response(status=499)


async def _close(_: f.CloseFault, sent: Sent) -> web.StreamResponse:
    hang_up(sent.request)
    return web.Response(status=499)


async def _reset(fault: f.ResetFault, sent: Sent) -> web.StreamResponse:
    if fault.when != "before":
        response = await _begin(sent, length=len(sent.body))
        await _write(response, sent.body if fault.when == "after" else sent.body[: len(sent.body) // 2])
    connection = sent.request.get_extra_info("socket")
    if connection is not None:  # a client may be faster
        # No time to linger: what is not sent yet is dropped, and the other side is told by a reset (POSIX: SO_LINGER).
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    hang_up(sent.request)
    return web.Response(status=499)


async def _truncate(_: f.TruncateFault, sent: Sent) -> web.StreamResponse:
    response = await _begin(sent, length=len(sent.body))
    await _write(response, sent.body[: len(sent.body) // 2])
    if sent.request.transport is not None:
        sent.request.transport.close()
    return response


async def _drip(fault: f.DripFault, sent: Sent) -> web.StreamResponse:
    response = await _begin(sent, length=len(sent.body))
    for start in range(0, len(sent.body), fault.bytes):
        await _write(response, sent.body[start : start + fault.bytes])
        await asyncio.sleep(fault.seconds)
    return response


async def _chunked(fault: f.ChunkedFault, sent: Sent) -> web.StreamResponse:
    response = web.StreamResponse(headers=sent.headers)
    response.enable_chunked_encoding()
    await response.prepare(sent.request)
    for start in range(0, len(sent.body), fault.bytes):
        await _write(response, sent.body[start : start + fault.bytes])
    if fault.cut and sent.request.transport is not None:
        sent.request.transport.close()
    return response


async def _huge(fault: f.HugeFault, sent: Sent) -> web.StreamResponse:
    if fault.compressed:
        return await _huge_compressed(fault, sent)
    response = await _begin(sent, length=fault.megabytes * _MIB + len(sent.body))
    for _ in range(fault.megabytes):
        await _write(response, b" " * _MIB)
    await _write(response, sent.body)
    return response


async def _huge_compressed(fault: f.HugeFault, sent: Sent) -> web.StreamResponse:
    response = web.StreamResponse(headers={**sent.headers, "Content-Encoding": "gzip"})
    response.enable_chunked_encoding()
    await response.prepare(sent.request)
    pack = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)  # with the frame of gzip
    for _ in range(fault.megabytes):
        await _write(response, pack.compress(b" " * _MIB))
    await _write(response, pack.compress(sent.body) + pack.flush())
    return response


async def _begin(sent: Sent, length: int | None = None) -> web.StreamResponse:
    """Begin an answer whose body follows in pieces; ``length`` is what its header promises, bytes."""
    promised = {} if length is None else {"Content-Length": str(length)}
    response = web.StreamResponse(headers={**sent.headers, **promised})
    await response.prepare(sent.request)
    return response


async def _write(response: web.StreamResponse, data: bytes) -> None:
    """Write; a client that has gone ends the handler."""
    try:
        await response.write(data)
    except ConnectionError:
        raise asyncio.CancelledError from None


_WIRE_FAULTS: Mapping[type[Any], Callable[[Any, Sent], Awaitable[web.StreamResponse]]] = {
    f.StatusFault: _status,
    f.RefusalFault: _refusal,
    f.ThrottleFault: _throttle,
    f.BodyFault: _body,
    f.ProxyPageFault: _proxy_page,
    f.RedirectFault: _redirect,
    f.StallFault: _stall,
    f.CloseFault: _close,
    f.ResetFault: _reset,
    f.TruncateFault: _truncate,
    f.DripFault: _drip,
    f.ChunkedFault: _chunked,
    f.HugeFault: _huge,
}
