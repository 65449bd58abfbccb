"""The only place that touches the SDK: every call of Security Center goes through :meth:`Transport.call`."""

from __future__ import annotations

import logging
import os
import re
import ssl
import time
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from ci_gate.errors import (
    GateError,
    InternalError,
    ParameterRefusedError,
    ProtocolError,
    RefusedError,
    UnauthorizedError,
    UnavailableError,
    UsageError,
)
from ci_gate.security_center.contracts import REPORT_IT, Answer, judge, parse_json, to_bool
from ci_gate.security_center.lazy_models import import_models_on_demand
from ci_gate.security_center.limiter import MAX_WINDOW, Limiter
from ci_gate.security_center.pool import run_bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from ci_gate.deadline import Deadline
    from ci_gate.security_center.endpoint import Endpoint
    from ci_gate.security_center.wire import BoundedSession, RawAnswer

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 20.0
_SLACK_S = 1.0  # the session ends a slow answer itself; the watchdog behind it comes a little later
_UNREADABLE_TRIES = 3
_SECRET = 8  # characters
_HTTP_OK, _HTTP_REDIRECT, _HTTP_BAD_REQUEST, _HTTP_SERVER_ERROR = 200, 300, 400, 500
_PROXY_AUTH, _REQUEST_TIMEOUT, _TOO_MANY, _UNAUTHORIZED, _FORBIDDEN = 407, 408, 429, 401, 403

# Gateway codes of rejected credentials; `NoPermission` and `Forbidden.*` are told apart below.
_REJECTED = re.compile(
    r"InvalidAccessKeyId|SignatureDoesNotMatch|IncompleteSignature|SecurityToken"
    r"|InvalidCredentials|SignatureNonceUsed|Missing(AccessKeyId|Signature)"
)
_CLOCK = re.compile(r"InvalidTimeStamp|IllegalTimestamp|RequestTimeTooSkewed", re.IGNORECASE)
_FORBIDDEN_CODE = re.compile(r"NoPermission|Forbidden|Unauthorized|NotAuthorized|AccessDenied", re.IGNORECASE)
_THROTTLED_CODE = re.compile(r"Throttling|TooManyRequests|QpsLimit", re.IGNORECASE)
_NO_CODE = "none"
_PASSING_CODE = re.compile(r"ServiceUnavailable|InternalError|ServerError|ServiceTimeout|RequestTimeout", re.IGNORECASE)
# Of the key, or of no parameter by name: one that names another is no refusal for want of the key.
_PARAMETER_CODE = re.compile(
    r"SensitiveFileKey|^((Missing|Mandatory|Invalid|Illegal)Param(eter)?s?(Value)?|ParameterMissing)$", re.IGNORECASE
)

HOW_TO_GIVE_CREDENTIALS = (
    "Give credentials in one of these ways: OIDC of the CI platform (ALIBABA_CLOUD_ROLE_ARN, ALIBABA_CLOUD_OIDC_PROVIDER_ARN and "
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE); environment variables (ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET and, for "
    "temporary ones, ALIBABA_CLOUD_SECURITY_TOKEN); a profile in ~/.aliyun/config.json or ~/.alibabacloud/credentials.ini; "
    "an ECS instance role (ALIBABA_CLOUD_ECS_METADATA=<role name>); ALIBABA_CLOUD_CREDENTIALS_URI."
)


@dataclass(frozen=True, slots=True, repr=False)
class AccessKey:
    """A fixed pair of keys, for the embedded endpoint: the caller's own credentials are never sent there."""

    access_key_id: str
    access_key_secret: str
    security_token: str = ""


@dataclass(frozen=True, slots=True)
class CredentialFacts:
    """Where credentials were found, without them: ``provider`` is the SDK's name of the link of its chain, such as ``default/env``.

    ``shortened_id`` is the AccessKey id without its middle; ``temporary`` says whether a session token goes with it.
    """

    provider: str
    shortened_id: str
    temporary: bool


@dataclass(frozen=True, slots=True)
class Heard:
    """When something last answered, refusals included: by its own ``Date``, where it sent one, and by this machine's clock, ms."""

    server_ms: int | None
    local_ms: int


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One finished call, for ``-v`` and the request ids of the result; ``outcome`` is ``ok`` or what failed."""

    action: str
    parameters: tuple[tuple[str, str], ...]
    outcome: str
    request_id: str | None
    seconds: float
    attempt: int


@dataclass(frozen=True, slots=True)
class _Failure:
    """A failed try: the error to raise if no further try is made, and whether one may help."""

    error: GateError
    retry: bool = False
    throttled: bool = False
    retry_after_s: float | None = None
    tries: int | None = None  # None: until the deadline


class Transport:
    """Calls Security Center through the official SDK, within rate, retry and deadline.

    Build it with :func:`connect`. Safe to use from several threads.
    """

    def __init__(self, client: Any, session: BoundedSession, credentials: _Credentials, observe: Callable[[CallRecord], None]) -> None:
        self._client = client
        self._session = session
        self._credentials = credentials
        self._observe = observe
        self.limiter = Limiter()
        self.workers = MAX_WINDOW
        self.server_ms: int | None = None  # the server's time by its last answer, milliseconds since the epoch
        self.heard: Heard | None = None  # None: nothing has answered yet

    def _no_place(self, action: str) -> UnavailableError:
        """Say why a call was never made."""
        why = "throttled: the service let nothing through" if self.limiter.is_throttled else "the time was up"
        return UnavailableError(f"{why} before the call could be made", advice=_MORE_TIME, action=action)

    def share_among(self, images: int) -> None:
        """Divide the threads that read pages among images that are decided side by side."""
        self.workers = max(2, MAX_WINDOW // max(1, images))

    def call(self, action: str, parameters: Mapping[str, object], deadline: Deadline) -> Answer:
        """Make one call and return its answer, which keeps the contract of the call.

        Throttling, 5xx and network failures are tried again until the deadline, unreadable bodies three times.

        :param parameters: the API's own parameter names.
        :raises GateError: with action, request id and advice.
        """
        attempt = 0
        last: GateError | None = None
        while True:
            attempt += 1
            with self.limiter.slot(deadline) as granted:
                if not granted:
                    raise last or self._no_place(action)
                outcome = self._attempt(action, parameters, deadline, attempt)
            if isinstance(outcome, Answer):
                self.limiter.succeeded()
                self.server_ms = outcome.server_ms
                return outcome
            last = outcome.error
            if not outcome.retry or (outcome.tries is not None and attempt >= outcome.tries):
                raise last
            wait = self.limiter.throttled(attempt, outcome.retry_after_s) if outcome.throttled else self.limiter.failed(attempt)
            if wait >= deadline.remaining or not deadline.sleep(wait):
                raise last

    def credential_facts(self, deadline: Deadline) -> CredentialFacts:
        """Say where the credentials come from; asks for them as a call would, and so may ask STS or the instance's metadata.

        :raises UnauthorizedError: if there are none.
        :raises UnavailableError: if whoever gives them is not reached, or not in time.
        """
        try:
            model = run_bounded(self._credentials.get_credential, deadline.remaining)
        except TimeoutError:
            raise UnavailableError("the credentials did not come in time", advice=_NETWORK) from None
        return CredentialFacts(str(model.provider_name or ""), _shortened(model.access_key_id), bool(model.security_token))

    def _attempt(self, action: str, parameters: Mapping[str, object], deadline: Deadline, attempt: int) -> Answer | _Failure:
        started = time.monotonic()
        connect_s = min(CONNECT_TIMEOUT_S, max(0.05, deadline.remaining))
        read_s = min(READ_TIMEOUT_S, max(0.05, deadline.remaining))
        total_s = min(connect_s + 2 * read_s, deadline.remaining) + _SLACK_S
        try:
            outcome = run_bounded(partial(self._call_sdk, action, parameters, connect_s, read_s), total_s)
        except TimeoutError:
            error = UnavailableError(f"no answer within {total_s:.0f} s", advice=_NETWORK, action=action)
            outcome = _Failure(error, retry=True)
        shown = tuple((name, str(value)) for name, value in parameters.items())
        said = "ok" if isinstance(outcome, Answer) else outcome.error.cause.what
        request_id = outcome.request_id if isinstance(outcome, Answer) else outcome.error.cause.request_id
        self._observe(CallRecord(action, shown, said, request_id, time.monotonic() - started, attempt))
        return outcome

    def _call_sdk(self, action: str, parameters: Mapping[str, object], connect_s: float, read_s: float) -> Answer | _Failure:
        """Make one try on this thread; what the SDK raises is judged by what came over the wire, its texts are never used."""
        from alibabacloud_sas20181203 import models
        from darabonba.runtime import RuntimeOptions

        method = getattr(self._client, f"{_snake(action)}_with_options")
        # A call without parameters has no model of a request.
        model = getattr(models, f"{action}Request", None)
        request = () if model is None else (model().from_map(dict(parameters)),)
        runtime = RuntimeOptions(connect_timeout=int(connect_s * 1000), read_timeout=int(read_s * 1000))
        self._session.forget()
        failure: BaseException | None = None
        try:
            method(*request, runtime)
        except Exception as error:  # noqa: BLE001 - the SDK raises bare exceptions of many kinds
            failure = error
        raw = self._session.seen
        if raw is not None:
            self.heard = Heard(raw.server_ms, int(time.time() * 1000))
            return _judge_raw(action, raw, self._credentials.used)
        return _no_answer(action, failure)


_MORE_TIME = "Try again, or give the run more time with --timeout."
_NOT_THE_SERVICE = "This is what a proxy, a login page or a wrong endpoint answers. Check --endpoint, HTTPS_PROXY and NO_PROXY."
_NETWORK = "Check the network, the proxy settings (HTTPS_PROXY, NO_PROXY) and the endpoint, then try again."


def _judge_raw(action: str, raw: RawAnswer, secrets: Collection[str]) -> Answer | _Failure:
    """Turn what came over the wire into an answer or a failure.

    :param secrets: our own credentials, which an answer may quote: they go no further.
    """
    request_id = _safe(raw.request_id, secrets)
    if _HTTP_REDIRECT <= raw.status < _HTTP_BAD_REQUEST:
        advice = "Redirects are never followed, they would carry the session token elsewhere. Check the endpoint and the proxy."
        return _Failure(ProtocolError(f"the endpoint answered with a redirect (HTTP {raw.status})", advice=advice, action=action))
    try:
        body = parse_json(raw.body)
    except ValueError as error:
        return _unreadable(action, raw, str(error), request_id)
    if isinstance(body, dict):
        request_id = _safe(body.get("RequestId"), secrets) or request_id
    code = _safe(body.get("Code"), secrets) if isinstance(body, dict) else None
    refused = isinstance(body, dict) and to_bool(body.get("Success")) is False
    if raw.status >= _HTTP_BAD_REQUEST or (refused and code not in {None, "200"}):
        return _refused(action, raw, code or _NO_CODE, request_id)
    if raw.status != _HTTP_OK:
        return _Failure(ProtocolError(f"HTTP {raw.status} is no answer", advice=REPORT_IT, action=action, request_id=request_id))
    if secrets and _quotes(raw.body, body, secrets):
        advice = "Something on the way sends back what it was sent. Check the endpoint and the proxy, and rotate the credentials."
        return _Failure(
            ProtocolError("the answer quotes the credentials of the request", advice=advice, action=action, request_id=request_id)
        )
    try:
        return judge(action, body, request_id, raw.server_ms)
    except ProtocolError as error:
        return _Failure(error)


def _quotes(raw: bytes, body: object, secrets: Collection[str]) -> bool:
    """Whether an answer holds one of our secrets: as it is, or in a text or a name of it, where it may be escaped."""
    if any(secret.encode("ascii") in raw for secret in secrets):
        return True
    return b"\\" in raw and any(secret in text for text in _texts(body) for secret in secrets)


def _texts(body: object) -> Iterator[str]:
    """Yield every text of a parsed body, the names of fields too."""
    left = [body]
    while left:
        value = left.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            left.extend((*value, *value.values()))
        elif isinstance(value, list):
            left.extend(value)


def _unreadable(action: str, raw: RawAnswer, why: str, request_id: str | None) -> _Failure:
    """Judge a body that is not JSON: a proxy's page, a cut answer."""
    if raw.status == _PROXY_AUTH:
        advice = "Put the proxy's user and password into HTTPS_PROXY, or reach the endpoint without it (NO_PROXY)."
        return _Failure(UnavailableError("the proxy wants to know who is asking (HTTP 407)", advice=advice, action=action))
    if raw.status >= _HTTP_SERVER_ERROR or raw.status == _TOO_MANY:
        error: GateError = UnavailableError(
            f"HTTP {raw.status} with a body that is no JSON", advice=_NETWORK, action=action, request_id=request_id
        )
        return _Failure(error, retry=True, throttled=raw.status == _TOO_MANY, retry_after_s=raw.retry_after_s)
    what = f"HTTP {raw.status} with a body that is no JSON: {why}"
    error = ProtocolError(what, advice=_NOT_THE_SERVICE, action=action, request_id=request_id)
    return _Failure(error, retry=True, tries=_UNREADABLE_TRIES)


def _refused(action: str, raw: RawAnswer, code: str, request_id: str | None) -> _Failure:
    """Judge a refusal by its code and status. The service's message is not passed on: it may quote the request."""
    said = f"{code}, HTTP {raw.status}"
    if _THROTTLED_CODE.match(code) or raw.status == _TOO_MANY:
        error: GateError = UnavailableError(f"throttled ({said})", advice=_MORE_TIME, action=action, request_id=request_id)
        return _Failure(error, retry=True, throttled=True, retry_after_s=raw.retry_after_s)
    if _CLOCK.search(code):
        advice = "The clock of this machine is off by more than 15 minutes: set it by NTP."
        return _Failure(UnauthorizedError(f"the request's time was refused ({said})", advice=advice, action=action, request_id=request_id))
    if _REJECTED.search(code) or (raw.status == _UNAUTHORIZED and not _FORBIDDEN_CODE.search(code)):
        return _Failure(
            UnauthorizedError(f"the credentials were rejected ({said})", advice=_rejected(code), action=action, request_id=request_id)
        )
    if raw.status == _FORBIDDEN and code == _NO_CODE:
        what = f"HTTP {raw.status} without an error code of the service"
        return _Failure(ProtocolError(what, advice=_NOT_THE_SERVICE, action=action, request_id=request_id))
    if _FORBIDDEN_CODE.search(code):
        permission = f"yundun-sas:{action}"
        advice = f"Grant the RAM action {permission} to the identity that the gate runs as."
        what = f"no permission ({said})"
        error = UnauthorizedError(what, advice=advice, action=action, request_id=request_id, permission=permission)
        return _Failure(error)
    if raw.status >= _HTTP_SERVER_ERROR or raw.status == _REQUEST_TIMEOUT or _PASSING_CODE.search(code):
        error = UnavailableError(f"the service failed ({said})", advice=_MORE_TIME, action=action, request_id=request_id)
        return _Failure(error, retry=True, throttled=raw.retry_after_s is not None, retry_after_s=raw.retry_after_s)
    if raw.retry_after_s is not None:
        error = UnavailableError(f"the service asked to wait ({said})", advice=_MORE_TIME, action=action, request_id=request_id)
        return _Failure(error, retry=True, throttled=True, retry_after_s=raw.retry_after_s)
    advice = "The service does not accept the call as the gate makes it. Report it with the request id."
    kind = ParameterRefusedError if raw.status in {_HTTP_OK, _HTTP_BAD_REQUEST} and _PARAMETER_CODE.search(code) else RefusedError
    return _Failure(kind.coded(code, f"the call was refused ({said})", advice=advice, action=action, request_id=request_id))


def _rejected(code: str) -> str:
    if "SecurityToken" in code:
        return "The session token is wrong or expired. Get new temporary credentials just before the gate, with a longer session."
    if "AccessKeyId" in code:
        return "The AccessKey id is unknown, disabled or deleted. Check ALIBABA_CLOUD_ACCESS_KEY_ID, or the profile in use."
    return "The secret does not belong to the AccessKey id. Check ALIBABA_CLOUD_ACCESS_KEY_SECRET, or the profile in use."


def _no_answer(action: str, failure: BaseException | None) -> _Failure:
    """Judge a try that brought no answer at all."""
    from ci_gate.security_center.wire import AnswerTooLargeError, UndecodableError

    inner = getattr(failure, "inner_exception", None) or failure
    if isinstance(inner, GateError):
        passing = isinstance(inner, UnavailableError)
        return _Failure(inner, retry=passing)
    if isinstance(inner, AnswerTooLargeError):
        advice = "No honest answer is that large. Check the endpoint and the proxy."
        return _Failure(ProtocolError("the answer is larger than 16 MiB", advice=advice, action=action))
    if isinstance(inner, UndecodableError):
        advice = "Check the endpoint and the proxy: one of them garbles answers."
        return _Failure(
            ProtocolError("the answer is not encoded as it says", advice=advice, action=action), retry=True, tries=_UNREADABLE_TRIES
        )
    if failure is None:
        # The SDK answered without our session: then none of the promises about redirects, size and time hold.
        return _Failure(InternalError("the SDK did not use the gate's connection", advice=_REPORT_BUG, action=action))
    if type(inner).__name__ == "RetryError":
        return _Failure(UnavailableError(f"no answer: {_network_word(str(inner))}", advice=_NETWORK, action=action), retry=True)
    return _Failure(InternalError(f"the SDK failed with {type(inner).__name__}", advice=_REPORT_BUG, action=action))


_REPORT_BUG = "This is a bug of ci-gate, or a version of the SDK that it does not know. Report it, with the versions of both."


def _network_word(text: str) -> str:
    """Name the kind of a network failure. The text itself may hold a URL with a token and is not passed on."""
    for pattern, word in (
        ("proxy", "the proxy could not be used"),
        ("NameResolution|getaddrinfo|Name or service|nodename", "the host name does not resolve"),
        ("CERTIFICATE|SSL", "the TLS connection failed (if a private CA signs here, set SSL_CERT_FILE)"),
        ("refused", "the connection was refused"),
        ("timed out|too long", "it took too long"),
        ("reset|aborted|RemoteDisconnected|IncompleteRead|prematurely|broken", "the connection broke off"),
    ):
        if re.search(pattern, text, re.IGNORECASE):
            return word
    return "the network failed"


def _safe(value: object, secrets: Collection[str]) -> str | None:
    """Return a code or request id of the service if it is made of harmless characters, and is none of our secrets."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_.:-]{1,100}", value):
        return None
    return None if any(secret in value for secret in secrets) else value


def _shortened(access_key_id: str) -> str:
    """Return an AccessKey id as people recognise it, without its middle; a short one is all middle."""
    return f"{access_key_id[:4]}…{access_key_id[-3:]}" if len(access_key_id) > _SECRET else "…"


@cache
def _snake(action: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", action).lower()


def _chain_config(kind: Any, fixed: AccessKey) -> Any:
    """Return the SDK's configuration of fixed credentials."""
    return kind(
        type="sts" if fixed.security_token else "access_key",
        access_key_id=fixed.access_key_id,
        access_key_secret=fixed.access_key_secret,
        security_token=fixed.security_token or None,
    )


def _fit_for_headers(model: Any) -> Any:
    """Return a credential model if its parts can be sent, without one of them being quoted.

    :raises UnauthorizedError: if one holds a blank, a line break or a character outside ASCII.
    """
    for name in ("access_key_id", "access_key_secret", "security_token"):
        value = getattr(model, name, None) or ""
        if not re.fullmatch(r"[!-~]*", value):
            advice = "Set it again: a line break at its end is the usual mistake, as where a file was read whole."
            raise UnauthorizedError(f"the credentials hold an {name} with a blank, a line break or a strange character", advice=advice)
    return model


class _Credentials:
    """Where the SDK gets its credentials: fixed ones, or its default chain, whose failures become errors of ours.

    ``used`` are the secrets that were handed out so far: the texts of the service, the SDK and the chain may hold them.
    """

    def __init__(self, fixed: AccessKey | None) -> None:
        self._fixed = fixed
        self._chain: Any = None
        self.used: set[str] = set()

    def get_credential(self) -> Any:
        """Return the SDK's credential model; called by the SDK before each request."""
        from alibabacloud_credentials.client import Client as ChainClient
        from alibabacloud_credentials.models import Config as ChainConfig

        try:
            if self._chain is None:
                self._chain = ChainClient(_chain_config(ChainConfig, self._fixed) if self._fixed else None)
            model = _fit_for_headers(self._chain.get_credential())
        except GateError:
            raise
        except Exception as error:  # noqa: BLE001 - the chain raises bare exceptions of many kinds
            text = str(error)
        else:
            # Copied, not changed: another thread may be looking through it. Short ones would be found in any text.
            self.used = self.used | {secret for secret in (model.access_key_secret, model.security_token) if len(secret or "") >= _SECRET}
            return model
        if os.environ.get("ALIBABA_CLOUD_OIDC_TOKEN_FILE") and "OIDCRoleArnCredentialsProvider" in text:
            if re.search("Max retries|timed out|Connection|refused|getaddrinfo", text):
                raise UnavailableError("the OIDC token could not be exchanged: STS was not reached", advice=_NETWORK) from None
            advice = "Check ALIBABA_CLOUD_ROLE_ARN, ALIBABA_CLOUD_OIDC_PROVIDER_ARN, the token file, and the trust policy of the role."
            raise UnauthorizedError("the OIDC token could not be exchanged for credentials", advice=advice) from None
        raise UnauthorizedError("no credentials were found", advice=HOW_TO_GIVE_CREDENTIALS) from None


def prepare_environment() -> None:
    """Set what the SDK reads from the environment when it is imported.

    Instance metadata is asked for only where the user says so: elsewhere it costs two seconds and sends requests to a
    link-local address. ``DEBUG=sdk`` would print session tokens.
    """
    asked = os.environ.get("ALIBABA_CLOUD_ECS_METADATA") or "ALIBABA_CLOUD_ECS_METADATA_DISABLED" in os.environ
    if not asked:
        os.environ["ALIBABA_CLOUD_ECS_METADATA_DISABLED"] = "true"
    if os.environ.get("DEBUG", "").lower() == "sdk":
        del os.environ["DEBUG"]


def _silence_sdk() -> None:
    """Switch off the SDK's loggers, whatever handlers they bring: they print tokens, and URLs with tokens, to stderr."""
    for name in ("credentials", "darabonba-core", "alibabacloud-tea", "urllib3", "requests", "apscheduler"):
        logger = logging.getLogger(name)
        logger.disabled = True
        logger.setLevel(logging.CRITICAL + 1)  # for the loggers below it, which ask it for their level
        logger.propagate = False


def connect(
    endpoint: Endpoint | None, region: str, access_key: AccessKey | None, observe: Callable[[CallRecord], None]
) -> tuple[Transport, str]:
    """Build the transport; imports the SDK, which takes about half a second. Makes no call. Return it with the URL in use.

    :param endpoint: where to call; ``None`` for the endpoint of ``region``.
    :param access_key: fixed keys; ``None`` for the SDK's default chain.
    :param observe: told of every finished call, from any thread.
    :raises UsageError: for a region that the SDK does not know, a CA file that is none, or a proxy that is none.
    """
    prepare_environment()
    import_models_on_demand()
    from alibabacloud_sas20181203.client import Client
    from alibabacloud_tea_openapi.utils_models import Config
    from darabonba.core import DaraCore

    from ci_gate.security_center.endpoint import Endpoint as EndpointType
    from ci_gate.security_center.wire import BoundedSession, check_proxy

    _silence_sdk()
    credentials = _Credentials(access_key)
    config = Config(
        region_id=region,
        endpoint=endpoint.host if endpoint else None,
        protocol=endpoint.scheme.upper() if endpoint else "HTTPS",
        max_idle_conns=MAX_WINDOW,
        user_agent="ci-gate",
        ca=_ca_file(),
        credential=credentials,
    )
    client = Client(config)
    if endpoint is None:
        if region not in client._endpoint_map:  # noqa: SLF001 - for an unknown region the SDK makes up a host name
            known = ", ".join(sorted(client._endpoint_map))  # noqa: SLF001
            raise UsageError(f"Security Center has no region {region[:60]!r}", advice=f"Give --region one of: {known}.")
        endpoint = EndpointType(client._endpoint, "https", loopback=False)  # noqa: SLF001
    check_proxy(endpoint)
    session = BoundedSession(loopback=endpoint.loopback, pool_size=MAX_WINDOW * 2)
    # The SDK keeps its sessions by this key; `_no_answer` notices if another version stops doing so.
    DaraCore._sessions[f"{endpoint.scheme}://{endpoint.host}:80:pool={MAX_WINDOW}"] = session  # noqa: SLF001
    return Transport(client, session, credentials, observe), endpoint.url


def _ca_file() -> str | None:
    """Return the CA bundle that the environment names, as `requests` and curl read it."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        path = os.environ.get(name)
        if path:
            try:
                where = {"capath": path} if os.path.isdir(path) else {"cafile": path}  # noqa: PTH112 - as the variables are read elsewhere
                ssl.create_default_context().load_verify_locations(**where)
            except OSError as error:
                why = "it holds no certificates" if isinstance(error, ssl.SSLError) else error.strerror
                raise UsageError(f"{name} names {path!r}: {why}", advice="Correct the variable, or unset it.") from None
            return path
    return None
