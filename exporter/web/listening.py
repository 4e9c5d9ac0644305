"""Opens the sockets of the listen addresses."""

from __future__ import annotations

import errno
import socket
import sys
from typing import Any, NamedTuple

from exporter.settings.listen_address import parse_listen_address

#: Connections that can wait to be accepted; the system may lower it.
_BACKLOG = 1024

# The texts of the systems differ.
_REASONS = {
    errno.EADDRINUSE: "address already in use",
    errno.EADDRNOTAVAIL: "this computer has no such address",
    errno.EACCES: "permission denied",
}


class ListenError(OSError):
    """A listen address that cannot be opened. The text has address, reason and flag."""


class Address(NamedTuple):
    """The address of a listening socket, with its real port."""

    host: str
    port: int

    def __str__(self) -> str:
        """Format it as in a URL: ``127.0.0.1:10190``, ``[::]:10190``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def listen(text: str) -> list[socket.socket]:
    """Open the listening sockets of a listen address; a host name can have several.

    Raises `ListenError`, and ValueError like `parse_listen_address`.
    """
    host, port = parse_listen_address(text)
    opened: list[socket.socket] = []
    absent: OSError | None = None
    try:
        for family, address in _resolve(host, port):
            if opened and not port:
                port = opened[0].getsockname()[1]
            try:
                opened.append(_open(family, (address[0], port, *address[2:]), dual=not host))
            except OSError as error:
                # A name can have an address that this computer lacks: localhost, without IPv6.
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                absent = error
        if absent and not opened:
            raise absent
    except OSError as error:
        for sock in opened:
            sock.close()
        reason = _REASONS.get(error.errno or 0) or str(error.strerror or error).lower()
        message = f"cannot listen on {text}: {reason} (--web.listen-address)"
        raise ListenError(message) from error
    return opened


def _resolve(host: str, port: int) -> list[tuple[int, tuple[Any, ...]]]:
    if not host:
        if socket.has_dualstack_ipv6():
            return [(socket.AF_INET6, ("::", port, 0, 0))]
        return [(socket.AF_INET, ("0.0.0.0", port))]  # noqa: S104 (as configured)
    # As bytes, because an invalid name as a str raises UnicodeError.
    name = host.encode()
    resolved = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, address) for family, *_, address in resolved))


def _open(family: int, address: tuple[Any, ...], *, dual: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform == "win32":
            # Without it, another process could listen on the same port and receive the scrapes.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            # Outside Windows it only allows a port with connections of a previous run.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock
