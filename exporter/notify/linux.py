"""The documented API on Linux: rtnetlink answers, with the documented codes.

Each read asks on a socket of its own, so any thread may read at any time. What the calling
thread sees is its network namespace. The LUIDs of links that reuse an index depend on
what the registrations of this process have received (see `sources.linux.index_reuse`).

Source: https://man7.org/linux/man-pages/man7/rtnetlink.7.html
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager

from exporter.bindings import rtnetlink as nl
from exporter.bindings.netioapi import IF_OPER_STATUS
from exporter.bindings.rtnetlink_socket import Requester
from exporter.bindings.winerror import (
    ERROR_ACCESS_DENIED,
    ERROR_FILE_NOT_FOUND,
    ERROR_NOT_ENOUGH_MEMORY,
    ERROR_NOT_FOUND,
    ERROR_NOT_SUPPORTED,
    IpHelperError,
)
from exporter.model import (
    FAMILIES,
    Family,
    Interface,
    InterfaceRow,
    Link,
    luid_index,
    make_luid,
)
from exporter.notify.types import IfStackRow, InvertedIfStackRow, LinkEntry
from exporter.sources import system_source
from exporter.sources.contract import Source
from exporter.sources.linux.index_reuse import index_reuse_of
from exporter.sources.linux.link_state import LinkState
from exporter.sources.linux.neighbor_timers import AF, timers_from
from exporter.sources.linux.rows import (
    LinkKey,
    Naming,
    Timers,
    interface_type,
    link_facts,
    naming_fields,
)

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
    """Turn the kernel's errors into the documented ones of `function`, where there is one."""
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
    """See `types.Backend`."""

    def register(self, family: Family) -> Source:
        """Subscribe to the changes of the calling thread's network namespace."""
        source = system_source(family, RECEIVE_BUFFER_BYTES)
        with _reported("NotifyIpInterfaceChange"):
            source.open()
        return source

    def initial_entry(self) -> Interface:
        """Set nothing: what Linux does not have is ``None``, not 0."""
        return Interface(Family.UNSPEC, 0, 0, Link(""), InterfaceRow())

    def interface_entry(self, family: Family, luid: int, index: int) -> Interface:
        """Read one; the link decides between 2 (there is none) and 1168 (it has no such family)."""
        function = "GetIpInterfaceEntry"
        with _asking(function) as requester:
            _, message = _find(requester, luid, index, function)
            if family not in _families(message):
                raise IpHelperError(ERROR_NOT_FOUND, function)
            parameters = requester.neighbor_parameters_of(AF[family], message.ifindex)
            timers = timers_from(() if parameters is None else (parameters,))
            return _link_state(requester, message, timers).interface(family)

    def interface_table(self, family: Family) -> list[Interface]:
        """List all, by link."""
        function = "GetIpInterfaceTable"
        if family is Family.IPV6 and not os.path.exists(_IPV6):
            raise IpHelperError(ERROR_NOT_SUPPORTED, function)
        wanted = FAMILIES if family is Family.UNSPEC else (family,)
        with _asking(function) as requester:
            timers = timers_from(requester.neighbor_parameters())
            interfaces = [
                link.interface(family)
                for message in requester.links()
                for link in [_link_state(requester, message, timers)]
                for family in _families(message)
                if family in wanted
            ]
        if not interfaces:
            raise IpHelperError(ERROR_NOT_FOUND, function)
        return interfaces

    def link_entry(self, luid: int, index: int) -> LinkEntry:
        """Read one link."""
        function = "GetIfEntry2"
        with _asking(function) as requester:
            return _link_entry(*_find(requester, luid, index, function))

    def link_table(self) -> list[LinkEntry]:
        """List all links."""
        with _asking("GetIfTable2") as requester:
            return [_link_entry(_luid(requester, m), m) for m in requester.links()]

    def stack_table(self) -> list[IfStackRow]:
        """List what is above: a master above its ports, a VLAN or the like above its link."""
        return sorted(IfStackRow(*pair) for pair in _pairs("GetIfStackTable"))

    def inverted_stack_table(self) -> list[InvertedIfStackRow]:
        """List the same by lower link."""
        pairs = _pairs("GetInvertedIfStackTable")
        return sorted(InvertedIfStackRow(lower, higher) for higher, lower in pairs)


def _pairs(function: str) -> set[tuple[int, int]]:
    """Return the indexes of each (higher, lower) pair of links; ERROR_NOT_FOUND without any."""
    with _asking(function) as requester:
        links = requester.links()
    pairs = {(link.master, link.ifindex) for link in links if link.master}
    pairs |= {(link.ifindex, link.lower) for link in links if link.lower and _is_above(link)}
    if not pairs:
        raise IpHelperError(ERROR_NOT_FOUND, function)
    return pairs


def _is_above(link: nl.LinkMessage) -> bool:
    """Return whether IFLA_LINK names what is below.

    That of a veth is its peer, which is beside it; an index of another network namespace
    means nothing in this one.
    """
    return link.lower != link.ifindex and link.kind != b"veth" and not link.lower_netns


def _families(message: nl.LinkMessage) -> list[Family]:
    """Return the IP interfaces that exist on a link."""
    confs = {Family.IPV4: message.inet_conf, Family.IPV6: message.inet6_conf}
    return [family for family in FAMILIES if confs[family] is not None]


def _link_state(
    requester: Requester, message: nl.LinkMessage, timers: dict[LinkKey, Timers]
) -> LinkState:
    own = {f: timers.get((f, message.ifindex), Timers()) for f in FAMILIES}
    return LinkState(message, own, index_reuse_of(requester.namespace_id))


def _luid(requester: Requester, message: nl.LinkMessage) -> int:
    type_ = interface_type(message.hardware_type, message.name or b"")
    reuse = index_reuse_of(requester.namespace_id).current(type_, message.ifindex)
    return make_luid(type_, message.ifindex, reuse)


def _find(requester: Requester, luid: int, index: int, function: str) -> tuple[int, nl.LinkMessage]:
    """Return the link of a LUID, or of an index where the LUID is 0, with its LUID."""
    wanted = luid_index(luid) if luid else index
    # 2**31: the kernel's indexes are signed, and it knows no negative ones.
    message = requester.link(wanted) if 0 < wanted < 1 << 31 else None
    if message is not None:
        known = _luid(requester, message)
        if luid in (0, known):
            return known, message
    raise IpHelperError(ERROR_FILE_NOT_FOUND, function)


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
        link=link_facts(Naming._make(naming_fields(message)), luid >> 48),
        mtu_bytes=message.mtu or 0,
        enabled=bool(flags & nl.IFF_UP),
        oper_status=int(status),
        media_connected=bool(flags & nl.IFF_LOWER_UP),
    )
