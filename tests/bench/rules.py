"""What the rules of config/alerts cost a Prometheus: CPU for each rule and each minute.

Recorded series are given a flat past, as long as the rules look back on them.
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import promql_parser as promql
import yaml
from fleet_pages import write_fleet
from fleet_prometheus import FleetPrometheus, temporary_folder, write_flat
from report import Size, heading, table
from support.agent import PROJECT
from support.promql import nodes

_SCRAPE_SECONDS = 15
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LOOKBACK_SECONDS = 300


class _Rule(NamedTuple):
    """A rule, and how often it is evaluated."""

    name: str
    recorded: bool
    expression: str
    labels: tuple[tuple[str, str], ...]
    interval: int


def _seconds(duration: str) -> int:
    match = re.fullmatch(r"(\d+)([smhd])", duration)
    assert match, duration
    return int(match[1]) * _UNITS[match[2]]


def rules(folder: Path, default_interval: str = "15s") -> list[_Rule]:
    """All rules of a folder, what is recorded first."""
    found = [
        _Rule(
            rule.get("record") or rule["alert"],
            "record" in rule,
            rule["expr"],
            tuple(rule.get("labels", {}).items()),
            _seconds(group.get("interval", default_interval)),
        )
        for file in folder.glob("*.yml")
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ]
    return sorted(found, key=lambda rule: not rule.recorded)


def _looks_back(expression: str) -> Iterator[tuple[str, int]]:
    """(metric, seconds) of each selector: how far it looks back."""
    for node in nodes(expression):
        if isinstance(node.at, promql.VectorSelector):
            around = (node.at, *node.inside)
            ranges = [getattr(part, "range", None) for part in around]
            offsets = [getattr(part, "offset", None) for part in around]
            back = sum(part.total_seconds() for part in (*ranges, *offsets) if part)
            yield node.at.name or "", int(back) + _LOOKBACK_SECONDS


def past(expressions: Iterable[str]) -> dict[str, int]:
    """How many seconds of each metric some expressions look back on, together."""
    longest: dict[str, int] = {}
    for expression in expressions:
        for metric, seconds in _looks_back(expression):
            longest[metric] = max(longest.get(metric, 0), seconds)
    return longest


def record(
    server: FleetPrometheus,
    folder: Path,
    every: list[_Rule],
    now: int,
    wanted: Mapping[str, int] | None = None,
) -> None:
    """Evaluate the recording rules, those first on which others build, and give each a past.

    It is as long as the rules look back on it, or as is `wanted`. Unit: seconds.
    """
    back = past(rule.expression for rule in every) | dict(wanted or {})
    waiting = [rule for rule in every if rule.recorded]
    while waiting:
        missing = {rule.name for rule in waiting}
        # A rule may look back on what itself recorded: of that there is nothing at first.
        ready = [
            rule
            for rule in waiting
            if not {name for name, _ in _looks_back(rule.expression)} & missing - {rule.name}
        ]
        if not ready:
            raise ValueError(f"these rules build on each other: {', '.join(sorted(missing))}")
        file = folder / "recorded.txt"
        samples = 0
        for rule in ready:
            result = server.ask("query", query=rule.expression, time=now)
            for series in result:
                series["metric"] |= dict(rule.labels)
            steps = back.get(rule.name, _LOOKBACK_SECONDS) // rule.interval
            times = range(now - steps * rule.interval, now + 1, rule.interval)
            samples += write_flat(file, rule.name, result, times)
        with file.open("a") as out:
            out.write("# EOF\n")
        if samples:
            server.add(file)
        waiting = [rule for rule in waiting if rule not in ready]


def costs(hosts: int, every: list[_Rule]) -> tuple[int, dict[_Rule, float]]:
    """Series of a host, and CPU seconds of one evaluation of each rule, over so many hosts."""
    now = int(time.time()) // 60 * 60
    back = past(rule.expression for rule in every)
    recorded = {rule.name for rule in every if rule.recorded}
    with temporary_folder() as name, FleetPrometheus(Path(name)) as server:
        file = Path(name) / "pages.txt"
        raw = {name: seconds for name, seconds in back.items() if name not in recorded}
        times = range(now - max(raw.values()), now + 1, _SCRAPE_SECONDS)
        series = write_fleet(file, hosts, times, raw)
        server.add(file)
        record(server, Path(name), every, now)
        server.rest()
        # The count is what is asked for: what a rule finds stays in Prometheus, too.
        return series, {
            rule: server.cpu_seconds("query", query=f"count({rule.expression})", time=now)
            for rule in every
        }


def run(size: Size, folder: Path = PROJECT / "config" / "alerts") -> None:
    """Print CPU for each rule, and the sum for fleets of several sizes."""
    every = rules(folder)
    small, large = (2, 5) if size == "short" else (100, 1000)
    series, few = costs(small, every)
    _, many = costs(large, every)
    heading(f"Rules: CPU of Prometheus, {series} series a host, scraped every {_SCRAPE_SECONDS} s")

    def a_minute(rule: _Rule, seconds: float) -> float:
        return seconds * 60 / rule.interval * 1000

    table(
        ("rule", "every", f"ms, {small:,} hosts", f"ms, {large:,} hosts", "ms a minute"),
        [
            (
                rule.name,
                f"{rule.interval} s",
                few[rule] * 1000,
                many[rule] * 1000,
                a_minute(rule, many[rule]),
            )
            for rule in sorted(every, key=lambda rule: -a_minute(rule, many[rule]))
        ],
    )
    sums = [sum(a_minute(rule, cost[rule]) for rule in every) / 1000 for cost in (few, many)]
    each = (sums[1] - sums[0]) / (large - small)
    print()
    table(
        ("hosts", "CPU seconds a minute", "of it for 1,000 hosts"),
        [
            (small, sums[0], sums[0] / small * 1000),
            (large, sums[1], sums[1] / large * 1000),
            ("10,000 (extrapolated)", sums[1] + each * (10_000 - large), each * 1000),
        ],
    )
