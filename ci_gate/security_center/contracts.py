"""What each answer of the service must hold, judged on the raw JSON before the SDK's models turn ``{}`` into "no findings".

Field names and types are those of the API metadata of Security Center (`Sas`, version 2018-12-03).
There is no check that fits all calls: most have neither ``Success`` nor ``Code``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Never

from ci_gate.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Kind = Callable[[Any], bool]

JsonObject = dict[str, Any]

REPORT_IT = (
    "Nothing can be concluded from this answer. Check that the endpoint is Security Center's and that no proxy rewrites answers; "
    "if both are right, report it with the request id."
)
_FIRST_MOMENT_MS = 1_500_000_000_000  # July 2017, before there was this API: an earlier time, or one in seconds, tells nothing
_INT64 = 2**63


def is_text(value: object) -> bool:
    """Whether the value is text with something in it."""
    return isinstance(value, str) and value.strip() != ""


def is_word(value: object) -> bool:
    """Whether the value is text that can be sent back as a parameter: a lone surrogate cannot."""
    return is_text(value) and isinstance(value, str) and (value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value))


def word(text: str) -> str:
    """Return a word of the service in upper case; a text that is not ASCII is none, though other letters have ASCII upper cases."""
    return text.strip().upper() if text.isascii() else text


def is_any_text(value: object) -> bool:
    """Whether the value is text, empty or not."""
    return isinstance(value, str)


def is_count(value: object) -> bool:
    """Whether the value is a whole number of zero or more, or a text of one: numbers that come as text are numbers."""
    number = to_int(value)
    return number is not None and number >= 0


def is_count_or_none(value: object) -> bool:
    """Whether the value is a count, or an empty text where there is none yet."""
    return value == "" or is_count(value)


def is_flag(value: object) -> bool:
    """Whether the value is a truth value, or the text of one."""
    return to_bool(value) is not None


def is_list(value: object) -> bool:
    """Whether the value is a list."""
    return isinstance(value, list)


def to_int(value: object) -> int | None:
    """Return a number, or the number that a text spells, or ``None``."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if -_INT64 <= value < _INT64 else None
    if isinstance(value, str) and 0 < len(value) <= 20 and value.isascii() and value.removeprefix("-").isdigit():  # noqa: PLR2004 - digits of an int64
        return to_int(int(value))
    return None


def to_moment(value: object) -> int | None:
    """Return a time in milliseconds since the epoch, or ``None`` where it can be none."""
    number = to_int(value)
    return number if number is not None and number >= _FIRST_MOMENT_MS else None


def to_bool(value: object) -> bool | None:
    """Return a truth value, or the one that a text spells, or ``None``."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class Contract:
    """What the answer of one call must hold.

    ``rows`` and ``page_info`` are paths into the answer; ``row`` and ``optional_row`` name the fields of a row and how each is judged.
    An optional field may be absent or null, but not of another kind. Where ``single``, there is one object in the place of rows.
    """

    action: str
    rows: tuple[str, ...]
    page_info: tuple[str, ...] | None = None
    row: Mapping[str, Kind] = field(default_factory=dict)
    optional_row: Mapping[str, Kind] = field(default_factory=dict)
    has_success: bool = True
    single: bool = False


_PAGE_INFO = ("PageInfo",)

CONTRACTS: dict[str, Contract] = {
    contract.action: contract
    for contract in (
        Contract(
            "DescribeImageSensitiveFileList",
            ("SensitiveFileList",),
            _PAGE_INFO,
            {"SensitiveFileKey": is_word},
            {"Count": is_count, "UnprocessedNum": is_count, "RiskLevel": is_any_text},
        ),
        Contract(
            "DescribeImageSensitiveFileByKey",
            ("SensitiveFileList",),
            _PAGE_INFO,
            {"FilePath": is_any_text, "SensitiveFileKey": is_word, "RiskLevel": is_text},
            {
                "LayerDigest": is_any_text,
                "Md5": is_any_text,
                "SensitiveFileName": is_any_text,
                "Advice": is_any_text,
                "Description": is_any_text,
                "FirstScanTime": is_count,
                "LastScanTime": is_count,
            },
        ),
        Contract(
            "DescribeImageInstances",
            ("ImageInstanceList",),
            _PAGE_INFO,
            # Other images of the account may lack what the asked one needs: what has no digest or name matches nothing.
            {"Uuid": is_word},
            {
                "Digest": is_any_text,
                "RepoName": is_any_text,
                "ScaStatus": is_any_text,
                "ScaResult": is_any_text,
                "ScaProgress": is_count,
                "LastScanTime": is_count,
                "RepoNamespace": is_any_text,
                "Tag": is_any_text,
                "Endpoints": is_any_text,
                "InstanceId": is_any_text,
                "RepoId": is_any_text,
                "RegionId": is_any_text,
                "RegistryType": is_any_text,
            },
            has_success=False,
        ),
        Contract(
            "DescribeImageInfoList",
            ("ImageInfos",),
            None,
            {"Uuid": is_word, "Digest": is_word, "RepoName": is_word},
            {"RepoNamespace": is_any_text, "Tag": is_any_text, "Endpoints": is_any_text},
            has_success=False,
        ),
        Contract(
            "GetSensitiveDefineRuleConfig",
            ("Data", "RuleTree"),
            None,
            {"RuleList": is_list},
        ),
        Contract(
            "DescribeImageEventOperationPage",
            ("Data", "List"),
            ("Data", "PageInfo"),
            {},
            {"Conditions": is_any_text, "Scenarios": is_any_text, "EventKey": is_any_text, "Source": is_any_text},
        ),
        Contract(
            "DescribeImageRepoDetailList",
            ("ImageRepoResponses",),
            _PAGE_INFO,
            {},
            dict.fromkeys(("RepoName", "RepoNamespace", "RepoId", "InstanceId", "RegionId", "RegistryType", "Endpoints"), is_any_text),
            has_success=False,
        ),
        Contract("DescribeImageCriteria", ("CriteriaList",), None, {"Name": is_word}, has_success=False),
        Contract("DescribeImageRepoCriteria", ("CriteriaList",), None, {"Name": is_word}, has_success=False),
        Contract(
            "DescribeImageLatestScanTask",
            ("Task",),
            None,
            {"Status": is_text},
            {"TaskId": is_any_text, "Target": is_any_text, "StartTime": is_count_or_none, "FinishTime": is_count_or_none},
            has_success=False,
        ),
        Contract(
            "PublicSyncAndCreateImageScanTask",
            ("Data",),
            None,
            {},
            {"TaskId": is_any_text, "Status": is_any_text, "Result": is_any_text, "CanCreate": is_flag, "Progress": is_count},
            has_success=False,
            single=True,
        ),
        Contract(
            "PublicPreCheckImageScanTask",
            ("Data",),
            None,
            {"NeedAuthCount": is_count, "ScanImageCount": is_count},
            has_success=False,
            single=True,
        ),
        Contract(
            "DescribeImageScanAuthCount",
            ("ImageScan",),
            None,
            {"ImageScanCapacity": is_count, "ScanCount": is_count},
            has_success=False,
            single=True,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class PageInfo:
    """The paging figures that an answer echoes; ``total`` is ``TotalCount``."""

    current_page: int
    page_size: int
    total: int


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that keeps its contract. ``server_ms`` is the server's ``Date``, milliseconds since the epoch, where it sent one."""

    action: str
    rows: tuple[JsonObject, ...]
    page_info: PageInfo | None
    request_id: str | None
    server_ms: int | None


def parse_json(raw: bytes) -> object:
    """Parse an answer's body strictly: UTF-8, no duplicate fields, no NaN.

    :raises ValueError: if it is not JSON in that sense; the message holds nothing of the body.
    """

    def no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
        fields = dict(pairs)
        if len(fields) != len(pairs):
            raise ValueError("a field stands twice in one object")
        return fields

    def no_constant(_: str) -> Never:
        raise ValueError("a number is not finite")

    try:
        return json.loads(raw.decode("utf-8-sig"), object_pairs_hook=no_duplicates, parse_constant=no_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it stops being JSON at line {error.lineno}, column {error.colno}") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except ValueError as error:
        # Python's own words about a number with thousands of digits are no help here.
        raise ValueError("a number is too long" if "integer string" in str(error) else str(error)) from None


def judge(action: str, body: object, request_id: str | None, server_ms: int | None) -> Answer:
    """Hold a raw JSON answer against the contract of its call.

    :raises ProtocolError: naming the call, the field and what is wrong with it. No value of the answer is quoted.
    """
    contract = CONTRACTS[action]

    def broken(what: str) -> ProtocolError:
        return ProtocolError(f"the answer breaks the contract of the call: {what}", advice=REPORT_IT, action=action, request_id=request_id)

    if not isinstance(body, dict):
        raise broken(f"it is {_kind(body)}, not an object")
    if contract.has_success and "Success" not in body:
        raise broken("Success is missing")
    if contract.has_success and "Code" not in body:
        raise broken("Code is not 200")
    # A call that documents none of these and answers with one all the same must still say that it went well.
    if "Success" in body and to_bool(body["Success"]) is not True:
        raise broken("Success is not true")
    for name in ("Code", "HttpStatusCode"):
        if name in body and str(body[name]) != "200":
            raise broken(f"{name} is not 200")
    found = _dig(body, contract.rows, broken)
    place = ".".join(contract.rows)
    rows: list[Any] = [found]
    if not contract.single:
        if not isinstance(found, list):
            raise broken(f"{place} is {_kind(found)}, not a list")
        rows = found
    for number, row in enumerate(rows, 1):
        _judge_row(row, contract, place if contract.single else f"{place}[{number}]", broken)
    page_info = _page_info(_dig(body, contract.page_info, broken), broken) if contract.page_info else None
    return Answer(action, tuple(rows), page_info, request_id, server_ms)


def _judge_row(row: object, contract: Contract, where: str, broken: Callable[[str], ProtocolError]) -> None:
    if not isinstance(row, dict):
        raise broken(f"{where} is {_kind(row)}, not an object")
    for name, fits in contract.row.items():
        if name not in row:
            raise broken(f"{where}.{name} is missing")
        if not fits(row[name]):
            raise broken(f"{where}.{name} is {_kind(row[name])}")
    for name, fits in contract.optional_row.items():
        if row.get(name) is not None and not fits(row[name]):
            raise broken(f"{where}.{name} is {_kind(row[name])}")


def _page_info(info: object, broken: Callable[[str], ProtocolError]) -> PageInfo:
    if not isinstance(info, dict):
        raise broken(f"PageInfo is {_kind(info)}, not an object")
    figures = []
    for name in ("CurrentPage", "PageSize", "TotalCount"):
        number = to_int(info.get(name))
        if number is None or number < 0:
            raise broken(f"PageInfo.{name} is {_kind(info[name])}, not a count" if name in info else f"PageInfo.{name} is missing")
        figures.append(number)
    return PageInfo(*figures)


def _dig(body: JsonObject, path: tuple[str, ...], broken: Callable[[str], ProtocolError]) -> object:
    found: object = body
    for depth, name in enumerate(path, 1):
        if not isinstance(found, dict) or name not in found:
            raise broken(f"{'.'.join(path[:depth])} is missing")
        found = found[name]
    return found


def _kind(value: object) -> str:
    """Name the kind of a value, never the value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, str):
        return "an empty text" if not value.strip() else "a text of another form"
    return {dict: "an object", list: "a list", int: "a number of another form", float: "a fraction"}.get(type(value), "of another kind")
