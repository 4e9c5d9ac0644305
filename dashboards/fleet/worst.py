"""The interfaces to look at first, and those that began to forward."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from fleet.labels import (
    DEVICE,
    TO_DEVICE,
    disconnections,
    of_interfaces,
    of_worst,
    seconds,
    switched_off,
)
from parts.frame import closed_row, row
from parts.looks import AVAILABILITY, COUNT, GONE, SWITCHED_ON, nothing
from parts.panels import graph, over_time, steps
from parts.promql import CONNECTED, DISCONNECTED, HOSTS, OF_DEVICE, OF_HOST, RANGE, by
from parts.tables import Column, listing


def among(expression: str, ranking: str) -> str:
    """Keep the devices of a ranking."""
    return f"({expression}) and on ({OF_DEVICE}) {ranking}"


def worst(board: dashboard.Dashboard) -> None:
    """Add the interfaces to look at first."""
    lost = of_worst(disconnections())
    away = of_worst(f"min by ({OF_DEVICE}) ({seconds(DISCONNECTED)})")
    available = of_worst(f"max by ({OF_DEVICE}) ({seconds(CONNECTED)} / {seconds()})")
    off = of_worst(switched_off())
    flapping = of_worst(f"topk(10, {of_interfaces(lost)} > 0.5)")
    poorest = of_worst(f"bottomk(10, {of_interfaces(f'({available}) > 0 < 0.999999')})")
    row(
        board,
        "Worst interfaces",
        listing(
            "Most disconnections",
            "The ten devices that lost their connection most often in this range, those flaps "
            "included that no notification showed and no polled gauge can show; not what "
            "somebody switched off.",
            DEVICE,
            [
                Column("Times", flapping, COUNT, 0, limits=((None, "orange"),)),
                Column("Availability", among(available, flapping), "percentunit", 3, AVAILABILITY),
                Column(
                    "Mean outage",
                    f"{among(f'{away} / {lost}', flapping)} unless on ({OF_DEVICE}) ({off} > 0.5)",
                    "s",
                    1,
                    words=(nothing("–"),),
                ),
            ],
            (12, 12),
            sort_by="Times",
            links=TO_DEVICE,
            empty="Nothing was disconnected.",
        ),
        listing(
            "Lowest availability",
            "The ten devices that were connected for the smallest part of this range. Those never "
            "connected in it are left out: most are unused ports. Off: times that somebody "
            "switched it off.",
            DEVICE,
            [
                Column("Availability", poorest, "percentunit", 3, AVAILABILITY),
                Column("Disconnected", among(away, poorest), "s", 1),
                Column("Off", among(off, poorest), COUNT, 0),
            ],
            (12, 12),
            sort_by="Availability",
            ascending=True,
            links=TO_DEVICE,
            empty="All were connected all the time.",
        ),
    )


def forwarding(board: dashboard.Dashboard) -> None:
    """Add who forwards: such a host is a router, wanted or not."""
    changed = by(
        OF_DEVICE,
        HOSTS.increase_or_new(
            "ip_interface_parameter_changes_total", RANGE, 'parameter="forwarding_enabled"'
        ),
    )
    enabled = HOSTS.select("ip_interface_forwarding_enabled")
    closed_row(
        board,
        "Forwarding",
        steps(
            graph(
                "Hosts that forward",
                "Hosts with an IP interface that forwards packets. A step up deserves a question.",
                "short",
                over_time(f"count(max by ({OF_HOST}) ({enabled}) == 1) or vector(0)", "hosts"),
            ).interval("5m")
        ),
        listing(
            "Forwarding switched",
            "Devices whose forwarding was switched in this range, on or off, however briefly, in "
            "IPv4 or IPv6.",
            DEVICE,
            [
                Column("Switched", f"{changed} > 0", COUNT, 0),
                Column(
                    "Now",
                    among(f"max by ({OF_DEVICE}) ({enabled})", f"({changed} > 0)"),
                    words=(SWITCHED_ON, GONE),
                ),
            ],
            (12, 8),
            sort_by="Switched",
            links=TO_DEVICE,
            empty="None was switched.",
        ),
    )
