"""Every kind of link, and how to make one: ``west``, and the links that it needs."""

import fcntl
import os
import platform
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from support.namespace import Namespace

Action = Callable[[Namespace], object]

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_TAP, _IFF_NO_PI = 0x0001, 0x0002, 0x1000


def ip(*commands: str) -> Action:
    """The action of ``ip`` commands."""
    return lambda namespace: [namespace.ip(command) for command in commands]


class LinkKind(NamedTuple):
    """A kind of link."""

    name: str
    make: Action
    #: What takes the carrier away, and what gives it back, if anything does.
    carrier: tuple[Action, Action] | None = None
    #: What the kernel calls it.
    info_kind: str = ""


class _Queue:
    """The program that holds a tun or tap device, which has a carrier while it runs."""

    def __init__(self, mode: int) -> None:
        self._mode = mode
        self._descriptor: int | None = None

    def attach(self, namespace: Namespace) -> None:
        with namespace.enter():
            self._descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        request = struct.pack("16sH22x", b"west", self._mode | _IFF_NO_PI)
        fcntl.ioctl(self._descriptor, _TUNSETIFF, request)

    def detach(self, _namespace: Namespace) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _tuntap(name: str, mode: int) -> LinkKind:
    queue = _Queue(mode)

    def make(namespace: Namespace) -> None:
        queue.detach(namespace)  # of a test that failed
        namespace.ip(f"tuntap add name west mode {name}")
        queue.attach(namespace)

    return LinkKind(name, make, (queue.detach, queue.attach), "tun")


def _alone(name: str, options: str = "", *before: str) -> LinkKind:
    """A link that always has its carrier."""
    return LinkKind(name, ip(*before, f"link add name west type {name} {options}"))


def _pair(name: str) -> LinkKind:
    """A link that has its carrier from its peer."""
    make = ip(f"link add name west type {name} peer name east", "link set east up")
    return LinkKind(name, make, (ip("link set east down"), ip("link set east up")))


_FAR = (ip("link set far down"), ip("link set far up"))


def _above(name: str, options: str = "") -> LinkKind:
    """A link that has its carrier from the one below it."""
    lower = "link add name lower type veth peer name far", "link set far up", "link set lower up"
    make = ip(*lower, f"link add link lower name west type {name} {options}")
    return LinkKind(name, make, _FAR)


def _over_a_port(name: str, options: str = "", *, follows: bool = True) -> LinkKind:
    """A link that has its carrier from its port, or one that does not follow it."""
    port = "link add name port type veth peer name far", "link set far up"
    # A bond takes only ports that are down, and sets them up itself.
    join = "link set port master west", "link set port up"
    make = ip(*port, f"link add name west type {name} {options}", *join)
    return LinkKind(name, make, _FAR if follows else None)


def _ring() -> LinkKind:
    """A link that sends every frame both ways round, and has its carrier from either way."""
    pairs = "link add name one type veth peer name far", "link add name two type veth peer name end"
    ups = [f"link set {name} up" for name in ("one", "two", "far", "end")]
    make = ip(*pairs, *ups, "link add name west type hsr slave1 one slave2 two")
    lose = ip("link set far down", "link set end down")
    return LinkKind("hsr", make, (lose, ip("link set end up")))


def _tunnel(name: str, options: str = "", version: int = 4) -> LinkKind:
    """A link between two addresses."""
    near, far = ("192.0.2.1", "192.0.2.2") if version == 4 else ("2001:db8::1", "2001:db8::2")
    length = "24" if version == 4 else "64 nodad"
    before = "link set lo up", f"address add {near}/{length} dev lo"
    return _alone(name, f"local {near} remote {far} {options}", *before)


KINDS = (
    _alone("dummy"),
    _alone("ifb"),
    _alone("vrf", "table 10"),
    _alone("nlmon"),
    _alone("vsockmon"),
    _alone("vcan"),
    _alone("wireguard"),
    _alone("vxlan", "id 5 dstport 4789"),
    _alone("geneve", "id 5 remote 192.0.2.2"),
    _alone("bareudp", "dstport 6635 ethertype ip"),
    _alone("xfrm", "dev lo if_id 5"),
    _alone("ovpn", "mode mp"),  # of two modes the one that has a carrier without a peer
    _pair("veth"),
    _pair("netkit"),
    _pair("vxcan"),
    _tuntap("tun", _IFF_TUN),
    _tuntap("tap", _IFF_TAP),
    _over_a_port("bridge"),
    _over_a_port("bond", "mode active-backup miimon 50"),
    _over_a_port("team"),
    _over_a_port("batadv", follows=False),
    _ring(),
    _above("vlan", "id 7"),
    _above("macvlan", "mode bridge"),
    _above("macvtap", "mode bridge"),
    _above("ipvlan", "mode l2"),
    _above("ipvtap", "mode l2"),
    _above("macsec"),
    _tunnel("gre"),
    _tunnel("gretap"),
    _tunnel("erspan", "seq key 5 erspan_ver 1 erspan 5"),
    _tunnel("ipip"),
    _tunnel("sit"),
    _tunnel("vti", "key 5"),
    _tunnel("ip6tnl", version=6),
    _tunnel("ip6gre", version=6),
    _tunnel("ip6gretap", version=6),
    _tunnel("ip6erspan", "seq key 5 erspan_ver 1 erspan 5", version=6),
    _tunnel("vti6", "key 5", version=6),
)

#: Kinds that any machine of today has, if it runs containers.
COMMON = frozenset({"veth", "bridge", "tun", "tap", "macvlan", "macvtap", "vxlan", "ifb"})

#: Kinds that ``ip`` alone cannot make, and what it takes.
UNMADE = {
    "can": "a CAN controller",
    "gtp": "a daemon that keeps its sockets open",
    "ipoib": "an InfiniBand adapter",
    "lowpan": "an IEEE 802.15.4 radio",
    "ppp": "a daemon that keeps /dev/ppp open",
}


def listed() -> frozenset[str]:
    """Return the kinds that the modules of the running kernel declare.

    None where the kernel has no list, in a container for example. ``tun`` is not in it.
    """
    folder, found = Path("/lib/modules", platform.release()), set[bytes]()
    for name in ("modules.alias", "modules.builtin.modinfo"):
        if (folder / name).exists():
            found.update(re.findall(rb"alias[ =]rtnl-link-(\w+)", (folder / name).read_bytes()))
    return frozenset(kind.decode() for kind in found)
