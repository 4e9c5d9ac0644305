"""Every query, asked of real Prometheus servers that scraped real agents during real churn."""

import json
import math
import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from typing import Any, NamedTuple

import pytest
from grafana import (
    NAMES,
    Query,
    Times,
    chosen,
    expand,
    label_values,
    load,
    panels,
    queries,
    variables,
)
from support.agent import Agent
from support.namespace import Namespace
from support.prometheus import Prometheus
from support.waiting import wait_until

SCRAPE = 1.0
#: A host that Linux cannot play: Windows has an interface metric.
WINDOWS = [
    {
        "time": 1_700_000_000.0,
        "event": "present",
        "family": "ipv4",
        "luid": "0x0006008001000000",
        "index": 9,
        "link": {"name": "Ethernet", "type": 6},
        "row": {"connected": True, "mtu_bytes": 1500, "metric": 25},
    }
]
PACKAGES = ("prometheus-2", "prometheus-3")


class Row(NamedTuple):
    """A series, and its last value."""

    labels: dict[str, str]
    value: float


class World(NamedTuple):
    """What happened, as two servers saw it."""

    servers: dict[str, Prometheus]
    times: Times
    #: Of the agents: the two of Linux, which see the same, and the replayed one.
    instances: list[str]

    def values(self, dashboard: str, panel: dict[str, Any], everything: bool) -> dict[str, str]:
        """What Grafana puts in for the variables: what is chosen at first, or names."""
        names = {"job": ["agents"], "device": ["a0", "b0", "Ethernet", "brief"]}
        names |= {"family": ["ipv4", "ipv6"], "instance": self.instances}
        values = self.times.windows(panel)
        for name, variable in variables(load(dashboard)).items():
            if variable["type"] == "query":
                all_of = everything and variable["includeAll"]
                values[name] = variable["allValue"] if all_of else chosen(names[name])
        return values

    def ask(self, package: str, query: Query, everything: bool = True) -> list[dict[str, Any]]:
        """The series that answer a query."""
        prometheus, times = self.servers[package], self.times
        values = self.values(query.dashboard, query.panel, everything)
        expression = expand(query.expr, values)
        if query.target.get("instant"):
            answer = prometheus.answer("query", query=expression, time=f"{times.end:.3f}")
        else:
            step = times.step(query.panel)
            # Whole steps back from the end: with few and long ones the last is what counts.
            start = times.end - step * math.floor((times.end - times.start) / step)
            answer = prometheus.answer(
                "query_range",
                query=expression,
                start=f"{start:.3f}",
                end=f"{times.end:.3f}",
                step=f"{step:.3f}",
            )
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def last(self, package: str, dashboard: str, title: str, ref: str = "A") -> list[Row]:
        """The last values of a panel's query."""
        (query,) = (
            q
            for q in queries(dashboard)
            if q.panel.get("title") == title and q.target.get("refId") == ref
        )
        return [
            Row(s["metric"], float((s["value"] if "value" in s else s["values"][-1])[1]))
            for s in self.ask(package, query)
        ]


def churn(namespace: Namespace, agents: list[Agent]) -> None:
    """Everything that the dashboards show: flaps, changes, deletes, a forwarder, a loss."""
    agent = agents[0]
    for _ in range(3):
        namespace.ip("link set a0 down")
        agent.wait_for("ip_interface_connected", 0, device="b0")
        namespace.ip("link set a0 up")
        agent.wait_for("ip_interface_connected", 2, device="b0")
    namespace.batch(f"link set a0 {way}" for way in ("down", "up") * 25)
    namespace.batch(["link set b0 mtu 1400", "link add brief type bridge", "link del brief"])
    namespace.sysctl("ipv4/conf/b0/forwarding", 1)
    agent.wait_for("ip_interface_forwarding_enabled", 1, device="b0")
    agent.process.send_signal(signal.SIGSTOP)
    try:
        namespace.batch(
            f"link set {name} {way}" for way in ("down", "up") * 200 for name in ("c0", "d0")
        )
    finally:
        agent.process.send_signal(signal.SIGCONT)
    resyncs = "ip_interface_exporter_source_resyncs_total"
    wait_until(lambda: agent.scrape().sum(resyncs) >= 1, message="the agent noticed its loss")
    for settled in agents:
        settled.wait_for("ip_interfaces_connected", 10)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two agents and a replayed one, scraped by two servers before, during and after churn."""
    folder = tmp_path_factory.mktemp("dashboards")
    recording = folder / "windows.jsonl"
    recording.write_text("".join(json.dumps(line) + "\n" for line in WINDOWS))
    settings = folder / "agent.yml"
    settings.write_text("collector: {receive-buffer: 256KiB}\n")
    with ExitStack() as stack:
        namespace = stack.enter_context(Namespace())
        namespace.ip("link set lo up")
        for pair in ("a0 type veth peer name b0", "c0 type veth peer name d0"):
            namespace.ip(f"link add {pair}")
        namespace.batch(f"link set {name} up" for name in ("a0", "b0", "c0", "d0"))
        # Port 9 has no listener: whatever is pushed fails, and is counted.
        pushing = (f"--config.file={settings}", "--otlp.endpoint=http://127.0.0.1:9")
        agents = [
            stack.enter_context(Agent(*pushing, namespace=namespace)),
            stack.enter_context(Agent(namespace=namespace)),
            stack.enter_context(Agent("replay", str(recording), namespace=namespace)),
        ]
        agents[0].wait_for("ip_interfaces_connected", 10)
        jobs = {"agents": [agent.port for agent in agents], "others": [9]}
        servers = {}
        for package in PACKAGES:
            place = folder / package
            place.mkdir()
            servers[package] = stack.enter_context(
                Prometheus(package, place, namespace, jobs, f"{1000 * SCRAPE:.0f}ms")
            )

        def have(expression: str) -> None:
            """Wait until the servers have scraped so much."""
            wait_until(
                lambda: all(s.value(expression) == 1 for s in servers.values()), message=expression
            )

        have('count(up{job="agents"} offset 1s) == bool 3')
        start = time.time() - 1
        churn(namespace, agents[:2])
        have(f'min(timestamp(up{{job="agents"}})) > bool {time.time() + SCRAPE:.3f}')
        instances = [f"127.0.0.1:{agent.port}" for agent in agents]
        yield World(servers, Times(start, time.time(), SCRAPE), instances)


every_package = pytest.mark.parametrize("package", PACKAGES)
every_query = pytest.mark.parametrize(
    "query", [q for name in NAMES for q in queries(name)], ids=lambda query: query.where
)


@every_query
def test_returns_data(world: World, query: Query) -> None:
    """There is an answer with a number in it, whatever is chosen, and all that legends name."""
    for package, everything in product(PACKAGES, (True, False)):
        series = world.ask(package, query, everything)
        assert series
        numbers = [float(v[1]) for s in series for v in s.get("values", [s.get("value")])]
        assert not all(math.isnan(number) for number in numbers)
        for label in re.findall(r"\{\{(\w+)\}\}", query.target.get("legendFormat", "")):
            assert all(label in s["metric"] for s in series), label


@every_package
@pytest.mark.parametrize("name", NAMES)
def test_variables_have_values(world: World, package: str, name: str) -> None:
    """Every variable offers what was scraped, of the agents and of nobody else."""
    offered = {}
    for variable in load(name)["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = label_values(variable["query"])
            assert selector
            values = world.values(name, {}, True) | {"instance": chosen(world.instances)}
            offered[label] = world.servers[package].query(
                f"label/{label}/values", **{"match[]": expand(selector, values)}
            )
    assert offered.pop("job") == ["agents"]
    assert set(offered.pop("instance")) == set(world.instances)
    if name == "host":
        assert offered["family"] == ["ipv4", "ipv6"]
        assert set(offered["device"]) == {"a0", "b0", "c0", "d0", "lo", "brief", "Ethernet"}


@pytest.mark.parametrize("name", NAMES)
def test_tables_merge(world: World, name: str) -> None:
    """The queries of a table share the labels that make a row; its columns are their labels."""
    for panel in panels(load(name)):
        if panel["type"] != "table":
            continue
        answers = [
            [series["metric"] for series in world.ask(PACKAGES[0], Query(name, panel, target))]
            for target in panel["targets"]
        ]
        row = set.intersection(*(set(labels) for answer in answers for labels in answer))
        for answer in answers:
            rows = [tuple(labels[label] for label in sorted(row)) for labels in answer]
            assert len(rows) == len(set(rows)), panel["title"]
        columns = {
            override["matcher"]["options"]
            for override in panel["fieldConfig"]["overrides"]
            if not override["matcher"]["options"].strip("/^").startswith("Value")
        }
        assert columns == {label for answer in answers for labels in answer for label in labels}


@every_package
def test_the_fleet_shows_what_happened(world: World, package: str) -> None:
    """The numbers are those of the churn: who, how many together, what was lost."""

    def last(title: str, ref: str = "A") -> list[Row]:
        return world.last(package, "fleet", title, ref)

    assert last("Agents not heard")[0].value == 0, "the dead target is none of ours"
    assert last("IP interfaces", "B")[0].value == 0
    assert last("Hosts that churned together")[0].value == 2
    worst = last("Most disconnections")
    assert len(worst) == 10
    assert {"c0", "d0"} < {row.labels["device"] for row in worst} <= {"a0", "b0", "c0", "d0"}
    assert all(row.value >= 25 for row in worst)
    assert {row.labels["device"] for row in last("Lowest availability")} <= {"a0", "b0", "c0", "d0"}
    assert all(0 < row.value < 1 for row in last("Lowest availability"))
    switched = last("Forwarding switched")
    assert {row.labels["device"] for row in switched} == {"b0"}
    assert all(row.value == 1 for row in switched + last("Forwarding switched", "B"))
    assert last("Losses")[0].value >= 1
    assert last("Losses", "B")[0].value > 0
    assert {row.labels["instance"] for row in last("Agents")} == set(world.instances)


@every_package
def test_the_host_shows_what_happened(world: World, package: str) -> None:
    """Flaps that polling missed, an MTU that drifted, a delete that is still to be seen."""

    def last(title: str, ref: str = "A") -> dict[tuple[str, ...], float]:
        return {
            tuple(value for _, value in sorted(row.labels.items())): row.value
            for row in world.last(package, "host", title, ref)
        }

    for device in ("a0", "b0"):
        flaps = last("Interfaces", "F")[device, "ipv4"] + last("Interfaces", "G")[device, "ipv4"]
        assert flaps >= 2 * 2 * 28, "by both agents"
        assert last("Interfaces", "H")[device, "ipv4"] > flaps / 2, "missed by polling"
        assert last("Interfaces")[device, "ipv4"] == 1
        assert 0 < last("Interfaces", "B")[device, "ipv4"] < 1
    assert last("Interfaces", "B")["lo", "ipv4"] == 1
    assert ("brief", "ipv4") not in last("Interfaces")
    assert last("Interfaces", "I")["brief", "ipv4"] >= 2, (
        "added and deleted; one agent may have lost it"
    )
    assert last("Drift since the beginning of the range", "B") == pytest.approx(
        {
            (device, family): -100 if device == "b0" else 0
            for device, family in last("Drift since the beginning of the range")
        }
    )
    assert last("Drift since the beginning of the range", "C") == {("Ethernet", "ipv4"): 25}
    changed = last("Parameters that changed")
    assert changed["b0", "ipv4", "forwarding_enabled"] == 2, "once, seen by both agents"
    assert changed["b0", "ipv4", "mtu_bytes"] == 2
    assert last("Outages ended")[()] >= 2 * 3
