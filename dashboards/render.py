"""Draw a dashboard as Grafana does, without a Grafana server: a PNG of all its panels.

``python dashboards/render.py fleet fleet.png`` asks a Prometheus (``--prometheus``) the
queries of the dashboard as Grafana would, and draws the answers with the panels of Grafana's own
npm packages in a headless Chromium. It needs node, npm and chromium; the first run installs the
packages (640 MB) into ``$XDG_CACHE_HOME/ip-interface-exporter``.

Grafana's packages lack the state timeline, the status history and the heatmap:
rendering/canvas.jsx draws these in their manner.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grafana import (
    Times,
    expand,
    load,
    options,
    resolve,
    texts_of,
    values_of,
    variable_query,
    variables,
)

SOURCES = Path(__file__).with_name("rendering")
#: Grafana's own, its font, and what bundles them.
PACKAGES = (
    *(f"@grafana/{name}@11.6.16" for name in ("data", "runtime", "schema", "ui")),
    "@fontsource/inter@5.2.8",
    *("react@18.3.1", "react-dom@18.3.1", "rxjs@7.8.2", "esbuild@0.28.2"),
)
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ip-interface-exporter"
#: Pixels: a unit of the grid with its gap, and what stands above the first row: the title, and the
#: variables, which take a second line on a narrow page.
CELL, HEADER, LINE, NARROW = 38, 72, 26, 1200
#: Seconds after which Chromium is ended. Drawing takes a small part of them.
DRAW_SECONDS = 600

Json = dict[str, Any]


class Store:
    """Answers of a Prometheus (or what speaks its API) as Grafana's data frames."""

    def __init__(self, address: str, times: Times) -> None:
        self.address = address
        self.times = times

    def _data(self, path: str, body: bytes | None = None) -> Any:
        """Return the data of an answer. Raises HTTPError with the server's refusal."""
        with urllib.request.urlopen(f"{self.address}/api/v1/{path}", body, timeout=60) as answer:
            return json.load(answer)["data"]

    def _ask(self, path: str, arguments: Json) -> list[Json]:
        """Return the series that answer."""
        result: list[Json] = self._data(path, urllib.parse.urlencode(arguments).encode())["result"]
        return result

    def offered(self, variable: Mapping[str, Any], values: Mapping[str, str]) -> list[str]:
        """Return the values that a variable offers."""
        query = variable_query(variable)
        expression = expand(query.expression, {**self.times.windows({}), **values})
        if query.label is None:
            series = self._ask("query", {"query": expression, "time": self.times.end})
            return values_of(variable, texts_of(each["metric"] for each in series))
        arguments = {"match[]": expression, "start": self.times.start, "end": self.times.end}
        found = self._data(f"label/{query.label}/values?{urllib.parse.urlencode(arguments)}")
        return values_of(variable, found)

    def over_time(self, expression: str, step: float) -> list[Json]:
        """Return series with a value for each step of the time range."""
        start = math.floor(self.times.start / step) * step
        arguments = {"query": expression, "start": start, "end": self.times.end, "step": step}
        return self._ask("query_range", arguments)

    def frames(self, panel: Json, values: Json) -> list[Json]:
        """Return the data frames for the queries of a panel."""
        step = self.times.step(panel)
        found = []
        for target in panel["targets"]:
            expression = expand(target["expr"], values | self.times.windows(panel))
            if not target.get("instant"):
                series = self.over_time(expression, step)
                found += [self._lines(target, each, step) for each in series]
                continue
            series = self._ask("query", {"query": expression, "time": self.times.end})
            if target.get("format") == "table":
                found.append(_table(target["refId"], series, alone=len(panel["targets"]) == 1))
            else:
                found += [_line(target, each, [each["value"]], {}) for each in series]
        return found

    def _lines(self, target: Json, series: Json, step: float) -> Json:
        """Return a series with an empty place where a step has no value."""
        values = {int(at): value for at, value in series["values"]}
        first = math.floor(self.times.start / step) * step
        count = int((self.times.end - first) / step) + 1
        steps = [first + number * step for number in range(count)]
        return _line(
            target, series, [(at, values.get(int(at))) for at in steps], {"interval": step * 1000}
        )

    def annotations(self, dashboard: Json, values: Json) -> list[Json]:
        """Return the times (in milliseconds) that the dashboard's annotations mark."""
        marks = []
        for note in dashboard["annotations"].get("list", []):
            step = 60.0
            panel = {"interval": "60s", "maxDataPoints": 10**6}
            expression = expand(note["expr"], values | self.times.windows(panel))
            for series in self.over_time(expression, step):
                marks += regions(series["values"], step, note)
        return marks


def regions(values: list[tuple[float, str]], step: float, note: Json) -> list[Json]:
    """Return marks of the moments with a value above 0; neighbors are one mark."""
    active = [at for at, value in values if float(value) > 0]
    regions: list[Json] = []
    for at in active:
        if regions and at * 1000 <= regions[-1]["timeEnd"] + step * 1000:
            regions[-1]["timeEnd"] = at * 1000
        else:
            regions.append({"time": at * 1000, "timeEnd": at * 1000, "color": note["iconColor"]})
    return regions


def number(value: str | None) -> float | None:
    """Return the value for JSON, which has neither NaN nor infinity."""
    number = math.nan if value is None else float(value)
    return number if math.isfinite(number) else None


def _line(target: Json, series: Json, values: list[Any], config: Json) -> Json:
    """Return a frame of one series, named by its legend."""
    labels = series["metric"]
    name = re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda m: labels.get(m[1], ""), target["legendFormat"])
    times = {"name": "Time", "type": "time", "values": [at * 1000 for at, _ in values]}
    numbers: Json = {"name": "Value", "type": "number", "values": [number(v) for _, v in values]}
    numbers |= {"labels": labels, "config": {"displayNameFromDS": name}}
    return {"refId": target["refId"], "name": name, "fields": [times | {"config": config}, numbers]}


def _table(ref: str, series: list[Json], *, alone: bool) -> Json:
    """Return a frame of one row for each series, its labels as columns."""
    names = sorted({name for each in series for name in each["metric"]})
    fields: list[Json] = [
        {"name": "Time", "type": "time", "values": [each["value"][0] * 1000 for each in series]}
    ]
    fields += [
        {
            "name": name,
            "type": "string",
            "values": [each["metric"].get(name, "") for each in series],
        }
        for name in names
    ]
    value = "Value" if alone else f"Value #{ref}"
    fields.append(
        {"name": value, "type": "number", "values": [number(e["value"][1]) for e in series]}
    )
    return {"refId": ref, "fields": fields}


def opened(dashboard: Json) -> None:
    """Open the closed rows, as a click on each does."""
    panels: list[Json] = []
    below = 0
    for panel in dashboard["panels"]:
        panel["gridPos"]["y"] += below
        panels.append(panel)
        inside = panel.pop("panels", None) or []
        panel["collapsed"] = False
        for each in inside:
            each["gridPos"]["y"] += below
        if inside:
            panels += inside
            end = max(each["gridPos"]["y"] + each["gridPos"]["h"] for each in inside)
            below += end - panel["gridPos"]["y"] - 1
    dashboard["panels"] = panels


def shown(dashboard: Json, values: dict[str, str], choices: dict[str, str]) -> dict[str, str]:
    """Return what stands beside each variable."""
    found: dict[str, str] = {}
    for name, variable in variables(dashboard).items():
        if variable["type"] == "datasource":
            found[name] = "Prometheus"
        elif variable["type"] == "custom":
            found[name] = options(variable)[values[name]]
        else:
            everything = variable["includeAll"] and name not in choices
            found[name] = "All" if everything else values[name].replace("\\", "")
    return found


def page(dashboard: Json, store: Store, chosen: dict[str, str], width: int, theme: str) -> Json:
    """Return what the page draws."""
    values = resolve(dashboard, chosen, store.offered)
    header = HEADER + (LINE if width < NARROW else 0)
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    answers = []
    for panel in dashboard["panels"]:
        pixels = int(panel["gridPos"]["w"] * width / 24)
        sized = {"maxDataPoints": pixels, **panel}
        answers.append(store.frames(sized, values) if panel.get("targets") else [])
    return {
        "dashboard": dashboard,
        "answers": answers,
        "annotations": store.annotations(dashboard, values),
        "chosen": shown(dashboard, values, chosen),
        "range": [1000 * store.times.start, 1000 * store.times.end],
        "theme": theme,
        "width": width,
        "cell": CELL,
        "header": header,
        "height": header + CELL * max(at["y"] + at["h"] for at in places) + 8,
    }


def bundle() -> Path:
    """Return the folder of the built page, brought up to date. Raises CalledProcessError."""
    work = CACHE / "dashboard-pictures"
    work.mkdir(parents=True, exist_ok=True)
    changed = False
    for source in SOURCES.iterdir():
        target = work / source.name
        if not target.exists() or target.read_bytes() != source.read_bytes():
            shutil.copy(source, target)
            changed = True
    if not (work / "node_modules").exists():
        npm = ["npm", "install", "--no-audit", "--no-fund", "--legacy-peer-deps", *PACKAGES]
        subprocess.run(npm, cwd=work, check=True, stdout=sys.stderr)
    if changed or not (work / "page.js").exists():
        subprocess.run(["node", "build.mjs"], cwd=work, check=True)
    return work


def draw(picture: Json, out: Path) -> None:
    """Let Chromium draw the page. Raises CalledProcessError and RuntimeError."""
    work = bundle()
    (work / "data.js").write_text(f"window.PICTURE = {json.dumps(picture)};\n")
    # Processes that outlive a Chromium that was ended may still write to it.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
            "--enable-logging=stderr",
            *("--allow-file-access-from-files", f"--user-data-dir={profile}"),
            f"--window-size={picture['width']},{picture['height']}",
            *("--virtual-time-budget=8000", f"--screenshot={out.resolve()}"),
            (work / "page.html").as_uri(),
        ]
        try:
            done = subprocess.run(
                command, check=True, capture_output=True, text=True, timeout=DRAW_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"Chromium did not draw the page in {DRAW_SECONDS} s") from None
    errors = [line for line in done.stderr.splitlines() if "CONSOLE" in line and "rror" in line]
    if errors:
        raise RuntimeError("\n".join(errors))


def main() -> None:
    """Draw what the command line asks for."""
    parser = argparse.ArgumentParser(description="Draw a dashboard as Grafana does.")
    parser.add_argument("dashboard", help="fleet or host")
    parser.add_argument("out", type=Path, help="PNG to write")
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", help="its address")
    parser.add_argument("--from", dest="start", type=float, help="Unix time; an hour before --to")
    parser.add_argument("--to", dest="end", type=float, default=time.time(), help="Unix time; now")
    parser.add_argument("--scrape", type=float, default=15, help="scrape interval in seconds")
    parser.add_argument("--width", type=int, default=1600, help="pixels")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    parser.add_argument("--open", action="store_true", help="open the closed rows")
    parser.add_argument("--set", action="append", default=[], metavar="VARIABLE=VALUE")
    asked = parser.parse_args()
    dashboard = load(asked.dashboard)
    if asked.open:
        opened(dashboard)
    start = asked.end - 3600 if asked.start is None else asked.start
    store = Store(asked.prometheus, Times(start, asked.end, asked.scrape))
    chosen = dict(setting.split("=", 1) for setting in asked.set)
    draw(page(dashboard, store, chosen, asked.width, asked.theme), asked.out)


if __name__ == "__main__":
    main()
