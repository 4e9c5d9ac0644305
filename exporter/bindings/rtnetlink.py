"""rtnetlink on the wire: constants, a parser that cannot fail, and requests. Imports anywhere.

Names and numbers are those of linux/netlink.h, linux/rtnetlink.h, linux/if_link.h, linux/if.h,
linux/netconf.h and linux/neighbour.h. Everything is in the host's byte order.

The parser trusts nothing: lengths are checked against the datagram, what is cut off or
malformed is left out (the field stays ``None``), and only the fields that are kept are copied.

Source: https://man7.org/linux/man-pages/man7/rtnetlink.7.html,
https://docs.kernel.org/userspace-api/netlink/intro.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

Buffer = bytes | bytearray | memoryview

NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR = 20, 21
RTM_NEWNEIGHTBL, RTM_GETNEIGHTBL = 64, 66
RTM_NEWNETCONF, RTM_DELNETCONF = 80, 81

#: Short names of the messages, as the label ``message`` shows them.
MESSAGE_NAMES = {
    RTM_NEWLINK: "NEWLINK",
    RTM_DELLINK: "DELLINK",
    RTM_NEWADDR: "NEWADDR",
    RTM_DELADDR: "DELADDR",
    RTM_NEWNETCONF: "NEWNETCONF",
    RTM_DELNETCONF: "DELNETCONF",
}

NLM_F_REQUEST, NLM_F_MULTI, NLM_F_DUMP_INTR, NLM_F_DUMP = 0x1, 0x2, 0x10, 0x300

RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_IFINFO = 1, 5, 9, 12
RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF = 24, 25

AF_UNSPEC, AF_INET, AF_BRIDGE, AF_INET6 = 0, 2, 7, 10

IFF_UP, IFF_LOOPBACK, IFF_RUNNING, IFF_NOARP = 0x1, 0x8, 0x40, 0x80
IFF_SLAVE, IFF_MULTICAST, IFF_LOWER_UP = 0x800, 0x1000, 0x10000

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_STATS = 1, 3, 4, 5, 7
IFLA_MASTER, IFLA_PROTINFO, IFLA_LINKINFO, IFLA_IFALIAS, IFLA_AF_SPEC = 10, 12, 18, 20, 26
IFLA_TXQLEN, IFLA_OPERSTATE, IFLA_LINKMODE, IFLA_STATS64 = 13, 16, 17, 23
IFLA_CARRIER, IFLA_CARRIER_CHANGES, IFLA_LINK_NETNSID = 33, 35, 37
IFLA_CARRIER_UP_COUNT, IFLA_CARRIER_DOWN_COUNT, IFLA_PERM_ADDRESS = 47, 48, 54
IFLA_INFO_KIND, IFLA_INFO_SLAVE_KIND = 1, 4
IFLA_INET_CONF = 1
IFLA_INET6_FLAGS, IFLA_INET6_CONF, IFLA_INET6_STATS = 1, 2, 3
IFLA_INET6_CACHEINFO, IFLA_INET6_ICMP6STATS, IFLA_INET6_ADDR_GEN_MODE = 5, 6, 8

#: In-kernel inet6_dev flags, as IFLA_INET6_FLAGS shows them (include/net/if_inet6.h).
IF_RA_MANAGED, IF_RA_OTHERCONF, IF_READY = 0x40, 0x80, 0x80000000

#: Positions in the IFLA_INET_CONF array (IPV4_DEVCONF_x - 1) and in IFLA_INET6_CONF.
IPV4_FORWARDING = 0
IPV6_FORWARDING, IPV6_MTU6, IPV6_ACCEPT_RA, IPV6_DAD_TRANSMITS = 0, 2, 3, 6
IPV6_DISABLE_IPV6, IPV6_ACCEPT_DAD = 26, 27

NETCONFA_IFINDEX, NETCONFA_FORWARDING = 1, 2

NDTA_PARMS = 6
NDTPA_IFINDEX, NDTPA_REACHABLE_TIME, NDTPA_BASE_REACHABLE_TIME, NDTPA_RETRANS_TIME = 1, 3, 4, 5

_NLMSGHDR = struct.Struct("=IHHII")
_LENGTH_AND_TYPE = struct.Struct("=IH").unpack_from
_NLATTR = struct.Struct("=HH")
_IFINFOMSG = struct.Struct("=BxHiII")
_IFADDRMSG = struct.Struct("=BBBBI")
_CACHEINFO = struct.Struct("=IIII")
_U8, _U32, _I32, _U64 = (struct.Struct("=" + code) for code in "BIiQ")
#: Reads (sequence, port) of a datagram's first message: whose request it is a reply to.
reply_to = struct.Struct("=8xII").unpack_from
_NLA_TYPE_MASK = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER


class Message(NamedTuple):
    """The header of one message, and where it lies in a datagram: its body is ``data[start:end]``.

    `sequence` and `port` are those of the request that a message is a reply to or was caused by.
    """

    type: int
    flags: int
    sequence: int
    port: int
    start: int
    end: int


class LinkMessage(NamedTuple):
    """The attributes of RTM_NEWLINK and RTM_DELLINK that are used. ``None``: not in the message."""

    family: int
    ifindex: int
    flags: int
    #: These eight are the fields of `sources.linux.rows.Naming`.
    name: bytes | None = None
    alias: bytes = b""
    kind: bytes = b""
    address: bytes = b""
    permanent_address: bytes = b""
    hardware_type: int = 0
    lower: int | None = None
    lower_netns: bool = False
    mtu: int | None = None
    master: int | None = None
    #: The kind of the master, as whose port the link is set up.
    slave_kind: bytes = b""
    #: IF_OPER_x of linux/if.h.
    operstate: int | None = None
    carrier_up: int | None = None
    carrier_down: int | None = None
    #: u32 array of IPV4_DEVCONF_x; ``None``: no IPv4 on this link.
    inet_conf: bytes | None = None
    #: i32 array of DEVCONF_x; ``None``: no IPv6 on this link.
    inet6_conf: bytes | None = None
    inet6_flags: int | None = None
    #: (reachable_time, retrans_time) of struct ifla_cacheinfo, milliseconds.
    inet6_timers: tuple[int, int] | None = None
    addr_gen_mode: int | None = None


class NetconfMessage(NamedTuple):
    """RTM_NEWNETCONF and RTM_DELNETCONF: one IP interface, or -1 (all), -2 (default)."""

    family: int
    ifindex: int
    forwarding: int | None
    #: The number of attributes: all of them on creation, the one that changed on a change.
    attributes: int


class NeighborParameters(NamedTuple):
    """Timers of the neighbor table on one link, milliseconds; index 0 is the default set."""

    family: int
    ifindex: int
    reachable_ms: int | None
    base_reachable_ms: int | None
    retransmit_ms: int | None


def messages(data: Buffer, end: int) -> Iterator[Message]:
    """Yield the messages in ``data[:end]``; stop at the first with an impossible length."""
    start = 0
    while end - start >= _NLMSGHDR.size:
        length, type_, flags, sequence, port = _NLMSGHDR.unpack_from(data, start)
        stop = start + length
        if length < _NLMSGHDR.size or stop > end:
            return
        yield Message(type_, flags, sequence, port, start + _NLMSGHDR.size, stop)
        start += (length + 3) & ~3


def ends(data: Buffer, end: int) -> bool:
    """Return whether ``data[:end]`` ends a reply, in a tenth of the time of a walk."""
    start, type_ = 0, 0
    while end - start >= _NLMSGHDR.size:
        length, type_ = _LENGTH_AND_TYPE(data, start)
        if length < _NLMSGHDR.size:
            break
        start += (length + 3) & ~3
    return type_ in (NLMSG_ERROR, NLMSG_DONE)


def attributes(data: Buffer, start: int, end: int) -> dict[int, tuple[int, int]]:
    """Find where each attribute's value lies, by type; stop at an impossible length."""
    unpack = _NLATTR.unpack_from
    places = {}
    while end - start >= 4:
        length, type_ = unpack(data, start)
        stop = start + length
        if length < 4 or stop > end:
            break
        places[type_ & _NLA_TYPE_MASK] = start + 4, stop
        start += (length + 3) & ~3
    return places


def _number(data: Buffer, at: tuple[int, int] | None, form: struct.Struct = _U32) -> int | None:
    """Read the integer at a place; ``None`` without a place, or when it is too short."""
    if at is None or at[1] - at[0] < form.size:
        return None
    value: int = form.unpack_from(data, at[0])[0]
    return value


def _table(data: Buffer, at: tuple[int, int] | None) -> dict[int, tuple[int, int]]:
    """Find the attributes within a nested attribute."""
    return {} if at is None else attributes(data, *at)


def _bytes(data: Buffer, at: tuple[int, int] | None) -> bytes | None:
    return None if at is None else bytes(data[at[0] : at[1]])


@lru_cache(maxsize=1024)
def _intern(conf: bytes | None) -> bytes | None:
    """Return one object for all links with the same settings: a devconf array has 300 bytes."""
    return conf


def _string(data: Buffer, at: tuple[int, int] | None) -> bytes:
    """Read a string attribute, without its closing NUL."""
    return b"" if at is None else bytes(data[at[0] : at[1]]).split(b"\0", 1)[0]


def _inet6_timers(data: Buffer, at: tuple[int, int] | None) -> tuple[int, int] | None:
    if at is None or at[1] - at[0] < _CACHEINFO.size:
        return None
    _, _, reachable_ms, retransmit_ms = _CACHEINFO.unpack_from(data, at[0])
    return reachable_ms, retransmit_ms


def parse_link(data: Buffer, start: int, end: int) -> LinkMessage | None:
    """Parse a link message; ``None`` when it names no link."""
    if end - start < _IFINFOMSG.size:
        return None
    family, hardware_type, index, flags, _ = _IFINFOMSG.unpack_from(data, start)
    if index <= 0:
        return None
    at = _table(data, (start + _IFINFOMSG.size, end)).get
    families = _table(data, at(IFLA_AF_SPEC)).get
    inet = _table(data, families(AF_INET)).get
    info = _table(data, at(IFLA_LINKINFO)).get
    # Messages of RTNLGRP_IPV6_IFINFO have the same attributes, but in IFLA_PROTINFO.
    inet6 = _table(data, at(IFLA_PROTINFO) if family == AF_INET6 else families(AF_INET6)).get
    return LinkMessage(
        family,
        index,
        flags,
        _string(data, at(IFLA_IFNAME)) if at(IFLA_IFNAME) else None,
        _string(data, at(IFLA_IFALIAS)),
        _string(data, info(IFLA_INFO_KIND)),
        _bytes(data, at(IFLA_ADDRESS)) or b"",
        _bytes(data, at(IFLA_PERM_ADDRESS)) or b"",
        hardware_type,
        lower=_number(data, at(IFLA_LINK)),
        lower_netns=at(IFLA_LINK_NETNSID) is not None,
        mtu=_number(data, at(IFLA_MTU)),
        master=_number(data, at(IFLA_MASTER)),
        slave_kind=_string(data, info(IFLA_INFO_SLAVE_KIND)),
        operstate=_number(data, at(IFLA_OPERSTATE), _U8),
        carrier_up=_number(data, at(IFLA_CARRIER_UP_COUNT)),
        carrier_down=_number(data, at(IFLA_CARRIER_DOWN_COUNT)),
        inet_conf=_intern(_bytes(data, inet(IFLA_INET_CONF))),
        inet6_conf=_intern(_bytes(data, inet6(IFLA_INET6_CONF))),
        inet6_flags=_number(data, inet6(IFLA_INET6_FLAGS)),
        inet6_timers=_inet6_timers(data, inet6(IFLA_INET6_CACHEINFO)),
        addr_gen_mode=_number(data, inet6(IFLA_INET6_ADDR_GEN_MODE), _U8),
    )


def parse_netconf(data: Buffer, start: int, end: int) -> NetconfMessage | None:
    """Parse a netconf message; ``None`` when it names no interface. Body: struct netconfmsg."""
    if end - start < 1:
        return None
    table = _table(data, (start + 4, end))
    index = _number(data, table.get(NETCONFA_IFINDEX), _I32)
    if index is None:
        return None
    forwarding = _number(data, table.get(NETCONFA_FORWARDING), _I32)
    return NetconfMessage(data[start], index, forwarding, len(table) - 1)


def parse_address(data: Buffer, start: int, end: int) -> tuple[int, int] | None:
    """Read (family, interface index) of an address message. Body: struct ifaddrmsg."""
    if end - start < _IFADDRMSG.size:
        return None
    family, _, _, _, index = _IFADDRMSG.unpack_from(data, start)
    return family, index


def parse_neighbor_table(data: Buffer, start: int, end: int) -> NeighborParameters | None:
    """Parse one RTM_NEWNEIGHTBL message; ``None`` when it has no parameters."""
    if end - start < 4:
        return None
    table = _table(data, (start + 4, end))  # struct ndtmsg is 4 bytes
    if NDTA_PARMS not in table:
        return None
    at = _table(data, table[NDTA_PARMS]).get
    return NeighborParameters(
        data[start],
        _number(data, at(NDTPA_IFINDEX)) or 0,
        _number(data, at(NDTPA_REACHABLE_TIME), _U64),
        _number(data, at(NDTPA_BASE_REACHABLE_TIME), _U64),
        _number(data, at(NDTPA_RETRANS_TIME), _U64),
    )


def neighbor_table_index(index: int) -> bytes:
    """Build the attribute that the RTM_NEWNEIGHTBL of an interface contains, to search for it."""
    return _NLATTR.pack(_NLATTR.size + _U32.size, NDTPA_IFINDEX) + _U32.pack(index)


def error_code(data: Buffer, start: int, end: int) -> int:
    """Read the errno of an NLMSG_ERROR or NLMSG_DONE; 0 means success."""
    return -(_number(data, (start, end), _I32) or 0)


def conf_value(conf: bytes | None, position: int) -> int | None:
    """Read one entry of a devconf array; ``None`` on kernels whose array ends before it."""
    return None if conf is None else _number(conf, (position * 4, len(conf)), _I32)


def with_conf_value(conf: bytes, position: int, value: int) -> bytes:
    """Replace one entry of a devconf array; an array that ends before it stays as it is."""
    if position * 4 + 4 > len(conf):
        return conf
    return conf[: position * 4] + _I32.pack(value) + conf[position * 4 + 4 :]


def _request(type_: int, flags: int, sequence: int, body: bytes) -> bytes:
    length = _NLMSGHDR.size + len(body)
    return _NLMSGHDR.pack(length, type_, NLM_F_REQUEST | flags, sequence, 0) + body


def link_request(sequence: int, index: int | None = None) -> bytes:
    """Build RTM_GETLINK of one link, or without `index` a dump of all.

    With statistics: without them, older kernels leave IFLA_INET6_ADDR_GEN_MODE out as well.
    """
    body = _IFINFOMSG.pack(AF_UNSPEC, 0, index or 0, 0, 0)
    return _request(RTM_GETLINK, 0 if index is not None else NLM_F_DUMP, sequence, body)


def neighbor_table_request(sequence: int, family: int = AF_UNSPEC) -> bytes:
    """Build RTM_GETNEIGHTBL: a dump of one family's table, or all, with the parameters by link."""
    return _request(RTM_GETNEIGHTBL, NLM_F_DUMP, sequence, bytes([family, 0, 0, 0]))
