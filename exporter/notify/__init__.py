"""The documented API for Python programs, on Windows and Linux.

::

    def changed(context, row, notification_type):
        if row is not None and notification_type is not NotificationType.DELETE:
            print(notification_type.label, get_ip_interface_entry(*row))

    with notify_ip_interface_change(Family.UNSPEC, changed, initial_notification=True):
        ...

Functions have the names of the documentation in Python's spelling. What they return is
immutable, in seconds and bytes. Errors are `IpHelperError`, an OSError with the documented
code as `winerror` and the documented text, on Linux too: 87 for a bad argument, 2 for an
unknown interface, 1168 for one without that family, 8, 50, …; where the kernel fails in a
way that has no documented code, the OSError is the kernel's. Any thread may call them.

What the documentation leaves open is so here: callbacks of one handle come one at a time, in
order and none merged, on a thread of its own; the first may come before the registering call
has returned; a callback's exception is logged and counted, and the next callback comes.

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

#: The system that answers. Tests and replays put another in its place.
backend: Backend = SystemBackend()


def notify_ip_interface_change(
    family: int,
    callback: Callback,
    caller_context: Any = None,
    initial_notification: bool = False,
) -> NotificationHandle:
    """Register for every change of the IP interfaces of this computer; it lasts until cancelled.

    `family`: `Family.UNSPEC` (0, both), `IPV4` (2) or `IPV6` (23); Linux' own 10 is refused.
    `callback` is called as ``callback(caller_context, row, notification_type)``:
    `caller_context` is passed on as it is; `row` says which interface (`InterfaceKey`), and
    is ``None`` in the notification that `initial_notification` asks for, which says that the
    registration works; the type is `NotificationType.ADD`, `DELETE`, `PARAMETER` or `INITIAL`.

    The callback is kept alive until cancelled, also when the handle is dropped; the end of
    the program cancels. On Linux the registration is for the network namespace of the
    calling thread. What the system loses in an overload, a comparison makes good: one
    notification for each interface that differs.

    Raises `IpHelperError`: 87 for another family or what cannot be called, 8 without memory,
    threads or descriptors, 6 and any other from the system. Then nothing is registered.
    Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-notifyipinterfacechange
    """
    function = "NotifyIpInterfaceChange"
    wanted = _family(family, function)
    if not callable(callback):
        raise IpHelperError(ERROR_INVALID_PARAMETER, function)
    source = backend.register(wanted)
    handle = NotificationHandle(source, callback, caller_context, initial_notification)
    handle.start()
    return handle


def cancel_mib_change_notify2(notification_handle: NotificationHandle) -> None:
    """End a registration: on return no callback runs and none will come.

    It waits for a running callback; so the caller must own nothing the callback waits for.
    Raises `IpHelperError`: 1131 at once in the callback itself, which it would wait for, and
    the registration stays; 87 the second time, and for ``None``; 6 for what is no handle.
    Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-cancelmibchangenotify2
    """
    if notification_handle is None:
        raise IpHelperError(ERROR_INVALID_PARAMETER, "CancelMibChangeNotify2")
    if not isinstance(notification_handle, NotificationHandle):
        raise IpHelperError(ERROR_INVALID_HANDLE, "CancelMibChangeNotify2")
    notification_handle.cancel()


def initialize_ip_interface_entry() -> Interface:
    """An entry in which nothing is set: family `UNSPEC`, LUID and index 0.

    Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-initializeipinterfaceentry
    """
    return backend.initial_entry()


def get_ip_interface_entry(family: int, luid: int = 0, index: int = 0) -> Interface:
    """The IP interface of a family and a LUID, or an index where the LUID is 0, as it is now.

    Raises `IpHelperError`: 2 when there is no such interface, 1168 when it has not this
    family, 87 for a family other than 2 and 23, or without both LUID and index.
    Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-getipinterfaceentry
    """
    function = "GetIpInterfaceEntry"
    wanted = _family(family, function)
    if wanted is Family.UNSPEC:
        raise IpHelperError(ERROR_INVALID_PARAMETER, function)
    return backend.interface_entry(wanted, *_key(luid, index, function))


def get_ip_interface_table(family: int = Family.UNSPEC) -> list[Interface]:
    """All IP interfaces of one family, or both, as they are now; in no particular order.

    Raises `IpHelperError`: 1168 when there are none, 50 when this computer has not the
    family, 87 for another family, 8 without memory.
    Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-getipinterfacetable
    """
    return backend.interface_table(_family(family, "GetIpInterfaceTable"))


def get_if_entry2(luid: int = 0, index: int = 0) -> LinkEntry:
    """The link of a LUID, or of an index where the LUID is 0, as it is now.

    Raises `IpHelperError`: 2 when there is no such link, 87 without both LUID and index.
    Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-getifentry2
    """
    return backend.link_entry(*_key(luid, index, "GetIfEntry2"))


def get_if_table2() -> list[LinkEntry]:
    """All links, physical and logical, as they are now. Raises `IpHelperError`: 8.

    Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-getiftable2
    """
    return backend.link_table()


def get_if_stack_table() -> list[IfStackRow]:
    """Which link is directly above which, as (higher, lower) indexes.

    Raises `IpHelperError`: 1168 when none is.
    Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-getifstacktable
    """
    return backend.stack_table()


def get_inverted_if_stack_table() -> list[InvertedIfStackRow]:
    """The same relation, as (lower, higher) indexes. Raises `IpHelperError`: 1168 when none.

    Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-getinvertedifstacktable
    """
    return backend.inverted_stack_table()


def _family(family: int, function: str) -> Family:
    try:
        return Family(family)
    except ValueError:
        raise IpHelperError(ERROR_INVALID_PARAMETER, function) from None


def _key(luid: int, index: int, function: str) -> tuple[int, int]:
    """The LUID (64 bits) and the index (32 bits), of which one is needed."""
    if not (0 <= luid < 1 << 64 and 0 <= index < 1 << 32 and (luid or index)):
        raise IpHelperError(ERROR_INVALID_PARAMETER, function)
    return luid, index
