"""Several images in one run: how they are named, that the worst one decides, and that they share the service's patience."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from contextlib import contextmanager

import pytest
from junitparser import JUnitXml
from support import COMMAND, finding, image

from ci_gate.cli.asked import images_asked
from ci_gate.cli.run import CheckOptions, decide
from ci_gate.emulator.app import serve
from ci_gate.errors import ExitCode, UsageError

AMD, ARM, OTHER, MISSING = ("a1" * 32, "a2" * 32, "a3" * 32, "a4" * 32)
INDEX = "registry.example.com/shop/api:1.4.2"
PLATFORMS = [image(digest=AMD), image(digest=ARM)]
LEAKY = finding("pem", "/etc/key.pem", "low")
RULES = "version: 1\nname: p\ndeny: {keys: [pem]}\nevidence: {settle: 0s}\n"


def named(name: str) -> str:
    return f"registry.example.com/shop/{name}@sha256:{name.encode().hex():0>64}"


def listed(name: str, *findings: dict, **fields) -> dict:
    return image(*findings, reference=f"registry.example.com/shop/{name}:1", digest=f"{name.encode().hex():0>64}", **fields)


def decided(gate, *images: str, **options):
    """Decide in this process; nothing is requested, so that nothing is waited for."""
    return decide(CheckOptions(images=images, policy=str(gate.policy(RULES)), **{"scan": "never", "quiet": True, **options}))


# --- one run, one verdict, every report ---


def test_the_worst_image_decides_and_every_report_has_all_of_them(gate):
    world = gate.world(listed("fine"), listed("leaky", LEAKY))
    references = [named(name) for name in ("fine", "leaky", "gone")]
    files = [option for name in ("junit", "markdown", "json") for option in ("-o", f"{name}=reports/{name}")]

    finished = gate.run("check", *references, f"--emulate={world}", "-p", gate.policy(RULES), "--scan", "never", *files)

    assert 10 == finished.code, finished.err
    result = json.loads(finished.report("json"))
    assert [(10, "blocked"), references] == [(result["exit_code"], result["verdict"]), [each["asked"] for each in result["images"]]]
    suites = JUnitXml.fromstring(finished.report("junit").encode())
    broken = {suite.name: suite.failures + suite.errors for suite in suites if "shop/" in suite.name}
    assert [0, 1, 1] == [min(1, count) for count in broken.values()]
    rows = [line for line in finished.report("markdown").splitlines() if line.startswith("|") and "shop/" in line]
    for name, verdict in (("fine", "passed"), ("leaky", "blocked"), ("gone", "undecided")):
        assert any(f"shop/{name}" in row and verdict in row.lower() for row in rows), rows


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (("fine", "tidy"), ExitCode.PASSED),
        (("fine", "gone"), ExitCode.INCOMPLETE),
        (("gone", "leaky", "fine"), ExitCode.BLOCKED),
    ],
)
def test_the_exit_code_is_that_of_the_worst_image(gate, names, code):
    world = gate.world(listed("fine"), listed("tidy"), listed("leaky", LEAKY))

    assert code is decided(gate, *map(named, names), emulate=str(world)).exit_code


# --- --images-file ---


def test_images_are_named_in_a_file_with_comments_and_blank_lines(gate):
    names = gate.folder / "images.txt"
    names.write_text(f"\ufeff# what is deployed\n\n  {named('fine')}  # the api\r\n\t\n{named('tidy')}\n#{named('gone')}\n", "utf-8")
    world = gate.world(listed("fine"), listed("tidy"), listed("more"))

    result = decided(gate, named("more"), images_file=str(names), emulate=str(world))

    assert ExitCode.PASSED is result.exit_code
    assert [named(name) for name in ("more", "fine", "tidy")] == [each.asked for each in result.images]


def test_images_are_named_on_standard_input(gate):
    import subprocess

    world = gate.world(listed("fine"), listed("leaky", LEAKY))
    arguments = ("check", "--images-file", "-", f"--emulate={world}", "-p", gate.policy(RULES), "--report-dir", "reports")

    done = subprocess.run(
        [COMMAND, *map(str, arguments)],
        input=f"{named('fine')}\n{named('leaky')}\n",
        cwd=gate.folder,
        env=gate.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert 10 == done.returncode, done.stderr
    assert 2 == len(json.loads((gate.folder / "reports" / "result.json").read_text("utf-8"))["images"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{named('a')}\n\n#\nshop//api:x:y\n".encode(), "line 4: "),
        (f"{named('a')}\n{named('b')} {named('c')}\n".encode(), "line 2: "),
        (b"# nothing\n\n", "names no image"),
        (b"", "names no image"),
        (b"\xff\xfe\x00", "no text in UTF-8"),
        (b"x" * (1024 * 1024 + 1), "larger than 1 MiB"),
        (f"{named('a')}\n{named('a')}\n".encode(), "twice"),
        ("".join(f"{named(str(n))}\n" for n in range(1001)).encode(), "1001 images are too many"),
    ],
    ids=["no reference", "two on a line", "comments only", "empty", "binary", "large", "twice", "too many"],
)
def test_a_file_of_images_that_is_wrong_says_where(gate, monkeypatch, text, said):
    names = gate.folder / "images.txt"
    names.write_bytes(text)

    for where in (str(names), "-"):
        with names.open("rb") as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            with pytest.raises(UsageError) as caught:
                images_asked(CheckOptions(images_file=where))
        assert said in caught.value.cause.what, where


def test_nobody_who_names_images_is_waited_for_longer_than_for_all_else(gate, monkeypatch):
    os.mkfifo(gate.folder / "fifo")
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stdin, os.fdopen(writing, "wb"):
        monkeypatch.setattr("sys.stdin", stdin)
        for where in ("-", str(gate.folder / "fifo")):
            started = time.monotonic()
            with (gate.folder / "fifo").open("r+b", buffering=0), pytest.raises(UsageError, match="not to its end, within 1 s"):
                images_asked(CheckOptions(images_file=where, timeout_s=1.0))
            assert time.monotonic() - started < 10


def test_one_image_in_two_spellings_is_named_twice():
    with pytest.raises(UsageError, match="twice"):
        images_asked(CheckOptions(images=(named("a"), named("a").replace("registry", "Registry"))))


def test_two_tags_are_two_images():
    assert 2 == len(images_asked(CheckOptions(images=(f"{INDEX}-a", f"{INDEX}-b"))))


@pytest.mark.parametrize("name", ["missing.txt", ".", ""])
def test_a_file_of_images_that_cannot_be_read_is_a_mistake_of_the_command_line(gate, monkeypatch, name):
    monkeypatch.chdir(gate.folder)

    with pytest.raises(UsageError, match="cannot be read"):
        images_asked(CheckOptions(images_file=name))


def test_an_image_that_the_file_and_the_command_line_name_is_named_twice(gate):
    names = gate.folder / "images.txt"
    names.write_text(named("a"))

    with pytest.raises(UsageError, match="twice"):
        images_asked(CheckOptions(images=(named("a"),), images_file=str(names)))


@pytest.mark.parametrize(
    "options",
    [
        {"image_uuid": "ab" * 16},
        {"metadata_file": "metadata.json"},
        {"since": "registry.example.com/shop/api:1"},
        {"platform_digests": (f"sha256:{AMD}",)},
    ],
    ids=str,
)
def test_what_is_about_one_image_goes_with_one_image(options):
    with pytest.raises(UsageError, match="about one image"):
        images_asked(CheckOptions(images=(named("a"), named("b")), **options))


def test_no_report_replaces_the_file_that_names_the_images(gate):
    names = gate.folder / "images.txt"
    names.write_text(named("a"))

    finished = gate.run("check", "--images-file", "images.txt", "--emulate", "-o", "json=images.txt")

    assert 2 == finished.code
    assert named("a") == names.read_text()


# --- --platform-digest ---


@pytest.mark.parametrize(
    ("digests", "code"),
    [
        ((AMD, ARM), ExitCode.PASSED),
        ((AMD, OTHER), ExitCode.BLOCKED),
        ((AMD, MISSING), ExitCode.INCOMPLETE),
        ((MISSING, OTHER, AMD), ExitCode.BLOCKED),
    ],
    ids=["all pass", "one is blocked", "one is missing", "one is missing, one is blocked"],
)
def test_every_platform_behind_an_index_is_required(gate, digests, code):
    world = gate.world(*PLATFORMS, image(LEAKY, digest=OTHER))

    result = decided(gate, INDEX, platform_digests=tuple(f"sha256:{digest}" for digest in digests), emulate=str(world))

    assert code is result.exit_code
    assert [f"{INDEX} platform sha256:{digest}" for digest in digests] == [each.asked for each in result.images]
    assert {digest for digest in digests if digest != MISSING} == {each.image.digest for each in result.images if each.image}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"platform_digests": ("1.4.2",)}, "no digest"),
        ({"platform_digests": (f"sha256:{AMD}",) * 2}, "twice"),
        ({"platform_digests": (f"sha256:{AMD}",), "image_uuid": "ab" * 16}, "contradict"),
        ({"platform_digests": (f"sha256:{AMD}", f"sha256:{ARM}"), "since": "registry.example.com/shop/api:1"}, "--since"),
    ],
    ids=str,
)
def test_platforms_that_make_no_sense_are_a_mistake_of_the_command_line(options, said):
    with pytest.raises(UsageError, match=said):
        images_asked(CheckOptions(images=(INDEX,), **options))


# --- a common rate ---

MANY, PER_SECOND = 50, 40


@pytest.fixture
def endpoints(monkeypatch):
    """Every embedded endpoint that a run of this process starts, with the calls that it got."""
    started = []

    @contextmanager
    def remembering(*arguments):
        with serve(*arguments) as served:
            started.append(served)
            yield served

    monkeypatch.setattr("ci_gate.emulator.app.serve", remembering)
    return started


def test_fifty_images_share_the_rate_of_the_service_and_none_starves(gate, endpoints):
    names = [f"n{number:02}" for number in range(MANY)]
    decided(gate, named("n00"), emulate="")  # the SDK is imported
    world = gate.world(*map(listed, names), quirks={"rate_limit": {"per_second": PER_SECOND}})
    for attempt in (1, 2):
        started = time.monotonic()
        result = decided(gate, *map(named, names), emulate=str(world))
        took = time.monotonic() - started
        calls = endpoints[-1].calls
        answered = [call.action for call in calls if call.status == 200]
        allowed = len(answered) / PER_SECOND * 1.2
        if took <= allowed or attempt > 1:  # a machine that does other things as well may take longer, once
            break

    assert [ExitCode.PASSED] * MANY == [each.exit_code for each in result.images]
    assert took <= allowed
    throttled = [call.status != 200 for call in calls]
    learnt = throttled[throttled.index(True) + PER_SECOND :]  # what it took to notice, and a second
    assert sum(learnt) <= 0.05 * len(learnt)
    # What is the same for all images is asked for once.
    asked = Counter(answered)
    once = ("DescribeImageCriteria", "GetSensitiveDefineRuleConfig", "DescribeImageEventOperationPage")
    assert [1, 1, 1] == [asked[action] for action in once]
