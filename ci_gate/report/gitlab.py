"""GitLab's two formats: the security report of ``secret_detection``, and Code Quality.

Both list violations and counted findings. GitLab has no word for a finding that an exception covers: it would ask for the decision again
that the policy holds with its reason, owner and end. How many there are is a message of the security report.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ci_gate.model import RiskLevel
from ci_gate.report.entries import (
    TEXT,
    Identities,
    advised,
    comparisons,
    doubts,
    entries,
    exceptions,
    home,
    judges,
    left_out,
    location,
    open_causes,
    place,
    source_mark,
    statement,
    title,
)
from ci_gate.report.markdown import plain
from ci_gate.report.text import cut, printable, shorten
from ci_gate.report.words import ROTATE, decided, headline, run_next_step, scanner, stand_in
from ci_gate.result_document.write import harmless_json
from ci_gate.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ci_gate.errors import Cause
    from ci_gate.report.entries import Entry
    from ci_gate.verdict import Decision, RunResult

# GitLab refuses a security report with more than 100,000 vulnerabilities, and shows few. The JSON report holds every finding.
MAX_FINDINGS = 10_000
MAX_BYTES = 20_000_000
_MAX_CAUSES = 200
_VERSION = "15.2.1"
_NO_COMMIT = "0000000"  # what GitLab's own analyzer writes where there is no commit: the file is in an image, not in the repository
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:ci-gate:finding")
_NEVER = "1970-01-01T00:00:00"  # the schema demands times of a run that has none
_MESSAGE = 1_000  # most characters of the data, before escapes
_WORD = 200
_NAME = 255  # most characters of a name, after them
_LISTED = frozenset({Outcome.VIOLATION, Outcome.COUNTED})
_SEVERITIES = {RiskLevel.HIGH: "High", RiskLevel.MEDIUM: "Medium", RiskLevel.LOW: "Low", None: "Unknown"}
_QUALITIES = {RiskLevel.HIGH: "critical", RiskLevel.MEDIUM: "major", RiskLevel.LOW: "minor", None: "critical"}
_UNDECIDED = "ci-gate/undecided"


def render_secret_detection(run: RunResult) -> str:
    """Render a run as GitLab's security report, pure ASCII; what is left out is counted in it."""
    return "".join(secret_detection_parts(run))


def render_codequality(run: RunResult) -> str:
    """Render a run as a Code Quality report, pure ASCII; what is left out is counted in it."""
    return "".join(codequality_parts(run))


def secret_detection_parts(run: RunResult) -> Iterator[str]:
    """Return what :func:`render_secret_detection` does, in parts."""
    listed = entries(run.images, _LISTED)
    mark = source_mark(run)
    rows = _Rows()
    yield f'{{\n  "version": "{_VERSION}",\n  "vulnerabilities": ['
    yield from rows.findings(_vulnerability(*pair, mark) for pair in _identified(listed))
    scan = _json({"scan": _scan(run, len(listed) - rows.number)}, indent=2)
    yield f"\n  ],{scan.removeprefix('{')}\n"


def codequality_parts(run: RunResult) -> Iterator[str]:
    """Return what :func:`render_codequality` does, in parts."""
    listed = entries(run.images, _LISTED)
    mark = source_mark(run)
    rows = _Rows()
    yield "["
    yield from map(rows.row, _undecided(run, mark))
    yield from rows.findings(_issue(*pair, mark) for pair in _identified(listed))
    if rows.number < len(listed):
        severity = _quality(listed[rows.number].decision)
        yield rows.row(_degradation("ci-gate/more-findings", mark + left_out(len(listed) - rows.number), severity, "more", ("ci-gate", 1)))
    yield "\n]\n"


@dataclass(slots=True)
class _Rows:
    """Encodes the rows of a list, a line each; ``number`` is how many findings there was room for."""

    number: int = 0
    size: int = 0
    between: str = "\n    "

    def row(self, value: dict[str, Any]) -> str:
        text = f"{self.between}{_json(value)}"
        self.between = ",\n    "
        self.size += len(text)
        return text

    def findings(self, values: Iterable[dict[str, Any]]) -> Iterator[str]:
        for value in values:
            if self.number >= MAX_FINDINGS or self.size >= MAX_BYTES:
                return
            self.number += 1
            yield self.row(value)


def _identified(listed: Iterable[Entry]) -> Iterator[tuple[Entry, str]]:
    """Return each entry with an identity that is unique in the run: repositories differ in their registry, too."""
    identities = Identities()
    for entry in listed:
        repository = entry.origin.repository
        yield entry, f"{repository} {identities.of(entry, repository)}"


def _json(value: object, indent: int | None = None) -> str:
    return harmless_json(json.dumps(value, indent=indent))


def _vulnerability(entry: Entry, identity: str, mark: str) -> dict[str, Any]:
    """Return a vulnerability.

    GitLab knows it again by its file and first identifier. That one stands for the content, too: who dismissed a key that is revoked
    has not dismissed the next one in the same place.
    """
    decision, finding = entry.decision, entry.decision.finding
    digest = _digest(identity)
    key = _name(finding.key)
    return {
        "id": str(uuid.uuid5(_NAMESPACE, digest)),
        "name": _name(f"{mark}{title(finding.key, finding.name)} in a container image"),
        "description": f"{plain(mark + statement(decision), 400)}\n\n{_facts(decision)}",
        "severity": _SEVERITIES[decision.level],
        "solution": ROTATE,
        "identifiers": [
            {"type": "ci_gate_finding", "name": f"ci-gate finding {digest[:12]}", "value": digest},
            {"type": "ci_gate_key", "name": key, "value": key},
        ],
        "location": {"file": location(entry), "commit": {"sha": _NO_COMMIT}},
    }


def _facts(decision: Decision) -> str:
    """Return the facts of a finding as a list in Markdown: GitLab renders descriptions as such, and takes 15,000 characters."""
    finding = decision.finding
    facts = (
        ("decision", str(decision.outcome)),
        ("rule", plain(decision.rule, 150)),
        ("layer", plain(finding.layer_digest, 80)),
        ("fingerprint", f"{finding.fingerprint}:{finding.ordinal}"),
        ("Security Center says", plain(finding.advice, 300)),
    )
    return "\n".join(f"- {label}: {value}" for label, value in facts if value)


def _scan(run: RunResult, more: int) -> dict[str, Any]:
    causes = open_causes(run.images, run)
    started = _moment(run.started)
    return {
        "type": "secret_detection",
        "status": "failure" if causes else "success",
        "start_time": _time(started),
        "end_time": _time(started and started + timedelta(seconds=sum(seconds for _, seconds in run.seconds))),
        "analyzer": _tool("ci-gate", "ci-gate", printable(run.tool_version, 100) or "unknown", "ci-gate"),
        "scanner": _scanner(run),
        "options": [
            {"name": printable(name, 200), "value": printable(value, _MESSAGE), "source": "file"} for name, value in judges(run.policy)
        ],
        "messages": [{"level": level, "value": printable(said, TEXT) or "-"} for level, said in _messages(run, causes, more)],
    }


def _scanner(run: RunResult) -> dict[str, Any]:
    """Return who found the findings: not to be taken for the real service where it is not."""
    if "EMULATED" in stand_in(run):
        return _tool("ci-gate-emulated", scanner(run), "2018-12-03", "ci-gate")
    return _tool("alibaba-cloud-security-center", scanner(run), "2018-12-03", "Alibaba Cloud")


def _tool(identity: str, name: str, version: str, vendor: str) -> dict[str, Any]:
    return {"id": identity, "name": name, "version": version, "vendor": {"name": vendor}}


def _messages(run: RunResult, causes: tuple[Cause, ...], more: int) -> Iterator[tuple[str, str]]:
    """Say what whoever started the scan should know; ``fatal`` is what keeps an image from being decided."""
    for cause in causes[:_MAX_CAUSES]:
        yield "fatal", advised(cause)
    if len(causes) > _MAX_CAUSES:
        yield "fatal", _more_causes(causes)
    for cause in run.causes:
        if cause not in causes:
            yield "warn", advised(cause)
    if run.source.kind != "live":
        yield "warn", f"{source_mark(run)}no real account was asked by this run"
    yield "info", f"exit code {int(run.exit_code)} ({run.exit_code.name}), {run.status}: {headline(run)}; next: {run_next_step(run)}"
    if more:
        yield "warn", left_out(more)
    unlisted: Counter[str] = Counter()
    for result in run.images:
        unlisted.update({word: number for outcome, word, number in decided(result) if outcome not in _LISTED})
    if unlisted:
        yield "info", f"not listed: {', '.join(f'{number} {word}' for word, number in unlisted.items())}"
    for said in comparisons(run.images):
        yield "info", said
    for said in doubts(run.images)[:_MAX_CAUSES]:
        yield "warn", said
    for due, said in exceptions(run):
        yield "warn" if due else "info", said


def _moment(started: str) -> datetime | None:
    try:
        return datetime.fromisoformat(started).replace(tzinfo=None)
    except ValueError:  # a run that was refused before it began
        return None


def _time(moment: datetime | None) -> str:
    return moment.isoformat(timespec="seconds") if moment else _NEVER


def _issue(entry: Entry, identity: str, mark: str) -> dict[str, Any]:
    decision = entry.decision
    said = f"{cut(mark + statement(decision), _MESSAGE)}. {ROTATE}"
    place = (location(entry), 1)
    return _degradation(decision.finding.key, said, _quality(decision), identity, place)


def _quality(decision: Decision) -> str:
    """Return how Code Quality calls it: what blocks is a ``blocker``, what is within the limits ``info``."""
    if decision.outcome is Outcome.VIOLATION:
        return "blocker" if decision.enforced else _QUALITIES[decision.level]
    return "info"


def _undecided(run: RunResult, mark: str) -> Iterator[dict[str, Any]]:
    """Return an issue for each cause that keeps an image from being decided: a report without any would read as clean."""
    causes = open_causes(run.images, run)
    holders = {cause: result for result in reversed(run.images) for cause in result.causes}
    for number, cause in enumerate(causes[:_MAX_CAUSES], start=1):
        where = (home(holders[cause]), 1) if cause in holders else place(cause)
        yield _degradation(_UNDECIDED, f"{mark}Undecided: {advised(cause)}", "blocker", f"undecided {number}", where)
    if len(causes) > _MAX_CAUSES:
        yield _degradation(_UNDECIDED, mark + _more_causes(causes), "blocker", "undecided more", ("ci-gate", 1))


def _more_causes(causes: tuple[Cause, ...]) -> str:
    return left_out(len(causes) - _MAX_CAUSES, "error")


def _degradation(check: str, said: str, severity: str, identity: str, where: tuple[str, int]) -> dict[str, Any]:
    path, line = where
    return {
        "check_name": _name(check),
        "description": printable(said),
        "fingerprint": _digest(identity),
        "severity": severity,
        "location": {"path": path, "lines": {"begin": line}},
    }


def _digest(identity: str) -> str:
    return hashlib.sha256(identity.encode("utf-8")).hexdigest()


def _name(text: str) -> str:
    """Make a text a name: printable, never empty, and no longer than GitLab takes."""
    return shorten(printable(text, _WORD).strip(), _NAME) or "-"
