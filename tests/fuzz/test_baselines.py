"""Baselines: whatever stands in one, it loads or is refused by code 3 with its place; one that was made loads as what it was made of."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, timedelta

import pytest
from fuzzing import ODD, bent, loads, mangled, tried
from hypothesis import given
from hypothesis import strategies as st

from ci_gate.errors import ExitCode
from ci_gate.model import Finding, Image, ImageReference, Inventory, number_alike
from ci_gate.policy.effective import Baseline, EffectivePolicy, Judges, Thresholds
from ci_gate.policy.judging.evaluate import judge
from ci_gate.policy.language.baseline import make_baseline, read_baseline
from ci_gate.verdict import ImageResult, Outcome

TODAY = date(2026, 11, 24)
DIGEST = "5e" * 32
REFERENCE = ImageReference.parse(f"registry.example.com/shop/api:1@sha256:{DIGEST}")
STRICT = EffectivePolicy(thresholds=Thresholds(total=0), unknown_keys="count")
WHOLE = {
    "version": 1,
    "images": [str(REFERENCE)],
    "findings": [
        {"fingerprint": "a" * 64, "count": 1, "key": "pem", "path": "/etc/ssl/a.pem"},
        {"fingerprint": "b" * 64, "count": 3, "key": "sqlite", "path": "/x\ud800|`\n"},
        {"fingerprint": "c" * 64, "count": 1_000_000_000},
    ],
}
TEXTS = [json.dumps(WHOLE, indent=1), json.dumps(WHOLE)]
WORDS = [
    *'{}[],:"',
    "null",
    "1",
    "1e0",
    "1.0",
    "-1",
    '"fingerprint"',
    '"count": 2',
    f'"{"d" * 64}"',
    "\\u0000",
    "\\",
    "//",
    "/*",
    "NaN",
    "'",
]
TEXT = st.sampled_from(ODD) | st.text(st.characters(codec=None), max_size=8)
FINDINGS = st.lists(
    st.builds(
        Finding,
        st.sampled_from(["pem", "sqlite"]) | TEXT,
        st.just("/a") | TEXT,
        st.sampled_from(["high", "low"]),
        st.sampled_from(["", "0f" * 16, "0F" * 16]) | TEXT,
        st.sampled_from(["", "ab" * 32, "sha256:" + "ab" * 32]) | TEXT,
    ),
    max_size=8,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("baselines") / "b.json"


def read(path, raw):
    path.write_bytes(raw)
    return loads(lambda: read_baseline(path, "b.json"), ExitCode.POLICY_INVALID, "b.json")


def check(path, raw):
    """Hold what becomes of a text against the laws: what is read is what the text says, and no entry is there twice."""
    entries = read(path, raw)
    if entries is None:
        return False
    document = json.loads(raw.decode("utf-8-sig"))
    assert [(one["fingerprint"], one["count"]) for one in document["findings"]] == [(one.fingerprint, one.count) for one in entries]
    assert len(entries) == len({one.fingerprint for one in entries})
    return True


@tried(200)
@given(mangled(TEXTS, WORDS))
def test_a_mangled_baseline_loads_or_is_refused(path, raw):
    check(path, raw)


@tried(200)
@given(bent([WHOLE]))
def test_a_bent_baseline_loads_or_is_refused(path, document):
    check(path, json.dumps(document).encode())


def test_what_is_tried_is_a_baseline_to_begin_with(path):
    for text in TEXTS:
        assert check(path, text.encode())


@tried(150)
@given(FINDINGS)
def test_a_baseline_excuses_the_findings_that_it_was_made_of_and_none_besides(path, found):
    inventory = Inventory(number_alike(found))
    before = judge(Judges(STRICT), inventory, TODAY, REFERENCE.canonical)
    text = make_baseline([ImageResult(str(REFERENCE), REFERENCE, Image("u", DIGEST), verdict=before)], include_denied=True)
    entries = read(path, text.encode())
    assert entries is not None

    baseline = Baseline("b.json", entries, TODAY + timedelta(1), include_denied=True)
    after = judge(
        Judges(EffectivePolicy(thresholds=STRICT.thresholds, unknown_keys="count", baselines=(baseline,))), inventory, TODAY, None
    )
    more = judge(
        Judges(EffectivePolicy(thresholds=STRICT.thresholds, unknown_keys="count", baselines=(baseline,))),
        Inventory(number_alike([*found, *found])),
        TODAY,
        None,
    )

    assert [Outcome.BASELINED if one.finding.has_content else Outcome.VIOLATION for one in after.decisions] == [
        one.outcome for one in after.decisions
    ]
    excused = Counter(one.finding.fingerprint for one in more.decisions if one.outcome is Outcome.BASELINED)
    assert {entry.fingerprint: entry.count for entry in entries} == excused
