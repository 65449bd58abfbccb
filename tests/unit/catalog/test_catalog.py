"""The catalog holds the documented keys exactly, and every one of them has a place."""

import subprocess
import sys

import pytest

from ci_gate.catalog import catalog_keys, load_catalog

CATALOG = load_catalog()


def test_there_are_exactly_112_documented_keys():
    assert 112 == len(catalog_keys()) == len(set(catalog_keys()))


def test_keys_are_sorted_and_unlike_even_without_their_case():
    assert sorted(catalog_keys()) == list(catalog_keys())
    assert len({key.casefold() for key in catalog_keys()}) == 112


@pytest.mark.parametrize(
    ("key", "english", "chinese"),
    [
        ("aws_access_key", "AWS Access Key", "AWS Access Key"),
        ("gitLab_personal_token", "GitLab Personal access token", "GitLab Personal访问令牌"),
        ("huaweicloud_ak", "third-party cloud Secret Access Key", "他云Secret Access Key"),
        ("netrc_cfg", ".netrc configuration file", ".netrc配置文件"),
        ("pem", "PEM", "PEM"),
        ("pkcs_cred", "PKCS#12 certificate", "PKCS\uff0312证书"),
        ("rsa_private_key", "RSA private key", "RSA私钥"),
        ("sqlite", "SQLite3/SQLite database", "SQLite3/SQLite数据库"),
        ("wordpress_database_cfg", "WordPress database configuration", "WordPress数据库配置"),
    ],
)
def test_names_are_the_documented_ones(key, english, chinese):
    entry = CATALOG.find(key)

    assert (english, chinese) == (entry.name_en, entry.name_zh)


def test_a_key_in_another_case_is_not_found():
    assert CATALOG.find("gitlab_personal_token") is None


def test_every_key_has_names_and_a_group():
    names = {group.name for group in CATALOG.groups}
    for entry in CATALOG.keys:
        assert entry.key == entry.key.strip() != ""
        assert entry.name_en == entry.name_en.strip() != ""
        assert entry.name_zh == entry.name_zh.strip() != ""
        assert entry.groups
        assert set(entry.groups) <= names
        assert len(set(entry.groups)) == len(entry.groups)


def test_every_group_is_described_in_one_sentence_and_holds_keys():
    for group in CATALOG.groups:
        assert group.description.endswith(".")
        assert group.description.count(".") == 1
        assert len(group.keys) >= 2
        assert set(group.keys) <= set(catalog_keys())
        assert CATALOG.group(group.name) is group


def test_group_names_are_no_keys():
    assert set(catalog_keys()).isdisjoint(group.name for group in CATALOG.groups)


def test_every_key_named_private_key_of_a_key_pair_is_in_private_keys():
    missing = {key for key in catalog_keys() if key.endswith("_private_key")} - set(CATALOG.group("private-keys").keys)

    assert {"asana_client_private_key"} == missing  # the secret of an OAuth client: a token of a hosted service


def test_reading_the_catalog_imports_nothing_from_outside():
    foreign = "{'pydantic', 'ruamel', 'click', 'importlib.resources'}"
    code = f"import sys, ci_gate.catalog as c; c.load_catalog(); print(sorted({foreign} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
