"""``doctor --probe``: it tells each quirk that the embedded endpoint was given, and its transcript is a world that answers alike."""

from __future__ import annotations

import json
import re

import pytest
from support import REFERENCE, finding, image

from ci_gate.deadline import Deadline
from ci_gate.emulator.app import serve
from ci_gate.emulator.world import parse_world
from ci_gate.errors import ProtocolError, UnauthorizedError
from ci_gate.model import ImageReference
from ci_gate.security_center.endpoint import parse_endpoint
from ci_gate.security_center.probe import experiments, gather, observe
from ci_gate.security_center.transcript import placeholder_reference, transcript
from ci_gate.security_center.transport import AccessKey, connect

# What an image needs so that every experiment has something to tell by: rows on several pages, alike rows, whitelisted rows.
TELLING = image(
    finding("stripe_skpk", "/app/.env", "high", times=2),
    finding("pem", "/opt/private.pem", "medium", whitelisted=True),
    finding("pem", "/opt/other.pem", "low", md5=""),
    generate={"count": 25, "keys": ["sqlite"]},
    quota_paid=True,
)
BOTH_WAYS = [
    ("key-optional", {"key_optional": True}),
    ("key-optional", {"key_optional": False}),
    ("page-size", {"page_size_cap": 7, "cap_echoed": True}),
    ("page-size", {"page_size_cap": 7, "cap_echoed": False}),
    ("digest-form", {"digest_prefix": True}),
    ("digest-form", {"digest_prefix": False}),
    ("numbers-as-text", {"numbers_as_text": True}),
    ("numbers-as-text", {"numbers_as_text": False}),
    ("whitelisted-rows", {"whitelisted_rows": "shown"}),
    ("endpoints-form", {"endpoints": "hosts"}),
    ("endpoints-form", {"endpoints": "domains"}),
    ("criteria-names", {"image_criteria": ["digest", "tag"], "repo_criteria": ["ImageId", "repoName"], "unsupported_criteria": "refuse"}),
    ("criteria-names", {"image_criteria": ["digest"], "repo_criteria": ["tag"], "unsupported_criteria": "ignore"}),
    ("criteria-names", {"image_criteria": ["digest"], "repo_criteria": ["tag"], "unsupported_criteria": "refuse"}),
    ("precheck-figures", {"precheck_figures": "by_name"}),
    ("precheck-figures", {"precheck_figures": "by_description"}),
]


def probe(world: bytes, reference: str = REFERENCE):
    """Probe an image of a world; return what was seen, by experiment, and the transcript with the reference that it names."""
    with serve(parse_world(world)) as served:
        key = AccessKey(served.access_key_id, served.access_key_secret)
        transport, _ = connect(parse_endpoint(served.address, allow_any=False), served.region, key, lambda _: None)
        material = gather(transport, ImageReference.parse(reference), Deadline(30))
    seen = observe(material)
    text = transcript(material, seen, ("a test",), "cn-shanghai")
    return {one.experiment: one for one in seen}, text.encode(), placeholder_reference(material)


def world(*images: dict, **fields) -> bytes:
    return json.dumps({"version": 1, "images": list(images), **fields}).encode()


@pytest.mark.parametrize(("experiment", "quirks"), BOTH_WAYS, ids=str)
def test_it_tells_the_quirk_that_was_set_and_its_transcript_answers_alike(experiment, quirks):
    seen, text, reference = probe(world(TELLING, quirks=quirks))

    assert seen[experiment].seen, seen[experiment]
    assert quirks == dict(seen[experiment].quirks)
    assert quirks.items() <= parse_world(text).quirks.model_dump(mode="json").items()
    again, text_again, _ = probe(text, reference)
    assert seen == again
    assert parse_world(text).quirks == parse_world(text_again).quirks


def test_every_experiment_has_something_to_tell_on_an_image_that_has_it_all():
    seen, _, _ = probe(world(TELLING, quirks={"page_size_cap": 7}))

    assert set(experiments()) == {name for name, one in seen.items() if one.seen}


def test_where_nothing_was_found_it_says_so_and_claims_nothing():
    seen, text, _ = probe(world(image()))

    untold = {"key-optional", "page-size", "whitelisted-rows", "count", "alike-rows", "risk-levels", "lang", "precheck-figures"}
    assert untold == {name for name, one in seen.items() if not one.seen}
    assert {} == {name: value for name, value in parse_world(text).quirks.model_dump().items() if name == "page_size_cap" and value}


def test_hidden_rows_leave_no_trace_and_are_not_claimed_to_be_seen():
    seen, _, _ = probe(world(TELLING, quirks={"whitelisted_rows": "hidden"}))

    assert not seen["whitelisted-rows"].seen
    assert seen["whitelisted-rows"].quirks == ()


def test_without_the_permission_for_a_call_the_other_experiments_go_on():
    seen, _, _ = probe(world(TELLING, account={"deny_actions": ["DescribeImageRepoCriteria", "DescribeImageLatestScanTask"]}))

    assert seen["key-optional"].seen
    assert "no permission" in seen["scan-words"].told
    assert "no permission" in seen["criteria-names"].told


def test_a_probe_that_may_not_look_for_images_says_why():
    with pytest.raises(UnauthorizedError, match="no permission"):
        probe(world(TELLING, account={"deny_actions": ["DescribeImageInstances"]}))


def test_nonsense_instead_of_images_is_no_missing_image():
    with pytest.raises(ProtocolError, match="breaks the contract"):
        probe(world(TELLING, faults=[{"action": "DescribeImageInstances", "kind": "body", "text": "{}"}]))


def test_a_call_that_answers_nonsense_spoils_its_own_experiment_only():
    fault = {"action": "PublicPreCheckImageScanTask", "kind": "body", "text": "[]"}

    seen, text, _ = probe(world(TELLING, faults=[fault]))

    assert not seen["precheck-figures"].seen
    assert "breaks the contract" in seen["precheck-figures"].told
    assert seen["count"].seen
    assert parse_world(text).images


def test_the_names_of_an_image_have_the_same_placeholders_each_time():
    (_, first, _), (_, second, _) = (probe(world(TELLING)) for _ in range(2))

    assert first == second


def test_other_images_have_other_placeholders_for_the_same_names():
    other = {**TELLING, "digest": "7a" * 32}
    (_, first, _), (_, second, _) = (
        probe(world(one), f"registry.example.com/shop/api:1.4.2@sha256:{one['digest']}") for one in (TELLING, other)
    )

    paths = [set(re.findall(r"/hidden/[0-9a-f]+", text.decode())) for text in (first, second)]
    assert paths[0]
    assert not paths[0] & paths[1]


def test_hostile_words_of_image_and_service_do_not_get_into_the_transcript():
    hostile = image(
        finding("evil\n- key", "/a\nversion: 9", "sky\x1b[31m high", md5="x\ny"),
        registry_type="x\ny",
        region_id="cn-\nx",
        instance_id="cri\n#",
        scan=[{"status": "SUCCESS", "result": "SUCCESS"}],
    )

    seen, text, reference = probe(world(hostile))

    assert text.isascii()
    assert b"evil" not in text
    assert b"sky" not in text
    again, _, _ = probe(text, reference)
    assert seen["risk-levels"] == again["risk-levels"]
    assert seen["count"] == again["count"]


def test_an_image_by_tag_alone_can_be_probed():
    seen, _, _ = probe(world(TELLING), "registry.example.com/shop/api:1.4.2")

    assert seen["digest-form"].told == "Digest: bare 64 hex digits; LayerDigest: bare 64 hex digits"


def test_a_whitelisted_finding_is_one_in_the_transcript_too():
    _, text, _ = probe(world(TELLING))

    assert [True] == [found.whitelisted for found in parse_world(text).images[0].findings if found.whitelisted]
