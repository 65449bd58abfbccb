"""The commands beside check."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from support import COMMAND, DIGEST, NAME, REFERENCE, image

from ci_gate.report import FORMATS


def test_demo_shows_a_pass_and_a_block_and_exits_0(gate):
    finished = gate.run("demo", HTTP_PROXY="http://127.0.0.1:9", HTTPS_PROXY="http://127.0.0.1:9")

    assert finished.code == 0, finished.err
    verdicts = {path.parent.name: json.loads(path.read_text())["verdict"] for path in gate.folder.glob("ci-gate-reports/*/result.json")}
    assert {"1.4.3": "passed", "1.4.2": "blocked"} == verdicts
    assert "EMULATED" in finished.err


def test_keys_lists_every_key_once_a_group(gate):
    document = json.loads(gate.run("keys", "--format", "json").out)

    assert 112 == len({key["key"] for group in document for key in group["keys"]})
    assert all(group["description"] for group in document)
    assert "aws_access_key" in gate.run("keys", "--group", "cloud-credentials").out
    assert 2 == gate.run("keys", "--group", "nonsense").code


def test_an_output_to_stdout_is_all_of_stdout(gate):
    finished = gate.run("check", f"{NAME}@sha256:{DIGEST}", f"--emulate={gate.world(image())}", "-o", "json=-")

    assert "passed" == json.loads(finished.out)["verdict"]


def test_the_digest_comes_from_a_metadata_file(gate):
    (gate.folder / "meta.json").write_text(json.dumps({"containerimage.digest": f"sha256:{DIGEST}"}))

    finished = gate.check(gate.world(image()), "--metadata-file", "meta.json", reference=NAME)

    assert finished.code == 0, finished.err


def test_a_tag_is_enough_where_the_policy_says_so_and_the_digest_to_deploy_is_told(gate):
    policy = gate.policy("version: 1\nname: p\ndeny: {keys: [pem]}\nevidence: {require_digest: false}\n")

    finished = gate.check(gate.world(image()), "--policy", policy, reference=NAME)

    assert finished.code == 0, finished.err
    assert f"registry.example.com/shop/api@sha256:{DIGEST}" == finished.result["images"][0]["pinned"]


@pytest.mark.parametrize(("uuid", "code"), [("0123456789abcdef0123456789abcdef", 0), ("unknown", 20)])
def test_an_image_by_uuid(gate, uuid, code):
    world = gate.world(image(uuid="0123456789abcdef0123456789abcdef"))

    finished = gate.run("check", f"--emulate={world}", "--image-uuid", uuid, "--report-dir", "reports")

    assert code == finished.code, finished.err


def test_a_uuid_of_another_image_than_the_reference(gate):
    world = gate.world(image(), image(reference="registry.example.com/shop/web:1", digest="66" * 32, uuid="web"))

    assert 20 == gate.check(world, "--image-uuid", "web").code


def test_several_images_the_worst_decides(gate):
    bad = image({"key": "pem", "path": "/k", "risk_level": "high"}, reference="registry.example.com/shop/web:1", digest="66" * 32)
    other = f"registry.example.com/shop/web:1@sha256:{'66' * 32}"

    finished = gate.check(gate.world(image(), bad), other)

    assert finished.code == 10, finished.err
    assert ["passed", "blocked"] == [entry["status"] for entry in finished.result["images"]]


def test_the_policy_of_the_working_directory_is_taken(gate):
    (gate.folder / ".ci-gate.yml").write_text("version: 1\nname: of-the-folder\ndeny: {keys: [pem]}\n")

    assert "of-the-folder" == gate.check(gate.world(image())).result["policy"]["name"]


def test_a_report_to_dev_stdout_goes_where_output_is_redirected_to(gate):
    with (gate.folder / "out.json").open("w") as out:
        done = subprocess.run(
            [COMMAND, "check", f"{NAME}@sha256:{DIGEST}", f"--emulate={gate.world(image())}", "-o", "json=/dev/stdout"],
            cwd=gate.folder,
            env=gate.environment(),
            stdout=out,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    assert "passed" == json.loads((gate.folder / "out.json").read_text())["verdict"]
    assert Path("/dev/stdout").is_symlink()


@pytest.mark.parametrize("word", ["bash_source", "bash_complete", "nonsense"])
def test_a_completion_variable_does_not_turn_a_check_into_a_pass(gate, word):
    bad = image({"key": "pem", "path": "/k", "risk_level": "high"})

    assert 10 == gate.check(gate.world(bad), _CI_GATE_COMPLETE=word).code


def test_completion_works(gate):
    assert "complete" in gate.run(_CI_GATE_COMPLETE="bash_source").out


@pytest.mark.parametrize(("redirect", "code"), [("2>&-", 0), ("2>/dev/full", 0), ("-o json=- >&-", 30), ("-o json=- >/dev/full", 30)])
def test_a_broken_stream_is_not_a_pass_and_no_bug(gate, redirect, code):
    world = gate.world(image())
    line = f"'{COMMAND}' check {NAME}@sha256:{DIGEST} --emulate={world} -v --report-dir reports {redirect}"

    done = subprocess.run(["sh", "-c", line], cwd=gate.folder, env=gate.environment(), capture_output=True, timeout=60, check=False)

    result = json.loads((gate.folder / "reports" / "result.json").read_text())
    assert (code, code) == (done.returncode, result["exit_code"])


def test_a_pipe_gets_one_report_and_one_that_nobody_reads_is_an_error(gate):
    os.mkfifo(gate.folder / "pipe")
    assert 30 == gate.check(gate.world(image()), "-o", "json=pipe").code

    with subprocess.Popen(["cat", gate.folder / "pipe"], stdout=subprocess.PIPE) as reader:
        assert 0 == gate.check(gate.world(image()), "-o", "json=pipe").code
        assert reader.stdout
        assert "passed" == json.loads(reader.stdout.read())["verdict"]


def test_a_report_never_replaces_what_the_run_reads(gate):
    policy = gate.policy("version: 1\ndeny: {keys: [pem]}\n")

    assert 2 == gate.check(gate.world(image()), "--policy", policy, "-o", "json=policy.yaml").code
    assert policy.read_text().startswith("version")


@pytest.mark.parametrize("uuid", ["", "a b", "\udcff"])
def test_a_uuid_that_is_none_is_a_usage_error(gate, uuid):
    assert 2 == gate.run("check", "--emulate", "--image-uuid", uuid).code


def test_without_a_command_it_shows_its_help_as_it_is(gate):
    finished = gate.run()

    assert finished.code == 2
    assert "Commands:\n  check" in finished.err
    assert "\\n" not in finished.err


def test_each_mistake_of_a_policy_comes_with_its_own_advice(gate):
    policy = gate.policy("version: 1\nname: p\ndeny:\n  kyes: [pem]\n  groups: [private-key]\n")

    finished = gate.check(None, "--policy", policy)

    assert finished.code == 3
    assert "policy.yaml:4:3" in finished.err
    assert "Did you mean 'keys'?" in finished.err
    assert "policy.yaml:5:12" in finished.err
    assert "Did you mean 'private-keys'?" in finished.err


_KEPT = {
    "parent.yml": "version: 1\npermit: [baseline]\nextends: [grand/parent.yml]\n",
    "grand/parent.yml": "version: 1\npermit: [baseline]\ndeny: {keys: [pem]}\n",
    "known.json": '{"version": 1, "images": [], "findings": []}',
    "floor.yml": "version: 1\nextends: [above.yml]\n",
    "above.yml": "version: 1\ndeny: {keys: [pem]}\n",
}
_NAMING = "version: 1\nextends: [parent.yml]\nbaseline: {file: known.json, expires: 2099-01-01}\n"


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("kept", _KEPT)
def test_a_report_never_replaces_what_the_policies_name(gate, kept, broken):
    (gate.folder / "grand").mkdir()
    for name, text in _KEPT.items():
        (gate.folder / name).write_text(text)
    (gate.folder / ".ci-gate.yml").write_text(_NAMING + ("nonsense: 1\n" if broken else ""))
    asked = ("--floor", "floor.yml", "-o", "markdown=summary.md")

    finished = gate.check(gate.world(image()), *asked, "-o", f"junit=./{kept}")

    assert 2 == finished.code
    assert f"junit report would replace './{kept}'" in finished.err
    assert _KEPT[kept] == (gate.folder / kept).read_text()
    assert "Undecided" in (gate.folder / "summary.md").read_text("utf-8")
    assert (3 if broken else 0) == gate.check(gate.world(image()), *asked).code


@pytest.mark.parametrize("name", [".ci-gate.yml", "ci-gate.yml"])
def test_a_report_never_becomes_the_policy_of_its_own_run(gate, name):
    for command in (("check", REFERENCE, "--emulate", "-o", f"json={name}"), ("policy", "test", "-o", f"junit={name}")):
        finished = gate.run(*command)

        assert 2 == finished.code
        assert f"would replace '{name}'" in finished.err
        assert not (gate.folder / name).exists()


def test_a_report_never_replaces_a_hard_link_of_what_the_run_reads(gate):
    policy = gate.policy("version: 1\ndeny: {keys: [pem]}\n")
    (gate.folder / "linked.yml").hardlink_to(policy)

    assert 2 == gate.check(gate.world(image()), "-p", policy, "-o", "json=linked.yml").code
    assert policy.read_text().startswith("version")


def test_a_wrong_value_leaves_no_old_pass_behind(gate):
    assert 0 == gate.check(gate.world(image()), "-o", "html=page.html").code

    finished = gate.check(gate.world(image()), "-o", "html=page.html", "--timeout", "soon")

    assert 2 == finished.code, finished.err
    assert ("undecided", 2) == (finished.result["verdict"], finished.result["exit_code"])
    page = (gate.folder / "page.html").read_text("utf-8")
    assert "is no duration" in page
    assert "Passed" not in page


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            "-o bogus=y",
            "-o bogus",
            "-o",
            "--timeout soon",
            "--timeout",
            "--quiet=1",
            "--nosuch",
            "--nosuch=1",
            "-qx",
            "--since",
            "--floor",
        ),
        *("-o html=x -o markdown=./x", "-o html={policy}", "-q -v", "--timeout soon --nosuch --since"),
    ],
)
def test_a_refused_line_leaves_no_old_pass_behind_in_any_report_that_it_names(gate, wrong):
    policy = gate.policy("version: 1\nname: p\ndeny: {keys: [pem]}\n")
    before, line = policy.read_bytes(), (gate.world(image()), "-p", policy, "-o", "json=other.json")
    assert 0 == gate.check(*line).code

    finished = gate.check(*line, *wrong.format(policy=policy).split())

    assert 2 == finished.code, finished.err
    for document in (finished.result, json.loads((gate.folder / "other.json").read_text("utf-8"))):
        assert ("undecided", 2) == (document["verdict"], document["exit_code"])
    assert before == policy.read_bytes()


@pytest.mark.parametrize("wrong", ["--as-of bogus", "--as-of", "--verbose=1", "-q -v", "-o bogus=y", "-o json=old.json"])
def test_a_refused_replay_leaves_no_old_pass_behind(gate, wrong):
    assert 0 == gate.check(gate.world(image()), "-o", "json=old.json").code

    finished = gate.run("replay", "old.json", "--report-dir", "reports", *wrong.split())

    assert (2, "undecided") == (finished.code, finished.result["verdict"]), finished.err
    assert "passed" == json.loads((gate.folder / "old.json").read_text("utf-8"))["verdict"]


@pytest.mark.parametrize("wrong", ["-p default", "other", "--floor", "--nosuch"])
def test_a_refused_test_of_a_policy_leaves_no_old_outcome_behind(gate, wrong):
    gate.policy("version: 1\nname: p\nthresholds: {total: 9}\ntests: [{name: t, given: [{key: pem}], expect: passed}]\n")
    assert 0 == gate.run("policy", "test", "policy.yaml", "-o", "junit=t.xml").code

    finished = gate.run("policy", "test", "policy.yaml", "-o", "junit=t.xml", *wrong.split())

    assert 2 == finished.code, finished.err
    assert 'errors="1"' in (gate.folder / "t.xml").read_text("utf-8")


def test_a_refused_test_of_a_policy_replaces_nothing_that_it_reads_nor_what_the_runner_reads(gate):
    policy = gate.policy("version: 1\nname: p\nthresholds: {total: 9}\n")
    (gate.folder / "out").write_text("before\n", "utf-8")
    runner = {"GITHUB_OUTPUT": str(gate.folder / "out")}

    codes = {
        gate.run("policy", "test", policy, "-o", f"junit={path}", *wrong, **runner).code
        for path in (policy, "out")
        for wrong in ((), ("--nosuch",))
    }

    assert {2} == codes
    assert ("before\n", True) == ((gate.folder / "out").read_text("utf-8"), policy.read_text("utf-8").startswith("version"))


def test_a_policy_that_does_not_load_is_told_whatever_becomes_of_the_outcome(gate):
    finished = gate.run("policy", "test", gate.policy("nonsense: 1\n"), "-o", f"junit={gate.folder}")

    assert 30 != finished.code, finished.err
    assert "nonsense" in finished.err
    assert "error 30" in finished.err


@pytest.mark.parametrize(
    "line",
    [
        "check {image} --polic kept -o json=kept",
        "check {image} --polic=kept -o json=kept",
        "check --image-file kept -o json=kept",
        "check {image} -vZp kept -o json=kept",
        "check {image} -Z -pkept -o json=kept",
        "check {image} -vpkept -o json=kept --nosuch",
        "check {image} --polic==kept -o json=kept",
        "check json=kept --nosuch",
        "check {image} -qvqvqvqvqvqvqvpkept -o json=kept --nosuch",
        "baseline create x -o json=kept --nosuch",
        "check {image} --since kept -o json=kept --nosuch",
        "check {image} -p kept -o json=parent.yml --nosuch",
        "check --nosuch -o json=kept -- kept",
        "policy test policy.yaml kept -o junit=kept",
        "policy test policy.yaml --flor kept -o junit=kept",
        "replay kept -o json=kept --nosuch",
    ],
)
def test_a_line_without_a_meaning_replaces_nothing_that_it_names_otherwise(gate, line):
    gate.policy("version: 1\nname: p\nthresholds: {total: 9}\n")
    texts = {"kept": "version: 1\nname: k\nextends: [parent.yml]\n", "parent.yml": "version: 1\nname: a\nthresholds: {total: 9}\n"}
    for name, text in texts.items():
        (gate.folder / name).write_text(text, "utf-8")

    finished = gate.run(*line.format(image=REFERENCE).split(), "-o", "json=other.json")

    assert 2 == finished.code, finished.err
    assert texts == {name: (gate.folder / name).read_text("utf-8") for name in texts}
    if "--" not in line.split() and not line.startswith("baseline"):  # where it is the name of an image, or no report
        assert "undecided" == json.loads((gate.folder / "other.json").read_text("utf-8"))["verdict"]


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        *((wrong, "-ojson=o.json") for wrong in ("check -t 5m", "-v check", "--timeout 5m check", "chek", "policy tset", "check --nosuch")),
        *(("check -t 5m", place) for place in ("-qojson=o.json", "--output=json=o.json", "-o=json=o.json", "--outpt=json=o.json")),
        *((wrong, "--report-dir r") for wrong in ("check -t 5m", "-v check")),
        *(("check --nosuch", place) for place in ("-p -o json=o.json", "--report-dir=r")),
    ],
)
def test_a_report_is_found_in_a_line_without_a_meaning_wherever_it_stands(gate, wrong, place):
    (gate.folder / "r").mkdir()
    path = gate.folder / ("r/result.json" if "report-dir" in place else "o.json")
    path.write_text("passed", "utf-8")

    finished = gate.run(*wrong.split(), REFERENCE, *place.split())

    assert 2 == finished.code, finished.err
    assert "undecided" == json.loads(path.read_text("utf-8"))["verdict"]


@pytest.mark.parametrize("option", ["-k", "--security-token", "--access-key-secret", "--x="])
def test_nothing_of_a_line_without_a_meaning_is_told(gate, option):
    formats = [part for name in FORMATS for part in ("-o", f"{name}={name}.txt")]

    finished = gate.run("check", REFERENCE, *formats, *(option.split("=") if "=" not in option else [f"{option}S3CR3T"]), "S3CR3T")

    assert 2 == finished.code, finished.err
    assert "S3CR3T" not in finished.err + finished.out + "".join((gate.folder / f"{name}.txt").read_text("utf-8") for name in FORMATS)


def test_a_folder_of_reports_is_known_whatever_a_policy_is_called(gate):
    finished = gate.run("check", REFERENCE, "--policy", "demo", "--nosuch", CI_GATE_REPORT_DIR="reports")

    assert (2, "undecided") == (finished.code, finished.result["verdict"])


def test_a_refused_line_of_many_words_is_refused_in_time(gate):
    outputs = [part for number in range(100) for part in ("-o", f"json=x{number}")]
    images = [f"registry.example.com/a/b:{number}" for number in range(3_000)]
    began = time.monotonic()

    assert 2 == gate.run("check", "--nosuch", *outputs, *images, NO_COLOR="1").code
    assert time.monotonic() - began < 10
    assert 100 == len(list(gate.folder.glob("x*")))


def test_a_refused_line_of_many_documents_is_refused_in_time(gate):
    (gate.folder / "o.json").write_text("passed", "utf-8")
    for number in range(60):
        (gate.folder / f"p{number}.yml").write_text("version: 1\nrules:\n" + "- {a: b, c: [d, e]}\n" * 3_000, "utf-8")
    began = time.monotonic()

    finished = gate.run("check", "--nosuch", "-o", "json=o.json", *(f"p{number}.yml" for number in range(60)))

    assert 2 == finished.code, finished.err
    assert time.monotonic() - began < 20
    assert "undecided" == json.loads((gate.folder / "o.json").read_text("utf-8"))["verdict"]


def test_a_report_never_goes_into_the_pipe_that_the_list_of_images_comes_from(gate):
    line = f"echo '{REFERENCE}' | '{COMMAND}' check --emulate='{gate.world(image())}' --images-file - -o json=/dev/stdin"

    done = subprocess.run(["sh", "-c", line], cwd=gate.folder, env=gate.environment(), capture_output=True, timeout=60, check=False)

    assert (2, True) == (done.returncode, b"which the run reads" in done.stderr), done.stderr


def test_a_report_of_a_refused_line_that_cannot_be_written_is_told(gate):
    finished = gate.run("check", REFERENCE, "--nosuch", "-o", "junit=/dev/null/x")

    assert 2 == finished.code
    assert "error 30: the junit report '/dev/null/x' could not be written" in finished.err


def test_a_refused_line_is_told_on_streams_as_well(gate):
    os.mkfifo(gate.folder / "pipe")
    reader = subprocess.Popen(["cat", "pipe"], cwd=gate.folder, stdout=subprocess.PIPE, text=True)

    finished = gate.run("check", REFERENCE, "-o", "json=-", "-o", "json=pipe", "--timeout", "soon")

    read, _ = reader.communicate(timeout=20)
    assert [2, 2] == [json.loads(text)["exit_code"] for text in (finished.out, read)]
    assert 2 == finished.code


def test_a_refused_line_is_told_with_the_usage_of_its_command(gate):
    for wrong in ("--since", "--nosuch", "--quiet=1"):
        finished = gate.run("check", REFERENCE, wrong)

        assert "Usage: ci-gate check" in finished.err
        assert "See `ci-gate check --help`" in finished.err


def test_a_report_never_replaces_the_list_of_images_on_standard_input(gate):
    (gate.folder / "images.txt").write_text(f"{REFERENCE}\n", "utf-8")
    line = f"'{COMMAND}' check --images-file - --emulate='{gate.world(image())}' -o json={{}} <images.txt"

    for path in ("images.txt", "/dev/stdin", "/dev/fd/0", "images.txt --nosuch"):
        done = subprocess.run(
            ["sh", "-c", line.format(path)], cwd=gate.folder, env=gate.environment(), capture_output=True, timeout=60, check=False
        )
        assert (2, f"{REFERENCE}\n") == (done.returncode, (gate.folder / "images.txt").read_text("utf-8")), done.stderr


def test_a_policy_that_does_not_load_leaves_no_old_pass_behind(gate):
    assert 0 == gate.check(gate.world(image())).code

    finished = gate.check(gate.world(image()), "-p", gate.policy("version: 1\nnonsense: 1\n"))

    assert (3, "undecided") == (finished.code, finished.result["verdict"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", REFERENCE, "--emulate"),
        ("demo",),
        ("replay", "result.json"),
        ("replay", "/dev/null", "-o", "json=-"),
        ("policy", "check"),
        ("policy", "show", "default"),
        ("policy", "test", "-o", "junit=tests.xml"),
        ("policy", "explain", "result.json"),
        ("policy", "explain", "/dev/null"),
        ("policy", "init"),
        ("policy", "init", "--from", "/dev/null"),
        ("waivers",),
        ("baseline", "create", "/dev/null"),
    ],
)
def test_without_a_working_directory_a_command_that_reads_or_writes_files_says_so(gate, arguments):
    gone = gate.folder / "gone"
    gone.mkdir()
    line = ["sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh", COMMAND, *arguments]

    done = subprocess.run(line, cwd=gone, env=gate.environment(), capture_output=True, text=True, timeout=60, check=False)

    assert 2 == done.returncode
    assert "error 2: the working directory does not exist" in done.stderr


@pytest.mark.parametrize("arguments", [("keys",), ("policy", "schema"), ("--version",)])
def test_what_needs_no_working_directory_works_without_one(gate, arguments):
    gone = gate.folder / "gone"
    gone.mkdir()
    line = ["sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh", COMMAND, *arguments]

    assert 0 == subprocess.run(line, cwd=gone, env=gate.environment(), capture_output=True, timeout=60, check=False).returncode


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("keys", 0),
        ("keys --format json", 0),
        ("policy schema", 0),
        ("policy show", 0),
        ("policy explain result.json", 0),
        ("waivers policy.yaml --expiring-in 9", 11),
        ("policy show nosuch.yml", 3),
        ("check --emulate=world.json {reference} -o json=-", 30),
        ("replay result.json -o json=-", 30),
    ],
)
def test_whoever_reads_a_list_may_have_read_enough_of_it_but_a_report_must_arrive(gate, arguments, code):
    gate.policy(
        "version: 1\nthresholds: {high: 0}\n"
        "waivers: [{id: W-1, keys: [pem], reason: a, owner: b, created: 2026-01-01, expires: 2026-01-02}]\n"
    )
    world = gate.world(image())
    if "result.json" in arguments:
        assert 0 == gate.check(world, "-o", "json=result.json").code
    # The reader is gone before anything is written, whatever the pipe holds.
    line = "{ sleep 0.2; '" + f"{COMMAND}' {arguments.format(reference=REFERENCE)}; echo $? >code; " + "} | true"

    done = subprocess.run(
        ["sh", "-c", line], cwd=gate.folder, env=gate.environment(), capture_output=True, text=True, timeout=60, check=False
    )

    assert f"{code}\n" == (gate.folder / "code").read_text()
    assert "Traceback" not in done.stderr
    assert ("error" in done.stderr) == (code in {3, 30})


@pytest.mark.parametrize("arguments", ["keys", "--version", "check --help"])
def test_a_stream_that_is_full_is_an_error_for_a_list_too(gate, arguments):
    line = f"'{COMMAND}' {arguments} >/dev/full"

    done = subprocess.run(["sh", "-c", line], env=gate.environment(), capture_output=True, timeout=60, check=False)

    assert 30 == done.returncode
    assert b"standard output could not be written: No space left on device" in done.stderr


def test_a_pipe_is_read_as_a_policy_and_refused_as_a_result(gate):
    os.mkfifo(gate.folder / "pipe")

    refused = gate.run("replay", "pipe", "-o", "json=-")
    writing = subprocess.Popen(["sh", "-c", "exec >pipe; echo 'version: 1'; sleep 0.3; echo 'deny: {keys: [pem]}'"], cwd=gate.folder)
    read = gate.run("policy", "check", "pipe")

    assert (3, 0, 0) == (refused.code, read.code, writing.wait(10))
    assert "it is a pipe or a device" in refused.err


@pytest.mark.parametrize("option", ["--policy", "--floor"])
def test_a_pipe_is_not_waited_for_beyond_the_deadline(gate, option):
    os.mkfifo(gate.folder / "pipe")

    finished = gate.check(gate.world(image()), option, "pipe", "--timeout", "1s", "--floor", "default")

    assert 3 == finished.code, finished.err
    assert "nobody wrote to it, or not to its end, within 1 s" in finished.err


@pytest.mark.parametrize("command", ["check", "doctor"])
@pytest.mark.parametrize(
    ("world", "what"), [("pipe.yml", "nobody wrote to it"), ("zero.yml", "is larger than"), ("none.yml", "does not exist")]
)
def test_a_world_is_read_within_the_deadline_and_its_bound(gate, command, world, what):
    os.mkfifo(gate.folder / "pipe.yml")
    (gate.folder / "zero.yml").symlink_to("/dev/zero")
    asked = [REFERENCE] if command == "check" else []

    finished = gate.run(command, *asked, f"--emulate={world}", "--timeout", "1s")

    assert 3 == finished.code, finished.err
    assert what in finished.err


def test_json_on_standard_output_holds_no_command_to_a_runner(gate):
    path = "/app/##[error]/##vso[task.complete result=Succeeded]x"
    world = gate.world(image({"key": "sqlite", "path": path, "risk_level": "low"}))

    checked = gate.check(world, "-o", "json=-")
    replayed = gate.run("replay", "reports/result.json", "-o", "json=-")

    for finished in (checked, replayed):
        assert "##" not in finished.out
        assert path == json.loads(finished.out)["images"][0]["findings"][0]["path"]
