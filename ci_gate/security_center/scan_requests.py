"""Having an image scanned: the quota, the request, its answers, and how many scans of this run may be under way at once."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from ci_gate.errors import GateError, IncompleteError, ProtocolError, RefusedError, UnauthorizedError, UnavailableError
from ci_gate.model import normalise_digest
from ci_gate.security_center.contracts import REPORT_IT, is_word, to_bool, to_int, to_moment, word

if TYPE_CHECKING:
    from ci_gate.deadline import Deadline
    from ci_gate.security_center.contracts import Answer, JsonObject
    from ci_gate.security_center.transport import Transport
    from ci_gate.security_center.waiting import Wait

REQUEST = "PublicSyncAndCreateImageScanTask"
TASKS = "DescribeImageLatestScanTask"
_QUOTA, _PRECHECK = "DescribeImageScanAuthCount", "PublicPreCheckImageScanTask"
MAX_AT_ONCE = 10  # tasks in an account, by the documents
FAILED = frozenset({"FAIL", "TIMEOUT", "TIMOUT"})  # TIMOUT: the documents of the task spell it so
JOINED = "FORBID_CREATE_REPEAT_TASK"
_NO_QUOTA = frozenset({"BEYONDQUATA", "BEYONDQUOTA"})  # the first is how the service spells it
_NOTHING_YET = "TASKNUMEMPTY"
MAX_SKEW_S = 300  # by which clocks may differ in usual runs
_PATIENCE_S = 10.0  # for a call that only advises
_SLICE_S = 0.25
_ALL_SLOTS = f"{MAX_AT_ONCE} scans that this run asked for are under way"
HOW_TO_SCAN = "Look at the scan in the console of Security Center, and scan the image again."
UNSUPPORTED = {
    "TASK_NOT_SUPPORT_REGION": "Security Center cannot scan registries in this region: push to a registry in a region that it supports.",
    "TASK_NOT_EXISTS": "The scan task is gone: scan the image again.",
}
REFUSALS = frozenset({JOINED, _NOTHING_YET, *_NO_QUOTA, *UNSUPPORTED})  # of what a request asks for: whoever asks may ask
# The service's names of what a request says of an image, and their names in the listings.
_COORDINATES = {
    "registryType": "RegistryType",
    "repoId": "RepoId",
    "instanceId": "InstanceId",
    "repoNamespace": "RepoNamespace",
    "regionId": "RegionId",
    "repoName": "RepoName",
}


class ScanMode(StrEnum):
    """When the gate has an image scanned: where it needs a scan, never, or whatever scan it has."""

    AUTO = "auto"
    NEVER = "never"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Target:
    """An image as a request for its scan names it. ``row`` is what a listing says of it or of its repository; ``digest`` is bare hex."""

    row: JsonObject
    digest: str
    tag: str

    def as_parameter(self, now_ms: int) -> str:
        """Return the parameter ``Images``: JSON in the spelling of the documents' example. ``now_ms`` stands for times not known."""
        told = {name: self.row.get(field) or "" for name, field in _COORDINATES.items()}
        created = to_int(self.row.get("ImageCreate")) or now_ms
        times = {"createTime": created, "updateTime": to_int(self.row.get("ImageUpdate")) or created}
        return json.dumps([{**told, "digest": self.digest, "tag": self.tag, **times}], separators=(",", ":"))

    def as_filter(self) -> dict[str, object]:
        """Return the parameters of the check before: one of each, as lists of one. A list knows no comma in a value, HTTP no surrogate."""
        plural = {field: f"{field}s" for field in _COORDINATES.values()}
        told = {plural[field]: str(self.row.get(field) or "") for field in _COORDINATES.values()} | {
            "Digests": self.digest,
            "Tags": self.tag,
        }
        return {name: value for name, value in told.items() if is_word(value) and "," not in value}


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """A scan that was asked for. ``task`` is the service's id of it, ``joined`` that someone else's scan is under way instead.

    ``at_ms`` is the server's time of the request (:func:`not_behind`), milliseconds since the epoch, where it is known.
    """

    task: str
    joined: bool
    at_ms: int | None


@dataclass(frozen=True, slots=True)
class NotYet:
    """No scan could be asked for now: why not, and whether it is for lack of a slot."""

    why: str
    busy: bool


@dataclass(frozen=True, slots=True)
class Lacking:
    """This run cannot ask for scans at all: why not."""

    why: str


@dataclass(frozen=True, slots=True)
class Task:
    """The latest scan task of an image. ``status`` is in upper case, ``target`` the digest that it is of: bare hex, or empty.

    ``started_ms`` and ``finished_ms`` are when it began and ended, milliseconds since the epoch, where the service tells.
    """

    id: str
    status: str
    target: str = ""
    started_ms: int | None = None
    finished_ms: int | None = None


class ScanDesk:
    """Where scans are asked for, for all images of a run: at most ten at once. Safe to use from several threads."""

    def __init__(self, transport: Transport, mode: ScanMode) -> None:
        self.mode = mode
        self._transport = transport
        self._slots = threading.Semaphore(MAX_AT_ONCE)
        self._lock = threading.Lock()
        self._requests: dict[str, ScanRequest] = {}
        self._lacking: Lacking | None = None
        self._silent: set[str] = set()  # calls that are only asked for advice, and that the account may not make, or that fail
        self._tasks: dict[str, tuple[Task, ...]] = {}  # by digest, as last told
        self.notes: tuple[str, ...] = ()

    def ask(self, target: Target, wait: Wait) -> ScanRequest | NotYet | Lacking:
        """Ask for a scan. A request that is granted holds one of the slots of this run until it is closed.

        :raises IncompleteError: if the quota is used up, the region is not supported, or the scan failed at once.
        :raises GateError: if the service cannot be asked, or, where scans are always asked for, refuses.
        """
        if self._lacking is not None:
            return self._lacking
        if not self._take_slot(wait):
            return NotYet(_ALL_SLOTS, busy=True)
        kept = False
        try:
            outcome = self._ask(target, wait.deadline)
            if isinstance(outcome, ScanRequest):
                outcome = replace(outcome, at_ms=not_behind(outcome.at_ms))
            kept = isinstance(outcome, ScanRequest) and not outcome.joined
            return outcome
        finally:
            if not kept:
                self._slots.release()

    def close(self, request: ScanRequest | None) -> None:
        """Give the slot of a request back: its scan ended, or nobody waits for it any longer."""
        if request is not None and not request.joined:
            self._slots.release()

    def keep(self, uuid: str, request: ScanRequest) -> None:
        """Remember a request that was made before the image was listed."""
        with self._lock:
            self._requests[uuid] = request

    def take(self, uuid: str) -> ScanRequest | None:
        """Return the request that was made before the image was listed; whoever takes it closes it."""
        with self._lock:
            return self._requests.pop(uuid, None)

    def tasks(self, digest: str, deadline: Deadline, requested: str = "") -> tuple[Task, ...]:
        """Return the latest tasks of an image; none where the account may not ask. Tasks of another digest are left out.

        The task ``requested`` is one of the image, whatever its row says that it was of.

        Where the service fails, they are what it said last: that it says nothing now proves nothing, least of all that a task ended.

        :raises UnauthorizedError: if the credentials are rejected.
        """
        try:
            tasks = self._tasks_of(digest, deadline, requested)
        except (ProtocolError, UnavailableError):
            tasks = None  # they are asked for again at the next look
        if tasks is None:
            return self._tasks.get(digest, ())
        with self._lock:
            self._tasks[digest] = tasks
        return tasks

    def tasks_now(self, digest: str, deadline: Deadline) -> tuple[Task, ...] | None:
        """Return the latest tasks of an image; none where the account may not ask, ``None`` where the service fails."""
        try:
            return self._tasks_of(digest, deadline) or ()
        except GateError:  # if the credentials are rejected, so they are where it matters
            return None

    def _tasks_of(self, digest: str, deadline: Deadline, requested: str = "") -> tuple[Task, ...] | None:
        answer = self._advice(TASKS, {"Digest": digest}, deadline)
        if answer is None:
            return None
        return tuple(
            Task(row.get("TaskId") or "", word(row["Status"]), of, to_moment(row.get("StartTime")), to_moment(row.get("FinishTime")))
            for row in answer.rows
            if (of := _target(row)) in {"", digest} or (requested and row.get("TaskId") == requested)
        )

    def _ask(self, target: Target, deadline: Deadline) -> ScanRequest | NotYet | Lacking:
        used = self._used(deadline)
        needed = self._needed(target, deadline)
        if used is not None and needed is not None and needed > used[1] - used[0]:
            raise _quota_exhausted(used, _QUOTA)
        now_ms = self._transport.server_ms or int(time.time() * 1000)
        try:
            answer = self._transport.call(REQUEST, {"Images": target.as_parameter(now_ms)}, deadline)
        except UnauthorizedError as error:
            if error.cause.permission is None or self.mode is ScanMode.ALWAYS:
                raise
            self._lacking = _lacking(f"the identity of the gate lacks {error.cause.permission}")  # for every image alike
            return self._lacking
        except RefusedError as error:
            return self._refusal(error, deadline)
        return _judge(answer)

    def _refusal(self, error: RefusedError, deadline: Deadline) -> ScanRequest | NotYet | Lacking:
        code = word(error.refusal)
        if code == JOINED:
            return ScanRequest("", joined=True, at_ms=self._transport.server_ms)
        if code in UNSUPPORTED:
            raise _unsupported(code, error.cause.request_id) from None
        if code == _NOTHING_YET:
            return NotYet("there is nothing to scan yet under that digest", busy=False)
        if code in _NO_QUOTA:
            used = self._used(deadline)
            if used is not None and used[1] <= used[0]:
                raise _quota_exhausted(used, REQUEST) from None
            return NotYet("the account scans as many images as it may at once", busy=True)
        if self.mode is ScanMode.ALWAYS:
            raise error
        return _lacking(f"its request for a scan was not taken: {error.cause.sentence}")

    def _used(self, deadline: Deadline) -> tuple[int, int] | None:
        """Return how much of the quota is used, and how much there is; ``None`` where nobody tells."""
        answer = self._advice_or_none(_QUOTA, {}, deadline)
        if answer is None:
            return None
        used, there = to_int(answer.rows[0]["ScanCount"]), to_int(answer.rows[0]["ImageScanCapacity"])
        return None if used is None or there is None else (used, there)

    def _needed(self, target: Target, deadline: Deadline) -> int | None:
        """Return what the scan surely takes of the quota; the descriptions of the two figures look swapped, so it is the smaller one."""
        answer = self._advice_or_none(_PRECHECK, target.as_filter(), deadline)
        figures = [] if answer is None else [to_int(answer.rows[0][name]) for name in ("NeedAuthCount", "ScanImageCount")]
        return min((figure for figure in figures if figure is not None), default=None)

    def _advice(self, action: str, parameters: dict[str, object], deadline: Deadline) -> Answer | None:
        """Make a call whose answer helps, but proves nothing; what the account may not ask is not asked again.

        :raises GateError: if the service fails for some seconds, or answers what cannot be trusted.
        """
        if action in self._silent:
            return None
        try:
            return self._transport.call(action, parameters, deadline.within(_PATIENCE_S))
        except (UnauthorizedError, RefusedError) as error:
            if isinstance(error, UnauthorizedError) and error.cause.permission is None:
                raise
            self._give_up(action, f"was not asked: {_why(error)}")
            return None

    def _advice_or_none(self, action: str, parameters: dict[str, object], deadline: Deadline) -> Answer | None:
        """Make a call as :meth:`_advice` does; one that fails is not made again, for every image would wait for it.

        :raises UnauthorizedError: if the credentials are rejected.
        """
        try:
            return self._advice(action, parameters, deadline)
        except (ProtocolError, UnavailableError) as error:
            self._give_up(action, f"told nothing: {error.cause.what}")
            return None

    def _give_up(self, action: str, why: str) -> None:
        with self._lock:
            if action not in self._silent:
                self._silent.add(action)
                self.notes = (*self.notes, f"{action} {why}")

    def _take_slot(self, wait: Wait) -> bool:
        """Take one of the slots of this run, waiting for it within the deadline; return whether there is one."""
        if self._slots.acquire(blocking=False):
            return True
        wait.say("queue", f"waiting for a slot: {_ALL_SLOTS}")
        with wait.deadline.stage("queue"):
            while not wait.deadline.passed:
                if self._slots.acquire(timeout=min(_SLICE_S, max(0.001, wait.deadline.remaining))):
                    return True
        return False


def _target(task: JsonObject) -> str:
    """Return the digest, as bare hex, that a task is told to be of; what is no digest tells nothing."""
    digest = normalise_digest((task.get("Target") or "").rpartition("@")[2])
    return digest if re.fullmatch("[0-9a-f]{64}", digest) else ""


def not_behind(server_ms: int | None) -> int | None:
    """Return a time of the server of just now, for what must be no older than now: a `Date` far behind ours would take what is older.

    Ours counts less what clocks may differ: one that is further ahead than that only has the run wait for more than it must.
    """
    return None if server_ms is None else max(server_ms, int(time.time() * 1000) - MAX_SKEW_S * 1000)


def _lacking(why: str) -> Lacking:
    return Lacking(f"{why}, so it waited for a scan of the account's own")


def _why(error: GateError) -> str:
    return f"{error.cause.permission} is lacking" if error.cause.permission else error.cause.what


def _judge(answer: Answer) -> ScanRequest | NotYet:
    """Judge the answer to a request.

    :raises IncompleteError: if the scan failed at once, or the region is not supported.
    :raises ProtocolError: if it does not say what became of the request.
    """
    data = answer.rows[0]
    task, result, status = ((data.get(name) or "").strip() for name in ("TaskId", "Result", "Status"))
    if word(result) in UNSUPPORTED:
        raise _unsupported(word(result), answer.request_id)
    if word(result) == JOINED:
        return ScanRequest(task, joined=True, at_ms=answer.server_ms)
    if word(status) in FAILED:
        raise IncompleteError(
            f"the scan that was asked for ended at once with {status}, its result is {result or 'not told'!r}",
            advice=HOW_TO_SCAN,
            action=REQUEST,
            request_id=answer.request_id,
        )
    if task:
        return ScanRequest(task, joined=False, at_ms=answer.server_ms)
    if to_bool(data.get("CanCreate")) is False:
        return NotYet("the account scans as many images as it may at once", busy=True)
    what = "the answer breaks the contract of the call: it names no task, and does not say why there is none"
    raise ProtocolError(what, advice=REPORT_IT, action=REQUEST, request_id=answer.request_id)


def _unsupported(result: str, request_id: str | None) -> IncompleteError:
    return IncompleteError(
        f"a scan was asked for, the answer is {result}", advice=UNSUPPORTED[result], action=REQUEST, request_id=request_id
    )


def _quota_exhausted(used: tuple[int, int], action: str) -> IncompleteError:
    return IncompleteError(
        f"the quota for image scans is exhausted: {used[0]} of {used[1]} used",
        advice="Buy quota for container image scans in Security Center, or wait for the next cycle of it.",
        action=action,
    )
