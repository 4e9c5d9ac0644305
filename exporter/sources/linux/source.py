"""The Linux source: one rtnetlink socket that listens, one that asks, and what to do on loss.

Subscribe, then list, then drain: in any other order a change falls between. A listing is
used when nothing was said while it was made: a message that is older, applied on top of it,
turns a link back to what it was, and forth again. In a storm without any pause that has to
be accepted; the last message about a link is its newest state all the same.

Loss is possible and is never silent. When the socket's buffer overflows, the next receive
fails with ENOBUFS, once; until the queue is *empty* the kernel drops everything that comes,
without another word. So: drain to the end first (what is queued is older and still true),
then list, and pass on the differences as inferred notifications. NETLINK_NO_ENOBUFS, which
some set to be rid of the error, loses the same messages and does not say so.

Some settings change without any message (accept_ra, dad_transmits, disable_ipv6 on a link
without addresses, IPv4 neighbour timers). A comparison every minute finds those.

Source: https://man7.org/linux/man-pages/man7/netlink.7.html; net/netlink/af_netlink.c
"""

from __future__ import annotations

import errno
import logging
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

from exporter.bindings import rtnetlink as nl
from exporter.bindings.rtnetlink_socket import (
    DATAGRAM_BYTES,
    Receiver,
    Requester,
    dropped,
    subscribe,
)
from exporter.clock import SYSTEM, Clock
from exporter.model import FAMILIES, Family, Interface, Notification, NotificationType
from exporter.sources.contract import Health, SourceClosed
from exporter.sources.linux.links import LinkTable
from exporter.sources.linux.listing import AF, Key, Listing, take_listing
from exporter.sources.linux.transition_cache import Repeats

assert sys.platform == "linux"  # for mypy: the rest does not exist elsewhere

log = logging.getLogger(__name__)

GROUPS = (
    nl.RTNLGRP_LINK,
    nl.RTNLGRP_IPV4_IFADDR,
    nl.RTNLGRP_IPV6_IFADDR,
    nl.RTNLGRP_IPV6_IFINFO,
    nl.RTNLGRP_IPV4_NETCONF,
    nl.RTNLGRP_IPV6_NETCONF,
)

#: Messages handed on at once: large enough to amortise a wake-up, small enough (about 10 ms
#: of work) that a scrape sees a storm as it goes on.
BATCH_MESSAGES = 1024
#: Silence after which an undecided message (see `LinkTable.unsettled`) is decided by asking.
SETTLE_SECONDS = 0.02
#: At most one resync a second: a listing of 4,000 links costs 25 ms and must not become a load.
RESYNC_SECONDS = 1.0
RECONCILE_SECONDS = 60.0
#: In a storm the queue is emptied once in so many seconds: each time costs as much as five
#: messages. Time stamps are then exact to that. What happens in calm, and the first so many
#: times in a row, goes without a pause.
PAUSE_SECONDS = 0.002
UNPAUSED = 50
#: The kernel's fullest: 187,000 messages a second, each of which it counts as 2,304 bytes. No
#: pause is so long that they fill more than a quarter of the receive buffer.
FULLEST_BYTES_PER_SECOND = 187_000 * 2304
#: How often a listing is made again because something was said meanwhile.
QUIET_TRIES = 5


def longest_pause(receive_buffer_bytes: int) -> float:
    """How long messages may be let gather in a receive buffer. Unit: seconds."""
    return min(PAUSE_SECONDS, receive_buffer_bytes / FULLEST_BYTES_PER_SECOND / 4)


class LinuxSource:
    """Notifications of this process' network namespace. See `contract.Source`."""

    backend = "rtnetlink"

    def __init__(
        self,
        family: Family = Family.UNSPEC,
        receive_buffer_bytes: int = 32 << 20,
        clock: Clock = SYSTEM,
    ) -> None:
        self.health = Health(
            messages=dict.fromkeys(nl.MESSAGE_NAMES.values(), 0), overruns=0, resyncs=0
        )
        self._families = FAMILIES if family is Family.UNSPEC else (family,)
        self._receive_buffer_bytes = receive_buffer_bytes
        self._clock = clock
        self._closed = False
        #: Held while the sockets are in use, so that `close` can wait for that to end.
        self._using = threading.Lock()
        self._closing = threading.RLock()  # a signal handler may close while we close
        self._resources = ExitStack()
        self._wake: int | None = None
        self._listener: socket.socket | None = None
        self._longest_pause = PAUSE_SECONDS
        #: Since when messages may have been received that are not processed; None while waiting.
        self._busy_since: float | None = None
        self._greeted = self._lost = self._empty = False
        self._settle_at = self._next_resync = self._next_reconcile = self._bucket = 0.0

    def open(self) -> None:
        """Subscribe, then list. Raises OSError, and `SourceClosed` when closed already."""
        with self._using, ExitStack() as resources:  # released again if anything fails
            if self._closed:
                raise SourceClosed
            listener, size = subscribe(GROUPS, self._receive_buffer_bytes)
            resources.callback(listener.close)
            self.health.receive_buffer_bytes = size
            self._longest_pause = longest_pause(size)
            self.health.dropped = dropped(listener)
            self._receiver = Receiver(listener)
            self._requester = Requester()
            resources.callback(self._requester.close)
            wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            resources.callback(os.close, wake)
            self._poll = select.poll()
            self._poll.register(listener, select.POLLIN)
            self._poll.register(wake, select.POLLIN)
            self._table = LinkTable(self._families, self._read_link)
            self._repeats = Repeats(self._table)
            self._read_all(listener)
            self._table.take()  # what exists at the start is not an addition
            self._next_reconcile = self._clock.monotonic() + RECONCILE_SECONDS
            self._listener, self._wake = listener, wake
            self._resources = resources.pop_all()
            self.health.up = True

    def receive(self, timeout: float | None) -> list[Notification]:
        """The next notifications; see `contract.Source.receive`."""
        with self._using:
            self._busy_since = self._clock.monotonic()
            if not self._greeted and not self._closed and self._listener:
                self._greeted = True
                return [self._initial()]
            deadline = None if timeout is None else self._clock.monotonic() + timeout
            while not self._closed and self._listener:
                if self._empty:
                    self._pause()
                self._empty = empty = self._drain(self._listener)
                if empty:
                    self._table.caught_up()
                if empty and self._lost:
                    self._resync(self._listener)
                batch = self._table.take()
                if batch:
                    return batch
                if empty and not self._wait(deadline):
                    return []
            raise SourceClosed

    def received_until(self) -> float:
        """Return up to when all messages were processed. See `contract.Source`."""
        now = self._clock.monotonic()  # first: a message that comes now is received later
        busy_since = self._busy_since
        return now if busy_since is None else busy_since

    def interface(self, family: Family, luid: int) -> Interface | None:
        """The interface as of the last message received."""
        for interface in self._table.interfaces():
            if interface.family is family and interface.luid == luid:
                return interface
        return None

    def interfaces(self, family: Family = Family.UNSPEC) -> list[Interface]:
        """The interfaces as of the last message received."""
        interfaces = self._table.interfaces()
        return [i for i in interfaces if family in (Family.UNSPEC, i.family)]

    def close(self) -> None:
        """Unblock `receive`, wait until it has returned, release the sockets."""
        with self._closing:
            if not self._closed:
                self._closed = True
                if self._wake is not None:
                    os.eventfd_write(self._wake, 1)
                with self._using:
                    self.health.up = False
                    self._resources.close()

    # -- the stream ---------------------------------------------------------------------

    def _initial(self) -> Notification:
        clock = self._clock
        return Notification(
            NotificationType.INITIAL, Family.UNSPEC, 0, 0, clock.wall(), clock.monotonic()
        )

    def _drain(self, listener: socket.socket) -> bool:
        """Apply what is queued; True when the queue is empty, False after a full batch."""
        heard = 0
        while not self._closed:
            try:
                heard += self._hear()
            except BlockingIOError:
                return True
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._overrun(listener)
            # After a loss only an empty queue lets new messages in, so it is emptied at once.
            if heard >= BATCH_MESSAGES and not self._lost:
                break
        return False

    def _hear(self) -> int:
        """Apply some messages, and count them. Raises what the socket raises, empty or not."""
        datagrams = self._receiver.receive()
        instant, time = self._clock.monotonic(), self._clock.wall()
        self._settle_at = instant + SETTLE_SECONDS
        repeat, messages = self._repeats.repeat, self.health.messages
        heard = 0
        try:
            for data, size, sender in datagrams:
                heard += 1
                if sender:  # only the kernel (0) speaks for the kernel
                    self.health.count_error("foreign_message")
                elif name := repeat(data, size, time, instant):
                    messages[name] += 1
                elif size > DATAGRAM_BYTES:
                    self.health.count_error("truncated_message")
                    self._lost = True
                else:
                    self._apply(data, size, time, instant)
        except Exception:  # a defect of ours; whatever was received with it is gone
            self._lost = True
            raise
        return heard

    def _apply(self, data: memoryview, size: int, time: float, instant: float) -> None:
        """Take a datagram that says something new."""
        for message in nl.messages(data, size):
            name = nl.MESSAGE_NAMES.get(message.type)
            if name is not None:
                self.health.messages[name] += 1
                self._repeats.apply(message, data, size, time, instant)

    def _wait(self, deadline: float | None) -> bool:
        """Sleep until there is something to do; False when `deadline` has passed."""
        task: Callable[[], None] | None = None
        if self._lost:
            due = self._next_resync  # `receive` does it when the queue is empty
        elif self._table.unsettled:
            due, task = self._settle_at, self._settle
        else:
            due, task = self._next_reconcile, self._reconcile
        last = deadline is not None and deadline <= due
        until = deadline if deadline is not None and last else due
        self._busy_since = None
        ready = self._poll.poll(max(0.0, until - self._clock.monotonic()) * 1000)
        self._busy_since = self._clock.monotonic()
        if ready:
            return True
        if task and not last:
            task()
        return not last

    def _pause(self) -> None:
        """Let messages gather, if the queue was emptied often of late: a leaky bucket."""
        now = self._clock.monotonic()
        self._bucket = max(self._bucket, now) + PAUSE_SECONDS
        if self._bucket > now + UNPAUSED * PAUSE_SECONDS:
            time.sleep(self._longest_pause)

    # -- asking -------------------------------------------------------------------------

    def _read_all(self, listener: socket.socket) -> None:
        """Make the table equal to a listing, made in silence if possible. Raises OSError."""
        tries = QUIET_TRIES
        while True:
            self._lost = False  # a loss from here on asks for the next listing
            listing = take_listing(self._requester, self._families)
            tries -= 1
            if not tries or self._closed or not self._poll.poll(0):
                break
            while not (self._drain(listener) or self._closed):
                pass
        self._load(listing)

    def _overrun(self, listener: socket.socket) -> None:
        health = self.health
        health.overruns = (health.overruns or 0) + 1
        health.dropped = dropped(listener)
        if not self._lost:
            log.warning(
                "The kernel's receive buffer of %s bytes overflowed: notifications were lost. "
                "Reading everything again; --collector.receive-buffer enlarges it.",
                health.receive_buffer_bytes,
            )
        self._lost = True

    def _resync(self, listener: socket.socket) -> None:
        """List everything and infer what was missed, at most once in `RESYNC_SECONDS`."""
        now = self._clock.monotonic()
        if now < self._next_resync:
            return
        self._next_resync = now + RESYNC_SECONDS
        self.health.dropped = dropped(listener)
        try:
            self._read_all(listener)
        except OSError as error:
            self.health.count_error("list")
            log.warning("Reading the interfaces again failed, trying again: %s", error)
            self._lost = True
            return
        self.health.resyncs = (self.health.resyncs or 0) + 1
        self.health.last_resync = self._clock.wall()

    def _settle(self) -> None:
        self._settle_at = self._clock.monotonic() + SETTLE_SECONDS
        self._table.settle(self._exists)

    def _reconcile(self) -> None:
        """Find silent changes. Only in silence, and without haste: the next time will do."""
        self._next_reconcile = self._clock.monotonic() + RECONCILE_SECONDS
        try:
            listing = take_listing(self._requester, self._families)
        except OSError as error:
            self.health.count_error("list")
            log.warning("Comparing with the system's interfaces failed: %s", error)
            return
        if not self._poll.poll(0):
            self._load(listing)

    def _load(self, listing: Listing) -> None:
        self._table.load(listing, self._clock.wall(), self._clock.monotonic())

    def _read_link(self, index: int) -> nl.LinkMessage | None:
        try:
            return self._requester.link(index)
        except OSError as error:
            self.health.count_error("read")
            log.warning("Reading interface %d failed: %s", index, error)
            return None

    def _exists(self, key: Key) -> bool:
        family, index = key
        try:
            return self._requester.has_netconf(AF[family], index)
        except OSError:
            self.health.count_error("read")
            return False
