"""YAML 1.2 as a tree that knows where everything stands, read from parser events without recursion and within limits.

The events are ruamel.yaml's; what a plain scalar means is decided here by the core schema of YAML 1.2: ``yes`` and ``on`` are text.
Tags are refused, aliases are bounded, and fields that are given twice are mistakes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from ci_gate.policy.problems import Problem, excerpt, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH = 50
MAX_NODES = 60_000  # 2,000 waivers; the parser reads about 25,000 a second
MAX_ITEMS = 2_000
MAX_ALIASED_NODES = 1_000

_INT = re.compile(r"[-+]?[0-9]{1,18}")
_OCTAL = re.compile(r"0o[0-7]{1,18}")
_HEX = re.compile(r"0x[0-9a-fA-F]{1,14}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,30}|[0-9]{1,30}(?:\.[0-9]{0,30})?)(?:[eE][-+]?[0-9]{1,4})?")
_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}

type_of_scalar = str | int | float | bool | None


class TreeError(Exception):
    """The text cannot be read any further. Carries every problem known so far, the fatal one last."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems[-1].what)
        self.problems = problems


_FURTHER_DIRECTIVE = re.compile(r"(?:(?:%YAML[ \t]|[ \t]*#)[^\r\n]*[\r\n]+|[ \t]*[\r\n]+)*+%(?!YAML[ \t])")


@dataclass(slots=True, eq=False)
class Node:
    """A value and its place. Exactly one of ``scalar``, ``items`` and ``fields`` is in use, as ``kind`` says.

    ``fields`` maps a name to the place of the name and its value. ``size`` counts nodes with aliases expanded.
    """

    kind: str  # scalar | list | mapping
    index: int
    scalar: type_of_scalar = None
    items: list[Node] = field(default_factory=list)
    fields: dict[str, tuple[int, Node]] = field(default_factory=dict)
    size: int = 1
    done: bool = True

    def at(self, *names: str) -> Node | None:
        """Return the value that a path of field names leads to, if there is one."""
        node: Node = self
        for name in names:
            if name not in node.fields:
                return None
            node = node.fields[name][1]
        return node

    def texts(self, *names: str) -> list[tuple[str, int]]:
        """Return the texts of the list at a path, and their places. What is no text there is the model's business."""
        node = self.at(*names)
        return [(item.scalar, item.index) for item in node.items if isinstance(item.scalar, str) and item.scalar] if node else []

    def items_at(self, *names: str) -> list[Node]:
        """Return the items of the list at a path."""
        node = self.at(*names)
        return node.items if node else []

    def plain(self) -> Any:
        """Return the value as Python data; lists become tuples. Depth is bounded by :data:`MAX_DEPTH`."""
        if self.kind == "list":
            return tuple(item.plain() for item in self.items)
        if self.kind == "mapping":
            return {name: value.plain() for name, (_, value) in self.fields.items()}
        return self.scalar

    @property
    def described(self) -> str:
        """The value in the words of a message."""
        if self.kind == "list":
            return "a list"
        if self.kind == "mapping":
            return "a mapping"
        if self.scalar is None:
            return "empty (null)"
        if isinstance(self.scalar, bool):
            return "true" if self.scalar else "false"
        return f"the text {quoted(self.scalar)}" if isinstance(self.scalar, str) else f"the number {self.scalar}"


@dataclass(slots=True)
class _Frame:
    """An unfinished list or mapping. ``key`` is the name that waits for its value."""

    node: Node
    key: Node | None = None
    depth: int = 1


def read_tree(text: str) -> tuple[Node, list[Problem]]:
    """Read the one document of a text; return its tree and the mistakes that did not stop the reading.

    :raises TreeError: where the text is no YAML, holds no or several documents, or is over a limit.
    """
    reader = _Reader(text)
    try:
        root = reader.read()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = excerpt(" ".join(part for part in (error.context, error.problem) if part), 160)
        raise reader.fatal(mark.index if mark else 0, f"this is no YAML: {said}", "Check indentation, quotes and colons here.") from None
    except TreeError:
        raise
    except Exception:  # noqa: BLE001 - a third-party parser fed with hostile text: whatever it stumbles over is a mistake in the text
        raise reader.fatal(reader.last_index, "this is no YAML", "Check the text from here on: quotes, escapes and indentation.") from None
    return root, reader.problems


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.problems: list[Problem] = []
        self.last_index = 0
        self._anchors: dict[str, Node] = {}
        self._stack: list[_Frame] = []
        self._root: Node | None = None
        self._nodes = 0
        self._aliased = 0

    def fatal(self, index: int, what: str, advice: str) -> TreeError:
        return TreeError([*self.problems, Problem(min(index, len(self.text)), what, advice)])

    def read(self) -> Node:
        documents = 0
        for event in self._events():
            self.last_index = event.start_mark.index
            if isinstance(event, DocumentStartEvent):
                documents += 1
                self._check_document(event, documents)
            elif isinstance(event, AliasEvent):
                self._add(self._resolve_alias(event))
            elif isinstance(event, ScalarEvent):
                self._add(self._scalar(event))
            elif isinstance(event, (SequenceStartEvent, MappingStartEvent)):
                self._open(event)
            elif isinstance(event, (SequenceEndEvent, MappingEndEvent)):
                self._close()
        if self._root is None or (self._root.kind == "scalar" and self._root.scalar is None):
            raise self.fatal(0, "the policy is empty", "A policy starts with 'version: 1'.")
        return self._root

    def _events(self) -> Iterator[Any]:
        return iter(YAML(typ="safe", pure=True).parse(self.text))

    def _check_document(self, event: Any, documents: int) -> None:
        if documents > 1:
            raise self.fatal(event.start_mark.index, "a second document starts here", "Write one policy a file, without a further '---'.")
        # The parser skips directives that it does not know.
        if event.version not in {None, (1, 2)} or event.tags or _FURTHER_DIRECTIVE.match(self.text):
            raise self.fatal(
                event.start_mark.index, "directives other than '%YAML 1.2' are not allowed", "Remove the lines that start with '%'."
            )

    def _resolve_alias(self, event: Any) -> Node:
        index = event.start_mark.index
        target = self._anchors.get(event.anchor)
        if target is None:
            raise self.fatal(
                index,
                f"the alias *{excerpt(event.anchor, 40)} names no anchor above it",
                'A glob goes in quotes, such as "*_private_key"; for an alias, define the anchor first.',
            )
        if not target.done:
            raise self.fatal(index, f"the alias *{excerpt(event.anchor, 40)} is inside what it stands for", "Write the value out.")
        self._aliased += target.size
        if self._aliased > MAX_ALIASED_NODES:
            raise self.fatal(
                index, f"aliases stand for more than {MAX_ALIASED_NODES} values", "Write the values out, or use globs and groups."
            )
        # The place of the alias is where a reader looks for the mistake.
        return Node(target.kind, index, target.scalar, target.items, target.fields, target.size)

    def _scalar(self, event: Any) -> Node:
        value: type_of_scalar = event.value
        if event.style is None and event.tag is None:
            value = resolve_plain(event.value)
        index = event.start_mark.index if event.value or event.style else self._end_before(event.start_mark.index)
        node = Node("scalar", index, value)
        self._note(event, node)
        return node

    def _end_before(self, index: int) -> int:
        """Return the last place with text before an offset: a value that is left out belongs to the line of its name."""
        while index > 0 and self.text[index - 1].isspace():
            index -= 1
        return max(index - 1, 0)

    def _open(self, event: Any) -> None:
        depth = len(self._stack) + 1
        if depth > MAX_DEPTH:
            raise self.fatal(
                event.start_mark.index, f"lists and mappings are nested deeper than {MAX_DEPTH}", "A policy needs five levels."
            )
        node = Node("list" if isinstance(event, SequenceStartEvent) else "mapping", event.start_mark.index, done=False)
        self._note(event, node)
        self._stack.append(_Frame(node, depth=depth))

    def _close(self) -> None:
        node = self._stack.pop().node
        node.done = True
        node.size = 1 + sum(item.size for item in node.items) + sum(value.size for _, value in node.fields.values())
        self._add(node)

    def _note(self, event: Any, node: Node) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self.fatal(node.index, f"the policy holds more than {MAX_NODES} values", "Use globs and groups instead of long lists.")
        if event.tag is not None:
            tag = excerpt(str(event.tag), 60)
            self.problems.append(Problem(node.index, f"the tag '{tag}' is not allowed", "Remove the tag: a policy is plain YAML."))
        if event.anchor is not None:
            self._anchors[event.anchor] = node

    def _add(self, node: Node) -> None:
        """Put a finished value where it belongs."""
        if not self._stack:
            self._root = node
            return
        frame = self._stack[-1]
        if frame.node.kind == "list":
            if len(frame.node.items) == MAX_ITEMS:  # reading on would only cost time
                raise self.fatal(node.index, f"a list has more than {MAX_ITEMS} entries", "Use globs and groups instead of long lists.")
            frame.node.items.append(node)
        elif frame.key is None:
            frame.key = node
        else:
            self._set_field(frame.node, frame.key, node)
            frame.key = None

    def _set_field(self, mapping: Node, key: Node, value: Node) -> None:
        name = key.scalar
        if key.kind != "scalar" or not isinstance(name, str):
            self.problems.append(
                Problem(key.index, f"a field name must be text, not {key.described}", "Put the name in quotes, or mend it.")
            )
        elif name in mapping.fields:
            first = self.text.count("\n", 0, mapping.fields[name][0]) + 1
            self.problems.append(
                Problem(key.index, f"the field {quoted(name)} is given twice, first in line {first}", "Keep one of the two.")
            )
        else:
            mapping.fields[name] = (key.index, value)


def resolve_plain(text: str) -> type_of_scalar:
    """Return what a plain scalar means in YAML 1.2. Numbers too long to be meant stay text, which no numeric field accepts."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text, base=8)
    if _HEX.fullmatch(text):
        return int(text, base=16)
    return float(text) if _FLOAT.fullmatch(text) else text
