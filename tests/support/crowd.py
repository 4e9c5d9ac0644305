"""Clients that mean no good, by the hundred: silent, dripping, and taking no answer."""

import socket
from contextlib import suppress
from typing import Self

from support.waiting import DEADLINE

_REQUEST = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
_HEAD = b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Drip: "


class Crowd:
    """A third of them says nothing, a third drips a header, a third asks and takes nothing."""

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
        if kind == 2:  # as little as possible is out of the server's hands
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        client.settimeout(DEADLINE)
        client.connect(self._address)
        client.setblocking(False)
        with suppress(OSError):
            client.sendall((b"", _HEAD, _REQUEST * 50)[kind])
        return kind, client

    def harass(self) -> int:
        """Drip once more, and replace those whom the server has given up; how many it had."""
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
        elif kind == 2:  # reading would be taking
            return bool(client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
