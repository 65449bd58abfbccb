"""From a push of a moment ago to a finished scan that is proven to be of this image: in process, on a deadline whose clock runs fast."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date

import pytest
from support import DIGEST, NAME, REFERENCE, finding, image

from ci_gate.deadline import Deadline
from ci_gate.emulator.app import serve
from ci_gate.emulator.world import parse_world
from ci_gate.errors import ExitCode
from ci_gate.gate import Asked, Judging, decide_image
from ci_gate.model import ImageReference, SourceInfo
from ci_gate.policy.effective import Judges
from ci_gate.policy.language.load import parse_policy
from ci_gate.security_center.endpoint import parse_endpoint
from ci_gate.security_center.findings import ScanRange
from ci_gate.security_center.source import SecurityCenter
from ci_gate.security_center.transport import AccessKey, connect

REPOSITORY = {"reference": "registry.example.com/shop/api"}
OTHER = "7f" * 32
ASK = "PublicSyncAndCreateImageScanTask"
PRECHECK, QUOTA, TASKS = "PublicPreCheckImageScanTask", "DescribeImageScanAuthCount", "DescribeImageLatestScanTask"
IMAGES, REPOSITORIES = "DescribeImageInstances", "DescribeImageRepoDetailList"
NEVER_SCANNED = [{"status": None}]
STATES = ["INIT", "START", "MESSAGE_SEND", "PRE_ANALYZER", "CVE_ANALYZER", "BIN_ANALYZER"]
SIX_STATES = [*({"status": state, "progress": 10 * number, "for_calls": 1} for number, state in enumerate(STATES)), {"status": "SUCCESS"}]
PEM = finding("pem", "/k.pem", "high")


class FastDeadline(Deadline):
    """A deadline whose seconds are short: whoever waits by it waits as often, not as long."""

    speed = 40

    @property
    def elapsed(self):
        return super().elapsed * self.speed

    def sleep(self, seconds):
        return super().sleep(seconds / self.speed)


def policy(**evidence):
    fields = json.dumps({"settle": "0s", **evidence})
    text = f"version: 1\nname: p\ndeny: {{keys: [pem]}}\nevidence: {fields}\n"
    return parse_policy(text, origin="policy.yaml", default_name="p").policy


@dataclass
class Run:
    """How a run ended, what it said, and what it asked."""

    result: object = None
    steps: list = field(default_factory=list)
    calls: list = field(default_factory=list)

    @property
    def code(self):
        return self.result.exit_code

    @property
    def what(self):
        return " / ".join(f"{cause.what} ({cause.advice})" for cause in self.result.causes)

    def proof(self, name):
        return next(proof for proof in self.result.evidence if proof.name == name)

    def figure(self, name, figure="requested"):
        return dict(self.proof(name).figures)[figure]

    def count(self, action):
        return sum(call.action == action for call in self.calls)


@contextmanager
def center(world, scan, steps):
    with serve(parse_world(json.dumps({"version": 1, **world}).encode())) as served:
        endpoint = parse_endpoint(served.address, allow_any=False)
        key = AccessKey(served.access_key_id, served.access_key_secret, served.security_token)
        transport, url = connect(endpoint, served.region, key, lambda _: None)
        yield SecurityCenter(transport, SourceInfo("emulated", url), ScanRange(), steps.append, scan=scan), served


def decide(*images, scan="auto", seconds=300.0, reference=REFERENCE, uuid=None, evidence=None, faults=(), deadline=FastDeadline, **world):
    run = Run()
    with center({"images": images, "faults": faults, **world}, scan, run.steps) as (source, served):
        asked = Asked(reference or f"uuid {uuid}", ImageReference.parse(reference) if reference else None, uuid)
        run.result = decide_image(source, asked, Judging(Judges(policy(**evidence or {})), date(2026, 11, 24)), deadline(seconds))
        run.calls = list(served.calls)
    return run


def pushed(*findings, **fields):
    """An image that the service lists only once it was asked to synchronise it."""
    fields = {"scan": NEVER_SCANNED, "listed_after": {"sync": True}, "scan_when_requested": SIX_STATES, **fields}
    return image(*findings, **fields)


def refused(action, code="NoPermission", status=403, **fields):
    return {"action": action, "kind": "status", "status": status, "code": code, **fields}


def body(action, answer, **fields):
    return {"action": action, "kind": "body", "text": json.dumps(answer), **fields}


# --- the whole way ---


@pytest.mark.parametrize(("findings", "code"), [((PEM,), ExitCode.BLOCKED), ((), ExitCode.PASSED)])
def test_a_fresh_push_is_synchronised_queued_scanned_and_decided(findings, code):
    fresh = pushed(*findings, listed_after={"sync": True, "calls": 3})
    account = {"scan_tasks": {"limit": 1, "running": 1, "ends_after_calls": 2}}

    run = decide(fresh, scan="always", repositories=[REPOSITORY], account=account)

    assert code is run.code, run.what
    assert 3 == run.count(ASK)  # twice there was no slot
    assert "yes" == run.figure("scanned")
    assert run.figure("scanned", "task")
    assert run.figure("identity", "listings") > 3
    said = [(step.stage, step.detail) for step in run.steps]
    assert any(stage == "queue" and "waiting for a slot" in detail for stage, detail in said)
    assert [f"scan {state}" for state in STATES] == [detail for stage, detail in said if stage == "scan"][: len(STATES)]


def test_the_request_names_the_image_as_the_service_does():
    run = decide(pushed(), repositories=[REPOSITORY])

    request = next(call.parameters for call in run.calls if call.action == ASK)
    (named,) = json.loads(request["Images"])
    assert {"registryType": "acr", "instanceId": "cri-example000000", "regionId": "cn-hangzhou"}.items() <= named.items()
    assert {"repoNamespace": "shop", "repoName": "api", "digest": DIGEST, "tag": "1.4.2"}.items() <= named.items()
    assert named["createTime"] > 1_700_000_000_000


def test_an_image_without_a_scan_gets_one():
    run = decide(image(PEM, scan=NEVER_SCANNED))

    assert ExitCode.BLOCKED is run.code, run.what
    assert "yes" == run.figure("scanned")


@pytest.mark.parametrize("scan", ["auto", "always"])
def test_a_scan_that_runs_is_joined(scan):
    stages = [{"status": "PRE_ANALYZER", "progress": 40, "for_calls": 2}, {"status": "SUCCESS", "last": "now"}]

    run = decide(image(scan=stages), scan=scan)

    assert ExitCode.PASSED is run.code, run.what
    assert ("joined", 0) == (run.figure("scanned"), run.count(ASK))
    assert 40 in [step.percent for step in run.steps]


def test_a_finished_scan_is_taken_as_it_is():
    run = decide(image())

    assert ExitCode.PASSED is run.code, run.what
    assert ("no", "", 0) == tuple(run.figure("scanned", name) for name in ("requested", "task", "polls"))
    assert (0, 0, 1) == (run.count(ASK), run.count(QUOTA), run.count(TASKS))


@pytest.mark.parametrize("status", ["FAIL", "TIMEOUT", "TIMOUT", "timout"])
def test_an_image_whose_last_scan_failed_is_scanned_again(status):
    run = decide(image(PEM, scan=[{"status": status}]))

    assert ExitCode.BLOCKED is run.code, run.what
    assert "yes" == run.figure("scanned")


AGO = {"status": "SUCCESS", "last": "2m ago"}


@pytest.mark.parametrize(
    "fields",
    [
        {"scan": [AGO], "listed_after": {"calls": 3}},
        {"scan": [{"status": None, "for_calls": 3}, AGO]},
        {"scan": [{"status": "FAIL", "last": "2h ago", "for_calls": 3}, AGO]},
        {"scan": [{"status": "SUCCESS", "last": "2h ago", "for_calls": 3}, AGO]},
    ],
)
def test_what_was_waited_for_is_read_again_whatever_its_time_though_nobody_saw_it_run(fields):
    late = image(PEM, findings_after_calls=2, **fields)

    run = decide(late, repositories=[REPOSITORY], evidence={"max_scan_age": "1h"}, account={"deny_actions": [ASK]})

    assert ExitCode.BLOCKED is run.code, run.what
    assert "joined" == run.figure("scanned")


# --- never ---


@pytest.mark.parametrize("listed", [image(scan=NEVER_SCANNED), image(scan=[{"status": "FAIL"}]), image(digest=OTHER)])
def test_where_scans_are_never_requested_nothing_is_waited_for_that_is_not_there(listed):
    run = decide(listed, scan="never", repositories=[REPOSITORY])

    assert ExitCode.INCOMPLETE is run.code
    assert "--scan auto" in run.what
    assert not run.steps
    assert not {ASK, QUOTA, PRECHECK, REPOSITORIES, TASKS} & {call.action for call in run.calls}


def test_where_scans_are_never_requested_one_that_runs_is_waited_for():
    run = decide(image(PEM, scan=[{"status": "START", "for_calls": 2}, {"status": "SUCCESS", "last": "now"}]), scan="never")

    assert ExitCode.BLOCKED is run.code, run.what


# --- an older success is never taken for a new one ---


def test_a_new_scan_is_wanted_and_the_old_one_does_not_count():
    known = image(PEM, found_before=[], scan_when_requested=SIX_STATES)

    assert ExitCode.PASSED is decide(known).code  # the old scan found nothing
    run = decide(known, scan="always")
    assert ExitCode.BLOCKED is run.code, run.what


@pytest.mark.parametrize("denied", [(), (TASKS,)])
def test_a_request_that_starts_nothing_never_ends_with_the_old_success(denied):
    answer = body(ASK, {"Data": {"TaskId": "a" * 32, "Status": "INIT", "Result": "SUCCESS", "CanCreate": True}})

    run = decide(image(), scan="always", seconds=40, faults=[answer, *map(refused, denied)])

    assert ExitCode.INCOMPLETE is run.code, run.what
    assert "older" in run.what


def test_a_scan_that_is_too_old_is_made_anew():
    run = decide(image(PEM, found_before=[], scan=[{"status": "SUCCESS", "last": "3d ago"}]), evidence={"max_scan_age": "1d"})

    assert ExitCode.BLOCKED is run.code, run.what
    assert "yes" == run.figure("scanned")


def test_a_scan_that_is_too_old_and_cannot_be_made_anew_is_not_taken():
    old = image(scan=[{"status": "SUCCESS", "last": "3d ago"}])

    run = decide(old, evidence={"max_scan_age": "1d"}, seconds=40, account={"deny_actions": [ASK]})

    assert ExitCode.INCOMPLETE is run.code
    assert "s old" in run.what
    assert f"yundun-sas:{ASK}" in run.what


def _task(status, **fields):
    return {"Task": [{"Status": status, "TaskId": "a" * 32, "Target": DIGEST, **fields}]}


STARTED = body(ASK, {"Data": {"TaskId": "a" * 32, "Status": "INIT", "Result": "SUCCESS", "CanCreate": True}})
NEW_TIME = {
    "action": IMAGES,
    "kind": "set_field",
    "where": "every_row",
    "field": "LastScanTime",
    "value": 4_102_444_800_000,
    "from_call": 3,
}


@pytest.mark.parametrize(
    ("task", "faults"),
    [
        (_task("SUCCESS", TaskId="b" * 32), ()),  # of another task
        (_task("SUCCESS", Target=OTHER), ()),  # of another image
        (_task("PROCESSING"), (NEW_TIME,)),  # another task succeeded, ours runs
        (_task("SUCCESS", TaskId=None), ()),
        ({"Task": []}, ()),
    ],
    ids=["other task", "other image", "ours runs", "nameless", "none"],
)
def test_the_success_of_another_task_is_not_that_of_ours(task, faults):
    run = decide(image(), scan="always", seconds=60, faults=[STARTED, body(TASKS, task), *faults])

    assert ExitCode.INCOMPLETE is run.code, run.what


@pytest.mark.parametrize(("where", "entries"), [("every_row", 1), ("first_row", 2)])
def test_our_own_task_proves_the_success_where_the_listing_has_no_time(where, entries):
    no_time = {"action": IMAGES, "kind": "set_field", "where": where, "field": "LastScanTime", "absent": True}
    listed = (image(), twin())[:entries]

    proven = decide(*listed, scan="always", seconds=40, faults=[STARTED, body(TASKS, _task("SUCCESS")), no_time])
    unproven = decide(*listed, scan="always", seconds=40, faults=[STARTED, refused(TASKS), no_time])

    assert ExitCode.PASSED is proven.code, proven.what
    assert ExitCode.INCOMPLETE is unproven.code, unproven.what


def test_our_own_task_proves_nothing_where_the_time_stays_what_it_was_in_whatever_units():
    seconds = {"action": IMAGES, "kind": "set_field", "where": "every_row", "field": "LastScanTime", "value": 1_790_000_000}

    run = decide(image(), scan="always", seconds=40, faults=[STARTED, body(TASKS, _task("SUCCESS")), seconds])

    assert ExitCode.INCOMPLETE is run.code, run.what


def test_our_own_task_fails_whatever_it_says_that_it_was_of():
    run = decide(image(), scan="always", seconds=60, faults=[STARTED, body(TASKS, _task("FAIL", Target=NAME)), NEW_TIME])

    assert ExitCode.INCOMPLETE is run.code, run.what
    assert "ended with FAIL" in run.what


def test_findings_of_the_scan_before_are_not_taken_for_those_of_the_new_one():
    stale = image(PEM, found_before=[finding("sqlite", "/a.db", "low")], findings_after_calls=3)

    run = decide(stale, scan="always")

    assert ExitCode.BLOCKED is run.code, run.what


def test_a_requested_scan_without_findings_is_looked_at_again_whatever_its_time():
    late = pushed(PEM, findings_after_calls=2, listed_after={})

    run = decide(late)

    assert ExitCode.BLOCKED is run.code, run.what


@pytest.mark.parametrize("meanwhile", [None, "2h ago"])
@pytest.mark.parametrize("afterwards", [None, "2h ago"])
@pytest.mark.parametrize(("scan", "requests", "code"), [("auto", 0, 20), ("never", 0, 20), ("always", 1, 10)])
def test_an_older_success_is_not_the_end_of_a_scan_that_was_seen_running(scan, meanwhile, afterwards, requests, code):
    stages = [{"status": "START", "last": meanwhile, "for_calls": 2}, {"status": "SUCCESS", "last": afterwards}]

    run = decide(image(PEM, found_before=[], scan=stages), scan=scan, seconds=30)

    assert (code, requests) == (run.code, run.count(ASK)), run.what
    assert code != ExitCode.INCOMPLETE or "is older, or has no time" in run.what


def test_a_time_that_has_moved_since_the_scan_was_seen_running_is_its_own_though_it_be_that_of_its_start():
    stages = [{"status": "START", "last": "2h ago", "for_calls": 2}, {"status": "SUCCESS", "last": "1m ago"}]

    run = decide(image(PEM, scan=stages), scan="never", seconds=30)

    assert (ExitCode.BLOCKED, 0) == (run.code, run.count(TASKS)), run.what


def began(last, **ended):
    """The stages of a scan whose time is that of its start."""
    return [{"status": "START", "last": last, "for_calls": 2}, {"status": "SUCCESS", "last": last, "finished": "now", **ended}]


@pytest.mark.parametrize("scan", ["auto", "never", "always"])
def test_a_scan_that_was_seen_running_has_ended_by_its_task_where_its_time_is_that_of_its_start(scan):
    run = decide(image(PEM, scan=began("1m ago")), twin(scan=NEVER_SCANNED), scan=scan, seconds=60)

    assert (ExitCode.BLOCKED, 0, 1) == (run.code, run.count(ASK), run.count(TASKS)), run.what
    assert "its task alone" in run.proof("scanned").detail
    assert run.figure("scanned", "task")
    assert run.figure("scanned", "started_ms") == run.result.image.last_scan_ms < run.figure("scanned", "finished_ms")


def changed_task(field, value):
    return {"action": TASKS, "kind": "set_field", "where": "first_row", "field": field, "value": value}


@pytest.mark.parametrize(
    "faults",
    [
        (refused(TASKS),),
        (refused(TASKS, "ServiceUnavailable", 503),),
        (body(TASKS, {"Task": []}),),
        (body(TASKS, {}),),
        (changed_task("FinishTime", None),),
        (changed_task("FinishTime", 4_102_444_800_000),),  # of a clock that is far ahead
        (changed_task("StartTime", None),),
        (changed_task("StartTime", 0),),
        (changed_task("StartTime", 1_790_000_000),),  # in seconds
        (changed_task("Status", "PROCESSING"),),  # another scan runs
        (changed_task("Target", OTHER),),
        (changed_task("Target", ""),),
    ],
    ids=[
        "denied",
        "down",
        "none",
        "nonsense",
        "no time",
        "in the future",
        "no start",
        "0",
        "seconds",
        "another runs",
        "of another image",
        "of any image",
    ],
)
def test_a_task_that_does_not_show_the_end_of_the_scan_that_was_seen_running_is_no_proof(faults):
    run = decide(image(scan=began("1m ago")), scan="never", seconds=25, faults=faults)

    assert ExitCode.INCOMPLETE is run.code, run.what
    assert "is older, or has no time" in run.what


@pytest.mark.parametrize(("last", "started"), [("2h ago", "1m ago"), ("61s ago", "1m ago"), ("2h ago", "3h ago"), (None, None)])
def test_a_time_of_before_the_task_began_or_long_after_that_or_none_at_all_is_no_time_of_its_scan(last, started):
    run = decide(image(scan=began(last, started=started)), scan="never", seconds=25)

    assert ExitCode.INCOMPLETE is run.code, run.what
    assert "is older, or has no time" in run.what


def test_a_scan_that_was_joined_has_ended_by_its_task_where_its_time_is_that_of_its_start():
    running = {"status": "ENV_ANALYZER", "last": "30s ago", "for_calls": 2}
    stages = [{"status": "FAIL", "last": "2h ago", "for_calls": 2}, running, {"status": "SUCCESS", "last": "30s ago", "finished": "now"}]
    asked_too_late = body(ASK, {"Code": "forbid_create_repeat_task", "Message": "x"}, status=400)

    run = decide(image(PEM, scan=stages), seconds=60, faults=(asked_too_late,))

    assert (ExitCode.BLOCKED, "joined") == (run.code, run.figure("scanned", "requested")), run.what
    assert "its task alone" in run.proof("scanned").detail


def test_a_scan_whose_time_is_that_of_its_start_is_read_again_where_its_task_ended_just_now():
    run = decide(image(PEM, scan=[{"status": "SUCCESS", "last": "5m ago", "finished": "now"}], findings_after_calls=2))

    assert ExitCode.BLOCKED is run.code, run.what
    assert "read again" in run.proof("settled").detail


@pytest.mark.parametrize("faults", [(refused(TASKS),), (body(TASKS, {"Task": []}),)], ids=["denied", "none"])
def test_where_no_task_can_be_asked_for_the_time_of_the_listing_counts(faults):
    run = decide(image(scan=[{"status": "SUCCESS", "last": "5m ago"}]), faults=faults)

    assert ExitCode.PASSED is run.code, run.what
    assert 290 <= run.figure("settled", "scan_age_s") < 400


@pytest.mark.parametrize(
    "fault",
    [
        refused(TASKS, "ServiceUnavailable", 503),
        refused(TASKS, "InvalidAccessKeyId.Inactive", 403),
        body(TASKS, {}),
        changed_task("FinishTime", None),
        changed_task("FinishTime", 1_790_000_000),
        changed_task("FinishTime", "soon"),
    ],
    ids=["down", "rejected", "nonsense", "under way", "seconds", "no time"],
)
def test_where_no_end_of_the_task_is_known_the_findings_are_read_again(fault):
    run = decide(image(scan=[{"status": "SUCCESS", "last": "5m ago"}]), faults=(fault,))

    assert ExitCode.PASSED is run.code, run.what
    assert "read again" in run.proof("settled").detail


def test_the_target_of_a_task_may_be_a_reference():
    named = changed_task("Target", f"registry.example.com/shop/api@sha256:{DIGEST}")

    run = decide(image(PEM, scan=[{"status": "SUCCESS", "last": "5m ago", "finished": "now"}], findings_after_calls=2), faults=(named,))

    assert ExitCode.BLOCKED is run.code, run.what


def test_nobody_asks_for_the_task_of_a_scan_of_yesterday():
    run = decide(image(scan=[{"status": "SUCCESS", "last": "2d ago"}]))

    assert (ExitCode.PASSED, 0) == (run.code, run.count(TASKS)), run.what


def test_a_task_that_ended_before_the_scan_was_seen_running_is_an_older_one():
    run = decide(image(scan=began("1m ago", finished="3s ago")), scan="never", seconds=25)

    assert ExitCode.INCOMPLETE is run.code, run.what


@pytest.mark.parametrize(("one", "other", "code"), [("1m ago", "1m ago", 0), ("1m ago", "50s ago", 20), (None, None, 20)])
def test_a_task_is_of_all_entries_that_ran_only_where_they_tell_of_one_scan(one, other, code):
    run = decide(image(scan=began(one)), twin(scan=began(other)), scan="never", seconds=25)

    assert code == run.code, run.what


@pytest.mark.parametrize(("last", "code"), [("2h ago", 20), ("10m ago", 20), (None, 20), ("9m ago", 0)])
def test_a_success_that_is_older_than_a_failure_is_none(last, code):
    stages = [{"status": "FAIL", "last": "10m ago", "for_calls": 3}, {"status": "SUCCESS", "last": last}]

    run = decide(image(scan=stages), account={"deny_actions": [ASK]}, seconds=30)

    assert code == run.code, run.what


def test_an_image_whose_listed_success_is_older_than_a_failure_is_scanned():
    stages = [{"status": "FAIL", "last": "10m ago", "for_calls": 1}, {"status": "SUCCESS"}]

    run = decide(image(PEM, found_before=[], scan=stages))

    assert (ExitCode.BLOCKED, 1) == (run.code, run.count(ASK)), run.what


def test_the_age_of_a_scan_is_that_at_which_its_findings_were_first_asked_for():
    late = image(PEM, scan=[{"status": "SUCCESS", "last": "90s ago"}], findings_after_calls=2)

    run = decide(late, faults=[{"action": IMAGES, "kind": "clock", "seconds": -120}])  # it is later when they have been read

    assert ExitCode.BLOCKED is run.code, run.what


def test_a_scan_that_ended_just_now_is_read_again_though_it_has_findings():
    keys = {"SensitiveFileList": [{"SensitiveFileKey": "sqlite", "Count": 1, "UnprocessedNum": 1}], "Success": True, "Code": "200"}
    first = body("DescribeImageSensitiveFileList", {**keys, "PageInfo": {"CurrentPage": 1, "PageSize": 100, "TotalCount": 1}}, times=2)
    fresh, old = (image(finding(), PEM, scan=[{"status": "SUCCESS", "last": last}]) for last in ("now", "2h ago"))

    run = decide(fresh, faults=[first], quirks={"key_optional": False})

    assert ExitCode.BLOCKED is run.code, run.what
    assert ExitCode.PASSED is decide(old, faults=[first], quirks={"key_optional": False}).code  # the fault hides what it should


# --- one digest with several entries ---


def twin(*findings, **fields):
    """Another entry of the image, under a tag and a uuid of its own."""
    return image(*findings, reference="registry.example.com/shop/api:latest", uuid="ab" * 16, **fields)


OLD = [{"status": "SUCCESS", "last": "3d ago"}]
JUST_NOW = [{"status": "SUCCESS", "last": "now"}]


@pytest.mark.parametrize("asked", ["tag", "uuid", "digest", "digest and uuid"])
def test_however_an_image_is_asked_for_the_findings_of_all_its_entries_count(asked):
    uuid = "cd" * 16 if "uuid" in asked else None
    reference = {"tag": NAME, "uuid": None}.get(asked, REFERENCE)

    run = decide(image(uuid="cd" * 16), twin(PEM), reference=reference, uuid=uuid, evidence={"require_digest": False})

    assert ExitCode.BLOCKED is run.code, run.what
    assert ("cd" * 16 if uuid else run.result.image.uuid, 2) == (run.result.image.uuid, run.figure("identity", "uuids"))


@pytest.mark.parametrize("scan", ["auto", "never"])
def test_a_scan_of_another_entry_that_runs_is_waited_for(scan):
    running = [{"status": "BIN_ANALYZER", "last": None, "for_calls": 3}, *JUST_NOW]

    run = decide(image(scan=OLD), twin(PEM, scan=running), scan=scan)

    assert (ExitCode.BLOCKED, 0) == (run.code, run.count(ASK)), run.what


@pytest.mark.parametrize(
    ("scan", "other", "code"),
    [
        ("never", {"status": "FAIL", "last": "1h ago"}, 20),
        ("never", {"status": "FAIL", "last": None}, 20),
        ("never", {"status": "SUCCESS", "last": "1h ago", "result": "TASK_NOT_SUPPORT_REGION"}, 20),
        ("auto", {"status": "FAIL", "last": "1h ago"}, 10),  # it has it scanned
        ("never", {"status": "FAIL", "last": "4d ago"}, 0),
        ("never", {"status": None}, 0),
    ],
)
def test_a_failure_of_another_entry_counts_unless_a_success_is_later(scan, other, code):
    run = decide(image(scan=OLD), twin(PEM, found_before=[], scan=[other]), scan=scan)

    assert code == run.code, run.what


@pytest.mark.parametrize(
    "entries",
    [
        (image(), twin(PEM, scan=JUST_NOW, findings_after_calls=2)),
        (image(PEM, scan=JUST_NOW, findings_after_calls=2), twin(finding())),
    ],
    ids=["the other is fresh", "the asked one is fresh"],
)
def test_the_youngest_scan_of_all_entries_says_whether_the_findings_have_settled(entries):
    run = decide(*entries)

    assert ExitCode.BLOCKED is run.code, run.what


NO_TIME = [{"status": "SUCCESS", "last": None}]


@pytest.mark.parametrize(("status", "code"), [(" success ", ExitCode.PASSED), ("\u017fucce\u017f\u017f", ExitCode.INCOMPLETE)])
def test_a_success_is_spelt_in_ascii(status, code):
    assert code is decide(image(scan=[{"status": status}]), scan="never", seconds=20).code


def test_a_success_without_a_time_hides_none_that_has_one():
    run = decide(image(scan=NO_TIME), twin(), scan="never", evidence={"max_scan_age": "1d"})

    assert (ExitCode.PASSED, pytest.approx(7200, abs=60)) == (run.code, run.figure("scanned", "age_s")), run.what


def test_a_success_without_a_time_may_be_a_fresh_one():
    run = decide(image(PEM, scan=NO_TIME, findings_after_calls=2), twin(finding()))

    assert ExitCode.BLOCKED is run.code, run.what
    assert run.figure("settled", "settle_s") == 0
    assert decide(image(), twin(scan=NEVER_SCANNED)).figure("settled", "scan_age_s") > 0


@pytest.mark.parametrize("last", [None, "3d ago"])
def test_an_entry_that_was_seen_running_has_not_ended_by_a_newer_success_of_another_one(last):
    running = [{"status": "START", "last": "3d ago", "for_calls": 3}, {"status": "SUCCESS", "last": last}]
    scanned = [{"status": "SUCCESS", "last": "2h ago", "for_calls": 3}, *JUST_NOW]

    run = decide(image(scan=scanned), twin(scan=running), scan="never", seconds=25)

    assert ExitCode.INCOMPLETE is run.code, run.what


def test_another_entry_that_is_scanned_while_the_findings_are_read_is_never_a_pass():
    run = decide(image(), twin(scan=[{"status": "SUCCESS", "for_calls": 1}, {"status": "BIN_ANALYZER"}]))

    assert ExitCode.INCOMPLETE is run.code
    assert "scanned again" in run.what


@pytest.mark.parametrize(
    ("then", "seconds"),
    [({"status": "FAIL", "last": "3d ago"}, 60), ({"status": "SUCCESS", "last": "3d ago"}, 30)],
    ids=["it fails, and writes no time", "a success of before is listed again"],
)
def test_another_entry_that_was_seen_running_has_not_ended_by_a_success_of_the_asked_one(then, seconds):
    running = {"status": "BIN_ANALYZER", "last": "3d ago", "for_calls": 3}

    run = decide(image(scan=[{"status": "SUCCESS", "last": "2h ago"}]), twin(PEM, scan=[running, then]), scan="never", seconds=seconds)

    assert ExitCode.INCOMPLETE is run.code, run.what


def test_a_time_in_the_future_is_no_later_one():
    stages = [{"status": "START", "last": "2099-01-01T00:00:00Z", "for_calls": 2}, {"status": "SUCCESS", "last": "2099-01-01T00:00:00Z"}]

    run = decide(image(scan=stages), scan="never", seconds=30)

    assert ExitCode.INCOMPLETE is run.code, run.what


def test_an_entry_that_appears_while_the_findings_are_read_is_never_a_pass():
    run = decide(image(), twin(PEM, listed_after={"calls": 1}))

    assert ExitCode.INCOMPLETE is run.code
    assert "listed anew" in run.what


def test_a_scan_while_the_findings_are_read_is_seen_by_its_time_in_whatever_units():
    seconds = {"action": IMAGES, "kind": "set_field", "where": "every_row", "field": "LastScanTime"}
    faults = [{**seconds, "value": 1_790_000_000, "times": 1}, {**seconds, "value": 1_790_000_060, "from_call": 2}]

    run = decide(image(), faults=faults)

    assert ExitCode.INCOMPLETE is run.code
    assert "scanned again" in run.what


@pytest.mark.parametrize(("uuid", "code"), [(None, ExitCode.INCOMPLETE), ("cd" * 16, ExitCode.PASSED)])
def test_an_image_of_that_name_that_appears_in_another_place_is_never_a_pass_unless_the_uuid_is_named(uuid, code):
    other = image(PEM, instance_id="cri-other", listed_after={"calls": 2 if uuid else 1})

    run = decide(image(uuid="cd" * 16), other, uuid=uuid)

    assert code is run.code, run.what
    assert uuid or "ambiguous" in run.what


@pytest.mark.parametrize("gone", [True, False])
def test_what_was_read_of_an_image_that_is_replaced_is_not_judged(gone):
    replaced = {"action": IMAGES, "kind": "set_field", "where": "every_row", "field": "Digest", "value": "ab" * 32, "from_call": 2}

    run = decide(image(PEM, delisted_after_calls=1 if gone else None), faults=[] if gone else [replaced])

    assert ExitCode.INCOMPLETE is run.code, run.what
    assert "was replaced while" in run.what
    assert not run.result.verdict.decisions


# --- scans that end otherwise ---


@pytest.mark.parametrize("status", ["FAIL", "TIMEOUT", "TIMOUT"])
@pytest.mark.parametrize("denied", [(), (TASKS,)])
def test_a_scan_that_fails_is_never_a_pass(status, denied):
    stages = [{"status": "START", "for_calls": 1}, {"status": status}]

    run = decide(pushed(scan_when_requested=stages), repositories=[REPOSITORY], account={"deny_actions": denied})

    assert ExitCode.INCOMPLETE is run.code
    assert status[:3] in run.what
    assert len(run.steps) < 8  # it does not wait for the end of the deadline


def test_a_failure_of_before_is_not_taken_for_one_of_the_new_scan():
    stages = [{"status": "FAIL", "for_calls": 1, "task_status": "START"}, {"status": "START", "for_calls": 1}, {"status": "SUCCESS"}]

    run = decide(image(PEM, scan=[{"status": "FAIL"}], scan_when_requested=[*stages[1:]]))

    assert ExitCode.BLOCKED is run.code, run.what


def test_a_scan_that_ends_in_a_region_that_is_not_supported_says_so():
    stages = [{"status": "START", "for_calls": 1}, {"status": "SUCCESS", "result": "TASK_NOT_SUPPORT_REGION"}]

    at_the_end = decide(pushed(scan_when_requested=stages), repositories=[REPOSITORY])
    at_once = decide(pushed(), repositories=[REPOSITORY], unsupported_regions=["cn-hangzhou"])

    for run in (at_the_end, at_once):
        assert ExitCode.INCOMPLETE is run.code
        assert "TASK_NOT_SUPPORT_REGION" in run.what
        assert "in a region that it supports" in run.what


def test_a_status_that_nobody_knows_is_waited_for_and_named():
    known = decide(pushed(scan_when_requested=[{"status": "A_NEW_WORD", "for_calls": 2}, {"status": "SUCCESS"}]), repositories=[REPOSITORY])
    unending = decide(pushed(scan_when_requested=[{"status": "A_NEW_WORD", "progress": 30}]), repositories=[REPOSITORY], seconds=60)

    assert ExitCode.PASSED is known.code, known.what
    assert ExitCode.INCOMPLETE is unending.code
    assert "A_NEW_WORD" in unending.what
    assert "(30 %)" in unending.what


# --- what moves meanwhile ---


@pytest.mark.parametrize("old_row", ["gone", "untagged"])
def test_a_tag_that_moves_during_the_wait_is_never_a_pass(old_row):
    moving = image(scan=NEVER_SCANNED, scan_when_requested=SIX_STATES, tag_moves={"after_calls": 4, "to": OTHER, "old_row": old_row})
    successor = image(digest=OTHER)

    run = decide(moving, successor, reference=NAME, evidence={"require_digest": False})

    assert ExitCode.INCOMPLETE is run.code
    assert "moved" in run.what


def test_a_tag_that_cannot_be_sent_back_is_left_out_of_the_call_that_only_advises():
    odd = {"action": IMAGES, "kind": "set_field", "where": "every_row", "field": "Tag", "value": "\ud800"}

    run = decide(image(PEM, scan=NEVER_SCANNED), faults=[odd])

    assert (ExitCode.BLOCKED, 1) == (run.code, run.count(PRECHECK)), run.what


def test_an_image_that_is_deleted_during_the_wait_is_never_a_pass():
    run = decide(image(scan=NEVER_SCANNED, scan_when_requested=SIX_STATES, delisted_after_calls=3))

    assert ExitCode.INCOMPLETE is run.code
    assert "replaced while the gate waited" in run.what


def test_an_image_that_is_named_by_tag_is_waited_for_and_pinned():
    run = decide(image(listed_after={"calls": 3}), reference=NAME, evidence={"require_digest": False}, repositories=[REPOSITORY])

    assert ExitCode.PASSED is run.code, run.what
    assert DIGEST in run.proof("identity").detail
    assert 0 == run.count(ASK)  # without a digest nothing can be asked for


# --- quota, slots, permissions ---


def test_a_quota_that_is_used_up_says_how_much_there_is():
    run = decide(pushed(listed_after={}), account={"scan_quota": {"capacity": 7, "used": 7}})

    assert ExitCode.INCOMPLETE is run.code
    assert "7 of 7 used" in run.what
    assert 0 == run.count(ASK)


@pytest.mark.parametrize("figures", ["by_name", "by_description"])
def test_an_image_that_is_paid_for_needs_no_quota(figures):
    paid = image(PEM, scan=NEVER_SCANNED, quota_paid=True)

    run = decide(paid, account={"scan_quota": {"capacity": 7, "used": 7}}, quirks={"precheck_figures": figures})

    assert ExitCode.BLOCKED is run.code, run.what


def test_a_request_beyond_the_quota_of_an_image_that_is_not_listed_says_so():
    run = decide(pushed(), repositories=[REPOSITORY], account={"scan_quota": {"capacity": 7, "used": 7}})

    assert ExitCode.INCOMPLETE is run.code
    assert "7 of 7 used" in run.what


@pytest.mark.parametrize("full", ["can_create", "beyond_quota"])
def test_a_slot_is_waited_for(full):
    account = {"scan_tasks": {"running": 10, "ends_after_calls": 3}}

    run = decide(image(PEM, scan=NEVER_SCANNED), account=account, quirks={"slots_full": full})

    assert ExitCode.BLOCKED is run.code, run.what
    assert "queue" in [step.stage for step in run.steps]


def test_a_slot_that_never_comes_is_named_with_where_the_time_went():
    run = decide(image(scan=NEVER_SCANNED), account={"scan_tasks": {"running": 10}}, seconds=150)

    assert ExitCode.INCOMPLETE is run.code
    assert "waiting for a slot" in run.what
    assert "went into: " in run.what
    assert {"resolve", "scan", "queue"} <= {part.split()[0] for part in run.what.partition("went into: ")[2].split(", ")}


def test_without_the_permission_to_ask_a_scan_of_the_accounts_own_is_waited_for():
    own = [{"status": None, "for_calls": 3}, {"status": "START", "for_calls": 1}, {"status": "SUCCESS", "last": "now"}]

    run = decide(image(PEM, scan=own), account={"deny_actions": [ASK]})

    assert ExitCode.BLOCKED is run.code, run.what
    assert f"yundun-sas:{ASK}" in run.proof("scanned").detail
    assert any(f"yundun-sas:{ASK}" in step.detail for step in run.steps)


def test_without_the_permission_to_ask_the_end_says_so():
    run = decide(image(scan=NEVER_SCANNED), account={"deny_actions": [ASK]}, seconds=60)

    assert ExitCode.INCOMPLETE is run.code
    assert f"lacks yundun-sas:{ASK}" in run.what


@pytest.mark.parametrize("listed_after", [{}, {"sync": True}])
def test_without_the_permission_to_ask_a_new_scan_cannot_be_wanted(listed_after):
    run = decide(pushed(listed_after=listed_after), scan="always", account={"deny_actions": [ASK]}, repositories=[REPOSITORY])

    assert ExitCode.UNAUTHORIZED is run.code
    assert f"yundun-sas:{ASK}" in run.what


@pytest.mark.parametrize("denied", [(QUOTA,), (PRECHECK,), (QUOTA, PRECHECK, TASKS), (REPOSITORIES,)])
def test_what_is_only_advice_may_be_refused(denied):
    run = decide(pushed(PEM, listed_after={}), account={"deny_actions": denied}, repositories=[REPOSITORY])

    assert ExitCode.BLOCKED is run.code, run.what
    assert all(action in run.proof("scanned").detail for action in denied if action != REPOSITORIES)


def test_without_the_permission_for_repositories_the_image_is_waited_for():
    own = image(PEM, listed_after={"calls": 3})

    run = decide(own, account={"deny_actions": [REPOSITORIES]})

    assert ExitCode.BLOCKED is run.code, run.what
    assert f"yundun-sas:{REPOSITORIES}" in run.proof("identity").detail


@pytest.mark.parametrize("repeat", ["result", "code", "sca_result"])
def test_a_scan_that_someone_else_began_a_moment_before_is_joined(repeat):
    # The listing has not noticed it when the gate asks: its row still tells of no scan.
    running = [{"status": "PRE_ANALYZER", "for_calls": 6}, {"status": "SUCCESS", "last": "now"}]
    unnoticed = [
        {"action": IMAGES, "kind": "set_field", "field": name, "absent": True, "times": 2} for name in ("ScaStatus", "LastScanTime")
    ]

    run = decide(image(PEM, scan=running), faults=unnoticed, quirks={"repeat_task": repeat})

    assert ExitCode.BLOCKED is run.code, run.what
    assert ("joined", 1) == (run.figure("scanned"), run.count(ASK))


def test_an_unknown_refusal_of_a_request_is_told_and_waited_out():
    fault = refused(ASK, "SomethingElse", 400)

    waited = decide(image(scan=NEVER_SCANNED), faults=[fault], seconds=60)
    wanted = decide(image(scan=NEVER_SCANNED), faults=[fault], scan="always")

    assert ExitCode.INCOMPLETE is waited.code
    assert "SomethingElse" in waited.what
    assert ExitCode.PROTOCOL is wanted.code


@pytest.mark.parametrize("data", [{}, {"TaskId": ""}, {"CanCreate": True}, {"Result": "SUCCESS"}])
def test_an_answer_that_does_not_say_what_became_of_the_request_is_not_trusted(data):
    run = decide(image(scan=NEVER_SCANNED), faults=[body(ASK, {"Data": data})])

    assert ExitCode.PROTOCOL is run.code, run.what


@pytest.mark.parametrize("action", [ASK, REPOSITORIES])
@pytest.mark.parametrize("text", ["{}", "[1]", "null", "<html>"])
def test_nonsense_from_a_call_of_the_flow_is_never_a_pass(action, text):
    run = decide(pushed(), repositories=[REPOSITORY], faults=[{"action": action, "kind": "body", "text": text}], seconds=120)

    assert run.code in {ExitCode.PROTOCOL, ExitCode.UNAVAILABLE}, run.what


BROKEN = [{"kind": "body", "text": text} for text in ("{}", "null", "<html>")] + [{"kind": "status", "status": 503}]


@pytest.mark.parametrize("fault", BROKEN, ids=str)
@pytest.mark.parametrize("action", [QUOTA, PRECHECK])
def test_what_is_only_advice_may_fail_and_is_not_asked_again(action, fault):
    running = {"running": 10, "ends_after_calls": 3}

    run = decide(
        pushed(PEM, listed_after={}), repositories=[REPOSITORY], faults=[{"action": action, **fault}], account={"scan_tasks": running}
    )

    assert ExitCode.BLOCKED is run.code, run.what
    assert f"{action} told nothing" in run.proof("scanned").detail
    assert run.count(ASK) > 1
    assert fault["kind"] == "status" or run.count(action) <= 3  # an answer that cannot be read is asked for three times


@pytest.mark.parametrize("fault", BROKEN, ids=str)
@pytest.mark.parametrize("answers", [0, 2])
def test_tasks_that_cannot_be_read_are_asked_for_again_and_decide_nothing(fault, answers):
    broken = {"action": TASKS, "from_call": answers + 1, **fault}

    run = decide(pushed(PEM, listed_after={}), repositories=[REPOSITORY], faults=[broken])

    assert (ExitCode.BLOCKED if answers == 0 else ExitCode.INCOMPLETE) is run.code, run.what
    assert run.count(TASKS) > answers + 1


def test_the_time_that_is_told_adds_up():
    def late(seconds):
        deadline = FastDeadline(seconds)
        deadline.sleep(20)
        return deadline

    run = decide(image(scan=NEVER_SCANNED), account={"scan_tasks": {"running": 10}}, seconds=60, deadline=late)

    told = run.what.partition("the time of ")[2].partition(" (")[0]
    total, _, parts = told.partition(" s went into: ")
    spent = {name: int(seconds) for name, seconds, _ in (part.split() for part in parts.split(", "))}
    assert spent["other"] >= 15
    assert abs(int(total) - sum(spent.values())) <= 5


# --- not listed ---


def test_a_repository_that_nobody_knows_ends_after_a_minute():
    run = decide(seconds=600)

    assert ExitCode.INCOMPLETE is run.code
    assert "does not know the repository" in run.what
    assert any("does not know the repository (yet)" in step.detail for step in run.steps)
    assert "went into" not in run.what  # it did not wait for the end of the deadline
    assert 0 == run.count(ASK)


def test_a_repository_that_is_known_a_little_later_is_asked_for():
    run = decide(pushed(PEM), repositories=[{**REPOSITORY, "known_after_calls": 2}])

    assert ExitCode.BLOCKED is run.code, run.what


def test_several_repositories_of_one_name_are_candidates():
    twins = [{**REPOSITORY, "instance_id": name, "endpoints": []} for name in ("cri-one", "cri-two")]

    run = decide(repositories=twins, seconds=600)

    assert ExitCode.INCOMPLETE is run.code
    assert "cri-one" in run.what
    assert "cri-two" in run.what
    assert 0 == run.count(ASK)


def test_several_repositories_are_told_apart_by_their_hosts():
    other = {**REPOSITORY, "reference": "other.example.com/shop/api", "instance_id": "cri-other"}

    run = decide(pushed(PEM), repositories=[REPOSITORY, other], quirks={"endpoints": "domains"})

    assert ExitCode.BLOCKED is run.code, run.what


def test_an_image_that_does_not_appear_is_named_with_its_state_and_where_the_time_went():
    run = decide(pushed(listed_after={"sync": True, "calls": 10_000}), repositories=[REPOSITORY], seconds=60)

    assert ExitCode.INCOMPLETE is run.code
    assert "does not list" in run.what
    assert "its scan is asked for" in run.what
    assert "went into: resolve" in run.what


def test_the_digest_of_an_index_names_the_option_for_it():
    run = decide(image(digest=OTHER), seconds=60)

    assert ExitCode.INCOMPLETE is run.code
    assert "--platform-digest" in run.what


def test_a_service_that_fails_while_the_image_is_waited_for_is_not_its_state():
    failing = refused(IMAGES, "ServiceUnavailable", 503, from_call=3)

    run = decide(pushed(), repositories=[REPOSITORY], faults=[failing], seconds=200)

    assert ExitCode.UNAVAILABLE is run.code, run.what


# --- registries ---


@pytest.mark.parametrize(
    "host",
    [
        "registry.cn-hangzhou.aliyuncs.com",
        "registry-vpc.cn-hangzhou.aliyuncs.com",
        "registry-internal.cn-hangzhou.aliyuncs.com",
        "REGISTRY.cn-hangzhou.aliyuncs.com:443",
        "crpi-example.cn-hangzhou.personal.cr.aliyuncs.com",
        "crpi-example-vpc.cn-hangzhou.personal.cr.aliyuncs.com",
    ],
)
def test_the_personal_edition_is_refused_before_any_call(host):
    run = decide(image(), reference=f"{host}/shop/api@sha256:{DIGEST}")

    assert ExitCode.INCOMPLETE is run.code
    assert "Personal Edition" in run.what
    assert not run.calls


@pytest.mark.parametrize("asked", ["", "-vpc", "-internal"])
@pytest.mark.parametrize("told", ["hosts", "domains"])
def test_an_enterprise_registry_is_known_by_each_of_its_addresses(asked, told):
    listed = pushed(PEM, reference="shop-registry.cn-hangzhou.cr.aliyuncs.com/shop/api:1.4.2")
    repository = {"reference": "shop-registry.cn-hangzhou.cr.aliyuncs.com/shop/api"}

    run = decide(
        listed,
        reference=f"shop-registry{asked}.cn-hangzhou.cr.aliyuncs.com/shop/api:1.4.2@sha256:{DIGEST}",
        repositories=[repository],
        quirks={"endpoints": told},
    )

    assert ExitCode.BLOCKED is run.code, run.what
    assert ("registry", "told") in run.proof("identity").figures


@pytest.mark.parametrize("name", ["registry.example.com:5000/shop/api", "registry.example.com/a/b/api", "registry.example.com/api"])
def test_ports_and_nested_paths_are_found(name):
    run = decide(pushed(PEM, reference=f"{name}:1.4.2"), reference=f"{name}@sha256:{DIGEST}", repositories=[{"reference": name}])

    assert ExitCode.BLOCKED is run.code, run.what


@pytest.mark.parametrize(("namespace", "repository"), [("a", "b/api"), ("N/A", "a/b/api"), ("a/b", "api")])
def test_a_nested_path_is_one_path_wherever_the_service_cuts_it(namespace, repository):
    cut = [
        {"action": IMAGES, "kind": "set_field", "where": "every_row", "field": name, "value": value}
        for name, value in (("RepoNamespace", namespace), ("RepoName", repository))
    ]

    run = decide(
        image(PEM, reference="registry.example.com/a/b/api:1.4.2"), reference=f"registry.example.com/a/b/api@sha256:{DIGEST}", faults=cut
    )
    other = decide(
        image(PEM, reference="registry.example.com/a/b/api:1.4.2"),
        reference=f"registry.example.com/b/api@sha256:{DIGEST}",
        faults=cut,
        scan="never",
    )

    assert ExitCode.BLOCKED is run.code, run.what
    assert ExitCode.INCOMPLETE is other.code


# --- criteria ---

DOCUMENTED = ["tag", "digest", "vulStatus", "alarmStatus", "riskStatus", "registryType"]


@pytest.mark.parametrize(
    ("quirks", "denied"),
    [
        ({"image_criteria": DOCUMENTED}, ()),
        ({"image_criteria": DOCUMENTED, "repo_criteria": ["instanceId"]}, ()),
        ({"image_criteria": ["tag"], "repo_criteria": ["instanceId"]}, ()),
        ({"image_criteria": ["repoName"]}, ()),
        ({"digest_prefix": True}, ()),
        ({}, ("DescribeImageCriteria",)),
        ({"image_criteria": DOCUMENTED}, ("DescribeImageRepoCriteria",)),
    ],
    ids=str,
)
def test_whatever_criteria_the_account_supports_the_image_is_found(quirks, denied):
    others = [image(reference=f"registry.example.com/shop/api:{n}", digest=f"{n:064x}") for n in range(30)]

    run = decide(*others, pushed(PEM), quirks=quirks, repositories=[REPOSITORY], account={"deny_actions": denied})

    assert ExitCode.BLOCKED is run.code, run.what
    assert 1 == run.count("DescribeImageCriteria")


# --- what is left of it ---


@pytest.mark.parametrize("cut", [False, True])
def test_the_saved_result_of_a_fresh_push_can_be_judged_again(gate, cut):
    path = "registry.example.com/a/b/api"
    name = {"action": IMAGES, "kind": "set_field", "where": "every_row", "field": "RepoName", "value": "b/api"}
    place = {**name, "field": "RepoNamespace", "value": "a"}
    fresh = pushed(reference=f"{path}:1", scan_when_requested=[{"status": "START", "for_calls": 1}, {"status": "SUCCESS"}])
    world = gate.world(fresh, repositories=[{"reference": path}], faults=[name, place] if cut else [])
    rules = gate.policy("version: 1\nname: p\ndeny: {keys: [pem]}\nevidence: {settle: 0s}\n")

    checked = gate.check(world, "-p", rules, reference=f"{path}@sha256:{DIGEST}")
    replayed = gate.run("replay", "reports/result.json", "-p", rules)

    assert (0, 0) == (checked.code, replayed.code), checked.err + replayed.err
    proof = next(proof for proof in checked.result["images"][0]["evidence"] if proof["name"] == "scanned")
    assert "yes" == proof["figures"]["requested"]


@pytest.mark.parametrize(("figure", "value"), [("requested", "no"), ("started_ms", 4_102_444_800_000), ("started_ms", 0)])
def test_the_saved_result_of_a_scan_that_has_ended_by_its_task_can_be_judged_again_unless_it_is_an_older_one(gate, figure, value):
    rules = gate.policy("version: 1\nname: p\ndeny: {keys: [pem]}\nevidence: {settle: 0s}\n")
    checked = gate.check(gate.world(image(scan=began("1m ago"))), "-p", rules)
    saved = gate.folder / "reports" / "result.json"
    document = json.loads(saved.read_text("utf-8"))
    next(proof for proof in document["images"][0]["evidence"] if proof["name"] == "scanned")["figures"][figure] = value
    (gate.folder / "other.json").write_text(json.dumps(document), "utf-8")

    replayed, other = gate.run("replay", saved, "-p", rules), gate.run("replay", "other.json", "-p", rules)

    assert (0, 0, 3) == (checked.code, replayed.code, other.code), checked.err + replayed.err + other.err
    assert "rests on the end of a task" in other.err


@pytest.mark.parametrize(("odd", "inferred", "code"), [(False, "error", 0), (True, "warn", 0), (True, "error", 20)])
def test_the_saved_result_of_an_image_with_several_entries_can_be_judged_again(gate, odd, inferred, code):
    rules = gate.policy(f"version: 1\nname: p\ndeny: {{keys: [pem]}}\nevidence: {{settle: 0s, inferred: {inferred}}}\n")
    both, more = finding("sqlite", "/both.db"), finding("npm_token", "/more")
    disagreeing = {"action": "DescribeImageSensitiveFileByKey", "kind": "total", "key": "", "image_uuid": "ab" * 16, "by": -1}

    checked = gate.check(gate.world(image(both), twin(both, more), faults=[disagreeing] if odd else []), "-p", rules)
    replayed = gate.run("replay", "reports/result.json", "-p", rules)

    assert (code, code) == (checked.code, replayed.code), checked.err + replayed.err
    proofs = {proof["name"]: proof for proof in checked.result["images"][0]["evidence"]}
    assert (3, 3, 1) == tuple(proofs["complete"]["figures"][name] for name in ("files_read", "files_total", "repeated"))
    assert ("failed" if odd else "held") == proofs["consistent"]["state"]
    assert ("uuid " + "ab" * 16 in proofs["consistent"]["detail"]) is odd


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"requested": "maybe"}, "whether the run asked"),
        ({"task": ""}, "do not fit"),
        ({"requested": "no"}, "do not fit"),
        ({"polls": -1}, "how long it waited"),
    ],
)
def test_a_saved_result_that_contradicts_itself_about_the_request_does_not_load(gate, changed, said):
    world = gate.world(pushed(listed_after={}, scan_when_requested=[{"status": "SUCCESS"}]))
    assert 0 == gate.check(world, "-p", gate.policy("version: 1\nname: p\ndeny: {keys: [pem]}\nevidence: {settle: 0s}\n")).code
    saved = gate.folder / "reports" / "result.json"
    document = json.loads(saved.read_text("utf-8"))
    next(proof for proof in document["images"][0]["evidence"] if proof["name"] == "scanned")["figures"].update(changed)
    saved.write_text(json.dumps(document), "utf-8")

    finished = gate.run("replay", "reports/result.json")

    assert 3 == finished.code
    assert said in finished.err


def test_a_saved_result_of_a_scan_that_was_waited_for_and_not_looked_at_again_does_not_load(gate):
    assert 0 == gate.check(gate.world(image()), "-p", gate.policy("version: 1\nname: p\ndeny: {keys: [pem]}\n")).code
    saved = gate.folder / "reports" / "result.json"
    saved.write_text(saved.read_text("utf-8").replace('"polls": 0', '"polls": 3'), "utf-8")

    finished = gate.run("replay", saved)

    assert 3 == finished.code
    assert "was not looked at again" in finished.err


def test_a_bare_refusal_says_both_things_that_it_can_mean():
    run = decide(image(), account={"deny_actions": ["*"]})

    assert ExitCode.UNAUTHORIZED is run.code
    assert "Grant the RAM action" in run.what
    assert "edition" in run.what


def test_a_finding_of_a_requested_scan_that_is_gone_at_the_second_look_still_counts():
    rows = {"SensitiveFileList": [], "PageInfo": {"CurrentPage": 1, "PageSize": 100, "TotalCount": 0}, "Success": True, "Code": "200"}
    gone = [body(action, rows, from_call=number) for action, number in (("DescribeImageSensitiveFileList", 3),)]
    few = {**rows, "PageInfo": {**rows["PageInfo"], "PageSize": 20}}
    gone.append(body("DescribeImageSensitiveFileByKey", few, key="", from_call=2))

    denied = decide(pushed(PEM, listed_after={}), faults=gone)
    counted = decide(pushed(finding(), listed_after={}), faults=gone)

    assert ExitCode.BLOCKED is denied.code, denied.what
    assert ExitCode.INCOMPLETE is counted.code, counted.what
    assert "gone" in counted.what
