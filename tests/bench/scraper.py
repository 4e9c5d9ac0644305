"""A client that keeps its connection, as Prometheus does, and does as little as can be.

What it does counts as the agent's: it takes what comes, as it comes.
"""

import socket
from collections.abc import Iterator
from typing import Self

_END_OF_CHUNKS = b"\r\n0\r\n\r\n"


class Scraper:
    """One connection to a port of this computer, or of the namespace the thread is in."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._buffer = memoryview(bytearray(1 << 20))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def page(self) -> bytes:
        """The metrics page, of a server that tells its length."""
        return b"".join(map(bytes, self.pieces("identity")))

    def pieces(self, coding: str) -> Iterator[memoryview]:
        """The body of a scrape, piece by piece; where it comes in chunks, with their frames."""
        request = f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: {coding}\r\n\r\n"
        self._socket.sendall(request.encode())
        received = self._buffer[: self._socket.recv_into(self._buffer)]
        head, _, body = bytes(received).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        length = head.lower().partition(b"content-length:")[2]
        left = int(length.split()[0]) if length else None
        piece, tail = memoryview(body), b""
        while True:
            tail = (tail + piece[-len(_END_OF_CHUNKS) :])[-len(_END_OF_CHUNKS) :]
            if left is not None:
                left -= len(piece)
            yield piece
            if left == 0 or (left is None and tail == _END_OF_CHUNKS):
                return
            piece = self._buffer[: self._socket.recv_into(self._buffer)]
            assert piece, "the connection was closed in the middle"
