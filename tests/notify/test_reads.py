"""The related functions: what they read, how they look up, and their codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from clauses import clause, only
from support.waiting import wait_until
from texts import text_of
from worlds import KernelWorld, StandinWorld, World

from exporter.bindings.netioapi import AF_INET, AF_INET6, AF_UNSPEC
from exporter.model import Family, InterfaceRow, make_luid
from exporter.notify import (
    IpHelperError,
    get_if_entry2,
    get_if_stack_table,
    get_if_table2,
    get_inverted_if_stack_table,
    get_ip_interface_entry,
    get_ip_interface_table,
    initialize_ip_interface_entry,
)

UNKNOWN = 99999
UNKNOWN_LUID = make_luid(6, UNKNOWN)


def status_of(call: Callable[..., object], *arguments: Any, **keywords: Any) -> int:
    """The status of a call: 0, or that of the error it raises, which has its text."""
    status, text = 0, text_of(0)
    try:
        call(*arguments, **keywords)
    except IpHelperError as error:
        status, text = error.winerror, error.strerror
    assert text == text_of(status)
    return status


@clause("C28", "C40")
def test_interface_entry(world: World) -> None:
    """An entry is found by LUID or index, in either family, and says the same both ways."""
    index = world.make()
    mtu = world.change(index)
    for family in (AF_INET, AF_INET6):
        entry = get_ip_interface_entry(family, index=index)
        assert (entry.family, entry.ifindex, entry.link.name) == (
            family,
            index,
            world.device(index),
        )
        assert entry.parameters.mtu_bytes == mtu
        again = get_ip_interface_entry(family, luid=entry.luid)
        # Linux makes up a new reachable time now and then.
        assert again._replace(parameters=entry.parameters) == entry


@clause("C40")
def test_luid_wins_over_index(world: World) -> None:
    """The index counts only where the LUID is 0, known or not."""
    first, second = world.make(), world.make()
    luid = get_ip_interface_entry(AF_INET, index=first).luid
    assert get_ip_interface_entry(AF_INET, luid, second).ifindex == first
    assert get_if_entry2(luid, second).ifindex == first
    assert status_of(get_ip_interface_entry, AF_INET, UNKNOWN_LUID, first) == 2
    assert status_of(get_if_entry2, UNKNOWN_LUID, first) == 2


@clause("C14", "C40")
def test_entry_codes(world: World) -> None:
    """Unknown is 2, known without the family 1168, a bad or missing argument 87."""
    index = world.make([AF_INET])
    luid = get_ip_interface_entry(AF_INET, index=index).luid
    for arguments, status in [
        ((AF_INET, 0, UNKNOWN), 2),
        ((AF_INET, 0, 0xFFFFFFFF), 2),
        ((AF_INET, UNKNOWN_LUID), 2),
        ((AF_INET, luid ^ 1 << 48), 2),  # the same index, of another type
        ((AF_INET6, luid), 1168),
        ((AF_INET6, 0, index), 1168),
        ((AF_INET,), 87),
        ((AF_UNSPEC, luid), 87),
        ((10, luid), 87),
        ((AF_INET, -1), 87),
        ((AF_INET, 1 << 64), 87),
        ((AF_INET, 0, 1 << 32), 87),
        ((AF_INET, None, index), 87),
        ((AF_INET, str(luid)), 87),
        ((AF_INET, float(luid)), 87),
        ((AF_INET, 0, float(index)), 87),
        ((AF_INET, 0, True), 87),
        ((float(AF_INET), luid), 87),
    ]:
        assert status_of(get_ip_interface_entry, *arguments) == status, arguments


@clause("C40")
def test_deleted_interface(world: World) -> None:
    """After a delete the entry is gone: 2, for interface and link."""
    index = world.make()
    luid = get_if_entry2(index=index).luid
    world.delete(index)
    assert status_of(get_ip_interface_entry, AF_INET, luid) == 2
    assert status_of(get_if_entry2, luid) == 2


@clause("C40")
def test_interface_table(world: World) -> None:
    """The table has the rows of one family, or of both, as the entries are."""
    index, ipv4_only = world.make(), world.make([AF_INET])
    keys = {family: [e[:3] for e in get_ip_interface_table(family)] for family in Family}
    assert sorted(keys[Family.UNSPEC]) == sorted(keys[Family.IPV4] + keys[Family.IPV6])
    for family, wanted in ((Family.IPV4, {index, ipv4_only}), (Family.IPV6, {index})):
        assert wanted <= {key[2] for key in keys[family]}
        assert get_ip_interface_entry(family, index=index)[:3] in keys[family]
    assert ipv4_only not in {key[2] for key in keys[Family.IPV6]}
    assert status_of(get_ip_interface_table, 10) == 87
    assert status_of(get_ip_interface_table, 2.0) == 87
    assert status_of(get_ip_interface_table, False) == 87


@clause("C16", "C40")
@only("so", "dll")
def test_failing_reads(world: StandinWorld) -> None:
    """Whatever code a read is answered with is raised, with the system's text."""
    world.make()
    for function, call, status in [
        ("GetIpInterfaceEntry", lambda: get_ip_interface_entry(AF_INET, index=3), 31),
        ("GetIpInterfaceTable", get_ip_interface_table, 50),
        ("GetIpInterfaceTable", get_ip_interface_table, 8),
        ("GetIfEntry2", lambda: get_if_entry2(index=3), 5),
        ("GetIfEntry2", lambda: get_ip_interface_entry(AF_INET, index=3), 5),
        ("GetIfTable2", get_if_table2, 8),
        ("GetIfStackTable", get_if_stack_table, 8),
        ("GetInvertedIfStackTable", get_inverted_if_stack_table, 1168),
    ]:
        world.standin.fail(function, status)
        assert status_of(call) == status, function


@clause("C40")
@only("so", "dll")
def test_link_that_just_went(world: StandinWorld) -> None:
    """An interface whose link cannot be read any more has its LUID for a name."""
    index = world.make()
    for status in (2, 1168):
        world.standin.fail("GetIfEntry2", status)
        entry = get_ip_interface_entry(AF_INET, index=index)
        assert entry.link.name == f"0x{entry.luid:016x}"


@clause("C40")
@only("so", "dll")
def test_empty_tables(world: StandinWorld) -> None:
    """A computer without IP interfaces has no table of them: 1168; that of links is empty."""
    assert status_of(get_ip_interface_table) == 1168
    assert get_if_table2() == []


@clause("C40")
def test_link_entry(world: World) -> None:
    """A link is found by LUID or index; 2 when unknown, 87 when neither is given."""
    index = world.make()
    entry = get_if_entry2(index=index)
    assert (entry.ifindex, entry.link.name, entry.mtu_bytes) == (index, world.device(index), 1500)
    assert get_if_entry2(entry.luid) == entry
    assert entry.luid == make_luid(entry.link.type, index)
    assert status_of(get_if_entry2, index=UNKNOWN) == 2
    assert status_of(get_if_entry2) == 87
    assert status_of(get_if_entry2, None, index) == 87
    assert status_of(get_if_entry2, index=float(index)) == 87


@clause("C40")
@only("rtnetlink")
def test_link_status(world: KernelWorld) -> None:
    """A link is down, up without a carrier (lower layer down), or up."""
    world.namespace.ip("link add near type veth peer far")
    index = world.namespace.index("near")

    def status() -> tuple[bool, int, bool | None]:
        entry = get_if_entry2(index=index)
        return entry.enabled, entry.oper_status, entry.media_connected

    for command, wanted in [
        ("link show", (False, 2, False)),
        ("link set near up", (True, 7, False)),
        ("link set far up", (True, 1, True)),
        ("link set near down", (False, 2, False)),
    ]:
        world.namespace.ip(command)
        wait_until(lambda wanted=wanted: status() == wanted, message=f"{command}: {status()}")


@clause("C40")
@only("so", "dll")
@pytest.mark.parametrize(("state", "connected"), [(0, None), (1, True), (2, False)])
def test_media_state(world: StandinWorld, state: int, connected: bool | None) -> None:
    """Whether the medium is connected can be unknown."""
    world.standin.put_link(3, "Ethernet", MediaConnectState=state, AdminStatus=2, OperStatus=6)
    entry = get_if_entry2(index=3)
    assert (entry.enabled, entry.oper_status, entry.media_connected) == (False, 6, connected)


@clause("C40")
def test_link_table(world: World) -> None:
    """Every link is in the table, also one without an IP interface, as its entry is."""
    indexes = {world.make(), world.make()}
    table = {entry.ifindex: entry for entry in get_if_table2()}
    assert indexes <= table.keys()
    for index in indexes:
        assert table[index] == get_if_entry2(index=index)


@clause("C40")
def test_stack_tables(world: World) -> None:
    """A pair of links is in both tables, higher first in one and lower first in the other."""
    assert status_of(get_if_stack_table) == 1168
    assert status_of(get_inverted_if_stack_table) == 1168
    higher, lower = world.stack()
    assert get_if_stack_table() == [(higher, lower)]
    assert get_inverted_if_stack_table() == [(lower, higher)]
    (row,), (inverted,) = get_if_stack_table(), get_inverted_if_stack_table()
    assert (row.higher, row.lower) == (inverted.higher, inverted.lower) == (higher, lower)


@clause("C40")
def test_initial_entry(world: World) -> None:
    """An initialized entry names no interface and has no values."""
    entry = initialize_ip_interface_entry()
    assert entry[:3] == (Family.UNSPEC, 0, 0)
    assert entry.parameters == InterfaceRow()
