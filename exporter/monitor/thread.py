"""The collector thread: takes batches from the source to the state, and tells the observers.

It imports no publisher; whoever wants to see what happened is given as an observer.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from exporter.clock import SYSTEM, Clock
from exporter.model import Interface, Notification, NotificationType
from exporter.monitor.series import Histogram
from exporter.monitor.state import Delta, State
from exporter.sources.contract import Source, SourceClosed

log = logging.getLogger(__name__)

# A member of an enumeration costs 120 ns to look up in Python 3.11, a name 10 ns.
_INITIAL, _REFRESH = NotificationType.INITIAL, NotificationType.REFRESH

#: Called after each batch, in the collector thread: be quick, or hand over to another.
Observer = Callable[[Sequence[Notification], Sequence[Delta]], None]

#: Seconds. Idle, a notification takes a fraction of a millisecond; in a storm, milliseconds.
LAG_BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1, 10)

#: After a failing receive: long enough not to spin, short enough to lose little.
RETRY_SECONDS = 1.0


class Monitor:
    """Owns the thread ``collector``, from `open` to `stop`."""

    def __init__(
        self,
        source: Source,
        state: State,
        observers: Sequence[Observer] = (),
        clock: Clock = SYSTEM,
    ) -> None:
        #: From the system's notification to its being visible in the state.
        self.lag = Histogram(LAG_BOUNDS)
        self._source = source
        self._state = state
        self._observers = tuple(observers)
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="collector", daemon=True)
        #: The first batch, with which the source confirms that it listens, was taken.
        self.ready = threading.Event()
        self._pulse: float | None = None
        self._came_round = SYSTEM.monotonic()

    def open(self) -> None:
        """Open the source and take what exists. Raises OSError."""
        self._source.open()
        self._state.load(self._source.interfaces(), self._clock.monotonic())

    def start(self, pulse_seconds: float | None = None) -> None:
        """Begin to collect; `open` came before.

        With `pulse_seconds` it comes round at least so often, also when nothing happens.
        """
        self._pulse = pulse_seconds
        self._came_round = SYSTEM.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """Close the source and wait until its last batch is counted. Any thread but its own."""
        self._stopping.set()
        self._source.close()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def alive(self) -> bool:
        """The collector runs."""
        return self._thread.is_alive()

    @property
    def silent_seconds(self) -> float:
        """Since it last came round, to wait for a batch."""
        return SYSTEM.monotonic() - self._came_round

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._came_round = SYSTEM.monotonic()
            try:
                due = self._state.expire(self._clock.monotonic())
                timeout = None if due is None else max(0.0, due - self._clock.monotonic())
                if self._pulse is not None:
                    timeout = self._pulse if timeout is None else min(timeout, self._pulse)
                batch = self._source.receive(timeout)
            except SourceClosed:
                return
            except Exception as error:  # one bad message must not end collecting
                self._source.health.count_error("receive")
                log.error("Receiving notifications failed, trying again: %s", error, exc_info=True)
                self._stopping.wait(RETRY_SECONDS)
                continue
            if batch:
                self._take(batch)

    def _take(self, batch: list[Notification]) -> None:
        try:
            batch = self._with_rows(batch)
            deltas: Sequence[Delta] = ()
            if self._observers:
                deltas = self._state.apply(batch)
            else:
                self._state.count(batch)
            self._observe_lag(batch)
        except Exception:
            self._source.health.count_error("apply")
            log.exception("A batch of %d notifications could not be taken", len(batch))
            return
        if self._source.health.up:
            self.ready.set()
        for observer in self._observers:
            try:
                observer(batch, deltas)
            except Exception:
                self._source.health.count_error("observe")
                log.exception("An observer failed; collecting goes on")

    def _observe_lag(self, batch: Sequence[Notification]) -> None:
        now = self._clock.monotonic()
        lags = [
            now - n.instant
            for n in reversed(batch)
            if n.type is not _INITIAL and n.type is not _REFRESH and not n.inferred
        ]
        lags.sort()  # as good as sorted: notifications come in order
        with self._state.lock:
            self.lag.observe_all(lags)

    def _with_rows(self, batch: list[Notification]) -> list[Notification]:
        """Read the row of each distinct interface that came without one, once per batch.

        The row goes to the interface's last notification: the ones before it are counted,
        but what the row was at their time nobody can know any more.
        """
        for n in batch:
            if n.interface is None:
                break
        else:
            return batch  # Linux: they all bring their rows
        rows: dict[tuple[int, int], Interface | None] = {}
        out: list[Notification] = []
        for n in reversed(batch):
            key = n.family, n.luid
            if (
                n.interface is None
                and n.type in (NotificationType.ADD, NotificationType.PARAMETER)
                and key not in rows
            ):
                rows[key] = self._source.interface(n.family, n.luid)
                n = n._replace(interface=rows[key])
            out.append(n)
        out.reverse()
        return out
