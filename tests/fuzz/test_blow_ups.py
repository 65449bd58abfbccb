"""One piece over and over: no reader takes more time for it than for honest input of that size. Quadratic readers show here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from fuzzing import IN_EARNEST, ODD, in_time, loads, tried
from hypothesis import given
from hypothesis import strategies as st

from ci_gate.cli.asked import images_asked
from ci_gate.cli.emulate import read_world
from ci_gate.cli.run import CheckOptions
from ci_gate.cli.shared import read_result
from ci_gate.errors import ExitCode
from ci_gate.policy.language.baseline import read_baseline
from ci_gate.policy.language.load import load_policy
from ci_gate.policy.language.reads import files_read
from ci_gate.security_center.contracts import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIZE = 400_000 if IN_EARNEST else 40_000
YAML = [
    *(
        "a: 1\n",
        "- a\n",
        "- - ",
        "a: ",
        "? a\n",
        "[",
        "{",
        "[,",
        "{a,",
        "a",
        "'a' ",
        '"\\x" ',
        "&a *a ",
        "- &a x\n",
        "- *a\n",
        "# c\n",
        "!a ",
    ),
    *(
        '"a":1,',
        "[a: b, ",
        "? ",
        ": ",
        "-",
        "*",
        "&",
        "!!",
        "''",
        "{a: ",
        "[]: ",
        "a,",
        "a b ",
        "a\n",
        "\n",
        "\r",
        "\n\n ",
        "|\n",
        "%a\n",
        "---\n",
    ),
]
JSON = [*'[]{}",:0\\ ', "[]", "{}", '{"a":', '"a",', '"\\u0000"', "[[],", '{"":0,"":', "1e", "-", "nul", "1.5,", "\n", '"\\ud800"']


@dataclass(frozen=True)
class Reader:
    """What reads a file, the pieces of its language, and beginnings behind which pieces are read otherwise."""

    read: Callable[[Path], object]
    pieces: list[str]
    begins: list[str]
    code: ExitCode = ExitCode.POLICY_INVALID


def _metadata(path: Path):
    return images_asked(CheckOptions(images=("registry.example.com/shop/api:1",), metadata_file=path))


def _policy(path: Path):
    files_read(str(path))
    return load_policy(path)


FIELDS = ["version: 1\ndeny: {keys: [", "version: 1\nwaivers:\n- ", 'a: "', "a: '", "a: |\n  ", "a: >\n  ", "&a ", "[&a x, "]
READERS = {
    "policy": Reader(_policy, YAML, FIELDS),
    "world": Reader(read_world, YAML, ["images: [", "images:\n- ", *FIELDS]),
    "saved result": Reader(lambda path: read_result(str(path)), JSON, ['{"schema_version": 1, "images": [', '{"a": "']),
    "baseline": Reader(lambda path: read_baseline(path, "b"), JSON, ['{"version": 1, "images": [', '{"version": 1, "findings": [{"']),
    "images": Reader(
        lambda path: images_asked(CheckOptions(images_file=str(path))),
        ["a", "a/", "a.", "-", ":", "@", "#", " #", "\n", "a.b/c\n", "_", "__", "sha256:"],
        ["registry.example.com/", "registry.example.com/a@", "a.", "registry.example.com/a:"],
        ExitCode.USAGE,
    ),
    "metadata": Reader(_metadata, JSON, ['{"containerimage.digest": "', '{"containerimage.digest": ['], ExitCode.USAGE),
}
LINES = st.sampled_from([None, 60, 15_000])  # characters to a line; policies have bounds for lines


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("blow-ups") / "input"


@pytest.mark.parametrize("name", READERS)
@tried(12)
@given(st.data())
def test_a_piece_over_and_over_is_read_or_refused_in_time(path, name, data):
    reader = READERS[name]
    piece = data.draw(st.sampled_from([*reader.pieces, *filter(None, ODD)]))
    line = data.draw(LINES)
    many = piece * (SIZE // len(piece)) if line is None else (piece * (line // len(piece) + 1) + "\n") * (SIZE // line)
    path.write_bytes((data.draw(st.sampled_from(["", *reader.begins])) + many).encode("utf-8", "surrogatepass"))

    loads(lambda: reader.read(path), reader.code, seconds=20.0 if IN_EARNEST else 4.0)


@tried(20)
@given(st.sampled_from(JSON), st.sampled_from(["", '{"SensitiveFileList": [', '{"a": "']))
def test_a_body_of_one_piece_is_json_or_none_in_time(piece, begin):
    with in_time():
        try:
            json.dumps(parse_json((begin + piece * (SIZE // len(piece))).encode()))
        except ValueError as error:
            assert len(str(error)) < 100  # noqa: PT017 - it may be JSON as well
