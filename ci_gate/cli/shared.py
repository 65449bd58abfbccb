"""What the commands beside ``check`` share: the POLICY argument, days, saved results, and how files and standard output are written."""

from __future__ import annotations

import os
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ci_gate.cli.output import drain
from ci_gate.cli.parameters import Command, policy_option
from ci_gate.cli.reporting import check_working_directory, to_stdout
from ci_gate.errors import InvalidDocumentError, ReportError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci_gate.policy.language.load import LoadedPolicy
    from ci_gate.replay.saved import SavedRun

STDOUT = "-"


class Day(click.ParamType[Any]):
    """A day as ``YYYY-MM-DD``, UTC; the value is a date."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Convert, or fail with how a day is written."""
        if isinstance(value, date):
            return value
        text = str(value)
        try:
            # Python alone would take week dates and compact ones as well.
            return date.fromisoformat(text if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text, re.ASCII) else "")
        except ValueError:
            self.fail(f"{text[:40]!r} is no day; write it like 2026-11-30", param, ctx)


def policy_argument(command: Command) -> Command:
    """Add the argument POLICY (``named``) and ``--policy`` (``policy``), which mean the same: see :func:`chosen`."""
    return click.argument("named", required=False, metavar="[POLICY]")(policy_option(command))


def chosen(named: str | None, policy: str | None) -> str | None:
    """Return the one policy that was named; ``None`` for that of the working directory.

    :raises UsageError: if the argument and the option both name one.
    """
    if named is None:
        return policy
    source = click.get_current_context().get_parameter_source("policy")
    if policy is not None and source is ParameterSource.COMMANDLINE:
        raise UsageError("POLICY and --policy mean the same", advice="Give one of them.")
    return named  # what is typed wins over what the environment says


def load_named(named: str | None, policy: str | None) -> LoadedPolicy:
    """Load the policy that the argument or the option names, else that of the working directory, else the built-in ``default``.

    :raises GateError: if both name one, or with every mistake in it.
    """
    from ci_gate.cli.run import load_chosen_policy

    check_working_directory()
    return load_chosen_policy(chosen(named, policy))


def today_utc() -> date:
    """Return the day (UTC) that waivers and baselines are judged by."""
    return datetime.now(UTC).date()


def read_result(path: str) -> SavedRun:
    """Read a saved result document.

    :raises InvalidDocumentError: if there is none, or it contradicts itself.
    """
    from ci_gate.policy.language.files import read_waiting
    from ci_gate.replay.saved import read_saved
    from ci_gate.result_document.read import MAX_BYTES

    advice = "Name the file that `-o json=FILE` or --report-dir of a check wrote."
    try:
        raw = read_waiting(path, MAX_BYTES + 1, patience_s=0.0)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "it is no file"
        raise InvalidDocumentError(f"the saved result cannot be read: {why}", advice=advice, where=path[:400]) from None
    return read_saved(raw, path[:400])


def write_out(text: str) -> None:
    """Write a text to standard output, whole.

    :raises ReportError: if it does not get there.
    """
    drain()  # what was said on stderr comes first
    to_stdout(text)


def write_listing(text: str) -> None:
    """Write what only informs to standard output; whoever has read enough of it may close it (``| head -1``): that is no error.

    :raises ReportError: if it does not get there for another reason.
    """
    drain()
    to_stdout(text, whole=False)


def write_file(path: Path, text: str, what: str) -> None:
    """Put a file in place whole, or not at all.

    :param what: what messages call it.
    :raises ReportError: if it cannot be written.
    """
    write_files(((path, text),), what)


def write_files(files: Sequence[tuple[Path, str]], what: str) -> None:
    """Put files in place whole, all of them or none.

    :param what: what messages call them.
    :raises ReportError: if one cannot be written.
    """
    from ci_gate.report import write_together

    try:
        write_together((path, text.encode("utf-8")) for path, text in files)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        raise ReportError(
            f"{what} {', '.join(repr(str(path)) for path, _ in files)} could not be written: {why}",
            advice="Give a path in a folder that can be written.",
        ) from None


def path_from(folder: Path, path: Path) -> str | None:
    """Return a path as a policy in this folder names it; ``None`` where it is not below the folder, so that no policy there may."""
    inside = os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
    return None if Path(inside).parts[:1] == (os.pardir,) else Path(inside).as_posix()
