"""Saved results to replay, explain and make baselines of: three checks on the embedded endpoint, and changes of their documents."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING

from support import Gate, finding, image

if TYPE_CHECKING:
    from pathlib import Path

LAYER = "ab" * 32
POLICY = """\
version: 1
name: shop
deny: {keys: [aws_access_key]}
allow: {keys: [php_config]}
thresholds: {high: 0, low: 5}
waivers:
  - id: W-1
    keys: [rsa_private_key]
    paths: ["/opt/testdata/**"]
    reason: a fixture
    owner: team-payments
    created: 2026-01-01
    expires: 2036-01-01
waiver_rules: {max_days: null}
"""
HARMLESS = (
    finding("sqlite", "/app/data.db", "low"),
    finding("sqlite", "/app/data.db", "low"),
    finding("php_config", "/var/www/config.php", "low"),
    finding("rsa_private_key", "/opt/testdata/a/key.pem", "high"),
)
DENIED = finding("aws_access_key", "/root/.aws/credentials", "high")
OVER_THRESHOLD = finding("npm_token", "/app/.npmrc", "high")


def check_all(folder: Path) -> dict[str, dict]:
    """Run three checks; return their documents by verdict."""
    worlds = {
        "passed": image(*HARMLESS),
        "blocked": image(*HARMLESS, DENIED, OVER_THRESHOLD),
        "undecided": image(scan=[{"status": "SUCCESS", "result": "TASK_NOT_SUPPORT_REGION"}]),
    }
    documents = {}
    for name, world in worlds.items():
        (folder / name).mkdir()
        gate = Gate(folder / name)
        finished = gate.check(gate.world(world), "-p", gate.policy(POLICY))
        assert {"passed": 0, "blocked": 10, "undecided": 20}[name] == finished.code, finished.err
        documents[name] = finished.result
    return documents


def live(document: dict, kind: str = "live") -> dict:
    """The document as a check of the real service writes it: what says nothing of a real image gets into no baseline."""
    changed = copy.deepcopy(document)
    changed["source"]["kind"] = kind
    for row in changed["images"]:
        for proof in row["evidence"]:
            if proof["name"] == "source":
                proof["figures"]["kind"] = kind
    return changed


def save(gate: Gate, document: dict, name: str = "saved.json") -> str:
    """Put a document into the folder of a gate; return its name there."""
    (gate.folder / name).write_text(json.dumps(document), "utf-8")
    return name
