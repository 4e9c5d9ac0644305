"""The threads of the push: one for each signal, so that no signal delays another."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from exporter.monitor.state import Delta
from exporter.otel.sender import Outcome, SignalSender

log = logging.getLogger(__name__)

#: Maximum number of queued notifications of a signal. At 0.5 kB each these are 32 MiB, and
#: three seconds of the fastest storm that can be pushed.
QUEUE_LIMIT = 65_536

#: Notifications in a request: below the 4 MiB that a gRPC server accepts by default.
BATCH_ITEMS = 2_048

#: Seconds before a postponed batch is sent again: doubled each time, up to the second value.
RETRY_SECONDS, MAX_RETRY_SECONDS = 1.0, 5.0

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
            signal = self.sender.destination.signal
            log.exception("OTLP push ended by an error", extra={"fields": {"signal": signal}})

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
                # The next push has the newer values, so none is sent again.
                if self.sender.send(batch, items) is Outcome.POSTPONED:
                    self.sender.lose("failed", items)


class EventWorker(Worker):
    """Sends notifications, through a bounded queue and an encoder, in batches.

    While the endpoint is away, notifications stay in the queue, which holds them in a third of
    the memory that encoded ones take. The oldest are given up: those that find no room, and
    those that waited longer than the maximum.
    """

    def __init__(
        self,
        sender: SignalSender,
        encoder: Encoder,
        now: Callable[[], float],
        max_retry_seconds: float,
        limit: int = QUEUE_LIMIT,
    ) -> None:
        """Set up. `now` is the clock of the notifications; `limit` the length of the queue.

        `max_retry_seconds`: how long a notification waits at most for an endpoint that is away.
        """
        super().__init__(sender)
        self._encoder = encoder
        self._now = now
        self._limit = limit
        self._max_retry = max_retry_seconds
        #: Batches of notifications, each with the time of its arrival, on `time.monotonic`.
        self._queue: deque[tuple[float, Sequence[Delta]]] = deque()
        #: Notifications in the queue.
        self._queued = 0
        #: Encoded items that wait for the next request, and their notifications.
        self._encoded: list[tuple[Any, int]] = []
        self._encoded_items = 0
        #: When the first of them was encoded, on `time.monotonic`.
        self._encoded_since = 0.0
        #: Requests that are still to be sent: a batch, its notifications, and when it was made.
        self._requests: deque[tuple[list[Any], int, float]] = deque()
        #: The stop came while the endpoint was away: the rest is dropped.
        self._given_up = False

    def offer(self, deltas: Sequence[Delta]) -> None:
        """Queue notifications; drop the oldest beyond the limit. Never blocks. Thread: monitor."""
        self.sender.counts.add("accepted", len(deltas))
        with self._finishing:
            self._queue.append((time.monotonic(), deltas))
            self._queued += len(deltas)
            while self._queued > self._limit:
                self._drop_oldest()
            self._finishing.notify()

    def _drop_oldest(self) -> None:
        """Drop the oldest batch of the queue, or as much of it as is over the limit."""
        since, deltas = self._queue.popleft()
        excess = min(len(deltas), self._queued - self._limit)
        if excess < len(deltas):
            self._queue.appendleft((since, deltas[excess:]))
        self._queued -= excess
        self.sender.lose("dropped", excess)

    def _run(self) -> None:
        while not self._given_up and (deltas := self._next()) is not None:
            for delta in deltas:
                self._encoder.add(delta)
            self._encoder.flush(self._now())
            self._drain_encoder()
            waited = time.monotonic() - self._encoded_since
            if self._encoded_items >= BATCH_ITEMS or waited >= BATCH_DELAY_SECONDS:
                self._send()
        if not self._given_up:
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
                deltas += self._queue.popleft()[1]
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
        """Send what is encoded, in requests of a bounded size, until the endpoint takes it."""
        encoded, self._encoded, self._encoded_items = self._encoded, [], 0
        now = time.monotonic()
        batch: list[Any] = []
        batch_items = 0
        for payload, items in encoded:
            if batch_items + items > BATCH_ITEMS or len(batch) >= BATCH_ITEMS:
                self._requests.append((batch, batch_items, now))
                batch, batch_items = [], 0
            batch.append(payload)
            batch_items += items
        if batch:
            self._requests.append((batch, batch_items, now))
        wait = RETRY_SECONDS
        while self._requests:
            batch, batch_items, since = self._requests[0]
            if self.sender.send(batch, batch_items) is not Outcome.POSTPONED:
                self._requests.popleft()
                wait = RETRY_SECONDS
                continue
            oldest = time.monotonic() - self._max_retry
            if since <= oldest:
                self._requests.popleft()
                self.sender.lose("failed", batch_items)
            with self._finishing:
                self._expire_queue(oldest)
                if self._finishing.wait_for(lambda: self._finish, wait):
                    self._given_up = True
                    return
            wait = min(2 * wait, MAX_RETRY_SECONDS)

    def _expire_queue(self, oldest: float) -> None:
        """Give up what came before `oldest`. The caller holds the lock."""
        while self._queue and self._queue[0][0] <= oldest:
            _, deltas = self._queue.popleft()
            self._queued -= len(deltas)
            self.sender.lose("failed", len(deltas))
