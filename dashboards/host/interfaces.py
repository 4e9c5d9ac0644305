"""Each interface in figures."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from host.labels import (
    COUNTED,
    NAME,
    NAMES,
    NOTIFICATIONS,
    OF_INTERFACE,
    TO_THIS_DEVICE,
    availability,
    disconnected_for,
    disconnections,
    fallen,
    most,
    polled,
    state,
    switched_off,
)
from parts.frame import row
from parts.looks import AVAILABILITY, COUNT, GONE, STATE, nothing
from parts.panels import bars, graph, over_time
from parts.promql import FAMILY, HOST, INTERFACE, RANGE, RATE, by, ever
from parts.tables import Column, listing

LAST = "ip_interface_last_notification_timestamp_seconds"


def interfaces(board: dashboard.Dashboard) -> None:
    """Add each interface in figures."""
    down, lost = disconnected_for(RANGE), disconnections()
    mean = f"{down} / ({lost} > 0.5) unless on ({COUNTED}) ({switched_off()} > 0.5)"
    # An interface that no poll has seen has no gauge: its disconnections were all missed.
    shown = f"({polled(RANGE)} or 0 * {fallen()})"
    notified = by(OF_INTERFACE, HOST.increase_or_new(NOTIFICATIONS, RANGE, INTERFACE))
    row(
        board,
        "Interfaces",
        listing(
            "Figures by interface",
            "Each interface in this range. Disconnected: for how long, switched off or not. Times: "
            "disconnections that nobody meant, those included that no notification showed. Off: "
            "times that somebody switched it off. Mean outage: time by times, of what was not. "
            "Polls missed: disconnections, meant or not, that a scraped gauge did not show. Quiet "
            "for: since the last notification. An interface that is gone stays for as long as the "
            "agent keeps its counters.",
            NAMES,
            [
                Column("State", state(), words=(STATE, GONE)),
                Column(
                    "Availability",
                    availability(RANGE),
                    "percentunit",
                    3,
                    AVAILABILITY,
                    (nothing("–"),),
                ),
                Column("Disconnected", down, "s", 1),
                Column("Times", lost, COUNT, 0),
                Column("Off", switched_off(), COUNT, 0),
                Column("Mean outage", mean, "s", 1, words=(nothing("–"),)),
                Column("Polls missed", f"clamp_min({fallen()} - {shown}, 0)", COUNT, 0),
                Column("Notified", by(COUNTED, notified), COUNT, 0),
                Column(
                    "Quiet for",
                    f"time() - {most(HOST.select(LAST, INTERFACE))}",
                    "s",
                    0,
                    words=(nothing("–"),),
                ),
            ],
            (24, 8),
            sort_by="Times",
            links=TO_THIS_DEVICE,
        ),
        graph(
            "Availability over time",
            "Connected time as a part of each step, of the ten interfaces that were disconnected "
            "for the longest in this range. It is counted between scrapes too: an outage of a "
            "second shows.",
            "percentunit",
            over_time(f"{availability(RATE)} and on ({COUNTED}) topk(10, {ever(down)} > 0)", NAME),
            floor=None,
            empty="Nothing was disconnected.",
        )
        .axis_soft_min(0.99)
        .max(1),
        bars(
            graph(
                "Notifications by type",
                "Notifications a minute of the chosen families: added, deleted, or changed. Of "
                "all devices, for those that come and go between two scrapes count too. One flap "
                "is two in each family.",
                "cpm",
                over_time(
                    by("type", HOST.per_minute("ip_interface_churn_total", FAMILY)), "{{type}}"
                ),
            )
        ),
    )
