"""The Windows source: a callback that only notes what happened, and one thread that reads.

Register first, then list: in the other order a change falls between. The callback's row says
nothing but which interface it is about (and lies in memory that is the system's), so the
collector reads the row later, once for all notifications of a batch about one interface.

When the queue overflowed, its difference is inferred from a listing once it is drained.
Windows itself has no sign of loss, so a comparison every minute finds what no callback told
(a new alias among it: nothing documented says that one causes a notification).

Source: https://learn.microsoft.com/windows/win32/api/netioapi/nf-netioapi-notifyipinterfacechange
"""

from __future__ import annotations

import logging
import threading
from ctypes import byref

from exporter.bindings import iphlpapi
from exporter.bindings.errors import (
    ERROR_FILE_NOT_FOUND,
    ERROR_NOT_FOUND,
    ERROR_NOT_SUPPORTED,
    IpHelperError,
)
from exporter.bindings.netioapi import MIB_IF_ROW2, MIB_IPINTERFACE_ROW
from exporter.clock import SYSTEM, Clock
from exporter.model import (
    FAMILIES,
    Family,
    Interface,
    Link,
    Notification,
    NotificationType,
    changes,
    format_luid,
)
from exporter.sources.contract import Health, SourceClosed
from exporter.sources.windows.registration import RECORD_BYTES, Record, Registration
from exporter.sources.windows.rows import link_from, parameters_from

log = logging.getLogger(__name__)

Key = tuple[Family, int]
Batch = list[Notification]

#: Notifications handed on at once, so that a scrape sees a storm as it goes on.
BATCH_RECORDS = 1024
#: The initial notification comes at once or, from a system that only pretends, never.
CONFIRM_SECONDS = 5.0
#: At most one resync a second, so that a storm does not become a storm of listings.
RESYNC_SECONDS = 1.0
RECONCILE_SECONDS = 60.0

#: The interface is not there (any more), or has not this family: an answer, not a failure.
_GONE = (ERROR_FILE_NOT_FOUND, ERROR_NOT_FOUND)
_KINDS = {
    int(kind): kind
    for kind in (
        NotificationType.INITIAL,
        NotificationType.ADD,
        NotificationType.DELETE,
        NotificationType.PARAMETER,
    )
}
_FAMILIES = {int(family): family for family in FAMILIES}


class WindowsSource:
    """Notifications of this computer. See `contract.Source`.

    `library` is the full path of another library with the same functions, for tests.
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
            messages={kind.label: 0 for kind in _KINDS.values()},
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
        #: Opening and closing exclude each other. The callback never takes this lock.
        self._lifecycle = threading.Lock()
        self._closed = self._warned = False
        self._registration: Registration | None = None
        #: Every interface as last read: what a listing is compared with.
        self._known: dict[Key, Interface] = {}

    def open(self) -> None:
        """Register, then list. Raises OSError."""
        try:
            with self._lifecycle:
                if self._closed:
                    raise SourceClosed
                self._api = iphlpapi.load(self._path)
                self._opened = self._compared = self._clock.monotonic()
                registration = Registration(self._api, self._capacity, self._clock, self.health)
                registration.register(self._family)
                self._registration = registration
            self.interfaces()
        except OSError:
            self.close()
            raise

    def receive(self, timeout: float | None) -> Batch:
        """The next notifications; see `contract.Source.receive`."""
        now = self._clock.monotonic
        deadline = None if timeout is None else now() + timeout
        while self._registration is not None and not self._closed:
            due = self._next_chore()
            until = due if deadline is None else min(due, deadline)
            batch = self._take(self._registration, max(0.0, until - now()))
            if not batch and now() >= due:
                batch = self._do_chores(self._registration)
            if batch:
                return batch
            if deadline is not None and now() >= deadline and not self._closed:
                return []
        raise SourceClosed

    def interface(self, family: Family, luid: int) -> Interface | None:
        """The interface as it is now; as it last was when the system fails to say (counted)."""
        row = MIB_IPINTERFACE_ROW(Family=family)
        row.InterfaceLuid.Value = luid
        try:
            self._api.GetIpInterfaceEntry(byref(row))
        except IpHelperError as error:
            if error.winerror in _GONE:
                return None
            self._failed("read", error)
            return self._known.get((family, luid))
        interface = _interface(row, self._link(luid))
        self._known[family, luid] = interface
        return interface

    def interfaces(self, family: Family = Family.UNSPEC) -> list[Interface]:
        """The interfaces as they are now; none where the system cannot list them (counted)."""
        try:
            listed = self._listing()
        except IpHelperError as error:
            if error.winerror != ERROR_NOT_SUPPORTED:
                raise
            self._failed("list", error)
            return []
        self._known = listed
        return [i for i in listed.values() if family in (Family.UNSPEC, i.family)]

    def close(self) -> None:
        """Unblock `receive`, wait until no callback runs and none will come."""
        with self._lifecycle:
            if self._closed:
                return
            self._closed = True
            if self._registration is not None:
                self._registration.wake()
                try:
                    self._registration.cancel()
                except OSError as error:
                    self._failed("cancel", error)
            self.health.up = False

    # -- the stream ---------------------------------------------------------------------

    def _take(self, registration: Registration, wait: float, most: int = BATCH_RECORDS) -> Batch:
        """What is queued; waits up to `wait` seconds for the first."""
        records = registration.take(wait, most)
        return [n for record in records if (n := self._notification(record)) is not None]

    def _notification(self, record: Record) -> Notification | None:
        number, family_number, luid, index, time, instant = record
        kind, family = _KINDS.get(number), _FAMILIES.get(family_number)
        if kind is NotificationType.INITIAL:
            family = Family.UNSPEC
            self.health.up = True
        if kind is None or family is None:
            self.health.count_error("receive")
            return None
        self.health.messages[kind.label] += 1
        # With its last row a delete keeps its device name, which nobody can ask for any more.
        gone = self._known.pop((family, luid), None) if kind is NotificationType.DELETE else None
        return Notification(kind, family, luid, index, time, instant, gone)

    def _next_chore(self) -> float:
        """When to stop waiting for notifications, and see to something else."""
        if self._registration is not None and self._registration.lost:
            return self._compared + RESYNC_SECONDS
        if self.health.up or self._warned:
            return self._compared + RECONCILE_SECONDS
        return self._opened + CONFIRM_SECONDS

    def _do_chores(self, registration: Registration) -> Batch:
        if self.health.up:
            return self._compare(registration)
        self._compared = self._clock.monotonic()
        if not self._warned:
            self._warned = True
            log.warning(
                "The system accepted the registration for IP interface changes but has not "
                "confirmed it in %g s: no change will be seen. Wine's iphlpapi.dll is like that.",
                CONFIRM_SECONDS,
            )
        return []

    # -- what no callback told ----------------------------------------------------------

    def _compare(self, registration: Registration) -> Batch:
        """List everything and infer what was missed. The queue was empty just before."""
        self._compared = self._clock.monotonic()
        lost, registration.lost = registration.lost, False  # a loss from here on is another
        if lost:
            log.warning(
                "The queue of %d notifications overflowed: some were lost. Reading everything "
                "again; --collector.receive-buffer enlarges the queue.",
                registration.capacity,
            )
        try:
            after = self._listing()
        except IpHelperError as error:
            self._failed("list", error)
            registration.lost |= lost
            return []
        if lost:
            self.health.resyncs = (self.health.resyncs or 0) + 1
            self.health.last_resync = self._clock.wall()
        # The listing may show what was told meanwhile, or not: it is left to its notification.
        told = self._take(registration, 0, registration.capacity + 1)
        before = self._known
        for n in told:
            after.pop((n.family, n.luid), None)
            if (n.family, n.luid) in before:
                after[n.family, n.luid] = before[n.family, n.luid]
        self._known = after
        time, instant = self._clock.wall(), self._clock.monotonic()
        return told + [
            Notification(kind, i.family, i.luid, i.ifindex, time, instant, i, inferred=True)
            for kind, i in _differences(before, after)
        ]

    # -- asking -------------------------------------------------------------------------

    def _listing(self) -> dict[Key, Interface]:
        """All interfaces of the registered family. Raises OSError."""
        try:
            rows = self._api.rows("GetIpInterfaceTable", self._family)
        except IpHelperError as error:
            if error.winerror != ERROR_NOT_FOUND:
                raise
            rows = []
        links = {luid: self._link(luid) for luid in {row.InterfaceLuid.Value for row in rows}}
        interfaces = [_interface(row, links[row.InterfaceLuid.Value]) for row in rows]
        return {(i.family, i.luid): i for i in interfaces}

    def _link(self, luid: int) -> Link:
        """The link's facts; the last known ones when it is already gone."""
        row = MIB_IF_ROW2()
        row.InterfaceLuid.Value = luid
        try:
            self._api.GetIfEntry2(byref(row))
        except IpHelperError as error:
            if error.winerror not in _GONE:
                self._failed("read", error)
            known = (self._known.get((family, luid)) for family in FAMILIES)
            return next((i.link for i in known if i), Link(format_luid(luid)))
        return link_from(row)

    def _failed(self, operation: str, error: OSError) -> None:
        self.health.count_error(operation)
        log.warning("IP Helper: %s", error)


def _interface(row: MIB_IPINTERFACE_ROW, link: Link) -> Interface:
    luid = int(row.InterfaceLuid.Value)
    return Interface(Family(row.Family), luid, row.InterfaceIndex, link, parameters_from(row))


def _differences(
    before: dict[Key, Interface], after: dict[Key, Interface]
) -> list[tuple[NotificationType, Interface]]:
    """The net changes between two listings: deletions, additions, then the others."""
    found = [(NotificationType.DELETE, gone) for key, gone in before.items() if key not in after]
    found += [(NotificationType.ADD, new) for key, new in after.items() if key not in before]
    for key, new in after.items():
        old = before.get(key, new)
        if changes(old.parameters, new.parameters):
            found.append((NotificationType.PARAMETER, new))
        elif old.link != new.link or old.ifindex != new.ifindex:
            found.append((NotificationType.REFRESH, new))
    return found
