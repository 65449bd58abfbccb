"""Policy files: whatever stands in one, it loads or is refused by code 3 with every place; one that loads judges as what is saved of it."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from fuzzing import assert_told, bent, in_time, mangled, tried
from hypothesis import given
from hypothesis import strategies as st

from ci_gate.errors import ExitCode, InvalidDocumentError
from ci_gate.model import Finding, Inventory, number_alike
from ci_gate.policy.effective import Judges
from ci_gate.policy.judging.evaluate import judge
from ci_gate.policy.judging.explain import explain
from ci_gate.policy.language.load import load_policy, parse_policy
from ci_gate.policy.language.reads import files_read
from ci_gate.policy.language.stored import stored_judges
from ci_gate.policy.selftest import run_tests
from ci_gate.policy.show import Shown, show_yaml

TODAY = date(2026, 11, 24)
IMAGE = "registry.example.com/shop/api"
FOUND = (
    Finding("pem", "/etc/ssl/a.pem", "high", "0f" * 16, "ab" * 32),
    Finding("aws_access_key", "/root/.aws/credentials", "low", "1f" * 16),
    Finding("rsa_private_key", "/opt/app/testdata/k", "high", "", "sha256:" + "cd" * 32),
    Finding("sqlite", "/app/x.db", "medium"),
    Finding("zz_new", "/app/y", "odd"),
)
BASELINE = json.dumps({"version": 1, "images": [], "findings": [{"fingerprint": FOUND[0].fingerprint, "count": 2}]})
LAYERS = [f"sha256:{digit * 64}" for digit in "ab"]
WHOLE = {
    "version": 1,
    "name": "production",
    "extends": ["default", "./team.yml"],
    "mode": "enforce",
    "allow_warn_override": False,
    "permit": ["waivers", "baseline"],
    "extra_keys": ["zz_new"],
    "deny": {"keys": ["aws_access_key", "*_private_key"], "groups": ["payments"], "except": ["otr_private_key"]},
    "allow": {"keys": ["sqlite"]},
    "thresholds": {"high": 0, "medium": 5, "low": None, "total": 9},
    "unknown": {"keys": "deny", "risk_level": "high"},
    "base_image": {"layers": LAYERS, "action": "exempt"},
    "baseline": {"file": "known.json", "expires": "2026-12-31", "include_denied": False},
    "waivers": [
        {
            "id": "W-1",
            "keys": ["rsa_private_key"],
            "paths": ["/opt/app/testdata/**"],
            "images": ["*/shop/api"],
            "reason": "a fixture",
            "owner": "team-payments",
            "ticket": "SEC-123",
            "created": "2026-09-01",
            "expires": "2026-11-30",
        },
        {
            "id": "W-2",
            "keys": ["sqlit*"],
            "md5": ["0f" * 16],
            "reason": "r",
            "owner": "o",
            "created": "2026-09-01",
            "expires": "2026-11-30",
        },
    ],
    "waiver_rules": {"require": ["reason", "owner", "created", "expires"], "max_days": 180, "warn_before_days": 14, "unused": "warn"},
    "overrides": [{"images": ["registry.example.com/**"], "thresholds": {"medium": 0}, "deny": {"keys": ["sqlite"]}}],
    "evidence": {
        "require_digest": True,
        "rule_coverage": "auto",
        "inferred": "error",
        "vendor_whitelist": "report",
        "max_scan_age": "2d",
        "settle": "15s",
    },
    "tests": [
        {"name": "a key", "given": [{"key": "rsa_private_key", "risk_level": "low", "path": "/id", "count": 2}], "expect": "blocked"}
    ],
}
TEAM = {"version": 1, "deny": {"keys": ["git_cred"]}, "permit": ["allow", "waivers", "baseline", "exempt", "extra_keys"]}
SMALL = {"version": 1, "deny": {"keys": ["pem"]}, "waivers": [WHOLE["waivers"][0]], "tests": WHOLE["tests"]}
CASES = sorted((Path(__file__).parents[1] / "unit" / "policy" / "cases").glob("*/*/policy.yaml"))
TEXTS = [path.read_text("utf-8") for path in CASES]
WORDS = [
    *(
        "- ",
        ": ",
        ":\n",
        "? ",
        "| \n",
        ">-\n  ",
        "&a ",
        "*a",
        "<<: ",
        "!!str ",
        "!x ",
        "%YAML 1.1\n",
        "---\n",
        "...\n",
        "# ",
        "[",
        "]",
        "{",
        "}",
    ),
    *(
        ",",
        "'",
        '"',
        "\n  ",
        "\n- ",
        "\t",
        "@",
        "`",
        "deny",
        "keys",
        "waivers",
        "extends",
        "thresholds",
        "version: 1\n",
        "*_key",
        "default",
    ),
    *("mode: warn\n", "- id: W-1\n", "expires: 2026-11-30", "tests:\n", "overrides:\n", "images: ['**']\n", "./team.yml", "known.json"),
]
MEANT = [
    "deny",
    "warn",
    "count",
    "allow",
    "error",
    "off",
    "*",
    "*_key",
    "**",
    "?",
    "[a-z]*",
    "pem",
    "default",
    "./team.yml",
    "known.json",
    "15s",
]
NAMES = ("p.yml", "team.yml", "known.json", "built-in:")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("policies")
    (path / "known.json").write_text(BASELINE, "utf-8")
    (path / "team.yml").write_text(json.dumps(TEAM), "utf-8")
    return path


def load(folder, raw):
    """Return the policy of a text, or ``None`` where it is refused as it should be."""
    try:
        with in_time():
            return parse_policy(raw, origin="p.yml", folder=folder)
    except InvalidDocumentError as error:
        assert error.causes  # noqa: PT017 - it may load as well
        for cause in error.causes:
            assert_told(cause, ExitCode.POLICY_INVALID, None)
            assert cause.where.startswith(NAMES), cause
        return None


def check(folder, raw):
    """Hold what becomes of a text against the laws; return whether it is a policy."""
    (folder / "p.yml").write_bytes(raw)
    with in_time():
        files_read(str(folder / "p.yml"))
    loaded = load(folder, raw)
    if loaded is None:
        return False
    judges = Judges(loaded.policy)
    inventory = Inventory(number_alike(FOUND), ())
    with in_time():
        stored = stored_judges(json.loads(loaded.summary.canonical))
        verdict = judge(judges, inventory, TODAY, IMAGE)
        run_tests(loaded, TODAY)
        explain(judges, inventory, TODAY, IMAGE)
        shown = show_yaml(Shown(loaded.policy, loaded.summary.name, loaded.summary.origin, loaded.policy.sha256, loaded.origins))
    assert stored.sha256 == judges.sha256 == loaded.summary.sha256
    assert verdict == judge(stored, inventory, TODAY, IMAGE)
    assert len(FOUND) == len(verdict.decisions)
    (folder / "shown.yml").write_text(shown, "utf-8")
    assert "NOT THE SAME" in shown or load_policy(folder / "shown.yml").policy.sha256 == loaded.policy.sha256, shown
    return True


@tried(150)
@given(mangled([*TEXTS, json.dumps(WHOLE, indent=1)], WORDS))
def test_a_mangled_policy_loads_or_is_refused(folder, raw):
    check(folder, raw)


@tried(150)
@given(bent([WHOLE, WHOLE, SMALL, TEAM], MEANT))
def test_a_bent_policy_loads_or_is_refused(folder, document):
    check(folder, json.dumps(document, ensure_ascii=True).encode())


@tried(40)
@given(st.binary(max_size=60) | st.lists(st.sampled_from(WORDS), max_size=40).map("".join).map(str.encode))
def test_any_bytes_are_a_policy_or_refused(folder, raw):
    check(folder, raw)


def test_what_is_tried_is_a_policy_to_begin_with(folder):
    for document in (WHOLE, SMALL, TEAM):
        assert check(folder, json.dumps(document).encode())


# --- what was found ---


@pytest.mark.parametrize("text", ["a" * 1_000_000, " " * 1_000_000, "a " * 500_000, "- " * 500_000, "a: " * 300_000])
def test_a_text_that_is_no_yaml_is_looked_through_for_files_in_time(folder, text):
    (folder / "long.yml").write_text(text, "utf-8")
    with in_time():
        assert (str(folder / "long.yml"),) == files_read(str(folder / "long.yml"))


def test_files_that_a_text_mentions_are_found_though_it_is_no_yaml(folder):
    (folder / "my baseline.json").write_text("", "utf-8")
    (folder / "wrong.yml").write_text("]\nextends: - team.yml\nbaseline:\n  file: my baseline.json\n- - known.json\n", "utf-8")

    assert {"wrong.yml", "team.yml", "my baseline.json", "known.json"} == {
        Path(path).name for path in files_read(str(folder / "wrong.yml"))
    }
