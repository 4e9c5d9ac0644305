"""Builds the bodies of rtnetlink messages, as the kernel would send them."""

import struct
from collections.abc import Mapping

from exporter.bindings import rtnetlink as nl

UP = nl.IFF_UP
#: A link that is up and has a carrier, as operstate UP shows it.
RUNNING = nl.IFF_UP | nl.IFF_RUNNING | nl.IFF_LOWER_UP
_BROADCAST = 0x2

#: IFLA_INET6_FLAGS of a family that is ready on a link.
READY = nl.IF_READY
ARPHRD_ETHER = 1
#: linux/if.h.
IF_OPER_DOWN, IF_OPER_LOWERLAYERDOWN, IF_OPER_DORMANT, IF_OPER_UP = 2, 3, 5, 6


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def u32(kind: int, value: int) -> bytes:
    """An attribute that holds a number."""
    return attribute(kind, struct.pack("=I", value & 0xFFFFFFFF))


def inet_conf(**values: int) -> bytes:
    """An IPv4 devconf array; `values` by the names of the bindings, e.g. ``FORWARDING=1``."""
    conf = [0] * 33
    for name, value in values.items():
        conf[getattr(nl, f"IPV4_{name}")] = value
    return struct.pack("=33i", *conf)


def inet6_conf(**values: int) -> bytes:
    """An IPv6 devconf array with the kernel's defaults."""
    conf = [0] * 60
    defaults = {"MTU6": 1500, "ACCEPT_RA": 1, "DAD_TRANSMITS": 1, "ACCEPT_DAD": 1}
    for name, value in {**defaults, **values}.items():
        conf[getattr(nl, f"IPV6_{name}")] = value
    return struct.pack("=60i", *conf)


def _inet6(conf: bytes, flags: int, reachable_ms: int, retransmit_ms: int) -> bytes:
    return b"".join((
        u32(nl.IFLA_INET6_FLAGS, flags),
        attribute(nl.IFLA_INET6_CACHEINFO, struct.pack("=4I", 0, 0, reachable_ms, retransmit_ms)),
        attribute(nl.IFLA_INET6_CONF, conf),
        attribute(nl.IFLA_INET6_ADDR_GEN_MODE, b"\0"),
    ))  # fmt: skip


def link(
    index: int,
    name: bytes = b"eth0",
    flags: int = 0,
    *,
    family: int = nl.AF_UNSPEC,
    hardware_type: int = ARPHRD_ETHER,
    operstate: int | None = None,
    mtu: int | None = 1500,
    kind: bytes = b"veth",
    alias: bytes = b"",
    address: bytes = b"\2\0\0\0\0\1",
    permanent: bytes = b"",
    master: int | None = None,
    slave_kind: bytes = b"",
    lower: int | None = None,
    lower_netns: bool = False,
    counts: tuple[int, int] | None = (0, 0),
    conf: bytes | None = inet_conf(),
    conf6: bytes | None = inet6_conf(),
    flags6: int = READY,
    reachable_ms: int = 30000,
    retransmit_ms: int = 1000,
) -> bytes:
    """RTM_NEWLINK or RTM_DELLINK; ``conf=None`` or ``conf6=None`` is a link without the family.

    Without an `operstate` it is UP or DOWN, as the flags say.
    """
    body = struct.pack(
        "=BxHiII", family, hardware_type, index, flags | _BROADCAST | nl.IFF_MULTICAST, 0
    )
    body += attribute(nl.IFLA_IFNAME, name + b"\0")
    if operstate is None:
        operstate = IF_OPER_UP if flags & nl.IFF_RUNNING else IF_OPER_DOWN
    body += attribute(nl.IFLA_OPERSTATE, bytes([operstate]))
    if mtu is not None:
        body += u32(nl.IFLA_MTU, mtu)
    body += attribute(nl.IFLA_ADDRESS, address)
    for number, value in ((nl.IFLA_MASTER, master), (nl.IFLA_LINK, lower)):
        if value is not None:
            body += u32(number, value)
    if lower_netns:
        body += u32(nl.IFLA_LINK_NETNSID, 0)
    if permanent:
        body += attribute(nl.IFLA_PERM_ADDRESS, permanent)
    if alias:
        body += attribute(nl.IFLA_IFALIAS, alias + b"\0")
    inet6 = _inet6(conf6, flags6, reachable_ms, retransmit_ms) if conf6 is not None else b""
    if family == nl.AF_INET6:
        return body + attribute(nl.IFLA_PROTINFO, inet6)
    info = attribute(nl.IFLA_INFO_KIND, kind + b"\0")
    if slave_kind:
        info += attribute(nl.IFLA_INFO_SLAVE_KIND, slave_kind + b"\0")
    body += attribute(nl.IFLA_LINKINFO, info)
    if counts is not None:  # kernels before 4.16 have none
        numbers = zip((nl.IFLA_CARRIER_UP_COUNT, nl.IFLA_CARRIER_DOWN_COUNT), counts, strict=True)
        body += b"".join(u32(number, count) for number, count in numbers)
    spec = b""
    if conf is not None:
        spec += attribute(nl.AF_INET, attribute(nl.IFLA_INET_CONF, conf))
    if conf6 is not None:
        spec += attribute(nl.AF_INET6, inet6)
    return body + attribute(nl.IFLA_AF_SPEC, spec)


_CREATION = {nl.NETCONFA_FORWARDING: 0, 4: 0, 5: 0, 6: 0}


def netconf(family: int, index: int, values: Mapping[int, int] = _CREATION) -> bytes:
    """RTM_NEWNETCONF or RTM_DELNETCONF; by default with all the attributes of a creation."""
    body = bytes([family, 0, 0, 0]) + u32(nl.NETCONFA_IFINDEX, index)
    return body + b"".join(u32(kind, value) for kind, value in values.items())


def address(family: int, index: int) -> bytes:
    """RTM_NEWADDR or RTM_DELADDR, without the address itself."""
    return struct.pack("=BBBBI", family, 64, 0, 0, index)


def datagram(*parts: tuple[int, bytes], flags: int = 0, sequence: int = 0, port: int = 0) -> bytes:
    """One datagram with these messages: (type, body) each."""
    return b"".join(
        struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, port)
        + body
        + b"\0" * (-len(body) % 4)
        for kind, body in parts
    )


def error(code: int) -> bytes:
    """NLMSG_ERROR or NLMSG_DONE, with an errno; 0 is success."""
    return struct.pack("=i", -code)
