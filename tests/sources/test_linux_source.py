"""The Linux source on the real kernel, in a new network namespace."""

import errno
import itertools
import logging
import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support import messages as build
from support.listening import AF_NAMES, DEFAULT_BUFFER, Listener, Summary, agree, opened
from support.namespace import KERNEL, Namespace
from support.netlink import subscribers
from support.waiting import DEADLINE, wait_until

from exporter.bindings import rtnetlink as nl
from exporter.bindings.rtnetlink_socket import DATAGRAM_BYTES, Receiver, subscribe
from exporter.clock import Clock
from exporter.model import FAMILIES, Family, Notification, NotificationType, make_luid
from exporter.sources.contract import SourceClosed
from exporter.sources.linux import requests
from exporter.sources.linux import source as linux
from exporter.sources.linux.neighbor_timers import TimerReader
from exporter.sources.linux.source import LinuxSource

V4, V6 = Family.IPV4, Family.IPV6


# -- the table of the mapping, on the real kernel ----------------------------------------------

ADD, DELETE, CHANGE = NotificationType.ADD, NotificationType.DELETE, NotificationType.PARAMETER


class Step(NamedTuple):
    """A step, the name of the link after it, and the notifications of each family."""

    what: str
    do: Callable[[Namespace], object]
    ipv4: list[Summary]
    ipv6: list[Summary]
    name: str = "west"


def ip(arguments: str) -> Callable[[Namespace], object]:
    """A step done by ``ip``."""
    return lambda namespace: namespace.ip(arguments)


def sysctl(name: str, value: int) -> Callable[[Namespace], object]:
    """A step done by a sysctl."""
    return lambda namespace: namespace.sysctl(name, value)


def both(
    notification_type: NotificationType, connected: bool, mtu: int, forwarding: bool
) -> dict[str, list[Summary]]:
    """Return the same summary for both families."""
    summaries = [Summary(notification_type, connected, mtu, forwarding)]
    return {"ipv4": summaries, "ipv6": summaries}


NOTHING: dict[str, list[Summary]] = {"ipv4": [], "ipv6": []}
UP = Summary(CHANGE, True, 1500, False)
ADD_PAIR = ip("link add name west type veth peer name east")

RENAMED_WHILE_UP = (
    Step("rename while up", ip("link set west name wild"), **NOTHING, name="wild"),
    Step("rename back", ip("link set wild name west"), **NOTHING),
) * (KERNEL >= (6, 2))  # before, the kernel refuses
SCRIPT = (
    Step("add", ADD_PAIR, **both(ADD, False, 1500, False)),
    Step("up, without carrier", ip("link set west up"), **NOTHING),
    Step("carrier up", ip("link set east up"), **both(CHANGE, True, 1500, False)),
    Step("carrier down", ip("link set east down"), **both(CHANGE, False, 1500, False)),
    Step("carrier up again", ip("link set east up"), **both(CHANGE, True, 1500, False)),
    Step("alias", ip("link set west alias uplink"), **NOTHING),
    *RENAMED_WHILE_UP,
    Step("mtu 1400", ip("link set west mtu 1400"), **both(CHANGE, True, 1400, False)),
    Step(
        "mtu 1279",
        ip("link set west mtu 1279"),
        ipv4=[Summary(CHANGE, True, 1279, False)],
        ipv6=[Summary(DELETE, True, 1400, False)],
    ),
    Step(
        "mtu 1500",
        ip("link set west mtu 1500"),
        ipv4=[Summary(CHANGE, True, 1500, False)],
        ipv6=[Summary(ADD, True, 1500, False)],
    ),
    Step(
        "IPv4 forwarding on",
        sysctl("ipv4/conf/west/forwarding", 1),
        ipv4=[Summary(CHANGE, True, 1500, True)],
        ipv6=[],
    ),
    Step("IPv4 forwarding on again", sysctl("ipv4/conf/west/forwarding", 1), **NOTHING),
    Step(
        "IPv4 forwarding off",
        sysctl("ipv4/conf/west/forwarding", 0),
        ipv4=[Summary(CHANGE, True, 1500, False)],
        ipv6=[],
    ),
    Step(
        "IPv6 forwarding on",
        sysctl("ipv6/conf/west/forwarding", 1),
        ipv4=[],
        ipv6=[Summary(CHANGE, True, 1500, True)],
    ),
    Step(
        "IPv6 forwarding off",
        sysctl("ipv6/conf/west/forwarding", 0),
        ipv4=[],
        ipv6=[Summary(CHANGE, True, 1500, False)],
    ),
    Step(
        "forwarding of everything on",
        sysctl("ipv4/ip_forward", 1),
        ipv4=[Summary(CHANGE, True, 1500, True)],
        ipv6=[],
    ),
    Step(
        "forwarding of everything off",
        sysctl("ipv4/ip_forward", 0),
        ipv4=[Summary(CHANGE, True, 1500, False)],
        ipv6=[],
    ),
    Step(
        "disable_ipv6",
        sysctl("ipv6/conf/west/disable_ipv6", 1),
        ipv4=[],
        ipv6=[Summary(CHANGE, False, 1500, False)],
    ),
    Step(
        "enable it again",
        sysctl("ipv6/conf/west/disable_ipv6", 0),
        ipv4=[],
        ipv6=[Summary(CHANGE, True, 1500, False)],
    ),
    Step("another address", ip("address add 192.0.2.1/24 dev west"), **NOTHING),
    Step("bridge join", ip("link set west master bridge"), **NOTHING),
    Step("bridge leave", ip("link set west nomaster"), **NOTHING),
    Step("down", ip("link set west down"), **both(CHANGE, False, 1500, False)),
    Step("up", ip("link set west up"), **both(CHANGE, True, 1500, False)),
    Step(
        "delete",
        ip("link del west"),
        ipv4=[Summary(CHANGE, False, 1500, False), Summary(DELETE, False, 1500, False)],
        ipv6=[Summary(CHANGE, False, 1500, False), Summary(DELETE, False, 1500, False)],
    ),
    Step("re-create with the same name", ADD_PAIR, **both(ADD, False, 1500, False)),
)


@pytest.mark.parametrize("family", [Family.UNSPEC, V4, V6], ids=lambda f: f.label)
def test_a_scripted_life_gives_exactly_the_notifications_of_the_table(
    namespace: Namespace, family: Family
) -> None:
    """Every step of a link's life gives the notifications of the mapping, per family."""
    namespace.ip("link add name bridge type bridge")
    with opened(namespace, family) as source:
        listener = Listener(namespace, source)
        for step in SCRIPT:
            listener.received.clear()
            expected = {
                f: summaries if family in (Family.UNSPEC, f) else []
                for f, summaries in ((V4, step.ipv4), (V6, step.ipv6))
            }
            step.do(namespace)
            # The kernel's worker notifies changes of the carrier later, not at once.
            listener.until(
                lambda name=step.name, expected=expected: all(
                    len(listener.about(name, f)) >= len(expected[f]) for f in FAMILIES
                ),
                step.what,
            )
            listener.finish()
            assert {f: listener.about(step.name, f) for f in FAMILIES} == expected, step.what


def test_moving_to_another_namespace_is_a_deletion(namespace: Namespace) -> None:
    """The interfaces are deleted in the old namespace, and added when they come back."""
    there = Namespace()
    with there, opened(namespace) as source:
        namespace.ip("link add name west type veth peer name east")
        namespace.batch(["link set west up", "link set east up"])
        listener = Listener(namespace, source)
        listener.until(
            lambda: all(listener.about("west", f)[-1:] == [UP] for f in FAMILIES), "carrier"
        )
        listener.received.clear()
        namespace.ip(f"link set west netns {there.name}")
        listener.until(
            lambda: all(len(listener.about("west", f)) >= 2 for f in FAMILIES), "departure"
        )
        listener.finish()
        gone = [Summary(CHANGE, False, 1500, False), Summary(DELETE, False, 1500, False)]
        assert {f: listener.about("west", f) for f in FAMILIES} == {V4: gone, V6: gone}
        listener.received.clear()
        there.ip(f"link set west netns {namespace.name}")
        listener.finish()
        back = [Summary(ADD, False, 1500, False)]
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
        assert {i.link.kind for i in source.interfaces() if i.link.name == name} == {kind}
        namespace.ip(f"link del {name}")
        listener.finish()
        for family in FAMILIES:
            assert [h.type for h in listener.about(name, family)] == [ADD, DELETE]


# -- the start --------------------------------------------------------------------------------


def test_what_exists_at_the_start_is_no_addition(namespace: Namespace) -> None:
    """The initial notification comes alone; interfaces that exist are listed, not added."""
    namespace.ip("link add name west type veth peer name east")
    with namespace.enter():
        source = LinuxSource()
        source.open()
        try:
            (initial,) = source.receive(None)
            assert (initial.type, initial.family) == (NotificationType.INITIAL, Family.UNSPEC)
            assert (initial.luid, initial.ifindex, initial.interface) == (0, 0, None)
            assert source.receive(0) == []
            listed = {(AF_NAMES[i.family], i.link.name) for i in source.interfaces()}
            assert listed == namespace.netconf().keys()
            assert {i.family for i in source.interfaces(V6)} == {V6}
            assert source.health.up
            assert source.health.errors == {}
        finally:
            source.close()


def test_nothing_falls_between_subscribing_and_listing(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change before the end of the first list is listed; a later one is notified."""
    list_links = requests.Requests.list_links

    def early(self: requests.Requests, now: float) -> None:
        monkeypatch.setattr(requests.Requests, "list_links", list_links)
        namespace.ip("link add name early type ifb")
        list_links(self, now)
        namespace.ip("link add name meanwhile type ifb")

    monkeypatch.setattr(requests.Requests, "list_links", early)
    with opened(namespace) as source:
        listener = Listener(namespace, source)
        assert {"early", "meanwhile"} < {i.link.name for i in source.interfaces()}
        namespace.ip("link add name late type ifb")
        listener.finish()
        for family in FAMILIES:
            assert listener.about("early", family) == listener.about("meanwhile", family) == []
            assert [h.type for h in listener.about("late", family)] == [ADD]


def test_a_start_in_a_storm_is_an_ordinary_start(namespace: Namespace) -> None:
    """Links that come and go all the time prevent no complete start, however long it takes."""
    namespace.batch(f"link add name a{i} type veth peer name b{i}" for i in range(30))
    lasting = set(namespace.links())
    ended = threading.Event()

    def storm() -> None:
        while not ended.is_set():
            namespace.batch(
                command
                for i in range(4)
                for command in (f"link add name s{i} type ifb", f"link del s{i}")
            )

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        for _ in range(10):
            with opened(namespace) as source:
                assert source.health.errors == {}
                names = {i.link.name for i in source.interfaces()}
                assert lasting <= names <= lasting | {f"s{i}" for i in range(4)}
    finally:
        ended.set()
        thread.join()


def test_a_start_continues_without_a_complete_list(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Interfaces that are listed later come as refreshes, which are not counted."""
    monkeypatch.setattr(linux, "OPEN_SECONDS", 0.0)
    namespace.ip("link add name west type ifb")
    with namespace.enter():
        source = LinuxSource()
        source.open()
        try:
            assert "still being listed" in caplog.text
            assert source.interfaces() == []
            listener = Listener(namespace, source)
            there = namespace.netconf().keys()
            listener.until(lambda: len(listener.received) > len(there), "the rest")
            (initial, *rest) = listener.received
            assert initial.type is NotificationType.INITIAL
            assert {(n.type, n.inferred) for n in rest} == {(NotificationType.REFRESH, True)}
            listed = {(AF_NAMES[n.family], n.interface.link.name) for n in rest if n.interface}
            assert listed == there
            namespace.ip("link set west mtu 1400")
            listener.finish()
            assert [h.type for h in listener.about("west", V4)] == [CHANGE]
        finally:
            source.close()


def test_an_interface_is_read_by_family_and_luid(namespace: Namespace) -> None:
    """`interface` finds the interfaces that `interfaces` lists, and no others."""
    with opened(namespace) as source:
        for interface in source.interfaces():
            assert source.interface(interface.family, interface.luid) is interface
        assert source.interface(V4, 0) is None


# -- agreement with other programs -------------------------------------------------------------


def test_rows_agree_with_iproute2_and_proc(namespace: Namespace) -> None:
    """Rows of links in many kinds and states are those of iproute2 and /proc."""
    namespace.batch([
        "link add name west type veth peer name east",
        "link add name bridge type bridge",
        "link add name ifb mtu 9000 type ifb",
        "link add name small mtu 1279 type ifb",
        "tuntap add name tap mode tap",
        "tuntap add name tun mode tun",
        "link set west alias uplink",
        "link set west up",
        "link set east up",
        "link set ifb up",
        "link set tap up",
        "link set lo up",
    ])  # fmt: skip
    namespace.sysctl("ipv4/conf/west/forwarding", 1)
    namespace.sysctl("ipv6/conf/east/forwarding", 1)
    namespace.sysctl("ipv4/neigh/ifb/base_reachable_time_ms", 12000)
    namespace.sysctl("ipv6/neigh/ifb/retrans_time_ms", 3000)
    namespace.sysctl("ipv6/conf/ifb/dad_transmits", 4)
    mtu_expires = None
    with suppress(FileNotFoundError):  # Linux 5.10 has it in the first namespace only
        mtu_expires = int(namespace.sysctl("ipv4/route/mtu_expires", 300))
    namespace.wait_up("west")
    with opened(namespace) as source:
        Listener(namespace, source).finish()
        agree(source, namespace)
        rows = {(i.link.name, i.family): i.parameters for i in source.interfaces()}
        for (name, family), row in rows.items():
            sysctl_value = namespace.sysctl(f"{family.label}/conf/{name}/forwarding")
            assert row.forwarding_enabled is bool(int(sysctl_value))
        assert rows["ifb", V6].dad_transmits == 0  # NOARP: the kernel never sends any
        assert rows["west", V6].dad_transmits == 1
        assert rows["west", V4].path_mtu_discovery_timeout_seconds == mtu_expires


# -- loss and storms --------------------------------------------------------------------------


class Transitions:
    """Counts transitions by family and name: observed, and proven by the counters."""

    def __init__(self, source: LinuxSource, namespace: Namespace) -> None:
        self._before = namespace.carrier_counts()
        self._connected = {
            (i.family, i.link.name): i.parameters.connected for i in source.interfaces()
        }
        self.ups: Counter[tuple[Family, str]] = Counter()
        self.downs: Counter[tuple[Family, str]] = Counter()

    def count(self, notifications: Iterable[Notification]) -> None:
        """Add the transitions of these notifications."""
        for n in notifications:
            assert n.interface is not None
            who, connected = (n.family, n.interface.link.name), n.interface.parameters.connected
            if connected is not self._connected.setdefault(who, connected):
                self._connected[who] = connected
                (self.ups if connected else self.downs)[who] += 1
            self.ups[who] += n.unobserved_connects
            self.downs[who] += n.unobserved_disconnects

    def growth(
        self, namespace: Namespace, names: Iterable[str]
    ) -> tuple[Counter[Any], Counter[Any]]:
        """Return the growth of the kernel's counters."""
        after = namespace.carrier_counts()
        ups, downs = Counter[Any](), Counter[Any]()
        for name in names:
            for family in FAMILIES:
                ups[family, name] = after[name][0] - self._before[name][0]
                downs[family, name] = after[name][1] - self._before[name][1]
        return ups, downs


def connected_pairs(namespace: Namespace, count: int, *, addresses: bool = True) -> list[str]:
    """Make `count` veth pairs, up and running at both ends. Returns the names of all ends.

    Without addresses no notification of an address follows seconds later.
    """
    namespace.batch(f"link add name a{i} type veth peer name b{i}" for i in range(count))
    names = [f"{end}{i}" for i in range(count) for end in "ab"]
    if not addresses:
        namespace.batch(f"link set {name} addrgenmode none" for name in names)
    namespace.batch(f"link set {name} up" for name in names)
    namespace.wait_up(*names)
    return names


def flaps(name: str, count: int) -> list[str]:
    """Return the commands that set a link down and up."""
    return [f"link set {name} down", f"link set {name} up"] * count


def test_every_flap_of_a_storm_is_counted(namespace: Namespace) -> None:
    """Observed and unobserved transitions equal the growth of the kernel's counters."""
    pairs, count = 20, 50
    names = connected_pairs(namespace, pairs)
    commands = [c for _ in range(count) for i in range(pairs) for c in flaps(f"a{i}", 1)]
    with opened(namespace) as source:
        transitions = Transitions(source, namespace)
        listener = Listener(namespace, source)
        storm = threading.Thread(target=namespace.batch, args=(commands,))
        storm.start()
        listener.until(lambda: not storm.is_alive(), "the end of the storm")
        storm.join()
        listener.finish()
        namespace.wait_up("b0")
        receive_all_transitions(listener, transitions, names)
        assert source.health.overruns == 0
        for i in range(pairs):
            for family in FAMILIES:
                assert transitions.ups[family, f"a{i}"] == count
                assert transitions.downs[family, f"a{i}"] == count
        assert not any(n.inferred for n in listener.received)


def receive_all_transitions(
    listener: Listener,
    transitions: Transitions,
    names: Iterable[str],
    meanwhile: Callable[[], object] = lambda: None,
) -> None:
    """Receive until the transitions equal the kernel's counters, and require no more."""
    counted = 0

    def exact() -> bool:
        nonlocal counted
        meanwhile()
        transitions.count(listener.received[counted:])
        counted = len(listener.received)
        ups, downs = transitions.growth(listener.namespace, names)
        assert transitions.ups <= ups
        assert transitions.downs <= downs
        return (transitions.ups, transitions.downs) == (ups, downs)

    listener.until(exact, "the growth of the carrier counters")
    listener.finish()
    assert exact()


def test_an_overrun_is_counted_and_repaired_once(namespace: Namespace) -> None:
    """What was lost is inferred: net differences only, and every flap is counted."""
    names = connected_pairs(namespace, 3, addresses=False)
    namespace.batch([
        "link add name gone type ifb",
        "link add name renamed type ifb",
        "link add name small type ifb",
        "link add name reused index 4000 type ifb",
        "link add name replaced index 4001 type ifb",
    ])  # fmt: skip
    with opened(namespace, buffer_bytes=8192) as source:
        transitions = Transitions(source, namespace)
        listener = Listener(namespace, source)
        namespace.batch(flaps("a0", 50))  # the buffer holds a handful of messages
        namespace.batch([
            *flaps("a1", 5),
            "link del gone",
            "link set renamed name other",
            "link set small mtu 1279",
            "link del reused",
            "link add name reused index 4000 type bridge",
            "link del replaced",
            "link add name replaced index 4001 type ifb",
            "link add name new type ifb",
            "link set b2 mtu 1400",
        ])  # fmt: skip
        namespace.sysctl("ipv4/conf/a2/forwarding", 1)
        namespace.wait_up(*names)  # later messages may fill the small buffer again
        listener.until(lambda: source.health.resyncs, "the resync")
        receive_all_transitions(listener, transitions, names)
        health = source.health
        # A late message about a carrier may fill the small buffer again.
        assert 1 <= (health.resyncs or 0) <= (health.overruns or 0)
        (subscriber,) = subscribers()
        assert health.dropped == subscriber.drops > 0
        assert health.last_resync is not None
        agree(source, namespace)
        inferred = [
            (n.type, n.family, n.interface.link.name)
            for n in listener.received
            if n.inferred and n.type is not NotificationType.REFRESH and n.interface is not None
        ]
        assert max(Counter(inferred).values()) <= (health.resyncs or 0), "one net event each"
        # The last flap that was received may be incomplete.
        again = ("reused", "replaced")
        flapping = {(CHANGE, family, name) for family in FAMILIES for name in names[:4]}
        assert set(inferred) - flapping == {
            *(
                (DELETE, family, name)
                for family in FAMILIES
                for name in ("gone", "reused", "replaced")
            ),
            (DELETE, V6, "small"),
            *((ADD, family, name) for family in FAMILIES for name in (*again, "new")),
            (CHANGE, V4, "small"),
            *((CHANGE, family, "b2") for family in FAMILIES),
            (CHANGE, V4, "a2"),
        }


def test_overruns_in_a_row_are_repaired_at_a_bounded_rate(namespace: Namespace) -> None:
    """However often the buffer overflows, everything is read again once a second at most."""
    names = connected_pairs(namespace, 2, addresses=False)
    began = 100.0
    now = [began]
    clock = Clock(lambda: now[0], lambda: now[0])
    with opened(namespace, buffer_bytes=8192, clock=clock) as source:
        transitions = Transitions(source, namespace)
        listener = Listener(namespace, source)

        def time_goes_on() -> None:
            """Let time pass to the next resync, also after an overrun during a list."""
            if source._must_list:
                now[0] = max(now[0], source._next_resync)

        def resynced() -> bool:
            # First, so that no time passes after the resync: no other one may begin then.
            if (source.health.resyncs or 0) > resyncs:
                return True
            time_goes_on()
            return False

        for _ in range(3):
            overruns, resyncs = source.health.overruns or 0, source.health.resyncs or 0
            for _ in range(3):
                namespace.batch(flaps("a0", 30))
                listener.received += source.receive(0)
            assert (source.health.overruns or 0) > overruns
            assert source.health.resyncs == resyncs
            listener.until(resynced, "the resync")
        receive_all_transitions(listener, transitions, names, meanwhile=time_goes_on)
        assert 3 <= (source.health.resyncs or 0) <= (now[0] - began) / linux.RESYNC_SECONDS
        agree(source, namespace)


def test_what_is_notified_during_a_resync_is_not_inferred(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that is added during a resync has one notification, which is not inferred."""
    connected_pairs(namespace, 1)
    with opened(namespace, buffer_bytes=1 << 16) as source:
        listener = Listener(namespace, source)
        list_links = requests.Requests.list_links

        def disturbed(self: requests.Requests, now: float) -> None:
            monkeypatch.setattr(requests.Requests, "list_links", list_links)
            list_links(self, now)
            namespace.ip("link add name late type ifb")

        monkeypatch.setattr(requests.Requests, "list_links", disturbed)
        namespace.batch(flaps("a0", 100))
        listener.until(lambda: source.health.resyncs, "the resync")
        listener.finish()
        for family in FAMILIES:
            assert [h.type for h in listener.about("late", family)] == [ADD]
        assert not any(n.inferred for n in listener.received if n.type is ADD)
        assert source.health.resyncs == 1
        agree(source, namespace)


def test_a_resync_that_fails_is_tried_again(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error while listing is counted, and the resync is tried again."""
    connected_pairs(namespace, 1)
    monkeypatch.setattr(linux, "RESYNC_SECONDS", 0.01)
    with opened(namespace, buffer_bytes=8192) as source:
        listener = Listener(namespace, source)
        fail_once(monkeypatch)
        namespace.batch(flaps("a0", 50))
        listener.until(lambda: source.health.resyncs, "the resync")
        assert source.health.errors == {"list": 1}
        listener.finish()
        agree(source, namespace)


def fail_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next dump be refused."""
    link_request = nl.link_request

    def refused(sequence: int, index: int | None = None) -> bytes:
        if index is not None:
            return link_request(sequence, index)
        monkeypatch.setattr(nl, "link_request", link_request)
        unknown = 0x7FFF
        return nl._request(unknown, 0, sequence, bytes(16))

    monkeypatch.setattr(nl, "link_request", refused)


def test_an_overrun_during_a_list_starts_another_list(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list may lack the lost changes, so another one is made."""
    names = connected_pairs(namespace, 2, addresses=False)
    monkeypatch.setattr(linux, "RESYNC_SECONDS", 0.01)
    with opened(namespace, buffer_bytes=8192) as source:
        transitions = Transitions(source, namespace)
        listener = Listener(namespace, source)
        list_links = requests.Requests.list_links
        storms = [flaps("a0", 50), flaps("a1", 50)]

        def overrun(self: requests.Requests, now: float) -> None:
            list_links(self, now)
            if storms:
                namespace.batch(storms.pop())
                namespace.wait_up(*names)

        monkeypatch.setattr(requests.Requests, "list_links", overrun)
        namespace.batch(flaps("a0", 50))
        namespace.wait_up(*names)
        listener.until(lambda: source.health.resyncs, "the resync")
        assert storms == []
        receive_all_transitions(listener, transitions, names)
        # A late message about a carrier may fill the small buffer again.
        assert 1 <= (source.health.resyncs or 0) <= (source.health.overruns or 0) - 2
        agree(source, namespace)


def test_a_message_that_does_not_fit_is_a_loss(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A datagram that is larger than expected is counted, and causes a resync."""
    receive = Receiver.receive

    def truncated(self: Receiver) -> Iterable[tuple[memoryview, int, int]]:
        datagrams = list(receive(self))
        monkeypatch.setattr(Receiver, "receive", receive)
        return [(data, DATAGRAM_BYTES + 1, sender) for data, _, sender in datagrams[:1]]

    with opened(namespace) as source:
        listener = Listener(namespace, source)
        namespace.ip("link add name west type ifb")
        monkeypatch.setattr(Receiver, "receive", truncated)
        listener.until(lambda: source.health.resyncs, "the resync")
        assert source.health.errors == {"truncated_message": 1}
        assert source.health.overruns == 0
        for family in FAMILIES:
            assert [h.type for h in listener.about("west", family)] == [ADD]
        assert all(n.inferred for n in listener.received)


def test_messages_after_one_that_fails_are_read_again(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception in our code loses no interface of the same batch: a resync follows."""
    parse_link = nl.parse_link

    def fail_once(*_: object) -> nl.LinkMessage | None:
        monkeypatch.setattr(nl, "parse_link", parse_link)
        raise ZeroDivisionError

    with opened(namespace) as source:
        listener = Listener(namespace, source)
        names = [f"west{n}" for n in range(10)]
        namespace.batch(f"link add {name} type ifb" for name in names)
        monkeypatch.setattr(nl, "parse_link", fail_once)
        with pytest.raises(ZeroDivisionError):
            listener.finish()
        listener.until(lambda: source.health.resyncs, "the resync")
        assert source.health.resyncs == 1
        for name in names:
            assert [h.type for h in listener.about(name, V4)] == [ADD]
        agree(source, namespace)


# -- requests --------------------------------------------------------------------------------


def test_a_comparison_that_fails_is_counted_and_made_again(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error in the background is counted, and the source continues."""
    monkeypatch.setattr(linux, "RECONCILE_SECONDS", 0.02)
    monkeypatch.setattr(linux, "RESYNC_SECONDS", 0.02)
    namespace.ip("link add name west type ifb")
    with opened(namespace) as source:
        listener = Listener(namespace, source)
        fail_once(monkeypatch)
        namespace.sysctl("ipv6/conf/west/accept_ra", 0)
        listener.until(lambda: listener.received, "the silent change")
        assert source.health.errors == {"list": 1}
        assert source.health.resyncs == 0


def test_timers_that_cannot_be_read_stop_nothing(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are then absent, at the start and later, and the source continues."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOBUFS, "No buffer space available")

    monkeypatch.setattr(linux, "RECONCILE_SECONDS", 0.02)
    with monkeypatch.context() as refusing:
        refusing.setattr(TimerReader, "ask", refuse)
        source = LinuxSource()
        with namespace.enter():
            source.open()
    try:
        assert source.health.errors == {"read": 1}
        assert {i.parameters.base_reachable_time_seconds for i in source.interfaces()} == {None}
        listener = Listener(namespace, source)
        listener.until(lambda: len(listener.received) >= 3, "the timers")
        agree(source, namespace)
    finally:
        source.close()


@pytest.mark.parametrize("timeout", [0.0, 0.001, None])
def test_the_end_of_a_family_is_notified_though_nothing_follows(
    namespace: Namespace, timeout: float | None
) -> None:
    """DELNETCONF is the last message of mtu 1279; a reply confirms it, for any timeout."""
    namespace.ip("link add name west type ifb")
    with opened(namespace) as source:
        namespace.ip("link set west mtu 1279")
        received: list[Notification] = []
        wait_until(
            lambda: (
                received.extend(source.receive(timeout)),
                any(n.type is DELETE for n in received),
            )[1],
            message="the deletion",
        )
        assert [n.type for n in received if n.family is V6] == [DELETE]
        assert not any(n.inferred for n in received)


def test_a_rename_cut_in_two_by_an_empty_queue_is_a_rename(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue may be empty between DELNETCONF and NEWNETCONF: nothing is notified yet."""
    namespace.ip("link add name west type ifb")
    with opened(namespace) as source:
        listener = Listener(namespace, source)
        monkeypatch.setattr(linux, "BATCH_MESSAGES", 1)
        namespace.ip("link set west name east")
        listener.finish()
        for family in FAMILIES:
            assert listener.about("west", family) == listener.about("east", family) == []
        assert "east" in {i.link.name for i in source.interfaces()}


#: The last kernel that was seen to queue its replies about links before it released the lock.
QUEUES_UNDER_THE_LOCK = (6, 18)


def test_replies_and_notifications_come_in_order(namespace: Namespace) -> None:
    """On the source's socket, replies and notifications are in order.

    The carrier counters of a link never fall, in the order of receipt. The whole source depends
    on this, and this measures it on the running kernel. Where a reply may still be older, its
    counters show it: see `Replies`.
    """
    names = connected_pairs(namespace, 4)
    indices = [namespace.links()[name]["ifindex"] for name in names]
    ended = threading.Event()

    def storm() -> None:
        while not ended.is_set():
            namespace.batch(c for i in range(4) for c in flaps(f"a{i}", 5))

    with namespace.enter():
        listener, _ = subscribe(linux.GROUPS, DEFAULT_BUFFER)
    thread = threading.Thread(target=storm)
    thread.start()
    last: dict[int, int] = {}
    replies = notifications = 0
    request = itertools.count(1)
    try:
        with listener:
            while replies < 4000 or notifications < 4000:
                for index in indices:
                    listener.send(nl.link_request(next(request), index))
                listener.send(nl.link_request(next(request)))
                for data in drained(listener):
                    for message in nl.messages(data, len(data)):
                        if message.type != nl.RTM_NEWLINK:
                            continue
                        link = nl.parse_link(data, message.start, message.end)
                        assert link is not None
                        if link.carrier_up is None or link.carrier_down is None:
                            continue  # a message of IPv6
                        replies += bool(message.port)
                        notifications += not message.port
                        count = link.carrier_up + link.carrier_down
                        older = message.flags & nl.NLM_F_MULTI or (
                            message.port and KERNEL > QUEUES_UNDER_THE_LOCK
                        )
                        if older and count < last.get(link.ifindex, 0):
                            continue  # allowed: see `Replies`
                        assert count >= last.get(link.ifindex, 0)
                        last[link.ifindex] = count
    finally:
        ended.set()
        thread.join()


def drained(listener: socket.socket) -> Iterator[bytes]:
    """Yield the queued datagrams."""
    while True:
        try:
            yield listener.recv(DATAGRAM_BYTES)
        except BlockingIOError:
            return


# -- reused indexes ---------------------------------------------------------------------------


def test_the_first_end_of_a_pair_stays_the_same_when_it_is_compared(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its only message has no peer, the comparison has: it is the same link."""
    monkeypatch.setattr(linux, "RECONCILE_SECONDS", 0.1)
    with opened(namespace) as source:
        listener = Listener(namespace, source)
        namespace.ip("link add name west type veth peer name east")
        listener.finish()
        namespace.sysctl("ipv6/conf/east/accept_ra", 0)  # only a comparison finds this
        listener.until(lambda: any(n.inferred for n in listener.received), "a comparison")
        assert [n for n in listener.received if n.type is DELETE] == []


def test_a_veth_that_takes_over_an_index_is_another_interface(namespace: Namespace) -> None:
    """A link is deleted, and another with its index is moved in: they have two LUIDs."""
    there = Namespace()
    with there, opened(namespace) as source:
        listener = Listener(namespace, source)
        namespace.batch([
            "link add name west index 50 type veth peer name east", "link set west up",
            "link set east up",
        ])  # fmt: skip
        there.ip("link add name west index 50 type veth peer name east")
        listener.until(
            lambda: all(h[-1:] == [UP] for f in FAMILIES for h in [listener.about("west", f)]),
            "carrier",
        )
        namespace.ip("link del west")
        there.ip(f"link set west netns {namespace.name}")
        assert namespace.index("west") == 50
        listener.finish()
        for family in FAMILIES:
            received = [n for n in listener.received if n.family is family and n.ifindex == 50]
            types = [(n.type, n.luid) for n in received if n.type in (ADD, DELETE)]
            (first, second) = (make_luid(6, 50), make_luid(6, 50, 1))
            assert types == [(ADD, first), (DELETE, first), (ADD, second)]
            assert source.interface(family, first) is None
            assert source.interface(family, second) is not None
        agree(source, namespace)


def test_a_large_index_is_no_reason_to_leave_a_link_out(namespace: Namespace) -> None:
    """Hosts that have run millions of containers have indexes beyond 24 bits."""
    large = (1 << 24) + 5
    namespace.ip(f"link add name early index {large} type ifb")
    with opened(namespace) as source:
        listener = Listener(namespace, source)
        namespace.ip(f"link add name late index {large + 1} type ifb")
        listener.finish()
        found = {i.luid for i in source.interfaces() if i.link.name in ("early", "late")}
        assert found == {make_luid(6, large), make_luid(6, large + 1)}
        agree(source, namespace)


# -- receive delay ------------------------------------------------------------------------------


def test_how_late_messages_may_have_been_received_is_bounded(namespace: Namespace) -> None:
    """A message may have waited since the source last received."""
    now = [100.0]
    namespace.ip("link add name west type ifb")
    clock = Clock(lambda: now[0], lambda: now[0])
    with opened(namespace, clock=clock) as source:
        delays = []
        for waited, mtu in ((0.5, 1400), (30.0, 1500), (0.5, 1400), (2.0, 1500)):
            namespace.ip(f"link set west mtu {mtu}")
            now[0] += waited
            wait_until(lambda: source.receive(0))
            delays.append(source.health.receive_delay_seconds)
        assert delays == [0.0, 29.0, 29.0, 30.0]
        now[0] += 60.0
        assert source.receive(0) == []
        assert source.health.receive_delay_seconds == 30.0, "nothing waited"


def test_the_debug_log_has_each_message_and_what_it_amounts_to(
    namespace: Namespace, caplog: pytest.LogCaptureFixture
) -> None:
    """At level debug every message of the kernel is logged, also replies; at info none."""
    with caplog.at_level(logging.INFO, logger="exporter"), opened(namespace) as source:
        listener = Listener(namespace, source)
        listener.finish()
        assert not caplog.records
        caplog.set_level(logging.DEBUG, logger="exporter")
        namespace.ip("link add name west mtu 1400 type ifb")
        namespace.ip("link set west mtu 1279")
        listener.until(lambda: DELETE in {n.type for n in listener.received}, "the deletion")
    logged = [r.fields for r in caplog.records]  # type: ignore[attr-defined]
    index = max(fields["ifindex"] for fields in logged)
    about = [fields for fields in logged if fields.get("ifindex") == index]
    assert [(fields["type"], fields["reply"], fields["notifications"]) for fields in about] == [
        ("NEWNETCONF", False, ""),
        ("NEWNETCONF", False, ""),
        ("NEWLINK", False, f"add ipv4 {index}, add ipv6 {index}"),
        ("NEWLINK", False, f"parameter ipv4 {index}"),
        ("DELNETCONF", False, ""),
        ("NEWLINK", True, f"delete ipv6 {index}"),
    ]
    assert (about[2]["device"], about[2]["mtu"]) == ("west", 1400)


# -- the sockets ------------------------------------------------------------------------------


def test_the_effective_receive_buffer_is_published(namespace: Namespace) -> None:
    """The kernel doubles the requested size, and the source shows the result."""
    with opened(namespace, buffer_bytes=1 << 20) as source:
        assert source.health.receive_buffer_bytes == 2 << 20


UNPRIVILEGED = """
import os
from exporter.model import NotificationType
from exporter.sources.linux.source import LinuxSource

os.setgroups([])
os.setgid(65534)
os.setuid(65534)
source = LinuxSource()
source.open()
print(source.health.receive_buffer_bytes, flush=True)
received = []
while len(received) < 2:
    received += [n for n in source.receive(None) if n.type is NotificationType.PARAMETER]
print(*(n.interface.parameters.mtu_bytes for n in received), flush=True)
source.close()
"""


def test_no_privileges_are_needed(namespace: Namespace) -> None:
    """As nobody the source works, with the largest receive buffer that the system allows."""
    namespace.ip("link add name west type ifb")
    with namespace.enter():  # a child process starts where its parent's thread is
        child = subprocess.Popen(
            [sys.executable, "-c", UNPRIVILEGED], stdout=subprocess.PIPE, text=True
        )
    with child:
        try:
            assert child.stdout is not None
            largest = int(Path("/proc/sys/net/core/rmem_max").read_text())
            assert int(child.stdout.readline()) == 2 * min(largest, DEFAULT_BUFFER)
            namespace.ip("link set west mtu 1400")
            assert child.stdout.readline() == "1400 1400\n"
            assert child.wait(DEADLINE) == 0
        finally:
            child.kill()


def test_messages_of_other_processes_are_ignored(namespace: Namespace) -> None:
    """A message from another process is counted as an error, and not applied."""
    with opened(namespace) as source:
        (subscriber,) = subscribers()
        forged = build.datagram((nl.RTM_NEWNETCONF, build.netconf(nl.AF_INET, 77)))
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as other:
            other.sendto(forged, (subscriber.port, 0))
        listener = Listener(namespace, source)
        listener.finish()
        assert source.health.errors == {"foreign_message": 1}
        assert source.health.messages["NEWNETCONF"] == 2  # those of the marker


# -- pauses -----------------------------------------------------------------------------------


def test_only_a_storm_is_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drains in quick succession have pauses after the first ones; after a rest they have none."""
    slept: list[float] = []
    monkeypatch.setattr(linux.time, "sleep", slept.append)
    now = [100.0]
    source = LinuxSource(clock=Clock(lambda: 0.0, lambda: now[0]))
    for _ in range(linux.UNPAUSED + 10):
        source._pause()
    assert slept == [linux.PAUSE_SECONDS] * 10
    now[0] += 1.0
    for _ in range(linux.UNPAUSED):
        source._pause()
    assert len(slept) == 10


@pytest.mark.parametrize("size", [2304, 212_992, 8 << 20, 64 << 20])
def test_no_pause_lets_the_buffer_overflow(size: int) -> None:
    """At the kernel's highest rate, a pause fills at most a quarter of the receive buffer."""
    pause = linux.longest_pause(size)
    assert 0 < pause * linux.FULLEST_BYTES_PER_SECOND <= size / 4 * 1.001
    assert pause <= linux.PAUSE_SECONDS


# -- the life of a source ---------------------------------------------------------------------


def open_files() -> int:
    """Return the number of open file descriptors."""
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def inside(namespace: Namespace) -> Iterator[Namespace]:
    """A namespace with this thread in it; the test must close what it opens."""
    with namespace.enter():
        before = open_files()
        yield namespace
        assert open_files() == before


def test_a_source_can_be_closed_right_after_it_was_opened(inside: Namespace) -> None:
    """Nothing was received, and nothing stays open."""
    source = LinuxSource()
    source.open()
    source.close()
    assert not source.health.up
    assert subscribers() == []
    with pytest.raises(SourceClosed):
        source.receive(None)


def test_a_source_can_be_closed_before_it_was_opened(inside: Namespace) -> None:
    """A signal may close a source before it is opened: then nothing is opened."""
    source = LinuxSource()
    source.close()
    with pytest.raises(SourceClosed):
        source.open()
    with pytest.raises(SourceClosed):
        source.receive(0)


def test_a_start_whose_list_is_refused_fails(
    inside: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start needs a list: the error of the kernel is raised."""
    fail_once(monkeypatch)
    source = LinuxSource()
    with pytest.raises(OSError, match="not supported"):
        source.open()
    source.close()


def test_a_start_can_be_canceled(inside: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that is closed while it lists raises SourceClosed."""
    source = LinuxSource()

    def close(*_: object) -> bool:
        source._closed = True
        return True

    monkeypatch.setattr(LinuxSource, "_wait", close)
    monkeypatch.setattr(LinuxSource, "_drain", lambda *_: True)
    with pytest.raises(SourceClosed):
        source.open()
    source._closed = False
    source.close()


def test_a_source_can_be_closed_any_number_of_times(inside: Namespace) -> None:
    """Several threads may close it, several times."""
    source = LinuxSource()
    source.open()
    closers = [threading.Thread(target=source.close) for _ in range(8)]
    for closer in closers:
        closer.start()
    for closer in closers:
        closer.join()
    source.close()


def test_closing_unblocks_a_receive_without_timeout(inside: Namespace) -> None:
    """A receive without a timeout in another thread raises SourceClosed at once."""
    source = LinuxSource()
    source.open()
    source.receive(None)
    refused: list[BaseException] = []

    def wait() -> None:
        try:
            source.receive(None)
        except SourceClosed as closed:
            refused.append(closed)

    waiting = threading.Thread(target=wait)
    waiting.start()
    asleep = Path(f"/proc/self/task/{waiting.native_id}/syscall")
    wait_until(lambda: not asleep.read_text().startswith("running"), message="the receive to wait")
    source.close()
    assert len(refused) == 1  # `close` returns only when `receive` has
    waiting.join()


def test_closing_ends_a_receive_in_a_storm(inside: Namespace) -> None:
    """A closed source stops, however many messages are queued or still come."""
    connected_pairs(inside, 2)
    source = LinuxSource(receive_buffer_bytes=1 << 20)
    source.open()
    stopped = threading.Event()

    def collect() -> None:
        try:
            while True:
                source.receive(None)
        except SourceClosed:
            stopped.set()

    collector = threading.Thread(target=collect)
    storm = threading.Thread(target=inside.batch, args=(flaps("a0", 300),))
    collector.start()
    storm.start()
    wait_until(lambda: source.health.messages["NEWLINK"] > 100, message="the storm")
    source.close()
    assert stopped.wait(DEADLINE)
    storm.join()
    collector.join()


@pytest.mark.parametrize("failing", ["subscribe", "TimerReader", "Receiver", "Requests"])
def test_an_open_that_fails_leaves_nothing_open(
    inside: Namespace, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """If the system refuses any call, the sockets that were opened before are closed."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(linux, failing, refuse)
    source = LinuxSource()
    with pytest.raises(OSError, match="Too many open files"):
        source.open()
    assert not source.health.up
    source.close()
