"""Converts Windows' structures to the types of `model`.

Windows has every member of the row, so none is ``None``. Times in milliseconds become seconds.
"""

from __future__ import annotations

from ctypes import byref

from exporter.bindings.iphlpapi import Library
from exporter.bindings.netioapi import (
    MIB_IF_ENTRY_LEVEL,
    MIB_IF_ROW2,
    MIB_IPINTERFACE_ROW,
    NET_IF_ADMIN_STATUS,
    NET_IF_MEDIA_CONNECT_STATE,
    decode_string,
)
from exporter.bindings.winerror import ERROR_PROC_NOT_FOUND, IpHelperError
from exporter.model import Family, Interface, InterfaceRow, Link, LinkStatus, OperStatus

_NO_GUID = "{00000000-0000-0000-0000-000000000000}"


def row_from(row: MIB_IPINTERFACE_ROW) -> InterfaceRow:
    """Convert the members of a row to base units.

    Source: https://learn.microsoft.com/windows/win32/api/netioapi/ns-netioapi-mib_ipinterface_row
    """
    return InterfaceRow(
        connected=bool(row.Connected),
        mtu_bytes=row.NlMtu,
        metric=row.Metric,
        forwarding_enabled=bool(row.ForwardingEnabled),
        advertising_enabled=bool(row.AdvertisingEnabled),
        automatic_metric_enabled=bool(row.UseAutomaticMetric),
        weak_host_send_enabled=bool(row.WeakHostSend),
        weak_host_receive_enabled=bool(row.WeakHostReceive),
        neighbor_unreachability_detection_enabled=bool(row.UseNeighborUnreachabilityDetection),
        managed_address_configuration_enabled=bool(row.ManagedAddressConfigurationSupported),
        other_stateful_configuration_enabled=bool(row.OtherStatefulConfigurationSupported),
        default_route_advertised=bool(row.AdvertiseDefaultRoute),
        default_routes_disabled=bool(row.DisableDefaultRoutes),
        router_discovery_behavior=row.RouterDiscoveryBehavior,
        dad_transmits=row.DadTransmits,
        base_reachable_time_seconds=row.BaseReachableTime / 1000,
        retransmit_time_seconds=row.RetransmitTime / 1000,
        path_mtu_discovery_timeout_seconds=row.PathMtuDiscoveryTimeout / 1000,
        link_local_address_behavior=row.LinkLocalAddressBehavior,
        link_local_address_timeout_seconds=row.LinkLocalAddressTimeout / 1000,
        site_prefix_length=row.SitePrefixLength,
        # Documented in milliseconds, but the documented defaults (200 and 600) are those of
        # RFC 4861 in seconds.
        min_router_advertisement_interval_seconds=row.MinRouterAdvertisementInterval / 1000,
        max_router_advertisement_interval_seconds=row.MaxRouterAdvertisementInterval / 1000,
        wake_up_patterns_supported=bool(row.SupportsWakeUpPatterns),
        neighbor_discovery_supported=bool(row.SupportsNeighborDiscovery),
        router_discovery_supported=bool(row.SupportsRouterDiscovery),
        transmit_offload=bytes(row.TransmitOffload)[0],
        receive_offload=bytes(row.ReceiveOffload)[0],
        zone_indices=tuple(row.ZoneIndices),
        reachable_time_seconds=row.ReachableTime / 1000,
    )


def read_link(api: Library, luid: int) -> tuple[Link, LinkStatus]:
    """Read the facts about a link and its status, without its statistics where the system can.

    Raises `IpHelperError`.
    """
    row = MIB_IF_ROW2()
    row.InterfaceLuid.Value = luid
    level = MIB_IF_ENTRY_LEVEL.MibIfEntryNormalWithoutStatistics
    try:
        api.GetIfEntry2Ex(level, byref(row))
    except IpHelperError as error:
        if error.winerror != ERROR_PROC_NOT_FOUND:  # before Windows 10 1703
            raise
        api.GetIfEntry2(byref(row))
    return link_from(row), status_from(row)


def interface_from(row: MIB_IPINTERFACE_ROW, link: Link, status: LinkStatus) -> Interface:
    """Convert a row; `link` and `status` are those of the link that it names."""
    luid = int(row.InterfaceLuid.Value)
    return Interface(Family(row.Family), luid, row.InterfaceIndex, link, row_from(row), status)


def link_from(row: MIB_IF_ROW2) -> Link:
    """Convert a link row. The name of the link is its alias, which users see and can change.

    Source: https://learn.microsoft.com/windows/win32/api/netioapi/ns-netioapi-mib_if_row2
    """
    guid = str(row.InterfaceGuid)
    address = bytes(row.PhysicalAddress)[: row.PhysicalAddressLength]
    return Link(
        name=decode_string(row.Alias),
        type=row.Type,
        address=address.hex(":"),
        guid="" if guid == _NO_GUID else guid,
        description=decode_string(row.Description),
    )


_ENABLED = {
    int(NET_IF_ADMIN_STATUS.NET_IF_ADMIN_STATUS_UP): True,
    int(NET_IF_ADMIN_STATUS.NET_IF_ADMIN_STATUS_DOWN): False,
}
_OPER_STATUS = {int(status): status for status in OperStatus}


def status_from(row: MIB_IF_ROW2) -> LinkStatus:
    """Convert the status of a link. A link that is down has lost its carrier, unless it has one.

    Source: https://learn.microsoft.com/windows/win32/api/netioapi/ns-netioapi-mib_if_row2
    """
    status = _OPER_STATUS.get(row.OperStatus, OperStatus.UNKNOWN)
    medium = row.MediaConnectState == NET_IF_MEDIA_CONNECT_STATE.MediaConnectStateConnected
    carrier = False if status is OperStatus.DOWN and not medium else medium or None
    return LinkStatus(_ENABLED.get(row.AdminStatus), status, carrier)
