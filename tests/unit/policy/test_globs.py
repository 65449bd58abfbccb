"""Patterns for paths and images: what they match, what they never do, and how long that takes."""

import re
import time
from fnmatch import fnmatchcase

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ci_gate.policy.judging.globs import Glob, GlobIndex, wild_only

MATCHES = [
    ("/opt/app/a.pem", "/opt/app/a.pem"),
    ("/opt/*/a.pem", "/opt/app/a.pem"),
    ("/opt/app/?.p[a-e]m", "/opt/app/a.pem"),
    ("/opt/**", "/opt/app"),
    ("/opt/**", "/opt/app/a.pem"),
    ("/opt/**/a.pem", "/opt/a.pem"),
    ("/opt/**/a.pem", "/opt/x/y/a.pem"),
    ("/opt/**/**/a.pem", "/opt/a.pem"),
    ("/opt/**/app/**", "/opt/app/x"),
    ("/**/b/**/c", "/a/b/x/b/c"),
    ("**/a.pem", "/a.pem"),
    ("**/a.pem", "a.pem"),
    ("**/a.pem", "/opt/app/a.pem"),
    ("*/shop/api", "registry.example.com/shop/api"),
    ("registry.example.com:5000/**", "registry.example.com:5000/a/b"),
    ("/opt/.*", "/opt/.hidden"),
    ("/opt/*", "/opt/.hidden"),
    ("/opt/*", "/opt/a\nb"),
    ("/opt/[!a]*", "/opt/b"),
    ("/opt/[", "/opt/["),
    ("/opt/[*", "/opt/[x"),
    ("/next/[id].js", "/next/i.js"),
    ("/next/[id].js", "/next/[id].js"),  # the identical text, though the pattern means another
    ("/opt/../a", "/opt/../a"),
    ("/opt//a", "/opt//a"),
    ("/opt/\udcff*", "/opt/\udcffx"),
]
NO_MATCHES = [
    ("/opt/app/a.pem", "/opt/app/A.pem"),
    ("/opt/app/a.pem", "/opt/app/a.pem/"),
    ("/opt/app", "/opt/app/a.pem"),
    ("/opt/*", "/opt/app/a.pem"),
    ("/opt/*/a.pem", "/opt/a.pem"),
    ("/opt*", "/opt/a"),
    ("/opt/**", "/opt"),
    ("/opt/**", "/opt/"),
    ("/opt/**", "/option/a"),
    ("/opt/**", "/OPT/a"),
    ("/opt/**", "opt/a"),
    ("/opt/**", "/x/opt/a"),
    ("/opt/**", "/opt/../etc/shadow"),
    ("/opt/**", "/opt/./a"),
    ("/opt/**", "/opt//a"),
    ("/opt/**", "//opt/a"),
    ("/opt/**/..", "/opt/a/.."),
    ("*/a", "/a"),
    ("?", ""),
    ("**", ""),
    ("**/a.pem", "/opt/xa.pem"),
    ("**/a.pem", "/opt/a.pem/b"),
    ("/opt/[!/]b", "/opt/xb"),
    ("/a[+-9]b", "/a/b"),
    ("*/shop/api", "registry.example.com/x/shop/api"),
    ("/opt/**/a/b/**/c", "/opt/a/x/b/c"),
    ("/a/**/a", "/a"),
]


@pytest.mark.parametrize(("pattern", "text"), MATCHES)
def test_what_a_pattern_matches(pattern, text):
    assert Glob.parse(pattern).matches(text)
    assert [pattern] == GlobIndex([(pattern, pattern), ("/else/**", "")]).find(text)


@pytest.mark.parametrize(("pattern", "text"), NO_MATCHES)
def test_what_a_pattern_does_not_match(pattern, text):
    assert not Glob.parse(pattern).matches(text)
    assert [] == GlobIndex([(pattern, pattern)]).find(text)


@pytest.mark.parametrize("pattern", ["/opt/a**", "**a/b", "/opt/***", "/opt/***/a", "[**]", ""])
def test_two_stars_are_a_whole_segment_or_an_error(pattern):
    with pytest.raises(ValueError, match=r"\*\* stands for whole segments|an empty pattern"):
        Glob.parse(pattern)


@pytest.mark.parametrize("pattern", ["**", "/**", "*", "*/*", "/*/?", "?*", "/", "/[a-z]/**", "[]]", "[!x]*"])
def test_a_pattern_without_a_literal_character_names_nothing(pattern):
    assert wild_only(pattern)


@pytest.mark.parametrize("pattern", ["/a", "*a", "/**/a?", "[a", "[]", "*.*", "[!]"])
def test_a_pattern_with_a_literal_character_names_something(pattern):
    assert not wild_only(pattern)


def test_only_texts_without_signs_are_literal():
    assert [True, False, False, False] == [Glob.parse(text).is_literal for text in ("/a.b", "/a*", "/?", "/[")]


SEGMENT = st.sampled_from(["a", "b", "ab", "a*", "*b", "?", "[ab]", "*", "**", "*a*"])
PATTERN = st.builds(lambda slash, parts: slash + "/".join(parts), st.sampled_from(["", "/"]), st.lists(SEGMENT, min_size=1, max_size=5))
TEXT = st.builds(
    lambda slash, parts: slash + "/".join(parts),
    st.sampled_from(["", "/"]),
    st.lists(st.sampled_from(["a", "b", "ab", "aab", "..", ""]), max_size=6),
)


def naive(pattern, text):
    """The semantics, word for word."""
    if pattern == text:
        return True
    parts, segments = pattern.split("/"), text.split("/")
    if not text or "" in segments[1:] or {".", ".."} & set(segments):
        return False
    return naive_segments(parts, segments)


def naive_segments(parts, segments):
    if not parts:
        return not segments
    if parts[0] == "**":
        if set(parts) == {"**"}:
            return any(segments)  # at the very end one or more, and the empty one before a leading slash is none
        return any(naive_segments(parts[1:], segments[i:]) for i in range(len(segments) + 1))
    if not segments:
        return False
    first = parts[0] == segments[0] or (segments[0] != "" and fnmatchcase(segments[0], parts[0]))
    return first and naive_segments(parts[1:], segments[1:])


@settings(deadline=None, max_examples=examples(240))
@given(PATTERN, TEXT)
def test_a_pattern_matches_what_the_rules_say_and_no_more(pattern, text):
    assert naive(pattern, text) is Glob.parse(pattern).matches(text)


@settings(deadline=None, max_examples=examples(180))
@given(st.lists(PATTERN, max_size=6), TEXT)
def test_an_index_finds_what_trying_all_patterns_would(patterns, text):
    index = GlobIndex(list(enumerate_pairs(patterns)))

    expected = sorted(i for pattern, i in enumerate_pairs(patterns) if Glob.parse(pattern).matches(text))
    assert expected == sorted(index.find(text))
    assert expected == sorted(index.find(text))  # and again: what it keeps of folders does not change the answer


def enumerate_pairs(patterns):
    return ((pattern, i) for i, pattern in enumerate(patterns))


ODD_SEGMENT = st.lists(st.sampled_from(["a", "b", "ab", "[ab]", "[!a]", "?", "*", "[", "]", "."]), min_size=1, max_size=4).map("".join)
ODD_PATTERN = st.builds(
    lambda slash, parts: slash + "/".join(parts),
    st.sampled_from(["", "/"]),
    st.lists(st.just("**") | ODD_SEGMENT.filter(lambda segment: "**" not in segment), min_size=1, max_size=4),
)
ODD_NAME = st.text("ab.[]*", max_size=6)
ODD_TEXT = st.lists(ODD_NAME | st.sampled_from(["", ".", "..", "\n", "\udcff", "aabab"]), max_size=5).map("/".join)


@settings(deadline=None, max_examples=examples(240))
@given(st.lists(ODD_PATTERN, max_size=12), st.lists(ODD_TEXT, max_size=4))
def test_an_index_finds_what_the_rules_say_of_every_pattern(patterns, texts):
    index = GlobIndex(enumerate_pairs(patterns))

    for text in [*texts, *patterns, *texts]:
        assert sorted(i for pattern, i in enumerate_pairs(patterns) if naive(pattern, text)) == sorted(index.find(text))


def test_an_index_tries_few_of_many_patterns(monkeypatch):
    tried = []
    fits_folders = Glob.fits_folders
    monkeypatch.setattr(Glob, "fits_folders", lambda glob, segments: tried.append(glob.text) or fits_folders(glob, segments))
    patterns = [shape.format(i) for i in range(500) for shape in ("/opt/d{}/**", "**/n{}*.pem", "**/*x{}.p?m", "/a/**/*e{}_*/**")]
    index = GlobIndex((pattern, pattern) for pattern in patterns)

    assert {"/opt/d17/**", "**/n2*.pem", "**/n23*.pem", "**/*x42.p?m"} == set(index.find("/opt/d17/n23-x42.pem"))
    assert len(tried) < 20


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("/" + "*a" * 300 + "*b", "/" + "a" * 20_000),
        ("/**/" + "/**/".join(["a"] * 200) + "/**/b", "/a" * 5_000),
        ("**/a/a/a/a/a/a/a/b/**", "/a" * 20_000),
        ("/" + "?*" * 200 + "b", "/" + "a" * 20_000),
        ("/**/*a*a*a*a*b", "/" + "a" * 50_000),
    ],
)
def test_a_hostile_path_takes_no_longer_than_a_long_one(pattern, text):
    started = time.process_time()

    assert not Glob.parse(pattern).matches(text)
    assert [] == GlobIndex([(pattern, 1)]).find(text)
    assert time.process_time() - started < 2


PIECES = st.lists(st.sampled_from(["a", "b", "[ab]", "?", "*", "[!c]", "[", "x]", "[]", "[!]"]), min_size=1, max_size=4).map("".join)


@settings(deadline=None)
@given(st.lists(PIECES.filter(lambda piece: "**" not in piece), min_size=1, max_size=3))
def test_an_index_looks_for_nothing_that_a_match_may_lack(parts):
    pattern = "/" + "/".join(parts)
    text = re.sub(r"\[!c\]|\[ab\]|[?*]", "a", pattern)

    assert Glob.parse(pattern).matches(text) is bool(GlobIndex([(pattern, 1)]).find(text))


def test_few_patterns_take_no_long_time_for_long_hostile_names():
    index = GlobIndex((f"/**/*{chr(97 + i)}{'x' * (i % 5)}.pem", i) for i in range(12))
    paths = [f"/{i}{'ab.pe' * 818}" for i in range(1_000)]

    started = time.process_time()

    assert not any(index.find(path) for path in paths)
    assert time.process_time() - started < 1  # seconds; some 5 when every piece of the names was cut out
