"""Applies replies to RTM_GETLINK to a table of links: links that came, went or changed.

A reply that comes through the socket that listens has its place among the notifications: it is
made, and queued, under the lock under which they are. So it is one more message, newer than
those before it and older than those after it. It is also the whole truth of its moment, where a
notification may show an operation half done: IFLA_AF_SPEC names the families that exist.

Some replies are less exact, and are made up for by asking once more:

- A part of a dump is made under the lock, but queued a moment later. A notification that slipped
  in between is newer, though it stands before. So a link that was mentioned since the dump
  began is not taken from it, but asked about by itself.
- "No such device" is queued after the lock was released. If the link was mentioned meanwhile,
  it may have been made again.
- Newer kernels (7.2) queue every reply after the lock was released. So what holds for a part of a
  dump holds for the reply about a link, too. Of a link that is mentioned all the time, the
  last of `TRIES` replies is taken, unless its carrier counters are behind those of a
  notification.

On these kernels "no such device" does not wait for the lock, and may come before the messages of
the deletion. Unless they may be lost, the deletion is theirs to tell.

A link that a dump lacks is asked about, too, before it is deleted.

Source: net/core/rtnetlink.c (rtnl_getlink, rtnl_dump_ifinfo), net/netlink/af_netlink.c
"""

from __future__ import annotations

import re
from collections.abc import Collection

from exporter.bindings import rtnetlink as nl
from exporter.model import FAMILIES, Family
from exporter.sources.linux.links import LinkTable

#: The last kernel that was seen to queue the reply about a link before it releases the lock.
LAST_ORDERED = (6, 18)
#: How often a link is asked about because of notifications that may be newer than the reply.
TRIES = 4


def replies_in_order(release: str) -> bool:
    """Return whether a kernel queues replies about links in order. `release`: see uname(2)."""
    return tuple(int(number) for number in re.findall(r"\d+", release)[:2]) <= LAST_ORDERED


class Replies:
    """Applies replies to a table of links. Not thread-safe."""

    def __init__(self, table: LinkTable, *, in_order: bool = True) -> None:
        """Set up. `in_order`: see `replies_in_order`."""
        self._table = table
        self._in_order = in_order
        self._dumped: set[int] = set()
        #: By link: how many replies in a row may have been older than a notification.
        self._late: dict[int, int] = {}

    def begin_dump(self) -> None:
        """Forget which links the last dump had. Without it, a dump continues the last one."""
        self._dumped.clear()

    def dump_part(self, message: nl.LinkMessage, request: int) -> None:
        """Apply one link of a dump, the reply to `request`."""
        index = message.ifindex
        self._dumped.add(index)
        if self._table.mentioned_since(request, index):
            self._table.requests[index] = True
        else:
            self._apply(message, inferred=True)

    def end_dump(self) -> None:
        """Ask about the links that are known and were in no dump since `begin_dump`."""
        for index in self._table.indexes() - self._dumped:
            self._table.requests[index] = True

    def link(self, message: nl.LinkMessage, request: int) -> None:
        """Apply the reply about one link."""
        index = message.ifindex
        if self._table.mentioned_since(request, index) and self._may_be_late(message):
            return  # asked again
        self._late.pop(index, None)
        inferred = self._table.requests.pop(index, True)
        self._apply(message, inferred=inferred)

    def no_link(self, index: int, request: int) -> None:
        """Apply the reply that there is no such link."""
        table = self._table
        if table.mentioned_since(request, index) and index in table.indexes():
            return  # asked again
        self._late.pop(index, None)
        table.begin(inferred=True)
        self._resolve_departure(index, ())
        if table.doubtful or table.requests.get(index, True):
            table.remove_link(index, inferred=True)
        else:  # a notification had us ask: those of the deletion are on their way
            del table.requests[index]

    def _may_be_late(self, message: nl.LinkMessage) -> bool:
        """Return whether a reply may be older than a notification that was received before it."""
        index = message.ifindex
        if self._is_behind(message):
            return True
        if self._in_order:
            return False
        if index not in self._table.requests:  # its deletion was notified in the meantime
            self._late.pop(index, None)
            return True
        late = self._late[index] = self._late.get(index, 0) + 1
        return late < TRIES

    def _is_behind(self, message: nl.LinkMessage) -> bool:
        """Return whether a notification has shown newer carrier counters than this reply."""
        link = self._table.link(message.ifindex)
        if link is None or link.counters is None or message.carrier_up is None:
            return False
        return message.carrier_up + (message.carrier_down or 0) < sum(link.counters)

    def _resolve_departure(self, index: int, existing: Collection[Family]) -> None:
        """Decide whether a DELNETCONF of this link was the beginning of a rename."""
        if self._table.departing is not None and self._table.departing[1] == index:
            self._table.resolve_departure(existing)

    def _apply(self, message: nl.LinkMessage, *, inferred: bool) -> None:
        table, index = self._table, message.ifindex
        confs = {Family.IPV4: message.inet_conf, Family.IPV6: message.inet6_conf}
        existing = [f for f in FAMILIES if confs[f] is not None and f in table.families]
        table.begin(inferred=inferred)
        self._resolve_departure(index, existing)
        link, announced = table.changing_by(message), []
        if link is None:
            link, announced = table.adopt(message), table.pop_announced(index)
        else:
            for family in FAMILIES:
                if family not in existing:
                    table.remove(family, index, inferred=True)
            table.describe(link, message, reply=True)
        for family in existing:
            if not link.has(family):
                table.add(link, family, found=family not in announced)
