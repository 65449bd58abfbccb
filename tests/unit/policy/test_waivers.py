"""Which findings a waiver fits: never more than what is written."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from ci_gate.catalog import catalog_keys
from ci_gate.model import Finding
from ci_gate.policy.effective import Baseline, Waiver
from ci_gate.policy.judging.waivers import WaiverIndex, in_force, validity
from ci_gate.verdict import Validity

TODAY = date(2026, 9, 1)
DAY = timedelta(1)
MD5 = "0123456789abcdef" * 2
FOUND = Finding("pem", "/opt/app/testdata/a.pem", "high", md5=MD5, layer_digest="a" * 64)
KNOWN = frozenset(catalog_keys())


def fitting(finding, *waivers):
    groups = WaiverIndex(waivers, KNOWN, TODAY).fitting(finding, finding.fingerprint)
    return sorted(waiver.id for group in groups for waiver in group.waivers)


def waiver(**fields):
    return Waiver(**{"id": "W-1", "keys": ("pem",), **fields})


def test_keys_with_the_same_waivers_share_one_index_and_other_keys_have_their_own():
    index = WaiverIndex([waiver(keys=("pem", "sqlite")), waiver(id="W-2", keys=("rsa*",))], KNOWN, TODAY)
    pem, sqlite, rsa = (index.fitting(replace(FOUND, key=key), "") for key in ("pem", "sqlite", "rsa_private_key"))

    assert pem is sqlite  # the size of the index is that of the policy, not of the policy times the keys
    assert [["W-1"], ["W-2"]] == [[waiver.id for group in groups for waiver in group.waivers] for groups in (pem, rsa)]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"keys": ("sqlite", "pem")},
        {"keys": ("pe*",), "paths": ("/opt/**",)},
        {"paths": ("/opt/app/testdata/a.pem",)},
        {"paths": ("/else", "/opt/app/testdata/**")},
        {"paths": ("**/*.pem",)},
        {"md5": ("f" * 32, MD5)},
        {"fingerprints": ("f" * 64, FOUND.fingerprint)},
        {"paths": ("/opt/**",), "md5": (MD5,), "fingerprints": (FOUND.fingerprint,)},
    ],
)
def test_a_waiver_fits_what_it_names(fields):
    assert ["W-1"] == fitting(FOUND, waiver(**fields))
    assert ["W-1"] == fitting(replace(FOUND, md5=MD5.upper()), waiver(**fields))


@pytest.mark.parametrize(
    ("fields", "finding"),
    [
        ({"keys": ("sqlite",)}, FOUND),
        ({"keys": ("PEM",)}, FOUND),
        ({"keys": ("pem",)}, replace(FOUND, key="PEM")),
        ({"keys": ("pem",)}, replace(FOUND, key=" pem")),
        ({"keys": ("pem*",)}, replace(FOUND, key="pem_new")),  # a pattern stands for known keys only
        ({"keys": ("pem_new",)}, replace(FOUND, key="pem_new")),
        ({"paths": ("/opt/app/testdata",)}, FOUND),
        ({"paths": ("/opt/app/testdat",)}, FOUND),
        ({"paths": ("/opt/app/testdat*",)}, FOUND),
        ({"paths": ("/opt/app/testdata/*",)}, replace(FOUND, path="/opt/app/testdata/sub/a.pem")),
        ({"paths": ("/opt/app/testdata/**",)}, replace(FOUND, path="/opt/app/testdata-real/a.pem")),
        ({"paths": ("/opt/app/testdata/**",)}, replace(FOUND, path="/opt/app/testdata/../secret/a.pem")),
        ({"paths": ("/opt/app/testdata/**",)}, replace(FOUND, path="/opt/app/testdata")),
        ({"paths": ("/opt/app/testdata/**",)}, replace(FOUND, path="/OPT/app/testdata/a.pem")),
        ({"paths": ("/opt/app/testdata/**",)}, replace(FOUND, path="/x/opt/app/testdata/a.pem")),
        ({"paths": ("/opt/app/testdata/a.pem",)}, replace(FOUND, path="/opt/app/testdata/a.pem ")),
        ({"md5": ("f" * 32,)}, FOUND),
        ({"md5": (MD5,)}, replace(FOUND, md5="")),
        ({"fingerprints": ("f" * 64,)}, FOUND),
        ({"fingerprints": (FOUND.fingerprint,)}, replace(FOUND, path="/else")),
        ({"paths": ("/opt/**",), "md5": ("f" * 32,)}, FOUND),
        ({"paths": ("/else/**",), "md5": (MD5,)}, FOUND),
        ({"md5": ("f" * 32,), "fingerprints": (FOUND.fingerprint,)}, FOUND),
        ({"paths": ("/else/**",), "fingerprints": (FOUND.fingerprint,)}, FOUND),
    ],
)
def test_a_waiver_never_fits_more_than_it_names(fields, finding):
    assert [] == fitting(finding, waiver(**fields))


def test_all_waivers_that_fit_are_found_in_force_or_not():
    every = (
        waiver(id="always"),
        waiver(id="over", expires=TODAY - DAY),
        waiver(id="path", paths=(FOUND.path, "/opt/**")),
        waiver(id="same", paths=(FOUND.path, "/opt/**")),
        waiver(id="sum", md5=(MD5,)),
        waiver(id="print", fingerprints=(FOUND.fingerprint,)),
        waiver(id="other", keys=("sqlite",)),
    )

    assert ["always", "over", "path", "print", "same", "sum"] == fitting(FOUND, *every)


def test_a_waiver_that_fits_by_two_of_its_paths_fits_once():
    assert ["W-1"] == fitting(FOUND, waiver(paths=("/opt/**", "**/*.pem", FOUND.path)))


@pytest.mark.parametrize(
    ("created", "expires", "expected"),
    [
        (None, None, Validity.ACTIVE),
        (TODAY, None, Validity.ACTIVE),
        (TODAY + DAY, None, Validity.PENDING),
        (None, TODAY - DAY, Validity.EXPIRED),
        (None, TODAY, Validity.EXPIRING),
        (TODAY, TODAY, Validity.EXPIRING),
        (None, TODAY + 14 * DAY, Validity.EXPIRING),
        (None, TODAY + 15 * DAY, Validity.ACTIVE),
        (TODAY + DAY, TODAY + 2 * DAY, Validity.PENDING),
        (None, date.max, Validity.ACTIVE),
    ],
)
def test_the_days_of_a_waiver_are_inclusive(created, expires, expected):
    term = waiver(created=created, expires=expires)

    assert expected is validity(term, TODAY, 14)
    assert in_force(term, TODAY) is (expected in {Validity.ACTIVE, Validity.EXPIRING})


def test_without_days_of_warning_only_a_long_end_is_told():
    assert Validity.EXPIRING is validity(waiver(expires=TODAY), TODAY, 0)
    assert Validity.ACTIVE is validity(waiver(expires=TODAY + DAY), TODAY, 0)


@pytest.mark.parametrize(
    ("expires", "expected"),
    [
        (TODAY - DAY, Validity.EXPIRED),
        (TODAY, Validity.EXPIRING),
        (TODAY + 14 * DAY, Validity.EXPIRING),
        (TODAY + 15 * DAY, Validity.ACTIVE),
    ],
)
def test_a_baseline_has_a_last_day_only(expires, expected):
    assert expected is validity(Baseline("b.json", (), expires), TODAY, 14)


def test_a_finding_without_content_is_waived_by_key_or_path_but_not_by_fingerprint():
    loose = replace(FOUND, md5="N/A", layer_digest="")

    assert [] == fitting(loose, waiver(fingerprints=(loose.fingerprint,)))
    assert ["W-1"] == fitting(loose, waiver(paths=(loose.path,)))
