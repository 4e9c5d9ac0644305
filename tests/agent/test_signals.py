"""What the main thread waits for reaches it, always and at once."""

import os
import signal
import sys
import threading

import pytest

from exporter.agent.signals import RELOAD, Wishes


def test_wishes_come_in_order_and_one_at_a_time() -> None:
    """What was put before anybody waited is not lost, and nothing comes twice."""
    wishes = Wishes()
    for name in ("a", "b", "c"):
        wishes.put(name)
    assert [wishes.get() for _ in range(3)] == ["a", "b", "c"]
    assert wishes.get(timeout=0) is None
    wishes.close()
    wishes.put("too late")


def test_more_wishes_than_the_socket_holds_are_kept() -> None:
    """Nobody who wishes waits, however many wishes there are."""
    wishes = Wishes()
    wanted = [str(number) for number in range(100_000)]
    for name in wanted:
        wishes.put(name)
    assert [wishes.get(timeout=0) for _ in wanted] == wanted
    assert wishes.get(timeout=0) is None
    wishes.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP to send")
def test_no_signal_is_missed() -> None:
    """A signal at any moment, also just before the wait begins, ends the wait."""
    wishes = Wishes()
    heard = threading.Event()
    rounds = 3000

    def send() -> None:
        for _ in range(rounds):
            os.kill(os.getpid(), signal.SIGHUP)
            heard.wait(30)
            heard.clear()

    sender = threading.Thread(target=send, name="sender")
    before = signal.getsignal(signal.SIGHUP)
    with wishes.of_signals():
        sender.start()
        for _ in range(rounds):
            assert wishes.get(timeout=30) == RELOAD
            heard.set()
        sender.join()
    assert signal.getsignal(signal.SIGHUP) is before
    wishes.close()


def test_in_another_thread_signals_stay_as_they_are() -> None:
    """A Windows service runs beside the main thread, which alone may handle signals."""
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def use() -> None:
        wishes = Wishes()
        with wishes.of_signals():
            seen.append(signal.getsignal(signal.SIGTERM))
        wishes.close()

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert seen == [before]
