"""Joins the cells of up to `SIZE` series sets; a change re-joins one block only.

Cells are kept as slices of one body for each metric of a block, not as objects of their own:
at 8,000 IP interfaces that is some 100,000 objects less.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from operator import itemgetter

from exporter.exposition.compression import GzipChunk
from exporter.exposition.series_lines import (
    MOST_COMMON,
    SecondsText,
    cell,
    format_identity,
    most_common_growth,
    time_cell,
)
from exporter.metrics.catalog import SeriesMetric
from exporter.model import Interface
from exporter.monitor.series import Growth, SeriesSet

#: Series sets in a block. Smaller ones compress worse (16: to 10 %, 64: 7 %, 128: 6 %) and are
#: more to go through, larger ones give more to copy and to compress again for a change.
SIZE = 64


class Column(GzipChunk):
    """The cells of one metric in one block."""

    __slots__ = ("_sizes",)

    def __init__(self) -> None:
        super().__init__()
        self._sizes = array("I")

    def grow(self) -> None:
        """Make room for one more cell, empty for now."""
        self._sizes.append(0)

    def splice(self, cells: Sequence[tuple[int, bytes]]) -> None:
        """Replace cells, given by slot in ascending order."""
        body, view, sizes = self.body, memoryview(self.body), self._sizes
        parts: list[bytes | memoryview] = []
        kept = after = end = 0
        for slot, text in cells:
            start = end + sum(sizes[after:slot])
            after, end = slot + 1, start + sizes[slot]
            if len(text) != sizes[slot] or not body.startswith(text, start):
                parts += (view[kept:start], text)
                kept, sizes[slot] = end, len(text)
        if parts:
            self.replace(b"".join((*parts, view[kept:])))


class Block:
    """Up to `SIZE` series sets in the order of the page. One that departs leaves its slot empty."""

    __slots__ = ("_growing", "_growths", "_most_common", "_rows", "columns", "live")

    def __init__(self, metrics: int) -> None:
        #: By position of the metric. A metric that depends on time has a template there, see
        #: `series_lines.time_cell`, and its lines from `time_lines`.
        self.columns = [Column() for _ in range(metrics)]
        #: The interface as it was rendered last, by slot: its labels come from it, too.
        self._rows: list[Interface | None] = []
        #: The growth of the values in the template: of most, and of the others by slot, and in all.
        self._most_common: Growth | None = None
        self._growing: list[tuple[Growth, ...]] = []
        self._growths: tuple[Growth, ...] = ()
        #: Slots whose series set has not departed.
        self.live = 0

    @property
    def full(self) -> bool:
        """Whether all slots were given away."""
        return len(self._rows) >= SIZE

    def add(self) -> int:
        """Add a slot for one more series set."""
        for column in self.columns:
            column.grow()
        self._growing.append(())
        self._rows.append(None)
        self.live += 1
        return len(self._rows) - 1

    def update(
        self,
        metrics: Sequence[SeriesMetric],
        changed: dict[int, SeriesSet | None],
        instant: float,
    ) -> None:
        """Render the cells of what changed, by slot; ``None`` departed."""
        if self._most_common is None:
            self._most_common = most_common_growth(filter(None, changed.values()))
        cells: defaultdict[int, list[tuple[int, bytes]]] = defaultdict(list)
        for slot, series in sorted(changed.items(), key=itemgetter(0)):
            if series is None:
                self.live -= 1
                self._rows[slot], self._growing[slot] = None, ()
                for position in range(len(metrics)):
                    cells[position].append((slot, b""))
                continue
            identity_labels, row = format_identity(series), series.interface
            # A flap that is over leaves the row as it was: half of the cells stay.
            row_changed = row != self._rows[slot]
            self._rows[slot] = row
            for position, metric in enumerate(metrics):
                if metric.depends_on == "time":
                    text, growing = time_cell(series, identity_labels, metric, self._most_common)
                    self._growing[slot] = growing
                elif row_changed or metric.depends_on == "counts":
                    text = cell(series, identity_labels, metric, instant)
                else:
                    continue
                cells[position].append((slot, text))
        for position, column_cells in cells.items():
            self.columns[position].splice(column_cells)
        self._growths = tuple(chain.from_iterable(self._growing))

    def time_lines(self, position: int, text: SecondsText) -> bytes:
        """Return the lines of the metric that depends on time, at the instant of `text`."""
        body = self.columns[position].body
        if self._most_common is not None:
            body = body.replace(MOST_COMMON, text[self._most_common])
        return body % tuple(map(text.__getitem__, self._growths))
