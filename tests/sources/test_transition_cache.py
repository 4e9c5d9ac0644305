"""A lookup in the cache gives exactly the result of parsing and applying the message."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import messages as build
from support.messages import READY, RUNNING, UP

from exporter.bindings import rtnetlink as nl
from exporter.model import FAMILIES, Family, Notification, NotificationType
from exporter.sources.linux import transition_cache
from exporter.sources.linux.links import LinkTable
from exporter.sources.linux.notifications import Notifications
from exporter.sources.linux.replies import Replies
from exporter.sources.linux.transition_cache import TransitionCache


class Twins:
    """Two tables that get the same messages: one through the cache, one without it."""

    def __init__(self) -> None:
        self.quick, self.plain = (LinkTable(FAMILIES) for _ in range(2))
        self.replies = [Replies(table) for table in (self.quick, self.plain)]
        self.cache = TransitionCache(self.quick)
        self.parser = Notifications(self.plain)
        self.buffer = bytearray(65536)
        self.now = 0.0
        self.request = 0
        self.looked_up = 0

    def notify(self, *parts: tuple[int, bytes]) -> None:
        """Send one datagram to both tables."""
        self.now += 1.0
        data = build.datagram(*parts)
        for table in (self.quick, self.plain):
            table.received_at(1000.0 + self.now, self.now)
        self.buffer[: len(data)] = data
        name = self.cache.repeat(self.buffer, len(data))
        self.looked_up += name is not None
        for message in nl.messages(data, len(data)):
            message_type, start, end = message.type, message.start, message.end
            assert name in (None, nl.MESSAGE_NAMES[message_type])
            if name is None:
                self.cache.apply(message, self.buffer, len(data))
            self.parser.apply(message_type, data, start, end)

    def load(self, bodies: list[bytes]) -> None:
        """Send a dump to both tables."""
        self.request += 1
        links = [link for b in bodies if (link := nl.parse_link(b, 0, len(b))) is not None]
        for replies, table in zip(self.replies, (self.quick, self.plain), strict=True):
            table.received_at(5000.0, self.now)
            table.expect_reply(self.request)
            replies.begin_dump()
            for link in links:
                replies.dump_part(link, self.request)
            replies.end_dump()

    def reply(self, body: bytes) -> None:
        """Send a reply about one link, to the open request."""
        link = nl.parse_link(body, 0, len(body))
        assert link is not None
        for replies, table in zip(self.replies, (self.quick, self.plain), strict=True):
            table.received_at(6000.0, self.now)
            replies.link(link, 1)

    def lose(self) -> None:
        """Let messages be lost."""
        for table in (self.quick, self.plain):
            table.lose()

    def take(self) -> list[Notification]:
        """Return the notifications of both, which must be equal, as must the interfaces."""
        emitted = self.quick.drain()
        assert emitted == self.plain.drain()
        assert self.quick.interfaces() == self.plain.interfaces()
        assert self.quick.requests == self.plain.requests
        return emitted

    def flap(self, index: int, number: int, part: slice = slice(None), **facts: Any) -> None:
        """Send the messages of a flap of a veth, down and up, or a part of them."""
        up, down = number + 1, number + 1
        counts, running = (up, down), {"flags": RUNNING, **facts}
        for message_type, body in (
            (nl.RTM_NEWLINK, build.link(index, flags=0, counts=(number, down), **facts)),
            (nl.RTM_DELADDR, build.address(nl.AF_INET6, index)),
            (nl.RTM_NEWLINK, build.link(index, counts=counts, flags6=0, **running)),
            (nl.RTM_NEWLINK, build.link(index, family=nl.AF_INET6, **running)),
            (nl.RTM_NEWLINK, build.link(index, counts=counts, **running)),
        )[part]:  # fmt: skip
            self.notify((message_type, body))


def having(*indices: int) -> Twins:
    """Return tables with links that are up."""
    twins = Twins()
    twins.load([build.link(index, flags=RUNNING) for index in indices])
    for table in (twins.quick, twins.plain):
        table.opening = False
    twins.take()
    return twins


def test_a_flap_is_looked_up_from_its_third_time_on() -> None:
    """Every message of a repeated flap is found in the cache, and gives the same."""
    twins = having(3)
    for number in range(4):
        twins.flap(3, number)
    seen = twins.looked_up
    twins.take()
    for number in range(4, 100):
        twins.flap(3, number)
        types = [(n.type, n.family) for n in twins.take()]
        assert types == [
            (NotificationType.PARAMETER, Family.IPV4),
            (NotificationType.PARAMETER, Family.IPV6),
            (NotificationType.PARAMETER, Family.IPV4),
            (NotificationType.PARAMETER, Family.IPV6),
        ]
    assert twins.looked_up - seen == 96 * 5


def test_counters_may_wrap() -> None:
    """A carrier counter that wraps around during a flap adds no flap."""
    twins = having(3)
    for number in (*range(4), *range(2**32 - 4, 2**32 - 1), 0, 1, 2):
        twins.flap(3, number)
        twins.take()


def test_a_kernel_without_counters_is_cached_too() -> None:
    """Flaps are cached without counters, too, as before Linux 4.16."""
    twins = having(3)
    bodies = [build.link(3, flags=flags, counts=None) for flags in (UP, RUNNING)]
    for number in range(10):
        twins.notify((nl.RTM_NEWLINK, bodies[number % 2]))
        twins.take()
    seen = twins.looked_up
    for body in bodies:
        twins.notify((nl.RTM_NEWLINK, body))
        assert [n.type for n in twins.take()] == [NotificationType.PARAMETER] * 2
    assert twins.looked_up == seen + 2


def test_a_link_that_was_replaced_is_another() -> None:
    """The cache of a link does not apply to the next link with the same index."""
    twins = having(3)
    for number in range(6):
        twins.flap(3, number)
    twins.notify((nl.RTM_DELLINK, build.link(3, conf=None, conf6=None)))
    for family in (nl.AF_INET, nl.AF_INET6):
        twins.notify((nl.RTM_NEWNETCONF, build.netconf(family, 3)))
    twins.flap(3, 6)
    assert NotificationType.ADD in {n.type for n in twins.take()}


@pytest.mark.parametrize("first", range(6))
@pytest.mark.parametrize("second", range(6))
def test_something_new_in_the_middle_of_a_flap(first: int, second: int) -> None:
    """A new message finds the link in the state after the messages from the cache."""
    twins = having(3)
    for number in range(6):
        twins.flap(3, number)
    twins.flap(3, 6, slice(first))
    twins.notify((nl.RTM_NEWNETCONF, build.netconf(nl.AF_INET, 3, {nl.NETCONFA_FORWARDING: 0})))
    twins.flap(3, 6, slice(first, max(first, second)))
    twins.notify((nl.RTM_NEWADDR, build.address(nl.AF_INET, 3)))
    twins.flap(3, 6, slice(max(first, second), None))
    twins.take()
    for number in range(7, 12):
        twins.flap(3, number)
        twins.take()


def test_two_aliases_of_a_link_have_separate_entries() -> None:
    """A link that gets an alias and loses it flaps with its current alias."""
    twins = having(3)
    number = 0
    for alias in (b"", b"far", b"", b"far", b""):
        for _ in range(4):
            twins.flap(3, number, alias=alias)
            number += 1
            emitted = [n for n in twins.take() if n.interface]
            assert {n.interface.link.alias for n in emitted if n.interface} >= {alias.decode()}


def test_a_lost_address_causes_a_request_each_time() -> None:
    """A message that causes a request is not cached, however often it changed nothing."""
    twins = having(3)
    for _ in range(8):
        twins.notify((nl.RTM_NEWLINK, build.link(3, flags=RUNNING)))
        twins.notify((nl.RTM_DELADDR, build.address(nl.AF_INET6, 3)))
        twins.take()
        assert twins.quick.requests == {3: False}
        twins.reply(build.link(3, flags=RUNNING))
        assert twins.quick.requests == {}
    twins.notify((nl.RTM_DELADDR, build.address(nl.AF_INET6, 3)))
    twins.reply(build.link(3, flags=RUNNING, conf6=build.inet6_conf(DISABLE_IPV6=1)))
    lost = twins.take()[-1]
    assert lost.interface is not None
    assert not lost.interface.parameters.connected


def test_messages_about_addresses_are_not_cached() -> None:
    """They have the port and the sequence of the process that set it, so none repeats."""
    twins = having(3)
    for number in range(1000):
        address = build.datagram(
            (nl.RTM_NEWADDR, build.address(nl.AF_INET, 3)), sequence=number, port=4711
        )
        twins.buffer[: len(address)] = address
        if twins.cache.repeat(twins.buffer, len(address)) is None:
            (message,) = nl.messages(address, len(address))
            twins.cache.apply(message, twins.buffer, len(address))
    assert len(twins.cache._messages) == 0


def test_the_entries_of_one_link_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link whose alias changes all the time has no more entries than others."""
    monkeypatch.setattr(transition_cache, "_SPARE_TEMPLATES", 10)
    twins = having(3)
    for number in range(200):
        twins.notify((nl.RTM_NEWLINK, build.link(3, flags=RUNNING, alias=b"a" * number)))
        assert len(twins.cache._messages) <= 10 + 8 + 1
    twins.take()


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deleted links leave no templates, and random numbers no transitions, behind."""
    monkeypatch.setattr(transition_cache, "_SPARE_TEMPLATES", 10)
    twins = having(3)
    for index in range(4, 60):
        for family in (nl.AF_INET, nl.AF_INET6):
            twins.notify((nl.RTM_NEWNETCONF, build.netconf(family, index)))
        for number in range(3):
            twins.flap(index, number)
        twins.notify((nl.RTM_DELLINK, build.link(index, conf=None, conf6=None)))
        twins.take()
        assert len(twins.cache._messages) <= 10 + 8 * 2 + 4
    for number in range(200):
        twins.flap(3, number, reachable_ms=number)
        twins.take()
    link = twins.quick.resolved_link(3)
    assert link is not None
    assert len(link._cached_states) <= 32
    assert all(len(state.transitions) <= 32 for state in link._cached_states.values())


FLAGS = st.sampled_from([0, UP, UP | nl.IFF_LOWER_UP, RUNNING])
INDEX = st.sampled_from([3, 4])
COUNTS = st.tuples(st.integers(0, 3), st.integers(0, 3)) | st.none()
LINKS = st.builds(
    build.link,
    INDEX,
    name=st.sampled_from([b"eth0", b"eth0", b"eth0", b"west"]),
    flags=FLAGS,
    mtu=st.sampled_from([1500, 1500, 1500, 1400, None]),
    alias=st.sampled_from([b"", b"", b"", b"far"]),
    counts=COUNTS,
    conf=st.sampled_from([build.inet_conf(), build.inet_conf(), build.inet_conf(FORWARDING=1)]),
    conf6=st.sampled_from([
        build.inet6_conf(), build.inet6_conf(), build.inet6_conf(DISABLE_IPV6=1), None,
    ]),
    flags6=st.sampled_from([0, READY, READY | 0x10]),
    reachable_ms=st.sampled_from([30000, 30000, 20000]),
)  # fmt: skip
STEPS = st.one_of(
    st.tuples(st.just("flap"), INDEX, st.integers(1, 4)),
    st.tuples(st.just("flap"), INDEX, st.integers(1, 4)),
    st.tuples(st.just("begin"), INDEX, st.integers(0, 5)),
    st.tuples(st.just("notify"), st.just(nl.RTM_NEWLINK), LINKS),
    st.tuples(
        st.just("notify"),
        st.just(nl.RTM_NEWLINK),
        st.builds(
            build.link,
            INDEX,
            flags=FLAGS,
            family=st.sampled_from([nl.AF_INET6, nl.AF_BRIDGE]),
            flags6=st.sampled_from([0, READY]),
        ),
    ),
    st.tuples(
        st.just("notify"),
        st.sampled_from([nl.RTM_NEWADDR, nl.RTM_DELADDR]),
        st.builds(build.address, st.sampled_from([nl.AF_INET, nl.AF_INET6]), INDEX),
    ),
    st.tuples(
        st.just("notify"),
        st.sampled_from([nl.RTM_NEWNETCONF, nl.RTM_DELNETCONF]),
        st.builds(
            build.netconf,
            st.sampled_from([nl.AF_INET, nl.AF_INET6]),
            INDEX,
            st.sampled_from([{}, {nl.NETCONFA_FORWARDING: 1}, {2: 0, 4: 0, 5: 0}]),
        ),
    ),
    st.tuples(
        st.just("notify"),
        st.just(nl.RTM_DELLINK),
        st.builds(build.link, INDEX, conf=st.none(), conf6=st.none()),
    ),
    st.tuples(st.just("load"), st.lists(LINKS, max_size=2), st.booleans()),
    st.tuples(st.just("reply"), LINKS, st.none()),
    st.tuples(st.just("take"), st.none(), st.none()),
)


@given(st.lists(STEPS, max_size=60))
@settings(max_examples=400)
def test_whatever_comes_the_twins_agree(steps: list[tuple[str, Any, Any]]) -> None:
    """Flaps and all other changes of links, at any time and in any order."""
    twins = having(3, 4)
    flaps = 0
    for what, first, second in steps:
        match what:
            case "flap":
                for _ in range(second):
                    twins.flap(first, flaps)
                    flaps += 1
            case "begin":
                twins.flap(first, flaps, slice(second))
            case "notify":
                twins.notify((first, second))
            case "load":
                if second:
                    twins.lose()
                twins.load(first)
            case "reply":
                twins.reply(first)
            case "take":
                twins.take()
    twins.take()
