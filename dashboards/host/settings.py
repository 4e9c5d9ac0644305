"""What was set differently, and when."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from host.labels import NAME, NAMES, OF_INTERFACE, one
from parts.frame import row
from parts.looks import CHANGED, COUNT, SWITCHED_ON
from parts.panels import bars, graph, over_time, steps, timeline
from parts.promql import INTERFACE, RANGE, RATE, by, increase_since_birth, select
from parts.tables import Column, listing

CHANGES = "ip_interface_parameter_changes_total"


def settings(board: dashboard.Dashboard) -> None:
    """What was set differently, and when."""

    def drift(metric: str) -> str:
        before = f"max by ({OF_INTERFACE}) ({select(metric, INTERFACE)} offset {RANGE})"
        return f"{one(metric)} - {before}"

    row(
        board,
        "Settings",
        bars(
            graph(
                "Parameter changes",
                "Members of the interfaces' rows that changed in the few scrapes before a point.",
                "short",
                over_time(
                    by("parameter", increase_since_birth(CHANGES, RATE, INTERFACE)), "{{parameter}}"
                ),
            )
        ),
        listing(
            "Parameters that changed",
            "How often each member of an interface's row changed in this range. Empty: none did.",
            {**NAMES, "parameter": "Parameter"},
            [
                Column(
                    "Changes",
                    by(
                        f"{OF_INTERFACE}, parameter",
                        increase_since_birth(CHANGES, RANGE, INTERFACE),
                    )
                    + " > 0",
                    COUNT,
                    0,
                )
            ],
            (12, 8),
            sort_by="Changes",
        ),
        steps(
            graph(
                "MTU",
                "Maximum transmission unit of each interface, in bytes.",
                "none",
                over_time(one("ip_interface_mtu_bytes"), NAME),
                floor=None,
            )
        ),
        steps(
            graph(
                "Interface metric",
                "The interface's part of the cost of each route through it. Linux has none: this "
                "is about Windows.",
                "none",
                over_time(one("ip_interface_metric"), NAME),
                floor=None,
            )
        ),
        listing(
            "Drift since the beginning of the range",
            "MTU (in bytes) and metric now, and by how much they differ from the beginning of this "
            "range: choose the range to choose what to compare with. Only Windows has metrics.",
            NAMES,
            [
                Column("MTU", one("ip_interface_mtu_bytes")),
                Column("MTU drift", drift("ip_interface_mtu_bytes"), limits=CHANGED),
                Column("Metric", one("ip_interface_metric")),
                Column("Metric drift", drift("ip_interface_metric"), limits=CHANGED),
            ],
            (12, 9),
            sort_by="Device",
            ascending=True,
        ),
        timeline(
            "Forwarding",
            "Whether each interface forwards packets, as scraped.",
            over_time(one("ip_interface_forwarding_enabled"), NAME),
            SWITCHED_ON,
            (12, 9),
        ),
    )
