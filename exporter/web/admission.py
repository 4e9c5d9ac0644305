"""The limits that the connections of a server share, and which connection to end for another.

A connection is *busy* from the end of its request until its response has been sent, and
*waiting* otherwise: for a handshake, for a request, or for the client to close. A waiting
connection can be ended at any time without a loss. So when the limit is reached, the one that
has waited longest is ended, and half-open connections cannot keep a scraper out. When too many
requests are in flight, the response that has been sent for longest is given up, with its
memory, so that clients that do not read cannot keep a scraper out either.

Thread: the event loop's.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from exporter.web.http_message import Handler, Request, Response, text_response
from exporter.web.log_limit import LogLimiter

Task = asyncio.Task[None]

_MIN_CONNECTIONS, _MAX_CONNECTIONS = 8, 512
#: File descriptors for everything else: the source, the log, files that are read, the push.
_OTHER_DESCRIPTORS = 48


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a server, in bytes and seconds."""

    #: Simultaneous connections.
    connections: int = field(default_factory=lambda: max_connections())
    #: Request line and headers.
    header_bytes: int = 16 * 1024
    #: A request body, which is read and discarded.
    body_bytes: int = 64 * 1024
    #: From the connection, or from the first byte of a later request, to its last byte.
    request_seconds: float = 10.0
    #: Between two requests. Prometheus closes a connection after 5 minutes; the longer time
    #: here avoids closing it at the moment of a request.
    idle_seconds: float = 330.0
    #: For the client to read the response.
    response_seconds: float = 30.0
    #: The same at the limit of requests. A page of 5 MB takes half a second at 100 Mbit/s.
    crowded_response_seconds: float = 1.0


def max_connections() -> int:
    """Return the limit of connections: what RLIMIT_NOFILE leaves, `_MAX_CONNECTIONS` at most.

    Source: https://man7.org/linux/man-pages/man2/getrlimit.2.html
    """
    if sys.platform == "win32":
        return _MAX_CONNECTIONS
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return _MAX_CONNECTIONS
    return max(_MIN_CONNECTIONS, min(_MAX_CONNECTIONS, limit - _OTHER_DESCRIPTORS))


class Admission:
    """Admits connections and requests within the limits, and answers requests."""

    def __init__(self, handler: Handler, limits: Limits, max_requests: int) -> None:
        self._handler = handler
        self._max_requests = max_requests
        self.limits = limits
        self.log_limiter = LogLimiter()
        #: No connection is kept open for another request.
        self.stopping = False
        #: Held by each pipelined request for one round of the event loop, so that clients that
        #: pipeline wait for each other, and other clients do not.
        self.pipeline_lock = asyncio.Lock()
        self._busy: set[Task] = set()
        #: The busy connections that wait for their client to read, with the monotonic time
        #: since when, longest first.
        self._sending: dict[Task, float] = {}
        self._tasks: set[Task] = set()
        #: The connections that can be ended, longest wait first.
        self._waiting: dict[Task, None] = {}

    def __repr__(self) -> str:
        return f"<Admission busy={len(self._busy)} waiting={len(self._waiting)}>"

    def has_room(self, *, pipelined: bool) -> bool:
        """Return whether another request can be answered, after making room if possible.

        No room is made for a pipelined request.
        """
        if not 0 < self._max_requests <= len(self._busy):
            return True
        return not pipelined and self._give_up_slowest()

    def _give_up_slowest(self) -> bool:
        """End the response that has been sent for longest. Return false if all are recent."""
        task, since = next(iter(self._sending.items()), (None, 0.0))
        if task is None or time.monotonic() - since < self.limits.crowded_response_seconds:
            return False
        del self._sending[task]
        self._busy.discard(task)  # at once, because its end can take a moment
        return task.cancel()

    async def answer(self, request: Request) -> Response:
        """Return the response of the handler, or a 500 if it fails."""
        return await answer(self._handler, request, self.log_limiter)

    # -- connections --------------------------------------------------------------------

    def admit(self) -> bool:
        """Return whether there is room for another connection, after making it if possible."""
        if len(self._tasks) < self.limits.connections:
            return True
        return self.evict() or self._give_up_slowest()

    def evict(self) -> bool:
        """End the connection that has waited longest. Return false if none waits."""
        task = next(iter(self._waiting), None)
        if task is None:
            return False
        del self._waiting[task]
        return task.cancel()

    async def free_descriptor(self) -> bool:
        """End a waiting connection, and wait until it is closed. Return false if none waits."""
        task = next(iter(self._waiting), None)
        if task is None or not self.evict():
            return False
        await asyncio.wait([task])
        return True

    def add(self, task: Task) -> None:
        """Add a new connection, which is waiting."""
        self._tasks.add(task)
        self._waiting[task] = None
        task.add_done_callback(self._remove)

    def _remove(self, task: Task) -> None:
        self._tasks.discard(task)
        self._waiting.pop(task, None)

    @contextmanager
    def busy(self, task: Task) -> Iterator[None]:
        """Protect the connection from being ended while the block answers a request."""
        self._waiting.pop(task, None)
        self._busy.add(task)
        try:
            yield
        finally:
            self._busy.discard(task)
            self._waiting[task] = None

    @contextmanager
    def sending(self, task: Task) -> Iterator[None]:
        """Mark a busy connection as waiting for its client to read, while the block runs."""
        self._sending[task] = time.monotonic()
        try:
            yield
        finally:
            self._sending.pop(task, None)

    async def end(self, grace: float) -> None:
        """End all connections, the busy ones after up to `grace` seconds."""
        self.stopping = True
        while self.evict():
            pass
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def answer(handler: Handler, request: Request, log_limiter: LogLimiter) -> Response:
    """Return the response of a handler. If it raises, log that and return a 500."""
    try:
        response = handler(request)
        return response if isinstance(response, Response) else await response
    except Exception as error:  # noqa: BLE001  (logged with its traceback)
        log_limiter.failure("Answering a request", error)
        return text_response(500, "internal error; see the exporter's log")
