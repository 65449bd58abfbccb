"""The pages on the policy say what the program does."""

import re
from pathlib import Path

import pytest

from ci_gate.catalog import load_catalog
from ci_gate.policy import load
from ci_gate.policy.load import builtin_policies, parse_policy
from ci_gate.policy.schema import SECTIONS, UNSUPPORTED, field_names

DOCS = Path(load.__file__).parents[2] / "docs"
PAGE = (DOCS / "policy.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_policy(example):
    assert parse_policy(example, origin="docs/policy.md").policy.version == 1


def test_the_page_has_examples():
    assert len(EXAMPLES) >= 4


def test_every_field_is_on_the_page():
    table = [line for line in PAGE.splitlines() if line.startswith("| `")]
    names = [name for name in field_names(None) if name not in SECTIONS]
    names += [f"{section}.{name}" for section in SECTIONS for name in field_names(section)]

    missing = [name for name in names if not any(f"`{name}`" in row or f"`.{name.rpartition('.')[2]}`" in row for row in table)]
    assert missing == []


def test_what_is_not_supported_is_on_the_page():
    section = PAGE.partition("## Not supported yet")[2].partition("## ")[0]

    assert set(UNSUPPORTED) <= set(re.findall(r"`([a-z_]+)`", section))


def test_every_ready_policy_is_on_the_page():
    section = PAGE.partition("## Ready policies")[2]

    assert all(f"| `{name}` |" in section for name in builtin_policies())


def test_every_group_is_on_its_page_with_its_keys():
    rows = (DOCS / "keys.md").read_text(encoding="utf-8").splitlines()

    for group in load_catalog().groups:
        assert f"| `{group.name}` | {group.description} | {', '.join(f'`{key}`' for key in group.keys)} |" in rows
