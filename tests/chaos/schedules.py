"""Random worlds, policies and schedules of faults, for hypothesis.

A service that tells the same lie on every way to ask cannot be seen through by anyone who only asks it. So a schedule never takes rows
away and lowers the totals that would tell, and a total that is too small stays off the second route, the call without a key.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from hypothesis import strategies as st

CANARY = "CANARY-excerpt-5d1c"
SECRET = "CANARY-secret-key-91aa"
TOKEN = "CANARY-session-token-77e0"
DIGEST = "5e" * 32
NAME = "registry.example.com/shop/api:1.4.2"
REFERENCE = f"{NAME}@sha256:{DIGEST}"

KEYS = "DescribeImageSensitiveFileList"
FILES = "DescribeImageSensitiveFileByKey"
IMAGES = "DescribeImageInstances"
RULES = "GetSensitiveDefineRuleConfig"
WHITELISTS = "DescribeImageEventOperationPage"
ASK = "PublicSyncAndCreateImageScanTask"
ACTIONS = ["*", KEYS, FILES, FILES, IMAGES, RULES, WHITELISTS, ASK, "DescribeImageCriteria", "DescribeImageLatestScanTask"]

UNKNOWN_KEY = "zz_vendor_new"
FOUND_KEYS = ["pem", "sqlite", "git_cfg", "npm_token", "aws_access_key", UNKNOWN_KEY]
LEVELS = ["high", "medium", "low", "low", "urgent"]


@dataclass(frozen=True)
class Policy:
    """A simple policy, as text for the gate and as figures for the oracle. ``most`` holds the thresholds, by level or ``total``."""

    text: str
    denied: frozenset[str]
    most: tuple[tuple[str, int], ...] = ()
    unknown_denied: bool = True
    coverage: str = "auto"
    whitelists: str = "report"


def _policy(denied, most, unknown, coverage="auto", whitelists="report"):
    document = {
        "version": 1,
        "name": "chaos",
        **({"deny": {"keys": denied}} if denied else {}),
        **({"thresholds": most} if most else {}),
        "unknown": {"keys": unknown},
        "evidence": {"rule_coverage": coverage, "vendor_whitelist": whitelists},
    }
    return Policy(json.dumps(document), frozenset(denied), tuple(most.items()), unknown == "deny", coverage, whitelists)


POLICIES = [
    _policy(["pem"], {}, "deny"),
    _policy([], {"high": 0}, "count"),
    _policy(["pem", "aws_access_key"], {"high": 2, "total": 12}, "count"),
    _policy([], {"total": 5}, "deny"),
    _policy([], {"medium": 1, "low": 3}, "count", whitelists="error"),
    _policy(["pem"], {"total": 140}, "count", coverage="error"),
]


@dataclass(frozen=True)
class Case:
    """A world with what goes wrong in it, and how the gate is run on it."""

    world: dict
    policy: Policy
    scan: str
    seconds: float

    @property
    def faults(self):
        return self.world["faults"]

    def __repr__(self):
        return json.dumps({"world": self.world, "policy": json.loads(self.policy.text), "scan": self.scan, "seconds": self.seconds})


# --- worlds ---


@st.composite
def _findings(draw, most=8):
    found = []
    for number in range(draw(st.integers(0, most))):
        key = draw(st.sampled_from(FOUND_KEYS))
        row = {
            "key": key,
            "path": draw(st.sampled_from([f"/app/{number}", f"/testdata/{number}", "/same", "/a|b\n::error::\x1b[31m<b>"])),
            "risk_level": draw(st.sampled_from(LEVELS)),
            "md5": draw(st.sampled_from(["", f"{number:032x}"])),
        }
        optional = {"times": draw(st.sampled_from([1, 1, 1, 2, 5])), "found_in": draw(st.sampled_from(["image"] * 5 + ["container"]))}
        found.append({**row, **optional})
    return found


@st.composite
def _bulk(draw):
    """More of one key than fits on a page."""
    key, level = draw(st.sampled_from(FOUND_KEYS)), draw(st.sampled_from(LEVELS))
    count = draw(st.sampled_from([21, 100, 101, 130]))
    return [{"key": key, "path": f"/bulk/{number:04d}", "risk_level": level, "md5": f"{number:032x}"} for number in range(count)]


# Findings that are later than success come at the second look at the latest: later than the last look is later than anybody looks.
_STAGES = st.sampled_from(
    [
        {},
        {},
        {"scan": [{"status": "SUCCESS", "last": "now"}]},
        {"scan": [{"status": "SUCCESS", "last": "now"}], "findings_after_calls": 1},
        {"scan": [{"status": "SUCCESS", "last": "now"}], "findings_after_calls": 2},
        {"scan": [{"status": "START", "progress": 0, "last": None, "for_calls": 2}, {"status": "SUCCESS", "last": "now"}]},
        {"scan": [{"status": "FAIL", "last": "1h ago"}]},
        {"scan": [{"status": "TIMEOUT", "last": None}], "scan_when_requested": [{"status": "FAIL"}]},
        {"scan": [{"status": None}]},
        {"scan": [{"status": None}], "findings_after_calls": 2},
        {"scan": [{"status": None}], "listed_after": {"sync": True, "calls": 1}},
        {"listed_after": {"calls": 2}},
        {"also_tagged": ["latest"]},
    ]
)

# Another entry of the image's digest. One that may never succeed holds nothing: what it would find, nobody can know.
_SUCCESS = [{"status": "SUCCESS", "last": "now"}]
_TWINS = st.sampled_from(
    [
        {},
        {"scan": _SUCCESS},
        {"scan": _SUCCESS, "findings_after_calls": 2},
        {"scan": [{"status": "START", "progress": 0, "last": None, "for_calls": 2}, *_SUCCESS]},
        {"scan": [{"status": "FAIL", "last": "1h ago"}], "findings": []},
        {"scan": [{"status": "FAIL", "last": "3h ago"}], "findings": []},
        {"scan": [{"status": None}], "findings": []},
    ]
)

_WHITELISTS = st.sampled_from(
    [
        [],
        [],
        [{"event_key": "pem", "conditions": [{"condition": "PATH", "type": "contains", "value": "/testdata/"}]}],
        [{"event_key": "sqlite", "scenario": {"type": "repo", "value": "shop/api"}}],
        [{"event_key": "git_cfg", "scenario": {"type": "repo", "value": "other/api"}}],
    ]
)

_QUIRKS = st.fixed_dictionaries(
    {
        "canary": st.just(CANARY),
        "key_optional": st.sampled_from([True, True, False]),
        "page_size_cap": st.sampled_from([None, None, None, 1, 2, 3, 7]),
        "cap_echoed": st.sampled_from([True, True, True, False]),
        "digest_prefix": st.booleans(),
        "numbers_as_text": st.booleans(),
        "whitelisted_rows": st.sampled_from(["shown", "hidden"]),
        "endpoints": st.sampled_from(["hosts", "domains"]),
        "unsupported_criteria": st.sampled_from(["refuse", "ignore"]),
        "rate_limit": st.sampled_from([None] * 8 + [{"per_second": 40, "retry_after": True}, {"per_second": 40, "retry_after": False}]),
    }
)


@st.composite
def _images(draw, findings, cap):
    main = {"reference": NAME, "digest": DIGEST, "findings": findings, **draw(_STAGES)}
    if cap is None and draw(st.integers(0, 9)) == 0:
        main["findings"] = [*findings, *draw(_bulk())]
    others = [
        {"reference": f"registry.example.com/shop/api:0.{number}", "digest": f"{number:064x}", "findings": draw(_findings(2))}
        for number in range(1, 1 + draw(st.sampled_from([0, 0, 1, 3])))
    ]
    if _succeeds(main) and draw(st.integers(0, 3)) == 0:
        found = [{**row, "path": f"/stable{row['path']}"} for row in draw(_findings(3))]
        others.append({"reference": "registry.example.com/shop/api:stable", "digest": DIGEST, "findings": found, **draw(_TWINS)})
    return [*others, main] if draw(st.booleans()) else [main, *others]


def _succeeds(image):
    return "listed_after" not in image and image.get("scan", _SUCCESS)[-1]["status"] == "SUCCESS"


# --- faults ---

BARE = json.dumps({"SensitiveFileList": [], "PageInfo": {"CurrentPage": 1, "PageSize": 20, "TotalCount": 0}, "Code": "200"})
FAILED = json.dumps({**json.loads(BARE), "Success": False})
ECHO = json.dumps({**json.loads(BARE), "Success": True, "Message": f"{TOKEN} {SECRET}"})
_NONSENSE = ["{}", "[1]", "null", "", "<html>", '"x"', "{" * 5000, '{"Success":true}', '{"a":1,"a":1}', BARE, BARE, FAILED, ECHO, "\ud800"]

_WIRE = st.one_of(
    st.builds(
        dict, kind=st.just("status"), status=st.sampled_from([500, 502, 503, 504]), code=st.sampled_from(["ServerError", "X", TOKEN])
    ),
    st.builds(dict, kind=st.just("refusal"), codes=st.sampled_from(["documented", "gateway", "undocumented"])),
    st.builds(dict, kind=st.just("throttle"), retry_after_ms=st.sampled_from([None, 1, 50, 60_000])),
    st.builds(dict, kind=st.just("body"), text=st.sampled_from(_NONSENSE), status=st.sampled_from([200, 200, 200, 204, 206, 400, 500])),
    st.builds(dict, kind=st.just("proxy_page"), status=st.sampled_from([200, 403, 407, 429, 502, 504])),
    st.builds(dict, kind=st.just("redirect"), location=st.just("http://127.0.0.1:9/"), status=st.sampled_from([301, 302, 307])),
    st.builds(dict, kind=st.just("close")),
    st.builds(dict, kind=st.just("reset"), when=st.sampled_from(["before", "in", "after"])),
    st.builds(dict, kind=st.just("truncate")),
    st.builds(dict, kind=st.just("drip"), bytes=st.sampled_from([40, 400]), seconds=st.sampled_from([0.0, 0.01])),
    st.builds(dict, kind=st.just("chunked"), bytes=st.sampled_from([7, 512]), cut=st.booleans()),
    st.builds(dict, kind=st.just("cut_json")),
    st.builds(dict, kind=st.just("content_type"), value=st.sampled_from(["text/html", "application/json; charset=utf-16", "x"])),
    st.builds(dict, kind=st.just("encoded"), encoding=st.sampled_from(["gzip", "deflate"]), wrong=st.booleans()),
    st.builds(dict, kind=st.just("clock"), seconds=st.sampled_from([-3600, -600, -60, 60, 600, 3600])),
    st.builds(dict, kind=st.just("delay"), seconds=st.just(0.01), jitter=st.sampled_from([0.0, 0.1])),
    st.builds(dict, kind=st.just("odd_field"), how=st.sampled_from(["type", "nulled", "absent"])),
    st.builds(
        dict,
        kind=st.just("set_field"),
        where=st.just("answer"),
        field=st.sampled_from(["PageInfo.CurrentPage", "PageInfo.PageSize", "PageInfo.Count", "HttpStatusCode"]),
        value=st.sampled_from([0, 1, 2, 50, 500, "1", "x"]),
    ),
)
# What a careless client takes for an empty listing.
_EMPTY_LOOKING = st.one_of(
    st.builds(dict, kind=st.just("status"), status=st.sampled_from([500, 503])),
    st.builds(dict, kind=st.just("body"), text=st.sampled_from([BARE, BARE, FAILED, "{}"])),
    st.builds(dict, kind=st.just("body"), text=st.just(BARE), status=st.sampled_from([206, 500])),
)
_SLOW = st.one_of(
    st.builds(dict, kind=st.just("stall"), times=st.just(1)),
    st.builds(dict, kind=st.just("huge"), megabytes=st.sampled_from([2, 20]), compressed=st.booleans(), times=st.just(1)),
)
_ROWS = st.one_of(
    st.builds(dict, kind=st.sampled_from(["empty_page", "duplicate_page", "reverse_rows", "shuffle_rows"])),
    st.builds(dict, kind=st.just("short_page"), rows=st.sampled_from([1, 2, 20])),
    st.builds(dict, kind=st.just("shift_page"), rows=st.sampled_from([-2, -1, 1, 2])),
)
_TOTALS = st.builds(
    dict, kind=st.just("total"), by=st.sampled_from([-100, -3, -2, -1, 0, 1, 2, 50, 10**6]), each=st.sampled_from([0, 0, 1, -1])
)


@st.composite
def _hit(draw, fault, actions=tuple(ACTIONS)):
    action = draw(st.sampled_from(actions))
    where = {"action": action}
    if action == FILES:
        where["key"] = draw(st.sampled_from([None, None, "", *FOUND_KEYS[:3]]))
    if action in {KEYS, FILES, IMAGES}:
        where["page"] = draw(st.sampled_from([None, None, 1, 2]))
    when = {
        "from_call": draw(st.sampled_from([1, 1, 1, 2, 3, 6])),
        "times": draw(st.sampled_from([None, None, 1, 2, 4])),
        "chance": draw(st.sampled_from([1, 1, 1, 0.5])),
    }
    return {**where, **when, **draw(fault)}


@st.composite
def _everywhere(draw, fault):
    """One fault on all calls that tell of findings: nobody else is left to contradict it."""
    one = draw(fault)
    return [{**one, "action": action} for action in (KEYS, FILES)]


@st.composite
def _faults(draw):
    mode = draw(st.sampled_from(["none", "wire", "wire", "everywhere", "everywhere", "rows", "rows", "totals", "slow"]))
    if mode == "none":
        return []
    found = [draw(_hit(_WIRE)) for _ in range(draw(st.sampled_from([1, 2, 3] if mode == "wire" else [0, 0, 1, 2])))]
    if mode == "everywhere":
        found += draw(_everywhere(draw(st.sampled_from([_WIRE, _EMPTY_LOOKING]))))
    elif mode == "slow":
        found.append(draw(_hit(_SLOW)))
    elif mode in {"rows", "totals"}:
        kind = _ROWS if mode == "rows" else _TOTALS
        found += [draw(_hit(kind, ("*", KEYS, FILES, FILES, IMAGES, WHITELISTS))) for _ in range(draw(st.integers(1, 3)))]
    return draw(st.permutations(found))


def may_be(fault, action, key):
    """Whether a fault can hit a call."""
    return fault["action"] in {"*", action} and fault.get("key") in {None, key}


def _second_route_is_sure(world):
    """Whether the call without a key answers: no fault can be taken for the documented refusal of it."""
    refusals = [fault for fault in world["faults"] if fault["kind"] == "refusal" and fault["codes"] == "gateway"]
    return world["quirks"]["key_optional"] and not any(may_be(fault, FILES, "") for fault in refusals)


def _can_be_told(fault, sure):
    """Whether a total that is too small can be told from the truth."""
    if fault["kind"] != "total" or (fault["by"] >= 0 and fault["each"] >= 0):
        return True
    return sure and not may_be(fault, FILES, "") and fault["action"] != WHITELISTS and fault["action"] != IMAGES


@st.composite
def cases(draw):
    """Draw a case."""
    quirks = draw(_QUIRKS)
    findings = draw(_findings())
    account = {
        "access_key_secret": SECRET,
        "security_token": TOKEN,
        "token_expires_after_calls": draw(st.sampled_from([None] * 30 + [0, 3, 9])),
    }
    world = {
        "version": 1,
        "seed": draw(st.integers(0, 1000)),
        "account": account,
        "images": draw(_images(findings, quirks["page_size_cap"])),
        "repositories": [{"reference": "registry.example.com/shop/api"}],
        "rules_off": draw(st.sampled_from([[], [], [], ["sqlite"], ["pem"], [UNKNOWN_KEY]])),
        "rules_extra": [UNKNOWN_KEY],
        "whitelists": draw(_WHITELISTS),
        "quirks": quirks,
        "faults": draw(_faults()),
    }
    sure = _second_route_is_sure(world)
    world["faults"] = [fault for fault in world["faults"] if _can_be_told(fault, sure)]
    if sure and draw(st.integers(0, 3)) == 0:
        main = next(image for image in world["images"] if image["reference"] == NAME)
        lower = any(fault["kind"] == "total" and (fault["by"] < 0 or fault["each"] < 0) for fault in world["faults"])
        main["unlisted_keys"] = [] if lower else [draw(st.sampled_from(FOUND_KEYS))]
    scan = draw(st.sampled_from(["auto", "auto", "never"]))
    slow = any(fault["kind"] in {"stall", "huge", "drip"} for fault in world["faults"])
    seconds = 30.0 if not world["faults"] else 0.8 if slow else draw(st.sampled_from([0.3, 2.0, 2.0, 2.0]))
    return Case(world, draw(st.sampled_from(POLICIES)), scan, seconds)
