"""What a policy and its floors say of findings. Pure: no clock, no I/O, and the order of the findings never matters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING

from ci_gate.model import UNPROVEN_HOST, EvidenceRules, Inventory, RiskLevel, public_registry
from ci_gate.policy.effective import EffectivePolicy, Judges, Thresholds
from ci_gate.policy.judging.globs import Glob
from ci_gate.policy.judging.keys import key_rules
from ci_gate.policy.judging.limits import Limit, against_limits, limits_of
from ci_gate.policy.judging.outcomes import baseline_uses, level_causes, rule_results, waiver_uses
from ci_gate.policy.judging.rows import Row, is_partial, rows_of
from ci_gate.policy.judging.steps import Answer, Bench, Case, decide
from ci_gate.verdict import Decision, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import date

_COVERAGE = ("error", "auto", "warn", "off")  # the strictest first, as in the two below
_INFERRED = ("error", "warn")
_WHITELIST = ("error", "report")
_LOOSENED = {
    Outcome.WAIVED: "waiver {rule} does",
    Outcome.BASELINED: "baseline does",
    Outcome.EXEMPT: "exempt layers do",
    Outcome.ALLOWED: "allowance does",
}


def for_image(policy: EffectivePolicy, image: str | None) -> EffectivePolicy:
    """Return the policy for one image (``registry/namespace/repository``): overrides folded in, waivers of other images left out.

    Where the image is not known, every override may be meant: what they tighten holds, and nothing that is for some images loosens.
    The same goes for the host of its registry (``UNPROVEN_HOST``): no pattern matches that text, and only what says nothing of the host, a
    ``*`` or ``**``, loosens. What tightens for one name of a registry does so for all its names.
    """
    meant = [override for override in policy.overrides if _may_be_for(override.images, image)]
    loosening = [override for override in meant if _is_for(override.images, image)]
    waivers = (*policy.waivers, *(waiver for override in loosening for waiver in override.waivers))
    return replace(
        policy,
        deny=(*policy.deny, *(clause for override in meant for clause in override.deny)),
        allow=tuple(dict.fromkeys((*policy.allow, *(key for override in loosening for key in override.allow)))),
        thresholds=_lowest((policy.thresholds, *(override.thresholds for override in meant))),
        waivers=tuple(dict.fromkeys(waiver for waiver in waivers if not waiver.images or _is_for(waiver.images, image))),
        overrides=(),
    )


def evaluate(policy: EffectivePolicy, inventory: Inventory, today: date, image: str | None = None) -> Verdict:
    """Give every finding exactly one decision by one policy alone, on a day (UTC); then hold the counts against its thresholds.

    Where the findings are not complete, rows that look alike count once: a page that was read twice must not block by itself.
    """
    return hear(policy, inventory, rows_of(inventory, frozenset(policy.exempt_layers)), today, image).verdict


def judge(
    judges: Judges, inventory: Inventory, today: date, image: str | None = None, *, mode: str | None = None, name: str = ""
) -> Verdict:
    """Judge by a policy and all its floors: what any of them makes a violation is one.

    ``mode`` overrides those of the policies; ``warn`` only where a policy allows that. ``name`` is the policy's, for the reports.
    """
    return join(judges, hear_all(judges, inventory, today, image, mode=mode), name)


def evidence_rules(judges: Judges, image: str | None = None) -> EvidenceRules:
    """Return which proofs a policy and its floors ask for, the strictest of each, and the keys that they must be able to see."""
    policies = [for_image(policy, image) for policy in (judges.policy, *(floor.policy for floor in judges.floors))]
    asked = [policy.evidence for policy in policies]
    ages = [float(evidence.max_scan_age) for evidence in asked if evidence.max_scan_age is not None]
    denies = [_denier(policy) for policy in policies]
    return EvidenceRules(
        require_digest=any(evidence.require_digest for evidence in asked),
        rule_coverage=min((evidence.rule_coverage for evidence in asked), key=_COVERAGE.index),
        inferred=min((evidence.inferred for evidence in asked), key=_INFERRED.index),
        vendor_whitelist=min((evidence.vendor_whitelist for evidence in asked), key=_WHITELIST.index),
        max_scan_age_s=min(ages, default=None),
        settle_s=float(max(evidence.settle for evidence in asked)),
        denied_keys=frozenset[str]().union(*(key_rules(policy).denied for policy in policies)),
        denies=lambda key: any(denier(key) for denier in denies),
        counts_all_keys=any(policy.thresholds != Thresholds() for policy in policies),
    )


@dataclass(frozen=True)
class Hearing:
    """All that one policy makes of the findings, in their canonical order."""

    bench: Bench
    cases: Sequence[Case]
    limits: tuple[Limit, ...]
    verdict: Verdict


def hear(policy: EffectivePolicy, inventory: Inventory, rows: Iterable[Row], today: date, image: str | None) -> Hearing:
    """Decide on every row by one policy."""
    bench = Bench(for_image(policy, image), inventory, today)
    cases = [bench.case(row) for row in rows]
    first = [decide(bench, case) for case in cases]
    limits = limits_of(bench.policy.thresholds, cases, first, distinct=is_partial(inventory), judged=inventory.comparable)
    decisions = tuple(_decision(bench, case, against_limits(answer, case, limits)) for answer, case in zip(first, cases, strict=True))
    verdict = Verdict(
        decisions,
        rule_results(bench, cases, decisions, limits),
        level_causes(cases),
        waiver_uses(bench, cases),
        baseline_uses(bench, cases),
    )
    return Hearing(bench, cases, limits, verdict)


def hear_all(judges: Judges, inventory: Inventory, today: date, image: str | None, *, mode: str | None = None) -> list[Hearing]:
    """Decide on every finding by the policy, and then by each floor."""
    policies = (judges.policy, *(floor.policy for floor in judges.floors))
    rows = {layers: rows_of(inventory, layers) for layers in {frozenset(policy.exempt_layers) for policy in policies}}
    return [hear(_in_mode(policy, mode), inventory, rows[frozenset(policy.exempt_layers)], today, image) for policy in policies]


def join(judges: Judges, hearings: Sequence[Hearing], name: str = "") -> Verdict:
    """Return the one verdict of the policy and the floors that were heard."""
    floors = (_of_floor(hearing.verdict, floor.name) for hearing, floor in zip(hearings[1:], judges.floors, strict=True))
    return reduce(_merge, floors, _named(hearings[0].verdict, name))


def _in_mode(policy: EffectivePolicy, mode: str | None) -> EffectivePolicy:
    if mode is None or (mode == "warn" and not policy.allow_warn_override):
        return policy
    return replace(policy, mode=mode)


def _is_for(patterns: Iterable[str], image: str | None) -> bool:
    """Tell whether rules for some images are meant for this one; where its host is not proven, only if they are whatever that is."""
    if image is None:
        return False
    if _is_at_unproven_host(image):
        patterns = [beside for pattern in patterns for beside in _beside_host(pattern, any_host=False)]
    return _fits_any(patterns, image)


def _may_be_for(patterns: Iterable[str], image: str | None) -> bool:
    """Tell whether rules for some images may be meant for this one, by any name that its registry may have."""
    if image is None:
        return True
    if _is_at_unproven_host(image):
        return _fits_any([beside for pattern in patterns for beside in _beside_host(pattern, any_host=True)], image)
    host, _, repository = image.partition("/")
    first, dot, rest = public_registry(host).partition(".")
    hosts = {host, *(f"{first}{network}{dot}{rest}{port}" for network in ("", "-vpc", "-internal") for port in ("", ":443"))}
    return any(_fits_any(patterns, f"{name}/{repository}") for name in sorted(hosts))


def _is_at_unproven_host(image: str) -> bool:
    return image.partition("/")[0] == UNPROVEN_HOST


def _fits_any(patterns: Iterable[str], image: str) -> bool:
    return any(Glob.parse(pattern).matches(image) for pattern in patterns)


def _beside_host(pattern: str, *, any_host: bool) -> Iterator[str]:
    """Walk over the patterns that together fit what a pattern does, with a ``*`` for the host: what stands for it must match no pattern.

    :param any_host: whether the image may be on whatever host the pattern names; else only what says nothing of the host is left.
    """
    head, _, rest = pattern.partition("/")
    while head == "**":  # the host is one of the segments that it stands for, or it stands for none, and the next one is for the host
        yield f"*/{pattern}"
        pattern = rest
        head, _, rest = pattern.partition("/")
    if rest and (any_host or head == "*"):
        yield f"*/{rest}"


def _lowest(every: Sequence[Thresholds]) -> Thresholds:
    def lowest(name: str) -> int | None:
        return min((limit for limit in (getattr(limits, name) for limits in every) if limit is not None), default=None)

    return Thresholds(**{name: lowest(name) for name in (*(level.value for level in RiskLevel), "total")})


def _denier(policy: EffectivePolicy) -> Callable[[str], bool]:
    rules = key_rules(policy)
    return lambda key: rules.denies(key) or (policy.unknown_keys == "deny" and key not in rules.known)


def _decision(bench: Bench, case: Case, answer: Answer) -> Decision:
    """Return the decision. A violation says whether it blocks, and what would have covered it on another day."""
    outcome, rule, text = answer
    assert outcome is not None
    if outcome is not Outcome.VIOLATION:
        return Decision(case.row.finding, outcome, rule, text, case.level, base_image=case.base_image)
    if lapsed := bench.lapsed(case):
        text = "; ".join((text, *lapsed))
    return Decision(case.row.finding, outcome, rule, text, case.level, bench.policy.mode == "enforce", case.base_image)


def _of_floor(verdict: Verdict, name: str) -> Verdict:
    """Return the verdict of a floor with all that is in it named as that floor's."""
    decisions = tuple(
        replace(decision, rule=f"floor[{name}].{decision.rule}") if decision.outcome is Outcome.VIOLATION else decision
        for decision in verdict.decisions
    )
    rules = tuple(replace(rule, rule=f"floor[{name}].{rule.rule}") for rule in verdict.rules)
    return _named(replace(verdict, decisions=decisions, rules=rules), name)


def _named(verdict: Verdict, name: str) -> Verdict:
    waivers = tuple(replace(use, policy=name) for use in verdict.waivers)
    return replace(verdict, waivers=waivers, baselines=tuple(replace(use, policy=name) for use in verdict.baselines))


def _merge(policy: Verdict, floor: Verdict) -> Verdict:
    """Return what both say. They list the same findings in the same order."""
    return Verdict(
        tuple(_stricter(ours, theirs) for ours, theirs in zip(policy.decisions, floor.decisions, strict=True)),
        policy.rules + floor.rules,
        tuple(dict.fromkeys(policy.causes + floor.causes)),
        policy.waivers + floor.waivers,
        policy.baselines + floor.baselines,
    )


def _stricter(policy: Decision, floor: Decision) -> Decision:
    """Return the decision of the policy, unless only the floor sees a violation."""
    if floor.outcome is not Outcome.VIOLATION:
        return policy
    if policy.outcome is Outcome.VIOLATION:
        return replace(policy, enforced=True) if floor.enforced and not policy.enforced else policy
    loosened = _LOOSENED.get(policy.outcome)
    beside = f"; the policy's {loosened.format(rule=policy.rule.removeprefix('waivers.'))} not reach the floor" if loosened else ""
    return replace(floor, rule_text=floor.rule_text + beside, base_image=policy.base_image or floor.base_image)
