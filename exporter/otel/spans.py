"""Encodes episodes as traces. Only this module uses the Span Event API, which is deprecated.

An episode is one trace: a root span for the host, a child span for each IP interface that
changed, a span event for each notification. A span is exported when it ends and can hold 128
events (the SDK's limit), so a full span ends, and a new one is linked to it.

Source: https://opentelemetry.io/docs/specs/otel/trace/api/
"""

from __future__ import annotations

from dataclasses import dataclass

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, Span, SpanContext, set_span_in_context

from exporter import __version__
from exporter.model import Family
from exporter.monitor.state import Delta
from exporter.otel.attributes import (
    EVENT_NAME,
    event_attributes,
    interface_attributes,
    interface_name,
    unix_nanoseconds,
)
from exporter.otel.episodes import Episode, Episodes
from exporter.version import NAME

#: Maximum number of events in open spans, at 1.5 kB each. At the limit all spans end early, so
#: that many interfaces with few changes each do not fill the memory.
OPEN_EVENTS = 8_192

_Key = tuple[Family, int]


@dataclass(slots=True)
class _OpenSpan:
    """A span that has not ended."""

    span: Span
    name: str
    events: int
    #: Unix nanoseconds of its first and last event. The system's clock can be set back.
    began: int
    last: int

    def end(self) -> SpanContext:
        self.span.end(max(self.began, self.last))
        return self.span.get_span_context()


class SpanEncoder:
    """Encodes notifications as span events; see `workers.Encoder`."""

    def __init__(self, resource: Resource, episodes: Episodes) -> None:
        """Raise ValueError for invalid span limits in the environment."""
        self._max_events = SpanLimits().max_events or 128
        self._ended: list[tuple[ReadableSpan, int]] = []
        # No sampling here: the receiver can do that.
        provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=resource,
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_events=self._max_events),
        )
        provider.add_span_processor(_EndedSpans(self._ended))
        self._tracer = provider.get_tracer(NAME, __version__)
        self._episodes = episodes
        self._episode: Episode | None = None
        self._root: _OpenSpan | None = None
        #: The next trace links to it, if it continues this one.
        self._last_root: SpanContext | None = None
        self._children: dict[_Key, _OpenSpan] = {}
        #: The last span of an interface that ended in this trace; its next one links to it.
        self._predecessors: dict[_Key, SpanContext] = {}
        self._open_events = 0

    def add(self, delta: Delta) -> None:
        """Add a span event to the span of the interface in the trace of the episode."""
        n = delta.notification
        time = unix_nanoseconds(n)
        episode = self._episodes.assign(n.instant)
        if episode is not self._episode or self._root is None:
            self._end_trace()
            self._begin_trace(episode, time)
        assert self._root is not None
        key = n.family, n.luid
        child = self._children.get(key)
        if child is not None and child.events >= self._max_events:
            self._end_child(key, child)
            child = None
        if child is None:
            child = self._begin_child(key, delta, time)
        child.name = interface_name(delta, child.name)
        child.span.add_event(EVENT_NAME, event_attributes(delta, child.name), time)
        child.events += 1
        child.last = time
        self._root.events += 1
        self._root.last = time
        self._open_events += 1
        if self._open_events >= OPEN_EVENTS:
            self._predecessors.clear()  # replaced by the spans that end now
            self._end_children()

    def flush(self, now: float | None) -> None:
        """End the trace if its episode is over at `now`; with ``None``, in any case."""
        if now is None or self._episodes.expire(now):
            self._end_trace()

    @property
    def next_flush(self) -> float | None:
        """The end of the episode, on the clock of the notifications."""
        return self._episodes.end

    def drain(self) -> list[tuple[ReadableSpan, int]]:
        """Return the spans that ended since the last call, each with its number of events."""
        ended = self._ended.copy()
        self._ended.clear()
        return ended

    def _begin_trace(self, episode: Episode, time: int) -> None:
        self._episode = episode
        before = self._last_root if episode.continues else None
        links = [Link(before)] if before is not None else []
        span = self._tracer.start_span("ip_interface.episode", links=links, start_time=time)
        self._root = _OpenSpan(span, "", 0, time, time)

    def _begin_child(self, key: _Key, delta: Delta, time: int) -> _OpenSpan:
        assert self._root is not None
        name = interface_name(delta)
        before = self._predecessors.pop(key, None)
        span = self._tracer.start_span(
            "ip_interface.changes",
            set_span_in_context(self._root.span),
            attributes=interface_attributes(delta.notification, name),
            links=[Link(before)] if before is not None else [],
            start_time=time,
        )
        child = self._children[key] = _OpenSpan(span, name, 0, time, time)
        return child

    def _end_child(self, key: _Key, child: _OpenSpan) -> None:
        self._predecessors[key] = child.end()
        self._open_events -= child.events

    def _end_children(self) -> None:
        for key, child in self._children.items():
            self._end_child(key, child)
        self._children.clear()

    def _end_trace(self) -> None:
        self._end_children()
        self._predecessors.clear()
        if self._root is not None:
            self._root.span.set_attribute("ip_interface.episode.notifications", self._root.events)
            self._last_root = self._root.end()
            self._root = None


class _EndedSpans(SpanProcessor):
    """Collects the spans that end, each with its number of events."""

    def __init__(self, ended: list[tuple[ReadableSpan, int]]) -> None:
        self._ended = ended

    def on_end(self, span: ReadableSpan) -> None:
        self._ended.append((span, len(span.events)))
