"""What faults do to the pages of a listing, and to the fields of an answer."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ci_gate.emulator import faults as f

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ci_gate.emulator.fields import JsonObject

# None of these reads as one of the other types: numbers that come as text are numbers, and words are words.
_ODD_TEXTS: tuple[Any, ...] = (7, -1.5, True, [], ["x"], {}, {"x": "y"})
_ODD_NUMBERS: tuple[Any, ...] = ("many", "", "0x1f", "1e3", "٣", 0.5, -7, True, [], {}, 10**30)
_ODD_FLAGS: tuple[Any, ...] = ("maybe", "", 2, [], {})
_ODD_LISTS: tuple[Any, ...] = ("", "[]", 0, {}, {"0": {}}, True)
_ODD_OBJECTS: tuple[Any, ...] = ("", "{}", 0, [], [[]], False)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a listing before it is sent. ``every`` are the rows of all pages, ``rows`` those of this one."""

    every: Sequence[Any]
    number: int
    size: int
    rows: Sequence[Any]
    total: int

    @classmethod
    def cut(cls, every: Sequence[Any], number: int, size: int) -> Page:
        """Cut a page out of a listing; ``number`` counts from 1, ``size`` is rows."""
        return cls(every, number, size, _slice(every, (number - 1) * size, size), len(every))


def _slice(rows: Sequence[Any], start: int, size: int) -> Sequence[Any]:
    return rows[max(0, start) : max(0, start + size)]


def bend_page(page: Page, hits: Sequence[f.Hit]) -> Page:
    """Apply the page faults among ``hits``, in their order."""
    for hit in hits:
        bend = _PAGE_FAULTS.get(type(hit.fault))
        page = bend(hit, page) if bend else page
    return page


def _short(hit: f.Hit, page: Page) -> Page:
    assert isinstance(hit.fault, f.ShortPageFault)
    return replace(page, rows=page.rows[: max(0, len(page.rows) - hit.fault.rows)])


def _shift(hit: f.Hit, page: Page) -> Page:
    assert isinstance(hit.fault, f.ShiftPageFault)
    return replace(page, rows=_slice(page.every, (page.number - 1) * page.size + hit.fault.rows, page.size))


def _total(hit: f.Hit, page: Page) -> Page:
    assert isinstance(hit.fault, f.TotalFault)
    return replace(page, total=page.total + hit.fault.by + (hit.number - 1) * hit.fault.each)


_PAGE_FAULTS: Mapping[type[f.BaseFault], Callable[[f.Hit, Page], Page]] = {
    f.EmptyPageFault: lambda _, page: replace(page, rows=()),
    f.ShortPageFault: _short,
    f.DuplicatePageFault: lambda _, page: replace(page, rows=_slice(page.every, max(0, page.number - 2) * page.size, page.size)),
    f.ShiftPageFault: _shift,
    f.ReverseRowsFault: lambda _, page: Page.cut(page.every[::-1], page.number, page.size),
    f.ShuffleRowsFault: lambda hit, page: Page.cut(hit.dice.sample(page.every, len(page.every)), page.number, page.size),
    f.TotalFault: _total,
}


def bend_fields(answer: JsonObject, rows_path: Sequence[str], hits: Sequence[f.Hit]) -> JsonObject:
    """Apply the field faults among ``hits`` to an answer; ``rows_path`` leads to its rows."""
    for hit in hits:
        fault = hit.fault
        if isinstance(fault, f.FieldFault):
            answer = copy.deepcopy(answer)
        if isinstance(fault, f.DropFieldFault):
            _set(answer, fault.field, None, absent=True)
        elif isinstance(fault, f.SetFieldFault):
            for target in _targets(answer, rows_path, fault.where):
                _set(target, fault.field, fault.value, absent=fault.absent)
        elif isinstance(fault, f.OddFieldFault):
            _make_odd(answer, fault, hit.dice)
    return answer


def _targets(answer: JsonObject, rows_path: Sequence[str], where: str) -> list[Any]:
    if where == "answer":
        return [answer]
    rows: Any = answer
    for part in rows_path:
        rows = rows.get(part) if isinstance(rows, dict) else None
    found = rows if isinstance(rows, list) else [rows]  # some answers have one object in the place of rows
    return found if where == "every_row" else found[:1]


def _set(target: object, field: str, value: object, *, absent: bool) -> None:
    *path, last = field.split(".")
    for part in path:
        target = target.get(part) if isinstance(target, dict) else None
    if not isinstance(target, dict):
        return
    if absent:
        target.pop(last, None)
    else:
        target[last] = value


def _make_odd(answer: JsonObject, fault: f.OddFieldFault, dice: random.Random) -> None:
    """Make one field odd: first its name is drawn, so that the fields of many rows do not leave the others no chance, then its object."""
    places = list(_places(answer))
    name = dice.choice(sorted({name for _, name in places}))
    target = dice.choice([target for target, its_name in places if its_name == name])
    if fault.how == "absent":
        del target[name]
    else:
        target[name] = None if fault.how == "nulled" else dice.choice(_odd_values(target[name]))


def _places(value: object) -> Iterator[tuple[JsonObject, str]]:
    """Yield every field of every object, as the object and the name."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield value, name
            yield from _places(part)
    elif isinstance(value, list):
        for part in value:
            yield from _places(part)


def _odd_values(value: object) -> tuple[Any, ...]:
    for kind, odd in ((bool, _ODD_FLAGS), (int | float, _ODD_NUMBERS), (list, _ODD_LISTS), (dict, _ODD_OBJECTS)):
        if isinstance(value, kind):
            return odd
    return _ODD_TEXTS
