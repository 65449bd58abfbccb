"""What each experiment of the probe concludes where the service behaves in a way that the embedded endpoint has no quirk for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ci_gate.errors import RefusedError, UnavailableError
from ci_gate.security_center.contracts import Answer, PageInfo
from ci_gate.security_center.paging import Listing, Request, Row
from ci_gate.security_center.probe import Material, _calls, observe
from ci_gate.security_center.transcript import transcript

IMAGE = {"Uuid": "ab" * 16, "Digest": "5e" * 32, "RepoName": "api", "RepoNamespace": "shop", "Tag": "1", "ScaStatus": "SUCCESS"}
KEY = {"SensitiveFileKey": "pem", "Count": 1, "UnprocessedNum": 1}
FILE = {"SensitiveFileKey": "pem", "FilePath": "/k.pem", "RiskLevel": "high", "LayerDigest": "ab" * 32}
REFUSED = RefusedError.coded("TooMuch", "the call was refused (TooMuch, HTTP 400)", advice="", action="X", request_id=None)
DOWN = UnavailableError("the service failed", advice="")
FILES, KEYS = "DescribeImageSensitiveFileByKey", "DescribeImageSensitiveFileList"


def rows(*fields: dict) -> tuple[Row, ...]:
    return tuple(Row(bytes([number]), bytes([number]), one) for number, one in enumerate(fields))


def listing(action: str, *fields: dict) -> Listing:
    return Listing(Request(action, (("SensitiveFileKey", "pem"),)), rows(*fields), len(fields), 1, 1)


def answer(*fields: dict, total: int | None = None, size: int = 20, server_ms: int | None = None) -> Answer:
    return Answer("X", fields, PageInfo(1, size, len(fields) if total is None else total), None, server_ms)


def observed(keys=(KEY,), files=(FILE,), image=IMAGE, **answers):
    """Conclude from a service that answers nothing but what is given."""
    every = {name: answer() for name, _, _ in _calls(IMAGE, "pem", 1)}
    every["precheck"] = answer({"NeedAuthCount": 1, "ScanImageCount": 1})
    material = Material(image, listing(KEYS, *keys), (listing(FILES, *files),), {**every, **answers})
    return material, {one.experiment: one for one in observe(material)}


@pytest.mark.parametrize(
    ("experiment", "given", "seen", "words"),
    [
        ("key-optional", {"without a key": answer()}, True, "not refused, but empty"),
        ("key-optional", {"without a key": answer(FILE, FILE)}, True, "2 findings without a key, the keys have 1"),
        ("key-optional", {"without a key": DOWN}, False, "no answer to tell by"),
        ("page-size", {"large page of keys": REFUSED, "large page of files": REFUSED}, True, "refused (TooMuch)"),
        ("page-size", {"large page of keys": DOWN, "large page of files": DOWN}, False, "no answer"),
        ("page-size", {"large page of keys": answer(size=200)}, True, "capped at 200, and 200 is echoed"),
        ("page-size", {"large page of keys": DOWN, "large page of files": answer(FILE, total=9, size=1000)}, True, "capped at 1, but 1000"),
        ("default-page-size", {"default page of files": answer(FILE, size=50)}, True, "50 is echoed"),
        ("default-page-size", {"default page of files": DOWN}, False, "no answer"),
        ("page-beyond-end", {"page beyond the end": answer(FILE)}, True, "served again"),
        ("page-beyond-end", {"page beyond the end": REFUSED}, True, "refused (TooMuch)"),
        ("page-beyond-end", {"page beyond the end": DOWN}, False, "no answer"),
        ("unknown-uuid", {"keys of an unknown uuid": REFUSED}, True, "by key: refused (TooMuch); files: an empty list"),
        ("unknown-key", {"files of an unknown key": answer(FILE)}, True, "the key is not looked at"),
        ("unknown-key", {"files of an unknown key": REFUSED}, True, "refused (TooMuch)"),
        ("criteria-matching", {"by part of repoName": answer()}, True, "exact: "),
        ("criteria-matching", {"by part of repoName": answer(total=30)}, True, "not told: "),
        ("criteria-names", {"by an unknown criterion": answer(IMAGE)}, True, "by an unknown criterion: found"),
        ("date-header", {}, True, "no answer has one"),
        ("date-header", {"lang en": answer(server_ms=1)}, True, "some answers have one"),
        ("scan-words", {"latest task": answer({"Status": "a\nword"})}, True, "another word"),
        ("lang", {"lang none": answer({**KEY, "SensitiveFileName": "PEM"})}, True, "none: names without Chinese"),
        ("precheck-figures", {"precheck": REFUSED}, False, "refused (TooMuch)"),
    ],
)
def test_what_is_seen_is_told(experiment, given, seen, words):
    _, told = observed(**given)

    assert words in told[experiment].told
    assert told[experiment].seen is seen


@pytest.mark.parametrize(
    ("count", "open_files", "quirks"), [(1, 0, (("whitelisted_rows", "shown"),)), (2, 1, (("whitelisted_rows", "hidden"),)), (5, 3, ())]
)
def test_whitelisted_rows_are_told_by_the_counts(count, open_files, quirks):
    material, told = observed(keys=({**KEY, "Count": count, "UnprocessedNum": open_files},))

    assert told["whitelisted-rows"].seen
    assert quirks == told["whitelisted-rows"].quirks
    assert transcript(material, tuple(told.values()), (), "cn-shanghai")


@pytest.mark.parametrize(
    ("endpoints", "form"),
    [
        (None, "absent"),
        ("registry.example.com", "no JSON"),
        ("{}", "no list"),
        ("[]", "an empty list"),
        ('["registry.example.com"]', "of a text"),
        ('[{"domains": [], "type": "vpc"}, {"secret name": 1}]', "objects with 1 other fields and objects with domains, type"),
        ("[1]", "neither"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_the_form_of_endpoints_is_told_and_none_of_its_words(endpoints, form):
    _, told = observed(image={**IMAGE, "Endpoints": endpoints})

    assert form in told["endpoints-form"].told
    assert "secret" not in told["endpoints-form"].told
    assert "example" not in told["endpoints-form"].told


def test_digests_of_images_and_layers_are_told_apart():
    _, told = observed(files=({**FILE, "LayerDigest": "sha256:" + "ab" * 32}, {**FILE, "LayerDigest": None}, {**FILE, "LayerDigest": "x"}))

    assert told["digest-form"].told == "Digest: bare 64 hex digits; LayerDigest: absent, bare 1 characters, sha256: and 64 hex digits"
    assert (("digest_prefix", False),) == told["digest-form"].quirks


def test_numbers_of_both_kinds_are_told_by_name():
    _, told = observed(keys=({**KEY, "Count": "1"},))

    assert told["numbers-as-text"].told == "as number: UnprocessedNum; as text: Count"


def test_risk_levels_that_are_not_documented_are_counted_and_not_quoted():
    _, told = observed(files=(FILE, {**FILE, "RiskLevel": "HIGH"}, {**FILE, "RiskLevel": "a strange word"}))

    assert told["risk-levels"].told == "HIGH, high, 1 others"


def test_a_listing_that_was_not_read_to_its_end_is_said_and_not_counted():
    material, _ = observed(keys=({**KEY, "Count": 9},))
    cut = replace(material.files[0], cause=DOWN.cause)
    material = replace(material, files=(cut,))

    told = {one.experiment: one for one in observe(material)}

    assert not told["count"].seen
    assert "# not read to the end: the service failed" in transcript(material, (), (), "cn-shanghai")
