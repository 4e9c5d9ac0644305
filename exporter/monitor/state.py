"""The reducer: notifications in, exact counters and the current state out. No I/O, no clock.

Every notification is counted; nothing is coalesced. Time comes with the notifications, so a
replay gives the same numbers as the live stream did.

The life of a series set: interfaces that exist at the start have theirs at 0 from then on;
others get one with their first notification. A deleted interface's gauges go at once; its
counters stay frozen for the retention, so that a scrape sees the delete, and then go. A
rename carries the values over to the new label.

The number of series is bounded: the oldest departed interface makes room for a new one, and
when `max_interfaces` exist the rest share the device ``other``.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from itertools import takewhile
from typing import NamedTuple

from exporter.model import (
    FAMILIES,
    Cause,
    Change,
    Family,
    Interface,
    InterfaceRow,
    Link,
    Notification,
    NotificationType,
    changes,
)
from exporter.monitor.series import Histogram, SeriesSet
from exporter.settings.selection import OVERFLOW_DEVICE, Selection

# The scrape intervals people use (15, 30, 60 s) are bounds: what lies below, a gauge misses.
OUTAGE_BOUNDS = (0.01, 0.1, 0.5, 1, 2.5, 5, 15, 30, 60, 300, 1800, 7200, 43200, 86400)

#: An IP interface for its whole life: family and LUID.
Key = tuple[Family, int]


def _unread(n: Notification) -> Interface:
    """A stand-in for an interface that nobody could read yet: no name, no row."""
    return Interface(n.family, n.luid, n.ifindex, Link(""), InterfaceRow())


class Delta(NamedTuple):
    """What one notification amounted to, for those who watch (spans, log events, a person)."""

    notification: Notification
    device: str
    changes: tuple[Change, ...]
    #: The new value of Connected if it changed.
    transition: bool | None


#: The fields of a delta beside the notification.
_Told = tuple[str, tuple[Change, ...], bool | None]

#: What changed between two interfaces, the new value of Connected if it did, why the second is
#: not connected if it is not, and the two.
_Difference = tuple[tuple[Change, ...], bool | None, Cause | None, Interface, Interface]
#: Remembered differences beyond four for each interface are thrown away.
_SPARE_DIFFERENCES = 256

# A member of an enumeration costs 120 ns to look up in Python 3.11, a name 10 ns.
_DELETE, _INITIAL, _REFRESH = (
    NotificationType.DELETE,
    NotificationType.INITIAL,
    NotificationType.REFRESH,
)
_ADMINISTRATIVE = Cause.ADMINISTRATIVE


class _Tracked:
    """What the reducer knows of one IP interface beyond its series."""

    __slots__ = ("interface", "outage", "series")

    def __init__(self) -> None:
        #: The last row; ``None`` while the interface does not exist.
        self.interface: Interface | None = None
        #: ``None``: filtered out.
        self.series: SeriesSet | None = None
        #: Start of the current outage: a notification showed it, and nobody switched the
        #: interface off since. Seconds, on the clock of `Notification.instant`.
        self.outage: float | None = None


class State:
    """All that is known. Thread: the collector writes; everyone reads under `lock`."""

    def __init__(
        self,
        selection: Selection | None = None,
        max_interfaces: int = 1000,
        retention_seconds: float = 600.0,
    ) -> None:
        self.lock = threading.Lock()
        self.max_interfaces = max_interfaces
        self._selection = selection or Selection()
        self._retention = retention_seconds
        #: Every notification since the start, by family and NotificationType.
        self.churn = {family: [0, 0, 0] for family in FAMILIES}
        self.inferred = [0, 0, 0]
        self.existing = dict.fromkeys(FAMILIES, 0)
        self.connected = dict.fromkeys(FAMILIES, 0)
        self.outages = {family: Histogram(OUTAGE_BOUNDS) for family in FAMILIES}
        #: Existing interfaces that share the overflow device.
        self.aggregated = 0
        self._tracked: dict[Key, _Tracked] = {}
        self._own: dict[Key, SeriesSet] = {}
        self._shared: dict[tuple[Family, str], SeriesSet] = {}
        self._differences: dict[tuple[int, int], _Difference] = {}
        #: The last notification's, or that up to which time in state was shown.
        self._instant = -math.inf
        #: When interfaces with a series of their own departed, oldest first.
        self._departed: dict[Key, float] = {}
        #: Grows when a series set is born or forgotten.
        self.membership = 0
        #: SeriesSet sets in the order in which they first changed since a reading, and which
        #: reading comes next.
        self._changed: dict[SeriesSet, None] = {}
        self._reading = 0

    def series(self) -> Iterable[SeriesSet]:
        """All series sets, in the order in which they were born, shared ones last."""
        yield from self._own.values()
        yield from self._shared.values()

    def changed_since(self, reading: int) -> tuple[int, list[SeriesSet]]:
        """Number of this reading, and the series sets that changed since another (0: all).

        Takes as long as there are changes, for any number of readers. They hold `lock`.
        """
        changed = list(takewhile(lambda s: s.version >= reading, reversed(self._changed)))
        self._reading += 1
        return self._reading, changed

    def interfaces(self) -> list[Interface]:
        """The interfaces that exist and are not filtered out."""
        return [t.interface for t in self._tracked.values() if t.interface and t.series]

    # -- input --------------------------------------------------------------------------

    def load(self, interfaces: Iterable[Interface], instant: float) -> None:
        """Take what exists at the start: it is known from `instant` on, and nothing changed."""
        with self.lock:
            for interface in interfaces:
                key = interface.family, interface.luid
                tracked = self._tracked.get(key) or self._first_sight(key, interface)
                if tracked.interface is None:
                    self._appear(tracked, interface, instant)

    def apply(self, batch: Iterable[Notification]) -> list[Delta]:
        """Count a batch and take its rows. One delta for each notification not filtered out."""
        with self.lock:
            return [Delta(n, *told) for n in batch if (told := self._apply(n)) is not None]

    def count(self, batch: Iterable[Notification]) -> None:
        """The same, when nobody watches."""
        with self.lock:
            for n in batch:
                self._apply(n)

    def expire(self, instant: float) -> float | None:
        """Forget what departed more than the retention ago; when to call again, if at all."""
        with self.lock:
            while self._departed:
                key, departed = next(iter(self._departed.items()))
                if departed + self._retention > instant:
                    return departed + self._retention
                self._forget(key)
            return None

    def show(self, instant: float) -> float:
        """Up to when to publish time in state, which is now. Call it under `lock`.

        A notification from before, still on its way now, will count from there on: a counter
        that fell would be taken for a reset, and its whole value for growth.
        """
        self._instant = max(instant, self._instant)
        return self._instant

    def reconfigure(
        self, selection: Selection, max_interfaces: int, retention_seconds: float, instant: float
    ) -> None:
        """Use other filters, groups and bounds from now on, also for what exists."""
        with self.lock:
            self._selection, self._retention = selection, retention_seconds
            self.max_interfaces = max_interfaces
            for key, tracked in list(self._tracked.items()):
                interface = tracked.interface
                if interface is not None and not self._belongs(tracked.series, interface):
                    self._move(key, tracked, interface, instant)
            while len(self._own) > max_interfaces and self._departed:
                self._forget(next(iter(self._departed)))
            groups = {group.name for group in selection.groups}
            for where, series in list(self._shared.items()):
                if series.empty and series.device not in groups:
                    del self._shared[where]
                    self._forget_series(series)

    # -- one notification ---------------------------------------------------------------

    def _apply(self, n: Notification) -> _Told | None:
        kind, family, luid, _, time, instant, after, connects, disconnects, inferred = n
        if kind is _INITIAL:
            return None
        if instant < self._instant:
            instant = self._instant  # a recording may jump back, time may not
        self._instant = instant
        key = family, luid
        tracked = self._tracked.get(key)
        before = None
        if tracked is None:
            tracked = self._first_sight(key, after or _unread(n))
        else:
            before = tracked.interface
            if after is not None and (
                before is None or after.link is not before.link or after.ifindex != before.ifindex
            ):
                self._follow_link(key, tracked, after, instant)
        series = tracked.series
        if series is not None:
            if series.version != self._reading:
                self._touch(series)
            if kind is not _REFRESH:
                if inferred:
                    self.inferred[kind] += 1
                else:
                    self.churn[family][kind] += 1
                    series.notifications[kind] += 1
                    series.last_notification = time
            if connects or disconnects:
                series.unobserved[True] += connects
                series.unobserved[False] += disconnects
        changed: tuple[Change, ...] = ()
        transition = None
        if kind is _DELETE:
            self._disappear(key, tracked, instant)
        elif after is None:
            # Gone again before it could be read; if nobody ever reads it, it expires.
            if before is None:
                self._depart(key, tracked, instant)
        elif before is None:
            self._appear(tracked, after, instant)
        elif after is not before:
            tracked.interface = after
            if series is not None:
                if series.luid:
                    series.interface = after
                difference = self._differences.get((id(before), id(after)))
                if difference is None:
                    difference = self._compare(before, after)
                changed, transition, cause, _, _ = difference
                counts = series.parameter_changes
                for parameter, _, _ in changed:
                    counts[parameter] = counts.get(parameter, 0) + 1
                if transition is not None:
                    series.turn(transition, instant)
                    self._count_transition(tracked, series, cause, instant, inferred)
                elif cause is _ADMINISTRATIVE:
                    tracked.outage = None
        return None if series is None else (series.device, changed, transition)

    def _compare(self, before: Interface, after: Interface) -> _Difference:
        """What differs between two rows, remembered: a flap alternates between the same two."""
        changed = changes(before.parameters, after.parameters)
        connected = after.parameters.connected
        transition = None if connected is before.parameters.connected else connected
        cause = None if connected else after.status.cause
        if len(self._differences) > _SPARE_DIFFERENCES + 4 * len(self._tracked):
            self._differences.clear()
        # Both are kept alive, so that no other gets the same id.
        difference = changed, transition, cause, before, after
        self._differences[id(before), id(after)] = difference
        return difference

    def _appear(self, tracked: _Tracked, interface: Interface, instant: float) -> None:
        tracked.interface = interface
        tracked.outage = None
        if tracked.series is None:
            return
        self._departed.pop((interface.family, interface.luid), None)
        self._join(tracked, interface, instant)

    def _disappear(self, key: Key, tracked: _Tracked, instant: float) -> None:
        interface, series = tracked.interface, tracked.series
        if interface is not None and series is not None:
            self._part(tracked, interface, series, instant)
        tracked.interface = None
        self._depart(key, tracked, instant)

    def _depart(self, key: Key, tracked: _Tracked, instant: float) -> None:
        """Nothing of it exists: keep only a series of its own, for the retention."""
        if tracked.series is None or tracked.series.shared:
            self._tracked.pop(key, None)
        else:
            self._departed.setdefault(key, instant)

    def _count_transition(
        self,
        tracked: _Tracked,
        series: SeriesSet,
        cause: Cause | None,
        instant: float,
        inferred: bool,
    ) -> None:
        """Count a change of Connected; without a `cause` it is a connection.

        When and why an inferred one happened is not known: it has no cause, and neither begins
        nor ends an outage.
        """
        connected = cause is None
        if inferred:
            series.unobserved[connected] += 1
        elif cause is None:
            series.connections += 1
        else:
            series.disconnections[cause] += 1
        if not connected:
            self.connected[series.family] -= 1
            tracked.outage = None if inferred or cause is _ADMINISTRATIVE else instant
            return
        self.connected[series.family] += 1
        if tracked.outage is not None and not inferred:
            self.outages[series.family].observe(instant - tracked.outage)
        tracked.outage = None

    # -- which series -------------------------------------------------------------------

    def _join(self, tracked: _Tracked, interface: Interface, instant: float) -> None:
        """An existing interface begins to be published under its series."""
        series = tracked.series
        assert series is not None
        self._touch(series)
        series.enter(interface.parameters.connected, instant)
        series.since = instant
        self.existing[interface.family] += 1
        self.connected[interface.family] += interface.parameters.connected
        if not series.shared:
            series.interface = interface
        elif series.device == OVERFLOW_DEVICE:
            self.aggregated += 1

    def _part(
        self, tracked: _Tracked, interface: Interface, series: SeriesSet, instant: float
    ) -> None:
        """The opposite of `_join`."""
        self._touch(series)
        series.leave(interface.parameters.connected, instant)
        series.interface = None
        self.existing[interface.family] -= 1
        self.connected[interface.family] -= interface.parameters.connected
        if series.shared and series.device == OVERFLOW_DEVICE:
            self.aggregated -= 1

    def _first_sight(self, key: Key, interface: Interface) -> _Tracked:
        tracked = self._tracked[key] = _Tracked()
        tracked.series = self._choose_series(key, interface)
        return tracked

    def _choose_series(self, key: Key, interface: Interface) -> SeriesSet | None:
        if not self._selection.includes(interface.link):
            return None
        device = self._selection.group(interface.link)
        if device is None:
            if len(self._own) >= self.max_interfaces and self._departed:
                self._forget(next(iter(self._departed)))
            if len(self._own) < self.max_interfaces:
                own = SeriesSet(
                    interface.family, interface.link.name, interface.luid, interface.ifindex
                )
                self._own[key] = own
                self._born(own)
                return own
            device = OVERFLOW_DEVICE
        shared = self._shared.get((interface.family, device))
        if shared is None:
            shared = SeriesSet(interface.family, device, None, None)
            self._shared[interface.family, device] = shared
            self._born(shared)
        return shared

    def _follow_link(
        self, key: Key, tracked: _Tracked, interface: Interface, instant: float
    ) -> None:
        """The link may have another name (or index) now: label by it, or move elsewhere."""
        series = tracked.series
        if self._belongs(series, interface):
            if series is not None and not series.shared:
                series.device, series.index = interface.link.name, str(interface.ifindex)
                self._touch(series)
            return
        self._move(key, tracked, interface, instant)

    def _move(self, key: Key, tracked: _Tracked, interface: Interface, instant: float) -> None:
        """Filters or groups see it differently now: it ends here, and begins there at 0."""
        before, series = tracked.interface, tracked.series
        if before is not None and series is not None:
            self._part(tracked, before, series, instant)
        self._drop(key)
        tracked.series = self._choose_series(key, interface)
        tracked.outage = None
        if before is not None and tracked.series is not None:
            self._join(tracked, before, instant)

    def _belongs(self, series: SeriesSet | None, interface: Interface) -> bool:
        """Whether an interface is still in the right place."""
        if not self._selection.includes(interface.link):
            return series is None
        if series is None:
            return False
        group = self._selection.group(interface.link)
        if series.shared:
            return series.device == (group or OVERFLOW_DEVICE)
        return group is None

    def _forget(self, key: Key) -> None:
        self._tracked.pop(key, None)
        self._drop(key)

    # -- what changed -------------------------------------------------------------------

    def _touch(self, series: SeriesSet) -> None:
        """Note a change: the first since a reading puts the series last."""
        if series.version != self._reading:
            series.version = self._reading
            self._changed.pop(series, None)
            self._changed[series] = None

    def _born(self, series: SeriesSet) -> None:
        self.membership += 1
        self._touch(series)

    def _drop(self, key: Key) -> None:
        """Have no series of its own for an interface any more."""
        self._departed.pop(key, None)
        if own := self._own.pop(key, None):
            self._forget_series(own)

    def _forget_series(self, series: SeriesSet) -> None:
        self.membership += 1
        self._changed.pop(series, None)
