"""How the hosts and devices of a fleet are told apart, and where a click on one leads."""

from __future__ import annotations

from parts.frame import ROW_DEVICE, ROW_HOST
from parts.promql import (
    DISCONNECTED,
    DISCONNECTIONS,
    HOSTS,
    LOST,
    OF_DEVICE,
    OF_HOST,
    RANGE,
    SWITCHED_OFF,
    UNOBSERVED,
    by,
)

#: Recorded by config/alerts/recording.yml, once a minute.
RECENTLY_LOST = "instance_device:ip_interface_disconnections:increase5m"
DISCONNECTED_RATIO = "instance_device:ip_interface_disconnected:ratio_rate5m"
CHURN = "instance:ip_interface_churn:sum"

HOST = {"instance": "Host", "job": "", "cluster": ""}
DEVICE = {"instance": "Host", "device": "Device", "job": "", "cluster": ""}
TO_HOST = {"instance": ("Open this host", ROW_HOST)}
TO_DEVICE = {**TO_HOST, "device": ("Open this device", ROW_DEVICE)}

OUTAGES = "ip_interface_outage_duration_seconds_count"


def together() -> str:
    """Return the hosts of each job that lost a connection within two minutes.

    The same as IpInterfaceManyHostsDisconnected counts: agents of one host count once.
    """
    lost = HOSTS.select(RECENTLY_LOST)
    new = f"{lost} unless on ({OF_DEVICE}) {lost} offset 2m"
    of_host = f'label_replace({new}, "host", "$1", "instance", "(.+?)(:[0-9]+)?")'
    return f"count by (cluster, job) (count by (cluster, job, host) ({of_host}))"


def most_together(window: str) -> str:
    """Return the most at once in each window, in whose every minute there was a sample."""
    return f"max_over_time({together()}[{window}:1m])"


def worst_hosts() -> str:
    """Return the hosts that have the ten worst devices, and the twenty with most outages.

    What is recorded is cheap and ranks; only these few hosts are asked for exact figures.
    """
    lost = f"sum_over_time({HOSTS.select(RECENTLY_LOST)}[{RANGE}]) > 0"
    away = f"sum_over_time({HOSTS.select(DISCONNECTED_RATIO)}[{RANGE}])"
    outages = f"{by(OF_HOST, HOSTS.increase(OUTAGES, RANGE))} > 0"
    return (
        f"topk(10, max by ({OF_HOST}) ({lost})) "
        f"or topk(10, max by ({OF_HOST}) ({away})) "
        f"or topk(20, {outages})"
    )


def of_worst(expression: str) -> str:
    """Ask the worst hosts only."""
    return expression.replace('"$instance"', '"$worst"')


def of_interfaces(expression: str) -> str:
    """Keep the devices that are watched, or all, as chosen."""
    chosen = f"last_over_time({HOSTS.select('$interfaces')}[{RANGE}])"
    return f"(({expression}) and on ({OF_DEVICE}) {chosen})"


def disconnections() -> str:
    """Return the disconnections in the range that nobody meant, as host.labels has them."""
    family = f"{OF_DEVICE}, family"
    shown = by(family, HOSTS.increase(DISCONNECTIONS, RANGE, LOST))
    proven = by(family, HOSTS.increase(UNOBSERVED, RANGE, DISCONNECTED))
    return f"max by ({OF_DEVICE}) ({shown} + {proven})"


def switched_off() -> str:
    """Return how often in the range somebody switched a device off."""
    per_family = by(f"{OF_DEVICE}, family", HOSTS.increase(DISCONNECTIONS, RANGE, SWITCHED_OFF))
    return f"max by ({OF_DEVICE}) ({per_family})"


def seconds(*matchers: str) -> str:
    """Return the time in state in the range by device and family."""
    return by(
        f"{OF_DEVICE}, family", HOSTS.increase("ip_interface_state_seconds_total", RANGE, *matchers)
    )
