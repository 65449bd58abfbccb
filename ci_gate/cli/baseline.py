"""``ci-gate baseline``: write down what was there when the gate was introduced."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ci_gate.cli.output import say
from ci_gate.cli.parameters import connection_options, policy_option
from ci_gate.cli.reporting import check_kept, check_working_directory, policy_to_load
from ci_gate.cli.shared import STDOUT, path_from, today_utc, write_file, write_out
from ci_gate.errors import (
    PRECEDENCE,
    ExitCode,
    GateError,
    InterruptedRunError,
    InvalidDocumentError,
    TerminatedRunError,
    UsageError,
    error_for,
)
from ci_gate.model import many

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ci_gate.cli.saved import Reopened
    from ci_gate.errors import Cause
    from ci_gate.gate import Judging
    from ci_gate.policy.language.load import LoadedPolicy
    from ci_gate.verdict import Decision, ImageResult

DEFAULT_FILE = Path("ci-gate-baseline.json")
DAYS = 90  # how long a baseline is proposed to last
_SHOWN = 10
_LIKE_A_FILE = re.compile(r"^(\.{0,2}|~)/|\.json$", re.IGNORECASE)  # as no image reference is written


@dataclass(frozen=True, slots=True)
class Connection:
    """Which service is asked for the images, and for how long: the options of the same names."""

    region: str
    endpoint: str | None
    allow_endpoint: bool
    timeout_s: float


@click.group(short_help="Write a baseline of today's findings.")
def baseline() -> None:
    """Write down the findings that are there today, so that only new ones block."""


@baseline.command(short_help="Write a baseline of today's findings.")
@click.argument("sources", nargs=-1, required=True, metavar="IMAGE|RESULT...")
@policy_option
@click.option("-o", "--output", type=click.Path(path_type=Path), default=DEFAULT_FILE, show_default=True, help="Where to; - is stdout.")
@click.option("--include-denied", is_flag=True, help="Take findings of denied keys in as well; the policy has to say so, too.")
@connection_options
def create(sources: tuple[str, ...], policy: str | None, output: Path, include_denied: bool, **connection: Any) -> ExitCode:
    """Write a baseline of the findings of images, or of saved results of check (an argument that is a file is one).

    Only what was proven complete, and of the real service, gets in. Findings of denied keys are left out, unless --include-denied is
    given. A saved result counts as it was decided, unless --policy is given; the floors of its run judge in any case.
    """
    from ci_gate.policy.language.baseline import make_baseline

    check_working_directory()
    if str(output) != STDOUT:
        # A baseline that the policy names may be replaced: that is how it is made anew.
        check_kept([("the baseline", str(output))], sources, policy_to_load(policy), baselines=False)
    judged = judge_sources(sources, policy, Connection(**connection))
    text = make_baseline(judged, include_denied=include_denied)
    if str(output) == STDOUT:
        write_out(text)
    else:
        write_file(output, text, "the baseline")
    say(f"{'the baseline' if str(output) == STDOUT else output}: {_size(text)} of {many(len(judged), 'image')}")
    if not include_denied:
        say_denied(denied_of(judged))
    if str(output) != STDOUT:
        inside = _say_place(output, policy)
        denied = ", include_denied: true" if include_denied else ""
        write_out(f"baseline: {{file: {_yaml_text(inside)}, expires: {today_utc() + timedelta(days=DAYS)}{denied}}}\n")
    return ExitCode.PASSED


def _say_place(output: Path, policy: str | None) -> str:
    """Say which policy is to name the baseline; return how that one does."""
    from ci_gate.policy.language.load import POLICY_FILES
    from ci_gate.policy.language.sources import builtin_policies

    if policy is None or policy in builtin_policies():
        found = (name for name in POLICY_FILES if policy is None and os.path.lexists(name))
        loaded = next(found, POLICY_FILES[0])
    else:
        loaded = policy
    inside = path_from(Path(loaded).parent, output)
    if inside is not None:
        say(f"put this into {loaded}:")
        return inside
    say(f"a policy names files below its own folder, and {output} is not below that of {loaded}: move it there, and write into the policy:")
    return output.name


def judge_sources(
    sources: Sequence[str], policy: str | None, connection: Connection, loaded: LoadedPolicy | None = None
) -> tuple[ImageResult, ...]:
    """Return the results of images and saved results, every one of them complete and of the real service.

    :param policy: what judges the images, and the saved results, too, where it was named.
    :param loaded: a policy that judges all findings again, whatever judged them before.
    :raises GateError: with the code of what is in the way.
    """
    files = [source for source in sources if Path(source).is_file()]
    for source in sources:
        if source not in files and _LIKE_A_FILE.search(source):
            what = f"{source!r} is no regular file" if os.path.lexists(source) else f"there is no file {source!r}"
            raise UsageError(what, advice="Give the path of a saved result, or an image as registry/namespace/repository@sha256:DIGEST.")
    images = tuple(source for source in sources if source not in files)
    results = [result for file in files for result in _of_result(file, policy, loaded)]
    if images:
        results += _of_images(images, policy, connection, loaded)
    return tuple(results)


def denied_of(results: Iterable[ImageResult]) -> list[Decision]:
    """Return what blocks by its key, whatever its number."""
    from ci_gate.policy.language.baseline import is_denied

    return [decision for result in results for decision in result.verdict.decisions if is_denied(decision)]


def say_denied(denied: Sequence[Decision]) -> None:
    """Say which findings of denied keys a baseline leaves out, and what can be done about them."""
    if not denied:
        return
    say(f"left out, and still blocking: {many(len(denied), 'finding of a denied key', 'findings of denied keys')}")
    for decision in denied[:_SHOWN]:
        say(f"  {decision.finding.key} in {decision.finding.path[:200]}")
    if len(denied) > _SHOWN:
        say(f"  and {len(denied) - _SHOWN} more")
    say("  -> Rotate and remove them, or waive them in the policy one by one, or take all of them in with --include-denied.")


def _of_result(file: str, policy: str | None, loaded: LoadedPolicy | None) -> tuple[ImageResult, ...]:
    """Return the results of a saved run, judged by the policy that is stored in it unless another one was named; its floors stay.

    :raises InvalidDocumentError: if it does not load, is not complete, or is not about real images.
    """
    from ci_gate.cli.saved import Given, reopen
    from ci_gate.policy.language.load import load_policy

    opened = reopen(file)
    run = opened.run
    if run.source.kind != "live":
        raise _refused(f"the saved result is {_article(run.source.kind)}: it is no proof of what is in an image", run.origin)
    causes = [*run.causes, *(cause for image in run.images for cause in image.causes)]
    missing = [cause for cause in causes if cause.code is not ExitCode.REPORT_FAILED]
    if missing or opened.judging is None or not run.images:
        why = missing[0].what if missing else "no image was judged"
        raise _refused(f"the saved result is not complete: {why}", run.origin)
    by = loaded or (load_policy(policy) if policy is not None else None)
    judging = opened.judging
    if by is not None:
        given = Given(by, as_of=today_utc())
        summary, judging = opened.judged_by(given)
        opened.say_floors(given, summary)
    results = tuple(opened.decide(judging))
    for cause in (cause for result in results for cause in result.causes):
        raise _refused(f"the saved result does not hold the proofs that the policy asks for: {cause.what}", run.origin)
    return tuple(_with_denials(opened, judging, results))


def _with_denials(opened: Reopened, judging: Judging, results: Sequence[ImageResult]) -> Iterator[ImageResult]:
    """Yield the results with the denial of a floor where the policy blocks, too, for another reason: a verdict names the policy's alone."""
    from ci_gate.policy.effective import Judges
    from ci_gate.policy.judging.evaluate import judge
    from ci_gate.policy.language.baseline import is_denied

    for result, (image, inventory) in zip(results, opened.inventories(), strict=True):
        decisions = result.verdict.decisions
        for floor in judging.judges.floors:
            alone = judge(Judges(floor.policy), inventory, judging.today, image.canonical, mode=judging.mode).decisions
            pairs = zip(decisions, alone, strict=True)
            decisions = tuple(theirs if is_denied(theirs) and not is_denied(ours) else ours for ours, theirs in pairs)
        yield replace(result, verdict=replace(result.verdict, decisions=decisions))


def _refused(what: str, where: str) -> InvalidDocumentError:
    return InvalidDocumentError(what, advice="Make the baseline of a check of the real service that is complete.", where=where)


def _of_images(images: tuple[str, ...], policy: str | None, connection: Connection, loaded: LoadedPolicy | None) -> tuple[ImageResult, ...]:
    """Return the results of images that the service is asked for now.

    :raises GateError: with the code of the run, if it was not complete, or it was not the real service.
    """
    from ci_gate.cli.run import CheckOptions, decide

    run = decide(CheckOptions(images=images, policy=policy, **asdict(connection)))
    if run.source.kind != "live":
        what = f"the endpoint is {_article(run.source.kind)}: what it answers is about no real image"
        raise InvalidDocumentError(what, advice="Leave --endpoint out, and unset CI_GATE_ENDPOINT.")
    causes = tuple(dict.fromkeys((*run.causes, *(cause for image in run.images for cause in image.causes))))
    if causes:
        raise _ended(causes)
    return run.images if loaded is None else tuple(_judged_again(image, loaded) for image in run.images)


def _judged_again(image: ImageResult, loaded: LoadedPolicy) -> ImageResult:
    from ci_gate.model import Inventory, proven_name
    from ci_gate.policy.effective import Judges
    from ci_gate.policy.judging.evaluate import judge

    inventory = Inventory(tuple(decision.finding for decision in image.verdict.decisions), image.evidence)
    canonical = proven_name(image.reference, image.evidence)
    return replace(image, verdict=judge(Judges(loaded.policy), inventory, today_utc(), canonical, name=loaded.summary.name))


def _ended(causes: Sequence[Cause]) -> GateError:
    """Return the error of a run that was not complete, with all that kept it from that."""
    decisive = min(causes, key=lambda cause: PRECEDENCE.index(cause.code))
    kinds: tuple[type[GateError], ...] = (InvalidDocumentError, InterruptedRunError, TerminatedRunError)
    kind = next((kind for kind in kinds if kind.code is decisive.code), None)
    error = kind(decisive.what, advice=decisive.advice) if kind else error_for(decisive)
    error.causes = tuple(causes)
    return error


def _size(text: str) -> str:
    """Say how much a baseline covers."""
    entries = json.loads(text)["findings"]
    return f"{many(sum(entry['count'] for entry in entries), 'finding')} in {many(len(entries), 'entry', 'entries')}"


def _article(kind: str) -> str:
    return "an EMULATED one" if kind == "emulated" else "a REPLAY"


def _yaml_text(text: str) -> str:
    """Write a text for a place in YAML where it might be taken for something else."""
    return text if re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", text, re.ASCII) else json.dumps(text, ensure_ascii=False)
