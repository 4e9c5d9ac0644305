"""Signals and stop requests as a queue that the main thread waits on. It never polls."""

from __future__ import annotations

import queue
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

#: Requests a reload of the configuration; every other request is a reason to stop.
RELOAD = "SIGHUP"


class SignalQueue:
    """A queue of requests: names of signals, or other texts.

    Thread: `put` from any, `get` from one.

    A `queue.Queue` is not enough: a signal that arrives between a look into the queue and the
    wait would go unnoticed, and on Windows Ctrl-C does not end a wait on a lock. So `get`
    waits on a socket, to which Python writes as soon as a signal arrives.
    """

    def __init__(self) -> None:
        self._requests: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._wake_reader, self._wake_writer = socket.socketpair()
        for sock in (self._wake_reader, self._wake_writer):
            sock.settimeout(0.0)  # non-blocking

    def __repr__(self) -> str:
        return f"<SignalQueue length={self._requests.qsize()}>"

    def put(self, request: str) -> None:
        """Queue a request. Never blocks; a no-op after `close`."""
        self._requests.put(request)
        with suppress(OSError):  # the buffer is full: `get` wakes up anyway
            self._wake_writer.send(b"\0")

    def get(self, timeout: float | None = None) -> str | None:
        """Return the next request, or ``None`` after `timeout` seconds without one."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with suppress(queue.Empty):
                return self._requests.get_nowait()
            wait = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self._wake_reader], [], [], wait)[0]:
                return None
            with suppress(BlockingIOError):
                self._wake_reader.recv(4096)

    def close(self) -> None:
        """Release the sockets."""
        self._wake_writer.close()
        self._wake_reader.close()

    @contextmanager
    def capture(self) -> Iterator[None]:
        """Queue SIGTERM, SIGINT and SIGHUP while the block runs, instead of handling them.

        Outside the main thread, as in a Windows service, it changes nothing. The handlers do
        nothing else, because they may interrupt the logging module.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def enqueue(number: int, _: FrameType | None) -> None:
            self.put(signal.Signals(number).name)

        names = ("SIGTERM", "SIGINT", RELOAD)
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        wakeup_fd = signal.set_wakeup_fd(self._wake_writer.fileno(), warn_on_full_buffer=False)
        handlers = {number: signal.signal(number, enqueue) for number in numbers}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(wakeup_fd)
