"""The program as a person runs it in a terminal, or in a pipe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
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


class Terminal:
    """A program in a terminal of its own; use it as a context manager."""

    def __init__(
        self,
        *command: str,
        columns: int = 100,
        lines: int = 24,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        #: Everything that was written to the terminal so far.
        self.output = b""
        self._master, terminal = os.openpty()
        self.resize(columns, lines)
        inherited = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *command],
            cwd=PROJECT,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env={**inherited, "TERM": "xterm-256color", **(environment or {})},
        )
        os.close(terminal)
        self._reader = threading.Thread(target=self._read, name="terminal output", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # Linux' end of a terminal
            while piece := os.read(self._master, 65536):
                self.output += piece

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        os.close(self._master)

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._master, keys)

    def press_ctrl_c(self) -> None:
        """Let the terminal interrupt the program."""
        self.type(b"\x03")

    def resize(self, columns: int, lines: int = 24) -> None:
        """Change the size of the window."""
        termios.tcsetwinsize(self._master, (lines, columns))

    def wait_for(self, text: bytes) -> bytes:
        """The output once it contains a text."""
        wait_until(lambda: text in self.output, message=lambda: f"{text!r} in {self.output!r}")
        return self.output

    def end(self) -> tuple[int, bytes]:
        """The exit code of the program once it has ended, and all its output."""
        code = self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        return code, self.output
