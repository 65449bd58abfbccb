"""Answers of the service, mangled on the wire: the real SDK reads them over real HTTP.

The gate ends in time, by a verdict or one of its own errors, never by a bug; nothing of an excerpt comes out; and one answer that lies,
where all others do not, never makes a pass of an image that has to be blocked.
"""

from __future__ import annotations

import copy
import json
import threading
import time
from dataclasses import dataclass, field
from datetime import date
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

import pytest
from fuzzing import ODD, bent, tried
from hypothesis import given
from hypothesis import strategies as st
from law import ImpatientDeadline

from ci_gate.cli.output import describe_call
from ci_gate.emulator.calls import CALLS, answer
from ci_gate.emulator.refusals import RefusalError
from ci_gate.emulator.state import State
from ci_gate.emulator.world import World
from ci_gate.gate import Asked, Judging, decide_image
from ci_gate.model import ImageReference, SourceInfo
from ci_gate.policy.language.floors import summarise
from ci_gate.policy.language.load import parse_policy
from ci_gate.report import FORMATS, render
from ci_gate.report.terminal import render_terminal
from ci_gate.security_center.endpoint import parse_endpoint
from ci_gate.security_center.findings import ScanRange
from ci_gate.security_center.limiter import Limiter
from ci_gate.security_center.source import SecurityCenter
from ci_gate.security_center.transport import AccessKey, connect
from ci_gate.verdict import RunResult

CANARY = "CANARY-excerpt-0c41"
DIGEST = "5e" * 32
NAME = "registry.example.com/shop/api:1.4.2"
REFERENCE = f"{NAME}@sha256:{DIGEST}"
SECONDS = 1.5
GRACE_S = 2.0
TODAY = date(2026, 11, 24)
PASSED, BLOCKED, INTERNAL = 0, 10, 70
POLICY = '{"version": 1, "deny": {"keys": ["pem"]}, "unknown": {"keys": "count"}}'
ROWS = [{"key": "sqlite", "path": f"/app/{n}", "risk_level": "low", "md5": f"{n:032x}"} for n in range(3)]
DENIED = {"key": "pem", "path": "/k.pem", "risk_level": "low", "md5": "0f" * 16}


def _world(*findings, **fields):
    image = {"reference": NAME, "digest": DIGEST, "findings": list(findings), **fields}
    other = {"reference": "registry.example.com/shop/web:2", "digest": "ab" * 32, "findings": [DENIED]}
    repositories = [{"reference": "registry.example.com/shop/api"}]
    return World.model_validate({"images": [other, image], "repositories": repositories, "quirks": {"canary": CANARY}})


WORLDS = {
    "blocked": _world(*ROWS, DENIED),
    "passed": _world(*ROWS),
    "clean, just scanned": _world(scan=[{"status": "SUCCESS", "last": "now"}]),
    "fresh": _world(DENIED, scan=[{"status": None}], listed_after={"sync": True}),
}


@dataclass
class Service:
    """What stands behind the loopback server: a world, and which of the calls is answered by other bytes."""

    state: State
    call: tuple[str, int] | None = None  # an action, and which of its calls, counted from 0
    bend: object = None  # Answer -> Answer
    heard: list = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, action, parameters):
        with self.lock:  # a state is for one thread
            try:
                status, body = 200, answer(self.state, action, parameters, (), "REQUEST-ID")
            except RefusalError as refusal:
                status, body = refusal.status, {"RequestId": "REQUEST-ID", "Code": refusal.code, "Message": refusal.message}
            told = (status, body)
            number = sum(heard == action for heard, _ in self.heard)
            self.heard.append((action, told))
        return self.bend(status, body) if (action, number) == self.call else (status, json.dumps(body).encode("ascii"), {})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parameters = parse_qsl(self.path.partition("?")[2], keep_blank_values=True)
        status, body, headers = self.server.service.answer(self.headers["x-acs-action"], parameters)
        self.send_response_only(status)
        for name, value in {
            "Date": formatdate(usegmt=True),
            "Content-Type": "application/json",
            "Content-Length": len(body),
            **headers,
        }.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except OSError:  # the client has gone
            self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    service: Service


@pytest.fixture(scope="module")
def gate():
    """A function that runs the gate on a service, and returns exit code, everything that it said, and seconds."""
    summary, judges = summarise(parse_policy(POLICY, origin="p.yml"), [])
    with _Server(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        heard = []
        address = f"127.0.0.1:{server.server_address[1]}"
        transport, url = connect(
            parse_endpoint(address, allow_any=False),
            "cn-shanghai",
            AccessKey("LTAIexampleembedded", "not-a-secret-at-all", "not-a-token-at-all"),
            lambda record: heard.append(describe_call(record, parameters=True)),
        )

        def run(service, seconds=SECONDS):
            server.service = service
            heard.clear()
            transport.limiter = Limiter()
            info = SourceInfo("emulated", url)
            source = SecurityCenter(transport, info, ScanRange(), lambda step: heard.append(repr(step)), scan="auto")
            started = time.monotonic()
            image = decide_image(
                source, Asked(REFERENCE, ImageReference.parse(REFERENCE)), Judging(judges, TODAY), ImpatientDeadline(seconds)
            )
            took = time.monotonic() - started
            result = RunResult("0", info, summary, (image,), today=TODAY)
            said = [repr(result), *heard, render_terminal(result), *(render(name, result) for name in FORMATS)]
            return int(result.exit_code), "\n".join(said), took, result

        yield run
        server.shutdown()
        transport._session.close()


# --- what becomes of an answer ---

HEADERS = st.sampled_from(
    [
        {"Content-Type": "text/html"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Encoding": "gzip"},
        {"Content-Encoding": "x"},
        {"x-acs-request-id": "\x1b[31m::error::"},
        {"x-acs-request-id": CANARY[:3] + "x" * 200},
        {"x-acs-retry-after": "99999999999999999999"},
        {"x-acs-retry-after": "-1"},
        {"Date": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"Date": "Fri, 31 Dec 9999 23:59:59 -1200"},
        {"Date": "x"},
        {"Set-Cookie": "a=b"},
        {"Location": "http://127.0.0.1:9/"},
    ]
)
STATUS = st.sampled_from([201, 204, 206, 302, 304, 400, 401, 403, 404, 418, 429, 500, 503, 599])
MEANT = [
    "true",
    "200",
    200,
    "high",
    "pem",
    "sqlite",
    DIGEST,
    f"sha256:{DIGEST}",
    "ab" * 32,
    "SUCCESS",
    3,
    "3",
    20,
    "Throttling.User",
    "NoPermission",
]


@st.composite
def bendings(draw, told, others):
    """Draw other bytes for an answer: a document with other fields mostly, or its text with other characters, or what is around it."""
    status, body = told
    how = draw(st.sampled_from(["fields"] * 6 + ["text", "cut", "many", "status", "headers", "of another call"]))
    headers = draw(HEADERS) if how == "headers" else {}
    if how == "status":
        status = draw(STATUS)
    elif how == "fields":
        body = draw(bent([body], MEANT, keep=["Promt"]))
    elif how == "of another call":
        body = draw(st.sampled_from(others))
    raw = json.dumps(body).encode("ascii")
    if how in {"text", "cut", "many"}:
        at = draw(st.integers(0, len(raw)))
        if how == "text":
            # Never so much that the excerpt gets into the place of another text.
            piece = draw(st.sampled_from([*'{}[],:"\\', *ODD])).encode("utf-8", "surrogatepass")
            raw = raw[:at] + piece + raw[at + draw(st.integers(0, 2)) :]
        elif how == "cut":
            raw = raw[:at]
        else:
            raw = raw[:at] + draw(st.sampled_from([b" ", b"[", b"{", b'{"a":', b'"', b"\\", b"0", b"\xff", b","])) * 50_000 + raw[at:]
    return status, raw, headers


@st.composite
def cases(draw, honest):
    """Draw a world, one of the calls that the gate makes in it, and what that one is answered.

    Calls are made side by side: in another run, only those of one action are sure to come after each other.
    """
    name = draw(st.sampled_from(list(honest)))
    number = draw(st.integers(0, len(honest[name]) - 1))
    action, told = honest[name][number]
    nth = sum(earlier == action for earlier, _ in honest[name][:number])
    return name, (action, nth), draw(bendings(told, [body for _, (_, body) in honest[name]]))


@pytest.fixture(scope="module")
def honest(gate):
    """The answers of each world where nothing is mangled, in the order of the calls."""
    return {name: _honest(gate, world) for name, world in WORLDS.items()}


def _honest(gate, world):
    service = Service(State(world))
    gate(service, 30.0)
    return copy.deepcopy(service.heard)


@tried(100)
@given(st.data())
def test_one_mangled_answer_is_an_error_of_the_gate_or_changes_nothing_that_matters(gate, honest, data):
    name, call, other = data.draw(cases(honest))

    code, said, took, result = tries(gate, name, call, other)

    assert INTERNAL != code, result.images[0].causes
    assert CANARY not in said
    assert took < SECONDS + GRACE_S
    assert code != PASSED or name in {"passed", "clean, just scanned"}
    assert code != BLOCKED or name in {"blocked", "fresh"} or b"pem" in other[1]


def tries(gate, name, call, other):
    """Run the gate; where it was late, twice: a machine that is busy with other things proves nothing."""
    for _ in range(2):
        code, said, took, result = gate(Service(State(WORLDS[name]), call, lambda *_: other))
        if took < SECONDS + GRACE_S:
            break
    return code, said, took, result


def test_what_is_tried_is_right_to_begin_with(gate, honest):
    codes = {name: gate(Service(State(world)), 30.0)[0] for name, world in WORLDS.items()}

    assert {"blocked": 10, "passed": 0, "clean, just scanned": 0, "fresh": 10} == codes
    called = {action for calls in honest.values() for action, _ in calls}
    assert len(called) >= 8
    assert called <= set(CALLS)
    assert all(CANARY in json.dumps(calls) for name, calls in honest.items() if "clean" not in name)
