"""A fake kernel that queues notifications of links and replies to requests about them.

The queue holds datagrams in the format of rtnetlink. A test queues notifications, and decides
when the queue is read.
"""

import struct
from collections.abc import Callable, Collection
from typing import Any

from exporter.bindings import rtnetlink as nl
from exporter.model import FAMILIES, Family, Notification, NotificationType
from exporter.sources.contract import Health
from exporter.sources.linux.index_reuse import IndexReuse
from exporter.sources.linux.links import LinkTable
from exporter.sources.linux.requests import Requests
from exporter.sources.linux.transition_cache import TransitionCache
from support import messages as build

AF = {Family.IPV4: nl.AF_INET, Family.IPV6: nl.AF_INET6}
ENODEV = 19
#: Seconds from one message to the next.
MOMENT = 1 / 1024
_ROOM = bytes(64)  # what follows a datagram in the receive buffer


class Kernel:
    """The kernel's end of the netlink socket."""

    PORT = 4711

    def __init__(self) -> None:
        #: Every link as a reply shows it: the body of its RTM_NEWLINK.
        self.links: dict[int, bytes] = {}
        self.queue: list[bytes] = []
        #: The index of each request about a link; ``None`` for a dump.
        self.requests: list[int | None] = []
        #: How many of the next dumps are interrupted.
        self.interruptions = 0
        #: Raised by the next requests.
        self.errors: list[OSError] = []
        #: The errno in the replies to the next requests about links.
        self.refusals: list[int] = []
        #: Called after the kernel has made a dump or a "no such device", before it is queued.
        self.slip: Callable[[], object] = lambda: None
        #: The same, for the reply about a link that exists.
        self.overtaken: Callable[[], object] = lambda: None

    def getsockname(self) -> tuple[int, int]:
        """Return the address as a netlink socket does."""
        return self.PORT, 0

    def notify(self, type_: int, body: bytes) -> None:
        """Queue a notification."""
        self.queue.append(build.datagram((type_, body)))

    def send(self, request: bytes) -> int:
        """Reply to RTM_GETLINK."""
        if self.errors:
            raise self.errors.pop(0)
        (message,) = nl.messages(request, len(request))
        assert message.type == nl.RTM_GETLINK
        (index,) = struct.unpack_from("=i", request, message.start + 4)
        dump = bool(message.flags & nl.NLM_F_DUMP)
        self.requests.append(None if dump else index)
        if dump:
            self._dump(message.sequence)
        elif self.refusals:
            self._reply(message.sequence, (nl.NLMSG_ERROR, build.error(self.refusals.pop(0))))
        elif index in self.links:
            body = self.links[index]
            self.overtaken()
            self._reply(message.sequence, (nl.RTM_NEWLINK, body))
        else:
            self.slip()
            self._reply(message.sequence, (nl.NLMSG_ERROR, build.error(ENODEV)))
        return len(request)

    def _dump(self, sequence: int) -> None:
        flags = nl.NLM_F_MULTI
        if self.interruptions:
            self.interruptions -= 1
            flags |= nl.NLM_F_DUMP_INTR
        parts = [(nl.RTM_NEWLINK, body) for body in self.links.values()]
        self.slip()
        for part in parts:
            self._reply(sequence, part, flags=flags)
        self._reply(sequence, (nl.NLMSG_DONE, build.error(0)), flags=flags)

    def _reply(self, sequence: int, *parts: tuple[int, bytes], flags: int = 0) -> None:
        self.queue.append(build.datagram(*parts, flags=flags, sequence=sequence, port=self.PORT))


class Host:
    """A table of links, and a fake kernel that notifies it and replies to its requests."""

    def __init__(
        self,
        families: Collection[Family] = FAMILIES,
        reuse: IndexReuse | None = None,
        *,
        in_order: bool = True,
    ) -> None:
        """`in_order`: whether the kernel queues its replies about links in order."""
        self.kernel = Kernel()
        self.table = LinkTable(families, reuse)
        self.table.opening = False
        self.health = Health()
        self.cache = TransitionCache(self.table)
        self.requests = Requests(self.kernel, self.table, self.health, 1 << 20, in_order=in_order)
        self.now = 0.0

    # -- what the source does ---------------------------------------------------------------

    def drain(self, most: int = 1 << 30) -> None:
        """Process the queued datagrams, at most `most` of them."""
        while self.kernel.queue and most:
            most -= 1
            datagram = self.kernel.queue.pop(0)
            data, size = datagram + _ROOM, len(datagram)
            self.now += MOMENT
            self.table.received_at(1000 + self.now, self.now)
            if self.requests.is_reply(*nl.reply_to(data)):
                self.requests.receive(data, size)
            elif not self.cache.repeat(data, size):
                for message in nl.messages(data, size):
                    if message.type in nl.MESSAGE_NAMES:
                        self.cache.apply(message, data, size)

    def ask(self) -> None:
        """Send the requests that are due."""
        self.requests.ask(self.now)

    def settle(self) -> None:
        """Send requests and process the replies until there are no more requests."""
        for _ in range(100):
            self.ask()
            self.drain()
            if not (self.table.requests or self.requests.listing or self.table.departing):
                self.ask()
                return
        raise AssertionError(f"still to ask: {self.table.requests}")

    def list_links(self) -> None:
        """List all links, and end the start or the resync."""
        self.requests.list_links(self.now)
        self.settle()
        self.table.opening = self.table.doubtful = False

    def lose(self) -> None:
        """Let the receive buffer overflow."""
        self.table.lose()
        self.requests.forget()

    def take(self) -> list[Notification]:
        """Return the notifications since the last time."""
        return self.table.drain()

    @property
    def emitted(self) -> list[tuple[NotificationType, Family]]:
        """The type and family of each notification since the last time."""
        return [(n.type, n.family) for n in self.take()]

    # -- what the kernel sends -----------------------------------------------------------------

    def notify(self, type_: int, body: bytes) -> None:
        """Queue a notification and process it at once."""
        self.kernel.notify(type_, body)
        self.drain()

    def link(self, index: int, *arguments: Any, **facts: Any) -> None:
        """Notify RTM_NEWLINK; later replies show the same link."""
        body = self.kernel.links[index] = build.link(index, *arguments, **facts)
        self.notify(nl.RTM_NEWLINK, body)

    def netconf(self, family: Family, index: int, *values: Any) -> None:
        """Notify RTM_NEWNETCONF."""
        self.notify(nl.RTM_NEWNETCONF, build.netconf(AF[family], index, *values))

    def del_netconf(self, family: Family, index: int) -> None:
        """Notify RTM_DELNETCONF."""
        self.notify(nl.RTM_DELNETCONF, build.netconf(AF[family], index, {}))

    def del_link(self, index: int, **facts: Any) -> None:
        """Notify RTM_DELLINK."""
        self.kernel.links.pop(index, None)
        self.notify(nl.RTM_DELLINK, build.link(index, conf=None, conf6=None, **facts))

    def add(
        self,
        index: int,
        *arguments: Any,
        families: Collection[Family] = frozenset(FAMILIES),
        **facts: Any,
    ) -> None:
        """Notify a new link: RTM_NEWNETCONF of each family, then RTM_NEWLINK."""
        for family in sorted(families):
            self.netconf(family, index)
        confs = {Family.IPV4: "conf", Family.IPV6: "conf6"}
        absent = {confs[family]: None for family in FAMILIES if family not in families}
        self.link(index, *arguments, **{**absent, **facts})

    def having(self, index: int, *arguments: Any, **facts: Any) -> "Host":
        """Return this host after adding a link, without the notifications of the addition."""
        self.add(index, *arguments, **facts)
        self.take()
        return self

    def load(self, *bodies: bytes) -> None:
        """List all links, of which exactly these exist."""
        self.kernel.links = {struct.unpack_from("=i", body, 4)[0]: body for body in bodies}
        self.list_links()
