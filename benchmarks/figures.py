"""What was measured, held against its bound; as a file, and as a table."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMES = "×"  # noqa: RUF001 - the sign


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that was measured, a value for each run, in ``unit``.

    ``plain`` is what it is held against: a plain program in the same go, or what is possible at all; empty where the bound is in ``unit``.
    ``sense`` says which way the bound goes: ``at least`` so many times faster than plain, or ``at most`` so many times as long (or so many
    ``unit``). ``bound`` is ``None`` where nothing is promised.
    """

    what: str
    unit: str
    ours: tuple[float, ...]
    plain: tuple[float, ...] = ()
    sense: Literal["at least", "at most"] = "at most"
    bound: float | None = None

    @property
    def value(self) -> float:
        """What the bound is about: the ratio of the medians, or the median."""
        ours = median(self.ours)
        if not self.plain:
            return ours
        return median(self.plain) / ours if self.sense == "at least" else ours / median(self.plain)

    @property
    def value_unit(self) -> str:
        """The unit of ``value`` and ``bound``."""
        return TIMES if self.plain else self.unit

    @property
    def held(self) -> bool:
        """Whether the bound is kept."""
        return self.bound is None or (self.value >= self.bound if self.sense == "at least" else self.value <= self.bound)


@dataclass(frozen=True, slots=True)
class Measured:
    """All figures of one go, and the class of the machine that they come from."""

    cores: int
    python: str
    figures: tuple[Figure, ...]

    def as_json(self) -> str:
        """Write as JSON; ``value`` and ``held`` are there for other readers."""
        figures = [{**asdict(figure), "value": _short(figure.value), "held": figure.held} for figure in self.figures]
        whole = {"machine": {"cores": self.cores, "python": self.python}, "figures": figures}
        return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def of_json(cls, text: str) -> Measured:
        """Read what :meth:`as_json` wrote."""
        read = json.loads(text)
        return cls(read["machine"]["cores"], read["machine"]["python"], tuple(_figure(**figure) for figure in read["figures"]))


def _figure(*, ours: Sequence[float], plain: Sequence[float], value: float, held: bool, **fields: Any) -> Figure:
    del value, held  # they follow from the others
    return Figure(ours=tuple(ours), plain=tuple(plain), **fields)


def rounded(values: Sequence[float]) -> tuple[float, ...]:
    """Return values with as many digits as mean something."""
    return tuple(map(_short, values))


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def table(measured: Measured, *, promised_only: bool) -> str:
    """Return a table in Markdown: of all figures, or of those that have a bound."""
    rows = [_row(figure) for figure in measured.figures if figure.bound is not None or not promised_only]
    return "\n".join(
        [
            "| measured | plain | ci-gate | ratio | promised |",
            "|---|--:|--:|--:|---|",
            *rows,
            "",
            f"Medians, with the least and the most of the runs; on {measured.cores} cores, Python {measured.python}.",
        ]
    )


def _row(figure: Figure) -> str:
    plain, ratio = (spread(figure.plain, figure.unit), amount(figure.value, figure.value_unit)) if figure.plain else ("", "")
    promised = "" if figure.bound is None else f"{promise(figure)}{'' if figure.held else ': **missed**'}"
    return f"| {figure.what} | {plain} | {spread(figure.ours, figure.unit)} | {ratio} | {promised} |"


def promise(figure: Figure) -> str:
    """Return the bound in words."""
    return "" if figure.bound is None else f"{figure.sense} {amount(figure.bound, figure.value_unit)}"


def spread(values: Sequence[float], unit: str) -> str:
    """Return the median with its unit, and the least and the most where there are several values."""
    around = f" ({_number(min(values))}–{_number(max(values))})" if len(values) > 1 else ""  # noqa: RUF001 - a range
    return f"{amount(median(values), unit)}{around}"


def amount(value: float, unit: str) -> str:
    """Return a value with its unit, three digits of it."""
    return f"{_number(value)} {unit}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits
