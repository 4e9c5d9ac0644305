"""The numbers under one label set: what is published about an interface, or about a group."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from exporter.model import COUNTED_TYPES, Cause, Family, Interface, format_luid

#: The label values of ``state``, by the value of Connected.
STATES = ("disconnected", "connected")

#: ``(offset, rate)``: at an instant, ``offset + rate * instant`` have passed. Nanoseconds.
Growth = tuple[int, int]


class SeriesSet:
    """Counters and gauges of one IP interface, or of several that share a label set.

    Pairs are indexed by Connected: [disconnected, connected].
    Thread: written and read under `State.lock`.
    """

    __slots__ = (
        "_connected",
        "_connected_offset",
        "_members",
        "_offset",
        "connections",
        "device",
        "disconnections",
        "family",
        "generation",
        "index",
        "interface",
        "last_notification",
        "luid",
        "notifications",
        "parameter_changes",
        "since",
        "unobserved",
        "unread",
    )

    def __init__(self, family: Family, device: str, luid: int | None, index: int | None) -> None:
        self.family = family
        self.device = device
        #: Label values; empty where several interfaces share the series set.
        self.luid = "" if luid is None else format_luid(luid)
        self.index = "" if index is None else str(index)
        #: The interface, while it exists and has the series set to itself.
        self.interface: Interface | None = None
        #: When the interface entered its present state; without meaning where several share the
        #: series set. Nanoseconds, on the clock of `Notification.instant`.
        self.since = 0
        #: By NotificationType.
        self.notifications = [0] * len(COUNTED_TYPES)
        #: Transitions that a notification showed; disconnections by `Cause`.
        self.connections = 0
        self.disconnections = [0] * len(Cause)
        #: Transitions that no notification showed.
        self.unobserved = [0, 0]
        # Interfaces, and the offset of the growth of their time; of all and of the connected
        # ones. In whole nanoseconds: a rounded sum would fall now and then, a counter must not.
        self._members = self._connected = 0
        self._offset = self._connected_offset = 0
        #: Differences between successive rows, by member of the row.
        self.parameter_changes: dict[str, int] = {}
        #: Notifications that came without a row, and whose row was not read.
        self.unread = 0
        #: Unix seconds; ``None`` before the first.
        self.last_notification: float | None = None
        #: The generation in which it last changed: see `SeriesTable.changed_since`.
        self.generation = -1

    def __repr__(self) -> str:
        states = f"{self._connected}/{self._members} connected"
        return f"<SeriesSet {self.device!r} {self.family.label} {self.luid or 'shared'}, {states}>"

    def copy(self) -> SeriesSet:
        """Copy the numbers, to be read without the lock."""
        new = object.__new__(SeriesSet)
        new.family, new.device, new.luid, new.index = (
            self.family,
            self.device,
            self.luid,
            self.index,
        )
        new.interface, new.since = self.interface, self.since
        new.notifications = self.notifications.copy()
        new.connections = self.connections
        new.disconnections = self.disconnections.copy()
        new.unobserved = self.unobserved.copy()
        new._members, new._offset = self._members, self._offset
        new._connected, new._connected_offset = self._connected, self._connected_offset
        new.parameter_changes = self.parameter_changes.copy()
        new.unread = self.unread
        new.last_notification = self.last_notification
        new.generation = self.generation
        return new

    @property
    def transitions(self) -> list[int]:
        """Transitions that a notification showed, by the value of Connected that began."""
        return [sum(self.disconnections), self.connections]

    @property
    def shared(self) -> bool:
        """Whether several interfaces may be behind it: there is no row, only sums."""
        return not self.luid

    @property
    def empty(self) -> bool:
        """Whether no interface is behind it now."""
        return not self._members

    def add_member(self, at: int, *, connected: bool) -> None:
        """Begin the time of an interface in a state, `at` an instant in nanoseconds."""
        self.since = at
        self._members += 1
        self._offset -= at
        if connected:
            self._connected += 1
            self._connected_offset -= at

    def remove_member(self, at: int, *, connected: bool) -> None:
        """End the time of an interface in a state, `at` an instant in nanoseconds."""
        self._members -= 1
        self._offset += at
        if connected:
            self._connected -= 1
            self._connected_offset += at

    def change_state(self, at: int, *, connected: bool) -> None:
        """Move an interface to the other state, `at` an instant in nanoseconds."""
        self.since = at
        if connected:
            self._connected += 1
            self._connected_offset -= at
        else:
            self._connected -= 1
            self._connected_offset += at

    def growing(self, *, connected: bool) -> bool:
        """Return whether time passes in a state."""
        return (self._connected if connected else self._members - self._connected) > 0

    def seconds(self, instant: float, *, connected: bool) -> float:
        """Return the time in a state up to `instant`, of all interfaces together, in seconds."""
        return seconds_at(self.growth(connected=connected), nanoseconds(instant))

    def growth(self, *, connected: bool) -> Growth:
        """Return how the time in a state grows."""
        if connected:
            return self._connected_offset, self._connected
        return self._offset - self._connected_offset, self._members - self._connected

    def present_state_seconds(self, instant: float) -> float | None:
        """Return how long the state has lasted; ``None`` without one interface that has it."""
        if self.interface is None:
            return None
        return max(0, nanoseconds(instant) - self.since) / 1e9


def nanoseconds(instant: float) -> int:
    """Convert an instant in seconds to a whole number."""
    return round(instant * 1e9)


def seconds_at(growth: Growth, nanosecond: int) -> float:
    """Return the time in a state up to an instant, in seconds."""
    offset, rate = growth
    return max(0, offset + rate * nanosecond) / 1e9


#: Letters that OpenMetrics allows for the labels of an exemplar and their names.
EXEMPLAR_LETTERS = 128


class Exemplar(NamedTuple):
    """One of the values that a histogram counts, and which device it is of."""

    device: str
    seconds: float
    #: Unix seconds.
    time: float
    #: The trace that has its notification; ``None`` where no traces are pushed.
    trace_id: int | None = None

    @property
    def labels(self) -> dict[str, str]:
        """The labels; the device is cut off where OpenMetrics allows no more."""
        trace = {} if self.trace_id is None else {"trace_id": f"{self.trace_id:032x}"}
        taken = len("device") + sum(len(name) + len(value) for name, value in trace.items())
        return {"device": self.device[: EXEMPLAR_LETTERS - taken]} | trace


class Histogram:
    """Counts by upper bound, as Prometheus has them. Unit: seconds."""

    __slots__ = ("_counts", "_exemplars", "bounds", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        # The last one of each bucket, as a tuple: an `Exemplar` for each costs four times that.
        self._exemplars: list[tuple[str, float, float, int | None] | None]
        self._exemplars = [None] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Add a value."""
        self._counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds

    def observe_of(self, device: str, seconds: float, time: float, trace_id: int | None) -> None:
        """Add a value and keep it as an `Exemplar`; `time` is in Unix seconds."""
        bucket = bisect_left(self.bounds, seconds)
        self._counts[bucket] += 1
        self.sum += seconds
        self._exemplars[bucket] = device, seconds, time, trace_id

    @property
    def exemplars(self) -> list[Exemplar | None]:
        """The last exemplar of each bucket."""
        return [kept and Exemplar(*kept) for kept in self._exemplars]

    def observe_all(self, seconds: list[float]) -> None:
        """Add values in ascending order: those of one bucket cost as much as one value."""
        self.sum += sum(seconds)
        begin = 0
        while begin < len(seconds):
            bucket = bisect_left(self.bounds, seconds[begin])
            last = bucket == len(self.bounds)
            end = len(seconds) if last else bisect_right(seconds, self.bounds[bucket], begin)
            self._counts[bucket] += end - begin
            begin = end

    def cumulative(self) -> list[tuple[str, int]]:
        """Return (upper bound as a label value, values up to it), ending with ``+Inf``."""
        total = 0
        rows = []
        bounds = [str(float(bound)) for bound in self.bounds]
        for bound, count in zip((*bounds, "+Inf"), self._counts, strict=True):
            total += count
            rows.append((bound, total))
        return rows
