r"""Text from an image or the service, made harmless: one printable form for all formats. Each format adds its own escapes.

The printable form is one line and unambiguous: what is invisible, or moves what is seen, is written as Python writes it
(``\n``, ``\x1b``, ``\u202e``, ``\ud800``), and a backslash is always doubled, so that no path can pretend to hold an escape.
"""

from __future__ import annotations

import re
import unicodedata

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\x00": "\\0", "\x1b": "\\x1b"}
# Other, format, surrogate, private and unassigned characters, line and paragraph separators: invisible, or they move what is seen.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# Letters, marks and symbols that show nothing, or nothing of their own (variation selectors).
_BLANK = frozenset(
    map(chr, (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10)))
)
_WIDE_SPACE = "\u3000"  # ordinary in Chinese text; every other space but the plain one pretends to be it
_PLAIN = re.compile(r"[ -\[\]-~]*")
# Runners obey these anywhere in a line (GitHub's first syntax), or at its start (Azure, TeamCity): they must not come out of a path.
_RUNNER_COMMAND = re.compile(r"#(?=\[|vso\[|teamcity\[)")


def cut(text: str, limit: int) -> str:
    """Return at most ``limit`` characters of a text; how many more there are is said."""
    return text if len(text) <= limit else f"{text[:limit]}{_more(len(text) - limit)}"


def printable(text: str, limit: int | None = None) -> str:
    """Return a text on one line, with everything invisible written as an escape; a backslash is doubled.

    :param limit: most characters of ``text`` to show; how many are left out is said.
    """
    more = 0 if limit is None else len(text) - limit
    if more > 0:
        return f"{printable(text[:limit])}{_more(more)}"
    if not _PLAIN.fullmatch(text):
        text = text.translate(_SHOWN)
    return _RUNNER_COMMAND.sub(r"\\x23", text) if "##" in text else text


def _more(number: int) -> str:
    return f"… ({number} more character{'' if number == 1 else 's'})"


def shorten(text: str, width: int) -> str:
    """Return a text in at most ``width`` characters by leaving out its middle: the end of a path tells most."""
    if len(text) <= width:
        return text
    tail = max(1, (width - 1) * 2 // 3)
    return f"{text[: max(0, width - 1 - tail)]}…{text[-tail:]}"


class _Shown(dict[int, str]):
    """What is written for a character (by code point), found out when it is first asked for."""

    def __missing__(self, code: int) -> str:
        shown = _shown(chr(code))
        if len(self) < _MAX_SHOWN:
            self[code] = shown
        return shown


_MAX_SHOWN = 20_000  # hostile data could name every character there is
_SHOWN = _Shown()


def _shown(char: str) -> str:
    if char == "\\":
        return "\\\\"
    if char in _NAMED:
        return _NAMED[char]
    if " " <= char <= "~":
        return char
    category = unicodedata.category(char)
    if category not in _HIDDEN and (category != "Zs" or char == _WIDE_SPACE) and char not in _BLANK and not 0xE0100 <= ord(char) <= 0xE01EF:  # noqa: PLR2004 - more variation selectors
        return char
    code = ord(char)
    if code <= 0xFF:  # noqa: PLR2004 - two hex digits
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - four hex digits
