"""The threads of the push: one for each signal, so that no signal delays another."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from exporter.monitor.state import Delta
from exporter.otel.sender import SignalSender

log = logging.getLogger(__name__)

#: Maximum number of queued notifications of a signal. At 0.5 kB each these are 32 MiB, and
#: three seconds of the fastest storm that can be pushed.
QUEUE_LIMIT = 65_536

#: Notifications in a request: below the 4 MiB that a gRPC server accepts by default.
BATCH_ITEMS = 2_048

#: The longest time that encoded notifications wait for others in the same request. Seconds.
BATCH_DELAY_SECONDS = 0.5


class Encoder(Protocol):
    """Encodes notifications for an exporter. Thread: its worker's."""

    def add(self, delta: Delta) -> None:
        """Encode a notification."""

    def flush(self, now: float | None) -> None:
        """Complete what is over at `now`, on the clock of the notifications; ``None``: all."""

    @property
    def next_flush(self) -> float | None:
        """When to call `flush`, on the clock of the notifications; ``None``: not yet known."""

    def drain(self) -> list[tuple[Any, int]]:
        """Return what is complete since the last call, each with its number of notifications."""


class Worker:
    """A thread that sends one signal, from `start` to `finish`."""

    def __init__(self, sender: SignalSender) -> None:
        self.sender = sender
        self._finishing = threading.Condition()
        self._finish = False
        # A daemon thread, so that no endpoint keeps the process alive.
        name = f"otlp-{sender.destination.signal}"
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.sender!r}>"

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def finish(self) -> None:
        """Let the thread send the rest and end. Never blocks. Idempotent."""
        with self._finishing:
            self._finish = True
            self._finishing.notify()

    def join(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for the thread to end; return whether it has."""
        if self._thread.is_alive():
            self._thread.join(max(0.0, timeout))
        return not self._thread.is_alive()

    def _main(self) -> None:
        try:
            self._run()
            self.sender.shutdown()
        except Exception:
            log.exception("OTLP push of %s ended", self.sender.destination.signal)

    def _run(self) -> None:
        raise NotImplementedError


class MetricWorker(Worker):
    """Sends the batches of `encode`, each with its number of items, at intervals."""

    def __init__(
        self,
        sender: SignalSender,
        encode: Callable[[], Iterable[tuple[Any, int]]],
        interval_seconds: float,
    ) -> None:
        super().__init__(sender)
        self._encode = encode
        self._interval = interval_seconds

    def _run(self) -> None:
        due = time.monotonic()
        finish = False
        while not finish:
            due += self._interval
            now = time.monotonic()
            if due < now:  # missed because of a slow endpoint
                due = now + self._interval
            with self._finishing:
                finish = self._finishing.wait_for(lambda: self._finish, due - now)
            batches = list(self._encode())
            self.sender.counts.add("accepted", sum(items for _, items in batches))
            for batch, items in batches:
                self.sender.send(batch, items)


class EventWorker(Worker):
    """Sends notifications, through a bounded queue and an encoder, in batches."""

    def __init__(
        self,
        sender: SignalSender,
        encoder: Encoder,
        now: Callable[[], float],
        limit: int = QUEUE_LIMIT,
    ) -> None:
        """`now` is the clock of the notifications; `limit` the length of the queue."""
        super().__init__(sender)
        self._encoder = encoder
        self._now = now
        self._limit = limit
        self._queue: deque[Sequence[Delta]] = deque()
        #: Notifications in the queue.
        self._queued = 0
        #: Encoded items that wait for the next request, and their notifications.
        self._encoded: list[tuple[Any, int]] = []
        self._encoded_items = 0
        #: When the first of them was encoded, on `time.monotonic`.
        self._encoded_since = 0.0

    def offer(self, deltas: Sequence[Delta]) -> None:
        """Queue notifications; drop those beyond the limit. Never blocks. Thread: monitor."""
        counts = self.sender.counts
        counts.add("accepted", len(deltas))
        with self._finishing:
            room = self._limit - self._queued
            if room < len(deltas):
                counts.add("dropped", len(deltas) - room)
                deltas = deltas[:room]
            if deltas:
                self._queue.append(deltas)
                self._queued += len(deltas)
                self._finishing.notify()

    def _run(self) -> None:
        while (deltas := self._next()) is not None:
            for delta in deltas:
                self._encoder.add(delta)
            self._encoder.flush(self._now())
            self._drain_encoder()
            waited = time.monotonic() - self._encoded_since
            if self._encoded_items >= BATCH_ITEMS or waited >= BATCH_DELAY_SECONDS:
                self._send()
        self._encoder.flush(None)
        self._drain_encoder()
        self._send()

    def _next(self) -> list[Delta] | None:
        """Return up to a batch of queued notifications; none when a send or flush is due.

        ``None`` at the end.
        """
        with self._finishing:
            if not self._queue and not self._finish:
                self._finishing.wait(self._wait_seconds())
            if not self._queue:
                return None if self._finish else []
            deltas: list[Delta] = []
            while self._queue and len(deltas) < BATCH_ITEMS:
                deltas += self._queue.popleft()
            self._queued -= len(deltas)
            return deltas

    def _wait_seconds(self) -> float | None:
        """Return the seconds until a send or flush is due; ``None`` if none is."""
        waits = []
        if self._encoded:
            waits.append(self._encoded_since + BATCH_DELAY_SECONDS - time.monotonic())
        if self._encoder.next_flush is not None:
            # The clock of a replay can stand still: 10 ms keep this from being a busy loop.
            waits.append(max(self._encoder.next_flush - self._now(), 0.01))
        return max(0.0, min(waits)) if waits else None

    def _drain_encoder(self) -> None:
        encoded = self._encoder.drain()
        if encoded and not self._encoded:
            self._encoded_since = time.monotonic()
        self._encoded += encoded
        self._encoded_items += sum(items for _, items in encoded)

    def _send(self) -> None:
        """Send what is encoded, in requests of a bounded size."""
        encoded, self._encoded, self._encoded_items = self._encoded, [], 0
        batch: list[Any] = []
        batch_items = 0
        for payload, items in encoded:
            if batch_items + items > BATCH_ITEMS or len(batch) >= BATCH_ITEMS:
                self.sender.send(batch, batch_items)
                batch, batch_items = [], 0
            batch.append(payload)
            batch_items += items
        if batch:
            self.sender.send(batch, batch_items)
