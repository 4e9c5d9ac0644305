"""The first row: what a glance must tell."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from host.labels import OF_INTERFACE
from parts.frame import row
from parts.looks import AVAILABILITY, CONFIRMED, COUNT, NONE_IS_GOOD
from parts.panels import figure, now
from parts.promql import FAMILY, INTERFACE, RANGE, availability, disconnections, increase, select

LAST = "ip_interface_last_notification_timestamp_seconds"


def at_a_glance(board: dashboard.Dashboard) -> None:
    """What a glance must tell."""
    row(
        board,
        "At a glance",
        figure(
            "Source",
            "Whether the system confirmed to the agent that it will send notifications. Not "
            "confirmed: nothing below can be trusted.",
            "none",
            now(f"min({select('ip_interface_exporter_source_up')})", "source"),
            words=CONFIRMED,
        ),
        figure(
            "IP interfaces",
            "IP interfaces of the chosen families that are connected, of those that exist.",
            COUNT,
            now(f"sum({select('ip_interfaces_connected', FAMILY)})", "connected"),
            now(f"sum({select('ip_interfaces', FAMILY)})", "exist"),
        ),
        figure(
            "Lowest availability",
            "Connected time as a part of this range, of the chosen interface with the least; "
            "those never connected in it are left out.",
            "percentunit",
            now(f"min({availability(OF_INTERFACE, RANGE, INTERFACE)} > 0)", "lowest"),
            limits=AVAILABILITY,
        ).decimals(3),
        figure(
            "Disconnections",
            "Times in this range that a chosen interface lost its connection, those included "
            "that no notification showed.",
            COUNT,
            now(f"sum({disconnections(OF_INTERFACE, RANGE, INTERFACE)})", "disconnections"),
        ),
        figure(
            "Last notification",
            "When the last notification of a chosen interface came.",
            "dateTimeFromNow",
            now(f"1000 * max({select(LAST, INTERFACE)})", "last"),
        ),
        figure(
            "Losses",
            "Notifications of this range known to be lost. The agent then read all interfaces "
            "again; Agent, at the end, shows when.",
            COUNT,
            now(
                f"sum({increase('ip_interface_exporter_dropped_notifications_total', RANGE)})",
                "dropped",
            ),
            limits=NONE_IS_GOOD,
        ),
    )
