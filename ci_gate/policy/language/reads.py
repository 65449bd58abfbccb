"""Which files a policy is made of, found without judging it: what is written beside it must replace none of them."""

from __future__ import annotations

import os
import re
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ci_gate.errors import InvalidDocumentError
from ci_gate.policy.language.load import MAX_POLICIES
from ci_gate.policy.language.parse import parse_text
from ci_gate.policy.language.sources import WrongEntryError, builtin_policies, file_source, find_below, find_source, read_source

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIGNS = re.compile(r"""[][{},"'\r\n]+""")
_BEFORE_ENTRY = re.compile(r"(?:\s*+(?:-\s|\w++\s*+:))*+")


def files_read(policy: str, *, baselines: bool = True) -> tuple[str, ...]:
    """Return the files that a policy is made of: its own, its parents and, unless they do not matter, their baselines.

    Mistakes in them do not matter: where one is no YAML, it may mean any file below its folder that its text mentions, and those are
    returned. Nothing is waited for, so what a pipe would say is not known. Paths have all links resolved; built-in policies are none.
    """
    return () if policy in builtin_policies() else tuple(dict.fromkeys(_walk(Path(policy), baselines=baselines)))


def _walk(path: Path, *, baselines: bool) -> Iterator[str]:
    waiting, seen = deque([file_source(path, str(path))]), set[str]()
    while waiting and len(seen) < MAX_POLICIES:
        source = waiting.popleft()
        if source.folder is None or not source.identity or source.identity in seen:
            continue
        seen.add(source.identity)
        yield source.identity
        try:
            raw = read_source(source)
        except InvalidDocumentError:
            continue
        try:
            root = parse_text(raw, source.origin).root
        except InvalidDocumentError:
            for entry in _mentioned(raw, source.folder):
                with suppress(WrongEntryError):
                    yield str(find_below(entry, source.folder, path.parent))
                    waiting.append(find_source(entry, source, path.parent))
            continue
        for entry, _ in root.texts("extends")[:MAX_POLICIES]:
            with suppress(WrongEntryError):
                waiting.append(find_source(entry, source, path.parent))
        file = root.at("baseline", "file")
        if baselines and file and isinstance(file.scalar, str):
            with suppress(WrongEntryError):
                yield str(find_below(file.scalar, source.folder, source.folder))


def _mentioned(raw: bytes, folder: Path) -> Iterator[str]:
    """Walk over what a text may name of the files that are there: between blanks, or between the signs of YAML."""
    text = raw.replace(b"\0", b"").decode(errors="surrogateescape")  # without the NULs, UTF-16 can be read as well
    pieces = [_BEFORE_ENTRY.sub("", piece, count=1).strip() for piece in _SIGNS.split(text)]
    for entry in dict.fromkeys((*pieces, *(word for piece in pieces for word in piece.split()))):
        if entry and os.path.isfile(folder / entry):  # noqa: PTH113 - of a name that is none, it says that it is no file
            yield entry
