"""The first row: what matters at a glance."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from host.labels import availability, disconnections, one
from parts.frame import row
from parts.looks import AGENT_STATE, AVAILABILITY, COUNT, NONE_IS_GOOD
from parts.panels import figure, now
from parts.promql import HOST, INTERFACE, RANGE

LAST = "ip_interface_last_notification_timestamp_seconds"


def at_a_glance(board: dashboard.Dashboard) -> None:
    """Add what matters at a glance."""
    scraped, confirmed = HOST.select("up"), HOST.select("ip_interface_exporter_source_up")
    connected = one("ip_interface_connected")
    row(
        board,
        "At a glance",
        figure(
            "Agent",
            "Down: Prometheus cannot scrape it. Not confirmed: the system has not said that it "
            "will send notifications. In both cases what is below may be wrong.",
            "none",
            now(f"max({scraped}) + (max({confirmed}) or vector(0))", "agent"),
            words=AGENT_STATE,
        ),
        figure(
            "Interfaces",
            "Chosen interfaces that are connected, of those that exist.",
            COUNT,
            now(f"sum({connected})", "connected"),
            now(f"count({connected})", "exist"),
        ),
        figure(
            "Availability",
            "Connected time as a part of this range, of the chosen interface with the least; "
            "those never connected in it are left out.",
            "percentunit",
            now(f"min({availability(RANGE)} > 0)", "lowest"),
            limits=AVAILABILITY,
        ).decimals(3),
        figure(
            "Disconnections",
            "Times in this range that a chosen interface lost its connection, those included "
            "that no notification showed; not what somebody switched off.",
            COUNT,
            now(f"sum({disconnections()})", "disconnections"),
        ),
        figure(
            "Last notification",
            "When the last notification of a chosen interface came.",
            "dateTimeFromNow",
            now(f"1000 * max({HOST.select(LAST, INTERFACE)})", "last"),
        ).no_value("none"),
        figure(
            "Losses",
            "Notifications of this range known to be lost. The agent then read all interfaces "
            "again; Agent, at the end, shows when.",
            COUNT,
            now(
                f"sum({HOST.increase('ip_interface_exporter_dropped_notifications_total', RANGE)})",
                "dropped",
            ),
            limits=NONE_IS_GOOD,
        ),
    )
