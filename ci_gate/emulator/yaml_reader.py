"""Reading YAML 1.2 safely: no tags, no duplicate keys, bounded in size and aliases, every value with its place in the file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

if TYPE_CHECKING:
    from collections.abc import Callable

    from ruamel.yaml.nodes import Node

MAX_BYTES = 8 * 1024 * 1024
MAX_VALUES = 400_000  # values after aliases are expanded: a bomb of nested aliases ends here
MAX_DEPTH = 60

Path = tuple[str | int, ...]
_CORE = "tag:yaml.org,2002:"
_TEXT_TAGS = {_CORE + "str", _CORE + "timestamp", _CORE + "merge", _CORE + "value"}  # YAML 1.2 knows only the first of them


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """What is wrong with a file, and where; ``line`` and ``column`` count from 1, 0 where there is none."""

    line: int
    column: int
    message: str

    def __str__(self) -> str:
        """Return the problem as ``line:column: message``."""
        return f"{self.line}:{self.column}: {self.message}"


class YamlError(Exception):
    """A file is no YAML that is accepted here."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: its value, and the place (line, column, from 1) of each value by its path."""

    value: Any
    places: dict[Path, tuple[int, int]]

    def place(self, path: Path) -> tuple[int, int]:
        """Return the place of the deepest known part of a path; parts that stand for no value in the file are passed over."""
        known: Path = ()
        for part in path:
            if (*known, part) in self.places:
                known = (*known, part)
        return self.places[known]


def read_yaml(raw: bytes) -> Document:
    """Parse one YAML 1.2 document.

    :raises YamlError: with line and column, if it is none, or is too large, or uses tags, or names a field twice.
    """
    if len(raw) > MAX_BYTES:
        raise YamlError(Problem(0, 0, f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB"))
    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False  # YAML lets a name be used again; a warning would quote the file
    try:
        node = yaml.compose(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise YamlError(Problem(0, 0, "the file is not UTF-8")) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise YamlError(Problem(line, column, f"this is no YAML: {error.problem or error.context}")) from None
    except (YAMLError, ValueError, OverflowError) as error:
        raise YamlError(Problem(0, 0, f"this is no YAML: {str(error).splitlines()[0]}")) from None
    except RecursionError:
        raise YamlError(Problem(0, 0, "it is nested too deeply")) from None
    if node is None:
        raise YamlError(Problem(1, 1, "the file is empty"))
    builder = _Builder()
    value = builder.build(node, ())
    if builder.problems:
        raise YamlError(*sorted(builder.problems))
    return Document(value, builder.places)


class _Builder:
    """Turns composed nodes into plain values, and notes where each one stands."""

    def __init__(self) -> None:
        self.places: dict[Path, tuple[int, int]] = {}
        self.problems: list[Problem] = []
        self._values = 0

    def build(self, node: Node, path: Path) -> object:
        """Return the value of a node. Problems are collected, except where going on could not end."""
        self._values += 1
        if self._values > MAX_VALUES:
            raise YamlError(_at(node, f"aliases unfold to more than {MAX_VALUES} values"))
        if len(path) > MAX_DEPTH:
            raise YamlError(_at(node, f"it is nested more than {MAX_DEPTH} levels deep, or an alias holds itself"))
        self.places.setdefault(path, _place(node))
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            self._expect(node, "seq")
            return [self.build(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        self._expect(node, "map")
        fields: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, ScalarNode) else None
            if key is None:
                self.problems.append(_at(key_node, "a field's name must be text"))
                continue
            if key in fields:
                self.problems.append(_at(key_node, f"the field {key[:60]!r} stands twice"))
                continue
            self.places[(*path, key)] = _place(key_node)
            fields[key] = self.build(value_node, (*path, key))
        return fields

    def _scalar(self, node: Node) -> object:
        tag, text = _tag(node), node.value
        if tag in _TEXT_TAGS:
            return text
        convert = _SCALARS.get(tag)
        if convert is None:
            self.problems.append(_at(node, f"tags are not accepted: {tag[:60]}"))
            return None
        try:
            return convert(text)
        except ValueError:
            self.problems.append(_at(node, f"{text[:60]!r} is no {tag.removeprefix(_CORE)}"))
            return None

    def _expect(self, node: Node, kind: str) -> None:
        if _tag(node) != _CORE + kind:
            self.problems.append(_at(node, f"tags are not accepted: {_tag(node)[:60]}"))


def _integer(text: str) -> int:
    plain = text.replace("_", "")
    return int(plain, 0) if plain.lower().lstrip("+-").startswith(("0o", "0x", "0b")) else int(plain, 10)


def _float(text: str) -> float:
    number = float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
    if not math.isfinite(number):
        raise ValueError
    return number


def _bool(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError
    return text.lower() == "true"


_SCALARS: dict[str, Callable[[str], Any]] = {
    _CORE + "int": _integer,
    _CORE + "float": _float,
    _CORE + "bool": _bool,
    _CORE + "null": lambda _: None,
}


def _tag(node: Node) -> str:
    return str(node.tag)


def _place(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _at(node: Node, message: str) -> Problem:
    return Problem(*_place(node), message)
