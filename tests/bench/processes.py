"""What a process has used, as the kernel accounts for it.

Source: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
"""

import os
import time
from pathlib import Path
from typing import NamedTuple

from support.waiting import wait_until

_TICK = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """Of a process and its threads, since it began."""

    #: User and system time, in seconds.
    cpu: float
    #: How often a thread of it was woken after waiting for something.
    wakeups: int
    threads: int

    def since(self, before: "Usage") -> "Usage":
        """What was used in between."""
        return Usage(self.cpu - before.cpu, self.wakeups - before.wakeups, self.threads)


def usage(pid: int) -> Usage:
    """What the process has used so far. CPU time to the microsecond where schedstat has it."""
    nanoseconds = wakeups = threads = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        nanoseconds += int((task / "schedstat").read_text().split()[0])
        wakeups += int(_status(task, "voluntary_ctxt_switches"))
        threads += 1
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = (int(fields[11]) + int(fields[12])) / _TICK
    return Usage(max(nanoseconds / 1e9, ticks), wakeups, threads)


def at_rest(pid: int) -> None:
    """Wait until the process has used nothing for 50 ms: it has processed every notification."""
    seen = [usage(pid).cpu]

    def rests() -> bool:
        time.sleep(0.05)
        seen.append(usage(pid).cpu)
        return seen[-1] == seen[-2]

    wait_until(rests, message="the process is at rest")


def resident_mebibytes(pid: int) -> float:
    """Resident memory."""
    return int(_status(Path(f"/proc/{pid}"), "VmRSS").split()[0]) / 1024


def _status(folder: Path, name: str) -> str:
    for line in (folder / "status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    raise LookupError(name)
