"""References, digests and fingerprints."""

from __future__ import annotations

import pytest

from ci_gate.errors import UsageError
from ci_gate.model import Finding, ImageReference, number_alike

DIGEST = "ab" * 32


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("registry.example.com/shop/api", ("registry.example.com", "shop", "api", None, None)),
        ("registry.example.com/api:1", ("registry.example.com", "", "api", "1", None)),
        ("registry.example.com:5000/a/b/c:1.4.2", ("registry.example.com:5000", "a/b", "c", "1.4.2", None)),
        (f"localhost/shop/api@sha256:{DIGEST}", ("localhost", "shop", "api", None, DIGEST)),
        (f"[::1]:5000/shop/api:v1@sha256:{DIGEST}", ("[::1]:5000", "shop", "api", "v1", DIGEST)),
        ("Registry.Example.com/shop/api", ("registry.example.com", "shop", "api", None, None)),
    ],
)
def test_a_reference_is_read_as_the_container_world_writes_it(text, expected):
    reference = ImageReference.parse(text)

    assert expected == (reference.registry, reference.namespace, reference.repository, reference.tag, reference.digest)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api",
        "shop/api:1",
        "registry.example.com/",
        "registry.example.com/Shop/api",
        "registry.example.com/shop/api:",
        "registry.example.com/shop/api:a b",
        "registry.example.com/shop//api",
        "registry.example.com/../api",
        "registry.example.com/shop/api@sha256:abc",
        f"registry.example.com/shop/api@md5:{DIGEST}",
        f"registry.example.com/shop/api@sha256:{DIGEST.upper()}",
        f"registry.example.com/shop/api@sha256:{DIGEST}\n",
        "https://registry.example.com/shop/api",
        "-x.example.com/shop/api",
    ],
)
def test_what_is_no_reference_is_a_usage_error(text):
    with pytest.raises(UsageError, match="no image reference"):
        ImageReference.parse(text)


def test_a_reference_is_written_as_it_was_read():
    text = f"registry.example.com:5000/shop/api:1.4.2@sha256:{DIGEST}"

    assert text == str(ImageReference.parse(text))


def test_rows_that_are_alike_share_a_fingerprint_and_are_numbered():
    twin = Finding("pem", "/k.pem", "high", md5="m")

    numbered = number_alike([twin, Finding("pem", "/other.pem", "high", md5="m"), twin])

    assert [("/k.pem", 1), ("/k.pem", 2), ("/other.pem", 1)] == [(f.path, f.ordinal) for f in numbered]
    assert numbered[0].fingerprint == numbered[1].fingerprint != numbered[2].fingerprint


def test_a_fingerprint_is_framed_so_that_no_two_findings_can_be_made_to_share_it():
    assert Finding("a", "b1:c", "low", md5="").fingerprint != Finding("a", "b", "low", md5="").fingerprint
    assert Finding("ab", "c", "low").fingerprint != Finding("a", "bc", "low").fingerprint
    assert Finding("a", "\ud800", "low").fingerprint != Finding("a", "?", "low").fingerprint


@pytest.mark.parametrize("md5", ["N/A", "", "a" * 31, "g" * 32])
def test_what_is_no_md5_leaves_the_layer_to_tell_contents_apart(md5):
    one, other = (Finding("pem", "/k.pem", "high", md5=md5, layer_digest=layer * 64) for layer in "ab")

    assert one.fingerprint != other.fingerprint
    assert one.has_content
    assert not Finding("pem", "/k.pem", "high", md5=md5, layer_digest="N/A").has_content
    assert Finding("pem", "/k.pem", "high", md5="A" * 32).has_content
