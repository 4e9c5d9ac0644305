"""What was set differently, and when."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from host.labels import COUNTED, NAME, NAMES, OF_INTERFACE, grown, larger_family, most, one
from parts.frame import closed_row
from parts.looks import COUNT, SWITCHED_ON
from parts.panels import bars, graph, over_time, steps, timeline
from parts.promql import HOST, INTERFACE, RANGE, RATE, by
from parts.tables import Column, listing

CHANGES = "ip_interface_parameter_changes_total"
MTU = "ip_interface_mtu_bytes"
METRIC = "ip_interface_metric"
UNREAD = "ip_interface_unread_notifications_total"


def _drifted(title: str, metric: str) -> list[Column]:
    """Return the columns of what differs from the beginning of the range, and by how much."""
    before = f"max by ({COUNTED}) ({HOST.select(metric, INTERFACE)} offset {RANGE})"
    drift = f"({one(metric)} - {before}) != 0"
    return [
        Column("Difference", drift),
        Column(title, f"{one(metric)} and on ({COUNTED}) ({drift})"),
        Column("Before", f"{before} and on ({COUNTED}) ({drift})"),
    ]


def settings(board: dashboard.Dashboard) -> None:
    """Add what was set differently, and when."""
    per_family = by(f"{OF_INTERFACE}, parameter", HOST.increase_or_new(CHANGES, RANGE, INTERFACE))
    changes = f"max by ({COUNTED}, parameter) ({per_family})"
    over_steps = larger_family("parameter", HOST.growth_or_new(CHANGES, RATE, INTERFACE))
    # The loopback's 65,536 would flatten all others.
    existing = most(f"{HOST.select(MTU, INTERFACE)} @ end()")
    loopback = HOST.select("ip_interface_info", 'type="24"')
    closed_row(
        board,
        "Settings",
        bars(
            graph(
                "Parameter changes",
                "Members of the interfaces' rows that changed in each step (a minute or more).",
                "short",
                over_time(f"{over_steps} > 0", "{{parameter}}"),
                empty="No parameter changed.",
            )
        ),
        listing(
            "Parameters that changed",
            "How often each member of an interface's row changed in this range.",
            {**NAMES, "parameter": "Parameter"},
            [Column("Changes", f"{changes} > 0", COUNT, 0)],
            (12, 8),
            sort_by="Changes",
            empty="No parameter changed.",
        ),
        steps(
            graph(
                "MTU",
                "Maximum transmission unit of each interface that exists at the end of the "
                "range, in bytes, without the loopback's.",
                "none",
                over_time(
                    f"{one(MTU)} unless on (device) {loopback} and on ({COUNTED}) {existing}", NAME
                ),
                floor=None,
            )
        ),
        timeline(
            "Forwarding",
            "Whether each interface forwards packets, as scraped.",
            over_time(one("ip_interface_forwarding_enabled"), NAME),
            SWITCHED_ON,
            (12, 8),
        ),
        listing(
            "MTU drift",
            "Interfaces whose MTU (in bytes) differs from that at the beginning of this range: "
            "choose the range to choose what to compare with.",
            NAMES,
            _drifted("MTU", MTU),
            (24, 6),
            sort_by="Device",
            ascending=True,
            empty="No MTU differs.",
        ),
    )


def windows(board: dashboard.Dashboard) -> None:
    """Add what only Windows has."""
    closed_row(
        board,
        "Windows",
        steps(
            graph(
                "Interface metric",
                "The interface's part of the cost of each route through it.",
                "none",
                over_time(one(METRIC), NAME),
                floor=None,
                size=(8, 8),
                empty="The system has no interface metric.",
            )
        ),
        listing(
            "Metric drift",
            "Interfaces whose metric differs from that at the beginning of this range.",
            NAMES,
            _drifted("Metric", METRIC),
            (8, 8),
            sort_by="Device",
            ascending=True,
            empty="No metric differs.",
        ),
        bars(
            graph(
                "Unread notifications",
                "Notifications that came faster than rows can be read, in each step (a minute or "
                "more): a flap among them is not counted as a transition.",
                "short",
                over_time(f"{grown(UNREAD, RATE)} > 0", NAME),
                size=(8, 8),
                empty="Every row was read.",
            )
        ),
    )
