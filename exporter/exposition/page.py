"""The scrape page, from cached pieces: only what changed since the last scrape is rendered.

A *cell* is all that one series set says under one metric: a few lines. A *block* holds the
cells of some dozens of series sets, one *column* for each metric. A scrape copies the series
that changed, renders their cells, puts together again the columns they are in, and sends all
columns. Only time in state moves without a notification, and is formatted every time.

The two formats share every column; they differ in headers.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from exporter.exposition.agent_lines import agent_lines, agent_samples
from exporter.exposition.blocks import SIZE, Block
from exporter.exposition.cells import SecondsText
from exporter.exposition.compression import Piece, gzipped
from exporter.exposition.text_format import header
from exporter.metrics.catalogue import (
    EXPORTER_METRICS,
    HOST_METRICS,
    STATE_SECONDS,
    SeriesMetric,
)
from exporter.metrics.snapshot import Snapshot, snapshot
from exporter.monitor.series import SeriesSet


class Page:
    """Renders the page. Thread: any; scrapes wait for each other, not for the collector long."""

    def __init__(
        self,
        read: Callable[[], Snapshot],
        metrics: Sequence[SeriesMetric],
        extra: Callable[[bool], bytes] = lambda openmetrics: b"",
    ) -> None:
        """`extra` gives more families for the page, in OpenMetrics (without EOF) or text."""
        self._read = read
        self._extra = extra
        self._metrics = tuple(metrics)
        self._headers = [
            [Piece(header(m.name, m.type, m.help, openmetrics).encode()) for m in self._metrics]
            for openmetrics in (False, True)
        ]
        self._lock = threading.Lock()
        #: `State.membership` and the reading as of the last scrape.
        self._membership, self._seen = -1, 0
        self._own: list[Block] = []
        #: Shared series sets stand behind all others, however late they are born.
        self._shared: list[Block] = []
        self._places: dict[SeriesSet, tuple[Block, int]] = {}

    def render(self, openmetrics: bool = False, gzip: bool = False) -> bytes:
        """The whole page as of now: one state, never a mixture of two."""
        return b"".join(self.pieces(openmetrics, gzip))

    def pieces(self, openmetrics: bool = False, gzip: bool = False) -> list[bytes]:
        """The same, not yet put together: a copy of 3.6 MB costs more than to render 1 % anew."""
        with self._lock:
            try:
                pieces = self._pieces(openmetrics)
            except BaseException:
                self._forget()  # what changed may be lost by half: begin anew
                raise
            if len(self._own) > 4 + 4 * len(self._places) / SIZE:
                self._forget()  # mostly empty slots
            return gzipped(pieces) if gzip else [piece.body for piece in pieces]

    def _pieces(self, openmetrics: bool) -> list[Piece]:
        with snapshot(self._read) as reading:  # only to copy, 1 µs a series: the collector waits
            state = reading.state
            host = agent_samples(HOST_METRICS, reading)
            exporter = agent_samples(EXPORTER_METRICS, reading)
            present = None
            if state.membership != self._membership:
                self._membership, present = state.membership, list(state.series())
            self._seen, changed = state.changed_since(self._seen)
            copies = {series: series.copy() for series in changed}
        self._update(copies, present)
        blocks = [*self._own, *self._shared]
        text = SecondsText(reading.instant)
        seconds = [Piece(block.seconds_lines(text)) for block in blocks]
        pieces = [Piece(agent_lines(host, openmetrics))]
        for position, metric in enumerate(self._metrics):
            column: Iterable[Piece] = [block.columns[position] for block in blocks]
            if metric.name == STATE_SECONDS:
                column = seconds
            body = [piece for piece in column if piece.body]
            if body:
                pieces += (self._headers[openmetrics][position], *body)
        pieces.append(Piece(agent_lines(exporter, openmetrics) + self._extra(openmetrics)))
        if openmetrics:
            pieces.append(Piece(b"# EOF\n"))
        return pieces

    # -- the cache ----------------------------------------------------------------------

    def _forget(self) -> None:
        """Render everything at the next scrape."""
        self._membership, self._seen = -1, 0
        self._own, self._shared, self._places = [], [], {}

    def _update(self, changed: dict[SeriesSet, SeriesSet], present: list[SeriesSet] | None) -> None:
        """Bring the blocks up to date with copies of what changed, and with what there is."""
        news: defaultdict[Block, dict[int, SeriesSet | None]] = defaultdict(dict)
        if present is not None:
            for series in self._places.keys() - set(present):
                block, slot = self._places.pop(series)
                news[block][slot] = None
            for series in present:
                if series not in self._places:
                    self._places[series] = self._place(series)
        for series, copy in changed.items():
            block, slot = self._places[series]
            news[block][slot] = copy
        for block, series_by_slot in news.items():
            block.update(self._metrics, series_by_slot)
        if present is not None:
            self._own = [block for block in self._own if block.live]

    def _place(self, series: SeriesSet) -> tuple[Block, int]:
        blocks = self._shared if series.shared else self._own
        if not blocks or blocks[-1].full:
            blocks.append(Block(len(self._metrics)))
        return blocks[-1], blocks[-1].add()
