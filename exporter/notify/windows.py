"""The documented API on Windows: iphlpapi.dll answers, and its errors are passed on."""

from __future__ import annotations

from ctypes import byref
from functools import cached_property

from exporter.bindings import iphlpapi
from exporter.bindings.netioapi import (
    MIB_IF_ROW2,
    MIB_IPINTERFACE_ROW,
    NET_IF_ADMIN_STATUS,
    NET_IF_MEDIA_CONNECT_STATE,
)
from exporter.bindings.winerror import ERROR_FILE_NOT_FOUND, ERROR_NOT_FOUND, IpHelperError
from exporter.model import Family, Interface, InterfaceRow, Link, LinkStatus, format_luid
from exporter.notify.types import IfStackRow, InvertedIfStackRow, LinkEntry
from exporter.sources.contract import Source
from exporter.sources.windows.rows import interface_from, link_from, read_link
from exporter.sources.windows.source import WindowsSource

_MEDIA = NET_IF_MEDIA_CONNECT_STATE
_CONNECTED = {_MEDIA.MediaConnectStateConnected: True, _MEDIA.MediaConnectStateDisconnected: False}


class IpHelperBackend:
    """See `types.Backend`. `library` is the full path of another library, for tests."""

    def __init__(self, library: str | None = None) -> None:
        self._path = library

    @cached_property
    def _api(self) -> iphlpapi.Library:
        """The library, loaded at the first use: an import should not load a DLL."""
        return iphlpapi.load(self._path)

    def register(self, family: Family) -> Source:
        """Call NotifyIpInterfaceChange; the source cancels when it is closed."""
        source = WindowsSource(family, library=self._path)
        source.open()
        return source

    def initial_entry(self) -> Interface:
        """Call InitializeIpInterfaceEntry."""
        # Called for its errors: what it fills in means "no value", which is ``None`` here.
        self._api.InitializeIpInterfaceEntry(byref(MIB_IPINTERFACE_ROW()))
        return Interface(Family.UNSPEC, 0, 0, Link(""), InterfaceRow())

    def interface_entry(self, family: Family, luid: int, index: int) -> Interface:
        """Call GetIpInterfaceEntry, and read the facts of the link."""
        row = MIB_IPINTERFACE_ROW(Family=family, InterfaceIndex=index)
        row.InterfaceLuid.Value = luid
        self._api.GetIpInterfaceEntry(byref(row))
        return interface_from(row, *self._link(row.InterfaceLuid.Value))

    def interface_table(self, family: Family) -> list[Interface]:
        """Call GetIpInterfaceTable, and read the facts of the links."""
        rows = self._api.rows("GetIpInterfaceTable", family)
        links = {luid: self._link(luid) for luid in {row.InterfaceLuid.Value for row in rows}}
        return [interface_from(row, *links[row.InterfaceLuid.Value]) for row in rows]

    def link_entry(self, luid: int, index: int) -> LinkEntry:
        """Call GetIfEntry2."""
        row = MIB_IF_ROW2(InterfaceIndex=index)
        row.InterfaceLuid.Value = luid
        self._api.GetIfEntry2(byref(row))
        return _link_entry(row)

    def link_table(self) -> list[LinkEntry]:
        """Call GetIfTable2."""
        return [_link_entry(row) for row in self._api.rows("GetIfTable2")]

    def stack_table(self) -> list[IfStackRow]:
        """Call GetIfStackTable."""
        return [
            IfStackRow(row.HigherLayerInterfaceIndex, row.LowerLayerInterfaceIndex)
            for row in self._api.rows("GetIfStackTable")
        ]

    def inverted_stack_table(self) -> list[InvertedIfStackRow]:
        """Call GetInvertedIfStackTable."""
        return [
            InvertedIfStackRow(row.LowerLayerInterfaceIndex, row.HigherLayerInterfaceIndex)
            for row in self._api.rows("GetInvertedIfStackTable")
        ]

    def _link(self, luid: int) -> tuple[Link, LinkStatus]:
        """Read the facts and the status of a link; only its LUID when it has just gone."""
        try:
            return read_link(self._api, luid)
        except IpHelperError as error:
            if error.winerror not in (ERROR_FILE_NOT_FOUND, ERROR_NOT_FOUND):
                raise
            return Link(format_luid(luid)), LinkStatus()


def _link_entry(row: MIB_IF_ROW2) -> LinkEntry:
    return LinkEntry(
        luid=row.InterfaceLuid.Value,
        ifindex=row.InterfaceIndex,
        link=link_from(row),
        mtu_bytes=row.Mtu,
        enabled=row.AdminStatus == NET_IF_ADMIN_STATUS.NET_IF_ADMIN_STATUS_UP,
        oper_status=row.OperStatus,
        media_connected=_CONNECTED.get(row.MediaConnectState),
    )
