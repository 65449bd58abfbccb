"""The HTML report, through ``jinja2``: one page that needs nothing from anywhere, for whoever wants to see everything at once.

It holds no script, and its content security policy allows none. Where a server forbids even its style (Jenkins does), it can still be
read: what it says is in its elements and words, never in a colour alone.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ci_gate.model import ProofState, many
from ci_gate.report.text import printable
from ci_gate.report.view import Detail, View
from ci_gate.report.words import BASE_LAYERS, OWN_LAYERS
from ci_gate.verdict import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jinja2 import Template

    from ci_gate.verdict import RunResult

MAX_BYTES = 4_000_000  # a page that a browser still opens at once
_MARKS = {Status.PASSED: "✔", Status.BLOCKED: "✖", Status.UNDECIDED: "⚠"}
_PROOFS = {
    ProofState.HELD: ("✔", "passed"),
    ProofState.FAILED: ("✖", "blocked"),
    ProofState.UNKNOWN: ("⚠", "undecided"),
    ProofState.NOT_ASKED: ("·", "soft"),
}
_TEXT = 2_000  # most characters of one text of the data, before escapes
# Tried in turn until one fits. The last is small whatever the data is: every text in it is cut, every list has an end.
_DETAILS = (
    Detail(5_000, 500, 200, 1_000),
    Detail(1_000, 100, 50, 200),
    Detail(200, 50, 20, 50),
    Detail(20, 10, 10, 10),
    Detail(0, 0, 1, 0),
)


def render_html(run: RunResult, *, limit: int = MAX_BYTES) -> str:
    """Render a run as one HTML page.

    :param limit: most bytes (UTF-8) of the page; what is left out is counted in it. A page is never cut: below some 200 kB, a limit
        may not be kept.
    """
    for detail in _DETAILS[:-1]:
        text = _within(limit, _template().generate(run=run, view=_View.of(run, detail)))
        if text is not None:
            return text
    return _template().render(run=run, view=_View.of(run, _DETAILS[-1]))


def html_parts(run: RunResult) -> Iterator[str]:
    """Return what :func:`render_html` does, as one part: it is small."""
    yield render_html(run)


def _within(limit: int, parts: Iterable[str]) -> str | None:
    """Join parts; ``None`` as soon as they are longer than a limit in bytes: hostile data could make a page of gigabytes."""
    kept, size = [], 0
    for part in parts:
        size += len(part.encode("utf-8"))
        if size > limit:
            return None
        kept.append(part)
    return "".join(kept)


class _View(View):
    """What the template shows of a run, with marks. A word stands beside each."""

    def mark(self, status: Status) -> str:
        return _MARKS[status]

    def proof_mark(self, state: ProofState) -> str:
        return _PROOFS[state][0]

    def proof_class(self, state: ProofState) -> str:
        return _PROOFS[state][1]


@cache
def _template() -> Template:
    loader = PackageLoader("ci_gate.report")
    # Escaping is the environment's, not the template's: no value can be forgotten. What is no markup becomes printable first.
    environment = Environment(
        loader=loader, autoescape=True, finalize=_shown, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style = loader.get_source(environment, "report.css")[0]
    environment.filters.update(upto=upto)
    environment.globals.update(many=many, code=code, own_layers=OWN_LAYERS, base_layers=BASE_LAYERS)
    environment.globals.update(style=Markup(style), policy=_policy(style))  # noqa: S704 - the style is our own, and must stay as it is hashed
    return environment.get_template("report.html.j2")


def _policy(style: str) -> str:
    """Return the content security policy: nothing is loaded, sent or run; the style is known by its hash."""
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def upto(text: object, limit: int) -> Markup:
    """Escape a text, of which at most ``limit`` characters are shown; how many more there are is said."""
    return escape(printable(str(text), limit))


def code(text: object, limit: int = 1_000) -> Markup:
    """Show a text in a code font."""
    return Markup(f"<code>{upto(text, limit)}</code>") if text else Markup()  # noqa: S704 - what is in it is escaped


def _shown(value: object) -> object:
    return value if isinstance(value, Markup) else printable(str(value), _TEXT)
