"""The proofs of a saved run again, from their figures, under the evidence that a policy asks for. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ci_gate.errors import Cause, ExitCode
from ci_gate.model import Proof, ProofState, many
from ci_gate.replay.contradictions import Figures, contradicts, cut

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci_gate.model import EvidenceRules
    from ci_gate.replay.saved import SavedImage, SavedRun

AGAIN = "Run the check again."
_MAX_SKEW_S = 300
_MAX_SHOWN = 5


def check_evidence(run: SavedRun, rules: Callable[[str | None], EvidenceRules]) -> None:
    """Hold the states of the proofs against those that their figures yield.

    :param rules: which evidence the policy that judged then asked for, of an image by its canonical name.
    :raises InvalidDocumentError: if they differ.
    """
    problems = []
    for number, image in enumerate(run.images):
        asked = rules(image.canonical)
        for proof in image.evidence:
            again = prove(image, proof, asked, asked)
            if (again.state, again.cause is None) != (proof.state, proof.cause is None):
                said = "" if again.state is proof.state else f", its figures make it {again.state}"
                problems.append(f"images[{number}]: the proof {cut(proof.name)} is saved as {proof.state}{said or ' with another outcome'}")
    if problems:
        raise contradicts(run.origin, problems)


def prove(image: SavedImage, proof: Proof, rules: EvidenceRules, before: EvidenceRules | None) -> Proof:
    """Return a proof as it would have ended under ``rules``; the run asked for ``before``."""
    figures = Figures(proof)
    if proof.name == "covered":
        return _covered(proof, figures, rules, before)
    if proof.name == "consistent":
        return _consistent(proof, figures, rules)
    if proof.name == "whitelists":
        return _whitelists(proof, figures, rules)
    if proof.state is not ProofState.HELD:
        return proof
    if proof.name == "identity" and image.reference is not None and image.reference.digest is None and rules.require_digest:
        # Where the run asked for a digest too, the image was named by its uuid, which is as good.
        return (
            proof
            if before is not None and before.require_digest
            else _ended(proof, ProofState.FAILED, "the image was named by tag", failed=True)
        )
    if proof.name == "scanned" and rules.max_scan_age_s is not None:
        age_s = _age(proof)
        if age_s is None or not -_MAX_SKEW_S <= age_s <= rules.max_scan_age_s:
            said = "the age of the scan is not known" if age_s is None else f"the scan was {age_s} s old when it was read"
            return _ended(proof, ProofState.FAILED, f"{said}, the policy allows {rules.max_scan_age_s:.0f} s", failed=True)
    if proof.name == "settled" and "settle_s" in figures and figures["settle_s"] < int(rules.settle_s):
        said = f"the second look came after {figures['settle_s']} s, the policy asks for {rules.settle_s:.0f} s"
        return _ended(proof, ProofState.FAILED, said, failed=True)
    return proof


def _age(proof: Proof) -> int | None:
    """Return the age of the scan in seconds, which may be below 0 where clocks differ; ``None`` where it is not known."""
    value = dict(proof.figures).get("age_s")
    return value if type(value) is int else None


def _covered(proof: Proof, figures: Figures, rules: EvidenceRules, before: EvidenceRules | None) -> Proof:
    strictness = rules.rule_coverage
    if strictness == "off":
        return _ended(proof, ProofState.NOT_ASKED, "the policy sets evidence.rule_coverage: off", failed=False)
    if proof.state is ProofState.NOT_ASKED:
        said = "the saved run did not ask for the account's rules"
        return _ended(proof, ProofState.UNKNOWN, said, failed=strictness != "warn")
    if "rules" not in figures:  # they could not be read; where only the permission lacked, that had no cause
        failed = strictness == "error" or (strictness == "auto" and proof.cause is not None)
        return _ended(proof, ProofState.UNKNOWN, proof.detail, failed=failed)
    if figures["denied_off"] or figures["rules"] < 1:
        return _ended(proof, ProofState.FAILED, proof.detail, failed=strictness != "warn")
    looked_for = before is not None and figures["denied_keys"] == len(before.denied_keys)
    unseen = rules.denied_keys - before.denied_keys if before is not None and looked_for else rules.denied_keys
    unseen_before = max(0, figures["denied_unseen"])
    proof = _with_figures(proof, denied_keys=len(rules.denied_keys))
    if unseen or unseen_before:
        some = ", ".join(sorted(unseen)[:_MAX_SHOWN]) or f"{unseen_before} of them"
        said = f"the saved run did not look whether the account has rules for keys that this policy denies: {some}"
        proof = _with_figures(proof, denied_unseen=max(len(unseen), unseen_before))
        # Where no rule at all was off, theirs are on or absent, and `auto` takes an absent one.
        failed = strictness == "error" or (strictness == "auto" and figures["other_off"] != 0)
        return _ended(proof, ProofState.UNKNOWN, said, failed=failed)
    if figures["denied_absent"]:
        return _ended(proof, ProofState.UNKNOWN, proof.detail, failed=strictness == "error")
    if figures["other_off"] and rules.counts_all_keys:
        off = many(figures["other_off"], "other rule is", "other rules are")
        return _ended(proof, ProofState.UNKNOWN, f"{off} off: the thresholds do not see their keys", failed=False)
    return _ended(proof, ProofState.HELD, "every denied key was selected in the account's rules", failed=False)


def _consistent(proof: Proof, figures: Figures, rules: EvidenceRules) -> Proof:
    if proof.state is ProofState.UNKNOWN:
        return proof  # cut short, or never judged: what cut it short is a cause of its own
    if figures["disagreements"]:
        return _ended(proof, ProofState.FAILED, proof.detail, failed=rules.inferred == "error")
    return _ended(proof, ProofState.HELD, proof.detail, failed=False)


def _whitelists(proof: Proof, figures: Figures, rules: EvidenceRules) -> Proof:
    strict = rules.vendor_whitelist == "error"
    if "whitelists" not in figures:
        return _ended(proof, ProofState.UNKNOWN, proof.detail, failed=strict or proof.cause is not None)
    hiding = figures["whitelists"] != 0
    return _ended(proof, ProofState.FAILED if hiding and strict else ProofState.HELD, proof.detail, failed=hiding and strict)


def _with_figures(proof: Proof, **figures: int) -> Proof:
    return replace(proof, figures=tuple({**dict(proof.figures), **figures}.items()))


def _ended(proof: Proof, state: ProofState, detail: str, *, failed: bool) -> Proof:
    """Return a proof with another end; what it says and its cause are kept where they still are the same."""
    said = proof.detail if proof.state is state else detail
    if not failed:
        return replace(proof, state=state, detail=said, cause=None)
    cause = proof.cause or Cause(ExitCode.INCOMPLETE, said, AGAIN)
    return replace(proof, state=state, detail=said, cause=cause)
