"""Every mistake is told with its place, the line, and what to do: a table of wrong policies."""

from dataclasses import dataclass

import pytest

from ci_gate.errors import ExitCode, InvalidDocumentError
from ci_gate.policy.load import parse_policy
from ci_gate.policy.schema import UNSUPPORTED


@dataclass(frozen=True)
class Wrong:
    """A policy, where the mistake is, and parts of what is said of it."""

    text: str | bytes
    place: str
    what: str
    advice: str = ""


GOOD = "version: 1\nthresholds: {high: 0}\n"
WRONG = {
    # the text
    "empty": Wrong("", "1:1", "the policy is empty", "version: 1"),
    "only a comment": Wrong("# nothing\n", "1:1", "the policy is empty"),
    "null": Wrong("null\n", "1:1", "the policy is empty"),
    "a list": Wrong("- version: 1\n", "1:1", "a mapping of fields, not a list"),
    "a word": Wrong("default\n", "1:1", "a mapping of fields, not the text 'default'"),
    "no UTF-8": Wrong(b"version: 1\nname: \xff\n", "2:7", "byte 18 is no UTF-8", "UTF-8"),
    "UTF-16": Wrong("version: 1".encode("utf-16"), "1:1", "byte 1 is no UTF-8"),
    "NUL": Wrong(b"version: 1\nname: a\0b\n", "2:8", "the character U+0000 is not allowed"),
    "ESC": Wrong("version: 1\nname: \x1b[31m\n", "2:7", "the character U+001B is not allowed"),
    "an open bracket": Wrong("version: 1\nthresholds: {high: 0\n", "3:1", "this is no YAML"),
    "an open quote": Wrong("version: 1\nname: 'x\n", "3:1", "this is no YAML"),
    "a tab for indentation": Wrong("version: 1\nthresholds:\n\thigh: 0\n", "3:1", "this is no YAML"),
    "a bad escape": Wrong('version: 1\nname: "\\q"\n', "2:9", "this is no YAML"),
    "a code point beyond Unicode": Wrong('version: 1\nname: "\\U00110000"\n', "2:1", "this is no YAML"),
    "two documents": Wrong(GOOD + "---\nversion: 1\n", "3:1", "a second document starts here", "one policy a file"),
    "a directive": Wrong("%YAML 1.1\n---\nversion: 1\n", "2:1", "directives other than '%YAML 1.2'"),
    "a tag": Wrong(
        "version: 1\nname: !!python/object:os.system x\n", "2:7", "the tag 'tag:yaml.org,2002:python/object:os.system' is not allowed"
    ),
    "a tag that says str": Wrong("version: 1\nname: !!str x\n", "2:7", "the tag"),
    "an alias without an anchor": Wrong("version: 1\nname: *x\n", "2:7", "the alias *x names no anchor"),
    "an alias of itself": Wrong("version: 1\ndeny: &x\n  keys: [*x]\n", "3:10", "the alias *x is inside what it stands for"),
    "nested deeply": Wrong("version: 1\ndeny: " + "[" * 60 + "]" * 60, "2:56", "nested deeper than 50"),
    "a long line": Wrong("version: 1\nname: " + "x" * 30_000, "2:1", "longer than 20000 characters"),
    "many lines": Wrong("\n" * 30_000, "20001:1", "more than 20000 lines"),
    # the fields
    "no version": Wrong("thresholds: {high: 0}\n", "1:1", "the field 'version' is missing", "version: 1"),
    "version 2": Wrong("version: 2\nthresholds: {high: 0}\n", "1:10", "version: must be 1, not the number 2"),
    "version as text": Wrong("version: '1'\nthresholds: {high: 0}\n", "1:10", "version: must be 1, not the text '1'"),
    "version true": Wrong("version: true\nthresholds: {high: 0}\n", "1:10", "version: must be 1, not true"),
    "version 1.0": Wrong("version: 1.0\nthresholds: {high: 0}\n", "1:10", "version: must be 1, not the number 1.0"),
    "a misspelt field": Wrong(GOOD + "treshold: {}\n", "3:1", "there is no field 'treshold' in a policy", "Did you mean 'thresholds'?"),
    "a misspelt inner field": Wrong(GOOD + "deny:\n  groop: []\n", "4:3", "there is no field 'groop' in 'deny'", "Did you mean 'groups'?"),
    "a field of another section": Wrong(GOOD + "unknown: {high: 1}\n", "3:11", "there is no field 'high' in 'unknown'", "keys, risk_level"),
    "a group is never allowed": Wrong(
        GOOD + "allow: {groups: [servers]}\n", "3:9", "no field 'groups' in 'allow'", "List the keys one by one"
    ),
    "a merge key": Wrong("version: 1\nthresholds: &t {high: 0}\n<<: *t\n", "3:1", "merge keys ('<<') are no part of YAML 1.2"),
    "a field twice": Wrong(GOOD + "version: 1\n", "3:1", "the field 'version' is given twice, first in line 1"),
    "an inner field twice": Wrong(
        "version: 1\nthresholds:\n  high: 0\n  high: 9\n", "4:3", "the field 'high' is given twice, first in line 3"
    ),
    "a number as a field": Wrong(GOOD + "1: x\n", "3:1", "a field name must be text, not the number 1"),
    "a list as a field": Wrong(GOOD + "? [a]\n: x\n", "3:3", "a field name must be text, not a list"),
    # the values
    "a name that is a number": Wrong(GOOD + "name: 1\n", "3:7", "name: must be text, not the number 1"),
    "a name of two lines": Wrong(GOOD + 'name: "a\\nb"\n', "3:7", "name: must be printable text"),
    "an empty name": Wrong(GOOD + "name: ''\n", "3:7", "name: must be printable text"),
    "a mode that is none": Wrong(GOOD + "mode: block\n", "3:7", "mode: must be 'enforce' or 'warn', not the text 'block'"),
    "mode off": Wrong(GOOD + "mode: off\n", "3:7", "not the text 'off'", "in YAML 1.2 yes, no, on and off are text"),
    "yes for a boolean": Wrong(
        GOOD + "allow_warn_override: yes\n", "3:22", "must be true or false, not the text 'yes'", "only true and false"
    ),
    "a number for a boolean": Wrong(GOOD + "allow_warn_override: 1\n", "3:22", "must be true or false, not the number 1"),
    "a section that is empty": Wrong(GOOD + "deny:\n", "3:5", "deny: must be a mapping of fields, not empty (null)", "leave it out"),
    "a section that is a list": Wrong(GOOD + "deny: [pem]\n", "3:7", "deny: must be a mapping of fields, not a list"),
    "keys that are no list": Wrong(GOOD + "deny: {keys: pem}\n", "3:14", "deny.keys: must be a list, not the text 'pem'"),
    "a key that is a number": Wrong(
        GOOD + "deny:\n  keys:\n    - pem\n    - 7\n", "6:7", "deny.keys, entry 2: must be text, not the number 7"
    ),
    "an empty key": Wrong(GOOD + "deny: {keys: ['']}\n", "3:15", "deny.keys, entry 1: must be text that is not empty"),
    "a boolean for a number": Wrong(
        "version: 1\nthresholds:\n  high: true\n", "3:9", "thresholds.high: must be a whole number from 0", "Mend"
    ),
    "a negative number": Wrong("version: 1\nthresholds: {low: -1}\n", "2:19", "thresholds.low: must be a whole number from 0", "Mend"),
    "a broken number": Wrong("version: 1\nthresholds: {low: 1.5}\n", "2:19", "not the number 1.5"),
    "a number as text": Wrong("version: 1\nthresholds: {total: '3'}\n", "2:21", "not the text '3'"),
    "infinity": Wrong("version: 1\nthresholds: {total: .inf}\n", "2:21", "not the number inf"),
    "a huge number": Wrong("version: 1\nthresholds: {total: " + "9" * 5000 + "}\n", "2:21", "must be a whole number from 0"),
    "a wrong word for unknown keys": Wrong(
        GOOD + "unknown: {keys: warn}\n", "3:17", "must be 'deny', 'count' or 'allow', not the text 'warn'"
    ),
    "a level that is none": Wrong(GOOD + "unknown: {risk_level: critical}\n", "3:23", "must be 'high', 'medium', 'low' or 'error'"),
    "a duration without a unit": Wrong(
        GOOD + "evidence: {settle: 15}\n", "3:20", "must be a duration such as 15s, 10m, 24h or 7d, not the number 15"
    ),
    "a duration in words": Wrong(GOOD + "evidence: {max_scan_age: 1 day}\n", "3:26", "not the text '1 day'"),
    "a duration in other digits": Wrong(GOOD + "evidence: {max_scan_age: \u0661d}\n", "3:26", "must be a duration"),
    "an age of zero": Wrong(GOOD + "evidence: {max_scan_age: 0h}\n", "3:26", "must be longer than zero, or null"),
    "a long pause": Wrong(GOOD + "evidence: {settle: 1h}\n", "3:20", "must be at most 10m"),
    "no pause": Wrong(GOOD + "evidence: {settle: null}\n", "3:20", "must be a duration"),
    "false coverage": Wrong(GOOD + "evidence: {rule_coverage: false}\n", "3:27", "must be 'auto', 'error', 'warn' or 'off', not false"),
    "an empty entry": Wrong(
        GOOD + "deny:\n  keys:\n  - pem\n  -\n\nname: x\n", "6:3", "deny.keys, entry 2: must be text, not empty (null)"
    ),
    # the sense
    "a misspelt key": Wrong(
        GOOD + "deny: {keys: [aws_acess_key]}\n", "3:15", "'aws_acess_key' is no known key", "Did you mean 'aws_access_key'?"
    ),
    "a key in another case": Wrong(
        GOOD + "deny: {keys: [gitlab_personal_token]}\n", "3:15", "is no known key", "Did you mean 'gitLab_personal_token'?"
    ),
    "a misspelt allowed key": Wrong(
        GOOD + "allow: {keys: [sqlit]}\n", "3:16", "allow.keys: 'sqlit' is no known key", "Did you mean 'sqlite'?"
    ),
    "a group among the keys": Wrong(GOOD + "deny: {keys: [databases]}\n", "3:15", "'databases' is a group, not a key", "deny.groups"),
    "a glob for nothing": Wrong(GOOD + "deny: {keys: ['azure_*']}\n", "3:15", "the glob 'azure_*' matches no key", "ci-gate keys"),
    "an allowed glob for nothing": Wrong(GOOD + "allow: {keys: ['azure_*']}\n", "3:16", "the glob 'azure_*' matches no key"),
    "a misspelt group": Wrong(GOOD + "deny: {groups: [cloud-credential]}\n", "3:17", "is no group", "Did you mean 'cloud-credentials'?"),
    "a key among the groups": Wrong(GOOD + "deny: {groups: [pem]}\n", "3:17", "'pem' is no group", "deny.keys"),
    "a key twice": Wrong(GOOD + "deny: {keys: [pem, pem]}\n", "3:20", "deny.keys: 'pem' is listed twice"),
    "a group twice": Wrong(GOOD + "deny: {groups: [servers, servers]}\n", "3:26", "deny.groups: 'servers' is listed twice"),
    "an exception from nothing": Wrong(GOOD + "deny: {keys: [pem], except: [sqlite]}\n", "3:30", "'sqlite' removes nothing"),
    "an exception that is unknown": Wrong(
        GOOD + "deny: {keys: [pem], except: [pen]}\n", "3:30", "'pen' is no known key", "Did you mean 'pem'?"
    ),
    "an extra key of the catalog": Wrong(GOOD + "extra_keys: [sqlite]\n", "3:14", "'sqlite' is in the catalog already"),
    "an extra key in another case": Wrong(GOOD + "extra_keys: [SQLite]\n", "3:14", "differs from the key 'sqlite' only in case"),
    "extra keys that differ in case": Wrong(
        GOOD + "extra_keys: [ak_leak, AK_leak]\n", "3:23", "differs from the key 'ak_leak' only in case"
    ),
    "an extra key that is a glob": Wrong(GOOD + "extra_keys: ['ak_*']\n", "3:14", "extra_keys, entry 1: must be a key"),
    "denied and allowed": Wrong(GOOD + "deny: {keys: [pem]}\nallow: {keys: [pem]}\n", "4:16", "'pem' is denied too, and denied wins"),
    "denied by group and allowed": Wrong(GOOD + "deny: {groups: [databases]}\nallow: {keys: [sqlite]}\n", "4:16", "denied wins"),
    "nothing is judged": Wrong("version: 1\n", "1:1", "no key is denied and no threshold is set", "thresholds: {high: 0}"),
    "nulls judge nothing": Wrong("version: 1\nthresholds: {high: null}\n", "1:1", "the policy judges nothing"),
    "all is allowed": Wrong(
        "version: 1\nthresholds: {high: 0}\nallow: {keys: ['*']}\n", "1:1", "every key is allowed, so the thresholds count nothing"
    ),
    "all is excepted": Wrong("version: 1\ndeny: {keys: [pem], except: [pem]}\n", "1:1", "the policy judges nothing"),
    **{
        f"unsupported {name}": Wrong(f"{GOOD}{name}: []\n", "3:1", f"'{name}' is not supported by this version of ci-gate")
        for name in UNSUPPORTED
    },
}


def causes_of(text):
    with pytest.raises(InvalidDocumentError) as caught:
        parse_policy(text, origin="p.yml")
    return caught.value.causes


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_policy_is_told_with_place_and_advice(case):
    causes = causes_of(case.text)

    found = [cause for cause in causes if case.what in cause.what]
    assert found, [cause.sentence for cause in causes]
    assert f"p.yml:{case.place}" == found[0].where
    assert case.advice in found[0].advice


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG.keys())
def test_what_is_said_is_short(case):
    for cause in causes_of(case.text):
        assert ExitCode.POLICY_INVALID is cause.code
        assert len(cause.sentence) < 2_000
        assert "\n" not in cause.advice
        assert cause.advice
        assert len(cause.what) < 500
        jargon = (
            "pydantic",
            "Input should",
            "validation error",
            "value_error",
            "NoneType",
            "ScalarEvent",
            "a value that this field allows",
        )
        assert not [word for word in jargon if word in cause.what]


def test_all_mistakes_come_at_once_in_the_order_of_the_text():
    text = "version: 2\nmode: no\ndeny:\n  keys: [pen]\n  except: [sqlite, sqlite]\nthresholds: {high: true}\nwaivers: []\nx: &a 1\nx: *a\n"
    places = [cause.where for cause in causes_of(text)]

    expected = ["1:10", "2:7", "4:10", "5:12", "5:20", "5:20", "6:20", "7:1", "8:1", "9:1"]
    assert [f"p.yml:{place}" for place in expected] == places


def test_the_line_is_shown():
    (cause,) = causes_of("version: 1\nthresholds:\n    high: -1   # none\n")

    assert cause.what.endswith("; the line: high: -1   # none")


def test_a_long_line_is_shown_around_the_mistake():
    keys = ", ".join(["pem_"] * 3000)
    (cause, *_) = causes_of(f"version: 1\ndeny: {{keys: [{keys[:15_000]}, here]}}\n")

    assert len(cause.what) < 300


def test_the_number_of_mistakes_told_is_bounded():
    causes = causes_of("version: 1\ndeny:\n  keys:\n" + "".join(f"    - wrong_{n}\n" for n in range(1500)))

    assert len(causes) == 51
    assert "and 1450 more mistakes" in causes[-1].what


def test_carriage_returns_end_lines_as_well():
    assert causes_of("version: 1\r\nthresholds:\r\n  high: x\r\n")[0].where == "p.yml:3:9"


def test_the_table_is_long():
    assert len(WRONG) >= 40
