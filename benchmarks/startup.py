"""Start-up: what answers without a call must answer at once, as people and pipelines ask for it all the time."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from figures import Figure, rounded
from processes import CI_GATE, run

_IMAGE = f"registry.example.com/shop/api:1.4.2@sha256:{'5e' * 32}"
_WRONG = "version: 1\nname: wrong\ndeny: {keys: [aws_acess_key]}\n"
_POLICY_INVALID = 3


def measure(runs: int) -> list[Figure]:
    """Run the commands in turn, so that whatever else the machine does hits all of them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "wrong.yaml").write_text(_WRONG, "utf-8")
        commands = (
            ([sys.executable, "-c", "import click, jinja2"], 0),
            ([CI_GATE, "--help"], 0),
            ([CI_GATE, "check", _IMAGE, "-p", "wrong.yaml"], _POLICY_INVALID),
        )
        rounds = [[run(command, folder, code) for command, code in commands] for _ in range(runs + 1)]
    plain, usage, wrong = (
        rounded([1000 * seconds for seconds in each]) for each in zip(*rounds[1:], strict=True)
    )  # the first fills caches
    against = 'against `python -c "import click, jinja2"`'
    return [
        Figure(f"`ci-gate --help`, {against}", "ms", usage, plain, bound=2.0),
        Figure(f"an error in the policy, {against}", "ms", wrong, plain, bound=3.0),
    ]
