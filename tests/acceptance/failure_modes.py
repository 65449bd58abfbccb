"""What can go wrong, and what the gate makes of it: the rows of docs/failure-modes.md, each with the world or command line that has it.

As a program this file writes the tables of that page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from support import NAME, REFERENCE, finding, image

PAGE = Path(__file__, "../../../docs/failure-modes.md").resolve()
CANARY = "CANARY-7b1e"
"""In secrets of every kind, and in the excerpt of every finding: no output may hold it."""
ENDPOINT = ("--endpoint", "ENDPOINT")
"""Instead of ``--emulate``: where the world of the row is served."""


def world(*faults: dict, images: tuple[dict, ...] = (image(),), quirks: dict | None = None, **fields: object) -> dict:
    """An account with a clean image, and what is wrong with it."""
    return {"version": 1, "images": list(images), "faults": list(faults), "quirks": {"canary": CANARY, **(quirks or {})}, **fields}


@dataclass(frozen=True)
class Row:
    """A row of the page, and how to get there.

    ``reads`` is the first line of the summary after the verdict and the name of the image, ``do`` its last one, and ``besides`` something
    that stands elsewhere in it or in a report. An ellipsis stands for what differs from run to run, or is left out.
    ``signal`` ends the run in the middle; ``bug`` is an exception that it raises.
    """

    fault: str
    code: int
    reads: str
    do: str
    world: dict | None = field(default_factory=world)
    args: tuple[str, ...] = ()
    command: tuple[str, ...] = ("check", REFERENCE)
    files: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    besides: str = ""
    signal: str = ""
    bug: str = ""


def on(action: str, kind: str, **fields: object) -> dict:
    """A fault of one call."""
    return {"action": action, "kind": kind, **fields}


def within(seconds: int) -> tuple[str, ...]:
    """How long the run may take: as long is tried again what does not pass."""
    return ("--timeout", f"{seconds}s")


def judged_by(text: str) -> dict:
    """A run with a policy of its own."""
    return {"args": ("-p", "policy.yaml"), "files": {"policy.yaml": f"version: 1\nname: shop\n{text}\n"}}


def said_by(action: str) -> str:
    """Which call said it, as messages end."""
    return f" [{action}, request id …]"


def lacking(action: str, note: str = "", **how: object) -> Row:
    """A run that ends for want of a permission."""
    do = f"Grant the RAM action yundun-sas:{action} to the identity that the gate runs as.…"
    return Row(f"`{action}` is denied{note}", 21, f"no permission (NoPermission, HTTP 403){said_by(action)}", do, **how)


def denying(action: str, *images: dict, **fields: object) -> dict:
    """An account whose identity lacks one permission."""
    return world(images=images or (image(FOUND),), account={"deny_actions": [action]}, **fields)


IMAGES, KEYS, FILES = "DescribeImageInstances", "DescribeImageSensitiveFileList", "DescribeImageSensitiveFileByKey"
RULES, WHITELISTS, INFOS = "GetSensitiveDefineRuleConfig", "DescribeImageEventOperationPage", "DescribeImageInfoList"
CRITERIA, REPO_CRITERIA, REPOSITORIES = "DescribeImageCriteria", "DescribeImageRepoCriteria", "DescribeImageRepoDetailList"
ASK, TASKS = "PublicSyncAndCreateImageScanTask", "DescribeImageLatestScanTask"
QUOTA, PRECHECK = "DescribeImageScanAuthCount", "PublicPreCheckImageScanTask"

FOUND = finding()
DENIED = finding("aws_access_key", "/root/.aws/credentials", "high")
PEM = finding("pem", "/app/tls.pem")
TWO_KEYS = image(FOUND, finding("git_cfg", "/app/.git/config"))
MANY = image(generate={"count": 120, "seed": 7, "keys": ["sqlite"], "risk_levels": ["low"]})
UNSCANNED = image(scan=[{"status": None}])
UUID, OTHER = "ab" * 16, "77" * 32
OTHER_DIGEST = image(digest=OTHER)
AT_ONCE = ("--scan", "never")
DENY = "deny: {keys: [pem]}\n"
AT_ANY_TAG = judged_by(f"{DENY}evidence: {{require_digest: false}}")
UNSETTLED = judged_by(f"{DENY}evidence: {{settle: 0s}}")
KEY_PAIR = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAIexampleembedded", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": CANARY}
ROLE = {
    "ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1000000000000000:role/example",
    "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1000000000000000:oidc-provider/example",
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE": "token",
}
DEAD_PROXY = {"HTTPS_PROXY": f"http://user:{CANARY}@127.0.0.1:9", "DEBUG": "sdk"}

PASSED = "… none breaks the policy, and the evidence is complete"
DEPLOY = "This was EMULATED: deploy by a check of the real account only."
ROTATE = "Rotate the credential first: … Begin with …."
SCAN_AGAIN = "Scan the image again in Security Center, then run again; --scan auto has the gate do it."
GRANT_IT = "Scan the image in Security Center, or have the gate get what it lacks (ci-gate doctor tells), then run again."
MORE_TIME = "Try again later, or give the run more time with --timeout."
RETRY = "Try again, or give the run more time with --timeout."
NETWORK = "Check the network, the proxy settings (HTTPS_PROXY, NO_PROXY) and the endpoint, then try again."
NO_JSON = "This is what a proxy, a login page or a wrong endpoint answers. Check --endpoint, HTTPS_PROXY and NO_PROXY."
REFUSED = "The service does not accept the call as the gate makes it. Report it with the request id."
REPORT_IT = "Nothing can be concluded from this answer. Check that the endpoint is Security Center's and that no proxy rewrites answers; …"
PAGING = "Findings may be missing. Try again in some minutes; if it stays, report it: the service's paging is inconsistent."
DISAGREEING = "Try again in some minutes. If it stays, report it; evidence.inferred: warn in the policy accepts what cannot be explained."
SWITCH_ON = "Switch it on in Security Center: container image scan settings, sensitive files. Then scan the image again."
BROKEN = "the answer breaks the contract of the call: "
NOT_LISTED = "Security Center does not list registry.example.com/shop/api:1.4.2@sha256:…"

SECTIONS: dict[str, tuple[Row, ...]] = {
    "Command line": (
        Row("no image is named", 2, "no image was named", "Give an image reference, or --image-uuid.", command=("check",)),
        Row(
            "an option that does not exist",
            2,
            "No such option '--polcy'. Did you mean '--policy'?",
            "See `ci-gate check --help`.",
            args=("--polcy", "strict"),
        ),
        Row(
            "an image reference without a registry",
            2,
            "'shop/api' is no image reference: it does not start with a registry host",
            "Write it like registry.example.com/shop/api:1.4.2@sha256:<64 hex digits>.",
            command=("check", "shop/api"),
        ),
        Row(
            "an endpoint that is not the vendor's",
            2,
            "the endpoint sas.example.com is neither Alibaba Cloud's (.aliyuncs.com) nor on loopback",
            "Signed requests and session tokens would go there. If that is meant, add --allow-endpoint.",
            None,
            ("--endpoint", "sas.example.com"),
        ),
        Row(
            "an endpoint with a password in it, which is not repeated",
            2,
            "--endpoint: it is no endpoint",
            "Write it as HOST or HOST:PORT, such as tds.cn-shanghai.aliyuncs.com.",
            None,
            ("--endpoint", f"https://user:{CANARY}@sas.example.com"),
        ),
        Row(
            "a region without Security Center",
            2,
            "Security Center has no region 'atlantis-1'",
            "Give --region one of: …, cn-shanghai, ….",
            None,
            ("--region", "atlantis-1"),
        ),
        Row(
            "`--mode warn` where the policy does not allow it",
            2,
            "--mode warn is not allowed by the policy default",
            "Set allow_warn_override: true in that policy, or leave the option out.",
            args=("--mode", "warn"),
        ),
        Row(
            "two reports at one path",
            2,
            "two reports go to './x'",
            "Give each -o a path of its own.",
            args=("-o", "junit=x", "-o", "json=./x"),
        ),
        Row(
            "a proxy of a kind that is not supported",
            2,
            "the proxy that the environment names for tds.cn-shanghai.aliyuncs.com cannot be used",
            "Write HTTPS_PROXY (or ALL_PROXY) as http://HOST:PORT or http://USER:PASSWORD@HOST:PORT; SOCKS proxies are not supported.",
            None,
            environment={"HTTPS_PROXY": f"socks5://user:{CANARY}@127.0.0.1:9"},
        ),
        Row(
            "a CA file without certificates",
            2,
            "SSL_CERT_FILE names 'ca.pem': it holds no certificates",
            "Correct the variable, or unset it.",
            None,
            files={"ca.pem": "none\n"},
            environment={"SSL_CERT_FILE": "ca.pem"},
        ),
    ),
    "Policy and other documents": (
        Row(
            "a field that does not exist",
            3,
            "policy.yaml:4:3: there is no field 'keyss' in 'deny'; the line: keyss: [pem]",
            "Did you mean 'keys'? Fields here: keys, groups, except.",
            **judged_by("deny:\n  keyss: [pem]"),
        ),
        Row(
            "a policy that judges nothing",
            3,
            "policy.yaml:1:1: the policy judges nothing: no key is denied and no threshold is set; …",
            "Deny keys or groups, or set a threshold, such as 'thresholds: {high: 0}'.",
            **judged_by("mode: enforce"),
        ),
        Row(
            "a policy that softens its parent",
            3,
            "policy.yaml:4:16: allow.keys: the parent 'strict' does not permit 'allow': 'sqlite'; …",
            "Remove it, or extend a policy that lists allow under permit.",
            **judged_by("extends: [strict]\nallow: {keys: [sqlite]}"),
        ),
        Row(
            "a policy file that is not there",
            3,
            "missing.yaml: the policy file does not exist",
            "Check the path; it counts from the working directory.",
            args=("-p", "missing.yaml"),
        ),
        Row(
            "a floor that is not the expected one",
            3,
            "built-in:strict: the floor strict is not the expected one: its SHA-256 is …",
            "Restore the floor, or, if its change is meant, give its new sum with --floor-sha256.",
            args=("--floor", "strict", "--floor-sha256", "0" * 64),
        ),
        Row(
            "a baseline that is not there",
            3,
            "policy.yaml:4:18: baseline.file: the file 'baseline.json' does not exist; …",
            "Create it with `ci-gate baseline create`.",
            **judged_by(f"{DENY}baseline: {{file: baseline.json, expires: 2099-12-31}}"),
        ),
        Row(
            "a world file with a field that does not exist",
            3,
            "world.yaml:2:1: imagess: there is no such field",
            "Correct the world file; its fields are described in docs/world-files.md.",
            None,
            ("--emulate=world.yaml",),
            files={"world.yaml": "version: 1\nimagess: []\n"},
        ),
        Row(
            "a saved result that is none",
            3,
            "result.json: it is no result of ci-gate: there is no schema_version",
            "Give the file that `-o json=…` wrote, unchanged.",
            None,
            command=("replay", "result.json"),
            files={"result.json": "{}"},
        ),
    ),
    "What the policy says": (
        Row("a denied key", 10, "1 finding of denied keys: aws_access_key", ROTATE, world(images=(image(DENIED),))),
        Row(
            "more findings than a threshold allows",
            10,
            "2 findings over thresholds.low (2 counted, 1 allowed): git_cfg, sqlite",
            ROTATE,
            world(images=(TWO_KEYS,)),
            **judged_by("thresholds: {low: 1}"),
        ),
        Row(
            "a key that the vendor added since",
            10,
            "1 finding of unknown keys: alibabacloud_ak",
            ROTATE,
            world(images=(image(finding("alibabacloud_ak", "/app/.env")),)),
        ),
        Row(
            "an undocumented risk level, which the policy judges as high",
            10,
            "1 finding over thresholds.high (1 counted, 0 allowed): sqlite",
            ROTATE,
            world(images=(image(finding(risk_level="urgent")),)),
        ),
        Row(
            "an undocumented risk level, which the policy does not accept",
            23,
            "the service gave 1 finding a risk level that is not documented: urgent (1)",
            "Set unknown.risk_level in the policy to the level that they shall be judged as, and report the word to the project.",
            world(images=(image(finding(risk_level="urgent")),)),
            **judged_by("thresholds: {total: 5}\nunknown: {risk_level: error}"),
        ),
        Row(
            "a waiver that expired",
            10,
            "1 finding of denied keys: pem; waiver W-1, which would cover 1 of these findings, expired on 2026-02-01",
            "Waiver W-1 expired on 2026-02-01: renew it with its owner team-shop, or fix. …",
            world(images=(image(PEM),)),
            **judged_by(
                f"{DENY}waivers: [{{id: W-1, keys: [pem], reason: test, owner: team-shop, created: 2026-01-01, expires: 2026-02-01}}]"
            ),
        ),
        Row(
            "a denied key, and the policy is in warn mode",
            0,
            "(warn mode: 1 violation would block) …: it would be blocked: 1 finding of denied keys: aws_access_key",
            "Mend the violations before the policy's mode becomes enforce.",
            world(images=(image(DENIED),)),
            ("-p", "audit"),
        ),
        Row(
            "a denied key, and pages are lost",
            10,
            "120 findings of denied keys: aws_access_key",
            ROTATE,
            world(on(FILES, "empty_page", page=2), images=(image(generate={"count": 120, "keys": ["aws_access_key"]}),)),
            within(3),
            besides=f"the pages do not add up: … [{FILES}]",
        ),
    ),
    "The image": (
        Row(
            "no digest",
            20,
            "registry.example.com/shop/api:1.4.2 has no digest: a tag can move, so nothing is proven of it",
            "Name the image by digest: pass --metadata-file with the file that `docker buildx build --metadata-file FILE` wrote, or …",
            command=("check", NAME),
        ),
        Row(
            "not listed, and nobody may ask for it",
            20,
            f"{NOT_LISTED} [{IMAGES}]",
            "It lists the repository, but not this image: wait until it is synchronised, then run again. …",
            world(images=(image(reference="registry.example.com/shop/api:1", digest=OTHER),)),
            AT_ONCE,
        ),
        Row(
            "listed with another digest",
            20,
            f"{NOT_LISTED} [{IMAGES}]",
            "It lists that tag with another digest: …: then name the digest of the platform's manifest, with --platform-digest. …",
            world(images=(OTHER_DIGEST,)),
            AT_ONCE,
        ),
        Row(
            "unknown, and so is its repository",
            20,
            f"{NOT_LISTED}, after 2 s of waiting: Security Center does not know the repository (yet) [{IMAGES}]",
            "Check the name, --region, and that the registry is connected to Security Center; …",
            world(images=()),
            within(2),
        ),
        Row(
            "ambiguous: in two registries",
            20,
            "… is ambiguous, Security Center lists 2 images for it: …",
            "Name the one that is meant with --image-uuid.",
            world(images=tuple(image(instance_id=instance, endpoints=[]) for instance in ("cri-1", "cri-2"))),
        ),
        Row(
            "listed without a digest",
            20,
            f"Security Center lists the image … without a SHA-256 digest, so it cannot be told what was scanned [{IMAGES}]",
            "Wait until the image is synchronised, then run again.",
            world(on(IMAGES, "set_field", field="Digest", value="")),
            command=("check", NAME),
            **AT_ANY_TAG,
        ),
        Row(
            "a uuid that is not known",
            20,
            f"Security Center knows 0 images with the uuid '…'{said_by(INFOS)}",
            "Check --image-uuid and --region.",
            command=("check", "--image-uuid", UUID),
        ),
        Row(
            "uuid and reference mean different images",
            20,
            "the image with the uuid '…' is shop/api:1.4.2@sha256:…, not registry.example.com/shop/api:1.4.2@sha256:…",
            "Give the uuid or the reference, or make them agree.",
            world(images=(image(digest=OTHER, uuid=UUID),)),
            ("--image-uuid", UUID),
        ),
        Row(
            "the tag moves while the gate reads",
            20,
            "the tag of … moved while the gate looked: sha256:… was judged, and it names another image now …",
            "Run again, and name the image by digest: a tag can move at any time.",
            world(images=(image(tag_moves={"after_calls": 1, "old_row": "untagged"}),)),
            command=("check", NAME),
            **AT_ANY_TAG,
        ),
        Row(
            "deleted while the gate reads",
            20,
            "the image sha256:… (uuid …) was replaced while the gate waited: it is no longer listed in its repository …",
            "Its tag moved with another push, or it was deleted. Run again for the image that is to be deployed.",
            world(images=(image(delisted_after_calls=1),)),
        ),
        Row(
            "the image of `--since` is not listed",
            20,
            "--since registry.example.com/shop/api@sha256:…: Security Center does not list …",
            "It lists the repository, but not this image: …",
            args=(*AT_ONCE, "--since", f"registry.example.com/shop/api@sha256:{OTHER}"),
        ),
    ),
    "Its scan": (
        Row(
            "under way: it is waited for",
            0,
            PASSED,
            DEPLOY,
            world(images=(image(FOUND, scan=[{"status": "A_NEW_WORD", "for_calls": 2}, {"last": "now"}]),)),
            besides="it was on its way already, and this run waited for it",
            **UNSETTLED,
        ),
        Row(
            "never scanned, and none may be requested",
            20,
            f"image …: the image has never been scanned [{IMAGES}]",
            SCAN_AGAIN,
            world(images=(UNSCANNED,)),
            AT_ONCE,
        ),
        Row(
            "failed",
            20,
            f"image …: the scan ended with FAIL [{IMAGES}]",
            SCAN_AGAIN,
            world(images=(image(scan=[{"status": "FAIL"}]),)),
            AT_ONCE,
        ),
        Row(
            "requested by this run, and failed",
            20,
            "image …: the scan that was asked for ended with TIMOUT …",
            "Look at the scan in the console of Security Center, and scan the image again.",
            world(images=({**UNSCANNED, "scan_when_requested": [{"status": "TIMEOUT"}]},)),
        ),
        Row(
            "`SUCCESS`, with a result that says otherwise",
            20,
            "image …: the scan says SUCCESS, but its result is 'TASK_NOT_SUPPORT_REGION' …",
            "Security Center cannot scan registries in this region: push to a registry in a region that it supports.",
            world(images=(image(scan=[{"result": "TASK_NOT_SUPPORT_REGION"}]),)),
            AT_ONCE,
        ),
        Row(
            "not finished in time",
            20,
            "image …: the scan did not finish within 2 s, its state is 'BIN_ANALYZER' (80 %) …",
            MORE_TIME,
            world(images=(image(scan=[{"status": "BIN_ANALYZER", "progress": 80}]),)),
            within(2),
        ),
        Row(
            "in a state that nobody knows",
            20,
            "image …: the scan did not finish within 2 s, its state is 'A_NEW_WORD' (100 %) …",
            MORE_TIME,
            world(images=(image(scan=[{"status": "A_NEW_WORD"}]),)),
            within(2),
        ),
        Row(
            "older than the policy allows",
            20,
            "image …: the scan is … s old, the policy allows 86400 s …",
            SCAN_AGAIN,
            world(images=(image(scan=[{"last": "3d ago"}]),)),
            command=("check", REFERENCE, *AT_ONCE),
            **judged_by(f"{DENY}evidence: {{max_scan_age: 1d}}"),
        ),
        Row(
            "begun anew while the gate reads",
            20,
            "the image … was scanned again, …; its scan is 'START' now …",
            "Run again: …",
            world(images=(image(scan=[{"for_calls": 1}, {"status": "START"}]),)),
        ),
        Row(
            "wanted, and the quota is used up",
            20,
            f"the quota for image scans is exhausted: 7 of 7 used [{QUOTA}]",
            "Buy quota for container image scans in Security Center, or wait for the next cycle of it.",
            world(images=(UNSCANNED,), account={"scan_quota": {"capacity": 7, "used": 7}}),
        ),
        Row(
            "wanted, and the account has no slot for it",
            20,
            "image …: no scan could be asked for within 2 s, waiting for a slot: the account scans as many images as it may at once; …",
            MORE_TIME,
            world(images=(UNSCANNED,), account={"scan_tasks": {"limit": 1, "running": 1}}),
            within(2),
        ),
        Row(
            "wanted, and the registry's region is not supported",
            20,
            f"a scan was asked for, the answer is TASK_NOT_SUPPORT_REGION{said_by(ASK)}",
            "Security Center cannot scan registries in this region: push to a registry in a region that it supports.",
            world(images=(UNSCANNED,), unsupported_regions=["cn-hangzhou"]),
        ),
        Row(
            "wanted, and the account's edition has none",
            20,
            f"image …: the scan did not finish within 2 s, it has never been scanned; the identity of the gate lacks yundun-sas:{ASK}, …",
            GRANT_IT,
            world(images=(UNSCANNED,), account={"edition": "basic"}),
            within(2),
        ),
        Row(
            "just ended, and its findings come after its success",
            10,
            "1 finding of denied keys: pem",
            ROTATE,
            world(images=(image(PEM, scan=[{"last": "1s ago"}], findings_after_calls=2),)),
            **judged_by(f"{DENY}evidence: {{settle: 1s}}"),
        ),
        Row(
            "just ended, and there is no time to look again",
            20,
            f"the scan ended just now, and there was no time to look again [{KEYS}]",
            "Give the run more time with --timeout, or run again.",
            world(images=(image(scan=[{"last": "1s ago"}]),)),
            within(2),
        ),
    ),
    "The account's settings": (
        Row(
            "the rule of a denied key is off",
            20,
            f"denied keys are switched off in the account's rules: aws_access_key [{RULES}]",
            SWITCH_ON,
            world(rules_off=["aws_access_key"]),
        ),
        Row(
            "a denied key is not among the rules",
            0,
            "… none breaks the policy, with warnings about the evidence: covered",
            DEPLOY,
            world(rules_absent=["aws_access_key"]),
            besides="warning: covered: denied keys are not among the account's rules: aws_access_key",
        ),
        Row(
            "the rule of another key is off, and thresholds count",
            0,
            "… none breaks the policy, with warnings about the evidence: covered",
            DEPLOY,
            world(rules_off=["sqlite"]),
            besides="warning: covered: every denied key is selected, but 1 other rule is off: the thresholds do not see their keys",
        ),
        Row(
            "whitelists may hide findings, and the policy forbids them",
            20,
            f"1 whitelist of Security Center may hide findings [{WHITELISTS}]",
            "Delete them in Security Center and waive in the policy instead, or set evidence.vendor_whitelist: report.",
            world(whitelists=[{"event_key": "pem"}]),
            **judged_by(f"{DENY}evidence: {{vendor_whitelist: error}}"),
        ),
        Row(
            "the account's scan for sensitive files is off",
            0,
            PASSED,
            DEPLOY,
            world(images=(image(DENIED),), account={"sensitive_scan": "off"}),
        ),
    ),
    "Credentials and clock": (
        Row("no credentials", 21, "no credentials were found", "Give credentials in one of these ways: OIDC of the CI platform (…", None),
        Row(
            "the secret is not that of the AccessKey",
            21,
            f"the credentials were rejected (SignatureDoesNotMatch, HTTP 400){said_by(IMAGES)}",
            "The secret does not belong to the AccessKey id. Check ALIBABA_CLOUD_ACCESS_KEY_SECRET, or the profile in use.",
            args=ENDPOINT,
            environment=KEY_PAIR,
        ),
        Row(
            "the AccessKey is unknown",
            21,
            f"the credentials were rejected (InvalidAccessKeyId.NotFound, HTTP 404){said_by(IMAGES)}",
            "The AccessKey id is unknown, disabled or deleted. Check ALIBABA_CLOUD_ACCESS_KEY_ID, or the profile in use.",
            args=ENDPOINT,
            environment={**KEY_PAIR, "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAIanotherexample"},
        ),
        Row(
            "a line break at the end of a secret",
            21,
            "the credentials hold an access_key_secret with a blank, a line break or a strange character",
            "Set it again: a line break at its end is the usual mistake, as where a file was read whole.",
            None,
            environment={**KEY_PAIR, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": f"{CANARY}\n"},
        ),
        Row(
            "the OIDC token file is not there",
            21,
            "the OIDC token could not be exchanged for credentials",
            "Check ALIBABA_CLOUD_ROLE_ARN, ALIBABA_CLOUD_OIDC_PROVIDER_ARN, the token file, and the trust policy of the role.",
            None,
            environment=ROLE,
        ),
        Row(
            "STS is not reached",
            22,
            "the OIDC token could not be exchanged: STS was not reached",
            NETWORK,
            None,
            ("-vv", *within(4)),
            files={"token": CANARY},
            environment={**ROLE, **DEAD_PROXY},
        ),
        Row(
            "the session token expired before the run",
            21,
            f"the credentials were rejected (InvalidSecurityToken.Expired, HTTP 403){said_by(IMAGES)}",
            "The session token is wrong or expired. Get new temporary credentials just before the gate, with a longer session.",
            world(account={"security_token": CANARY, "token_expires": "1m ago"}),
        ),
        Row(
            "the session token expires in mid-run",
            21,
            f"the credentials were rejected (InvalidSecurityToken.Expired, HTTP 403){said_by('…')}",
            "The session token is wrong or expired. Get new temporary credentials just before the gate, with a longer session.",
            world(images=(TWO_KEYS,), account={"security_token": CANARY, "token_expires_after_calls": 3}),
        ),
        Row(
            "the clocks are more than 15 minutes apart",
            21,
            f"the request's time was refused (InvalidTimeStamp.Expired, HTTP 400){said_by(IMAGES)}",
            "The clock of this machine is off by more than 15 minutes: set it by NTP.",
            world(on("*", "clock", seconds=3600)),
        ),
        Row("the clocks are a minute apart", 0, PASSED, DEPLOY, world(on("*", "clock", seconds=60))),
        Row(
            "an answer quotes the credentials",
            23,
            f"the answer quotes the credentials of the request{said_by(FILES)}",
            "Something on the way sends back what it was sent. Check the endpoint and the proxy, and rotate the credentials.",
            world(on(FILES, "set_field", where="answer", field="Message", value=CANARY), account={"security_token": CANARY}),
        ),
    ),
    "Permissions": (
        lacking(IMAGES, world=denying(IMAGES)),
        lacking(KEYS, world=denying(KEYS)),
        lacking(FILES, world=denying(FILES)),
        lacking(INFOS, ", with `--image-uuid`", world=denying(INFOS, image(FOUND, uuid=UUID)), args=("--image-uuid", UUID)),
        Row(f"`{CRITERIA}` is denied", 0, PASSED, DEPLOY, denying(CRITERIA)),
        Row(f"`{REPO_CRITERIA}` is denied", 0, PASSED, DEPLOY, denying(REPO_CRITERIA, quirks={"image_criteria": ["tag", "digest"]})),
        Row(
            f"`{REPOSITORIES}` is denied, of an image that is not listed yet",
            20,
            f"{NOT_LISTED}; the repository could not be looked up (yundun-sas:{REPOSITORIES} is lacking), so it waited …",
            "Check the name, --region, and that the registry is connected to Security Center; …",
            denying(
                REPOSITORIES, {**UNSCANNED, "listed_after": {"sync": True}}, repositories=[{"reference": "registry.example.com/shop/api"}]
            ),
            within(2),
        ),
        lacking(
            RULES,
            ", and the policy has `rule_coverage: error`",
            world=denying(RULES),
            **judged_by(f"{DENY}evidence: {{rule_coverage: error}}"),
        ),
        Row(
            f"`{RULES}` is denied",
            0,
            "… none breaks the policy, with warnings about the evidence: covered",
            DEPLOY,
            denying(RULES),
            besides=f"warning: covered: the rules could not be read: … Grant the RAM action yundun-sas:{RULES} to …",
        ),
        lacking(
            WHITELISTS,
            ", and the policy has `vendor_whitelist: error`",
            world=denying(WHITELISTS),
            **judged_by(f"{DENY}evidence: {{vendor_whitelist: error}}"),
        ),
        Row(
            f"`{WHITELISTS}` is denied",
            0,
            "… none breaks the policy, with warnings about the evidence: whitelists",
            DEPLOY,
            denying(WHITELISTS),
            besides=f"warning: whitelists: the whitelists could not be read: … Grant the RAM action yundun-sas:{WHITELISTS} to …",
        ),
        *(
            Row(
                f"`{action}` is denied, of an image without a scan",
                0,
                PASSED,
                DEPLOY,
                denying(action, UNSCANNED),
                besides=f"{action} was not asked: yundun-sas:{action} is lacking",
                **UNSETTLED,
            )
            for action in (QUOTA, PRECHECK, TASKS)
        ),
        Row(
            f"`{ASK}` is denied, of an image without a scan",
            20,
            f"image …: the scan did not finish within 2 s, it has never been scanned; the identity of the gate lacks yundun-sas:{ASK}, …",
            GRANT_IT,
            denying(ASK, UNSCANNED),
            within(2),
        ),
        lacking(ASK, ", with `--scan always`", world=denying(ASK, UNSCANNED), args=("--scan", "always")),
    ),
    "Refusals": (
        *(
            Row(
                f"throttled for a while, {said}",
                0,
                PASSED,
                DEPLOY,
                world(images=(image(generate={"count": 300, "keys": "all", "risk_levels": ["low"]}),), quirks={"rate_limit": rate}),
                ("-p", "policy.yaml"),
                files={"policy.yaml": "version: 1\nname: shop\nthresholds: {total: 1000}\n"},
            )
            for said, rate in (
                ("and told when to come again", {"per_second": 40, "retry_after": True}),
                ("and not told when to come again", {"per_second": 40, "retry_after": False}),
            )
        ),
        Row(
            "throttled until the deadline",
            22,
            f"throttled (Throttling.User, HTTP 400){said_by(KEYS)}",
            RETRY,
            world(on(KEYS, "throttle")),
            within(2),
        ),
        Row(
            "told to come again after the deadline",
            22,
            f"throttled (Throttling.User, HTTP 400){said_by(KEYS)}",
            RETRY,
            world(on(KEYS, "throttle", retry_after_ms=60_000)),
            within(2),
        ),
        Row("5xx for a moment", 0, PASSED, DEPLOY, world(on("*", "status", status=503, times=2))),
        Row(
            "5xx until the deadline",
            22,
            f"the service failed (ServiceUnavailable, HTTP 503){said_by(IMAGES)}",
            RETRY,
            world(on("*", "status", status=503)),
            within(2),
        ),
        Row(
            "an error code that nobody documents",
            23,
            f"the call was refused (Conflict, HTTP 409){said_by(IMAGES)}",
            REFUSED,
            world(on(IMAGES, "status", status=409, code="Conflict")),
        ),
        Row(
            "a refusal of the rules that is not the service's: a firewall's 403",
            23,
            f"HTTP 403 without an error code of the service{said_by(RULES)}",
            "This is what a proxy, a login page or a wrong endpoint answers. Check --endpoint, HTTPS_PROXY and NO_PROXY.",
            world(on(RULES, "body", status=403, text='{"code": "blocked by waf"}')),
        ),
        Row(
            "credentials that the rules alone reject",
            21,
            f"the credentials were rejected (SecurityTokenExpired, HTTP 401){said_by(RULES)}",
            "The session token is wrong or expired. Get new temporary credentials just before the gate, with a longer session.",
            world(on(RULES, "status", status=401, code="SecurityTokenExpired")),
        ),
        Row(
            "an action that the endpoint does not know",
            23,
            f"the call was refused (InvalidAction.NotFound, HTTP 404){said_by(IMAGES)}",
            REFUSED,
            world(on(IMAGES, "status", status=404, code="InvalidAction.NotFound")),
        ),
        Row(
            "of the call without a key, for want of one",
            0,
            PASSED,
            DEPLOY,
            world(images=(TWO_KEYS,), quirks={"key_optional": False}),
            besides="the call without a key was refused: …",
        ),
    ),
    "Network and proxies": (
        Row(
            "nothing listens at the endpoint",
            22,
            f"no answer: the connection was refused [{IMAGES}]",
            NETWORK,
            None,
            ("--endpoint", "127.0.0.1:9", *within(4)),
            environment=KEY_PAIR,
        ),
        Row(
            "the proxy is dead",
            22,
            f"no answer: the proxy could not be used [{IMAGES}]",
            NETWORK,
            None,
            ("-vv", *within(4)),
            environment={**KEY_PAIR, **DEAD_PROXY},
        ),
        Row(
            "the proxy wants a password",
            22,
            f"the proxy wants to know who is asking (HTTP 407) [{IMAGES}]",
            "Put the proxy's user and password into HTTPS_PROXY, or reach the endpoint without it (NO_PROXY).",
            world(on("*", "proxy_page", status=407)),
        ),
        Row(
            "the proxy's page that the service is not reached",
            22,
            f"HTTP 502 with a body that is no JSON [{KEYS}]",
            NETWORK,
            world(on(KEYS, "proxy_page", status=502)),
            within(2),
        ),
        Row(
            "the proxy's login page",
            23,
            f"HTTP 200 with a body that is no JSON: it stops being JSON at line 1, column 1 [{KEYS}]",
            NO_JSON,
            world(on(KEYS, "proxy_page", status=200)),
        ),
        Row(
            "a redirect",
            23,
            f"the endpoint answered with a redirect (HTTP 302) [{KEYS}]",
            "Redirects are never followed, they would carry the session token elsewhere. Check the endpoint and the proxy.",
            world(on(KEYS, "redirect", location="https://login.example.com/")),
        ),
        Row("latency and jitter", 0, PASSED, DEPLOY, world(on("*", "delay", seconds=0.02, jitter=0.05))),
        Row("no answer", 22, f"no answer: it took too long [{KEYS}]", NETWORK, world(on(KEYS, "delay", seconds=30)), within(2)),
        *(
            Row(f"a stall in the {part}", 22, f"no answer within … s [{KEYS}]", NETWORK, world(on(KEYS, "stall", where=where)), within(2))
            for part, where in (("headers", "head"), ("body", "body"))
        ),
        Row("a body that drips, and ends", 0, PASSED, DEPLOY, world(on("*", "drip", bytes=200, seconds=0.01))),
        Row(
            "a body that drips until the deadline",
            22,
            f"no answer within … s [{KEYS}]",
            NETWORK,
            world(on(KEYS, "drip", bytes=1, seconds=0.2)),
            within(2),
        ),
        *(
            Row(fault, 22, f"no answer: the connection broke off [{KEYS}]", NETWORK, world(on(KEYS, kind, **fields)), within(2))
            for fault, kind, fields in (
                ("closed before the answer", "close", {}),
                ("reset before the answer", "reset", {}),
                ("reset in the body", "reset", {"when": "in"}),
                ("a body shorter than its header says", "truncate", {}),
            )
        ),
        Row(
            "chunks, and the last one is missing",
            22,
            f"no answer: … [{KEYS}]",
            NETWORK,
            world(on(KEYS, "chunked", cut=True)),
            within(2),
        ),
        Row("reset after the body", 0, PASSED, DEPLOY, world(on(KEYS, "reset", when="after"))),
        Row("reset for a moment", 0, PASSED, DEPLOY, world(on("*", "reset", times=2))),
    ),
    "The bytes of an answer": (
        Row("in chunks", 0, PASSED, DEPLOY, world(on("*", "chunked", bytes=100))),
        Row("compressed with gzip", 0, PASSED, DEPLOY, world(on("*", "encoded"))),
        Row("compressed with deflate", 0, PASSED, DEPLOY, world(on("*", "encoded", encoding="deflate"))),
        Row("JSON under another content type", 0, PASSED, DEPLOY, world(on("*", "content_type", value="text/html"))),
        Row(
            "not compressed, though it says so",
            23,
            f"the answer is not encoded as it says [{KEYS}]",
            "Check the endpoint and the proxy: one of them garbles answers.",
            world(on(KEYS, "encoded", wrong=True)),
        ),
        Row(
            "20 MiB",
            23,
            f"the answer is larger than 16 MiB [{KEYS}]",
            "No honest answer is that large. Check the endpoint and the proxy.",
            world(on(KEYS, "huge", megabytes=20)),
        ),
        Row(
            "20 MiB, once it is unpacked",
            23,
            f"the answer is larger than 16 MiB [{KEYS}]",
            "No honest answer is that large. Check the endpoint and the proxy.",
            world(on(KEYS, "huge", megabytes=20, compressed=True)),
        ),
        Row(
            "JSON that ends too early",
            23,
            f"HTTP 200 with a body that is no JSON: it stops being JSON at line 1, column …{said_by(KEYS)}",
            NO_JSON,
            world(on(KEYS, "cut_json", keep=0.5)),
        ),
        Row(
            "JSON with a field twice",
            23,
            f"HTTP 200 with a body that is no JSON: a field stands twice in one object{said_by(KEYS)}",
            NO_JSON,
            world(on(KEYS, "body", text='{"Success": true, "Success": true}')),
        ),
    ),
    "The fields of an answer": (
        *(
            Row(fault, 23, f"{BROKEN}{what}{said_by(KEYS)}", REPORT_IT, world(on(KEYS, kind, **fields)))
            for fault, what, kind, fields in (
                ("nothing: `{}`", "Success is missing", "body", {"text": "{}"}),
                ("a list instead of an object", "it is a list, not an object", "body", {"text": "[]"}),
                ("`Success` is false", "Success is not true", "set_field", {"where": "answer", "field": "Success", "value": False}),
                ("`Code` is not 200", "Code is not 200", "set_field", {"where": "answer", "field": "Code", "value": "500"}),
                ("no rows", "SensitiveFileList is missing", "drop_field", {"field": "SensitiveFileList"}),
                (
                    "rows that are null",
                    "SensitiveFileList is null, not a list",
                    "set_field",
                    {"where": "answer", "field": "SensitiveFileList"},
                ),
                ("no `TotalCount`", "PageInfo.TotalCount is missing", "drop_field", {"field": "PageInfo.TotalCount"}),
                (
                    "a `TotalCount` that is no number",
                    "PageInfo.TotalCount is a text of another form, not a count",
                    "set_field",
                    {"where": "answer", "field": "PageInfo.TotalCount", "value": "many"},
                ),
            )
        ),
        *(
            Row(
                fault,
                23,
                f"{BROKEN}SensitiveFileList[1].{what}{said_by(FILES)}",
                REPORT_IT,
                world(on(FILES, "set_field", **fields), images=(TWO_KEYS,)),
            )
            for fault, what, fields in (
                ("a file without a path", "FilePath is missing", {"field": "FilePath", "absent": True}),
                ("a path that is a number", "FilePath is a number of another form", {"field": "FilePath", "value": 7}),
                ("a risk level that is null", "RiskLevel is null", {"field": "RiskLevel"}),
                ("a risk level without a word", "RiskLevel is an empty text", {"field": "RiskLevel", "value": " "}),
            )
        ),
        Row(
            "HTTP 206 instead of 200",
            23,
            f"HTTP 206 is no answer{said_by(KEYS)}",
            REPORT_IT,
            world(on(KEYS, "body", text="{}", status=206)),
        ),
        Row(
            "a rule that does not say whether it is on",
            23,
            f"{BROKEN}a rule has no RuleKey or no Selected{said_by(RULES)}",
            "Report it with the request id.",
            world(on(RULES, "set_field", field="RuleList", value=[{"RuleKey": "pem"}])),
        ),
        Row(
            "files of another key than was asked for",
            23,
            f"1 file of another key came back for the key sqlite [{FILES}]",
            REPORT_IT,
            world(on(FILES, "set_field", key="sqlite", field="SensitiveFileKey", value="pem"), images=(TWO_KEYS,)),
        ),
        Row("numbers as text", 0, PASSED, DEPLOY, world(images=(TWO_KEYS,), quirks={"numbers_as_text": True})),
        Row("no JSON from a call that only helps", 0, PASSED, DEPLOY, world(on(CRITERIA, "body", text="<html>"))),
    ),
    "Pages and totals": (
        *(
            Row(
                fault,
                20,
                f"the pages do not add up: {what} [{FILES}]",
                PAGING,
                world(on(FILES, kind, **fields), images=(MANY,)),
                within(3),
            )
            for fault, what, kind, fields in (
                ("an empty page", "page 2 of … holds 0 rows, … were due", "empty_page", {"page": 2}),
                ("a page that lacks rows", "page 1 of … holds … rows, … were due", "short_page", {"page": 1, "rows": 3}),
                ("a page that is served twice", "page 2 of 2 holds 100 rows, 20 were due", "duplicate_page", {"page": 2}),
                ("a page that begins some rows late", "page 2 of 2 holds 19 rows, 20 were due", "shift_page", {"page": 2, "rows": 1}),
                ("a page that begins some rows early", "page 2 of 2 holds 21 rows, 20 were due", "shift_page", {"page": 2, "rows": -1}),
                (
                    "an order that changes from page to page",
                    "no two readings with different page sizes hold the same rows",
                    "reverse_rows",
                    {"page": 2},
                ),
                (
                    "another order at each call",
                    "no two readings with different page sizes hold the same rows",
                    "shuffle_rows",
                    {},
                ),
                ("a total that is too large", "page … of … holds … rows, … were due", "total", {"by": 1}),
                ("a total that is too small", "page … of … holds … rows, … were due", "total", {"by": -1}),
                ("a total that moves", "TotalCount moved from 120 to 121 while the pages were read", "total", {"by": 1, "page": 2}),
                ("a total that grows", "TotalCount moved from … to … while the pages were read", "total", {"by": 0, "each": 1}),
                (
                    "a page that says it is another one",
                    "asked for page 1, it says that it is page 9",
                    "set_field",
                    {"where": "answer", "field": "PageInfo.CurrentPage", "value": 9},
                ),
            )
        ),
        Row(
            "a total of millions",
            23,
            f"the listing claims 5000120 rows on … pages, more than the gate reads [{FILES}]",
            "Report it with the request id.",
            world(on(FILES, "total", by=5_000_000), images=(MANY,)),
        ),
        Row("a page that lacks rows once", 0, PASSED, DEPLOY, world(on(FILES, "short_page", page=1, times=1), images=(MANY,))),
        Row("another order, and all on one page", 0, PASSED, DEPLOY, world(on("*", "shuffle_rows"), images=(TWO_KEYS,))),
        Row("smaller pages than were asked for", 0, PASSED, DEPLOY, world(images=(MANY,), quirks={"page_size_cap": 50})),
        *(
            Row(fault, 20, f"the findings do not add up: {what} [{KEYS}]", DISAGREEING, world(*faults, images=(one,)))
            for fault, what, one, faults in (
                (
                    "a key that is listed and yields no file",
                    "key sqlite is listed with unprocessed files, and yields none",
                    image(FOUND),
                    [on(FILES, "empty_page"), on(FILES, "total", by=-1)],
                ),
                (
                    "two ways to ask for the files that disagree",
                    "the call without a key counts 1 file, the calls by key 2",
                    TWO_KEYS,
                    [on(FILES, "short_page", key=""), on(FILES, "total", key="", by=-1)],
                ),
                (
                    "a listing of keys that changes while files are read",
                    "the listing of keys changed while the files were read",
                    TWO_KEYS,
                    [
                        on(KEYS, kind, from_call=number, times=1, **fields)
                        for number in (2, 4)
                        for kind, fields in (("short_page", {}), ("total", {"by": -1}))
                    ],
                ),
            )
        ),
        Row(
            "a key that the listing of keys does not name",
            10,
            "1 finding of denied keys: aws_access_key",
            ROTATE,
            world(images=(image(FOUND, DENIED, unlisted_keys=["aws_access_key"]),)),
        ),
    ),
    "Reports and the end of the run": (
        Row(
            "a report cannot be written",
            30,
            "the junit report 'file/junit.xml' could not be written: …",
            "Give a path in a folder that can be written.",
            args=("-o", "junit=file/junit.xml"),
            files={"file": ""},
        ),
        Row(
            "a report cannot be written, of an image that is blocked",
            10,
            "1 finding of denied keys: aws_access_key",
            ROTATE,
            world(images=(image(DENIED),)),
            ("-o", "junit=file/junit.xml"),
            files={"file": ""},
            besides="error 30: the junit report 'file/junit.xml' could not be written: …",
        ),
        *(
            Row(
                f"the run is ended by {name}",
                code,
                what,
                "Nothing was decided. Run it again.",
                world(on(KEYS, "delay", seconds=30)),
                ("-v",),
                signal=name,
            )
            for name, code, what in (("SIGINT", 130, "interrupted by SIGINT"), ("SIGTERM", 143, "ended by SIGTERM"))
        ),
        Row(
            "a bug in ci-gate",
            70,
            "unexpected KeyError at …",
            "This is a bug of ci-gate …. Report it with this line and what was run.",
            bug=f"KeyError({CANARY!r})",
        ),
    ),
}

ROWS = tuple(row for rows in SECTIONS.values() for row in rows)


def with_tables(page: str) -> str:
    """Return the page with the tables that the rows make.

    :raises KeyError: for a table in a section that has no rows.
    """
    return re.sub(r"(?ms)^## ([^\n]+)\n(.*?)^\|.*?(?=^[^|]|\Z)", _section, page)


def _section(match: re.Match[str]) -> str:
    title, prose = match.groups()
    return f"## {title}\n{prose}{_table(SECTIONS[title])}"


def _table(rows: tuple[Row, ...]) -> str:
    lines = ["| what is wrong | exit code | what you read | what to do |", "|---|---|---|---|"]
    for row in rows:
        reads = "<br>".join(_code(text) for text in (row.reads, row.besides) if text)
        lines.append(f"| {row.fault} | {row.code} | {reads} | {row.do.replace('<', '&lt;')} |")
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text("utf-8")), "utf-8")
