"""``make chaos``: many random schedules against the law, on all cores; prints how many, and how they ended.

The variable EXAMPLES says how many (default 5000), SEED where to begin: another one draws others.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed

from law import LawError, search

_SLICE = 100  # schedules a process at a time
_PER_CORE = 3  # processes: most of the time of each goes into waiting


def main() -> int:
    examples, first = int(os.environ.get("EXAMPLES", "5000")), int(os.environ.get("SEED", "1"))
    sizes = [min(_SLICE, examples - done) for done in range(0, examples, _SLICE)]
    codes: Counter[int] = Counter()
    marks: set[bytes] = set()
    started = time.monotonic()
    with ProcessPoolExecutor(_PER_CORE * (os.cpu_count() or 1)) as pool:
        slices = {pool.submit(search, size, first * 1_000_000 + number): number for number, size in enumerate(sizes)}
        for done in as_completed(slices):
            try:
                held = done.result()
            except LawError as error:
                pool.shutdown(wait=False, cancel_futures=True)
                sys.stdout.write(f"the law is broken, after {codes.total()} schedules that kept it: {error}\n")
                return 1
            codes += held.codes
            marks |= held.marks
            sys.stderr.write(f"{codes.total()} schedules, {time.monotonic() - started:.0f} s\n")
    said = ", ".join(f"{number} x exit code {code}" for code, number in sorted(codes.items()))
    took = time.monotonic() - started
    sys.stdout.write(f"the law held over {codes.total()} random schedules ({len(marks)} different ones) in {took:.0f} s: {said}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
