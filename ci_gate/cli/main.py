"""The entry point: one :func:`main` maps every ending of a command to its exit code."""

from __future__ import annotations

import gc
import os
import sys
import traceback
from typing import TYPE_CHECKING

import click

from ci_gate import __version__
from ci_gate.cli.baseline import baseline
from ci_gate.cli.check import check
from ci_gate.cli.demo import demo
from ci_gate.cli.doctor import doctor
from ci_gate.cli.emulate import emulate
from ci_gate.cli.github import hand_on_refusal
from ci_gate.cli.keys import keys
from ci_gate.cli.output import drain, say_causes, tell
from ci_gate.cli.policy import policy
from ci_gate.cli.replay import replay
from ci_gate.cli.reporting import stdout_error
from ci_gate.cli.run import refuse
from ci_gate.cli.signals import RunSignal, raising_signals, signals_as_before
from ci_gate.cli.waivers import waivers
from ci_gate.errors import Cause, ExitCode, GateError, UsageError, bug

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROG = "ci-gate"
_COMPLETE_VAR = "_CI_GATE_COMPLETE"
_EPILOG = """\b
Exit codes: 0 passed, 10 blocked, 20 incomplete evidence, 21 unauthorized, 22 unavailable, 23 untrusted answer,
2 usage, 3 invalid policy, 11 a side command found something, 30 report not written, 70 bug, 130/143 signals. Only 0 may deploy.

\b
Completion: eval "$(_CI_GATE_COMPLETE=bash_source ci-gate)"   (or zsh_source, fish_source)
"""


class _InOrder(click.Group):
    """Lists its commands in the order in which they were added: the main job first."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)


@click.group(cls=_InOrder, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name=_PROG, message="%(prog)s %(version)s")
def cli() -> None:
    """Block the deploy of container images that carry leaked keys and credential files.

    Asks Alibaba Cloud Security Center for every sensitive file of an image, holds them against a policy, and says "passed" only if
    it can show that every finding was read and that the policy holds.
    """


for command in (check, replay, demo, policy, baseline, waivers, keys, doctor, emulate):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> ExitCode:
    """Run a command and return its exit code. Prints errors; raises nothing."""
    with signals_as_before():
        return _to_the_end(arguments)


def _to_the_end(arguments: Sequence[str] | None) -> ExitCode:
    """Run a command; return its exit code when all is said. No signal changes it any more."""
    try:
        return _main(arguments)
    finally:
        drain()


def _main(arguments: Sequence[str] | None) -> ExitCode:
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Shells ask for completions without arguments. With some, the variable would turn any check into an exit 0 without a check.
    completing = {} if given else {"complete_var": _COMPLETE_VAR}
    if given:
        os.environ.pop(_COMPLETE_VAR, None)
    try:
        with raising_signals():
            try:
                answer = cli.main(args=given, prog_name=_PROG, standalone_mode=False, **completing)
            except click.ClickException as error:
                return _refuse(given, error)
    except click.Abort:
        return ExitCode.INTERRUPTED
    except RunSignal as signal:
        say_causes(signal.error.causes)
        _hand_on(given, signal.error.cause)
        return signal.error.code
    except GateError as error:
        say_causes(error.causes)
        _hand_on(given, error.cause)
        return error.code
    except SystemExit as error:
        # click ends the process so after a completion (0), and where whoever read our standard output has gone (1).
        return ExitCode.PASSED if error.code in {0, None} else ExitCode.REPORT_FAILED
    except Exception as error:  # noqa: BLE001 - the last line of defence
        cause = _of_click(error) or bug(error)
        say_causes((cause,))
        _hand_on(given, cause)
        return cause.code
    if isinstance(answer, ExitCode):
        return answer
    return ExitCode.PASSED if answer == 0 else ExitCode.INTERNAL  # --help and --version return 0; a command always returns its code


def _refuse(given: Sequence[str], error: click.ClickException) -> ExitCode:
    """Say what is wrong with a line, also in the reports that it names; return the exit code."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        tell(f"{error.format_message()}\n")
        return ExitCode.USAGE
    context = (error.ctx if isinstance(error, click.UsageError) else None) or _context_of(given)
    tell(f"{context.get_usage()}\n")
    refused = UsageError(error.format_message().rstrip("."), advice=f"See `{context.command_path} --help`.")
    say_causes(refused.causes)
    refuse(given, context.info_name or _PROG, refused)
    _hand_on(given, refused.cause)
    return refused.code


def _context_of(given: Sequence[str]) -> click.Context:
    """Return the context of the command that a line begins with: click does not say which one had an option too many."""
    context = click.Context(cli, info_name=_PROG)
    for word in given:
        command = context.command.commands.get(word) if isinstance(context.command, click.Group) else None
        if command is None:
            break
        context = click.Context(command, parent=context, info_name=word)
    return context


def _of_click(error: Exception) -> Cause | None:
    """Return why click could not print a help, a version or a completion; everything else is printed by :func:`to_stdout`."""
    if not isinstance(error, OSError) or all(frame.name != "echo" for frame in traceback.extract_tb(error.__traceback__)):
        return None
    return stdout_error(error).cause


def _hand_on(given: Sequence[str], cause: Cause) -> None:
    """Tell the platform of a run that did not begin or end as it should, where it was to be told of it."""
    if "--github" in given:
        hand_on_refusal(cause)


def collect_less() -> None:
    """Have Python look for garbage less often: a large image is a million objects that live to the end, and hardly any cycles."""
    gc.set_threshold(100_000, 50, 100)


def run() -> None:
    """End the process with the exit code of :func:`main`."""
    collect_less()
    code = _to_the_end(None)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        code = ExitCode.REPORT_FAILED if code is ExitCode.PASSED else code
    # Not `sys.exit`: a thread that hangs in the SDK would keep the interpreter waiting.
    os._exit(code)
