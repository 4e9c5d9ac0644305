"""Encodes notifications as log events, which are to replace span events in OpenTelemetry.

Source: https://opentelemetry.io/docs/specs/otel/logs/data-model/#events
"""

from __future__ import annotations

import time

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from exporter import __version__
from exporter.monitor.state import Delta
from exporter.otel.attributes import EVENT_NAME, event_attributes, interface_name, unix_nanoseconds
from exporter.version import NAME


class LogEncoder:
    """Encodes each notification as a log event; see `workers.Encoder`."""

    #: A log event is complete at once.
    next_flush: float | None = None

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._scope = InstrumentationScope(NAME, __version__)
        self._encoded: list[tuple[ReadableLogRecord, int]] = []

    def add(self, delta: Delta) -> None:
        """Encode a notification."""
        record = LogRecord(
            timestamp=unix_nanoseconds(delta.notification),
            observed_timestamp=time.time_ns(),
            severity_number=SeverityNumber.INFO,
            attributes=event_attributes(delta, interface_name(delta)),
            event_name=EVENT_NAME,
        )
        self._encoded.append((ReadableLogRecord(record, self._resource, self._scope), 1))

    def flush(self, now: float | None) -> None:
        """Do nothing: a log event is complete at once."""

    def drain(self) -> list[tuple[ReadableLogRecord, int]]:
        """Return the log events since the last call, each with 1."""
        encoded, self._encoded = self._encoded, []
        return encoded
