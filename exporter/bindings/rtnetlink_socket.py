"""rtnetlink sockets: one that listens, and one that asks and waits. Linux only; no privileges.

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
_SO_MEMINFO, _SK_MEMINFO_DROPS, _SO_NETNS_COOKIE = 55, 8, 71

#: Larger than any datagram the kernel sends: dumps come in at most 32 KiB.
DATAGRAM_BYTES = 65536

#: How often a dump is repeated because links came or went during it.
_DUMP_TRIES = 5


def open_socket() -> socket.socket:
    """Open a socket of rtnetlink, not bound. Raises OSError, which names what may forbid it."""
    try:
        return socket.socket(AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)
    except OSError as error:
        if error.errno not in (errno.EAFNOSUPPORT, errno.EPERM, errno.EACCES):
            raise
        allow = "allow AF_NETLINK: RestrictAddressFamilies= of a systemd unit, seccomp profile"
        raise OSError(error.errno, f"netlink socket: {error.strerror}; {allow}") from None


def dropped(listener: socket.socket) -> int | None:
    """Read how many messages the kernel could not queue on this socket, since it was made.

    ``None`` on kernels without SO_MEMINFO (before 4.12).
    """
    try:
        info = listener.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * (_SK_MEMINFO_DROPS + 1))
    except OSError:
        return None
    return int.from_bytes(info[4 * _SK_MEMINFO_DROPS :], sys.byteorder)


def namespace_id(netlink: socket.socket) -> int:
    """Identify the network namespace of a socket: no two have the same number until a reboot.

    Kernels before 5.14 have no SO_NETNS_COOKIE; there it is the inode of the calling thread's
    namespace, which a later namespace may get again.
    """
    try:
        cookie = netlink.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
    except OSError:
        return os.stat("/proc/thread-self/ns/net").st_ino
    return int.from_bytes(cookie, sys.byteorder)


def subscribe(groups: Iterable[int], receive_buffer_bytes: int) -> tuple[socket.socket, int]:
    """Make a non-blocking socket that is a member of `groups`; return its buffer in bytes, too.

    SO_RCVBUFFORCE is tried first (it needs CAP_NET_ADMIN in the initial namespace's sense),
    then SO_RCVBUF, which the kernel caps at net.core.rmem_max. The kernel doubles the figure
    to account for its own overhead; the doubled, usable one is returned. Raises OSError.
    """
    listener = open_socket()
    _listeners.add(listener)
    try:
        listener.settimeout(0)
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
    """Takes as many datagrams off a socket as there are in one call: 2 µs less for each.

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
        """Return of each datagram a buffer, valid until the next call, its size, and its sender.

        The size may be beyond `DATAGRAM_BYTES`: then it was truncated. The kernel is sender 0.
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
    """Asks rtnetlink and waits for the replies, on a socket of its own. Thread: one at a time.

    Its replies have no order among the notifications that another socket receives.
    """

    #: The kernel replies at once or not at all; this only bounds a kernel bug. Seconds.
    TIMEOUT = 10.0

    def __init__(self) -> None:
        self._socket = open_socket()
        self._socket.settimeout(self.TIMEOUT)
        self._socket.bind((0, 0))
        #: The network namespace. Kept, because `namespace_id` may tell that of the calling thread.
        self.namespace_id = namespace_id(self._socket)
        self._sequence = 0

    def close(self) -> None:
        """Release the socket."""
        self._socket.close()

    def _ask(
        self, request: Callable[[int], bytes], wanted: bytes = b""
    ) -> Iterator[tuple[bytes, nl.Message]]:
        """Yield every message of the reply, the end of a dump among them. Raises OSError.

        Datagrams in which the bytes `wanted` are not, nor the end, are left out.
        """
        self._sequence += 1
        self._socket.send(request(self._sequence))
        while True:
            data = self._socket.recv(DATAGRAM_BYTES)
            if wanted not in data and not nl.ends(data, len(data)):
                continue
            for message in nl.messages(data, len(data)):
                if message.sequence != self._sequence:
                    continue  # left over from a request that timed out
                if message.type in (nl.NLMSG_ERROR, nl.NLMSG_DONE):
                    code = nl.error_code(data, message.start, message.end)
                    if code:
                        raise OSError(code, os.strerror(code))
                yield data, message
                if message.type in (nl.NLMSG_ERROR, nl.NLMSG_DONE):
                    return
                if not message.flags & nl.NLM_F_MULTI:
                    return

    def link(self, index: int) -> nl.LinkMessage | None:
        """Read one link as it is now; ``None`` when there is none. Raises OSError otherwise."""
        try:
            replies = list(self._ask(lambda sequence: nl.link_request(sequence, index)))
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        data, message = replies[0]
        return nl.parse_link(data, message.start, message.end)

    def links(self) -> list[nl.LinkMessage]:
        """Read all links. Raises OSError.

        A dump in the middle of which links came or went may lack others (NLM_F_DUMP_INTR), so it
        is repeated. If links come and go all the time, the result is what all the dumps
        together have found: a link that came or went meanwhile is in it or not.
        """
        found: dict[int, nl.LinkMessage] = {}
        for _ in range(_DUMP_TRIES):
            dumped: dict[int, nl.LinkMessage] = {}
            interrupted = 0
            for data, message in self._ask(nl.link_request):
                interrupted |= message.flags & nl.NLM_F_DUMP_INTR
                if message.type == nl.RTM_NEWLINK:
                    link = nl.parse_link(data, message.start, message.end)
                    if link is not None:
                        dumped[link.ifindex] = link
            if not interrupted:
                return list(dumped.values())
            found |= dumped
        return list(found.values())

    def neighbor_parameters_of(self, family: int, index: int) -> nl.NeighborParameters | None:
        """Read the neighbor timers of one IP interface; ``None`` if it has none. Raises OSError.

        The kernel can only list the table of a family, so what is about others is not parsed, and
        the list is not read to its end: ask nothing more after that, it could reply EBUSY.
        """
        wanted = nl.neighbor_table_index(index)
        for data, message in self._ask(lambda seq: nl.neighbor_table_request(seq, family), wanted):
            if data.find(wanted, message.start, message.end) >= 0:
                parameters = nl.parse_neighbor_table(data, message.start, message.end)
                if parameters is not None and parameters.ifindex == index:
                    return parameters
        return None

    def neighbor_parameters(self) -> list[nl.NeighborParameters]:
        """Read the neighbor timers of all IP interfaces and of the default sets (index 0).

        Raises OSError.
        """
        found = []
        for data, message in self._ask(nl.neighbor_table_request):
            if message.type == nl.RTM_NEWNEIGHTBL:
                parameters = nl.parse_neighbor_table(data, message.start, message.end)
                if parameters is not None:
                    found.append(parameters)
        return found
