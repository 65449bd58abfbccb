"""World files: the demo world, the documented example, and what is said of files that do not load."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from ci_gate.emulator.fields import moment_ms
from ci_gate.emulator.findings import rows_of
from ci_gate.emulator.world import WorldError, demo_world, parse_world, schema_text, world_schema
from ci_gate.emulator.yaml_reader import read_yaml

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "ci_gate/emulator/demo.yaml"
PAGE = ROOT / "docs/world-files.md"
HOUR_MS = 3_600_000
IMAGE = "images:\n  - reference: registry.example.com/shop/api:1\n    digest: " + "a" * 64 + "\n"


def problems(text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(WorldError) as caught:
        parse_world(text.encode())
    return [(problem.line, problem.column, problem.message) for problem in caught.value.problems]


def test_the_demo_world_is_worth_looking_at():
    world = demo_world()
    rows = [row for image in world.images for row in rows_of(image, world)]
    listed = {finding.key for image in world.images for finding in image.findings}

    assert {row.risk_level for row in rows} == {"high", "medium", "low"}
    assert len(listed) >= 30
    assert len({row.key for row in rows}) == 112
    assert max(len(rows_of(image, world)) for image in world.images) == 10_000


def test_the_demo_world_has_a_dirty_image_with_two_rows_that_are_alike():
    world = demo_world()
    rows = rows_of(world.images[0], world)

    assert world.images[0].reference == "registry.example.com/shop/api:1.4.2"
    assert len(rows) - len(set(rows)) == 1


def test_the_demo_successor_is_clean_and_was_scanned_well_over_an_hour_ago():
    world = demo_world()
    image = next(image for image in world.images if image.reference == "registry.example.com/shop/api:1.4.3")

    assert rows_of(image, world) == ()
    assert moment_ms(image.scan[-1].last or "now", 10 * HOUR_MS) < 9 * HOUR_MS


def test_generated_findings_are_the_same_every_time():
    world = demo_world()
    huge = next(image for image in world.images if image.generate)

    assert rows_of(huge, world) == rows_of(huge, parse_world(DEMO.read_bytes()))
    assert len(set(rows_of(huge, world))) == 10_000


@pytest.mark.parametrize("text", [DEMO.read_text("utf-8"), *re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)])
def test_the_demo_world_and_the_documented_examples_load_and_fit_the_schema(text):
    parse_world(text.encode())

    jsonschema.validate(read_yaml(text.encode()).value, world_schema(), cls=jsonschema.Draft202012Validator)


def test_every_field_of_the_schema_is_described():
    schema = world_schema()
    described = {
        f"{name}.{field}": bool(body.get("description"))
        for name, model in {"World": schema, **schema["$defs"]}.items()
        for field, body in model["properties"].items()
    }

    assert [name for name, is_described in described.items() if not is_described] == []


def test_all_errors_are_told_at_once_with_their_places():
    text = IMAGE + "    colour: red\n    scan: [{status: 5}]\nquirks: {key_optional: yes}\nfaults: [{kind: total}]\n"

    assert [(line, column) for line, column, _ in problems(text)] == [(4, 5), (5, 13), (6, 10), (7, 10)]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (IMAGE + "    created: yesterday\n", (4, 5), "is no time"),
        (IMAGE + '    findings: [{key: pem, path: ""}]\n', (4, 16), "either path or path_escaped"),
        (IMAGE + "    findings: [{key: pem, path: /a, path_escaped: /b}]\n", (4, 16), "either path or path_escaped"),
        (IMAGE + "    findings: [{key: pem, path_escaped: '\\q'}]\n", (4, 16), "escapes of JSON"),
        (IMAGE + IMAGE.removeprefix("images:\n"), (4, 5), "that of registry.example.com/shop/api:1 already"),
        (IMAGE + "    scan: [{status: START}, {status: SUCCESS}]\n", (4, 12), "for_calls or for_seconds"),
        (IMAGE + "    scan_when_requested: [{status: START}, {}]\n", (4, 27), "for_calls or for_seconds"),
        (IMAGE + "    listed_after_calls: 1\n    listed_after: {calls: 1}\n", (2, 5), "either listed_after_calls or"),
        (IMAGE + "    tag_moves: {}\n", (4, 5), "needs after_calls or to"),
        (IMAGE + "    tag_moves: {to: " + "a" * 64 + "}\n", (4, 17), "no other image with this reference"),
        (IMAGE + "    scan_when_requested: [{status: null}]\n", (4, 28), "status"),
        ("repositories: [{reference: registry.example.com/shop/api:1}]\n", (1, 17), "no repository"),
        ("repositories: [{reference: r.example.com/a}, {reference: s.example.com/a}]\n", (1, 46), "stands twice"),
        ("quirks: {image_criteria: [colour]}\n", (1, 27), "image_criteria"),
        ("rules_off: [no_such_key]\n", (1, 13), "no documented key"),
        ("images: [{reference: api, digest: x}]\n", (1, 11), "no image reference"),
        ("faults: [{kind: close, action: DescribeImage}]\n", (1, 24), "action"),
        ("account: {deny_actions: [DescribeImage]}\n", (1, 26), "deny_actions"),
        ("version: 2\n", (1, 1), "version"),
        ("[]\n", (1, 1), "the file"),
    ],
)
def test_an_error_is_told_with_its_place(text, place, words):
    line, column, message = problems(text)[0]

    assert ((line, column), words in message) == (place, True)


def test_paths_may_hold_any_character():
    text = IMAGE + r"""    findings: [{key: pem, path: "/a\0\uD800"}, {key: pem, path_escaped: '/b\ud800\u0000'}]"""
    world = parse_world(text.encode())

    assert [row.path for row in rows_of(world.images[0], world)] == ["/a\0\ud800", "/b\ud800\0"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("now", 1000), ("500ms ago", 500), ("1s ago", 0), ("1970-01-01T00:00:02Z", 2000), ("1970-01-01", 0)],
)
def test_moments(text, expected):
    assert expected == moment_ms(text, 1000)


def test_the_committed_schema_is_the_current_one():
    committed = resources.files("ci_gate.emulator").joinpath("world.schema.json").read_text("utf-8")

    assert committed == schema_text(), "remake it with `make schemas`"
