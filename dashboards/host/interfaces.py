"""Each interface in figures."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from host.labels import (
    NAME,
    NAMES,
    NOTIFICATIONS,
    OF_INTERFACE,
    TRANSITIONS,
    UNOBSERVED,
    one,
    polled,
)
from parts.frame import row
from parts.looks import AVAILABILITY, CONNECTED, COUNT, nothing
from parts.panels import bars, graph, over_time
from parts.promql import (
    FAMILY,
    INTERFACE,
    RANGE,
    RATE,
    availability,
    by,
    disconnections,
    increase,
    increase_since_birth,
    per_minute,
    seconds,
    select,
)
from parts.tables import Column, listing

LAST = "ip_interface_last_notification_timestamp_seconds"


def grown(metric: str) -> str:
    """How much a counter grew in the range, by interface."""
    return by(OF_INTERFACE, increase(metric, RANGE, INTERFACE))


def interfaces(board: dashboard.Dashboard) -> None:
    """Each interface in figures."""
    disconnected = seconds(OF_INTERFACE, RANGE, 'state="disconnected"', INTERFACE)
    lost = disconnections(OF_INTERFACE, RANGE, INTERFACE)
    happened = by(
        OF_INTERFACE,
        f"{increase(TRANSITIONS, RANGE, INTERFACE)} + {increase(UNOBSERVED, RANGE, INTERFACE)}",
    )
    missed = f"clamp_min({happened} - {by(OF_INTERFACE, polled(RANGE))}, 0)"
    row(
        board,
        "Interfaces",
        listing(
            "Interfaces",
            "Each interface in this range. Missed by polling: changes of connection that a "
            "scraped gauge did not show. Mean outage: time disconnected by disconnections. An "
            "interface that is gone stays for as long as the agent keeps its counters.",
            NAMES,
            [
                Column("State", one("ip_interface_connected"), words=(CONNECTED, nothing("gone"))),
                Column(
                    "Availability",
                    availability(OF_INTERFACE, RANGE, INTERFACE),
                    "percentunit",
                    3,
                    AVAILABILITY,
                    (nothing("–"),),
                ),
                Column("Disconnected for", disconnected, "s", 1),
                Column("Disconnections", lost, COUNT, 0),
                Column("Mean outage", f"{disconnected} / {lost}", "s", 1, words=(nothing("–"),)),
                Column("Transitions", grown(TRANSITIONS), COUNT, 0),
                Column("Unobserved", grown(UNOBSERVED), COUNT, 0),
                Column("Missed by polling", missed, COUNT, 0),
                Column(
                    "Notifications",
                    by(OF_INTERFACE, increase_since_birth(NOTIFICATIONS, RANGE, INTERFACE)),
                    COUNT,
                    0,
                ),
                Column(
                    "Last notification",
                    f"1000 * max by ({OF_INTERFACE}) ({select(LAST, INTERFACE)})",
                    "dateTimeFromNow",
                ),
            ],
            (24, 10),
            sort_by="Disconnections",
        ),
        graph(
            "Availability",
            "Connected time as a part of each step. It is counted between scrapes too: an outage "
            "of a second shows.",
            "percentunit",
            over_time(availability(OF_INTERFACE, RATE, INTERFACE), NAME),
            floor=None,
        )
        .axis_soft_min(0.99)
        .max(1),
        bars(
            graph(
                "Notifications by type",
                "Notifications a minute of the chosen families: added, deleted, or changed. Of "
                "all devices, for those that come and go between two scrapes count too.",
                "cpm",
                over_time(by("type", per_minute("ip_interface_churn_total", FAMILY)), "{{type}}"),
            )
        ),
    )
