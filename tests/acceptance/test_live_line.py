"""The live line on a real terminal: it is there while the run waits, and gone before anything else is said."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import termios

import pytest
from support import COMMAND, REFERENCE, image

COLUMNS = 70
WAITS = image(scan=[{"status": "CVE_ANALYZER", "progress": 40, "for_calls": 2}, {"status": "SUCCESS", "last": "now"}])


def on_terminal(gate, *arguments, **environment):
    """Run the command with a terminal as stderr; return its exit code and all that the terminal got."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, COLUMNS))
    process = subprocess.Popen(
        [COMMAND, *map(str, arguments)],
        cwd=gate.folder,
        env=gate.environment(**{"TERM": "xterm", "NO_COLOR": "1", **environment}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    got = b""
    try:
        while read := os.read(ours, 65536):
            got += read
    except OSError:  # how a terminal says that its other side is closed
        pass
    os.close(ours)
    return process.wait(timeout=20), got.decode("utf-8")


def screen(text):
    """Return the lines that are left on a terminal, where a line can only be erased as a whole."""
    return [re.split(r"\r(?=\x1b)|\x1b\[2K", line)[-1].rstrip("\r") for line in text.split("\n")]


@pytest.fixture
def policy(gate):
    return gate.policy("version: 1\nname: p\ndeny: {keys: [pem]}\nevidence: {settle: 0s}\n")


def test_the_live_line_is_erased_before_the_summary(gate, policy):
    code, text = on_terminal(gate, "check", REFERENCE, f"--emulate={gate.world(WAITS)}", "-p", policy)

    assert 0 == code, text
    assert "scan CVE_ANALYZER, 40 %" in text
    left = screen(text)
    assert not any("CVE_ANALYZER" in line or "s left" in line for line in left), left
    assert any("PASSED" in line for line in left)
    drawn = re.findall(r"scan CVE_ANALYZER[^\r\n\x1b]*", text)
    assert all(len(line) < COLUMNS for line in drawn)
    # Each is drawn in the place of the last one: there is no line feed between them.
    assert "\n" not in text[text.index(drawn[0]) : text.rindex(drawn[-1])]


def test_a_quiet_run_writes_nothing_on_a_terminal(gate, policy):
    code, text = on_terminal(gate, "check", REFERENCE, f"--emulate={gate.world(WAITS)}", "-p", policy, "-q")

    assert (0, "") == (code, text)


def test_what_is_said_meanwhile_stands_above_the_live_line(gate, policy):
    failing = {"action": "DescribeImageLatestScanTask", "kind": "status", "status": 503, "times": 1}
    asked = image(scan=[{"status": None}], scan_when_requested=[{"status": "START", "for_calls": 1}, {"status": "SUCCESS"}])

    code, text = on_terminal(gate, "check", REFERENCE, f"--emulate={gate.world(asked, faults=[failing])}", "-p", policy)

    assert 0 == code, text
    left = screen(text)
    assert 1 == sum("DescribeImageLatestScanTask" in line for line in left), left
    assert not any("s left" in line for line in left), left
