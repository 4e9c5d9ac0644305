"""What Windows' structures say, in our words: the field mapping, and nothing else.

Windows has every member, so none is ``None``. Its times are milliseconds; ours are seconds.
"""

from __future__ import annotations

from exporter.bindings.netioapi import MIB_IF_ROW2, MIB_IPINTERFACE_ROW, decode_string
from exporter.model import InterfaceRow, Link

_NO_GUID = "{00000000-0000-0000-0000-000000000000}"


def parameters_from(row: MIB_IPINTERFACE_ROW) -> InterfaceRow:
    """The members of a row, in base units.

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
        # Documented in milliseconds, although the documented defaults (200 and 600) are those
        # that RFC 4861 counts in seconds.
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


def link_from(row: MIB_IF_ROW2) -> Link:
    """The facts about a link; its name is the alias, which people see and may change.

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
