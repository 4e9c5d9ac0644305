"""What a notification costs on its way from the kernel to the metrics, and whether any is lost.

Needs root, gcc and ip. Everything happens in network namespaces of its own.

``stages``    µs per message and notification of each stage, over a recorded storm
``live``      CPU of the whole agent, and of ``ip monitor`` on the same stream
``burst``     150,000 messages in about a second, with a scrape each second
``loss``      a storm of so many million messages, with a scrape each second
``latency``   from the change to the scraped page, in calm
"""

import argparse
import http.client
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

from support.agent import Agent, Metrics  # noqa: E402
from support.namespace import Namespace  # noqa: E402
from support.waiting import wait_until  # noqa: E402

from exporter.bindings import rtnetlink as nl  # noqa: E402
from exporter.bindings.rtnetlink_socket import (  # noqa: E402
    DATAGRAM_BYTES,
    Requester,
    subscribe,
)
from exporter.model import FAMILIES  # noqa: E402
from exporter.monitor import LAG_BOUNDS  # noqa: E402
from exporter.series import Histogram  # noqa: E402
from exporter.sources.links import LinkTable  # noqa: E402
from exporter.sources.linux import GROUPS  # noqa: E402
from exporter.sources.listing import take_listing  # noqa: E402
from exporter.sources.repeats import Repeats  # noqa: E402
from exporter.state import State  # noqa: E402

#: `ip monitor` with a buffer that is large enough; what it prints is thrown away.
MONITOR = ("ip", "-rcvbuf", str(32 << 20), "monitor")


class Host:
    """A namespace with veth pairs l0-r0, l1-r1, …, all up, and a sender that flaps the l side."""

    def __init__(self, pairs: int) -> None:
        self._resources = ExitStack()
        self.namespace = self._resources.enter_context(Namespace())
        folder = self._resources.enter_context(tempfile.TemporaryDirectory())
        self._flap = f"{folder}/flap"
        source = Path(__file__).with_name("flap.c")
        subprocess.run(["gcc", "-O2", "-o", self._flap, source], check=True)
        names = [f"l{i}" for i in range(pairs)]
        self.namespace.ip("link set lo up")
        self.namespace.batch(f"link add l{i} type veth peer name r{i}" for i in range(pairs))
        self.namespace.batch(f"link set {side}{i} up" for side in "lr" for i in range(pairs))
        wait_until(lambda: self._ready(2 * pairs), 60, "every link has its IPv6 address")
        links = self.namespace.links()
        self.indices = [str(links[name]["ifindex"]) for name in names]

    def _ready(self, count: int) -> bool:
        ready = self.namespace.ip("-6 -o address show scope link -tentative")
        return ready.count("fe80") == count

    def __enter__(self) -> "Host":
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def flap(self, operations: int, per_second: int = 0, how: str = "flag") -> float:
        """Do about so many operations. Returns the seconds that it took."""
        rounds = max(1, operations // 2 // len(self.indices))
        command = f"{self._flap} {rounds} {per_second} {how} {' '.join(self.indices)}"
        return float(self.namespace.run(command).split()[1])


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Grown(NamedTuple):
    """What the agent's own metrics say of a stretch of time."""

    messages: float
    notifications: float
    overruns: float
    dropped: float

    @classmethod
    def of(cls, after: Metrics, before: Metrics) -> "Grown":
        """The difference of two pages."""
        names = ("exporter_source_messages", "churn", "exporter_source_overruns",
                 "exporter_dropped_notifications")  # fmt: skip
        totals = [f"ip_interface_{name}_total" for name in names]
        return cls(*(after.sum(name) - before.sum(name) for name in totals))


def settle(agent: Agent) -> Metrics:
    """The page once no more messages come."""
    seen: list[float] = []

    def quiet() -> Metrics | None:
        time.sleep(0.3)
        page = agent.scrape()
        seen.append(page.sum("ip_interface_exporter_source_messages_total"))
        return page if len(seen) > 2 and seen[-1] == seen[-3] else None

    return wait_until(quiet, 120, "the stream has ended")


# -- stages -----------------------------------------------------------------------------------


def best(parts: Sequence[Callable[[], object]], prepare: Callable[[], object]) -> float:
    """Seconds of all parts, one after the other, each at its best of some runs."""
    least = [float("inf")] * len(parts)
    for _ in range(9):
        prepare()
        for number, part in enumerate(parts):
            began = time.perf_counter()
            part()
            least[number] = min(least[number], time.perf_counter() - began)
    return sum(least)


def stages(pairs: int) -> None:
    """Replay a recorded storm through each stage. Shared machines disturb: see `best`."""
    with Host(pairs) as host, host.namespace.enter():
        listener, _ = subscribe(GROUPS, 64 << 20)
        requester = Requester()
        listing = take_listing(requester, FAMILIES)
        requester.close()
        host.flap(6000)
        datagrams = []
        with listener:
            while True:
                try:
                    datagrams.append(bytearray(listener.recv(DATAGRAM_BYTES)))
                except BlockingIOError:
                    break
    warm = len(datagrams) // 2  # the rest has nothing new
    chunks = [datagrams[i : i + 100] for i in range(warm, len(datagrams), 100)]
    batches: list[Any] = []
    world: dict[str, Any] = {}

    def plainly(chunk: list[bytearray]) -> None:
        for data in chunk:
            for m in nl.messages(data, len(data)):
                world["table"].apply(m.type, data, m.start, m.end, 1.0, 1.0)
        world["table"].take()

    def quickly(chunk: list[bytearray]) -> None:
        repeat = world["repeats"].repeat
        for data in chunk:
            if not repeat(data, len(data), 1.0, 1.0):
                for m in nl.messages(data, len(data)):
                    world["repeats"].apply(m, data, len(data), 1.0, 1.0)
        batches.append(world["table"].take())

    def begin() -> None:
        table = world["table"] = LinkTable(FAMILIES, lambda index: None)
        table.load(listing, 0.0, 0.0)
        table.caught_up()
        world["interfaces"] = table.interfaces()
        world["repeats"] = Repeats(table)
        batches.clear()
        quickly(datagrams[:warm])

    def begin_state() -> None:
        world["state"] = State()
        world["state"].load(world["interfaces"], 0.0)
        world["state"].count(batches[0])

    def per(seconds: float, count: int) -> str:
        return f"{seconds / count * 1e6:8.2f} µs"

    messages = len(datagrams) - warm
    plain = best([lambda c=c: plainly(c) for c in chunks], begin)  # type: ignore[misc]
    quick = best([lambda c=c: quickly(c) for c in chunks], begin)  # type: ignore[misc]
    told = [batch for batch in batches[1:] if batch]
    notifications = sum(map(len, told))
    reduced = best([lambda b=b: world["state"].count(b) for b in told], begin_state)  # type: ignore[misc]
    lag = Histogram(LAG_BOUNDS)
    observed = best(
        [lambda b=b: lag.observe_all(sorted([5.0 - n.instant for n in b])) for b in told],  # type: ignore[misc]
        lambda: None,
    )
    print(f"{messages} messages, {notifications} notifications")
    print(f"walk and map             {per(plain, messages)}/message")
    print(f"repeat                   {per(quick, messages)}/message")
    print(f"reduce                   {per(reduced, notifications)}/notification")
    print(f"observe the lag          {per(observed, notifications)}/notification")


# -- the whole agent --------------------------------------------------------------------------


@contextmanager
def monitors(host: Host, *objects: str) -> Iterator[subprocess.Popen[bytes]]:
    """A running `ip monitor`."""
    command = ["ip", "netns", "exec", host.namespace.name, *MONITOR, *objects]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()


def live(pairs: int, operations: int, per_second: int) -> None:
    """CPU of the agent and of `ip monitor`, side by side on one stream."""
    with Host(pairs) as host, Agent(namespace=host.namespace) as agent:
        with monitors(host, "link") as link, monitors(host) as everything:
            host.flap(operations // 10, per_second)
            before = settle(agent)
            processes = {
                "agent": agent.process.pid,
                "ip monitor link": link.pid,
                "ip monitor": everything.pid,
            }
            began = {name: cpu_seconds(pid) for name, pid in processes.items()}
            took = host.flap(operations, per_second)
            grown = Grown.of(settle(agent), before)
            used = {name: cpu_seconds(pid) - began[name] for name, pid in processes.items()}
        print(
            f"{operations / took:.0f} operations/s, {grown.messages / took:.0f} messages/s, {grown}"
        )
        for name, seconds in used.items():
            each = seconds / grown.messages * 1e6
            ratio = used["agent"] / seconds if seconds else float("nan")
            print(f"{name:<16} {seconds:6.2f} s {each:6.2f} µs/message  agent is {ratio:.2f} of it")


def storm(pairs: int, messages: int, how: str) -> None:
    """So many messages at the kernel's pace, a scrape each second; what was lost."""
    with Host(pairs) as host, Agent(namespace=host.namespace) as agent:
        before, done, scrapes = settle(agent), threading.Event(), list[float]()

        def scrape() -> None:
            while not done.wait(1.0):
                began = time.perf_counter()
                agent.get()
                scrapes.append(time.perf_counter() - began)

        thread = threading.Thread(target=scrape)
        thread.start()
        took = heard = 0.0
        cpu = cpu_seconds(agent.process.pid)
        while heard < messages:
            part = min(messages - heard, 1_000_000)
            took += host.flap(int(part) if how == "queue" else int(part) // 3, 0, how)
            page = agent.scrape()
            heard = Grown.of(page, before).messages
            if how == "queue":
                break
        grown = Grown.of(settle(agent), before)
        cpu = cpu_seconds(agent.process.pid) - cpu
        done.set()
        thread.join()
        print(f"{took:.1f} s, {grown.messages / took:.0f} messages/s, {grown}")
        print(
            f"CPU {cpu / grown.messages * 1e6:.2f} µs/message, {cpu / took:.0%} of a core; ", end=""
        )
        print(f"scrapes: {len(scrapes)}, the longest {max(scrapes, default=0) * 1e3:.0f} ms")


def mtu_request(index: int, mtu: int) -> bytes:
    """RTM_NEWLINK that sets a link's MTU."""
    body = struct.pack("=BxHiII", 0, 0, index, 0, 0) + struct.pack("=HHI", 8, nl.IFLA_MTU, mtu)
    return struct.pack("=IHHII", 16 + len(body), nl.RTM_NEWLINK, nl.NLM_F_REQUEST, 0, 0) + body


def latency(count: int) -> None:
    """A link's MTU is changed, and the page scraped until it says so."""
    taken = []
    with Host(10) as host, Agent(namespace=host.namespace) as agent, host.namespace.enter():
        settle(agent)
        index = int(host.indices[0])
        wanted = re.compile(
            rf'ip_interface_mtu_bytes{{[^}}]*family="ipv4",index="{index}".*}} (.*)'
        )
        client = http.client.HTTPConnection("127.0.0.1", agent.port)
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as sender:
            for number in range(count):
                time.sleep(0.02)  # calm
                mtu = 1400 + number % 2
                request = mtu_request(index, mtu)
                began = time.perf_counter()
                sender.send(request)
                shown = 0.0
                while shown != mtu:
                    client.request("GET", "/metrics")
                    match = wanted.search(client.getresponse().read().decode())
                    assert match
                    shown = float(match[1])
                taken.append(time.perf_counter() - began)
    taken.sort()
    p50, p99 = (taken[int(count * part)] * 1e3 for part in (0.5, 0.99))
    print(f"{count} changes, from the request to the page read: p50 {p50:.2f} ms, p99 {p99:.2f} ms")


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("stages", "live", "burst", "loss", "latency"))
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--operations", type=int, default=60_000)
    parser.add_argument("--per-second", type=int, default=6_000)
    parser.add_argument("--millions", type=float, default=10.0)
    asked = parser.parse_args()
    match asked.what:
        case "stages":
            stages(asked.pairs)
        case "live":
            live(asked.pairs, asked.operations, asked.per_second)
        case "burst":
            storm(asked.pairs, 150_000, "queue")
        case "loss":
            storm(asked.pairs, int(asked.millions * 1e6), "flag")
        case "latency":
            latency(500)


if __name__ == "__main__":
    main()
