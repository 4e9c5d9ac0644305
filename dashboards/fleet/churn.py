"""Who churns, and who churns together."""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, common, dashboard, statushistory
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

from fleet.labels import MINUTE, OF_HOST, together
from parts.frame import SERIES_HOST, row
from parts.looks import color, link
from parts.panels import bars, filled, graph, now, over_time
from parts.promql import RANGE, RATE, by, disconnections, increase, per_minute, select


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
