"""Where credentials come from, and that they go nowhere else. Loopback only: STS is behind a proxy that is dead."""

from __future__ import annotations

import pytest
from support import REFERENCE

CANARY = "CANARY-7b1e"
PROXY = f"http://user:{CANARY}@127.0.0.1:9"


@pytest.fixture
def oidc(gate):
    (gate.folder / "token").write_text(CANARY)
    return {
        "ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1000000000000000:role/example",
        "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1000000000000000:oidc-provider/example",
        "ALIBABA_CLOUD_OIDC_TOKEN_FILE": str(gate.folder / "token"),
        "HTTPS_PROXY": PROXY,
        "DEBUG": "sdk",
    }


def test_a_token_that_cannot_be_exchanged_is_no_secret_told(gate, oidc):
    finished = gate.run("check", REFERENCE, "--timeout", "8s", "-vv", "--report-dir", "reports", **oidc)

    assert finished.code == 22, finished.err
    assert "STS was not reached" in finished.err
    assert CANARY not in finished.everything


def test_a_token_file_that_is_missing_is_unauthorized(gate, oidc):
    oidc["ALIBABA_CLOUD_OIDC_TOKEN_FILE"] = "/nowhere/token"

    finished = gate.run("check", REFERENCE, "--timeout", "8s", "--report-dir", "reports", **oidc)

    assert finished.code == 21, finished.err
    assert "OIDC" in finished.err


def test_a_proxy_that_is_dead_is_named_without_its_password(gate):
    keys = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": CANARY}

    finished = gate.run("check", REFERENCE, "--timeout", "8s", "-vv", "--report-dir", "reports", HTTPS_PROXY=PROXY, **keys)

    assert finished.code == 22, finished.err
    assert "the proxy could not be used" in finished.err
    assert CANARY not in finished.everything


def test_the_callers_own_credentials_are_not_sent_to_the_embedded_endpoint(gate):
    finished = gate.check(None, "--scan=never", ALIBABA_CLOUD_ACCESS_KEY_ID="id", ALIBABA_CLOUD_ACCESS_KEY_SECRET=CANARY)

    # Signed with them, the call would be refused: 21.
    assert finished.code == 20, finished.err
    assert CANARY not in finished.everything


@pytest.mark.parametrize("secret", [f"{CANARY}\n", f" {CANARY}", f"{CANARY}\u00e9"], ids=ascii)
def test_a_secret_with_a_line_break_is_said_without_being_told(gate, secret):
    keys = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": secret}

    finished = gate.run("check", REFERENCE, "--timeout", "8s", "-vv", "--report-dir", "reports", HTTPS_PROXY=PROXY, **keys)

    assert finished.code == 21, finished.err
    assert CANARY not in finished.everything


def test_an_endpoint_with_a_password_is_not_quoted(gate):
    finished = gate.run("check", REFERENCE, "--endpoint", f"https://user:{CANARY}@sas.example.com", "--report-dir", "reports")

    assert finished.code == 2
    assert CANARY not in finished.everything


@pytest.mark.parametrize(
    "proxy", [f"socks5://user:{CANARY}@127.0.0.1:9", f"http://user:{CANARY}@", "http://[bad", "http://127.0.0.1:99999"]
)
def test_a_proxy_that_is_none_is_a_usage_error(gate, proxy):
    finished = gate.run("check", REFERENCE, "--report-dir", "reports", HTTPS_PROXY=proxy)

    assert finished.code == 2, finished.err
    assert "HTTPS_PROXY" in finished.err
    assert CANARY not in finished.everything


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_ca_file_that_is_none_is_a_usage_error(gate, name):
    (gate.folder / "ca.pem").write_text("no certificate")

    finished = gate.check(None, **{name: "ca.pem"})

    assert finished.code == 2, finished.err
    assert name in finished.err
