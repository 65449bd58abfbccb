"""What can be read of a command line that is refused: the reports that it names, and all else."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ci_gate.cli.reporting import wanted_reports

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci_gate.report import Target

_DIRECTORY = "--report-dir"
_WITH_REPORTS = frozenset({"ci-gate", "policy", "check", "replay", "test"})  # the first two: nobody knows which command was meant
_WITH_VARIABLE = frozenset({"ci-gate", "check"})
_OUTPUT = re.compile(r"-\w*o|--o[\w-]*")
_MOST = 200  # reports
_LONGEST_CLUSTER = 64  # of options of one letter
_MOST_POLICIES, _LARGEST_POLICY = 8, 256 * 1024  # bytes; that are looked into


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A command line without a meaning. ``others`` are the words, and parts of words, that may name something which it reads."""

    reports: tuple[Target, ...]
    others: tuple[str, ...]

    @property
    def policies(self) -> tuple[str, ...]:
        """The first of the others that may be policies: what these name is kept as well."""
        return tuple(islice(filter(_may_be_policy, self.others), _MOST_POLICIES))

    @classmethod
    def of(cls, words: Sequence[str], command: str) -> RefusedLine:
        """Read a line of a command: what looks like ``FORMAT=PATH`` behind an option that may be ``--output`` is a report."""
        from ci_gate.report import FORMATS

        if command not in _WITH_REPORTS:
            return cls((), ())
        formats = "|".join(FORMATS)
        alone, attached = re.compile(rf"({formats})=(.+)", re.DOTALL), re.compile(rf"(?:--o[\w-]*=|-\w*?o=?)({formats})=(.+)", re.DOTALL)
        end = words.index("--") if "--" in words else len(words)
        outputs, others = [], list(words[end:])
        folder = os.environ.get("CI_GATE_REPORT_DIR") or None if command in _WITH_VARIABLE else None
        before = ""
        for word in words[:end]:
            if found := attached.fullmatch(word) or (alone.fullmatch(word) if _OUTPUT.fullmatch(before) else None):
                outputs.append((found[1], found[2]))
            elif before == _DIRECTORY or word.startswith(f"{_DIRECTORY}="):
                folder = word.removeprefix(f"{_DIRECTORY}=")
            else:
                others += _parts(word)
            before = word
        return cls(wanted_reports(outputs[:_MOST], None if folder is None else Path(folder)), tuple(dict.fromkeys(filter(None, others))))


def _parts(word: str) -> Iterator[str]:
    """Yield what of a word can be a value."""
    yield word
    yield from re.split(r"[\s=]+", word)
    if re.match(r"-\w", word):
        yield from (word[start:] for start in range(2, min(len(word), _LONGEST_CLUSTER)))


def _may_be_policy(path: str) -> bool:
    try:
        return Path(path).is_file() and Path(path).stat().st_size <= _LARGEST_POLICY
    except (OSError, ValueError):
        return False
