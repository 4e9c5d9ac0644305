"""The whole agent on Windows: a real Windows CPython under Wine, scraped from Linux."""

import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.agent import Agent, Metrics
from support.waiting import DEADLINE, wait_until
from support.windows import (
    WindowsAgent,
    WindowsWatch,
    free_port,
    windows,
    windows_is_up,  # noqa: F401 - a fixture
)

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
    """Return some values of an interface on the page."""
    who = {"index": str(index), "family": family}
    return {
        "connected": page.sum("ip_interface_connected", **who),
        "mtu": page.sum("ip_interface_mtu_bytes", **who),
        "metric": page.sum("ip_interface_metric", **who),
    }


def test_every_callback_is_counted_and_the_states_are_right(agent: WindowsAgent) -> None:
    """Adds, changes, a storm of 100,000 callbacks and deletes: all counted, with right rows."""
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
    page = agent.wait_for("ip_interface_notifications_total", 100_000, type="parameter", index="5")
    print(f"{100_000 / (time.monotonic() - began):.0f} callbacks/s, counted and visible")
    assert page.sum("ip_interface_churn_total", type="parameter") == 100_001
    assert page.sum("ip_interface_exporter_dropped_notifications_total") == 0
    unread = page.sum("ip_interface_unread_notifications_total", index="5")
    assert 0 < unread < 100_000, "they came faster than rows can be read, and the page shows it"

    for index in range(1, 11):
        for family in (IPV4, IPV6):
            agent.drive("delete", index, family)
    page = agent.wait_for("ip_interface_churn_total", 20, type="delete")
    assert page.sum("ip_interfaces") == 0
    assert page.devices() == {DEVICE_OF(index) for index in range(1, 11)}, "for the retention"
    assert agent.drive("callbacks") == str(1 + 20 + 1 + 100_000 + 20)
    assert (agent.drive("tables"), agent.drive("bad_frees")) == ("0", "0")


def test_two_callbacks_at_once_lose_nothing() -> None:
    """Where Windows does not serialize its callbacks, each is still counted once."""
    with WindowsAgent("tests/wine/driven_agent.py") as agent:
        agent.drive("mode", threads=2)
        agent.drive("put_link", 4, DEVICE_OF(4))
        agent.drive("add", 4)
        agent.drive("notify", 0, IPV4, 4, 5_000)
        agent.wait_for("ip_interface_churn_total", 5_000, type="parameter")


def test_ctrl_c_stops_it_cleanly(agent: WindowsAgent) -> None:
    """SIGINT ends with code 0, the registration canceled, without any traceback."""
    agent.drive("add", 1)
    assert agent.stop(signal.SIGINT) == 0
    assert any("Stopped" in line for line in agent.log)
    assert "Traceback" not in "".join(agent.log)


def test_a_registration_without_a_confirmation_is_not_ready() -> None:
    """Wine's own iphlpapi.dll accepts a registration and does nothing: not ready, with a log."""
    with WindowsAgent("-m", "exporter") as agent:
        page = agent.scrape()
        assert page.sum("ip_interface_exporter_source_up") == 0
        assert page.all("ip_interface_exporter_source_up"), "a sample, not its absence"
        ready = agent.get("/-/ready")
        assert ready.status == 503
        assert b"not confirmed" in ready.body
        wait_until(lambda: any("has not confirmed" in line for line in agent.log))
        assert agent.stop(signal.SIGINT) == 0


def test_the_windows_tests_pass_on_windows() -> None:
    """Clock, bindings and source pass the same tests on Windows Python, over the stand-in DLL."""
    suites = (
        "bindings/test_clock.py",
        "bindings/test_netioapi.py",
        "bindings/test_iphlpapi.py",
        "sources/test_windows_source.py",
    )
    code, output = windows(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider"), *(f"tests/{suite}" for suite in suites)
    )
    assert code == 0, output
    assert "passed" in output


#: Waits longer than the default: on a busy machine a service takes minutes to start.
PATIENT = """
import sys
from exporter.agent import windows_service
from exporter.cli import main
windows_service._WAIT_SECONDS = float(sys.argv[1])
sys.exit(main(["service", *sys.argv[2:]]))
"""


def command(action: str, *flags: str) -> tuple[int, str]:
    """Run the command service. Returns its exit code and output."""
    return windows("-c", PATIENT, str(5 * DEADLINE), action, *flags)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Agent]:
    """The installed service, as an agent to scrape; removed at the end.

    Its configuration file has a name that Windows would expand in a command line.
    """
    port = free_port()
    configuration = tmp_path / "%OS%.yml"
    configuration.write_text(f"web: {{listen-address: '127.0.0.1:{port}'}}\n")
    agent = Agent()
    agent.port = port
    flag = f"--config.file=Z:{configuration}"
    command("stop")  # one that an interrupted test has left
    command("remove")
    try:
        code, output = command("install", flag)
        assert code == 0, output
        yield agent
    finally:
        command("stop")
        removed = command("remove")
    assert removed[0] == 0, removed


def test_the_service_serves_as_soon_as_it_has_started(service: Agent) -> None:
    """A start returns when the service serves, with the flags of its installation."""
    code, output = command("start")
    assert code == 0, output
    page = service.scrape()
    assert page.sum("ip_interface_exporter_build_info", backend="iphlpapi") == 1
    stopped = command("stop")
    assert stopped[0] == 0, stopped
    assert not answers(service)


def test_a_start_that_fails_says_why(service: Agent) -> None:
    """The start prints the reason of the service, and not only that it stopped."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", service.port))
        taken.listen()
        code, output = command("start")
    assert code == 1
    assert f"127.0.0.1:{service.port}" in output
    code, output = command("start")
    assert code == 0, output


#: Prints what Windows is asked to do after a failure; Wine itself cannot do it.
QUERY = r"""
import winreg
import win32service as w
from exporter.agent import windows_service
from exporter.version import NAME
key = winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"System\CurrentControlSet\Services" + "\\" + NAME)
print("dependencies", winreg.QueryValueEx(key, "DependOnService")[0])
w.ChangeServiceConfig2 = lambda service, info, value: print(info, value)
windows_service._restart_after_failures()
"""
FAILURE_ACTIONS_FLAG, RESTART = 4, 1  # winsvc.h


def test_the_service_depends_on_the_network_and_is_restarted(service: Agent) -> None:
    """Windows starts it after the services that it needs, and again after every failure."""
    code, output = windows("-c", QUERY)
    assert code == 0, output
    assert "dependencies ['nsi', 'Tcpip']" in output
    restarts = [(RESTART, 5000), (RESTART, 30000), (RESTART, 60000)]
    assert f"'Actions': {restarts}" in output
    assert f"{FAILURE_ACTIONS_FLAG} True" in output


#: Starts a service whose agent fails with these codes first, and prints how often it tried.
START = """
import sys, threading
from exporter.agent import windows_service as service
from exporter.agent.signals import SignalQueue
from exporter.bindings.winerror import IpHelperError
codes = [int(code) for code in sys.argv[1:]]
tries = []
def run_agent(load, requests, serving):
    tries.append(requests)
    requests.close()
    if codes:
        raise IpHelperError(codes.pop(0), "NotifyIpInterfaceChange")
    serving()
service.run.run_agent = run_agent
service._RETRY_SECONDS = 0
service.WindowsService.load = None
instance = object.__new__(service.WindowsService)
instance.ssh, instance._requests, instance._stopping = None, SignalQueue(), threading.Event()
try:
    instance._run_agent()
finally:
    print("tries", len(tries))
"""


@pytest.mark.parametrize(("codes", "tries"), [((6, 8, 1450), 4), ((5, 6), 1)])
def test_a_start_tries_again_after_what_may_be_temporary(
    codes: tuple[int, ...], tries: int
) -> None:
    """A start is tried again on a system short of resources, and not after a refusal."""
    code, output = windows("-c", START, *map(str, codes))
    assert f"tries {tries}" in output
    assert code == (codes[0] == 5), output


#: Runs a command over the stand-in, which has one interface; for watch it keeps changing.
COMMAND = """
import itertools, sys, threading
sys.path[:0] = ["tests", "."]
from standin import PARAMETER, Standin
from exporter.bindings import iphlpapi
from exporter.cli import main
standin = Standin()
standin.put_link(3, "Ethernet 3")
standin.put(2, 3, Metric=25)
load = iphlpapi.load
iphlpapi.load = lambda path=None: load(path or standin.path)
def change():
    for metric in itertools.cycle((50, 25)):
        standin.put(2, 3, Metric=metric)
        standin.notify(PARAMETER, 2, 3)
        standin.wait_idle()
        threading.Event().wait(0.5)
if sys.argv[1] == "watch":
    threading.Thread(target=change, daemon=True).start()
sys.exit(main(sys.argv[1:]))
"""


def test_list_shows_the_interfaces_of_windows() -> None:
    """Alias, metric and LUID in a table, and an exit code for scripts."""
    code, output = windows("-c", COMMAND, "list", "Ethernet 3")
    assert code == 0, output
    assert "Ethernet 3  ipv4    connected" in output
    assert " 25 " in output
    assert windows("-c", COMMAND, "list", "Ethernet 4")[0] == 1


def test_watch_shows_the_changes_of_windows() -> None:
    """A callback becomes a line, until Ctrl-C."""
    with WindowsWatch("-c", COMMAND, "watch", "--initial") as watch:
        wait_until(lambda: any("metric 25 -> 50" in line for line in watch.lines))
        assert watch.interrupt() == 0


def test_a_service_run_from_a_console_is_one_clear_line() -> None:
    """The error names the command to use: only Windows can run the service."""
    code, output = windows("-m", "exporter", "service", "run")
    assert code == 1
    assert "service start" in output
    assert "Traceback" not in output


def answers(agent: Agent) -> bool:
    """Return whether the agent listens."""
    try:
        return agent.get("/-/healthy").status == 200
    except OSError:
        return False
