"""Which interfaces were connected when, how often that changed, and how long outages lasted."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from host.labels import NAME, disconnections_over_time, grown, larger_family, polled, state
from parts.frame import row
from parts.looks import COUNT, STATE
from parts.panels import MINUTE, bars, buckets, figure, graph, now, over_time, timeline
from parts.promql import (
    DISCONNECTED,
    DISCONNECTIONS,
    FAMILY,
    HOST,
    INTERFACE,
    RANGE,
    RATE,
    TRANSITIONS,
    UNOBSERVED,
    by,
)

OUTAGES = "ip_interface_outage_duration_seconds"
#: The histogram has no device; of the families the larger one counts.
_WHICH = (
    "Of all interfaces of the host, also of those that are not watched; not while switched off."
)


def connections(board: dashboard.Dashboard) -> None:
    """Add which interfaces were connected when, and the flaps between two scrapes."""
    causes = larger_family("cause", HOST.growth(DISCONNECTIONS, RATE, INTERFACE))
    proven = larger_family("state", HOST.growth(UNOBSERVED, RATE, DISCONNECTED, INTERFACE))
    row(
        board,
        "Connections",
        timeline(
            "Connected",
            "Whether each interface is connected, and otherwise whether somebody switched it off, "
            "as scraped: a flap between two scrapes does not show here. It does in the panels "
            "below.",
            over_time(state(), NAME),
            STATE,
            (24, 9),
        ),
        bars(
            graph(
                "Disconnections over time",
                "Times that each interface lost its connection in each step (a minute or more), "
                "those included that no notification showed. Not what was switched off.",
                "short",
                over_time(f"{disconnections_over_time()} > 0", NAME),
                size=(8, 8),
                empty="No disconnections.",
            )
        ),
        bars(
            graph(
                "Disconnections by cause",
                "Disconnections of the chosen interfaces in each step (a minute or more). "
                "Administrative: somebody switched it off. Carrier: the link below was lost. "
                "Unobserved: no notification showed it.",
                "short",
                over_time(f"{causes} > 0", "{{cause}}"),
                over_time(f"{proven} > 0", "unobserved"),
                size=(8, 8),
                empty="No disconnections.",
            )
        ),
        graph(
            "Disconnections that polling misses",
            "Disconnections, meant or not, in each step (a minute or more). Notified: by "
            "notifications. Unobserved: no notification showed them, but the system's counters "
            "or a comparison prove them. Polled: what a gauge shows that is only scraped.",
            "short",
            over_time(f"sum({grown(TRANSITIONS, RATE, DISCONNECTED)})", "notified"),
            over_time(f"sum({grown(UNOBSERVED, RATE, DISCONNECTED)})", "unobserved"),
            over_time(f"sum({polled(RATE)})", "polled"),
            size=(8, 8),
        ).interval(MINUTE),
    )


def outages(board: dashboard.Dashboard) -> None:
    """Add how long connections were away."""

    def larger(part: str) -> str:
        """Return the value of the family with more of it."""
        return f"max({by('family', HOST.increase(f'{OUTAGES}_{part}', RANGE, FAMILY))})"

    def within(part: float) -> str:
        """Return a quantile, from the buckets; but no outage is longer than all together."""
        return f"clamp_max({HOST.quantile(part, OUTAGES, RANGE, FAMILY)}, scalar({larger('sum')}))"

    row(
        board,
        "Outages",
        buckets(
            "Outages by length",
            "How long each outage lasted, counted when it ended with a connection. Dots, where "
            f"Prometheus keeps exemplars: which device it was. {_WHICH}",
            f"max by (le) ({by('family, le', HOST.growth(f'{OUTAGES}_bucket', RATE, FAMILY))})",
            (16, 8),
        ),
        figure(
            "Outages ended",
            f"Outages that ended with a connection in this range. {_WHICH}",
            COUNT,
            now(larger("count"), "outages"),
            size=(4, 8),
        ),
        figure(
            "Outage length",
            "The mean, and the median and 95th percentile as the histogram's buckets allow to "
            f"estimate them, of the outages that ended in this range. {_WHICH}",
            "s",
            now(f"{larger('sum')} / {larger('count')}", "mean"),
            now(within(0.5), "median"),
            now(within(0.95), "95 %"),
            size=(4, 8),
        ),
    )
