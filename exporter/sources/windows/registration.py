"""A registration for notifications, and the bounded queue that its callback fills.

Windows calls the callback on threads of its own: one call at a time according to the
documentation, several according to reports. The queue puts them in one order. The callback
never blocks or raises; it counts and drops a notification that finds the queue full.

CancelMibChangeNotify2 waits for running callbacks. So it is called from an ordinary thread,
without a lock that the callback takes, with the GIL released, and before the interpreter ends.

Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-notifyipinterfacechange
"""

from __future__ import annotations

import atexit
import ctypes
import itertools
import threading
from ctypes import byref, c_void_p
from queue import Empty, SimpleQueue
from typing import Any

from exporter.bindings.iphlpapi import PIPINTERFACE_CHANGE_CALLBACK, Library
from exporter.clock import Clock
from exporter.sources.contract import Health

#: A queued notification: type, family, LUID, index, Unix time, monotonic instant.
Record = tuple[int, int, int, int, float, float]

#: The memory of a queued record: the tuple, its numbers, its place. Measured: 208.
RECORD_BYTES = 256

_numbers = itertools.count(1)
#: The registrations for which Windows may call back, by the number it gets as their context.
_registered: dict[int, Registration] = {}


class Registration:
    """A registration. It counts dropped notifications in `health`, and sets `lost`.

    Thread: `drain` from one thread, `wake` from any, the others from one at a time.
    """

    def __init__(self, api: Library, capacity: int, clock: Clock, health: Health) -> None:
        self.capacity = capacity
        self.lost = False
        self._api = api
        self._health = health
        self._wall, self._monotonic = clock
        self._queue: SimpleQueue[Record | None] = SimpleQueue()
        #: Since when received notifications may be unprocessed; ``None``: all are processed.
        self.busy_since: float | None = None
        self._drained_until = 0.0
        self._drop_lock = threading.Lock()
        self._number = next(_numbers)
        self._handle = c_void_p()

    def __repr__(self) -> str:
        return f"<Registration number={self._number} queue_length={self._queue.qsize()}>"

    def register(self, family: int) -> None:
        """Register for notifications, with an initial one. Raises OSError."""
        _registered[self._number] = self  # before the call: the first callback may come at once
        try:
            self._api.NotifyIpInterfaceChange(
                family, _callback, self._number, 1, byref(self._handle)
            )
        except OSError:
            _registered.pop(self._number)
            raise
        # A callback after the end of the interpreter would block in it for ever.
        atexit.register(self.cancel)

    def drain(self, timeout: float, limit: int) -> list[Record]:
        """Return up to `limit` records. Wait `timeout` seconds for the first one, or for `wake`."""
        try:
            records = [self._queue.get(timeout=timeout)]
        except Empty:
            return []
        more = min(self._queue.qsize(), limit - 1)
        records += [self._queue.get_nowait() for _ in range(more)]
        self._health.queue_length = self._queue.qsize()
        drained = [record for record in records if record is not None]
        if drained:
            self._drained_until = drained[-1][-1]
        return drained

    def processed(self) -> None:
        """Note that all drained records are processed."""
        self.busy_since = None
        if self._queue.qsize():
            self.mark_busy(self._drained_until)

    def mark_busy(self, instant: float) -> None:
        """Note that something was received at an instant, or will be. Thread: any."""
        if self.busy_since is None:
            self.busy_since = instant

    def wake(self) -> None:
        """End a waiting `drain`. Thread: any."""
        self._queue.put(None)

    def cancel(self) -> None:
        """Cancel the registration; after that no callback runs and none will come.

        Raises OSError, and the registration stays. Without a handle it does nothing: Wine
        accepts a registration but returns no handle. Thread: any but a callback's.
        """
        atexit.unregister(self.cancel)
        if self._handle:
            self._api.CancelMibChangeNotify2(self._handle)
            self._handle = c_void_p()
            _registered.pop(self._number, None)

    def notify(self, row: Any, notification_type: int) -> None:
        """Queue a notification. Thread: Windows' own, possibly several at once."""
        try:
            family = luid = index = 0
            if row:  # NULL, which is false, in the initial notification
                entry = row.contents
                family, luid = entry.Family, entry.InterfaceLuid.Value
                index = entry.InterfaceIndex
            length = self._queue.qsize()
            if length >= self.capacity:
                self._drop()
                return
            self.mark_busy(self._monotonic())
            time, instant = self._wall(), self._monotonic()
            self._queue.put((notification_type, family, luid, index, time, instant))
            self.mark_busy(instant)  # if all else was processed in between
            self._health.queue_length = length + 1
        except BaseException:  # noqa: BLE001 (ctypes would print and ignore it)
            self._health.count_error("callback")

    def _drop(self) -> None:
        with self._drop_lock:
            health = self._health
            health.dropped = (health.dropped or 0) + 1
            if not self.lost:
                self.lost = True
                health.overruns = (health.overruns or 0) + 1


def _on_change(number: int | None, row: Any, notification_type: int) -> None:
    """Queue a notification for the registration of that number, unless it was canceled."""
    registration = _registered.get(number or 0)
    if registration is not None:
        registration.notify(row, notification_type)


#: One callback serves all registrations and is never freed. A callback of a registration's own
#: would be freed with it, and a call that comes after the cancel would crash the process.
_callback = PIPINTERFACE_CHANGE_CALLBACK(_on_change)
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_callback))
