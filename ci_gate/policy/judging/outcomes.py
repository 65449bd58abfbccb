"""What became of each rule, waiver and baseline of a policy, in figures and words. Pure."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING

from ci_gate.errors import Cause, ExitCode
from ci_gate.model import many
from ci_gate.policy.judging.waivers import validity
from ci_gate.policy.problems import excerpt
from ci_gate.verdict import BaselineUse, Decision, Outcome, RuleResult, WaiverUse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ci_gate.policy.effective import Baseline
    from ci_gate.policy.judging.limits import Limit
    from ci_gate.policy.judging.steps import Bench, Case

_MAX_NAMED = 5
_MAX_WORD = 64
_MAX_PATH = 200
_UNKNOWN_TEXTS = {"deny": "no finding of an unknown key", "count": "unknown keys are counted", "allow": "unknown keys are allowed"}


def rule_results(bench: Bench, cases: Sequence[Case], decisions: Sequence[Decision], limits: Iterable[Limit]) -> tuple[RuleResult, ...]:
    """Return what became of every rule that the policy has, or that was used."""
    return (
        *_denials(bench, cases, decisions),
        *(limit.result for limit in limits),
        *_levels(bench, cases),
        *_exceptions(bench, cases, decisions),
    )


def level_causes(cases: Iterable[Case]) -> tuple[Cause, ...]:
    """Return the cause of exit code 23 where findings have an undocumented risk level, and the policy makes that an error."""
    odd = _odd_levels(cases)
    if not odd:
        return ()
    what = f"the service gave {many(odd.total(), 'finding')} a risk level that is not documented: {_named(odd)}"
    advice = "Set unknown.risk_level in the policy to the level that they shall be judged as, and report the word to the project."
    return (Cause(ExitCode.PROTOCOL, what, advice),)


def waiver_uses(bench: Bench, cases: Iterable[Case]) -> tuple[WaiverUse, ...]:
    """Return how many findings each waiver fits, in force or not, by id."""
    fitting = Counter[int]()
    for groups, count in Counter(case.waivers for case in cases).items():
        for waiver in chain.from_iterable(group.waivers for group in groups):
            fitting[id(waiver)] += count  # the same object: a hash over all its fields would cost more than the match
    rules = bench.policy.waiver_rules
    return tuple(
        WaiverUse(
            id=waiver.id,
            validity=validity(waiver, bench.today, rules.warn_before_days),
            findings=fitting[id(waiver)],
            reason=waiver.reason,
            owner=waiver.owner,
            ticket=waiver.ticket,
            created=waiver.created,
            expires=waiver.expires,
            report_unused=rules.unused == "warn",
        )
        for waiver in sorted(bench.policy.waivers, key=lambda waiver: waiver.id)
    )


def baseline_uses(bench: Bench, cases: Sequence[Case]) -> tuple[BaselineUse, ...]:
    """Return how many findings each baseline covers, in force or not, and what it holds that is gone."""
    if not bench.policy.baselines:
        return ()
    present = Counter(case.row.fingerprint for case in cases)
    uses = (_baseline_use(bench, baseline, cases, present) for baseline in bench.policy.baselines)
    return tuple(sorted(uses, key=lambda use: (use.file, use.expires, use.entries, use.findings, use.gone, use.examples)))


def _baseline_use(bench: Bench, baseline: Baseline, cases: Iterable[Case], present: Counter[str]) -> BaselineUse:
    counts = {entry.fingerprint: entry.count for entry in baseline.entries}
    within = (case for case in cases if case.row.nth <= counts.get(case.row.fingerprint, 0) and case.row.finding.has_content)
    covered = sum(baseline.include_denied or case.denial is None for case in within)
    gone = sorted(
        (entry.key, entry.path, entry.count - present[entry.fingerprint])
        for entry in baseline.entries
        if entry.count > present[entry.fingerprint]
    )
    return BaselineUse(
        file=baseline.file,
        validity=validity(baseline, bench.today, bench.policy.waiver_rules.warn_before_days),
        expires=baseline.expires,
        entries=sum(counts.values()),
        findings=covered,
        gone=sum(missing for _, _, missing in gone),
        examples=tuple(f"{excerpt(key, _MAX_WORD)} {excerpt(path, _MAX_PATH)}" for key, path, _ in gone[:_MAX_NAMED]),
    )


def _denials(bench: Bench, cases: Iterable[Case], decisions: Iterable[Decision]) -> Iterator[RuleResult]:
    """Yield the rules about denied and unknown keys."""
    found: dict[str, Counter[str]] = {"deny": Counter(), "unknown.keys": Counter()}
    excepted = Counter[str]()
    for case, decision in zip(cases, decisions, strict=True):
        rule = case.denial.rule if case.denial else "unknown.keys" if case.unknown else None
        if rule is None:
            continue
        if decision.outcome is Outcome.WAIVED or (case.denial and decision.outcome is Outcome.BASELINED):
            excepted[rule] += 1
        else:
            found[rule][case.row.finding.key] += 1
    details = {rule: _found(keys) + (f"; {excepted[rule]} waived or baselined" if excepted[rule] else "") for rule, keys in found.items()}
    if bench.keys.denies_any:
        yield RuleResult("deny", f"no finding of the {many(len(bench.keys.denied), 'denied key')}", not found["deny"], details["deny"])
    unknown = bench.policy.unknown_keys
    yield RuleResult("unknown.keys", _UNKNOWN_TEXTS[unknown], unknown != "deny" or not found["unknown.keys"], details["unknown.keys"])


def _levels(bench: Bench, cases: Iterable[Case]) -> Iterator[RuleResult]:
    """Yield the rule about undocumented levels, where the policy makes it one that can fail."""
    if "error" in bench.policy.unknown_levels:
        odd = _odd_levels(cases)
        yield RuleResult("unknown.risk_level", "no finding of an undocumented risk level", not odd, _found(odd))


def _exceptions(bench: Bench, cases: Iterable[Case], decisions: Sequence[Decision]) -> Iterator[RuleResult]:
    """Yield the rules that loosen, where the policy has them or the run uses them."""
    outcomes = Counter(decision.outcome for decision in decisions)
    if bench.policy.waivers:
        by = len({decision.rule for decision in decisions if decision.outcome is Outcome.WAIVED})
        text = f"what a waiver in force covers is not judged ({many(len(bench.policy.waivers), 'waiver')})"
        yield RuleResult("waivers", text, passed=True, detail=f"{outcomes[Outcome.WAIVED]} waived by {many(by, 'waiver')}")
    if bench.policy.baselines:
        text = "what was there when the gate was introduced does not count"
        yield RuleResult("baseline", text, passed=True, detail=f"{outcomes[Outcome.BASELINED]} baselined")
    if bench.policy.label_layers or bench.policy.exempt_layers:
        text = "findings in layers of the base image are told apart" + (", and not counted" if bench.policy.exempt_layers else "")
        inside = sum(case.base_image for case in cases)
        detail = f"{inside} in the base image, {outcomes[Outcome.EXEMPT]} of them exempt"
        yield RuleResult("base_image", text, passed=True, detail=detail)
    if bench.known is not None or not bench.comparable:
        text = "what the deployed image has too does not count"
        detail = f"{outcomes[Outcome.INHERITED]} inherited" if bench.comparable else "not judged: the deployed image could not be read"
        yield RuleResult("since", text, bench.comparable, detail)


def _odd_levels(cases: Iterable[Case]) -> Counter[str]:
    return Counter(case.row.finding.risk_level for case in cases if case.level is None)


def _found(counts: Counter[str]) -> str:
    return f"{counts.total()} found: {_named(counts)}" if counts else "none found"


def _named(counts: Counter[str]) -> str:
    """Return the most frequent words with their counts. They come from the service: hostile until escaped."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{excerpt(word, _MAX_WORD)} ({count})" for word, count in ranked[:_MAX_NAMED])
    return shown + (f" and {len(ranked) - _MAX_NAMED} more" if len(ranked) > _MAX_NAMED else "")
