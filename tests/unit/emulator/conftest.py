"""A bare, signing HTTP client for the embedded endpoint."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import uuid
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from ci_gate.emulator.app import Endpoint, serve
from ci_gate.emulator.signature import SignedRequest, string_to_sign
from ci_gate.emulator.world import parse_world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_EMPTY = hashlib.sha256(b"").hexdigest()


class Service:
    """An endpoint that is called over HTTP."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def answer(self, action: str, **given: str) -> tuple[int, dict[str, Any]]:
        """Call an action; return the HTTP status and the answer."""
        target = f"/?{urlencode(given)}"
        headers = {
            "host": self._endpoint.address,
            "x-acs-action": action,
            "x-acs-version": "2018-12-03",
            "x-acs-content-sha256": _EMPTY,
            "x-acs-date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "x-acs-signature-nonce": uuid.uuid4().hex,
        }
        text = string_to_sign(SignedRequest("POST", target, headers, b""), sorted(headers), _EMPTY)
        signature = hmac.new(self._endpoint.access_key_secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        credential = f"Credential={self._endpoint.access_key_id},SignedHeaders={';'.join(sorted(headers))},Signature={signature}"
        connection = http.client.HTTPConnection(self._endpoint.address, timeout=5)
        try:
            connection.request("POST", target, headers={**headers, "Authorization": f"ACS3-HMAC-SHA256 {credential}"})
            with connection.getresponse() as response:
                return response.status, json.loads(response.read())
        finally:
            connection.close()

    def ask(self, action: str, **given: str) -> dict[str, Any]:
        """Call an action that is answered."""
        status, body = self.answer(action, **given)
        assert status == 200, body
        return body

    def refused(self, action: str, **given: str) -> tuple[int, str]:
        """Call an action that is refused; return status and code."""
        status, body = self.answer(action, **given)
        return status, body["Code"]

    def rows(self, **given: str) -> list[dict[str, Any]]:
        """Return the rows of ``DescribeImageInstances``."""
        return self.ask("DescribeImageInstances", **given)["ImageInstanceList"]

    def repositories(self, **given: str) -> list[dict[str, Any]]:
        """Return the rows of ``DescribeImageRepoDetailList``."""
        return self.ask("DescribeImageRepoDetailList", **given)["ImageRepoResponses"]

    def paths(self, image_uuid: str) -> list[str]:
        """Return the paths of all findings, after a listing of their keys."""
        self.ask("DescribeImageSensitiveFileList", ImageUuid=image_uuid)
        files = self.ask("DescribeImageSensitiveFileByKey", ImageUuid=image_uuid, PageSize="100")["SensitiveFileList"]
        return [row["FilePath"] for row in files]


@pytest.fixture
def start() -> Iterator[Callable[..., Service]]:
    """Start endpoints for worlds given as fields; they end with the test."""
    with ExitStack() as stack:
        yield lambda **world: Service(stack.enter_context(serve(parse_world(json.dumps(world).encode()))))
