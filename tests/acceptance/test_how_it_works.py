"""The page on how it works is true: the calls of real runs are held against its table, and its diagram against both."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from support import NAME, REFERENCE, finding, image

from ci_gate.deadline import Deadline
from ci_gate.emulator.app import serve
from ci_gate.emulator.world import parse_world
from ci_gate.errors import ExitCode
from ci_gate.gate import Asked, Judging, decide_image
from ci_gate.model import ImageReference, SourceInfo
from ci_gate.policy.effective import Judges
from ci_gate.policy.language.load import parse_policy
from ci_gate.security_center.endpoint import parse_endpoint
from ci_gate.security_center.findings import ScanRange
from ci_gate.security_center.permissions import PERMISSIONS
from ci_gate.security_center.source import SecurityCenter
from ci_gate.security_center.transport import AccessKey, connect

PAGE = (Path(__file__).parents[2] / "docs" / "how-it-works.md").read_text("utf-8")
QUEUE = {"DescribeImageScanAuthCount", "PublicPreCheckImageScanTask", "PublicSyncAndCreateImageScanTask"}
KEYS, FILES = "DescribeImageSensitiveFileList", "DescribeImageSensitiveFileByKey"
RULES = "version: 1\nname: p\nthresholds: {total: 9}\nevidence: {settle: 0s, require_digest: false}\n"
UUID, OLDER = "ab" * 16, "0d" * 32
FOUND = finding()
FRESH = image(
    FOUND,
    listed_after={"sync": True, "calls": 2},
    scan=[{"status": None}],
    scan_when_requested=[{"status": "START", "for_calls": 1}, {"status": "SUCCESS"}],
)
RUNS = {
    "plain": (Asked(REFERENCE, ImageReference.parse(REFERENCE)), {"images": [image(FOUND)]}, {"all", "today"}),
    "fresh": (
        Asked(REFERENCE, ImageReference.parse(REFERENCE)),
        {
            "images": [FRESH],
            "repositories": [{"reference": "registry.example.com/shop/api"}],
            "account": {"scan_tasks": {"limit": 1, "running": 1, "ends_after_calls": 1}},
        },
        {"all", "fresh"},
    ),
    "tag": (Asked(NAME, ImageReference.parse(NAME)), {"images": [image(FOUND)]}, {"all", "today"}),
    "uuid": (Asked("uuid", None, UUID), {"images": [image(FOUND, uuid=UUID)]}, {"all", "today", "uuid"}),
    "since": (
        Asked(REFERENCE, ImageReference.parse(REFERENCE), since=ImageReference.parse(f"registry.example.com/shop/api@sha256:{OLDER}")),
        {"images": [image(FOUND), image(FOUND, digest=OLDER, reference="registry.example.com/shop/api:1.4.1")]},
        {"all", "today", "since"},
    ),
    "few": (
        Asked(REFERENCE, ImageReference.parse(REFERENCE)),
        {"images": [image(FOUND)], "quirks": {"image_criteria": ["tag", "digest"]}},
        {"all", "today", "few"},
    ),
}


@dataclass(frozen=True)
class Row:
    """A line of the table: ``first`` and ``last`` bound the step, the call says which of several alike ones it is."""

    first: int
    last: int
    stage: str
    call: str
    made_in: str
    ram_action: str
    without: str

    @property
    def place(self) -> tuple[str, str]:
        return self.stage, self.call


def table() -> list[Row]:
    rows = []
    for line in PAGE.partition("## The calls, in their order")[2].partition("\n## ")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if re.match(r"\d", cells[0]):
            step = [int(part) for part in re.findall(r"\d+", cells[0])]
            rows.append(Row(step[0], step[-1], cells[1], cells[2].replace("`", ""), cells[3], cells[5].strip("`"), cells[6]))
    return rows


ROWS = {row.place: row for row in table()}


class Staged(Deadline):
    """A deadline whose pauses are short, and that says in which stage the run is."""

    now = ""

    def stage(self, name):
        if name in {"resolve", "scan", "read", "compare"}:
            self.now = name
        return super().stage(name)

    def sleep(self, seconds):
        return super().sleep(seconds / 20)


class Confirming(SecurityCenter):
    """A source whose look at the tag is told apart from the reading before."""

    def confirm(self, image, reference, deadline):
        deadline.now = "confirm"
        super().confirm(image, reference, deadline)


def recorded(asked: Asked, world: dict) -> tuple[list[tuple[str, str]], ExitCode]:
    """Decide an image; return the calls in their order with the stage of each, as the table names them, and how it ended."""
    deadline, made, seen = Staged(40), [], Counter()

    def observe(record):
        stage = "queue" if record.action in QUEUE else deadline.now
        call = record.action
        if call == FILES and "SensitiveFileKey" not in dict(record.parameters):
            call += " without a key"
        seen[stage, call] += 1
        if call == KEYS and seen[stage, call] > 1:
            call += " again"
        made.append((stage, call))

    policy = parse_policy(RULES, origin="p.yaml", default_name="p").policy
    with serve(parse_world(json.dumps({"version": 1, **world}).encode())) as served:
        key = AccessKey(served.access_key_id, served.access_key_secret)
        transport, url = connect(parse_endpoint(served.address, allow_any=False), served.region, key, observe)
        source = Confirming(transport, SourceInfo("emulated", url), ScanRange(), lambda _: None)
        result = decide_image(source, asked, Judging(Judges(policy), date(2026, 11, 24)), deadline)
    return made, result.exit_code


@pytest.mark.parametrize("name", RUNS)
def test_a_run_makes_the_calls_of_the_table_in_their_order(name):
    asked, world, kinds = RUNS[name]

    made, code = recorded(asked, world)

    assert ExitCode.PASSED is code
    first = list(dict.fromkeys(made))
    assert {row.place for row in ROWS.values() if row.made_in in kinds} == set(first)
    for number, earlier in enumerate(first):
        for later in first[number + 1 :]:
            assert ROWS[earlier].first <= ROWS[later].last, f"{earlier} is made before {later}"


def test_every_line_of_the_table_is_of_some_run_that_is_tried():
    assert set.union(*(kinds for *_, kinds in RUNS.values())) == {row.made_in for row in ROWS.values()}
    assert len(ROWS) == len(table())


def test_the_table_names_the_permissions_as_the_program_does():
    told: dict[str, str] = {}
    for row in table():
        action = row.call.split(" ")[0]
        assert f"yundun-sas:{action}" == row.ram_action
        assert action not in told or row.without == "as above", row
        told.setdefault(action, row.without)

    assert {each.action: each.without for each in PERMISSIONS} == told


def test_the_diagram_has_the_calls_of_the_table_and_its_stages():
    diagram = PAGE.partition("```mermaid\n")[2].partition("```")[0]
    arrows = re.findall(r"G->>S: (\w+)", diagram)

    assert [row.call.split(" ")[0] for row in table()] == arrows
    assert list(dict.fromkeys(re.findall(r"Note over G,S: (\w+)", diagram))) == list(dict.fromkeys(row.stage for row in table()))
    opened = len(re.findall(r"^ *(?:opt|loop|par)\b", diagram, re.MULTILINE))
    assert opened == len(re.findall(r"^ *end$", diagram, re.MULTILINE))
