"""Datagrams taken off a socket, many at once."""

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requirements_here import require

pytest.importorskip("resource", reason="there is no recvmmsg on Windows")

from exporter.bindings.rtnetlink_socket import (
    AF_NETLINK,
    DATAGRAM_BYTES,
    NETLINK_ROUTE,
    Receiver,
)


def drained(receiver: Receiver) -> Iterator[tuple[bytes, int, int]]:
    """What the socket holds, until it is empty."""
    while True:
        try:
            datagrams = receiver.receive()
        except BlockingIOError:
            return
        for data, size, sender in datagrams:
            yield bytes(data[:size]), size, sender


@given(sizes=st.lists(st.sampled_from([0, 1, 700, 1500, 32768, DATAGRAM_BYTES]), max_size=100))
def test_all_datagrams_come_in_order(sizes: list[int]) -> None:
    """Each datagram comes once, whole and in order, however many are waiting."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        receiver = Receiver(ours)
        sent, received = [], []
        for number, size in enumerate(sizes):
            body = bytes([number]) * size
            try:
                theirs.send(body)
            except BlockingIOError:  # it holds no more
                received += [body for body, _, _ in drained(receiver)]
                theirs.send(body)
            sent.append(body)
        received += [body for body, _, _ in drained(receiver)]
        assert received == sent


def test_what_does_not_fit_tells_its_size() -> None:
    """Of a datagram beyond the buffer the beginning is there, and its real size."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        ours.setblocking(False)
        theirs.send(b"x" * (DATAGRAM_BYTES + 1))
        theirs.send(b"next")
        first, second = Receiver(ours).receive()
        assert (bytes(first[0]), first[1]) == (b"x" * DATAGRAM_BYTES, DATAGRAM_BYTES + 1)
        assert bytes(second[0][: second[1]]) == b"next"


def test_the_sender_is_told() -> None:
    """Of a netlink datagram the port of its sender is known: the kernel's is 0."""
    with (
        socket.socket(AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE) as ours,
        socket.socket(AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE) as theirs,
    ):
        ours.setblocking(False)
        ours.bind((0, 0))
        theirs.bind((0, 0))
        try:
            theirs.sendto(b"not from the kernel", (ours.getsockname()[0], 0))
        except PermissionError:
            require(False, "CAP_NET_ADMIN, to send to another netlink socket")
        ((data, size, sender),) = drained(Receiver(ours))
        assert (data, size, sender) == (b"not from the kernel", 19, theirs.getsockname()[0])


def test_an_error_of_the_socket_is_raised() -> None:
    """A call that fails raises OSError with the kernel's reason."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as unconnected:
        unconnected.setblocking(False)
        with pytest.raises(OSError, match="not connected"):
            Receiver(unconnected).receive()
