"""The steps by which a policy decides on one finding: the first that has an outcome decides, and each says why it has one or not. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from heapq import nsmallest
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from ci_gate.model import RiskLevel, many, normalise_digest
from ci_gate.policy.judging.keys import key_rules
from ci_gate.policy.judging.rows import DOCUMENTED, Row, documented_level
from ci_gate.policy.judging.waivers import Alike, WaiverIndex, in_force
from ci_gate.policy.problems import excerpt
from ci_gate.verdict import Outcome

if TYPE_CHECKING:
    from datetime import date

    from ci_gate.model import Inventory
    from ci_gate.policy.effective import Baseline, EffectivePolicy, Waiver

_MAX_KEY = 128
_MAX_FILE = 200
_MAX_LAPSED = 3


class Denial(NamedTuple):
    """Why a key is denied."""

    rule: str
    text: str


class Case(NamedTuple):
    """A finding and all that a policy knows of it before it decides.

    ``level`` is the one that is shown, ``levels`` are all that it counts as. ``waivers`` fit it, whether they are in force or not.
    """

    row: Row
    denial: Denial | None
    unknown: bool
    level: RiskLevel | None
    levels: tuple[RiskLevel, ...]
    waivers: tuple[Alike, ...]
    base_image: bool


class Answer(NamedTuple):
    """What a step says of a case: ``outcome`` is ``None`` where it does not decide."""

    outcome: Outcome | None
    rule: str
    text: str


Counts = Mapping[str, tuple[int, "Baseline"]]


class Bench:
    """A policy, made ready to decide on many findings on one day (UTC).

    ``known`` is how many findings of a fingerprint the deployed image has; ``None`` where none was compared.
    """

    def __init__(self, policy: EffectivePolicy, inventory: Inventory, today: date) -> None:
        """Build from a policy whose overrides are folded in."""
        self.policy = policy
        self.keys = key_rules(policy)
        self.comparable = inventory.comparable
        self.known = inventory.known if inventory.comparable else None
        self.today = today
        valid = [baseline for baseline in policy.baselines if in_force(baseline, today)]
        lapsed = [baseline for baseline in policy.baselines if not in_force(baseline, today)]
        self.covered = _counts(valid)
        self.covered_denied = _counts(baseline for baseline in valid if baseline.include_denied)
        self._lapsed = _counts(lapsed)
        self._lapsed_denied = _counts(baseline for baseline in lapsed if baseline.include_denied)
        self._waivers = WaiverIndex(policy.waivers, self.keys.known, today)
        self._exempt = frozenset(policy.exempt_layers)
        self._base = self._exempt.union(policy.label_layers)
        self._denials: dict[str, Denial | None] = {}
        self._waived: dict[str, Answer] = {}
        self._levels: dict[str, tuple[RiskLevel | None, tuple[RiskLevel, ...]]] = {}
        self._lapsed_texts = lru_cache(maxsize=1_024)(self._texts_of_lapsed)

    def case(self, row: Row) -> Case:
        """Look up all that the policy knows of a finding."""
        finding = row.finding
        key, word = finding.key, finding.risk_level
        if key not in self._denials:
            self._denials[key] = self._denial(key)
        if word not in self._levels:
            self._levels[word] = self._judged(word)
        level, levels = self._levels[word]
        fitting = self._waivers.fitting(finding, row.fingerprint)
        base = bool(self._base) and normalise_digest(finding.layer_digest) in self._base
        return Case(row, self._denials[key], key not in self.keys.known, level, levels, fitting, base)

    def is_exempt(self, case: Case) -> bool:
        """Tell whether a finding is in a layer whose findings do not count."""
        return case.base_image and normalise_digest(case.row.finding.layer_digest) in self._exempt

    def waived_by(self, waiver: Waiver) -> Answer:
        """Return what is said of every finding that a waiver covers."""
        if waiver.id not in self._waived:
            until = f" until {waiver.expires}" if waiver.expires else ""
            reason = f": {waiver.reason}" if waiver.reason else ""
            by = ", ".join(f"{what} {who}" for what, who in (("owner", waiver.owner), ("ticket", waiver.ticket)) if who)
            text = f"waived by {waiver.id}{until}{reason}{f' ({by})' if by else ''}"
            self._waived[waiver.id] = Answer(Outcome.WAIVED, f"waivers.{waiver.id}", text)
        return self._waived[waiver.id]

    def lapsed(self, case: Case) -> tuple[str, ...]:
        """Say which waivers and baselines would cover a finding if they were in force."""
        if not case.waivers and not self._lapsed:
            return ()
        texts = list(self.lapsed_waivers(case))
        count, baseline = (self._lapsed_denied if case.denial else self._lapsed).get(case.row.fingerprint, (0, None))
        if baseline is not None and case.row.nth <= count and case.row.finding.has_content:
            texts.append(f"baseline {excerpt(baseline.file, _MAX_FILE)} expired on {baseline.expires}")
        return tuple(texts)

    def lapsed_waivers(self, case: Case) -> tuple[str, ...]:
        """Say which waivers would cover a finding if they were in force: the first few, and how many more."""
        return self._lapsed_texts(case.waivers) if case.waivers else ()

    def _texts_of_lapsed(self, groups: tuple[Alike, ...]) -> tuple[str, ...]:
        first = nsmallest(_MAX_LAPSED, (waiver for group in groups for waiver in group.lapsed[:_MAX_LAPSED]), key=_id_of)
        texts = [self._lapsed_text(waiver) for waiver in first]
        more = sum(len(group.lapsed) for group in groups) - len(first)
        return (*texts, f"and {many(more, 'more waiver')} that {'is' if more == 1 else 'are'} not in force") if more else tuple(texts)

    def _lapsed_text(self, waiver: Waiver) -> str:
        if waiver.created is not None and self.today < waiver.created:
            return f"waiver {waiver.id} is not valid before {waiver.created}"
        return f"waiver {waiver.id} expired on {waiver.expires}"

    def _denial(self, key: str) -> Denial | None:
        shown = excerpt(key, _MAX_KEY)
        if self.keys.denies(key):
            return Denial("deny", f"the key {shown} is denied at any risk level")
        if self.policy.unknown_keys == "deny" and key not in self.keys.known:
            return Denial("unknown.keys", f"the key {shown} is in neither the catalog nor extra_keys, and unknown keys are denied")
        return None

    def _judged(self, word: str) -> tuple[RiskLevel | None, tuple[RiskLevel, ...]]:
        """Return the level that a word is shown as, ``None`` where the policy makes it an error, and all that it counts as."""
        documented = documented_level(word)
        if documented is not None:
            return documented, (documented,)
        named = {DOCUMENTED.get(name, RiskLevel.HIGH) for name in self.policy.unknown_levels} or {RiskLevel.HIGH}
        levels = tuple(level for level in RiskLevel if level in named)
        return (None if "error" in self.policy.unknown_levels else levels[0]), levels


def decide(bench: Bench, case: Case) -> Answer:
    """Return the answer of the first step that has an outcome; the thresholds come later."""
    for _, step in STEPS:
        answer = step(bench, case)
        if answer.outcome is not None:
            return answer
    raise AssertionError("the last step decides on every case")


def answers(bench: Bench, case: Case) -> Iterator[tuple[str, Answer]]:
    """Yield the name of each step and its answer, in order, up to the one that decides."""
    for name, step in STEPS:
        answer = step(bench, case)
        yield name, answer
        if answer.outcome is not None:
            return


def _waived(bench: Bench, case: Case) -> Answer:
    valid = [group.valid for group in case.waivers if group.valid is not None]
    if valid:
        return bench.waived_by(min(valid, key=_id_of))
    return _no("; ".join(bench.lapsed_waivers(case))) if case.waivers else _NO_WAIVER


def _baselined_although_denied(bench: Bench, case: Case) -> Answer:
    return _covered(bench.covered_denied, case, "baseline.denied") if case.denial else _NOT_DENIED


def _denied(_: Bench, case: Case) -> Answer:
    return Answer(Outcome.VIOLATION, *case.denial) if case.denial else _NOT_DENIED


def _allowed(bench: Bench, case: Case) -> Answer:
    key = case.row.finding.key
    if key in bench.keys.allowed:
        return Answer(Outcome.ALLOWED, "allow", f"the key {key} is allowed")
    if case.unknown and bench.policy.unknown_keys == "allow":
        text = f"the key {excerpt(key, _MAX_KEY)} is unknown, and unknown keys are allowed"
        return Answer(Outcome.ALLOWED, "unknown.keys", text)
    return _NOT_ALLOWED


def _baselined(bench: Bench, case: Case) -> Answer:
    return _covered(bench.covered, case, "baseline")


def _exempt(bench: Bench, case: Case) -> Answer:
    if bench.is_exempt(case):
        return Answer(Outcome.EXEMPT, "base_image", "in a layer of the base image, whose findings are not counted")
    return _ONLY_LABELLED if case.base_image else _NOT_IN_BASE


def _inherited(bench: Bench, case: Case) -> Answer:
    if bench.known is None:
        return _NOT_COMPARED if bench.comparable else _NOT_COMPARABLE
    if not case.row.finding.has_content:
        return _NO_CONTENT
    count, nth = bench.known.get(case.row.fingerprint, 0), case.row.nth
    if nth <= count:
        return Answer(Outcome.INHERITED, "since", "the deployed image has it, too")
    return _no(f"it is number {nth} of its kind, and the deployed image has {count}") if count else _NEW


def _counted(_: Bench, case: Case) -> Answer:
    return _counted_as(case.levels, case.row.finding.key if case.unknown else None)


@lru_cache(maxsize=1_024)
def _counted_as(levels: tuple[RiskLevel, ...], unknown: str | None) -> Answer:
    what = "counted" if unknown is None else f"the unknown key {excerpt(unknown, _MAX_KEY)} is counted"
    return Answer(Outcome.COUNTED, "counted", f"{what} as {' and as '.join(levels)} risk")


def _covered(counts: Counts, case: Case, rule: str) -> Answer:
    nth = case.row.nth
    count, baseline = counts.get(case.row.fingerprint, (0, None))
    if baseline is None:
        return _NO_BASELINE
    if not case.row.finding.has_content:
        return _NO_CONTENT
    if nth > count:
        return _no(f"it is number {nth} of its kind, and the baseline has {count}")
    text = f"it was there when the gate was introduced (baseline {excerpt(baseline.file, _MAX_FILE)}, until {baseline.expires})"
    return Answer(Outcome.BASELINED, rule, text)


def _counts(baselines: Iterable[Baseline]) -> Counts:
    """Return the largest count of each fingerprint, and a baseline that has it. They do not add up: all saw the same findings."""
    largest: dict[str, tuple[int, Baseline]] = {}
    for baseline in sorted(baselines, key=lambda baseline: (baseline.file, baseline.expires)):
        for entry in baseline.entries:
            if entry.count > largest.get(entry.fingerprint, (0, None))[0]:
                largest[entry.fingerprint] = (entry.count, baseline)
    return largest


def _no(text: str) -> Answer:
    return Answer(None, "", text)


_id_of = attrgetter("id")
_NO_WAIVER = _no("no waiver fits it")
_NOT_DENIED = _no("its key is not denied")
_NOT_ALLOWED = _no("its key is not allowed")
_NO_BASELINE = _no("no baseline that is in force covers it")
_ONLY_LABELLED = _no("in a layer of the base image, whose findings are told apart, and counted")
_NOT_IN_BASE = _no("not in a layer of the base image")
_NOT_COMPARED = _no("no deployed image was compared")
_NOT_COMPARABLE = _no("the deployed image could not be read")
_NO_CONTENT = _no("nothing ties it to content: it has neither MD5 nor layer")
_NEW = _no("the deployed image does not have it")

STEPS: tuple[tuple[str, Callable[[Bench, Case], Answer]], ...] = (
    ("waivers", _waived),
    ("baseline of denied keys", _baselined_although_denied),
    ("deny", _denied),
    ("allow", _allowed),
    ("baseline", _baselined),
    ("base_image", _exempt),
    ("since", _inherited),
    ("count", _counted),
)
