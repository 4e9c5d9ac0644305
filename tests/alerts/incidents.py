"""For each alert an incident that fires it, and one that nearly does, as the series of a host."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import NamedTuple

#: The value of a series so many minutes after the incident begins; None: there is no series.
Value = Callable[[float], float | None]
Series = dict[str, Value]


def steps(before: float | None, changes: Mapping[float, float | None]) -> Value:
    """A value that changes at these minutes."""
    return lambda minute: [before, *(v for m, v in changes.items() if m <= minute)][-1]


def grows(rates: Mapping[float, float]) -> Value:
    """A counter that grows by so much a minute from each of these minutes on."""
    ends = [*rates, float("inf")]
    return lambda minute: sum(
        rate * max(min(minute, end) - start, 0)
        for rate, (start, end) in zip(rates.values(), pairwise(ends), strict=True)
    )


def always(value: float) -> Value:
    """A value that stays."""
    return lambda _: value


def link(metric: str, device: str = "eth0", **labels: str) -> str:
    """A series of an IP interface."""
    number = "21" if device == "eth0" else "32"
    labels = {"device": device, "family": "ipv4", "luid": f"0x{number[1]}", **labels}
    return own(f"ip_interface_{metric}", **labels, index=number[0])


def own(metric: str, **labels: str) -> str:
    """A series of a host or an agent."""
    return metric + "{" + ", ".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


INFO = {"kind": "", "type": "6"}
CONNECTED = link("connected")
ENABLED = link("enabled")
LOST = link("disconnections_total", cause="carrier")
DOWNTIME = link("state_seconds_total", state="disconnected")
UP = own("up")
START = own("process_start_time_seconds")
NOTIFICATIONS = own("ip_interface_churn_total", family="ipv4", type="parameter")
SOURCE = own("ip_interface_exporter_source_up")
OVERRUNS = own("ip_interface_exporter_source_overruns_total")
RELOADED = own("ip_interface_exporter_config_last_reload_successful")
AGGREGATED = own("ip_interface_exporter_interfaces_aggregated")
FAILED = own("ip_interface_exporter_otlp_items_total", signal="traces", result="failed")
SECOND_THRESHOLD = own("ip_interface:threshold", threshold="churn_per_second", rule="other")

#: A host on which nothing happens: a card, and a little traffic of messages.
HEALTHY: Series = {
    UP: always(1),
    START: always(1_000_000),
    own("ip_interface_exporter_notification_lag_seconds_count"): grows({-600: 9}),
    NOTIFICATIONS: grows({-600: 9}),
    SOURCE: always(1),
    OVERRUNS: always(0),
    own("ip_interface_exporter_dropped_notifications_total"): always(0),
    own("ip_interface_exporter_inferred_notifications_total", type="add"): always(0),
    RELOADED: always(1),
    AGGREGATED: always(0),
    FAILED: always(0),
    link("info", **INFO): always(1),
    CONNECTED: always(1),
    ENABLED: always(1),
    link("mtu_bytes"): always(1500),
    link("forwarding_enabled"): always(0),
    link("notifications_total", type="add"): always(0),
    link("notifications_total", type="delete"): always(0),
    LOST: always(0),
    link("unobserved_transitions_total", state="disconnected"): always(0),
    DOWNTIME: always(0),
}
_CARD = [series for series in HEALTHY if 'device="eth0"' in series]


#: Minutes for which a host is known before the incident, if these are enough.
KNOWN = 60


class Incident(NamedTuple):
    """What happens on a host, and which alerts fire."""

    series: Series
    #: Minutes until the alert fires, at most.
    within: int = 20
    #: When the agent is replaced by another pod, in minutes after the incident begins.
    roll_out: int = -3
    #: Hosts to which it happens.
    hosts: int = 1


class Case(NamedTuple):
    """An alert that is about one thing, and not about the other."""

    fires: Incident
    silent: Incident
    #: Minutes for which the host is known before the incident.
    known: int = KNOWN
    #: It is about the server as a whole, so each incident has a server of its own.
    of_server: bool = False


def lost(times: Mapping[float, float]) -> Series:
    """The card is disconnected at these minutes, for so many each."""
    gauge = {at: value for m, length in times.items() for at, value in ((m, 0), (m + length, 1))}
    rates = {at: 60.0 * (1 - value) for at, value in gauge.items()}
    counts = {at: number for number, at in enumerate(times, 1)}
    return {CONNECTED: steps(1, gauge), DOWNTIME: grows(rates), LOST: steps(0, counts)}


def away(minutes: float) -> Series:
    """The card is not there."""
    return {
        series: steps(value(0), {0: None, minutes: value(0)})
        for series in _CARD
        if (value := HEALTHY[series])
    }


def second(metric: str, value: Value, **labels: str) -> Series:
    """One series of a second card."""
    return {link(metric, "eth1", **labels): value}


FOR_EVER = 1000


CASES: dict[str, Case] = {
    # Four flaps that no gauge shows, and three.
    "IpInterfaceFlapping": Case(
        Incident({LOST: steps(0, {0: 1, 1: 2, 2: 3, 3: 4})}),
        Incident({LOST: steps(0, {0: 1, 1: 2, 2: 3})}),
    ),
    # A flap between two scrapes, and an outage that every scrape sees.
    "IpInterfaceFlapMissedByGauges": Case(
        Incident({LOST: steps(0, {0: 1})}, within=40), Incident(lost({0: 3}))
    ),
    # A cable pulled for good, and one that is moved. The agent is rolled out during the outage.
    "IpInterfaceDown": Case(
        Incident(lost({0: FOR_EVER}), roll_out=3), Incident(lost({0: 4}), roll_out=1)
    ),
    # A reboot from which a card does not come back, and one from which it does.
    "IpInterfaceMissing": Case(
        Incident(away(FOR_EVER), within=45, roll_out=0), Incident(away(3), roll_out=0)
    ),
    # Three outages in an hour, and two.
    "IpInterfaceErrorBudgetBurnsFast": Case(
        Incident(lost({0: 2, 10: 2, 20: 2}), within=40, roll_out=5), Incident(lost({0: 2, 20: 2}))
    ),
    "IpInterfaceErrorBudgetBurnsSlowly": Case(
        Incident(lost({0: 3, 20: 3, 40: 3}), within=60, roll_out=5), Incident(lost({0: 3, 40: 3}))
    ),
    # A switch of five hosts reboots, and one of four.
    "IpInterfaceManyHostsDisconnected": Case(
        Incident(lost({0: 3}), hosts=5), Incident(lost({0: 3}), hosts=4)
    ),
    # 25 notifications a second for half an hour, and for eight minutes.
    "IpInterfaceMassChurn": Case(
        Incident({NOTIFICATIONS: grows({-600: 9, 0: 1500, 30: 9})}, within=25),
        Incident({NOTIFICATIONS: grows({-600: 9, 0: 1500, 8: 9})}),
    ),
    # A card that is plugged in, and one that was added when the host was not yet seen.
    "IpInterfaceAdded": Case(
        Incident(
            second("info", steps(None, {0: 1}), **INFO)
            | second("notifications_total", steps(None, {0: 1}), type="add")
        ),
        Incident(
            second("info", always(1), **INFO) | second("notifications_total", always(1), type="add")
        ),
    ),
    # A card that is unplugged; and the end of the series of one that was gone before.
    "IpInterfaceDeleted": Case(
        Incident(
            second("info", steps(1, {0: None}), **INFO)
            | second("notifications_total", steps(0, {0: 1, 10: None}), type="delete")
        ),
        Incident(second("notifications_total", steps(1, {0: None}), type="delete")),
    ),
    # A port in use is switched off, and one that never was in use.
    "IpInterfaceDisabled": Case(
        Incident({ENABLED: steps(1, {0: 0}), CONNECTED: steps(1, {0: 0})}, roll_out=3),
        Incident({ENABLED: steps(1, {0: 0}), CONNECTED: always(0)}, roll_out=3),
    ),
    # Another MTU than always; and that of a device which is new.
    "IpInterfaceMtuChanged": Case(
        Incident({link("mtu_bytes"): steps(1500, {0: 9000})}, roll_out=3),
        Incident(
            second("info", steps(None, {-60: 1}), **INFO)
            | second("mtu_bytes", steps(None, {-60: 1500, 0: 9000}))
        ),
        known=200,
    ),
    # A host begins to forward when it is updated; one that always did gets another interface.
    "IpInterfaceForwardingEnabled": Case(
        Incident({link("forwarding_enabled"): steps(0, {0: 1})}, roll_out=0),
        Incident(
            {link("forwarding_enabled"): always(1)}
            | second("forwarding_enabled", steps(None, {0: 1}))
        ),
    ),
    # A host is switched off; an upgrade.
    "IpInterfaceExporterDown": Case(
        Incident({UP: steps(1, {0: 0})}, roll_out=2), Incident({UP: steps(1, {0: 0, 3: 1})})
    ),
    # Discovery finds nothing, for ever and for a while.
    "IpInterfaceExporterAbsent": Case(
        Incident({UP: steps(1, {0: None})}),
        Incident({UP: steps(1, {0: None, 5: 1})}),
        of_server=True,
    ),
    # Samples of two agents in turn; an agent that crashes again and again.
    "IpInterfaceInstanceShared": Case(
        Incident({START: lambda m: 1_000_000 + (1000 if m > 0 and m // 1 % 2 else 0)}),
        Incident({START: steps(1_000_000, {m: 1_000_000 + 60 * m for m in range(0, 15, 3)})}),
    ),
    # Not confirmed for long; a moment after the start.
    "IpInterfaceSourceNotConfirmed": Case(
        Incident({SOURCE: steps(1, {0: 0})}, within=10, roll_out=1),
        Incident({SOURCE: steps(1, {0: 0, 1: 1})}, roll_out=-1),
    ),
    # An overrun; the end of a process that had one.
    "IpInterfaceNotificationsLost": Case(
        Incident({OVERRUNS: steps(3, {0: 4})}), Incident({OVERRUNS: always(3)})
    ),
    # An endpoint that is down for half an hour, and for three minutes.
    "IpInterfaceOtlpDropping": Case(
        Incident({FAILED: grows({0: 8, 30: 0})}, within=30, roll_out=3),
        Incident({FAILED: grows({0: 8, 3: 0})}),
    ),
    # Many containers, and many short-lived ones.
    "IpInterfaceSeriesLimitReached": Case(
        Incident({AGGREGATED: steps(0, {0: 17})}, within=30, roll_out=3),
        Incident({AGGREGATED: steps(0, {0: 17, 10: 0})}),
    ),
    # A mistake in the file, and one that is corrected at once.
    "IpInterfaceConfigReloadFailed": Case(
        Incident({RELOADED: steps(1, {0: 0})}, within=10),
        Incident({RELOADED: steps(1, {0: 0, 1: 1})}),
    ),
    # Two evaluators that record into one store, for ever and while one replaces the other.
    "IpInterfaceThresholdMissing": Case(
        Incident({SECOND_THRESHOLD: steps(None, {0: 20})}),
        Incident({SECOND_THRESHOLD: steps(None, {0: 20, 5: None})}),
        of_server=True,
    ),
}
