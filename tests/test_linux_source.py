"""The Linux source on the real kernel, in a network namespace of the test's own."""

import errno
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Any, NamedTuple

import pytest
from requirements_here import require
from support.namespace import Namespace
from support.waiting import wait_until

from exporter.bindings import rtnetlink as nl
from exporter.bindings.rtnetlink_socket import DumpInterrupted, Requester
from exporter.model import FAMILIES, Family, Interface, Kind, Notification
from exporter.sources import linux, listing
from exporter.sources.contract import SourceClosed
from exporter.sources.linux import LinuxSource
from exporter.sources.listing import take_listing

V4, V6 = Family.IPV4, Family.IPV6
DEFAULT_BUFFER = 32 << 20


@contextmanager
def opened(
    namespace: Namespace, family: Family = Family.UNSPEC, buffer_bytes: int = DEFAULT_BUFFER
) -> Iterator[LinuxSource]:
    """A source that listens in the namespace, and this thread in there with it."""
    with namespace.enter():
        source = LinuxSource(family, buffer_bytes)
        source.open()
        try:
            (initial,) = source.receive(0)
            assert initial.kind is Kind.INITIAL
            yield source
        finally:
            source.close()


class Heard(NamedTuple):
    """The part of a notification that the table of the mapping speaks of."""

    kind: Kind
    connected: bool
    mtu: int | None
    forwarding: bool | None


class Listener:
    """Collects what a source says."""

    def __init__(self, namespace: Namespace, source: LinuxSource) -> None:
        self.namespace = namespace
        self.source = source
        self.heard: list[Notification] = []
        self._markers = itertools.count(1)

    def until(self, condition: Callable[[], object], message: str) -> None:
        """Receive until something holds."""

        def received() -> object:
            self.heard += self.source.receive(0.02)
            return condition()

        wait_until(received, message=message)

    def finish(self) -> None:
        """Receive all that was said before now: the kernel announces a new link after it."""
        name = f"marker{next(self._markers)}"
        self.namespace.ip(f"link add name {name} type ifb")
        self.until(lambda: name in {i.link.name for i in self.source.list()}, name)

    def about(self, name: str, family: Family) -> list[Heard]:
        """What was said of one interface; refreshes are no notifications."""
        return [
            Heard(n.kind, row.connected, row.mtu_bytes, row.forwarding_enabled)
            for n in self.heard
            if n.family is family and n.kind is not Kind.REFRESH
            if n.interface is not None and n.interface.link.name == name
            for row in [n.interface.parameters]
        ]


# -- the table of the mapping, told by the kernel --------------------------------------------

ADD, DELETE, CHANGE = Kind.ADD, Kind.DELETE, Kind.PARAMETER


class Step(NamedTuple):
    """Something done, the name the link then has, and what each family must say."""

    what: str
    do: Callable[[Namespace], object]
    ipv4: list[Heard]
    ipv6: list[Heard]
    name: str = "west"


def ip(arguments: str) -> Callable[[Namespace], object]:
    """A step done by ``ip``."""
    return lambda namespace: namespace.ip(arguments)


def sysctl(name: str, value: int) -> Callable[[Namespace], object]:
    """A step done by a sysctl."""
    return lambda namespace: namespace.sysctl(name, value)


def both(kind: Kind, connected: bool, mtu: int, forwarding: bool) -> dict[str, list[Heard]]:
    """The same for both families."""
    heard = [Heard(kind, connected, mtu, forwarding)]
    return {"ipv4": heard, "ipv6": heard}


NOTHING: dict[str, list[Heard]] = {"ipv4": [], "ipv6": []}
UP = Heard(CHANGE, True, 1500, False)
ADD_PAIR = ip("link add name west type veth peer name east")

SCRIPT = (
    Step("add", ADD_PAIR, **both(ADD, False, 1500, False)),
    Step("up, without carrier", ip("link set west up"), **NOTHING),
    Step("carrier up", ip("link set east up"), **both(CHANGE, True, 1500, False)),
    Step("carrier down", ip("link set east down"), **both(CHANGE, False, 1500, False)),
    Step("carrier up again", ip("link set east up"), **both(CHANGE, True, 1500, False)),
    Step("alias", ip("link set west alias uplink"), **NOTHING),
    Step("rename while up", ip("link set west name wild"), **NOTHING, name="wild"),
    Step("rename back", ip("link set wild name west"), **NOTHING),
    Step("mtu 1400", ip("link set west mtu 1400"), **both(CHANGE, True, 1400, False)),
    Step(
        "mtu 1279",
        ip("link set west mtu 1279"),
        ipv4=[Heard(CHANGE, True, 1279, False)],
        ipv6=[Heard(DELETE, True, 1400, False)],
    ),
    Step(
        "mtu 1500",
        ip("link set west mtu 1500"),
        ipv4=[Heard(CHANGE, True, 1500, False)],
        ipv6=[Heard(ADD, True, 1500, False)],
    ),
    Step(
        "IPv4 forwarding on",
        sysctl("ipv4/conf/west/forwarding", 1),
        ipv4=[Heard(CHANGE, True, 1500, True)],
        ipv6=[],
    ),
    Step("IPv4 forwarding on again", sysctl("ipv4/conf/west/forwarding", 1), **NOTHING),
    Step(
        "IPv4 forwarding off",
        sysctl("ipv4/conf/west/forwarding", 0),
        ipv4=[Heard(CHANGE, True, 1500, False)],
        ipv6=[],
    ),
    Step(
        "IPv6 forwarding on",
        sysctl("ipv6/conf/west/forwarding", 1),
        ipv4=[],
        ipv6=[Heard(CHANGE, True, 1500, True)],
    ),
    Step(
        "IPv6 forwarding off",
        sysctl("ipv6/conf/west/forwarding", 0),
        ipv4=[],
        ipv6=[Heard(CHANGE, True, 1500, False)],
    ),
    Step(
        "forwarding of everything on",
        sysctl("ipv4/ip_forward", 1),
        ipv4=[Heard(CHANGE, True, 1500, True)],
        ipv6=[],
    ),
    Step(
        "forwarding of everything off",
        sysctl("ipv4/ip_forward", 0),
        ipv4=[Heard(CHANGE, True, 1500, False)],
        ipv6=[],
    ),
    Step(
        "disable_ipv6",
        sysctl("ipv6/conf/west/disable_ipv6", 1),
        ipv4=[],
        ipv6=[Heard(CHANGE, False, 1500, False)],
    ),
    Step(
        "enable it again",
        sysctl("ipv6/conf/west/disable_ipv6", 0),
        ipv4=[],
        ipv6=[Heard(CHANGE, True, 1500, False)],
    ),
    Step("another address", ip("address add 192.0.2.1/24 dev west"), **NOTHING),
    Step("bridge join", ip("link set west master bridge"), **NOTHING),
    Step("bridge leave", ip("link set west nomaster"), **NOTHING),
    Step("down", ip("link set west down"), **both(CHANGE, False, 1500, False)),
    Step("up", ip("link set west up"), **both(CHANGE, True, 1500, False)),
    Step(
        "delete",
        ip("link del west"),
        ipv4=[Heard(CHANGE, False, 1500, False), Heard(DELETE, False, 1500, False)],
        ipv6=[Heard(CHANGE, False, 1500, False), Heard(DELETE, False, 1500, False)],
    ),
    Step("re-create with the same name", ADD_PAIR, **both(ADD, False, 1500, False)),
)


@pytest.mark.parametrize("family", [Family.UNSPEC, V4, V6], ids=lambda f: f.label)
def test_a_scripted_life_gives_exactly_the_notifications_of_the_table(
    namespace: Namespace, family: Family
) -> None:
    """Every step of a link's life says what the mapping states, per family, and no more."""
    namespace.ip("link add name bridge type bridge")
    with opened(namespace, family) as source:
        listener = Listener(namespace, source)
        for step in SCRIPT:
            listener.heard.clear()
            expected = {
                f: heard if family in (Family.UNSPEC, f) else []
                for f, heard in ((V4, step.ipv4), (V6, step.ipv6))
            }
            step.do(namespace)
            # The carrier's changes come when the kernel's worker has run, not at once.
            listener.until(
                lambda name=step.name, expected=expected: all(
                    len(listener.about(name, f)) >= len(expected[f]) for f in FAMILIES
                ),
                step.what,
            )
            listener.finish()
            assert {f: listener.about(step.name, f) for f in FAMILIES} == expected, step.what


def test_moving_to_another_namespace_is_a_deletion(namespace: Namespace) -> None:
    """Here the interfaces are deleted; there, and when they come back, they are added."""
    there = Namespace()
    with there, opened(namespace) as source:
        namespace.ip("link add name west type veth peer name east")
        namespace.batch(["link set west up", "link set east up"])
        listener = Listener(namespace, source)
        listener.until(
            lambda: all(listener.about("west", f)[-1:] == [UP] for f in FAMILIES), "carrier"
        )
        listener.heard.clear()
        namespace.ip(f"link set west netns {there.name}")
        listener.until(
            lambda: all(len(listener.about("west", f)) >= 2 for f in FAMILIES), "departure"
        )
        listener.finish()
        gone = [Heard(CHANGE, False, 1500, False), Heard(DELETE, False, 1500, False)]
        assert {f: listener.about("west", f) for f in FAMILIES} == {V4: gone, V6: gone}
        listener.heard.clear()
        there.ip(f"link set west netns {namespace.name}")
        listener.finish()
        back = [Heard(ADD, False, 1500, False)]
        assert {f: listener.about("west", f) for f in FAMILIES} == {V4: back, V6: back}


@pytest.mark.parametrize(
    ("make", "name", "kind"),
    [
        ("link add name west type veth peer name east", "west", "veth"),
        ("link add name bridge type bridge", "bridge", "bridge"),
        ("tuntap add name tap mode tap", "tap", "tun"),
        ("link add name ifb type ifb", "ifb", "ifb"),
    ],
    ids=["veth", "bridge", "tap", "ifb"],
)
def test_kinds_of_links_are_alike(namespace: Namespace, make: str, name: str, kind: str) -> None:
    """Whatever makes a link, its addition and deletion are one notification per family."""
    with opened(namespace) as source:
        listener = Listener(namespace, source)
        namespace.ip(make)
        listener.finish()
        assert {i.link.kind for i in source.list() if i.link.name == name} == {kind}
        namespace.ip(f"link del {name}")
        listener.finish()
        for family in FAMILIES:
            assert [h.kind for h in listener.about(name, family)] == [ADD, DELETE]
