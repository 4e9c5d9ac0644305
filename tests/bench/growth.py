"""What an event, an interface and a page cost as the interfaces grow in number, by replay.

A recording of so many interfaces and so many events is replayed as fast as it goes. What the
events cost is the difference to a recording without any; reading their lines is most of it.
"""

import itertools
import random
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from page import World
from processes import at_rest, resident_mebibytes, usage
from report import Size, heading, table
from support.agent import Agent
from support.waiting import NEVER, wait_until

from exporter.model import Notification, NotificationType
from exporter.sources.recording import encode, encode_present

_BEGAN = 1_000.0
_CHANGES = re.compile(rb'^ip_interface_churn_total{family="ipv.",type="parameter"} (\S+)$', re.M)


def run(size: Size) -> None:
    """Print the table."""
    short = size == "short"
    events = 1_000 if short else 30_000
    heading(f"Growth: a replay of {events:,} events")
    columns = ("IP interfaces", "CPU µs per event", "RSS, MiB", "KiB each", "page, MB")
    counts = (10, 50) if short else (10, 100, 1000, 4000, 10_000)
    rows: list[tuple[object, ...]] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "events.jsonl"
        base = _replayed(file, 1, events)[1]
        for links in counts:
            cpu, _, _ = _replayed(file, links, 0)
            more, memory, page = _replayed(file, links, events)
            each = (memory - base) * 1024 / (2 * (links - 1))
            rows.append((2 * links, (more - cpu) / events * 1e6, memory, each, page / 1e6))
    table(columns, rows)


def _replayed(file: Path, links: int, events: int) -> tuple[float, float, int]:
    """CPU seconds, resident MiB and bytes of the page, once all is replayed."""
    file.write_text("\n".join([*_lines(links, events), ""]))
    with Agent("replay", str(file), "--collector.max-interfaces=1000000") as agent:
        pid = agent.process.pid

        def replayed() -> tuple[float, int] | None:
            at_rest(pid)  # a scrape in between would count as the events' cost
            used, page = usage(pid).cpu, agent.get().body
            return (used, len(page)) if sum(map(float, _CHANGES.findall(page))) == events else None

        used, size = wait_until(replayed, NEVER, "all is replayed")
        return used, resident_mebibytes(pid), size


def _lines(links: int, events: int) -> Iterator[str]:
    """All interfaces connected, then one after the other at random off and on."""
    rows = World(links).rows
    for row in rows:
        yield encode_present(row, _BEGAN, _BEGAN)
    flaps = iter(lambda: random.choice(rows), None)
    states = itertools.chain.from_iterable((row, row) for row in flaps)
    for number, row in enumerate(itertools.islice(states, events)):
        at = _BEGAN + number / 1000
        now = row._replace(parameters=row.parameters._replace(connected=number % 2 == 1))
        yield encode(Notification(NotificationType.PARAMETER, *row[:3], at, at, now))
