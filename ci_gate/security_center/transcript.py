"""What a probe saw, as a world file that can be attached to a bug report: placeholders stand for all names, paths and digests."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections import Counter
from typing import TYPE_CHECKING

from ci_gate.catalog import load_catalog
from ci_gate.model import RiskLevel
from ci_gate.security_center.contracts import Answer, to_int
from ci_gate.security_center.probe import word_of
from ci_gate.security_center.repositories import hosts_of, namespace_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci_gate.security_center.contracts import JsonObject
    from ci_gate.security_center.paging import Row
    from ci_gate.security_center.probe import Material, Observation

_MAX_FINDINGS = 2000
_MAX_TIMES = 1000  # of one entry of a world file
_REGISTRY_TYPES = {"acr", "harbor", "quay", "CI/CD"}
_REGION = re.compile(r"[a-z]{2}-[a-z]{2,20}(-[a-z0-9]{1,10}){0,2}")
_MS_PER_MINUTE = 60_000


class _Placeholders:
    """Stands for the names of one image: the same name always has the same placeholder, and only who knows the image can test a guess."""

    def __init__(self, image: JsonObject) -> None:
        self._key = f"{image['Uuid']}|{image.get('Digest')}".encode("utf-8", "surrogatepass")

    def hex(self, kind: str, name: object, digits: int) -> str:
        text = f"{kind}|{name}".encode("utf-8", "surrogatepass")
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()[:digits]

    def reference(self, image: JsonObject) -> str:
        namespace = namespace_of(image)
        parts = ["registry.example.com"]
        if namespace:
            parts.append(f"ns-{self.hex('namespace', namespace, 8)}")
        tag = self.hex("tag", image.get("Tag"), 8)
        return f"{'/'.join(parts)}/repo-{self.hex('repository', image.get('RepoName'), 8)}:tag-{tag}"

    def uuid(self, uuid: str) -> str:
        digits = self.hex("uuid", uuid, 32)
        dashed = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
        return dashed if "-" in uuid else digits

    def sensitive_key(self, key: str) -> str:
        """Return a key that is documented as it is: it names a kind of file. One that is not could be the user's own word."""
        return key if load_catalog().find(key) else f"undocumented_key_{self.hex('key', key, 8)}"


def placeholder_reference(material: Material) -> str:
    """Return the reference under which the image stands in the transcript."""
    names = _Placeholders(material.image)
    return f"{names.reference(material.image)}@sha256:{names.hex('digest', material.image.get('Digest'), 64)}"


def transcript(material: Material, observations: Sequence[Observation], header: Sequence[str], region: str) -> str:
    """Return the transcript: what each experiment saw as comments, and the world that answers alike.

    :param header: lines about the run: versions, endpoint.
    """
    comments = [
        "Transcript of `ci-gate doctor --probe`. No secret is in it; placeholders stand for all names, paths, digests and ids.",
        *header,
        "It is a world file. To ask the embedded endpoint the same:",
        f"  ci-gate doctor --emulate THIS_FILE --probe {placeholder_reference(material)}",
        "",
        *(line for one in observations for line in _told(one)),
        *(f"not read to the end: {cause.what}" for cause in material.causes),
    ]
    quirks = dict(quirk for one in observations for quirk in one.quirks)
    body = [
        "version: 1",
        f"region: {json.dumps(region if _REGION.fullmatch(region) else 'cn-shanghai')}",
        "images:",
        *_image(material),
        "quirks:" if quirks else "quirks: {}",
        *(f"  {name}: {json.dumps(value)}" for name, value in quirks.items()),
    ]
    return "\n".join([*(_comment(line) for line in comments), *body]) + "\n"


def _told(one: Observation) -> tuple[str, ...]:
    return (f"{one.experiment}: {one.question}", f"  {'seen' if one.seen else 'not seen'}: {one.told}", f"  the gate {one.gate}", "")


def _comment(line: str) -> str:
    """Return a comment of printable ASCII on one line."""
    plain = line.encode("ascii", "backslashreplace").decode("ascii")
    return f"# {''.join(char if char.isprintable() else '?' for char in plain)}".rstrip()


def _image(material: Material) -> Iterator[str]:
    """Yield the lines of the image."""
    image, names = material.image, _Placeholders(material.image)
    region, kind = str(image.get("RegionId")), str(image.get("RegistryType"))
    fields: JsonObject = {
        "reference": names.reference(image),
        "digest": names.hex("digest", image.get("Digest"), 64),
        "uuid": names.uuid(image["Uuid"]),
        "registry_type": kind if kind in _REGISTRY_TYPES else "acr",
        "instance_id": f"cri-{names.hex('instance', image.get('InstanceId'), 12)}",
        "region_id": region if _REGION.fullmatch(region) else "cn-hangzhou",
        "scan": [_stage(material)],
        "quota_paid": _costs_nothing(material),
    }
    if not hosts_of(image):
        fields["endpoints"] = []
    first, *rest = (f"{name}: {json.dumps(value)}" for name, value in fields.items())
    yield f"  - {first}"
    yield from (f"    {line}" for line in rest)
    findings = list(_findings(material, names))
    if len(findings) > _MAX_FINDINGS:
        yield f"    # {len(findings) - _MAX_FINDINGS} more findings are left out"
    yield "    findings:" if findings else "    findings: []"
    yield from (f"      - {json.dumps(finding)}" for finding in findings[:_MAX_FINDINGS])


def _stage(material: Material) -> JsonObject:
    image = material.image
    if not image.get("ScaStatus"):
        return {"status": None, "progress": None, "last": None}
    now = next((answer.server_ms for answer in material.answers.values() if isinstance(answer, Answer) and answer.server_ms), None)
    last = to_int(image.get("LastScanTime"))
    minutes = None if now is None or last is None else min(999_999, round(max(0, now - last) / _MS_PER_MINUTE))
    percent = to_int(image.get("ScaProgress"))
    return {
        "status": word_of(image["ScaStatus"]) or "ANOTHER_WORD",
        "result": word_of(image.get("ScaResult")),
        "progress": None if percent is None else min(100, max(0, percent)),
        "last": None if last is None else "2h ago" if minutes is None else f"{minutes}m ago",
    }


def _costs_nothing(material: Material) -> bool:
    """Whether one of the figures of the precheck is 0: then another scan of the image takes nothing from the quota."""
    outcome = material.answers["precheck"]
    return isinstance(outcome, Answer) and 0 in {to_int(outcome.rows[0][name]) for name in ("NeedAuthCount", "ScanImageCount")}


def _findings(material: Material, names: _Placeholders) -> Iterator[JsonObject]:
    """Yield the findings as entries of a world file, alike rows as one; whitelisted are as many of a key as its counts say."""
    processed = {
        str(row.fields["SensitiveFileKey"]): (to_int(row.fields.get("Count")) or 0) - (to_int(row.fields.get("UnprocessedNum")) or 0)
        for row in material.keys.rows
        if row.fields.get("UnprocessedNum") is not None
    }
    for listing in material.files:
        left = max(0, processed.get(str(dict(listing.request.parameters)["SensitiveFileKey"]), 0))
        times = Counter(row.identity for row in listing.rows)
        for row in {row.identity: row for row in listing.rows}.values():
            here = min(left, times[row.identity])
            left -= here
            yield from _entries(row, names, here, whitelisted=True)
            yield from _entries(row, names, times[row.identity] - here, whitelisted=False)


def _entries(row: Row, names: _Placeholders, times: int, *, whitelisted: bool) -> Iterator[JsonObject]:
    fields = row.fields
    level = str(fields["RiskLevel"]).strip()
    entry: JsonObject = {
        "key": names.sensitive_key(str(fields["SensitiveFileKey"])),
        "path": f"/hidden/{names.hex('path', fields['FilePath'], 16)}",
        "risk_level": level if level.lower() in set(RiskLevel) else f"level-{names.hex('level', level, 4)}",
        "md5": names.hex("md5", fields["Md5"], 32) if fields.get("Md5") else "",
    }
    if fields.get("LayerDigest"):
        entry["layer"] = names.hex("layer", fields["LayerDigest"], 64)
    if whitelisted:
        entry["whitelisted"] = True
    while times > 0:
        yield {**entry, "times": min(times, _MAX_TIMES)} if times > 1 else entry
        times -= _MAX_TIMES
