"""The host dashboard: everything about the IP interfaces of one host, and its agent."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models

from host.agent import agent
from host.connections import connections, outages
from host.glance import at_a_glance
from host.interfaces import interfaces
from host.labels import NOTIFICATIONS
from host.settings import settings
from parts.frame import (
    FLEET_UID,
    HOST_UID,
    choice,
    everything,
    finished,
    frame,
    the_first,
    values_of,
)
from parts.panels import DATASOURCE
from parts.promql import RATE, by, increase


def losses() -> dashboard.AnnotationQuery:
    """Marks on all panels where the agent missed something."""
    resyncs = increase("ip_interface_exporter_source_resyncs_total", RATE)
    return (
        dashboard.AnnotationQuery()
        .name("Notifications were lost")
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color("red")
        # Grafana marks the moments whose value is 1.
        .expr(f"{by('instance', resyncs)} > bool 0")
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
    board.annotation(losses())
    for part in (at_a_glance, connections, interfaces, outages, settings, agent):
        part(board)
    return finished(board)
