"""Encodes episodes as traces. Only this module uses the Span Event API, which is deprecated.

An episode is one trace: a root span for the host, a child span for each IP interface that
changed, named by what happened to it, and a span event for each notification. A span is
exported when it ends and can hold 128 events (the SDK's limit), so a full span ends, and a new
one is linked to it.

Source: https://opentelemetry.io/docs/specs/otel/trace/api/
"""

from __future__ import annotations

from dataclasses import dataclass

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, Span, SpanContext, set_span_in_context

from exporter import __version__
from exporter.model import InterfaceId
from exporter.monitor.state import Delta
from exporter.otel.attributes import (
    EVENT_NAME,
    change_name,
    event_attributes,
    interface_attributes,
    interface_name,
    unix_nanoseconds,
)
from exporter.otel.trace_ids import Place, TraceIds, root_span_id
from exporter.version import NAME

#: The name of a span by the changes in it, the first that fits: few names, as OpenTelemetry asks.
_SPAN_NAMES = (
    ({"connected", "disconnected"}, "flap"),
    ({"delete"}, "delete"),
    ({"add"}, "add"),
    ({"disconnected"}, "disconnect"),
    ({"connected"}, "connect"),
    (set[str](), "change"),
)


def max_events() -> int:
    """Return the SDK's limit of events in a span. Raises ValueError for an invalid variable."""
    return SpanLimits().max_events or 128


@dataclass(slots=True)
class _OpenSpan:
    """A span that has not ended."""

    span: Span
    #: The name of the interface.
    name: str
    events: int
    #: Unix nanoseconds of its first and last event. The system's clock can be set back.
    began: int
    last: int
    #: What happened; see `_SPAN_NAMES`.
    changes: set[str]

    def end(self) -> SpanContext:
        if self.changes:
            name = next(name for changes, name in _SPAN_NAMES if changes <= self.changes)
            self.span.update_name(f"ip_interface.{name}")
        self.span.end(max(self.began, self.last))
        return self.span.get_span_context()


class SpanEncoder:
    """Encodes notifications as span events; see `workers.Encoder`."""

    def __init__(self, resource: Resource, ids: TraceIds) -> None:
        """Raise ValueError for invalid span limits in the environment."""
        self._ended: list[tuple[ReadableSpan, int]] = []
        # No sampling here: the receiver can do that.
        provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=resource,
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_events=max_events()),
            id_generator=(generator := _GivenIds()),
        )
        provider.add_span_processor(_EndedSpans(self._ended))
        self._tracer = provider.get_tracer(NAME, __version__)
        self._generator = generator
        self._ids = ids
        self._root: _OpenSpan | None = None
        #: The next trace links to it, if it continues this one.
        self._last_root: SpanContext | None = None
        self._children: dict[InterfaceId, _OpenSpan] = {}
        #: The last span of an interface that ended in this trace; its next one links to it.
        self._predecessors: dict[InterfaceId, SpanContext] = {}

    def add(self, delta: Delta) -> None:
        """Add a span event to the span of the interface in the trace of the episode."""
        n = delta.notification
        time = unix_nanoseconds(n)
        place = self._ids.place(n)
        if place.begins_trace:
            self._end_trace()
            self._begin_trace(place, time)
        assert self._root is not None
        key = n.family, n.luid
        if place.begins_span:
            self._end_child(key)
            self._begin_child(place, delta, time)
        child = self._children[key]
        child.name = interface_name(delta, child.name)
        child.span.add_event(EVENT_NAME, event_attributes(delta, child.name), time)
        child.events += 1
        child.last = time
        child.changes.add(change_name(delta))
        self._root.events += 1
        self._root.last = time
        if place.ends_spans:
            self._predecessors.clear()  # replaced by the spans that end now
            self._end_children()

    def flush(self, now: float | None) -> None:
        """End the trace if its episode is over at `now`; with ``None``, in any case."""
        if now is None or self._ids.episodes.expire(now):
            self._end_trace()

    @property
    def next_flush(self) -> float | None:
        """The end of the episode, on the clock of the notifications."""
        return self._ids.episodes.end

    def drain(self) -> list[tuple[ReadableSpan, int]]:
        """Return the spans that ended since the last call, each with its number of events."""
        ended = self._ended.copy()
        self._ended.clear()
        return ended

    def _begin_trace(self, place: Place, time: int) -> None:
        before = self._last_root if place.episode.continues else None
        self._generator.trace_id = place.trace_id
        self._generator.span_id = root_span_id(place.trace_id)
        links = [Link(before)] if before is not None else []
        span = self._tracer.start_span("ip_interface.episode", links=links, start_time=time)
        self._root = _OpenSpan(span, "", 0, time, time, set())

    def _begin_child(self, place: Place, delta: Delta, time: int) -> None:
        assert self._root is not None
        key = delta.notification.family, delta.notification.luid
        name = interface_name(delta)
        self._generator.span_id = place.span_id
        before = self._predecessors.pop(key, None)
        span = self._tracer.start_span(
            "ip_interface.change",  # until it ends
            set_span_in_context(self._root.span),
            attributes=interface_attributes(delta.notification, name),
            links=[Link(before)] if before is not None else [],
            start_time=time,
        )
        self._children[key] = _OpenSpan(span, name, 0, time, time, set())

    def _end_child(self, key: InterfaceId) -> None:
        child = self._children.pop(key, None)
        if child is not None:
            self._predecessors[key] = child.end()

    def _end_children(self) -> None:
        for key in list(self._children):
            self._end_child(key)

    def _end_trace(self) -> None:
        self._end_children()
        self._predecessors.clear()
        if self._root is not None:
            self._root.span.set_attribute("ip_interface.episode.notifications", self._root.events)
            self._last_root = self._root.end()
            self._root = None


class _GivenIds(IdGenerator):
    """Gives the ids that `TraceIds` has chosen."""

    trace_id = span_id = 0

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class _EndedSpans(SpanProcessor):
    """Collects the spans that end, each with its number of events."""

    def __init__(self, ended: list[tuple[ReadableSpan, int]]) -> None:
        self._ended = ended

    def on_end(self, span: ReadableSpan) -> None:
        self._ended.append((span, len(span.events)))
