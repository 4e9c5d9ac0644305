"""Registering: families, contexts, the initial notification, several at once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from calls import Call, Calls, Register, is_inside, threads
from clauses import clause, only
from standin import TIMEOUT
from support.waiting import wait_until
from worlds import BOTH, StandinWorld, World

from exporter.bindings.netioapi import AF_INET, AF_INET6, AF_UNSPEC
from exporter.notify import Family, NotificationHandle, NotificationType


@clause("C1", "C2", "C6")
@pytest.mark.parametrize("family", [AF_UNSPEC, Family.UNSPEC])
def test_both_families(world: World, register: Register, family: int) -> None:
    """A registration for family 0 receives notifications of the IPv4 and of the IPv6 interface."""
    calls = Calls()
    register(calls, family)
    index = world.make()
    calls.wait(2, index=index)
    assert set(calls.about(index)) == {
        (NotificationType.ADD, AF_INET),
        (NotificationType.ADD, AF_INET6),
    }


@clause("C1", "C3", "C4", "C6")
@pytest.mark.parametrize("family", [AF_INET, Family.IPV4, AF_INET6, Family.IPV6])
def test_one_family(
    world: World, register: Register, pass_on: Callable[[], None], family: int
) -> None:
    """A registration for family 2 or 23 receives those of that family only."""
    calls = Calls()
    register(calls, family)
    index = world.make()
    world.change(index)
    world.delete(index)
    pass_on()
    calls.wait(index=index, type=NotificationType.DELETE)
    assert calls.about(index) == [
        (kind, family)
        for kind in (NotificationType.ADD, NotificationType.PARAMETER, NotificationType.DELETE)
    ]


@clause("C7")
def test_context(world: World, register: Register) -> None:
    """Each callback gets the very object its registration named, None by default."""
    context, calls, bare = object(), Calls(), Calls()
    register(calls, context=context, initial=True)
    register(bare)
    index = world.make()
    assert all(call.context is context for call in calls.wait(3))
    assert all(call.context is None for call in bare.wait(2, index=index))


@clause("C8", "C9", "C21", "C23")
def test_initial_notification(
    world: World, register: Register, pass_on: Callable[[], None]
) -> None:
    """Asked for, one initial notification comes first, without a row; what exists is no news."""
    world.make()
    pass_on()
    calls = Calls()
    register(calls, initial=True)
    calls.wait()
    pass_on()
    calls.wait(3)
    assert [
        (call.row, call.type) for call in calls.all if call.type is NotificationType.INITIAL
    ] == [(None, NotificationType.INITIAL)]
    assert calls.all[0].type is NotificationType.INITIAL


@clause("C8", "C21")
@only("so", "dll")
@pytest.mark.parametrize("on_dispatcher", [False, True])
def test_initial_from_either_thread(
    world: StandinWorld, register: Register, on_dispatcher: bool
) -> None:
    """The system may confirm before or after its function returns: the callback is the same."""
    world.standin.mode(initial_on_dispatcher=on_dispatcher)
    calls = Calls()
    register(calls, initial=True)
    (call,) = calls.wait()
    assert (call.row, call.type) == (None, NotificationType.INITIAL)
    assert call.thread is not threading.current_thread()


@clause("C8")
@only("so", "dll")
def test_no_initial_without_the_systems(world: StandinWorld, register: Register) -> None:
    """A system that accepts the registration and never confirms it (Wine): no callback does."""
    world.standin.mode(never_confirm=True)
    calls = Calls()
    handle = register(calls, initial=True)
    (dispatcher,) = threads()
    wait_until(lambda: is_inside(dispatcher, "drain"), TIMEOUT)  # it waits for the system
    handle.cancel()
    assert calls.all == []


@clause("C22")
def test_no_initial_unless_asked_for(
    world: World, register: Register, pass_on: Callable[[], None]
) -> None:
    """Not asked for, no initial notification comes, and every callback has a row."""
    calls = Calls()
    register(calls)
    pass_on()
    assert all(
        call.row is not None and call.type is not NotificationType.INITIAL for call in calls.wait(2)
    )


@clause("S3")
def test_registering_does_not_wait(world: World, register: Register) -> None:
    """A callback may wait for what the registering thread does next."""
    returned = threading.Event()
    results: list[bool] = []
    calls = Calls(lambda _call: results.append(returned.wait(TIMEOUT)))
    register(calls, initial=True)
    returned.set()
    index = world.make()
    calls.wait(2, index=index)
    assert all(results)


@clause("C10", "C12")
def test_handle(world: World, register: Register) -> None:
    """Success raises nothing and gives a handle of its own, which deregisters."""
    first, second = register(Calls()), register(Calls())
    assert isinstance(first, NotificationHandle)
    assert first is not second
    assert len(threads()) == 2
    first.cancel()
    second.cancel()
    assert threads() == set()


@clause("C17")
@only("dll")
def test_windows_version() -> None:
    """The functions are there since Vista (6.0), and Windows Python runs on nothing older."""
    assert sys.platform == "win32"
    assert sys.getwindowsversion() >= (6, 0)


@clause("S12", "C7")
def test_registrations_are_independent(world: World, register: Register) -> None:
    """Of two registrations each has its own family, context and end; one can be in two."""
    calls = Calls()
    ipv4 = register(calls, AF_INET, context="4")
    register(calls, AF_INET6, context="6")
    index = world.make()
    calls.wait(2, index=index)
    assert {(c.context, c.row.family) for c in calls.all if c.row} == {("4", 2), ("6", 23)}
    ipv4.cancel()
    world.change(index)
    (call,) = calls.wait(index=index, type=NotificationType.PARAMETER)
    assert call.context == "6"
    assert {f for _, f in calls.about(index)} == set(BOTH)


@clause("C9")
def test_initial_changes_nothing(world: World, register: Register) -> None:
    """At the initial notification the interfaces are those that were there before."""
    from exporter.notify import get_ip_interface_table

    world.make()
    before = {entry[:3] for entry in get_ip_interface_table()}
    seen: list[Any] = []
    calls = Calls(lambda call: seen.append({entry[:3] for entry in get_ip_interface_table()}))
    register(calls, initial=True)
    first: Call = calls.wait()[0]
    register(Calls()).cancel()
    assert first.type is NotificationType.INITIAL
    wait_for_action(calls, seen)
    assert seen[0] == before


def wait_for_action(calls: Calls, seen: list[Any]) -> None:
    """Returns when the first call's action has ended."""
    wait_until(lambda: seen, TIMEOUT, f"{calls.all}")
