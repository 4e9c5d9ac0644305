"""Episodes as traces. Every call to the Span Event API is here: it is on its way out.

One trace for each episode: a root span for the host, a child span for each IP interface that
changed, a span event for each notification. A span is exported when it ends, and keeps 128
events (the SDK's limit): before that it ends, and another goes on, linked to it.

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
    nanoseconds,
)
from exporter.otel.episodes import Episode, Episodes
from exporter.version import NAME

#: Events in spans that have not ended, at 1.5 kB each. Beyond, all of them end early: many
#: interfaces that change a little must not fill the memory either.
HELD_EVENTS = 8_192

_Key = tuple[Family, int]


@dataclass(slots=True)
class _Open:
    """A span that goes on."""

    span: Span
    name: str
    events: int
    #: Unix nanoseconds of its first and its last event; the system's clock may be set back.
    began: int
    last: int

    def end(self) -> SpanContext:
        self.span.end(max(self.began, self.last))
        return self.span.get_span_context()


class SpanMaker:
    """See `workers.Maker`."""

    def __init__(self, resource: Resource, episodes: Episodes) -> None:
        """Raises ValueError for limits in the environment that are none."""
        self._room = SpanLimits().max_events or 128
        self._ended: list[tuple[ReadableSpan, int]] = []
        # Each notification is to arrive: sampling is for those who receive.
        provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=resource,
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_events=self._room),
        )
        provider.add_span_processor(_Keep(self._ended))
        self._tracer = provider.get_tracer(NAME, __version__)
        self._episodes = episodes
        self._episode: Episode | None = None
        self._root: _Open | None = None
        #: What the next trace is linked to, if it continues this one.
        self._last_root: SpanContext | None = None
        self._children: dict[_Key, _Open] = {}
        #: What a span of an interface is linked to, if one ended before it in this trace.
        self._predecessors: dict[_Key, SpanContext] = {}
        self._held = 0

    def add(self, delta: Delta) -> None:
        """A span event, in the span of its interface, in the trace of its episode."""
        n = delta.notification
        time = nanoseconds(n)
        episode = self._episodes.place(n.instant)
        if episode is not self._episode or self._root is None:
            self._end_trace()
            self._begin_trace(episode, time)
        assert self._root is not None
        key = n.family, n.luid
        child = self._children.get(key)
        if child is not None and child.events >= self._room:
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
        self._held += 1
        if self._held >= HELD_EVENTS:
            self._predecessors.clear()  # those of the spans that end now are enough
            self._end_children()

    def end(self, now: float | None) -> None:
        """End the trace when its episode is over; `None`: in any case."""
        if now is None or self._episodes.expire(now):
            self._end_trace()

    @property
    def due(self) -> float | None:
        """When the episode will be over."""
        return self._episodes.due

    def take(self) -> list[tuple[ReadableSpan, int]]:
        """The spans that ended, with the number of their events."""
        ended = self._ended.copy()
        self._ended.clear()
        return ended

    def _begin_trace(self, episode: Episode, time: int) -> None:
        self._episode = episode
        before = self._last_root if episode.continues else None
        links = [Link(before)] if before is not None else []
        span = self._tracer.start_span("ip_interface.episode", links=links, start_time=time)
        self._root = _Open(span, "", 0, time, time)

    def _begin_child(self, key: _Key, delta: Delta, time: int) -> _Open:
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
        child = self._children[key] = _Open(span, name, 0, time, time)
        return child

    def _end_child(self, key: _Key, child: _Open) -> None:
        self._predecessors[key] = child.end()
        self._held -= child.events

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


class _Keep(SpanProcessor):
    """Keeps what ended, with the number of its events."""

    def __init__(self, ended: list[tuple[ReadableSpan, int]]) -> None:
        self._ended = ended

    def on_end(self, span: ReadableSpan) -> None:
        self._ended.append((span, len(span.events)))
