"""The printed RAM policy is exactly what the gate needs: the embedded endpoint grants it, or a part of it, and records the calls.

What becomes of a run without one of its actions is in the rows of docs/failure-modes.md, which test_failure_modes.py tries.
"""

from __future__ import annotations

import json
from datetime import date

from failure_modes import CRITERIA, REPO_CRITERIA, SECTIONS
from support import REFERENCE, image

from ci_gate.deadline import Deadline
from ci_gate.emulator.app import serve
from ci_gate.emulator.calls import CALLS
from ci_gate.emulator.world import parse_world
from ci_gate.errors import ExitCode
from ci_gate.gate import Asked, Judging, decide_image
from ci_gate.model import ImageReference, ProofState, SourceInfo
from ci_gate.policy.effective import Judges
from ci_gate.policy.language.load import parse_policy
from ci_gate.security_center.endpoint import parse_endpoint
from ci_gate.security_center.findings import ScanRange
from ci_gate.security_center.permissions import PERMISSIONS, ram_policy
from ci_gate.security_center.source import SecurityCenter
from ci_gate.security_center.transport import AccessKey, connect

POLICY = parse_policy("version: 1\nname: p\nthresholds: {total: 9}\nevidence: {settle: 0s}\n", origin="p.yaml", default_name="p").policy
FOUND = [{"key": "sqlite", "path": "/app/data.db", "risk_level": "low"}]
FRESH = image(*FOUND, listed_after={"sync": True}, scan=[{"status": None}], scan_when_requested=[{"status": "SUCCESS"}])
READS, REQUESTS = (frozenset(name.removeprefix("yundun-sas:") for name in part["Action"]) for part in ram_policy()["Statement"])
REQUIRED = frozenset(each.action for each in PERMISSIONS if each.required)
BY_REFERENCE = Asked(REFERENCE, ImageReference.parse(REFERENCE))


def decide(asked: Asked, world: dict, granted: frozenset[str]):
    """Decide an image with an identity that may make some calls and no other; return the result and the calls that were made."""
    account = {"deny_actions": sorted(CALLS.keys() - granted)}
    with serve(parse_world(json.dumps({"version": 1, "account": account, **world}).encode())) as served:
        key = AccessKey(served.access_key_id, served.access_key_secret)
        transport, url = connect(parse_endpoint(served.address, allow_any=False), served.region, key, lambda _: None)
        source = SecurityCenter(transport, SourceInfo("emulated", url), ScanRange(), lambda _: None)
        result = decide_image(source, asked, Judging(Judges(POLICY), date(2026, 11, 24)), Deadline(40))
        return result, {call.action for call in served.calls}


def test_with_the_printed_policy_every_kind_of_run_passes_and_uses_all_of_it():
    repository = {"reference": "registry.example.com/shop/api"}
    few = {"quirks": {"image_criteria": ["tag", "digest"]}}
    runs = [
        decide(BY_REFERENCE, {"images": [FRESH], "repositories": [repository]}, READS | REQUESTS),
        decide(BY_REFERENCE, {"images": [image(*FOUND)], **few}, READS | REQUESTS),
        decide(Asked("uuid", None, "ab" * 16), {"images": [image(*FOUND, uuid="ab" * 16)]}, READS | REQUESTS),
    ]

    assert [ExitCode.PASSED] * 3 == [result.exit_code for result, _ in runs]
    assert READS | REQUESTS == set.union(*(calls for _, calls in runs))


def test_with_the_part_that_reads_an_image_with_a_scan_passes_without_a_warning():
    result, calls = decide(BY_REFERENCE, {"images": [image(*FOUND)]}, READS)

    assert ExitCode.PASSED is result.exit_code
    assert not [proof for proof in result.evidence if proof.state in {ProofState.UNKNOWN, ProofState.FAILED}]
    assert calls <= READS


def test_an_image_with_a_scan_needs_the_permissions_that_are_required_and_no_other():
    result, calls = decide(BY_REFERENCE, {"images": [image(*FOUND)]}, REQUIRED)

    assert ExitCode.PASSED is result.exit_code
    assert calls > REQUIRED


def test_the_page_denies_each_action_of_the_policy_and_its_words_name_the_action():
    told = [(row.world["account"]["deny_actions"][0], row) for row in SECTIONS["Permissions"]]

    assert READS | REQUESTS == {action for action, _ in told}
    assert {action for action, row in told if row.code == ExitCode.UNAUTHORIZED and not row.args} == REQUIRED
    silent = {action for action, row in told if f"yundun-sas:{action}" not in row.reads + row.besides + row.do}
    assert {CRITERIA, REPO_CRITERIA} == silent  # nothing is lost without them
