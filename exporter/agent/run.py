"""The commands that run until a signal: the agent, the agent with a recorder, a replay.

All three are an `Agent`, each with another source or observer. The main thread only waits:
SIGTERM and SIGINT stop the agent, SIGHUP (where it exists) reloads the configuration file.
Under systemd, the state of the agent is reported to it.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from pathlib import Path

from exporter.agent import memory_tuning
from exporter.agent.agent import Agent, Load
from exporter.agent.signals import RELOAD, SignalQueue
from exporter.agent.systemd import Notifier
from exporter.clock import SYSTEM
from exporter.errors import reason
from exporter.logs import event
from exporter.monitor.recording_writer import Recorder
from exporter.settings.schema import Settings
from exporter.sources import system_source
from exporter.sources.contract import Source
from exporter.sources.replay import ReplaySource

log = logging.getLogger(__name__)


def run_agent(
    load: Load, requests: SignalQueue | None = None, serving: Callable[[], object] = lambda: None
) -> int:
    """Publish this computer's IP interfaces until a signal or another request to stop.

    `serving` is called once the agent listens; `requests` is closed at the end. Return the exit
    code. Raises OSError and SettingsError at start-up.
    """
    settings = load()
    agent = Agent(settings, _system_source(settings))
    return _serve(agent, load, requests or SignalQueue(), serving=serving)


def run_record(load: Load, path: str) -> int:
    """Run the agent and write every notification to a new file. Raises like `run_agent`."""
    settings = load()
    requests = SignalQueue()
    # An incomplete recording misleads, so the agent stops when writing fails.
    recorder = Recorder(path, lambda: requests.put("recording failed"))
    source = _system_source(settings)
    agent = Agent(settings, source, observers=(recorder,))
    try:
        code = _serve(
            agent,
            load,
            requests,
            lambda: recorder.begin(source.interfaces(), SYSTEM.wall(), SYSTEM.monotonic()),
        )
    finally:
        recorder.close()
    if recorder.error is not None:
        event(log, logging.ERROR, "Recording ended early", error=reason(recorder.error))
        return 1
    event(log, logging.INFO, "Recorded", file=path, notifications=recorder.lines)
    return code


def run_replay(
    load: Load,
    path: str,
    *,
    progress: Callable[[ReplaySource], AbstractContextManager[object]] = nullcontext,
) -> int:
    """Publish the metrics of a recording. Raises like `run_agent`.

    `progress` is entered once the file is open, and left when the agent has stopped.
    """
    settings = load()
    pace = settings.replay.pace
    source = ReplaySource(path, recorded_pace=pace == "recorded")
    with ExitStack() as stack:

        def opened() -> None:
            event(log, logging.INFO, "Replaying", file=path, pace=pace)
            stack.enter_context(progress(source))

        return _serve(Agent(settings, source, source.clock), load, SignalQueue(), opened)


def _system_source(settings: Settings) -> Source:
    return system_source(settings.collector.family, settings.collector.receive_buffer_bytes)


def _serve(
    agent: Agent,
    load: Load,
    requests: SignalQueue,
    opened: Callable[[], object] = lambda: None,
    serving: Callable[[], object] = lambda: None,
) -> int:
    """Run the agent until a request to stop; call `opened` before it listens, `serving` after.

    Closes `requests`.
    """
    if agent.source.backend != ReplaySource.backend:
        _warn_of_root()
    notifier = Notifier()
    watchdog_seconds = notifier.watchdog_seconds
    # The monitor must wake up in time for each watchdog ping, also when nothing happens.
    heartbeat_seconds = None if watchdog_seconds is None else watchdog_seconds / 2

    def poll() -> float | None:
        return notifier.poll(agent.unready, lambda: agent.hung(watchdog_seconds or 0.0))

    with closing(requests), requests.capture():
        try:
            agent.open()
            opened()
            memory_tuning.tune()
            agent.start(heartbeat_seconds)
            notifier.status(f"Listening on {', '.join(agent.addresses)}")
            serving()
            while (request := _next(requests, poll)) == RELOAD:
                notifier.reloading()
                agent.reload(load)
                notifier.reloaded()
            event(log, logging.INFO, "Stopping", reason=request)
            notifier.stopping()
        finally:
            agent.stop()
    log.info("Stopped")
    return 0


def _is_root() -> bool:
    """Return whether this is root, and not only user 0 of a user namespace.

    Source: https://man7.org/linux/man-pages/man7/user_namespaces.7.html
    """
    if sys.platform == "win32" or os.geteuid() != 0:
        return False
    try:
        mapping = Path("/proc/self/uid_map").read_text().split()
    except OSError:
        return True
    return mapping == ["0", "0", str(2**32 - 1)]


def _warn_of_root() -> None:
    if _is_root():
        log.warning(
            "Running as root, which is not needed. Another user needs CAP_NET_ADMIN for a receive "
            "buffer larger than net.core.rmem_max, CAP_NET_BIND_SERVICE for a port below 1024, "
            "and no other privilege"
        )


def _next(requests: SignalQueue, poll: Callable[[], float | None]) -> str:
    """Wait for the next request; `poll` does periodic work and returns the seconds to wait."""
    while (request := requests.get(poll())) is None:
        pass
    return request
