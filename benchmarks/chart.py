"""The chart of the README: how many times as fast as the plain loop, as bars, readable on light and dark pages."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from figures import TIMES, amount, promise

if TYPE_CHECKING:
    from figures import Figure, Measured

_WIDTH, _LEFT, _ROW, _BAR, _TOP = 820, 370, 34, 18, 34
_ROOM = 170  # right of the longest bar, for what is said of it
_STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #57606a }
.plain { fill: #8b949e } .ours { fill: #1f883d } .bound { stroke: #bf8700; stroke-width: 2 }
@media (prefers-color-scheme: dark) { text { fill: #adbac7 } .ours { fill: #3fb950 } .bound { stroke: #e3b341 } }"""


def chart(measured: Measured) -> str:
    """Return an SVG with a bar for each promise of speed; a line on it shows what is promised."""
    shown = [figure for figure in measured.figures if figure.sense == "at least" and figure.bound is not None]
    longest = max((1.0, *(max(figure.value, figure.bound or 0.0) for figure in shown)))
    scale = (_WIDTH - _LEFT - _ROOM) / longest
    height = _TOP + (len(shown) + 1) * _ROW + 6
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" role="img">',
            "<title>ci-gate against a plain loop over the SDK</title>",
            f"<style>\n{_STYLE}\n</style>",
            '<text x="0" y="16">Times as fast as a plain loop over the SDK. The line is what is promised.</text>',
            *_bar(0, "the plain loop", "plain", 1.0, scale, amount(1.0, TIMES)),
            *(line for row, figure in enumerate(shown, 1) for line in _figure_bar(row, figure, scale)),
            "</svg>\n",
        ]
    )


def _figure_bar(row: int, figure: Figure, scale: float) -> list[str]:
    said = f"{amount(figure.value, figure.value_unit)}, {promise(figure)}"
    at, top = _LEFT + (figure.bound or 0.0) * scale, _TOP + row * _ROW - 3
    line = f'<line class="bound" x1="{at:.0f}" y1="{top}" x2="{at:.0f}" y2="{top + _BAR + 6}"/>'
    return [*_bar(row, figure.what, "ours", figure.value, scale, said, beyond=figure.bound or 0.0), line]


def _bar(row: int, what: str, kind: str, value: float, scale: float, said: str, beyond: float = 0.0) -> list[str]:
    """Draw one bar with its texts; what is said of it stands behind the bar, and behind the line at ``beyond``."""
    top = _TOP + row * _ROW
    return [
        f'<text x="{_LEFT - 8}" y="{top + 13}" text-anchor="end">{escape(what)}</text>',
        f'<rect class="{kind}" x="{_LEFT}" y="{top}" width="{value * scale:.0f}" height="{_BAR}" rx="2"/>',
        f'<text x="{_LEFT + max(value, beyond) * scale + 8:.0f}" y="{top + 13}">{escape(said)}</text>',
    ]
