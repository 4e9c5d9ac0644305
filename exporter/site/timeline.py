"""The timeline of the page: what the bar of each link shows within a window of time.

Both families share a bar; where they differ it has two rows. `timeline_svg` draws it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

from exporter.monitor.history import DisplayState, InterfaceHistory, disconnected_at


@dataclass(frozen=True, slots=True)
class Window:
    """The time that the bars show, and the two clocks at its end. Seconds."""

    seconds: float
    #: Now, on the clock of the notifications, and in Unix time.
    instant: float
    time: float
    #: The instant from which on the states are known.
    since: float = -math.inf

    @property
    def begin(self) -> float:
        """The instant at which the bars begin."""
        return self.instant - self.seconds

    @property
    def known(self) -> float:
        """The instant from which on the bars show something."""
        return min(max(self.begin, self.since), self.instant)

    def x(self, instant: float) -> float:
        """Return the place of an instant in a bar, in percent."""
        return (min(max(instant, self.begin), self.instant) - self.begin) / self.seconds * 100

    def clock(self, instant: float, unit: str = "seconds") -> str:
        """Return the time of day of an instant, in UTC, in ``minutes`` or `unit`."""
        moment = datetime.fromtimestamp(self.time + instant - self.instant, UTC)
        return moment.time().isoformat(unit)


class Segment(NamedTuple):
    """A segment of a bar: a state, or what cannot be told apart at this width."""

    begin: float
    end: float
    state: DisplayState
    #: How often it was disconnected, switched off or deleted in this time.
    disconnections: int = 0
    #: It is more than a state.
    several: bool = False


def segments(histories: Sequence[InterfaceHistory], window: Window) -> list[Segment]:
    """Return the segments of a family of a link within the window, in order.

    `histories`: the oldest first. A link that was made again has more than one.
    """
    found: list[Segment] = []
    ends = [*(history.earliest for history in histories[1:]), window.instant]
    for history, end in zip(histories, ends, strict=True):
        begin = found[-1].end if found else window.known
        for segment in _segments(history, window):
            if segment.begin < begin or segment.end > end:
                segment = segment._replace(
                    begin=max(segment.begin, begin), end=min(segment.end, end)
                )
            if segment.begin < segment.end:
                found.append(segment)
    return found or [Segment(window.known, window.instant, histories[-1].state_before_buckets)]


def _segments(history: InterfaceHistory, window: Window) -> list[Segment]:
    """Return the segments of a history: of each bucket, then of each change."""
    exact = history.instants[0] if history.instants else window.instant
    found: list[Segment] = []
    at, state = window.known, history.state_before_buckets
    for minute, count, ended in history.buckets():
        begin, end = max(minute * 60.0, at), min(minute * 60.0 + 60.0, exact)
        if begin < end:
            if at < begin:
                found.append(Segment(at, begin, state))
            found.append(Segment(begin, end, ended, count, several=True))
            at = end
        state = ended
    fell = 0
    for instant, began in history.changes:
        if instant > at:
            found.append(Segment(at, instant, state, fell))
            at, fell = instant, 0
        fell += state is DisplayState.CONNECTED and began is not state and instant > window.begin
        state = began
    found.append(Segment(at, window.instant, state, fell))
    return found


def disconnections(history: InterfaceHistory, window: Window) -> int:
    """Return how often it was disconnected, switched off or deleted within the window."""
    since = window.begin // 60
    rolled_up = sum(b.disconnections for b in history.buckets() if b.minute >= since)
    exact = disconnected_at(history.state_before_changes, history.changes)
    return rolled_up + sum(instant > window.begin for instant in exact)


@dataclass(frozen=True, slots=True)
class Bar:
    """The bar of a link."""

    device: str
    #: How often the family that was disconnected most often was.
    disconnections: int
    #: The state of each family now.
    states: Mapping[str, DisplayState]
    #: The segments of each family; those of "", if all look the same.
    rows: Mapping[str, Sequence[Segment]]
    #: Flaps that no notification showed: when, and how many.
    unobserved: Sequence[tuple[float, int]]


def churn(histories: Iterable[InterfaceHistory], window: Window) -> dict[str, int]:
    """Return how often each link was disconnected: the family that was most often."""
    counts: Counter[tuple[str, str]] = Counter()
    for history in histories:
        counts[history.device, history.family] += disconnections(history, window)
    most: dict[str, int] = {}
    for (device, _), count in counts.items():
        most[device] = max(most.get(device, 0), count)
    return most


def bar(
    device: str,
    histories: Iterable[InterfaceHistory],
    present: Mapping[str, DisplayState],
    window: Window,
    count: int,
) -> Bar:
    """Return the bar of a link, from its histories, and `count` of its disconnections.

    `present` has the states now by family; one without a history had it all the time.
    """
    histories = sorted(histories, key=lambda history: history.earliest)
    families: dict[str, list[InterfaceHistory]] = {}
    for history in histories:
        families.setdefault(history.family, []).append(history)
    rows: dict[str, Sequence[Segment]] = {
        label: segments(families[label], window)
        if label in families
        else [Segment(window.known, window.instant, present[label])]
        for label in sorted(families.keys() | present.keys())
    }
    states = {label: row[-1].state for label, row in rows.items()}
    if all(_alike(one, other) for one, other in pairwise(rows.values())):
        rows = {"": next(iter(rows.values()))}
    marks = {mark for history in histories for mark in history.unobserved if mark[0] > window.begin}
    return Bar(device, count, states, rows, sorted(marks))


def _alike(one: Sequence[Segment], other: Sequence[Segment]) -> bool:
    """Return whether two rows look the same: the families change within milliseconds."""
    return len(one) == len(other) and all(
        a.state is b.state and a.disconnections == b.disconnections and abs(a.end - b.end) < 1.0
        for a, b in zip(one, other, strict=True)
    )
