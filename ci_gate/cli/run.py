"""One run of the gate from typed options to the exit code: what is known so far can be told at any moment."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ci_gate import __version__
from ci_gate.cli.output import describe_call, say
from ci_gate.cli.reporting import policy_files, run_with_reports, wanted_reports
from ci_gate.cli.signals import RunSignal
from ci_gate.deadline import Deadline
from ci_gate.errors import Cause, ExitCode, GateError, UnavailableError, UsageError, bug
from ci_gate.model import ImageReference, SourceInfo, normalise_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import date

    from ci_gate.gate import Asked, Judging
    from ci_gate.policy.language.load import LoadedPolicy
    from ci_gate.security_center.source import SecurityCenter
    from ci_gate.security_center.transport import CallRecord
    from ci_gate.verdict import ImageResult, PolicySummary, RunResult

DEFAULT_REGION = "cn-shanghai"
DEFAULT_TIMEOUT_S = 600.0
_MAX_METADATA_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """The command line of ``check``. ``emulate`` is ``None`` for the real service, ``""`` for the demo world, else a world file."""

    images: tuple[str, ...] = ()
    policy: str | None = None
    floors: tuple[str, ...] = ()
    floor_sha256: tuple[str, ...] = ()
    since: str | None = None
    outputs: tuple[tuple[str, str], ...] = ()
    report_dir: Path | None = None
    metadata_file: Path | None = None
    image_uuid: str | None = None
    region: str = DEFAULT_REGION
    endpoint: str | None = None
    allow_endpoint: bool = False
    include_containers: bool = False
    timeout_s: float = DEFAULT_TIMEOUT_S
    mode: str | None = None
    lang: str = "en"
    emulate: str | None = None
    verbose: int = 0
    quiet: bool = False


def run_check(options: CheckOptions) -> ExitCode:
    """Run the gate, write every report, print the summary; return the exit code.

    :raises UsageError: for options that make no sense before a report could be promised.
    """
    given = (*policy_files(options.policy), *options.floors, options.metadata_file, options.emulate)
    inputs = [str(path) for path in given if path]
    targets = wanted_reports(options.outputs, options.report_dir, inputs)
    return run_with_reports(_Run(options), targets, quiet=options.quiet)


def decide(options: CheckOptions) -> RunResult:
    """Run the gate without writing or printing a result: for commands that do something else with it."""
    return _Run(options).result()


@dataclass(slots=True)
class _Run:
    """One run: what is known of it so far can be told at any moment."""

    options: CheckOptions
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    asked: tuple[Asked, ...] = ()
    done: list[ImageResult] = field(default_factory=list)
    source: SourceInfo = SourceInfo("")  # noqa: RUF009 - frozen
    request_ids: list[str] = field(default_factory=list)
    summary: PolicySummary | None = None
    today: date = field(default_factory=lambda: datetime.now(UTC).date())
    deadline: Deadline = field(default_factory=lambda: Deadline(DEFAULT_TIMEOUT_S))

    def unfinished(self) -> RunResult:
        """Return the result of a run that was killed: every image undecided."""
        cause = Cause(ExitCode.TERMINATED, "the run did not finish", "Look at the log of the job for what ended it, then run again.")
        return self.ended((cause,))

    def result(self) -> RunResult:
        """Run to the end, whatever that is."""
        try:
            self._decide()
        except GateError as error:
            return self.ended(error.causes)
        except RunSignal as signal:
            self.deadline.cancel()
            return self.ended(signal.error.causes)
        except Exception as error:  # noqa: BLE001 - a bug is reported in every report, too
            return self.ended((bug(error),))
        return self.ended(())

    def _decide(self) -> None:
        options = self.options
        self.deadline = Deadline(options.timeout_s)
        self.asked = _asked(options)
        with self.deadline.stage("policy"):
            judging = self._judging()
        with ExitStack() as stack:
            with self.deadline.stage("connect"):
                source = _source(options, stack, self._observe)
            self.source = source.info
            from ci_gate.gate import decide_image

            for asked in self.asked:
                if self.done and self.deadline.passed:
                    raise UnavailableError(
                        "the time was up before every image was looked at", advice="Give the run more time with --timeout."
                    )
                self.done.append(decide_image(source, asked, judging, self.deadline))

    def _judging(self) -> Judging:
        """Load everything that judges; from then on every report can name it."""
        from ci_gate.policy.language.floors import load_floors, summarise

        options = self.options
        policy = load_chosen_policy(options.policy)
        floors = load_floors(options.floors, options.floor_sha256)
        if options.mode == "warn":
            _check_warn_mode([policy, *floors])
        self.summary, judges = summarise(policy, floors, mode=options.mode)
        from ci_gate.gate import Judging

        return Judging(judges, self.today, policy.summary.name, options.mode)

    def _observe(self, record: CallRecord) -> None:
        if record.request_id:
            self.request_ids.append(record.request_id)
        if self.options.verbose:
            say(describe_call(record, parameters=self.options.verbose > 1))
        elif record.outcome != "ok" and not self.options.quiet:
            say(describe_call(record, parameters=False))

    def ended(self, causes: tuple[Cause, ...]) -> RunResult:
        """Return what is known: the images that are done, and the others undecided for these causes."""
        from ci_gate.gate import Asked, undecided
        from ci_gate.verdict import PolicySummary, RunResult

        # Until the connection stands, the command line alone tells what will be asked.
        source = self.source if self.source.kind else SourceInfo("live" if self.options.emulate is None else "emulated")
        summary = self.summary or PolicySummary(self.options.policy or "not loaded", "enforce", "", "")
        rest = self.asked[len(self.done) :] or (() if self.done else tuple(Asked(text, None) for text in self.options.images))
        pending = tuple(undecided(asked, causes[0]) for asked in rest) if causes else ()
        return RunResult(
            tool_version=__version__,
            source=source,
            policy=summary,
            images=(*self.done, *pending),
            causes=causes,
            started=self.started,
            seconds=self.deadline.stages,
            request_ids=tuple(sorted(self.request_ids)),
            today=self.today,
        )


def _asked(options: CheckOptions) -> tuple[Asked, ...]:
    from ci_gate.gate import Asked

    if options.quiet and options.verbose:
        raise UsageError("-q and -v contradict each other", advice="Give one of them.")
    if options.emulate is not None and options.endpoint is not None:
        raise UsageError("--emulate and --endpoint contradict each other", advice="Give one of them, and unset CI_GATE_ENDPOINT.")
    if options.image_uuid is not None and not re.fullmatch(r"[A-Za-z0-9_.:-]{1,128}", options.image_uuid):
        raise UsageError("--image-uuid is no uuid", advice="Copy it from Security Center: letters, digits and dashes.")
    if not options.images and options.image_uuid is None:
        raise UsageError("no image was named", advice="Give an image reference, or --image-uuid.")
    if len(options.images) > 1 and (options.image_uuid is not None or options.metadata_file is not None):
        raise UsageError("--image-uuid and --metadata-file are about one image", advice="Check the images one by one.")
    if len(set(options.images)) != len(options.images):
        raise UsageError("an image is named twice", advice="Name each image once.")
    if len(options.images) > 1 and options.since is not None:
        raise UsageError("--since is about one image", advice="Check the images one by one.")
    since = ImageReference.parse(options.since) if options.since is not None else None
    references = [ImageReference.parse(text) for text in options.images]
    if options.metadata_file is not None:
        if not references:
            raise UsageError("--metadata-file needs an IMAGE", advice="Name the image whose digest the file holds.")
        references = [_with_digest(references[0], options.metadata_file)]
    if not references:
        return (Asked(f"uuid {options.image_uuid}", None, options.image_uuid, since),)
    if since is not None and since.digest is not None and since.digest == references[0].digest:
        raise UsageError("--since names the very image that is judged", advice="Name the image that is deployed now.")
    return tuple(Asked(text, reference, options.image_uuid, since) for text, reference in zip(options.images, references, strict=True))


def _with_digest(reference: ImageReference, path: Path) -> ImageReference:
    """Take the digest from a metadata file of buildx (field ``containerimage.digest``)."""
    advice = "Pass the file that `docker buildx build --push --metadata-file FILE` wrote."
    try:
        with path.open("rb") as stream:
            document = json.loads(stream.read(_MAX_METADATA_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no JSON"
        raise UsageError(f"--metadata-file {str(path)!r} cannot be read: {why}", advice=advice) from None
    digest = document.get("containerimage.digest") if isinstance(document, dict) else None
    if not isinstance(digest, str):
        raise UsageError(f"--metadata-file {str(path)!r} has no containerimage.digest", advice=advice)
    pinned = ImageReference.parse(f"{reference.canonical}@{digest}")
    if reference.digest is not None and reference.digest != normalise_digest(digest):
        raise UsageError(f"{reference} and --metadata-file name different digests", advice="Give one of them.")
    return replace(reference, digest=pinned.digest)


def load_chosen_policy(source: str | None) -> LoadedPolicy:
    """Load the policy that was named, else the one of the working directory, else the built-in ``default``.

    :raises InvalidDocumentError: with every mistake in it.
    """
    from ci_gate.policy.language.load import find_policy, load_policy

    return load_policy(source if source is not None else (find_policy(Path.cwd()) or "default"))


def _check_warn_mode(policies: Iterable[LoadedPolicy]) -> None:
    for loaded in policies:
        if loaded.policy.mode != "warn" and not loaded.policy.allow_warn_override:
            raise UsageError(
                f"--mode warn is not allowed by the policy {loaded.summary.name}",
                advice="Set allow_warn_override: true in that policy, or leave the option out.",
            )


def _source(options: CheckOptions, stack: ExitStack, observe: Callable[[CallRecord], None]) -> SecurityCenter:
    """Connect to the service, or start the embedded endpoint for as long as ``stack`` is open."""
    from ci_gate.security_center.endpoint import parse_endpoint
    from ci_gate.security_center.findings import ScanRange
    from ci_gate.security_center.source import SecurityCenter
    from ci_gate.security_center.transport import AccessKey, connect

    endpoint, access_key, region = None, None, options.region
    if options.emulate is not None:
        from ci_gate.cli.emulate import read_world
        from ci_gate.emulator.app import serve

        served = stack.enter_context(serve(read_world(Path(options.emulate) if options.emulate else None)))
        endpoint = parse_endpoint(served.address, allow_any=False)
        access_key = AccessKey(served.access_key_id, served.access_key_secret, served.security_token)
        region = served.region
    elif options.endpoint is not None:
        endpoint = parse_endpoint(options.endpoint, allow_any=options.allow_endpoint)
    transport, url = connect(endpoint, region, access_key, observe)
    # The service is never on this machine: whatever answers there is a stand-in, and its "passed" is about no real image.
    kind = "emulated" if endpoint is not None and endpoint.loopback else "live"
    scan_range = ScanRange(options.include_containers, options.lang)
    return SecurityCenter(transport, SourceInfo(kind, url, region), scan_range, lambda line: None if options.quiet else say(line))
