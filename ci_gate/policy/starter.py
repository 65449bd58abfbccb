"""A policy to start from: short, with every field of the language explained in comments. Pure.

In the text, what follows a ``#`` without a blank, or with more than one, is an example: it is put in force by removing the ``#``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from string import Template

from ci_gate.errors import UsageError

_EXAMPLE_DAYS = 90
STARTER_DAYS = 90  # as long as a baseline lasts where nobody says otherwise


@dataclass(frozen=True, slots=True)
class StarterBaseline:
    """The baseline that a starter policy names. ``file`` is relative to the policy; ``expires`` is the last day (UTC)."""

    file: str
    expires: date
    include_denied: bool = False


# `default` does not let its children cover denied keys by a baseline, so then its rules have to be written out.
_EXTENDS = """\
# Policies that this one builds on, from left to right: built-in ones (default, strict, audit), or files beside this one.
# A child adds and tightens; it loosens only what its parents permit. `ci-gate policy show` prints what it comes to.
extends: [default]
"""
_WRITTEN_OUT = """\
# Policies that this one builds on, from left to right: built-in ones (default, strict, audit), or files beside this one.
# This policy stands alone: its baseline covers denied keys, and `default` does not permit that. Below are the rules of `default`.
#extends: [default]
deny: {groups: [private-keys, cloud-credentials]}
thresholds: {high: 0}
"""
_BASELINE = """\
# What was there when the gate was introduced: the findings in the file are not counted until that day (UTC, inclusive).
# New ones are. Mend the old ones, then write the file again: `ci-gate baseline create IMAGE`. include_denied: denied keys, too.
baseline: {file: $file, expires: $expires, include_denied: $include_denied}
"""
_NO_BASELINE = """\
# What was there when the gate was introduced: the findings in the file are not counted until that day (UTC, inclusive).
# `ci-gate baseline create IMAGE` writes the file. include_denied: denied keys, too.
#baseline: {file: ci-gate-baseline.json, expires: $example_end, include_denied: false}
"""
_DENY_EXAMPLE = """\
# Keys that block at any risk level: single ones, globs, or groups, less the exceptions. `ci-gate keys` lists keys and groups.
#deny:
#  keys: [npm_token, "*_private_key"]
#  groups: [source-control]
#  except: [otr_private_key]
"""
_THRESHOLDS_EXAMPLE = """\
# Most findings allowed, inclusive; 0 is none, null is no limit. Where a level has more, all of its findings block.
#thresholds: {high: 0, medium: 5, low: null, total: 20}
"""
_PROSE_ONLY_DENY = """\
# deny: keys that block at any risk level: `keys` (single ones or globs), `groups`, less `except`. `ci-gate keys` lists them all.
# thresholds: most findings allowed for high, medium, low and total, inclusive; 0 is none, null is no limit.
"""

_TEXT = Template("""\
# Which sensitive files block the deploy of an image. Every field is described in docs/policy.md of ci-gate.
# Is it valid: `ci-gate policy check`. What it comes to: `ci-gate policy show`. Whether it does what it says below: `ci-gate policy test`.
version: 1
# The name in reports; without it, the name of this file.
#name: production

$extends
# enforce: a violation ends with exit code 10. warn: it is only told. Nothing else differs.
#mode: enforce
# Whether `--mode warn` may be given on the command line.
#allow_warn_override: false
# What policies that extend this one may add that loosens it: allow, waivers, baseline, baseline_denied, exempt, extra_keys.
#permit: [waivers]

$deny
# Keys that Security Center reports and this version of ci-gate does not know, made known.
#extra_keys: [alibabacloud_ak]
# Keys that are not counted. A denied key stays denied.
#allow: {keys: [sqlite]}
$thresholds
# What nobody knows. keys (neither in the catalog nor in extra_keys): deny, count, allow. risk_level: the level that an
# undocumented one is judged as: high, medium, low; or error.
#unknown: {keys: deny, risk_level: high}

# The layers of the base image. label: told apart in reports; exempt: not counted, save denied keys.
#base_image:
#  layers: ["sha256:$layer"]
#  action: label

$baseline
# Exceptions that end. keys and images narrow, and so do paths, md5 and fingerprints: all that is named has to fit.
# In globs, * stands for anything within a folder and ** for any folders. created and expires are days (UTC), inclusive.
#waivers:
#  - id: W-1
#    keys: [rsa_private_key]
#    paths: ["/opt/app/testdata/**"]
#    images: ["*/shop/api"]
#    reason: key of a test fixture, known to nobody's server
#    owner: team-payments
#    ticket: SEC-123
#    created: $today
#    expires: $example_end
# What waivers have to be like: fields that each needs, most days from created to expires, days before the end from which
# reports warn, and whether waivers that fit nothing are told (warn, off).
#waiver_rules: {require: [reason, owner, created, expires], max_days: 90, warn_before_days: 14, unused: warn}

# Further rules for some images (registry/namespace/repository): deny, allow, thresholds, waivers. All that fit apply.
#overrides:
#  - images: ["registry.example.com/prod/**"]
#    deny: {groups: [databases]}
#    thresholds: {medium: 0}

# Which proofs a verdict needs. require_digest: no image without a digest. rule_coverage (error, auto, warn, off): the account scans for
# denied keys. inferred (error, warn): cross-checks. vendor_whitelist (error, report): rules in the console that hide findings.
# max_scan_age: oldest scan that is believed. settle: pause before a fresh scan is read again.
#evidence: {require_digest: true, rule_coverage: auto, inferred: error, vendor_whitelist: report, max_scan_age: 7d, settle: 15s}

# What this policy is expected to do; `ci-gate policy test` tries it. A finding has a key, and may have risk_level, path, md5, layer, count;
# a test may name the image and the day (today). expect: passed, blocked, undecided.
tests:
  - name: a private key blocks, however low its risk is said to be
    given: [{key: rsa_private_key, risk_level: low, path: /root/.ssh/id_rsa}]
    expect: blocked
  - name: another finding of high risk blocks
    given: [{key: npm_token, risk_level: high, path: /app/.npmrc}]
    expect: blocked
  - name: a finding of low risk alone does not block
    given: [{key: php_config, risk_level: low, path: /var/www/config.php}]
    expect: passed
""")


def starter_text(today: date, baseline: StarterBaseline | None = None) -> str:
    """Return the text of a policy to start from.

    :param today: the day (UTC) that the examples begin on.
    :raises UsageError: if no policy can name the baseline.
    """
    alone = baseline is not None and baseline.include_denied
    example_end = (today + timedelta(days=_EXAMPLE_DAYS)).isoformat()
    return _TEXT.substitute(
        extends=_WRITTEN_OUT if alone else _EXTENDS,
        deny=(_PROSE_ONLY_DENY if alone else _DENY_EXAMPLE).removesuffix("\n"),
        thresholds="# (thresholds: above)" if alone else _THRESHOLDS_EXAMPLE.removesuffix("\n"),
        baseline=_baseline_text(baseline, example_end),
        layer="00" * 32,
        today=today.isoformat(),
        example_end=example_end,
    )


def _baseline_text(baseline: StarterBaseline | None, example_end: str) -> str:
    if baseline is None:
        return Template(_NO_BASELINE).substitute(example_end=example_end)
    return Template(_BASELINE).substitute(
        file=_quoted(baseline.file),
        expires=baseline.expires.isoformat(),
        include_denied="true" if baseline.include_denied else "false",
    )


def _quoted(text: str) -> str:
    """Return a text in double quotes, as YAML reads it: other than in JSON, more than control characters has to be an escape.

    :raises UsageError: if it is the name of a file that no text can spell.
    """
    if any("\ud800" <= sign <= "\udfff" for sign in text):
        raise UsageError(f"a policy cannot name the baseline {text!a}: it is not UTF-8", advice="Give the file another name.")
    return "".join(sign if sign.isprintable() else f"\\U{ord(sign):08X}" for sign in json.dumps(text, ensure_ascii=False))
