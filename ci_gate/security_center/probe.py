"""Experiments on the user's own account and image: one for each thing about the service that the gate can only assume."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ci_gate.errors import Cause, GateError, IncompleteError, RefusedError
from ci_gate.model import RiskLevel, normalise_digest
from ci_gate.security_center.contracts import Answer, to_int
from ci_gate.security_center.criteria import Images
from ci_gate.security_center.diagnosis import Outcome, ask
from ci_gate.security_center.paging import Listing, Request, Row, read_listings
from ci_gate.security_center.pool import run_together
from ci_gate.security_center.repositories import is_in_repository, names_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci_gate.deadline import Deadline
    from ci_gate.model import ImageReference
    from ci_gate.security_center.contracts import JsonObject
    from ci_gate.security_center.transport import Transport

_IMAGES = "DescribeImageInstances"
_KEYS = "DescribeImageSensitiveFileList"
_FILES = "DescribeImageSensitiveFileByKey"
_LARGE_PAGE = 1000  # more than any size that siblings of these calls are documented to allow
_PAGE = 20  # the documented default
_NO_UUID = "0" * 32
_NO_KEY = "ci_gate_probe_no_such_key"
# The names that the documents have; they spell one of them in two ways.
_CRITERIA = frozenset(
    {
        "instanceId", "repoName", "repoId", "repoNamespace", "regionId", "vulStatus", "alarmStatus", "hcStatus", "riskStatus",
        "registryType", "imageId", "ImageId", "tag", "digest",
    }
)  # fmt: skip
_PRECHECK = {
    "RegistryTypes": "RegistryType",
    "RegionIds": "RegionId",
    "InstanceIds": "InstanceId",
    "RepoIds": "RepoId",
    "RepoNamespaces": "RepoNamespace",
    "RepoNames": "RepoName",
    "Tags": "Tag",
}
_HAN = re.compile("[\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class Observation:
    """What one experiment saw.

    ``seen`` is false where the image has nothing to tell by; ``told`` says what was seen, or why nothing was, without any name of the
    image; ``gate`` what the gate does with it; ``quirks`` how a world file says it.
    """

    experiment: str
    question: str
    seen: bool
    told: str
    gate: str
    quirks: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class Material:
    """All that the experiments asked for, before anything is concluded. ``files`` are the findings of each key, without excerpts."""

    image: JsonObject
    keys: Listing
    files: tuple[Listing, ...]
    answers: dict[str, Outcome] = field(default_factory=dict)

    def total_of(self, key: str) -> int | None:
        """Return how many findings a key has, where they were read to the end."""
        for listing in self.files:
            if dict(listing.request.parameters)["SensitiveFileKey"] == key:
                return len(listing.rows) if listing.complete else None
        return None

    @property
    def rows(self) -> tuple[Row, ...]:
        """Every finding that was read."""
        return tuple(row for listing in self.files for row in listing.rows)

    @property
    def causes(self) -> tuple[Cause, ...]:
        """What kept listings from being read to their end."""
        return tuple(listing.cause for listing in (self.keys, *self.files) if listing.cause is not None)


# --- asking ---


def gather(transport: Transport, reference: ImageReference, deadline: Deadline) -> Material:
    """Find the image and make every call of the experiments, side by side. Only reads.

    :raises GateError: if the image is not found, or cannot be looked for.
    """
    image = _find(transport, reference, deadline)
    uuid = image["Uuid"]
    asked = (("ImageUuid", uuid), ("ScanRange", ["image"]), ("Lang", "en"))
    keys = read_listings(transport, [Request(_KEYS, asked)], deadline)[0]
    names = [str(row.fields["SensitiveFileKey"]) for row in keys.rows]
    files = read_listings(transport, [Request(_FILES, (*asked, ("SensitiveFileKey", name))) for name in names], deadline)
    largest = max(zip(files, names, strict=True), key=lambda pair: len(pair[0].rows), default=(None, _NO_KEY))[1]
    calls = _calls(image, largest, max((len(listing.rows) for listing in files), default=0))
    tasks: list[Callable[[], object]] = [partial(ask, transport, action, parameters, deadline) for _, action, parameters in calls]
    answers: dict[str, Outcome] = {}
    for (name, _, _), answer in zip(calls, run_together(tasks), strict=True):
        assert isinstance(answer, Answer | GateError)
        answers[name] = answer
    return Material(image, keys, tuple(files), answers)


def _criteria(*criteria: tuple[str, object]) -> dict[str, object]:
    text = json.dumps([{"name": name, "value": value} for name, value in criteria], separators=(",", ":"))
    return {"Criteria": text, "LogicalExp": "AND", "CurrentPage": 1, "PageSize": _PAGE}


def _calls(image: JsonObject, key: str, rows: int) -> list[tuple[str, str, dict[str, object]]]:
    """Return the calls of the experiments: a name for each, the action, its parameters.

    :param key: the key with the most findings, of which ``rows`` were read.
    """
    repository, digest = str(image.get("RepoName") or ""), normalise_digest(image.get("Digest") or "")
    first = {"CurrentPage": 1, "PageSize": _PAGE}
    of_image: dict[str, object] = {"ImageUuid": image["Uuid"], "ScanRange": ["image"], "Lang": "en"}
    of_key = {**of_image, "SensitiveFileKey": key}
    any_range = {"ImageUuid": image["Uuid"], "Lang": "en", **first}
    any_lang = {"ImageUuid": image["Uuid"], "ScanRange": ["image"], **first}
    return [
        ("without a key", _FILES, {**of_image, **first}),
        ("large page of keys", _KEYS, {**of_image, "CurrentPage": 1, "PageSize": _LARGE_PAGE}),
        ("large page of files", _FILES, {**of_key, "CurrentPage": 1, "PageSize": _LARGE_PAGE}),
        ("default page of files", _FILES, of_key),
        ("page beyond the end", _FILES, {**of_key, "CurrentPage": rows // _PAGE + 2, "PageSize": _PAGE}),
        ("keys of an unknown uuid", _KEYS, {**of_image, "ImageUuid": _NO_UUID, **first}),
        ("files of an unknown uuid", _FILES, {**of_key, "ImageUuid": _NO_UUID, **first}),
        ("files of an unknown key", _FILES, {**of_image, "SensitiveFileKey": _NO_KEY, **first}),
        ("range none", _KEYS, any_range),
        ("range image", _KEYS, {**any_range, "ScanRange": ["image"]}),
        ("range both", _KEYS, {**any_range, "ScanRange": ["image", "container"]}),
        ("range container", _KEYS, {**any_range, "ScanRange": ["container"]}),
        ("lang none", _KEYS, any_lang),
        ("lang en", _KEYS, {**any_lang, "Lang": "en"}),
        ("lang zh", _KEYS, {**any_lang, "Lang": "zh"}),
        ("criteria of images", "DescribeImageCriteria", {}),
        ("criteria of repositories", "DescribeImageRepoCriteria", {}),
        ("by repoName", _IMAGES, _criteria(("repoName", repository))),
        ("by part of repoName", _IMAGES, _criteria(("repoName", repository[:-1] or repository))),
        ("by two criteria", _IMAGES, _criteria(("repoName", repository), ("tag", "ci-gate-probe-no-such-tag"))),
        ("by bare digest", _IMAGES, _criteria(("digest", digest))),
        ("by digest with prefix", _IMAGES, _criteria(("digest", f"sha256:{digest}"))),
        ("by an unknown criterion", _IMAGES, _criteria(("ciGateProbe", repository))),
        ("precheck", "PublicPreCheckImageScanTask", _precheck_parameters(image)),
        ("latest task", "DescribeImageLatestScanTask", {"Digest": digest}),
    ]


def _precheck_parameters(image: JsonObject) -> dict[str, object]:
    told = {name: str(image[field_name]) for name, field_name in _PRECHECK.items() if image.get(field_name)}
    return {**told, "Digests": normalise_digest(image.get("Digest") or "")}


def _find(transport: Transport, reference: ImageReference, deadline: Deadline) -> JsonObject:
    """Return the row of the image as it came, of several the one of the asked tag.

    :raises GateError: if there is none, or the listing cannot be read.
    """

    def is_meant(row: JsonObject) -> bool:
        if not is_in_repository(row, reference):
            return False
        if reference.digest is None:
            return row.get("Tag") == (reference.tag or "latest")
        return normalise_digest(row.get("Digest") or "") == reference.digest

    rows = list(filter(is_meant, Images(transport).of_repository(names_of(reference), reference.digest, is_meant, deadline)))
    if not rows:
        advice = "Name an image that the console lists, with a finished scan and findings: the more it has, the more can be told."
        raise IncompleteError(f"Security Center does not list {reference}", advice=advice, action=_IMAGES)
    return max(rows, key=lambda row: (row.get("Tag") == reference.tag, str(row["Uuid"])))


# --- concluding ---


def observe(material: Material) -> tuple[Observation, ...]:
    """Conclude what each experiment saw. Pure."""
    return tuple(experiment(material) for experiment in _EXPERIMENTS.values())


def experiments() -> tuple[str, ...]:
    """Return the names of the experiments."""
    return tuple(_EXPERIMENTS)


def _said(outcome: Outcome) -> str:
    """Say what came of a call, without anything of the image."""
    if isinstance(outcome, RefusedError):
        return f"refused ({outcome.refusal})"
    if isinstance(outcome, GateError):
        return f"no answer to tell by ({outcome.cause.what})"
    if not outcome.rows:
        return "an empty list"
    return "rows"


def _failed(*outcomes: Outcome) -> bool:
    """Whether calls came to nothing that tells: refusals do, outages and missing permissions do not."""
    return any(isinstance(outcome, GateError) and not isinstance(outcome, RefusedError) for outcome in outcomes)


def _total(outcome: Outcome) -> int | None:
    return outcome.page_info.total if isinstance(outcome, Answer) and outcome.page_info else None


_NO_FINDING = "the image has no finding to tell by"


def _key_optional(material: Material) -> Observation:
    outcome, known = material.answers["without a key"], len(material.rows)
    build = partial(
        Observation,
        "key-optional",
        "Is SensitiveFileKey optional in DescribeImageSensitiveFileByKey?",
        gate="reads key by key; the call without a key is a second route that can only add findings, and a refusal of it is recorded",
    )
    if isinstance(outcome, RefusedError):
        return build(seen=True, told=f"mandatory: {_said(outcome)}", quirks=(("key_optional", False),))
    if _failed(outcome):
        return build(seen=False, told=_said(outcome))
    total = _total(outcome) or 0
    if not known and not total:
        return build(seen=False, told=f"not refused, but {_NO_FINDING}", quirks=(("key_optional", True),))
    if not total:
        return build(seen=True, told=f"not refused, but empty, where the keys have {known} findings")
    compared = "as many as all keys together" if total == known else f"the keys have {known}"
    return build(seen=True, told=f"optional: {total} findings without a key, {compared}", quirks=(("key_optional", True),))


def _page_size(material: Material) -> Observation:
    outcomes = [material.answers[name] for name in ("large page of keys", "large page of files")]
    build = partial(
        Observation,
        "page-size",
        f"Is the page size capped, and is the cap echoed? ({_LARGE_PAGE} were asked for)",
        gate="asks for 100, counts pages by the size that is echoed, and reads again with other sizes where a page is short",
    )
    for outcome in outcomes:
        if isinstance(outcome, Answer) and outcome.page_info and outcome.page_info.page_size < _LARGE_PAGE:
            size = outcome.page_info.page_size
            return build(seen=True, told=f"capped at {size}, and {size} is echoed", quirks=(("page_size_cap", size), ("cap_echoed", True)))
        if isinstance(outcome, Answer) and outcome.rows and len(outcome.rows) < min(_LARGE_PAGE, _total(outcome) or 0):
            size = len(outcome.rows)
            told = f"capped at {size}, but {_LARGE_PAGE} is echoed"
            return build(seen=True, told=told, quirks=(("page_size_cap", size), ("cap_echoed", False)))
    refused = next((outcome for outcome in outcomes if isinstance(outcome, RefusedError)), None)
    if refused is not None:
        return build(seen=True, told=f"a page that large is {_said(refused)}")
    most = max((len(outcome.rows) for outcome in outcomes if isinstance(outcome, Answer)), default=0)
    if not any(isinstance(outcome, Answer) for outcome in outcomes):
        return build(seen=False, told=_said(outcomes[0]))
    return build(seen=False, told=f"{_LARGE_PAGE} is echoed, and the longest list of this image, {most} rows, came whole")


def _default_page(material: Material) -> Observation:
    outcome = material.answers["default page of files"]
    build = partial(Observation, "default-page-size", "Which page size is used where none is asked for?", gate="always asks for one")
    if not isinstance(outcome, Answer) or outcome.page_info is None:
        return build(seen=isinstance(outcome, RefusedError), told=_said(outcome))
    return build(seen=True, told=f"{outcome.page_info.page_size} is echoed")


def _whitelisted(material: Material) -> Observation:
    build = partial(
        Observation,
        "whitelisted-rows",
        "Are findings that were whitelisted in the console among the rows?",
        gate="judges every row that it gets, and lists the account's whitelists (evidence.vendor_whitelist: error refuses them)",
    )
    told = [
        (count, open_, total) for key, count, open_ in _counts(material) if open_ != count and (total := material.total_of(key)) is not None
    ]
    if not told:
        remedy = "whitelist one finding of the image in the console, and probe again"
        return build(seen=False, told=f"no key has processed findings by its counts: {remedy}")
    if all(total == count for count, _, total in told):
        return build(seen=True, told="shown: keys with processed findings have all their rows", quirks=(("whitelisted_rows", "shown"),))
    if all(total == open_ for _, open_, total in told):
        return build(seen=True, told="hidden: keys have rows for unprocessed findings only", quirks=(("whitelisted_rows", "hidden"),))
    return build(seen=True, told="neither: the rows of keys with processed findings equal neither Count nor UnprocessedNum")


def _counts(material: Material) -> list[tuple[str, int, int]]:
    """Return ``Count`` and ``UnprocessedNum`` of every key that says both."""
    found = []
    for row in material.keys.rows:
        count, open_ = to_int(row.fields.get("Count")), to_int(row.fields.get("UnprocessedNum"))
        if count is not None and open_ is not None:
            found.append((str(row.fields["SensitiveFileKey"]), count, open_))
    return found


def _count_meaning(material: Material) -> Observation:
    build = partial(
        Observation,
        "count",
        "Do Count and UnprocessedNum of a key equal its rows?",
        gate="records both; only a key with unprocessed files and no row at all is a contradiction",
    )
    known = [(count, open_, total) for key, count, open_ in _counts(material) if (total := material.total_of(key)) is not None]
    if not known:
        return build(seen=False, told=_NO_FINDING)
    words = [
        f"{name} {'equals' if all(row[place] == row[2] for row in known) else 'differs from'} the rows"
        for place, name in enumerate(("Count", "UnprocessedNum"))
    ]
    return build(seen=True, told=f"over {len(known)} keys: {'; '.join(words)}")


def _digests(material: Material) -> Observation:
    build = partial(
        Observation,
        "digest-form",
        "Are digests written with sha256: before them?",
        gate="takes both forms of every digest, and sends bare hex",
    )
    forms = {"Digest": {_digest_form(material.image.get("Digest"))}}
    forms["LayerDigest"] = {_digest_form(row.fields.get("LayerDigest")) for row in material.rows}
    told = "; ".join(f"{name}: {', '.join(sorted(seen)) or _NO_FINDING}" for name, seen in forms.items())
    return build(seen=True, told=told, quirks=(("digest_prefix", "sha256: and 64 hex digits" in forms["Digest"]),))


def _digest_form(value: object) -> str:
    text = value if isinstance(value, str) else ""
    prefix, bare = text.lower().startswith("sha256:"), normalise_digest(text)
    if not text:
        return "absent"
    form = "64 hex digits" if re.fullmatch(r"[0-9a-f]{64}", bare) else f"{len(bare)} characters"
    return f"sha256: and {form}" if prefix else f"bare {form}"


def _numbers(material: Material) -> Observation:
    build = partial(Observation, "numbers-as-text", "Do numbers that are documented as such come as text?", gate="takes both for a number")
    names = ("Count", "UnprocessedNum", "FirstScanTime", "LastScanTime", "ScaProgress")
    rows = [material.image, *(row.fields for row in (*material.keys.rows, *material.rows))]
    kinds: dict[str, set[str]] = {}
    for row in rows:
        for name in names:
            if row.get(name) is not None:
                kinds.setdefault("text" if isinstance(row[name], str) else "number", set()).add(name)
    if not kinds:
        return build(seen=False, told="no number came to tell by")
    told = "; ".join(f"as {kind}: {', '.join(sorted(kinds[kind]))}" for kind in sorted(kinds))
    return build(seen=True, told=told, quirks=(("numbers_as_text", set(kinds) == {"text"}),))


def _beyond(material: Material) -> Observation:
    outcome = material.answers["page beyond the end"]
    build = partial(
        Observation,
        "page-beyond-end",
        "What is a page beyond the last one?",
        gate="never asks for one; whether a listing is whole is told by TotalCount alone",
    )
    if _failed(outcome):
        return build(seen=False, told=_said(outcome))
    again = "rows: a page that is there is served again" if isinstance(outcome, Answer) and outcome.rows else _said(outcome)
    return build(seen=True, told=again)


def _unknown_uuid(material: Material) -> Observation:
    outcomes = [material.answers[name] for name in ("keys of an unknown uuid", "files of an unknown uuid")]
    return Observation(
        "unknown-uuid",
        "Does a uuid of no image answer an empty list?",
        not _failed(*outcomes),
        f"by key: {_said(outcomes[0])}; files: {_said(outcomes[1])}",
        "asks by uuids only that a listing of images gave it in the same run, and looks again at the end: an empty list proves nothing",
    )


def _unknown_key(material: Material) -> Observation:
    outcome = material.answers["files of an unknown key"]
    told = "rows: the key is not looked at" if isinstance(outcome, Answer) and outcome.rows else _said(outcome)
    gate = "asks for keys that were listed; files of another key than was asked for are exit 23"
    return Observation("unknown-key", "What does a key that there is not answer?", not _failed(outcome), told, gate)


def _endpoints(material: Material) -> Observation:
    gate = "holds the registry of the reference against the hosts that it finds there; without any, the host is not told, and said so"
    told = _endpoints_form(material.image.get("Endpoints"))
    quirks = (("endpoints", "domains"),) if "objects with domains" in told else (("endpoints", "hosts"),) if "a text" in told else ()
    return Observation("endpoints-form", "How are the hosts of the registry told (Endpoints)?", True, told, gate, quirks)  # noqa: FBT003 - a field


def _endpoints_form(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        return "absent, or empty"
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        return "a bare text that is no JSON"
    if not isinstance(parsed, list):
        return "JSON, but no list"
    if not parsed:
        return "an empty list in JSON"
    kinds = {"a text" if isinstance(item, str) else _fields_of(item) for item in parsed}
    return f"a list in JSON, of {' and '.join(sorted(kinds))}"


def _fields_of(item: object) -> str:
    known = ("domains", "type", "internet", "vpc")
    if not isinstance(item, dict):
        return "neither texts nor objects"
    others = len(item.keys() - set(known))
    names = [*(name for name in known if name in item), *([f"{others} other fields"] if others else [])]
    return f"objects with {', '.join(names) or 'nothing'}"


def _date(material: Material) -> Observation:
    answers = [outcome for outcome in material.answers.values() if isinstance(outcome, Answer)]
    dated = sum(answer.server_ms is not None for answer in answers)
    told = {0: "no answer has one"}.get(dated, "every answer has one" if dated == len(answers) else "some answers have one")
    gate = "measures the age of a scan by it; without one the age is not known: max_scan_age is not proven, the findings are read again"
    return Observation("date-header", "Do answers come with a Date header?", bool(answers), told, gate)


def _criteria_names(material: Material) -> Observation:
    build = partial(
        Observation,
        "criteria-names",
        "Which criteria of DescribeImageInstances are supported?",
        gate="asks for the names, repoName where they cannot be asked for; rows are filtered exactly on this side whatever was matched",
    )
    parts: list[str] = []
    quirks: list[tuple[str, object]] = []
    for name, quirk in (("criteria of images", "image_criteria"), ("criteria of repositories", "repo_criteria")):
        outcome = material.answers[name]
        if not isinstance(outcome, Answer):
            parts.append(f"{name}: {_said(outcome)}")
            continue
        words = sorted({str(row["Name"]) for row in outcome.rows})
        known = [word for word in words if word in _CRITERIA]
        others = len(words) - len(known)
        parts.append(f"{name}: {', '.join([*known, *([f'{others} others'] if others else [])]) or 'none'}")
        quirks.append((quirk, known))
    parts.extend(f"{name}: {_found(material, name)}" for name in ("by repoName", "by an unknown criterion"))
    if isinstance(material.answers["by an unknown criterion"], RefusedError):
        quirks.append(("unsupported_criteria", "refuse"))
    elif _found(material, "by an unknown criterion") in {"found", "not on the first page"}:
        quirks.append(("unsupported_criteria", "ignore"))
    return build(seen=bool(quirks), told="; ".join(parts), quirks=tuple(quirks))


def _found(material: Material, name: str) -> str:
    """Say whether the image came back for criteria."""
    outcome = material.answers[name]
    if not isinstance(outcome, Answer):
        return _said(outcome)
    uuid = material.image["Uuid"]
    if any(row["Uuid"] == uuid for row in outcome.rows):
        return "found"
    # It may be on another page.
    return "not found" if len(outcome.rows) == _total(outcome) else "not on the first page"


def _matching(material: Material) -> Observation:
    gate = "filters the rows exactly on this side: fuzzy matching only costs pages"
    names = ("by part of repoName", "by two criteria", "by bare digest", "by digest with prefix")
    told = "; ".join(f"{name}: {_found(material, name)}" for name in names)
    part = material.answers["by part of repoName"]
    fuzzy = {"found": "fuzzy", "not found": "exact"}.get(_found(material, "by part of repoName"), "not told")
    return Observation("criteria-matching", "Do criteria match parts of values?", not _failed(part), f"{fuzzy}: {told}", gate)


def _scan_range(material: Material) -> Observation:
    gate = "asks for the image alone, with --include-containers for image and container; never relies on the default"
    outcomes = {name: material.answers[f"range {name}"] for name in ("none", "image", "both", "container")}
    words = []
    for name, outcome in outcomes.items():
        if isinstance(outcome, Answer):
            files = sum(to_int(row.get("Count")) or 0 for row in outcome.rows)
            words.append(f"{name}: {_total(outcome)} keys, {files} files on the first page")
        else:
            words.append(f"{name}: {_said(outcome)}")
    return Observation(
        "scan-range", "What does ScanRange change, and what is its default?", not _failed(*outcomes.values()), "; ".join(words), gate
    )


def _lang(material: Material) -> Observation:
    gate = "asks in the language of --lang; policies, fingerprints and comparisons never look at names"
    outcomes = {name: material.answers[f"lang {name}"] for name in ("none", "en", "zh")}
    build = partial(Observation, "lang", "What does Lang change, and what is its default?", gate=gate)
    if _failed(*outcomes.values()):
        return build(seen=False, told="; ".join(f"{name}: {_said(outcome)}" for name, outcome in outcomes.items()))
    words = {name: _language(outcome) for name, outcome in outcomes.items()}
    if not any(isinstance(outcome, Answer) and outcome.rows for outcome in outcomes.values()):
        return build(seen=False, told=_NO_FINDING)
    keys = {tuple(row["SensitiveFileKey"] for row in outcome.rows) for outcome in outcomes.values() if isinstance(outcome, Answer)}
    alike = "the keys are the same" if len(keys) == 1 else "the keys differ"
    return build(seen=True, told="; ".join([*(f"{name}: {word}" for name, word in words.items()), alike]))


def _language(outcome: Outcome) -> str:
    if not isinstance(outcome, Answer):
        return _said(outcome)
    names = [str(row.get("SensitiveFileName") or "") for row in outcome.rows]
    chinese = sum(bool(_HAN.search(name)) for name in names)
    if not any(names):
        return "no names"
    return "names without Chinese" if not chinese else "Chinese names" if chinese * 2 >= len(names) else "some Chinese names"


def _alike(material: Material) -> Observation:
    gate = "counts every row; where rows repeat across pages, only readings with different page sizes that agree are believed"
    build = partial(Observation, "alike-rows", "Are there rows that are alike in all that identifies them?", gate=gate)
    if not material.rows:
        return build(seen=False, told=_NO_FINDING)
    again = len(material.rows) - len({row.identity for row in material.rows})
    if not again:
        return build(seen=False, told=f"none among {len(material.rows)}")
    return build(seen=True, told=f"{again} of {len(material.rows)} rows repeat one that is there already")


def _risk_levels(material: Material) -> Observation:
    gate = (
        "takes a word in any case; one that is not documented is judged as unknown.risk_level of the policy says, a missing one is exit 23"
    )
    build = partial(Observation, "risk-levels", "Which risk levels are there?", gate=gate)
    words = {str(row.fields["RiskLevel"]) for row in material.rows}
    if not words:
        return build(seen=False, told=_NO_FINDING)
    known = sorted(word for word in words if word.strip().lower() in set(RiskLevel))
    others = len(words) - len(known)
    return build(seen=True, told=", ".join([*known, *([f"{others} others"] if others else [])]))


_STATUS = re.compile(r"[A-Za-z_]{1,40}")


def word_of(value: object) -> str | None:
    """Return a word of the service's vocabulary of states, or ``None`` where it is none."""
    return value if isinstance(value, str) and _STATUS.fullmatch(value) else None


def _scan_words(material: Material) -> Observation:
    gate = "lets ScaStatus lead, takes both vocabularies in any case, and waits on a status that it does not know"
    task = material.answers["latest task"]
    words = {name: word_of(material.image.get(name)) or "absent" for name in ("ScaStatus", "ScaResult")}
    latest = _said(task)
    if isinstance(task, Answer) and task.rows:
        latest = ", ".join(sorted({word_of(row["Status"]) or "another word" for row in task.rows}))
    told = f"ScaStatus {words['ScaStatus']}, ScaResult {words['ScaResult']}; latest task by digest: {latest}"
    return Observation("scan-words", "Which words tell the state of a scan?", seen=True, told=told, gate=gate)


def _precheck(material: Material) -> Observation:
    build = partial(
        Observation,
        "precheck-figures",
        "Which figure of PublicPreCheckImageScanTask is the quota that a scan takes, and which the number of images?",
        gate="takes the smaller one for what is surely needed",
    )
    outcome = material.answers["precheck"]
    if not isinstance(outcome, Answer):
        return build(seen=False, told=_said(outcome))
    need, images = (to_int(outcome.rows[0][name]) for name in ("NeedAuthCount", "ScanImageCount"))
    told = f"for one image NeedAuthCount is {need}, ScanImageCount {images}"
    # It is one image that was asked about: the figure that is 0 cannot be the number of images.
    quirk = {(0, 1): "by_name", (1, 0): "by_description"}.get((need or 0, images or 0))
    if quirk is None:
        return build(seen=False, told=f"{told}: alike for both meanings")
    return build(seen=True, told=f"{told}: {quirk.replace('_', ' ')}", quirks=(("precheck_figures", quirk),))


def _uuid_form(material: Material) -> Observation:
    uuid = str(material.image["Uuid"])
    dashed = re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", uuid)
    form = "32 hex digits" if re.fullmatch(r"[0-9a-f]{32}", uuid) else "hex digits with dashes" if dashed else "another form"
    return Observation("uuid-form", "What do the uuids of images look like?", seen=True, told=form, gate="never looks into one")


_EXPERIMENTS: dict[str, Callable[[Material], Observation]] = {
    "key-optional": _key_optional,
    "page-size": _page_size,
    "default-page-size": _default_page,
    "page-beyond-end": _beyond,
    "whitelisted-rows": _whitelisted,
    "count": _count_meaning,
    "numbers-as-text": _numbers,
    "digest-form": _digests,
    "uuid-form": _uuid_form,
    "endpoints-form": _endpoints,
    "unknown-uuid": _unknown_uuid,
    "unknown-key": _unknown_key,
    "criteria-names": _criteria_names,
    "criteria-matching": _matching,
    "scan-range": _scan_range,
    "scan-words": _scan_words,
    "precheck-figures": _precheck,
    "lang": _lang,
    "alike-rows": _alike,
    "risk-levels": _risk_levels,
    "date-header": _date,
}
