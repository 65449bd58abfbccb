"""Which images a check is about: references, their files, the digest of a metadata file, and the platforms behind an index."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ci_gate.errors import UsageError
from ci_gate.model import ImageReference, normalise_digest

if TYPE_CHECKING:
    from ci_gate.cli.run import CheckOptions
    from ci_gate.gate import Asked

STDIN = "-"
_MAX_METADATA_BYTES = 1024 * 1024
_MAX_LIST_BYTES = 1024 * 1024
_MAX_IMAGES = 1_000
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def input_files(options: CheckOptions) -> list[str]:
    """Return the files that the run reads, policies aside: no report may replace one."""
    listed = standard_input() if options.images_file == STDIN else (options.images_file,)
    return [str(path) for path in (options.metadata_file, options.emulate, *listed) if path]


def standard_input() -> tuple[str, ...]:
    """Return the path of standard input where it is a file or a pipe: a terminal is standard output as well."""
    path = Path("/dev/stdin")
    return (str(path),) if path.is_file() or path.is_fifo() else ()


def images_asked(options: CheckOptions) -> tuple[Asked, ...]:
    """Return the images to decide.

    :raises UsageError: where the options name none, one twice, or contradict each other.
    """
    from ci_gate.gate import Asked

    _check_options(options)
    texts = (*options.images, *(_listed(options.images_file, options.timeout_s) if options.images_file is not None else ()))
    if not texts and options.image_uuid is None:
        raise UsageError("no image was named", advice="Give an image reference, or --image-uuid.")
    _check_number(options, texts)
    since = ImageReference.parse(options.since) if options.since is not None else None
    references = [ImageReference.parse(text) for text in texts]
    if len(set(map(str, references))) != len(references):
        raise UsageError("an image is named twice", advice="Name each image once.")
    if options.metadata_file is not None:
        if not references:
            raise UsageError("--metadata-file needs an IMAGE", advice="Name the image whose digest the file holds.")
        references = [_with_digest(references[0], options.metadata_file, options.timeout_s)]
    if not references:
        return (Asked(f"uuid {options.image_uuid}", None, options.image_uuid, since),)
    if options.platform_digests:
        return _platforms(references[0], options.platform_digests, since)
    if since is not None and since.digest is not None and since.digest == references[0].digest:
        raise UsageError("--since names the very image that is judged", advice="Name the image that is deployed now.")
    return tuple(Asked(text, reference, options.image_uuid, since) for text, reference in zip(texts, references, strict=True))


def _check_options(options: CheckOptions) -> None:
    if options.quiet and options.verbose:
        raise UsageError("-q and -v contradict each other", advice="Give one of them.")
    if options.emulate is not None and options.endpoint is not None:
        raise UsageError("--emulate and --endpoint contradict each other", advice="Give one of them, and unset CI_GATE_ENDPOINT.")
    if options.image_uuid is not None and not re.fullmatch(r"[A-Za-z0-9_.:-]{1,128}", options.image_uuid):
        raise UsageError("--image-uuid is no uuid", advice="Copy it from Security Center: letters, digits and dashes.")
    if options.platform_digests and options.image_uuid is not None:
        raise UsageError("--platform-digest and --image-uuid contradict each other", advice="Give one of them.")


def _check_number(options: CheckOptions, texts: tuple[str, ...]) -> None:
    one = "Check the images one by one."
    if len(texts) > _MAX_IMAGES:
        raise UsageError(f"{len(texts)} images are too many for one run, {_MAX_IMAGES} are the most", advice="Check them in several runs.")
    if len(texts) > 1 and (options.image_uuid is not None or options.metadata_file is not None):
        raise UsageError("--image-uuid and --metadata-file are about one image", advice=one)
    if len(texts) > 1 and options.since is not None:
        raise UsageError("--since is about one image", advice=one)
    if len(texts) != 1 and options.platform_digests:
        raise UsageError("--platform-digest is about one image", advice=one)


def _listed(name: str, timeout_s: float) -> tuple[str, ...]:
    """Return the references of a file, one a line; blank lines and comments (from a ``#`` at the begin of a word on) are left out."""
    from ci_gate.policy.language.files import PATIENCE_S, read_open, read_waiting

    where = "standard input" if name == STDIN else f"--images-file {name!r}"
    advice = "Give a text file with one image reference a line."
    patience_s, most = min(PATIENCE_S, timeout_s), _MAX_LIST_BYTES + 1
    try:
        stdin = name == STDIN
        raw = read_open(sys.stdin.fileno(), most, patience_s=patience_s) if stdin else read_waiting(name, most, patience_s=patience_s)
        lines = raw.decode("utf-8-sig").splitlines()
    except (OSError, ValueError, AttributeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "it is no text in UTF-8"
        raise UsageError(f"{where} cannot be read: {why}", advice=advice) from None
    if len(raw) > _MAX_LIST_BYTES:
        raise UsageError(f"{where} is larger than 1 MiB", advice=advice)
    found = []
    for number, line in enumerate(lines, 1):
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if not text:
            continue
        try:
            ImageReference.parse(text)
        except UsageError as error:
            raise UsageError(f"{where}, line {number}: {error.cause.what}", advice=error.cause.advice) from None
        found.append(text)
    if not found:
        raise UsageError(f"{where} names no image", advice=advice)
    return tuple(found)


def _platforms(reference: ImageReference, digests: tuple[str, ...], since: ImageReference | None) -> tuple[Asked, ...]:
    """Return the images behind an index: every one has to pass, for nobody knows which one a node pulls."""
    from ci_gate.gate import Asked

    for digest in digests:
        if not _DIGEST.fullmatch(digest):
            raise UsageError(
                f"--platform-digest {digest[:100]!r} is no digest",
                advice="Write sha256: and 64 hex digits, as `docker buildx imagetools inspect` prints them.",
            )
    if len(set(digests)) != len(digests):
        raise UsageError("a --platform-digest is given twice", advice="Give each once.")
    if since is not None and len(digests) > 1:
        raise UsageError("--since is about one image", advice="Check the platforms one by one.")
    return tuple(
        Asked(f"{reference} platform {digest}", replace(reference, digest=normalise_digest(digest)), None, since) for digest in digests
    )


def _with_digest(reference: ImageReference, path: Path, timeout_s: float) -> ImageReference:
    """Take the digest from a metadata file of buildx (field ``containerimage.digest``)."""
    from ci_gate.policy.language.files import PATIENCE_S, read_waiting

    advice = "Pass the file that `docker buildx build --push --metadata-file FILE` wrote."
    try:
        document = json.loads(read_waiting(path, _MAX_METADATA_BYTES, patience_s=min(PATIENCE_S, timeout_s)))
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no JSON"
        raise UsageError(f"--metadata-file {str(path)!r} cannot be read: {why}", advice=advice) from None
    digest = document.get("containerimage.digest") if isinstance(document, dict) else None
    if not isinstance(digest, str):
        raise UsageError(f"--metadata-file {str(path)!r} has no containerimage.digest", advice=advice)
    pinned = ImageReference.parse(f"{reference.canonical}@{digest}")
    if reference.digest is not None and reference.digest != normalise_digest(digest):
        raise UsageError(f"{reference} and --metadata-file name different digests", advice="Give one of them.")
    return replace(reference, digest=pinned.digest)
