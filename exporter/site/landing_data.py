"""Reads the data of the landing page from a snapshot."""

from __future__ import annotations

import platform
from collections.abc import Callable
from hashlib import blake2b

from exporter.metrics.snapshot import Snapshot, snapshot
from exporter.model import FAMILIES, Cause, LinkStatus, OperStatus
from exporter.monitor.series import SeriesSet
from exporter.site.landing import FamilyCount, InterfaceLine, LandingData
from exporter.site.timeline import Window

#: The bars move by one part in so many when nothing changes.
_STEPS = 240


class LandingSource:
    """Reads the data of the landing page. Thread: any."""

    def __init__(self, read: Callable[[], Snapshot], wall: Callable[[], float]) -> None:
        """`wall` returns the Unix time that belongs to a snapshot."""
        self._read = read
        self._wall = wall

    def version(self, range_seconds: float) -> str:
        """Return what changes with the content of the page, and as the bars move."""
        with snapshot(self._read) as taken:
            state, health = taken.state, taken.health
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
        """Return the data of the page now."""
        with snapshot(self._read) as taken:
            state, health, build = taken.state, taken.health, taken.build
            time = self._wall()
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
                interfaces=[_line(series, taken.instant) for series in state.series_sets],
                host=platform.node(),
                window=Window(range_seconds, taken.instant, time, state.history.since),
                strips=[
                    strip.copy()
                    for strip in state.history.strips
                    if strip.latest >= taken.instant - range_seconds
                ],
                latest=list(state.history.latest),
                everything=everything,
            )


_LOOPBACK = 24  # ifType softwareLoopback

#: Why a link that is administratively up does not work.
_REASONS = {
    OperStatus.DOWN: "down",
    OperStatus.TESTING: "testing",
    OperStatus.DORMANT: "dormant",
    OperStatus.NOT_PRESENT: "not present",
    OperStatus.LOWER_LAYER_DOWN: "lower layer down",
}


def _line(series: SeriesSet, instant: float) -> InterfaceLine:
    row = series.interface
    status = row.status if row else LinkStatus()
    no_carrier = status.cause is Cause.CARRIER
    return InterfaceLine(
        device=series.device,
        family=series.family.label,
        index=series.index,
        luid=series.luid,
        connected=row.parameters.connected if row else None,
        switched_off=status.cause is Cause.ADMINISTRATIVE,
        reason="no carrier" if no_carrier else _REASONS.get(status.oper_status, ""),
        notifications=sum(series.notifications),
        transitions=sum(series.transitions),
        state_seconds=series.present_state_seconds(instant),
        virtual=bool(row and (row.link.kind or row.link.type == _LOOPBACK)),
    )
