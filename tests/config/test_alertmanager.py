"""Alertmanager's file: documented as it is, and true of what follows from what."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from programs import CONFIG
from support.alertmanager import Alertmanager
from support.namespace import Namespace
from support.waiting import wait_until

SHIPPED: dict[str, Any] = yaml.safe_load((CONFIG / "alertmanager" / "alertmanager.yml").read_text())
README = (CONFIG / "alerts" / "README.md").read_text()


def documented(key: str) -> Any:
    """What the rules' README shows of a top-level key."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    (found,) = [parsed[key] for block in blocks if key in (parsed := yaml.safe_load(block))]
    return found


@pytest.mark.parametrize("key", ["inhibit_rules", "time_intervals"])
def test_the_readme_shows_what_is_shipped(key: str) -> None:
    """The same rules stand in the file and on the page."""
    assert documented(key) == SHIPPED[key]


def test_the_readme_shows_a_route_that_is_shipped() -> None:
    """The page shows some of the routes, each as it is."""
    routes = documented("route")["routes"]
    assert routes
    assert [route for route in routes if route not in SHIPPED["route"]["routes"]] == []


OF_JOB = {"cluster": "c1", "job": "ip-interfaces"}
OF_HOST = {**OF_JOB, "instance": "h1:10190"}
OF_DEVICE = {**OF_HOST, "device": "eth0"}
DOWN = {"alertname": "IpInterfaceDown", "severity": "warning", "category": "fault"}
FLAPPING = {**DOWN, "alertname": "IpInterfaceFlapping"}
FAST = {**DOWN, "alertname": "IpInterfaceErrorBudgetBurnsFast"}
SLOWLY = {**DOWN, "alertname": "IpInterfaceErrorBudgetBurnsSlowly", "severity": "info"}
MISSED = {**SLOWLY, "alertname": "IpInterfaceFlapMissedByGauges"}
MISSING = {**DOWN, "alertname": "IpInterfaceMissing"}
DELETED = {"alertname": "IpInterfaceDeleted", "severity": "info", "category": "change"}
MANY = {**DOWN, "alertname": "IpInterfaceManyHostsDisconnected", "severity": "critical"}
SHARED = {**DOWN, "alertname": "IpInterfaceInstanceShared", "category": "agent"}
LOST = {**SHARED, "alertname": "IpInterfaceNotificationsLost"}


@pytest.fixture
def alertmanager(namespace: Namespace, tmp_path: Path) -> Iterator[Alertmanager]:
    """The shipped configuration, running."""
    namespace.ip("link set lo up")
    with Alertmanager(tmp_path, namespace, SHIPPED) as running:
        yield running


def ask(running: Alertmanager, method: str, body: Any = None) -> Any:
    """What the API answers about alerts; None while it does not."""
    with running.namespace.enter():
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=5)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(method, "/api/v2/alerts", json.dumps(body), headers)
            answer = connection.getresponse().read()
            return json.loads(answer or b"[]")
        except (OSError, ValueError):
            return None
        finally:
            connection.close()


@pytest.mark.parametrize(
    ("cause", "consequences", "others"),
    [
        (
            {**MANY, **OF_JOB},
            [{**alert, **OF_DEVICE} for alert in (DOWN, FLAPPING, MISSED, FAST, SLOWLY)],
            [{**DOWN, **OF_DEVICE, "cluster": "c2"}, {**MISSING, **OF_DEVICE}],
        ),
        (
            {**FLAPPING, **OF_DEVICE},
            [{**alert, **OF_DEVICE} for alert in (DOWN, MISSED, FAST, SLOWLY)],
            [{**DOWN, **OF_DEVICE, "device": "eth1"}],
        ),
        (
            {**DOWN, **OF_DEVICE},
            [{**alert, **OF_DEVICE} for alert in (MISSED, FAST, SLOWLY)],
            [{**FAST, **OF_DEVICE, "instance": "h2:10190"}],
        ),
        ({**MISSING, **OF_DEVICE}, [{**DELETED, **OF_DEVICE}], [{**LOST, **OF_HOST}]),
        (
            {**SHARED, **OF_HOST},
            [{**alert, **OF_DEVICE} for alert in (DOWN, FLAPPING, DELETED, FAST)],
            [{**LOST, **OF_HOST}, {**DOWN, **OF_DEVICE, "instance": "h2:10190"}],
        ),
        ({**FAST, **OF_DEVICE}, [{**SLOWLY, **OF_DEVICE}], [{**MISSED, **OF_DEVICE}]),
    ],
    ids=lambda value: value["alertname"] if isinstance(value, dict) else "",
)
def test_a_cause_inhibits_its_consequences(
    alertmanager: Alertmanager,
    cause: dict[str, str],
    consequences: list[dict[str, str]],
    others: list[dict[str, str]],
) -> None:
    """Of what fires together, Alertmanager tells the cause, and what has another cause."""
    firing = [cause, *consequences, *others]
    posted = [{"labels": labels} for labels in firing]
    wait_until(lambda: ask(alertmanager, "POST", posted) is not None, message="it takes alerts")

    def not_inhibited() -> set[frozenset[tuple[str, str]]] | None:
        held = ask(alertmanager, "GET")
        if held is None or len(held) < len(firing):
            return None
        return {
            frozenset(alert["labels"].items())
            for alert in held
            if not alert["status"]["inhibitedBy"]
        }

    expected = {frozenset(labels.items()) for labels in (cause, *others)}
    wait_until(lambda: not_inhibited() == expected, message="only the consequences are inhibited")
