"""What must be true of an agent's page, given what the kernel is like and what it has said."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Any, NamedTuple
from unittest.mock import ANY

from expected import FAMILIES, Account, Expected, Life
from listener import INET6, LOWER_UP, NEWLINK, NEWNETCONF, RUNNING, UP, Message
from setups import Setup
from support.agent import Metrics
from support.namespace import Namespace

STATES = ("disconnected", "connected")
TYPES = ("add", "delete", "parameter")
_EXTRA = ("state", "type", "parameter", "cause")


class Kernel(NamedTuple):
    """What exists: links by index, and IP interfaces by (family, index)."""

    #: As ``ip -details link`` prints it.
    links: dict[str, dict[str, Any]]
    connected: dict[tuple[str, str], bool]
    #: What no other program prints of a link.
    messages: dict[str, Message]

    @classmethod
    def now(cls, namespace: Namespace, listing: list[Message]) -> "Kernel":
        """As two tell: ``ip`` of the links, and a listing of ours of what ip does not print."""
        links = {str(link["ifindex"]): link for link in namespace.links().values()}
        messages = {str(message.index): message for message in listing if message.type == NEWLINK}
        connected = {}
        for message in listing:
            index = str(message.index)
            if message.type == NEWNETCONF and index in links and index in messages:
                flags = set(links[index]["flags"])
                carrier = {"UP", "LOWER_UP"} <= flags and "NO-CARRIER" not in flags
                ready = bool(messages[index].ready6) and not messages[index].disabled6
                family = FAMILIES[message.family]
                connected[family, index] = carrier and (message.family != INET6 or ready)
        return cls(links, connected, messages)

    def name(self, index: str) -> str:
        """A link's name."""
        return str(self.links[index]["ifname"])

    def kind(self, index: str) -> str:
        """A link's rtnetlink kind, empty for none."""
        return str(self.links[index].get("linkinfo", {}).get("info_kind", ""))

    def gauges(self, family: str, index: str) -> dict[str, object]:
        """What the page must show of an IP interface that has a series of its own."""
        link, message = self.links[index], self.messages[index]
        ipv6 = family == FAMILIES[INET6]
        return {
            "device": self.name(index),
            # The kernel says nothing when it gives an alias to a link that is down.
            "alias": link.get("ifalias", "") if "UP" in link["flags"] else ANY,
            "kind": self.kind(index),
            "address": message.address,
            "connected": self.connected[family, index],
            "enabled": "UP" in link["flags"],
            "mtu_bytes": message.mtu6 if ipv6 else message.mtu,
            "forwarding_enabled": bool(message.forwarding6 if ipv6 else message.forwarding4),
        }


def pending_carriers(listing: list[Message], received: list[Message]) -> list[str]:
    """The links whose carrier the kernel has not told of yet (net/core/link_watch.c).

    A carrier that was lost and came back meanwhile is told of, too: by the counters alone.
    """
    notified = {
        m.index: m.carrier_counts for m in received if m.type == NEWLINK and m.carrier_counts
    }
    return [
        message.name or ""
        for message in listing
        if message.type == NEWLINK
        and message.flags & UP
        and (
            bool(message.flags & RUNNING) != bool(message.flags & LOWER_UP)
            or notified.get(message.index) not in (None, message.carrier_counts)
        )
    ]


@dataclass
class Series:
    """What the page says of one IP interface, or of a group of them."""

    device: str
    notifications: dict[str, float]
    transitions: list[float]
    unobserved: list[float]
    #: Observed, unobserved and inferred together.
    all_transitions: list[float]
    #: The gauges and facts; ``None``: it is gone, or shared.
    gauges: dict[str, object] | None
    parameters: dict[str, float]
    #: By cause.
    disconnections: dict[str, float]


class Page:
    """A page, with the series of each IP interface in the order in which they were created."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.series: dict[tuple[str, str], list[Series]] = defaultdict(list)
        values: dict[tuple[str, str, str], dict[str, Counter[str]]] = {}
        facts: dict[tuple[str, str, str], dict[str, str]] = {}
        for name, samples in metrics.samples.items():
            for labels, value in samples:
                if not {"device", "family", "index", "luid"} <= labels.keys():
                    continue
                key = labels["family"], labels["index"], labels["luid"]
                if name in ("ip_interface_info", "ip_interface_notifications_total"):
                    facts.setdefault(key, {}).update(labels)
                extra = next((labels[name] for name in _EXTRA if name in labels), "")
                values.setdefault(key, defaultdict(Counter))[name][extra] += value
        for key in values:
            self.series[key[:2]].append(_series(values[key], facts[key]))

    @property
    def lossless(self) -> bool:
        """The agent says that it lost nothing."""
        return not self.metrics.sum("ip_interface_exporter_source_overruns_total")

    @property
    def inferred(self) -> float:
        """Changes that the agent found without a notification."""
        return self.metrics.sum("ip_interface_exporter_inferred_notifications_total")


def _series(values: dict[str, Counter[str]], facts: dict[str, str]) -> Series:
    every = Counter[str]()
    for name, by_state in values.items():
        if name.endswith("transitions_total"):
            every.update(by_state)
    gauges: dict[str, object] | None = None
    if "alias" in facts:
        gauges = {name: facts[name] for name in ("device", "alias", "kind", "address")}
        gauges["connected"] = bool(values["ip_interface_connected"][""])
        gauges["enabled"] = bool(values["ip_interface_enabled"][""])
        gauges["mtu_bytes"] = int(values["ip_interface_mtu_bytes"][""])
        gauges["forwarding_enabled"] = bool(values["ip_interface_forwarding_enabled"][""])
    return Series(
        facts["device"],
        {type_: values["ip_interface_notifications_total"][type_] for type_ in TYPES},
        [values["ip_interface_transitions_total"][s] for s in STATES],
        [values["ip_interface_unobserved_transitions_total"][s] for s in STATES],
        [every[s] for s in STATES],
        gauges,
        values["ip_interface_parameter_changes_total"],
        values["ip_interface_disconnections_total"],
    )


@dataclass
class Truth:
    """What a page is held against."""

    kernel: Kernel
    expected: Expected
    setup: Setup
    #: Devices whose IPv6 was switched off or on, and those that were changed without a message.
    disabled6: Collection[str]
    silent: Collection[str]
    #: All that happened since the agent listens is in `expected`, and nothing from before.
    calm_start: bool

    def exact(self, life: Life, family: int) -> bool:
        """Whether the changes of Connected of an IP interface can be counted."""
        touched = "*" in self.disabled6 or not life.names.isdisjoint(self.disabled6)
        return family != INET6 or not (touched or life.accounts[family].inexact)


def failures(page: Page, truth: Truth) -> list[str]:
    """Everything on a page that cannot be true."""
    found = [*_of_what_exists(page, truth), *_of_sums(page, truth)]
    if page.lossless and page.inferred and not truth.silent:
        found.append(f"{page.inferred:.0f} changes inferred without a loss")
    if truth.setup.counts_each_life:
        found += _of_lives(page, truth)
    return found


def _of_what_exists(page: Page, truth: Truth) -> Iterator[str]:
    kernel, setup = truth.kernel, truth.setup
    wanted = {
        (family, index): connected
        for (family, index), connected in kernel.connected.items()
        if setup.includes(kernel.name(index), kernel.kind(index), family)
    }
    for family in FAMILIES.values():
        for name, count in (
            ("ip_interfaces", sum(key[0] == family for key in wanted)),
            ("ip_interfaces_connected", sum(v for key, v in wanted.items() if key[0] == family)),
        ):
            shown = page.metrics.sum(name, family=family)
            silent = name.endswith("connected") and family != "ipv4" and truth.disabled6
            if shown != count and not silent:
                yield f"{name} of {family} is {shown:.0f}, {count} in the kernel"
    if setup.shares:
        return
    for family, index in sorted(page.series.keys() | wanted.keys()):
        shown = [s.gauges for s in page.series.get((family, index), ()) if s.gauges]
        true = [kernel.gauges(family, index)] if (family, index) in wanted else []
        if true and family == FAMILIES[INET6] and truth.disabled6:
            # The kernel says nothing when it disables IPv6 on a link without addresses.
            true[0] |= {"connected": ANY, "enabled": ANY}
        if shown != true:
            yield f"{family} {index} is {_difference(shown, true)} in the kernel"


def _difference(shown: list[dict[str, object]], true: list[dict[str, object]]) -> str:
    if len(shown) == len(true) == 1:
        wrong = [name for name in true[0] if shown[0][name] != true[0][name]]
        shown, true = ([{name: one[0][name] for name in wrong}] for one in (shown, true))
    return f"{shown or 'not there'}, {true or 'not there'}"


def _of_sums(page: Page, truth: Truth) -> Iterator[str]:
    """Sums over all series, and over all interfaces that no filter left out."""
    for family in FAMILIES.values():
        for type_ in TYPES:
            labels = {"family": family, "type": type_}
            churn = page.metrics.sum("ip_interface_churn_total", **labels)
            shown = page.metrics.sum("ip_interface_notifications_total", **labels)
            if churn != shown and not truth.setup.forgets:
                yield f"churn of {labels} is {churn:.0f}, the sum of the interfaces {shown:.0f}"
    if not (page.lossless and truth.calm_start) or truth.setup.reloaded:
        return
    for family, label in FAMILIES.items():
        lives = [
            life
            for life in truth.expected.lives
            if truth.setup.includes(life.name, life.kind, label)
        ]
        accounts = [life.accounts[family] for life in lives]
        for type_, true in (
            ("add", sum(a.adds for a in accounts)),
            ("delete", sum(a.deletes for a in accounts)),
        ):
            churn = page.metrics.sum("ip_interface_churn_total", family=label, type=type_)
            if churn != true:
                yield f"churn of {label} {type_} is {churn:.0f}, {true} messages showed one"
        if all(truth.exact(life, family) for life in lives):
            outages = page.metrics.sum("ip_interface_outage_duration_seconds_count", family=label)
            true = sum(a.outages for a in accounts)
            if outages != true:
                yield f"{outages:.0f} outages of {label}, messages showed {true}"


def _of_lives(page: Page, truth: Truth) -> Iterator[str]:
    by_index: dict[tuple[int, int], list[Life]] = defaultdict(list)
    for life in truth.expected.lives:
        for family, account in life.accounts.items():
            if account.exists or account.adds or account.deletes:
                by_index[family, life.index].append(life)
    for (family, index), lives in by_index.items():
        label = FAMILIES[family]
        lives = [life for life in lives if truth.setup.includes(life.name, life.kind, label)]
        series = page.series.get((label, str(index)), [])
        who = f"{label} of {', '.join(life.name for life in lives)} (index {index})"
        if page.lossless and truth.calm_start:
            if len(series) != len(lives):
                yield f"{who}: {len(series)} series of {len(lives)} lives"
                continue
            pairings = permutations(series) if len(series) < 5 else [series]
            for failure in min((_of_pairs(p, lives, family, truth) for p in pairings), key=len):
                yield f"{who}: {failure}"
        elif len(lives) == len(series) == 1:
            for failure in _after_a_loss(series[0], lives[0], family, truth, page):
                yield f"{who}: {failure}"


def _of_pairs(
    series: Collection[Series], lives: list[Life], family: int, truth: Truth
) -> list[str]:
    pairs = zip(series, lives, strict=True)
    return [failure for one, life in pairs for failure in _of_life(one, life, family, truth)]


def _of_life(one: Series, life: Life, family: int, truth: Truth) -> Iterator[str]:
    """Nothing was lost: every count is known."""
    account = life.accounts[family]
    if one.device != account.device:
        yield f"its device is {one.device}, not {account.device}"
    for type_, true in (("add", account.adds), ("delete", account.deletes)):
        if one.notifications[type_] != true:
            yield f"{one.notifications[type_]:.0f} {type_}, messages showed {true}"
    if one.notifications["parameter"] > account.messages:
        yield f"{one.notifications['parameter']:.0f} parameter, of {account.messages} messages"
    for name, true in (
        ("mtu_bytes", account.mtu_changes if family != INET6 else None),
        ("forwarding_enabled", account.forwarding_changes),
    ):
        if true is not None and one.parameters[name] != true:
            yield f"{one.parameters[name]:.0f} changes of {name}, messages showed {true}"
    if not truth.exact(life, family):
        return
    if one.parameters["connected"] != sum(account.shown):
        yield f"{one.parameters['connected']:.0f} changes of connected, not {account.shown}"
    if one.transitions != account.shown:
        yield f"transitions {_pair(one.transitions)}, messages showed {_pair(account.shown)}"
    causes = one.disconnections
    if (sum(causes.values()), causes["administrative"]) != (account.shown[0], account.switched_off):
        yield f"disconnections {dict(causes)}, messages showed {account.switched_off} switched off"
    yield from _within(one.all_transitions, account)


def _after_a_loss(one: Series, life: Life, family: int, truth: Truth, page: Page) -> Iterator[str]:
    """The counters of the kernel still prove what a carrier did, to a link that did not go."""
    account = life.accounts[family]
    if account.deletes or not truth.exact(life, family):
        return
    if truth.calm_start and not account.adds and life.kind == "veth":
        yield from _within(one.all_transitions, account)
    if page.lossless or life.kind == "veth":
        for state, high in enumerate(account.high):
            if one.all_transitions[state] > high:
                yield (
                    f"{one.all_transitions[state]:.0f} {STATES[state]}, "
                    f"the link itself changed at most {high} times"
                )


def _within(counted: list[float], account: Account) -> Iterator[str]:
    if not all(
        low <= count <= high
        for low, count, high in zip(account.low, counted, account.high, strict=True)
    ):
        yield (
            f"transitions with the unobserved {_pair(counted)}, the link itself changed "
            f"{_pair(account.low)} to {_pair(account.high)} times"
        )


def _pair(counts: list[float] | list[int]) -> str:
    return f"{counts[0]:.0f} down and {counts[1]:.0f} up"
