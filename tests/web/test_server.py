"""The endpoint over real sockets: where it listens, and how it converses with good clients."""

import asyncio
import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress

import pytest
from requirements_here import require
from serving import GET, PAGE, Client, echo, page, scrape, serving
from support.agent import PROJECT, Agent
from support.namespace import Namespace
from support.waiting import DEADLINE, wait_until

from exporter.web.admission import Limits
from exporter.web.http_message import Request, Response
from exporter.web.listening import Address, ListenError
from exporter.web.server import WebServer


@pytest.fixture
def server() -> Iterator[WebServer]:
    """A running server that says what it was asked."""
    with serving(echo) as server:
        yield server


def fetch(address: Address | tuple[str, int], path: str = "/") -> int:
    """The status of an answer that an ordinary client gets."""
    with closing(http.client.HTTPConnection(*address, timeout=DEADLINE)) as connection:
        connection.request("GET", path)
        return connection.getresponse().status


# -- where it listens -------------------------------------------------------------------------


def test_several_addresses_are_served() -> None:
    """Each address given is listened on, with a port of its own where any will do."""
    require(socket.has_dualstack_ipv6(), "IPv6")
    server = WebServer(["127.0.0.1:0", "[::1]:0", "127.0.0.2:0"], page)
    server.start()
    try:
        assert [address.host for address in server.addresses] == ["127.0.0.1", "::1", "127.0.0.2"]
        assert [str(address)[:6] for address in server.addresses][1] == "[::1]:"
        assert [fetch(address) for address in server.addresses] == [200, 200, 200]
    finally:
        server.stop(DEADLINE)


def test_a_port_alone_is_both_families() -> None:
    """Without a host, one socket takes IPv4 and IPv6."""
    require(socket.has_dualstack_ipv6(), "IPv6")
    server = WebServer([":0"], page)
    server.start()
    try:
        ((_, port),) = server.addresses
        assert [fetch((host, port)) for host in ("127.0.0.1", "::1")] == [200, 200]
    finally:
        server.stop(DEADLINE)


@pytest.mark.parametrize("disabled", [0, 1])
def test_a_port_alone_needs_no_ipv6(namespace: Namespace, disabled: int) -> None:
    """Where IPv6 is switched off, as in many containers, a port alone is IPv4."""
    namespace.sysctl("ipv6/conf/all/disable_ipv6", disabled)
    namespace.ip("link set lo up")
    with Agent(namespace=namespace, listen=":0") as agent:
        assert agent.get("/-/healthy").status == 200


def test_an_address_in_use_is_named() -> None:
    """Listening where somebody listens fails with the address and the flag, and leaks nothing."""
    with serving() as server:
        before = len(os.listdir("/proc/self/fd"))
        address = str(server.addresses[0])
        with pytest.raises(ListenError, match="already in use") as caught:
            WebServer(["127.0.0.1:0", address], page).start()
        assert address in str(caught.value)
        assert "--web.listen-address" in str(caught.value)
        assert len(os.listdir("/proc/self/fd")) <= before


# What systemd does before it runs a service: sockets from descriptor 3 on, and their number.
_ACTIVATE = """
import os, socket, sys
kind, count, *command = sys.argv[1:]
for number in range(3, 3 + int(count)):
    sock = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
    sock.bind("" if kind == "unix" else ("127.0.0.1", 0))
    sock.listen()
    if sock.fileno() != number:
        os.dup2(sock.fileno(), number)
    os.set_inheritable(sock.detach(), True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=count)
os.execv(command[0], command)
"""


class Activated(Agent):
    """The agent as systemd starts it from a .socket unit."""

    def __init__(self, count: int) -> None:
        super().__init__("--web.systemd-socket")
        self.command[:0] = [sys.executable, "-c", _ACTIVATE, "inet", str(count)]


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is a matter of Linux")
def test_sockets_of_systemd_are_served() -> None:
    """Every socket that systemd passes is served, and the addresses of the flag are not opened."""
    with Activated(2) as agent:
        wait_until(lambda: len([line for line in agent.log if "msg=Listening" in line]) == 2)
        lines = [line for line in agent.log if "msg=Listening" in line]
        ports = [int(line.rpartition(":")[2].strip('"\n ')) for line in lines]
        assert [fetch(("127.0.0.1", port), "/metrics") for port in ports] == [200, 200]
        assert agent.stop() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is a matter of Linux")
def test_a_passed_socket_that_is_no_port_is_refused() -> None:
    """A UNIX socket from systemd ends start-up with one line that says what to write instead."""
    command = [sys.executable, "-c", _ACTIVATE, "unix", "1"]
    command += [sys.executable, "-m", "exporter", "--web.systemd-socket"]
    done = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "ListenStream=" in done.stderr
    assert "Traceback" not in done.stderr


# -- conversations ----------------------------------------------------------------------------


def test_a_connection_is_kept(server: WebServer) -> None:
    """Three requests on one connection get three answers, with date and length."""
    with Client(server) as client:
        for path in (b"/a", b"/b?c", b"/d"):
            answer = client.ask(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path)
            assert answer.body == b"GET " + path.partition(b"?")[0]
            assert answer.headers["Date"].endswith("GMT")
            assert "close" not in (answer.headers["Connection"] or "")


def test_requests_may_queue_on_a_connection(server: WebServer) -> None:
    """Requests sent at once are answered in order, and the last one may end the connection."""
    wanted = [b"/%d" % number for number in range(50)]
    request = b"".join(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path for path in wanted)
    last = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with Client(server, request + last) as client:
        assert [client.answer().body.split()[1] for _ in [*wanted, last]] == [*wanted, b"/last"]
        assert client.rest() == b""


def test_http_1_0_is_answered_and_closed(server: WebServer) -> None:
    """A client of 1996 gets an answer that ends with the connection."""
    with Client(server, b"GET /old HTTP/1.0\r\n\r\n") as client:
        assert client.answer().body == b"GET /old"
        assert client.rest() == b""


def test_head_has_no_body() -> None:
    """HEAD has the headers of GET, its length too, and the connection goes on behind them."""
    with serving() as server, Client(server) as client:
        answer = client.ask(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["Content-Length"] == str(len(PAGE.body))
        assert client.ask().body == PAGE.body


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 5\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_a_body_is_read_and_forgotten(server: WebServer, body: bytes) -> None:
    """A request may have a body; the next request begins behind it."""
    with Client(server) as client:
        assert client.ask(b"GET /1 HTTP/1.1\r\nHost: x\r\n" + body).status == 200
        assert client.ask(b"GET /2 HTTP/1.1\r\nHost: x\r\n\r\n").body == b"GET /2"


def test_nobody_is_asked_for_a_body(server: WebServer) -> None:
    """Who expects 100-continue is answered at once, without having to send the body."""
    head = b"GET /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
    with Client(server) as client:
        answer = client.ask(head)
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
        client.socket.sendall(b"too late!")
        assert client.rest() == b""


def test_a_handler_that_fails_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    """An exception is logged once with its traceback, however often it comes; others go on."""

    def failing(request: Request) -> Response:
        if request.path == "/bad":
            raise RuntimeError("broken on purpose")
        return PAGE

    with serving(failing) as server:
        for _ in range(5):
            with Client(server) as client:
                answer = client.ask(b"GET /bad HTTP/1.1\r\nHost: x\r\n\r\n")
            assert answer.status == 500
            assert b"purpose" not in answer.body
        assert scrape(server).status == 200
    assert caplog.text.count("Traceback") == 1


# -- limits -----------------------------------------------------------------------------------


def test_times_are_limited() -> None:
    """Half a request, half a body and a pause between requests each end after their time."""
    with serving(limits=Limits(request_seconds=0.3)) as server, ExitStack() as clients:
        for start in (
            b"",
            b"GET",
            b"GET / HTTP/1.1\r\nHost:",
            GET.replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\n1"),
        ):
            began = time.monotonic()
            client = clients.enter_context(Client(server, start))
            assert client.rest() == b""
            assert time.monotonic() - began >= 0.3
    with serving(limits=Limits(idle_seconds=0.6)) as server, Client(server) as client:
        began = time.monotonic()
        client.ask()
        assert client.rest() == b""
        assert time.monotonic() - began >= 0.6


def test_a_drop_now_and_then_does_not_extend_the_time() -> None:
    """Headers that drip are cut off when the time for a whole request is over."""
    began = time.monotonic()
    with serving(limits=Limits(request_seconds=0.5)) as server, Client(server) as client:

        def closed() -> bool:
            with suppress(ConnectionError):
                client.socket.sendall(b"G")
            return client.closed()

        wait_until(closed)
        assert time.monotonic() - began >= 0.5


class Slow:
    """A handler that answers when the test lets it."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.go = threading.Event()

    async def __call__(self, _: Request) -> Response:
        """The page, once `go` is set."""
        self.asked.release()
        while not self.go.is_set():
            await asyncio.sleep(0.005)
        return PAGE


def test_the_debug_log_has_every_request(caplog: pytest.LogCaptureFixture) -> None:
    """At level debug, each request is logged with its client and status; at level info, none is."""
    for level in ("INFO", "DEBUG"):
        caplog.set_level(level, "exporter")
        with serving(echo) as server, Client(server) as client:
            assert client.ask(b"HEAD /x?secret HTTP/1.1\r\nHost: x\r\n\r\n").status == 200
    (request,) = (record.__dict__["fields"] for record in caplog.records)
    assert request.pop("seconds") >= 0
    assert request == {"client": "127.0.0.1", "method": "HEAD", "path": "/x", "status": 200}


def test_too_many_requests_at_once_are_told_to_come_again() -> None:
    """Above the limit in flight there is a 503 at once; below it again, an answer."""
    slow = Slow()
    with serving(slow, max_requests=2) as server, ExitStack() as stack:
        first = [stack.enter_context(Client(server, GET)) for _ in range(2)]
        for _ in first:
            assert slow.asked.acquire(timeout=DEADLINE)
        third = stack.enter_context(Client(server))
        answer = third.ask()
        assert answer.status == 503
        assert b"too many simultaneous requests" in answer.body
        slow.go.set()
        assert [client.answer().status for client in first] == [200, 200]
        assert third.ask().status == 200, "the connection was kept"


def test_zero_means_without_a_limit() -> None:
    """With --web.max-requests=0 any number of requests may be in flight."""
    slow = Slow()
    with serving(slow, max_requests=0) as server, ExitStack() as stack:
        clients = [stack.enter_context(Client(server, GET)) for _ in range(100)]
        for _ in clients:
            assert slow.asked.acquire(timeout=DEADLINE)
        slow.go.set()
        assert {client.answer().status for client in clients} == {200}


# -- the end ----------------------------------------------------------------------------------


def test_nothing_is_left_when_it_stops() -> None:
    """Stop ends in the middle of a storm of requests; thread and descriptors are gone."""
    before = len(os.listdir("/proc/self/fd"))
    stopped = threading.Event()

    def storm() -> None:
        while not stopped.is_set():
            try:
                scrape(server)
            except OSError:
                return

    clients = [threading.Thread(target=storm) for _ in range(8)]
    with serving() as server, Client(server):
        for client in clients:
            client.start()
        assert scrape(server).status == 200
        server.stop(DEADLINE)
        stopped.set()
        for client in clients:
            client.join()
        server.stop()
        assert "web" not in [thread.name for thread in threading.enumerate()]
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before, message="descriptors closed")
