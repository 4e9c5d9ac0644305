"""What Grafana does with a dashboard: finds its queries and puts values in for variables."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parents[2] / "dashboards"
NAMES = ("fleet", "host")

#: Grafana's own notations of a variable: $name, ${name} and ${name:format}.
_VARIABLE = re.compile(r"\$(?:(\w+)|\{([\w.]+)(?::\w+)?\})")
_LABEL_VALUES = re.compile(r"label_values\((?:(?P<selector>.+), *)?(?P<label>\w+)\)")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def load(name: str) -> dict[str, Any]:
    """A dashboard as Grafana gets it."""
    dashboard: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return dashboard


def panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The panels, those in closed rows too, without the rows."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels") or ()
        else:
            yield panel


def variables(dashboard: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The variables by name."""
    return {variable["name"]: variable for variable in dashboard["templating"]["list"]}


def used_variables(text: str) -> set[str]:
    """The names of the variables in a text."""
    return {match[1] or match[2] for match in _VARIABLE.finditer(text)}


def expand(text: str, values: Mapping[str, str]) -> str:
    """The text with the variables' values. Raises KeyError for one that has none."""
    return _VARIABLE.sub(lambda match: values[match[1] or match[2]], text)


def chosen(values: list[str]) -> str:
    """Values of a variable as Grafana writes them into a PromQL matcher: escaped twice."""
    escaped = [re.sub(r"[$^*{}\[\]'+?.()|\\]", r"\\\\\g<0>", value) for value in values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


class Times(NamedTuple):
    """The time range of a dashboard, and how often Prometheus scrapes. Unit: seconds."""

    start: float
    end: float
    scrape: float
    #: A panel's width in pixels, which is how many steps it asks for.
    width: int = 600

    def step(self, panel: Mapping[str, Any]) -> float:
        """``$__interval``."""
        floor = panel.get("interval", f"{self.scrape}s")
        points = panel.get("maxDataPoints", self.width)
        return max((self.end - self.start) / points, float(floor[:-1]) * _SECONDS[floor[-1]])

    def windows(self, panel: Mapping[str, Any]) -> dict[str, str]:
        """The variables that Grafana itself has in the queries of a panel."""
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
    """Every query of the panels and the annotations."""
    dashboard = load(name)
    found = [
        Query(name, panel, target) for panel in panels(dashboard) for target in panel["targets"]
    ]
    notes = dashboard["annotations"].get("list", [])
    return found + [Query(name, note, {"expr": note["expr"]}) for note in notes]


def label_values(query: str) -> tuple[str | None, str]:
    """(selector, label) of a variable's query."""
    match = _LABEL_VALUES.fullmatch(query)
    assert match, f"no label_values query: {query}"
    return match["selector"], match["label"]
