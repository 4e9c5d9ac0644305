"""The whole way from a recording to the page, compared byte for byte.

After a wanted change, ``UPDATE_GOLDEN=1 python -m pytest tests/exposition/test_golden.py``
writes the pages again; read their diff before you commit it.
"""

import os
from pathlib import Path

import pytest
from support.rendering import rendered
from support.waiting import wait_until

from exporter.exposition.negotiation import Format
from exporter.exposition.page import Page
from exporter.metrics.catalog import series_metrics
from exporter.metrics.snapshot import BuildInfo, Snapshot
from exporter.monitor.state import State
from exporter.monitor.thread import Monitor
from exporter.sources.replay import ReplaySource

DATA = Path(__file__).parents[1] / "data" / "golden"


@pytest.mark.parametrize("all_parameters", [False, True], ids=["core", "all"])
@pytest.mark.parametrize("format", list(Format), ids=lambda format: format.name.lower())
def test_a_replay_gives_the_golden_page(all_parameters: bool, format: Format) -> None:
    """A recording with every kind of event, replayed, gives exactly the page on file."""
    source = ReplaySource(str(DATA / "recording.jsonl"))
    state = State()
    monitor = Monitor(source, state, clock=source.clock)
    about = BuildInfo("1.2.3", "0123abc", "3.11.2", "replay")
    page = Page(
        lambda: Snapshot(state, source.health, about, source.clock.monotonic()),
        series_metrics(all_parameters=all_parameters),
    )
    monitor.open()
    monitor.start()
    wait_until(source.ended.is_set)
    body = rendered(page, format)
    monitor.stop()

    suffix = "openmetrics" if format is Format.OPENMETRICS else "prom"
    golden = DATA / f"page-{'all' if all_parameters else 'core'}.{suffix}"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_bytes(body)
    assert body.decode() == golden.read_text()
