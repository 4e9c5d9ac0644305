"""The data of the landing page, and how it is read from a snapshot."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from heapq import nsmallest

from exporter.metrics.snapshot import Snapshot, locked_snapshot
from exporter.model import FAMILIES, Cause, LinkStatus, Notification
from exporter.monitor import describe
from exporter.monitor.history import DisplayState, InterfaceHistory, StateChange, display_state
from exporter.monitor.series import SeriesSet
from exporter.site.timeline import Window

#: The bars move by one part in so many when nothing changes.
_STEPS = 240
#: Rows of each of the two tables of interfaces, so that the page is below 200 kB.
MAX_ROWS = 60


@dataclass(frozen=True, slots=True)
class InterfaceLine:
    """A row of the table: an IP interface. Numbers count from the start of the exporter."""

    device: str
    #: ``ipv4`` or ``ipv6``.
    family: str
    #: As in the labels, decimal and hexadecimal; empty if several interfaces share the row.
    index: str
    luid: str
    #: ``None``: the interface was deleted, or several share the row.
    connected: bool | None
    #: It is administratively down. `reason`: why it is disconnected otherwise, if known.
    switched_off: bool
    reason: str
    notifications: int
    transitions: int
    #: The time in the present state. ``None``: unknown.
    state_seconds: float | None


@dataclass(frozen=True, slots=True)
class FamilyCount:
    """The numbers of IP interfaces of a family."""

    family: str
    interfaces: int
    connected: int


@dataclass(frozen=True, slots=True)
class LandingData:
    """The data of the page at `time`, in Unix seconds."""

    time: float
    version: str
    backend: str
    #: The network namespace (Linux), or "".
    namespace: str
    #: The system confirmed that it will send notifications.
    confirmed: bool
    #: How often notifications were lost; ``None``: the source cannot know.
    overruns: int | None
    families: Sequence[FamilyCount] = ()
    #: Those that changed within the window, and hardware.
    interfaces: Sequence[InterfaceLine] = ()
    host: str = ""
    window: Window = field(default_factory=lambda: Window(3600.0, 0.0, 0.0))
    #: Of the interfaces that changed within the window.
    histories: Sequence[InterfaceHistory] = ()
    #: The states of those links and of hardware, by device and family.
    present: Mapping[str, Mapping[str, DisplayState]] = field(default_factory=dict)
    #: The latest changes, the oldest first: notification, device, what changed.
    latest: Sequence[tuple[Notification, str, StateChange]] = ()
    #: The other interfaces, which are quiet and virtual.
    quiet: Sequence[InterfaceLine] = ()
    #: How many more there are of both, unless everything is shown.
    more_interfaces: int = 0
    more_quiet: int = 0
    everything: bool = False


class LandingSource:
    """Reads the data of the landing page. Thread: any."""

    def __init__(self, read: Callable[[], Snapshot], wall: Callable[[], float]) -> None:
        """Set up. `wall` returns the Unix time that belongs to a snapshot."""
        self._read = read
        self._wall = wall

    def version(self, range_seconds: float) -> str:
        """Return what changes with the content of the page, and as the bars move."""
        with locked_snapshot(self._read) as snapshot:
            state, health = snapshot.state, snapshot.health
            latest = state.history.latest
            facts = (
                latest[-1][0].instant if latest else 0.0,
                sum(map(sum, state.churn.values())),
                sum(state.inferred),
                sum(state.existing.values()),
                health.up,
                health.overruns,
                self._wall() // (range_seconds / _STEPS),
            )
        return blake2b(repr(facts).encode(), digest_size=8).hexdigest()

    def data(self, range_seconds: float, *, everything: bool = False) -> LandingData:
        """Return the data of the page now; `everything`: without a limit of interfaces."""
        with locked_snapshot(self._read) as snapshot:
            state, health, build = snapshot.state, snapshot.health, snapshot.build
            time, instant = self._wall(), snapshot.instant
            begin = instant - range_seconds
            histories = [h.copy() for h in state.history.interfaces if h.latest >= begin]
            changed = {history.device for history in histories}
            first: list[SeriesSet] = []
            quiet: list[SeriesSet] = []
            present: dict[str, dict[str, DisplayState]] = {}
            for series in state.series_sets:
                if series.device in changed or not _is_virtual(series):
                    first.append(series)
                    if series.interface is not None:
                        states = present.setdefault(series.device, {})
                        states[series.family.label] = display_state(series.interface)
                else:
                    quiet.append(series)
            limit = len(first) + len(quiet) if everything else MAX_ROWS
            return LandingData(
                time=time,
                version=build.version,
                backend=build.backend,
                namespace=build.namespace or "",
                confirmed=health.up,
                overruns=health.overruns,
                families=[
                    FamilyCount(f.label, state.existing[f], state.connected[f]) for f in FAMILIES
                ],
                interfaces=[_line(series, instant) for series in nsmallest(limit, first, _order)],
                quiet=[_line(series, instant) for series in nsmallest(limit, quiet, _order)],
                more_interfaces=max(0, len(first) - limit),
                more_quiet=max(0, len(quiet) - limit),
                host=platform.node(),
                window=Window(range_seconds, instant, time, state.history.since),
                histories=histories,
                present=present,
                latest=[
                    (n, n.interface.link.name if n.interface else device, change)
                    for n, device, change in state.history.latest
                ],
                everything=everything,
            )


def _order(series: SeriesSet) -> tuple[int, str, str, str]:
    """Return where a series set stands in the table: what changed most often comes first."""
    return -sum(series.transitions), series.device, series.family.label, series.luid


def _is_virtual(series: SeriesSet) -> bool:
    """Return whether an interface is made by software."""
    row = series.interface
    return bool(row and (row.link.kind or row.link.type == _LOOPBACK))


_LOOPBACK = 24  # ifType softwareLoopback


def _line(series: SeriesSet, instant: float) -> InterfaceLine:
    row = series.interface
    status = row.status if row else LinkStatus()
    return InterfaceLine(
        device=series.device,
        family=series.family.label,
        index=series.index,
        luid=series.luid,
        connected=row.parameters.connected if row else None,
        switched_off=status.cause is Cause.ADMINISTRATIVE,
        reason=describe.reason(status),
        notifications=sum(series.notifications),
        transitions=sum(series.transitions),
        state_seconds=series.present_state_seconds(instant),
    )
