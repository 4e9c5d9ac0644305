"""Queries, and one constructor for each kind of panel, all in one style."""

from __future__ import annotations

from collections.abc import Iterable
from string import ascii_uppercase
from typing import TypeVar

from grafana_foundation_sdk.builders import (
    common,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    statushistory,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from parts.looks import COUNT, NO_LIMITS, color, nothing, thresholds

DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")

#: The shortest step of what is counted, and of what is recorded. Grafana's window is then the step
#: and one scrape, as long as Prometheus scrapes every 20 s or more often: it holds all growth since
#: the step before, and no event shows twice.
MINUTE = "1m"

#: The names of a panel's queries, in their order.
REFS = ascii_uppercase

Panel = TypeVar(
    "Panel",
    heatmap.Panel,
    stat.Panel,
    statetimeline.Panel,
    statushistory.Panel,
    table.Panel,
    timeseries.Panel,
)


def over_time(expr: str, legend: str) -> prometheus.Dataquery:
    """Return a query for every step of the time range."""
    return prometheus.Dataquery().expr(expr).legend_format(legend).range()


def now(expr: str, legend: str) -> prometheus.Dataquery:
    """Return a query for the end of the time range only."""
    return prometheus.Dataquery().expr(expr).legend_format(legend).instant()


def filled(
    panel: Panel,
    title: str,
    description: str,
    unit: str,
    queries: Iterable[prometheus.Dataquery],
    size: tuple[int, int],
) -> Panel:
    """Give a panel what every panel has. `size` is width (of 24) and height."""
    for ref, query in zip(REFS, queries, strict=False):
        panel.with_target(query.ref_id(ref).datasource(DATASOURCE))
    panel.title(title).description(description).unit(unit).datasource(DATASOURCE)
    return panel.span(size[0]).height(size[1])


def graph(
    title: str,
    description: str,
    unit: str,
    *queries: prometheus.Dataquery,
    size: tuple[int, int] = (12, 8),
    floor: float | None = 0,
    empty: str | None = None,
) -> timeseries.Panel:
    """Return lines over time, from `floor` up or as high as they are; their names stand beneath.

    One line is filled: of many, the fills would mix to mud. `empty` stands where there is no data.
    """
    legend = common.VizLegendOptions().display_mode(common_models.LegendDisplayMode.LIST)
    legend.placement(common_models.LegendPlacement.BOTTOM).show_legend(True)
    tooltip = common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI)
    panel = (
        timeseries.Panel().legend(legend).tooltip(tooltip.sort(common_models.SortOrder.DESCENDING))
    )
    panel.line_width(1).show_points(common_models.VisibilityMode.NEVER)
    many = len(queries) > 1 or "{{" in (queries[0].build().legend_format or "")
    panel.fill_opacity(0 if many else 10)
    if floor is not None:
        panel.min(floor)
    if empty is not None:
        panel.no_value(empty)
    return filled(panel, title, description, unit, queries, size)


def bars(panel: timeseries.Panel) -> timeseries.Panel:
    """Make stacked bars instead of lines, for things that are counted."""
    stacked = common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A")
    panel.draw_style(common_models.GraphDrawStyle.BARS).fill_opacity(80).line_width(0)
    return panel.stacking(stacked).interval(MINUTE)


def steps(panel: timeseries.Panel) -> timeseries.Panel:
    """Draw edges where a setting changed, not slopes."""
    return panel.line_interpolation(common_models.LineInterpolation.STEP_AFTER).fill_opacity(0)


def figure(
    title: str,
    description: str,
    unit: str,
    *queries: prometheus.Dataquery,
    limits: Iterable[tuple[float | None, str]] = NO_LIMITS,
    words: models.ValueMap | None = None,
    size: tuple[int, int] = (4, 4),
) -> stat.Panel:
    """Return one number, or a few, colored by `limits` or said in `words`."""
    panel = (
        stat.Panel()
        .thresholds(thresholds(*limits))
        .color_scheme(color(models.FieldColorModeId.THRESHOLDS))
        .color_mode(common_models.BigValueColorMode.VALUE)
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .mappings([*([words] if words else []), nothing("none")])
    )
    if unit == COUNT:
        panel.decimals(0)
    return filled(panel, title, description, unit, queries, size)


def timeline(
    title: str,
    description: str,
    query: prometheus.Dataquery,
    words: models.ValueMap,
    size: tuple[int, int],
) -> statetimeline.Panel:
    """Return a band for each series, colored by what the value means."""
    panel = (
        statetimeline.Panel()
        .mappings([words])
        .color_scheme(color(models.FieldColorModeId.THRESHOLDS))
        .thresholds(thresholds(*NO_LIMITS))
        .merge_values(True)
        .show_value(common_models.VisibilityMode.NEVER)
        .row_height(0.8)
        .line_width(0)
        .fill_opacity(80)
        .per_page(12)
        .legend(common.VizLegendOptions().show_legend(True))
    )
    return filled(panel, title, description, "none", [query], size)


def buckets(title: str, description: str, expr: str, size: tuple[int, int]) -> heatmap.Panel:
    """Return a histogram over time; `expr` yields the buckets of seconds."""
    colors = heatmap.HeatmapColorOptions().mode(heatmap_models.HeatmapColorMode.SCHEME)
    colors.exponent(0.5).fill("dark-orange")
    panel = (
        heatmap.Panel()
        .calculate(False)
        .color(colors.scheme("Oranges").steps(64))
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .interval(MINUTE)
        .y_axis(heatmap.YAxisConfig().unit("s"))
        .cell_values(heatmap.CellValues().unit("short").decimals(0))
        .cell_gap(1)
        .show_legend()
    )
    query = over_time(expr, "{{le}}").format(PromQueryFormat.HEATMAP).exemplar(True)
    return filled(panel, title, description, "s", [query], size)
