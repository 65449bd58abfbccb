"""How hard the tests that make up their own cases try: ``CI_GATE_TEST_EFFORT`` multiplies the number of cases, 1.0 where it is not set."""

from __future__ import annotations

import os


def examples(count: int) -> int:
    """Return how many cases to make up where ``count`` are enough for every day."""
    return max(1, round(count * float(os.environ.get("CI_GATE_TEST_EFFORT") or 1.0)))
