"""The endpoint: listening sockets, and an event loop of its own in the thread "web".

One loop serves everybody: a client that sends nothing costs some kilobytes, not a thread.
Connections are accepted here, not by asyncio, for two reasons: the connection that has
waited longest can make room for a new one, and whatever a connection has to do first (a TLS
handshake, with a certificate of its own) happens in its own task, off the accept path.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from exporter.logs import event
from exporter.web.admission import Admission, Limits
from exporter.web.connection import READ_BYTES, Connection
from exporter.web.listening import Address, listen
from exporter.web.log_limit import Occasionally
from exporter.web.message import Handler
from exporter.web.tls import Tls
from exporter.web.tls_stream import HandshakeError, TlsStream

_log = logging.getLogger(__name__)

# After a failed accept, mostly for want of a file descriptor: not again at once.
_ACCEPT_PAUSE = 0.1


class WebServer:
    """Serves an application over HTTP/1.1. Thread: `start` and `stop` from any one thread."""

    def __init__(
        self,
        listen_addresses: Sequence[str],
        application: Handler,
        max_requests: int = 40,
        *,
        limits: Limits | None = None,
        sockets: Sequence[socket.socket] = (),
        tls: Callable[[], Tls] | None = None,
    ) -> None:
        """Nothing is opened yet. `max_requests` in flight, beyond which 503; 0: unlimited.

        `sockets` listen already (socket activation) and belong to the server from `start` on.
        `tls` says for each connection how it is secured; without it, none is.
        """
        self._listen_addresses = listen_addresses
        self._given = sockets
        self._tls = tls
        self._occasionally = Occasionally()
        self._service = Admission(application, limits or Limits(), max_requests)
        self._listeners: list[socket.socket] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping = asyncio.Event()
        self._grace = 0.0
        #: Where it listens, with the real ports.
        self.addresses: list[Address] = []

    @property
    def secured(self) -> bool:
        """It speaks TLS."""
        return self._tls is not None

    def start(self) -> None:
        """Listen; from then on clients can connect.

        Raises ListenError (an OSError), naming the address, or ValueError for one that is none.
        """
        listeners = list(self._given)
        try:
            for text in self._listen_addresses:
                listeners += listen(text)
            for sock in listeners:
                sock.setblocking(False)
            self.addresses = [Address(*sock.getsockname()[:2]) for sock in listeners]
            loop = _new_event_loop()
        except BaseException:
            for sock in listeners:
                sock.close()
            raise
        loop.set_exception_handler(self._report)
        self._listeners, self._loop = listeners, loop
        # A daemon: a handler that never returns must not keep the process alive.
        self._thread = threading.Thread(target=self._run, args=(loop,), name="web", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 1.0) -> None:
        """Close everything, within `timeout` seconds. Any number of times.

        Requests being answered get half of that time to finish.
        """
        if self._loop is None or self._thread is None:
            return
        self._grace = timeout / 2
        with suppress(RuntimeError):  # the loop is closed: stopped already
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(timeout)
        if self._thread.is_alive():
            _log.warning("the web server did not stop within %g s", timeout)

    def answers(self, timeout: float) -> bool:
        """Whether the event loop does what it is asked within `timeout` seconds."""
        if self._loop is None:
            return False
        asked = threading.Event()
        try:
            self._loop.call_soon_threadsafe(asked.set)
        except RuntimeError:  # the loop is closed
            return False
        return asked.wait(timeout)

    # -- in the thread ------------------------------------------------------------------

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.run_until_complete(self._serve())
        finally:
            for sock in self._listeners:
                sock.close()
            loop.close()

    def _report(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What asyncio could not tell anybody else."""
        error = context.get("exception") or RuntimeError(context["message"])
        if not isinstance(error, OSError):  # those are clients that went away
            self._service.failures.report("the event loop", error)

    async def _serve(self) -> None:
        acceptors = [asyncio.create_task(self._accept(sock)) for sock in self._listeners]
        await self._stopping.wait()
        for task in acceptors:
            task.cancel()
        await asyncio.gather(*acceptors, return_exceptions=True)
        for sock in self._listeners:
            sock.close()
        await self._service.end(self._grace)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(listener)
            except ConnectionError:
                continue  # gone before we took it
            except OSError as error:
                self._service.failures.report("accepting a connection", error)
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self._service.evict()  # that frees a descriptor
                await asyncio.sleep(_ACCEPT_PAUSE)
                continue
            if self._service.admit():
                self._service.add(loop.create_task(self._converse(sock)))
            else:
                sock.close()
            # A crowd at the door must not keep those inside waiting.
            await asyncio.sleep(0)

    async def _converse(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=READ_BYTES, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        try:
            tls = self._tls() if self._tls else None
            # Else the last packet of a large page waits for the client's delayed ACK: 40 ms.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock)
        except OSError:
            sock.close()
            return
        if tls is None:
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            await Connection(self._service, reader, writer).run()
            return
        stream = TlsStream(tls, transport, protocol, reader, loop)
        try:
            await stream.open(self._service.limits.request_seconds)
        except HandshakeError as error:
            if self._occasionally.due(str(error)):
                client = (stream.get_extra_info("peername") or [""])[0]
                event(_log, logging.WARNING, "TLS handshake failed", client=client, error=error)
        except OSError:
            pass  # gone, or too slow
        else:
            await Connection(self._service, stream, stream).run()


def _new_event_loop() -> asyncio.AbstractEventLoop:
    """A loop that does not take the process's signals for itself, as on Windows it would."""
    if threading.current_thread() is not threading.main_thread():
        return asyncio.new_event_loop()
    awakened = signal.set_wakeup_fd(-1)
    try:
        return asyncio.new_event_loop()
    finally:
        signal.set_wakeup_fd(awakened)
