"""The OTLP push: notifications as span events or log events, and the catalogue as metrics.

Off unless an endpoint is configured, and then nothing of OpenTelemetry is imported. Only
`spans`, `events`, `points`, `resource` and `exporters` import it at all, and only `push`
imports them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from exporter.clock import Clock
from exporter.metrics.snapshot import Snapshot
from exporter.otel.destinations import destinations
from exporter.settings.schema import Settings

if TYPE_CHECKING:
    from exporter.otel.push import Push


def configured_push(
    settings: Settings,
    environment: Mapping[str, str],
    read: Callable[[], Snapshot],
    clock: Clock,
) -> Push | None:
    """The push that settings and environment ask for, if they do. Raises SettingsError."""
    found = destinations(settings.otlp, environment)
    if not found:
        return None
    from exporter.otel.push import Push  # 100 ms and 20 MiB that others need not pay

    return Push(settings, found, read, clock)
