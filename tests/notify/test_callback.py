"""What the callback is given, on which thread, in what order, and for how long."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Callable

import pytest
from calls import Call, Calls, Register
from clauses import clause, only
from support.waiting import DEADLINE, wait_until
from worlds import BOTH, KernelWorld, StandinWorld, World

from exporter.bindings.netioapi import AF_INET, MIB_NOTIFICATION_TYPE
from exporter.notify import Interface, NotificationType, get_ip_interface_entry

STORM = 200


@clause("C18", "S1", "S2")
def test_one_call_at_a_time(world: World, register: Register) -> None:
    """A storm from a system with two threads comes on one thread, one by one, none merged."""
    if isinstance(world, StandinWorld):
        world.standin.mode(threads=2)
    busy, collisions = threading.Lock(), []

    def alone(call: Call) -> None:
        if not busy.acquire(blocking=False):
            collisions.append(call)
            return
        busy.release()

    calls = Calls(alone)
    index = world.make()
    register(calls)
    world.change(index, STORM)
    changes = calls.wait(STORM * len(BOTH), index=index, type=NotificationType.PARAMETER)
    assert collisions == []
    assert len(changes) == STORM * len(BOTH)
    (thread,) = {call.thread for call in changes}
    assert thread.name.startswith("ip-interface-notify-")
    assert thread.daemon


@clause("C20", "C23", "S2")
def test_life_of_an_interface(world: World, register: Register) -> None:
    """Add, parameter and delete come in that order and name the interface they are about."""
    calls = Calls()
    register(calls, AF_INET)
    indexes = [world.make(), world.make()]
    for index in indexes:
        world.change(index)
        world.delete(index)
        calls.wait(index=index, type=NotificationType.DELETE)
        assert [kind for kind, _ in calls.about(index)] == [
            NotificationType.ADD,
            NotificationType.PARAMETER,
            NotificationType.DELETE,
        ]
    assert {call.row for call in calls.all} == {(AF_INET, world.luid(i), i) for i in indexes}
    for call in calls.all:
        assert MIB_NOTIFICATION_TYPE(call.type) in MIB_NOTIFICATION_TYPE


@clause("C19", "C26")
def test_arguments(world: World, register: Register) -> None:
    """The callback gets context, row and type by position, and the row is three keys only."""
    given: list[tuple[object, ...]] = []
    came = threading.Event()

    def callback(*arguments: object) -> str:
        given.append(arguments)
        came.set()
        return "ignored"

    handle = register(callback, AF_INET, context=7)
    index = world.make()
    assert came.wait(DEADLINE)
    handle.cancel()
    ((context, row, kind),) = given
    luid = get_ip_interface_entry(AF_INET, index=index).luid
    assert (context, row, kind) == (7, (AF_INET, luid, index), NotificationType.ADD)
    assert row._fields == ("family", "luid", "ifindex")


@clause("C27", "C28")
def test_row_suffices_to_read_the_rest(world: World, register: Register) -> None:
    """In the callback the row's three keys are what reading the complete entry takes."""
    entries: list[Interface] = []
    calls = Calls(lambda call: entries.append(get_ip_interface_entry(*call.row)))
    index = world.make()
    register(calls)
    mtu = world.change(index)
    wait_until(lambda: len(entries) == len(BOTH))
    assert {entry.family for entry in entries} == set(BOTH)
    for entry in entries:
        assert (entry.ifindex, entry.parameters.mtu_bytes) == (index, mtu)
        assert entry.link.name == world.device(index)


@clause("C29")
def test_rows_are_copies(world: World, register: Register) -> None:
    """A row that is kept stays true, whatever the system does with its memory later."""
    calls = Calls()
    register(calls, AF_INET)
    indexes = [world.make() for _ in range(3)]
    calls.wait(3, type=NotificationType.ADD)
    first = calls.all[0].row
    world.change(indexes[1], 10)
    calls.wait(10, type=NotificationType.PARAMETER)
    assert first == (AF_INET, get_ip_interface_entry(AF_INET, index=indexes[0]).luid, indexes[0])


@clause("C29", "C30")
@only("so", "dll")
def test_rows_are_not_freed(world: StandinWorld, register: Register) -> None:
    """The memory of the system's rows, poisoned after each call, is never given back to it."""
    calls = Calls()
    handle = register(calls)
    index = world.make()
    world.change(index, 10)
    calls.wait(2 + 10 * len(BOTH), index=index)
    handle.cancel()
    del calls, handle
    gc.collect()
    assert world.standin.bad_frees == 0


@clause("C26")
@only("so", "dll")
def test_garbage(world: StandinWorld, register: Register) -> None:
    """A row or a type that makes no sense reaches nobody, and delivery goes on."""
    calls = Calls()
    register(calls)
    world.standin.notify(77, AF_INET, 3)
    world.standin.notify(NotificationType.ADD, 99, 3)
    index = world.make()
    calls.wait(2, index=index)
    assert len(calls.all) == 2


@clause("C24")
def test_same_process(world: World, register: Register) -> None:
    """The callback runs in the process that registered it."""
    processes: list[int] = []
    calls = Calls(lambda _call: processes.append(os.getpid()))
    register(calls, initial=True)
    wait_until(lambda: processes)
    assert processes == [os.getpid()]


@clause("C25", "C36")
def test_callback_outlives_its_name(world: World, register: Register) -> None:
    """Dropped by everyone else, the callback is there as long as it can be called."""
    calls = Calls()

    def callback(*arguments: object) -> None:
        calls(*arguments)

    alive = weakref.ref(callback)
    handle = register(callback)
    del callback
    gc.collect()
    index = world.make()
    calls.wait(2, index=index)
    handle.cancel()
    gc.collect()
    assert alive() is None


@clause("S9", "C36")
@pytest.mark.parametrize("failure", [ValueError("ours"), SystemExit(3), KeyboardInterrupt()])
def test_failing_callback(
    world: World,
    register: Register,
    caplog: pytest.LogCaptureFixture,
    failure: BaseException,
) -> None:
    """An exception in the callback is logged and counted, and the next notification comes."""

    def fail(_call: Call) -> None:
        raise failure

    calls = Calls(fail)
    index = world.make()
    handle = register(calls, AF_INET)
    for count in (1, 2):
        world.change(index)
        calls.wait(count, index=index)
        wait_until(lambda count=count: handle.callback_errors == count)
    handle.cancel()
    records = [r for r in caplog.records if r.getMessage() == "Callback failed"]
    assert len(records) == 2
    assert all(record.exc_info and record.exc_info[1] is failure for record in records)


@clause("S13")
@only("rtnetlink")
def test_rename(world: KernelWorld, register: Register, pass_on: Callable[[], None]) -> None:
    """A link that gets another name is the same IP interface, unchanged."""
    calls = Calls()
    index = world.make()
    register(calls)
    world.namespace.ip(f"link set {world.device(index)} name other")
    pass_on()
    assert calls.about(index) == []
    assert get_ip_interface_entry(AF_INET, index=index).link.name == "other"
