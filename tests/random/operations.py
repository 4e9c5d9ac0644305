"""Random operations on links, drawn from a seed: the same seed draws the same ones.

What a drawn operation needs may not exist any more, or the kernel may refuse it: that is no
failure, and part of the test.
"""

import random
from typing import NamedTuple

from link_kinds import MASTERS, RECIPES, UPPER

#: Indexes that are asked for by number, so that links follow each other under the same one. The
#: last two need more than the 24 bits that a NET_LUID has for an index.
INDEXES = (*range(2000, 2006), (1 << 24) + 1, (1 << 24) + 2)
MTUS = (1500, 1500, 1500, 1400, 1280, 1279, 1200, 9000, 576, 67)


class Ip(NamedTuple):
    """Commands of ``ip``, all by one process."""

    lines: tuple[str, ...]
    #: In the other network namespace.
    other: bool = False


class Sysctl(NamedTuple):
    """A setting below /proc/sys/net."""

    path: str
    value: int


class Attach(NamedTuple):
    """A program takes hold of a tap, which gives it a carrier, or lets it go."""

    name: str
    attach: bool


class Pause(NamedTuple):
    """Nothing is done for some seconds."""

    seconds: float


Step = Ip | Sysctl | Attach | Pause

#: Of a bridge's port. With both ends of a veth as ports, a frame would go round for ever, and take
#: most of the machine.
NO_FLOOD = "type bridge_slave flood off mcast_flood off bcast_flood off"
#: Stand for the names of the two network namespaces.
HERE, AWAY = "@here", "@away"


class Draft:
    """Draws steps, and keeps in mind what they should have made."""

    def __init__(self, seed: random.Random, kinds: tuple[str, ...]) -> None:
        self._seed = seed
        self._kinds = kinds
        self._serial = 0
        #: Kind of each link that should exist, by name.
        self._links: dict[str, str] = {}
        self._away: list[str] = []
        #: Devices whose IPv6 was switched off or on; "*": all.
        self.disabled6: set[str] = set()
        #: Devices that got a setting which the kernel changes without a message.
        self.silent: set[str] = set()

    def topology(self) -> list[Step]:
        """The links to begin with, most of them up."""
        lines = [line for _ in range(self._seed.randint(2, 8)) for line in self._add()]
        lines += [f"link set {name} up" for name in self._links if self._seed.random() < 0.8]
        return [Ip(tuple(lines)), *self._attach_some()]

    def steps(self, count: int) -> list[Step]:
        """So many steps, singly and in bursts, at a pace of their own."""
        slow = self._seed.choice((0.0, 0.0, 0.02, 0.1))
        drawn: list[Step] = []
        for _ in range(count):
            drawn += self._draw()
            if slow and self._seed.random() < 0.5:
                drawn.append(Pause(self._seed.random() * slow))
        return drawn

    def _draw(self) -> list[Step]:
        kind = self._seed.choices(
            ("single", "burst", "storm", "wave", "sysctl", "attach", "move", "outage"),
            (4, 5, 4, 2, 3, 2, 1, 2),
        )[0]
        if kind == "single":
            return [Ip(tuple(self._one()))]
        if kind == "burst":
            count = self._seed.randint(2, 30)
            return [Ip(tuple(line for _ in range(count) for line in self._one()))]
        if kind == "storm":
            return [self._storm()]
        if kind == "wave":
            return self._wave()
        if kind == "sysctl":
            return self._sysctls()
        if kind == "attach":
            return self._attach_some()
        if kind == "move":
            return self._move()
        return self._outage()

    # -- one operation, as lines of ``ip -batch`` ---------------------------------------------

    def _one(self) -> list[str]:
        drawn = self._seed.choices(
            (self._add, self._delete, self._up_down, self._facts, self._mtu, self._master,
             self._address, self._rename),
            (4, 2, 8, 3, 3, 2, 2, 1),
        )[0]  # fmt: skip
        return drawn()

    def _link(self, *kinds: str) -> str:
        names = [name for name, kind in self._links.items() if not kinds or kind in kinds]
        return self._seed.choice(names) if names else "none"

    def _name(self) -> str:
        """A new name, or that of a link that was deleted."""
        self._serial += 1
        return f"{self._seed.choice('abc')}{self._seed.choice((self._serial, self._serial % 7))}"

    def _add(self) -> list[str]:
        kind = self._seed.choice(self._kinds)
        name, peer = self._name(), self._name()
        more = self._seed.choice(("", "", "", "mtu 1200", "alias new"))
        if self._seed.random() < 0.2:
            more += f" index {self._seed.choice(INDEXES)}"
        line = RECIPES[kind].format(
            name=name,
            peer=peer,
            more=more,
            lower=self._link(*(k for k in self._kinds if k not in UPPER)),
            number=self._seed.randint(2, 250),
        )
        self._links[name] = kind
        if "{peer}" in RECIPES[kind]:
            self._links[peer] = kind
        ups = [f"link set {name} up"] * self._seed.choice((0, 1, 1, 2))
        return [line, *ups]

    def _delete(self) -> list[str]:
        name = self._link()
        self._links.pop(name, None)
        return [f"link del {name}"]

    def _up_down(self) -> list[str]:
        name = self._link()
        ways = self._seed.choice((("up",), ("down",), ("down", "up"), ("up", "down"), ("up", "up")))
        return [f"link set {name} {way}" for way in ways]

    def _facts(self) -> list[str]:
        name = self._seed.choice((self._link(), self._link(), "lo"))
        number = self._seed.randint(1, 3)
        fact = self._seed.choice((
            f"{name} alias text{number}",
            f"{name} txqueuelen {500 + number}",
            f"{self._link()} address 02:00:00:00:00:{number:02x}",
            f"{self._link()} promisc {self._seed.choice(('on', 'off'))}",
            f"{self._link()} arp {self._seed.choice(('on', 'off'))}",
            f"{self._link()} multicast {self._seed.choice(('on', 'off'))}",
            f"{self._link()} addrgenmode {self._seed.choice(('none', 'eui64'))}",
            f"{self._link()} carrier {self._seed.choice(('on', 'off'))}",
        ))  # fmt: skip
        if "addrgenmode" in fact:
            self.silent.add(fact.split()[0])
        return [f"link set {fact}"]

    def _mtu(self) -> list[str]:
        name = self._link()
        mtus = [self._seed.choice(MTUS)]
        if self._seed.random() < 0.5:
            mtus.append(1500)
        return [f"link set {name} mtu {mtu}" for mtu in mtus]

    def _master(self) -> list[str]:
        port, master = self._link(), self._link(*MASTERS)
        if self._seed.random() < 0.4:
            return [f"link set {port} nomaster"]
        lines = [f"link set {port} master {master}"]
        if self._links.get(master) in ("bond", "team"):  # their ports are down when they come
            lines = [f"link set {port} down", *lines, f"link set {port} up"]
        if self._links.get(master) == "bridge":
            lines.append(f"link set {port} {NO_FLOOD}")
        return lines

    def _address(self) -> list[str]:
        name, number = self._link(), self._seed.randint(1, 9)
        way = self._seed.choice(("add", "add", "del"))
        return [
            self._seed.choice((
                f"address {way} 198.51.100.{number}/24 dev {name}",
                f"address {way} 2001:db8::{number}/64 dev {name} nodad",
                f"address flush dev {name}",
            ))
        ]  # fmt: skip

    def _rename(self) -> list[str]:
        name = self._link()
        self._serial += 1
        new = f"{name[0]}{self._serial}r"  # as filters see it, it stays the same
        if name in self._links:
            self._links[new] = self._links.pop(name)
        for marked in (self.disabled6, self.silent):
            if name in marked:
                marked.add(new)
        return [f"link set {name} name {new}"]

    # -- steps of more than one command, or of another kind -----------------------------------

    def _storm(self) -> Ip:
        """The same again and again, on one link or on all."""
        names = [self._link()] if self._seed.random() < 0.5 else list(self._links)[:12] or ["lo"]
        number = self._seed.randint(1, 3)
        pattern = self._seed.choice((
            ("{0} down", "{0} up"),
            ("{0} down", "{0} up"),
            ("{0} mtu 1279", "{0} mtu 1500"),
            ("{0} mtu 1279", "{0} mtu 1500", "{0} down", "{0} up"),
            ("{0} alias a" + str(number), "{0} alias b"),
            ("{0} mtu 1400", "{0} mtu 1500"),
            ("{0} up", "{0} up", "{0} down"),
        ))  # fmt: skip
        times = self._seed.choice((3, 10, 30, 100)) // (1 + len(names) // 4)
        if "alias" in pattern[0]:  # the cheapest change
            times *= 10
        if names == ["lo"] and "mtu" in pattern[0]:
            # A loopback too small for IPv6 keeps it, unready, and no message says so.
            self.disabled6.add("lo")
            self.silent.add("lo")
        return Ip(
            tuple(
                "link set " + command.format(name)
                for _ in range(max(1, times))
                for name in names
                for command in pattern
            )
        )

    def _wave(self) -> list[Step]:
        """Many new links, up at once or later, all gone again or not."""
        kind = self._seed.choice([kind for kind in self._kinds if kind not in ("tap", "tun")])
        made = [self._add_as(kind) for _ in range(self._seed.randint(5, 25))]
        adds = [line for _, line in made]
        ups = [f"link set {name} up" for name, _ in made for _ in range(2)]
        if self._seed.random() < 0.5:  # one after the other
            adds = [line for name, add in made for line in (add, *[f"link set {name} up"] * 2)]
            ups = []
        steps: list[Step] = [Ip((*adds, *ups))]
        if self._seed.random() < 0.6:
            steps.append(Ip(tuple(f"link del {name}" for name, _ in made)))
        else:
            self._links |= {name: kind for name, _ in made[:4]}
            steps.append(Ip(tuple(f"link del {name}" for name, _ in made[4:])))
        return steps

    def _add_as(self, kind: str) -> tuple[str, str]:
        self._serial += 1
        name, peer = f"{self._seed.choice('abc')}{self._serial}w", f"c{self._serial}p"
        lower = self._link(*(k for k in self._kinds if k not in UPPER))
        return name, RECIPES[kind].format(
            name=name, peer=peer, more="", lower=lower, number=2 + self._serial % 250
        )

    def _sysctls(self) -> list[Step]:
        name = self._seed.choice((self._link(), self._link(), "all", "default"))
        value = self._seed.randint(0, 1)
        path, value = self._seed.choice((
            (f"ipv4/conf/{name}/forwarding", value),
            (f"ipv4/conf/{name}/forwarding", value),
            (f"ipv6/conf/{name}/forwarding", value),
            (f"ipv6/conf/{name}/forwarding", value),
            (f"ipv4/conf/{name}/rp_filter", value),
            (f"ipv4/conf/{name}/proxy_arp", value),
            (f"ipv6/conf/{name}/disable_ipv6", value),
            (f"ipv6/conf/{name}/accept_ra", value),
            (f"ipv6/conf/{name}/dad_transmits", value + 1),
            ("ipv4/ip_forward", value),
        ))  # fmt: skip
        if path.endswith("disable_ipv6"):
            self.disabled6.add("*" if name in ("all", "default") else name)
        if path.endswith(("disable_ipv6", "accept_ra", "dad_transmits")):
            self.silent.add(name)
        times = self._seed.choice((1, 1, 1, 6))
        return [Sysctl(path, (value + n) % 2 if times > 1 else value) for n in range(times)]

    def _attach_some(self) -> list[Step]:
        taps = [name for name, kind in self._links.items() if kind == "tap"]
        return [
            Attach(self._seed.choice(taps), self._seed.random() < 0.6)
            for _ in range(self._seed.randint(1, 6))
            if taps
        ]

    def _move(self) -> list[Step]:
        """To the other network namespace, or back from there."""
        if self._away and self._seed.random() < 0.6:
            name = self._away.pop()
            self._links[name] = "moved"
            return [Ip((f"link set {name} netns {HERE}",), other=True)]
        name = self._link("veth", "dummy", "ifb")
        self._links.pop(name, None)
        self._away.append(name)
        return [Ip((f"link set {name} netns {AWAY}",))]

    def _outage(self) -> list[Step]:
        """A link goes down, and up again; meanwhile the kernel draws random timers for all.

        No message tells of those, but a comparison finds them: with the same base they are no
        change.
        """
        name = self._seed.choice((self._link(), self._link("veth")))
        path = "ipv4/neigh/{}/base_reachable_time_ms"
        timers = [Sysctl(path.format(other), 30000) for other in self._links]
        pause = Pause(0.3 * self._seed.random())
        return [Ip((f"link set {name} down",)), *timers, pause, Ip((f"link set {name} up",))]
