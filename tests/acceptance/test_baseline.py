"""Writing baselines: only of what was proven, and of real images."""

from __future__ import annotations

import copy
import json
import os

import pytest
from saved import HARMLESS, check_all, live, save
from support import REFERENCE, image

KEYS = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAIexample", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "not-a-secret"}


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    return check_all(tmp_path_factory.mktemp("checks"))


def test_a_baseline_holds_what_counts_and_neither_denied_nor_excused_findings(gate, documents):
    finished = gate.run("baseline", "create", save(gate, live(documents["blocked"])))

    assert finished.code == 0, finished.err
    written = json.loads((gate.folder / "ci-gate-baseline.json").read_text())
    assert {("sqlite", 2), ("npm_token", 1)} == {(entry["key"], entry["count"]) for entry in written["findings"]}
    assert [documents["blocked"]["images"][0]["pinned"]] == written["images"]
    assert "aws_access_key in /root/.aws/credentials" in finished.err
    assert finished.out.startswith("baseline: {file: ci-gate-baseline.json, expires: ")


def test_denied_findings_get_in_where_that_is_asked_for(gate, documents):
    finished = gate.run("baseline", "create", save(gate, live(documents["blocked"])), "--include-denied", "-o", "-")

    assert "aws_access_key" in {entry["key"] for entry in json.loads(finished.out)["findings"]}


def test_what_it_says_to_put_into_the_policy_works(gate, documents):
    saved = save(gate, live(documents["blocked"]))
    snippet = gate.run("baseline", "create", saved, "--include-denied").out
    policy = gate.policy(
        f"version: 1\ndeny: {{keys: [aws_access_key]}}\nthresholds: {{total: 0}}\nallow: {{keys: [php_config, rsa_private_key]}}\n{snippet}"
    )

    assert 0 == gate.run("replay", saved, "-p", policy).code


@pytest.mark.parametrize(
    ("policy", "output", "said"),
    [
        (None, "sub/b.json", 'put this into .ci-gate.yml:\nbaseline: {file: "sub/b.json",'),
        ("sub/policy.yml", "sub/deep/b.json", 'put this into sub/policy.yml:\nbaseline: {file: "deep/b.json",'),
        ("audit", "b.json", "put this into .ci-gate.yml:\nbaseline: {file: b.json,"),
        ("sub/policy.yml", "b.json", "b.json is not below that of sub/policy.yml: move it there"),
    ],
)
def test_the_path_that_it_says_to_write_counts_from_the_policy(gate, documents, policy, output, said):
    saved = save(gate, live(documents["passed"]))
    (gate.folder / "sub").mkdir()
    (gate.folder / "sub" / "policy.yml").write_text("version: 1\nthresholds: {high: 0}\n")

    finished = gate.run("baseline", "create", saved, "-o", output, *(("-p", policy) if policy else ()))

    assert 0 == finished.code, finished.err
    assert said in finished.err.replace("ci-gate: ", "") + finished.out


@pytest.mark.parametrize("source", ["nosuch.json", "./nosuch", "/nosuch/result", "sub/.JSON"])
def test_a_file_that_is_not_there_is_not_taken_for_an_image(gate, source):
    for command in (("baseline", "create", source), ("policy", "init", "--from", source)):
        finished = gate.run(*command)

        assert 2 == finished.code
        assert f"there is no file '{source}'" in finished.err


def test_a_baseline_is_the_same_to_the_byte_and_has_an_entry_a_line(gate, documents):
    saved = save(gate, live(documents["blocked"]))
    reordered = copy.deepcopy(live(documents["blocked"]))
    reordered["images"][0]["findings"].reverse()
    again = save(gate, reordered, "again.json")

    gate.run("baseline", "create", saved, "-o", "1.json")
    gate.run("baseline", "create", again, "-o", "2.json")

    first, second = ((gate.folder / name).read_bytes() for name in ("1.json", "2.json"))
    assert first == second
    assert 2 == sum(b'"fingerprint"' in line for line in first.splitlines())


def test_of_several_results_the_largest_count_is_taken(gate, documents):
    names = [save(gate, live(documents[name]), f"{name}.json") for name in ("passed", "blocked")]

    assert 0 == gate.run("baseline", "create", *names).code
    written = json.loads((gate.folder / "ci-gate-baseline.json").read_text())
    assert {("sqlite", 2), ("npm_token", 1)} == {(entry["key"], entry["count"]) for entry in written["findings"]}


def test_another_policy_judges_what_gets_in(gate, documents):
    gate.run("baseline", "create", save(gate, live(documents["passed"])), "-p", gate.policy("version: 1\nthresholds: {total: 0}\n"))

    written = json.loads((gate.folder / "ci-gate-baseline.json").read_text())
    assert {"sqlite", "php_config", "rsa_private_key"} == {entry["key"] for entry in written["findings"]}


def test_the_floors_of_a_run_judge_what_gets_in_beside_another_policy_too(gate):
    (gate.folder / "floor.yml").write_text("version: 1\nname: base\ndeny: {keys: [php_config]}\n")
    checked = gate.check(gate.world(image(*HARMLESS)), "--floor", "floor.yml", "-p", gate.policy("version: 1\nthresholds: {low: 9}\n"))
    saved = save(gate, live(checked.result))
    other = gate.policy("version: 1\nthresholds: {total: 0}\n")

    for command in (("baseline", "create", saved, "-p", other), ("policy", "init", "--from", saved)):
        finished = gate.run(*command, "--force") if command[0] == "policy" else gate.run(*command)

        assert 0 == finished.code, finished.err
        assert "floors: base (stored)" in finished.err
        assert "php_config in /var/www/config.php" in finished.err
        written = json.loads((gate.folder / "ci-gate-baseline.json").read_text())
        assert "php_config" not in {entry["key"] for entry in written["findings"]}


@pytest.mark.parametrize("name", [".ci-gate.yml", "ci-gate.yml"])
def test_a_baseline_never_becomes_the_policy_that_is_searched_for(gate, documents, name):
    finished = gate.run("baseline", "create", save(gate, live(documents["passed"])), "-o", name)

    assert 2 == finished.code
    assert not (gate.folder / name).exists()


def _damaged(document):
    changed = live(document)
    changed["images"][0]["findings"][0]["path"] = "/elsewhere"
    return changed


def _replayed(document):
    return live(document, kind="replay")


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("blocked", lambda document: document, "EMULATED"),
        ("blocked", _replayed, "REPLAY"),
        ("undecided", live, "not complete"),
        ("blocked", _damaged, "fingerprint"),
    ],
)
def test_a_result_that_proves_nothing_is_refused_and_nothing_is_written(gate, documents, name, change, said):
    finished = gate.run("baseline", "create", save(gate, change(documents[name])))

    assert (3, "") == (finished.code, finished.out)
    assert said in finished.err
    assert "->" in finished.err
    assert not (gate.folder / "ci-gate-baseline.json").exists()


def test_an_image_on_a_loopback_endpoint_is_no_image(gate):
    finished = gate.run("baseline", "create", REFERENCE, "--endpoint", "127.0.0.1:9", "--timeout", "2s", **KEYS)

    assert finished.code == 3
    assert "EMULATED" in finished.err


def test_a_run_that_is_not_complete_ends_with_its_own_code(gate):
    assert 21 == gate.run("baseline", "create", REFERENCE).code
    assert 2 == gate.run("baseline", "create", "no image").code
    assert not (gate.folder / "ci-gate-baseline.json").exists()


def test_a_baseline_never_replaces_what_it_is_made_from(gate, documents):
    saved = save(gate, live(documents["blocked"]))

    assert 2 == gate.run("baseline", "create", saved, "-o", saved).code


def test_a_baseline_that_cannot_be_written_is_30(gate, documents):
    saved = save(gate, live(documents["blocked"]))

    assert 30 == gate.run("baseline", "create", saved, "-o", "/dev/full").code
    assert 30 == gate.run("baseline", "create", saved, "-o", f"{saved}/below.json").code


def test_a_baseline_never_replaces_the_policy_that_was_found(gate, documents):
    saved = save(gate, live(documents["blocked"]))
    (gate.folder / ".ci-gate.yml").write_text("version: 1\nthresholds: {high: 0}\n")

    assert 2 == gate.run("baseline", "create", saved, "-o", ".ci-gate.yml").code
    assert "version: 1\nthresholds: {high: 0}\n" == (gate.folder / ".ci-gate.yml").read_text()


def test_a_baseline_replaces_an_older_one_and_never_a_parent(gate, documents):
    saved = save(gate, live(documents["blocked"]))
    (gate.folder / "parent.yml").write_text("version: 1\npermit: [baseline]\nthresholds: {high: 0}\n")
    (gate.folder / "known.json").write_text('{"version": 1, "images": [], "findings": []}')
    (gate.folder / ".ci-gate.yml").write_text("version: 1\nextends: [parent.yml]\nbaseline: {file: known.json, expires: 2099-01-01}\n")

    assert 2 == gate.run("baseline", "create", saved, "-o", "parent.yml").code
    assert "version: 1\n" in (gate.folder / "parent.yml").read_text()
    assert 0 == gate.run("baseline", "create", saved, "-o", "known.json").code
    assert json.loads((gate.folder / "known.json").read_text())["findings"]


def test_what_is_no_regular_file_is_refused_at_once(gate):
    os.mkfifo(gate.folder / "pipe")

    assert 3 == gate.run("policy", "explain", "pipe").code
    assert 3 == gate.run("policy", "explain", ".").code
