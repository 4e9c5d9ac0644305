"""The main thread gets every request and signal that it waits for, at once."""

import os
import signal
import sys
import threading

import pytest
from support.waiting import DEADLINE

from exporter.agent import signals
from exporter.agent.signals import RELOAD, SignalQueue


def test_requests_come_in_order_and_one_at_a_time() -> None:
    """A request before the wait is not lost, and no request comes twice."""
    requests = SignalQueue()
    for name in ("a", "b", "c"):
        requests.put(name)
    assert [requests.get() for _ in range(3)] == ["a", "b", "c"]
    assert requests.get(timeout=0) is None
    requests.close()
    requests.put("too late")


def test_more_requests_than_the_socket_holds_are_kept() -> None:
    """A request never blocks, however many there are."""
    requests = SignalQueue()
    wanted = [str(number) for number in range(100_000)]
    for name in wanted:
        requests.put(name)
    assert [requests.get(timeout=0) for _ in wanted] == wanted
    assert requests.get(timeout=0) is None
    requests.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP to send")
def test_no_signal_is_missed() -> None:
    """A signal at any moment, also just before the wait begins, ends the wait."""
    requests = SignalQueue()
    received = threading.Event()
    rounds = 3000

    def send() -> None:
        for _ in range(rounds):
            os.kill(os.getpid(), signal.SIGHUP)
            received.wait(DEADLINE)
            received.clear()

    sender = threading.Thread(target=send, name="sender")
    before = signal.getsignal(signal.SIGHUP)
    with requests.capture():
        sender.start()
        for _ in range(rounds):
            assert requests.get(timeout=DEADLINE) == RELOAD
            received.set()
        sender.join()
    assert signal.getsignal(signal.SIGHUP) is before
    requests.close()


def test_in_another_thread_signals_stay_as_they_are() -> None:
    """A Windows service runs beside the main thread, which alone may handle signals."""
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def use() -> None:
        requests = SignalQueue()
        with requests.capture():
            seen.append(signal.getsignal(signal.SIGTERM))
        requests.close()

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert seen == [before]


def test_the_end_of_the_console_waits_for_the_end_of_the_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Windows ends the process when its handler returns, so it returns after the block."""
    requests = SignalQueue()
    close, ctrl_break = 2, 1
    monkeypatch.setattr(signals, "_CONSOLE_SECONDS", DEADLINE)
    results: list[bool] = []
    ended = threading.Event()

    def windows() -> None:
        results.append(requests.console_event(close))
        results.append(ended.is_set())

    handler = threading.Thread(target=windows, name="console")
    with requests.capture():
        handler.start()
        assert requests.get(timeout=DEADLINE) == "CTRL_CLOSE_EVENT"
        ended.set()
    handler.join()
    assert results == [True, True]
    assert not requests.console_event(ctrl_break), "that is a signal"
    requests.close()
