"""The source of Windows: a callback queues notifications, the monitor thread reads the rows.

It registers first and then lists the interfaces, so that no change falls in between. The
row of the callback only names the interface, so the monitor thread reads the complete row
later, once for all notifications of an interface in a batch.

After the queue has overflowed, a new listing shows what changed. Windows does not report other
losses, so a comparison once a minute finds changes without a notification. A new alias is
one of them: the documentation names no notification for it.

Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-notifyipinterfacechange
"""

from __future__ import annotations

import logging
import threading

from exporter.bindings import iphlpapi
from exporter.bindings.winerror import ERROR_NOT_SUPPORTED, IpHelperError
from exporter.clock import SYSTEM, Clock
from exporter.logs import event
from exporter.model import (
    FAMILIES,
    Family,
    Interface,
    InterfaceId,
    Notification,
    NotificationType,
    changes,
    format_luid,
)
from exporter.sources.contract import Health, SourceClosed
from exporter.sources.windows.reader import InterfaceReader
from exporter.sources.windows.registration import RECORD_BYTES, Record, Registration

log = logging.getLogger(__name__)

#: Notifications in a batch. With more, a scrape would not see the progress of a storm.
BATCH_RECORDS = 1024
#: Time for the initial notification, which Windows sends at once and Wine never. Seconds.
CONFIRM_SECONDS = 5.0
#: The shortest time between two listings after losses. Seconds.
RESYNC_SECONDS = 1.0
#: The time between two comparisons without a loss. Seconds.
RECONCILE_SECONDS = 60.0

_TYPES = {
    int(type_): type_
    for type_ in (
        NotificationType.INITIAL,
        NotificationType.ADD,
        NotificationType.DELETE,
        NotificationType.PARAMETER,
    )
}
_FAMILIES = {int(family): family for family in FAMILIES}


class WindowsSource:
    """The notifications of this computer. See `contract.Source`.

    `library` is the full path of a library with the same functions, for tests.
    """

    backend = "iphlpapi"

    def __init__(
        self,
        family: Family = Family.UNSPEC,
        receive_buffer_bytes: int = 32 << 20,
        clock: Clock = SYSTEM,
        library: str | None = None,
    ) -> None:
        self.health = Health(
            messages={type_.label: 0 for type_ in _TYPES.values()},
            overruns=0,
            resyncs=0,
            receive_buffer_bytes=receive_buffer_bytes,
            queue_length=0,
            dropped=0,
        )
        self._family = family
        self._capacity = max(1, receive_buffer_bytes // RECORD_BYTES)
        self._clock = clock
        self._path = library
        #: Serializes `open` and `close`. The callback never takes this lock.
        self._lifecycle = threading.Lock()
        self._closed = self._warned = False
        self._registration: Registration | None = None
        #: An interface still exists although the system has notified its deletion.
        self._contradicted = False
        #: When the source was opened, and last compared. Seconds of `clock.monotonic`.
        self._opened = self._compared = 0.0

    def __repr__(self) -> str:
        return f"<WindowsSource family={self._family.label} up={self.health.up}>"

    def open(self) -> None:
        """Register, then list the interfaces. Raises OSError."""
        try:
            with self._lifecycle:
                if self._closed:
                    raise SourceClosed
                api = iphlpapi.load(self._path)
                self._reader = InterfaceReader(api, self._family, self.health)
                self._opened = self._compared = self._clock.monotonic()
                registration = Registration(api, self._capacity, self._clock, self.health)
                registration.register(self._family)
                self._registration = registration
            self.interfaces()
        except OSError:
            self.close()
            raise

    def receive(self, timeout: float | None) -> list[Notification]:
        """Return the next notifications; see `contract.Source.receive`."""
        now = self._clock.monotonic
        deadline = None if timeout is None else now() + timeout
        if self._registration is not None:
            self._registration.processed()
        while self._registration is not None and not self._closed:
            due = self._next_check()
            until = due if deadline is None else min(due, deadline)
            if self._reader.renamed:
                return self._renamed()
            batch = self._drain(self._registration, max(0.0, until - now()))
            if not batch and now() >= due:
                self._registration.mark_busy(now())
                batch = self._check(self._registration)
            if batch:
                return batch
            self._registration.processed()
            if deadline is not None and now() >= deadline and not self._closed:
                return []
        raise SourceClosed

    def received_until(self) -> float:
        """Return up to when all notifications were processed. See `contract.Source`."""
        now = self._clock.monotonic()  # first: a notification that comes now is received later
        busy_since = None if self._registration is None else self._registration.busy_since
        return now if busy_since is None else busy_since

    def interface(self, family: Family, luid: int) -> Interface | None:
        """Read an interface. If the call fails, count it and return the last row."""
        return self._reader.interface(family, luid)

    def interfaces(self, family: Family = Family.UNSPEC) -> list[Interface]:
        """List the interfaces. Where the system cannot, count it and return none (Wine)."""
        try:
            listed = self._reader.interfaces()
        except IpHelperError as error:
            if error.winerror != ERROR_NOT_SUPPORTED:
                raise
            self._reader.report("list", error)
            return []
        self._reader.known = listed
        return [i for i in listed.values() if family in (Family.UNSPEC, i.family)]

    def close(self) -> None:
        """Unblock `receive`, and cancel the registration. Blocks while a callback runs."""
        with self._lifecycle:
            if self._closed:
                return
            self._closed = True
            if self._registration is not None:
                self._registration.wake()
                try:
                    self._registration.cancel()
                except OSError as error:
                    self._reader.report("cancel", error)
            self.health.up = False

    # -- notifications ------------------------------------------------------------------

    def _drain(
        self, registration: Registration, timeout: float, limit: int = BATCH_RECORDS
    ) -> list[Notification]:
        """Return the queued notifications; see `Registration.drain`."""
        records = registration.drain(timeout, limit)
        batch = [n for record in records if (n := self._notification(record)) is not None]
        self._check_deletions(batch)
        return batch

    def _notification(self, record: Record) -> Notification | None:
        type_number, family_number, luid, index, time, instant = record
        type_, family = _TYPES.get(type_number), _FAMILIES.get(family_number)
        if type_ is NotificationType.INITIAL:
            family = Family.UNSPEC
            self.health.up = True
        if type_ is None or family is None:
            self.health.count_error("receive")
            event(
                log, logging.DEBUG, "Notification ignored", type=type_number, family=family_number
            )
            return None
        self.health.messages[type_.label] += 1
        if log.isEnabledFor(logging.DEBUG):
            event(
                log,
                logging.DEBUG,
                "Notification",
                type=type_.label,
                family=family.label,
                luid=format_luid(luid),
                ifindex=index,
            )
        # A deleted interface has no name any more, so the notification carries its last row.
        deleted = None
        if type_ is NotificationType.DELETE:
            deleted = self._reader.known.pop((family, luid), None)
        return Notification(type_, family, luid, index, time, instant, deleted)

    def _check_deletions(self, batch: list[Notification]) -> None:
        """Request a comparison if a deleted interface exists: callbacks can change their order.

        The deletion counts all the same, because the system may also list an interface for a
        moment longer.
        """
        last = {(n.family, n.luid): n for n in batch}
        for (family, luid), n in last.items():
            if n.type is NotificationType.DELETE and self._reader.exists(family, luid):
                self._contradicted = True

    def _renamed(self) -> list[Notification]:
        """Return notifications of the other family of renamed links."""
        renamed, self._reader.renamed = self._reader.renamed, []
        time, instant = self._clock.wall(), self._clock.monotonic()
        return [
            Notification(NotificationType.REFRESH, i.family, i.luid, i.ifindex, time, instant, i)
            for i in renamed
        ]

    def _next_check(self) -> float:
        """Return the monotonic time of the next `_check`."""
        if self._contradicted or (self._registration is not None and self._registration.lost):
            return self._compared + RESYNC_SECONDS
        if self.health.up or self._warned:
            return self._compared + RECONCILE_SECONDS
        return self._opened + CONFIRM_SECONDS

    def _check(self, registration: Registration) -> list[Notification]:
        """Compare if the registration is confirmed; otherwise warn once."""
        if self.health.up:
            return self._compare(registration)
        self._compared = self._clock.monotonic()
        if not self._warned:
            self._warned = True
            event(
                log,
                logging.WARNING,
                "The system has not confirmed the registration, so no change will be seen "
                "(Wine never confirms it)",
                seconds=CONFIRM_SECONDS,
            )
        return []

    # -- comparison ---------------------------------------------------------------------

    def _compare(self, registration: Registration) -> list[Notification]:
        """List all interfaces and infer the changes since the last listing.

        The queue was empty just before.
        """
        self._compared = self._clock.monotonic()
        self._contradicted = False
        lost, registration.lost = registration.lost, False  # a later loss is another one
        if lost:
            event(
                log,
                logging.WARNING,
                "Queue overflowed, notifications lost; reading everything again "
                "(--collector.receive-buffer enlarges it)",
                notifications=registration.capacity,
            )
        try:
            after = self._reader.interfaces()
        except IpHelperError as error:
            self._reader.report("list", error)
            registration.lost |= lost
            return []
        if lost:
            self.health.resyncs = (self.health.resyncs or 0) + 1
            self.health.last_resync = self._clock.wall()
        # The listing may or may not include changes that were notified meanwhile, so these are
        # left to their notifications.
        queued = self._drain(registration, 0, registration.capacity + 1)
        before = self._reader.known
        for n in queued:
            after.pop((n.family, n.luid), None)
            if (n.family, n.luid) in before:
                after[n.family, n.luid] = before[n.family, n.luid]
        self._reader.known = after
        differences = _differences(before, after)
        changed = len(differences)
        event(log, logging.DEBUG, "Interfaces compared", interfaces=len(after), changed=changed)
        time, instant = self._clock.wall(), self._clock.monotonic()
        return queued + [
            Notification(type_, i.family, i.luid, i.ifindex, time, instant, i, inferred=True)
            for type_, i in differences
        ]


def _differences(
    before: dict[InterfaceId, Interface], after: dict[InterfaceId, Interface]
) -> list[tuple[NotificationType, Interface]]:
    """Return the net changes between two listings: deletions, additions, then the others."""
    found = [(NotificationType.DELETE, old) for key, old in before.items() if key not in after]
    found += [(NotificationType.ADD, new) for key, new in after.items() if key not in before]
    for key, new in after.items():
        old = before.get(key, new)
        if changes(old.parameters, new.parameters):
            found.append((NotificationType.PARAMETER, new))
        elif (old.link, old.ifindex, old.status) != (new.link, new.ifindex, new.status):
            found.append((NotificationType.REFRESH, new))
    return found
