"""The program as a person runs it in a terminal, or in a pipe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Self

from support.agent import PROJECT
from support.namespace import Namespace
from support.waiting import DEADLINE, wait_until

PROGRAM = [sys.executable, "-m", "exporter"]


def inside(namespace: Namespace | None) -> list[str]:
    """The command that runs a program in a namespace."""
    return ["ip", "netns", "exec", namespace.name] if namespace else []


def run(*arguments: str, namespace: Namespace | None = None) -> subprocess.CompletedProcess[str]:
    """The output of a command that ends by itself."""
    return subprocess.run(
        [*inside(namespace), *PROGRAM, *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


class Watch:
    """A running ``watch``; use it as a context manager."""

    def __init__(self, *arguments: str, namespace: Namespace | None = None) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [*inside(namespace), *PROGRAM, "watch", *arguments],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        self._reader = threading.Thread(target=self._read, name="watch output", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def wait_for(self, condition: Callable[[list[str]], object]) -> list[str]:
        """The lines once they meet a condition."""
        wait_until(lambda: condition(self.lines), message=lambda: f"{self.lines}")
        return self.lines

    def stop(self, with_signal: int = signal.SIGINT) -> tuple[int, str]:
        """The exit code after a signal, and what was written to standard error."""
        self.process.send_signal(with_signal)
        code = self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        assert self.process.stderr is not None
        return code, self.process.stderr.read()
