"""Caches the state transitions of links that keep returning to the same states.

A link that flaps goes round a handful of states. What a message leads to depends on the
state of its link and on the message, and on nothing else; so each transition is worked out once,
by `notifications`, and cached at the state it began in. The next time it costs a comparison
and a look-up: 2 µs instead of 30 (tests/bench/decode.py).

Nothing is decided here. A message that is new in any way (see `message_templates`), or that
comes while something is pending, goes there.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from exporter.bindings import rtnetlink as nl
from exporter.model import Family, Interface, Notification, NotificationType
from exporter.sources.linux import message_templates as templates
from exporter.sources.linux.link_state import CachedState, LinkState
from exporter.sources.linux.links import LinkTable
from exporter.sources.linux.notifications import Notifications

#: Messages of a link before any are cached: most links have a few when they come, and no more.
_UNCACHED_MESSAGES = 4
#: Templates of deleted links are thrown away when there are so many more than links.
_SPARE_TEMPLATES = 256

#: Those of a kernel that has none (before 4.16).
_NO_COUNTERS = (0, 0)

_read_key = templates.read_key
_new = tuple.__new__  # half the time of calling Notification, which checks its arguments
assert len(Notification._fields) == 10  # as `TransitionCache.repeat` makes it


class _Transition(NamedTuple):
    """Where a message led, and of each notification that it amounted to all but the time."""

    target: CachedState
    notifications: list[tuple[NotificationType, Family, int, int, Interface | None, int]]


class _CachedMessage:
    """An earlier message of a link: its template, within easy reach."""

    __slots__ = ("counted", "expected", "fixed_parts", "link", "name", "size", "values")

    def __init__(self, link: LinkState, name: str, template: templates.Template, size: int) -> None:
        self.link = link
        self.name = name
        self.size = size
        self.fixed_parts, self.expected = template.fixed_parts, template.expected
        self.values, self.counted = template.values, template.counted


class TransitionCache:
    """Applies messages to a table; those that it knows, without parsing. Not thread-safe."""

    def __init__(self, table: LinkTable) -> None:
        self._table = table
        self._notifications = Notifications(table)
        self._messages: dict[tuple[bytes], _CachedMessage] = {}
        self._departing = False

    def repeat(self, data: nl.Buffer, size: int) -> str | None:
        """Return the name of a message whose transition was cached; ``None``: `apply` it."""
        cached = self._messages.get(_read_key(data))
        if cached is None or cached.size != size or cached.fixed_parts(data) != cached.expected:
            return None
        link = cached.link
        state = link.cached_state
        if state is None or self._departing:
            return None
        label: Hashable
        if cached.counted:  # as in `_label`, without a call
            flags, operstate, up, down, flags6, timers = cached.values(data)
            seen_up, seen_down = link.counters or _NO_COUNTERS
            label = cached, flags, operstate, up - seen_up, down - seen_down, flags6, timers
        else:
            label = cached, cached.values(data)
        transition = state.transitions.get(label)
        if transition is None:
            return None
        if cached.counted:
            link.counters = up, down
        link.cached_state, notifications = transition
        link.stale = True
        table = self._table
        out, time, instant = table.out, table.time, table.instant
        for type_, family, luid, index, interface, flaps in notifications:
            n = type_, family, luid, index, time, instant, interface, flaps, flaps, False
            out.append(_new(Notification, n))
        return cached.name

    def apply(self, message: nl.Message, data: nl.Buffer, size: int) -> None:
        """Apply one message of a datagram to the table, and cache what came of it."""
        table, before, label = self._table, None, None
        cached = self._messages.get(_read_key(data))
        if (
            cached is not None
            and cached.size == size
            and cached.fixed_parts(data) == cached.expected
        ):
            if not self._departing:
                before, label = cached.link.cached_state, _label(cached, data)
        else:
            cached = None
        done = len(table.out)
        self._notifications.apply(message.type, data, message.start, message.end)
        self._departing = table.departing is not None
        index = templates.link_index(message, data)
        link = None if index is None else table.resolved_link(index)
        if link is None:
            return
        link.messages_seen += 1
        if link.messages_seen < _UNCACHED_MESSAGES:
            return
        link.enter_cached_state()
        if cached is None or cached.link is not link:
            self._learn(link, message, data, size)
        elif before is not None and link.cached_state is not None:
            new = [(*n[:4], n.interface, n.unobserved_connects) for n in table.out[done:]]
            before.add(label, _Transition(link.cached_state, new))

    def _learn(self, link: LinkState, message: nl.Message, data: nl.Buffer, size: int) -> None:
        """Recognize the next message like this one."""
        template = templates.template(data, size)
        if template is None:
            return
        most = _SPARE_TEMPLATES + 8 * len(self._table)
        if len(self._messages) > most:
            self._messages = {
                key: m for key, m in self._messages.items() if m.link.cached_state is not None
            }
            if len(self._messages) > most:
                self._messages.clear()
        name = nl.MESSAGE_NAMES[message.type]
        self._messages[_read_key(data)] = _CachedMessage(link, name, template, size)


def _label(cached: _CachedMessage, data: nl.Buffer) -> Hashable:
    """Tell apart messages of one template; of the carrier counters, how far they went."""
    if not cached.counted:
        return cached, cached.values(data)
    flags, operstate, up, down, flags6, timers = cached.values(data)
    seen_up, seen_down = cached.link.counters or _NO_COUNTERS
    return cached, flags, operstate, up - seen_up, down - seen_down, flags6, timers
