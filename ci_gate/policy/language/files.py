"""Files that a policy is made of, read whole and within bounds."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ci_gate.errors import InvalidDocumentError
from ci_gate.policy.problems import Document, excerpt

if TYPE_CHECKING:
    from pathlib import Path


def read_file(path: Path, origin: str, *, noun: str, limit: int, missing: str, regular: bool) -> bytes:
    """Return the content of a file, at most ``limit`` bytes.

    ``noun`` is what messages call it, ``missing`` the advice where there is none. With ``regular``, pipes and devices are refused, and
    never waited for: for paths that a document names.

    :raises InvalidDocumentError: where the file cannot be read or is larger.
    """
    try:
        # A pipe that nobody writes to would block the opening; a pipe that the command line names is meant to be waited for.
        flags = os.O_RDONLY | os.O_CLOEXEC | (os.O_NONBLOCK if regular else 0)
        with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 - the descriptor is opened with flags
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_ISDIR(mode):
                raise IsADirectoryError  # noqa: TRY301 - said once, below
            if regular and not stat.S_ISREG(mode):
                raise _error(f"this is no regular file, and so no {noun}", "Name a file.", origin)
            raw = file.read(limit + 1)
    except FileNotFoundError:
        raise _error(f"the {noun} does not exist", missing, origin) from None
    except IsADirectoryError:
        raise _error(f"this is a directory, not a {noun}", "Name the file in it.", origin) from None
    except (OSError, ValueError) as error:
        said = excerpt(getattr(error, "strerror", None) or "no path", 100)
        raise _error(f"the {noun} cannot be read: {said}", "Check the path and its permissions.", origin) from None
    if len(raw) > limit:
        raise _error(f"the {noun} is larger than {limit} bytes", f"Check the path: no {noun} is as large as that.", origin)
    return raw


def decode(raw: bytes, origin: str, noun: str) -> str:
    """Return the text of a file in UTF-8, without a byte order mark.

    :raises InvalidDocumentError: at the first byte that is no UTF-8.
    """
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = Document(origin, raw[: error.start].decode("utf-8-sig", "replace"))
        place = before.place(len(before.text))
        raise _error(f"byte {error.start + 1} is no UTF-8", f"Save the {noun} as UTF-8.", place) from None


def _error(what: str, advice: str, where: str) -> InvalidDocumentError:
    return InvalidDocumentError(what, advice=advice, where=where)
