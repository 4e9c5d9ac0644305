"""Watches this computer's IP interfaces for another program; see `exporter.watch`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Self

from exporter.metrics.catalog import series_metrics
from exporter.metrics.collector import CatalogCollector
from exporter.metrics.snapshot import Snapshot, build_info
from exporter.monitor.state import State
from exporter.monitor.thread import Monitor
from exporter.settings.loader import load
from exporter.settings.options import Text, regex
from exporter.settings.schema import CollectorSettings
from exporter.settings.selection import Group, parse_group_name
from exporter.sources import namespace, system_source

__all__ = ["Watch"]


class Watch:
    """A context manager that counts every change of this computer's IP interfaces.

    On entry it opens the source and starts a thread; on exit it ends both. It can be entered
    once. Thread: any.
    """

    #: A collector of all metrics, for a `prometheus_client.CollectorRegistry`. Thread: any.
    collector: CatalogCollector

    def __init__(self, settings: CollectorSettings) -> None:
        self._source = system_source(settings.family, settings.receive_buffer_bytes)
        self._state = State(settings.selection, settings.max_interfaces, settings.retention_seconds)
        self._monitor = Monitor(self._source, self._state)
        self._build = build_info(self._source.backend, namespace())
        metrics = series_metrics(self._source.backend, all_parameters=settings.all_parameters)
        self.collector = CatalogCollector(self._read, metrics)

    def __repr__(self) -> str:
        return f"<Watch source={self._source!r} ready={self._monitor.ready.is_set()}>"

    def __enter__(self) -> Self:
        try:
            self._monitor.open()
            self._monitor.start()
        except BaseException:
            self._monitor.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._monitor.stop()

    def wait_ready(self, timeout: float | None = None) -> bool:
        """Wait until the system has confirmed that it sends notifications.

        Return false if it has not within `timeout` seconds; ``None`` waits forever. Changes
        before that moment are counted as well.
        """
        return self._monitor.ready.wait(timeout)

    def _read(self) -> Snapshot:
        return Snapshot(
            self._state,
            self._source.health,
            self._build,
            self._source.received_until(),
            self._monitor.lag,
        )


def settings_of(
    include: str | None,
    exclude: str | None,
    exclude_kinds: Sequence[str],
    groups: Mapping[str, str],
    max_interfaces: int | None,
    retention_seconds: float | None,
    *,
    all_parameters: bool,
) -> CollectorSettings:
    """Parse the arguments of `exporter.watch` like the flags of the same names.

    ``None`` means the default. Raises SettingsError, a ValueError.
    """
    retention = None if retention_seconds is None else f"{retention_seconds:.9f}s"
    flags = {
        "collector.include": include,
        "collector.exclude": exclude,
        "collector.exclude-kinds": ",".join(exclude_kinds),
        "collector.max-interfaces": None if max_interfaces is None else str(max_interfaces),
        "collector.retention": retention,
        "collector.parameters": "all" if all_parameters else "core",
    }
    texts = {flag: [text] for flag, text in flags.items() if text is not None}
    settings = load(texts, {}, lambda path: None).collector
    parsed = [
        Group(
            Text(f"group {name!r}", name).read(parse_group_name),
            Text(f"group {name!r}", match).read(regex),
        )
        for name, match in groups.items()
    ]
    return replace(settings, groups=tuple(parsed))
