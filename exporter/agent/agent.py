"""Puts the parts together, starts them in order, and stops them in reverse.

It has two threads: ``collector`` (see `monitor`) and ``web`` (see `web.server`). With an OTLP
push there is one more for each signal (see `otel.workers`).
"""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Callable, Sequence

from exporter import __version__, logs
from exporter.agent.systemd import passed_sockets
from exporter.clock import SYSTEM, Clock
from exporter.exposition.page import Page
from exporter.logs import event
from exporter.metrics.catalogue import series_metrics
from exporter.metrics.collector import library_page
from exporter.metrics.snapshot import BuildInfo, Snapshot
from exporter.monitor.state import State
from exporter.monitor.thread import Monitor, Observer
from exporter.otel import configured_push
from exporter.settings.schema import Settings, WebSettings
from exporter.site.application import Application
from exporter.site.landing_data import landing_data
from exporter.sources import namespace
from exporter.sources.contract import Source
from exporter.version import NAME, revision
from exporter.web.message import Handler
from exporter.web.server import WebServer
from exporter.web.tls import Tls

log = logging.getLogger(__name__)


class Agent:
    """A source, what is known from it, and the endpoint that publishes it."""

    def __init__(
        self,
        settings: Settings,
        source: Source,
        clock: Clock = SYSTEM,
        observers: Sequence[Observer] = (),
    ) -> None:
        event(log, logging.INFO, f"Starting {NAME}", version=__version__, revision=revision())
        #: Whether the configuration file was good when last read; ``None`` without one.
        self.config_ok: bool | None = True if settings.config_file else None
        collector, web = settings.collector, settings.web
        self.source = source
        self._clock = clock
        seen = namespace() if clock is SYSTEM else None  # a recording is of somewhere else
        self._build = BuildInfo(
            __version__, revision(), platform.python_version(), source.backend, seen
        )
        self._state = State(
            collector.selection, collector.max_interfaces, collector.retention_seconds
        )
        self._push = configured_push(settings, os.environ, self._read, clock)
        pushes = () if self._push is None else (self._push,)
        self._monitor = Monitor(source, self._state, (*observers, *pushes), clock)
        page = Page(
            self._read,
            series_metrics(collector.all_parameters),
            *(() if web.disable_exporter_metrics else (library_page(),)),
        )
        application = Application(
            page.pieces,
            self._is_ready,
            lambda: landing_data(self._read, clock.wall()),
            web.telemetry_path,
        )
        if web.systemd_socket:
            addresses, sockets = tuple[str, ...](), passed_sockets()
        else:
            addresses, sockets = web.listen_addresses, []
        handler, tls = _protected(application, web)
        self._server = WebServer(addresses, handler, web.max_requests, sockets=sockets, tls=tls)

    def open(self) -> None:
        """Take what exists. Raises OSError."""
        self._monitor.open()

    def start(self, pulse_seconds: float | None = None) -> None:
        """Begin to count, then to serve. Raises OSError, and has stopped again then.

        With `pulse_seconds`, `hanging` can tell idleness from a collector that hangs.
        """
        try:
            self._server.start()
        except BaseException:
            self._monitor.stop()
            raise
        if self._push:
            self._push.start()
        self._monitor.start(pulse_seconds)
        if self._build.namespace:
            event(log, logging.INFO, "Watching", netns=self._build.namespace)
        for address in self._server.addresses:
            event(log, logging.INFO, "Listening", address=str(address))
            message = f"TLS is {'enabled' if self._server.secured else 'disabled'}"
            event(log, logging.INFO, message, http2=False, address=str(address))

    def reconfigure(self, settings: Settings) -> None:
        """Take what can change while it runs: filters, groups, limit, retention, log."""
        logs.set_up(settings.log.level, settings.log.format)
        collector = settings.collector
        self._state.reconfigure(
            collector.selection,
            collector.max_interfaces,
            collector.retention_seconds,
            self._clock.monotonic(),
        )

    def stop(self) -> None:
        """Stop serving, then counting: what is known stays true as long as it is served.

        The push comes last, and pushes the rest.
        """
        self._server.stop()
        self._monitor.stop()
        if self._push:
            self._push.stop()

    def _read(self) -> Snapshot:
        return Snapshot(
            self._state,
            self.source.health,
            self._build,
            self._clock.monotonic(),
            self._monitor.lag if self._clock is SYSTEM else None,
            self.config_ok,
            self._push.items() if self._push else {},
        )

    @property
    def addresses(self) -> list[str]:
        """Where it listens, with the real ports."""
        return [str(address) for address in self._server.addresses]

    def unready(self) -> str:
        """Why what is served is not the whole truth yet; empty once it is."""
        if not self._monitor.alive:
            return "the collector is not running"
        if not self.source.health.up:
            return "the system has not confirmed that it will send notifications"
        if not self._monitor.ready.is_set():
            return "the first notification is still being taken"
        return ""

    def hanging(self, allowed_seconds: float) -> str:
        """What has not moved for so long though it should; empty while all is well."""
        if not self._monitor.alive:
            return "the collector is not running"
        silent = self._monitor.silent_seconds
        if silent > allowed_seconds:
            return f"the collector has not moved for {silent:.0f} s"
        if not self._server.answers(min(1.0, allowed_seconds)):
            return "the web server does not move"
        return ""

    def _is_ready(self) -> tuple[bool, str]:
        reason = self.unready()
        return not reason, reason or "ready"


def _protected(application: Handler, web: WebSettings) -> tuple[Handler, Callable[[], Tls] | None]:
    """What the web configuration file puts before the application, and around a connection."""
    if not web.config_file:
        return application, None
    # bcrypt and PyYAML: 50 ms and 3 MiB that others need not pay.
    from exporter.web.gate import Gate
    from exporter.web.live_configuration import Policy

    policy = Policy(web.config_file)
    gate = Gate(application, policy, web.max_requests)
    return gate, policy.tls if policy.last.tls else None
