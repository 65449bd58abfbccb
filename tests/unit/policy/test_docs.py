"""The pages on the policy say what the program does."""

import re
from datetime import date
from pathlib import Path

import pytest

from ci_gate.catalog import load_catalog
from ci_gate.model import Finding
from ci_gate.policy.language import load
from ci_gate.policy.language.load import builtin_policies, load_policy
from ci_gate.policy.language.schema import SECTIONS, field_names
from ci_gate.policy.selftest import run_tests

DOCS = Path(load.__file__).parents[3] / "docs"
PAGE = (DOCS / "policy.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"^```yaml\n# (\S+\.yml)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
BASELINE = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
KNOWN = Finding("pem", "/app/tls.pem", "high", md5="9e107d9d372bb6826bd81d3542a419d6")
TODAY = date(2026, 11, 24)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with every example of the page under the name that its first line says."""
    path = tmp_path_factory.mktemp("page")
    for name, text in EXAMPLES.items():
        (path / name).write_text(text, encoding="utf-8")
    (baseline,) = BASELINE
    (path / "ci-gate-baseline.json").write_text(baseline.replace("FINGERPRINT", KNOWN.fingerprint), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_a_policy_that_does_what_its_tests_say(name, folder):
    results = run_tests(load_policy(folder / name), TODAY)

    assert [] == [result for result in results if not result.passed]
    assert results or name in {"audit.yml", "org.yml"}


def test_every_example_is_run():
    assert len(EXAMPLES) == PAGE.count("```yaml") >= 10


def test_what_the_page_says_has_no_effect_is_told(folder):
    (note,) = load_policy(folder / "team.yml").notes

    assert "thresholds.medium: 20 has no effect" in note.what


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


def test_the_table_of_inheritance_has_every_field():
    section = PAGE.partition("| field | child over parents |")[2].partition("\n\n")[0]
    told = {
        name.partition(".")[0]
        for row in section.splitlines()
        for name in re.findall(r"`([a-z_.]+)`", row.split("|")[1] if "|" in row else "")
    }

    assert told == set(field_names()) - {"version", "extends"}
