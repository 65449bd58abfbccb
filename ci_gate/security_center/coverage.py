"""Whether the account's settings let a scan see what the policy denies: its rules, and its whitelists."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from ci_gate.errors import Cause, ExitCode, GateError, ProtocolError, UnavailableError, error_for
from ci_gate.model import EvidenceRules, Proof, ProofState, many
from ci_gate.security_center.contracts import is_text, to_bool
from ci_gate.security_center.paging import Request, read_listings

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci_gate.deadline import Deadline
    from ci_gate.security_center.contracts import Answer
    from ci_gate.security_center.paging import Row
    from ci_gate.security_center.transport import Transport

T = TypeVar("T")

_RULES = "GetSensitiveDefineRuleConfig"
_WHITELISTS = "DescribeImageEventOperationPage"
_SHOWN = 20
_MORE_TIME = "Try again later, or give the run more time with --timeout."
_SWITCH_ON = "Switch it on in Security Center: container image scan settings, sensitive files. Then scan the image again."

_FRESH_S = 60.0  # how long an answer stands for other images: a run may wait for scans while somebody changes the settings
_SLICE_S = 0.2


class Shared(Generic[T]):
    """An answer that is the same for every image of a run: one asks, and the others wait for it. Safe to use from several threads.

    A failure is handed to those who waited for it, and is forgotten with that; an answer is forgotten after a minute.
    """

    def __init__(self, ask: Callable[[Deadline], T]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._asking: _Asking[T] | None = None

    def get(self, deadline: Deadline) -> T:
        """Return the answer.

        :raises GateError: what asking raised; or, where somebody else asks and the time is up before that, that it is.
        """
        with self._lock:
            asking = self._asking
            mine = asking is None or asking.is_stale
            if asking is None or mine:
                asking = self._asking = _Asking()
        if mine:
            self._settle(asking, deadline)
        while not asking.done.wait(min(_SLICE_S, deadline.remaining)):
            if deadline.passed:
                raise UnavailableError("the time was up before the account's settings were read", advice=_MORE_TIME)
        if asking.failure is not None:
            raise asking.failure
        return asking.answers[0]

    def _settle(self, asking: _Asking[T], deadline: Deadline) -> None:
        try:
            asking.answers = (self._ask(deadline),)
        except BaseException as error:  # noqa: BLE001 - handed to all who wait, this thread first
            asking.failure = error
            with self._lock:
                self._asking = None
        finally:
            asking.ended_at = time.monotonic()
            asking.done.set()


class _Asking(Generic[T]):
    """One time that a question is asked: what came of it, once it is ``done``."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.answers: tuple[T, ...] = ()
        self.failure: BaseException | None = None
        self.ended_at = 0.0

    @property
    def is_stale(self) -> bool:
        return self.done.is_set() and time.monotonic() - self.ended_at > _FRESH_S


class AccountSettings:
    """What the account's settings let a scan see: the same for every image, so it is asked for once for all of them."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.rules: Shared[dict[str, bool]] = Shared(self._ask_rules)
        self.whitelists: Shared[tuple[Row, ...]] = Shared(self._ask_whitelists)

    def _ask_rules(self, deadline: Deadline) -> dict[str, bool]:
        return _selected(self._transport.call(_RULES, {"Source": "image", "Lang": "en"}, deadline))

    def _ask_whitelists(self, deadline: Deadline) -> tuple[Row, ...]:
        request = Request(_WHITELISTS, (("EventType", "sensitiveFile"), ("Lang", "en")))
        listing = read_listings(self._transport, [request], deadline)[0]
        if listing.cause is not None:
            raise error_for(listing.cause)
        return listing.rows


def prove_covered(account: AccountSettings, rules: EvidenceRules, deadline: Deadline) -> Proof:
    """Prove that every denied key is selected in the account's rules for images, as they are today.

    Never raises: what is in the way is the proof's cause, or a warning where the policy says so.
    """
    if rules.rule_coverage == "off":
        return Proof("covered", ProofState.NOT_ASKED, "the policy sets evidence.rule_coverage: off")
    try:
        selected = account.rules.get(deadline)
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
        off_too = many(others, "other rule is", "other rules are")
        what = f"every denied key is selected, but {off_too} off: the thresholds do not see their keys"
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


def prove_whitelists(account: AccountSettings, rules: EvidenceRules, deadline: Deadline) -> Proof:
    """Prove that the vendor-side rules which can hide findings are known. Never raises."""
    strict = rules.vendor_whitelist == "error"
    try:
        rows = account.whitelists.get(deadline)
    except GateError as error:
        lenient = not strict and error.cause.permission is not None
        detail = f"the whitelists could not be read: {error.cause.sentence}. {error.cause.advice}"
        return Proof("whitelists", ProofState.UNKNOWN, detail, cause=None if lenient else error.cause)
    listed = tuple(
        (
            f"whitelist {number}",
            f"{row.fields.get('EventKey') or '?'}: {row.fields.get('Conditions') or ''} for {row.fields.get('Scenarios') or ''}",
        )
        for number, row in enumerate(rows[:_SHOWN], 1)
    )
    figures: tuple[tuple[str, int | str], ...] = (("whitelists", len(rows)), *listed)
    if not rows:
        return Proof("whitelists", ProofState.HELD, "no whitelist of Security Center hides findings", figures)
    what = f"{many(len(rows), 'whitelist')} of Security Center may hide findings"
    if strict:
        advice = "Delete them in Security Center and waive in the policy instead, or set evidence.vendor_whitelist: report."
        return Proof("whitelists", ProofState.FAILED, what, figures, Cause(ExitCode.INCOMPLETE, what, advice, _WHITELISTS))
    return Proof("whitelists", ProofState.HELD, what, figures)


def _some(keys: list[str]) -> str:
    shown = ", ".join(keys[:_SHOWN])
    return f"{shown} and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else shown
