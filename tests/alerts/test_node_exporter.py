"""The documented join with node_exporter, over both exporters of one host."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from rulebook import CONFIG, code_blocks
from support.agent import Agent
from support.namespace import Namespace
from support.processes import end
from support.prometheus import Prometheus, needed
from support.waiting import wait_until

NODE_PORT = 9100


@pytest.fixture
def node_exporter(namespace: Namespace) -> Iterator[int]:
    """The port of node_exporter in the namespace, which reads its devices by netlink."""
    binary = needed("node-exporter", "prometheus-node-exporter")
    command = ["ip", "netns", "exec", namespace.name, binary, "--collector.disable-defaults"]
    command += ["--collector.netdev", f"--web.listen-address=127.0.0.1:{NODE_PORT}"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    yield NODE_PORT
    end(process)


def test_errors_of_the_device_that_flaps(
    namespace: Namespace, node_exporter: int, tmp_path: Path
) -> None:
    """The query finds node_exporter's series of a device that flaps, and of no other."""
    (query,) = code_blocks(CONFIG / "alerts" / "README.md", "promql")
    assert "node_network_receive_errs_total[5m]" in query
    namespace.ip("link set lo up")
    namespace.ip("link add a0 type veth peer name b0")
    namespace.batch(["link set a0 up", "link set b0 up"])
    # A stand-in for what is recorded minutes after a flap: the join, not the rules, is tried.
    flapping = "instance_device:ip_interface_disconnections:increase5m"
    counter = 'ip_interface_disconnections_total{family="ipv4", cause="carrier"} > 0'
    recorded = f"max by (job, instance, device) ({counter})"
    assert flapping in query
    asked = query.replace(flapping, recorded).replace("[5m]", "[5s]")
    with (
        Agent(namespace=namespace) as agent,
        Prometheus(
            "prometheus-3",
            tmp_path,
            namespace,
            {"ip-interfaces": [agent.port], "node": [node_exporter]},
        ) as prometheus,
    ):
        agent.wait_for("ip_interface_connected", 1, device="b0", family="ipv4")
        # Up only when the loss is seen: of one that the kernel merges, the cause is unknown.
        namespace.ip("link set a0 down")
        agent.wait_for(
            "ip_interface_disconnections_total", 1, device="b0", cause="carrier", family="ipv4"
        )
        namespace.ip("link set a0 up")

        def found() -> list[dict[str, str]]:
            data = prometheus.query("query", query=asked)
            return [series["metric"] for series in data["result"]] if data else []

        (labels,) = wait_until(found, message=asked)
        assert labels["device"] == "b0"
        assert labels["job"] == "node"
        assert labels["host"] == "127.0.0.1"
