"""The host dashboard: everything about the IP interfaces of one host, and its agent."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard as models

from host.agent import agent
from host.connections import connections, outages
from host.glance import at_a_glance
from host.interfaces import interfaces
from host.labels import OF_INTERFACE, OF_THIS_HOST, TO_THIS_DEVICE
from host.otel import otel_links
from host.settings import settings, windows
from parts.alerts import alerts, firing
from parts.annotations import annotate
from parts.frame import (
    FLEET_UID,
    HOST_UID,
    choice,
    everything,
    finished,
    frame,
    options,
)
from parts.promql import HOST, INTERFACES, RATE


def host() -> models.Dashboard:
    """Return the dashboard of one host."""
    board = frame(
        HOST_UID,
        "IP interfaces: host",
        "The IP interfaces of one host: connections, flaps, outages, settings, and the agent that "
        "reports them. A device counts once; Count by shows IPv4 and IPv6 apart.",
        ("IP interfaces: fleet", FLEET_UID),
        many=False,
    )
    devices = choice("device", "Device", f"label_values({HOST.select(INTERFACES)}, device)")
    families = choice("family", "Family", f"label_values({HOST.select('ip_interfaces')}, family)")
    board.with_variable(everything(devices, None)).with_variable(everything(families, ".+"))
    board.with_variable(
        options("by", "Count by", {"Device": "device", "Device and family": OF_INTERFACE})
    )
    otel_links(board)
    resets = HOST.select("ip_interface_state_seconds_total")
    churn = HOST.select("ip_interface_churn_total")
    annotate(
        board,
        HOST,
        alerts=f"max by (alertname, severity, device) ({firing(HOST)})",
        restarts=f"max by (instance) (resets({resets}[{RATE}])) > 0",
        # As often as a container that starts and ends every few seconds.
        churn=f"sum(rate({churn}[{RATE}])) > 5",
    )
    at_a_glance(board)
    alerts(board, HOST, {"device": "Device", **OF_THIS_HOST}, TO_THIS_DEVICE)
    for part in (connections, interfaces, outages, settings, windows, agent):
        part(board)
    return finished(board)
