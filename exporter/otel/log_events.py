"""Encodes notifications as log events, which are to replace span events in OpenTelemetry.

Source: https://opentelemetry.io/docs/specs/otel/logs/data-model/#events
"""

from __future__ import annotations

import time

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    set_span_in_context,
)

from exporter import __version__
from exporter.monitor.state import Delta
from exporter.otel.attributes import (
    EVENT_NAME,
    change_name,
    event_attributes,
    interface_name,
    unix_nanoseconds,
)
from exporter.otel.trace_ids import Place, TraceIds
from exporter.version import NAME

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
#: The last word of the body, by `change_name`.
_WORDS = {
    "add": "added",
    "delete": "deleted",
    "parameter": "changed",
    "connected": "connected",
    "disconnected": "disconnected",
}


def _context(place: Place) -> Context:
    """Return the context of a record that belongs to a span."""
    span = SpanContext(place.trace_id, place.span_id, is_remote=False, trace_flags=_SAMPLED)
    return set_span_in_context(NonRecordingSpan(span))


class LogEncoder:
    """Encodes each notification as a log event; see `workers.Encoder`."""

    #: A log event is complete at once.
    next_flush: float | None = None

    def __init__(self, resource: Resource, ids: TraceIds | None = None) -> None:
        """Set up. With `ids`, a log event has the ids of the span of the same notification."""
        self._ids = ids
        self._resource = resource
        self._scope = InstrumentationScope(NAME, __version__)
        self._encoded: list[tuple[ReadableLogRecord, int]] = []

    def add(self, delta: Delta) -> None:
        """Encode a notification."""
        n, name = delta.notification, interface_name(delta)
        place = self._ids.place(n) if self._ids else None
        severity = SeverityNumber.WARN if delta.transition is False else SeverityNumber.INFO
        record = LogRecord(
            timestamp=unix_nanoseconds(n),
            observed_timestamp=time.time_ns(),
            context=_context(place) if place else None,
            severity_number=severity,
            severity_text=severity.name,
            body=f"{name} {n.family.label} {_WORDS[change_name(delta)]}",
            attributes=event_attributes(delta, name),
            event_name=EVENT_NAME,
        )
        self._encoded.append((ReadableLogRecord(record, self._resource, self._scope), 1))

    def flush(self, now: float | None) -> None:
        """Do nothing: a log event is complete at once."""

    def drain(self) -> list[tuple[ReadableLogRecord, int]]:
        """Return the log events since the last call, each with 1."""
        encoded, self._encoded = self._encoded, []
        return encoded
