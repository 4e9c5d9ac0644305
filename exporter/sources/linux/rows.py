"""Maps the attributes of a Linux link to the row of an IP interface.

Members that Linux does not have stay ``None``: no weak-host switch, no interface metric,
no router advertisements of the kernel's own.

The row functions are cached because a system has few distinct rows, and they repeat: a flap
alternates between two. An unchanged row is then the *same* object, and costs no comparison.
The caches keep rows of deleted links too: 1 KiB each, half a MiB at the most.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from exporter.bindings import rtnetlink as nl
from exporter.model import Family, InterfaceRow, Link, LinkStatus, OperStatus

#: An IP interface in the kernel's messages: family and link index.
LinkKey = tuple[Family, int]


class Timers(NamedTuple):
    """Timers of an IP interface, from the neighbor table and the route sysctls. Milliseconds."""

    base_reachable_ms: int | None = None
    reachable_ms: int | None = None
    retransmit_ms: int | None = None
    path_mtu_ms: int | None = None


#: A link with all of them is connected. Each is needed: RUNNING alone is also set before the
#: kernel has looked at the carrier (operstate UNKNOWN), LOWER_UP alone while a link is dormant.
CONNECTED_FLAGS = nl.IFF_UP | nl.IFF_RUNNING | nl.IFF_LOWER_UP
#: The link flags that any row depends on.
ROW_FLAGS = CONNECTED_FLAGS | nl.IFF_LOOPBACK | nl.IFF_NOARP | nl.IFF_MULTICAST | nl.IFF_SLAVE


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _bool(number: int | None) -> bool | None:
    return None if number is None else bool(number)


def is_connected(flags: int) -> bool:
    """Return whether a link with these flags is connected to a network."""
    return flags & CONNECTED_FLAGS == CONNECTED_FLAGS


@lru_cache(maxsize=256)
def ipv4_row(flags: int, mtu: int, conf: bytes, timers: Timers) -> InterfaceRow:
    """Make the IPv4 row. `flags` are the link's, masked with `ROW_FLAGS`."""
    neighbors = not flags & (nl.IFF_NOARP | nl.IFF_LOOPBACK)
    return InterfaceRow(
        connected=is_connected(flags),
        mtu_bytes=mtu,
        forwarding_enabled=_bool(nl.conf_value(conf, nl.IPV4_FORWARDING)),
        neighbor_unreachability_detection_enabled=True if neighbors else None,
        base_reachable_time_seconds=_seconds(timers.base_reachable_ms),
        retransmit_time_seconds=_seconds(timers.retransmit_ms),
        path_mtu_discovery_timeout_seconds=_seconds(timers.path_mtu_ms),
        neighbor_discovery_supported=neighbors,
        reachable_time_seconds=_seconds(timers.reachable_ms),
    )


@lru_cache(maxsize=256)
def ipv6_row(
    flags: int, inet6_flags: int, conf: bytes, addr_gen_mode: int | None, index: int, timers: Timers
) -> InterfaceRow:
    """Make the IPv6 row. `flags` as for IPv4; `inet6_flags` are those of the inet6_dev."""
    neighbors = not flags & (nl.IFF_NOARP | nl.IFF_LOOPBACK)
    forwarding = _bool(nl.conf_value(conf, nl.IPV6_FORWARDING))
    accept_ra = nl.conf_value(conf, nl.IPV6_ACCEPT_RA)
    accept_dad = nl.conf_value(conf, nl.IPV6_ACCEPT_DAD)
    return InterfaceRow(
        connected=is_connected(flags)
        and bool(inet6_flags & nl.IF_READY)
        and not ipv6_disabled(conf),
        mtu_bytes=nl.conf_value(conf, nl.IPV6_MTU6),
        forwarding_enabled=forwarding,
        neighbor_unreachability_detection_enabled=True if neighbors else None,
        managed_address_configuration_enabled=bool(inet6_flags & nl.IF_RA_MANAGED),
        other_stateful_configuration_enabled=bool(inet6_flags & nl.IF_RA_OTHERCONF),
        # accept_ra: 0 never, 1 unless forwarding, 2 always (Documentation/networking/ip-sysctl)
        router_discovery_behavior=None
        if accept_ra is None
        else int(accept_ra == 2 or (accept_ra == 1 and not forwarding)),
        # accept_dad: 0 disabled, -1 not possible on this link (loopback, NOARP)
        dad_transmits=0
        if accept_dad is not None and accept_dad < 1
        else nl.conf_value(conf, nl.IPV6_DAD_TRANSMITS),
        base_reachable_time_seconds=_seconds(timers.base_reachable_ms),
        retransmit_time_seconds=_seconds(timers.retransmit_ms),
        path_mtu_discovery_timeout_seconds=_seconds(timers.path_mtu_ms),
        # in6_addr_gen_mode: 1 is none, the others make a link-local address
        link_local_address_behavior=None
        if addr_gen_mode is None
        else (0 if addr_gen_mode == 1 else 2),
        neighbor_discovery_supported=neighbors,
        router_discovery_supported=not flags & nl.IFF_LOOPBACK and bool(flags & nl.IFF_MULTICAST),
        zone_indices=(0, index, index) + (0,) * 13,  # link scope: sin6_scope_id is the index
        reachable_time_seconds=_seconds(timers.reachable_ms),
    )


def ipv6_disabled(conf: bytes | None) -> bool:
    """Return whether disable_ipv6 is set: the IP interface exists, but carries nothing."""
    return bool(nl.conf_value(conf, nl.IPV6_DISABLE_IPV6))


#: By IF_OPER_x (linux/if.h).
_OPER_STATUS = (
    OperStatus.UNKNOWN,
    OperStatus.NOT_PRESENT,
    OperStatus.DOWN,
    OperStatus.LOWER_LAYER_DOWN,
    OperStatus.TESTING,
    OperStatus.DORMANT,
    OperStatus.UP,
)
#: Kinds whose IFLA_LINK is the other end, which is beside them and not below.
_PAIRED = frozenset({b"veth", b"vxcan", b"netkit"})
#: An IP interface whose link, or whose family on it, is switched off.
SWITCHED_OFF = LinkStatus(enabled=False, oper_status=OperStatus.DOWN)


def link_status(message: nl.LinkMessage, kind: bytes) -> LinkStatus:
    """Read the status from a link message; the `kind` is not in those of AF_INET6."""
    flags = message.flags & (nl.IFF_UP | nl.IFF_LOWER_UP)
    return _link_status(flags, message.operstate or 0, paired=kind in _PAIRED)


@lru_cache(maxsize=64)
def _link_status(flags: int, operstate: int, *, paired: bool) -> LinkStatus:
    """Map them as `default_operstate` in the kernel's net/core/link_watch.c."""
    if not flags & nl.IFF_UP:
        return SWITCHED_OFF
    status = _OPER_STATUS[operstate] if operstate < len(_OPER_STATUS) else OperStatus.UNKNOWN
    carrier = bool(flags & nl.IFF_LOWER_UP)
    if status is OperStatus.LOWER_LAYER_DOWN and paired:
        status = OperStatus.DOWN
    elif not carrier and status in (OperStatus.UP, OperStatus.UNKNOWN):
        status = OperStatus.DOWN  # the carrier is lost, and linkwatch has not run yet
    if status is OperStatus.DOWN:
        return LinkStatus(enabled=True, oper_status=status, carrier=False)
    return LinkStatus(enabled=True, oper_status=status, carrier=carrier or None)


#: The kinds of masters that IPv6 is not configured under, besides those that set IFF_SLAVE.
_MASTERS_WITHOUT_ADDRCONF = frozenset({b"team"})


def ipv6_kept_out(message: nl.LinkMessage) -> bool:
    """Return whether the kernel may leave IPv6 out of a link because of its master.

    So it does with the ports of a bond, of a failover device (whose kind is not told), with the
    VF of a Hyper-V adapter, and on some kernels with those of a team. Where it does, the link
    never gets IF_READY, whatever its carrier does.

    Source: net/ipv6/addrconf.c (addrconf_notify: IFF_SLAVE, IFF_NO_ADDRCONF)
    """
    if message.master is None:
        return False
    return (
        bool(message.flags & nl.IFF_SLAVE)
        or not message.slave_kind
        or message.slave_kind in _MASTERS_WITHOUT_ADDRCONF
    )


#: ARPHRD_x (linux/if_arp.h) → IANA ifType, as far as Windows knows one; the rest are 1 (other).
_INTERFACE_TYPES = {
    1: 6, 772: 24, 801: 71, 802: 71, 803: 71, 512: 23, 256: 28, 257: 28, 258: 28, 259: 28,
    768: 131, 769: 131, 776: 131, 778: 131, 823: 131, 65534: 53, 800: 9, 774: 15, 19: 37,
    24: 144, 513: 118, 7: 35, 804: 259,
}  # fmt: skip
_ARPHRD_ETHER, _IF_TYPE_IEEE80211 = 1, 71


def interface_type(hardware_type: int, name: bytes) -> int:
    """Find the ifType of a new link. Managed Wi-Fi calls itself Ethernet; only sysfs tells.

    Source: https://learn.microsoft.com/windows/win32/api/ifdef/ns-ifdef-net_luid_lh
    """
    if hardware_type == _ARPHRD_ETHER and name:
        device = b"/sys/class/net/" + name
        if os.path.exists(device + b"/wireless") or os.path.exists(device + b"/phy80211"):
            return _IF_TYPE_IEEE80211
    return _INTERFACE_TYPES.get(hardware_type, 1)


#: Kinds of links whose address is that of a port.
_MASTERS = frozenset({b"bridge", b"bond", b"team"})


class Naming(NamedTuple):
    """The attributes that tell a link from others, and that `link_facts` is made of."""

    name: bytes | None
    alias: bytes
    kind: bytes
    address: bytes
    permanent_address: bytes
    hardware_type: int
    lower: int | None
    lower_netns: bool

    def differs(self, other: Naming) -> bool:
        """Return whether these are two links, although they have the same index.

        No link changes its kind, or has another end later; its own address it seldom does.
        """
        return self._identity != other._identity or self._has_another_end(other)

    def _has_another_end(self, other: Naming) -> bool:
        """Return whether the other ends differ, as far as both are known.

        The first message of a pair's first end does not name the second, and one that moves to
        another network namespace can get another index there.
        """
        known = self.lower and other.lower and not (self.lower_netns or other.lower_netns)
        return bool(self.kind in _PAIRED and known and self.lower != other.lower)

    @property
    def _identity(self) -> tuple[object, ...]:
        on_another = self.lower is not None and self.kind not in _PAIRED
        borrowed = self.kind in _MASTERS or on_another
        address = self.permanent_address or (b"" if borrowed else self.address)
        return self.hardware_type, self.kind, address


_FIELDS: tuple[str, ...] = nl.LinkMessage._fields
_PLACE = slice(_FIELDS.index("name"), _FIELDS.index("lower_netns") + 1)
assert _FIELDS[_PLACE] == Naming._fields
#: Reads them from a link message, for `Naming._make`.
naming_fields: Callable[[nl.LinkMessage], tuple[Any, ...]] = itemgetter(_PLACE)


def link_facts(names: Naming, type_: int) -> Link:
    """Make the facts beside the row. Names are any bytes but ``/`` and NUL."""
    return Link(
        name=(names.name or b"").decode("utf-8", "replace"),
        alias=names.alias.decode("utf-8", "replace"),
        kind=names.kind.decode("utf-8", "replace"),
        type=type_,
        address=names.address.hex(":"),
    )


def path_mtu_timeout(family: str) -> int | None:
    """Read the path MTU expiry of this network namespace for ``ipv4`` or ``ipv6``; milliseconds."""
    try:
        return int(Path(f"/proc/sys/net/{family}/route/mtu_expires").read_text()) * 1000
    except (OSError, ValueError):
        return None
