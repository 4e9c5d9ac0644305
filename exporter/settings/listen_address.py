"""Parses listen addresses: ``:10190``, ``127.0.0.1:10190``, ``[::1]:10190``."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress

from exporter.errors import cited

_EXPECTED = "write for example :10190, 127.0.0.1:10190 or [::1]:10190"
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?")


def parse_listen_address(text: str) -> tuple[str, int]:
    """Return host and port. Host "" means every address of this computer, port 0 any free port.

    Raises ValueError with an example of what would be right.
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
