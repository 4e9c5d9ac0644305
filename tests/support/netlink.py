"""Reads the kernel's list of netlink sockets.

Source: https://man7.org/linux/man-pages/man7/netlink.7.html
"""

import socket
import sys
from pathlib import Path
from typing import NamedTuple

assert sys.platform == "linux"  # for mypy: NETLINK_ROUTE does not exist elsewhere


class Subscriber(NamedTuple):
    """A netlink socket that is a member of groups, as /proc/net/netlink shows it."""

    #: That of a process' first netlink socket is the number of the process.
    port: int
    drops: int


def subscribers() -> list[Subscriber]:
    """Return the subscribers of rtnetlink in the namespace of this thread."""
    rows = [line.split() for line in Path("/proc/thread-self/net/netlink").read_text().splitlines()]
    return [
        Subscriber(port=int(row[2]), drops=int(row[8]))
        for row in rows[1:]
        if int(row[1]) == socket.NETLINK_ROUTE and int(row[3], 16)
    ]
