"""Exit codes, their precedence, and the errors that carry them.

Every failure of the gate is a :class:`GateError`: it knows its exit code, says what failed for which object, and what to do next.
A failure that has become part of a result is a :class:`Cause`, the same facts as a value.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from ci_gate import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable


class ExitCode(IntEnum):
    """What the process answers. Codes that are not listed are reserved."""

    PASSED = 0  # evidence complete, policy holds (or the policy's mode is `warn`)
    USAGE = 2  # bad command line
    POLICY_INVALID = 3  # policy, floor, baseline, world or saved result does not load
    BLOCKED = 10  # the policy is violated
    CHECK_FAILED = 11  # a side command found something
    INCOMPLETE = 20  # image unknown or ambiguous, scan missing or unfinished, findings do not add up
    UNAUTHORIZED = 21  # no credentials, rejected credentials, missing permission
    UNAVAILABLE = 22  # throttled, 5xx, network, until the deadline
    PROTOCOL = 23  # the service answered something that cannot be trusted
    REPORT_FAILED = 30  # a report could not be written
    INTERNAL = 70  # a bug in ci-gate
    INTERRUPTED = 130  # SIGINT
    TERMINATED = 143  # SIGTERM, or a run that was killed


# Worst first: a known violation is never hidden behind an outage, and an outage never behind a pass.
PRECEDENCE: tuple[ExitCode, ...] = (
    ExitCode.USAGE,
    ExitCode.POLICY_INVALID,
    ExitCode.TERMINATED,
    ExitCode.INTERRUPTED,
    ExitCode.INTERNAL,
    ExitCode.BLOCKED,
    ExitCode.CHECK_FAILED,
    ExitCode.UNAUTHORIZED,
    ExitCode.PROTOCOL,
    ExitCode.INCOMPLETE,
    ExitCode.UNAVAILABLE,
    ExitCode.REPORT_FAILED,
    ExitCode.PASSED,
)


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """Return the code that wins when several apply at once; ``PASSED`` when there is none."""
    return min(codes, key=PRECEDENCE.index, default=ExitCode.PASSED)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a run is not a plain pass: a failure as a value.

    ``action`` is the name of the API call, ``request_id`` the service's id of it, ``where`` a place in a file as ``FILE:LINE:COLUMN``,
    ``permission`` the RAM action that the caller lacks, where that is all that is wrong.
    """

    code: ExitCode
    what: str
    advice: str
    action: str | None = None
    request_id: str | None = None
    where: str | None = None
    permission: str | None = None

    @property
    def sentence(self) -> str:
        """Everything a reader at 2 a.m. needs, on one line."""
        place = f"{self.where}: " if self.where else ""
        call = ", ".join(part for part in (self.action, f"request id {self.request_id}" if self.request_id else None) if part)
        return f"{place}{self.what}{f' [{call}]' if call else ''}"


class GateError(Exception):
    """A failure with an exit code. Carries no secret: texts of the SDK never get in here unfiltered."""

    code: ClassVar[ExitCode] = ExitCode.INTERNAL

    def __init__(
        self,
        what: str,
        *,
        advice: str,
        action: str | None = None,
        request_id: str | None = None,
        where: str | None = None,
        permission: str | None = None,
    ) -> None:
        """Build from what failed and what to do next."""
        super().__init__(what)
        self.causes: tuple[Cause, ...] = (Cause(self.code, what, advice, action, request_id, where, permission),)

    @property
    def cause(self) -> Cause:
        """The first cause; most errors have exactly one."""
        return self.causes[0]


class UsageError(GateError):
    """The command line asks for something that makes no sense."""

    code = ExitCode.USAGE


class InvalidDocumentError(GateError):
    """A policy, world or saved result does not load. Carries all that is wrong with it, not only the first."""

    code = ExitCode.POLICY_INVALID

    @classmethod
    def of(cls, causes: Iterable[Cause]) -> InvalidDocumentError:
        """Build one error that holds every cause."""
        every = tuple(causes)
        error = cls(every[0].what, advice=every[0].advice)
        error.causes = every
        return error


class IncompleteError(GateError):
    """The evidence does not suffice: trying again may help."""

    code = ExitCode.INCOMPLETE


class ReplacedError(IncompleteError):
    """The image that was read may be another one than the one that was asked about: what was read of it is not judged."""


class UnauthorizedError(GateError):
    """No credentials, rejected credentials, or a missing permission."""

    code = ExitCode.UNAUTHORIZED


class UnavailableError(GateError):
    """Throttled, 5xx or no network, until the deadline."""

    code = ExitCode.UNAVAILABLE


class ProtocolError(GateError):
    """The service answered something that cannot be trusted."""

    code = ExitCode.PROTOCOL


class RefusedError(ProtocolError):
    """The service understood the call and refused it (4xx that is about neither identity nor rate).

    ``refusal`` is the service's error code, such as ``BeyondQuata``.
    """

    refusal: str = ""

    @classmethod
    def coded(cls, refusal: str, what: str, *, advice: str, action: str, request_id: str | None) -> Self:
        """Build from the service's error code, what failed, and what to do next."""
        error = cls(what, advice=advice, action=action, request_id=request_id)
        error.refusal = refusal
        return error


class ParameterRefusedError(RefusedError):
    """The service does not take the parameters of the call: some calls may expect that."""


class ReportError(GateError):
    """A report could not be written."""

    code = ExitCode.REPORT_FAILED


class InternalError(GateError):
    """A bug in ci-gate."""

    code = ExitCode.INTERNAL


class InterruptedRunError(GateError):
    """The run was ended by SIGINT."""

    code = ExitCode.INTERRUPTED


class TerminatedRunError(GateError):
    """The run was ended by SIGTERM."""

    code = ExitCode.TERMINATED


def error_for(cause: Cause) -> GateError:
    """Turn a cause back into an error of its kind, to raise it where nothing can go on without what failed."""
    kinds: tuple[type[GateError], ...] = (UsageError, IncompleteError, UnauthorizedError, UnavailableError, ProtocolError)
    kind = next((kind for kind in kinds if kind.code is cause.code), InternalError)
    error = kind(cause.what, advice=cause.advice)
    error.causes = (cause,)
    return error


def bug(error: BaseException) -> Cause:
    """Describe an unexpected exception by its type and place. Its text is left out: it may quote an answer, and so a secret."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "ci_gate" in frame.filename] or frames
    place = f" at {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    advice = f"This is a bug of ci-gate {__version__}. Report it with this line and what was run."
    return Cause(ExitCode.INTERNAL, f"unexpected {type(error).__name__}{place}", advice)
