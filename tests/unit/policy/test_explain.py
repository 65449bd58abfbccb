"""The trace of a decision tells each step, and why it applied or not."""

from dataclasses import replace
from datetime import date

from ci_gate.model import Finding, Inventory
from ci_gate.policy.effective import DenyClause, EffectivePolicy, Judges, NamedPolicy, Thresholds, Waiver
from ci_gate.policy.judging.evaluate import judge
from ci_gate.policy.judging.explain import explain

TODAY = date(2026, 9, 1)
PEM = Finding("pem", "/a.pem", "high")


def steps(policy, *findings, floors=(), **inventory):
    return [trace.steps for trace in explain(Judges(policy, floors), Inventory(findings, **inventory), TODAY)]


def test_every_step_of_a_counted_finding_says_why_it_does_not_apply():
    (lines,) = steps(EffectivePolicy(thresholds=Thresholds(high=0, low=0, total=1)), PEM)

    assert lines == (
        "waivers: no: no waiver fits it",
        "baseline of denied keys: no: its key is not denied",
        "deny: no: its key is not denied",
        "allow: no: its key is not allowed",
        "baseline: no: no baseline that is in force covers it",
        "base_image: no: not in a layer of the base image",
        "since: no: no deployed image was compared",
        "count: counted: counted as high risk",
        "thresholds.high: exceeded: 1 counted, 0 allowed",
        "thresholds.low: no: the finding is of another level",
        "thresholds.total: no: 1 counted, 1 allowed",
        "decision: violation by thresholds.high: at most 0 counted findings of high risk allowed, 1 found",
    )


def test_the_steps_behind_the_one_that_decides_are_not_asked():
    waiver = Waiver("W-1", ("pem",), expires=date(2026, 8, 31))
    (lines,) = steps(EffectivePolicy(deny=(DenyClause(("pem",)),), thresholds=Thresholds(total=0), waivers=(waiver,)), PEM)

    assert "waivers: no: waiver W-1 expired on 2026-08-31" == lines[0]
    assert "deny: violation: the key pem is denied at any risk level" == lines[2]
    assert "allow: not asked: deny decided" == lines[3]
    assert "thresholds.total: no: the finding is not counted" == lines[-2]


def test_numbers_of_alike_findings_are_told():
    found = replace(PEM, md5="0f" * 16)
    lines = steps(EffectivePolicy(), found, replace(found, risk_level="low"), known={found.fingerprint: 1})

    assert {"since: inherited: the deployed image has it, too", "since: no: it is number 2 of its kind, and the deployed image has 1"} == {
        line for of_one in lines for line in of_one if line.startswith("since")
    }


def test_the_steps_of_floors_follow_and_what_all_say_together():
    floor = NamedPolicy("org", EffectivePolicy(deny=(DenyClause(("pem",)),)))
    judges = Judges(EffectivePolicy(), (floor,))
    (trace,) = explain(judges, Inventory((PEM,)), TODAY)

    assert "floor[org] deny: violation: the key pem is denied at any risk level" in trace.steps
    assert "all together: violation by floor[org].deny: the key pem is denied at any risk level" == trace.steps[-1]
    assert judge(judges, Inventory((PEM,)), TODAY).decisions == (trace.decision,)
