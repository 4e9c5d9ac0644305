"""The push, put together: an observer of the monitor, with a thread for each signal."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence

from exporter.clock import Clock
from exporter.errors import SettingsError
from exporter.logs import event
from exporter.metrics.catalogue import series_metrics
from exporter.metrics.snapshot import Snapshot
from exporter.model import Notification, NotificationType
from exporter.monitor.state import Delta
from exporter.otel.destinations import Destination, metrics_interval
from exporter.otel.episodes import Episodes
from exporter.otel.events import EventMaker
from exporter.otel.exporters import make_exporter
from exporter.otel.points import PointMaker
from exporter.otel.resource import resource
from exporter.otel.sender import Outlet
from exporter.otel.spans import SpanMaker
from exporter.otel.workers import Pipeline, Ticker, Worker
from exporter.settings.schema import Settings

log = logging.getLogger(__name__)

#: Everything has ended after these, whatever the endpoint does.
STOP_SECONDS = 4.0
#: The last part of them: no try begins any more, those under way may end.
ABORT_SECONDS = 1.0


class Push:
    """Pushes what it observes. Thread: `start` and `stop` from any one thread."""

    def __init__(
        self,
        settings: Settings,
        found: Sequence[Destination],
        read: Callable[[], Snapshot],
        clock: Clock,
    ) -> None:
        """Raises SettingsError. Nothing is connected yet."""
        self._settings = settings
        self._read = read
        self._clock = clock
        self._resource = resource(settings.web.listen_addresses)
        self._workers = [self._worker(destination) for destination in found]
        self._pipelines = [w for w in self._workers if isinstance(w, Pipeline)]
        self._started = False

    def __call__(self, batch: Sequence[Notification], deltas: Sequence[Delta]) -> None:
        """Take a batch; never waits. Thread: the collector."""
        if not self._pipelines:
            return
        told = [delta for delta in deltas if delta.notification.type <= NotificationType.DELETE]
        if told:
            for pipeline in self._pipelines:
                pipeline.offer(told)

    def start(self) -> None:
        """Begin to push."""
        self._started = True
        for worker in self._workers:
            signal, _, protocol = worker.outlet.destination
            shown = worker.outlet.destination.shown
            event(log, logging.INFO, "Pushing", signal=signal, endpoint=shown, protocol=protocol)
            worker.start()

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Push what is left, within `timeout` seconds. Any number of times."""
        if not self._started:
            return
        self._started = False
        deadline = time.monotonic() + timeout
        for worker in self._workers:
            worker.finish()
        for worker in self._workers:
            if not worker.join(deadline - ABORT_SECONDS - time.monotonic()):
                worker.outlet.abort()
        for worker in self._workers:
            worker.join(deadline - time.monotonic())
            worker.outlet.close()

    def items(self) -> dict[tuple[str, str], int]:
        """What became of the items, by signal and result."""
        return {
            (worker.outlet.destination.signal, result): count
            for worker in self._workers
            for result, count in worker.outlet.account.counts().items()
        }

    def _worker(self, destination: Destination) -> Worker:
        outlet = Outlet(destination, make_exporter(destination))
        settings = self._settings
        match destination.signal:
            case "traces":
                episode = settings.episode
                episodes = Episodes(episode.quiet_seconds, episode.max_duration_seconds)
                try:
                    maker = SpanMaker(self._resource, episodes)
                except ValueError as error:
                    raise SettingsError(f"span limits: {error}") from None
                return Pipeline(outlet, maker, self._clock.monotonic)
            case "logs":
                return Pipeline(outlet, EventMaker(self._resource), self._clock.monotonic)
            case _:
                metrics = series_metrics(settings.collector.all_parameters)
                points = PointMaker(self._read, metrics, self._resource)
                interval = metrics_interval(settings.otlp, os.environ)
                preference = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
                if os.environ.get(preference, "").strip().lower() == "delta":
                    log.warning("%s=delta: not possible, totals are pushed", preference)
                return Ticker(outlet, points.collect, interval)
