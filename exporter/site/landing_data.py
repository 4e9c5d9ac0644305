"""What the landing page says, read from the state."""

from __future__ import annotations

import platform
from collections.abc import Callable

from exporter.metrics.snapshot import Snapshot, snapshot
from exporter.model import FAMILIES
from exporter.monitor.series import SeriesSet
from exporter.site.landing import FamilyCount, InterfaceLine, LandingData


def landing_data(read: Callable[[], Snapshot], time: float) -> LandingData:
    """Return the data of the page now; `time` is the same moment in Unix seconds."""
    with snapshot(read) as taken:
        state, health, build = taken.state, taken.health, taken.build
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
            interfaces=[_line(series, taken.instant) for series in state.series()],
            host=platform.node(),
        )


def _line(series: SeriesSet, instant: float) -> InterfaceLine:
    row = series.interface
    return InterfaceLine(
        device=series.device,
        family=series.family.label,
        index=series.index,
        luid=series.luid,
        connected=row.parameters.connected if row else None,
        notifications=sum(series.notifications),
        transitions=sum(series.transitions),
        state_seconds=series.present_state_seconds(instant),
    )
