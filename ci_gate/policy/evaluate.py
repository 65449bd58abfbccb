"""What a policy says of findings. Pure: no clock, no I/O, and the order of the findings never matters."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci_gate.errors import Cause, ExitCode
from ci_gate.model import EvidenceRules, Finding, Inventory, ProofState, RiskLevel
from ci_gate.policy.keys import KeyRules, key_rules
from ci_gate.policy.problems import excerpt
from ci_gate.verdict import Decision, Outcome, RuleResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from ci_gate.policy.schema import Policy

_MAX_NAMED = 5
_DOCUMENTED = {level.value: level for level in RiskLevel}


def evaluate(policy: Policy, inventory: Inventory, today: date) -> Verdict:  # noqa: ARG001 - waivers and baselines will expire by it
    """Give every finding exactly one decision: denied, unknown, allowed or counted; then hold the counts against the thresholds.

    Where the findings are not complete, rows that look alike count once: a page that was read twice must not block by itself.
    """
    rows = _sorted_rows(inventory.findings)
    rules = key_rules(policy)
    first = [_decide(finding, policy, rules) for _, finding in rows]
    limits = _limits(policy, first, [fingerprint for fingerprint, _ in rows], distinct=_is_partial(inventory))
    decisions = tuple(_against_limits(decision, limits) for decision in first)
    results = (*_deny_results(policy, rules, decisions), *(limit.result for limit in limits), *_level_results(policy, decisions))
    return Verdict(decisions, results, _level_causes(policy, inventory.findings))


def evidence_rules(policy: Policy) -> EvidenceRules:
    """Return which proofs a policy asks for, and the keys that it must be able to see."""
    asked = policy.evidence
    rules = key_rules(policy)
    limits = policy.thresholds
    return EvidenceRules(
        require_digest=asked.require_digest,
        rule_coverage=asked.rule_coverage,
        inferred=asked.inferred,
        vendor_whitelist=asked.vendor_whitelist,
        max_scan_age_s=None if asked.max_scan_age is None else float(asked.max_scan_age),
        settle_s=float(asked.settle),
        denied_keys=rules.denied,
        denies=lambda key: rules.denies(key) or (policy.unknown.keys == "deny" and key not in rules.known),
        counts_all_keys=any(limit is not None for limit in (limits.high, limits.medium, limits.low, limits.total)),
    )


@dataclass(frozen=True, slots=True)
class _Limit:
    """One threshold and what was counted under it. ``level`` is ``None`` for the total."""

    rule: str
    level: RiskLevel | None
    most: int
    counted: int
    alike: int  # rows left out because they look like one that is counted

    @property
    def exceeded(self) -> bool:
        return self.counted > self.most

    @property
    def text(self) -> str:
        what = f"counted findings of {self.level} risk" if self.level else "counted findings"
        return f"at most {self.most} {what} allowed"

    @property
    def result(self) -> RuleResult:
        left_out = f" (the findings are incomplete: {self.alike} rows that look alike are not counted)" if self.alike else ""
        return RuleResult(self.rule, self.text, not self.exceeded, f"{self.counted} counted, {self.most} allowed{left_out}")


def _sorted_rows(findings: Iterable[Finding]) -> list[tuple[str, Finding]]:
    """Return the findings with their fingerprints in canonical order; what is alike in that is told apart by all the rest."""
    return sorted(((finding.fingerprint, finding) for finding in findings), key=_row_order)


def _row_order(row: tuple[str, Finding]) -> tuple[str | int, ...]:
    fingerprint, f = row
    return (
        *(f.key, f.path, fingerprint, f.ordinal, f.risk_level, f.layer_digest, f.md5, f.name, f.advice, f.description),
        *(f.first_scan_ms or 0, f.last_scan_ms or 0),
    )


def _is_partial(inventory: Inventory) -> bool:
    """Tell whether rows are missing or doubtful.

    A failed proof without a cause is a warning and lets the run pass, so all rows count then.
    """
    incomplete = (proof for proof in inventory.proofs if proof.name == "complete")
    return bool(inventory.causes) or any(proof.state is ProofState.FAILED and proof.cause is not None for proof in incomplete)


def _level(word: str, policy: Policy) -> RiskLevel | None:
    """Return the level that a word of the service is judged as; ``None`` where the policy makes an undocumented one an error."""
    documented = _DOCUMENTED.get(word.strip().lower())
    if documented is not None:
        return documented
    return _DOCUMENTED.get(policy.unknown.risk_level)


def _decide(finding: Finding, policy: Policy, rules: KeyRules) -> Decision:
    """Decide on one finding by its key; the thresholds come later."""
    key, level = finding.key, _level(finding.risk_level, policy)
    if rules.denies(key):
        return Decision(finding, Outcome.VIOLATION, "deny", f"the key {excerpt(key, 128)} is denied at any risk level", level)
    if key not in rules.known:
        return _decide_unknown(finding, policy, level)
    if key in rules.allowed:
        return Decision(finding, Outcome.ALLOWED, "allow", f"the key {key} is allowed", level)
    return Decision(finding, Outcome.COUNTED, "counted", f"counted as {level or RiskLevel.HIGH} risk; no threshold is exceeded", level)


def _decide_unknown(finding: Finding, policy: Policy, level: RiskLevel | None) -> Decision:
    key = excerpt(finding.key, 128)
    if policy.unknown.keys == "deny":
        text = f"the key {key} is in neither the catalog nor extra_keys, and unknown keys are denied"
        return Decision(finding, Outcome.VIOLATION, "unknown.keys", text, level)
    if policy.unknown.keys == "allow":
        return Decision(finding, Outcome.ALLOWED, "unknown.keys", f"the key {key} is unknown, and unknown keys are allowed", level)
    text = f"the unknown key {key} is counted as {level or RiskLevel.HIGH} risk; no threshold is exceeded"
    return Decision(finding, Outcome.COUNTED, "counted", text, level)


def _limits(policy: Policy, decisions: Sequence[Decision], fingerprints: Sequence[str], *, distinct: bool) -> tuple[_Limit, ...]:
    """Count what is counted under each threshold that is set."""
    counted = [(d.level or RiskLevel.HIGH, mark) for d, mark in zip(decisions, fingerprints, strict=True) if d.outcome is Outcome.COUNTED]
    rows = Counter(level for level, _ in counted)
    unlike = Counter(level for level, _ in set(counted)) if distinct else rows
    limits = []
    for level in RiskLevel:
        most = getattr(policy.thresholds, level.value)
        if most is not None:
            limits.append(_Limit(f"thresholds.{level}", level, most, unlike[level], rows[level] - unlike[level]))
    if policy.thresholds.total is not None:
        total = len({mark for _, mark in counted}) if distinct else len(counted)
        limits.append(_Limit("thresholds.total", None, policy.thresholds.total, total, len(counted) - total))
    return tuple(limits)


def _against_limits(decision: Decision, limits: Iterable[_Limit]) -> Decision:
    """Turn a counted finding into a violation where its level, or else the total, is exceeded."""
    if decision.outcome is not Outcome.COUNTED:
        return decision
    level = decision.level or RiskLevel.HIGH
    for limit in limits:
        if limit.exceeded and limit.level in {level, None}:
            text = f"{limit.text}, {limit.counted} found"
            return replace(decision, outcome=Outcome.VIOLATION, rule=limit.rule, rule_text=text)
    return decision


def _deny_results(policy: Policy, rules: KeyRules, decisions: Sequence[Decision]) -> tuple[RuleResult, ...]:
    denied = Counter(d.finding.key for d in decisions if d.rule == "deny")
    unknown = Counter(d.finding.key for d in decisions if d.finding.key not in rules.known and d.rule != "deny")
    results = []
    if rules.denied or rules.deny_globs:
        text = f"no finding of the {len(rules.denied)} denied keys"
        results.append(RuleResult("deny", text, not denied, _found(denied)))
    text = {"deny": "no finding of an unknown key", "count": "unknown keys are counted", "allow": "unknown keys are allowed"}[
        policy.unknown.keys
    ]
    results.append(RuleResult("unknown.keys", text, not unknown or policy.unknown.keys != "deny", _found(unknown)))
    return tuple(results)


def _level_results(policy: Policy, decisions: Sequence[Decision]) -> tuple[RuleResult, ...]:
    """Return the rule about undocumented levels, where the policy makes it one that can fail."""
    if policy.unknown.risk_level != "error":
        return ()
    odd = Counter(d.finding.risk_level for d in decisions if d.level is None)
    return (RuleResult("unknown.risk_level", "no finding of an undocumented risk level", not odd, _found(odd)),)


def _level_causes(policy: Policy, findings: Iterable[Finding]) -> tuple[Cause, ...]:
    odd = Counter(finding.risk_level for finding in findings if _level(finding.risk_level, policy) is None)
    if not odd:
        return ()
    what = f"the service gave {odd.total()} findings a risk level that is not documented: {_named(odd)}"
    advice = "Set unknown.risk_level in the policy to the level that they shall be judged as, and report the word to the project."
    return (Cause(ExitCode.PROTOCOL, what, advice),)


def _found(counts: Counter[str]) -> str:
    return f"{counts.total()} found: {_named(counts)}" if counts else "none found"


def _named(counts: Counter[str]) -> str:
    """Return the most frequent words with their counts. They come from the service: hostile until escaped."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{excerpt(word, 64)} ({count})" for word, count in ranked[:_MAX_NAMED])
    return shown + (f" and {len(ranked) - _MAX_NAMED} more" if len(ranked) > _MAX_NAMED else "")
