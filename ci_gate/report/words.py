"""Sentences that several reports share: why, and what to do next. They hold data as it is: each format escapes them, once."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci_gate.errors import PRECEDENCE
from ci_gate.model import ProofState, many
from ci_gate.report.text import cut
from ci_gate.verdict import Outcome, Status, Validity

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from ci_gate.errors import Cause
    from ci_gate.verdict import BaselineUse, Decision, ImageResult, RuleResult, RunResult, WaiverUse

ROTATE = (
    "Rotate the credential first: it has left your hands with the push. Then remove the file where it is added and rebuild: "
    "deleting it in a later layer does not remove it from the image."
)
OWN_LAYERS = "in the image's own layers, for whoever builds this image to mend"
BASE_LAYERS = "in the base image, for whoever builds that one to mend"
_NAMED = 3
_WORST_FIRST = (Status.BLOCKED, Status.UNDECIDED, Status.PASSED)
_SENTENCE = 2_000
_WORD = 200
_NOT_VIOLATED = {
    Outcome.WAIVED: "waived",
    Outcome.BASELINED: "in the baseline",
    Outcome.EXEMPT: "exempt in the base image",
    Outcome.INHERITED: "inherited from the deployed image",
    Outcome.ALLOWED: "allowed",
    Outcome.COUNTED: "counted without breaking a limit",
}
# What would have been counted, were it not for an exception.
SOFTENED = frozenset({Outcome.WAIVED, Outcome.BASELINED, Outcome.EXEMPT, Outcome.INHERITED})
_FLOOR_RULE = re.compile(r"floor\[(.*)\]\.([^\]]*)", re.DOTALL)
_WAIVER = re.compile(r"\bwaiver ([A-Za-z0-9][A-Za-z0-9_.:/-]{0,63})")  # as the rule of a decision names it


def short(result: ImageResult) -> str:
    """Name an image as a person would, with the first twelve digits of its digest."""
    reference = result.reference
    if reference is None:
        return cut(result.asked, 300)
    digest = reference.digest or (result.image.digest if result.image else "")
    tag = f":{reference.tag}" if reference.tag else ""
    return f"{reference.canonical}{tag}{f' (sha256:{digest[:12]})' if digest else ''}"


def reason(result: ImageResult) -> str:
    """Say in one line why an image has its verdict."""
    verdict = result.verdict
    if result.blocks:
        said = (*_broken_rules(result, verdict.blocking), *(lapse.reason for lapse in _lapses(result)[:_NAMED]), mixed(result))
        return "; ".join(part for part in said if part)
    if result.causes:
        found = many(len(verdict.violations), "finding")
        known = f"; besides, {found} would block, seen in warn mode only" if verdict.violations else ""
        return cut(result.causes[0].sentence, _SENTENCE) + known
    if result.image is None:
        return "no image was judged"
    if verdict.violations:
        return "it would be blocked: " + "; ".join(_broken_rules(result, verdict.violations))
    doubts = [proof.name for proof in result.evidence if proof.state in {ProofState.FAILED, ProofState.UNKNOWN}]
    evidence = f"with warnings about the evidence: {', '.join(doubts)}" if doubts else "and the evidence is complete"
    softened = ", ".join(f"{number} {word}" for outcome, word, number in decided(result) if outcome in SOFTENED)
    none = f"none breaks the policy{f' ({softened})' if softened else ''}"
    return f"{many(len(verdict.decisions), 'finding')}, {none}, {evidence}"


def next_step(result: ImageResult, run: RunResult) -> str:
    """Say in one line what to do about an image of a run."""
    if result.blocks:
        blocking = result.verdict.blocking
        keys = Counter(decision.finding.key for decision in blocking)
        parts = [*(lapse.advice for lapse in _lapses(result)[:_NAMED]), f"{ROTATE} Begin with {_named_keys(keys)}."]
        of_base = sum(decision.base_image for decision in blocking)
        if of_base:
            parts.append(f"In the base image, for whoever builds that one to mend: {of_base} of {many(len(blocking), 'violation')}.")
        return " ".join(parts)
    if result.causes:
        return cut(result.causes[0].advice, _SENTENCE)
    if result.image is None:
        return "Report this as a bug."
    if result.verdict.violations:
        return "Mend the violations before the policy's mode becomes enforce."
    return _deploy(result.pinned, run)


def headline(run: RunResult) -> str:
    """Say in one line what was decided of a run."""
    decisive = run_cause(run)
    if decisive:
        more = len(run.causes) - 1
        return cut(decisive.sentence, _SENTENCE) + (f" (and {more} more)" if more else "")
    if not run.images:
        return "no image was judged"
    if len(run.images) == 1:
        return f"{short(run.images[0])}: {reason(run.images[0])}"
    counts = Counter(image.status for image in run.images)
    said = f"{len(run.images)} images: " + ", ".join(f"{counts[status]} {status}" for status in Status if counts[status])
    worst = worst_image(run)
    return said if worst.status is Status.PASSED else f"{said}; {short(worst)}: {reason(worst)}"


def run_next_step(run: RunResult) -> str:
    """Say in one line what to do next after a run."""
    decisive = run_cause(run)
    if decisive:
        return cut(decisive.advice, _SENTENCE)
    if not run.images:
        return "Name an image."
    if len(run.images) > 1 and run.status is Status.PASSED and not any(image.verdict.violations for image in run.images):
        return _deploy("the images by their digests", run)
    return next_step(worst_image(run), run)


def worst_image(run: RunResult) -> ImageResult:
    """Return the image that decides: one that is blocked, or undecided, or would be blocked, or the first."""
    return min(run.images, key=lambda image: (_WORST_FIRST.index(image.status), _severity(image), not image.verdict.violations))


def stand_in(run: RunResult) -> str:
    """Return what was asked in the place of the real service, loudly; empty where it was that. A replay says what it replays."""
    kind = run.source.kind
    if kind == "live":
        return ""
    figures = {figure for image in run.images for proof in image.evidence if proof.name == "source" for figure in proof.figures}
    return cut(kind.upper(), 20) + (" OF EMULATED" if kind != "emulated" and ("original", "emulated") in figures else "")


def stand_in_means(run: RunResult) -> str:
    """Say what it means that something else than the real service was asked, in one line; empty where it was that."""
    said = stand_in(run)
    replayed = "decided again from a saved result, Security Center was not asked" if said and run.source.kind == "replay" else ""
    emulated = "this is not about a real account; never deploy by it" if "EMULATED" in said else ""
    return "; ".join(part for part in (replayed, emulated) if part)


def scanner(run: RunResult) -> str:
    """Name who found the findings: not to be taken for the real service where it is not."""
    return "EMULATED, not Security Center" if "EMULATED" in stand_in(run) else "Alibaba Cloud Security Center"


def run_cause(run: RunResult) -> Cause | None:
    """Return the worst cause of the run itself, where it is that, and not an image, that decides."""
    if not run.causes or run.status is not Status.UNDECIDED:
        return None
    return min(run.causes, key=lambda cause: PRECEDENCE.index(cause.code))


def mixed(result: ImageResult) -> str:
    """Say how many violations block, where others do not; empty where all do, or none."""
    block = len(result.verdict.blocking)
    more = len(result.verdict.violations) - block
    if not block or not more:
        return ""
    verbs = ("blocks" if block == 1 else "block", "is" if more == 1 else "are")
    return f"{many(block, 'violation')} {verbs[0]}, {more} more {verbs[1]} seen in warn mode only"


def warned(run: RunResult) -> int:
    """Return how many violations are seen by policies in warn mode only."""
    return sum(len(image.verdict.violations) - len(image.verdict.blocking) for image in run.images)


def warn_mode(rule: str) -> str:
    """Say why a violation of a rule does not block."""
    floor, _ = floor_rule(rule)
    return f"would block: the {f'floor {cut(floor, 60)}' if floor else 'policy'} is in warn mode"


def decided(result: ImageResult) -> list[tuple[Outcome, str, int]]:
    """Return the outcomes that some findings have, besides violation, with a word for each and how many."""
    found = Counter(decision.outcome for decision in result.verdict.decisions)
    return [(outcome, word, found[outcome]) for outcome, word in _NOT_VIOLATED.items() if found[outcome]]


def compared(result: ImageResult) -> str:
    """Say which deployed image the findings were compared with; empty where none was asked for."""
    if result.compared is None:
        return ""
    other = result.compared
    if other.findings is None:
        return f"to be compared with {cut(other.asked, _WORD)}, which could not be read: no threshold was judged"
    asked = f" (asked as {cut(other.asked, _WORD)})" if other.asked != other.pinned else ""
    inherited = sum(decision.outcome is Outcome.INHERITED for decision in result.verdict.decisions)
    return f"compared with {cut(other.pinned, _WORD)}{asked}, which has {many(other.findings, 'finding')}: {inherited} inherited from it"


def waivers_of(run: RunResult) -> tuple[WaiverUse, ...]:
    """Return every waiver once, with what it fits in all images, those that need attention first."""
    found: dict[tuple[str, str], WaiverUse] = {}
    for image in run.images:
        for use in image.verdict.waivers:
            before = found.get((use.policy, use.id))
            found[use.policy, use.id] = replace(use, findings=use.findings + before.findings) if before else use
    return tuple(sorted(found.values(), key=lambda use: not waiver_is_due(use)))


def baselines_of(run: RunResult) -> tuple[BaselineUse, ...]:
    """Return every baseline once, with what it covers in all images; what one image lacks may be in another."""
    found: dict[tuple[str, str], BaselineUse] = {}
    for image in run.images:
        for use in image.verdict.baselines:
            before = found.get((use.policy, use.file))
            least = min(use, before or use, key=lambda one: one.gone)
            found[use.policy, use.file] = replace(least, findings=use.findings + before.findings) if before else use
    return tuple(sorted(found.values(), key=lambda use: not baseline_is_due(use)))


def waiver_is_due(use: WaiverUse) -> bool:
    """Whether somebody should look at a waiver."""
    return use.unused or use.validity is not Validity.ACTIVE


def baseline_is_due(use: BaselineUse) -> bool:
    """Whether somebody should look at a baseline."""
    return use.gone > 0 or use.validity is not Validity.ACTIVE


def waiver_line(use: WaiverUse, run: RunResult) -> str:
    """Say in one line how it stands with a waiver."""
    return f"waiver {_waiver_name(use, run)} {_waiver_state(use, run.today)}"


def baseline_line(use: BaselineUse, run: RunResult) -> str:
    """Say in one line how it stands with a baseline."""
    name = f"baseline {cut(use.file, _WORD)}{_holder(use.policy, run)}"
    if use.validity is Validity.EXPIRED:
        return f"{name} expired on {use.expires}: fix what it covered, or agree on a new one"
    said = f"{name} covers {use.findings} of {many(use.entries, 'finding')}"
    said += f", expires on {use.expires}{_in_days(use.expires, run.today) if use.validity is Validity.EXPIRING else ''}"
    if not use.gone:
        return said
    examples = "; ".join(cut(example, _WORD) for example in use.examples[:_NAMED])
    return f"{said}; {use.gone} no longer {'occurs' if use.gone == 1 else 'occur'}{f' ({examples})' if examples else ''}: make it anew"


def floor_rule(rule: str) -> tuple[str, str]:
    """Return the name of the floor that a rule is of, and the rule without it; the policy's own rules have no name."""
    match = _FLOOR_RULE.fullmatch(rule)
    return (match[1], match[2]) if match else ("", rule)


def layer(digest: str) -> str:
    """Return a layer digest as docker shows it: twelve digits."""
    return digest.removeprefix("sha256:")[:12]


def rule_state(rule: RuleResult, image: ImageResult) -> str:
    """Return ``kept`` or ``broken``; ``open`` where a rule is not broken by what was read, and there may be more."""
    if not rule.passed:
        return "broken"
    return "open" if image.causes else "kept"


def _deploy(what: str, run: RunResult) -> str:
    said = stand_in(run)
    return f"This was {said}: deploy by a check of the real account only." if said else f"Deploy {what}."


def _severity(image: ImageResult) -> int:
    return PRECEDENCE.index(image.exit_code)


@dataclass(frozen=True, slots=True)
class _Lapse:
    """A waiver or baseline that would have covered violations, were it in force: why that matters, and what to do."""

    reason: str
    advice: str


def _lapses(result: ImageResult) -> list[_Lapse]:
    """Find what would have covered violations that block: the rules of these name it."""
    verdict = result.verdict
    waivers = [use for use in verdict.waivers if use.findings and use.validity in {Validity.EXPIRED, Validity.PENDING}]
    # A floor may have a waiver of the same id. Those of the policy itself stand first: without a floor in the rule, they are meant.
    late = {("", use.id): use for use in reversed(waivers)} | {(use.policy, use.id): use for use in waivers}
    expired = [use for use in verdict.baselines if use.validity is Validity.EXPIRED]
    if not waivers and not expired:
        return []
    texts = Counter(decision.rule_text for decision in verdict.blocking)
    named: Counter[tuple[str, str]] = Counter()
    told = Counter((floor_rule(decision.rule)[0], decision.rule_text) for decision in verdict.blocking)
    for (floor, text), number in told.items():
        for name in dict.fromkeys(_WAIVER.findall(text)):
            key = (floor, name) if (floor, name) in late else ("", name)
            named.update({key: number} if key in late else {})
    lapses = [_waiver_lapse(late[name], number) for name, number in named.most_common()]
    for use in expired:
        number = sum(number for text, number in texts.items() if "baseline" in text and f"expired on {use.expires}" in text)
        if number:
            lapses.append(_lapse(f"baseline {cut(use.file, _WORD)}", f"expired on {use.expires}", number, "agree on a new one"))
    return lapses


def _waiver_lapse(use: WaiverUse, number: int) -> _Lapse:
    owner = f" with its owner {cut(use.owner, _WORD)}" if use.owner else ""
    if use.validity is Validity.EXPIRED:
        return _lapse(f"waiver {use.id}", f"expired on {use.expires}", number, f"renew it{owner}")
    return _lapse(f"waiver {use.id}", f"is not valid before {use.created}", number, f"wait for that day or change it{owner}")


def _lapse(name: str, state: str, number: int, remedy: str) -> _Lapse:
    reason = f"{name}, which would cover {number} of these findings, {state}"
    return _Lapse(reason, f"{name[:1].upper()}{name[1:]} {state}: {remedy}, or fix.")


def _waiver_name(use: WaiverUse, run: RunResult) -> str:
    return f"{cut(use.id, _WORD)}{_holder(use.policy, run)}{f' (owner {cut(use.owner, _WORD)})' if use.owner else ''}"


def _holder(policy: str, run: RunResult) -> str:
    """Name the floor that a waiver or baseline is of; the policy's own need no word."""
    return f" of {cut(policy, _WORD)}" if policy and policy != run.policy.name else ""


def _waiver_state(use: WaiverUse, today: date | None) -> str:
    fits = f"fits {'nothing: remove it' if use.unused else many(use.findings, 'finding')}"
    if use.findings and use.validity is Validity.EXPIRED:
        fits += ": renew it, or fix"
    states = {
        Validity.ACTIVE: "",
        Validity.EXPIRING: f"expires on {use.expires}{_in_days(use.expires, today)}; it ",
        Validity.EXPIRED: f"expired on {use.expires}; it ",
        Validity.PENDING: f"is not valid before {use.created}; it ",
    }
    return states[use.validity] + fits


def _in_days(day: date | None, today: date | None) -> str:
    if day is None or today is None:
        return ""
    left = (day - today).days
    return f", in {many(left, 'day')}" if left else ", today"


def _broken_rules(result: ImageResult, violations: Iterable[Decision]) -> list[str]:
    """Say for each rule that is broken by how many findings, and of which keys."""
    by_rule: dict[str, Counter[str]] = {}
    for decision in violations:
        by_rule.setdefault(decision.rule, Counter())[decision.finding.key] += 1
    details = {rule.rule: rule.detail for rule in result.verdict.rules}
    return [
        f"{many(keys.total(), 'finding')} {_broken_rule(rule, details.get(rule, 'exceeded'))}: {_named_keys(keys)}"
        for rule, keys in by_rule.items()
    ]


def _broken_rule(rule: str, detail: str) -> str:
    floor, bare = floor_rule(rule)
    name = f"the floor {cut(floor, 60)}"
    if bare == "deny":
        return f"of keys that {name} denies" if floor else "of denied keys"
    if bare == "unknown.keys":
        return f"of unknown keys, which {name} denies" if floor else "of unknown keys"
    return f"over {cut(bare, 60)}{f' of {name}' if floor else ''} ({cut(detail, 200)})"


def _named_keys(keys: Counter[str]) -> str:
    ranked = sorted(keys.items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(cut(key, 60) for key, _ in ranked[:_NAMED])
    return named + (f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else "")
