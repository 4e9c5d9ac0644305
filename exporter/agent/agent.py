"""Assembles the parts of the agent, starts them in order, and stops them in reverse order.

Threads: the monitor thread (see `monitor.thread`), ``web`` (see `web.server`) and, with an
OTLP push, one for each signal (see `otel.workers`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Sequence

from exporter import __version__, logs
from exporter.agent.systemd import passed_sockets
from exporter.clock import SYSTEM, Clock
from exporter.errors import SettingsError
from exporter.exposition.page import Page
from exporter.exposition.process_metrics import ProcessMetrics
from exporter.logs import event
from exporter.metrics.catalog import series_metrics
from exporter.metrics.snapshot import Snapshot, build_info
from exporter.monitor.state import State
from exporter.monitor.thread import Monitor, Observer
from exporter.otel import configured_push
from exporter.settings.schema import RELOADABLE, Settings, WebSettings, changed_flags
from exporter.site.landing_data import LandingSource
from exporter.site.routes import Routes
from exporter.sources import namespace
from exporter.sources.contract import Source
from exporter.version import NAME, revision
from exporter.web.http_message import Handler
from exporter.web.server import WebServer
from exporter.web.tls import Tls

log = logging.getLogger(__name__)

#: Reads the settings again. Raises SettingsError.
Load = Callable[[], Settings]


class Agent:
    """A source, the state derived from it, and the publishers of that state.

    Thread: `open`, `start`, `reload` and `stop` from one thread, the others from any.
    """

    def __init__(
        self,
        settings: Settings,
        source: Source,
        clock: Clock = SYSTEM,
        observers: Sequence[Observer] = (),
    ) -> None:
        event(log, logging.INFO, f"Starting {NAME}", version=__version__, revision=revision())
        collector, web = settings.collector, settings.web
        self.source = source
        self._settings = self._start_settings = settings
        self._clock = clock
        #: Whether the last reload succeeded; ``None`` without a configuration file.
        self._config_ok: bool | None = True if settings.config_file else None
        # A recording comes from another place, so this namespace says nothing about it.
        self._build = build_info(source.backend, namespace() if clock is SYSTEM else None)
        self._push = configured_push(settings, os.environ, self._read, clock, self._build)
        self._state = State(
            collector.selection,
            collector.max_interfaces,
            collector.retention_seconds,
            self._push.trace_ids() if self._push else None,
        )
        pushes = () if self._push is None else (self._push,)
        self._monitor = Monitor(source, self._state, (*observers, *pushes), clock)
        page = Page(
            self._read,
            series_metrics(source.backend, all_parameters=collector.all_parameters),
            *(() if web.disable_exporter_metrics else (ProcessMetrics().render,)),
        )
        application = Routes(
            page.chunks,
            self.unready,
            LandingSource(self._read, clock.wall),
            web.telemetry_path,
        )
        if web.systemd_socket:
            addresses, sockets = tuple[str, ...](), passed_sockets()
        else:
            addresses, sockets = web.listen_addresses, []
        handler, tls = _protected(application, web)
        self._server = WebServer(addresses, handler, web.max_requests, sockets=sockets, tls=tls)

    def __repr__(self) -> str:
        return f"<Agent source={self.source!r} addresses={self.addresses}>"

    def open(self) -> None:
        """Open the source and load the current interfaces. Raises OSError."""
        self._monitor.open()

    def start(self, heartbeat_seconds: float | None = None) -> None:
        """Start serving, pushing and counting. Raises OSError; nothing runs then.

        `heartbeat_seconds`: the longest sleep of the monitor thread, without which `hung`
        cannot tell a hang from idleness.
        """
        try:
            self._server.start()
        except BaseException:
            self._monitor.stop()
            raise
        if self._push:
            self._push.start()
        self._monitor.start(heartbeat_seconds)
        if self._build.namespace:
            event(log, logging.INFO, "Watching", netns=self._build.namespace)
        for address in self._server.addresses:
            event(log, logging.INFO, "Listening", address=str(address))
            message = f"TLS is {'enabled' if self._server.secured else 'disabled'}"
            event(log, logging.INFO, message, http2=False, address=str(address))

    def reload(self, load: Load) -> None:
        """Load the settings again and apply the `RELOADABLE` ones.

        If `load` fails, everything stays as it is.
        """
        try:
            settings = load()
        except SettingsError as error:
            self._config_ok = False
            message = "Configuration reload failed, keeping the previous one"
            event(log, logging.ERROR, message, error=error)
            return
        logs.set_up(settings.log.level, settings.log.format)
        collector = settings.collector
        self._state.reconfigure(
            collector.selection,
            collector.max_interfaces,
            collector.retention_seconds,
            self.source.received_until(),
        )
        self._config_ok = True if settings.config_file else None
        fields = {"changed": changed_flags(self._settings, settings)}
        self._settings = settings
        # Compared with the settings of the start, because earlier reloads did not apply them.
        fields["restart_needed"] = changed_flags(self._start_settings, settings) - RELOADABLE
        texts = {name: ",".join(sorted(flags)) for name, flags in fields.items() if flags}
        event(log, logging.INFO, "Configuration reloaded", **texts)

    def stop(self) -> None:
        """Stop serving, then counting, then pushing, so that the last counts are pushed."""
        self._server.stop()
        self._monitor.stop()
        if self._push:
            self._push.stop()

    def _read(self) -> Snapshot:
        return Snapshot(
            self._state,
            self.source.health,
            self._build,
            self.source.received_until(),
            self._monitor.lag if self._clock is SYSTEM else None,
            self._config_ok,
            self._push.items() if self._push else {},
        )

    @property
    def addresses(self) -> list[str]:
        """The addresses that the server listens on, with the real ports."""
        return [str(address) for address in self._server.addresses]

    def unready(self) -> str:
        """Return why ``/-/ready`` answers 503, or "" once the agent is ready."""
        if not self._monitor.alive:
            return "the monitor thread is not running"
        if not self.source.health.up:
            return "the system has not confirmed that it will send notifications"
        if not self._monitor.ready.is_set():
            return "the first notification is still being processed"
        return ""

    def hung(self, limit_seconds: float) -> str:
        """Return which part has made no progress for `limit_seconds`, or "" if none."""
        if not self._monitor.alive:
            return "the monitor thread is not running"
        seconds = self._monitor.seconds_since_wakeup
        if seconds > limit_seconds:
            return f"the monitor thread has made no progress for {seconds:.0f} s"
        if not self._server.answers(min(1.0, limit_seconds)):
            return "the web server makes no progress"
        return ""


def _protected(
    application: Handler, web: WebSettings
) -> tuple[Handler, Callable[[], Awaitable[Tls]] | None]:
    """Return the application behind the web configuration, and its TLS if it has any."""
    if not web.config_file:
        return application, None
    # Imported only here: bcrypt and PyYAML cost 50 ms and 3 MiB.
    from exporter.web.live_configuration import LiveWebConfig
    from exporter.web.middleware import WebConfigMiddleware

    config = LiveWebConfig(web.config_file)
    handler = WebConfigMiddleware(application, config, web.max_requests)
    return handler, config.tls if config.last_good.tls else None
