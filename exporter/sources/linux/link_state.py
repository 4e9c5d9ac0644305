"""One Linux link, as its messages described it so far, and the IP interfaces on it."""

from __future__ import annotations

from collections.abc import Hashable
from operator import attrgetter
from typing import Any, NamedTuple

from exporter.bindings import rtnetlink as nl
from exporter.model import Family, Interface, InterfaceRow, LinkStatus, make_luid
from exporter.sources.linux import rows
from exporter.sources.linux.carrier import CarrierTracker, Counters, have_fallen
from exporter.sources.linux.index_reuse import IndexReuse
from exporter.sources.linux.rows import Naming, Timers, naming_fields

_IPV6_MIN_MTU = 1280
#: A devconf array that ends after forwarding, which is first in both families.
_NO_CONF = bytes(4)

#: What messages change, besides what is kept by family and the carrier counters.
_CHANGING = (
    "naming", "facts", "mtu", "flags", "status", "inet_conf",
    "flags6", "status6", "inet6_conf", "inet6_flags", "addr_gen_mode", "ipv6_kept_out",
)  # fmt: skip
_changing = attrgetter(*_CHANGING)
#: Cached states of a link, and cached transitions from one: a flap has a handful, random timers
#: make more.
_MAX_STATES = _MAX_TRANSITIONS = 32


class CachedState:
    """A state that a link was in, and what messages did to it there (see `transition_cache`)."""

    __slots__ = ("flags6", "state", "transitions")

    def __init__(self, state: tuple[Any, ...], flags6: int) -> None:
        self.state = state
        self.flags6 = flags6
        #: Where each message led, and the notifications that it amounted to.
        self.transitions: dict[Hashable, Any] = {}

    def add(self, message: Hashable, transition: object) -> None:
        """Cache the transition for a message."""
        if len(self.transitions) >= _MAX_TRANSITIONS:
            self.transitions.clear()
        self.transitions[message] = transition


class Arrival(NamedTuple):
    """An IP interface that came to a link, as far as it is known before a message describes it."""

    #: Whether it was connected when it came.
    connected: bool
    #: The MTU that it came with: its link's.
    mtu: int
    #: The setting that it came with, and each that was notified since; ``None``: not told.
    forwarding: list[int | None]


class LinkState:
    """A link as its last messages described it, and the IP interfaces on it."""

    __slots__ = (
        *_CHANGING, "_cached_states", "arrived", "cached_state", "counters", "ifindex",
        "interfaces", "luid", "messages_seen", "reuse", "stale", "timers", "trackers", "type",
    )  # fmt: skip

    def __init__(
        self, message: nl.LinkMessage, timers: dict[Family, Timers], reuse: IndexReuse | None = None
    ) -> None:
        self.ifindex = message.ifindex
        # Frozen, with the LUID, which must not change when a device changes its mode.
        self.type = rows.interface_type(message.hardware_type, message.name or b"")
        self.reuse = 0 if reuse is None else reuse.current(self.type, message.ifindex)
        self.luid = make_luid(self.type, message.ifindex, self.reuse)
        self.timers = timers
        self.naming = Naming._make(naming_fields(message))
        self.facts = rows.link_facts(self.naming, self.type)
        self.mtu = self.inet6_flags = 0
        self.inet_conf = self.inet6_conf = b""
        self.addr_gen_mode: int | None = None
        self.interfaces: dict[Family, Interface] = {}
        #: Families that came to this link after it was made. They have no row until a message
        #: describes them.
        self.arrived: dict[Family, Arrival] = {}
        self.trackers: dict[Family, CarrierTracker] = {}
        #: Messages about it, see `transition_cache`.
        self.messages_seen = 0
        #: The state, if it is one of those that the link keeps returning to.
        self.cached_state: CachedState | None = None
        #: `cached_state` and `counters` went on; the other attributes need a `sync`.
        self.stale = False
        self._cached_states: dict[tuple[Any, ...], CachedState] = {}
        self.update(message)

    def __repr__(self) -> str:
        families = ", ".join(family.label for family in self.interfaces)
        return f"<LinkState {self.ifindex} {self.facts.name!r} {self.luid:#018x} [{families}]>"

    def update(
        self, message: nl.LinkMessage, *, reply: bool = False, operational: bool = True
    ) -> bool:
        """Update the link by an AF_UNSPEC link message. Return whether `facts` changed.

        A `reply` shows everything as it is, where a notification may show an operation half done.
        Without `operational` only its settings are taken, and not the carrier and what
        depends on it: drivers change that at any time, and a notification follows.
        """
        facts = self.facts
        naming = naming_fields(message)
        if naming != self.naming:
            self.naming = Naming._make(naming)
            self.facts = rows.link_facts(self.naming, self.type)
        self.ipv6_kept_out = rows.ipv6_kept_out(message)
        if operational:
            self.flags = message.flags & rows.ROW_FLAGS
            self.status = rows.link_status(message, self.naming.kind)
            self.counters = _counters(message)
        mtu_changed, self.mtu = message.mtu != self.mtu, message.mtu or 0
        if message.inet_conf is not None:
            self.inet_conf = message.inet_conf
        self.update_inet6(message, operational=operational)
        if mtu_changed and not reply and self.mtu >= _IPV6_MIN_MTU and self.has(Family.IPV6):
            # This message carries IPv6's previous MTU: the kernel sets it to the link's
            # only after it was sent, and says nothing more (addrconf_notify, CHANGEMTU).
            self.inet6_conf = nl.with_conf_value(self.inet6_conf, nl.IPV6_MTU6, self.mtu)
        return self.facts is not facts and self.facts != facts

    def update_inet6(self, message: nl.LinkMessage, *, operational: bool = True) -> None:
        """Update the attributes of IPv6 by a link message of any family."""
        if operational:
            self.flags6 = message.flags & rows.ROW_FLAGS
            self.status6 = rows.link_status(message, self.naming.kind)
        if message.inet6_conf is None:
            return
        self.inet6_conf = message.inet6_conf
        self.inet6_flags = message.inet6_flags or 0
        self.addr_gen_mode = message.addr_gen_mode
        timers = self.timers[Family.IPV6]
        if message.inet6_timers not in (None, (timers.reachable_ms, timers.retransmit_ms)):
            reachable_ms, retransmit_ms = message.inet6_timers or (None, None)
            self.timers[Family.IPV6] = timers._replace(
                reachable_ms=reachable_ms, retransmit_ms=retransmit_ms
            )

    def set_forwarding(self, family: Family, value: int) -> None:
        """Set what a netconf message has, be it the only setting that is known."""
        if family is Family.IPV4:
            conf = self.inet_conf or _NO_CONF
            self.inet_conf = nl.with_conf_value(conf, nl.IPV4_FORWARDING, value)
        else:
            conf = self.inet6_conf or _NO_CONF
            self.inet6_conf = nl.with_conf_value(conf, nl.IPV6_FORWARDING, value)

    def forget(self, family: Family) -> None:
        """Drop the settings of a family: another IP interface has others."""
        if family is Family.IPV4:
            self.inet_conf = b""
        else:
            self.inet6_conf, self.inet6_flags, self.addr_gen_mode = b"", 0, None

    def has(self, family: Family) -> bool:
        """Return whether the IP interface exists."""
        return family in self.interfaces or family in self.arrived

    def is_another(self, message: nl.LinkMessage) -> bool:
        """Return whether a message is about a link that has taken over the index of this one."""
        return self.naming.differs(Naming._make(naming_fields(message))) or have_fallen(
            self.counters, _counters(message)
        )

    @property
    def connected(self) -> bool:
        """Whether the link is connected; IPv6 may not be, for reasons of its own."""
        return rows.is_connected(self.flags)

    def row(self, family: Family) -> InterfaceRow:
        """Make the row of one family."""
        if family is Family.IPV4:
            return rows.ipv4_row(self.flags, self.mtu, self.inet_conf, self.timers[Family.IPV4])
        return rows.ipv6_row(
            self.flags6,
            self.inet6_flags,
            self.inet6_conf,
            self.addr_gen_mode,
            self.ifindex,
            self.timers[Family.IPV6],
        )

    def status_of(self, family: Family) -> LinkStatus:
        """Return the status of one family: IPv6 can be switched off on a link that is on."""
        if family is Family.IPV4:
            return self.status
        return rows.SWITCHED_OFF if rows.ipv6_disabled(self.inet6_conf) else self.status6

    def follows_carrier(self, family: Family) -> bool:
        """Return whether a carrier connects the family: IPv6 may be disabled, or left out."""
        if family is not Family.IPV6:
            return True
        if self.ipv6_kept_out and not self.inet6_flags & nl.IF_READY:
            return False
        return not rows.ipv6_disabled(self.inet6_conf)

    def interface(self, family: Family) -> Interface:
        """Make the IP interface of one family."""
        row, status = self.row(family), self.status_of(family)
        return Interface(family, self.luid, self.ifindex, self.facts, row, status)

    # -- the transition cache -------------------------------------------------------------

    def enter_cached_state(self) -> None:
        """Find, or make, the cached state that equals the present one."""
        if self.cached_state is not None or self.arrived:
            return
        families = tuple(self.interfaces)
        trackers = [self.trackers[family] for family in families]
        if not all(tracker.is_at(self.counters) for tracker in trackers):
            return
        state = (
            _changing(self),
            tuple(self.interfaces.items()),
            tuple(self.timers.items()),
            tuple([tracker.pending for tracker in trackers]),
            self.counters is None,
        )
        cached = self._cached_states.get(state)
        if cached is None:
            if len(self._cached_states) >= _MAX_STATES:
                self._cached_states.clear()
            cached = self._cached_states[state] = CachedState(state, self.flags6)
        self.cached_state = cached

    def sync(self) -> None:
        """Set all attributes to those of the cached state."""
        if not self.stale or self.cached_state is None:
            return
        self.stale = False
        changing, interfaces, timers, pending, _ = self.cached_state.state
        for name, value in zip(_CHANGING, changing, strict=True):
            setattr(self, name, value)
        self.interfaces, self.timers = dict(interfaces), dict(timers)
        for family, saved in zip(self.interfaces, pending, strict=True):
            self.trackers[family].restore(saved, self.counters)

    def leave_cached_state(self) -> None:
        """Prepare for a change that no cached transition describes."""
        self.sync()
        self.cached_state = None


def _counters(message: nl.LinkMessage) -> Counters:
    if message.carrier_up is None or message.carrier_down is None:
        return None
    return message.carrier_up, message.carrier_down
