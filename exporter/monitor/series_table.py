"""Which series set an IP interface has, and which series sets changed since they were read.

The life of a series set: an interface that exists at the start has one from then on; others
get one with their first notification. When an interface departs its series set stays for the
retention, so that a scrape sees the delete, and is then removed.

Their number is bounded: the series set that departed first makes room for a new one, and
when `max_interfaces` exist the other interfaces share the device ``other``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import takewhile

from exporter.model import Family, Interface, InterfaceId
from exporter.monitor.series import SeriesSet
from exporter.settings.selection import OVERFLOW_DEVICE, Selection


class SeriesTable:
    """All series sets. Thread: see `State`, which owns it."""

    def __init__(
        self,
        selection: Selection,
        max_interfaces: int,
        retention_seconds: float,
        on_remove: Callable[[InterfaceId], object],
    ) -> None:
        """Begin without series sets. `on_remove` is called when one that departed is removed."""
        self.max_interfaces = max_interfaces
        #: Incremented when a series set is created or removed.
        self.membership = 0
        #: Incremented by each `changed_since`.
        self.generation = 0
        #: When `expire` has something to remove. Seconds, on the clock of the notifications.
        self.due = math.inf
        self._selection = selection
        self._retention = retention_seconds
        self._on_remove = on_remove
        self._own: dict[InterfaceId, SeriesSet] = {}
        self._shared: dict[tuple[Family, str], SeriesSet] = {}
        #: When interfaces with a series set of their own departed, oldest first.
        self._departed: dict[InterfaceId, float] = {}
        #: In the order of the first change in a generation.
        self._changed: dict[SeriesSet, None] = {}

    def __iter__(self) -> Iterator[SeriesSet]:
        """All series sets, in the order in which they were created, shared ones last."""
        yield from self._own.values()
        yield from self._shared.values()

    def __repr__(self) -> str:
        own, shared, departed = len(self._own), len(self._shared), len(self._departed)
        return f"<SeriesTable {own} own, {departed} of them departed, {shared} shared>"

    # -- assignment ---------------------------------------------------------------------

    def assign(self, key: InterfaceId, interface: Interface) -> SeriesSet | None:
        """Return the series set of an interface, a new one if need be; ``None``: filtered out."""
        if not self._selection.includes(interface.link):
            return None
        device = self._selection.group(interface.link)
        if device is None:
            if len(self._own) >= self.max_interfaces and self._departed:
                self._remove_departed(next(iter(self._departed)))
            if len(self._own) < self.max_interfaces:
                own = SeriesSet(
                    interface.family, interface.link.name, interface.luid, interface.ifindex
                )
                self._own[key] = own
                self._add(own)
                return own
            device = OVERFLOW_DEVICE
        shared = self._shared.get((interface.family, device))
        if shared is None:
            shared = SeriesSet(interface.family, device, None, None)
            self._shared[interface.family, device] = shared
            self._add(shared)
        return shared

    def belongs(self, series: SeriesSet | None, interface: Interface) -> bool:
        """Return whether an interface still belongs to a series set; ``None``: is filtered out."""
        if not self._selection.includes(interface.link):
            return series is None
        if series is None:
            return False
        group = self._selection.group(interface.link)
        if series.shared:
            return series.device == (group or OVERFLOW_DEVICE)
        return group is None

    def release(self, key: InterfaceId) -> None:
        """Remove the series set that an interface has to itself, if it has one."""
        self._departed.pop(key, None)
        if own := self._own.pop(key, None):
            self._remove(own)

    def _add(self, series: SeriesSet) -> None:
        self.membership += 1
        self.touch(series)

    def _remove(self, series: SeriesSet) -> None:
        self.membership += 1
        self._changed.pop(series, None)

    # -- retention ----------------------------------------------------------------------

    def depart(self, key: InterfaceId, instant: float) -> None:
        """Begin the retention of the series set that an interface has to itself."""
        self._departed.setdefault(key, instant)
        self.due = min(self.due, instant + self._retention)

    def come_back(self, key: InterfaceId) -> None:
        """End the retention: the interface exists again."""
        self._departed.pop(key, None)

    def expire(self, instant: float) -> None:
        """Remove what departed more than the retention ago."""
        self.due = math.inf
        while self._departed:
            key, departed = next(iter(self._departed.items()))
            if departed + self._retention > instant:
                self.due = departed + self._retention
                return
            self._remove_departed(key)

    def _remove_departed(self, key: InterfaceId) -> None:
        self.release(key)
        self._on_remove(key)

    # -- configuration ------------------------------------------------------------------

    def reconfigure(
        self, selection: Selection, max_interfaces: int, retention_seconds: float
    ) -> None:
        """Use other filters, groups and bounds. Existing assignments stay, see `belongs`."""
        self._selection, self._retention = selection, retention_seconds
        self.max_interfaces = max_interfaces
        self.due = -math.inf

    def shrink(self) -> None:
        """Remove departed series sets over the limit, and empty ones of former groups."""
        while len(self._own) > self.max_interfaces and self._departed:
            self._remove_departed(next(iter(self._departed)))
        groups = {group.name for group in self._selection.groups}
        for where, series in list(self._shared.items()):
            if series.empty and series.device not in groups:
                del self._shared[where]
                self._remove(series)

    # -- changes ------------------------------------------------------------------------

    def touch(self, series: SeriesSet) -> None:
        """Note that a series set changed: the first time in a generation puts it last."""
        if series.generation != self.generation:
            series.generation = self.generation
            self._changed.pop(series, None)
            self._changed[series] = None

    def changed_since(self, generation: int) -> tuple[int, list[SeriesSet]]:
        """Return the next generation, and the series sets that changed since one (0: all).

        Takes as long as there are changes, for any number of readers.
        """
        changed = takewhile(lambda series: series.generation >= generation, reversed(self._changed))
        self.generation += 1
        return self.generation, list(changed)
