"""Scans that are requested: what they cost, why they are turned down, how they go on, and what is known of their tasks. Over HTTP."""

from __future__ import annotations

import json
import time
import zlib

import pytest

from ci_gate.emulator.calls import answer
from ci_gate.emulator.state import State
from ci_gate.emulator.world import parse_world

SYNC, CREATE, PRECHECK = "PublicSyncAndCreateImageScanTask", "PublicCreateImageScanTask", "PublicPreCheckImageScanTask"
LATEST, QUOTA = "DescribeImageLatestScanTask", "DescribeImageScanAuthCount"
DIGEST, OTHER, INDEX = "a" * 64, "b" * 64, "c" * 64
SIX = ["INIT", "MESSAGE_SEND", "START_RUN", "DOWNLOAD", "PRE_ANALYZER", "BIN_ANALYZER"]
PLACE = {
    "registryType": "acr",
    "repoId": f"crr-{zlib.crc32(b'cri-example000000/shop/api'):016x}",
    "instanceId": "cri-example000000",
    "repoNamespace": "shop",
    "regionId": "cn-hangzhou",
    "repoName": "api",
}


def image(**fields):
    return {"reference": "registry.example.com/shop/api:1", "digest": DIGEST, "uuid": "u1", **fields}


def never_scanned(**fields):
    return image(scan=[{"status": None}], **fields)


def wanted(*digests, **fields):
    """The parameter that names images to synchronise and scan."""
    return json.dumps(
        [{**PLACE, "digest": digest, "tag": "1", "createTime": 1, "updateTime": 1, **fields} for digest in digests or [DIGEST]]
    )


def stages(*statuses, **last):
    return [*({"status": status, "progress": 10, "for_calls": 1} for status in statuses), {"status": "SUCCESS", **last}]


# --- the request ---


def test_a_scan_goes_through_its_stages_call_by_call_and_ends_with_a_time_and_findings(start):
    found = [{"key": "pem", "path": "/k"}]
    service = start(images=[never_scanned(scan_when_requested=stages(*SIX), findings=found)])
    before = service.rows()[0]
    began_ms = time.time() * 1000
    task = service.ask(SYNC, Images=wanted())["Data"]
    seen = [(row["ScaStatus"], row.get("LastScanTime"), service.paths("u1")) for row in (service.rows()[0] for _ in SIX)]
    (end,) = service.rows()

    assert "ScaStatus" not in before
    assert (len(task["TaskId"]), task["Status"], task["Result"], task["CanCreate"], task["TotalCount"]) == (32, "INIT", "SUCCESS", True, 1)
    assert seen == [(status, None, []) for status in SIX]
    assert (end["ScaStatus"], service.paths("u1")) == ("SUCCESS", ["/k"])
    assert began_ms - 1 <= end["LastScanTime"] <= time.time() * 1000 + 1


def test_an_older_scan_shows_until_the_requested_one_has_succeeded(start):
    fields = {"found_before": [{"key": "pem", "path": "/old"}], "findings": [{"key": "pem", "path": "/new"}], "findings_after_calls": 1}
    service = start(images=[image(scan_when_requested=stages("START"), **fields)])
    old = service.rows()[0]["LastScanTime"]
    before = service.paths("u1"), service.paths("u1")
    service.ask(SYNC, Images=wanted())
    running = service.rows()[0]["LastScanTime"], service.paths("u1")
    ended = service.rows()[0]["LastScanTime"]

    assert before == ([], ["/old"])
    assert running == (old, ["/old"])
    assert ended > old
    assert [service.paths("u1") for _ in range(2)] == [["/old"], ["/new"]]


@pytest.mark.parametrize("status", ["FAIL", "TIMEOUT"])
def test_a_requested_scan_may_fail_and_leaves_the_findings_as_they_were(start, status):
    found = {"found_before": [{"key": "pem", "path": "/old"}], "findings": [{"key": "pem", "path": "/new"}]}
    service = start(images=[image(scan_when_requested=[{"status": status, "progress": 0}], **found)])
    old = service.rows()[0]["LastScanTime"]
    service.ask(SYNC, Images=wanted())
    (row,) = service.rows()

    assert (row["ScaStatus"], service.paths("u1")) == (status, ["/old"])
    assert row["LastScanTime"] > old


def test_a_scan_moves_on_by_time_and_its_end_is_told_to_the_moment():
    now = [0.0]
    world = {
        "images": [never_scanned(scan_when_requested=[{"status": "START", "for_seconds": 5}, {"status": "DOWNLOAD", "for_seconds": 2}, {}])]
    }
    state = State(parse_world(json.dumps(world).encode()), lambda: now[0], 1_000_000)
    answer(state, SYNC, [("Images", wanted())], (), "R-1")
    seen = []
    for now[0] in (4.9, 5.0, 9.0):
        (row,) = answer(state, "DescribeImageInstances", (), (), "R-1")["ImageInstanceList"]
        seen.append((row["ScaStatus"], row.get("LastScanTime")))

    assert seen == [("START", None), ("DOWNLOAD", None), ("SUCCESS", 1_007_000)]


def test_a_request_for_an_image_that_there_is_not_has_nothing_to_scan(start):
    service = start(images=[image()])

    assert service.refused(SYNC, Images=wanted(OTHER)) == (400, "TaskNumEmpty")
    assert service.refused(SYNC, Images=wanted(repoId="crr-0")) == (400, "TaskNumEmpty")
    assert service.refused(CREATE, Digests=OTHER) == (400, "TaskNumEmpty")


def test_an_index_stands_for_its_platforms(start):
    service = start(images=[image(index=INDEX), image(index=INDEX, digest=OTHER, uuid="u2")])

    assert service.ask(SYNC, Images=wanted(INDEX))["Data"]["TotalCount"] == 2


@pytest.mark.parametrize("field", ["digest", "Digest"])
def test_the_fields_of_images_may_be_spelled_both_ways_of_the_documents(start, field):
    listed = [{**{name: value for name, value in one.items() if name != "digest"}, field: DIGEST} for one in json.loads(wanted())]

    assert "TaskId" in start(images=[image()]).ask(SYNC, Images=json.dumps(listed))["Data"]


@pytest.mark.parametrize(
    "images",
    [
        "",
        "x",
        "{}",
        "[]",
        "[1]",
        wanted("sha256:" + DIGEST),
        wanted(colour="red"),
        wanted(repoId=""),
        wanted(tag=1),
        wanted(createTime="1"),
        wanted(registryType="CI/CD"),
        json.dumps([{"digest": DIGEST}]),
    ],
)
def test_images_are_read_strictly(start, images):
    status, code = start(images=[image()]).refused(SYNC, Images=images)

    assert (status, code) in {(400, "InvalidParameter"), (400, "MissingImages")}


@pytest.mark.parametrize(
    ("action", "given"),
    [(CREATE, {"Digests": "a,,b"}), (CREATE, {"RegistryTypes": "docker"}), (PRECHECK, {"Tags": ""}), (QUOTA, {"Lang": "en"}), (LATEST, {})],
)
def test_parameters_of_scan_calls_are_read_strictly(start, action, given):
    assert start(images=[image()]).refused(action, **given)[0] == 400


def test_images_are_chosen_by_all_filters_together(start):
    service = start(images=[image(also_tagged=["latest"]), image(digest=OTHER, reference="registry.example.com/shop/web:1", uuid="u2")])
    choices = [{}, {"RepoNames": "api,web"}, {"RepoNames": "api"}, {"Tags": "latest"}, {"RepoNames": "web", "Digests": DIGEST}]

    assert [service.ask(PRECHECK, **one)["Data"]["ScanImageCount"] for one in choices] == [2, 2, 1, 1, 0]
    assert service.ask(CREATE, RepoNames="api", Digests=DIGEST, RegistryTypes="acr", RegionIds="cn-hangzhou")["Data"]["TotalCount"] == 1


# --- quota and slots ---


def test_a_request_uses_one_of_the_quota_for_each_image_once(start):
    service = start(
        images=[never_scanned(), image(digest=OTHER, uuid="u2", quota_paid=True)], account={"scan_quota": {"capacity": 3, "used": 2}}
    )
    figures = service.ask(PRECHECK)["Data"]
    service.ask(SYNC, Images=wanted(DIGEST, OTHER))

    assert figures == {"NeedAuthCount": 1, "ScanImageCount": 2}
    assert service.ask(QUOTA)["ImageScan"] == {"ImageScanCapacity": 3, "ScanCount": 3, "InstanceId": "sas-example000000"}
    assert service.ask(PRECHECK)["Data"] == {"NeedAuthCount": 0, "ScanImageCount": 2}


def test_the_figures_of_the_check_may_mean_the_reverse(start):
    service = start(images=[image(quota_paid=True)], quirks={"precheck_figures": "by_description"})

    assert service.ask(PRECHECK)["Data"] == {"NeedAuthCount": 1, "ScanImageCount": 0}


def test_a_request_beyond_the_quota_is_refused_and_changes_nothing(start):
    service = start(images=[never_scanned()], account={"scan_quota": {"capacity": 2, "used": 2}})

    assert service.refused(SYNC, Images=wanted()) == (400, "BeyondQuata")
    assert service.ask(QUOTA)["ImageScan"]["ScanCount"] == 2
    assert "ScaStatus" not in service.rows()[0]


def test_tasks_of_others_hold_their_slots_for_some_requests(start):
    service = start(images=[never_scanned()], account={"scan_tasks": {"running": 10, "ends_after_calls": 2}})
    answers = [service.ask(SYNC, Images=wanted())["Data"] for _ in range(3)]

    assert answers[:2] == [{"CanCreate": False}] * 2
    assert ("TaskId" in answers[2], answers[2]["CanCreate"]) == (True, True)


def test_tasks_of_others_hold_their_slots_for_some_time():
    now = [0.0]
    world = {"images": [never_scanned()], "account": {"scan_tasks": {"limit": 1, "running": 1, "ends_after_seconds": 3}}}
    state = State(parse_world(json.dumps(world).encode()), lambda: now[0])
    early = answer(state, SYNC, [("Images", wanted())], (), "R-1")["Data"]
    now[0] = 3.0

    assert early == {"CanCreate": False}
    assert "TaskId" in answer(state, SYNC, [("Images", wanted())], (), "R-1")["Data"]


def test_want_of_a_slot_may_look_like_want_of_quota(start):
    service = start(images=[image()], account={"scan_tasks": {"running": 10}}, quirks={"slots_full": "beyond_quota"})

    assert service.refused(SYNC, Images=wanted()) == (400, "BeyondQuata")


def test_own_tasks_hold_a_slot_until_they_end(start):
    two = [never_scanned(), image(digest=OTHER, uuid="u2")]
    service = start(images=two, account={"scan_tasks": {"limit": 1}})
    first, full = (service.ask(SYNC, Images=wanted(digest))["Data"] for digest in (DIGEST, OTHER))
    while service.rows()[0]["ScaStatus"] != "SUCCESS":
        pass

    assert ("TaskId" in first, first["CanCreate"], full) == (True, False, {"CanCreate": False})
    assert "TaskId" in service.ask(SYNC, Images=wanted(OTHER))["Data"]


# --- what cannot be scanned ---


def test_a_scan_that_runs_is_not_started_again(start):
    service = start(images=[image(scan=stages("START"))], account={"scan_quota": {"capacity": 0, "used": 0}})
    data = service.ask(SYNC, Images=wanted())["Data"]

    assert ("TaskId" in data, data["Result"]) == (False, "forbid_create_repeat_task")


def test_a_repeated_request_may_be_refused_by_its_code(start):
    service = start(images=[never_scanned()], quirks={"repeat_task": "code"})
    service.ask(SYNC, Images=wanted())

    assert service.refused(SYNC, Images=wanted()) == (400, "forbid_create_repeat_task")


def test_a_repeated_request_may_show_in_the_image_only(start):
    service = start(images=[image(scan=[{"status": "START", "for_calls": 1}, {}])], quirks={"repeat_task": "sca_result"})
    data = service.ask(SYNC, Images=wanted())["Data"]
    running, ended = (service.rows()[0] for _ in range(2))

    assert data["TaskId"] != service.ask(LATEST, Digest=DIGEST)["Task"][0]["TaskId"]
    assert (running["ScaResult"], ended["ScaStatus"], ended.get("ScaResult")) == ("forbid_create_repeat_task", "SUCCESS", None)


def test_an_unsupported_region_is_a_result(start):
    service = start(images=[never_scanned()], unsupported_regions=["cn-hangzhou"])
    data = service.ask(SYNC, Images=wanted())["Data"]

    assert ("TaskId" in data, data["Status"], data["Result"]) == (False, "FAIL", "TASK_NOT_SUPPORT_REGION")
    assert service.ask(LATEST, Digest=DIGEST)["Task"] == []


@pytest.mark.parametrize("action", [LATEST, QUOTA, PRECHECK, CREATE, SYNC])
def test_the_basic_edition_has_no_scan_calls(start, action):
    service = start(images=[image()], account={"edition": "basic"})

    assert service.refused(action) == (403, "NoPermission")
    assert len(service.rows()) == 1


def test_scans_find_nothing_where_the_account_does_not_look_for_sensitive_files(start):
    service = start(images=[image(findings=[{"key": "pem", "path": "/k"}])], account={"sensitive_scan": "off"})

    assert (service.rows()[0]["ScaStatus"], service.paths("u1")) == ("SUCCESS", [])


# --- the latest task ---


def test_the_latest_task_is_told_with_its_times_and_words_of_its_own(start):
    service = start(images=[never_scanned(scan_when_requested=stages(*SIX))])
    never = service.ask(LATEST, Digest=DIGEST)["Task"]
    task_id = service.ask(SYNC, Images=wanted())["Data"]["TaskId"]
    tasks = []
    for _ in (*SIX, "SUCCESS"):
        service.rows()
        tasks.extend(service.ask(LATEST, Digest=DIGEST)["Task"])

    assert never == []
    assert {(task["TaskId"], task["Target"], task["Source"], task["TaskType"]) for task in tasks} == {
        (task_id, DIGEST, "openapi", "IMAGE_SCAN")
    }
    assert [task["Status"] for task in tasks] == [
        "START",
        "MESSAGE_SEND",
        "PRE_ANALYZER",
        "PRE_ANALYZER",
        "PRE_ANALYZER",
        "PROCESSING",
        "SUCCESS",
    ]
    assert ["FinishTime" in task for task in tasks] == [False] * 6 + [True]
    assert tasks[-1]["StartTime"] <= tasks[-1]["FinishTime"] == service.rows()[0]["LastScanTime"]


def test_a_task_that_was_not_requested_here_is_known_too(start):
    service = start(images=[image(scan=[{"status": "SUCCESS", "last": "2026-11-24T08:00:00Z"}])])
    (task,) = service.ask(LATEST, Digest=DIGEST)["Task"]

    assert (task["Source"], task["FinishTime"], task["Modified"]) == ("console_batch", 1_795_507_200_000, "2026-11-24 08:00:00")
    assert service.ask(LATEST, Digest=OTHER)["Task"] == []


@pytest.mark.parametrize(
    ("stage", "word"), [({"status": "TIMEOUT"}, "TIMOUT"), ({"status": "TIMEOUT", "task_status": "TIMEOUT"}, "TIMEOUT")]
)
def test_a_timeout_has_another_word_as_a_task(start, stage, word):
    service = start(images=[image(scan=[stage])])

    assert (service.rows()[0]["ScaStatus"], service.ask(LATEST, Digest=DIGEST)["Task"][0]["Status"]) == ("TIMEOUT", word)


def test_digests_of_tasks_have_the_prefix_where_all_have(start):
    service = start(images=[image()], quirks={"digest_prefix": True})

    assert [service.ask(LATEST, Digest=one)["Task"][0]["Target"] for one in (DIGEST, "sha256:" + DIGEST)] == ["sha256:" + DIGEST] * 2


def test_no_task_is_known_of_an_image_that_is_not_known_yet(start):
    assert start(images=[image(listed_after_calls=1)]).ask(LATEST, Digest=DIGEST)["Task"] == []


# --- faults ---


def test_faults_hit_the_calls_of_scans(start):
    faults = [
        {"kind": "status", "action": SYNC, "status": 400, "code": "TaskNumEmpty", "times": 1},
        {"kind": "set_field", "action": SYNC, "field": "TaskId", "absent": True, "from_call": 2},
        {"kind": "set_field", "action": LATEST, "field": "Status", "value": "ODD"},
        {"kind": "drop_field", "action": QUOTA, "field": "ImageScan.ScanCount"},
    ]
    service = start(images=[image()], faults=faults)

    assert service.refused(SYNC, Images=wanted()) == (400, "TaskNumEmpty")
    assert "TaskId" not in service.ask(SYNC, Images=wanted())["Data"]
    assert service.ask(LATEST, Digest=DIGEST)["Task"][0]["Status"] == "ODD"
    assert "ScanCount" not in service.ask(QUOTA)["ImageScan"]


def test_a_call_without_permission_starts_nothing(start):
    service = start(images=[image()], account={"deny_actions": [SYNC]})

    assert service.refused(SYNC, Images=wanted()) == (403, "NoPermission")
    assert service.ask(LATEST, Digest=DIGEST)["Task"][0]["Source"] == "console_batch"
