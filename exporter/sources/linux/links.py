"""The links of a network namespace, and the notifications that their changes amount to. No sockets.

`notifications` and `replies` say which change a message is; here it is made. An IP interface is
the kernel's per-family object on a link (in_device, inet6_dev). What is to be asked stands in
`LinkTable.requests`.
"""

from __future__ import annotations

from collections.abc import Collection

from exporter.bindings import rtnetlink as nl
from exporter.model import (
    FAMILIES,
    RANDOM_MEMBERS,
    Family,
    Interface,
    Notification,
    NotificationType,
)
from exporter.sources.linux.carrier import CarrierTracker
from exporter.sources.linux.index_reuse import IndexReuse
from exporter.sources.linux.link_state import Arrival, LinkState
from exporter.sources.linux.rows import LinkKey, Timers, interface_type, ipv6_disabled


class LinkTable:
    """All links of a network namespace, kept current by messages. Not thread-safe."""

    def __init__(self, families: Collection[Family], reuse: IndexReuse | None = None) -> None:
        self.families = frozenset(families)
        #: The notifications so far; see `drain`.
        self.out: list[Notification] = []
        #: Links to ask about. True: what the reply shows is inferred, because no notification
        #: told of it.
        self.requests: dict[int, bool] = {}
        #: Until everything was listed once: what is found was so before, and is not counted.
        self.opening = True
        #: Notifications were lost, and not everything was listed since.
        self.doubtful = False
        self._reuse = reuse or IndexReuse()
        self._links: dict[int, LinkState] = {}
        self._timers: dict[LinkKey, Timers] = {}
        #: IP interfaces whose link is yet unknown: its first NEWLINK is still to come.
        self._announced: dict[int, list[Family]] = {}
        #: The interface of a DELNETCONF whose next message decides whether it was a rename.
        self.departing: LinkKey | None = None
        #: See `received_at`.
        self.time = self.instant = 0.0
        self._inferring = False
        #: The number of the latest request, while one is under way; and by link, which request
        #: was the latest when a notification last mentioned it.
        self._request = 0
        self._mentions: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._links)

    def __repr__(self) -> str:
        return f"<LinkTable {len(self)} links, {len(self.requests)} to ask about>"

    def interfaces(self) -> list[Interface]:
        """Return every IP interface, by link."""
        for link in self._links.values():
            self._sync(link)
        return [i for link in self._links.values() for i in link.interfaces.values()]

    def indexes(self) -> set[int]:
        """Return the links that are known or announced."""
        return {*self._links, *self._announced}

    def link(self, index: int) -> LinkState | None:
        """Return a link, to read only; `changing` returns it for a change."""
        return self._links.get(index)

    def resolved_link(self, index: int) -> LinkState | None:
        """Return a link, to read only, unless something about it is still pending."""
        if self.departing is not None or index in self.requests:
            return None
        return self._links.get(index)

    def drain(self) -> list[Notification]:
        """Return the notifications since the last call."""
        out, self.out = self.out, []
        return out

    def received_at(self, time: float, instant: float) -> None:
        """Set when the messages were received that are applied next; see `Notification`."""
        self.time, self.instant = time, instant

    def begin(self, *, inferred: bool = False) -> None:
        """Set whether the notifications to come are inferred."""
        self._inferring = inferred

    def changing(self, index: int) -> LinkState | None:
        """Return a link that is about to change."""
        link = self._links.get(index)
        if link is not None:
            self._sync(link)
            link.leave_cached_state()
        return link

    def changing_by(self, message: nl.LinkMessage) -> LinkState | None:
        """Return the link that a message describes, which is about to change, if it is known.

        After a loss another link may have taken over the index of a known one, which is then
        deleted. Without a loss, its deletion would have been received.
        """
        link = self.changing(message.ifindex)
        if link is not None and self.doubtful and link.is_another(message):
            self.remove_link(message.ifindex, inferred=True)
            return None
        return link

    def adopt(self, message: nl.LinkMessage) -> LinkState:
        """Add a new link, as yet without IP interfaces."""
        index = message.ifindex
        if self.doubtful:
            type_ = interface_type(message.hardware_type, message.name or b"")
            self._reuse.catch_up(type_, index)
        timers = {family: self._timers_of(family, index) for family in FAMILIES}
        link = self._links[index] = LinkState(message, timers, self._reuse)
        return link

    def announce(self, family: Family, index: int) -> None:
        """Note an IP interface whose link is yet unknown."""
        announced = self._announced.setdefault(index, [])
        if family not in announced:
            announced.append(family)

    def pop_announced(self, index: int) -> list[Family]:
        """Return, and forget, the families that were announced of a link that now is known."""
        return self._announced.pop(index, [])

    def describe(self, link: LinkState, message: nl.LinkMessage, *, reply: bool = False) -> None:
        """Update a known link by a message.

        A reply may be ahead of linkwatch, which tells of a carrier up to a second later. Unless
        that may be lost, the change is its to tell.
        """
        renamed = link.update(message, reply=reply, operational=not reply or self.doubtful)
        self._add_arrived(link, message)
        for family in link.interfaces:
            self._update(link, family, renamed=renamed, counted=True)

    def describe_inet6(self, link: LinkState, message: nl.LinkMessage) -> None:
        """Update the IPv6 of a known link by a message of AF_INET6."""
        link.update_inet6(message)
        self._add_arrived(link, message)
        if Family.IPV6 in link.interfaces:
            self._update(link, Family.IPV6)

    def set_forwarding(self, link: LinkState, family: Family, forwarding: int) -> None:
        """Update the setting that a netconf message has."""
        if family in link.arrived:
            link.arrived[family].forwarding.append(forwarding)
        else:
            link.set_forwarding(family, forwarding)
            self._update(link, family)

    def add(self, link: LinkState, family: Family, *, found: bool = False) -> None:
        """Add an IP interface that was announced, or that a reply has `found`."""
        link.interfaces[family] = link.interface(family)
        follows = link.follows_carrier(family)
        link.trackers[family] = CarrierTracker(link.counters, follows=follows)
        self._emit(NotificationType.ADD, link.interfaces[family], inferred=found)

    def arrive(self, link: LinkState, family: Family, forwarding: int | None) -> None:
        """Note an IP interface on a known link, to add once a message describes its settings."""
        link.arrived[family] = Arrival(link.connected, link.mtu, [forwarding])
        link.trackers[family] = CarrierTracker(link.counters)
        self.requests.setdefault(link.ifindex, False)

    def _add_arrived(self, link: LinkState, message: nl.LinkMessage | None) -> None:
        """Add what arrived, as it was then, if the message describes it.

        Then tell what was notified since. Without a message: as far as it is known.
        """
        for family, (connected, mtu, forwarding) in list(link.arrived.items()):
            if message is not None:
                conf = message.inet_conf if family is Family.IPV4 else message.inet6_conf
                if conf is None:
                    continue
            del link.arrived[family]
            if family is Family.IPV6 and ipv6_disabled(link.inet6_conf):
                connected = False
            described = link.inet_conf, link.inet6_conf
            for value in forwarding:
                if value is not None:
                    link.set_forwarding(family, value)
                interface, known = link.interface(family), link.interfaces.get(family)
                row = interface.parameters._replace(connected=connected)
                if row.mtu_bytes is not None:
                    row = row._replace(mtu_bytes=mtu)
                if known is None or known.parameters != row:
                    type_ = NotificationType.PARAMETER if known else NotificationType.ADD
                    link.interfaces[family] = interface._replace(parameters=row)
                    self._emit(type_, link.interfaces[family], inferred=False)
            link.inet_conf, link.inet6_conf = described

    def remove(self, family: Family, index: int, *, inferred: bool = False) -> None:
        """Delete an IP interface, if there is one."""
        link = self.changing(index)
        if link is None:
            announced = self._announced.get(index, [])
            if family in announced:  # the link's registration failed half-way: it never was
                announced.remove(family)
                if not announced:
                    del self._announced[index]
            return
        if family in link.arrived:
            self._add_arrived(link, None)
        interface = link.interfaces.pop(family, None)
        link.forget(family)
        if interface is not None:
            self._emit(NotificationType.DELETE, interface, inferred=inferred)

    def resolve_departure(self, existing: Collection[Family] = ()) -> None:
        """Delete the departing interface; if its family is in `existing`, it was a rename."""
        if self.departing is not None:
            family, index = self.departing
            self.departing = None
            if family not in existing:
                self.remove(family, index)

    def lose(self) -> None:
        """Note that notifications were lost."""
        self.doubtful = True
        self.departing = None

    def remove_link(self, index: int, *, inferred: bool = False) -> None:
        """Delete a link, and the IP interfaces that are still on it."""
        for family in FAMILIES:
            self.remove(family, index, inferred=inferred)
            self._timers.pop((family, index), None)
        link = self._links.pop(index, None)
        if link is not None:
            link.cached_state = None
            self._reuse.end(link.type, index, link.reuse)
        self._announced.pop(index, None)
        self.requests.pop(index, None)

    def set_timers(self, timers: dict[LinkKey, Timers]) -> None:
        """Update the neighbor timers of all IP interfaces, which are read beside the stream."""
        self.begin(inferred=True)
        self._timers = timers
        for index, link in self._links.items():
            for family in FAMILIES:
                if self._new_timers(link, family) != link.timers[family]:
                    self.changing(index)
                    link.timers[family] = self._new_timers(link, family)
                    if family in link.interfaces:  # else it is still to come
                        self._update(link, family)

    def _timers_of(self, family: Family, index: int) -> Timers:
        """Find the timers of an interface: a new one inherits those of the default set (0)."""
        return self._timers.get((family, index)) or self._timers.get((family, 0)) or Timers()

    def _new_timers(self, link: LinkState, family: Family) -> Timers:
        """Combine what was read beside the stream with the newer values of link messages."""
        timers, known = self._timers_of(family, link.ifindex), link.timers[family]
        if family is Family.IPV4 or known.reachable_ms is None:
            return timers
        return timers._replace(reachable_ms=known.reachable_ms, retransmit_ms=known.retransmit_ms)

    def _update(
        self, link: LinkState, family: Family, *, renamed: bool = False, counted: bool = False
    ) -> None:
        """Compare an interface with its link; `counted`: the carrier counters are fresh."""
        known = link.interfaces[family]
        before, after = known.parameters, link.row(family)
        status = link.status_of(family)
        follows = link.follows_carrier(family)
        # Why it is disconnected matters only while it is, and not where its link works: there
        # the row will say the rest in a moment. What a comparison still finds may stay so.
        row_follows = follows and status.works and not self._inferring
        status_changed = status != known.status and not (after.connected or row_follows)
        beside = renamed or status_changed
        type_, transition = (NotificationType.REFRESH if beside else None), None
        if after is not before and after != before:
            changed = after[:-RANDOM_MEMBERS] != before[:-RANDOM_MEMBERS]
            type_ = NotificationType.PARAMETER if changed else NotificationType.REFRESH
            if after.connected is not before.connected:
                transition = after.connected
        flaps = 0
        tracker = link.trackers[family]
        carrier = bool(link.flags & nl.IFF_LOWER_UP)
        if not (follows and tracker.follows):
            tracker.restart(link.counters, follows=follows)
        elif counted:
            flaps = tracker.update(
                link.counters,
                transition=transition,
                connected=after.connected,
                carrier=carrier,
                # After a loss: it may have been up since.
                enabled=self.doubtful or known.status.enabled is not False,
            )
        elif transition is not None:
            tracker.transition(connected=transition, carrier=carrier)
        if type_ is None:
            if not flaps:
                return
            type_ = NotificationType.REFRESH
        interface = link.interfaces[family] = Interface(
            family, link.luid, link.ifindex, link.facts, after, status
        )
        self._emit(type_, interface, flaps)

    def _emit(
        self,
        type_: NotificationType,
        interface: Interface,
        flaps: int = 0,
        *,
        inferred: bool | None = None,
    ) -> None:
        if inferred is None:
            inferred = self._inferring
        if inferred and self.opening and type_ is not NotificationType.DELETE:
            type_ = NotificationType.REFRESH  # it was so before
        self.out.append(
            Notification(
                type_,
                interface.family,
                interface.luid,
                interface.ifindex,
                self.time,
                self.instant,
                interface,
                flaps,
                flaps,
                inferred,
            )
        )

    # -- requests under way -----------------------------------------------------------------

    def expect_reply(self, request: int, index: int | None = None) -> None:
        """Watch which links are mentioned from now on, before the reply to a request comes.

        `request` is its number, `index` the link it is about (``None``: all).
        """
        if index is None:
            for link in self._links.values():
                self._sync(link)
        elif index in self._links:
            self._sync(self._links[index])
        self._request = request

    def expect_nothing(self) -> None:
        """Stop noting mentions: no request is under way any more."""
        self._request = 0
        self._mentions.clear()

    def mentioned_since(self, request: int, index: int) -> bool:
        """Return whether a notification was about this link after a request was made."""
        link = self._links.get(index)
        return self._mentions.get(index, 0) >= request or (link is not None and link.stale)

    def mention(self, index: int) -> None:
        """Note that a notification is about a link."""
        if self._request:
            self._mentions[index] = self._request

    def _sync(self, link: LinkState) -> None:
        if link.stale:  # the transition cache did not note that the link was mentioned
            self.mention(link.ifindex)
            link.sync()
