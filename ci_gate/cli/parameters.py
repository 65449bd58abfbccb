"""Parameter types and shared options of the command line: text becomes typed values here, or a usage error."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from ci_gate.cli.run import DEFAULT_REGION

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_S = 24 * 3600
_QUOTED = 200


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
            self.fail(f"{str(value)[:_QUOTED]!r} is not FORMAT=PATH, such as junit=report.xml", param, ctx)
        if name not in FORMATS:
            self.fail(f"{name[:_QUOTED]!r} is no report format; there are {', '.join(FORMATS)}", param, ctx)
        return name, path


Command = TypeVar("Command", bound=Callable[..., Any])


def complete_policy(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the built-in policies by name, and files."""
    from ci_gate.policy.language.sources import builtin_policies

    names = [CompletionItem(name) for name in builtin_policies() if name.startswith(incomplete)]
    return [*names, CompletionItem(incomplete, type="file")]


def policy_option(command: Command) -> Command:
    """Add ``--policy``; the value is ``policy``."""
    return click.option(
        "-p",
        "--policy",
        metavar="FILE|NAME",
        envvar="CI_GATE_POLICY",
        show_envvar=True,
        shell_complete=complete_policy,
        help="Policy file, or a built-in: default, strict, audit.  [default: .ci-gate.yml or ci-gate.yml here, else the built-in default]",
    )(command)


def floor_options(command: Command) -> Command:
    """Add the options that hand over floors; the values are ``floors`` and ``floor_sha256``.

    They have no environment variable: whoever could unset or replace one would remove the floor.
    """
    return _with(
        command,
        click.option(
            "--floor",
            "floors",
            multiple=True,
            metavar="FILE|NAME",
            shell_complete=complete_policy,
            help="A policy that judges as well, and that the policy cannot soften; repeatable.",
        ),
        click.option(
            "--floor-sha256",
            multiple=True,
            metavar="HEX",
            help="SHA-256 that a floor must have, as `ci-gate policy check FLOOR` prints it; one for each --floor.",
        ),
    )


def report_options(*, envvar: str | None = None) -> Callable[[Command], Command]:
    """Return what adds the options that say which reports are written; the values are ``outputs`` and ``report_dir``.

    :param envvar: the variable that may name the folder; ``None`` where the environment must not say where reports go.
    """

    def add(command: Command) -> Command:
        return _with(
            command,
            click.option(
                "-o",
                "--output",
                "outputs",
                multiple=True,
                type=Output(),
                help="Write a report; repeatable. Formats: junit, markdown, markdown-comment, sarif, json, html, gitlab-secret-detection, "
                "gitlab-codequality. PATH - is stdout.",
            ),
            click.option(
                "--report-dir",
                type=click.Path(file_okay=False, path_type=Path),
                envvar=envvar,
                show_envvar=True,
                help="Write junit.xml, summary.md, results.sarif and result.json there.",
            ),
        )

    return add


def connection_options(command: Command) -> Command:
    """Add the options that say which service is asked, and for how long.

    The values are ``region``, ``endpoint``, ``allow_endpoint`` and ``timeout_s``, named as the fields of ``CheckOptions``.
    """
    return _with(
        command,
        click.option(
            "--region",
            envvar=["CI_GATE_REGION", "ALIBABA_CLOUD_REGION_ID"],
            show_envvar=True,
            default=DEFAULT_REGION,
            show_default=True,
            help="Region of Security Center (not of the registry): cn-shanghai for China, ap-southeast-1 elsewhere.",
        ),
        click.option(
            "--endpoint",
            envvar="CI_GATE_ENDPOINT",
            show_envvar=True,
            metavar="HOST[:PORT]",
            help="Endpoint of the vendor, or one on loopback.",
        ),
        click.option("--allow-endpoint", is_flag=True, help="Accept an --endpoint that is neither; signed requests go there."),
        click.option(
            "--timeout",
            "timeout_s",
            type=Duration(),
            envvar="CI_GATE_TIMEOUT",
            show_envvar=True,
            default="10m",
            show_default=True,
            help="One deadline over everything.",
        ),
    )


def _with(command: Command, *options: Callable[[Command], Command]) -> Command:
    """Apply decorators so that help lists the options in the order in which they are written."""
    return reduce(lambda decorated, option: option(decorated), reversed(options), command)
