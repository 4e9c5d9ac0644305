"""A real VictoriaMetrics scrapes the agent and receives its push: both must agree."""

import http.client
import json
import subprocess
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest
import yaml
from requirements_here import require
from support.agent import PROJECT, Agent
from support.debian import program
from support.namespace import Namespace
from support.processes import end
from support.waiting import DEADLINE, wait_until

AGENT, STORE = "127.0.0.1:10190", "127.0.0.1:8428"  # in a namespace every port is free

#: (metric, its labels) → last value.
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]

#: What the resource and the scrape add to the labels of each series.
RESOURCE = {
    *("service.name", "service.version", "service.instance.id", "host.name", "host.id", "os.type"),
    *("telemetry.sdk.name", "telemetry.sdk.language", "telemetry.sdk.version"),
    "ip_interface.netns",
}
SCOPE = {"scope.name", "scope.version"}
SCRAPE = {"job", "instance"}

#: These grow between a scrape and a push; the data points of a push are items, too.
SECONDS = "ip_interface_state_seconds_total"
ITEMS = "ip_interface_exporter_otlp_items_total"


class Store:
    """VictoriaMetrics in a namespace. Use it as a context manager."""

    def __init__(self, binary: str, namespace: Namespace, folder: Path) -> None:
        self.namespace = namespace
        config = folder / "scrape.yml"
        config.write_text(
            "global: {scrape_interval: 500ms}\n"
            f"scrape_configs: [{{job_name: agent, static_configs: [{{targets: ['{AGENT}']}}]}}]\n"
        )
        self.log = (folder / "log").open("w")
        self.command = [
            *("ip", "netns", "exec", namespace.name, binary),
            *(f"-httpListenAddr={STORE}", f"-storageDataPath={folder}/data"),
            *(f"-promscrape.config={config}", "-search.latencyOffset=0s"),
        ]

    def __enter__(self) -> "Store":
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log)
        try:
            wait_until(lambda: self.get("/health") == b"OK", message="the store answers")
        except BaseException:
            end(self.process)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        end(self.process)
        self.log.close()

    def get(self, path: str) -> bytes:
        """Return the body of an answer; empty while there is none."""
        with self.namespace.enter():
            connection = http.client.HTTPConnection(STORE, timeout=DEADLINE)
            try:
                connection.request("GET", path)
                return connection.getresponse().read()
            except OSError:
                return b""
            finally:
                connection.close()

    def series(self, since: float) -> tuple[Series, Series]:
        """The last value of each series that was scraped, and that was pushed, since a time.

        (The gauges of a deleted interface may be missing from either.)
        """
        self.get("/internal/force_flush")
        match = urlencode({"match[]": '{__name__=~"ip_interface.*"}'})
        scraped: Series = {}
        pushed: Series = {}
        for line in self.get(f"/api/v1/export?{match}").splitlines():
            item = json.loads(line)
            if item["timestamps"][-1] < since * 1000 or item["values"][-1] is None:
                continue
            labels = item["metric"]
            name = labels.pop("__name__")
            into, added = (
                (pushed, RESOURCE | SCOPE) if "service.name" in labels else (scraped, SCRAPE)
            )
            if "le" in labels:
                labels["le"] = str(float(labels["le"]))
            own = frozenset((k, v) for k, v in labels.items() if k not in added)
            assert (name, own) not in into, "two series with the same labels"
            into[name, own] = item["values"][-1]
        return scraped, pushed


def differences(scraped: Series, pushed: Series) -> list[str]:
    """Return the series of only one, and those whose values differ for reasons other than time."""
    found = [f"only scraped: {key}" for key in scraped.keys() - pushed.keys()]
    found += [] if scraped else ["nothing was scraped"]
    found += [f"only pushed: {key}" for key in pushed.keys() - scraped.keys()]
    for key in scraped.keys() & pushed.keys():
        if key[0] not in (SECONDS, ITEMS) and scraped[key] != pushed[key]:
            found.append(f"{key}: scraped {scraped[key]}, pushed {pushed[key]}")
    return sorted(found)


def test_what_is_pushed_is_what_is_scraped(namespace: Namespace, tmp_path: Path) -> None:
    """After real churn, the series that were scraped and that were pushed are the same."""
    binary = program("victoria-metrics", "victoria-metrics")
    require(binary, "victoria-metrics: python tests/support/debian.py victoria-metrics")
    assert binary is not None
    namespace.ip("link set lo up")
    namespace.ip("link add a0 type veth peer name b0")
    namespace.batch(f"link set {name} addrgenmode none up" for name in ("a0", "b0"))
    flags = (
        f"--otlp.endpoint=http://{STORE}/opentelemetry",
        "--otlp.metrics-interval=500ms",
        "--collector.parameters=all",
        "--web.disable-exporter-metrics",
    )
    with (
        Store(binary, namespace, tmp_path) as store,
        Agent(*flags, namespace=namespace, listen=AGENT) as agent,
    ):
        agent.wait_for("ip_interfaces_connected", 6)
        for step in range(20):
            namespace.batch(
                (
                    *(f"link set a0 mtu {1400 + step}", "link set b0 down", "link set b0 up"),
                    *("link add gone type bridge", "link del gone"),
                )
            )
        agent.wait_for("ip_interface_churn_total", 20, type="delete", family="ipv4")
        agent.wait_for("ip_interfaces_connected", 6)
        quiet = time.time()
        found: list[str] = []

        def same() -> tuple[Series, Series] | None:
            both = store.series(quiet)
            found[:] = differences(*both)
            return None if found else both

        scraped, pushed = wait_until(same, message=lambda: "\n".join(found[:20]), pause=0.2)
        page = agent.scrape()
    names = {name for name, _ in scraped}
    assert names == {name for name in page.samples if name.startswith("ip_interface")}
    assert "ip_interface_outage_duration_seconds_bucket" in names
    assert len(pushed) > 300
    for (name, labels), value in scraped.items():
        if name == SECONDS:
            assert abs(pushed[name, labels] - value) < DEADLINE


@pytest.mark.parametrize("own", [{}, {"instance": "host7:blue"}], ids=["alone", "one_of_several"])
def test_dashboards_and_rules_work_with_what_is_pushed_alone(
    own: dict[str, str], namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the Collector's attributes, a pushed series has job and instance like a scraped one.

    There is no Collector here: its actions are applied to the resource before the push.
    """
    binary = program("victoria-metrics", "victoria-metrics")
    require(binary, "victoria-metrics: python tests/support/debian.py victoria-metrics")
    assert binary is not None
    resource = {"service.name": "ip-interface-exporter", "host.name": "host7"} | own
    config = yaml.safe_load((PROJECT / "config" / "otel-collector" / "config.yml").read_text())
    for action in config["processors"]["resource/identity"]["attributes"]:
        if action["action"] == "upsert" or action["key"] not in resource:
            resource[action["key"]] = resource[action["from_attribute"]]
    attributes = ",".join(f"{key}={value}" for key, value in resource.items())
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", attributes)
    namespace.ip("link set lo up")
    flags = (f"--otlp.endpoint=http://{STORE}/opentelemetry", "--otlp.metrics-interval=500ms")
    query = urlencode({"query": 'sum by (job, instance) (ip_interfaces_connected{job!="agent"})'})
    expected = {"job": "ip-interface-exporter", "instance": own.get("instance", "host7")}
    assert resource["service.instance.id"] == expected["instance"]
    with Store(binary, namespace, tmp_path) as store, Agent(*flags, namespace=namespace):

        def found() -> list[dict[str, str]]:
            answer = json.loads(store.get(f"/api/v1/query?{query}") or "{}")
            return [r["metric"] for r in answer.get("data", {}).get("result", [])]

        wait_until(lambda: found() == [expected], message=lambda: f"{found()}")
