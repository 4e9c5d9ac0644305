"""The documented API on Linux: rtnetlink answers, with the documented codes.

Each read asks on a socket of its own, so any thread may read at any time. What the calling
thread sees is its network namespace.

Source: https://man7.org/linux/man-pages/man7/rtnetlink.7.html
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TypeVar

from exporter.bindings import rtnetlink as nl
from exporter.bindings.netioapi import IF_OPER_STATUS
from exporter.bindings.rtnetlink_socket import DumpInterrupted, Requester
from exporter.bindings.winerror import (
    ERROR_ACCESS_DENIED,
    ERROR_FILE_NOT_FOUND,
    ERROR_NOT_ENOUGH_MEMORY,
    ERROR_NOT_FOUND,
    ERROR_NOT_SUPPORTED,
    IpHelperError,
)
from exporter.model import FAMILIES, Family, Interface, InterfaceRow, Link, make_luid
from exporter.notify.types import IfStackRow, InvertedIfStackRow, LinkEntry
from exporter.sources import system_source
from exporter.sources.contract import Source
from exporter.sources.linux.link_state import LinkState
from exporter.sources.linux.links import LinkTable
from exporter.sources.linux.listing import AF, LISTING_TRIES, read_timers, take_listing
from exporter.sources.linux.rows import Timers, interface_type, link_facts

T = TypeVar("T")

RECEIVE_BUFFER_BYTES = 32 << 20

#: Exists unless the kernel runs without IPv6 (ipv6.disable=1).
_IPV6 = "/proc/net/if_inet6"

#: What stops the kernel from answering at all; any other errno is passed on as it is.
_STATUS = {
    errno.ENOMEM: ERROR_NOT_ENOUGH_MEMORY,
    errno.ENOBUFS: ERROR_NOT_ENOUGH_MEMORY,
    errno.EMFILE: ERROR_NOT_ENOUGH_MEMORY,
    errno.ENFILE: ERROR_NOT_ENOUGH_MEMORY,
    errno.EPERM: ERROR_ACCESS_DENIED,
    errno.EACCES: ERROR_ACCESS_DENIED,
    errno.EAFNOSUPPORT: ERROR_NOT_SUPPORTED,
    errno.EPROTONOSUPPORT: ERROR_NOT_SUPPORTED,
}


@contextmanager
def _reported(function: str) -> Iterator[None]:
    """The kernel's errors become the documented ones of `function`, where there is one."""
    try:
        yield
    except OSError as error:
        if isinstance(error, IpHelperError) or error.errno not in _STATUS:
            raise
        raise IpHelperError(_STATUS[error.errno], function) from error


@contextmanager
def _asking(function: str) -> Iterator[Requester]:
    with _reported(function), closing(Requester()) as requester:
        yield requester


class LinuxBackend:
    """See `notify_types.Backend`."""

    def register(self, family: Family) -> Source:
        """Subscribe to the changes of the calling thread's network namespace."""
        source = system_source(family, RECEIVE_BUFFER_BYTES)
        with _reported("NotifyIpInterfaceChange"):
            source.open()
        return source

    def initial_entry(self) -> Interface:
        """Nothing is set: what Linux does not have is ``None``, not 0."""
        return Interface(Family.UNSPEC, 0, 0, Link(""), InterfaceRow())

    def interface_entry(self, family: Family, luid: int, index: int) -> Interface:
        """The link decides between 2 (there is none) and 1168 (it has no such family)."""
        function = "GetIpInterfaceEntry"
        with _asking(function) as requester:
            _, message = _find(requester, luid, index, function)
            if not requester.has_netconf(AF[family], message.ifindex):
                raise IpHelperError(ERROR_NOT_FOUND, function)
            known = _retried(lambda: read_timers(requester, FAMILIES))
            timers = {f: known.get((f, message.ifindex), Timers()) for f in FAMILIES}
            return LinkState(message, timers).interface(family)

    def interface_table(self, family: Family) -> list[Interface]:
        """One listing, as the source takes it."""
        function = "GetIpInterfaceTable"
        if family is Family.IPV6 and not os.path.exists(_IPV6):
            raise IpHelperError(ERROR_NOT_SUPPORTED, function)
        families = FAMILIES if family is Family.UNSPEC else (family,)
        with _asking(function) as requester:
            table = LinkTable(families, requester.link)
            table.load(take_listing(requester, families), 0.0, 0.0)
        if not table.interfaces():
            raise IpHelperError(ERROR_NOT_FOUND, function)
        return table.interfaces()

    def link_entry(self, luid: int, index: int) -> LinkEntry:
        """One link."""
        function = "GetIfEntry2"
        with _asking(function) as requester:
            return _link_entry(*_find(requester, luid, index, function))

    def link_table(self) -> list[LinkEntry]:
        """All links that have a LUID; see `model.make_luid`."""
        with _asking("GetIfTable2") as requester:
            messages = _retried(requester.links)
        return [_link_entry(luid, m) for m in messages if (luid := _luid(m))]

    def stack_table(self) -> list[IfStackRow]:
        """A master is above its ports, and what is made on a link (a VLAN, say) above that."""
        return sorted(IfStackRow(*pair) for pair in _pairs("GetIfStackTable"))

    def inverted_stack_table(self) -> list[InvertedIfStackRow]:
        """The same, by lower link."""
        pairs = _pairs("GetInvertedIfStackTable")
        return sorted(InvertedIfStackRow(lower, higher) for higher, lower in pairs)


def _retried(dump: Callable[[], T]) -> T:
    """The result of a dump in which nothing came or went. Raises OSError when all are."""
    for _ in range(LISTING_TRIES):
        try:
            return dump()
        except DumpInterrupted:
            continue
    raise OSError(errno.EAGAIN, "interfaces kept coming and going while they were listed")


def _pairs(function: str) -> set[tuple[int, int]]:
    """The indexes of each (higher, lower) pair of links; raises ERROR_NOT_FOUND without any."""
    with _asking(function) as requester:
        links = _retried(requester.links)
    pairs = {(link.master, link.ifindex) for link in links if link.master}
    pairs |= {(link.ifindex, link.lower) for link in links if link.lower and _is_above(link)}
    if not pairs:
        raise IpHelperError(ERROR_NOT_FOUND, function)
    return pairs


def _is_above(link: nl.LinkMessage) -> bool:
    """Whether IFLA_LINK names what is below.

    That of a veth is its peer, which is beside it; an index of another network namespace
    means nothing in this one.
    """
    return link.lower != link.ifindex and link.kind != b"veth" and not link.lower_netns


def _luid(message: nl.LinkMessage) -> int:
    """The LUID of a link; 0 for the one index in millions that has none."""
    try:
        return make_luid(
            interface_type(message.hardware_type, message.name or b""), message.ifindex
        )
    except ValueError:
        return 0


def _find(requester: Requester, luid: int, index: int, function: str) -> tuple[int, nl.LinkMessage]:
    """The link of a LUID, or of an index where the LUID is 0, with its LUID."""
    wanted = luid >> 24 & 0xFFFFFF if luid else index
    # 2**31: the kernel's indexes are signed, and it knows no negative ones.
    message = requester.link(wanted) if 0 < wanted < 1 << 31 else None
    found = _luid(message) if message is not None else 0
    if message is None or not found or luid not in (0, found):
        raise IpHelperError(ERROR_FILE_NOT_FOUND, function)
    return found, message


def _link_entry(luid: int, message: nl.LinkMessage) -> LinkEntry:
    flags = message.flags
    if not flags & nl.IFF_UP:
        status = IF_OPER_STATUS.IfOperStatusDown
    elif flags & nl.IFF_RUNNING:
        status = IF_OPER_STATUS.IfOperStatusUp
    elif flags & nl.IFF_LOWER_UP:
        status = IF_OPER_STATUS.IfOperStatusDormant
    else:
        status = IF_OPER_STATUS.IfOperStatusLowerLayerDown
    return LinkEntry(
        luid=luid,
        ifindex=message.ifindex,
        link=link_facts(message, luid >> 48),
        mtu_bytes=message.mtu or 0,
        enabled=bool(flags & nl.IFF_UP),
        oper_status=int(status),
        media_connected=bool(flags & nl.IFF_LOWER_UP),
    )
