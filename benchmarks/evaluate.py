"""Time and memory of judging: 25,000 to 200,000 findings against 500 waivers, all on one key, in several shapes.

    python benchmarks/evaluate.py [FINDINGS ...]

Time is processor time of ``judge`` alone; memory is the peak of the whole process, findings included, which are about a half of it.
Every line is a process of its own, so that no line profits from another one's caches.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from datetime import date

from ci_gate.model import Finding, Inventory, number_alike
from ci_gate.policy.effective import EffectivePolicy, Judges, Thresholds, Waiver
from ci_gate.policy.judging.evaluate import judge

SIZES = (25_000, 50_000, 100_000, 200_000)
WAIVERS = 500
KEY = "rsa_private_key"
TODAY = date(2026, 9, 1)


def shaped(shape: str, i: int) -> dict[str, tuple[str, ...]]:
    """Return what the waiver number ``i`` of a shape names, beside the key."""
    return {
        "none": {"paths": (f"/elsewhere/{i}",)},
        "exact paths": {"paths": (f"/opt/dir{i}/sub{i % 7}/name{i}.pem",)},
        "/dir/**": {"paths": (f"/opt/dir{i}/**",)},
        "**/name*.pem": {"paths": (f"**/name{i}*.pem",)},
        "/opt/**/*name*": {"paths": (f"/opt/**/*ame{i}.*",)},
        "md5": {"md5": (f"{i:032x}",)},
        "all of them": [
            {"paths": (f"/opt/dir{i}/sub{i % 7}/name{i}.pem",)},
            {"paths": (f"/opt/dir{i}/**",)},
            {"paths": (f"**/name{i}*.pem",)},
            {"paths": (f"/opt/**/*ame{i}.*",)},
            {"md5": (f"{i:032x}",)},
        ][i % 5],
    }[shape]  # type: ignore[return-value]  # a table of examples


SHAPES = ("none", "exact paths", "/dir/**", "**/name*.pem", "/opt/**/*name*", "md5", "all of them")


def measure(shape: str, size: int) -> None:
    """Judge once, and print the seconds, the peak in MB and how many findings were waived."""
    findings = (
        Finding(KEY, f"/opt/dir{i % 977}/sub{i % 7}/name{i}.pem", "low", md5=f"{i:032x}", layer_digest=f"{i % 9:064x}") for i in range(size)
    )
    inventory = Inventory(number_alike(findings))
    waivers = tuple(Waiver(f"W-{i}", (KEY,), **shaped(shape, i), expires=TODAY) for i in range(WAIVERS))
    policy = EffectivePolicy(thresholds=Thresholds(low=0, total=0), waivers=waivers)
    started = time.process_time()
    verdict = judge(Judges(policy), inventory, TODAY)
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kB on Linux
    print(f"{shape:16} {size:>9,} {seconds:>9.2f} {peak:>9.0f} {size - len(verdict.violations):>9,}")


def main(arguments: list[str]) -> None:
    """Print the table; with a shape and a size, its line alone."""
    if len(arguments) == 2 and arguments[0] in SHAPES:  # noqa: PLR2004 - a shape and a size
        measure(arguments[0], int(arguments[1]))
        return
    print(f"{'500 waivers':16} {'findings':>9} {'seconds':>9} {'peak MB':>9} {'waived':>9}", flush=True)
    for shape in SHAPES:
        for size in [int(argument) for argument in arguments] or SIZES:
            subprocess.run([sys.executable, __file__, shape, str(size)], check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
