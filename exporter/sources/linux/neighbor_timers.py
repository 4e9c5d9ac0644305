"""Reads the neighbor timers of IP interfaces. No notification tells of them.

Source: https://man7.org/linux/man-pages/man7/arp.7.html (base_reachable_time_ms and others)
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from exporter.bindings import rtnetlink as nl
from exporter.bindings.rtnetlink_socket import DATAGRAM_BYTES, open_socket
from exporter.model import FAMILIES, Family
from exporter.sources.linux.rows import LinkKey, Timers, path_mtu_timeout

#: The address families in the kernel's numbers.
AF = {Family.IPV4: nl.AF_INET, Family.IPV6: nl.AF_INET6}


def timers_from(parameters: Iterable[nl.NeighborParameters]) -> dict[LinkKey, Timers]:
    """Add the path MTU expiry of this namespace. Those of index 0 are what a new interface gets."""
    path_mtu = {family: path_mtu_timeout(family.label) for family in FAMILIES}
    return {
        (family, n.ifindex): Timers(
            n.base_reachable_ms, n.reachable_ms, n.retransmit_ms, path_mtu[family]
        )
        for n in parameters
        for family in FAMILIES
        if n.family == AF[family]
    }


class TimerReader:
    """Asks for the timers of all IP interfaces and never waits. Thread: one.

    It has a socket of its own: there is no order between timers and notifications.
    """

    def __init__(self) -> None:
        self._socket = open_socket()
        self._socket.settimeout(0)
        self._socket.bind((0, 0))
        self._sequence = 0
        #: A reply is on its way.
        self._asked = False
        self._found: list[nl.NeighborParameters] = []

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._socket.fileno()

    def close(self) -> None:
        """Release the socket."""
        self._socket.close()

    def ask(self) -> None:
        """Ask for all; what is still on its way of an earlier reply is left out."""
        self._found.clear()
        self._sequence += 1
        self._socket.send(nl.neighbor_table_request(self._sequence))
        self._asked = True

    def receive(self) -> dict[LinkKey, Timers] | None:
        """Take what has come; return all timers once they are complete. Raises OSError."""
        while self._asked:
            try:
                data = self._socket.recv(DATAGRAM_BYTES)
            except BlockingIOError:
                return None
            for message in nl.messages(data, len(data)):
                if message.sequence != self._sequence:
                    continue
                if message.type in (nl.NLMSG_DONE, nl.NLMSG_ERROR):
                    self._asked = False
                    code = nl.error_code(data, message.start, message.end)
                    if code:
                        raise OSError(code, os.strerror(code))
                    return timers_from(self._found)
                parameters = nl.parse_neighbor_table(data, message.start, message.end)
                if parameters is not None:
                    self._found.append(parameters)
        return None
