"""The first row: what a glance must tell."""

from __future__ import annotations

from grafana_foundation_sdk.builders import common, dashboard

from fleet.labels import MINUTE, OF_HOST, OF_INTERFACE, SCRAPED, of_agents, together
from parts.frame import row
from parts.looks import COUNT, NONE_IS_GOOD
from parts.panels import figure, now, over_time
from parts.promql import RANGE, RATE, disconnections, increase, select


def total(metric: str, *matchers: str) -> str:
    """How much a counter grew in the range on all hosts."""
    return f"sum({increase(metric, RANGE, *matchers)})"


def at_a_glance(board: dashboard.Dashboard) -> None:
    """What a glance must tell: agents, connections, churn, losses."""
    existing, connected = (
        f"sum({select(name)})" for name in ("ip_interfaces", "ip_interfaces_connected")
    )
    row(
        board,
        "At a glance",
        figure(
            "Agents not heard",
            "Down: Prometheus cannot scrape the agent. Deaf: the system has not confirmed that it "
            "will send notifications. Both should be 0; Agents, below, names them.",
            COUNT,
            now(f"sum({of_agents(f'1 - {SCRAPED}')})", "down"),
            now(f"sum(1 - {select('ip_interface_exporter_source_up')})", "deaf"),
            limits=NONE_IS_GOOD,
        ),
        figure(
            "IP interfaces",
            "IP interfaces (one family on one link) that are connected now, and those that exist "
            "but are not.",
            COUNT,
            now(connected, "connected"),
            now(f"{existing} - {connected}", "disconnected"),
        ),
        figure(
            "Notifications",
            "Everything the systems said of their IP interfaces in this range, those included "
            "that are gone or beyond the series limit.",
            COUNT,
            now(total("ip_interface_churn_total"), "notifications"),
        ),
        figure(
            "Disconnections",
            "Times in this range that an IP interface lost its connection, those included that "
            "no notification showed.",
            COUNT,
            now(f"sum({disconnections(OF_INTERFACE, RANGE)})", "disconnections"),
        ),
        figure(
            "Hosts that churned together",
            "The most hosts that had a disconnection within the same minute of this range. More "
            "than a few: look for what they share, a switch or a power feed.",
            COUNT,
            over_time(together(disconnections(OF_HOST, RATE)), "hosts"),
            limits=((None, "green"), (3, "orange"), (10, "red")),
        )
        .interval(MINUTE)
        .reduce_options(common.ReduceDataOptions().calcs(["max"])),
        figure(
            "Losses",
            "Overruns: an agent did not receive fast enough. Dropped: notifications known to be "
            "lost. The agents then read all interfaces again.",
            COUNT,
            now(total("ip_interface_exporter_source_overruns_total"), "overruns"),
            now(total("ip_interface_exporter_dropped_notifications_total"), "dropped"),
            limits=NONE_IS_GOOD,
        ),
    )
