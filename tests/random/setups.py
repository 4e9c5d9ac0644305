"""How an agent is run in a round, and what makes its life hard there; drawn from a seed."""

import random
import re
from dataclasses import dataclass, field

#: What a reload changes to and back; the last one holds at the end of a round.
RELOADS = (
    "collector: {exclude: 'a.*'}\n",
    "groups: [{name: pairs, match: veth}]\n",
    "collector: {max-interfaces: 4}\n",
    "collector: {exclude: '('}\n",
    "",
)


@dataclass
class Setup:
    """One way to run an agent."""

    flags: list[str] = field(default_factory=list)
    config: str = ""
    #: It is stopped (SIGSTOP) now and then, so that messages queue up.
    stopped: bool = False
    #: What sends runs beside busy loops on one processor, and with less priority.
    slow_sender: bool = False
    #: The agent runs beside busy loops on one processor.
    busy: bool = False
    #: It is scraped all the time.
    scraped: bool = False
    #: It reads its configuration file again and again.
    reloaded: bool = False
    #: It starts in the middle of everything.
    storm: bool = False
    #: It compares everything with the kernel all the time, instead of once a minute.
    compared: bool = False
    #: It records, and the recording is replayed.
    recorded: bool = False
    excluded_devices: str = ""
    excluded_kinds: tuple[str, ...] = ()
    grouped_kind: str = ""
    limit: int = 0
    families: tuple[str, ...] = ("ipv4", "ipv6")

    @classmethod
    def draw(cls, seed: random.Random) -> "Setup":
        """A random one: plain, or with up to three hardships, and in half of them a filter."""
        setup = cls(flags=["--collector.retention=1h"])
        hardships = (
            "stopped", "slow_sender", "busy", "scraped", "storm", "compared", "small_buffer",
        )  # fmt: skip
        for hardship in seed.sample(hardships, seed.choice((0, 1, 1, 2, 2, 3))):
            if hardship == "small_buffer":
                setup.flags.append(f"--collector.receive-buffer={seed.choice((4, 32, 128))}KiB")
                setup.stopped = True
            else:
                setattr(setup, hardship, True)
        if seed.random() < 0.3:
            setup.flags.append("--collector.parameters=all")
        seed.choice((
            setup._plain, setup._plain, setup._plain, setup._exclude_devices,
            setup._exclude_kinds, setup._group, setup._limit, setup._one_family,
            setup._reload, setup._record, setup._record,
        ))(seed)  # fmt: skip
        return setup

    def _plain(self, _seed: random.Random) -> None:
        pass

    def _exclude_devices(self, seed: random.Random) -> None:
        self.excluded_devices = seed.choice(("a.*", "[ab].*"))
        self.flags.append(f"--collector.exclude={self.excluded_devices}")

    def _exclude_kinds(self, seed: random.Random) -> None:
        self.excluded_kinds = seed.choice((("veth",), ("bridge", "ifb")))
        self.flags.append(f"--collector.exclude-kinds={','.join(self.excluded_kinds)}")

    def _group(self, _seed: random.Random) -> None:
        self.grouped_kind = "veth"
        self.config = "groups: [{name: pairs, match: veth}]\n"

    def _limit(self, seed: random.Random) -> None:
        self.limit = seed.randint(2, 12)
        self.storm = False  # so that the loopback has a series of its own: see `rounds`
        self.flags.append(f"--collector.max-interfaces={self.limit}")

    def _one_family(self, seed: random.Random) -> None:
        name, family = seed.choice((("inet", "ipv4"), ("inet6", "ipv6")))
        self.families = (family,)
        self.flags.append(f"--collector.family={name}")

    def _reload(self, _seed: random.Random) -> None:
        self.reloaded = True

    def _record(self, _seed: random.Random) -> None:
        self.recorded = True

    def __str__(self) -> str:
        words = [
            name
            for name in ("stopped", "slow_sender", "busy", "scraped", "reloaded", "storm",
                         "compared", "recorded")
            if getattr(self, name)
        ]  # fmt: skip
        words += [flag.removeprefix("--collector.") for flag in self.flags[1:]]
        words += ["groups"] * bool(self.grouped_kind)
        return " ".join(words) or "plain"

    # -- what it means for a page ----------------------------------------------------------

    def watches(self, family: str) -> bool:
        """Whether the agent registers for a family (label value)."""
        return family in self.families

    def includes(self, device: str, kind: str, family: str) -> bool:
        """Whether an IP interface is published."""
        excluded = self.excluded_devices and re.fullmatch(self.excluded_devices, device)
        return not excluded and kind not in self.excluded_kinds and self.watches(family)

    @property
    def shares(self) -> bool:
        """Some interfaces have no series of their own."""
        return bool(self.grouped_kind or self.limit or self.reloaded)

    @property
    def forgets(self) -> bool:
        """Series may be dropped before the retention has passed."""
        return bool(self.limit or self.reloaded)

    def restarts(self, labels: dict[str, str]) -> bool:
        """Whether a counter with these labels may begin anew from one page to the next.

        A reload that moves an interface gives it a new series; under a limit, what departed makes
        room, and may come back.
        """
        return "luid" in labels if self.reloaded else bool(self.limit and labels.get("luid"))

    @property
    def counts_each_life(self) -> bool:
        """Every IP interface that is published has a series of its own for its life."""
        return not (self.shares or self.reloaded)
