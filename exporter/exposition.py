"""The scrape page, from cached pieces: only what changed since the last scrape is rendered.

A *cell* is all that one series set says under one metric: a few lines. A *body* is all the
cells of one metric. A scrape renders the cells of the series whose version moved, joins the
bodies in which a cell changed, and puts the page together. Only time in state moves without
a notification, and is formatted every time, from prepared prefixes.

The two formats share every body; they differ in headers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from exporter.catalogue import (
    EXPORTER_METRICS,
    HOST_METRICS,
    IDENTITY,
    STATE_SECONDS,
    AgentMetric,
    HistogramMetric,
    Reading,
    SeriesMetric,
    identity,
)
from exporter.series import STATES, Series
from exporter.text_format import format_value, header, labels, sample


class _Cells:
    """The rendered lines of one series set, by metric."""

    __slots__ = ("lines", "seconds", "version")

    def __init__(self, count: int) -> None:
        self.version = -1
        self.lines = [""] * count
        #: Time in state. A state that goes on: the line up to its value, to be completed at
        #: every scrape. One that does not: the whole line.
        self.seconds: list[tuple[bool | None, str]] = []


class Page:
    """Renders the page. Thread: any; scrapes wait for each other, not for the collector long."""

    def __init__(
        self,
        read: Callable[[], Reading],
        metrics: Sequence[SeriesMetric],
        extra: Callable[[bool], bytes] = lambda openmetrics: b"",
    ) -> None:
        """`extra` gives more families for the page, in OpenMetrics (without EOF) or text."""
        self._read = read
        self._extra = extra
        self._metrics = tuple(metrics)
        self._lock = threading.Lock()
        #: What is on the page, and the cells of each, in the same order.
        self._series: list[Series] = []
        self._cells: list[_Cells] = []
        self._bodies = [b""] * len(self._metrics)
        self._headers = [
            [header(m.name, m.type, m.help, openmetrics).encode() for m in self._metrics]
            for openmetrics in (False, True)
        ]

    def render(self, openmetrics: bool = False) -> bytes:
        """The whole page as of now: one state, never a mixture of two."""
        reading = self._read()
        with self._lock:
            with reading.state.lock:
                reading = self._read()  # its instant must not be older than the state
                host = _agent_lines(HOST_METRICS, reading, openmetrics)
                exporter = _agent_lines(EXPORTER_METRICS, reading, openmetrics)
                stale, seconds = self._render_series(reading)
            self._join(stale, seconds)
            parts = [host]
            for head, body in zip(self._headers[openmetrics], self._bodies, strict=True):
                if body:
                    parts += (head, body)
            parts += (exporter, self._extra(openmetrics))
            if openmetrics:
                parts.append(b"# EOF\n")
            return b"".join(parts)

    def _render_series(self, reading: Reading) -> tuple[set[int], list[str]]:
        """Bring the cells up to date. Returns the metrics that changed, and time in state."""
        stale: set[int] = set()
        present = list(reading.state.series())
        if present != self._series:
            known = dict(zip(self._series, self._cells, strict=True))
            self._cells = [known.get(series) or _Cells(len(self._metrics)) for series in present]
            self._series = present
            stale.update(range(len(self._metrics)))
        lines: list[str] = []
        instant = reading.instant
        for series, cell in zip(present, self._cells, strict=True):
            if cell.version != series.version:
                self._render_cell(series, cell, stale)
            for connected, text in cell.seconds:
                if connected is None:
                    lines.append(text)
                else:
                    value = series.seconds(connected, instant)
                    # repr is what format_value comes to below a million, at a third of its cost
                    number = repr(value) if value < 1e6 else format_value(value)
                    lines.append(f"{text}{number}\n")
        return stale, lines

    def _render_cell(self, series: Series, cell: _Cells, stale: set[int]) -> None:
        cell.version = series.version
        who = labels(IDENTITY, identity(series))
        for position, metric in enumerate(self._metrics):
            lines = ""
            for values, value in metric.read(series):
                lines += sample(metric.name, _with_labels(who, series, metric, values), value)
            if lines != cell.lines[position]:
                cell.lines[position] = lines
                stale.add(position)
        cell.seconds = []
        for connected in (True, False):
            prefix = f"{STATE_SECONDS}{{{who},{labels(('state',), (STATES[connected],))}}} "
            if series.growing(connected):
                cell.seconds.append((connected, prefix))
            else:
                cell.seconds.append(
                    (None, f"{prefix}{format_value(series.seconds(connected, 0.0))}\n")
                )

    def _join(self, stale: set[int], seconds: list[str]) -> None:
        for position, metric in enumerate(self._metrics):
            if metric.name == STATE_SECONDS:
                self._bodies[position] = "".join(seconds).encode()
            elif position in stale:
                lines = [cell.lines[position] for cell in self._cells]
                self._bodies[position] = "".join(lines).encode()


def _with_labels(who: str, series: Series, metric: SeriesMetric, values: tuple[str, ...]) -> str:
    """The labels of a sample: identity and the metric's own, sorted by name."""
    if not values:
        return who
    if metric.labels[0] > IDENTITY[-1]:
        return f"{who},{labels(metric.labels, values)}"
    return labels(IDENTITY + metric.labels, identity(series) + values)


def _agent_lines(
    metrics: Sequence[AgentMetric | HistogramMetric], reading: Reading, openmetrics: bool
) -> bytes:
    """The metrics that are few: rendered every time."""
    out: list[str] = []
    for metric in metrics:
        if isinstance(metric, AgentMetric):
            lines = [
                sample(metric.name, labels(metric.labels, values), value)
                for values, value in metric.read(reading)
            ]
            kind = metric.type
        else:
            lines = _histogram_lines(metric, reading)
            kind = "histogram"
        if lines:
            out.append(header(metric.name, kind, metric.help, openmetrics))
            out += lines
    return "".join(out).encode()


def _histogram_lines(metric: HistogramMetric, reading: Reading) -> list[str]:
    lines = []
    for values, histogram in metric.read(reading):
        own = labels(metric.labels, values)
        count = 0
        for bound, count in histogram.cumulative():
            le = labels(("le",), (bound,))
            lines.append(sample(metric.name + "_bucket", f"{own},{le}" if own else le, count))
        lines.append(sample(metric.name + "_count", own, count))
        lines.append(sample(metric.name + "_sum", own, histogram.sum))
    return lines
