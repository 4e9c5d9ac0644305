"""What repeats is looked up: the steps of a link that keeps returning to the same states.

A link that flaps goes round a handful of states. What a message amounts to depends on the
state of its link and on what it says, and on nothing else; so each step is worked out once,
by `links.LinkTable`, and noted at the state it began in. The next time it costs a comparison
and a look-up: 2 µs instead of 30 (tests/bench/decode.py).

Nothing is decided here. A message that says anything new (see `bindings.layouts`), or that
comes while something is undecided, goes the plain way.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

from exporter.bindings import rtnetlink as nl
from exporter.model import Family, Interface, Notification, NotificationType
from exporter.sources.linux import templates as layouts
from exporter.sources.linux.link_state import LinkState, Position
from exporter.sources.linux.links import LinkTable

#: Messages of a link before any are noted: most links are heard of when they come, and once more.
_HEARD = 4
#: Templates of departed links are thrown away when there are so many more than links.
_SPARE_TEMPLATES = 256

_head = layouts.head
_new = tuple.__new__  # half the time of calling Notification, which checks its arguments


class _Step(NamedTuple):
    """Where a message led, and what it amounted to: of each notification all but the time."""

    to: Position
    said: list[tuple[NotificationType, Family, int, int, Interface | None, int]]


class _Known:
    """A message that was heard of a link: its template, within easy reach."""

    __slots__ = ("counted", "link", "name", "pieces", "same", "size", "values")

    def __init__(self, link: LinkState, name: str, template: layouts.Template, size: int) -> None:
        self.link = link
        self.name = name
        self.size = size
        self.pieces, self.same = template.pieces, template.same
        self.values, self.counted = template.values, template.counted


class Repeats:
    """Hears messages for a table, and repeats what it did before. Thread: the collector."""

    def __init__(self, table: LinkTable) -> None:
        self._table = table
        self._known: dict[tuple[bytes], _Known] = {}
        self._undecided = False

    def repeat(self, data: nl.Buffer, size: int, time: float, instant: float) -> str | None:
        """The name of the message, if it took a known step; ``None``: it is to be applied."""
        known = self._known.get(_head(data))
        if known is None or known.size != size or known.pieces(data) != known.same:
            return None
        link = known.link
        position = link.position
        if position is None or self._undecided:
            return None
        values = known.values(data)
        step = position.steps.get(_label(known, values))
        if step is None:
            return None
        if known.counted:
            link.counters = values[2:4]
        link.position, said = step
        link.behind = True
        out = self._table.out
        for kind, family, luid, index, interface, missed in said:
            n = kind, family, luid, index, time, instant, interface, missed, missed, False
            out.append(_new(Notification, n))
        return known.name

    def apply(
        self, message: nl.Message, data: nl.Buffer, size: int, time: float, instant: float
    ) -> None:
        """Let the table take one message of a datagram, and note what came of it."""
        table, before, label = self._table, None, None
        known = self._known.get(_head(data))
        if known is not None and known.size == size and known.pieces(data) == known.same:
            if not self._undecided:
                before, label = known.link.position, _label(known, known.values(data))
        else:
            known = None
        said = len(table.out)
        table.apply(message.type, data, message.start, message.end, time, instant)
        self._undecided = table.undecided
        index = layouts.link_of(message, data)
        link = None if index is None or self._undecided else table.known(index)
        if link is None:
            return
        link.heard += 1
        if link.heard < _HEARD:
            return
        link.stand()
        if known is None or known.link is not link:
            self._learn(link, message, data, size)
        elif before is not None and link.position is not None:
            told = [(*n[:4], n.interface, n.unobserved_connects) for n in table.out[said:]]
            before.note(label, _Step(link.position, told))

    def _learn(self, link: LinkState, message: nl.Message, data: nl.Buffer, size: int) -> None:
        """Know the next message like this one."""
        template = layouts.template(data, size)
        if template is None:
            return
        if len(self._known) > _SPARE_TEMPLATES + 8 * len(self._table):
            self._known = {k: v for k, v in self._known.items() if v.link.position is not None}
        name = nl.MESSAGE_NAMES[message.type]
        self._known[_head(data)] = _Known(link, name, template, size)


def _label(known: _Known, values: tuple[Any, ...]) -> Hashable:
    """What a message says beside what is known; of the carrier counters, how far they went."""
    if not known.counted:
        return known, values
    up, down = known.link.counters
    return known, values[:2], values[2] - up, values[3] - down, values[4:]
