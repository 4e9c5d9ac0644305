"""The host dashboard: everything about the IP interfaces of one host, and its agent."""

from __future__ import annotations

from frame import (
    FLEET_UID,
    HOST_UID,
    choice,
    everything,
    finished,
    frame,
    row,
    the_first,
    values_of,
)
from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models
from host_agent import agent
from looks import AVAILABILITY, CHANGED, CONFIRMED, CONNECTED, NONE_IS_GOOD, SWITCHED_ON, nothing
from panels import DATASOURCE, bars, buckets, figure, graph, now, over_time, steps, timeline
from promql import (
    FAMILY,
    INTERFACE,
    OF_INTERFACE,
    RANGE,
    RATE,
    availability,
    by,
    disconnections,
    increase,
    increase_since_birth,
    per_minute,
    quantile,
    seconds,
    select,
)
from tables import Column, listing

NAME = "{{device}} {{family}}"
NAMES = {"device": "Device", "family": "Family"}

NOTIFICATIONS = "ip_interface_notifications_total"
TRANSITIONS = "ip_interface_transitions_total"
UNOBSERVED = "ip_interface_unobserved_transitions_total"
OUTAGES = "ip_interface_outage_duration_seconds"
CHANGES = "ip_interface_parameter_changes_total"
LAST = "ip_interface_last_notification_timestamp_seconds"


def one(metric: str) -> str:
    """The value of a gauge by interface."""
    return f"max by ({OF_INTERFACE}) ({select(metric, INTERFACE)})"


def grown(metric: str) -> str:
    """How much a counter grew in the range, by interface."""
    return by(OF_INTERFACE, increase(metric, RANGE, INTERFACE))


def polled(window: str) -> str:
    """The changes that the polled gauge shows."""
    return f"changes({select('ip_interface_connected', INTERFACE)}[{window}])"


def at_a_glance(board: dashboard.Dashboard) -> None:
    """What a glance must tell."""
    row(
        board,
        "At a glance",
        figure(
            "Source",
            "Whether the system confirmed to the agent that it will send notifications. Not "
            "confirmed: nothing below can be trusted.",
            "none",
            now(f"min({select('ip_interface_exporter_source_up')})", "source"),
            words=CONFIRMED,
        ),
        figure(
            "IP interfaces",
            "IP interfaces of the chosen families that are connected, of those that exist.",
            "short",
            now(f"sum({select('ip_interfaces_connected', FAMILY)})", "connected"),
            now(f"sum({select('ip_interfaces', FAMILY)})", "exist"),
        ),
        figure(
            "Lowest availability",
            "Connected time as a part of this range, of the chosen interface with the least; "
            "those never connected in it are left out.",
            "percentunit",
            now(f"min({availability(OF_INTERFACE, RANGE, INTERFACE)} > 0)", "lowest"),
            limits=AVAILABILITY,
        ),
        figure(
            "Disconnections",
            "Times in this range that a chosen interface lost its connection, those included "
            "that no notification showed.",
            "short",
            now(f"sum({disconnections(OF_INTERFACE, RANGE, INTERFACE)})", "disconnections"),
        ),
        figure(
            "Last notification",
            "When the last notification of a chosen interface came.",
            "dateTimeFromNow",
            now(f"1000 * max({select(LAST, INTERFACE)})", "last"),
        ),
        figure(
            "Losses",
            "Notifications of this range known to be lost. The agent then read all interfaces "
            "again; Agent, at the end, shows when.",
            "short",
            now(
                f"sum({increase('ip_interface_exporter_dropped_notifications_total', RANGE)})",
                "dropped",
            ),
            limits=NONE_IS_GOOD,
        ),
    )


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
            "Changes of connection in each step. Told: by notifications. Unobserved: too fast for "
            "notifications, proven by the system's own counters. Polled: what a gauge shows that "
            "is only scraped. The space between the lines is what polling misses.",
            "short",
            over_time(f"sum({increase(TRANSITIONS, RATE, INTERFACE)})", "told"),
            over_time(f"sum({increase(UNOBSERVED, RATE, INTERFACE)})", "unobserved"),
            over_time(f"sum({polled(RATE)})", "polled"),
        ),
    )


def interfaces(board: dashboard.Dashboard) -> None:
    """Each interface in figures."""
    disconnected = seconds(OF_INTERFACE, RANGE, 'state="disconnected"', INTERFACE)
    lost = disconnections(OF_INTERFACE, RANGE, INTERFACE)
    happened = by(
        OF_INTERFACE,
        f"{increase(TRANSITIONS, RANGE, INTERFACE)} + {increase(UNOBSERVED, RANGE, INTERFACE)}",
    )
    missed = f"clamp_min({happened} - {by(OF_INTERFACE, polled(RANGE))}, 0)"
    row(
        board,
        "Interfaces",
        listing(
            "Interfaces",
            "Each interface in this range. Missed by polling: changes of connection that a "
            "scraped gauge did not show. Mean outage: time disconnected by disconnections. An "
            "interface that is gone stays for as long as the agent keeps its counters.",
            NAMES,
            [
                Column("State", one("ip_interface_connected"), words=(CONNECTED, nothing("gone"))),
                Column(
                    "Availability",
                    availability(OF_INTERFACE, RANGE, INTERFACE),
                    "percentunit",
                    3,
                    AVAILABILITY,
                    (nothing("–"),),
                ),
                Column("Disconnected for", disconnected, "s", 1),
                Column("Disconnections", lost, "short", 0),
                Column("Mean outage", f"{disconnected} / {lost}", "s", 1, words=(nothing("–"),)),
                Column("Transitions", grown(TRANSITIONS), "short", 0),
                Column("Unobserved", grown(UNOBSERVED), "short", 0),
                Column("Missed by polling", missed, "short", 0),
                Column("Notifications", grown(NOTIFICATIONS), "short", 0),
                Column(
                    "Last notification",
                    f"1000 * max by ({OF_INTERFACE}) ({select(LAST, INTERFACE)})",
                    "dateTimeFromNow",
                ),
            ],
            (24, 10),
            sort_by="Disconnections",
        ),
        graph(
            "Availability",
            "Connected time as a part of each step. It is counted between scrapes too: an outage "
            "of a second shows.",
            "percentunit",
            over_time(availability(OF_INTERFACE, RATE, INTERFACE), NAME),
        ).max(1),
        bars(
            graph(
                "Notifications by type",
                "Notifications a minute of the chosen interfaces: added, deleted, or changed.",
                "cpm",
                over_time(by("type", per_minute(NOTIFICATIONS, INTERFACE)), "{{type}}"),
            )
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
            "How long each outage lasted that ended with a connection, counted in the step in "
            "which it ended, over all interfaces of the chosen families.",
            by("le", increase(f"{OUTAGES}_bucket", RATE, FAMILY)),
            (16, 8),
        ),
        figure(
            "Outages ended",
            "Outages that ended with a connection in this range, over all interfaces of the "
            "chosen families.",
            "short",
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


def settings(board: dashboard.Dashboard) -> None:
    """What was set differently, and when."""

    def drift(metric: str) -> str:
        before = f"max by ({OF_INTERFACE}) ({select(metric, INTERFACE)} offset {RANGE})"
        return f"{one(metric)} - {before}"

    row(
        board,
        "Settings",
        bars(
            graph(
                "Parameter changes",
                "Members of the interfaces' rows that changed, in each step, by member.",
                "short",
                over_time(
                    by("parameter", increase_since_birth(CHANGES, RATE, INTERFACE)), "{{parameter}}"
                ),
            )
        ),
        listing(
            "Parameters that changed",
            "How often each member of an interface's row changed in this range. Empty: none did.",
            {**NAMES, "parameter": "Parameter"},
            [
                Column(
                    "Changes",
                    by(
                        f"{OF_INTERFACE}, parameter",
                        increase_since_birth(CHANGES, RANGE, INTERFACE),
                    )
                    + " > 0",
                    "short",
                    0,
                )
            ],
            (12, 8),
            sort_by="Changes",
        ),
        steps(
            graph(
                "MTU",
                "Maximum transmission unit of each interface.",
                "bytes",
                over_time(one("ip_interface_mtu_bytes"), NAME),
            )
        ),
        steps(
            graph(
                "Interface metric",
                "The interface's part of the cost of each route through it. Linux has none: this "
                "is about Windows.",
                "short",
                over_time(one("ip_interface_metric"), NAME),
            )
        ),
        listing(
            "Drift since the beginning of the range",
            "MTU and metric now, and by how much they differ from the beginning of this range: "
            "choose the range to choose what to compare with. Metrics are Windows' alone.",
            NAMES,
            [
                Column("MTU", one("ip_interface_mtu_bytes"), "bytes"),
                Column("MTU drift", drift("ip_interface_mtu_bytes"), "bytes", None, CHANGED),
                Column("Metric", one("ip_interface_metric"), "short"),
                Column("Metric drift", drift("ip_interface_metric"), "short", None, CHANGED),
            ],
            (12, 9),
            sort_by="Device",
            ascending=True,
        ),
        timeline(
            "Forwarding",
            "Whether each interface forwards packets, as scraped.",
            over_time(one("ip_interface_forwarding_enabled"), NAME),
            SWITCHED_ON,
            (12, 9),
        ),
    )


def host() -> models.Dashboard:
    """The dashboard of one host."""
    board = frame(
        HOST_UID,
        "IP interfaces: host",
        "The IP interfaces of one host: connections, flaps, outages, settings, and the agent that "
        "tells of them. Choose one instance; of several, equal names would look the same.",
        ("IP interfaces: fleet", FLEET_UID),
        the_first,
    )
    devices = choice("device", "Device", values_of("device", NOTIFICATIONS))
    families = choice("family", "Family", values_of("family", "ip_interfaces"))
    board.with_variable(everything(devices)).with_variable(everything(families))
    resyncs = increase("ip_interface_exporter_source_resyncs_total", RATE)
    board.annotation(
        dashboard.AnnotationQuery()
        .name("Notifications were lost")
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color("red")
        # Grafana marks the moments whose value is 1.
        .expr(f"{by('instance', resyncs)} > bool 0")
    )
    for part in (at_a_glance, connections, interfaces, outages, settings, agent):
        part(board)
    return finished(board)
