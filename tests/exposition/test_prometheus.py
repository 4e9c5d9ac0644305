"""Real Prometheus programs read what the agent prints: promtool, and two servers."""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.agent import Agent
from support.namespace import Namespace
from support.otlp_receiver import HttpReceiver, plain
from support.prometheus import Prometheus, needed
from support.waiting import wait_until

OPENMETRICS = "application/openmetrics-text;version=1.0.0"


@pytest.fixture
def lively(namespace: Namespace) -> Namespace:
    """A namespace with loopback up and a connected pair."""
    namespace.ip("link set lo up")
    namespace.ip("link add a0 type veth peer name b0")
    namespace.batch(["link set a0 up", "link set b0 up"])
    namespace.wait_up("a0", "b0")
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
    """OpenMetrics with its counters' headers named as in the text format, without exemplars."""
    plain = re.sub(r" # \{.*\} .+", "", openmetrics.removesuffix("# EOF\n"))
    lines = plain.splitlines(keepends=True)
    counters = {
        line.split()[2] for line in lines if line.startswith("# TYPE") and " counter" in line
    }
    return "".join(
        line.replace(f" {name} ", f" {name}_total ", 1)
        if line.startswith("# ") and (name := line.split()[2]) in counters
        else line
        for line in lines
    )


@pytest.mark.parametrize("package", ["prometheus-2", "prometheus-3"])
def test_a_real_prometheus_scrapes_and_answers(
    flapped: Agent, lively: Namespace, package: str, tmp_path: Path
) -> None:
    """The server finds its target healthy, and its query shows flaps between two scrapes."""
    with Prometheus(package, tmp_path, lively, {"ip-interfaces": [flapped.port]}) as prometheus:
        targets = wait_until(
            lambda: [
                target
                for target in (prometheus.query("targets") or {}).get("activeTargets", [])
                if target["health"] == "up"
            ],
            message="the target is up",
        )
        assert targets[0]["lastError"] == ""
        where = '{device="b0",family="ipv4",state="disconnected"}'
        observed = f"sum(ip_interface_transitions_total{where})"
        flaps = f"{observed} + sum(ip_interface_unobserved_transitions_total{where})"
        # The kernel may take a second to tell of the one that the fixture made.
        wait_until(lambda: prometheus.value(flaps) == 1, message="the first flap")
        lively.batch(f"link set a0 {way}" for way in ("down", "up") * 25)
        wait_until(lambda: prometheus.value(flaps) == 1 + 25, message="every flap, merged or not")
        lo = '{device="lo",family="ipv4",state="connected"}'
        always = f"rate(ip_interface_state_seconds_total{lo}[4s])"
        wait_until(lambda: prometheus.value(always) == pytest.approx(1.0, abs=0.05), message=always)
        metadata = prometheus.query("metadata", metric="ip_interface_churn_total")
        metadata = metadata or prometheus.query("metadata", metric="ip_interface_churn")
        assert next(iter(metadata.values()))[0]["type"] == "counter"


def test_prometheus_keeps_the_device_and_the_trace_of_an_outage(
    lively: Namespace, tmp_path: Path
) -> None:
    """The exemplars of the histogram lead to the trace that was pushed, of the device and family.

    a0 is switched off, so only b0 has outages.
    """
    with lively.enter():
        receiver = HttpReceiver()
    flags = f"--otlp.endpoint={receiver.endpoint}", "--episode.quiet=100ms"
    storage = ["--enable-feature=exemplar-storage"]
    with receiver, Agent(*flags, namespace=lively) as agent:
        agent.wait_for("ip_interfaces_connected", 6)
        flapped = time.time_ns()  # the kernel may have notified late that b0 was connected at first
        lively.ip("link set a0 down")
        agent.wait_for("ip_interface_connected", 0, device="b0")
        lively.ip("link set a0 up")
        agent.wait_for("ip_interfaces_connected", 6)
        jobs = {"ip-interfaces": [agent.port]}
        with Prometheus("prometheus-3", tmp_path, lively, jobs, flags=storage) as prometheus:

            def outages() -> set[tuple[str, str, str]]:
                found = prometheus.query(
                    "query_exemplars",
                    query="ip_interface_outage_duration_seconds_bucket",
                    start=f"{time.time() - 3600:.0f}",
                    end=f"{time.time() + 60:.0f}",
                )
                return {
                    (series["seriesLabels"]["family"], labels["device"], labels["trace_id"])
                    for series in found or []
                    for labels in (exemplar["labels"] for exemplar in series["exemplars"])
                }

            def connections() -> set[tuple[str, str, str]]:
                return {
                    (values["network.type"], values["network.interface.name"], span.trace_id.hex())
                    for span in receiver.spans()
                    for event in span.events
                    for values in [plain(event.attributes)]
                    if values.get("ip_interface.parameter.connected.after") is True
                    and values["network.interface.name"] == "b0"
                    and event.time_unix_nano > flapped
                }

            wait_until(
                lambda: len(outages()) == 2 and outages() == connections(),
                message=lambda: f"b0 was away: {outages()}, {connections()}",
                pause=0.1,
            )
