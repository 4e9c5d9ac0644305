"""The life of a link of every kind, compared step by step with another library."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from pyroute2 import IPRoute
from requirements_here import require
from support.link_kinds import COMMON, KINDS, UNMADE, Action, LinkKind, ip, listed
from support.listening import opened
from support.namespace import Namespace
from support.waiting import wait_until

from exporter.model import Family, Interface, Notification, NotificationType, changes
from exporter.sources.linux import source as linux
from exporter.sources.linux.source import LinuxSource

V4, V6 = Family.IPV4, Family.IPV6
IFF_UP, IFF_RUNNING, IFF_LOWER_UP = 0x1, 0x40, 0x10000
IF_READY = 0x80000000

#: The errors of the kernel for a kind of link that it does not have, and of an older iproute2 for
#: one that it does not know.
LACKING = ("Unknown device type", "Operation not supported")
UNKNOWN_TO_IP = "Garbage instead of arguments"


class Row(NamedTuple):
    """The compared values of an IP interface."""

    name: str
    kind: str
    alias: str
    connected: bool
    mtu: int
    forwarding: bool


Key = tuple[Family, int]


def kernel(route: IPRoute) -> dict[Key, Row]:
    """Return the IP interfaces by family and index, as pyroute2 reads them."""
    found = {}
    for link in route.get_links():
        info, families = link.get_attr("IFLA_LINKINFO"), link.get_attr("IFLA_AF_SPEC")
        kind = (info and info.get_attr("IFLA_INFO_KIND")) or ""
        facts = link.get_attr("IFLA_IFNAME"), kind, link.get_attr("IFLA_IFALIAS") or ""
        running = IFF_UP | IFF_RUNNING | IFF_LOWER_UP
        connected = link["flags"] & running == running
        if ipv4 := families.get_attr("AF_INET"):
            mtu, forwarding = link.get_attr("IFLA_MTU"), bool(ipv4["forwarding"])
            found[V4, link["index"]] = Row(*facts, connected, mtu, forwarding)
        if ipv6 := families.get_attr("AF_INET6"):
            conf = ipv6.get_attr("IFLA_INET6_CONF")
            ready = ipv6.get_attr("IFLA_INET6_FLAGS") & IF_READY and not conf["disable_ipv6"]
            row = Row(*facts, connected and bool(ready), conf["mtu"], bool(conf["forwarding"]))
            found[V6, link["index"]] = row
    return found


def no_carrier_pending(route: IPRoute) -> bool:
    """Return whether the kernel has notified every carrier (see net/core/link_watch.c)."""
    flags = [link["flags"] for link in route.get_links() if link["flags"] & IFF_UP]
    return all(bool(f & IFF_RUNNING) == bool(f & IFF_LOWER_UP) for f in flags)


def row_of(interface: Interface) -> Row:
    """Return the same values of an interface of the source."""
    link, row = interface.link, interface.parameters
    assert row.mtu_bytes is not None
    forwarding = bool(row.forwarding_enabled)
    return Row(link.name, link.kind, link.alias, row.connected, row.mtu_bytes, forwarding)


class Step(NamedTuple):
    """Something done to ``west``, and whether it is connected then."""

    what: str
    do: Action
    connected: bool | None = None
    #: Some kinds refuse the step: then it may cause no notification.
    may_be_refused: bool = False


def sysctl(name: str, value: int) -> Action:
    """The action of a sysctl."""
    return lambda namespace: namespace.sysctl(name, value)


def life(kind: LinkKind, mtu: int) -> Iterator[Step]:
    """Yield the steps in the life of a link."""
    yield Step("up", ip("link set west up"), connected=True)
    if kind.carrier:
        lose, regain = kind.carrier
        yield Step("carrier lost", lose, connected=False)
        yield Step("carrier back", regain, connected=True)
    yield Step("mtu", ip("link set west mtu 1400"), True, may_be_refused=True)
    yield Step("mtu too small for IPv6", ip("link set west mtu 1279"), True, may_be_refused=True)
    yield Step("mtu as before", ip(f"link set west mtu {mtu}"), True, may_be_refused=True)
    yield Step("alias", ip("link set west alias uplink"), True)
    yield Step("promiscuous", ip("link set west promisc on"), True)
    for family in ("ipv4", "ipv6"):
        for value in (1, 1, 0):
            forwarding = sysctl(f"{family}/conf/west/forwarding", value)
            yield Step(f"{family} forwarding {value}", forwarding, True, may_be_refused=True)
    yield Step("forwarding of everything", sysctl("ipv4/ip_forward", 1), True)
    yield Step("forwarding of nothing", sysctl("ipv4/ip_forward", 0), True)
    yield Step("IPv4 address", ip("address add 198.51.100.1/24 dev west"), True)
    address = ip("address add 2001:db8:7::1/64 dev west nodad")
    yield Step("IPv6 address", address, True, may_be_refused=True)
    for value in (1, 0):
        disable = sysctl("ipv6/conf/west/disable_ipv6", value)
        yield Step(f"disable_ipv6 {value}", disable, True, may_be_refused=True)
    yield Step("down", ip("link set west down"), connected=False)
    yield Step("renamed", ip("link set west name wild"))
    yield Step("named as before", ip("link set wild name west"))
    yield Step("up again", ip("link set west up"), connected=True)
    yield Step("deleted", ip("link del west"))


class Witness:
    """A source and the kernel: after each step the two must agree."""

    def __init__(self, namespace: Namespace, source: LinuxSource, route: IPRoute) -> None:
        self._namespace, self._source, self._route = namespace, source, route
        self._interfaces = {(i.family, i.ifindex): i for i in source.interfaces()}

    def west(self, family: Family = V4) -> Row | None:
        """Return the row of ``west`` in the kernel."""
        rows = kernel(self._route)
        found = [row for (f, _), row in rows.items() if f is family and row.name == "west"]
        return found[0] if found else None

    def expect(self, step: Step) -> None:
        """Do a step, and check the notifications of it."""
        try:
            step.do(self._namespace)
        except (RuntimeError, OSError):
            if not step.may_be_refused:
                raise
        received: list[Notification] = []

        def agrees() -> bool:
            received.extend(self._source.receive(0.02))
            rows = kernel(self._route)
            ours = {(i.family, i.ifindex): row_of(i) for i in self._source.interfaces()}
            west = [row.connected for (f, _), row in rows.items() if f is V4 and row.name == "west"]
            right = step.connected is None or west == [step.connected]
            return ours == rows and right and no_carrier_pending(self._route)

        wait_until(agrees, message=step.what)
        received.extend(self._source.receive(0))
        by_interface = defaultdict(list)
        for notification in received:
            by_interface[notification.family, notification.ifindex].append(notification)
        for key, notifications in by_interface.items():
            self._check(step.what, key, notifications)
        now = {(i.family, i.ifindex): i for i in self._source.interfaces()}
        assert {k: row_of(i) for k, i in self._interfaces.items()} == {
            k: row_of(i) for k, i in now.items()
        }

    def _check(self, what: str, key: Key, notifications: list[Notification]) -> None:
        """Check that the notifications of one interface lead from its old row to its new one."""
        rows = [n.interface and (n.type.name, row_of(n.interface)) for n in notifications]
        story = f"{what}: {rows}"
        last = self._interfaces.pop(key, None)
        connected = [last.parameters.connected] if last else []
        for n in notifications:
            assert n.interface is not None, story
            assert not n.inferred, story
            assert (n.unobserved_connects, n.unobserved_disconnects) == (0, 0), story
            assert (last is None) == (n.type is NotificationType.ADD), story
            if last is not None and n.type is not NotificationType.DELETE:
                changed = changes(last.parameters, n.interface.parameters)
                assert bool(changed) == (n.type is NotificationType.PARAMETER), story
            connected.append(n.interface.parameters.connected)
            last = None if n.type is NotificationType.DELETE else n.interface
        if last is not None:
            self._interfaces[key] = last
        times = sum(one != other for one, other in itertools.pairwise(connected))
        assert times == (connected[0] != connected[-1]), story


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> LinkKind:
    """Each kind of link; skips those that the kernel does not have, but no other.

    It is made in a namespace of its own first, because the modules of some tunnels put a link
    into every namespace when they are loaded, and then set its MTU without a message.
    """
    wanted: LinkKind = request.param
    with Namespace() as namespace:
        try:
            wanted.make(namespace)
        except RuntimeError as error:
            message = str(error)
            lacking = wanted.name not in listed() and any(text in message for text in LACKING)
            if not (lacking or UNKNOWN_TO_IP in message):
                raise
            reason = f"no links of kind {wanted.name}: {message.rpartition(': ')[2]}"
            require(wanted.name not in COMMON, reason)
            pytest.skip(reason)
    return wanted


@pytest.mark.kernel
def test_no_kind_of_the_kernel_is_left_out() -> None:
    """Each kind that the kernel's modules declare is tested, except those in UNMADE."""
    assert listed() - {kind.name for kind in KINDS} <= UNMADE.keys()


def test_a_life_of_every_kind_is_notified_exactly(
    kind: LinkKind, namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step gives the notifications that lead to the new rows, and no more."""
    monkeypatch.setattr(linux, "RECONCILE_SECONDS", math.inf)  # nothing is found by comparing
    with opened(namespace) as source, IPRoute() as route:
        witness = Witness(namespace, source, route)
        witness.expect(Step("made", kind.make))
        west = witness.west()
        assert west is not None
        assert west.kind == (kind.info_kind or kind.name)
        for step in life(kind, min(west.mtu, 1500)):
            witness.expect(step)
        assert witness.west() is None
