"""Whether the keys and groups that a policy names exist, and do something where they are named."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci_gate.catalog import catalog_keys, load_catalog
from ci_gate.policy.judging.keys import MAX_MATCHES, all_matching, denied_keys, fold, glob_count, group_keys, is_glob, key_rules, matching
from ci_gate.policy.problems import FieldPath, Problem, quoted, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ci_gate.policy.effective import EffectivePolicy
    from ci_gate.policy.language.yamltree import Node

LIST_KEYS = "`ci-gate keys` lists the keys; a key that the catalog does not have goes under extra_keys first."
_LIST_GROUPS = "`ci-gate keys` lists the groups."
_Texts = list[tuple[str, int]]


def named_by(word: str, known: frozenset[str]) -> frozenset[str]:
    """Return the known keys that an entry names; quickly where it is one key."""
    return matching(word, known) if is_glob(word) else known.intersection((word,))


@dataclass(frozen=True, slots=True)
class KeyNames:
    """The keys that a policy may name. ``denied`` and ``allowed`` are those of its top level, without those of its parents.

    ``denied_somewhere`` are those that it, one of its overrides or a parent denies.
    """

    known: frozenset[str]
    inherited_extra: frozenset[str]
    denied: frozenset[str]
    allowed: frozenset[str]
    denied_somewhere: frozenset[str]

    @classmethod
    def of(cls, root: Node, parents: Sequence[EffectivePolicy]) -> KeyNames:
        """Collect them from the tree of a policy and from its parents."""
        inherited = frozenset(key for parent in parents for key in parent.extra_keys)
        known = frozenset((*catalog_keys(), *inherited, *(word for word, _ in root.texts("extra_keys"))))
        denied = denied_by(root.at("deny"), known)
        by_parents = (denied_keys_anywhere(parent) for parent in parents)
        by_overrides = (denied_by(override.at("deny"), known) for override in root.items_at("overrides"))
        allowed = all_matching([word for word, _ in root.texts("allow", "keys")], known)
        return cls(known, inherited, denied, allowed, denied.union(*by_parents, *by_overrides))


def denied_keys_anywhere(policy: EffectivePolicy) -> frozenset[str]:
    """Return the known keys that a policy denies in some image."""
    every = (*policy.deny, *(clause for override in policy.overrides for clause in override.deny))
    return denied_keys(replace(policy, deny=every))


def denied_by(deny: Node | None, known: frozenset[str]) -> frozenset[str]:
    """Return the keys that one ``deny`` denies."""
    if deny is None:
        return frozenset()
    return _listed(deny, known) - all_matching([word for word, _ in deny.texts("except")], known)


def _listed(deny: Node, known: frozenset[str]) -> frozenset[str]:
    """Return what ``keys`` and ``groups`` name, before ``except``."""
    return group_keys(word for word, _ in deny.texts("groups")) | all_matching([word for word, _ in deny.texts("keys")], known)


def check_globs(root: Node, parents: Sequence[EffectivePolicy]) -> list[Problem]:
    """Return the mistake of a policy that has, with its parents, so many globs over so many keys that resolving them would take minutes."""
    sections = [root, *root.items_at("overrides")]
    waivers = [waiver for section in sections for waiver in section.items_at("waivers")]
    lists = [section.texts(*path) for section in sections for path in (("deny", "keys"), ("deny", "except"), ("allow", "keys"))]
    own = sum(is_glob(word) for words in (*lists, *(waiver.texts("keys") for waiver in waivers)) for word, _ in words)
    globs = own + (glob_count(_together(parents)) if parents else 0)
    extra = {word for word, _ in root.texts("extra_keys")}.union(*(parent.extra_keys for parent in parents))
    keys = len(extra.union(catalog_keys()))
    if globs * keys <= MAX_MATCHES:
        return []
    extends = root.at("extends")
    index = extends.index if extends and own * keys <= MAX_MATCHES else root.index
    whose = " with its parents" if parents else ""
    return [Problem(index, f"the policy{whose} has {globs} globs over {keys} keys, too many to resolve", "Use groups, or fewer globs.")]


def _together(parents: Sequence[EffectivePolicy]) -> EffectivePolicy:
    """Return the lists with globs of all parents, what they share once."""
    return replace(
        parents[0],
        deny=tuple({clause for parent in parents for clause in parent.deny}),
        allow=tuple({word for parent in parents for word in parent.allow}),
        waivers=tuple({waiver for parent in parents for waiver in parent.waivers}),
        overrides=tuple({override for parent in parents for override in parent.overrides}),
    )


def check_keys(root: Node, names: KeyNames) -> list[Problem]:
    """Return every mistake about keys and groups at the top level of a policy."""
    extra = root.texts("extra_keys")
    problems = [*check_once("extra_keys", extra), *_check_extra_keys(extra, names)]
    problems += check_deny(root.at("deny"), ("deny",), names)
    problems += check_allow(root.at("allow"), ("allow",), names, names.denied)
    return problems


def check_deny(deny: Node | None, path: FieldPath, names: KeyNames) -> Iterable[Problem]:
    """Return every mistake in one ``deny``."""
    if deny is None:
        return
    for name in ("keys", "groups", "except"):
        yield from check_once(shown((*path, name)), deny.texts(name))
    for name in ("keys", "except"):
        yield from check_known(shown((*path, name)), deny.texts(name), names, f"Groups go under {shown((*path, 'groups'))}.")
    yield from _check_groups(shown((*path, "groups")), deny.texts("groups"))
    listed = _listed(deny, names.known)
    for word, index in deny.texts("except"):
        named = named_by(word, names.known)
        if named and not named & listed:
            what = f"{shown((*path, 'except'))}: {quoted(word)} removes nothing: no key of it is denied"
            yield Problem(index, f"{what} here", "Remove it, or deny the key's group or glob; it takes nothing from what others deny.")


def check_allow(allow: Node | None, path: FieldPath, names: KeyNames, denied: frozenset[str]) -> Iterable[Problem]:
    """Return every mistake in one ``allow``. ``denied``: what the same policy denies where this allows."""
    if allow is None:
        return
    words, where = allow.texts("keys"), shown((*path, "keys"))
    yield from check_once(where, words)
    yield from check_known(where, words, names, "List the keys one by one: a whole group is never allowed.")
    for word, index in words:
        named = named_by(word, names.known)
        if named and named <= denied:
            what = f"{where}: {quoted(word)} is denied too, and denied wins"
            yield Problem(index, what, "Remove it here, or take it out of the denied keys with deny.except.")


def check_once(where: str, words: _Texts) -> Iterable[Problem]:
    """Return a mistake for every entry that was there before."""
    seen: set[str] = set()
    for word, index in words:
        if word in seen:
            yield Problem(index, f"{where}: {quoted(word)} is listed twice", "Keep one of the two.")
        seen.add(word)


def check_known(where: str, words: _Texts, names: KeyNames, about_groups: str) -> Iterable[Problem]:
    """Return a mistake for every entry that names no known key."""
    for word, index in words:
        if named_by(word, names.known):
            continue
        if is_glob(word):
            yield Problem(index, f"{where}: the glob {quoted(word)} matches no key", LIST_KEYS)
        elif load_catalog().group(word):
            yield Problem(index, f"{where}: {quoted(word)} is a group, not a key", about_groups)
        else:
            yield Problem(index, f"{where}: {quoted(word)} is no known key", LIST_KEYS, word, names.known)


def check_judges(policy: EffectivePolicy, root: Node) -> list[Problem]:
    """Return the mistake of an effective policy that judges nothing where none of its overrides applies."""
    rules, limits = key_rules(policy), policy.thresholds
    limited = any(most is not None for most in (limits.high, limits.medium, limits.low, limits.total))
    if rules.denied or (limited and rules.known - rules.allowed):
        return []
    what = "every key is allowed, so the thresholds count nothing" if limited else "no key is denied and no threshold is set"
    advice = "Deny keys or groups, or set a threshold, such as 'thresholds: {high: 0}'."
    if policy.overrides and not limited:
        advice = f"{advice} Overrides only add to that: an image that none of them fits would not be judged."
    return [Problem(root.index, f"the policy judges nothing: {what}", advice)]


def _check_extra_keys(extra: _Texts, names: KeyNames) -> Iterable[Problem]:
    documented = {fold(key): key for key in catalog_keys()}
    others = {fold(key): key for key in sorted(names.inherited_extra)}
    for word, index in extra:
        twin = documented.get(fold(word))
        if twin == word:
            yield Problem(
                index, f"extra_keys: {quoted(word)} is in the catalog already", "Remove it here: the catalog's keys need no mention."
            )
        elif twin is not None or others.get(fold(word), word) != word:
            other = twin or others[fold(word)]
            yield Problem(index, f"extra_keys: {quoted(word)} differs from the key {quoted(other)} only in case", "Use that key.")
        others.setdefault(fold(word), word)


def _check_groups(where: str, words: _Texts) -> Iterable[Problem]:
    groups, documented = [group.name for group in load_catalog().groups], frozenset(catalog_keys())
    for word, index in words:
        if word not in groups:
            hint = f"Keys go under {where.removesuffix('groups')}keys." if word in documented else _LIST_GROUPS
            yield Problem(index, f"{where}: {quoted(word)} is no group", hint, word, groups)
