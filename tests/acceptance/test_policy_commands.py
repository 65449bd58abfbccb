"""The commands about a policy: check, show, explain, test, schema, init."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from saved import check_all, live, save

ROOT = Path(__file__).parents[2]
TODAY = datetime.now(UTC).date()
TESTED = """\
version: 1
name: tested
deny: {keys: [pem]}
tests:
  - {name: pem blocks, given: [{key: pem}], expect: blocked}
  - {name: sqlite does not, given: [{key: sqlite}], expect: passed}
"""


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    return check_all(tmp_path_factory.mktemp("checks"))


def _sha256(line: str) -> str:
    return line.split("sha256 ")[1][:64]


# check


def test_a_valid_policy_is_one_line(gate):
    finished = gate.run("policy", "check", gate.policy(TESTED))

    assert finished.code == 0, finished.err
    (line,) = finished.out.splitlines()
    assert line.startswith("tested (")
    assert "1 denied key," in line
    assert "2 tests" in line
    assert 64 == len(_sha256(line))


def test_every_mistake_is_told_with_its_place(gate):
    finished = gate.run("policy", "check", gate.policy("version: 1\nname: p\ndeny: {keys: [pemm]}\nmode: maybe\n"))

    assert (3, "") == (finished.code, finished.out)
    assert "policy.yaml:3:15" in finished.err
    assert "policy.yaml:4:7" in finished.err


def test_several_policies_are_all_checked_and_the_worst_decides(gate):
    finished = gate.run("policy", "check", "default", gate.policy("version: 1\n"), "strict")

    assert 3 == finished.code
    assert ["default", "strict"] == [line.split()[0] for line in finished.out.splitlines()]


def test_the_policy_is_found_as_check_finds_it(gate):
    (gate.folder / ".ci-gate.yml").write_text(TESTED)

    assert gate.run("policy", "check").out.startswith("tested (")


def test_the_argument_and_the_option_mean_the_same_and_exclude_each_other(gate):
    assert gate.run("policy", "check", "-p", "strict").out.startswith("strict (")
    for command in ("check", "show", "test"):
        assert 2 == gate.run("policy", command, "default", "-p", "strict").code, command
    assert gate.run("policy", "check", "default", CI_GATE_POLICY="strict").out.startswith("default (")


def test_what_has_no_effect_and_what_has_ended_is_told_and_is_no_error(gate):
    policy = gate.policy(
        "version: 1\nextends: [default]\nthresholds: {high: 9}\n"
        "waivers: [{id: W-1, keys: [pem], reason: r, owner: o, created: 2026-01-01, expires: 2026-02-01}]\n"
    )

    finished = gate.run("policy", "check", policy)

    assert finished.code == 0, finished.err
    assert "note: " in finished.err
    assert "thresholds.high" in finished.err
    assert "warning: waiver W-1 ended on 2026-02-01" in finished.err


# schema, show


def test_the_schema_is_the_one_that_ships(gate):
    assert (ROOT / "policies" / "policy.schema.json").read_text("utf-8") == gate.run("policy", "schema").out


@pytest.mark.parametrize("name", ["default", "strict", "audit"])
def test_what_show_prints_loads_again_as_the_same_policy(gate, name):
    shown = gate.run("policy", "show", name)
    (gate.folder / "shown.yml").write_text(shown.out)

    assert shown.code == 0, shown.err
    assert _sha256(gate.run("policy", "check", name).out) == _sha256(gate.run("policy", "check", "shown.yml").out)
    assert f"built-in:{name}:" in shown.out
    assert "# default" in shown.out


def test_show_tells_the_policy_of_one_image(gate):
    policy = gate.policy(
        "version: 1\nthresholds: {medium: 5}\n"
        "overrides: [{images: ['registry.example.com/prod/**'], deny: {keys: [pem]}, thresholds: {medium: 0}}]\n"
    )

    meant = json.loads(gate.run("policy", "show", policy, "--format", "json", "--image", "registry.example.com/prod/api:1").out)
    other = json.loads(gate.run("policy", "show", policy, "--format", "json", "--image", "registry.example.com/test/api:1").out)

    assert ({"medium": 0}, ["pem"]) == (meant["policy"]["thresholds"], meant["denied_keys"])
    assert ({"medium": 5}, []) == (other["policy"]["thresholds"], other["denied_keys"])
    assert 2 == gate.run("policy", "show", policy, "--image", "no image").code


def test_show_says_what_is_wrong_as_check_does(gate):
    finished = gate.run("policy", "show", gate.policy("version: 2\n"))

    assert (3, "") == (finished.code, finished.out)


# explain


def test_explain_says_each_decision_step_by_step(gate, documents):
    finished = gate.run("policy", "explain", save(gate, documents["blocked"]))

    assert finished.code == 0, finished.err
    for said in ("VIOLATION aws_access_key", "WAIVED rsa_private_key", "ALLOWED php_config", "COUNTED sqlite", "thresholds.high"):
        assert said in finished.out


def test_explain_finds_a_finding_by_the_beginning_of_its_fingerprint(gate, documents):
    saved = save(gate, documents["blocked"])
    row = next(row for row in documents["blocked"]["images"][0]["findings"] if row["decision"] == "waived")

    finished = gate.run("policy", "explain", saved, "--finding", row["fingerprint"][:8].upper())

    assert finished.code == 0, finished.err
    assert 1 == finished.out.count("fingerprint ")
    assert "W-1" in finished.out


@pytest.mark.parametrize("digits", ["abc", "nonsense", "0" * 12])
def test_a_finding_that_is_none_is_a_usage_error_with_the_way_to_list_them(gate, documents, digits):
    finished = gate.run("policy", "explain", save(gate, documents["blocked"]), "--finding", digits)

    assert (2, "") == (finished.code, finished.out)


def test_explain_judges_by_another_policy_and_day(gate, documents):
    saved = save(gate, documents["blocked"])

    assert "VIOLATION sqlite" in gate.run("policy", "explain", saved, "-p", "strict").out
    assert "VIOLATION rsa_private_key" in gate.run("policy", "explain", saved, "--as-of", "2036-01-02").out


def test_explain_keeps_the_floors_of_the_run_and_takes_others(gate, documents):
    (gate.folder / "floor.yml").write_text("version: 1\nname: base\ndeny: {keys: [php_config]}\n")
    (gate.folder / "more.yml").write_text("version: 1\nname: more\ndeny: {keys: [sqlite]}\n")
    gate.run("replay", save(gate, documents["passed"]), "--floor", "floor.yml", "-o", "json=floored.json")

    kept = gate.run("policy", "explain", "floored.json", "-p", "audit")
    both = gate.run("policy", "explain", "floored.json", "--floor", "more.yml")

    assert "VIOLATION php_config" in kept.out
    assert "floors: base (stored)" in kept.err
    assert "VIOLATION php_config" in both.out
    assert "VIOLATION sqlite" in both.out
    assert 3 == gate.run("policy", "explain", "floored.json", "--floor", "more.yml", "--floor-sha256", "0" * 64).code


def test_explain_refuses_what_is_no_result(gate):
    assert 3 == gate.run("policy", "explain", gate.policy(TESTED)).code


# test


def test_a_policy_whose_tests_pass(gate):
    finished = gate.run("policy", "test", gate.policy(TESTED))

    assert finished.code == 0, finished.err
    assert "2 tests, 0 failed" in finished.out


def test_a_failing_test_is_11_and_says_why(gate):
    policy = gate.policy(TESTED.replace("expect: passed", "expect: undecided"))

    finished = gate.run("policy", "test", policy, "-o", "junit=tests.xml")

    assert finished.code == 11, finished.err
    assert "FAIL  sqlite does not: passed" in finished.out
    assert "expected undecided, got passed" in finished.out
    assert 'tests="2"' in (gate.folder / "tests.xml").read_text()
    assert 'failures="1"' in (gate.folder / "tests.xml").read_text()


def test_a_policy_without_tests_is_11(gate):
    finished = gate.run("policy", "test", "default", "-o", "junit=tests.xml")

    assert finished.code == 11
    assert "no tests" in finished.err
    assert 'errors="1"' in (gate.folder / "tests.xml").read_text()


def test_a_floor_judges_the_tests_too(gate):
    assert 11 == gate.run("policy", "test", gate.policy(TESTED), "--floor", "strict").code


def test_a_policy_that_does_not_load_leaves_no_old_report_behind(gate):
    (gate.folder / "tests.xml").write_text("yesterday's")

    assert 3 == gate.run("policy", "test", gate.policy("version: 2\n"), "-o", "junit=tests.xml").code
    assert "POLICY_INVALID (3)" in (gate.folder / "tests.xml").read_text()


def test_the_report_of_the_tests_goes_to_standard_output_alone(gate):
    assert gate.run("policy", "test", gate.policy(TESTED), "-o", "junit=-").out.startswith("<?xml")
    assert 2 == gate.run("policy", "test", gate.policy(TESTED), "-o", "html=x").code
    assert 2 == gate.run("policy", "test", gate.policy(TESTED), "-o", "junit=policy.yaml").code
    assert 30 == gate.run("policy", "test", gate.policy(TESTED), "-o", "junit=/dev/full").code


# init


def test_the_starter_policy_is_valid_passes_its_tests_and_is_found(gate):
    assert 0 == gate.run("policy", "init").code
    assert 0 == gate.run("policy", "check").code

    finished = gate.run("policy", "test")

    assert finished.code == 0, finished.out
    assert "3 tests, 0 failed" in finished.out


def test_init_does_not_replace_a_file_unless_it_is_told_to(gate):
    (gate.folder / ".ci-gate.yml").write_text(TESTED)

    assert 2 == gate.run("policy", "init").code
    assert TESTED == (gate.folder / ".ci-gate.yml").read_text()
    assert 0 == gate.run("policy", "init", "--force").code
    assert TESTED != (gate.folder / ".ci-gate.yml").read_text()


def test_init_prints_the_policy_on_standard_output(gate):
    finished = gate.run("policy", "init", "-o", "-")

    assert finished.out.startswith("# ")
    assert not (gate.folder / ".ci-gate.yml").exists()
    assert 2 == gate.run("policy", "init", "-o", "-", "--from", "saved.json").code
    assert 2 == gate.run("policy", "init", "--include-denied").code


def _over_threshold(document: dict) -> dict:
    """A result of the real service in which nothing is denied, and one finding too many is of high risk."""
    changed = live(document)
    changed["tool"]["version"] = "0.0.1"  # the finding that is taken out was judged as well
    image = changed["images"][0]
    image["findings"] = [row for row in image["findings"] if row["key"] not in {"aws_access_key", "rsa_private_key"}]
    rows = image["findings"]
    image["counts"] = {
        "findings": len(rows),
        "violations": 1,
        "by_decision": {"violation": 1, "allowed": 1, "counted": 2},
        "by_level": {"high": 1, "low": 3},
    }
    changed["counts"] = image["counts"]
    for proof in image["evidence"]:
        if proof["name"] == "complete":
            proof["figures"].update(files_read=len(rows), files_total=len(rows))
        if proof["name"] == "consistent":
            proof["figures"].update(second_route_total=len(rows))
    return changed


def test_init_from_a_result_writes_a_policy_that_lets_that_very_image_pass(gate, documents):
    saved = save(gate, _over_threshold(documents["blocked"]))

    finished = gate.run("policy", "init", "--from", saved)

    assert finished.code == 0, finished.err
    assert "denied keys" not in finished.err
    assert 0 == gate.run("policy", "check").code
    assert 0 == gate.run("policy", "test").code
    assert 10 == gate.run("replay", saved, "-p", "default").code
    assert 0 == gate.run("replay", saved, "-p", ".ci-gate.yml").code
    after = (TODAY + timedelta(days=91)).isoformat()
    assert 10 == gate.run("replay", saved, "-p", ".ci-gate.yml", "--as-of", after).code


def test_init_from_a_result_with_denied_keys_says_which_and_what_to_do(gate, documents):
    saved = save(gate, live(documents["blocked"]))

    finished = gate.run("policy", "init", "--from", saved, "-o", "gate/policy.yml", "--expires", "2036-01-01")

    assert finished.code == 0, finished.err
    assert "aws_access_key in /root/.aws/credentials" in finished.err
    assert "--include-denied" in finished.err
    assert 10 == gate.run("replay", saved, "-p", "gate/policy.yml").code


def test_init_with_denied_keys_in_the_baseline_passes(gate, documents):
    saved = save(gate, live(documents["blocked"]))

    finished = gate.run("policy", "init", "--from", saved, "--include-denied", "--baseline-file", "known/findings.json")

    assert finished.code == 0, finished.err
    assert (gate.folder / "known" / "findings.json").exists()
    assert 0 == gate.run("policy", "check").code
    assert 0 == gate.run("policy", "test").code
    assert 0 == gate.run("replay", saved, "-p", ".ci-gate.yml").code


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--from", "saved.json"), 3),  # emulated
        (("--from", "saved.json", "--baseline-file", "\udcff.json"), 2),  # which is said before anything is judged
        (("--from", "nonsense"), 2),
        (("--from", "live.json", "--baseline-file", "../elsewhere.json"), 2),
        (("--from", "live.json", "--expires", "2026-01-01"), 2),
        (("--from", "live.json", "-o", "live.json", "--force"), 2),
        (("-o", "/dev/full/x"), 30),
    ],
)
def test_init_refuses_and_leaves_nothing_behind(gate, documents, arguments, code):
    save(gate, documents["blocked"])
    save(gate, live(documents["blocked"]), "live.json")

    assert code == gate.run("policy", "init", *arguments).code
    assert {"home", "saved.json", "live.json"} == {path.name for path in gate.folder.iterdir()}


@pytest.mark.parametrize("kept", [".ci-gate.yml", "parent.yml", "known.json"])
def test_the_report_of_the_tests_never_replaces_what_was_found(gate, kept):
    (gate.folder / "parent.yml").write_text("version: 1\npermit: [baseline]\ndeny: {keys: [pem]}\n")
    (gate.folder / "known.json").write_text('{"version": 1, "images": [], "findings": []}')
    (gate.folder / ".ci-gate.yml").write_text(
        "version: 1\nextends: [parent.yml]\nbaseline: {file: known.json, expires: 2099-01-01}\n"
        "tests: [{name: a, given: [{key: pem}], expect: blocked}]\n"
    )
    before = (gate.folder / kept).read_text()

    assert 2 == gate.run("policy", "test", "-o", f"junit={kept}").code
    assert before == (gate.folder / kept).read_text()
    assert 0 == gate.run("policy", "test", "-o", "junit=tests.xml").code


def test_init_from_writes_both_files_or_none(gate, documents):
    saved = save(gate, _over_threshold(documents["blocked"]))
    (gate.folder / "folder").mkdir()

    assert 30 == gate.run("policy", "init", "--from", saved, "-o", "folder", "--baseline-file", "known.json", "--force").code
    assert not (gate.folder / "known.json").exists()
