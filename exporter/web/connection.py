"""One connection: requests in, responses out, in order, until either side has had enough.

h11 parses and frames. This module adds the limits that keep a slow, greedy or hostile client
from costing more than its share.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus

import h11

from exporter.web.message import Request, Response, split_target, text_response
from exporter.web.service import Service

#: At most this much is read at a time. With the reader's own buffer, twice as large, it bounds
#: what a client can make us hold before its request is understood.
READ_BYTES = 16 * 1024

# A refused client may go on sending for a moment, until it reads the refusal.
_LINGER_SECONDS = 1.0
_LINGER_READS = 64

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


class Connection:
    """The conversation with one client. Run it in a task that the service knows."""

    def __init__(
        self, service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._service = service
        self._limits = service.limits
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(
            h11.SERVER, max_incomplete_event_size=service.limits.header_bytes
        )
        writer.transport.set_write_buffer_limits(high=0)  # drained means: all has left
        peer = writer.get_extra_info("peername")
        self._client = str(peer[0]) if peer else ""

    async def run(self) -> None:
        """Answer requests until the connection ends, and close it. Never raises an Exception."""
        patience = self._limits.request_seconds
        try:
            while not self._service.stopping and await self._exchange(patience):
                patience = self._limits.idle_seconds
                # Buffered requests are answered without waiting: let the others have a turn.
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
        try:
            request = await self._receive(patience)
        except h11.RemoteProtocolError as error:
            await self._refuse(error.error_status_hint)
            return False
        if request is None:
            return False
        head_only = request.method == "HEAD"
        if self._service.overloaded:
            await self._send(text_response(503, "too many requests at the same time"), head_only)
        else:
            task = asyncio.current_task()
            assert task is not None
            with self._service.busy(task):
                await self._send(await self._service.answer(request), head_only)
        if self._http.states != {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
            return False
        self._http.start_next_cycle()
        return True

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
            request = _understand(head, self._client)
            # Who waits to be asked for the body is answered without it.
            if not self._http.they_are_waiting_for_100_continue:
                await self._discard_body()
            return request

    async def _next_event(self, deadline: asyncio.Timeout | None = None) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(READ_BYTES))
            if deadline:  # the first bytes: the rest must not take as long as they may
                now = asyncio.get_running_loop().time()
                end = now + self._limits.request_seconds
                deadline.reschedule(min(end, deadline.when() or end))
                deadline = None
        return event

    async def _discard_body(self) -> None:
        size = 0
        while isinstance(event := await self._next_event(), h11.Data):
            size += len(event.data)
            if size > self._limits.body_bytes:
                raise h11.RemoteProtocolError("body too large", error_status_hint=413)

    # -- sending ------------------------------------------------------------------------

    async def _send(self, response: Response, head_only: bool = False) -> None:
        """Hand the response to the system, all of it. Raises TimeoutError if nobody takes it."""
        headers = [
            *response.headers,
            ("Content-Length", str(len(response.body))),
            ("Date", formatdate(usegmt=True)),
        ]
        if self._service.stopping or self._http.their_state is not h11.DONE:
            headers.append(("Connection", "close"))
        send = self._http.send
        head = h11.Response(
            status_code=response.status,
            headers=headers,
            reason=_REASONS.get(response.status, b""),
        )
        pieces = [send(head)]
        if not head_only:
            pieces.append(send(h11.Data(data=response.body)))
        pieces.append(send(h11.EndOfMessage()))
        self._writer.write(b"".join(piece for piece in pieces if piece))
        if self._writer.transport.get_write_buffer_size():
            async with asyncio.timeout(self._limits.response_seconds):
                await self._writer.drain()

    async def _refuse(self, status: int) -> None:
        """Say what was wrong, and see that it arrives before closing.

        Closing while there is input left would make the system throw the answer away.
        """
        reason = HTTPStatus(status).phrase.lower()
        await self._send(text_response(status, reason))
        if self._writer.can_write_eof():
            self._writer.write_eof()
        async with asyncio.timeout(_LINGER_SECONDS):
            for _ in range(_LINGER_READS):
                if not await self._reader.read(READ_BYTES):
                    break


def _understand(head: h11.Request, client: str) -> Request:
    headers: dict[str, str] = {}
    for raw_name, raw_value in head.headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if "content-length" in headers and "transfer-encoding" in headers:
        # Whatever is between us and the client may believe the one that we would not.
        raise h11.RemoteProtocolError("two lengths", error_status_hint=400)
    path, query = split_target(head.target.decode("latin-1"))
    return Request(head.method.decode("latin-1"), path, query, headers, client)
