"""The first row: what matters at a glance."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models

from fleet.labels import CHURN, RECENTLY_LOST, most_together
from parts.frame import AGENT, row
from parts.looks import COUNT, NONE_IS_GOOD
from parts.panels import figure, now
from parts.promql import HOSTS, IPV4, NOT_IPV6, OF_DEVICE, OF_HOST, RANGE

OVERRUNS = "ip_interface_exporter_source_overruns_total"
DROPPED = "ip_interface_exporter_dropped_notifications_total"


def of_agents(expression: str) -> str:
    """Keep what is about our agents, not about other targets of a job."""
    return f"({expression}) and on ({OF_HOST}) last_over_time({HOSTS.select(AGENT)}[{RANGE}])"


def at_a_glance(board: dashboard.Dashboard) -> None:
    """Add agents, connections, churn and losses."""
    connected = (
        f"max by ({OF_DEVICE}) ({HOSTS.select('ip_interface_connected', IPV4)}) "
        f"and on ({OF_DEVICE}) {HOSTS.select('$interfaces', NOT_IPV6)}"
    )
    missing = f"1 - {HOSTS.select('up')}"
    lost = f"max_over_time({HOSTS.select(RECENTLY_LOST)}[{RANGE}]) > 0"
    interfaces = figure(
        "Interfaces",
        "Devices that are connected now, by their IPv4, and those that exist but are not: unused "
        "ports too.",
        COUNT,
        # Both in one query, which looks at each interface of the fleet.
        now(f'sort_desc(count_values("connected", {connected}))', "{{connected}}"),
        size=(5, 4),
    )
    # A number alone would not say which of the two it is.
    interfaces.text_mode(common.BigValueTextMode.VALUE_AND_NAME)
    for value, text in (("1", "connected"), ("0", "disconnected")):
        shown = models.DynamicConfigValue(id_val="displayName", value=text)
        interfaces.override_by_name(value, [shown])
    row(
        board,
        "At a glance",
        figure(
            "Agents",
            "Down: Prometheus cannot scrape the agent. Unconfirmed: the system has not confirmed "
            "that it will send notifications. Both should be 0; the row Agents names them.",
            COUNT,
            now(f"sum({of_agents(missing)})", "down"),
            now(f"sum(1 - {HOSTS.select('ip_interface_exporter_source_up')})", "unconfirmed"),
            limits=NONE_IS_GOOD,
            size=(3, 4),
        ),
        interfaces,
        figure(
            "Disconnected",
            "Watched devices that lost their connection in this range, however briefly, and the "
            "hosts that they are in.",
            COUNT,
            now(f"count({lost}) or vector(0)", "devices"),
            now(f"count(count by ({OF_HOST}) ({lost})) or vector(0)", "hosts"),
        ),
        figure(
            "Hosts at once",
            "The most hosts of a job of which a watched device lost its connection within two "
            "minutes. More than a few: look for what they share, a switch or a power feed.",
            COUNT,
            now(f"max({most_together(RANGE)}) or vector(0)", "hosts"),
            limits=((None, "green"), (3, "orange"), (5, "red")),
        ),
        figure(
            "Notifications",
            "What the systems said of their IP interfaces in this range, those included that are "
            "gone or beyond the series limit. One flap of one device is four: down and up, in "
            "IPv4 and IPv6.",
            COUNT,
            now(f"sum(increase({HOSTS.select(CHURN)}[{RANGE}]))", "notifications"),
        ),
        figure(
            "Losses",
            "Overruns: an agent did not receive fast enough. Dropped: notifications known to be "
            "lost. The agents then read all interfaces again.",
            COUNT,
            now(f"sum({HOSTS.increase(OVERRUNS, RANGE)})", "overruns"),
            now(f"sum({HOSTS.increase(DROPPED, RANGE)})", "dropped"),
            limits=NONE_IS_GOOD,
        ),
    )
