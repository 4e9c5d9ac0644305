"""Applies the kernel's notifications to a table of links.

RTM_NEWNETCONF and RTM_DELNETCONF tell when an IP interface begins and ends to exist. A link
message of an operation half done does not: it may still show a family that is about to go, and
not yet one that has just come.

=====================================  ====================================================
message                                notification
=====================================  ====================================================
NEWNETCONF, of an unknown link         ADD when the link's NEWLINK comes, which brings the row
NEWNETCONF of a new family, known link ADD when a message describes the family; the link is
                                       asked about, in case none does
NEWNETCONF right after its DELNETCONF  none: the kernel registers sysctls anew on a rename
DELNETCONF otherwise                   DELETE
NEWNETCONF with a changed value        PARAMETER if the row differs
NEWLINK                                PARAMETER for each family whose row differs
NEWLINK of AF_INET6                    PARAMETER for IPv6 if the row differs
DELLINK                                DELETE for what is still there (a safety net)
DELADDR of AF_INET6                    the only trace of disable_ipv6=1: the link is asked about
anything of AF_BRIDGE                  none: it is about bridge ports, not about links
=====================================  ====================================================

Seen on Linux 6.18; addrconf.c, devinet.c and rtnetlink.c in the kernel tree say why.
"""

from __future__ import annotations

from exporter.bindings import rtnetlink as nl
from exporter.model import Family
from exporter.sources.linux.links import LinkTable

_FAMILIES = {nl.AF_INET: Family.IPV4, nl.AF_INET6: Family.IPV6}


class Notifications:
    """Applies notifications to a table of links. Not thread-safe."""

    def __init__(self, table: LinkTable) -> None:
        self._table = table

    def apply(self, type_: int, data: nl.Buffer, start: int, end: int) -> None:
        """Apply one notification."""
        table = self._table
        table.begin()
        if type_ == nl.RTM_NEWLINK or type_ == nl.RTM_DELLINK:
            link = nl.parse_link(data, start, end)
            if link is not None and link.family != nl.AF_BRIDGE:
                table.mention(link.ifindex)
                self._link_message(type_, link)
        elif type_ == nl.RTM_NEWNETCONF or type_ == nl.RTM_DELNETCONF:
            netconf = nl.parse_netconf(data, start, end)
            if netconf is None or netconf.ifindex <= 0:  # -1 is "all", -2 is "default"
                return
            family = _FAMILIES.get(netconf.family)
            if family not in table.families:
                return
            table.mention(netconf.ifindex)
            if type_ == nl.RTM_NEWNETCONF:
                self._new_netconf(family, netconf)
            else:
                table.resolve_departure()
                table.departing = family, netconf.ifindex
        elif type_ == nl.RTM_DELADDR:
            address = nl.parse_address(data, start, end)
            if address is not None and address[0] == nl.AF_INET6:
                known = table.link(address[1])
                # On a link that is down, addresses go because it went down.
                if known is not None and (known.cached_state or known).flags6 & nl.IFF_UP:
                    table.requests.setdefault(address[1], False)

    def _link_message(self, type_: int, message: nl.LinkMessage) -> None:
        table, index = self._table, message.ifindex
        if message.family == nl.AF_INET6:
            known = table.changing(index)
            if known is not None:
                table.describe_inet6(known, message)
        elif type_ == nl.RTM_DELLINK:
            table.resolve_departure()
            table.remove_link(index)
        # Without an MTU it is an event of a wireless driver (wext-core.c): no description.
        elif message.mtu is not None:
            table.resolve_departure()
            self._new_link(message)

    def _new_link(self, message: nl.LinkMessage) -> None:
        table = self._table
        link = table.changing_by(message)
        if link is not None:
            table.describe(link, message)
        else:
            link = table.adopt(message)
            for family in table.pop_announced(message.ifindex):
                table.add(link, family)

    def _new_netconf(self, family: Family, netconf: nl.NetconfMessage) -> None:
        table, index, created = self._table, netconf.ifindex, netconf.attributes > 1
        if table.departing == (family, index):
            table.departing = None
            return
        table.resolve_departure()
        link = table.changing(index)
        if link is None:
            if created:
                table.announce(family, index)
        elif not link.has(family):
            if created:
                table.arrive(link, family, netconf.forwarding)
        elif netconf.forwarding is not None:
            table.set_forwarding(link, family, netconf.forwarding)
        elif family is Family.IPV6 and not netconf.attributes:
            table.requests.setdefault(index, False)
