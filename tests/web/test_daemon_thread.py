"""Blocking functions beside the event loop."""

import asyncio
import threading

import pytest

from exporter.web.daemon_thread import run_in_daemon_thread


class Panic(BaseException):
    """What a library written in Rust raises for a defect: no Exception."""


@pytest.mark.parametrize(
    ("error", "raised"), [(ValueError("no"), ValueError), (Panic("no"), RuntimeError)]
)
def test_an_error_reaches_those_who_wait(error: BaseException, raised: type[Exception]) -> None:
    """Whatever the function raises, the wait ends, with an Exception."""

    def fail() -> None:
        raise error

    async def wait() -> None:
        await run_in_daemon_thread(fail, "test")

    with pytest.raises(raised, match="no"):
        asyncio.run(wait())


def test_a_result_that_nobody_waits_for_any_more_is_dropped() -> None:
    """A canceled wait, and a loop that is closed meanwhile, are no error of the thread."""
    begun, finish = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def work() -> int:
        threads.append(threading.current_thread())
        begun.set()
        finish.wait()
        return 1

    async def give_up() -> None:
        future = run_in_daemon_thread(work, "test")
        await asyncio.to_thread(begun.wait)
        future.cancel()

    errors: list[object] = []
    before, threading.excepthook = threading.excepthook, errors.append
    try:
        asyncio.run(give_up())
        finish.set()
        threads[0].join()
    finally:
        threading.excepthook = before
    assert errors == []
