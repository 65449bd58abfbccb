"""The truth of a world, from the world file alone: which findings there are, whether they block, and whether a pass can be proven.

It counts, in a few lines, and shares no code with the gate: not its judging, not its reading, not the embedded endpoint's serving.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from schedules import DIGEST, NAME, RULES, UNKNOWN_KEY, Case, may_be


@dataclass(frozen=True)
class Truth:
    """What is so. ``provable``: whether scan, rules and settings let anybody say that the image may pass."""

    findings: Counter
    blocks: bool
    provable: bool


def truth_of(case: Case) -> Truth:
    world, policy = case.world, case.policy
    entries = [image for image in world["images"] if image["digest"] == DIGEST]
    rows = [row for image in entries for row in image["findings"] for _ in range(row.get("times", 1)) if _can_be_seen(row, world)]
    asked = next(image for image in entries if image["reference"] == NAME)
    scanned = _scan_succeeds(asked, case.scan) and (case.scan == "auto" or not _failed_last(entries))
    return Truth(
        Counter((row["key"], row["path"], row["risk_level"], row["md5"]) for row in rows),
        scanned and _blocks(rows, policy),
        scanned and not _blocks(rows, policy) and _settings_suffice(case),
    )


def _can_be_seen(row, world):
    hidden = world["quirks"]["whitelisted_rows"] == "hidden"
    return row["key"] not in world["rules_off"] and row.get("found_in", "image") == "image" and not (hidden and _ignored(row, world))


def _ignored(row, world):
    return any(
        one["event_key"] == row["key"]
        and one.get("scenario", {}).get("value", "shop/api") == "shop/api"
        and all(condition["value"] in row["path"] for condition in one.get("conditions", []))
        for one in world["whitelists"]
    )


def _denied(key, policy):
    return key in policy.denied or (key == UNKNOWN_KEY and policy.unknown_denied)


def _blocks(rows, policy):
    if any(_denied(row["key"], policy) for row in rows):
        return True
    levels = Counter("high" if row["risk_level"] == "urgent" else row["risk_level"] for row in rows)
    return any((len(rows) if what == "total" else levels[what]) > most for what, most in policy.most)


def _scan_succeeds(image, mode):
    """Whether there is ever a scan that succeeded: the one that is there, or one that the gate may ask for."""
    listed = mode == "auto" or not image.get("listed_after", {}).get("sync")
    there = image.get("scan", [{"status": "SUCCESS"}])[-1]["status"] == "SUCCESS"
    asked = mode == "auto" and image.get("scan_when_requested", [{"status": "SUCCESS"}])[-1]["status"] == "SUCCESS"
    return listed and (there or asked)


def _failed_last(entries):
    """Whether the latest scan of all that ended is a failure: where it may, the gate has the image scanned again."""
    if len(entries) == 1:
        return False
    ended = [image.get("scan", [{"status": "SUCCESS"}])[-1] for image in entries]
    ages = {"now": 0, "1h ago": 1, "2h ago": 2, "3h ago": 3}
    latest = min((stage for stage in ended if stage["status"]), key=lambda stage: ages[stage.get("last", "2h ago")])
    return latest["status"] == "FAIL"


def _settings_suffice(case):
    world, policy = case.world, case.policy
    if policy.whitelists == "error" and world["whitelists"]:
        return False
    # What a caller may not ask is a warning (DESIGN, section 6, proof 4), unless the policy says otherwise.
    unasked = policy.coverage == "auto" and any(fault["kind"] == "refusal" and may_be(fault, RULES, "") for fault in case.faults)
    unasked = unasked or (
        policy.coverage == "auto" and any(fault["kind"] == "proxy_page" and may_be(fault, RULES, "") for fault in case.faults)
    )
    return unasked or not any(_denied(key, policy) for key in world["rules_off"])
