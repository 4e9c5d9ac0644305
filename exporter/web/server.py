"""The web server: its sockets, and its event loop in the thread "web".

One loop serves all clients, so that a client that sends nothing costs some kilobytes and no
thread. This module accepts the connections instead of asyncio, for two reasons: the connection
that has waited longest can be ended for a new one, and a TLS handshake, with the certificate of
that moment, runs in the task of the connection.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from exporter.logs import event
from exporter.web.admission import Admission, Limits
from exporter.web.connection import READ_BYTES, Connection
from exporter.web.http_message import Handler
from exporter.web.listening import Address, listen
from exporter.web.log_limit import LimitedLogger
from exporter.web.tls import Tls
from exporter.web.tls_stream import HandshakeError, TlsStream

_log = logging.getLogger(__name__)

# The pause after a failed accept, usually for lack of file descriptors. Seconds.
_ACCEPT_PAUSE = 0.1


class WebServer:
    """Serves an application over HTTP/1.1. Thread: `start` and `stop` from one thread."""

    def __init__(
        self,
        listen_addresses: Sequence[str],
        application: Handler,
        max_requests: int = 40,
        *,
        limits: Limits | None = None,
        sockets: Sequence[socket.socket] = (),
        tls: Callable[[], Awaitable[Tls]] | None = None,
    ) -> None:
        """Create a server, which opens nothing before `start`.

        `max_requests`: the limit of simultaneous requests; further ones are answered with 503.
        0: no limit. `sockets`: listening sockets (socket activation), owned by the server from
        `start` on. `tls`: returns the TLS of each new connection; ``None``: plain HTTP.
        """
        self._listen_addresses = listen_addresses
        self._passed_sockets = sockets
        self._tls = tls
        self._admission = Admission(application, limits or Limits(), max_requests)
        self._asyncio_filter = LimitedLogger()
        self._listeners: list[socket.socket] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping = asyncio.Event()
        self._grace = 0.0
        #: The addresses of the listening sockets, with the real ports.
        self.addresses: list[Address] = []

    def __repr__(self) -> str:
        return f"<WebServer {', '.join(map(str, self.addresses)) or 'not started'}>"

    @property
    def secured(self) -> bool:
        """Whether it uses TLS."""
        return self._tls is not None

    def start(self) -> None:
        """Open the sockets and start the thread.

        Raises ListenError (an OSError) with the address, and ValueError for an invalid one.
        """
        listeners = list(self._passed_sockets)
        try:
            for text in self._listen_addresses:
                listeners += listen(text)
            for sock in listeners:
                sock.settimeout(0.0)  # non-blocking
            self.addresses = [Address(*sock.getsockname()[:2]) for sock in listeners]
            loop = _new_event_loop()
        except BaseException:
            for sock in listeners:
                sock.close()
            raise
        loop.set_exception_handler(self._log_exception)
        # asyncio logs what clients do to their connections, each time.
        logging.getLogger("asyncio").addFilter(self._asyncio_filter)
        self._listeners, self._loop = listeners, loop
        # A daemon thread, so that a handler that never returns does not keep the process alive.
        self._thread = threading.Thread(target=self._run, args=(loop,), name="web", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 1.0) -> None:
        """Close everything, within `timeout` seconds. Idempotent.

        Requests in flight get half of that time to finish.
        """
        if self._loop is None or self._thread is None:
            return
        logging.getLogger("asyncio").removeFilter(self._asyncio_filter)
        self._grace = timeout / 2
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(timeout)
        if self._thread.is_alive():
            event(_log, logging.WARNING, "The web server did not stop in time", seconds=timeout)

    def answers(self, timeout: float) -> bool:
        """Return whether the event loop reacts within `timeout` seconds."""
        if self._loop is None:
            return False
        answered = threading.Event()
        try:
            self._loop.call_soon_threadsafe(answered.set)
        except RuntimeError:  # the loop is closed
            return False
        return answered.wait(timeout)

    # -- in the thread ------------------------------------------------------------------

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.run_until_complete(self._serve())
        finally:
            for sock in self._listeners:
                sock.close()
            loop.close()

    def _log_exception(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log an exception that asyncio can raise nowhere (its exception handler)."""
        error = context.get("exception") or RuntimeError(context["message"])
        if not isinstance(error, OSError):  # an OSError is a client that is gone
            self._admission.log_limiter.failure("The event loop", error)

    async def _serve(self) -> None:
        acceptors = [asyncio.create_task(self._accept(sock)) for sock in self._listeners]
        await self._stopping.wait()
        for task in acceptors:
            task.cancel()
        await asyncio.gather(*acceptors, return_exceptions=True)
        for sock in self._listeners:
            sock.close()
        await self._admission.end(self._grace)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(listener)
            except ConnectionError:
                continue  # the client is gone
            except OSError as error:
                self._admission.log_limiter.failure("Accepting a connection", error)
                scarce = error.errno in (errno.EMFILE, errno.ENFILE)
                if not (scarce and await self._admission.free_descriptor()):
                    await asyncio.sleep(_ACCEPT_PAUSE)
                continue
            if self._admission.admit():
                self._admission.add(loop.create_task(self._serve_connection(sock)))
            else:
                sock.close()
            # Yield, so that a burst of new connections cannot starve the open ones.
            await asyncio.sleep(0)

    async def _serve_connection(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=READ_BYTES, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        try:
            tls = await self._tls() if self._tls else None
            # With Nagle's algorithm the last packet of a large page waits 40 ms for an ACK.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock)
        except OSError:
            sock.close()
            return
        except BaseException:
            sock.close()
            raise
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        if tls is None:
            await Connection(self._admission, reader, writer).run()
            return
        stream = TlsStream(tls, reader, writer)
        try:
            await stream.open(self._admission.limits.request_seconds)
        except HandshakeError as error:
            if self._admission.log_limiter.allow(str(error)):
                client = (stream.get_extra_info("peername") or [""])[0]
                event(_log, logging.WARNING, "TLS handshake failed", client=client, error=error)
        except OSError:
            pass  # the client is gone, or too slow
        else:
            await Connection(self._admission, stream, stream).run()


def _new_event_loop() -> asyncio.AbstractEventLoop:
    """Make a loop that leaves the signal wake-up fd as it is, which on Windows it replaces."""
    if threading.current_thread() is not threading.main_thread():
        return asyncio.new_event_loop()
    wakeup_fd = signal.set_wakeup_fd(-1)
    try:
        return asyncio.new_event_loop()
    finally:
        signal.set_wakeup_fd(wakeup_fd)
