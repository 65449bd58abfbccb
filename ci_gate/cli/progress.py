"""What the run waits for, while it waits: a live line on a terminal, plain lines in a log."""

from __future__ import annotations

import os
import re
import threading
from collections import Counter
from typing import TYPE_CHECKING

from ci_gate.cli.output import say, show_live, width
from ci_gate.report.text import shorten

if TYPE_CHECKING:
    from typing import Self

    from ci_gate.deadline import Deadline
    from ci_gate.model import Step

_TICK_S = 1.0
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SHOWN_DIGEST = len("sha256:") + 12
_SILENCE_S = 30.0  # a CI platform may end a job that says nothing for long


class Progress:
    """Tells each step of each image. Safe to call from several threads; use it as a context, so that its line goes away."""

    def __init__(self, deadline: Deadline, images: int, *, quiet: bool) -> None:
        """Begin with ``images`` images, none of them decided.

        :param quiet: say nothing.
        """
        self._deadline = deadline
        self._images = images
        self._quiet = quiet
        self._live = not quiet and width() is not None and os.environ.get("TERM") != "dumb"
        self._lock = threading.Lock()
        self._steps: dict[str, Step] = {}
        self._decided = 0
        self._said_at = deadline.elapsed
        self._over = threading.Event()

    def __enter__(self) -> Self:
        if not self._quiet:
            threading.Thread(target=self._tick, name="ci-gate-progress", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:  # whoever draws just now is done before the line goes away
            self._over.set()
            if self._live:
                show_live("")

    def step(self, step: Step) -> None:
        """Tell what is done for an image now, or waited for."""
        with self._lock:
            before = self._steps.get(step.image)
            self._steps[step.image] = step
            if self._quiet or self._over.is_set() or before == step:
                return
            if self._live:
                self._draw()
            elif step.stage != "read" and (before is None or (before.stage, before.detail) != (step.stage, step.detail)):
                self._say(self._sentence(step))  # reading takes no time worth a line

    def decided(self, image: str) -> None:
        """Tell that an image needs nothing more."""
        with self._lock:
            self._steps.pop(image, None)
            self._decided += 1
            if self._live and not self._over.is_set():
                self._draw()

    def _tick(self) -> None:
        while not self._over.wait(_TICK_S):
            with self._lock:
                if self._over.is_set():
                    return
                if self._live:
                    self._draw()
                elif self._steps and self._deadline.elapsed - self._said_at >= _SILENCE_S:
                    self._say(self._summary())

    def _say(self, line: str) -> None:
        say(f"{line}, {_duration(self._deadline.remaining)} left")
        self._said_at = self._deadline.elapsed

    def _draw(self) -> None:
        line = f"{self._summary()}, {_duration(self._deadline.remaining)} left" if self._steps else ""
        show_live(shorten(line, max(20, (width() or 80) - 1)))

    def _summary(self) -> str:
        """Say how far the run is: of one image what it does, of several how many do what."""
        if self._images == 1:
            return self._sentence(next(iter(self._steps.values())))
        stages = Counter(step.stage for step in self._steps.values())
        doing = ", ".join(f"{number} in {stage}" for stage, number in stages.items())
        return f"{self._decided} of {self._images} images decided, {doing}"

    def _sentence(self, step: Step) -> str:
        percent = "" if step.percent is None else f", {step.percent} %"
        name = "" if self._images == 1 else f"{_DIGEST.sub(lambda found: found[0][:_SHOWN_DIGEST], step.image)}: "
        return f"{name}{step.detail}{percent}"


def _duration(seconds: float) -> str:
    """Write seconds as people say them."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
