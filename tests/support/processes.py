"""Ends the processes that tests start, also when the test run is interrupted."""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from support.waiting import DEADLINE, wait_until

_PR_SET_CHILD_SUBREAPER = 36


def end(process: "subprocess.Popen[bytes]", timeout: float = DEADLINE) -> None:
    """End a process with SIGTERM, and with SIGKILL if it still runs after `timeout` seconds."""
    process.terminate()
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def unwind_when_interrupted() -> None:
    """Let SIGTERM and SIGHUP end the test run as Ctrl-C does: ``with`` and fixtures clean up."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP, and nohup ignores it
        if number and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)


def heed_ctrl_c() -> None:
    """Do not ignore SIGINT, as background jobs of a shell do: tests send it to programs."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def adopt_orphans() -> None:
    """Become the parent of every process whose own parent ends, so that `children` shows it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children() -> dict[int, str]:
    """The command line of each child process that runs, by process id. Empty but on Linux."""
    found = {}
    for listing in Path("/proc/self/task").glob("*/children"):
        for pid in map(int, _read(listing).split()):
            command = _read(Path(f"/proc/{pid}/cmdline"))
            if command:  # a zombie has none
                found[pid] = command.rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    return found


def _read(file: Path) -> bytes:
    """The content of a file in /proc. Empty if its thread or process has ended."""
    try:
        return file.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def end_leftovers() -> list[str]:
    """End the child processes that still run. Returns their command lines.

    Processes that soon end by themselves are left out: a browser's helpers, Wine's server.
    """
    try:
        wait_until(lambda: not children(), pause=0.05)
    except AssertionError:
        left = children()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        return list(left.values())
    return []
