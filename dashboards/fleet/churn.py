"""Which hosts churn, and which churn together."""

from __future__ import annotations

from grafana_foundation_sdk.builders import common, dashboard, statushistory
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

from fleet.labels import CHURN, HOST, TO_HOST, most_together
from parts.frame import SERIES_HOST, row
from parts.looks import COUNT, color, link
from parts.panels import MINUTE, bars, filled, graph, over_time
from parts.promql import HOSTS, OF_HOST, RANGE, by
from parts.tables import Column, listing


def churn(board: dashboard.Dashboard) -> None:
    """Add which hosts churn, and which churn together."""
    # The difference of two samples, since a rate needs several, and is 0 after a restart.
    grown = f"clamp_min({HOSTS.select(CHURN)} - {HOSTS.select(CHURN)} offset $__interval, 0)"
    busiest = f"topk(20, increase({HOSTS.select(CHURN)}[{RANGE}] @ end()) > 0)"
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
        .no_value("Nothing changed.")
        .data_links([link("Open this host", SERIES_HOST)])
    )
    row(
        board,
        "Churn",
        bars(
            graph(
                "Hosts that lost a connection together",
                "Hosts of each job of which a watched device was disconnected, however briefly, "
                "within the same two minutes. A spike over many hosts is one cause, not many.",
                "short",
                over_time(f"max by (job) ({most_together('$__interval')})", "{{job}}"),
                empty="No disconnections.",
            )
        ),
        bars(
            graph(
                "Notifications of all hosts",
                "Notifications a minute by type: interfaces added, deleted, or changed.",
                "cpm",
                over_time(by("type", HOSTS.per_minute("ip_interface_churn_total")), "{{type}}"),
            )
        ),
        filled(
            history,
            "Churn of the 20 busiest hosts",
            "Notifications of each host in each step (a minute or more). A column of color is "
            "churn that hosts share; a line of color is one restless host.",
            "short",
            [
                over_time(
                    f"{grown} and on ({OF_HOST}) {busiest}",
                    "{{instance}}",
                )
            ],
            (16, 12),
        ),
        # A table: a bar gauge would cut names off.
        listing(
            "Hosts with the most churn",
            "Notifications in this range, the ten busiest hosts.",
            HOST,
            [
                Column(
                    "Notifications",
                    f"topk(10, max by ({OF_HOST}) (increase({HOSTS.select(CHURN)}[{RANGE}])) > 0)",
                    COUNT,
                    0,
                    wide=True,
                    bar=True,
                )
            ],
            (8, 12),
            sort_by="Notifications",
            links=TO_HOST,
            empty="Nothing changed.",
        ),
    )
