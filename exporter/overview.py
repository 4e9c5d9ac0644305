"""What the landing page says, read from the state."""

from __future__ import annotations

import platform

from exporter.catalogue import Reading
from exporter.model import FAMILIES
from exporter.series import Series
from exporter.web.landing import FamilyCount, InterfaceLine, Overview


def overview(reading: Reading, time: float) -> Overview:
    """The page as of a reading; `time` is the same moment in Unix seconds."""
    state, health, about = reading.state, reading.health, reading.about
    with state.lock:
        return Overview(
            time=time,
            version=about.version,
            backend=about.backend,
            namespace=about.namespace or "",
            confirmed=health.up,
            overruns=health.overruns,
            families=[
                FamilyCount(f.label, state.existing[f], state.connected[f]) for f in FAMILIES
            ],
            interfaces=[_line(series, reading.instant) for series in state.series()],
            host=platform.node(),
        )


def _line(series: Series, instant: float) -> InterfaceLine:
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
