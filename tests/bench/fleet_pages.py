"""A fleet's series: pages of the agent, rendered at each scrape and copied to many hosts.

Every kind of host is one agent's state that lives through the whole time. Its page is rendered
for each scrape, so names, labels, values and format are the agent's own.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from exporter.exposition.negotiation import Format
from exporter.exposition.page import Page
from exporter.exposition.process_metrics import ProcessMetrics
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
from exporter.monitor.series import Histogram
from exporter.monitor.state import State
from exporter.sources.contract import Health

#: A server with three network cards in use, one that is not, and containers: (name, kind, type).
LINKS = (
    ("lo", "", 24),
    ("eth0", "", 6),
    ("eth1", "", 6),
    ("bond0", "bond", 6),
    ("eth2", "", 6),
    ("docker0", "bridge", 6),
    *((f"veth{number:07x}", "veth", 6) for number in range(4)),
)
_UNUSED = "eth2"
_BUILD = BuildInfo("1.2.3", "abc", "3.11.2", "rtnetlink", "net:[4026531840]")


class _Kind(NamedTuple):
    """A kind of host, by what happens on it."""

    share: float
    #: This device loses its connection and has it again with each scrape.
    flapping: str = ""
    #: This device has had no connection for half an hour.
    down: str = ""


KINDS = (
    _Kind(0.96),
    _Kind(0.01, down="eth1"),
    _Kind(0.01, flapping="eth1"),
    _Kind(0.02, flapping="veth0000001"),
)


class _Host:
    """One agent's state, on a clock of its own."""

    def __init__(self, began: float) -> None:
        self.now = began
        self._state = State()
        self._rows = [_row(family, *link) for link in enumerate(LINKS, 1) for family in FAMILIES]
        self._state.load(self._rows, began)
        self._health = Health(up=True, messages=dict.fromkeys("abcdef", 0), overruns=0, resyncs=0)
        self._health.dropped, self._health.receive_buffer_bytes = 0, 64 << 20
        self._lag = Histogram((0.001, 0.01, 0.1, 1.0))
        self._page = Page(self._read, series_metrics(all_parameters=False), ProcessMetrics().render)

    def _read(self) -> Snapshot:
        return Snapshot(self._state, self._health, _BUILD, self.now, self._lag)

    def connect(self, device: str, *states: bool) -> None:
        """Notify that a device is connected, or has lost its carrier, one after the other."""
        for row in self._rows:
            if row.link.name == device:
                of = NotificationType.PARAMETER, row.family, row.luid, row.ifindex
                self._state.count(
                    Notification(*of, self.now, self.now, row._replace(**_condition(state)))
                    for state in states
                )

    def samples(self) -> Iterator[tuple[str, str]]:
        """(series, value) of everything on the page, and of the scrape itself."""
        yield "up", "1"
        for line in b"".join(self._page.chunks(Format.TEXT)).decode().splitlines():
            if not line.startswith("#"):
                series, _, value = line.rpartition(" ")
                yield series, value


def _condition(connected: bool) -> dict[str, Any]:
    status = LinkStatus(True, OperStatus.UP if connected else OperStatus.DOWN, connected)
    return {"parameters": InterfaceRow(connected, 1500, None, False, False), "status": status}


def _row(family: Family, number: int, link: tuple[str, str, int]) -> Interface:
    name, kind, type_ = link
    facts = Link(name, kind=kind, type=type_, address=f"02:00:00:00:00:{number:02x}")
    condition = _condition(name != _UNUSED)
    return Interface(family, make_luid(type_, number), number, facts, **condition)


def _lived(kind: _Kind, times: Sequence[int]) -> dict[str, list[str]]:
    """The values of each series of a host, at each of the times."""
    host = _Host(times[0] - 3600.0)
    host.connect("eth0", False, True)  # as at most boots
    if kind.down:
        host.connect(kind.down, False)
    values: dict[str, list[str]] = {}
    for time in times:
        host.now = float(time)
        if kind.flapping:
            host.connect(kind.flapping, False, True)
        for series, value in host.samples():
            values.setdefault(series, []).append(value)
    return values


def write_fleet(file: Path, hosts: int, times: range, back: Mapping[str, int]) -> int:
    """Write what so many hosts showed when they were scraped, as OpenMetrics.

    `times` are the scrapes, in Unix seconds. `back` says for how many seconds before the last of
    them a metric is wanted; 0 for those that it does not name. Returns the series of a host.
    """
    written = 0
    with file.open("w") as out:
        for kind in KINDS:
            values = _lived(kind, times)
            of_one = "".join(_samples(values, times, back))
            for _ in range(max(1, round(hosts * kind.share))):
                out.write(of_one.replace(_HOST, f"host{written:05d}"))
                written += 1
        out.write("# EOF\n")
    return len(values)


_HOST = "HOST"


def _samples(
    values: Mapping[str, Sequence[str]], times: range, back: Mapping[str, int]
) -> Iterator[str]:
    target = f'job="ip-interfaces",instance="{_HOST}:10190"'
    for series, column in values.items():
        metric, _, labels = series.partition("{")
        all_labels = f"{labels[:-1]},{target}" if labels else target
        first = times[-1] - back.get(metric, 0)
        for value, time in zip(column, times, strict=True):
            if time >= first:
                yield f"{metric}{{{all_labels}}} {value} {time}\n"
