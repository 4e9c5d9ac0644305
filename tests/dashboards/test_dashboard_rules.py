"""What a good dashboard keeps to: the rules of grafana/dashboard-linter, and some of our own.

The linter is a Go program; its rules are said here again, by their names there.
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

import promql_parser as promql
import pytest
from grafana import (
    FOLDER,
    NAMES,
    Query,
    expand,
    label_values,
    load,
    panels,
    queries,
    used_variables,
    variables,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from support.promql import declared, grouping_labels, is_grown, matchers, nodes, selectors

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
RATE, RANGE = timedelta(seconds=61), timedelta(seconds=3607)
#: Any values will do, as long as the windows can be told apart.
VALUES = {
    "__rate_interval": "61s",
    "__range": "3607s",
    "job": "job",
    "instance": "instance",
    "device": "device",
    "family": "family",
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
    "bargauge",
}
#: What Prometheus itself says of a target, and the client library of a process.
NOT_OURS = {
    "up",
    "scrape_duration_seconds",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
}
TARGET = {"job", "instance"}

ALL = [query for name in NAMES for query in queries(name)]
every_dashboard = pytest.mark.parametrize("name", NAMES)
every_query = pytest.mark.parametrize("query", ALL, ids=lambda query: query.where)


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


@every_dashboard
def test_schema(name: str) -> None:
    """Grafana 11.6's own types read the file and write it again without losing a thing."""
    dashboard = load(name)
    assert dashboard["schemaVersion"] == 41
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
    """One variable chooses the data source (template-datasource-rule)."""
    found = [v for v in load(name)["templating"]["list"] if v["type"] == "datasource"]
    assert [(v["name"], v["query"], v["label"]) for v in found] == [
        ("datasource", "prometheus", "Data source")
    ]


@every_dashboard
@pytest.mark.parametrize("variable", ["job", "instance"])
def test_target_variables(name: str, variable: str) -> None:
    """Jobs and instances can be chosen, several at once (template-job-rule, -instance-rule)."""
    found = variables(load(name))[variable]
    assert found["type"] == "query"
    assert found["label"] == variable.title()
    assert found["datasource"] == DATASOURCE
    assert found["multi"] is True
    assert found["allValue"] == ".+"


@every_dashboard
def test_variable_queries(name: str) -> None:
    """Variables ask for label values, again when the range changes, of a metric that there is.

    template-label-promql-rule, template-on-time-change-reload-rule
    """
    seen: set[str] = set()
    for variable in load(name)["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = label_values(variable["query"])
            assert selector
            assert variable["refresh"] == 2, variable["name"]
            assert used_variables(selector) <= seen, "only variables before it"
            (found,) = selectors(expand(selector, VALUES))
            assert label in declared()[found.at.name] | TARGET
            for other in seen & TARGET:
                assert matchers(found.at)[other] == (promql.MatchOp.Re, other)
            seen.add(variable["name"])


@every_dashboard
def test_links_lead_to_dashboards_and_their_variables(name: str) -> None:
    """A link names a dashboard that exists, and only variables that it has."""
    targets = {load(other)["uid"]: variables(load(other)) for other in NAMES}
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    links = re.findall(r'"url": "([^"]+)"', text)
    assert links
    for url in links:
        path, _, arguments = url.partition("?")
        target = targets[path.removeprefix("/d/")]
        assert "${datasource:queryparam}" in arguments
        assert set(re.findall(r"var-(\w+)=", arguments)) <= target.keys()
    assert load(name)["links"], "a way to the other dashboard"


def test_rows_link_to_the_host_with_all_that_was_chosen() -> None:
    """Every table of the fleet passes job, instance and the time range on; by device if it can."""
    for panel in panels(load("fleet")):
        if panel["type"] != "table":
            continue
        links = {
            override["matcher"]["options"]: entry["value"][0]["url"]
            for override in panel["fieldConfig"]["overrides"]
            for entry in override["properties"]
            if entry["id"] == "links"
        }
        labels = grouping_labels(expand(panel["targets"][0]["expr"], VALUES))
        assert links.keys() == {"instance", "device"} & labels, panel["title"]
        for label, url in links.items():
            for passed in TARGET | {label}:
                assert f"var-{passed}=${{__data.fields.{passed}}}" in url
            assert url.endswith("${__url_time_range}") or "${__url_time_range}&" in url


# -- panels -----------------------------------------------------------------------------


@every_dashboard
def test_panels_are_told_apart(name: str) -> None:
    """Panels, rows too, have ids of their own; queries of a panel have their own letters."""
    ids = [panel["id"] for panel in load(name)["panels"]]
    assert len(ids) == len(set(ids))
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
    """No panel overlaps another or the edge, and no line has a hole."""
    placed = [panel["gridPos"] for panel in load(name)["panels"]]
    cells = {id(at): covered(at) for at in placed}
    for one, other in combinations(placed, 2):
        assert not cells[id(one)] & cells[id(other)], (one, other)
    everything = set().union(*cells.values())
    assert everything == {
        (x, y) for x in range(24) for y in range(max(y for _, y in everything) + 1)
    }


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
    metrics = declared() | {name: set() for name in NOT_OURS}
    known = set(TARGET)
    for node in selectors(expression):
        assert node.at.name in metrics
        known |= metrics[node.at.name]
        asked = matchers(node.at)
        assert asked.keys() <= metrics[node.at.name] | TARGET
        for label in TARGET:
            assert asked[label] == (promql.MatchOp.Re, label), f"{label} as chosen"
    assert grouping_labels(expression) <= known


@every_query
def test_counters_are_seen_growing(query: Query) -> None:
    """No panel shows the bare value of a counter (target-counter-agg-rule)."""
    for node in selectors(expand(query.expr, VALUES)):
        if node.at.name.endswith(("_total", "_bucket", "_count", "_sum")):
            assert is_grown(node), node.at.prettify()


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
        assert legend
        assert query.target["instant"] != query.target["range"]
