"""Where the service is: the endpoint of a region, and which endpoints the gate agrees to talk to."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from ci_gate.errors import UsageError

_HOST = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::(?P<port>[0-9]{1,5}))?")
_MAX_PORT = 65535
_MAX_NAME, _MAX_LABEL = 253, 63
VENDOR_DOMAIN = ".aliyuncs.com"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host (with port, as the ``Host`` header writes it) and whether it is reached by ``http`` or ``https``."""

    host: str
    scheme: str
    loopback: bool

    @property
    def url(self) -> str:
        """The endpoint as people write it."""
        return f"{self.scheme}://{self.host}"


def parse_endpoint(text: str, *, allow_any: bool) -> Endpoint:
    """Accept an HTTPS endpoint of the vendor, or one on loopback (plain HTTP unless it says ``https://``).

    :param allow_any: accept any other host too, by HTTPS only.
    :raises UsageError: for anything else; credentials would be sent there.
    """
    scheme, _, rest = text.strip().rpartition("://")
    match = _HOST.fullmatch(rest.rstrip("/"))
    fits = match and int(match["port"] or 1) <= _MAX_PORT and (match["host"].startswith("[") or _is_name(match["host"]))
    if scheme.lower() not in {"", "http", "https"} or not match or not fits:
        # What stands before an @ is a password, and behind a ? can be a token.
        shown = repr(text) if re.fullmatch(r"[A-Za-z0-9.:/\[\]_-]{1,100}", text) else "it"
        raise UsageError(
            f"--endpoint: {shown} is no endpoint", advice="Write it as HOST or HOST:PORT, such as tds.cn-shanghai.aliyuncs.com."
        )
    host = match["host"].lower()
    loopback = is_loopback(host)
    scheme = scheme.lower() or ("http" if loopback else "https")
    if scheme == "http" and not loopback:
        raise UsageError(f"{text[:200]!r} is plain HTTP", advice="Findings and session tokens travel by HTTPS only, except to loopback.")
    if not (loopback or host.endswith(VENDOR_DOMAIN) or allow_any):
        raise UsageError(
            f"the endpoint {host} is neither Alibaba Cloud's ({VENDOR_DOMAIN}) nor on loopback",
            advice="Signed requests and session tokens would go there. If that is meant, add --allow-endpoint.",
        )
    return Endpoint(host + (f":{match['port']}" if match["port"] else ""), scheme, loopback)


def _is_name(host: str) -> bool:
    """Whether a host name keeps to the lengths of DNS (RFC 1035)."""
    return len(host) <= _MAX_NAME and all(0 < len(label) <= _MAX_LABEL for label in host.split("."))


def is_loopback(host: str) -> bool:
    """Whether a host name or address is of this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
