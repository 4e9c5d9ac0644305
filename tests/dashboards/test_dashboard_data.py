"""Every query, asked of real stores that scraped real agents during real churn.

The stores are two releases of Prometheus, which evaluate in time lapse the rules that the
dashboards build on, and a VictoriaMetrics to which one of them writes.
"""

import itertools
import json
import math
import re
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.agent import Agent
from support.namespace import Namespace
from support.prometheus import Prometheus, PrometheusApi
from support.time_lapse import FASTER, in_time_lapse, rules_in_time_lapse
from support.victoria_metrics import VictoriaMetrics
from support.waiting import wait_until

import render
from grafana import (
    NAMES,
    Query,
    Times,
    expand,
    load,
    panels,
    queries,
    resolve,
    texts_of,
    values_of,
    variable_query,
    variables,
)

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
STORES = ("prometheus-2", "prometheus-3", "victoria-metrics")
#: Veths that stand for network cards, which are watched; c0 and d0 stay what they are.
CARDS = ("a0", "b0")
#: Exist for a moment, which a scrape may see. Veths are not watched.
BRIEF = ("brief0", "brief1")
#: How often a0 is switched off and on, at first and each time that the stores missed something.
FLAPS, MORE_FLAPS = 28, 25
#: How often more happens for a query that has no answer. A starved store, whose scrapes are further
#: apart than a window of four, needs a calmer moment.
TRIES = 20
#: What holds when nothing is going on: every agent answers, and the rules know what it says.
CALM = (
    'count(up{job="agents"} == 1) == bool 3',
    'sum(ip_interface_connected{job="agents", family="ipv4"}) == bool 11',
    'count(instance_device:ip_interface_watched:max{job="agents"}) == bool 5',
    'count(instance:ip_interface_churn:sum{job="agents"}) == bool 3',
    'count(ip_interface_mtu_bytes{job="agents", device="b0", family="ipv4"}) == bool 2',
)
#: Each agent's last page that a store has shows all disconnections of a0's peer.
COUNTED = """min(
    sum by (instance) (
        ip_interface_disconnections_total{
            job="agents", device="b0", family="ipv4", cause!="administrative"
        }
    )
    + sum by (instance) (
        ip_interface_unobserved_transitions_total{
            job="agents", device="b0", family="ipv4", state="disconnected"
        }
    )
) >= bool FLAPS"""
#: What a store has of the churn, if a busy machine let it scrape and evaluate often enough.
SEEN = (
    'min(count_over_time(up{job="agents"}[RANGE])) >= bool 10',
    "count(max_over_time(instance_device:ip_interface_disconnections:increase5m[RANGE]) > 0)"
    " == bool 2",
    'count(ALERTS{job="agents", alertstate="firing"}) > bool 0',
)
#: Nothing of that kind, or not on so many hosts, happens here.
QUIET = {
    "fleet: Churn",
    "host: Metric drift A",
    "host: Metric drift B",
    "host: Metric drift C",
    "host: Series limit C",
    "host: Unread notifications A",
    "host: Agent restarts",
    # The kernel may notify each flap.
    "host: Disconnections by cause B",
}


class Row(NamedTuple):
    """A series, and its last value."""

    labels: dict[str, str]
    value: float


@dataclass
class World:
    """What happened, as the stores saw it."""

    stores: Mapping[str, PrometheusApi]
    times: Times
    #: Of the agents: the two of Linux, which see the same, and the replayed one.
    instances: list[str]
    #: How often a0 was switched off and on.
    flaps: int = 0
    #: When the last of all happened. Unix seconds.
    happened: float = 0.0
    #: Lets more of it happen.
    go_on: Callable[[], object] = lambda: None

    def values(self, store: str, dashboard: str, choices: Mapping[str, str]) -> dict[str, str]:
        """What Grafana puts in for the variables: `choices`, else what is chosen at first."""
        return resolve(load(dashboard), choices, partial(self.offered, store))

    def offered(
        self, store: str, variable: Mapping[str, Any], values: Mapping[str, str]
    ) -> list[str]:
        """What a variable offers."""
        query = variable_query(variable)
        expression = expand(query.expression, self.times.windows({}) | dict(values))
        if query.label is None:
            answer = self.stores[store].answer("query", query=expression, time=self._end)
            assert answer["status"] == "success", answer
            texts = texts_of(series["metric"] for series in answer["data"]["result"])
        else:
            texts = self.stores[store].query(
                f"label/{query.label}/values",
                **{"match[]": expression, "start": f"{self.times.start:.3f}", "end": self._end},
            )
        return values_of(variable, texts)

    @property
    def _end(self) -> str:
        return f"{self.times.end:.3f}"

    def ask(self, store: str, query: Query, **choices: str) -> list[dict[str, Any]]:
        """The series that answer a query."""
        panel = query.panel
        if "interval" in panel:
            unit = {"s": 1, "m": 60}[panel["interval"][-1]]
            panel = panel | {"interval": f"{int(panel['interval'][:-1]) * unit // FASTER}s"}
        values = self.values(store, query.dashboard, choices) | self.times.windows(panel)
        expression = expand(in_time_lapse(query.expr), values)
        if query.target.get("instant"):
            answer = self.stores[store].answer("query", query=expression, time=self._end)
        else:
            step = self.times.step(panel)
            # Whole steps back from the end: with few and long ones the last is what counts.
            start = self.times.end - step * math.floor((self.times.end - self.times.start) / step)
            answer = self.stores[store].answer(
                "query_range",
                query=expression,
                start=f"{start:.3f}",
                end=self._end,
                step=f"{step:.3f}",
            )
        assert answer, f"no answer to {expression}"
        assert answer["status"] == "success", (answer, expression)
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def last(
        self, store: str, dashboard: str, title: str, ref: str = "A", **choices: str
    ) -> list[Row]:
        """The last values of a panel's query."""
        return [
            Row(s["metric"], float((s["value"] if "value" in s else s["values"][-1])[1]))
            for s in self.ask(store, panel_query(dashboard, title, ref), **choices)
        ]


def panel_query(dashboard: str, title: str, ref: str) -> Query:
    """A query of a panel."""
    (query,) = (
        q
        for q in queries(dashboard)
        if q.panel.get("title") == title and q.target.get("refId") == ref
    )
    return query


def hold(stores: Mapping[str, PrometheusApi], at: float, conditions: Iterable[str]) -> bool:
    """Whether each store has 1 for each condition at a time, once it has all of that time."""
    for name, store in stores.items():
        over = f'min(timestamp(up{{job="agents"}})) > bool {at + SCRAPE:.3f}'
        wait_until(
            lambda store=store, over=over: store.value(over) == 1,
            message=f"{name}: {over}",
            pause=0.05,
        )
    return all(store.value(what, at) == 1 for store in stores.values() for what in conditions)


def moment(stores: Mapping[str, PrometheusApi], conditions: Iterable[str]) -> float:
    """A time at which these conditions hold in each store. What is asked of it stays the same."""

    def found() -> float | None:
        now = time.time()
        return now if hold(stores, now, conditions) else None

    return wait_until(found, message=f"a time of {conditions}")


def churn(namespace: Namespace, agents: list[Agent], stores: Mapping[str, PrometheusApi]) -> None:
    """Everything that the dashboards show: flaps, changes, deletes, a forwarder, a loss."""
    agent = agents[0]
    for number in range(3):
        namespace.ip("link set a0 down")
        agent.wait_for("ip_interface_connected", 0, device="b0")
        if number == 0:  # an outage that every store sees
            moment(stores, ['sum(ip_interface_connected{job="agents", device="b0"}) == bool 0'])
        namespace.ip("link set a0 up")
        agent.wait_for("ip_interface_connected", 2, device="b0")
    flap(namespace, FLAPS - 3)
    namespace.batch(["link set b0 mtu 1400", f"link add {BRIEF[0]} type veth peer name {BRIEF[1]}"])
    namespace.ip(f"link del {BRIEF[0]}")
    namespace.sysctl("ipv4/conf/b0/forwarding", 1)
    agent.wait_for("ip_interface_forwarding_enabled", 1, device="b0")
    lose(namespace, agent)
    for one in agents:
        one.wait_for("ip_interfaces_connected", 10)


def flap(namespace: Namespace, times: int) -> None:
    """Switch a0 off and on again, with its peer's carrier."""
    namespace.batch(f"link set a0 {way}" for way in ("down", "up") * times)


def lose(namespace: Namespace, agent: Agent) -> None:
    """Let more happen than the agent's small buffer holds."""
    resyncs = "ip_interface_exporter_source_resyncs_total"
    before = agent.scrape().sum(resyncs)
    agent.process.send_signal(signal.SIGSTOP)
    try:
        namespace.batch(
            f"link set {name} {way}" for way in ("down", "up") * 200 for name in ("c0", "d0")
        )
    finally:
        agent.process.send_signal(signal.SIGCONT)
    wait_until(lambda: agent.scrape().sum(resyncs) > before, message="the agent noticed its loss")


def configuration(ports: list[int], rule_files: list[str], **labels: str) -> dict[str, Any]:
    """How a store scrapes the agents, and a job of somebody else's."""
    return {
        "global": {
            "scrape_interval": f"{1000 * SCRAPE:.0f}ms",
            "scrape_timeout": f"{1000 * SCRAPE:.0f}ms",
            "evaluation_interval": "500ms",
        },
        "rule_files": rule_files,
        "scrape_configs": [
            {
                "job_name": "agents",
                "static_configs": [
                    {"targets": [f"127.0.0.1:{port}" for port in ports], "labels": labels}
                ],
                "metric_relabel_configs": [
                    {
                        "source_labels": ["device", "kind"],
                        "regex": f"({'|'.join(CARDS)});veth",
                        "target_label": "kind",
                        "replacement": "",
                    }
                ],
            },
            # Port 9 has no listener.
            {"job_name": "others", "static_configs": [{"targets": ["127.0.0.1:9"]}]},
        ],
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two agents and a replayed one, scraped by the stores before, during and after churn."""
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
        # Whatever is pushed to where nobody listens fails, and is counted.
        pushing = (f"--config.file={settings}", "--otlp.endpoint=http://127.0.0.1:9")
        agents = [
            stack.enter_context(Agent(*pushing, namespace=namespace)),
            stack.enter_context(Agent(namespace=namespace)),
            stack.enter_context(Agent("replay", str(recording), namespace=namespace)),
        ]
        agents[0].wait_for("ip_interfaces_connected", 10)
        stores = _stores(folder, namespace, [agent.port for agent in agents], stack)

        # The rules look back on the time before: five minutes, which are five seconds here.
        known = 'count(instance:ip_interface_churn:sum{job="agents"} offset 6s) == bool 3'
        start = moment(stores, [*CALM, known])
        churn(namespace, agents[:2], stores)
        instances = [f"127.0.0.1:{agent.port}" for agent in agents]
        world = World(stores, Times(start, start, SCRAPE), instances, FLAPS, time.time())

        def more() -> None:
            flap(namespace, MORE_FLAPS)
            world.flaps += MORE_FLAPS
            world.happened = time.time()

        def seen() -> float | None:
            scraped = f'min(timestamp(up{{job="agents"}})) > bool {world.happened:.3f}'
            counted = COUNTED.replace("FLAPS", str(world.flaps))
            end = moment(stores, [*CALM, scraped, counted])
            window = f"{1000 * (end - start):.0f}ms"
            if hold(stores, end, [condition.replace("RANGE", window) for condition in SEEN]):
                return end
            more()
            return None

        def go_on() -> None:
            more()
            lose(namespace, agents[0])
            world.happened = time.time()
            world.times = Times(start, wait_until(seen, message=f"{SEEN}"), SCRAPE)

        world.times = Times(start, wait_until(seen, message=f"{SEEN}"), SCRAPE)
        world.go_on = go_on
        yield world


def _stores(
    folder: Path, namespace: Namespace, ports: list[int], stack: ExitStack
) -> dict[str, PrometheusApi]:
    """The stores by name. The newer Prometheus writes to VictoriaMetrics, what it records too."""
    rule_files = rules_in_time_lapse(folder)
    for name in STORES:
        (folder / name).mkdir()
    victoria = stack.enter_context(VictoriaMetrics(folder / STORES[2], namespace))
    # Fleets have a cluster, most do not.
    documents = {
        STORES[0]: configuration(ports, rule_files),
        STORES[1]: configuration(ports, rule_files, cluster="north")
        | {"remote_write": victoria.remote_write},
    }
    servers = {
        name: stack.enter_context(Prometheus(name, folder / name, namespace, {}, settings=document))
        for name, document in documents.items()
    }
    return {**servers, STORES[2]: victoria}


every_store = pytest.mark.parametrize("store", STORES)
ALL = "ip_interface_transitions_total"
EACH_FAMILY = "device, family"


@pytest.mark.parametrize(
    "query", [q for name in NAMES for q in queries(name)], ids=lambda query: query.where
)
def test_returns_data(world: World, query: Query) -> None:
    """There is an answer with a number in it, whatever is chosen, and all that legends name."""
    choices: dict[str, str] = {}
    if query.dashboard == "host":
        # The replayed agent alone has an interface metric.
        windows = query.panel.get("title") in ("Interface metric", "Metric drift")
        choices = {"instance": world.instances[2 if windows else 0], "by": EACH_FAMILY}

    def has_number(series: list[dict[str, Any]]) -> bool:
        values = [v[1] for s in series for v in s.get("values", [s.get("value")])]
        return not all(math.isnan(float(value)) for value in values)

    for store, interfaces in itertools.product(STORES, ({}, {"interfaces": ALL})):
        series = world.ask(store, query, **choices, **interfaces)
        if query.where in QUIET:
            continue
        for _ in range(TRIES):
            if has_number(series):
                break
            # A busy machine may not have scraped in the short time in which there was something.
            world.go_on()
            series = world.ask(store, query, **choices, **interfaces)
        assert has_number(series), (store, interfaces)
        for label in re.findall(r"\{\{(\w+)\}\}", query.target.get("legendFormat", "")):
            assert all(label in s["metric"] for s in series), label


@every_store
@pytest.mark.parametrize("name", NAMES)
def test_variables_have_values(world: World, store: str, name: str) -> None:
    """Every variable offers what was scraped, of the agents and of nobody else."""
    offered = {}
    choices = {"instance": world.instances[0]} if name == "host" else {}
    values = world.values(store, name, choices)
    for variable in load(name)["templating"]["list"]:
        if variable["type"] == "query":
            offered[variable["name"]] = world.offered(store, variable, values)
    assert offered.pop("cluster") == ([] if store == "prometheus-2" else ["north"])
    assert offered.pop("job") == ["agents"]
    assert set(offered.pop("instance")) == set(world.instances)
    if name == "host":
        assert offered == {
            "device": sorted(CARDS),
            "family": ["ipv4", "ipv6"],
            "host": ["127.0.0.1"],
        }
        every = world.offered(store, variables(load(name))["device"], values | {"interfaces": ALL})
        assert set(every) == {"a0", "b0", "c0", "d0", "lo", *BRIEF}
    else:
        assert set(offered.pop("worst")) == set(world.instances[:2])
        assert not offered


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("by", ["device", EACH_FAMILY])
def test_tables_merge(world: World, name: str, by: str) -> None:
    """The queries of a table share the labels that make a row; its columns are their labels."""
    store = "prometheus-3"
    for panel in panels(load(name)):
        if panel["type"] != "table":
            continue
        instance = world.instances[2 if panel["title"] == "Metric drift" else 0]
        choices = {"instance": instance, "by": by} if name == "host" else {}
        answers = [
            [series["metric"] for series in world.ask(store, Query(name, panel, target), **choices)]
            for target in panel["targets"]
        ]
        found = [set(labels) for answer in answers for labels in answer]
        row = set.intersection(*found) if found else set()
        for answer in answers:
            rows = [tuple(labels[label] for label in sorted(row)) for labels in answer]
            assert panel["title"] == "Firing alerts" or len(rows) == len(set(rows)), panel["title"]
        columns = {
            override["matcher"]["options"]
            for override in panel["fieldConfig"]["overrides"]
            if not override["matcher"]["options"].strip("/^").startswith("Value")
        }
        assert set().union(*found) <= columns, panel["title"]


def once(value: float, flaps: int) -> bool:
    """Whether each flap was counted once, and not for each family.

    increase() extrapolates: by how much depends on when a busy machine was scraped.
    """
    return flaps <= round(value, 6) < 1.5 * flaps


@every_store
def test_the_fleet_shows_what_happened(world: World, store: str) -> None:
    """The numbers are those of the churn: which devices, how many hosts together, what was lost."""

    def last(title: str, ref: str = "A", **choices: str) -> list[Row]:
        return world.last(store, "fleet", title, ref, **choices)

    def devices(rows: list[Row]) -> set[str]:
        return {row.labels["device"] for row in rows}

    assert last("Agents")[0].value == 0, "the dead target is none of ours"
    # Two agents see the same two cards, the third has Ethernet.
    assert last("Interfaces") == [({"connected": "1"}, 2 * 2 + 1)]
    assert last("Interfaces", interfaces=ALL) == [({"connected": "1"}, 2 * 5 + 1)]
    assert last("Disconnected")[0].value == 2, "b0, as each agent sees it"
    assert last("Disconnected", "B")[0].value == 2
    # Agents of one host, though there are three of them.
    assert last("Hosts at once")[0].value == 1
    worst = last("Most disconnections")
    # Its peer was switched off and on.
    assert devices(worst) == {"b0"}
    assert all(once(row.value, world.flaps) for row in worst)
    worst = last("Most disconnections", interfaces=ALL)
    # c0 is switched off first each time, which does not count here; d0 then loses its carrier.
    assert devices(worst) >= {"b0", "d0"}
    assert devices(last("Lowest availability")) == set(CARDS)
    assert all(0 < row.value < 1 for row in last("Lowest availability"))
    switched = last("Forwarding switched")
    assert devices(switched) == {"b0"}
    assert all(row.value == 1 for row in switched + last("Forwarding switched", "B"))
    assert last("Losses")[0].value >= 1
    assert last("Losses", "B")[0].value > 0
    assert {row.labels["instance"] for row in last("All agents")} == set(world.instances)
    assert last("Recording rules")[0].value == 1


@every_store
def test_the_host_shows_what_happened(world: World, store: str) -> None:
    """Flaps that polling missed, an MTU that drifted, a delete that is still to be seen."""

    def last(title: str, ref: str = "A", **choices: str) -> dict[tuple[str, ...], float]:
        chosen = {"instance": world.instances[1]} | choices
        return {
            tuple(value for _, value in sorted(row.labels.items())): row.value
            for row in world.last(store, "host", title, ref, **chosen)
        }

    assert last("Agent") == {(): 2}
    assert last("Figures by interface").keys() == {("a0",), ("b0",)}
    for device in CARDS:
        # How many polling saw depends on how long they took: others may hold the kernel's lock.
        assert last("Figures by interface", "G")[device,] > 0, "missed by polling"
        assert last("Figures by interface")[device,] == 1
        assert 0 < last("Figures by interface", "B")[device,] < 1
    # Somebody switched a0 off and on; so its peer lost its carrier as often.
    lost, off = last("Figures by interface", "D"), last("Figures by interface", "E")
    assert once(lost["b0",], world.flaps), "one cable, one event"
    assert once(off["a0",], world.flaps)
    assert lost["a0",] == off["b0",] == 0
    both = last("Figures by interface", "D", by=EACH_FAMILY)
    assert once(both["b0", "ipv4"], world.flaps)
    assert both["b0", "ipv6"] > 0
    assert last("Figures by interface", "F").keys() == {("b0",)}, "the mean outage"
    assert last("Figures by interface", "B", interfaces=ALL)["lo",] == 1
    now, ever = (last("Figures by interface", ref, interfaces=ALL) for ref in "AH")
    for device in BRIEF:
        assert (device,) not in now
        assert ever[device,] >= 2, "added and deleted"
    assert last("MTU drift") == {("b0",): -100}
    assert last("MTU drift", "B") == {("b0",): 1400}
    assert last("MTU drift", "C") == {("b0",): 1500}
    changed = last("Parameters that changed")
    assert changed["b0", "forwarding_enabled"] == 1
    assert last("Outages ended")[()] >= 3


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_has_what_was_asked(world: World, name: str) -> None:
    """Each panel that has an answer gets frames, tables with their columns."""
    server = world.stores["prometheus-3"]
    with server.namespace.enter():
        store = render.Store(f"http://127.0.0.1:{server.port}", world.times)
        chosen = {"instance": world.instances[0]} if name == "host" else {}
        picture = render.page(load(name), store, chosen, 1600, "light")
    json.dumps(picture, allow_nan=False)
    answers = {
        panel["title"]: frames
        for panel, frames in zip(picture["dashboard"]["panels"], picture["answers"], strict=True)
    }
    assert picture["chosen"]["interfaces"] == "Watched"
    if name == "fleet":
        (worst, *_) = answers["Most disconnections"]
        fields = {field["name"]: field["values"] for field in worst["fields"]}
        assert set(fields["device"]) == {"b0"}
        assert len(fields["Value #A"]) == 2
        (ranking, *_) = answers["Hosts with the most churn"]
        fields = {field["name"]: field["values"] for field in ranking["fields"]}
        assert set(fields["instance"]) <= set(world.instances)
    else:
        assert [frame["name"].strip() for frame in answers["Connected"]] == list(CARDS)


def test_one_host_hides_no_other(world: World) -> None:
    """The host dashboard offers one instance at a time, and begins with one."""
    values = world.values("prometheus-3", "host", {})
    assert values["instance"] in world.instances


def test_without_recording_rules_a_figure_says_so(tmp_path: Path) -> None:
    """A store without the rules answers 0, which is shown as missing; All needs no rule."""
    with (
        Namespace() as namespace,
        Agent(namespace=namespace) as agent,
        Prometheus(
            "prometheus-3", tmp_path, namespace, {}, settings=configuration([agent.port], [])
        ) as server,
    ):
        namespace.ip("link set lo up")
        now = moment({"without": server}, ['sum(ip_interface_connected{family="ipv4"}) == bool 1'])
        instance = f"127.0.0.1:{agent.port}"
        world = World({"without": server}, Times(now - 10, now, SCRAPE), [instance])
        for name in NAMES:
            assert world.last("without", name, "Recording rules")[0].value == 0
        figures = world.last("without", "host", "Interfaces", interfaces=ALL)
        assert [figure.value for figure in figures] == [1]
