"""The data of the landing page: what it chooses, and what that costs."""

from __future__ import annotations

import re

from exporter.metrics.snapshot import BuildInfo, Snapshot
from exporter.model import (
    Family,
    Interface,
    InterfaceRow,
    Link,
    LinkStatus,
    Notification,
    NotificationType,
    OperStatus,
    make_luid,
)
from exporter.monitor.state import State
from exporter.settings.selection import Group, Selection
from exporter.site.landing import render_page
from exporter.site.landing_data import LandingSource
from exporter.sources.contract import Health

BUILD = BuildInfo("1.2.3", "", "3.11", "rtnetlink", None)


class Computer:
    """A state, and what happens to it."""

    def __init__(self) -> None:
        self.state = State(max_interfaces=100_000)
        self.instant = 0.0

    def interface(self, name: str, index: int, *, kind: str = "", up: bool = True) -> Interface:
        """An IPv4 interface."""
        status = LinkStatus(True, OperStatus.UP if up else OperStatus.DOWN, up)
        link = Link(name, kind=kind, type=6)
        luid = make_luid(6, index)
        return Interface(Family.IPV4, luid, index, link, InterfaceRow(connected=up), status)

    def flap(self, name: str, index: int, times: int, *, kind: str = "") -> None:
        """Disconnect and connect an interface that often, a tenth of a second each."""
        for step in range(2 * times):
            self.instant += 0.1
            of = self.interface(name, index, kind=kind, up=step % 2 == 1)
            time = 1.7e9 + self.instant
            type_ = NotificationType.PARAMETER
            n = Notification(type_, of.family, of.luid, of.ifindex, time, self.instant, of)
            self.state.count([n])

    def landing(self) -> LandingSource:
        """What the page is made of."""
        health = Health(up=True)
        return LandingSource(
            lambda: Snapshot(self.state, health, BUILD, self.instant, None, None, {}),
            lambda: 1.7e9 + self.instant,
        )


def test_what_churns_comes_first() -> None:
    """Then hardware; what is quiet and virtual is apart."""
    computer = Computer()
    known = [
        computer.interface("eth0", 2),
        computer.interface("eth1", 3),
        *(computer.interface(f"veth{n}", n, kind="veth") for n in range(10, 14)),
    ]
    computer.state.load(known, 0.0)
    computer.flap("veth12", 12, 3, kind="veth")
    computer.flap("eth1", 3, 2)
    data = computer.landing().data(3600.0)
    assert [i.device for i in data.interfaces] == ["veth12", "eth1", "eth0"]
    assert [i.device for i in data.quiet] == ["veth10", "veth11", "veth13"]
    assert set(data.present) == {"veth12", "eth1", "eth0"}
    assert data.more_quiet == data.more_interfaces == 0


def test_members_of_a_group_are_named_in_what_changed() -> None:
    """The table has the group, the timeline and the changes have the link."""
    computer = Computer()
    computer.state = State(Selection(groups=(Group("pods", match=re.compile("veth.*")),)))
    computer.state.load([computer.interface("veth1", 10, kind="veth")], 0.0)
    computer.flap("veth1", 10, 1, kind="veth")
    data = computer.landing().data(3600.0)
    assert {history.device for history in data.histories} == {"veth1"}
    assert {device for _, device, _ in data.latest} == {"veth1"}
    assert [i.device for i in [*data.interfaces, *data.quiet]] == ["pods"]


def test_the_page_stays_small_amid_thousands() -> None:
    """4,000 links with long names, of which 300 flap: below 200 kB, or all of it if asked for."""
    computer = Computer()
    names = {f"<<<<<<<<<<{n:05}": n for n in range(1, 4001)}
    computer.state.load([computer.interface(n, i, kind="veth") for n, i in names.items()], 0.0)
    for name, index in list(names.items())[:300]:
        computer.flap(name, index, 40 if index % 3 else 200, kind="veth")
    landing = computer.landing()
    for seconds in (900.0, 3600.0, 21600.0):
        data = landing.data(seconds)
        page = render_page(data, "/metrics")
        assert len(page) < 200_000
        assert b"disconnections</small>" in page
        assert (
            len(data.quiet) + data.more_quiet + len(data.interfaces) + data.more_interfaces == 4000
        )
    whole = render_page(landing.data(3600.0, everything=True), "/metrics")
    assert whole.count(b'<th scope="row"><bdi>') >= 4000
