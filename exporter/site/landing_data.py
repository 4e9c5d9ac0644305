"""Reads the data of the landing page from a snapshot."""

from __future__ import annotations

import platform
from collections.abc import Callable

from exporter.metrics.snapshot import Snapshot, snapshot
from exporter.model import FAMILIES, Cause, LinkStatus, OperStatus
from exporter.monitor.series import SeriesSet
from exporter.site.landing import FamilyCount, InterfaceLine, LandingData


def landing_data(read: Callable[[], Snapshot], time: float) -> LandingData:
    """Return the data of the page now; `time` is the same moment in Unix seconds."""
    with snapshot(read) as current:
        state, health, build = current.state, current.health, current.build
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
            interfaces=[_line(series, current.instant) for series in state.series_sets],
            host=platform.node(),
        )


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
    )
