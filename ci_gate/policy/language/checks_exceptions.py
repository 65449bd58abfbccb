"""Whether waivers and overrides name something, and can have an effect."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

from ci_gate.policy.judging.globs import Glob, split, wild_only
from ci_gate.policy.judging.keys import all_matching, is_glob
from ci_gate.policy.language.checks_keys import check_allow, check_deny, check_known, check_once, denied_by, named_by
from ci_gate.policy.problems import FieldPath, Problem, quoted, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ci_gate.policy.language.checks_keys import KeyNames
    from ci_gate.policy.language.yamltree import Node

_LEVELS = ("high", "medium", "low", "total")
_LEAST_LITERALS = 3
_WILD = re.compile(r"\[!?\]?[^]]*\]|[*?]")
_NARROWING = ("paths", "md5", "fingerprints")


def check_waivers(root: Node, names: KeyNames) -> list[Problem]:
    """Return every mistake in the waivers of a policy, those of its overrides included."""
    problems = list(_check_ids(root))
    for path, waiver, allowed in _waivers(root, names):
        problems += _check_waiver(waiver, path, names, allowed)
    return problems


def check_overrides(root: Node, names: KeyNames) -> list[Problem]:
    """Return every mistake in the overrides of a policy, but for their waivers."""
    problems: list[Problem] = []
    for number, override in enumerate(root.items_at("overrides")):
        path = ("overrides", number)
        problems += _check_images(override, path)
        problems += check_deny(override.at("deny"), (*path, "deny"), names)
        denied = names.denied | denied_by(override.at("deny"), names.known)
        problems += check_allow(override.at("allow"), (*path, "allow"), names, denied)
        problems += _check_thresholds(override, path, root)
        if override.kind == "mapping" and not _says_something(override):
            what = f"{shown(path)}: it says nothing about its images"
            problems.append(Problem(override.index, what, "Give it deny, allow, thresholds or waivers, or remove it."))
    return problems


def _says_something(override: Node) -> bool:
    lists = (("deny", "keys"), ("deny", "groups"), ("allow", "keys"), ("waivers",))
    limits = override.at("thresholds")
    # What is there but of the wrong kind is the model's business.
    return any(node.items or node.kind != "list" for path in lists if (node := override.at(*path))) or bool(limits and limits.fields)


def _check_thresholds(override: Node, path: FieldPath, root: Node) -> Iterable[Problem]:
    for level in _LEVELS:
        node, general = override.at("thresholds", level), root.at("thresholds", level)
        if node is None:
            continue
        where = shown((*path, "thresholds", level))
        if node.kind == "scalar" and node.scalar is None:
            yield Problem(node.index, f"{where}: null has no effect: an override only lowers thresholds", "Remove it, or set a number.")
        elif (most := _number(node)) is not None and (limit := _number(general)) is not None and most >= limit:
            what = f"{where}: {most} has no effect: thresholds.{level} is {limit}, and the smaller applies"
            yield Problem(node.index, what, "Remove it, or set a smaller number.")


def _number(node: Node | None) -> int | None:
    value = node.scalar if node else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _waivers(root: Node, names: KeyNames) -> Iterator[tuple[FieldPath, Node, frozenset[str]]]:
    """Walk over all waivers: path, value, and the keys that the policy allows there."""
    for number, waiver in enumerate(root.items_at("waivers")):
        yield ("waivers", number), waiver, names.allowed
    for place, override in enumerate(root.items_at("overrides")):
        allowed = names.allowed | all_matching([word for word, _ in override.texts("allow", "keys")], names.known)
        for number, waiver in enumerate(override.items_at("waivers")):
            yield ("overrides", place, "waivers", number), waiver, allowed


def _check_ids(root: Node) -> Iterable[Problem]:
    seen: dict[str, str] = {}
    places: list[tuple[FieldPath, Node]] = [(("waivers", number), waiver) for number, waiver in enumerate(root.items_at("waivers"))]
    for place, override in enumerate(root.items_at("overrides")):
        places += [(("overrides", place, "waivers", number), waiver) for number, waiver in enumerate(override.items_at("waivers"))]
    for path, waiver in places:
        node = waiver.at("id")
        if node is None or not isinstance(node.scalar, str):
            continue
        if node.scalar in seen:
            what = f"{shown(path)}: the id {quoted(node.scalar)} is taken by {seen[node.scalar]}"
            yield Problem(node.index, what, "Give every waiver an id of its own: reports name waivers by it.")
        seen.setdefault(node.scalar, shown(path))


def _check_waiver(waiver: Node, path: FieldPath, names: KeyNames, allowed: frozenset[str]) -> Iterable[Problem]:
    yield from _check_waived_keys(waiver, path, names, allowed)
    yield from _check_paths(waiver, path)
    yield from _check_images(waiver, path)
    for name in ("md5", "fingerprints"):
        yield from check_once(shown((*path, name)), [(text.strip().lower(), index) for text, index in waiver.texts(name)])
    created, expires = _day(waiver, "created"), _day(waiver, "expires")
    node = waiver.at("expires")
    if created and expires and expires < created and node:
        what = f"{shown((*path, 'expires'))}: {expires} is before {created}, the day it was created"
        yield Problem(node.index, what, "Mend one of the two days.")


def _check_waived_keys(waiver: Node, path: FieldPath, names: KeyNames, allowed: frozenset[str]) -> Iterable[Problem]:
    where, words = shown((*path, "keys")), waiver.texts("keys")
    yield from check_once(where, words)
    yield from check_known(where, words, names, "List the keys one by one: a waiver names what it waives.")
    for word, index in words:
        named = named_by(word, names.known)
        if is_glob(word) and len(_WILD.sub("", word)) < _LEAST_LITERALS:
            what = f"{where}: the glob {quoted(word)} is too wide: a waiver names what it waives"
            yield Problem(index, what, f"List the keys, or use a glob with at least {_LEAST_LITERALS} literal characters.")
        elif is_glob(word) and not any(waiver.items_at(name) for name in _NARROWING):
            what = f"{where}: the glob {quoted(word)} is allowed only together with paths, md5 or fingerprints"
            yield Problem(index, what, "Add one of them, or list the keys one by one.")
        elif named and named <= allowed and not named & names.denied_somewhere:
            what = f"{where}: {quoted(word)} is allowed and denied nowhere, so there is nothing to waive"
            yield Problem(index, what, "Remove it here, or from allow.keys.")


def _day(waiver: Node, name: str) -> date | None:
    node = waiver.at(name)
    try:
        return date.fromisoformat(node.scalar) if node and isinstance(node.scalar, str) else None
    except ValueError:
        return None  # the model says so


def _check_paths(waiver: Node, path: FieldPath) -> Iterable[Problem]:
    where, words = shown((*path, "paths")), waiver.texts("paths")
    yield from check_once(where, words)
    for text, index in words:
        what, advice = _pattern_mistake(text, "path")
        if not what and not text.startswith(("/", "**/")):
            what, advice = "starts neither with '/' nor with '**/'", f"Write '/{text}', or '**/{text}' for any folder."
        if not what and text.endswith("/"):
            what, advice = "ends with '/', and no file does", f"Write '{text}**' for all that is below that folder."
        if what:
            yield Problem(index, f"{where}: {quoted(text)} {what}", advice)


def _check_images(section: Node, path: FieldPath) -> Iterable[Problem]:
    where, words = shown((*path, "images")), section.texts("images")
    yield from check_once(where, words)
    for text, index in words:
        what, advice = _pattern_mistake(text, "image")
        if not what:
            what, advice = _image_mistake(text)
        if what:
            yield Problem(index, f"{where}: {quoted(text)} {what}", advice)


def _pattern_mistake(text: str, noun: str) -> tuple[str, str]:
    """Return what is wrong with a pattern, and what to do; empty where nothing is."""
    try:
        glob = Glob.parse(text)
    except ValueError as error:
        return f"is no pattern: {error}", "Write '**' as a whole part between slashes, and '*' within one."
    if wild_only(text):
        return f"fits every {noun} or none: it has no literal character", f"Name a part of the {noun}."
    if not glob.is_literal and split(text) is None:
        return f"never fits: no {noun} has an empty part, '.' or '..' in it", "Write it without them."
    return "", ""


def _image_mistake(text: str) -> tuple[str, str]:
    """Return why a pattern can never fit ``registry/namespace/repository``, and what to do."""
    first, _, rest = text.partition("/")
    named = "it is held against registry/namespace/repository"
    if "://" in text:
        return f"is an address: {named}", "Write it without the part up to '//'."
    if "@" in text or ":" in text.rpartition("/")[2]:
        return f"names a tag or a digest: {named}", "Write it without tag and digest."
    if any(char.isupper() for char in text):
        return f"never fits: {named}, in lower case", "Write it in lower case."
    is_host = is_glob(first) or "." in first or ":" in first or first == "localhost"
    if not rest or not is_host:
        return f"does not start with a registry: {named}", f"Write '*/{text.lstrip('/')}' for that in any registry."
    return "", ""
