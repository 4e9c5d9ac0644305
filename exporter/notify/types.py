"""The types of the documented API, and the protocol of the systems that answer it.

Source: https://learn.microsoft.com/windows/win32/api/netioapi/
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from exporter.model import Family, Interface, Link, NotificationType
from exporter.sources.contract import Source


class InterfaceKey(NamedTuple):
    """The row of a callback: the key of the IP interface that changed.

    The MIB_IPINTERFACE_ROW of a callback holds nothing else; ``get_ip_interface_entry(*row)``
    reads the rest. It is a copy, which stays valid after the callback.
    """

    family: Family
    luid: int
    ifindex: int


class LinkEntry(NamedTuple):
    """A link, as MIB_IF_ROW2 describes it, without its traffic counters.

    Source: https://learn.microsoft.com/windows/win32/api/netioapi/ns-netioapi-mib_if_row2
    """

    luid: int
    ifindex: int
    link: Link
    mtu_bytes: int
    #: Whether it is switched on (AdminStatus).
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
    """The same pair with its members in the other order."""

    lower: int
    higher: int


#: ``callback(caller_context, row, notification_type)``; what it returns is ignored.
Callback = Callable[[Any, InterfaceKey | None, NotificationType], object]


class Backend(Protocol):
    """The API on one system, with the arguments checked already. Errors are OSErrors.

    Each method answers the function of `exporter.notify` that it names. Thread: any.
    """

    def register(self, family: Family) -> Source:
        """Open a source of the notifications of `family`."""

    def initial_entry(self) -> Interface:
        """Answer InitializeIpInterfaceEntry."""

    def interface_entry(self, family: Family, luid: int, index: int) -> Interface:
        """Answer GetIpInterfaceEntry."""

    def interface_table(self, family: Family) -> list[Interface]:
        """Answer GetIpInterfaceTable."""

    def link_entry(self, luid: int, index: int) -> LinkEntry:
        """Answer GetIfEntry2."""

    def link_table(self) -> list[LinkEntry]:
        """Answer GetIfTable2."""

    def stack_table(self) -> list[IfStackRow]:
        """Answer GetIfStackTable."""

    def inverted_stack_table(self) -> list[InvertedIfStackRow]:
        """Answer GetInvertedIfStackTable."""
