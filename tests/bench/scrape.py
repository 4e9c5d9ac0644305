"""What a scrape costs: in process by share of change, and live beside node_exporter.

``python tests/bench/scrape.py [LINKS…]`` (default 10 100 1000 4000; two IP interfaces each)
prints medians in milliseconds of CPU: the page after 0, 1, 10 and 100 % of the interfaces
flapped since the last scrape, plain and gzip, and prometheus_client's generate_latest of the
same state. As root with node_exporter (``tests/support/debian.py node-exporter``) and
``--live``, it then scrapes both over HTTP in a namespace with so many veths: wall and CPU.
"""

import gc
import http.client
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

from prometheus_client import CollectorRegistry, generate_latest  # noqa: E402
from support.agent import Agent  # noqa: E402
from support.debian import program  # noqa: E402
from support.namespace import Namespace  # noqa: E402
from support.waiting import wait_until  # noqa: E402

from exporter.catalogue import About, Reading, series_metrics  # noqa: E402
from exporter.collector import CatalogueCollector  # noqa: E402
from exporter.exposition import Page  # noqa: E402
from exporter.model import (  # noqa: E402
    FAMILIES,
    Interface,
    Kind,
    Link,
    Notification,
    Parameters,
    make_luid,
)
from exporter.sources.contract import Health  # noqa: E402
from exporter.state import State  # noqa: E402

ROUNDS = 9
NODE_PORT = 19_100
NODE_FLAGS = [
    "--collector.disable-defaults",
    "--collector.netclass",
    "--collector.netdev",
    "--collector.netclass.netlink",
    "--web.disable-exporter-metrics",
    f"--web.listen-address=127.0.0.1:{NODE_PORT}",
]


class World:
    """A state of so many links, its page, and interfaces to flap."""

    def __init__(self, links: int) -> None:
        self.state = State(max_interfaces=1_000_000)
        self.rows = [
            Interface(
                family,
                make_luid(6, i),
                i,
                Link(
                    f"veth{i}",
                    kind="veth",
                    type=6,
                    address=f"02:00:00:00:{i >> 8:02x}:{i & 255:02x}",
                ),
                Parameters(True, 1500, 256, False, False),
            )
            for i in range(1, links + 1)
            for family in FAMILIES
        ]
        self.state.load(self.rows, 1000.0)
        self.metrics = series_metrics(all_parameters=False)
        self.page = Page(self.read, self.metrics)

    def read(self) -> Reading:
        """The state now."""
        about = About("1.2.3", "abc", "3.11.2", "rtnetlink")
        return Reading(self.state, Health(up=True), about, time.monotonic())

    def flap(self, share: float) -> None:
        """A part of the interfaces loses the network and has it again."""
        now = time.monotonic()
        for row in random.sample(self.rows, round(len(self.rows) * share)):
            down = row._replace(parameters=row.parameters._replace(connected=False))
            self.state.apply(
                Notification(
                    Kind.PARAMETER, row.family, row.luid, row.index, 1.7e9 + now, now, seen
                )
                for seen in (down, row)
            )


class TimedLock:
    """A lock that keeps how long it was held."""

    def __init__(self) -> None:
        self.held: list[float] = []

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.held.append(time.perf_counter() - self._began)


def cpu(action: Callable[[], object]) -> float:
    """Milliseconds of CPU."""
    began = time.process_time()
    action()
    return (time.process_time() - began) * 1000


def in_process(links: int) -> None:
    """A line for each share of change."""
    world = World(links)
    first = cpu(world.page.render)
    size, packed = len(world.page.render()), len(world.page.render(gzip=True))
    registry = CollectorRegistry()
    registry.register(CatalogueCollector(world.read, world.metrics))
    library = statistics.median(cpu(lambda: generate_latest(registry)) for _ in range(3))
    print(
        f"{links} links: {size} bytes, {packed} in gzip; first {first:.2f} ms; "
        f"generate_latest {library:.1f} ms"
    )
    for share in (0, 0.01, 0.1, 1):
        plain, zipped = [], []
        world.state.lock = lock = TimedLock()  # type: ignore[assignment]
        for _ in range(ROUNDS):
            world.flap(share)
            lock.held.clear()
            plain.append(cpu(world.page.render))
            held = lock.held[0] * 1000
            world.flap(share)
            zipped.append(cpu(lambda: world.page.render(gzip=True)))
        one, two = statistics.median(plain), statistics.median(zipped)
        print(f"  {share:4.0%} changed: {one:7.2f} ms, gzip {two:7.2f} ms, lock held {held:.2f} ms")


def _spent(pid: int) -> float:
    """Seconds of CPU of all threads, in nanoseconds' steps (stat counts in ticks of 10 ms)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _resident(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def _scrapes(
    namespace: Namespace, port: int, pid: int, coding: str, before: Callable[[], object], times: int
) -> tuple[float, float]:
    """Median wall and mean CPU of a scrape, in milliseconds; `before` comes before each."""
    headers = {"Accept-Encoding": coding}
    walls, busy = [], 0.0
    with namespace.enter():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for turn in range(times + 1):
            before()
            spent, began = _spent(pid), time.perf_counter()
            connection.request("GET", "/metrics", headers=headers)
            assert connection.getresponse().read()
            if turn:
                walls.append(time.perf_counter() - began)
                busy += _spent(pid) - spent
        connection.close()
    return statistics.median(walls) * 1000, busy / times * 1000


def live(links: int) -> None:
    """Both exporters over HTTP, in turn, in one namespace."""
    node = program("node-exporter", "prometheus-node-exporter")
    assert node, "tests/support/debian.py node-exporter"
    with ExitStack() as stack:
        namespace = stack.enter_context(Namespace())
        namespace.ip("link set lo up")
        namespace.batch(f"link add v{i}a up type veth peer name v{i}b" for i in range(links // 2))
        namespace.batch(f"link set v{i}b up" for i in range(links // 2))
        other = subprocess.Popen(
            ["ip", "netns", "exec", namespace.name, node, *NODE_FLAGS], stderr=subprocess.DEVNULL
        )
        stack.callback(other.wait)
        stack.callback(other.terminate)
        # The shell's place is taken by exec: the process is the agent itself.
        agent = stack.enter_context(Agent("--collector.max-interfaces=100000", namespace=namespace))
        pid = agent.process.pid
        agent.get("/metrics")
        print(f"{links} links live: resident {_resident(pid):.1f} MiB after a plain scrape")

        def flap() -> None:
            chosen = random.sample(range(links // 2), max(1, links // 200))
            namespace.batch(f"link set v{i}a {how}" for i in chosen for how in ("down", "up"))
            time.sleep(0.3)  # until the agent has taken them: only scrapes are measured

        def ready() -> bool:
            with namespace.enter():
                connection = http.client.HTTPConnection("127.0.0.1", NODE_PORT)
                try:
                    connection.request("GET", "/")
                except OSError:
                    return False
                finally:
                    connection.close()
            return True

        wait_until(ready, 10, "node_exporter listens")
        for coding in ("identity", "gzip"):
            ours = _scrapes(namespace, agent.port, pid, coding, flap, 30)
            theirs = _scrapes(namespace, NODE_PORT, other.pid, coding, flap, 5)
            again = _scrapes(namespace, agent.port, pid, coding, flap, 30)
            wall, busy = (min(a, b) for a, b in zip(ours, again, strict=True))
            print(
                f"  {coding}: {wall:.2f} ms wall, {busy:.2f} CPU; node_exporter {theirs[0]:.0f} "
                f"wall, {theirs[1]:.0f} CPU: 1/{theirs[0] / wall:.0f}, "
                f"1/{theirs[1] / max(busy, 0.1):.0f}"
            )
        print(f"  resident {_resident(pid):.1f} MiB in the end")


def main() -> None:
    """Print all of it."""
    arguments = sys.argv[1:]
    sizes = [int(a) for a in arguments if a.isdigit()] or [10, 100, 1000, 4000]
    gc.disable()
    for links in sizes:
        (live if "--live" in arguments else in_process)(links)


if __name__ == "__main__":
    main()
