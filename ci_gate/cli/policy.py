"""``ci-gate policy``: validate, show, explain, test and begin a policy."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ci_gate.cli.baseline import DAYS, DEFAULT_FILE, Connection, denied_of, judge_sources, say_denied
from ci_gate.cli.output import say, say_causes
from ci_gate.cli.parameters import connection_options, floor_options, policy_option
from ci_gate.cli.reporting import check_kept, check_working_directory, is_same_file, policy_to_load
from ci_gate.cli.shared import (
    STDOUT,
    Day,
    chosen,
    load_named,
    path_from,
    policy_argument,
    today_utc,
    write_file,
    write_files,
    write_listing,
    write_out,
)
from ci_gate.cli.waivers import exemptions
from ci_gate.errors import ExitCode, GateError, InvalidDocumentError, ReportError, UsageError, worst
from ci_gate.model import many
from ci_gate.report.text import printable
from ci_gate.result_document.write import harmless_json
from ci_gate.verdict import Validity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from ci_gate.policy.judging.explain import Trace
    from ci_gate.policy.language.load import LoadedPolicy
    from ci_gate.policy.selftest import TestResult

_STARTER = Path(".ci-gate.yml")
_MIN_DIGITS = 6
_SENTENCE = 1_000
_MAX_TESTED = 200


@click.group(short_help="Validate, show, explain, test and begin a policy.")
def policy() -> None:
    """Validate, show, explain, test and begin a policy."""


@policy.command(short_help="Say whether policies are valid, and everything that is wrong with them.")
@click.argument("sources", nargs=-1, metavar="[POLICY]...")
@policy_option
def check(sources: tuple[str, ...], policy: str | None) -> ExitCode:
    """Say whether policies are valid: one line for each that is, and everything that is wrong with one that is not (exit code 3).

    POLICY is a file or a built-in; without it, the policy is the one that `ci-gate check` would take here.
    """
    check_working_directory()
    named = (chosen(sources[0] if sources else None, policy), *sources[1:])
    codes = [_check_one(source) for source in named]
    return worst(codes)


def _check_one(source: str | None) -> ExitCode:
    from ci_gate.cli.run import load_chosen_policy

    try:
        loaded = load_chosen_policy(source)
    except InvalidDocumentError as error:
        say_causes(error.causes)
        return error.code
    write_out(f"{printable(_summary(loaded), _SENTENCE)}\n")
    for note in loaded.notes:
        say(f"  note: {note.where}: {note.what}")
    for entry in exemptions(loaded, today_utc()):
        if entry.state is not Validity.ACTIVE:
            when = f"on {entry.created}" if entry.state is Validity.PENDING else f"on {entry.expires}"
            verb = {Validity.PENDING: "begins", Validity.EXPIRING: "ends", Validity.EXPIRED: "ended"}[entry.state]
            say(f"  warning: {entry.kind} {entry.name} {verb} {when} ({entry.where or loaded.summary.origin})")
    return ExitCode.PASSED


def _summary(loaded: LoadedPolicy) -> str:
    """Say what a policy is, on one line."""
    from ci_gate.policy.judging.keys import denied_keys

    effective = loaded.policy
    every = (
        (len(denied_keys(effective)), "denied key"),
        (len(effective.waivers) + sum(len(override.waivers) for override in effective.overrides), "waiver"),
        (sum(len(baseline.entries) for baseline in effective.baselines), "baselined fingerprint"),
        (len(effective.overrides), "override"),
        (len(loaded.document.tests), "test"),
    )
    counts = ", ".join(many(number, noun) for number, noun in every)
    return f"{loaded.summary.name} ({loaded.summary.origin}): valid, mode {effective.mode}, sha256 {effective.sha256}, {counts}"


@policy.command(short_help="Print what a policy comes to, with the origin of each value.")
@policy_argument
@click.option("--format", "form", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True, help="How to print it.")
@click.option("--image", metavar="REF", help="As it is for this image: with the overrides that fit it.")
def show(named: str | None, policy: str | None, form: str, image: str | None) -> ExitCode:
    """Print what a policy comes to with its parents and defaults, each value with the file and line that it comes from."""
    from ci_gate.model import ImageReference
    from ci_gate.policy.show import Shown, narrowed, show_json, show_yaml

    loaded = load_named(named, policy)
    shown = Shown(loaded.policy, loaded.summary.name, loaded.summary.origin, loaded.policy.sha256, loaded.origins)
    if image is not None:
        shown = narrowed(shown, ImageReference.parse(image).canonical)
    write_listing(harmless_json(show_json(shown)) if form == "json" else show_yaml(shown))
    return ExitCode.PASSED


@policy.command(short_help="Say step by step how the findings of a saved result are decided.")
@click.argument("result", metavar="RESULT")
@click.option("--finding", metavar="FINGERPRINT", help="Only findings whose fingerprint begins with these digits, at least 6.")
@click.option("-p", "--policy", metavar="FILE|NAME", help="Judge by this policy.  [default: the one that is stored in the result]")
@floor_options
@click.option(
    "--as-of", type=Day(), metavar="DATE", help="Judge waivers and baselines as on this day (UTC).  [default: the day of the result]"
)
def explain(
    result: str, finding: str | None, policy: str | None, floors: tuple[str, ...], floor_sha256: tuple[str, ...], as_of: date | None
) -> ExitCode:
    """Say step by step how the findings of a saved result (`-o json=RESULT` of check) are decided: what applied, and why not others.

    The stored floors judge in any case: a --floor comes beside them, or takes the place of the stored one of the same name.
    """
    from ci_gate.cli.saved import load_given, reopen
    from ci_gate.policy.judging.explain import explain as trace

    check_working_directory()
    wanted = "" if finding is None else _digits(finding)
    opened = reopen(result)
    given = load_given(policy, floors, floor_sha256, as_of)
    summary, judging = opened.judged_by(given)
    opened.say_floors(given, summary)
    parts = []
    for image, inventory in opened.inventories():
        traces = trace(judging.judges, inventory, judging.today, image.canonical)
        meant = [entry for entry in traces if entry.decision.finding.fingerprint.startswith(wanted)]
        if meant or not wanted:
            parts.append("".join(_image_lines(image.asked, meant)))
    if wanted and not parts:
        raise UsageError(
            f"no finding of {result!r} has a fingerprint that begins with {wanted}",
            advice=f"List them all, with their fingerprints: ci-gate policy explain {result}",
        )
    write_listing("\n".join(parts))
    return ExitCode.PASSED


def _digits(text: str) -> str:
    """Return the beginning of a fingerprint.

    :raises UsageError: if it is none, or too short to mean one finding.
    """
    digits = text.strip().lower()
    if len(digits) < _MIN_DIGITS or not set(digits) <= set("0123456789abcdef"):
        raise UsageError(
            f"--finding {text[:80]!r} is no beginning of a fingerprint",
            advice=f"Give at least {_MIN_DIGITS} of its hex digits, as the reports tell them.",
        )
    return digits


def _image_lines(asked: str, traces: Sequence[Trace]) -> Iterator[str]:
    yield f"{printable(asked, _SENTENCE)}: {many(len(traces), 'finding')}\n"
    for entry in traces:
        found = entry.decision.finding
        yield f"\n{str(entry.decision.outcome).upper()} {printable(found.key, 128)} in {printable(found.path, _SENTENCE)}\n"
        yield f"  fingerprint {found.fingerprint} #{found.ordinal}, risk level {printable(found.risk_level, 40)}\n"
        yield from (f"  {number}. {printable(step, _SENTENCE)}\n" for number, step in enumerate(entry.steps, 1))


@policy.command(short_help="Run the tests that a policy holds.")
@policy_argument
@floor_options
@click.option("-o", "--output", metavar="junit=PATH", help="Write the outcome as JUnit XML; PATH - is stdout.")
def test(named: str | None, policy: str | None, floors: tuple[str, ...], floor_sha256: tuple[str, ...], output: str | None) -> ExitCode:
    """Run the tests that a policy holds under `tests`. Exit code 11 when one fails, or there is none."""
    path = _junit_path(output)
    if path not in {None, STDOUT}:
        policies = [each for each in (named, policy) if each is not None] or policy_to_load(None)
        check_kept([("the junit report", str(path))], (), (*policies, *floors))
    try:
        loaded = load_named(named, policy)
        name, results = _tested(loaded, floors, floor_sha256)
    except GateError as error:
        if path not in {None, STDOUT}:
            _leave_junit(path, error)
        raise
    if path != STDOUT:
        write_out("".join(_test_lines(name, results)))
    if path is not None:
        _write_junit(path, name, results)
    if not results:
        say(f"the policy {name} has no tests")
        say("  -> Add some under `tests`; `ci-gate policy init -o -` prints a policy with examples.")
    return ExitCode.PASSED if results and all(result.passed for result in results) else ExitCode.CHECK_FAILED


def _tested(loaded: LoadedPolicy, floors: tuple[str, ...], sums: tuple[str, ...]) -> tuple[str, tuple[TestResult, ...]]:
    """Return the name of the policy and what became of its tests."""
    from ci_gate.policy.language.floors import load_floors, summarise
    from ci_gate.policy.selftest import run_tests

    _, judges = summarise(loaded, load_floors(floors, sums))
    return loaded.summary.name, run_tests(loaded, today_utc(), judges.floors)


def _junit_path(output: str | None) -> str | None:
    """Return the path of ``junit=PATH``.

    :raises UsageError: if it is written otherwise, or there is no working directory.
    """
    if output is None:
        return None
    form, equals, path = output.partition("=")
    if form != "junit" or not equals or not path:
        raise UsageError(f"-o {output[:200]!r} is not junit=PATH", advice="Write it like junit=policy-tests.xml.")
    check_working_directory()
    return path


def _leave_junit(path: str | None, error: GateError) -> None:
    """Have the JUnit file say why nothing was tested; where it cannot be written, the error says that, too."""
    try:
        _write_junit(path, "not loaded", (), error)
    except ReportError as failed:
        error.causes = (*error.causes, *failed.causes)


def _write_junit(path: str | None, name: str, results: Sequence[TestResult], error: GateError | None = None) -> None:
    from ci_gate.report.selftest import render_selftest

    text = render_selftest(name, results, error.causes if error else ())
    if path == STDOUT:
        write_out(text)
    elif path is not None:
        write_file(Path(path), text, "the junit report")


def _test_lines(name: str, results: Sequence[TestResult]) -> Iterator[str]:
    failed = sum(not result.passed for result in results)
    for result in results:
        word = "ok  " if result.passed else "FAIL"
        yield f"{word}  {printable(result.name, _MAX_TESTED)}: {result.got}\n"
        if not result.passed:
            yield f"      expected {result.expected}, got {result.got}: {printable(result.detail, _SENTENCE)}\n"
    yield f"{printable(name, _MAX_TESTED)}: {many(len(results), 'test')}, {failed} failed\n" if results else ""


@policy.command(short_help="Print the JSON Schema of the policy language.")
def schema() -> ExitCode:
    """Print the JSON Schema of the policy language, for editors."""
    from ci_gate.policy.language.schema import schema_text

    write_listing(schema_text())
    return ExitCode.PASSED


@policy.command(short_help="Write a policy to start from.")
@click.option(
    "--from", "source", metavar="IMAGE|RESULT", help="Also write a baseline of what is in an image, or in a saved result of check."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=_STARTER, show_default=True, help="Where to; - is stdout.")
@click.option(
    "--baseline-file", type=click.Path(path_type=Path), help=f"Where the baseline goes.  [default: {DEFAULT_FILE} beside the policy]"
)
@click.option("--expires", type=Day(), metavar="DATE", help=f"Last day (UTC) of the baseline.  [default: {DAYS} days from today]")
@click.option("--include-denied", is_flag=True, help="Take findings of denied keys into the baseline as well.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@connection_options
def init(
    source: str | None,
    output: Path,
    baseline_file: Path | None,
    expires: date | None,
    *,
    include_denied: bool,
    force: bool,
    **connection: Any,
) -> ExitCode:
    """Write a policy to start from: short, every field explained, with tests.

    With --from also a baseline of what is there today, so that only new findings block until it expires.
    """
    from ci_gate.policy.starter import starter_text

    check_working_directory()
    to_stdout = str(output) == STDOUT
    if source is None:
        if baseline_file is not None or expires is not None or include_denied:
            raise UsageError("--baseline-file, --expires and --include-denied are about a baseline", advice="Give --from, too.")
        if not to_stdout:
            _check_free(output, force=force)
        _deliver(output, starter_text(today_utc()))
        return ExitCode.PASSED
    if to_stdout:
        raise UsageError("with --from there are two files to write", advice="Give -o a path.")
    beside = baseline_file or output.parent / DEFAULT_FILE
    return _init_from(source, output, beside, expires, Connection(**connection), include_denied=include_denied, force=force)


def _init_from(
    source: str, output: Path, beside: Path, expires: date | None, connection: Connection, *, include_denied: bool, force: bool
) -> ExitCode:
    """Write a baseline of an image or a saved result, and the policy that names it."""
    from ci_gate.policy.language.baseline import make_baseline
    from ci_gate.policy.language.load import parse_policy
    from ci_gate.policy.starter import StarterBaseline, starter_text

    today = today_utc()
    last = expires or today + timedelta(days=DAYS)
    if last < today:
        raise UsageError(f"--expires {last} is over", advice="Give a day to come.")
    inside = _below(beside, output.parent)
    for path in (output, beside):
        if is_same_file(source, path) or is_same_file(output, beside):
            raise UsageError(f"{path} is more than one of the files that are read and written", advice="Give each a path of its own.")
        _check_free(path, force=force)
    text = starter_text(today, StarterBaseline(inside, last, include_denied))  # a name that it cannot spell is refused before all else
    starter = parse_policy(starter_text(today), origin="the starter policy", default_name=output.stem.lstrip("."))
    judged = judge_sources((source,), "default", connection, starter)
    known = make_baseline(judged, include_denied=include_denied)
    write_files(((beside, known), (output, text)), "the policy and baseline")
    say(f"wrote {beside}: what is there today, until {last}")
    _say_written(output)
    if not include_denied:
        say_denied(denied_of(judged))
    return ExitCode.PASSED


def _below(path: Path, folder: Path) -> str:
    """Return a path relative to the folder of the policy.

    :raises UsageError: if it is not in there: a policy names files in its folder only.
    """
    inside = path_from(folder, path)
    if inside is None:
        raise UsageError(
            f"--baseline-file {str(path)!r} is not below the folder of the policy", advice=f"Put it into {str(folder)!r} or below."
        )
    return inside


def _check_free(path: Path, *, force: bool) -> None:
    """Refuse to replace a file.

    :raises UsageError: if there is something at the path.
    """
    if not force and os.path.lexists(path):
        raise UsageError(f"{str(path)!r} is there already", advice="Give another path, or --force to replace it.")


def _deliver(output: Path, text: str) -> None:
    """Write the policy, and say what to do with it."""
    if str(output) == STDOUT:
        write_out(text)
        return
    write_file(output, text, "the policy")
    _say_written(output)


def _say_written(output: Path) -> None:
    say(f"wrote {output}")
    name = "" if output == _STARTER else f" {output}"
    say(f"  -> Read it, then: ci-gate policy check{name}, ci-gate policy test{name}, ci-gate check --help")
