"""The scan tasks of a running endpoint: what a request for a scan starts, what it costs, and why it is turned down."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ci_gate.emulator.refusals import beyond_quota, nothing_to_scan, repeated_task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci_gate.emulator.fields import JsonObject
    from ci_gate.emulator.image_state import ImageState
    from ci_gate.emulator.timeline import Timeline
    from ci_gate.emulator.world import World

REPEATED = "forbid_create_repeat_task"
_NO_REGION = "TASK_NOT_SUPPORT_REGION"
_OTHERS_SCAN_MS = 60_000  # how long scans took that were not requested here
_FIRST_NUMBER = 9_755_662
_WORDS = {"INIT": "START", "START": "START", "MESSAGE_SEND": "MESSAGE_SEND", "TIMEOUT": "TIMOUT", "SUCCESS": "SUCCESS", "FAIL": "FAIL"}
_PRECHECK = frozenset({"START_RUN", "DOWNLOAD", "PRE_ANALYZER", "PRE_ANALYZER_SUCCESS"})


@dataclass(frozen=True, eq=False, slots=True)
class Task:
    """A scan that was requested. ``number`` counts from 1; ``began_ms`` is milliseconds since the epoch."""

    number: int
    images: Sequence[ImageState]
    began_ms: int

    @property
    def task_id(self) -> str:
        """The id of the task, 32 hex digits."""
        return _task_id(f"requested {self.number}")

    @property
    def is_running(self) -> bool:
        """Whether an image of it is still being scanned."""
        return any(image.task is self and not image.has_ended for image in self.images)


class TaskBook:
    """All scan tasks of the account, and the quota; used by the server's one thread only."""

    def __init__(self, world: World, timeline: Timeline) -> None:
        self._world = world
        self._timeline = timeline
        self._tasks: list[Task] = []
        self._numbers = 0
        self._turns = 0  # requests that wanted a slot
        self.quota_used = world.account.scan_quota.used

    def request(self, images: Sequence[ImageState]) -> JsonObject:
        """Start a scan of the images that can be scanned; return what the service says of it.

        :raises RefusalError: if there is nothing to scan or no quota left; where the quirks have it so, if there is no slot or a scan runs.
        """
        if not images:
            raise nothing_to_scan()
        supported = [image for image in images if image.image.region_id not in self._world.unsupported_regions]
        if not supported:
            return self._answer(None, "FAIL", _NO_REGION, len(images))
        for image in supported:
            image.pass_time()
        idle = [image for image in supported if image.has_ended]
        if not idle:
            return self._repeated(supported)
        cost = needed_quota(idle)
        if self.quota_used + cost > self._world.account.scan_quota.capacity:
            raise beyond_quota()
        self._turns += 1
        if not self._has_slot(self._turns - 1):
            if self._world.quirks.slots_full == "beyond_quota":
                raise beyond_quota()
            return {"CanCreate": False}
        self.quota_used += cost
        task = Task(self._next_number(), idle, self._timeline.now_ms())
        self._tasks = [*(one for one in self._tasks if one.is_running), task]
        for image in idle:
            image.scan(task)
        return self._answer(task.task_id, "INIT", "SUCCESS", len(idle))

    def _repeated(self, images: Sequence[ImageState]) -> JsonObject:
        """Turn a request down: scans of all its images run."""
        quirk = self._world.quirks.repeat_task
        if quirk == "code":
            raise repeated_task()
        for image in images:
            image.sync()
            image.repeat_refused = quirk == "sca_result"
        if quirk == "result":
            return self._answer(None, "FAIL", REPEATED, len(images))
        return self._answer(_task_id(f"requested {self._next_number()}"), "INIT", "SUCCESS", len(images))

    def _next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _answer(self, task_id: str | None, status: str, result: str, total: int) -> JsonObject:
        now_ms = self._timeline.now_ms()
        return {
            **({} if task_id is None else {"TaskId": task_id}),
            "TotalCount": total,
            "FinishCount": 0,
            "CollectTime": now_ms,
            "ExecTime": now_ms,
            "Status": status,
            "Progress": 0,
            "Result": result,
            "CanCreate": self._has_slot(self._turns),
        }

    def _has_slot(self, turns: int) -> bool:
        """Whether one more task may run, after so many requests that wanted a slot."""
        for task in self._tasks:
            for image in task.images:
                image.pass_time()
        limits = self._world.account.scan_tasks
        ended = (limits.ends_after_calls is not None and turns >= limits.ends_after_calls) or (
            limits.ends_after_seconds is not None and self._timeline.seconds() >= limits.ends_after_seconds
        )
        return (0 if ended else limits.running) + sum(task.is_running for task in self._tasks) < limits.limit


def needed_quota(images: Sequence[ImageState]) -> int:
    """Return how many scans of these images have to be paid for."""
    return sum(not image.is_paid for image in images)


def latest_task(image: ImageState, timeline: Timeline, prefix: str) -> JsonObject | None:
    """Return the latest task of an image as a row of ``DescribeImageLatestScanTask``, if it was ever scanned."""
    image.pass_time()
    stage, task, finished_ms = image.stage, image.task, image.finished_ms
    if stage.status is None:
        return None
    if task is None:
        task_id, number, source = _task_id(image.image.image_uuid), zlib.crc32(image.image.image_uuid.encode()), "console_batch"
        began_ms = image.started_ms or (timeline.start_ms if finished_ms is None else finished_ms) - _OTHERS_SCAN_MS
    else:
        task_id, number, source, began_ms = task.task_id, _FIRST_NUMBER + task.number, "openapi", task.began_ms
    row: JsonObject = {
        "Status": stage.task_status or _word(stage.status),
        "Create": _text(began_ms),
        "Modified": _text(began_ms if finished_ms is None else finished_ms),
        "StartTime": began_ms,
        "Finish": sum(one.has_ended for one in task.images) if task else int(image.has_ended),
        "Source": source,
        "TaskType": "IMAGE_SCAN",
        "Name": "IMAGE_SCAN",
        "TaskId": task_id,
        "Target": prefix + image.image.digest,
        "TargetType": "IMAGE",
        "Id": number,
    }
    return row if finished_ms is None else {**row, "FinishTime": finished_ms}


def _word(status: str) -> str:
    """Return the word of scan tasks for a status of an image: they have words of their own."""
    if status in _PRECHECK:
        return "PRE_ANALYZER"
    return _WORDS.get(status, "PROCESSING" if status.endswith("_ANALYZER") else status)


def _text(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _task_id(seed: str) -> str:
    return hashlib.sha256(f"task {seed}".encode()).hexdigest()[:32]
