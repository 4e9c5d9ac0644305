"""The PromQL that panels share."""

from __future__ import annotations

#: Grafana's own windows: the time range of the dashboard, and the shortest window that holds
#: two scrapes at the panel's resolution.
RANGE = "$__range"
RATE = "$__rate_interval"

#: One host; one device of it, which is what has one name on one host.
OF_HOST = "cluster, job, instance"
OF_DEVICE = f"{OF_HOST}, device"

#: The metric whose devices are shown: those that are watched, or all.
WATCHED = "instance_device:ip_interface_watched:max"
ALL = "ip_interface_transitions_total"
INTERFACES = "$interfaces"

#: Further matchers of the host dashboard.
FAMILY = 'family=~"$family"'
INTERFACE = f'device=~"$device", {FAMILY}'

TRANSITIONS = "ip_interface_transitions_total"
UNOBSERVED = "ip_interface_unobserved_transitions_total"
DISCONNECTIONS = "ip_interface_disconnections_total"
#: It stands for the device, in queries that look at each of a fleet: half as many series. The
#: other says the same of series that may have no family, as those that are recorded.
IPV4, NOT_IPV6 = 'family="ipv4"', 'family!="ipv6"'
#: A cause: somebody switched the interface off. What is lost has another one.
SWITCHED_OFF = 'cause="administrative"'
LOST = 'cause!="administrative"'
CONNECTED = 'state="connected"'
DISCONNECTED = 'state="disconnected"'


def by(labels: str, expression: str) -> str:
    """Return the sums that share these labels."""
    return f"sum by ({labels}) ({expression})"


def ever(expression: str) -> str:
    """Return an expression over the whole range as it is at its end, at every step."""
    return expression.replace(f"[{RANGE}]", f"[{RANGE}] @ end()")


class Scope:
    """Queries about what is chosen: each selector names clusters, jobs and instances."""

    def __init__(self, *matchers: str) -> None:
        self._matchers = matchers

    def select(self, metric: str, *matchers: str) -> str:
        """Return a selector of what is chosen."""
        return f"{metric}{{{', '.join((*self._matchers, *matchers))}}}"

    def increase(self, metric: str, window: str, *matchers: str) -> str:
        """Return how much a counter grew in each window."""
        return f"increase({self.select(metric, *matchers)}[{window}])"

    def growth(self, metric: str, window: str, *matchers: str) -> str:
        """Return how much a counter grew from the first to the last sample in each window.

        `increase` says 1.33 for 1 in a window of four samples, since it extrapolates to the
        edges. A window with a restart of the agent is left out.
        """
        counter = f"{self.select(metric, *matchers)}[{window}]"
        return f"(max_over_time({counter}) - min_over_time({counter}) and resets({counter}) == 0)"

    def increase_or_new(self, metric: str, window: str, *matchers: str) -> str:
        """Return `increase`; of a counter that is new in the window, its value.

        `increase` does not count the first value of a counter, which need not be 0: an interface
        that appears between two scrapes has its first notifications by then, and the counter of a
        parameter's changes appears with the first of them.
        """
        new = self._new(metric, window, *matchers)
        return f"({new} or {self.increase(metric, window, *matchers)})"

    def growth_or_new(self, metric: str, window: str, *matchers: str) -> str:
        """Return `growth`; of a counter that is new in the window, its value."""
        new = self._new(metric, window, *matchers)
        return f"({new} or {self.growth(metric, window, *matchers)})"

    def _new(self, metric: str, window: str, *matchers: str) -> str:
        """Return the counters that did not exist before the window."""
        counter = self.select(metric, *matchers)
        return f"({counter} unless {counter} offset {window})"

    def per_minute(self, metric: str, *matchers: str) -> str:
        """Return how fast a counter grows. Changes are rare: a second is too short a unit."""
        return f"60 * rate({self.select(metric, *matchers)}[{RATE}])"

    def quantile(self, of: float, histogram: str, window: str, *matchers: str) -> str:
        """Return a quantile of what a histogram saw in each window."""
        buckets = by("le", self.increase(f"{histogram}_bucket", window, *matchers))
        return f"histogram_quantile({of}, {buckets})"


#: Any number of hosts; these, and what is about a whole job; one host, whose variables have one
#: value, which Grafana does not escape for a regular expression.
HOSTS = Scope('cluster=~"$cluster"', 'job=~"$job"', 'instance=~"$instance"')
HOSTS_AND_JOBS = Scope('cluster=~"$cluster"', 'job=~"$job"', 'instance=~"$instance|"')
HOST = Scope('cluster=~"$cluster"', 'job="$job"', 'instance="$instance"')
