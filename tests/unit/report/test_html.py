"""The HTML report, as a parser of HTML reads it."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from runs import EXCEPTED_IMAGE, FLOORS, HOSTILE, POLICY, RUNS, TODAY, W_ACTIVE, W_EXPIRED, finding, image, run_of, runs, violation

import ci_gate.report
from ci_gate.errors import Cause, ExitCode
from ci_gate.model import Proof, ProofState, SourceInfo
from ci_gate.report import FORMATS
from ci_gate.report.html import MAX_BYTES, render_html
from ci_gate.report.text import printable
from ci_gate.verdict import (
    BaselineUse,
    Comparison,
    Decision,
    FloorSummary,
    ImageResult,
    Outcome,
    PolicySummary,
    RuleResult,
    Status,
    Validity,
    Verdict,
    WaiverUse,
)

STYLE = (Path(ci_gate.report.__file__).parent / "templates" / "report.css").read_text("utf-8")
VOID = {"meta", "br"}
ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "section", "footer", "div", "p", "span", "strong", "small", "br"),
    *("h1", "h2", "h3", "dl", "dt", "dd", "ul", "li", "a", "code", "details", "summary"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {
    "http-equiv": r"Content-Security-Policy",
    "content": r"default-src 'none'; style-src 'sha256-\S+'; base-uri 'none'; form-action 'none'|width=device-width, .*|no[a-z-]+",
    "charset": "utf-8",
    "lang": "en",
    "name": "viewport|referrer|robots",
    "class": "(word |verdict )?(passed|blocked|undecided|soft)|word|stand-in|next|findings|unseen|state|number",
    "id": r"image-\d+",
    "href": r"#image-\d+",
    "scope": "col|rowgroup",
    "colspan": "4",
    "data-label": "[A-Z][A-Za-z0-9 -]+",
    "open": "",
}
MORE_HOSTILE = [
    *HOSTILE,
    "javascript:alert(1)",
    '" onmouseover="alert(1)" x="',
    "' onfocus=alert(1) autofocus='",
    "{{ 7 * 7 }}{% raw %}",
    "</style><script>alert(1)</script>",
    "</title><svg/onload=alert(1)>",
    "&lt;script&gt;&#x3c;",
    "url(https://example.com/x)",
    "\u05d0\u05d1\u05d2 \u0627\u0644",
]


class _Page(HTMLParser):
    """Elements, attributes, cells and text of a page; fails on elements that are not closed in their order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.attributes, self.open, self.rows, self.headings, self.text = [], [], [], [], [], []
        self.title = self.style = ""
        self.feed(text)
        self.close()
        assert not self.open
        assert self.rawdata == ""

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append([tag, dict(attrs), ""])
        elif tag in {"h1", "h2", "h3"}:
            self.headings.append([tag, ""])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in {"title", "style"}:
            setattr(self, self.open[-1], data)
            return
        self.text.append(data)
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1][2] += data
        if self.open and {"h1", "h2", "h3"} & set(self.open):
            self.headings[-1][1] += data

    def handle_decl(self, decl):
        assert decl == "DOCTYPE html"

    def handle_comment(self, data):
        raise AssertionError(data)

    def handle_pi(self, data):
        raise AssertionError(data)

    def unknown_decl(self, data):
        raise AssertionError(data)

    @property
    def findings(self):
        """The rows of findings: path, level, layer, decision."""
        return [[cell[2] for cell in row] for row in self.rows if row[0][1].get("data-label") == "Path"]


def _check(text):
    """Parse a page that can do nothing."""
    page = _Page(text)
    assert set(page.elements) <= ELEMENTS
    assert [pair for pair in page.attributes if not re.fullmatch(ATTRIBUTES.get(pair[0], "(?!)"), pair[1])] == []
    assert all(char == "\n" or char.isprintable() or char == "\u3000" for char in text)
    text.encode("utf-8")
    return page


def _image(*violations, **fields):
    return ImageResult("registry.example.com/shop/api:1", None, image(), (), Verdict(tuple(violations)), **fields)


@pytest.mark.parametrize("kind", RUNS)
def test_a_page_asks_nothing_of_the_world_and_runs_nothing(kind):
    text = render_html(RUNS[kind])
    page = _check(text)

    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert ("content", f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'") in page.attributes
    assert text.index("Content-Security-Policy") < text.index("<title>") < text.index("<style>")
    assert page.style == STYLE
    assert not re.search(r"url\(|@import|expression|</", STYLE)


@pytest.mark.parametrize("text", MORE_HOSTILE)
def test_a_hostile_text_is_harmless_wherever_it_stands(text):
    cause = Cause(ExitCode.INCOMPLETE, text, text, text, text, text, text)
    found = finding(text, text, text, name=text, advice=text, description=text, layer_digest=text)
    decided = tuple(Decision(found, outcome, text, text, None) for outcome in Outcome)
    proofs = (Proof(text, ProofState.UNKNOWN, text, ((text, text),)), Proof(text, ProofState.FAILED, text, cause=cause))
    waivers = tuple(WaiverUse(text + word, word, 1, text, text, text, text, TODAY, TODAY) for word in Validity)
    baselines = tuple(BaselineUse(text + word, word, TODAY, 3, 1, 1, (text,), text) for word in Validity)
    rules = (RuleResult(text, text, passed=False, detail=text),)
    verdict = Verdict((*decided, violation(found, text, base_image=True, enforced=False)), rules, (), waivers, baselines)
    shown = ImageResult(text, None, image(text), proofs, verdict, compared=Comparison(text, text, 1))
    other = replace(shown, failures=(Cause(ExitCode.PROTOCOL, text, text),))
    policy = PolicySummary(text, text, text, text, (FloorSummary(text, text, text, text),))
    fields = {"tool_version": text, "policy": policy, "source": SourceInfo(text, text, text), "started": text, "request_ids": (text,)}
    page = _check(render_html(run_of(shown, other, causes=(cause,), seconds=((text, 0.5),), **fields)))

    assert 2 * (len(Outcome) + 1) == len(page.findings)
    assert {printable(text, 1_000)} == {row[0] for row in page.findings}


@pytest.mark.parametrize("path", MORE_HOSTILE)
def test_a_hostile_path_is_shown_as_it_is(path):
    page = _check(render_html(run_of(_image(violation(finding("pem", path))))))

    assert [printable(path, 1_000)] == [row[0] for row in page.findings]


@settings(max_examples=100, deadline=None)
@given(runs)
def test_any_run_is_a_whole_page_that_says_what_the_exit_code_says(run):
    page = _check(render_html(run))

    assert str(run.status) in page.headings[0][1].lower()
    assert ("class", f"verdict {run.status}") in page.attributes
    assert sum(len(image.verdict.decisions) for image in run.images) == len(page.findings)
    assert all(f"{image.status!s}" in heading.lower() for image, heading in zip(_ordered(run), _of_images(page), strict=True))


def _ordered(run):
    order = [Status.BLOCKED, Status.UNDECIDED, Status.PASSED]
    return sorted(run.images, key=lambda image: (order.index(image.status), not image.verdict.violations))


def _of_images(page):
    return [text for level, text in page.headings if level == "h2" and re.match(r"[✔✖⚠] (Passed|Blocked|Undecided): ", text)]


@pytest.mark.parametrize("kind", RUNS)
def test_whoever_hears_the_page_finds_the_way(kind):
    text = render_html(RUNS[kind])
    page = _check(text)

    levels = [int(level[1]) for level, _ in page.headings]
    assert levels[0] == 1
    assert 1 == levels.count(1)
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.elements.count("table") == page.elements.count("caption") == page.elements.count("thead")
    assert all(cell[1].get("scope") for row in page.rows for cell in row if cell[0] == "th")
    assert ("lang", "en") in page.attributes
    assert str(RUNS[kind].status).capitalize() in page.title
    # A row is a card on a narrow screen: each value has the name of its column beside it.
    header = []
    for row in page.rows:
        if all(cell[0] == "th" and cell[1]["scope"] == "col" for cell in row):
            header = [cell[2] for cell in row]
        elif row[0][0] == "td":
            assert header == [cell[1]["data-label"] for cell in row]


def _colours(block):
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))


def _contrast(one, other):
    def luminance(colour):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("block", re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL), ids=["light", "dark", "print"])
def test_every_text_has_the_contrast_that_wcag_asks_for(block):
    colours = _colours(block)
    grounds = {"page": ("text", "soft", "passed", "blocked", "undecided"), "panel": ("text", "soft")}
    grounds |= {f"{status}-soft": ("text", str(status)) for status in Status} | {"text": ("page",)}

    low = {(ink, ground) for ground, inks in grounds.items() for ink in inks if _contrast(colours[ink], colours[ground]) < 4.5}
    assert set() == low


def test_undecided_is_never_taken_for_passed():
    page = _check(render_html(RUNS["undecided"]))

    assert "Undecided: registry.example.com/shop/api:1.4.2" in page.title
    assert "Undecided is not passed: nothing here says that the image is clean. Do not deploy by it." in page.text
    assert "0 findings read, and there may be more" in page.text
    assert "passed" not in page.headings[0][1].lower()


@pytest.mark.parametrize("kind", ["emulated", "replay"])
def test_what_is_not_real_is_said_loudly(kind):
    page = _check(render_html(replace(RUNS["passed"], source=SourceInfo(kind, "http://127.0.0.1:1"))))

    assert page.title.startswith(f"[{kind.upper()}] Passed: ")
    assert f"✔ Passed [{kind.upper()}]" in page.headings[0][1]
    assert kind.upper() in page.text[: page.text.index(page.headings[0][1].partition(":")[0])]


def test_it_holds_what_the_other_reports_hold():
    run = RUNS["several-with-waivers"]
    said = " ".join("".join(_check(render_html(run)).text).split())

    for waiver in ("W-1", "W-4", "W-6"):
        assert waiver in said
    for text in (
        "Waiver W-4 expired on 2026-11-20: renew it with its owner team-payments, or fix.",
        "waiver W-2 (owner team-x) expires on 2026-11-30, in 6 days; it fits 1 finding",
        "waiver W-3 (owner team-payments) fits nothing: remove it",
        "4 violations in the image's own layers, for whoever builds this image to mend",
        "2 violations in the base image, for whoever builds that one to mend",
        "2 findings waived",
        "1 finding in the baseline",
        "ci-gate-baseline.json",
        "findings = 3, pages = 1",
        "1 inherited from the deployed image",
        "violation: floor[trial].deny (warn mode, does not block)",
        "the key is denied; waiver W-4 expired on 2026-11-20",
        "1a2b1a2b1a2b",
        "0B9A-1 0B9A-2",
        "10 (BLOCKED)",
        "resolve 0.25, read 1.50",
        *(floor.sha256 for floor in FLOORS),
        POLICY.sha256,
    ):
        assert text in said


def test_findings_stand_together_by_key():
    page = _check(render_html(RUNS["blocked"]))

    groups = [row[0][2].split(" ")[0] for row in page.rows if row[0][1].get("scope") == "rowgroup"]
    assert ["aws_access_key", "pem", "rsa_private_key", "sqlite"] == groups
    assert ["/root/.aws/credentials", "/root/.aws/credentials (no. 2)"] == [row[0] for row in page.findings[:2]]


@pytest.mark.parametrize("limit", [MAX_BYTES, 1_000_000, 300_000, 60_000])
def test_what_does_not_fit_is_counted_exactly(limit):
    many = [violation(finding("pem" if n % 3 else "aws_access_key", f"/keys/{n}/" + "x<y" * 20)) for n in range(12_000)]
    text = render_html(run_of(_image(*many)), limit=limit)
    page = _check(text)

    assert len(text.encode()) <= limit
    assert 12_000 == len(page.findings) + int(re.search(r"… and (\d+) more findings, see the JSON report", text)[1])
    assert "12000 violations" in text


@pytest.mark.parametrize("limit", [MAX_BYTES, 250_000])
def test_nothing_makes_it_longer_than_the_limit(limit):
    long = "\U0001f600<\u202e" * 1_000
    causes = tuple(Cause(ExitCode.INCOMPLETE, f"{n}{long}", long, long, long, long, long) for n in range(50))
    rules = tuple(RuleResult(f"{n}{long}", long, passed=False, detail=long) for n in range(100))
    proofs = tuple(Proof(long, ProofState.FAILED, long, tuple((long, long) for _ in range(30))) for _ in range(60))
    floors = tuple(FloorSummary(long, long, long, long) for _ in range(100))
    uses = tuple(WaiverUse(f"{n}{long}", Validity.EXPIRED, 0, long, long, long, long, TODAY, TODAY) for n in range(50))
    verdict = Verdict((violation(finding(long, long), long),), rules, (), uses)
    images = [ImageResult(f"{n}{long}", None, image(), proofs, verdict, causes, Comparison(long, long, 1)) for n in range(20)]
    policy = PolicySummary(long, long, long, long, floors)
    text = render_html(run_of(*images, causes=causes, policy=policy, request_ids=(long,) * 200, tool_version=long), limit=limit)

    assert "✖ Blocked" in _check(text).headings[0][1]
    assert len(text.encode()) <= limit


def test_images_and_waivers_that_do_not_fit_are_counted_and_those_to_look_at_are_kept():
    many = (*(replace(W_ACTIVE, id=f"many-{n}") for n in range(2_000)), W_EXPIRED)
    images = [ImageResult(f"registry.example.com/shop/api:{n}", None, image()) for n in range(600)]
    text = html.unescape(render_html(run_of(*images, replace(EXCEPTED_IMAGE, verdict=Verdict((violation(finding()),), waivers=many)))))
    page = _check(text)

    assert "… and 101 more images, see the JSON report" in text
    assert "… and 1001 more waivers, see the JSON report" in text
    assert "Blocked" in _of_images(page)[0]
    assert "W-4" == next(row[0][2] for row in page.rows if row[0][1].get("data-label") == "Waiver")


def test_it_is_written_only_where_it_is_asked_for():
    assert not FORMATS["html"].in_report_dir
