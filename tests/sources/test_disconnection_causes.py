"""The causes of disconnections, on the real kernel, for several kinds of links."""

from __future__ import annotations

import fcntl
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from support.listening import DEFAULT_BUFFER, Listener, opened
from support.namespace import Namespace
from support.waiting import wait_until

from exporter.model import FAMILIES, Cause, Interface
from exporter.monitor.series import SeriesSet
from exporter.monitor.state import Delta, State


class World:
    """A namespace, a source in it, and a state that counts its notifications."""

    def __init__(self, namespace: Namespace, listener: Listener) -> None:
        self.namespace = namespace
        self.listener = listener
        self.state = State()
        self.state.load(listener.source.interfaces(), 0.0)
        self.deltas: list[Delta] = []

    def do(self, *commands: str) -> None:
        """Run ``ip`` with each of these arguments, and count all that it causes."""
        for command in commands:
            self.namespace.ip(command)
        self.finish()

    def finish(self) -> None:
        """Count all earlier notifications."""
        self.listener.finish()
        self._take()

    def until(self, condition: Callable[[], bool], message: str) -> None:
        """Count notifications until a condition holds."""

        def taken() -> bool:
            self._take()
            return condition()

        self.listener.until(taken, message)

    def _take(self) -> None:
        self.deltas += self.state.apply(self.listener.received)
        self.listener.received.clear()

    def series(self, device: str) -> list[SeriesSet]:
        """Return the series sets of a device, one for each family."""
        found = [series for series in self.state.series_sets if series.device == device]
        return sorted(found, key=lambda series: series.family)

    def wait_connected(self, device: str, *, connected: bool = True) -> None:
        """Wait until both families of a device are (not) connected."""

        def holds() -> bool:
            rows = [series.interface for series in self.series(device)]
            return len(rows) == len(FAMILIES) and all(
                row is not None and row.parameters.connected is connected for row in rows
            )

        self.until(holds, f"{device} {'' if connected else 'dis'}connected")

    def disconnections(self, device: str) -> dict[str, int]:
        """Return disconnections by cause, the same for both families, without zeros."""
        counts = [series.disconnections for series in self.series(device)]
        assert counts[0] == counts[1]
        return {cause.label: counts[0][cause] for cause in Cause if counts[0][cause]}

    def interfaces(self, device: str) -> list[Interface]:
        """Return the IP interfaces of a device that exist."""
        return [row for series in self.series(device) if (row := series.interface)]

    def labels(self, device: str) -> set[str]:
        """Return the labels of the disconnections of a device so far."""
        return {
            delta.notification.interface.status.cause_label
            for delta in self.deltas
            if delta.device == device and delta.transition is False
            if delta.notification.interface is not None
        }


@contextmanager
def pair(buffer_bytes: int = DEFAULT_BUFFER) -> Iterator[World]:
    """A veth pair, west and east, that is up."""
    with Namespace() as namespace, opened(namespace, buffer_bytes=buffer_bytes) as source:
        world = World(namespace, Listener(namespace, source))
        world.do(
            "link add name west type veth peer name east", "link set dev west up",
            "link set dev east up",
        )  # fmt: skip
        world.wait_connected("west")
        world.wait_connected("east")
        world.deltas.clear()
        yield world


@pytest.fixture
def world() -> Iterator[World]:
    """A pair, with a buffer for all its notifications."""
    with pair() as world:
        yield world


@contextmanager
def tap(namespace: Namespace, name: str) -> Iterator[None]:
    """A process that holds a tap device, which gives it a carrier."""
    tun_set_iff, tap, no_packet_information = 0x400454CA, 0x2, 0x1000
    with namespace.enter(), open("/dev/net/tun", "r+b", buffering=0) as device:
        request = struct.pack("16sH22x", name.encode(), tap | no_packet_information)
        fcntl.ioctl(device, tun_set_iff, request)
        yield


def test_switched_off_is_administrative_and_the_peer_lost_its_carrier(world: World) -> None:
    """The end that was switched off is administrative; its peer is enabled without a carrier."""
    world.do("link set dev east down")
    world.wait_connected("west", connected=False)
    assert world.disconnections("east") == {"administrative": 1}
    assert world.disconnections("west") == {"carrier": 1}
    assert (world.labels("east"), world.labels("west")) == ({"administrative"}, {"down"})
    assert [i.status.enabled for i in world.interfaces("east")] == [False, False]
    assert [i.status.enabled for i in world.interfaces("west")] == [True, True]


def test_a_deletion_is_administrative_once(world: World) -> None:
    """A link that is deleted while it is up was switched off once, like its peer."""
    world.do("link del dev west")
    assert world.disconnections("west") == world.disconnections("east") == {"administrative": 1}
    assert world.interfaces("west") == []


def test_a_bridge_without_ports_lost_its_carrier(world: World) -> None:
    """A bridge is connected through its ports."""
    world.do("link add name br type bridge", "link set dev br up", "link set dev west master br")
    world.wait_connected("br")
    before = world.disconnections("br").get("carrier", 0)  # a new bridge may be connected at first
    world.do("link set dev west nomaster")
    world.wait_connected("br", connected=False)
    assert world.disconnections("br") == {"carrier": before + 1}


@pytest.mark.parametrize("lost", ["east", "west"], ids=["carrier", "administrative"])
def test_a_link_below_is_another_cause(world: World, lost: str) -> None:
    """A macvlan disconnects with its parent, if that lost its carrier or was switched off."""
    world.do("link add link west name mv type macvlan", "link set dev mv up")
    world.wait_connected("mv")
    world.do(f"link set dev {lost} down")
    world.wait_connected("mv", connected=False)
    assert world.disconnections("mv") == {"other": 1}
    assert world.labels("mv") == {"lowerLayerDown"}


def test_a_tap_without_its_process_lost_its_carrier(world: World) -> None:
    """A tap has no carrier without its process; before the process it was never connected."""
    world.do("tuntap add name tap0 mode tap", "link set dev tap0 up")
    assert world.disconnections("tap0") == {}, "it never had a carrier"
    assert [i.status.cause for i in world.interfaces("tap0")] == [Cause.CARRIER] * 2
    with tap(world.namespace, "tap0"):
        world.wait_connected("tap0")
    world.wait_connected("tap0", connected=False)
    assert world.disconnections("tap0") == {"carrier": 1}


def test_dormant_is_another_cause(world: World) -> None:
    """A link that waits, for example for 802.1X, is dormant; so is one that becomes dormant."""
    world.do("link set dev west mode dormant", "link set dev east down")
    world.wait_connected("west", connected=False)
    world.do("link set dev east up")
    world.until(
        lambda: {i.status.cause_label for i in world.interfaces("west")} == {"dormant"},
        "west is dormant",
    )
    assert world.disconnections("west") == {"carrier": 1}
    world.do("link set dev east state dormant")
    world.wait_connected("east", connected=False)
    assert world.disconnections("east") == {"administrative": 1, "other": 1}
    assert world.labels("east") == {"administrative", "dormant"}


def test_ipv6_is_switched_off_alone(world: World) -> None:
    """disable_ipv6 switches one family off on a link that stays on."""
    world.namespace.sysctl("ipv6/conf/west/disable_ipv6", 1)
    world.until(lambda: world.series("west")[1].transitions[False] == 1, "IPv6 is disconnected")
    ipv4, ipv6 = world.series("west")
    assert (ipv4.disconnections, ipv6.disconnections) == ([0, 0, 0], [1, 0, 0])
    assert [i.status.enabled for i in world.interfaces("west")] == [True, False]


def test_flaps_of_both_kinds_add_up(world: World) -> None:
    """At full speed, administrative disconnections and lost carriers are counted exactly.

    What was observed has a cause; with the flaps that the kernel merged it equals its counters.
    How many of each cause it merges depends on the kernel.
    """
    world.do("link set dev east down")
    world.wait_connected("west", connected=False)
    world.do("link set dev east up")
    world.wait_connected("west")
    assert world.disconnections("west") == {"carrier": 1}
    before = world.namespace.carrier_counts()["west"]
    flaps = [f"link set dev {end} {how}" for end in ("west", "east") for how in ("down", "up")]
    for _ in range(50):
        world.namespace.batch(flaps)

    def all_counted() -> bool:
        downs = world.namespace.carrier_counts()["west"][1] - before[1]
        return all(
            series.transitions[False] + series.unobserved[False] == downs + 1
            for series in world.series("west")
        )

    # The kernel notifies of the last changes of the carrier when its worker has run.
    world.until(all_counted, "every disconnection")
    world.namespace.wait_up("west")
    world.finish()
    world.wait_connected("west")
    assert all_counted()
    for series in world.series("west"):
        assert sum(series.disconnections) == series.transitions[False]
        assert 1 <= series.disconnections[Cause.ADMINISTRATIVE] <= 50
        assert 1 <= series.disconnections[Cause.CARRIER] <= 51
        assert series.disconnections[Cause.OTHER] == 0


def test_transitions_lost_in_an_overrun_have_no_cause() -> None:
    """After an overrun everything is counted, but unobserved disconnections have no cause.

    The last loss of the carrier is one of them: it begins no outage, because its time is unknown.
    """
    with pair(buffer_bytes=8192) as world:
        before = [series.copy() for series in world.series("west")]
        # These fill the buffer; until it is emptied the kernel drops everything else.
        world.namespace.batch(f"link set dev lo mtu {1500 + number}" for number in range(60))
        for how in ("down", "up", "down"):
            world.namespace.ip(f"link set dev east {how}")
            state = "UP" if how == "up" else "LOWERLAYERDOWN"
            wait_until(lambda: world.namespace.links()["west"]["operstate"] == state)  # noqa: B023

        def counted() -> bool:
            return all(
                series.unobserved == [was.unobserved[False] + 2, was.unobserved[True] + 1]
                for series, was in zip(world.series("west"), before, strict=True)
            )

        world.until(counted, "every loss of the carrier")
        assert world.listener.source.health.overruns
        assert [s.disconnections for s in world.series("west")] == [
            was.disconnections for was in before
        ]
        assert world.labels("west") == {"down"}, "the current state and its cause are known"
        world.do("link set dev east up")
        world.wait_connected("west")
        assert [h.cumulative()[-1][1] for h in world.state.outages.values()] == [0, 0]
