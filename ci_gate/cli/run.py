"""One run of the gate from typed options to the exit code: what is known so far can be told at any moment."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ci_gate import __version__
from ci_gate.cli.asked import images_asked, input_files, standard_input
from ci_gate.cli.github import GithubStep
from ci_gate.cli.output import describe_call, say
from ci_gate.cli.progress import Progress
from ci_gate.cli.refused import RefusedLine
from ci_gate.cli.reporting import checked_reports, leave_reports, policy_to_load, run_with_reports, wanted_reports
from ci_gate.cli.signals import RunSignal, signal_behind
from ci_gate.deadline import Deadline
from ci_gate.errors import Cause, ExitCode, GateError, UnavailableError, UsageError, bug
from ci_gate.model import SourceInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import date

    from ci_gate.gate import Asked, Judging
    from ci_gate.model import Step
    from ci_gate.policy.language.load import LoadedPolicy
    from ci_gate.report import Target
    from ci_gate.security_center.source import SecurityCenter
    from ci_gate.security_center.transport import CallRecord
    from ci_gate.verdict import ImageResult, PolicySummary, RunResult

DEFAULT_REGION = "cn-shanghai"
DEFAULT_TIMEOUT_S = 600.0
_SIDE_BY_SIDE = 64  # images; the others begin as these end


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """The command line of ``check``. ``emulate`` is ``None`` for the real service, ``""`` for the demo world, else a world file."""

    images: tuple[str, ...] = ()
    images_file: str | None = None
    platform_digests: tuple[str, ...] = ()
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
    scan: str = "auto"
    include_containers: bool = False
    timeout_s: float = DEFAULT_TIMEOUT_S
    mode: str | None = None
    lang: str = "en"
    emulate: str | None = None
    github: bool = False
    verbose: int = 0
    quiet: bool = False


def run_check(options: CheckOptions) -> ExitCode:
    """Run the gate, write every report, print the summary; return the exit code.

    :raises UsageError: for options that make no sense before a report could be promised.
    """
    try:
        targets = checked_reports(_reports(options), *_files_read(options))
        platform = GithubStep.of_environment(options.report_dir) if options.github else None
    except UsageError as error:
        leave_reports(_Run(options), _reports(options), *_files_read(options), error)
        raise
    return run_with_reports(_Run(options), targets, quiet=options.quiet, platform=platform)


def refuse(words: Sequence[str], command: str, error: UsageError) -> None:
    """Have the reports that a line of a command names say that it was refused: none is left of another run.

    It has no meaning, so whatever else it names is kept, and nothing of it but ``error`` is told: it may hold a secret.
    """
    line = RefusedLine.of(words, command)
    options = CheckOptions(emulate="" if any(word.startswith("--emulate") for word in words) else None)
    policies = (*policy_to_load(os.environ.get("CI_GATE_POLICY")), *line.policies)
    leave_reports(_Run(options), line.reports, (*line.others, *standard_input()), policies, error)


def _reports(options: CheckOptions) -> tuple[Target, ...]:
    return wanted_reports(options.outputs, options.report_dir)


def _files_read(options: CheckOptions) -> tuple[list[str], tuple[str, ...]]:
    return input_files(options), (*policy_to_load(options.policy), *options.floors)


def decide(options: CheckOptions) -> RunResult:
    """Run the gate without writing or printing a result: for commands that do something else with it."""
    return _Run(options).result()


@dataclass(slots=True)
class _Run:
    """One run: what is known of it so far can be told at any moment."""

    options: CheckOptions
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    asked: tuple[Asked, ...] = ()
    done: dict[int, ImageResult] = field(default_factory=dict)  # by the place in `asked`
    deadlines: list[Deadline] = field(default_factory=list)  # one an image, for its stages
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
            behind = signal_behind(error)
            self.deadline.cancel()
            return self.ended(behind.error.causes if behind is not None else (bug(error),))
        return self.ended(())

    def _decide(self) -> None:
        options = self.options
        self.deadline = Deadline(options.timeout_s)
        self.asked = images_asked(options)
        with self.deadline.stage("policy"):
            judging = self._judging()
        progress = Progress(self.deadline, len(self.asked), quiet=options.quiet)
        with ExitStack() as stack:
            stack.enter_context(progress)
            with self.deadline.stage("connect"):
                source = _source(options, stack, self._observe, progress.step, len(self.asked), self.deadline)
            self.source = source.info
            self._decide_all(source, judging, progress)

    def _decide_all(self, source: SecurityCenter, judging: Judging, progress: Progress) -> None:
        """Decide every image, side by side: most of the time goes into waiting for scans."""
        from ci_gate.gate import decide_image
        from ci_gate.security_center.pool import NotRunError, run_all

        self.deadlines = [self.deadline.of_its_own() for _ in self.asked]

        def decide_one(place: int) -> None:
            asked = self.asked[place]
            self.done[place] = decide_image(source, asked, judging, self.deadlines[place])
            progress.decided(str(asked.reference or asked.text))

        tasks = [partial(decide_one, place) for place in range(len(self.asked))]
        for failure in run_all(tasks, _SIDE_BY_SIDE, lambda: self.deadline.passed):
            if isinstance(failure, NotRunError):
                advice = "Give the run more time with --timeout."
                raise UnavailableError("the time was up before every image was looked at", advice=advice)
            if isinstance(failure, BaseException):
                raise failure

    def _judging(self) -> Judging:
        """Load everything that judges; from then on every report can name it."""
        from ci_gate.policy.language.floors import load_floors, summarise

        options = self.options
        policy = load_chosen_policy(options.policy, self.deadline)
        floors = load_floors(options.floors, options.floor_sha256, self.deadline)
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
        every = self.asked or tuple(Asked(text, None) for text in self.options.images)
        done = dict(self.done)  # images that are still under way may end meanwhile
        images = [done.get(place) or (undecided(asked, causes[0]) if causes else None) for place, asked in enumerate(every)]
        return RunResult(
            tool_version=__version__,
            source=source,
            policy=summary,
            images=tuple(image for image in images if image is not None),
            causes=causes,
            started=self.started,
            seconds=_summed((self.deadline, *self.deadlines)),
            request_ids=tuple(sorted(self.request_ids)),
            today=self.today,
        )


def _summed(deadlines: Iterable[Deadline]) -> tuple[tuple[str, float], ...]:
    """Return the seconds of each stage, of all images together."""
    sums: dict[str, float] = {}
    for deadline in deadlines:
        for name, seconds in deadline.stages:
            sums[name] = round(sums.get(name, 0.0) + seconds, 3)
    return tuple(sums.items())


def load_chosen_policy(source: str | None, deadline: Deadline | None = None) -> LoadedPolicy:
    """Load the policy that was named, else the one of the working directory, else the built-in ``default``.

    :param deadline: that of the run; a pipe is waited for no longer.

    :raises InvalidDocumentError: with every mistake in it.
    """
    from ci_gate.policy.language.load import find_policy, load_policy

    return load_policy(source if source is not None else (find_policy(Path.cwd()) or "default"), deadline)


def _check_warn_mode(policies: Iterable[LoadedPolicy]) -> None:
    for loaded in policies:
        if loaded.policy.mode != "warn" and not loaded.policy.allow_warn_override:
            raise UsageError(
                f"--mode warn is not allowed by the policy {loaded.summary.name}",
                advice="Set allow_warn_override: true in that policy, or leave the option out.",
            )


def _source(
    options: CheckOptions,
    stack: ExitStack,
    observe: Callable[[CallRecord], None],
    notify: Callable[[Step], None],
    images: int,
    deadline: Deadline,
) -> SecurityCenter:
    """Connect to the service, or start the embedded endpoint for as long as ``stack`` is open.

    :param images: how many images share the connection.
    """
    from ci_gate.security_center.endpoint import parse_endpoint
    from ci_gate.security_center.findings import ScanRange
    from ci_gate.security_center.source import SecurityCenter
    from ci_gate.security_center.transport import AccessKey, connect

    endpoint, access_key, region = None, None, options.region
    if options.emulate is not None:
        from ci_gate.cli.emulate import read_world
        from ci_gate.emulator.app import serve

        served = stack.enter_context(serve(read_world(Path(options.emulate) if options.emulate else None, deadline)))
        endpoint = parse_endpoint(served.address, allow_any=False)
        access_key = AccessKey(served.access_key_id, served.access_key_secret, served.security_token)
        region = served.region
    elif options.endpoint is not None:
        endpoint = parse_endpoint(options.endpoint, allow_any=options.allow_endpoint)
    transport, url = connect(endpoint, region, access_key, observe)
    # The service is never on this machine: whatever answers there is a stand-in, and its "passed" is about no real image.
    kind = "emulated" if endpoint is not None and endpoint.loopback else "live"
    scan_range = ScanRange(options.include_containers, options.lang)
    transport.share_among(images)
    return SecurityCenter(transport, SourceInfo(kind, url, region), scan_range, notify, options.scan)
