"""The contract's callback over a recording: what was recorded comes as it came then."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from calls import Call, Calls, is_inside
from clauses import clause, only
from standin import TIMEOUT
from support.waiting import wait_until

from exporter.model import Family, NotificationType
from exporter.notify import IpHelperError, NotificationHandle
from exporter.sources.replay import ReplaySource

RECORDING = Path(__file__).parents[1] / "data" / "golden" / "recording.jsonl"

#: Type, family and index of each notification in the file, read without the source.
RECORDED = [
    (line["event"], line.get("family"), line.get("index"))
    for line in map(json.loads, RECORDING.read_text().splitlines())
    if line["event"] in ("initial", "add", "delete", "parameter")
]

CONTEXT = object()


class Replayed(Calls):
    """The calls of a registration with the recording."""

    handle: NotificationHandle

    def start(self, *, initial: bool = True) -> None:
        """Open the recording and begin to call back."""
        source = ReplaySource(str(RECORDING))
        source.open()
        self.handle = NotificationHandle(source, self, CONTEXT, initial=initial)
        self.handle.start()


@pytest.fixture(name="calls")
def _calls() -> Iterator[Replayed]:
    calls = Replayed()
    yield calls
    with suppress(IpHelperError):  # the test did
        calls.handle.cancel()


@clause("C6", "C7", "C18", "C19", "C20", "C23", "C26", "S1", "S2")
@only("replay")
def test_all_that_was_recorded(calls: Replayed) -> None:
    """Every recorded notification is one call, in order, on one thread; no other is."""
    calls.start()
    calls.wait(len(RECORDED))
    calls.handle.cancel()
    received = [
        (call.type.label, call.row and call.row.family.label, call.row and call.row.ifindex)
        for call in calls.all
    ]
    assert received == RECORDED
    assert {call.context for call in calls.all} == {CONTEXT}
    assert len({call.thread for call in calls.all}) == 1
    assert all(len(call.row) == 3 for call in calls.all if call.row)


@clause("C8", "C9", "C21", "C22")
@only("replay")
@pytest.mark.parametrize("initial", [True, False])
def test_initial(calls: Replayed, initial: bool) -> None:
    """The recorded confirmation is handed on only if asked for, and it alone has no row."""
    calls.start(initial=initial)
    calls.wait(len(RECORDED) - (not initial))
    rowless = [call.type for call in calls.all if call.row is None]
    assert rowless == [NotificationType.INITIAL] * initial
    assert Family.UNSPEC not in {call.row.family for call in calls.all if call.row}


@clause("C31", "C32", "C33", "S4", "S8", "S9")
@only("replay")
def test_cancel() -> None:
    """A cancel in the callback is refused, and counted as its failure; outside, it waits."""
    entered, release = threading.Event(), threading.Event()

    def cancel(call: Call) -> None:
        if call.row is None:
            calls.handle.cancel()
        entered.set()
        release.wait(TIMEOUT)

    calls = Replayed(cancel)
    calls.start()
    assert entered.wait(TIMEOUT)  # in the second call
    assert calls.handle.callback_errors == 1
    canceler = threading.Thread(target=calls.handle.cancel)
    canceler.start()
    wait_until(lambda: is_inside(canceler, "wait"), TIMEOUT)
    release.set()
    canceler.join(TIMEOUT)
    assert len(calls.all) == 2
