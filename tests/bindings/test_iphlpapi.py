"""The prototypes, the errors, and the stand-in that the tests above them lean on."""

from __future__ import annotations

import ctypes
import ctypes.util
import pickle
import sys
import threading
from collections.abc import Iterator
from ctypes import byref, c_uint16, c_uint32, c_void_p
from typing import Any

import pytest
from standin import ADD, INITIAL, PARAMETER, TIMEOUT, Standin
from support.waiting import wait_until

from exporter.bindings import iphlpapi, winerror
from exporter.bindings.netioapi import (
    AF_INET,
    AF_INET6,
    AF_UNSPEC,
    GUID,
    MIB_IF_ROW2,
    MIB_IPINTERFACE_ROW,
    NET_LUID,
    decode_string,
)
from exporter.bindings.winerror import IpHelperError
from exporter.model import make_luid


@pytest.fixture(name="standin")
def _standin() -> Iterator[Standin]:
    standin = Standin()
    yield standin
    standin.reset()


@pytest.fixture(name="api")
def _api(standin: Standin) -> iphlpapi.Library:
    return iphlpapi.load(standin.path)


class Registered:
    """A callback that notes its calls, registered until `cancel`."""

    def __init__(self, api: iphlpapi.Library, family: int = AF_UNSPEC, initial: bool = True):
        self.calls: list[tuple[Any, ...]] = []
        self.on_call: Any = lambda: None
        self.handle = c_void_p()
        self._api = api
        self._callback = iphlpapi.PIPINTERFACE_CHANGE_CALLBACK(self._called)
        api.NotifyIpInterfaceChange(family, self._callback, 0xC0FFEE, initial, byref(self.handle))

    def _called(self, context: int, row: Any, kind: int) -> None:
        keys = None
        if row:
            entry = row.contents
            keys = entry.Family, entry.InterfaceLuid.Value, entry.InterfaceIndex
            self.garbage = bytes(entry)[20:]
        self.calls.append((context, kind, keys, threading.get_ident()))
        self.on_call()

    def cancel(self) -> None:
        """End the registration."""
        self._api.CancelMibChangeNotify2(self.handle)


def status_of(call: Any, *arguments: object) -> int:
    """The status of a call: 0, or that of the error it raises."""
    try:
        call(*arguments)
    except IpHelperError as error:
        return error.winerror
    return 0


def row_of(family: int, luid: int = 0, index: int = 0) -> MIB_IPINTERFACE_ROW:
    """A row with its keys set."""
    row = MIB_IPINTERFACE_ROW(Family=family, InterfaceIndex=index)
    row.InterfaceLuid.Value = luid
    return row


# -- errors -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [2, 5, 6, 8, 50, 87, 122, 127, 1131, 1168, 31])
def test_error_is_the_documented_one(status: int) -> None:
    """An error carries the returned status, the system's text and Windows' errno for it."""
    error = IpHelperError(status, "GetIpInterfaceEntry")
    assert isinstance(error, OSError)
    assert error.winerror == status
    assert str(error) == f"GetIpInterfaceEntry failed: {status}, {error.strerror}"
    if sys.platform == "win32":
        windows = OSError(0, "", None, status)
        assert error.errno == windows.errno
        assert error.strerror == ctypes.FormatError(status).strip()


@pytest.mark.skipif(sys.platform == "win32", reason="there FormatMessage has the words")
def test_error_texts_without_windows() -> None:
    """Where there is no FormatMessage, the documented English text stands in for it."""
    assert IpHelperError(87, "f").strerror == "The parameter is incorrect."
    assert IpHelperError(1168, "f").strerror == "Element not found."


def test_error_survives_pickling() -> None:
    """An error can cross to another process."""
    error = pickle.loads(pickle.dumps(IpHelperError(8, "GetIfTable2")))
    assert (error.winerror, error.function) == (8, "GetIfTable2")


def test_no_error_is_no_exception() -> None:
    """NO_ERROR raises nothing."""
    winerror.check(winerror.NO_ERROR, "anything")


def test_missing_export_is_one_clear_error() -> None:
    """A library without the function can be loaded; using the function names both."""
    other = "kernel32.dll" if sys.platform == "win32" else ctypes.util.find_library("c")
    api = iphlpapi.load(other)
    with pytest.raises(
        IpHelperError, match=f"GetIfStackTable is not exported by {other}"
    ) as caught:
        api.rows("GetIfStackTable")
    assert caught.value.winerror == winerror.ERROR_PROC_NOT_FOUND


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has one")
def test_no_system_library_elsewhere() -> None:
    """Without a path there is nothing to load on a system that is not Windows."""
    with pytest.raises(OSError, match="Windows only"):
        iphlpapi.load()


def test_widths_of_the_registration() -> None:
    """The registration takes a 2-byte family and a 1-byte BOOLEAN, not a 4-byte BOOL."""
    pointer = ctypes.sizeof(c_void_p)
    widths = [ctypes.sizeof(kind) for kind in iphlpapi.PROTOTYPES["NotifyIpInterfaceChange"]]
    assert widths == [4, 2, pointer, pointer, 1, pointer]


def test_unknown_attribute(api: iphlpapi.Library) -> None:
    """A name that is no bound function is an ordinary AttributeError."""
    with pytest.raises(AttributeError, match="GetTcpTable"):
        _ = api.GetTcpTable


# -- lookups ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "status"),
    [
        (row_of(AF_INET, luid=make_luid(6, 3)), 0),
        (row_of(AF_INET, index=3), 0),
        (row_of(AF_INET, luid=make_luid(6, 3), index=99), 0),  # the LUID wins
        (row_of(AF_INET, luid=make_luid(6, 99), index=3), 2),
        (row_of(AF_INET6, luid=make_luid(6, 3)), 1168),
        (row_of(AF_INET, index=99), 2),
        (row_of(AF_INET), 87),
        (row_of(AF_UNSPEC, index=3), 87),
        (row_of(10, index=3), 87),
    ],
)
def test_interface_entry(
    standin: Standin, api: iphlpapi.Library, row: MIB_IPINTERFACE_ROW, status: int
) -> None:
    """GetIpInterfaceEntry looks up by family and LUID, else index, and answers as documented."""
    standin.put(AF_INET, 3, NlMtu=1400)
    row = MIB_IPINTERFACE_ROW.from_buffer_copy(row)
    assert status_of(api.GetIpInterfaceEntry, byref(row)) == status
    if not status:
        assert (row.NlMtu, row.InterfaceLuid.Value) == (1400, make_luid(6, 3))


def test_set_interface_entry(standin: Standin, api: iphlpapi.Library) -> None:
    """SetIpInterfaceEntry changes what may be changed, refuses an IPv4 site prefix, notifies."""
    standin.put(AF_INET, 3, Metric=25, Connected=1)
    registered = Registered(api, initial=False)
    row = row_of(AF_INET, index=3)
    api.InitializeIpInterfaceEntry(byref(row))
    assert (row.Family, row.InterfaceLuid.Value, row.InterfaceIndex) == (0, 0, 0)
    assert row.Metric == 0xFFFFFFFF, "no value"
    row.Family, row.InterfaceIndex, row.Metric, row.SitePrefixLength = AF_INET, 3, 50, 64
    assert status_of(api.SetIpInterfaceEntry, byref(row)) == winerror.ERROR_INVALID_PARAMETER
    row.SitePrefixLength = 0
    api.SetIpInterfaceEntry(byref(row))
    after = row_of(AF_INET, index=3)
    api.GetIpInterfaceEntry(byref(after))
    assert (after.Metric, after.Connected) == (50, 1)
    standin.wait_idle()
    registered.cancel()
    assert [call[1] for call in registered.calls] == [PARAMETER]
    standin.fail("SetIpInterfaceEntry", winerror.ERROR_ACCESS_DENIED)
    assert status_of(api.SetIpInterfaceEntry, byref(after)) == winerror.ERROR_ACCESS_DENIED


def test_tables_are_copied_and_freed_once(standin: Standin, api: iphlpapi.Library) -> None:
    """Every table's rows are ours after the call, and its memory has gone back."""
    for family, index in ((AF_INET, 3), (AF_INET6, 3), (AF_INET, 4)):
        standin.put(family, index)
    standin.put_link(3, "Ethernet")
    standin.put_pair(4, 3)
    assert len(api.rows("GetIpInterfaceTable", AF_UNSPEC)) == 3
    assert [r.InterfaceIndex for r in api.rows("GetIpInterfaceTable", AF_INET)] == [3, 4]
    assert [decode_string(r.Alias) for r in api.rows("GetIfTable2")] == ["Ethernet"]
    (stack,) = api.rows("GetIfStackTable")
    (inverted,) = api.rows("GetInvertedIfStackTable")
    assert (stack.HigherLayerInterfaceIndex, stack.LowerLayerInterfaceIndex) == (4, 3)
    assert (inverted.HigherLayerInterfaceIndex, inverted.LowerLayerInterfaceIndex) == (4, 3)
    assert (standin.tables, standin.bad_frees) == (0, 0)


def test_wrong_frees_are_noticed(standin: Standin, api: iphlpapi.Library) -> None:
    """The stand-in sees memory that is freed but was no table; NULL is allowed."""
    api.FreeMibTable(None)
    api.FreeMibTable(byref(MIB_IPINTERFACE_ROW()))
    assert standin.bad_frees == 1


@pytest.mark.parametrize("function", ["GetIfStackTable", "GetInvertedIfStackTable"])
def test_empty_stack(standin: Standin, api: iphlpapi.Library, function: str) -> None:
    """Without a link above another the stack tables answer ERROR_NOT_FOUND."""
    assert status_of(api.rows, function) == winerror.ERROR_NOT_FOUND
    assert standin.tables == 0


def test_interface_table_refuses_other_families(standin: Standin, api: iphlpapi.Library) -> None:
    """GetIpInterfaceTable takes the three families, and says when there is none."""
    assert status_of(api.rows, "GetIpInterfaceTable", 10) == winerror.ERROR_INVALID_PARAMETER
    assert status_of(api.rows, "GetIpInterfaceTable", AF_INET) == winerror.ERROR_NOT_FOUND


def test_link_entry(standin: Standin, api: iphlpapi.Library) -> None:
    """GetIfEntry2 looks up by LUID, else index; 2 when unknown, 87 when neither is given."""
    standin.put_link(3, "Ethernet")
    row = MIB_IF_ROW2(InterfaceIndex=3)
    api.GetIfEntry2(byref(row))
    assert decode_string(row.Alias) == "Ethernet"
    assert status_of(api.GetIfEntry2, byref(MIB_IF_ROW2(InterfaceIndex=9))) == 2
    assert status_of(api.GetIfEntry2, byref(MIB_IF_ROW2())) == 87


def test_conversions(standin: Standin, api: iphlpapi.Library) -> None:
    """A LUID converts to index, alias, GUID and name; what does not fit or is unknown says so."""
    guid = GUID(1, 2, 3, (1, 2, 3, 4, 5, 6, 7, 8))
    standin.put_link(3, "Ethernet", InterfaceGuid=guid)
    luid, unknown = NET_LUID(Value=make_luid(6, 3)), NET_LUID(Value=make_luid(6, 9))
    index, found, text = c_uint32(), GUID(), (c_uint16 * 257)()
    api.ConvertInterfaceLuidToIndex(byref(luid), byref(index))
    api.ConvertInterfaceLuidToGuid(byref(luid), byref(found))
    api.ConvertInterfaceLuidToAlias(byref(luid), text, len(text))
    assert (index.value, str(found), decode_string(text)) == (3, str(guid), "Ethernet")
    api.ConvertInterfaceLuidToNameW(byref(luid), text, len(text))
    assert decode_string(text) == "ethernet_3"
    assert status_of(api.ConvertInterfaceLuidToAlias, byref(luid), text, 8) == 8
    assert status_of(api.ConvertInterfaceLuidToIndex, byref(unknown), byref(index)) == 2
    assert index.value == 0
    assert status_of(api.ConvertInterfaceLuidToGuid, byref(unknown), byref(found)) == 2
    assert status_of(api.ConvertInterfaceLuidToAlias, byref(unknown), text, len(text)) == 87


# -- registering and canceling -------------------------------------------------------------


@pytest.mark.parametrize("on_dispatcher", [False, True])
def test_initial_notification(standin: Standin, api: iphlpapi.Library, on_dispatcher: bool) -> None:
    """The initial notification has no row, and comes from either of the two possible threads."""
    standin.mode(initial_on_dispatcher=on_dispatcher)
    registered = Registered(api)
    standin.wait_idle()
    registered.cancel()
    ((context, kind, row, thread),) = registered.calls
    assert (context, kind, row) == (0xC0FFEE, INITIAL, None)
    assert (thread != threading.get_ident()) is on_dispatcher


def test_row_holds_keys_and_garbage(standin: Standin, api: iphlpapi.Library) -> None:
    """Of a callback's row only the three keys are true."""
    registered = Registered(api, initial=False)
    standin.add(3, NlMtu=1400)
    standin.wait_idle()
    registered.cancel()
    assert [call[1:3] for call in registered.calls] == [(ADD, (AF_INET, make_luid(6, 3), 3))]
    assert registered.garbage == b"\xcc" * 148


@pytest.mark.parametrize(("family", "status"), [(0, 0), (2, 0), (23, 0), (10, 87), (1, 87)])
def test_families(standin: Standin, api: iphlpapi.Library, family: int, status: int) -> None:
    """A registration takes three families; refused, it leaves NULL in the handle."""
    callback = iphlpapi.PIPINTERFACE_CHANGE_CALLBACK(lambda *_: None)
    handle = c_void_p(0xBAD)
    call = api.NotifyIpInterfaceChange
    assert status_of(call, family, callback, None, False, byref(handle)) == status
    assert bool(handle) is (status == 0)
    if handle:
        api.CancelMibChangeNotify2(handle)
    assert standin.registrations == 0


@pytest.mark.parametrize("status", [6, 8, 31])
def test_injected_failure(standin: Standin, api: iphlpapi.Library, status: int) -> None:
    """Any status can be made to come back, once."""
    standin.fail("NotifyIpInterfaceChange", status)
    assert status_of(Registered, api) == status
    Registered(api).cancel()


def test_cancel_of_nothing(standin: Standin, api: iphlpapi.Library) -> None:
    """NULL is an invalid parameter, a handle used before an invalid handle."""
    assert status_of(api.CancelMibChangeNotify2, None) == winerror.ERROR_INVALID_PARAMETER
    registered = Registered(api)
    registered.cancel()
    assert status_of(registered.cancel) == winerror.ERROR_INVALID_HANDLE


def test_cancel_from_the_callback_is_reported(standin: Standin, api: iphlpapi.Library) -> None:
    """A cancel that would wait for itself is refused and counted, and changes nothing."""
    registered = Registered(api, initial=False)
    statuses = []
    registered.on_call = lambda: statuses.append(status_of(registered.cancel))
    standin.notify(PARAMETER, AF_INET, 3)
    standin.wait_idle()
    assert (statuses, standin.deadlocks) == ([winerror.ERROR_POSSIBLE_DEADLOCK], 1)
    registered.cancel()


def test_cancel_while_holding_what_the_callback_wants(
    standin: Standin, api: iphlpapi.Library
) -> None:
    """A cancel by the owner of what a callback waits for is reported instead of hanging."""
    standin.mode(cancel_timeout=0.05)
    wanted, waiting = threading.Lock(), threading.Event()
    registered = Registered(api, initial=False)

    def want() -> None:
        waiting.set()
        with wanted:
            pass

    registered.on_call = want
    with wanted:
        standin.notify(PARAMETER, AF_INET, 3)
        assert waiting.wait(TIMEOUT)
        assert status_of(registered.cancel) == winerror.ERROR_POSSIBLE_DEADLOCK
    assert standin.deadlocks == 1
    standin.wait_idle()


def test_cancel_waits_for_a_running_callback(standin: Standin, api: iphlpapi.Library) -> None:
    """When a cancel returns, the callback that was running has ended and no other begins."""
    entered, release, done = threading.Event(), threading.Event(), threading.Event()
    registered = Registered(api, initial=False)

    def slow() -> None:
        entered.set()
        release.wait(TIMEOUT)

    registered.on_call = slow
    standin.notify(PARAMETER, AF_INET, 3, count=2)
    assert entered.wait(TIMEOUT)

    def cancel() -> None:
        registered.cancel()
        done.set()

    canceler = threading.Thread(target=cancel)
    canceler.start()
    wait_until(lambda: standin.registrations == 0, TIMEOUT)  # the cancel has begun
    assert not done.is_set()
    release.set()
    canceler.join(TIMEOUT)
    standin.notify(PARAMETER, AF_INET, 3)
    standin.wait_idle()
    assert (done.is_set(), len(registered.calls)) == (True, 1)


def test_two_threads_call_back_at_once(standin: Standin, api: iphlpapi.Library) -> None:
    """In its second mode the stand-in has two callbacks running at the same time."""
    standin.mode(threads=2)
    meeting = threading.Barrier(2, timeout=TIMEOUT)
    registered = Registered(api, initial=False)
    registered.on_call = meeting.wait
    standin.notify(PARAMETER, AF_INET, 3, count=2)
    standin.wait_idle()
    registered.cancel()
    assert (standin.most_at_once, meeting.broken) == (2, False)
