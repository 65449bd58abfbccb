"""The HTTP session that the SDK sends through: no redirects, answers bounded in size and time, proxies as the environment says."""

from __future__ import annotations

import ssl
import threading
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, select_proxy

from ci_gate.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ci_gate.security_center.endpoint import Endpoint

MAX_ANSWER_BYTES = 16 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024


class AnswerTooLargeError(Exception):
    """An answer was larger than any honest one."""


class UndecodableError(Exception):
    """An answer is not encoded as its ``Content-Encoding`` says."""


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """What came over the wire: status, headers (lower-case names) and body, before anyone's models."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def request_id(self) -> str | None:
        """The service's id of the request, from its header."""
        return self.headers.get("x-acs-request-id")

    @property
    def server_ms(self) -> int | None:
        """The server's ``Date`` (RFC 9110), milliseconds since the epoch."""
        try:
            return int(parsedate_to_datetime(self.headers["date"]).timestamp() * 1000)
        except (KeyError, ValueError, TypeError, OverflowError):
            return None

    @property
    def retry_after_s(self) -> float | None:
        """Seconds to wait that the service asked for by ``x-acs-retry-after`` (milliseconds)."""
        text = self.headers.get("x-acs-retry-after", "").strip()
        return int(text) / 1000 if text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0 else None  # noqa: PLR2004 - 11 days


def check_proxy(endpoint: Endpoint) -> None:
    """Look at the proxy that the environment names for an endpoint; what is none would fail again and again until the deadline.

    :raises UsageError: if it is none that can be used. It is not quoted: it may hold a password.
    """
    proxy = None if endpoint.loopback else select_proxy(endpoint.url, get_environ_proxies(endpoint.url))
    if not proxy:
        return
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        advice = "Write HTTPS_PROXY (or ALL_PROXY) as http://HOST:PORT or http://USER:PASSWORD@HOST:PORT; SOCKS proxies are not supported."
        raise UsageError(f"the proxy that the environment names for {endpoint.host} cannot be used", advice=advice)


class _Adapter(HTTPAdapter):
    """Connections with the system's trust store (``SSL_CERT_FILE`` included) beside the one of ``requests``."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Hand urllib3 a context of our own."""
        super().init_poolmanager(*args, ssl_context=ssl.create_default_context(), **kwargs)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """As for direct connections."""
        return super().proxy_manager_for(*args, ssl_context=ssl.create_default_context(), **kwargs)


class BoundedSession(requests.Session):
    """A session whose ``send`` keeps the gate's promises, whatever its caller asks for.

    The last answer of each thread is kept in :attr:`seen`, so that failures are told from the wire and not from the SDK's wording.
    """

    def __init__(self, *, loopback: bool, pool_size: int) -> None:
        super().__init__()
        self._loopback = loopback
        self._seen = threading.local()
        self.mount("https://", _Adapter(pool_maxsize=pool_size))
        self.mount("http://", HTTPAdapter(pool_maxsize=pool_size))

    @property
    def seen(self) -> RawAnswer | None:
        """The last answer that this thread received."""
        return getattr(self._seen, "answer", None)

    def forget(self) -> None:
        """Forget the last answer of this thread."""
        self._seen.answer = None

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send once. ``timeout`` is (connect, read) in seconds; the read timeout bounds the whole body too.

        :raises AnswerTooLargeError: when the body exceeds 16 MiB.
        :raises requests.RequestException: when there is no answer.
        """
        # Loopback is this machine: a proxy elsewhere cannot reach it, and would see the findings.
        kwargs["proxies"] = {} if self._loopback else get_environ_proxies(request.url or "")
        kwargs["allow_redirects"] = False
        kwargs["stream"] = True
        until = time.monotonic() + sum(kwargs["timeout"])
        response = super().send(request, **kwargs)
        try:
            body = _read(response, until)
        except BaseException:
            response.close()
            raise
        # The SDK's models have no use here: the answer is judged as it came, and the excerpts in it get no further than that.
        response._content = b"{}"  # noqa: SLF001 - what `requests` itself sets when it reads a body
        headers = {name.lower(): value for name, value in response.headers.items()}
        self._seen.answer = RawAnswer(response.status_code, headers, body)
        return response


def _chunks(response: requests.Response) -> Iterator[bytes]:
    try:
        yield from response.iter_content(_CHUNK_BYTES)
    except requests.exceptions.ContentDecodingError:
        raise UndecodableError from None


def _read(response: requests.Response, until: float) -> bytes:
    """Read a body, within its bounds. ``until`` is of the monotonic clock."""
    body = bytearray()
    for chunk in _chunks(response):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise AnswerTooLargeError
        if time.monotonic() > until:
            raise requests.ReadTimeout("the body took too long")
    return bytes(body)
