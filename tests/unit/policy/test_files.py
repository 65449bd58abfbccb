"""Reading what a policy is made of: files at once, pipes as long as it takes and not for ever."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from ci_gate.policy.language.files import IrregularFileError, read_waiting
from ci_gate.policy.language.load import load_policy
from ci_gate.policy.language.reads import files_read

TEXT = b"version: 1\ndeny: {keys: [pem]}\n" + b"# and so on\n" * 20_000


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_a_pipe_is_read_to_its_end(pipe):
    writer = threading.Thread(target=pipe.write_bytes, args=(TEXT,))
    writer.start()

    assert TEXT == read_waiting(pipe, 1 << 20, patience_s=30.0)
    writer.join()


def test_of_a_pipe_as_of_a_file_only_the_beginning_is_read(pipe):
    end = os.open(pipe, os.O_RDWR)  # never closed by its writer
    os.write(end, b"x" * 100)
    (pipe.parent / "file").write_bytes(b"x" * 100)

    assert b"x" * 10 == read_waiting(pipe, 10, patience_s=30.0) == read_waiting(pipe.parent / "file", 10)
    os.close(end)


@pytest.mark.parametrize("begun", [False, True])
def test_a_pipe_that_is_not_written_to_its_end_is_not_waited_for_for_ever(pipe, begun):
    end = os.open(pipe, os.O_RDWR)
    if begun:
        os.write(end, b"version")

    with pytest.raises(TimeoutError, match="within 0 s"):
        read_waiting(pipe, 1 << 20, patience_s=0.05)
    os.close(end)


def test_without_patience_no_pipe_and_no_device_is_read(pipe):
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(IrregularFileError):
            read_waiting(path, 10, patience_s=0.0)


@pytest.mark.parametrize("place", ["/dev/fd/{}", "/proc/self/fd/{}"])
def test_a_policy_comes_through_a_descriptor_as_a_shell_hands_it_over(place):
    out, into = os.pipe()
    os.write(into, b"version: 1\ndeny: {keys: [pem]}\n")
    os.close(into)

    assert "enforce" == load_policy(place.format(out)).policy.mode
    os.close(out)


def test_the_files_that_a_policy_reads_are_found_in_wrong_ones_too(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "parent.yml").write_text("version: 9\nextends: [default, ../top.yml, ./grand.yml]\nbaseline: {file: known.json}\n")
    (tmp_path / "top.yml").write_text("extends: [../../outside.yml, sub/parent.yml, nosuch.yml, 7]\nbaseline: [x]\n")
    (tmp_path / "sub" / "grand.yml").write_text("[")

    found = {os.path.relpath(path, tmp_path) for path in files_read(str(tmp_path / "top.yml"))}

    assert {"top.yml", "sub/parent.yml", "sub/grand.yml", "sub/known.json"} == found
    assert "sub/known.json" not in {os.path.relpath(path, tmp_path) for path in files_read(str(tmp_path / "top.yml"), baselines=False)}
    assert () == files_read("default")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_what_a_text_that_is_no_yaml_mentions_is_among_the_files_that_are_read(encoding, tmp_path):
    for name in ("org.yml", "my grand.yml", "known.json", "base", "other.yml", "quoted name.yml"):
        (tmp_path / name).write_text("version: 1\n")
    (tmp_path / "org.yml").write_text("extends:\n  - my grand.yml\n\tx: [\n")
    text = (
        "extends: [./org.yml, nosuch.yml, ../outside.yml, 'quoted name.yml']\nname: a\tb\n\tx: y\nbaseline:\n  file: known.json\n  - base\n"
    )
    (tmp_path / "top.yml").write_text(text, encoding)

    found = {os.path.relpath(path, tmp_path) for path in files_read(str(tmp_path / "top.yml"))}

    assert {"top.yml", "org.yml", "my grand.yml", "known.json", "base", "quoted name.yml"} == found


def test_the_files_of_a_policy_in_a_pipe_are_not_waited_for(pipe):
    assert (os.path.realpath(pipe),) == files_read(str(pipe))
