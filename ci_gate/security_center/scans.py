"""Waiting for the scan of an image, and the proof that it finished."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ci_gate.errors import IncompleteError, UnavailableError
from ci_gate.model import EvidenceRules, Image, Proof, ProofState
from ci_gate.security_center.images import refresh

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci_gate.deadline import Deadline
    from ci_gate.security_center.transport import Transport

_FAILED = {"FAIL", "TIMEOUT", "TIMOUT"}  # TIMOUT: the documents of the task spell it so
_FINE_RESULTS = {"", "SUCCESS", "FORBID_CREATE_REPEAT_TASK"}  # the last: someone else's task did the scan
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 2.0, 20.0
_MAX_SKEW_S = 300
_SAY_EVERY_S = 30.0  # a CI platform may end a job that says nothing
_UNSUPPORTED = {
    "TASK_NOT_SUPPORT_REGION": "Security Center cannot scan registries in this region: push to a registry in a region that it supports.",
    "TASK_NOT_EXISTS": "The scan task is gone: scan the image again.",
}


def await_scan(
    transport: Transport, image: Image, rules: EvidenceRules, deadline: Deadline, notify: Callable[[str], None]
) -> tuple[Image, Proof]:
    """Wait until the scan of the image has finished.

    :param notify: told, in a line, of each change of state.
    :raises IncompleteError: if the image has no scan, a failed one, one that is too old, or one that does not end in time.
    """
    pause, said, said_at = _FIRST_PAUSE_S, "", 0.0
    while (status := image.scan_status.upper()) != "SUCCESS":
        if status in _FAILED:
            raise _not_scanned(
                image, f"the scan ended with {image.scan_status}", "Scan the image again in Security Center, then run again."
            )
        if not status:
            raise _not_scanned(
                image, "the image has never been scanned", "Scan it in Security Center (Container image security), then run again."
            )
        if status != said or deadline.elapsed - said_at >= _SAY_EVERY_S:
            notify(f"waiting for the scan: {image.scan_status}{'' if image.scan_progress is None else f', {image.scan_progress} %'}")
            said, said_at = status, deadline.elapsed
        pause = min(_LONGEST_PAUSE_S, pause * 1.5)
        if deadline.sleep(pause):
            with suppress(UnavailableError):  # the deadline may end the look: then its state is what there is to say
                image = refresh(transport, image, deadline)
        if deadline.passed:
            what = f"the scan did not finish within {deadline.seconds:.0f} s, its state is {image.scan_status!r}"
            raise _not_scanned(image, what, "Try again later, or give the run more time with --timeout.")
    if image.scan_result.upper() not in _FINE_RESULTS:
        advice = _UNSUPPORTED.get(
            image.scan_result.upper(), "Look at the scan in the console of Security Center, and scan the image again."
        )
        raise _not_scanned(image, f"the scan says SUCCESS, but its result is {image.scan_result!r}", advice)
    figures: tuple[tuple[str, int | str], ...] = (
        ("status", image.scan_status),
        ("result", image.scan_result),
        ("last_scan_ms", image.last_scan_ms or 0),
    )
    age_s = None if transport.server_ms is None or image.last_scan_ms is None else (transport.server_ms - image.last_scan_ms) // 1000
    if age_s is not None:
        figures = (*figures, ("age_s", age_s))
    _check_age(image, age_s, rules)
    return image, Proof("scanned", ProofState.HELD, "the scan finished" + ("" if age_s is None else f" {max(0, age_s)} s ago"), figures)


def _check_age(image: Image, age_s: int | None, rules: EvidenceRules) -> None:
    """Hold the age of the scan, in seconds, against ``evidence.max_scan_age``.

    :raises IncompleteError: if the scan is older, or its age cannot be told.
    """
    if rules.max_scan_age_s is None:
        return
    if age_s is None or age_s < -_MAX_SKEW_S:
        raise _not_scanned(
            image, "the age of the scan cannot be told", "The service sent no time of the scan, or one in the future: scan the image again."
        )
    if age_s > rules.max_scan_age_s:
        what = f"the scan is {age_s} s old, the policy allows {rules.max_scan_age_s:.0f} s"
        raise _not_scanned(image, what, "Scan the image again in Security Center, then run again.")


def _not_scanned(image: Image, what: str, advice: str) -> IncompleteError:
    return IncompleteError(f"image {image.uuid}: {what}", advice=advice, action="DescribeImageInstances")
