"""Tests that need the tools of the platforms: ``make platforms`` runs them, ``make test`` does not. They take minutes, npm and an index."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from pipelines import commit
from support import Gate

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "build" / "platforms"
collect_ignore_glob = [] if os.environ.get("CI_GATE_PLATFORMS") else ["test_*.py"]


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


@pytest.fixture(scope="session")
def tool():
    """Return what finds a tool, or skips the test and says so."""

    def find(name: str) -> str:
        for path in (TOOLS / "venv" / "bin" / name, TOOLS / "npm" / name / "node_modules" / ".bin" / name):
            if path.exists():
                return str(path)
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"NOT TESTED: {name} is not on this machine; `make platforms` tries to install it")
        return found

    return find


@pytest.fixture
def served(gate):
    """Start the embedded endpoint with images; return the variables by which it is asked."""
    started = []

    def serve(*images: dict) -> dict[str, str]:
        process = gate.start("emulate", gate.world(*images))
        started.append(process)
        lines = [process.stdout.readline() for _ in range(3)]
        return dict(line.removeprefix("export ").strip().split("=", 1) for line in lines)

    yield serve
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


@pytest.fixture(scope="session")
def repository(tmp_path_factory, tool) -> tuple[Path, str]:
    """A Git repository with what is in the checkout now, and its commit: what a team's own copy of ci-gate is."""
    folder = tmp_path_factory.mktemp("repository") / "ci-gate.git"
    folder.mkdir()
    for name in ("ci_gate", "policies"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("install.sh", "pyproject.toml", "README.md", "LICENSE", "requirements.txt", "requirements-build.txt"):
        shutil.copy(ROOT / name, folder / name)
    return folder, commit(folder, tool("git"))
