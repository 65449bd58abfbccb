"""Reading YAML: what is refused, and where the error is said to be."""

from __future__ import annotations

import pytest

from ci_gate.emulator.yaml_reader import MAX_BYTES, YamlError, read_yaml

BOMB = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n" + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: 1\na: 2\n", (2, 1), "stands twice"),
        ("a: [", (1, 5), "no YAML"),
        ("a:\n  b: !!python/name:os.system x\n", (2, 6), "tags are not accepted"),
        ("a: !thing {}\n", (1, 4), "tags are not accepted"),
        ("a: &a [*a]\n", (1, 4), "alias holds itself"),
        ("a: *b\n", (1, 4), "undefined alias"),
        ("a: 1\n---\nb: 1\n", (2, 1), "another document"),
        ("[a]: 1\n", (1, 1), "name must be text"),
        ("a: .inf\n", (1, 4), "is no float"),
        ("", (1, 1), "empty"),
        ("a: \x00\n", (0, 0), "no YAML"),
    ],
)
def test_what_is_refused_is_told_with_its_place(text, place, words):
    with pytest.raises(YamlError) as caught:
        read_yaml(text.encode())

    (problem,) = caught.value.problems
    assert ((problem.line, problem.column), words in problem.message) == (place, True)


def test_a_bomb_of_aliases_is_refused():
    with pytest.raises(YamlError, match="aliases unfold"):
        read_yaml(BOMB.encode())


def test_deep_nesting_is_refused():
    with pytest.raises(YamlError, match="nested"):
        read_yaml(b"a: " + b"[" * 300 + b"]" * 300)


def test_a_file_that_is_too_large_is_refused():
    with pytest.raises(YamlError, match="larger than"):
        read_yaml(b"#" * (MAX_BYTES + 1))


def test_a_file_that_is_not_utf8_is_refused():
    with pytest.raises(YamlError, match="UTF-8"):
        read_yaml(b"a: \xff\n")


def test_yaml_is_1_2_and_has_places():
    document = read_yaml(b"a: yes\nb: [0o17, 1_0, 1.5, true, ~, 2026-11-24]\n")

    assert document.value == {"a": "yes", "b": [15, 10, 1.5, True, None, "2026-11-24"]}
    assert document.place(("b", 2)) == (2, 16)
    assert document.place(("b", "nowhere", 0)) == (2, 5)


def test_a_text_may_hold_any_character():
    document = read_yaml(rb'a: "\0\e\n\uFFFE\uD800"')

    assert document.value == {"a": "\0\x1b\n\ufffe\ud800"}
