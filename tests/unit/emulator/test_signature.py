"""The server's side of the signature, held against a request that the real SDK signed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ci_gate.emulator.refusals import RefusalError
from ci_gate.emulator.signature import Caller, SignedRequest, verify

SIGNED_AT_MS = int(datetime(2026, 11, 24, 5, 53, 23, tzinfo=UTC).timestamp() * 1000)
CALLER = Caller("LTAItest", "secrettest")
# Captured from the SDK; its user agent, nonce and date are under the signature.
CAPTURED = SignedRequest(
    "POST",
    "/?CurrentPage=1&ImageUuid=0083+a%2B%2F~%2A&Lang=en&PageSize=100&ScanRange=%5B%22image%22%2C%22container%22%5D&SensitiveFileKey=google_oauth_key",
    {
        "accept-encoding": "identity",
        "host": "127.0.0.1:39399",
        "x-acs-version": "2018-12-03",
        "x-acs-action": "DescribeImageSensitiveFileByKey",
        "user-agent": "AlibabaCloud (Linux; x86_64) Python/3.11.7 Core/0.4.3 TeaDSL/2",
        "x-acs-date": "2026-11-24T05:53:23Z",
        "x-acs-signature-nonce": "4a00a0727a37de7fd64e5e3fa852361c",
        "accept": "application/json",
        "x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "x-acs-credentials-provider": "static_ak",
        "authorization": "ACS3-HMAC-SHA256 Credential=LTAItest,SignedHeaders=accept;host;user-agent;x-acs-action;x-acs-content-sha256;"
        "x-acs-credentials-provider;x-acs-date;x-acs-signature-nonce;x-acs-version,"
        "Signature=5e8be05239237d77f30ee2e46472b39c5fc4e77cb571d9594c57f665dca03286",
        "content-length": "0",
    },
    b"",
)


def refusal(request: SignedRequest, caller: Caller = CALLER, now_ms: int = SIGNED_AT_MS) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        verify(request, caller, now_ms)
    assert "secrettest" not in str(caught.value)
    return caught.value


def with_header(name: str, value: str | None) -> SignedRequest:
    headers = {**CAPTURED.headers, name: value or ""}
    if value is None:
        del headers[name]
    return replace(CAPTURED, headers=headers)


def test_what_the_sdk_signed_is_accepted():
    verify(CAPTURED, CALLER, SIGNED_AT_MS)


@pytest.mark.parametrize(
    "changed",
    [
        replace(CAPTURED, target=CAPTURED.target.replace("CurrentPage=1", "CurrentPage=2")),
        replace(CAPTURED, target=CAPTURED.target + "&Extra="),
        replace(CAPTURED, method="GET"),
        replace(CAPTURED, body=b"x"),
        with_header("x-acs-action", "DescribeImageInstances"),
        with_header("host", "127.0.0.1:1"),
    ],
)
def test_a_changed_request_is_refused(changed):
    assert (refusal(changed).status, refusal(changed).code) == (400, "SignatureDoesNotMatch")


def test_another_secret_is_refused():
    assert refusal(CAPTURED, Caller("LTAItest", "other")).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("request_", [with_header("authorization", None), with_header("authorization", "Basic eA==")])
def test_a_request_without_an_access_key_is_refused(request_):
    assert (refusal(request_).status, refusal(request_).code) == (404, "InvalidAccessKeyId.NotFound")


def test_an_unknown_access_key_is_refused():
    assert refusal(CAPTURED, Caller("LTAIother", "secrettest")).code == "InvalidAccessKeyId.NotFound"


@pytest.mark.parametrize("skew_s", [-901, 901])
def test_a_date_that_is_off_by_more_than_15_minutes_is_refused(skew_s):
    assert refusal(CAPTURED, now_ms=SIGNED_AT_MS + skew_s * 1000).code == "InvalidTimeStamp.Expired"


def test_a_header_that_must_be_signed_cannot_be_left_out():
    authorization = CAPTURED.headers["authorization"].replace("x-acs-signature-nonce;", "")

    assert refusal(with_header("authorization", authorization)).code == "IncompleteSignature"


def test_a_security_token_that_is_not_signed_is_refused():
    assert refusal(with_header("x-acs-security-token", "token")).code == "IncompleteSignature"


def test_a_call_without_the_session_token_of_the_account_is_refused():
    assert refusal(CAPTURED, replace(CALLER, security_token="token")).code == "MissingSecurityToken"
