"""What names the images: references, files of them, metadata of buildx. Each is read, or refused by code 2."""

from __future__ import annotations

import json
import re

import pytest
from fuzzing import ODD, bent, loads, mangled, tried
from hypothesis import given
from hypothesis import strategies as st

from ci_gate.cli.asked import images_asked
from ci_gate.cli.run import CheckOptions
from ci_gate.errors import ExitCode, UsageError
from ci_gate.model import ImageReference, public_registry

DIGEST = "sha256:" + "5e" * 32
REFERENCES = [
    "registry.example.com/shop/api",
    f"registry.example.com:5000/shop/team/api:1.4.2@{DIGEST}",
    f"localhost/api@{DIGEST}",
    "[::1]:5000/a/b__c-d.e:latest",
    "REGISTRY-vpc.cn-hangzhou.aliyuncs.com:443/a/b",
]
PIECES = [
    *":@/.-_[]#%? \t\n\0",
    "sha256:",
    "5e" * 32,
    DIGEST,
    "@@",
    "::",
    "//",
    "..",
    "A",
    "a",
    "1",
    "é",
    "\u200b",
    "x" * 130,
    "-" * 2_000,
    "a." * 2_000,
]
LISTS = ["\n".join(REFERENCES[:3]), "# images\n\nregistry.example.com/shop/api:1 # the first\r\n  registry.example.com/shop/web:2\n"]
METADATA = {
    "buildx.build.ref": "default/default/x",
    "containerimage.digest": DIGEST,
    "containerimage.descriptor": {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": DIGEST, "size": 685},
    "image.name": "registry.example.com/shop/api:1",
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("asked") / "file"


def asked(**options):
    return loads(lambda: images_asked(CheckOptions(**options)), ExitCode.USAGE)


@tried(400)
@given(
    st.sampled_from(REFERENCES).flatmap(lambda text: mangled([text], PIECES)).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
    | st.lists(st.sampled_from([*PIECES, *REFERENCES]), max_size=6).map("".join)
    | st.text(max_size=30)
)
def test_a_reference_is_one_or_refused_and_is_written_as_it_was_read(text):
    reference = loads(lambda: ImageReference.parse(text), ExitCode.USAGE)
    if reference is None:
        return

    assert reference == ImageReference.parse(str(reference))
    assert str(reference).lower() == text.lower()
    assert text.isascii()
    assert not re.search(r"\s|[\x00-\x20%?#<>\"'`|\\]", text)
    assert reference.canonical == ImageReference.parse(reference.canonical).canonical
    assert public_registry(reference.registry) == public_registry(public_registry(reference.registry))


@tried(100)
@given(mangled(LISTS, [*PIECES, *REFERENCES, "\n#", "\r", "\n\n", " # "]))
def test_a_file_of_images_names_each_line_or_is_refused(path, raw):
    path.write_bytes(raw)
    images = asked(images_file=str(path))
    if images is None:
        return

    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in raw.decode("utf-8-sig").splitlines()]
    assert [line for line in lines if line] == [image.text for image in images]
    assert all(str(image.reference).lower() == image.text.lower() for image in images)


@tried(100)
@given(
    bent([METADATA], [DIGEST, f"{DIGEST} ", DIGEST.upper(), "5e" * 32, "sha512:" + "5e" * 64]).map(json.dumps).map(str.encode)
    | mangled([json.dumps(METADATA)], PIECES)
)
def test_a_file_of_metadata_gives_its_digest_or_is_refused(path, raw):
    path.write_bytes(raw)
    images = asked(images=("registry.example.com/shop/api:1",), metadata_file=path)
    if images is None:
        return

    (image,) = images
    assert json.loads(raw)["containerimage.digest"] == f"sha256:{image.reference.digest}"
    assert ("registry.example.com/shop/api", "1") == (image.reference.canonical, image.reference.tag)


@tried(60)
@given(st.sampled_from([*ODD, DIGEST, *PIECES]), st.sampled_from(["image_uuid", "platform_digests", "since"]))
def test_what_else_names_an_image_is_read_or_refused(text, name):
    value = (text,) if name == "platform_digests" else text
    asked(**{name: value}, images=() if name == "image_uuid" else ("registry.example.com/shop/api:1",))


def test_what_is_tried_names_images_to_begin_with(path):
    for text in REFERENCES:
        ImageReference.parse(text)
    path.write_text(LISTS[0])
    assert 3 == len(asked(images_file=str(path)))


# --- what was found ---


@pytest.mark.parametrize("text", ["registry.example.com/" + "A" * 50_000, "registry.example.com/a:" + "!" * 50_000, "x" * 50_000])
def test_what_is_no_reference_is_quoted_in_short(text):
    with pytest.raises(UsageError) as caught:
        ImageReference.parse(text)

    assert len(caught.value.cause.what) < 600


@pytest.mark.parametrize(("length", "fits"), [(255, True), (256, False)])
def test_no_repository_has_a_name_longer_than_clients_take(length, fits):
    reference = loads(lambda: ImageReference.parse("registry.example.com/" + "a" * length), ExitCode.USAGE)

    assert fits is (reference is not None)
