"""Memory, start-up and idle cost of the agent as a process, with and without OTLP."""

import subprocess
import time

from processes import resident_mebibytes, usage
from report import Size, heading, median, table
from support.agent import Agent
from support.namespace import Namespace

from fleet import fleet

PUSHES = {
    "no push": (),
    "http/protobuf": ("--otlp.endpoint=http://127.0.0.1:9", "--otlp.protocol=http/protobuf"),
    "grpc": ("--otlp.endpoint=http://127.0.0.1:9", "--otlp.protocol=grpc"),
}


def run(size: Size) -> None:
    """Print the tables."""
    short = size == "short"
    heading("Footprint: resident memory and start, by links and push")
    columns = ("links", "push", "IP interfaces", "start to first page, ms", "RSS, MiB")
    rows: list[tuple[object, ...]] = []
    for links in (10, 20) if short else (10, 100, 1000, 4000):
        pushes = list(PUSHES)[:1] if links > 10 else PUSHES
        with fleet(links) as namespace:
            times = 1 if short else 3
            rows += [(links, push, *_start(namespace, push, times)) for push in pushes]
    table(columns, rows)
    _idle(0.5 if short else 20.0)


def _start(namespace: Namespace, push: str, times: int) -> tuple[int, float, float]:
    """IP interfaces, milliseconds from exec to the first complete page, and MiB after three."""
    took = []
    for _ in range(times):
        # Entered here: `ip netns exec` would take a part of the time.
        with namespace.enter(), Agent(*_flags(push)) as agent:
            began = agent.began
            page = agent.get().body
            took.append((time.perf_counter() - began) * 1000)
            for _ in range(2):
                agent.get()
            memory = resident_mebibytes(agent.process.pid)
    interfaces = page.count(b"\nip_interface_connected{")
    return interfaces, median(took), memory


def _flags(push: str) -> tuple[str, ...]:
    return (*PUSHES[push], "--collector.max-interfaces=100000")


def _idle(seconds: float) -> None:
    """Nothing happens and nobody asks: what is used then is our own making."""
    heading(f"Idle: {seconds:g} s without a change or a scrape, per second")
    rows = []
    with fleet(10) as namespace:
        for name in ("agent", "ip monitor"):
            if name == "agent":
                with Agent(namespace=namespace) as agent:
                    agent.get()
                    rows.append((name, *_quiet(agent.process.pid, seconds)))
            else:
                command = ["ip", "-n", namespace.name, "monitor", "link"]
                with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
                    rows.append((name, *_quiet(process.pid, seconds)))
                    process.kill()
    table(("", "CPU, ms", "wake-ups", "threads"), rows)


def _quiet(pid: int, seconds: float) -> tuple[float, float, int]:
    time.sleep(5.0)  # a new link's duplicate address detection and multicast take some seconds
    before = usage(pid)
    time.sleep(seconds)
    used = usage(pid).since(before)
    return used.cpu * 1000 / seconds, used.wakeups / seconds, used.threads
