"""A saved result document, read back: strictly, within limits, and without quoting it. Pure."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

from ci_gate import __version__
from ci_gate.errors import Cause, ExitCode, InvalidDocumentError
from ci_gate.result_document.shapes import SCHEMA_VERSION, ResultDocument, adapters

if TYPE_CHECKING:
    from pydantic import TypeAdapter

MAX_BYTES = 512 * 1024 * 1024
_MAX_PROBLEMS = 10
_MAX_NESTING = 50
_MAX_FIELDS = 100  # of one object; no shape has more than 20
_MAX_HOLDERS = 5_000_000  # lists and objects: a finding is one, in some 600 bytes
_CHUNK = 1_000
_UNCHANGED = "Give the file that `-o json=…` wrote, unchanged."


def read_document(raw: bytes, origin: str) -> ResultDocument:
    """Read a document that :func:`render_json` wrote. Its texts are kept exactly, lone surrogates too.

    :param origin: what messages call it, such as its path.
    :raises InvalidDocumentError: if it is too large, no JSON, or not a document of this version; no message quotes more of it than
        the names of fields.
    """
    value = _parse(raw, origin)
    if not isinstance(value, dict) or "schema_version" not in value:
        raise InvalidDocumentError("it is no result of ci-gate: there is no schema_version", advice=_UNCHANGED, where=origin)
    version = value["schema_version"]
    if type(version) is not int or version != SCHEMA_VERSION:
        what = f"the document has another schema_version than {SCHEMA_VERSION}, which is what this ci-gate reads"
        raise InvalidDocumentError(what, advice="Use the version of ci-gate that wrote the document.", where=origin)
    problems = _problems(value)
    if problems:
        advice = _advice(value)
        raise InvalidDocumentError.of(Cause(ExitCode.POLICY_INVALID, problem, advice, where=origin) for problem in problems)
    return cast("ResultDocument", value)


class _RefusedError(ValueError):
    """JSON that Python alone would take."""


def _parse(raw: bytes, origin: str) -> object:
    """Return the value of a JSON text.

    :raises InvalidDocumentError: if it is too large, or no strict JSON in UTF-8.
    """
    if len(raw) > MAX_BYTES:
        raise InvalidDocumentError(f"the document is larger than {MAX_BYTES // 1024**2} MiB", advice=_UNCHANGED, where=origin)
    if raw.count(b"{") + raw.count(b"[") > _MAX_HOLDERS:
        what = f"the document holds more than {_MAX_HOLDERS} lists and objects"
        raise InvalidDocumentError(what, advice=_UNCHANGED, where=origin)
    where = origin
    try:
        value: object = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite)
    except UnicodeDecodeError as error:
        why = f"byte {error.start + 1} is no UTF-8"
    except json.JSONDecodeError as error:
        where, why = f"{origin}:{error.lineno}:{error.colno}", error.msg
    except RecursionError:
        why = "it is nested too deeply"
    except _RefusedError as error:
        why = str(error)
    except ValueError:  # Python reads no number of more than some thousand digits
        why = "a number has too many digits"
    else:
        return value
    raise InvalidDocumentError(f"the document is no JSON that can be read: {why}", advice=_UNCHANGED, where=where)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(pairs) > _MAX_FIELDS:
        raise _RefusedError(f"an object has more than {_MAX_FIELDS} fields")
    found = dict(pairs)
    if len(found) != len(pairs):
        name = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise _RefusedError(f"the field {_named(name)} is there twice in one object")
    return found


def _refuse_constant(name: str) -> object:
    raise _RefusedError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _RefusedError("a number is too large")
    return number


def _problems(document: dict[str, Any]) -> list[str]:
    """Say what is wrong with the shape of a document; the first ten. Findings are looked at apart: they are never all copied."""
    documents, findings = adapters()
    images = document.get("images")
    shown = [_bare(image) for image in images] if isinstance(images, list) else images
    problems = _shape_problems(documents, [{**document, "images": shown}])
    if problems:
        return problems
    for number, image in enumerate(document["images"]):
        rows = image["findings"]
        for start in range(0, len(rows), _CHUNK):
            problems = _shape_problems(findings, rows[start : start + _CHUNK], f"images[{number}].findings", start)
            if problems:
                return problems
    nested = _nests_deeper(document["policy"]["effective"], _MAX_NESTING)
    return [f"policy.effective is nested more than {_MAX_NESTING} levels deep"] if nested else []


def _bare(image: object) -> object:
    """Return an image without its findings, where it has a list of them."""
    return {**image, "findings": []} if isinstance(image, dict) and isinstance(image.get("findings"), list) else image


def _shape_problems(adapter: TypeAdapter[Any], values: list[Any], holder: str | None = None, start: int = 0) -> list[str]:
    """Say what is wrong with some values of a list called ``holder``, the first of which has the number ``start``.

    Without ``holder``, the value is the document itself.
    """
    from pydantic import ValidationError

    try:
        adapter.validate_python(values)
    except ValidationError as error:
        said: dict[str, None] = {}
        for problem in error.errors(include_url=False, include_input=False):
            number, *parts = problem["loc"]
            path = "" if holder is None else f"{holder}[{start + int(number)}]"
            said[_sentence(path, parts, problem["type"], problem.get("ctx", {}))] = None
        return list(said)[:_MAX_PROBLEMS]
    return []


# What pydantic calls what is wrong, and what we do.


_WRONG = {
    "bool_type": "is neither true nor false",
    "dict_type": "is no object",
    "float_type": "is no number",
    "int_type": "is no whole number",
    "is_instance_of": "is no text",
    "list_type": "is no list",
    "typed_dict_type": "is no object",
    "value_error": "is no day (YYYY-MM-DD)",
}


def _sentence(path: str, parts: list[int | str], kind: str, context: dict[str, Any]) -> str:
    if kind == "int_type" and parts[-1:] == ["int"]:  # pydantic names the branch of a union, too
        parts = parts[:-1]
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not part.startswith("json-or-python["):  # another branch
            path += f".{part[:60]}" if path else part[:60]
    if kind == "missing":
        return f"the field {path} is missing"
    if kind == "extra_forbidden":
        return f"the field {path} is not known"
    expected = f"is none of {context['expected']}" if kind == "literal_error" else "has a value that it cannot have"
    return f"{path or 'the document'} {_WRONG.get(kind, expected)}"


def _advice(document: dict[str, Any]) -> str:
    """Say what to do about a document with a wrong shape: another version of ci-gate may have written it."""
    tool = document.get("tool")
    version = tool.get("version") if isinstance(tool, dict) else None
    if not isinstance(version, str) or version == __version__:
        return _UNCHANGED
    return f"Use the version of ci-gate that wrote it, {version[:40]}: this is {__version__}."


def _named(name: str) -> str:
    return repr(name[:60])


def _nests_deeper(value: object, levels: int) -> bool:
    """Whether lists and objects are nested more than so many levels deep."""
    layer = [value]
    for _ in range(levels + 1):
        layer = [
            inner for outer in layer for inner in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
        ]
        if not layer:
            return False
    return True
