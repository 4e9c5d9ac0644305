"""The page: what prometheus_client would print, from a cache that is never stale."""

from __future__ import annotations

import gzip
import re
import threading
import zlib
from functools import partial
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from support.rendering import rendered

from exporter.exposition.negotiation import Format
from exporter.exposition.page import Page
from exporter.metrics.catalog import series_metrics
from exporter.metrics.collector import CatalogCollector
from exporter.metrics.snapshot import BuildInfo, Snapshot
from exporter.model import (
    FAMILIES,
    Interface,
    InterfaceRow,
    Link,
    Notification,
    NotificationType,
    make_luid,
)
from exporter.monitor.state import State
from exporter.settings.selection import Group, Selection
from exporter.sources.contract import Health

ABOUT = BuildInfo("1.2.3", "abc", "3.11.2", "rtnetlink", "net:[4026531840]")

NAMES = st.one_of(
    st.sampled_from(
        ["eth0", 'a"b', "a\\b", "a\nb", "a\\nb", "a{b}", "ü", "a,b=", "%b", "\x7f", "\u2028"]
    ),
    st.binary(min_size=1, max_size=15).map(lambda raw: raw.decode("utf-8", "replace")),
)
ROWS = st.builds(
    partial(InterfaceRow),
    connected=st.booleans(),
    mtu_bytes=st.none() | st.integers(0, 2**32 - 1),
    forwarding_enabled=st.none() | st.booleans(),
    base_reachable_time_seconds=st.none() | st.floats(0, 1e9),
)
LINKS = st.builds(
    Link, NAMES, alias=NAMES, kind=st.sampled_from(["", "veth"]), type=st.just(6), address=NAMES
)


def test_a_metric_that_the_page_cannot_render_is_refused() -> None:
    """The page renders one metric that depends on time by itself: another is not left out."""
    metrics = series_metrics(all_parameters=False)
    other = next(metric for metric in metrics if metric.depends_on == "time")
    with pytest.raises(ValueError, match="ip_interface_age_seconds"):
        Page(lambda: None, [*metrics, other._replace(name="ip_interface_age_seconds")])  # type: ignore[arg-type,return-value]


@st.composite
def notifications(draw: st.DrawFn) -> Notification:
    """Any notification about one of a few interfaces."""
    index, family = draw(st.integers(1, 5)), draw(st.sampled_from(FAMILIES))
    one = Interface(family, make_luid(6, index), index, draw(LINKS), draw(ROWS))
    at = draw(st.floats(0, 2e6))
    kind = draw(
        st.sampled_from(
            [
                NotificationType.ADD,
                NotificationType.DELETE,
                NotificationType.PARAMETER,
                NotificationType.REFRESH,
            ]
        )
    )
    row = one if draw(st.booleans()) else None
    return Notification(kind, family, one.luid, index, 1.7e9 + at, at, row, 1, 2)


class Fixture:
    """A page and its oracle over the same state."""

    def __init__(self, limit: int = 1000) -> None:
        self.state = State(Selection(), max_interfaces=limit, retention_seconds=100.0)
        self.health = Health(up=True, messages={"NEWLINK": 3}, overruns=0, dropped=None)
        self.now = 0.0
        metrics = series_metrics(all_parameters=True)
        self.page = Page(self.read, metrics)
        self.registry = CollectorRegistry()
        self.registry.register(CatalogCollector(self.read, metrics))

    def read(self) -> Snapshot:
        """The state now."""
        return Snapshot(self.state, self.health, ABOUT, self.now)


#: Filters and groups that move some of the interfaces of `notifications` elsewhere.
SELECTIONS = st.sampled_from(
    [
        Selection(),
        Selection(exclude=re.compile("eth0")),
        Selection(groups=(Group("some", re.compile("[a-f].*")),)),
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.lists(notifications(), max_size=8), st.none() | SELECTIONS), max_size=6),
    st.integers(1, 10),
    st.sampled_from([1, 2, 64]),
)
def test_the_cached_page_is_what_prometheus_client_prints(
    steps: list[tuple[list[Notification], Selection | None]], limit: int, block_size: int
) -> None:
    """After any changes, filters and names, both formats equal the library's, line for line.

    So does a page that renders all of it for the first time, and what gzip makes of it.
    """
    with patch("exporter.exposition.blocks.SIZE", block_size):
        check_every_page(Fixture(limit), steps, limit)


def check_every_page(
    fixture: Fixture, steps: list[tuple[list[Notification], Selection | None]], limit: int
) -> None:
    """Take the steps, and compare all pages after each."""
    for batch, selection in [*steps, ([], None)]:
        fixture.state.apply(batch)
        fixture.now += 17.3
        fixture.state.expire(fixture.now)
        if selection is not None:
            fixture.state.reconfigure(selection, limit, 100.0, fixture.now)
        assert rendered(fixture.page).split(b"\n") == generate_latest(fixture.registry).split(b"\n")
        openmetrics = rendered(fixture.page, Format.OPENMETRICS)
        assert openmetrics.split(b"\n") == generate_openmetrics(fixture.registry).split(b"\n")
        assert (
            rendered(Page(fixture.read, fixture.page._metrics), Format.OPENMETRICS) == openmetrics
        )
        assert one_member(rendered(fixture.page, Format.OPENMETRICS, gzip=True)) == openmetrics


def one_member(packed: bytes) -> bytes:
    """What a client that knows of one gzip member only makes of it, as browsers and curl do."""
    decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
    body = decoder.decompress(packed)
    assert decoder.eof, "cut off"
    assert not decoder.unused_data, "something behind the member"
    assert gzip.decompress(packed) == body
    return body


def test_hostile_names_stay_label_values() -> None:
    """Names with quotes, newlines and backslashes come back unchanged through a parser."""
    fixture = Fixture()
    names = ['a"b', "x\ny", "back\\slash", "\\n", "né\ufffd", "} 1\nfake 2"]
    rows = [
        Interface(FAMILIES[0], make_luid(6, i), i, Link(name), InterfaceRow())
        for i, name in enumerate(names, 1)
    ]
    fixture.state.load(rows, 0.0)
    families = {f.name: f for f in text_string_to_metric_families(rendered(fixture.page).decode())}
    assert [s.labels["device"] for s in families["ip_interface_connected"].samples] == names
    assert "fake" not in families


def test_time_in_state_moves_without_any_notification() -> None:
    """Between two scrapes with nothing in between, exactly the time in state has grown."""
    fixture = Fixture()
    row = Interface(FAMILIES[0], make_luid(6, 1), 1, Link("eth0"), InterfaceRow(connected=True))
    fixture.state.load([row], 0.0)
    first = rendered(fixture.page).splitlines()
    fixture.now = 2.5
    second = rendered(fixture.page).splitlines()
    changed = [new for old, new in zip(first, second, strict=True) if old != new]
    assert len(changed) == 1
    assert changed[0].startswith(b"ip_interface_state_seconds_total{")
    assert changed[0].endswith(b'state="connected"} 2.5')


def test_a_scrape_sees_one_state() -> None:
    """While notifications pour in, the sum over interfaces equals the total on every page."""
    fixture = Fixture()
    rows = [
        Interface(FAMILIES[0], make_luid(6, i), i, Link(f"v{i}"), InterfaceRow()) for i in (1, 2, 3)
    ]
    fixture.state.load(rows, 0.0)
    done = threading.Event()

    def storm() -> None:
        while not done.is_set():
            fixture.state.apply(
                Notification(NotificationType.PARAMETER, r.family, r.luid, r.ifindex, 1.0, 1.0, r)
                for r in rows
            )

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        for _ in range(200):
            page = rendered(fixture.page).decode()
            counts = {"ip_interface_churn": 0.0, "ip_interface_notifications": 0.0}
            for family in text_string_to_metric_families(page):
                if family.name in counts:
                    counts[family.name] = sum(sample.value for sample in family.samples)
            assert len(set(counts.values())) == 1, counts
    finally:
        done.set()
        thread.join()


def test_departed_series_leave_the_cache() -> None:
    """The page forgets what the state forgot: its cache does not grow with churn."""
    fixture = Fixture()
    for i in range(1, 400):
        row = Interface(FAMILIES[0], make_luid(6, i), i, Link(f"v{i}"), InterfaceRow())
        at = float(i)
        fixture.state.apply(
            [
                Notification(NotificationType.ADD, row.family, row.luid, i, at, at, row),
                Notification(NotificationType.DELETE, row.family, row.luid, i, at, at, row),
            ]
        )
        fixture.state.expire(at)
        rendered(fixture.page)
    fixture.state.expire(1e6)
    assert b'device="' not in rendered(fixture.page)
    assert not fixture.page._places
    assert not fixture.page._own
