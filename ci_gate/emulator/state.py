"""The state of a running endpoint: its images and tasks, what has been asked, and how many calls a second are left."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ci_gate.emulator.faults import FaultBook
from ci_gate.emulator.image_state import ImageState, images_of
from ci_gate.emulator.refusals import RefusalError, throttled, token_expired
from ci_gate.emulator.repository_book import RepositoryBook
from ci_gate.emulator.signature import MAX_SKEW_S, Caller
from ci_gate.emulator.tasks import TaskBook
from ci_gate.emulator.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ci_gate.emulator.quirks import RateLimit
    from ci_gate.emulator.world import World


class State:
    """A world that is running. Used by the server's one thread only.

    ``now_ms`` is the time of the start, milliseconds since the epoch: the moments of the world file count from it.
    """

    def __init__(self, world: World, clock: Callable[[], float] = time.monotonic, now_ms: int | None = None) -> None:
        self.world = world
        self.clock = clock
        self.timeline = Timeline(clock, int(time.time() * 1000) if now_ms is None else now_ms)
        self.images: Sequence[ImageState] = images_of(world, self.timeline)
        self.by_uuid = {state.image.image_uuid: state for state in self.images}
        self.repositories = RepositoryBook(world.repositories, self.images)
        self.tasks = TaskBook(world, self.timeline)
        self.faults = FaultBook(world.faults, world.seed)
        account = world.account
        expires = None if account.token_expires is None else self.moment(account.token_expires)
        self.caller = Caller(account.access_key_id, account.access_key_secret, account.security_token, expires)
        self._accepted = 0
        self._nonces: dict[str, float] = {}
        self._bucket = _Bucket(world.quirks.rate_limit, clock) if world.quirks.rate_limit else None

    def moment(self, text: str) -> int:
        """Return a moment of the world file as milliseconds since the epoch."""
        return self.timeline.moment(text)

    @property
    def digest_prefix(self) -> str:
        """What the service writes before every digest."""
        return "sha256:" if self.world.quirks.digest_prefix else ""

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

    def use_token(self) -> None:
        """Count a call whose caller is known.

        :raises RefusalError: once the session token has expired, by calls.
        """
        last = self.world.account.token_expires_after_calls
        if last is not None and self._accepted >= last:
            raise token_expired()
        self._accepted += 1

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
