"""Every mistake is told with its place, the line, and what to do: a table of wrong policies."""

from dataclasses import dataclass
from functools import cache

import pytest

from ci_gate.errors import ExitCode, InvalidDocumentError
from ci_gate.policy.language.load import parse_policy


@dataclass(frozen=True)
class Wrong:
    """A policy, where the mistake is, and parts of what is said of it."""

    text: str | bytes
    place: str
    what: str
    advice: str = ""


GOOD = "version: 1\nthresholds: {high: 0}\n"
WAIVER = """  - id: W-1
    keys: [rsa_private_key]
    reason: fixture
    owner: team-payments
    created: 2026-09-01
    expires: 2026-11-30
"""
OVERRIDE = "overrides:\n  - images: ['*/shop/api']\n"


def waiver(field, line, place, what, advice=""):
    """A policy with a waiver of which one line is another one, or is left out."""
    lines = [line if text.strip("- ").startswith(f"{field}:") else text.strip("- ") for text in WAIVER.splitlines()]
    text = "\n    ".join(text for text in lines if text)
    return Wrong(f"{GOOD}waivers:\n  - {text}\n", place, what, advice)


def paths(text, what, advice=""):
    return waiver("keys", f"keys: [pem]\n    paths: ['{text}']", "6:13", what, advice)


def images(text, what, advice="", column=14):
    return Wrong(f"{GOOD}overrides:\n  - images: ['{text}']\n    deny: {{keys: [pem]}}\n", f"4:{column}", what, advice)


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
    "a directive that nobody knows": Wrong("# x\n\n%YAML 1.2\n%FOO bar\n---\n" + GOOD, "5:1", "directives other than '%YAML 1.2'"),
    "a glob without quotes": Wrong(
        GOOD + "deny:\n  keys: [*_private_key]\n", "4:10", "the alias *_private_key names no anchor", 'in quotes, such as "*_private_key"'
    ),
    "a list that is a word": Wrong(GOOD + "deny: {keys: pem}\n", "3:14", "must be a list, not the text 'pem'", "Write a list: [pem]"),
    "a section that is a list of keys": Wrong(GOOD + "deny: [pem]\n", "3:7", "must be a mapping", "Write it as 'deny: {keys: [pem]}'."),
    "a section that is a list of keys and groups": Wrong(
        GOOD + "deny: ['*.x', private-keys]\n", "3:7", "must be a mapping", "Write it as 'deny: {groups: [private-keys], keys: [\"*.x\"]}'."
    ),
    "an allow that is a list of keys": Wrong(
        GOOD + "allow: [sqlite]\n", "3:8", "must be a mapping", "Write it as 'allow: {keys: [sqlite]}'."
    ),
    "a section that is a list of mappings": Wrong(
        GOOD + "deny: [{keys: pem}]\n", "3:7", "must be a mapping", "such as 'deny: {keys: [pem]}'."
    ),
    "extends that is a word": Wrong(GOOD + "extends: default\n", "3:10", "extends: must be a list", "Write a list: [default]"),
    "a ticket that is a number without quotes": waiver(
        "reason", "ticket: 123", "6:13", "ticket: must be text, not the number 123", "put it in quotes"
    ),
    "a reason that ends with a line break": waiver(
        "reason", "reason: >\n      folded", "6:13", "reason: must be printable text of 1 to 500 characters on one line", "'>-'"
    ),
    "a waiver with an empty list of paths": waiver(
        "reason", "paths: []", "6:12", "waivers, entry 1, paths: must be a list with at least one entry", "or leave it out"
    ),
    "a waiver with an empty list of sums": waiver("reason", "md5: []", "6:10", "md5: must be a list with at least one entry"),
    "a waiver with an empty list of fingerprints": waiver(
        "reason", "fingerprints: []", "6:19", "fingerprints: must be a list with at least one entry"
    ),
    "a waiver with an empty list of images": waiver("reason", "images: []", "6:13", "images: must be a list with at least one entry"),
    "a glob with an empty list of paths": waiver(
        "keys", "keys: ['rsa_*']\n    paths: []", "5:12", "the glob 'rsa_*' is allowed only together with paths"
    ),
    "all that is denied is taken back": Wrong(
        "version: 1\ndeny: {keys: ['aws_*'], except: ['aws_*']}\nunknown: {keys: allow}\n", "1:1", "the policy judges nothing"
    ),
    "a tag": Wrong(
        "version: 1\nname: !!python/object:os.system x\n", "2:7", "the tag 'tag:yaml.org,2002:python/object:os.system' is not allowed"
    ),
    "a tag that says str": Wrong("version: 1\nname: !!str x\n", "2:7", "the tag"),
    "an alias without an anchor": Wrong("version: 1\nname: *x\n", "2:7", "the alias *x names no anchor"),
    "an alias of itself": Wrong("version: 1\ndeny: &x\n  keys: [*x]\n", "3:10", "the alias *x is inside what it stands for"),
    "nested deeply": Wrong("version: 1\ndeny: " + "[" * 60 + "]" * 60, "2:56", "nested deeper than 50"),
    "a long line": Wrong("version: 1\nname: " + "x" * 30_000, "2:1", "longer than 20000 characters"),
    "many lines": Wrong("\n" * 50_000, "40001:1", "more than 40000 lines"),
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
    # waivers
    "a waiver without an id": waiver("id", "", "4:5", "waivers, entry 1: the field 'id' is missing", "Add id: Name of the waiver"),
    "a waiver without keys": waiver("keys", "", "4:5", "waivers, entry 1: the field 'keys' is missing", "Add keys: Keys that are waived"),
    "a waiver of no key": waiver(
        "keys", "keys: []", "5:11", "waivers, entry 1, keys: must be a list with at least one entry, not an empty list"
    ),
    "a waiver that is a word": Wrong(
        GOOD + "waivers: [W-1]\n", "3:11", "waivers, entry 1: must be a mapping of fields, not the text 'W-1'"
    ),
    "waivers that are a mapping": Wrong(GOOD + "waivers: {id: W-1}\n", "3:10", "waivers: must be a list, not a mapping"),
    "a misspelt field of a waiver": waiver(
        "expires", "expired_at: 2026-11-30", "9:5", "waivers, entry 1: there is no field 'expired_at'", "Did you mean 'expires'?"
    ),
    "a waiver with groups": waiver(
        "keys", "groups: [servers]", "5:5", "waivers, entry 1: there is no field 'groups'", "Fields here: id, keys"
    ),
    "an id with a blank": waiver("id", "id: W 1", "4:9", "waivers, entry 1, id: must be a name: letters, digits", "docs/policy.md"),
    "an id that is a number": waiver("id", "id: 7", "4:9", "waivers, entry 1, id: must be text, not the number 7"),
    "an id of 65 characters": waiver(
        "id", "id: " + "x" * 65, "4:9", "id: must be a name: letters, digits, '_', '-', '.', ':', '/', at most 64"
    ),
    "an id twice": Wrong(
        GOOD + "waivers:\n" + WAIVER + WAIVER, "10:9", "waivers, entry 2: the id 'W-1' is taken by waivers, entry 1", "an id of its own"
    ),
    "an id twice, in an override": Wrong(
        GOOD + "waivers:\n" + WAIVER + OVERRIDE + "    waivers:\n" + WAIVER.replace("  ", "      ", 1).replace("\n    ", "\n        "),
        "13:13",
        "overrides, entry 1, waivers, entry 1: the id 'W-1' is taken by waivers, entry 1",
    ),
    "an empty reason": waiver("reason", "reason: ''", "6:13", "waivers, entry 1, reason: must be printable text of 1 to 500 characters"),
    "a reason of two lines": waiver("reason", "reason: |\n      a\n      b", "6:13", "reason: must be printable text"),
    "a long reason": waiver("reason", "reason: " + "x" * 501, "6:13", "reason: must be printable text of 1 to 500 characters"),
    "a reason that is a list": waiver("reason", "reason: [x]", "6:13", "waivers, entry 1, reason: must be text, not a list"),
    "an owner that is a number": waiver("owner", "owner: 5", "7:12", "waivers, entry 1, owner: must be text, not the number 5"),
    "a ticket that is a number": waiver(
        "owner", "owner: x\n    ticket: 5", "8:13", "waivers, entry 1, ticket: must be text, not the number 5"
    ),
    "a day that is none": waiver("expires", "expires: 2026-02-30", "9:14", "waivers, entry 1, expires: must be a day that exists, such as"),
    "a day in words": waiver(
        "expires", "expires: never", "9:14", "expires: must be a day that exists, such as 2026-11-30, not the text 'never'"
    ),
    "a day with a time": waiver("created", "created: 2026-09-01T00:00:00Z", "8:14", "created: must be a day that exists"),
    "a day without dashes": waiver(
        "created", "created: 20260901", "8:14", "created: must be a day that exists, such as 2026-11-30, not the number"
    ),
    "a week day": waiver("created", "created: 2026-W36-2", "8:14", "created: must be a day that exists"),
    "an end before the beginning": waiver(
        "expires", "expires: 2026-08-31", "9:14", "waivers, entry 1, expires: 2026-08-31 is before 2026-09-01, the day it was created"
    ),
    "a waiver without a reason": waiver(
        "reason", "", "4:5", "waivers, entry 1: the field 'reason' is missing: waiver_rules.require asks for it", "Add reason."
    ),
    "a waiver with a null owner": waiver("owner", "owner: null", "7:12", "the field 'owner' is missing: waiver_rules.require asks for it"),
    "a waiver without an end": waiver("expires", "", "4:5", "waivers, entry 1: the field 'expires' is missing"),
    "a waiver without the ticket that is required": Wrong(
        GOOD + "waiver_rules: {require: [ticket]}\nwaivers:\n" + WAIVER, "5:5", "the field 'ticket' is missing: waiver_rules.require"
    ),
    "a waiver that lasts too long": Wrong(
        GOOD + "waiver_rules: {max_days: 89}\nwaivers:\n" + WAIVER,
        "10:14",
        "waivers, entry 1: lasts 90 days, and waiver_rules.max_days is 89",
    ),
    "a waiver without an end where there is a limit": Wrong(
        GOOD + "waiver_rules: {max_days: 9, require: []}\nwaivers:\n  - {id: W-1, keys: [pem], created: 2026-09-01}\n",
        "5:5",
        "waivers, entry 1: the field 'expires' is missing: waiver_rules.max_days asks for both days",
    ),
    "a waiver of an unknown key": waiver(
        "keys",
        "keys: [rsa_privat_key]",
        "5:12",
        "waivers, entry 1, keys: 'rsa_privat_key' is no known key",
        "Did you mean 'rsa_private_key'?",
    ),
    "a waiver of a group": waiver("keys", "keys: [servers]", "5:12", "'servers' is a group, not a key", "a waiver names what it waives"),
    "a waiver of a key twice": waiver("keys", "keys: [pem, pem]", "5:17", "waivers, entry 1, keys: 'pem' is listed twice"),
    "a waiver of a glob alone": waiver(
        "keys", "keys: ['rsa_*']", "5:12", "the glob 'rsa_*' is allowed only together with paths, md5 or fingerprints", "one by one"
    ),
    "a waiver of a glob with images alone": waiver(
        "keys", "keys: ['rsa_*']\n    images: ['*/shop/api']", "5:12", "is allowed only together with"
    ),
    "a waiver of a glob for nothing": waiver("keys", "keys: ['azure_*']\n    paths: [/x]", "5:12", "the glob 'azure_*' matches no key"),
    **{
        f"a waiver of {glob}": waiver(
            "keys", f"keys: ['{glob}']\n    paths: [/x]", "5:12", f"the glob '{glob}' is too wide", "3 literal characters"
        )
        for glob in ("*", "?*", "*_*", "**", "[a-z]*", "?????*")
    },
    "a waiver of what is allowed": Wrong(
        GOOD + "allow: {keys: [pem]}\nwaivers:\n" + WAIVER.replace("rsa_private_key", "pem"),
        "6:12",
        "waivers, entry 1, keys: 'pem' is allowed and denied nowhere, so there is nothing to waive",
    ),
    "a path without a root": paths(
        "opt/x", "'opt/x' starts neither with '/' nor with '**/'", "Write '/opt/x', or '**/opt/x' for any folder."
    ),
    "a path of a folder": paths("/opt/x/", "'/opt/x/' ends with '/', and no file does", "Write '/opt/x/**' for all that is below"),
    "a path that is empty": paths("", "paths, entry 1: must be text that is not empty"),
    "a path that is too long": paths("/" + "x" * 1024, "paths, entry 1: must be text of at most 1024 characters"),
    "a path with stars in a word": paths(
        "/opt/x**", "'/opt/x**' is no pattern: ** stands for whole segments", "as a whole part between slashes"
    ),
    "a path with a parent folder": paths("/opt/../*.pem", "never fits: no path has an empty part, '.' or '..' in it"),
    "a path with an empty part": paths("/opt//*.pem", "never fits: no path has an empty part"),
    **{
        f"the path {glob}": paths(glob, "fits every path or none: it has no literal character")
        for glob in ("**", "/**", "*", "*/*", "/*/?", "/")
    },
    "a path twice": waiver("keys", "keys: [pem]\n    paths: [/x, /y, /x]", "6:21", "waivers, entry 1, paths: '/x' is listed twice"),
    "an MD5 that is none": waiver(
        "keys", "keys: [pem]\n    md5: [abc]", "6:11", "waivers, entry 1, md5, entry 1: must be an MD5 sum: 32 hex digits"
    ),
    "an MD5 twice": waiver(
        "keys", f"keys: [pem]\n    md5: [{'a' * 32}, {'A' * 32}]", "6:45", f"waivers, entry 1, md5: '{'a' * 32}' is listed twice"
    ),
    "a fingerprint that is none": waiver(
        "keys", "keys: [pem]\n    fingerprints: [abc]", "6:20", "fingerprints, entry 1: must be a fingerprint: 64 hex digits"
    ),
    "a fingerprint twice": waiver(
        "keys", f"keys: [pem]\n    fingerprints: [{'a' * 64}, {'a' * 64}]", "6:86", "waivers, entry 1, fingerprints: 'aaaa"
    ),
    # images
    "an image without a registry": images(
        "shop/api", "'shop/api' does not start with a registry", "Write '*/shop/api' for that in any registry."
    ),
    "an image of one word": images("api", "'api' does not start with a registry", "Write '*/api'"),
    "an image with a slash before it": images("/shop/api", "'/shop/api' does not start with a registry", "Write '*/shop/api'"),
    "an image with a tag": images("r.example.com/shop/api:1", "names a tag or a digest", "without tag and digest"),
    "an image with a digest": images("r.example.com/shop/api@sha256:" + "a" * 64, "names a tag or a digest"),
    "an image with a scheme": images("https://r.example.com/shop/api", "is an address", "without the part up to '//'"),
    "an image in capitals": images("r.example.com/Shop/api", "never fits: it is held against registry/namespace/repository, in lower case"),
    **{
        f"the image {glob}": images(glob, "fits every image or none: it has no literal character")
        for glob in ("**", "*", "*/*", "?", "*/**")
    },
    "an image twice": images("*/a', '*/a", "images: '*/a' is listed twice", column=21),
    "an image of a waiver": waiver(
        "keys", "keys: [pem]\n    images: [shop]", "6:14", "waivers, entry 1, images: 'shop' does not start with"
    ),
    "an image that is a number": Wrong(
        GOOD + "overrides: [{images: [5]}]\n", "3:23", "overrides, entry 1, images, entry 1: must be text, not the number 5"
    ),
    # waiver rules
    "a rule that is none": Wrong(
        GOOD + "waiver_rules: {min_days: 1}\n", "3:16", "no field 'min_days' in 'waiver_rules'", "Did you mean 'max_days'?"
    ),
    "a requirement that is none": Wrong(
        GOOD + "waiver_rules: {require: [tickets]}\n",
        "3:26",
        "waiver_rules.require, entry 1: must be 'reason', 'owner', 'ticket'",
        "Did you mean 'ticket'?",
    ),
    "a requirement twice": Wrong(
        GOOD + "waiver_rules: {require: [owner, owner]}\n", "3:33", "waiver_rules.require: 'owner' is listed twice"
    ),
    "no days at all": Wrong(
        GOOD + "waiver_rules: {max_days: 0}\n", "3:26", "waiver_rules.max_days: must be a whole number from 1 to 3650, or null"
    ),
    "too many days": Wrong(
        GOOD + "waiver_rules: {max_days: 3651}\n", "3:26", "must be a whole number from 1 to 3650, or null, not the number 3651"
    ),
    "a warning without days": Wrong(
        GOOD + "waiver_rules: {warn_before_days: null}\n", "3:34", "must be a whole number from 0 to 3650, not empty"
    ),
    "a word for unused waivers": Wrong(GOOD + "waiver_rules: {unused: error}\n", "3:24", "waiver_rules.unused: must be 'warn' or 'off'"),
    "unused waivers are false": Wrong(GOOD + "waiver_rules: {unused: false}\n", "3:24", "must be 'warn' or 'off', not false"),
    # overrides
    "an override without images": Wrong(
        GOOD + "overrides:\n  - thresholds: {low: 0}\n",
        "4:5",
        "overrides, entry 1: the field 'images' is missing",
        "Add images: Images as registry",
    ),
    "an override for no image": Wrong(
        GOOD + "overrides:\n  - images: []\n    deny: {keys: [pem]}\n",
        "4:13",
        "overrides, entry 1, images: must be a list with at least one entry",
    ),
    "an override that says nothing": Wrong(
        GOOD + OVERRIDE, "4:5", "overrides, entry 1: it says nothing about its images", "Give it deny, allow"
    ),
    "an override with empty lists": Wrong(
        GOOD + OVERRIDE + "    deny: {keys: [], groups: []}\n    allow: {}\n    waivers: []\n", "4:5", "it says nothing about its images"
    ),
    "an override with a mode": Wrong(
        GOOD + OVERRIDE + "    mode: warn\n", "5:5", "overrides, entry 1: there is no field 'mode'", "images, deny, allow"
    ),
    "a misspelt threshold in an override": Wrong(
        GOOD + OVERRIDE + "    thresholds: {hihg: 0}\n",
        "5:18",
        "overrides, entry 1, thresholds: there is no field 'hihg'",
        "Did you mean 'high'?",
    ),
    "a wrong threshold in an override": Wrong(
        GOOD + OVERRIDE * 1 + "    deny: {keys: [pem]}\n" + OVERRIDE.partition("\n")[2] + "    thresholds:\n      high: much\n",
        "8:13",
        "overrides, entry 2, thresholds.high: must be a whole number from 0 to 1000000000, or null, not the text 'much'",
    ),
    "a threshold of null in an override": Wrong(
        GOOD + OVERRIDE + "    thresholds: {low: null}\n", "5:23", "overrides, entry 1, thresholds.low: null has no effect", "Remove it"
    ),
    "a threshold that lowers nothing": Wrong(
        "version: 1\nthresholds: {high: 3}\n" + OVERRIDE + "    thresholds: {high: 3}\n",
        "5:24",
        "overrides, entry 1, thresholds.high: 3 has no effect: thresholds.high is 3",
    ),
    "a threshold that is raised": Wrong(GOOD + OVERRIDE + "    thresholds: {high: 1}\n", "5:24", "1 has no effect: thresholds.high is 0"),
    "a misspelt key in an override": Wrong(
        GOOD + OVERRIDE + "    deny: {keys: [pen]}\n", "5:19", "overrides, entry 1, deny.keys: 'pen' is no known key", "Did you mean 'pem'?"
    ),
    "a misspelt group in an override": Wrong(
        GOOD + OVERRIDE + "    deny: {groups: [server]}\n",
        "5:21",
        "overrides, entry 1, deny.groups: 'server' is no group",
        "Did you mean 'servers'?",
    ),
    "an exception from nothing in an override": Wrong(
        "version: 1\ndeny: {keys: [sqlite]}\n" + OVERRIDE + "    deny: {keys: [pem], except: [sqlite]}\n",
        "5:34",
        "overrides, entry 1, deny.except: 'sqlite' removes nothing",
        "it takes nothing from what others deny",
    ),
    "an override allows what is denied": Wrong(
        "version: 1\ndeny: {keys: [pem]}\n" + OVERRIDE + "    allow: {keys: [pem]}\n",
        "5:20",
        "overrides, entry 1, allow.keys: 'pem' is denied too, and denied wins",
    ),
    "an override allows what it denies": Wrong(
        GOOD + OVERRIDE + "    deny: {keys: [pem]}\n    allow: {keys: [pem]}\n",
        "6:20",
        "overrides, entry 1, allow.keys: 'pem' is denied too",
    ),
    "an override allows a group": Wrong(
        GOOD + OVERRIDE + "    allow: {groups: [servers]}\n", "5:13", "overrides, entry 1, allow: there is no field 'groups'", "one by one"
    ),
    "a waiver of an override waives what is allowed there": Wrong(
        GOOD + OVERRIDE + "    allow: {keys: [pem]}\n    waivers:\n      - {id: W-1, keys: [pem], reason: r, owner: o, "
        "created: 2026-09-01, expires: 2026-09-02}\n",
        "7:26",
        "overrides, entry 1, waivers, entry 1, keys: 'pem' is allowed and denied nowhere",
    ),
    "a waiver of an override without a reason": Wrong(
        GOOD + OVERRIDE + "    waivers:\n      - {id: W-1, keys: [pem], owner: o, created: 2026-09-01, expires: 2026-09-02}\n",
        "6:9",
        "overrides, entry 1, waivers, entry 1: the field 'reason' is missing",
    ),
    # the base image
    "no layers": Wrong(GOOD + "base_image: {action: label}\n", "3:13", "base_image: the field 'layers' is missing", "Add layers: Digests"),
    "an empty list of layers": Wrong(
        GOOD + "base_image: {layers: []}\n", "3:22", "base_image.layers: must be a list with at least one entry"
    ),
    "a layer that is none": Wrong(
        GOOD + "base_image: {layers: ['sha256:abc']}\n",
        "3:23",
        "base_image.layers, entry 1: must be a layer digest: sha256: and 64 hex digits",
    ),
    "a layer twice": Wrong(
        GOOD + f"base_image: {{layers: [{'a' * 64}, 'sha256:{'A' * 64}']}}\n", "3:89", f"base_image.layers: '{'a' * 64}' is listed twice"
    ),
    "an action that is none": Wrong(
        GOOD + f"base_image:\n  layers: [{'a' * 64}]\n  action: exmpt\n",
        "5:11",
        "base_image.action: must be 'label' or 'exempt'",
        "Did you mean 'exempt'?",
    ),
    "a base image that is null": Wrong(GOOD + "base_image: 5\n", "3:13", "base_image: must be a mapping of fields, not the number 5"),
    # the baseline
    "a baseline without an end": Wrong(GOOD + "baseline: {file: b.json}\n", "3:11", "baseline: the field 'expires' is missing", "Last day"),
    "a baseline without a file": Wrong(GOOD + "baseline: {expires: 2026-12-31}\n", "3:11", "baseline: the field 'file' is missing"),
    "a baseline that never ends": Wrong(
        GOOD + "baseline: {file: b.json, expires: null}\n",
        "3:35",
        "baseline.expires: must be a day that exists",
        "Give baseline.expires a value",
    ),
    "a baseline of yes": Wrong(
        GOOD + "baseline: {file: b.json, expires: 2026-12-31, include_denied: yes}\n", "3:63", "must be true or false", "YAML 1.2"
    ),
    "a baseline in a mere text": Wrong(
        GOOD + "baseline: {file: b.json, expires: 2026-12-31}\n",
        "3:18",
        "baseline.file: only a policy in a file can name a baseline",
        "Save the policy",
    ),
    # parents
    "a parent that is a word": Wrong(GOOD + "extends: default\n", "3:10", "extends: must be a list, not the text 'default'"),
    "a misspelt parent": Wrong(
        GOOD + "extends: [defualt]\n", "3:11", "extends, entry 1: 'defualt' is no built-in policy", "Did you mean 'default'?"
    ),
    "a file as parent of a mere text": Wrong(
        GOOD + "extends: [./team.yml]\n", "3:11", "extends, entry 1: './team.yml' is no built-in policy, and only a policy in a file can"
    ),
    "a parent twice": Wrong(GOOD + "extends: [default, strict, default]\n", "3:28", "extends: 'default' is listed twice"),
    "an empty parent": Wrong(GOOD + "extends: ['']\n", "3:11", "extends, entry 1: must be text that is not empty"),
    "21 parents": Wrong(
        GOOD + f"extends: [{', '.join('abcdefghijklmnopqrstu')}]\n", "3:10", "extends: must be a list of at most 20 entries"
    ),
    "a permit that is none": Wrong(
        GOOD + "permit: [waiver]\n", "3:10", "permit, entry 1: must be 'allow', 'waivers', 'baseline'", "Did you mean 'waivers'?"
    ),
    "a permit twice": Wrong(GOOD + "permit: [allow, allow]\n", "3:17", "permit: 'allow' is listed twice"),
    "more permits than a parent gives": Wrong(
        GOOD + "extends: [strict]\npermit: [waivers, allow]\n",
        "4:19",
        "permit: the parent 'strict' does not permit 'allow'",
        "under permit",
    ),
    "more keys allowed than a parent permits": Wrong(
        GOOD + "extends: [strict]\nallow: {keys: [sqlite, pem]}\n",
        "4:16",
        "allow.keys: the parent 'strict' does not permit 'allow': 'sqlite', 'pem'",
    ),
    "an extra key that a parent does not permit": Wrong(
        GOOD + "extends: [strict]\nextra_keys: [ak_leak]\n",
        "4:14",
        "extra_keys: the parent 'strict' does not permit 'extra_keys': 'ak_leak'",
    ),
    "layers that a parent does not permit": Wrong(
        GOOD + f"extends: [strict]\nbase_image: {{action: exempt, layers: [{'a' * 64}]}}\n",
        "4:39",
        "base_image.layers: the parent 'strict' does not permit 'exempt': 'sha256:aaaa",
    ),
    "an override that a parent does not permit": Wrong(
        GOOD + "extends: [strict]\n" + OVERRIDE + "    allow: {keys: [sqlite]}\n",
        "6:20",
        "overrides, entry 1, allow.keys: the parent 'strict' does not permit 'allow': 'sqlite'",
    ),
    "a waiver that lasts longer than a parent allows": Wrong(
        GOOD + "extends: [strict]\nwaivers:\n" + WAIVER.replace("2026-11-30", "2026-12-01"),
        "10:14",
        "waivers, entry 1: lasts 91 days, and waiver_rules.max_days is 90 in the parent 'strict'",
    ),
    # tests
    "a test without a name": Wrong(GOOD + "tests: [{given: [], expect: passed}]\n", "3:9", "tests, entry 1: the field 'name' is missing"),
    "a test without findings": Wrong(GOOD + "tests: [{name: a, expect: passed}]\n", "3:9", "tests, entry 1: the field 'given' is missing"),
    "a test without a verdict": Wrong(GOOD + "tests: [{name: a, given: []}]\n", "3:9", "tests, entry 1: the field 'expect' is missing"),
    "a test with a wrong verdict": Wrong(
        GOOD + "tests: [{name: a, given: [], expect: pass}]\n",
        "3:38",
        "tests, entry 1, expect: must be 'passed', 'blocked'",
        "Did you mean 'passed'?",
    ),
    "a test's name twice": Wrong(
        GOOD + "tests:\n  - {name: a, given: [], expect: passed}\n  - {name: a, given: [], expect: passed}\n",
        "5:12",
        "tests: 'a' is listed twice",
    ),
    "a test's name that is empty": Wrong(GOOD + "tests: [{name: '', given: [], expect: passed}]\n", "3:16", "name: must be printable text"),
    "a test on a day that is none": Wrong(
        GOOD + "tests: [{name: a, given: [], expect: passed, today: now}]\n", "3:53", "tests, entry 1, today: must be a day that exists"
    ),
    "a test of a number": Wrong(
        GOOD + "tests: [{name: a, given: [], expect: passed, image: 1}]\n", "3:53", "tests, entry 1, image: must be text"
    ),
    "a given finding without a key": Wrong(
        GOOD + "tests: [{name: a, expect: passed, given: [{path: /x}]}]\n",
        "3:43",
        "tests, entry 1, given, entry 1: the field 'key' is missing",
    ),
    "a given finding with a wrong field": Wrong(
        GOOD + "tests: [{name: a, expect: passed, given: [{key: pem, level: low}]}]\n",
        "3:54",
        "tests, entry 1, given, entry 1: there is no field 'level'",
        "Did you mean 'risk_level'?",
    ),
    "a given finding that occurs never": Wrong(
        GOOD + "tests: [{name: a, expect: passed, given: [{key: pem, count: 0}]}]\n",
        "3:61",
        "count: must be a whole number from 1 to 10000",
    ),
    "a given layer that is none": Wrong(
        GOOD + "tests: [{name: a, expect: passed, given: [{key: pem, layer: x}]}]\n", "3:61", "layer: must be a layer digest"
    ),
    "a given MD5 that is none": Wrong(
        GOOD + "tests: [{name: a, expect: passed, given: [{key: pem, md5: x}]}]\n", "3:59", "md5: must be an MD5 sum"
    ),
    "a given path that is empty": Wrong(
        GOOD + "tests: [{name: a, expect: passed, given: [{key: pem, path: ''}]}]\n", "3:60", "path: must be text that is not empty"
    ),
    "a test of too many findings": Wrong(
        GOOD + f"tests: [{{name: a, expect: passed, given: [{', '.join(['{key: pem, count: 10000}'] * 11)}]}}]\n",
        "3:9",
        "tests, entry 1, given: these are 110000 findings, and a test may make up 100000",
    ),
    # what is too large
    "a long list": Wrong(GOOD + "extra_keys:\n" + "- a_b\n" * 2001, "2004:3", "a list has more than 2000 entries", "globs and groups"),
    "many values": Wrong(GOOD + ("x: [" + "1, " * 1990 + "]\n") * 31, "33:", "the policy holds more than 60000 values"),
    "many globs": Wrong(
        GOOD
        + "extra_keys:\n"
        + "".join(f"- x{n}\n" for n in range(1900))
        + "deny:\n  keys:\n"
        + "".join(f"  - x{n}*\n" for n in range(1900)),
        "1:1",
        "the policy has 1900 globs over 2012 keys, too many to resolve",
    ),
    "an override is not enough to judge": Wrong(
        "version: 1\n" + OVERRIDE + "    deny: {keys: [pem]}\n", "1:1", "the policy judges nothing", "an image that none of them fits"
    ),
}


@cache  # some of them take seconds
def causes_of(text):
    with pytest.raises(InvalidDocumentError) as caught:
        parse_policy(text, origin="p.yml")
    return caught.value.causes


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_policy_is_told_with_place_and_advice(case):
    causes = causes_of(case.text)

    found = [cause for cause in causes if case.what in cause.what]
    assert found, [cause.sentence for cause in causes]
    assert found[0].where.startswith(f"p.yml:{case.place}") if case.place.endswith(":") else f"p.yml:{case.place}" == found[0].where
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
    text = "version: 2\nmode: no\ndeny:\n  keys: [pen]\n  except: [sqlite, sqlite]\nthresholds: {high: true}\nwaivers: 1\nx: &a 1\nx: *a\n"
    places = [cause.where for cause in causes_of(text)]

    expected = ["1:10", "2:7", "4:10", "5:12", "5:20", "5:20", "6:20", "7:10", "8:1", "9:1"]
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
    assert len(WRONG) >= 190
