"""The PromQL that panels share. Every selector names the chosen jobs and instances."""

from __future__ import annotations

#: Grafana's own windows: the time range of the dashboard, and the shortest window that holds
#: two scrapes at the panel's resolution.
RANGE = "$__range"
RATE = "$__rate_interval"

#: Further matchers of the host dashboard.
FAMILY = 'family=~"$family"'
INTERFACE = f'device=~"$device", {FAMILY}'


def select(metric: str, *matchers: str) -> str:
    """A selector of the chosen jobs and instances."""
    all_matchers = ('job=~"$job"', 'instance=~"$instance"', *matchers)
    return f"{metric}{{{', '.join(all_matchers)}}}"


def increase(metric: str, window: str, *matchers: str) -> str:
    """How much a counter grew in each window."""
    return f"increase({select(metric, *matchers)}[{window}])"


def per_minute(metric: str, *matchers: str) -> str:
    """How fast a counter grows. Changes of interfaces are too rare to be told by the second."""
    return f"60 * rate({select(metric, *matchers)}[{RATE}])"


def by(labels: str, expression: str) -> str:
    """The sums that share these labels."""
    return f"sum by ({labels}) ({expression})"


def increase_since_birth(metric: str, window: str, *matchers: str) -> str:
    """`increase`, and what a counter was born with: that `increase` never sees.

    An interface that comes into being between two scrapes is born with its first notifications;
    the counter of a parameter's changes with the first of them.
    """
    counter = select(metric, *matchers)
    born = f"{counter} unless {counter} offset {window}"
    return f"(({born}) or increase({counter}[{window}]))"


def disconnections(labels: str, window: str, *matchers: str) -> str:
    """Disconnections by these labels, those included that no notification showed."""
    lost = ('state="disconnected"', *matchers)
    shown = increase("ip_interface_transitions_total", window, *lost)
    proven = increase("ip_interface_unobserved_transitions_total", window, *lost)
    return by(labels, f"{shown} + {proven}")


def seconds(labels: str, window: str, *matchers: str) -> str:
    """Time in state by these labels; in both states without a matcher for one."""
    return by(labels, increase("ip_interface_state_seconds_total", window, *matchers))


def availability(labels: str, window: str, *matchers: str) -> str:
    """Connected time as a part of all time that the interface existed and was seen."""
    connected = seconds(labels, window, 'state="connected"', *matchers)
    return f"{connected} / {seconds(labels, window, *matchers)}"


def quantile(of: float, histogram: str, window: str, *matchers: str) -> str:
    """A quantile of what a histogram saw in each window."""
    buckets = by("le", increase(f"{histogram}_bucket", window, *matchers))
    return f"histogram_quantile({of}, {buckets})"
