"""The whole agent under a stream of changes: its CPU beside that of ``ip monitor``, and losses.

``ip monitor`` receives the same stream at the same time, and prints it to nowhere. What it loses,
because its buffer is no larger than net.core.rmem_max, it does not pay for, and is not counted.
"""

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from processes import usage
from report import Size, heading, ratio, table
from sender import Sender, sender
from support.agent import Agent, Metrics
from support.namespace import Namespace
from support.netlink import subscribers
from support.waiting import wait_until

_FLAP_MESSAGES = {"short": 4_000, "usual": 500_000, "long": 10_000_000}

#: Operations a second: moderate, and as fast as the kernel does them.
PACES = (5000, 0)


def run(size: Size) -> None:
    """Print the tables."""
    short = size == "short"
    _compare(1_000 if short else 40_000)
    heading("Loss, with a scrape every second")
    rows = [
        ("burst of the cheapest change", *_lose(10, 4_000 if short else 150_000, flaps=False)),
        ("flaps at full speed", *_lose(10, _FLAP_MESSAGES[size], flaps=True)),
    ]
    columns = ("", "messages", "messages/s", "lost", "overruns", "core", "longest scrape, ms")
    table(columns, rows)


def _compare(operations: int) -> None:
    with ExitStack() as stack:
        flaps = stack.enter_context(sender(10))
        agent = stack.enter_context(Agent(namespace=flaps.namespace))
        inside = ("ip", "netns", "exec", flaps.namespace.name)
        pids = {"agent": agent.process.pid}
        for name in ("ip monitor link address", "ip monitor"):
            command = [*inside, "ip", "-rcvbuf", str(32 << 20), *name.split()[1:]]
            pids[name] = stack.enter_context(_running(command)).pid
        flaps.flap(operations // 10, PACES[0])
        for pace in PACES:
            _compare_at(pace, operations, flaps, agent, pids)


def _compare_at(
    pace: int, operations: int, flaps: Sender, agent: Agent, pids: dict[str, int]
) -> None:
    before, dropped = _quiet(agent), _dropped(flaps.namespace)
    used = {name: usage(pid) for name, pid in pids.items()}
    took = flaps.flap(operations, pace)
    after = _quiet(agent)
    used = {name: usage(pid).since(used[name]) for name, pid in pids.items()}
    dropped_now = _dropped(flaps.namespace)
    lost = {name: dropped_now[pid] - dropped[pid] for name, pid in pids.items()}
    messages = _messages(after) - _messages(before) + lost["agent"]
    cpu = {name: u.cpu / (messages - lost[name]) * 1e6 for name, u in used.items()}
    rows = [
        (name, cpu[name], ratio(cpu["agent"], cpu[name]), u.wakeups / took, lost[name])
        for name, u in used.items()
    ]
    notifications = after.sum("ip_interface_churn_total") - before.sum("ip_interface_churn_total")
    heading(f"One stream: {messages / took:,.0f} messages/s")
    print(f"{messages:,.0f} messages, {notifications:,.0f} notifications\n")
    table(("", "CPU µs per message", "agent to it", "wake-ups/s", "lost"), rows)


def _dropped(namespace: Namespace) -> dict[int, int]:
    """How many messages the kernel could not queue, by process."""
    with namespace.enter():
        return {subscriber.port: subscriber.drops for subscriber in subscribers()}


@contextmanager
def _running(command: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()


def _messages(page: Metrics) -> float:
    return page.sum("ip_interface_exporter_source_messages_total")


def _quiet(agent: Agent) -> Metrics:
    """The page once no more messages come."""
    seen: list[float] = []

    def quiet() -> Metrics | None:
        time.sleep(0.3)
        page = agent.scrape()
        seen.append(_messages(page))
        return page if len(seen) > 2 and seen[-1] == seen[-3] else None

    return wait_until(quiet, message="the stream has ended")


def _lose(pairs: int, wanted: int, flaps: bool) -> tuple[float, ...]:
    """A row: messages, rate, losses, overruns, part of a core, the longest scrape."""
    with sender(pairs) as links, Agent(namespace=links.namespace) as agent:
        before, done, scrapes = _quiet(agent), threading.Event(), [0.0]

        def scrape() -> None:
            while not done.wait(1.0):
                began = time.perf_counter()
                agent.get()
                scrapes.append((time.perf_counter() - began) * 1000)

        thread = threading.Thread(target=scrape)
        thread.start()
        used = usage(agent.process.pid)
        took = processed = 0.0
        try:
            while processed < wanted:
                # A down or an up is about three messages.
                took += (
                    links.flap(100_000 if wanted > 300_000 else wanted // 3)
                    if flaps
                    else (links.touch(wanted))
                )
                processed = _messages(agent.scrape()) - _messages(before) if flaps else wanted
            after = _quiet(agent)
        finally:
            done.set()
            thread.join()
        cpu = usage(agent.process.pid).since(used).cpu
        dropped = "ip_interface_exporter_dropped_notifications_total"
        overruns = "ip_interface_exporter_source_overruns_total"
        processed = _messages(after) - _messages(before)
        lost, overrun = after.sum(dropped), after.sum(overruns)
        return int(processed), processed / took, int(lost), int(overrun), cpu / took, max(scrapes)
