"""Chooses the trace and the span of each notification, by numbers alone.

The threads of the two event signals place the same notifications independently, and a log event
must have the ids of the span that holds its span event: so ids are hashes of what both know.
They differ only where a signal had to drop notifications that the other has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from exporter.model import Family, Notification
from exporter.otel.episodes import Episode, Episodes

#: Maximum number of events in open spans, at 1.5 kB each. At the limit all spans end early, so
#: that many interfaces with few changes each do not fill the memory.
OPEN_EVENTS = 8_192

Key = tuple[Family, int]


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
    spans: dict[Key, tuple[int, int]] = field(default_factory=dict)
    open_events: int = 0


class TraceIds:
    """Places notifications, in order. Not thread-safe."""

    def __init__(self, episodes: Episodes, max_events: int, seed: bytes) -> None:
        """`max_events` is the limit of a span; `seed` differs between two agents."""
        self.episodes = episodes
        self._max_events = max_events
        self._seed = seed
        self._trace: _Trace | None = None

    def trace_id(self, episode: Episode) -> int:
        """Return the id of the trace of an episode."""
        return _hash(16, self._seed, episode.began)

    def place(self, n: Notification) -> Place:
        """Return the place of the next notification."""
        episode = self.episodes.assign(n.instant)
        trace = self._trace
        begins_trace = trace is None or trace.episode is not episode
        if trace is None or begins_trace:
            trace = self._trace = _Trace(episode, self.trace_id(episode))
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
        return Place(episode, trace.trace_id, span_id, begins_trace, begins_span, ends_spans)


def _hash(size: int, *values: object) -> int:
    """Return an id of `size` bytes, which is never 0."""
    digest = blake2b(repr(values).encode(), digest_size=size).digest()
    return int.from_bytes(digest) or 1
