"""One connection: requests in, responses out, in order, until either side has had enough.

h11 parses and frames. This module adds the limits that keep a slow, greedy or hostile client
from costing more than its share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from email.utils import formatdate
from http import HTTPStatus

import h11

from exporter.web.admission import Admission
from exporter.web.message import Request, Response, split_target, text_response
from exporter.web.tls_stream import TlsStream

#: At most this much is read at a time. With the reader's own buffer, twice as large, it bounds
#: what a client can make us hold before its request is understood.
READ_BYTES = 16 * 1024

# A copy of so much stays in the processor's cache; a whole page, at 3.6 MB, took 3 ms more.
_CHUNK_BYTES = 256 * 1024

# A refused client may go on sending for a moment, until it reads the refusal.
_LINGER_SECONDS = 1.0
_LINGER_READS = 64

_NOTHING = nullcontext()
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


class Connection:
    """The conversation with one client. Run it in a task that the service knows."""

    def __init__(
        self,
        service: Admission,
        reader: asyncio.StreamReader | TlsStream,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._service = service
        self._limits = service.limits
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(
            h11.SERVER, max_incomplete_event_size=service.limits.header_bytes
        )
        #: Bytes, of all requests.
        self._received = 0
        #: The request was sent before the one ahead of it was answered.
        self._queued = False
        #: The answer, even a refusal, must have no body.
        self._head_only = False
        #: What a line without an end is called: the target, then the body, is too large.
        self._endless_line = 414
        writer.transport.set_write_buffer_limits(high=0)  # drained means: all has left
        peer = writer.get_extra_info("peername")
        self._client = str(peer[0]) if peer else ""

    async def run(self) -> None:
        """Answer requests until the connection ends, and close it. Never raises an Exception."""
        patience = self._limits.request_seconds
        try:
            while not self._service.stopping and await self._exchange(patience):
                self._queued = bool(self._http.trailing_data[0])  # or a part of the next request
                patience = self._limits.idle_seconds
                if self._queued:
                    patience = self._limits.request_seconds
                    async with self._service.turn:
                        await asyncio.sleep(0)
        except OSError:
            pass  # the client is gone, or too slow (a TimeoutError is one)
        except Exception as error:  # noqa: BLE001 (logged there, with its traceback)
            self._service.failures.report("serving a connection", error)
        finally:
            self._writer.transport.abort()  # what was to be sent has been sent
            with suppress(OSError):
                await self._writer.wait_closed()

    async def _exchange(self, patience: float) -> bool:
        """Answer the next request. False: there will not be another one."""
        self._head_only, self._endless_line = False, 414
        try:
            request = await self._receive(patience)
        except h11.RemoteProtocolError as error:
            status = self._status(error)
            await self._send(text_response(status, HTTPStatus(status).phrase.lower()))
        else:
            if request is None:
                return False
            await self._answer(request)
            if self._http.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
                self._http.start_next_cycle()
                return True
        await self._part()
        return False

    async def _answer(self, request: Request) -> None:
        task = asyncio.current_task()
        assert task is not None
        if not self._service.has_room(queued=self._queued):
            await self._send(text_response(503, "too many requests at the same time"))
            return
        with self._service.busy(task):
            await self._send(await self._service.answer(request), self._service.sending(task))

    def _status(self, error: h11.RemoteProtocolError) -> int:
        """What to call an error. To h11, whatever is too long is a header."""
        status = error.error_status_hint
        endless_line = status == 431 and b"\n" not in self._http.trailing_data[0]
        return self._endless_line if endless_line else status

    # -- receiving ----------------------------------------------------------------------

    async def _receive(self, patience: float) -> Request | None:
        """The next complete request; ``None`` when the client has closed.

        Waits `patience` seconds for its first byte. Raises TimeoutError, or
        h11.RemoteProtocolError for what is no request, or more of one than we take.
        """
        async with asyncio.timeout(patience) as deadline:
            head = await self._next_event(deadline)
            if not isinstance(head, h11.Request):
                return None
            self._head_only, self._endless_line = head.method == b"HEAD", 413
            request = _understand(head, self._client)
            if int(request.header("content-length") or 0) > self._limits.body_bytes:
                raise _too_large()
            # Who waits to be asked for the body is answered without it.
            if not self._http.they_are_waiting_for_100_continue:
                await self._discard_body()
            return request

    async def _next_event(self, deadline: asyncio.Timeout | None = None) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            data = await self._reader.read(READ_BYTES)
            self._received += len(data)
            self._http.receive_data(data)
            if deadline:  # the first bytes: the rest must not take as long as they may
                now = asyncio.get_running_loop().time()
                end = now + self._limits.request_seconds
                deadline.reschedule(min(end, deadline.when() or end))
                deadline = None
        return event

    async def _discard_body(self) -> None:
        # All that comes counts, not the data alone: chunks may be mostly extensions.
        limit = self._received + self._limits.body_bytes
        while isinstance(await self._next_event(), h11.Data):
            if self._received > limit:
                raise _too_large()

    # -- sending ------------------------------------------------------------------------

    async def _send(
        self, response: Response, sending: AbstractContextManager[None] = _NOTHING
    ) -> None:
        """Hand the response to the system, all of it. Raises TimeoutError if nobody takes it.

        `sending` is entered for as long as the client makes us wait.
        """
        headers = [
            *response.headers,
            ("Content-Length", str(sum(map(len, response.pieces)))),
            ("Date", formatdate(usegmt=True)),
        ]
        if self._service.stopping or self._http.their_state is not h11.DONE:
            headers.append(("Connection", "close"))
        head = h11.Response(
            status_code=response.status,
            headers=headers,
            reason=_REASONS.get(response.status, b""),
        )
        pieces = () if self._head_only else response.pieces
        with ExitStack() as waiting:
            async with asyncio.timeout(self._limits.response_seconds):
                for data in self._framed(head, pieces):
                    self._writer.write(data)
                    if self._writer.transport.get_write_buffer_size():
                        waiting.enter_context(sending)
                        sending = _NOTHING  # from the first wait on, once
                        await self._writer.drain()

    def _framed(self, head: h11.Response, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """What goes over the wire, in chunks: only one of them is a copy at any time."""
        data = self._http.send(head) or b""
        for chunk in _chunks(pieces):
            yield data + (self._http.send(h11.Data(data=chunk)) or b"")
            data = b""
        data += self._http.send(h11.EndOfMessage()) or b""
        if data:
            yield data

    async def _part(self) -> None:
        """See that the last answer arrives before closing.

        Closing while there is input left would make the system throw the answer away.
        """
        if self._writer.can_write_eof():
            self._writer.write_eof()
        async with asyncio.timeout(_LINGER_SECONDS):
            for _ in range(_LINGER_READS):
                if not await self._reader.read(READ_BYTES):
                    break


def _chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, in chunks of about `_CHUNK_BYTES`."""
    chunk: list[bytes] = []
    size = 0
    for piece in pieces:
        chunk.append(piece)
        size += len(piece)
        if size >= _CHUNK_BYTES:
            yield b"".join(chunk)
            chunk, size = [], 0
    if chunk:
        yield b"".join(chunk)


def _understand(head: h11.Request, client: str) -> Request:
    if not head.http_version.startswith(b"1."):
        raise h11.RemoteProtocolError("another HTTP", error_status_hint=505)
    if head.method == b"CONNECT":
        raise h11.RemoteProtocolError("no proxy", error_status_hint=501)
    headers: dict[str, str] = {}
    for raw_name, raw_value in head.headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if "transfer-encoding" in headers and (
        "content-length" in headers or head.http_version < b"1.1"
    ):
        # Whatever is between us and the client may believe the length that we would not.
        raise h11.RemoteProtocolError("two lengths", error_status_hint=400)
    path, query = split_target(head.target.decode("latin-1"))
    return Request(head.method.decode("latin-1"), path, query, headers, client)


def _too_large() -> h11.RemoteProtocolError:
    return h11.RemoteProtocolError("body too large", error_status_hint=413)
