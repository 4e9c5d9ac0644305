"""Prototypes of the IP Helper functions, and the loading of iphlpapi.dll.

Facts the code below depends on:

- The functions return a status; they do not set the last error (`winerror.check`).
- They are called with the GIL released, as WinDLL and CDLL do. With PyDLL a cancel would wait
  for a callback that waits for the GIL: a deadlock.
- ctypes keeps no reference to a callback object; whoever registers one must, until the
  registration has been canceled.
- A callback gets a NULL row as a pointer object that is false, not as ``None``.

Source: https://learn.microsoft.com/windows/win32/api/netioapi/
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from ctypes import (
    POINTER,
    addressof,
    byref,
    c_int32,
    c_size_t,
    c_uint8,
    c_uint16,
    c_uint32,
    c_void_p,
    sizeof,
    string_at,
)
from typing import Any

from exporter.bindings.netioapi import (
    GUID,
    MIB_IF_ROW2,
    MIB_IF_TABLE2,
    MIB_IFSTACK_TABLE,
    MIB_INVERTEDIFSTACK_TABLE,
    MIB_IPINTERFACE_ROW,
    MIB_IPINTERFACE_TABLE,
    NET_LUID,
)
from exporter.bindings.winerror import ERROR_PROC_NOT_FOUND, IpHelperError, check

if sys.platform == "win32":
    _prototype = ctypes.WINFUNCTYPE
else:
    _prototype = ctypes.CFUNCTYPE

#: ``VOID (PVOID CallerContext, PMIB_IPINTERFACE_ROW Row, MIB_NOTIFICATION_TYPE)``
#: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-notifyipinterfacechange
PIPINTERFACE_CHANGE_CALLBACK = _prototype(None, c_void_p, POINTER(MIB_IPINTERFACE_ROW), c_int32)

# The C types of the prototypes, in fixed widths. BOOLEAN is one byte, BOOL would be four.
DWORD, ULONG, USHORT, BOOLEAN, SIZE_T, HANDLE = (
    c_uint32,
    c_uint32,
    c_uint16,
    c_uint8,
    c_size_t,
    c_void_p,
)
WCHARS = POINTER(c_uint16)

#: What each function returns (``None``: VOID) and takes.
PROTOTYPES: dict[str, tuple[Any, ...]] = {
    # Registers a callback for changes of the IP interfaces of one or both families.
    # https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-notifyipinterfacechange
    "NotifyIpInterfaceChange": (
        DWORD,
        USHORT,
        PIPINTERFACE_CHANGE_CALLBACK,
        c_void_p,
        BOOLEAN,
        POINTER(HANDLE),
    ),
    # Ends a registration; waits for a running callback, so never call it from one.
    # https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-cancelmibchangenotify2
    "CancelMibChangeNotify2": (DWORD, HANDLE),
    # Fills a row with the defaults that SetIpInterfaceEntry wants.
    # https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-initializeipinterfaceentry
    "InitializeIpInterfaceEntry": (None, POINTER(MIB_IPINTERFACE_ROW)),
    # Fills the row of a family and a LUID, or an index where the LUID is 0.
    # https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-getipinterfaceentry
    "GetIpInterfaceEntry": (DWORD, POINTER(MIB_IPINTERFACE_ROW)),
    # Changes an IP interface; administrators only. The agent never calls it.
    # https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-setipinterfaceentry
    "SetIpInterfaceEntry": (DWORD, POINTER(MIB_IPINTERFACE_ROW)),
    # Returns the rows of one or both families.
    # https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-getipinterfacetable
    "GetIpInterfaceTable": (DWORD, USHORT, POINTER(POINTER(MIB_IPINTERFACE_TABLE))),
    # Fills the link row of a LUID, or of an index where the LUID is 0.
    # https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-getifentry2
    "GetIfEntry2": (DWORD, POINTER(MIB_IF_ROW2)),
    # Fills the same row at a level: with or without statistics. Windows 10 1703 and later.
    # https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-getifentry2ex
    "GetIfEntry2Ex": (DWORD, DWORD, POINTER(MIB_IF_ROW2)),
    # Returns all links, physical and logical.
    # https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-getiftable2
    "GetIfTable2": (DWORD, POINTER(POINTER(MIB_IF_TABLE2))),
    # Returns which link is directly above which.
    # https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-getifstacktable
    "GetIfStackTable": (DWORD, POINTER(POINTER(MIB_IFSTACK_TABLE))),
    # Returns the same relation with the members of its rows swapped.
    # https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-getinvertedifstacktable
    "GetInvertedIfStackTable": (DWORD, POINTER(POINTER(MIB_INVERTEDIFSTACK_TABLE))),
    # Frees a returned table; never the row of a callback.
    # https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-freemibtable
    "FreeMibTable": (None, c_void_p),
    # The conversions are here to be complete: only tests call them.
    # Converts a LUID to the interface index.
    # https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-convertinterfaceluidtoindex
    "ConvertInterfaceLuidToIndex": (DWORD, POINTER(NET_LUID), POINTER(ULONG)),
    # Converts a LUID to the alias, the name that people see and change.
    # https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-convertinterfaceluidtoalias
    "ConvertInterfaceLuidToAlias": (DWORD, POINTER(NET_LUID), WCHARS, SIZE_T),
    # Converts a LUID to the GUID of the interface.
    # https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-convertinterfaceluidtoguid
    "ConvertInterfaceLuidToGuid": (DWORD, POINTER(NET_LUID), POINTER(GUID)),
    # Converts a LUID to the interface name, such as ethernet_32768.
    # https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-convertinterfaceluidtonamew
    "ConvertInterfaceLuidToNameW": (DWORD, POINTER(NET_LUID), WCHARS, SIZE_T),
}


# https://learn.microsoft.com/windows/win32/api/libloaderapi/nf-libloaderapi-loadlibraryexw
_LOAD_LIBRARY_SEARCH_SYSTEM32 = 0x800


class Library:
    """The functions of a loaded library, as attributes that are bound when they are first used.

    A call raises `IpHelperError` if the function returns an error, or is not exported by the
    library (ERROR_PROC_NOT_FOUND).
    Thread: any; the functions are called with the GIL released.
    """

    def __init__(self, dll: ctypes.CDLL) -> None:
        self._dll = dll

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in PROTOTYPES:
            raise AttributeError(name)
        try:
            function = self._dll[name]
        except AttributeError:
            where = f"{name} is not exported by {self._dll._name}"
            raise IpHelperError(ERROR_PROC_NOT_FOUND, where) from None
        function.restype, *function.argtypes = PROTOTYPES[name]
        if function.restype is not None:
            function.errcheck = _check
        setattr(self, name, function)
        return function

    def rows(self, function: str, *arguments: object) -> list[Any]:
        """Return copies of the rows of the table that `function` returns, and free the table.

        There can be padding before the first row, so its place is the C offset of ``Table``.
        """
        call = getattr(self, function)
        table = call.argtypes[-1]._type_()
        call(*arguments, byref(table))
        try:
            content = table.contents
            first = addressof(content) + type(content).Table.offset
            rows = content.Table._type_ * content.NumEntries
            return list(rows.from_buffer_copy(string_at(first, sizeof(rows))))
        finally:
            self.FreeMibTable(table)


def _check(status: Any, function: Any, _arguments: Any) -> Any:
    check(status, function.__name__)


def load(path: str | None = None) -> Library:
    """Load iphlpapi.dll, or the library at `path`. Raises OSError if it does not exist.

    iphlpapi.dll is searched for in the system directory only, so that no other file of that
    name is loaded.
    """
    if sys.platform == "win32":
        if path is None:
            return Library(ctypes.WinDLL("iphlpapi.dll", winmode=_LOAD_LIBRARY_SEARCH_SYSTEM32))
        return Library(ctypes.WinDLL(path))
    if path is None:
        raise OSError("iphlpapi.dll exists on Windows only")
    return Library(ctypes.CDLL(path))
