"""Runs a blocking function beside the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


def run_in_daemon_thread(function: Callable[[], T], name: str) -> asyncio.Future[T]:
    """Start a thread for `function` and return a future for its result or exception.

    The thread is a daemon, so that the process can end without waiting for it; the threads of
    `asyncio.to_thread` are not. Thread: the event loop's.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def set_result(result: T) -> None:
        if not future.done():
            future.set_result(result)

    def set_exception(error: Exception) -> None:
        if not future.done():
            future.set_exception(error)

    def run() -> None:
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001  (raised where the future is awaited)
            # A panic in Rust, as in bcrypt, is no Exception, and would end more than a request.
            failure = error if isinstance(error, Exception) else RuntimeError(repr(error))
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(set_exception, failure)
        else:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(set_result, result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
