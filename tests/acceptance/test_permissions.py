"""The list of calls is that of the program: calls of real runs are recorded and held against it."""

from __future__ import annotations

import json
from datetime import date

from support import DIGEST, REFERENCE, image

from ci_gate.deadline import Deadline
from ci_gate.emulator.app import serve
from ci_gate.emulator.world import parse_world
from ci_gate.errors import ExitCode
from ci_gate.gate import Asked, Judging, decide_image
from ci_gate.model import ImageReference, SourceInfo
from ci_gate.policy.effective import Judges
from ci_gate.policy.language.load import parse_policy
from ci_gate.security_center.endpoint import parse_endpoint
from ci_gate.security_center.findings import ScanRange
from ci_gate.security_center.permissions import PERMISSIONS
from ci_gate.security_center.source import SecurityCenter
from ci_gate.security_center.transport import AccessKey, connect

POLICY = parse_policy("version: 1\nname: p\nthresholds: {total: 9}\nevidence: {settle: 0s}\n", origin="p.yaml", default_name="p").policy
FOUND = [{"key": "sqlite", "path": "/app/data.db", "risk_level": "low"}]
FRESH = image(*FOUND, listed_after={"sync": True}, scan=[{"status": None}], scan_when_requested=[{"status": "SUCCESS"}])


def calls_of(asked: Asked, world: dict, permitted: set[str]) -> tuple[set[str], ExitCode]:
    """Decide an image with an identity that has some permissions; return the calls that were made, and how it ended."""
    everything = {each.action for each in PERMISSIONS}
    account = {"deny_actions": sorted(everything - permitted)}
    with serve(parse_world(json.dumps({"version": 1, "account": account, **world}).encode())) as served:
        key = AccessKey(served.access_key_id, served.access_key_secret)
        transport, url = connect(parse_endpoint(served.address, allow_any=False), served.region, key, lambda _: None)
        source = SecurityCenter(transport, SourceInfo("emulated", url), ScanRange(), lambda _: None)
        result = decide_image(source, asked, Judging(Judges(POLICY), date(2026, 11, 24)), Deadline(40))
        return {call.action for call in served.calls}, result.exit_code


def by_reference() -> Asked:
    return Asked(REFERENCE, ImageReference.parse(REFERENCE))


def test_real_runs_make_the_calls_of_the_list_and_no_other():
    everything = {each.action for each in PERMISSIONS}
    repository = {"reference": "registry.example.com/shop/api"}
    few = {"quirks": {"image_criteria": ["tag", "digest"]}}
    runs = [
        calls_of(by_reference(), {"images": [FRESH], "repositories": [repository]}, everything),
        calls_of(by_reference(), {"images": [image(*FOUND)], **few}, everything),
        calls_of(Asked("uuid", None, "ab" * 16), {"images": [image(*FOUND, uuid="ab" * 16)]}, everything),
    ]

    assert [ExitCode.PASSED] * 3 == [code for _, code in runs]
    assert everything == set.union(*(calls for calls, _ in runs))


def test_an_image_with_a_scan_needs_the_permissions_that_are_required_and_no_other():
    required = {each.action for each in PERMISSIONS if each.required}

    calls, code = calls_of(by_reference(), {"images": [image(*FOUND)]}, required)

    assert ExitCode.PASSED is code
    assert required < calls


def test_without_one_of_the_required_permissions_nothing_is_decided():
    for each in PERMISSIONS:
        if each.required:
            _, code = calls_of(
                by_reference(), {"images": [image(*FOUND, digest=DIGEST)]}, {one.action for one in PERMISSIONS} - {each.action}
            )

            assert ExitCode.UNAUTHORIZED is code, each
