"""Text from an image or the service, made harmless: one printable form for all formats, and each format's own escapes."""

from __future__ import annotations

import re
import unicodedata

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\x00": "\\0", "\x1b": "\\x1b"}
# Other, format, surrogate, private and unassigned characters, line and paragraph separators: invisible, or they move what is seen.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_PLAIN = re.compile(r"[ -\[\]-~]*")


def printable(text: str, limit: int | None = None) -> str:
    """Return a text on one line, with everything invisible written as an escape, as Python writes it; a backslash is doubled.

    :param limit: most characters to return; what is cut is said.
    """
    if not _PLAIN.fullmatch(text):
        text = "".join(map(_shown, text))
    if limit is not None and len(text) > limit:
        return f"{text[:limit]}… ({len(text) - limit} more characters)"
    return text


def _shown(char: str) -> str:
    if char == "\\":
        return "\\\\"
    if char in _NAMED:
        return _NAMED[char]
    if " " <= char <= "~" or unicodedata.category(char) not in _HIDDEN:
        return char
    code = ord(char)
    if code <= 0xFF:  # noqa: PLR2004 - two hex digits
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - four hex digits
