"""The two clocks of the agent, in one value so that tests and replays can bring their own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import NamedTuple


class Clock(NamedTuple):
    """Where the time comes from."""

    #: Unix seconds: shown to people, may be stepped by NTP.
    wall: Callable[[], float]
    #: Seconds from an arbitrary start that never jump: every duration is measured on it.
    monotonic: Callable[[], float]


def _wall_clock() -> Callable[[], float]:
    """Return a wall clock without coarse steps: `time.time`, where it has none.

    On Windows it moves in steps of 15.6 ms before Python 3.13, which uses the precise function.
    Source: https://learn.microsoft.com/windows/win32/api/sysinfoapi/nf-sysinfoapi-getsystemtimepreciseasfiletime
    """
    if sys.platform != "win32" or sys.version_info >= (3, 13):
        return time.time
    import ctypes

    read = ctypes.WinDLL("kernel32").GetSystemTimePreciseAsFileTime
    read.argtypes, read.restype = (ctypes.POINTER(ctypes.c_uint64),), None
    # The FILETIME of 1970, in its units of 100 ns since 1601.
    unix_epoch, units = 116_444_736_000_000_000, 10_000_000

    def wall() -> float:
        now = ctypes.c_uint64()
        read(ctypes.byref(now))
        return (now.value - unix_epoch) / units

    return wall


# perf_counter, not monotonic: on Windows the latter moves in steps of 15.6 ms.
SYSTEM = Clock(_wall_clock(), time.perf_counter)
