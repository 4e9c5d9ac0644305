"""One HTTP/1.1 connection: requests in, responses out, in order.

h11 parses and frames. This module adds the limits on what a slow or hostile client can cost.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from email.utils import formatdate
from http import HTTPStatus

import h11

from exporter.logs import event
from exporter.web.admission import Admission
from exporter.web.http_message import Request, Response, path_of, text_response
from exporter.web.linger import linger
from exporter.web.tls_stream import TlsStream

_log = logging.getLogger(__name__)

#: The size of a read. With the buffer of the reader, twice as large, it limits the memory of a
#: request that is not complete.
READ_BYTES = 16 * 1024

# The size of a write. It fits the processor's cache; a page of 3.6 MB at once took 3 ms more.
_WRITE_BYTES = 256 * 1024

_NOTHING = nullcontext()
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


class Connection:
    """The connection of one client. Run it in a task that is in `Admission`."""

    def __init__(
        self,
        admission: Admission,
        reader: asyncio.StreamReader | TlsStream,
        writer: asyncio.StreamWriter | TlsStream,
    ) -> None:
        self._admission = admission
        self._limits = admission.limits
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(
            h11.SERVER, max_incomplete_event_size=admission.limits.header_bytes
        )
        #: Received bytes of all requests.
        self._received = 0
        #: The request was sent before the response to the previous one.
        self._pipelined = False
        #: The response to a HEAD request has no body.
        self._head_only = False
        #: Status for a line that is too long: 414 in the request line, 413 after it.
        self._too_long_status = 414
        writer.transport.set_write_buffer_limits(high=0)  # so that drain() waits for everything
        peer = writer.get_extra_info("peername")
        self._client = str(peer[0]) if peer else ""

    def __repr__(self) -> str:
        return f"<Connection client={self._client} received={self._received}>"

    async def run(self) -> None:
        """Answer requests until the connection ends, and close it. Never raises an Exception."""
        timeout = self._limits.request_seconds
        try:
            while not self._admission.stopping and await self._handle_request(timeout):
                if self._writer.transport.is_closing():
                    break  # nobody reads the responses to what is left
                # There may be only a part of the next request.
                self._pipelined = bool(self._http.trailing_data[0])
                timeout = self._limits.idle_seconds
                if self._pipelined:
                    timeout = self._limits.request_seconds
                    async with self._admission.pipeline_lock:
                        await asyncio.sleep(0)
        except OSError:
            pass  # the client is gone, or too slow (TimeoutError)
        except Exception as error:  # noqa: BLE001  (logged with its traceback)
            self._admission.log_limiter.failure("Serving a connection", error)
        finally:
            self._writer.transport.abort()  # everything has been sent
            with suppress(OSError):
                await self._writer.wait_closed()

    async def _handle_request(self, timeout: float) -> bool:
        """Answer the next request. Return false if no other can follow.

        `timeout`: the seconds until its first byte.
        """
        self._head_only, self._too_long_status = False, 414
        try:
            request = await self._receive(timeout)
        except h11.RemoteProtocolError as error:
            status = self._status(error)
            await self._send(text_response(status, HTTPStatus(status).phrase.lower()))
        else:
            if request is None or self._writer.transport.is_closing():
                return False
            await self._answer(request)
            if self._http.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
                self._http.start_next_cycle()
                return True
        await self._close()
        return False

    async def _answer(self, request: Request) -> None:
        task = asyncio.current_task()
        assert task is not None
        if not self._admission.has_room(pipelined=self._pipelined):
            await self._send(text_response(503, "too many simultaneous requests"))
            return
        began = time.monotonic()
        with self._admission.busy(task):
            response = await self._admission.answer(request)
            await self._send(response, self._admission.sending(task))
        if _log.isEnabledFor(logging.DEBUG):
            self._log_request(request, response.status, time.monotonic() - began)

    def _log_request(self, request: Request, status: int, seconds: float) -> None:
        event(
            _log,
            logging.DEBUG,
            "Request",
            client=self._client,
            method=request.method,
            path=request.path,
            status=status,
            seconds=round(seconds, 6),
        )

    def _status(self, error: h11.RemoteProtocolError) -> int:
        """Return the status of an error. h11 reports everything that is too long as a header."""
        status = error.error_status_hint
        long_line = status == 431 and b"\n" not in self._http.trailing_data[0]
        return self._too_long_status if long_line else status

    # -- receiving ----------------------------------------------------------------------

    async def _receive(self, timeout: float) -> Request | None:
        """Return the next complete request; ``None`` when the client has closed.

        Raises TimeoutError, and h11.RemoteProtocolError for an invalid or too large request.
        """
        async with asyncio.timeout(timeout) as deadline:
            head = await self._next_event(deadline)
            if not isinstance(head, h11.Request):
                return None
            self._head_only, self._too_long_status = head.method == b"HEAD", 413
            request = _to_request(head, self._client)
            if int(request.header("content-length") or 0) > self._limits.body_bytes:
                raise _too_large()
            # A client that waits for "100 Continue" gets the response without sending the body.
            if not self._http.they_are_waiting_for_100_continue:
                await self._discard_body()
            return request

    async def _next_event(self, deadline: asyncio.Timeout | None = None) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            data = await self._reader.read(READ_BYTES)
            self._received += len(data)
            self._http.receive_data(data)
            if deadline:  # from the first bytes on, the request has its own time limit
                now = asyncio.get_running_loop().time()
                end = now + self._limits.request_seconds
                deadline.reschedule(min(end, deadline.when() or end))
                deadline = None
        return event

    async def _discard_body(self) -> None:
        # Counts everything received, because chunks can consist mostly of extensions.
        limit = self._received + self._limits.body_bytes
        while isinstance(await self._next_event(), h11.Data):
            if self._received > limit:
                raise _too_large()

    # -- sending ------------------------------------------------------------------------

    async def _send(
        self, response: Response, sending: AbstractContextManager[None] = _NOTHING
    ) -> None:
        """Send a response. Raises TimeoutError if the client does not read it in time.

        The context `sending` is entered for the time of waiting for the client.
        """
        headers = [*response.headers, ("Date", formatdate(usegmt=True))]
        if response.status != HTTPStatus.NOT_MODIFIED:  # which has no body
            headers.append(("Content-Length", str(sum(map(len, response.chunks)))))
        if self._admission.stopping or self._http.their_state is not h11.DONE:
            headers.append(("Connection", "close"))
        head = h11.Response(
            status_code=response.status,
            headers=headers,
            reason=_REASONS.get(response.status, b""),
        )
        body = () if self._head_only else response.chunks
        with ExitStack() as waiting:
            async with asyncio.timeout(self._limits.response_seconds):
                for data in self._framed(head, body):
                    if self._writer.transport.is_closing():
                        raise ConnectionResetError
                    self._writer.write(data)
                    if self._writer.transport.get_write_buffer_size():
                        waiting.enter_context(sending)
                        sending = _NOTHING  # entered once, at the first wait
                        await self._writer.drain()

    def _framed(self, head: h11.Response, body: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the bytes of the response in writes, of which one at a time is a copy."""
        data = self._http.send(head) or b""
        for chunk in _joined(body):
            yield data + (self._http.send(h11.Data(data=chunk)) or b"")
            data = b""
        data += self._http.send(h11.EndOfMessage()) or b""
        if data:
            yield data

    async def _close(self) -> None:
        """Close the connection after the client could read the last response."""
        if self._writer.can_write_eof():
            self._writer.write_eof()
        await linger(lambda: self._reader.read(READ_BYTES))


def _joined(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Join chunks to larger ones of about `_WRITE_BYTES`."""
    pending: list[bytes] = []
    size = 0
    for chunk in chunks:
        pending.append(chunk)
        size += len(chunk)
        if size >= _WRITE_BYTES:
            yield b"".join(pending)
            pending, size = [], 0
    if pending:
        yield b"".join(pending)


def _to_request(head: h11.Request, client: str) -> Request:
    """Convert a request. Raises h11.RemoteProtocolError if it is not supported."""
    if not head.http_version.startswith(b"1."):
        raise h11.RemoteProtocolError("not HTTP/1", error_status_hint=505)
    if head.method == b"CONNECT":
        raise h11.RemoteProtocolError("not a proxy", error_status_hint=501)
    headers: dict[str, str] = {}
    for raw_name, raw_value in head.headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if "transfer-encoding" in headers and (
        "content-length" in headers or head.http_version < b"1.1"
    ):
        # A proxy in between may use the other length (request smuggling).
        raise h11.RemoteProtocolError("two lengths", error_status_hint=400)
    target = head.target.decode("latin-1")
    query = target.partition("?")[2]
    return Request(head.method.decode("latin-1"), path_of(target), headers, client, query)


def _too_large() -> h11.RemoteProtocolError:
    return h11.RemoteProtocolError("body too large", error_status_hint=413)
