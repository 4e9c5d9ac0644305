"""Asks about links through the socket that listens, and waits for nothing.

Whoever asks on another socket gets a reply that is ahead of the notifications still queued,
or behind; nobody can say which. A reply in the same queue has its place (see `replies`).

The kernel replies at once, into the queue. Only an overrun loses a reply; a deadline has the
request repeated. Few requests are under way at a time, so that the replies do not overrun the
queue themselves; a dump never does, because the kernel goes on with it as the queue is emptied.

Source: https://man7.org/linux/man-pages/man7/netlink.7.html; net/netlink/af_netlink.c
"""

from __future__ import annotations

import errno
import logging
import os
import socket

from exporter.bindings import rtnetlink as nl
from exporter.logs import event
from exporter.sources.contract import Health
from exporter.sources.linux.links import LinkTable
from exporter.sources.linux.replies import Replies

log = logging.getLogger(__name__)

#: After so many seconds without a reply, or the next part of a dump, it is asked for again.
REPLY_SECONDS = 1.0
#: How often a dump is repeated because links came or went in the middle of it. Each finds what
#: the others have missed.
DUMP_TRIES = 3
_MOST_UNDER_WAY = 64
#: What the kernel counts for a reply about a link.
_REPLY_BYTES = 2304


class Requests:
    """Keeps what was asked, and hands the replies to a table of links. Thread: one."""

    def __init__(
        self,
        listener: socket.socket,
        table: LinkTable,
        health: Health,
        receive_buffer_bytes: int,
        *,
        in_order: bool = True,
    ) -> None:
        """Set up. `in_order`: whether the kernel queues replies about links in order."""
        self._listener = listener
        self._port = listener.getsockname()[0]
        self._table = table
        self._replies = Replies(table, in_order=in_order)
        self._health = health
        room = receive_buffer_bytes // (4 * _REPLY_BYTES)
        self._most = max(1, min(room, _MOST_UNDER_WAY))
        # Random, because a notification may carry the port and sequence of whoever caused it,
        # and in another network namespace a socket may have this one's port.
        self._first = int.from_bytes(os.urandom(4))
        self._last = 0  # the number of the latest request
        #: Requests about one link under way: index and deadline by the number of the request.
        self._under_way: dict[int, tuple[int, float]] = {}
        self._asked: set[int] = set()
        #: The number of the dump under way; 0: none.
        self._dump = 0
        self._dump_deadline = 0.0
        self._tries = 0
        self._interrupted = self._again = False
        #: Why the last dump came to nothing.
        self.error: OSError | None = None

    # -- asking -----------------------------------------------------------------------------

    @property
    def outstanding(self) -> bool:
        """Whether a reply may be in the queue."""
        return bool(self._dump or self._under_way)

    @property
    def listing(self) -> bool:
        """Whether a dump is under way, or requests that it has raised."""
        return bool(self._dump or self._again) or any(self._table.requests.values())

    def next_deadline(self) -> float | None:
        """Return when to call `ask` again, at the latest."""
        deadlines = [deadline for _, deadline in self._under_way.values()]
        if self._dump:
            deadlines.append(self._dump_deadline)
        return min(deadlines, default=None)

    def list_links(self, now: float) -> None:
        """Ask for all links. `listing` tells whether that is done, `error` whether it failed."""
        self.error = None
        self._tries = 0
        self._replies.begin_dump()
        self._begin_dump(now)

    def ask(self, now: float) -> None:
        """Send what is to be asked, and what was asked too long ago once more."""
        if self._dump and now >= self._dump_deadline:
            self._fail(TimeoutError(errno.ETIMEDOUT, "the kernel did not finish its list of links"))
        for request, (_, deadline) in list(self._under_way.items()):
            if now >= deadline:
                self._forget(request)
        if self._again:
            self._begin_dump(now)
        requests = self._table.requests
        if self._table.departing is not None:
            requests.setdefault(self._table.departing[1], False)
        for index in requests:
            if len(self._asked) >= self._most:
                break
            if index not in self._asked:
                self._ask_about(index, now)
        if not self.outstanding:
            self._table.expect_nothing()

    def forget(self) -> None:
        """Expect no more replies: an overrun may have lost them."""
        self._under_way.clear()
        self._asked.clear()
        self._dump, self._again = 0, False
        self._table.expect_nothing()

    def _begin_dump(self, now: float) -> None:
        self._again = self._interrupted = False
        self._tries += 1
        self._dump = self._next()
        self._dump_deadline = now + REPLY_SECONDS
        self._table.expect_reply(self._dump)
        try:
            self._listener.send(nl.link_request(self._sequence(self._dump)))
        except OSError as error:
            self._fail(error)

    def _ask_about(self, index: int, now: float) -> None:
        request = self._next()
        self._under_way[request] = index, now + REPLY_SECONDS
        self._asked.add(index)
        self._table.expect_reply(request, index)
        try:
            self._listener.send(nl.link_request(self._sequence(request), index))
        except OSError as error:  # the deadline will have it repeated
            self._failed_about(index, error)

    def _next(self) -> int:
        self._last += 1
        return self._last

    def _sequence(self, request: int) -> int:
        return (self._first + request) & 0xFFFFFFFF

    def _forget(self, request: int) -> int:
        index, _ = self._under_way.pop(request)
        self._asked.discard(index)
        return index

    # -- replies ----------------------------------------------------------------------------

    def is_reply(self, sequence: int, port: int) -> bool:
        """Return whether a message with these numbers is a reply to a request, forgotten or not."""
        return port == self._port and 0 < ((sequence - self._first) & 0xFFFFFFFF) <= self._last

    def receive(self, data: nl.Buffer, size: int) -> None:
        """Apply a datagram of replies."""
        for message in nl.messages(data, size):
            request = (message.sequence - self._first) & 0xFFFFFFFF
            if request == self._dump:
                self._dump_message(message, data)
            elif request in self._under_way:
                self._link_message(request, message, data)

    def _dump_message(self, message: nl.Message, data: nl.Buffer) -> None:
        self._interrupted |= bool(message.flags & nl.NLM_F_DUMP_INTR)
        self._dump_deadline = self._table.instant + REPLY_SECONDS
        if message.type in (nl.NLMSG_ERROR, nl.NLMSG_DONE):
            code = nl.error_code(data, message.start, message.end)
            if code:
                self._fail(OSError(code, os.strerror(code)))
            else:
                self._end_dump()
        elif message.type == nl.RTM_NEWLINK:
            link = nl.parse_link(data, message.start, message.end)
            if link is not None:
                self._replies.dump_part(link, self._dump)

    def _end_dump(self) -> None:
        self._dump = 0
        if self._interrupted and self._tries < DUMP_TRIES:
            self._again = True
        else:
            self._replies.end_dump()

    def _link_message(self, request: int, message: nl.Message, data: nl.Buffer) -> None:
        index = self._forget(request)
        if message.type == nl.NLMSG_ERROR:
            code = nl.error_code(data, message.start, message.end)
            if code == errno.ENODEV:
                self._replies.no_link(index, request)
            else:
                self._failed_about(index, OSError(code, os.strerror(code)))
                self._under_way[request] = index, self._table.instant + REPLY_SECONDS
                self._asked.add(index)
        elif message.type == nl.RTM_NEWLINK:
            link = nl.parse_link(data, message.start, message.end)
            if link is not None:
                self._replies.link(link, request)

    def _fail(self, error: OSError) -> None:
        self._dump, self._again = 0, False
        self.error = error

    def _failed_about(self, index: int, error: OSError) -> None:
        self._health.count_error("read")
        event(
            log, logging.WARNING, "Reading a link failed, trying again", ifindex=index, error=error
        )
