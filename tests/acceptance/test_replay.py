"""Deciding again from saved results: the same verdict, or a document that contradicts itself."""

from __future__ import annotations

import copy
import json

import pytest
from saved import HARMLESS, POLICY, check_all, save
from support import image


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    return check_all(tmp_path_factory.mktemp("checks"))


@pytest.mark.parametrize(("name", "code"), [("passed", 0), ("blocked", 10), ("undecided", 20)])
def test_a_replay_gives_the_saved_verdict_without_network_and_says_what_it_is(gate, documents, name, code):
    finished = gate.run("replay", save(gate, documents[name]), "--report-dir", "reports", HTTPS_PROXY="http://127.0.0.1:9")

    assert code == finished.code, finished.err
    assert ("replay", name, documents[name]["policy"]["sha256"]) == (
        finished.result["source"]["kind"],
        finished.result["verdict"],
        finished.result["policy"]["sha256"],
    )
    before, now = (
        [(row["fingerprint"], row["decision"]) for row in d["images"][0]["findings"]] for d in (documents[name], finished.result)
    )
    assert before == now
    for report in ("junit.xml", "summary.md", "result.json"):
        assert "REPLAY" in finished.report(report), report
        assert "EMULATED" in finished.report(report), report
    assert "[REPLAY OF EMULATED]" in finished.err
    assert "EMULATED" in finished.err
    assert "" == finished.out


def test_a_replay_can_be_replayed_and_still_says_that_it_began_emulated(gate, documents):
    first = gate.run("replay", save(gate, documents["undecided"]), "-o", "json=again.json")
    second = gate.run("replay", "again.json", "--report-dir", "reports")

    assert (20, 20) == (first.code, second.code), second.err
    assert "EMULATED" in second.report("junit.xml")
    assert "not complete: the saved run" not in second.report("summary.md")


def test_what_the_run_could_not_prove_says_to_check_again(gate, documents):
    finished = gate.run("replay", save(gate, documents["undecided"]), "--report-dir", "reports")

    cause = finished.result["images"][0]["causes"][0]
    assert 20 == cause["code"]
    assert cause["what"].startswith("the saved run was not complete: ")
    assert "Run the check again." == cause["advice"]


def test_another_policy_shows_what_would_change(gate, documents):
    policy = gate.policy(POLICY.replace("aws_access_key", "pem").replace("high: 0", "high: 2"))

    finished = gate.run("replay", save(gate, documents["blocked"]), "-p", policy)

    assert finished.code == 0, finished.err
    assert "blocked -> passed" in finished.err
    assert "violation -> counted: 2 findings" in finished.err
    assert "aws_access_key in /root/.aws/credentials" in finished.err


def test_a_floor_blocks_what_the_stored_policy_lets_pass(gate, documents):
    floor = gate.policy("version: 1\nname: floor\ndeny: {keys: [php_config]}\n")

    finished = gate.run("replay", save(gate, documents["passed"]), "--floor", floor)

    assert finished.code == 10, finished.err
    assert "passed -> blocked" in finished.err
    assert "allowed -> violation: 1 finding" in finished.err


def test_a_floor_that_is_not_the_expected_one_is_refused(gate, documents):
    assert 3 == gate.run("replay", save(gate, documents["passed"]), "--floor", "strict", "--floor-sha256", "0" * 64).code


def _floored(gate, floor, *arguments, policy=POLICY, name="floored.json"):
    """Check with a floor; return the name of the saved result."""
    asked = ("-p", gate.policy(policy), "--floor", floor, *arguments, "-o", f"json={name}")
    finished = gate.check(gate.world(image(*HARMLESS)), *asked)
    assert finished.code in {0, 10}, finished.err
    return name


def _floor(gate, text, name="floor.yml"):
    (gate.folder / name).write_text(f"version: 1\n{text}\n")
    return name


def test_stored_floors_judge_beside_another_policy_and_beside_floors_that_are_given(gate):
    saved = _floored(gate, _floor(gate, "name: base\ndeny: {keys: [php_config]}"))
    other = _floor(gate, "name: more\ndeny: {keys: [sqlite]}", "more.yml")
    lax = _floor(gate, "name: base\nthresholds: {high: 9}", "lax.yml")

    by_policy = gate.run("replay", saved, "-p", lax, "-o", "json=again.json")
    by_floor = gate.run("replay", saved, "--floor", other, "-o", "json=more.json")

    assert (10, 10) == (by_policy.code, by_floor.code), by_floor.err
    assert "floors: base (floor) (stored)" in by_policy.err
    assert "floors: base (stored), more (given)" in by_floor.err
    names = [floor["name"] for floor in json.loads((gate.folder / "more.json").read_text())["policy"]["floors"]]
    assert ["base", "more"] == names
    assert (10, 10) == (gate.run("replay", "again.json").code, gate.run("replay", "more.json").code)


def test_a_given_floor_takes_the_place_of_the_stored_one_of_its_name(gate):
    saved = _floored(gate, _floor(gate, "name: shop\ndeny: {keys: [php_config]}"))  # as the policy: it is stored as shop (floor)

    finished = gate.run("replay", saved, "--floor", _floor(gate, "name: shop\nthresholds: {high: 9}"))

    assert 0 == finished.code, finished.err
    assert "floors: shop (floor) (given, in the place of the stored one)" in finished.err


def test_a_replay_in_another_mode_than_the_run_can_be_replayed(gate):
    warning = "allow_warn_override: true"
    floor = _floor(gate, f"name: base\n{warning}\ndeny: {{keys: [php_config]}}")
    saved = _floored(gate, floor, "--mode", "warn", policy=f"{POLICY}{warning}\n")
    stern = _floor(gate, "name: stern\nthresholds: {high: 9}", "stern.yml")

    for given in (("-p", stern), ("--floor", stern)):
        finished = gate.run("replay", saved, *given, "-o", "json=again.json")

        assert 10 == finished.code, finished.err
        assert "--mode warn of the run does not count here" in finished.err
        assert 10 == gate.run("replay", "again.json").code
    mild = _floor(gate, f"name: mild\n{warning}\nthresholds: {{high: 9}}", "mild.yml")
    assert 0 == gate.run("replay", saved, "--floor", mild, "-o", "json=again.json").code
    assert 0 == gate.run("replay", "again.json").code


def test_as_of_judges_waivers_by_another_day(gate, documents):
    saved = save(gate, documents["passed"])

    finished = gate.run("replay", saved, "--as-of", "2036-01-02")

    assert finished.code == 10, finished.err
    assert "waived -> violation: 1 finding" in finished.err
    assert 0 == gate.run("replay", saved, "--as-of", "2036-01-01", "-q").code
    assert 2 == gate.run("replay", saved, "--as-of", "20360101").code


def test_a_policy_that_asks_for_evidence_that_was_not_gathered_leaves_it_undecided(gate, documents):
    policy = gate.policy(POLICY + "evidence: {max_scan_age: 1s}\n")

    finished = gate.run("replay", save(gate, documents["passed"]), "-p", policy)

    assert finished.code == 20, finished.err
    assert "the policy allows 1 s" in finished.err


def test_no_environment_variable_turns_a_replay(gate, documents):
    variables = {"CI_GATE_POLICY": "audit", "CI_GATE_AS_OF": "2040-01-01", "CI_GATE_FLOOR": "strict", "CI_GATE_MODE": "warn"}

    assert 10 == gate.run("replay", save(gate, documents["blocked"]), **variables).code
    assert 0 == gate.run("replay", save(gate, documents["passed"]), **variables).code


def test_several_results_are_one_run_and_the_worst_decides(gate, documents):
    finished = gate.run("replay", save(gate, documents["passed"], "1.json"), save(gate, documents["blocked"], "2.json"), "-o", "json=-")

    assert finished.code == 10, finished.err
    assert '"status": "passed"' in finished.out
    assert '"status": "blocked"' in finished.out


def _set(*path):
    """Return a change of a document: the last part of the path is the new value."""
    *parts, name, value = path

    def change(document):
        place = document
        for part in parts:
            place = place[part]
        assert place[name] != value
        place[name] = value

    return change


def _figures(name, **figures):
    def change(document):
        proof = next(proof for proof in document["images"][0]["evidence"] if proof["name"] == name)
        assert figures.keys() <= proof["figures"].keys()
        proof["figures"].update(figures)

    return change


def _without(name):
    def change(document):
        document["images"][0]["evidence"] = [proof for proof in document["images"][0]["evidence"] if proof["name"] != name]

    return change


def _drop_finding(document):
    document["images"][0]["findings"].pop()


def _drop_finding_and_mend_the_counts(document):
    """Somebody who takes the denied finding out, and every count of it that is not a figure of a proof."""
    image = document["images"][0]
    rows = [row for row in image["findings"] if row["decision"] != "violation"]
    removed = len(image["findings"]) - len(rows)
    image["findings"] = rows
    for counts in (document["counts"], image["counts"]):
        counts["findings"] -= removed
        counts["violations"] = counts["by_decision"]["violation"] = 0
        counts["by_level"]["high"] -= removed
    document.update(verdict="passed", exit_code=0)
    image.update(status="passed", exit_code=0)


def _declare_passed(document):
    document.update(verdict="passed", exit_code=0)
    document["images"][0].update(status="passed", exit_code=0)


def _forget_the_failure(document):
    _declare_passed(document)
    document["causes"] = document["images"][0]["causes"] = []


def _loosen_the_policy(document):
    document["policy"]["effective"]["deny"] = []


def _warn(document):
    document["policy"]["mode"] = "warn"


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("passed", _set("images", 0, "findings", 0, "path", "/elsewhere"), "fingerprint"),
        ("passed", _set("images", 0, "findings", 0, "fingerprint", "0" * 64), "fingerprint"),
        ("passed", _set("images", 0, "findings", 0, "ordinal", 7), "ordinals"),
        ("passed", _set("images", 0, "counts", "findings", 1), "counts.findings"),
        ("passed", _drop_finding, "findings"),
        ("blocked", _drop_finding_and_mend_the_counts, "findings were read"),
        ("blocked", _declare_passed, "does not follow"),
        ("undecided", _forget_the_failure, "missing"),
        ("passed", _figures("complete", files_total=99), "complete"),
        ("passed", _figures("complete", files_read=3, files_total=3), "complete"),
        ("passed", _figures("consistent", disagreements=1), "consistent"),
        ("passed", _figures("covered", denied_off=1), "covered"),
        ("passed", _figures("scanned", status="FAIL"), "scanned"),
        ("passed", _figures("identity", digest="sha256:" + "0" * 64), "identity"),
        ("passed", _without("complete"), "complete"),
        ("passed", _without("covered"), "covered"),
        ("passed", _set("images", 0, "image", "digest", "sha256:" + "1" * 64), "digest"),
        ("passed", _set("images", 0, "pinned", "registry.example.com/shop/api@sha256:" + "1" * 64), "pinned"),
        ("passed", _set("policy", "sha256", "0" * 64), "policy.sha256"),
        ("blocked", _loosen_the_policy, "policy"),
        ("blocked", _warn, "warn"),
        ("passed", _set("schema_version", 2), "schema_version"),
    ],
)
def test_a_document_that_contradicts_itself_does_not_load(gate, documents, name, change, said):
    document = copy.deepcopy(documents[name])
    change(document)

    finished = gate.run("replay", save(gate, document), "--report-dir", "reports")

    assert finished.code == 3, finished.err
    assert said in finished.err
    assert ("undecided", 3) == (finished.result["verdict"], finished.result["exit_code"])


def test_a_document_of_another_version_is_judged_and_not_held_against_its_verdict(gate, documents):
    document = copy.deepcopy(documents["blocked"])
    document["tool"]["version"] = "0.0.1"
    _declare_passed(document)

    finished = gate.run("replay", save(gate, document))

    assert finished.code == 10, finished.err
    assert "0.0.1" in finished.err


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"schema_version": 1}', b"[" * 100_000])
def test_what_is_no_result_is_an_error_without_a_traceback(gate, content):
    (gate.folder / "broken.json").write_bytes(content)

    finished = gate.run("replay", "broken.json")

    assert finished.code == 3
    assert "broken.json" in finished.err
    assert "Traceback" not in finished.err


def test_a_result_that_is_not_there_is_an_error(gate):
    assert 3 == gate.run("replay", "nowhere.json").code


def test_a_report_never_replaces_the_result_that_is_replayed(gate, documents):
    (gate.folder / "reports").mkdir()
    saved = save(gate, documents["passed"], "reports/result.json")
    before = (gate.folder / saved).read_bytes()

    finished = gate.run("replay", saved, "--report-dir", "reports")

    assert finished.code == 2
    assert before == (gate.folder / saved).read_bytes()


@pytest.mark.parametrize("option", ["--policy", "--floor"])
def test_a_report_never_replaces_what_the_policies_name(gate, documents, option):
    (gate.folder / "parent.yml").write_text("version: 1\ndeny: {keys: [pem]}\n")
    policy = gate.policy("version: 1\nextends: [parent.yml]\n")

    assert 2 == gate.run("replay", save(gate, documents["passed"]), option, policy, "-o", "junit=parent.yml").code
    assert "version: 1\ndeny: {keys: [pem]}\n" == (gate.folder / "parent.yml").read_text()


def test_a_report_that_cannot_be_written_is_30(gate, documents):
    assert 30 == gate.run("replay", save(gate, documents["passed"]), "-o", "json=/dev/full").code


def test_results_of_different_policies_are_not_one_run(gate, documents):
    saved = save(gate, documents["passed"])
    assert 0 == gate.run("replay", saved, "-p", gate.policy("version: 1\nthresholds: {low: 9}\n"), "-o", "json=other.json").code

    finished = gate.run("replay", saved, "other.json")

    assert finished.code == 2
    assert "different policies" in finished.err


def test_without_a_result_it_is_a_usage_error(gate):
    assert 2 == gate.run("replay").code
