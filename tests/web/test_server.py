"""The endpoint over real sockets: its answers, and clients that mean no good."""

import gzip
import http.client
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.waiting import wait_until

from exporter.web.application import Application
from exporter.web.landing import FamilyCount, InterfaceLine, Overview
from exporter.web.listening import ListenError
from exporter.web.message import Request
from exporter.web.server import WebServer

PAGE = b"# HELP x y\n" * 1000
HOSTILE = '<script>alert("1")</script>'
OPENMETRICS = "application/openmetrics-text"


def overview() -> Overview:
    """What the landing page is told, with a name that would be a script."""
    line = InterfaceLine(HOSTILE, "ipv4", "3", "0x06", True, 7, 2, 61.0)
    counts = [FamilyCount("ipv4", 1, 1)]
    return Overview(1.7e9, "1.2.3", "rtnetlink", "net:[1]", True, 0, counts, [line])


def application(ready: bool = True) -> Application:
    """The routes over fixed answers."""
    return Application(
        lambda openmetrics: PAGE + (b"# EOF\n" if openmetrics else b""),
        lambda: (ready, "why not"),
        overview,
    )


@contextmanager
def serving(max_requests: int = 40) -> Iterator[WebServer]:
    """A running server."""
    server = WebServer(["127.0.0.1:0"], application(), max_requests)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def server() -> Iterator[WebServer]:
    """A running server."""
    with serving() as server:
        yield server


def get(server: WebServer, path: str = "/metrics", method: str = "GET", **headers: str) -> (
    tuple[int, dict[str, str], bytes]
):  # fmt: skip
    """Status, headers and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.addresses[0].port, timeout=5)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=names)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def connect(server: WebServer) -> socket.socket:
    """A bare connection."""
    return socket.create_connection(("127.0.0.1", server.addresses[0].port), timeout=5)


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/metrics", 200, b"# HELP"),
        ("/metrics?name=x", 200, b"# HELP"),
        ("/", 200, b"1.2.3"),
        ("/-/healthy", 200, b"healthy"),
        ("/-/ready", 200, b"ready"),
        ("/health", 200, b"ok"),
        ("/metrics/", 404, b"/metrics"),
        ("/nothing", 404, b"not found"),
    ],
)
def test_each_path_has_its_answer(server: WebServer, path: str, status: int, says: bytes) -> None:
    """The routes answer as documented, and everything else is not found."""
    code, _, body = get(server, path)
    assert code == status
    assert says in body


def test_not_ready_says_why() -> None:
    """An agent that is not ready answers 503 with the reason."""
    response = application(ready=False)(Request("GET", "/-/ready"))
    assert response.status == 503
    assert b"why not" in response.body


def test_only_reading_is_allowed(server: WebServer) -> None:
    """POST is refused with the methods that are allowed; HEAD has a GET's headers, no body."""
    status, headers, _ = get(server, method="POST")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    status, headers, body = get(server, method="HEAD")
    assert (status, headers["Content-Length"], body) == (200, str(len(PAGE)), b"")


def test_format_and_coding_are_said_and_true(server: WebServer) -> None:
    """Content type, coding, length and Vary are those of the body that comes."""
    _, headers, body = get(server, Accept=OPENMETRICS, Accept_Encoding="gzip")
    assert headers["Content-Type"] == f"{OPENMETRICS}; version=1.0.0; charset=utf-8"
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == PAGE + b"# EOF\n"
    assert {"Accept", "Accept-Encoding"} <= set(headers["Vary"].split(", "))
    _, headers, body = get(server)
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "Content-Encoding" not in headers
    assert body == PAGE


def test_the_landing_page_escapes_what_interfaces_are_called(server: WebServer) -> None:
    """A name that is a script arrives as text, and the policy would not run it either."""
    _, headers, body = get(server, "/")
    assert HOSTILE.encode() not in body
    assert b"&lt;script&gt;" in body
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "script-src" not in headers["Content-Security-Policy"]


def test_a_connection_is_kept_and_requests_may_queue_on_it(server: WebServer) -> None:
    """Three requests sent at once on one connection get three answers, in order."""
    requests = [b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % path for path in (b"health", b"-/ready")]
    with connect(server) as client:
        client.sendall(
            b"".join(requests) + b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    places = [answer.index(text) for text in (b'"ok"', b"ready\n", b"404")]
    assert places == sorted(places)


BAD = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),  # TLS on the plain port
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
    b"GET /\r\n",  # HTTP/0.9
    b"\r\n" * 100,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


def survive(server: WebServer, data: bytes) -> bytes:
    """Send bytes, then end; what came back until the server closed."""
    with connect(server) as client:
        try:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: client.recv(65536), b""))
        except ConnectionError:
            return b""


@pytest.mark.parametrize("data", BAD, ids=range(len(BAD)))
def test_bad_requests_get_an_answer_or_a_close(server: WebServer, data: bytes) -> None:
    """Malformed, smuggling and oversized requests end in 4xx or a close; others are served."""
    answer = survive(server, data)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:80]
    assert get(server)[0] == 200


def test_no_bytes_stop_the_server(caplog: pytest.LogCaptureFixture) -> None:
    """After any bytes at all the next scrape is served, and no traceback was logged."""
    with serving() as server:

        @settings(max_examples=60, deadline=None)
        @given(st.binary(max_size=200), st.sampled_from([b"", b"GET / HTTP/1.1\r\n", *BAD]))
        def fuzz(data: bytes, start: bytes) -> None:
            survive(server, start[:500] + data)

        fuzz()
        assert get(server)[0] == 200
    assert "Traceback" not in caplog.text


def test_half_open_connections_keep_no_scraper_waiting(server: WebServer) -> None:
    """With 500 clients that say nothing or half a request, a scrape takes under a second."""
    with ExitStack() as held:
        for number in range(500):
            client = held.enter_context(connect(server))
            if number % 2:
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost:")
        began = time.monotonic()
        assert get(server)[0] == 200
        assert time.monotonic() - began < 1.0


def test_nothing_is_left_when_it_stops() -> None:
    """Stop ends within a second in a storm of requests; thread and descriptors are gone."""
    before = len(os.listdir("/proc/self/fd"))
    server = WebServer(["127.0.0.1:0"], application())
    server.start()
    stopped = threading.Event()

    def storm() -> None:
        while not stopped.is_set():
            try:
                get(server)
            except (OSError, http.client.HTTPException):
                return

    clients = [threading.Thread(target=storm) for _ in range(8)]
    idle = connect(server)
    for client in clients:
        client.start()
    assert get(server)[0] == 200
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 1.0
    stopped.set()
    for client in clients:
        client.join()
    idle.close()
    server.stop()
    assert "web" not in [thread.name for thread in threading.enumerate()]
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before, message="descriptors closed")


def test_an_address_in_use_is_named() -> None:
    """Listening where somebody listens fails with the address and the flag, and leaks nothing."""
    with serving() as server:
        address = str(server.addresses[0])
        with pytest.raises(ListenError, match="already in use") as caught:
            WebServer([address], application()).start()
        assert address in str(caught.value)
        assert "--web.listen-address" in str(caught.value)


def test_sixty_four_clients_at_once_get_the_same_page(server: WebServer) -> None:
    """Concurrent scrapes are all answered with the whole page (or told to come again)."""
    answers: list[tuple[int, bytes]] = []

    def scrape() -> None:
        status, _, body = get(server)
        answers.append((status, body))

    clients = [threading.Thread(target=scrape) for _ in range(64)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert len(answers) == 64
    assert {body for status, body in answers if status == 200} == {PAGE}
