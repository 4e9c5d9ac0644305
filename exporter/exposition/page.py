"""The scrape page, from cached chunks: only what changed since the last scrape is rendered.

A *cell* holds the few lines that one series set has under one metric. A *block* holds the
cells of some dozens of series sets, one *column* for each metric. A scrape copies the series
sets that changed, renders their cells, re-joins the columns they are in, and sends all
columns. Only time in state moves without a notification; it is formatted at every scrape.

The two formats share every column; they differ in headers.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from exporter.exposition import blocks
from exporter.exposition.agent_lines import agent_lines, agent_samples
from exporter.exposition.blocks import Block
from exporter.exposition.compression import GzipChunk, gzipped
from exporter.exposition.negotiation import Format
from exporter.exposition.series_lines import SecondsText
from exporter.exposition.text_format import header
from exporter.metrics.catalog import (
    EXPORTER_METRICS,
    HOST_METRICS,
    STATE_SECONDS,
    SeriesMetric,
)
from exporter.metrics.snapshot import Snapshot, locked_snapshot
from exporter.monitor.series import SeriesSet


class Page:
    """Renders the page. Thread: any; scrapes wait for each other, the monitor only briefly."""

    def __init__(
        self,
        read: Callable[[], Snapshot],
        metrics: Sequence[SeriesMetric],
        extra: Callable[[Format], bytes] = lambda _: b"",
    ) -> None:
        """Set up an empty cache. `extra` renders more families for the page, without EOF."""
        self._read = read
        self._extra = extra
        self._metrics = tuple(metrics)
        for metric in self._metrics:
            # `series_lines.time_cell` renders from the terms of this metric, not by `read`.
            if metric.depends_on == "time" and metric.name != STATE_SECONDS:
                raise ValueError(f"the page cannot render {metric.name}, which depends on time")
        self._headers = {
            format: [
                GzipChunk(header(m.name, m.type, m.help, format).encode()) for m in self._metrics
            ]
            for format in Format
        }
        self._lock = threading.Lock()
        #: `SeriesTable.membership` and the generation of its `changed_since` at the last scrape.
        self._membership, self._generation = -1, 0
        self._own: list[Block] = []
        #: Those of shared series sets, which come last on the page.
        self._shared: list[Block] = []
        self._places: dict[SeriesSet, tuple[Block, int]] = {}

    def chunks(self, format: Format, *, gzip: bool = False) -> list[bytes]:
        """Render the whole page as of now: one state, never a mixture of two.

        It is not joined: a copy of 3.6 MB costs more than rendering 1 % again.
        """
        with self._lock:
            try:
                chunks = self._chunks(format)
            except BaseException:
                self._clear()  # part of the changes is consumed already: rebuild from scratch
                raise
            if len(self._own) > 4 + 4 * len(self._places) / blocks.SIZE:
                self._clear()  # mostly empty slots
            return gzipped(chunks) if gzip else [chunk.body for chunk in chunks]

    def _chunks(self, format: Format) -> list[GzipChunk]:
        # The monitor waits meanwhile: only copy, 1 µs a series set.
        with locked_snapshot(self._read) as snapshot:
            state = snapshot.state
            host = agent_samples(HOST_METRICS, snapshot)
            exporter = agent_samples(EXPORTER_METRICS, snapshot)
            present = None
            if state.series_sets.membership != self._membership:
                self._membership, present = state.series_sets.membership, list(state.series_sets)
            self._generation, changed = state.series_sets.changed_since(self._generation)
            copies = {series: series.copy() for series in changed}
        self._update(copies, present, snapshot.instant)
        all_blocks = [*self._own, *self._shared]
        text = SecondsText(snapshot.instant)
        chunks = [GzipChunk(agent_lines(host, format))]
        for position, metric in enumerate(self._metrics):
            column: Iterable[GzipChunk]
            if metric.depends_on == "time":
                column = [GzipChunk(block.time_lines(position, text)) for block in all_blocks]
            else:
                column = [block.columns[position] for block in all_blocks]
            body = [chunk for chunk in column if chunk.body]
            if body:
                chunks += (self._headers[format][position], *body)
        chunks.append(GzipChunk(agent_lines(exporter, format) + self._extra(format)))
        if format is Format.OPENMETRICS:
            chunks.append(GzipChunk(b"# EOF\n"))
        return chunks

    # -- the cache ----------------------------------------------------------------------

    def _clear(self) -> None:
        """Render everything at the next scrape."""
        self._membership, self._generation = -1, 0
        self._own, self._shared, self._places = [], [], {}

    def _update(
        self,
        changed: dict[SeriesSet, SeriesSet],
        present: list[SeriesSet] | None,
        instant: float,
    ) -> None:
        """Update the blocks with copies of what changed, and with what exists (None: as before)."""
        updates: defaultdict[Block, dict[int, SeriesSet | None]] = defaultdict(dict)
        if present is not None:
            for series in self._places.keys() - set(present):
                block, slot = self._places.pop(series)
                updates[block][slot] = None
            for series in present:
                if series not in self._places:
                    self._places[series] = self._place(series)
        for series, copy in changed.items():
            block, slot = self._places[series]
            updates[block][slot] = copy
        for block, series_by_slot in updates.items():
            block.update(self._metrics, series_by_slot, instant)
        if present is not None:
            self._own = [block for block in self._own if block.live]

    def _place(self, series: SeriesSet) -> tuple[Block, int]:
        """Return a free slot, in a new block if need be."""
        column = self._shared if series.shared else self._own
        if not column or column[-1].full:
            column.append(Block(len(self._metrics)))
        return column[-1], column[-1].add()
