"""From a change to the page that shows it: what a scraper could see at the best.

An MTU is changed through rtnetlink in this process; from the moment the kernel has taken it,
the page is asked for until it shows the new value. "Asked" is when the first page that shows it
was asked for: 0 if it was the first of all, else one scrape later or more. "Answered" is when all
of that page was there, one scrape after that.
"""

import socket
import struct
import time

from processes import at_rest
from report import Size, heading, percentile, table
from scraper import Scraper
from support.agent import Agent
from support.namespace import Namespace
from support.waiting import DEADLINE

from fleet import flapping, fleet

_RTM_NEWLINK, _NLM_F_REQUEST, _NLM_F_ACK, _IFLA_MTU = 16, 1, 4, 4
#: Between two changes. Several hundred a second are a storm, which the agent reads with pauses.
_REST_SECONDS = 0.02
#: The device whose MTU changes, and what the page says of it.
_DEVICE = "v0"
_SAMPLE = b'ip_interface_mtu_bytes{device="v0",family="ipv4"'


def run(size: Size) -> None:
    """Print the table."""
    short = size == "short"
    heading("Change to visible on /metrics, ms")
    rows = []
    times = 10 if short else 200
    for links in (11,) if short else (11, 101, 1001):
        with fleet(links) as namespace, Agent(namespace=namespace) as agent:
            at_rest(agent.process.pid)
            rows.append(("idle", links, *_summary(_measure(namespace, agent, times))))
    with fleet(11) as namespace:
        namespace.batch(f"link add s{n} type veth peer name t{n}" for n in range(50))
        with Agent(namespace=namespace) as agent, flapping(namespace, "s", 50):
            rows.append(("flap storm", 111, *_summary(_measure(namespace, agent, times))))
    columns = ("asked: p50", "p99", "most", "answered: p50", "p99", "most")
    table(("", "links", *columns), rows)


def _summary(seconds: list[tuple[float, float]]) -> list[float]:
    summary: list[float] = []
    for column in zip(*seconds, strict=True):
        milliseconds = [value * 1000 for value in column]
        summary += (percentile(milliseconds, 50), percentile(milliseconds, 99), max(milliseconds))
    return summary


def _measure(namespace: Namespace, agent: Agent, times: int) -> list[tuple[float, float]]:
    """For each change, seconds until the page was asked for, and until it was there."""
    index = namespace.index(_DEVICE)
    took = []
    with namespace.enter():
        netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)
        with netlink, Scraper(agent.port) as scraper:
            scraper.page()  # the first takes as long as there are interfaces
            for number in range(times):
                time.sleep(_REST_SECONDS)
                mtu = 1400 + number % 100
                wanted = b" %d.0\n" % mtu
                began = _set_mtu(netlink, index, mtu)
                asked = 0.0
                while not _line(scraper.page()).endswith(wanted):
                    asked = time.perf_counter() - began
                    assert asked < DEADLINE, f"MTU {mtu} is not shown"
                answered = time.perf_counter() - began
                took.append((asked, answered))
    return took


def _set_mtu(netlink: socket.socket, index: int, mtu: int) -> float:
    """Change it. Returns the instant just before: the message is sent from within the call."""
    body = struct.pack("=BxHiII", 0, 0, index, 0, 0) + struct.pack("=HHI", 8, _IFLA_MTU, mtu)
    flags = _NLM_F_REQUEST | _NLM_F_ACK
    began = time.perf_counter()
    netlink.send(struct.pack("=IHHII", 16 + len(body), _RTM_NEWLINK, flags, 1, 0) + body)
    (error,) = struct.unpack_from("=i", netlink.recv(4096), 16)
    if error:
        raise OSError(-error, f"the kernel refused MTU {mtu}")
    return began


def _line(page: bytes) -> bytes:
    start = page.find(_SAMPLE)
    return page[start : page.find(b"\n", start) + 1]
