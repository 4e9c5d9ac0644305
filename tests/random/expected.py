"""What the messages of a `Listener` prove: how often each IP interface came, went and changed.

Two things are counted apart. *Shown* are the changes of Connected between one message and the
next, as a reader of every message sees them. *True* are those of the link itself, which the
kernel's carrier counters tell also where it merged several before it sent a message. What the
counters leave open is a range, from `low` to `high`.
"""

from dataclasses import dataclass, field

from listener import (
    BRIDGE,
    DELADDR,
    DELLINK,
    DELNETCONF,
    INET,
    INET6,
    LOWER_UP,
    NEWLINK,
    NEWNETCONF,
    RUNNING,
    SLAVE,
    UNSPEC,
    UP,
    Message,
)

CONNECTED = UP | RUNNING | LOWER_UP

#: Label values of ``family``, by address family.
FAMILIES = {INET: "ipv4", INET6: "ipv6"}


@dataclass
class Account:
    """What happened to one IP interface. Pairs are [disconnected, connected]."""

    exists: bool = False
    connected: bool = False
    #: The name its link had while it existed.
    device: str = ""
    adds: int = 0
    deletes: int = 0
    shown: list[int] = field(default_factory=lambda: [0, 0])
    low: list[int] = field(default_factory=lambda: [0, 0])
    high: list[int] = field(default_factory=lambda: [0, 0])
    #: Shown disconnections of an interface that was switched off.
    switched_off: int = 0
    #: Other disconnections, which a connection ended before it was switched off.
    outages: int = 0
    mtu_changes: int = 0
    forwarding_changes: int = 0
    #: Messages that may have changed it.
    messages: int = 0
    #: Connected changed without a message of its own (disable_ipv6): no exact count is possible.
    inexact: bool = False
    _outage: bool = False
    #: Came on a link that existed: its first growth may be older than it.
    _fresh: bool = False

    def restart(self) -> None:
        """Count from here on."""
        self.__init__(self.exists, self.connected, self.device, inexact=self.inexact)  # type: ignore[misc]

    def appear(self, connected: bool, device: str, fresh: bool) -> None:
        """It came."""
        self.device = device
        self.exists, self.connected, self._fresh = True, connected, fresh
        self._outage = False
        self.adds += 1

    def disappear(self) -> None:
        """It went."""
        self.exists, self._outage = False, False
        self.deletes += 1

    def show(self, connected: bool, enabled: bool) -> None:
        """A message showed it connected, or not; switched on, or off."""
        if connected != self.connected:
            self.connected = connected
            self.shown[connected] += 1
            self.switched_off += not connected and not enabled
            self.outages += connected and self._outage
            self._outage = not connected
        self._outage &= enabled

    def carry(self, before: Message, now: Message, ipv6: bool, connected: bool) -> None:
        """The link's carrier changed as the counters of two messages tell."""
        downs, ups, doubt = carrier_changes(before, now, pending=not self.connected)
        if self._fresh:
            doubt, self._fresh = max(doubt, min(ups, downs)), False
        if ipv6 and not self.connected and not connected:
            # addrconf may not have been ready in between. To a port of a bond it never is.
            doubt = max(ups, downs)
            if before.flags & now.flags & SLAVE:
                ups = downs = 0
        for state, count in enumerate((downs, ups)):
            self.high[state] += count
            self.low[state] += max(0, count - doubt)


def carrier_changes(before: Message, now: Message, pending: bool) -> tuple[int, int, int]:
    """Times that a running link lost and got its carrier, and how many of each are in doubt.

    `pending`: that the link has a carrier was not shown as Connected yet.
    """
    was, is_ = bool(before.flags & LOWER_UP), bool(now.flags & LOWER_UP)
    if not before.flags & UP:
        return 0, int(is_), 0  # a link that does not run is not connected by a carrier
    (up0, down0), (up1, down1) = before.carrier_counts or (0, 0), now.carrier_counts or (0, 0)
    ups, downs = (up1 - up0) & 0xFFFFFFFF, (down1 - down0) & 0xFFFFFFFF
    end = was + ups - downs
    doubt = int(not now.flags & UP and end > 0 and (ups > 0 or (was and pending)))
    # The rest was done by the administrator, and is in no counter.
    return downs + max(0, end - is_), ups + max(0, is_ - end), doubt


class Life:
    """One link from its registration to its end."""

    def __init__(self, first: Message) -> None:
        self.index = first.index
        self.kind = first.kind
        self.last = first
        self.names = {first.name or ""}
        self.accounts = {INET: Account(), INET6: Account()}
        self.ready6, self.disabled6 = bool(first.ready6), bool(first.disabled6)
        self.forwarding = {INET: first.forwarding4, INET6: first.forwarding6}
        self.ended = False
        self.has_ipv6_conf = first.ready6 is not None

    @property
    def name(self) -> str:
        """The name it had last."""
        return self.last.name or ""

    def update(self, message: Message) -> None:
        """Take a link message."""
        before = self.last
        if message.family == UNSPEC:
            self.last = message
            self.names.add(message.name or "")
            self.has_ipv6_conf = message.ready6 is not None
        if message.ready6 is not None:
            self.ready6, self.disabled6 = message.ready6, bool(message.disabled6)
        for family, account in self.accounts.items():
            if not account.exists or (family == INET and message.family == INET6):
                continue
            account.messages += 1
            account.device = self.name
            account.inexact |= family == INET6 and self.disabled6
            connected = message.flags & CONNECTED == CONNECTED and (
                family == INET or (self.ready6 and not self.disabled6)
            )
            if message.family == UNSPEC:
                account.carry(before, message, family == INET6, connected)
                account.mtu_changes += before.mtu != message.mtu
            account.show(connected, bool(message.flags & UP))
            self._forward(family, message.forwarding4 if family == INET else message.forwarding6)

    def netconf(self, family: int, message: Message) -> None:
        """Take a NEWNETCONF of an IP interface that exists."""
        self.accounts[family].messages += 1
        self._forward(family, message.forwarding4 if family == INET else message.forwarding6)

    def appear(self, family: int, message: Message | None = None) -> None:
        """An IP interface comes, with its link or, as a message says, on an old one."""
        if message is not None:
            forwarding = message.forwarding4 if family == INET else message.forwarding6
            self.forwarding[family] = forwarding
        connected = self.last.flags & CONNECTED == CONNECTED
        if family == INET6 and self.has_ipv6_conf:  # described by the same message
            connected = connected and self.ready6 and not self.disabled6
        # Otherwise it is made ready at once where the link is.
        self.ready6 = connected if family == INET6 else self.ready6
        self.accounts[family].appear(connected, self.name, message is not None)

    def _forward(self, family: int, forwarding: int | None) -> None:
        if forwarding is not None and forwarding != self.forwarding[family]:
            self.accounts[family].forwarding_changes += self.forwarding[family] is not None
            self.forwarding[family] = forwarding


class Expected:
    """All lives of links, in the order in which they began, from a listener's messages."""

    def __init__(self) -> None:
        self.lives: list[Life] = []
        self._now: dict[int, Life] = {}
        #: IP interfaces whose link's first message is still to come.
        self._early: dict[int, list[int]] = {}
        self._read = 0

    def restart(self) -> None:
        """Count from here on; forget links that are gone."""
        self.lives = [life for life in self.lives if not life.ended]
        for life in self.lives:
            life.names = {life.name}
            for account in life.accounts.values():
                account.restart()

    def read(self, messages: list[Message], everything: bool = False) -> None:
        """Take what is new in a listener's messages; `everything`: nothing follows at once."""
        end = len(messages)
        while self._read < end:
            message = messages[self._read]
            following = messages[self._read + 1] if self._read + 1 < end else None
            if message.type == DELNETCONF and following is None and not everything:
                return  # the next message tells whether it is a rename
            self._read += 1
            if _is_rename(message, following):
                self._read += 1
            else:
                self._take(message)

    def _take(self, message: Message) -> None:
        life = self._now.get(message.index)
        if message.index <= 0 or message.family == BRIDGE:
            return
        if message.type == NEWLINK and life is None and message.family == UNSPEC:
            life = self._now[message.index] = Life(message)
            self.lives.append(life)
            for family in self._early.pop(message.index, ()):
                life.appear(family)
        elif message.type == NEWLINK and life is not None:
            if message.family == INET6 or message.mtu is not None:
                life.update(message)
        elif message.type == DELLINK:
            self._early.pop(message.index, None)
            if life is not None:
                for account in life.accounts.values():
                    if account.exists:
                        account.disappear()
                life.ended = True
                del self._now[message.index]
        elif message.type == NEWNETCONF:
            if life is None:
                self._early.setdefault(message.index, []).append(message.family)
            elif life.accounts[message.family].exists:
                life.netconf(message.family, message)
            else:
                life.appear(message.family, message)
        elif message.type == DELNETCONF:
            if life is not None and life.accounts[message.family].exists:
                life.accounts[message.family].disappear()
            elif message.family in self._early.get(message.index, ()):
                self._early[message.index].remove(message.family)
        elif message.type == DELADDR and life is not None and message.family == INET6:
            life.accounts[INET6].messages += 1


def _is_rename(message: Message, following: Message | None) -> bool:
    """Whether the kernel only registers the sysctls again, under another name."""
    return (
        message.type == DELNETCONF
        and following is not None
        and following.type == NEWNETCONF
        and (message.family, message.index) == (following.family, following.index)
    )
