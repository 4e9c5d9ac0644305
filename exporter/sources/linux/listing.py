"""A complete listing of what exists: links, the IP interfaces on them, their timers."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import NamedTuple

from exporter.bindings import rtnetlink as nl
from exporter.bindings.rtnetlink_socket import DumpInterrupted, Requester
from exporter.model import Family
from exporter.sources.linux.rows import Timers, path_mtu_timeout

#: The address families in the kernel's numbers.
AF = {Family.IPV4: nl.AF_INET, Family.IPV6: nl.AF_INET6}

#: How often a listing is repeated when links came or went in the middle of it.
LISTING_TRIES = 5

#: An IP interface as the kernel names it: family and link index.
Key = tuple[Family, int]


class Listing(NamedTuple):
    """What existed when it was taken. Timers of index 0 are those a new interface gets."""

    links: list[nl.LinkMessage]
    existing: set[Key]
    timers: dict[Key, Timers]


def take_listing(requester: Requester, families: Iterable[Family]) -> Listing:
    """A listing without holes. Raises OSError, also when links come and go all the time."""
    families = tuple(families)
    for _ in range(LISTING_TRIES):
        try:
            links = requester.links()
            existing = {
                (family, netconf.ifindex)
                for family in families
                for netconf in requester.netconfs(AF[family])
            }
            timers = read_timers(requester, families)
        except DumpInterrupted:
            continue
        # The kernel does not flag an interrupted netconf dump: compare the two.
        if {index for _, index in existing} <= {link.ifindex for link in links}:
            return Listing(links, existing, timers)
    raise OSError(errno.EAGAIN, "interfaces kept coming and going while they were listed")


def read_timers(requester: Requester, families: Iterable[Family]) -> dict[Key, Timers]:
    """The neighbour timers of the IP interfaces. Raises OSError and `DumpInterrupted`."""
    families = tuple(families)
    path_mtu = {family: path_mtu_timeout(family.label) for family in families}
    parameters = requester.neighbour_parameters()
    return {
        (family, n.ifindex): Timers(
            n.base_reachable_ms, n.reachable_ms, n.retransmit_ms, path_mtu[family]
        )
        for family in families
        for n in parameters
        if n.family == AF[family]
    }
