"""The OTLP push: notifications as span events or log events, and the catalog as metrics.

`push` puts the parts together. The route of a batch: the monitor thread calls `push`, which
queues it in `workers` (a thread for each signal); an encoder (`spans`, `log_events`, `metrics`)
makes requests of it, which `sender` gives to an exporter of the OTLP library (`exporters`) and
counts (`counts`).

The encoders use `attributes` and `resource`, those of notifications also `episodes` and
`trace_ids`. `destinations` reads the configuration; `library_log` replaces the library's log.

Without an endpoint nothing of OpenTelemetry is imported: only `push` imports the modules that
import it. Internal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from exporter.clock import Clock
from exporter.metrics.snapshot import BuildInfo, Snapshot
from exporter.otel.destinations import destinations
from exporter.settings.schema import Settings

if TYPE_CHECKING:
    from exporter.otel.push import Push


def configured_push(
    settings: Settings,
    environment: Mapping[str, str],
    read: Callable[[], Snapshot],
    clock: Clock,
    build: BuildInfo,
) -> Push | None:
    """Return the push that settings and environment configure, if any. Raises SettingsError.

    `build` has the backend of the source, and the network namespace, part of the identity.
    """
    configured = destinations(settings.otlp, environment)
    if not configured:
        return None
    from exporter.otel.push import Push  # takes 100 ms and 20 MiB to import

    return Push(settings, configured, read, clock, build)
