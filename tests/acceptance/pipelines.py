"""Runs what the files of the platforms say, as these do: steps of ``action.yml``, the script of the GitLab job, shell steps of Jenkins."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor

ROOT = Path(__file__).parents[2]
JOB_ENVIRONMENT = ("PATH", "LANG", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CERT", "PIP_DEFAULT_TIMEOUT")


def load_yaml(path: Path):
    """Load a file of a platform; what ``!reference`` names is put in its place, as GitLab does."""
    return read_yaml(path.read_text("utf-8"))


def read_yaml(text: str):
    document = _yaml().load(text)
    return _resolved(document, document)


class _Reference(list):
    """What ``!reference`` names."""


class _Constructor(SafeConstructor):
    pass


_Constructor.add_constructor("!reference", lambda loader, node: _Reference(loader.construct_sequence(node)))


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    return yaml


def _resolved(node, document):
    if isinstance(node, _Reference):
        for name in node:
            document = document[name]
        return document
    if isinstance(node, dict):
        return {key: _resolved(value, document) for key, value in node.items()}
    if isinstance(node, list):
        items = []
        for item in node:
            found = _resolved(item, document)
            items.extend(found if isinstance(item, _Reference) else [found])
        return items
    return node


@dataclass(frozen=True)
class Job:
    """How a run of the action ended: exit code of the step that failed, outputs, summary, log; the steps that were run."""

    code: int
    outputs: dict[str, str]
    summary: str
    log: str
    steps: tuple[str, ...]


class ActionRunner:
    """Runs the composite action in a folder of its own, with the files and variables of a runner."""

    def __init__(self, folder: Path, *, installed: bool = True) -> None:
        self.workspace = folder / "work space"
        self.temporary = folder / "runner temp"
        self.home = folder / "job home"
        for path in (self.workspace, self.temporary, self.home):
            path.mkdir()
        self.installed = installed
        self.action = load_yaml(ROOT / "action.yml")

    def environment(self, step_file: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in JOB_ENVIRONMENT if name in os.environ}
        own = {
            "HOME": str(self.home),
            "GITHUB_ACTIONS": "true",
            "CI": "true",
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_OUTPUT": str(self.temporary / f"{step_file}.output"),
            "GITHUB_STEP_SUMMARY": str(self.temporary / f"{step_file}.summary"),
            "RUNNER_OS": "Linux",
            "RUNNER_TEMP": str(self.temporary),
            "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true",
        }
        return {**kept, **own}

    def run(self, *, job_environment: dict[str, str] | None = None, **inputs: str) -> Job:
        """Run every step but those of other actions, until one fails."""
        steps: dict[str, dict[str, str]] = {}
        ran, log, summary, code = [], "", "", 0
        for step, command, environment in self.commands(steps, job_environment or {}, inputs):
            done = subprocess.run(
                command,
                cwd=self.workspace,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=540,
            )
            ran.append(step["name"])
            log += done.stdout + done.stderr
            if "id" in step:
                steps[step["id"]] = read_outputs(Path(environment["GITHUB_OUTPUT"]))
            summary += Path(environment["GITHUB_STEP_SUMMARY"]).read_text("utf-8")
            if done.returncode:
                code = done.returncode
                break
        return Job(code, self._outputs(steps), summary, log, tuple(ran))

    def commands(self, steps, job_environment, inputs):
        """Yield each step, its command, and its environment; ``steps`` is filled in between."""
        unknown = set(inputs) - {name.replace("-", "_") for name in self.action["inputs"]}
        assert not unknown, unknown
        given = {name: inputs.get(name.replace("-", "_"), spec.get("default", "")) for name, spec in self.action["inputs"].items()}
        for number, step in enumerate(self.action["runs"]["steps"]):
            if "uses" in step:
                continue
            if step.get("id") == "install" and self.installed:
                steps["install"] = {"home": str(link_gate(self.temporary / "installed"))}
                continue
            script = self.temporary / f"{number}.sh"
            script.write_text(step["run"], "utf-8")
            environment = {**self.environment(str(number)), **job_environment}
            environment |= {name: _evaluate(value, given, steps) for name, value in step["env"].items()}
            for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
                Path(environment[name]).write_text("", "utf-8")
            assert step["shell"] == "bash"
            yield step, ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)], environment

    def _outputs(self, steps: dict[str, dict[str, str]]) -> dict[str, str]:
        return {name: _evaluate(output["value"], {}, steps) for name, output in self.action["outputs"].items()}


def link_gate(environment: Path) -> Path:
    """Make an environment whose Python is this one, with the gate under test; return its folder."""
    python = environment / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    # No link: by its name, Python would look for packages beside it.
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n', "utf-8")
    python.chmod(0o755)
    return environment


def _evaluate(text: str, inputs: dict[str, str], steps: dict[str, dict[str, str]]) -> str:
    """Evaluate the few expressions that the action uses; another one fails the test."""

    def value(match: re.Match[str]) -> str:
        *path, last = match["path"].split(".")
        found = inputs[last] if path == ["inputs"] else steps.get(path[1], {}).get(last, "")
        return found or match["default"] or ""

    evaluated, number = re.subn(r"\$\{\{ (?P<path>[a-z0-9.-]+)(?: \|\| '(?P<default>[a-z]+)')? \}\}", value, text)
    assert number == text.count("${{"), text
    return evaluated


def read_outputs(path: Path) -> dict[str, str]:
    """Read ``GITHUB_OUTPUT`` as the runner does: ``name=value``, or ``name<<delimiter``, the value, and the delimiter."""
    found, lines = {}, iter(path.read_text("utf-8").splitlines())
    for line in lines:
        equals, heredoc = line.find("="), line.find("<<")
        if heredoc >= 0 and (equals < 0 or heredoc < equals):
            name, delimiter = line.split("<<", 1)
            value = []
            for inner in lines:
                if inner == delimiter:
                    break
                value.append(inner)
            else:
                raise AssertionError(f"no end of {name}")
            found[name] = "\n".join(value)
        else:
            name, value = line.split("=", 1)
            found[name] = value
    return found


def jenkins_script(label: str) -> str:
    """Return the shell script of a step of the Jenkinsfile, as Groovy reads it."""
    text = (ROOT / "examples" / "Jenkinsfile").read_text("utf-8")
    found = re.findall(rf"label: '{re.escape(label)}'[^']*script: '''(.*?)'''", text, re.DOTALL)
    assert len(found) == 1, label
    script = found[0].replace("\\\n", "")  # a line that goes on
    assert "\\" not in script, "Groovy would read an escape"
    return script


def gitlab_script(job: dict) -> str:
    """Return what a runner makes of a job: before_script and script in one shell."""
    return "\n".join([*job.get("before_script", ()), *job["script"]]) + "\n"


def commit(folder: Path, git: str) -> str:
    """Make a folder a repository, with everything in one commit; return its id."""
    who = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    for arguments in (("init", "--quiet"), ("add", "--all"), (*who, "commit", "--quiet", "--message", "all")):
        subprocess.run([git, "-C", folder, *arguments], check=True)
    done = subprocess.run([git, "-C", folder, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return done.stdout.strip()
