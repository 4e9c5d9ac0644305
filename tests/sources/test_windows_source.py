"""The Windows source against the stand-in: the .so on Linux, the .dll on Windows or Wine.

The stand-in is unfriendly (see tests/standin/iphlpapi.c). After each test the fixture checks
that every table was freed exactly once, that no cancel could have deadlocked on Windows, and
that no registration is left.
"""

from __future__ import annotations

import ctypes.util
import gc
import logging
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from standin import ADD, DELETE, PARAMETER, TIMEOUT, Standin
from support.waiting import wait_until

from exporter.bindings import winerror
from exporter.bindings.netioapi import AF_INET, AF_INET6, AF_UNSPEC, GUID, MIB_IPINTERFACE_ROW
from exporter.bindings.winerror import IpHelperError
from exporter.clock import SYSTEM, Clock
from exporter.model import (
    Cause,
    Family,
    Interface,
    InterfaceRow,
    Link,
    LinkStatus,
    Notification,
    NotificationType,
    OperStatus,
    format_luid,
    make_luid,
)
from exporter.sources.contract import Source, SourceClosed
from exporter.sources.windows import registration as windows_registration
from exporter.sources.windows import source as windows
from exporter.sources.windows.rows import row_from
from exporter.sources.windows.source import WindowsSource

#: Opens a source on the stand-in; closed after the test.
Open = Callable[..., WindowsSource]


@pytest.fixture(name="standin")
def _standin() -> Iterator[Standin]:
    standin = Standin()
    yield standin
    standin.wait_idle()
    assert (standin.tables, standin.bad_frees) == (0, 0)
    assert (standin.deadlocks, standin.registrations) == (0, 0)
    standin.reset()


@pytest.fixture(name="open_source")
def _open_source(standin: Standin) -> Iterator[Open]:
    opened: list[WindowsSource] = []

    def open_source(**options: Any) -> WindowsSource:
        source = WindowsSource(library=standin.path, **options)
        opened.append(source)
        source.open()
        return source

    yield open_source
    for source in opened:
        source.close()


def collect(source: Source, wanted: int) -> list[Notification]:
    """Receive exactly `wanted` notifications, without the initial one, and return them."""
    deadline = time.monotonic() + TIMEOUT
    found: list[Notification] = []
    while len(found) < wanted:
        assert time.monotonic() < deadline, f"only {len(found)} of {wanted}"
        found += [n for n in source.receive(0.5) if n.type is not NotificationType.INITIAL]
    assert len(found) == wanted
    return found


def confirm(source: Source) -> None:
    """Receive the initial notification."""
    wait_until(lambda: source.receive(0.5) and source.health.up, TIMEOUT)


def read(source: Source, family: Family, index: int) -> Interface:
    """Read an interface, which must exist."""
    interface = source.interface(family, make_luid(6, index))
    assert interface is not None
    return interface


def summary(batch: list[Notification]) -> list[tuple[NotificationType, Family, int]]:
    """Return the type, family and index of each notification."""
    return [(n.type, n.family, n.ifindex) for n in batch]


# -- opening and closing --------------------------------------------------------------------


@pytest.mark.parametrize("on_dispatcher", [False, True])
def test_up_only_when_confirmed(standin: Standin, open_source: Open, on_dispatcher: bool) -> None:
    """The source is up once the initial notification came, from any thread, and not before."""
    standin.mode(initial_on_dispatcher=on_dispatcher)
    source = open_source()
    assert not source.health.up
    (initial,) = source.receive(TIMEOUT)
    assert (initial.type, initial.family, initial.luid) == (
        NotificationType.INITIAL,
        Family.UNSPEC,
        0,
    )
    assert source.health.up
    assert source.health.messages == {"initial": 1, "add": 0, "delete": 0, "parameter": 0}


def test_open_then_close(standin: Standin, open_source: Open) -> None:
    """A closed source is not up, receives no more, and has no registration."""
    source = open_source()
    confirm(source)
    source.close()
    source.close()
    assert (source.health.up, standin.registrations) == (False, 0)
    with pytest.raises(SourceClosed):
        source.receive(0)
    with pytest.raises(SourceClosed):
        source.open()


def test_just_close(standin: Standin) -> None:
    """A source that was never opened can be closed."""
    source = WindowsSource(library=standin.path)
    source.close()
    with pytest.raises(SourceClosed):
        source.receive(None)


def test_close_unblocks_receive(open_source: Open) -> None:
    """A receive without a timeout ends when other threads close the source, even repeatedly."""
    source = open_source()
    confirm(source)
    ended = threading.Event()

    def collector() -> None:
        with pytest.raises(SourceClosed):
            source.receive(None)
        ended.set()

    threads = [threading.Thread(target=collector)]
    threads += [threading.Thread(target=source.close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert ended.is_set()


def test_close_in_the_middle_of_a_storm(standin: Standin, open_source: Open) -> None:
    """No callback comes after close has returned, however many notifications are queued."""
    source = open_source()
    standin.mode(threads=2)
    standin.notify(PARAMETER, AF_INET, 3, count=10_000_000)
    wait_until(lambda: standin.callbacks > 10, TIMEOUT)
    source.close()
    before = standin.callbacks
    standin.wait_idle()
    assert standin.callbacks == before < 10_000_000


@pytest.mark.parametrize("status", [6, 8, 31, 87])
def test_refused_registration(standin: Standin, open_source: Open, status: int) -> None:
    """A refused registration is an OSError with the returned status, and leaves nothing behind."""
    standin.fail("NotifyIpInterfaceChange", status)
    with pytest.raises(IpHelperError, match="NotifyIpInterfaceChange") as caught:
        open_source()
    assert caught.value.winerror == status


def test_refused_listing(standin: Standin, open_source: Open) -> None:
    """When the first listing fails, open fails, and the registration is canceled."""
    standin.fail("GetIpInterfaceTable", winerror.ERROR_NOT_ENOUGH_MEMORY)
    with pytest.raises(IpHelperError, match="GetIpInterfaceTable"):
        open_source()
    assert standin.registrations == 0


def test_listing_that_the_system_lacks(standin: Standin, open_source: Open) -> None:
    """Without GetIpInterfaceTable (status 50) the source starts empty, and gets notifications."""
    standin.put(AF_INET, 3)
    standin.fail("GetIpInterfaceTable", winerror.ERROR_NOT_SUPPORTED, times=2)
    source = open_source()
    assert source.interfaces() == []
    assert source.health.errors == {"list": 2}
    standin.add(4)
    assert summary(collect(source, 1)) == [(NotificationType.ADD, Family.IPV4, 4)]


def test_missing_export() -> None:
    """A library without the functions gives one clear error that names the first of them."""
    other = "kernel32.dll" if sys.platform == "win32" else ctypes.util.find_library("c")
    with pytest.raises(OSError, match="NotifyIpInterfaceChange is not exported by"):
        WindowsSource(library=other).open()


def test_registration_that_is_never_confirmed(
    standin: Standin,
    open_source: Open,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Accepted without a handle and never confirmed, as by Wine: not up, one warning, no crash."""
    standin.mode(never_confirm=True)
    source = open_source()
    monkeypatch.setattr(windows, "CONFIRM_SECONDS", 3600.0)
    assert source.receive(0) == []
    assert caplog.records == []
    monkeypatch.setattr(windows, "CONFIRM_SECONDS", 0.0)
    assert source.receive(0) == []
    assert source.receive(0.01) == []
    assert not source.health.up
    (record,) = caplog.records
    assert (record.levelno, record.name) == (logging.WARNING, "exporter.sources.windows.source")
    assert "has not confirmed the registration" in record.getMessage()


def test_confirmed_in_time_is_no_warning(
    open_source: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A confirmed registration causes no warning."""
    source = open_source()
    confirm(source)
    monkeypatch.setattr(windows, "CONFIRM_SECONDS", 0.0)
    assert source.receive(0.01) == []
    assert caplog.records == []


def test_callback_after_the_cancel(standin: Standin, open_source: Open) -> None:
    """A callback after the cancel reaches no source, and its memory still exists."""
    canceled, other = WindowsSource(library=standin.path), open_source()
    canceled.open()
    confirm(other)
    canceled.close()
    del canceled  # open_source would keep it
    gc.collect()
    standin.notify_canceled(ADD, AF_INET, 3)
    standin.add(4)
    (added,) = other.receive(TIMEOUT)
    assert added.ifindex == 4
    assert standin.callbacks == 4  # two confirmations, the late one, and the last


class Time:
    """Part of a clock that the callback refers to, and so exists as long as the callback."""

    def read(self) -> float:
        """Return some time."""
        return 1.0


@pytest.mark.parametrize("canceled", [True, False])
def test_life_of_the_callback(
    standin: Standin, monkeypatch: pytest.MonkeyPatch, canceled: bool
) -> None:
    """A canceled callback is freed; one whose cancel failed is kept: Windows may still call it."""
    # pytest keeps what is logged, and a logged error keeps its frames, and so the source.
    monkeypatch.setattr(windows.log, "disabled", True)
    reading = Time()
    alive = weakref.ref(reading)
    source = WindowsSource(library=standin.path, clock=Clock(reading.read, time.perf_counter))
    source.open()
    if not canceled:
        standin.fail("CancelMibChangeNotify2", winerror.ERROR_INVALID_HANDLE)
    source.close()
    assert source.health.errors == ({} if canceled else {"cancel": 1})
    del source, reading
    gc.collect()
    assert (alive() is None) is canceled
    standin.notify(PARAMETER, AF_INET, 3)
    standin.wait_idle()
    assert standin.callbacks == (1 if canceled else 2)
    standin.reset()


def test_interpreter_that_ends_without_closing(standin: Standin) -> None:
    """A program that does not close the source ends normally, although callbacks keep coming."""
    program = """
import atexit
from exporter.sources.windows.source import WindowsSource
from standin import PARAMETER, Standin

standin = Standin()
atexit.register(lambda: print(standin.registrations, "registrations"))
source = WindowsSource(library=standin.path)
source.open()
standin.notify(PARAMETER, 2, 3, count=1_000_000)
source.receive(10)
print(standin.registrations, "registrations")
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=TIMEOUT,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.split() == b"1 registrations 0 registrations".split()


@pytest.mark.skipif(
    sys.platform != "win32", reason="needs Windows, whose own iphlpapi.dll it loads"
)
def test_the_systems_own_library(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Windows confirms and lists; Wine's stub does neither, which is logged and not fatal."""
    monkeypatch.setattr(windows, "CONFIRM_SECONDS", 0.5)
    source = WindowsSource()
    source.open()
    try:
        source.receive(1.0)
        if hasattr(ctypes.CDLL("ntdll.dll"), "wine_get_version"):
            assert not source.health.up
            assert "has not confirmed the registration" in caplog.text
            assert (source.interfaces(), source.interface(Family.IPV4, make_luid(24, 1))) == (
                [],
                None,
            )
            assert source.health.errors == {"list": 2, "read": 1}
        else:
            assert source.health.up
            assert any(i.link.type == 24 for i in source.interfaces())
    finally:
        source.close()


# -- the stream -----------------------------------------------------------------------------


def test_notifications(standin: Standin, open_source: Open) -> None:
    """Each notification comes once, in order, with its keys and the time at which it came."""
    source = open_source()
    wall, instant = time.time(), time.perf_counter()
    standin.add(3)
    standin.change(3, NlMtu=1400)
    standin.add(3, AF_INET6)
    standin.delete(3)
    batch = collect(source, 4)
    assert summary(batch) == [
        (NotificationType.ADD, Family.IPV4, 3),
        (NotificationType.PARAMETER, Family.IPV4, 3),
        (NotificationType.ADD, Family.IPV6, 3),
        (NotificationType.DELETE, Family.IPV4, 3),
    ]
    assert {n.luid for n in batch} == {make_luid(6, 3)}
    assert all(wall - 0.1 <= n.time <= time.time() + 0.1 for n in batch)
    assert all(instant <= n.instant <= time.perf_counter() for n in batch)
    assert not any(n.interface or n.inferred for n in batch)
    assert source.health.messages == {"initial": 1, "add": 2, "delete": 1, "parameter": 1}


def test_the_debug_log_has_each_notification_and_its_effect(
    standin: Standin, open_source: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """At level debug, each notification is logged with the members that its read changed."""
    standin.put(AF_INET, 3, NlMtu=1500)
    standin.put_link(3, "Ethernet")
    with caplog.at_level(logging.INFO, logger="exporter"):
        source = open_source()
        standin.change(3, NlMtu=1400)
        collect(source, 1)
        source.interface(Family.IPV4, make_luid(6, 3))
        assert not caplog.records
        caplog.set_level(logging.DEBUG, logger="exporter")
        standin.change(3, NlMtu=1300, Metric=7)
        collect(source, 1)
        source.interface(Family.IPV4, make_luid(6, 3))
    logged = [(r.getMessage(), r.fields) for r in caplog.records]  # type: ignore[attr-defined]
    luid = {"family": "ipv4", "luid": format_luid(make_luid(6, 3))}
    assert logged == [
        ("Notification", {"type": "parameter", **luid, "ifindex": 3}),
        ("Interface read", {"device": "Ethernet", **luid, "changed": "mtu_bytes,metric"}),
    ]


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_receive_times_out(open_source: Open, timeout: float) -> None:
    """Without a notification receive returns nothing after its timeout, not much later."""
    source = open_source()
    confirm(source)
    began = time.monotonic()
    assert source.receive(timeout) == []
    assert timeout * 0.5 <= time.monotonic() - began < TIMEOUT / 2


@pytest.mark.parametrize("family", [Family.IPV4, Family.IPV6])
def test_one_family(standin: Standin, open_source: Open, family: Family) -> None:
    """A source of one family lists and notifies only that family."""
    standin.put(AF_INET, 3)
    standin.put(AF_INET6, 3)
    source = open_source(family=family)
    assert [i.family for i in source.interfaces()] == [family]
    standin.change(3, AF_INET6)
    standin.change(3, AF_INET)
    standin.add(9, family)
    assert {n.family for n in collect(source, 2)} == {family}


def test_two_threads_at_once(standin: Standin, open_source: Open) -> None:
    """Callbacks that come from two threads at once are all counted."""
    standin.mode(threads=2)
    source = open_source()
    standin.notify(PARAMETER, AF_INET, 3, count=20_000)
    assert len(collect(source, 20_000)) == 20_000
    assert source.health.messages["parameter"] == 20_000
    assert source.health.dropped == 0


def test_batches_are_bounded(standin: Standin, open_source: Open) -> None:
    """A storm comes in batches of limited size, so that other threads can run in between."""
    source = open_source()
    standin.notify(PARAMETER, AF_INET, 3, count=3000)
    standin.wait_idle()
    assert source.health.queue_length == 3001
    assert len(source.receive(0)) == windows.BATCH_RECORDS
    assert source.health.queue_length == 3001 - windows.BATCH_RECORDS


def test_two_sources(standin: Standin, open_source: Open) -> None:
    """Two sources get notifications independently; closing one leaves the other."""
    first, second = open_source(), open_source()
    standin.add(3)
    assert summary(collect(first, 1)) == summary(collect(second, 1))
    first.close()
    standin.add(4)
    assert summary(collect(second, 1)) == [(NotificationType.ADD, Family.IPV4, 4)]


@pytest.mark.parametrize(("kind", "family"), [(7, AF_INET), (ADD, 10), (ADD, AF_UNSPEC)])
def test_unknown_numbers(standin: Standin, open_source: Open, kind: int, family: int) -> None:
    """An unknown notification type or family is counted and left out."""
    source = open_source()
    confirm(source)
    standin.notify(kind, family, 3)
    standin.add(4)
    assert summary(collect(source, 1)) == [(NotificationType.ADD, Family.IPV4, 4)]
    assert source.health.errors == {"receive": 1}


def test_exception_in_the_callback(
    standin: Standin, open_source: Open, capfd: pytest.CaptureFixture[str]
) -> None:
    """An exception in the callback is counted and not printed, and the next callback works."""
    ticks = count()

    def failing_clock() -> float:
        if next(ticks) == 1:  # 0 is the initial notification
            raise MemoryError
        return 1.0

    source = open_source(clock=Clock(failing_clock, time.perf_counter))
    standin.notify(ADD, AF_INET, 3)
    standin.notify(ADD, AF_INET, 4)
    assert summary(collect(source, 1)) == [(NotificationType.ADD, Family.IPV4, 4)]
    assert source.health.errors == {"callback": 1}
    assert capfd.readouterr().err == ""


# -- reading --------------------------------------------------------------------------------


def test_every_member_is_read() -> None:
    """Each member of the row is read into its field, in base units."""
    numbers = {
        "NlMtu": ("mtu_bytes", 1400, 1400),
        "Metric": ("metric", 25, 25),
        "RouterDiscoveryBehavior": ("router_discovery_behavior", 2, 2),
        "DadTransmits": ("dad_transmits", 3, 3),
        "BaseReachableTime": ("base_reachable_time_seconds", 30000, 30.0),
        "RetransmitTime": ("retransmit_time_seconds", 1000, 1.0),
        "PathMtuDiscoveryTimeout": ("path_mtu_discovery_timeout_seconds", 600000, 600.0),
        "LinkLocalAddressBehavior": ("link_local_address_behavior", 1, 1),
        "LinkLocalAddressTimeout": ("link_local_address_timeout_seconds", 6500, 6.5),
        "SitePrefixLength": ("site_prefix_length", 64, 64),
        "MinRouterAdvertisementInterval": ("min_router_advertisement_interval_seconds", 200, 0.2),
        "MaxRouterAdvertisementInterval": ("max_router_advertisement_interval_seconds", 600, 0.6),
        "ReachableTime": ("reachable_time_seconds", 16500, 16.5),
    }
    flags = {
        "Connected": "connected",
        "ForwardingEnabled": "forwarding_enabled",
        "AdvertisingEnabled": "advertising_enabled",
        "UseAutomaticMetric": "automatic_metric_enabled",
        "WeakHostSend": "weak_host_send_enabled",
        "WeakHostReceive": "weak_host_receive_enabled",
        "UseNeighborUnreachabilityDetection": "neighbor_unreachability_detection_enabled",
        "ManagedAddressConfigurationSupported": "managed_address_configuration_enabled",
        "OtherStatefulConfigurationSupported": "other_stateful_configuration_enabled",
        "AdvertiseDefaultRoute": "default_route_advertised",
        "DisableDefaultRoutes": "default_routes_disabled",
        "SupportsWakeUpPatterns": "wake_up_patterns_supported",
        "SupportsNeighborDiscovery": "neighbor_discovery_supported",
        "SupportsRouterDiscovery": "router_discovery_supported",
    }
    nothing = row_from(MIB_IPINTERFACE_ROW())
    assert None not in nothing
    cases: list[tuple[str, dict[str, Any], int]]
    cases = [(win32, {ours: after}, before) for win32, (ours, before, after) in numbers.items()]
    cases += [(win32, {ours: True}, 1) for win32, ours in flags.items()]
    for win32, expected, value in cases:
        row = MIB_IPINTERFACE_ROW(**{win32: value})
        assert row_from(row) == nothing._replace(**expected), win32
    row = MIB_IPINTERFACE_ROW()
    row.ZoneIndices[1], row.ZoneIndices[14] = 3, 5
    row.TransmitOffload.TlLargeSendOffloadSupported = 1
    row.ReceiveOffload.NlChecksumSupported = 1
    special: dict[str, Any] = {"transmit_offload": 64, "receive_offload": 1}
    zones = (0, 3, *[0] * 12, 5, 0)
    assert row_from(row) == nothing._replace(zone_indices=zones, **special)
    checked = {ours for ours, *_ in numbers.values()} | set(flags.values()) | set(special)
    assert checked | {"zone_indices"} == set(InterfaceRow._fields)


def test_read(standin: Standin, open_source: Open) -> None:
    """Reading gives the row as it is now, and the facts about its link."""
    guid = GUID(0x4D36E972, 0xE325, 0x11CE, (0xBF, 0xC1, 8, 0, 0x2B, 0xE1, 3, 0x18))
    standin.put_link(
        3,
        "Ethernet 2 – 😀",
        Description="Intel(R) Ethernet",
        InterfaceGuid=guid,
        PhysicalAddressLength=6,
        PhysicalAddress=(2, 0, 0, 0xAB, 0xCD, 0xEF),
        AdminStatus=1,
        OperStatus=1,
        MediaConnectState=1,
    )
    source = open_source()
    standin.add(3, NlMtu=1400)
    standin.put(AF_INET, 3, NlMtu=1300)
    interface = read(source, Family.IPV4, 3)
    assert (interface.family, interface.luid, interface.ifindex) == (
        Family.IPV4,
        make_luid(6, 3),
        3,
    )
    assert interface.parameters.mtu_bytes == 1300
    assert interface.parameters.connected
    assert interface.link == Link(
        name="Ethernet 2 – 😀",
        type=6,
        address="02:00:00:ab:cd:ef",
        guid="{4D36E972-E325-11CE-BFC1-08002BE10318}",
        description="Intel(R) Ethernet",
    )
    assert interface.status == LinkStatus(True, OperStatus.UP, True)


MEDIUM_UNKNOWN, MEDIUM, NO_MEDIUM = 0, 1, 2


@pytest.mark.parametrize(
    ("admin", "oper", "medium", "cause", "label"),
    [
        (1, 2, NO_MEDIUM, Cause.CARRIER, "down"),
        (1, 2, MEDIUM_UNKNOWN, Cause.CARRIER, "down"),
        (1, 2, MEDIUM, Cause.OTHER, "down"),
        (1, 1, MEDIUM, Cause.OTHER, "unknown"),  # connected again when it was read
        (1, 3, NO_MEDIUM, Cause.OTHER, "testing"),
        (1, 4, NO_MEDIUM, Cause.OTHER, "unknown"),
        (1, 5, MEDIUM, Cause.OTHER, "dormant"),
        (1, 6, NO_MEDIUM, Cause.OTHER, "notPresent"),
        (1, 7, NO_MEDIUM, Cause.OTHER, "lowerLayerDown"),
        (2, 2, NO_MEDIUM, Cause.ADMINISTRATIVE, "administrative"),
        (3, 3, NO_MEDIUM, Cause.OTHER, "testing"),
        (0, 0, MEDIUM_UNKNOWN, Cause.OTHER, "unknown"),
    ],
)
def test_why_it_is_disconnected(
    standin: Standin,
    open_source: Open,
    admin: int,
    oper: int,
    medium: int,
    cause: Cause,
    label: str,
) -> None:
    """The entry of the link, which is read with the row, has the cause of a disconnection."""
    status = {"AdminStatus": admin, "OperStatus": oper, "MediaConnectState": medium}
    standin.put_link(3, "Ethernet", **status)
    source = open_source()
    standin.put(AF_INET, 3, Connected=0)
    interface = read(source, Family.IPV4, 3)
    assert (interface.status.cause, interface.status.cause_label) == (cause, label)
    assert interface.status.enabled is {1: True, 2: False}.get(admin)


@pytest.mark.parametrize("family", [AF_INET, AF_UNSPEC])
def test_read_what_is_gone(standin: Standin, open_source: Open, family: int) -> None:
    """An interface that is gone reads as None, with its link (2) or without (1168): no failure."""
    standin.put(AF_INET, 3)
    standin.put_link(3, "Ethernet")
    source = open_source()
    standin.remove(family, 3)
    assert source.interface(Family.IPV4, make_luid(6, 3)) is None
    assert source.health.errors == {}


def test_read_that_fails(standin: Standin, open_source: Open) -> None:
    """A read that fails otherwise is counted and gives the row as last known, if any."""
    standin.put(AF_INET, 3, NlMtu=1400)
    source = open_source()
    standin.put(AF_INET, 3, NlMtu=1300)
    standin.fail("GetIpInterfaceEntry", winerror.ERROR_NOT_ENOUGH_MEMORY, times=2)
    interface = read(source, Family.IPV4, 3)
    assert interface.parameters.mtu_bytes == 1400
    assert source.interface(Family.IPV6, make_luid(6, 3)) is None
    assert source.health.errors == {"read": 2}


def test_link_that_is_gone_first(standin: Standin, open_source: Open) -> None:
    """While only the link is gone its facts stay as last known, of whichever family."""
    standin.put(AF_INET, 3)
    standin.put_link(3, "Ethernet")
    source = open_source()
    standin.put(AF_INET6, 3)
    standin.fail("GetIfEntry2Ex", winerror.ERROR_FILE_NOT_FOUND)
    interface = read(source, Family.IPV6, 3)
    assert interface.link.name == "Ethernet"
    assert source.health.errors == {}


def test_link_that_was_never_read(standin: Standin, open_source: Open) -> None:
    """An interface whose link cannot be read is named by its LUID; a failure is counted."""
    source = open_source()
    standin.put(AF_INET, 3)
    standin.fail("GetIfEntry2Ex", winerror.ERROR_NOT_ENOUGH_MEMORY)
    interface = read(source, Family.IPV4, 3)
    assert interface.link == Link("0x0006000003000000")
    assert source.health.errors == {"read": 1}


def test_delete_keeps_the_device_name(standin: Standin, open_source: Open) -> None:
    """A delete comes with the row as it last was, so that its device still has a name."""
    standin.put(AF_INET, 3)
    standin.put_link(3, "Ethernet")
    source = open_source()
    standin.remove(AF_UNSPEC, 3)
    standin.delete(3)
    (deleted,) = collect(source, 1)
    assert deleted.interface is not None
    assert deleted.interface.link.name == "Ethernet"
    assert source.interface(Family.IPV4, deleted.luid) is None


def test_list(standin: Standin, open_source: Open) -> None:
    """A listing is what exists now, of both families or one."""
    standin.put(AF_INET, 3)
    source = open_source()
    standin.put(AF_INET6, 3)
    standin.put_link(3, "Ethernet")
    listed = source.interfaces()
    assert {(i.family, i.link.name) for i in listed} == {
        (Family.IPV4, "Ethernet"),
        (Family.IPV6, "Ethernet"),
    }
    assert [i.family for i in source.interfaces(Family.IPV6)] == [Family.IPV6]


def test_change_during_the_first_listing(standin: Standin, open_source: Open) -> None:
    """A change while open lists is notified, because the registration comes first."""
    standin.put(AF_INET, 3)
    standin.deliver_in_listing()
    standin.notify(PARAMETER, AF_INET, 3)
    source = open_source()
    assert summary(collect(source, 1)) == [(NotificationType.PARAMETER, Family.IPV4, 3)]


# -- loss -----------------------------------------------------------------------------------


def small(open_source: Open, monkeypatch: pytest.MonkeyPatch, records: int) -> WindowsSource:
    """Open a source whose queue holds `records`, and that resyncs at once, and confirm it."""
    monkeypatch.setattr(windows, "RESYNC_SECONDS", 0.0)
    source = open_source(receive_buffer_bytes=records * windows_registration.RECORD_BYTES)
    confirm(source)
    return source


def test_overflow(standin: Standin, open_source: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost notifications are counted; the net difference is inferred, in a fixed order."""
    for index in (3, 4, 5):
        standin.put(AF_INET, index)
    source = small(open_source, monkeypatch, records=2)
    standin.notify(PARAMETER, AF_INET, 3, count=2)  # fills the queue
    standin.change(5, NlMtu=1400)
    standin.add(6)
    standin.delete(4)
    standin.add(7)
    standin.delete(7)
    standin.wait_idle()
    assert (source.health.dropped, source.health.overruns) == (5, 1)
    batch = collect(source, 5)
    assert summary(batch) == [
        (NotificationType.PARAMETER, Family.IPV4, 3),
        (NotificationType.PARAMETER, Family.IPV4, 3),
        (NotificationType.DELETE, Family.IPV4, 4),
        (NotificationType.ADD, Family.IPV4, 6),
        (NotificationType.PARAMETER, Family.IPV4, 5),
    ]
    assert [n.inferred for n in batch] == [False, False, True, True, True]
    assert all(n.interface for n in batch if n.inferred)
    assert source.health.resyncs == 1
    assert source.health.last_resync is not None
    assert abs(source.health.last_resync - time.time()) < TIMEOUT
    assert source.receive(0) == []


def test_two_overflows(
    standin: Standin, open_source: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each overflow of the queue is one overrun, with one resync."""
    source = small(open_source, monkeypatch, records=1)
    for index in (3, 4):
        standin.notify(PARAMETER, AF_INET, 9)
        standin.add(index)
        standin.wait_idle()
        assert summary(collect(source, 2))[1] == (NotificationType.ADD, Family.IPV4, index)
    assert (source.health.overruns, source.health.resyncs) == (2, 2)
    assert source.health.dropped == 2


def test_notified_during_the_resync(
    standin: Standin, open_source: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that is notified while the resync lists is not inferred as well."""
    standin.put(AF_INET, 3)
    source = small(open_source, monkeypatch, records=2)
    standin.notify(PARAMETER, AF_INET, 9, count=3)  # one too many
    standin.wait_idle()
    assert len(collect(source, 2)) == 2
    standin.deliver_in_listing()
    standin.add(4)  # listed, and notified
    standin.notify(DELETE, AF_INET, 3)  # notified, and still listed
    batch = collect(source, 2)
    assert summary(batch) == [
        (NotificationType.ADD, Family.IPV4, 4),
        (NotificationType.DELETE, Family.IPV4, 3),
    ]
    assert not any(n.inferred for n in batch)
    standin.remove(AF_INET, 3)
    assert source.interface(Family.IPV4, make_luid(6, 4)) is not None
    monkeypatch.setattr(windows, "RECONCILE_SECONDS", 0.0)
    assert source.receive(0) == []


def test_resync_that_fails(
    standin: Standin, open_source: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing that fails infers nothing, is counted, and is tried again."""
    standin.put(AF_INET, 3)
    source = small(open_source, monkeypatch, records=1)
    standin.notify(PARAMETER, AF_INET, 9)
    standin.delete(3)
    standin.wait_idle()
    standin.fail("GetIpInterfaceTable", winerror.ERROR_NOT_SUPPORTED)
    standin.fail("GetIpInterfaceTable", winerror.ERROR_NOT_ENOUGH_MEMORY)
    batch = collect(source, 2)
    assert summary(batch)[1] == (NotificationType.DELETE, Family.IPV4, 3)
    assert source.health.errors == {"list": 2}
    assert (source.health.overruns, source.health.resyncs) == (1, 1)


def test_resyncs_are_not_a_storm(
    standin: Standin, open_source: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second overflow is resynced no sooner than the interval allows."""
    source = small(open_source, monkeypatch, records=1)
    for interval, resyncs in ((0.0, 1), (3600.0, 1), (0.0, 2)):
        monkeypatch.setattr(windows, "RESYNC_SECONDS", interval)
        standin.notify(PARAMETER, AF_INET, 9, count=2)
        standin.wait_idle()
        assert len(source.receive(0)) == 1
        assert source.receive(0) == []
        assert source.health.resyncs == resyncs


def test_reconcile(standin: Standin, open_source: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison finds changes without a callback: a new alias, a lost change."""
    standin.put(AF_INET, 3)
    standin.put(AF_INET, 4)
    standin.put_link(3, "Ethernet")
    source = open_source()
    confirm(source)
    standin.put_link(3, "Office")
    standin.put(AF_INET, 4, NlMtu=1400)
    standin.put(AF_INET, 3, ReachableTime=5)  # random, so no change
    assert source.receive(0) == []
    monkeypatch.setattr(windows, "RECONCILE_SECONDS", 0.0)
    batch = collect(source, 2)
    assert summary(batch) == [
        (NotificationType.REFRESH, Family.IPV4, 3),
        (NotificationType.PARAMETER, Family.IPV4, 4),
    ]
    assert batch[0].interface is not None
    assert batch[0].interface.link.name == "Office"
    assert all(n.inferred for n in batch)
    assert (source.health.overruns, source.health.resyncs) == (0, 0)


def test_source_keeps_the_contract(open_source: Open) -> None:
    """The source has the members of `contract.Source`, and the name of its backend."""
    source: Source = open_source(clock=SYSTEM)
    assert source.backend == "iphlpapi"
    assert source.health.dropped == 0


def test_a_rename_notified_for_one_family_renames_both(
    standin: Standin, open_source: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other family has the link's new name at once, without an inferred change."""
    for family in (AF_INET, AF_INET6):
        standin.put(family, 3)
    standin.put_link(3, "Ethernet")
    source = open_source()
    confirm(source)
    standin.put_link(3, "Office")
    standin.notify(PARAMETER, AF_INET, 3)
    (added,) = collect(source, 1)
    assert source.interface(added.family, added.luid) is not None
    (renamed,) = source.receive(TIMEOUT)
    assert (renamed.type, renamed.family) == (NotificationType.REFRESH, Family.IPV6)
    assert renamed.interface is not None
    assert renamed.interface.link.name == "Office"
    assert not renamed.inferred
    monkeypatch.setattr(windows, "RECONCILE_SECONDS", 0.0)
    assert source.receive(0) == []


def test_a_delete_before_its_add_is_corrected(
    standin: Standin, open_source: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interface that exists after its last DELETE is added again within a second."""
    standin.put(AF_INET, 3)
    source = open_source()
    confirm(source)
    standin.notify(ADD, AF_INET, 3)  # of the new interface; the DELETE is that of the old one
    standin.notify(DELETE, AF_INET, 3)
    assert [n.type for n in collect(source, 2)] == [NotificationType.ADD, NotificationType.DELETE]
    monkeypatch.setattr(windows, "RESYNC_SECONDS", 0.0)  # of the two intervals, the short one
    (found,) = source.receive(TIMEOUT)
    assert (found.type, found.inferred) == (NotificationType.ADD, True)
    assert source.health.resyncs == 0, "nothing was lost"


def test_links_are_read_where_windows_is_older(standin: Standin, open_source: Open) -> None:
    """Without GetIfEntry2Ex, which came with Windows 10 1703, the facts are the same."""
    standin.put(AF_INET, 3)
    standin.put_link(3, "Ethernet")
    standin.fail("GetIfEntry2Ex", winerror.ERROR_PROC_NOT_FOUND, 1)
    (interface,) = open_source().interfaces()
    assert interface.link.name == "Ethernet"
