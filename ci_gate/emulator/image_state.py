"""The images of a running endpoint: whether each is listed, under which tags, how far its scan is, and what can be seen of its findings."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from ci_gate.emulator.findings import Row, rows_of
from ci_gate.emulator.images import RequestedStage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci_gate.emulator.images import Image, Stage
    from ci_gate.emulator.tasks import Task
    from ci_gate.emulator.timeline import Timeline
    from ci_gate.emulator.world import World

_ENDED = frozenset({"SUCCESS", "FAIL", "TIMEOUT", "TIMOUT"})
_NO_TAG = ""

ByKey = dict[str, list[Row]]


class ImageState:
    """An image of the world as it is now.

    ``image`` is the image as the service knows it. Its findings are those of ``parts``: of itself, or of the platforms of an index.
    """

    def __init__(self, image: Image, parts: Sequence[Image], world: World, timeline: Timeline) -> None:
        self.image = image
        self.task: Task | None = None  # the latest scan that was requested
        self.is_paid = image.quota_paid
        self.repeat_refused = False  # a scan was requested while another one ran
        self._parts = parts
        self._world = world
        self._timeline = timeline
        self._stages: Sequence[Stage | RequestedStage] = image.scan
        self._stage = 0
        self._stage_calls = 0
        self._stage_began_s = timeline.seconds()
        self._last_ms: int | None = None  # LastScanTime, once a scan was requested
        self._synced_s: float | None = None
        self._unknown_calls = 0
        self._named_calls = 0
        self._tag_calls = 0
        self._taker: ImageState | None = None
        self._taken_from: ImageState | None = None
        self._key_listings = 0
        self._found: ByKey | None = None
        self._earlier: Mapping[str, list[Row]] | None = None  # what was found before the scan that was requested

    # --- the listing ---

    @property
    def is_known(self) -> bool:
        """Whether the service knows the image by now."""
        when = self.image.listed_after
        if when.sync and self._synced_s is None:
            return False
        waited_s = self._timeline.seconds() - ((self._synced_s or 0) if when.sync else 0)
        return self._unknown_calls >= self.image.calls_before_listed and waited_s >= when.seconds and not self.is_deleted

    @property
    def is_deleted(self) -> bool:
        """Whether the image was there, and is no more."""
        end = self.image.delisted_after_calls
        return end is not None and self._named_calls >= end

    @property
    def tag_has_moved(self) -> bool:
        """Whether the tag of the image's reference is no longer its own."""
        moves = self.image.tag_moves
        if moves is None:
            return False
        if moves.after_calls is None:
            return self._taker is not None and self._taker.is_known
        return self._tag_calls >= moves.after_calls

    def hand_tag_to(self, other: ImageState) -> None:
        """Have another image take the tag of the reference over; with a number of calls, it is not listed under it before."""
        self._taker = other
        if self.image.tag_moves and self.image.tag_moves.after_calls is not None:
            other._taken_from = self

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags under which the image is listed as soon as it is known; an empty text for a row without one."""
        tag, more = self.image.parts[3], self.image.also_tagged
        if self._taken_from and not self._taken_from.tag_has_moved:
            return more
        if not self.tag_has_moved:
            return (tag, *more)
        moves = self.image.tag_moves
        return (_NO_TAG, *more) if moves and moves.old_row == "untagged" else more

    def has_digest(self, digest: str) -> bool:
        """Whether the world file gives the image, or a platform of it, this digest."""
        return any(part.digest == digest for part in self._parts)

    def is_listed(self, tags: Sequence[str]) -> bool:
        """Count an answer that would name the image under some tags, move its scan on, and return whether the image is known yet."""
        if not self.is_known:
            self._unknown_calls += self._synced_s is not None or not self.image.listed_after.sync
            return False
        self._move_on(by_calls=True)
        self._stage_calls += 1
        self._named_calls += 1
        self._tag_calls += self.image.parts[3] in tags
        return True

    # --- the scan ---

    @property
    def stage(self) -> Stage | RequestedStage:
        """The stage in which the scan is."""
        return self._stages[self._stage]

    @property
    def has_ended(self) -> bool:
        """Whether the scan has come to an end, or there never was one."""
        return self.stage.status is None or self.stage.status.upper() in _ENDED

    @property
    def last_scan_ms(self) -> int | None:
        """The time of the last scan (``LastScanTime``), milliseconds since the epoch, if there is one."""
        return self._last_ms if isinstance(self.stage, RequestedStage) else self._moment(self.stage.last)

    @property
    def finished_ms(self) -> int | None:
        """When the task of the last scan ended (``FinishTime``), milliseconds since the epoch, if it did."""
        if not self.has_ended:
            return None
        told = None if isinstance(self.stage, RequestedStage) else self._moment(self.stage.finished)
        return self.last_scan_ms if told is None else told

    @property
    def started_ms(self) -> int | None:
        """When the task of a scan that was not requested here began (``StartTime``), milliseconds since the epoch, as far as it is told."""
        if isinstance(self.stage, RequestedStage) or not self.has_ended:
            return None
        return self._moment(self.stage.started or (self.stage.last if self.stage.finished else None))

    def _moment(self, text: str | None) -> int | None:
        """Return a moment of the stage; ``now`` is its beginning."""
        if text == "now":
            return self._timeline.at_ms(self._stage_began_s)
        return None if text is None else self._timeline.moment(text)

    def pass_time(self) -> None:
        """Move the scan on where only time has to pass."""
        self._move_on(by_calls=False)

    def _move_on(self, *, by_calls: bool) -> None:
        now_s = self._timeline.seconds()
        while self._stage < len(self._stages) - 1:
            stage = self.stage
            ends_s = now_s if stage.for_seconds is None else self._stage_began_s + stage.for_seconds
            if by_calls and stage.for_calls is not None and self._stage_calls >= stage.for_calls:
                ends_s = now_s
            elif stage.for_seconds is None or ends_s > now_s:
                return
            self._enter(self._stage + 1, ends_s)

    def _enter(self, stage: int, now_s: float) -> None:
        self._stage, self._stage_calls, self._stage_began_s = stage, 0, now_s
        if self.task is not None and self.has_ended:
            self._last_ms, self._key_listings = self._timeline.at_ms(now_s), 0

    def scan(self, task: Task) -> None:
        """Begin the scan that a task asks for."""
        before_ms = self.last_scan_ms if self.stage.status is not None else None
        self._earlier = self.by_key
        self.task, self.is_paid, self.repeat_refused = task, True, False
        self._last_ms, self._stages = before_ms, self.image.scan_when_requested
        self._found = None
        self.sync()
        self._enter(0, self._timeline.seconds())

    def sync(self) -> None:
        """Note that the service was asked to add the image."""
        if self._synced_s is None:
            self._synced_s = self._timeline.seconds()

    # --- the findings ---

    def count_key_listing(self) -> None:
        """Count an answer that lists the keys of the image."""
        self._key_listings += 1

    @property
    def by_key(self) -> Mapping[str, list[Row]]:
        """The findings as they can be seen now, by key, in the order in which they are served."""
        late = self.image.findings_after_calls
        if self.stage.status == "SUCCESS" and not (late and self._key_listings <= late):
            return self._results
        return {} if self._earlier is None else self._earlier

    @property
    def _results(self) -> ByKey:
        """What the scan finds."""
        if self._found is None:
            parts = self._parts
            if self.task is None and self.image.found_before is not None:
                parts = [self.image.model_copy(update={"findings": self.image.found_before, "generate": None})]
            self._found = _by_key([row for part in parts for row in rows_of(part, self._world)])
        return self._found


def _by_key(rows: Sequence[Row]) -> ByKey:
    found: ByKey = defaultdict(list)
    for row in rows:
        found[row.key].append(row)
    return dict(found)


def images_of(world: World, timeline: Timeline) -> list[ImageState]:
    """Return the images of a world as the service knows them: where it lists indexes, one for all platforms of each."""
    groups: dict[tuple[object, ...], list[Image]] = defaultdict(list)
    for number, image in enumerate(world.images):
        is_index = image.index is not None and world.quirks.index_listed == "index"
        groups[(*image.place, image.reference, image.index) if is_index else (number,)].append(image)
    states = [ImageState(_known_as(parts, world), parts, world, timeline) for parts in groups.values()]
    for state in states:
        moves = state.image.tag_moves
        for other in states:
            if moves and moves.to and other is not state and other.image.reference == state.image.reference and other.has_digest(moves.to):
                state.hand_tag_to(other)
    return states


def _known_as(parts: Sequence[Image], world: World) -> Image:
    first = parts[0]
    return first.model_copy(update={"digest": first.index}) if first.index and world.quirks.index_listed == "index" else first
