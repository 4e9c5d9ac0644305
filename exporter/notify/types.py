"""What the documented API hands out, and what it asks of a system.

Source: https://learn.microsoft.com/windows/win32/api/netioapi/
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from exporter.model import Family, Interface, Link, NotificationType
from exporter.sources.contract import Source


class InterfaceKey(NamedTuple):
    """The row of a callback: which IP interface changed, and nothing more.

    That is all a MIB_IPINTERFACE_ROW holds there; ``get_ip_interface_entry(*row)`` reads the
    rest. A copy: it stays as it is after the callback, and there is nothing to free.
    """

    family: Family
    luid: int
    ifindex: int


class LinkEntry(NamedTuple):
    """One link, as MIB_IF_ROW2 describes it; without its traffic counters.

    Source: https://learn.microsoft.com/windows/win32/api/netioapi/ns-netioapi-mib_if_row2
    """

    luid: int
    ifindex: int
    link: Link
    mtu_bytes: int
    #: The administrator wants it up.
    enabled: bool
    #: A number of IF_OPER_STATUS: 1 up, 2 down, 5 dormant, 7 lower layer down.
    oper_status: int
    #: ``None``: the link does not know.
    media_connected: bool | None


class IfStackRow(NamedTuple):
    """Two links, by index: `higher` is directly above `lower`."""

    higher: int
    lower: int


class InvertedIfStackRow(NamedTuple):
    """The same relation with the members in the other order."""

    lower: int
    higher: int


#: ``callback(caller_context, row, notification_type)``; what it returns is ignored.
Callback = Callable[[Any, InterfaceKey | None, NotificationType], object]


class Backend(Protocol):
    """The API on one system. The arguments were checked already; errors are OSErrors.

    The methods are named after the functions of `exporter.notify` that they answer for.
    """

    def register(self, family: Family) -> Source:
        """An opened source of the notifications of `family`."""

    def initial_entry(self) -> Interface:
        """InitializeIpInterfaceEntry."""

    def interface_entry(self, family: Family, luid: int, index: int) -> Interface:
        """GetIpInterfaceEntry."""

    def interface_table(self, family: Family) -> list[Interface]:
        """GetIpInterfaceTable."""

    def link_entry(self, luid: int, index: int) -> LinkEntry:
        """GetIfEntry2."""

    def link_table(self) -> list[LinkEntry]:
        """GetIfTable2."""

    def stack_table(self) -> list[IfStackRow]:
        """GetIfStackTable."""

    def inverted_stack_table(self) -> list[InvertedIfStackRow]:
        """GetInvertedIfStackTable."""
