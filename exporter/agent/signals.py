"""What the main thread waits for: signals, and what other threads want. It never polls."""

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

#: Asks for the configuration to be read again; every other wish is a reason to stop.
RELOAD = "SIGHUP"


class Wishes:
    """A queue of names of signals and of other reasons. Thread: `put` from any, `get` from one.

    A queue alone would not do: a signal that comes between looking into it and beginning to
    wait would be noticed by nobody, and on Windows Ctrl-C does not end a wait at all. So the
    wait is for a socket, into which Python writes the moment a signal comes.
    """

    def __init__(self) -> None:
        self._names: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._awakened, self._awaken = socket.socketpair()
        self._awakened.setblocking(False)
        self._awaken.setblocking(False)

    def put(self, name: str) -> None:
        """Wish something. Never waits; after `close` it does nothing."""
        self._names.put(name)
        with suppress(OSError):  # full: it is awake already
            self._awaken.send(b"\0")

    def get(self, timeout: float | None = None) -> str | None:
        """The next wish; ``None`` if there was none for so many seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            with suppress(queue.Empty):
                return self._names.get_nowait()
            left = None if end is None else max(0.0, end - time.monotonic())
            if not select.select([self._awakened], [], [], left)[0]:
                return None
            with suppress(BlockingIOError):
                self._awakened.recv(4096)

    def close(self) -> None:
        """Release the sockets."""
        self._awaken.close()
        self._awakened.close()

    @contextmanager
    def of_signals(self) -> Iterator[None]:
        """For the length of the block, SIGTERM, SIGINT and SIGHUP are wishes.

        Only in the main thread; in another, as in a Windows service, nothing changes. The
        handlers do nothing else: logging may be what they interrupted.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def wish(number: int, _: FrameType | None) -> None:
            self.put(signal.Signals(number).name)

        names = ("SIGTERM", "SIGINT", RELOAD)
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        awakened = signal.set_wakeup_fd(self._awaken.fileno(), warn_on_full_buffer=False)
        before = {number: signal.signal(number, wish) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(awakened)
