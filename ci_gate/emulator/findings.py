"""The findings of an image as the service's rows: listed ones, and ones made up by a rule."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from ci_gate.catalog import catalog_keys, load_catalog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci_gate.emulator.account import Whitelist
    from ci_gate.emulator.fields import JsonObject
    from ci_gate.emulator.images import Finding, Image
    from ci_gate.emulator.world import World

_LAYERS = 8
_FOLDERS = ("app", "srv", "opt/service", "root", "home/build", "usr/local/share", "var/lib/app", "etc")
_ADVICE = {
    "en": "Assess risks based on business conditions, remove risky content, and rebuild the image.",
    "zh": "根据业务情况评估风险，及时移除风险内容，并重新构建镜像。",  # noqa: RUF001 - Chinese punctuation
}
_DESCRIPTION = {"en": "Verify the validity of the leaked content.", "zh": "请确认泄露内容的有效性。"}
_CLASSES = (("private_key", "certificate"), ("pem", "certificate"), ("token", "token"), ("_cfg", "config"))


@dataclass(frozen=True, slots=True)
class Row:
    """A finding ready to be served; texts that are ``None`` depend on the language of the call."""

    key: str
    path: str
    risk_level: str
    md5: str
    layer: str
    excerpt: str
    name: str | None = None
    advice: str | None = None
    description: str | None = None
    in_container: bool = False
    whitelisted: bool = False


def rows_of(image: Image, world: World) -> tuple[Row, ...]:
    """Return what a scan of the image finds under the world's rules, in the order in which it is served."""
    if world.account.sensitive_scan == "off":
        return ()
    off = set(world.rules_off)
    rows = [row for finding in image.findings for row in _listed(finding, image, world)]
    rows.extend(_generated(image, world))
    return tuple(row for row in rows if row.key not in off)


def _listed(finding: Finding, image: Image, world: World) -> Iterator[Row]:
    path = finding.file_path
    md5 = _md5(image.digest, path) if finding.md5 is None else finding.md5
    excerpt = _fake_excerpt(f"{finding.key}{path!r}") if finding.excerpt is None else finding.excerpt
    row = Row(
        finding.key,
        path,
        finding.risk_level,
        md5,
        finding.layer or _layer(image.digest, 0),
        world.quirks.canary + excerpt,
        finding.name,
        finding.advice,
        finding.description,
        finding.found_in == "container",
        finding.whitelisted or _is_ignored(finding.key, path, md5, image, world.whitelists),
    )
    yield from (row for _ in range(finding.times))


def _generated(image: Image, world: World) -> Iterator[Row]:
    rule = image.generate
    if rule is None:
        return
    keys = catalog_keys() if rule.keys == "all" else rule.keys
    layers = [_layer(image.digest, number) for number in range(_LAYERS)]
    dice = random.Random(rule.seed)  # noqa: S311 - it makes up paths, no secrets
    for number in range(rule.count):
        key = keys[number % len(keys)]
        path = f"/{dice.choice(_FOLDERS)}/{dice.getrandbits(24):06x}/{number:06d}-{key.lower()}"
        md5 = f"{dice.getrandbits(128):032x}"
        level = rule.risk_levels[number % len(keys) % len(rule.risk_levels)]
        excerpt = f"{world.quirks.canary}FAKE{dice.getrandbits(32):08x}********"
        yield Row(key, path, level, md5, dice.choice(layers), excerpt, whitelisted=_is_ignored(key, path, md5, image, world.whitelists))


def _is_ignored(key: str, path: str, md5: str, image: Image, whitelists: tuple[Whitelist, ...]) -> bool:
    """Whether a whitelist of the account matches a finding."""
    _, namespace, repository, _ = image.parts
    file = {"MD5": md5, "PATH": path}
    return any(
        rule.source == "default"
        and rule.event_key.lower() == key.lower()
        and (rule.scenario.type == "default" or rule.scenario.value == f"{namespace}/{repository}".lstrip("/"))
        and all(file[one.condition] == one.value if one.type == "equals" else one.value in file[one.condition] for one in rule.conditions)
        for rule in whitelists
    )


def file_row(row: Row, lang: str, first_ms: int, last_ms: int, digest_prefix: str) -> JsonObject:
    """Return a finding as a row of ``DescribeImageSensitiveFileByKey``; times are milliseconds since the epoch."""
    fields: JsonObject = {
        "FilePath": row.path,
        "LayerDigest": digest_prefix + row.layer,
        "Promt": row.excerpt,
        "Advice": _ADVICE[lang] if row.advice is None else row.advice,
        "RiskLevel": row.risk_level,
        "SensitiveFileKey": row.key,
        "SensitiveFileName": key_name(row.key, lang) if row.name is None else row.name,
        "FirstScanTime": first_ms,
        "LastScanTime": last_ms,
        "Description": _DESCRIPTION[lang] if row.description is None else row.description,
    }
    return {**fields, "Md5": row.md5} if row.md5 else fields


def key_row(rows: list[Row], lang: str, first_ms: int, last_ms: int) -> JsonObject:
    """Return the findings of one key as a row of ``DescribeImageSensitiveFileList``."""
    ranks = {"high": 0, "medium": 1, "low": 2}
    key, unprocessed = rows[0].key, sum(not row.whitelisted for row in rows)
    return {
        "RiskLevel": min((row.risk_level for row in rows), key=lambda level: ranks.get(level, -1)),
        "SensitiveFileKey": key,
        "SensitiveFileName": key_name(key, lang),
        "FirstScanTime": first_ms,
        "LastScanTime": last_ms,
        "Count": len(rows),
        "ClassKey": class_of(key),
        "ClassName": class_of(key),
        "UnprocessedNum": unprocessed,
        "Advice": _ADVICE[lang],
        "Description": _DESCRIPTION[lang],
        "Status": 0 if unprocessed else 1,
    }


def key_name(key: str, lang: str) -> str:
    """Return the name of a key in ``zh`` or ``en``; of a key that is not documented, the key."""
    entry = load_catalog().find(key)
    if entry is None:
        return key
    return entry.name_en if lang == "en" else entry.name_zh


def class_of(key: str) -> str:
    """Return a class for a key. The real classes are not documented; ``password`` is the example."""
    return next((name for part, name in _CLASSES if part in key), "password")


def _md5(digest: str, path: str) -> str:
    return hashlib.md5(f"{digest}|{path!r}".encode(), usedforsecurity=False).hexdigest()


@cache
def _layer(digest: str, number: int) -> str:
    return hashlib.sha256(f"layer {number} of {digest}".encode()).hexdigest()


def _fake_excerpt(seed: str) -> str:
    return f"FAKE{hashlib.sha256(seed.encode()).hexdigest()[:8]}********"
