"""One registration with Windows, and the bounded queue that its callback fills.

Windows calls back on threads of its own, documented as one call at a time and reported to be
several; the queue makes them one sequence. The callback never waits, raises, or lets the queue
grow beyond its bound: what finds it full is counted.

CancelMibChangeNotify2 waits for running callbacks. So it is called from an ordinary thread,
with no lock that the callback takes, with the GIL released, and before the interpreter ends.

Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-notifyipinterfacechange
"""

from __future__ import annotations

import atexit
import threading
from ctypes import byref, c_void_p
from queue import Empty, SimpleQueue
from typing import Any

from exporter.bindings.iphlpapi import PIPINTERFACE_CHANGE_CALLBACK, Library
from exporter.clock import Clock
from exporter.sources.contract import Health

#: One notification as it came: type, family, LUID, index; Unix time, monotonic instant.
Record = tuple[int, int, int, int, float, float]

#: What a queued record takes: the tuple, its numbers, its place. Measured: 208.
RECORD_BYTES = 256

#: Registrations whose callback the system may call: collected, it would crash the process.
_callable: set[Registration] = set()


class Registration:
    """Counts what it drops in `health`, and remembers it in `lost` until that is cleared."""

    def __init__(self, api: Library, capacity: int, clock: Clock, health: Health) -> None:
        self.capacity = capacity
        self.lost = False
        self._api = api
        self._health = health
        self._wall, self._monotonic = clock
        self._queue: SimpleQueue[Record | None] = SimpleQueue()
        self._counting_drops = threading.Lock()
        self._callback = PIPINTERFACE_CHANGE_CALLBACK(self._on_change)
        self._handle = c_void_p()

    def register(self, family: int) -> None:
        """Ask for notifications, the initial one among them. Raises OSError."""
        _callable.add(self)  # beforehand: the first call may come at once
        try:
            self._api.NotifyIpInterfaceChange(
                family, self._callback, None, True, byref(self._handle)
            )
        except OSError:
            _callable.discard(self)
            raise
        # A callback that came later would wait for an interpreter that is no more.
        atexit.register(self.cancel)

    def take(self, wait: float, most: int) -> list[Record]:
        """Up to `most` records; waits up to `wait` seconds for the first, or for `wake`."""
        try:
            records = [self._queue.get(timeout=wait)]
        except Empty:
            return []
        more = min(self._queue.qsize(), most - 1)
        records += [self._queue.get_nowait() for _ in range(more)]
        self._health.queue_length = self._queue.qsize()
        return [record for record in records if record is not None]

    def wake(self) -> None:
        """End a waiting `take`. Thread: any."""
        self._queue.put(None)

    def cancel(self) -> None:
        """Return when no callback runs and none will come. Raises OSError, then it stays.

        Without a handle there is nothing to cancel: never registered, or by a system that only
        pretends (Wine). Thread: any but a callback's; one at a time.
        """
        atexit.unregister(self.cancel)
        if self._handle:
            self._api.CancelMibChangeNotify2(self._handle)
            self._handle = c_void_p()
            _callable.discard(self)

    def _on_change(self, _context: object, row: Any, kind: int) -> None:
        """Note one notification. Thread: the system's own, possibly several at once."""
        try:
            family = luid = index = 0
            if row:  # false when NULL, as with the initial notification
                entry = row.contents
                family, luid = entry.Family, entry.InterfaceLuid.Value
                index = entry.InterfaceIndex
            waiting = self._queue.qsize()
            if waiting >= self.capacity:
                self._drop()
                return
            self._queue.put((kind, family, luid, index, self._wall(), self._monotonic()))
            self._health.queue_length = waiting + 1
        except BaseException:  # noqa: BLE001 - nobody above could handle it: ctypes prints it
            self._health.count_error("callback")

    def _drop(self) -> None:
        with self._counting_drops:
            health = self._health
            health.dropped = (health.dropped or 0) + 1
            if not self.lost:
                self.lost = True
                health.overruns = (health.overruns or 0) + 1
