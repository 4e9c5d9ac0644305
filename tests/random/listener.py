"""An independent reader of rtnetlink: what the kernel sent, in its order, with nothing left out.

It shares no code with `exporter`, so that one mistake cannot be in both.

Source: https://man7.org/linux/man-pages/man7/rtnetlink.7.html
"""

import socket
import struct
import sys
import threading
from collections.abc import Iterator
from typing import NamedTuple, Self

assert sys.platform == "linux"  # for mypy: AF_NETLINK does not exist elsewhere

NEWLINK, DELLINK, NEWADDR, DELADDR, NEWNETCONF, DELNETCONF = 16, 17, 20, 21, 80, 81
_GETLINK, _GETNETCONF, _DONE, _ERROR = 18, 82, 3, 2
_REQUEST, _DUMP, _DUMP_INTERRUPTED = 0x1, 0x300, 0x10
UNSPEC, INET, BRIDGE, INET6 = 0, 2, 7, 10

UP, RUNNING, SLAVE, LOWER_UP = 0x1, 0x40, 0x800, 0x10000
_IF_READY = 0x80000000
_DEVCONF_FORWARDING, _DEVCONF_MTU6, _DEVCONF_DISABLE_IPV6 = 0, 2, 26

#: LINK, IPV4_IFADDR, IPV6_IFADDR, IPV6_IFINFO, IPV4_NETCONF, IPV6_NETCONF.
_GROUPS = (1, 5, 9, 12, 24, 25)
_SO_RCVBUFFORCE = 33
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
#: Enough for a round's messages, also while this process does not run.
_BUFFER_BYTES = 512 << 20


class Message(NamedTuple):
    """One message about one link. ``None``: it does not say."""

    type: int
    family: int
    index: int
    flags: int = 0
    name: str | None = None
    mtu: int | None = None
    kind: str = ""
    alias: str = ""
    address: str = ""
    #: (IFLA_CARRIER_UP_COUNT, IFLA_CARRIER_DOWN_COUNT).
    carrier_counts: tuple[int, int] | None = None
    #: netif_carrier_ok, also while the link is down.
    carrier: bool | None = None
    #: The families in IFLA_AF_SPEC.
    families: frozenset[int] = frozenset()
    forwarding4: int | None = None
    forwarding6: int | None = None
    mtu6: int | None = None
    ready6: bool | None = None
    disabled6: bool | None = None

    def __str__(self) -> str:
        names = {v: k for k, v in globals().items() if k in _TYPE_NAMES}
        parts = [f"{self.index:>4}", names.get(self.type, str(self.type)), f"family {self.family}"]
        bits = ("UP", UP), ("LOWER_UP", LOWER_UP), ("RUNNING", RUNNING), ("SLAVE", SLAVE)
        parts += [name for name, bit in bits if self.flags & bit]
        parts += [
            f"{name} {value}"
            for name, value in zip(self._fields[4:], self[4:], strict=True)
            if value is not None and value != "" and value != frozenset()
        ]
        return " ".join(parts)


_TYPE_NAMES = ("NEWLINK", "DELLINK", "NEWADDR", "DELADDR", "NEWNETCONF", "DELNETCONF")


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= 4:
        length, type_ = struct.unpack_from("=HH", data)
        if length < 4:
            break
        found[type_ & 0x3FFF] = data[4:length]
        data = data[(length + 3) & ~3 :]
    return found


def _u32(data: bytes | None, position: int = 0) -> int | None:
    if data is None or len(data) < 4 * position + 4:
        return None
    value: int = struct.unpack_from("=I", data, 4 * position)[0]
    return value


def _text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("utf-8", "replace")


def _link(message_type: int, body: bytes) -> Message:
    family, index, flags = struct.unpack_from("=BxxxiI", body)
    attributes = _attributes(body[16:])
    spec = _attributes(attributes.get(26, b""))
    if family == INET6:
        spec = {INET6: attributes.get(12, b"")}
    inet, inet6 = _attributes(spec.get(INET, b"")), _attributes(spec.get(INET6, b""))
    up, down, carrier = _u32(attributes.get(47)), _u32(attributes.get(48)), attributes.get(33)
    flags6, disabled6 = _u32(inet6.get(1)), _u32(inet6.get(2), _DEVCONF_DISABLE_IPV6)
    return Message(
        message_type,
        family,
        index,
        flags,
        name=_text(attributes[3]) if 3 in attributes else None,
        mtu=_u32(attributes.get(4)),
        kind=_text(_attributes(attributes.get(18, b"")).get(1, b"")),
        alias=_text(attributes.get(20, b"")),
        address=attributes.get(1, b"").hex(":"),
        carrier_counts=None if up is None or down is None else (up, down),
        carrier=None if carrier is None else carrier != b"\0",
        families=frozenset(spec),
        forwarding4=_u32(inet.get(1), _DEVCONF_FORWARDING),
        forwarding6=_u32(inet6.get(2), _DEVCONF_FORWARDING),
        mtu6=_u32(inet6.get(2), _DEVCONF_MTU6),
        ready6=None if flags6 is None else bool(flags6 & _IF_READY),
        disabled6=None if disabled6 is None else bool(disabled6),
    )


def _netconf(message_type: int, body: bytes) -> Message:
    attributes = _attributes(body[4:])
    index = struct.unpack("=i", attributes.get(1, b"\0\0\0\0"))[0]
    forwarding = {f"forwarding{4 if body[0] == INET else 6}": _u32(attributes.get(2))}
    return Message(message_type, body[0], index, **forwarding)  # type: ignore[arg-type]


def _address(message_type: int, body: bytes) -> Message:
    family, index = struct.unpack_from("=BxxxI", body)
    return Message(message_type, family, index)


_PARSERS = {
    NEWLINK: _link,
    DELLINK: _link,
    NEWNETCONF: _netconf,
    DELNETCONF: _netconf,
    NEWADDR: _address,
    DELADDR: _address,
}


def _split(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The type, flags and body of each message of a datagram."""
    while len(data) >= 16:
        length, message_type, flags = struct.unpack_from("=IHH", data)
        yield message_type, flags, data[16:length]
        data = data[(length + 3) & ~3 :]


class Interrupted(Exception):
    """Links came or went while they were listed."""


def listing() -> list[Message]:
    """All links, and a NEWNETCONF for each IP interface, of this thread's network namespace.

    Raises Interrupted.
    """
    found = []
    link_body = struct.pack("=BxHiII", 0, 0, 0, 0, 0)
    for message_type, body in ((_GETLINK, link_body), (_GETNETCONF, bytes([INET, 0, 0, 0])),
                       (_GETNETCONF, bytes([INET6, 0, 0, 0]))):  # fmt: skip
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as asking:
            asking.bind((0, 0))
            header = struct.pack("=IHHII", 16 + len(body), message_type, _REQUEST | _DUMP, 1, 0)
            asking.sendto(header + body, (0, 0))
            found += [
                message
                for message in _dump(asking)
                # Without IPv6 in the kernel, IPv4 replies for it.
                if message_type == _GETLINK or (message.family == body[0] and message.index > 0)
            ]
    return found


def _dump(asking: socket.socket) -> Iterator[Message]:
    while True:
        for message_type, flags, body in _split(asking.recv(1 << 18)):
            if flags & _DUMP_INTERRUPTED:
                raise Interrupted
            if message_type in (_DONE, _ERROR):
                return
            yield _PARSERS[message_type](message_type, body)


class Listener:
    """Collects every message of the network namespace of the thread that makes it.

    Use it as a context manager. `messages` grows; the first ones are what existed.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        self._socket.bind((0, 0))
        for group in _GROUPS:
            self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        self._closing = threading.Event()
        #: What existed, then every message, in the kernel's order. Only appended to.
        self.messages = listing()
        #: What ended the reading too early: an overrun, or a defect.
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._read, name="listener", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        self._socket.close()

    def _read(self) -> None:
        self._socket.settimeout(0.05)
        try:
            while not self._closing.is_set():
                try:
                    data = self._socket.recv(1 << 18)
                except TimeoutError:
                    continue
                self.messages += [
                    _PARSERS[message_type](message_type, body)
                    for message_type, _, body in _split(data)
                    if message_type in _PARSERS
                ]
        except Exception as error:  # noqa: BLE001 - the round fails with it
            self.failure = error
