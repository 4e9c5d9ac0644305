"""Logs each message of the system, with its notifications, at --log.level=debug."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator

from exporter.bindings import rtnetlink as nl
from exporter.logs import event
from exporter.model import Notification

log = logging.getLogger(__name__)

_FLAGS = {nl.IFF_UP: "UP", nl.IFF_RUNNING: "RUNNING", nl.IFF_LOWER_UP: "LOWER_UP"}
_NAMES = {**nl.MESSAGE_NAMES, nl.NLMSG_ERROR: "ERROR", nl.NLMSG_DONE: "DONE"}

Datagram = tuple[memoryview, int, int]


def traced(
    datagrams: Iterable[Datagram],
    out: list[Notification],
    is_reply: Callable[[int, int], bool],
) -> Iterator[Datagram]:
    """Pass datagrams on; log each when the next is asked for, with what it added to `out`."""
    for data, size, sender in datagrams:
        before = len(out)
        yield data, size, sender
        for message in nl.messages(data, min(size, len(data))):
            event(
                log,
                logging.DEBUG,
                "Message received",
                **_fields(message, data),
                reply=is_reply(message.sequence, message.port),
                notifications=", ".join(
                    f"{n.type.label} {n.family.label} {n.ifindex}" for n in out[before:]
                ),
            )


def _fields(message: nl.Message, data: memoryview) -> dict[str, object]:
    fields: dict[str, object] = {"type": _NAMES.get(message.type, message.type)}
    place = data, message.start, message.end
    if message.type in (nl.RTM_NEWLINK, nl.RTM_DELLINK):
        link = nl.parse_link(*place)
        if link is not None:
            fields |= {
                "ifindex": link.ifindex,
                "family": link.family,
                "device": (link.name or b"").decode("utf-8", "replace"),
                "flags": ",".join(name for bit, name in _FLAGS.items() if link.flags & bit),
                "mtu": link.mtu,
                "carrier_up": link.carrier_up,
                "carrier_down": link.carrier_down,
            }
    elif message.type in (nl.RTM_NEWNETCONF, nl.RTM_DELNETCONF):
        netconf = nl.parse_netconf(*place)
        if netconf is not None:
            fields |= netconf._asdict()
    elif message.type in (nl.RTM_NEWADDR, nl.RTM_DELADDR):
        address = nl.parse_address(*place)
        if address is not None:
            fields |= {"ifindex": address[1], "family": address[0]}
    elif message.type in (nl.NLMSG_ERROR, nl.NLMSG_DONE):
        fields["errno"] = nl.error_code(*place)
    return fields
