"""The types that every other module uses: a notification, and the IP interface it is about.

They are immutable and hold base units (bytes, seconds). They are tuples, because one is made
for every notification. This module imports nothing of ours.

Source: https://learn.microsoft.com/windows/win32/api/netioapi/ns-netioapi-mib_ipinterface_row
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

__all__ = [
    "FAMILIES", "Cause", "Change", "Family", "Interface", "InterfaceId", "InterfaceRow", "Link",
    "LinkStatus", "Notification", "NotificationType", "OperStatus", "changes", "format_luid",
]  # fmt: skip


class Family(IntEnum):
    """Address family, in the numbers of the documented API (Linux' own 10 is not one of them)."""

    UNSPEC = 0
    IPV4 = 2
    IPV6 = 23

    @property
    def label(self) -> str:
        """``ipv4`` or ``ipv6``: the label value, and OpenTelemetry's ``network.type``."""
        return _FAMILY_LABELS[self]

    @classmethod
    def from_label(cls, label: str) -> Family:
        """Return the family of a label. Raises ValueError for all but ``ipv4`` and ``ipv6``."""
        for family, known in _FAMILY_LABELS.items():
            if label == known and family is not cls.UNSPEC:
                return family
        raise ValueError(f'unknown family "{label}": expected ipv4 or ipv6')


_FAMILY_LABELS = {Family.UNSPEC: "unspec", Family.IPV4: "ipv4", Family.IPV6: "ipv6"}

#: The families an interface can have, in the order in which they are shown.
FAMILIES = (Family.IPV4, Family.IPV6)


class NotificationType(IntEnum):
    """What happened. The first four are MIB_NOTIFICATION_TYPE; ``REFRESH`` is ours.

    Source: https://learn.microsoft.com/windows/win32/api/netioapi/ne-netioapi-mib_notification_type
    """

    PARAMETER = 0
    ADD = 1
    DELETE = 2
    INITIAL = 3
    #: No notification of the contract: the row is as before, but facts beside it changed
    #: (device name, alias, address, status), or unobserved transitions were found. Never
    #: counted, never called back.
    REFRESH = 4

    @property
    def label(self) -> str:
        """The value of the label ``type``, for example ``add``."""
        return self.name.lower()


#: The types that are counted, in the order in which they are shown.
COUNTED_TYPES = (NotificationType.ADD, NotificationType.DELETE, NotificationType.PARAMETER)
assert sorted(COUNTED_TYPES) == [0, 1, 2], "lists of counts have the type as index"


class Link(NamedTuple):
    """Facts about the link below an IP interface; both families share one."""

    #: Linux: the device name. Windows: the alias. The label ``device``.
    name: str
    alias: str = ""
    #: Linux: the rtnetlink kind (veth, bridge, …), empty for hardware.
    kind: str = ""
    #: IANA ifType as Windows numbers it (6 Ethernet, 24 loopback, 71 Wi-Fi, …).
    type: int = 0
    #: Link-layer address, lower-case hexadecimal with colons.
    address: str = ""
    #: Windows only: the interface GUID in braces, and the adapter's description.
    guid: str = ""
    description: str = ""


class InterfaceRow(NamedTuple):
    """The row: MIB_IPINTERFACE_ROW in base units. ``None``: this system has no such member.

    The reserved members (MaxReassemblySize, InterfaceIdentifier) are left out.
    """

    connected: bool = False
    mtu_bytes: int | None = None
    metric: int | None = None
    forwarding_enabled: bool | None = None
    advertising_enabled: bool | None = None
    automatic_metric_enabled: bool | None = None
    weak_host_send_enabled: bool | None = None
    weak_host_receive_enabled: bool | None = None
    neighbor_unreachability_detection_enabled: bool | None = None
    managed_address_configuration_enabled: bool | None = None
    other_stateful_configuration_enabled: bool | None = None
    default_route_advertised: bool | None = None
    default_routes_disabled: bool | None = None
    #: 0 disabled, 1 enabled, 2 by DHCP.
    router_discovery_behavior: int | None = None
    dad_transmits: int | None = None
    base_reachable_time_seconds: float | None = None
    retransmit_time_seconds: float | None = None
    path_mtu_discovery_timeout_seconds: float | None = None
    #: 0 always off, 1 delayed, 2 always on.
    link_local_address_behavior: int | None = None
    link_local_address_timeout_seconds: float | None = None
    site_prefix_length: int | None = None
    min_router_advertisement_interval_seconds: float | None = None
    max_router_advertisement_interval_seconds: float | None = None
    wake_up_patterns_supported: bool | None = None
    neighbor_discovery_supported: bool | None = None
    router_discovery_supported: bool | None = None
    #: Bit sets of NL_INTERFACE_OFFLOAD_ROD.
    transmit_offload: int | None = None
    receive_offload: int | None = None
    #: Scope zone indices by SCOPE_LEVEL (16 of them).
    zone_indices: tuple[int, ...] | None = None
    #: Randomized again all the time: published, but never a change (see `RANDOM_MEMBERS`).
    reachable_time_seconds: float | None = None


#: So many members at the end are random, and no change when they differ.
RANDOM_MEMBERS = 1
assert InterfaceRow._fields[-RANDOM_MEMBERS:] == ("reachable_time_seconds",)

#: Members that can change, and so be the value of the label ``parameter``.
CHANGING = InterfaceRow._fields[:-RANDOM_MEMBERS]


class Change(NamedTuple):
    """One member of the row that changed."""

    parameter: str
    before: object
    after: object


def changes(before: InterfaceRow, after: InterfaceRow) -> tuple[Change, ...]:
    """Return the members in which two rows differ, in declaration order."""
    if before is after:
        return ()
    members = zip(CHANGING, before, after, strict=False)  # without the random ones
    return tuple([Change(name, old, new) for name, old, new in members if old != new])


class OperStatus(IntEnum):
    """ifOperStatus of RFC 2863. Windows' IF_OPER_STATUS has the same numbers.

    Source: https://www.rfc-editor.org/rfc/rfc2863#section-3.1.14
    """

    UP = 1
    DOWN = 2
    TESTING = 3
    UNKNOWN = 4
    DORMANT = 5
    NOT_PRESENT = 6
    LOWER_LAYER_DOWN = 7

    @property
    def label(self) -> str:
        """The word of RFC 2863, for example ``lowerLayerDown``."""
        return _OPER_STATUS_LABELS[self]


_OPER_STATUS_LABELS = (
    "", "up", "down", "testing", "unknown", "dormant", "notPresent", "lowerLayerDown"
)  # fmt: skip


class Cause(IntEnum):
    """Why an IP interface is not connected: values of the label ``cause``."""

    #: Somebody switched it off.
    ADMINISTRATIVE = 0
    #: It is switched on, but its link has no carrier.
    CARRIER = 1
    #: Anything else, or not known.
    OTHER = 2

    @property
    def label(self) -> str:
        """The value of the label ``cause``."""
        return self.name.lower()


class LinkStatus(NamedTuple):
    """Whether an IP interface is switched on, and whether the link below it works."""

    #: ifAdminStatus of the link is up, and so is the family on it; ``None``: not known.
    enabled: bool | None = None
    oper_status: OperStatus = OperStatus.UNKNOWN
    #: Whether the link itself has a carrier, not a link below it; ``None``: not known.
    carrier: bool | None = None

    @property
    def works(self) -> bool:
        """Whether nothing below the IP interface keeps it from being connected."""
        return self.enabled is not False and self.oper_status in (
            OperStatus.UP,
            OperStatus.UNKNOWN,
        )

    @property
    def cause(self) -> Cause:
        """Why an IP interface with this status is not connected."""
        if self.enabled is False:
            return Cause.ADMINISTRATIVE
        return Cause.CARRIER if self.enabled and self.carrier is False else Cause.OTHER

    @property
    def cause_label(self) -> str:
        """The same in more detail: ``administrative``, or a word of RFC 2863."""
        if self.enabled is False:
            return Cause.ADMINISTRATIVE.label
        # The link is up again already, or it was not the link.
        known = self.oper_status is not OperStatus.UP
        return (self.oper_status if known else OperStatus.UNKNOWN).label


class Interface(NamedTuple):
    """One IP interface: a family on a link, as it was at one moment."""

    family: Family
    luid: int
    ifindex: int
    link: Link
    parameters: InterfaceRow
    status: LinkStatus = LinkStatus()


#: An IP interface for its whole life: family and LUID.
InterfaceId = tuple[Family, int]


class Notification(NamedTuple):
    """One change, as the system notified it."""

    type: NotificationType
    family: Family
    luid: int
    ifindex: int
    #: When it was received. Unix seconds, to show to people.
    time: float
    #: The same moment on `Clock.monotonic`, to measure durations. Seconds.
    instant: float
    #: The row at that moment (Linux), or read later (Windows); ``None`` when there is none.
    interface: Interface | None = None
    #: Connects and disconnects that happened since the last notification of this interface
    #: and that none showed: the system's own counters prove them (Linux; elsewhere 0).
    unobserved_connects: int = 0
    unobserved_disconnects: int = 0
    #: Deduced by comparing two listings, because notifications were or may have been lost.
    inferred: bool = False


def format_luid(luid: int) -> str:
    """Format the label value of a LUID: 64-bit hexadecimal, e.g. ``0x0006000003000000``."""
    return f"0x{luid:016x}"


#: How many of a NET_LUID's 24 reserved bits say how often its index was reused.
_REUSE_BITS = 17


def make_luid(interface_type: int, index: int, reuse: int = 0) -> int:
    """Make a NET_LUID from an IANA type (16 bits) and an interface index (31 bits).

    NET_LUID has 24 bits for the index, and 24 that are reserved. Those hold the high 7 bits of
    the index, and the other 17 say how often the index was reused before: 0 for the first link
    of this type and index, 1 for the next one. Raises ValueError for an index beyond.

    Source: https://learn.microsoft.com/windows/win32/api/ifdef/ns-ifdef-net_luid_lh
    """
    if not 0 <= index < 1 << 31:
        raise ValueError(f"interface index {index} is not from 0 to 2^31-1")
    high, low = divmod(index, 1 << 24)
    return interface_type << 48 | low << 24 | high << _REUSE_BITS | reuse % (1 << _REUSE_BITS)


def luid_index(luid: int) -> int:
    """Return the interface index that `make_luid` was given."""
    return luid >> 24 & 0xFFFFFF | (luid >> _REUSE_BITS & 0x7F) << 24
