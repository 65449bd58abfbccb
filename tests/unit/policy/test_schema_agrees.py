"""The JSON Schema, the loader and the page on the language say the same: an editor flags what the loader refuses, and nothing else."""

import json
import re

import jsonschema
import pytest

from ci_gate.errors import InvalidDocumentError
from ci_gate.policy.language.load import parse_policy
from ci_gate.policy.language.schema import SECTIONS, policy_schema
from ci_gate.policy.language.yamltree import read_tree
from tests.unit.policy.test_docs import EXAMPLES, PAGE

SCHEMA = policy_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
HEX64, MD5 = "a" * 64, "b" * 32


def layers(*digests):
    return {"base_image": {"layers": list(digests)}}


def waived(**fields):
    written = {"id": "W-1", "keys": ["pem"], "reason": "r", "owner": "o", "created": "2026-09-01", "expires": "2026-11-30"}
    return {"waivers": [written | fields]}


def of_test(**fields):
    return {"tests": [{"name": "t", "given": [], "expect": "passed"} | fields]}


def given(**fields):
    return of_test(given=[{"key": "pem"} | fields])


GOOD = [
    {},
    *({"name": text} for text in ("shop", "a b", "日本語", "😀", "x" * 128, " a ", None)),
    *(waived(reason=text) for text in ("naïve", "it's: # so", "x" * 500, "a\\b")),
    *(layers(digest) for digest in (HEX64, f"sha256:{HEX64}", f"SHA256:{HEX64.upper()}")),
    *(waived(md5=[digest]) for digest in (MD5, MD5.upper())),
    waived(fingerprints=[HEX64.upper()]),
    waived(ticket=None),
    *(given(**fields) for fields in ({"md5": MD5}, {"layer": f"sha256:{HEX64}"}, {"md5": None}, {"count": 10_000}, {"risk_level": "odd"})),
    *({"thresholds": {"high": most}} for most in (0, 1_000_000_000)),
    {"waiver_rules": {"require": [], "max_days": 3650, "warn_before_days": 0}},
    {"evidence": {"settle": "0s", "max_scan_age": "999999d"}},
]
WRONG = [
    *(
        {"name": text}
        for text in ("", " ", "a\tb", "a\u00a0b", "\u202ea", "a\u200b", "\ufeffa", "a\u2028b", "\ue000", "a\x7f", "\u3000", "a\nb", 5)
    ),
    *(waived(reason=text) for text in ("\x1b[31m", "a\u00adb", " " * 3, "x" * 501)),
    *(of_test(name=text) for text in ("\u2066a", "")),
    *(layers(digest) for digest in (f" {HEX64}", f"{HEX64} ", f"sha256: {HEX64}", f"sha512:{HEX64}", HEX64[1:], "")),
    layers(),
    *(waived(md5=[digest]) for digest in (f" {MD5}", f"{MD5} ", f"\t{MD5}", f"md5:{MD5}")),
    *(waived(fingerprints=[digest]) for digest in (f"{HEX64} ", f"sha256:{HEX64}")),
    *(
        given(**fields)
        for fields in ({"md5": f"{MD5} "}, {"layer": f" {HEX64}"}, {"count": 0}, {"count": 10_001}, {"key": ""}, {"path": ""})
    ),
    *({"thresholds": {"high": most}} for most in (-1, 1_000_000_001, 0.5, "0", True)),
    *({"evidence": fields} for fields in ({"settle": None}, {"settle": "11m"}, {"max_scan_age": "0d"}, {"max_scan_age": "1w"})),
    waived(created="20260901"),
    waived(id="a b"),
    waived(paths=[]),
    {"baseline": None, "base_image": {"action": "exempt"}},
    {"version": True},
    {"deny": None},
]
# What only the loader can know is good for the schema: which keys and files there are, what makes sense together, and rarer characters.
LOADER_ONLY = [
    {"deny": {"keys": ["no_such_key"]}},
    {"allow": {"keys": ["pem"]}, "deny": {"keys": ["pem"]}},
    {"extends": ["./missing.yml"]},
    waived(expires="2026-02-30"),
    waived(images=["shop/api"]),
    waived(paths=["no/slash"]),
    waived(reason=None),
    {"name": "\u0378"},  # a number that is no character yet
    {"name": "\U000e0001"},  # a tag outside the first plane
    layers(HEX64, f"sha256:{HEX64}"),
]


def by_schema(document):
    return VALIDATOR.is_valid(document)


def by_loader(document):
    try:
        text = json.dumps(document)
        # JSON writes a character outside the first plane as a pair of escapes, which are two characters in YAML.
        parse_policy(json.dumps(document, ensure_ascii=False) if "\\ud8" in text else text, origin="p.yml")
    except InvalidDocumentError:
        return False
    return True


def whole(part):
    return {"version": 1, "thresholds": {"high": 0}} | part


@pytest.mark.parametrize("part", GOOD, ids=ascii)
def test_both_accept(part):
    assert (True, True) == (by_schema(whole(part)), by_loader(whole(part)))


@pytest.mark.parametrize("part", WRONG, ids=ascii)
def test_both_refuse(part):
    assert (False, False) == (by_schema(whole(part)), by_loader(whole(part)))


@pytest.mark.parametrize("part", LOADER_ONLY, ids=ascii)
def test_only_the_loader_refuses(part):
    assert (True, False) == (by_schema(whole(part)), by_loader(whole(part)))


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_editor_flags_nothing_in_the_examples_of_the_page(name):
    root, _ = read_tree(EXAMPLES[name])

    VALIDATOR.validate(json.loads(json.dumps(root.plain())))


def test_an_editor_can_explain_every_field():
    sections = [SCHEMA, *SCHEMA["$defs"].values()]
    fields = [(name, field) for section in sections for name, field in section.get("properties", {}).items()]

    assert [] == [name for name, field in fields if not field.get("description", "").endswith(".")]
    assert len(fields) > 50


def test_the_defaults_on_the_page_are_those_of_the_schema():
    rows = re.findall(r"^\| `([a-z_.]+)` \|.*?\| ([^|]*?) \|[^|]*\|$", PAGE.partition("## Fields")[2].partition("\n## ")[0], re.MULTILINE)
    said, meant = {}, {}
    for name, told in rows:
        *path, field = name.split(".")
        if not re.fullmatch("`[^`]+`", told) or tuple(path) not in SECTIONS:
            continue
        section = SECTIONS[tuple(path)]
        properties = SCHEMA["properties"] if not path else SCHEMA["$defs"][section.__name__]["properties"]
        default = properties[field].get("default")
        said[name] = told.strip("`")
        meant[name] = default if isinstance(default, str) else json.dumps(default)

    assert said == meant
    assert len(said) > 15
