"""The mapping of rtnetlink notifications and replies to notifications, message by message."""

import errno
from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support import messages as build
from support import recorded
from support.fake_kernel import AF, MOMENT, Host
from support.messages import READY, RUNNING, UP

from exporter.bindings import rtnetlink as nl
from exporter.model import (
    FAMILIES,
    Family,
    Notification,
    NotificationType,
    OperStatus,
    make_luid,
)
from exporter.sources.linux import requests
from exporter.sources.linux.index_reuse import IndexReuse
from exporter.sources.linux.notifications import Notifications
from exporter.sources.linux.replies import TRIES, replies_in_order
from exporter.sources.linux.rows import LinkKey, Timers

V4, V6 = Family.IPV4, Family.IPV6

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
    assert host.emitted == []
    host.link(2, b"eth0", mtu=9000, conf6=build.inet6_conf(MTU6=9000))
    added = host.take()
    assert [(n.type, n.family) for n in added] == ADDED
    for n in added:
        assert n.interface is not None
        assert (n.interface.link.name, n.interface.parameters.mtu_bytes) == ("eth0", 9000)
        assert (n.luid, n.ifindex) == (0x0006000002000000, 2)
        assert (n.time, n.instant) == (1000 + 3 * MOMENT, 3 * MOMENT)
        assert not n.inferred
    assert [i.family for i in host.table.interfaces()] == [V4, V6]


def test_an_addition_waits_however_long_its_link_message_takes() -> None:
    """There is no request before the NEWLINK that must come: it has the first state of the link.

    A reply would have a later state, and the messages from the creation of the link would then
    count as changes of that state.
    """
    host = Host()
    host.netconf(V4, 2)
    host.kernel.links[2] = build.link(2, b"eth0", RUNNING, counts=(1, 1))
    host.now += 100
    host.settle()
    assert host.kernel.requests == []
    for flags, counts in ((0, (0, 1)), (UP, (0, 1)), (RUNNING, (1, 1))):
        host.link(2, b"eth0", flags, counts=counts, conf6=None)
    added, enabled, connected = host.take()
    assert (added.type, enabled.type) == (NotificationType.ADD, NotificationType.REFRESH)
    assert connected.type is NotificationType.PARAMETER
    shown = [n.interface.parameters.connected for n in (added, connected) if n.interface]
    assert shown == [False, True]
    assert not connected.unobserved_connects


def test_a_link_too_small_for_ipv6_has_ipv4_only() -> None:
    """Without NEWNETCONF of a family there is no interface of that family."""
    host = Host()
    host.add(2, mtu=1200, conf6=None, families=[V4])
    assert host.emitted == [(NotificationType.ADD, V4)]


def test_a_link_message_alone_adds_nothing() -> None:
    """A link without any IP interface is not an IP interface."""
    host = Host()
    host.link(2)
    assert host.emitted == []
    assert host.table.interfaces() == []


def test_a_link_whose_registration_failed_never_existed() -> None:
    """NEWNETCONF and DELNETCONF without a link give nothing, and nothing remains to wait for."""
    host = Host()
    host.netconf(V4, 2)
    host.del_netconf(V4, 2)
    host.settle()
    assert host.emitted == []
    assert host.table.indexes() == set()


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


def test_a_deleted_link_deletes_its_interfaces() -> None:
    """DELLINK deletes interfaces without a DELNETCONF: kernels before 4.12 have none."""
    host = Host().having(2)
    host.del_link(2)
    assert host.emitted == DELETED


def test_a_family_can_go_and_come_while_the_link_stays() -> None:
    """An mtu of 1279 and then of 1500 is a deletion and an addition of IPv6; IPv4 follows it."""
    host = Host().having(2, b"eth0", RUNNING)
    host.link(2, b"eth0", RUNNING, mtu=1279)  # still lists IPv6, with its previous mtu
    host.del_netconf(V6, 2)
    assert host.emitted == [(NotificationType.PARAMETER, V4)]
    host.link(2, b"eth0", RUNNING, mtu=1500, conf6=None)
    assert host.emitted == [(NotificationType.DELETE, V6), (NotificationType.PARAMETER, V4)]
    host.netconf(V6, 2)
    assert host.emitted == []
    host.notify(nl.RTM_NEWLINK, build.link(2, b"eth0", RUNNING, family=nl.AF_INET6))
    (added,) = host.take()
    assert (added.type, added.family) == (NotificationType.ADD, V6)
    assert added.interface is not None
    assert added.interface.parameters.connected
    assert added.interface.parameters.mtu_bytes == 1500


@pytest.mark.parametrize("described", ["by a reply", "by the next message"])
def test_a_family_that_came_back_has_the_connected_of_its_link_at_that_time(described: str) -> None:
    """Connected and MTU are those of the link at NEWNETCONF.

    Other settings are those of the message that describes the family. A change between the two
    is notified once.
    """
    host = Host().having(2, b"eth0", RUNNING, families=[V4], counts=(1, 1))
    host.netconf(V6, 2)
    ready = build.inet6_conf(MTU6=1400)
    host.kernel.links[2] = build.link(2, b"eth0", 0, conf6=ready, flags6=0, counts=(1, 2))
    if described == "by a reply":
        host.notify(nl.RTM_NEWLINK, build.link(2, b"eth0", 0, conf6=None, counts=(1, 2)))
        (ipv4,) = host.take()
        assert (ipv4.type, ipv4.family) == (NotificationType.PARAMETER, V4)
        host.settle()
        emitted = host.take()
    else:
        host.notify(nl.RTM_NEWLINK, host.kernel.links[2])
        emitted = [n for n in host.take() if n.family is V6]
    assert [(n.type, n.unobserved_connects, n.inferred) for n in emitted] == [
        (NotificationType.ADD, 0, False),
        (NotificationType.PARAMETER, 0, False),
    ]
    rows = [n.interface.parameters for n in emitted if n.interface]
    assert [(row.connected, row.mtu_bytes) for row in rows] == [(True, 1500), (False, 1400)]
    host.settle()
    assert host.emitted == []


def test_a_family_that_came_back_disabled_is_not_connected() -> None:
    """With net.ipv6.conf.default.disable_ipv6 the new IPv6 of a running link is not connected."""
    host = Host().having(2, b"eth0", RUNNING, families=[V4])
    host.kernel.links[2] = build.link(2, b"eth0", RUNNING, conf6=build.inet6_conf(DISABLE_IPV6=1))
    host.netconf(V6, 2)
    host.settle()
    (added,) = host.take()
    assert added.interface is not None
    assert not added.interface.parameters.connected


@pytest.mark.parametrize("gone", ["family", "link"])
def test_a_family_that_was_never_described_is_added_and_deleted(gone: str) -> None:
    """It ended before any message had its settings: one ADD, one DELETE, no settings."""
    host = Host().having(2, b"eth0", RUNNING, families=[V4])
    host.netconf(V6, 2)
    if gone == "family":
        host.del_netconf(V6, 2)
        host.settle()
    else:
        host.del_link(2)
    emitted = [n for n in host.take() if n.family is V6]
    assert [n.type for n in emitted] == [NotificationType.ADD, NotificationType.DELETE]
    assert all(n.interface and n.interface.parameters.mtu_bytes is None for n in emitted)
    assert not any(n.inferred for n in emitted)


@pytest.mark.parametrize("goes", [False, True], ids=["stays", "goes"])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_set_before_a_family_is_described_counts(family: Family, goes: bool) -> None:
    """A new family of an existing link may have changes before the reply that describes it.

    A busy agent may find both in its queue. Each change is a notification.
    """
    host = Host().having(2, families={V4, V6} - {family})
    host.kernel.links[2] = build.link(2, conf=build.inet_conf(FORWARDING=1),
                                      conf6=build.inet6_conf(FORWARDING=1))  # fmt: skip
    host.netconf(family, 2)
    for value in (1, 1, 0, 1):
        host.netconf(family, 2, {nl.NETCONFA_FORWARDING: value})
    if goes:
        host.del_netconf(family, 2)
        host.del_link(2)
    else:
        host.settle()
    emitted = [n for n in host.take() if n.family is family and n.interface]
    changes = [(n.type, n.interface.parameters.forwarding_enabled) for n in emitted if n.interface]
    assert changes[:4] == [
        (NotificationType.ADD, False),
        (NotificationType.PARAMETER, True),
        (NotificationType.PARAMETER, False),
        (NotificationType.PARAMETER, True),
    ]
    assert [type_ for type_, _ in changes[4:]] == [NotificationType.DELETE] * goes
    assert not any(n.inferred for n in emitted)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_comes_with_the_mtu_of_its_link(family: Family) -> None:
    """The message that describes it may already have the next MTU, with IPv6's previous one."""
    host = Host().having(2, mtu=1400, families={V4, V6} - {family})
    host.netconf(family, 2)
    host.link(2, mtu=1500, conf6=build.inet6_conf(MTU6=1400))
    emitted = [n for n in host.take() if n.family is family]
    assert [n.type for n in emitted] == [NotificationType.ADD, NotificationType.PARAMETER]
    mtus = [n.interface.parameters.mtu_bytes for n in emitted if n.interface]
    assert mtus == [1400, 1500]


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


def test_a_rename_cut_in_two_is_decided_by_a_reply() -> None:
    """The queue may be empty between the two messages; the interface still exists."""
    host = Host().having(2)
    host.del_netconf(V4, 2)
    assert host.emitted == []
    host.settle()
    assert host.kernel.requests == [2]
    host.netconf(V4, 2)
    assert host.emitted == []


def test_a_deletion_is_decided_by_a_reply() -> None:
    """When nothing follows a DELNETCONF and the link has no such family, it is gone."""
    host = Host().having(2)
    host.kernel.links[2] = build.link(2, conf6=None)
    host.del_netconf(V6, 2)
    host.settle()
    (gone,) = host.take()
    assert (gone.type, gone.family, gone.inferred) == (NotificationType.DELETE, V6, False)


def test_deleted_and_added_before_the_reply_is_delete_and_add() -> None:
    """The link has the family, but no NEWNETCONF followed the DELNETCONF directly."""
    host = Host().having(2)
    host.del_netconf(V6, 2)
    host.ask()
    host.kernel.queue, replies = [], host.kernel.queue
    host.link(2, conf6=None)
    host.netconf(V6, 2)
    host.kernel.queue = replies
    host.drain()
    assert host.emitted == [(NotificationType.DELETE, V6), (NotificationType.ADD, V6)]


def test_no_such_device_may_come_before_the_messages_of_the_deletion() -> None:
    """Linux 7.2 does not wait until all of them are queued; each family has its own."""
    host = Host().having(2)
    del host.kernel.links[2]
    emitted: list[Notification] = []
    for family in FAMILIES:
        host.del_netconf(family, 2)
        host.settle()
        emitted += host.take()
    host.del_link(2)
    emitted += host.take()
    assert [(n.type, n.family) for n in emitted] == DELETED
    assert not any(n.inferred for n in emitted)
    assert host.table.requests == {}
    assert host.table.indexes() == set()


def test_a_reply_behind_a_newer_notification_is_requested_again() -> None:
    """Linux 7.2 queues a reply some time after making it: the counters show that."""
    host = Host().having(2, b"eth0", RUNNING, counts=(1, 1))

    def lose() -> None:
        host.kernel.overtaken = lambda: None
        lost = host.kernel.links[2] = build.link(2, b"eth0", UP, counts=(1, 2))
        host.kernel.notify(nl.RTM_NEWLINK, lost)

    host.kernel.overtaken = lose
    host.notify(nl.RTM_DELADDR, build.address(nl.AF_INET6, 2))  # causes a request
    host.settle()
    assert host.kernel.requests == [2, 2]
    changed = host.take()
    assert [(n.type, n.family) for n in changed] == CHANGED
    assert not any(n.inferred for n in changed)
    assert not any(i.parameters.connected for i in host.table.interfaces())


def test_a_reply_that_may_be_late_is_ignored() -> None:
    """Linux 7.2: a change of the MTU comes first, which no counter shows. It counts once."""
    host = Host(in_order=False).having(2, b"eth0", RUNNING, mtu=1500, counts=(1, 1))

    def enlarge() -> None:
        host.kernel.overtaken = lambda: None
        host.kernel.links[2] = build.link(2, b"eth0", RUNNING, mtu=9000, counts=(1, 1))
        host.kernel.notify(nl.RTM_NEWLINK, host.kernel.links[2])

    host.kernel.overtaken = enlarge
    host.notify(nl.RTM_DELADDR, build.address(nl.AF_INET6, 2))  # causes a request
    host.settle()
    assert host.kernel.requests == [2, 2]
    emitted = [n.interface for n in host.take() if n.interface and n.family is V4]
    assert [i.parameters.mtu_bytes for i in emitted] == [9000]


def test_a_late_reply_brings_no_deleted_link_back() -> None:
    """Linux 7.2: the reply is from before the deletion of the link, and comes after it."""
    host = Host(in_order=False).having(2, b"eth0", RUNNING)

    def delete() -> None:
        host.kernel.overtaken = lambda: None
        for family in FAMILIES:
            host.kernel.notify(nl.RTM_DELNETCONF, build.netconf(AF[family], 2, {}))
        del host.kernel.links[2]
        host.kernel.notify(nl.RTM_DELLINK, build.link(2, conf=None, conf6=None))

    host.kernel.overtaken = delete
    host.notify(nl.RTM_DELADDR, build.address(nl.AF_INET6, 2))
    host.settle()
    assert host.emitted == DELETED
    assert host.table.indexes() == set()


def test_a_deleted_link_leaves_no_count_of_late_replies() -> None:
    """Linux 7.2: containers come and go for years, and what was asked about them is forgotten."""
    host = Host(in_order=False).having(2, b"eth0", RUNNING)

    def delete() -> None:
        host.kernel.overtaken = lambda: None
        del host.kernel.links[2]
        host.kernel.notify(nl.RTM_DELLINK, build.link(2, conf=None, conf6=None))

    def mention() -> None:
        host.kernel.overtaken = delete
        host.kernel.notify(nl.RTM_NEWLINK, host.kernel.links[2])

    host.kernel.overtaken = mention
    host.table.requests[2] = True
    host.settle()
    assert host.kernel.requests == [2, 2]
    assert host.requests._replies._late == {}


def test_a_reply_about_a_link_with_steady_notifications_is_accepted_at_last() -> None:
    """A storm does not prevent the end of a resync."""
    host = Host(in_order=False).having(2, counts=(1, 1))
    host.kernel.overtaken = lambda: host.kernel.notify(nl.RTM_NEWLINK, host.kernel.links[2])
    host.table.requests[2] = True
    host.settle()
    assert host.kernel.requests == [2] * TRIES


@pytest.mark.parametrize(
    ("release", "in_order"),
    [
        ("5.10.0-30-amd64", True),
        ("6.18.44", True),
        ("6.19.0-rc1", False),
        ("7.2.13+deb14-amd64", False),
    ],
)
def test_newer_kernels_reply_late(release: str, in_order: bool) -> None:
    """Kernels up to 6.18 reply in order, as observed; later ones may behave as 7.2."""
    assert replies_in_order(release) is in_order


def test_messages_about_others_do_not_decide_a_deletion() -> None:
    """An IPv6 event or a part of a dump may come between the two messages of a rename."""
    host = Host().having(2).having(3)
    host.del_netconf(V4, 2)
    host.notify(nl.RTM_NEWLINK, build.link(3, family=nl.AF_INET6))
    host.notify(nl.RTM_DELADDR, build.address(nl.AF_INET6, 3))
    host.netconf(V4, 2)
    assert host.emitted == []


@pytest.mark.parametrize("other", [(V6, 2), (V4, 3)], ids=["other family", "other link"])
def test_another_interfaces_netconf_is_no_rename(other: LinkKey) -> None:
    """Only NEWNETCONF of the same interface revokes a DELNETCONF."""
    host = Host().having(2).having(3)
    host.del_netconf(V4, 2)
    host.netconf(*other, {nl.NETCONFA_FORWARDING: 0})
    assert host.emitted == [(NotificationType.DELETE, V4)]


# -- ignored messages ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [nl.RTM_NEWLINK, nl.RTM_DELLINK])
def test_bridge_ports_are_ignored(kind: int) -> None:
    """AF_BRIDGE messages are about ports: a link that leaves a bridge has a DELLINK."""
    host = Host().having(2)
    host.notify(kind, build.link(2, family=nl.AF_BRIDGE, mtu=1))
    assert host.emitted == []
    assert len(host.table.interfaces()) == 2


@pytest.mark.parametrize("index", [-1, -2, 0])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_settings_for_all_and_default_are_no_interfaces(family: Family, index: int) -> None:
    """What is set for "all" (-1) and "default" (-2) is neither added, changed nor deleted."""
    host = Host()
    host.netconf(family, index)
    host.netconf(family, index, {nl.NETCONFA_FORWARDING: 1})
    host.del_netconf(family, index)
    assert host.emitted == []
    assert host.table.departing is None


def test_a_wireless_event_describes_no_link() -> None:
    """Drivers send NEWLINK with a name and IFLA_WIRELESS only, which is no change."""
    host = Host().having(2, b"wlan0", RUNNING, counts=(5, 4))
    host.notify(nl.RTM_NEWLINK, build.link(2, b"wlan0", RUNNING, mtu=None, conf=None, conf6=None))
    host.notify(nl.RTM_NEWLINK, build.link(3, b"wlan1", RUNNING, mtu=None, conf=None, conf6=None))
    assert host.emitted == []
    host.link(2, b"wlan0", RUNNING, counts=(5, 4))
    assert host.emitted == []


@pytest.mark.parametrize("family", FAMILIES)
def test_only_the_families_asked_for(family: Family) -> None:
    """A table of one family ignores the other."""
    host = Host([family])
    host.add(2)
    host.link(2, b"eth0", RUNNING)
    host.link(2, b"lan0", RUNNING)
    host.del_netconf(V4, 2)
    host.del_netconf(V6, 2)
    host.del_link(2)
    types = [
        NotificationType.ADD,
        NotificationType.PARAMETER,
        NotificationType.REFRESH,
        NotificationType.DELETE,
    ]
    assert host.emitted == [(type_, family) for type_ in types]


@pytest.mark.parametrize("index", [(1 << 24) - 1, 1 << 24, (1 << 24) + 2, (1 << 31) - 1])
def test_no_index_is_too_large(index: int) -> None:
    """Links whose index needs more than 24 bits have LUIDs of their own, too."""
    host = Host().having(2)
    host.add(index)
    host.load(build.link(2), build.link(index))
    luids = {n.luid for n in host.take()}
    assert luids == {make_luid(6, index)} != {make_luid(6, 2)}
    assert {i.ifindex for i in host.table.interfaces()} == {2, index}


def test_a_negative_index_is_none() -> None:
    """A malformed message does not break anything."""
    host = Host()
    host.notify(nl.RTM_NEWLINK, build.link(-5))
    assert host.table.interfaces() == []


# -- parameters -------------------------------------------------------------------------------


def test_carrier_changes_connected() -> None:
    """Each change of RUNNING is one change for each family that is ready."""
    host = Host().having(2, b"eth0", UP)
    host.link(2, b"eth0", RUNNING)
    assert [n.interface.parameters.connected for n in host.take() if n.interface] == [True, True]
    host.link(2, b"eth0", UP)
    assert [n.interface.parameters.connected for n in host.take() if n.interface] == [False, False]


def test_ipv6_connects_when_it_is_ready() -> None:
    """Until IF_READY a running link connects IPv4 only; AF_INET6 messages are about IPv6 only."""
    host = Host().having(2, b"eth0", UP, flags6=0)
    host.link(2, b"eth0", RUNNING, flags6=0)
    assert host.emitted == [(NotificationType.PARAMETER, V4)]
    host.notify(nl.RTM_NEWLINK, build.link(2, b"eth0", RUNNING, family=nl.AF_INET6, flags6=READY))
    assert host.emitted == [(NotificationType.PARAMETER, V6)]


def test_the_same_again_is_no_change() -> None:
    """A message that repeats the known state gives nothing."""
    host = Host().having(2, b"eth0", RUNNING)
    host.link(2, b"eth0", RUNNING)
    assert host.emitted == []


def test_the_ipv6_mtu_of_an_mtu_change_is_not_the_previous_one() -> None:
    """NEWLINK still carries IPv6's previous mtu, and no later message corrects it."""
    host = Host().having(2)
    for mtu, previous in ((1400, 1500), (1300, 1400)):
        host.link(2, mtu=mtu, conf6=build.inet6_conf(MTU6=previous))
        changed = host.take()
        assert [(n.type, n.family) for n in changed] == CHANGED
        assert {n.interface.parameters.mtu_bytes for n in changed if n.interface} == {mtu}


@pytest.mark.parametrize("family", FAMILIES)
def test_forwarding_is_notified_by_netconf(family: Family) -> None:
    """A new NETCONFA_FORWARDING changes the row of that family, the same value does not."""
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
    assert host.emitted == []


def test_a_netconf_without_settings_causes_a_request() -> None:
    """IPv6 force_forwarding is notified with the index only; a reply has the new setting."""
    host = Host().having(2)
    host.kernel.links[2] = build.link(2, conf6=build.inet6_conf(FORWARDING=1))
    host.netconf(V6, 2, {})
    assert host.emitted == []
    host.settle()
    (changed,) = host.take()
    assert (changed.type, changed.family) == (NotificationType.PARAMETER, V6)
    assert not changed.inferred, "it was notified"


def test_disabling_ipv6_is_noticed_by_deleted_addresses() -> None:
    """DELADDR is the only message about disable_ipv6; for several, one request is enough."""
    host = Host().having(2, b"eth0", RUNNING)
    host.kernel.links[2] = build.link(2, b"eth0", RUNNING, conf6=build.inet6_conf(DISABLE_IPV6=1))
    for _ in range(3):
        host.notify(nl.RTM_DELADDR, build.address(nl.AF_INET6, 2))
    host.settle()
    (changed,) = host.take()
    assert (changed.type, changed.family) == (NotificationType.PARAMETER, V6)
    assert changed.interface is not None
    assert not changed.interface.parameters.connected
    assert not changed.inferred
    assert host.kernel.requests == [2]


def test_a_reply_is_in_order_with_the_notifications() -> None:
    """Messages queued before a request are older than the reply: a change is notified once."""
    host = Host().having(2, b"eth0", RUNNING)
    host.kernel.notify(nl.RTM_DELADDR, build.address(nl.AF_INET6, 2))
    for number in range(9):
        host.kernel.notify(nl.RTM_NEWLINK, build.link(2, b"eth0", RUNNING, alias=b"a%d" % number))
    forwarding = build.inet6_conf(FORWARDING=1)
    host.kernel.links[2] = build.link(2, b"eth0", RUNNING, alias=b"a8", conf6=forwarding)
    host.kernel.notify(
        nl.RTM_NEWNETCONF, build.netconf(nl.AF_INET6, 2, {nl.NETCONFA_FORWARDING: 1})
    )
    while host.kernel.queue:
        host.drain(3)
        host.ask()
    assert host.kernel.requests == [2]
    emitted = [n for n in host.take() if n.type is not NotificationType.REFRESH]
    assert [(n.type, n.family) for n in emitted] == [(NotificationType.PARAMETER, V6)]


@pytest.mark.parametrize(("flags", "family"), [(0, nl.AF_INET6), (RUNNING, nl.AF_INET)])
def test_addresses_deleted_for_other_reasons_cause_no_request(flags: int, family: int) -> None:
    """On a link that is down, addresses are deleted for that reason; IPv4 ones do not matter."""
    host = Host().having(2, b"eth0", flags)
    host.notify(nl.RTM_DELADDR, build.address(family, 2))
    host.settle()
    assert host.emitted == []
    assert host.kernel.requests == []


def test_running_without_a_carrier_is_not_connected() -> None:
    """Until linkwatch has run, a link is RUNNING whether it has a carrier or not (to Linux 6.1)."""
    host = Host().having(2, b"eth0", 0, counts=(0, 1), flags6=0)
    host.link(2, b"eth0", UP | nl.IFF_RUNNING, counts=(0, 1))
    host.link(2, b"eth0", UP, counts=(0, 1))
    assert {n.type for n in host.take()} == {NotificationType.REFRESH}
    host.link(2, b"eth0", RUNNING, counts=(1, 1))
    assert host.emitted == CHANGED


@pytest.mark.parametrize(
    "facts", [{"alias": b"uplink"}, {"address": b"\2\0\0\0\0\2"}], ids=["alias", "address"]
)
def test_facts_beside_the_row_are_refreshed(facts: dict[str, bytes]) -> None:
    """A new alias or link-layer address is a refresh, which is not counted."""
    host = Host().having(2)
    host.link(2, **facts)
    assert host.emitted == REFRESHED


def test_the_random_reachable_time_is_no_change() -> None:
    """The kernel changes it all the time: it is published, but no parameter change."""
    host = Host().having(2)
    host.notify(nl.RTM_NEWLINK, build.link(2, family=nl.AF_INET6, reachable_ms=12345))
    (refreshed,) = host.take()
    assert (refreshed.type, refreshed.family) == (NotificationType.REFRESH, V6)
    host.notify(nl.RTM_NEWLINK, build.link(2, family=nl.AF_INET6, retransmit_ms=2000))
    assert host.emitted == [(NotificationType.PARAMETER, V6)]


# -- unobserved flaps -------------------------------------------------------------------------


def unobserved(
    notifications: list[Notification],
) -> list[tuple[NotificationType, Family, int, int]]:
    """Return the unobserved transitions that the counters proved."""
    return [
        (n.type, n.family, n.unobserved_connects, n.unobserved_disconnects) for n in notifications
    ]


def test_counters_prove_flaps_that_no_message_showed() -> None:
    """Connected as before, but both counters grew by three: three unobserved flaps."""
    host = Host().having(2, b"eth0", RUNNING, counts=(1, 1))
    host.link(2, b"eth0", RUNNING, counts=(4, 4))
    assert unobserved(host.take()) == [
        (NotificationType.REFRESH, V4, 3, 3),
        (NotificationType.REFRESH, V6, 3, 3),
    ]


def test_an_observed_transition_is_not_unobserved() -> None:
    """Growth that an observed change explains is no flap."""
    host = Host().having(2, b"eth0", RUNNING, counts=(1, 1))
    host.link(2, b"eth0", UP, counts=(2, 3))
    assert unobserved(host.take()) == [
        (NotificationType.PARAMETER, V4, 1, 1),
        (NotificationType.PARAMETER, V6, 1, 1),
    ]


@pytest.mark.parametrize("lost", [False, True])
def test_flaps_of_a_link_that_was_down_count_after_a_loss_only(lost: bool) -> None:
    """Without a loss it was down all the time, and a carrier does not connect it.

    After a loss, the message that it was up may be lost.
    """
    host = Host().having(2, b"eth0", 0, counts=(1, 2))
    if lost:
        host.lose()
    host.link(2, b"eth0", RUNNING, counts=(6, 6))
    assert [n.unobserved_disconnects for n in host.take()] == [4 * lost] * 2


def test_ipv6_that_is_switched_off_has_no_unobserved_flaps() -> None:
    """With disable_ipv6 the carrier connects IPv4 only; later flaps count for IPv6 again."""
    off, on = build.inet6_conf(DISABLE_IPV6=1), build.inet6_conf()
    host = Host().having(2, b"eth0", RUNNING, conf6=off)
    host.link(2, b"eth0", RUNNING, conf6=off, counts=(3, 3))
    assert unobserved(host.take()) == [(NotificationType.REFRESH, V4, 3, 3)]
    host.notify(nl.RTM_NEWLINK, build.link(2, b"eth0", RUNNING, family=nl.AF_INET6, conf6=on))
    assert unobserved(host.take()) == [(NotificationType.PARAMETER, V6, 0, 0)]
    host.link(2, b"eth0", RUNNING, conf6=on, counts=(4, 4))
    assert unobserved(host.take()) == [
        (NotificationType.REFRESH, V4, 1, 1),
        (NotificationType.REFRESH, V6, 1, 1),
    ]


@pytest.mark.parametrize("counts", [None, (7, 8)])
def test_ipv6_of_a_bonded_link_has_no_unobserved_flaps(counts: tuple[int, int] | None) -> None:
    """IPv6 that the kernel keeps from connecting does not follow the carrier of its link."""
    port = {"master": 9, "slave_kind": b"bond", "flags6": 0}
    host = Host().having(2, b"eth0", RUNNING | nl.IFF_SLAVE, counts=(1, 1), **port)
    for number in range(1, 6):
        for flags, counts in ((UP, (number, number + 1)), (RUNNING, (number + 1, number + 1))):
            host.link(2, b"eth0", flags | nl.IFF_SLAVE, counts=counts, **port)
    emitted = host.take()
    assert Counter(n.type for n in emitted if n.family is V4) == {NotificationType.PARAMETER: 10}
    assert not any(n.unobserved_connects for n in emitted)
    assert not any(
        n.interface.parameters.connected for n in emitted if n.family is V6 and n.interface
    )


def test_ipv6_that_is_ready_on_a_bonded_link_follows_it() -> None:
    """IPv6 that returns with an mtu of 1280 on a running port is ready, and so is counted."""
    port = {"master": 9, "slave_kind": b"bond"}
    host = Host().having(2, b"eth0", RUNNING | nl.IFF_SLAVE, counts=(1, 1), **port)
    host.link(2, b"eth0", RUNNING | nl.IFF_SLAVE, counts=(2, 2), **port)
    assert unobserved(host.take()) == [
        (NotificationType.REFRESH, V4, 1, 1),
        (NotificationType.REFRESH, V6, 1, 1),
    ]


@pytest.mark.parametrize(
    ("flags", "port", "notified"),
    [
        (RUNNING, {}, False),
        (UP, {}, True),
        (RUNNING | nl.IFF_SLAVE, {"master": 9, "slave_kind": b"bond"}, True),
    ],
    ids=["soon ready", "no carrier", "port of a bond"],
)
def test_ipv6_that_is_switched_on_is_told_unless_it_is_ready_soon(
    flags: int, port: dict[str, Any], notified: bool
) -> None:
    """If the link works and nothing keeps IPv6 out, a message about IPv6 follows soon."""
    host = Host().having(2, b"eth0", flags & ~RUNNING, flags6=0, **port)
    host.link(2, b"eth0", flags, flags6=0, **port)
    (v6,) = [n for n in host.take() if n.family is V6] or [None]
    assert (v6 is not None) is notified
    for i in host.table.interfaces():
        assert i.status.enabled is (i.family is V4 or notified), i
    host.link(2, b"eth0", UP, flags6=0)
    assert all(i.status.enabled for i in host.table.interfaces())


def test_the_status_of_ipv6_that_its_bond_keeps_out_is_up_to_date() -> None:
    """Its row does not follow the carrier, so its status alone shows that the link works."""
    port = {"master": 9, "slave_kind": b"bond", "flags6": 0}
    host = Host().having(2, b"eth0", RUNNING | nl.IFF_SLAVE, **port)
    for flags, status in ((UP, OperStatus.DOWN), (RUNNING, OperStatus.UP)):
        host.link(2, b"eth0", flags | nl.IFF_SLAVE, **port)
        assert {i.status.oper_status for i in host.table.interfaces()} == {status}


def test_ipv6_that_was_switched_on_during_a_loss_and_is_not_ready_is_enabled() -> None:
    """A loopback that is too small for IPv6 has no further message, though it works."""
    host = Host().having(1, b"lo", RUNNING, conf6=build.inet6_conf(DISABLE_IPV6=1), flags6=0)
    host.lose()
    host.kernel.links[1] = build.link(1, b"lo", RUNNING, mtu=1279, flags6=0)
    host.list_links()
    host.settle()
    assert all(i.status.enabled for i in host.table.interfaces())


def test_without_counters_nothing_is_proven() -> None:
    """Kernels before 4.16 have no counters, which differs from counters at 0."""
    host = Host().having(2, b"eth0", RUNNING, counts=None)
    for flags in (UP, RUNNING):
        host.link(2, b"eth0", flags, counts=None)
        assert host.emitted == CHANGED
    host.link(2, b"eth0", RUNNING, counts=(5, 5))
    assert host.emitted == []


# -- reused indexes ---------------------------------------------------------------------------


def test_a_link_that_takes_over_an_index_has_a_luid_of_its_own() -> None:
    """The first link has the number 0, so that LUIDs without reuse do not change."""
    host = Host()
    luids = []
    for _ in range(3):
        host.add(50)
        luids += sorted({n.luid for n in host.take()})
        host.del_link(50)
        assert {n.luid for n in host.take()} == {luids[-1]}
    assert luids == [make_luid(6, 50, reuse) for reuse in range(3)]
    host.add(50, hardware_type=772)
    assert {n.luid for n in host.take()} == {make_luid(24, 50)}, "the first of another type"


def test_all_registrations_agree_on_luids() -> None:
    """Two registrations of one process count the links of an index alike, even with a delay."""
    process = IndexReuse()
    quick, slow = Host(reuse=IndexReuse(process)), Host(reuse=IndexReuse(process))
    for host in (quick, slow):
        host.add(50)
    for _ in range(3):
        quick.del_link(50)
        quick.add(50)
    late = Host(reuse=IndexReuse(process)).having(50)
    for _ in range(3):
        slow.del_link(50)
        slow.add(50)
    (wanted,) = {i.luid for i in quick.table.interfaces()}
    assert wanted == make_luid(6, 50, 3)
    for host in (slow, late):
        assert {i.luid for i in host.table.interfaces()} == {wanted}
    assert process.current(6, 50) == 3


# -- a list -----------------------------------------------------------------------------------


def test_what_exists_at_the_start_is_no_addition() -> None:
    """Links in the first dump existed before; those with NEWNETCONF and NEWLINK are added."""
    host = Host()
    host.table.opening = True
    host.kernel.links = {2: build.link(2, b"old")}
    host.requests.list_links(0.0)
    host.netconf(V4, 3)
    host.link(3, b"new", conf6=None)
    host.settle()
    assert [(n.type, n.ifindex) for n in host.take()] == [
        (NotificationType.REFRESH, 2),
        (NotificationType.REFRESH, 2),
        (NotificationType.ADD, 3),
    ]


def test_what_returns_during_the_start_is_added_to_what_was_there() -> None:
    """One link gets IPv6 back before it is listed, another changes a setting: both existed."""
    host = Host()
    host.table.opening = True
    host.kernel.links = {2: build.link(2), 3: build.link(3)}
    host.netconf(V6, 2)
    host.netconf(V4, 3, {nl.NETCONFA_FORWARDING: 1})
    host.list_links()
    assert host.emitted == [
        (NotificationType.REFRESH, V4),
        (NotificationType.ADD, V6),
        (NotificationType.REFRESH, V4),
        (NotificationType.REFRESH, V6),
    ]


def test_differences_that_a_list_shows_are_inferred() -> None:
    """Additions, changes and deletions have one net notification each, all inferred."""
    host = Host().having(2, b"gone").having(3, b"changed").having(5, b"same")
    host.having(4, b"half", families=[V4])
    host.lose()
    host.load(
        build.link(3, b"changed", RUNNING),
        build.link(4, b"half", RUNNING),
        build.link(5, b"same"),
        build.link(6, b"new"),
    )
    found = host.take()
    assert [(n.type, n.family, n.ifindex) for n in found] == [
        (NotificationType.PARAMETER, V4, 3),
        (NotificationType.PARAMETER, V6, 3),
        (NotificationType.PARAMETER, V4, 4),
        (NotificationType.ADD, V6, 4),
        (NotificationType.ADD, V4, 6),
        (NotificationType.ADD, V6, 6),
        (NotificationType.DELETE, V4, 2),
        (NotificationType.DELETE, V6, 2),
    ]
    assert all(n.inferred for n in found)
    host.link(5, b"same", RUNNING)
    assert [n.inferred for n in host.take()] == [False, False]


def test_a_list_infers_no_change_that_a_notification_will_bring() -> None:
    """Without a loss, a carrier that linkwatch has not notified yet is no inferred change."""
    host = Host().having(2, b"eth0", RUNNING, counts=(1, 1))
    lost = build.link(2, b"eth0", UP | nl.IFF_RUNNING, counts=(1, 2), alias=b"uplink")
    host.load(lost)
    assert host.emitted == REFRESHED
    host.notify(nl.RTM_NEWLINK, lost)
    changed = host.take()
    assert [(n.type, n.family) for n in changed] == CHANGED
    assert not any(n.inferred or n.unobserved_connects for n in changed)


def test_a_family_that_a_list_lacks_is_deleted() -> None:
    """The link exists without IPv6, so IPv6 is deleted."""
    host = Host().having(2)
    host.load(build.link(2, conf6=None))
    assert host.emitted == [(NotificationType.DELETE, V6)]


@pytest.mark.parametrize(
    "other",
    [
        {"kind": b"bridge"},
        {"hardware_type": 772},
        {"address": b"\2\0\0\0\0\2"},
        {"lower": 8},
        {"counts": (0, 1)},
    ],
    ids=["kind", "hardware type", "address", "peer", "counters"],
)
@pytest.mark.parametrize("notified", [True, False], ids=["notified", "listed"])
def test_a_replaced_link_is_another(other: dict[str, Any], notified: bool) -> None:
    """After a loss, a link with a known index but other fixed properties is another link.

    It may be listed, or notified first.
    """
    host = Host().having(2, lower=7, counts=(2, 3))
    facts = {"lower": 7, "counts": (2, 3), "name": b"eth1", **other}
    host.lose()
    if notified:
        host.link(2, **facts)
    host.load(build.link(2, **facts))
    emitted = host.take()
    assert [(n.type, n.family) for n in emitted] == DELETED + ADDED
    assert all(n.inferred for n in emitted)
    same_type = "hardware_type" not in other
    assert emitted[2].luid == (make_luid(6, 2, 1) if same_type else make_luid(24, 2))
    assert not any(n.unobserved_connects for n in emitted)
    ups, downs = facts["counts"]
    host.link(2, **{**facts, "counts": (ups + 1, downs)}, flags=RUNNING)
    assert [n.unobserved_connects for n in host.take()] == [0, 0]


def test_without_a_loss_no_list_replaces_a_link() -> None:
    """A deletion would have been notified, so the listed differences are changes."""
    host = Host().having(2, counts=(2, 3))
    host.load(build.link(2, counts=(2, 3), address=b"\2\0\0\0\0\2"))
    assert host.emitted == REFRESHED


@pytest.mark.parametrize("changed", [{"name": b"lan0"}, {"alias": b"uplink"}])
def test_a_link_that_was_renamed_is_the_same(changed: dict[str, bytes]) -> None:
    """A name that changed during a loss is a refresh, no deletion and addition."""
    host = Host().having(2, b"eth0")
    host.lose()
    host.load(build.link(2, **changed))
    assert host.emitted == REFRESHED


def test_a_list_after_a_loss_ends_every_wait() -> None:
    """Neither a pending deletion nor a pending addition remains after a complete list."""
    host = Host().having(2)
    host.netconf(V4, 3)
    host.del_netconf(V4, 2)
    host.lose()
    host.load(build.link(2))
    assert host.table.indexes() == {2}
    assert host.emitted == []


def test_an_announced_link_whose_message_was_lost_is_added() -> None:
    """NEWNETCONF was received and NEWLINK lost: the addition from the list is not inferred."""
    host = Host()
    host.netconf(V4, 2)
    host.lose()
    host.load(build.link(2))
    added = host.take()
    assert [(n.family, n.inferred) for n in added] == [(V4, False), (V6, True)]


def test_a_list_corrects_the_ipv6_mtu() -> None:
    """The IPv6 mtu in a reply is right, also when the mtu of the link changed with it."""
    host = Host().having(2)
    host.load(build.link(2, mtu=1500, conf6=build.inet6_conf(MTU6=1400)))
    (changed,) = host.take()
    assert changed.interface is not None
    assert (changed.family, changed.interface.parameters.mtu_bytes) == (V6, 1400)
    host.load(build.link(2, mtu=1300, conf6=build.inet6_conf(MTU6=1290)))
    assert [n.interface.parameters.mtu_bytes for n in host.take() if n.interface] == [1300, 1290]


def test_a_part_of_a_dump_may_be_older_than_the_notification_before_it() -> None:
    """A link with a notification since the start of the dump is requested again."""
    host = Host().having(2, b"eth0", UP).having(3, b"eth1", UP)

    def connect() -> None:
        host.kernel.links[2] = build.link(2, b"eth0", RUNNING, counts=(1, 0))
        host.kernel.notify(nl.RTM_NEWLINK, host.kernel.links[2])

    host.kernel.slip = connect
    host.list_links()
    emitted = host.take()
    assert [(n.type, n.family) for n in emitted] == CHANGED
    assert not any(n.inferred for n in emitted)
    assert host.kernel.requests == [None, 2]


def test_a_notification_from_the_cache_is_newer_than_the_dump_too() -> None:
    """The cache handles a repeated message, and the dump that began before it is older."""
    host = Host().having(2, b"eth0", UP, counts=(1, 1))
    for number in range(1, 8):
        host.link(2, b"eth0", RUNNING, counts=(number + 1, number))
        host.link(2, b"eth0", UP, counts=(number + 1, number + 1))
    host.take()

    def connect() -> None:
        host.kernel.links[2] = build.link(2, b"eth0", RUNNING, counts=(9, 8))
        host.kernel.notify(nl.RTM_NEWLINK, host.kernel.links[2])

    host.kernel.slip = connect
    host.list_links()
    emitted = host.take()
    assert [(n.type, n.family, n.inferred) for n in emitted] == [
        (NotificationType.PARAMETER, V4, False),
        (NotificationType.PARAMETER, V6, False),
    ]


@pytest.mark.parametrize("again", [True, False], ids=["made again", "gone"])
def test_no_such_device_may_be_older_than_the_notification_before_it(again: bool) -> None:
    """The error deletes the link unless a notification came meanwhile."""
    host = Host().having(2)
    host.kernel.links.clear()

    def make() -> None:
        host.kernel.slip = lambda: None
        host.kernel.links[2] = build.link(2, b"eth1")
        host.kernel.notify(nl.RTM_NEWLINK, host.kernel.links[2])

    if again:
        host.requests.list_links(host.now)
        host.drain()
        host.kernel.slip = make
    host.load(*host.kernel.links.values()) if not again else host.settle()
    assert host.emitted == (REFRESHED if again else DELETED)


def test_an_interrupted_dump_is_repeated_and_put_together() -> None:
    """Each dump lacks other links; a link that all lack is requested before it is deleted."""
    host = Host().having(2).having(3).having(4)
    host.kernel.interruptions = 2
    whole = dict(host.kernel.links)
    dumps = iter([{2: whole[2]}, {3: whole[3]}, {}])

    def lacking() -> None:
        host.kernel.links = whole  # a request for one link finds it

    host.kernel.links = next(dumps)
    host.requests.list_links(host.now)
    for links in dumps:
        host.drain()
        host.kernel.links = links
        host.ask()
    lacking()
    host.settle()
    assert host.emitted == []
    assert host.kernel.requests == [None, None, None, 4]


def test_dumps_that_are_always_interrupted_come_to_an_end() -> None:
    """Links that come and go all the time do not prevent a list of the others."""
    host = Host()
    host.kernel.interruptions = 1000
    host.load(build.link(2), build.link(3))
    assert {n.ifindex for n in host.take()} == {2, 3}
    assert host.kernel.requests == [None] * requests.DUMP_TRIES


# -- requests --------------------------------------------------------------------------------


def test_a_reply_that_does_not_come_is_requested_again() -> None:
    """An overrun may have lost the reply."""
    host = Host().having(2, b"eth0", RUNNING)
    host.notify(nl.RTM_DELADDR, build.address(nl.AF_INET6, 2))
    host.ask()
    host.kernel.queue.clear()
    host.ask()
    assert host.kernel.requests == [2]
    deadline = host.requests.next_deadline()
    assert deadline is not None
    host.now = deadline
    host.settle()
    assert host.kernel.requests == [2, 2]
    assert host.requests.next_deadline() is None


def test_a_reply_to_a_forgotten_request_is_ignored() -> None:
    """After a loss everything is listed; a reply to an earlier request is ignored."""
    host = Host().having(2, b"eth0", RUNNING)
    host.notify(nl.RTM_DELADDR, build.address(nl.AF_INET6, 2))
    host.ask()
    host.lose()
    (late,) = host.kernel.queue
    assert host.requests.is_reply(*nl.reply_to(late))
    host.kernel.links[2] = build.link(2, b"eth0")
    host.drain()
    assert host.emitted == []


def test_a_reply_has_our_port_and_sequence() -> None:
    """A notification has those of the process that caused it; a reply has both of ours."""
    host = Host()
    host.requests.list_links(0.0)
    (sequence, port), *_ = (nl.reply_to(data) for data in host.kernel.queue)
    assert host.requests.is_reply(sequence, port)
    assert not host.requests.is_reply(sequence, port + 1)
    assert not host.requests.is_reply(sequence + 1, port)
    assert not host.requests.is_reply(sequence - 1, port)
    assert not host.requests.is_reply(0, 0)


def test_few_requests_are_open_at_a_time() -> None:
    """Too many replies at once would overrun a small receive buffer."""
    host = Host()
    host.requests = requests.Requests(host.kernel, host.table, host.health, 4 * 2304 * 3)
    for index in range(2, 12):
        host.having(index, b"eth%d" % index, RUNNING)
        host.notify(nl.RTM_DELADDR, build.address(nl.AF_INET6, index))
    host.ask()
    assert host.kernel.requests == [2, 3, 4]
    host.settle()
    assert sorted(i for i in host.kernel.requests if i) == list(range(2, 12))


@pytest.mark.parametrize("failing", ["sending", "the reply"])
def test_a_request_that_fails_is_counted_and_sent_again(failing: str) -> None:
    """The source continues without memory for a request or its reply."""
    host = Host().having(2, b"eth0", RUNNING)
    host.kernel.links[2] = build.link(2, b"eth0", RUNNING, conf6=build.inet6_conf(DISABLE_IPV6=1))
    host.notify(nl.RTM_DELADDR, build.address(nl.AF_INET6, 2))
    if failing == "sending":
        host.kernel.errors.append(OSError(errno.ENOBUFS, "No buffer space available"))
    else:
        host.kernel.refusals.append(errno.ENOMEM)
    host.ask()
    host.drain()
    host.ask()
    assert host.health.errors == {"read": 1}
    assert host.emitted == []
    deadline = host.requests.next_deadline()
    assert deadline is not None
    host.now = deadline
    host.settle()
    assert host.emitted == [(NotificationType.PARAMETER, V6)]


@pytest.mark.parametrize("failing", ["sending", "the reply", "silence"])
def test_a_dump_that_fails_has_an_error(failing: str) -> None:
    """The caller can see that the list failed, and request it again."""
    host = Host().having(2)
    if failing == "sending":
        host.kernel.errors.append(OSError(errno.ENOBUFS, "No buffer space available"))
    host.requests.list_links(host.now)
    if failing == "the reply":
        sequence, port = nl.reply_to(host.kernel.queue[0])
        refusal = (nl.NLMSG_ERROR, build.error(errno.EBUSY))
        host.kernel.queue = [build.datagram(refusal, sequence=sequence, port=port)]
        host.drain()
    elif failing == "silence":
        host.kernel.queue.clear()
        host.ask()
        assert host.requests.error is None
        deadline = host.requests.next_deadline()
        assert deadline is not None
        host.now = deadline
        host.ask()
    assert host.requests.error is not None
    assert not host.requests.listing
    host.list_links()
    assert host.requests.error is None
    assert host.emitted == []


# -- timers -----------------------------------------------------------------------------------


def test_timers_are_those_of_the_link_or_the_familys_default() -> None:
    """A known link has its own timers; a new one and a reused index have the defaults."""
    host = Host().having(2)
    default, own = Timers(30000, 20000, 1000, 600000), Timers(15000, 9000, 7000, 600000)
    host.table.set_timers({(V4, 0): default, (V4, 2): own})
    (changed,) = (n for n in host.take() if n.family is V4)
    assert (changed.type, changed.inferred) == (NotificationType.PARAMETER, True)
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


def test_a_link_takes_the_timers_that_come_before_its_interfaces() -> None:
    """At a start a message may come before the reply about its link, and the timers in between."""
    host = Host()
    host.link(2)
    host.table.set_timers({(V4, 2): Timers(15000, 9000, 7000, 600000)})
    host.add(2)
    (row,) = (i.parameters for i in host.table.interfaces() if i.family is V4)
    assert (row.base_reachable_time_seconds, row.retransmit_time_seconds) == (15.0, 7.0)


def test_timers_of_link_messages_are_not_read_elsewhere() -> None:
    """The two IPv6 timers in link messages are in order; values read elsewhere are not."""
    host = Host().having(2, reachable_ms=40000, retransmit_ms=2000)
    host.table.set_timers({(V6, 2): Timers(15000, 9000, 7000, 600000)})
    (row,) = (i.parameters for i in host.table.interfaces() if i.family is V6)
    assert (row.reachable_time_seconds, row.retransmit_time_seconds) == (40.0, 2.0)
    assert row.base_reachable_time_seconds == 15.0


# -- exactness through losses -----------------------------------------------------------------


class Flapping:
    """A link that flaps and whose IPv6 comes and goes, and a queue that may lose messages.

    Messages are in the order of the changes. An operation under the kernel's lock queues all its
    messages at once. After an overrun every message is lost until the queue is empty.
    """

    def __init__(self) -> None:
        self.carrier = self.running = self.ipv6 = True
        self.grown = Counter[str]()
        #: How often each family was connected and disconnected, as notifications show it.
        self.shown: dict[Family, Counter[str]] = {family: Counter() for family in FAMILIES}
        self.seen = dict.fromkeys(FAMILIES, True)
        self.losing = self.lost = False
        self.host = Host()
        self.kernel = self.host.kernel
        self.host.load(self.body())
        self.host.take()
        self.connected: dict[Family, bool] = dict.fromkeys(FAMILIES, True)
        self.counted: dict[Family, Counter[str]] = {family: Counter() for family in FAMILIES}
        self.types = Counter[NotificationType]()
        self.inferred = 0

    def body(self, family: int = nl.AF_UNSPEC) -> bytes:
        """Return the body of a message with the current link."""
        flags = UP | nl.IFF_LOWER_UP * self.carrier | nl.IFF_RUNNING * self.running
        counts = self.grown["up"], self.grown["down"]
        conf6 = build.inet6_conf() if self.ipv6 else None
        return build.link(2, b"eth0", flags, counts=counts, family=family, conf6=conf6)

    def send(self, family: int = nl.AF_UNSPEC) -> None:
        """Queue one message, unless the queue is full."""
        self._queue(nl.RTM_NEWLINK, self.body(family))
        connected = self.running and self.carrier
        for about in FAMILIES if family == nl.AF_UNSPEC else (V6,):
            if self.seen[about] is not connected and (about is V4 or self.ipv6):
                self.seen[about] = connected
                self.shown[about]["up" if connected else "down"] += 1

    def _queue(self, type_: int, body: bytes) -> None:
        self.kernel.links[2] = self.body()
        if not self.losing:
            self.kernel.notify(type_, body)

    def toggle(self) -> None:
        """Change the carrier, as the driver does."""
        self.carrier = not self.carrier
        self.grown["up" if self.carrier else "down"] += 1
        self.kernel.links[2] = self.body()

    def linkwatch(self) -> None:
        """Run the linkwatch worker, whose IPv6 message comes first."""
        if self.running is not self.carrier:
            self.running = self.carrier
            if self.ipv6:
                self.send(nl.AF_INET6)
        self.send()

    def mtu(self) -> None:
        """Make the link too small for IPv6, or large enough again."""
        self.send()
        self.ipv6 = not self.ipv6
        kind = nl.RTM_NEWNETCONF if self.ipv6 else nl.RTM_DELNETCONF
        self._queue(kind, build.netconf(nl.AF_INET6, 2, *[] if self.ipv6 else [{}]))
        if self.ipv6:
            self.seen[V6] = self.running and self.carrier
            if self.seen[V6]:
                self.send(nl.AF_INET6)

    def address(self) -> None:
        """Delete an IPv6 address, without another change."""
        self._queue(nl.RTM_DELADDR, build.address(nl.AF_INET6, 2))

    def overrun(self) -> None:
        """Fill the queue: messages are lost until it is empty."""
        self.losing = self.lost = True

    def some(self) -> None:
        """Process some messages, and send requests."""
        self.host.drain(2)
        self.host.ask()
        self.count()

    def drain(self) -> None:
        """Process all messages, and list everything after a loss."""
        self.host.drain()
        if self.losing:
            self.losing = False
            self.host.lose()
            self.host.requests.list_links(self.host.now)
        self.host.ask()
        self.count()

    def slip(self) -> None:
        """List everything, and run the worker before the list is queued."""
        self.host.drain()
        if not self.losing:
            self.kernel.slip = self.linkwatch
            self.host.requests.list_links(self.host.now)
            self.kernel.slip = lambda: None
        self.count()

    def count(self) -> None:
        """Count the transitions in the notifications."""
        for n in self.host.take():
            assert n.interface is not None
            self.types[n.type] += 1
            self.inferred += n.inferred
            connected = n.interface.parameters.connected
            counted = self.counted[n.family]
            if n.type is NotificationType.ADD:
                self.connected[n.family] = connected
            elif connected is not self.connected[n.family]:
                self.connected[n.family] = connected
                counted["up" if connected else "down"] += 1
            counted["up"] += n.unobserved_connects
            counted["down"] += n.unobserved_disconnects

    def end(self) -> None:
        """Process everything until nothing is pending."""
        self.linkwatch()
        for _ in range(4):
            self.drain()
        self.host.settle()
        self.count()


KERNEL = ["toggle", "toggle", "linkwatch", "linkwatch", "send", "address"]
SOURCE = ["some", "drain", "slip"]
FLAP = ["toggle", "linkwatch", "toggle", "linkwatch"]


def steps(*kinds: str) -> st.SearchStrategy[list[str]]:
    """Return lists of these steps in any order."""
    return st.lists(st.sampled_from(kinds), max_size=60)


@given(steps(*KERNEL, *SOURCE, "overrun"))
@example(["overrun", *FLAP, "drain", *FLAP, "drain", *FLAP])
@example(["overrun", "drain", "linkwatch", "linkwatch", "toggle", "linkwatch", "some"])
@example(["toggle", "slip", "toggle", "slip"])
@settings(max_examples=300)
def test_every_flap_is_counted_once_through_losses(steps: list[str]) -> None:
    """Observed and unobserved transitions equal the counters' growth, whatever is lost."""
    link = Flapping()
    for step in steps:
        getattr(link, step)()
        for family in FAMILIES:
            assert link.counted[family] <= link.grown
    link.end()
    for family in FAMILIES:
        assert link.counted[family] == link.grown
        assert link.connected[family] is link.running


@given(steps(*KERNEL, *SOURCE, "mtu"))
@settings(max_examples=300)
def test_without_losses_nothing_is_inferred(steps: list[str]) -> None:
    """With requests at any time and any delay, each change counts once, none is inferred."""
    link = Flapping()
    for step in steps:
        getattr(link, step)()
    link.end()
    changes = steps.count("mtu")
    assert link.types[NotificationType.DELETE] == (changes + 1) // 2
    assert link.types[NotificationType.ADD] == changes // 2
    assert link.inferred == 0
    assert {i.family for i in link.host.table.interfaces()} == {V4} | ({V6} if link.ipv6 else set())
    for family in FAMILIES if not changes else [V4]:
        assert link.counted[family] == link.grown


@given(steps(*KERNEL, *SOURCE, "mtu", "overrun"))
@settings(max_examples=300)
def test_losses_end_in_the_newest_state(steps: list[str]) -> None:
    """Whatever is lost, and whenever it is listed, the table ends as the kernel's."""
    link = Flapping()
    for step in steps:
        getattr(link, step)()
    link.end()
    rows = {i.family: i.parameters.connected for i in link.host.table.interfaces()}
    assert rows == {family: link.running for family in FAMILIES if family is V4 or link.ipv6}
    assert link.counted[V4] == link.grown


# -- malformed messages -----------------------------------------------------------------------

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
    """After real messages of any type, overwritten and cut off, the table is still usable."""
    host = Host()
    for kind, body, position, value, cut in stream:
        mutated = bytearray(body)
        mutated[position % len(body)] = value
        host.notify(kind, bytes(mutated[: len(mutated) - cut]))
        host.take()
    host.settle()
    host.lose()
    host.load(build.link(2))
    assert [i.ifindex for i in host.table.interfaces()] == [2, 2]


@given(
    st.lists(
        st.tuples(RECORDED, st.integers(0, 1 << 12), st.integers(0, 255), st.integers(0, 99)),
        max_size=6,
    ),
    st.booleans(),
)
def test_malformed_replies_never_raise(
    replies: list[tuple[bytearray, int, int, int]], dump: bool
) -> None:
    """After malformed replies to a request or a dump, the table is still usable."""
    host = Host().having(2, b"eth0", RUNNING)
    if dump:
        host.requests.list_links(host.now)
    else:
        host.notify(nl.RTM_DELADDR, build.address(nl.AF_INET6, 2))
        host.ask()
    sequence, port = nl.reply_to(host.kernel.queue.pop(0))
    for body, position, value, cut in replies:
        mutated = bytearray(body)
        mutated[position % len(body)] = value
        part = nl.RTM_NEWLINK, bytes(mutated[: len(mutated) - cut])
        host.kernel.queue.append(build.datagram(part, sequence=sequence, port=port))
        host.drain()
        host.take()
    host.lose()
    host.load(build.link(2))
    assert [i.ifindex for i in host.table.interfaces()] == [2, 2]


def test_the_recorded_life_of_links_is_notified() -> None:
    """The recorded datagrams, in order, give these notifications of each interface."""
    host = Host()
    notifications = Notifications(host.table)
    for what, data in recorded.datagrams():
        for message in nl.messages(data, len(data)):
            if what != "links":
                notifications.apply(message.type, data, message.start, message.end)
    host.settle()
    types: dict[tuple[str, Family], list[NotificationType]] = {}
    for n in host.take():
        assert n.interface is not None
        if n.type is not NotificationType.REFRESH:
            types.setdefault((n.interface.link.name, n.family), []).append(n.type)
    add, change, delete = NotificationType.ADD, NotificationType.PARAMETER, NotificationType.DELETE
    assert types["tap", V4] == types["tap", V6] == [add]
    assert types["ifb", V4] == types["ifb", V6] == [add]
    assert types["ifbx", V4] == [change]
    assert types["ifbx", V6] == [delete]
    # up, forwarding, down; the deletion is at the end of the recording
    assert types["west", V4] == [add, change, change, change, delete]
    assert types["west", V6] == [add, change, change, change, delete]
    assert types["east", V4][0] == types["east", V6][0] == add
