"""The fleet dashboard: which hosts churn, which interfaces are worst, which agents are ill."""

from __future__ import annotations

from frame import (
    AGENT,
    FLEET_UID,
    HOST_UID,
    ROW_HOST,
    ROW_INTERFACE,
    SERIES_HOST,
    everything,
    finished,
    frame,
    row,
)
from grafana_foundation_sdk.builders import bargauge, common, dashboard, statushistory
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from looks import (
    AVAILABILITY,
    CONFIRMED,
    LOADED,
    NONE_IS_GOOD,
    SWITCHED_ON,
    UP,
    color,
    link,
    nothing,
)
from panels import bars, figure, filled, graph, now, over_time, steps
from promql import (
    OF_FLEET,
    RANGE,
    RATE,
    availability,
    by,
    disconnections,
    increase,
    increase_since_birth,
    per_minute,
    seconds,
    select,
)
from tables import Column, listing

OF_HOST = "job, instance"
#: Together is within a minute: no step, and so no window, is shorter.
MINUTE = "1m"
SCRAPED = select("up")
#: `up` alone is every target of a job; these were our agents at some time of the range.
AGENTS = f"last_over_time({select(AGENT)}[{RANGE}])"

HOST = {"instance": "Host", "job": ""}
INTERFACE = {"instance": "Host", "device": "Device", "family": "Family", "job": ""}
TO_HOST = {"instance": ("Open this host", ROW_HOST)}
TO_INTERFACE = {**TO_HOST, "device": ("Open this interface", ROW_INTERFACE)}


def of_agents(expression: str) -> str:
    """Only what is about our agents, not about other targets of the same jobs."""
    return f"({expression}) and on ({OF_HOST}) {AGENTS}"


def among(expression: str, ranking: str) -> str:
    """Of an expression by interface only the interfaces of a ranking."""
    return f"({expression}) and on ({OF_FLEET}) {ranking}"


def total(metric: str, *matchers: str) -> str:
    """How much a counter grew in the range on all hosts."""
    return f"sum({increase(metric, RANGE, *matchers)})"


def at_a_glance(board: dashboard.Dashboard) -> None:
    """What a glance must tell: agents, connections, churn, losses."""
    existing, connected = (
        f"sum({select(name)})" for name in ("ip_interfaces", "ip_interfaces_connected")
    )
    row(
        board,
        "At a glance",
        figure(
            "Agents not heard",
            "Down: Prometheus cannot scrape the agent. Deaf: the system has not confirmed that it "
            "will send notifications. Both should be 0; Agents, below, names them.",
            "short",
            now(f"sum({of_agents(f'1 - {SCRAPED}')})", "down"),
            now(f"sum(1 - {select('ip_interface_exporter_source_up')})", "deaf"),
            limits=NONE_IS_GOOD,
        ),
        figure(
            "IP interfaces",
            "IP interfaces (one family on one link) that are connected now, and those that exist "
            "but are not.",
            "short",
            now(connected, "connected"),
            now(f"{existing} - {connected}", "disconnected"),
        ),
        figure(
            "Notifications",
            "Everything the systems said of their IP interfaces in this range, those included "
            "that are gone or beyond the series limit.",
            "short",
            now(total("ip_interface_churn_total"), "notifications"),
        ),
        figure(
            "Disconnections",
            "Times in this range that an IP interface lost its connection, those included that "
            "no notification showed.",
            "short",
            now(f"sum({disconnections(OF_FLEET, RANGE)})", "disconnections"),
        ),
        figure(
            "Hosts that churned together",
            "The most hosts that had a disconnection within the same minute of this range. More "
            "than a few: look for what they share, a switch or a power feed.",
            "short",
            over_time(together(disconnections(OF_HOST, RATE)), "hosts"),
            limits=((None, "green"), (3, "orange"), (10, "red")),
        )
        .interval(MINUTE)
        .reduce_options(common.ReduceDataOptions().calcs(["max"])),
        figure(
            "Losses",
            "Overruns: an agent did not receive fast enough. Dropped: notifications known to be "
            "lost. The agents then read all interfaces again.",
            "short",
            now(total("ip_interface_exporter_source_overruns_total"), "overruns"),
            now(total("ip_interface_exporter_dropped_notifications_total"), "dropped"),
            limits=NONE_IS_GOOD,
        ),
    )


def together(by_host: str) -> str:
    """On how many hosts there was any, in each window."""
    return f"sum(({by_host}) > bool 0)"


def churn(board: dashboard.Dashboard) -> None:
    """Who churns, and who churns together."""
    host_churn = by(OF_HOST, increase("ip_interface_churn_total", RATE))
    busiest = by(OF_HOST, f"increase({select('ip_interface_churn_total')}[{RANGE}] @ end())")
    history = (
        statushistory.Panel()
        .color_scheme(color(models.FieldColorModeId.CONTINUOUS_YL_RD))
        .mappings([models.ValueMap({"0": models.ValueMappingResult(color="transparent")})])
        .show_value(common_models.VisibilityMode.NEVER)
        .legend(common.VizLegendOptions().show_legend(False))
        .row_height(0.9)
        .interval(MINUTE)
        .max_data_points(100)  # more than fit side by side are refused
        .decimals(0)
        .data_links([link("Open this host", SERIES_HOST)])
    )
    ranking = (
        bargauge.Panel()
        .color_scheme(color(models.FieldColorModeId.CONTINUOUS_YL_RD))
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .display_mode(common_models.BarGaugeDisplayMode.BASIC)
        .value_mode(common_models.BarGaugeValueMode.TEXT)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .decimals(0)
        .min(0)
        .data_links([link("Open this host", SERIES_HOST)])
    )
    row(
        board,
        "Churn",
        graph(
            "Hosts that churn together",
            "On how many hosts something changed, and on how many a connection was lost, within "
            "one step (a minute or more). A spike over many hosts is one cause, not many.",
            "short",
            over_time(together(host_churn), "any notification"),
            over_time(together(disconnections(OF_HOST, RATE)), "a disconnection"),
            fill=25,
        ).interval(MINUTE),
        bars(
            graph(
                "Notifications of all hosts",
                "Notifications a minute by type: interfaces added, deleted, or changed.",
                "cpm",
                over_time(by("type", per_minute("ip_interface_churn_total")), "{{type}}"),
            )
        ),
        filled(
            history,
            "Churn of the 20 busiest hosts",
            "Notifications of each host in each step (a minute or more). A column of colour is "
            "churn that hosts share; a line of colour is one restless host.",
            "short",
            [
                over_time(
                    f"{host_churn} and on ({OF_HOST}) topk(20, {busiest})",
                    "{{instance}}",
                )
            ],
            (16, 10),
        ),
        filled(
            ranking,
            "Hosts with the most churn",
            "Notifications in this range, the ten busiest hosts. A click opens the host.",
            "short",
            [
                now(
                    f"topk(10, {by(OF_HOST, increase('ip_interface_churn_total', RANGE))})",
                    "{{instance}}",
                )
            ],
            (8, 10),
        ),
    )


def worst(board: dashboard.Dashboard) -> None:
    """The interfaces to look at first."""
    lost = disconnections(OF_FLEET, RANGE)
    flapping = f"topk(10, {lost} > 0)"
    available = availability(OF_FLEET, RANGE)
    poorest = f"bottomk(10, ({available}) > 0 < 1)"
    disconnected = seconds(OF_FLEET, RANGE, 'state="disconnected"')
    row(
        board,
        "Worst interfaces",
        listing(
            "Most disconnections",
            "The ten IP interfaces that lost their connection most often in this range, those "
            "flaps included that no notification showed and no polled gauge can show. Empty: "
            "none did.",
            INTERFACE,
            [
                Column("Disconnections", flapping, "short", 0, limits=((None, "orange"),)),
                Column("Availability", among(available, flapping), "percentunit", 3, AVAILABILITY),
                Column(
                    "Mean outage",
                    among(f"{disconnected} / {lost}", flapping),
                    "s",
                    1,
                    words=(nothing("–"),),
                ),
                Column(
                    "Notifications",
                    among(
                        by(OF_FLEET, increase("ip_interface_notifications_total", RANGE)), flapping
                    ),
                    "short",
                    0,
                ),
            ],
            (12, 10),
            sort_by="Disconnections",
            links=TO_INTERFACE,
        ),
        listing(
            "Lowest availability",
            "The ten IP interfaces that were connected for the smallest part of this range. Those "
            "never connected in it are left out: most are unused ports. Empty: all were "
            "connected all the time.",
            INTERFACE,
            [
                Column("Availability", poorest, "percentunit", 3, AVAILABILITY),
                Column("Disconnected for", among(disconnected, poorest), "s", 1),
                Column("Disconnections", among(lost, poorest), "short", 0),
            ],
            (12, 10),
            sort_by="Availability",
            ascending=True,
            links=TO_INTERFACE,
        ),
    )


def forwarding(board: dashboard.Dashboard) -> None:
    """A host that forwards is a router, wanted or not."""
    changed = by(
        OF_FLEET,
        increase_since_birth(
            "ip_interface_parameter_changes_total", RANGE, 'parameter="forwarding_enabled"'
        ),
    )
    state = f"max by ({OF_FLEET}) ({select('ip_interface_forwarding_enabled')})"
    row(
        board,
        "Forwarding",
        steps(
            graph(
                "IP interfaces that forward",
                "How many IP interfaces of each host forward packets. A step up on a host that "
                "is no router deserves a question.",
                "short",
                over_time(
                    by(OF_HOST, select("ip_interface_forwarding_enabled")) + " > 0", "{{instance}}"
                ),
            )
        ),
        listing(
            "Forwarding switched",
            "IP interfaces whose forwarding was switched in this range, on or off, however "
            "briefly. Empty: none was.",
            INTERFACE,
            [
                Column("Switched", f"{changed} > 0", "short", 0),
                Column("Now", among(state, f"{changed} > 0"), words=(SWITCHED_ON, nothing("gone"))),
            ],
            (12, 8),
            sort_by="Switched",
            links=TO_INTERFACE,
        ),
    )


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
                    "short",
                    0,
                    NONE_IS_GOOD,
                ),
                Column(
                    "Dropped",
                    of_host("ip_interface_exporter_dropped_notifications_total"),
                    "short",
                    0,
                    NONE_IS_GOOD,
                ),
                Column("Inferred", of_host(inferred), "short", 0),
                Column("Unobserved", of_host(unobserved), "short", 0),
                Column(
                    "Folded",
                    f"max by ({OF_HOST}) ({select('ip_interface_exporter_interfaces_aggregated')})",
                    "short",
                    0,
                    NONE_IS_GOOD,
                ),
                Column(
                    "Not pushed",
                    of_host("ip_interface_exporter_otlp_items_total", 'result=~"failed|dropped"'),
                    "short",
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


def fleet() -> models.Dashboard:
    """The dashboard of all hosts."""
    board = frame(
        FLEET_UID,
        "IP interfaces: fleet",
        "Which hosts churn, which interfaces are worst, what churns together, and whether the "
        "agents that tell so are well.",
        ("IP interfaces: host", HOST_UID),
        everything,
    )
    for part in (at_a_glance, churn, worst, forwarding, agents):
        part(board)
    return finished(board)
