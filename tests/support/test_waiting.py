"""Waiting: one deadline, and one factor that stretches it."""

import os
import subprocess
import sys

import pytest

from support.agent import PROJECT
from support.waiting import wait_until


def test_a_wait_that_fails_says_what_it_waited_for() -> None:
    """Nothing is waited for any longer after the deadline, and the message is made then."""
    seen: list[str] = []
    with pytest.raises(AssertionError, match=r"not within 0 s: \['rain'\]"):
        wait_until(lambda: seen.append("rain"), 0, lambda: str(seen))


def test_one_factor_stretches_every_deadline() -> None:
    """DEADLINE_FACTOR multiplies the one deadline that all tests use."""
    code = "from support.waiting import DEADLINE, NEVER; print(DEADLINE, NEVER / DEADLINE)"
    environment = os.environ | {"DEADLINE_FACTOR": "5", "PYTHONPATH": str(PROJECT / "tests")}
    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, env=environment, text=True) == "600.0 10.0\n"
