"""The two rtnetlink sockets: one that listens, one that asks. Linux only; no privileges needed.

Source: https://man7.org/linux/man-pages/man7/netlink.7.html
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from weakref import WeakSet

from exporter.bindings import rtnetlink as nl

# Linux' numbers, because the socket module has some of them only there, and some nowhere.
AF_NETLINK, NETLINK_ROUTE = 16, 0
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, SO_RCVBUFFORCE = 270, 1, 33
_SO_MEMINFO, _SK_MEMINFO_DROPS = 55, 8

#: Larger than any datagram the kernel sends: dumps come in at most 32 KiB.
DATAGRAM_BYTES = 65536


class DumpInterrupted(Exception):
    """The table changed while it was listed (NLM_F_DUMP_INTR): the listing may have holes."""


def dropped(listener: socket.socket) -> int | None:
    """How many messages the kernel could not queue on this socket, since it was made.

    ``None`` on kernels without SO_MEMINFO (before 4.12).
    """
    try:
        info = listener.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * (_SK_MEMINFO_DROPS + 1))
    except OSError:
        return None
    return int.from_bytes(info[4 * _SK_MEMINFO_DROPS :], sys.byteorder)


def subscribe(groups: Iterable[int], receive_buffer_bytes: int) -> tuple[socket.socket, int]:
    """A non-blocking socket that is a member of `groups`, and its effective buffer in bytes.

    SO_RCVBUFFORCE is tried first (it needs CAP_NET_ADMIN in the initial namespace's sense),
    then SO_RCVBUF, which the kernel caps at net.core.rmem_max. The kernel doubles the figure
    to account for its own overhead; what is returned is that doubled, usable one.
    Raises OSError.
    """
    listener = socket.socket(AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)
    _listeners.add(listener)
    try:
        listener.setblocking(False)
        try:
            listener.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, receive_buffer_bytes)
        except PermissionError:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        listener.bind((0, 0))
        for group in groups:
            listener.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
        return listener, listener.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    except OSError:
        listener.close()
        raise


#: A forked child closes its copies: nobody receives there, and when the parent has closed its
#: own, the kernel would go on to fill the buffer of the child's.
_listeners: WeakSet[socket.socket] = WeakSet()


def _close_in_child() -> None:
    for listener in list(_listeners):
        listener.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)


class _Iovec(ctypes.Structure):
    _fields_ = [("iov_base", ctypes.c_void_p), ("iov_len", ctypes.c_size_t)]


class _Msghdr(ctypes.Structure):
    _fields_ = [
        ("msg_name", ctypes.c_void_p),
        ("msg_namelen", ctypes.c_uint),
        ("msg_iov", ctypes.POINTER(_Iovec)),
        ("msg_iovlen", ctypes.c_size_t),
        ("msg_control", ctypes.c_void_p),
        ("msg_controllen", ctypes.c_size_t),
        ("msg_flags", ctypes.c_int),
    ]


class _Mmsghdr(ctypes.Structure):
    _fields_ = [("msg_hdr", _Msghdr), ("msg_len", ctypes.c_uint)]


_SOCKADDR_NL_BYTES = 12
#: Enough that a call costs little for each; all of their first pages stay in the cache.
_SLOTS = 32


def _address(buffer: mmap.mmap | bytearray) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


class Receiver:
    """Takes datagrams off a socket, as many as there are in one call: 2 µs less for each.

    Source: https://man7.org/linux/man-pages/man2/recvmmsg.2.html. Thread: one.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._file = listener.fileno()
        self._call = ctypes.CDLL(None, use_errno=True).recvmmsg
        # Unlike a bytearray it takes no memory where no datagram was ever large enough for it.
        data = mmap.mmap(-1, _SLOTS * DATAGRAM_BYTES)
        self._names = bytearray(_SLOTS * _SOCKADDR_NL_BYTES)
        self._headers = (_Mmsghdr * _SLOTS)()
        self._iovecs = (_Iovec * _SLOTS)()
        base, name = _address(data), _address(self._names)
        for slot, (message, iovec) in enumerate(zip(self._headers, self._iovecs, strict=True)):
            header = message.msg_hdr
            iovec.iov_base, iovec.iov_len = base + slot * DATAGRAM_BYTES, DATAGRAM_BYTES
            header.msg_name = name + slot * _SOCKADDR_NL_BYTES
            header.msg_namelen = _SOCKADDR_NL_BYTES
            header.msg_iov, header.msg_iovlen = ctypes.pointer(iovec), 1
        view = memoryview(data)
        self._slots = [view[i * DATAGRAM_BYTES :][:DATAGRAM_BYTES] for i in range(_SLOTS)]
        at, rest = _Mmsghdr.msg_len.offset, ctypes.sizeof(_Mmsghdr) - _Mmsghdr.msg_len.offset - 4
        self._sizes = struct.Struct("=" + f"{at}xI{rest}x" * _SLOTS).unpack_from
        self._senders = struct.Struct("=" + "4xI4x" * _SLOTS).unpack_from  # struct sockaddr_nl

    def receive(self) -> Iterable[tuple[memoryview, int, int]]:
        """Of each datagram: a buffer, valid until the next call, its size, and who sent it.

        The size may be beyond `DATAGRAM_BYTES`: then it was truncated. The kernel is 0.
        Raises OSError; BlockingIOError when there is none.
        """
        count: int = self._call(self._file, self._headers, _SLOTS, socket.MSG_TRUNC, None)
        if count < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return zip(
            self._slots[:count],
            self._sizes(self._headers),
            self._senders(self._names),
            strict=False,
        )


class Requester:
    """Asks rtnetlink questions and waits for the answers. Thread: one at a time."""

    #: The kernel answers at once or not at all; this only bounds a kernel bug. Seconds.
    TIMEOUT = 10.0

    def __init__(self) -> None:
        self._socket = socket.socket(AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)
        self._socket.settimeout(self.TIMEOUT)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        """Release the socket."""
        self._socket.close()

    def _ask(self, request: Callable[[int], bytes]) -> Iterator[tuple[bytes, nl.Message]]:
        """Every message of the answer. Raises OSError with the kernel's errno."""
        self._sequence += 1
        self._socket.send(request(self._sequence))
        interrupted = False
        while True:
            data = self._socket.recv(DATAGRAM_BYTES)
            for message in nl.messages(data, len(data)):
                if message.sequence != self._sequence:
                    continue  # left over from a question that timed out
                interrupted = interrupted or bool(message.flags & nl.NLM_F_DUMP_INTR)
                if message.type in (nl.NLMSG_ERROR, nl.NLMSG_DONE):
                    code = nl.error_code(data, message.start, message.end)
                    if code:
                        raise OSError(code, os.strerror(code))
                    if interrupted:
                        raise DumpInterrupted
                    return
                yield data, message
                if not message.flags & nl.NLM_F_MULTI:
                    return

    def _one(self, request: Callable[[int], bytes]) -> tuple[bytes, nl.Message] | None:
        """The single message that answers; ``None`` when the kernel knows no such thing."""
        try:
            return next(iter(list(self._ask(request))), None)
        except OSError as error:
            # EINVAL: the link exists but has no such family.
            if error.errno in (errno.ENODEV, errno.EINVAL):
                return None
            raise

    def link(self, index: int) -> nl.LinkMessage | None:
        """One link as it is now; ``None`` when there is none. Raises OSError otherwise."""
        answer = self._one(lambda sequence: nl.link_request(sequence, index))
        if answer is None:
            return None
        data, message = answer
        return nl.parse_link(data, message.start, message.end)

    def links(self) -> list[nl.LinkMessage]:
        """All links. Raises OSError and `DumpInterrupted`."""
        found = []
        for data, message in self._ask(nl.link_request):
            link = nl.parse_link(data, message.start, message.end)
            if link is not None:
                found.append(link)
        return found

    def has_netconf(self, family: int, index: int) -> bool:
        """Whether the IP interface exists. `family`: AF_INET or AF_INET6. Raises OSError."""
        return self._one(lambda sequence: nl.netconf_request(sequence, family, index)) is not None

    def netconfs(self, family: int) -> list[nl.NetconfMessage]:
        """All IP interfaces of a family. Raises OSError and `DumpInterrupted`."""
        found = []
        for data, message in self._ask(lambda sequence: nl.netconf_request(sequence, family)):
            netconf = nl.parse_netconf(data, message.start, message.end)
            # A kernel without this family answers for all the others instead.
            if netconf is None or netconf.family != family:
                continue
            if netconf.ifindex > 0:  # -1 is "all", -2 is "default"
                found.append(netconf)
        return found

    def neighbour_parameters(self) -> list[nl.NeighbourParameters]:
        """The neighbour timers of all IP interfaces and of the default sets (index 0)."""
        found = []
        for data, message in self._ask(nl.neighbour_table_request):
            parameters = nl.parse_neighbour_table(data, message.start, message.end)
            if parameters is not None:
                found.append(parameters)
        return found
