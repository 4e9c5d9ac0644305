"""Structures and enumerations of netioapi.h. No DLL: this module imports anywhere.

One header is one module, and names are the headers' own, so that a reader can diff, paste and grep
them. Types have fixed widths (``c_uint32``, not ``wintypes.ULONG``, which is 8 bytes on Linux): the
layout is the same on every system, 32-bit Windows included, and a test compares it with the C
headers.

Enumerated members are ``c_int32`` fields: compare them with the enumerations, which are
`enum.IntEnum`. Unknown numbers (newer Windows) therefore stay readable.

Source: https://learn.microsoft.com/windows/win32/api/netioapi/
"""

from __future__ import annotations

from ctypes import Array, Structure, Union, c_int32, c_uint8, c_uint16, c_uint32, c_uint64
from enum import IntEnum
from typing import ClassVar
from uuid import UUID

# Address families of ws2def.h. Linux numbers IPv6 otherwise (10).
# https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-notifyipinterfacechange
AF_UNSPEC, AF_INET, AF_INET6 = 0, 2, 23

# Longest interface name in characters, longest link-layer address in bytes (ifdef.h).
# https://learn.microsoft.com/windows/win32/api/netioapi/ns-netioapi-mib_if_row2
IF_MAX_STRING_SIZE, IF_MAX_PHYS_ADDRESS_LENGTH = 256, 32

#: ``Table[ANY_SIZE]``: one row declared, NumEntries of them present.
ANY_SIZE = 1


class MIB_NOTIFICATION_TYPE(IntEnum):
    """The type of a notification.

    https://learn.microsoft.com/windows/win32/api/netioapi/ne-netioapi-mib_notification_type
    """

    MibParameterNotification = 0
    MibAddInstance = 1
    MibDeleteInstance = 2
    MibInitialNotification = 3


class NL_ROUTER_DISCOVERY_BEHAVIOR(IntEnum):
    """The router discovery behavior.

    https://learn.microsoft.com/windows/win32/api/nldef/ne-nldef-nl_router_discovery_behavior
    """

    RouterDiscoveryDisabled = 0
    RouterDiscoveryEnabled = 1
    RouterDiscoveryDhcp = 2
    RouterDiscoveryUnchanged = -1


class NL_LINK_LOCAL_ADDRESS_BEHAVIOR(IntEnum):
    """The link-local address behavior.

    https://learn.microsoft.com/windows/win32/api/nldef/ne-nldef-nl_link_local_address_behavior
    """

    LinkLocalAlwaysOff = 0
    LinkLocalDelayed = 1
    LinkLocalAlwaysOn = 2
    LinkLocalUnchanged = -1


class SCOPE_LEVEL(IntEnum):
    """Positions in MIB_IPINTERFACE_ROW.ZoneIndices.

    https://learn.microsoft.com/windows/win32/api/ws2def/ne-ws2def-scope_level
    """

    ScopeLevelInterface = 1
    ScopeLevelLink = 2
    ScopeLevelSubnet = 3
    ScopeLevelAdmin = 4
    ScopeLevelSite = 5
    ScopeLevelOrganization = 8
    ScopeLevelGlobal = 14
    ScopeLevelCount = 16


class IF_OPER_STATUS(IntEnum):
    """The operational state of a link, as RFC 2863 defines it.

    https://learn.microsoft.com/windows/win32/api/ifdef/ne-ifdef-if_oper_status
    """

    IfOperStatusUp = 1
    IfOperStatusDown = 2
    IfOperStatusTesting = 3
    IfOperStatusUnknown = 4
    IfOperStatusDormant = 5
    IfOperStatusNotPresent = 6
    IfOperStatusLowerLayerDown = 7


class MIB_IF_ENTRY_LEVEL(IntEnum):
    """The amount of information that GetIfEntry2Ex returns.

    https://learn.microsoft.com/windows/win32/api/netioapi/ne-netioapi-mib_if_entry_level
    """

    MibIfEntryNormal = 0
    MibIfEntryNormalWithoutStatistics = 2


class NET_IF_ADMIN_STATUS(IntEnum):
    """The administrative state of a link.

    https://learn.microsoft.com/windows/win32/api/ifdef/ne-ifdef-net_if_admin_status
    """

    NET_IF_ADMIN_STATUS_UP = 1
    NET_IF_ADMIN_STATUS_DOWN = 2
    NET_IF_ADMIN_STATUS_TESTING = 3


class NET_IF_MEDIA_CONNECT_STATE(IntEnum):
    """The connection state of the medium.

    https://learn.microsoft.com/windows/win32/api/ifdef/ne-ifdef-net_if_media_connect_state
    """

    MediaConnectStateUnknown = 0
    MediaConnectStateConnected = 1
    MediaConnectStateDisconnected = 2


class NET_IF_ACCESS_TYPE(IntEnum):
    """The access type of a link.

    https://learn.microsoft.com/windows/win32/api/ifdef/ne-ifdef-net_if_access_type
    """

    NET_IF_ACCESS_LOOPBACK = 1
    NET_IF_ACCESS_BROADCAST = 2
    NET_IF_ACCESS_POINT_TO_POINT = 3
    NET_IF_ACCESS_POINT_TO_MULTI_POINT = 4
    NET_IF_ACCESS_MAXIMUM = 5


class NET_IF_DIRECTION_TYPE(IntEnum):
    """The directions in which a link carries data.

    https://learn.microsoft.com/windows/win32/api/ifdef/ne-ifdef-net_if_direction_type
    """

    NET_IF_DIRECTION_SENDRECEIVE = 0
    NET_IF_DIRECTION_SENDONLY = 1
    NET_IF_DIRECTION_RECEIVEONLY = 2
    NET_IF_DIRECTION_MAXIMUM = 3


class NET_IF_CONNECTION_TYPE(IntEnum):
    """The connection type of a link.

    https://learn.microsoft.com/windows/win32/api/ifdef/ne-ifdef-net_if_connection_type
    """

    NET_IF_CONNECTION_DEDICATED = 1
    NET_IF_CONNECTION_PASSIVE = 2
    NET_IF_CONNECTION_DEMAND = 3
    NET_IF_CONNECTION_MAXIMUM = 4


class TUNNEL_TYPE(IntEnum):
    """The encapsulation of a tunnel.

    https://learn.microsoft.com/windows/win32/api/ifdef/ne-ifdef-tunnel_type
    """

    TUNNEL_TYPE_NONE = 0
    TUNNEL_TYPE_OTHER = 1
    TUNNEL_TYPE_DIRECT = 2
    TUNNEL_TYPE_6TO4 = 11
    TUNNEL_TYPE_ISATAP = 13
    TUNNEL_TYPE_TEREDO = 14
    TUNNEL_TYPE_IPHTTPS = 15


class GUID(Structure):
    """A globally unique identifier.

    https://learn.microsoft.com/windows/win32/api/guiddef/ns-guiddef-guid
    """

    _fields_: ClassVar = [
        ("Data1", c_uint32),
        ("Data2", c_uint16),
        ("Data3", c_uint16),
        ("Data4", c_uint8 * 8),
    ]

    def __str__(self) -> str:
        """Format the GUID as Windows does: upper case, in braces."""
        return f"{{{UUID(bytes_le=bytes(self))}}}".upper()


class NET_LUID_INFO(Structure):
    """The parts of a NET_LUID; anonymous in the header, member ``Info``.

    https://learn.microsoft.com/windows/win32/api/ifdef/ns-ifdef-net_luid_lh
    """

    _fields_: ClassVar = [
        ("Reserved", c_uint64, 24),
        ("NetLuidIndex", c_uint64, 24),
        ("IfType", c_uint64, 16),
    ]


class NET_LUID(Union):
    """Identifies an interface for as long as it is installed; its index does not.

    https://learn.microsoft.com/windows/win32/api/ifdef/ns-ifdef-net_luid_lh
    """

    _fields_: ClassVar = [("Value", c_uint64), ("Info", NET_LUID_INFO)]


class NL_INTERFACE_OFFLOAD_ROD(Structure):
    """The offload capabilities of a link: one byte of flags.

    https://learn.microsoft.com/windows/win32/api/nldef/ns-nldef-nl_interface_offload_rod
    """

    _fields_: ClassVar = [
        ("NlChecksumSupported", c_uint8, 1),
        ("NlOptionsSupported", c_uint8, 1),
        ("TlDatagramChecksumSupported", c_uint8, 1),
        ("TlStreamChecksumSupported", c_uint8, 1),
        ("TlStreamOptionsSupported", c_uint8, 1),
        ("FastPathCompatible", c_uint8, 1),
        ("TlLargeSendOffloadSupported", c_uint8, 1),
        ("TlGiantSendOffloadSupported", c_uint8, 1),
    ]


class MIB_IPINTERFACE_ROW(Structure):
    """One IP interface. The comments give units; a BOOLEAN is one byte.

    https://learn.microsoft.com/windows/win32/api/netioapi/ns-netioapi-mib_ipinterface_row
    """

    _fields_: ClassVar = [
        ("Family", c_uint16),
        ("InterfaceLuid", NET_LUID),
        ("InterfaceIndex", c_uint32),
        ("MaxReassemblySize", c_uint32),  # reserved, 0
        ("InterfaceIdentifier", c_uint64),  # reserved, 0
        ("MinRouterAdvertisementInterval", c_uint32),  # milliseconds
        ("MaxRouterAdvertisementInterval", c_uint32),  # milliseconds
        ("AdvertisingEnabled", c_uint8),
        ("ForwardingEnabled", c_uint8),
        ("WeakHostSend", c_uint8),
        ("WeakHostReceive", c_uint8),
        ("UseAutomaticMetric", c_uint8),
        ("UseNeighborUnreachabilityDetection", c_uint8),
        ("ManagedAddressConfigurationSupported", c_uint8),
        ("OtherStatefulConfigurationSupported", c_uint8),
        ("AdvertiseDefaultRoute", c_uint8),
        ("RouterDiscoveryBehavior", c_int32),  # NL_ROUTER_DISCOVERY_BEHAVIOR
        ("DadTransmits", c_uint32),  # messages
        ("BaseReachableTime", c_uint32),  # milliseconds
        ("RetransmitTime", c_uint32),  # milliseconds
        ("PathMtuDiscoveryTimeout", c_uint32),  # milliseconds
        ("LinkLocalAddressBehavior", c_int32),  # NL_LINK_LOCAL_ADDRESS_BEHAVIOR
        ("LinkLocalAddressTimeout", c_uint32),  # milliseconds
        ("ZoneIndices", c_uint32 * SCOPE_LEVEL.ScopeLevelCount),
        ("SitePrefixLength", c_uint32),  # bits
        ("Metric", c_uint32),
        ("NlMtu", c_uint32),  # bytes
        ("Connected", c_uint8),
        ("SupportsWakeUpPatterns", c_uint8),
        ("SupportsNeighborDiscovery", c_uint8),
        ("SupportsRouterDiscovery", c_uint8),
        ("ReachableTime", c_uint32),  # milliseconds
        ("TransmitOffload", NL_INTERFACE_OFFLOAD_ROD),
        ("ReceiveOffload", NL_INTERFACE_OFFLOAD_ROD),
        ("DisableDefaultRoutes", c_uint8),
    ]


class MIB_IPINTERFACE_TABLE(Structure):
    """The table that GetIpInterfaceTable returns.

    https://learn.microsoft.com/windows/win32/api/netioapi/ns-netioapi-mib_ipinterface_table
    """

    _fields_: ClassVar = [("NumEntries", c_uint32), ("Table", MIB_IPINTERFACE_ROW * ANY_SIZE)]


class INTERFACE_AND_OPER_STATUS_FLAGS(Structure):
    """Facts about a link in one byte; anonymous in the header.

    https://learn.microsoft.com/windows/win32/api/netioapi/ns-netioapi-mib_if_row2
    """

    _fields_: ClassVar = [
        ("HardwareInterface", c_uint8, 1),
        ("FilterInterface", c_uint8, 1),
        ("ConnectorPresent", c_uint8, 1),
        ("NotAuthenticated", c_uint8, 1),
        ("NotMediaConnected", c_uint8, 1),
        ("Paused", c_uint8, 1),
        ("LowPower", c_uint8, 1),
        ("EndPointInterface", c_uint8, 1),
    ]


class MIB_IF_ROW2(Structure):
    """One link. Strings are UTF-16, ended by a zero; counters are octets, packets or errors.

    https://learn.microsoft.com/windows/win32/api/netioapi/ns-netioapi-mib_if_row2
    """

    _fields_: ClassVar = [
        ("InterfaceLuid", NET_LUID),
        ("InterfaceIndex", c_uint32),
        ("InterfaceGuid", GUID),
        ("Alias", c_uint16 * (IF_MAX_STRING_SIZE + 1)),
        ("Description", c_uint16 * (IF_MAX_STRING_SIZE + 1)),
        ("PhysicalAddressLength", c_uint32),  # bytes
        ("PhysicalAddress", c_uint8 * IF_MAX_PHYS_ADDRESS_LENGTH),
        ("PermanentPhysicalAddress", c_uint8 * IF_MAX_PHYS_ADDRESS_LENGTH),
        ("Mtu", c_uint32),  # bytes
        ("Type", c_uint32),  # IANA ifType
        ("TunnelType", c_int32),  # TUNNEL_TYPE
        ("MediaType", c_int32),  # NDIS_MEDIUM of ntddndis.h
        ("PhysicalMediumType", c_int32),  # NDIS_PHYSICAL_MEDIUM of ntddndis.h
        ("AccessType", c_int32),  # NET_IF_ACCESS_TYPE
        ("DirectionType", c_int32),  # NET_IF_DIRECTION_TYPE
        ("InterfaceAndOperStatusFlags", INTERFACE_AND_OPER_STATUS_FLAGS),
        ("OperStatus", c_int32),  # IF_OPER_STATUS
        ("AdminStatus", c_int32),  # NET_IF_ADMIN_STATUS
        ("MediaConnectState", c_int32),  # NET_IF_MEDIA_CONNECT_STATE
        ("NetworkGuid", GUID),
        ("ConnectionType", c_int32),  # NET_IF_CONNECTION_TYPE
        ("TransmitLinkSpeed", c_uint64),  # bits per second
        ("ReceiveLinkSpeed", c_uint64),  # bits per second
        ("InOctets", c_uint64),
        ("InUcastPkts", c_uint64),
        ("InNUcastPkts", c_uint64),
        ("InDiscards", c_uint64),
        ("InErrors", c_uint64),
        ("InUnknownProtos", c_uint64),
        ("InUcastOctets", c_uint64),
        ("InMulticastOctets", c_uint64),
        ("InBroadcastOctets", c_uint64),
        ("OutOctets", c_uint64),
        ("OutUcastPkts", c_uint64),
        ("OutNUcastPkts", c_uint64),
        ("OutDiscards", c_uint64),
        ("OutErrors", c_uint64),
        ("OutUcastOctets", c_uint64),
        ("OutMulticastOctets", c_uint64),
        ("OutBroadcastOctets", c_uint64),
        ("OutQLen", c_uint64),
    ]


class MIB_IF_TABLE2(Structure):
    """The table that GetIfTable2 returns.

    https://learn.microsoft.com/windows/win32/api/netioapi/ns-netioapi-mib_if_table2
    """

    _fields_: ClassVar = [("NumEntries", c_uint32), ("Table", MIB_IF_ROW2 * ANY_SIZE)]


class MIB_IFSTACK_ROW(Structure):
    """One link directly above another.

    https://learn.microsoft.com/windows/win32/api/netioapi/ns-netioapi-mib_ifstack_row
    """

    _fields_: ClassVar = [
        ("HigherLayerInterfaceIndex", c_uint32),
        ("LowerLayerInterfaceIndex", c_uint32),
    ]


class MIB_IFSTACK_TABLE(Structure):
    """The table that GetIfStackTable returns.

    https://learn.microsoft.com/windows/win32/api/netioapi/ns-netioapi-mib_ifstack_table
    """

    _fields_: ClassVar = [("NumEntries", c_uint32), ("Table", MIB_IFSTACK_ROW * ANY_SIZE)]


class MIB_INVERTEDIFSTACK_ROW(Structure):
    """One link directly below another: MIB_IFSTACK_ROW with its members swapped.

    https://learn.microsoft.com/windows/win32/api/netioapi/ns-netioapi-mib_invertedifstack_row
    """

    _fields_: ClassVar = [
        ("LowerLayerInterfaceIndex", c_uint32),
        ("HigherLayerInterfaceIndex", c_uint32),
    ]


class MIB_INVERTEDIFSTACK_TABLE(Structure):
    """The table that GetInvertedIfStackTable returns.

    https://learn.microsoft.com/windows/win32/api/netioapi/ns-netioapi-mib_invertedifstack_table
    """

    _fields_: ClassVar = [("NumEntries", c_uint32), ("Table", MIB_INVERTEDIFSTACK_ROW * ANY_SIZE)]


def decode_string(characters: Array[c_uint16]) -> str:
    """Decode a WCHAR array up to its zero; half a surrogate pair becomes U+FFFD."""
    return bytes(characters).decode("utf-16-le", "replace").partition("\0")[0]
