"""From what a socket might give to the page: no stream of datagrams breaks anything on the way."""

from hypothesis import given
from hypothesis import strategies as st
from support import recorded
from support.agent import Metrics
from support.consistency import contradictions, contradictions_between
from support.rendering import rendered

from exporter.bindings import rtnetlink as nl
from exporter.exposition.page import Page
from exporter.metrics.catalog import series_metrics
from exporter.metrics.snapshot import BuildInfo, Snapshot
from exporter.model import FAMILIES
from exporter.monitor.state import State
from exporter.sources.contract import Health
from exporter.sources.linux.links import LinkTable
from exporter.sources.linux.notifications import Notifications
from exporter.sources.linux.replies import Replies

DATAGRAMS = st.sampled_from([data for _, data in recorded.datagrams()])
EDITS = st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=3)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """A recorded datagram with bytes overwritten and, now and then, cut off."""
    data = bytearray(draw(DATAGRAMS))
    for place, value in draw(EDITS):
        data[place % len(data)] = value
    return bytes(data[: len(data) - draw(st.sampled_from([0, 0, 0, 1, 4, 17])) % len(data)])


class Pipeline:
    """What the agent is without its sockets and threads."""

    def __init__(self) -> None:
        self.now = 0.0
        self.table = LinkTable(FAMILIES)
        self.notifications = Notifications(self.table)
        self.replies = Replies(self.table)
        self.state = State(retention_seconds=1e9)
        about = BuildInfo("1", "0", "3", "rtnetlink")
        health = Health(up=True)
        self.page = Page(
            lambda: Snapshot(self.state, health, about, self.now),
            series_metrics(all_parameters=True),
        )

    def take(self, datagram: bytes) -> None:
        """All the messages of one, as the source and the collector would take them."""
        for kind, _, _, _, start, end in nl.messages(datagram, len(datagram)):
            self.now += 0.5
            if kind in nl.MESSAGE_NAMES:
                self.table.received_at(1.7e9 + self.now, self.now)
                self.notifications.apply(kind, datagram, start, end)
        self.apply()

    def reply(self) -> None:
        """No link that is asked about exists any more."""
        self.table.received_at(1.7e9 + self.now, self.now)
        for index in [*self.table.requests, *(self.table.departing or ())[1:]]:
            self.replies.no_link(index, 1)
        self.apply()

    def apply(self) -> None:
        """What it amounted to, into the state."""
        self.state.apply(self.table.drain())

    def scrape(self) -> Metrics:
        """The page as a scraper reads it."""
        return Metrics(rendered(self.page).decode())


@given(st.lists(streams(), max_size=12))
def test_any_stream_leaves_a_page_that_is_valid_and_true(stream: list[bytes]) -> None:
    """Real datagrams, damaged and in any order: nothing raises, and every page adds up."""
    pipeline = Pipeline()
    before = pipeline.scrape()
    for datagram in stream:
        pipeline.take(datagram)
    pipeline.reply()
    after = pipeline.scrape()
    assert contradictions(after) == []
    assert contradictions_between(before, after) == []
    pipeline.replies.begin_dump()
    pipeline.replies.end_dump()
    pipeline.reply()
    assert contradictions(pipeline.scrape()) == []
