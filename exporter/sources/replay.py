"""The replay source: a recording goes the same way as the live stream."""

from __future__ import annotations

import logging
import threading
import time
from typing import BinaryIO

from exporter.clock import Clock
from exporter.model import Family, Interface, Notification, NotificationType
from exporter.sources.contract import Health, SourceClosed
from exporter.sources.recording import MAX_LINE_BYTES, Present, RecordingError, decode

log = logging.getLogger(__name__)

BATCH_LINES = 1024
#: Bad lines that are named in the log; the others are only counted.
LOGGED_ERRORS = 20


class ReplaySource:
    """Notifications from a file. See `contract.Source`.

    Time is the recording's own: at full speed the clock stands at the last notification
    given out, at the recorded pace it runs on from the first.
    """

    backend = "replay"

    def __init__(self, path: str, recorded_pace: bool = False) -> None:
        self.health = Health(
            messages={
                kind.label: 0 for kind in NotificationType if kind is not NotificationType.REFRESH
            }
        )
        self.clock = Clock(self._wall, self._monotonic)
        #: The whole file has been given out.
        self.finished = threading.Event()
        self._path = path
        self._recorded_pace = recorded_pace
        self._closed = threading.Event()
        self._using = threading.Lock()
        self._file: BinaryIO | None = None
        self._line = 0
        self._present: list[Interface] = []
        self._next: Notification | None = None
        self._time = self._instant = 0.0
        self._started: float | None = None

    def open(self) -> None:
        """Open the file and read the interfaces that existed at the start. Raises OSError."""
        self._file = open(self._path, "rb")  # noqa: SIM115 - closed in close()
        item = self._read()
        if item is not None:
            self._time, self._instant = item.time, item.instant
        while isinstance(item, Present):
            self._present.append(item.interface)
            item = self._read()
        self._next = item
        self._started = time.perf_counter() - self._instant
        self.health.up = True

    def receive(self, timeout: float | None) -> list[Notification]:
        """The next lines; after the last one only waits. See `contract.Source.receive`."""
        with self._using:
            batch: list[Notification] = []
            while self._next is not None and len(batch) < BATCH_LINES and not self._closed.is_set():
                wait = self._due_in(self._next)
                if wait > 0:
                    if batch:
                        break
                    if timeout is not None and timeout < wait:
                        self._closed.wait(timeout)
                        break
                    self._closed.wait(wait)
                    continue
                batch.append(self._next)
                self._time, self._instant = self._next.time, self._next.instant
                self.health.messages[self._next.type.label] = (
                    self.health.messages.get(self._next.type.label, 0) + 1
                )
                self._advance()
            if self._closed.is_set():
                raise SourceClosed
        if not batch and self._next is None:
            self.finished.set()
            if self._closed.wait(timeout):
                raise SourceClosed
        return batch

    def interface(self, family: Family, luid: int) -> Interface | None:
        """Nothing can be read from the past."""
        return None

    def interfaces(self, family: Family = Family.UNSPEC) -> list[Interface]:
        """The interfaces that existed when the recording began."""
        return [i for i in self._present if family in (Family.UNSPEC, i.family)]

    def close(self) -> None:
        """Unblock `receive` and close the file."""
        self._closed.set()
        with self._using:
            self.health.up = False
            if self._file is not None:
                self._file.close()

    def _wall(self) -> float:
        return self._time if not self._recorded_pace else self._time + self._ahead()

    def _monotonic(self) -> float:
        return self._instant if not self._recorded_pace else self._instant + self._ahead()

    def _ahead(self) -> float:
        """Seconds since the last notification that was given out, at the recorded pace."""
        if self._started is None:
            return 0.0
        return max(0.0, time.perf_counter() - self._started - self._instant)

    def _due_in(self, n: Notification) -> float:
        return n.instant - self._monotonic() if self._recorded_pace else 0.0

    def _advance(self) -> None:
        item = self._read()
        if isinstance(item, Present):
            # A second recording was appended: what it lists may differ, but nobody told.
            i = item.interface
            item = Notification(
                NotificationType.REFRESH,
                i.family,
                i.luid,
                i.ifindex,
                item.time,
                item.instant,
                i,
                inferred=True,
            )
        self._next = item

    def _read(self) -> Present | Notification | None:
        """The next good line, ``None`` at the end; bad ones are counted and named."""
        assert self._file is not None
        while line := self._file.readline(MAX_LINE_BYTES + 1):
            self._line += 1
            while not line.endswith(b"\n") and len(line) > MAX_LINE_BYTES:
                rest = self._file.readline(MAX_LINE_BYTES + 1)
                if not rest or rest.endswith(b"\n"):
                    break
            try:
                if line.strip():
                    return decode(line)
            except RecordingError as error:
                self.health.count_error("replay")
                if self.health.errors["replay"] <= LOGGED_ERRORS:
                    log.warning("%s:%d: left out: %s", self._path, self._line, error)
        return None
