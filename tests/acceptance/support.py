"""The installed command as a process, with a scrubbed environment, against the embedded endpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import forked

from ci_gate.deadline import Deadline

COMMAND = Path(sys.executable).parent / "ci-gate"
DIGEST = "5e" * 32
NAME = "registry.example.com/shop/api:1.4.2"
REFERENCE = f"{NAME}@sha256:{DIGEST}"


class Impatient(Deadline):
    """A deadline whose pauses are short: what is tried again is tried as often, not as long."""

    def sleep(self, seconds):
        return super().sleep(seconds / 20)


@dataclass(frozen=True)
class Finished:
    """How a run of the command ended."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def result(self):
        """The JSON report."""
        return json.loads((self.folder / "reports" / "result.json").read_text("utf-8"))

    def report(self, name: str) -> str:
        return (self.folder / "reports" / name).read_text("utf-8")

    @property
    def everything(self) -> str:
        """All that the run said or wrote."""
        files = (self.folder / "reports").glob("*") if (self.folder / "reports").exists() else ()
        return self.out + self.err + "".join(path.read_text("utf-8") for path in files)


class Gate:
    """Runs the command in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "home").mkdir()

    def environment(self, **extra: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LANG") if name in os.environ}
        return {**kept, "HOME": str(self.folder / "home"), "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true", **extra}

    def world(self, *images: dict, **fields) -> Path:
        path = self.folder / "world.json"
        path.write_text(json.dumps({"version": 1, "images": list(images), **fields}), "utf-8")
        return path

    def policy(self, text: str) -> Path:
        path = self.folder / "policy.yaml"
        path.write_text(text, "utf-8")
        return path

    def start(self, *arguments: object, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [COMMAND, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def run(self, *arguments: object, timeout: float = 60, **environment: str) -> Finished:
        """Run the command to its end; with an environment of its own as a new process, which imports all that it needs itself."""
        if not environment:
            return Finished(*forked.run([*map(str, arguments)], self.folder, self.environment(), timeout), self.folder)
        process = self.start(*arguments, **environment)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return Finished(process.returncode, out, err, self.folder)

    def check(self, world: Path | None = None, *arguments: object, reference: str = REFERENCE, **environment: str) -> Finished:
        emulate = f"--emulate={world}" if world else "--emulate"
        return self.run("check", reference, emulate, "--report-dir", "reports", *arguments, **environment)


def image(*findings: dict, **fields) -> dict:
    """An image of a world; clean without findings."""
    return {"reference": NAME, "digest": DIGEST, "findings": list(findings), **fields}


def finding(key: str = "sqlite", path: str = "/app/data.db", risk_level: str = "low", **fields) -> dict:
    return {"key": key, "path": path, "risk_level": risk_level, **fields}
