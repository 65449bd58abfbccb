"""The embedded endpoint over loopback: the real SDK calls it, and a bare HTTP client looks at what goes wrong on the wire."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import hmac
import http.client
import json
import os
import threading
import time
import uuid
import zlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import pytest

from ci_gate.emulator.app import Call, Endpoint, serve, serve_forever
from ci_gate.emulator.signature import SignedRequest, string_to_sign
from ci_gate.emulator.world import World, demo_world, parse_world

if TYPE_CHECKING:
    from collections.abc import Callable

DIRTY = "68fd1a1560f8ba9fae4301384e224c42"
CRITERIA = "DescribeImageCriteria"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")


def world(text: str) -> World:
    return parse_world(text.encode())


def call(endpoint: Endpoint, action: str, secret: str | None = None, token: str | None = None, **given: Any) -> dict[str, Any]:
    """Call an action through the real SDK and return the raw answer."""
    from alibabacloud_sas20181203 import models
    from alibabacloud_sas20181203.client import Client
    from alibabacloud_tea_openapi.utils_models import Config
    from darabonba.runtime import RuntimeOptions

    config = Config(
        access_key_id=endpoint.access_key_id,
        access_key_secret=secret or endpoint.access_key_secret,
        security_token=endpoint.security_token if token is None else token,
        protocol="HTTP",
        endpoint=endpoint.address,
        region_id=endpoint.region,
    )
    name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in action).lstrip("_")
    request = getattr(models, f"{action}Request")(**given)
    return getattr(Client(config), f"{name}_with_options")(request, RuntimeOptions(read_timeout=5000)).body.to_map()


def refused(endpoint: Endpoint, action: str, **given: Any) -> tuple[int, str]:
    from darabonba.exceptions import DaraException

    with pytest.raises(DaraException) as caught:
        call(endpoint, action, **given)
    assert endpoint.access_key_secret not in str(caught.value)
    return caught.value.status_code, caught.value.code


def signed(endpoint: Endpoint, target: str, action: str) -> dict[str, str]:
    """Return the headers of a signed request without a body."""
    digest = hashlib.sha256(b"").hexdigest()
    headers = {
        "host": endpoint.address,
        "x-acs-action": action,
        "x-acs-version": "2018-12-03",
        "x-acs-content-sha256": digest,
        "x-acs-date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": uuid.uuid4().hex,
    }
    text = string_to_sign(SignedRequest("POST", target, headers, b""), sorted(headers), digest)
    signature = hmac.new(endpoint.access_key_secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    credential = f"Credential={endpoint.access_key_id},SignedHeaders={';'.join(sorted(headers))},Signature={signature}"
    return {**headers, "Authorization": f"ACS3-HMAC-SHA256 {credential}"}


def look(endpoint: Endpoint, then: Callable[[http.client.HTTPResponse], Any], *, headers: dict[str, str] | None = None) -> Any:
    """Send one signed request without the SDK, and look at the answer."""
    connection = http.client.HTTPConnection(endpoint.address, timeout=5)
    try:
        connection.request("POST", "/?Value=vul", headers=headers or signed(endpoint, "/?Value=vul", CRITERIA))
        with connection.getresponse() as response:
            return then(response)
    finally:
        connection.close()


def faulty(fault: str) -> World:
    return world(f"faults: [{{{fault}}}]\n")


# --- the SDK ---


def test_every_call_answers_the_sdk():
    with serve(demo_world()) as endpoint:
        answers = [
            call(endpoint, "DescribeImageInstances", criteria='[{"name":"repoName","value":"api"}]', logical_exp="AND"),
            call(endpoint, "DescribeImageInfoList", uuids=DIRTY),
            call(endpoint, CRITERIA, value="digest"),
            call(endpoint, "DescribeImageSensitiveFileList", image_uuid=DIRTY, lang="en", scan_range=["image"]),
            call(endpoint, "DescribeImageSensitiveFileByKey", image_uuid=DIRTY, sensitive_file_key="stripe_skpk"),
            call(endpoint, "GetSensitiveDefineRuleConfig", source="image", lang="en"),
            call(endpoint, "DescribeImageEventOperationPage", event_type="sensitiveFile"),
        ]
        found = [
            len(answers[0]["ImageInstanceList"]),
            len(answers[1]["ImageInfos"]),
            len(answers[2]["CriteriaList"]),
            answers[3]["PageInfo"]["TotalCount"],
            answers[4]["PageInfo"]["TotalCount"],
            answers[5]["Data"]["RuleCount"],
            answers[6]["Data"]["PageInfo"]["TotalCount"],
        ]

    assert found == [3, 1, 1, 25, 2, 112, 0]
    assert [one.status for one in endpoint.calls] == [200] * 7


def test_what_the_sdk_signs_is_accepted_whatever_the_characters():
    with serve(demo_world()) as endpoint:
        answer = call(endpoint, "DescribeImageSensitiveFileByKey", image_uuid="a b+c/~*%=&é中\n", scan_range=["image", "container"])

    assert answer["PageInfo"]["TotalCount"] == 0
    assert endpoint.calls[0].parameters["ImageUuid"] == "a b+c/~*%=&é中\n"


def test_ten_thousand_findings_are_read_to_the_end():
    huge = next(image for image in demo_world().images if image.generate)
    with serve(demo_world()) as endpoint:
        pages = [
            call(endpoint, "DescribeImageSensitiveFileByKey", image_uuid=huge.image_uuid, page_size=1000, current_page=number)
            for number in range(1, 11)
        ]

    assert len({row["FilePath"] for page in pages for row in page["SensitiveFileList"]}) == 10_000


@pytest.mark.parametrize(
    ("text", "given", "expected"),
    [
        ("{}", {"secret": "wrong"}, (400, "SignatureDoesNotMatch")),
        ("{}", {"token": "unexpected"}, (400, "InvalidSecurityToken.MismatchWithAccessKey")),
        ("account: {security_token: STS-x}", {"token": "other"}, (400, "InvalidSecurityToken.MismatchWithAccessKey")),
        ("account: {security_token: STS-x}", {"token": ""}, (400, "MissingSecurityToken")),
        ("account: {security_token: STS-x, token_expires: 1m ago}", {}, (403, "InvalidSecurityToken.Expired")),
        (f"account: {{deny_actions: [{CRITERIA}]}}", {}, (403, "NoPermission")),
        ("account: {deny_actions: ['*']}", {}, (403, "NoPermission")),
        ("faults: [{kind: status, status: 503}]", {}, (503, "ServiceUnavailable")),
        ("faults: [{kind: status, status: 400, code: Throttling.User}]", {}, (400, "Throttling.User")),
    ],
)
def test_refusals_reach_the_sdk(text, given, expected):
    with serve(world(text)) as endpoint:
        assert refused(endpoint, CRITERIA, **given) == expected


def test_a_session_token_is_accepted():
    with serve(world("account: {security_token: STS-x, token_expires: '2999-01-01'}")) as endpoint:
        call(endpoint, CRITERIA)

    assert endpoint.security_token == "STS-x"


def test_throttling_with_its_header_is_known_to_the_sdk():
    from alibabacloud_tea_openapi.exceptions import ThrottlingException

    with serve(world("quirks: {rate_limit: {per_second: 0.5}}")) as endpoint:
        call(endpoint, CRITERIA)
        with pytest.raises(ThrottlingException) as caught:
            call(endpoint, CRITERIA)

    assert 0 < caught.value.retry_after <= 2000


# --- the wire ---


def test_an_error_has_the_documented_fields():
    headers = {"x-acs-action": "Nothing", "x-acs-version": "2018-12-03"}
    with serve(world("{}")) as endpoint:
        status, request_id, body = look(
            endpoint, lambda answer: (answer.status, answer.headers["x-acs-request-id"], json.load(answer)), headers=headers
        )

    assert (status, body["Code"], body["RequestId"]) == (404, "InvalidAction.NotFound", request_id)
    assert set(body) == {"RequestId", "HostId", "Code", "Message", "Recommend"}


def test_a_request_cannot_be_replayed():
    with serve(world("{}")) as endpoint:
        headers = signed(endpoint, "/?Value=vul", CRITERIA)
        codes = [look(endpoint, lambda answer: json.load(answer).get("Code"), headers=headers) for _ in range(2)]

    assert codes == [None, "SignatureNonceUsed"]


def _rows(answer: http.client.HTTPResponse, unpack: Callable[[bytes], bytes] = bytes) -> int:
    return len(json.loads(unpack(answer.read()))["CriteriaList"])


def _seconds_ahead(answer: http.client.HTTPResponse) -> float:
    return parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()


@pytest.mark.parametrize(
    ("fault", "then", "expected"),
    [
        (
            'kind: body, text: "<html>", content_type: text/html, status: 502',
            lambda answer: (answer.status, answer.read()),
            (502, b"<html>"),
        ),
        ("kind: redirect, location: /elsewhere", lambda answer: (answer.status, answer.headers["Location"]), (302, "/elsewhere")),
        ("kind: status, headers: {x-acs-retry-after: '70'}", lambda answer: answer.headers["x-acs-retry-after"], "70"),
        ("kind: huge, megabytes: 3", lambda answer: len(answer.read()) > 3 * 1024 * 1024, True),
        ("kind: huge, megabytes: 3, compressed: true", lambda answer: len(gzip.decompress(answer.read())) > 3 * 1024 * 1024, True),
        ("kind: throttle", lambda answer: (answer.status, answer.headers["x-acs-retry-after"]), (400, None)),
        ("kind: throttle, retry_after_ms: 70", lambda answer: (answer.status, answer.headers["x-acs-retry-after"]), (400, "70")),
        (
            "kind: proxy_page, status: 407",
            lambda answer: (answer.status, answer.headers["Content-Type"].partition(";")[0], b"<html>" in answer.read()),
            (407, "text/html", True),
        ),
        ("kind: content_type, value: text/plain", lambda answer: (answer.headers["Content-Type"], _rows(answer)), ("text/plain", 1)),
        ("kind: chunked, bytes: 9", lambda answer: (answer.headers["Content-Length"], _rows(answer)), (None, 1)),
        ("kind: drip, bytes: 100, seconds: 0.001", _rows, 1),
        ("kind: encoded", lambda answer: (answer.headers["Content-Encoding"], _rows(answer, gzip.decompress)), ("gzip", 1)),
        (
            "kind: encoded, encoding: deflate",
            lambda answer: (answer.headers["Content-Encoding"], _rows(answer, zlib.decompress)),
            ("deflate", 1),
        ),
        ("kind: encoded, wrong: true", lambda answer: (answer.headers["Content-Encoding"], _rows(answer)), ("gzip", 1)),
        ("kind: encoded}, {kind: chunked, bytes: 5", lambda answer: _rows(answer, gzip.decompress), 1),
        ("kind: cut_json, keep: 0.5", lambda answer: int(answer.headers["Content-Length"]) == len(answer.read()), True),
        ("kind: clock, seconds: 3600", lambda answer: json.load(answer)["Code"], "InvalidTimeStamp.Expired"),
        ("kind: clock, seconds: 600", lambda answer: (_rows(answer), 590 < _seconds_ahead(answer) < 610), (1, True)),
    ],
)
def test_faults_change_the_answer(fault, then, expected):
    with serve(faulty(fault)) as endpoint:
        assert look(endpoint, then) == expected


@pytest.mark.parametrize("codes", ["documented", "gateway", "undocumented"])
def test_a_refusal_is_drawn_among_many(codes):
    with serve(faulty(f"kind: refusal, codes: {codes}")) as endpoint:
        drawn = {look(endpoint, lambda answer: (answer.status, json.load(answer)["Code"])) for _ in range(30)}

    assert len(drawn) >= 4
    assert all(status >= 400 for status, _ in drawn)


def test_half_of_a_cut_answer_is_no_json():
    with serve(faulty("kind: cut_json")) as endpoint, pytest.raises(json.JSONDecodeError):
        look(endpoint, json.load)


def test_chunks_can_end_before_the_last_one():
    with serve(faulty("kind: chunked, cut: true")) as endpoint, pytest.raises(http.client.IncompleteRead):
        look(endpoint, http.client.HTTPResponse.read)


@pytest.mark.parametrize("when", ["before", "in"])
def test_a_connection_can_be_reset(when):
    lost = (ConnectionResetError, http.client.RemoteDisconnected, http.client.IncompleteRead)
    with serve(faulty(f"kind: reset, when: {when}")) as endpoint, pytest.raises(lost):
        look(endpoint, http.client.HTTPResponse.read)


def test_a_connection_can_be_reset_after_the_body():
    # What comes first at the client, the body or the reset, is up to the system.
    with serve(faulty("kind: reset, when: after")) as endpoint, contextlib.suppress(ConnectionResetError):
        look(endpoint, http.client.HTTPResponse.read)

    assert endpoint.calls == [Call(CRITERIA, {"Value": "vul"}, 0)]


def test_a_session_token_can_expire_in_mid_run():
    with serve(world("account: {security_token: STS-x, token_expires_after_calls: 2}")) as endpoint:
        fine = [call(endpoint, CRITERIA)["CriteriaList"] != [] for _ in range(2)]

        assert [True, True] == fine
        assert (403, "InvalidSecurityToken.Expired") == refused(endpoint, CRITERIA)


def test_delays_jitter():
    started = time.monotonic()
    with serve(faulty("kind: delay, seconds: 0, jitter: 0.2")) as endpoint:
        for _ in range(5):
            look(endpoint, lambda answer: answer.status)

    assert 0.1 < time.monotonic() - started < 3


def test_a_connection_can_be_closed_before_any_answer():
    with serve(faulty("kind: close")) as endpoint, pytest.raises(http.client.RemoteDisconnected):
        look(endpoint, http.client.HTTPResponse.read)

    assert endpoint.calls == [Call(CRITERIA, {"Value": "vul"}, 0)]


def test_an_answer_can_be_cut():
    with serve(faulty("kind: truncate")) as endpoint, pytest.raises(http.client.IncompleteRead):
        look(endpoint, http.client.HTTPResponse.read)


def test_an_answer_can_be_late():
    started = time.monotonic()
    with serve(faulty("kind: delay, seconds: 0.3")) as endpoint:
        assert look(endpoint, lambda answer: answer.status) == 200

    assert time.monotonic() - started >= 0.3


def test_a_body_can_drip_for_ever():
    with serve(faulty("kind: stall")) as endpoint:
        assert look(endpoint, lambda answer: answer.read(2)) == b"  "


def test_the_server_ends_at_once_with_a_client_that_does_not_read():
    with serve(faulty("kind: huge, megabytes: 500")) as endpoint:
        connection = http.client.HTTPConnection(endpoint.address, timeout=5)
        connection.request("POST", "/?Value=vul", headers=signed(endpoint, "/?Value=vul", CRITERIA))
        response = connection.getresponse()
        started = time.monotonic()
    elapsed = time.monotonic() - started
    response.close()
    connection.close()

    assert elapsed < 2


def test_a_port_in_use_is_a_plain_error():
    with (
        serve(world("{}")) as endpoint,
        pytest.raises(OSError, match="in use"),
        serve(world("{}"), int(endpoint.address.rpartition(":")[2])),
    ):
        pass


def test_serving_for_ever_ends_with_an_interrupt():
    seen = []

    def interrupt(endpoint: Endpoint) -> None:
        seen.append(look(endpoint, lambda answer: answer.status))
        raise KeyboardInterrupt

    serve_forever(world("{}"), 0, interrupt)

    assert seen == [200]


def test_no_thread_is_left():
    with serve(world("{}")):
        pass

    assert "embedded-endpoint" not in {thread.name for thread in threading.enumerate()}


def test_secrets_are_not_in_the_words_of_an_endpoint():
    with serve(world("account: {security_token: STS-x}")) as endpoint:
        assert endpoint.access_key_secret not in repr(endpoint)
        assert "STS-x" not in repr(endpoint)
