"""Signals and stop requests as a queue that the main thread waits on. It never polls."""

from __future__ import annotations

import ctypes
import queue
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

#: Requests a reload of the configuration; every other request is a reason to stop.
RELOAD = "SIGHUP"

#: The console events after which Windows ends the process as soon as the handler returns.
#: Source: https://learn.microsoft.com/windows/console/handlerroutine
_CONSOLE_EVENTS = {2: "CTRL_CLOSE_EVENT", 5: "CTRL_LOGOFF_EVENT", 6: "CTRL_SHUTDOWN_EVENT"}
#: How long the handler may wait: Windows' own limit is 5 s.
_CONSOLE_SECONDS = 4.8


class SignalQueue:
    """A queue of requests: names of signals, or other texts.

    Thread: `put` from any, `get` from one.

    A `queue.Queue` is not enough: a signal that arrives between a look into the queue and the
    wait would go unnoticed, and on Windows Ctrl-C does not end a wait on a lock. So `get`
    waits on a socket, to which Python writes as soon as a signal arrives.
    """

    def __init__(self) -> None:
        self._requests: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._ended = threading.Event()
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
        """Queue SIGTERM, SIGINT, SIGHUP and Ctrl-Break while the block runs.

        On Windows the end of the console, too: the process has as long as the block runs to
        stop in order, at most 5 s. Outside the main thread, as in a Windows service, it changes
        nothing. The handlers do nothing else, because they may interrupt the logging module.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def enqueue(number: int, _: FrameType | None) -> None:
            self.put(signal.Signals(number).name)

        names = ("SIGTERM", "SIGINT", "SIGBREAK", RELOAD)
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        wakeup_fd = signal.set_wakeup_fd(self._wake_writer.fileno(), warn_on_full_buffer=False)
        handlers = {number: signal.signal(number, enqueue) for number in numbers}
        try:
            with _console_handler(self.console_event):
                yield
        finally:
            self._ended.set()
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(wakeup_fd)

    def console_event(self, event: int) -> bool:
        """Queue the end of the console and wait until the captured block has ended.

        Return whether the event is handled. Thread: one that Windows makes for each event.
        """
        name = _CONSOLE_EVENTS.get(event)
        if name is None:  # Ctrl-C and Ctrl-Break are signals
            return False
        self.put(name)
        self._ended.wait(_CONSOLE_SECONDS)
        return True


@contextmanager
def _console_handler(handle: Callable[[int], bool]) -> Iterator[None]:
    """Call `handle` with each console event of Windows while the block runs.

    Source: https://learn.microsoft.com/windows/console/setconsolectrlhandler
    """
    if sys.platform != "win32":
        yield
        return
    routine = ctypes.WINFUNCTYPE(ctypes.c_int, ctypes.c_uint32)(handle)
    ctypes.windll.kernel32.SetConsoleCtrlHandler(routine, 1)
    try:
        yield
    finally:
        ctypes.windll.kernel32.SetConsoleCtrlHandler(routine, 0)
