"""The mapping of rtnetlink messages to notifications: one table of links, no sockets.

An IP interface is the kernel's per-family object on a link (in_device, inet6_dev). Its
existence is what RTM_NEWNETCONF and RTM_DELNETCONF tell, not the link messages: those still
show a family that is about to go, and not yet one that has just come.

====================================  =====================================================
message                               notification
====================================  =====================================================
NEWNETCONF of an unknown interface    ADD, with the row of the NEWLINK that goes with it
NEWNETCONF right after its DELNETCONF none: the kernel re-registers sysctls on a rename
DELNETCONF otherwise                  DELETE
NEWNETCONF with a changed value       PARAMETER if the row differs
NEWLINK                               PARAMETER for each family whose row differs
NEWLINK of AF_INET6                   PARAMETER for IPv6 if the row differs
DELLINK                               DELETE for what is still there (a safety net)
DELADDR of AF_INET6                   the only trace of disable_ipv6=1: the row is read again
anything of AF_BRIDGE                 none: it is about bridge ports, not about links
====================================  =====================================================

Seen on Linux 6.18; addrconf.c, devinet.c and rtnetlink.c in the kernel tree say why.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

from exporter.bindings import rtnetlink as nl
from exporter.model import FAMILIES, Family, Interface, Notification, NotificationType
from exporter.sources.linux.carrier import CarrierAccount
from exporter.sources.linux.link_state import LinkState
from exporter.sources.linux.listing import Key, Listing
from exporter.sources.linux.rows import Timers

log = logging.getLogger(__name__)

_FAMILIES = {nl.AF_INET: Family.IPV4, nl.AF_INET6: Family.IPV6}


class LinkTable:
    """All links of a network namespace, kept current by messages. Thread: the collector.

    `read_link` fetches one link afresh; it returns ``None`` when the link is gone.
    """

    def __init__(
        self, families: Collection[Family], read_link: Callable[[int], nl.LinkMessage | None]
    ) -> None:
        self._families = frozenset(families)
        self._read_link = read_link
        self._links: dict[int, LinkState] = {}
        self._timers: dict[Key, Timers] = {}
        #: Proven by NEWNETCONF, while the link's first NEWLINK is still to come.
        self._expected: dict[int, list[Family]] = {}
        #: Links that have no LUID: said once, then ignored.
        self._refused: set[int] = set()
        #: A DELNETCONF whose next message decides whether it was a rename.
        self._departing: Key | None = None
        #: Links whose IPv6 settings changed without a message that says how.
        self._stale: set[int] = set()
        #: What the messages so far amount to; `take` it.
        self.out: list[Notification] = []
        self._time = self._instant = 0.0
        self._inferring = False
        #: A listing showed carrier counters; what they miss is not counted yet.
        self._uncounted = False

    def __len__(self) -> int:
        return len(self._links)

    @property
    def unsettled(self) -> bool:
        """Some message can only be judged with the one after it."""
        return self._departing is not None or bool(self._expected)

    @property
    def undecided(self) -> bool:
        """The last message, or the next, means more than what it says of its own link."""
        return self._departing is not None or bool(self._stale)

    def interfaces(self) -> list[Interface]:
        """Every IP interface, by link."""
        for link in self._links.values():
            link.catch_up()
        return [i for link in self._links.values() for i in link.interfaces.values()]

    def known(self, index: int) -> LinkState | None:
        """A link, only to look at."""
        return self._links.get(index)

    def _changing(self, index: int) -> LinkState | None:
        """A link that may be about to change."""
        link = self._links.get(index)
        if link is not None:
            link.leave()
        return link

    def take(self) -> list[Notification]:
        """What the messages so far amount to; stale rows are read first, once each."""
        if self._stale:
            for index in self._stale:
                self._read_again(index)
            self._stale.clear()
        out, self.out = self.out, []
        return out

    # -- the stream ---------------------------------------------------------------------

    def apply(
        self, kind: int, data: nl.Buffer, start: int, end: int, time: float, instant: float
    ) -> None:
        """One message of the stream, received at `time` (and `instant`, on the other clock)."""
        self._time, self._instant = time, instant
        if kind == nl.RTM_NEWLINK or kind == nl.RTM_DELLINK:
            link = nl.parse_link(data, start, end)
            if link is None or link.family == nl.AF_BRIDGE:
                return
            if link.family == nl.AF_INET6:
                self._inet6_link(link)
                return
            if kind == nl.RTM_NEWLINK and link.mtu is None:
                return  # an event of a wireless driver (wext-core.c), which describes no link
            self._resolve_departure()
            if kind == nl.RTM_NEWLINK:
                self._new_link(link)
            else:
                self._del_link(link.ifindex)
        elif kind == nl.RTM_NEWNETCONF or kind == nl.RTM_DELNETCONF:
            netconf = nl.parse_netconf(data, start, end)
            if netconf is None or netconf.ifindex <= 0:  # -1 is "all", -2 is "default"
                return
            family = _FAMILIES.get(netconf.family)
            if family not in self._families:
                return
            if kind == nl.RTM_NEWNETCONF:
                self._new_netconf(family, netconf)
            else:
                self._resolve_departure()
                self._departing = family, netconf.ifindex
        elif kind == nl.RTM_DELADDR:
            address = nl.parse_address(data, start, end)
            if address is not None and address[0] == nl.AF_INET6:
                known = self._links.get(address[1])
                # On a link that is down, addresses go because it went down.
                if known is not None and (known.position or known).flags6 & nl.IFF_UP:
                    self._stale.add(address[1])

    def settle(self, exists: Callable[[Key], bool]) -> None:
        """The stream is quiet: decide what was left open, by asking the kernel.

        An IP interface that exists was renamed, or is gone and back already: the message
        that is on its way says which.
        """
        if self._departing is not None and not exists(self._departing):
            self._resolve_departure()
        for index in list(self._expected):
            message = self._read_link(index)
            if message is not None:
                self._new_link(message)
            else:
                del self._expected[index]  # its link's registration failed: it never was

    def _resolve_departure(self) -> None:
        """No NEWNETCONF came right after the DELNETCONF: the IP interface is gone."""
        if self._departing is not None:
            family, index = self._departing
            self._departing = None
            self._remove(family, index)

    def _new_link(self, message: nl.LinkMessage) -> None:
        link = self._changing(message.ifindex)
        if link is None:
            expected = self._expected.pop(message.ifindex, ())
            link = self._adopt(message)
            if link is not None:
                for family in expected:
                    self._add(link, family)
            return
        naming = link.naming
        link.take(message)
        renamed = naming is not link.naming
        for family in link.interfaces:
            self._update(link, family, renamed, counted=True)

    def _inet6_link(self, message: nl.LinkMessage) -> None:
        link = self._changing(message.ifindex)
        if link is not None:
            link.take_inet6(message)
            if Family.IPV6 in link.interfaces:
                self._update(link, Family.IPV6)

    def _del_link(self, index: int) -> None:
        for family in FAMILIES:
            self._remove(family, index)
            self._timers.pop((family, index), None)
        self._links.pop(index, None)
        self._expected.pop(index, None)
        self._refused.discard(index)

    def _new_netconf(self, family: Family, netconf: nl.NetconfMessage) -> None:
        key = family, netconf.ifindex
        if self._departing == key:
            self._departing = None
            return
        self._resolve_departure()
        link = self._changing(netconf.ifindex)
        if link is None:
            if netconf.ifindex not in self._refused:
                self._expected.setdefault(netconf.ifindex, []).append(family)
        elif family not in link.interfaces:
            # An old link got a family (again): its last message did not describe that.
            message = self._read_link(netconf.ifindex)
            if message is not None:
                link.take_inet6(message)
                link.inet_conf = message.inet_conf or link.inet_conf
            self._add(link, family)
        elif netconf.forwarding is not None:
            if family is Family.IPV4:
                link.inet_conf = nl.with_conf_value(
                    link.inet_conf, nl.IPV4_FORWARDING, netconf.forwarding
                )
            else:
                link.inet6_conf = nl.with_conf_value(
                    link.inet6_conf, nl.IPV6_FORWARDING, netconf.forwarding
                )
            self._update(link, family)
        elif family is Family.IPV6 and not netconf.attributes:
            self._stale.add(netconf.ifindex)

    def _read_again(self, index: int) -> None:
        """Take a link's IPv6 settings from a fresh reading, and nothing that flaps.

        The stream will still tell of flags and counters in their order.
        """
        link, message = self._changing(index), self._read_link(index)
        if link is None or message is None or Family.IPV6 not in link.interfaces:
            return
        if message.inet6_conf is not None:
            link.inet6_conf = message.inet6_conf
            self._update(link, Family.IPV6)

    # -- a listing ----------------------------------------------------------------------

    def load(self, listing: Listing, time: float, instant: float) -> None:
        """Make the table equal to a complete listing; the differences are inferred.

        Order: what is gone, what is new, what changed. Flaps between are not invented.
        """
        self._time, self._instant, self._timers = time, instant, listing.timers
        self._departing = None
        self._expected.clear()
        self._inferring = self._uncounted = True
        existing = listing.existing
        listed = {message.ifindex: message for message in listing.links}
        for link in self._links.values():
            link.leave()
        for index, link in list(self._links.items()):
            message = listed.get(index)
            replaced = message is not None and (
                message.hardware_type != link.hardware_type or message.kind != link.naming[2]
            )
            for family in list(link.interfaces):
                if replaced or (family, index) not in existing:
                    self._remove(family, index)
            if replaced or message is None:
                del self._links[index]
        self._refused &= listed.keys()
        changed = []
        for index, message in listed.items():
            known = self._links.get(index)
            if known is not None:
                changed.append((known, tuple(known.interfaces), known.naming))
                known.take(message)
                # A listing is never behind; only a message of an MTU change is.
                known.inet6_conf = message.inet6_conf or known.inet6_conf
                for family in known.interfaces:
                    known.timers[family] = self._timers_of(family, index)
            else:
                known = self._adopt(message)
            if known is not None:
                self._add_existing(known, existing)
        for link, families, naming in changed:
            for family in families:
                self._update(link, family, naming is not link.naming)
        self._inferring = False

    def caught_up(self) -> None:
        """All that was sent before the last listing has been applied: count what it missed.

        Not before: the messages that were under way show transitions that the counters of
        the listing include, and each must be counted once.
        """
        if self._uncounted:
            self._uncounted, self._inferring = False, True
            for link in self._links.values():
                link.leave()
                for family in link.interfaces:
                    self._update(link, family, counted=True)
            self._inferring = False

    def _add_existing(self, link: LinkState, existing: Collection[Key]) -> None:
        for family in FAMILIES:
            wanted = family in self._families and (family, link.ifindex) in existing
            if wanted and family not in link.interfaces:
                self._add(link, family)

    # -- what both amount to ------------------------------------------------------------

    def _timers_of(self, family: Family, index: int) -> Timers:
        """A new interface inherits the timers of its family's default set (index 0)."""
        return self._timers.get((family, index)) or self._timers.get((family, 0)) or Timers()

    def _adopt(self, message: nl.LinkMessage) -> LinkState | None:
        timers = {family: self._timers_of(family, message.ifindex) for family in FAMILIES}
        try:
            link = self._links[message.ifindex] = LinkState(message, timers)
        except ValueError as error:
            if message.ifindex not in self._refused:
                log.warning("Interface left out: %s", error)
            self._refused.add(message.ifindex)
            return None
        return link

    def _add(self, link: LinkState, family: Family) -> None:
        link.interfaces[family] = link.interface(family)
        link.accounts[family] = CarrierAccount(*link.counters, link.follows_carrier(family))
        self._emit(NotificationType.ADD, link.interfaces[family])

    def _remove(self, family: Family, index: int) -> None:
        expected = self._expected.get(index)
        if expected and family in expected:
            # Its link's registration failed half-way: it never was.
            expected.remove(family)
            if not expected:
                del self._expected[index]
            return
        link = self._changing(index)
        gone = link.interfaces.pop(family, None) if link is not None else None
        if gone is not None:
            self._emit(NotificationType.DELETE, gone)

    def _update(
        self, link: LinkState, family: Family, renamed: bool = False, counted: bool = False
    ) -> None:
        """Compare an interface with its link; `counted`: the carrier counters are fresh."""
        known = link.interfaces[family]
        before, after = known.parameters, link.parameters(family)
        status = link.status_of(family)
        # Why it is disconnected matters only while it is and its link does not work: otherwise
        # the row will say the rest in a moment.
        status_changed = status != known.status and (
            status.enabled != known.status.enabled or not (after.connected or status.works)
        )
        beside = renamed or status_changed
        kind, transition = (NotificationType.REFRESH if beside else None), None
        if after is not before and after != before:
            # reachable_time_seconds, the last member, is random: no change of the row.
            kind = (
                NotificationType.PARAMETER
                if after[:-1] != before[:-1]
                else NotificationType.REFRESH
            )
            if after.connected is not before.connected:
                transition = after.connected
        missed = 0
        account = link.accounts[family]
        follows = link.follows_carrier(family)
        if not (follows and account.follows):
            account.forget(*link.counters, follows)
        elif counted:
            missed = account.reading(*link.counters, transition, after.connected, link.carrier)
        elif transition is not None:
            account.transition(transition)
        if kind is None:
            if not missed:
                return
            kind = NotificationType.REFRESH
        interface = link.interfaces[family] = Interface(
            family, link.luid, link.ifindex, link.facts, after, status
        )
        self._emit(kind, interface, missed)

    def _emit(self, kind: NotificationType, interface: Interface, missed: int = 0) -> None:
        self.out.append(
            Notification(
                kind,
                interface.family,
                interface.luid,
                interface.ifindex,
                self._time,
                self._instant,
                interface,
                missed,
                missed,
                self._inferring,
            )
        )
