"""``ci-gate replay``: decide again from saved results, without the network."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from ci_gate import __version__
from ci_gate.cli.output import say
from ci_gate.cli.parameters import floor_options, report_options
from ci_gate.cli.reporting import checked_reports, leave_reports, run_with_reports, wanted_reports
from ci_gate.cli.shared import Day
from ci_gate.cli.signals import RunSignal
from ci_gate.errors import Cause, ExitCode, GateError, UsageError, bug
from ci_gate.model import SourceInfo, many

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date
    from pathlib import Path

    from ci_gate.cli.saved import Reopened
    from ci_gate.gate import Judging
    from ci_gate.report import Target
    from ci_gate.verdict import Decision, ImageResult, PolicySummary, RunResult

_SHOWN_CHANGES = 3


@click.command(short_help="Decide again from saved results, without the network.")
@click.argument("results", nargs=-1, required=True, metavar="RESULT...")
@click.option("-p", "--policy", metavar="FILE|NAME", help="Judge by this policy.  [default: the one that is stored in the result]")
@floor_options
@click.option(
    "--as-of", type=Day(), metavar="DATE", help="Judge waivers and baselines as on this day (UTC).  [default: the day of the result]"
)
@report_options()
@click.option("-v", "--verbose", is_flag=True, help="Say every decision that changes.")
@click.option("-q", "--quiet", is_flag=True, help="Say only what is wrong.")
def replay(**options: Any) -> ExitCode:
    """Decide again from saved results (`-o json=RESULT` of check), without the network.

    Without options, the policy, the floors and the day that are stored in the result judge, and the verdict must be the saved one: a
    result that contradicts itself does not load (exit code 3). With --policy, --floor or --as-of it shows what these would change.
    The stored floors judge in any case: a --floor comes beside them, or takes the place of the stored one of the same name. What a run
    could not prove, no replay can: that stays undecided (exit code 20).
    """
    return run_replay(ReplayOptions(**options))


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """The command line of ``replay``."""

    results: tuple[str, ...]
    policy: str | None = None
    floors: tuple[str, ...] = ()
    floor_sha256: tuple[str, ...] = ()
    as_of: date | None = None
    outputs: tuple[tuple[str, str], ...] = ()
    report_dir: Path | None = None
    verbose: bool = False
    quiet: bool = False

    @property
    def asks_otherwise(self) -> bool:
        """Whether something else than what is stored judges."""
        return self.policy is not None or bool(self.floors) or self.as_of is not None


def run_replay(options: ReplayOptions) -> ExitCode:
    """Judge saved results again, write every report, print the summary; return the exit code.

    :raises UsageError: for options that make no sense before a report could be promised.
    """
    try:
        targets = checked_reports(_reports(options), *_files_read(options))
    except UsageError as error:
        leave_reports(_Replay(options), _reports(options), *_files_read(options), error)
        raise
    return run_with_reports(_Replay(options), targets, quiet=options.quiet)


def _reports(options: ReplayOptions) -> tuple[Target, ...]:
    return wanted_reports(options.outputs, options.report_dir)


def _files_read(options: ReplayOptions) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return options.results, (*options.floors, *([options.policy] if options.policy else []))


@dataclass(slots=True)
class _Replay:
    """One replay: what is known of it so far can be told at any moment."""

    options: ReplayOptions
    done: list[ImageResult] = field(default_factory=list)
    opened: list[Reopened] = field(default_factory=list)
    summary: PolicySummary | None = None
    judging: Judging | None = None

    def unfinished(self) -> RunResult:
        """Return the result of a replay that was killed."""
        return self.ended((Cause(ExitCode.TERMINATED, "the replay did not finish", "Run it again."),))

    def result(self) -> RunResult:
        """Judge to the end, whatever that is."""
        try:
            return self._decide()
        except GateError as error:
            return self.ended(error.causes)
        except RunSignal as signal:
            return self.ended(signal.error.causes)
        except Exception as error:  # noqa: BLE001 - a bug is reported in every report, too
            return self.ended((bug(error),))

    def _decide(self) -> RunResult:
        from ci_gate.cli.saved import load_given, reopen
        from ci_gate.replay.again import run_causes

        options = self.options
        if options.quiet and options.verbose:
            raise UsageError("-q and -v contradict each other", advice="Give one of them.")
        given = load_given(options.policy, options.floors, options.floor_sha256, options.as_of)
        self.opened = [reopen(path) for path in options.results]
        for opened in self.opened:
            summary, judging = opened.judged_by(given)
            self._take(summary, judging)
            if not options.quiet:
                _say_origin(opened)
                opened.say_floors(given, summary)
                _say_mode(opened, judging)
            results = tuple(opened.decide(judging))
            if options.asks_otherwise and not options.quiet:
                _say_changes(opened, results, verbose=options.verbose)
            self.done += results
        return self.ended(tuple(dict.fromkeys(cause for opened in self.opened for cause in run_causes(opened.run))))

    def _take(self, summary: PolicySummary, judging: Judging) -> None:
        """Keep what judges. A run has one policy and one day.

        :raises UsageError: if another result is to be judged by others.
        """
        if self.summary is not None and (self.summary.sha256, self.summary.mode) != (summary.sha256, summary.mode):
            advice = "Replay them one by one; where their floors are the same, --policy helps, too."
            raise UsageError("the results were judged by different policies", advice=advice)
        if self.judging is not None and self.judging.today != judging.today:
            raise UsageError("the results were judged on different days", advice="Replay them one by one, or give --as-of.")
        self.summary, self.judging = self.summary or summary, self.judging or judging

    def ended(self, causes: tuple[Cause, ...]) -> RunResult:
        """Return what is known: the images that were judged again, and these causes."""
        from ci_gate.verdict import PolicySummary, RunResult

        runs = [opened.run for opened in self.opened]
        first = runs[0] if runs else None
        return RunResult(
            tool_version=__version__,
            source=SourceInfo("replay", first.source.endpoint if first else "", first.source.region if first else ""),
            policy=self.summary or PolicySummary(self.options.policy or "not loaded", "enforce", "", ""),
            images=tuple(self.done),
            causes=causes,
            started=first.started if first else "",
            request_ids=tuple(sorted({request_id for run in runs for request_id in run.request_ids})),
            today=self.judging.today if self.judging else None,
        )


def _say_origin(opened: Reopened) -> None:
    from ci_gate.replay.again import replayed_source

    run = opened.run
    say(f"{replayed_source(run).detail}: {run.origin}")
    if run.tool_version != __version__:
        say(f"  it was written by ci-gate {run.tool_version}, this is {__version__}: its verdict is not held against its findings")


def _say_mode(opened: Reopened, judging: Judging) -> None:
    """Say where the mode that the command line of the run asked for does not count any more."""
    if opened.judging is not None and opened.judging.mode != judging.mode:
        say(f"  --mode {opened.judging.mode} of the run does not count here: each policy judges in its own mode")


def _say_changes(opened: Reopened, results: Iterable[ImageResult], *, verbose: bool) -> None:
    """Say for each image what is decided otherwise than in the saved run."""
    for image, result in zip(opened.run.images, results, strict=True):
        before, now = str(image.document["status"]), str(result.status)
        say(f"{image.asked}: {before} -> {now}" if before != now else f"{image.asked}: {now}, as before")
        then = {(row["fingerprint"], row["ordinal"]): str(row["decision"]) for row in image.document["findings"]}
        changes: dict[tuple[str, str], list[Decision]] = defaultdict(list)
        for decision in result.verdict.decisions:
            was = then[decision.finding.fingerprint, decision.finding.ordinal]
            if was != decision.outcome:
                changes[was, str(decision.outcome)].append(decision)
        for (was, becomes), decisions in sorted(changes.items()):
            say(f"  {was} -> {becomes}: {many(len(decisions), 'finding')}")
            shown = decisions if verbose else decisions[:_SHOWN_CHANGES]
            for decision in shown:
                say(f"    {decision.finding.key} in {decision.finding.path[:200]}: {decision.rule_text[:400]}")
            if len(decisions) > len(shown):
                say(f"    and {len(decisions) - len(shown)} more; -v says them all")
        if not changes:
            say("  every finding is decided as before")
