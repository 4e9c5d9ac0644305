"""Hostile clients by the hundred: silent, sending slowly, or not reading the answer."""

import socket
from contextlib import suppress
from typing import Self

from support.waiting import DEADLINE

_REQUEST = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
_HEAD = b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Drip: "


class Crowd:
    """A third sends nothing, a third sends a header slowly, a third does not read its answer."""

    def __init__(self, address: tuple[str, int], size: int) -> None:
        self._address = address
        self._clients = [self._connect(number % 3) for number in range(size)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for _, client in self._clients:
            client.close()

    def _connect(self, kind: int) -> tuple[int, socket.socket]:
        client = socket.socket()
        if kind == 2:  # the smallest buffers, so that the server must hold the rest
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        client.settimeout(DEADLINE)
        client.connect(self._address)
        client.setblocking(False)
        with suppress(OSError):
            client.sendall((b"", _HEAD, _REQUEST * 50)[kind])
        return kind, client

    def harass(self) -> int:
        """Continue the headers, and replace the disconnected clients. Returns their number."""
        replaced = 0
        for place, (kind, client) in enumerate(self._clients):
            if _ended(kind, client):
                client.close()
                self._clients[place] = self._connect(kind)
                replaced += 1
        return replaced


def _ended(kind: int, client: socket.socket) -> bool:
    try:
        if kind == 1:
            client.sendall(b"x")
        elif kind == 2:  # it must not read
            return bool(client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
