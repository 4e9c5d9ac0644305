"""A registration for changes of IP interfaces: its thread, its callbacks and its end.

The callbacks come on a thread of the registration's own. The system's threads would not always
call one at a time (Windows is reported not to), and a slow callback would block them.

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
#: The registrations that are not canceled. A handle that nobody else keeps stays in force, as
#: on Windows. (A finalizer would cancel in whatever thread collects garbage, which can be the
#: callback's.) Adding and removing are atomic, so a cancel needs no lock.
_registered: set[NotificationHandle] = set()


class NotificationHandle:
    """A registration, made by `notify_ip_interface_change`. As a context manager it cancels.

    It owns a source, and the thread that receives from it and calls back.
    """

    def __init__(self, source: Source, callback: Callback, context: Any, *, initial: bool) -> None:
        #: Exceptions that the callback has raised.
        self.callback_errors = 0
        self._source = source
        self._canceled = threading.Event()
        #: No callback runs any more. Ctrl-C can interrupt waiting for it, and it can be waited
        #: for again; a `Thread.join` that was interrupted says that the thread has ended.
        self._ended = threading.Event()
        # Only the thread refers to the callback and its context, so its end releases them. A
        # daemon: the interpreter would wait for any other thread before it calls `_cancel_all`.
        self._thread = threading.Thread(
            target=self._run,
            args=(callback, context),
            kwargs={"initial": initial},
            name=f"ip-interface-notify-{next(_serial)}",
            daemon=True,
        )

    def __repr__(self) -> str:
        state = "canceled" if self._canceled.is_set() else "registered"
        return f"<NotificationHandle {state} callback_errors={self.callback_errors}>"

    def cancel(self) -> None:
        """Cancel the registration; see `cancel_mib_change_notify2`."""
        if threading.current_thread() is self._thread:
            raise IpHelperError(ERROR_POSSIBLE_DEADLOCK, "CancelMibChangeNotify2 in its callback")
        if self in _registered:
            # Interrupted by Ctrl-C, it stays registered, so that it can be canceled again.
            self._end(None)
        try:
            _registered.remove(self)
        except KeyError:  # another thread was first
            raise IpHelperError(ERROR_INVALID_PARAMETER, "CancelMibChangeNotify2") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self in _registered:
            self.cancel()

    def start(self) -> None:
        """Start calling back. Raises `IpHelperError` 8 without a thread for it."""
        _registered.add(self)
        try:
            self._thread.start()
        except RuntimeError:  # the system has no more threads
            _registered.discard(self)
            self._source.close()
            raise IpHelperError(ERROR_NOT_ENOUGH_MEMORY, "NotifyIpInterfaceChange") from None

    def _end(self, timeout: float | None) -> None:
        self._canceled.set()
        self._source.close()
        if self._ended.wait(timeout):
            self._thread.join()  # which releases the callback and its context

    def _run(self, callback: Callback, context: Any, *, initial: bool) -> None:
        try:
            self._dispatch(callback, context, initial=initial)
        finally:
            self._ended.set()

    def _dispatch(self, callback: Callback, context: Any, *, initial: bool) -> None:
        for batch in receive_forever(self._source, self._canceled):
            self._read(batch)
            for n in batch:
                if self._canceled.is_set():
                    return
                if n.type is NotificationType.REFRESH or (
                    n.type is NotificationType.INITIAL and not initial
                ):
                    continue
                key = InterfaceKey(n.family, n.luid, n.ifindex)
                try:
                    callback(context, None if n.type is NotificationType.INITIAL else key, n.type)
                except BaseException:  # also SystemExit, which would end this thread silently
                    self.callback_errors += 1
                    name = getattr(callback, "__qualname__", type(callback).__qualname__)
                    log.exception("Callback failed", extra={"fields": {"callback": name}})

    def _read(self, batch: list[Notification]) -> None:
        """Let a source whose notifications come without interfaces read each interface once.

        To find lost notifications, the source compares the system with the rows that it read
        last. Without this it would find again the changes that were notified.
        """
        try:
            with_interfaces(batch, self._source.interface)
        except Exception:
            log.exception("Reading interfaces failed; a later comparison will find them")


@atexit.register
def _cancel_all() -> None:
    """Cancel all at the end of the program, while the interpreter can still run callbacks."""
    handles = list(_registered)
    _registered.clear()
    for handle in handles:
        handle._end(EXIT_SECONDS)


if hasattr(os, "register_at_fork"):
    # A forked child has neither the threads nor the registrations, and must not wake the parent's.
    os.register_at_fork(after_in_child=_registered.clear)
