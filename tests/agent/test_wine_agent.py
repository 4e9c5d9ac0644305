"""The whole agent on Windows: a real Windows CPython under Wine, scraped from Linux."""

import signal
import socket
import sys
import time
from collections.abc import Iterator

import pytest
from support.agent import Agent, Metrics
from support.waiting import wait_until
from support.windows import WindowsAgent, windows, windows_is_up  # noqa: F401 - a fixture

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it starts Wine itself")

IPV4, IPV6 = 2, 23
DEVICE_OF = "Ethernet {}".format


@pytest.fixture
def agent() -> Iterator[WindowsAgent]:
    """The agent over the stand-in, confirmed."""
    with WindowsAgent("tests/wine/driven_agent.py") as agent:
        agent.wait_for("ip_interface_exporter_source_up", 1)
        yield agent


def state_of(page: Metrics, index: int, family: str = "ipv4") -> dict[str, float]:
    """Some of what the page says of an interface."""
    who = {"index": str(index), "family": family}
    return {
        "connected": page.sum("ip_interface_connected", **who),
        "mtu": page.sum("ip_interface_mtu_bytes", **who),
        "metric": page.sum("ip_interface_metric", **who),
    }


def test_every_callback_is_counted_and_the_states_are_right(agent: WindowsAgent) -> None:
    """Adds, changes, a storm of 100,000 callbacks and deletes: all counted, the rows true."""
    for index in range(1, 11):
        agent.drive("put_link", index, DEVICE_OF(index))
        for family in (IPV4, IPV6):
            agent.drive("add", index, family, NlMtu=1500, Metric=10 + index)
    page = agent.wait_for("ip_interface_churn_total", 20, type="add")
    assert page.devices() == {DEVICE_OF(index) for index in range(1, 11)}
    assert state_of(page, 3, "ipv6") == {"connected": 1, "mtu": 1500, "metric": 13}

    agent.drive("change", 3, IPV4, NlMtu=1400, Connected=0, Metric=99)
    page = agent.wait_for("ip_interface_transitions_total", 1, state="disconnected")
    assert state_of(page, 3) == {"connected": 0, "mtu": 1400, "metric": 99}

    began = time.monotonic()
    agent.drive("notify", 0, IPV4, 5, 100_000)
    agent.drive("wait_idle")
    page = agent.wait_for(
        "ip_interface_notifications_total", 100_000, 60, type="parameter", index="5"
    )
    print(f"{100_000 / (time.monotonic() - began):.0f} callbacks/s, counted and visible")
    assert page.sum("ip_interface_churn_total", type="parameter") == 100_001
    assert page.sum("ip_interface_exporter_dropped_notifications_total") == 0

    for index in range(1, 11):
        for family in (IPV4, IPV6):
            agent.drive("delete", index, family)
    page = agent.wait_for("ip_interface_churn_total", 20, type="delete")
    assert page.sum("ip_interfaces") == 0
    assert page.devices() == {DEVICE_OF(index) for index in range(1, 11)}, "for the retention"
    assert agent.drive("callbacks") == str(1 + 20 + 1 + 100_000 + 20)
    assert (agent.drive("tables"), agent.drive("bad_frees")) == ("0", "0")


def test_two_callbacks_at_once_lose_nothing() -> None:
    """Where Windows does not serialise its callbacks, each is still counted once."""
    with WindowsAgent("tests/wine/driven_agent.py") as agent:
        agent.drive("mode", threads=2)
        agent.drive("put_link", 4, DEVICE_OF(4))
        agent.drive("add", 4)
        agent.drive("notify", 0, IPV4, 4, 5_000)
        agent.wait_for("ip_interface_churn_total", 5_000, 30, type="parameter")


def test_ctrl_c_stops_it_cleanly(agent: WindowsAgent) -> None:
    """SIGINT ends with code 0, the registration cancelled, without any traceback."""
    agent.drive("add", 1)
    assert agent.stop(signal.SIGINT, 15) == 0
    assert any("Stopped" in line for line in agent.log)
    assert "Traceback" not in "".join(agent.log)


def test_a_system_that_never_confirms_is_not_believed() -> None:
    """Wine's own iphlpapi.dll accepts a registration and does nothing: not ready, and said."""
    with WindowsAgent("-m", "exporter") as agent:
        page = agent.scrape()
        assert page.sum("ip_interface_exporter_source_up") == 0
        assert page.all("ip_interface_exporter_source_up"), "a sample, not its absence"
        ready = agent.get("/-/ready")
        assert ready.status == 503
        assert b"not confirmed" in ready.body
        wait_until(lambda: any("has not confirmed" in line for line in agent.log), 20)
        assert agent.stop(signal.SIGINT, 15) == 0


def test_the_windows_tests_pass_on_windows() -> None:
    """Bindings and source pass the same tests on Windows Python, against the stand-in DLL."""
    suites = (
        "bindings/test_netioapi.py",
        "bindings/test_iphlpapi.py",
        "sources/test_windows_source.py",
    )
    code, output = windows(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider"), *(f"tests/{suite}" for suite in suites)
    )
    assert code == 0, output
    assert "passed" in output


def test_it_is_installed_started_stopped_and_removed_as_a_service() -> None:
    """Windows starts the service with the flags of its installation, and it serves."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    agent = Agent()
    agent.port = port
    steps = [("install", f"--web.listen-address=127.0.0.1:{port}"), ("start",)]
    try:
        for step in steps:
            code, output = windows("-m", "exporter", "service", *step)
            assert code == 0, output
        wait_until(lambda: answers(agent), 30, "the service listens")
        assert agent.scrape().sum("ip_interface_exporter_build_info", backend="iphlpapi") == 1
    finally:
        stopped = windows("-m", "exporter", "service", "stop")
        removed = windows("-m", "exporter", "service", "remove")
    assert stopped[0] == 0, stopped
    assert removed[0] == 0, removed
    assert not answers(agent)


def test_a_service_run_by_a_person_is_one_clear_line() -> None:
    """What only Windows can run says so, and which command to use."""
    code, output = windows("-m", "exporter", "service", "run")
    assert code == 1
    assert "service start" in output
    assert "Traceback" not in output


def answers(agent: Agent) -> bool:
    """Whether it listens."""
    try:
        return agent.get("/-/healthy").status == 200
    except OSError:
        return False
