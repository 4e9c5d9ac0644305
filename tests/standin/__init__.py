"""The stand-in iphlpapi: built on first use, and driven by `Standin`.

On Linux it is a shared object that gcc makes, cached by the hash of its source. On Windows
(or Wine) there is no compiler: ``IPHLPAPI_STANDIN`` names the ready DLL.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import byref, c_char_p, c_int, c_uint16, c_uint32, c_uint64
from pathlib import Path

from support.cache import cache_directory
from support.waiting import DEADLINE

from exporter.bindings.netioapi import (
    AF_INET,
    MIB_IF_ROW2,
    MIB_IPINTERFACE_ROW,
    MIB_NOTIFICATION_TYPE,
)
from exporter.model import make_luid

SOURCE = Path(__file__).with_name("iphlpapi.c")
WARNINGS = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared"]
ETHERNET = 6

PARAMETER = MIB_NOTIFICATION_TYPE.MibParameterNotification
ADD = MIB_NOTIFICATION_TYPE.MibAddInstance
DELETE = MIB_NOTIFICATION_TYPE.MibDeleteInstance
INITIAL = MIB_NOTIFICATION_TYPE.MibInitialNotification

#: Seconds after which a test that waits gives up.
TIMEOUT = DEADLINE


def build(name: str, compiler: str, *flags: str) -> Path:
    """The stand-in as `name`, compiled unless this source was compiled that way before."""
    command = [compiler, *WARNINGS, str(SOURCE), *flags]
    key = hashlib.sha256(SOURCE.read_bytes() + repr(command).encode()).hexdigest()[:16]
    target = cache_directory() / "standin" / key / name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        half_done = target.with_suffix(f".{os.getpid()}")
        subprocess.run([*command, "-o", half_done], check=True)
        half_done.replace(target)
    return target


def build_dll() -> Path:
    """The stand-in for Windows, made by mingw-w64.

    Not named iphlpapi.dll: Wine loads its own for that name, even by full path.
    """
    return build("standin.dll", "x86_64-w64-mingw32-gcc", "-static", "-lpthread")


def library() -> str:
    """The path of the stand-in for this system; skips the test where there can be none."""
    ready = os.environ.get("IPHLPAPI_STANDIN")
    if ready:
        return ready
    from requirements_here import require  # brings pytest, which takes seconds under Wine

    require(sys.platform != "win32", "the stand-in DLL, named by IPHLPAPI_STANDIN")
    require(
        shutil.which("gcc"), "gcc, to build the stand-in iphlpapi: apt-get install gcc libc6-dev"
    )
    return str(build("standin.so", "gcc", "-fPIC", "-fvisibility=hidden", "-pthread"))


class Standin:
    """The controls of the stand-in; `path` is what the code under test loads.

    Interfaces are named by their index: the LUID is that of an Ethernet link with this index.
    """

    def __init__(self) -> None:
        self.path = library()
        dll = ctypes.CDLL(self.path)  # on x64 there is one calling convention
        for name, *arguments in (
            ("Mode", c_int, c_int, c_int, c_int),
            ("Fail", c_char_p, c_uint32, c_int),
            ("Remove", c_uint16, c_uint64),
            ("Notify", c_int, c_uint16, c_uint64, c_uint32, c_uint64),
            ("NotifyCanceled", c_int, c_uint16, c_uint64, c_uint32),
            ("Hold", c_int),
            ("WaitIdle", c_int),
        ):
            getattr(dll, f"Standin{name}").argtypes = arguments
        dll.StandinCount.restype = c_uint64
        self._dll = dll
        self.reset()

    def reset(self) -> None:
        """As freshly loaded."""
        self._dll.StandinReset()

    def mode(
        self,
        *,
        threads: int = 1,
        initial_on_dispatcher: bool = False,
        never_confirm: bool = False,
        cancel_timeout: float = 120.0,
    ) -> None:
        """How it behaves; see iphlpapi.c. `cancel_timeout` in seconds."""
        self._dll.StandinMode(
            threads, initial_on_dispatcher, never_confirm, int(cancel_timeout * 1000)
        )

    def fail(self, function: str, status: int, times: int = 1) -> None:
        """The next `times` calls of `function` return `status`."""
        self._dll.StandinFail(function.encode(), status, times)

    def put(self, family: int, index: int, **members: object) -> None:
        """List an interface, with its link when it has none yet; no notification."""
        row = MIB_IPINTERFACE_ROW(Family=family, InterfaceIndex=index, NlMtu=1500, Connected=1)
        row.InterfaceLuid.Value = make_luid(ETHERNET, index)
        for name, value in members.items():
            setattr(row, name, value)
        assert self._dll.StandinPutInterface(byref(row))

    def put_link(self, index: int, alias: str, **members: object) -> None:
        """List a link; no notification. `members` are those of MIB_IF_ROW2."""
        row = MIB_IF_ROW2(InterfaceIndex=index, Type=ETHERNET)
        row.InterfaceLuid.Value = make_luid(ETHERNET, index)
        texts = {"Alias": alias, "Description": members.pop("Description", "Stand-in adapter")}
        for name, text in texts.items():
            encoded = str(text).encode("utf-16-le")
            ctypes.memmove(getattr(row, name), encoded, len(encoded))
        for name, value in members.items():
            setattr(row, name, value)
        assert self._dll.StandinPutLink(byref(row))

    def put_pair(self, higher: int, lower: int) -> None:
        """One link is directly above another."""
        assert self._dll.StandinPutPair(higher, lower)

    def remove(self, family: int, index: int) -> None:
        """No longer list an interface (AF_UNSPEC: the link and both); no notification."""
        self._dll.StandinRemove(family, make_luid(ETHERNET, index))

    def notify(self, kind: int, family: int, index: int, count: int = 1) -> None:
        """Queue `count` notifications; the tables stay as they are."""
        self._dll.StandinNotify(kind, family, make_luid(ETHERNET, index), index, count)

    def notify_canceled(self, kind: int, family: int, index: int) -> None:
        """Call back every registration that was canceled, as no system should."""
        self._dll.StandinNotifyCanceled(kind, family, make_luid(ETHERNET, index), index)

    def add(self, index: int, family: int = AF_INET, **members: object) -> None:
        """An interface appears."""
        self.put(family, index, **members)
        self.notify(ADD, family, index)

    def change(self, index: int, family: int = AF_INET, **members: object) -> None:
        """An interface gets another row."""
        self.put(family, index, **members)
        self.notify(PARAMETER, family, index)

    def delete(self, index: int, family: int = AF_INET) -> None:
        """An interface disappears."""
        self.remove(family, index)
        self.notify(DELETE, family, index)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Nothing is delivered inside the block."""
        self._dll.StandinHold(1)
        try:
            yield
        finally:
            self._dll.StandinHold(0)

    def deliver_in_listing(self) -> None:
        """What is held back now comes while GetIpInterfaceTable runs, after it has looked."""
        self._dll.StandinHold(1)
        self._dll.StandinDeliverInListing()

    def wait_idle(self, timeout: float = TIMEOUT) -> None:
        """Return when everything queued was delivered; fails after `timeout` seconds."""
        assert self._dll.StandinWaitIdle(int(timeout * 1000)), "notifications are still queued"

    @property
    def callbacks(self) -> int:
        """Callbacks made since the reset."""
        return int(self._dll.StandinCount(0))

    @property
    def most_at_once(self) -> int:
        """The most callbacks that ran at the same time."""
        return int(self._dll.StandinCount(1))

    @property
    def deadlocks(self) -> int:
        """Cancels that would have deadlocked on Windows."""
        return int(self._dll.StandinCount(2))

    @property
    def tables(self) -> int:
        """Tables handed out and not freed."""
        return int(self._dll.StandinCount(3))

    @property
    def bad_frees(self) -> int:
        """Memory given to FreeMibTable that was no table, or no longer one."""
        return int(self._dll.StandinCount(4))

    @property
    def registrations(self) -> int:
        """Registrations that were not canceled."""
        return int(self._dll.StandinCount(5))
