"""How inputs are mangled, and what holds of each: it loads, or is refused by its own error, in time. No format's meaning is known here.

``CI_GATE_TEST_EFFORT`` says how many are tried. The everyday ones are the same each time; more than those are drawn anew by each run.
"""

from __future__ import annotations

import copy
import json
import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from effort import examples
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from ci_gate.errors import GateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ci_gate.errors import Cause, ExitCode

IN_EARNEST = examples(100) > 100  # `make fuzz`
BOUND_S = 4.0  # of a processor, for one input of some kilobytes: two hundred times what it takes

# What is odd wherever a text is read.
ODD = [
    *("", " ", "\n", "\r\n", "\t", "\0", "\x1b[31m", "\x85", "\u2028", "\u202e", "\ufeff", "\ud800", "\uffff", "\U0001f511"),
    *(
        "'",
        '"',
        "\\",
        "/",
        "../",
        "/dev/stdin",
        "~",
        "*",
        "**",
        "?",
        "[a]",
        "%0A",
        "::error::x",
        "##[error]",
        "<b>",
        "${x}",
        "{{x}}",
        "$(x)",
    ),
    *("0", "-1", "1e9", "1e999", "0x10", "0o7", "1_0", ".5", ".inf", ".nan", "NaN", "null", "true", "yes", "9" * 25, "9" * 5_000),
    *("2026-02-30", "0000-01-01", "9999-12-31", "2026-W01-1", "x" * 300),
]
# Values to put into the place of any other.
_DEEP = json.loads("[" * 100 + "]" * 100)
VALUES = [
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        7,
        2**31,
        2**63,
        -(2**63),
        10**30,
        0.5,
        1e300,
        -0.0,
        [],
        {},
        [[]],
        [{}],
        [None],
        [0, "x"],
        {"": None},
    ),
    *({"x": "x"}, _DEEP, ["x"] * 200, {f"x{n}": n for n in range(150)}, *ODD),
]


def tried(number: int) -> Callable[[Any], Any]:
    """Decorate a test by how many inputs it tries."""
    many = examples(number)
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture]
    return settings(max_examples=many, deadline=None, derandomize=not IN_EARNEST, database=None, suppress_health_check=quiet)


@contextmanager
def in_time(seconds: float = BOUND_S) -> Iterator[None]:
    """Fail where more of a processor is taken by this thread; that the machine is busy does not count."""
    started = time.thread_time()
    yield
    took = time.thread_time() - started
    assert took < seconds, f"it took {took:.1f} s"


def loads(load: Callable[[], Any], code: ExitCode, place: str | None = None, seconds: float = BOUND_S) -> Any:
    """Load something within the time; return it, or ``None`` where it is refused as it should be: by its code, with place and advice.

    :param place: what every cause has to name, as the beginning of its place; ``None`` where there is nothing to name.
    """
    with in_time(seconds):
        try:
            return load()
        except GateError as error:
            causes = error.causes
    assert causes
    for cause in causes:
        assert_told(cause, code, place)
    return None


def assert_told(cause: Cause, code: ExitCode, place: str | None) -> None:
    """Hold a refusal against what a reader needs."""
    assert code is cause.code, cause
    assert cause.what.strip(), cause
    assert cause.advice.strip(), cause
    assert len(cause.sentence) + len(cause.advice) < 3_000, cause
    if place is not None:
        assert cause.where == place or re.fullmatch(re.escape(place) + r":[0-9]+(:[0-9]+)?", cause.where or ""), cause


# --- mangled texts ---


@st.composite
def mangled(draw: Any, originals: Sequence[str], words: Sequence[str] = ()) -> bytes:
    """Draw a text with a few places changed, as bytes; most of them are UTF-8.

    :param words: of the language of the originals, to be thrown in.
    """
    text = draw(st.sampled_from(originals))
    thrown = st.sampled_from([*words, *ODD])
    for _ in range(draw(st.integers(1, 5))):
        edges = [0, *(found.end() for found in re.finditer(r"\w+|\n\s*|[^\w\n]", text))]
        at = edges[draw(st.integers(0, len(edges) - 1))]
        gone = draw(st.sampled_from([0, 0, 1, 2, 10, 100]))
        how = draw(st.sampled_from(["word", "word", "word", "words", "copy", "text", "many"]))
        if how == "copy":
            start = edges[draw(st.integers(0, len(edges) - 1))]
            piece = text[start : start + draw(st.sampled_from([1, 10, 60, 400]))]
        elif how == "text":
            piece = draw(st.text(max_size=4))
        elif how == "words":
            piece = "".join(draw(st.lists(thrown, min_size=2, max_size=5)))
        else:
            piece = draw(thrown) * (draw(st.sampled_from([3, 60, 500])) if how == "many" else 1)
        text = text[:at] + piece[:20_000] + text[at + gone :]
    raw = text.encode(draw(st.sampled_from(["utf-8"] * 12 + ["utf-16", "utf-8-sig", "utf-32"])), "surrogatepass")
    if draw(st.integers(0, 15)) == 0:
        at = draw(st.integers(0, len(raw)))
        raw = raw[:at] + draw(st.binary(min_size=1, max_size=3)) + raw[at:]
    return raw


# --- bent documents ---


def places(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Walk over the paths of everything in a document."""
    inner: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in inner:
        yield (*at, name)
        yield from places(part, (*at, name))


@st.composite
def bent(draw: Any, originals: Sequence[Any], values: Sequence[Any] = (), most: int = 3, keep: Sequence[str] = ()) -> Any:
    """Draw a document of plain data with one to ``most`` places changed.

    :param values: more of what is put into places.
    :param keep: names of fields that stay as they are.
    """
    document = copy.deepcopy(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, most))):
        open_ones = [path for path in places(document) if not set(keep) & set(path)]
        if not open_ones:
            break
        # By the names first: else long lists were most of it.
        shapes: dict[tuple[Any, ...], list[tuple[str | int, ...]]] = {}
        for path in open_ones:
            shapes.setdefault(tuple("[]" if isinstance(part, int) else part for part in path), []).append(path)
        path = draw(st.sampled_from(draw(st.sampled_from(sorted(shapes.values())))))
        document = _bend(draw, document, path, [*values, *VALUES])
    return document


def _bend(draw: Any, document: Any, path: tuple[str | int, ...], values: Sequence[Any]) -> Any:
    holder = document
    for part in path[:-1]:
        holder = holder[part]
    name = path[-1]
    value = holder[name]
    how = draw(st.sampled_from(["value", "value", "nudge", "nudge", "drop", "twice", "name", "text"]))
    if how == "value":
        holder[name] = copy.deepcopy(draw(st.sampled_from(values)))
    elif how == "nudge":
        holder[name] = _nudged(draw, value)
    elif how == "drop":
        del holder[name]
    elif how == "text":
        holder[name] = str(value) if not isinstance(value, (dict, list)) else json.dumps(value)
    elif isinstance(holder, list):
        holder.insert(name, copy.deepcopy(value))
    elif how == "twice":
        holder[f"{name}{name}"[:40]] = copy.deepcopy(value)
    else:
        holder[draw(st.sampled_from(["x", "", name.upper(), name + " ", *ODD]))] = holder.pop(name)
    return document


def _nudged(draw: Any, value: Any) -> Any:
    """Return a value of the same kind that is close to another one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + draw(st.sampled_from([1, -1, 100]))
    if isinstance(value, float):
        return value * 2
    if isinstance(value, str):
        at = draw(st.integers(0, len(value)))
        return value[:at] + draw(st.sampled_from(ODD)) + value[at + draw(st.integers(0, 2)) :]
    if isinstance(value, list):
        return value[::-1] if draw(st.booleans()) else value + value
    return value
