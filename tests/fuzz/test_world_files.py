"""World files: whatever stands in one, it loads or is refused by code 3 with every place; and what loads can be served."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fuzzing import bent, in_time, loads, mangled, tried
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from ci_gate.cli.emulate import read_world
from ci_gate.emulator.calls import CALLS, answer
from ci_gate.emulator.refusals import RefusalError
from ci_gate.emulator.state import State
from ci_gate.errors import ExitCode, InvalidDocumentError

ROOT = Path(__file__).parents[2]
PAGE = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs" / "world-files.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
DEMO = (ROOT / "ci_gate" / "emulator" / "demo.yaml").read_text("utf-8")
DIGEST = "5e" * 32
SMALL = {
    "version": 1,
    "images": [{"reference": "registry.example.com/shop/api:1", "digest": DIGEST, "findings": [{"key": "pem", "path": "/k", "times": 2}]}],
    "rules_off": ["sqlite"],
}
DOCUMENTS = [YAML(typ="safe", pure=True).load(PAGE[0]), SMALL]
WORDS = [
    *(
        "- ",
        ": ",
        ":\n",
        "? ",
        "|\n",
        ">-\n",
        "&a ",
        "*a",
        "<<: ",
        "!!str ",
        "!x ",
        "!!python/name:os.system ",
        "%YAML 1.1\n",
        "---\n",
        "[",
        "]",
    ),
    *("{", "}", ",", "\n  ", "\n- ", "#", "@", "2h ago", "now", "999999d ago", "9999-12-31T23:59:59+00:01", "0001-01-01T00:00:00+14:00"),
    *("kind: body", "text: ", "status: 200", "generate: {count: 3}", "times: 9", "path_escaped: '\\ud800'", "canary: "),
]
MEANT = [
    "2h ago",
    "now",
    "999999d ago",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "SUCCESS",
    "pem",
    "*",
    "body",
    "stall",
    DIGEST,
]
MOST_SERVED = 500  # findings made up: that many are tested elsewhere


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("worlds") / "world.yaml"


def check(path, raw):
    """Hold what becomes of a world file against the laws; return whether it is one."""
    path.write_bytes(raw)
    world = loads(lambda: read_world(path), ExitCode.POLICY_INVALID, str(path))
    if world is None:
        return False
    if sum(image.generate.count if image.generate else sum(one.times for one in image.findings) for image in world.images) < MOST_SERVED:
        with in_time():
            _serve(world)
    return True


def _serve(world):
    """Answer every call, for each image where a call is about one; an answer or a refusal is what can be sent."""
    state = State(world)
    for action, call in CALLS.items():
        for image in world.images[:3]:
            one = image.model_dump()
            given = {"ImageUuid": image.image_uuid, "SensitiveFileKey": "pem", "Digest": one["digest"]}
            parameters = [(name, value) for name, value in given.items() if name in call.kinds]
            try:
                hits = state.faults.due(action, dict(parameters))
                json.dumps(answer(state, action, parameters, hits, "R")).encode("ascii")
            except RefusalError as refusal:
                json.dumps([refusal.code, refusal.message, dict(refusal.headers)])


@tried(80)
@given(mangled([*PAGE, DEMO, json.dumps(SMALL, indent=1)], WORDS))
def test_a_mangled_world_loads_or_is_refused(path, raw):
    check(path, raw)


@tried(200)
@given(bent(DOCUMENTS, MEANT))
def test_a_bent_world_loads_or_is_refused(path, document):
    check(path, json.dumps(document).encode())


@tried(60)
@given(st.binary(max_size=60) | st.lists(st.sampled_from(WORDS), max_size=40).map("".join).map(str.encode))
def test_any_bytes_are_a_world_or_refused(path, raw):
    check(path, raw)


def test_what_is_tried_is_a_world_to_begin_with(path):
    for text in (*PAGE, DEMO, *map(json.dumps, DOCUMENTS)):
        assert check(path, text.encode())


# --- what was found ---


def causes_of(path, text):
    path.write_text(text, "utf-8")
    with pytest.raises(InvalidDocumentError) as caught:
        read_world(path)
    return caught.value.causes


def test_a_name_that_stands_for_another_value_later_is_no_warning_on_standard_error(path):
    path.write_text("version: 1\nrules_extra:\n- &a x\n- &a y\n- *a\n", "utf-8")

    assert ("x", "y", "y") == read_world(path).rules_extra


@pytest.mark.parametrize("name", ["reference", "instance_id"])
def test_half_a_character_in_a_name_that_ids_are_made_of_is_told_with_its_place(path, name):
    images = [
        {"reference": "registry.example.com/shop/api:1", "digest": DIGEST},
        {"reference": "registry.example.com/a:1", "digest": DIGEST},
    ]
    images[1][name] = f"\ud800{images[1].get(name, '')}"
    text = "version: 1\nimages:\n" + "".join(f"- {json.dumps(image)}\n" for image in images)

    (cause,) = causes_of(path, text)
    assert cause.where.startswith(f"{path}:4:")
    assert f"{name}: it holds half a character (a lone surrogate)" == cause.what


def test_the_name_of_a_field_is_not_repeated_however_long_it_is(path):
    (cause,) = causes_of(path, f"version: 1\n{'x' * 100_000}: 1\n")

    assert len(cause.what) <= 1_000


def test_of_many_mistakes_fifty_are_told_and_the_others_counted(path):
    causes = causes_of(path, "version: 1\n" + "".join(f"x{n}: 1\n" for n in range(5_000)))

    assert 51 == len(causes)
    assert "and 4950 more mistakes, not shown" == causes[-1].what
    assert f"{path}:52:1" == causes[-1].where
