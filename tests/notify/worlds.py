"""The backends: what makes, changes and deletes interfaces, and is registered with."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from typing import Protocol

from standin import ETHERNET, Standin
from support.namespace import Namespace

from exporter.bindings.netioapi import AF_INET, AF_INET6
from exporter.notify.types import Backend

BOTH = (AF_INET, AF_INET6)

#: In the order of `World.change`: each differs from the one before, and IPv6 accepts all.
_mtus = itertools.cycle(range(1400, 1500))


class World(Protocol):
    """Interfaces are named by their index; what is done to them is notified."""

    backend: Backend

    def make(self, families: Collection[int] = BOTH) -> int:
        """An interface appears: these families on a new link."""

    def change(self, index: int, times: int = 1) -> int:
        """It gets another MTU, as many times; the last one."""

    def delete(self, index: int) -> None:
        """It goes away, link and all."""

    def stack(self) -> tuple[int, int]:
        """Two new links, one directly above the other."""

    def device(self, index: int) -> str:
        """The name of an interface's link."""

    def luid(self, index: int) -> int:
        """The LUID of an interface's link, as the system makes it."""

    @property
    def registrations(self) -> int:
        """Registrations that the system has."""


class KernelWorld:
    """Linux, in a network namespace that the calling thread has entered."""

    def __init__(self, namespace: Namespace) -> None:
        from exporter.notify.linux import LinuxBackend

        self.backend = LinuxBackend()
        self.namespace = namespace
        self._serial = itertools.count(1)
        self._devices: dict[int, str] = {}

    def make(self, families: Collection[int] = BOTH) -> int:
        """A bridge: one link without a peer. Below an MTU of 1280 there is no IPv6."""
        assert AF_INET in families
        mtu = 1500 if AF_INET6 in families else 1200
        return self._link(f"if{next(self._serial)}", f"mtu {mtu} type bridge")

    def change(self, index: int, times: int = 1) -> int:
        """By one process of ``ip``, so that many are a storm."""
        mtus = [next(_mtus) for _ in range(times)]
        self.namespace.batch(f"link set {self._devices[index]} mtu {mtu}" for mtu in mtus)
        return mtus[-1]

    def delete(self, index: int) -> None:
        """Delete the link."""
        self.namespace.ip(f"link del {self._devices.pop(index)}")

    def stack(self) -> tuple[int, int]:
        """A bridge and its port."""
        bridge = self.make()
        port = self._link("port", "type veth peer other")
        self.namespace.ip(f"link set port master {self._devices[bridge]}")
        return bridge, port

    def device(self, index: int) -> str:
        """The name it was given."""
        return self._devices[index]

    def luid(self, index: int) -> int:
        """The first life of an index: the interface type in the upper 16 bits, then the index."""
        return ETHERNET << 48 | index << 24

    @property
    def registrations(self) -> int:
        """Netlink sockets that are members of groups."""
        from support.netlink import subscribers  # which is there on Linux only

        return len(subscribers())

    def _link(self, name: str, kind: str) -> int:
        self.namespace.ip(f"link add {name} {kind}")
        index = self.namespace.index(name)
        self._devices[index] = name
        return index


class StandinWorld:
    """The stand-in iphlpapi: the .so on Linux, the .dll on Windows."""

    def __init__(self, standin: Standin) -> None:
        from exporter.notify.windows import IpHelperBackend

        self.backend = IpHelperBackend(standin.path)
        self.standin = standin
        self._serial = itertools.count(3)
        self._families: dict[int, Collection[int]] = {}

    def make(self, families: Collection[int] = BOTH) -> int:
        """A link, and an interface on it for each family."""
        index = next(self._serial)
        self._families[index] = families
        self.standin.put_link(index, self.device(index), Mtu=1500, AdminStatus=1, OperStatus=1)
        for family in families:
            self.standin.add(index, family, NlMtu=1500)
        return index

    def change(self, index: int, times: int = 1) -> int:
        """Every family, one after the other."""
        for _ in range(times):
            mtu = next(_mtus)
            for family in self._families[index]:
                self.standin.change(index, family, NlMtu=mtu)
        return mtu

    def delete(self, index: int) -> None:
        """The interfaces, then the link."""
        for family in self._families.pop(index):
            self.standin.delete(index, family)
        self.standin.remove(0, index)

    def stack(self) -> tuple[int, int]:
        """Any two."""
        higher, lower = self.make(), self.make()
        self.standin.put_pair(higher, lower)
        return higher, lower

    def device(self, index: int) -> str:
        """The alias."""
        return f"Ethernet {index}"

    def luid(self, index: int) -> int:
        """That of an Ethernet link."""
        return ETHERNET << 48 | index << 24

    @property
    def registrations(self) -> int:
        """Registrations that were not canceled."""
        return self.standin.registrations
