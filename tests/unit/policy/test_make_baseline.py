"""Writing baselines: what gets in, how often, and always as the same bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_gate.model import Finding, Image, ImageReference, RiskLevel, number_alike
from ci_gate.policy.language.baseline import is_denied, make_baseline, read_baseline
from ci_gate.verdict import Decision, ImageResult, Outcome, Verdict

REFERENCE = ImageReference.parse("registry.example.com/shop/api:1")


def _image(*decisions, digest="5e" * 32):
    return ImageResult(str(REFERENCE), REFERENCE, Image("u-1", digest), verdict=Verdict(decisions))


def _decision(outcome=Outcome.COUNTED, rule="counted", path="/a", key="pem", **fields):
    return Decision(Finding(key, path, "high", **{"md5": "0f" * 16, **fields}), outcome, rule, "said", RiskLevel.HIGH)


def _entries(*images, include_denied=False):
    return [(entry["path"], entry["count"]) for entry in json.loads(make_baseline(images, include_denied=include_denied))["findings"]]


@pytest.mark.parametrize(
    ("outcome", "rule", "plain", "denied"),
    [
        (Outcome.COUNTED, "counted", True, True),
        (Outcome.VIOLATION, "thresholds.high", True, True),
        (Outcome.VIOLATION, "floor[deny].thresholds.total", True, True),
        (Outcome.VIOLATION, "deny", False, True),
        (Outcome.VIOLATION, "unknown.keys", False, True),
        (Outcome.VIOLATION, "floor[thresholds.high].deny", False, True),
        (Outcome.VIOLATION, "floor[a].b].unknown.keys", False, True),
        (Outcome.BASELINED, "baseline", True, True),
        (Outcome.INHERITED, "since", True, True),
        (Outcome.WAIVED, "waivers.W-1", False, False),
        (Outcome.ALLOWED, "allow", False, False),
        (Outcome.EXEMPT, "base_image", False, False),
    ],
)
def test_what_counts_or_is_excused_for_a_while_gets_in(outcome, rule, plain, denied):
    image = _image(_decision(outcome, rule))

    assert [plain, denied] == [bool(_entries(image, include_denied=include)) for include in (False, True)]
    assert is_denied(image.verdict.decisions[0]) == (denied and not plain)


def test_what_nothing_ties_to_content_stays_out():
    assert [] == _entries(_image(_decision(md5=""), _decision(md5="N/A", layer_digest="none")))
    assert [("/a", 1)] == _entries(_image(_decision(md5="N/A", layer_digest="5e" * 32)))


def test_an_entry_counts_all_that_share_its_fingerprint():
    assert [("/a", 3)] == _entries(_image(_decision(), _decision(), _decision(Outcome.WAIVED, "waivers.W-1")))


def test_of_several_images_the_largest_count_is_taken_and_never_the_sum():
    one, two = _image(_decision(), _decision(path="/b")), _image(_decision(), _decision(), digest="66" * 32)

    assert [("/a", 2), ("/b", 1)] == _entries(one, two)
    assert make_baseline((one, two), include_denied=False) == make_baseline((two, one), include_denied=False)


def test_it_names_the_images_by_digest():
    text = make_baseline([_image(digest="66" * 32), _image(), _image()], include_denied=False)

    assert [f"registry.example.com/shop/api@sha256:{digest * 32}" for digest in ("5e", "66")] == json.loads(text)["images"]


_TEXT = st.text(st.characters(exclude_categories=()), min_size=1, max_size=20)


@given(st.lists(st.tuples(_TEXT, _TEXT), max_size=20), st.randoms())
def test_any_findings_come_back_and_their_order_never_matters(tmp_path_factory, rows, random):
    findings = number_alike(Finding(key, path, "low", md5="0f" * 16) for key, path in rows)
    decisions = [Decision(found, Outcome.COUNTED, "counted", "", RiskLevel.LOW) for found in findings]
    text = make_baseline([_image(*decisions)], include_denied=False)
    random.shuffle(decisions)
    path = tmp_path_factory.getbasetemp() / "baseline.json"
    path.write_text(text, "ascii")

    entries = read_baseline(path, "baseline.json")

    assert text == make_baseline([_image(*decisions)], include_denied=False)
    assert {found.fingerprint for found in findings} == {entry.fingerprint for entry in entries}
    assert len(findings) == sum(entry.count for entry in entries)
    assert len(entries) == sum(line.startswith('{"fingerprint"') for line in text.split("\n"))


def test_denied_findings_of_an_older_baseline_are_not_carried_forward_unasked():
    image = _image(_decision(Outcome.BASELINED, "baseline.denied", md5="ab" * 16))

    assert [] == _entries(image)
    assert [("/a", 1)] == _entries(image, include_denied=True)


def test_what_nothing_ties_to_content_is_left_out():
    assert [] == _entries(_image(_decision(md5="N/A", layer_digest="sha256:")), include_denied=True)
