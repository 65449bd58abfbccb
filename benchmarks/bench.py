"""``make bench``: measure what the README says of speed, and remake its table, its chart and ``figures.json``; about six minutes.

    python benchmarks/bench.py [--quick]

With ``--quick`` small sizes are measured once, in half a minute; nothing is written.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import fetch
import judging
import startup
import throttling
import whole
from chart import chart
from figures import Figure, Measured, amount, promise, spread, table

if TYPE_CHECKING:
    from collections.abc import Iterator

_HERE = Path(__file__).parent
_ROOT = _HERE.parent
FIGURES = _HERE / "figures.json"
CHART = _ROOT / "docs" / "pictures" / "speed.svg"
TABLES = {_ROOT / "README.md": True, _ROOT / "docs" / "speed.md": False}  # whether only what is promised is shown
_TABLE = re.compile(r"(<!-- speed -->\n).*?(<!-- /speed -->)", re.DOTALL)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="Measure what the README says of speed.")
    parser.add_argument("--quick", action="store_true", help="small sizes, once; nothing is written")
    quick = parser.parse_args().quick
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]  # the SDK would send the calls of the loop through it, to loopback, too
    figures = []
    for figure in (replace(each, bound=None) for each in _quick()) if quick else _all():
        print(said(figure), flush=True)
        figures.append(figure)
    measured = Measured(os.cpu_count() or 1, platform.python_version(), tuple(figures))
    missed = sum(not figure.held for figure in figures)
    print(f"{measured.cores} cores, Python {measured.python}; {len(figures)} figures, {missed} promises missed")
    if not quick:
        write(measured)


def _all() -> Iterator[Figure]:
    yield from startup.measure(runs=9)
    yield from fetch.measure(latencies_ms=(20, 50, 150), pages_a_key=(1, 10), runs=3)
    yield from whole.measure(findings=10_000, latency_ms=50, rounds=2)
    yield from judging.measure(sizes=(1_000, 10_000, 100_000), runs=3)
    yield from throttling.measure(images=50, per_second=40, runs=3)


def _quick() -> Iterator[Figure]:
    yield from startup.measure(runs=3)
    yield from fetch.measure(latencies_ms=(20,), pages_a_key=(1, 2), runs=1)
    yield from whole.measure(findings=1_000, latency_ms=20, rounds=1)
    yield from judging.measure(sizes=(1_000,), runs=1)
    yield from throttling.measure(images=10, per_second=40, runs=1)


def said(figure: Figure) -> str:
    """Return a figure as a line for the terminal."""
    against = f"; plain {spread(figure.plain, figure.unit)}: {amount(figure.value, figure.value_unit)}" if figure.plain else ""
    promised = "" if figure.bound is None else f" [{promise(figure)}: {'held' if figure.held else 'MISSED'}]"
    return f"{figure.what}: {spread(figure.ours, figure.unit)}{against}{promised}"


def write(measured: Measured) -> None:
    """Write the figures, and remake all that is made from them."""
    FIGURES.write_text(measured.as_json(), "utf-8")
    CHART.write_text(chart(measured), "utf-8")
    for page, promised_only in TABLES.items():
        page.write_text(with_table(page.read_text("utf-8"), table(measured, promised_only=promised_only)), "utf-8")


def with_table(page: str, text: str) -> str:
    """Return a page with another table between its marks.

    :raises ValueError: if it has none.
    """
    remade, count = _TABLE.subn(lambda match: f"{match[1]}{text}\n{match[2]}", page)
    if count != 1:
        raise ValueError("the page has no marks <!-- speed --> and <!-- /speed -->, or several")
    return remade


if __name__ == "__main__":
    main()
