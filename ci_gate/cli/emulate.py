"""``ci-gate emulate``: run the embedded endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ci_gate.cli.output import say
from ci_gate.cli.reporting import to_stdout
from ci_gate.cli.signals import RunSignal
from ci_gate.errors import Cause, ExitCode, InvalidDocumentError, UsageError

if TYPE_CHECKING:
    from ci_gate.deadline import Deadline
    from ci_gate.emulator.app import Endpoint
    from ci_gate.emulator.world import World


def read_world(path: Path | None, deadline: Deadline | None = None) -> World:
    """Load a world file, or the demo world.

    :param deadline: that of the run; a pipe is waited for no longer.
    :raises InvalidDocumentError: with every problem of the file and its place.
    """
    from ci_gate.emulator.world import WorldError, demo_world, parse_world
    from ci_gate.emulator.yaml_reader import MAX_BYTES
    from ci_gate.policy.language.files import read_file

    if path is None:
        return demo_world()
    missing = "Check the path; without one, the demo world is taken."
    raw = read_file(path, str(path), noun="world file", limit=MAX_BYTES, missing=missing, regular=False, deadline=deadline)
    try:
        return parse_world(raw)
    except WorldError as error:
        advice = "Correct the world file; its fields are described in docs/world-files.md."
        raise InvalidDocumentError.of(
            Cause(ExitCode.POLICY_INVALID, problem.message, advice, where=f"{path}:{problem.line}:{problem.column}")
            for problem in error.problems
        ) from None


@click.command(short_help="Run the embedded endpoint.")
@click.argument("world", required=False, type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on loopback; 0 takes a free one.  [default: 0]")
def emulate(world: Path | None, port: int) -> ExitCode:
    """Run the embedded endpoint: Security Center as WORLD describes it, on loopback.

    Without WORLD it serves the demo world. Prints the endpoint and its test credentials as shell assignments; stop it with Ctrl-C.
    """
    from ci_gate.emulator.app import serve_forever

    def ready(endpoint: Endpoint) -> None:
        told = {
            "CI_GATE_ENDPOINT": endpoint.address,
            "ALIBABA_CLOUD_ACCESS_KEY_ID": endpoint.access_key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": endpoint.access_key_secret,
            **({"ALIBABA_CLOUD_SECURITY_TOKEN": endpoint.security_token} if endpoint.security_token else {}),
        }
        to_stdout("".join(f"export {name}={value}\n" for name, value in told.items()))
        say("the embedded endpoint is EMULATED; nothing it answers is about a real image. Ctrl-C ends it.")

    try:
        serve_forever(read_world(world), port, ready)
    except RunSignal:
        return ExitCode.PASSED  # to be stopped is how it ends
    except OSError as error:
        raise UsageError(f"port {port} cannot be used: {error.strerror}", advice="Choose another --port, or leave it out.") from None
    return ExitCode.PASSED
