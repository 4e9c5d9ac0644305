"""The mapping of rtnetlink messages to notifications, message by message."""

import logging
from collections import Counter
from collections.abc import Collection
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support import messages as build
from support import recorded
from support.messages import READY, RUNNING, UP

from exporter.bindings import rtnetlink as nl
from exporter.model import FAMILIES, Family, Notification, NotificationType
from exporter.sources.linux.links import LinkTable
from exporter.sources.linux.listing import Key, Listing
from exporter.sources.linux.rows import Timers

V4, V6 = Family.IPV4, Family.IPV6
AF = {V4: nl.AF_INET, V6: nl.AF_INET6}
BOTH = frozenset(FAMILIES)


class Host:
    """A table of links, and a kernel that tells it things and answers its questions."""

    def __init__(self, families: Collection[Family] = FAMILIES) -> None:
        self.table = LinkTable(families, self._read)
        #: Every link as a fresh reading shows it.
        self.links: dict[int, bytes] = {}
        self.reads = 0
        self.now = 0.0

    def _read(self, index: int) -> nl.LinkMessage | None:
        self.reads += 1
        body = self.links.get(index)
        return None if body is None else nl.parse_link(body, 0, len(body))

    def tell(self, kind: int, body: bytes) -> None:
        """One message of the stream."""
        self.now += 1
        self.table.apply(kind, body, 0, len(body), 1000 + self.now, self.now)

    def link(self, index: int, *arguments: Any, **facts: Any) -> None:
        """RTM_NEWLINK, which a fresh reading would confirm."""
        body = self.links[index] = build.link(index, *arguments, **facts)
        self.tell(nl.RTM_NEWLINK, body)

    def netconf(self, family: Family, index: int, *values: Any) -> None:
        """RTM_NEWNETCONF."""
        self.tell(nl.RTM_NEWNETCONF, build.netconf(AF[family], index, *values))

    def del_netconf(self, family: Family, index: int) -> None:
        """RTM_DELNETCONF."""
        self.tell(nl.RTM_DELNETCONF, build.netconf(AF[family], index, {}))

    def del_link(self, index: int, **facts: Any) -> None:
        """RTM_DELLINK."""
        self.links.pop(index, None)
        self.tell(nl.RTM_DELLINK, build.link(index, conf=None, conf6=None, **facts))

    def add(
        self, index: int, *arguments: Any, families: Collection[Family] = BOTH, **facts: Any
    ) -> None:
        """All that the kernel says of a new link, as yet unread by the test."""
        for family in sorted(families):
            self.netconf(family, index)
        self.link(index, *arguments, **facts)

    def having(self, index: int, *arguments: Any, **facts: Any) -> "Host":
        """The same host, with a link whose addition is history."""
        self.add(index, *arguments, **facts)
        self.table.take()
        return self

    def load(self, *bodies: bytes, without: Collection[Key] = ()) -> None:
        """A listing of these links, each with both families but `without` those."""
        links = [nl.parse_link(body, 0, len(body)) for body in bodies]
        present = [link for link in links if link is not None]
        existing = {(family, link.ifindex) for link in present for family in FAMILIES}
        timers = {
            (V6, link.ifindex): Timers(None, *link.inet6_timers)
            for link in present
            if link.inet6_timers is not None
        }
        self.table.load(Listing(present, existing - set(without), timers), 5000.0, 50.0)

    def take(self) -> list[Notification]:
        """What it amounted to since the last time."""
        return self.table.take()

    @property
    def said(self) -> list[tuple[NotificationType, Family]]:
        """The same, in short."""
        return [(n.type, n.family) for n in self.take()]


ADDED = [(NotificationType.ADD, V4), (NotificationType.ADD, V6)]
CHANGED = [(NotificationType.PARAMETER, V4), (NotificationType.PARAMETER, V6)]
REFRESHED = [(NotificationType.REFRESH, V4), (NotificationType.REFRESH, V6)]
DELETED = [(NotificationType.DELETE, V4), (NotificationType.DELETE, V6)]


# -- existence --------------------------------------------------------------------------------


def test_an_addition_waits_for_its_link_message() -> None:
    """NEWNETCONF proves the interface, and the NEWLINK after it brings the row."""
    host = Host()
    host.netconf(V4, 2)
    host.netconf(V6, 2)
    assert host.said == []
    assert host.table.unsettled
    host.link(2, b"eth0", mtu=9000, conf6=build.inet6_conf(MTU6=9000))
    added = host.take()
    assert [(n.type, n.family) for n in added] == ADDED
    assert not host.table.unsettled
    for n in added:
        assert n.interface is not None
        assert (n.interface.link.name, n.interface.parameters.mtu_bytes) == ("eth0", 9000)
        assert (n.luid, n.ifindex) == (0x0006000002000000, 2)
        assert (n.time, n.instant) == (1003.0, 3.0)
        assert not n.inferred
    assert [i.family for i in host.table.interfaces()] == [V4, V6]


def test_a_link_too_small_for_ipv6_has_ipv4_only() -> None:
    """Without NEWNETCONF of a family there is no interface of that family."""
    host = Host()
    host.add(2, mtu=1200, conf6=None, families=[V4])
    assert host.said == [(NotificationType.ADD, V4)]


def test_a_link_message_alone_adds_nothing() -> None:
    """A link without any IP interface is not an IP interface."""
    host = Host()
    host.link(2)
    assert host.said == []
    assert host.table.interfaces() == []


def test_an_addition_that_stays_silent_is_settled_by_reading() -> None:
    """When no NEWLINK comes, a fresh reading takes its place."""
    host = Host()
    host.netconf(V4, 2)
    host.links[2] = build.link(2)
    host.table.settle(lambda _: True)
    assert host.said == [(NotificationType.ADD, V4)]
    assert not host.table.unsettled


@pytest.mark.parametrize("withdrawn", [True, False], ids=["withdrawn", "silent"])
def test_a_link_whose_registration_failed_never_was(withdrawn: bool) -> None:
    """NEWNETCONF without a link in the end says nothing, and leaves nothing to wait for."""
    host = Host()
    host.netconf(V4, 2)
    if withdrawn:
        host.del_netconf(V4, 2)
        host.link(3)
    else:
        host.table.settle(lambda _: False)
    assert host.said == []
    assert not host.table.unsettled


def test_a_deletion_is_one_delete_per_family() -> None:
    """DELNETCONF of each family and then DELLINK: two deletes, with the last rows."""
    host = Host().having(2, b"eth0", RUNNING)
    host.del_netconf(V4, 2)
    host.del_netconf(V6, 2)
    host.del_link(2)
    deleted = host.take()
    assert [(n.type, n.family) for n in deleted] == DELETED
    assert all(n.interface is not None and n.interface.parameters.connected for n in deleted)
    assert host.table.interfaces() == []


def test_a_deleted_link_takes_its_interfaces_along() -> None:
    """DELLINK deletes what no DELNETCONF did: kernels before 4.12 have none."""
    host = Host().having(2)
    host.del_link(2)
    assert host.said == DELETED


def test_a_family_can_go_and_come_while_the_link_stays() -> None:
    """An mtu of 1279 and then of 1500 is a deletion and an addition of IPv6; IPv4 follows it."""
    host = Host().having(2, b"eth0", RUNNING)
    host.link(2, b"eth0", RUNNING, mtu=1279)  # still lists IPv6, with its previous mtu
    host.del_netconf(V6, 2)
    assert host.said == [(NotificationType.PARAMETER, V4)]
    host.link(2, b"eth0", RUNNING, mtu=1500, conf6=None)
    assert host.said == [(NotificationType.DELETE, V6), (NotificationType.PARAMETER, V4)]
    host.links[2] = build.link(2, b"eth0", RUNNING)
    host.netconf(V6, 2)
    (added,) = host.take()
    assert (added.type, added.family) == (NotificationType.ADD, V6)
    assert added.interface is not None
    assert added.interface.parameters.connected
    assert added.interface.parameters.mtu_bytes == 1500


# -- rename -----------------------------------------------------------------------------------


def test_a_rename_is_not_a_deletion() -> None:
    """DELNETCONF right before NEWNETCONF of the same interface is a rename: a refresh only."""
    host = Host().having(2, b"eth0")
    host.link(2, b"lan0")
    for family in FAMILIES:
        host.del_netconf(family, 2)
        host.netconf(family, 2)
    renamed = host.take()
    assert [(n.type, n.family) for n in renamed] == REFRESHED
    assert {n.interface.link.name for n in renamed if n.interface} == {"lan0"}
    assert [i.link.name for i in host.table.interfaces()] == ["lan0", "lan0"]


def test_a_rename_cut_in_two_is_settled_by_asking() -> None:
    """The queue may be empty between the two messages; the interface still exists."""
    host = Host().having(2)
    host.del_netconf(V4, 2)
    assert host.said == []
    assert host.table.unsettled
    host.table.settle(lambda key: key == (V4, 2))
    assert host.said == []
    host.netconf(V4, 2)
    assert host.said == []
    assert not host.table.unsettled


def test_a_departure_is_settled_by_asking() -> None:
    """When nothing follows a DELNETCONF and the kernel knows no such interface, it is gone."""
    host = Host().having(2)
    host.del_netconf(V6, 2)
    host.table.settle(lambda _: False)
    assert host.said == [(NotificationType.DELETE, V6)]
    assert not host.table.unsettled


def test_gone_and_back_before_the_question_is_delete_and_add() -> None:
    """The kernel says that it exists, but the next message is not the one of a rename."""
    host = Host().having(2)
    host.del_netconf(V6, 2)
    host.table.settle(lambda _: True)
    host.link(2, conf6=None)
    host.netconf(V6, 2)
    assert host.said == [(NotificationType.DELETE, V6), (NotificationType.ADD, V6)]


@pytest.mark.parametrize("other", [(V6, 2), (V4, 3)], ids=["other family", "other link"])
def test_another_interfaces_netconf_is_no_rename(other: Key) -> None:
    """Only NEWNETCONF of the very same interface takes a DELNETCONF back."""
    host = Host().having(2).having(3)
    host.del_netconf(V4, 2)
    host.netconf(*other)
    assert host.said == [(NotificationType.DELETE, V4)]


# -- what is not about us ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", [nl.RTM_NEWLINK, nl.RTM_DELLINK])
def test_bridge_ports_are_ignored(kind: int) -> None:
    """AF_BRIDGE messages are about ports: leaving a bridge is DELLINK of a link that lives."""
    host = Host().having(2)
    host.tell(kind, build.link(2, family=nl.AF_BRIDGE, mtu=1))
    assert host.said == []
    assert len(host.table.interfaces()) == 2


@pytest.mark.parametrize("index", [-1, -2, 0])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_settings_for_all_and_default_are_no_interfaces(family: Family, index: int) -> None:
    """What is set for "all" (-1) and "default" (-2) is neither added, changed nor deleted."""
    host = Host()
    host.netconf(family, index)
    host.netconf(family, index, {nl.NETCONFA_FORWARDING: 1})
    host.del_netconf(family, index)
    assert host.said == []
    assert not host.table.unsettled


def test_a_wireless_event_describes_no_link() -> None:
    """Drivers send NEWLINK with a name and IFLA_WIRELESS only: nothing of it is a change."""
    host = Host().having(2, b"wlan0", RUNNING, counts=(5, 4))
    host.tell(nl.RTM_NEWLINK, build.link(2, b"wlan0", RUNNING, mtu=None, conf=None, conf6=None))
    host.tell(nl.RTM_NEWLINK, build.link(3, b"wlan1", RUNNING, mtu=None, conf=None, conf6=None))
    assert host.said == []
    host.link(2, b"wlan0", RUNNING, counts=(5, 4))
    assert host.said == []


@pytest.mark.parametrize("family", FAMILIES)
def test_only_the_families_asked_for(family: Family) -> None:
    """A table of one family hears nothing of the other."""
    host = Host([family])
    host.add(2)
    host.link(2, b"eth0", RUNNING)
    host.link(2, b"lan0", RUNNING)
    host.del_netconf(V4, 2)
    host.del_netconf(V6, 2)
    host.del_link(2)
    kinds = [
        NotificationType.ADD,
        NotificationType.PARAMETER,
        NotificationType.REFRESH,
        NotificationType.DELETE,
    ]
    assert host.said == [(kind, family) for kind in kinds]


def test_an_index_beyond_the_luid_is_left_out_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A link whose index does not fit 24 bits costs one log line, nothing else."""
    host, index = Host(), 1 << 24
    host.add(index)
    host.link(index, b"eth0", RUNNING)
    host.netconf(V4, index, {nl.NETCONFA_FORWARDING: 1})
    host.load(build.link(index))
    assert host.said == []
    assert not host.table.unsettled
    assert [r.levelno for r in caplog.records] == [logging.WARNING]
    assert str(index) in caplog.text
    host.del_netconf(V4, index)
    host.del_link(index)
    assert host.said == []
    host.add(index - 1)
    assert host.said == ADDED


# -- parameters -------------------------------------------------------------------------------


def test_carrier_changes_connected() -> None:
    """RUNNING goes and comes: one change for each family that is ready."""
    host = Host().having(2, b"eth0", UP)
    host.link(2, b"eth0", RUNNING)
    assert [n.interface.parameters.connected for n in host.take() if n.interface] == [True, True]
    host.link(2, b"eth0", UP)
    assert [n.interface.parameters.connected for n in host.take() if n.interface] == [False, False]


def test_ipv6_connects_when_it_is_ready() -> None:
    """Until IF_READY a running link connects IPv4 only; AF_INET6 messages speak of IPv6 only."""
    host = Host().having(2, b"eth0", UP, flags6=0)
    host.link(2, b"eth0", RUNNING, flags6=0)
    assert host.said == [(NotificationType.PARAMETER, V4)]
    host.tell(nl.RTM_NEWLINK, build.link(2, b"eth0", RUNNING, family=nl.AF_INET6, flags6=READY))
    assert host.said == [(NotificationType.PARAMETER, V6)]


def test_the_same_again_is_no_change() -> None:
    """A message that repeats what is known amounts to nothing."""
    host = Host().having(2, b"eth0", RUNNING)
    host.link(2, b"eth0", RUNNING)
    assert host.said == []


def test_the_ipv6_mtu_of_an_mtu_change_is_not_the_previous_one() -> None:
    """NEWLINK still carries IPv6's previous mtu, and no later message corrects it."""
    host = Host().having(2)
    for mtu, previous in ((1400, 1500), (1300, 1400)):
        host.link(2, mtu=mtu, conf6=build.inet6_conf(MTU6=previous))
        changed = host.take()
        assert [(n.type, n.family) for n in changed] == CHANGED
        assert {n.interface.parameters.mtu_bytes for n in changed if n.interface} == {mtu}


@pytest.mark.parametrize("family", FAMILIES)
def test_forwarding_is_told_by_netconf(family: Family) -> None:
    """A changed NETCONFA_FORWARDING changes the row of that family, the same value does not."""
    host = Host().having(2)
    for value, expected in ((1, True), (1, None), (0, False)):
        host.netconf(family, 2, {nl.NETCONFA_FORWARDING: value})
        changed = host.take()
        if expected is None:
            assert changed == []
        else:
            (notification,) = changed
            assert (notification.type, notification.family) == (NotificationType.PARAMETER, family)
            assert notification.interface is not None
            assert notification.interface.parameters.forwarding_enabled is expected


def test_other_settings_of_netconf_are_no_change() -> None:
    """rp_filter, proxy_arp and the like are not members of the row."""
    host = Host().having(2)
    host.netconf(V4, 2, {3: 1})
    host.netconf(V6, 2, {5: 1})
    assert host.said == []


def test_a_netconf_without_settings_is_read_again() -> None:
    """IPv6 force_forwarding is told with the index only; what it did shows in a fresh reading."""
    host = Host().having(2)
    host.links[2] = build.link(2, conf6=build.inet6_conf(FORWARDING=1))
    host.netconf(V6, 2, {})
    assert host.said == [(NotificationType.PARAMETER, V6)]


def test_disabling_ipv6_shows_in_the_addresses_that_go() -> None:
    """DELADDR is the only trace of disable_ipv6; however many, one reading is enough."""
    host = Host().having(2, b"eth0", RUNNING)
    host.links[2] = build.link(2, b"eth0", RUNNING, conf6=build.inet6_conf(DISABLE_IPV6=1))
    for _ in range(3):
        host.tell(nl.RTM_DELADDR, build.address(nl.AF_INET6, 2))
    (changed,) = host.take()
    assert (changed.type, changed.family) == (NotificationType.PARAMETER, V6)
    assert changed.interface is not None
    assert not changed.interface.parameters.connected
    assert host.reads == 1


@pytest.mark.parametrize(("flags", "family"), [(0, nl.AF_INET6), (RUNNING, nl.AF_INET)])
def test_listen_address_that_go_for_other_reasons_cost_no_reading(flags: int, family: int) -> None:
    """On a link that is down addresses go because of that, and IPv4's say nothing."""
    host = Host().having(2, b"eth0", flags)
    host.tell(nl.RTM_DELADDR, build.address(family, 2))
    assert host.said == []
    assert host.reads == 0


@pytest.mark.parametrize(
    "facts", [{"alias": b"uplink"}, {"address": b"\2\0\0\0\0\2"}], ids=["alias", "address"]
)
def test_facts_beside_the_row_are_refreshed(facts: dict[str, bytes]) -> None:
    """A new alias or link-layer address is shown, and counts as no notification."""
    host = Host().having(2)
    host.link(2, **facts)
    assert host.said == REFRESHED


def test_the_random_reachable_time_is_no_change() -> None:
    """The kernel draws it anew all the time: published, never a parameter change."""
    host = Host().having(2)
    host.tell(nl.RTM_NEWLINK, build.link(2, family=nl.AF_INET6, reachable_ms=12345))
    (refreshed,) = host.take()
    assert (refreshed.type, refreshed.family) == (NotificationType.REFRESH, V6)
    host.tell(nl.RTM_NEWLINK, build.link(2, family=nl.AF_INET6, retransmit_ms=2000))
    assert host.said == [(NotificationType.PARAMETER, V6)]


# -- missed flaps -----------------------------------------------------------------------------


def unobserved(
    notifications: list[Notification],
) -> list[tuple[NotificationType, Family, int, int]]:
    """What the counters proved."""
    return [
        (n.type, n.family, n.unobserved_connects, n.unobserved_disconnects) for n in notifications
    ]


def test_counters_prove_flaps_that_no_message_showed() -> None:
    """Connected as before, but both counters grew by three: three flaps nobody told of."""
    host = Host().having(2, b"eth0", RUNNING, counts=(1, 1))
    host.link(2, b"eth0", RUNNING, counts=(4, 4))
    assert unobserved(host.take()) == [
        (NotificationType.REFRESH, V4, 3, 3),
        (NotificationType.REFRESH, V6, 3, 3),
    ]


def test_a_seen_transition_is_not_missed() -> None:
    """The growth that a visible change explains is no flap."""
    host = Host().having(2, b"eth0", RUNNING, counts=(1, 1))
    host.link(2, b"eth0", UP, counts=(2, 3))
    assert unobserved(host.take()) == [
        (NotificationType.PARAMETER, V4, 1, 1),
        (NotificationType.PARAMETER, V6, 1, 1),
    ]


def test_ipv6_that_is_switched_off_misses_nothing() -> None:
    """With disable_ipv6 the carrier connects IPv4 only; after it, IPv6 is owed what comes."""
    off, on = build.inet6_conf(DISABLE_IPV6=1), build.inet6_conf()
    host = Host().having(2, b"eth0", RUNNING, conf6=off)
    host.link(2, b"eth0", RUNNING, conf6=off, counts=(3, 3))
    assert unobserved(host.take()) == [(NotificationType.REFRESH, V4, 3, 3)]
    host.tell(nl.RTM_NEWLINK, build.link(2, b"eth0", RUNNING, family=nl.AF_INET6, conf6=on))
    assert unobserved(host.take()) == [(NotificationType.PARAMETER, V6, 0, 0)]
    host.link(2, b"eth0", RUNNING, conf6=on, counts=(4, 4))
    assert unobserved(host.take()) == [
        (NotificationType.REFRESH, V4, 1, 1),
        (NotificationType.REFRESH, V6, 1, 1),
    ]


# -- a listing --------------------------------------------------------------------------------


def test_a_listing_is_compared_in_order_and_marked_inferred() -> None:
    """What is gone, then what is new, then what changed; one net event each, all inferred."""
    host = Host().having(2, b"gone").having(3, b"changed").having(5, b"same")
    host.having(4, b"half", families=[V4])
    host.load(
        build.link(3, b"changed", RUNNING),
        build.link(4, b"half", RUNNING),
        build.link(5, b"same"),
        build.link(6, b"new"),
    )
    found = host.take()
    assert [(n.type, n.family, n.ifindex) for n in found] == [
        (NotificationType.DELETE, V4, 2),
        (NotificationType.DELETE, V6, 2),
        (NotificationType.ADD, V6, 4),
        (NotificationType.ADD, V4, 6),
        (NotificationType.ADD, V6, 6),
        (NotificationType.PARAMETER, V4, 3),
        (NotificationType.PARAMETER, V6, 3),
        (NotificationType.PARAMETER, V4, 4),
    ]
    assert all(n.inferred and n.time == 5000.0 and n.instant == 50.0 for n in found)
    host.link(5, b"same", RUNNING)
    assert [n.inferred for n in host.take()] == [False, False]


def test_a_family_that_a_listing_lacks_is_deleted() -> None:
    """The link is there, its IPv6 is not."""
    host = Host().having(2)
    host.load(build.link(2, conf6=None), without=[(V6, 2)])
    assert host.said == [(NotificationType.DELETE, V6)]


@pytest.mark.parametrize(
    "other", [{"kind": b"bridge"}, {"hardware_type": 772}], ids=["kind", "hardware type"]
)
def test_a_reused_index_is_another_link(other: dict[str, Any]) -> None:
    """Another kind of link under a known index is a deletion and an addition."""
    host = Host().having(2)
    host.load(build.link(2, **other))
    assert host.said == DELETED + ADDED


def test_a_listing_settles_what_was_left_open() -> None:
    """Neither a departure nor an awaited addition outlives a complete listing."""
    host = Host().having(2)
    host.netconf(V4, 3)
    host.del_netconf(V4, 2)
    host.load(build.link(2))
    assert not host.table.unsettled
    assert host.said == []


def test_a_listing_renames() -> None:
    """A name that changed unseen is refreshed, not deleted and added."""
    host = Host().having(2, b"eth0")
    host.load(build.link(2, b"lan0"))
    assert host.said == REFRESHED


def test_a_listing_corrects_the_ipv6_mtu() -> None:
    """What a listing says of IPv6's mtu is true, also when the link's mtu changed with it."""
    host = Host().having(2)
    host.load(build.link(2, mtu=1500, conf6=build.inet6_conf(MTU6=1400)))
    (changed,) = host.take()
    assert changed.interface is not None
    assert (changed.family, changed.interface.parameters.mtu_bytes) == (V6, 1400)
    host.load(build.link(2, mtu=1300, conf6=build.inet6_conf(MTU6=1290)))
    assert [n.interface.parameters.mtu_bytes for n in host.take() if n.interface] == [1300, 1290]


def test_timers_are_those_of_the_link_or_the_familys_default() -> None:
    """A listed link has its own timers; a new one inherits; a reused index starts anew."""
    host = Host()
    body = build.link(2, retransmit_ms=7000)
    link = nl.parse_link(body, 0, len(body))
    assert link is not None
    default, own = Timers(30000, 20000, 1000, 600000), Timers(15000, 9000, 7000, 600000)
    host.table.load(Listing([link], {(V4, 2)}, {(V4, 0): default, (V4, 2): own}), 0.0, 0.0)
    host.having(3)
    rows = {i.ifindex: i.parameters for i in host.table.interfaces() if i.family is V4}
    assert rows[2].retransmit_time_seconds == 7.0
    assert rows[2].base_reachable_time_seconds == 15.0
    assert rows[3].retransmit_time_seconds == 1.0
    assert rows[3].path_mtu_discovery_timeout_seconds == 600.0
    host.del_link(2)
    host.having(2)
    rows = {i.ifindex: i.parameters for i in host.table.interfaces() if i.family is V4}
    assert rows[2].retransmit_time_seconds == 1.0


# -- exactness through losses -----------------------------------------------------------------


class Flapping:
    """A link that flaps, a queue that may lose messages, and the protocol of the source.

    Drain to the end, list if something was lost, use the listing if nothing was said
    meanwhile, else start again; an impatient source uses it all the same.
    """

    def __init__(self, patient: bool = True) -> None:
        self.patient = patient
        self.carrier = self.running = True
        self.grown = Counter[str]()
        self.queue: list[bytes] = []
        self.losing = self.must_list = False
        self.listing: bytes | None = None
        self.host = Host()
        self.host.load(self.body())
        self.host.take()
        self.connected = dict.fromkeys(FAMILIES, True)
        self.counted: dict[Family, Counter[str]] = {family: Counter() for family in FAMILIES}

    def body(self, family: int = nl.AF_UNSPEC) -> bytes:
        """The link as it is now."""
        flags = UP | nl.IFF_LOWER_UP * self.carrier | nl.IFF_RUNNING * self.running
        counts = self.grown["up"], self.grown["down"]
        return build.link(2, b"eth0", flags, counts=counts, family=family)

    def say(self, family: int = nl.AF_UNSPEC) -> None:
        """One message, unless the queue is full."""
        if not self.losing:
            self.queue.append(self.body(family))

    def toggle(self) -> None:
        """The driver changes the carrier."""
        self.carrier = not self.carrier
        self.grown["up" if self.carrier else "down"] += 1

    def linkwatch(self) -> None:
        """The kernel's worker comes round, and IPv6 hears of it first."""
        if self.running is not self.carrier:
            self.running = self.carrier
            self.say(nl.AF_INET6)
        self.say()

    def overrun(self) -> None:
        """The queue is full, until it is empty."""
        self.losing = True

    def drain(self) -> None:
        """The source reads all there is, but not between a listing and its use."""
        if self.listing is None:
            for body in self.queue:
                self.host.tell(nl.RTM_NEWLINK, body)
            self.queue.clear()
            self.host.table.caught_up()
            self.must_list |= self.losing
            self.losing = False
            self.count()

    def list(self) -> None:
        """The source lists, if it has to."""
        if self.must_list and not self.queue and not self.losing:
            self.listing = self.body()

    def use(self) -> None:
        """What was listed is used, or not."""
        listing, self.listing = self.listing, None
        if listing is not None:
            if self.patient and (self.queue or self.losing):
                self.drain()
                return
            self.must_list = False
            self.host.load(listing)
            self.count()

    def count(self) -> None:
        """What a user of the notifications counts."""
        for n in self.host.take():
            assert n.interface is not None
            connected = n.interface.parameters.connected
            counted = self.counted[n.family]
            if connected is not self.connected[n.family]:
                self.connected[n.family] = connected
                counted["up" if connected else "down"] += 1
            counted["up"] += n.unobserved_connects
            counted["down"] += n.unobserved_disconnects


STEPS = st.lists(
    st.sampled_from(
        ["toggle", "toggle", "linkwatch", "linkwatch", "say", "overrun", "drain", "list", "use"]
    ),
    max_size=60,
)
FLAP = ["toggle", "linkwatch", "toggle", "linkwatch"]
END = ["use", "linkwatch", "drain", "list", "use", "drain"]


@given(STEPS)
@example(["overrun", *FLAP, "drain", *FLAP, "drain", "list", *FLAP, "use"])
@example(["overrun", "drain", "linkwatch", "list", "linkwatch", "toggle", "linkwatch", "use"])
@settings(max_examples=300)
def test_every_flap_is_counted_once_through_losses(steps: list[str]) -> None:
    """What was seen and what was not make up the counters' growth, however much was lost."""
    link = Flapping()
    for step in [*steps, *END]:
        getattr(link, step)()
        for family in FAMILIES:
            assert link.counted[family] <= link.grown
    for family in FAMILIES:
        assert link.counted[family] == link.grown


@given(STEPS)
@settings(max_examples=300)
def test_a_listing_amid_a_storm_ends_in_the_newest_state(steps: list[str]) -> None:
    """Older messages on top of a listing: what remains is what the last of them says."""
    link = Flapping(patient=False)
    for step in [*steps, *END]:
        getattr(link, step)()
    assert link.connected == dict.fromkeys(FAMILIES, link.running)


def test_a_flap_under_way_while_listing_is_not_missed_as_well() -> None:
    """Its counters are in the listing, its messages behind it: it is seen, and only seen."""
    link = Flapping(patient=False)
    for step in ["overrun", "drain", "list", *FLAP, "list", "use", "drain"]:
        getattr(link, step)()
    for family in FAMILIES:
        assert link.counted[family] == link.grown == Counter(up=1, down=1)


# -- what the kernel would never say ----------------------------------------------------------

KINDS = st.sampled_from([*nl.MESSAGE_NAMES, nl.RTM_NEWNEIGHTBL])
RECORDED = st.sampled_from(recorded.messages()).map(
    lambda m: bytearray(m.datagram[m.message.start : m.message.end])
)


@given(
    st.lists(
        st.tuples(
            KINDS, RECORDED, st.integers(0, 1 << 12), st.integers(0, 255), st.integers(0, 99)
        ),
        max_size=12,
    )
)
def test_malformed_messages_never_raise(
    stream: list[tuple[int, bytearray, int, int, int]],
) -> None:
    """Real messages under any type, overwritten and cut off: the table stays usable."""
    host = Host()
    for kind, body, position, value, cut in stream:
        mutated = bytearray(body)
        mutated[position % len(body)] = value
        host.tell(kind, bytes(mutated[: len(mutated) - cut]))
        host.take()
    host.table.settle(lambda _: True)
    host.load(build.link(2))
    host.table.caught_up()
    assert [i.ifindex for i in host.table.interfaces()] == [2, 2]


def test_the_recorded_life_of_links_is_told() -> None:
    """The recorded datagrams, in order, amount to these notifications of each interface."""
    host = Host()
    for what, data in recorded.datagrams():
        for message in nl.messages(data, len(data)):
            if what not in ("links", "IPv4 netconf", "IPv6 netconf"):
                host.table.apply(message.type, data, message.start, message.end, 0.0, 0.0)
    host.table.settle(lambda _: False)
    kinds: dict[tuple[str, Family], list[NotificationType]] = {}
    for n in host.take():
        assert n.interface is not None
        if n.type is not NotificationType.REFRESH:
            kinds.setdefault((n.interface.link.name, n.family), []).append(n.type)
    add, change, delete = NotificationType.ADD, NotificationType.PARAMETER, NotificationType.DELETE
    assert kinds["tap", V4] == kinds["tap", V6] == [add]
    assert kinds["ifb", V4] == kinds["ifb", V6] == [add]
    assert kinds["ifbx", V4] == [change]
    assert kinds["ifbx", V6] == [delete]
    # up, forwarding, down: the deletion itself is at the end of what was kept
    assert kinds["west", V4] == [add, change, change, change, delete]
    assert kinds["west", V6] == [add, change, change, change, delete]
    assert kinds["east", V4][0] == kinds["east", V6][0] == add
