"""The pages on the policy say what the program does."""

import re
from pathlib import Path

import pytest

from ci_gate.catalog import load_catalog
from ci_gate.policy import load
from ci_gate.policy.load import builtin_policies, parse_policy
from ci_gate.policy.schema import SECTIONS, field_names

DOCS = Path(load.__file__).parents[2] / "docs"
PAGE = (DOCS / "policy.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_policy(example, tmp_path):
    for name in re.findall(r"\./([a-z-]+\.yml)", example):  # the policies and the baseline that it names are beside it
        permits = "permit: [allow, waivers, baseline, baseline_denied, exempt, extra_keys]"
        (tmp_path / name).write_text(f"version: 1\n{permits}\n", encoding="utf-8")
    for name in re.findall(r"file: ([a-z-]+\.json)", example):
        (tmp_path / name).write_text('{"version": 1, "images": [], "findings": []}', encoding="utf-8")

    assert parse_policy(example, origin="docs/policy.md", folder=tmp_path).document.version == 1


def test_the_page_has_examples():
    assert len(EXAMPLES) >= 4


def test_every_field_is_on_the_page():
    table = [line for line in PAGE.splitlines() if line.startswith("| `")]
    # The parts of an override are those of a policy, and are not described twice.
    sections = [path for path in SECTIONS if path[:1] != ("overrides",) or path == ("overrides",)]
    names = [".".join((*path, name)) for path in sections for name in field_names(*path) if (*path, name) not in SECTIONS]

    missing = [name for name in names if not any(f"`{name}`" in row or f"`.{name.rpartition('.')[2]}`" in row for row in table)]
    assert missing == []


def test_every_ready_policy_is_on_the_page():
    section = PAGE.partition("## Ready policies")[2]

    assert all(f"| `{name}` |" in section for name in builtin_policies())


def test_every_group_is_on_its_page_with_its_keys():
    rows = (DOCS / "keys.md").read_text(encoding="utf-8").splitlines()

    for group in load_catalog().groups:
        assert f"| `{group.name}` | {group.description} | {', '.join(f'`{key}`' for key in group.keys)} |" in rows
