"""Credentials go nowhere else, and are told to nobody; how their faults end is in docs/failure-modes.md."""

from __future__ import annotations

import pytest
from support import REFERENCE

CANARY = "CANARY-7b1e"
PROXY = f"http://user:{CANARY}@127.0.0.1:9"


def test_the_callers_own_credentials_are_not_sent_to_the_embedded_endpoint(gate):
    finished = gate.check(None, "--scan=never", ALIBABA_CLOUD_ACCESS_KEY_ID="id", ALIBABA_CLOUD_ACCESS_KEY_SECRET=CANARY)

    # Signed with them, the call would be refused: 21.
    assert finished.code == 20, finished.err
    assert CANARY not in finished.everything


@pytest.mark.parametrize("secret", [f" {CANARY}", f"{CANARY}\u00e9"], ids=ascii)
def test_a_secret_with_a_strange_character_is_said_without_being_told(gate, secret):
    keys = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": secret}

    finished = gate.run("check", REFERENCE, "--timeout", "8s", "-vv", "--report-dir", "reports", HTTPS_PROXY=PROXY, **keys)

    assert finished.code == 21, finished.err
    assert CANARY not in finished.everything


@pytest.mark.parametrize("proxy", [f"http://user:{CANARY}@", "http://[bad", "http://127.0.0.1:99999"])
def test_a_proxy_that_is_none_is_a_usage_error(gate, proxy):
    finished = gate.run("check", REFERENCE, "--report-dir", "reports", HTTPS_PROXY=proxy)

    assert finished.code == 2, finished.err
    assert "HTTPS_PROXY" in finished.err
    assert CANARY not in finished.everything


def test_a_ca_file_that_is_none_is_a_usage_error(gate):
    (gate.folder / "ca.pem").write_text("no certificate")

    finished = gate.check(None, REQUESTS_CA_BUNDLE="ca.pem")

    assert finished.code == 2, finished.err
    assert "REQUESTS_CA_BUNDLE" in finished.err
