"""Chooses the trace and the span of each notification, by numbers alone.

The threads of the two event signals place the same notifications independently, and a log event
must have the ids of the span that holds its span event: so ids are hashes of what both know. So
does the monitor thread, for the exemplars of outages. They differ only where a signal had to
drop notifications that the other has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from exporter.model import InterfaceId, Notification
from exporter.otel.episodes import Episode, Episodes

#: Maximum number of events in open spans, at 1.5 kB each. At the limit all spans end early, so
#: that many interfaces with few changes each do not fill the memory.
OPEN_EVENTS = 8_192


class Place(NamedTuple):
    """Where a notification belongs."""

    episode: Episode
    trace_id: int
    span_id: int
    #: It is the first notification of its trace; of its span.
    begins_trace: bool
    begins_span: bool
    #: All spans end after it.
    ends_spans: bool


@dataclass(slots=True)
class _Trace:
    episode: Episode
    trace_id: int
    #: By interface: the number of its spans so far, and of the events in the open one.
    spans: dict[InterfaceId, tuple[int, int]] = field(default_factory=dict)
    open_events: int = 0


class TraceIds:
    """Places notifications, in order. Not thread-safe."""

    def __init__(self, episodes: Episodes, max_events: int, seed: bytes) -> None:
        """Set up. `max_events` is the limit of a span; `seed` differs between two agents."""
        self.episodes = episodes
        self._max_events = max_events
        self._seed = seed
        self._trace: _Trace | None = None

    def trace_id(self, instant: float) -> int:
        """Return the id of the trace of the next notification, for who needs no more of it."""
        return self._trace_at(instant).trace_id

    def place(self, n: Notification) -> Place:
        """Return the place of the next notification."""
        before, trace = self._trace, self._trace_at(n.instant)
        key = n.family, n.luid
        number, events = trace.spans.get(key, (0, 0))
        begins_span = events in (0, self._max_events)
        if begins_span:
            number, trace.open_events, events = number + 1, trace.open_events - events, 0
        trace.spans[key] = number, events + 1
        trace.open_events += 1
        ends_spans = trace.open_events >= OPEN_EVENTS
        if ends_spans:
            trace.spans = {k: (spans, 0) for k, (spans, _) in trace.spans.items()}
            trace.open_events = 0
        span_id = _hash(8, trace.trace_id, *key, number)
        begins_trace = trace is not before
        return Place(trace.episode, trace.trace_id, span_id, begins_trace, begins_span, ends_spans)

    def _trace_at(self, instant: float) -> _Trace:
        episode = self.episodes.assign(instant)
        if self._trace is None or self._trace.episode is not episode:
            self._trace = _Trace(episode, _hash(16, self._seed, episode.began))
        return self._trace


def root_span_id(trace_id: int) -> int:
    """Return the id of the first span of a trace."""
    return trace_id >> 64


def _hash(size: int, *values: object) -> int:
    """Return an id of `size` bytes, which is never 0."""
    digest = blake2b(repr(values).encode(), digest_size=size).digest()
    return int.from_bytes(digest) or 1
