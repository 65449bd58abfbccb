"""What an action is: its parameters, its rows, and the frame around them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ci_gate.emulator.fields import JsonObject
    from ci_gate.emulator.parameters import Kind
    from ci_gate.emulator.state import State

SUCCESS = {"Success": True, "Code": "200", "Message": "successful"}


@dataclass(frozen=True, slots=True)
class Call:
    """One action: how its parameters are read, which rows it answers, and where they and the paging figures stand in the answer.

    Where ``is_single``, the only row stands in the place of a list. ``is_paid`` calls are refused to accounts of the basic edition.
    """

    kinds: Mapping[str, Kind]
    rows: Callable[[State, dict[str, Any]], Sequence[Any]]
    render: Callable[[State, dict[str, Any], Any], JsonObject]
    rows_path: tuple[str, ...]
    required: tuple[str, ...] = ()
    page_info_path: tuple[str, ...] | None = ("PageInfo",)
    shows_count: bool = True
    is_single: bool = False
    is_paid: bool = False
    frame: JsonObject = field(default_factory=dict)
    more: Callable[[State, dict[str, Any], Sequence[Any]], JsonObject] | None = None


def as_it_is(_: State, __: dict[str, Any], row: JsonObject) -> JsonObject:
    """Render a row that is one already."""
    return row
