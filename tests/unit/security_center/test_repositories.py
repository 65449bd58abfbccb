"""Repositories as the service names them, and as people write them."""

from __future__ import annotations

import json

import pytest

from ci_gate.errors import IncompleteError
from ci_gate.model import ImageReference
from ci_gate.security_center.repositories import hosts_of, is_in_repository, names_of, path_of, refuse_personal_edition

DOMAINS = [
    {"domains": ["shop-registry.cn-hangzhou.cr.aliyuncs.com"], "type": "internet"},
    {"domains": ["shop-registry-vpc.cn-hangzhou.cr.aliyuncs.com"], "type": "vpc"},
    {"domains": [], "type": "intranet"},
]


@pytest.mark.parametrize(
    ("endpoints", "hosts"),
    [
        (json.dumps(DOMAINS), {"shop-registry.cn-hangzhou.cr.aliyuncs.com", "shop-registry-vpc.cn-hangzhou.cr.aliyuncs.com"}),
        (json.dumps([{"domains": [], "type": "internet"}]), set()),
        (json.dumps(["registry.example.com"]), {"registry.example.com"}),
        (json.dumps({"internet": "https://registry.example.com:5000/v2"}), {"registry.example.com:5000"}),
        (json.dumps(["harbor:5000", "localhost", "harbor"]), {"harbor:5000", "localhost"}),
        ("registry.example.com", {"registry.example.com"}),
        ("https://registry.example.com/", {"registry.example.com"}),
        ("[]", set()),
        ("N/A", set()),
        ("[" * 100_000, set()),
        ("", set()),
        (None, set()),
    ],
)
def test_the_hosts_of_a_row_are_its_addresses_and_no_other_words(endpoints, hosts):
    assert hosts == hosts_of({"Endpoints": endpoints})


@pytest.mark.parametrize(
    ("namespace", "name", "path"),
    [
        ("shop", "api", "shop/api"),
        ("N/A", "api", "api"),
        (None, "a/b/api", "a/b/api"),
        ("a", "b/api", "a/b/api"),
        ("a/b", "api", "a/b/api"),
    ],
)
def test_a_path_is_one_path_wherever_the_service_cuts_it(namespace, name, path):
    row = {"RepoNamespace": namespace, "RepoName": name}

    assert path == path_of(row)
    assert is_in_repository(row, ImageReference.parse(f"registry.example.com/{path}"))
    assert not is_in_repository(row, ImageReference.parse(f"registry.example.com/x/{path}"))
    assert not is_in_repository(row, ImageReference.parse(f"registry.example.com/{path}-x"))


def test_a_row_without_a_name_is_of_no_repository():
    assert not is_in_repository({"RepoNamespace": "shop/api"}, ImageReference.parse("registry.example.com/shop/api"))


@pytest.mark.parametrize(("path", "names"), [("api", ("api",)), ("shop/api", ("api",)), ("a/b/api", ("api", "b/api", "a/b/api"))])
def test_a_nested_path_may_have_its_name_begin_anywhere(path, names):
    assert names == names_of(ImageReference.parse(f"registry.example.com/{path}"))


@pytest.mark.parametrize(
    "host",
    [
        "registry.cn-hangzhou.aliyuncs.com",
        "registry-vpc.ap-southeast-1.aliyuncs.com",
        "registry-internal.cn-beijing.aliyuncs.com:443",
        "crpi-example.cn-hangzhou.personal.cr.aliyuncs.com",
    ],
)
def test_the_personal_edition_is_refused(host):
    with pytest.raises(IncompleteError, match="Personal Edition"):
        refuse_personal_edition(ImageReference.parse(f"{host}/shop/api:1"))


@pytest.mark.parametrize(
    "host",
    [
        "shop-registry.cn-hangzhou.cr.aliyuncs.com",
        "shop-registry-vpc.cn-hangzhou.cr.aliyuncs.com",
        "registry.example.com",
        "registry.cn-hangzhou.aliyuncs.com.example.com",
        "my-registry.cn-hangzhou.aliyuncs.com.cn",
        "harbor.example.com:5000",
    ],
)
def test_no_other_registry_is_taken_for_the_personal_edition(host):
    refuse_personal_edition(ImageReference.parse(f"{host}/shop/api:1"))
