"""The threads of the push, one for each signal: what one waits for does not delay another."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from exporter.monitor.state import Delta
from exporter.otel.sender import Outlet

log = logging.getLogger(__name__)

#: Notifications that wait for one signal. A waiting one is 0.5 kB, so this is 32 MiB, and
#: three seconds of the fastest storm that can be pushed.
QUEUE_LIMIT = 65_536

#: Notifications in one request: below the 4 MiB that a gRPC server takes by default.
BATCH_ITEMS = 2_048

#: Seconds that something finished waits for more, so that a request is worth it.
LINGER_SECONDS = 0.5


class Maker(Protocol):
    """Makes out of notifications what an exporter takes. Thread: its worker's."""

    def add(self, delta: Delta) -> None:
        """One more."""

    def end(self, now: float | None) -> None:
        """Finish what is over at `now`; ``None``: everything."""

    @property
    def due(self) -> float | None:
        """When to call `end` next."""

    def take(self) -> list[tuple[Any, int]]:
        """What is finished, each with the number of notifications in it."""


class Worker:
    """A thread that sends for one outlet, from `start` until after `finish`."""

    def __init__(self, outlet: Outlet) -> None:
        self.outlet = outlet
        self._finishing = threading.Condition()
        self._finish = False
        # A daemon: no endpoint may keep the process alive.
        name = f"otlp-{outlet.destination.signal}"
        self._thread = threading.Thread(target=self._guarded, name=name, daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def finish(self) -> None:
        """Ask for the rest to be sent, and the thread to end. Any number of times."""
        with self._finishing:
            self._finish = True
            self._finishing.notify()

    def join(self, timeout: float) -> bool:
        """Whether the thread has ended, if it ever began."""
        if self._thread.is_alive():
            self._thread.join(max(0.0, timeout))
        return not self._thread.is_alive()

    def _guarded(self) -> None:
        try:
            self._run()
            self.outlet.shut()
        except Exception:
            log.exception("Pushing %s ended", self.outlet.destination.signal)

    def _run(self) -> None:
        raise NotImplementedError


class Ticker(Worker):
    """Sends what `collect` gives: batches with their number of items, at intervals."""

    def __init__(
        self,
        outlet: Outlet,
        collect: Callable[[], Iterable[tuple[Any, int]]],
        interval_seconds: float,
    ) -> None:
        super().__init__(outlet)
        self._collect = collect
        self._interval = interval_seconds

    def _run(self) -> None:
        due = time.monotonic()
        finish = False
        while not finish:
            due += self._interval
            now = time.monotonic()
            if due < now:  # a slow endpoint made us miss it
                due = now + self._interval
            with self._finishing:
                finish = self._finishing.wait_for(lambda: self._finish, due - now)
            batches = list(self._collect())
            self.outlet.account.add("accepted", sum(items for _, items in batches))
            for payload, items in batches:
                self.outlet.send(payload, items)


class Pipeline(Worker):
    """Sends notifications: a bounded queue, a maker, batches."""

    def __init__(
        self,
        outlet: Outlet,
        maker: Maker,
        now: Callable[[], float],
        limit: int = QUEUE_LIMIT,
    ) -> None:
        """`now` is the clock of the notifications."""
        super().__init__(outlet)
        self._maker = maker
        self._now = now
        self._limit = limit
        self._queue: deque[Sequence[Delta]] = deque()
        self._queued = 0
        self._ready: list[tuple[Any, int]] = []
        self._ready_items = 0
        self._ready_since = 0.0

    def offer(self, deltas: Sequence[Delta]) -> None:
        """Take notifications, as far as there is room. Never waits. Thread: the collector."""
        account = self.outlet.account
        account.add("accepted", len(deltas))
        with self._finishing:
            room = self._limit - self._queued
            if room < len(deltas):
                account.add("dropped", len(deltas) - room)
                deltas = deltas[:room]
            if deltas:
                self._queue.append(deltas)
                self._queued += len(deltas)
                self._finishing.notify()

    def _run(self) -> None:
        while (deltas := self._next()) is not None:
            for delta in deltas:
                self._maker.add(delta)
            self._maker.end(self._now())
            self._collect()
            waited = time.monotonic() - self._ready_since
            if self._ready_items >= BATCH_ITEMS or waited >= LINGER_SECONDS:
                self._send()
        self._maker.end(None)
        self._collect()
        self._send()

    def _next(self) -> list[Delta] | None:
        """What waits, up to a batch; nothing when something else is due; ``None`` at the end."""
        with self._finishing:
            if not self._queue and not self._finish:
                self._finishing.wait(self._patience())
            if not self._queue:
                return None if self._finish else []
            deltas: list[Delta] = []
            while self._queue and len(deltas) < BATCH_ITEMS:
                deltas += self._queue.popleft()
            self._queued -= len(deltas)
            return deltas

    def _patience(self) -> float | None:
        """How long to wait for notifications before something else is to be done."""
        waits = []
        if self._ready:
            waits.append(self._ready_since + LINGER_SECONDS - time.monotonic())
        if self._maker.due is not None:
            # A replay's clock can stand still: not a loop without rest.
            waits.append(max(self._maker.due - self._now(), 0.01))
        return max(0.0, min(waits)) if waits else None

    def _collect(self) -> None:
        finished = self._maker.take()
        if finished and not self._ready:
            self._ready_since = time.monotonic()
        self._ready += finished
        self._ready_items += sum(items for _, items in finished)

    def _send(self) -> None:
        """Send what is ready, in requests of a bounded size."""
        ready, self._ready, self._ready_items = self._ready, [], 0
        batch: list[Any] = []
        batch_items = 0
        for payload, items in ready:
            if batch_items + items > BATCH_ITEMS or len(batch) >= BATCH_ITEMS:
                self.outlet.send(batch, batch_items)
                batch, batch_items = [], 0
            batch.append(payload)
            batch_items += items
        if batch:
            self.outlet.send(batch, batch_items)
