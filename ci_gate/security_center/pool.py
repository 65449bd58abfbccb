"""Work side by side on daemon threads, which a hanging SDK cannot turn into a hanging process."""

from __future__ import annotations

import threading
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")


class NotRunError(Exception):
    """A task that was not begun, since the work was stopped before."""


def run_all(tasks: Iterable[Callable[[], T]], workers: int, stop: Callable[[], bool] = lambda: False) -> list[T | BaseException]:
    """Run every task and return what each returned or raised, in the order of the tasks.

    :param stop: asked before each task; once it says so, the others become a :class:`NotRunError`.
    """
    listed = list(tasks)
    results: list[T | BaseException] = [NotRunError()] * len(listed)
    todo: SimpleQueue[int] = SimpleQueue()
    for index in range(len(listed)):
        todo.put(index)
    ended: SimpleQueue[None] = SimpleQueue()

    def work() -> None:
        while True:
            try:
                index = -1 if stop() else todo.get_nowait()
            except Empty:
                index = -1
            if index < 0:
                ended.put(None)
                return
            try:
                results[index] = listed[index]()
            except BaseException as error:  # noqa: BLE001 - handed to the caller, who judges it
                results[index] = error

    count = min(workers, len(listed))
    for number in range(count):
        threading.Thread(target=work, name=f"ci-gate-{number}", daemon=True).start()
    for _ in range(count):
        while True:
            # A bounded wait lets signals reach the main thread.
            try:
                ended.get(timeout=0.2)
                break
            except Empty:
                continue
    return results


def run_together(tasks: Iterable[Callable[[], object]]) -> list[object]:
    """Run a few unlike tasks at once and return what they returned; what one of them raised is raised."""
    # Wrapped, since a task may return an error as a value.
    wrapped = [partial(_in_tuple, task) for task in tasks]
    results = []
    for outcome in run_all(wrapped, len(wrapped)):
        if isinstance(outcome, BaseException):
            raise outcome
        results.append(outcome[0])
    return results


def _in_tuple(task: Callable[[], object]) -> tuple[object]:
    return (task(),)


def run_bounded(task: Callable[[], T], timeout_s: float) -> T:
    """Run a task that may hang on a thread of its own.

    :raises TimeoutError: if it has not ended after ``timeout_s`` seconds; the thread is left behind.
    """
    box: SimpleQueue[tuple[bool, T | BaseException]] = SimpleQueue()

    def work() -> None:
        try:
            box.put((True, task()))
        except BaseException as error:  # noqa: BLE001 - handed to the caller, who judges it
            box.put((False, error))

    threading.Thread(target=work, name="ci-gate-call", daemon=True).start()
    try:
        fine, value = box.get(timeout=max(0.001, timeout_s))
    except Empty:
        raise TimeoutError from None
    if fine:
        return value  # type: ignore[return-value] # True goes with a value
    assert isinstance(value, BaseException)
    raise value
