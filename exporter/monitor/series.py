"""The numbers under one label set: what is published about an interface, or about a group."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

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
        "index",
        "interface",
        "last_notification",
        "luid",
        "notifications",
        "parameter_changes",
        "since",
        "unobserved",
        "version",
    )

    def __init__(self, family: Family, device: str, luid: int | None, index: int | None) -> None:
        self.family = family
        self.device = device
        #: Label values; empty where several interfaces share the series.
        self.luid = "" if luid is None else format_luid(luid)
        self.index = "" if index is None else str(index)
        #: The row, while the interface exists and has the series to itself.
        self.interface: Interface | None = None
        #: When it entered its present state; of no meaning where several share the series.
        self.since = 0.0
        #: By NotificationType.
        self.notifications = [0] * len(COUNTED_TYPES)
        #: Transitions that a notification showed; disconnections by `Cause`.
        self.connections = 0
        self.disconnections = [0] * len(Cause)
        self.unobserved = [0, 0]
        #: Time up to an instant is ``offset + members * instant``: whoever enters takes the
        #: instant off, whoever leaves gives it back. One addition, for any number. Once for
        #: the time of all members, and once for that of those which are connected. In whole
        #: nanoseconds: a sum that rounds would fall now and then, and a counter must not.
        self._members = self._connected = 0
        self._offset = self._connected_offset = 0
        self.parameter_changes: dict[str, int] = {}
        #: Unix seconds; ``None`` before the first.
        self.last_notification: float | None = None
        #: During which reading it last changed: see `State.changed_since`.
        self.version = -1

    def copy(self) -> SeriesSet:
        """The same numbers in an object of their own, to be read without the lock."""
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
        new.last_notification = self.last_notification
        new.version = self.version
        return new

    @property
    def transitions(self) -> list[int]:
        """Transitions that a notification showed, by the value of Connected that began."""
        return [sum(self.disconnections), self.connections]

    @property
    def shared(self) -> bool:
        """Several interfaces may be behind it: there is no row, only sums."""
        return not self.luid

    @property
    def empty(self) -> bool:
        """No interface is behind it now."""
        return not self._members

    def enter(self, connected: bool, instant: float) -> None:
        """An interface begins to be connected, or disconnected."""
        at = nanoseconds(instant)
        self._members += 1
        self._offset -= at
        if connected:
            self._connected += 1
            self._connected_offset -= at

    def leave(self, connected: bool, instant: float) -> None:
        """An interface ends to be connected, or disconnected."""
        at = nanoseconds(instant)
        self._members -= 1
        self._offset += at
        if connected:
            self._connected -= 1
            self._connected_offset += at

    def turn(self, connected: bool, instant: float) -> None:
        """Move an interface to the other state."""
        if connected:
            self._connected += 1
            self._connected_offset -= nanoseconds(instant)
        else:
            self._connected -= 1
            self._connected_offset += nanoseconds(instant)
        self.since = instant

    def growing(self, connected: bool) -> bool:
        """Whether time passes in this state."""
        return (self._connected if connected else self._members - self._connected) > 0

    def seconds(self, connected: bool, instant: float) -> float:
        """Return the time in a state up to `instant`, of all interfaces together, in seconds."""
        return seconds_at(self.growth(connected), nanoseconds(instant))

    def growth(self, connected: bool) -> Growth:
        """Return how the time in a state grows."""
        if connected:
            return self._connected_offset, self._connected
        return self._offset - self._connected_offset, self._members - self._connected

    def present_state_seconds(self, instant: float) -> float | None:
        """How long the interface has been as it is; ``None`` if it does not exist or is many."""
        return None if self.interface is None else max(0.0, instant - self.since)


def nanoseconds(instant: float) -> int:
    """An instant in seconds, as a whole number."""
    return round(instant * 1e9)


def seconds_at(growth: Growth, nanosecond: int) -> float:
    """Return the time in a state up to an instant, in seconds."""
    offset, rate = growth
    return max(0, offset + rate * nanosecond) / 1e9


class Histogram:
    """Counts by upper bound, the way Prometheus wants them. Unit: seconds."""

    __slots__ = ("_counts", "bounds", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """One more value."""
        self._counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds

    def observe_all(self, seconds: list[float]) -> None:
        """More values, in ascending order: those of one bucket cost as much as one value."""
        self.sum += sum(seconds)
        begin = 0
        while begin < len(seconds):
            bucket = bisect_left(self.bounds, seconds[begin])
            last = bucket == len(self.bounds)
            end = len(seconds) if last else bisect_right(seconds, self.bounds[bucket], begin)
            self._counts[bucket] += end - begin
            begin = end

    def cumulative(self) -> list[tuple[str, int]]:
        """(upper bound as a label value, values up to it), ending with ``+Inf``."""
        total = 0
        rows = []
        bounds = [str(float(bound)) for bound in self.bounds]
        for bound, count in zip((*bounds, "+Inf"), self._counts, strict=True):
            total += count
            rows.append((bound, total))
        return rows
