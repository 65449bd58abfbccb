"""Which success counts, look by look: without a service, and without a clock."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from ci_gate.deadline import Deadline
from ci_gate.errors import IncompleteError, ProtocolError
from ci_gate.model import Entry, EvidenceRules, Image
from ci_gate.security_center import scans
from ci_gate.security_center.contracts import Answer
from ci_gate.security_center.scan_requests import NotYet, ScanMode, ScanRequest, Target, Task, _judge, not_behind
from ci_gate.security_center.scans import _Progress, _Scan
from ci_gate.security_center.waiting import Wait

ASKED_MS = 1_700_000_000_000
DIGEST = "5e" * 32
OURS = ScanRequest("ours", joined=False, at_ms=ASKED_MS)
JOINED = ScanRequest("", joined=True, at_ms=ASKED_MS)


def listed(status="", last_scan_ms=None, result=""):
    """An image as it is listed, under one uuid."""
    scan = {"scan_status": status, "scan_result": result, "last_scan_ms": last_scan_ms}
    return Image("u", DIGEST, entries=frozenset({Entry("u", **scan)}), **scan)


OLD = listed("SUCCESS", ASKED_MS - 3_600_000)
NEW = listed("SUCCESS", ASKED_MS + 60_000)
NO_TIME = listed("SUCCESS")
RUNNING = listed("PRE_ANALYZER")
UNSCANNED = listed()
DONE = (Task("ours", "SUCCESS"),)


class _Desk:
    mode = ScanMode.AUTO
    notes = ()

    def close(self, request):
        pass


class _Images:
    class transport:  # noqa: N801 - stands for an attribute
        server_ms = ASKED_MS + 90_000


def scan(image, request=OURS, *, before=OLD, tasks=(), seen_running=False, rules=None):
    wait = Wait("shop/api", lambda _: None, Deadline(10))
    running = frozenset({"u"} if seen_running else ())
    return _Scan(_Images(), _Desk(), rules or EvidenceRules(), wait, image, request, before, tasks, running)


def looks(one, number=4):
    return [one._progress() for _ in range(number)]


@pytest.mark.parametrize(
    ("image", "before", "tasks"),
    [
        (OLD, OLD, ()),
        (OLD, None, ()),  # listed for the first time, with a scan of before the request
        (NO_TIME, OLD, ()),
        (NO_TIME, None, ()),
        (NO_TIME, UNSCANNED, ()),
        (OLD, OLD, (Task("other", "SUCCESS"),)),
        (OLD, OLD, (Task("", "SUCCESS"),)),
        (NEW, OLD, (Task("ours", "PROCESSING"),)),
        (NEW, OLD, (Task("ours", "PROCESSING"), Task("ours", "SUCCESS"))),
        (NEW, NEW, ()),
        (RUNNING, OLD, DONE),
    ],
)
def test_a_success_that_may_not_be_that_of_the_request_is_never_taken(image, before, tasks):
    assert _Progress.DONE not in looks(scan(image, before=before, tasks=tasks))


@pytest.mark.parametrize("before", [OLD, UNSCANNED, None])
def test_a_later_success_is_that_of_the_request(before):
    assert _Progress.DONE is looks(scan(NEW, before=before))[0]
    assert _Progress.DONE is looks(scan(NEW, before=before, tasks=DONE))[0]


@pytest.mark.parametrize("image", [NEW, NO_TIME, OLD])
@pytest.mark.parametrize("before", [OLD, None])
def test_without_the_servers_time_only_the_task_itself_counts(image, before):
    timeless = ScanRequest("ours", joined=False, at_ms=None)

    assert _Progress.DONE not in looks(scan(image, timeless, before=before))
    assert (image is not before) == (_Progress.DONE is looks(scan(image, timeless, before=before, tasks=DONE))[-1])


def test_a_task_that_succeeded_gives_the_listing_a_moment_to_follow():
    assert [_Progress.WAITING, _Progress.WAITING, _Progress.DONE] == looks(scan(NO_TIME, tasks=DONE), 3)


@pytest.mark.parametrize("before", [OLD, NO_TIME, None])
def test_a_listing_that_stays_with_an_older_success_is_not_believed_whatever_the_task_says(before):
    assert _Progress.DONE not in looks(scan(OLD, before=before, tasks=DONE), 9)


@pytest.mark.parametrize(
    ("image", "before", "seen_running", "done"),
    [
        (OLD, OLD, False, False),
        (OLD, OLD, True, False),  # it ran, and fell back to what it was
        (NO_TIME, OLD, True, False),
        (NEW, OLD, False, True),
        (NO_TIME, OLD, False, False),
        (OLD, UNSCANNED, False, False),  # another answer did not tell of it
        (OLD, None, False, False),
        (NEW, None, False, True),
    ],
)
def test_a_scan_that_was_joined_ended_after_the_request(image, before, seen_running, done):
    assert done is (_Progress.DONE in looks(scan(image, JOINED, before=before, seen_running=seen_running)))


@pytest.mark.parametrize(("own", "done"), [(OLD, False), (NEW, True)])
def test_a_scan_that_was_asked_for_has_not_ended_by_that_of_another_entry(own, done):
    other = Entry("v", scan_status="SUCCESS", last_scan_ms=NEW.last_scan_ms)

    assert done is (_Progress.DONE in looks(scan(replace(NEW, entries=own.entries | {other}), before=OLD)))


@pytest.mark.parametrize("tasks", [(), (Task("t", "SUCCESS", ASKED_MS + 80_000),)])
def test_an_entry_that_was_seen_running_has_not_ended_by_having_no_state(tasks):
    one = scan(replace(NEW, entries=UNSCANNED.entries | {Entry("v", scan_status="SUCCESS", last_scan_ms=NEW.last_scan_ms)}), None)
    one.running, one.since_ms, one.ran_ms, one.tasks = frozenset({"u", "v"}), ASKED_MS, ASKED_MS + 70_000, tasks

    assert _Progress.DONE not in looks(one)


@pytest.mark.parametrize("status", ["FAIL", "TIMEOUT", "TIMOUT", "fail"])
def test_a_failure_of_before_is_not_that_of_the_request(status):
    stale = listed(status, ASKED_MS - 3_600_000)

    assert {_Progress.WAITING} == set(looks(scan(stale, before=stale)))
    assert _Progress.FAILED is looks(scan(stale, before=OLD))[0]
    assert _Progress.FAILED is looks(scan(stale, before=stale, seen_running=True))[0]
    assert _Progress.FAILED is looks(scan(stale, before=stale, tasks=(Task("ours", status.upper()),)))[0]


def test_a_success_with_a_fatal_result_is_a_failure_however_it_is_proven():
    fatal = listed("SUCCESS", OLD.last_scan_ms, "TASK_NOT_SUPPORT_REGION")

    assert _Progress.FAILED is looks(scan(fatal, before=OLD))[0]
    assert _Progress.FAILED is looks(scan(replace(fatal, last_scan_ms=NEW.last_scan_ms), before=fatal, tasks=DONE))[-1]


def test_a_new_scan_that_is_too_old_again_is_not_taken():
    assert _Progress.DONE not in looks(scan(OLD, tasks=DONE, rules=EvidenceRules(max_scan_age_s=60.0)))


def test_what_was_seen_running_before_a_request_says_nothing_of_a_scan_that_is_joined_later(monkeypatch):
    one = scan(RUNNING, None, before=None, rules=EvidenceRules(max_scan_age_s=60.0))
    one._progress()
    assert one.running
    sight = scans.Sight(OLD, {})
    one.image = OLD
    monkeypatch.setattr(_Desk, "ask", lambda *_: JOINED, raising=False)

    one._ask(sight)

    assert _Progress.DONE not in looks(one)


def test_what_must_be_no_older_than_now_is_not_as_old_as_a_servers_clock_that_is_far_behind(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: ASKED_MS / 1000)

    assert [ASKED_MS + 60_000, ASKED_MS - 300_000, ASKED_MS - 300_000] == [
        not_behind(ASKED_MS + off) for off in (60_000, -300_000, -840_000)
    ]
    assert not_behind(None) is None


def _answer(**data):
    return Answer("PublicSyncAndCreateImageScanTask", (data,), None, "R-1", ASKED_MS)


def test_the_answer_to_a_request_is_judged_by_what_it_says():
    assert ScanRequest("t", joined=False, at_ms=ASKED_MS) == _judge(_answer(TaskId="t", CanCreate=False, Result="SUCCESS"))
    assert ScanRequest("", joined=True, at_ms=ASKED_MS) == _judge(_answer(Result="forbid_create_repeat_task", CanCreate=True))
    assert isinstance(_judge(_answer(CanCreate="false")), NotYet)


@pytest.mark.parametrize(
    "data", [{"Result": "TASK_NOT_SUPPORT_REGION", "TaskId": "t"}, {"Status": "FAIL", "TaskId": "t"}, {"Status": "TIMOUT"}]
)
def test_a_request_that_fails_at_once_says_so(data):
    with pytest.raises(IncompleteError):
        _judge(_answer(**data))


@pytest.mark.parametrize("data", [{}, {"TaskId": " "}, {"CanCreate": True}, {"Result": "A_NEW_WORD"}])
def test_a_request_of_which_nobody_says_what_became_is_not_trusted(data):
    with pytest.raises(ProtocolError):
        _judge(_answer(**data))


def test_a_request_repeats_the_services_own_words():
    row = {"RegistryType": "acr", "RepoNamespace": "N/A", "RepoName": "a,b", "ImageCreate": "1600069948849", "RegionId": None}
    target = Target(row, DIGEST, "1.0")

    assert '"repoNamespace":"N/A"' in target.as_parameter(7)
    assert '"createTime":1600069948849,"updateTime":1600069948849' in target.as_parameter(7)
    assert '"createTime":7,"updateTime":7' in Target({}, DIGEST, "").as_parameter(7)
    assert {"RegistryTypes": "acr", "RepoNamespaces": "N/A", "Digests": DIGEST, "Tags": "1.0"} == target.as_filter()
