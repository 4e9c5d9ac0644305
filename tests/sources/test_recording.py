"""Recordings: what is written is read back; other lines are reported and left out."""

from __future__ import annotations

import json
import resource
import tempfile
import threading
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rendering import rendered
from support.waiting import DEADLINE

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
from exporter.monitor.recording_writer import Recorder
from exporter.monitor.state import State
from exporter.sources.contract import SourceClosed
from exporter.sources.recording import (
    Present,
    RecordingError,
    Start,
    decode,
    encode,
    encode_present,
    encode_start,
)
from exporter.sources.replay import ReplaySource

TEXT = st.text(max_size=15)
SECONDS = st.floats(0, 9e9)
PARAMETERS = st.builds(
    partial(InterfaceRow),
    connected=st.booleans(),
    mtu_bytes=st.none() | st.integers(0, 2**32 - 1),
    base_reachable_time_seconds=st.none() | st.floats(0, 1e6),
    zone_indices=st.none() | st.lists(st.integers(0, 9), max_size=16).map(tuple),
)
INTERFACES = st.builds(
    Interface,
    st.sampled_from(FAMILIES),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**32 - 1),
    st.builds(Link, TEXT, TEXT, TEXT, st.integers(0, 999), TEXT, TEXT, TEXT),
    PARAMETERS,
    st.builds(
        LinkStatus,
        st.none() | st.booleans(),
        st.sampled_from(OperStatus),
        st.none() | st.booleans(),
    ),
)
COUNTS = st.integers(0, 2**32 - 1)
ROW = (
    b'{"time":1,"event":"add","family":"ipv4","luid":"0x06","index":3,"link":{"name":"e"},"row":{}}'
)
LINE = b'{"time":1,"event":"add","family":"ipv4","luid":"0x06","index":3}'


@given(
    st.sampled_from(
        [
            NotificationType.ADD,
            NotificationType.DELETE,
            NotificationType.PARAMETER,
            NotificationType.REFRESH,
        ]
    ),
    INTERFACES,
    st.booleans(),
    SECONDS,
    SECONDS,
    COUNTS,
    COUNTS,
    st.booleans(),
)
def test_a_notification_survives_the_recording(
    notification_type: NotificationType,
    of: Interface,
    row: bool,
    time: float,
    instant: float,
    connects: int,
    disconnects: int,
    inferred: bool,
) -> None:
    """Any notification that is written is read back equal."""
    n = Notification(
        notification_type,
        of.family,
        of.luid,
        of.ifindex,
        time,
        instant,
        of if row else None,
        connects,
        disconnects,
        inferred,
    )
    assert decode(encode(n).encode()) == n


@given(INTERFACES, SECONDS, SECONDS)
def test_a_present_interface_survives_the_recording(
    interface: Interface, time: float, instant: float
) -> None:
    """Any interface that existed at the start is read back equal."""
    line = encode_present(interface, time, instant)
    assert decode(line.encode()) == Present(time, instant, interface)


@given(SECONDS, SECONDS)
def test_the_first_line_names_the_format(time: float, instant: float) -> None:
    """A recording begins with its format."""
    assert decode(encode_start(time, instant).encode()) == Start(time, instant, 1)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"hello", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"[" * 5000, "not JSON"),
        (b'{"time":"x"}', "\"time\" is 'x'"),
        (b'{"time":1e400}', '"time" is inf'),
        (b'{"time":NaN}', '"time" is nan'),
        (b'{"time":-1}', '"time" is -1: expected seconds'),
        (b'{"time":1700000000000}', "before the year 2262"),  # milliseconds
        (b'{"time":1' + b"0" * 400 + b"}", "before the year 2262"),
        (LINE.replace(b"add", b"added"), "\"event\" is 'added'"),
        (LINE.replace(b'"add"', b"[]"), "\"event\" is '[]'"),
        (LINE.replace(b"ipv4", b"ipx"), 'unknown family "ipx"'),
        (LINE.replace(b"0x06", b"six"), "\"luid\" is 'six'"),
        (LINE.replace(b"0x06", b"0x" + b"f" * 17), "64 bits"),
        (LINE.replace(b":3}", b":-3}"), '"index" is -3'),
        (b'{"time":1,"event":"start"}', '"format" is None'),
        (LINE.replace(b":3}", b':3,"link":{"kind":"e"},"row":{}}'), 'no "name"'),
        (LINE.replace(b":3}", b':3,"link":{"name":3},"row":{}}'), "link.name"),
        (LINE.replace(b":3}", b':3,"link":{"name":"\\ud800"},"row":{}}'), "half of a surrogate"),
        (
            LINE.replace(b":3}", b':3,"link":{"name":"\xed\xa0\x80"},"row":{}}'),
            "half of a surrogate",
        ),
        (LINE.replace(b":3}", b':3,"link":{"name":"e","type":-1},"row":{}}'), '"type" is -1'),
        (LINE.replace(b":3}", b':3,"link":{"name":"e"}}'), '"row" is None'),
        (LINE.replace(b":3}", b':3,"link":{"name":"e"},"row":{"mtu_bytes":"1"}}'), "mtu_bytes"),
        (
            LINE.replace(b":3}", b':3,"link":{"name":"e"},"row":{"mtu_bytes":1%s}}' % (b"0" * 400)),
            "2^63",
        ),
        (LINE.replace(b":3}", b':3,"link":{"name":"e"},"row":{"mtu_bytes":NaN}}'), "2^63"),
        (LINE.replace(b":3}", b':3,"link":{"name":"e"},"row":{"connected":2}}'), "connected"),
        (LINE.replace(b":3}", b':3,"unobserved":[1]}'), "unobserved"),
        (ROW.replace(b"}}", b'},"status":1}'), '"status" is 1'),
        (ROW.replace(b"}}", b'},"status":{"enabled":1}}'), '"status.enabled" is 1'),
        (
            ROW.replace(b"}}", b'},"status":{"oper_status":"upp"}}'),
            "\"status.oper_status\" is 'upp': expected one of up, down",
        ),
        (ROW.replace(b"}}", b'},"status":{"oper_status":[]}}'), "oper_status"),
        (b'{"a":"' + b"x" * 70000 + b'"}', "longer than"),
    ],
)
def test_a_bad_line_says_what_is_wrong(line: bytes, message: str) -> None:
    """Every kind of bad line has a message that names the member and its value."""
    with pytest.raises(RecordingError) as caught:
        decode(line)
    assert message in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.sampled_from(
    ["time", "instant", "event", "family", "luid", "index", "link", "row", "status", "inferred"]
)


@given(st.dictionaries(MEMBERS, JSON), st.binary(max_size=60))
def test_no_line_breaks_the_reader(changed: dict[str, object], garbage: bytes) -> None:
    """Any line is read, or refused with RecordingError."""
    for line in (garbage, json.dumps(json.loads(LINE) | changed).encode()):
        try:
            decode(line)
        except RecordingError:
            continue


def test_unknown_members_are_ignored_and_reported() -> None:
    """Members that a later version adds to any object are left out, and the rest is read."""
    line = json.loads(ROW) | {"new": [1], "status": {"enabled": True, "speed": 9}}
    line["link"]["mtu"] = line["row"]["color"] = 1
    unknown: list[str] = []
    n = decode(json.dumps(line).encode(), unknown.append)
    assert n == decode(json.dumps(json.loads(ROW) | {"status": {"enabled": True}}).encode())
    assert sorted(unknown) == ["link.mtu", "new", "row.color", "status.speed"]


def drain(source: ReplaySource) -> list[Notification]:
    """Return all notifications of a replay."""
    out: list[Notification] = []
    while not source.ended.is_set():
        out += source.receive(0)
    return out


def row(name: str = "eth0") -> Interface:
    """Return an interface to record."""
    return Interface(Family.IPV4, 0x0006000003000000, 3, Link(name), InterfaceRow(connected=True))


def recorded(path: Path, *notifications: Notification) -> Path:
    """Write a recording of one present interface and of some notifications."""
    recorder = Recorder(str(path))
    recorder.begin([row()], 99.0, 9.0)
    recorder(notifications, ())
    recorder.close()
    return path


def event(at: float) -> Notification:
    """Return a notification at an instant."""
    return Notification(
        NotificationType.PARAMETER, Family.IPV4, row().luid, 3, 90.0 + at, at, row()
    )


def test_a_replay_gives_what_was_recorded(tmp_path: Path) -> None:
    """Present interfaces are listed, notifications received, and the clock is that of both."""
    source = ReplaySource(str(recorded(tmp_path / "r", event(10.0), event(12.5))))
    source.open()
    assert source.interfaces() == [row()]
    assert source.clock.monotonic() == 9.0
    assert drain(source) == [event(10.0), event(12.5)]
    assert (source.clock.wall(), source.clock.monotonic()) == (102.5, 12.5)
    source.close()
    with pytest.raises(SourceClosed):
        source.receive(0)


def test_the_debug_log_has_each_notification(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At level debug each notification is logged with its changes; at info none is."""
    changed = event(12.5)
    assert changed.interface
    parameters = changed.interface.parameters._replace(mtu_bytes=1300)
    changed = changed._replace(interface=changed.interface._replace(parameters=parameters))
    path = str(recorded(tmp_path / "r", event(10.0), changed))
    for level in ("INFO", "DEBUG"):
        caplog.set_level(level, "exporter")
        source = ReplaySource(path)
        source.open()
        drain(source)
        source.close()
    logged = [record.__dict__["fields"] for record in caplog.records]
    assert [record.getMessage() for record in caplog.records] == ["Notification"] * 2
    assert [fields["changed"] for fields in logged] == ["", "mtu_bytes"]
    assert logged[0].items() >= {"device": "eth0", "family": changed.family.label}.items()


def test_bad_lines_are_counted_reported_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file with bad lines gives all its good ones, and a message with each line's number."""
    path = recorded(tmp_path / "r", event(10.0))
    with path.open("ab") as file:
        file.write(b"\xff\xfe\n\nnot json\n" + b"x" * 300_000 + b"\n")
        file.write(encode(event(11.0)).encode())
        file.write(encode(event(12.0)).encode()[:-20])  # a recorder killed in mid-line
    source = ReplaySource(str(path))
    source.open()
    assert drain(source) == [event(10.0), event(11.0)]
    assert source.health.errors == {"replay": 4}
    logged = [record.__dict__["fields"] for record in caplog.records]
    content = path.read_bytes()
    starts = [content.index(line) for line in (b"\xff", b"not json", b"x" * 9)]
    starts.append(content.rindex(b"\n") + 1)
    assert [(fields["file"], fields["line"], fields["byte"]) for fields in logged] == [
        (str(path), number, start) for number, start in zip((4, 6, 7, 9), starts, strict=True)
    ]
    assert source.health.replay_lines == 9
    source.close()


def test_the_recorded_pace_keeps_the_distances(tmp_path: Path) -> None:
    """At the recorded pace a notification comes at its time, and not before."""
    source = ReplaySource(str(recorded(tmp_path / "r", event(9.0), event(9.2))), recorded_pace=True)
    source.open()
    began = source.clock.monotonic()
    assert source.receive(DEADLINE) == [event(9.0)]
    assert source.receive(0.01) == []
    assert source.receive(DEADLINE) == [event(9.2)]
    assert source.receive(0.01) == []
    assert source.clock.monotonic() == 9.2, "it stops at the end"
    assert source.clock.monotonic() - began >= 0.19
    source.close()


def test_close_unblocks_a_waiting_replay(tmp_path: Path) -> None:
    """A replay at its end waits without a limit, until another thread closes it."""
    source = ReplaySource(str(recorded(tmp_path / "r")))
    source.open()
    ended = threading.Event()

    def wait() -> None:
        with pytest.raises(SourceClosed):
            source.receive(None)
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert source.ended.wait(DEADLINE)
    source.close()
    source.close()
    assert ended.wait(DEADLINE)
    thread.join()


def test_the_list_of_an_appended_recording_is_inferred(tmp_path: Path) -> None:
    """The interfaces that a second recording in one file lists are inferred."""
    path = recorded(tmp_path / "one", event(10.0))
    other = recorded(tmp_path / "two", event(20.0))
    path.write_bytes(path.read_bytes() + other.read_bytes())
    source = ReplaySource(str(path))
    source.open()
    types = [(n.type, n.inferred) for n in drain(source)]
    assert types == [
        (NotificationType.PARAMETER, False),
        (NotificationType.REFRESH, True),
        (NotificationType.PARAMETER, False),
    ]
    source.close()


def after_reboot(n: Notification) -> Notification:
    """Return the same notification on a clock that restarted."""
    return n._replace(time=n.time + 1e6, instant=n.instant - 9.0)


def lost(at: float, name: str = "eth0") -> Notification:
    """Return a disconnection at an instant."""
    gone = row(name)._replace(parameters=InterfaceRow(connected=False))
    return event(at)._replace(interface=gone)


@pytest.mark.parametrize("old", [False, True], ids=["with a first line", "without"])
def test_a_reboot_inside_a_file_joins_the_times(tmp_path: Path, old: bool) -> None:
    """The clock of the second recording may begin at any time: it continues that of the first.

    An outage at the end of the first recording has no length.
    """
    path = recorded(tmp_path / "one", event(10.0), lost(12.0))
    second = [
        encode_start(1e6, 1.0),
        encode_present(row(), 1e6, 1.0),
        *map(encode, map(after_reboot, (lost(11.0), event(11.5), lost(13.0)))),
    ]
    with path.open("a") as file:
        file.writelines(second[old:])
    source = ReplaySource(str(path))
    source.open()
    received = drain(source)
    assert [n.instant for n in received] == [10.0, 12.0, 12.0, 13.0, 13.5, 15.0]
    state = State()
    state.load(source.interfaces(), 9.0)
    state.count(received)
    (series,) = state.series_sets
    assert (series.transitions, series.unobserved) == ([3, 1], [0, 1])
    assert series.seconds(15.0, connected=True) == 3.0 + 1.0 + 1.5
    outages = state.outages[Family.IPV4]
    assert (outages.cumulative()[-1], outages.sum) == (("+Inf", 1), 0.5)


def test_changes_between_two_recordings_are_inferred(tmp_path: Path) -> None:
    """Interfaces that the second does not list are deleted, those that only it lists are added."""
    path = recorded(tmp_path / "one", event(10.0))
    other = row("wlan0")._replace(luid=0x0047_0000_0400_0000, ifindex=4)
    with path.open("a") as file:
        file.writelines([encode_start(1e6, 1.0), encode_present(other, 1e6, 1.0)])
    source = ReplaySource(str(path))
    source.open()
    _, *inferred = drain(source)
    assert [(n.type, n.luid, n.inferred) for n in inferred] == [
        (NotificationType.DELETE, row().luid, True),
        (NotificationType.ADD, other.luid, True),
    ]


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    """A file in a newer format is refused; an appended recording in one ends the replay."""
    newer = json.dumps({"format": 2, "time": 1, "event": "start"}) + "\n"
    path = tmp_path / "newer"
    path.write_text(newer)
    with pytest.raises(OSError, match="recorded in format 2") as caught:
        ReplaySource(str(path)).open()
    assert caught.value.filename == str(path)
    path = recorded(tmp_path / "r", event(10.0))
    with path.open("a") as file:
        file.writelines([newer, encode(event(11.0))])
    source = ReplaySource(str(path))
    source.open()
    assert drain(source) == [event(10.0)]
    assert source.health.errors == {"replay": 1}


def test_a_replay_counts_what_it_read(tmp_path: Path) -> None:
    """Lines, unknown members, and the end of the replay are counted."""
    path = recorded(tmp_path / "r", event(10.0))
    with path.open("a") as file:
        file.write(encode(event(11.0)).replace('"event"', '"color":1,"event"'))
    source = ReplaySource(str(path))
    source.open()
    health = source.health
    assert health.replay_finished is False
    drain(source)
    assert (health.replay_lines, health.replay_unknown_members) == (4, 1)
    assert health.replay_finished is True


def pages(path: Path, scrape_before: list[bool], *, recorded_pace: bool = False) -> bytes:
    """Return the last page of a replay with or without scrapes in between."""
    source = ReplaySource(str(path), recorded_pace=recorded_pace)
    source.open()
    state = State(retention_seconds=1.0)
    state.load(source.interfaces(), source.clock.monotonic())
    about = BuildInfo("1", "r", "3", "replay")
    page = Page(
        lambda: Snapshot(state, source.health, about, source.received_until()),
        series_metrics(all_parameters=True),
    )
    scrapes = iter(scrape_before)
    while not source.ended.is_set():
        for n in source.receive(0) or [None]:
            if next(scrapes, False):
                rendered(page)
            if n is not None:
                state.count([n])
    return rendered(page)


@given(
    st.lists(
        st.tuples(st.floats(0.0, 3.0), st.booleans(), st.integers(1, 2), st.booleans()),
        max_size=12,
    ),
    st.lists(st.booleans(), max_size=20),
)
def test_a_file_gives_one_page_however_it_is_scraped(
    steps: list[tuple[float, bool, int, bool]], scrapes: list[bool]
) -> None:
    """Flaps, deletions and retention give the same page, with scrapes at any moment."""
    lines, now = [encode_start(0.0, 0.0)], 0.0
    for seconds, connected, index, deleted in steps:
        now += seconds
        one = row(f"eth{index}")._replace(
            luid=make_luid(6, index),
            ifindex=index,
            parameters=InterfaceRow(connected=connected),
        )
        type_ = NotificationType.DELETE if deleted else NotificationType.PARAMETER
        lines.append(encode(Notification(type_, *one[:3], now, now, one)))
    with tempfile.NamedTemporaryFile("w") as file:
        file.writelines(lines)
        file.flush()
        assert pages(Path(file.name), scrapes) == pages(Path(file.name), [])


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """When the disk is full, the error names the file and the position.

    Closing the file, which tries to write the rest, puts no other error in its place.
    """
    path = tmp_path / "r"
    recorder = Recorder(str(path))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match="after byte") as caught:
            recorder.begin([row()], 99.0, 9.0)
        recorder.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(path)
    assert str(caught.value.strerror).endswith(f"after byte {len(encode_start(99.0, 9.0))}")


def test_a_recorder_overwrites_nothing(tmp_path: Path) -> None:
    """An existing file is refused and stays as it was."""
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(FileExistsError):
        Recorder(str(path))
    assert path.read_text() == "data"


def test_every_line_is_flushed_before_the_next(tmp_path: Path) -> None:
    """A reader of the file sees each line as soon as it was recorded."""
    path = tmp_path / "r"
    recorder = Recorder(str(path))
    for count in range(1, 4):
        recorder([event(float(count))], ())
        assert len(path.read_bytes().splitlines()) == count
    recorder.close()
