"""Draws the bars of the timeline as inline SVG, with their axis and legend.

The Content-Security-Policy allows no style attributes, so places are attributes (in percent of the
width, so that nothing is distorted) and colors are classes. Each segment has its exact times and
counts in its title.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from exporter.monitor.history import DisplayState
from exporter.site.formatting import exact_duration, family, times, visible
from exporter.site.timeline import Bar, Segment, Window

#: A bar has at most so many columns, and all bars together so many segments: where there would be
#: more, those of a column are drawn as one. A segment has about 125 bytes, the page up to 200 kB.
_MAX_COLUMNS, _MAX_SEGMENTS = 250, 700
_CLASSES = {
    DisplayState.CONNECTED: "up",
    DisplayState.DISCONNECTED: "down",
    DisplayState.SWITCHED_OFF: "disabled",
    DisplayState.GONE: "absent",
}
#: Seconds between the ticks below the bars, by the seconds that the bars show.
_TICKS = {900.0: 180.0, 3600.0: 600.0, 21600.0: 3600.0}
#: A tick this near to the begin would not fit; this near to the end it would overlap with "now",
#: on the narrowest screen, where a bar is 288 pixels wide. In widths of the bar.
_BEGIN_MARGIN, _END_MARGIN = 0.03, 0.16


def columns(drawn: Sequence[Bar]) -> int:
    """Return the number of columns in which the segments of a bar are joined if it has too many.

    Bars with few segments leave more to the others.
    """
    sizes = sorted(len(row) for bar in drawn for row in bar.rows.values())
    left = _MAX_SEGMENTS
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
        body += "".join(_rect(segment, label, place, window) for segment in row)
    body += "".join(_mark(at, count, window) for at, count in bar.unobserved)
    grid = '<use href="#grid"/>'
    return f'<svg role="img" tabindex="0" aria-label="{_summary(bar)}">{body}{grid}</svg>'


def _in_columns(found: Sequence[Segment], window: Window, columns: int) -> Sequence[Segment]:
    """Join the segments that end in the same column, if there are more than two for each."""
    if len(found) <= 2 * columns:
        return found
    width = window.seconds / columns
    joined = [found[0]]
    for segment in found[1:]:
        last = joined[-1]
        column = (segment.end - window.begin) // width
        if (last.end - window.begin) // width != column:
            joined.append(segment)
            continue
        begin = window.begin + column * width
        if last.begin < begin:  # what lies before the column stays apart
            joined[-1] = last._replace(end=begin)
            joined.append(segment._replace(begin=begin, several=True))
        else:
            fell = last.disconnections + segment.disconnections
            joined[-1] = Segment(last.begin, segment.end, segment.state, fell, several=True)
    return joined


def _rect(segment: Segment, label: str, place: tuple[str, str], window: Window) -> str:
    x = window.x(segment.begin)
    width = max(window.x(segment.end) - x, 0.05)
    many = segment.several and segment.disconnections > 0
    css_class = "many" if many else _CLASSES[segment.state]
    which = f"{family(label)} " if label else ""
    y, height = place
    rows = "" if height == "100%" else f' y="{y}" height="{height}"'
    return (
        f'<rect class="{css_class}" x="{x:.2f}%" width="{width:.2f}%"{rows}>'
        f"<title>{which}{_what(segment, window)}</title></rect>"
    )


def _what(segment: Segment, window: Window) -> str:
    """Return what happened in a segment, with its times."""
    first, last = segment.begin <= window.known, segment.end >= window.instant
    length = segment.end - segment.begin
    unit = "milliseconds" if length < 10 else "seconds"
    begin, end = window.clock(segment.begin, unit), window.clock(segment.end, unit)
    if segment.several and segment.disconnections:
        more = " or more" if segment.disconnections >= 255 else ""
        fell = times(segment.disconnections, "disconnection", "disconnections")
        return f"{fell}{more}, {begin} to {end}"
    state = segment.state.label
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
        if _BEGIN_MARGIN < x < 1 - _END_MARGIN
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
        f'<li><svg aria-hidden="true"><rect class="{css_class}" width="100%"/></svg> {words}</li>'
        for css_class, words in (
            ("up", "connected"),
            ("down", "disconnected"),
            ("disabled", "switched off"),
            ("absent", "gone"),
            ("many", "several disconnections"),
            ("merged", "flaps that no notification showed"),
        )
    )
    return f'<ul class="legend">{items}</ul>'
