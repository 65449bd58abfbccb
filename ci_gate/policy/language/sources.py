"""Which file is meant: built-in policies by their names, and the files that a policy names, below its folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ci_gate.policy.language.files import read_file
from ci_gate.policy.problems import did_you_mean, excerpt, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_BYTES = 1 << 20
NOUN = "policy file"
_MAX_NAME = 128
_MAX_ORIGIN = 400
_MAX_LISTED = 1_000  # files of a folder that are looked through for the one that was meant
_SUFFIXES = (".yml", ".yaml")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a policy comes from. ``identity`` tells files apart by what they are, not by how they are named; empty for a mere text.

    Files that the policy names are looked for from ``folder``; without one, it names none.
    """

    origin: str
    default_name: str
    identity: str
    folder: Path | None


class WrongEntryError(Exception):
    """A policy names a file that it cannot mean. Says what is wrong, and what to do."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(what)
        self.what, self.advice = what, advice


@cache
def builtin_policies() -> Mapping[str, Path]:
    """Return the ready policies by name: beside the package where it is installed, in ``policies/`` of a checkout."""
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "policies", package.parent / "policies"):
        found = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
        if "default" in found:
            return found
    return {}


def builtin_source(name: str) -> Source:
    """Return a built-in policy by its name."""
    return Source(f"built-in:{name}", name, f"built-in:{name}", None)


def file_source(path: Path, written: str) -> Source:
    """Return a policy file that the command line names; ``written`` is how it does."""
    return Source(excerpt(written, _MAX_ORIGIN), _name_of(path), _real(path), path.parent)


def read_source(source: Source) -> bytes:
    """Return the content of a policy that another one names.

    :raises InvalidDocumentError: where the file cannot be read.
    """
    path = Path(source.identity) if source.folder else builtin_policies()[source.default_name]
    return read_file(path, source.origin, noun=NOUN, limit=MAX_BYTES, missing="Check the path: it counts from this policy.", regular=True)


def find_source(entry: str, source: Source, root: Path | None) -> Source:
    """Return the policy that an entry of ``extends`` means: a built-in one, or a file below the folder ``root``.

    :raises WrongEntryError: where it means neither.
    """
    builtins = builtin_policies()
    if entry in builtins:
        return builtin_source(entry)
    if source.folder is None or root is None:
        what = f"{quoted(entry)} is no built-in policy, and only a policy in a file can extend files"
        raise WrongEntryError(what, f"{did_you_mean(entry, builtins)}Built-in policies: {', '.join(builtins)}.")
    path = find_below(entry, source.folder, root)
    if not _exists(path):
        what = f"{quoted(entry)} is neither a built-in policy nor a file"
        names = [*builtins, *_beside(entry, path)]
        advice = f"{did_you_mean(entry, names)}Built-in policies: {', '.join(builtins)}. The path of a file counts from this policy."
        raise WrongEntryError(what, advice)
    return Source(join_origin(source.origin, entry), _name_of(path), str(path), path.parent)


def find_below(entry: str, folder: Path, limit: Path) -> Path:
    """Return the file that a policy in a folder names, all links resolved.

    :raises WrongEntryError: where it is not below the folder ``limit``.
    """
    if entry.startswith("/"):
        raise WrongEntryError(f"{quoted(entry)} is not relative", "Name a file by its path from this policy, such as ./team.yml.")
    path = _real(folder / entry)
    if not path:
        raise WrongEntryError(f"{quoted(entry)} is no path", "Name a file by its path from this policy, such as ./team.yml.")
    if not Path(path).is_relative_to(os.path.realpath(limit)):
        raise WrongEntryError(f"{quoted(entry)} is outside the folder of the policy", "Move the file there: what a policy names, it keeps.")
    return Path(path)


def join_origin(origin: str, entry: str) -> str:
    """Return what messages call a file that a policy names."""
    return excerpt(os.path.normpath(os.path.join(os.path.dirname(origin), entry)), _MAX_ORIGIN)  # noqa: PTH118, PTH120 - a text


def _real(path: Path) -> str:
    """Return a path with all links resolved, or nothing where it is none: a NUL in it, or what no file system can spell."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return ""


def _exists(path: Path) -> bool:
    try:
        return os.path.lexists(path)
    except (OSError, ValueError):
        return False


def _beside(entry: str, path: Path) -> Iterator[str]:
    """Walk over the policy files in the folder of one that is missing, named as that one is."""
    folder = entry[: entry.rfind("/") + 1]
    try:
        with os.scandir(path.parent) as found:
            names = [item.name for item in islice(found, _MAX_LISTED)]
    except (OSError, ValueError):
        return
    yield from (folder + name for name in names if name.endswith(_SUFFIXES))


def _name_of(path: Path) -> str:
    return excerpt(path.name.removesuffix(".yml").removesuffix(".yaml").lstrip("."), _MAX_NAME) or "policy"
