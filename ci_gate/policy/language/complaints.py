"""What the model says of a tree, in the words of the language instead of pydantic's."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ci_gate.catalog import load_catalog
from ci_gate.policy.language.schema import MAX_COUNT, MAX_DAYS, MAX_TEXT, MAX_WORD, SECTIONS, Policy, field_names
from ci_gate.policy.language.yamltree import MAX_ITEMS, Node
from ci_gate.policy.problems import FieldPath, Problem, excerpt, quoted, shown

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_YAML_1_1 = frozenset(("yes", "no", "on", "off", "Yes", "No", "On", "Off"))
_BOUND_ERRORS = frozenset(("greater_than_equal", "less_than_equal", "int_type", "int_from_float", "int_parsing_size"))
_PLAIN_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,127}")
_MAX_ENTRIES = 10
_LIMIT = f"a whole number from 0 to {MAX_COUNT}, or null"
_NUMBERS = {
    "max_days": f"a whole number from 1 to {MAX_DAYS}, or null",
    "warn_before_days": f"a whole number from 0 to {MAX_DAYS}",
    "count": "a whole number from 1 to 10000",
}
_WANTED = {
    "bool_type": "true or false",
    "string_type": "text",
    "string_too_short": "text that is not empty",
    "tuple_type": "a list",
    "too_short": "a list with at least one entry",
    "model_type": "a mapping of fields",
    "version": "1",
    "duration": "a duration such as 15s, 10m, 24h or 7d",
    "age": "longer than zero, or null",
    "settle": "at most 10m",
    "name": f"printable text of 1 to {MAX_WORD} characters on one line",
    "extra_key": "a key: letters, digits, '_', '-', '.', ':', at most 128 characters",
    "text": f"printable text of 1 to {MAX_TEXT} characters on one line",
    "id": "a name: letters, digits, '_', '-', '.', ':', '/', at most 64 characters, the first a letter or digit",
    "date": "a day that exists, such as 2026-11-30",
    "md5": "an MD5 sum: 32 hex digits",
    "fingerprint": "a fingerprint: 64 hex digits",
    "layer": "a layer digest: sha256: and 64 hex digits",
}


def validate(root: Node) -> tuple[Policy | None, list[Problem]]:
    """Hold the tree against the model; return the policy, or everything that is wrong with its fields."""
    try:
        return Policy.model_validate(root.plain()), []
    except ValidationError as error:
        return None, [_translate(detail, root) for detail in error.errors(include_url=False, include_context=True)]


def _translate(detail: ErrorDetails, root: Node) -> Problem:
    loc, kind = detail["loc"], detail["type"]
    if kind == "missing":
        return _missing(loc, _locate(loc[:-1], root)[0])
    node, key_index = _locate(loc, root)
    if kind == "extra_forbidden":
        return _unknown_field(loc, key_index)
    words = shown(loc)
    what = f"{words}: must be {_wanted(detail)}, not {_given(node, kind)}"
    word = node.scalar if isinstance(node.scalar, str) and kind == "literal_error" else ""
    return Problem(node.index, what, _advice(detail, node), word, _words_of(detail))


def _locate(loc: FieldPath, root: Node) -> tuple[Node, int]:
    """Follow a location of pydantic as far as the tree goes; return the value there, and the place of its name."""
    node, key_index = root, root.index
    for part in loc:
        if isinstance(part, int) and part < len(node.items):
            node = node.items[part]
            key_index = node.index
        elif isinstance(part, str) and part in node.fields:
            key_index, node = node.fields[part]
    return node, key_index


def _section(loc: FieldPath) -> tuple[str, ...]:
    """Return the section that a field at a location belongs to."""
    return tuple(part for part in loc[:-1] if isinstance(part, str))


def _missing(loc: FieldPath, parent: Node) -> Problem:
    name, section = str(loc[-1]), _section(loc)
    where = f"{shown(loc[:-1])}: " if section else ""
    if name == "version":
        advice = "Write 'version: 1' first."
    else:
        known = SECTIONS[section].model_fields
        advice = f"Add {name}: {known[name].description}" if name in known else f"Add {name}."
    return Problem(parent.index, f"{where}the field {quoted(name)} is missing", advice)


def _unknown_field(loc: FieldPath, index: int) -> Problem:
    name, section = str(loc[-1]), _section(loc)
    known = field_names(*section)
    in_list = any(isinstance(part, int) for part in loc)
    where = f"{shown(loc[:-1])}: " if in_list else ""
    place = "" if in_list else f" in {quoted(section[0])}" if section else " in a policy"
    if name == "<<":
        return Problem(index, "merge keys ('<<') are no part of YAML 1.2", "Write the fields out.")
    what = f"{where}there is no field {quoted(name)}{place}"
    if section[-1:] == ("allow",) and name == "groups":
        return Problem(index, what, "List the keys one by one: a whole group is never allowed.")
    return Problem(index, what, f"Fields here: {', '.join(known)}.", name, known)


def _wanted(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "literal_error":
        return str(context.get("expected", "one of the documented words"))
    if kind in _BOUND_ERRORS:
        return _NUMBERS.get(str(detail["loc"][-1]), _LIMIT)
    if kind == "string_too_long":
        return f"text of at most {context.get('max_length', MAX_WORD)} characters"
    if kind == "too_long":
        return f"a list of at most {context.get('max_length', MAX_ITEMS)} entries"
    return _WANTED.get(kind, "a value that this field allows")


def _given(node: Node, kind: str) -> str:
    if kind == "too_long":
        return f"a list of {len(node.items)}"
    return "an empty list" if kind == "too_short" else node.described


def _words_of(detail: ErrorDetails) -> list[str]:
    """Return the words of the enumeration that a value is none of."""
    return re.findall(r"'([^']*)'", str(detail.get("ctx", {}).get("expected", "")))


def _advice(detail: ErrorDetails, node: Node) -> str:
    words, kind = shown(detail["loc"]), detail["type"]
    if kind == "too_short":
        known = SECTIONS[_section(detail["loc"])].model_fields[str(detail["loc"][-1])]
        return "Add an entry." if known.is_required() else f"Add an entry to {words}, or leave it out: an empty list would narrow nothing."
    if kind == "tuple_type" and node.kind == "scalar" and isinstance(node.scalar, str) and node.scalar.isprintable():
        return f"Write a list: [{excerpt(node.scalar, MAX_WORD)}]."
    if kind == "model_type" and node.kind == "list":
        return _as_section(str(detail["loc"][-1]), node) if words.endswith(("deny", "allow")) else f"Mend {words}."
    if kind in {"string_type", "name", "text", "id"} and isinstance(node.scalar, (int, float)):
        return f"Mend {words}: put it in quotes."
    if isinstance(node.scalar, str) and kind in {"name", "text"} and node.scalar.rstrip("\n").isprintable() and node.scalar.endswith("\n"):
        return f"Mend {words}: the text ends with a line break; write '>-' instead of '>' (or '|-'), which leaves it out."
    if node.kind == "scalar" and isinstance(node.scalar, str) and node.scalar in _YAML_1_1:
        return f"Mend {words}; in YAML 1.2 yes, no, on and off are text, only true and false are booleans."
    if node.kind == "scalar" and node.scalar is None:
        return f"Give {words} a value, or leave it out for the default."
    return f"Mend {words}; docs/policy.md describes every field."


def _as_section(name: str, node: Node) -> str:
    """Say how a list that stands for ``deny`` or ``allow`` is written: what is the name of a group may only be meant as one in ``deny``."""
    texts = [item.scalar for item in node.items if isinstance(item.scalar, str)]
    if not texts or len(texts) != len(node.items):
        return f"Write the fields of {name} by their names, such as '{name}: {{keys: [pem]}}'."
    groups = {group.name for group in load_catalog().groups} if name == "deny" else set()
    fields = {"groups": [text for text in texts if text in groups], "keys": [text for text in texts if text not in groups]}
    written = ", ".join(f"{field}: [{_written(entries)}]" for field, entries in fields.items() if entries)
    return f"Write it as '{name}: {{{written}}}'."


def _written(texts: list[str]) -> str:
    """Write the entries of a list as YAML; of many, the first ones."""
    shown_texts = [text if _PLAIN_WORD.fullmatch(text) else json.dumps(excerpt(text, MAX_WORD)) for text in texts[:_MAX_ENTRIES]]
    return ", ".join([*shown_texts, *(["…"] if len(texts) > _MAX_ENTRIES else [])])
