"""The commands that run until a signal: the agent, the agent with a recorder, a replay.

They are the same `Agent` with another source. The main thread only waits: SIGTERM and
SIGINT stop the agent, SIGHUP (where there is one) reads the configuration file again. What
becomes of that, systemd is told if it wants to know.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from contextlib import closing

from exporter.agent import memory
from exporter.agent.agent import Agent
from exporter.agent.signals import RELOAD, Wishes
from exporter.agent.systemd import Supervisor
from exporter.clock import SYSTEM
from exporter.errors import SettingsError
from exporter.logs import event
from exporter.monitor.recorder import Recorder
from exporter.settings.schema import Settings
from exporter.sources import system_source
from exporter.sources.contract import Source
from exporter.sources.replay import ReplaySource

log = logging.getLogger(__name__)

#: Reads the settings again. Raises SettingsError.
Load = Callable[[], Settings]


def run_agent(load: Load, wishes: Wishes | None = None) -> int:
    """Publish this computer's IP interfaces until a signal, or a wish from elsewhere.

    Raises OSError and SettingsError at start-up.
    """
    settings = load()
    agent = Agent(settings, _system_source(settings))
    return _serve(agent, load, wishes or Wishes())


def run_record(load: Load, path: str) -> int:
    """The same, and write every notification to a new file. Raises like `run_agent`."""
    settings = load()
    wishes = Wishes()
    # Half a recording misleads: when writing fails, all stops.
    recorder = Recorder(path, lambda: wishes.put("recording failed"))
    source = _system_source(settings)
    agent = Agent(settings, source, observers=(recorder,))
    try:
        code = _serve(
            agent,
            load,
            wishes,
            lambda: recorder.begin(source.interfaces(), SYSTEM.wall(), SYSTEM.monotonic()),
        )
    finally:
        recorder.close()
    if recorder.error is not None:
        log.error("Recording to %s ended early: %s", path, recorder.error)
        return 1
    event(log, logging.INFO, "Recorded", file=path, notifications=recorder.lines)
    return code


def run_replay(load: Load, path: str) -> int:
    """Publish a recording. Raises like `run_agent`."""
    settings = load()
    pace = settings.replay.pace
    source = ReplaySource(path, recorded_pace=pace == "recorded")
    return _serve(
        Agent(settings, source, source.clock),
        load,
        Wishes(),
        lambda: event(log, logging.INFO, "Replaying", file=path, pace=pace),
    )


def _system_source(settings: Settings) -> Source:
    return system_source(settings.collector.family, settings.collector.receive_buffer_bytes)


def _serve(
    agent: Agent, load: Load, wishes: Wishes, opened: Callable[[], object] = lambda: None
) -> int:
    """Run until a signal, or another wish to stop; then the wishes are closed."""
    if agent.source.backend != ReplaySource.backend:
        _warn_of_root()
    supervisor = Supervisor()
    interval = supervisor.interval
    allowed = interval or 0.0

    def attend() -> float | None:
        return supervisor.attend(agent.unready, lambda: agent.hanging(allowed))

    with closing(wishes), wishes.of_signals():
        try:
            agent.open()
            opened()
            memory.settle()
            agent.start(pulse_seconds=interval and interval / 2)
            supervisor.status(f"Listening on {', '.join(agent.addresses)}")
            while (wish := _next(wishes, attend)) == RELOAD:
                supervisor.reloading()
                _reload(agent, load)
                supervisor.reloaded()
            event(log, logging.INFO, "Stopping", reason=wish)
            supervisor.stopping()
        finally:
            agent.stop()
    log.info("Stopped")
    return 0


def _warn_of_root() -> None:
    if sys.platform != "win32" and os.geteuid() == 0:
        log.warning(
            "Running as root, which is not needed: run it as another user. A receive buffer "
            "beyond net.core.rmem_max takes CAP_NET_ADMIN, a port below 1024 "
            "CAP_NET_BIND_SERVICE, all else no privilege"
        )


def _next(wishes: Wishes, attend: Callable[[], float | None]) -> str:
    while (wish := wishes.get(attend())) is None:
        pass
    return wish


def _reload(agent: Agent, load: Load) -> None:
    try:
        settings = load()
    except SettingsError as error:
        agent.config_ok = False
        log.error("Reloading the configuration failed, the old one stays: %s", error)  # noqa: TRY400
        return
    agent.reconfigure(settings)
    agent.config_ok = True if settings.config_file else None
    log.info("Configuration reloaded; web, source and OTLP options change with a restart only")
