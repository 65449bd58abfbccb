"""How the gate waits for the service: growing, jittered pauses, a line for each change, and a deadline that ends in the image's state."""

from __future__ import annotations

import random
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ci_gate.errors import UnavailableError
from ci_gate.model import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ci_gate.deadline import Deadline
    from ci_gate.errors import IncompleteError

_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _GROWTH, _SPREAD = 1.0, 20.0, 1.5, 0.2
_SAY_EVERY_S = 30.0  # a CI platform may end a job that says nothing
_FAIR_S = 5.0  # a call that had less time than this before the deadline says nothing of the service


@dataclass(slots=True)
class Wait:
    """The waiting for one image: its pauses, and what was said of it.

    ``image`` is its name in what is said; ``polls`` counts the pauses, ``waited_s`` their seconds.
    """

    image: str
    notify: Callable[[Step], None]
    deadline: Deadline
    polls: int = 0
    waited_s: float = 0.0
    _next_s: float = _FIRST_PAUSE_S
    _said: tuple[str, str] = ("", "")
    _said_at: float = 0.0
    _jitter: random.Random = field(default_factory=random.Random)  # spreads the calls of many runs, protects nothing

    def say(self, stage: str, detail: str, percent: int | None = None) -> None:
        """Tell what is waited for: at each change, and at least every 30 seconds. After a change the pauses begin small again."""
        if (stage, detail) != self._said:
            self._next_s = _FIRST_PAUSE_S
        elif self.deadline.elapsed - self._said_at < _SAY_EVERY_S:
            return
        self._said, self._said_at = (stage, detail), self.deadline.elapsed
        self.notify(Step(self.image, stage, detail, percent))

    def pause(self) -> bool:
        """Wait a little, longer each time; return whether there is time left."""
        seconds = self._next_s * self._jitter.uniform(1 - _SPREAD, 1 + _SPREAD)
        self._next_s = min(_LONGEST_PAUSE_S, self._next_s * _GROWTH)
        before = self.deadline.elapsed
        left = self.deadline.sleep(seconds)
        self.waited_s += self.deadline.elapsed - before
        self.polls += 1
        return left

    @contextmanager
    def looking(self, ended: Callable[[], IncompleteError]) -> Iterator[None]:
        """Look at the service once more; where only the deadline ended the look, what there is to say is the state of the image.

        :raises IncompleteError: what ``ended`` builds.
        :raises UnavailableError: where the service had its time and did not answer.
        """
        left = self.deadline.remaining
        try:
            yield
        except UnavailableError:
            if left < _FAIR_S:
                raise ended() from None
            raise
