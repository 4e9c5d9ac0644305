"""The documented API for Python programs, on Windows and Linux.

::

    def changed(context, row, notification_type):
        if row is not None and notification_type is not NotificationType.DELETE:
            print(notification_type.label, get_ip_interface_entry(*row))

    with notify_ip_interface_change(Family.UNSPEC, changed, initial_notification=True):
        ...

The functions have the names of the documentation in Python's spelling. Their results are
immutable, in seconds and bytes. Errors are `IpHelperError`, an OSError with the documented
code as `winerror` and the documented text, also on Linux: 87 for a bad argument, 2 for an
unknown interface, 1168 for an interface without that family, 8, 50, …. An error of the Linux
kernel without a documented code stays the OSError that it is. Thread: any.

Where the documentation is silent: the callbacks of a handle come one at a time, in order and
none merged, on a thread of its own; the first can come before the registering call returns; an
exception of a callback is logged and counted, and the next callback comes. The log records of this
package have their details in an attribute named fields, a mapping.

This package is for programs; the agent does not use it. A registration (`handle`) has a source of
its own, from `exporter.sources`. `linux` and `windows` answer the reads; `types` has what they
return.

Source: https://learn.microsoft.com/windows/win32/api/netioapi/
"""

from __future__ import annotations

import sys
from typing import Any

from exporter.bindings.winerror import (
    ERROR_INVALID_HANDLE,
    ERROR_INVALID_PARAMETER,
    IpHelperError,
)
from exporter.model import Family, Interface, NotificationType
from exporter.notify.handle import NotificationHandle
from exporter.notify.types import (
    Backend,
    Callback,
    IfStackRow,
    InterfaceKey,
    InvertedIfStackRow,
    LinkEntry,
)

if sys.platform == "linux":
    from exporter.notify.linux import LinuxBackend as SystemBackend
else:
    from exporter.notify.windows import IpHelperBackend as SystemBackend

__all__ = [
    "Callback",
    "Family",
    "IfStackRow",
    "Interface",
    "InterfaceKey",
    "InvertedIfStackRow",
    "IpHelperError",
    "Kind",
    "LinkEntry",
    "NotificationHandle",
    "NotificationType",
    "cancel_mib_change_notify2",
    "get_if_entry2",
    "get_if_stack_table",
    "get_if_table2",
    "get_inverted_if_stack_table",
    "get_ip_interface_entry",
    "get_ip_interface_table",
    "initialize_ip_interface_entry",
    "notify_ip_interface_change",
]

#: The former name of `NotificationType`.
Kind = NotificationType

#: The system that answers; tests replace it.
backend: Backend = SystemBackend()


def notify_ip_interface_change(
    family: int,
    callback: Callback,
    caller_context: Any = None,
    initial_notification: bool = False,  # noqa: FBT001, FBT002 (the documented order)
) -> NotificationHandle:
    """Register a callback for every change of the IP interfaces of this computer.

    `family` is `Family.UNSPEC` (0, both), `IPV4` (2) or `IPV6` (23); Linux' own 10 is refused.
    The call is ``callback(caller_context, row, notification_type)``. `row` is the key of the
    interface (`InterfaceKey`). The type is `NotificationType.ADD`, `DELETE` or `PARAMETER`.
    With `initial_notification`, a first call of type `INITIAL` confirms the registration; its
    `row` is ``None``.

    The registration lasts until it is canceled, at the latest by the end of the program, also
    when the handle is dropped. On Linux it is for the network namespace of the calling thread,
    and a forked child does not have it. When the system loses notifications, a comparison
    finds the interfaces that differ, and one notification comes for each.

    Raises `IpHelperError`: 87 for another family or a callback that cannot be called, 8 without
    memory, threads or descriptors, 6 and any other code from the system. Then nothing is
    registered.
    Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-notifyipinterfacechange
    """
    function = "NotifyIpInterfaceChange"
    wanted = _family(family, function)
    if not callable(callback):
        raise IpHelperError(ERROR_INVALID_PARAMETER, function)
    source = backend.register(wanted)
    handle = NotificationHandle(source, callback, caller_context, initial=initial_notification)
    handle.start()
    return handle


def cancel_mib_change_notify2(notification_handle: NotificationHandle) -> None:
    """End a registration. When it returns, no callback runs and none will come.

    It waits for a running callback, so the caller must not own anything that the callback
    waits for. Ctrl-C interrupts it; then the registration stays, and can be canceled again.
    Raises `IpHelperError`: 1131 at once in the callback itself, and the registration stays; 87
    the second time, and for ``None``; 6 for anything but a handle.
    Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-cancelmibchangenotify2
    """
    if notification_handle is None:
        raise IpHelperError(ERROR_INVALID_PARAMETER, "CancelMibChangeNotify2")
    if not isinstance(notification_handle, NotificationHandle):
        raise IpHelperError(ERROR_INVALID_HANDLE, "CancelMibChangeNotify2")
    notification_handle.cancel()


def initialize_ip_interface_entry() -> Interface:
    """Return an entry in which nothing is set: family `UNSPEC`, LUID and index 0.

    Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-initializeipinterfaceentry
    """
    return backend.initial_entry()


def get_ip_interface_entry(family: int, luid: int = 0, index: int = 0) -> Interface:
    """Read the IP interface of a family and a LUID, or of an index where the LUID is 0.

    Raises `IpHelperError`: 2 if there is no such interface, 1168 if it does not have this
    family, 87 for a family other than 2 and 23, or with neither LUID nor index.
    Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-getipinterfaceentry
    """
    function = "GetIpInterfaceEntry"
    wanted = _family(family, function)
    if wanted is Family.UNSPEC:
        raise IpHelperError(ERROR_INVALID_PARAMETER, function)
    return backend.interface_entry(wanted, *_key(luid, index, function))


def get_ip_interface_table(family: int = Family.UNSPEC) -> list[Interface]:
    """List the IP interfaces of one family, or of both, in no particular order.

    Raises `IpHelperError`: 1168 if there are none, 50 if this computer does not have the
    family, 87 for another family, 8 without memory.
    Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-getipinterfacetable
    """
    return backend.interface_table(_family(family, "GetIpInterfaceTable"))


def get_if_entry2(luid: int = 0, index: int = 0) -> LinkEntry:
    """Read the link of a LUID, or of an index where the LUID is 0.

    Raises `IpHelperError`: 2 if there is no such link, 87 with neither LUID nor index.
    Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-getifentry2
    """
    return backend.link_entry(*_key(luid, index, "GetIfEntry2"))


def get_if_table2() -> list[LinkEntry]:
    """List all links, physical and logical. Raises `IpHelperError`: 8 without memory.

    Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-getiftable2
    """
    return backend.link_table()


def get_if_stack_table() -> list[IfStackRow]:
    """List which link is directly above which, as (higher, lower) indexes.

    Raises `IpHelperError`: 1168 if none is.
    Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-getifstacktable
    """
    return backend.stack_table()


def get_inverted_if_stack_table() -> list[InvertedIfStackRow]:
    """List the same pairs as (lower, higher) indexes. Raises `IpHelperError`: 1168 if none.

    Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-getinvertedifstacktable
    """
    return backend.inverted_stack_table()


def _family(family: int, function: str) -> Family:
    """Return the family of a number. Raises `IpHelperError` 87 for anything else."""
    if not _is_integer(family) or family not in list(Family):
        raise IpHelperError(ERROR_INVALID_PARAMETER, function)
    return Family(family)


def _key(luid: int, index: int, function: str) -> tuple[int, int]:
    """Return the LUID (64 bits) and the index (32 bits). Raises 87 without either."""
    if not (_is_integer(luid) and _is_integer(index)):
        raise IpHelperError(ERROR_INVALID_PARAMETER, function)
    if not (0 <= luid < 1 << 64 and 0 <= index < 1 << 32 and (luid or index)):
        raise IpHelperError(ERROR_INVALID_PARAMETER, function)
    return luid, index


def _is_integer(value: object) -> bool:
    """Tell an integer from what only equals one: 2.0, False."""
    return isinstance(value, int) and not isinstance(value, bool)
