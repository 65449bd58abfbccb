"""Where each value of an effective policy was written. Pure."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ci_gate.policy.judging.keys import denied_keys
from ci_gate.policy.language.inherit import SCALARS, settle, value_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ci_gate.policy.effective import Baseline, DenyClause, EffectivePolicy, Override, Thresholds
    from ci_gate.policy.problems import FieldPath

DEFAULT = "default"
_LEVELS = ("high", "medium", "low", "total")


class _Fact(NamedTuple):
    """One value of a policy: its name, what it says, and where a policy that says it writes it.

    The names of list entries differ from policy to policy (``deny[0]``), what they say does not; of an override, only what has an effect
    in the end tells it from others.
    """

    name: str
    says: tuple[Any, ...]
    path: FieldPath


def trace_origins(
    policy: EffectivePolicy,
    own: EffectivePolicy,
    place: Callable[[FieldPath], str | None],
    parents: Sequence[tuple[EffectivePolicy, Mapping[str, str]]],
) -> dict[str, str]:
    """Return for the name of each value of an effective policy where it was written, ``default`` where nobody wrote it.

    Where a value comes of several ones that were written (a union), their places are joined with commas.

    :param own: what the policy means without its parents.
    :param place: tells where a path of its document was written, ``None`` where it was not.
    :param parents: the effective policies that it extends, with their origins.
    """
    written: dict[tuple[Any, ...], str] = {}
    settled = partial(settle, limits=policy.thresholds, denied=denied_keys(policy))
    numbers: dict[Any, int] = {}

    def facts_of(one: EffectivePolicy) -> Iterator[_Fact]:
        # An override may be as large as its file, and all that is in it names it: it is looked at once, and has a number from then on.
        return _facts(one, settled, lambda item: numbers.setdefault(item, len(numbers)))

    for fact in facts_of(own):
        if (where := place(fact.path)) is not None:
            written.setdefault(fact.says, where)
    for parent, origins in parents:
        for fact in facts_of(parent):
            if (where := origins.get(fact.name, DEFAULT)) != DEFAULT:
                written.setdefault(fact.says, where)
    places: dict[str, list[str]] = {}
    for fact in facts_of(policy):
        places.setdefault(fact.name, []).append(written.get(fact.says, DEFAULT))
    return {name: _join(found) for name, found in places.items()}


def _join(places: Iterable[str]) -> str:
    every = dict.fromkeys(part for place in places for part in place.split(", "))
    return ", ".join([place for place in every if place != DEFAULT]) or DEFAULT


def _facts(policy: EffectivePolicy, settled: Callable[[Override], Override], number_of: Callable[[Any], int]) -> Iterator[_Fact]:
    for name in SCALARS:
        value = value_of(policy, name)
        for part in value if isinstance(value, tuple) else (value,):
            yield _Fact(name, (name, part), tuple(name.split(".")))
    for number, word in enumerate(policy.permit):
        yield _Fact("permit", ("permit", word), ("permit", number))
    for number, key in enumerate(policy.extra_keys):
        yield _Fact(f"extra_keys.{key}", ("extra_keys", key), ("extra_keys", number))
    yield from _deny_facts(policy.deny, "deny", ("deny",), ())
    yield from _allow_facts(policy.allow, "allow", ("allow",), ())
    for layers, action in ((policy.label_layers, "label"), (policy.exempt_layers, "exempt")):
        for number, layer in enumerate(layers):
            yield _Fact("base_image.layers", ("layer", layer, action), ("base_image", "layers", number))
            yield _Fact("base_image.action", ("layer action", layer, action), ("base_image", "action"))
    for number, baseline in enumerate(policy.baselines):
        yield from _baseline_facts(baseline, number)
    for number, waiver in enumerate(policy.waivers):
        yield _Fact(f"waivers.{waiver.id}", ("waiver", waiver), ("waivers", number))
    for place, override in enumerate(policy.overrides):
        name, path, holder = f"overrides[{place}]", ("overrides", place), number_of(settled(override))
        images = number_of(override.images)
        yield _Fact(name, ("override", holder), path)
        yield _Fact(f"{name}.images", ("override images", holder), (*path, "images"))
        yield from _deny_facts(override.deny, f"{name}.deny", (*path, "deny"), (holder,))
        yield from _allow_facts(override.allow, f"{name}.allow", (*path, "allow"), (holder,))
        yield from _threshold_facts(override.thresholds, f"{name}.thresholds", (*path, "thresholds"), (holder,))
        for number, waiver in enumerate(override.waivers):
            yield _Fact(f"waivers.{waiver.id}", ("waiver", waiver, images), (*path, "waivers", number))


def _deny_facts(clauses: Sequence[DenyClause], name: str, path: FieldPath, holder: tuple[int, ...]) -> Iterator[_Fact]:
    for number, clause in enumerate(clauses):
        for field, words in (("keys", clause.keys), ("groups", clause.groups), ("except", clause.except_)):
            if words:
                yield _Fact(f"{name}[{number}].{field}", ("deny", field, clause, *holder), (*path, field))


def _allow_facts(entries: Sequence[str], name: str, path: FieldPath, holder: tuple[int, ...]) -> Iterator[_Fact]:
    for number, entry in enumerate(entries):
        yield _Fact(f"{name}.{entry}", ("allow", entry, *holder), (*path, "keys", number))


def _threshold_facts(limits: Thresholds, name: str, path: FieldPath, holder: tuple[int, ...]) -> Iterator[_Fact]:
    for level in _LEVELS:
        if (most := getattr(limits, level)) is not None:
            yield _Fact(f"{name}.{level}", ("threshold", level, most, *holder), (*path, level))


def _baseline_facts(baseline: Baseline, number: int) -> Iterator[_Fact]:
    """Walk over what is said of a baseline; the first is ``baseline``, further ones of parents are ``baseline[1]`` and so on."""
    name = f"baseline[{number}]" if number else "baseline"
    identity = (baseline.file, baseline.expires, baseline.include_denied)
    for field in ("file", "expires", "include_denied"):
        yield _Fact(f"{name}.{field}", ("baseline", field, identity), ("baseline", field))
