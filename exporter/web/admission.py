"""What the connections of one server share: its limits, and who is doing what.

A connection is *busy* from the moment its request is complete until its response has left,
and *waiting* otherwise: for a handshake, for a request, for a client to close. One that
waits may be ended at any time; nothing is lost with it. So a crowd of half-open connections
can never keep a scraper out: the one that has waited longest makes room. The same holds for
clients that ask and do not take the answer: when as many requests are in flight as may be,
the response that has been on its way longest is given up, and so is the memory it holds.

Thread: the event loop's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from exporter.web.log_limit import FailureLog
from exporter.web.message import Handler, Request, Response, text_response

Task = asyncio.Task[None]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a client may ask of us. Bytes and seconds."""

    #: Below the 1024 file descriptors that a process usually may have.
    connections: int = 512
    #: Request line and headers.
    header_bytes: int = 16 * 1024
    #: A request body is read and forgotten up to here.
    body_bytes: int = 64 * 1024
    #: From the connection, or the first byte of a later request, to its last byte.
    request_seconds: float = 10.0
    #: Between requests. Prometheus closes after 5 minutes: being slower than the client avoids
    #: closing just when it sends.
    idle_seconds: float = 330.0
    #: For a client to take the response.
    response_seconds: float = 30.0
    #: The same, when others have to wait for it. A page of 5 MB takes half a second at 100 Mbit/s.
    crowded_response_seconds: float = 1.0


class Admission:
    """The handler, its limits, and the tasks of the connections it serves."""

    def __init__(self, handler: Handler, limits: Limits, max_requests: int) -> None:
        self._handler = handler
        self._max_requests = max_requests
        self.limits = limits
        self.failures = FailureLog()
        #: No connection is kept for another request any more.
        self.stopping = False
        #: Held for one round of the event loop by each request that was sent before the one
        #: ahead of it was answered: greedy clients have to wait for each other, others need not.
        self.turn = asyncio.Lock()
        self._busy: set[Task] = set()
        #: Those of the busy whose client makes them wait, and since when; the longest first.
        self._sending: dict[Task, float] = {}
        self._tasks: set[Task] = set()
        #: Those that may be ended, longest wait first.
        self._waiting: dict[Task, None] = {}

    def has_room(self, queued: bool) -> bool:
        """Whether one more request may be answered, after making room if possible.

        Not for one that was queued behind another: who asks faster than it reads comes last.
        """
        if not 0 < self._max_requests <= len(self._busy):
            return True
        return not queued and self._give_up_slowest()

    def _give_up_slowest(self) -> bool:
        """End the response that has been on its way longest; false if none has been long."""
        task, since = next(iter(self._sending.items()), (None, 0.0))
        if task is None or time.monotonic() - since < self.limits.crowded_response_seconds:
            return False
        del self._sending[task]
        self._busy.discard(task)  # its end may take a moment
        return task.cancel()

    async def answer(self, request: Request) -> Response:
        """The handler's response, or a 500 if it fails."""
        try:
            answer = self._handler(request)
            return answer if isinstance(answer, Response) else await answer
        except Exception as error:  # noqa: BLE001 (logged there, with its traceback)
            self.failures.report("answering a request", error)
            return text_response(500, "internal error; the log of the exporter says more")

    # -- tasks --------------------------------------------------------------------------

    def admit(self) -> bool:
        """Whether there is room for one more connection, after making it if possible."""
        if len(self._tasks) < self.limits.connections:
            return True
        return self.evict() or self._give_up_slowest()

    def evict(self) -> bool:
        """End the connection that has waited longest; false if none waits."""
        task = next(iter(self._waiting), None)
        if task is None:
            return False
        del self._waiting[task]
        return task.cancel()

    def add(self, task: Task) -> None:
        """Take account of a new connection, which waits."""
        self._tasks.add(task)
        self._waiting[task] = None
        task.add_done_callback(self._remove)

    def _remove(self, task: Task) -> None:
        self._tasks.discard(task)
        self._waiting.pop(task, None)

    @contextmanager
    def busy(self, task: Task) -> Iterator[None]:
        """For the length of the block, the connection answers a request and must not be ended."""
        self._waiting.pop(task, None)
        self._busy.add(task)
        try:
            yield
        finally:
            self._busy.discard(task)
            self._waiting[task] = None

    @contextmanager
    def sending(self, task: Task) -> Iterator[None]:
        """For the length of the block, within `busy`, only the client keeps the response here."""
        self._sending[task] = time.monotonic()
        try:
            yield
        finally:
            self._sending.pop(task, None)

    async def end(self, grace: float) -> None:
        """End every connection; those that answer may finish within `grace` seconds."""
        self.stopping = True
        while self.evict():
            pass
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
