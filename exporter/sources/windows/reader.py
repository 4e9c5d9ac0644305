"""Reads IP interfaces and their links from Windows, and remembers them as last read.

Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-getipinterfaceentry
"""

from __future__ import annotations

import logging
from ctypes import byref

from exporter.bindings.iphlpapi import Library
from exporter.bindings.netioapi import MIB_IPINTERFACE_ROW
from exporter.bindings.winerror import ERROR_FILE_NOT_FOUND, ERROR_NOT_FOUND, IpHelperError
from exporter.logs import event
from exporter.model import (
    FAMILIES,
    Family,
    Interface,
    InterfaceId,
    Link,
    LinkStatus,
    changes,
    format_luid,
)
from exporter.sources.contract import Health
from exporter.sources.windows.rows import interface_from, read_link

log = logging.getLogger(__name__)

#: The interface does not exist (any more), or has no such family.
_GONE = (ERROR_FILE_NOT_FOUND, ERROR_NOT_FOUND)


class InterfaceReader:
    """Reads interfaces; failed calls are counted in `health` and logged. Thread: the monitor's."""

    def __init__(self, api: Library, family: Family, health: Health) -> None:
        #: Every interface as last read.
        self.known: dict[InterfaceId, Interface] = {}
        #: The other family of links that a read found renamed; whoever reads it empties it.
        self.renamed: list[Interface] = []
        self._api = api
        self._family = family
        self._health = health

    def interface(self, family: Family, luid: int) -> Interface | None:
        """Read an interface. If the call fails, return it as last read."""
        try:
            row = self._entry(family, luid)
        except IpHelperError as error:
            if error.winerror in _GONE:
                return None
            self.report("read", error)
            return self.known.get((family, luid))
        interface = interface_from(row, *self._link(luid))
        if log.isEnabledFor(logging.DEBUG):
            self._log_changes(interface)
        self.known[family, luid] = interface
        self._rename_others(interface)
        return interface

    def exists(self, family: Family, luid: int) -> bool:
        """Return whether an interface exists; if the call fails, it counts as deleted."""
        try:
            self._entry(family, luid)
        except IpHelperError as error:
            if error.winerror not in _GONE:
                self.report("read", error)
            return False
        return True

    def interfaces(self) -> dict[InterfaceId, Interface]:
        """Read all interfaces of the family, without remembering them. Raises OSError."""
        try:
            rows = self._api.rows("GetIpInterfaceTable", self._family)
        except IpHelperError as error:
            if error.winerror != ERROR_NOT_FOUND:
                raise
            rows = []
        links = {luid: self._link(luid) for luid in {row.InterfaceLuid.Value for row in rows}}
        interfaces = [interface_from(row, *links[row.InterfaceLuid.Value]) for row in rows]
        return {(i.family, i.luid): i for i in interfaces}

    def report(self, operation: str, error: OSError) -> None:
        """Count and log a failed call."""
        self._health.count_error(operation)
        event(log, logging.WARNING, "IP Helper call failed", operation=operation, error=error)

    def _entry(self, family: Family, luid: int) -> MIB_IPINTERFACE_ROW:
        row = MIB_IPINTERFACE_ROW(Family=family)
        row.InterfaceLuid.Value = luid
        self._api.GetIpInterfaceEntry(byref(row))
        return row

    def _link(self, luid: int) -> tuple[Link, LinkStatus]:
        """Read a link; if it no longer exists, return its facts as last read."""
        try:
            return read_link(self._api, luid)
        except IpHelperError as error:
            if error.winerror not in _GONE:
                self.report("read", error)
            known = (self.known.get((family, luid)) for family in FAMILIES)
            return next((i.link for i in known if i), Link(format_luid(luid))), LinkStatus()

    def _rename_others(self, interface: Interface) -> None:
        """Rename the other family of a link, because the system may notify only one of them."""
        for family in FAMILIES:
            other = self.known.get((family, interface.luid))
            if other is not None and other.link != interface.link:
                other = other._replace(link=interface.link)
                self.known[family, other.luid] = other
                self.renamed.append(other)

    def _log_changes(self, interface: Interface) -> None:
        before = self.known.get((interface.family, interface.luid), interface)
        changed = [c.parameter for c in changes(before.parameters, interface.parameters)]
        event(
            log,
            logging.DEBUG,
            "Interface read",
            device=interface.link.name,
            family=interface.family.label,
            luid=format_luid(interface.luid),
            changed=",".join(changed),
        )
