"""``action.yml``, the GitLab template, the Jenkinsfile and the shell recipe are executed, not quoted: as their platforms do."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest
from pipelines import ROOT, ActionRunner, gitlab_script, jenkins_script, link_gate, load_yaml, read_outputs, read_yaml
from ruamel.yaml import YAML
from support import COMMAND, DIGEST, NAME, REFERENCE, finding, image

DENIED = finding("aws_access_key", "/root/.aws/credentials\n::error::p", "high")
PINNED = f"registry.example.com/shop/api@sha256:{DIGEST}"
# The image, what it is asked by, the code, and how many violations there are.
STORIES = {"passed": (image(finding()), REFERENCE, 0, 0), "blocked": (image(DENIED), REFERENCE, 10, 1), "undecided": (image(), NAME, 20, 0)}
HOSTILE = [
    "$(touch pwned)",
    "`touch pwned`",
    "';touch pwned;'",
    '";touch pwned;"',
    "--mode=warn",
    "-q",
    "x\n--mode=warn",
    "a b\tc",
    "*",
    "${{ inputs.python }}",
    "END",
]


@pytest.fixture
def runner(tmp_path):
    return ActionRunner(tmp_path)


def world_in(folder: Path, *images: dict, **fields) -> str:
    (folder / "the world.json").write_text(json.dumps({"version": 1, "images": list(images), **fields}), "utf-8")
    return "the world.json"


def leave_reports(folder: Path) -> None:
    """What an earlier run on the same machine, or whoever wrote the checkout, left there: a pass that is none of this run."""
    reports = folder / "ci-gate-reports"
    reports.mkdir()
    for name in ("junit.xml", "summary.md", "results.sarif"):
        (reports / name).write_text("passed", "utf-8")
    write_result(folder, "passed", "live")


def write_result(folder: Path, verdict: str, kind: str) -> None:
    document = {"verdict": verdict, "source": {"kind": kind}, "images": [{"pinned": PINNED}]}
    (folder / "ci-gate-reports" / "result.json").write_text(json.dumps(document), "utf-8")


# --- Installation ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_installation_obeys_of_the_jobs_pip_only_where_and_how_to_fetch(tmp_path, shell):
    """pip is a spy here: `make platforms` installs for real."""
    spy = pip_spy(tmp_path)
    obeyed = dict.fromkeys(("PIP_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_CERT", "PIP_PROXY", "PIP_DEFAULT_TIMEOUT"), "x")
    others = dict.fromkeys(("PIP_PYTHON", "PIP_TARGET", "PIP_target", "PIP_no-deps", "PIP_DRY-RUN", "PYTHONPATH", "PYTHONHOME"), "x")
    others |= {"PIP_\N{KELVIN SIGN}EYRING_PROVIDER": "x", "PIP_A B": "x"}  # pip lowers such a sign to a k
    hostile = {"NOTE": "\nPIP_X PATH=/nowhere\nPYTHONPATH"}
    downloads = tmp_path / "downloads" / "ci-gate-downloads"
    for folder in (downloads / "wheels", downloads / "http-v2", tmp_path / "downloads" / "of-somebody"):
        folder.mkdir(parents=True)

    environment = {"PATH": os.environ["PATH"], **obeyed, **others, **hostile}
    kept, cached = (
        subprocess.run([shell, ROOT / "install.sh", *arguments], env=environment, capture_output=True, text=True, check=True).stderr
        for arguments in ([tmp_path / "environment", spy], [tmp_path / "another", spy, tmp_path / "downloads"])
    )

    assert obeyed.keys() == {name for name in {**obeyed, **others} if re.search(f"^{name}=x$", kept, re.MULTILINE)}
    venv, *installs, version = re.findall("^RUN (.*)", kept, re.MULTILINE)
    assert (f"-I -m venv {tmp_path / 'environment'}", "-I -m ci_gate --version") == (venv, version)
    assert all(install.startswith("-I -m pip install ") and "--no-cache-dir" in install for install in installs)
    assert [True, True, False] == ["--require-hashes" in install for install in installs]
    assert 3 == cached.count(f"--cache-dir={downloads} ")
    assert ["http-v2"] == [path.name for path in downloads.iterdir()], "pip would take such a wheel at its word"
    assert (tmp_path / "downloads" / "of-somebody").is_dir()


def pip_spy(folder: Path) -> Path:
    """A Python whose environments are spies, too: it says which modules are run, and runs only what it is told itself."""
    spy = folder / "spy"
    venv = f'if [ "$3" = venv ]; then mkdir -p "$4/bin"; cp "{spy}" "$4/bin/python"; fi'
    told = f'if [[ "$2" = @(-|-c) ]]; then exec "{sys.executable}" "$@"; fi'
    spy.write_text(f'#!/usr/bin/env bash\n{told}\n{{ echo "RUN $*"; env; }} >&2\n{venv}\n', "utf-8")
    spy.chmod(0o755)
    return spy


@pytest.mark.parametrize("where", ["home/.config/pip/pip.conf", "given"])
def test_the_installation_obeys_of_pips_configuration_only_where_and_how_to_fetch(tmp_path, where):
    (tmp_path / where).parent.mkdir(parents=True, exist_ok=True)
    asked = "[global]\nindex-url = https://u:p@global.example/\ntimeout = 7\ncert = x\nlog = evil\n"
    (tmp_path / where).write_text(f"{asked}[install]\nindex-url = https://example.com/\nproxy = it's\nrequirement = evil.txt\n", "utf-8")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "PIP_CERT": "y"}
    if where == "given":
        environment["PIP_CONFIG_FILE"] = str(tmp_path / where)
    run = ["sh", ROOT / "install.sh", tmp_path / "environment", pip_spy(tmp_path)]

    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=True)

    _, *installs = re.split("RUN -I -m (?:pip install|ci_gate)", done.stderr)[:-1]
    obeyed = {"PIP_CONFIG_FILE=/dev/null", "PIP_INDEX_URL=https://example.com/", "PIP_PROXY=it's", "PIP_TIMEOUT=7", "PIP_CERT=y"}
    assert [obeyed] * 3 == [{line for line in install.splitlines() if line.startswith("PIP_")} for install in installs]


def test_a_configuration_of_pip_that_cannot_be_read_is_not_quoted(tmp_path):
    (tmp_path / "given").write_text("index-url = https://u:p@of.example/\n", "utf-8")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PIP_CONFIG_FILE": str(tmp_path / "given")}
    run = ["sh", ROOT / "install.sh", tmp_path / "environment", pip_spy(tmp_path)]

    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False)

    assert 1 == done.returncode
    assert "u:p@" not in done.stderr
    assert "cannot be read" in done.stderr


def test_the_installation_takes_no_environment_with_something_in_it_and_no_link_for_downloads(tmp_path):
    spy = pip_spy(tmp_path)
    (tmp_path / "taken" / "bin").mkdir(parents=True)
    (tmp_path / "-taken").mkdir()
    (tmp_path / "-taken" / "x").touch()
    (tmp_path / "file").touch()
    for name, mode in (("wide", 0o777), ("of-a-group", 0o775)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "own").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "own")
    (tmp_path / "ci-gate-downloads").symlink_to(tmp_path / "taken")

    for arguments in (
        *(
            [name, spy]
            for name in ("taken", tmp_path / "taken", "-taken", "file", "gone", "link", "link//", "link/.", "wide", "of-a-group")
        ),
        ["new", spy, tmp_path],
    ):
        run = ["sh", ROOT / "install.sh", *arguments]
        done = subprocess.run(run, cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, check=False)
        assert (2, False) == (done.returncode, b"RUN" in done.stderr), arguments

    assert (tmp_path / "taken" / "bin").is_dir()


@pytest.mark.parametrize("there", [True, False])
def test_nobody_else_can_write_into_the_environment(tmp_path, there):
    place = tmp_path / "folder" / "environment"
    if there:
        place.mkdir(parents=True)
    line = ["sh", "-c", 'umask 000; exec sh "$@"', "sh", ROOT / "install.sh", place, pip_spy(tmp_path)]

    subprocess.run(line, env={"PATH": os.environ["PATH"]}, capture_output=True, check=True)

    assert [0o755] * 2 == [stat.S_IMODE(path.stat().st_mode) for path in (place, place / "bin")]


@pytest.mark.parametrize(("owner", "mode"), [("nobody", 0o777), ("root", 0o733)])
def test_the_installation_takes_no_folder_of_somebody_else_nor_one_that_it_cannot_list(owner, mode):
    """As a user who is not root, whom no mode stops: with another id, in a folder that everybody may enter."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can be another user")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        place = Path(folder) / "environment"
        place.mkdir()
        (place / "planted").touch()
        if owner == "nobody":
            (place / "planted").unlink()
        spy = pip_spy(Path(folder))
        shutil.copy(ROOT / "install.sh", folder)
        Path(folder).chmod(0o755)
        os.chown(place, 1 if owner == "nobody" else 0, 0)
        place.chmod(mode)
        run = ["setpriv", "--reuid=65534", "--clear-groups", "sh", Path(folder) / "install.sh", place, spy]

        done = subprocess.run(run, cwd=folder, env={"PATH": os.environ["PATH"]}, capture_output=True, check=False)

    assert (2, False) == (done.returncode, b"RUN" in done.stderr), done.stderr


# --- GitHub ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", STORIES)
def test_the_action_hands_on_verdict_outputs_summary_and_reports(runner, verdict):
    found, reference, code, violations = STORIES[verdict]

    job = runner.run(
        image=reference, emulate=world_in(runner.workspace, found), report_dir="my reports", output="html=my reports/page.html"
    )

    assert code == job.code, job.log
    assert (verdict, str(code), str(violations), "my reports") == tuple(
        job.outputs[name] for name in ("verdict", "exit-code", "violations", "report-dir")
    )
    assert ("emulated", "", "[]") == tuple(job.outputs[name] for name in ("source", "image", "images")), "a trial has nothing to deploy"
    assert re.search(rf"^## .*{verdict.capitalize()} ", job.summary)
    assert job.outputs["summary"]
    assert len(re.findall(r"^::(error|notice|warning) ", job.log, re.MULTILINE)) == 1 + violations
    assert {"junit.xml", "summary.md", "results.sarif", "result.json", "page.html"} == {
        path.name for path in (runner.workspace / "my reports").iterdir()
    }
    assert ("Prepare ci-gate", "Decide") == job.steps


def pinned(folder: Path) -> list[str]:
    result = json.loads((folder / "ci-gate-reports" / "result.json").read_text("utf-8"))
    assert "passed" == result["verdict"]
    return [entry["pinned"] for entry in result["images"]]


def test_the_action_takes_several_images(runner):
    other = "registry.example.com/shop/web:2@sha256:" + "ab" * 32
    world = world_in(runner.workspace, image(), {"reference": other.partition("@")[0], "digest": "ab" * 32})

    job = runner.run(image=f"\n  {REFERENCE}\n\n{other}  \n", emulate=world)

    assert 0 == job.code, job.log
    assert [PINNED, f"registry.example.com/shop/web@sha256:{'ab' * 32}"] == pinned(runner.workspace)


def test_floors_come_one_a_line_and_hold_against_the_policy(runner):
    (runner.workspace / "my floor.yml").write_text("version: 1\nname: floor\nthresholds: {total: 0}\n", "utf-8")
    world = world_in(runner.workspace, image(finding()))

    passed = runner.run(image=REFERENCE, emulate=world, policy="audit")
    blocked = runner.run(image=REFERENCE, emulate=world, policy="audit", floor="default\n  my floor.yml\n")
    wrong = runner.run(image=REFERENCE, emulate=world, floor="my floor.yml", floor_sha256="0" * 64)

    assert (0, 10, 3) == (passed.code, blocked.code, wrong.code)
    assert "1" == blocked.outputs["violations"]
    assert "floor: floor (enforce)" in blocked.log


def test_the_digest_can_come_from_the_metadata_of_the_build(runner):
    (runner.workspace / "meta.json").write_text(json.dumps({"containerimage.digest": f"sha256:{DIGEST}"}), "utf-8")

    assert 0 == runner.run(image=NAME, metadata_file="meta.json", emulate=world_in(runner.workspace, image())).code
    assert [PINNED] == pinned(runner.workspace)


@pytest.mark.parametrize("name", ["image", "metadata_file", "platform_digest", "policy", "floor", "floor_sha256", "endpoint", "scan"])
def test_no_input_is_run_or_becomes_an_option(runner, name):
    given = {"image": REFERENCE, "emulate": world_in(runner.workspace, image(DENIED)), name: "\n".join(HOSTILE)}

    job = runner.run(**given)

    assert job.code in {2, 3}, job.log
    assert "undecided" == job.outputs["verdict"]
    assert "" == job.outputs["image"]
    assert not list(runner.workspace.rglob("pwned"))


@pytest.mark.parametrize("value", [HOSTILE[0], HOSTILE[4], " ".join(HOSTILE).replace("/", "")])
def test_a_hostile_name_of_the_report_folder_is_a_name(runner, value):
    job = runner.run(image=REFERENCE, emulate=world_in(runner.workspace, image(DENIED)), report_dir=value)

    assert 10 == job.code, job.log
    assert "blocked" == job.outputs["verdict"]
    assert (runner.workspace / value / "result.json").exists()
    assert not list(runner.workspace.rglob("pwned"))


def test_only_the_inputs_count_and_not_what_an_earlier_step_put_into_the_environment(runner):
    softer = {
        "CI_GATE_POLICY": "audit",
        "CI_GATE_ENDPOINT": "127.0.0.1:1",
        "CI_GATE_TIMEOUT": "1s",
        "PYTHONPATH": "/nowhere",
        "BASH_ENV": "/nowhere",
    }

    job = runner.run(job_environment=softer, image=REFERENCE, emulate=world_in(runner.workspace, image(DENIED)))

    assert 10 == job.code, job.log


@pytest.mark.parametrize("python", ["", "/nowhere/python", "$(touch pwned)", "false"])
def test_without_a_python_the_action_says_so_and_has_no_verdict_but_undecided(runner, python):
    leave_reports(runner.workspace)
    reports = (runner.workspace / "ci-gate-reports").rename(runner.workspace / "my reports")

    job = runner.run(image=REFERENCE, python=python, report_dir="\n  my reports\n")

    assert 2 == job.code
    assert "::error title=ci-gate::ci-gate needs Python 3.11" in job.log
    assert {"verdict": "undecided"} == {name: value for name, value in job.outputs.items() if value}
    assert not list(runner.workspace.rglob("pwned"))
    assert not list(reports.iterdir())


def test_a_wrong_command_line_leaves_no_report_of_an_earlier_run(runner):
    leave_reports(runner.workspace)

    job = runner.run(image=REFERENCE, timeout="five minutes")

    assert (2, "undecided") == (job.code, job.outputs["verdict"])
    assert "passed" not in "".join(path.read_text("utf-8") for path in (runner.workspace / "ci-gate-reports").iterdir())


def test_a_job_that_is_cancelled_ends_in_reports(runner):
    stall = {"action": "DescribeImageInstances", "kind": "delay", "seconds": 60}
    inputs = {"image": REFERENCE, "emulate": world_in(runner.workspace, image(), faults=[stall])}
    steps: dict[str, dict[str, str]] = {}
    for step, command, environment in runner.commands(steps, {}, inputs):
        process = subprocess.Popen(command, cwd=runner.workspace, env=environment, stderr=subprocess.PIPE, text=True)
        if step["name"] != "Decide":
            assert 0 == process.wait(60)
            process.stderr.close()
            steps[step.get("id", "")] = read_outputs(Path(environment["GITHUB_OUTPUT"]))
            continue
        result = runner.workspace / "ci-gate-reports" / "result.json"
        for _ in range(300):
            if result.exists():
                break
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)  # the runner's first signal, to the process of the step only
        process.communicate(timeout=20)

        assert 130 == process.returncode
        assert ("undecided", "130") == tuple(read_outputs(Path(environment["GITHUB_OUTPUT"]))[name] for name in ("verdict", "exit-code"))
        assert 130 == json.loads(result.read_text("utf-8"))["exit_code"]


def test_scripts_of_the_action_hold_no_expression_and_other_actions_are_pinned():
    for path in (ROOT / "action.yml", ROOT / "examples" / "github-workflow.yml"):
        document = YAML(typ="safe").load(path.read_text("utf-8"))
        jobs = [document["runs"]] if "runs" in document else list(document["jobs"].values())
        for step in (step for job in jobs for step in job["steps"]):
            assert "${{" not in step.get("run", ""), step
            assert "uses" not in step or re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"]), step


def test_the_example_workflow_hands_the_action_only_what_it_knows():
    action = load_yaml(ROOT / "action.yml")
    jobs = load_yaml(ROOT / "examples" / "github-workflow.yml")["jobs"]
    (gate,) = (step for step in jobs["gate"]["steps"] if step.get("id") == "gate")

    assert set(gate["with"]) <= set(action["inputs"])
    assert set(re.findall(r"steps\.gate\.outputs\.([a-z-]+)", json.dumps(jobs))) <= set(action["outputs"])
    assert {} == load_yaml(ROOT / "examples" / "github-workflow.yml")["permissions"]
    assert all(
        step["with"]["persist-credentials"] is False
        for job in jobs.values()
        for step in job["steps"]
        if "actions/checkout@" in step.get("uses", "")
    )


def test_every_lock_is_remade_by_make_lock():
    recipe = re.search(r"^lock:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)[1]

    assert {path.name for path in ROOT.glob("requirements*.txt")} == set(re.findall(r" -o (\S+)", recipe))


def test_what_builds_the_dependencies_is_pinned_as_in_development():
    builders, development = ((ROOT / name).read_text("utf-8") for name in ("requirements-build.txt", "requirements-dev.txt"))
    entries = re.findall(r"^\S+==(?:.*\\\n)+.*$", builders, re.MULTILINE)

    assert 7 == len(entries)
    assert all(entry in development for entry in entries)


# --- GitLab ---------------------------------------------------------------------------------------------------------------------------


class GitlabJob:
    """The hidden job as a runner starts it, with ci-gate in the image and the embedded endpoint beside it."""

    def __init__(self, gate) -> None:
        self.gate = gate
        self.job = load_yaml(ROOT / ".gitlab-ci-template.yml")[".ci-gate"]

    def run(self, shell: str = "sh", **variables: str) -> subprocess.CompletedProcess[str]:
        own = {
            "CI_GATE_OUTPUT": "",
            "CI_JOB_ID": "7",
            "CI_PROJECT_DIR": str(self.gate.folder),
            "CI_SERVER_URL": "https://gitlab.example.com",
        }
        environment = self.gate.environment(**{**self.job["variables"], **own, **variables})
        environment["PATH"] = f"{COMMAND.parent}:{environment['PATH']}"
        environment["TMPDIR"] = str(self.gate.folder / "home")
        return subprocess.run(
            [shell],
            input=gitlab_script(self.job),
            cwd=self.gate.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


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


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize("verdict", STORIES)
def test_the_gitlab_job_ends_with_the_code_of_the_gate_and_leaves_its_artifacts(gate, served, verdict, shell):
    found, reference, code, _ = STORIES[verdict]
    gitlab = GitlabJob(gate)

    done = gitlab.run(shell, CI_GATE_IMAGE=f"{reference}\n", CI_GATE_OUTPUT="html=ci-gate-reports/report.html", **served(found))

    assert code == done.returncode, done.stderr
    (folder,) = gitlab.job["artifacts"]["paths"]
    wanted = [*gitlab.job["artifacts"]["reports"].values(), f"{folder}/result.json", f"{folder}/report.html"]
    assert all((gate.folder / name).stat().st_size for name in wanted)
    assert "always" == gitlab.job["artifacts"]["when"]
    assert not list((gate.folder / "home").iterdir()), "the job leaves something behind"

    handed = load_yaml(ROOT / ".gitlab-ci-template.yml")[".ci-gate-findings"]
    assert "empty" == handed["variables"]["GIT_STRATEGY"], "a report that an earlier pipeline left could be handed over"
    findings = subprocess.run([shell], input=gitlab_script(handed), cwd=gate.folder, capture_output=True, text=True, check=False)
    assert (0 if verdict != "undecided" else 1) == findings.returncode
    assert (gate.folder / handed["artifacts"]["reports"]["secret_detection"]).exists()


@pytest.mark.parametrize(
    "name", ["CI_GATE_IMAGE", "CI_GATE_POLICY", "CI_GATE_FLOOR", "CI_GATE_FLOOR_SHA256", "CI_GATE_SCAN", "CI_GATE_OUTPUT"]
)
def test_no_variable_of_the_gitlab_job_is_run_or_becomes_an_option(gate, name):
    done = GitlabJob(gate).run(**{"CI_GATE_IMAGE": REFERENCE, "CI_GATE_ENDPOINT": "127.0.0.1:9", name: "\n".join(HOSTILE)})

    assert done.returncode in {2, 3}, done.stderr
    assert not list(gate.folder.rglob("pwned"))


@pytest.mark.parametrize("package", ["file:///nowhere/ci-gate.git", "git@host:nowhere/ci-gate.git", "mine", "./mine", "{checkout}/mine"])
def test_the_gitlab_job_takes_ci_gate_from_nowhere_in_the_checkout(gate, package):
    leave_reports(gate.folder)
    folder = gate.folder / package.format(checkout=gate.folder)
    folder.mkdir(parents=True)
    (folder / "install.sh").write_text("touch pwned\n", "utf-8")
    variables = {"CI_GATE_PACKAGE": package.format(checkout=gate.folder), "CI_GATE_COMMIT": "0" * 40, "GIT_SSH_COMMAND": "false"}

    done = GitlabJob(gate).run(CI_GATE_IMAGE=REFERENCE, **variables)

    assert done.returncode, done.stderr
    assert not list(gate.folder.rglob("pwned"))
    assert not (gate.folder / "ci-gate-reports").exists()


def test_the_written_out_command_of_the_docs_takes_an_image_for_an_image(gate):
    (block,) = re.findall(r"```yaml\n((?:(?!```).)*ci_gate check.*?)```", (ROOT / "docs" / "integrations.md").read_text("utf-8"), re.DOTALL)
    gitlab = GitlabJob(gate)
    gitlab.job |= read_yaml((ROOT / ".gitlab-ci-template.yml").read_text("utf-8") + textwrap.dedent(block))["ci-gate"]

    helped = gitlab.run(CI_GATE_IMAGE="--help", DEPLOYED=NAME)
    asked = gitlab.run(CI_GATE_IMAGE=REFERENCE, DEPLOYED=NAME, CI_GATE_ENDPOINT="127.0.0.1:9", CI_GATE_TIMEOUT="30s")

    assert (2, "") == (helped.returncode, helped.stdout)
    assert "--help" in helped.stderr
    assert 21 == asked.returncode, "it went on, to the credentials that are not there"


def test_the_token_of_the_gitlab_job_is_in_a_file_of_its_own_and_goes_away(gate):
    (gate.folder / "bin").mkdir()
    spy = gate.folder / "bin" / "python3"
    spy.write_text(
        '#!/bin/sh\nstat -c "%a" "$ALIBABA_CLOUD_OIDC_TOKEN_FILE"\ncat "$ALIBABA_CLOUD_OIDC_TOKEN_FILE"\nenv\nexit 20\n', "utf-8"
    )
    spy.chmod(0o755)
    gitlab = GitlabJob(gate)
    variables = {
        "CI_GATE_ROLE_ARN": "acs:ram::1:role/r",
        "CI_GATE_OIDC_PROVIDER_ARN": "acs:ram::1:oidc-provider/p",
        "CI_GATE_ID_TOKEN": "a token",
    }
    environment = gate.environment(**{**gitlab.job["variables"], **variables, "CI_GATE_IMAGE": REFERENCE, "CI_JOB_ID": "7"})
    environment |= {"PATH": f"{spy.parent}:{environment['PATH']}", "TMPDIR": str(gate.folder / "home")}

    done = subprocess.run(
        ["sh"], input=gitlab_script(gitlab.job), cwd=gate.folder, env=environment, capture_output=True, text=True, check=False
    )

    assert 20 == done.returncode, done.stderr
    assert done.stdout.startswith("600\na token")
    assert "ALIBABA_CLOUD_ROLE_ARN=acs:ram::1:role/r\n" in done.stdout
    assert "ALIBABA_CLOUD_OIDC_PROVIDER_ARN=acs:ram::1:oidc-provider/p\n" in done.stdout
    assert "ALIBABA_CLOUD_ROLE_SESSION_NAME=ci-gate-7\n" in done.stdout
    assert not list((gate.folder / "home").iterdir())


# --- Jenkins, and any shell -----------------------------------------------------------------------------------------------------------


def jenkins(gate, label: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a shell step as Jenkins does: ``sh -xe``, the script in a file, parameters in the environment."""
    script = gate.folder / "script.sh"
    script.write_text(jenkins_script(label), "utf-8")
    return subprocess.run(
        ["sh", "-xe", script], cwd=gate.folder, env=gate.environment(**variables), capture_output=True, text=True, check=False, timeout=60
    )


def jenkins_gate(gate, tag: str, **variables: str) -> subprocess.CompletedProcess[str]:
    home = gate.folder / "jenkins tmp"
    link_gate(home / "venv")
    leave_reports(gate.folder)
    (gate.folder / "floor file").write_text("version: 1\nname: floor\nextends: [default]\n", "utf-8")
    (gate.folder / "meta.json").write_text(json.dumps({"containerimage.digest": f"sha256:{DIGEST}"}), "utf-8")
    own = {"CI_GATE_HOME": str(home), "CI_GATE_FLOOR": "floor file", "IMAGE": NAME.rpartition(":")[0], "TAG": tag}
    return jenkins(gate, "ci-gate", **own, **variables)


@pytest.mark.parametrize(("found", "code"), [(image(finding()), 0), (image(DENIED), 10), (image(scan=[{"status": "FAILED"}]), 20)], ids=str)
def test_the_jenkins_step_ends_with_the_code_of_the_gate_and_leaves_its_reports(gate, served, found, code):
    done = jenkins_gate(gate, "1.4.2", CI_GATE_TIMEOUT="6s", CI_GATE_SCAN="never", **served(found))

    assert code == done.returncode, done.stderr
    text = (ROOT / "examples" / "Jenkinsfile").read_text("utf-8")
    for name in re.findall(r"'(ci-gate-reports/[\w.]+)'", text):
        assert (gate.folder / name).stat().st_size


@pytest.mark.parametrize("tag", [HOSTILE[0], HOSTILE[4], "\n".join(HOSTILE)])
def test_no_parameter_of_the_jenkins_job_is_run_or_becomes_an_option(gate, tag):
    done = jenkins_gate(gate, tag, CI_GATE_ENDPOINT="127.0.0.1:9")

    assert 2 == done.returncode, done.stderr
    assert not list(gate.folder.rglob("pwned"))


def test_a_wrong_setting_of_the_jenkins_job_leaves_no_report_of_an_earlier_build(gate):
    done = jenkins_gate(gate, "1.4.2", CI_GATE_TIMEOUT="five minutes")

    assert 2 == done.returncode, done.stderr
    assert 2 == json.loads((gate.folder / "ci-gate-reports" / "result.json").read_text("utf-8"))["exit_code"]


def test_jenkins_takes_every_code_but_0_for_a_failure_unless_it_is_told_otherwise_of_20_and_22():
    text = (ROOT / "examples" / "Jenkinsfile").read_text("utf-8")

    assert re.search(r"if \(code == 0\) \{\s+echo ", text)
    assert "code in [20, 22] && env.CI_GATE_ON_UNDECIDED == 'UNSTABLE'" in text
    assert "CI_GATE_ON_UNDECIDED = 'FAILURE'" in text
    assert re.search(r"\} else \{[^{}]*error \"", text)
    assert not re.search(r'"""', text), "Groovy splices into such a string"


def deploy_script(platform: str) -> str:
    if platform == "jenkins":
        return jenkins_script("deploy")
    return gitlab_script(load_yaml(ROOT / "examples" / "gitlab-ci.yml")["deploy"])


@pytest.mark.skipif(shutil.which("jq") is None, reason="NOT TESTED: the deploy steps of the examples need jq")
@pytest.mark.parametrize("platform", ["gitlab", "jenkins"])
def test_the_deploy_steps_deploy_what_passed_and_nothing_else(gate, platform):
    kubectl = gate.folder / "kubectl"
    kubectl.write_text('#!/bin/sh\necho "$@" > deployed\n', "utf-8")
    kubectl.chmod(0o755)
    environment = gate.environment()
    environment["PATH"] = f"{gate.folder}:{environment['PATH']}"
    (gate.folder / "ci-gate-reports").mkdir()
    results = [(verdict, kind) for verdict in ("blocked", "undecided", "passed") for kind in ("emulated", "replay", "live")]

    for verdict, kind in results:
        write_result(gate.folder, verdict, kind)
        done = subprocess.run(
            ["sh", "-e"], input=deploy_script(platform), cwd=gate.folder, env=environment, capture_output=True, text=True, check=False
        )
        deployed = (gate.folder / "deployed").exists()
        assert ((verdict, kind) == ("passed", "live")) is deployed is (done.returncode == 0), (verdict, kind)

    assert f"set image deployment/api api={PINNED}\n" == (gate.folder / "deployed").read_text("utf-8")


def shell_recipe(gate, *arguments: str, live: bool = False, **variables: str) -> subprocess.CompletedProcess[str]:
    home = link_gate(gate.folder / "gate home")
    if live:  # which the embedded endpoint cannot be
        with (home / "bin" / "python").open("r+", encoding="utf-8") as script:
            text = script.read().replace("exec ", "") + "code=$?\n"
            script.seek(0)
            script.write(f'{text}[ "$3" != ci_gate ] || sed -i s/emulated/live/ ci-gate-reports/result.json || :\nexit $code\n')
    environment = gate.environment(CI_GATE_HOME=str(home), CI_GATE_FLOOR="default", **variables)
    return subprocess.run(
        [ROOT / "examples" / "shell.sh", *arguments],
        cwd=gate.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("verdict", STORIES)
def test_the_shell_recipe_prints_the_reference_to_deploy_only_where_the_gate_passed(gate, served, verdict):
    found, reference, code, _ = STORIES[verdict]

    done = shell_recipe(gate, reference, live=True, **served(found))

    assert (code, f"{PINNED}\n" if code == 0 else "") == (done.returncode, done.stdout), done.stderr


def test_the_shell_recipe_deploys_nothing_of_an_emulated_pass(gate, served):
    done = shell_recipe(gate, REFERENCE, **served(image()))

    assert (1, "") == (done.returncode, done.stdout), done.stderr
    assert "no live pass" in done.stderr


def test_the_shell_recipe_says_what_it_needs(gate):
    assert 0 != shell_recipe(gate).returncode


@pytest.mark.parametrize("option", ["--emulate", "--help"])
def test_the_shell_recipe_takes_no_image_for_an_option_and_deploys_nothing_of_an_earlier_run(gate, option):
    leave_reports(gate.folder)

    done = shell_recipe(gate, option)

    assert (2, "") == (done.returncode, done.stdout)
