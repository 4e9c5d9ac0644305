"""A state of made-up links with its page, for what is measured in process."""

import random
import time

from exporter.exposition.page import Page
from exporter.metrics.catalog import series_metrics
from exporter.metrics.snapshot import BuildInfo, Snapshot
from exporter.model import (
    FAMILIES,
    Family,
    Interface,
    InterfaceRow,
    Link,
    LinkStatus,
    Notification,
    NotificationType,
    OperStatus,
    make_luid,
)
from exporter.monitor.state import State
from exporter.sources.contract import Health

_WORKING = LinkStatus(True, OperStatus.UP, True)
_NO_CARRIER = LinkStatus(True, OperStatus.DOWN, False)
_ABOUT = BuildInfo("1.2.3", "abc", "3.11.2", "rtnetlink")


class World:
    """So many connected links, two IP interfaces each."""

    def __init__(self, links: int) -> None:
        self.state = State(max_interfaces=1_000_000)
        self.rows = [_row(family, n) for n in range(1, links + 1) for family in FAMILIES]
        self.state.load(self.rows, time.monotonic())
        self._lock = self.state.lock = _TimedLock()  # type: ignore[assignment]
        self.metrics = series_metrics(all_parameters=False)
        self.page = Page(self.read, self.metrics)

    def read(self) -> Snapshot:
        """The state now."""
        return Snapshot(self.state, Health(up=True), _ABOUT, time.monotonic())

    def flap(self, share: float) -> None:
        """A part of the interfaces loses the network and has it again."""
        now = time.monotonic()
        for row in random.sample(self.rows, round(len(self.rows) * share)):
            parameters = row.parameters._replace(connected=False)
            down = row._replace(parameters=parameters, status=_NO_CARRIER)
            of = row.family, row.luid, row.ifindex
            self.state.count(
                Notification(NotificationType.PARAMETER, *of, time.time(), now, seen)
                for seen in (down, row)
            )

    def longest_lock_ms(self) -> float:
        """How long a page held the lock at the most: so long the collector had to wait."""
        return self._lock.longest * 1000


class _TimedLock:
    def __init__(self) -> None:
        self.longest = 0.0
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.longest = max(self.longest, time.perf_counter() - self._began)


def _row(family: Family, n: int) -> Interface:
    address = f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}"
    link = Link(f"veth{n}", kind="veth", type=6, address=address)
    row = InterfaceRow(True, 1500, 256, False, False)
    return Interface(family, make_luid(6, n), n, link, row, _WORKING)
