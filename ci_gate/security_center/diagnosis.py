"""What stands between the gate and Security Center: one line for each thing that has to be in order, with the remedy."""

from __future__ import annotations

import json
import os
import platform
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING

from ci_gate import __version__
from ci_gate.deadline import Deadline
from ci_gate.errors import ExitCode, GateError, InternalError, ProtocolError, RefusedError, UnauthorizedError, bug
from ci_gate.model import EvidenceRules, Proof, ProofState
from ci_gate.security_center.contracts import Answer, to_int
from ci_gate.security_center.coverage import AccountSettings, prove_covered, prove_whitelists
from ci_gate.security_center.criteria import diagnosed
from ci_gate.security_center.permissions import PERMISSIONS, Permission
from ci_gate.security_center.pool import run_together
from ci_gate.security_center.scan_requests import REFUSALS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ci_gate.security_center.transport import CredentialFacts, Heard, Transport

Outcome = Answer | GateError

_FIRST_LOOK_S = 10.0  # an endpoint that is not reached by then will not be by the end, and the other calls would wait in vain
_SKEW_WARNING_S, _SKEW_FAILED_S = 60, 15 * 60  # the service refuses requests that are 15 minutes off
_NO_UUID = "0" * 32  # of no image: the service's uuids are random
_NO_DIGEST = "0" * 64
_NO_NAME = "ci-gate-doctor-asks-for-nothing"
_PACKAGES = (
    "alibabacloud-sas20181203",
    "alibabacloud-tea-openapi",
    "alibabacloud-credentials",
    "requests",
    "click",
    "junit-xml",
    "jinja2",
    "pydantic",
    "ruamel.yaml",
    "aiohttp",
)
_PROXIES = ("HTTPS_PROXY", "ALL_PROXY", "HTTP_PROXY", "NO_PROXY")
_HOST_AND_PORT = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?")
_CA_FILES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
_NOT_REACHED = "the endpoint was not reached"


class State(StrEnum):
    """What became of one thing that was looked at."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at. ``unauthorized`` where credentials are missing or rejected, which has an exit code of its own."""

    check: str
    state: State
    detail: str
    remedy: str = ""
    unauthorized: bool = False


def exit_code(lines: Iterable[Line]) -> ExitCode:
    """Return what the lines come to: warnings pass."""
    failed = [line for line in lines if line.state is State.FAILED]
    if any(line.unauthorized for line in failed):
        return ExitCode.UNAUTHORIZED
    return ExitCode.CHECK_FAILED if failed else ExitCode.PASSED


def failed_line(check: str, error: GateError) -> Line:
    """Turn an error into the line of what was looked at."""
    rejected = isinstance(error, UnauthorizedError) and error.cause.permission is None
    return Line(check, State.FAILED, error.cause.sentence, error.cause.advice, unauthorized=rejected)


# --- this machine ---


def local_lines(environment: Mapping[str, str]) -> tuple[Line, ...]:
    """Look at this machine: versions, proxies, private CAs. Makes no call, and imports no SDK."""
    return (_versions(), _network(environment))


def _versions() -> Line:
    found: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    packages = (f"{name} {version}" for name, version in found.items())
    told = ", ".join((f"Python {platform.python_version()}", f"ci-gate {__version__}", *packages))
    missing = [name for name, version in found.items() if version is None]
    if missing:
        detail = f"not installed: {', '.join(missing)}"
        return Line("versions", State.FAILED, detail, "Install ci-gate again: its dependencies come with it.")
    return Line("versions", State.OK, told)


def _network(environment: Mapping[str, str]) -> Line:
    """Say which proxies and CA files the environment names; of a proxy, host and port only: it may hold a password."""
    seen = []
    for name in _PROXIES:
        for spelled in (name.lower(), name):
            value = environment.get(spelled)
            if value:
                seen.append(f"{spelled} {value if name == 'NO_PROXY' else _proxy_host(value)}")
                break
    seen.extend(f"{name} {environment[name]}" for name in _CA_FILES if environment.get(name))
    return Line("network", State.OK, "; ".join(seen) or "no proxy and no private CA in the environment")


def _proxy_host(value: str) -> str:
    """Return the host and port of a proxy; a password may hold any character, as where nobody escaped it."""
    host = value.rpartition("@")[2].rpartition("://")[2]
    return host.removesuffix("/") if _HOST_AND_PORT.fullmatch(host) else "set, not readable"


# --- the service ---


def diagnose(transport: Transport, url: str, region: str, rules: EvidenceRules, deadline: Deadline) -> tuple[Line, ...]:
    """Look at everything that a check needs of the service: credentials, endpoint, clock, permissions, quota, rules, whitelists.

    Makes each call that the gate makes once, with parameters that name no image. Never raises a ``GateError``: what fails is a line.
    """
    try:
        facts = transport.credential_facts(deadline)
    except GateError as error:
        return (failed_line("credentials", error), *_not_asked(("endpoint", "clock", *_SERVICE), "there are no credentials to ask with"))
    who = (_credentials(facts), identity_line(facts, os.environ))
    first = ask(transport, PERMISSIONS[0].action, _HARMLESS[PERMISSIONS[0].action], Deadline(min(deadline.remaining, _FIRST_LOOK_S)))
    heard = transport.heard
    if heard is None:
        assert isinstance(first, GateError)  # an answer would have been heard
        # A repeated look costs the time of the others and changes nothing.
        return (*who, failed_line("endpoint", first), *_not_asked(("clock", *_SERVICE), _NOT_REACHED))
    where = Line("endpoint", State.OK, f"{url} answers (region {region})")
    if isinstance(first, UnauthorizedError) and first.cause.permission is None:
        rejected = failed_line("credentials", first)
        return (rejected, who[1], where, clock_line(heard), *_not_asked(_SERVICE, "the credentials were rejected"))
    rest = PERMISSIONS[1:]
    tasks: list[Callable[[], object]] = [partial(ask, transport, each.action, _HARMLESS[each.action], deadline) for each in rest]
    account = AccountSettings(transport)
    tasks += [partial(prove_covered, account, rules, deadline), partial(prove_whitelists, account, rules, deadline)]
    *answers, covered, whitelists = run_together(tasks)
    assert isinstance(covered, Proof)
    assert isinstance(whitelists, Proof)
    outcomes: dict[str, Outcome] = {PERMISSIONS[0].action: first}
    for each, answer in zip(rest, answers, strict=True):
        assert isinstance(answer, Answer | GateError)
        outcomes[each.action] = answer
    return (
        *who,
        where,
        clock_line(heard),
        *(permission_line(each, outcomes[each.action], rules) for each in PERMISSIONS),
        quota_line(outcomes["DescribeImageScanAuthCount"]),
        proof_line("rules", covered),
        proof_line("whitelists", whitelists),
        _SWITCH,
    )


def ask(transport: Transport, action: str, parameters: Mapping[str, object], deadline: Deadline) -> Outcome:
    """Make a call; what it raises is its outcome."""
    try:
        return transport.call(action, parameters, deadline)
    except GateError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a bug in one call must not take the lines of the others away
        cause = bug(error)
        return InternalError(cause.what, advice=cause.advice, action=action)


def _images_of(name: str) -> dict[str, object]:
    return {"Criteria": json.dumps([{"name": "repoName", "value": name}]), "LogicalExp": "AND", "CurrentPage": 1, "PageSize": 1}


# Each call with parameters that name nothing there is. No scan can come of an empty list of images; whoever may not request one is
# told so all the same.
_HARMLESS: Mapping[str, Mapping[str, object]] = {
    "DescribeImageInstances": _images_of(_NO_NAME),
    "DescribeImageSensitiveFileList": {"ImageUuid": _NO_UUID, "Lang": "en", "CurrentPage": 1, "PageSize": 1},
    "DescribeImageSensitiveFileByKey": {
        "ImageUuid": _NO_UUID,
        "SensitiveFileKey": "aws_access_key",
        "Lang": "en",
        "CurrentPage": 1,
        "PageSize": 1,
    },
    "DescribeImageInfoList": {"Uuids": _NO_UUID},
    "DescribeImageCriteria": {},
    "DescribeImageRepoCriteria": {},
    "DescribeImageRepoDetailList": _images_of(_NO_NAME),
    "DescribeImageLatestScanTask": {"Digest": _NO_DIGEST},
    "GetSensitiveDefineRuleConfig": {"Source": "image", "Lang": "en"},
    "DescribeImageEventOperationPage": {"EventType": "sensitiveFile", "Lang": "en", "CurrentPage": 1, "PageSize": 1},
    "DescribeImageScanAuthCount": {},
    "PublicPreCheckImageScanTask": {"RepoNames": _NO_NAME, "Digests": _NO_DIGEST},
    "PublicSyncAndCreateImageScanTask": {"Images": "[]"},
}
_SWITCH = Line(
    "scan switch",
    State.NOT_ASKED,
    "no call tells whether the account scans images for sensitive files at all",
    "Look at it once in Security Center: container image scan settings, sensitive files.",
)
_SERVICE = (*(each.ram_action for each in PERMISSIONS), "quota", "rules", "whitelists")


def _not_asked(checks: Iterable[str], why: str) -> tuple[Line, ...]:
    return tuple(Line(check, State.NOT_ASKED, why) for check in checks)


_PLACES = {
    "env": "the environment (ALIBABA_CLOUD_ACCESS_KEY_ID)",
    "oidc_role_arn": "STS, for the OIDC token of the CI platform (ALIBABA_CLOUD_OIDC_TOKEN_FILE)",
    "cli_profile": "the profile of the aliyun CLI (~/.aliyun/config.json)",
    "profile": "the credentials file (~/.alibabacloud/credentials.ini, or ALIBABA_CLOUD_CREDENTIALS_FILE)",
    "ecs_ram_role": "the metadata of the ECS instance",
    "credential_uri": "ALIBABA_CLOUD_CREDENTIALS_URI",
    "static_ak": "the embedded endpoint, whose test keys are used",
    "static_sts": "the embedded endpoint, whose test keys are used",
}


def _link(facts: CredentialFacts) -> str:
    """Return the link of the SDK's chain that gave the credentials, without what it found them by in turn."""
    return facts.provider.removeprefix("default/").partition("/")[0]


def _credentials(facts: CredentialFacts) -> Line:
    place = _PLACES.get(_link(facts), facts.provider or "a place that the SDK does not name")
    kind = "temporary credentials" if facts.temporary else "a permanent AccessKey"
    detail = f"{kind} {facts.shortened_id} from {place}"
    if facts.temporary or _link(facts) == "static_ak":
        return Line("credentials", State.OK, detail)
    remedy = "It works. In CI prefer OIDC: nothing permanent to leak, docs/permissions.md says how."
    return Line("credentials", State.WARNING, detail, remedy)


def identity_line(facts: CredentialFacts, environment: Mapping[str, str]) -> Line:
    """Say what can be told of who answers: the service has no call for it, and only STS could name the account."""
    link = _link(facts)
    role = environment.get("ALIBABA_CLOUD_ROLE_ARN") if link == "oidc_role_arn" else environment.get("ALIBABA_CLOUD_ECS_METADATA")
    unknown = "which account and user that is, only STS can say: `aliyun sts GetCallerIdentity`"
    if link == "oidc_role_arn" and role:
        session = environment.get("ALIBABA_CLOUD_ROLE_SESSION_NAME")
        return Line("identity", State.OK, f"the role {role}{f', session {session}' if session else ''}")
    if link == "ecs_ram_role" and role:
        return Line("identity", State.OK, f"the instance role {role}; {unknown}")
    if link in {"cli_profile", "profile"}:
        profile = environment.get("ALIBABA_CLOUD_PROFILE")
        return Line("identity", State.OK, f"{f'the profile {profile}' if profile else 'the current profile'}; {unknown}")
    if link in {"static_ak", "static_sts"}:
        return Line("identity", State.OK, "the only caller of the embedded endpoint")
    kind = "a role or a session" if facts.temporary else "the owner of the AccessKey"
    return Line("identity", State.OK, f"{kind}; {unknown}")


def clock_line(heard: Heard) -> Line:
    """Hold this machine's clock against the ``Date`` of an answer, which is in whole seconds."""
    if heard.server_ms is None:
        remedy = "Something on the way takes the Date header away. The age of a scan cannot be told without it."
        return Line("clock", State.WARNING, "the answer has no Date", remedy)
    off = round((heard.local_ms - heard.server_ms) / 1000)
    detail = f"{abs(off)} s {'ahead of' if off >= 0 else 'behind'} the service"
    if abs(off) < _SKEW_WARNING_S:
        return Line("clock", State.OK, detail)
    remedy = "Set the clock of this machine by NTP: requests that are 15 minutes off are refused."
    return Line("clock", State.FAILED if abs(off) >= _SKEW_FAILED_S else State.WARNING, detail, remedy)


def permission_line(permission: Permission, outcome: Outcome, rules: EvidenceRules) -> Line:
    """Judge whether the caller has a permission, by what came of a call that names nothing."""
    check = permission.ram_action
    if isinstance(outcome, Answer):
        return Line(check, State.OK, f"to {permission.purpose}")
    said, advice = outcome.cause.sentence, diagnosed(outcome.cause).advice
    if permission.requests_scans and isinstance(outcome, ProtocolError):
        if isinstance(outcome, RefusedError) and outcome.refusal.upper() in REFUSALS:
            return Line(check, State.OK, f"to {permission.purpose}: {outcome.refusal} for a request of nothing, and not NoPermission")
        # Parameters may be looked at before permissions are, and a service that is not bought before both.
        return Line(check, State.WARNING, f"not known: {said}", "A check with --scan always, on an image of yours, will tell.")
    needed = permission.required or _asked_by_policy(permission, rules)
    detail = f"not there: {said}" if outcome.cause.permission else said
    remedy = advice if needed else f"{advice} Without it: {permission.without}."
    return Line(check, State.FAILED if needed else State.WARNING, detail, remedy)


def _asked_by_policy(permission: Permission, rules: EvidenceRules) -> bool:
    """Whether the policy makes an error of what is a warning by default."""
    strict = {
        "GetSensitiveDefineRuleConfig": rules.rule_coverage == "error",
        "DescribeImageEventOperationPage": rules.vendor_whitelist == "error",
    }
    return strict.get(permission.action, False)


def quota_line(outcome: Outcome) -> Line:
    """Say what is left of the account's scans."""
    if not isinstance(outcome, Answer):
        return Line("quota", State.NOT_ASKED, f"it could not be asked for: {outcome.cause.what}")
    capacity, used = (to_int(outcome.rows[0][name]) or 0 for name in ("ImageScanCapacity", "ScanCount"))
    left = capacity - used
    detail = f"{max(0, left)} of {capacity} image scans left in this cycle"
    if left > 0:
        return Line("quota", State.OK, detail)
    remedy = "Images without a scan cannot be scanned (exit 20): buy scans in Security Center, or wait for the next cycle."
    return Line("quota", State.WARNING, detail, remedy)


def proof_line(check: str, proof: Proof) -> Line:
    """Turn a proof of the account's settings into a line."""
    if proof.cause is not None:
        return Line(check, State.FAILED, proof.cause.sentence, proof.cause.advice)
    if proof.state is ProofState.NOT_ASKED or not proof.figures:
        return Line(check, State.NOT_ASKED, proof.detail)  # where it was refused, the line of the permission has the remedy
    state = State.OK if proof.state is ProofState.HELD else State.WARNING
    if check == "whitelists" and dict(proof.figures).get("whitelists"):
        return Line(check, State.WARNING, proof.detail, "Read them in Security Center, or set evidence.vendor_whitelist: error.")
    remedy = _RULES_REMEDY if check == "rules" and state is State.WARNING else ""
    return Line(check, state, proof.detail, remedy)


_RULES_REMEDY = "Look at the rules in Security Center: container image scan settings, sensitive files."
