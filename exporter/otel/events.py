"""Notifications as log-based events: what takes the place of span events one day.

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
from exporter.otel.attributes import EVENT_NAME, event_attributes, interface_name, nanoseconds
from exporter.version import NAME


class EventMaker:
    """See `workers.Maker`. An event needs no other: it is finished at once."""

    #: Nothing is ever to be ended.
    due: float | None = None

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._scope = InstrumentationScope(NAME, __version__)
        self._made: list[tuple[ReadableLogRecord, int]] = []

    def add(self, delta: Delta) -> None:
        """One event."""
        record = LogRecord(
            timestamp=nanoseconds(delta.notification),
            observed_timestamp=time.time_ns(),
            severity_number=SeverityNumber.INFO,
            attributes=event_attributes(delta, interface_name(delta)),
            event_name=EVENT_NAME,
        )
        self._made.append((ReadableLogRecord(record, self._resource, self._scope), 1))

    def end(self, now: float | None) -> None:
        """Nothing goes on."""

    def take(self) -> list[tuple[ReadableLogRecord, int]]:
        """The events since the last call."""
        made, self._made = self._made, []
        return made
