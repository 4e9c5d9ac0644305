"""Assembles the push: an observer of the monitor, and a worker thread for each signal."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence

from exporter.clock import Clock
from exporter.errors import SettingsError
from exporter.logs import event
from exporter.metrics.catalog import series_metrics
from exporter.metrics.snapshot import BuildInfo, Snapshot
from exporter.model import COUNTED_TYPES, Notification
from exporter.monitor.state import Delta
from exporter.otel.destinations import Destination, metrics_interval
from exporter.otel.episodes import Episodes
from exporter.otel.exporters import make_exporter
from exporter.otel.log_events import LogEncoder
from exporter.otel.metrics import MetricEncoder
from exporter.otel.resource import resource
from exporter.otel.sender import SignalSender
from exporter.otel.spans import SpanEncoder, max_events
from exporter.otel.trace_ids import TraceIds
from exporter.otel.workers import EventWorker, MetricWorker, Worker
from exporter.settings.schema import Settings

log = logging.getLogger(__name__)

#: Time limit of `Push.stop`, whatever the endpoint does.
STOP_SECONDS = 4.0
#: The last part of it, in which only running exports may end.
ABORT_SECONDS = 1.0


class Push:
    """Pushes notifications and metrics. Thread: `start` and `stop` from one thread."""

    def __init__(
        self,
        settings: Settings,
        configured: Sequence[Destination],
        read: Callable[[], Snapshot],
        clock: Clock,
        build: BuildInfo,
    ) -> None:
        """Create the workers; nothing connects yet. Raises SettingsError."""
        self._settings = settings
        self._read = read
        self._clock = clock
        self._backend = build.backend
        self._resource = resource(settings.web.listen_addresses, build.namespace)
        #: Makes the ids of traces differ from those of other agents, and of the last start.
        self._seed = os.urandom(16)
        self._workers = [self._worker(destination) for destination in configured]
        self._event_workers = [w for w in self._workers if isinstance(w, EventWorker)]
        self._started = False

    def __repr__(self) -> str:
        return f"<Push {', '.join(worker.sender.destination.signal for worker in self._workers)}>"

    def __call__(self, batch: Sequence[Notification], deltas: Sequence[Delta]) -> None:
        """Queue the notifications of a batch. Never blocks. Thread: the monitor thread."""
        if not self._event_workers:
            return
        counted = [delta for delta in deltas if delta.notification.type in COUNTED_TYPES]
        if counted:
            for worker in self._event_workers:
                worker.offer(counted)

    def trace_ids(self) -> Callable[[float], int] | None:
        """Return what `State` asks for the trace of each notification; ``None`` without traces."""
        signals = {worker.sender.destination.signal for worker in self._workers}
        return self._trace_ids().trace_id if "traces" in signals else None

    def start(self) -> None:
        """Start the threads."""
        self._started = True
        for worker in self._workers:
            destination = worker.sender.destination
            event(
                log,
                logging.INFO,
                "OTLP push started",
                signal=destination.signal,
                endpoint=destination.redacted_endpoint,
                protocol=destination.protocol,
            )
            worker.start()

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Push the rest, within `timeout` seconds. Idempotent."""
        if not self._started:
            return
        self._started = False
        deadline = time.monotonic() + timeout
        for worker in self._workers:
            worker.finish()
        for worker in self._workers:
            if not worker.join(deadline - ABORT_SECONDS - time.monotonic()):
                worker.sender.abort()
        for worker in self._workers:
            worker.join(deadline - time.monotonic())
            worker.sender.close()

    def items(self) -> dict[tuple[str, str], int]:
        """Return the item counts by signal and result."""
        return {
            (worker.sender.destination.signal, result): count
            for worker in self._workers
            for result, count in worker.sender.counts.counts().items()
        }

    def _trace_ids(self) -> TraceIds:
        """Return the ids for one signal. Raises SettingsError for invalid span limits."""
        episode = self._settings.episode
        episodes = Episodes(episode.quiet_seconds, episode.max_duration_seconds)
        try:
            return TraceIds(episodes, max_events(), self._seed)
        except ValueError as error:
            raise SettingsError(f"span limits: {error}") from None

    def _worker(self, destination: Destination) -> Worker:
        sender = SignalSender(destination, make_exporter(destination))
        settings = self._settings
        waiting = self._clock.monotonic, settings.otlp.max_retry_seconds
        match destination.signal:
            case "traces":
                return EventWorker(sender, SpanEncoder(self._resource, self._trace_ids()), *waiting)
            case "logs":
                ids = self._trace_ids() if settings.otlp.events == "both" else None
                return EventWorker(sender, LogEncoder(self._resource, ids), *waiting)
            case _:
                every = settings.collector.all_parameters
                metrics = series_metrics(self._backend, all_parameters=every)
                metric_encoder = MetricEncoder(self._read, metrics, self._resource)
                interval = metrics_interval(settings.otlp, os.environ)
                preference = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
                if os.environ.get(preference, "").strip().lower() == "delta":
                    event(
                        log,
                        logging.WARNING,
                        "Pushing cumulative metrics: delta is not supported",
                        variable=preference,
                    )
                return MetricWorker(sender, metric_encoder.encode, interval)
