"""The replay source: a recording goes the same way as the live stream."""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from typing import BinaryIO, NamedTuple

from exporter.clock import Clock
from exporter.logs import event
from exporter.model import (
    Family,
    Interface,
    InterfaceId,
    Notification,
    NotificationType,
    changes,
    format_luid,
)
from exporter.sources.contract import Health, SourceClosed
from exporter.sources.recording import (
    FORMAT,
    MAX_LINE_BYTES,
    Item,
    Present,
    RecordingError,
    Start,
    decode,
)

log = logging.getLogger(__name__)

BATCH_LINES = 1024
#: Bad lines, and unknown members, that are named in the log; the others are only counted.
LOGGED_ERRORS = 20


class Progress(NamedTuple):
    """How far a recording has been read."""

    #: Bytes read, and those there are; 0: not known, as of a pipe.
    position: int
    size: int
    lines: int
    #: When the last notification that was returned had been received. Unix seconds.
    time: float

    @property
    def percent(self) -> float:
        """The part that has been read; 0 if the size is not known."""
        return min(100.0, 100.0 * self.position / self.size) if self.size else 0.0


class ReplaySource:
    """Notifications from a file. See `contract.Source`.

    Time is the recording's own: at full speed the clock stands at the last notification
    returned, at the recorded pace it runs on from there to the next. After the end of the file
    it stands still.

    A file may hold several recordings, one after the other. What happened between two of them
    is not known: their times join without a gap, and the differences are inferred.
    """

    backend = "replay"

    def __init__(self, path: str, *, recorded_pace: bool = False) -> None:
        types = (t for t in NotificationType if t is not NotificationType.REFRESH)
        self.health = Health(
            messages={type_.label: 0 for type_ in types},
            replay_lines=0,
            replay_finished=False,
            replay_unknown_members=0,
        )
        self.clock = Clock(self._wall, self._monotonic)
        #: Set once the whole file has been returned and processed, or the source is closed.
        self.ended = threading.Event()
        self._path = path
        self._recorded_pace = recorded_pace
        self._closed = threading.Event()
        self._using = threading.Lock()
        self._file: BinaryIO | None = None
        #: Position of the line that is read: its number, and where it begins and ends.
        self._line = self._begin = self._end = 0
        self._unknown: set[str] = set()
        self._present: list[Interface] = []
        #: What exists after the last item read, to compare the next recording with.
        self._known: dict[InterfaceId, Interface] = {}
        #: Notifications that were read, but not returned yet, the next one last.
        self._queue: list[Notification] = []
        self._ahead: Item | None = None
        #: Added to the instants of the recording that is read. Seconds.
        self._shift = 0.0
        #: Of the last notification returned: Unix seconds, and seconds on the file's clock.
        self._time = self._instant = 0.0
        #: Instant of the first notification of a batch that may not be processed yet.
        self._pending: float | None = None
        #: When the clock stood at 0, on the system's clock.
        self._started: float | None = None

    def __repr__(self) -> str:
        return f"<ReplaySource {self._path!r} line {self._line}>"

    def open(self) -> None:
        """Open the file and read the interfaces that existed at the start. Raises OSError."""
        self._file = open(self._path, "rb")  # noqa: SIM115 - closed in close()
        item = self._read()
        if item is not None:
            self._time, self._instant = item.time, item.instant
        if isinstance(item, Start):
            if item.format > FORMAT:
                raise OSError(errno.ENOTSUP, self._newer(item), self._path)
            item = self._read()
        self._present, self._ahead = self._read_present(item)
        self._known = {(i.family, i.luid): i for i in self._present}
        self._advance()
        self._started = time.perf_counter() - self._instant
        self.health.up = True

    def receive(self, timeout: float | None) -> list[Notification]:
        """Return the next notifications; after the last one only wait. See `contract.Source`."""
        with self._using:
            self._pending = None
            batch: list[Notification] = []
            while self._queue and len(batch) < BATCH_LINES and not self._closed.is_set():
                n = self._queue[-1]
                wait = n.instant - self._monotonic() if self._recorded_pace else 0.0
                if wait > 0:
                    if batch:
                        break
                    if timeout is not None and timeout < wait:
                        self._closed.wait(timeout)
                        break
                    self._closed.wait(wait)
                    continue
                if not batch:
                    self._pending = n.instant
                batch.append(n)
                self._time, self._instant = n.time, n.instant
                messages = self.health.messages
                messages[n.type.label] = messages.get(n.type.label, 0) + 1
                self._queue.pop()
                if not self._queue:
                    self._advance()
            if self._closed.is_set():
                raise SourceClosed
        if not batch and not self._queue:
            self.health.replay_finished = True
            self.ended.set()
            if self._closed.wait(timeout):
                raise SourceClosed
        return batch

    def received_until(self) -> float:
        """Return up to when all notifications were processed. See `contract.Source`."""
        pending = self._pending
        if pending is not None:
            return pending
        queue, now = self._queue, self._monotonic()
        return min(now, queue[-1].instant) if queue and self._recorded_pace else now

    def interface(self, family: Family, luid: int) -> Interface | None:
        """Return None: a recording cannot be queried."""
        return None

    def interfaces(self, family: Family = Family.UNSPEC) -> list[Interface]:
        """Return the interfaces that existed when the recording began."""
        return [i for i in self._present if family in (Family.UNSPEC, i.family)]

    def close(self) -> None:
        """Unblock `receive` and close the file."""
        self._closed.set()
        self.ended.set()
        with self._using:
            self.health.up = False
            if self._file is not None:
                self._file.close()

    def progress(self) -> Progress:
        """Return how far the file has been read. Thread: any."""
        try:
            size = os.stat(self._path).st_size  # it may still grow
        except OSError:
            size = 0
        return Progress(self._end, size, self._line, self._time)

    # -- the clock ----------------------------------------------------------------------

    def _wall(self) -> float:
        return self._time + self._since_last()

    def _monotonic(self) -> float:
        return self._instant + self._since_last()

    def _since_last(self) -> float:
        """Return the seconds since the last notification returned, at the recorded pace."""
        if not self._recorded_pace or self._started is None or not self._queue:
            return 0.0
        return max(0.0, time.perf_counter() - self._started - self._instant)

    # -- the file -----------------------------------------------------------------------

    def _advance(self) -> None:
        """Fill the queue with the next notifications of the file, if there are any."""
        while not self._queue:
            item = self._read() if self._ahead is None else self._ahead
            self._ahead = None
            if item is None:
                return
            if isinstance(item, Notification):
                self._queue = [self._note(item)]
            elif isinstance(item, Start) and item.format > FORMAT:
                self._report(self._newer(item))
                return  # what it holds cannot be understood
            else:
                self._queue = self._restart(item)

    def _note(self, n: Notification) -> Notification:
        """Note what exists after a notification, and give it the time of the replay."""
        if log.isEnabledFor(logging.DEBUG):
            self._log_notification(n)
        if n.type is NotificationType.DELETE:
            self._known.pop((n.family, n.luid), None)
        elif n.interface is not None:
            self._known[n.family, n.luid] = n.interface
        return n._replace(instant=n.instant + self._shift) if self._shift else n

    def _log_notification(self, n: Notification) -> None:
        """Log a notification, and the members of the row in which it differs from the last one."""
        row = n.interface.parameters if n.interface else None
        before = self._known.get((n.family, n.luid))
        changed = changes(before.parameters, row) if before and row else ()
        event(
            log,
            logging.DEBUG,
            "Notification",
            line=self._line,
            type=n.type.label,
            device=n.interface.link.name if n.interface else "",
            family=n.family.label,
            luid=format_luid(n.luid),
            ifindex=n.ifindex,
            changed=",".join(change.parameter for change in changed),
        )

    def _restart(self, item: Start | Present) -> list[Notification]:
        """Compare what the next recording lists with what the last one knew, last first."""
        self._shift = self._instant - item.instant
        listed, self._ahead = self._read_present(self._read() if isinstance(item, Start) else item)
        before = self._known
        self._known = {(i.family, i.luid): i for i in listed}
        found = [(NotificationType.DELETE, i) for k, i in before.items() if k not in self._known]
        for key, i in self._known.items():
            if key not in before:
                type_ = NotificationType.ADD
            elif changes(before[key].parameters, i.parameters):
                type_ = NotificationType.PARAMETER
            else:
                type_ = NotificationType.REFRESH
            found.append((type_, i))
        return [
            Notification(
                type_, i.family, i.luid, i.ifindex, item.time, self._instant, i, inferred=True
            )
            for type_, i in reversed(found)
        ]

    def _read_present(self, item: Item | None) -> tuple[list[Interface], Item | None]:
        """Read the interfaces that a recording begins with, `item` first, and the item after."""
        present = []
        while isinstance(item, Present):
            present.append(item.interface)
            item = self._read()
        return present, item

    def _read(self) -> Item | None:
        """Read the next valid line, ``None`` at the end. Raises OSError.

        Invalid lines are counted and logged.
        """
        while line := self._read_line():
            self._line += 1
            self.health.replay_lines = self._line
            try:
                if line.strip():
                    return decode(line, self._ignore_member)
            except RecordingError as error:
                self._report(str(error))
        return None

    def _read_line(self) -> bytes:
        """Read a line; of one that is too long only its beginning."""
        assert self._file is not None
        self._begin = self._end
        try:
            line = rest = self._file.readline(MAX_LINE_BYTES + 1)
            self._end += len(line)
            while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
                rest = self._file.readline(MAX_LINE_BYTES + 1)
                self._end += len(rest)
        except OSError as error:
            reason = f"{error.strerror} after byte {self._end}"
            raise OSError(error.errno, reason, self._path) from error
        return line

    def _report(self, problem: str) -> None:
        """Count and log a line that is left out."""
        self.health.count_error("replay")
        if self.health.errors["replay"] <= LOGGED_ERRORS:
            self._log("Line of the recording ignored", problem=problem)

    def _ignore_member(self, name: str) -> None:
        """Count a member that this version does not know; log the first of each name."""
        self.health.replay_unknown_members = (self.health.replay_unknown_members or 0) + 1
        if name not in self._unknown and len(self._unknown) < LOGGED_ERRORS:
            self._unknown.add(name)
            self._log("Unknown member of the recording ignored", member=name)

    def _log(self, message: str, **fields: object) -> None:
        where = {"file": self._path, "line": self._line, "byte": self._begin}
        event(log, logging.WARNING, message, **where, **fields)

    def _newer(self, item: Start) -> str:
        return f"recorded in format {item.format}, but this version reads formats up to {FORMAT}"
