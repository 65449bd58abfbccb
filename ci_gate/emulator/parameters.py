"""Reading the parameters of a call strictly: unknown, repeated and malformed ones are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ci_gate.emulator.refusals import invalid_parameter, missing_parameter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Kind = Callable[[str, str], Any]

DEFAULT_PAGE_SIZE = 20
_MAX_INT32 = 2**31 - 1
_DIGEST = re.compile("[0-9a-f]{64}")
_IMAGE_TEXTS = frozenset({"registryType", "repoId", "instanceId", "repoNamespace", "regionId", "repoName", "digest"})
_IMAGE_TIMES = frozenset({"createTime", "updateTime"})


def text(_: str, value: str) -> str:
    """Accept any text."""
    return value


def count(name: str, value: str) -> int:
    """Accept a whole number from 1 on."""
    if not (value.isascii() and value.isdigit() and len(value) <= len(str(_MAX_INT32)) and 1 <= int(value) <= _MAX_INT32):
        raise invalid_parameter(name, "it is no number from 1 on")
    return int(value)


def flag(name: str, value: str) -> bool:
    """Accept ``true`` or ``false``."""
    if value.lower() not in {"true", "false"}:
        raise invalid_parameter(name, "it is neither true nor false")
    return value.lower() == "true"


def one_of(*words: str) -> Kind:
    """Return a kind that accepts some words."""

    def kind(name: str, value: str) -> str:
        if value not in words:
            raise invalid_parameter(name, f"it is none of {', '.join(words)}")
        return value

    return kind


def scan_range(name: str, value: str) -> frozenset[str]:
    """Accept a list in JSON of ``image`` and ``container``."""
    words = _json(name, value)
    if not isinstance(words, list) or not words or not all(word in ("image", "container") for word in words):
        raise invalid_parameter(name, "it is no list of image and container in JSON")
    return frozenset(words)


def criteria(name: str, value: str) -> tuple[Mapping[str, str], ...]:
    """Accept a list in JSON of ``{"name":…,"value":…}``."""
    listed = _json(name, value)
    if not isinstance(listed, list) or not all(_is_criterion(one) for one in listed):
        raise invalid_parameter(name, "it is no list of objects with name, value and, where wanted, logicalExp in JSON")
    return tuple(listed)


def _is_criterion(one: object) -> bool:
    return (
        isinstance(one, dict)
        and {"name", "value"} <= one.keys() <= {"name", "value", "logicalExp"}
        and all(isinstance(value, str) for value in one.values())
    )


def list_of(*words: str) -> Kind:
    """Return a kind that accepts a list with commas: of some words, or, without any, of any texts."""

    def kind(name: str, value: str) -> tuple[str, ...]:
        parts = tuple(value.split(","))
        if not all(parts) or (words and not set(parts) <= set(words)):
            raise invalid_parameter(name, f"it is no list with commas of {', '.join(words) or 'texts that are not empty'}")
        return parts

    return kind


def images(name: str, value: str) -> tuple[Mapping[str, Any], ...]:
    """Accept a list in JSON of images; return their fields as the documented example spells them, where the description has capitals."""
    listed = _json(name, value)
    if not isinstance(listed, list) or not listed or not all(isinstance(one, dict) for one in listed):
        raise invalid_parameter(name, "it is no list of objects in JSON")
    return tuple(_image(name, {field[:1].lower() + field[1:]: part for field, part in one.items()}) for one in listed)


def _image(name: str, image: Mapping[str, Any]) -> Mapping[str, Any]:
    if missing := sorted(_IMAGE_TEXTS - image.keys()):
        raise invalid_parameter(name, f"an image has no {missing[0]}")
    for field, part in image.items():
        if field not in {*_IMAGE_TEXTS, *_IMAGE_TIMES, "tag"}:
            raise invalid_parameter(name, f"an image has no field {field[:40]!r}")
        is_time = field in _IMAGE_TIMES
        if not isinstance(part, int if is_time else str) or isinstance(part, bool) or (not is_time and part == "" and field != "tag"):
            raise invalid_parameter(name, f"{field} of an image is no {'number' if is_time else 'text with something in it'}")
    if image["registryType"] not in {"acr", "harbor", "quay"}:
        raise invalid_parameter(name, "registryType of an image is none of acr, harbor, quay")
    if not _DIGEST.fullmatch(image["digest"]):
        raise invalid_parameter(name, "digest of an image is no bare SHA-256 in lower-case hex")
    return image


def _json(name: str, value: str) -> object:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise invalid_parameter(name, "it is no JSON") from None


LANG: Mapping[str, Kind] = {"Lang": one_of("zh", "en")}
PAGING: Mapping[str, Kind] = {"CurrentPage": count, "PageSize": count}


def read_parameters(kinds: Mapping[str, Kind], required: Iterable[str], given: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the values of the parameters that are given.

    :param kinds: the parameters of the call, with how each one is read.
    :raises RefusalError: if one is unknown, repeated, malformed or missing.
    """
    values: dict[str, Any] = {}
    for name, value in given:
        if name not in kinds:
            raise invalid_parameter(name, "the action has no such parameter")
        if name in values:
            raise invalid_parameter(name, "it is given twice")
        values[name] = kinds[name](name, value)
    for name in required:
        if not values.get(name):
            raise missing_parameter(name)
    return values
