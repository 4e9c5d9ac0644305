"""The monitor thread: it reads each row once, continues after errors, and stops."""

from __future__ import annotations

import queue
import threading

import pytest
from support.waiting import wait_until

from exporter.model import Family, Interface, InterfaceRow, Link, Notification, NotificationType
from exporter.monitor.state import Delta, State
from exporter.monitor.thread import Monitor
from exporter.sources.contract import Health, SourceClosed

ROW = Interface(Family.IPV4, 0x0006000003000000, 3, Link("eth0"), InterfaceRow(connected=True))


def bare(notification_type: NotificationType, luid: int = ROW.luid) -> Notification:
    """A notification as Windows sends it: without a row."""
    return Notification(notification_type, Family.IPV4, luid, 3, 1.0, 1.0)


class FakeSource:
    """A source that gives out what a test puts in."""

    backend = "fake"

    def __init__(self) -> None:
        self.health = Health(up=True)
        self.batches: queue.Queue[list[Notification] | Exception] = queue.Queue()
        self.reads: list[int] = []

    def open(self) -> None:
        """Nothing to open."""

    def receive(self, timeout: float | None) -> list[Notification]:
        """Return the next batch of the test, or raise its error."""
        item = self.batches.get()
        if isinstance(item, Exception):
            raise item
        return item

    def received_until(self) -> float:
        """Nothing is late."""
        return 1.0

    def interface(self, family: Family, luid: int) -> Interface | None:
        """Return the row of the one interface."""
        self.reads.append(luid)
        return ROW if luid == ROW.luid else None

    def interfaces(self, family: Family = Family.UNSPEC) -> list[Interface]:
        """One interface exists."""
        return [ROW]

    def close(self) -> None:
        """Unblock receive."""
        self.batches.put(SourceClosed())


def started(source: FakeSource, *observers: object) -> tuple[Monitor, State]:
    """A running monitor over a source."""
    state = State()
    monitor = Monitor(source, state, observers)  # type: ignore[arg-type]
    monitor.open()
    monitor.start()
    return monitor, state


def test_a_row_is_read_once_per_batch_and_interface() -> None:
    """However many notifications of an interface a batch has, its row is read once."""
    source = FakeSource()
    monitor, state = started(source)
    source.batches.put(
        [bare(NotificationType.PARAMETER)] * 50 + [bare(NotificationType.DELETE, luid=9)]
    )
    wait_until(lambda: state.churn[Family.IPV4][NotificationType.DELETE] == 1)
    monitor.stop()
    assert source.reads == [ROW.luid]
    assert state.churn[Family.IPV4] == [50, 0, 1]


def test_a_failing_receive_is_counted_and_collecting_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An unexpected error is counted and logged, and the next batch is taken."""
    monkeypatch.setattr("exporter.sources.contract.RETRY_SECONDS", 0.01)
    source = FakeSource()
    monitor, state = started(source)
    source.batches.put(OSError("odd"))
    source.batches.put([bare(NotificationType.PARAMETER)])
    wait_until(lambda: state.churn[Family.IPV4][NotificationType.PARAMETER] == 1)
    assert source.health.errors == {"receive": 1}
    monitor.stop()


def test_a_failing_observer_does_not_stop_the_others() -> None:
    """After an observer fails, counting and the other observers continue."""
    seen: list[int] = []

    def broken(batch: list[Notification], deltas: list[Delta]) -> None:
        raise RuntimeError("broken")

    source = FakeSource()
    monitor, _ = started(source, broken, lambda batch, deltas: seen.append(len(deltas)))
    source.batches.put([bare(NotificationType.PARAMETER)])
    source.batches.put([bare(NotificationType.PARAMETER)])
    wait_until(lambda: seen == [1, 1])
    assert source.health.errors == {"observe": 2}
    monitor.stop()


def test_stopping_ends_the_thread_whatever_it_does() -> None:
    """After stop there is no monitor thread, also when it was stopped twice."""
    source = FakeSource()
    monitor, _ = started(source)
    monitor.stop()
    monitor.stop()
    assert not monitor.alive
    assert "monitor" not in [thread.name for thread in threading.enumerate()]


def test_a_monitor_that_never_started_can_be_stopped() -> None:
    """A start-up that failed half-way leaves nothing to wait for."""
    source = FakeSource()
    Monitor(source, State()).stop()
