"""What Grafana does with a dashboard: finds its queries and puts values in for variables.

For render.py, the tests and the benchmarks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).resolve().parent
NAMES = ("fleet", "host")

#: Grafana's own notations of a variable: $name, ${name} and ${name:format}.
_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([\w.]+)(?::\w+)?\})")
_LABEL_VALUES = re.compile(r"label_values\((?P<selector>.+), *(?P<label>\w+)\)")
_QUERY_RESULT = re.compile(r"query_result\((?P<expression>.+)\)", re.DOTALL)
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def load(name: str) -> dict[str, Any]:
    """Return a dashboard as Grafana gets it."""
    dashboard: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return dashboard


def panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the panels, those in closed rows too, without the rows."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels") or ()
        else:
            yield panel


def variables(dashboard: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the variables by name."""
    return {variable["name"]: variable for variable in dashboard["templating"]["list"]}


def options(variable: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts of a variable's few values, by value."""
    pairs = [option.split(" : ", 1) for option in re.split(r"(?<!\\),", variable["query"])]
    return {value.replace(r"\,", ","): text for text, value in pairs}


def used_variables(text: str) -> set[str]:
    """Return the names of the variables in a text."""
    return {match[1] or match[2] for match in _VARIABLE.finditer(text)}


def expand(text: str, values: Mapping[str, str]) -> str:
    """Return the text with the variables' values. Raises KeyError for one that has none."""
    return _VARIABLE.sub(lambda match: values[match[1] or match[2]], text)


def chosen(values: list[str]) -> str:
    """Return values of a variable as Grafana writes them into a PromQL matcher: escaped twice."""
    escaped = [re.sub(r"[$^*{}\[\]'+?.()|\\]", r"\\\\\g<0>", value) for value in values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


#: (below this, this step): rangeutil.roundInterval of Grafana, in seconds.
_STEPS = (
    *((0.015, 0.01), (0.035, 0.02), (0.075, 0.05), (0.15, 0.1), (0.35, 0.2), (0.75, 0.5)),
    *((1.5, 1.0), (3.5, 2.0), (7.5, 5.0), (12.5, 10.0), (17.5, 15.0), (25.0, 20.0), (45.0, 30.0)),
    *((90.0, 60.0), (210.0, 120.0), (450.0, 300.0), (750.0, 600.0), (1050.0, 900.0)),
    *((1500.0, 1200.0), (2700.0, 1800.0), (5400.0, 3600.0), (9000.0, 7200.0)),
    *((16200.0, 10800.0), (32400.0, 21600.0), (86400.0, 43200.0)),
)


def _rounded(seconds: float) -> float:
    return next((step for limit, step in _STEPS if seconds < limit), 86400.0)


class Times(NamedTuple):
    """The time range of a dashboard, and how often Prometheus scrapes. Unit: seconds."""

    start: float
    end: float
    scrape: float
    #: A panel's width in pixels, which is how many steps it asks for.
    width: int = 600

    def step(self, panel: Mapping[str, Any]) -> float:
        """Return ``$__interval``."""
        floor = panel.get("interval", f"{self.scrape}s")
        points = panel.get("maxDataPoints", self.width)
        shortest = float(floor[:-1]) * _SECONDS[floor[-1]]
        return max(_rounded((self.end - self.start) / points), shortest)

    def windows(self, panel: Mapping[str, Any]) -> dict[str, str]:
        """Return the variables that Grafana itself has in the queries of a panel."""
        step = self.step(panel)
        rate = max(step + self.scrape, 4 * self.scrape)
        return {
            name: f"{1000 * seconds:.0f}ms"
            for name, seconds in {
                "__interval": step,
                "__rate_interval": rate,
                "__range": self.end - self.start,
            }.items()
        }


class Query(NamedTuple):
    """A query of a dashboard, in the panel (or the annotation) that asks it."""

    dashboard: str
    panel: dict[str, Any]
    target: dict[str, Any]

    @property
    def where(self) -> str:
        """Dashboard, panel and query, for people."""
        title = self.panel.get("title") or self.panel["name"]
        return f"{self.dashboard}: {title} {self.target.get('refId', '')}".strip()

    @property
    def expr(self) -> str:
        """The PromQL, with variables."""
        expr: str = self.target["expr"]
        return expr


def queries(name: str) -> list[Query]:
    """Return every query of the panels and the annotations."""
    dashboard = load(name)
    found = [
        Query(name, panel, target) for panel in panels(dashboard) for target in panel["targets"]
    ]
    notes = dashboard["annotations"].get("list", [])
    return found + [Query(name, note, {"expr": note["expr"]}) for note in notes]


class VariableQuery(NamedTuple):
    """The query of a variable: the values of a label, or what an expression answers."""

    expression: str
    #: None: the text of the answer, of which the variable's regular expression takes a part.
    label: str | None


def variable_query(variable: Mapping[str, Any]) -> VariableQuery:
    """Return the query of a variable. Raises ValueError for one that is none."""
    query = variable["query"]
    if match := _LABEL_VALUES.fullmatch(query):
        return VariableQuery(match["selector"], match["label"])
    if match := _QUERY_RESULT.fullmatch(query):
        return VariableQuery(match["expression"], None)
    raise ValueError(f"neither label_values nor query_result: {query}")


def values_of(variable: Mapping[str, Any], texts: Iterable[str]) -> list[str]:
    """Return the values on offer: the part of each text that the regular expression takes."""
    pattern = re.compile(variable.get("regex", "").strip("/") or "(.*)")
    return sorted({match[1] for match in map(pattern.search, texts) if match})


#: The values that a variable offers, given those of the variables before it.
Offer = Callable[[Mapping[str, Any], Mapping[str, str]], list[str]]


def resolve(
    dashboard: Mapping[str, Any], choices: Mapping[str, str], offer: Offer
) -> dict[str, str]:
    """Return the value of each variable in a query: of `choices`, else what is chosen at first."""
    values = dict(choices)
    for name, variable in variables(dashboard).items():
        if name in choices or variable["type"] == "datasource":
            continue
        if variable["type"] == "custom":
            values[name] = variable["current"]["value"]
        elif variable.get("allValue"):
            values[name] = variable["allValue"]
        else:
            offered = offer(variable, values)
            # One value of several is escaped for a regular expression, the only one is not.
            values[name] = chosen(offered) if variable["includeAll"] else (offered or [""])[0]
    return values


def texts_of(series: Iterable[Mapping[str, str]]) -> list[str]:
    """Return the texts of an answer, of which ``query_result`` takes its values."""
    return [", ".join(f'{name}="{value}"' for name, value in each.items()) for each in series]
