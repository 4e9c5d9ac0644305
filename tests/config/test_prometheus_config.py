"""Prometheus, its agent mode, Alertmanager, Grafana: each file read by the real program."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from programs import CONFIG, run
from support.agent import PROJECT, Agent, fetch
from support.namespace import Namespace
from support.processes import end
from support.prometheus import needed
from support.waiting import wait_until

PROMETHEUS = CONFIG / "prometheus"
ALERTMANAGER = CONFIG / "alertmanager" / "alertmanager.yml"
PROMTOOLS = ("prometheus-2", "promtool-3")


@pytest.mark.parametrize("package", PROMTOOLS)
def test_promtool_accepts_the_server_configuration(package: str) -> None:
    """Scrape job, alerting and, where they are, the rules beside it."""
    file = PROMETHEUS / "prometheus.yml"
    done = run(needed(package, "promtool"), "check", "config", file)
    assert done.returncode == 0, done.stdout + done.stderr
    (pattern,) = yaml.safe_load(file.read_text())["rule_files"]
    rules = len(list(PROMETHEUS.glob(pattern)))
    assert done.stdout.count("SUCCESS") >= 1 + rules, done.stdout
    if (CONFIG / "alerts").is_dir():
        assert rules, "the pattern finds the rules that are there"


@pytest.mark.parametrize("package", PROMTOOLS)
def test_promtool_accepts_the_agent_configuration(package: str) -> None:
    """Agent mode knows neither rules nor alerting: its configuration must not have any."""
    file = PROMETHEUS / "agent-remote-write.yml"
    done = run(needed(package, "promtool"), "check", "config", "--agent", file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_amtool_accepts_the_alertmanager_configuration() -> None:
    """Routes, inhibitions, receivers."""
    done = run(needed("alertmanager", "amtool"), "check-config", ALERTMANAGER)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("severity=critical category=fault", "operators"),
        ("severity=warning category=change", "operators"),
        ("severity=warning category=agent", "operators"),
        ("severity=info category=fault", "nobody"),
    ],
)
def test_alerts_go_where_the_comments_say(labels: str, receiver: str) -> None:
    """What wakes somebody, and what does not."""
    amtool = needed("alertmanager", "amtool")
    done = run(amtool, "config", "routes", "test", f"--config.file={ALERTMANAGER}", *labels.split())
    assert done.stdout.split() == [receiver], done.stderr


def test_what_alertmanager_knows_by_name_exists() -> None:
    """Alert names and label values in its file are those of the rules."""
    alerts = [
        rule
        for file in (CONFIG / "alerts").glob("*.yml")
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    text = ALERTMANAGER.read_text()
    names = {rule["alert"] for rule in alerts}
    for name in ("ManyHostsDisconnected", "Down", "Flapping"):
        assert name in text
        assert f"IpInterface{name}" in names
    assert {rule["labels"]["severity"] for rule in alerts} == {"critical", "warning", "info"}
    assert {rule["labels"]["category"] for rule in alerts} == {"fault", "change", "agent"}


def api(namespace: Namespace, port: int, path: str) -> Any:
    """The data of an answer in JSON; None while there is none."""
    with namespace.enter(), suppress(OSError, ValueError, KeyError):
        return json.loads(fetch(port, path).body)["data"]
    return None


def answers(namespace: Namespace, port: int, path: str) -> bool:
    """Whether somebody says 200 there."""
    with namespace.enter(), suppress(OSError):
        return fetch(port, path).status == 200
    return False


@contextmanager
def running(namespace: Namespace, log: Path, *command: str | Path) -> Iterator[None]:
    """A program in a namespace, until the block ends."""
    words = ["ip", "netns", "exec", namespace.name, *map(str, command)]
    with log.open("w") as out, subprocess.Popen(words, stdout=out, stderr=out) as process:
        try:
            yield
            assert process.poll() is None, log.read_text()
        finally:
            end(process)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of config/ whose Prometheus scrapes every second."""
    copy = tmp_path / "config"
    shutil.copytree(CONFIG, copy)
    file = copy / "prometheus" / "prometheus.yml"
    file.write_text(file.read_text().replace("_interval: 15s", "_interval: 1s"))
    agent = copy / "prometheus" / "agent-remote-write.yml"
    text = agent.read_text().replace("_interval: 15s", "_interval: 1s")
    agent.write_text(text.replace("https://prometheus.example.com", "http://localhost:9090"))
    return copy


def test_the_files_work_together(namespace: Namespace, folder: Path, tmp_path: Path) -> None:
    """Exporter, Prometheus, its agent and Alertmanager with these very files find each other."""
    namespace.ip("link set lo up")
    prometheus = needed("prometheus-3", "prometheus")
    alertmanager = needed("alertmanager", "prometheus-alertmanager")
    with ExitStack() as stack:
        example = f"--config.file={folder}/ip-interface-exporter.yml"
        stack.enter_context(Agent(example, namespace=namespace, listen=":10190"))
        stack.enter_context(
            running(
                namespace,
                tmp_path / "alertmanager.log",
                # Debian's reads templates from /usr/share; `ip netns exec` has private mounts.
                *("sh", "-c", 'mount --bind "$0" /usr/share && exec "$@"'),
                Path(alertmanager).parents[1] / "share",
                alertmanager,
                f"--config.file={folder}/alertmanager/alertmanager.yml",
                f"--storage.path={tmp_path}/alertmanager",
                "--web.listen-address=127.0.0.1:9093",
                "--cluster.listen-address=",
            )
        )
        stack.enter_context(
            running(
                namespace,
                tmp_path / "prometheus.log",
                prometheus,
                f"--config.file={folder}/prometheus/prometheus.yml",
                f"--storage.tsdb.path={tmp_path}/prometheus",
                "--web.listen-address=127.0.0.1:9090",
                "--web.enable-remote-write-receiver",
            )
        )
        stack.enter_context(
            running(
                namespace,
                tmp_path / "agent.log",
                prometheus,
                "--agent",
                f"--config.file={folder}/prometheus/agent-remote-write.yml",
                f"--storage.agent.path={tmp_path}/agent",
                "--web.listen-address=127.0.0.1:9095",
            )
        )

        def healthy() -> set[str]:
            targets = (api(namespace, 9090, "/api/v1/targets") or {}).get("activeTargets", [])
            return {target["labels"]["job"] for target in targets if target["health"] == "up"}

        wait_until(lambda: healthy() == {"ip-interfaces", "prometheus"}, message="both are up")
        wait_until(lambda: answers(namespace, 9093, "/-/ready"), message="Alertmanager is ready")

        def alertmanagers() -> list[str]:
            found = api(namespace, 9090, "/api/v1/alertmanagers") or {}
            return [manager["url"] for manager in found.get("activeAlertmanagers", [])]

        there = ["http://localhost:9093/api/v2/alerts"]
        wait_until(lambda: alertmanagers() == there, message="Alertmanager is found")

        def instances() -> set[str]:
            path = "/api/v1/query?query=ip_interface_exporter_source_up==1"
            result = (api(namespace, 9090, path) or {}).get("result", [])
            return {series["metric"]["instance"] for series in result}

        both = {"localhost:10190", "this-host.example.com"}
        wait_until(lambda: instances() == both, message="scraped, and written by the agent")
        groups = api(namespace, 9090, "/api/v1/rules")["groups"]
        rules = list((folder / "alerts").glob("*.yml"))
        assert bool(groups) == bool(rules)


def test_grafana_finds_what_it_is_told_of() -> None:
    """The data source is Prometheus' address here; the dashboards use a data source variable."""
    provisioning = CONFIG / "grafana" / "provisioning"
    sources = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())
    (source,) = sources["datasources"]
    assert (sources["apiVersion"], source["type"]) == (1, "prometheus")
    assert source["url"] == "http://localhost:9090"
    server = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == server["global"]["scrape_interval"]
    providers = yaml.safe_load((provisioning / "dashboards" / "ip-interfaces.yml").read_text())
    assert providers["apiVersion"] == 1
    for file in (PROJECT / "dashboards").glob("*.json"):
        variables = json.loads(file.read_text())["templating"]["list"]
        assert "datasource" in {variable["type"] for variable in variables}, file
