"""Deregistering: what it promises, from where it may be called, and what must not deadlock."""

from __future__ import annotations

import gc
import signal
import threading
import weakref
from collections.abc import Callable

import pytest
from calls import Call, Calls, Register, is_inside, threads
from clauses import clause, only
from standin import TIMEOUT
from support.waiting import wait_until
from worlds import World

from exporter.bindings.netioapi import AF_INET
from exporter.notify import (
    IpHelperError,
    NotificationHandle,
    NotificationType,
    cancel_mib_change_notify2,
    notify_ip_interface_change,
)

Cancel = Callable[[NotificationHandle], None]
WAYS = [cancel_mib_change_notify2, NotificationHandle.cancel]


def status_of(cancel: Cancel, handle: NotificationHandle) -> int:
    """The status of a cancel: 0, or that of the error it raises."""
    try:
        cancel(handle)
    except IpHelperError as error:
        return error.winerror
    return 0


@clause("C31", "C35", "C36")
@pytest.mark.parametrize("cancel", WAYS)
def test_no_callback_after_cancel(
    world: World, register: Register, pass_on: Callable[[], None], cancel: Cancel
) -> None:
    """A registration gets every change until it is canceled, and none after that."""
    calls = Calls()
    handle = register(calls)
    index = world.make()
    world.change(index)
    calls.wait(2, index=index, type=NotificationType.PARAMETER)
    cancel(handle)
    count = len(calls.all)
    assert world.registrations == 0
    world.change(index)
    pass_on()
    assert len(calls.all) == count


@clause("S4", "C31")
def test_cancel_waits_for_the_callback(world: World, register: Register) -> None:
    """A cancel returns after the callback that runs, and what is queued behind it never comes."""
    entered, release, order = threading.Event(), threading.Event(), []

    def slow(_call: Call) -> None:
        entered.set()
        release.wait(TIMEOUT)
        order.append("callback")

    index = world.make()
    calls = Calls(slow)
    handle = register(calls)
    world.change(index, 5)
    assert entered.wait(TIMEOUT)

    def cancel() -> None:
        handle.cancel()
        order.append("cancel")

    canceler = threading.Thread(target=cancel)
    canceler.start()
    wait_until(lambda: is_inside(canceler, "wait"), TIMEOUT)
    release.set()
    canceler.join(TIMEOUT)
    assert order == ["callback", "cancel"]
    assert len(calls.all) == 1


@clause("C31", "S4")
@only("rtnetlink", "so")
def test_cancel_that_is_interrupted(world: World, register: Register) -> None:
    """After Ctrl-C in a cancel, which waits for a callback, another cancel waits for it again."""
    entered, release = threading.Event(), threading.Event()

    def slow(_call: Call) -> None:
        entered.set()
        release.wait(TIMEOUT)

    calls = Calls(slow)
    handle = register(calls, AF_INET, initial=True)
    assert entered.wait(TIMEOUT)
    main = threading.main_thread()

    def interrupt() -> None:
        wait_until(lambda: is_inside(main, "_end") and is_inside(main, "wait"), TIMEOUT)
        signal.pthread_kill(main.ident, signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        handle.cancel()
    interrupter.join(TIMEOUT)
    assert len(threads()) == 1
    release.set()
    handle.cancel()
    assert threads() == set()
    assert status_of(NotificationHandle.cancel, handle) == 87


@clause("C32", "C33", "S8")
@pytest.mark.parametrize("cancel", WAYS)
def test_cancel_in_the_callback(world: World, register: Register, cancel: Cancel) -> None:
    """In its own callback a cancel is refused at once, and delivery goes on."""
    statuses: list[int] = []
    calls = Calls(lambda _call: statuses.append(status_of(cancel, handle)))
    handle = register(calls, AF_INET)
    index = world.make()
    world.change(index)
    calls.wait(2, index=index)
    handle.cancel()
    assert statuses == [1131, 1131]


@clause("C34")
def test_cancel_by_the_owner_of_what_the_callback_wants(world: World, register: Register) -> None:
    """The callback's wait for what the canceler owns is the cancel's wait: the caller's care."""
    resource, entered, order = threading.Lock(), threading.Event(), []

    def want(_call: Call) -> None:
        entered.set()
        order.append(resource.acquire(timeout=0.1))

    handle = register(Calls(want), AF_INET)
    with resource:
        world.make()
        assert entered.wait(TIMEOUT)
        handle.cancel()
        order.append("canceled")
    assert order == [False, "canceled"]


@clause("C34", "C35")
def test_our_own_locks_are_not_in_the_way(world: World, register: Register) -> None:
    """A callback that registers, cancels and reads does not wait for the thread that cancels."""
    inner, done = Calls(), threading.Event()

    def busy(_call: Call) -> None:
        wait_until(lambda: is_inside(canceler, "wait"), TIMEOUT)
        register(inner).cancel()
        done.set()

    handle = register(Calls(busy), AF_INET)
    canceler = threading.Thread(target=handle.cancel)
    world.make()
    (dispatcher,) = threads()
    wait_until(lambda: is_inside(dispatcher, "busy"), TIMEOUT)
    canceler.start()
    canceler.join(TIMEOUT)
    assert done.is_set()


@clause("C35")
def test_cancel_of_another_in_a_callback(
    world: World, register: Register, pass_on: Callable[[], None]
) -> None:
    """In the callback of one registration another can be canceled."""
    other = Calls()
    victim = register(other)
    statuses: list[int] = []
    register(Calls(lambda _call: statuses.append(status_of(NotificationHandle.cancel, victim))))
    world.make()
    wait_until(lambda: len(statuses) == 2, TIMEOUT)
    assert statuses == [0, 87]
    count = len(other.all)
    pass_on()
    assert len(other.all) == count


@clause("S7", "C14")
@pytest.mark.parametrize("cancel", WAYS)
def test_cancel_twice(world: World, register: Register, cancel: Cancel) -> None:
    """The second cancel of a handle is ERROR_INVALID_PARAMETER."""
    handle = register(Calls())
    assert [status_of(cancel, handle) for _ in range(3)] == [0, 87, 87]


@clause("S7", "C35")
def test_cancel_by_many(world: World, register: Register) -> None:
    """Of many threads that cancel one handle, one succeeds and the others are told."""
    handle, statuses = register(Calls()), []
    cancelers = [
        threading.Thread(
            target=lambda: statuses.append(status_of(NotificationHandle.cancel, handle))
        )
        for _ in range(8)
    ]
    for thread in cancelers:
        thread.start()
    for thread in cancelers:
        thread.join(TIMEOUT)
    assert sorted(statuses) == [0] + [87] * 7


@clause("S6", "C13", "C14")
@pytest.mark.parametrize(("handle", "status"), [(None, 87), (0xBAD, 6), (object(), 6)])
def test_cancel_of_nothing(world: World, handle: NotificationHandle, status: int) -> None:
    """NULL is ERROR_INVALID_PARAMETER, what is no handle ERROR_INVALID_HANDLE."""
    assert status_of(cancel_mib_change_notify2, handle) == status


@clause("S10", "C36")
def test_dropped_handle(world: World, register: Register) -> None:
    """A handle that nobody keeps goes on: only a cancel, or the program's end, deregisters."""
    calls = Calls()
    handle = weakref.ref(notify_ip_interface_change(0, calls))
    gc.collect()
    index = world.make()
    calls.wait(2, index=index)
    kept = handle()
    assert kept is not None
    kept.cancel()
    del kept
    gc.collect()
    assert handle() is None


@clause("S10")
def test_canceled_handle_lets_go(world: World, register: Register) -> None:
    """A canceled handle that is kept keeps neither callback nor context alive."""

    class Context:
        pass

    context, calls = Context(), Calls()
    handle = register(calls, context=context, initial=True)
    calls.wait()
    handle.cancel()
    gone = weakref.ref(context), weakref.ref(calls)
    del context, calls
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


@clause("S11", "C38")
def test_context_manager(world: World, register: Register) -> None:
    """Leaving the block cancels; a cancel inside it is all right, and an error passes through."""
    with register(Calls()) as handle:
        assert status_of(NotificationHandle.cancel, handle) == 0
    with pytest.raises(ZeroDivisionError), register(Calls()) as handle:
        raise ZeroDivisionError
    assert status_of(NotificationHandle.cancel, handle) == 87


@clause("C31")
def test_register_again(world: World, register: Register) -> None:
    """Registrations can come and go many times, and each receives what happens in its time."""
    for _ in range(20):
        calls = Calls()
        handle = register(calls, AF_INET, initial=True)
        calls.wait()
        handle.cancel()
        assert [call.type for call in calls.all] == [NotificationType.INITIAL]
