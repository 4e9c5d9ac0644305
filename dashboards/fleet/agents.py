"""Whether the numbers of the fleet can be trusted."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from fleet.glance import DROPPED, OVERRUNS, of_agents
from fleet.labels import HOST, TO_HOST
from parts.frame import AGENT, closed_row
from parts.looks import CONFIRMED, COUNT, LOADED, NONE_IS_GOOD, UP, nothing
from parts.panels import MINUTE, bars, graph, over_time
from parts.promql import (
    DISCONNECTED,
    HOSTS,
    IPV4,
    OF_HOST,
    RANGE,
    RATE,
    UNOBSERVED,
    by,
    ever,
)
from parts.tables import Column, listing

INFERRED = "ip_interface_exporter_inferred_notifications_total"
NAMESPACE = "ip_interface_exporter_namespace_info"
LAG = "ip_interface_exporter_notification_lag_seconds_bucket"


def _gauge(name: str) -> str:
    return f"max by ({OF_HOST}) ({HOSTS.select(f'ip_interface_exporter_{name}')})"


def _bad(title: str, metric: str, *matchers: str) -> Column:
    """Return a column of what should be 0."""
    grown = by(OF_HOST, HOSTS.increase(metric, RANGE, *matchers))
    return Column(title, grown, COUNT, 0, NONE_IS_GOOD, (nothing("–"),))


def _slowest(window: str) -> str:
    """Return the lag that one in a hundred notifications exceeds."""
    return f"histogram_quantile(0.99, {by(f'{OF_HOST}, le', HOSTS.increase(LAG, window))})"


def agents(board: dashboard.Dashboard) -> None:
    """Add whether the numbers above can be trusted."""
    closed_row(
        board,
        "Agents",
        listing(
            "All agents",
            "Each agent: whether it is scraped, whether its system confirmed notifications, and "
            "what it lost in this range. Inferred: changes found by reading the interfaces again. "
            "Over limit: IP interfaces beyond the series limit, which share the device other. Not "
            "pushed: items of the OTLP push that failed or were dropped; empty without a push.",
            {**HOST, "version": "Version", "netns": "Namespace"},
            [
                Column(
                    "Scrape", of_agents(f"max by ({OF_HOST}) ({HOSTS.select('up')})"), words=(UP,)
                ),
                Column("Source", _gauge("source_up"), words=(CONFIRMED,)),
                Column(
                    "Version",
                    f"max by ({OF_HOST}, version) ({HOSTS.select(AGENT)})",
                    labels_only=True,
                ),
                Column(
                    "Namespace",
                    f"max by ({OF_HOST}, netns) ({HOSTS.select(NAMESPACE)})",
                    labels_only=True,
                ),
                _bad("Overruns", OVERRUNS),
                _bad("Dropped", DROPPED),
                Column("Inferred", by(OF_HOST, HOSTS.increase(INFERRED, RANGE)), COUNT, 0),
                Column("Over limit", _gauge("interfaces_aggregated"), COUNT, 0, NONE_IS_GOOD),
                _bad(
                    "Not pushed",
                    "ip_interface_exporter_otlp_items_total",
                    'result=~"failed|dropped"',
                ),
                Column(
                    "Config",
                    _gauge("config_last_reload_successful"),
                    words=(LOADED, nothing("–")),
                ),
            ],
            (24, 11),
            sort_by="Host",
            ascending=True,
            links=TO_HOST,
        ),
        bars(
            graph(
                "What notifications did not show",
                "A minute, on all hosts. Unobserved: disconnections of devices that only the "
                "system's own counters prove. Inferred: changes found by reading the interfaces "
                "again. Dropped: notifications known to be lost.",
                "cpm",
                over_time(f"sum({HOSTS.per_minute(UNOBSERVED, IPV4, DISCONNECTED)})", "unobserved"),
                over_time(f"sum({HOSTS.per_minute(INFERRED)})", "inferred"),
                over_time(f"sum({HOSTS.per_minute(DROPPED)})", "dropped"),
            ).interval("5m")
        ),
        graph(
            "Slowest agents",
            "The lag that one in a hundred notifications exceeds, on the five hosts with the "
            "longest in this range. Gaps: no notifications.",
            "s",
            over_time(
                f"{_slowest(RATE)} and on ({OF_HOST}) topk(5, {ever(_slowest(RANGE))})",
                "{{instance}}",
            ),
        ).interval(MINUTE),
    )
