"""Every way to be refused a registration: the code, its text, and nothing left over."""

from __future__ import annotations

import os
import socket
import threading
from typing import Any

import pytest
from calls import Calls, Register, threads
from clauses import clause, only
from texts import text_of
from worlds import StandinWorld, World

from exporter.notify import IpHelperError


@clause("C5", "C11", "C14")
@pytest.mark.parametrize("family", [1, 10, 24, -1, 65538, "2", None, [], 2.0, False])
def test_any_other_family(world: World, register: Register, family: object) -> None:
    """Any other family, Linux' number for IPv6 among them, is ERROR_INVALID_PARAMETER."""
    with pytest.raises(IpHelperError) as caught:
        register(Calls(), family)
    assert (caught.value.winerror, caught.value.function) == (87, "NotifyIpInterfaceChange")
    assert caught.value.strerror == text_of(87)
    assert threads() == set()


@clause("C4", "C5")
@only("rtnetlink")
def test_the_socket_modules_number(world: World, register: Register) -> None:
    """socket.AF_INET6 is not the documented number on Linux, and is refused."""
    with pytest.raises(IpHelperError, match=r"failed: 87, The parameter is incorrect"):
        register(Calls(), socket.AF_INET6)


@clause("C11", "C13", "C15", "C16")
@only("so", "dll")
@pytest.mark.parametrize("status", [6, 8, 31])
def test_the_systems_refusal(world: StandinWorld, register: Register, status: int) -> None:
    """A code the system refuses with is raised with its text, and nothing is registered."""
    world.standin.fail("NotifyIpInterfaceChange", status)
    with pytest.raises(IpHelperError) as caught:
        register(Calls())
    assert (caught.value.winerror, caught.value.strerror) == (status, text_of(status))
    assert (threads(), world.standin.registrations) == (set(), 0)


@clause("C11", "C15")
@only("rtnetlink")
def test_no_descriptors_left(world: World, register: Register) -> None:
    """A process that can open no more sockets gets ERROR_NOT_ENOUGH_MEMORY, and can go on."""
    import resource

    register(Calls()).cancel()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(IpHelperError) as caught:
            register(Calls())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (caught.value.winerror, caught.value.strerror) == (8, text_of(8))
    register(Calls())


@clause("C11", "C15")
def test_no_threads_left(world: World, register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a thread to call back on, registering is ERROR_NOT_ENOUGH_MEMORY and undone."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(IpHelperError) as caught:
            register(Calls())
    assert caught.value.winerror == 8
    assert threads() == set()


@clause("C14", "S5")
@pytest.mark.parametrize("callback", [None, 3, "callback"])
def test_no_callback(world: World, register: Register, callback: Any) -> None:
    """What cannot be called is ERROR_INVALID_PARAMETER."""
    with pytest.raises(IpHelperError) as caught:
        register(callback)
    assert caught.value.winerror == 87
