"""Runs of the command, each a process of its own, forked from one that has imported everything: a run costs a fifth of the time.

As a program this file is that process: for each connection on its socket it forks the command, and says its process id and how it ended.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SDK = ("alibabacloud_sas20181203.client", "alibabacloud_tea_openapi.client", "alibabacloud_tea_openapi.exceptions")
_MESSAGE_BYTES = 1 << 20


def run(arguments: list[str], folder: Path, environment: dict[str, str], timeout: float) -> tuple[int, str, str]:
    """Run the command to its end; return its exit code and what it wrote to its standard output and error.

    ``timeout`` is in seconds; after it the command is killed.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, socket.socket(socket.AF_UNIX) as line:
        line.connect(_server())
        asked = json.dumps({"arguments": arguments, "folder": str(folder), "environment": environment}).encode()
        socket.send_fds(line, [asked], [out.fileno(), err.fileno()])
        said = line.makefile("r")
        process = int(said.readline())
        line.settimeout(timeout)
        try:
            code = int(said.readline())
        except TimeoutError:
            os.kill(process, signal.SIGKILL)
            raise subprocess.TimeoutExpired(arguments, timeout) from None
        return code, _text(out), _text(err)


def _text(file) -> str:
    file.seek(0)
    return file.read().decode("utf-8")


@cache
def _server() -> str:
    """Start the process that forks, once; return the path of its socket."""
    folder = tempfile.TemporaryDirectory(prefix="forked-")
    path = os.path.join(folder.name, "socket")  # noqa: PTH118 - what `connect` takes is a text
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, __file__, path],
        env={**kept, "HOME": folder.name, "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true"},
        stdin=subprocess.PIPE,  # it ends where this does
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(folder.cleanup)
    atexit.register(process.kill)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return path


def _serve(path: str) -> None:
    _import_everything()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        print("ready", flush=True)  # noqa: T201 - this is a program, too
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel forgets who ended
        while True:
            line, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _attend(line)
            line.close()


def _import_everything() -> None:
    import ci_gate
    from ci_gate.security_center.lazy_models import import_models_on_demand

    for module in pkgutil.walk_packages(ci_gate.__path__, "ci_gate."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    import_models_on_demand()
    for name in _SDK:
        importlib.import_module(name)


def _attend(line: socket.socket) -> None:
    """Fork the command, wait for it, say how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    asked, files, _, _ = socket.recv_fds(line, _MESSAGE_BYTES, 2)
    process = os.fork()
    if process == 0:
        line.close()
        _become(json.loads(asked), *files)
    line.sendall(f"{process}\n".encode())
    _, status = os.waitpid(process, 0)
    line.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(asked: dict, out: int, err: int) -> None:
    from ci_gate.cli.main import run as run_command

    null = os.open(os.devnull, os.O_RDONLY)
    for stream, number in ((null, 0), (out, 1), (err, 2)):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv = ["ci-gate", *asked["arguments"]]
    run_command()


if __name__ == "__main__":
    _serve(sys.argv[1])
