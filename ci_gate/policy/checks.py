"""What no schema can tell: whether the keys, groups and rules of a policy make sense together.

The checks read the tree, not the model, so that they can speak up beside the mistakes that the model finds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_gate.catalog import catalog_keys, load_catalog
from ci_gate.policy.keys import fold, group_keys, is_glob, matching
from ci_gate.policy.problems import Problem, did_you_mean, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ci_gate.policy.yamltree import Node

_LISTS: tuple[tuple[str, ...], ...] = (("extra_keys",), ("deny", "keys"), ("deny", "groups"), ("deny", "except"), ("allow", "keys"))
_LIST_KEYS = "`ci-gate keys` lists the keys; a key that the catalog does not have goes under extra_keys first."
_LIST_GROUPS = "`ci-gate keys` lists the groups."
_MAX_CHECKED = 2_000  # as many entries as the schema allows


def check_sense(root: Node) -> list[Problem]:
    """Return every mistake about keys and groups in the tree of a policy."""
    lists = {path: _words(root, path) for path in _LISTS}
    extra = lists[("extra_keys",)]
    known = frozenset((*catalog_keys(), *(word for word, _ in extra)))
    problems = [problem for path, words in lists.items() for problem in _duplicates(".".join(path), words)]
    problems += _check_extra_keys(extra)
    for path in (("deny", "keys"), ("deny", "except"), ("allow", "keys")):
        problems += _check_known(".".join(path), lists[path], known)
    problems += _check_groups(lists[("deny", "groups")])
    listed = _denied(lists, known)
    problems += _check_except(lists[("deny", "except")], listed, known)
    denied = listed.difference(*(matching(word, known) for word, _ in lists[("deny", "except")]))
    problems += _check_allow(lists[("allow", "keys")], denied, known)
    return problems


def check_judges(root: Node) -> list[Problem]:
    """Return the mistake of a policy that judges nothing. Only asked of a policy without other mistakes."""
    lists = {path: _words(root, path) for path in _LISTS}
    known = frozenset((*catalog_keys(), *(word for word, _ in lists[("extra_keys",)])))
    denied = _denied(lists, known).difference(*(matching(word, known) for word, _ in lists[("deny", "except")]))
    counted = known.difference(denied, *(matching(word, known) for word, _ in lists[("allow", "keys")]))
    limits = _field(root, "thresholds")
    limited = limits is not None and any(value.scalar is not None for _, value in limits.fields.values())
    if denied or (limited and counted):
        return []
    what = "every key is allowed, so the thresholds count nothing" if limited else "no key is denied and no threshold is set"
    return [
        Problem(
            root.index, f"the policy judges nothing: {what}", "Deny keys or groups, or set a threshold, such as 'thresholds: {high: 0}'."
        )
    ]


def _field(node: Node, name: str) -> Node | None:
    found = node.fields.get(name)
    return found[1] if found else None


def _words(root: Node, path: tuple[str, ...]) -> list[tuple[str, int]]:
    """Return the texts of a list and their places; what is no text is the model's business."""
    node: Node | None = root
    for name in path:
        node = _field(node, name) if node is not None else None
    items = node.items[:_MAX_CHECKED] if node is not None else []
    return [(item.scalar, item.index) for item in items if isinstance(item.scalar, str) and item.scalar]


def _denied(lists: dict[tuple[str, ...], list[tuple[str, int]]], known: frozenset[str]) -> frozenset[str]:
    """Return what ``deny.keys`` and ``deny.groups`` name, before ``deny.except``."""
    by_key = (matching(word, known) for word, _ in lists[("deny", "keys")])
    return group_keys(word for word, _ in lists[("deny", "groups")]).union(*by_key)


def _duplicates(where: str, words: list[tuple[str, int]]) -> Iterable[Problem]:
    seen: set[str] = set()
    for word, index in words:
        if word in seen:
            yield Problem(index, f"{where}: {quoted(word)} is listed twice", "Keep one of the two.")
        seen.add(word)


def _check_extra_keys(extra: list[tuple[str, int]]) -> Iterable[Problem]:
    documented = {fold(key): key for key in catalog_keys()}
    own: dict[str, str] = {}
    for word, index in extra:
        twin = documented.get(fold(word))
        if twin == word:
            yield Problem(
                index, f"extra_keys: {quoted(word)} is in the catalog already", "Remove it here: the catalog's keys need no mention."
            )
        elif twin is not None or own.get(fold(word), word) != word:
            other = twin or own[fold(word)]
            yield Problem(index, f"extra_keys: {quoted(word)} differs from the key {quoted(other)} only in case", "Use that key.")
        own.setdefault(fold(word), word)


def _check_known(where: str, words: list[tuple[str, int]], known: frozenset[str]) -> Iterable[Problem]:
    for word, index in words:
        if matching(word, known):
            continue
        if is_glob(word):
            yield Problem(index, f"{where}: the glob {quoted(word)} matches no key", _LIST_KEYS)
        elif load_catalog().group(word):
            yield Problem(index, f"{where}: {quoted(word)} is a group, not a key", "Groups go under deny.groups.")
        else:
            yield Problem(index, f"{where}: {quoted(word)} is no known key", did_you_mean(word, sorted(known)) + _LIST_KEYS)


def _check_groups(words: list[tuple[str, int]]) -> Iterable[Problem]:
    names = [group.name for group in load_catalog().groups]
    for word, index in words:
        if word not in names:
            hint = "Keys go under deny.keys." if word in catalog_keys() else did_you_mean(word, names) + _LIST_GROUPS
            yield Problem(index, f"deny.groups: {quoted(word)} is no group", hint)


def _check_except(words: list[tuple[str, int]], listed: frozenset[str], known: frozenset[str]) -> Iterable[Problem]:
    for word, index in words:
        named = matching(word, known)
        if named and not named & listed:
            yield Problem(
                index, f"deny.except: {quoted(word)} removes nothing: no key of it is denied", "Remove it, or deny the key's group or glob."
            )


def _check_allow(words: list[tuple[str, int]], denied: frozenset[str], known: frozenset[str]) -> Iterable[Problem]:
    for word, index in words:
        named = matching(word, known)
        if named and named <= denied:
            yield Problem(
                index,
                f"allow.keys: {quoted(word)} is denied too, and denied wins",
                "Remove it here, or take it out of the denied keys with deny.except.",
            )
