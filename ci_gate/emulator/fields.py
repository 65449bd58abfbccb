"""The strict base of every world-file model, and the field types that they share."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator

JsonObject = dict[str, Any]

_AGO = re.compile(r"(?P<number>[0-9]{1,6}(?:\.[0-9]{1,3})?)\s*(?P<unit>ms|s|m|h|d) ago")
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Strict(BaseModel):
    """A frozen model without conversions and without unknown fields: a typo in a world file is an error."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, use_attribute_docstrings=True)


def moment_ms(text: str, now_ms: int) -> int:
    """Return a moment as milliseconds since the epoch.

    :param text: ``now``, ``2h ago`` (ms, s, m, h, d), or ISO 8601; without a zone it is UTC.
    :raises ValueError: if it is none of these.
    """
    if text == "now":
        return now_ms
    match = _AGO.fullmatch(text)
    if match:
        return now_ms - int(timedelta(**{_UNITS[match["unit"]]: float(match["number"])}) / timedelta(milliseconds=1))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:60]!r} is no time: write it like '2h ago', 'now' or 2026-11-24T08:00:00Z") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _is_moment(text: str) -> str:
    moment_ms(text, 0)
    return text


def _any_text(value: object) -> str:
    """Accept any text, lone surrogates too: pydantic's own ``str`` refuses those, and images hold such paths."""
    if not isinstance(value, str):
        raise ValueError("this is no text")  # noqa: TRY004 - pydantic turns only ValueError into a located error
    return value


Action = Literal[
    "*",
    "DescribeImageSensitiveFileList",
    "DescribeImageSensitiveFileByKey",
    "DescribeImageInstances",
    "DescribeImageInfoList",
    "DescribeImageCriteria",
    "DescribeImageRepoDetailList",
    "DescribeImageRepoCriteria",
    "DescribeImageLatestScanTask",
    "DescribeImageScanAuthCount",
    "PublicPreCheckImageScanTask",
    "PublicCreateImageScanTask",
    "PublicSyncAndCreateImageScanTask",
    "GetSensitiveDefineRuleConfig",
    "DescribeImageEventOperationPage",
]
"""A call that the endpoint answers, or all of them."""

Moment = Annotated[str, AfterValidator(_is_moment), Field(examples=["2h ago", "2026-11-24T08:00:00Z"])]
"""A time: ``now``, ``2h ago`` or ISO 8601."""

RawText = Annotated[str, PlainValidator(_any_text, json_schema_input_type=str)]
"""Text of any characters at all."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 as bare lower-case hex."""
