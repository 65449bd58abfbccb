"""The thresholds of a policy, and what is counted under each. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from ci_gate.model import RiskLevel, many
from ci_gate.policy.judging.steps import Answer
from ci_gate.verdict import Outcome, RuleResult

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ci_gate.policy.effective import Thresholds
    from ci_gate.policy.judging.steps import Case


@dataclass(frozen=True)
class Limit:
    """One threshold and what was counted under it. ``level`` is ``None`` for the total.

    ``judged`` is false where nobody knows which findings are new: then it is told, and does not block.
    """

    rule: str
    level: RiskLevel | None
    most: int
    counted: int
    alike: int  # rows left out because they look like one that is counted
    judged: bool = True

    @property
    def exceeded(self) -> bool:
        """Whether more was counted than is allowed."""
        return self.counted > self.most

    @property
    def text(self) -> str:
        """The rule in words."""
        return f"at most {many(self.most, 'counted finding')}{f' of {self.level} risk' if self.level else ''} allowed"

    @property
    def detail(self) -> str:
        """The figures in words."""
        left_out = f" (the findings are incomplete: rows that look alike count once, {self.alike} left out)" if self.alike else ""
        unjudged = "; not judged: the deployed image could not be read" if self.exceeded and not self.judged else ""
        return f"{self.counted} counted, {self.most} allowed{left_out}{unjudged}"

    @property
    def result(self) -> RuleResult:
        """What became of the rule."""
        return RuleResult(self.rule, self.text, not self.exceeded, self.detail)

    @cached_property
    def answer(self) -> Answer:
        """What is said of each finding that counts here, where the limit is exceeded."""
        text = f"{self.text}, {self.counted} found"
        if self.judged:
            return Answer(Outcome.VIOLATION, self.rule, text)
        return Answer(Outcome.COUNTED, "counted", f"{text}; they could not be compared: the deployed image could not be read")

    def applies_to(self, case: Case) -> bool:
        """Tell whether a counted finding counts here."""
        return self.level is None or self.level in case.levels


def limits_of(
    thresholds: Thresholds, cases: Iterable[Case], answers: Iterable[Answer], *, distinct: bool, judged: bool
) -> tuple[Limit, ...]:
    """Count what is counted under each threshold that is set. ``distinct``: rows that look alike count once."""
    counted = [case for case, answer in zip(cases, answers, strict=True) if answer.outcome is Outcome.COUNTED]
    rows = Counter(level for case in counted for level in case.levels)
    marks = {(level, case.row.fingerprint) for case in counted for level in case.levels} if distinct else set[tuple[RiskLevel, str]]()
    unlike = Counter(level for level, _ in marks) if distinct else rows
    limits = []
    for level in RiskLevel:
        most = getattr(thresholds, level.value)
        if most is not None:
            limits.append(Limit(f"thresholds.{level}", level, most, unlike[level], rows[level] - unlike[level], judged))
    if thresholds.total is not None:
        total = len({mark for _, mark in marks}) if distinct else len(counted)
        limits.append(Limit("thresholds.total", None, thresholds.total, total, len(counted) - total, judged))
    return tuple(limits)


def against_limits(answer: Answer, case: Case, limits: Iterable[Limit]) -> Answer:
    """Turn a counted finding into a violation where a level that it counts as, or else the total, is exceeded."""
    if answer.outcome is not Outcome.COUNTED:
        return answer
    limit = next((limit for limit in limits if limit.exceeded and limit.applies_to(case)), None)
    return _within(answer) if limit is None else limit.answer


@lru_cache(maxsize=1_024)
def _within(answer: Answer) -> Answer:
    return answer._replace(text=f"{answer.text}; no threshold is exceeded")
