"""What is around the panels: the frame, its variables, the ways from one dashboard to the other."""

from __future__ import annotations

from collections.abc import Callable

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as models

from parts.panels import DATASOURCE
from parts.promql import select

FLEET_UID = "ip-interfaces-fleet"
HOST_UID = "ip-interfaces-host"

#: The host dashboard of a table's row, or of a series; the time range goes along.
ROW_HOST = (
    f"/d/{HOST_UID}?${{datasource:queryparam}}&var-job=${{__data.fields.job}}"
    "&var-instance=${__data.fields.instance}&${__url_time_range}"
)
ROW_INTERFACE = f"{ROW_HOST}&var-device=${{__data.fields.device}}"
SERIES_HOST = (
    f"/d/{HOST_UID}?${{datasource:queryparam}}&var-job=${{__field.labels.job}}"
    "&var-instance=${__field.labels.instance}&${__url_time_range}"
)


def choice(name: str, label: str, query: str) -> dashboard.QueryVariable:
    """A variable of one label's values, of which several can be chosen."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .query(query)
        .datasource(DATASOURCE)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.NATURAL_ASC)
        .multi(True)
        .all_value(".+")
    )


def everything(variable: dashboard.QueryVariable) -> dashboard.QueryVariable:
    """A variable that begins with all values chosen."""
    chosen = models.VariableOption(selected=True, text=["All"], value=["$__all"])
    return variable.include_all(True).current(chosen)


def the_first(variable: dashboard.QueryVariable) -> dashboard.QueryVariable:
    """A variable that begins with its first value, and never has all of them chosen."""
    return variable.include_all(False)


#: Which values of a variable are chosen at first.
Choice = Callable[[dashboard.QueryVariable], dashboard.QueryVariable]

#: Every agent has it, whatever else it has.
AGENT = "ip_interface_exporter_build_info"


def values_of(label: str, metric: str) -> str:
    """The variable query for a label's values on the chosen hosts."""
    return f"label_values({select(metric)}, {label})"


def frame(
    uid: str, title: str, description: str, companion: tuple[str, str], hosts: Choice
) -> dashboard.Dashboard:
    """A dashboard without panels: read-only, with a link to its companion (title, uid).

    `hosts` says which hosts it begins with: `everything` or `the_first`.
    """
    name, other = companion
    way = dashboard.DashboardLink(name).type(models.DashboardLinkType.LINK).icon("dashboard")
    way.url(f"/d/{other}?${{datasource:queryparam}}").tooltip(f"Open {name}").keep_time(True)
    source = dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    job = choice("job", "Job", f"label_values({AGENT}, job)")
    instance = choice("instance", "Instance", f'label_values({AGENT}{{job=~"$job"}}, instance)')
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
        .variables([source, everything(job), hosts(instance)])
    )


def row(board: dashboard.Dashboard, title: str, *panels: Builder[models.Panel]) -> None:
    """Add a row of panels, from left to right and on to the next line when it is full."""
    board.with_row(dashboard.Row(title))
    for panel in panels:
        board.with_panel(panel)


def finished(unfinished: dashboard.Dashboard) -> models.Dashboard:
    """The dashboard, with its panels numbered from 1 in the order in which they stand."""
    built = unfinished.build()
    for number, panel in enumerate(built.panels or [], 1):
        panel.id_val = number
    return built
