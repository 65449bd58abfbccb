"""The state of a running endpoint: how far each scan is, what has been asked, and how many calls a second are left."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING

from ci_gate.emulator.faults import FaultBook
from ci_gate.emulator.fields import moment_ms
from ci_gate.emulator.findings import Row, rows_of
from ci_gate.emulator.refusals import RefusalError, throttled
from ci_gate.emulator.signature import MAX_SKEW_S, Caller

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ci_gate.emulator.world import Image, RateLimit, Stage, World


class ImageState:
    """An image of the world, and how far its scan is."""

    def __init__(self, image: Image, world: World, now_s: float) -> None:
        self.image = image
        self._world = world
        self._stage = 0
        self._stage_calls = 0
        self._stage_began_s = now_s
        self._asked = 0
        self._listed = 0
        self._rows: tuple[Row, ...] | None = None
        self._by_key: dict[str, list[Row]] | None = None

    @property
    def stage(self) -> Stage:
        """The stage in which the scan is."""
        return self.image.scan[self._stage]

    def is_listed(self, now_s: float) -> bool:
        """Count an answer that would name the image, move its scan on, and return whether the image is known yet."""
        self._asked += 1
        if self._asked <= self.image.listed_after_calls:
            return False
        self._move_on(now_s)
        self._stage_calls += 1
        return True

    def _move_on(self, now_s: float) -> None:
        while self._stage < len(self.image.scan) - 1:
            stage = self.stage
            by_calls = stage.for_calls is not None and self._stage_calls >= stage.for_calls
            by_time = stage.for_seconds is not None and now_s - self._stage_began_s >= stage.for_seconds
            if not (by_calls or by_time):
                return
            self._stage += 1
            self._stage_calls = 0
            self._stage_began_s = now_s

    def count_listing(self) -> None:
        """Count an answer that lists the keys of the image."""
        self._listed += 1

    @property
    def by_key(self) -> dict[str, list[Row]]:
        """The findings as they can be seen now, by key, in the order in which they are served."""
        late = self.image.findings_after_calls
        if self.stage.status != "SUCCESS" or (late and self._listed <= late):
            return {}
        if self._by_key is None:
            found: dict[str, list[Row]] = defaultdict(list)
            for row in self.rows:
                found[row.key].append(row)
            self._by_key = dict(found)
        return self._by_key

    @property
    def rows(self) -> tuple[Row, ...]:
        """Every finding of the image, seen or not."""
        if self._rows is None:
            self._rows = rows_of(self.image, self._world)
        return self._rows


class State:
    """A world that is running. Used by the server's one thread only.

    ``now_ms`` is the time of the start, milliseconds since the epoch: the moments of the world file count from it.
    """

    def __init__(self, world: World, clock: Callable[[], float] = time.monotonic, now_ms: int | None = None) -> None:
        self.world = world
        self.clock = clock
        self.now_ms = int(time.time() * 1000) if now_ms is None else now_ms
        self.images: Sequence[ImageState] = [ImageState(image, world, clock()) for image in world.images]
        self.by_uuid = {state.image.image_uuid: state for state in self.images}
        self.faults = FaultBook(world.faults)
        account = world.account
        expires = None if account.token_expires is None else self.moment(account.token_expires)
        self.caller = Caller(account.access_key_id, account.access_key_secret, account.security_token, expires)
        self._nonces: dict[str, float] = {}
        self._bucket = _Bucket(world.quirks.rate_limit, clock) if world.quirks.rate_limit else None

    def moment(self, text: str) -> int:
        """Return a moment of the world file as milliseconds since the epoch."""
        return moment_ms(text, self.now_ms)

    @staticmethod
    def moment_now() -> int:
        """Return the time of day, milliseconds since the epoch: what signatures and tokens are held against."""
        return int(time.time() * 1000)

    def take_call(self) -> None:
        """Take one of the calls that are left.

        :raises RefusalError: if none is.
        """
        if self._bucket is not None:
            self._bucket.take()

    def use_nonce(self, nonce: str) -> None:
        """Remember a nonce, for as long as a request with it could be replayed.

        :raises RefusalError: if it was used before.
        """
        now = self.clock()
        if nonce in self._nonces:
            raise RefusalError(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
        self._nonces[nonce] = now
        while self._nonces and now - next(iter(self._nonces.values())) > 2 * MAX_SKEW_S:
            del self._nonces[next(iter(self._nonces))]


class _Bucket:
    """A token bucket: one second's calls at once, then ``per_second``."""

    def __init__(self, limit: RateLimit, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._size = max(1.0, limit.per_second)
        self._left = self._size
        self._then = clock()

    def take(self) -> None:
        now = self._clock()
        self._left = min(self._size, self._left + (now - self._then) * self._limit.per_second)
        self._then = now
        if self._left < 1:
            wait_ms = max(1, round((1 - self._left) / self._limit.per_second * 1000))
            raise throttled(wait_ms if self._limit.retry_after else None)
        self._left -= 1
