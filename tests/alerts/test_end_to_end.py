"""From a cable to a person: kernel, agent, Prometheus, Alertmanager, webhook, all real."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from rulebook import CONFIG, RULE_FILES, code_blocks, hurried
from support.agent import Agent
from support.alertmanager import Alertmanager, Webhook
from support.namespace import Namespace
from support.prometheus import Prometheus
from support.waiting import wait_until


class Chain(NamedTuple):
    """All that runs."""

    namespace: Namespace
    agent: Agent
    prometheus: Prometheus
    alertmanager: Alertmanager
    webhook: Webhook


def configuration(webhook: Webhook) -> dict[str, Any]:
    """An Alertmanager that tells at once, with all that config/alerts/README.md says of it."""
    documented: dict[str, Any] = {}
    for block in code_blocks(CONFIG / "alerts" / "README.md", "yaml"):
        documented |= yaml.safe_load(block)
    # The documented window is a night a week; here it is always.
    (maintenance,) = documented["time_intervals"]
    maintenance["time_intervals"] = [{}]
    return {
        "route": {
            "receiver": "person",
            "group_by": ["..."],
            "group_wait": "100ms",
            "group_interval": "1s",
            **documented["route"],
        },
        "time_intervals": [maintenance],
        "inhibit_rules": documented["inhibit_rules"],
        "receivers": [{"name": "person", "webhook_configs": [{"url": webhook.url}]}],
    }


@pytest.fixture
def chain(namespace: Namespace, tmp_path: Path) -> Iterator[Chain]:
    """A host with a cable from a0 to b0, and everything that watches it."""
    namespace.ip("link set lo up")
    namespace.ip("link add a0 type veth peer name b0")
    namespace.batch(["link set a0 up", "link set b0 up"])
    for file in RULE_FILES:
        (tmp_path / file.name).write_text(json.dumps(hurried(file)))
    with (
        Webhook(namespace) as webhook,
        Agent(namespace=namespace) as agent,
        Alertmanager(tmp_path, namespace, configuration(webhook)) as alertmanager,
        Prometheus(
            "prometheus-3",
            tmp_path,
            namespace,
            {"ip-interfaces": [agent.port]},
            "1s",
            {
                "global": {
                    "scrape_interval": "1s",
                    "scrape_timeout": "1s",
                    "evaluation_interval": "1s",
                },
                "rule_files": [file.name for file in RULE_FILES],
                "alerting": {
                    "alertmanagers": [
                        {"static_configs": [{"targets": [f"127.0.0.1:{alertmanager.port}"]}]}
                    ]
                },
            },
            flags=["--query.lookback-delta=5s"],
        ) as prometheus,
    ):
        agent.wait_for("ip_interface_connected", 1, device="b0", family="ipv4")
        watched = 'instance_device:ip_interface_watched:max{device="b0"}'
        wait_until(lambda: prometheus.value(watched) == 1, message=watched)
        yield Chain(namespace, agent, prometheus, alertmanager, webhook)


def test_a_flap_reaches_a_person_and_so_does_its_end(chain: Chain) -> None:
    """A flapping cable arrives as a firing alert with its text, and later as resolved."""

    def arrived(status: str) -> list[dict[str, Any]]:
        alerts = chain.webhook.named("IpInterfaceFlapping", status)
        return [alert for alert in alerts if alert["labels"]["device"] == "b0"]

    def flapped() -> list[dict[str, Any]]:
        chain.namespace.batch(f"link set a0 {way}" for way in ("down", "up") * 6)
        return arrived("firing")

    firing = wait_until(flapped, message="the alert arrives", pause=2.0)
    assert firing[0]["labels"] == {
        "alertname": "IpInterfaceFlapping",
        "job": "ip-interfaces",
        "instance": f"127.0.0.1:{chain.agent.port}",
        "device": "b0",
        "severity": "warning",
        "category": "fault",
    }
    annotations = firing[0]["annotations"]
    assert annotations["summary"] == "An IP interface keeps losing its connection."
    assert f"b0 on 127.0.0.1:{chain.agent.port} had " in annotations["description"]
    assert annotations["runbook_url"].endswith("/config/runbooks/IpInterfaceFlapping.md")

    # Meanwhile, something that maintenance mutes: it fires, and nobody is notified. A device is new
    # on a host that was seen two windows ago.
    seen = "count(instance:ip_interface_churn:sum offset 20s)"
    wait_until(lambda: chain.prometheus.value(seen), message=seen)
    added = (f"added{number}" for number in itertools.count())

    def muted() -> list[str]:
        chain.namespace.ip(f"link add {next(added)} type bridge")
        return [
            alert["labels"]["device"]
            for alert in chain.alertmanager.alerts("IpInterfaceAdded")
            if alert["status"]["mutedBy"] == ["maintenance"]
        ]

    devices = wait_until(muted, message="an addition is muted", pause=2.0)
    assert all(device.startswith("added") for device in devices)

    resolved, *_ = wait_until(lambda: arrived("resolved"), message="its end arrives")
    assert resolved["labels"] == firing[0]["labels"]
    assert resolved["startsAt"] < resolved["endsAt"]
    assert not chain.webhook.named("IpInterfaceAdded", "firing")


def test_what_is_switched_off_is_told_apart_from_what_lost_its_carrier(chain: Chain) -> None:
    """One end of a cable is set down: that end is disabled, and only the other one is down."""
    in_use = "count(last_over_time(instance_device:ip_interface_in_use:max[35s]))"
    wait_until(lambda: chain.prometheus.value(in_use) == 2, message=in_use)
    chain.namespace.ip("link set a0 down")

    def devices(alertname: str) -> set[str]:
        return {alert["labels"]["device"] for alert in chain.alertmanager.alerts(alertname)}

    found: dict[str, set[str]] = {}

    # On a busy machine an alert can end for a moment between two late evaluations, and a0 can be
    # down for a while if the first scrape after the change fails.
    def both() -> bool:
        found.update({name: devices(name) for name in ("IpInterfaceDown", "IpInterfaceDisabled")})
        return found == {"IpInterfaceDown": {"b0"}, "IpInterfaceDisabled": {"a0"}}

    wait_until(both, message=lambda: f"one end is down, the other disabled: {found}", pause=0.1)
