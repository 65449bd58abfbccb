"""The nouns of the gate: references, images, findings, evidence. Frozen, tuple-valued, no I/O."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol

from ci_gate.errors import Cause, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ci_gate.deadline import Deadline


class RiskLevel(StrEnum):
    """The documented risk levels of a finding."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


_MD5 = re.compile(r"[0-9A-Fa-f]{32}")
_HEX64 = re.compile(r"[0-9a-f]{64}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_PATH_PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?"
)
_MAX_PATH = 255  # clients of registries take no more
_SHOWN = 200  # characters of what somebody wrote
_EXAMPLE = "registry.example.com/shop/api:1.4.2@sha256:<64 hex digits>"


def normalise_digest(text: str) -> str:
    """Return a digest as bare lower-case hex, without its ``sha256:``; the service writes it either way."""
    return text.strip().lower().removeprefix("sha256:")


def many(number: int, noun: str, several: str = "") -> str:
    """Return ``1 finding``, ``2 findings``; ``several`` is a plural that is not just an s more."""
    return f"{number} {noun if number == 1 else several or f'{noun}s'}"


@dataclass(frozen=True, slots=True)
class ImageReference:
    """What the user names: ``registry/namespace/repository[:tag][@sha256:…]``. ``digest`` is bare hex."""

    registry: str
    namespace: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Parse a reference as the container world writes it.

        :raises UsageError: if ``text`` is no reference with a registry host and a repository.
        """
        name, at, digest = text.partition("@")
        host, slash, path = name.partition("/")
        looks_like_host = "." in host or ":" in host or host == "localhost"
        if not slash or not looks_like_host or not _HOST.fullmatch(host):
            raise _no_reference(text, "it does not start with a registry host")
        path, colon, tag = path.partition(":")
        if colon and not _TAG.fullmatch(tag):
            raise _no_reference(text, f"{tag[:_SHOWN]!r} is no tag")
        parts = path.split("/")
        if not all(_PATH_PART.fullmatch(part) for part in parts):
            raise _no_reference(text, f"{path[:_SHOWN]!r} is no repository path (lower case letters, digits and separators)")
        if len(path) > _MAX_PATH:
            raise _no_reference(text, f"the repository path has more than {_MAX_PATH} characters")
        if at and not (digest.startswith("sha256:") and _HEX64.fullmatch(digest.removeprefix("sha256:"))):
            raise _no_reference(text, "the part behind '@' is no digest (sha256: and 64 lower case hex digits)")
        return cls(host.lower(), "/".join(parts[:-1]), parts[-1], tag if colon else None, normalise_digest(digest) if at else None)

    @property
    def canonical(self) -> str:
        """``registry/namespace/repository``, what policies match against."""
        return "/".join(part for part in (self.registry, self.namespace, self.repository) if part)

    def pinned_to(self, digest: str | None) -> str:
        """Return the reference to deploy: by digest where one is known."""
        if digest:
            return f"{self.canonical}@sha256:{digest}"
        return str(self)

    def __str__(self) -> str:
        """Return the reference as the user would write it."""
        return f"{self.canonical}{f':{self.tag}' if self.tag else ''}{f'@sha256:{self.digest}' if self.digest else ''}"


# Stands for the host of a registry that the service does not name, in what patterns match against (RFC 2606: no host has such a name).
UNPROVEN_HOST = "unproven.invalid"


def public_registry(host: str) -> str:
    """Return the public name of a registry host: one registry is reached by several, such as ``registry-vpc.…`` inside a network."""
    public = host.strip().lower().removesuffix(":443").removesuffix(".")
    first, dot, rest = public.partition(".")
    if not rest.endswith("aliyuncs.com"):  # elsewhere, such a name is one like any other
        return public
    return f"{first.removesuffix('-vpc').removesuffix('-internal')}{dot}{rest}"


def _no_reference(text: str, why: str) -> UsageError:
    return UsageError(f"{text[:_SHOWN]!r} is no image reference: {why}", advice=f"Write it like {_EXAMPLE}.")


@dataclass(frozen=True, slots=True)
class Entry:
    """A uuid under which an image is listed, and what the listing tells of its scan. Times are milliseconds since the epoch, UTC."""

    uuid: str
    scan_status: str = ""
    scan_result: str = ""
    scan_progress: int | None = None
    last_scan_ms: int | None = None
    last_scan_told: int | None = None  # the time as it was told, be it in other units: it tells one scan from another


@dataclass(frozen=True, slots=True)
class Image:
    """What Security Center knows of an image. Times are milliseconds since the epoch, UTC; ``digest`` is bare hex.

    One digest in one registry is one image; the service may keep an entry of it for each tag. ``uuid`` and ``tag`` are those of the entry
    that was asked for; the scan is that of all entries together, and ``entries`` tells what it is made of.
    """

    uuid: str
    digest: str
    registry_type: str = ""
    region_id: str = ""
    instance_id: str = ""
    repo_id: str = ""
    namespace: str = ""
    repository: str = ""
    tag: str = ""
    scan_status: str = ""
    scan_result: str = ""
    scan_progress: int | None = None
    last_scan_ms: int | None = None
    scan_requested: bool = False  # this run had it scanned, or waited for its scan
    entries: frozenset[Entry] = frozenset()

    @property
    def uuids(self) -> tuple[str, ...]:
        """The uuids under which it is listed, its own first: what each holds is read."""
        return (self.uuid, *sorted({entry.uuid for entry in self.entries} - {self.uuid}))


@dataclass(frozen=True, slots=True)
class Finding:
    """One sensitive file of one key in one layer: one row of ``DescribeImageSensitiveFileByKey``, less its excerpt of the secret.

    ``risk_level`` is the service's word in lower case; it may be one that is not documented.
    ``ordinal`` tells apart rows that are alike in all that identifies them: 1 for the first.
    """

    key: str
    path: str
    risk_level: str
    md5: str = ""
    layer_digest: str = ""
    name: str = ""
    advice: str = ""
    description: str = ""
    first_scan_ms: int | None = None
    last_scan_ms: int | None = None
    ordinal: int = 1

    @property
    def fingerprint(self) -> str:
        """SHA-256 over key, path and MD5 of the file (without MD5, the layer digest), as hex. Rows that are alike share it."""
        has_md5 = _MD5.fullmatch(self.md5) is not None
        parts = (self.key, self.path, f"md5:{self.md5.lower()}" if has_md5 else f"layer:{normalise_digest(self.layer_digest)}")
        # JSON-like framing would need escapes for lone surrogates; lengths frame any text unambiguously.
        framed = b"".join(b"%d:" % len(raw) + raw for raw in (part.encode("utf-8", "surrogatepass") for part in parts))
        return hashlib.sha256(framed).hexdigest()

    @property
    def has_content(self) -> bool:
        """Whether an MD5 or a layer ties it to content: without one, nobody can say that another finding is the same."""
        return bool(_MD5.fullmatch(self.md5) or _HEX64.fullmatch(normalise_digest(self.layer_digest)))


class ProofState(StrEnum):
    """What became of a proof."""

    HELD = "held"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True)
class Proof:
    """One proof that the findings are complete, with the figures it rests on.

    ``cause`` is set where the proof failed and that decides the run; a failed or unknown proof without a cause is a warning.
    """

    name: str
    state: ProofState
    detail: str
    figures: tuple[tuple[str, int | str], ...] = ()
    cause: Cause | None = None


def proven_name(reference: ImageReference | None, evidence: Iterable[Proof]) -> str | None:
    """Return what the patterns of policies match against: ``registry/namespace/repository``; ``None`` where only a uuid is known.

    The service tells namespace and repository of an image, but not always the host of its registry: that is :data:`UNPROVEN_HOST` then.
    """
    if reference is None:
        return None
    told = next((dict(proof.figures).get("registry") for proof in evidence if proof.name == "identity"), "told")
    return reference.canonical if told == "told" else replace(reference, registry=UNPROVEN_HOST).canonical


@dataclass(frozen=True, slots=True)
class Inventory:
    """Every finding that was read of an image, the proofs of completeness, and what cut the reading short.

    ``known`` is how many findings of a fingerprint an image has that is deployed already; ``None`` where no image was compared.
    ``comparable`` is false where that image was to be compared and could not be read whole: then nobody knows which findings are new.
    """

    findings: tuple[Finding, ...] = ()
    proofs: tuple[Proof, ...] = ()
    causes: tuple[Cause, ...] = ()
    known: Mapping[str, int] | None = None
    comparable: bool = True


@dataclass(frozen=True, slots=True)
class EvidenceRules:
    """Which evidence a policy asks for (policy field ``evidence``), and the keys it must be able to see.

    ``settle_s`` and ``max_scan_age_s`` are seconds.
    """

    require_digest: bool = True
    rule_coverage: str = "auto"  # auto | error | warn | off
    inferred: str = "error"  # error | warn
    vendor_whitelist: str = "report"  # report | error
    max_scan_age_s: float | None = None
    settle_s: float = 15.0
    denied_keys: frozenset[str] = field(default_factory=frozenset)
    denies: Callable[[str], bool] = lambda _: True  # also of keys that nobody knew when the policy was written
    may_request_scan: bool = True  # else an image is judged by the scan that it has
    counts_all_keys: bool = True  # thresholds look at every key, not only at the denied ones


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """Where findings come from: ``live``, ``emulated`` or ``replay``."""

    kind: str
    endpoint: str = ""
    region: str = ""

    @property
    def proof(self) -> Proof:
        """The first proof of the evidence: what was asked."""
        figures = (("kind", self.kind), ("endpoint", self.endpoint), ("region", self.region))
        said = {"live": "asked Security Center", "emulated": "EMULATED: asked a stand-in on this machine, not Security Center"}
        return Proof("source", ProofState.HELD, f"{said.get(self.kind, self.kind)} at {self.endpoint}", figures)


@dataclass(frozen=True, slots=True)
class Step:
    """What a run is about to do, or what it waits for, of one image.

    ``stage`` is ``resolve``, ``queue``, ``scan`` or ``read``; ``percent`` is how far the scan is, where the service tells.
    """

    image: str
    stage: str
    detail: str
    percent: int | None = None


class FindingSource(Protocol):
    """Who can tell which sensitive files are in an image. Every method raises a ``GateError``."""

    info: SourceInfo

    def find_image(
        self, reference: ImageReference | None, uuid: str | None, rules: EvidenceRules, deadline: Deadline
    ) -> tuple[Image, Proof]:
        """Return the image that is meant and the proof of its identity; wait for it where it was pushed just now."""

    def await_scan(self, image: Image, rules: EvidenceRules, deadline: Deadline) -> tuple[Image, Proof]:
        """Return the image with its finished scan and the proof of it; have it scanned where it has no scan."""

    def confirm(self, image: Image, reference: ImageReference | None, deadline: Deadline) -> None:
        """Make sure that the image is still there with the scan whose findings were read, and that a tag still means it."""

    def read_findings(self, image: Image, rules: EvidenceRules, deadline: Deadline) -> Inventory:
        """Return every finding; what cut the reading short is a cause in the inventory, not an exception."""


def number_alike(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort findings (key, path, fingerprint) and give those that share a fingerprint the ordinals 1, 2 and so on."""
    numbered: list[Finding] = []
    for _, group in groupby(sorted(findings, key=_KEY_AND_PATH), _KEY_AND_PATH):
        alike = list(group)
        if len(alike) > 1 or alike[0].ordinal != 1:  # what shares a fingerprint shares key and path: nothing else is worth the hash
            alike = _numbered(alike)
        numbered += alike
    return tuple(numbered)


def _numbered(findings: list[Finding]) -> list[Finding]:
    """Return findings of one key and path, sorted and numbered."""
    seen: dict[str, int] = {}
    numbered = []
    prints = [(finding, finding.fingerprint) for finding in findings]
    for finding, fingerprint in sorted(prints, key=lambda f: (f[1], f[0].risk_level, f[0].layer_digest)):
        ordinal = seen[fingerprint] = seen.get(fingerprint, 0) + 1
        numbered.append(finding if finding.ordinal == ordinal else replace(finding, ordinal=ordinal))
    return numbered


_KEY_AND_PATH = attrgetter("key", "path")
