"""Findings that are alike: which is the first of them, and which are tied to no content."""

from dataclasses import replace
from datetime import date

import pytest

from ci_gate.model import Finding, Inventory, number_alike
from ci_gate.policy.effective import Baseline, BaselineEntry, EffectivePolicy
from ci_gate.policy.judging.evaluate import evaluate
from ci_gate.policy.judging.rows import rows_of
from ci_gate.verdict import Outcome

TODAY = date(2026, 9, 1)
BASE, OWN = "b" * 64, "a" * 64
PEM = Finding("pem", "/a.pem", "high", md5="0123456789abcdef" * 2, layer_digest=OWN)
LOOSE = replace(PEM, md5="N/A", layer_digest="")


def outcomes(policy, *findings, **inventory):
    return sorted(decision.outcome for decision in evaluate(policy, Inventory(number_alike(findings), **inventory), TODAY).decisions)


def baseline_of(finding, count=1):
    return Baseline("b.json", (BaselineEntry(finding.fingerprint, count),), date(2026, 12, 31))


def test_what_is_exempt_uses_up_what_the_deployed_image_has():
    policy = EffectivePolicy(exempt_layers=(BASE,))
    in_base = replace(PEM, layer_digest=f"sha256:{BASE.upper()}")

    assert [Outcome.COUNTED, Outcome.EXEMPT] == outcomes(policy, PEM, in_base, known={PEM.fingerprint: 0})
    assert [Outcome.COUNTED, Outcome.INHERITED] == outcomes(EffectivePolicy(), PEM, in_base, known={PEM.fingerprint: 1})
    assert Outcome.COUNTED in outcomes(policy, PEM, in_base, known={PEM.fingerprint: 1})


def test_what_is_exempt_uses_up_what_a_baseline_has():
    policy = EffectivePolicy(exempt_layers=(BASE,), baselines=(baseline_of(PEM),))

    assert Outcome.COUNTED in outcomes(policy, PEM, replace(PEM, layer_digest=BASE))


def test_of_those_that_are_as_severe_the_exempt_ones_are_first_in_any_order():
    alike = number_alike([PEM, replace(PEM, layer_digest=BASE)])

    for findings in (alike, alike[::-1]):
        ranks = {row.finding.layer_digest: row.nth for row in rows_of(Inventory(findings), frozenset({BASE}))}
        assert {BASE: 1, OWN: 2} == ranks


@pytest.mark.parametrize("layer", ["", "N/A", "sha256:", "f" * 63])
def test_what_nothing_ties_to_content_is_neither_inherited_nor_baselined(layer):
    found = replace(LOOSE, layer_digest=layer)

    assert [Outcome.COUNTED] == outcomes(EffectivePolicy(baselines=(baseline_of(found),)), found, known={found.fingerprint: 9})
