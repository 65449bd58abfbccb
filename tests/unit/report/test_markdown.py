"""Markdown, judged by what cmark-gfm makes of it."""

from __future__ import annotations

import html
import re
import time
from dataclasses import replace
from html.parser import HTMLParser

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options
from hypothesis import given, settings
from runs import EXCEPTED_IMAGE, HOSTILE, RUNS, TODAY, W_ACTIVE, W_EXPIRED, finding, image, run_of, runs, texts, violation

from ci_gate.errors import Cause, ExitCode
from ci_gate.model import Proof, ProofState, SourceInfo
from ci_gate.report import render
from ci_gate.report.markdown import code, plain, render_markdown
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
    Validity,
    Verdict,
    WaiverUse,
)

ALLOWED = {
    *("h2", "h3", "h4", "p", "strong", "ul", "li", "blockquote", "code", "span", "details", "summary"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}


class _Page(HTMLParser):
    """The elements, and the text of each cell, of a page."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.attributes, self.rows, self.in_cell = set(), set(), [], False
        self.loose = []  # text outside `code`
        self.code = 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append("")
            self.in_cell = True
        elif tag == "code":
            self.code += 1

    def handle_endtag(self, tag):
        if tag in {"td", "th"}:
            self.in_cell = False
        elif tag == "code":
            self.code -= 1

    def handle_data(self, data):
        if self.in_cell:
            self.rows[-1][-1] += data
        if not self.code:
            self.loose.append(data)


def _page(markdown):
    return _Page(cmarkgfm.github_flavored_markdown_to_html(markdown, Options.CMARK_OPT_UNSAFE))


def _image(*violations, **fields):
    return ImageResult("registry.example.com/shop/api:1", None, image(), (), Verdict(tuple(violations)), **fields)


@settings(max_examples=200, deadline=None)
@given(texts)
def test_a_text_is_shown_as_it_is_and_does_nothing(text):
    for shown in (code(text), plain(text)):
        page = _page(f"| a | b |\n|---|---|\n| {shown} | z |\n")

        assert [["a", "b"], [printable(text, 2_000).strip(" ") if shown == plain(text) else printable(text, 2_000), "z"]] == page.rows
        assert page.elements <= {"table", "thead", "tbody", "tr", "th", "td", "code", "span"}
        assert not page.attributes
        assert not [text for text in page.loose if "@" in text or re.search(r"://|#\d", text)]


@pytest.mark.parametrize("char", '\\`*[]|<>~&"$!')
def test_a_character_that_any_dialect_gives_a_meaning_is_an_entity(char):
    entities = f"a{f'&#{ord(char)};' * len(printable(char))}b"

    assert entities == plain(f"a{char}b")
    assert f"<code>{entities}</code>" == code(f"a{char}b")


@pytest.mark.parametrize("path", HOSTILE)
def test_a_hostile_path_stays_in_its_cell(path):
    page = _page(render_markdown(run_of(_image(violation(finding("pem", path))))))

    rows = [row for row in page.rows if row[0] == "pem"]
    assert [printable(path, 1_000)] == [row[2] for row in rows]
    assert page.elements <= ALLOWED
    assert not page.attributes


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_harmless_wherever_it_stands(text):
    cause = Cause(ExitCode.INCOMPLETE, text, text, text, text, text)
    found = finding(text, text, text, name=text, layer_digest=text)
    decided = tuple(Decision(found, outcome, text, text, None) for outcome in Outcome)
    proofs = (Proof(text, ProofState.UNKNOWN, text), Proof(text, ProofState.FAILED, text, cause=cause))
    waivers = tuple(WaiverUse(text + word, word, 1, text, text, text, text, TODAY, TODAY) for word in Validity)
    baselines = tuple(BaselineUse(text + word, word, TODAY, 3, 1, 1, (text,), text) for word in Validity)
    rules = (RuleResult(text, text, passed=False, detail=text),)
    verdict = Verdict((*decided, violation(found, text, base_image=True, enforced=False)), rules, (), waivers, baselines)
    shown = ImageResult(text, None, image(text), proofs, verdict, compared=Comparison(text, text, 1))
    other = replace(shown, failures=(Cause(ExitCode.PROTOCOL, text, text),))
    policy = PolicySummary(text, text, text, text, (FloorSummary(text, text, text, text),))
    fields = {"tool_version": text, "policy": policy, "source": SourceInfo(text, text, text), "started": text, "request_ids": (text,)}
    page = _page(render_markdown(run_of(shown, other, causes=(cause,), **fields)))

    assert page.elements <= ALLOWED
    assert not page.attributes
    assert not [one for one in page.loose if "@" in one or re.search(r"://|#\d", one)]
    # A table of images; for each image one of violations of its own and of the base image, of each other decision, of rules and
    # proofs; one of waivers. The first row of each is its header.
    assert [4] * 3 + ([5] * 4 + [5] * 12 + [4] * 2 + [3] * 3) * 2 + [7] * 5 == [len(row) for row in page.rows]


@settings(max_examples=100, deadline=None)
@given(runs)
def test_any_run_is_a_page_of_whole_tables_without_anything_active(run):
    markdown = render_markdown(run)
    page = _page(markdown)

    assert page.elements <= ALLOWED
    assert not page.attributes
    assert {3, 4, 5, 7} >= {len(row) for row in page.rows}
    rows = [row for row in page.rows if len(row) == 5 and row != ["key", "level", "path", "layer", "rule"]]
    assert sum(len(image.verdict.decisions) for image in run.images) == len(rows)
    assert markdown.count("<details>") == markdown.count("</details>")


@pytest.mark.parametrize("kind", RUNS)
def test_the_first_line_is_the_verdict_then_why_then_what_to_do_next(kind):
    lines = [line for line in render_markdown(RUNS[kind]).splitlines() if line and not line.startswith(">")]

    assert lines[0].startswith("## ")
    assert lines[1].startswith("**Why:** ")
    assert lines[2].startswith("**Next:** ")


def test_advice_on_a_violation_is_to_rotate_first():
    assert "Rotate the credential first" in render_markdown(RUNS["blocked"])
    assert "deleting it in a later layer does not remove it" in render_markdown(RUNS["blocked"])


def test_the_policy_and_the_request_ids_are_there():
    text = render_markdown(RUNS["undecided"])

    assert RUNS["undecided"].policy.sha256 in text
    assert "<code>0B9A-1</code> <code>0B9A-2</code>" in text


@pytest.mark.parametrize("limit", [1_000_000, 65_536, 20_000, 6_000])
def test_what_does_not_fit_is_counted_exactly(limit):
    many = [violation(finding("pem" if n % 3 else "aws_access_key", f"/keys/{n}/" + "x|y" * 20)) for n in range(10_000)]
    text = render_markdown(run_of(_image(*many)), limit=limit)

    assert len(text.encode()) <= limit
    shown = sum(len(row) == 5 for row in _page(text).rows) - ("| key |" in text)
    assert shown + int(re.search(r"… and (\d+) more findings, see the JSON report", text)[1]) == 10_000
    assert "10000 violations" in text


def test_a_comment_is_the_summary_within_what_a_comment_may_have():
    few, many = (run_of(_image(*(violation(finding("pem", f"/app/{i}/id_rsa")) for i in range(number)))) for number in (3, 3_000))

    assert render("markdown", few) == render("markdown-comment", few)
    assert len(render("markdown-comment", many)) < 65_536 < len(render("markdown", many))


def test_a_path_full_of_signs_costs_no_more_than_its_length():
    def seconds(sign):
        text = f"/{sign}" + "a" * 40_000  # quadratic, that is some six seconds
        started = time.process_time()
        plain(text, 50_000)
        return time.process_time() - started

    assert seconds(":") < 20 * (seconds(";") + 0.01)


@pytest.mark.parametrize("limit", [1_000_000, 65_536, 3_000])
def test_nothing_makes_it_longer_than_the_limit(limit):
    long = "\U0001f600|\u202e" * 10_000
    causes = tuple(Cause(ExitCode.INCOMPLETE, f"{n}{long}", long, long, long, long) for n in range(100))
    images = [_image(violation(finding(long, long)), failures=causes) for _ in range(100)]
    text = render_markdown(run_of(*images, causes=causes), limit=limit)

    assert len(text.encode()) <= limit
    assert text.startswith("## ❌ Blocked")


def test_images_that_do_not_fit_are_counted_and_the_worst_are_kept():
    images = [ImageResult(f"registry.example.com/shop/api:{n}", None, image()) for n in range(300)]
    text = render_markdown(run_of(*images, _image(violation(finding()))))

    assert "… and 101 more images, see the JSON report" in text
    assert 1 == text.count("#### 1 violation\n")


def test_what_is_not_real_is_said_loudly():
    first, _, rest = render_markdown(RUNS["multi-image"]).partition("\n")

    assert "EMULATED" in first
    assert "> **EMULATED**" in rest


def test_the_worst_image_comes_first():
    lines = render_markdown(RUNS["multi-image"]).splitlines()

    assert ["### ❌ Blocked", "### ⚠️ Undecided", "### ✅ Passed"] == [line.partition(":")[0] for line in lines if line.startswith("### ")]


def test_what_the_first_lines_say_of_an_image_is_not_said_again_in_its_section():
    text = render_markdown(RUNS["several-with-waivers"])

    assert 1 == text.count("Rotate the credential first")
    assert 2 == text.count("**Why:**") == text.count("**Next:**")


def test_a_reference_is_one_piece_that_can_be_copied():
    assert f"Deploy <code>registry.example.com/shop/web<span>&#64;</span>sha256:{'ab' * 32}</code>." in render_markdown(RUNS["passed"])


def test_a_table_of_images_comes_first_where_there_are_several():
    text = render_markdown(RUNS["multi-image"])

    assert -1 < text.index("| verdict | image |") < text.index("### ❌ Blocked")


def test_in_warn_mode_the_headline_says_what_would_block():
    lines = render_markdown(RUNS["warn"]).splitlines()

    assert lines[0].startswith("## ✅ Passed (warn mode: 4 violations would block): ")
    assert "it would be blocked" in html.unescape(lines[2])


def test_whoever_has_to_mend_finds_a_table_of_their_own():
    text = render_markdown(RUNS["mixed"])
    own, base = text.index("**4 violations in the image's own layers"), text.index("**2 violations in the base image, for whoever builds")

    assert own < text.index("/opt/app/id_rsa") < base < text.index("/usr/lib/base.pem") < text.index("/usr/lib/trial.key")
    assert "\n### 4 violations block, 2 more are seen in warn mode only" in text
    assert "/usr/lib/trial.pem</code> | <code>1a2b1a2b1a2b</code> | floor&#91;trial&#93;.deny (warn mode) |" in text


def test_what_does_not_block_is_folded_by_decision():
    text = render_markdown(RUNS["exceptions"])

    for said in ("2 findings waived", "1 finding in the baseline", "1 finding exempt in the base image", "1 finding inherited from"):
        assert f"<details><summary>{said}" in text


def test_waivers_have_a_table_and_those_to_look_at_come_first():
    rows = [row for row in _page(render_markdown(RUNS["exceptions"])).rows if len(row) == 7]

    assert ["id", "state", "findings", "expires", "owner", "reason", "ticket"] == rows[0]
    assert ["W-2", "expiring", "1", "2026-11-30", "team-x", "revoked fixture key", "SEC-123"] == rows[1]
    assert ["W-2", "W-3", "W-6", "W-1", "W-7", "W-8 of org"] == [row[0] for row in rows[1:]]
    assert "active, fits nothing" == rows[2][1]


@pytest.mark.parametrize("limit", [1_000_000, 65_536, 3_000])
def test_waivers_that_do_not_fit_are_counted(limit):
    many = (*(replace(W_ACTIVE, id=f"many-{n}", reason="|" * 500) for n in range(2_000)), W_EXPIRED)
    text = render_markdown(run_of(replace(EXCEPTED_IMAGE, verdict=Verdict(waivers=many))), limit=limit)
    shown = [row for row in _page(text).rows if len(row) == 7][1:]

    assert len(text.encode()) <= limit
    assert 2_001 == len(shown) + int(re.search(r"… and (\d+) more waivers, see the JSON report", text)[1])
    assert not shown or "W-4" == shown[0][0]
