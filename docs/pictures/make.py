"""Remake the pictures of the README from real runs on the embedded endpoint: ``make pictures``.

The terminal is drawn by this script. The summary and the page are photographed by headless Chromium (Debian: ``chromium``); the style
that GitHub gives to Markdown comes as the package ``github-markdown-css`` through ``npm``. Neither is needed for anything else.
"""
# ruff: noqa: INP001, S603, T201 - a script, no package: it runs programs and says what it made

from __future__ import annotations

import fcntl
import html
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import termios
from pathlib import Path

import cmarkgfm
from cmarkgfm.cmark import Options

HERE = Path(__file__).parent
COMMAND = Path(sys.executable).parent / "ci-gate"
# Of the demo world (ci_gate/emulator/demo.yaml).
BLOCKED = "registry.example.com/shop/api:1.4.2@sha256:d20141dbeaeb24ed0d7bbc855d6b7f7c4bfce46b85d8b851f36ad8a47db7b7d1"
STYLE = "github-markdown-css@5.9.0"
MOST_BYTES = 200_000
COLUMNS = 112
LINE_PX, COLUMN_PX, MARGIN_PX = 19, 7.9, 18
COLOURS = {"31": "#ff7b72", "32": "#56d364", "33": "#e3b341"}
_SGR = re.compile(r"\x1b\[([0-9;]*)m")
_OTHER_ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-ln-z]")
_ALERT = re.compile(r"<blockquote>\s*<p>\[!(\w+)\]\s*(?:<br />)?")


def main() -> None:
    """Make all three, or say what is missing."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None or shutil.which("npm") is None:
        sys.exit("The pictures need Chromium and npm: install them and run this again.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arguments = ["check", BLOCKED, "--emulate", "--report-dir", "reports", "-o", "html=page.html"]
        shown = f"$ ci-gate {' '.join(arguments)}\n{run_on_a_terminal([COMMAND, *arguments], folder)}$ echo $?\n10\n"
        keep(HERE / "terminal.svg", terminal_picture(shown).encode())
        page = folder / "summary.html"
        page.write_text(as_github_shows((folder / "reports" / "summary.md").read_text("utf-8"), github_style(folder)), "utf-8")
        keep(HERE / "summary.png", photograph(chromium, page, folder, 860, 1000))
        keep(HERE / "page.png", photograph(chromium, folder / "page.html", folder, 900, 1000))


def keep(path: Path, content: bytes) -> None:
    """Write a picture that is small enough for a checkout."""
    if len(content) > MOST_BYTES:
        sys.exit(f"{path.name} has {len(content)} bytes, over {MOST_BYTES}.")
    path.write_bytes(content)
    print(f"{path.name}: {len(content)} bytes")


def run_on_a_terminal(command: list[str | Path], folder: Path) -> str:
    """Return what a command that blocks writes to a terminal, colours included."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    environment = {**kept, "HOME": str(folder), "TERM": "xterm-256color", "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true"}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = bytearray()
    try:
        while chunk := os.read(ours, 65_536):
            said += chunk
    except OSError:  # Linux says EIO where the other end is closed
        pass
    if process.wait() != 10:  # noqa: PLR2004 - BLOCKED
        sys.exit(f"ci-gate ended with {process.returncode}:\n{said.decode()}")
    # A live line that was erased is not there when all is over.
    lines = said.decode().replace("\r\n", "\n").split("\n")
    return "\n".join(_OTHER_ESCAPE.sub("", line.rpartition("\r")[2]) for line in lines)


def terminal_picture(text: str) -> str:
    """Draw a text with colours as SVG."""
    rows = [row for line in text.rstrip("\n").split("\n") for row in wrapped(line)]
    width, height = round(COLUMNS * COLUMN_PX + 2 * MARGIN_PX), len(rows) * LINE_PX + 2 * MARGIN_PX + 14
    lines = [
        f'<text x="{MARGIN_PX}" y="{MARGIN_PX + 26 + number * LINE_PX}" xml:space="preserve">{row}</text>'
        for number, row in enumerate(rows)
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
            "<title>ci-gate in a terminal: the deploy is blocked</title>",
            '<rect width="100%" height="100%" rx="8" fill="#0d1117"/>',
            *(f'<circle cx="{20 + 16 * n}" cy="16" r="5" fill="{fill}"/>' for n, fill in enumerate(("#ff5f57", "#febc2e", "#28c840"))),
            '<g fill="#e6edf3" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="13">',
            *lines,
            "</g>",
            "</svg>\n",
        ]
    )


def wrapped(line: str) -> list[str]:
    """Break a line where a terminal does, and write its colours as elements."""
    cells, style = [], ""
    for position, part in enumerate(_SGR.split(line)):
        if position % 2:
            colour = next((COLOURS[code] for code in part.split(";") if code in COLOURS), "")
            style = f'fill="{colour}" font-weight="bold"' if colour else ""
        else:
            cells += [(char, style) for char in part]
    rows = []
    for start in range(0, max(1, len(cells)), COLUMNS):
        row, before = "", ""
        for char, style in cells[start : start + COLUMNS]:
            if style != before:
                row += ("</tspan>" if before else "") + (f"<tspan {style}>" if style else "")
                before = style
            row += html.escape(char)
        rows.append(row + ("</tspan>" if before else ""))
    return rows


def github_style(folder: Path) -> str:
    """Fetch the style of GitHub's Markdown."""
    subprocess.run(["npm", "pack", "--silent", STYLE], cwd=folder, check=True, stdout=subprocess.DEVNULL)  # noqa: S607 - npm is found by name
    with tarfile.open(next(folder.glob("github-markdown-css-*.tgz"))) as archive:
        member = archive.extractfile("package/github-markdown-light.css")
        assert member is not None
        return member.read().decode("utf-8")


def as_github_shows(markdown: str, style: str) -> str:
    """Render Markdown as GitHub does: its parser, its style, its alerts."""
    body = cmarkgfm.github_flavored_markdown_to_html(markdown, Options.CMARK_OPT_UNSAFE)
    body = _ALERT.sub(_alert, body)
    frame = "body { max-width: 820px; margin: 16px auto; padding: 0 16px }"
    return f'<!DOCTYPE html><meta charset="utf-8"><style>{style}{frame}</style><article class="markdown-body">{body}</article>'


def _alert(match: re.Match[str]) -> str:
    kind = match[1].lower()
    return f'<blockquote class="markdown-alert markdown-alert-{kind}"><p class="markdown-alert-title">{kind.title()}</p><p>'


def photograph(chromium: str, page: Path, folder: Path, width: int, height: int) -> bytes:
    """Return a PNG of the top of a page, as a light screen shows it."""
    picture = folder / "picture.png"
    options = ["--headless", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder / 'profile'}"]
    if os.geteuid() == 0:
        options.append("--no-sandbox")  # Chromium refuses root with one; the pages are our own
    command = [chromium, *options, f"--window-size={width},{height}", f"--screenshot={picture}", page.as_uri()]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, timeout=120)
    return picture.read_bytes()


if __name__ == "__main__":
    main()
