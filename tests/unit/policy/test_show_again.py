"""What `policy show` prints of policies that build on others: it loads again as the same policy, or its head says what is lost."""

import json
import tempfile
from datetime import date
from pathlib import Path

import pytest
from effort import examples
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from ci_gate.errors import InvalidDocumentError
from ci_gate.policy.effective import DenyClause
from ci_gate.policy.language.load import LoadedPolicy, load_policy
from ci_gate.policy.show import Shown, narrowed, show_yaml

IMAGE = "registry.example.com/shop/api"
PERMIT_ALL = ["allow", "waivers", "baseline", "baseline_denied", "exempt", "extra_keys"]
BASELINE = '{"version": 1, "images": [], "findings": [{"fingerprint": "%s", "count": 1}]}' % ("a" * 64)
LAYERS = [f"sha256:{digit * 64}" for digit in "ab"]


def write(folder, name, document):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": 1, **document}, indent=1), encoding="utf-8")
    return path


def shown_of(loaded):
    return Shown(loaded.policy, loaded.summary.name, loaded.summary.origin, loaded.policy.sha256, loaded.origins)


def shown_again(folder, shown):
    """Return what is printed of a policy, and what loads from that."""
    text = show_yaml(shown)
    path = folder / "shown.yml"
    path.write_text(text, encoding="utf-8")
    return text, load_policy(path)


def waiver(number, **fields):
    return {"id": f"W-{number}", "keys": ["pem"], "reason": "r", "owner": "o", "created": "2026-09-01", "expires": "2026-11-30"} | fields


BLOCK = {"deny": {"groups": ["private-keys"]}, "permit": PERMIT_ALL}
# Documents by their names, `p.yml` last: what is loaded. All of them can be said in one file.
SAME = {
    "denials of several": {"org.yml": BLOCK | {"deny": {"keys": ["pem", "aws_*"]}}, "p.yml": {"extends": ["./org.yml", "default"]}},
    "the same exceptions in both": {
        "org.yml": BLOCK | {"deny": {"keys": ["*_private_key"], "except": ["otr_private_key"]}},
        "p.yml": {"extends": ["./org.yml"], "deny": {"groups": ["private-keys"], "except": ["otr_private_key"]}},
    },
    "a threshold of an override under a stricter child": {
        "org.yml": BLOCK | {"overrides": [{"images": ["*/shop/api"], "thresholds": {"high": 3, "medium": 4}}]},
        "p.yml": {"extends": ["./org.yml"], "thresholds": {"high": 3, "medium": 5}},
    },
    "a threshold of an override under a stricter parent": {
        "org.yml": BLOCK | {"thresholds": {"high": 0}},
        "p.yml": {"extends": ["./org.yml"], "overrides": [{"images": ["*/shop/api"], "thresholds": {"high": 3}}]},
    },
    "a key that the child allows and the parent denies": {
        "org.yml": BLOCK,
        "p.yml": {
            "extends": ["./org.yml"],
            "allow": {"keys": ["rsa_private_key", "sqlite"]},
            "overrides": [{"images": ["*/shop/api"], "allow": {"keys": ["otr_private_key"]}}],
        },
    },
    "a baseline of a parent in a subfolder": {
        "known.json": BASELINE,
        "sub/known.json": BASELINE,
        "sub/org.yml": BLOCK | {"baseline": {"file": "known.json", "expires": "2026-12-31", "include_denied": True}},
        "p.yml": {"extends": ["./sub/org.yml"]},
    },
    "a baseline of a parent's parent, above it": {
        "known.json": BASELINE,
        "org.yml": BLOCK | {"baseline": {"file": "./known.json", "expires": "2026-12-31"}},
        "sub/team.yml": {"extends": ["../org.yml"], "permit": PERMIT_ALL},
        "p.yml": {"extends": ["./sub/team.yml", "./org.yml"]},
    },
    "an error beside a level": {
        "org.yml": BLOCK | {"unknown": {"risk_level": "high"}},
        "p.yml": {"extends": ["./org.yml"], "unknown": {"risk_level": "error"}},
    },
}
LOST = {
    "a waiver of what a child allows": {
        "org.yml": BLOCK | {"waivers": [waiver(1, keys=["pem", "sqlite"])], "overrides": [{"images": ["*/a"], "waivers": [waiver(2)]}]},
        "p.yml": {"extends": ["./org.yml"], "allow": {"keys": ["pem"]}},
    },
    "a waiver that is longer than a child's rules": {
        "org.yml": BLOCK | {"waivers": [waiver(1)]},
        "p.yml": {"extends": ["./org.yml"], "waiver_rules": {"max_days": 30}},
    },
    "a waiver of two overrides for the same images": {
        "a.yml": BLOCK | {"overrides": [{"images": ["*/a"], "waivers": [waiver(1)]}]},
        "b.yml": BLOCK | {"overrides": [{"images": ["*/a"], "waivers": [waiver(1)], "thresholds": {"high": 1}}]},
        "p.yml": {"extends": ["./a.yml", "./b.yml"]},
    },
    "a glob that allows only what a parent denies": {
        "org.yml": BLOCK,
        "p.yml": {"extends": ["./org.yml"], "allow": {"keys": ["otr_*"]}, "overrides": [{"images": ["*/a"], "allow": {"keys": ["dsa_*"]}}]},
    },
    "exceptions of one": {
        "org.yml": BLOCK | {"deny": {"keys": ["*_private_key"], "except": ["otr_private_key"]}},
        "p.yml": {"extends": ["./org.yml"], "deny": {"keys": ["pem"]}},
    },
    "two baselines": {
        "known.json": BASELINE,
        "sub/known.json": BASELINE,
        "sub/org.yml": BLOCK | {"baseline": {"file": "known.json", "expires": "2026-12-31"}},
        "p.yml": {"extends": ["./sub/org.yml"], "baseline": {"file": "known.json", "expires": "2026-12-31"}},
    },
}


def load(folder, documents) -> LoadedPolicy:
    for name, document in documents.items():
        if isinstance(document, str):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(document, encoding="utf-8")
        else:
            write(folder, name, document)
    return load_policy(folder / "p.yml")


@pytest.mark.parametrize("kind", SAME)
def test_what_one_file_can_say_loads_again_as_the_same_policy(kind, tmp_path):
    loaded = load(tmp_path, SAME[kind])
    text, again = shown_again(tmp_path, shown_of(loaded))

    assert "NOT THE SAME" not in text
    assert loaded.policy.sha256 == again.policy.sha256, text


@pytest.mark.parametrize("kind", LOST)
def test_what_one_file_cannot_say_still_loads_and_the_head_says_so(kind, tmp_path):
    loaded = load(tmp_path, LOST[kind])
    text, again = shown_again(tmp_path, shown_of(loaded))

    assert "# NOT THE SAME when loaded again: " in text
    assert loaded.policy.sha256 != again.policy.sha256, text


def test_the_path_of_a_baseline_counts_from_the_policy_that_is_loaded(tmp_path):
    text, again = shown_again(tmp_path, shown_of(load(tmp_path, SAME["a baseline of a parent in a subfolder"])))

    assert ["sub/known.json"] == [baseline.file for baseline in again.policy.baselines]
    assert "file: sub/known.json  # " in text
    assert "default" not in text.partition("file: sub/known.json")[2].partition("\n")[0]


@pytest.mark.parametrize("name", ["x" * 240, "a\tb", "\u202e", "\x7f"], ids=ascii)
def test_a_policy_in_a_file_with_an_odd_name_loads_again(name, tmp_path):
    path = write(tmp_path, f"{name}.yml", {"thresholds": {"high": 0}})
    loaded = load_policy(path)

    assert loaded.policy.sha256 == shown_again(tmp_path, shown_of(loaded))[1].policy.sha256


def test_what_has_no_effect_in_an_override_is_noted_and_its_rest_keeps_its_origin(tmp_path):
    (tmp_path / "org.yml").write_text("version: 1\nthresholds: {high: 0}\ndeny: {keys: [pem]}\npermit: [allow]\n", encoding="utf-8")
    (tmp_path / "p.yml").write_text(
        "version: 1\nextends: [./org.yml]\noverrides:\n  - images: ['*/shop/api']\n    thresholds:\n      high: 2\n      low: 3\n"
        "    allow:\n      keys:\n        - pem\n        - sqlite\n",
        encoding="utf-8",
    )
    loaded = load_policy(tmp_path / "p.yml")
    lines = [line.strip() for line in show_yaml(shown_of(loaded)).splitlines()]

    assert ["overrides, entry 1, allow.keys: 'pem' has no", "overrides, entry 1, thresholds.high: 2 has no"] == sorted(
        note.what.partition(" effect")[0] for note in loaded.notes
    )
    assert f"low: 3  # {tmp_path}/p.yml:7" in lines
    assert f"keys: [sqlite]  # {tmp_path}/p.yml:11" in lines


def test_more_than_one_file_may_hold_is_told(tmp_path):
    for name in "abc":
        write(tmp_path, f"{name}.yml", BLOCK | {"extra_keys": [f"{name}{number}" for number in range(900)]})
    loaded = load(tmp_path, {"p.yml": {"extends": ["./a.yml", "./b.yml", "./c.yml"]}})

    assert "# NOT THE SAME when loaded again: it has a list of 2700 entries, and a file may have 2000." in show_yaml(shown_of(loaded))


def test_a_loss_is_told_on_a_line_that_loads_however_many_words_it_has(tmp_path):
    extra = [f"own_{number:0100}" for number in range(300)]
    org = BLOCK | {"extra_keys": extra, "deny": {"keys": ["own_*", "pem"], "except": extra}}
    loaded = load(tmp_path, {"org.yml": org, "p.yml": {"extends": ["./org.yml", "default"]}})
    text, again = shown_again(tmp_path, shown_of(loaded))

    assert " and 290 more are of one policy only" in text
    assert (DenyClause(("own_*", "pem"), ("cloud-credentials", "private-keys")),) == again.policy.deny


def few(values, most=2):
    return st.lists(st.sampled_from(values), unique=True, max_size=most)


def sections(**fields):
    return st.fixed_dictionaries({}, optional=fields)


KEYS = ["pem", "sqlite", "rsa_private_key", "otr_private_key", "*_private_key", "s*", "own_key"]
LIMITS = sections(**dict.fromkeys(("high", "medium", "low", "total"), st.none() | st.integers(0, 4)))
DENY = st.sampled_from(
    [
        {},
        {"keys": ["pem"]},
        {"groups": ["private-keys"]},
        {"keys": ["s*"], "groups": ["databases"]},
        {"keys": ["*_private_key", "own_key"], "except": ["otr_private_key"]},
        {"groups": ["private-keys"], "except": ["otr_private_key"]},
    ]
)
ALLOW = sections(keys=few(KEYS))
DAYS = st.sampled_from(["2026-10-01", "2026-11-30", "2027-11-30"])
WAIVERS = st.lists(
    st.fixed_dictionaries(
        {"keys": st.lists(st.sampled_from(["pem", "sqlite", "own_key", "*_private_key"]), min_size=1, max_size=2, unique=True)}
        | {"paths": st.sampled_from([["/a"], ["**/b.pem", "/c##[x]"]]), "expires": DAYS}
        | {"created": st.just("2026-09-01"), "owner": st.just("o"), "reason": st.just("it's: so")},
        optional={"ticket": st.just("#1")},
    ),
    max_size=2,
)
RULES = sections(
    require=few(["owner", "reason"]),
    max_days=st.none() | st.sampled_from([30, 90]),
    warn_before_days=st.integers(0, 3),
    unused=st.just("off"),
)
OVERRIDES = st.lists(
    st.fixed_dictionaries(
        {"images": st.sampled_from([["*/shop/api"], [IMAGE], ["*/shop/**", "*/prod/*"]])},
        optional={"deny": DENY, "allow": ALLOW, "thresholds": LIMITS, "waivers": WAIVERS},
    ),
    max_size=2,
)
DOCUMENT = st.fixed_dictionaries(
    {"permit": st.just(PERMIT_ALL), "extra_keys": st.just(["own_key"]), "waiver_rules": RULES},
    optional={
        "mode": st.sampled_from(["enforce", "warn"]),
        "deny": DENY,
        "allow": ALLOW,
        "thresholds": LIMITS,
        "unknown": sections(keys=st.sampled_from(["deny", "count", "allow"]), risk_level=st.sampled_from(["high", "low", "error"])),
        "base_image": st.fixed_dictionaries({"layers": few(LAYERS, 1)}, optional={"action": st.sampled_from(["label", "exempt"])}),
        "baseline": st.fixed_dictionaries({"file": st.sampled_from(["known.json", "./known.json"]), "expires": DAYS}),
        "waivers": WAIVERS,
        "overrides": OVERRIDES,
        "evidence": sections(max_scan_age=st.sampled_from([None, "24h", "90s"]), settle=st.sampled_from(["0s", "10m", "90s"])),
    },
)


def mended(document, prefix):
    """Return a document without the lists that the loader would refuse for being empty, and with an id of its own for every waiver."""
    if isinstance(document, dict):
        inner = {name: mended(value, f"{prefix}{name[0]}") for name, value in document.items()}
        return {name: value for name, value in inner.items() if value not in ([], {}) or name == "require"}
    if not isinstance(document, list):
        return document
    entries = [mended(item, f"{prefix}{number}") for number, item in enumerate(document)]
    kept = [item for item in entries if not isinstance(item, dict) or set(item) != {"images"}]
    return [
        item | {"id": f"{prefix}{number}"} if isinstance(item, dict) and "expires" in item else item for number, item in enumerate(kept)
    ]


@settings(deadline=None, max_examples=examples(30), suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(DOCUMENT, DOCUMENT, DOCUMENT, st.booleans())
def test_whatever_is_shown_loads_again_as_the_same_unless_its_head_says_otherwise(own, team, org, other):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for place in (folder, folder / "sub"):
            place.mkdir(exist_ok=True)
            (place / "known.json").write_text(BASELINE, encoding="utf-8")
        documents = {"sub/org.yml": mended(org, "org-"), "team.yml": mended(team, "team-") | {"extends": ["./sub/org.yml"]}}
        parents = ["./team.yml", "./sub/org.yml"] if other else ["./team.yml"]
        try:
            loaded = load(folder, documents | {"p.yml": mended(own, "own-") | {"extends": parents}})
        except InvalidDocumentError:
            reject()
        for shown in (shown_of(loaded), narrowed(shown_of(loaded), IMAGE)):
            text, again = shown_again(folder, shown)
            assert "NOT THE SAME" in text or shown.policy.sha256 == again.policy.sha256, text


def test_the_days_of_a_policy_are_days_again(tmp_path):
    loaded = load(tmp_path, {"p.yml": BLOCK | {"waivers": [waiver(1)]}})

    assert date(2026, 11, 30) == shown_again(tmp_path, shown_of(loaded))[1].policy.waivers[0].expires
