"""Files that a policy is made of, read whole and within bounds."""

from __future__ import annotations

import errno
import os
import select
import stat
from typing import TYPE_CHECKING

from ci_gate.deadline import Deadline
from ci_gate.errors import InvalidDocumentError
from ci_gate.policy.problems import Document, excerpt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE_S = 60.0  # a program that makes a policy has to be done by then
_LEAST_S = 0.001
_PIECE = 65_536


def read_file(path: Path, origin: str, *, noun: str, limit: int, missing: str, regular: bool, deadline: Deadline | None = None) -> bytes:
    """Return the content of a file, at most ``limit`` bytes.

    ``noun`` is what messages call it, ``missing`` the advice where there is none. With ``regular``, pipes and devices are refused, and
    never waited for: for paths that a document names. Else they are read as :func:`read_waiting` does, until the ``deadline`` of the run
    at most.

    :raises InvalidDocumentError: where the file cannot be read or is larger.
    """
    patience_s = PATIENCE_S if deadline is None else max(_LEAST_S, min(PATIENCE_S, deadline.remaining))
    try:
        raw = read_waiting(path, limit + 1, patience_s=0.0 if regular else patience_s)
    except IrregularFileError:
        raise _error(f"this is no regular file, and so no {noun}", "Name a file.", origin) from None
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


class IrregularFileError(OSError):
    """A path leads to a pipe or a device where only a file will do."""


def read_waiting(path: Path | str, most: int, *, patience_s: float = PATIENCE_S) -> bytes:
    """Return the beginning of a file, at most ``most`` bytes; of a pipe or device, what comes until it ends.

    :param patience_s: seconds in which a pipe has to be written to its end: nobody may write to it, ever. With 0, none is read.
    :raises IrregularFileError: where it is a pipe or device, and none is read.
    :raises OSError: where it cannot be read, or was not in time.
    :raises ValueError: where the path is none.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # else the opening of a pipe waits for a writer
    try:
        return read_open(descriptor, most, patience_s=patience_s)
    finally:
        os.close(descriptor)


def read_open(descriptor: int, most: int, *, patience_s: float = PATIENCE_S) -> bytes:
    """Return what a file that is open says, as :func:`read_waiting` does; it stays open.

    :raises IrregularFileError: where it is a pipe or device, and none is read.
    :raises OSError: where it cannot be read, or was not in time.
    """
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if stat.S_ISREG(mode):
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    if not patience_s:
        raise IrregularFileError(errno.EINVAL, "it is a pipe or a device")
    return b"".join(_pieces(descriptor, most, Deadline(patience_s)))


def _pieces(descriptor: int, most: int, deadline: Deadline) -> Iterator[bytes]:
    """Yield what a pipe or device says, as it comes, until its end or until there is enough.

    :raises OSError: where neither comes in time.
    """
    left = most
    while left:
        if not select.select([descriptor], [], [], deadline.remaining)[0]:
            raise TimeoutError(errno.ETIMEDOUT, f"nobody wrote to it, or not to its end, within {deadline.seconds:.0f} s")
        piece = os.read(descriptor, min(left, _PIECE))
        if not piece:
            return
        left -= len(piece)
        yield piece


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
