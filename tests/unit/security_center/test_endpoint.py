"""Which endpoints the gate agrees to talk to."""

from __future__ import annotations

import pytest

from ci_gate.errors import UsageError
from ci_gate.security_center.endpoint import parse_endpoint


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("tds.cn-shanghai.aliyuncs.com", "https://tds.cn-shanghai.aliyuncs.com"),
        ("https://tds.cn-shanghai.aliyuncs.com/", "https://tds.cn-shanghai.aliyuncs.com"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:1", "http://localhost:1"),
        ("[::1]:9", "http://[::1]:9"),
    ],
)
def test_the_vendor_and_loopback_are_accepted(text, url):
    assert url == parse_endpoint(text, allow_any=False).url


@pytest.mark.parametrize(
    "text",
    [
        "sas.example.com",
        "aliyuncs.com.example.com",
        "evilaliyuncs.com",
        "http://tds.cn-shanghai.aliyuncs.com",
        "example.com#.aliyuncs.com",
        "user@tds.cn-shanghai.aliyuncs.com",
        "tds.cn-shanghai.aliyuncs.com/path",
        "ftp://127.0.0.1",
        "127.0.0.1.example.com",
        "127.0.0.1:99999",
        "10.0.0.1",
        "a..aliyuncs.com",
        f"{'a' * 64}.aliyuncs.com",
        "",
        "a b",
    ],
)
def test_everything_else_is_a_usage_error(text):
    with pytest.raises(UsageError):
        parse_endpoint(text, allow_any=False)


def test_another_host_needs_to_be_allowed_and_is_reached_by_https():
    assert "https://sas.example.com" == parse_endpoint("sas.example.com", allow_any=True).url
    with pytest.raises(UsageError):
        parse_endpoint("http://sas.example.com", allow_any=True)
