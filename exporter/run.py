"""The commands that run until a signal: the agent, the agent with a recorder, a replay.

They are the same `Agent` with another source. The main thread only waits: SIGTERM and
SIGINT stop the agent, SIGHUP (where there is one) reads the configuration file again. What
becomes of that, systemd is told if it wants to know.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from exporter.app import Agent
from exporter.clock import SYSTEM
from exporter.errors import SettingsError
from exporter.logs import event
from exporter.recorder import Recorder
from exporter.settings import Settings
from exporter.sources import system_source
from exporter.sources.contract import Source
from exporter.sources.replay import ReplaySource
from exporter.supervision import Supervisor

log = logging.getLogger(__name__)

#: Reads the settings again. Raises SettingsError.
Load = Callable[[], Settings]

#: What the main thread waits for: names of signals, or why to stop.
Wishes = queue.SimpleQueue[str]

_RELOAD = "SIGHUP"

_WAIT_SECONDS = 0.5


def run_agent(load: Load, wishes: Wishes | None = None) -> int:
    """Publish this computer's IP interfaces until a signal, or a wish from elsewhere.

    Raises OSError and SettingsError at start-up.
    """
    settings = load()
    agent = Agent(settings, _system_source(settings))
    return _serve(agent, load, wishes or queue.SimpleQueue())


def run_record(load: Load, path: str) -> int:
    """The same, and write every notification to a new file. Raises like `run_agent`."""
    settings = load()
    wishes: Wishes = queue.SimpleQueue()
    # Half a recording misleads: when writing fails, all stops.
    recorder = Recorder(path, lambda: wishes.put("recording failed"))
    source = _system_source(settings)
    agent = Agent(settings, source, observers=(recorder,))
    try:
        code = _serve(
            agent,
            load,
            wishes,
            lambda: recorder.begin(source.list(), SYSTEM.wall(), SYSTEM.monotonic()),
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
    source = ReplaySource(path, recorded_pace=settings.replay.pace == "recorded")
    return _serve(Agent(settings, source, source.clock), load, queue.SimpleQueue())


def _system_source(settings: Settings) -> Source:
    return system_source(settings.collector.family, settings.collector.receive_buffer_bytes)


def _serve(
    agent: Agent, load: Load, wishes: Wishes, opened: Callable[[], object] = lambda: None
) -> int:
    """Run until a signal, or another wish to stop."""
    _warn_of_root()
    supervisor = Supervisor()
    interval = supervisor.interval
    allowed = interval or 0.0

    def attend() -> float | None:
        return supervisor.attend(agent.unready, lambda: agent.hanging(allowed))

    with _signals(wishes):
        try:
            agent.open()
            opened()
            agent.start(pulse_seconds=interval and interval / 2)
            supervisor.status(f"Listening on {', '.join(agent.addresses)}")
            while (wish := _next(wishes, attend)) == _RELOAD:
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
    while True:
        # Not without end: on Windows Ctrl-C would not get through, and elsewhere a signal that
        # comes between the look into the queue and the wait would be noticed by nobody.
        with suppress(queue.Empty):
            return wishes.get(timeout=min(attend() or _WAIT_SECONDS, _WAIT_SECONDS))


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


@contextmanager
def _signals(wishes: Wishes) -> Iterator[None]:
    """For the length of the block, signals become wishes.

    The handlers do nothing else: logging may be what they interrupted.
    """

    def wish(number: int, _: FrameType | None) -> None:
        wishes.put(signal.Signals(number).name)

    names = ("SIGTERM", "SIGINT", _RELOAD)
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []  # a Windows service: signals are the main thread's
    before = {number: signal.signal(number, wish) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
