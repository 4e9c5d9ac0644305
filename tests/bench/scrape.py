"""What a scrape costs: rendered in process, and over HTTP beside node_exporter.

node_exporter shows some 37 samples of a link, fresh from the kernel; the agent shows 16 of
each of a link's two IP interfaces, from its state. A link that changed is one that flapped.
"""

import random
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from page import World
from processes import at_rest, resident_mebibytes, usage
from prometheus_client import CollectorRegistry, generate_latest
from report import Size, heading, median, ratio, table
from scraper import Scraper
from support.agent import Agent, fetch
from support.debian import program
from support.namespace import Namespace
from support.waiting import wait_until

from exporter.agent import memory_tuning
from exporter.exposition.negotiation import Format
from exporter.metrics.collector import CatalogCollector
from fleet import flapping, fleet

SHARES = (0, 0.01, 0.1, 1)
#: Seldom used, and only inside a namespace of its own.
NODE_PORT = 19_100
NODE_FLAGS = (
    "--collector.disable-defaults",
    "--collector.netclass",
    "--collector.netclass.netlink",
    "--collector.netdev",
    "--web.disable-exporter-metrics",
    f"--web.listen-address=127.0.0.1:{NODE_PORT}",
)


def run(size: Size) -> None:
    """Print the tables."""
    links = (10, 20) if size == "short" else (10, 100, 1000, 4000)
    rounds = 2 if size == "short" else 9
    heading("Rendering in process, CPU ms, by how many of the interfaces changed")
    columns = ("links", "MB", "first", "0 %", "1 %", "10 %", "100 %", "0 % gzip", "1 % gzip")
    columns += ("lock held at most", "generate_latest")
    many = () if size == "short" else (10_000,)
    table(columns, [_rendered(count, rounds) for count in (*links, *many)])
    heading("A scrape over HTTP, 1 % of the links flapped since the last, ms")
    columns = ("links", "coding", "wall", "CPU", "node_exporter wall", "CPU", "wall to it", "CPU")
    table((*columns, "RSS, MiB"), [row for count in links for row in _live(count, rounds)])
    heading("A scrape of 101 links in a flap storm, wall ms")
    table(("", "median", "most"), _in_a_storm(10 * rounds))


def _rendered(links: int, rounds: int) -> tuple[object, ...]:
    world = World(links)
    memory_tuning.tune()  # as the agent does
    first = _cpu(lambda: world.page.chunks(Format.TEXT))
    megabytes = sum(map(len, world.page.chunks(Format.TEXT))) / 1e6
    world.page.chunks(Format.TEXT, gzip=True)

    def after(share: float, gzip: bool = False) -> float:
        took = []
        for _ in range(rounds):
            world.flap(share)
            took.append(_cpu(lambda: world.page.chunks(Format.TEXT, gzip=gzip)))
        return median(took)

    plain = [after(share) for share in SHARES]
    zipped = after(0, True), after(0.01, True)
    held = world.longest_lock_ms()
    registry = CollectorRegistry()
    registry.register(CatalogCollector(world.read, world.metrics))
    library = _cpu(lambda: generate_latest(registry))
    return links, megabytes, first, *plain, *zipped, held, library


def _cpu(action: Callable[[], object]) -> float:
    """Milliseconds of CPU."""
    began = time.process_time()
    action()
    return (time.process_time() - began) * 1000


@contextmanager
def _node_exporter(namespace: Namespace) -> Iterator[int]:
    """A running node_exporter; gives its pid."""
    found = program("node-exporter", "prometheus-node-exporter")
    assert found, "run: python tests/support/debian.py node-exporter"
    command = ["ip", "netns", "exec", namespace.name, found, *NODE_FLAGS]

    def listens() -> bool:
        with namespace.enter():
            try:
                return fetch(NODE_PORT, "/").status == 200
            except OSError:
                return False

    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(listens, message="node_exporter listens")
            yield process.pid
        finally:
            process.terminate()


def _live(links: int, rounds: int) -> Iterator[tuple[object, ...]]:
    with (
        fleet(links) as namespace,
        Agent("--collector.max-interfaces=100000", namespace=namespace) as agent,
        _node_exporter(namespace) as node,
    ):
        pairs = (links - 1) // 2

        def flap() -> None:
            """One per cent of the links, both ends of a pair; until the agent has processed it."""
            chosen = random.sample(range(pairs), max(1, links // 200))
            namespace.batch(f"link set v{2 * n} {how}" for n in chosen for how in ("down", "up"))
            at_rest(agent.process.pid)

        for coding in ("identity", "gzip"):
            wall, cpu = _asked(namespace, agent.port, agent.process.pid, coding, flap, rounds)
            other = _asked(namespace, NODE_PORT, node, coding, flap, max(3, rounds // 3))
            ratios = ratio(wall, other[0]), ratio(cpu, other[1])
            yield links, coding, wall, cpu, *other, *ratios, resident_mebibytes(agent.process.pid)


def _asked(
    namespace: Namespace,
    port: int,
    pid: int,
    coding: str,
    before: Callable[[], object],
    times: int,
) -> tuple[float, float]:
    """Median milliseconds of wall and CPU of a scrape; `before` comes before each."""
    walls, cpus = [], []
    with namespace.enter(), Scraper(port) as scraper:
        for _ in range(times):
            before()
            used, began = usage(pid), time.perf_counter()
            # Thrown away as it comes: what a client does with a page is not the agent's cost.
            deque(scraper.pieces(coding), maxlen=0)
            walls.append((time.perf_counter() - began) * 1000)
            cpus.append(usage(pid).since(used).cpu * 1000)
    return median(walls), median(cpus)


def _in_a_storm(times: int) -> Iterator[tuple[object, ...]]:
    with fleet(101) as namespace, Agent(namespace=namespace) as agent:

        def asked() -> list[float]:
            one = namespace, agent.port, agent.process.pid, "identity", lambda: None, 1
            return [_asked(*one)[0] for _ in range(times)]

        quiet = asked()
        namespace.batch(f"link add s{n} type veth peer name t{n}" for n in range(50))
        with flapping(namespace, "s", 50):
            storm = asked()
    yield "quiet", median(quiet), max(quiet)
    yield "storm", median(storm), max(storm)
