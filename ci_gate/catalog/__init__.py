"""The documented sensitive-file keys: their names, and our groups of them.

The facts live in two tables beside this module: ``keys.tsv`` (key, English name, Chinese name, groups) and
``groups.tsv`` (name, description).
The vendor's list is not closed: a key that is missing here may still arrive, and the policy says what becomes of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

_TABLES = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class CatalogKey:
    """One documented key. ``key`` is exact in case; ``groups`` holds the names of our groups, at least one."""

    key: str
    name_en: str
    name_zh: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """One of our groups of keys, described in one sentence."""

    name: str
    description: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Catalog:
    """All keys, sorted, and all groups, in the order in which they are presented."""

    keys: tuple[CatalogKey, ...]
    groups: tuple[Group, ...]

    def find(self, key: str) -> CatalogKey | None:
        """Return the entry of a key, exact in case, or ``None``."""
        return _entries().get(key)

    def group(self, name: str) -> Group | None:
        """Return a group by its name, or ``None``."""
        return next((group for group in self.groups if group.name == name), None)


@cache
def load_catalog() -> Catalog:
    """Read the catalog once; later calls answer from memory."""
    keys = tuple(CatalogKey(key, english, chinese, tuple(groups.split(","))) for key, english, chinese, groups in _rows("keys.tsv"))
    groups = tuple(Group(name, text, tuple(entry.key for entry in keys if name in entry.groups)) for name, text in _rows("groups.tsv"))
    return Catalog(keys, groups)


def catalog_keys() -> tuple[str, ...]:
    """Return every documented key, sorted."""
    return tuple(entry.key for entry in load_catalog().keys)


@cache
def _entries() -> dict[str, CatalogKey]:
    return {entry.key: entry for entry in load_catalog().keys}


def _rows(table: str) -> list[list[str]]:
    """Return the cells of a table. Only a line feed ends a line: names may hold any other character."""
    text = (_TABLES / table).read_text(encoding="utf-8")
    return [line.split("\t") for line in text.split("\n") if line]
