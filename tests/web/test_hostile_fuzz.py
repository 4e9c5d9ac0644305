"""Requests made up by hypothesis: good ones are answered one by one, bad ones do no harm."""

import logging
import re
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import GET, Client, echo, scrape, serving

from exporter.web.server import WebServer

INSIDE = b"GET /inside HTTP/1.1\r\nHost: x\r\n\r\n"
TOKEN = st.text("abcXYZ019-_.!#$%&'*+^`|~", min_size=1, max_size=12).map(str.encode)
VALUE = st.text('abc XYZ\t019:;,="\\<>[]{}()@/?%\xe9\xff', max_size=30).map(
    lambda text: text.encode("latin-1").strip()
)
HEADERS = st.lists(
    st.tuples(TOKEN.filter(lambda name: not name.lower().startswith(b"te")), VALUE), max_size=4
).map(lambda pairs: b"".join(b"X-%s: %s\r\n" % pair for pair in pairs))
BODIES = st.sampled_from([b"", INSIDE, b"\r\n\r\n", b"0\r\n\r\n"]) | st.binary(max_size=40)


@st.composite
def chunked(draw: st.DrawFn) -> bytes:
    """A chunked body, with extensions and trailers that are allowed."""
    chunks = draw(st.lists(BODIES.filter(len), max_size=3))
    extension = draw(st.sampled_from([b"", b";a", b';a="b;c"']))
    trailer = draw(st.sampled_from([b"", b"X-T: y\r\n"]))
    pieces = [b"%x%s\r\n%s\r\n" % (len(chunk), extension, chunk) for chunk in chunks]
    return b"".join([*pieces, b"0\r\n", trailer, b"\r\n"])


@st.composite
def good_requests(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A request that has one meaning, and the answer of a server that says what it was asked."""
    path = b"/%d" % draw(st.integers(0, 10**9))
    method = draw(st.sampled_from([b"GET", b"POST", b"OPTIONS", b"X"]))
    target = draw(st.sampled_from([b"%s", b"http://x%s", b"%s?"])) % path
    head = b"%s %s HTTP/1.1\r\nHost: x\r\n%s" % (method, target, draw(HEADERS))
    if draw(st.booleans()):
        body = draw(BODIES)
        request = b"%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body)
    elif draw(st.booleans()):
        request = b"%sTransfer-Encoding: chunked\r\n\r\n%s" % (head, draw(chunked()))
    else:
        request = head + b"\r\n"
    return request, b"%s %s" % (method, path)


def cut(data: bytes, places: list[int]) -> Iterator[bytes]:
    """The pieces of something cut at these places."""
    begin = 0
    for place in sorted(place % (len(data) + 1) for place in places):
        yield data[begin:place]
        begin = place
    yield data[begin:]


@pytest.fixture(scope="module")
def server() -> Iterator[WebServer]:
    """A server for all examples."""
    with serving(echo) as server:
        yield server


PLACES = st.lists(st.integers(0, 2000), max_size=5)
QUICK = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@given(st.lists(good_requests(), min_size=1, max_size=5), PLACES)
def test_good_requests_are_answered_one_by_one(
    server: WebServer, requests: list[tuple[bytes, bytes]], places: list[int]
) -> None:
    """In whatever pieces they come, each has its answer, in order, and no body is a request."""
    with Client(server) as client:
        for piece in cut(b"".join(request for request, _ in requests), places):
            client.socket.sendall(piece)
        for _, expected in requests:
            assert client.answer().body == expected
        assert client.ask(GET).body == b"GET /metrics"


EDITS = st.lists(
    st.tuples(
        st.integers(0, 2000),
        st.integers(0, 3),
        st.binary(max_size=3)
        | st.sampled_from([b"\r\n", b"\n", b"\r", b"\0", b":", b" ", b"Content-Length: 3\r\n"]),
    ),
    max_size=4,
)


@QUICK
@given(st.lists(good_requests(), max_size=3), EDITS, PLACES, st.binary(max_size=20))
def test_bad_requests_end_in_an_answer_or_a_close(
    server: WebServer,
    caplog: pytest.LogCaptureFixture,
    requests: list[tuple[bytes, bytes]],
    edits: list[tuple[int, int, bytes]],
    places: list[int],
    rest: bytes,
) -> None:
    """Requests with bytes replaced or inserted: each answer is whole, and nothing is logged."""
    data = bytearray(b"".join(request for request, _ in requests) + rest)
    for place, size, replacement in edits:
        place %= len(data) + 1
        data[place : place + size] = replacement
    caplog.set_level(logging.INFO)
    with Client(server) as client:
        with suppress(ConnectionError):
            for piece in cut(bytes(data), places):
                client.socket.sendall(piece)
            client.socket.shutdown(socket.SHUT_WR)
        received = client.rest()
    while received:
        head, blank, received = received.partition(b"\r\n\r\n")
        assert re.match(rb"HTTP/1\.1 (200|400|413|414|431|501|505) [A-Z]", head), head
        length = re.search(rb"(?m)^content-length: ([0-9]+)\r?$", head.lower())
        assert blank
        assert length
        size = int(length[1])
        assert len(received) >= size
        received = received[size:]
    assert scrape(server).status == 200
    assert not [r for r in caplog.records if r.name.startswith("exporter")]
