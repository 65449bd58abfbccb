"""The integrations with everything real but the service: the installations from hashes, and GitLab's job under gitlab-ci-local."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from pipelines import JOB_ENVIRONMENT, ROOT, ActionRunner, commit, jenkins_script
from support import COMMAND, NAME, REFERENCE, finding, image

DENIED = finding("aws_access_key", "/root/.aws/credentials", "high")


def poison(wheel: Path) -> None:
    """Put a file into a wheel that ends whatever Python starts beside it, with the exit code of a pass."""
    with zipfile.ZipFile(wheel) as archive:
        items = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in items.items():
            archive.writestr(name, content + b"poison.pth,,\n" if name.endswith("/RECORD") else content)
        archive.writestr("poison.pth", "import os; os._exit(0)\n")


def test_the_action_installs_from_hashes_into_an_environment_of_its_own(tmp_path):
    runner = ActionRunner(tmp_path, installed=False)
    world = runner.workspace / "world.json"
    world.write_text(json.dumps({"version": 1, "images": [image(DENIED)]}), "utf-8")
    venv.create(tmp_path / "job", with_pip=False)
    job_environment = {
        "PIP_TARGET": str(tmp_path / "target"),
        "PIP_USER": "1",
        "PIP_PYTHON": str(tmp_path / "job" / "bin" / "python"),
        "PYTHONPATH": "/nowhere",
    }

    first = runner.run(job_environment=job_environment, image=REFERENCE, emulate=str(world))
    wheels = list((runner.temporary / "ci-gate-downloads").rglob("*.whl"))
    for wheel in wheels:
        poison(wheel)
    second = runner.run(image=NAME, emulate=str(world))

    assert (10, 20) == (first.code, second.code), first.log + second.log
    assert ("blocked", "undecided") == (first.outputs["verdict"], second.outputs["verdict"])
    assert wheels, "pip keeps none any more: nothing was tried"
    assert not list(runner.temporary.rglob("poison.pth"))
    assert not (tmp_path / "target").exists()
    assert not list((tmp_path / "job").rglob("*.dist-info"))
    # pip asks rustc for its version to say it to the index, and rustup, where that is what answers, makes itself a folder.
    assert {path.name for path in runner.home.iterdir()} <= {".rustup"}, "something of the job's was touched"


def gitlab_local(gate, tool, job: str, **variables: str) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Run a job of a pipeline that includes the template; return how it ended, and the folder with its artifacts."""
    project = gate.folder / "project"
    project.mkdir()
    shutil.copy(ROOT / ".gitlab-ci-template.yml", project / "template.yml")
    pipeline = (
        "include: [{local: template.yml}]\n"
        "stages: [gate, after]\n"
        "ci-gate: {extends: .ci-gate, stage: gate}\n"
        "findings: {extends: .ci-gate-findings, stage: after, needs: [{job: ci-gate, artifacts: true}]}\n"
        "deploy: {stage: after, needs: [ci-gate], script: [echo DEPLOYED]}\n"
    )
    (project / ".gitlab-ci.yml").write_text(pipeline, "utf-8")
    commit(project, tool("git"))
    tool("rsync")
    given = [argument for name, value in variables.items() for argument in ("--variable", f"{name}={value}")]
    options = (
        "--shell-isolation",
        "--no-artifacts-to-source",
        "--force-shell-executor",
        "--home",
        str(gate.folder / "home"),
    )
    environment = gate.environment()
    environment["PATH"] = f"{COMMAND.parent}:{environment['PATH']}"
    done = subprocess.run(
        [tool("gitlab-ci-local"), *options, *given, *job.split()],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done, project / ".gitlab-ci-local" / "artifacts" / "ci-gate" / "ci-gate-reports"


@pytest.mark.parametrize(
    ("found", "reference", "code"),
    [(image(finding()), REFERENCE, 0), (image(DENIED), REFERENCE, 10), (image(), NAME, 20)],
    ids=["passed", "blocked", "undecided"],
)
def test_the_gitlab_job_under_gitlab_ci_local(gate, tool, served, found, reference, code):
    done, artifacts = gitlab_local(gate, tool, "", CI_GATE_IMAGE=reference, **served(found))
    said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)

    assert (code == 0) is (done.returncode == 0), said
    assert (code == 0) is ("DEPLOYED" in said)
    assert code == 0 or re.search(rf"^ci-gate\s.*FAIL {code}\s*$", said, re.MULTILINE), said
    wanted = {
        "junit.xml",
        "result.json",
        "results.sarif",
        "summary.md",
        "report.html",
        "gl-code-quality-report.json",
        "gl-secret-detection-report.json",
    }
    assert wanted == {path.name for path in artifacts.iterdir()}
    assert code == json.loads((artifacts / "result.json").read_text("utf-8"))["exit_code"]


def test_the_gitlab_job_installs_from_a_commit_and_from_hashes(gate, tool, served, repository):
    folder, head = repository
    variables = {"CI_GATE_PACKAGE": folder.as_uri(), "CI_GATE_COMMIT": head, **served(image(DENIED))}

    done, artifacts = gitlab_local(gate, tool, "ci-gate", CI_GATE_IMAGE=REFERENCE, **variables)

    assert 0 != done.returncode
    assert 10 == json.loads((artifacts / "result.json").read_text("utf-8"))["exit_code"], done.stdout + done.stderr


def test_the_gitlab_job_refuses_a_branch_in_place_of_a_commit(gate, tool, repository):
    variables = {"CI_GATE_PACKAGE": repository[0].as_uri(), "CI_GATE_COMMIT": "HEAD"}

    done, artifacts = gitlab_local(gate, tool, "ci-gate", CI_GATE_IMAGE=REFERENCE, **variables)

    assert 0 != done.returncode
    assert "CI_GATE_COMMIT is no full commit id" in done.stdout + done.stderr
    assert not artifacts.exists()


def installing(gate) -> dict[str, str]:
    return gate.environment(**{name: os.environ[name] for name in JOB_ENVIRONMENT if name in os.environ})


def test_the_install_step_of_jenkins_gives_a_gate_that_works(gate, tool, repository):
    tool("git")
    folder, head = repository
    home = gate.folder / "tmp" / "ci-gate"
    variables = {"CI_GATE_HOME": str(home), "CI_GATE_REPOSITORY": folder.as_uri(), "CI_GATE_COMMIT": head}

    done = subprocess.run(
        ["sh", "-xe"],
        input=jenkins_script("install"),
        cwd=gate.folder,
        env=installing(gate) | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    checked = subprocess.run(
        [home / "venv" / "bin" / "ci-gate", "check", NAME, "--emulate"], cwd=gate.folder, env=gate.environment(), check=False
    )

    assert 0 == done.returncode, done.stderr
    assert 20 == checked.returncode


def test_the_containerfile_makes_an_environment_that_works_without_pip(gate):
    """No container engine is needed: its steps use no shell, so they can be taken at their word, in other folders."""
    text = (ROOT / "Containerfile").read_text("utf-8")
    root = gate.folder / "root"

    def placed(argument: str) -> str:
        return str(root / argument[1:]) if argument.startswith("/") else argument

    for line in text.splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            *sources, target = line.split()[1:]
            for source in sources:
                whole = (ROOT / source).is_dir()
                to = Path(placed(target)) if whole else Path(placed(target)) / source
                to.parent.mkdir(parents=True, exist_ok=True)
                (shutil.copytree if whole else shutil.copy)(ROOT / source, to)
        elif line.startswith("RUN "):
            command = [placed(argument) for argument in json.loads(line[4:])]
            command[0] = sys.executable if command[0] == "python3" else command[0]
            done = subprocess.run(command, cwd=gate.folder, env=installing(gate), capture_output=True, text=True, check=False)
            assert 0 == done.returncode, (command, done.stderr)

    shipped = root / "opt" / "ci-gate"
    assert "COPY --from=build /opt/ci-gate /opt/ci-gate" in text
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", text, re.MULTILINE)
    assert not list(shipped.rglob("pip")) + list(shipped.rglob("setuptools")) + list(shipped.rglob("hatchling"))
    demo = "registry.example.com/shop/api@sha256:d20141dbeaeb24ed0d7bbc855d6b7f7c4bfce46b85d8b851f36ad8a47db7b7d1"
    entry = json.loads(re.search("^ENTRYPOINT (.*)", text, re.MULTILINE)[1])
    command = [placed(entry[0]), *entry[1:], "check", demo, "--emulate", "--policy", "default"]
    assert 10 == subprocess.run(command, cwd=gate.folder, env=gate.environment(), check=False, timeout=60).returncode
