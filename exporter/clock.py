"""The two clocks of the agent, in one value so that tests and replays can bring their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple


class Clock(NamedTuple):
    """Where the time comes from."""

    #: Unix seconds: shown to people, may be stepped by NTP.
    wall: Callable[[], float]
    #: Seconds from an arbitrary start that never jump: every duration is measured on it.
    monotonic: Callable[[], float]


# perf_counter, not monotonic: on Windows the latter moves in steps of 15.6 ms.
SYSTEM = Clock(time.time, time.perf_counter)
