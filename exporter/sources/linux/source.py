"""The Linux source: one rtnetlink socket that listens and asks, and what to do on loss.

Subscribe, then list, then go on receiving: in any other order a change falls between. The
list is asked for through the socket that listens, so that each reply has its place among the
notifications (see `requests` and `replies`). Nothing is read ahead of them or behind.

Loss is possible and is never silent. When the socket's buffer overflows, the next receive
fails with ENOBUFS, once; until the queue is *empty* the kernel drops everything that comes,
without another word. So: drain to the end first (what is queued is older and still true),
then list, and pass on the differences as inferred notifications. NETLINK_NO_ENOBUFS, which
some set to be rid of the error, loses the same messages and does not say so.

Some settings change without any message (accept_ra, dad_transmits, disable_ipv6 on a link
without addresses, IPv4 neighbor timers). A comparison every minute finds those.

Source: https://man7.org/linux/man-pages/man7/netlink.7.html; net/netlink/af_netlink.c
"""

from __future__ import annotations

import errno
import logging
import os
import platform
import select
import socket
import sys
import threading
import time
from contextlib import ExitStack

from exporter.bindings import rtnetlink as nl
from exporter.bindings.rtnetlink_socket import (
    DATAGRAM_BYTES,
    Receiver,
    dropped,
    namespace_id,
    subscribe,
)
from exporter.clock import SYSTEM, Clock
from exporter.logs import event
from exporter.model import FAMILIES, Family, Interface, Notification, NotificationType
from exporter.sources.contract import Health, SourceClosed
from exporter.sources.linux.index_reuse import IndexReuse, index_reuse_of
from exporter.sources.linux.links import LinkTable
from exporter.sources.linux.message_trace import traced
from exporter.sources.linux.neighbor_timers import TimerReader
from exporter.sources.linux.replies import replies_in_order
from exporter.sources.linux.requests import Requests
from exporter.sources.linux.transition_cache import TransitionCache

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

#: Messages handed on at once: large enough to amortize a wake-up, small enough (about 10 ms
#: of work) that a scrape sees a storm as it goes on.
BATCH_MESSAGES = 1024
#: How long `LinuxSource.open` waits for the first list to be complete. Without losses it is at
#: once; where messages come faster than they are taken, the rest is listed later.
OPEN_SECONDS = 5.0
#: At most one resync a second: a list of 4,000 links costs 25 ms and must not become a load.
RESYNC_SECONDS = 1.0
RECONCILE_SECONDS = 60.0
#: The source looks at its queue at least once in so many seconds, and so knows when it could not.
LOOK_SECONDS = 1.0
#: In a storm the queue is emptied once in so many seconds: each time costs as much as five
#: messages. Time stamps are then exact to that. The first `UNPAUSED` times in a row, and so all
#: that happens in calm, go without a pause.
PAUSE_SECONDS = 0.002
UNPAUSED = 50
#: The kernel's fastest: 187,000 messages a second, each of which it counts as 2,304 bytes. No
#: pause is so long that they fill more than a quarter of the receive buffer.
FULLEST_BYTES_PER_SECOND = 187_000 * 2304


def longest_pause(receive_buffer_bytes: int) -> float:
    """Return how long messages may gather in a receive buffer. Unit: seconds."""
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
            messages=dict.fromkeys(nl.MESSAGE_NAMES.values(), 0),
            overruns=0,
            resyncs=0,
            receive_delay_seconds=0.0,
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
        self._confirmed = self._empty = False
        #: Everything has to be listed; a list is under way; the timers are known.
        self._must_list = self._listing = self._timed = False
        self._next_resync = self._next_reconcile = self._bucket = 0.0
        #: When the queue was last looked at: what comes later cannot have waited for longer.
        self._looked = 0.0

    def __repr__(self) -> str:
        families = ", ".join(family.label for family in self._families)
        return f"<LinuxSource {families} up={self.health.up}>"

    def open(self) -> None:
        """Subscribe, then list. Raises OSError, and `SourceClosed` if closed before or meanwhile.

        Links that come and go all the time are no hindrance. Returns after some `OPEN_SECONDS`
        at the latest; what could not be listed by then follows as notifications that are not
        counted (`NotificationType.REFRESH`).
        """
        with self._using, ExitStack() as resources:  # released again if anything fails
            if self._closed:
                raise SourceClosed
            listener, size = subscribe(GROUPS, self._receive_buffer_bytes)
            resources.callback(listener.close)
            self.health.receive_buffer_bytes = size
            self._longest_pause = longest_pause(size)
            self.health.dropped = dropped(listener)
            self._receiver = Receiver(listener)
            self._timers = TimerReader()
            resources.callback(self._timers.close)
            wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            resources.callback(os.close, wake)
            self._poll = select.poll()
            for file in (listener, self._timers, wake):
                self._poll.register(file, select.POLLIN)
            reuse = IndexReuse(index_reuse_of(namespace_id(listener)))
            self._table = LinkTable(self._families, reuse)
            self._cache = TransitionCache(self._table)
            in_order = replies_in_order(platform.release())
            self._requests = Requests(listener, self._table, self.health, size, in_order=in_order)
            self._list_first(listener)
            self._table.drain()  # what exists at the start is not an addition
            self._listener, self._wake = listener, wake
            self._resources = resources.pop_all()
            self.health.up = True

    def receive(self, timeout: float | None) -> list[Notification]:
        """Return the next notifications; see `contract.Source.receive`."""
        with self._using:
            self._busy_since = self._clock.monotonic()
            if not self._confirmed and not self._closed and self._listener:
                self._confirmed = True
                return [self._initial()]
            deadline = None if timeout is None else self._clock.monotonic() + timeout
            while not self._closed and self._listener:
                if self._empty:
                    self._pause()
                self._turn(self._listener)
                batch = self._table.drain()
                if batch:
                    return batch
                if self._empty and not self._wait(deadline):
                    return []
            raise SourceClosed

    def received_until(self) -> float:
        """Return up to when all messages were processed. See `contract.Source`."""
        now = self._clock.monotonic()  # first: a message that comes now is received later
        busy_since = self._busy_since
        return now if busy_since is None else busy_since

    def interface(self, family: Family, luid: int) -> Interface | None:
        """Return the interface as of the last message received."""
        for interface in self._table.interfaces():
            if interface.family is family and interface.luid == luid:
                return interface
        return None

    def interfaces(self, family: Family = Family.UNSPEC) -> list[Interface]:
        """Return the interfaces as of the last message received."""
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

    # -- the queue ----------------------------------------------------------------------

    def _initial(self) -> Notification:
        clock = self._clock
        return Notification(
            NotificationType.INITIAL, Family.UNSPEC, 0, 0, clock.wall(), clock.monotonic()
        )

    def _turn(self, listener: socket.socket) -> None:
        """Apply what is queued, then ask what must be asked."""
        self._empty = self._drain(listener)
        self._receive_timers()
        now = self._clock.monotonic()
        if self._listing:
            self._check_list(now)
        elif self._must_list:
            if self._empty and now >= self._next_resync:
                self._list_links(now)
        elif now >= self._next_reconcile:
            self._list_links(now)
        self._requests.ask(now)

    def _drain(self, listener: socket.socket) -> bool:
        """Apply what is queued; True when the queue is empty, False after a full batch."""
        count = 0
        while not self._closed:
            try:
                count += self._take_datagrams()
            except BlockingIOError:
                self._looked = self._clock.monotonic()
                return True
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._overrun(listener)
            # After a loss only an empty queue lets new messages in, so it is emptied at once.
            if count >= BATCH_MESSAGES and not self._must_list:
                break
        return False

    def _take_datagrams(self) -> int:
        """Apply some datagrams, and count them. Raises what the socket raises, empty or not."""
        datagrams = self._receiver.receive()
        instant = self._clock.monotonic()
        self._table.received_at(self._clock.wall(), instant)
        if instant - self._looked > LOOK_SECONDS:
            delay = self.health.receive_delay_seconds or 0.0
            self.health.receive_delay_seconds = delay + instant - self._looked - LOOK_SECONDS
        self._looked = instant
        repeat, messages, requests = self._cache.repeat, self.health.messages, self._requests
        asked = requests.outstanding
        if log.isEnabledFor(logging.DEBUG):
            datagrams = traced(datagrams, self._table.out, requests.is_reply)
        count = 0
        try:
            for data, size, sender in datagrams:
                count += 1
                if sender:  # only the kernel (0) speaks for the kernel
                    self.health.count_error("foreign_message")
                elif asked and size <= DATAGRAM_BYTES and requests.is_reply(*nl.reply_to(data)):
                    requests.receive(data, size)
                elif name := repeat(data, size):
                    messages[name] += 1
                elif size > DATAGRAM_BYTES:
                    self.health.count_error("truncated_message")
                    self._lose()
                else:
                    self._apply(data, size)
        except Exception:  # a defect of ours; whatever was received with it is gone
            self._lose()
            raise
        return count

    def _apply(self, data: memoryview, size: int) -> None:
        """Apply a datagram that the cache does not know."""
        for message in nl.messages(data, size):
            name = nl.MESSAGE_NAMES.get(message.type)
            if name is not None and not self._requests.is_reply(message.sequence, message.port):
                self.health.messages[name] += 1
                self._cache.apply(message, data, size)

    def _wait(self, deadline: float | None) -> bool:
        """Sleep until there is something to do; False when `deadline` has passed."""
        now = self._clock.monotonic()
        dues = (
            now + LOOK_SECONDS,
            self._next_resync if self._must_list else self._next_reconcile,
            self._requests.next_deadline(),
            deadline,
        )
        until = max(now, min(due for due in dues if due is not None))
        self._busy_since = None
        ready = self._poll.poll((until - now) * 1000)
        self._busy_since = self._clock.monotonic()
        if not ready:
            self._looked = self._busy_since
        return bool(ready) or deadline is None or until < deadline

    def _pause(self) -> None:
        """Let messages gather, if the queue was emptied often of late: a leaky bucket."""
        now = self._clock.monotonic()
        self._bucket = max(self._bucket, now) + PAUSE_SECONDS
        if self._bucket > now + UNPAUSED * PAUSE_SECONDS:
            time.sleep(self._longest_pause)

    # -- the list of links --------------------------------------------------------------

    def _list_first(self, listener: socket.socket) -> None:
        """List what exists, and wait for it."""
        now = self._looked = self._clock.monotonic()
        deadline = now + OPEN_SECONDS
        self._list_links(now)
        while self._clock.monotonic() < deadline:
            self._turn(listener)
            if self._closed:
                raise SourceClosed
            if self._requests.error is not None:
                raise self._requests.error
            if not self._table.opening:
                return
            if self._empty:
                self._wait(deadline)
        event(log, logging.WARNING, "Interfaces are still being listed", after=OPEN_SECONDS)

    def _list_links(self, now: float) -> None:
        """Ask for all links and timers."""
        self._must_list, self._listing = False, True  # a loss from here on asks for the next list
        self._next_resync, self._next_reconcile = now + RESYNC_SECONDS, now + RECONCILE_SECONDS
        self._requests.list_links(now)
        try:
            self._timers.ask()
        except OSError as error:
            self._timers_failed(error)

    def _check_list(self, now: float) -> None:
        """End the listing once all replies have come, or one has failed."""
        error = self._requests.error
        if error is not None:
            self._listing, self._must_list = False, True
            self.health.count_error("list")
            event(log, logging.WARNING, "Listing the interfaces failed, trying again", error=error)
        elif not self._requests.listing and (self._timed or not self._table.opening):
            self._listing = False
            if self._table.doubtful:
                self.health.resyncs = (self.health.resyncs or 0) + 1
                self.health.last_resync = self._clock.wall()
            self._table.opening = self._table.doubtful = False

    def _receive_timers(self) -> None:
        try:
            timers = self._timers.receive()
        except OSError as error:
            self._timers_failed(error)
            return
        if timers is not None:
            self._timed = True
            self._table.received_at(self._clock.wall(), self._clock.monotonic())
            self._table.set_timers(timers)

    def _timers_failed(self, error: OSError) -> None:
        self._timed = True  # for the start: as well as can be
        self.health.count_error("read")
        event(log, logging.WARNING, "Reading the neighbor timers failed", error=error)

    # -- losses -------------------------------------------------------------------------

    def _overrun(self, listener: socket.socket) -> None:
        health = self.health
        health.overruns = (health.overruns or 0) + 1
        health.dropped = dropped(listener)
        if not self._must_list:
            event(
                log,
                logging.WARNING,
                "Receive buffer overflowed, notifications lost; reading everything again "
                "(--collector.receive-buffer enlarges it)",
                bytes=health.receive_buffer_bytes,
            )
        self._lose()

    def _lose(self) -> None:
        """Note that messages are missing: all replies are void, and everything must be listed."""
        self._must_list, self._listing = True, False
        self._table.lose()
        self._requests.forget()
