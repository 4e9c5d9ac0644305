"""The interfaces to look at first, and those that began to forward."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from fleet.labels import INTERFACE, OF_HOST, OF_INTERFACE, TO_INTERFACE
from parts.frame import row
from parts.looks import AVAILABILITY, COUNT, SWITCHED_ON, nothing
from parts.panels import graph, over_time, steps
from parts.promql import (
    RANGE,
    availability,
    by,
    disconnections,
    increase_since_birth,
    seconds,
    select,
)
from parts.tables import Column, listing


def among(expression: str, ranking: str) -> str:
    """Of an expression by interface only the interfaces of a ranking."""
    return f"({expression}) and on ({OF_INTERFACE}) {ranking}"


def worst(board: dashboard.Dashboard) -> None:
    """The interfaces to look at first."""
    lost = disconnections(OF_INTERFACE, RANGE)
    flapping = f"topk(10, {lost} > 0)"
    available = availability(OF_INTERFACE, RANGE)
    poorest = f"bottomk(10, ({available}) > 0 < 1)"
    disconnected = seconds(OF_INTERFACE, RANGE, 'state="disconnected"')
    row(
        board,
        "Worst interfaces",
        listing(
            "Most disconnections",
            "The ten IP interfaces that lost their connection most often in this range, those "
            "flaps included that no notification showed and no polled gauge can show. Empty: "
            "none did.",
            INTERFACE,
            [
                Column("Disconnections", flapping, COUNT, 0, limits=((None, "orange"),)),
                Column("Availability", among(available, flapping), "percentunit", 3, AVAILABILITY),
                Column(
                    "Mean outage",
                    among(f"{disconnected} / {lost}", flapping),
                    "s",
                    1,
                    words=(nothing("–"),),
                ),
                Column(
                    "Notifications",
                    among(
                        by(
                            OF_INTERFACE,
                            increase_since_birth("ip_interface_notifications_total", RANGE),
                        ),
                        flapping,
                    ),
                    COUNT,
                    0,
                ),
            ],
            (12, 10),
            sort_by="Disconnections",
            links=TO_INTERFACE,
        ),
        listing(
            "Lowest availability",
            "The ten IP interfaces that were connected for the smallest part of this range. Those "
            "never connected in it are left out: most are unused ports. Empty: all were "
            "connected all the time.",
            INTERFACE,
            [
                Column("Availability", poorest, "percentunit", 3, AVAILABILITY),
                Column("Disconnected for", among(disconnected, poorest), "s", 1),
                Column("Disconnections", among(lost, poorest), COUNT, 0),
            ],
            (12, 10),
            sort_by="Availability",
            ascending=True,
            links=TO_INTERFACE,
        ),
    )


def forwarding(board: dashboard.Dashboard) -> None:
    """A host that forwards is a router, wanted or not."""
    changed = by(
        OF_INTERFACE,
        increase_since_birth(
            "ip_interface_parameter_changes_total", RANGE, 'parameter="forwarding_enabled"'
        ),
    )
    state = f"max by ({OF_INTERFACE}) ({select('ip_interface_forwarding_enabled')})"
    row(
        board,
        "Forwarding",
        steps(
            graph(
                "IP interfaces that forward",
                "How many IP interfaces of each host forward packets. A step up on a host that "
                "is no router deserves a question.",
                "short",
                over_time(
                    by(OF_HOST, select("ip_interface_forwarding_enabled")) + " > 0", "{{instance}}"
                ),
            )
        ),
        listing(
            "Forwarding switched",
            "IP interfaces whose forwarding was switched in this range, on or off, however "
            "briefly. Empty: none was.",
            INTERFACE,
            [
                Column("Switched", f"{changed} > 0", COUNT, 0),
                Column("Now", among(state, f"{changed} > 0"), words=(SWITCHED_ON, nothing("gone"))),
            ],
            (12, 8),
            sort_by="Switched",
            links=TO_INTERFACE,
        ),
    )
