"""What nobody knows of the service: the verdict is right whichever way it is. docs/assumptions.md names these tests."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import pytest
from support import REFERENCE, finding, image

from ci_gate.deadline import Deadline
from ci_gate.emulator.app import serve
from ci_gate.emulator.world import parse_world
from ci_gate.errors import ExitCode
from ci_gate.gate import Asked, Judging, decide_image
from ci_gate.model import EvidenceRules, Image, ImageReference, Inventory, SourceInfo
from ci_gate.policy.effective import Judges
from ci_gate.policy.language.load import parse_policy
from ci_gate.security_center.endpoint import parse_endpoint
from ci_gate.security_center.findings import ScanRange, prove_settled
from ci_gate.security_center.probe import experiments
from ci_gate.security_center.source import SecurityCenter
from ci_gate.security_center.transport import AccessKey, connect

ROOT = Path(__file__, "../../..").resolve()
PAGE = (ROOT / "docs" / "assumptions.md").read_text("utf-8")
POLICY = "version: 1\nname: p\ndeny: {keys: [pem]}\nthresholds: {total: 100}\nevidence: {settle: 0s%s}\n"
KEYS_CALL, FILES = "DescribeImageSensitiveFileList", "DescribeImageSensitiveFileByKey"
ASKED = Asked(REFERENCE, ImageReference.parse(REFERENCE))


def decide(*images: dict, asked=ASKED, evidence: str = "", scan_range: ScanRange | None = None, **world):
    """Decide an image; return the result and the calls that were made."""
    policy = parse_policy(POLICY % evidence, origin="p.yaml", default_name="p").policy
    with serve(parse_world(json.dumps({"version": 1, "images": list(images), **world}).encode())) as served:
        key = AccessKey(served.access_key_id, served.access_key_secret)
        transport, url = connect(parse_endpoint(served.address, allow_any=False), served.region, key, lambda _: None)
        source = SecurityCenter(transport, SourceInfo("emulated", url), scan_range or ScanRange(), lambda _: None)
        result = decide_image(source, asked, Judging(Judges(policy), date(2026, 11, 24)), Deadline(20))
        return result, list(served.calls)


def figures(result, name: str) -> dict:
    return next(dict(proof.figures) for proof in result.evidence if proof.name == name)


def test_a_whitelisted_row_that_is_shown_is_judged():
    result, _ = decide(image(finding("pem", "/k.pem", whitelisted=True)), quirks={"whitelisted_rows": "shown"})

    assert ExitCode.BLOCKED is result.exit_code


@pytest.mark.parametrize(("evidence", "code"), [("", ExitCode.PASSED), (", vendor_whitelist: error", ExitCode.INCOMPLETE)])
def test_a_whitelist_that_hides_rows_is_listed_or_refused(evidence, code):
    hidden = {"quirks": {"whitelisted_rows": "hidden"}, "whitelists": [{"event_key": "pem"}]}

    result, _ = decide(image(finding("pem", "/k.pem")), evidence=evidence, **hidden)

    assert code is result.exit_code
    assert figures(result, "whitelists")["whitelists"] == 1


@pytest.mark.parametrize("form", ["hosts", "domains"])
def test_the_registry_is_told_in_both_forms_of_endpoints(form):
    result, _ = decide(image(), quirks={"endpoints": form})

    assert ExitCode.PASSED is result.exit_code
    assert figures(result, "identity")["registry"] == "told"


@pytest.mark.parametrize("open_files", [0, 1, 7])
def test_counts_of_any_meaning_decide_nothing_where_there_are_rows(open_files):
    bent = [
        {"action": KEYS_CALL, "kind": "set_field", "where": "every_row", "field": name, "value": value}
        for name, value in (("Count", 7), ("UnprocessedNum", open_files))
    ]

    result, _ = decide(image(finding()), faults=bent)

    assert ExitCode.PASSED is result.exit_code, result.causes


def test_an_unknown_uuid_is_no_empty_image():
    result, _ = decide(image(), asked=Asked("uuid", None, "0" * 32))

    assert ExitCode.INCOMPLETE is result.exit_code


def test_an_unknown_uuid_that_is_refused_is_no_pass_either():
    fault = {"action": "DescribeImageInfoList", "kind": "status", "status": 400, "code": "ImageNotFound"}

    result, _ = decide(image(), asked=Asked("uuid", None, "0" * 32), faults=[fault])

    assert ExitCode.PROTOCOL is result.exit_code


@pytest.mark.parametrize(("scan_range", "told"), [(ScanRange(), '["image"]'), (ScanRange(containers=True), '["image","container"]')])
def test_no_default_of_scan_range_or_page_size_or_lang_is_relied_on(scan_range, told):
    _, calls = decide(image(finding()), scan_range=scan_range)

    parameters = [call.parameters for call in calls if call.action in {KEYS_CALL, FILES}]
    assert parameters
    assert {told} == {given["ScanRange"].replace(" ", "") for given in parameters}
    assert all({"Lang", "PageSize", "CurrentPage", "ImageUuid"} <= given.keys() for given in parameters)


def test_fingerprints_and_verdict_are_the_same_in_each_language():
    seen = set()
    for lang in ("en", "zh"):
        result, _ = decide(image(finding("pem", "/k.pem"), finding()), scan_range=ScanRange(lang=lang))
        seen.add((result.exit_code, tuple(decision.finding.fingerprint for decision in result.verdict.decisions)))

    assert 1 == len(seen)


def test_no_page_beyond_the_end_is_asked_for():
    _, calls = decide(image(generate={"count": 120, "keys": ["sqlite"]}))

    # 120 rows: pages of 100.
    assert 2 == max(int(call.parameters["CurrentPage"]) for call in calls if call.parameters.get("SensitiveFileKey") == "sqlite")


@pytest.mark.parametrize("server_ms", [None, 5_000_000_000_000])
def test_without_the_servers_date_an_empty_listing_is_read_again(server_ms):
    scanned = Image("0" * 32, "5e" * 32, scan_status="SUCCESS", last_scan_ms=1_000)
    with serve(parse_world(b"version: 1")) as served:
        key = AccessKey(served.access_key_id, served.access_key_secret)
        transport, _ = connect(parse_endpoint(served.address, allow_any=False), served.region, key, lambda _: None)
        prove_settled(transport, scanned, Inventory(), EvidenceRules(settle_s=0.01), ScanRange(), server_ms, (), Deadline(10))

    assert bool(served.calls) is (server_ms is None)


# --- the page ---


def _rows() -> list[list[str]]:
    table = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| unknown")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]


def test_every_test_that_the_page_names_exists():
    named = set(re.findall(r"`(tests/[a-z_/]+\.py)::(test_\w+)`", PAGE))

    assert named
    missing = [name for path, name in named if f"\ndef {name}(" not in (ROOT / path).read_text("utf-8")]
    assert not missing


def test_every_unknown_has_both_ways_what_the_gate_does_a_test_and_an_experiment():
    for row in _rows():
        assert 5 == len(row), row
        assert all(row), row
        assert "::test_" in row[3], row


def test_the_page_names_every_experiment_and_no_other():
    named = {word for row in _rows() for word in re.findall(r"`([a-z-]+)`", row[4])}

    assert set(experiments()) == named
