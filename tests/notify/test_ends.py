"""The end of a program that never canceled, with the real end of a real process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from calls import Calls, Register
from clauses import clause, only
from support.waiting import DEADLINE, wait_until
from worlds import KernelWorld, World

PROGRAM = Path(__file__).with_name("program.py")
NOTHING_LEFT = "0 registrations, 0 threads"


def run(world: World, way: str) -> tuple[int, list[str], str]:
    """Exit code, output and errors of a program that registers and ends that way."""
    backend = "rtnetlink" if isinstance(world, KernelWorld) else "standin"
    done = subprocess.run(
        [sys.executable, str(PROGRAM), backend, way],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=10 * DEADLINE,
        check=False,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


@clause("C37", "C38")
@pytest.mark.parametrize(("way", "code"), [("return", 0), ("exit", 3), ("raise", 1)])
def test_end_deregisters(world: World, way: str, code: int) -> None:
    """However a program ends, at once and quietly, its registration ends before it."""
    status, output, errors = run(world, way)
    assert (status, output) == (code, [NOTHING_LEFT])
    assert ("ZeroDivisionError" in errors) is (way == "raise")
    assert way == "raise" or errors == ""


@clause("C37", "S4")
def test_end_waits_for_a_running_callback(world: World) -> None:
    """A callback that runs at the end of the program can finish; none begins after it."""
    assert run(world, "running") == (0, ["callback ended", NOTHING_LEFT], "")


@clause("C37", "C34")
def test_end_does_not_wait_for_ever(world: World) -> None:
    """A callback that never returns keeps the program from ending only for a while."""
    assert run(world, "stuck") == (0, ["0 registrations, 1 threads"], "")


@clause("S14")
@only("rtnetlink")
def test_forked_child_keeps_no_socket(world: KernelWorld, register: Register) -> None:
    """A child that lives on does not keep the socket of a registration that its parent cancels."""
    handle = register(Calls())
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(writing)
        os.read(reading, 1)  # until the parent closes its end
        os._exit(0)
    try:
        handle.cancel()
        wait_until(lambda: world.registrations == 0)
    finally:
        os.close(writing)
        os.close(reading)
        os.waitpid(child, 0)


@clause("C24", "S14")
@only("rtnetlink")
def test_fork(world: KernelWorld) -> None:
    """A forked child has nothing to cancel, and its end leaves the parent's registration."""
    status, output, _ = run(world, "fork")
    child = ["child: 87", NOTHING_LEFT, "child ended: 4"]
    assert (status, output) == (0, [*child, "parent: notified", NOTHING_LEFT])
