"""A registration for IP-interface changes: what it owns, and how it ends.

Callbacks come on a thread of ours and never on one of the system's: there they could not be
serialised (Windows is reported not to), and a slow one would hold up the system.

Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-cancelmibchangenotify2
"""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import threading
from typing import Any, Self

from exporter.bindings.winerror import (
    ERROR_INVALID_PARAMETER,
    ERROR_NOT_ENOUGH_MEMORY,
    ERROR_POSSIBLE_DEADLOCK,
    IpHelperError,
)
from exporter.model import Notification, NotificationType
from exporter.notify.types import Callback, InterfaceKey
from exporter.sources.contract import Source, receive_forever, with_interfaces

log = logging.getLogger(__name__)

#: How long the end of the program waits for running callbacks.
EXIT_SECONDS = 5.0

_serial = itertools.count(1)
#: The registrations in force. A handle that is dropped goes on, as the system's would: its
#: thread keeps it. (A finalizer would cancel in whatever thread collects garbage, the
#: callback's own among them.) Adding and removing are atomic, so that no lock is held, or
#: needed, around a cancel.
_registered: set[NotificationHandle] = set()


class NotificationHandle:
    """One registration, made by `notify_ip_interface_change`; a context manager that cancels.

    It owns a source and the thread that takes from it and calls back.
    """

    def __init__(self, source: Source, callback: Callback, context: Any, initial: bool) -> None:
        #: Exceptions that the callback has raised.
        self.callback_errors = 0
        self._source = source
        self._cancelled = threading.Event()
        # Only the thread holds the callback and its context: they are released when it ends.
        # A daemon, because the interpreter waits for other threads before `_cancel_all`.
        self._thread = threading.Thread(
            target=self._dispatch,
            args=(callback, context, initial),
            name=f"ip-interface-notify-{next(_serial)}",
            daemon=True,
        )

    def cancel(self) -> None:
        """Return when no callback runs and none will come; see `cancel_mib_change_notify2`."""
        if threading.current_thread() is self._thread:
            raise IpHelperError(ERROR_POSSIBLE_DEADLOCK, "CancelMibChangeNotify2 in its callback")
        try:
            _registered.remove(self)
        except KeyError:
            raise IpHelperError(ERROR_INVALID_PARAMETER, "CancelMibChangeNotify2") from None
        self._end(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self in _registered:
            self.cancel()

    def start(self) -> None:
        """Begin to call back; `notify_ip_interface_change` did."""
        _registered.add(self)
        try:
            self._thread.start()
        except RuntimeError:  # the system has no more threads
            _registered.discard(self)
            self._source.close()
            raise IpHelperError(ERROR_NOT_ENOUGH_MEMORY, "NotifyIpInterfaceChange") from None

    def _end(self, timeout: float | None) -> None:
        self._cancelled.set()
        self._source.close()
        self._thread.join(timeout)

    def _dispatch(self, callback: Callback, context: Any, initial: bool) -> None:
        for batch in receive_forever(self._source, self._cancelled):
            self._read(batch)
            for n in batch:
                if self._cancelled.is_set():
                    return
                if n.type is NotificationType.REFRESH or (
                    n.type is NotificationType.INITIAL and not initial
                ):
                    continue
                key = InterfaceKey(n.family, n.luid, n.ifindex)
                try:
                    callback(context, None if n.type is NotificationType.INITIAL else key, n.type)
                except BaseException:  # SystemExit too: nobody asked to end this thread
                    self.callback_errors += 1
                    log.exception("The callback %r failed; notifications go on", callback)

    def _read(self, batch: list[Notification]) -> None:
        """Let a source whose notifications come without interfaces read them.

        It compares the system with what it read last, to find what was lost; what it notifies
        now must not be found again.
        """
        try:
            with_interfaces(batch, self._source.interface)
        except Exception:
            log.exception("Reading interfaces failed; a later comparison will find them")


@atexit.register
def _cancel_all() -> None:
    """The end of the program deregisters, while the interpreter can still run callbacks."""
    handles = list(_registered)
    _registered.clear()
    for handle in handles:
        handle._end(EXIT_SECONDS)


if hasattr(os, "register_at_fork"):
    # A forked child has neither the thread nor a registration, and must not wake the parent's.
    os.register_at_fork(after_in_child=_registered.clear)
