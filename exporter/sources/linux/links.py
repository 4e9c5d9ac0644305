"""Maps rtnetlink notifications to ours: one table of links, no sockets.

An IP interface is the kernel's per-family object on a link (in_device, inet6_dev). RTM_NEWNETCONF
and RTM_DELNETCONF tell when it begins and ends to exist. A link message of an operation half done
does not: it may still show a family that is about to go, and not yet one that has just come.

=====================================  ====================================================
message                                notification
=====================================  ====================================================
NEWNETCONF, of an unknown link         ADD when the link's NEWLINK comes, which brings the row
NEWNETCONF of a new family, known link ADD when a message describes the family; the link is
                                       asked about, in case none does
NEWNETCONF right after its DELNETCONF  none: the kernel registers sysctls anew on a rename
DELNETCONF otherwise                   DELETE
NEWNETCONF with a changed value        PARAMETER if the row differs
NEWLINK                                PARAMETER for each family whose row differs
NEWLINK of AF_INET6                    PARAMETER for IPv6 if the row differs
DELLINK                                DELETE for what is still there (a safety net)
DELADDR of AF_INET6                    the only trace of disable_ipv6=1: the link is asked about
anything of AF_BRIDGE                  none: it is about bridge ports, not about links
=====================================  ====================================================

What is to be asked stands in `LinkTable.questions`; `replies` says what the answers amount to.

Seen on Linux 6.18; addrconf.c, devinet.c and rtnetlink.c in the kernel tree say why.
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
from exporter.sources.linux.link_state import Arrival, LinkState
from exporter.sources.linux.lives import Lives
from exporter.sources.linux.rows import Key, Timers, interface_type, ipv6_disabled

_FAMILIES = {nl.AF_INET: Family.IPV4, nl.AF_INET6: Family.IPV6}


class LinkTable:
    """All links of a network namespace, kept current by messages. Not thread-safe."""

    def __init__(self, families: Collection[Family], lives: Lives | None = None) -> None:
        self.families = frozenset(families)
        #: What the messages so far amount to; `take` it.
        self.out: list[Notification] = []
        #: Links to ask about. True: what the answer shows is inferred, because no notification
        #: told of it.
        self.questions: dict[int, bool] = {}
        #: Until everything was listed once: what is found was so before, and is not counted.
        self.opening = True
        #: Notifications were lost, and not everything was listed since.
        self.doubtful = False
        self._lives = lives or Lives()
        self._links: dict[int, LinkState] = {}
        self._timers: dict[Key, Timers] = {}
        #: IP interfaces whose link is yet unknown: its first NEWLINK is still to come.
        self._announced: dict[int, list[Family]] = {}
        #: The interface of a DELNETCONF whose next message decides whether it was a rename.
        self._departing: Key | None = None
        self._time = self._instant = 0.0
        self._inferring = False
        #: The number of the latest request, while one is under way; and by link, which request
        #: was the latest when a notification last mentioned it.
        self._request = 0
        self._mentions: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._links)

    def interfaces(self) -> list[Interface]:
        """Return every IP interface, by link."""
        for link in self._links.values():
            self._sync(link)
        return [i for link in self._links.values() for i in link.interfaces.values()]

    def indexes(self) -> set[int]:
        """Return the links that are known or announced."""
        return {*self._links, *self._announced}

    @property
    def departing(self) -> int | None:
        """The link of a DELNETCONF that may turn out to be a rename."""
        return None if self._departing is None else self._departing[1]

    def settled_link(self, index: int) -> LinkState | None:
        """Return the link, to look at, if its last message has left nothing open."""
        if self._departing is not None or index in self.questions:
            return None
        return self._links.get(index)

    def take(self) -> list[Notification]:
        """Hand over what the messages so far amount to."""
        out, self.out = self.out, []
        return out

    # -- notifications --------------------------------------------------------------------

    def apply(
        self, type_: int, data: nl.Buffer, start: int, end: int, time: float, instant: float
    ) -> None:
        """Take one notification, received at `time` (and `instant`, on the other clock)."""
        self.begin(time, instant)
        if type_ == nl.RTM_NEWLINK or type_ == nl.RTM_DELLINK:
            link = nl.parse_link(data, start, end)
            if link is not None:
                self._link_message(type_, link)
        elif type_ == nl.RTM_NEWNETCONF or type_ == nl.RTM_DELNETCONF:
            netconf = nl.parse_netconf(data, start, end)
            if netconf is None or netconf.ifindex <= 0:  # -1 is "all", -2 is "default"
                return
            family = _FAMILIES.get(netconf.family)
            if family not in self.families:
                return
            self._mention(netconf.ifindex)
            if type_ == nl.RTM_NEWNETCONF:
                self._new_netconf(family, netconf)
            else:
                self._resolve_departure()
                self._departing = family, netconf.ifindex
        elif type_ == nl.RTM_DELADDR:
            address = nl.parse_address(data, start, end)
            if address is not None and address[0] == nl.AF_INET6:
                known = self._links.get(address[1])
                # On a link that is down, addresses go because it went down.
                if known is not None and (known.cached_state or known).flags6 & nl.IFF_UP:
                    self.questions.setdefault(address[1], False)

    def _link_message(self, type_: int, message: nl.LinkMessage) -> None:
        if message.family == nl.AF_BRIDGE:
            return
        self._mention(message.ifindex)
        if message.family == nl.AF_INET6:
            self._inet6_link(message)
        elif type_ == nl.RTM_DELLINK:
            self._resolve_departure()
            self.remove_link(message.ifindex)
        # Without an MTU it is an event of a wireless driver (wext-core.c): no description.
        elif message.mtu is not None:
            self._resolve_departure()
            self._new_link(message)

    def _new_link(self, message: nl.LinkMessage) -> None:
        link = self.changing(message.ifindex)
        if link is not None and self.doubtful and link.is_another(message):
            self.remove_link(message.ifindex, inferred=True)
            link = None
        if link is not None:
            self.describe(link, message)
        else:
            link = self.adopt(message)
            for family in self.take_announced(message.ifindex):
                self.add(link, family)

    def _inet6_link(self, message: nl.LinkMessage) -> None:
        link = self.changing(message.ifindex)
        if link is not None:
            link.update_inet6(message)
            self._add_arrived(link, message)
            if Family.IPV6 in link.interfaces:
                self._update(link, Family.IPV6)

    def _new_netconf(self, family: Family, netconf: nl.NetconfMessage) -> None:
        index, created = netconf.ifindex, netconf.attributes > 1
        if self._departing == (family, index):
            self._departing = None
            return
        self._resolve_departure()
        link = self.changing(index)
        if link is None:
            if created:
                announced = self._announced.setdefault(index, [])
                if family not in announced:
                    announced.append(family)
        elif not link.has(family):
            if created:
                # Its settings are yet to be described, but whether it is connected is known.
                link.arrived[family] = Arrival(link.connected, [netconf.forwarding])
                link.trackers[family] = CarrierTracker(link.counters)
                self.questions.setdefault(index, False)
        elif netconf.forwarding is not None:
            if family in link.arrived:
                link.arrived[family].forwarding.append(netconf.forwarding)
            else:
                link.set_forwarding(family, netconf.forwarding)
                self._update(link, family)
        elif family is Family.IPV6 and not netconf.attributes:
            self.questions.setdefault(index, False)

    def _resolve_departure(self) -> None:
        """Delete the interface of a DELNETCONF, because no NEWNETCONF came right after it."""
        if self._departing is not None:
            family, index = self._departing
            self._departing = None
            self.remove(family, index)

    # -- what notifications and replies have in common --------------------------------------

    def begin(self, time: float, instant: float, *, inferred: bool = False) -> None:
        """Set the time of the notifications to come, and whether they are inferred."""
        self._time, self._instant, self._inferring = time, instant, inferred

    def changing(self, index: int) -> LinkState | None:
        """Return a link that is about to change."""
        link = self._links.get(index)
        if link is not None:
            self._sync(link)
            link.leave_cached_state()
        return link

    def adopt(self, message: nl.LinkMessage) -> LinkState:
        """Take a new link, as yet without IP interfaces."""
        index = message.ifindex
        if self.doubtful:
            type_ = interface_type(message.hardware_type, message.name or b"")
            self._lives.catch_up(type_, index)
        timers = {family: self._timers_of(family, index) for family in FAMILIES}
        link = self._links[index] = LinkState(message, timers, self._lives)
        return link

    def take_announced(self, index: int) -> list[Family]:
        """Return the families that netconf messages announced of a link that now is known."""
        return self._announced.pop(index, [])

    def describe(self, link: LinkState, message: nl.LinkMessage, *, reply: bool = False) -> None:
        """Take a message about a known link.

        A reply may be ahead of linkwatch, which tells of a carrier up to a second later. Unless
        that may be lost, the change is its to tell.
        """
        renamed = link.update(message, reply=reply, operational=not reply or self.doubtful)
        self._add_arrived(link, message)
        for family in link.interfaces:
            self._update(link, family, renamed=renamed, counted=True)

    def add(self, link: LinkState, family: Family, *, found: bool = False) -> None:
        """Add an IP interface that was announced, or that a reply has `found`."""
        link.interfaces[family] = link.interface(family)
        follows = link.follows_carrier(family)
        link.trackers[family] = CarrierTracker(link.counters, follows=follows)
        self._emit(NotificationType.ADD, link.interfaces[family], inferred=found)

    def _add_arrived(self, link: LinkState, message: nl.LinkMessage | None) -> None:
        """Add what came to a known link, as it was then, once a message describes it.

        Then tell what was notified since. Without a message: as far as it is known.
        """
        for family, (connected, forwarding) in list(link.arrived.items()):
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

    def answer_departure(self, index: int, existing: Collection[Family]) -> None:
        """Decide by a reply whether a DELNETCONF was the beginning of a rename."""
        if self._departing is not None and self._departing[1] == index:
            if self._departing[0] in existing:
                self._departing = None
            else:
                self._resolve_departure()

    def lose(self) -> None:
        """Know that notifications were lost."""
        self.doubtful = True
        self._departing = None

    def remove_link(self, index: int, *, inferred: bool = False) -> None:
        """Delete a link, and the IP interfaces that are still on it."""
        for family in FAMILIES:
            self.remove(family, index, inferred=inferred)
            self._timers.pop((family, index), None)
        link = self._links.pop(index, None)
        if link is not None:
            link.cached_state = None
            self._lives.end(link.type, index, link.life)
        self._announced.pop(index, None)
        self.questions.pop(index, None)

    def set_timers(self, timers: dict[Key, Timers], time: float, instant: float) -> None:
        """Take the neighbor timers of all IP interfaces, read beside the stream."""
        self.begin(time, instant, inferred=True)
        self._timers = timers
        for index, link in self._links.items():
            for family in tuple(link.interfaces):
                if self._new_timers(link, family) != link.timers[family]:
                    self.changing(index)
                    link.timers[family] = self._new_timers(link, family)
                    self._update(link, family)

    def _timers_of(self, family: Family, index: int) -> Timers:
        """Find the timers of an interface: a new one inherits those of the default set (0)."""
        return self._timers.get((family, index)) or self._timers.get((family, 0)) or Timers()

    def _new_timers(self, link: LinkState, family: Family) -> Timers:
        """Put together what was read beside the stream, and what link messages told in order."""
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
        # Why it is disconnected matters only while it is and its link does not work: otherwise
        # the row will say the rest in a moment.
        status_changed = status != known.status and (
            status.enabled != known.status.enabled or not (after.connected or status.works)
        )
        beside = renamed or status_changed
        type_, transition = (NotificationType.REFRESH if beside else None), None
        if after is not before and after != before:
            changed = after[:-RANDOM_MEMBERS] != before[:-RANDOM_MEMBERS]
            type_ = NotificationType.PARAMETER if changed else NotificationType.REFRESH
            if after.connected is not before.connected:
                transition = after.connected
        flaps = 0
        tracker = link.trackers[family]
        follows = link.follows_carrier(family)
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
                self._time,
                self._instant,
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
        """No request is under way."""
        self._request = 0
        self._mentions.clear()

    def mentioned_since(self, request: int, index: int) -> bool:
        """Whether a notification was about this link after a request was made."""
        link = self._links.get(index)
        return self._mentions.get(index, 0) >= request or (link is not None and link.stale)

    def _mention(self, index: int) -> None:
        if self._request:
            self._mentions[index] = self._request

    def _sync(self, link: LinkState) -> None:
        if link.stale:  # the transition cache did not note that the link was mentioned
            self._mention(link.ifindex)
            link.sync()
