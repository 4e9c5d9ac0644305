"""The notifications of the agent to systemd, over the socket in NOTIFY_SOCKET."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.agent import Agent
from support.waiting import DEADLINE, wait_until

from exporter.agent import run
from exporter.agent.agent import Agent as App
from exporter.agent.signals import SignalQueue
from exporter.agent.systemd import Notifier
from exporter.model import Family, Interface, Notification, NotificationType
from exporter.settings.schema import Settings, WebSettings
from exporter.sources.contract import Health, SourceClosed
from exporter.web.http_message import Request, Response, text_response
from exporter.web.server import WebServer


class Manager:
    """Stands in for systemd: binds the socket, and reads the datagrams."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1))
        self._socket.settimeout(0.01)
        self.received: list[str] = []

    def listen(self) -> list[str]:
        """Read what has come. Returns every datagram so far."""
        while True:
            try:
                self.received.append(self._socket.recv(4096).decode())
            except TimeoutError:
                return self.received

    def count(self, prefix: str) -> int:
        """Return how many datagrams with this prefix have come."""
        return sum(line.startswith(prefix) for line in self.listen())

    def wait_for(self, prefix: str, times: int = 1) -> None:
        """Wait until so many datagrams with this prefix have come."""
        wait_until(
            lambda: self.count(prefix) >= times,
            message=lambda: f"{prefix} ({times}), received: {self.received}",
        )

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """A manager at either kind of address."""
    made = Manager(f"{'@' if request.param == 'abstract' else '/'}{tmp_path}/notify"[-100:])
    yield made
    made.close()


@pytest.fixture
def environment(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables that systemd sets, with a watchdog of two seconds."""
    monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")


def test_an_agent_notifies_ready_watchdog_reloading_and_stopping(
    manager: Manager, environment: None
) -> None:
    """READY=1 when it can be scraped, WATCHDOG=1; RELOADING=1 and READY=1; STOPPING=1."""
    with Agent() as agent:
        manager.wait_for("READY=1")
        assert agent.get("/-/ready").status == 200
        assert f"STATUS=Listening on 127.0.0.1:{agent.port}" in manager.received
        manager.wait_for("WATCHDOG=1", 3)
        before = time.monotonic_ns() // 1000
        agent.process.send_signal(signal.SIGHUP)
        manager.wait_for("READY=1", 2)
        (reload,) = [line for line in manager.received if line.startswith("RELOADING=1\n")]
        assert manager.received.index(reload) > manager.received.index("READY=1")
        at = int(reload.partition("MONOTONIC_USEC=")[2])
        assert before <= at <= time.monotonic_ns() // 1000
        assert agent.stop() == 0
    assert manager.listen()[-1] == "STOPPING=1"


class BlockingSource:
    """A source whose `receive` can hang in spite of the timeout."""

    backend = "fake"

    def __init__(self) -> None:
        self.health = Health(up=True)
        self.free, self.closed = threading.Event(), threading.Event()
        self.free.set()
        self.timeouts: list[float | None] = []

    def open(self) -> None:
        """Nothing to open."""

    def receive(self, timeout: float | None) -> list[Notification]:
        """First the initial notification; then nothing, in time or late."""
        self.timeouts.append(timeout)
        if len(self.timeouts) == 1:
            return [Notification(NotificationType.INITIAL, Family.UNSPEC, 0, 0, 0.0, 0.0)]
        closed = self.closed.wait(timeout)
        self.free.wait()
        if closed:
            raise SourceClosed
        return []

    def received_until(self) -> float:
        """Nothing is received."""
        return 0.0

    def interface(self, family: Family, luid: int) -> Interface | None:
        """There is none."""
        return None

    def interfaces(self, family: Family = Family.UNSPEC) -> list[Interface]:
        """There is none."""
        return []

    def close(self) -> None:
        """Unblock receive."""
        self.closed.set()


@contextmanager
def served(source: BlockingSource) -> Iterator[App]:
    """An agent over this source, in a thread as a Windows service has it."""
    settings = Settings(web=WebSettings(listen_addresses=("127.0.0.1:0",)))
    app, requests = App(settings, source), SignalQueue()
    thread = threading.Thread(target=run._serve, args=(app, lambda: settings, requests))
    thread.start()
    try:
        yield app
    finally:
        source.free.set()
        requests.put("the end of the test")
        thread.join(DEADLINE)
        assert not thread.is_alive()


def test_a_collector_that_hangs_ends_the_pings(
    manager: Manager, environment: None, caplog: pytest.LogCaptureFixture
) -> None:
    """No WATCHDOG=1 while the source blocks, and the reason in STATUS; then pings again."""
    source = BlockingSource()
    with served(source):
        manager.wait_for("WATCHDOG=1", 3)
        hangs = "STATUS=the monitor thread has made no progress for"
        before = manager.count(hangs)
        source.free.clear()
        manager.wait_for(hangs, before + 1)
        pings = manager.received.count("WATCHDOG=1")
        stuck = time.monotonic()
        wait_until(lambda: time.monotonic() > stuck + 2.2)  # more than the watchdog's time
        assert manager.count("WATCHDOG=1") == pings
        source.free.set()
        manager.wait_for("WATCHDOG=1", pings + 2)
        assert manager.received[-1] != "STOPPING=1"
    messages = [record.getMessage() for record in caplog.records]
    # More than once on a machine so busy that the thread did not run for other reasons.
    assert sum("pings to systemd suspended" in message for message in messages) >= 1
    assert sum("pings to systemd resumed" in message for message in messages) >= 1


def test_without_a_watchdog_the_collector_waits_without_an_end(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With NOTIFY_SOCKET alone READY=1 comes, and the collector waits without an end."""
    monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
    source = BlockingSource()
    with served(source):
        manager.wait_for("READY=1")
        wait_until(lambda: len(source.timeouts) == 2)
        assert source.timeouts == [None, None]
    assert "WATCHDOG=1" not in manager.listen()
    assert manager.received[-1] == "STOPPING=1"


def test_a_web_server_that_hangs_is_detected() -> None:
    """The server answers before and after a handler blocks the event loop, and not meanwhile."""
    entered, leave = threading.Event(), threading.Event()

    def block(_: Request) -> Response:
        entered.set()
        leave.wait()
        return text_response(200, "late")

    server = WebServer(["127.0.0.1:0"], block)
    assert not server.answers(0.01), "not started yet"
    server.start()
    try:
        assert server.answers(DEADLINE)
        with socket.create_connection(("127.0.0.1", server.addresses[0].port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert entered.wait(DEADLINE)
            assert not server.answers(0.05)
            leave.set()
            assert server.answers(DEADLINE)
    finally:
        leave.set()
        server.stop(DEADLINE)
    assert not server.answers(0.01), "stopped"


def test_a_hang_is_checked_again_soon_and_ready_comes_once(manager: Manager) -> None:
    """Nothing before it is ready. Then READY=1 and pings, but none while something hangs."""
    notifier = Notifier({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "60000000"})
    assert notifier.watchdog_seconds == 30
    assert 0 < (notifier.poll(lambda: "starting", str) or 0) < 1
    assert manager.listen() == []
    notifier.reloading()
    notifier.reloaded()
    assert manager.listen() == [], "READY=1 would be wrong"
    assert notifier.poll(str, str) == 30
    assert notifier.poll(str, lambda: "stuck") == 1
    assert notifier.poll(str, str) == 30
    assert manager.listen() == [
        "READY=1",
        "WATCHDOG=1",
        "STATUS=stuck",
        "STATUS=",
        "WATCHDOG=1",
    ]


@pytest.mark.parametrize(
    "watchdog",
    [
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid() + 1)},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "-1"},
        {"WATCHDOG_USEC": "soon"},
        {},
    ],
)
def test_a_watchdog_that_is_not_for_this_process(watchdog: dict[str, str]) -> None:
    """With WATCHDOG_PID of another process, or an invalid time, there is no watchdog."""
    environment = {"NOTIFY_SOCKET": "/run/systemd/notify", "PATH": "/bin", **watchdog}
    assert Notifier(environment).watchdog_seconds is None
    assert environment == {"PATH": "/bin"}, "no child process may notify systemd"


@pytest.mark.parametrize("address", ["", "vsock:2:9999", "relative"])
def test_without_a_socket_nothing_happens(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a socket, or with a kind that is not supported, nothing is opened or sent."""
    monkeypatch.setattr(socket, "socket", None)
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"})
    assert notifier.watchdog_seconds is None
    assert notifier.poll(lambda: pytest.fail("asked"), lambda: pytest.fail("asked")) is None
    notifier.reloading()
    notifier.stopping()


def test_a_manager_that_is_gone_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A socket without a reader is a line in the log, not an exception."""
    notifier = Notifier({"NOTIFY_SOCKET": f"{tmp_path}/gone"})
    assert notifier.poll(str, str) is None
    assert "Notifying systemd failed" in caplog.text


@pytest.mark.parametrize("user", [0, 1000])
def test_root_gets_a_warning_that_names_the_capabilities(
    user: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As root there is one warning, which names the two capabilities; as a user none."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    with served(BlockingSource()):
        pass
    warnings = [r.getMessage() for r in caplog.records if "Running as root" in r.getMessage()]
    assert len(warnings) == (user == 0)
    assert all("CAP_NET_ADMIN" in w and "CAP_NET_BIND_SERVICE" in w for w in warnings)
