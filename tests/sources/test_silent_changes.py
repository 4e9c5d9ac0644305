"""Changes without a message of the kernel, which a comparison finds."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from support.link_kinds import Action, ip
from support.listening import Listener, opened
from support.namespace import Namespace

from exporter.clock import Clock
from exporter.model import Family, InterfaceRow
from exporter.sources.linux import source as linux

V4, V6 = Family.IPV4, Family.IPV6
LOOPBACK = 1  # its index in every namespace
UP = ip("link set east up", "link set west up")
DOWN = ip()
#: A link without an IPv6 address has no DELADDR when IPv6 is switched off.
WITHOUT_ADDRESSES = ip("link set west addrgenmode none", "link set east up", "link set west up")


class Change(NamedTuple):
    """A change, and the row after it."""

    do: Action
    family: Family
    member: str
    value: object
    #: The state of the links before it.
    state: Action = UP


def sysctl(name: str, value: int) -> Action:
    """The action of a sysctl."""
    return lambda namespace: namespace.sysctl(name, value)


CHANGES = {
    "accept_ra": Change(sysctl("ipv6/conf/west/accept_ra", 0), V6, "router_discovery_behavior", 0),
    "dad_transmits": Change(sysctl("ipv6/conf/west/dad_transmits", 5), V6, "dad_transmits", 5),
    "accept_dad": Change(sysctl("ipv6/conf/west/accept_dad", 0), V6, "dad_transmits", 0),
    "mtu of IPv6": Change(sysctl("ipv6/conf/west/mtu", 1400), V6, "mtu_bytes", 1400),
    "addr_gen_mode": Change(
        sysctl("ipv6/conf/west/addr_gen_mode", 1), V6, "link_local_address_behavior", 0
    ),
    "addrgenmode of a link that is down": Change(
        ip("link set west addrgenmode none"), V6, "link_local_address_behavior", 0, DOWN
    ),
    "disable_ipv6 without an address": Change(
        sysctl("ipv6/conf/west/disable_ipv6", 1), V6, "connected", False, WITHOUT_ADDRESSES
    ),
    "reachable time of IPv4": Change(
        sysctl("ipv4/neigh/west/base_reachable_time_ms", 12000),
        V4,
        "base_reachable_time_seconds",
        12.0,
    ),
    "reachable time of IPv6": Change(
        sysctl("ipv6/neigh/west/base_reachable_time_ms", 12000),
        V6,
        "base_reachable_time_seconds",
        12.0,
    ),
    "retransmit time of IPv4": Change(
        sysctl("ipv4/neigh/west/retrans_time_ms", 2000), V4, "retransmit_time_seconds", 2.0
    ),
    "mtu_expires": Change(
        sysctl("ipv6/route/mtu_expires", 300), V6, "path_mtu_discovery_timeout_seconds", 300.0
    ),
}


@contextmanager
def listening(namespace: Namespace) -> Iterator[tuple[Listener, Callable[[], None]]]:
    """A listener that has received all so far, and a function that makes a comparison due."""
    now = [100.0]  # stands still, so that a comparison is due only after `compare`
    clock = Clock(time.time, lambda: now[0])

    def compare() -> None:
        now[0] += linux.RECONCILE_SECONDS

    with opened(namespace, clock=clock) as source:
        listener = Listener(namespace, source)
        listener.finish()
        yield listener, compare


def rows(listener: Listener) -> dict[tuple[str, Family], InterfaceRow]:
    """Return the rows of the source."""
    return {(i.link.name, i.family): i.parameters for i in listener.source.interfaces()}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_silent_change_is_inferred_by_the_next_comparison(
    namespace: Namespace, change: Change
) -> None:
    """The kernel sends no message; the comparison finds the change, which is inferred."""
    namespace.ip("link add name west type veth peer name east")
    change.state(namespace)
    with listening(namespace) as (listener, compare):
        if change.state is not DOWN:
            listener.until(lambda: rows(listener)["west", V6].connected, "carrier")
        change.do(namespace)
        listener.finish()

        def found() -> list[object]:
            return [
                getattr(n.interface.parameters, change.member)
                for n in listener.received
                if n.inferred and n.interface is not None
                if (n.interface.link.name, n.family) == ("west", change.family)
            ]

        assert found() == []
        compare()
        listener.until(found, "the comparison")
        assert found() == [change.value]


def test_a_loopback_too_small_for_ipv6_is_noticed_by_its_address(namespace: Namespace) -> None:
    """Its IPv6 stops being ready without a message; the deleted address causes a request."""
    namespace.ip("link set lo up")
    with listening(namespace) as (listener, _):
        namespace.ip("link set lo mtu 1279")
        listener.until(lambda: not rows(listener)["lo", V6].connected, "the reply")
        assert not any(n.inferred for n in listener.received)


def test_without_an_address_a_loopback_too_small_for_ipv6_is_found_by_the_next_comparison(
    namespace: Namespace,
) -> None:
    """Without an address there is no request before the comparison."""
    namespace.batch(["link set lo up", "address del ::1/128 dev lo"])
    with listening(namespace) as (listener, compare):
        namespace.ip("link set lo mtu 1279")
        listener.finish()
        assert rows(listener)["lo", V6].connected
        compare()
        listener.until(lambda: not rows(listener)["lo", V6].connected, "the comparison")
        inferred = [
            n.inferred for n in listener.received if (n.ifindex, n.family) == (LOOPBACK, V6)
        ]
        assert inferred == [True]


def test_the_alias_of_a_link_that_is_down_is_found_by_the_next_comparison(
    namespace: Namespace,
) -> None:
    """The kernel notifies a new alias only if the link is up."""
    namespace.ip("link add name west type veth peer name east")
    with listening(namespace) as (listener, compare):
        namespace.ip("link set west alias uplink")
        listener.finish()

        def aliases() -> set[str]:
            interfaces = listener.source.interfaces()
            return {i.link.alias for i in interfaces if i.link.name == "west"}

        assert aliases() == {""}
        compare()
        listener.until(lambda: aliases() == {"uplink"}, "the comparison")
