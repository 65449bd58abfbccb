"""Judging and every report: the seconds that they take, and the peak of the process that does it, findings included."""

from __future__ import annotations

import resource
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from figures import Figure, rounded
from processes import alone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci_gate.policy.effective import Waiver

_TODAY = date(2026, 9, 1)
_WAIVERS, _WAIVED = 500, "sqlite"
_MOST_SECONDS, _MOST_MB = 5.0, 300.0


def measure(sizes: Sequence[int], runs: int) -> list[Figure]:
    """Measure with the built-in policy ``default``; and the largest size, for which there are promises, with 500 waivers of one key."""
    figures = []
    for size in sizes:
        seconds, peaks = zip(*(alone(judge_and_write, size, 0) for _ in range(runs)), strict=True)
        what = f"judging {size:,} findings, writing all reports"
        promised = size == sizes[-1]
        figures.append(Figure(what, "s", rounded(seconds), bound=_MOST_SECONDS if promised else None))
        figures.append(Figure(f"{what}: peak memory", "MB", rounded(peaks), bound=_MOST_MB if promised else None))
    seconds, _ = zip(*(alone(judge_and_write, sizes[-1], _WAIVERS) for _ in range(runs)), strict=True)
    figures.append(Figure(f"the same for {sizes[-1]:,} findings with {_WAIVERS} waivers of one key", "s", rounded(seconds)))
    return figures


def judge_and_write(size: int, waivers: int) -> tuple[float, float]:
    """Judge findings and write every report there is; return the seconds, and the peak memory of this process in MB."""
    from dataclasses import replace

    from ci_gate.catalog import catalog_keys
    from ci_gate.cli.main import collect_less
    from ci_gate.model import Finding, Image, ImageReference, Inventory, SourceInfo, number_alike
    from ci_gate.policy.effective import Judges
    from ci_gate.policy.judging.evaluate import judge
    from ci_gate.policy.language.floors import summarise
    from ci_gate.policy.language.load import load_policy
    from ci_gate.report import FORMATS, Target, write_reports
    from ci_gate.verdict import ImageResult, RunResult

    collect_less()  # as the command does

    keys = (_WAIVED,) if waivers else catalog_keys()
    findings = number_alike(
        Finding(
            keys[i % len(keys)],
            f"/opt/dir{i % 977}/sub{i % 7}/name{i}.pem",
            ("high", "medium", "low")[i % 3],
            md5=f"{i:032x}",
            layer_digest=f"{i % 9:064x}",
            name=f"a file of the kind {i % len(keys)}",
            advice="Assess risks based on business conditions, remove risky content, and rebuild the image.",
            description="Verify the validity of the leaked content.",
            first_scan_ms=1_788_000_000_000,
            last_scan_ms=1_788_000_000_000,
        )
        for i in range(size)
    )
    reference = ImageReference.parse(f"registry.example.com/shop/api:1.4.2@sha256:{'5e' * 32}")
    summary, judges = summarise(load_policy("default"), ())
    judges = Judges(replace(judges.policy, waivers=tuple(map(_waiver, range(waivers)))))
    source = SourceInfo("emulated", "http://127.0.0.1:1", "cn-shanghai")

    started = time.perf_counter()
    verdict = judge(judges, Inventory(findings), _TODAY, reference.canonical)
    image = ImageResult(str(reference), reference, Image("0" * 32, reference.digest or ""), (source.proof,), verdict)
    with tempfile.TemporaryDirectory() as folder:
        write_reports(
            [Target(name, str(Path(folder, each.file_name))) for name, each in FORMATS.items()],
            RunResult("0", source, summary, (image,), today=_TODAY),
        )
        seconds = time.perf_counter() - started
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kB on Linux


def _waiver(i: int) -> Waiver:
    """Return the waiver number ``i``: five shapes in turn."""
    from ci_gate.policy.effective import Waiver

    paths = (f"/opt/dir{i}/sub{i % 7}/name{i}.pem", f"/opt/dir{i}/**", f"**/name{i}*.pem", f"/opt/**/*ame{i}.*")
    shape = i % (len(paths) + 1)
    if shape == len(paths):
        return Waiver(f"W-{i}", (_WAIVED,), md5=(f"{i:032x}",), expires=_TODAY)
    return Waiver(f"W-{i}", (_WAIVED,), paths=(paths[shape],), expires=_TODAY)
