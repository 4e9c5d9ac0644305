"""What each stage costs, from a recorded datagram to the counters: a storm, replayed.

The first half of the storm fills the cache (see `exporter.sources.linux.transition_cache`),
the second is measured, in slices, each at its best of several runs: on a shared machine the
rest is the neighbors'.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial

from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from report import Size, heading, table
from sender import sender

from exporter.bindings import rtnetlink as nl
from exporter.bindings.rtnetlink_socket import DATAGRAM_BYTES, Requester, subscribe
from exporter.model import FAMILIES, Interface, Notification
from exporter.monitor.series import Histogram
from exporter.monitor.state import State
from exporter.monitor.thread import LAG_BOUNDS
from exporter.sources.linux.links import LinkTable
from exporter.sources.linux.notifications import Notifications
from exporter.sources.linux.replies import Replies
from exporter.sources.linux.source import GROUPS
from exporter.sources.linux.transition_cache import TransitionCache

_SLICE = 100


def run(size: Size) -> None:
    """Print the table."""
    short = size == "short"
    heading("From datagram to counters, µs")
    links, datagrams = record(10, 1000 if short else 6000)
    runs = 2 if short else 15
    warm = len(datagrams) // 2
    slices = [datagrams[i : i + _SLICE] for i in range(warm, len(datagrams), _SLICE)]
    messages = len(datagrams) - warm
    rows = []

    way = Way(links, datagrams[:warm])
    plain = best([partial(way.plainly, part) for part in slices], way.begin, runs)
    quick = best([partial(way.quickly, part) for part in slices], way.begin, runs)
    batches = [batch for batch in way.batches if batch]
    notifications = sum(map(len, batches))
    reducing = Reducing(way.interfaces)
    reduce = best([partial(reducing.count, batch) for batch in batches], reducing.begin, runs)
    lag = best([partial(reducing.lag, batch) for batch in batches], reducing.begin, runs)
    link = max(datagrams, key=len)
    walk = best([partial(nl.parse_link, link, 16, len(link))] * 100, int, runs)
    theirs = best([partial(pyroute2, link)] * 20, int, min(runs, 5))

    rows = [
        ("pyroute2 decodes a link message", "message", theirs / 20 * 1e6),
        ("parse_link walks it", "message", walk / 100 * 1e6),
        ("a flap's messages, parsed and mapped plainly", "message", plain / messages * 1e6),
        ("the same, looked up", "message", quick / messages * 1e6),
        ("reducer", "notification", reduce / notifications * 1e6),
        ("lag histogram", "notification", lag / notifications * 1e6),
    ]
    table(("stage", "per", "µs"), rows)


def record(pairs: int, operations: int) -> tuple[list[nl.LinkMessage], list[bytearray]]:
    """What existed, and what the kernel then sent of a storm."""
    with sender(pairs) as flaps, flaps.namespace.enter():
        listener, _ = subscribe(GROUPS, 64 << 20)
        requester = Requester()
        links = requester.links()
        requester.close()
        flaps.flap(operations)
        datagrams = []
        with listener:
            while True:
                try:
                    datagrams.append(bytearray(listener.recv(DATAGRAM_BYTES)))
                except BlockingIOError:
                    return links, datagrams


def best(parts: Sequence[Callable[[], object]], begin: Callable[[], object], runs: int) -> float:
    """Seconds of all parts, one after the other, each at its best of so many runs."""
    least = [float("inf")] * len(parts)
    for _ in range(runs):
        begin()
        for number, part in enumerate(parts):
            began = time.perf_counter()
            part()
            least[number] = min(least[number], time.perf_counter() - began)
    return sum(least)


def pyroute2(data: bytearray) -> None:
    """The decoder of the library for everything else."""
    ifinfmsg(bytes(data)).decode()


class Way:
    """From datagrams to notifications, in both ways."""

    def __init__(self, links: list[nl.LinkMessage], lesson: list[bytearray]) -> None:
        self._links = links
        self._lesson = lesson
        self.batches: list[list[Notification]] = []
        self.begin()

    def begin(self) -> None:
        """A new table that knows the lesson."""
        self._table = LinkTable(FAMILIES)
        replies = Replies(self._table)
        for link in self._links:
            replies.link(link, 1)
        self._table.opening = False
        self._table.drain()
        self._notifications = Notifications(self._table)
        self._cache = TransitionCache(self._table)
        self.quickly(self._lesson)
        self.interfaces: list[Interface] = self._table.interfaces()
        self.batches.clear()

    def plainly(self, datagrams: list[bytearray]) -> None:
        """Every message is walked."""
        for data in datagrams:
            for m in nl.messages(data, len(data)):
                self._notifications.apply(m.type, data, m.start, m.end)
        self._table.drain()

    def quickly(self, datagrams: list[bytearray]) -> None:
        """As the source does it."""
        repeat, apply = self._cache.repeat, self._cache.apply
        for data in datagrams:
            if not repeat(data, len(data)):
                for message in nl.messages(data, len(data)):
                    if message.type in nl.MESSAGE_NAMES:
                        apply(message, data, len(data))
        self.batches.append(self._table.drain())


class Reducing:
    """From notifications to counters."""

    def __init__(self, interfaces: list[Interface]) -> None:
        self._interfaces = interfaces
        self._lag = Histogram(LAG_BOUNDS)

    def begin(self) -> None:
        """A new state."""
        self._state = State()
        self._state.load(self._interfaces, 0.0)

    def count(self, batch: list[Notification]) -> None:
        """Count a batch."""
        self._state.count(batch)

    def lag(self, batch: list[Notification]) -> None:
        """Put it into the histogram."""
        self._lag.observe_all(sorted([2.0 - n.instant for n in batch]))
