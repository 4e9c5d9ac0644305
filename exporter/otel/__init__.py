"""The OTLP push: notifications as span events or log events, and the catalogue as metrics.

Read `push` (the parts together), then `workers` (a thread for each signal), `sender` and
`counts`. `spans` (with `episodes`), `log_events` and `metrics` encode a signal each, with the
`attributes` and the `resource`. `destinations` reads the configuration, `exporters` makes the
library's exporters, and `library_log` takes what the library logs.

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
