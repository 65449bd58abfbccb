"""What can be read of a command line that is refused: the reports that it names, and all else."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ci_gate.cli.reporting import wanted_reports

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci_gate.report import Target

_DIRECTORY = "--report-dir"
_OTHER_COMMANDS = frozenset({"replay", "demo", "policy", "baseline", "waivers", "keys", "doctor", "emulate"})  # they take no folder from it
_MOST = 50  # reports


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A command line without a meaning. ``others`` are the words, and parts of words, that may name something which it reads."""

    reports: tuple[Target, ...]
    others: tuple[str, ...]

    @classmethod
    def of(cls, words: Sequence[str]) -> RefusedLine:
        """Read a line: what looks like ``FORMAT=PATH`` is a report, wherever it stands before ``--``."""
        from ci_gate.report import FORMATS

        report = re.compile(rf"(?:--output=|-\w*?o)?({'|'.join(FORMATS)})=(.+)", re.DOTALL)
        end = words.index("--") if "--" in words else len(words)
        outputs, others = [], list(words[end:])
        folder = None if _OTHER_COMMANDS & set(words) else os.environ.get("CI_GATE_REPORT_DIR")
        before = ""
        for word in words[:end]:
            if found := report.fullmatch(word):
                outputs.append((found[1], found[2]))
            elif before == _DIRECTORY or word.startswith(f"{_DIRECTORY}="):
                folder = word.removeprefix(f"{_DIRECTORY}=")
            else:
                others += [word, word.partition("=")[2], word[2:] if word.startswith("-") else ""]
            before = word
        return cls(wanted_reports(outputs[:_MOST], Path(folder) if folder else None), tuple(filter(None, others)))
