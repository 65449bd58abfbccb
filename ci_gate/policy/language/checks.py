"""What no schema can tell: whether what a policy says makes sense together.

The checks read the tree, not the model, so that they can speak up beside the mistakes that the model finds.
Only what can never have an effect is a mistake; what has none because of a parent is not, for parents change on their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci_gate.policy.language.checks_exceptions import check_overrides, check_waivers
from ci_gate.policy.language.checks_keys import KeyNames, check_globs, check_keys, check_once
from ci_gate.policy.problems import Problem, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ci_gate.policy.effective import EffectivePolicy
    from ci_gate.policy.language.yamltree import Node

MAX_GIVEN = 100_000
# The lists of which each entry may be there once, beside those of keys, waivers and overrides.
_LISTS = (("extends",), ("permit",), ("waiver_rules", "require"))
_DIGESTS = (("base_image", "layers"),)


def check_sense(root: Node, parents: Sequence[EffectivePolicy] = ()) -> list[Problem]:
    """Return every mistake in the sense of a policy. ``parents`` may know further keys, and deny some."""
    if too_many := check_globs(root, parents):
        return too_many
    names = KeyNames.of(root, parents)
    problems = check_keys(root, names)
    problems += check_waivers(root, names)
    problems += check_overrides(root, names)
    for path in _LISTS:
        problems += check_once(shown(path), root.texts(*path))
    for path in _DIGESTS:
        problems += check_once(shown(path), [(text.strip().lower().removeprefix("sha256:"), index) for text, index in root.texts(*path)])
    problems += _check_tests(root)
    return problems


def _check_tests(root: Node) -> Iterable[Problem]:
    named = [(node.scalar, node.index) for test in root.items_at("tests") if (node := test.at("name")) is not None]
    yield from check_once("tests", [(name, index) for name, index in named if isinstance(name, str)])
    for number, test in enumerate(root.items_at("tests")):
        counts = [node.scalar if (node := given.at("count")) else 1 for given in test.items_at("given")]
        total = sum(count for count in counts if isinstance(count, int) and count > 0)
        if total > MAX_GIVEN:
            what = f"{shown(('tests', number, 'given'))}: these are {total} findings, and a test may make up {MAX_GIVEN}"
            yield Problem(test.index, what, "Lower the counts.")
