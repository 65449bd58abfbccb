"""Many images under the rate limit of the service: what it costs, and how many calls are throttled once the rate is learnt."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from figures import Figure, rounded
from processes import alone, serving

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processes import Endpoint

_ANSWERED = 200
_LATENCY_S = 0.05
_KEYS = ("sqlite", "npm_token", "docker_registry_cfg", "git_cfg")


def measure(images: int, per_second: int, runs: int) -> list[Figure]:
    """Decide images side by side; what is possible at all is as many calls as were answered, at the rate that is allowed."""
    names = [f"n{number:02}" for number in range(images)]
    world = [_image(name) for name in names]
    rate = {"per_second": per_second}
    seconds, possible, shares = [], [], []
    for _ in range(runs):
        with serving(world[:1]) as warm, serving(world, latency=_LATENCY_S, rate_limit=rate) as limited:
            seconds.append(alone(decide_all, (warm.without_pipe, limited.without_pipe), names))
            statuses = limited.statuses()
        possible.append(statuses.count(_ANSWERED) / per_second)
        shares.append(100 * throttled_share(statuses, per_second))
    what = f"{images} images at {per_second} calls a second"
    return [
        Figure(f"{what}, against calls ÷ rate", "s", rounded(seconds), rounded(possible), bound=1.2),
        Figure(f"{what}: throttled once the rate is learnt", "% of calls", rounded(shares), bound=5.0),
    ]


def throttled_share(statuses: Sequence[int], per_second: int) -> float:
    """Return how many calls were throttled, of those that came a second or more (of calls) after the first one that was."""
    first = next((number for number, status in enumerate(statuses) if status != _ANSWERED), len(statuses))
    learnt = statuses[first + per_second :]
    return sum(status != _ANSWERED for status in learnt) / max(1, len(learnt))


def decide_all(endpoints: Sequence[Endpoint], names: Sequence[str]) -> float:
    """Decide one image at the first endpoint, which imports all there is to import; return the seconds for all of them at the second.

    :raises RuntimeError: if one of them did not pass.
    """
    from ci_gate.cli.run import CheckOptions, decide

    for endpoint, asked in zip(endpoints, (names[:1], names), strict=True):
        os.environ.update(endpoint.environment)
        images = tuple(f"registry.example.com/shop/{name}@sha256:{_digest(name)}" for name in asked)
        started = time.perf_counter()
        result = decide(CheckOptions(images=images, policy="default", endpoint=endpoint.address, scan="never", quiet=True))
        seconds = time.perf_counter() - started
        if result.exit_code:
            raise RuntimeError(f"the images did not pass: {result.causes or [image.causes for image in result.images]}")
    return seconds


def _image(name: str) -> dict[str, Any]:
    rule = {"count": len(_KEYS), "keys": _KEYS, "risk_levels": ["low"]}
    return {"reference": f"registry.example.com/shop/{name}:1", "digest": _digest(name), "generate": rule}


def _digest(name: str) -> str:
    return f"{name.encode().hex():0>64}"
