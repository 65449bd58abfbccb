"""Processes of their own, for what is measured and for the embedded endpoint: neither takes time or memory from the other."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection

P = ParamSpec("P")
T = TypeVar("T")

CI_GATE = Path(sys.executable).parent / "ci-gate"
_SPAWN = multiprocessing.get_context("spawn")  # a fork would begin with the modules and the memory of this process


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A running endpoint: how it is called. ``pipe`` leads to its process."""

    address: str
    access_key_id: str
    access_key_secret: str
    pipe: Connection | None = None

    @property
    def without_pipe(self) -> Endpoint:
        """The same, to hand to another process."""
        return replace(self, pipe=None)

    @property
    def environment(self) -> dict[str, str]:
        """What ``ci-gate emulate`` prints: a command that is run with it calls this endpoint."""
        return {
            "CI_GATE_ENDPOINT": self.address,
            "ALIBABA_CLOUD_ACCESS_KEY_ID": self.access_key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": self.access_key_secret,
        }

    def statuses(self) -> list[int]:
        """Return the HTTP status of every call since the last time, in their order."""
        assert self.pipe is not None
        self.pipe.send("statuses")
        found: list[int] = self.pipe.recv()
        return found


@contextmanager
def serving(images: Sequence[dict[str, Any]], **quirks: object) -> Iterator[Endpoint]:
    """Serve images of a world file on loopback while the context lasts."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_serve, args=({"version": 1, "images": list(images), "quirks": quirks}, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        address, access_key_id, access_key_secret = ours.recv()
        yield Endpoint(address, access_key_id, access_key_secret, ours)
    finally:
        ours.close()  # which ends it
        process.join(10)


def _serve(world: dict[str, Any], pipe: Connection) -> None:
    from ci_gate.emulator.app import serve
    from ci_gate.emulator.world import parse_world

    with serve(parse_world(json.dumps(world).encode())) as endpoint, suppress(EOFError):
        pipe.send((endpoint.address, endpoint.access_key_id, endpoint.access_key_secret))
        while pipe.recv():
            pipe.send([call.status for call in endpoint.calls])
            endpoint.calls.clear()


def alone(task: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Run a function in a process that does nothing else, and return what it returns."""
    with ProcessPoolExecutor(1, mp_context=_SPAWN) as pool:
        return pool.submit(task, *arguments, **named).result()


def run(command: Sequence[object], folder: Path, expected: int, environment: dict[str, str] | None = None) -> float:
    """Run a command in a folder, without anything of this environment that it does not need; return the seconds that it took.

    :raises RuntimeError: if it ends with another code than expected: then its time says nothing.
    """
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    given = {**kept, "HOME": str(folder), "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true", **(environment or {})}
    started = time.perf_counter()
    done = subprocess.run([str(part) for part in command], cwd=folder, env=given, capture_output=True, text=True, check=False, timeout=300)
    seconds = time.perf_counter() - started
    if done.returncode != expected:
        raise RuntimeError(f"{command} ended with {done.returncode}, not {expected}:\n{done.stderr}")
    return seconds
