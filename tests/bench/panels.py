"""What a refresh of the fleet dashboard costs a Prometheus: CPU for each panel, of an hour.

The store is that of the rules: a made-up fleet in the agent's own format, and what the recording
rules make of it, each with a flat past.
"""

import math
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from fleet_pages import write_fleet
from fleet_prometheus import FleetPrometheus, temporary_folder
from report import Size, heading, table
from rules import past, record, rules
from support.agent import PROJECT

sys.path.append(str(PROJECT / "dashboards"))

import grafana

_SCRAPE_SECONDS = 15
_RANGE_SECONDS = 3600
#: Half of a wide screen.
_PIXELS = 800
_MODES = {
    "watched": "instance_device:ip_interface_watched:max",
    "all": "ip_interface_transitions_total",
}


class _Dashboard(NamedTuple):
    """The dashboard as a server answers it."""

    dashboard: dict[str, Any]
    times: grafana.Times
    server: FleetPrometheus | None

    def expressions(self) -> list[str]:
        """Everything that it can ask, for any choice."""
        asked = [
            grafana.expand(query.expr, self._windows(query.panel) | values)
            for query in grafana.queries("fleet")
            for values in map(self._values, _MODES)
        ]
        return asked + [expression for _, expression in self._variables("all")]

    def _values(self, mode: str) -> dict[str, str]:
        choices = {"interfaces": _MODES[mode]}
        return grafana.resolve(self.dashboard, choices, self._offered)

    def _offered(self, variable: Any, values: Any) -> list[str]:
        query = grafana.variable_query(variable)
        expression = grafana.expand(query.expression, self._windows({}) | values)
        if query.label is not None or self.server is None:
            return []
        found = self.server.ask("query", query=expression, time=self.times.end)
        return grafana.values_of(variable, grafana.texts_of(each["metric"] for each in found))

    def _windows(self, panel: dict[str, Any]) -> dict[str, str]:
        return self.times.windows(panel)

    def _variables(self, mode: str) -> list[tuple[str, str]]:
        """(name, expression) of the variables that are queries, not labels' values."""
        values = self._values(mode)
        found = []
        for name, variable in grafana.variables(self.dashboard).items():
            if variable["type"] == "query":
                query = grafana.variable_query(variable)
                if query.label is None:
                    expression = grafana.expand(query.expression, self._windows({}) | values)
                    found.append((f"variable {name}", expression))
        return found

    def costs(self, mode: str) -> dict[str, float]:
        """CPU seconds of each panel, variable and annotation."""
        assert self.server
        now = self.times.end
        spent: defaultdict[str, float] = defaultdict(float)
        for name, expression in self._variables(mode):
            spent[name] += self.server.cpu_seconds("query", query=expression, time=now)
        values = self._values(mode)
        for query in grafana.queries("fleet"):
            annotation = "gridPos" not in query.panel
            panel = {"interval": "60s", **query.panel} if annotation else query.panel
            title = f"annotation {panel['name']}" if annotation else panel["title"]
            expression = grafana.expand(query.expr, self._windows(panel) | values)
            if query.target.get("instant"):
                cost = self.server.cpu_seconds("query", query=expression, time=now)
            else:
                step = self.times.step(panel)
                first = math.ceil(self.times.start / step) * step
                cost = self.server.cpu_seconds(
                    "query_range", query=expression, start=first, end=now, step=step
                )
            spent[title] += cost
        return spent


def costs(hosts: int) -> dict[str, dict[str, float]]:
    """CPU seconds of everything that the dashboard asks over so many hosts, by choice."""
    now = int(time.time()) // 60 * 60
    times = grafana.Times(now - _RANGE_SECONDS, now, _SCRAPE_SECONDS, _PIXELS)
    board = _Dashboard(grafana.load("fleet"), times, None)
    every = rules(PROJECT / "config" / "alerts")
    recorded = {rule.name for rule in every if rule.recorded}
    asked = dict.fromkeys(past(board.expressions()), _RANGE_SECONDS + 600)
    back = past(rule.expression for rule in every) | asked
    with temporary_folder() as name, FleetPrometheus(Path(name)) as server:
        file = Path(name) / "pages.txt"
        raw = {metric: seconds for metric, seconds in back.items() if metric not in recorded}
        scrapes = range(now - max(raw.values()), now + 1, _SCRAPE_SECONDS)
        write_fleet(file, hosts, scrapes, raw)
        server.add(file)
        record(server, Path(name), every, now, asked)
        server.rest()
        return {mode: board._replace(server=server).costs(mode) for mode in _MODES}


def run(size: Size) -> None:
    """Print CPU for each panel, and the sums for fleets of several sizes."""
    small, large = (2, 5) if size == "short" else (100, 1000)
    few, many = costs(small), costs(large)
    heading("Fleet dashboard: CPU of Prometheus for a refresh, an hour's range")
    closed = {
        panel["title"]
        for row in grafana.load("fleet")["panels"]
        for panel in row.get("panels") or ()
    }
    table(
        ("panel", "row", *(f"ms, {n:,} hosts, {mode}" for mode in _MODES for n in (small, large))),
        [
            (
                title,
                "closed" if title in closed else "open",
                *(1000 * cost[mode][title] for mode in _MODES for cost in (few, many)),
            )
            for title in sorted(many["watched"], key=lambda title: -many["watched"][title])
        ],
    )
    print()
    rows = []
    for mode in _MODES:
        sums = [
            sum(cost for title, cost in costs[mode].items() if title not in closed)
            for costs in (few, many)
        ]
        each = (sums[1] - sums[0]) / (large - small)
        rows.append((mode, *sums, sums[1] + each * (10_000 - large)))
    headings = (f"{small:,} hosts", f"{large:,} hosts", "10,000 (extrapolated)")
    table(("CPU seconds of the open rows", *headings), rows)
