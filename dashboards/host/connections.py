"""Who was connected when, how often that changed, and for how long it was away."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from host.labels import NAME, OF_INTERFACE, TRANSITIONS, UNOBSERVED, one, polled
from parts.frame import row
from parts.looks import CONNECTED, COUNT
from parts.panels import bars, buckets, figure, graph, now, over_time, timeline
from parts.promql import FAMILY, INTERFACE, RANGE, RATE, by, increase, per_minute, quantile

OUTAGES = "ip_interface_outage_duration_seconds"


def connections(board: dashboard.Dashboard) -> None:
    """Who was connected when, and the flaps between two scrapes."""
    row(
        board,
        "Connections",
        timeline(
            "Connected",
            "Whether each interface is connected, as scraped: a flap between two scrapes does not "
            "show here. It does in the panels below.",
            over_time(one("ip_interface_connected"), NAME),
            CONNECTED,
            (24, 10),
        ),
        bars(
            graph(
                "Transitions by interface",
                "Changes of connection a minute, both ways, every one that a notification showed.",
                "cpm",
                over_time(by(OF_INTERFACE, per_minute(TRANSITIONS, INTERFACE)), NAME),
            )
        ),
        graph(
            "Transitions that a polled gauge misses",
            "Changes of connection in the few scrapes before each point. Told: by notifications. "
            "Unobserved: too fast for notifications, proven by the system's own counters. "
            "Polled: what a gauge shows that is only scraped. What is above it, polling misses.",
            "short",
            over_time(f"sum({increase(TRANSITIONS, RATE, INTERFACE)})", "told"),
            over_time(f"sum({increase(UNOBSERVED, RATE, INTERFACE)})", "unobserved"),
            over_time(f"sum({polled(RATE)})", "polled"),
        ),
    )


def outages(board: dashboard.Dashboard) -> None:
    """How long connections were away. By family: the histogram has no interfaces."""
    counted = increase(f"{OUTAGES}_count", RANGE, FAMILY)
    row(
        board,
        "Outages",
        buckets(
            "Outages by length",
            "How long each outage lasted that ended with a connection, counted when "
            "it ended, over all interfaces of the chosen families.",
            by("le", increase(f"{OUTAGES}_bucket", RATE, FAMILY)),
            (16, 8),
        ),
        figure(
            "Outages ended",
            "Outages that ended with a connection in this range, over all interfaces of the "
            "chosen families.",
            COUNT,
            now(f"sum({counted})", "outages"),
            size=(4, 8),
        ),
        figure(
            "Length of outages",
            "The mean, the median and the 95th percentile of the outages that ended in this "
            "range, over all interfaces of the chosen families.",
            "s",
            now(f"sum({increase(f'{OUTAGES}_sum', RANGE, FAMILY)}) / sum({counted})", "mean"),
            now(quantile(0.5, OUTAGES, RANGE, FAMILY), "median"),
            now(quantile(0.95, OUTAGES, RANGE, FAMILY), "95 %"),
            size=(4, 8),
        ),
    )
