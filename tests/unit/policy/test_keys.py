"""Which keys a policy denies: of several cases, by patterns, and how much work that is."""

import pytest

from ci_gate.catalog import catalog_keys
from ci_gate.errors import InvalidDocumentError
from ci_gate.policy.judging.keys import MAX_MATCHES, glob_count, glob_work, key_rules
from ci_gate.policy.language.load import load_policy, parse_policy


def policy(text):
    return parse_policy(f"version: 1\n{text}", origin="p.yml").policy


def test_to_make_a_key_known_does_not_take_back_that_it_is_denied_in_another_case():
    rules = key_rules(policy("deny: {keys: ['aws_*']}\nextra_keys: [AWS_new_token]\n"))

    assert rules.denies("AWS_new_token")
    assert not key_rules(policy("deny: {keys: [pem]}\nextra_keys: [AWS_new_token]\n")).denies("AWS_new_token")


def test_twins_of_two_parents_are_denied_where_either_is(tmp_path):
    (tmp_path / "a.yml").write_text("version: 1\nextra_keys: [new_token]\ndeny: {keys: [new_token]}\npermit: [extra_keys]\n")
    (tmp_path / "b.yml").write_text("version: 1\nextra_keys: [NEW_token]\nthresholds: {high: 0}\npermit: [extra_keys]\n")
    (tmp_path / "c.yml").write_text("version: 1\nextends: [a.yml, b.yml]\n")

    rules = key_rules(load_policy(tmp_path / "c.yml").policy)

    assert rules.denies("new_token")
    assert rules.denies("NEW_token")


def test_a_glob_that_is_taken_back_denies_nothing():
    assert not key_rules(policy("deny: {keys: ['aws_*'], except: ['aws_*']}\nthresholds: {high: 0}\n")).denies_any
    assert key_rules(policy("deny: {keys: ['aws_*']}\n")).denies_any


def test_the_work_is_counted_over_overrides_and_waivers():
    text = "deny: {keys: ['aws_*'], except: ['aws_a*']}\noverrides:\n  - images: ['*/shop/api']\n    deny: {keys: ['rsa_*']}\n"
    loaded = policy(text)

    assert glob_count(loaded) == 3
    assert glob_work(loaded) == 3 * len(catalog_keys())


def test_parents_that_are_too_much_together_are_refused(tmp_path):
    for name in "abcd":
        globs = ", ".join(f"'{name}_{number}*'" for number in range(400))
        keys = ", ".join(f"{name}_{number}" for number in range(400))
        (tmp_path / f"{name}.yml").write_text(f"version: 1\nextra_keys: [{keys}]\ndeny: {{keys: [{globs}]}}\n")
    (tmp_path / "p.yml").write_text("version: 1\nextends: [a.yml, b.yml, c.yml, d.yml]\n")

    with pytest.raises(InvalidDocumentError, match="with its parents has 1600 globs over") as caught:
        load_policy(tmp_path / "p.yml")

    assert ":2:" in caught.value.causes[0].where
    assert MAX_MATCHES < 1600 * 1600
