"""SARIF 2.1.0, for GitHub code scanning and viewers: a run a repository, a rule a key, a result a finding.

A run whose images are not all decided says so twice: ``executionSuccessful`` is false, and there is a result of its own, since many
consumers read results only. A file without an ``error`` and with successful runs only is that of a run that passed.
"""

from __future__ import annotations

import json
import re
import zlib
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ci_gate.model import RiskLevel
from ci_gate.report.entries import (
    TEXT,
    Identities,
    advised,
    causes_of_run,
    comparisons,
    doubts,
    entries,
    exceptions,
    groups_of,
    home,
    judges,
    left_out,
    location,
    open_causes,
    place,
    repository,
    source_mark,
    statement,
    title,
    urgency,
)
from ci_gate.report.markdown import code, plain
from ci_gate.report.text import printable, shorten
from ci_gate.report.words import BASE_LAYERS, ROTATE, SOFTENED, headline, reason, run_next_step, scanner, short
from ci_gate.result_document.write import harmless_json
from ci_gate.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ci_gate.errors import Cause
    from ci_gate.report.entries import Entry
    from ci_gate.verdict import Decision, ImageResult, RunResult

# GitHub refuses a file with more than 20 runs, 25,000 results or rules in one, 10 MB compressed. The JSON report holds every finding.
MAX_RUNS = 20
MAX_RESULTS = 25_000  # in the whole file
MAX_RULES = 4_000  # in the whole file; 112 keys are documented
MAX_COMPRESSED = 9_000_000  # bytes
_MIN_RULES = 200  # a run
_MAX_NOTICES = 50  # causes a run
_MAX_IMAGES = 100  # that a run names
_MESSAGE = 1_000  # most characters of the data, before escapes
_WORD = 100
_NAME = 255  # most characters of a name, after them
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_UNDECIDED = "ci-gate/undecided"
# Allowed findings are not listed: the policy says that their keys do not count.
_LISTED = SOFTENED | {Outcome.VIOLATION, Outcome.COUNTED}
# GitHub's levels: over 7.0 is high, over 4.0 medium, over 0.1 low. A level that nobody knows is not taken for a low one.
_SEVERITIES = {RiskLevel.HIGH: 8.0, None: 8.0, RiskLevel.MEDIUM: 5.5, RiskLevel.LOW: 2.0}
_LEVELS = ("error", "warning", "note", "note")  # by urgency
_STARTED = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})\+00:00")
# In a plain text, `[text](target)` is a link and `{0}` stands for an argument (SARIF 2.1.0, 3.11.5 and 3.11.6).
_ACTIVE = re.compile(r"(?<=\])\(|\{(?=\d+\})")


def render_sarif(run: RunResult) -> str:
    """Render a run as SARIF, pure ASCII, within GitHub's limits; what is left out is counted in it."""
    return "".join(sarif_parts(run))


def sarif_parts(run: RunResult) -> Iterator[str]:
    """Return what :func:`render_sarif` does, in parts: results are encoded one by one."""
    groups = _groups(run)
    limits = _Limits(len(groups), max(_MIN_RULES, MAX_RULES // len(groups)))
    allowed = _allowed(groups)
    yield f'{{\n  "$schema": "{_SCHEMA}",\n  "version": "2.1.0",\n  "runs": ['
    between = ""
    for group, most in zip(groups, allowed, strict=True):
        yield between
        for part in _run(group, run, most, limits):
            yield harmless_json(part)
        limits.next_run()
        between = ","
    yield "\n  ]\n}\n"


@dataclass(slots=True)
class _Limits:
    """What is left of the bytes, measured as GitHub does: compressed. Runs share them; what one does not need is left to the next."""

    runs: int
    rules: int  # most of a run
    used: int = 0
    until: int = 0
    _compressor: Any = field(default_factory=lambda: zlib.compressobj(1))

    def __post_init__(self) -> None:
        self.until = MAX_COMPRESSED // self.runs

    def spent(self, part: str) -> str:
        """Count a part, and return it."""
        self.used += len(self._compressor.compress(part.encode("ascii")))
        return part

    @property
    def reached(self) -> bool:
        """Whether a run has had its share."""
        return self.used > self.until

    def next_run(self) -> None:
        self.runs -= 1
        if self.runs:
            self.until = self.used + (MAX_COMPRESSED - self.used) // self.runs


@dataclass(frozen=True, slots=True)
class _Group:
    """The images of a repository: GitHub tells alerts of one repository apart by ``category`` (``automationDetails.id``), once a file."""

    category: str
    results: tuple[ImageResult, ...]
    entries: list[Entry]

    @classmethod
    def of(cls, category: str, results: Iterable[ImageResult]) -> _Group:
        every = tuple(results)
        return cls(category, every, entries(every, _LISTED))


def _groups(run: RunResult) -> list[_Group]:
    """Return a group a repository, and one for all that the limit of runs leaves no room for."""
    by_name: dict[str, list[ImageResult]] = {}
    for result in run.images:
        by_name.setdefault(f"ci-gate/{repository(result)}/", []).append(result)
    alone = list(by_name.items())[: MAX_RUNS if len(by_name) <= MAX_RUNS else MAX_RUNS - 1]
    groups = [_Group.of(category, results) for category, results in alone]
    rest = [result for results in list(by_name.values())[len(alone) :] for result in results]
    return [*groups, _Group.of("ci-gate/", rest)] if rest or not groups else groups


def _allowed(groups: list[_Group]) -> list[int]:
    """Return how many findings each group may list: violations of all groups come before the rest of any, in fair shares."""
    left = MAX_RESULTS - len(groups)  # each may need one to say that it is undecided
    allowed = [0] * len(groups)
    counts = [Counter(urgency(entry.decision) for entry in group.entries) for group in groups]
    for level in range(len(_LEVELS)):
        wanting = {number: found[level] for number, found in enumerate(counts) if found[level]}
        while wanting and left:
            share = max(1, left // len(wanting))
            for number in tuple(wanting):
                take = min(left, share, wanting[number])
                allowed[number] += take
                left -= take
                wanting[number] -= take
            wanting = {number: more for number, more in wanting.items() if more}
    return allowed


def _run(group: _Group, run: RunResult, most: int, limits: _Limits) -> Iterator[str]:
    """Encode a run, in parts; the invocation comes last, for it counts what there was no room for."""
    causes = open_causes(group.results, run)
    rules = _Rules.of(group.entries[:most], undecided=bool(causes), limit=limits.rules)
    version = _json(printable(run.tool_version, 100) or "unknown")
    yield limits.spent(f'\n    {{\n      "tool": {{"driver": {{"name": "ci-gate", "version": {version}, "rules": [')
    for part in _rows(map(_json, rules.descriptors(group.entries, scanner(run)))):
        yield limits.spent(part)
    yield limits.spent(f']}}}},\n      "automationDetails": {_json({"id": group.category})},\n      ')
    yield limits.spent(f'"properties": {_json(_about(group, run))},\n      "results": [')
    listed = _Listed(group, rules, source_mark(run), limits, most)
    undecided = [_json(_undecided(group, causes, listed.mark))] if causes else []
    yield from _rows(chain(undecided, listed.results()))
    invocation = _json(_invocation(group, run, causes, len(group.entries) - listed.number))
    yield limits.spent(f'],\n      "invocations": [\n        {invocation}\n      ]\n    }}')


def _rows(values: Iterable[str]) -> Iterator[str]:
    """Write the values of a list, a line each."""
    between, end = "\n        ", ""
    for value in values:
        yield f"{between}{value}"
        between, end = ",\n        ", "\n      "
    yield end


def _json(value: object) -> str:
    return json.dumps(value)


@dataclass(frozen=True, slots=True)
class _Rules:
    """The rules of a run by the key that they are of, with their place in the list; the one of what is undecided comes first."""

    places: dict[str, int]
    undecided: bool

    @classmethod
    def of(cls, listed: Iterable[Entry], *, undecided: bool, limit: int) -> _Rules:
        keys = dict.fromkeys(entry.decision.finding.key for entry in listed)
        return cls({key: place for place, key in enumerate(list(keys)[:limit], start=int(undecided))}, undecided)

    def descriptors(self, every: Iterable[Entry], found_by: str) -> Iterator[dict[str, Any]]:
        """Return the rules in their order."""
        names: dict[str, str] = {}
        severities: dict[str, float] = {}
        for entry in every:
            finding = entry.decision.finding
            names.setdefault(finding.key, finding.name)
            if entry.decision.outcome not in SOFTENED:
                severities[finding.key] = max(severities.get(finding.key, 0), _SEVERITIES[entry.decision.level])
        if self.undecided:
            yield _undecided_rule()
        for key in self.places:
            yield _rule(key, title(key, names[key]), severities.get(key), found_by)


def _rule(key: str, name: str, severity: float | None, found_by: str) -> dict[str, Any]:
    """Return the rule of a key. Only a finding that no exception covers gives it a severity: GitHub would fail a check by it."""
    said = f"Found by {found_by}: a file of the type {name} in a layer of the image. Whoever can pull the image can read it."
    excepted = "A finding that is meant to be there needs a waiver in the policy, with a reason, an owner and an end."
    return {
        "id": _rule_id(key),
        "name": shorten(printable(name, _WORD), _NAME),
        "shortDescription": {"text": _text(f"{name} in a container image", 300)},
        "fullDescription": {"text": _text(said)},
        "help": {
            "text": "\n\n".join((_text(said), ROTATE, excepted)),
            "markdown": f"{plain(said)}\n\nKey: {code(key, 100)}\n\n**What to do.** {ROTATE}\n\n{excepted}",
        },
        "defaultConfiguration": {"level": "error"},
        "properties": {
            "tags": ["security", "secrets", *groups_of(key)][:10],
            **({} if severity is None else {"security-severity": f"{severity:.1f}"}),
        },
    }


def _undecided_rule() -> dict[str, Any]:
    said = "ci-gate could not prove that the image may be deployed. That is no finding, and it is not a pass either."
    advice = "Do what the message says, and run again. The alerts of earlier runs are as true as they were."
    return {
        "id": _UNDECIDED,
        "name": "Undecided image",
        "shortDescription": {"text": "The image could not be decided"},
        "fullDescription": {"text": said},
        "help": {"text": f"{said}\n\n{advice}", "markdown": f"{said}\n\n**What to do.** {advice}"},
        "defaultConfiguration": {"level": "error"},
        "properties": {"tags": ["ci-gate"]},
    }


@lru_cache(maxsize=1_000)
def _rule_id(key: str) -> str:
    return shorten(printable(key, _WORD).strip(), _NAME) or "-"


@dataclass(slots=True)
class _Listed:
    """Encodes the findings of a run, as far as there is room; ``number`` is how many that were."""

    group: _Group
    rules: _Rules
    mark: str
    limits: _Limits
    most: int
    number: int = 0

    def results(self) -> Iterator[str]:
        identities = Identities()
        for entry in self.group.entries[: self.most]:
            rule = self.rules.places.get(entry.decision.finding.key)
            if rule is None:
                continue
            if self.limits.reached:
                return
            self.number += 1
            yield self.limits.spent(_json(_result(entry, rule, identities.of(entry), self.mark)))


def _result(entry: Entry, rule: int, identity: str, mark: str) -> dict[str, Any]:
    decision, finding = entry.decision, entry.decision.finding
    where = f"{entry.origin.pinned}@{finding.layer_digest or 'unknown layer'}:{finding.path}"
    excepted = {"kind": "external", "status": "accepted", "justification": _text(decision.rule_text) or "-"}
    return {
        "ruleId": _rule_id(finding.key),
        "ruleIndex": rule,
        "level": _LEVELS[urgency(decision)],
        "message": {"text": _text(mark + statement(decision))},
        "locations": [_location(location(entry), where)],
        # GitHub reads the second one only; the first is for whoever compares files.
        "partialFingerprints": {"ciGateFinding/v1": identity, "primaryLocationLineHash": identity},
        **({"suppressions": [excepted]} if decision.outcome in SOFTENED else {}),
        "properties": {name: value for name, value in _facts(decision) if value},
    }


def _facts(decision: Decision) -> tuple[tuple[str, str], ...]:
    finding = decision.finding
    return (
        ("decision", decision.outcome),
        ("riskLevel", _often(decision.level or finding.risk_level, 100)),
        ("rule", _often(decision.rule, _MESSAGE)),
        ("layer", _often(finding.layer_digest, 100)),
        ("toBeMended", BASE_LAYERS if decision.base_image else ""),
        ("adviceOfSecurityCenter", _often(finding.advice, _MESSAGE)),
    )


def _location(path: str, where: str, line: int = 1) -> dict[str, Any]:
    """Return a location: GitHub shows a result only in a file with a line; what is in an image has none, so it is the first."""
    return {
        "physicalLocation": {"artifactLocation": {"uri": quote(path, safe="/@+=,")}, "region": {"startLine": line}},
        "logicalLocations": [{"fullyQualifiedName": printable(where, TEXT) or "-", "kind": "resource"}],
    }


def _undecided(group: _Group, causes: tuple[Cause, ...], mark: str) -> dict[str, Any]:
    """Return the result that stands for all causes: without it, a file without findings would read as clean."""
    more = f" (and {len(causes) - 1} more)" if len(causes) > 1 else ""
    undecided = [result for result in group.results if result.causes or result.image is None] or list(group.results)
    path, line = (home(undecided[0]), 1) if undecided else place(causes[0])
    return {
        "ruleId": _UNDECIDED,
        "ruleIndex": 0,
        "level": "error",
        "message": {"text": _text(f"{mark}Undecided: {advised(causes[0])}{more}")},
        "locations": [_location(path, short(undecided[0]) if undecided else "ci-gate", line)],
        "partialFingerprints": {"ciGateFinding/v1": "undecided:1", "primaryLocationLineHash": "undecided:1"},
    }


def _about(group: _Group, run: RunResult) -> dict[str, Any]:
    """Return what was decided, by whom, and on which evidence."""
    counts = Counter(decision.outcome for result in group.results for decision in result.verdict.decisions)
    return {
        "verdict": run.status,
        "headline": _text(source_mark(run) + headline(run)),
        "nextStep": _text(run_next_step(run)),
        "source": {"kind": printable(run.source.kind, 100), "endpoint": printable(run.source.endpoint, 300)},
        "judgedBy": [printable(f"{name}: {text}", TEXT) for name, text in judges(run.policy)],
        "decisions": {str(outcome): counts[outcome] for outcome in Outcome},
        "images": [_image(result) for result in group.results[:_MAX_IMAGES]],
        "imagesInAll": len(group.results),
    }


def _image(result: ImageResult) -> dict[str, Any]:
    return {
        "asked": printable(result.asked, 300),
        "pinned": printable(result.pinned, 400),
        "verdict": result.status,
        "reason": _text(reason(result)),
        "evidence": [printable(f"{proof.name}: {proof.state}: {proof.detail}", 500) for proof in result.evidence[:20]],
        "comparison": [printable(line, _MESSAGE) for line in comparisons([result])],
    }


def _invocation(group: _Group, run: RunResult, causes: tuple[Cause, ...], more: int) -> dict[str, Any]:
    started = _STARTED.fullmatch(run.started)
    return {
        "executionSuccessful": not causes,
        "exitCode": int(run.exit_code),
        "exitCodeDescription": run.exit_code.name,
        **({"startTimeUtc": f"{started[1]}Z"} if started else {}),
        "toolExecutionNotifications": list(_notifications(group, run, causes, more)),
    }


def _notifications(group: _Group, run: RunResult, causes: tuple[Cause, ...], more: int) -> Iterator[dict[str, Any]]:
    every = tuple(dict.fromkeys((*causes, *causes_of_run(run))))
    for cause in every[:_MAX_NOTICES]:
        yield _notice("error", advised(cause), cause.code.name)
    if len(every) > _MAX_NOTICES:
        yield _notice("error", left_out(len(every) - _MAX_NOTICES, "error"))
    if run.source.kind != "live":
        yield _notice("warning", f"{source_mark(run)}no real account was asked by this run")
    if more:
        yield _notice("warning", left_out(more))
    for said in doubts(group.results)[:_MAX_NOTICES]:
        yield _notice("warning", said)
    for due, said in exceptions(run):
        yield _notice("warning" if due else "note", said)


def _notice(level: str, said: str, name: str = "") -> dict[str, Any]:
    descriptor = {"descriptor": {"id": f"ci-gate/{name}"}} if name else {}
    return {"level": level, "message": {"text": _text(said, TEXT)}, **descriptor}


def _text(text: str, limit: int = _MESSAGE) -> str:
    r"""Make a text printable and passive: what would be a link or stand for an argument is written as an escape, such as ``]\x28``."""
    return _ACTIVE.sub(lambda match: f"\\x{ord(match[0]):02x}", printable(text, limit))


@lru_cache(maxsize=1_000)
def _often(text: str, limit: int) -> str:
    """Make a text printable that many findings share."""
    return printable(text, limit)
