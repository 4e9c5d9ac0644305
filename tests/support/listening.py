"""Opens a Linux source in a network namespace, and collects its notifications."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from exporter.clock import SYSTEM, Clock
from exporter.model import Family, Notification, NotificationType
from exporter.sources.linux.source import LinuxSource
from support.namespace import FALLBACK_TUNNELS, Namespace
from support.waiting import wait_until

DEFAULT_BUFFER = 32 << 20
AF_NAMES = {Family.IPV4: "inet", Family.IPV6: "inet6"}


@contextmanager
def opened(
    namespace: Namespace,
    family: Family = Family.UNSPEC,
    buffer_bytes: int = DEFAULT_BUFFER,
    clock: Clock = SYSTEM,
) -> Iterator[LinuxSource]:
    """Open a source in the namespace, which this thread enters for the length of the block."""
    with namespace.enter():
        source = LinuxSource(family, buffer_bytes, clock)
        source.open()
        try:
            (initial,) = source.receive(0)
            assert initial.type is NotificationType.INITIAL
            yield source
        finally:
            source.close()


class Summary(NamedTuple):
    """The part of a notification that the table of the mapping describes."""

    type: NotificationType
    connected: bool
    mtu: int | None
    forwarding: bool | None


class Listener:
    """Collects the notifications of a source."""

    def __init__(self, namespace: Namespace, source: LinuxSource) -> None:
        self.namespace = namespace
        self.source = source
        self.received: list[Notification] = []
        self._markers = itertools.count(1)

    def until(self, condition: Callable[[], object], message: str) -> None:
        """Receive until a condition holds."""

        def holds() -> object:
            self.received += self.source.receive(0.02)
            return condition()

        wait_until(holds, message=message)

    def finish(self) -> None:
        """Receive all earlier notifications: those of a new link come after them."""
        name = f"marker{next(self._markers)}"
        self.namespace.ip(f"link add name {name} type ifb")
        self.until(lambda: name in {i.link.name for i in self.source.interfaces()}, name)

    def about(self, name: str, family: Family) -> list[Summary]:
        """Return the notifications of one interface, without refreshes."""
        return [
            Summary(n.type, row.connected, row.mtu_bytes, row.forwarding_enabled)
            for n in self.received
            if n.family is family and n.type is not NotificationType.REFRESH
            if n.interface is not None and n.interface.link.name == name
            for row in [n.interface.parameters]
        ]


def agree(source: LinuxSource, namespace: Namespace) -> None:
    """Compare the table with iproute2: existence, names, mtu, forwarding, Connected, timers."""
    links, netconf, timers = namespace.links(), namespace.netconf(), namespace.neighbor_timers()
    interfaces = {(AF_NAMES[i.family], i.link.name): i for i in source.interfaces()}
    assert interfaces.keys() == netconf.keys()
    for (family, name), interface in interfaces.items():
        if name in FALLBACK_TUNNELS:
            continue  # ip shows the addresses of tunnels as those of IP
        link, row, timer = links[name], interface.parameters, timers[family, name]
        assert interface.ifindex == link["ifindex"]
        assert interface.link.kind == link.get("linkinfo", {}).get("info_kind", "")
        assert interface.link.address == link.get("address", "")
        assert interface.link.alias == link.get("ifalias", "")
        assert row.mtu_bytes == link["mtu"]
        assert row.forwarding_enabled is netconf[family, name]["forwarding"]
        connected = {"UP", "LOWER_UP"} <= {*link["flags"]}
        if link["operstate"] != "UNKNOWN":
            connected = connected and link["operstate"] == "UP"
        assert row.connected is connected, (family, name)
        seconds = timer["base_reachable"] / 1000, timer["retrans"] / 1000
        assert (row.base_reachable_time_seconds, row.retransmit_time_seconds) == seconds
