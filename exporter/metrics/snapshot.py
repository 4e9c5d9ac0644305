"""A snapshot: everything there is to publish, at one instant. All publishers read it."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from exporter.monitor.series import Histogram
from exporter.monitor.state import State
from exporter.sources.contract import Health
from exporter.version import __version__, revision


class BuildInfo(NamedTuple):
    """Facts that do not change while the agent runs."""

    version: str
    revision: str
    python_version: str
    #: `Source.backend`.
    backend: str
    #: Linux: the network namespace that the agent watches, see `sources.namespace`.
    namespace: str | None = None


def build_info(backend: str, namespace: str | None) -> BuildInfo:
    """Return the facts about this process."""
    return BuildInfo(__version__, revision(), platform.python_version(), backend, namespace)


class Snapshot(NamedTuple):
    """The state and what belongs to it, at one instant. Readers hold `state.lock`."""

    state: State
    health: Health
    build: BuildInfo
    #: The reader's now, on the clock of the notifications. Seconds.
    instant: float
    #: `Monitor.lag`; ``None`` in a replay, whose notifications are old.
    lag: Histogram | None = None
    #: Whether the last reload succeeded; ``None`` without a configuration file.
    config_ok: bool | None = None
    #: Items of the OTLP push by signal and result; empty without a push.
    otlp_items: Mapping[tuple[str, str], int] = {}


@contextmanager
def locked_snapshot(read: Callable[[], Snapshot]) -> Iterator[Snapshot]:
    """Hold `state.lock` and give the snapshot to publish; no later one shows less."""
    state = read().state
    with state.lock:
        snapshot = read()
        yield snapshot._replace(instant=state.pin(snapshot.instant))
