"""How a policy and its floors came to each decision, step by step. The steps are those that decide: they cannot say otherwise. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_gate.policy.judging.evaluate import Hearing, hear_all, join
from ci_gate.policy.judging.steps import STEPS, answers
from ci_gate.verdict import Decision, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from ci_gate.model import Inventory
    from ci_gate.policy.effective import Judges
    from ci_gate.policy.judging.steps import Case


@dataclass(frozen=True, slots=True)
class Trace:
    """The decision on one finding, and every step on the way: why it applied, or why not."""

    decision: Decision
    steps: tuple[str, ...]


def explain(judges: Judges, inventory: Inventory, today: date, image: str | None = None) -> tuple[Trace, ...]:
    """Return the decisions that :func:`~ci_gate.policy.judging.evaluate.judge` makes, in its order, each with its steps."""
    hearings = hear_all(judges, inventory, today, image)
    prefixes = ("", *(f"floor[{floor.name}] " for floor in judges.floors))
    traces = []
    for i, decision in enumerate(join(judges, hearings).decisions):
        lines = [line for hearing, prefix in zip(hearings, prefixes, strict=True) for line in _lines(hearing, i, prefix)]
        if judges.floors:
            lines.append(f"all together: {_said(decision)}")
        traces.append(Trace(decision, tuple(lines)))
    return tuple(traces)


def _lines(hearing: Hearing, i: int, prefix: str) -> Iterator[str]:
    """Yield the steps of one policy for the finding at a place."""
    case, final = hearing.cases[i], hearing.verdict.decisions[i]
    asked = list(answers(hearing.bench, case))
    for name, answer in asked:
        yield f"{prefix}{name}: {answer.outcome.value if answer.outcome else 'no'}: {answer.text}"
    decider, decisive = asked[-1]
    for name, _ in STEPS[len(asked) :]:
        yield f"{prefix}{name}: not asked: {decider} decided"
    yield from (f"{prefix}{line}" for line in _limit_lines(hearing, case, decisive.outcome))
    yield f"{prefix}decision: {_said(final)}"


def _said(decision: Decision) -> str:
    return f"{decision.outcome.value} by {decision.rule}: {decision.rule_text}"


def _limit_lines(hearing: Hearing, case: Case, outcome: Outcome | None) -> Iterator[str]:
    for limit in hearing.limits:
        if outcome is not Outcome.COUNTED:
            yield f"{limit.rule}: no: the finding is not counted"
        elif not limit.applies_to(case):
            yield f"{limit.rule}: no: the finding is of another level"
        else:
            yield f"{limit.rule}: {'exceeded' if limit.exceeded else 'no'}: {limit.detail}"
