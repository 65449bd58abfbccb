"""The fetch of findings, after import, at one page size: the plain loop and the gate in turn, in one process."""

from __future__ import annotations

import gc
import os
import time
from typing import TYPE_CHECKING, Any

from figures import Figure, rounded
from processes import Endpoint, alone, serving

from ci_gate.security_center.limiter import MAX_WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KEYS = 112
PAGE_SIZE = 100  # the first size that the gate tries
BOUND_FROM_MS = 100  # where calls are faster, the processor is the limit: the SDK alone takes more than one millisecond a call
EFFICIENCY = 0.85  # of what all workers could do at best


def measure(latencies_ms: Sequence[int], pages_a_key: Sequence[int], runs: int) -> list[Figure]:
    """Measure at every latency, with images that have so many full pages of each key.

    The loop makes one call after the other, so its time a page does not depend on how many there are: it reads the smallest image.
    Promised is the speed for the largest one, where calls take as long as over a wide network: before the window is open, and while the
    last calls are under way, not all workers work.
    """
    figures = []
    counts = [pages * KEYS * PAGE_SIZE for pages in pages_a_key]
    images = [_image(count) for count in counts]
    for latency_ms in latencies_ms:
        with serving(images, latency=latency_ms / 1000) as endpoint:
            plain, ours = alone(time_in_turn, endpoint.without_pipe, counts, runs)
        for count, seconds in zip(counts, ours, strict=True):
            bound = EFFICIENCY * MAX_WINDOW if count == counts[-1] and latency_ms >= BOUND_FROM_MS else None
            what = f"reading {count:,} findings, {latency_ms} ms a call"
            figures.append(Figure(what, "ms a page", _a_page(seconds, count), _a_page(plain, counts[0]), "at least", bound))
    return figures


def _a_page(seconds: Sequence[float], count: int) -> tuple[float, ...]:
    return rounded([1000 * each * PAGE_SIZE / count for each in seconds])


def _image(count: int) -> dict[str, Any]:
    return {
        "reference": f"registry.example.com/shop/n{count}:1",
        "digest": f"{count:064x}",
        "uuid": _uuid(count),
        "generate": {"count": count},
    }


def _uuid(count: int) -> str:
    return f"{count:032x}"


def time_in_turn(endpoint: Endpoint, counts: Sequence[int], runs: int) -> tuple[list[float], list[list[float]]]:
    """Return the seconds of the loop for the first image, a value a run, and those of the gate for each image.

    :raises RuntimeError: if not every finding was read.
    """
    os.environ.update(endpoint.environment)
    import loop  # with the SDK as everybody imports it; the gate imports less of it

    from ci_gate.cli.main import collect_less
    from ci_gate.deadline import Deadline
    from ci_gate.model import EvidenceRules, Image
    from ci_gate.security_center.endpoint import parse_endpoint
    from ci_gate.security_center.findings import ScanRange, read_findings
    from ci_gate.security_center.transport import connect

    pythons_own = gc.get_threshold()

    def by_loop(count: int) -> int:
        gc.set_threshold(*pythons_own)
        return len(loop.every_finding(loop.connect(), _uuid(count), page_size=PAGE_SIZE))

    def by_gate(count: int) -> int:
        collect_less()
        transport, _ = connect(parse_endpoint(endpoint.address, allow_any=False), "cn-shanghai", None, lambda _: None)
        return len(read_findings(transport, Image(_uuid(count), f"{count:064x}"), EvidenceRules(), ScanRange(), Deadline(300)).findings)

    for count in counts:
        loop.every_key(loop.connect(), _uuid(count))  # the endpoint makes up the findings when they are first asked for
    by_gate(counts[0])  # imports what it imports late
    plain: list[float] = []
    ours: list[list[float]] = [[] for _ in counts]
    for _ in range(runs):
        plain.append(_seconds(by_loop, counts[0]))
        for seconds, count in zip(ours, counts, strict=True):
            seconds.append(_seconds(by_gate, count))
    return plain, ours


def _seconds(read: Callable[[int], int], count: int) -> float:
    started = time.perf_counter()
    found = read(count)
    seconds = time.perf_counter() - started
    if found != count:
        raise RuntimeError(f"{found} of {count} findings were read")
    return seconds
