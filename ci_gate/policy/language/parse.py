"""From a text to a policy as it is written, and to everything that is wrong with it: text, YAML, fields, in this order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from ci_gate.policy.language.complaints import validate
from ci_gate.policy.language.files import decode
from ci_gate.policy.language.yamltree import Node, TreeError, read_tree
from ci_gate.policy.problems import Document, Problem

if TYPE_CHECKING:
    from ci_gate.policy.language.schema import Policy

MAX_LINES = 40_000
MAX_LINE = 20_000
_LINE_END = re.compile(r"\r\n?|\n")
_LINE = re.compile(r"[^\r\n]+")
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Parsed:
    """A text that is YAML. ``policy`` is ``None`` where fields are wrong; ``problems`` says in which way."""

    document: Document
    root: Node
    policy: Policy | None
    problems: tuple[Problem, ...]


def parse_text(raw: bytes | str, origin: str) -> Parsed:
    """Read a text as YAML and hold it against the model.

    :raises InvalidDocumentError: where it is no YAML, or no mapping, so that nothing can be said about its fields.
    """
    text = decode(raw, origin, "policy") if isinstance(raw, bytes) else raw.removeprefix("\ufeff")
    document = Document(origin, text)
    _check_shape(document)
    _check_characters(document)
    try:
        root, problems = read_tree(text)
    except TreeError as error:
        raise document.error(error.problems) from None
    if root.kind != "mapping":
        what = f"a policy is a mapping of fields, not {root.described}"
        raise document.error([*problems, Problem(root.index, what, "A policy starts with 'version: 1'.")])
    policy, mistakes = validate(root)
    return Parsed(document, root, policy, (*problems, *mistakes))


def _check_shape(document: Document) -> None:
    """Refuse lines and numbers of lines that no policy has: the parser is quadratic in some of them."""
    if over := next(islice(_LINE_END.finditer(document.text), MAX_LINES - 1, None), None):
        what = f"the policy has more than {MAX_LINES} lines"
        raise document.error([Problem(over.end(), what, "Check the path: a policy is some pages of YAML.")])
    if long := next((line for line in _LINE.finditer(document.text) if line.end() - line.start() > MAX_LINE), None):
        what = f"this line is longer than {MAX_LINE} characters"
        raise document.error([Problem(long.start(), what, "Write lists with one entry a line.")])


def _check_characters(document: Document) -> None:
    """Refuse what YAML forbids, before the parser stumbles over it."""
    if found := _FORBIDDEN.search(document.text):
        what = f"the character U+{ord(found.group()):04X} is not allowed in YAML"
        raise document.error([Problem(found.start(), what, "Remove it, or write it as an escape in double quotes.")])
