"""Every metric, once: its name, type, help, labels, and how to read it.

Three publishers read it: the scrape page (`exposition`), a prometheus_client collector
(`collector`) and the OTLP push. To add a metric, add an entry here: this
one list, in the order of the page, has everything that is published.

Names and labels follow https://prometheus.io/docs/practices/naming/. Counters are declared
with their ``_total``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from exporter.metrics.snapshot import Snapshot
from exporter.model import COUNTED_TYPES, FAMILIES, Cause
from exporter.monitor.series import STATES, Histogram, SeriesSet

#: Values of a metric's extra labels, in their order, and the sample's value.
Sample = tuple[tuple[str, ...], float]


class SeriesMetric(NamedTuple):
    """A metric of one IP interface (or of a group). `labels` come after the identity labels."""

    name: str
    type: str
    help: str
    labels: tuple[str, ...]
    #: The samples at an instant, in seconds on the clock of `Notification.instant`.
    read: Callable[[SeriesSet, float], Iterable[Sample]]
    #: What the samples change with: ``row``, nothing but `SeriesSet.interface`; ``counts``, any
    #: notification; ``time``, also the instant. The scrape page renders only `STATE_SECONDS` so.
    depends_on: Literal["row", "counts", "time"] = "counts"


class AgentMetric(NamedTuple):
    """A metric of the whole computer, or of the exporter itself."""

    name: str
    type: str
    help: str
    labels: tuple[str, ...]
    read: Callable[[Snapshot], Iterable[Sample]]


class HistogramMetric(NamedTuple):
    """A histogram of the whole computer, or of the exporter itself."""

    name: str
    help: str
    labels: tuple[str, ...]
    read: Callable[[Snapshot], Iterable[tuple[tuple[str, ...], Histogram]]]


#: Labels of every sample of a `SeriesMetric`: which IP interface. In alphabetical order, in
#: which prometheus_client prints labels.
IDENTITY = ("device", "family", "index", "luid")


def identity(series: SeriesSet) -> tuple[str, ...]:
    """Return the values of `IDENTITY`."""
    return series.device, series.family.label, series.index, series.luid


# -- the computer -----------------------------------------------------------------------


# Label values, and the index of the count: to ask a member of an enumeration for its label
# costs more than to print a count.
_TYPES = [((type_.label,), int(type_)) for type_ in COUNTED_TYPES]
_CAUSES = [((cause.label,), int(cause)) for cause in Cause]
_STATES = [((STATES[connected],), connected) for connected in (True, False)]


def _counts(counts: list[int], by: Sequence[tuple[tuple[str, ...], int]]) -> list[Sample]:
    return [(values, counts[index]) for values, index in by]


def _churn(snapshot: Snapshot) -> Iterator[Sample]:
    for family in FAMILIES:
        for values, count in _counts(snapshot.state.churn[family], _TYPES):
            yield (family.label, *values), count


def _optional(value: float | None) -> Iterator[Sample]:
    """Yield one sample, or none where the system has no such value."""
    if value is not None:
        yield (), value


def _named(values: dict[str, int]) -> Iterator[Sample]:
    for name, value in values.copy().items():
        yield (name,), value


HOST_METRICS = (
    AgentMetric(
        "ip_interface_churn_total",
        "counter",
        "Notifications of all IP interfaces, including deleted, grouped and over-limit ones.",
        ("family", "type"),
        _churn,
    ),
    AgentMetric(
        "ip_interfaces",
        "gauge",
        "IP interfaces that exist.",
        ("family",),
        lambda snapshot: [((f.label,), snapshot.state.existing[f]) for f in FAMILIES],
    ),
    AgentMetric(
        "ip_interfaces_connected",
        "gauge",
        "IP interfaces that exist and are connected.",
        ("family",),
        lambda snapshot: [((f.label,), snapshot.state.connected[f]) for f in FAMILIES],
    ),
    HistogramMetric(
        "ip_interface_outage_duration_seconds",
        "Duration of ended outages: disconnected, but not switched off, until connected again.",
        ("family",),
        lambda snapshot: [((f.label,), snapshot.state.outages[f]) for f in FAMILIES],
    ),
)


# -- one IP interface -------------------------------------------------------------------


def _info(series: SeriesSet, _: float) -> Iterator[Sample]:
    if series.interface is not None:
        link = series.interface.link
        yield (link.alias, link.kind, str(link.type), link.address, link.guid), 1


def _last_notification(series: SeriesSet, _: float) -> Iterator[Sample]:
    if series.interface is not None and series.last_notification is not None:
        yield (), series.last_notification


def _state_seconds(series: SeriesSet, instant: float) -> Iterator[Sample]:
    for values, connected in _STATES:
        yield values, series.seconds(instant, connected=connected)


def _enabled(series: SeriesSet, _: float) -> Iterator[Sample]:
    if series.interface is not None and series.interface.status.enabled is not None:
        yield (), series.interface.status.enabled


def _parameter(member: str, help_: str) -> SeriesMetric:
    """Declare a gauge of one member of the row, where the system has it."""

    def read(series: SeriesSet, _: float) -> Iterable[Sample]:
        if series.interface is not None:
            value = getattr(series.interface.parameters, member)
            if value is not None:
                return (((), value),)
        return ()

    return SeriesMetric(f"ip_interface_{member}", "gauge", help_, (), read, depends_on="row")


#: The metric that depends on time.
STATE_SECONDS = "ip_interface_state_seconds_total"

SERIES_METRICS = (
    SeriesMetric(
        "ip_interface_info",
        "gauge",
        "Facts about an IP interface to join on; type is the IANA ifType.",
        ("alias", "kind", "type", "address", "guid"),
        _info,
        depends_on="row",
    ),
    SeriesMetric(
        "ip_interface_notifications_total",
        "counter",
        "Notifications of this IP interface.",
        ("type",),
        lambda series, _: _counts(series.notifications, _TYPES),
    ),
    SeriesMetric(
        "ip_interface_transitions_total",
        "counter",
        "Changes of Connected that a notification showed, by the new state.",
        ("state",),
        lambda series, _: _counts(series.transitions, _STATES),
    ),
    SeriesMetric(
        "ip_interface_disconnections_total",
        "counter",
        "Disconnections that a notification showed: switched off, carrier lost, or other.",
        ("cause",),
        lambda series, _: _counts(series.disconnections, _CAUSES),
    ),
    SeriesMetric(
        "ip_interface_unobserved_transitions_total",
        "counter",
        "Changes of Connected that no notification showed: the system's counters or a comparison "
        "prove them.",
        ("state",),
        lambda series, _: _counts(series.unobserved, _STATES),
    ),
    SeriesMetric(
        STATE_SECONDS,
        "counter",
        "Time spent connected and disconnected, between the receipts of notifications.",
        ("state",),
        _state_seconds,
        depends_on="time",
    ),
    SeriesMetric(
        "ip_interface_last_notification_timestamp_seconds",
        "gauge",
        "When the last notification of this IP interface was received, in Unix time.",
        (),
        _last_notification,
    ),
    SeriesMetric(
        "ip_interface_parameter_changes_total",
        "counter",
        "Changes of each row member, notified or found by comparison; the first begins the series.",
        ("parameter",),
        lambda series, _: _named(series.parameter_changes),
    ),
)

#: Windows only: its notifications come without the row, which is read when they are taken.
IPHLPAPI_METRICS = (
    SeriesMetric(
        "ip_interface_unread_notifications_total",
        "counter",
        "Windows only: notifications whose row was not read before the next one came; a flap among "
        "them is not counted as a transition.",
        (),
        lambda series, _: [((), series.unread)],
    ),
)

#: Members of the row that are published by default.
CORE_PARAMETERS = (
    SeriesMetric(
        "ip_interface_enabled",
        "gauge",
        "Whether the IP interface is administratively up: ifAdminStatus, and IPv6 not disabled.",
        (),
        _enabled,
        depends_on="row",
    ),
    _parameter("connected", "Whether the IP interface is connected to a network."),
    _parameter("mtu_bytes", "Maximum transmission unit of the family on this interface."),
    _parameter("metric", "Interface metric: part of the cost of each route through it."),
    _parameter("forwarding_enabled", "Whether packets are forwarded."),
    _parameter("advertising_enabled", "Whether router advertisements are sent."),
)

#: The others, with ``--collector.parameters=all``.
OTHER_PARAMETERS = tuple(
    _parameter(member, help_)
    for member, help_ in (
        ("automatic_metric_enabled", "Whether the metric is computed by the system."),
        ("weak_host_send_enabled", "Whether the weak host model is used for sending."),
        ("weak_host_receive_enabled", "Whether the weak host model is used for receiving."),
        (
            "neighbor_unreachability_detection_enabled",
            "Whether neighbor unreachability detection is used.",
        ),
        (
            "managed_address_configuration_enabled",
            "Whether addresses are configured by DHCP, as routers advertised it.",
        ),
        (
            "other_stateful_configuration_enabled",
            "Whether other settings come by DHCP, as routers advertised it.",
        ),
        ("default_route_advertised", "Whether a default route is advertised."),
        ("default_routes_disabled", "Whether default routes through it are ignored."),
        ("router_discovery_behavior", "Router discovery: 0 disabled, 1 enabled, 2 by DHCP."),
        ("dad_transmits", "Probes sent for duplicate address detection."),
        ("base_reachable_time_seconds", "Base of the random time a neighbor stays reachable."),
        ("retransmit_time_seconds", "Time between neighbor solicitations."),
        ("path_mtu_discovery_timeout_seconds", "Lifetime of a learned path MTU."),
        (
            "link_local_address_behavior",
            "Link-local addresses: 0 always off, 1 delayed, 2 always on.",
        ),
        ("link_local_address_timeout_seconds", "Delay before a link-local address is made."),
        ("site_prefix_length", "Site prefix length in bits."),
        (
            "min_router_advertisement_interval_seconds",
            "Shortest time between router advertisements sent.",
        ),
        (
            "max_router_advertisement_interval_seconds",
            "Longest time between router advertisements sent.",
        ),
        ("wake_up_patterns_supported", "Whether the interface can wake the computer."),
        ("neighbor_discovery_supported", "Whether neighbor discovery is possible."),
        ("router_discovery_supported", "Whether router discovery is possible."),
        ("transmit_offload", "Bit set of transmit offloads (NL_INTERFACE_OFFLOAD_ROD)."),
        ("receive_offload", "Bit set of receive offloads (NL_INTERFACE_OFFLOAD_ROD)."),
        ("reachable_time_seconds", "Current randomized neighbor reachable time."),
    )
)


# -- the exporter itself ----------------------------------------------------------------


def _build_info(snapshot: Snapshot) -> Iterator[Sample]:
    build = snapshot.build
    yield (build.version, build.revision, build.python_version, build.backend), 1


def _namespace_info(snapshot: Snapshot) -> Iterator[Sample]:
    if snapshot.build.namespace is not None:
        yield (snapshot.build.namespace,), 1


EXPORTER_METRICS = (
    AgentMetric(
        "ip_interface_exporter_build_info",
        "gauge",
        "Version of the exporter, and the source of its notifications.",
        ("version", "revision", "pythonversion", "backend"),
        _build_info,
    ),
    AgentMetric(
        "ip_interface_exporter_namespace_info",
        "gauge",
        "Network namespace whose interfaces are watched: its name, or net:[inode].",
        ("netns",),
        _namespace_info,
    ),
    AgentMetric(
        "ip_interface_exporter_source_up",
        "gauge",
        "Whether the system has confirmed that it will send notifications.",
        (),
        lambda snapshot: _optional(snapshot.health.up),
    ),
    AgentMetric(
        "ip_interface_exporter_source_messages_total",
        "counter",
        "Messages received from the system.",
        ("message",),
        lambda snapshot: _named(snapshot.health.messages),
    ),
    AgentMetric(
        "ip_interface_exporter_source_overruns_total",
        "counter",
        "Receive-queue overruns, each of which lost notifications.",
        (),
        lambda snapshot: _optional(snapshot.health.overruns),
    ),
    AgentMetric(
        "ip_interface_exporter_source_resyncs_total",
        "counter",
        "Full resynchronizations after an overrun.",
        (),
        lambda snapshot: _optional(snapshot.health.resyncs),
    ),
    AgentMetric(
        "ip_interface_exporter_last_resync_timestamp_seconds",
        "gauge",
        "When the last resynchronization ended, in Unix time.",
        (),
        lambda snapshot: _optional(snapshot.health.last_resync),
    ),
    AgentMetric(
        "ip_interface_exporter_inferred_notifications_total",
        "counter",
        "Changes that a comparison with the system found, because no notification showed them.",
        ("type",),
        lambda snapshot: _counts(snapshot.state.inferred, _TYPES),
    ),
    AgentMetric(
        "ip_interface_exporter_source_errors_total",
        "counter",
        "Failed operations of the source.",
        ("operation",),
        lambda snapshot: _named(snapshot.health.errors),
    ),
    AgentMetric(
        "ip_interface_exporter_receive_buffer_bytes",
        "gauge",
        "Effective size of the buffer in which notifications wait.",
        (),
        lambda snapshot: _optional(snapshot.health.receive_buffer_bytes),
    ),
    AgentMetric(
        "ip_interface_exporter_receive_delay_seconds_total",
        "counter",
        "Upper bound of the delay of messages of the system beyond one second, summed over reads.",
        (),
        lambda snapshot: _optional(snapshot.health.receive_delay_seconds),
    ),
    AgentMetric(
        "ip_interface_exporter_queue_length",
        "gauge",
        "Notifications waiting in the exporter's own queue.",
        (),
        lambda snapshot: _optional(snapshot.health.queue_length),
    ),
    AgentMetric(
        "ip_interface_exporter_dropped_notifications_total",
        "counter",
        "Notifications known to be lost.",
        (),
        lambda snapshot: _optional(snapshot.health.dropped),
    ),
    HistogramMetric(
        "ip_interface_exporter_notification_lag_seconds",
        "Time from the receipt of a notification until it is counted.",
        (),
        lambda snapshot: [((), snapshot.lag)] if snapshot.lag is not None else (),
    ),
    AgentMetric(
        "ip_interface_exporter_replay_lines_total",
        "counter",
        "Replay: lines of the recording that have been read.",
        (),
        lambda snapshot: _optional(snapshot.health.replay_lines),
    ),
    AgentMetric(
        "ip_interface_exporter_replay_finished",
        "gauge",
        "Replay: whether the whole recording has been read and counted.",
        (),
        lambda snapshot: _optional(snapshot.health.replay_finished),
    ),
    AgentMetric(
        "ip_interface_exporter_replay_unknown_members_total",
        "counter",
        "Replay: members of the recording that were ignored as unknown to this version.",
        (),
        lambda snapshot: _optional(snapshot.health.replay_unknown_members),
    ),
    AgentMetric(
        "ip_interface_exporter_interfaces_limit",
        "gauge",
        "Limit of IP interfaces with their own series (--collector.max-interfaces).",
        (),
        lambda snapshot: _optional(snapshot.state.series_sets.max_interfaces),
    ),
    AgentMetric(
        "ip_interface_exporter_interfaces_aggregated",
        "gauge",
        "IP interfaces over the limit, which share the device other.",
        (),
        lambda snapshot: _optional(snapshot.state.aggregated),
    ),
    AgentMetric(
        "ip_interface_exporter_config_last_reload_successful",
        "gauge",
        "Whether the last configuration reload succeeded.",
        (),
        lambda snapshot: _optional(snapshot.config_ok),
    ),
    AgentMetric(
        "ip_interface_exporter_otlp_items_total",
        "counter",
        "Items of the OTLP push; accepted = exported + failed + dropped + in flight.",
        ("signal", "result"),
        lambda snapshot: snapshot.otlp_items.items(),
    ),
)


def series_metrics(backend: str = "", *, all_parameters: bool) -> tuple[SeriesMetric, ...]:
    """Return the metrics of an IP interface, with the core members of its row or with all.

    `backend` is that of the source, which may have metrics of its own.
    """
    own = IPHLPAPI_METRICS if backend == "iphlpapi" else ()
    others = OTHER_PARAMETERS if all_parameters else ()
    return SERIES_METRICS + own + CORE_PARAMETERS + others
