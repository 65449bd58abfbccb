"""What GitLab demands of its two formats, in our own words, for exactly the fields that we write.

After version 15.2 of its schema of the secret detection report (checked against 15.2.1 and 15.2.4), the limits of its database, and its
parser of Code Quality. Stricter than GitLab: a field that is not here is an error.
"""

from __future__ import annotations


def _text(least: int = 1, most: int | None = None, **more: str) -> dict:
    return {"type": "string", "minLength": least, **({"maxLength": most} if most else {}), **more}


def _fields(required: dict) -> dict:
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": required}


def _list(items: dict, least: int = 0) -> dict:
    return {"type": "array", "minItems": least, "items": items}


_NAME = _text(1, 255)  # a column of the database
_TIME = _text(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}$")
_TOOL = _fields({"id": _NAME, "name": _NAME, "version": _text(), "vendor": _fields({"name": _NAME})})

SECRET_DETECTION = _fields(
    {
        "version": {"const": "15.2.1"},
        "vulnerabilities": _list(
            _fields(
                {
                    "id": _text(pattern="^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"),
                    "name": _NAME,
                    "description": _text(1, 15_000),
                    "severity": {"enum": ["Info", "Unknown", "Low", "Medium", "High", "Critical"]},
                    "solution": _text(1, 7_000),
                    "identifiers": _list(_fields({"type": _NAME, "name": _NAME, "value": _NAME}), 1),
                    "location": _fields({"file": _text(), "commit": _fields({"sha": _text()})}),
                }
            )
        ),
        "scan": _fields(
            {
                "type": {"const": "secret_detection"},
                "status": {"enum": ["success", "failure"]},
                "start_time": _TIME,
                "end_time": _TIME,
                "analyzer": _TOOL,
                "scanner": _TOOL,
                "options": _list(_fields({"name": _NAME, "value": {"type": "string"}, "source": {"const": "file"}})),
                "messages": _list(_fields({"level": {"enum": ["info", "warn", "fatal"]}, "value": _text()})),
            }
        ),
    }
)

CODE_QUALITY = _list(
    _fields(
        {
            "check_name": _NAME,
            "description": _text(),
            "fingerprint": _text(pattern="^[0-9a-f]{64}$"),
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": _fields({"path": _text(), "lines": _fields({"begin": {"type": "integer", "minimum": 1}})}),
        }
    )
)
