"""Each platform's own linters and schemas find nothing in what we hand to it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest
from pipelines import ROOT, gitlab_script, jenkins_script, load_yaml

ACTION = ROOT / "action.yml"
WORKFLOW = ROOT / "examples" / "github-workflow.yml"
TEMPLATE = ROOT / ".gitlab-ci-template.yml"
PIPELINE = ROOT / "examples" / "gitlab-ci.yml"
JENKINSFILE = ROOT / "examples" / "Jenkinsfile"


def clean(*command: object, **options) -> str:
    """Run a linter; return what it said."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=300, **options)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_actionlint(tool, tmp_path):
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    shutil.copy(WORKFLOW, folder / "deploy.yml")

    assert "" == clean(tool("actionlint"), "-shellcheck", tool("shellcheck"), folder / "deploy.yml", cwd=tmp_path)


@pytest.mark.parametrize("path", [ACTION, WORKFLOW], ids=lambda path: path.name)
def test_zizmor(tool, tmp_path, path):
    # It tells a workflow by its folder.
    copy = tmp_path / ("action.yml" if path is ACTION else ".github/workflows/deploy.yml")
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, copy)

    assert "No findings to report" in clean(tool("zizmor"), "--offline", "--persona=pedantic", copy)


@pytest.mark.parametrize(("schema", "path"), [("github-actions", ACTION), ("github-workflows", WORKFLOW)], ids=["action", "workflow"])
def test_the_published_schemas_of_github(tool, schema, path):
    clean(tool("check-jsonschema"), "--builtin-schema", f"vendor.{schema}", path)


def test_the_published_schema_of_gitlab(tool, tmp_path):
    # Hidden jobs are not looked at, so they are checked under names that are none.
    text = TEMPLATE.read_text("utf-8")
    shown = tmp_path / "gitlab-ci.yml"
    shown.write_text(re.sub(r"^\.(?=ci-gate)", "shown-", text, flags=re.MULTILINE).replace("[.ci-gate", "[shown-ci-gate"), "utf-8")
    assert 3 == len(re.findall("^shown-ci-gate", shown.read_text("utf-8"), re.MULTILINE))

    check = (tool("check-jsonschema"), "--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci")
    clean(*check, shown, PIPELINE)
    shown.write_text(shown.read_text("utf-8").replace("junit:", "junitt:"), "utf-8")
    assert 0 != subprocess.run([*check, shown], capture_output=True, check=False).returncode


def scripts():
    for step in load_yaml(ACTION)["runs"]["steps"]:
        if "run" in step:
            yield f"action: {step['name']}", "bash", step["run"]
    template, pipeline = load_yaml(TEMPLATE), load_yaml(PIPELINE)
    for name in (".ci-gate", ".ci-gate-findings"):
        yield f"gitlab: {name}", "sh", gitlab_script(template[name])
    for name in ("build", "deploy"):
        yield f"gitlab: {name}", "sh", gitlab_script(pipeline[name])
    for label in ("build", "install", "ci-gate", "deploy"):
        yield f"jenkins: {label}", "sh", jenkins_script(label)
    for path in ("install.sh", "examples/shell.sh", "tests/platforms/tools.sh"):
        yield path, "sh", (ROOT / path).read_text("utf-8")


@pytest.mark.parametrize(("shell", "script"), [case[1:] for case in scripts()], ids=[case[0] for case in scripts()])
def test_shellcheck(tool, shell, script):
    assert "" == clean(tool("shellcheck"), f"--shell={shell}", "-", input=script)


def test_the_jenkinsfile_parses_without_errors(tool, tmp_path):
    shutil.copy(JENKINSFILE, tmp_path / "Jenkinsfile")
    lint = (tool("npm-groovy-lint"), "--noserver", "--failon", "error", "--output", "json", "Jenkinsfile")

    said = clean(*lint, cwd=tmp_path)
    assert 0 == json.loads(said[said.index("{") :])["summary"]["totalFoundErrorNumber"]

    (tmp_path / "Jenkinsfile").write_text("pipeline { agent { label 'docker' \n", "utf-8")
    assert 0 != subprocess.run(lint, cwd=tmp_path, capture_output=True, check=False, timeout=300).returncode


def test_hadolint(tool):
    # DL3059 would have one shell do what here no shell does.
    clean(tool("hadolint"), "--ignore", "DL3059", ROOT / "Containerfile")
