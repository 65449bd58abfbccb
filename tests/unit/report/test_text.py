"""The printable form: one line, nothing invisible, unambiguous."""

from __future__ import annotations

import pytest
from hypothesis import given
from runs import texts

from ci_gate.report.text import cut, printable, shorten

ESCAPES = {
    "\n": "\\n",
    "\r": "\\r",
    "\x00": "\\0",
    "\x1b[2J": "\\x1b[2J",
    "\x9b": "\\x9b",
    "\u202e": "\\u202e",
    "\u2066": "\\u2066",
    "\u200b": "\\u200b",
    "\ufffe": "\\ufffe",
    "\uffff": "\\uffff",
    "\ud800": "\\ud800",
    "\ufeff": "\\ufeff",
    "\u2028": "\\u2028",
    "\u00a0": "\\xa0",
    "\u3164": "\\u3164",
    "\U000e0041": "\\U000e0041",
    "a\\nb": "a\\\\nb",
    "a b": "a b",
    "密钥\u3000é😀": "密钥\u3000é😀",
    "##[error]x": "#\\x23[error]x",
    "x ##vso[y]": "x #\\x23vso[y]",
    "## heading": "## heading",
}


@pytest.mark.parametrize(("text", "shown"), ESCAPES.items())
def test_what_is_invisible_is_written_as_an_escape(text, shown):
    assert shown == printable(text)


def _read(shown: str) -> str:
    """Read the printable form back."""
    out, i = [], 0
    widths = {"x": 2, "u": 4, "U": 8}
    while i < len(shown):
        if shown[i] != "\\":
            out.append(shown[i])
            i += 1
            continue
        kind = shown[i + 1]
        width = widths.get(kind, 0)
        out.append(chr(int(shown[i + 2 : i + 2 + width], 16)) if width else {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "\\": "\\"}[kind])
        i += 2 + width
    return "".join(out)


@given(texts)
def test_the_printable_form_can_be_read_back_and_is_one_line(text):
    shown = printable(text)

    assert text == _read(shown)
    assert shown.splitlines() in ([], [shown])
    assert "##[" not in shown
    shown.encode("utf-8")


def test_what_is_cut_is_said():
    assert "aaa… (7 more characters)" == printable("a" * 10, 3) == cut("a" * 10, 3)
    assert "a" * 10 == printable("a" * 10, 10) == cut("a" * 10, 10)
    assert "\\n… (1 more character)" == printable("\n\n", 1)


def test_a_path_is_shortened_in_the_middle():
    assert "/very…edentials" == shorten("/very/long/path/credentials", 15)
    assert 15 == len(shorten("/very/long/path/credentials", 15))
    assert "/short" == shorten("/short", 6)


@pytest.mark.parametrize(("limit", "shown"), [(3, "abc… (1 more character)"), (2, "ab… (2 more characters)"), (4, "abcd")])
def test_what_is_left_out_is_counted(limit, shown):
    assert shown == cut("abcd", limit) == printable("abcd", limit)
