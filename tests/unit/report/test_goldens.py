"""Each format of each kind of run, byte for byte. ``UPDATE_GOLDENS=1`` remakes the files: read the diff."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from runs import RUNS

from ci_gate.report import FORMATS, render
from ci_gate.report.terminal import render_terminal

GOLDENS = Path(__file__).parent / "goldens"


def _all(run):
    yield "terminal.txt", render_terminal(run)
    for name, form in FORMATS.items():
        if name != "markdown-comment":  # which is `markdown`, cut shorter
            yield form.file_name, render(name, run)


@pytest.mark.parametrize("kind", RUNS)
def test_a_report_is_byte_for_byte_what_it_was(kind):
    for file_name, text in _all(RUNS[kind]):
        path = GOLDENS / f"{kind}.{file_name}"
        if os.environ.get("UPDATE_GOLDENS"):
            path.write_text(text, "utf-8", newline="\n")
        assert path.read_text("utf-8") == text, f"{path.name} differs; UPDATE_GOLDENS=1 remakes it"


def test_no_golden_is_left_over():
    made = {f"{kind}.{name}" for kind, run in RUNS.items() for name, _ in _all(run)}

    assert made == {path.name for path in GOLDENS.iterdir()}
