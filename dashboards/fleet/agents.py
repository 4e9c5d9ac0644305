"""Whether the numbers of the fleet can be trusted."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from fleet.labels import OF_HOST, SCRAPED, TO_HOST, of_agents
from parts.frame import AGENT, row
from parts.looks import CONFIRMED, COUNT, LOADED, NONE_IS_GOOD, UP
from parts.panels import bars, graph, over_time
from parts.promql import RANGE, RATE, by, increase, per_minute, select
from parts.tables import Column, listing


def agents(board: dashboard.Dashboard) -> None:
    """Whether the numbers above can be trusted."""
    unobserved = "ip_interface_unobserved_transitions_total"
    inferred = "ip_interface_exporter_inferred_notifications_total"

    def of_host(metric: str, *matchers: str) -> str:
        return by(OF_HOST, increase(metric, RANGE, *matchers))

    row(
        board,
        "Agents",
        listing(
            "Agents",
            "Each agent: whether it is scraped, whether its system confirmed notifications, and "
            "what it lost in this range. Folded: IP interfaces beyond the series limit, which "
            "share one series set. Not pushed: items of the OTLP push that failed or were "
            "dropped; empty without a push.",
            {
                "instance": "Host",
                "version": "Version",
                "backend": "Backend",
                "job": "",
            },
            [
                Column("Scrape", of_agents(f"max by ({OF_HOST}) ({SCRAPED})"), words=(UP,)),
                Column(
                    "Source",
                    f"max by ({OF_HOST}) ({select('ip_interface_exporter_source_up')})",
                    words=(CONFIRMED,),
                ),
                Column(
                    "Version",
                    f"max by ({OF_HOST}, version, backend) ({select(AGENT)})",
                    labels_only=True,
                ),
                Column(
                    "Overruns",
                    of_host("ip_interface_exporter_source_overruns_total"),
                    COUNT,
                    0,
                    NONE_IS_GOOD,
                ),
                Column(
                    "Dropped",
                    of_host("ip_interface_exporter_dropped_notifications_total"),
                    COUNT,
                    0,
                    NONE_IS_GOOD,
                ),
                Column("Inferred", of_host(inferred), COUNT, 0),
                Column("Unobserved", of_host(unobserved), COUNT, 0),
                Column(
                    "Folded",
                    f"max by ({OF_HOST}) ({select('ip_interface_exporter_interfaces_aggregated')})",
                    COUNT,
                    0,
                    NONE_IS_GOOD,
                ),
                Column(
                    "Not pushed",
                    of_host("ip_interface_exporter_otlp_items_total", 'result=~"failed|dropped"'),
                    COUNT,
                    0,
                    NONE_IS_GOOD,
                ),
                Column(
                    "Configuration",
                    f"max by ({OF_HOST}) "
                    f"({select('ip_interface_exporter_config_last_reload_successful')})",
                    words=(LOADED,),
                ),
            ],
            (24, 9),
            sort_by="Host",
            ascending=True,
            links=TO_HOST,
        ),
        bars(
            graph(
                "What notifications did not show",
                "A minute, on all hosts. Unobserved: changes of connection that only the system's "
                "own counters prove. Inferred: changes found by reading the interfaces again. "
                "Dropped: notifications known to be lost.",
                "cpm",
                over_time(f"sum({per_minute(unobserved)})", "unobserved"),
                over_time(f"sum({per_minute(inferred)})", "inferred"),
                over_time(
                    f"sum({per_minute('ip_interface_exporter_dropped_notifications_total')})",
                    "dropped",
                ),
            )
        ),
        graph(
            "Slowest agents",
            "Time from a system's notification to its being visible in the agent: the 99th "
            "percentile of the five slowest hosts. Gaps: no notifications.",
            "s",
            over_time(
                "topk(5, histogram_quantile(0.99, "
                + by(
                    f"{OF_HOST}, le",
                    increase("ip_interface_exporter_notification_lag_seconds_bucket", RATE),
                )
                + "))",
                "{{instance}}",
            ),
        ),
    )
