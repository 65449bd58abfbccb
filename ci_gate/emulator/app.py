"""The embedded endpoint over HTTP: a server on loopback in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import uuid
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from aiohttp import web

from ci_gate.emulator.calls import VERSION, answer, find_call
from ci_gate.emulator.refusals import RefusalError, no_permission
from ci_gate.emulator.sending import JSON, Sent, bend_body, hang_up, needs_answer, pass_delays, send, set_clock, wire_hit
from ci_gate.emulator.signature import SignedRequest, verify
from ci_gate.emulator.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ci_gate.emulator.world import World

LOOPBACK = "127.0.0.1"
_MAX_BODY_BYTES = 1024 * 1024
_SHUTDOWN_S = 0.2


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
            hang_up(request)

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
        state.use_token()
        state.use_nonce(signed.headers["x-acs-signature-nonce"])
        if {"*", action} & set(state.world.account.deny_actions):
            raise no_permission()
        hits = state.faults.due(action, dict(parameters))
        await pass_delays(hits)
        hit = wire_hit(hits)
        sent = Sent(request, b"", {"x-acs-request-id": request_id, "Content-Type": JSON}, hit)
        sent = set_clock(sent, hits, state.moment_now())
        if needs_answer(hit):
            body = json.dumps(answer(state, action, parameters, hits, request_id)).encode("ascii")
            sent = bend_body(replace(sent, body=body), hits)
        return await send(sent)


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
    headers = {"x-acs-request-id": request_id, "Content-Type": JSON, **refusal.headers}
    return web.Response(status=refusal.status, body=json.dumps(body).encode("ascii"), headers=headers)
