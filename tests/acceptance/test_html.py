"""The HTML report as the installed command writes it."""

from __future__ import annotations

import html
import json
import re

from support import REFERENCE, finding, image
from test_hostile import HOSTILE

from ci_gate.report.text import printable


def test_the_page_is_written_only_where_it_is_asked_for(gate):
    world = gate.world(image())

    gate.check(world)
    assert not list((gate.folder / "reports").glob("*.html"))

    finished = gate.run("check", REFERENCE, f"--emulate={world}", "-o", "html=page.html")
    text = (gate.folder / "page.html").read_text("utf-8")

    assert finished.code == 0, finished.err
    assert text.startswith("<!DOCTYPE html>")
    assert "<title>[EMULATED] Passed: " in text


def test_what_is_in_an_image_is_shown_and_does_nothing(gate):
    rows = [finding("pem", "/", "high", path_escaped=json.dumps(path)[1:-1]) for path in HOSTILE]
    for row in rows:
        del row["path"]

    finished = gate.run("check", REFERENCE, f"--emulate={gate.world(image(*rows))}", "-o", "html=-")

    assert finished.code == 10, finished.err
    cells = re.findall(r'<td data-label="Path"><code>(.*?)</code></td>', finished.out)
    assert sorted(map(printable, HOSTILE)) == sorted(map(html.unescape, cells))
    assert set() == {"script", "img", "a", "iframe", "object", "link"} & set(re.findall(r"<([a-z]+)", finished.out))


def test_a_run_that_proves_nothing_leaves_a_page_that_says_so(gate):
    world = gate.world(image(finding()), faults=[{"action": "DescribeImageSensitiveFileByKey", "kind": "body", "text": "{}"}])
    (gate.folder / "page.html").write_text("yesterday: passed", "utf-8")

    finished = gate.run("check", REFERENCE, f"--emulate={world}", "-o", "html=page.html")
    text = (gate.folder / "page.html").read_text("utf-8")

    assert finished.code == 23, finished.err
    assert "<title>[EMULATED] Undecided: " in text
    assert "Undecided is not passed" in text
    assert "yesterday" not in text
