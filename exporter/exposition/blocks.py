"""The cells of some dozens of series sets, joined: what a change has to put together again.

Cells are kept as slices of one body for each metric of a block, not as objects of their own:
at 8,000 IP interfaces that is some 100,000 objects less.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from operator import itemgetter

from exporter.exposition.cells import (
    COMMON,
    SecondsText,
    Terms,
    common_terms,
    seconds_cell,
    series_cells,
    who,
)
from exporter.exposition.compression import Piece
from exporter.metrics.catalogue import SeriesMetric
from exporter.model import Interface
from exporter.monitor.series import SeriesSet

#: SeriesSet sets in a block. Smaller ones compress worse (16: to 10 %, 64: 7 %, 128: 6 %) and are
#: more to go through, larger ones give more to copy and to compress again for a change.
SIZE = 64


class Column(Piece):
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
        pieces: list[bytes | memoryview] = []
        kept = after = end = 0
        for slot, cell in cells:
            start = end + sum(sizes[after:slot])
            after, end = slot + 1, start + sizes[slot]
            if len(cell) != sizes[slot] or not body.startswith(cell, start):
                pieces += (view[kept:start], cell)
                kept, sizes[slot] = end, len(cell)
        if pieces:
            self.replace(b"".join((*pieces, view[kept:])))


class Block:
    """Up to `SIZE` series sets in the order of the page. One that departs leaves its slot empty."""

    __slots__ = ("_common", "_growing", "_rows", "_terms", "columns", "live", "seconds")

    def __init__(self, metrics: int) -> None:
        #: By metric.
        self.columns = [Column() for _ in range(metrics)]
        #: Time in state, as a template: see `seconds_cell`.
        self.seconds = Column()
        #: The interface as it was rendered last, by slot: its labels come from it, too.
        self._rows: list[Interface | None] = []
        #: What goes into the template in most places, and in the others: by slot, and in all.
        self._common: Terms | None = None
        self._growing: list[tuple[Terms, ...]] = []
        self._terms: tuple[Terms, ...] = ()
        self.live = 0

    @property
    def full(self) -> bool:
        """All slots were given away."""
        return len(self._rows) >= SIZE

    def add(self) -> int:
        """A slot for one more series set."""
        for column in (*self.columns, self.seconds):
            column.grow()
        self._growing.append(())
        self._rows.append(None)
        self.live += 1
        return len(self._rows) - 1

    def update(self, metrics: Sequence[SeriesMetric], changed: dict[int, SeriesSet | None]) -> None:
        """Render the cells of what changed, by slot; ``None`` departed."""
        if self._common is None:
            self._common = common_terms(filter(None, changed.values()))
        cells: defaultdict[int, list[tuple[int, bytes]]] = defaultdict(list)
        templates = []
        for slot, series in sorted(changed.items(), key=itemgetter(0)):
            if series is None:
                self.live -= 1
                self._rows[slot], self._growing[slot] = None, ()
                templates.append((slot, b""))
                for position in range(len(metrics)):
                    cells[position].append((slot, b""))
                continue
            name, row = who(series), series.interface
            # A flap that is over leaves the row as it was: half of the cells stay.
            for position, cell in series_cells(series, name, metrics, row != self._rows[slot]):
                cells[position].append((slot, cell))
            template, growing = seconds_cell(series, name, self._common)
            templates.append((slot, template))
            self._rows[slot], self._growing[slot] = row, growing
        for position, column_cells in cells.items():
            self.columns[position].splice(column_cells)
        self.seconds.splice(templates)
        self._terms = tuple(chain.from_iterable(self._growing))

    def seconds_lines(self, text: SecondsText) -> bytes:
        """Time in state at an instant."""
        body = self.seconds.body
        if self._common is not None:
            body = body.replace(COMMON, text[self._common])
        return body % tuple(map(text.__getitem__, self._terms))
