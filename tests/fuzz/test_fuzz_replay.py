"""Whole recordings with anything in them: what is good is given out, what is not is counted."""

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from support.rendering import rendered

from exporter.exposition.page import Page
from exporter.metrics.catalog import series_metrics
from exporter.metrics.snapshot import BuildInfo, Snapshot
from exporter.model import Notification
from exporter.monitor.state import State
from exporter.sources.recording import RecordingError, decode
from exporter.sources.replay import ReplaySource

GOOD = (Path(__file__).parents[1] / "data" / "golden" / "recording.jsonl").read_bytes().splitlines()


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """A line of a recording, mostly with something overwritten or missing."""
    strange = draw(st.sampled_from([b"", b"%b", b"\\u0000", b"\\ud800", b"\xed\xa0\x80", b"\xff"]))
    good = draw(st.sampled_from(GOOD)).replace(b'"name":"', b'"name":"' + strange)
    line = bytearray(good)
    for place, value in draw(st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=2)))):
        place %= len(line) + 1
        line[place : place + len(value)] = value
    return bytes(line).replace(b"\n", b" ")


def is_bad(line: bytes) -> bool:
    """Whether a line alone cannot be read; a blank one says nothing."""
    try:
        decode(line)
    except RecordingError:
        return bool(line.strip())
    return False


@given(st.lists(lines() | st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"")), max_size=20))
def test_any_file_is_given_out_but_for_its_bad_lines(content: list[bytes]) -> None:
    """As many errors are counted as there are lines that cannot be read, and nothing raises.

    What was given out can be published.
    """
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(b"".join(line + b"\n" for line in content))
        source = ReplaySource(file.name)
        source.open()
        given_out: list[Notification] = []
        while not source.ended.is_set():
            given_out += source.receive(0)
        source.close()
    assert source.health.errors.get("replay", 0) == sum(map(is_bad, content))
    recorded = [n for n in given_out if not n.inferred]  # inferred: between two recordings
    assert len(recorded) + len(source.interfaces()) <= len(content)
    state = State()
    state.load(source.interfaces(), 0.0)
    state.count(given_out)
    reading = Snapshot(state, source.health, BuildInfo("", "", "", "replay"), 0.0)
    assert rendered(Page(lambda: reading, series_metrics(all_parameters=True))).endswith(b"\n")
