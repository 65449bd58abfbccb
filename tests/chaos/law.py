"""The law of the gate, and how it is held against one case: the real SDK over real HTTP, in this process."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import ssl
import time
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import FlakyFailure
from oracle import truth_of
from schedules import CANARY, REFERENCE, SECRET, TOKEN, Case, cases

from ci_gate.cli.output import describe_call
from ci_gate.deadline import Deadline
from ci_gate.emulator.app import serve
from ci_gate.emulator.world import World
from ci_gate.gate import Asked, Judging, decide_image
from ci_gate.model import ImageReference, SourceInfo
from ci_gate.policy.language.floors import summarise
from ci_gate.policy.language.load import parse_policy
from ci_gate.report import FORMATS, render
from ci_gate.report.github import commands_of, output_lines, outputs_of
from ci_gate.report.terminal import render_terminal
from ci_gate.security_center.endpoint import parse_endpoint
from ci_gate.security_center.findings import ScanRange
from ci_gate.security_center.source import SecurityCenter
from ci_gate.security_center.transport import AccessKey, connect
from ci_gate.verdict import RunResult

if TYPE_CHECKING:
    from collections.abc import Callable

GRACE_S = 2.0
_SHORTER = 50  # pauses are so much shorter than in earnest; the deadline is not
_TODAY = date(2026, 11, 24)
_ASKED = Asked(REFERENCE, ImageReference.parse(REFERENCE))
PASSED, BLOCKED, INTERNAL = 0, 10, 70
_FAIR_CAP = 7  # rows

# No call of these runs needs a trust store, and to load one takes longer than all the rest.
ssl.create_default_context = functools.cache(ssl.create_default_context)
for _name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
    os.environ.pop(_name, None)
os.environ["ALIBABA_CLOUD_ECS_METADATA_DISABLED"] = "true"


class LawError(AssertionError):
    """The law was broken; the message says how, and by which case."""


class ImpatientDeadline(Deadline):
    """A deadline in earnest, whose pauses are short: a fault is tried again as often, but not as late."""

    def sleep(self, seconds: float) -> bool:
        return super().sleep(seconds / _SHORTER)


@dataclass(frozen=True)
class Outcome:
    """How the gate ended on a case: its code, all that it said, by the name of the report, and how long it took."""

    code: int
    run: RunResult
    reports: dict[str, str]
    seconds: float


@functools.cache
def _load(policy: str):
    return summarise(parse_policy(policy, origin="policy.yaml", default_name="chaos"), [])


def run_gate(case: Case) -> Outcome:
    from darabonba.core import DaraCore

    summary, judges = _load(case.policy.text)
    heard: list[str] = []
    with serve(World.model_validate(case.world)) as served:
        key = AccessKey(served.access_key_id, served.access_key_secret, served.security_token)
        transport, url = connect(
            parse_endpoint(served.address, allow_any=False),
            served.region,
            key,
            lambda record: heard.append(describe_call(record, parameters=True)),
        )
        try:
            info = SourceInfo("emulated", url)
            source = SecurityCenter(transport, info, ScanRange(), lambda step: heard.append(repr(step)), scan=case.scan)
            started = time.monotonic()
            image = decide_image(source, _ASKED, Judging(judges, _TODAY), ImpatientDeadline(case.seconds))
            took = time.monotonic() - started
        finally:
            DaraCore._sessions.pop(f"{url.partition('://')[0]}://{served.address}:80:pool=16", None)
            transport._session.close()
    run = RunResult("0", info, summary, (image,), today=_TODAY)
    reports = {name: render(name, run) for name in FORMATS}
    reports["terminal"] = render_terminal(run)
    live = replace(run, source=replace(info, kind="live"))  # a stand-in's hand on nothing to deploy
    reports["outputs"] = output_lines(outputs_of(live, None))
    reports["annotations"] = "\n".join(commands_of(run))
    reports["log"] = "\n".join(heard)
    return Outcome(int(run.exit_code), run, reports, took)


def breaches(case: Case, outcome: Outcome) -> list[str]:
    """Return how a run broke the law; nothing where it kept it."""
    return [*_untrue(case, outcome), *_better_than_the_code(outcome), *_leaks(outcome), *_late(case, outcome)]


def _untrue(case: Case, outcome: Outcome):
    truth = truth_of(case)
    decisions = outcome.run.images[0].verdict.decisions
    read = Counter((one.finding.key, one.finding.path, one.finding.risk_level, one.finding.md5) for one in decisions)
    if outcome.code == INTERNAL:
        yield f"a bug of the gate: {[cause.what for cause in outcome.run.images[0].causes]}"
    if outcome.code == PASSED and not truth.provable:
        yield "exit code 0, and the truth is no pass"
    if outcome.code == PASSED and read != truth.findings:
        yield f"exit code 0, and not every finding was read: lost {truth.findings - read}, made up {read - truth.findings}"
    if outcome.code == BLOCKED and not truth.blocks:
        yield f"exit code 10, and the truth does not block; made up {read - truth.findings}"
    if _is_fair(case) and (truth.provable or truth.blocks) and outcome.code != (BLOCKED if truth.blocks else PASSED):
        yield f"nothing went wrong, and the exit code is {outcome.code}: {[cause.what for cause in outcome.run.images[0].causes]}"


def _is_fair(case: Case) -> bool:
    """Whether nothing goes wrong.

    Under a cap of a few rows there is no second page size that could tell rows that are alike apart, and one that is not echoed looks like
    lost rows; and where no scan may be asked for, an image that is not listed yet is not waited for.
    """
    quirks = case.world["quirks"]
    cap = quirks["page_size_cap"]
    small = cap is not None and (cap < _FAIR_CAP or not quirks.get("cap_echoed", True))
    late = case.scan == "never" and any("listed_after" in image for image in case.world["images"])
    return not case.faults and not small and not late and case.world["account"]["token_expires_after_calls"] is None


def _better_than_the_code(outcome: Outcome):
    passed = outcome.code == PASSED
    for name, good in _says_passed(outcome.reports).items():
        if good and not passed:
            yield f"{name} says that it passed, the exit code is {outcome.code}"
        if passed and not good:
            yield f"{name} does not say that it passed, the exit code is 0"
    document = json.loads(outcome.reports["json"])
    if document["exit_code"] != outcome.code:
        yield f"the JSON report says {document['exit_code']}, the exit code is {outcome.code}"


def _says_passed(reports: dict[str, str]) -> dict[str, bool]:
    junit = ET.fromstring(reports["junit"])
    sarif = json.loads(reports["sarif"])["runs"]
    outputs = dict(re.findall(r"^([a-z0-9-]+)<<(?:ci-gate-[0-9a-f]+)\n(.*)$", reports["outputs"], re.MULTILINE))
    html = re.search(r'<div class="verdict (\w+)">', reports["html"])
    return {
        "junit": int(junit.get("failures")) + int(junit.get("errors")) == 0,
        "markdown": "passed" in reports["markdown"].partition(":")[0].lower(),
        "sarif": all(one["invocations"][0]["executionSuccessful"] for one in sarif)
        and not any(result["level"] == "error" and not result.get("suppressions") for one in sarif for result in one["results"]),
        "json": json.loads(reports["json"])["verdict"] == "passed",
        "html": html is not None and html[1] == "passed",
        "codequality": "blocker" not in [issue["severity"] for issue in json.loads(reports["gitlab-codequality"])],
        "terminal": reports["terminal"].startswith("PASSED"),
        "outputs": outputs["verdict"] == "passed" and outputs["exit-code"] == "0",
        "output image": outputs["image"] != "",
        "annotations": reports["annotations"].startswith("::notice"),
    }


def _leaks(outcome: Outcome):
    for name, text in (*outcome.reports.items(), ("the result", repr(outcome.run))):
        for what in (CANARY, SECRET, TOKEN):
            if what in text:
                yield f"{name} holds {what}"


def _late(case: Case, outcome: Outcome):
    if outcome.seconds > case.seconds + GRACE_S:
        yield f"it took {outcome.seconds:.1f} s, the deadline was {case.seconds} s"


def hold(case: Case) -> Outcome:
    """Run the gate on a case.

    :raises LawError: if the law was broken. Where only the time was, twice: a machine that is busy with other things proves nothing.
    """
    outcome = run_gate(case)
    if any(_late(case, outcome)):
        outcome = run_gate(case)
    broken = breaches(case, outcome)
    if broken:
        raise LawError(f"{'; '.join(broken)}\n{case!r}")
    return outcome


@dataclass
class Held:
    """The cases that kept the law: how often each exit code came, and a mark of each case, for some are drawn twice."""

    codes: Counter = field(default_factory=Counter)
    marks: set[bytes] = field(default_factory=set)


def search(examples: int, number: int, *, shrink: bool = True, check: Callable[[Case], Outcome] = hold) -> Held:
    """Hold many random cases against the law.

    :param number: another one draws other cases.
    :raises LawError: with the smallest case that was found, if one breaks it.
    """
    held = Held()
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]

    @seed(number)
    @settings(max_examples=examples, deadline=None, database=None, phases=phases, suppress_health_check=list(HealthCheck))
    @given(cases())
    def try_case(case):
        held.codes[check(case).code] += 1
        held.marks.add(hashlib.sha256(repr(case).encode()).digest())

    try:
        try_case()
    except FlakyFailure as error:
        # Threads and clocks are not drawn: a case may break the law at one time and keep it at the next. Once is too often.
        raise next((one for one in error.exceptions if isinstance(one, LawError)), error) from error
    return held
