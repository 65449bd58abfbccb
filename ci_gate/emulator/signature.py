"""The server's side of ``ACS3-HMAC-SHA256``: whether a request was signed by the account, for this moment, over this content."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote

from ci_gate.emulator.refusals import RefusalError, token_expired

if TYPE_CHECKING:
    from collections.abc import Mapping

ALGORITHM = "ACS3-HMAC-SHA256"
MAX_SKEW_S = 15 * 60
_MUST_BE_SIGNED = frozenset({"host", "x-acs-action", "x-acs-version", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce"})
_AUTHORIZATION = re.compile(
    ALGORITHM + r" Credential=(?P<id>[^,]*),\s*SignedHeaders=(?P<headers>[^,]*),\s*Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it came in. ``target`` is path and query as on the wire; header names are lower-case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Caller:
    """The only caller who is known. ``token_expires_ms`` is milliseconds since the epoch, ``None`` for never."""

    access_key_id: str
    access_key_secret: str
    security_token: str = ""
    token_expires_ms: int | None = None


def verify(request: SignedRequest, caller: Caller, now_ms: int) -> None:
    """Accept a request that ``caller`` signed.

    :raises RefusalError: otherwise, as the gateway of the service would; no message holds a secret or a signature.
    """
    match = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if match is None or not _equal(match["id"], caller.access_key_id):
        raise RefusalError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
    check_date(request.headers.get("x-acs-date", ""), now_ms)
    signed = match["headers"].split(";")
    must = _MUST_BE_SIGNED | ({"x-acs-security-token"} if "x-acs-security-token" in request.headers else set())
    absent = sorted(name for name in must if name not in signed or name not in request.headers)
    if absent:
        raise RefusalError(400, "IncompleteSignature", f"The signature does not cover: {', '.join(absent)}.")
    digest = hashlib.sha256(request.body).hexdigest()
    expected = hmac.new(caller.access_key_secret.encode(), string_to_sign(request, signed, digest).encode(), hashlib.sha256).hexdigest()
    genuine = _equal(match["signature"], expected)
    if not genuine or not _equal(request.headers["x-acs-content-sha256"], digest):
        raise RefusalError(400, "SignatureDoesNotMatch", "Specified signature is not matched with our calculation.")
    _check_token(request.headers.get("x-acs-security-token", ""), caller, now_ms)


def string_to_sign(request: SignedRequest, signed: list[str], body_digest: str) -> str:
    """Return the text under the signature. Query parameters are decoded and encoded again: the URL sends blanks as ``+``."""
    path, _, query = request.target.partition("?")
    pairs = sorted(parse_qsl(query, keep_blank_values=True, errors="surrogateescape"))
    canonical_query = "&".join(f"{_encode(name)}={_encode(value)}" for name, value in pairs)
    canonical_headers = "".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in signed)
    canonical = "\n".join((request.method, path or "/", canonical_query, canonical_headers, ";".join(signed), body_digest))
    return f"{ALGORITHM}\n{hashlib.sha256(canonical.encode('utf-8', 'surrogateescape')).hexdigest()}"


def check_date(text: str, now_ms: int) -> None:
    """Accept the time of a request that is at most 15 minutes off; ``now_ms`` is milliseconds since the epoch.

    :raises RefusalError: otherwise.
    """
    try:
        date = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise RefusalError(400, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted.") from None
    if abs(date.timestamp() - now_ms / 1000) > MAX_SKEW_S:
        raise RefusalError(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")


def _check_token(token: str, caller: Caller, now_ms: int) -> None:
    if not token and caller.security_token:
        raise RefusalError(400, "MissingSecurityToken", "SecurityToken is mandatory for this access key.")
    if not _equal(token, caller.security_token):
        raise RefusalError(400, "InvalidSecurityToken.MismatchWithAccessKey", "Specified SecurityToken mismatch with the AccessKey.")
    if caller.security_token and caller.token_expires_ms is not None and now_ms >= caller.token_expires_ms:
        raise token_expired()


def _equal(one: str, other: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(one.encode("utf-8", "surrogateescape"), other.encode("utf-8", "surrogateescape"))


def _encode(text: str) -> str:
    return quote(text, safe="", errors="surrogateescape")
