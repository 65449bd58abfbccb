"""``ci-gate doctor``: what stands between the gate and Security Center, and what the service does where nobody knows."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ci_gate import __version__
from ci_gate.cli.output import say
from ci_gate.cli.parameters import connection_options, policy_option
from ci_gate.cli.reporting import is_same_file
from ci_gate.cli.shared import STDOUT, write_file, write_out
from ci_gate.errors import ExitCode, GateError, UsageError, bug
from ci_gate.report.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ci_gate.deadline import Deadline
    from ci_gate.model import EvidenceRules, ImageReference
    from ci_gate.security_center.diagnosis import Line
    from ci_gate.security_center.endpoint import Endpoint
    from ci_gate.security_center.probe import Observation
    from ci_gate.security_center.transport import AccessKey, Transport

_TIMEOUT = "1m"
_LONGEST_LINE = 1000
_EMULATED = "EMULATED: a stand-in on this machine answered, not Security Center"


@dataclass(frozen=True, slots=True)
class _Options:
    """The command line of ``doctor``; ``emulate`` is ``None`` for the real service, ``""`` for the demo world, else a world file."""

    region: str
    endpoint: str | None
    allow_endpoint: bool
    timeout_s: float
    policy: str | None
    emulate: str | None
    reference: ImageReference | None


@dataclass(frozen=True, slots=True)
class _Examined:
    """What was found: lines, and, where a probe was asked for and could be made, its observations and its transcript."""

    lines: tuple[Line, ...]
    emulated: bool
    observations: tuple[Observation, ...] = ()
    transcript: str = ""


@click.command(short_help="Look for what keeps the gate from working, and say how to mend it.")
@click.option("--probe", metavar="IMAGE", help="Try on an image of yours what nobody knows of the service; only reads.")
@click.option("-o", "--output", metavar="FILE", help="Where the transcript of --probe goes.  [default: -, stdout]")
@click.option("--ram-policy", is_flag=True, help="Print the smallest RAM policy that the gate needs, and do nothing else.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to print the lines.")
@policy_option
@connection_options
@click.option(
    "--emulate",
    is_flag=False,
    flag_value="",
    metavar="[WORLD]",
    help="Ask the embedded endpoint, as WORLD describes it; without WORLD, the demo world.",
)
def doctor(
    probe: str | None,
    output: str | None,
    policy: str | None,
    emulate: str | None,
    *,
    ram_policy: bool,
    form: str,
    **connection: Any,
) -> ExitCode:
    """Look for what keeps the gate from working: credentials, endpoint, clock, permissions, quota, rules; a line each with the remedy.

    With --probe it also runs one experiment on IMAGE for each thing that the gate can only assume of the service, and writes a
    transcript without secrets, which can be attached to a bug report, and which `ci-gate emulate` takes as a world file.

    Exit code 0 when nothing failed, 11 when something did, 21 when credentials are missing or rejected.
    """
    from ci_gate.model import ImageReference

    if ram_policy:
        return _print_ram_policy(probe)
    if output is not None and probe is None:
        raise UsageError("-o is where the transcript of --probe goes", advice="Give --probe, too.")
    if output not in {None, STDOUT} and any(is_same_file(str(output), path) for path in (emulate, policy) if path):
        raise UsageError(f"-o {output!r} is a file that is read", advice="Give the transcript a path of its own.")
    if emulate is not None and connection["endpoint"] is not None:
        raise UsageError("--emulate and --endpoint contradict each other", advice="Give one of them, and unset CI_GATE_ENDPOINT.")
    reference = None if probe is None else ImageReference.parse(probe)
    examined = _examine(_Options(policy=policy, emulate=emulate, reference=reference, **connection))
    return _tell(examined, form, output, probing=probe is not None)


# A check may wait for a scan; this waits for answers only.
next(option for option in doctor.params if option.name == "timeout_s").default = _TIMEOUT


def _print_ram_policy(probe: str | None) -> ExitCode:
    from ci_gate.security_center.permissions import ram_policy

    if probe is not None:
        raise UsageError("--ram-policy asks nothing, --probe does", advice="Give one of them.")
    write_out(json.dumps(ram_policy(), indent=2) + "\n")
    return ExitCode.PASSED


# --- examining ---


def _examine(options: _Options) -> _Examined:
    """Look at everything; what fails is a line."""
    from ci_gate.deadline import Deadline
    from ci_gate.security_center.diagnosis import Line, State, diagnose, failed_line, local_lines
    from ci_gate.security_center.endpoint import parse_endpoint

    deadline = Deadline(options.timeout_s)
    rules, policy_line = _policy(options.policy, deadline)
    lines = [*local_lines(os.environ), policy_line]
    endpoint = None if options.endpoint is None else parse_endpoint(options.endpoint, allow_any=options.allow_endpoint)
    with ExitStack() as stack:
        key, region = None, options.region
        if options.emulate is not None:
            endpoint, key, region = _serve(options.emulate, stack, deadline)
        emulated = endpoint is not None and endpoint.loopback
        try:
            transport, url = _connect(endpoint, region, key)
        except GateError as error:
            return _Examined((*lines, failed_line("endpoint", error)), emulated)
        lines.extend(diagnose(transport, url, region, rules, deadline))
        if options.reference is None:
            return _Examined(tuple(lines), emulated)
        if transport.heard is None or any(line.unauthorized for line in lines):
            lines.append(Line("probe", State.NOT_ASKED, "the service does not answer: see above"))
            return _Examined(tuple(lines), emulated)
        return _probe(transport, options.reference, region, deadline, _Examined(tuple(lines), emulated))


def _probe(transport: Transport, reference: ImageReference, region: str, deadline: Deadline, examined: _Examined) -> _Examined:
    """Run the experiments, after the lines of what was examined before."""
    from ci_gate.security_center.diagnosis import Line, State, failed_line
    from ci_gate.security_center.probe import gather, observe
    from ci_gate.security_center.transcript import transcript

    try:
        material = gather(transport, reference, deadline)
    except GateError as error:
        return _Examined((*examined.lines, failed_line("probe", error)), examined.emulated)
    observations = observe(material)
    seen = sum(one.seen for one in observations)
    line = Line("probe", State.OK, f"{seen} of {len(observations)} experiments saw something to tell by")
    asked = _EMULATED if examined.emulated else "Security Center was asked."
    versions = next(line.detail for line in examined.lines if line.check == "versions")
    header = (f"ci-gate {__version__}, {datetime.now(UTC).date()}, region {region}. {asked}", versions)
    return _Examined((*examined.lines, line), examined.emulated, observations, transcript(material, observations, header, region))


def _policy(named: str | None, deadline: Deadline) -> tuple[EvidenceRules, Line]:
    """Load the policy that a check here would use; return the evidence that it asks for, and the line about it."""
    from ci_gate.cli.run import load_chosen_policy
    from ci_gate.model import EvidenceRules
    from ci_gate.policy.effective import Judges
    from ci_gate.policy.judging.evaluate import evidence_rules
    from ci_gate.security_center.diagnosis import Line, State, failed_line

    try:
        loaded = load_chosen_policy(named, deadline)
    except GateError as error:
        return EvidenceRules(), failed_line("policy", error)
    except OSError as error:
        return EvidenceRules(), Line("policy", State.FAILED, f"it cannot be looked for: {error.strerror}", "Give --policy.")
    summary = loaded.summary
    detail = f"{summary.name} from {summary.origin}, mode {summary.mode}, sha256 {summary.sha256}"
    if summary.mode == "warn":
        return evidence_rules(Judges(loaded.policy)), Line("policy", State.WARNING, detail, "It blocks nothing: set mode: enforce.")
    return evidence_rules(Judges(loaded.policy)), Line("policy", State.OK, detail)


def _serve(world: str, stack: ExitStack, deadline: Deadline) -> tuple[Endpoint, AccessKey, str]:
    """Start the embedded endpoint for as long as ``stack`` is open."""
    from ci_gate.cli.emulate import read_world
    from ci_gate.emulator.app import serve
    from ci_gate.security_center.endpoint import parse_endpoint
    from ci_gate.security_center.transport import AccessKey

    served = stack.enter_context(serve(read_world(Path(world) if world else None, deadline)))
    key = AccessKey(served.access_key_id, served.access_key_secret, served.security_token)
    return parse_endpoint(served.address, allow_any=False), key, served.region


def _connect(endpoint: Endpoint | None, region: str, key: AccessKey | None) -> tuple[Transport, str]:
    """Build the transport.

    :raises GateError: for a region, a proxy or a CA file that is none, and where the SDK cannot be loaded.
    """
    from ci_gate.security_center.transport import connect

    try:
        return connect(endpoint, region, key, lambda _: None)
    except ImportError as error:
        cause = bug(error)
        raise UsageError(
            f"the SDK cannot be loaded: {cause.what}", advice="Install ci-gate again: its dependencies come with it."
        ) from None


# --- telling ---


def _tell(examined: _Examined, form: str, output: str | None, *, probing: bool) -> ExitCode:
    """Print what was found, and write the transcript; without a path for it, it has standard output for itself."""
    from ci_gate.security_center.diagnosis import exit_code

    code = exit_code(examined.lines)
    to_stdout = probing and output in {None, STDOUT}
    if form == "json":
        document = _document(examined, code)
        if to_stdout and probing:
            document["transcript"] = examined.transcript or None
        write_out(json.dumps(document, indent=2) + "\n")
    elif to_stdout:
        for line in _text(examined):
            say(line)
        write_out(examined.transcript)
    else:
        write_out("".join(f"{printable(line, _LONGEST_LINE)}\n" for line in _text(examined)))
    if not to_stdout and examined.transcript:
        assert output is not None  # else it had gone to standard output
        write_file(Path(output), examined.transcript, "the transcript")
        say(f"wrote {output}: read it before you attach it to anything")
    return code


def _text(examined: _Examined) -> Iterator[str]:
    if examined.emulated:
        yield _EMULATED
    width = max(len(line.check) for line in examined.lines)
    for line in examined.lines:
        yield f"{line.state:<9}  {line.check:<{width}}  {line.detail}"
        if line.remedy:
            yield f"{'':<9}  -> {line.remedy}"
    yield from _observed(examined.observations)


def _observed(observations: Iterable[Observation]) -> Iterator[str]:
    for one in observations:
        yield f"{'seen' if one.seen else 'not seen':<9}  {one.experiment}: {one.question}"
        yield f"{'':<9}  {one.told}"
        yield f"{'':<9}  -> the gate {one.gate}"


def _document(examined: _Examined, code: ExitCode) -> dict[str, Any]:
    """Return the lines as JSON, mapped by hand: others read it."""
    lines = [
        {"check": line.check, "state": str(line.state), "detail": line.detail, "remedy": line.remedy or None} for line in examined.lines
    ]
    observations = [{**asdict(one), "quirks": dict(one.quirks)} for one in examined.observations]
    return {"emulated": examined.emulated, "exit_code": int(code), "lines": lines, "observations": observations}
