"""What repeats is looked up: the steps of a link that keeps returning to the same states.

A link that flaps goes round a handful of states. What a message amounts to depends on the
state of its link and on what it says, and on nothing else; so each step is worked out once,
by `links.LinkTable`, and noted at the state it began in. The next time it costs a comparison
and a look-up: 2 µs instead of 30 (tests/bench/stream.py).

Nothing is decided here. A message that says anything new (see `bindings.layouts`), or that
comes while something is undecided, goes the plain way.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from exporter.bindings import layouts
from exporter.bindings import rtnetlink as nl
from exporter.model import Notification
from exporter.sources.link_state import LinkState, Position
from exporter.sources.links import LinkTable

_MASK = 0xFFFFFFFF  # the carrier counters are u32 and wrap
#: Templates of departed links are thrown away when there are so many more than links.
_SPARE_TEMPLATES = 256

_new = tuple.__new__  # half the time of calling Notification, which checks its arguments


class _Step(NamedTuple):
    """Where a message led, and what it amounted to: the fields before and after the time."""

    to: Position
    said: list[tuple[tuple[object, ...], tuple[object, ...]]]


class _Known:
    """A message that was heard of a link: its template, within easy reach."""

    __slots__ = ("counted", "link", "pieces", "same", "size", "values")

    def __init__(self, link: LinkState, template: layouts.Template, size: int) -> None:
        self.link = link
        self.size = size
        self.pieces, self.same = template.pieces, template.same
        self.values, self.counted = template.values, template.counted

    def label(self, values: tuple[int, ...]) -> Hashable:
        """What a message like it says; of the counters, how far they went."""
        if not self.counted:
            return self, values
        up, down = self.link.counters
        return self, values[0], (values[1] - up) & _MASK, (values[2] - down) & _MASK, values[3:]


class Repeats:
    """Hears messages for a table, and repeats what it did before. Thread: the collector."""

    def __init__(self, table: LinkTable) -> None:
        self._table = table
        self._known: dict[tuple[bytes], _Known] = {}
        self._undecided = False

    def repeat(self, data: bytearray, size: int, time: float, instant: float) -> bool:
        """Whether a datagram took a step that is known; if not, its messages are to `apply`."""
        known = self._known.get(layouts.head(data))
        if known is None or known.size != size or known.pieces(data) != known.same:
            return False
        link = known.link
        position = link.position
        if position is None or self._undecided:
            return False
        values = known.values(data)
        step = position.steps.get(known.label(values))
        if step is None:
            return False
        if known.counted:
            link.counters = values[1:3]
        link.position, said = step
        link.behind = True
        out = self._table.out
        for before, after in said:
            out.append(_new(Notification, (*before, time, instant, *after)))
        return True

    def apply(
        self, message: nl.Message, data: bytearray, size: int, time: float, instant: float
    ) -> None:
        """Let the table take one message of a datagram, and note what came of it."""
        kind, _, _, start, end = message
        if kind != nl.RTM_NEWLINK or end - start < 8:
            self._table.apply(kind, data, start, end, time, instant)
            self._undecided = self._table.undecided
            return
        known = self._known.get(layouts.head(data))
        if known is not None and (known.size != size or known.pieces(data) != known.same):
            known = None
        begun = label = None
        if known is not None and not self._undecided:
            begun, label = known.link.position, known.label(known.values(data))
        said = len(self._table.out)
        self._table.apply(kind, data, start, end, time, instant)
        self._undecided = self._table.undecided
        link = self._table.known(nl.link_index(data, start))
        if link is None or self._undecided:
            return
        link.stand()
        if known is None or known.link is not link:
            self._learn(link, data, size)
        elif begun is not None and link.position is not None:
            begun.note(label, _Step(link.position, [(n[:4], n[6:]) for n in self._table.out[said:]]))

    def _learn(self, link: LinkState, data: bytearray, size: int) -> None:
        """Know the next message like this one."""
        template = layouts.template(data, size)
        if template is None:
            return
        if len(self._known) > 4 * len(self._table) + _SPARE_TEMPLATES:
            self._known = {k: v for k, v in self._known.items() if v.link.position is not None}
        self._known[layouts.head(data)] = _Known(link, template, size)
