"""The whole agent pushes the notifications of the real kernel to a real receiver."""

import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from support.agent import PROJECT, Agent, Metrics
from support.namespace import Namespace
from support.otlp_receiver import HttpReceiver, SilentListener
from support.waiting import NEVER, wait_until, without_waiting

ITEMS = "ip_interface_exporter_otlp_items_total"
MTU = "ip_interface.parameter.mtu_bytes"


@pytest.fixture
def lively(namespace: Namespace) -> Namespace:
    """A namespace with loopback and two connected pairs: d0-d1, d2-d3."""
    namespace.ip("link set lo up")
    namespace.batch(f"link add d{n} type veth peer name d{n + 1}" for n in (0, 2))
    namespace.batch(f"link set d{n} addrgenmode none up" for n in range(4))
    namespace.wait_up(*(f"d{n}" for n in range(4)))
    return namespace


@pytest.fixture
def receiver(lively: Namespace) -> Iterator[HttpReceiver]:
    """A receiver that listens in the namespace."""
    with lively.enter():
        made = HttpReceiver()
    with made:
        yield made


def all_exported(agent: Agent, *signals: str) -> Metrics:
    """Wait until every counted notification was exported. Returns the page."""

    def exported() -> Metrics | None:
        page = agent.scrape()
        results = (
            page.sum(ITEMS, signal=signal, result=result)
            for signal in signals
            for result in ("accepted", "exported")
        )
        return page if {*results} == {page.sum("ip_interface_churn_total")} else None

    return wait_until(exported, message=f"{signals} are exported")


def test_ten_thousand_notifications_arrive_complete(
    lively: Namespace, receiver: HttpReceiver
) -> None:
    """Each notification of a storm arrives once, in order, with the values the kernel set."""
    rounds = 1250
    with Agent(
        f"--otlp.endpoint={receiver.endpoint}",
        "--otlp.events=both",
        "--episode.quiet=100ms",
        namespace=lively,
    ) as agent:
        agent.wait_for("ip_interfaces_connected", 5, family="ipv6")
        lively.batch(
            f"link set d{n} mtu {1400 + step % 50}" for step in range(rounds) for n in range(4)
        )
        changes = "ip_interface_parameter_changes_total"
        agent.wait_for(changes, 8 * rounds, parameter="mtu_bytes")
        # A stop drops what takes too long.
        page = all_exported(agent, "traces", "logs")
        assert page.sum("ip_interface_exporter_source_overruns_total") == 0
        assert agent.stop() == 0
    expected = page.sum("ip_interface_churn_total")
    changed = [e for e in receiver.events() if f"{MTU}.after" in e]
    assert len(receiver.events()) == expected
    assert len(changed) == 8 * rounds
    by_interface: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for event in changed:
        by_interface[event["network.interface.name"], event["network.type"]].append(event)
    assert set(by_interface) == {(f"d{n}", f) for n in range(4) for f in ("ipv4", "ipv6")}
    mtus = [1400 + step % 50 for step in range(rounds)]
    for events in by_interface.values():
        assert [e[f"{MTU}.after"] for e in events] == mtus
        assert [e[f"{MTU}.before"] for e in events] == [1500, *mtus[:-1]]
    records = Counter(r.event_name for r in receiver.records())
    assert records == {"ip_interface.notification": expected}


def test_the_items_are_on_the_page(lively: Namespace, receiver: HttpReceiver) -> None:
    """While a push is configured the page has the result of each item, and adds up."""
    with Agent(
        f"--otlp.endpoint={receiver.endpoint}", "--episode.quiet=100ms", namespace=lively
    ) as agent:
        agent.wait_for("ip_interfaces_connected", 5, family="ipv6")
        lively.batch(f"link set d0 mtu {1400 + step}" for step in range(10))
        changes = "ip_interface_parameter_changes_total"
        agent.wait_for(changes, 20, device="d0", parameter="mtu_bytes")
        page = all_exported(agent, "traces")
        assert page.sum(ITEMS, signal="traces", result="exported") >= 20
        assert page.sum(ITEMS, result="failed") == page.sum(ITEMS, result="dropped") == 0
    with Agent(namespace=lively) as agent:
        assert not agent.scrape().all(ITEMS)


def test_an_outage_stops_neither_collecting_nor_scraping(
    lively: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an endpoint that never answers, changes are counted and scraped, and a stop works."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", str(NEVER))
    with lively.enter():
        listener = SilentListener()
    with (
        listener,
        Agent(f"--otlp.endpoint={listener.endpoint}", namespace=lively) as agent,
        without_waiting(),
    ):
        agent.wait_for("ip_interfaces_connected", 5, family="ipv6")
        lively.batch(f"link set d{n % 4} mtu {1400 + n // 4 % 50}" for n in range(1000))
        changes = "ip_interface_parameter_changes_total"
        page = agent.wait_for(changes, 2000, parameter="mtu_bytes")
        assert page.sum(ITEMS, result="exported") == 0
        assert agent.stop() == 0


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_no_secret_is_logged(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log has no headers and no credentials, also at level debug, whatever fails."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cr3t,s3cr3t-bad")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-key=s3cr3t%0Abroken")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")
    flags = (f"--otlp.protocol={protocol}", "--log.level=debug", "--otlp.metrics-interval=100ms")
    with Agent("--otlp.endpoint=http://me:s3cr3t@127.0.0.1:1?k=s3cr3t", *flags) as agent:
        fails = 'msg="OTLP push failed"'
        wait_until(lambda: any(fails in line for line in agent.log), message="the log has it")
        agent.wait_for(ITEMS, 0, signal="metrics", result="exported")
        wait_until(
            lambda: agent.scrape().sum(ITEMS, result="failed") > 500, message="several failed"
        )
    log = "".join(agent.log)
    assert "s3cr3t" not in log
    # Once for each signal; the machine's interfaces may have changed, too.
    assert 1 <= log.count(fails) <= 2
    assert "Traceback" not in log


def test_without_an_endpoint_nothing_of_opentelemetry_is_imported() -> None:
    """The plain agent, whole and ready to open, has loaded none of the push's libraries."""
    code = (
        "import sys; import exporter.agent.run; from exporter.agent.agent import Agent;"
        "from exporter.agent.check_config import load;"
        "from exporter.sources.replay import ReplaySource;"
        "Agent(load({}, {}), ReplaySource('none'));"
        "print(sorted({m.split('.')[0] for m in sys.modules} &"
        " {'opentelemetry', 'google', 'grpc', 'requests', 'urllib3'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
