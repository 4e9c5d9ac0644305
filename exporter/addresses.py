"""Where to listen: addresses as people write them, and sockets that systemd hands over."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import sys
from collections.abc import MutableMapping
from contextlib import suppress

from exporter.errors import SettingsError, cited

_EXPECTED = "write for example :10190, 127.0.0.1:10190 or [::1]:10190"
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?")
_FIRST_PASSED = 3  # SD_LISTEN_FDS_START


def parse_listen_address(text: str) -> tuple[str, int]:
    """Host and port. Host "" is every address of the computer, port 0 any free one.

    Raises ValueError, saying what would be right.
    """
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        raise ValueError(f"{cited(text)} has no port: {_EXPECTED}")
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f"{cited(text)}: the port must be 0 to 65535: {_EXPECTED}")
    return _host(host, text), int(port)


def _host(host: str, text: str) -> str:
    if host.startswith("[") and host.endswith("]"):
        with suppress(ValueError):
            ipaddress.IPv6Address(host[1:-1])
            return host[1:-1]
        raise ValueError(f"{cited(text)}: {cited(host[1:-1])} is not an IPv6 address: {_EXPECTED}")
    if ":" in host and re.fullmatch("[0-9A-Fa-f:.]+", host):
        raise ValueError(f"{cited(text)}: an IPv6 address needs brackets: {_EXPECTED}")
    if host and not _HOST.fullmatch(host):
        raise ValueError(f"{cited(text)}: {cited(host)} is not a host: {_EXPECTED}")
    if re.fullmatch("[0-9.]+", host):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise ValueError(f"{cited(text)}: {host} is not an IPv4 address: {_EXPECTED}") from None
    return host


def passed_sockets(environment: MutableMapping[str, str] = os.environ) -> list[socket.socket]:
    """The listening sockets that systemd passed to this process. Call it once.

    Raises SettingsError when there are none. No child process inherits them, or the variables.
    Source: https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html
    """
    pid, count = (environment.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS"))
    if sys.platform != "linux":
        raise SettingsError("--web.systemd-socket: only Linux has systemd")
    if pid != str(os.getpid()) or not re.fullmatch("[1-9][0-9]{0,3}", count):
        raise SettingsError(
            "--web.systemd-socket: systemd passed no socket to this process: "
            "start it from a .socket unit, or use --web.listen-address"
        )
    passed = []
    for descriptor in range(_FIRST_PASSED, _FIRST_PASSED + int(count)):
        try:
            os.set_inheritable(descriptor, False)
            sock = socket.socket(fileno=descriptor)
            listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            listens = listens and sock.family in (socket.AF_INET, socket.AF_INET6)
        except OSError:
            listens = 0
        if not listens:
            raise SettingsError(
                f"--web.systemd-socket: the passed descriptor {descriptor} is no listening TCP "
                "socket: write for example ListenStream=10190 in the .socket unit"
            )
        passed.append(sock)
    return passed
