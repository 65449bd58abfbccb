"""Having an image scanned where it needs it, waiting for the end, and the proof that the scan is of this image and no older one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from ci_gate.errors import IncompleteError
from ci_gate.model import Entry, EvidenceRules, Image, Proof, ProofState
from ci_gate.security_center.contracts import word
from ci_gate.security_center.criteria import INSTANCES
from ci_gate.security_center.images import FINE_RESULTS, Sight, has_failed, is_fatal, look_again, runs, scans_of
from ci_gate.security_center.scan_requests import (
    FAILED,
    HOW_TO_SCAN,
    JOINED,
    MAX_SKEW_S,
    UNSUPPORTED,
    Lacking,
    NotYet,
    ScanMode,
    ScanRequest,
    Target,
    Task,
    not_behind,
)

if TYPE_CHECKING:
    from ci_gate.deadline import Deadline
    from ci_gate.security_center.criteria import Images
    from ci_gate.security_center.scan_requests import ScanDesk
    from ci_gate.security_center.waiting import Wait

_TRUNCATED_MS = 1000  # the server's `Date` has whole seconds
_STARTED_WITHIN_MS = 60_000  # of a task, until the scan of its image has
_LOOKS_AT_LAG = 2  # the listing may lag behind the task
_MORE_TIME = "Try again later, or give the run more time with --timeout."
_GRANT_IT = "Scan the image in Security Center, or have the gate get what it lacks (ci-gate doctor tells), then run again."
_SCAN_AGAIN = "Scan the image again in Security Center, then run again; --scan auto has the gate do it."


class _Progress(Enum):
    """What a look at the image says of the scan that is waited for."""

    WAITING = auto()
    DONE = auto()
    FAILED = auto()


def await_scan(
    images: Images, desk: ScanDesk, image: Image, request: ScanRequest | None, rules: EvidenceRules, wait: Wait
) -> tuple[Image, Proof]:
    """Have the image scanned where it needs it, and wait until the scan has finished.

    :param request: the request that was made before the image was listed; it is closed here.
    :raises IncompleteError: if there is no scan that counts: none, a failed one, or one that does not end in time.
    """
    scan = _Scan(images, desk, rules, wait, image, request)
    try:
        return scan.until_done()
    finally:
        desk.close(scan.request)


@dataclass(slots=True)
class _Scan:
    """The scan of an image that is waited for.

    ``before`` is the image as it was listed when its scan was asked for. A success that ended before ``since_ms``, milliseconds since the
    epoch by the server's clock, is an older one than that which is waited for; where it is infinite, no time can show which one it is.
    A scan that was seen running ended after ``ran_ms``, the last look that saw one, and before ``ended_ms``, the first look after that.
    """

    images: Images
    desk: ScanDesk
    rules: EvidenceRules
    wait: Wait
    image: Image
    request: ScanRequest | None
    before: Image | None = None
    tasks: tuple[Task, ...] = ()
    running: frozenset[str] = frozenset()  # uuids of entries that were seen running since this run looks, or since it asked
    lagging: int = 0  # looks at which the task had succeeded, and the listing had not moved
    lacking: str = ""
    queue: str = ""  # why no scan could be asked for yet
    since_ms: float = -math.inf
    ran_ms: float = math.inf
    ended_ms: int | None = None

    def __post_init__(self) -> None:
        if self.request is not None:
            self._wait_for(self.request)

    @property
    def deadline(self) -> Deadline:
        return self.wait.deadline

    def until_done(self) -> tuple[Image, Proof]:
        """Wait, and ask for a scan where one is needed."""
        if self.request is not None:
            self.tasks = self._latest_tasks()
        while (progress := self._progress()) is not _Progress.DONE:
            if progress is _Progress.FAILED:
                raise self._failed()
            if not self._may_ask():
                self.queue = ""
            elif not self._ask_if_still_needed():
                continue
            self._say()
            with self.deadline.stage("queue" if self.queue else "scan"):
                in_time = self.wait.pause()
            if not in_time:
                raise self._out_of_time()
            with self.wait.looking(self._out_of_time):
                self._look()
        return self._proven()

    # --- what a look says ---

    @property
    def _status(self) -> str:
        return word(self.image.scan_status)

    @property
    def _runs(self) -> bool:
        """Whether a scan is under way."""
        return runs(self.image)

    def _progress(self) -> _Progress:
        """Judge the latest look."""
        if self._ours(FAILED):
            return _Progress.FAILED
        self._note_repeat()
        self._note_running()
        if self._runs or self.running - {entry.uuid for entry in self.image.entries if entry.scan_status.strip()}:
            return _Progress.WAITING  # one that was seen running, and is gone or has no state any more, has not ended
        if self._failed_meanwhile is not None:
            return _Progress.FAILED
        if self.request is None:
            return self._progress_unasked()
        if self._has_moved() and (self._status in FAILED or self._is_fatal):
            return _Progress.FAILED
        # The task itself, where it can be seen, must have ended: another scan of the image may have succeeded meanwhile.
        if self._status != "SUCCESS" or (self._tasks_of_ours and not self._ours({"SUCCESS"})):
            return _Progress.WAITING
        if not self._is_requested_one():
            return _Progress.WAITING
        if self._is_fatal:
            return _Progress.FAILED
        return _Progress.WAITING if self._too_old() else _Progress.DONE

    def _note_running(self) -> None:
        """Note which entries are seen running, and, where no scan was asked for, that none of them has ended by a success of before."""
        if self._runs:
            self.ran_ms, self.ended_ms = self._now_ms, None
        elif self.ended_ms is None:
            self.ended_ms = self.images.transport.server_ms
        began = [entry for entry in self.image.entries if runs(entry) and entry.uuid not in self.running]
        if began and self.request is None:
            # A time that is listed while it runs is that of the scan before: one that is later is its own, be it that of its start.
            told = all(entry.last_scan_ms is not None for entry in began)
            latest = max((entry.last_scan_ms for entry in self.image.entries if entry.last_scan_ms is not None), default=0)
            self._expect_after(latest + 1 if told else self._now_ms)
        self.running |= {entry.uuid for entry in began}

    @property
    def _failed_meanwhile(self) -> Entry | None:
        """An entry whose scan was seen running and failed, whatever its time: a failure may write none."""
        return next((entry for entry in self.image.entries if entry.uuid in self.running and has_failed(entry)), None)

    def _note_repeat(self) -> None:
        """Note where the listing says that the request came to nothing, since a scan was under way: then that one is waited for."""
        request, before = self.request, self.before
        if request is None or request.joined or self._tasks_of_ours or word(self.image.scan_result) != JOINED:
            return
        if before is None or word(before.scan_result) != JOINED:
            self.desk.close(request)
            self.request = replace(request, joined=True)

    def _progress_unasked(self) -> _Progress:
        """Judge the latest look where no scan was asked for, or none could be."""
        if self._is_fatal and self.desk.mode is not ScanMode.ALWAYS:
            return _Progress.FAILED
        if self._status in FAILED:
            if self.running or (self.before is not None and self._has_moved()):
                return _Progress.FAILED
            self._expect_after(self._now_ms if self.image.last_scan_ms is None else self.image.last_scan_ms + 1)
        if self._need() is not None:
            return _Progress.FAILED if self.desk.mode is ScanMode.NEVER else _Progress.WAITING
        if not self._has_ended:
            return _Progress.WAITING  # the scan that was seen running has not ended: another answer told of its end already, or never
        return _Progress.FAILED if self._is_fatal else _Progress.DONE

    @property
    def _is_fatal(self) -> bool:
        """Whether the scan says that it succeeded, with a result that says otherwise."""
        return is_fatal(self.image)

    def _need(self) -> str | None:
        """Say why the image needs a scan, or ``None``."""
        if not self._status:
            return "the image has never been scanned"
        if self._status in FAILED:
            return f"the scan ended with {self.image.scan_status}"
        if self._too_old():
            return self._too_old()
        if self.desk.mode is ScanMode.ALWAYS and not (self.running and self._has_ended):
            return "a new scan is wanted (--scan always)"
        if not self.running and not self._is_later():
            return "the scan that is listed is older than one that failed"
        return None

    @property
    def _tasks_of_ours(self) -> tuple[Task, ...]:
        """The tasks that have the id of the one that was asked for."""
        return tuple(task for task in self.tasks if self.request is not None and task.id == self.request.task != "")

    def _ours(self, statuses: set[str] | frozenset[str]) -> bool:
        """Whether the task that was asked for has one of these statuses, wherever it is named."""
        ours = self._tasks_of_ours
        wanted = [task.status in statuses for task in ours]
        return bool(ours) and (all(wanted) if statuses == {"SUCCESS"} else any(wanted))

    def _has_moved(self) -> bool:
        """Whether the listing tells of another scan than before the request; an image that was not listed then had none."""
        return bool(self.running) or self.before is None or scans_of(self.image) != scans_of(self.before)

    @property
    def _now_ms(self) -> float:
        """The server's time of this look, a little early; infinite where the server does not tell."""
        now_ms = not_behind(self.images.transport.server_ms)
        return math.inf if now_ms is None else now_ms - _TRUNCATED_MS

    def _expect_after(self, moment_ms: float) -> None:
        """Take no success any more that ended before this moment."""
        self.since_ms = max(self.since_ms, moment_ms)

    @property
    def _times(self) -> list[int | None]:
        """The times of all entries that have a scan."""
        return [entry.last_scan_ms for entry in self.image.entries if entry.scan_status.strip()]

    def _is_later(self) -> bool:
        """Whether the scan that is listed is no older one than that which is waited for, by its time; any is, where nothing is known.

        Of the entry that a scan was asked for, and of those that were seen running, each must be: one has not ended by the success of
        another.
        """
        awaited = self.running if self.request is None else self.running | {self.image.uuid}
        times = [entry.last_scan_ms for entry in self.image.entries if entry.uuid in awaited] or [self.image.last_scan_ms]
        return self.since_ms == -math.inf or all(last is not None and last >= self.since_ms for last in times)

    @property
    def _has_ended(self) -> bool:
        """Whether the success that is listed is that of the scan which was seen running, or of a later one."""
        return self._is_later() or self._ending_task is not None

    @property
    def _ending_task(self) -> Task | None:
        """The task that shows the end of the scan that was seen running, where no time of the listing does: that may be of its start.

        All latest tasks must have succeeded, and one just when the listing ceased to say that a scan runs. The time that is listed must be
        that of its start, or the listing tells of an older scan. A task is one of the digest: where that has several entries, they must
        tell of one scan, or the task may be that of another entry.
        """
        times = set(self._times)
        last = self.image.last_scan_ms
        if self.ended_ms is None or last is None or len(times) > 1 or any(task.status != "SUCCESS" for task in self.tasks):
            return None
        latest_ms = self.ended_ms + MAX_SKEW_S * 1000
        return next(
            (
                task
                for task in self.tasks
                if task.target == self.image.digest
                and task.started_ms is not None
                and task.started_ms <= last <= task.started_ms + _STARTED_WITHIN_MS
                and task.finished_ms is not None
                and self.ran_ms <= task.finished_ms <= latest_ms
            ),
            None,
        )

    def _is_requested_one(self) -> bool:
        """Whether the success is that of the task that was asked for, or that was under way then, never an older one."""
        joined = self.request is not None and self.request.joined
        if self._is_later() or (joined and self.running and self._ending_task is not None):
            return True
        if not self._ours({"SUCCESS"}) or self._is_older():
            return False
        # The task succeeded, and the listing does not say of which scan it tells: it gets a moment to follow.
        self.lagging += 1
        return self.lagging > _LOOKS_AT_LAG

    def _is_older(self) -> bool:
        """Whether its time shows that the listed scan is that of before, or ended before the request by more than clocks differ."""
        last, before = self.image.last_scan_ms, self.before.last_scan_ms if self.before is not None else None
        asked = self.request.at_ms if self.request is not None else None
        if (told := _told(self.image)) and told <= _told(self.before):
            return True
        if last is None or None in self._times:
            return False
        return (before is not None and last <= before) or (asked is not None and last < asked - MAX_SKEW_S * 1000)

    # --- what is done ---

    def _may_ask(self) -> bool:
        """Whether this look wants a scan that can be asked for."""
        if self.request is not None or self.lacking or self._runs or self.desk.mode is ScanMode.NEVER:
            return False
        return self._need() is not None

    def _ask_if_still_needed(self) -> bool:
        """Ask for a scan, unless the image, looked at once more, does not need it now; return whether it did."""
        with self.wait.looking(self._out_of_time):
            sight = self._look()
            if self._progress() is not _Progress.WAITING or not self._may_ask():
                return False
            self._ask(sight)
        return True

    def _ask(self, sight: Sight) -> None:
        outcome = self.desk.ask(Target(sight.row, sight.image.digest, sight.image.tag), self.wait)
        self.queue = ""
        if isinstance(outcome, ScanRequest):
            self.request, self.before, self.running = outcome, sight.image, frozenset()
            self._wait_for(outcome)
        elif isinstance(outcome, Lacking):
            self.lacking, self.before = outcome.why, sight.image
        elif isinstance(outcome, NotYet):
            self.queue = f"waiting for a slot: {outcome.why}" if outcome.busy else f"waiting to ask for a scan: {outcome.why}"

    def _wait_for(self, request: ScanRequest) -> None:
        """Take only a success that ended after a request, and after that of before."""
        before = self.before.last_scan_ms if self.before is not None else None
        self.since_ms = math.inf if request.at_ms is None else max(request.at_ms - _TRUNCATED_MS, (before or 0) + 1)

    def _look(self) -> Sight:
        """Look at the image, and at its tasks where they matter."""
        if self.request is not None:
            self.tasks = self._latest_tasks()  # before the listing, which then is no older than what the tasks say
        sight = look_again(self.images, self.image, self.deadline)
        self.image = replace(sight.image, scan_requested=True)  # it was waited for: its end is news, whatever its time
        if self.request is None and self.running and self._status == "SUCCESS" and not self._is_later():
            self.tasks = self._latest_tasks()  # it was seen running, and only they can tell that it has ended
        return sight

    def _latest_tasks(self) -> tuple[Task, ...]:
        return self.desk.tasks(self.image.digest, self.deadline, "" if self.request is None else self.request.task)

    def _say(self) -> None:
        if self.queue:
            self.wait.say("queue", self.queue)
            return
        status = self.image.scan_status or "not begun"
        said = f"scan {status}" if self._runs or self.request is None else f"scan asked for, the listed one is {status}"
        self.wait.say("scan", f"{said}; {self.lacking}" if self.lacking else said, self.image.scan_progress)

    # --- how it ends ---

    def _proven(self) -> tuple[Image, Proof]:
        """Return the image with its finished scan, and the proof of it.

        :raises IncompleteError: if the scan counts for nothing.
        """
        image = self.image
        age_s = self._age_s()
        requested = "joined" if image.scan_requested else "no"
        ended, task = None if self._is_later() else self._ending_task, ""
        if self.request is not None:
            requested, task = "joined" if self.request.joined else "yes", self.request.task
        if ended is not None:
            task = task or ended.id
        figures: tuple[tuple[str, int | str], ...] = (
            ("status", image.scan_status),
            ("result", image.scan_result),
            ("last_scan_ms", image.last_scan_ms or 0),
            *((("age_s", age_s),) if age_s is not None else ()),
            ("requested", requested),
            ("task", task),
            *((("started_ms", ended.started_ms or 0), ("finished_ms", ended.finished_ms or 0)) if ended is not None else ()),
            ("polls", self.wait.polls),
            ("waited_s", round(self.wait.waited_s)),
        )
        said = {"yes": "; this run asked for it", "joined": "; it was on its way already, and this run waited for it"}.get(requested, "")
        if ended is not None:
            said += "; that it has ended is shown by its task alone, LastScanTime is when it began"
        notes = "".join(f"; {note}" for note in (self.lacking, *(self.desk.notes if self.request is not None else ())) if note)
        finished = "the scan finished" + ("" if age_s is None or ended is not None else f" {max(0, age_s)} s ago")
        proof = Proof("scanned", ProofState.HELD, f"{finished}{said}{notes}", figures)
        return image, proof

    def _failed(self) -> IncompleteError:
        """Say of what kind of scan the image has that it does not count."""
        result = word(self.image.scan_result)
        advice = _SCAN_AGAIN if self.desk.mode is ScanMode.NEVER else HOW_TO_SCAN
        advice = UNSUPPORTED.get(result, advice)
        if self._is_fatal:
            return self._not_scanned(f"the scan says SUCCESS, but its result is {self.image.scan_result!r}", advice)
        told = f", its result is {self.image.scan_result!r}" if result not in FINE_RESULTS else ""
        if self._ours(FAILED):
            ended = next(task.status for task in self._tasks_of_ours if task.status in FAILED)
            return self._not_scanned(f"the scan that was asked for ended with {ended}{told}", advice)
        failed = self._failed_meanwhile
        if failed is not None and failed.uuid != self.image.uuid:
            return self._not_scanned(f"its scan under the uuid {failed.uuid} ended with {failed.scan_status}", advice)
        return self._not_scanned(f"{self._need()}{told}", advice)

    def _out_of_time(self) -> IncompleteError:
        """Say what the image waits for at the end of the deadline."""
        within = f"within {self.deadline.seconds:.0f} s"
        percent = "" if self.image.scan_progress is None else f" ({self.image.scan_progress} %)"
        state = f"its state is {self.image.scan_status!r}{percent}" if self.image.scan_status else "it has never been scanned"
        if self.queue:
            return self._not_scanned(f"no scan could be asked for {within}, {self.queue}; {state}", _MORE_TIME)
        lacking, advice = (f"; {self.lacking}", _GRANT_IT) if self.lacking else ("", _MORE_TIME)
        if self._status == "SUCCESS" and self._too_old():
            return self._not_scanned(f"no newer scan ended {within}: {self._too_old()}{lacking}", advice)
        if self._status == "SUCCESS":
            which = "was waited for" if self.request is None else "was asked for"
            what = f"nothing shows {within} that the scan which {which} is done: the one that is listed is older, or has no time{lacking}"
            return self._not_scanned(what, advice)
        return self._not_scanned(f"the scan did not finish {within}, {state}{lacking}", advice)

    def _not_scanned(self, what: str, advice: str) -> IncompleteError:
        return IncompleteError(f"image {self.image.uuid}: {what}", advice=advice, action=INSTANCES)

    # --- age ---

    def _age_s(self) -> int | None:
        """Return how old the scan is, in seconds by the server's clock; ``None`` where the service does not tell."""
        now, last = self.images.transport.server_ms, self.image.last_scan_ms
        return None if now is None or last is None else (now - last) // 1000

    def _too_old(self) -> str | None:
        """Say how the scan breaks ``evidence.max_scan_age``, or ``None``: an age that cannot be told breaks it."""
        allowed, age_s = self.rules.max_scan_age_s, self._age_s()
        if allowed is None:
            return None
        if age_s is None or age_s < -MAX_SKEW_S:
            return "the age of the scan cannot be told: the service sent no time of it, or one in the future"
        return f"the scan is {age_s} s old, the policy allows {allowed:.0f} s" if age_s > allowed else None


def _told(image: Image | None) -> set[int]:
    """Return the times, in whatever units, that are told of the entry that a scan was asked for."""
    if image is None:
        return set()
    return {entry.last_scan_told for entry in image.entries if entry.uuid == image.uuid and entry.last_scan_told is not None}
