"""``make mutants``: three deliberate bugs, each of which the law must catch: as a false pass. Prints a line each; 1 where one survives.

The right gate goes through the same schedules beside them: what it breaks, too, no bug was needed for.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from law import LawError, breaches, run_gate, search
from schedules import FILES, KEYS

from ci_gate.errors import UnavailableError
from ci_gate.security_center import paging, transport
from ci_gate.security_center.contracts import Answer, PageInfo

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = 1000  # at most, until a bug is caught
_OF_THE_RIGHT_ONE = 200


def drop_a_page() -> None:
    """The last page of a listing is not fetched."""
    right = paging._set_out

    def wrong(reading, first):
        right(reading, first)
        reading.page_count = max(1, reading.page_count - 1)

    paging._set_out = wrong


def trust_a_missing_success() -> None:
    """An answer that does not say that it went well is taken for one that did."""
    right = transport.judge

    def wrong(action, body, *more):
        return right(action, {"Success": True, **body} if isinstance(body, dict) else body, *more)

    transport.judge = wrong


def swallow_a_5xx() -> None:
    """A listing that the service failed to answer is taken for an empty one."""
    right = transport.Transport.call

    def wrong(self, action, parameters, deadline):
        try:
            return right(self, action, parameters, deadline)
        except UnavailableError:
            if action not in {KEYS, FILES}:
                raise
            info = PageInfo(int(str(parameters["CurrentPage"])), int(str(parameters["PageSize"])), 0)
            return Answer(action, (), info, None, self.server_ms)

    transport.Transport.call = wrong


def change_nothing() -> None:
    """No bug."""


MUTANTS: dict[str, Callable[[], None]] = {
    mutate.__name__: mutate for mutate in (change_nothing, drop_a_page, trust_a_missing_success, swallow_a_5xx)
}


def try_mutant(name: str) -> int:
    """Put one bug in, and look for a schedule that shows it; return 0 where the law says what it should."""
    MUTANTS[name]()
    tried = []

    def count(case):
        tried.append(case)
        outcome = run_gate(case)
        false_pass = [said for said in breaches(case, outcome) if said.startswith("exit code 0")]
        if false_pass:
            raise LawError(false_pass[0])
        return outcome

    caught = ""
    try:
        search(EXAMPLES if name != change_nothing.__name__ else _OF_THE_RIGHT_ONE, 1, shrink=False, check=count)
    except LawError as error:
        caught = str(error).partition("\n")[0][:160]
    said = f"caught by schedule {len(tried)}: {caught}" if caught else f"the law held over {len(tried)} schedules"
    fine = bool(caught) == (name != change_nothing.__name__)
    sys.stdout.write(f"{name}: {said}{'' if fine else ' - WRONG'}\n")
    return 0 if fine else 1


def main() -> int:
    command = [sys.executable, __file__]
    started = [subprocess.Popen([*command, name]) for name in MUTANTS]
    codes = [process.wait() for process in started]  # each of them, whatever the first one says
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(try_mutant(sys.argv[1]) if len(sys.argv) > 1 else main())
