"""The monitor thread: hands batches from the source to the state, and calls the observers.

It imports no publisher; a publisher that must see each notification is given as an observer.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from operator import itemgetter

from exporter.clock import SYSTEM, Clock
from exporter.model import Notification, NotificationType
from exporter.monitor.series import Histogram
from exporter.monitor.state import Delta, State
from exporter.sources.contract import Source, receive_forever, with_interfaces

log = logging.getLogger(__name__)

# Names, for the reason that `state` gives.
_INITIAL, _REFRESH = NotificationType.INITIAL, NotificationType.REFRESH
# Three attributes of a named tuple, one by one, take twice the time.
_lag_fields = itemgetter(*map(Notification._fields.index, ("instant", "type", "inferred")))

#: Called after each batch, in the monitor thread: be quick, or hand over to another.
Observer = Callable[[Sequence[Notification], Sequence[Delta]], None]

#: Seconds. Idle, a notification takes a fraction of a millisecond; in a storm, milliseconds.
LAG_BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1, 10)


class Monitor:
    """Owns the monitor thread, from `open` to `stop`."""

    def __init__(
        self,
        source: Source,
        state: State,
        observers: Sequence[Observer] = (),
        clock: Clock = SYSTEM,
    ) -> None:
        #: From the receipt of a notification to its being visible in the state.
        self.lag = Histogram(LAG_BOUNDS)
        self._source = source
        self._state = state
        self._observers = tuple(observers)
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)
        #: Set once the first batch, with which the source confirms the registration, is counted.
        self.ready = threading.Event()
        self._heartbeat_seconds: float | None = None
        #: When the thread last began to wait. Seconds, on `SYSTEM.monotonic`.
        self._last_wakeup = SYSTEM.monotonic()

    def __repr__(self) -> str:
        return f"<Monitor source={self._source!r} alive={self.alive} ready={self.ready.is_set()}>"

    def open(self) -> None:
        """Open the source and load the current interfaces. Raises OSError."""
        self._source.open()
        self._state.load(self._source.interfaces(), self._clock.monotonic())

    def start(self, heartbeat_seconds: float | None = None) -> None:
        """Start the thread. Call `open` first.

        It wakes up at least every `heartbeat_seconds`, so that a hang can be told from idleness.
        """
        self._heartbeat_seconds = heartbeat_seconds
        self._last_wakeup = SYSTEM.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """Close the source and wait until its last batch is counted. Any thread but its own."""
        self._stopping.set()
        self._source.close()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def seconds_since_wakeup(self) -> float:
        """Seconds since the thread last began to wait for a batch."""
        return SYSTEM.monotonic() - self._last_wakeup

    def _run(self) -> None:
        batches = receive_forever(
            self._source,
            self._stopping,
            self._timeout,
            lambda: self._source.health.count_error("receive"),
        )
        for batch in batches:
            if batch:
                self._process(batch)

    def _timeout(self) -> float | None:
        """Return how long to wait for a batch: until a series set expires, or a heartbeat."""
        self._last_wakeup = SYSTEM.monotonic()
        now = self._clock.monotonic()
        due = self._state.expire(now)
        timeout = None if due is None else max(0.0, due - now)
        if self._heartbeat_seconds is None or timeout is None:
            return timeout if timeout is not None else self._heartbeat_seconds
        return min(timeout, self._heartbeat_seconds)

    def _process(self, received: Sequence[Notification]) -> None:
        """Count a batch, then call the observers."""
        health = self._source.health
        try:
            batch = with_interfaces(received, self._source.interface)
            deltas: Sequence[Delta] = ()
            if self._observers:
                deltas = self._state.apply(batch)
            else:
                self._state.count(batch)
            self._observe_lag(batch)
        except Exception:
            health.count_error("apply")
            log.exception("Counting failed", extra={"fields": {"notifications": len(received)}})
            return
        if health.up:
            self.ready.set()
        for observer in self._observers:
            try:
                observer(batch, deltas)
            except Exception:
                health.count_error("observe")
                log.exception("An observer failed", extra={"fields": {"observer": observer}})

    def _observe_lag(self, batch: Sequence[Notification]) -> None:
        now = self._clock.monotonic()
        lags = [
            now - instant
            for instant, type_, inferred in map(_lag_fields, reversed(batch))
            if type_ is not _INITIAL and type_ is not _REFRESH and not inferred
        ]
        lags.sort()  # nearly sorted already, so this is cheap
        with self._state.lock:
            self.lag.observe_all(lags)
