"""What a good dashboard keeps to: the rules of grafana/dashboard-linter, and some of our own.

The linter is a Go program; its rules are repeated here, under their names there.
https://github.com/grafana/dashboard-linter/blob/main/docs/index.md
"""

import json
import re
import shutil
import subprocess
import sys
from datetime import timedelta
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import promql_parser as promql
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from support.promql import (
    Node,
    declared,
    grouping_labels,
    is_grown,
    matchers,
    nodes,
    selectors,
    str_of,
)

from grafana import (
    FOLDER,
    NAMES,
    Query,
    expand,
    load,
    panels,
    queries,
    used_variables,
    variable_query,
    variables,
)

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
RATE, RANGE = timedelta(seconds=61), timedelta(seconds=3607)
WATCHED = "instance_device:ip_interface_watched:max"
#: Any values will do, as long as the windows differ.
VALUES = {
    "__rate_interval": "61s",
    "__range": "3607s",
    "__interval": "59s",
    "cluster": "cluster",
    "job": "job",
    "instance": "instance",
    "worst": "worst",
    "interfaces": WATCHED,
    "device": "device",
    "family": "family",
    "by": "device, family",
}
#: Units of Grafana that the dashboards use.
#: https://github.com/grafana/grafana/blob/main/packages/grafana-data/src/valueFormats/categories.ts
UNITS = {"none", "locale", "short", "s", "bytes", "percentunit", "cpm", "dateTimeFromNow"}
PANEL_TYPES = {
    "stat",
    "timeseries",
    "table",
    "state-timeline",
    "status-history",
    "heatmap",
}
TARGET = {"cluster", "job", "instance"}
#: What Prometheus itself says of a target and of alerts, and the client library of a process.
NOT_OURS: dict[str, set[str]] = {
    "up": set(),
    "scrape_duration_seconds": set(),
    "process_resident_memory_bytes": set(),
    "process_cpu_seconds_total": set(),
    "process_start_time_seconds": set(),
    "ALERTS": {"alertname", "alertstate", "severity", "device"},
    "ALERTS_FOR_STATE": {"alertname", "severity", "device"},
}
#: Of a variable that is not shown.
HIDDEN = 2
#: The one panel about what there is, not about what is chosen.
ABOUT_RULES = "Recording rules"

ALL = [query for name in NAMES for query in queries(name)]
every_dashboard = pytest.mark.parametrize("name", NAMES)
every_query = pytest.mark.parametrize("query", ALL, ids=lambda query: query.where)


def recorded() -> dict[str, set[str]]:
    """The labels of each series that config/alerts records, which its name begins with."""
    files = (FOLDER.parent / "config" / "alerts").glob("*.yml")
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    names = {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}
    return {name: set(name.partition(":")[0].split("_")) - TARGET for name in names}


# -- the files --------------------------------------------------------------------------


def test_files_are_what_the_code_makes(tmp_path: Path) -> None:
    """Building again gives the same bytes; ``--check`` notices one that is different."""
    copy = tmp_path / "dashboards"
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, copy / "build.py"]
    checked = subprocess.run([*build, "--check"], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    for name in NAMES:
        path = copy / f"{name}.json"
        path.write_bytes(path.read_bytes().replace(b"Connect", b"connect", 1) + b"\n")
    checked = subprocess.run([*build, "--check"], capture_output=True, text=True, check=False)
    assert checked.returncode == 1
    assert checked.stderr.count("out of date") == len(NAMES)
    subprocess.run(build, check=True, capture_output=True)
    for name in NAMES:
        assert (copy / f"{name}.json").read_bytes() == (FOLDER / f"{name}.json").read_bytes()


def test_the_folder_has_no_other_json() -> None:
    """Grafana's provisioning takes each JSON file in the folder for a dashboard."""
    found = {path.name for path in FOLDER.rglob("*.json")}
    assert found == {f"{name}.json" for name in NAMES}


@every_dashboard
def test_schema(name: str) -> None:
    """Grafana 11.6's own types read the file and write it again without losing a thing."""
    dashboard = load(name)
    assert dashboard["schemaVersion"] == 41
    for mark in dashboard["annotations"]["list"]:
        # The schema does not know what the Prometheus data source adds.
        assert {mark.pop(member) for member in ("step",)} == {"60s"}
        assert mark.pop("titleFormat")
        mark.pop("tagKeys")
    again = json.dumps(Dashboard.from_json(dashboard), cls=JSONEncoder)
    assert json.loads(again) == dashboard


# -- the dashboard ----------------------------------------------------------------------


@every_dashboard
def test_identity(name: str) -> None:
    """A known uid, no id of one Grafana, and no editing (template-uneditable-rule)."""
    dashboard = load(name)
    assert dashboard["uid"] == f"ip-interfaces-{name}"
    assert dashboard["editable"] is False
    assert dashboard["title"]
    assert dashboard["description"]
    assert "id" not in dashboard


@every_dashboard
def test_datasource_variable(name: str) -> None:
    """One variable chooses the data source (template-datasource-rule); others are hidden."""
    found = [v for v in load(name)["templating"]["list"] if v["type"] == "datasource"]
    assert [(v["name"], v["query"], v["label"]) for v in found if v.get("hide") != HIDDEN] == [
        ("datasource", "prometheus", "Data source")
    ]


def test_target_variables_of_the_fleet() -> None:
    """Jobs and instances can be chosen, several at once (template-job-rule, -instance-rule)."""
    for name in ("job", "instance"):
        found = variables(load("fleet"))[name]
        assert found["label"] == name.title()
        assert found["multi"] is True
        assert found["includeAll"] is True
        assert found["allValue"] == ".+"


def test_target_variables_of_the_host() -> None:
    """One job and one instance: equal devices of several hosts would hide each other's outages."""
    for name in ("job", "instance"):
        found = variables(load("host"))[name]
        assert found["label"] == name.title()
        assert not found["multi"]
        assert not found["includeAll"]


@every_dashboard
def test_cluster_variable(name: str) -> None:
    """All clusters are chosen at first, also where targets have no such label."""
    cluster = variables(load(name))["cluster"]
    assert cluster["current"]["value"] == ["$__all"]
    assert cluster["allValue"] == ".*"


@every_dashboard
def test_interfaces_variable(name: str) -> None:
    """What is watched is shown at first; the choice is between metrics whose devices are meant."""
    interfaces = variables(load(name))["interfaces"]
    assert interfaces["current"] == {"selected": True, "text": "Watched", "value": WATCHED}
    choices = dict(choice.split(" : ") for choice in interfaces["query"].split(","))
    assert choices == {"Watched": WATCHED, "All": "ip_interface_transitions_total"}


@every_dashboard
def test_variable_queries(name: str) -> None:
    """Variables ask again when the range changes, of metrics that there are, on chosen targets.

    template-label-promql-rule, template-on-time-change-reload-rule
    """
    metrics = declared() | recorded()
    seen: set[str] = set()
    for variable in load(name)["templating"]["list"]:
        if variable["type"] == "query":
            query = variable_query(variable)
            assert variable["datasource"] == DATASOURCE
            assert variable["refresh"] == 2, variable["name"]
            assert used_variables(query.expression) <= seen | {"__range"}, "only those before it"
            for found in selectors(expand(query.expression, VALUES)):
                labels = metrics[found.at.name] | TARGET
                assert query.label is None or query.label in labels
                assert matchers(found.at).keys() <= labels
                if variable.get("hide") != HIDDEN:
                    assert {matchers(found.at)[other][1] for other in seen & TARGET} <= seen
        seen.add(variable["name"])


# -- links ------------------------------------------------------------------------------


@every_dashboard
def test_links_lead_to_dashboards_and_their_variables(name: str) -> None:
    """A link names a dashboard that exists, and only variables that it, or this one, has."""
    targets = {load(other)["uid"]: variables(load(other)) for other in NAMES}
    own = variables(load(name)).keys()
    for url in all_links(name):
        path, _, arguments = url.partition("?")
        if path == "/explore":
            continue
        target = targets[path.removeprefix("/d/")]
        assert set(re.findall(r"var-(\w+)=", arguments)) <= target.keys()
        kept = set(re.findall(r"\$\{(\w+):queryparam\}", arguments))
        assert kept <= own & target.keys()


def all_links(name: str) -> list[str]:
    """Every URL in a dashboard."""
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    return [json.loads(f'"{url}"') for url in re.findall(r'"url": "([^"]+)"', text)]


def link_between(name: str, other: str) -> tuple[dict[str, Any], str]:
    """The link in the head of a dashboard to the other one, and the arguments in its URL."""
    uid = load(other)["uid"]
    (link,) = [link for link in load(name)["links"] if link["url"].startswith(f"/d/{uid}")]
    assert link["keepTime"] is True
    return link, link["url"].partition("?")[2]


def test_the_host_leads_to_the_fleet_and_keeps_all_that_is_chosen() -> None:
    """The link passes on the time range and every variable."""
    link, arguments = link_between("host", "fleet")
    assert link["includeVars"] is True
    assert not arguments


def test_the_fleet_leads_to_a_host_and_keeps_what_one_host_can_have() -> None:
    """Not the jobs and instances: All, or several, would leave the dashboard of one host empty.

    Grafana keeps a value from a URL, also one that a variable does not offer.
    """
    link, arguments = link_between("fleet", "host")
    assert link["includeVars"] is False
    host = variables(load("host"))
    shared = {name for name, v in variables(load("fleet")).items() if v.get("hide") != HIDDEN}
    kept = shared & host.keys() - {"job", "instance"}
    assert arguments.split("&") == [f"${{{n}:queryparam}}" for n in host if n in kept]


def test_links_to_what_is_pushed_open_explore_on_this_host() -> None:
    """Traces and logs are asked of hidden data sources, over the same time, for one host only."""
    host = variables(load("host"))
    found = {link["title"]: link["url"] for link in load("host")["links"] if link["url"][1] == "e"}
    assert found.keys() == {"Traces", "Logs"}
    for title, url in found.items():
        (pane,) = json.loads(unquote(url.partition("panes=")[2])).values()
        source = title.lower()
        assert host[source]["hide"] == HIDDEN
        assert pane["datasource"] == f"${{{source}}}" == pane["queries"][0]["datasource"]["uid"]
        assert host[source]["query"] == pane["queries"][0]["datasource"]["type"]
        assert pane["range"] == {"from": "${__from}", "to": "${__to}"}
        query = pane["queries"][0].get("query") or pane["queries"][0]["expr"]
        assert "ip-interface-exporter" in query
        assert used_variables(query) == {"host"}


@every_dashboard
def test_rows_link_to_the_host_with_all_that_is_chosen(name: str) -> None:
    """A table links hosts and devices to the host dashboard, with all that is chosen."""
    for panel in panels(load(name)):
        if panel["type"] != "table":
            continue
        links = {
            override["matcher"]["options"]: entry["value"][0]["url"]
            for override in panel["fieldConfig"]["overrides"]
            for entry in override["properties"]
            if entry["id"] == "links"
        }
        labels = grouping_labels(expand(panel["targets"][0]["expr"], VALUES))
        if name == "fleet":
            assert links.keys() == {"instance", "device"} & labels, panel["title"]
        for label, url in links.items():
            row = {"job", "instance", label} if name == "fleet" else {label}
            for passed in row:
                assert f"var-{passed}=${{__data.fields.{passed}}}" in url
            for kept in variables(load(name)).keys() & variables(load("host")).keys() - row:
                if variables(load(name))[kept].get("hide") != HIDDEN:
                    assert f"${{{kept}:queryparam}}" in url, f"{panel['title']}: {kept}"
            assert "${__url_time_range}" in url


# -- panels -----------------------------------------------------------------------------


@every_dashboard
def test_panels_are_told_apart(name: str) -> None:
    """Panels, rows too, have ids of their own; queries of a panel have their own letters."""
    ids = [panel["id"] for row in load(name)["panels"] for panel in (row, *row.get("panels", ()))]
    assert ids == list(range(1, len(ids) + 1))
    for panel in panels(load(name)):
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs)) > 0, panel["title"]


@every_dashboard
def test_titles_descriptions_units(name: str) -> None:
    """Every panel says what it shows, and in what (panel-title-description-, -units-rule)."""
    for panel in panels(load(name)):
        assert panel["type"] in PANEL_TYPES
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        for override in panel["fieldConfig"]["overrides"]:
            for entry in override["properties"]:
                assert entry["id"] != "unit" or entry["value"] in UNITS, panel["title"]


@every_dashboard
def test_datasource_of_panels(name: str) -> None:
    """Every panel and every query asks the chosen data source (panel-datasource-rule)."""
    for panel in panels(load(name)):
        assert panel["datasource"] == DATASOURCE
        assert all(target["datasource"] == DATASOURCE for target in panel["targets"])
    assert all(
        note["datasource"] == DATASOURCE for note in load(name)["annotations"].get("list", [])
    )


@every_dashboard
def test_grid(name: str) -> None:
    """No panel overlaps another or the edge, and no line has a hole, in closed rows neither."""
    top = load(name)["panels"]
    for placed in (top, *(row["panels"] for row in top if row.get("panels"))):
        places = [panel["gridPos"] for panel in placed]
        cells = {id(at): covered(at) for at in places}
        for one, other in combinations(places, 2):
            assert not cells[id(one)] & cells[id(other)], (one, other)
        everything = set().union(*cells.values())
        lines = range(min(y for _, y in everything), max(y for _, y in everything) + 1)
        assert everything == {(x, y) for x in range(24) for y in lines}


@pytest.mark.parametrize(
    ("name", "closed"),
    [("fleet", ["Forwarding", "Agents"]), ("host", ["Settings", "Windows", "Agent"])],
)
def test_what_few_look_at_is_closed(name: str, closed: list[str]) -> None:
    """Rows that are not looked at every day are closed, and so ask nothing before a click."""
    found = [panel for panel in load(name)["panels"] if panel.get("collapsed")]
    assert [row["title"] for row in found] == closed
    for row in found:
        assert min(panel["gridPos"]["y"] for panel in row["panels"]) == row["gridPos"]["y"] + 1


def covered(at: dict[str, int]) -> set[tuple[int, int]]:
    """The cells of the grid that a panel takes."""
    return {
        (x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    }


# -- queries ----------------------------------------------------------------------------


@every_query
def test_promql(query: Query) -> None:
    """Valid PromQL of metrics and labels that there are, on the chosen targets.

    target-promql-rule, target-job-rule, target-instance-rule
    """
    expression = expand(query.expr, VALUES)
    metrics = declared() | recorded() | NOT_OURS
    # What label_replace and count_values make.
    made = r'"(\w+)", "\$1"|count_values\("(\w+)"'
    known = TARGET | {one or other for one, other in re.findall(made, expression)}
    for node in selectors(expression):
        assert node.at.name in metrics
        known |= metrics[node.at.name]
        asked = matchers(node.at)
        # What a series does not have is equal to nothing.
        wrong = asked.keys() - metrics[node.at.name] - TARGET
        assert all(asked[label][0] == promql.MatchOp.NotEqual for label in wrong), wrong
        if query.panel.get("title") == ABOUT_RULES:
            continue
        for label in TARGET:
            operator, value = asked[label]
            if query.dashboard == "host" and label != "cluster":
                # Grafana does not escape the one value of a variable for a regular expression.
                assert (operator, value) == (promql.MatchOp.Equal, label)
                continue
            assert operator == promql.MatchOp.Re
            # The worst hosts are chosen of those chosen; an alert can be about none.
            assert value in {label} | ({"worst", "instance|"} if label == "instance" else set())
    assert grouping_labels(expression) <= known


@every_query
def test_counters_are_seen_growing(query: Query) -> None:
    """No panel shows the bare value of a counter (target-counter-agg-rule)."""
    for node in selectors(expand(query.expr, VALUES)):
        if node.at.name.endswith(("_total", "_bucket", "_count", "_sum", ":sum")):
            assert is_grown(node) or is_difference(node), node.at.prettify()


def is_difference(node: Node) -> bool:
    """The counter of this selector is only compared with itself, then or in the same window."""
    calls = [part.func.name for part in node.inside if isinstance(part, promql.Call)]
    if calls[-1:] in (["max_over_time"], ["min_over_time"], ["clamp_min"]):
        minus = [p for p in node.inside if isinstance(p, promql.BinaryExpr) and str(p.op) == "-"]
        return {found.at.name for found in selectors(str_of(minus[-1]))} == {node.at.name}
    return calls[-1:] == ["resets"]


@every_query
def test_windows_are_grafanas(query: Query) -> None:
    """Windows follow the panel's resolution, or are the whole range (target-rate-interval-rule).

    A query for every step has the former, or else it would show each event many times; only
    what is fixed to the end of the range may look over all of it.
    """
    for node in nodes(expand(query.expr, VALUES)):
        if not isinstance(node.at, promql.MatrixSelector):
            continue
        instant = query.target.get("instant", False)
        fixed = node.at.vector_selector.at is not None
        assert node.at.range == (RANGE if instant or fixed else RATE), node.at.prettify()
        call = node.inside[-1]
        assert call.func.name not in ("rate", "irate") or node.at.range == RATE


@every_query
def test_legends(query: Query) -> None:
    """Every series has a name of a few words; tables have columns instead."""
    legend = query.target.get("legendFormat")
    if query.panel.get("type") == "table":
        assert not legend
        assert query.target["format"] == "table"
    elif legend is not None:
        assert legend.strip()
        assert query.target["instant"] != query.target["range"]
