"""What is around the panels: the frame, its variables, rows, and the links between dashboards."""

from __future__ import annotations

import itertools

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as models

from parts.panels import DATASOURCE
from parts.promql import ALL, WATCHED

FLEET_UID = "ip-interfaces-fleet"
HOST_UID = "ip-interfaces-host"

#: Every agent has it, whatever else it has.
AGENT = "ip_interface_exporter_build_info"

#: What a link to the host dashboard passes on from either dashboard, besides job and instance.
_CHOSEN = "${datasource:queryparam}&${cluster:queryparam}&${interfaces:queryparam}"
_KEPT = f"{_CHOSEN}&${{__url_time_range}}"
#: The host dashboard of a table's row, or of a series.
ROW_HOST = (
    f"/d/{HOST_UID}?{_KEPT}&var-job=${{__data.fields.job}}&var-instance=${{__data.fields.instance}}"
)
ROW_DEVICE = f"{ROW_HOST}&var-device=${{__data.fields.device}}"
SERIES_HOST = (
    f"/d/{HOST_UID}?{_KEPT}"
    "&var-job=${__field.labels.job}&var-instance=${__field.labels.instance}"
)
#: The same host dashboard for one device.
THIS_DEVICE = (
    f"/d/{HOST_UID}?{_KEPT}&${{job:queryparam}}&${{instance:queryparam}}&${{family:queryparam}}"
    "&${by:queryparam}&var-device=${__data.fields.device}"
)


def choice(name: str, label: str, query: str) -> dashboard.QueryVariable:
    """Return a variable of one label's values."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .query(query)
        .datasource(DATASOURCE)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.NATURAL_ASC)
    )


def everything(variable: dashboard.QueryVariable, all_value: str | None) -> dashboard.QueryVariable:
    """Let several values be chosen, and begin with all of them.

    `all_value` is the regular expression for all; None: exactly the values on offer.
    """
    chosen = models.VariableOption(selected=True, text=["All"], value=["$__all"])
    variable.multi(True).include_all(True).current(chosen)
    return variable if all_value is None else variable.all_value(all_value)


def options(name: str, label: str, values: dict[str, str]) -> dashboard.CustomVariable:
    """Return a variable of a few values (by the text to show); the first is chosen at first."""
    text, value = next(iter(values.items()))
    escaped = {text: value.replace(",", r"\,") for text, value in values.items()}
    return (
        dashboard.CustomVariable(name)
        .label(label)
        .values(",".join(f"{text} : {value}" for text, value in escaped.items()))
        .current(models.VariableOption(selected=True, text=text, value=value))
    )


def frame(
    uid: str, title: str, description: str, companion: tuple[str, str], *, many: bool
) -> dashboard.Dashboard:
    """Return a dashboard without panels: read-only, with a link to its companion (title, uid).

    `many`: of many hosts, all at first; otherwise of one.
    """
    name, other = companion
    way = dashboard.DashboardLink(name).type(models.DashboardLinkType.LINK).icon("dashboard")
    # All hosts, or several, are no value for one host: Grafana would keep it, and find nothing.
    url = f"/d/{other}?{_CHOSEN}" if many else f"/d/{other}"
    way.url(url).tooltip(f"Open {name}").keep_time(True).include_vars(not many)
    source = dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    # `.*`: where there is one cluster, the targets have no such label.
    cluster = choice("cluster", "Cluster", f"label_values({AGENT}, cluster)")
    job = choice("job", "Job", f'label_values({AGENT}{{cluster=~"$cluster"}}, job)')
    of_job = 'job=~"$job"' if many else 'job="$job"'
    instance = choice(
        "instance",
        "Instance",
        f'label_values({AGENT}{{cluster=~"$cluster", {of_job}}}, instance)',
    )
    everything(cluster, ".*")
    for variable in (job, instance):
        if many:
            everything(variable, ".+")
        else:
            variable.multi(False).include_all(False)
    interfaces = options("interfaces", "Interfaces", {"Watched": WATCHED, "All": ALL})
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["ip-interface-exporter"])
        .readonly()
        .timezone("browser")
        .time("now-6h", "now")
        .refresh("1m")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(way)
        .variables([source, cluster, job, instance, interfaces])
    )


def row(board: dashboard.Dashboard, title: str, *panels: Builder[models.Panel]) -> None:
    """Add a row of panels, from left to right and on to the next line when it is full."""
    board.with_row(dashboard.Row(title))
    for panel in panels:
        board.with_panel(panel)


def closed_row(board: dashboard.Dashboard, title: str, *panels: Builder[models.Panel]) -> None:
    """Add a row that is opened by a click, and asks nothing before."""
    closed = dashboard.Row(title)
    for panel in panels:
        closed.with_panel(panel)
    board.with_row(closed)


def finished(unfinished: dashboard.Dashboard) -> models.Dashboard:
    """Return the dashboard, with its panels numbered from 1 in the order in which they stand.

    The builder leaves room for the panels of a closed row: what follows moves up.
    """
    built = unfinished.build()
    numbers = itertools.count(1)
    hidden = 0
    for panel in built.panels or []:
        inside = panel.panels if isinstance(panel, models.RowPanel) else []
        for each in (panel, *inside):
            each.id_val = next(numbers)
            assert each.grid_pos is not None
            each.grid_pos.y -= hidden
        ends = [each.grid_pos.y + each.grid_pos.h for each in inside if each.grid_pos]
        if ends:
            assert panel.grid_pos is not None
            hidden += max(ends) - panel.grid_pos.y - 1
    return built
