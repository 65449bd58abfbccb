"""The embedded endpoint over HTTP: a server on loopback in a thread of its own, and what goes wrong on the wire."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import uuid
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aiohttp import web

from ci_gate.emulator import faults as f
from ci_gate.emulator.calls import VERSION, answer, find_call
from ci_gate.emulator.refusals import RefusalError, no_permission
from ci_gate.emulator.signature import SignedRequest, verify
from ci_gate.emulator.state import State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from ci_gate.emulator.world import World

LOOPBACK = "127.0.0.1"
_MAX_BODY_BYTES = 1024 * 1024
_SHUTDOWN_S = 0.2
_JSON = "application/json;charset=utf-8"
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Call:
    """A call that came in. ``status`` is the HTTP status of the answer, 0 where the connection was closed instead."""

    action: str
    parameters: Mapping[str, str]
    status: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A running endpoint: where it is, with which credentials to call it, and the calls so far, live."""

    address: str
    url: str
    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str = field(repr=False)
    region: str
    calls: list[Call] = field(repr=False, compare=False)


@contextmanager
def serve(world: World, port: int = 0) -> Iterator[Endpoint]:
    """Serve a world on loopback while the context lasts; ``port`` 0 takes a free one.

    :raises OSError: if the port cannot be had.
    """
    listener = socket.create_server((LOOPBACK, port), backlog=128)
    address = f"{LOOPBACK}:{listener.getsockname()[1]}"
    calls: list[Call] = []
    started: Future[Callable[[], None]] = Future()
    thread = threading.Thread(target=_run, args=(world, listener, calls, started), name="embedded-endpoint", daemon=True)
    thread.start()
    stop = started.result()
    account = world.account
    try:
        yield Endpoint(
            address, f"http://{address}", account.access_key_id, account.access_key_secret, account.security_token, world.region, calls
        )
    finally:
        stop()
        thread.join()


def serve_forever(world: World, port: int, on_ready: Callable[[Endpoint], None]) -> None:
    """Serve a world until the process is interrupted; ``on_ready`` is told once where.

    :raises OSError: if the port cannot be had.
    """
    with serve(world, port) as endpoint:
        try:
            on_ready(endpoint)
            threading.Event().wait()
        except KeyboardInterrupt:
            return


def _run(world: World, listener: socket.socket, calls: list[Call], started: Future[Callable[[], None]]) -> None:
    """Run the server's event loop on this thread, from ``started`` until its result is called."""

    async def main() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        server = _Server(State(world), calls)
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", server.handle)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        try:
            await web.SockSite(runner, listener, backlog=128).start()

            def end() -> None:
                loop.call_soon_threadsafe(stop.set)

            started.set_result(end)
            await stop.wait()
        finally:
            server.hang_up()  # a client that does not read would keep its connection open for as long as there is something to send
            await runner.cleanup()

    try:
        asyncio.run(main())
    except BaseException as error:  # noqa: BLE001 - handed to the thread that waits for the start
        if not started.done():
            started.set_exception(error)
    finally:
        listener.close()


class _Server:
    """Takes requests, and answers them as the service would, or as a fault has it."""

    def __init__(self, state: State, calls: list[Call]) -> None:
        self._state = state
        self._calls = calls
        self._busy: dict[int, web.Request] = {}  # by identity: requests are not hashable

    def hang_up(self) -> None:
        """Cut the connections of all requests that are not answered yet."""
        for request in tuple(self._busy.values()):
            _hang_up(request)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        headers = _lower(request)
        target = request.raw_path
        parameters = parse_qsl(target.partition("?")[2], keep_blank_values=True)
        action = headers.get("x-acs-action", "")
        request_id = str(uuid.uuid4()).upper()
        status = 0
        self._busy[id(request)] = request
        try:
            signed = SignedRequest(request.method, target, headers, await request.read())
            response = await self._respond(request, signed, action, parameters, request_id)
            gone = request.transport is None or request.transport.is_closing()
            status = 0 if gone else response.status
        except RefusalError as refusal:
            status = refusal.status
            return _refused(refusal, request, request_id)
        else:
            return response
        finally:
            del self._busy[id(request)]
            self._calls.append(Call(action, dict(parameters), status))

    async def _respond(
        self, request: web.Request, signed: SignedRequest, action: str, parameters: list[tuple[str, str]], request_id: str
    ) -> web.StreamResponse:
        state = self._state
        await asyncio.sleep(state.world.quirks.latency)
        if signed.method != "POST":
            raise RefusalError(400, "UnsupportedHTTPMethod", "This http method is not supported.")
        if signed.headers.get("x-acs-version") != VERSION:
            raise RefusalError(404, "InvalidVersion", "Specified parameter Version is not valid.")
        find_call(action)
        state.take_call()
        verify(signed, state.caller, state.moment_now())
        state.use_nonce(signed.headers["x-acs-signature-nonce"])
        if {"*", action} & set(state.world.account.deny_actions):
            raise no_permission()
        due = state.faults.due(action, dict(parameters))
        for fault in due:
            if isinstance(fault, f.DelayFault):
                await asyncio.sleep(fault.seconds)
        wire = next((fault for fault in due if isinstance(fault, f.WireFault)), None)
        body = b""
        if wire is None or isinstance(wire, f.TruncateFault | f.HugeFault):
            body = json.dumps(answer(state, action, parameters, due, request_id)).encode("ascii")
        headers = {"x-acs-request-id": request_id}
        if wire is None:
            return web.Response(body=body, headers={**headers, "Content-Type": _JSON})
        return await _WIRE_FAULTS[type(wire)](wire, request, body, headers)


def _lower(request: web.Request) -> dict[str, str]:
    """Return the headers by lower-case name; of a repeated one, all values."""
    names = dict.fromkeys(name.lower() for name in request.headers)
    return {name: ",".join(request.headers.getall(name)) for name in names}


def _refused(refusal: RefusalError, request: web.Request, request_id: str) -> web.Response:
    """Return a refusal as the gateway of the service writes it."""
    body = {
        "RequestId": request_id,
        "HostId": request.headers.get("Host", ""),
        "Code": refusal.code,
        "Message": refusal.message,
        "Recommend": f"https://api.aliyun.com/troubleshoot?q={refusal.code}&product=Sas",
    }
    headers = {"x-acs-request-id": request_id, "Content-Type": _JSON, **refusal.headers}
    return web.Response(status=refusal.status, body=json.dumps(body).encode("ascii"), headers=headers)


# --- faults on the wire ---


async def _status(fault: f.StatusFault, _: web.Request, __: bytes, ___: dict[str, str]) -> web.StreamResponse:
    raise RefusalError(fault.status, fault.code, fault.message, dict(fault.headers))


async def _body(fault: f.BodyFault, _: web.Request, __: bytes, headers: dict[str, str]) -> web.StreamResponse:
    raw = fault.text.encode("utf-8", "surrogatepass")
    return web.Response(status=fault.status, body=raw, headers={**headers, "Content-Type": fault.content_type})


async def _redirect(fault: f.RedirectFault, _: web.Request, __: bytes, headers: dict[str, str]) -> web.StreamResponse:
    return web.Response(status=fault.status, headers={**headers, "Location": fault.location})


async def _stall(_: f.StallFault, request: web.Request, __: bytes, headers: dict[str, str]) -> web.StreamResponse:
    response = web.StreamResponse(headers={**headers, "Content-Type": _JSON})
    await response.prepare(request)
    while True:
        await _write(response, b" ")
        await asyncio.sleep(1)


async def _close(_: f.CloseFault, request: web.Request, __: bytes, ___: dict[str, str]) -> web.StreamResponse:
    _hang_up(request)
    return web.Response(status=499)


async def _truncate(_: f.TruncateFault, request: web.Request, body: bytes, headers: dict[str, str]) -> web.StreamResponse:
    response = web.StreamResponse(headers={**headers, "Content-Type": _JSON, "Content-Length": str(len(body))})
    await response.prepare(request)
    await _write(response, body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def _huge(fault: f.HugeFault, request: web.Request, body: bytes, headers: dict[str, str]) -> web.StreamResponse:
    length = fault.megabytes * _MIB + len(body)
    response = web.StreamResponse(headers={**headers, "Content-Type": _JSON, "Content-Length": str(length)})
    await response.prepare(request)
    for _ in range(fault.megabytes):
        await _write(response, b" " * _MIB)
    await _write(response, body)
    return response


async def _write(response: web.StreamResponse, data: bytes) -> None:
    """Write; a client that has gone ends the handler."""
    try:
        await response.write(data)
    except ConnectionError:
        raise asyncio.CancelledError from None


def _hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


_WIRE_FAULTS: Mapping[type[Any], Callable[[Any, web.Request, bytes, dict[str, str]], Awaitable[web.StreamResponse]]] = {
    f.StatusFault: _status,
    f.BodyFault: _body,
    f.RedirectFault: _redirect,
    f.StallFault: _stall,
    f.CloseFault: _close,
    f.TruncateFault: _truncate,
    f.HugeFault: _huge,
}
