"""Requests that mean no good: each has an answer or a close, and the next scrape is served."""

import logging
import re
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
from serving import GET, PAGE, Client, echo, scrape, serving
from support.agent import Agent
from support.waiting import wait_until

from exporter.web.admission import Limits
from exporter.web.http_message import Request, Response
from exporter.web.server import WebServer

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
BODY_BYTES = Limits().body_bytes


@pytest.fixture(scope="module")
def running() -> Iterator[WebServer]:
    """A server for all of these tests, as it would meet them all."""
    with serving(echo) as server:
        yield server


@pytest.fixture
def server(running: WebServer, caplog: pytest.LogCaptureFixture) -> Iterator[WebServer]:
    """The same server, which still answers after the test, and has logged nothing."""
    with caplog.at_level(logging.INFO):
        yield running
        assert scrape(running).status == 200
    assert not caplog.records, "of any logger"


def statuses(answer: bytes) -> list[int]:
    """The status of each response in what came."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", answer)]


def say(server: WebServer, data: bytes, end: bool = False) -> bytes:
    """All that the server answers to these bytes until it closes."""
    with Client(server) as client:
        with suppress(ConnectionError):  # it may close before it has read all
            client.socket.sendall(data)
            if end:
                client.socket.shutdown(socket.SHUT_WR)
        return client.rest()


# What has one right answer, after which the connection ends: nothing behind it is a request.
REFUSED = {
    "two lengths": (
        HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "the other way round": (
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        400,
    ),
    "HEAD with two lengths": (
        b"HEAD" + HEAD[3:] + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "chunked in HTTP/1.0": (CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n", 400),
    "different lengths": (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    "a list of lengths": (HEAD + b"Content-Length: 1, 2\r\n\r\nab", 400),
    "a negative length": (HEAD + b"Content-Length: -1\r\n\r\n", 400),
    "a signed length": (HEAD + b"Content-Length: +1\r\n\r\na", 400),
    "a length in hexadecimal": (HEAD + b"Content-Length: 0x1\r\n\r\na", 400),
    "a length with an underscore": (HEAD + b"Content-Length: 1_0\r\n\r\n0123456789", 400),
    "no length": (HEAD + b"Content-Length:\r\n\r\n", 400),
    "Arabic digits": (HEAD + "Content-Length: ١\r\n\r\na".encode(), 400),
    "a length of 5,000 digits": (HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
    "more than a body may have": (HEAD + b"Content-Length: %d\r\n\r\n" % (BODY_BYTES + 1), 413),
    "2^64 bytes": (HEAD + b"Content-Length: 18446744073709551616\r\n\r\n", 413),
    "HEAD with more": (b"HEAD" + HEAD[3:] + b"Content-Length: 999999\r\n\r\n", 413),
    "other codings": (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "xchunked": (HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    "identity": (HEAD + b"Transfer-Encoding: identity\r\n\r\n", 501),
    "chunked in quotes": (HEAD + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n', 501),
    "chunked twice": (HEAD + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n", 501),
    "chunked behind a control": (HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    "chunked as if of two lines": (
        HEAD + b"Transfer-Encoding:\r\n identity\r\n\r\n" + NEXT,
        501,
    ),
    "a space before the colon": (HEAD + b"Content-Length : 4\r\n\r\nabcd", 400),
    "a tab before the colon": (HEAD + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", 400),
    "a fold at the start": (b"GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400),
    "a header without a colon": (HEAD + b"nothing\r\n\r\n", 400),
    "a header without a name": (HEAD + b": nothing\r\n\r\n", 400),
    "a lone CR": (HEAD + b"X: a\rContent-Length: 3\r\n\r\n", 400),
    "NUL in a header": (HEAD + b"X: a\0b\r\n\r\n", 400),
    "NUL in the target": (b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a name that is not ASCII": (HEAD + b"X\xff: a\r\n\r\n", 400),
    "a target that is not ASCII": (b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (HEAD + b"Host: y\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "HTTP/2, with knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/3": (b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505),
    "HTTP of 1991": (b"GET / HTTP/0.9\r\n\r\n", 505),
    "no HTTP": (b"GET / FTP/1.1\r\nHost: x\r\n\r\n", 400),
    "two spaces": (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "blank lines": (b"\r\n" * 100, 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(502), 400),
    "a letter": (b"\xc3\xa9" + GET, 400),
    "a long target": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    "a long method": (b"A" * 100_000, 414),
    "a long header": (HEAD + b"X: " + b"a" * 100_000 + b"\r\n\r\n", 431),
    "many headers": (HEAD + b"X: y\r\n" * 20_000 + b"\r\n", 431),
    "a long fold": (HEAD + b"X: y\r\n" + b" z\r\n" * 20_000 + b"\r\n", 431),
    "endless blanks": (HEAD + b"X:" + b" " * 100_000, 431),
    "a chunk of a negative size": (CHUNKED + b"-1\r\na\r\n0\r\n\r\n", 400),
    "a chunk of 0x5 bytes": (CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n", 400),
    "a chunk without a size": (CHUNKED + b"\r\nhello\r\n0\r\n\r\n", 400),
    "a chunk of 30 digits": (CHUNKED + b"0" * 29 + b"5\r\nhello\r\n0\r\n\r\n", 400),
    "a chunk larger than it says": (CHUNKED + b"4\r\nhello\r\n0\r\n\r\n", 400),
    "HEAD with a bad chunk": (b"HEAD" + CHUNKED[3:] + b"x\r\n\r\n", 400),
    "a bad trailer": (CHUNKED + b"0\r\nbad trailer\r\n\r\n", 400),
    "a large chunk": (CHUNKED + b"FFFFFFFFFFFFFFFFFFFF\r\n" + b"a" * 200_000, 413),
    "many chunks": (CHUNKED + b"1\r\na\r\n" * 70_000, 413),
    "small chunks with large extensions": (
        CHUNKED + (b"1;" + b"x" * 8000 + b"\r\na\r\n") * 40,
        413,
    ),
    "an endless extension": (CHUNKED + b"1;" + b"x" * 200_000, 413),
    "endless trailers": (CHUNKED + b"0\r\n" + b"X: y\r\n" * 40_000, 431),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_requests_are_refused_and_end_the_connection(server: WebServer, name: str) -> None:
    """Whatever could be read in two ways is not read at all, nor is anything behind it."""
    data, status = REFUSED[name]
    answer = say(server, data + NEXT)
    assert statuses(answer) == [status], answer[:200]
    assert b"connection: close" in answer.lower()
    assert b"smuggled" not in answer


# What is right, if unusual, and means what it says: the request behind it is one.
UNDERSTOOD = {
    "lines that end in LF": b"GET /1 HTTP/1.1\nHost: x\n\n",
    "a folded header": b"GET /1 HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
    "the same length twice": b"GET /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2, 2\r\n\r\nab",
    "a chunk with an extension": b"GET /1" + CHUNKED[5:] + b'2;a="b";c\r\nab\r\n0\r\nX: y\r\n\r\n',
    "CHUNKED": b"GET /1" + CHUNKED[5:].replace(b"chunked", b"Chunked") + b"0\r\n\r\n",
    "absolute form": b"GET http://x/1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a percent sign": b"GET /1?%00%ff%zz% HTTP/1.1\r\nHost: x\r\n\r\n",
    "a value that is not UTF-8": b"GET /1 HTTP/1.1\r\nHost: x\r\nX: \xff\xfe\r\n\r\n",
    "the authority form": b"GET 1:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "an asterisk": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "another method": b"BREW /1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "an upgrade": b"GET /1 HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
}


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_unusual_requests_are_understood_and_end_where_they_say(
    server: WebServer, name: str
) -> None:
    """The request is answered, and the next one begins exactly behind it."""
    with Client(server, UNDERSTOOD[name] + NEXT) as client:
        first, second = client.answer(), client.answer()
    assert (first.status, second.body) == (200, b"GET /smuggled")


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_nobody_gets_another_protocol(server: WebServer, data: bytes) -> None:
    """An upgrade is answered over HTTP/1.1; what follows is not taken for a tunnel's content."""
    answer = say(server, data + NEXT, end=True)
    assert statuses(answer)[0] in (200, 501)
    assert 101 not in statuses(answer)


@pytest.mark.parametrize("name", [*REFUSED, *UNDERSTOOD])
def test_every_beginning_of_a_request_ends(server: WebServer, name: str) -> None:
    """A client that breaks off anywhere in a request leaves an answer or a close, at once."""
    data = REFUSED[name][0] if name in REFUSED else UNDERSTOOD[name]
    for stop in sorted({1, 4, 5, 20, len(HEAD) - 1, len(HEAD), len(data) // 2, len(data) - 1}):
        answer = say(server, data[: min(stop, 3000)], end=True)
        assert all(status in (200, 400, 413, 414, 431, 501, 505) for status in statuses(answer))


def test_a_refusal_arrives_while_its_cause_still_comes(server: WebServer) -> None:
    """A client that sends more than is read gets the refusal, not a reset in its place."""
    for _ in range(20):
        with Client(server) as client:
            client.socket.sendall(HEAD + b"X: " + b"a" * 500_000)
            assert client.answer().status == 431


def test_an_answer_with_a_close_arrives_while_more_comes(server: WebServer) -> None:
    """The same for a good request that ends the connection with more behind it."""
    last = HEAD + b"Connection: close\r\n\r\n"
    for _ in range(20):
        with Client(server, last + b"a" * 300_000) as client:
            assert client.answer().status == 200


def test_a_thousand_queued_requests_wait_for_each_other(server: WebServer) -> None:
    """Pipelined requests are read as they are answered; others get their turn between them."""
    with Client(server) as greedy:
        greedy.socket.setblocking(False)
        with suppress(BlockingIOError):
            for _ in range(1000):
                greedy.socket.sendall(GET * 100)
        for _ in range(10):
            assert scrape(server).status == 200


LARGE = Response(200, (), bytes(8 << 20))
ASK_LARGE = GET.replace(b"metrics", b"large")


def by_size(request: Request) -> Response:
    """A response that no buffer of the system's takes whole, or a small one."""
    return LARGE if request.path == "/large" else PAGE


def test_a_crowd_that_takes_no_answer_keeps_nobody_out() -> None:
    """With as many unread answers on their way as may be, the oldest one makes room."""
    limits = Limits(crowded_response_seconds=0.2)
    with serving(by_size, max_requests=4, limits=limits) as server, ExitStack() as stack:
        greedy = [stack.enter_context(Client(server, ASK_LARGE)) for _ in range(4)]
        client = stack.enter_context(Client(server))
        seen: list[int] = []
        wait_until(lambda: seen.append(client.ask().status) or seen[-1] == 200)
        assert set(seen) <= {503, 200}
        assert client.ask().status == 200
        assert len(greedy[0].rest()) < len(LARGE.body), "the oldest was given up"
        assert greedy[3].answer().body == LARGE.body, "the newest was not"


def test_without_a_limit_of_requests_that_of_connections_holds() -> None:
    """When every connection there may be waits for its client to read, one makes room."""
    limits = Limits(connections=4, crowded_response_seconds=0.2)
    with serving(by_size, max_requests=0, limits=limits) as server, ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(Client(server, ASK_LARGE))

        def served() -> bool:
            try:
                return scrape(server).status == 200
            except ConnectionError:
                return False

        wait_until(served)


@pytest.mark.parametrize("target", [b"/metrics", b"/nothing"])
def test_work_ends_with_the_connection(target: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Clients that pipeline and vanish cost no more than was begun, and no line of any logger."""
    asked = []
    request = b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n"

    def handler(request: Request) -> Response:
        asked.append(request.path)
        return Response(200, (), b"x" * 100_000)

    with caplog.at_level(logging.INFO), serving(handler) as server:
        for _ in range(20):
            with Client(server, request * 100) as client:
                # Closing with a reset, as a client does that is killed.
                linger = struct.pack("ii", 1, 0)
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        assert scrape(server).status == 200
        wait_until(lambda: not server._admission._tasks, message="every connection has ended")
    assert not caplog.records
    assert len(asked) < 20 * 100


def test_what_asyncio_says_is_limited(caplog: pytest.LogCaptureFixture) -> None:
    """A message of asyncio's own is logged once, and no more while it repeats."""
    with caplog.at_level(logging.INFO), serving(echo):
        for _ in range(100):
            logging.getLogger("asyncio").warning("socket.send() raised exception.")
    assert len([r for r in caplog.records if r.name == "asyncio"]) == 1


FEW = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]),) * 2)
from exporter.cli import main
sys.exit(main(["--web.listen-address=127.0.0.1:0"]))
"""


@pytest.mark.parametrize("descriptors", [64, 200])
def test_silent_clients_keep_no_scraper_out_where_descriptors_are_few(descriptors: int) -> None:
    """More silent clients than there are descriptors: the next scraper is served, and others."""
    agent = Agent()
    agent.command = [sys.executable, "-c", FEW, str(descriptors)]
    with agent, ExitStack() as silent:
        for _ in range(2 * descriptors):
            silent.enter_context(socket.create_connection(("127.0.0.1", agent.port)))
        for _ in range(5):
            assert agent.get("/-/healthy").status == 200
        assert not [line for line in agent.log if "Accepting a connection" in line]
