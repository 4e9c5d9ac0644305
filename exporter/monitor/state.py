"""The reducer: notifications in, exact counts and the current state out. No I/O, no clock.

Every notification is counted; nothing is coalesced. Time comes with the notifications, so a
replay gives the same numbers as the live stream did. What is counted where:

================  ============================================================================
notifications     what the system notified: churn, and the notifications of a series set
inferred          what a comparison found instead, because a notification is missing
transitions       changes of Connected that a notification showed; disconnections by cause
unobserved        changes of Connected that no notification showed: the system's own counters
                  prove them, or a comparison found them. Transitions and these are all changes.
changes           differences between successive rows, notified or found by comparison
outages           from a disconnection to the next connection, if a notification showed both
                  and nobody switched the interface off
================  ============================================================================

`State._reduce` is one long loop because a call for each notification costs a tenth of its time;
what need not be in it is in `series`, `series_table`, `difference` and `history`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from typing import NamedTuple

from exporter.model import (
    FAMILIES,
    Cause,
    Change,
    Interface,
    InterfaceId,
    InterfaceRow,
    Link,
    Notification,
    NotificationType,
)
from exporter.monitor.difference import Difference, compare
from exporter.monitor.history import (
    MOST_CHANGES,
    DisplayState,
    History,
    InterfaceHistory,
    StateChange,
    display_state,
)
from exporter.monitor.series import Histogram, SeriesSet, nanoseconds
from exporter.monitor.series_table import SeriesTable
from exporter.settings.selection import OVERFLOW_DEVICE, Selection

# The scrape intervals people use (15, 30, 60 s) are bounds: what lies below, a gauge misses.
OUTAGE_BOUNDS = (0.01, 0.1, 0.5, 1, 2.5, 5, 15, 30, 60, 300, 1800, 7200, 43200, 86400)


class Delta(NamedTuple):
    """The effect of one notification, for observers (spans, log events, a recorder)."""

    notification: Notification
    #: The label of the series set.
    device: str
    changes: tuple[Change, ...]
    #: The new value of Connected if it changed.
    transition: bool | None


#: Cached differences beyond four for each interface are thrown away.
_SPARE_DIFFERENCES = 256

# A member of an enumeration costs 120 ns to look up in Python 3.11, a name 10 ns.
_DELETE, _INITIAL, _REFRESH = (
    NotificationType.DELETE,
    NotificationType.INITIAL,
    NotificationType.REFRESH,
)
_ADMINISTRATIVE = Cause.ADMINISTRATIVE
_GONE = DisplayState.GONE


class _Tracked:
    """What the reducer knows of one IP interface beyond its series set."""

    __slots__ = ("history", "interface", "outage", "series")

    def __init__(self) -> None:
        #: As last notified; ``None`` while it does not exist.
        self.interface: Interface | None = None
        #: ``None``: filtered out.
        self.series: SeriesSet | None = None
        #: Start of the current outage: a notification showed it, and since then nobody switched
        #: the interface off, and no comparison found another status, which would mean that one
        #: was lost. Seconds, as `Notification.instant`.
        self.outage: float | None = None
        #: ``None``: it has not changed.
        self.history: InterfaceHistory | None = None


class State:
    """All that is known. Thread: the monitor writes; everyone reads under `lock`."""

    def __init__(
        self,
        selection: Selection | None = None,
        max_interfaces: int = 1000,
        retention_seconds: float = 600.0,
        trace_id: Callable[[float], int] | None = None,
    ) -> None:
        """`trace_id` is called with the instant of each notification that is not filtered out.

        It returns the id of the trace that has the notification.
        """
        self.lock = threading.Lock()
        #: Every notification since the start, by family and NotificationType.
        self.churn = {family: [0, 0, 0] for family in FAMILIES}
        #: What comparisons found since the start, by NotificationType.
        self.inferred = [0, 0, 0]
        #: IP interfaces that exist, and those that are connected, by family.
        self.existing = dict.fromkeys(FAMILIES, 0)
        self.connected = dict.fromkeys(FAMILIES, 0)
        self.outages = {family: Histogram(OUTAGE_BOUNDS) for family in FAMILIES}
        self.history = History()
        #: Existing interfaces that share the overflow device.
        self.aggregated = 0
        self._tracked: dict[InterfaceId, _Tracked] = {}
        self.series_sets = SeriesTable(
            selection or Selection(),
            max_interfaces,
            retention_seconds,
            on_remove=lambda key: self._tracked.pop(key, None),
        )
        self._differences: dict[tuple[int, int], Difference] = {}
        self._trace_id = trace_id
        #: Now: the last notification's, or that up to which time in state was published.
        self._instant = 0.0
        #: The same in nanoseconds.
        self._at = 0

    def __repr__(self) -> str:
        return f"<State at {self._instant:.3f} s, {len(self._tracked)} tracked, {self.series_sets}>"

    def interfaces(self) -> list[Interface]:
        """Return the interfaces that exist and are not filtered out. The monitor's thread only."""
        return [t.interface for t in self._tracked.values() if t.interface and t.series]

    # -- input --------------------------------------------------------------------------

    def load(self, interfaces: Iterable[Interface], instant: float) -> None:
        """Add what exists at the start: it is known from `instant` on, and nothing changed."""
        with self.lock:
            self._advance(instant)
            self.history.since = min(self.history.since, instant)
            for interface in interfaces:
                key = interface.family, interface.luid
                tracked = self._tracked.get(key) or self._track(key, interface)
                if tracked.interface is None:
                    self._appear(key, tracked, interface)

    def apply(self, batch: Iterable[Notification]) -> list[Delta]:
        """Count a batch. Return a delta for each notification that is not filtered out."""
        deltas: list[Delta] = []
        with self.lock:
            self._reduce(batch, deltas)
        return deltas

    def count(self, batch: Iterable[Notification]) -> None:
        """Count a batch like `apply`, without building deltas."""
        with self.lock:
            self._reduce(batch, None)

    def expire(self, instant: float) -> float | None:
        """Remove what departed more than the retention ago.

        Returns when to call it again, if at all. Seconds, on the clock of the notifications.
        """
        with self.lock:
            self.series_sets.expire(instant)
            return self.series_sets.due if self.series_sets.due < math.inf else None

    def pin(self, instant: float) -> float:
        """Return up to when to publish time in state; later calls never go back.

        A notification from before that comes later counts its time from there on: a counter
        that fell would be taken for a reset. The caller holds `lock`.
        """
        self._advance(instant)
        return self._instant

    def reconfigure(
        self, selection: Selection, max_interfaces: int, retention_seconds: float, instant: float
    ) -> None:
        """Use other filters, groups and bounds from now on, also for what exists."""
        with self.lock:
            self._advance(instant)
            series_sets = self.series_sets
            series_sets.reconfigure(selection, max_interfaces, retention_seconds)
            for key, tracked in list(self._tracked.items()):
                interface = tracked.interface
                if interface is not None and not series_sets.belongs(tracked.series, interface):
                    self._move(key, tracked, interface)
            series_sets.shrink()

    def _advance(self, instant: float) -> None:
        """Set the time, which never goes back: neither can a counter."""
        if instant > self._instant:
            self._instant = instant
            self._at = nanoseconds(instant)

    # -- one notification ---------------------------------------------------------------

    def _reduce(self, batch: Iterable[Notification], deltas: list[Delta] | None) -> None:
        """Count a batch; append a delta for each notification that is not filtered out."""
        series_sets, churn, differences = self.series_sets, self.churn, self._differences
        tracked_by_key, generation = self._tracked, self.series_sets.generation
        latest, trace_id_at = self.history.latest, self._trace_id
        newest = -math.inf
        for n in batch:
            type_, family, luid, _, time, received, after, connects, disconnects, inferred = n
            if type_ is _INITIAL:
                continue
            if received > newest:
                newest = received
                self._advance(received)
                # Also if a scrape was shown this instant before: it must not change a count.
                if received >= series_sets.due:
                    series_sets.expire(received)
            key = family, luid
            tracked = tracked_by_key.get(key)
            if tracked is None:
                before = None
                tracked = self._track(key, after or _unread(n))
            else:
                before = tracked.interface
                if after is not None and (
                    before is None
                    or after.link is not before.link
                    or after.ifindex != before.ifindex
                ):
                    self._follow_link(key, tracked, after)
            series = tracked.series
            trace_id = None
            if series is not None:
                if series.generation != generation:
                    series_sets.touch(series)
                if type_ is not _REFRESH:
                    if trace_id_at is not None:
                        trace_id = trace_id_at(received)
                    if inferred:
                        self.inferred[type_] += 1
                    else:
                        churn[family][type_] += 1
                        series.notifications[type_] += 1
                        series.last_notification = time
                if connects or disconnects:
                    series.unobserved[True] += connects
                    series.unobserved[False] += disconnects
                    self._remember_unobserved(n, tracked, before)
            changed: tuple[Change, ...] = ()
            transition = None
            if type_ is _DELETE:
                if before is not None:
                    self._remember(n, tracked, before, _GONE)
                self._disappear(key, tracked)
            elif after is None:
                if series is not None:
                    series.unread += 1
                # Deleted before it could be read: keep the counters for the retention.
                if before is None:
                    self._depart(key, tracked)
            elif before is None:
                self._appear(key, tracked, after)
                self._remember(n, tracked, None, display_state(after))
            elif after is not before:
                tracked.interface = after
                if series is not None:
                    if series.luid:
                        series.interface = after
                    difference = differences.get((id(before), id(after)))
                    if difference is None:
                        difference = self._compare(before, after)
                    changed, transition = difference.changes, difference.transition
                    counts = series.parameter_changes
                    for parameter in difference.parameters:
                        counts[parameter] = counts.get(parameter, 0) + 1
                    if transition is not None:
                        series.change_state(self._at, connected=transition)
                        if inferred:
                            self._infer_transition(tracked, series, difference.cause)
                        else:
                            self._count_transition(tracked, series, difference.cause, n, trace_id)
                    elif difference.cause is _ADMINISTRATIVE or (
                        inferred and before.status != after.status
                    ):
                        tracked.outage = None
                    shown = difference.shown
                    if shown is not None:
                        latest.append((n, series.device, shown))
                        if difference.shows_other_state:
                            history = tracked.history or self._history(tracked, before)
                            history.instants.append(received)
                            history.states.append(shown.after)
                            if len(history.states) > MOST_CHANGES:
                                history.roll_up()
            if deltas is not None and series is not None:
                deltas.append(Delta(n, series.device, changed, transition))

    def _compare(self, before: Interface, after: Interface) -> Difference:
        """Compare two states of an interface; cached, as a flap alternates between the same two."""
        if len(self._differences) > _SPARE_DIFFERENCES + 4 * len(self._tracked):
            self._differences.clear()
        difference = self._differences[id(before), id(after)] = compare(before, after)
        return difference

    def _remember(
        self, n: Notification, tracked: _Tracked, before: Interface | None, after: DisplayState
    ) -> None:
        """Add an appearance or a disappearance to the history."""
        if tracked.series is not None:
            history = self._history(tracked, before)
            history.add(n.instant, after)
            change = StateChange(display_state(before), after)
            self.history.latest.append((n, history.device, change))

    def _remember_unobserved(
        self, n: Notification, tracked: _Tracked, before: Interface | None
    ) -> None:
        """Add flaps that no notification showed to the history."""
        if before is None or tracked.series is None:
            return
        history = self._history(tracked, before)
        history.unobserved.append((n.instant, n.unobserved_disconnects))
        state = display_state(before)
        # Otherwise it is added with the change.
        if n.interface is None or display_state(n.interface) is state:
            self.history.latest.append((n, history.device, StateChange(state, state)))

    def _history(self, tracked: _Tracked, before: Interface | None) -> InterfaceHistory:
        interface = tracked.interface
        assert interface is not None
        return tracked.history or self.history.begin(
            interface.link.name, interface.family.label, display_state(before), tracked
        )

    def _count_transition(
        self,
        tracked: _Tracked,
        series: SeriesSet,
        cause: Cause | None,
        n: Notification,
        trace_id: int | None,
    ) -> None:
        """Count a change of Connected; without a `cause` it is a connection."""
        if cause is not None:
            series.disconnections[cause] += 1
            self.connected[series.family] -= 1
            tracked.outage = None if cause is _ADMINISTRATIVE else n.instant
            return
        series.connections += 1
        self.connected[series.family] += 1
        if tracked.outage is not None:
            # Measured between the moments of receipt, whatever was published in between.
            seconds = n.instant - tracked.outage
            if seconds < 0:
                seconds = 0.0
            assert n.interface is not None
            device = n.interface.link.name
            self.outages[series.family].observe_of(device, seconds, n.time, trace_id)
            tracked.outage = None

    def _infer_transition(self, tracked: _Tracked, series: SeriesSet, cause: Cause | None) -> None:
        """Count a change of Connected that a comparison found: when and why is not known."""
        series.unobserved[cause is None] += 1
        self.connected[series.family] += 1 if cause is None else -1
        tracked.outage = None

    def _appear(self, key: InterfaceId, tracked: _Tracked, interface: Interface) -> None:
        tracked.interface = interface
        tracked.outage = None
        if tracked.series is not None:
            self.series_sets.come_back(key)
            self._join(tracked.series, interface)

    def _disappear(self, key: InterfaceId, tracked: _Tracked) -> None:
        interface, series = tracked.interface, tracked.series
        if interface is not None and series is not None:
            self._leave(series, interface)
        tracked.interface = None
        self._depart(key, tracked)

    def _depart(self, key: InterfaceId, tracked: _Tracked) -> None:
        """Track what does not exist only as long as it has a series set of its own."""
        if tracked.series is None or tracked.series.shared:
            self._tracked.pop(key, None)
        else:
            self.series_sets.depart(key, self._instant)

    # -- series sets --------------------------------------------------------------------

    def _track(self, key: InterfaceId, interface: Interface) -> _Tracked:
        tracked = self._tracked[key] = _Tracked()
        tracked.series = self.series_sets.assign(key, interface)
        return tracked

    def _join(self, series: SeriesSet, interface: Interface) -> None:
        """Add an interface that exists to the totals of its series set and of the computer."""
        self.series_sets.touch(series)
        connected = interface.parameters.connected
        series.add_member(self._at, connected=connected)
        self.existing[interface.family] += 1
        self.connected[interface.family] += connected
        if not series.shared:
            series.interface = interface
        elif series.device == OVERFLOW_DEVICE:
            self.aggregated += 1

    def _leave(self, series: SeriesSet, interface: Interface) -> None:
        """Remove an interface from the totals of its series set and of the computer."""
        self.series_sets.touch(series)
        connected = interface.parameters.connected
        series.remove_member(self._at, connected=connected)
        series.interface = None
        self.existing[interface.family] -= 1
        self.connected[interface.family] -= connected
        if series.shared and series.device == OVERFLOW_DEVICE:
            self.aggregated -= 1

    def _follow_link(self, key: InterfaceId, tracked: _Tracked, interface: Interface) -> None:
        """Label an interface by the new name and index of its link, or move it elsewhere."""
        series = tracked.series
        if tracked.history is not None:
            tracked.history.device = interface.link.name
        if not self.series_sets.belongs(series, interface):
            self._move(key, tracked, interface)
        elif series is not None and not series.shared:
            series.device, series.index = interface.link.name, str(interface.ifindex)
            self.series_sets.touch(series)

    def _move(self, key: InterfaceId, tracked: _Tracked, interface: Interface) -> None:
        """Filter or group membership changed: close the old series set, open a new one at 0."""
        before, series = tracked.interface, tracked.series
        if before is not None and series is not None:
            self._leave(series, before)
        self.series_sets.release(key)
        tracked.series = self.series_sets.assign(key, interface)
        tracked.outage = None
        if before is not None and tracked.series is not None:
            self._join(tracked.series, before)


def _unread(n: Notification) -> Interface:
    """Return a stand-in for an interface that nobody could read yet: no name, no row."""
    return Interface(n.family, n.luid, n.ifindex, Link(""), InterfaceRow())


assert len(Notification._fields) == 10, "_reduce unpacks them"
