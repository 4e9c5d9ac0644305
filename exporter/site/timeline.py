"""Draws the timeline of the page: one bar for each link, as inline SVG.

Both families share a bar; where they differ it has two halves. The Content-Security-Policy
allows no style attributes, so places are attributes (in percent of the width, so that nothing is
distorted) and colors are classes. Each part has its exact times and counts in its title.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

from exporter.monitor import history
from exporter.monitor.history import Shown, Strip
from exporter.site.formatting import exact_duration, family, times, visible

#: A bar has at most so many columns, and all bars together so many parts: where there would be
#: more, those of a column are drawn as one. A part has about 125 bytes, the page up to 200 kB.
_MAX_COLUMNS, _MAX_PARTS = 250, 700
_CLASSES = {
    Shown.CONNECTED: "up",
    Shown.DISCONNECTED: "down",
    Shown.SWITCHED_OFF: "disabled",
    Shown.GONE: "absent",
}
#: Seconds between the ticks below the bars, by the seconds that the bars show.
_TICKS = {900.0: 180.0, 3600.0: 600.0, 21600.0: 3600.0}
#: A tick this near to an end would overlap with its label. A part of the width.
_MARGIN = 0.06


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


class Part(NamedTuple):
    """A part of a bar: a state, or what cannot be told apart at this width."""

    begin: float
    end: float
    state: Shown
    #: How often it was disconnected, switched off or deleted in this time.
    disconnections: int = 0
    #: It is more than a state.
    several: bool = False


def parts(strips: Sequence[Strip], window: Window) -> list[Part]:
    """Return the parts of a family of a link within the window, in order.

    `strips`: the oldest first. A link that was made again has more than one.
    """
    found: list[Part] = []
    ends = [*(strip.earliest for strip in strips[1:]), window.instant]
    for strip, end in zip(strips, ends, strict=True):
        begin = found[-1].end if found else window.known
        for part in _parts(strip, window):
            if part.begin < begin or part.end > end:
                part = part._replace(begin=max(part.begin, begin), end=min(part.end, end))
            if part.begin < part.end:
                found.append(part)
    return found or [Part(window.known, window.instant, strips[-1].origin)]


def _parts(strip: Strip, window: Window) -> list[Part]:
    """Return the parts of a strip: of the minutes that are counted, then of each change."""
    exact = strip.instants[0] if strip.instants else window.instant
    found: list[Part] = []
    at, state = window.known, strip.origin
    for minute, count, ended in strip.minutes():
        begin, end = max(minute * 60.0, at), min(minute * 60.0 + 60.0, exact)
        if begin < end:
            if at < begin:
                found.append(Part(at, begin, state))
            found.append(Part(begin, end, ended, count, several=True))
            at = end
        state = ended
    fell = 0
    for instant, began in strip.changes:
        if instant > at:
            found.append(Part(at, instant, state, fell))
            at, fell = instant, 0
        fell += state is Shown.CONNECTED and began is not state and instant > window.begin
        state = began
    found.append(Part(at, window.instant, state, fell))
    return found


def _in_columns(found: Sequence[Part], window: Window, columns: int) -> Sequence[Part]:
    """Join the parts that end in the same column, if there are more than two for each."""
    if len(found) <= 2 * columns:
        return found
    width = window.seconds / columns
    joined = [found[0]]
    for part in found[1:]:
        last = joined[-1]
        column = (part.end - window.begin) // width
        if (last.end - window.begin) // width != column:
            joined.append(part)
            continue
        begin = window.begin + column * width
        if last.begin < begin:  # what lies before the column stays apart
            joined[-1] = last._replace(end=begin)
            joined.append(part._replace(begin=begin, several=True))
        else:
            fell = last.disconnections + part.disconnections
            joined[-1] = Part(last.begin, part.end, part.state, fell, several=True)
    return joined


def disconnections(strip: Strip, window: Window) -> int:
    """Return how often it was disconnected, switched off or deleted within the window."""
    since = window.begin // 60
    folded = sum(m.disconnections for m in strip.minutes() if m.minute >= since)
    exact = history.disconnections(strip.first, strip.changes)
    return folded + sum(instant > window.begin for instant in exact)


@dataclass(frozen=True, slots=True)
class Bar:
    """The bar of a link."""

    device: str
    #: How often the family that was disconnected most often was.
    disconnections: int
    #: The state of each family now.
    states: Mapping[str, Shown]
    #: The parts of each family; those of "", if all look the same.
    rows: Mapping[str, Sequence[Part]]
    #: Flaps that no notification showed: when, and how many.
    unobserved: Sequence[tuple[float, int]]


def churn(strips: Iterable[Strip], window: Window) -> dict[str, int]:
    """Return how often each link was disconnected: the family that was most often."""
    counts: Counter[tuple[str, str]] = Counter()
    for strip in strips:
        counts[strip.device, strip.family] += disconnections(strip, window)
    most: dict[str, int] = {}
    for (device, _), count in counts.items():
        most[device] = max(most.get(device, 0), count)
    return most


def bar(
    device: str, strips: Iterable[Strip], present: Mapping[str, Shown], window: Window, count: int
) -> Bar:
    """Return the bar of a link, from its strips, and `count` of its disconnections.

    `present` has the states now by family; one without a strip had it all the time.
    """
    strips = sorted(strips, key=lambda strip: strip.earliest)
    families: dict[str, list[Strip]] = {}
    for strip in strips:
        families.setdefault(strip.family, []).append(strip)
    rows: dict[str, Sequence[Part]] = {
        label: parts(families[label], window)
        if label in families
        else [Part(window.known, window.instant, present[label])]
        for label in sorted(families.keys() | present.keys())
    }
    states = {label: row[-1].state for label, row in rows.items()}
    if all(_alike(one, other) for one, other in pairwise(rows.values())):
        rows = {"": next(iter(rows.values()))}
    marks = {mark for strip in strips for mark in strip.unobserved if mark[0] > window.begin}
    return Bar(device, count, states, rows, sorted(marks))


def columns(drawn: Sequence[Bar]) -> int:
    """Return the number of columns in which the parts of a bar are joined if it has too many.

    Bars with few parts leave more to the others.
    """
    sizes = sorted(len(row) for bar in drawn for row in bar.rows.values())
    left = _MAX_PARTS
    for place, size in enumerate(sizes):
        share = left // (len(sizes) - place)
        if size > share:
            return max(1, min(share // 2, _MAX_COLUMNS))
        left -= size
    return _MAX_COLUMNS


def draw(bar: Bar, window: Window, columns: int = _MAX_COLUMNS) -> str:
    """Return a bar as SVG, whose rows have at most about so many `columns`."""
    rows = {label: _in_columns(row, window, columns) for label, row in bar.rows.items()}
    places = [("0", "100%")] if len(rows) == 1 else [("0", "46%"), ("54%", "46%")]
    body = _unknown(window)
    for (label, row), place in zip(rows.items(), places, strict=True):
        body += "".join(_rect(part, label, place, window) for part in row)
    body += "".join(_mark(at, count, window) for at, count in bar.unobserved)
    grid = '<use href="#grid"/>'
    return f'<svg role="img" tabindex="0" aria-label="{_summary(bar)}">{body}{grid}</svg>'


def _alike(one: Sequence[Part], other: Sequence[Part]) -> bool:
    """Return whether two rows look the same: the families change within milliseconds."""
    return len(one) == len(other) and all(
        a.state is b.state and a.disconnections == b.disconnections and abs(a.end - b.end) < 1.0
        for a, b in zip(one, other, strict=True)
    )


def _rect(part: Part, label: str, place: tuple[str, str], window: Window) -> str:
    x = window.x(part.begin)
    width = max(window.x(part.end) - x, 0.05)
    many = part.several and part.disconnections > 0
    kind = "many" if many else _CLASSES[part.state]
    which = f"{family(label)} " if label else ""
    y, height = place
    rows = "" if height == "100%" else f' y="{y}" height="{height}"'
    return (
        f'<rect class="{kind}" x="{x:.2f}%" width="{width:.2f}%"{rows}>'
        f"<title>{which}{_what(part, window)}</title></rect>"
    )


def _what(part: Part, window: Window) -> str:
    """Return what happened in a part, with its times."""
    first, last = part.begin <= window.known, part.end >= window.instant
    length = part.end - part.begin
    unit = "milliseconds" if length < 10 else "seconds"
    begin, end = window.clock(part.begin, unit), window.clock(part.end, unit)
    if part.several and part.disconnections:
        more = " or more" if part.disconnections >= 255 else ""
        fell = times(part.disconnections, "disconnection", "disconnections")
        return f"{fell}{more}, {begin} to {end}"
    state = part.state.label
    if first:
        return f"{state} all the time" if last else f"{state} until {end}"
    if last:
        return f"{state} since {begin}"
    return f"{state} for {exact_duration(length)}, {begin} to {end}"


def _mark(at: float, count: int, window: Window) -> str:
    flaps = times(count, "flap", "flaps")
    return (
        f'<rect class="merged" x="{window.x(at):.2f}%">'
        f"<title>{flaps} that no notification showed, {window.clock(at)}</title></rect>"
    )


def _unknown(window: Window) -> str:
    """Return the time before the start, if the bars show it."""
    if window.known <= window.begin:
        return ""
    return (
        f'<rect class="unknown" width="{window.x(window.known):.2f}%">'
        f"<title>not known, before the start at {window.clock(window.known)}</title></rect>"
    )


def _summary(bar: Bar) -> str:
    """Return the bar in words."""
    states = {label: state.label for label, state in bar.states.items()}
    if len(set(states.values())) == 1:
        now = next(iter(states.values()))
    else:
        now = ", ".join(f"{family(label)} {state}" for label, state in states.items())
    words = [f"{now} now", times(bar.disconnections, "disconnection", "disconnections")]
    if merged := sum(count for _, count in bar.unobserved):
        words.append(f"{times(merged, 'flap', 'flaps')} that no notification showed")
    return visible(f"{bar.device}: {', '.join(words)}")


def axis(window: Window) -> str:
    """Return the times below the bars, and what the bars share: their grid and patterns."""
    step = _TICKS.get(window.seconds, window.seconds / 6)
    first = math.ceil((window.time - window.seconds) / step) * step
    places = [
        (first + step * n - window.time) / window.seconds + 1
        for n in range(math.ceil(window.seconds / step))
    ]
    grid = "".join(
        f'<line x1="{100 * x:.2f}%" x2="{100 * x:.2f}%" y2="100%"/>' for x in places if 0 < x < 1
    )
    labels = "".join(
        f'<text x="{100 * x:.2f}%" y="1em">{window.clock(window.begin + x * window.seconds)[:5]}'
        "</text>"
        for x in places
        if _MARGIN / 2 < x < 1 - _MARGIN
    )
    return (
        '<svg class="axis" aria-hidden="true"><defs>'
        f'<g id="grid">{grid}</g>'
        '<pattern id="flapping" width="4" height="4" patternUnits="userSpaceOnUse">'
        '<path class="down" d="M0 0h4v4h-4z"/><path class="up" d="M0 0h2v4h-2z"/></pattern>'
        '<pattern id="hatched" width="6" height="6" patternUnits="userSpaceOnUse">'
        '<path d="M-1 1l2-2M0 6l6-6M5 7l2-2"/></pattern></defs>'
        f'{labels}<text x="100%" y="1em" class="now">now</text></svg>'
    )


def legend() -> str:
    """Return the legend."""
    items = "".join(
        f'<li><svg aria-hidden="true"><rect class="{kind}" width="100%"/></svg> {words}</li>'
        for kind, words in (
            ("up", "connected"),
            ("down", "disconnected"),
            ("disabled", "switched off"),
            ("absent", "gone"),
            ("many", "several disconnections"),
            ("merged", "flaps that no notification showed"),
        )
    )
    return f'<ul class="legend">{items}</ul>'
