"""A server to test, and a client that sends exactly the given bytes."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from email.message import Message
from email.parser import BytesHeaderParser
from typing import NamedTuple, Self

from support.waiting import DEADLINE

from exporter.web.admission import Limits
from exporter.web.http_message import Handler, Request, Response
from exporter.web.server import WebServer

GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
PAGE = Response(200, (("Content-Type", "text/plain"),), b"page\n")


def page(_: Request) -> Response:
    """The handler of tests that do not care."""
    return PAGE


def echo(request: Request) -> Response:
    """A handler that says what it was asked."""
    return Response(200, (), f"{request.method} {request.path}".encode())


class Answer(NamedTuple):
    """A response as it came."""

    status: int
    headers: Message
    body: bytes


class Client:
    """A connection to a server, closed at the end of the ``with`` block."""

    def __init__(self, server: WebServer, data: bytes = b"", timeout: float = DEADLINE) -> None:
        self.socket = socket.create_connection(server.addresses[0], timeout=timeout)
        self._file = self.socket.makefile("rb")
        if data:
            self.socket.sendall(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._file.close()
        self.socket.close()

    def ask(self, data: bytes = GET) -> Answer:
        """Send a request and take its answer."""
        self.socket.sendall(data)
        return self.answer(head_only=data.startswith(b"HEAD"))

    def answer(self, head_only: bool = False) -> Answer:
        """The next answer. Raises ConnectionError if there is none."""
        status = self._file.readline()
        if not status:
            raise ConnectionResetError("closed without an answer")
        lines = [line for line in iter(self._file.readline, b"\r\n") if line]
        headers = BytesHeaderParser().parsebytes(b"".join(lines))
        size = 0 if head_only else int(headers["Content-Length"])
        return Answer(int(status.split()[1]), headers, self._file.read(size))

    def rest(self) -> bytes:
        """All that comes until the server closes, however it does that."""
        received = b""
        try:
            while data := self.socket.recv(65536):
                received += data
        except ConnectionError:
            pass
        return received

    def closed(self) -> bool:
        """Whether the server has closed, without waiting for it."""
        self.socket.setblocking(False)
        try:
            return self.socket.recv(1) == b""
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        finally:
            self.socket.settimeout(DEADLINE)


@contextmanager
def serving(
    handler: Handler = page, max_requests: int = 40, limits: Limits | None = None
) -> Iterator[WebServer]:
    """A running server, stopped at the end."""
    server = WebServer(["127.0.0.1:0"], handler, max_requests, limits=limits)
    server.start()
    try:
        yield server
    finally:
        server.stop(DEADLINE)


def scrape(server: WebServer) -> Answer:
    """The answer to a good request, on a connection of its own."""
    with closing(Client(server)) as client:
        return client.ask()
