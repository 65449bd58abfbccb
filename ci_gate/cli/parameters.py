"""Parameter types of the command line: text becomes typed values here, or a usage error."""

from __future__ import annotations

import re
from typing import Any

import click

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_S = 24 * 3600


class Duration(click.ParamType[Any]):
    """A duration such as ``90s``, ``10m`` or ``1h30m``; a bare number is seconds. The value is seconds, as a float."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Convert, or fail with what is allowed."""
        if isinstance(value, int | float):
            return float(value)
        text = str(value).strip()
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,3})?", text):
            seconds = float(text)
        elif re.fullmatch(r"([0-9]{1,9}[smhd])+", text):
            seconds = float(sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)([smhd])", text)))
        else:
            self.fail(f"{text[:40]!r} is no duration; write it like 90s, 10m or 1h30m", param, ctx)
        if not 0 < seconds <= _LONGEST_S:
            self.fail(f"{text[:40]!r} is not between 1s and 24h", param, ctx)
        return seconds


class Output(click.ParamType[Any]):
    """``FORMAT=PATH`` of ``-o``; the value is the pair."""

    name = "format=path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Convert, or fail with the formats that exist."""
        if isinstance(value, tuple):
            return value
        from ci_gate.report import FORMATS

        name, equals, path = str(value).partition("=")
        if not equals or not path:
            self.fail(f"{value!r} is not FORMAT=PATH, such as junit=report.xml", param, ctx)
        if name not in FORMATS:
            self.fail(f"{name!r} is no report format; there are {', '.join(FORMATS)}", param, ctx)
        return name, path
