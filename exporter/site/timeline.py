"""Draws the timeline of the page: one bar for each link, as inline SVG.

Both families share a bar; where they differ it has two halves. The Content-Security-Policy
allows no style attributes, so places are attributes and colors are classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from exporter.monitor import history
from exporter.monitor.history import Shown, Strip
from exporter.site.visible import visible

#: Width of a bar in its own units: a change of state is drawn to a thousandth of the range.
_WIDTH = 1000
_HEIGHT = 16
#: Where a bar would have more parts, those of one column are drawn as one.
_COLUMNS = 250
_CLASSES = {
    Shown.CONNECTED: "up",
    Shown.DISCONNECTED: "down",
    Shown.SWITCHED_OFF: "disabled",
    Shown.GONE: "absent",
}


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
        """Return the place of an instant in a bar."""
        return (min(max(instant, self.begin), self.instant) - self.begin) / self.seconds * _WIDTH

    def clock(self, instant: float) -> str:
        """Return the time of day of an instant, in UTC."""
        moment = datetime.fromtimestamp(self.time + instant - self.instant, UTC)
        return f"{moment:%H:%M:%S}"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a bar: a state, or so many disconnections that they cannot be told apart."""

    begin: float
    end: float
    state: Shown
    disconnections: int = 0


def parts(strip: Strip, window: Window) -> list[Part]:
    """Return the parts of a strip within the window, in order."""
    known = window.known
    exact = strip.instants[0] if strip.instants else window.instant
    found: list[Part] = []
    for minute, count in strip.counts(known):
        begin, end = max(minute * 60.0, known), min(minute * 60.0 + 60.0, exact)
        if begin < end:
            found.append(Part(begin, end, Shown.DISCONNECTED, count))
    begin = max(found[-1].end, known) if found else known
    state = strip.first
    for instant, began in strip.changes:
        if instant > begin:
            found.append(Part(begin, instant, state))
            begin = instant
        state = began
    found.append(Part(begin, window.instant, state))
    return _in_columns(found, window) if len(found) > _COLUMNS else found


def _in_columns(found: Sequence[Part], window: Window) -> list[Part]:
    """Join the parts that end in the same column."""
    width = window.seconds / _COLUMNS
    joined: list[Part] = []
    for part in found:
        last = joined[-1] if joined else None
        if last and int((part.end - window.begin) / width) == int(
            (last.end - window.begin) / width
        ):
            down = last.disconnections or int(last.state is not Shown.CONNECTED)
            down += part.disconnections or int(part.state is not Shown.CONNECTED)
            joined[-1] = Part(last.begin, part.end, part.state, down)
        else:
            joined.append(part)
    return joined


def disconnections(strip: Strip, window: Window) -> int:
    """Return how often it was disconnected, switched off or deleted within the window."""
    folded = sum(count for _, count in strip.counts(window.begin))
    exact = history.disconnections(strip.first, strip.changes)
    return folded + sum(instant > window.begin for instant in exact)


def bar(strips: Mapping[str, Strip], present: Mapping[str, Shown], window: Window) -> str:
    """Return the bar of a link, from its strips by family.

    `present` is the state of each family now; one without a strip had it all the time.
    """
    drawn: dict[str, list[Part]] = {}
    for family in sorted(strips.keys() | present.keys()):
        if family in strips:
            drawn[family] = parts(strips[family], window)
        else:
            drawn[family] = [Part(window.known, window.instant, present[family])]
    rows = list(drawn.items())
    if all(_alike(row, rows[0][1]) for _, row in rows):
        rows = rows[:1]
    height = _HEIGHT / len(rows)
    body = ""
    for number, (family, row) in enumerate(rows):
        label = f"{family} " if len(rows) > 1 else ""
        body += "".join(_rect(part, label, number * height, height, window) for part in row)
    marks = {mark for strip in strips.values() for mark in strip.unobserved}
    body += "".join(_mark(at, count, window) for at, count in sorted(marks) if at > window.begin)
    summary = escape(_summary(strips, present, window))
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'tabindex="0" aria-label="{summary}">{body}</svg>'
    )


def _alike(one: Sequence[Part], other: Sequence[Part]) -> bool:
    """Return whether two rows look the same: the families change within milliseconds."""
    return len(one) == len(other) and all(
        a.state is b.state and a.disconnections == b.disconnections and abs(a.end - b.end) < 1.0
        for a, b in zip(one, other, strict=True)
    )


def _rect(part: Part, label: str, y: float, height: float, window: Window) -> str:
    x = window.x(part.begin)
    width = max(window.x(part.end) - x, 1.0)
    between = f"{window.clock(part.begin)} to {window.clock(part.end)}"
    if part.disconnections:
        more = "or more " if part.disconnections >= 255 else ""
        kind, words = "many", f"{part.disconnections} {more}disconnections"
    else:
        kind, words = _CLASSES[part.state], part.state.label
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:g}" width="{width:.1f}" height="{height:g}">'
        f"<title>{escape(label)}{words}, {between}</title></rect>"
    )


def _mark(at: float, count: int, window: Window) -> str:
    flaps = "flap" if count == 1 else "flaps"
    return (
        f'<rect class="merged" x="{window.x(at) - 1:.1f}" y="0" width="3" height="{_HEIGHT}">'
        f"<title>{count} {flaps} that no notification showed, {window.clock(at)}</title></rect>"
    )


def _summary(strips: Mapping[str, Strip], present: Mapping[str, Shown], window: Window) -> str:
    """Return the bar in words."""
    texts = []
    for family in sorted(strips.keys() | present.keys()):
        state = present.get(family, Shown.GONE).label
        strip = strips.get(family)
        down = disconnections(strip, window) if strip else 0
        times = "once" if down == 1 else f"{down} times"
        texts.append(f"{family} {state}, disconnected {times}")
    merged = max((sum(c for _, c in s.unobserved) for s in strips.values()), default=0)
    if merged:
        flaps = "flap" if merged == 1 else "flaps"
        texts.append(f"{merged} {flaps} that no notification showed")
    return "; ".join(texts)


def legend(window: Window) -> str:
    """Return the legend, and the time at both ends of the bars."""
    items = "".join(
        f'<li><svg viewBox="0 0 10 10" aria-hidden="true"><rect class="{kind}" width="10" '
        f'height="10"/></svg> {words}</li>'
        for kind, words in (
            ("up", "connected"),
            ("down", "disconnected"),
            ("disabled", "switched off"),
            ("absent", "gone"),
            ("many", "many disconnections"),
            ("merged", "flaps that no notification showed"),
        )
    )
    ends = f"{window.clock(window.begin)} to {window.clock(window.instant)} UTC"
    return f'<ul class="legend">{items}</ul><p class="ends">{visible(ends)}</p>'
