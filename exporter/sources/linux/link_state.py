"""One Linux link, as its messages described it so far, and the IP interfaces on it."""

from __future__ import annotations

from collections.abc import Hashable
from operator import attrgetter
from typing import Any

from exporter.bindings import rtnetlink as nl
from exporter.model import Family, Interface, InterfaceRow, LinkStatus, make_luid
from exporter.sources.linux import rows
from exporter.sources.linux.carrier import CarrierAccount
from exporter.sources.linux.rows import Timers

_IPV6_MIN_MTU = 1280

#: What messages change, beside what is kept by family and the carrier counters.
_CHANGING = (
    "naming", "facts", "mtu", "flags", "carrier", "status", "inet_conf",
    "flags6", "status6", "inet6_conf", "inet6_flags", "addr_gen_mode",
)  # fmt: skip
_changing = attrgetter(*_CHANGING)
#: Positions of a link that are known, and steps from one: a flap has a handful, random timers
#: make more.
_MAX_POSITIONS = _MAX_STEPS = 32


class Position:
    """A state that a link was in, and the steps that it took from there (see `repeats`)."""

    __slots__ = ("flags6", "state", "steps")

    def __init__(self, state: tuple[Any, ...], flags6: int) -> None:
        self.state = state
        self.flags6 = flags6
        #: By message, where it led and what it amounted to.
        self.steps: dict[Hashable, Any] = {}

    def note(self, message: Hashable, step: object) -> None:
        """Know the step that a message leads to."""
        if len(self.steps) >= _MAX_STEPS:
            self.steps.clear()
        self.steps[message] = step


class LinkState:
    """A link as its last messages described it, and the IP interfaces on it."""

    __slots__ = (
        *_CHANGING, "_positions", "accounts", "behind", "counters", "hardware_type", "heard",
        "ifindex", "interfaces", "luid", "position", "timers", "type",
    )  # fmt: skip

    def __init__(self, message: nl.LinkMessage, timers: dict[Family, Timers]) -> None:
        self.ifindex = message.ifindex
        self.hardware_type = message.hardware_type
        # Frozen: the LUID must not change when a device changes its mode.
        self.type = rows.interface_type(message.hardware_type, message.name or b"")
        self.luid = make_luid(self.type, message.ifindex)
        self.timers = timers
        self.naming = message.name, message.alias, message.kind, message.address
        self.facts = rows.link_facts(message, self.type)
        self.mtu = self.inet6_flags = 0
        self.inet_conf = self.inet6_conf = b""
        self.addr_gen_mode: int | None = None
        self.interfaces: dict[Family, Interface] = {}
        self.accounts: dict[Family, CarrierAccount] = {}
        #: Messages about it, see `repeats`.
        self.heard = 0
        #: The state among those that it keeps returning to; ``None`` when it is none of them.
        self.position: Position | None = None
        #: `position` and `counters` went on, the other attributes are still to `catch_up`.
        self.behind = False
        self._positions: dict[tuple[Any, ...], Position] = {}
        self.take(message)

    def take(self, message: nl.LinkMessage) -> None:
        """Keep what an AF_UNSPEC link message says."""
        naming = message.name, message.alias, message.kind, message.address
        if naming != self.naming:
            self.naming = naming
            self.facts = rows.link_facts(message, self.type)
        self.flags = message.flags & rows.ROW_FLAGS
        self.status = rows.link_status(message, self.naming[2])
        self.carrier = bool(message.flags & nl.IFF_LOWER_UP)
        self.counters = message.carrier_up or 0, message.carrier_down or 0
        mtu_changed, self.mtu = message.mtu != self.mtu, message.mtu or 0
        if message.inet_conf is not None:
            self.inet_conf = message.inet_conf
        self.take_inet6(message)
        if mtu_changed and self.mtu >= _IPV6_MIN_MTU and Family.IPV6 in self.interfaces:
            # This message carries IPv6's previous MTU: the kernel sets it to the link's
            # only after it was sent, and says nothing more (addrconf_notify, CHANGEMTU).
            self.inet6_conf = nl.with_conf_value(self.inet6_conf, nl.IPV6_MTU6, self.mtu)

    def take_inet6(self, message: nl.LinkMessage) -> None:
        """Keep what any link message says about IPv6."""
        self.flags6 = message.flags & rows.ROW_FLAGS
        self.status6 = rows.link_status(message, self.naming[2])
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

    def parameters(self, family: Family) -> InterfaceRow:
        """The row of one family, from all that was taken."""
        if family is Family.IPV4:
            return rows.ipv4_parameters(
                self.flags, self.mtu, self.inet_conf, self.timers[Family.IPV4]
            )
        return rows.ipv6_parameters(
            self.flags6,
            self.inet6_flags,
            self.inet6_conf,
            self.addr_gen_mode,
            self.ifindex,
            self.timers[Family.IPV6],
        )

    def status_of(self, family: Family) -> LinkStatus:
        """The status of one family: IPv6 can be switched off on a link that is on."""
        if family is Family.IPV4:
            return self.status
        return rows.SWITCHED_OFF if rows.ipv6_disabled(self.inet6_conf) else self.status6

    def follows_carrier(self, family: Family) -> bool:
        """Whether a carrier connects the family: IPv6 that is switched off stays disconnected."""
        return family is not Family.IPV6 or not rows.ipv6_disabled(self.inet6_conf)

    def interface(self, family: Family) -> Interface:
        """The IP interface of one family."""
        parameters, status = self.parameters(family), self.status_of(family)
        return Interface(family, self.luid, self.ifindex, self.facts, parameters, status)

    # -- going round in circles -----------------------------------------------------------

    def stand(self) -> None:
        """Find out which position this is, so that steps from it can be noted and repeated."""
        if self.position is not None:
            return
        families = tuple(self.interfaces)
        accounts = [self.accounts[family] for family in families]
        if not all(account.has_read(*self.counters) for account in accounts):
            return  # a listing is ahead of the stream
        state = (
            _changing(self),
            tuple(self.interfaces.items()),
            tuple(self.timers.items()),
            tuple([account.books for account in accounts]),
        )
        position = self._positions.get(state)
        if position is None:
            if len(self._positions) >= _MAX_POSITIONS:
                self._positions.clear()
            position = self._positions[state] = Position(state, self.flags6)
        self.position = position

    def catch_up(self) -> None:
        """Bring all attributes to the position."""
        if not self.behind or self.position is None:
            return
        self.behind = False
        changing, interfaces, timers, books = self.position.state
        for name, value in zip(_CHANGING, changing, strict=True):
            setattr(self, name, value)
        self.interfaces, self.timers = dict(interfaces), dict(timers)
        for family, kept in zip(self.interfaces, books, strict=True):
            self.accounts[family].restore(kept, *self.counters)

    def leave(self) -> None:
        """Be about to change in a way that no step describes."""
        self.catch_up()
        self.position = None
