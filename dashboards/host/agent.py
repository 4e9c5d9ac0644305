"""The agent itself: whether it keeps up, and what it costs."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from parts.frame import AGENT, closed_row
from parts.panels import bars, graph, over_time
from parts.promql import HOST, RATE, by
from parts.tables import Column, listing

LAG = "ip_interface_exporter_notification_lag_seconds"


def agent(board: dashboard.Dashboard) -> None:
    """Add whether the agent keeps up, and what it costs."""
    losses = {
        "overruns": "ip_interface_exporter_source_overruns_total",
        "resyncs": "ip_interface_exporter_source_resyncs_total",
        "dropped": "ip_interface_exporter_dropped_notifications_total",
        "inferred": "ip_interface_exporter_inferred_notifications_total",
    }
    #: No error has been counted, and so none has a series, before the first one.
    none_yet = f"0 * sum({HOST.select('ip_interface_exporter_source_up')})"
    errors = f"sum({HOST.per_minute('ip_interface_exporter_source_errors_total')})"
    existing = f"sum({HOST.select('ip_interfaces')})"
    limit = f"sum({HOST.select('ip_interface_exporter_interfaces_limit')})"
    closed_row(
        board,
        "Agent",
        graph(
            "Lag",
            "Time from the system's notification to its being visible in the agent. Gaps: no "
            "notifications.",
            "s",
            *(over_time(HOST.quantile(q, LAG, RATE), f"{q:.0%}") for q in (0.5, 0.9, 0.99)),
            size=(8, 8),
        ),
        bars(
            graph(
                "Losses",
                "A minute. Overruns: notifications came faster than they were received. Dropped: "
                "those known to be lost. Resyncs: all interfaces were read again. Inferred: "
                "changes found by that. Errors: failed calls to the system.",
                "cpm",
                *(
                    over_time(f"sum({HOST.per_minute(metric)})", name)
                    for name, metric in losses.items()
                ),
                over_time(f"{errors} or {none_yet}", "errors"),
                size=(8, 8),
            )
        ),
        graph(
            "Messages from the system",
            "Messages a minute that the agent received, by name.",
            "cpm",
            over_time(
                by("message", HOST.per_minute("ip_interface_exporter_source_messages_total")),
                "{{message}}",
            ),
            size=(8, 8),
        ),
        graph(
            "Series limit",
            "IP interfaces that exist, and those beyond the limit, which share the device other. "
            "The limit itself shows as soon as half of it is used.",
            "short",
            over_time(existing, "exist"),
            over_time(
                f"sum({HOST.select('ip_interface_exporter_interfaces_aggregated')})", "beyond"
            ),
            over_time(f"{limit} < 2 * {existing}", "limit"),
            size=(8, 8),
        ),
        graph(
            "OTLP push",
            "Items a minute by signal and result. Failed and dropped ones are lost to the "
            "endpoint.",
            "cpm",
            over_time(
                by("signal, result", HOST.per_minute("ip_interface_exporter_otlp_items_total")),
                "{{signal}} {{result}}",
            ),
            size=(8, 8),
            empty="Nothing is pushed.",
        ),
        graph(
            "Scrape",
            "How long Prometheus took to scrape the agent.",
            "s",
            over_time(HOST.select("scrape_duration_seconds"), "{{instance}}"),
            size=(8, 8),
        ),
        graph(
            "Memory",
            "Resident memory of the agent, and the buffer in which notifications wait for it. "
            "The first on Linux only.",
            "bytes",
            over_time(f"sum({HOST.select('process_resident_memory_bytes')})", "resident"),
            over_time(
                f"sum({HOST.select('ip_interface_exporter_receive_buffer_bytes')})",
                "receive buffer",
            ),
            size=(12, 8),
        ),
        graph(
            "CPU",
            "CPU time that the agent takes, as a part of one core. Linux only.",
            "percentunit",
            over_time(f"sum(rate({HOST.select('process_cpu_seconds_total')}[{RATE}]))", "agent"),
            size=(12, 8),
        ),
        listing(
            "Version",
            "What runs there: version, where its notifications come from, and the Python it runs "
            "on.",
            {
                "instance": "Host",
                "version": "Version",
                "revision": "Commit",
                "backend": "Backend",
                "pythonversion": "Python",
                "netns": "Namespace",
                "job": "",
            },
            [
                Column(
                    "Version",
                    "max by (job, instance, version, revision, backend, pythonversion) "
                    f"({HOST.select(AGENT)})",
                    labels_only=True,
                ),
                Column(
                    "Namespace",
                    "max by (job, instance, netns) "
                    f"({HOST.select('ip_interface_exporter_namespace_info')})",
                    labels_only=True,
                ),
            ],
            (24, 4),
            sort_by="Host",
            ascending=True,
        ),
    )
