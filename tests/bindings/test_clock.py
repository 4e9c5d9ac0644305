"""The clocks of the system; on Windows Python, too."""

import sys
import time

import pytest

from exporter.clock import SYSTEM


def test_the_wall_clock_is_the_systems() -> None:
    """It tells the time that Python tells, in Unix seconds."""
    before, now, after = time.time(), SYSTEM.wall(), time.time()
    step = time.get_clock_info("time").resolution
    assert before - step <= now <= after + step


@pytest.mark.skipif(sys.platform != "win32", reason="needs Windows: elsewhere time.time is precise")
def test_the_wall_clock_is_precise_on_windows() -> None:
    """Before Python 3.13, time.time moves in steps of 15.6 ms there; ours does not."""
    precise = "Precise" in time.get_clock_info("time").implementation
    assert precise or SYSTEM.wall is not time.time
    assert len({SYSTEM.wall() for _ in range(100_000)}) > 1
