"""The row of an IP interface from its link: every member, and absent members."""

from pathlib import Path
from typing import Any

import pytest
from support import messages as build
from support.messages import READY, RUNNING, UP

from exporter.bindings import rtnetlink as nl
from exporter.model import InterfaceRow, Link, LinkStatus, OperStatus
from exporter.sources.linux import rows
from exporter.sources.linux.rows import Timers

MULTICAST = nl.IFF_MULTICAST
TIMERS = Timers(base_reachable_ms=30000, reachable_ms=17500, retransmit_ms=1000, path_mtu_ms=600000)


def ipv4(flags: int = RUNNING, mtu: int = 1500, conf: bytes = build.inet_conf()) -> InterfaceRow:
    """Return an IPv4 row."""
    return rows.ipv4_row(flags & rows.ROW_FLAGS, mtu, conf, TIMERS)


def ipv6(
    flags: int = RUNNING | MULTICAST,
    inet6_flags: int = READY,
    addr_gen_mode: int | None = 0,
    **conf: int,
) -> InterfaceRow:
    """Return an IPv6 row; `conf` by the names of the bindings."""
    conf_bytes = build.inet6_conf(**conf)
    return rows.ipv6_row(flags & rows.ROW_FLAGS, inet6_flags, conf_bytes, addr_gen_mode, 7, TIMERS)


def test_an_ipv4_row_is_complete() -> None:
    """Every member Linux has for IPv4 has its value, and all the others are absent."""
    assert ipv4(mtu=9000, conf=build.inet_conf(FORWARDING=1)) == InterfaceRow(
        connected=True,
        mtu_bytes=9000,
        forwarding_enabled=True,
        neighbor_unreachability_detection_enabled=True,
        base_reachable_time_seconds=30.0,
        retransmit_time_seconds=1.0,
        path_mtu_discovery_timeout_seconds=600.0,
        neighbor_discovery_supported=True,
        reachable_time_seconds=17.5,
    )


def test_an_ipv6_row_is_complete() -> None:
    """Every member Linux has for IPv6 has its value, and all the others are absent."""
    assert ipv6(MTU6=1400) == InterfaceRow(
        connected=True,
        mtu_bytes=1400,
        forwarding_enabled=False,
        neighbor_unreachability_detection_enabled=True,
        managed_address_configuration_enabled=False,
        other_stateful_configuration_enabled=False,
        router_discovery_behavior=1,
        dad_transmits=1,
        base_reachable_time_seconds=30.0,
        retransmit_time_seconds=1.0,
        path_mtu_discovery_timeout_seconds=600.0,
        link_local_address_behavior=2,
        neighbor_discovery_supported=True,
        router_discovery_supported=True,
        zone_indices=(0, 7, 7) + (0,) * 13,
        reachable_time_seconds=17.5,
    )


@pytest.mark.parametrize(("flags", "connected"), [
    (0, False),
    (UP, False),
    (nl.IFF_RUNNING, False),
    (nl.IFF_LOWER_UP, False),
    (UP | nl.IFF_RUNNING, False),
    (UP | nl.IFF_LOWER_UP, False),
    (RUNNING, True),
])  # fmt: skip
def test_connected_is_up_running_and_a_carrier(flags: int, connected: bool) -> None:
    """All three are needed: RUNNING is set before the kernel has checked the carrier."""
    assert ipv4(flags).connected is connected
    assert ipv6(flags).connected is connected


@pytest.mark.parametrize(("inet6_flags", "disabled", "connected"), [
    (READY, 0, True),
    (0, 0, False),
    (READY, 1, False),
])  # fmt: skip
def test_ipv6_connects_when_ready_and_enabled(
    inet6_flags: int, disabled: int, connected: bool
) -> None:
    """IF_READY and disable_ipv6 matter, too."""
    assert ipv6(inet6_flags=inet6_flags, DISABLE_IPV6=disabled).connected is connected


@pytest.mark.parametrize("flag", [nl.IFF_NOARP, nl.IFF_LOOPBACK])
def test_links_without_neighbors(flag: int) -> None:
    """Loopback and NOARP links discover no neighbors, and do not detect unreachable ones."""
    for row in (ipv4(RUNNING | flag), ipv6(RUNNING | flag)):
        assert row.neighbor_discovery_supported is False
        assert row.neighbor_unreachability_detection_enabled is None


@pytest.mark.parametrize(("flags", "supported"), [
    (MULTICAST, True),
    (0, False),
    (MULTICAST | nl.IFF_LOOPBACK, False),
])  # fmt: skip
def test_routers_are_discovered_by_multicast(flags: int, supported: bool) -> None:
    """Router discovery needs multicast and another host on the link."""
    assert ipv6(flags).router_discovery_supported is supported


@pytest.mark.parametrize(("accept_ra", "forwarding", "behavior"), [
    (0, 0, 0),
    (1, 0, 1),
    (1, 1, 0),
    (2, 0, 1),
    (2, 1, 1),
])  # fmt: skip
def test_router_discovery_follows_accept_ra(accept_ra: int, forwarding: int, behavior: int) -> None:
    """accept_ra 1 stops when the host becomes a router, 2 does not."""
    row = ipv6(ACCEPT_RA=accept_ra, FORWARDING=forwarding)
    assert row.router_discovery_behavior == behavior


@pytest.mark.parametrize(("accept_dad", "dad_transmits", "expected"), [
    (1, 3, 3),
    (2, 1, 1),
    (0, 3, 0),
    (-1, 1, 0),
])  # fmt: skip
def test_dad_is_transmitted_unless_switched_off(
    accept_dad: int, dad_transmits: int, expected: int
) -> None:
    """accept_dad 0 switches it off, and -1 is what the kernel sets on loopback and NOARP."""
    assert ipv6(ACCEPT_DAD=accept_dad, DAD_TRANSMITS=dad_transmits).dad_transmits == expected


@pytest.mark.parametrize(("mode", "behavior"), [(0, 2), (1, 0), (2, 2), (3, 2), (None, None)])
def test_link_local_addresses_follow_addr_gen_mode(mode: int | None, behavior: int | None) -> None:
    """Mode 1 (none) makes none, the others one; without a mode it is unknown."""
    assert ipv6(addr_gen_mode=mode).link_local_address_behavior == behavior


@pytest.mark.parametrize(("flags", "managed", "other"), [
    (READY, False, False),
    (READY | 0x40, True, False),
    (READY | 0x80, False, True),
])  # fmt: skip
def test_router_advertisements_have_the_flags_of_dhcp(
    flags: int, managed: bool, other: bool
) -> None:
    """The M and O flags of the last router advertisement."""
    row = ipv6(inet6_flags=flags)
    assert row.managed_address_configuration_enabled is managed
    assert row.other_stateful_configuration_enabled is other


def test_old_kernels_have_shorter_arrays() -> None:
    """The members beyond the end of a devconf array are absent."""
    row = rows.ipv6_row(RUNNING & rows.ROW_FLAGS, READY, b"\0" * 8, None, 7, Timers())
    assert row.forwarding_enabled is False
    for member in ("mtu_bytes", "router_discovery_behavior", "dad_transmits"):
        assert getattr(row, member) is None
    assert rows.ipv4_row(0, 1500, b"", Timers()).forwarding_enabled is None


def test_equal_rows_are_one_object() -> None:
    """An unchanged row is the same object, so that comparing it is cheap."""
    assert ipv4() is ipv4()
    assert ipv6() is ipv6()


@pytest.mark.parametrize(("hardware_type", "type_"), [
    (1, 6), (772, 24), (512, 23), (768, 131), (776, 131), (65534, 53), (801, 71),
    (32, 1), (280, 1), (0xFFFF, 1), (519, 1),
])  # fmt: skip
def test_hardware_types_as_windows_numbers_them(hardware_type: int, type_: int) -> None:
    """ARPHRD_x becomes an ifType that fits a NET_LUID; "other" if Windows has none."""
    assert rows.interface_type(hardware_type, b"no-such-device") == type_


@pytest.mark.parametrize("mark", [b"/wireless", b"/phy80211"])
def test_managed_wireless_is_known_by_sysfs(mark: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wi-Fi in managed mode has the hardware type of Ethernet."""
    monkeypatch.setattr("os.path.exists", lambda path: path == b"/sys/class/net/wlan0" + mark)
    assert rows.interface_type(1, b"wlan0") == 71
    assert rows.interface_type(1, b"eth0") == 6


@pytest.mark.parametrize(("name", "shown"), [
    (b"eth0", "eth0"),
    (b'a"b\\c', 'a"b\\c'),
    (b"\n", "\n"),
    ("größe".encode(), "größe"),
    (b"\xff\xfe", "\ufffd\ufffd"),
])  # fmt: skip
def test_names_become_text(name: bytes, shown: str) -> None:
    """A name is any bytes; bytes that are not UTF-8 are replaced."""
    body = build.link(2, name, alias=name, kind=name)
    message = nl.parse_link(body, 0, len(body))
    assert message is not None
    assert rows.link_facts(rows.Naming._make(rows.naming_fields(message)), 6) == Link(
        shown, shown, shown, 6, "02:00:00:00:00:01"
    )


@pytest.mark.parametrize(("content", "milliseconds"), [("600\n", 600000), ("", None), ("x", None)])
def test_path_mtu_expiry_is_read_from_the_sysctl(
    content: str, milliseconds: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seconds in /proc become milliseconds; a value that cannot be read is absent."""
    monkeypatch.setattr(Path, "read_text", lambda _: content)
    assert rows.path_mtu_timeout("ipv4") == milliseconds


def test_a_system_without_the_sysctl_has_no_path_mtu_expiry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without IPv6, or without /proc, it is absent, and no error."""

    def refuse(*_: Any) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", refuse)
    assert rows.path_mtu_timeout("ipv6") is None


@pytest.mark.parametrize(
    ("flags", "operstate", "kind", "expected"),
    [
        (0, build.IF_OPER_DOWN, b"", LinkStatus(False, OperStatus.DOWN)),
        (RUNNING, build.IF_OPER_UP, b"", LinkStatus(True, OperStatus.UP, True)),
        (RUNNING, 0, b"bridge", LinkStatus(True, OperStatus.UNKNOWN, True)),
        (UP, build.IF_OPER_DOWN, b"tun", LinkStatus(True, OperStatus.DOWN, False)),
        # The carrier was there for a moment when the message was made.
        (UP | nl.IFF_LOWER_UP, build.IF_OPER_DOWN, b"", LinkStatus(True, OperStatus.DOWN, False)),
        # The carrier is gone, and the operational state is not updated yet.
        (UP | nl.IFF_RUNNING, build.IF_OPER_UP, b"", LinkStatus(True, OperStatus.DOWN, False)),
        (UP | nl.IFF_RUNNING, 0, b"veth", LinkStatus(True, OperStatus.DOWN, False)),
        # LOWERLAYERDOWN: a macvlan has a lower link; the peer of a veth is no lower link.
        (
            UP,
            build.IF_OPER_LOWERLAYERDOWN,
            b"macvlan",
            LinkStatus(True, OperStatus.LOWER_LAYER_DOWN),
        ),
        (UP, build.IF_OPER_LOWERLAYERDOWN, b"veth", LinkStatus(True, OperStatus.DOWN, False)),
        (
            UP | nl.IFF_LOWER_UP,
            build.IF_OPER_DORMANT,
            b"",
            LinkStatus(True, OperStatus.DORMANT, True),
        ),
        (UP, 4, b"", LinkStatus(True, OperStatus.TESTING)),
        (UP, 1, b"", LinkStatus(True, OperStatus.NOT_PRESENT)),
        (RUNNING, 7, b"", LinkStatus(True, OperStatus.UNKNOWN, True)),
    ],
)
def test_the_status_is_that_of_the_message(
    flags: int, operstate: int, kind: bytes, expected: LinkStatus
) -> None:
    """Flags and operstate of one message show whether a link is enabled, and why it is down."""
    body = build.link(3, flags=flags, operstate=operstate, kind=kind)
    message = nl.parse_link(body, 0, len(body))
    assert message is not None
    assert rows.link_status(message, message.kind) == expected


@pytest.mark.parametrize(("facts", "kept_out"), [
    ({}, False),
    ({"flags": RUNNING | nl.IFF_SLAVE, "master": 9, "slave_kind": b"bond"}, True),
    ({"master": 9, "slave_kind": b"team"}, True),
    ({"master": 9}, True),
    ({"master": 9, "slave_kind": b"bridge"}, False),
    ({"master": 9, "slave_kind": b"vrf"}, False),
])  # fmt: skip
def test_masters_that_keep_ipv6_out(facts: dict[str, Any], kept_out: bool) -> None:
    """Ports of bonds, teams and failover devices may lack IPv6; those of bridges and VRFs do."""
    body = build.link(3, **facts)
    message = nl.parse_link(body, 0, len(body))
    assert message is not None
    assert rows.ipv6_kept_out(message) is kept_out


@pytest.mark.parametrize(("facts", "other", "same"), [
    ({}, {"address": b"\2\0\0\0\0\2"}, False),
    ({"permanent": b"\2\0\0\0\0\7"}, {"permanent": b"\2\0\0\0\0\7", "address": b"x" * 6}, True),
    ({"kind": b"bridge"}, {"kind": b"bridge", "address": b"x" * 6}, True),
    ({"kind": b"vlan", "lower": 2}, {"kind": b"vlan", "lower": 2, "address": b"x" * 6}, True),
    ({"lower": 7}, {"lower": 8}, False),
    ({"lower": 0}, {"lower": 7}, True),
    ({}, {"lower": 7}, True),
    ({"lower": 7}, {"lower": 8, "lower_netns": True}, True),
    ({"kind": b"vlan", "lower": 2}, {"kind": b"vlan", "lower": 3}, True),
    ({}, {"kind": b"bridge"}, False),
    ({}, {"hardware_type": 772}, False),
    ({}, {"name": b"other", "mtu": 9000, "alias": b"uplink"}, True),
])  # fmt: skip
def test_the_properties_that_identify_a_link(
    facts: dict[str, Any], other: dict[str, Any], same: bool
) -> None:
    """Type, kind, its own address and its peer; not what a link takes from others."""
    first, second = (
        rows.Naming._make(rows.naming_fields(message))
        for body in (build.link(3, **facts), build.link(3, **other))
        if (message := nl.parse_link(body, 0, len(body)))
    )
    assert first.differs(second) is not same
