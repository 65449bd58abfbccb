"""Whether the account's settings let a scan see what the policy denies: its rules, and its whitelists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_gate.errors import Cause, ExitCode, GateError, ProtocolError
from ci_gate.model import EvidenceRules, Proof, ProofState
from ci_gate.security_center.contracts import is_text, to_bool
from ci_gate.security_center.paging import Request, read_listings

if TYPE_CHECKING:
    from ci_gate.deadline import Deadline
    from ci_gate.security_center.contracts import Answer
    from ci_gate.security_center.transport import Transport

_RULES = "GetSensitiveDefineRuleConfig"
_WHITELISTS = "DescribeImageEventOperationPage"
_SHOWN = 20
_SWITCH_ON = "Switch it on in Security Center: container image scan settings, sensitive files. Then scan the image again."


def prove_covered(transport: Transport, rules: EvidenceRules, deadline: Deadline) -> Proof:
    """Prove that every denied key is selected in the account's rules for images, as they are today.

    Never raises: what is in the way is the proof's cause, or a warning where the policy says so.
    """
    if rules.rule_coverage == "off":
        return Proof("covered", ProofState.NOT_ASKED, "the policy sets evidence.rule_coverage: off")
    try:
        selected = _selected(transport.call(_RULES, {"Source": "image", "Lang": "en"}, deadline))
    except GateError as error:
        lenient = rules.rule_coverage == "warn" or (rules.rule_coverage == "auto" and error.cause.permission is not None)
        detail = f"the rules could not be read: {error.cause.sentence}. {error.cause.advice}"
        return Proof("covered", ProofState.UNKNOWN, detail, cause=None if lenient else error.cause)
    folded = {key.casefold() for key in selected}
    off = sorted(key for key, is_on in selected.items() if not is_on and rules.denies(key))
    absent = sorted(key for key in rules.denied_keys if key.casefold() not in folded)
    others = sum(1 for key, is_on in selected.items() if not is_on) - len(off)
    figures = (
        ("rules", len(selected)),
        ("denied_keys", len(rules.denied_keys)),
        ("denied_off", len(off)),
        ("denied_absent", len(absent)),
        ("other_off", others),
    )
    if off or not selected:
        what = (
            f"denied keys are switched off in the account's rules: {_some(off)}" if off else "the account has no rule for sensitive files"
        )
        cause = None if rules.rule_coverage == "warn" else Cause(ExitCode.INCOMPLETE, what, _SWITCH_ON, _RULES)
        return Proof("covered", ProofState.FAILED, what, figures, cause)
    if absent:
        what = f"denied keys are not among the account's rules: {_some(absent)}"
        cause = Cause(ExitCode.INCOMPLETE, what, _SWITCH_ON, _RULES) if rules.rule_coverage == "error" else None
        return Proof("covered", ProofState.UNKNOWN, what, figures, cause)
    if others and rules.counts_all_keys:
        what = f"every denied key is selected, but {others} other rules are off: the thresholds do not see their keys"
        return Proof("covered", ProofState.UNKNOWN, what, figures)
    return Proof("covered", ProofState.HELD, "every denied key is selected in the account's rules of today", figures)


def _selected(answer: Answer) -> dict[str, bool]:
    """Return which rule is on; a rule that stands in several classes is on only if it is on in all."""
    selected: dict[str, bool] = {}
    for branch in answer.rows:
        for rule in branch["RuleList"]:
            key = rule.get("RuleKey") if isinstance(rule, dict) else None
            is_on = to_bool(rule.get("Selected")) if isinstance(rule, dict) else None
            if not is_text(key) or is_on is None or not isinstance(key, str):
                raise ProtocolError(
                    "the answer breaks the contract of the call: a rule has no RuleKey or no Selected",
                    advice="Report it with the request id.",
                    action=_RULES,
                    request_id=answer.request_id,
                )
            selected[key] = selected.get(key, True) and is_on
    return selected


def prove_whitelists(transport: Transport, rules: EvidenceRules, deadline: Deadline) -> Proof:
    """Prove that the vendor-side rules which can hide findings are known. Never raises."""
    request = Request(_WHITELISTS, (("EventType", "sensitiveFile"), ("Lang", "en")))
    listing = read_listings(transport, [request], deadline)[0]
    strict = rules.vendor_whitelist == "error"
    if listing.cause is not None:
        lenient = not strict and listing.cause.permission is not None
        detail = f"the whitelists could not be read: {listing.cause.sentence}. {listing.cause.advice}"
        return Proof("whitelists", ProofState.UNKNOWN, detail, cause=None if lenient else listing.cause)
    listed = tuple(
        (
            f"whitelist {number}",
            f"{row.fields.get('EventKey') or '?'}: {row.fields.get('Conditions') or ''} for {row.fields.get('Scenarios') or ''}",
        )
        for number, row in enumerate(listing.rows[:_SHOWN], 1)
    )
    figures: tuple[tuple[str, int | str], ...] = (("whitelists", len(listing.rows)), *listed)
    if not listing.rows:
        return Proof("whitelists", ProofState.HELD, "no whitelist of Security Center hides findings", figures)
    what = f"{len(listing.rows)} whitelists of Security Center may hide findings"
    if strict:
        advice = "Delete them in Security Center and waive in the policy instead, or set evidence.vendor_whitelist: report."
        return Proof("whitelists", ProofState.FAILED, what, figures, Cause(ExitCode.INCOMPLETE, what, advice, _WHITELISTS))
    return Proof("whitelists", ProofState.HELD, what, figures)


def _some(keys: list[str]) -> str:
    shown = ", ".join(keys[:_SHOWN])
    return f"{shown} and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else shown
