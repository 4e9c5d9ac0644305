"""The agent and the tests on Windows: a real Windows CPython under Wine."""

import json
import random
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from requirements_here import require

from support.agent import PROJECT, Agent
from support.waiting import DEADLINE


def free_port() -> int:
    """Return a free port that Linux gives to no socket that does not ask for it."""
    range_of_linux = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
    first = int(range_of_linux.split()[0])
    while True:
        port = random.randrange(first // 2, first)
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


class WindowsAgent(Agent):
    """The agent under Wine. Its log comes through a pipe, as any other agent's."""

    def __init__(self, *program: str) -> None:
        super().__init__(*program)
        self.command = [*program, f"--web.listen-address=127.0.0.1:{free_port()}"]

    def __enter__(self) -> "WindowsAgent":
        from wine import run

        self.process = run.start(
            self.command,
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._begin()
        return self

    def drive(self, name: str, *arguments: Any, **keywords: Any) -> str:
        """Call a method of the stand-in. Returns its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        line = json.dumps([name, *arguments, *([keywords] if keywords else [])])
        self.process.stdin.write(line.encode() + b"\n")
        return self.process.stdout.readline().decode().strip()


@pytest.fixture(scope="module", autouse=True)
def windows_is_up() -> Iterator[None]:
    """Skip the tests unless Wine and the Windows CPython are installed.

    Windows stays up from test to test: booting it for each program takes seconds, and a
    service would be started by every boot.
    """
    from wine import provision

    ready = provision.PYTHON.exists() and shutil.which("wine")
    require(ready, "Wine and Windows CPython: python tests/wine/provision.py")
    quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    # What Windows starts at boot must not inherit a pipe that a test waits to be closed.
    for command in (["wineserver", "-p600"], ["wineboot"]):  # one that runs already will do
        subprocess.run(command, check=False, env=provision.environment(), **quiet)
    try:
        yield
    finally:
        for command in (["wineserver", "-k"], ["wineserver", "-w"]):
            subprocess.run(command, check=False, env=provision.environment())


def windows(*arguments: str) -> tuple[int, str]:
    """Run the Windows Python. Returns its exit code and output."""
    from wine import run

    process = run.start(
        arguments,
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = process.communicate(timeout=10 * DEADLINE)
    return process.returncode, output.decode("utf-8", "replace")


class WindowsWatch:
    """A program under Wine that prints until Ctrl-C; use it as a context manager."""

    def __init__(self, *arguments: str) -> None:
        from wine import run

        self.lines: list[str] = []
        self._process = run.start(
            arguments,
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._reader = threading.Thread(target=self._read, name="windows output", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.decode("utf-8", "replace").rstrip())

    def __enter__(self) -> "WindowsWatch":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def interrupt(self) -> int:
        """Send Ctrl-C. Returns the exit code."""
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(DEADLINE)
