"""Real Prometheus programs read what the agent prints: promtool, and two servers."""

import http.client
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from requirements_here import require
from support.agent import Agent
from support.debian import program
from support.namespace import Namespace
from support.waiting import wait_until

OPENMETRICS = "application/openmetrics-text;version=1.0.0"


def needed(package: str, name: str) -> str:
    """The path of a program, or the test ends here."""
    path = program(package, name)
    require(path, f"{name}: python tests/support/debian.py {package}")
    assert path is not None
    return path


@pytest.fixture
def lively(namespace: Namespace) -> Namespace:
    """A namespace with loopback up and a connected pair."""
    namespace.ip("link set lo up")
    namespace.ip("link add a0 type veth peer name b0")
    namespace.batch(["link set a0 up", "link set b0 up"])
    return namespace


@pytest.fixture
def flapped(lively: Namespace) -> Iterator[Agent]:
    """An agent that has seen every kind of sample: flaps, changes, a delete."""
    with Agent("--collector.parameters=all", namespace=lively) as agent:
        agent.wait_for("ip_interfaces_connected", 6)
        lively.batch(["link set a0 down", "link set a0 up", "link set a0 mtu 1400"])
        lively.batch(["link add gone type bridge", "link del gone"])
        agent.wait_for("ip_interface_churn_total", 2, type="delete")
        agent.wait_for("ip_interfaces_connected", 6)
        yield agent


@pytest.mark.parametrize("package", ["prometheus-2", "promtool-3"])
@pytest.mark.parametrize("accept", ["text/plain", OPENMETRICS])
def test_promtool_has_nothing_to_say(flapped: Agent, package: str, accept: str) -> None:
    """``promtool check metrics`` is silent about the page in either format."""
    promtool = needed(package, "promtool")
    answer = flapped.get(Accept=accept)
    # promtool reads the text format only: OpenMetrics names counters without _total in its
    # TYPE lines, and ends with a line of its own.
    body = answer.body.decode()
    if accept == OPENMETRICS:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        assert body.endswith("# EOF\n")
        body = as_text(body)
    done = subprocess.run(
        [promtool, "check", "metrics"], input=body, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def as_text(openmetrics: str) -> str:
    """OpenMetrics with its counters' headers named as in the text format."""
    lines = openmetrics.removesuffix("# EOF\n").splitlines(keepends=True)
    counters = {
        line.split()[2] for line in lines if line.startswith("# TYPE") and " counter" in line
    }
    return "".join(
        line.replace(f" {name} ", f" {name}_total ", 1)
        if line.startswith("# ") and (name := line.split()[2]) in counters
        else line
        for line in lines
    )


class Prometheus:
    """A real server that scrapes one agent in its namespace, every 200 ms."""

    def __init__(self, binary: str, folder: Path, agent: Agent) -> None:
        assert agent.namespace is not None
        self.namespace = agent.namespace
        config = folder / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
            "scrape_configs:\n"
            "  - job_name: ip-interfaces\n"
            f"    static_configs: [{{targets: ['127.0.0.1:{agent.port}']}}]\n"
        )
        with self.namespace.enter(), socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = (folder / "log").open("w")
        self.process = subprocess.Popen(
            [
                *("ip", "netns", "exec", self.namespace.name, binary),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stderr=self.log,
            stdout=self.log,
        )

    def query(self, path: str, **arguments: str) -> Any:
        """The data of an API answer; None while it cannot be had."""
        with self.namespace.enter():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                connection.request("GET", f"/api/v1/{path}?{urlencode(arguments)}")
                return json.load(connection.getresponse()).get("data")
            except (OSError, ValueError):
                return None
            finally:
                connection.close()

    def value(self, expression: str) -> float | None:
        """The single value of a query."""
        data = self.query("query", query=expression)
        results = data["result"] if data else []
        return float(results[0]["value"][1]) if len(results) == 1 else None

    def close(self) -> None:
        """Stop it."""
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


@pytest.mark.parametrize("package", ["prometheus-2", "prometheus-3"])
def test_a_real_prometheus_scrapes_and_answers(
    flapped: Agent, lively: Namespace, package: str, tmp_path: Path
) -> None:
    """The server finds its target healthy, and its query shows flaps between two scrapes."""
    prometheus = Prometheus(needed(package, "prometheus"), tmp_path, flapped)
    try:
        targets = wait_until(
            lambda: [
                target
                for target in (prometheus.query("targets") or {}).get("activeTargets", [])
                if target["health"] == "up"
            ],
            30,
            "the target is up",
        )
        assert targets[0]["lastError"] == ""
        seen = 'sum(ip_interface_transitions_total{device="b0",family="ipv4"})'
        who = {"device": "b0", "family": "ipv4"}
        before = flapped.scrape().sum("ip_interface_transitions_total", **who)
        wait_until(lambda: prometheus.value(seen) == before, 20, "what the agent shows")
        lively.batch(f"link set a0 {way}" for way in ("down", "up") * 25)
        both = (
            f'{seen} + sum(ip_interface_unobserved_transitions_total{{device="b0",family="ipv4"}})'
        )
        wait_until(lambda: prometheus.value(both) == before + 50, 20, "every flap, merged or not")
        lo = '{device="lo",family="ipv4",state="connected"}'
        always = f"rate(ip_interface_state_seconds_total{lo}[2s])"
        wait_until(lambda: prometheus.value(always) == pytest.approx(1.0, abs=0.05), 20, always)
        metadata = prometheus.query("metadata", metric="ip_interface_churn_total")
        metadata = metadata or prometheus.query("metadata", metric="ip_interface_churn")
        assert next(iter(metadata.values()))[0]["type"] == "counter"
    finally:
        prometheus.close()
