"""The whole process, as a pipeline runs it: the gate, and the script that a user would write (``loop.py``)."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from figures import Figure, rounded
from processes import CI_GATE, run, serving

_DIGEST = "5e" * 32
_IMAGE = f"registry.example.com/shop/api:1.4.2@sha256:{_DIGEST}"
_LOOP = Path(__file__).with_name("loop.py")
_HIGH_RISK, _BLOCKED = 1, 10


def measure(findings: int, latency_ms: int, rounds: int) -> list[Figure]:
    """Run both on one image with findings of all keys, some of high risk; the gate writes its reports, the script prints.

    In each round the script runs once, as it takes long, and the gate twice.
    """
    images = [{"reference": _IMAGE.partition("@")[0], "digest": _DIGEST, "generate": {"count": findings}}]
    with serving(images, latency=latency_ms / 1000) as endpoint, tempfile.TemporaryDirectory() as name:
        folder, environment = Path(name), endpoint.environment
        gate = [CI_GATE, "check", _IMAGE, "--report-dir", "reports"]
        script = [sys.executable, _LOOP, _DIGEST]
        ours, plain = [], []
        for _ in range(rounds):
            ours.append(run(gate, folder, _BLOCKED, environment))
            plain.append(run(script, folder, _HIGH_RISK, environment))
            ours.append(run(gate, folder, _BLOCKED, environment))
    what = f"the whole process: {findings:,} findings, {latency_ms} ms a call"
    return [Figure(what, "s", rounded(ours), rounded(plain), "at least", 8.0)]
