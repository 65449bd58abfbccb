"""Read a policy: find it, decode it, and say everything that is wrong with it in one go, in plain words."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ci_gate.errors import InvalidDocumentError
from ci_gate.policy.checks import check_judges, check_sense
from ci_gate.policy.problems import Document, Problem, did_you_mean, excerpt, quoted
from ci_gate.policy.schema import MAX_COUNT, MAX_ENTRIES, MAX_WORD, SECTIONS, UNSUPPORTED, Policy, field_names
from ci_gate.policy.yamltree import Node, TreeError, read_tree
from ci_gate.verdict import PolicySummary

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MAX_BYTES = 1 << 20
MAX_LINES = 20_000
MAX_LINE = 20_000
POLICY_FILES = (".ci-gate.yml", "ci-gate.yml")
_MISSPELT_FILES = (".ci-gate.yaml", "ci-gate.yaml")
_TEXT_CONTROLS = frozenset("\t\n\r\x85")
_BOUND_ERRORS = frozenset({"greater_than_equal", "less_than_equal", "int_type", "int_from_float", "int_parsing_size"})


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """A policy, which one it is, and the text it was read from."""

    policy: Policy
    summary: PolicySummary
    text: str


def load_policy(source: str | Path) -> LoadedPolicy:
    """Load a built-in policy by its name, or a policy file by its path.

    A built-in's name always means the built-in; write ``./default`` for a file of that name.

    :raises InvalidDocumentError: with every mistake, where there is any; also where the file cannot be read.
    """
    builtins = builtin_policies()
    if isinstance(source, str) and source in builtins:
        path, origin = builtins[source], f"built-in:{source}"
    else:
        path, origin = Path(source), excerpt(str(source), 400)
        if isinstance(source, str):
            _check_name(source, builtins)
    return parse_policy(_read(path, origin), origin=origin, default_name=_name_of(path))


def find_policy(directory: Path) -> Path | None:
    """Return the policy of a directory: ``.ci-gate.yml``, else ``ci-gate.yml``, else ``None``.

    :raises InvalidDocumentError: where there is only a file that was clearly meant to be found, such as ``.ci-gate.yaml``.
    """
    for name in POLICY_FILES:
        # A dangling link or a directory of that name is found as well: loading it says what is wrong, falling back would hide it.
        if os.path.lexists(directory / name):
            return directory / name
    for name in _MISSPELT_FILES:
        if os.path.lexists(directory / name):
            wanted = name.removesuffix("yaml") + "yml"
            raise InvalidDocumentError(
                f"the policy file {name} is not looked for by that name",
                advice=f"Rename it to {wanted}, or give it with --policy.",
                where=name,
            )
    return None


def builtin_policies() -> dict[str, Path]:
    """Return the ready policies by name: beside the package where it is installed, in ``policies/`` of a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "policies", package.parent / "policies"):
        found = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
        if "default" in found:
            return found
    return {}


def parse_policy(raw: bytes | str, *, origin: str, default_name: str = "policy") -> LoadedPolicy:
    """Read a policy from its content. ``origin`` is what messages call the file.

    :raises InvalidDocumentError: with every mistake, where there is any.
    """
    text = _decode(raw, origin) if isinstance(raw, bytes) else raw.removeprefix("\ufeff")
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
    policy, mistakes = _validate(root)
    problems += mistakes
    problems += check_sense(root)
    if policy is None or problems:
        raise document.error(problems)
    if empty := check_judges(root):
        raise document.error(empty)
    summary = PolicySummary(policy.name or default_name, policy.mode, policy_sha256(policy), origin)
    return LoadedPolicy(policy, summary, text)


def policy_sha256(policy: Policy) -> str:
    """Return the SHA-256 of the canonical policy as hex: defaults written out, lists sorted, so that only the meaning counts."""
    data = json.dumps(_canonical(policy.model_dump(mode="json", by_alias=True)), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(data.encode("ascii")).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _canonical(part) for name, part in value.items()}
    return sorted(value) if isinstance(value, list) else value


def _name_of(path: Path) -> str:
    return excerpt(path.name.removesuffix(".yml").removesuffix(".yaml").lstrip("."), MAX_WORD) or "policy"


def _check_name(source: str, builtins: dict[str, Path]) -> None:
    """Refuse a bare word that is neither a built-in policy nor a file."""
    is_word = source and not any(sign in source for sign in ("/", "\\", ".", "\0"))
    if is_word and not _exists(source):
        names = ", ".join(builtins) or "none: this installation is damaged"
        raise InvalidDocumentError(
            f"{quoted(source)} is neither a built-in policy nor a file",
            advice=f"{did_you_mean(source, builtins)}Built-in policies: {names}. A file is given by its path, such as ./ci-gate.yml.",
        )


def _exists(source: str) -> bool:
    try:
        return os.path.lexists(source)
    except (OSError, ValueError):
        return False


def _read(path: Path, origin: str) -> bytes:
    """Return the content of a file, at most :data:`MAX_BYTES`."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        advice = "Check the path; it counts from the working directory."
        raise InvalidDocumentError("the policy file does not exist", advice=advice, where=origin) from None
    except IsADirectoryError:
        advice = "Name the file in it."
        raise InvalidDocumentError("this is a directory, not a policy file", advice=advice, where=origin) from None
    except (OSError, ValueError) as error:
        said = excerpt(getattr(error, "strerror", None) or "no path", 100)
        what = f"the policy file cannot be read: {said}"
        raise InvalidDocumentError(what, advice="Check the path and its permissions.", where=origin) from None
    if len(raw) > MAX_BYTES:
        what = f"the policy file is larger than {MAX_BYTES} bytes"
        raise InvalidDocumentError(what, advice="Check the path: a policy is a page of YAML.", where=origin)
    return raw


def _decode(raw: bytes, origin: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = Document(origin, raw[: error.start].decode("utf-8-sig", "replace"))
        what = f"byte {error.start + 1} is no UTF-8"
        place = before.place(len(before.text))
        raise InvalidDocumentError(what, advice="Save the policy as UTF-8.", where=place) from None


def _check_characters(document: Document) -> None:
    """Refuse what YAML forbids, before the parser stumbles over it."""
    for index, char in enumerate(document.text):
        if (
            char < " " or "\x7f" <= char <= "\x9f" or "\ud800" <= char <= "\udfff" or char in "\ufeff\ufffe\uffff"
        ) and char not in _TEXT_CONTROLS:
            what = f"the character U+{ord(char):04X} is not allowed in YAML"
            raise document.error([Problem(index, what, "Remove it, or write it as an escape in double quotes.")])


def _check_shape(document: Document) -> None:
    """Refuse lines and numbers of lines that no policy has: the parser is quadratic in some of them."""
    if len(document.starts) > MAX_LINES:
        what = f"the policy has more than {MAX_LINES} lines"
        raise document.error([Problem(document.starts[MAX_LINES], what, "Check the path: a policy is a page of YAML.")])
    ends = [*document.starts[1:], len(document.text)]
    for start, end in zip(document.starts, ends, strict=True):
        if end - start > MAX_LINE:
            raise document.error([Problem(start, f"this line is longer than {MAX_LINE} characters", "Write lists with one entry a line.")])


def _validate(root: Node) -> tuple[Policy | None, list[Problem]]:
    """Hold the tree against the model; return the policy, or the model's complaints in plain words."""
    try:
        return Policy.model_validate(root.plain()), []
    except ValidationError as error:
        return None, [_translate(detail, root) for detail in error.errors(include_url=False, include_context=True)]


def _translate(detail: ErrorDetails, root: Node) -> Problem:
    """Say one complaint of pydantic in the words of the language."""
    path, node, key_index = _locate(detail["loc"], root)
    kind = detail["type"]
    name = ".".join(str(part) for part in path)
    section = str(path[0]) if len(path) > 1 else None
    if kind == "extra_forbidden":
        return _unknown_field(str(path[-1]), section, key_index)
    if kind == "missing":
        return Problem(
            root.index, f"the field {quoted(name)} is missing", "Write 'version: 1' first." if name == "version" else f"Add {name}."
        )
    shown = _shown(path)
    return Problem(node.index, f"{shown}: must be {_wanted(detail)}, not {_given(node, kind)}", _advice(shown, node))


def _locate(loc: tuple[int | str, ...], root: Node) -> tuple[tuple[int | str, ...], Node, int]:
    """Follow a location of pydantic as far as the tree goes; return the path, the value there, and the place of its name."""
    node, key_index, path = root, root.index, []
    for part in loc:
        if isinstance(part, int) and node.kind == "list" and part < len(node.items):
            node = node.items[part]
            key_index = node.index
        elif isinstance(part, str) and part in node.fields:
            key_index, node = node.fields[part]
        elif node is not root or part != "version":
            continue  # a marker of pydantic for a branch of a union, no place in the text
        path.append(part)
    return tuple(path), node, key_index


def _unknown_field(name: str, section: str | None, index: int) -> Problem:
    if section is None and name in UNSUPPORTED:
        return Problem(index, f"the field {quoted(name)} is not supported by this version of ci-gate", UNSUPPORTED[name])
    known = field_names(section if section in SECTIONS else None)
    place = f"in {quoted(section)}" if section else "in a policy"
    if name == "<<":
        return Problem(index, "merge keys ('<<') are no part of YAML 1.2", "Write the fields out.")
    if section == "allow" and name == "groups":
        return Problem(index, "there is no field 'groups' in 'allow'", "List the keys one by one: a whole group is never allowed.")
    return Problem(index, f"there is no field {quoted(name)} {place}", f"{did_you_mean(name, known)}Fields here: {', '.join(known)}.")


def _shown(path: tuple[int | str, ...]) -> str:
    """Return a path as a reader counts: ``deny.keys, entry 3``."""
    names = ".".join(part for part in path if isinstance(part, str)) or "the policy"
    numbers = [part for part in path if isinstance(part, int)]
    return f"{names}, entry {numbers[0] + 1}" if numbers else names


def _wanted(detail: ErrorDetails) -> str:
    kind = detail["type"]
    if kind == "literal_error":
        return str(detail.get("ctx", {}).get("expected", "one of the documented words"))
    if kind in _BOUND_ERRORS:
        return f"a whole number from 0 to {MAX_COUNT}, or null"
    return {
        "bool_type": "true or false",
        "string_type": "text",
        "string_too_short": "text that is not empty",
        "string_too_long": f"text of at most {MAX_WORD} characters",
        "tuple_type": "a list",
        "too_long": f"a list of at most {MAX_ENTRIES} entries",
        "model_type": "a mapping of fields",
        "version": "1",
        "duration": "a duration such as 15s, 10m, 24h or 7d",
        "age": "longer than zero, or null",
        "settle": "at most 10m",
        "name": f"printable text of 1 to {MAX_WORD} characters on one line",
        "extra_key": "a key: letters, digits, '_', '-', '.', ':', at most 128 characters",
    }.get(kind, "a value that this field allows")


def _given(node: Node, kind: str) -> str:
    return f"a list of {len(node.items)}" if kind == "too_long" else node.described


def _advice(shown: str, node: Node) -> str:
    if node.kind == "scalar" and isinstance(node.scalar, str) and node.scalar in {"yes", "no", "on", "off", "Yes", "No", "On", "Off"}:
        return f"Mend {shown}; in YAML 1.2 yes, no, on and off are text, only true and false are booleans."
    if node.kind == "scalar" and node.scalar is None:
        return f"Give {shown} a value, or leave it out for the default."
    return f"Mend {shown}; docs/policy.md describes every field."
