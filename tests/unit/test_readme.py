"""The README says what the program does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from ci_gate.cli.main import cli
from ci_gate.errors import PRECEDENCE, ExitCode
from ci_gate.policy.language.load import builtin_policies, parse_policy
from ci_gate.security_center.permissions import ram_policy

if TYPE_CHECKING:
    from collections.abc import Iterator

README = Path(__file__, "../../../README.md").resolve()
TEXT = README.read_text("utf-8")


def _commands(group: click.Group) -> Iterator[click.Command]:
    for command in group.commands.values():
        yield from _commands(command) if isinstance(command, click.Group) else (command,)


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_table_of_exit_codes_is_the_enum():
    rows = re.findall(r"^\| ([0-9, ]+) \| ([A-Z_, ]+|\(reserved\)) \|", TEXT, re.MULTILINE)
    told = {int(code): name.strip() for codes, names in rows for code, name in zip(codes.split(","), names.split(","), strict=True)}

    assert {1: "(reserved)", **{int(code): code.name for code in ExitCode}} == told


def test_the_precedence_is_the_one_of_the_program():
    told = re.search(r"Several at once: ([0-9 >]+)\.", TEXT)

    assert told
    assert [int(code) for code in PRECEDENCE] == [int(code) for code in told[1].split(">")]


def test_the_permissions_are_those_of_the_calls_that_the_gate_makes():
    policy = re.search(r"\{\"Version\".*?\]\}\]\}", TEXT, re.DOTALL)
    assert policy

    assert ram_policy() == json.loads(policy[0])


def test_the_table_of_commands_is_that_of_the_program():
    assert set(cli.commands) == set(re.findall(r"^\| `ci-gate ([a-z]+)", TEXT, re.MULTILINE))


def test_the_table_of_ready_policies_is_that_of_the_program():
    table = TEXT[TEXT.index("| built-in | for |") : TEXT.index("```yaml")]

    assert set(builtin_policies()) == set(re.findall(r"^\| `([a-z]+)` \|", table, re.MULTILINE))


@pytest.mark.parametrize("example", _blocks("yaml"))
def test_the_policies_it_shows_load(example):
    assert parse_policy(example, origin="README.md", default_name="readme").policy


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)h][^)]*)\)", TEXT))
def test_its_links_lead_somewhere(target):
    page, _, section = target.partition("#")
    text = (README.parent / page).read_text("utf-8") if section else ""
    titles = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)]

    assert (README.parent / page).exists()
    assert not section or section in titles


def test_the_options_it_names_exist():
    options = {option for command in _commands(cli) for parameter in command.params for option in parameter.opts}
    foreign = {"--push", "--provenance", "--help"}

    assert set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", TEXT)) - foreign <= options
